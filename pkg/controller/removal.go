package controller

import (
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
			return &outcome{phase: policyv1alpha1.LifecycleDeleting, created: true}, err
		}
		if still == nil {
			still = &outcome{phase: policyv1alpha1.LifecycleDeleting}
		}
		if result == nil || still.phase == policyv1alpha1.LifecycleHeld {
			result = still
		}
	}
	w.withdraw(true, false)
	return result, nil
}

// removeIfMay removes the lifecycle, unless the brake holds its PediaCluster: it
// returns what became of the import then.
func (w *importWork) removeIfMay(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r removal) (still *outcome, err error) {
	r.policy = w.state.policy
	switch {
	case w.state.policy.Spec.DeletionPolicy == policyv1alpha1.DeletionPolicyOrphan:
		r.fate = released
	case r.counted && r.fate == deleted && lifecycle.DeletionTimestamp != nil &&
		(!removedByServer(lifecycle) || hasOrphanAnnotation(&lifecycle.ObjectMeta)):
		// A person's deletion, which never deletes a cluster, must not be a way
		// around the brake.
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
			_, err := w.writeStatus(ctx, lifecycle, status)
			return outcomeOf(status), err
		}
	}
	return nil, w.remove(ctx, lifecycle, r)
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
	if plan == "" { // not decided since this process began
		plan = before
	}
	release := "delete this lifecycle"
	if lifecycle.DeletionTimestamp != nil {
		release += " once more, with --cascade=orphan,"
	}
	return &stalled{
		phase: policyv1alpha1.LifecycleHeld, reason: policyv1alpha1.ReasonPruneHeld, plan: plan,
		message: fmt.Sprintf("%s, but more PediaClusters would go at once than maxPrune of the policy allows: kept until plan %s is released, "+
			"as the PruneHeld condition of policy %q explains; %s to leave its PediaCluster to its users",
			causes[cause], plan, w.Policy, release),
	}, verdict
}

// causes are the reasons of removals that count, as a sentence begins.
var causes = map[string]string{
	policyv1alpha1.ReasonSourceGone:           "the Source is gone, though nobody saw it being deleted",
	policyv1alpha1.ReasonSourceDeselected:     "the selectors no longer let the Source through",
	policyv1alpha1.ReasonRenamed:              "nameTemplate renders another name now",
	policyv1alpha1.ReasonDeletionConditionMet: "deletionCondition is true",
}

// withdraw tells the brake which removals of the import are no longer wanted.
// While it is not certain what deletionCondition says, it may still be true; and
// while a name is being changed, the former one may still have to go.
func (w *importWork) withdraw(certain, renaming bool) {
	w.brake.Withdraw(w.Import, func(r brake.Removal, verdict brake.Verdict) bool {
		return slices.Contains(w.wanted, r) ||
			verdict == brake.Held && (!certain && r.Cause == policyv1alpha1.ReasonDeletionConditionMet ||
				renaming && r.Cause == policyv1alpha1.ReasonRenamed)
	})
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

// remove takes one lifecycle back: at once if it may, otherwise it marks it as
// going, deletes its PediaCluster or leaves it to its users, then lets the
// lifecycle go. It is called again until all is done.
func (c *importController) remove(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r removal) error {
	object := c.objects.Object(pediaClusters, "", lifecycle.Name)
	if mayGoAtOnce(lifecycle, object) && r.fateOf(lifecycle, object) == deleted {
		return c.removeAtOnce(ctx, lifecycle, object, r)
	}
	if lifecycle.DeletionTimestamp == nil {
		klog.FromContext(ctx).V(2).Info("Removing a lifecycle", "lifecycle", klog.KObj(lifecycle), "cause", r.cause)
		var propagation *metav1.DeletionPropagation
		if r.fate == released {
			// It is written down: what is decided now must not be decided otherwise
			// when the PediaCluster's turn comes.
			propagation = ptr.To(metav1.DeletePropagationOrphan)
		}
		marked, err := c.records.delete(ctx, lifecycle, propagation)
		if err != nil {
			return fmt.Errorf("deleting the lifecycle: %w", err)
		}
		if marked == nil {
			return nil
		}
		lifecycle = marked
	}
	if !slices.Contains(lifecycle.Finalizers, policyv1alpha1.Finalizer) {
		return nil
	}
	gone, err := c.removePediaCluster(ctx, lifecycle, r)
	if err != nil {
		return c.notRemoved(ctx, lifecycle, err)
	}
	if !gone {
		// Its informer may have been given back with the last policy.
		c.queue.AddAfter(importOf(lifecycle), retryDelay)
		_, err := c.writeStatus(ctx, lifecycle, stalledStatus(lifecycle, c.said(lifecycle), nil,
			&stalled{phase: policyv1alpha1.LifecycleDeleting, reason: r.cause, message: "waiting until the PediaCluster is gone"}))
		return err
	}
	if r.fate != deleted {
		c.index.Reserve(lifecycle.Name, importOf(lifecycle))
	}
	if err := c.records.letGo(ctx, lifecycle); err != nil {
		return fmt.Errorf("letting the lifecycle go: %w", err)
	}
	return nil
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
		return c.notRemoved(ctx, lifecycle, err)
	}
	if err := c.records.letGo(ctx, lifecycle); err != nil {
		return fmt.Errorf("letting the lifecycle go: %w", err)
	}
	return nil
}

// notRemoved tells why a PediaCluster is still there, and returns the error.
func (c *importController) notRemoved(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, err error) error {
	if isStale(err) {
		return err
	}
	_, failed := c.writeStatus(ctx, lifecycle, stalledStatus(lifecycle, c.said(lifecycle), nil,
		&stalled{phase: policyv1alpha1.LifecycleDeleting, reason: policyv1alpha1.ReasonHostUnavailable,
			message: "removing the PediaCluster, which is tried again: " + refusal(err)}))
	return errors.Join(err, failed)
}

// removePediaCluster deletes the PediaCluster of the lifecycle, or leaves it to
// its users, and reports whether that is done. One that was not made for this
// import stays untouched.
func (c *importController) removePediaCluster(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r removal) (gone bool, err error) {
	// A deletion of what has changed since the informer saw it fails. That there
	// is nothing to take back, only the host can say.
	object := c.objects.Object(pediaClusters, "", lifecycle.Name)
	if object == nil || r.fateOf(lifecycle, object) != deleted {
		if object, err = c.livePediaCluster(ctx, lifecycle.Name); err != nil || object == nil {
			return object == nil, err
		}
	}
	if fate := r.fateOf(lifecycle, object); fate != deleted {
		return true, c.releasePediaCluster(ctx, lifecycle, object, fate)
	}
	if object.GetDeletionTimestamp() == nil {
		if err := c.deleteOwned(ctx, lifecycle, object, r); err != nil {
			return false, err
		}
	}
	return len(object.GetFinalizers()) == 0, nil
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

// letGo lets a deleted lifecycle go whose cluster nobody says is gone. Deleted by
// hand it releases its PediaCluster. Deleted by this server, for a cause that has
// passed, it hands the PediaCluster over to the lifecycle that comes next.
func (c *importController) letGo(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle) error {
	r := removal{cause: policyv1alpha1.ReasonReleased, fate: released}
	if removedByServer(lifecycle) {
		r.fate = handedOver
	}
	return c.remove(ctx, lifecycle, r)
}
