package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/confirm"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/probe"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/typed/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// refusedDelay is after how long something that the host refused as invalid is
// tried again: the definition of PediaClusters may have changed meanwhile.
const refusedDelay = 5 * time.Minute

// retryDelay is after how long something is looked at again of which no event
// may tell.
const retryDelay = 2 * time.Second

type lifecycleClient = policyclient.PediaClusterLifecycleInterface

// importController works on one import at a time: one Source under one policy.
type importController struct {
	policies *policyController
	records  *lifecycleStore
	host     dynamic.Interface
	types    *servedtypes.Tracker
	objects  *hostobjects.Pool
	index    *index.Index
	brake    *brake.Brake
	deleted  deletions
	changes  changes
	created  creations
	looks    looks
	// confirmed are policies as storage has them, by name.
	confirmed confirm.Group[string, *policyv1alpha1.ClusterImportPolicy]
	// prober asks imported clusters whether they answer; nil when none are asked.
	prober *probe.Prober
	queue  workqueue.TypedRateLimitingInterface[index.Import]
	lanes  *lanes[index.Import]
	// owners are the names of lifecycles whose controller reference is to be checked.
	owners workqueue.TypedRateLimitingInterface[string]
}

func newImportController(policies *policyController, records *lifecycleStore, host dynamic.Interface,
	types *servedtypes.Tracker, objects *hostobjects.Pool, brake *brake.Brake) *importController {
	lanes := newLanes[index.Import]()
	return &importController{
		policies: policies, records: records, host: host, types: types, objects: objects,
		index: index.New(),
		brake: brake,
		queue: newQueue("imports", lanes), lanes: lanes,
		owners: newQueue[string]("owners", nil),
	}
}

func (c *importController) lifecycleHandler() cache.ResourceEventHandler {
	added := func(object any, initial bool) {
		lifecycle := object.(*policyv1alpha1.PediaClusterLifecycle)
		c.index.Leave(importOf(lifecycle))
		c.created.seen(lifecycle)
		if !initial { // checkAllOwners sees to the others, when all policies are known
			c.checkOwner(lifecycle)
		}
		if c.prober != nil || len(c.index.Contenders(lifecycle.Name)) > 0 {
			c.enqueue(importOf(lifecycle)) // for what was told of its name while it was not known
			return
		}
		c.echoed(importOf(lifecycle))
	}
	deleted := func(object any) {
		if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = tombstone.Obj
		}
		lifecycle, ok := object.(*policyv1alpha1.PediaClusterLifecycle)
		if !ok {
			return
		}
		c.records.seenGone(lifecycle)
		c.created.seen(lifecycle)
		c.looks.written(lifecycle)
		if c.prober != nil {
			c.prober.Forget(lifecycle.Name)
		}
		c.enqueue(importOf(lifecycle))
		c.enqueueContenders(lifecycle.Name)
		// Another policy may have been waiting for the Source.
		for _, i := range c.policies.importsOf(lifecycle.Spec.Source) {
			c.enqueue(i)
		}
		// A policy that is being deleted goes after its last lifecycle.
		c.policies.queue.Add(policyOf(lifecycle))
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: added,
		UpdateFunc: func(older, newer any) {
			before, now := older.(*policyv1alpha1.PediaClusterLifecycle), newer.(*policyv1alpha1.PediaClusterLifecycle)
			ours := c.records.seen(now)
			if before.UID != now.UID {
				deleted(older)
			}
			if !equality.Semantic.DeepEqual(before.OwnerReferences, now.OwnerReferences) {
				c.checkOwner(now)
				c.enqueue(importOf(before))
				c.enqueue(importOf(now))
			}
			switch {
			case before.UID != now.UID || changedForImport(before, now):
				c.enqueue(importOf(now))
			case !ours && before.ResourceVersion != now.ResourceVersion:
				// Its writer does not know it yet, or it came after all, late.
				c.echoed(importOf(now))
			}
		},
		DeleteFunc: deleted,
	}
}

// lateDelay is for how long, and at most twice that, something may not be seen that
// was written.
const lateDelay = 5 * time.Minute

// lookForLate has imports looked at again whose PediaCluster should have been seen.
func (c *importController) lookForLate(context.Context) {
	for _, i := range c.looks.late() {
		c.enqueue(i)
	}
}

func (c *importController) add(i index.Import, in lane) {
	c.lanes.announce(i, in)
	c.queue.Add(i)
}

// enqueue has an import looked at, whatever the last look has found.
func (c *importController) enqueue(i index.Import) {
	c.looks.void(i)
	c.add(i, singleLane)
}

// enqueueAmongMany does so for one of many imports, which single ones overtake.
func (c *importController) enqueueAmongMany(i index.Import) {
	c.looks.void(i)
	c.add(i, bulkLane)
}

// echoed has an import looked at after an event of its lifecycle that a look has
// most likely caused, and ends soon if one has. While its record is left to be
// written, that is looked at then.
func (c *importController) echoed(i index.Import) {
	if !c.looks.waits(i) {
		c.add(i, singleLane)
	}
}

// changedForImport reports whether a lifecycle changed in what this controller
// does not write.
func changedForImport(before, now *policyv1alpha1.PediaClusterLifecycle) bool {
	return !before.DeletionTimestamp.Equal(now.DeletionTimestamp) ||
		!maps.Equal(before.Annotations, now.Annotations) ||
		now.DeletionTimestamp != nil && !slices.Equal(before.Finalizers, now.Finalizers)
}

