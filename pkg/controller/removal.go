package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// This file holds everything that can delete a PediaCluster.

// removal is why a lifecycle goes, and what becomes of its PediaCluster.
type removal struct {
	cause string
	fate  fate
	// counted removals are held when there are too many of them. All others are
	// what a person asked for: the deletion of the Source, seen as it happened,
	// or of the policy.
	counted bool
	// asked is when a person asked for it, nil for all other causes. A PediaCluster
	// that is younger, by more than what was under way then, was not meant: the
	// request comes from a restored storage.
	asked *metav1.Time
	// policy is the one that it was decided by. Without one nothing is deleted.
	policy *policyv1alpha1.ClusterImportPolicy
}

// underWay is how long after a policy was deleted its PediaClusters may still be
// made by imports that had begun, as far as clocks agree.
const underWay = 2 * time.Minute

// fate is what becomes of the PediaCluster of a lifecycle that goes.
type fate int

const (
	// deleted is the fate of a PediaCluster that nobody wants any more.
	deleted fate = iota
	// released leaves it to its users.
	released
	// handedOver leaves it to the next lifecycle of the same Source.
	handedOver
)

// removeAll removes every lifecycle of the import, as far as it may.
func (w *importWork) removeAll(ctx context.Context, r removal) (result *outcome, err error) {
	for _, lifecycle := range w.lifecycles {
		still, err := w.removeIfMay(ctx, lifecycle, r)
		if err != nil {
			return w.unchanged(), err
		}
		result = summedUp(result, cmp.Or(still, &outcome{phase: policyv1alpha1.LifecycleDeleting}))
	}
	w.withdraw()
	return result, nil
}

// removeIfMay removes the lifecycle, unless the brake holds its PediaCluster. It
// returns what became of the lifecycle, nil when it is gone.
func (w *importWork) removeIfMay(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r removal) (still *outcome, err error) {
	r.policy = w.state.policy
	switch {
	case w.state.policy.Spec.DeletionPolicy == policyv1alpha1.DeletionPolicyOrphan, deletedByHand(lifecycle):
		r.fate = released
	case r.counted && r.fate == deleted:
		object, err := w.livePediaCluster(ctx, lifecycle.Name)
		if err != nil {
			return nil, err
		}
		if lifecycle.DeletionTimestamp != nil && (object == nil || object.GetDeletionTimestamp() != nil) {
			break // it goes already
		}
		if object == nil || ownerOf(lifecycle).Ownership(object) != render.Owned {
			r.fate = released // nothing is deleted, and so it shall stay
			break
		}
		switch held, verdict := w.ask(lifecycle, object, r.cause); verdict {
		case brake.Undecided:
			return outcomeOf(w.said(lifecycle)), nil
		case brake.Held:
			status := stalledStatus(lifecycle, w.said(lifecycle), object, held)
			aboutSource(&status, w.source)
			_, err := w.writeStatus(ctx, lifecycle, status)
			return outcomeOf(status), err
		}
	}
	return w.remove(ctx, lifecycle, r)
}

// ask asks the brake whether a PediaCluster may be removed, and what to say if
// it is held.
func (w *importWork) ask(lifecycle *policyv1alpha1.PediaClusterLifecycle, object *unstructured.Unstructured, cause string) (*stalled, brake.Verdict) {
	r := brake.Removal{Import: w.Import, PediaCluster: object.GetUID(), Cause: cause}
	w.wanted = append(w.wanted, r)
	before := w.said(lifecycle).PrunePlan
	verdict, plan := w.brake.Ask(r, before != "")
	if verdict != brake.Held {
		return nil, verdict
	}
	return w.held(lifecycle, cmp.Or(plan, before), // not decided since this process began
		causes[cause]+", but more PediaClusters would go at once than maxPrune of the policy allows"), verdict
}

