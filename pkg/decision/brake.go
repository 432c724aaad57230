package decision

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/intstr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Limit is what maxPrune lets be removed of a policy, as its status tells it.
type Limit struct {
	// Share is maxPrune: a number or a percentage.
	Share intstr.IntOrString
	// PediaClusters is how many of them the policy has.
	PediaClusters int
	// Recent is how many were removed within the last ten minutes, and Held how many removals
	// are held.
	Recent, Held int
}

// Most is how many PediaClusters may be removed within ten minutes.
func (l Limit) Most() int {
	if l.Share.Type == intstr.Int {
		return l.Share.IntValue()
	}
	// The share is one of what there was before those went that went lately.
	most, err := intstr.GetScaledValueFromIntOrPercent(&l.Share, l.PediaClusters+l.Recent, false)
	if percent, _ := intstr.GetScaledValueFromIntOrPercent(&l.Share, 100, false); err != nil || percent == 0 {
		return 0
	}
	return max(1, most)
}

// HoldRemovals has the results of a preview say that removals would be held, in place, if
// together they are more than the limit allows. What a preview does not see of other Sources
// it cannot count.
func HoldRemovals(results []policyv1alpha1.RenderResult, limit Limit) {
	removals := 0
	for i := range results {
		if results[i].Action == policyv1alpha1.RenderDelete {
			removals++
		}
	}
	if removals == 0 || limit.Held+removals+limit.Recent <= limit.Most() {
		return
	}
	for i := range results {
		if result := &results[i]; result.Action == policyv1alpha1.RenderDelete {
			result.Action, result.Reason = policyv1alpha1.RenderWait, policyv1alpha1.ReasonPruneHeld
			result.Message = fmt.Sprintf("%s; the removal would be held, since more PediaClusters would be removed together than maxPrune (%s) allows",
				result.Message, limit.Share.String())
		}
	}
}
