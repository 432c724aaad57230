package controller

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/rights"
)

func TestImportsAreWorkedOnAgainWhenTheirPolicyMeansSomethingElse(t *testing.T) {
	state := func(change func(*policyState)) *policyState {
		s := mcpState()
		change(s)
		return s
	}
	unserved := &problem{reason: policyv1alpha1.ReasonSourceTypeNotServed, message: "clusters", lasting: true}
	same := func(*policyState) {}
	tests := []struct {
		name   string
		before *policyState
		now    *policyState
		want   bool
	}{
		{"at first sight", nil, mcpState(), true},
		{"not when nothing has changed", mcpState(), mcpState(), false},
		{"not when only the status has", mcpState(), state(func(s *policyState) { s.policy.ResourceVersion = "8" }), false},
		{"for another spec", mcpState(), state(func(s *policyState) { s.policy.Generation++ }), true},
		{"for another policy of the name", mcpState(), state(func(s *policyState) { s.policy.UID = "other" }), true},
		{"when a problem comes", mcpState(), state(func(s *policyState) { s.problem = unserved }), true},
		{"not while it stays", state(func(s *policyState) { s.problem = unserved }), state(func(s *policyState) {
			copied := *unserved
			s.problem = &copied
		}), false},
		{"when it goes", state(func(s *policyState) { s.problem = unserved }), state(same), true},
		{"when other objects are watched", state(func(s *policyState) { s.source.Resource = "clusters" }), state(func(s *policyState) {
			s.source.Resource, s.sources = "clusters", hostobjects.Kind{LabelSelector: "import=yes"}
		}), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := concernsImports(test.before, test.now); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestOnlyFiguresMayLag(t *testing.T) {
	stored := policyv1alpha1.ClusterImportPolicyStatus{
		ObservedGeneration: 2,
		Counts:             policyv1alpha1.ImportCounts{Selected: 5},
		Conditions:         []metav1.Condition{{Type: policyv1alpha1.PolicyReady, Status: metav1.ConditionTrue, Message: "5 of 5"}},
	}
	for name, test := range map[string]struct {
		change func(*policyv1alpha1.ClusterImportPolicyStatus)
		want   bool
	}{
		"counts": {func(s *policyv1alpha1.ClusterImportPolicyStatus) { s.Counts.Created = 3 }, true},
		"failures": {func(s *policyv1alpha1.ClusterImportPolicyStatus) {
			s.Failures = []policyv1alpha1.SourceFailure{{Name: "a"}}
		}, true},
		"a message": {func(s *policyv1alpha1.ClusterImportPolicyStatus) { s.Conditions[0].Message = "4 of 5" }, true},
		"a reason":  {func(s *policyv1alpha1.ClusterImportPolicyStatus) { s.Conditions[0].Reason = "Failures" }, false},
		"the spec":  {func(s *policyv1alpha1.ClusterImportPolicyStatus) { s.ObservedGeneration = 3 }, false},
		"what is held": {func(s *policyv1alpha1.ClusterImportPolicyStatus) {
			s.Prune = &policyv1alpha1.PruneStatus{Plan: "x", Held: 3}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			now := *stored.DeepCopy()
			test.change(&now)
			if got := sameButFigures(stored, now); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

var (
	sourcesV1  = hostobjects.Kind{GroupVersionResource: schema.GroupVersionResource{Group: "x.io", Version: "v1", Resource: "clusters"}, Definition: "uid"}
	sourcesV2  = hostobjects.Kind{GroupVersionResource: schema.GroupVersionResource{Group: "x.io", Version: "v2", Resource: "clusters"}, Definition: "uid"}
	secretKind = hostobjects.Kind{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, MetadataOnly: true}
)

func typeOf(kind hostobjects.Kind) servedtypes.Type {
	return servedtypes.Type{GroupVersionResource: kind.GroupVersionResource, Namespaced: true, Definition: kind.Definition}
}

// watchingState is a policy in step on version v1 that reads Secrets.
func watchingState(change ...func(*policyState)) *policyState {
	return mcpState(append([]func(*policyState){func(s *policyState) {
		s.pediaClusters, s.source, s.sources = true, typeOf(sourcesV1), sourcesV1
		s.references = []referenceType{{Type: typeOf(secretKind), kind: secretKind}}
	}}, change...)...)
}

func TestWhatCannotBeListedAndWatchedIsToldWithItsCause(t *testing.T) {
	type status struct {
		unsynced bool
		failure  error
	}
	down := errors.New("down")
	lacking := &rights.Error{Resource: schema.GroupResource{Group: "x.io", Resource: strings.Repeat("r", 63)}, Verbs: []string{"get", "list", "watch"}}
	next := func(s *policyState) { s.next = ptr.To(sourcesV2) }
	for _, test := range []struct {
		name            string
		state           *policyState
		of              map[hostobjects.Kind]status
		problem, outage *problem
	}{
		{"all is known", watchingState(), nil, nil, nil},
		{"Sources are being listed", watchingState(), map[hostobjects.Kind]status{sourcesV1: {unsynced: true}},
			&problem{reason: policyv1alpha1.ReasonSourcesUnavailable, message: "listing clusters.x.io", passing: true}, nil},
		{"Sources could not be listed yet", watchingState(), map[hostobjects.Kind]status{sourcesV1: {true, down}},
			&problem{reason: policyv1alpha1.ReasonSourcesUnavailable, message: "listing clusters.x.io: down"}, nil},
		{"Sources can no longer be watched", watchingState(), map[hostobjects.Kind]status{sourcesV1: {false, down}}, nil,
			&problem{reason: policyv1alpha1.ReasonSourcesUnavailable,
				message: "listing and watching clusters.x.io: down; their last known state is used"}},
		{"nor can References", watchingState(), map[hostobjects.Kind]status{secretKind: {false, down}}, nil,
			&problem{reason: policyv1alpha1.ReasonReferencesUnavailable,
				message: "listing and watching secrets: down; their changes are not observed"}},
		{"nor can PediaClusters", watchingState(), map[hostobjects.Kind]status{pediaClusters: {false, down}}, nil,
			&problem{reason: policyv1alpha1.ReasonHostUnavailable,
				message: "listing and watching pediaclusters.cluster.clusterpedia.io: down; their changes are not observed"}},
		{"PediaClusters could not be listed yet", watchingState(), map[hostobjects.Kind]status{pediaClusters: {true, down}},
			&problem{reason: policyv1alpha1.ReasonHostUnavailable, message: "listing pediaclusters.cluster.clusterpedia.io: down"}, nil},
		{"what will pass is not told before what will not", watchingState(), map[hostobjects.Kind]status{pediaClusters: {unsynced: true}, sourcesV1: {true, down}},
			&problem{reason: policyv1alpha1.ReasonSourcesUnavailable, message: "listing clusters.x.io: down"}, nil},
		{"this server may not read Sources", watchingState(), map[hostobjects.Kind]status{sourcesV1: {true, lacking}},
			&problem{reason: policyv1alpha1.ReasonSourcesUnavailable, message: lacking.Error()}, nil},
		{"this server may no longer read References", watchingState(), map[hostobjects.Kind]status{secretKind: {false, lacking}}, nil,
			&problem{reason: policyv1alpha1.ReasonReferencesUnavailable, message: lacking.Error()}},
		{"another version is being listed", watchingState(next), map[hostobjects.Kind]status{sourcesV1: {false, down}, sourcesV2: {unsynced: true}}, nil, nil},
		{"another version cannot be listed", watchingState(next), map[hostobjects.Kind]status{
			sourcesV1: {false, errors.New("not served")}, sourcesV2: {true, down}}, nil,
			&problem{reason: policyv1alpha1.ReasonSourcesUnavailable, message: "listing clusters.x.io in version v2, " +
				"which the host serves instead of v1: down; the last known state of the Sources is used"}},
		{"what keeps the imports from being worked on is kept beside the rest", watchingState(),
			map[hostobjects.Kind]status{sourcesV1: {false, down}, secretKind: {true, down}},
			&problem{reason: policyv1alpha1.ReasonReferencesUnavailable, message: "listing secrets: down"},
			&problem{reason: policyv1alpha1.ReasonSourcesUnavailable,
				message: "listing and watching clusters.x.io: down; their last known state is used"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.state.examine(func(kind hostobjects.Kind) (bool, error) {
				return !test.of[kind].unsynced, test.of[kind].failure
			})
			if !test.state.problem.equal(test.problem) {
				t.Errorf("the problem is %+v, want %+v", test.state.problem, test.problem)
			}
			if !test.state.outage.equal(test.outage) {
				t.Errorf("the outage is %+v, want %+v", test.state.outage, test.outage)
			}
			want := cmp.Or(test.problem, test.outage)
			if !test.state.reason().equal(want) {
				t.Errorf("it shows %+v, want %+v", test.state.reason(), want)
			}
		})
	}
}

func TestAProblemThatDoesNotPassIsShown(t *testing.T) {
	passing := func(message string) func(*policyState) {
		return func(s *policyState) { s.problem = &problem{message: message, passing: true} }
	}
	began := time.Unix(1000, 0)
	check := func(before *policyState, seconds int, change ...func(*policyState)) (*policyState, time.Duration) {
		state := mcpState(change...)
		return state, state.limitPassing(before, began.Add(time.Duration(seconds)*time.Second))
	}
	first, again := check(mcpState(), 0, passing("it is not known yet what is served"))
	if again != problemPatience || !first.problem.passing {
		t.Errorf("at first it is looked at again after %s, and passing is %t", again, first.problem.passing)
	}
	second, again := check(first, 10, passing("they are being listed"))
	if again != problemPatience-10*time.Second || !second.problem.passing {
		t.Errorf("then it is looked at again after %s, and passing is %t", again, second.problem.passing)
	}
	third, again := check(second, 15, passing("they are being listed"))
	if again != 0 || third.problem.passing {
		t.Errorf("after 15 seconds it is looked at again after %s, and passing is %t", again, third.problem.passing)
	}
	if fourth, _ := check(third, 16, passing("they are being listed")); fourth.problem.passing {
		t.Error("a second later it is no longer shown")
	}
	fine, _ := check(third, 17)
	if next, again := check(fine, 18, passing("they are being listed")); again != problemPatience || !next.problem.passing {
		t.Error("another problem is shown at once")
	}
}

func TestSourcesInAnotherVersionAreTheSame(t *testing.T) {
	version := func(kind hostobjects.Kind) func(*policyState) {
		return func(s *policyState) { s.source = typeOf(kind) }
	}
	for _, test := range []struct {
		name   string
		before *policyState
		want   bool
	}{
		{"at first sight", nil, false},
		{"in the same version", watchingState(version(sourcesV2)), false},
		{"in another one", watchingState(), true},
		{"of another definition", watchingState(func(s *policyState) { s.source.Definition = "other" }), false},
		{"of an edited policy", watchingState(func(s *policyState) { s.policy.Generation++ }), false},
		{"of another policy of the name", watchingState(func(s *policyState) { s.policy.UID = "other" }), false},
		{"of a type that was not served", mcpState(), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := watchingState(version(sourcesV2)).isOtherVersionOf(test.before); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestAPolicyThatIsGoneIsForgotten(t *testing.T) {
	one := newOneImport(t)
	secret := memory.Object{GroupResource: schema.GroupResource{Resource: "secrets"}, Name: "a"}
	one.memory.AddRead(one.Import, secret)
	one.brake.Ask(brake.Removal{Import: one.Import, PediaCluster: "pc", Cause: policyv1alpha1.ReasonSourceDeselected}, true)
	sources := one.policies.state("mcp").sources
	if err := one.knownPolicies.Delete(policyNamed("mcp", "p", "clusters")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // once more changes nothing
		if err := one.policies.reconcile(t.Context(), "mcp"); err != nil {
			t.Fatal(err)
		}
	}
	if one.policies.state("mcp") != nil || one.brake.Holds(one.Import) || len(one.policies.summaries.counts()) > 0 {
		t.Error("it is remembered")
	}
	if synced, _ := one.objects.Status(sources); synced {
		t.Error("its Sources are watched")
	}
	one.wantEnqueued(t, "its imports", "mcp/a, single")
	if one.owners.Len() != 1 {
		t.Error("its lifecycles are not seen to")
	}
}

func TestAPolicyThatIsMadeAnewIsAnotherOne(t *testing.T) {
	r := run(t)
	r.has("mcp-a https://a/one", "mcp-b https://b/one", "mcp-c https://c/one")
	// It was deleted and made again while nobody saw it.
	r.changePolicy(func(p *policyv1alpha1.ClusterImportPolicy) { p.UID = "another"; p.Spec.Suspend = true })
	eventually(t, func() bool { // its lifecycles were another's, and are released
		list, _ := r.storage.List(t.Context(), metav1.ListOptions{})
		return len(list.(*policyv1alpha1.PediaClusterLifecycleList).Items) == 0
	})
	r.has("mcp-a https://a/one", "mcp-b https://b/one", "mcp-c https://c/one")
}

// Only storage knows that no lifecycle of a policy is left: the informer may lag behind one that
// was just made.
func TestAPolicyGoesAfterItsLastLifecycle(t *testing.T) {
	one := newOneImport(t)
	going := one.policies.state("mcp").policy.DeepCopy()
	going.Finalizers = []string{policyv1alpha1.Finalizer, "example.com/mine"}
	if _, err := one.policies.client.Update(t.Context(), going, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := one.policies.finalize(t.Context(), going); err == nil {
		t.Error("it goes before its lifecycles")
	}
	one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { isDeletedByHand(l); l.Finalizers = nil })
	if err := one.policies.finalize(t.Context(), going); err != nil {
		t.Error(err)
	}
	stored, err := one.policies.client.Get(t.Context(), "mcp", metav1.GetOptions{})
	if err != nil || !slices.Equal(stored.Finalizers, []string{"example.com/mine"}) {
		t.Errorf("its finalizers are %v, %v", stored.Finalizers, err)
	}
	if err := one.policies.client.Delete(t.Context(), "mcp", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := one.policies.finalize(t.Context(), going); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}

func TestWhatIsWrongWithAPolicyIsAProblemThatLasts(t *testing.T) {
	notServed := &servedtypes.NotServedError{Resource: mcpClusters.GroupResource()}
	for name, test := range map[string]struct {
		problem func(*policyState) *problem
		reason  string
		lasting bool
		passing bool
	}{
		"a template that does not compile": {func(s *policyState) *problem { s.policy.Spec.Template = "{{"; return s.compile() }, policyv1alpha1.ReasonTemplateFailed, true, false},
		"a label selector that is none": {func(s *policyState) *problem {
			s.policy.Spec.Source.LabelSelector = &policyv1alpha1.LabelSelector{MatchExpressions: []policyv1alpha1.LabelSelectorRequirement{{Key: "a", Operator: "Maybe"}}}
			return s.compile()
		}, policyv1alpha1.ReasonTemplateFailed, true, false},
		"nothing": {func(s *policyState) *problem {
			s.policy.Spec.Source.LabelSelector = &policyv1alpha1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
			return s.compile()
		}, "", false, false},
		"a type that is not served":    {func(*policyState) *problem { return typeProblem("NotServed", "Unavailable", notServed) }, "NotServed", true, false},
		"a host that has not answered": {func(*policyState) *problem { return typeProblem("NotServed", "Unavailable", servedtypes.ErrUnknown) }, "Unavailable", false, true},
		"a group that does not answer": {func(*policyState) *problem { return typeProblem("NotServed", "Unavailable", errHost) }, "Unavailable", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			state := stateOfOne(t, 1, "https://old")
			got := test.problem(state)
			if (got == nil) != (test.reason == "") || got != nil && (got.reason != test.reason || got.lasting != test.lasting || got.passing != test.passing || got.message == "") {
				t.Errorf("it is %+v", got)
			}
			if got == nil && state.selector.String() != "a=b" {
				t.Errorf("the selector is %s", state.selector)
			}
		})
	}
}

// A policy whose types are not served waits for them, and says so.
func TestAPolicyWaitsForItsTypes(t *testing.T) {
	for name, change := range map[string]func(*policyv1alpha1.ClusterImportPolicy){
		policyv1alpha1.ReasonReferenceTypeNotServed: func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.References[0].Resource = "nowhere" },
		policyv1alpha1.ReasonSourceTypeNotServed:    func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.Source.Versions = []string{"v9"} },
		policyv1alpha1.ReasonTemplateFailed:         func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.Template = "{{" },
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t)
			r.has("mcp-a https://a/one", "mcp-b https://b/one", "mcp-c https://c/one")
			r.changePolicy(change)
			r.says(func(s policyv1alpha1.ClusterImportPolicyStatus) bool {
				validated := meta.FindStatusCondition(s.Conditions, policyv1alpha1.PolicyValidated)
				return validated.Status == metav1.ConditionFalse && validated.Reason == name
			})
			r.has("mcp-a https://a/one", "mcp-b https://b/one", "mcp-c https://c/one")
		})
	}
}
