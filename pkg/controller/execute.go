package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// carryOut carries out a plan in at most one write.
func (p *pass) carryOut(ctx context.Context, lifecycle *lifecycles.Lifecycle, current *unstructured.Unstructured, plan render.Plan) decision.Execution {
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
		return failed(plan, current, withoutValues(err))
	}
	return done
}

// failed is a plan that could not be carried out.
func failed(plan render.Plan, current *unstructured.Unstructured, err error) decision.Execution {
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err), isStale(err):
		return decision.Execution{Plan: plan, PediaCluster: current, Err: err, Stale: true}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return decision.Execution{PediaCluster: current, Plan: render.Plan{Action: render.ActionError, Reason: policyv1alpha1.ReasonInvalidPediaCluster,
			Message: "the host refuses the PediaCluster: " + refusal(err)}}
	default:
		return decision.Execution{PediaCluster: current, Err: err, Plan: render.Plan{Action: render.ActionError, Reason: policyv1alpha1.ReasonHostUnavailable,
			Message: "writing the PediaCluster, which is tried again: " + refusal(err)}}
	}
}

// refusedError is an error of a write to the host that can be logged.
type refusedError struct{ error }

// withoutValues is the error without the values that the host, or an admission webhook of it, may
// quote. It is still known what it is.
func withoutValues(err error) error { return refusedError{err} }

func (e refusedError) Error() string { return refusal(e.error) }

func (e refusedError) Unwrap() error { return e.error }

// refusal says what the host found wrong, without the values that it may quote:
// they may be credentials.
func refusal(err error) string {
	status, network := apierrors.APIStatus(nil), (*net.OpError)(nil)
	switch {
	case errors.As(err, &status):
	case errors.As(err, &network):
		remote := *network
		remote.Source = nil // its port differs each time
		return render.Bounded(remote.Error(), render.MaxMessage)
	default:
		return render.Bounded(err.Error(), render.MaxMessage)
	}
	message := status.Status().Message
	var fields []string
	if details := status.Status().Details; apierrors.IsInvalid(err) && details != nil {
		for _, cause := range details.Causes {
			if cause.Field != "" {
				fields = append(fields, fmt.Sprintf("%s (%s)", cause.Field, cause.Type))
			}
		}
	}
	by, _, denied := strings.Cut(message, " denied")
	switch {
	case len(fields) > 0:
		return render.Bounded("see the fields "+strings.Join(fields, ", "), render.MaxMessage)
	case denied && (strings.HasPrefix(by, "admission webhook") || strings.Contains(by, "ValidatingAdmissionPolicy '")):
		// What it says of the object is its own affair, and not repeated.
		return render.Bounded(by+" denied the request: ask it with a dry run of your own, or who runs it", render.MaxMessage)
	case apierrors.IsForbidden(err), strings.Contains(message, "strict decoding error: unknown field"):
		return render.Bounded(message, render.MaxMessage)
	default:
		return fmt.Sprintf("the host answers %d %s", status.Status().Code, status.Status().Reason)
	}
}
