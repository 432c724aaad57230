package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NewConditions are those of a policy or a lifecycle that was made at that time.
// Tools that know kstatus take an object without conditions for one that is ready.
func NewConditions(generation int64, made metav1.Time) []metav1.Condition {
	return []metav1.Condition{{
		Type: PolicyReady, Status: metav1.ConditionUnknown, ObservedGeneration: generation, LastTransitionTime: made,
		Reason: ReasonPending, Message: "the controllers have not reconciled it yet",
	}}
}
