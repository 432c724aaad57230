package app

import (
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// conclusion is what all steps come to: what there is, and why, and what comes next.
func (f *facts) conclusion() string {
	if f.isGoing() {
		return "Being deleted. " + f.whyGoing()
	}
	state := f.state()
	if f.policy != nil && f.unavailable() != nil {
		state += ", as far as is known"
	}
	if f.sourceIsGoing() {
		state += ". The Source is being deleted"
	}
	if next := f.next(); next != "" {
		return state + ". " + next
	}
	return state + "."
}

// isGoing reports whether the lifecycle goes.
func (f *facts) isGoing() bool {
	return f.lifecycle.DeletionTimestamp != nil || f.lifecycle.Status.Phase == policyv1alpha1.LifecycleDeleting
}

func (f *facts) whyGoing() string {
	switch {
	case f.lifecycle.Status.Phase == policyv1alpha1.LifecycleDeleting && f.ready() != "":
		return f.ready()
	case !decision.DeletedByPerson(f.lifecycle):
		return "The controllers have not reported yet what it waits for."
	case f.exists() && f.state() != notImported && f.state() != going:
		return "It was deleted manually, which orphans its PediaCluster."
	default:
		return "It was deleted manually."
	}
}

// What a cluster may be.
const (
	isImported  = "Imported"
	notImported = "Not imported"
	going       = "The PediaCluster is being deleted"
)

// state says whether the cluster is imported.
func (f *facts) state() string {
	switch {
	case f.pediaCluster == nil && !apierrors.IsNotFound(f.pediaClusterErr):
		if f.exists() {
			return isImported + ", as the lifecycle says"
		}
		return notImported + ", as the lifecycle says"
	case !f.exists():
		return notImported
	case f.pediaCluster.GetDeletionTimestamp() != nil:
		return going
	case decision.OwnerOf(f.lifecycle).Ownership(f.pediaCluster) == render.OwnedByOther:
		return notImported
	default:
		return isImported
	}
}

// next says why the import is not worked on, or what the policy makes of it now, and what
// its lifecycle says where that is something else.
func (f *facts) next() string {
	phase := f.lifecycle.Status.Phase
	switch {
	case phase == policyv1alpha1.LifecycleHeld:
		return "Held. " + f.ready()
	case f.policy != nil && f.policy.DeletionTimestamp != nil:
		return "The policy is being deleted."
	case f.policy != nil && f.unavailable() != nil:
		return f.unavailable().Reason + ": " + f.unavailable().Message
	case f.policy != nil && f.invalid() != nil:
		return f.invalid().Reason + ": " + f.invalid().Message
	case f.policy != nil && f.policy.Spec.Suspend:
		return "The policy is suspended."
	case decision.Paused(f.lifecycle):
		return "It is paused by the annotation " + policyv1alpha1.PausedAnnotation + "."
	case phase == "" || phase == policyv1alpha1.LifecyclePending:
		return "The controllers have not reported a result yet."
	case f.result == nil:
		return f.ready()
	case f.result.Message != "" && f.waitsForTurn():
		return "Waits for its turn: " + f.result.Message
	case f.result.Message != "":
		return f.result.Reason + ": " + f.result.Message
	case phase == policyv1alpha1.LifecycleFailed || phase == policyv1alpha1.LifecycleConflict:
		return fmt.Sprintf("%s: %s", phase, f.ready())
	case f.failedRevision():
		return "Its revision has failed: correct the policy or revert the edit, which reaches this import before others."
	case f.result.Action != policyv1alpha1.RenderNone:
		return fmt.Sprintf("Next: %s.", f.result.Action)
	case phase == policyv1alpha1.LifecycleImported && strings.HasPrefix(f.state(), isImported):
		if cluster := f.lifecycle.Status.Cluster; cluster != nil && cluster.Ready == string(metav1.ConditionFalse) {
			return "Nothing is left to update, but the cluster is not ready."
		}
		return "Nothing is left to update."
	case phase == policyv1alpha1.LifecycleImported:
		return "The lifecycle does not say so yet."
	default:
		return f.ready()
	}
}

// waitsForTurn reports whether the import has another revision than the newest one of a policy with
// a rollout.
func (f *facts) waitsForTurn() bool {
	if f.policy == nil || f.policy.Spec.Rollout == nil {
		return false
	}
	newest := decision.RevisionOfPolicy(&f.policy.Spec)
	return !newest.IsOf(&f.lifecycle.Spec)
}

// failedRevision reports whether the import has failed with the newest revision of a policy with
// a rollout.
func (f *facts) failedRevision() bool {
	return f.policy != nil && f.policy.Spec.Rollout != nil && f.lifecycle.Status.Rollout != nil &&
		f.lifecycle.Status.Rollout.State == policyv1alpha1.RolloutFailed
}

// ready is what the lifecycle says in its condition Ready, empty when it has none.
func (f *facts) ready() string {
	ready := meta.FindStatusCondition(f.lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady)
	if ready == nil {
		return ""
	}
	return ready.Reason + ": " + ready.Message
}

// rule is the one by which the controllers decide about the import, empty when the facts do
// not tell.
func (f *facts) rule() string {
	if f.policy == nil || f.unavailable() != nil {
		return ""
	}
	source := decision.SourceOf(f.result)
	if ready := meta.FindStatusCondition(f.lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady); ready != nil {
		// What the controllers have made sure of.
		switch ready.Reason {
		case policyv1alpha1.ReasonSourceGone:
			source = decision.Source{Presence: decision.Gone}
		case policyv1alpha1.ReasonSourceTypeLost:
			source = decision.Source{Presence: decision.TypeLost}
		}
	}
	snapshot := &decision.Snapshot{Policy: f.policy, Lifecycles: []*decision.Lifecycle{f.lifecycle}, Source: source}
	if invalid := f.invalid(); invalid != nil {
		snapshot.Problem = &decision.Problem{Message: invalid.Message, Lasting: true}
	}
	return ruleOf(snapshot)
}

// ruleOf is the rule that decides, empty when that depends on a Source of which nothing is
// known.
func ruleOf(snapshot *decision.Snapshot) string {
	decided := decision.Decide(snapshot)
	if decided.Observe {
		return ""
	}
	return decided.Rule
}
