// Package decision decides what becomes of one import: one Source under one policy.
//
// A Snapshot is all that one decision is made from. Decide goes through a list of rules, in
// which the first that applies decides whether the import is worked on, removed, or left as
// it is; the list reads as the specification. FateOf is the one place that decides what
// becomes of a PediaCluster, and Projection says in a lifecycle's status what is so now.
//
// Everything here is pure: no client, no clock, no memory. It imports pkg/render and the API
// types, and is called by the controllers, which observe and apply, by the registry, which previews,
// and by the plugin, which explains.
package decision

import (
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Lifecycle is the record of one import.
type Lifecycle = policyv1alpha1.PediaClusterLifecycle

// Snapshot is all that one decision is made from. It is not changed after that. If a read fails
// there is no snapshot, and without one nothing is decided.
type Snapshot struct {
	Policy *policyv1alpha1.ClusterImportPolicy
	// Problem is why imports of the policy cannot be worked on, nil when they can.
	Problem *Problem
	// Lifecycles are those of the import, in their newest known state: none, one, or two
	// while its name changes.
	Lifecycles []*Lifecycle
	Source     Source
}

// Problem is why the imports of a policy cannot be worked on.
type Problem struct {
	Message string
	// Lasting problems are shown on the lifecycles. Under any other problem the imports rest.
	Lasting bool
	// Passing problems, such as a first list that is under way, are not shown at all.
	Passing bool
}

// Presence says whether there is a Source.
type Presence int

const (
	// Unknown is what nobody has asked the host about: the policy decides before.
	Unknown Presence = iota
	// Present Sources exist.
	Present
	// Never is a Source that does not exist and of which nothing was made.
	Never
	// Gone is a Source that the host confirms not to exist, under a type that it serves.
	Gone
	// TypeLost is a Source that was deleted, or is about to be, with its type: its absence
	// says nothing about its cluster.
	TypeLost
)

// Source is what is known of the Source of an import.
type Source struct {
	Presence Presence
	// DeletionSeen is set when a watch has shown the deletion as it happened.
	DeletionSeen bool
	// TypeLost is why the type of the Source is lost.
	TypeLost string
	// Selected says whether the policy selects the Source, SelectorErr why that is not known.
	Selected    bool
	SelectorErr error
}

// Decision is what becomes of an import. Nothing is set when nothing is left of it.
type Decision struct {
	// Rule is the name of the rule that decided.
	Rule string
	// Release are the lifecycles that a person has deleted, whatever else is decided.
	Release []Removal
	// Observe is set when it cannot be decided without the Source.
	Observe bool
	// Remove are the removals to carry out.
	Remove []Removal
	// Blocked is why the import stays as it is, to be shown on its lifecycles.
	Blocked *Reason
	// Converge is set when lifecycle and PediaCluster are to become what the policy wants.
	Converge bool
	// Rest is set when the import and the statuses of its lifecycles stay as they are.
	Rest bool
}

// Reason is why an import is not what its policy wants.
type Reason struct {
	Phase policyv1alpha1.LifecyclePhase
	// Reason is one of the reasons of a lifecycle's conditions, Message is for people.
	Reason, Message string
	// PrunePlan is the plan under which a removal is held.
	PrunePlan string
}

func (r *Reason) Error() string { return r.Message }
