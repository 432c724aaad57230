package controller

import (
	"cmp"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// deletionCauses are why a lifecycle is being deleted, as a sentence begins.
var deletionCauses = map[string]string{
	policyv1alpha1.ReasonSourceGone:       "the Source is gone",
	policyv1alpha1.ReasonSourceDeselected: "the Source is no longer selected",
	policyv1alpha1.ReasonRenamed:          "nameTemplate renders another name now",
	policyv1alpha1.ReasonPolicyDeleted:    "the policy is deleted",
	policyv1alpha1.ReasonReleased:         "this lifecycle is being deleted, and the import is made again when it is gone if its Source is selected",
}

// deletionMessage says what a lifecycle that is being deleted for that cause waits
// for, and who can end it: for the PediaCluster as long as our own finalizer is
// there, then for the finalizers of others.
func deletionMessage(cause string, lifecycle *policyv1alpha1.PediaClusterLifecycle, pediaCluster *unstructured.Unstructured, fate fate) string {
	message := deletionCauses[cause] + "; "
	foreign := render.ForeignFinalizers(lifecycle.Finalizers)
	switch {
	case len(foreign) < len(lifecycle.Finalizers):
		return message + render.DescribeDeletion(pediaCluster)
	case pediaCluster == nil:
		message += "the PediaCluster is gone"
	case fate == handedOver:
		message += "the PediaCluster stays for the next lifecycle"
	default:
		message += "the PediaCluster is left to its users"
	}
	return message + ", and this lifecycle waits for " + render.DescribeFinalizers(foreign)
}

// deletingStatus is the status of a lifecycle that is being deleted and has to wait.
// The PediaCluster is nil when there is none.
func deletingStatus(lifecycle *policyv1alpha1.PediaClusterLifecycle, before policyv1alpha1.PediaClusterLifecycleStatus,
	pediaCluster *unstructured.Unstructured, cause, message string) policyv1alpha1.PediaClusterLifecycleStatus {
	status := *before.DeepCopy()
	status.ObservedGeneration = lifecycle.Generation
	status.Phase, status.PrunePlan = policyv1alpha1.LifecycleDeleting, ""
	created := metav1.Condition{Type: policyv1alpha1.LifecycleCreated, Status: metav1.ConditionFalse, Reason: cause,
		Message: "there is no PediaCluster"}
	if pediaCluster != nil {
		created = createdCondition(lifecycle, pediaCluster)
	} else {
		status.Cluster, status.Credentials = nil, nil
	}
	setConditions(&status, lifecycle.Generation, created,
		metav1.Condition{Type: policyv1alpha1.LifecycleReady, Status: metav1.ConditionFalse, Reason: cause, Message: message},
		metav1.Condition{Type: policyv1alpha1.LifecycleUpdating, Status: metav1.ConditionFalse,
			Reason: policyv1alpha1.ReasonUpToDate, Message: "nothing is left to update"})
	return status
}

// aboutSource has the condition Ready say that the Source is being deleted, if it is.
// nil is a Source of which nothing is known.
func aboutSource(status *policyv1alpha1.PediaClusterLifecycleStatus, source *unstructured.Unstructured) {
	ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.LifecycleReady)
	if source != nil && ready != nil {
		ready.Message = render.SourceMessage(source, ready.Message)
	}
}

// summedUp is the outcome of an import with two lifecycles. Something that is held
// has to be decided by a person, and is never hidden. A failure is worse than a
// lifecycle that goes.
func summedUp(main, former *outcome) *outcome {
	if main == nil || former == nil {
		return cmp.Or(main, former)
	}
	result := *main
	result.created = main.created || former.created
	result.owned = main.owned || former.owned
	switch {
	case main.phase == policyv1alpha1.LifecycleHeld:
	case former.phase == policyv1alpha1.LifecycleHeld, former.phase == policyv1alpha1.LifecycleDeleting && main.failure == nil:
		result.phase, result.waits = former.phase, former.waits
	}
	return &result
}
