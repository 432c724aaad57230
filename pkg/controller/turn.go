package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// This file is the part of a pass that a rollout has: what the import is converted by, and
// whether that is verified. Without spec.rollout it does nothing.

// chooseRevision chooses what the import is converted by: the newest revision, which it takes if
// it is its turn, or the one that it records. It returns why it cannot be worked on by that.
func (c *convergence) chooseRevision(ctx context.Context) (blocked *decision.Reason, err error) {
	c.by = converter{compiled: c.state.compiled, references: c.state.references}
	rollout := c.state.policy.Spec.Rollout
	if rollout == nil {
		return nil, nil
	}
	c.member = &decision.Member{Name: c.lifecycle.Name, Canary: isCanary(rollout, c.source)}
	if c.state.newest.IsOf(&c.lifecycle.Spec) {
		record := decision.RecordOf(c.lifecycle, c.state.revision)
		c.revision = &record
		return nil, c.storeTaken(ctx)
	}
	recorded := c.state.recordedBy(&c.lifecycle.Spec)
	if recorded == nil {
		c.policies.rollouts.setUnknown(c.Policy)
		c.policies.queue.Add(c.Policy)
		return nil, errors.New("the revision that the lifecycle records is being looked up")
	}
	c.member.Waits = true
	former := decision.RecordOf(c.lifecycle, recorded.hash)
	if !c.uncreated && c.policies.rollouts.mayTake(c.Import, c.state.revision, c.state.policy.Generation) {
		return nil, c.take(ctx, former)
	}
	c.by, c.recorded, c.revision = recorded.converter, recorded, &former
	blocked, err = c.checkRecorded(recorded)
	c.member.Unusable = blocked != nil
	return blocked, err
}

// isCanary reports whether spec.rollout.first selects the Source.
func isCanary(rollout *policyv1alpha1.Rollout, source *unstructured.Unstructured) bool {
	if rollout.First == nil || source == nil {
		return false
	}
	selector, err := rollout.First.Selector()
	return err == nil && selector.Matches(labels.Set(source.GetLabels()))
}

// checkRecorded returns why the import cannot be worked on by the revision that it records, nil
// when it can. What only that revision reads may not have been listed yet: until then, absence
// says nothing.
func (p *pass) checkRecorded(recorded *recordedConversion) (*decision.Reason, error) {
	if recorded.unusable != nil {
		return recorded.unusable, nil
	}
	for _, ref := range recorded.references {
		switch synced, failure := p.objects.Status(ref.kind); {
		case synced:
		case failure == nil:
			return nil, fmt.Errorf("listing %s, which revision %s reads", ref.GroupResource(), recorded.hash)
		default:
			return unusableReason(policyv1alpha1.LifecycleFailed, policyv1alpha1.ReasonReferenceUnavailable,
				fmt.Sprintf("listing %s: %s", ref.GroupResource(), render.Bounded(failure.Error(), render.MaxMessage/2))), nil
		}
	}
	return nil, nil
}

// take records that the import has the newest revision, and what was known of it before. The
// host is written after that: whoever leads next counts the import among the unverified.
func (c *convergence) take(ctx context.Context, former decision.Record) (err error) {
	current, err := c.pediaCluster(ctx, c.lifecycle.Name)
	if err != nil {
		return err
	}
	ready, _ := c.readiness(c.lifecycle.Name, current)
	record := decision.Take(c.state.revision, former, c.lifecycle.Status, ready, time.Now())
	status := *c.lifecycle.Status.DeepCopy()
	status.Rollout = &record
	c.revision = &record
	c.lifecycle, err = c.write(ctx, c.lifecycle, c.desiredSpec(), status)
	return err
}

// storeTaken makes sure that it is stored that the import has taken its revision before the
// host is written: the write may have failed, and be pending.
func (c *convergence) storeTaken(ctx context.Context) (err error) {
	if c.revision.State == policyv1alpha1.RolloutUnverified && c.revision.WrittenTime == nil && c.store.HasPending(c.lifecycle.Name) {
		c.lifecycle, err = c.write(ctx, c.lifecycle, c.lifecycle.Spec, c.lifecycle.Status)
	}
	return err
}

// spec is what the lifecycle is to record: what the policy wants, or until it is the import's
// turn what it records, with what applies to all at once.
func (c *convergence) spec() policyv1alpha1.PediaClusterLifecycleSpec {
	if c.recorded == nil {
		return c.desiredSpec()
	}
	return c.keepRecorded(c.lifecycle.Spec, c.recorded.references)
}

// keepRecorded returns a recorded spec, with the fields of the policy that apply to all imports at
// once.
func (p *pass) keepRecorded(spec policyv1alpha1.PediaClusterLifecycleSpec, references []referenceType) policyv1alpha1.PediaClusterLifecycleSpec {
	spec = *spec.DeepCopy()
	spec.Source, spec.DeletionPolicy = p.state.sourceResource(p.Import), p.state.policy.Spec.DeletionPolicy
	for i := range references {
		spec.References[i].Version = references[i].Version
	}
	return spec
}

