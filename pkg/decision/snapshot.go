// Package decision decides what becomes of one import: one Source under one policy.
//
// A Snapshot is all that one decision is made from. Decide goes through a list of rules, in
// which the first that applies decides whether the import is worked on, removed, or left as
// it is; the list reads as the specification. FateOf is the one place that decides what
// becomes of a PediaCluster, and Project says in a lifecycle's status what is so now.
//
// Everything here is pure: no client, no clock, no memory. It imports pkg/render and the API
// types, and is called by the controllers, which observe and apply, and by the registry,
// which previews.
package decision

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Lifecycle is the record of one import.
type Lifecycle = policyv1alpha1.PediaClusterLifecycle

// Snapshot is all that one decision is made from. Nobody changes it. A read that fails
// makes no snapshot: without one, nothing is decided.
type Snapshot struct {
	Policy Policy
	// Lifecycles are those of the import, in their newest known state: none, one, or two
	// while its name changes.
	Lifecycles []*Lifecycle
	Source     Source
}

// Policy is what is known of the policy of an import.
type Policy struct {
	Name string
	UID  types.UID
	// Exists is false when storage has no such policy.
	Exists bool
	// DeletionTimestamp is when a person deleted the policy, nil when nobody did.
	DeletionTimestamp *metav1.Time
	// Orphan is set when the deletion leaves PediaClusters to their users.
	Orphan         bool
	Suspend        bool
	DeletionPolicy policyv1alpha1.DeletionPolicy
	// Problem is why imports of the policy cannot be worked on, nil when they can.
	Problem *Problem
}

// Problem is why the imports of a policy cannot be worked on.
type Problem struct {
	Reason, Message string
	// Lasting problems are shown on the lifecycles. While there is another one, they rest.
	Lasting bool
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
	// TypeLost is a Source whose type went or is going, and it with its type: its absence
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

// Decision is what becomes of an import. One of its fields is set, or none when nothing is
// done and nothing is said.
type Decision struct {
	// Rule is the name of the rule that decided.
	Rule string
	// Remove are the removals to carry out.
	Remove []Removal
	// Blocked is why the import stays as it is, to be shown on its lifecycles.
	Blocked *Reason
	// Converge is set when lifecycle and PediaCluster are to become what the policy wants.
	Converge bool
	// Rest is set when the import stays as it is, and its lifecycles say what they say.
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
