package pediaclusterlifecycle

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/validation"
)

// WholeStrategy is how this server updates spec and status of a lifecycle in one write.
// It is not reachable through the API, where they are two.
type WholeStrategy struct {
	Strategy
}

var _ rest.RESTUpdateStrategy = WholeStrategy{}

// PrepareForUpdate starts a new generation when the spec means something else.
func (WholeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	updated, stored := obj.(*policy.PediaClusterLifecycle), old.(*policy.PediaClusterLifecycle)
	if !apiequality.Semantic.DeepEqual(updated.Spec, stored.Spec) {
		updated.Generation = stored.Generation + 1
	}
}

// ValidateUpdate checks spec and status.
func (WholeStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	updated, stored := obj.(*policy.PediaClusterLifecycle), old.(*policy.PediaClusterLifecycle)
	return append(validation.ValidatePediaClusterLifecycleUpdate(updated, stored),
		validation.ValidatePediaClusterLifecycleStatusUpdate(updated, stored)...)
}
