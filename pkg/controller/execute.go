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
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// execution is a plan after it was carried out, or could not be.
type execution struct {
	plan render.Plan
	// pediaCluster is the one that exists now, nil when there is none.
	pediaCluster *unstructured.Unstructured
	// err is why it has to be tried again.
	err error
	// stale is set when what the plan was made from is no longer so: the next
	// attempt will see it, and there is nothing to tell.
	stale bool
}

// settled reports whether the PediaCluster is what the policy wants, or is not
// wanted.
func (e execution) settled() bool {
	if e.err != nil {
		return false
	}
	switch e.plan.Action {
	case render.ActionCreate, render.ActionUpdate, render.ActionNone:
		return true
	default:
		return e.plan.Reason == policyv1alpha1.ReasonDeletionConditionMet
	}
}

// execute carries out a plan in at most one write.
func (w *importWork) execute(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, current *unstructured.Unstructured, plan render.Plan) execution {
	client := w.host.Resource(render.PediaClusterGVR)
	done := execution{plan: plan, pediaCluster: current}
	var err error
	switch plan.Action {
	case render.ActionCreate:
		done.pediaCluster, err = client.Create(ctx, plan.Object, metav1.CreateOptions{
			FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict})
	case render.ActionUpdate:
		var patch []byte
		if patch, err = json.Marshal(plan.Patch); err != nil {
			break
		}
		done.pediaCluster, err = client.Patch(ctx, current.GetName(), types.MergePatchType, patch, metav1.PatchOptions{
			FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict})
	case render.ActionDelete:
		if _, err = w.deletePediaCluster(ctx, w.state.policy, lifecycle, current, plan.Reason); err == nil {
			done.pediaCluster = nil
			if len(current.GetFinalizers()) > 0 { // it is there until they are gone
				done.pediaCluster = current
				done.plan.Message += "; " + render.DescribeDeletion(current)
			}
		}
	}
	if err == nil {
		return done
	}

	done.pediaCluster = current
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err), isStale(err):
		done.err, done.stale = err, true
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		done.plan = render.Plan{Action: render.ActionError, Reason: policyv1alpha1.ReasonInvalidPediaCluster,
			Message: "the host refuses the PediaCluster: " + refusal(err)}
	default:
		done.err = err
		done.plan = render.Plan{Action: render.ActionError, Reason: policyv1alpha1.ReasonHostUnavailable,
			Message: "writing the PediaCluster, which is tried again: " + refusal(err)}
	}
	return done
}

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
