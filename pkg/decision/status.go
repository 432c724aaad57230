package decision

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// Status is the status of a lifecycle.
type Status = policyv1alpha1.PediaClusterLifecycleStatus

// Projection projects the current state into the status of a lifecycle. The same facts give the
// same status.
type Projection struct {
	// Lifecycle is the one to speak of, with the status that it has.
	Lifecycle *Lifecycle
	// Source is nil while nothing is known of it.
	Source *unstructured.Unstructured
	// Now is when what is said now came to be so, in whole seconds, as storage keeps it.
	Now metav1.Time
}

// Execution is a plan after it was carried out, or could not be.
type Execution struct {
	Plan render.Plan
	// PediaCluster is the one that exists now, nil when there is none.
	PediaCluster *unstructured.Unstructured
	// Err is why it has to be tried again.
	Err error
	// Stale is set when what the plan was made from has changed: the next attempt will see that,
	// and nothing is recorded.
	Stale bool
}

// Written reports whether the PediaCluster was created or updated.
func (e Execution) Written() bool {
	return e.Err == nil && (e.Plan.Action == render.ActionCreate || e.Plan.Action == render.ActionUpdate)
}

// InSync reports whether the PediaCluster is what the policy wants, or is not wanted.
func (e Execution) InSync() bool {
	switch {
	case e.Err != nil:
		return false
	case e.Plan.Action == render.ActionCreate, e.Plan.Action == render.ActionUpdate, e.Plan.Action == render.ActionNone:
		return true
	default:
		return e.Plan.Reason == policyv1alpha1.ReasonDeletionConditionMet
	}
}

// Convergence is what became of a lifecycle that was worked on.
type Convergence struct {
	Execution
	// References are the resolved ones.
	References []render.Reference
	// Definition is the UID of the definition of the Source's type.
	Definition types.UID
	// Answer is what the cluster answered when it was asked, nil when it was not.
	Answer *policyv1alpha1.ClusterState
	// NameBlocked is why the import does not have the name that its policy wants, nil when it
	// does.
	NameBlocked *Reason
	// Waiters are the imports that wait for the name.
	Waiters NameWaiters
	// Rollout is what the lifecycle records of its revision, nil without a rollout.
	Rollout *Record
}

// NameWaiters counts the imports that wait for a name, and names the first of them.
type NameWaiters struct {
	Count                   int
	Policy, Namespace, Name string
}

// Converged is the status after a plan was carried out.
func (p Projection) Converged(c Convergence) Status {
	status := p.begin()
	status.References = nil
	for _, ref := range c.References {
		status.References = append(status.References, ref.Target)
	}
	status.Cluster = clusterState(c.PediaCluster, c.Answer)
	status.Credentials = p.credentials(c)
	status.LastResync = Resync(p.Lifecycle)
	status.SourceDefinition = c.Definition
	status.PrunePlan = "" // what is held does not come this far
	status.Rollout = c.Rollout

	ready := metav1.Condition{Type: policyv1alpha1.LifecycleReady, Status: metav1.ConditionFalse, Reason: c.Plan.Reason, Message: c.Plan.Message}
	status.Phase = phaseOf(c.Plan.Action)
	if status.Phase == policyv1alpha1.LifecycleImported {
		ready.Status, ready.Message = metav1.ConditionTrue, "endpoint and credentials of the PediaCluster follow the Source"
	}
	created := ready
	created.Type = policyv1alpha1.LifecycleCreated
	if c.PediaCluster != nil && c.Plan.Action != render.ActionConflict {
		created = p.created(c.PediaCluster)
	}
	updating := upToDate()
	if created.Status == metav1.ConditionTrue && ready.Status != metav1.ConditionTrue {
		updating.Status, updating.Reason, updating.Message = metav1.ConditionTrue, ready.Reason, ready.Message
	}
	if c.NameBlocked != nil && status.Phase == policyv1alpha1.LifecycleImported { // what is worse is said first
		status.Phase = c.NameBlocked.Phase
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, c.NameBlocked.Reason, c.NameBlocked.Message+"; kept up to date under the former name"
	}
	p.setConditions(&status, ready, created, updating)
	p.setNameContended(&status, c.Waiters)
	return p.end(status)
}

