package decision

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestHowManyMayBeRemoved(t *testing.T) {
	for _, test := range []struct {
		share         string
		pediaClusters int
		recent        int
		want          int
	}{
		{"10%", 200, 0, 20}, {"10%", 1000, 0, 100}, {"10%", 19, 0, 1}, {"10%", 5, 0, 1}, {"10%", 3, 0, 1}, {"10%", 0, 0, 1}, {"10%", 190, 10, 20}, {"0%", 200, 0, 0},
		{"0", 200, 0, 0}, {"7", 200, 0, 7}, {"7", 3, 90, 7}, {"100%", 3, 0, 3}, {"100%", 7, 0, 7}, {"nonsense", 200, 0, 0},
	} {
		budget := PruneBudget{Share: intstr.Parse(test.share), PediaClusters: test.pediaClusters, Recent: test.recent}
		if got := budget.Most(); got != test.want {
			t.Errorf("%s of %d and %d: %d, want %d", test.share, test.pediaClusters, test.recent, got, test.want)
		}
	}
}

func TestAPreviewSaysWhichRemovalsWouldBeHeld(t *testing.T) {
	for _, test := range []struct {
		name string
		PruneBudget
		removals int
		held     bool
	}{
		{"within the budget", PruneBudget{Share: intstr.FromInt32(2), PediaClusters: 10}, 2, false},
		{"above it", PruneBudget{Share: intstr.FromInt32(2), PediaClusters: 10}, 3, true},
		{"with those that went", PruneBudget{Share: intstr.FromInt32(2), PediaClusters: 10, Recent: 1}, 2, true},
		{"with those that are held", PruneBudget{Share: intstr.FromInt32(2), PediaClusters: 10, Held: 2}, 1, true},
		{"none may go", PruneBudget{PediaClusters: 10}, 1, true},
		{"none is to go", PruneBudget{Held: 5}, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			results := []policyv1alpha1.RenderResult{{Action: policyv1alpha1.RenderUpdate}}
			for range test.removals {
				results = append(results, policyv1alpha1.RenderResult{Action: policyv1alpha1.RenderDelete,
					Reason: policyv1alpha1.ReasonSourceDeselected, Message: "not selected"})
			}
			HoldRemovals(results, test.PruneBudget)
			for i, result := range results {
				switch held := result.Action == policyv1alpha1.RenderWait && result.Reason == policyv1alpha1.ReasonPruneHeld; {
				case i == 0 && result.Action != policyv1alpha1.RenderUpdate:
					t.Errorf("what is no removal is %s", result.Action)
				case i > 0 && (held != test.held || !strings.HasPrefix(result.Message, "not selected")):
					t.Errorf("%s, %s: %s", result.Action, result.Reason, result.Message)
				}
			}
		})
	}
}
