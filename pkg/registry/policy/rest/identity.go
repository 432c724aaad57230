package rest

import (
	"context"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/identity"
)

// Identity is which storage this is, and which lifecycles are in it.
type Identity struct {
	*identity.Store
	lifecycles rest.Lister
	// Destroy closes the connection to storage.
	Destroy func()
}

func newIdentity(optsGetter generic.RESTOptionsGetter, lifecycles rest.Lister) (*Identity, error) {
	store, destroy, err := identity.New(optsGetter)
	if err != nil {
		return nil, err
	}
	return &Identity{Store: store, lifecycles: lifecycles, Destroy: destroy}, nil
}

// Lifecycles returns the UIDs of all lifecycles in storage.
func (i *Identity) Lifecycles(ctx context.Context) (sets.Set[types.UID], error) {
	list, err := i.lifecycles.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	uids := sets.New[types.UID]()
	for _, lifecycle := range list.(*policy.PediaClusterLifecycleList).Items {
		uids.Insert(lifecycle.UID)
	}
	return uids, nil
}
