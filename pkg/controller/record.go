package controller

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/probe"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// This file records what became of an import: in its lifecycles, and in the counts of its
// policy.

// project returns the projection of the current state into the status of a lifecycle.
func (p *pass) project(lifecycle *lifecycles.Lifecycle) decision.Projection {
	return projection(lifecycle, p.source)
}

func projection(lifecycle *lifecycles.Lifecycle, source *unstructured.Unstructured) decision.Projection {
	return decision.Projection{Lifecycle: lifecycle, Source: source, Now: metav1.Now().Rfc3339Copy()}
}

// block records why an import stays as it is in the status of its lifecycles, or in that of its
// policy when it has none. Lifecycles that are being deleted are finalized.
func (p *pass) block(ctx context.Context, going []decision.Removal, reason *decision.Reason) (result *importResult, err error) {
	if p.wantedName == "" {
		p.waitFor(p.Import, "")
	}
	if len(p.lifecycles) == 0 {
		message := reason.Message
		if p.source != nil {
			message = render.SourceMessage(p.source, message)
		}
		return newImportResult(reason.Phase, false, reason.Reason, message), nil
	}
	for _, r := range going {
		still, err := p.remove(ctx, r)
		if err != nil {
			return p.unchanged(), err
		}
		if still == nil {
			still = &importResult{phase: policyv1alpha1.LifecycleDeleting}
		}
		result = mergeResults(result, still)
	}
	for _, lifecycle := range p.lifecycles {
		if lifecycle.DeletionTimestamp != nil {
			continue
		}
		status := p.blocked(ctx, lifecycle, reason)
		result = mergeResults(result, resultOf(status))
		if _, err := p.write(ctx, lifecycle, lifecycle.Spec, status); err != nil {
			return p.unchanged(), err
		}
	}
	p.withdraw()
	return result, nil
}

// blocked is the status of a lifecycle whose import is blocked. That a removal is held takes
// precedence.
func (p *pass) blocked(ctx context.Context, lifecycle *lifecycles.Lifecycle, reason *decision.Reason) decision.Status {
	held, shown := p.stillHeldReason(ctx, lifecycle, reason), *reason
	if held != nil {
		if reason.Phase != policyv1alpha1.LifecycleHeld {
			shown = *held
		}
		shown.PrunePlan = held.PrunePlan
	}
	return p.project(lifecycle).Blocked(&shown, p.objects.Object(pediaClusters, "", lifecycle.Name))
}

// mayWait reports whether a status may be written when nothing more urgent is left to do: the
// cluster is imported, and nothing else was said of it before. What a deletion is judged by
// does not wait.
func mayWait(before, now decision.Status) bool {
	return now.Phase == policyv1alpha1.LifecycleImported && (before.Phase == "" || before.Phase == now.Phase) &&
		before.SourceDefinition == now.SourceDefinition && before.PrunePlan == now.PrunePlan && before.LastResync == now.LastResync &&
		rolloutState(before) == rolloutState(now)
}

// rolloutState is what is known of the revision: who is next is decided by what is stored.
func rolloutState(status decision.Status) policyv1alpha1.RolloutState {
	if status.Rollout == nil {
		return policyv1alpha1.RolloutVerified
	}
	return status.Rollout.State
}

// write stores spec and status of a lifecycle now.
func (c *importController) write(ctx context.Context, lifecycle *lifecycles.Lifecycle,
	spec policyv1alpha1.PediaClusterLifecycleSpec, status decision.Status) (*lifecycles.Lifecycle, error) {
	written, _, err := c.writeRecord(ctx, lifecycle, spec, status, true)
	return written, err
}

// writeRecord stores spec and status of a lifecycle: now if it is urgent, otherwise when nothing
// more urgent is left to do, which it reports as pending.
func (c *importController) writeRecord(ctx context.Context, lifecycle *lifecycles.Lifecycle,
	spec policyv1alpha1.PediaClusterLifecycleSpec, status decision.Status, urgent bool) (written *lifecycles.Lifecycle, pending bool, err error) {
	record := lifecycles.Record{Spec: spec, Status: status, Generation: lifecycle.Generation}
	written, err = c.store.Record(ctx, lifecycle, record, urgent)
	if err != nil {
		return nil, false, err
	}
	return written, c.store.HasPending(lifecycle.Name), nil
}

// recorded is called when a lifecycle was written, after its pass if that has left it to be
// written behind.
func (c *importController) recorded(before, now *lifecycles.Lifecycle, behind bool) {
	c.policies.announcer.phaseChanged(before, now.Status)
	if behind {
		c.memory.Rewritten(importOf(now), lifecycleVersion(before), lifecycleVersion(now))
		c.policies.reportResult(importOf(now), resultOf(now.Status))
	}
}

// probe has the cluster of a PediaCluster probed from now on, and returns its last answer, nil for
// none.
func (c *importController) probe(name string, pediaCluster *unstructured.Unstructured) *policyv1alpha1.ClusterState {
	if c.prober == nil {
		return nil
	}
	if pediaCluster == nil {
		c.prober.Forget(name)
		return nil
	}
	c.prober.Set(name, probe.TargetOf(pediaCluster))
	result, answered := c.prober.Result(name)
	if !answered {
		return nil
	}
	return &policyv1alpha1.ClusterState{Ready: string(result.Ready), Message: result.Message, Version: result.Version, APIServer: result.APIServer}
}

// waiters are the imports that wait for a name.
func (c *importController) waiters(name string) decision.NameWaiters {
	waiting := c.memory.Waiters(name)
	if len(waiting) == 0 {
		return decision.NameWaiters{}
	}
	first := waiting[0]
	return decision.NameWaiters{Count: len(waiting), Policy: first.Policy, Namespace: first.Namespace, Name: first.Name}
}