// held is why a lifecycle keeps a PediaCluster that is to be removed.
func (w *importWork) held(lifecycle *policyv1alpha1.PediaClusterLifecycle, plan, why string) *stalled {
	release := "delete this lifecycle"
	if lifecycle.DeletionTimestamp != nil {
		release += " once more, with --cascade=orphan,"
	}
	return &stalled{
		phase: policyv1alpha1.LifecycleHeld, reason: policyv1alpha1.ReasonPruneHeld, plan: plan,
		message: fmt.Sprintf("%s: kept until plan %s is released, as the PruneHeld condition of policy %q explains; "+
			"%s to leave its PediaCluster to its users", why, plan, w.Policy, release),
	}
}

// stillHeld is why a lifecycle keeps a PediaCluster whose removal was held, while it
// cannot be told whether it is still to be removed. An error must neither release it
// nor hide it. It is nil when nothing was held.
func (w *importWork) stillHeld(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, cause *stalled) *stalled {
	before := w.said(lifecycle).PrunePlan
	if lifecycle.DeletionTimestamp != nil || before == "" && !w.brake.Holds(w.Import) {
		return nil
	}
	why := func(plan string) *stalled {
		return w.held(lifecycle, plan, "the removal of the PediaCluster was held by maxPrune of the policy, and stays so while its cause cannot be judged ("+cause.message+")")
	}
	object, err := w.livePediaCluster(ctx, lifecycle.Name)
	switch {
	case err != nil && before != "":
		return why(before)
	case err != nil, object == nil, object.GetDeletionTimestamp() != nil, ownerOf(lifecycle).Ownership(object) != render.Owned:
		return nil
	}
	r, plan, held := w.brake.Hold(brake.Removal{Import: w.Import, PediaCluster: object.GetUID(), Cause: cause.reason}, before != "")
	if !held {
		return nil
	}
	w.wanted = append(w.wanted, r)
	return why(cmp.Or(plan, before))
}

// causes are the reasons of removals that count, as a sentence begins.
var causes = map[string]string{
	policyv1alpha1.ReasonSourceGone:           "the Source is gone, though nobody saw it being deleted",
	policyv1alpha1.ReasonSourceDeselected:     "the selectors no longer let the Source through",
	policyv1alpha1.ReasonRenamed:              "nameTemplate renders another name now",
	policyv1alpha1.ReasonDeletionConditionMet: "deletionCondition is true",
}

// withdraw tells the brake which removals of the import are no longer wanted.
func (w *importWork) withdraw() {
	w.brake.Withdraw(w.Import, func(r brake.Removal) bool { return slices.Contains(w.wanted, r) })
}

// deletions are the imports whose Source was deleted before our eyes.
type deletions struct {
	mu   sync.Mutex
	seen map[index.Import]struct{}
}

func (d *deletions) set(i index.Import, seen bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !seen {
		delete(d.seen, i)
		return
	}
	if d.seen == nil {
		d.seen = map[index.Import]struct{}{}
	}
	d.seen[i] = struct{}{}
}

func (d *deletions) has(i index.Import) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.seen[i]
	return ok
}

// creations are the lifecycles that were created and that the informer has not shown
// yet, by import. Safe for concurrent use.
type creations struct {
	mu   sync.Mutex
	made map[index.Import]*policyv1alpha1.PediaClusterLifecycle
}

func (c *creations) put(i index.Import, created *policyv1alpha1.PediaClusterLifecycle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made = map[index.Import]*policyv1alpha1.PediaClusterLifecycle{}
	}
	c.made[i] = created
}

// get returns the lifecycle that was created for the import, nil when it was seen.
func (c *creations) get(i index.Import) *policyv1alpha1.PediaClusterLifecycle {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made[i]
}

// seen is called when the informer has shown a lifecycle, or its end.
func (c *creations) seen(lifecycle *policyv1alpha1.PediaClusterLifecycle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := importOf(lifecycle); c.made[i] != nil && c.made[i].UID == lifecycle.UID {
		delete(c.made, i)
	}
}

