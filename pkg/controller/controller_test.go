package controller

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestLifecyclesOfOnePolicyShareItsTemplates(t *testing.T) {
	lifecycle := func(policy, source, template string) *policyv1alpha1.PediaClusterLifecycle {
		return &policyv1alpha1.PediaClusterLifecycle{
			ObjectMeta: metav1.ObjectMeta{Name: source, OwnerReferences: []metav1.OwnerReference{
				{Kind: "ClusterImportPolicy", Name: policy, Controller: new(true)}}},
			Spec: policyv1alpha1.PediaClusterLifecycleSpec{
				Source: policyv1alpha1.DependentResource{Resource: "clusters", Name: source},
				// A string of its own, as decoding makes them.
				Conversion: policyv1alpha1.Conversion{Template: string([]byte(template))},
			},
		}
	}
	transform := lean()
	kept := func(object *policyv1alpha1.PediaClusterLifecycle) *policyv1alpha1.PediaClusterLifecycle {
		t.Helper()
		want := object.DeepCopy()
		object.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "policy-apiserver"}}
		got, err := transform(object)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		return got.(*policyv1alpha1.PediaClusterLifecycle)
	}
	template := func(object *policyv1alpha1.PediaClusterLifecycle) *byte {
		return unsafe.StringData(object.Spec.Template)
	}

	first := template(kept(lifecycle("mcp", "one", "spec: {}")))
	if template(kept(lifecycle("mcp", "two", "spec: {}"))) != first {
		t.Error("the second has a template of its own")
	}
	edited := template(kept(lifecycle("mcp", "one", "spec: {a: b}")))
	if template(kept(lifecycle("mcp", "two", "spec: {a: b}"))) != edited {
		t.Error("after an edit the second has a template of its own")
	}
}
