// Package faults breaks what the policy-apiserver runs on, and itself, while
// clusters come, change and go: five hundred of them, on a real host. After
// each fault every PediaCluster is compared with what it should be, no deletion
// may have been seen that was not asked for, and every write that the API
// acknowledged has to be there. How long it took until things worked again is
// printed, and not judged.
package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const (
	binDir    = "../../_output/bin"
	artifacts = "../../artifacts"

	// patience is how long anything may take. It is generous: only a failing test
	// waits that long.
	patience = 3 * time.Minute
	// requestTimeout bounds one request of a test, which is then tried again.
	requestTimeout = 5 * time.Second
	// pollPeriod is how often a test looks whether what it waits for has come.
	pollPeriod = 100 * time.Millisecond
)

// auditPolicy has each change of a PediaCluster, or of a lifecycle, noted with who
// asked for it.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
  resources:
  - group: cluster.clusterpedia.io
    resources: [pediaclusters]
  - group: policy.clusterpedia.io
    resources: [pediaclusterlifecycles, pediaclusterlifecycles/status]
- level: None
`

// host is a development cluster with clients of it.
type host struct {
	*devcluster.Cluster
	dir        string
	objects    dynamic.Interface
	kubernetes kubernetes.Interface
	// policy reaches our API as users do: through kube-apiserver.
	policy versioned.Interface
}

// newHost starts a host that ends with the test.
func newHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "policy-apiserver-faults-")
	must(t, err)
	h := &host{dir: dir}
	must(t, os.WriteFile(h.auditPolicy(), []byte(auditPolicy), 0o600))
	h.Cluster, err = devcluster.Start(t.Context(), devcluster.Options{
		Dir: dir, BinDir: binDir, UnsafeNoFsync: true,
		APIServerArgs: h.auditArgs("kube-apiserver"),
	})
	must(t, err)
	t.Cleanup(func() {
		// The context of the test has ended by now.
		err := h.Stop(context.Background())
		if err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log("logs are in ", filepath.Join(dir, "logs"))
			return
		}
		must(t, os.RemoveAll(dir))
	})
	config := rest.CopyConfig(h.Config())
	config.Timeout = requestTimeout
	config.WarningHandler = rest.NoWarnings{}
	h.policy, err = versioned.NewForConfig(config)
	must(t, err)
	h.kubernetes, err = kubernetes.NewForConfig(config)
	must(t, err)
	config = rest.CopyConfig(h.Config()) // with watches, which have no timeout
	h.objects, err = dynamic.NewForConfig(config)
	must(t, err)
	_, err = h.Kubectl(t.Context(), nil, "apply", "--server-side", "-f", artifacts+"/crds")
	must(t, err)
	must(t, h.WaitForTypes(t.Context(), "pediaclusters.cluster.clusterpedia.io"))
	return h
}

func (h *host) auditPolicy() string { return filepath.Join(h.dir, "audit-policy.yaml") }

// auditLog is where a server notes who changed what.
func (h *host) auditLog(server string) string {
	return filepath.Join(h.dir, "logs", server+"-audit.log")
}

func (h *host) auditArgs(server string) []string {
	return []string{
		"--audit-policy-file=" + h.auditPolicy(),
		"--audit-log-path=" + h.auditLog(server),
	}
}

// fleet is a host with several replicas behind a Service, on an etcd of three
// members.
type fleet struct {
	*host
	storage  *devcluster.Storage
	service  *devcluster.Service
	replicas []*devcluster.Replica
}

func newFleet(t *testing.T, replicas int) *fleet {
	t.Helper()
	f := &fleet{host: newHost(t)}
	var err error
	f.storage, err = f.StartStorage(t.Context(), 3)
	must(t, err)
	f.service, err = f.StartService(t.Context(), artifacts+"/deploy/base")
	must(t, err)
	t.Cleanup(func() {
		for _, replica := range f.replicas {
			must(t, replica.Kill()) // in order they end in other tests
		}
		must(t, f.service.Close())
	})
	for i := range replicas {
		f.add(t, fmt.Sprintf("policy-apiserver-%d", i+1), "policy-apiserver")
	}
	within(t, "kube-apiserver reaches the API", f.service.Available)
	return f
}

// add starts one more replica.
func (f *fleet) add(t *testing.T, name, binary string) *devcluster.Replica {
	t.Helper()
	replica, err := f.StartReplica(t.Context(), f.storage, devcluster.ReplicaOptions{
		Name: name, Binary: binary, Args: append(f.auditArgs(name), "--v=2"),
	})
	must(t, err)
	must(t, f.service.Add(replica))
	f.replicas = append(f.replicas, replica)
	return replica
}

// lease returns the Lease of the controllers.
func (h *host) lease(ctx context.Context) (*coordinationv1.Lease, error) {
	return h.kubernetes.CoordinationV1().Leases(devcluster.Namespace).Get(ctx, "policy-apiserver", metav1.GetOptions{})
}

// holder names the term of the leader: no replica has the same one twice. It is
// empty while nobody leads.
func (h *host) holder(ctx context.Context) (string, error) {
	lease, err := h.lease(ctx)
	if err != nil || lease.Spec.HolderIdentity == nil {
		return "", err
	}
	if *lease.Spec.HolderIdentity == "" {
		return "", nil
	}
	return fmt.Sprintf("%s/%d", *lease.Spec.HolderIdentity, *lease.Spec.LeaseTransitions), nil
}

// leader returns the replica that leads.
func (f *fleet) leader(t *testing.T) *devcluster.Replica {
	t.Helper()
	var leader *devcluster.Replica
	within(t, "a replica leads", func(ctx context.Context) error {
		lease, err := f.lease(ctx)
		if err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return errors.New("nobody holds the Lease")
		}
		for _, entry := range lease.ManagedFields {
			// Who changes the holder owns the field, by the name in its user agent.
			if !strings.Contains(string(entry.FieldsV1.GetRawBytes()), `"f:holderIdentity"`) {
				continue
			}
			for _, replica := range f.replicas {
				if replica.Name == entry.Manager && replica.Running() {
					leader = replica
					return nil
				}
			}
		}
		return errors.New("the holder of the Lease does not run")
	})
	return leader
}

// otherLeader fails until the Lease has another holder than that one.
func (h *host) otherLeader(ctx context.Context, before string) error {
	now, err := h.holder(ctx)
	if err == nil && (now == "" || now == before) {
		err = fmt.Errorf("the Lease is held by %q", now)
	}
	return err
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within waits until check succeeds. What it waits for reads as a sentence.
func within(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("it took too long"))
	defer cancel()
	if err := insist(ctx, check); err != nil {
		t.Fatalf("%s: not within %s: %v", what, patience, err)
	}
}

// insist tries until it succeeds or the context ends.
func insist(ctx context.Context, try func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, requestTimeout)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(pollPeriod):
		}
	}
}
