package storage

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

// Create makes a policy, and warns of what will probably go wrong with it. The
// host is asked after the write, which does not wait for it.
func (r *REST) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	created, err := r.Store.Create(ctx, obj, createValidation, options)
	if err == nil {
		r.warn(ctx, created)
	}
	return created, err
}

// Update changes a policy, and warns if its spec has changed.
func (r *REST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo,
	createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc,
	forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	var before policy.ClusterImportPolicySpec
	remember := func(_ context.Context, obj, old runtime.Object) (runtime.Object, error) {
		old.(*policy.ClusterImportPolicy).Spec.DeepCopyInto(&before)
		return obj, nil
	}
	updated, created, err := r.Store.Update(ctx, name, rest.WrapUpdatedObjectInfo(objInfo, remember),
		createValidation, updateValidation, forceAllowCreate, options)
	if err == nil && !apiequality.Semantic.DeepEqual(before, updated.(*policy.ClusterImportPolicy).Spec) {
		r.warn(ctx, updated)
	}
	return updated, created, err
}

// warn tells a person, not this server itself.
func (r *REST) warn(ctx context.Context, obj runtime.Object) {
	if caller, ok := genericapirequest.UserFrom(ctx); r.Warnings == nil || !ok || caller.GetName() == user.APIServerUser {
		return
	}
	for _, text := range r.Warnings(ctx, &obj.(*policy.ClusterImportPolicy).Spec) {
		warning.AddWarning(ctx, "", text)
	}
}
