package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/tools/cache"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// This file makes lifecycle and PediaCluster of a selected Source what the policy wants.

// converge brings about what the policy wants under the name that it wants, or keeps what
// there is up to date while that name has to wait.
func (p *pass) converge(ctx context.Context) (*importResult, error) {
	name, err := p.state.compiled.Name(p.source)
	if err != nil {
		p.waitFor(p.Import, "")
		return p.keepName(ctx, &decision.Reason{Phase: policyv1alpha1.LifecycleFailed, Reason: policyv1alpha1.ReasonInvalidName, Message: err.Error()})
	}
	p.wantedName = name
	if len(p.lifecycles) < 2 {
		return p.convergeAs(ctx, name, nil)
	}
	naming := render.ChooseName(name, p.named())
	left, gone, err := p.removeNamed(ctx, naming.First)
	switch {
	case err != nil:
		return p.unchanged(), err
	case gone: // its event has the import worked on again
		p.lifecycles = p.lifecyclesOf(p.Import)
		return p.unchanged(), nil
	case naming.Name == "":
		p.withdraw()
		return left, nil
	case naming.Behind == "":
		return p.convergeAs(ctx, naming.Name, nil)
	default:
		return p.convergeAs(ctx, naming.Name, &decision.Reason{Phase: policyv1alpha1.LifecycleWaiting,
			Reason: policyv1alpha1.ReasonRenamed, Message: naming.DescribeBehind(name)})
	}
}

// removeNamed removes the lifecycles of these names, which have to go before another begins.
// It reports whether one is gone, and returns what became of the others.
func (p *pass) removeNamed(ctx context.Context, names []string) (left *importResult, gone bool, err error) {
	for _, lifecycle := range p.lifecycles {
		if !slices.Contains(names, lifecycle.Name) {
			continue
		}
		still, err := p.removeUnlessHeld(ctx, p.removal(lifecycle, decision.Removal{Cause: policyv1alpha1.ReasonRenamed, Counted: true}))
		if still == nil || err != nil {
			return nil, err == nil, err
		}
		left = mergeResults(left, still)
	}
	return left, false, nil
}

// keepName keeps an import up to date under the name it has, while it cannot have the one that
// its policy wants.
func (p *pass) keepName(ctx context.Context, nameBlocked *decision.Reason) (*importResult, error) {
	stays := slices.DeleteFunc(slices.Clone(p.lifecycles), func(l *lifecycles.Lifecycle) bool { return l.DeletionTimestamp != nil })
	if len(stays) == 1 {
		return p.convergeAs(ctx, stays[0].Name, nameBlocked)
	}
	var going []decision.Removal
	for _, lifecycle := range p.lifecycles {
		if lifecycle.DeletionTimestamp != nil {
			going = append(going, decision.Finalization(lifecycle))
		}
	}
	return p.block(ctx, going, nameBlocked)
}

// convergence is an import that is worked on under one lifecycle.
type convergence struct {
	*pass
	// lifecycle is what the import is recorded in; uncreated is set while storage does not have it.
	lifecycle *lifecycles.Lifecycle
	uncreated bool
	// replaced are the lifecycles of former names, to be removed when this one is in sync, and
	// others is what became of those that are being deleted.
	replaced []*lifecycles.Lifecycle
	others   *importResult
	// nameBlocked is why the import does not have the name that its policy wants, nil when it does.
	nameBlocked *decision.Reason

	// by is what the import is converted by. With a rollout, revision is what the lifecycle
	// records of its revision, and recorded is set until it is its turn.
	by       converter
	revision *decision.Record
	recorded *recordedConversion
	// both is set when what is recorded alone does not decide: the newest revision was asked too.
	both bool

	conversion render.Conversion
	// current is the PediaCluster, and former that of a former name; nil for none.
	current, former *unstructured.Unstructured
	plan            render.Plan
}