// sourceChanged has the import of a Source worked on.
func (c *importController) sourceChanged(i index.Import, change hostobjects.Change) {
	c.deleted.set(i, change == hostobjects.Deleted && len(c.lifecyclesOf(i)) > 0)
	c.changes.put(i, time.Now())
	if change != hostobjects.Present {
		c.looks.void(i)
	}
	c.add(i, singleLane)
}

// lifecyclesOf returns the lifecycles of an import: one, or two while its name
// changes, the newer first. Those whose controller reference is broken are restored first.
func (c *importController) lifecyclesOf(i index.Import) (lifecycles []*policyv1alpha1.PediaClusterLifecycle) {
	state := c.policies.state(i.Policy)
	if state == nil {
		return nil
	}
	for _, lifecycle := range c.records.ofSource(state.sourceResource(i)) {
		if isControlledBy(lifecycle, state.policy) {
			lifecycles = append(lifecycles, lifecycle)
		}
	}
	slices.SortFunc(lifecycles, func(a, b *policyv1alpha1.PediaClusterLifecycle) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return lifecycles
}

// clusterAnswered has a new answer of a cluster shown.
func (c *importController) clusterAnswered(name string) {
	if lifecycle, err := c.records.lister.Get(name); err == nil {
		c.enqueue(importOf(lifecycle))
	}
}

// probe asks the cluster of a PediaCluster from now on, and puts what it last
// answered where Clusterpedia has not said anything.
func (c *importController) probe(name string, pediaCluster *unstructured.Unstructured, state *policyv1alpha1.ClusterState) {
	if c.prober == nil {
		return
	}
	if pediaCluster == nil {
		c.prober.Forget(name)
		return
	}
	c.prober.Set(name, probe.TargetOf(pediaCluster))
	result, answered := c.prober.Result(name)
	if !answered || state.Ready != "" {
		return
	}
	state.Ready, state.Message = string(result.Ready), result.Message
	state.Version = cmp.Or(state.Version, result.Version)
	state.APIServer = cmp.Or(state.APIServer, result.APIServer)
}

func (c *importController) pediaClusterChanged(name string, change hostobjects.Change) {
	lifecycle, err := c.records.lister.Get(name)
	if err != nil && change != hostobjects.Present {
		// It may be the one that an import has just made, with a lifecycle that is
		// not known yet, or only now.
		c.looks.voidAll()
		lifecycle, err = c.records.lister.Get(name)
	}
	switch {
	case err != nil:
	case change == hostobjects.Present:
		if i := importOf(lifecycle); !c.looks.isEcho(i, c.objects.ResourceVersion(pediaClusters, "", name)) {
			c.add(i, singleLane)
		}
	default:
		c.enqueue(importOf(lifecycle))
	}
	c.enqueueContenders(name)
}

func (c *importController) referenceChanged(object index.Object) {
	for _, i := range c.index.Readers(object) {
		c.changes.put(i, time.Now())
		c.enqueue(i)
	}
}

func (c *importController) enqueueContenders(name string) {
	for _, i := range c.index.Contenders(name) {
		c.enqueue(i)
	}
}

// setWants records the name that an import would have if it were free, and has
// those who hold such names say so.
func (c *importController) setWants(i index.Import, name string) {
	for _, changed := range c.index.SetWants(i, name) {
		if holder, err := c.records.lister.Get(changed); err == nil {
			c.enqueue(importOf(holder))
		} else if changed == name {
			// It became free before this import was known to want it.
			c.queue.AddAfter(i, retryDelay)
		}
	}
}

// reconcile works on one import. An error is tried again; what cannot heal by
// itself is shown in a status instead.
func (c *importController) reconcile(ctx context.Context, i index.Import) error {
	look, last := c.looks.begin(i)
	var left *found
	var postponed *importWork
	defer func() {
		if postponed == nil {
			c.looks.end(i, look, left)
			return
		}
		// What was added during the look were echoes, as long as all is as it was left.
		c.lanes.postpone(i)
		in := recordLane
		if !postponed.objectsAreAs(left, postponed.name) || !c.looks.end(i, look, left) {
			in = singleLane
		}
		c.add(i, in)
	}()
	changed := c.changes.take(i)
	state := c.policies.state(i.Policy)
	if state == nil {
		c.forgetWithoutPolicy(i)
		return nil
	}
	work := &importWork{importController: c, Import: i, state: state, changed: changed}
	work.lifecycles = c.lifecyclesOf(i)
	if gone, err := work.releaseDeleted(ctx); gone || err != nil {
		c.policies.worked(i, work.unchanged())
		return err // the event of the deletion has the import worked on again
	}
	if state.problem != nil && !state.problem.lasting && state.policy.DeletionTimestamp == nil {
		return c.tell(ctx, work.lifecycles) // all imports are enqueued when the problem has passed
	}
	work.fresh = slices.ContainsFunc(work.lifecycles, resyncDue)
	if work.isAs(last) {
		err := work.catchUp(ctx, last)
		if err == nil {
			left = last
		}
		return err
	}
	defer func() {
		if fault := recover(); fault != nil {
			c.policies.worked(i, work.unchanged()) // the others are decided about all the same
			panic(fault)
		}
	}()
	result, err := work.reconcile(ctx)
	left = work.found
	if err != nil {
		c.changes.put(i, work.changed) // until it is tried again
	}
	if result == nil && err == nil {
		c.forget(i)
		c.deleted.set(i, false)
		c.brake.Withdraw(i, func(brake.Removal) bool { return false })
		c.index.Leave(i)
	}
	if err == nil && !slices.ContainsFunc(work.lifecycles, c.isReserved) {
		c.unreserve(i)
	}
	if work.postponed {
		postponed = work
		c.policies.expected(i, result)
		return err
	}
	c.policies.worked(i, result)
	return err
}

// isReserved reports whether the name of the lifecycle is kept for its import.
func (c *importController) isReserved(lifecycle *policyv1alpha1.PediaClusterLifecycle) bool {
	keeper, ok := c.index.ReservedFor(lifecycle.Name)
	return ok && keeper == importOf(lifecycle)
}

// unreserve gives the names free that were kept for an import: its lifecycle has
// been made anew, or never will be.
func (c *importController) unreserve(i index.Import) {
	for _, name := range c.index.Unreserve(i) {
		c.enqueueContenders(name)
	}
}

// forget drops what is known of an import of which nothing is left.
func (c *importController) forget(i index.Import) {
	c.looks.forget(i)
	c.index.SetReads(i, nil)
	c.setWants(i, "")
}

// forgetWithoutPolicy drops what is known of an import whose policy is gone. Its
// lifecycles, should there be any, are released by reconcileOwner.
func (c *importController) forgetWithoutPolicy(i index.Import) {
	if _, err := c.policies.lister.Get(i.Policy); err == nil {
		return // all imports are enqueued when the policy has been looked at
	}
	c.forget(i)
	c.index.Leave(i)
	c.unreserve(i)
}

// importWork is one look at one import.
type importWork struct {
	*importController
	index.Import
	state *policyState
	// lifecycles of this import: one, or two while its name changes.
	lifecycles []*policyv1alpha1.PediaClusterLifecycle
	// source is the Source as it was read, nil while it was not.
	source *unstructured.Unstructured
	// selected is set when the Source is known to be selected.
	selected bool
	// fresh is set when somebody asked for a look at the host instead of at
	// what is known of it.
	fresh bool
	// changed is since when a change waits to be written, zero when none does.
	changed time.Time
	// wanted are the removals that were asked for.
	wanted []brake.Removal
	// found is set when nothing is left to do, but for a record that is postponed.
	found     *found
	postponed bool
	// name is the one under which the import is worked on, wantedName the one that its
	// policy wants.
	name, wantedName string
}

// reconcile returns what became of the import, nil when nothing is left of it.
func (w *importWork) reconcile(ctx context.Context) (*outcome, error) {
	policy := w.state.policy
	switch {
	case policy.DeletionTimestamp != nil:
		r := removal{cause: policyv1alpha1.ReasonPolicyDeleted, asked: policy.DeletionTimestamp}
		if policy.Spec.Suspend || hasOrphanAnnotation(&policy.ObjectMeta) {
			r.fate = released
		}
		return w.removeAll(ctx, r)
	case w.state.problem != nil:
		w.deleted.set(w.Import, false)
		return w.blocked(ctx, *w.state.problem)
	case policy.Spec.Suspend:
		// A deletion that was seen is acted upon at once, or counts.
		w.deleted.set(w.Import, false)
		return w.unchanged(), w.tell(ctx, w.lifecycles)
	case slices.ContainsFunc(w.lifecycles, isPaused):
		w.deleted.set(w.Import, false)
		return w.show(ctx, &stalled{phase: policyv1alpha1.LifecycleHeld, reason: policyv1alpha1.ReasonPaused,
			message: "nothing is created, changed or deleted until the annotation " + policyv1alpha1.PausedAnnotation + " is removed"})
	}

	source, err := w.readSource(ctx)
	w.source = source
	lost := (*servedtypes.LostError)(nil)
	switch {
	case errors.Is(err, errSourceGone):
		return w.removeAll(ctx, removal{cause: policyv1alpha1.ReasonSourceGone, counted: !w.deleted.has(w.Import)})
	case errors.As(err, &lost):
		w.deleted.set(w.Import, false)
		return w.show(ctx, &stalled{phase: policyv1alpha1.LifecycleHeld, reason: policyv1alpha1.ReasonSourceTypeLost, message: lost.Error() +
			": the PediaCluster stays until the Source is back; delete this lifecycle to release it"})
	case err != nil:
		return w.unchanged(), err
	case source == nil:
		return nil, nil
	}

	selected, err := w.state.compiled.Selects(source)
	if err != nil {
		w.setWants(w.Import, "")
		return w.show(ctx, &stalled{phase: policyv1alpha1.LifecycleFailed, reason: policyv1alpha1.ReasonSelectorFailed, message: err.Error()})
	}
	if !selected {
		return w.removeAll(ctx, removal{cause: policyv1alpha1.ReasonSourceDeselected, counted: true})
	}
	w.selected = true
	name, err := w.state.compiled.Name(source)
	if err != nil {
		w.setWants(w.Import, "")
		return w.stay(ctx, source, &stalled{phase: policyv1alpha1.LifecycleFailed, reason: policyv1alpha1.ReasonInvalidName, message: err.Error()})
	}
	return w.importUnder(ctx, name, source)
}

// importUnder brings about what the policy wants under the wanted name, or keeps what
// there is up to date while that name has to wait.
func (w *importWork) importUnder(ctx context.Context, wanted string, source *unstructured.Unstructured) (*outcome, error) {
	w.wantedName = wanted
	if len(w.lifecycles) < 2 {
		return w.importAs(ctx, wanted, source, nil)
	}
	naming := render.ChooseName(wanted, w.named())
	var left *outcome
	for _, lifecycle := range w.lifecycles {
		if !slices.Contains(naming.First, lifecycle.Name) {
			continue
		}
		still, err := w.removeIfMay(ctx, lifecycle, removal{cause: policyv1alpha1.ReasonRenamed, counted: true})
		if err != nil {
			return w.unchanged(), err
		}
		if still == nil { // its event has the import worked on again
			w.lifecycles = w.lifecyclesOf(w.Import)
			return w.unchanged(), nil
		}
		left = summedUp(left, still)
	}
	if naming.Name == "" {
		w.withdraw()
		return left, nil
	}
	if naming.Behind == "" {
		return w.importAs(ctx, naming.Name, source, nil)
	}
	return w.importAs(ctx, naming.Name, source, &stalled{phase: policyv1alpha1.LifecycleWaiting,
		reason: policyv1alpha1.ReasonRenamed, message: naming.DescribeBehind(wanted)})
}

// named is what the choice of a name knows of the lifecycles of the import.
func (w *importWork) named() (named []render.NamedLifecycle) {
	for _, lifecycle := range w.lifecycles {
		object := w.objects.Object(pediaClusters, "", lifecycle.Name)
		named = append(named, render.NamedLifecycle{
			Name: lifecycle.Name, Created: lifecycle.CreationTimestamp.Time, Deleting: lifecycle.DeletionTimestamp != nil,
			HasPediaCluster: isCreated(w.said(lifecycle)) || object != nil && ownerOf(lifecycle).Ownership(object) != render.OwnedByOther,
		})
	}
	return named
}

// stalled is why an import cannot be what its policy wants.
type stalled struct {
	phase           policyv1alpha1.LifecyclePhase
	reason, message string
	// plan is the one under which a removal is held.
	plan string
}

func (s *stalled) Error() string { return s.message }

// errSourceGone says that the Source is known not to exist.
var errSourceGone = errors.New("the Source is gone")

// readSource returns the Source. It is nil when there is none and nothing was made
// of it. For an import that exists its absence is believed only when the host
// confirms it.
func (w *importWork) readSource(ctx context.Context) (*unstructured.Unstructured, error) {
	deleted := w.deleted.has(w.Import)
	source := w.objects.Object(w.state.sources, w.Namespace, w.Name)
	if source != nil && deleted { // it is there again, or another informer spoke
		w.deleted.set(w.Import, false)
	}
	if source != nil && !w.fresh || len(w.lifecycles) == 0 {
		return source, nil
	}
	source, err := w.host.Resource(w.state.source.GroupVersionResource).Namespace(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
	if err == nil {
		// It is not selected, or it is new. What was seen going was another one.
		w.deleted.set(w.Import, false)
		return source, nil
	}
	if !objectNotFound(err) {
		return nil, fmt.Errorf("making sure that the Source is gone: %w", err)
	}
	for _, lifecycle := range w.lifecycles {
		if seen := lifecycle.Status.SourceDefinition; seen != "" && seen != w.state.source.Definition {
			return nil, servedtypes.Replaced(w.state.source)
		}
	}
	if err := w.types.Confirm(ctx, w.state.source); err != nil {
		return nil, err
	}
	return nil, errSourceGone
}

// objectNotFound reports whether the host says that an object of a type it
// serves does not exist. A type that is not served is answered 404 as well.
func objectNotFound(err error) bool {
	if !apierrors.IsNotFound(err) {
		return false
	}
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name != "" &&
		!apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// stay keeps an import up to date under the name it has, while it cannot have
// the one that its policy wants.
func (w *importWork) stay(ctx context.Context, source *unstructured.Unstructured, cause *stalled) (*outcome, error) {
	stays := slices.DeleteFunc(slices.Clone(w.lifecycles), func(l *policyv1alpha1.PediaClusterLifecycle) bool { return l.DeletionTimestamp != nil })
	if len(stays) == 1 {
		return w.importAs(ctx, stays[0].Name, source, cause)
	}
	return w.show(ctx, cause)
}

// importAs brings the lifecycle and the PediaCluster of that name about. The
// import cannot have the name that its policy wants if renaming is stalled.
func (w *importWork) importAs(ctx context.Context, name string, source *unstructured.Unstructured, renaming *stalled) (result *outcome, err error) {
	w.name = name
	lifecycle, replaced, others, err := w.sortOut(ctx, name)
	if err != nil {
		return w.unchanged(), err
	}
	if lifecycle != nil && lifecycle.DeletionTimestamp != nil {
		// The import is made anew when this lifecycle has gone.
		result, err := w.letGo(ctx, lifecycle)
		return cmp.Or(result, &outcome{phase: policyv1alpha1.LifecycleDeleting}), err
	}
	want := w.desiredLifecycle(name)
	if lifecycle == nil {
		lifecycle, err = w.createLifecycle(ctx, want)
	} else {
		w.index.Leave(w.Import)
	}
	if taken := (*stalled)(nil); errors.As(err, &taken) {
		wants := ""
		if taken.reason == policyv1alpha1.ReasonNameTaken {
			wants = name
		}
		w.setWants(w.Import, wants)
		return w.stay(ctx, source, taken)
	}
	if err != nil {
		return w.unchanged(), err
	}
	if renaming == nil {
		w.setWants(w.Import, "")
	}

	owner := ownerOf(lifecycle)
	rendering := rendering{began: time.Now()}
	conversion := w.state.compiled.Convert(render.Inputs{
		Name: name, Source: source, Versions: w.state.versions(),
		Lookup: func(target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
			defer rendering.pause()()
			return w.lookup(ctx, target)
		},
		Env: engine.Env{Now: lifecycle.CreationTimestamp.Time, Seed: string(lifecycle.UID)},
	})
	rendering.done(w.Policy)
	w.index.SetReads(w.Import, reads(conversion.References))

	former, err := w.former(ctx, replaced)
	if err != nil {
		return w.unchanged(), err
	}
	current, err := w.current(ctx, name)
	if err != nil {
		return w.unchanged(), err
	}
	plan := conversion.Plan(owner, current, former)
	planned(w.Policy, plan)
	switch held, undecided := w.braked(ctx, lifecycle, current, &conversion, plan); {
	case undecided:
		return w.unchanged(), nil
	case held != nil:
		status := stalledStatus(lifecycle, w.said(lifecycle), current, held)
		aboutSource(&status, source)
		kept := &record{lifecycle: lifecycle, spec: want.Spec, status: status}
		w.looks.owe(w.Import, kept, time.Now())
		_, err := w.keep(ctx, lifecycle, kept)
		result = summedUp(w.keepHeld(ctx, outcomeOf(status), replaced), others)
		w.withdraw()
		return result, err
	}
	if current == nil && plan.Reason == policyv1alpha1.ReasonDeletionConditionMet && isCreated(w.said(lifecycle)) {
		w.policies.announcer.gone(lifecycle, plan.Reason)
	}
	if plan.Action == render.ActionCreate && isCreated(lifecycle.Status) {
		if lifecycle, err = w.uncreated(ctx, lifecycle); err != nil {
			return w.unchanged(), err
		}
	}
	done := w.execute(ctx, lifecycle, current, plan)
	w.propagated(done)
	w.policies.announcer.executed(lifecycle, current, done)
	if done.stale {
		return w.unchanged(), done.err
	}
	if unread := (*render.LookupError)(nil); errors.As(conversion.Err, &unread) {
		done.err = unread
	}
	status := lifecycleStatus(lifecycle, w.said(lifecycle), conversion.References, done)
	status.SourceDefinition = w.state.source.Definition
	w.probe(name, done.pediaCluster, status.Cluster)
	if renaming != nil {
		status = renamingStalled(status, lifecycle.Generation, renaming)
	}
	setNameContended(&status, lifecycle.Generation, w.index.Contenders(lifecycle.Name))
	aboutSource(&status, source)
	result = outcomeOf(status)
	kept := &record{lifecycle: lifecycle, spec: want.Spec, status: status}
	if err := w.tell(ctx, replaced); err != nil {
		return w.unchanged(), err
	}
	owed := w.looks.owe(w.Import, kept, time.Now())
	var left *found
	if status.Phase == policyv1alpha1.LifecycleImported && len(replaced) == 0 && others == nil && !w.fresh && done.err == nil {
		left = &found{uid: lifecycle.UID, lifecycle: lifecycle.ResourceVersion,
			source: source.GetResourceVersion(), pediaCluster: done.pediaCluster.GetResourceVersion(), outcome: result}
		if current != nil {
			left.before = current.GetResourceVersion()
		}
		if w.objectsAreAs(left, name) && kept.mayWait() && w.lanes.busy() && owed <= recordDelay {
			w.found, w.postponed = left, true
			w.withdraw()
			return result, nil
		}
	}
	updated, err := w.keep(ctx, lifecycle, kept)
	if err != nil {
		return w.unchanged(), err
	}
	if left != nil {
		left.lifecycle, w.found = updated.ResourceVersion, left
	}
	// A cluster is never missing from both names: the former PediaCluster goes
	// after there is a new one, unless it is not wanted at all.
	result = summedUp(result, others)
	if former == nil || done.settled() {
		for _, old := range replaced {
			still, err := w.removeReplaced(ctx, old)
			if err != nil {
				return w.unchanged(), err
			}
			result = summedUp(result, still)
		}
	} else {
		result = w.keepHeld(ctx, result, replaced)
	}
	w.withdraw()
	if done.plan.Reason == policyv1alpha1.ReasonInvalidPediaCluster {
		w.queue.AddAfter(w.Import, refusedDelay)
	}
	return result, done.err
}

// sortOut returns the lifecycle of the name, nil when there is none, and those of
// former names that are to be removed. Others are being deleted, and are let go: what
// became of those that hang is returned.
func (w *importWork) sortOut(ctx context.Context, name string) (lifecycle *policyv1alpha1.PediaClusterLifecycle,
	replaced []*policyv1alpha1.PediaClusterLifecycle, others *outcome, err error) {
	for _, candidate := range w.lifecycles {
		switch {
		case candidate.Name == name:
			lifecycle = candidate
		case deletedByHand(candidate), candidate.Name == w.wantedName:
			still, err := w.letGo(ctx, candidate)
			if err != nil {
				return nil, nil, nil, err
			}
			others = summedUp(others, still)
		default:
			replaced = append(replaced, candidate)
		}
	}
	return lifecycle, replaced, others, nil
}

// braked asks the brake about the PediaCluster that deletionCondition would delete. It
// returns why it is held, nil when it is not, or that it is not decided yet.
func (w *importWork) braked(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, current *unstructured.Unstructured,
	conversion *render.Conversion, plan render.Plan) (held *stalled, undecided bool) {
	if plan.Action == render.ActionDelete {
		held, verdict := w.ask(lifecycle, current, plan.Reason)
		return held, verdict == brake.Undecided
	}
	if conversion.DeletionUnknown {
		held = w.stillHeld(ctx, lifecycle, &stalled{reason: policyv1alpha1.ReasonDeletionConditionMet, message: plan.Message})
	}
	return held, false
}

// removeReplaced removes a lifecycle of a former name. While it is not known which name
// the policy wants, it may want the former one.
func (w *importWork) removeReplaced(ctx context.Context, old *policyv1alpha1.PediaClusterLifecycle) (*outcome, error) {
	if w.wantedName == "" {
		return w.keepHeld(ctx, nil, []*policyv1alpha1.PediaClusterLifecycle{old}), nil
	}
	return w.removeIfMay(ctx, old, removal{cause: policyv1alpha1.ReasonRenamed, counted: true})
}

// keepHeld keeps the removals of former PediaClusters held whose turn it is not, and
// returns what became of the import.
func (w *importWork) keepHeld(ctx context.Context, result *outcome, replaced []*policyv1alpha1.PediaClusterLifecycle) *outcome {
	for _, old := range replaced {
		_ = w.stillHeld(ctx, old, &stalled{reason: policyv1alpha1.ReasonRenamed}) // the lifecycle says so already
		result = summedUp(result, outcomeOf(w.said(old)))
	}
	return result
}

// uncreated has a lifecycle say that its PediaCluster has gone, and returns it so:
// a request that lets the version go that said otherwise may still be under way,
// and must not take the owner of another PediaCluster.
func (w *importWork) uncreated(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle) (*policyv1alpha1.PediaClusterLifecycle, error) {
	switch live, err := w.livePediaCluster(ctx, lifecycle.Name); {
	case err != nil:
		return nil, err
	case live != nil:
		return nil, errors.New("the PediaCluster exists: waiting until that is seen")
	}
	return w.writeStatus(ctx, lifecycle, uncreatedStatus(lifecycle))
}

// current is the PediaCluster of that name, nil when there is none.
func (w *importWork) current(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	if w.fresh {
		return w.livePediaCluster(ctx, name)
	}
	return w.objects.Object(pediaClusters, "", name), nil
}

// resyncDue reports whether somebody asked for a fresh look.
func resyncDue(lifecycle *policyv1alpha1.PediaClusterLifecycle) bool {
	return lifecycle.DeletionTimestamp == nil && resync(lifecycle) != lifecycle.Status.LastResync
}

// resync is the value of the annotation by which a fresh look is asked for.
func resync(lifecycle *policyv1alpha1.PediaClusterLifecycle) string {
	const most = 64
	value := lifecycle.Annotations[policyv1alpha1.ResyncAnnotation]
	return strings.ToValidUTF8(value[:min(len(value), most)], "")
}

// former is the PediaCluster of the name that the import had before, nil when
// there is none that was made for it. It is read from the host: the informer may
// not have seen yet what was just made.
func (w *importWork) former(ctx context.Context, replaced []*policyv1alpha1.PediaClusterLifecycle) (*unstructured.Unstructured, error) {
	for _, old := range replaced {
		object, err := w.livePediaCluster(ctx, old.Name)
		if err != nil {
			return nil, err
		}
		if object != nil && ownerOf(old).Ownership(object) == render.Owned {
			return object, nil
		}
	}
	return nil, nil
}

func ownerOf(lifecycle *policyv1alpha1.PediaClusterLifecycle) render.Owner {
	return render.Owner{Policy: policyOf(lifecycle), Source: lifecycle.Spec.Source, LifecycleUID: lifecycle.UID}
}

func reads(references []render.Reference) []index.Object {
	var objects []index.Object
	for _, ref := range references {
		if object := objectOf(ref.Target); !slices.Contains(objects, object) {
			objects = append(objects, object)
		}
	}
	return objects
}

func objectOf(target policyv1alpha1.DependentResource) index.Object {
	return index.Object{GroupResource: schema.GroupResource{Group: target.Group, Resource: target.Resource},
		Namespace: target.Namespace, Name: target.Name}
}

// createLifecycle creates the lifecycle. The error is a *stalled when another
// import has what it would need.
func (w *importWork) createLifecycle(ctx context.Context, want *policyv1alpha1.PediaClusterLifecycle) (*policyv1alpha1.PediaClusterLifecycle, error) {
	if taker, ok := w.index.Take(objectOf(want.Spec.Source), w.Import); !ok {
		return nil, fmt.Errorf("policy %q is about to import the Source: waiting until that is seen", taker.Policy)
	}
	if err := w.confirmCreated(ctx); err != nil {
		return nil, err
	}
	created, err := w.createTaken(ctx, want)
	if err == nil {
		w.created.put(w.Import, created)
		if known := w.records.get(created.Name); known != nil {
			w.created.seen(known)
		}
	}
	if taken := (*stalled)(nil); errors.As(err, &taken) {
		w.index.Leave(w.Import)
	}
	return created, err
}

// confirmCreated returns an error while the import has a lifecycle that it has just
// created and that the informer has not shown yet: it must not create another one
// beside that.
func (w *importWork) confirmCreated(ctx context.Context) error {
	created := w.created.get(w.Import)
	if created == nil {
		return nil
	}
	stored, err := w.records.client.Get(ctx, created.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) || err == nil && stored.UID != created.UID:
		w.created.seen(created) // it came and went
		return nil
	case err != nil:
		return fmt.Errorf("reading the lifecycle that was just created: %w", err)
	default:
		return errors.New("the lifecycle was just created: waiting until it is seen")
	}
}

// createTaken creates the lifecycle of a Source that no other import is about to
// make one for.
func (w *importWork) createTaken(ctx context.Context, want *policyv1alpha1.PediaClusterLifecycle) (*policyv1alpha1.PediaClusterLifecycle, error) {
	for _, other := range w.records.ofSource(want.Spec.Source) {
		if importOf(other) == w.Import {
			continue
		}
		return nil, &stalled{phase: policyv1alpha1.LifecycleConflict, reason: policyv1alpha1.ReasonSourceTaken, message: render.SourceTaken(policyOf(other), other)}
	}
	if keeper, ok := w.index.ReservedFor(want.Name); ok && keeper != w.Import {
		return nil, &stalled{phase: policyv1alpha1.LifecycleConflict, reason: policyv1alpha1.ReasonNameTaken, message: fmt.Sprintf(
			"the name %q is kept for the Source %s of policy %q: change nameTemplate so that names differ",
			want.Name, cache.NewObjectName(keeper.Namespace, keeper.Name), keeper.Policy)}
	}
	holder, err := w.records.lister.Get(want.Name)
	if err != nil {
		created, createErr := w.records.client.Create(ctx, want, metav1.CreateOptions{FieldManager: fieldManager})
		if createErr == nil {
			return created, nil
		}
		if !apierrors.IsAlreadyExists(createErr) {
			return nil, fmt.Errorf("creating the lifecycle: %w", createErr)
		}
		if holder, err = w.records.client.Get(ctx, want.Name, metav1.GetOptions{}); err != nil {
			return nil, fmt.Errorf("reading the lifecycle that has the name: %w", err)
		}
	}
	if importOf(holder) == w.Import {
		return nil, errors.New("the lifecycle exists already: waiting until it is seen")
	}
	return nil, &stalled{phase: policyv1alpha1.LifecycleConflict, reason: policyv1alpha1.ReasonNameTaken, message: render.NameTaken(policyOf(holder), holder)}
}

// desiredLifecycle is the lifecycle that the policy wants for the import.
func (w *importWork) desiredLifecycle(name string) *policyv1alpha1.PediaClusterLifecycle {
	policy := w.state.policy
	lifecycle := &policyv1alpha1.PediaClusterLifecycle{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(policy, policyv1alpha1.SchemeGroupVersion.WithKind("ClusterImportPolicy")),
			},
		},
		Spec: policyv1alpha1.PediaClusterLifecycleSpec{
			Source:     w.state.sourceResource(w.Import),
			Conversion: policy.Spec.Conversion,
		},
		Status: policyv1alpha1.PediaClusterLifecycleStatus{SourceDefinition: w.state.source.Definition},
	}
	for i, ref := range policy.Spec.References {
		lifecycle.Spec.References = append(lifecycle.Spec.References, policyv1alpha1.VersionedReferenceTemplate{
			ReferenceTarget: ref.ReferenceTarget, Version: w.state.references[i].Version,
		})
	}
	return lifecycle
}