// inheritRevision gives a lifecycle that is about to be created the revision of the lifecycle of
// the former name, should there be one: another name is no other revision.
func (p *pass) inheritRevision(want *lifecycles.Lifecycle, replaced []*lifecycles.Lifecycle) {
	if p.state.policy.Spec.Rollout == nil {
		return
	}
	if len(replaced) == 0 {
		want.Status.Rollout = &decision.Record{Revision: p.state.revision, State: policyv1alpha1.RolloutVerified}
		return
	}
	former := replaced[0] // the newest
	revision := decision.RevisionOfLifecycle(&former.Spec)
	record := decision.RecordOf(former, revision.Hash())
	want.Status.Rollout = &record
	if !p.state.newest.IsOf(&former.Spec) {
		want.Spec = p.keepRecorded(former.Spec, nil)
	}
}

// verify is what the lifecycle is to record of its revision after a pass, nil without a rollout.
func (c *convergence) verify(done decision.Execution) *decision.Record {
	if c.revision == nil {
		return nil
	}
	ready, since := c.readiness(c.lifecycle.Name, done.PediaCluster)
	record, again := decision.Verification{Rollout: c.state.policy.Spec.Rollout, Done: done, Ready: ready, Since: since, Now: time.Now()}.Verify(*c.revision)
	if again > 0 {
		c.queue.AddAfter(c.Import, again)
	}
	return &record
}

// readiness is whether the cluster is ready, as Clusterpedia says, and since when, or as it
// has answered since its target was last changed. It is empty when nobody has said so.
func (c *importController) readiness(name string, pediaCluster *unstructured.Unstructured) (ready string, since time.Time) {
	if pediaCluster == nil {
		return "", since
	}
	if ready, since = decision.ClusterReady(pediaCluster); ready != "" || c.prober == nil {
		return ready, since
	}
	if answer := c.probe(name, pediaCluster); answer != nil && c.prober.IsCurrent(name) {
		return answer.Ready, since
	}
	return "", since
}

// reportSettled says what a settled import records, should it be outstanding or not be known under
// the policy as it is now: its revision is all that has changed since. It is false when more has, or
// may have.
func (p *pass) reportSettled(left *memory.Settled) bool {
	rollout, spec := p.state.policy.Spec.Rollout, &p.lifecycles[0].Spec
	if rollout == nil || p.policies.rollouts.hasReported(p.Import, p.state.policy.Generation) && !p.policies.summaries.isOutstanding(p.Import) {
		return true
	}
	by, newest := converter{references: p.state.references}, p.state.newest.IsOf(spec)
	if !newest {
		recorded := p.state.recordedBy(spec)
		if recorded == nil {
			return false
		}
		if blocked, err := p.checkRecorded(recorded); blocked != nil || err != nil {
			return false
		}
		by = recorded.converter
	}
	if by.types() != left.Types {
		return false
	}
	source := p.objects.Object(p.state.sources, p.Namespace, p.Name)
	p.member = &decision.Member{Name: p.lifecycles[0].Name, Canary: isCanary(rollout, source), Waits: !newest}
	p.reportMember(false)
	p.policies.reportResult(p.Import, p.unchanged())
	return true
}

// reportMember says what the import records after the pass. One that was not worked on cannot
// take a revision now, except that a pass which failed is tried again: others do not go before
// a canary because of an error.
func (p *pass) reportMember(failed bool) {
	rollout := p.state.policy.Spec.Rollout
	if rollout == nil || p.rests {
		return
	}
	member, lifecycle := p.member, (*lifecycles.Lifecycle)(nil)
	for _, candidate := range p.lifecyclesOf(p.Import) {
		if candidate.DeletionTimestamp == nil && (lifecycle == nil || member != nil && candidate.Name == member.Name) {
			lifecycle = candidate
		}
	}
	if lifecycle == nil {
		p.policies.rollouts.report(p.Import, p.state.policy.Generation, nil) // its policy is enqueued anyway
		return
	}
	source := p.objects.Object(p.state.sources, p.Namespace, p.Name)
	if member == nil {
		member = &decision.Member{Canary: isCanary(rollout, source)}
	}
	if failed && source != nil && !decision.Paused(lifecycle) {
		member.Waits = true
	}
	revision, newest := p.state.revision, p.state.newest.IsOf(&lifecycle.Spec)
	if !newest {
		if recorded := p.state.recordedBy(&lifecycle.Spec); recorded != nil {
			revision = recorded.hash
		} else {
			revision = decision.RevisionOfLifecycle(&lifecycle.Spec).Hash()
		}
	}
	member.Name, member.Record = lifecycle.Name, decision.RecordOf(lifecycle, revision)
	member.Waits = member.Waits && !newest && lifecycle.Status.PrunePlan == ""
	member.Created = decision.IsCreated(lifecycle.Status)
	if cluster := lifecycle.Status.Cluster; cluster != nil {
		member.Ready = cluster.Ready
	}
	if after := p.policies.rollouts.report(p.Import, p.state.policy.Generation, member); after > 0 {
		p.policies.queue.AddAfter(p.Policy, after)
	}
}

// isUnverified reports whether a lifecycle has to be looked at again though nothing changes.
func isUnverified(status decision.Status) bool {
	return status.Rollout != nil && status.Rollout.State == policyv1alpha1.RolloutUnverified
}
