package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/hosterrors"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// This file holds everything that can delete a PediaCluster. pkg/decision says which
// lifecycles go and what becomes of their PediaClusters; here it is done.

// release finalizes the lifecycles that a person has deleted. It reports whether one is gone.
func (p *pass) release(ctx context.Context, release []decision.Removal) (gone bool, err error) {
	for _, r := range release {
		still, err := p.remove(ctx, r)
		if err != nil {
			return gone, err
		}
		gone = gone || still == nil
	}
	if len(release) > 0 {
		p.lifecycles = p.lifecyclesOf(p.Import) // as they are now
	}
	return gone, nil
}

// removal is the removal of one lifecycle of the import, by its policy.
func (p *pass) removal(lifecycle *lifecycles.Lifecycle, r decision.Removal) decision.Removal {
	return p.observe().Removal(lifecycle, r)
}

// removeAll removes the lifecycles of the import, as far as the brake approves.
func (p *pass) removeAll(ctx context.Context, removals []decision.Removal) (result *importResult, err error) {
	for _, r := range removals {
		still, err := p.removeUnlessHeld(ctx, r)
		if err != nil {
			return p.unchanged(), err
		}
		result = mergeResults(result, cmp.Or(still, &importResult{phase: policyv1alpha1.LifecycleDeleting}))
	}
	p.withdraw()
	return result, nil
}

// removeUnlessHeld removes the lifecycle, unless the brake holds its PediaCluster. It returns what
// became of the lifecycle, nil when it is gone.
func (p *pass) removeUnlessHeld(ctx context.Context, r decision.Removal) (still *importResult, err error) {
	if !r.Counted || r.Fate != decision.Delete {
		return p.remove(ctx, r)
	}
	object, err := p.livePediaCluster(ctx, r.Lifecycle.Name)
	switch {
	case err != nil:
		return nil, err
	case r.Lifecycle.DeletionTimestamp != nil && (object == nil || object.GetDeletionTimestamp() != nil):
		return p.remove(ctx, r) // it goes already
	case object == nil || decision.OwnerOf(r.Lifecycle).Ownership(object) != render.Owned:
		// There is nothing to delete, so the brake is not asked. Nor may anything be deleted
		// later, for which it would have to be: a PediaCluster that appears under the name while
		// the lifecycle goes, such as from a creation that was still under way, is released. mark
		// stores this fate with the deletion of the lifecycle.
		r.Fate = decision.Orphan
		return p.remove(ctx, r)
	}
	switch held, verdict := p.askBrake(r.Lifecycle, object, r.Cause); verdict {
	case brake.Undecided:
		return resultOf(r.Lifecycle.Status), nil
	case brake.Held:
		status := p.project(r.Lifecycle).Blocked(held, object)
		_, err := p.write(ctx, r.Lifecycle, r.Lifecycle.Spec, status)
		return resultOf(status), err
	}
	return p.remove(ctx, r)
}

// askBrake asks the brake whether a PediaCluster may be removed, and what to say if it is held.
func (p *pass) askBrake(lifecycle *lifecycles.Lifecycle, object *unstructured.Unstructured, cause string) (*decision.Reason, brake.Verdict) {
	r := brake.Removal{Import: p.Import, PediaCluster: object.GetUID(), Cause: cause}
	p.asked = append(p.asked, r)
	before := lifecycle.Status.PrunePlan
	verdict, plan := p.brake.Ask(r, before != "")
	if verdict != brake.Held {
		return nil, verdict
	}
	return p.heldReason(cmp.Or(plan, before), // not decided since this process began
		decision.DescribeCounted(cause)), verdict
}

// heldReason is why a lifecycle keeps a PediaCluster that is to be removed. There may be thousands
// that say so: what can be done about it is in the condition PruneHeld of their policy.
func (p *pass) heldReason(plan, why string) *decision.Reason {
	return &decision.Reason{
		Phase: policyv1alpha1.LifecycleHeld, Reason: policyv1alpha1.ReasonPruneHeld, PrunePlan: plan,
		Message: fmt.Sprintf("%s; held by plan %s, see PruneHeld of policy %q", why, plan, p.Policy),
	}
}