// lookup reads a reference in a state at least as new as the informer knows of.
func (w *importWork) lookup(ctx context.Context, target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
	at := slices.IndexFunc(w.state.references, func(ref referenceType) bool {
		return ref.Group == target.Group && ref.Resource == target.Resource && ref.Version == target.Version
	})
	if at < 0 {
		return nil, fmt.Errorf("%s is no type that the policy reads", target.Resource)
	}
	ref := w.state.references[at]
	switch {
	case ref.Namespaced && target.Namespace == "":
		return nil, fmt.Errorf("%s have a namespace: set namespaceTemplate", target.Resource)
	case !ref.Namespaced && target.Namespace != "":
		return nil, fmt.Errorf("%s have no namespace: remove namespaceTemplate", target.Resource)
	}
	w.index.AddRead(w.Import, objectOf(target))
	version := w.objects.ResourceVersion(ref.kind, target.Namespace, target.Name)
	switch {
	case w.fresh:
		version = "" // whatever the host has now
	case version == "":
		return nil, nil
	}
	object, err := w.host.Resource(ref.GroupVersionResource).Namespace(target.Namespace).
		Get(ctx, target.Name, metav1.GetOptions{ResourceVersion: version})
	if objectNotFound(err) {
		return nil, nil
	}
	return object, err
}

