package integration

import (
	"strings"

	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// newPolicy returns a policy on a type of its own: two policies on one would be
// refused.
func newPolicy(name string) *policyv1alpha1.ClusterImportPolicy {
	return &policyv1alpha1.ClusterImportPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: policyv1alpha1.ClusterImportPolicySpec{
			Source:       policyv1alpha1.SourceType{Group: strings.Trim(name+".mcp.io", "."), Resource: "clusters"},
			NameTemplate: "mcp-{{ .source.metadata.name }}",
			Conversion: policyv1alpha1.Conversion{
				Template:          "spec:\n  apiserver: \"{{ .source.spec.apiEndpoint }}\"\n",
				CreationCondition: "true",
			},
		},
	}
}

func newLifecycle(name, policy, source string) *policyv1alpha1.PediaClusterLifecycle {
	return &policyv1alpha1.PediaClusterLifecycle{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: policyv1alpha1.SchemeGroupVersion.String(),
				Kind:       "ClusterImportPolicy", Name: policy, UID: "1", Controller: ptr.To(true),
			}},
		},
		Spec: policyv1alpha1.PediaClusterLifecycleSpec{
			Source:     policyv1alpha1.DependentResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters", Namespace: policy, Name: source},
			Conversion: newPolicy("").Spec.Conversion,
		},
	}
}

// createPolicy creates it as a user and removes it when the test ends.
func createPolicy(t *testing.T, policy *policyv1alpha1.ClusterImportPolicy) *policyv1alpha1.ClusterImportPolicy {
	t.Helper()
	created, err := asUser(t).ClusterImportPolicies().Create(t.Context(), policy, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removePolicy(t, created.Name) })
	return created
}

// createLifecycle creates it as the server and removes it when the test ends.
func createLifecycle(t *testing.T, lifecycle *policyv1alpha1.PediaClusterLifecycle) *policyv1alpha1.PediaClusterLifecycle {
	t.Helper()
	lifecycles := asServer(t).PediaClusterLifecycles()
	created, err := lifecycles.Create(t.Context(), lifecycle, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		tolerate(t, lifecycles.Delete(ctx, created.Name, metav1.DeleteOptions{}))
		_, err := lifecycles.Patch(ctx, created.Name, types.MergePatchType, withoutFinalizers, metav1.PatchOptions{})
		tolerate(t, err)
	})
	return created
}

var withoutFinalizers = []byte(`{"metadata":{"finalizers":null}}`)

func removePolicy(t *testing.T, name string) {
	t.Helper()
	ctx, policies := context.Background(), asServer(t).ClusterImportPolicies() // nobody else takes its finalizer off
	tolerate(t, policies.Delete(ctx, name, metav1.DeleteOptions{}))
	_, err := policies.Patch(ctx, name, types.MergePatchType, withoutFinalizers, metav1.PatchOptions{})
	tolerate(t, err)
}

// tolerate fails the test unless what was to be removed is gone or was there.
func tolerate(t *testing.T, err error) {
	t.Helper()
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}