// stillHeldReason keeps a removal held while it cannot be judged whether its cause still exists:
// an error must neither release it nor hide it. It returns why the lifecycle keeps its
// PediaCluster, nil when no removal was held.
func (p *pass) stillHeldReason(ctx context.Context, lifecycle *lifecycles.Lifecycle, cause *decision.Reason) *decision.Reason {
	before := lifecycle.Status.PrunePlan
	if lifecycle.DeletionTimestamp != nil || before == "" && !p.brake.Holds(p.Import) {
		return nil
	}
	why := func(plan string) *decision.Reason {
		return p.heldReason(plan, "the cause of the removal cannot be judged ("+cause.Message+")")
	}
	object, err := p.livePediaCluster(ctx, lifecycle.Name)
	switch {
	case err != nil && before != "":
		return why(before)
	case err != nil, object == nil, object.GetDeletionTimestamp() != nil, decision.OwnerOf(lifecycle).Ownership(object) != render.Owned:
		return nil
	}
	r, plan, held := p.brake.Hold(brake.Removal{Import: p.Import, PediaCluster: object.GetUID(), Cause: cause.Reason}, before != "")
	if !held {
		return nil
	}
	p.asked = append(p.asked, r)
	return why(cmp.Or(plan, before))
}

// keepHeld keeps removals of former PediaClusters held that are not carried out in this pass, and
// returns what became of the import.
func (p *pass) keepHeld(ctx context.Context, result *importResult, replaced []*lifecycles.Lifecycle) *importResult {
	for _, old := range replaced {
		_ = p.stillHeldReason(ctx, old, &decision.Reason{Reason: policyv1alpha1.ReasonRenamed}) // the lifecycle says so already
		result = mergeResults(result, resultOf(old.Status))
	}
	return result
}

// withdraw tells the brake which removals of the import are no longer wanted.
func (p *pass) withdraw() {
	p.brake.Withdraw(p.Import, func(r brake.Removal) bool { return slices.Contains(p.asked, r) })
}

// remove removes one lifecycle: at once if it may, otherwise it marks it as deleted, deletes
// or releases its PediaCluster, then takes our finalizer off. It is called again until all is
// done, and returns what became of the lifecycle, nil when it is gone.
func (c *importController) remove(ctx context.Context, r decision.Removal) (still *importResult, err error) {
	object := c.objects.Object(pediaClusters, "", r.Lifecycle.Name)
	if c.mayGoAtOnce(r.Lifecycle, object) && r.FateOf(object) == decision.Delete {
		return nil, c.removeAtOnce(ctx, r, object)
	}
	if r.Lifecycle.DeletionTimestamp == nil {
		if r.Lifecycle, err = c.mark(ctx, r); err != nil || r.Lifecycle == nil {
			return nil, err
		}
	}
	if slices.Contains(r.Lifecycle.Finalizers, policyv1alpha1.Finalizer) {
		pediaCluster, gone, err := c.removePediaCluster(ctx, r)
		switch {
		case err != nil:
			return nil, c.recordRemovalError(ctx, r, err)
		case !gone:
			// The informer tells when the finalizers of the PediaCluster change. This is for
			// the case that it has missed it.
			c.queue.AddAfter(importOf(r.Lifecycle), overdueDelay)
			return c.recordDeleting(ctx, r, pediaCluster)
		}
		if r.Lifecycle, err = c.finalize(ctx, r); err != nil {
			return nil, err
		}
	}
	if r.Lifecycle == nil || len(r.Lifecycle.Finalizers) == 0 {
		return nil, nil
	}
	// An event of the lifecycle tells when its finalizers change.
	pediaCluster, err := c.livePediaCluster(ctx, r.Lifecycle.Name)
	if err != nil {
		return nil, err
	}
	return c.recordDeleting(ctx, r, pediaCluster)
}

// finalize takes our finalizer off a lifecycle whose PediaCluster is gone or left. It returns
// the lifecycle as long as others hold it, nil when it is gone.
func (c *importController) finalize(ctx context.Context, r decision.Removal) (*lifecycles.Lifecycle, error) {
	if r.Fate != decision.Delete {
		c.memory.Reserve(r.Lifecycle.Name, importOf(r.Lifecycle))
	}
	left, err := c.store.Remove(ctx, r.Lifecycle)
	if err != nil {
		return nil, fmt.Errorf("removing the finalizer of the lifecycle: %w", err)
	}
	return left, nil
}

