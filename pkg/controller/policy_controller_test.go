package controller

import (
	"testing"

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
