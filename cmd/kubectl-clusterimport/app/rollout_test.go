package app

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestProgressOfARollout(t *testing.T) {
	const generation = 3
	says := func(rolling, halted metav1.ConditionStatus, reason string, observed int64) []metav1.Condition {
		return []metav1.Condition{
			{Type: policyv1alpha1.PolicyRollingOut, Status: rolling, Reason: reason, Message: "2 of 9 imports", ObservedGeneration: observed},
			{Type: policyv1alpha1.PolicyRolloutHalted, Status: halted, Reason: reason, Message: "a failed", ObservedGeneration: observed},
		}
	}
	const yes, no = metav1.ConditionTrue, metav1.ConditionFalse
	cases := map[string]struct {
		conditions []metav1.Condition
		message    string
		done       bool
	}{
		"nothing is known yet":                  {nil, "waiting", false},
		"what is known is of an earlier edit":   {says(no, no, policyv1alpha1.ReasonRolledOut, 2), "waiting", false},
		"it goes on":                            {says(yes, no, policyv1alpha1.ReasonRollingOut, generation), "2 of 9 imports", false},
		"it is paused, and somebody resumes it": {says(no, no, policyv1alpha1.ReasonRolloutPaused, generation), "2 of 9 imports", false},
		"it is halted":                          {says(no, yes, policyv1alpha1.ReasonRolloutFailed, generation), "halted: a failed", true},
		"it is done":                            {says(no, no, policyv1alpha1.ReasonRolledOut, generation), "done", true},
	}
	for name, c := range cases {
		policy := &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mcp", Generation: generation}}
		policy.Spec.Rollout = &policyv1alpha1.Rollout{}
		policy.Status.Conditions = c.conditions
		message, done, err := progress(policy)
		if err != nil || done != c.done || !strings.Contains(message, c.message) {
			t.Errorf("%s: %q, done %t, %v", name, message, done, err)
		}
	}
	policy := &policyv1alpha1.ClusterImportPolicy{}
	if _, _, err := progress(policy); err == nil {
		t.Error("a policy without a rollout is followed")
	}
	policy.Spec.Rollout, policy.Spec.Suspend = &policyv1alpha1.Rollout{}, true
	if _, _, err := progress(policy); err == nil {
		t.Error("a suspended policy is followed")
	}
}
