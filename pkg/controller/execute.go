package controller

import (
	"context"
	"encoding/json"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/hosterrors"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// applyPlan applies a plan to the host, in at most one write.
func (p *pass) applyPlan(ctx context.Context, lifecycle *lifecycles.Lifecycle, current *unstructured.Unstructured, plan render.Plan) decision.Execution {
	client := p.host.Resource(render.PediaClusterGVR)
	done := decision.Execution{Plan: plan, PediaCluster: current}
	var err error
	switch plan.Action {
	case render.ActionCreate:
		done.PediaCluster, err = client.Create(ctx, plan.Object, metav1.CreateOptions{
			FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict})
	case render.ActionUpdate:
		var patch []byte
		if patch, err = json.Marshal(plan.Patch); err != nil {
			break
		}
		done.PediaCluster, err = client.Patch(ctx, current.GetName(), types.MergePatchType, patch, metav1.PatchOptions{
			FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict})
	case render.ActionDelete:
		if _, err = p.deletePediaCluster(ctx, p.state.policy, lifecycle, current, plan.Reason); err == nil {
			done.PediaCluster = nil
			if len(current.GetFinalizers()) > 0 { // it is there until they are gone
				done.PediaCluster = current
				done.Plan.Message += "; " + render.DescribeDeletion(current)
			}
		}
	}
	if err != nil {
		return failedExecution(plan, current, hosterrors.Redact(err))
	}
	return done
}

// failedExecution is the execution of a plan that the host did not accept.
func failedExecution(plan render.Plan, current *unstructured.Unstructured, err error) decision.Execution {
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err), isStale(err):
		return decision.Execution{Plan: plan, PediaCluster: current, Err: err, Stale: true}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return decision.Execution{PediaCluster: current, Plan: render.Plan{Action: render.ActionError, Reason: policyv1alpha1.ReasonInvalidPediaCluster,
			Message: "the host refuses the PediaCluster: " + hosterrors.Describe(err)}}
	default:
		return decision.Execution{PediaCluster: current, Err: err, Plan: render.Plan{Action: render.ActionError, Reason: policyv1alpha1.ReasonHostUnavailable,
			Message: "writing the PediaCluster, which is tried again: " + hosterrors.Describe(err)}}
	}
}
