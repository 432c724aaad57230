package controller

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// lifecycleStatus is the status of a lifecycle after its plan was carried out.
func lifecycleStatus(lifecycle *policyv1alpha1.PediaClusterLifecycle, before policyv1alpha1.PediaClusterLifecycleStatus,
	references []render.Reference, done execution) policyv1alpha1.PediaClusterLifecycleStatus {
	status := *before.DeepCopy()
	status.ObservedGeneration = lifecycle.Generation
	status.References = nil
	for _, ref := range references {
		status.References = append(status.References, ref.Target)
	}
	status.Cluster = clusterState(done.pediaCluster)
	status.Credentials = credentialsState(lifecycle, status.Credentials, done)
	status.LastResync = resync(lifecycle)
	if causeIsKnown(done.pediaCluster, done.plan) {
		status.PrunePlan = ""
	}

	ready := metav1.Condition{Type: policyv1alpha1.LifecycleReady, Status: metav1.ConditionFalse,
		Reason: done.plan.Reason, Message: done.plan.Message}
	switch done.plan.Action {
	case render.ActionCreate, render.ActionUpdate, render.ActionNone:
		status.Phase = policyv1alpha1.LifecycleImported
		ready.Status, ready.Message = metav1.ConditionTrue, "endpoint and credentials of the PediaCluster follow the Source"
	case render.ActionConflict:
		status.Phase = policyv1alpha1.LifecycleConflict
	case render.ActionError:
		status.Phase = policyv1alpha1.LifecycleFailed
	default:
		status.Phase = policyv1alpha1.LifecycleWaiting
	}

	created := ready
	created.Type = policyv1alpha1.LifecycleCreated
	if done.pediaCluster != nil && done.plan.Action != render.ActionConflict {
		created = createdCondition(lifecycle, done.pediaCluster)
	}

	updating := metav1.Condition{Type: policyv1alpha1.LifecycleUpdating, Status: metav1.ConditionFalse,
		Reason: policyv1alpha1.ReasonUpToDate, Message: "nothing is left to update"}
	if created.Status == metav1.ConditionTrue && ready.Status != metav1.ConditionTrue {
		updating.Status, updating.Reason, updating.Message = metav1.ConditionTrue, ready.Reason, ready.Message
	}
	setConditions(&status, lifecycle.Generation, ready, created, updating)
	return status
}

// createdCondition says that there is a PediaCluster, and for whom it was made.
func createdCondition(lifecycle *policyv1alpha1.PediaClusterLifecycle, pediaCluster *unstructured.Unstructured) metav1.Condition {
	created := metav1.Condition{Type: policyv1alpha1.LifecycleCreated, Status: metav1.ConditionTrue,
		Reason: policyv1alpha1.ReasonCreated, Message: "the PediaCluster was made for this Source and goes with it"}
	if ownerOf(lifecycle).Ownership(pediaCluster) != render.Owned {
		created.Reason, created.Message = policyv1alpha1.ReasonExisted, "the PediaCluster was there first and stays when the Source goes"
	}
	return created
}

// uncreatedStatus is the status of a lifecycle whose PediaCluster has gone and is
// about to be made anew.
func uncreatedStatus(lifecycle *policyv1alpha1.PediaClusterLifecycle) policyv1alpha1.PediaClusterLifecycleStatus {
	status := *lifecycle.Status.DeepCopy()
	status.Phase, status.Cluster, status.Credentials = policyv1alpha1.LifecyclePending, nil, nil
	ready := metav1.Condition{Type: policyv1alpha1.LifecycleReady, Status: metav1.ConditionFalse,
		Reason: policyv1alpha1.ReasonPediaClusterDeleting, Message: "the PediaCluster was deleted and is made again"}
	created := ready
	created.Type = policyv1alpha1.LifecycleCreated
	setConditions(&status, lifecycle.Generation, ready, created)
	return status
}

// stalledStatus is the status of a lifecycle that keeps what it has while it
// cannot be worked on. That its PediaCluster, nil for none, was made may not have
// been written yet.
func stalledStatus(lifecycle *policyv1alpha1.PediaClusterLifecycle, before policyv1alpha1.PediaClusterLifecycleStatus,
	pediaCluster *unstructured.Unstructured, cause *stalled) policyv1alpha1.PediaClusterLifecycleStatus {
	status := *before.DeepCopy()
	status.ObservedGeneration = lifecycle.Generation
	status.Phase = cause.phase
	if cause.plan != "" {
		status.PrunePlan = cause.plan
	}
	setConditions(&status, lifecycle.Generation, metav1.Condition{
		Type: policyv1alpha1.LifecycleReady, Status: metav1.ConditionFalse, Reason: cause.reason, Message: cause.message})
	if !isCreated(status) && pediaCluster != nil && ownerOf(lifecycle).Ownership(pediaCluster) == render.Owned {
		setConditions(&status, lifecycle.Generation, createdCondition(lifecycle, pediaCluster))
	}
	return status
}

