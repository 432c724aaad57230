package controller

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
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
