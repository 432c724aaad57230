package controller

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/confirm"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/probe"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
)

const (
	// refusedDelay is after how long something that the host refused as invalid is tried
	// again: the definition of PediaClusters may have changed meanwhile.
	refusedDelay = 5 * time.Minute
	// retryDelay is after how long an import is worked on again of which no event may tell.
	retryDelay = 2 * time.Second
	// overdueDelay is for how long, and at most twice that, an informer may not show what
	// was written.
	overdueDelay = 5 * time.Minute
)

// importController works on one import at a time: one Source under one policy.
type importController struct {
	policies *policyController
	store    *lifecycles.Store
	host     dynamic.Interface
	types    *servedtypes.Tracker
	objects  *hostobjects.Pool
	memory   *memory.Memory
	brake    *brake.Brake
	// confirmed are policies as storage has them, by name.
	confirmed confirm.Group[string, *policyv1alpha1.ClusterImportPolicy]
	// prober asks imported clusters whether they answer; nil when none are asked.
	prober *probe.Prober
	queue  workqueue.TypedRateLimitingInterface[memory.Import]
	order  *order[memory.Import]
	// owners are the names of lifecycles whose controller reference is to be checked.
	owners workqueue.TypedRateLimitingInterface[string]
}

func newImportController(policies *policyController, store *lifecycles.Store, host dynamic.Interface,
	types *servedtypes.Tracker, objects *hostobjects.Pool, brake *brake.Brake) *importController {
	order := newOrder[memory.Import]()
	return &importController{
		policies: policies, store: store, host: host, types: types, objects: objects,
		memory: memory.New(),
		brake:  brake,
		queue:  newQueue("imports", order), order: order,
		owners: newQueue[string]("owners", nil),
	}
}