// unchanged is the outcome as the lifecycle last showed it, nil when there is
// nothing to be said of the import.
func (w *importWork) unchanged() *outcome {
	var result *outcome
	for _, lifecycle := range w.lifecycles {
		result = summedUp(result, outcomeOf(w.said(lifecycle)))
	}
	if result != nil {
		return result
	}
	if w.selected {
		return &outcome{phase: policyv1alpha1.LifecyclePending}
	}
	return nil
}

// blocked shows a lasting problem of the policy. Others pass by themselves.
func (w *importWork) blocked(ctx context.Context, p problem) (*outcome, error) {
	if !p.lasting || len(w.lifecycles) == 0 {
		return w.unchanged(), nil
	}
	return w.show(ctx, &stalled{phase: policyv1alpha1.LifecycleWaiting, reason: policyv1alpha1.ReasonWaitingForType, message: p.message})
}

// tell writes what is left to be written of lifecycles.
func (c *importController) tell(ctx context.Context, lifecycles []*policyv1alpha1.PediaClusterLifecycle) error {
	for _, lifecycle := range lifecycles {
		owed := c.looks.record(importOf(lifecycle))
		if owed == nil || owed.lifecycle.UID != lifecycle.UID || lifecycle.DeletionTimestamp != nil {
			continue
		}
		if _, err := c.keep(ctx, lifecycle, owed); err != nil {
			return err
		}
	}
	return nil
}