// convergeAs works on the import under that name.
func (p *pass) convergeAs(ctx context.Context, name string, nameBlocked *decision.Reason) (*importResult, error) {
	c := &convergence{pass: p, nameBlocked: nameBlocked}
	if err := c.assignLifecycles(ctx, name); err != nil {
		return p.unchanged(), err
	}
	if c.lifecycle != nil && c.lifecycle.DeletionTimestamp != nil {
		// The import is made again when this lifecycle has gone.
		result, err := p.remove(ctx, decision.Finalization(c.lifecycle))
		return cmp.Or(result, &importResult{phase: policyv1alpha1.LifecycleDeleting}), err
	}
	if c.lifecycle == nil {
		c.lifecycle, c.uncreated = p.newLifecycle(name), true
		p.inheritRevision(c.lifecycle, c.replaced)
		if taken := c.whoHas(c.lifecycle); taken != nil {
			return p.giveWay(ctx, name, taken)
		}
	}
	if nameBlocked == nil {
		p.waitFor(p.Import, "")
	}
	if blocked, err := c.chooseRevision(ctx); err != nil {
		return p.unchanged(), err
	} else if blocked != nil && c.uncreated {
		return p.keepName(ctx, blocked) // its turn comes under the name that it has
	} else if blocked != nil {
		return p.block(ctx, nil, blocked)
	}
	result, err := c.run(ctx)
	if taken := (*decision.Reason)(nil); errors.As(err, &taken) {
		return p.giveWay(ctx, name, taken)
	}
	return result, err
}

// giveWay keeps what there is of an import while another one has what it needs.
func (p *pass) giveWay(ctx context.Context, name string, taken *decision.Reason) (*importResult, error) {
	if taken.Reason != policyv1alpha1.ReasonNameTaken {
		name = ""
	}
	p.waitFor(p.Import, name)
	return p.keepName(ctx, taken)
}

// assignLifecycles tells the lifecycle of the name from those of former names. Others are being
// deleted, and are finalized.
func (c *convergence) assignLifecycles(ctx context.Context, name string) error {
	for _, candidate := range c.lifecycles {
		switch {
		case candidate.Name == name:
			c.lifecycle = candidate
		case decision.DeletedByPerson(candidate): // released already
			c.others = mergeResults(c.others, resultOf(candidate.Status))
		case candidate.Name == c.wantedName:
			still, err := c.remove(ctx, decision.Finalization(candidate))
			if err != nil {
				return err
			}
			c.others = mergeResults(c.others, still)
		default:
			c.replaced = append(c.replaced, candidate)
		}
	}
	return nil
}

// run makes the PediaCluster what the policy wants, in at most one write, and records it. There
// is a lifecycle before there is a PediaCluster; one that only waits is created with its status.
func (c *convergence) run(ctx context.Context) (*importResult, error) {
	if err := c.makePlan(ctx); err != nil {
		return c.unchanged(), err
	}
	if c.uncreated && c.plan.Action.Writes() {
		if err := c.createLifecycle(ctx, c.lifecycle.Status); err != nil {
			return c.unchanged(), err
		}
	}
	switch held, undecided := c.deletionHeld(ctx); {
	case undecided:
		return c.unchanged(), nil
	case held != nil:
		return c.hold(ctx, held)
	}
	done, err := c.execute(ctx)
	if err != nil || done.Stale {
		return c.unchanged(), cmp.Or(err, done.Err)
	}
	result, err := c.record(ctx, done)
	if err != nil {
		return c.unchanged(), err
	}
	if result, err = c.removeReplaced(ctx, mergeResults(result, c.others), done); err != nil {
		return c.unchanged(), err
	}
	c.withdraw()
	if done.Plan.Reason == policyv1alpha1.ReasonInvalidPediaCluster {
		c.queue.AddAfter(c.Import, refusedDelay)
	}
	return result, done.Err
}

