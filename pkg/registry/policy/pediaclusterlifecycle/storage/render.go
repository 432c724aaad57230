package storage

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/validation"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
)

// RenderREST serves the render subresource: what would become of one import
// now, under its policy as it is.
type RenderREST struct {
	lifecycles, policies rest.Getter
	reviewer             *review.Reviewer
}

var (
	_ rest.Getter                         = &RenderREST{}
	_ rest.NamedCreater                   = &RenderREST{}
	_ rest.SubresourceObjectMetaPreserver = &RenderREST{}
)

// NewRenderREST returns the subresource of these lifecycles of these policies.
func NewRenderREST(lifecycles, policies rest.Getter, reviewer *review.Reviewer) *RenderREST {
	return &RenderREST{lifecycles: lifecycles, policies: policies, reviewer: reviewer}
}

// New returns an empty review.
func (*RenderREST) New() runtime.Object { return &policy.RenderReview{} }

// Destroy has nothing to do.
func (*RenderREST) Destroy() {}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the UID of the
// request, which has to be that of the lifecycle.
func (*RenderREST) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Get answers the review that asks for nothing in particular.
func (r *RenderREST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	return r.Create(ctx, name, &policy.RenderReview{}, nil, nil)
}

// Create answers a review.
func (r *RenderREST) Create(ctx context.Context, name string, obj runtime.Object, admit rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	asked := obj.(*policy.RenderReview)
	object, err := r.lifecycles.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	lifecycle := object.(*policy.PediaClusterLifecycle)
	policyName := policyv1alpha1.ControllingPolicy(lifecycle).Name
	if object, err = r.policies.Get(ctx, policyName, &metav1.GetOptions{}); err != nil {
		return nil, err
	}
	stored := object.(*policy.ClusterImportPolicy)
	rendered := &stored.Spec
	return r.reviewer.Answer(ctx, review.Subject{
		Resource:   policy.Resource("pediaclusterlifecycles"),
		Name:       name,
		UID:        lifecycle.UID,
		PolicyName: policyName,
		Policy:     rendered,
		Status:     stored.Status,
		Lifecycle:  lifecycle,
		Invalid:    validation.ValidateLifecycleRenderReview(asked, rendered),
	}, asked, admit)
}