// remove takes one lifecycle back: at once if it may, otherwise it marks it as
// going, deletes its PediaCluster or leaves it to its users, then lets the
// lifecycle go. It is called again until all is done, and returns what became of the
// lifecycle, nil when it is gone.
func (c *importController) remove(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r removal) (still *outcome, err error) {
	if deletedByHand(lifecycle) {
		r.cause, r.fate = policyv1alpha1.ReasonReleased, released
	}
	object := c.objects.Object(pediaClusters, "", lifecycle.Name)
	if mayGoAtOnce(lifecycle, object) && r.fateOf(lifecycle, object) == deleted {
		return nil, c.removeAtOnce(ctx, lifecycle, object, r)
	}
	if lifecycle.DeletionTimestamp == nil {
		if lifecycle, err = c.mark(ctx, lifecycle, r); err != nil || lifecycle == nil {
			return nil, err
		}
	}
	if slices.Contains(lifecycle.Finalizers, policyv1alpha1.Finalizer) {
		pediaCluster, gone, err := c.removePediaCluster(ctx, lifecycle, r)
		if err != nil {
			return nil, c.notRemoved(ctx, lifecycle, r, err)
		}
		if !gone {
			// The informer tells when the finalizers of the PediaCluster change. This is for
			// the case that it has missed it.
			c.queue.AddAfter(importOf(lifecycle), lateDelay)
			return c.hangs(ctx, lifecycle, pediaCluster, r)
		}
		if r.fate != deleted {
			c.index.Reserve(lifecycle.Name, importOf(lifecycle))
		}
		if lifecycle, err = c.records.letGo(ctx, lifecycle); err != nil {
			return nil, fmt.Errorf("letting the lifecycle go: %w", err)
		}
	}
	if lifecycle == nil || len(lifecycle.Finalizers) == 0 {
		return nil, nil
	}
	// An event of the lifecycle tells when its finalizers change.
	pediaCluster, err := c.livePediaCluster(ctx, lifecycle.Name)
	if err != nil {
		return nil, err
	}
	return c.hangs(ctx, lifecycle, pediaCluster, r)
}

// mark marks a lifecycle as deleted, and returns it as it is then, nil when it is
// gone.
func (c *importController) mark(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r removal) (*policyv1alpha1.PediaClusterLifecycle, error) {
	klog.FromContext(ctx).V(2).Info("Removing a lifecycle", "lifecycle", klog.KObj(lifecycle), "cause", r.cause)
	var propagation *metav1.DeletionPropagation
	if r.fate == released {
		// It is written down: what is decided now must not be decided otherwise
		// when the PediaCluster's turn comes.
		propagation = ptr.To(metav1.DeletePropagationOrphan)
	}
	marked, err := c.records.delete(ctx, lifecycle, propagation)
	if err != nil {
		return nil, fmt.Errorf("deleting the lifecycle: %w", err)
	}
	return marked, nil
}

// hangs has a lifecycle say what its deletion waits for. The PediaCluster is nil when
// there is none.
func (c *importController) hangs(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, pediaCluster *unstructured.Unstructured, r removal) (*outcome, error) {
	fate := r.fate
	if pediaCluster != nil {
		fate = r.fateOf(lifecycle, pediaCluster)
	}
	status := deletingStatus(lifecycle, c.said(lifecycle), pediaCluster, r.cause, deletionMessage(r.cause, lifecycle, pediaCluster, fate))
	_, err := c.writeStatus(ctx, lifecycle, status)
	return outcomeOf(status), err
}

// mayGoAtOnce reports whether nothing has to be waited for when a lifecycle goes
// with its PediaCluster, nil for none. It says that there is one: another one is
// made under no version of a lifecycle that says so.
func mayGoAtOnce(lifecycle *policyv1alpha1.PediaClusterLifecycle, object *unstructured.Unstructured) bool {
	return lifecycle.DeletionTimestamp == nil && onlyOurs(lifecycle.Finalizers) && isCreated(lifecycle.Status) &&
		object != nil && object.GetDeletionTimestamp() == nil && len(object.GetFinalizers()) == 0
}

