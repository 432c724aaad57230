package controller

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/json"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
)

// pruning is what a policy's status says of removals that count.
type pruning struct {
	plan   string
	held   int
	recent []policyv1alpha1.PruneCount
	// share and most are maxPrune and how many PediaClusters that is.
	share string
	most  int
}

// conclude decides about the removals of a policy and writes its status. What was
// decided takes effect when it is written: another leader has to know how many
// went.
func (c *policyController) conclude(ctx context.Context, state *policyState) error {
	policy := state.policy
	now := metav1.Now()
	prune := knownPruning(policy, now.Time)
	if policy.Spec.Suspend {
		c.brake.Revoke(policy.Name)
	}
	// The share is one of what there was before those went that went lately.
	owned, settled := c.tally.settled(policy.Name)
	gone := max(0, sum(prune.recent)-c.brake.Pending(policy.Name))
	prune.most = mostPruned(*policy.Spec.MaxPrune, owned+gone)
	if !settled || state.problem != nil || policy.Spec.Suspend || policy.DeletionTimestamp != nil {
		_, err := c.updateStatus(ctx, state, prune)
		return err
	}

	release, releasing := policy.Annotations[policyv1alpha1.ReleasePruneAnnotation]
	decision := c.brake.Decide(policy.Name, brake.Limit{
		Most: prune.most, Recent: sum(prune.recent), Holding: prune.held > 0}, release)
	// What is held may be told before it is written: that deletes nothing.
	for _, i := range decision.Concerned {
		c.enqueueImport(i)
	}
	// Until it is decided, what another process held last is held.
	if decision.Wait == 0 {
		prune.plan, prune.held = decision.Plan, decision.Held
	}
	prune.recent = counted(prune.recent, len(decision.Counted), now)
	// The counts are those of after the decision, in the same write: the lifecycles
	// say so one after the other.
	c.tally.turn(decision.Concerned, policyv1alpha1.LifecycleHeld)
	c.tally.turn(importsOf(decision.Released), policyv1alpha1.LifecycleDeleting)
	stored, err := c.updateStatus(ctx, state, prune)
	if err != nil || !stored {
		c.tally.turn(importsOf(decision.Released), policyv1alpha1.LifecycleHeld)
		return err
	}
	c.announcer.pruneHeld(policy, prune)
	for _, approved := range [][]brake.Removal{decision.Counted, decision.Released} {
		c.brake.Approve(approved)
		for _, r := range approved {
			c.enqueueImport(r.Import)
		}
	}
	if len(decision.Released) > 0 {
		c.events.Eventf(policy, nil, corev1.EventTypeNormal, "PruneReleased", "Prune", "%d removals are released, by plan %s",
			len(decision.Released), release)
		c.queue.AddAfter(policy.Name, brake.Quiet)
	}
	if decision.Wait > 0 {
		c.queue.AddAfter(policy.Name, decision.Wait)
		return nil
	}
	if releasing {
		if len(decision.Released) == 0 {
			c.events.Eventf(policy, nil, corev1.EventTypeWarning, "PruneReleaseStale", "Prune",
				"what is held is no longer plan %s: look at status.prune and decide anew", release)
		}
		return c.removeRelease(ctx, policy)
	}
	return nil
}

// knownPruning is what the status of the policy says.
func knownPruning(policy *policyv1alpha1.ClusterImportPolicy, now time.Time) pruning {
	prune := pruning{share: policy.Spec.MaxPrune.String()}
	if known := policy.Status.Prune; known != nil {
		prune.plan, prune.held, prune.recent = known.Plan, int(known.Held), recentOnly(known.Recent, now)
	}
	return prune
}

// importsOf are the imports of these removals.
func importsOf(removals []brake.Removal) (imports []index.Import) {
	for _, r := range removals {
		imports = append(imports, r.Import)
	}
	return imports
}

