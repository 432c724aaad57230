// Package storage serves ClusterImportPolicies from storage.
package storage

import (
	"context"
	"time"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/author"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/claim"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/clusterimportpolicy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/deletion"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/finalizers/stored"
)

// Storage holds the endpoints of the resource.
type Storage struct {
	ClusterImportPolicy *REST
	Status              *StatusREST
}

// NewStorage returns the endpoints on the storage that optsGetter describes. No
// request lives longer than requestTimeout.
func NewStorage(typer runtime.ObjectTyper, optsGetter generic.RESTOptionsGetter, requestTimeout time.Duration) (Storage, error) {
	strategy := clusterimportpolicy.NewStrategy(typer)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &policy.ClusterImportPolicy{} },
		NewListFunc:               func() runtime.Object { return &policy.ClusterImportPolicyList{} },
		DefaultQualifiedResource:  policy.Resource("clusterimportpolicies"),
		SingularQualifiedResource: policy.Resource("clusterimportpolicy"),

		CreateStrategy:      strategy,
		UpdateStrategy:      strategy,
		DeleteStrategy:      strategy,
		ResetFieldsStrategy: strategy,

		TableConvertor: tableConvertor{},
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: stored.RESTOptions{RESTOptionsGetter: optsGetter}}); err != nil {
		return Storage{}, err
	}

	statusStrategy := clusterimportpolicy.NewStatusStrategy(strategy)
	statusStore := *store
	statusStore.UpdateStrategy = statusStrategy
	statusStore.ResetFieldsStrategy = statusStrategy

	claims, destroy, err := claim.New(optsGetter, store, requestTimeout)
	if err != nil {
		return Storage{}, err
	}
	destroyStore := store.DestroyFunc
	store.DestroyFunc = func() {
		destroyStore()
		destroy()
	}
	store.AfterDelete = func(obj runtime.Object, options *metav1.DeleteOptions) {
		if options != nil && dryrun.IsDryRun(options.DryRun) {
			return
		}
		release(context.Background(), claims, obj.(*policy.ClusterImportPolicy))
	}
	return Storage{
		ClusterImportPolicy: &REST{Store: store, claims: claims},
		Status:              &StatusREST{store: &statusStore},
	}, nil
}

// REST serves the policies.
type REST struct {
	*genericregistry.Store
	claims *claim.Claims
	// Imports counts the lifecycles of a policy; nil counts none.
	Imports func(ctx context.Context, policy string) (int, error)
	// Warnings are what only the host can tell about the spec of a policy of that name; nil
	// has none.
	Warnings func(ctx context.Context, name string, spec *policy.ClusterImportPolicySpec) []string
	// Authors checks who writes policies; nil lets everybody.
	Authors *author.Checker
}

var (
	_ rest.StandardStorage      = &REST{}
	_ rest.ShortNamesProvider   = &REST{}
	_ rest.CategoriesProvider   = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// ShortNames are what kubectl takes for the resource.
func (*REST) ShortNames() []string { return []string{"cip"} }

// Categories are the groups of resources that kubectl lists this one under.
func (*REST) Categories() []string { return []string{"clusterpedia"} }

// Delete begins or goes on with a deletion.
func (r *REST) Delete(ctx context.Context, name string, deleteValidation rest.ValidateObjectFunc,
	options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	return r.Store.Delete(ctx, name, r.warnOfDeletion(deletion.RecordOrphaning(deleteValidation, options)), options)
}

// DeleteCollection does the same for all that are listed.
func (r *REST) DeleteCollection(ctx context.Context, deleteValidation rest.ValidateObjectFunc,
	options *metav1.DeleteOptions, listOptions *metainternalversion.ListOptions) (runtime.Object, error) {
	return r.Store.DeleteCollection(ctx, r.warnOfDeletion(deletion.RecordOrphaning(deleteValidation, options)), options, listOptions)
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

// New returns an empty policy.
func (*StatusREST) New() runtime.Object { return &policy.ClusterImportPolicy{} }

// Destroy leaves the store, which is that of REST, to it.
func (*StatusREST) Destroy() {}

// Get returns the policy; patches need it.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// Update changes the status of a policy for this server, and for nobody else. It
// never creates one.
func (r *StatusREST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo,
	createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc,
	_ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	objInfo = rest.WrapUpdatedObjectInfo(objInfo, clusterimportpolicy.AuthorizeStatus)
	return r.store.Update(ctx, name, objInfo, createValidation, updateValidation, false, options)
}

// GetResetFields returns the fields that a write of the status cannot set.
func (r *StatusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable prints the policy.
func (r *StatusREST) ConvertToTable(ctx context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, tableOptions)
}