// makePlan converts the Source and compares the result with what there is.
func (c *convergence) makePlan(ctx context.Context) (err error) {
	c.conversion = c.convert(ctx, c.by)
	references := c.conversion.References
	if c.recorded != nil && c.conversion.MayDelete() {
		newest := c.convert(ctx, converter{compiled: c.state.compiled, references: c.state.references})
		c.conversion.DeleteOnlyWith(&newest)
		c.both = true
		references = append(slices.Clone(references), newest.References...)
	}
	c.memory.SetReads(c.Import, reads(references))

	if c.former, err = c.readFormer(ctx, c.replaced); err != nil {
		return err
	}
	if c.current, err = c.pediaCluster(ctx, c.lifecycle.Name); err != nil {
		return err
	}
	if c.current == nil && decision.IsCreated(c.lifecycle.Status) {
		// The informer may not show it yet, and what could not be created may still be updated.
		if c.current, err = c.livePediaCluster(ctx, c.lifecycle.Name); err != nil {
			return err
		}
	}
	c.plan = c.conversion.Plan(decision.OwnerOf(c.lifecycle), c.current, c.former)
	countRenderError(c.Policy, c.plan)
	return nil
}

// convert converts the Source, and reads what that takes.
func (c *convergence) convert(ctx context.Context, by converter) render.Conversion {
	rendering := rendering{began: time.Now()}
	defer rendering.observe(c.Policy)
	return by.compiled.Convert(render.Inputs{
		Name: c.lifecycle.Name, Source: c.source, Versions: by.versions(),
		Lookup: func(target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
			defer rendering.pause()()
			return c.lookup(ctx, by.references, target)
		},
		Env:    engine.Env{Now: c.lifecycle.CreationTimestamp.Time, Seed: string(c.lifecycle.UID)},
		Schema: c.state.schema,
	})
}

// deletionHeld asks the brake about the PediaCluster that deletionCondition would delete. It
// returns why it is held, nil when it is not, or that it is not decided yet.
func (c *convergence) deletionHeld(ctx context.Context) (held *decision.Reason, undecided bool) {
	if c.plan.Action == render.ActionDelete {
		held, verdict := c.askBrake(c.lifecycle, c.current, c.plan.Reason)
		return held, verdict == brake.Undecided
	}
	if c.conversion.DeletionUnknown {
		held = c.stillHeldReason(ctx, c.lifecycle, &decision.Reason{Reason: policyv1alpha1.ReasonDeletionConditionMet, Message: c.plan.Message})
	}
	return held, false
}

// hold records that the removal of the PediaCluster is held.
func (c *convergence) hold(ctx context.Context, held *decision.Reason) (*importResult, error) {
	status := c.project(c.lifecycle).Blocked(held, c.current)
	result := mergeResults(c.keepHeld(ctx, resultOf(status), c.replaced), c.others)
	_, err := c.write(ctx, c.lifecycle, c.spec(), status)
	c.withdraw()
	return result, err
}

// execute carries out the plan.
func (c *convergence) execute(ctx context.Context) (done decision.Execution, err error) {
	if c.current == nil && c.plan.Reason == policyv1alpha1.ReasonDeletionConditionMet && decision.IsCreated(c.lifecycle.Status) {
		c.policies.announcer.gone(c.lifecycle, c.plan.Reason)
	}
	if c.plan.Action == render.ActionCreate && decision.IsCreated(c.lifecycle.Status) {
		if err := c.recordUncreated(ctx); err != nil {
			return done, err
		}
	}
	// Of an import with another name, it deletes the former PediaCluster.
	if c.plan.Action == render.ActionDelete || c.former != nil && c.plan.Reason == policyv1alpha1.ReasonDeletionConditionMet {
		if err := c.confirmSource(ctx); err != nil {
			return done, err
		}
	}
	done = c.applyPlan(ctx, c.lifecycle, c.current, c.plan)
	c.observePropagation(done)
	c.policies.announcer.executed(c.lifecycle, c.current, done)
	if unread := (*render.LookupError)(nil); !done.Stale && errors.As(c.conversion.Err, &unread) {
		done.Err = unread
	}
	return done, nil
}

