package lifecycles

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// WatchableStorage is a Storage that an informer can list and watch. What it returns is not
// changed: it may share text with others.
type WatchableStorage interface {
	Storage
	List(ctx context.Context, options metav1.ListOptions) (runtime.Object, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// NewInformer returns an informer on the lifecycles in storage, for New.
func NewInformer(storage WatchableStorage) cache.SharedIndexInformer {
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc:  storage.List,
		WatchFuncWithContext: storage.Watch,
	}, &Lifecycle{}, 0, Indexers())
	// It fails on none that has not started.
	utilruntime.Must(informer.SetTransform(trim))
	return informer
}

// trim drops what nobody reads. Storage keeps managed fields that a write leaves out.
func trim(object any) (any, error) {
	if lifecycle, ok := object.(*Lifecycle); ok && lifecycle.ManagedFields != nil { // no tombstone
		trimmed := *lifecycle
		trimmed.ManagedFields = nil
		return &trimmed, nil
	}
	return object, nil
}