// mark marks a lifecycle as deleted, and returns it as it is then, nil when it is gone.
func (c *importController) mark(ctx context.Context, r decision.Removal) (*lifecycles.Lifecycle, error) {
	klog.FromContext(ctx).V(2).Info("Removing a lifecycle", "lifecycle", klog.KObj(r.Lifecycle), "cause", r.Cause)
	var propagation *metav1.DeletionPropagation
	if r.Fate == decision.Orphan {
		// It is written down: what is decided now must not be decided otherwise when the
		// PediaCluster is removed.
		propagation = ptr.To(metav1.DeletePropagationOrphan)
	}
	marked, err := c.store.MarkDeleted(ctx, r.Lifecycle, propagation)
	if err != nil {
		return nil, fmt.Errorf("deleting the lifecycle: %w", err)
	}
	return marked, nil
}

// recordDeleting has a lifecycle say what its deletion waits for. The PediaCluster is nil when
// there is none.
func (c *importController) recordDeleting(ctx context.Context, r decision.Removal, pediaCluster *unstructured.Unstructured) (*importResult, error) {
	status := projection(r.Lifecycle, nil).Deleting(r, pediaCluster)
	_, err := c.write(ctx, r.Lifecycle, r.Lifecycle.Spec, status)
	return resultOf(status), err
}

// mayGoAtOnce reports whether nothing has to be waited for when a lifecycle goes with its
// PediaCluster, nil for none. Storage says that there is one: another one is created under no
// version of a lifecycle that says so.
func (c *importController) mayGoAtOnce(lifecycle *lifecycles.Lifecycle, object *unstructured.Unstructured) bool {
	return lifecycle.DeletionTimestamp == nil && lifecycles.OnlyOurs(lifecycle.Finalizers) &&
		decision.IsCreated(lifecycle.Status) && !c.store.HasPending(lifecycle.Name) &&
		object != nil && object.GetDeletionTimestamp() == nil && len(object.GetFinalizers()) == 0
}

// removeAtOnce deletes a PediaCluster, then its lifecycle, with one write each. If that breaks
// off, all is decided again: the PediaCluster is created again if it is wanted by then.
func (c *importController) removeAtOnce(ctx context.Context, r decision.Removal, object *unstructured.Unstructured) error {
	if err := c.deleteOwned(ctx, r, object); err != nil {
		return c.recordRemovalError(ctx, r, err)
	}
	_, err := c.finalize(ctx, r)
	return err
}

// recordRemovalError records why a PediaCluster is still there, and returns the error.
func (c *importController) recordRemovalError(ctx context.Context, r decision.Removal, err error) error {
	if isStale(err) {
		return err
	}
	doing := "removing"
	if r.Fate != decision.Delete {
		doing = "releasing"
	}
	status := projection(r.Lifecycle, nil).Blocked(&decision.Reason{
		Phase: policyv1alpha1.LifecycleDeleting, Reason: policyv1alpha1.ReasonHostUnavailable,
		Message: doing + " the PediaCluster, which is tried again: " + hosterrors.Describe(err)}, nil)
	_, failed := c.write(ctx, r.Lifecycle, r.Lifecycle.Spec, status)
	return errors.Join(err, failed)
}

// removePediaCluster deletes the PediaCluster of the lifecycle, or leaves it, and reports
// whether that is done; when it is not, the PediaCluster is returned. One that was not made
// for this import stays untouched.
func (c *importController) removePediaCluster(ctx context.Context, r decision.Removal) (object *unstructured.Unstructured, gone bool, err error) {
	// A deletion of what has changed since the informer saw it fails. That there is nothing
	// to take back, only the host can say.
	object = c.objects.Object(pediaClusters, "", r.Lifecycle.Name)
	if object == nil || r.FateOf(object) != decision.Delete {
		if object, err = c.livePediaCluster(ctx, r.Lifecycle.Name); err != nil {
			return nil, false, err
		}
		if object == nil {
			if said := r.Lifecycle.Status; r.Fate == decision.Delete && said.Phase == policyv1alpha1.LifecycleDeleting && decision.IsCreated(said) {
				c.policies.announcer.gone(r.Lifecycle, r.Cause)
			}
			return nil, true, nil
		}
	}
	if fate := r.FateOf(object); fate != decision.Delete {
		return object, true, c.releasePediaCluster(ctx, r.Lifecycle, object, fate)
	}
	if object.GetDeletionTimestamp() == nil {
		if err := c.deleteOwned(ctx, r, object); err != nil {
			return nil, false, err
		}
	}
	return object, len(object.GetFinalizers()) == 0, nil
}

