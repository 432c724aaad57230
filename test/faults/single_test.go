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

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

// fewClusters are enough where the fault does not ask for many.
const fewClusters = 60

// startServer starts a host with one server, which has its etcd inside.
func startServer(t *testing.T, options devcluster.ServerOptions) (*world, *devcluster.Server) {
	t.Helper()
	h := newHost(t)
	options.Manifests = artifacts + "/deploy/base"
	server, err := h.StartServer(t.Context(), options)
	must(t, err)
	return newWorld(t, h, fewClusters), server
}

// The faults of a server that has its etcd inside, each on a host of its own.
func TestASingleServerOutlives(t *testing.T) {
	t.Parallel()
	t.Run("a full database", databaseIsFull)
	t.Run("an empty data folder", folderIsEmpty)
	t.Run("new certificates", certificateIsRenewed)
	t.Run("Source types that cannot be listed", typesAreAway)
}

// Much is written in a short time, so that the history fills the database.
func databaseIsFull(t *testing.T) {
	w, _ := startServer(t, devcluster.ServerOptions{Args: []string{"--embedded-etcd-quota-bytes=16777216"}})
	policies := w.policy.PolicyV1alpha1().ClusterImportPolicies()
	large := idlePolicy("large")
	within(t, "a large policy is made", func(ctx context.Context) (err error) {
		large, err = policies.Create(ctx, large, metav1.CreateOptions{})
		return err
	})
	var refusal error
	for i := 0; refusal == nil; i++ {
		if i == 1000 {
			t.Fatal("200 MB of changes were accepted by a database of 16 MB")
		}
		large.Annotations = map[string]string{"example.io/ballast": strings.Repeat(fmt.Sprint(i%10), 200_000)}
		var updated *policyv1alpha1.ClusterImportPolicy
		switch updated, refusal = policies.Update(t.Context(), large, metav1.UpdateOptions{}); {
		case apierrors.IsConflict(refusal): // its status was written
			large, refusal = policies.Get(t.Context(), large.Name, metav1.GetOptions{})
		case refusal == nil:
			large = updated
		}
	}
	full := time.Now()
	if !strings.Contains(refusal.Error(), "space") {
		t.Errorf("a full database does not tell why it refuses a write: %v", refusal)
	}
	if _, err := policies.Get(t.Context(), large.Name, metav1.GetOptions{}); err != nil {
		t.Errorf("a full database cannot be read: %v", err)
	}
	w.recovers(t, "the database was full", full)
	w.check(t)
}

// The folder of the database is away, as when a volume was not mounted, with the
// garbage collector at work.
func folderIsEmpty(t *testing.T) {
	w, server := startServer(t, devcluster.ServerOptions{})
	data := filepath.Join(w.dir, "policy-apiserver")
	must(t, server.Stop(t.Context()))
	must(t, os.Rename(data, data+".away"))
	must(t, server.Start(t.Context()))

	within(t, "the API says why it does not serve", func(ctx context.Context) error {
		_, err := w.policy.PolicyV1alpha1().ClusterImportPolicies().List(ctx, metav1.ListOptions{})
		if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "--accept-storage=") {
			return fmt.Errorf("it answers: %w", err)
		}
		return nil
	})
	if _, err := w.policy.Discovery().ServerResourcesForGroupVersion("policy.clusterpedia.io/v1alpha1"); err != nil {
		t.Errorf("discovery is not answered: %v", err)
	}
	w.awaitGarbageCollection(t)
	must(t, w.expected.compare(w.watcher.seen()))

	must(t, server.Stop(t.Context()))
	must(t, os.RemoveAll(data))
	must(t, os.Rename(data+".away", data))
	back := time.Now()
	must(t, server.Start(t.Context()))
	w.recovers(t, "the data folder is back after an empty one", back)
	w.check(t)
}

// awaitGarbageCollection returns when the garbage collector has deleted an object
// that was made now and whose owner does not exist.
func (h *host) awaitGarbageCollection(t *testing.T) {
	t.Helper()
	client := h.objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("default")
	orphan, err := client.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"generateName": "orphan-",
			"ownerReferences": []any{map[string]any{
				"apiVersion": "v1", "kind": "ConfigMap", "name": "not-there", "uid": "00000000-0000-0000-0000-000000000000"}},
		},
	}}, metav1.CreateOptions{})
	must(t, err)
	within(t, "the garbage collector works", func(ctx context.Context) error {
		_, err := client.Get(ctx, orphan.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("the orphan is still there"), err)
	})
}
