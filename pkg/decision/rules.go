package decision

import (
	"slices"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// rule decides about an import, nil when it does not apply.
type rule struct {
	name   string
	decide func(*Snapshot) *Decision
}

// rules are asked in this order, and the first that applies decides.
var rules = []rule{
	{"the policy is being deleted", policyDeleted},
	{"the policy has a problem", policyBlocked},
	{"the policy is suspended", policySuspended},
	{"a lifecycle is paused", lifecyclePaused},
	{"the type of the Source is lost", typeLost},
	{"the Source no longer exists", sourceGone},
	{"the Source never was", neverImported},
	{"the selector fails", selectorFailed},
	{"the Source is not selected", notSelected},
	{"the Source is selected", selected},
	{"nothing is known of the Source", undecided},
}

// Decide decides about an import. The last rule always applies.
func Decide(s *Snapshot) (decided Decision) {
	for _, r := range rules {
		if d := r.decide(s); d != nil {
			decided, decided.Rule = *d, r.name
			break
		}
	}
	decided.Release = released(s)
	return decided
}

// released: whoever deletes a lifecycle releases its PediaCluster, under any problem of the
// policy.
func released(s *Snapshot) (release []Removal) {
	for _, lifecycle := range s.Lifecycles {
		if DeletedByPerson(lifecycle) {
			release = append(release, Finalization(lifecycle))
		}
	}
	return release
}

// policyDeleted: a person has asked for the removal of all that the policy has made. The
// deletion of a suspended policy orphans.
func policyDeleted(s *Snapshot) *Decision {
	if s.Policy.DeletionTimestamp == nil {
		return nil
	}
	r := Removal{Cause: policyv1alpha1.ReasonPolicyDeleted, Asked: s.Policy.DeletionTimestamp}
	if s.Policy.Spec.Suspend || HasOrphanAnnotation(s.Policy) {
		r.Fate = Orphan
	}
	return s.remove(r)
}

// policyBlocked: what cannot be decided changes nothing. A lasting problem is shown; another
// one passes by itself, and is shown where nothing was said before.
func policyBlocked(s *Snapshot) *Decision {
	switch p := s.Problem; {
	case p == nil:
		return nil
	case p.Passing, !p.Lasting && !s.isNew():
		return &Decision{Rest: true}
	default:
		return s.blocked(policyv1alpha1.LifecycleWaiting, policyv1alpha1.ReasonWaitingForType, p.Message)
	}
}

// isNew reports whether nothing was ever decided about the import, such as one that was
// migrated.
func (s *Snapshot) isNew() bool {
	return len(s.Lifecycles) == 1 && s.Lifecycles[0].Status.Phase == "" && s.Lifecycles[0].DeletionTimestamp == nil
}

func policySuspended(s *Snapshot) *Decision {
	if !s.Policy.Spec.Suspend {
		return nil
	}
	return &Decision{Rest: true}
}

func lifecyclePaused(s *Snapshot) *Decision {
	if !slices.ContainsFunc(s.Lifecycles, Paused) {
		return nil
	}
	return s.blocked(policyv1alpha1.LifecycleHeld, policyv1alpha1.ReasonPaused,
		"nothing is created, changed or deleted until the annotation "+policyv1alpha1.PausedAnnotation+" is removed")
}

func typeLost(s *Snapshot) *Decision {
	if s.Source.Presence != TypeLost {
		return nil
	}
	return s.blocked(policyv1alpha1.LifecycleHeld, policyv1alpha1.ReasonSourceTypeLost, s.Source.TypeLost+
		": the PediaCluster stays until the Source is back; delete this lifecycle to release it")
}

// sourceGone: a deletion that was observed is what its author wanted. An absence that was
// only found counts for the brake.
func sourceGone(s *Snapshot) *Decision {
	if s.Source.Presence != Gone {
		return nil
	}
	return s.remove(Removal{Cause: policyv1alpha1.ReasonSourceGone, Counted: !s.Source.DeletionSeen})
}

func neverImported(s *Snapshot) *Decision {
	if s.Source.Presence != Never {
		return nil
	}
	return &Decision{}
}

// selectorFailed: an error never deletes.
func selectorFailed(s *Snapshot) *Decision {
	if s.Source.Presence != Present || s.Source.SelectorErr == nil {
		return nil
	}
	return s.blocked(policyv1alpha1.LifecycleFailed, policyv1alpha1.ReasonSelectorFailed, s.Source.SelectorErr.Error())
}

func notSelected(s *Snapshot) *Decision {
	if s.Source.Presence != Present || s.Source.Selected {
		return nil
	}
	return s.remove(Removal{Cause: policyv1alpha1.ReasonSourceDeselected, Counted: true})
}

func selected(s *Snapshot) *Decision {
	if s.Source.Presence != Present {
		return nil
	}
	return &Decision{Converge: true}
}

// undecided: nothing before has decided without the Source.
func undecided(*Snapshot) *Decision { return &Decision{Observe: true} }

// blocked is the decision to leave the import as it is. A lifecycle whose removal had begun,
// for a cause that is not there any more, hands its PediaCluster over to the next one.
func (s *Snapshot) blocked(phase policyv1alpha1.LifecyclePhase, reason, message string) *Decision {
	d := &Decision{Blocked: &Reason{Phase: phase, Reason: reason, Message: message}}
	for _, lifecycle := range s.Lifecycles {
		if lifecycle.DeletionTimestamp != nil && !DeletedByPerson(lifecycle) {
			d.Remove = append(d.Remove, Finalization(lifecycle))
		}
	}
	return d
}

// remove is the decision to remove every lifecycle of the import but those that are released
// anyway. Without one, nothing is left of the import.
func (s *Snapshot) remove(r Removal) *Decision {
	d := &Decision{}
	for _, lifecycle := range s.Lifecycles {
		if !DeletedByPerson(lifecycle) {
			d.Remove = append(d.Remove, s.Removal(lifecycle, r))
		}
	}
	return d
}