// show tells of an import that is stalled on its lifecycles, which keep what
// they have, or in the policy's status when it has none.
func (w *importWork) show(ctx context.Context, cause *stalled) (result *outcome, err error) {
	if len(w.lifecycles) == 0 {
		w.index.Leave(w.Import)
		message := cause.message
		if w.source != nil {
			message = render.SourceMessage(w.source, message)
		}
		return newOutcome(cause.phase, false, cause.reason, message), nil
	}
	for _, lifecycle := range w.lifecycles {
		var shown *outcome
		if lifecycle.DeletionTimestamp != nil {
			shown, err = w.letGo(ctx, lifecycle)
			shown = cmp.Or(shown, &outcome{phase: policyv1alpha1.LifecycleDeleting})
		} else {
			status := w.stalledStatus(ctx, lifecycle, cause)
			shown = outcomeOf(status)
			_, err = w.writeStatus(ctx, lifecycle, status)
		}
		if err != nil {
			return w.unchanged(), err
		}
		result = summedUp(result, shown)
	}
	w.withdraw()
	return result, nil
}

// stalledStatus is the status of a lifecycle whose import is stalled for that cause. A
// removal that is held is told first.
func (w *importWork) stalledStatus(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, cause *stalled) policyv1alpha1.PediaClusterLifecycleStatus {
	held, shown := w.stillHeld(ctx, lifecycle, cause), cause
	if held != nil && cause.phase != policyv1alpha1.LifecycleHeld {
		shown = held
	}
	status := stalledStatus(lifecycle, w.said(lifecycle), w.objects.Object(pediaClusters, "", lifecycle.Name), shown)
	status.PrunePlan = ""
	if held != nil {
		status.PrunePlan = held.plan
	}
	aboutSource(&status, w.source)
	return status
}

