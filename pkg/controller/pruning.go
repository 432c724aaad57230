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
	"k8s.io/apimachinery/pkg/util/json"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
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
	if policy.Spec.Suspend {
		c.brake.Revoke(policy.Name)
	}
	prune, allReconciled := c.currentPruning(policy, metav1.Now())
	decidable := allReconciled && state.problem == nil && !policy.Spec.Suspend && policy.DeletionTimestamp == nil
	rollout := c.decideRollout(state, decidable)
	if !decidable {
		_, err := c.updateStatus(ctx, state, prune, rollout)
		return err
	}
	decided := c.brake.Decide(policy.Name, brake.Limit{Most: prune.most, Recent: sum(prune.recent), Holding: prune.held > 0},
		policy.Annotations[policyv1alpha1.ReleasePruneAnnotation])
	stored, err := c.storeDecision(ctx, state, prune, rollout, decided)
	if err != nil || !stored {
		return err
	}
	c.approve(decided)
	return c.endRelease(ctx, policy, decided)
}

// currentPruning is what the status of a policy says of its removals, with maxPrune as it is now,
// and whether every import has been reconciled since the policy or its types changed.
func (c *policyController) currentPruning(policy *policyv1alpha1.ClusterImportPolicy, now metav1.Time) (prune pruning, allReconciled bool) {
	prune.share = policy.Spec.MaxPrune.String()
	if known := policy.Status.Prune; known != nil {
		prune.plan, prune.held, prune.recent = known.Plan, int(known.Held), recentOnly(known.Recent, now.Time)
	}
	owned, allReconciled := c.summaries.allReconciled(policy.Name)
	gone := max(0, sum(prune.recent)-c.brake.Pending(policy.Name))
	prune.most = decision.PruneBudget{Share: *policy.Spec.MaxPrune, PediaClusters: owned, Recent: gone}.Most()
	return prune, allReconciled
}

// storeDecision writes what was decided into the policy's status, and reports whether it is
// stored.
func (c *policyController) storeDecision(ctx context.Context, state *policyState, prune pruning, rollout *decision.RolloutDecision,
	decided brake.Decision) (stored bool, err error) {
	// What is held may be told before it is written: that deletes nothing.
	for _, i := range decided.Concerned {
		c.enqueueImport(i)
	}
	// Until it is decided, what another process held last is held.
	if decided.Wait == 0 {
		prune.plan, prune.held = decided.Plan, decided.Held
	}
	prune.recent = counted(prune.recent, len(decided.Counted), metav1.Now())
	// The counts are those of after the decision, in the same write: the lifecycles
	// say so one after the other.
	c.summaries.setPhase(decided.Concerned, policyv1alpha1.LifecycleHeld)
	c.summaries.setPhase(importsOf(decided.Released), policyv1alpha1.LifecycleDeleting)
	if stored, err = c.updateStatus(ctx, state, prune, rollout); err != nil || !stored {
		c.summaries.setPhase(importsOf(decided.Released), policyv1alpha1.LifecycleHeld)
		return false, err
	}
	c.announcer.pruneHeld(state.policy, prune)
	c.announcer.rolloutHalted(state.policy, rollout)
	return true, nil
}

// approve approves the removals that were decided, and enqueues their imports.
func (c *policyController) approve(decided brake.Decision) {
	for _, approved := range [][]brake.Removal{decided.Counted, decided.Released} {
		c.brake.Approve(approved)
		for _, r := range approved {
			c.enqueueImport(r.Import)
		}
	}
}

// endRelease ends the release of a plan that was asked for, once it is decided about.
func (c *policyController) endRelease(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy, decided brake.Decision) error {
	release, releasing := policy.Annotations[policyv1alpha1.ReleasePruneAnnotation]
	if len(decided.Released) > 0 {
		c.events.Eventf(policy, nil, corev1.EventTypeNormal, "PruneReleased", "Prune", "%d removals are released, by plan %s",
			len(decided.Released), release)
		c.queue.AddAfter(policy.Name, brake.Quiet)
	}
	switch {
	case decided.Wait > 0:
		c.queue.AddAfter(policy.Name, decided.Wait)
		return nil
	case !releasing:
		return nil
	case len(decided.Released) == 0:
		c.events.Eventf(policy, nil, corev1.EventTypeWarning, "PruneReleaseStale", "Prune",
			"what is held is no longer plan %s: look at status.prune and decide again", release)
	}
	return c.removeRelease(ctx, policy)
}

// importsOf are the imports of these removals.
func importsOf(removals []brake.Removal) (imports []memory.Import) {
	for _, r := range removals {
		imports = append(imports, r.Import)
	}
	return imports
}

// removeRelease removes the annotation that releases a plan: it has been acted upon, or names no
// existing plan.
func (c *policyController) removeRelease(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy) error {
	// The patch depends on nothing but this annotation: somebody may have named another
	// plan meanwhile, while that the status was just written does not matter.
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
				"%s. The lifecycles in the phase Held say why. To keep one of these PediaClusters, delete its lifecycle (with --cascade=orphan "+
					"if that is being deleted already). To delete them: kubectl annotate clusterimportpolicy %s %s=%s",
				p.describe(), policy.Name, policyv1alpha1.ReleasePruneAnnotation, p.plan)}}
	}
	if meta.FindStatusCondition(policy.Status.Conditions, policyv1alpha1.PolicyPruneHeld) == nil {
		return nil
	}
	return []metav1.Condition{{Type: policyv1alpha1.PolicyPruneHeld, Status: metav1.ConditionFalse,
		Reason: policyv1alpha1.ReasonNothingHeld, Message: "no removal is held"}}
}

// describe says how many removals are held, and why. Held removals stay held, however
// few are left, so the reason may no longer apply.
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
		return fmt.Sprintf("%s: with the %d removed within %d minutes it would be more than %s", held, recent, minutes, share)
	default:
		return fmt.Sprintf("%s: more than %s were to be removed together, and removals that are held stay held until they are released or their cause ends", held, share)
	}
}
