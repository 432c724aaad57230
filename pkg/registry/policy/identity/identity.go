// Package identity knows which storage this is: one object, made when a storage
// is first used, whose UID goes wherever its data goes, into a snapshot and out
// of it again. The storage guard compares it with what the host remembers.
package identity

import (
	"context"
	"fmt"
	"path"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

const (
	// resource is the one under which the identity is stored. It is not served.
	resource = "storageidentities"
	name     = "this"
)

// Store reads and writes the identity. Use New.
type Store struct {
	storage storage.Interface
	key     string
}

// New returns the identity of the storage that optsGetter describes.
func New(optsGetter generic.RESTOptionsGetter) (store *Store, destroy func(), err error) {
	options, err := optsGetter.GetRESTOptions(policy.Resource(resource), &policy.StorageIdentity{})
	if err != nil {
		return nil, nil, err
	}
	prefix := path.Join("/", options.ResourcePrefix)
	raw, destroy, err := generic.NewRawStorage(options.StorageConfig,
		func() runtime.Object { return &policy.StorageIdentity{} }, func() runtime.Object { return &policy.StorageIdentityList{} }, prefix)
	if err != nil {
		return nil, nil, err
	}
	return &Store{storage: raw, key: path.Join(prefix, name)}, destroy, nil
}

// Get returns the id of the storage, and the host that it is bound to, which is
// empty at first. A storage without an identity is given one.
func (s *Store) Get(ctx context.Context) (id, host types.UID, err error) {
	identity := &policy.StorageIdentity{}
	err = s.storage.Get(ctx, s.key, storage.GetOptions{}, identity)
	if storage.IsNotFound(err) {
		made := &policy.StorageIdentity{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uuid.NewUUID(), CreationTimestamp: metav1.Now()}}
		err = s.storage.Create(ctx, s.key, made, identity, 0)
		if storage.IsExist(err) { // another replica was faster
			err = s.storage.Get(ctx, s.key, storage.GetOptions{}, identity)
		}
	}
	if err != nil {
		return "", "", fmt.Errorf("reading the identity of the storage: %w", err)
	}
	return identity.UID, identity.Host, nil
}

// Find is Get, except that a storage without an identity gets none: its id is
// empty then. The revision is the one that the storage has reached.
func (s *Store) Find(ctx context.Context) (id, host types.UID, revision uint64, err error) {
	identity := &policy.StorageIdentity{}
	if err := s.storage.Get(ctx, s.key, storage.GetOptions{IgnoreNotFound: true}, identity); err != nil {
		return "", "", 0, fmt.Errorf("reading the identity of the storage: %w", err)
	}
	revision, err = s.storage.GetCurrentResourceVersion(ctx)
	if err != nil {
		return "", "", 0, fmt.Errorf("reading the revision of the storage: %w", err)
	}
	return identity.UID, identity.Host, revision, nil
}

// Bind records the host that the storage is for. The error is a conflict when it
// is no longer the storage of that id.
func (s *Store) Bind(ctx context.Context, id, host types.UID) error {
	err := s.storage.GuaranteedUpdate(ctx, s.key, &policy.StorageIdentity{}, false, nil,
		func(input runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			identity := input.(*policy.StorageIdentity)
			if identity.UID != id {
				return nil, nil, apierrors.NewConflict(policy.Resource(resource), name, fmt.Errorf("the storage is now %s, not %s", identity.UID, id))
			}
			identity.Host = host
			return identity, nil, nil
		}, nil)
	if err != nil {
		return fmt.Errorf("binding the storage to its host: %w", err)
	}
	return nil
}
