package controller

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	policylisters "github.com/clusterpedia-io/policy-apiserver/pkg/generated/listers/policy/v1alpha1"
)

func TestALookKnowsWhatTheLastOneHasWritten(t *testing.T) {
	of := func(version string, phase policyv1alpha1.LifecyclePhase) *policyv1alpha1.PediaClusterLifecycle {
		lifecycle := &policyv1alpha1.PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{Name: "mcp-a", UID: "lc", ResourceVersion: version}}
		lifecycle.Spec.Source = policyv1alpha1.DependentResource{Group: "cluster.mcp.io", Resource: "clusters", Name: "a"}
		lifecycle.Status.Phase = phase
		return lifecycle
	}
	const waiting, imported = policyv1alpha1.LifecycleWaiting, policyv1alpha1.LifecycleImported
	for name, test := range map[string]struct {
		then func(t *testing.T, s *lifecycleStore)
		want policyv1alpha1.LifecyclePhase
	}{
		"not seen yet": {func(*testing.T, *lifecycleStore) {}, waiting},
		"seen": {func(t *testing.T, s *lifecycleStore) {
			if err := s.indexer.Update(of("11", waiting)); err != nil {
				t.Error(err)
			}
		}, waiting},
		"written by somebody else": {func(t *testing.T, s *lifecycleStore) {
			if err := s.indexer.Update(of("12", "Else")); err != nil {
				t.Error(err)
			}
		}, "Else"},
		"gone": {func(_ *testing.T, s *lifecycleStore) { s.seenGone(of("10", imported)) }, imported},
	} {
		t.Run(name, func(t *testing.T) {
			indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{bySource: indexBySource})
			s := &lifecycleStore{indexer: indexer, lister: policylisters.NewPediaClusterLifecycleLister(indexer)}
			known := of("10", imported)
			if err := indexer.Add(known); err != nil {
				t.Fatal(err)
			}
			s.wrote(of("11", waiting))
			test.then(t, s)
			if got := s.ofSource(known.Spec.Source); len(got) != 1 || got[0].Status.Phase != test.want {
				t.Errorf("the lifecycle says %q, want %q", got[0].Status.Phase, test.want)
			}
		})
	}
}

func TestLifecyclesOfOnePolicyShareItsTemplates(t *testing.T) {
	lifecycle := func(policy, source, template string) *policyv1alpha1.PediaClusterLifecycle {
		return &policyv1alpha1.PediaClusterLifecycle{
			ObjectMeta: metav1.ObjectMeta{Name: source, OwnerReferences: []metav1.OwnerReference{
				{APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "ClusterImportPolicy", Name: policy, Controller: new(true)}}},
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
