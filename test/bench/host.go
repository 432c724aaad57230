package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const (
	binDir    = "_output/bin"
	artifacts = "artifacts"

	// The names of processes that targets read.
	serverProcess = "policy-apiserver"
	hostProcess   = "kube-apiserver"
)

var (
	pediaClusters = schema.GroupVersionResource{Group: "cluster.clusterpedia.io", Version: "v1alpha2", Resource: "pediaclusters"}
	policies      = schema.GroupVersionResource{Group: "policy.clusterpedia.io", Version: "v1alpha1", Resource: "clusterimportpolicies"}
	lifecycles    = schema.GroupVersionResource{Group: "policy.clusterpedia.io", Version: "v1alpha1", Resource: "pediaclusterlifecycles"}
	sources       = schema.GroupVersionResource{Group: "cluster.mcp.io", Version: "v1alpha1", Resource: "clusters"}
	secrets       = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	namespaces    = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// host is a development cluster with the clients of the benchmark.
type host struct {
	*devcluster.Cluster
	dir     string
	objects dynamic.Interface
	own     ownRequests
	// plain reaches kube-apiserver for its metrics, direct the server for its own.
	plain, direct *http.Client
	storage       *devcluster.Storage // nil when it is embedded
	server        *devcluster.Server  // nil before startServer
}

// newHost starts a host without our server, on a new folder. All its etcds wait
// for the disk.
func newHost(ctx context.Context) (h *host, err error) {
	if err := os.MkdirAll("_output", 0o755); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("_output", "bench-")
	if err != nil {
		return nil, err
	}
	h = &host{dir: dir, own: ownRequests{counts: map[string]int{}}}
	if h.Cluster, err = devcluster.Start(ctx, devcluster.Options{Dir: dir, BinDir: binDir}); err != nil {
		return nil, err
	}
	config := h.Config()
	if h.plain, err = rest.HTTPClientFor(config); err == nil {
		config.Wrap(h.own.wrap)
		config.WarningHandler = rest.NoWarnings{}
		h.objects, err = dynamic.NewForConfig(config)
	}
	if err == nil {
		_, err = h.Kubectl(ctx, nil, "apply", "--server-side", "-f", artifacts+"/crds",
			"-f", "test/mcp/crd.yaml", "-f", "test/mcp/rbac.yaml")
	}
	if err == nil {
		err = h.WaitForTypes(ctx, pediaClusters.GroupResource().String(), sources.GroupResource().String())
	}
	if err != nil {
		return nil, errors.Join(err, h.stop(ctx, false))
	}
	return h, nil
}

// startServer starts the server, on an etcd outside of it unless it is embedded.
func (h *host) startServer(ctx context.Context, embedded bool) (err error) {
	options := devcluster.ServerOptions{Manifests: artifacts + "/deploy/base"}
	if !embedded {
		if h.storage, err = h.StartStorage(ctx, 1); err != nil {
			return err
		}
		options.Args = []string{h.storage.Flag()}
	}
	if h.server, err = h.StartServer(ctx, options); err != nil {
		return err
	}
	h.direct, err = rest.HTTPClientFor(h.server.Config())
	return err
}

// stop ends all processes. What a failed run leaves is kept, and its place told.
func (h *host) stop(ctx context.Context, passed bool) error {
	ctx = context.WithoutCancel(ctx)
	var err error
	if h.server != nil {
		err = h.server.Stop(ctx) // before its storage
	}
	err = errors.Join(err, h.Stop(ctx))
	if !passed {
		fmt.Fprintln(os.Stderr, "logs are in", filepath.Join(h.dir, "logs"))
		return err
	}
	return errors.Join(err, os.RemoveAll(h.dir))
}

// versions says what takes part.
func (h *host) versions(ctx context.Context) (map[string]string, error) {
	text, err := fetch(ctx, h.plain, h.Config().Host+"/version")
	if err != nil {
		return nil, err
	}
	var kubernetes struct{ GitVersion, GoVersion string }
	if err := json.Unmarshal(text, &kubernetes); err != nil {
		return nil, err
	}
	etcd, err := exec.CommandContext(ctx, filepath.Join(binDir, "etcd"), "--version").Output()
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(etcd), "\n")
	source, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		source = []byte("unknown") // not a clone
	}
	return map[string]string{
		"kube-apiserver": kubernetes.GitVersion,
		"go":             strings.TrimPrefix(kubernetes.GoVersion, "go"),
		"etcd":           strings.TrimPrefix(line, "etcd Version: "),
		serverProcess:    strings.TrimSpace(string(source)),
	}, nil
}