// releasePediaCluster takes the marks of ownership off a PediaCluster.
func (c *importController) releasePediaCluster(ctx context.Context, lifecycle *lifecycles.Lifecycle, object *unstructured.Unstructured, fate decision.Fate) error {
	release := render.Release(object, fate == decision.Retain)
	if release == nil {
		return nil
	}
	patch, err := json.Marshal(release)
	if err != nil {
		return err
	}
	_, err = c.host.Resource(render.PediaClusterGVR).Patch(ctx, object.GetName(), types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("releasing the PediaCluster: %w", hosterrors.Redact(err))
	}
	klog.FromContext(ctx).V(2).Info("Released a PediaCluster", "pediaCluster", object.GetName())
	if fate == decision.Orphan {
		c.policies.announcer.wrote(lifecycle, object, eventReleased, "")
	}
	return nil
}

// deleteOwned deletes just this version of the PediaCluster of a lifecycle that goes, and
// tells of it.
func (c *importController) deleteOwned(ctx context.Context, r decision.Removal, object *unstructured.Unstructured) error {
	deleted, err := c.deletePediaCluster(ctx, r.By, r.Lifecycle, object, r.Cause)
	if deleted {
		c.policies.announcer.deleted(r.Lifecycle, object, r.Cause)
	}
	return err
}

// confirmationLasts is how long a deletion may be on its way after storage has
// confirmed it: a host that is overloaded has clients wait and send it again.
const confirmationLasts = 10 * time.Second

// deletePediaCluster deletes just this version of a PediaCluster, as it was decided
// from these versions of policy and lifecycle, and reports whether it was there to
// be deleted.
func (c *importController) deletePediaCluster(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy,
	lifecycle *policyv1alpha1.PediaClusterLifecycle, object *unstructured.Unstructured, cause string) (deleted bool, err error) {
	if err := c.confirm(ctx, policy, lifecycle); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, confirmationLasts)
	defer cancel()
	err = c.host.Resource(render.PediaClusterGVR).Delete(ctx, object.GetName(), metav1.DeleteOptions{Preconditions: preconditions(object)})
	switch {
	case objectNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("deleting the PediaCluster: %w", hosterrors.Redact(err))
	}
	done := "Deleted a PediaCluster"
	if len(object.GetFinalizers()) > 0 {
		done = "Marked a PediaCluster as deleted, which has finalizers"
	}
	klog.FromContext(ctx).V(2).Info(done, "pediaCluster", object.GetName(), "cause", cause)
	return true, nil
}

// errUnconfirmed says that it is not certain that a PediaCluster is still to be
// deleted.
var errUnconfirmed = errors.New("not deleted")

// confirm makes sure that nobody has just said that a PediaCluster is to stay:
// informers may not have seen it yet, but storage knows.
func (c *importController) confirm(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy, lifecycle *policyv1alpha1.PediaClusterLifecycle) error {
	if policy == nil {
		return fmt.Errorf("%w: no policy has decided it", errUnconfirmed)
	}
	stored, err := c.store.Live(ctx, lifecycle.Name)
	switch {
	case err != nil:
		return fmt.Errorf("%w: reading its lifecycle: %w", errUnconfirmed, err)
	case stored.UID != lifecycle.UID || stored.ResourceVersion != lifecycle.ResourceVersion:
		return fmt.Errorf("%w: its lifecycle has changed: waiting until that is seen", errUnconfirmed)
	}
	latest, err := c.confirmed.Do(policy.Name, func() (*policyv1alpha1.ClusterImportPolicy, error) {
		return c.policies.client.Get(ctx, policy.Name, metav1.GetOptions{})
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w: reading its policy: %w", errUnconfirmed, err)
	case latest.UID != policy.UID || latest.Generation != policy.Generation ||
		decision.HasOrphanAnnotation(latest) != decision.HasOrphanAnnotation(policy):
		return fmt.Errorf("%w: its policy has changed: waiting until that is seen", errUnconfirmed)
	}
	return nil
}

// isStale reports whether what a deletion was decided from may no longer be so: it
// is decided again, and there is nothing to tell.
func isStale(err error) bool {
	return errors.Is(err, errUnconfirmed) || apierrors.IsConflict(err)
}

func preconditions(object metav1.Object) *metav1.Preconditions {
	uid, version := object.GetUID(), object.GetResourceVersion()
	return &metav1.Preconditions{UID: &uid, ResourceVersion: &version}
}