// removeAtOnce deletes a PediaCluster, then its lifecycle, with one write each. If
// that breaks off, all is decided anew: the PediaCluster is made again if it is
// wanted by then.
func (c *importController) removeAtOnce(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, object *unstructured.Unstructured, r removal) error {
	if err := c.deleteOwned(ctx, lifecycle, object, r); err != nil {
		return c.notRemoved(ctx, lifecycle, r, err)
	}
	if _, err := c.records.letGo(ctx, lifecycle); err != nil {
		return fmt.Errorf("letting the lifecycle go: %w", err)
	}
	return nil
}

// notRemoved tells why a PediaCluster is still there, and returns the error.
func (c *importController) notRemoved(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r removal, err error) error {
	if isStale(err) {
		return err
	}
	doing := "removing"
	if r.fate != deleted {
		doing = "releasing"
	}
	status := stalledStatus(lifecycle, c.said(lifecycle), nil,
		&stalled{phase: policyv1alpha1.LifecycleDeleting, reason: policyv1alpha1.ReasonHostUnavailable,
			message: doing + " the PediaCluster, which is tried again: " + refusal(err)})
	status.PrunePlan = "" // it is held no longer
	_, failed := c.writeStatus(ctx, lifecycle, status)
	return errors.Join(err, failed)
}

// removePediaCluster deletes the PediaCluster of the lifecycle, or leaves it to
// its users, and reports whether that is done; when it is not, the PediaCluster is
// returned. One that was not made for this import stays untouched.
func (c *importController) removePediaCluster(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r removal) (object *unstructured.Unstructured, gone bool, err error) {
	// A deletion of what has changed since the informer saw it fails. That there
	// is nothing to take back, only the host can say.
	object = c.objects.Object(pediaClusters, "", lifecycle.Name)
	if object == nil || r.fateOf(lifecycle, object) != deleted {
		if object, err = c.livePediaCluster(ctx, lifecycle.Name); err != nil {
			return nil, false, err
		}
		if object == nil {
			if said := c.said(lifecycle); r.fate == deleted && said.Phase == policyv1alpha1.LifecycleDeleting && isCreated(said) {
				c.policies.announcer.gone(lifecycle, r.cause)
			}
			return nil, true, nil
		}
	}
	if fate := r.fateOf(lifecycle, object); fate != deleted {
		return object, true, c.releasePediaCluster(ctx, lifecycle, object, fate)
	}
	if object.GetDeletionTimestamp() == nil {
		if err := c.deleteOwned(ctx, lifecycle, object, r); err != nil {
			return nil, false, err
		}
	}
	return object, len(object.GetFinalizers()) == 0, nil
}

// fateOf is what becomes of this PediaCluster.
func (r removal) fateOf(lifecycle *policyv1alpha1.PediaClusterLifecycle, object *unstructured.Unstructured) fate {
	switch {
	case hasOrphanAnnotation(&lifecycle.ObjectMeta), isPaused(lifecycle),
		ownerOf(lifecycle).Ownership(object) != render.Owned, // its reference to us is taken away, should there be one
		r.asked != nil && object.GetCreationTimestamp().After(r.asked.Add(underWay)):
		return released
	default:
		return r.fate
	}
}

// livePediaCluster reads a PediaCluster from the host: the informer may not have
// seen yet what was just made. It is nil when there is none, which an answer that
// its type is not served does not say.
func (c *importController) livePediaCluster(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	object, err := c.host.Resource(render.PediaClusterGVR).Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		return object, nil
	case objectNotFound(err):
		return nil, nil
	case apierrors.IsNotFound(err):
		removed, err := c.types.Removed(ctx, render.PediaClusterGVR.GroupResource())
		if err == nil && removed {
			return nil, nil
		}
		return nil, errors.Join(errors.New("the host does not serve PediaClusters now"), err)
	default:
		return nil, fmt.Errorf("reading the PediaCluster: %w", err)
	}
}

// releasePediaCluster takes the marks of ownership off a PediaCluster.
func (c *importController) releasePediaCluster(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, object *unstructured.Unstructured, fate fate) error {
	release := render.Release(object, fate == handedOver)
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
		return fmt.Errorf("releasing the PediaCluster: %w", err)
	}
	klog.FromContext(ctx).V(2).Info("Released a PediaCluster", "pediaCluster", object.GetName())
	if fate == released {
		c.policies.announcer.wrote(lifecycle, object, eventReleased, "")
	}
	return nil
}

