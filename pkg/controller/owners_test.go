package controller

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
)

func policyNamed(name string, uid types.UID, resource string) *policyv1alpha1.ClusterImportPolicy {
	policy := &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid}}
	policy.Spec.Source.Group, policy.Spec.Source.Resource = "cluster.mcp.io", resource
	return policy
}

// brokenOwners are controller references of a lifecycle of the policy "mcp" that are
// not as they should be, all with its UID unless they say so.
var brokenOwners = map[string]func(*metav1.OwnerReference){
	"the name of another policy":             func(o *metav1.OwnerReference) { o.Name = "two" },
	"the name of a policy on another type":   func(o *metav1.OwnerReference) { o.Name = "elsewhere" },
	"a name that nobody has":                 func(o *metav1.OwnerReference) { o.Name = "gone" },
	"another kind":                           func(o *metav1.OwnerReference) { o.Kind = "X" },
	"another type":                           func(o *metav1.OwnerReference) { o.APIVersion, o.Kind = "v1", "ConfigMap" },
	"another version":                        func(o *metav1.OwnerReference) { o.APIVersion = "policy.clusterpedia.io/v9" },
	"no controller":                          func(o *metav1.OwnerReference) { o.Controller = new(bool) },
	"the UID of nobody":                      func(o *metav1.OwnerReference) { o.UID = "none" },
	"the UID of a policy on another type":    func(o *metav1.OwnerReference) { o.UID = "uid of elsewhere" },
	"the UID of nobody and a name of nobody": func(o *metav1.OwnerReference) { o.UID, o.Name = "none", "gone" },
}

func TestRightfulPolicy(t *testing.T) {
	one := policyNamed("mcp", "p", "clusters")
	policies := []*policyv1alpha1.ClusterImportPolicy{policyNamed("two", "uid of two", "clusters"), one, policyNamed("elsewhere", "uid of elsewhere", "others")}
	lifecycle := &lifecycles.Lifecycle{}
	lifecycle.Spec.Source = policyv1alpha1.DependentResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters", Name: "a"}

	lifecycle.OwnerReferences = []metav1.OwnerReference{controllerReference(one)}
	if policy, right := rightfulPolicy(lifecycle, policies); policy != one || !right {
		t.Errorf("as it should be: %v, %v", policy, right)
	}
	lifecycle.OwnerReferences[0].BlockOwnerDeletion = nil
	if policy, right := rightfulPolicy(lifecycle, policies); policy != one || !right {
		t.Errorf("as another release wrote it: %v, %v", policy, right)
	}
	for name, change := range brokenOwners {
		owner := controllerReference(one)
		change(&owner)
		lifecycle.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: "n"}, owner}
		policy, right := rightfulPolicy(lifecycle, policies)
		if want := owner.UID == one.UID; right || (policy == one) != want || !want && policy != nil {
			t.Errorf("%s: %v, %v", name, policy, right)
		}
	}
	lifecycle.OwnerReferences = nil
	if policy, right := rightfulPolicy(lifecycle, policies); policy != nil || right {
		t.Errorf("no owner: %v, %v", policy, right)
	}
}

// Whatever is stored as the owner of a lifecycle: its policy gets it back, or its
// PediaCluster is released. Nobody deletes it meanwhile.
func TestALifecycleWithABrokenOwnerIsRestoredOrReleased(t *testing.T) {
	for name, change := range brokenOwners {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			for _, other := range []*policyv1alpha1.ClusterImportPolicy{policyNamed("two", "uid of two", "clusters"), policyNamed("elsewhere", "uid of elsewhere", "others")} {
				if err := one.knownPolicies.Add(other); err != nil {
					t.Fatal(err)
				}
				one.policies.states[other.Name] = &policyState{policy: other}
			}
			var isRestored bool
			one.changeLifecycle(t, func(broken *lifecycles.Lifecycle) {
				change(&broken.OwnerReferences[0])
				isRestored = broken.OwnerReferences[0].UID == "p"
				if !isRestored { // as the host's garbage collector may do meanwhile
					broken.DeletionTimestamp = &metav1.Time{Time: time.Now()}
				}
			})
			for one.owners.Len() > 0 {
				name, _ := one.owners.Get()
				one.owners.Done(name)
			}
			if len(one.lifecyclesOf(one.Import)) > 0 {
				t.Error("its import works on it")
			}
			one.checkAllOwners()
			if one.owners.Len() != 1 {
				t.Fatalf("%d lifecycles are to be seen to", one.owners.Len())
			}
			if err := one.reconcileOwner(t.Context(), "mcp-a"); err != nil {
				t.Fatal(err)
			}

			pediaCluster := one.pediaCluster(t, "mcp-a")
			marked := pediaCluster.GetAnnotations()[policyv1alpha1.CreatedForAnnotation] != "" && len(pediaCluster.GetOwnerReferences()) == 1
			if marked != isRestored {
				t.Errorf("the PediaCluster is marked: %v", marked)
			}
			if !isRestored {
				if !one.isGone(t, "mcp-a") {
					t.Error("the lifecycle is left")
				}
				return
			}
			if len(one.lifecyclesOf(one.Import)) != 1 {
				t.Error("its import does not work on it before the informer shows it")
			}
			if stored := one.stored(t); !isControlledBy(stored, one.policies.state("mcp").policy) || len(stored.OwnerReferences) != 1 {
				t.Fatalf("its owners are %v", stored.OwnerReferences)
			}
			if _, waits := one.waits(); !waits {
				t.Error("its import does not hear of it")
			}
			if len(one.lifecyclesOf(one.Import)) != 1 {
				t.Error("its import does not work on it")
			}
		})
	}
}

