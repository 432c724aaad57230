package pediaclusterlifecycle

import (
	"context"
	"errors"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/caller"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/deletion"
)

var errSpecIsOurs = errors.New("it is written by the controllers of this server: " +
	"change the policy instead (labels and annotations of a lifecycle may be changed)")

// AuthorizeCreate refuses a new lifecycle from anybody but this server.
func AuthorizeCreate(ctx context.Context, obj runtime.Object) error {
	if caller.IsThisServer(ctx) {
		return nil
	}
	name := ""
	if object, err := meta.Accessor(obj); err == nil {
		name = object.GetName()
	}
	return apierrors.NewForbidden(policy.Resource("pediaclusterlifecycles"), name, errSpecIsOurs)
}

// AuthorizeUpdate refuses a changed spec from anybody but this server. It is a
// rest.TransformFunc that changes nothing. A lifecycle that an update would
// create is a new one.
func AuthorizeUpdate(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
	updated, stored := obj.(*policy.PediaClusterLifecycle), old.(*policy.PediaClusterLifecycle)
	if stored.UID != "" && apiequality.Semantic.DeepEqual(updated.Spec, stored.Spec) {
		return obj, nil
	}
	return obj, AuthorizeCreate(ctx, obj)
}

// IsLetGo reports whether this server asks for the end of a deletion: the
// lifecycle goes in one write, in just the version that it names.
func IsLetGo(ctx context.Context, options *metav1.DeleteOptions) bool {
	return caller.IsThisServer(ctx) && options != nil && options.GracePeriodSeconds != nil && *options.GracePeriodSeconds == 0 &&
		options.Preconditions != nil && options.Preconditions.UID != nil && options.Preconditions.ResourceVersion != nil
}

// ValidateLetGo refuses to take away a lifecycle that others still hold.
func ValidateLetGo(obj runtime.Object) error {
	lifecycle := obj.(*policy.PediaClusterLifecycle)
	for _, finalizer := range lifecycle.Finalizers {
		if finalizer != policyv1alpha1.Finalizer {
			return apierrors.NewConflict(policy.Resource("pediaclusterlifecycles"), lifecycle.Name,
				fmt.Errorf("finalizer %q has to be removed first", finalizer))
		}
	}
	return nil
}

// RecordRemoval returns a validation of a deletion that, after validate, notes
// on the lifecycle if this server deletes it.
func RecordRemoval(ctx context.Context, validate rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	if !caller.IsThisServer(ctx) {
		return validate
	}
	return deletion.Annotate(validate, policyv1alpha1.RemovedAnnotation)
}