// lifecyclesOf returns the lifecycles of an import: one, or two while its name changes, the
// newer first. Those whose controller reference is broken are not among them.
func (c *importController) lifecyclesOf(i memory.Import) (found []*lifecycles.Lifecycle) {
	state := c.policies.state(i.Policy)
	if state == nil {
		return nil
	}
	for _, lifecycle := range c.store.OfSource(state.sourceResource(i)) {
		if isControlledBy(lifecycle, state.policy) {
			found = append(found, lifecycle)
		}
	}
	slices.SortFunc(found, func(a, b *lifecycles.Lifecycle) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return found
}

// pass is one pass over one import: observe, decide, apply, record.
type pass struct {
	*importController
	memory.Import
	state *policyState
	// lifecycles of this import: one, or two while its name changes.
	lifecycles []*lifecycles.Lifecycle
	// source is the Source as it was read, nil while it was not.
	source *unstructured.Unstructured
	// selected is set when the Source is known to be selected.
	selected bool
	// live is set when somebody asked for facts that are read from the host.
	live bool
	// changed is since when a change waits to be written, zero when none does.
	changed time.Time
	// member is what a rollout knows of the import, nil while it is not worked on.
	member *decision.Member
	// asked are the removals that the brake was asked about.
	asked []brake.Removal
	// wantedName is the name that the policy wants, empty while that is not known.
	wantedName string
	// settled is what the pass leaves when nothing is left to do, and pending is set while
	// the record of it is still to be written.
	settled *memory.Settled
	pending bool
	// rests is set when the import rests for a problem that passes by itself: what became of
	// it stays as it was.
	rests bool
}

// work reconciles an import that was taken off the queue. One that is tried again keeps its
// priority.
func (c *importController) work(ctx context.Context, i memory.Import) (err error) {
	again := true // should it panic, too
	defer func() { c.order.end(i, again) }()
	err = c.reconcile(ctx, i)
	again = err != nil
	return err
}

// reconcile is one pass over an import. An error is tried again; what cannot heal by itself is
// shown in a status instead.
func (c *importController) reconcile(ctx context.Context, i memory.Import) error {
	begun, last := c.memory.Begin(i)
	state := c.policies.state(i.Policy)
	if state == nil {
		c.forgetWithoutPolicy(i)
		return nil
	}
	p := &pass{importController: c, Import: i, state: state, lifecycles: c.lifecyclesOf(i)}
	p.live = slices.ContainsFunc(p.lifecycles, decision.ResyncDue)
	if p.isSettled(last) && p.reportSettled(last) {
		c.memory.TakeChange(i)
		c.memory.End(i, begun, last)
		return nil
	}
	p.changed = c.memory.TakeChange(i)
	result, err := p.recovering(ctx)
	c.memory.End(i, begun, p.settled)
	if p.rests {
		c.memory.Change(i, p.changed)
		return err // all imports are enqueued when the problem has passed
	}
	p.reportMember(err != nil)
	switch {
	case err != nil:
		c.memory.Change(i, p.changed) // until it is tried again
	case result == nil:
		c.forget(i)
		c.brake.Withdraw(i, func(brake.Removal) bool { return false })
	case !slices.ContainsFunc(p.lifecycles, p.hasReservedName):
		c.unreserve(i)
	}
	if p.pending {
		c.policies.reportExpected(i, result)
	} else {
		c.policies.reportResult(i, result)
	}
	return err
}

// recovering runs the pass. When it panics the others are decided about all the same.
func (p *pass) recovering(ctx context.Context) (*importResult, error) {
	defer func() {
		if fault := recover(); fault != nil {
			p.policies.reportResult(p.Import, p.unchanged())
			panic(fault)
		}
	}()
	return p.run(ctx)
}

// run observes, decides and applies. It returns what became of the import, nil when nothing
// is left of it.
func (p *pass) run(ctx context.Context) (*importResult, error) {
	snapshot := p.observe()
	decided := decision.Decide(snapshot)
	if gone, err := p.release(ctx, decided.Release); gone || err != nil {
		return p.unchanged(), err // the event of the deletion has the import worked on again
	}
	if decided.Observe {
		if err := p.observeSource(ctx, snapshot); err != nil {
			return p.unchanged(), err
		}
		decided = decision.Decide(snapshot)
	}
	if len(decided.Remove) == 0 && !p.state.rests() {
		// A deletion that was seen is acted upon at once, or counts.
		p.memory.SetDeletionSeen(p.Import, false)
	}
	switch {
	case decided.Rest:
		p.rests = p.state.rests()
		return p.unchanged(), nil
	case decided.Converge:
		return p.converge(ctx)
	case decided.Blocked != nil:
		return p.block(ctx, decided.Remove, decided.Blocked)
	case len(decided.Remove) > 0:
		return p.removeAll(ctx, decided.Remove)
	case len(p.lifecycles) > 0: // a person has deleted them all, and they wait for others
		return p.unchanged(), nil
	default:
		return nil, nil
	}
}

// unchanged is the result as the lifecycles show it, nil when there is nothing to be said of
// the import.
func (p *pass) unchanged() (result *importResult) {
	for _, lifecycle := range p.lifecycles {
		result = mergeResults(result, resultOf(lifecycle.Status))
	}
	if result == nil && p.selected {
		return &importResult{phase: policyv1alpha1.LifecyclePending}
	}
	return result
}

// isSettled reports whether the import is as the last pass left it, with nothing to do. Of the
// Source, only what the templates read matters.
func (p *pass) isSettled(last *memory.Settled) bool {
	if last == nil || p.live || len(p.lifecycles) != 1 {
		return false
	}
	now := p.versions(p.lifecycles[0])
	if p.memory.Matches(last, now) {
		return true
	}
	now.Parts = p.state.partsOf(p.objects.Object(p.state.sources, p.Namespace, p.Name))
	return p.memory.MatchesButForSource(last, now)
}

// versions are the versions of the inputs of a pass under one lifecycle, as informers and
// store show them.
func (p *pass) versions(lifecycle *lifecycles.Lifecycle) memory.Settled {
	return memory.Settled{
		Lifecycle:    lifecycleVersion(lifecycle),
		Source:       p.objects.ResourceVersion(p.state.sources, p.Namespace, p.Name),
		PediaCluster: p.objects.ResourceVersion(pediaClusters, "", lifecycle.Name),
	}
}

// lifecycleVersion names one version of one lifecycle.
func lifecycleVersion(lifecycle *lifecycles.Lifecycle) string {
	return string(lifecycle.UID) + "/" + lifecycle.ResourceVersion
}

// hasReservedName reports whether the name of the lifecycle is reserved for its import.
func (p *pass) hasReservedName(lifecycle *lifecycles.Lifecycle) bool {
	holder, ok := p.memory.ReservedFor(lifecycle.Name)
	return ok && holder == p.Import
}

// unreserve ends the reservations of an import: its lifecycle has been created again, or
// never will be.
func (c *importController) unreserve(i memory.Import) {
	for _, name := range c.memory.Unreserve(i) {
		c.enqueueWaiters(name)
	}
}

// forgetWithoutPolicy drops what is remembered of an import whose policy is gone. Its
// lifecycles, should there be any, are released by reconcileOwner.
func (c *importController) forgetWithoutPolicy(i memory.Import) {
	if _, err := c.policies.lister.Get(i.Policy); err == nil {
		return // all imports are enqueued when the policy has been reconciled
	}
	c.forget(i)
}