// removeRelease takes the annotation away that has been acted upon, or names no
// plan there is.
func (c *policyController) removeRelease(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy) error {
	// Nothing but this very annotation: somebody may have named another plan
	// meanwhile, while the status, which this has just written, does not matter.
	path := "/metadata/annotations/" + strings.ReplaceAll(policyv1alpha1.ReleasePruneAnnotation, "/", "~1")
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": policy.UID},
		{"op": "test", "path": path, "value": policy.Annotations[policyv1alpha1.ReleasePruneAnnotation]},
		{"op": "remove", "path": path},
	})
	if err != nil {
		return err
	}
	_, err = c.client.Patch(ctx, policy.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// mostPruned is how many of that number of PediaClusters may go.
func mostPruned(share intstr.IntOrString, pediaClusters int) int {
	if share.Type == intstr.Int {
		return share.IntValue()
	}
	most, err := intstr.GetScaledValueFromIntOrPercent(&share, pediaClusters, false)
	if percent, _ := intstr.GetScaledValueFromIntOrPercent(&share, 100, false); err != nil || percent == 0 {
		return 0
	}
	return max(1, most)
}

// recentOnly are the removals that still count.
func recentOnly(counts []policyv1alpha1.PruneCount, now time.Time) []policyv1alpha1.PruneCount {
	for i, count := range counts {
		// The last of a minute went at its end.
		if now.Sub(count.Time.Time) < brake.Window+time.Minute {
			return counts[i:]
		}
	}
	return nil
}

// counted adds a number of removals to those of the last minute.
func counted(recent []policyv1alpha1.PruneCount, removals int, now metav1.Time) []policyv1alpha1.PruneCount {
	if removals == 0 {
		return recent
	}
	minute := metav1.NewTime(now.Truncate(time.Minute))
	recent = append([]policyv1alpha1.PruneCount(nil), recent...)
	if last := len(recent) - 1; last >= 0 && recent[last].Time.Equal(&minute) {
		recent[last].Count += int32(removals)
		return recent
	}
	return append(recent, policyv1alpha1.PruneCount{Time: minute, Count: int32(removals)})
}

func sum(counts []policyv1alpha1.PruneCount) (total int) {
	for _, count := range counts {
		total += int(count.Count)
	}
	return total
}

func (p pruning) status() *policyv1alpha1.PruneStatus {
	if p.held == 0 && len(p.recent) == 0 {
		return nil
	}
	return &policyv1alpha1.PruneStatus{Plan: p.plan, Held: int32(p.held), Recent: p.recent}
}

// conditions says whether removals are held. A policy that never held any does
// not mention it.
func (p pruning) conditions(policy *policyv1alpha1.ClusterImportPolicy) []metav1.Condition {
	if p.held > 0 {
		return []metav1.Condition{{Type: policyv1alpha1.PolicyPruneHeld, Status: metav1.ConditionTrue,
			Reason: policyv1alpha1.ReasonPruneHeld, Message: fmt.Sprintf(
				"%s. The lifecycles in the phase Held say why. To let go what is held: kubectl annotate clusterimportpolicy %s %s=%s",
				p.describe(), policy.Name, policyv1alpha1.ReleasePruneAnnotation, p.plan)}}
	}
	if meta.FindStatusCondition(policy.Status.Conditions, policyv1alpha1.PolicyPruneHeld) == nil {
		return nil
	}
	return []metav1.Condition{{Type: policyv1alpha1.PolicyPruneHeld, Status: metav1.ConditionFalse,
		Reason: policyv1alpha1.ReasonNothingHeld, Message: "no removal is held"}}
}

// describe says how many removals are held, and why. What is held stays so, however
// few are left: the reason may be in the past.
func (p pruning) describe() string {
	held := fmt.Sprintf("the removals of %d PediaClusters are held", p.held)
	if p.held == 1 {
		held = "the removal of 1 PediaCluster is held"
	}
	share := fmt.Sprintf("maxPrune (%s)", p.share)
	if p.share != strconv.Itoa(p.most) {
		share = fmt.Sprintf("maxPrune (%s, which is %d now)", p.share, p.most)
	}
	recent, minutes := sum(p.recent), int(brake.Window.Minutes())
	switch {
	case p.held > p.most:
		return fmt.Sprintf("%s, which is more than %s", held, share)
	case p.held+recent > p.most:
		return fmt.Sprintf("%s: with the %d that went within %d minutes it would be more than %s", held, recent, minutes, share)
	default:
		return fmt.Sprintf("%s: more than %s were to go at once, and what is held stays held until it is released or its cause ends", held, share)
	}
}
