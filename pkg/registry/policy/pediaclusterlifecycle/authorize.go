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
	"k8s.io/apiserver/pkg/warning"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/caller"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/deletion"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/finalizers"
)

var (
	errMadeByUs = errors.New("it is made by the controllers of this server for a Source that a policy selects: change the policy instead. " +
		"A backup needs policies only: their lifecycles are created again and adopt the existing PediaClusters")
	errSpecIsOurs = errors.New("it is written by the controllers of this server: " +
		"change the policy instead (labels and annotations of a lifecycle may be changed)")
)

var resource = policy.Resource("pediaclusterlifecycles")

// AuthorizeCreate refuses a new lifecycle from anybody but this server.
func AuthorizeCreate(ctx context.Context, obj runtime.Object) error {
	if caller.IsThisServer(ctx) {
		return nil
	}
	name := ""
	if object, err := meta.Accessor(obj); err == nil {
		name = object.GetName()
	}
	return apierrors.NewForbidden(resource, name, errMadeByUs)
}

// AuthorizeUpdate refuses from anybody but this server a changed spec, and what
// finalizers.AuthorizeUpdate refuses. It is a rest.TransformFunc that changes
// nothing. A lifecycle that an update would create is a new one.
func AuthorizeUpdate(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
	updated, stored := obj.(*policy.PediaClusterLifecycle), old.(*policy.PediaClusterLifecycle)
	if stored.UID == "" {
		return obj, AuthorizeCreate(ctx, obj)
	}
	err := finalizers.AuthorizeUpdate(ctx, resource, &updated.ObjectMeta, &stored.ObjectMeta, func() string { return deletionOf(stored) })
	if err != nil {
		return obj, err
	}
	if caller.IsThisServer(ctx) || apiequality.Semantic.DeepEqual(updated.Spec, stored.Spec) {
		return obj, nil
	}
	return obj, apierrors.NewForbidden(resource, stored.Name, errSpecIsOurs)
}

// deletionOf says what the deletion of the lifecycle waits for, and how to end it.
func deletionOf(stored *policy.PediaClusterLifecycle) string {
	return fmt.Sprintf("%sTo end the deletion and keep the PediaCluster: kubectl delete pediaclusterlifecycle %s --cascade=orphan",
		deletion.WaitsFor(stored.Status.Conditions), stored.Name)
}

// AuthorizeStatus refuses a changed status from anybody but this server. It is a
// rest.TransformFunc that changes nothing.
func AuthorizeStatus(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
	updated, stored := obj.(*policy.PediaClusterLifecycle), old.(*policy.PediaClusterLifecycle)
	return obj, caller.AuthorizeStatus(ctx, resource, stored.Name, !apiequality.Semantic.DeepEqual(updated.Status, stored.Status))
}

// IsFinalization reports whether this server asks for the end of a deletion: the
// lifecycle goes in one write, in just the version that it names.
func IsFinalization(ctx context.Context, options *metav1.DeleteOptions) bool {
	return caller.IsThisServer(ctx) && options != nil && options.GracePeriodSeconds != nil && *options.GracePeriodSeconds == 0 &&
		options.Preconditions != nil && options.Preconditions.UID != nil && options.Preconditions.ResourceVersion != nil
}

// ValidateFinalization refuses to take away a lifecycle that others still hold.
func ValidateFinalization(obj runtime.Object) error {
	lifecycle := obj.(*policy.PediaClusterLifecycle)
	for _, finalizer := range lifecycle.Finalizers {
		if finalizer != policyv1alpha1.Finalizer {
			return apierrors.NewConflict(resource, lifecycle.Name,
				fmt.Errorf("finalizer %q has to be removed first", finalizer))
		}
	}
	return nil
}

// WarnOfDeletion returns a validation of a deletion that, after validate, says what a
// person's deletion of a lifecycle does: who deletes one may expect its PediaCluster to be
// deleted too, and no lifecycle to be there any more.
func WarnOfDeletion(validate rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	return func(ctx context.Context, obj runtime.Object) error {
		if err := validate(ctx, obj); err != nil || caller.IsThisServer(ctx) {
			return err
		}
		if lifecycle := obj.(*policy.PediaClusterLifecycle); lifecycle.DeletionTimestamp == nil {
			warning.AddWarning(ctx, "", fmt.Sprintf("this deletes no PediaCluster: %q is released, and kept if its Source is deleted. "+
				"The lifecycle is created again while the policy selects the Source", lifecycle.Name))
		}
		return nil
	}
}

// RecordRemoval returns a validation of a deletion that, after validate, notes
// on the lifecycle if this server deletes it.
func RecordRemoval(ctx context.Context, validate rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	if !caller.IsThisServer(ctx) {
		return validate
	}
	return deletion.Annotate(validate, policyv1alpha1.RemovedAnnotation)
}
