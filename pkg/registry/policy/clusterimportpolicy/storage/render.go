package storage

import (
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/validation"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/clusterimportpolicy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
)

// RenderREST serves the render subresource: what a policy, or an edit of it,
// would do.
type RenderREST struct {
	policies rest.Getter
	strategy clusterimportpolicy.Strategy
	reviewer *review.Reviewer
}

var (
	_ rest.NamedCreater                   = &RenderREST{}
	_ rest.SubresourceObjectMetaPreserver = &RenderREST{}
)

// NewRenderREST returns the subresource of these policies.
func NewRenderREST(typer runtime.ObjectTyper, policies rest.Getter, reviewer *review.Reviewer) *RenderREST {
	return &RenderREST{policies: policies, strategy: clusterimportpolicy.NewStrategy(typer), reviewer: reviewer}
}

// New returns an empty review.
func (*RenderREST) New() runtime.Object { return &policy.RenderReview{} }

// Destroy has nothing to do.
func (*RenderREST) Destroy() {}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the UID of the
// request, which has to be that of the policy.
func (*RenderREST) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create answers a review. With a policy in it, there need not be one of that
// name yet.
func (r *RenderREST) Create(ctx context.Context, name string, obj runtime.Object, admit rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	asked := obj.(*policy.RenderReview)
	stored, err := r.stored(ctx, name)
	if err != nil && (asked.Spec.Policy == nil || !apierrors.IsNotFound(err)) {
		return nil, err
	}
	rendered := &policy.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if stored != nil {
		rendered = stored.DeepCopy()
	}
	var errs field.ErrorList
	if asked.Spec.Policy != nil {
		asked.Spec.Policy.DeepCopyInto(&rendered.Spec)
		errs = r.validate(ctx, rendered, stored)
	}
	return r.reviewer.Answer(ctx, review.Subject{
		Resource:   policy.Resource("clusterimportpolicies"),
		Name:       name,
		UID:        rendered.UID,
		PolicyName: name,
		Policy:     &rendered.Spec,
		Status:     rendered.Status,
		Invalid:    append(errs, validation.ValidateRenderReview(asked, &rendered.Spec)...),
	}, asked, admit)
}

func (r *RenderREST) stored(ctx context.Context, name string) (*policy.ClusterImportPolicy, error) {
	object, err := r.policies.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return object.(*policy.ClusterImportPolicy), nil
}

// validate says what a write of the policy in a review would be told.
func (r *RenderREST) validate(ctx context.Context, rendered, stored *policy.ClusterImportPolicy) field.ErrorList {
	var errs field.ErrorList
	if stored == nil {
		errs = r.strategy.Validate(ctx, rendered)
	} else {
		errs = r.strategy.ValidateUpdate(ctx, rendered, stored)
	}
	for _, err := range errs {
		if below, ok := strings.CutPrefix(err.Field, "spec."); ok {
			err.Field = "spec.policy." + below
		}
	}
	return errs
}