// recordUncreated has the lifecycle say that its PediaCluster has gone: a request that
// removes the version that said otherwise may still be under way, and must not take the owner
// of another PediaCluster.
func (c *convergence) recordUncreated(ctx context.Context) (err error) {
	c.lifecycle, err = c.write(ctx, c.lifecycle, c.lifecycle.Spec, c.project(c.lifecycle).Uncreated())
	return err
}

// record has the lifecycle say what became of it.
func (c *convergence) record(ctx context.Context, done decision.Execution) (*importResult, error) {
	status := c.project(c.lifecycle).Converged(decision.Convergence{
		Execution: done, References: c.conversion.References, Definition: c.state.source.Definition,
		Answer: c.probe(c.lifecycle.Name, done.PediaCluster), NameBlocked: c.nameBlocked,
		Waiters: c.waiters(c.lifecycle.Name), Rollout: c.verify(done),
	})
	if c.uncreated {
		err := c.createLifecycle(ctx, status)
		c.catchUp()
		return resultOf(status), err
	}
	urgent := !mayWait(c.lifecycle.Status, status) || c.live || len(c.replaced) > 0 || c.others != nil || done.Err != nil
	written, pending, err := c.writeRecord(ctx, c.lifecycle, c.spec(), status, urgent)
	if err != nil {
		return nil, err
	}
	if status.Phase == policyv1alpha1.LifecycleImported && !isUnverified(status) && len(c.replaced) == 0 && c.others == nil && !c.live && done.Err == nil {
		c.settle(written, done.PediaCluster)
	}
	c.pending = pending
	return resultOf(status), nil
}

// catchUp has the import worked on again if its PediaCluster has changed before there was a
// lifecycle: the event has found no import that it concerns.
func (c *convergence) catchUp() {
	seen := ""
	if c.current != nil {
		seen = c.current.GetResourceVersion()
	}
	if c.objects.ResourceVersion(pediaClusters, "", c.lifecycle.Name) != seen {
		c.add(c.Import, single)
	}
}

// settle leaves the versions at which nothing is left to do.
func (c *convergence) settle(written *lifecycles.Lifecycle, pediaCluster *unstructured.Unstructured) {
	c.settled = &memory.Settled{Lifecycle: lifecycleVersion(written),
		Source: c.source.GetResourceVersion(), Parts: c.state.partsOf(c.source), PediaCluster: pediaCluster.GetResourceVersion()}
	if !c.both {
		c.settled.Types = c.by.types()
	}
	if c.current != nil {
		c.settled.Before = c.current.GetResourceVersion()
	}
	c.settled.Observe(c.objects.ResourceVersion(pediaClusters, "", written.Name))
}

// removeReplaced removes the lifecycles of former names: a cluster is never missing from
// both names, and so the former PediaCluster goes after there is a new one, unless it is not
// wanted at all.
func (c *convergence) removeReplaced(ctx context.Context, result *importResult, done decision.Execution) (*importResult, error) {
	if c.former != nil && !done.InSync() || c.wantedName == "" { // the policy may want the former name
		return c.keepHeld(ctx, result, c.replaced), nil
	}
	for _, old := range c.replaced {
		still, err := c.removeUnlessHeld(ctx, c.removal(old, decision.Removal{Cause: policyv1alpha1.ReasonRenamed, Counted: true}))
		if err != nil {
			return nil, err
		}
		result = mergeResults(result, still)
	}
	return result, nil
}