func TestALifecycleOfAPolicyThatTheInformerHasNotSeenIsLeftAlone(t *testing.T) {
	one := newOneImport(t)
	if err := one.knownPolicies.Delete(one.policies.state("mcp").policy); err != nil {
		t.Fatal(err)
	}
	before := one.stored(t)
	if err := one.reconcileOwner(t.Context(), "mcp-a"); err != nil {
		t.Fatal(err)
	}
	if after := one.stored(t); after.DeletionTimestamp != nil || after.UID != before.UID {
		t.Errorf("it is %+v", after)
	}
	one.wantEndpoint(t, "https://old")
}

func TestALifecycleThatIsMadeIsCheckedWhenItIsSeen(t *testing.T) {
	one := newOneImport(t)
	lifecycle := one.stored(t).DeepCopy()
	one.lifecycleHandler().OnAdd(lifecycle, false)
	if one.owners.Len() != 0 {
		t.Error("one of a known policy is seen to")
	}
	lifecycle.OwnerReferences = nil
	one.lifecycleHandler().OnAdd(lifecycle, false)
	if one.owners.Len() != 1 {
		t.Error("one without an owner is not seen to")
	}
}

// However restless the name is, and however late the informer: at most two lifecycles of one
// Source are stored, and one that nobody sees does not stop the import for ever.
func TestNoThirdLifecycleIsCreated(t *testing.T) {
	one := newOneImport(t)
	named := func(name string) func(*policyState) {
		return func(s *policyState) { s.policy.Spec.NameTemplate = name }
	}
	stored := func() (names []string) {
		for _, name := range []string{"mcp-a", "mcp-b", "mcp-c"} {
			if !one.isGone(t, name) {
				names = append(names, name)
			}
		}
		return names
	}
	for _, name := range []string{"mcp-b", "mcp-c", "mcp-b", "mcp-c"} {
		one.changeState(t, named(name))
		one.pass(t)
		eventually(t, func() bool { return one.objects.Object(pediaClusters, "", "mcp-b") != nil })
		if got := stored(); !slices.Equal(got, []string{"mcp-a", "mcp-b"}) {
			t.Fatalf("after the name %s there are %v", name, got)
		}
	}
	if len(one.shown.List()) != 1 {
		t.Fatal("the informer has shown it")
	}
	one.syncOverlay(t, "mcp-b")
	one.again(t)
	if got := stored(); !slices.Equal(got, []string{"mcp-a", "mcp-b"}) {
		t.Errorf("when it is shown there are %v", got)
	}
}

// Two passes that began with the same lifecycles do not create one each.
func TestAPassThatKnowsTooFewLifecyclesCreatesNone(t *testing.T) {
	one := newOneImport(t)
	newAs := func(p *pass, name string) *convergence {
		return &convergence{pass: p, lifecycle: p.newLifecycle(name), uncreated: true}
	}
	late := newAs(one.newPass(), "mcp-c")
	if err := newAs(one.newPass(), "mcp-b").createLifecycle(t.Context(), decision.Status{}); err != nil {
		t.Fatal(err)
	}
	if err := late.createLifecycle(t.Context(), decision.Status{}); err == nil {
		t.Error("it creates a third one")
	}
	if !one.isGone(t, "mcp-c") {
		t.Error("there is a third one")
	}
	if err := newAs(one.newPass(), "mcp-c").createLifecycle(t.Context(), decision.Status{}); err != nil {
		t.Errorf("one that knows of the second: %v", err)
	}
}
