package deletion

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// WaitsFor is a sentence with what the conditions say of an object that is being
// deleted, and a blank. It is empty as long as they speak of the time before.
func WaitsFor(conditions []metav1.Condition) string {
	ready := meta.FindStatusCondition(conditions, policyv1alpha1.LifecycleReady)
	if ready == nil || ready.Status == metav1.ConditionTrue || ready.Message == "" {
		return ""
	}
	return fmt.Sprintf("Its status says %s: %s. ", ready.Reason, ready.Message)
}
