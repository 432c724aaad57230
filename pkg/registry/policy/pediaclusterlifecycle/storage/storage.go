// Package storage serves PediaClusterLifecycles from storage.
package storage

import (
	"context"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/deletion"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/finalizers"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/finalizers/stored"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/pediaclusterlifecycle"
)

// Storage holds the endpoints of the resource.
type Storage struct {
	PediaClusterLifecycle *REST
	Status                *StatusREST
}

// NewStorage returns the endpoints on the storage that optsGetter describes.
func NewStorage(typer runtime.ObjectTyper, optsGetter generic.RESTOptionsGetter) (Storage, error) {
	strategy := pediaclusterlifecycle.NewStrategy(typer)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &policy.PediaClusterLifecycle{} },
		NewListFunc:               func() runtime.Object { return &policy.PediaClusterLifecycleList{} },
		PredicateFunc:             pediaclusterlifecycle.Match,
		DefaultQualifiedResource:  policy.Resource("pediaclusterlifecycles"),
		SingularQualifiedResource: policy.Resource("pediaclusterlifecycle"),

		CreateStrategy:      strategy,
		UpdateStrategy:      strategy,
		DeleteStrategy:      strategy,
		ResetFieldsStrategy: strategy,

		TableConvertor: tableConvertor{},
	}
	options := &generic.StoreOptions{
		RESTOptions: sharing{stored.RESTOptions{RESTOptionsGetter: optsGetter}},
		AttrFunc:    pediaclusterlifecycle.GetAttrs,
		Indexers:    pediaclusterlifecycle.Indexers(),
	}
	if err := store.CompleteWithOptions(options); err != nil {
		return Storage{}, err
	}

	statusStrategy := pediaclusterlifecycle.NewStatusStrategy(strategy)
	statusStore := *store
	statusStore.UpdateStrategy = statusStrategy
	statusStore.ResetFieldsStrategy = statusStrategy

	return Storage{
		PediaClusterLifecycle: &REST{Store: store},
		Status:                &StatusREST{store: &statusStore},
	}, nil
}

// REST serves the lifecycles. Their spec is written by this server alone.
type REST struct {
	*genericregistry.Store
}

var (
	_ rest.StandardStorage      = &REST{}
	_ rest.ShortNamesProvider   = &REST{}
	_ rest.CategoriesProvider   = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// ShortNames are what kubectl takes for the resource.
func (*REST) ShortNames() []string { return []string{"pcl"} }

// Categories are the groups of resources that kubectl lists this one under.
func (*REST) Categories() []string { return []string{"clusterpedia"} }

// Create makes a lifecycle for this server, and for nobody else.
func (r *REST) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	if err := pediaclusterlifecycle.AuthorizeCreate(ctx, obj); err != nil {
		return nil, err
	}
	return r.Store.Create(ctx, obj, createValidation, options)
}

// Update changes a lifecycle, its spec only for this server. The check comes
// before validation: who may not write a spec need not be told how.
func (r *REST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo,
	createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc,
	forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	updated, created, err := r.Store.Update(ctx, name, rest.WrapUpdatedObjectInfo(objInfo, pediaclusterlifecycle.AuthorizeUpdate),
		createValidation, updateValidation, forceAllowCreate, options)
	finalizers.Count(r.DefaultQualifiedResource, err)
	return updated, created, err
}

// Delete begins or goes on with a deletion, or ends it.
func (r *REST) Delete(ctx context.Context, name string, deleteValidation rest.ValidateObjectFunc,
	options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	if pediaclusterlifecycle.IsFinalization(ctx, options) {
		return r.finalize(ctx, name, deleteValidation, options)
	}
	deleteValidation = pediaclusterlifecycle.RecordRemoval(ctx, pediaclusterlifecycle.WarnOfDeletion(deletion.RecordOrphaning(deleteValidation, options)))
	return r.Store.Delete(ctx, name, deleteValidation, options)
}

// finalize takes a lifecycle out of storage.
func (r *REST) finalize(ctx context.Context, name string, deleteValidation rest.ValidateObjectFunc,
	options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	key, err := r.KeyFunc(ctx, name)
	if err != nil {
		return nil, false, err
	}
	out := r.NewFunc()
	preconditions := &storage.Preconditions{UID: options.Preconditions.UID, ResourceVersion: options.Preconditions.ResourceVersion}
	validate := func(ctx context.Context, obj runtime.Object) error {
		if err := pediaclusterlifecycle.ValidateFinalization(obj); err != nil {
			return err
		}
		return deleteValidation(ctx, obj)
	}
	err = r.Storage.Delete(ctx, key, out, preconditions, validate, dryrun.IsDryRun(options.DryRun), nil, storage.DeleteOptions{})
	return out, true, storeerr.InterpretDeleteError(err, r.DefaultQualifiedResource, name)
}

// DeleteCollection does the same for all that are listed.
func (r *REST) DeleteCollection(ctx context.Context, deleteValidation rest.ValidateObjectFunc,
	options *metav1.DeleteOptions, listOptions *metainternalversion.ListOptions) (runtime.Object, error) {
	return r.Store.DeleteCollection(ctx, deletion.RecordOrphaning(deleteValidation, options), options, listOptions)
}

// CountOf counts the lifecycles of a policy.
func (r *REST) CountOf(ctx context.Context, policyName string) (int, error) {
	list, err := r.List(ctx, &metainternalversion.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(policyv1alpha1.FieldPolicy, policyName)})
	if err != nil {
		return 0, err
	}
	return len(list.(*policy.PediaClusterLifecycleList).Items), nil
}

// StatusREST serves the status subresource.
type StatusREST struct {
	store *genericregistry.Store
}

var (
	_ rest.Patcher             = &StatusREST{}
	_ rest.ResetFieldsStrategy = &StatusREST{}
	_ rest.TableConvertor      = &StatusREST{}
)

// New returns an empty lifecycle.
func (*StatusREST) New() runtime.Object { return &policy.PediaClusterLifecycle{} }

// Destroy leaves the store, which is that of REST, to it.
func (*StatusREST) Destroy() {}

// Get returns the lifecycle; patches need it.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// Update changes the status of a lifecycle for this server, and for nobody else. It
// never creates one.
func (r *StatusREST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo,
	createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc,
	_ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	objInfo = rest.WrapUpdatedObjectInfo(objInfo, pediaclusterlifecycle.AuthorizeStatus)
	return r.store.Update(ctx, name, objInfo, createValidation, updateValidation, false, options)
}

// GetResetFields returns the fields that a write of the status cannot set.
func (r *StatusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable prints the lifecycle.
func (r *StatusREST) ConvertToTable(ctx context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, tableOptions)
}
