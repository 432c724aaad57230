package decision

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// Removal is why a lifecycle is removed, and what becomes of its PediaCluster.
type Removal struct {
	Lifecycle *Lifecycle
	// Cause is one of the reasons of a lifecycle's conditions.
	Cause string
	// Fate is what the decision wants; FateOf says what becomes of a PediaCluster.
	Fate Fate
	// Counted removals are held when there are too many of them. All others are what a
	// person asked for: the deletion of the Source, observed as it happened, or of the policy.
	Counted bool
	// Asked is when a person asked for it, nil for all other causes. A PediaCluster that is
	// younger, by more than what was under way then, was not meant: the request comes from a
	// restored storage.
	Asked *metav1.Time
	// By is the policy, in the version that it was decided by. Without one nothing is deleted.
	By *policyv1alpha1.ClusterImportPolicy
}

// causes describe the causes of removals. They begin a sentence.
var causes = map[string]string{
	policyv1alpha1.ReasonSourceGone:           "the Source no longer exists",
	policyv1alpha1.ReasonSourceDeselected:     "the selectors no longer select the Source",
	policyv1alpha1.ReasonRenamed:              "nameTemplate renders another name now",
	policyv1alpha1.ReasonPolicyDeleted:        "the policy is being deleted, or no longer exists",
	policyv1alpha1.ReasonReleased:             "this lifecycle is being deleted; after that the import is created again if its Source is selected",
	policyv1alpha1.ReasonDeletionConditionMet: "deletionCondition is true",
}

// DescribeCounted describes the cause of a removal that counts. It begins a sentence.
func DescribeCounted(cause string) string {
	if cause == policyv1alpha1.ReasonSourceGone {
		return causes[cause] + ", but its deletion was not observed" // otherwise it would not count
	}
	return causes[cause]
}

// underWay is how long after a policy was deleted its PediaClusters may still be made by
// imports that had begun, as far as clocks agree.
const underWay = 2 * time.Minute

// Fate is what becomes of the PediaCluster of a lifecycle that goes.
type Fate int

const (
	// Delete is the fate of a PediaCluster that nobody wants any more.
	Delete Fate = iota
	// Orphan leaves it to its users: it loses owner reference and annotation.
	Orphan
	// Retain leaves it to the next lifecycle of the same Source.
	Retain
)

// Removal is the removal of one lifecycle of the import for a cause. deletionPolicy is applied
// here, and nowhere else, so that it does not depend on the path that leads to a removal.
func (s *Snapshot) Removal(lifecycle *Lifecycle, r Removal) Removal {
	r.Lifecycle, r.By = lifecycle, s.Policy
	if r.Fate == Delete && s.Policy.Spec.DeletionPolicy == policyv1alpha1.DeletionPolicyOrphan {
		r.Fate = Orphan
	}
	return r
}

// FateOf is what becomes of this PediaCluster. Only what is owned, neither paused nor
// orphaned, and was there when a person asked, is deleted.
func (r Removal) FateOf(pediaCluster *unstructured.Unstructured) Fate {
	switch {
	case HasOrphanAnnotation(r.Lifecycle), Paused(r.Lifecycle),
		OwnerOf(r.Lifecycle).Ownership(pediaCluster) != render.Owned, // its reference to us is taken away, should there be one
		r.Asked != nil && pediaCluster.GetCreationTimestamp().After(r.Asked.Add(underWay)):
		return Orphan
	default:
		return r.Fate
	}
}

// Finalization is the removal of a lifecycle that is being deleted and that no cause removes:
// its PediaCluster is handed over to the next lifecycle, or released if a person deleted it.
func Finalization(lifecycle *Lifecycle) Removal {
	r := Removal{Lifecycle: lifecycle, Cause: policyv1alpha1.ReasonReleased, Fate: Retain}
	if DeletedByPerson(lifecycle) {
		r.Fate = Orphan
	}
	return r
}

// OwnerOf is the import that the lifecycle records, as the owner of its PediaCluster.
func OwnerOf(lifecycle *Lifecycle) render.Owner {
	return render.Owner{Policy: policyv1alpha1.ControllingPolicy(lifecycle).Name, Source: lifecycle.Spec.Source, LifecycleUID: lifecycle.UID}
}

// Paused reports whether a person has stopped the import of this one cluster.
func Paused(lifecycle *Lifecycle) bool {
	return lifecycle.Annotations[policyv1alpha1.PausedAnnotation] == "true"
}

// HasOrphanAnnotation reports whether a person wants the PediaCluster to stay.
func HasOrphanAnnotation(object metav1.Object) bool {
	return object.GetAnnotations()[policyv1alpha1.OrphanAnnotation] == "true"
}

// RemovedByServer reports whether this server began the deletion of the lifecycle.
func RemovedByServer(lifecycle *Lifecycle) bool {
	return lifecycle.Annotations[policyv1alpha1.RemovedAnnotation] == "true"
}

// DeletedByPerson reports whether a person has deleted the lifecycle, or has said of one
// that this server deletes that its PediaCluster is to stay.
func DeletedByPerson(lifecycle *Lifecycle) bool {
	return lifecycle.DeletionTimestamp != nil && (!RemovedByServer(lifecycle) || HasOrphanAnnotation(lifecycle))
}
