package deletion

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhatADeletionWaitsForIsSaidAsFarAsStatusTells(t *testing.T) {
	condition := func(conditionType string, status metav1.ConditionStatus, message string) []metav1.Condition {
		return []metav1.Condition{{Type: conditionType, Status: status, Reason: "SourceGone", Message: message}}
	}
	for name, test := range map[string]struct {
		conditions []metav1.Condition
		want       string
	}{
		"a new object":          {nil, ""},
		"before the deletion":   {condition("Ready", metav1.ConditionTrue, "the PediaCluster is up to date"), ""},
		"another condition":     {condition("Created", metav1.ConditionFalse, "no PediaCluster"), ""},
		"without a message":     {condition("Ready", metav1.ConditionFalse, ""), ""},
		"a deletion that waits": {condition("Ready", metav1.ConditionFalse, "waiting for it"), "Its status says SourceGone: waiting for it. "},
		"one that is not known": {condition("Ready", metav1.ConditionUnknown, "nobody knows"), "Its status says SourceGone: nobody knows. "},
	} {
		if got := WaitsFor(test.conditions); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
