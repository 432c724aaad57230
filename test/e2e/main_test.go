// Package e2e tests the policy-apiserver as its users meet it: registered with a
// real kube-apiserver, through the real kubectl.
//
// All tests share one cluster and one server. Each has a platform of its own (a
// type of Source, a namespace for Secrets), so that none disturbs another, and
// every wait is for a condition.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"

	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const (
	binDir    = "../../_output/bin"
	artifacts = "../../artifacts"

	// patience is how long a condition may take to come true. It is generous:
	// only a failing test waits that long.
	patience = 60 * time.Second
)

// host is a development cluster with the server running and clients for both.
type host struct {
	*devcluster.Cluster
	dir     string
	server  *devcluster.Server
	objects dynamic.Interface
	policy  policyclient.Interface
}

// shared is the host of every test that does not break it.
var shared *host

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var err error
	if shared, err = startHost(ctx, devcluster.ServerOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if !shared.server.Running() {
		fmt.Fprintln(os.Stderr, "the server has ended on its own")
		code = 1
	}
	if err := shared.stop(code == 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// ownHost starts a host for a test that would disturb others, with those flags of the server
// besides, and stops it in the end. Such tests wait most of the time, and run beside others.
func ownHost(t *testing.T, flags ...string) *host {
	t.Helper()
	return ownHostWith(t, devcluster.ServerOptions{Args: flags})
}

func ownHostWith(t *testing.T, options devcluster.ServerOptions) *host {
	t.Helper()
	t.Parallel()
	h, err := startHost(t.Context(), options)
	must(t, err)
	t.Cleanup(func() {
		if err := h.stop(!t.Failed()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// startHost starts a host with the PediaCluster CRD and the server.
func startHost(ctx context.Context, options devcluster.ServerOptions) (*host, error) {
	dir, err := os.MkdirTemp("", "policy-apiserver-e2e-")
	if err != nil {
		return nil, err
	}
	cluster, err := devcluster.Start(ctx, devcluster.Options{Dir: dir, BinDir: binDir, UnsafeNoFsync: true})
	if err != nil {
		return nil, err
	}
	h := &host{Cluster: cluster, dir: dir}
	if err := h.prepare(ctx, options); err != nil {
		return nil, errors.Join(err, h.stop(false))
	}
	return h, nil
}

// stop stops the host. What a failed test leaves is kept, and its place told.
func (h *host) stop(passed bool) error {
	// The context of a test has ended when its host is stopped.
	err := h.Stop(context.Background())
	if !passed || err != nil {
		fmt.Fprintln(os.Stderr, "logs are in", filepath.Join(h.dir, "logs"))
		return err
	}
	return os.RemoveAll(h.dir)
}

func (h *host) prepare(ctx context.Context, options devcluster.ServerOptions) (err error) {
	if h.objects, err = dynamic.NewForConfig(h.Config()); err != nil {
		return err
	}
	if h.policy, err = policyclient.NewForConfig(h.Config()); err != nil {
		return err
	}
	if _, err := h.Kubectl(ctx, nil, "apply", "--server-side", "-f", artifacts+"/crds"); err != nil {
		return err
	}
	if err := h.WaitForTypes(ctx, "pediaclusters.cluster.clusterpedia.io"); err != nil {
		return err
	}
	options.Manifests = artifacts + "/deploy/base"
	h.server, err = h.StartServer(ctx, options)
	return err
}