// deleteOwned deletes just this version of the PediaCluster of a lifecycle that
// goes, and tells of it.
func (c *importController) deleteOwned(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, object *unstructured.Unstructured, r removal) error {
	deleted, err := c.deletePediaCluster(ctx, r.policy, lifecycle, object, r.cause)
	if deleted {
		c.policies.announcer.deleted(lifecycle, object, r.cause)
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
		return false, fmt.Errorf("deleting the PediaCluster: %w", err)
	}
	klog.FromContext(ctx).V(2).Info("Deleted a PediaCluster", "pediaCluster", object.GetName(), "cause", cause)
	return true, nil
}

// errUnconfirmed says that it is not certain that a PediaCluster is still to be
// deleted.
var errUnconfirmed = errors.New("not deleted")

// confirm makes sure that nobody has just said that a PediaCluster is to stay:
// informers may not have seen it yet, but storage knows.
func (c *importController) confirm(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy, lifecycle *policyv1alpha1.PediaClusterLifecycle) error {
	stored, err := c.records.client.Get(ctx, lifecycle.Name, metav1.GetOptions{})
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
		hasOrphanAnnotation(&latest.ObjectMeta) != hasOrphanAnnotation(&policy.ObjectMeta):
		return fmt.Errorf("%w: its policy has changed: waiting until that is seen", errUnconfirmed)
	}
	return nil
}

// isStale reports whether what a deletion was decided from may no longer be so: it
// is decided anew, and there is nothing to tell.
func isStale(err error) bool {
	return errors.Is(err, errUnconfirmed) || apierrors.IsConflict(err)
}

func preconditions(object metav1.Object) *metav1.Preconditions {
	uid, version := object.GetUID(), object.GetResourceVersion()
	return &metav1.Preconditions{UID: &uid, ResourceVersion: &version}
}

func isPaused(lifecycle *policyv1alpha1.PediaClusterLifecycle) bool {
	return lifecycle.Annotations[policyv1alpha1.PausedAnnotation] == "true"
}

func hasOrphanAnnotation(object *metav1.ObjectMeta) bool {
	return object.Annotations[policyv1alpha1.OrphanAnnotation] == "true"
}

func removedByServer(lifecycle *policyv1alpha1.PediaClusterLifecycle) bool {
	return lifecycle.Annotations[policyv1alpha1.RemovedAnnotation] == "true"
}

// deletedByHand reports whether a person has deleted the lifecycle, or has said of
// one that this server deletes that its PediaCluster is to stay.
func deletedByHand(lifecycle *policyv1alpha1.PediaClusterLifecycle) bool {
	return lifecycle.DeletionTimestamp != nil && (!removedByServer(lifecycle) || hasOrphanAnnotation(&lifecycle.ObjectMeta))
}

// letGo lets a deleted lifecycle go whose cluster nobody says is gone. Deleted by
// hand it releases its PediaCluster. Deleted by this server, for a cause that has
// passed, it hands the PediaCluster over to the lifecycle that comes next. It returns
// what became of the lifecycle, nil when it is gone.
func (c *importController) letGo(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle) (still *outcome, err error) {
	return c.remove(ctx, lifecycle, removal{cause: policyv1alpha1.ReasonReleased, fate: handedOver})
}

// releaseDeleted lets the lifecycles go that a person has deleted, whatever is wrong
// with the policy. It reports whether one is gone.
func (w *importWork) releaseDeleted(ctx context.Context) (gone bool, err error) {
	if !slices.ContainsFunc(w.lifecycles, deletedByHand) {
		return false, nil
	}
	for _, lifecycle := range w.lifecycles {
		if !deletedByHand(lifecycle) {
			continue
		}
		still, err := w.letGo(ctx, lifecycle)
		if err != nil {
			return gone, err
		}
		gone = gone || still == nil
	}
	w.lifecycles = w.lifecyclesOf(w.Import) // as they are now
	return gone, nil
}
