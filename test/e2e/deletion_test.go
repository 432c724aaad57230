package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestRule4ADeletedSourceTakesItsImportAlong(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	p := shared.installPlatform(t, "uncollected")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")

	withoutControllerManager(t)
	p.deleteCluster(t, "one")
	p.waitUntilGone(t, "one")
}

func TestRule3APediaClusterThatWasThereFirstIsUpdatedButOutlivesTheSource(t *testing.T) {
	t.Parallel()
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

func TestAPediaClusterThatTheHostDoesNotDeleteIsTold(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "refused")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	p.waitForCondition(t, "one", policyv1alpha1.LifecycleCreated, metav1.ConditionTrue)
	p.apply(t, map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1",
		"kind":       "ValidatingAdmissionPolicy",
		"metadata":   map[string]any{"name": p.name},
		"spec": map[string]any{
			"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{
				"apiGroups": []any{pediaClusters.Group}, "apiVersions": []any{"*"}, "operations": []any{"DELETE"}, "resources": []any{"pediaclusters"}}}},
			"validations": []any{map[string]any{"expression": "!request.name.startsWith('" + p.name + "-')", "message": "frozen, token=s3cret"}},
		},
	})
	p.apply(t, map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1",
		"kind":       "ValidatingAdmissionPolicyBinding",
		"metadata":   map[string]any{"name": p.name},
		"spec":       map[string]any{"policyName": p.name, "validationActions": []any{"Deny"}},
	})
	eventually(t, "the host refuses", func() error {
		err := p.objects.Resource(pediaClusters).Delete(t.Context(), p.pediaClusterName("one"), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return errors.New("it would be deleted")
		}
		return mentions(err.Error(), "frozen")
	})

	p.deleteCluster(t, "one")
	eventually(t, "the lifecycle tells", func() error {
		lifecycle, err := p.lifecycle(t.Context(), "one")
		if err != nil {
			return err
		}
		ready := meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady)
		if lifecycle.Status.Phase != policyv1alpha1.LifecycleDeleting || ready == nil || ready.Reason != policyv1alpha1.ReasonHostUnavailable ||
			strings.Contains(ready.Message, "s3cret") {
			return fmt.Errorf("its status is %+v", lifecycle.Status)
		}
		return mentions(ready.Message, "removing the PediaCluster", "ValidatingAdmissionPolicy 'refused'")
	})
	_, err := p.pediaCluster(t.Context(), "one")
	must(t, err)

	p.kubectl(t, "delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", p.name)
	p.waitUntilGone(t, "one")
}

func TestRule4ADeletedPolicyTakesItsImportsAlong(t *testing.T) {
	t.Parallel()
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