func phaseOf(action render.Action) policyv1alpha1.LifecyclePhase {
	switch action {
	case render.ActionCreate, render.ActionUpdate, render.ActionNone:
		return policyv1alpha1.LifecycleImported
	case render.ActionConflict:
		return policyv1alpha1.LifecycleConflict
	case render.ActionError:
		return policyv1alpha1.LifecycleFailed
	default:
		return policyv1alpha1.LifecycleWaiting
	}
}

// Blocked is the status while the import stays as it is. That its PediaCluster, nil for
// none, was created may not be in the status yet.
func (p Projection) Blocked(reason *Reason, pediaCluster *unstructured.Unstructured) Status {
	status := p.begin()
	status.Phase, status.PrunePlan = reason.Phase, reason.PrunePlan
	p.setConditions(&status, metav1.Condition{
		Type: policyv1alpha1.LifecycleReady, Status: metav1.ConditionFalse, Reason: reason.Reason, Message: reason.Message})
	if !IsCreated(status) && pediaCluster != nil && OwnerOf(p.Lifecycle).Ownership(pediaCluster) == render.Owned {
		p.setConditions(&status, p.created(pediaCluster))
	}
	return p.end(status)
}

// Uncreated is the status when the PediaCluster has gone and is about to be created again.
func (p Projection) Uncreated() Status {
	status := p.begin()
	status.Phase, status.Cluster, status.Credentials = policyv1alpha1.LifecyclePending, nil, nil
	ready := metav1.Condition{Type: policyv1alpha1.LifecycleReady, Status: metav1.ConditionFalse,
		Reason: policyv1alpha1.ReasonPediaClusterDeleting, Message: "the PediaCluster was deleted and is being recreated"}
	created := ready
	created.Type = policyv1alpha1.LifecycleCreated
	p.setConditions(&status, ready, created)
	return p.end(status)
}

// Deleting is the status while the deletion of the lifecycle, for that cause, has to wait.
// The PediaCluster is nil when there is none.
func (p Projection) Deleting(r Removal, pediaCluster *unstructured.Unstructured) Status {
	status := p.begin()
	status.Phase, status.PrunePlan = policyv1alpha1.LifecycleDeleting, ""
	created := metav1.Condition{Type: policyv1alpha1.LifecycleCreated, Status: metav1.ConditionFalse, Reason: r.Cause,
		Message: "there is no PediaCluster"}
	if pediaCluster != nil {
		created = p.created(pediaCluster)
	} else {
		status.Cluster, status.Credentials = nil, nil
	}
	p.setConditions(&status, created, upToDate(), metav1.Condition{
		Type: policyv1alpha1.LifecycleReady, Status: metav1.ConditionFalse, Reason: r.Cause, Message: p.waitsFor(r, pediaCluster)})
	return p.end(status)
}

// waitsFor says what a lifecycle that is being deleted waits for, and who can end it: for
// the PediaCluster as long as our own finalizer is there, then for the finalizers of others.
func (p Projection) waitsFor(r Removal, pediaCluster *unstructured.Unstructured) string {
	message := causes[r.Cause] + "; "
	foreign := render.ForeignFinalizers(p.Lifecycle.Finalizers)
	switch {
	case len(foreign) < len(p.Lifecycle.Finalizers):
		return message + render.DescribeDeletion(pediaCluster)
	case pediaCluster == nil:
		message += "the PediaCluster was deleted"
	case r.FateOf(pediaCluster) == Retain:
		message += "the PediaCluster is retained for the next lifecycle"
	default:
		message += "the PediaCluster is orphaned"
	}
	return message + ", and this lifecycle waits for " + render.DescribeFinalizers(foreign)
}

// begin is the status as it is, of the generation that it speaks of from now on.
func (p Projection) begin() Status {
	status := *p.Lifecycle.Status.DeepCopy()
	status.ObservedGeneration = p.Lifecycle.Generation
	return status
}

// end adds that the Source is being deleted, if it is, and keeps what comes from data within
// bounds.
func (p Projection) end(status Status) Status {
	if ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.LifecycleReady); p.Source != nil && ready != nil {
		ready.Message = render.SourceMessage(p.Source, ready.Message)
	}
	render.BoundStatus(&status)
	return status
}

