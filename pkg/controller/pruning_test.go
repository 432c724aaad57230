package controller

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// The numbers in the message never contradict each other, and agree with their nouns.
func TestTheMessageOfWhatIsHeld(t *testing.T) {
	went := func(counts ...int32) (recent []policyv1alpha1.PruneCount) {
		for _, count := range counts {
			recent = append(recent, policyv1alpha1.PruneCount{Time: metav1.Now(), Count: count})
		}
		return recent
	}
	for want, prune := range map[string]pruning{
		"the removals of 50 PediaClusters are held, which is more than maxPrune (10%, which is 20 now)": {held: 50, share: "10%", most: 20},
		"the removal of 1 PediaCluster is held, which is more than maxPrune (0)":                        {held: 1, share: "0", most: 0},
		"the removals of 2 PediaClusters are held, which is more than maxPrune (0%, which is 0 now)":    {held: 2, share: "0%", most: 0, recent: went(3)},
		"the removal of 1 PediaCluster is held: with the 2 that went within 10 minutes it would be more than maxPrune (2)": {
			held: 1, share: "2", most: 2, recent: went(1, 1)},
		"the removal of 1 PediaCluster is held: more than maxPrune (10%, which is 1 now) were to go at once, and what is held stays held until it is released or its cause ends": {
			held: 1, share: "10%", most: 1},
	} {
		if diff := cmp.Diff(want, prune.describe()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		prune.plan = "0123456789abcdef"
		message := prune.conditions(mcpState().policy)[0].Message
		if !strings.HasPrefix(message, want+". ") || !strings.HasSuffix(message, "kubectl annotate clusterimportpolicy mcp policy.clusterpedia.io/release-prune=0123456789abcdef") {
			t.Errorf("the condition says: %s", message)
		}
	}
}
