package rest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

const importsAtOnce = 16

// Importer writes policies and lifecycles that were CRD's objects straight to
// storage, past admission: a policy that a stricter rule refuses keeps its
// lifecycles all the same.
type Importer struct {
	decoder              runtime.Decoder
	policies, lifecycles *genericregistry.Store
}

func newImporter(codecs serializer.CodecFactory, policies, lifecycles *genericregistry.Store) *Importer {
	return &Importer{
		decoder:  codecs.UniversalDecoder(schema.GroupVersion{Group: policy.GroupName, Version: runtime.APIVersionInternal}),
		policies: policies, lifecycles: lifecycles,
	}
}

// Import makes storage hold those objects, with their UIDs, and changes nothing
// that does already. With replace, other objects are removed: they were never
// served. Without it the error is that there are others, or one of a name under
// another UID.
func (i *Importer) Import(ctx context.Context, objects []unstructured.Unstructured, replace bool) error {
	uids := sets.New[types.UID]()
	for n := range objects {
		uids.Insert(objects[n].GetUID())
	}
	for _, store := range []*genericregistry.Store{i.policies, i.lifecycles} {
		if err := settleOthers(ctx, store, uids, replace); err != nil {
			return err
		}
	}
	// The first error tells: there may be as many as objects.
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(importsAtOnce)
	for n := range objects {
		group.Go(func() error {
			if err := i.importOne(ctx, &objects[n]); err != nil {
				return fmt.Errorf("%s %q: %w", objects[n].GetKind(), objects[n].GetName(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// settleOthers removes objects with other UIDs, or says that there is one.
func settleOthers(ctx context.Context, store *genericregistry.Store, uids sets.Set[types.UID], remove bool) error {
	list, err := store.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing what is in storage: %w", err)
	}
	return meta.EachListItem(list, func(object runtime.Object) error {
		stored, err := meta.Accessor(object)
		if err != nil || uids.Has(stored.GetUID()) {
			return err
		}
		if !remove {
			return fmt.Errorf("storage has %s %q with the UID %s, which is not among what is to be imported: this storage is not a new one",
				store.DefaultQualifiedResource.Resource, stored.GetName(), stored.GetUID())
		}
		key, err := store.KeyFunc(ctx, stored.GetName())
		if err != nil {
			return err
		}
		uid := stored.GetUID()
		err = store.Storage.Storage.Delete(ctx, key, store.NewFunc(), &storage.Preconditions{UID: &uid},
			storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
		if storage.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func (i *Importer) importOne(ctx context.Context, exported *unstructured.Unstructured) error {
	text, err := exported.MarshalJSON()
	if err != nil {
		return err
	}
	object, err := runtime.Decode(i.decoder, text)
	if err != nil {
		return err
	}
	var store *genericregistry.Store
	var metadata *metav1.ObjectMeta
	switch imported := object.(type) {
	case *policy.ClusterImportPolicy:
		store, metadata = i.policies, &imported.ObjectMeta
		adapt(metadata, true)
		imported.Status = policy.ClusterImportPolicyStatus{Conditions: policyv1alpha1.NewConditions(metadata.Generation, metadata.CreationTimestamp)}
	case *policy.PediaClusterLifecycle:
		store, metadata = i.lifecycles, &imported.ObjectMeta
		adapt(metadata, controlledByPolicy(metadata))
		imported.Status = policy.PediaClusterLifecycleStatus{Conditions: policyv1alpha1.NewConditions(metadata.Generation, metadata.CreationTimestamp)}
	default:
		return fmt.Errorf("%T is neither a policy nor a lifecycle", object)
	}
	switch {
	case metadata.UID == "":
		return errors.New("it has no UID")
	case metadata.DeletionTimestamp != nil:
		return errors.New("it is being deleted")
	}
	key, err := store.KeyFunc(ctx, metadata.Name)
	if err != nil {
		return err
	}
	return store.Storage.Storage.GuaranteedUpdate(ctx, key, store.NewFunc(), true, nil,
		func(stored runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			there, err := meta.Accessor(stored)
			if err != nil {
				return nil, nil, err
			}
			if there.GetUID() != "" && there.GetUID() != metadata.UID {
				return nil, nil, fmt.Errorf("storage has one with the UID %s, and this one has %s", there.GetUID(), metadata.UID)
			}
			return object.DeepCopyObject(), nil, nil
		}, nil)
}

// adapt makes metadata what it would be if the object had been made here. The
// controllers write a status of their own in a moment.
func adapt(metadata *metav1.ObjectMeta, withFinalizer bool) {
	metadata.ResourceVersion = ""
	metadata.Generation = max(metadata.Generation, 1)
	metadata.Finalizers = slices.DeleteFunc(metadata.Finalizers, formerFinalizer)
	if withFinalizer {
		metadata.Finalizers = append(metadata.Finalizers, policyv1alpha1.Finalizer)
	}
}

// formerFinalizer reports whether nobody takes the finalizer off any more: those
// of Clusterpedia's controllers, and of the garbage collector, which our kinds
// never have. Others belong to somebody.
func formerFinalizer(finalizer string) bool {
	domain, _, qualified := strings.Cut(finalizer, "/")
	if !qualified {
		domain = finalizer
	}
	return domain == "clusterpedia.io" || strings.HasSuffix(domain, ".clusterpedia.io") ||
		finalizer == metav1.FinalizerOrphanDependents || finalizer == metav1.FinalizerDeleteDependents
}

// controlledByPolicy makes the policy that owns a lifecycle its controller, and
// reports whether there is one. Nobody sees to a lifecycle without: it gets no
// finalizer, which nobody would take off.
func controlledByPolicy(lifecycle *metav1.ObjectMeta) bool {
	if controller := metav1.GetControllerOfNoCopy(lifecycle); controller != nil {
		return isPolicy(*controller)
	}
	n := slices.IndexFunc(lifecycle.OwnerReferences, isPolicy)
	if n >= 0 {
		yes := true
		lifecycle.OwnerReferences[n].Controller = &yes
	}
	return n >= 0
}

func isPolicy(owner metav1.OwnerReference) bool {
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && gv.Group == policy.GroupName && owner.Kind == "ClusterImportPolicy"
}
