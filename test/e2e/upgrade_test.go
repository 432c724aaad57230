package e2e

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

func TestAnUpgradeFromAnEarlierVersionLosesNothing(t *testing.T) {
	const fixture = "testdata/storage-v0"
	// The host has its objects before there is a server, and the garbage
	// collector runs once the server answers for the owners: the other way
	// round, it would find PediaClusters whose owner does not exist.
	h := startHostWithout(t)
	for _, file := range []string{"types.yaml", "objects.yaml"} {
		h.kubectl(t, "apply", "--server-side", "-f", filepath.Join(fixture, file))
		must(t, h.WaitForTypes(t.Context(), "clusters.cluster.mcp.io", "pediaclusters.cluster.clusterpedia.io"))
	}
	before := map[string]types.UID{}
	for _, cluster := range listPediaClusters(t, h) {
		before[cluster.GetName()] = cluster.GetUID()
	}
	if len(before) != 6 {
		t.Fatalf("the fixture has %d PediaClusters", len(before))
	}

	snapshot := filepath.Join(t.TempDir(), "snapshot.db")
	must(t, unzip(filepath.Join(fixture, "snapshot.db.gz"), snapshot))
	storage := filepath.Join(t.TempDir(), "storage")
	out, err := exec.CommandContext(t.Context(), filepath.Join(binDir, "policy-apiserver"),
		"snapshot", "restore", snapshot, "--embedded-etcd-dir", storage).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	h.server, err = h.StartServer(t.Context(), devcluster.ServerOptions{
		Manifests: artifacts + "/deploy/base", Args: []string{"--embedded-etcd-dir=" + storage}})
	must(t, err)
	must(t, h.StartControllerManager(t.Context()))

	lifecycles := h.policy.PolicyV1alpha1().PediaClusterLifecycles()
	eventually(t, "all clusters are imported", func() error {
		list, err := lifecycles.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(list.Items) != len(before) {
			return fmt.Errorf("there are %d lifecycles", len(list.Items))
		}
		for i := range list.Items {
			if lifecycle := &list.Items[i]; lifecycle.Status.Phase != policyv1alpha1.LifecycleImported {
				return fmt.Errorf("%s is %s: %+v", lifecycle.Name, lifecycle.Status.Phase, lifecycle.Status.Conditions)
			}
		}
		return nil
	})

	// A Secret that changes now shows that the new server works, and a
	// PediaCluster whose owner never was shows that the garbage collector does.
	h.patch(t, h.objects.Resource(secrets).Namespace("mcp-system"), "bergen-auth",
		`{"data":{"token":"`+base64.StdEncoding.EncodeToString([]byte("the third token of bergen"))+`"}}`)
	orphan := listPediaClusters(t, h)[0].DeepCopy()
	orphan.SetName("orphan")
	orphan.SetResourceVersion("")
	orphan.SetUID("")
	orphan.SetAnnotations(nil)
	orphan.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "never-was", UID: "never-was"}})
	_, err = h.objects.Resource(pediaClusters).Create(t.Context(), orphan, metav1.CreateOptions{})
	must(t, err)
	eventually(t, "the garbage collector has taken a PediaCluster without an owner", func() error {
		_, err := h.objects.Resource(pediaClusters).Get(t.Context(), "orphan", metav1.GetOptions{})
		return gone(err)
	})
	eventually(t, "the token of bergen is the new one", func() error {
		bergen, err := h.objects.Resource(pediaClusters).Get(t.Context(), "mcp-bergen", metav1.GetOptions{})
		if err != nil {
			return err
		}
		return same("tokenData", text(bergen, "spec", "tokenData"), base64.StdEncoding.EncodeToString([]byte("the third token of bergen")))
	})

	after := listPediaClusters(t, h)
	if len(after) != len(before) {
		t.Errorf("there were %d PediaClusters, and now %d", len(before), len(after))
	}
	for i := range after {
		name := after[i].GetName()
		if after[i].GetUID() != before[name] || after[i].GetDeletionTimestamp() != nil {
			t.Errorf("%s is another one, or goes: %s was %s", name, after[i].GetUID(), before[name])
		}
		lifecycle, err := lifecycles.Get(t.Context(), name, metav1.GetOptions{})
		must(t, err)
		owners := after[i].GetOwnerReferences()
		if len(owners) != 1 || owners[0].UID != lifecycle.UID {
			t.Errorf("%s is owned by %v, want its lifecycle %s", name, owners, lifecycle.UID)
		}
		if team := after[i].GetLabels()["team"]; (name == "mcp-amsterdam" || name == "mcp-dakar") && team != "blue" {
			t.Errorf("%s has lost its label: %v", name, after[i].GetLabels())
		}
	}
}

// startHostWithout starts a host without a server, types and controllers.
func startHostWithout(t *testing.T) *host {
	t.Helper()
	t.Parallel()
	dir, err := os.MkdirTemp("", "policy-apiserver-e2e-")
	must(t, err)
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{Dir: dir, BinDir: binDir, UnsafeNoFsync: true})
	must(t, err)
	h := &host{Cluster: cluster, dir: dir}
	t.Cleanup(func() {
		if err := h.stop(!t.Failed()); err != nil {
			t.Error(err)
		}
	})
	must(t, h.StopControllerManager(context.WithoutCancel(t.Context())))
	h.objects, err = dynamic.NewForConfig(h.Config())
	must(t, err)
	h.policy, err = policyclient.NewForConfig(h.Config())
	must(t, err)
	return h
}

func unzip(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	reader, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(reader)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}