// createLifecycle stores the lifecycle of the import with that status. The error is a
// *decision.Reason if another import has what it would need.
func (c *convergence) createLifecycle(ctx context.Context, status decision.Status) error {
	want := *c.lifecycle
	want.Status = status
	created, err := c.store.Create(ctx, &want, func() error {
		if reason := c.whoHas(&want); reason != nil {
			return reason
		}
		if len(c.lifecyclesOf(c.Import)) > len(c.lifecycles) {
			return errors.New("the lifecycle was just created")
		}
		return nil
	})
	if apierrors.IsAlreadyExists(err) {
		return c.adopt(ctx, &want)
	}
	if err != nil {
		return err
	}
	c.policies.announcer.phaseChanged(c.lifecycle, created.Status)
	c.lifecycle, c.uncreated = created, false
	return nil
}

// whoHas is why another import has what the lifecycle would need, nil when none has.
func (c *convergence) whoHas(want *lifecycles.Lifecycle) *decision.Reason {
	for _, other := range c.store.OfSource(want.Spec.Source) {
		if importOf(other) != c.Import {
			return &decision.Reason{Phase: policyv1alpha1.LifecycleConflict, Reason: policyv1alpha1.ReasonSourceTaken,
				Message: render.SourceTaken(policyv1alpha1.ControllingPolicy(other).Name, other)}
		}
	}
	if holder, ok := c.memory.ReservedFor(want.Name); ok && holder != c.Import {
		return &decision.Reason{Phase: policyv1alpha1.LifecycleConflict, Reason: policyv1alpha1.ReasonNameTaken, Message: fmt.Sprintf(
			"the name %q is kept for the Source %s of policy %q: change nameTemplate so that names differ",
			want.Name, cache.NewObjectName(holder.Namespace, holder.Name), holder.Policy)}
	}
	if holder := c.store.Get(want.Name); holder != nil && importOf(holder) != c.Import {
		return nameTaken(holder)
	}
	return nil
}

func nameTaken(holder *lifecycles.Lifecycle) *decision.Reason {
	return &decision.Reason{Phase: policyv1alpha1.LifecycleConflict, Reason: policyv1alpha1.ReasonNameTaken,
		Message: render.NameTaken(policyv1alpha1.ControllingPolicy(holder).Name, holder)}
}

// adopt takes up the lifecycle that has the name in storage: the response to its creation may
// have been lost. It always returns an error: the next pass sees that lifecycle.
func (c *convergence) adopt(ctx context.Context, want *lifecycles.Lifecycle) error {
	holder, err := c.store.Live(ctx, want.Name)
	if err != nil {
		return fmt.Errorf("reading the lifecycle that has the name: %w", err)
	}
	if !isControlledBy(holder, c.state.policy) || importOf(holder) != c.Import {
		return nameTaken(holder)
	}
	c.store.Adopt(holder)
	return errors.New("the lifecycle exists already, and is adopted")
}

// newLifecycle is a lifecycle for the import that is not stored yet. Its identity is chosen
// here, since what templates render may depend on it.
func (p *pass) newLifecycle(name string) *lifecycles.Lifecycle {
	return &lifecycles.Lifecycle{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: uuid.NewUUID(), CreationTimestamp: metav1.Now().Rfc3339Copy(), Generation: 1,
			OwnerReferences: []metav1.OwnerReference{controllerReference(p.state.policy)}},
		Spec:   p.desiredSpec(),
		Status: policyv1alpha1.PediaClusterLifecycleStatus{SourceDefinition: p.state.source.Definition},
	}
}

// desiredSpec is what the policy wants the lifecycle of the import to record.
func (p *pass) desiredSpec() policyv1alpha1.PediaClusterLifecycleSpec {
	policy := p.state.policy
	spec := policyv1alpha1.PediaClusterLifecycleSpec{Source: p.state.sourceResource(p.Import), Conversion: policy.Spec.Conversion}
	for i, ref := range policy.Spec.References {
		spec.References = append(spec.References, policyv1alpha1.VersionedReferenceTemplate{
			ReferenceTarget: ref.ReferenceTarget, Version: p.state.references[i].Version,
		})
	}
	return spec
}
