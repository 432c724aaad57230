package decision

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/intstr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// PruneBudget is how many PediaClusters of a policy maxPrune allows to be removed, and how many of
// that its status says are used.
type PruneBudget struct {
	// Share is maxPrune: a number or a percentage.
	Share intstr.IntOrString
	// PediaClusters is how many of them the policy has.
	PediaClusters int
	// Recent is how many were removed within the last ten minutes, and Held how many removals
	// are held.
	Recent, Held int
}

// Most is how many PediaClusters may be removed within ten minutes.
func (b PruneBudget) Most() int {
	if b.Share.Type == intstr.Int {
		return b.Share.IntValue()
	}
	// The share is one of what there was before those went that went lately.
	most, err := intstr.GetScaledValueFromIntOrPercent(&b.Share, b.PediaClusters+b.Recent, false)
	if percent, _ := intstr.GetScaledValueFromIntOrPercent(&b.Share, 100, false); err != nil || percent == 0 {
		return 0
	}
	return max(1, most)
}

// HoldRemovals has the results of a preview say that removals would be held, in place, if
// together they exceed the budget. What a preview does not see of other Sources
// it cannot count.
func HoldRemovals(results []policyv1alpha1.RenderResult, budget PruneBudget) {
	removals := 0
	for i := range results {
		if results[i].Action == policyv1alpha1.RenderDelete {
			removals++
		}
	}
	if removals == 0 || budget.Held+removals+budget.Recent <= budget.Most() {
		return
	}
	for i := range results {
		if result := &results[i]; result.Action == policyv1alpha1.RenderDelete {
			result.Action, result.Reason = policyv1alpha1.RenderWait, policyv1alpha1.ReasonPruneHeld
			result.Message = fmt.Sprintf("%s; the removal would be held, since more PediaClusters would be removed together than maxPrune (%s) allows",
				result.Message, budget.Share.String())
		}
	}
}