// renamingStalled is the status of a lifecycle that is kept up to date under a
// name that its policy no longer wants. What is worse is said first.
func renamingStalled(status policyv1alpha1.PediaClusterLifecycleStatus, generation int64, cause *stalled) policyv1alpha1.PediaClusterLifecycleStatus {
	if status.Phase != policyv1alpha1.LifecycleImported {
		return status
	}
	status.Phase = cause.phase
	setConditions(&status, generation, metav1.Condition{Type: policyv1alpha1.LifecycleReady, Status: metav1.ConditionFalse,
		Reason: cause.reason, Message: cause.message + "; kept up to date under the former name"})
	return status
}

// setNameContended says whether other Sources render the name of the lifecycle.
// A lifecycle whose name never was contended does not mention it.
func setNameContended(status *policyv1alpha1.PediaClusterLifecycleStatus, generation int64, contenders []index.Import) {
	condition := metav1.Condition{Type: policyv1alpha1.LifecycleNameContended, Status: metav1.ConditionFalse,
		Reason: policyv1alpha1.ReasonNameFree, Message: "no other Source renders this name"}
	if len(contenders) > 0 {
		first := contenders[0]
		condition.Status, condition.Reason = metav1.ConditionTrue, policyv1alpha1.ReasonNameTaken
		condition.Message = fmt.Sprintf("%d other Sources render this name, such as %s of policy %q: change nameTemplate so that names differ",
			len(contenders), cache.NewObjectName(first.Namespace, first.Name), first.Policy)
	} else if meta.FindStatusCondition(status.Conditions, condition.Type) == nil {
		return
	}
	setConditions(status, generation, condition)
}

func setConditions(status *policyv1alpha1.PediaClusterLifecycleStatus, generation int64, conditions ...metav1.Condition) {
	for _, condition := range conditions {
		condition.ObservedGeneration = generation
		meta.SetStatusCondition(&status.Conditions, condition)
	}
}

func isCreated(status policyv1alpha1.PediaClusterLifecycleStatus) bool {
	return meta.IsStatusConditionTrue(status.Conditions, policyv1alpha1.LifecycleCreated)
}

// credentialsState says what became of the credentials in this execution.
func credentialsState(lifecycle *policyv1alpha1.PediaClusterLifecycle, before *policyv1alpha1.CredentialsState, done execution) *policyv1alpha1.CredentialsState {
	written := done.err == nil && (done.plan.Action == render.ActionCreate || done.plan.Action == render.ActionUpdate)
	if done.pediaCluster == nil {
		return nil
	}
	state := &policyv1alpha1.CredentialsState{}
	if expiry, ok := render.CredentialsExpiry(done.pediaCluster); ok {
		state.ExpirationTime = &metav1.Time{Time: expiry}
	}
	changed := written && (done.plan.Action == render.ActionCreate || slices.ContainsFunc(done.plan.Changed, inSpec))
	if before != nil {
		state.ChangedTime = before.ChangedTime
		// What was written last may not have come into the status.
		changed = changed || !state.ExpirationTime.Equal(before.ExpirationTime)
	}
	switch made := done.pediaCluster.GetCreationTimestamp(); {
	case changed:
		now := metav1.Now()
		state.ChangedTime = &now
	case before == nil && ownerOf(lifecycle).Ownership(done.pediaCluster) == render.Owned && !made.Before(&lifecycle.CreationTimestamp):
		state.ChangedTime = &made // and nothing was written of it
	}
	return state
}

func inSpec(path string) bool { return strings.HasPrefix(path, "spec.") }

// clusterState is what Clusterpedia says of the cluster.
func clusterState(pediaCluster *unstructured.Unstructured) *policyv1alpha1.ClusterState {
	if pediaCluster == nil {
		return nil
	}
	state := &policyv1alpha1.ClusterState{}
	state.Version, _, _ = unstructured.NestedString(pediaCluster.Object, "status", "version")
	state.APIServer, _, _ = unstructured.NestedString(pediaCluster.Object, "status", "apiserver")
	if state.APIServer == "" {
		state.APIServer, _, _ = unstructured.NestedString(pediaCluster.Object, "spec", "apiserver")
	}
	state.APIServer = render.Address(state.APIServer)
	conditions, _, _ := unstructured.NestedSlice(pediaCluster.Object, "status", "conditions")
	for _, condition := range conditions {
		if condition, ok := condition.(map[string]any); ok && condition["type"] == "Ready" {
			state.Ready, _ = condition["status"].(string)
		}
	}
	return state
}
