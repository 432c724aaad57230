package e2e

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestRule4ADeletedSourceTakesItsImportAlong(t *testing.T) {
	p := shared.installPlatform(t, "deleted")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	must(t, p.createCluster(t.Context(), "other", "secret", true))
	p.waitForToken(t, "one", "secret")
	p.waitForToken(t, "other", "secret")

	p.deleteCluster(t, "one")
	p.waitUntilGone(t, "one")
	p.waitForToken(t, "other", "secret")
}

func TestRule4ADeletedSourceTakesItsImportAlongWithoutAGarbageCollector(t *testing.T) {
	p := shared.installPlatform(t, "uncollected")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")

	withoutControllerManager(t)
	p.deleteCluster(t, "one")
	p.waitUntilGone(t, "one")
}

func TestRule3APediaClusterThatWasThereFirstIsUpdatedButOutlivesTheSource(t *testing.T) {
	p := shared.installPlatform(t, "existing")
	_, err := p.objects.Resource(pediaClusters).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": pediaClusters.GroupVersion().String(),
		"kind":       "PediaCluster",
		"metadata":   map[string]any{"name": "existing-one", "labels": map[string]any{"made-by": "hand"}},
		"spec":       map[string]any{"syncResources": []any{}},
	}}, metav1.CreateOptions{})
	must(t, err)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	p.waitForCondition(t, "one", policyv1alpha1.LifecycleCreated, metav1.ConditionTrue)

	p.deleteCluster(t, "one")
	p.waitUntilReleased(t, "one")
	cluster, err := p.pediaCluster(t.Context(), "one")
	must(t, err)
	if cluster.GetDeletionTimestamp() != nil || len(cluster.GetOwnerReferences()) > 0 {
		t.Errorf("it is deleted at %v, owned by %v", cluster.GetDeletionTimestamp(), cluster.GetOwnerReferences())
	}
	must(t, same("its label", cluster.GetLabels()["made-by"], "hand"))
}

func TestRule4ADeletedPolicyTakesItsImportsAlong(t *testing.T) {
	p := shared.installPlatform(t, "unwanted")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")

	shared.kubectl(t, "delete", "clusterimportpolicy", p.name, "--timeout=60s")
	p.waitUntilGone(t, "one")
}

// withoutControllerManager runs the rest of the test without a garbage collector.
func withoutControllerManager(t *testing.T) {
	t.Helper()
	must(t, shared.StopControllerManager(t.Context()))
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := shared.StartControllerManager(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
