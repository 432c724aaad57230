package storage

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/apiserver/pkg/warning"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/caller"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/clusterimportpolicy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/finalizers"
)

// Create makes a policy, and warns of what will probably go wrong with it. The
// host is asked after the write, which does not wait for it.
func (r *REST) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	claimant := claimant{claims: r.claims, dryRun: dryrun.IsDryRun(options.DryRun)}
	created, err := r.Store.Create(ctx, obj, claimant.beforeCreate(r.authoredCreate(createValidation)), options)
	claimant.conclude(ctx, err)
	if err == nil {
		r.warn(ctx, created)
	}
	return created, err
}

// Update changes a policy, and warns if its spec has changed. A dry run is there to be
// told, and warns in any case.
func (r *REST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo,
	createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc,
	forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	var before policy.ClusterImportPolicySpec
	remember := func(_ context.Context, obj, old runtime.Object) (runtime.Object, error) {
		old.(*policy.ClusterImportPolicy).Spec.DeepCopyInto(&before)
		return obj, nil
	}
	dryRun := dryrun.IsDryRun(options.DryRun)
	claimant := claimant{claims: r.claims, dryRun: dryRun}
	updated, created, err := r.Store.Update(ctx, name, rest.WrapUpdatedObjectInfo(objInfo, clusterimportpolicy.AuthorizeUpdate, remember),
		claimant.beforeCreate(r.authoredCreate(createValidation)), claimant.beforeUpdate(r.authoredUpdate(updateValidation)),
		forceAllowCreate, options)
	finalizers.Count(r.DefaultQualifiedResource, err)
	claimant.conclude(ctx, err)
	if err == nil && (dryRun || !apiequality.Semantic.DeepEqual(before, updated.(*policy.ClusterImportPolicy).Spec)) {
		r.warn(ctx, updated)
	}
	return updated, created, err
}

// warnOfDeletion tells a person who deletes a policy what goes with it.
func (r *REST) warnOfDeletion(validate rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	return func(ctx context.Context, obj runtime.Object) error {
		if err := validate(ctx, obj); err != nil {
			return err
		}
		deleted := obj.(*policy.ClusterImportPolicy)
		if deleted.DeletionTimestamp != nil || r.Imports == nil {
			return nil
		}
		imports, err := r.Imports(ctx, deleted.Name)
		if err != nil {
			warning.AddWarning(ctx, "", "this removes the lifecycles of the policy, which cannot be counted now")
			return nil
		}
		if imports == 0 {
			return nil
		}
		fate := "deletes the PediaClusters that this policy created"
		if deleted.Spec.DeletionPolicy == policy.DeletionPolicyOrphan || deleted.Spec.Suspend ||
			deleted.Annotations[policyv1alpha1.OrphanAnnotation] == "true" {
			fate = "orphans their PediaClusters"
		}
		warning.AddWarning(ctx, "", fmt.Sprintf("this removes %d lifecycles and %s", imports, fate))
		return nil
	}
}

// warn tells a person, not this server itself.
func (r *REST) warn(ctx context.Context, obj runtime.Object) {
	if r.Warnings == nil || caller.IsThisServer(ctx) {
		return
	}
	written := obj.(*policy.ClusterImportPolicy)
	for _, text := range r.Warnings(ctx, written.Name, &written.Spec) {
		warning.AddWarning(ctx, "", text)
	}
}