// keep writes a record of the lifecycle, the spec first if it is another one. It
// returns the lifecycle as it was written.
func (c *importController) keep(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r *record) (*policyv1alpha1.PediaClusterLifecycle, error) {
	if !equality.Semantic.DeepEqual(lifecycle.Spec, r.spec) {
		changed := lifecycle.DeepCopy()
		changed.Spec = r.spec
		updated, err := c.records.client.Update(ctx, changed, metav1.UpdateOptions{FieldManager: fieldManager})
		if err != nil {
			return nil, fmt.Errorf("updating the lifecycle: %w", err)
		}
		c.records.wrote(updated)
		lifecycle = updated
	}
	return c.writeStatus(ctx, lifecycle, r.statusOf(lifecycle.Generation))
}

// writeStatus returns the lifecycle with that status.
func (c *importController) writeStatus(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle,
	status policyv1alpha1.PediaClusterLifecycleStatus) (*policyv1alpha1.PediaClusterLifecycle, error) {
	render.BoundStatus(&status)
	if equality.Semantic.DeepEqual(lifecycle.Status, status) {
		c.looks.written(lifecycle)
		return lifecycle, nil
	}
	changed := lifecycle.DeepCopy()
	changed.Status = status
	updated, err := c.records.client.UpdateStatus(ctx, changed, metav1.UpdateOptions{FieldManager: fieldManager})
	if err != nil {
		if i := importOf(lifecycle); c.looks.record(i) == nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			// It may be written all the same, later than the next one.
			c.looks.owe(i, &record{lifecycle: lifecycle, spec: lifecycle.Spec, status: status}, time.Now())
		}
		return nil, fmt.Errorf("writing the status of the lifecycle: %w", err)
	}
	c.records.wrote(updated)
	c.looks.written(lifecycle)
	c.policies.announcer.turned(lifecycle, status)
	return updated, nil
}