// created is the condition that there is a PediaCluster, and for whom it was made.
func (p Projection) created(pediaCluster *unstructured.Unstructured) metav1.Condition {
	created := metav1.Condition{Type: policyv1alpha1.LifecycleCreated, Status: metav1.ConditionTrue,
		Reason: policyv1alpha1.ReasonCreated, Message: "the PediaCluster was created for this Source and is deleted with it"}
	if OwnerOf(p.Lifecycle).Ownership(pediaCluster) != render.Owned {
		created.Reason, created.Message = policyv1alpha1.ReasonExisted, "the PediaCluster existed before and is kept when the Source is deleted"
	}
	return created
}

func upToDate() metav1.Condition {
	return metav1.Condition{Type: policyv1alpha1.LifecycleUpdating, Status: metav1.ConditionFalse,
		Reason: policyv1alpha1.ReasonUpToDate, Message: "nothing is left to update"}
}

// setNameContended says whether other Sources render the name. A lifecycle whose name never
// was contended does not mention it.
func (p Projection) setNameContended(status *Status, waiters NameWaiters) {
	condition := metav1.Condition{Type: policyv1alpha1.LifecycleNameContended, Status: metav1.ConditionFalse,
		Reason: policyv1alpha1.ReasonNameFree, Message: "no other Source renders this name"}
	if waiters.Count > 0 {
		condition.Status, condition.Reason = metav1.ConditionTrue, policyv1alpha1.ReasonNameTaken
		condition.Message = fmt.Sprintf("%d other Sources render this name, such as %s of policy %q: change nameTemplate so that names differ",
			waiters.Count, strings.TrimPrefix(waiters.Namespace+"/"+waiters.Name, "/"), waiters.Policy)
	} else if meta.FindStatusCondition(status.Conditions, condition.Type) == nil {
		return
	}
	p.setConditions(status, condition)
}

func (p Projection) setConditions(status *Status, conditions ...metav1.Condition) {
	for _, condition := range conditions {
		condition.ObservedGeneration, condition.LastTransitionTime = p.Lifecycle.Generation, p.Now
		meta.SetStatusCondition(&status.Conditions, condition)
	}
}

// IsCreated reports whether a status says that there is a PediaCluster.
func IsCreated(status Status) bool {
	return meta.IsStatusConditionTrue(status.Conditions, policyv1alpha1.LifecycleCreated)
}

// credentials says what became of the credentials.
func (p Projection) credentials(c Convergence) *policyv1alpha1.CredentialsState {
	if c.PediaCluster == nil {
		return nil
	}
	before := p.Lifecycle.Status.Credentials
	state := &policyv1alpha1.CredentialsState{}
	if expiry, ok := render.CredentialsExpiry(c.PediaCluster); ok {
		state.ExpirationTime = &metav1.Time{Time: expiry}
	}
	changed := c.Written() && (c.Plan.Action == render.ActionCreate || slices.ContainsFunc(c.Plan.Changed, inSpec))
	if before != nil {
		state.ChangedTime = before.ChangedTime
		// What was written last may not have come into the status.
		changed = changed || !state.ExpirationTime.Equal(before.ExpirationTime)
	}
	switch made := c.PediaCluster.GetCreationTimestamp(); {
	case changed:
		state.ChangedTime = &p.Now
	case before == nil && OwnerOf(p.Lifecycle).Ownership(c.PediaCluster) == render.Owned && !made.Before(&p.Lifecycle.CreationTimestamp):
		state.ChangedTime = &made // and nothing was written of it
	}
	return state
}

func inSpec(path string) bool { return strings.HasPrefix(path, "spec.") }

// Resync is the value of the annotation by which somebody asks for a pass on facts that are
// read from the host.
func Resync(lifecycle *Lifecycle) string {
	const most = 64
	value := lifecycle.Annotations[policyv1alpha1.ResyncAnnotation]
	return strings.ToValidUTF8(value[:min(len(value), most)], "")
}

// ResyncDue reports whether that was asked for and not done yet.
func ResyncDue(lifecycle *Lifecycle) bool {
	return lifecycle.DeletionTimestamp == nil && Resync(lifecycle) != lifecycle.Status.LastResync
}
