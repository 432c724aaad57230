package rest

import (
	"context"
	"path"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/identity"
)

// Identity is which storage this is, and which lifecycles are in it. It reads
// storage itself and no cache of it, which may be that of a storage that was
// replaced.
type Identity struct {
	*identity.Store
	lifecycles storage.Interface
	prefix     string
	// Destroy closes the connections to storage.
	Destroy func()
}

func newIdentity(optsGetter generic.RESTOptionsGetter) (*Identity, error) {
	store, destroy, err := identity.New(optsGetter)
	if err != nil {
		return nil, err
	}
	options, err := optsGetter.GetRESTOptions(policy.Resource("pediaclusterlifecycles"), &policy.PediaClusterLifecycle{})
	if err != nil {
		destroy()
		return nil, err
	}
	prefix := path.Join("/", options.ResourcePrefix)
	lifecycles, destroyLifecycles, err := generic.NewRawStorage(options.StorageConfig,
		func() runtime.Object { return &policy.PediaClusterLifecycle{} }, func() runtime.Object { return &policy.PediaClusterLifecycleList{} }, prefix)
	if err != nil {
		destroy()
		return nil, err
	}
	return &Identity{Store: store, lifecycles: lifecycles, prefix: prefix, Destroy: func() {
		destroyLifecycles()
		destroy()
	}}, nil
}

// Lifecycles returns the UIDs of all lifecycles in storage.
func (i *Identity) Lifecycles(ctx context.Context) (sets.Set[types.UID], error) {
	list := &policy.PediaClusterLifecycleList{}
	err := i.lifecycles.GetList(ctx, i.prefix+"/", storage.ListOptions{Predicate: storage.Everything, Recursive: true}, list)
	if err != nil {
		return nil, err
	}
	uids := sets.New[types.UID]()
	for n := range list.Items {
		uids.Insert(list.Items[n].UID)
	}
	return uids, nil
}
