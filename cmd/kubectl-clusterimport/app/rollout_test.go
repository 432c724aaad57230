package app

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
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

func TestTheOutlineOfAnEdit(t *testing.T) {
	newest := decision.NewPreview(&policyv1alpha1.ClusterImportPolicySpec{Conversion: policyv1alpha1.Conversion{Template: "new"}})
	lifecycle := func(name, template string, change func(*decision.Lifecycle)) *decision.Lifecycle {
		l := &decision.Lifecycle{ObjectMeta: metav1.ObjectMeta{Name: name}}
		l.Spec.Template = template
		if change != nil {
			change(l)
		}
		return l
	}
	failed := func(l *decision.Lifecycle) {
		l.Status.Rollout = &decision.Record{Revision: newest.Hash, State: policyv1alpha1.RolloutFailed, Message: "refused"}
	}
	created := func(l *decision.Lifecycle) {
		l.Status.Conditions = []metav1.Condition{{Type: policyv1alpha1.LifecycleCreated, Status: metav1.ConditionTrue}}
	}
	answers := func(ready string) func(*decision.Lifecycle) {
		return func(l *decision.Lifecycle) {
			created(l)
			l.Status.Cluster = &policyv1alpha1.ClusterState{Ready: ready}
		}
	}
	paused := func(l *decision.Lifecycle) {
		l.Annotations = map[string]string{policyv1alpha1.PausedAnnotation: "true"}
	}
	first := &policyv1alpha1.LabelSelector{}
	for name, test := range map[string]struct {
		rollout    policyv1alpha1.Rollout
		lifecycles []*decision.Lifecycle
		canaries   int // the first of them
		want       string
	}{
		"steps":               {policyv1alpha1.Rollout{First: first}, []*decision.Lifecycle{lifecycle("a", "", nil), lifecycle("b", "", nil)}, 1, "in 2 steps, first to a"},
		"nothing to roll out": {policyv1alpha1.Rollout{First: first}, []*decision.Lifecycle{lifecycle("a", "new", nil)}, 0, "nothing is left"},
		"a fleet of none":     {policyv1alpha1.Rollout{First: first}, nil, 0, "nothing is left"},
		"no canary":           {policyv1alpha1.Rollout{First: first}, []*decision.Lifecycle{lifecycle("a", "", nil)}, 0, "it halts (NoCanaries): spec.rollout.first selects no Source"},
		"a canary that waits": {policyv1alpha1.Rollout{First: first}, []*decision.Lifecycle{lifecycle("a", "", paused), lifecycle("b", "", nil)}, 1, "(NoCanaries): none of the imports"},
		"nobody tells":        {policyv1alpha1.Rollout{Verify: policyv1alpha1.VerifyClusterReady}, []*decision.Lifecycle{lifecycle("a", "", created)}, 0, "(ReadinessUnknown)"},
		"dead canaries": {policyv1alpha1.Rollout{First: first, Verify: policyv1alpha1.VerifyClusterReady},
			[]*decision.Lifecycle{lifecycle("a", "", answers("False")), lifecycle("b", "", answers("True"))}, 1, "first to a; the cluster of no canary is known to be ready"},
		"the edit that failed": {policyv1alpha1.Rollout{}, []*decision.Lifecycle{lifecycle("a", "", nil), lifecycle("b", "new", failed)}, 0, "(RolloutFailed): imports failed"},
		"a rollout is paused":  {policyv1alpha1.Rollout{Paused: true}, []*decision.Lifecycle{lifecycle("a", "", nil)}, 0, "paused is true"},
	} {
		policyv1alpha1.SetDefaults_Rollout(&test.rollout)
		r := decision.Rollout{Policy: "mcp", Spec: &test.rollout, Revision: newest.Hash, Now: time.Now()}
		var members []decision.Member
		for i, l := range test.lifecycles {
			members = append(members, newest.Member(l, i < test.canaries))
		}
		if got := outline(r, members); !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
