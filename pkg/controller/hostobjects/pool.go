// Package hostobjects holds informers on objects of the host. They start with
// the first policy that needs a type and stop with the last.
//
// It imports clients of the host and nothing of this project. The policy
// controller subscribes policies; the import controller reads.
package hostobjects

import (
	"bytes"
	"context"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Kind is what one informer holds.
type Kind struct {
	schema.GroupVersionResource
	// Definition tells a CustomResourceDefinition from an earlier one of the
	// same name, whose objects are others.
	Definition types.UID
	// LabelSelector is applied by the host; empty selects all.
	LabelSelector string
	// Selector tells one function that is given to Subscribe from another: which
	// objects are held depends on it. Without one, all are.
	Selector string
	// MetadataOnly holds names and versions, not objects: what is read of few
	// objects of a type with many is better fetched when it is needed.
	MetadataOnly bool
}

// Change is what became of an object.
type Change int

const (
	// Present objects appeared or changed.
	Present Change = iota
	// Deleted objects were observed leaving what is watched: deleted, or no
	// longer selected by the Kind's labels.
	Deleted
	// Missing objects were not in a list, and nobody saw them go.
	Missing
)

// Handler is told of changes. Its methods are called one after the other for
// each Kind and must return at once.
type Handler interface {
	// ObjectChanged is called when an object appeared, changed or disappeared after
	// the objects that exist have become known.
	ObjectChanged(kind Kind, subscribers []string, namespace, name string, change Change)
	// StateChanged is called when the objects that exist have become known, and
	// when they can no longer be listed and watched, or can again.
	StateChanged(kind Kind, subscribers []string)
}

// Pool holds the informers. Use NewPool.
type Pool struct {
	dynamic  dynamic.Interface
	metadata metadata.Interface
	handler  Handler
	// permitted is a Forbidden error when this server may not read a type.
	permitted func(context.Context, schema.GroupVersionResource) error

	mu        sync.RWMutex
	informers map[Kind]*informer
	wg        sync.WaitGroup
}

type informer struct {
	cache.SharedIndexInformer
	cancel      context.CancelFunc
	subscribers []string // replaced, never changed in place
	health      *health
	// probe asks the host for one object of the Kind.
	probe func(context.Context) error
}

// NewPool returns a pool without informers. Before a type is listed, permitted is called,
// whose error is Forbidden when this server may not read the type; other errors do not
// count.
func NewPool(dynamicClient dynamic.Interface, metadataClient metadata.Interface, handler Handler,
	permitted func(context.Context, schema.GroupVersionResource) error) *Pool {
	return &Pool{dynamic: dynamicClient, metadata: metadataClient, handler: handler, permitted: permitted, informers: map[Kind]*informer{}}
}

// Subscribe makes sure that the kind is watched for the subscriber, until the
// context ends or the subscriber gives it back. Of a kind with a Selector, objects
// are held for which wanted is true. It depends on nothing but the object and
// the kind.
func (p *Pool) Subscribe(ctx context.Context, kind Kind, subscriber string, wanted func(*unstructured.Unstructured) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held, ok := p.informers[kind]
	if ok {
		if !slices.Contains(held.subscribers, subscriber) {
			held.subscribers = append(slices.Clone(held.subscribers), subscriber)
		}
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	held = p.newInformer(kind)
	held.cancel, held.subscribers = cancel, []string{subscriber}
	p.informers[kind] = held
	if kind.Selector == "" {
		wanted = everything
	}
	p.start(ctx, kind, held, wanted)
}

// Unsubscribe gives the kind back.
func (p *Pool) Unsubscribe(kind Kind, subscriber string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held, ok := p.informers[kind]
	if !ok {
		return
	}
	held.subscribers = slices.DeleteFunc(slices.Clone(held.subscribers), func(s string) bool { return s == subscriber })
	if len(held.subscribers) == 0 {
		held.cancel()
		delete(p.informers, kind)
	}
}

// Wait returns when every informer has stopped.
func (p *Pool) Wait() { p.wg.Wait() }

// Status reports whether the objects of the kind have become known, and why they
// cannot be listed and watched now: the error is nil while they can, or while
// that is not known yet. What was known before stays known.
func (p *Pool) Status(kind Kind) (synced bool, failure error) {
	p.mu.RLock()
	held, ok := p.informers[kind]
	p.mu.RUnlock()
	if !ok {
		return false, nil
	}
	return held.HasSynced(), held.health.err()
}

// Object returns a full object. Nil when there is none, or none that is held
// whole.
func (p *Pool) Object(kind Kind, namespace, name string) *unstructured.Unstructured {
	held := p.get(kind, namespace, name)
	if held == nil || held.whole == nil {
		return nil
	}
	object := &unstructured.Unstructured{}
	utilruntime.Must(object.UnmarshalJSON(held.whole)) // it was encoded here
	return object
}

// ResourceVersion returns the version of the object that the informer last
// heard of, empty when there is none.
func (p *Pool) ResourceVersion(kind Kind, namespace, name string) string {
	held := p.get(kind, namespace, name)
	if held == nil {
		return ""
	}
	return held.resourceVersion
}

func (p *Pool) get(kind Kind, namespace, name string) *entry {
	p.mu.RLock()
	held, ok := p.informers[kind]
	p.mu.RUnlock()
	if !ok {
		return nil
	}
	object, _, err := held.GetStore().GetByKey(cache.NewObjectName(namespace, name).String())
	if err != nil {
		return nil
	}
	found, _ := object.(*entry)
	return found
}

// Each calls f with the namespace and name of every object of the kind.
func (p *Pool) Each(kind Kind, f func(namespace, name string)) {
	p.mu.RLock()
	held, ok := p.informers[kind]
	p.mu.RUnlock()
	if !ok {
		return
	}
	for _, key := range held.GetStore().ListKeys() {
		if name, err := cache.ParseObjectName(key); err == nil {
			f(name.Namespace, name.Name)
		}
	}
}

// newInformer returns an informer that has not started.
func (p *Pool) newInformer(kind Kind) *informer {
	var (
		client  any = p.dynamic
		example runtime.Object
		list    cache.ListWithContextFunc
		observe cache.WatchFuncWithContext
	)
	if kind.MetadataOnly {
		resource := p.metadata.Resource(kind.GroupVersionResource)
		client, example, observe = p.metadata, &metav1.PartialObjectMetadata{}, resource.Watch
		list = func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return resource.List(ctx, options)
		}
	} else {
		resource := p.dynamic.Resource(kind.GroupVersionResource)
		example, observe = &unstructured.Unstructured{}, resource.Watch
		list = func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return resource.List(ctx, options)
		}
	}
	health := newHealth()
	requests := untilPermitted(health, func(ctx context.Context) error { return p.permitted(ctx, kind.GroupVersionResource) },
		&cache.ListWatch{
			ListWithContextFunc: health.list(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				options.LabelSelector = kind.LabelSelector
				return list(ctx, options)
			}),
			WatchFuncWithContext: health.observe(func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				options.LabelSelector = kind.LabelSelector
				return observe(ctx, options)
			}),
		})
	return &informer{
		SharedIndexInformer: cache.NewSharedIndexInformerWithOptions(cache.ToListWatcherWithWatchListSemantics(requests, client), example,
			cache.SharedIndexInformerOptions{ObjectDescription: kind.String()}),
		health: health,
		probe: func(ctx context.Context) error {
			_, err := list(ctx, metav1.ListOptions{LabelSelector: kind.LabelSelector, Limit: 1})
			return err
		},
	}
}

func (p *Pool) start(ctx context.Context, kind Kind, held *informer, wanted func(*unstructured.Unstructured) bool) {
	logger := klog.FromContext(ctx).WithValues("resource", kind.GroupResource(), "version", kind.Version)
	// It does not fail on an informer that has not started.
	utilruntime.Must(held.SetTransform(hold(wanted)))
	changed := func(object any, change Change) {
		name, err := cache.DeletionHandlingObjectToName(object)
		if err != nil {
			utilruntime.HandleErrorWithContext(ctx, err, "Reading the name of an object")
			return
		}
		p.handler.ObjectChanged(kind, p.subscribers(held), name.Namespace, name.Name, change)
	}
	_, err := held.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, initial bool) {
			if !initial { // StateChanged tells of all the others at once
				changed(object, Present)
			}
		},
		UpdateFunc: func(before, now any) {
			if before.(*entry).resourceVersion != now.(*entry).resourceVersion {
				changed(now, Present)
			}
		},
		DeleteFunc: func(object any) {
			if _, unseen := object.(cache.DeletedFinalStateUnknown); unseen {
				changed(object, Missing)
				return
			}
			changed(object, Deleted)
		},
	})
	utilruntime.Must(err)

	logger.V(2).Info("Watching objects of the host", "labelSelector", kind.LabelSelector)
	p.wg.Go(func() {
		held.RunWithContext(ctx)
		logger.V(2).Info("No longer watching objects of the host")
	})
	stateChanged := func() { p.handler.StateChanged(kind, p.subscribers(held)) }
	p.wg.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), held.HasSynced) {
			stateChanged()
		}
	})
	p.wg.Go(func() { held.health.supervise(klog.NewContext(ctx, logger), held.HasSynced, held.probe, stateChanged) })
}

func (p *Pool) subscribers(held *informer) []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return held.subscribers
}

// entry is what an informer holds of an object: its name and version, and if that
// is wanted the whole object, as JSON: a tree of maps takes more than twice the memory.
type entry struct {
	namespace, name, resourceVersion string

	whole []byte
}

// GetObjectMeta is what informers read of an entry. As a part of each entry it would
// take a quarter of a KiB.
func (e *entry) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: e.namespace, Name: e.name, ResourceVersion: e.resourceVersion}
}

// hold makes an entry of an object. It is given entries too, since a list that is
// streamed is transformed twice.
func hold(wanted func(*unstructured.Unstructured) bool) cache.TransformFunc {
	return func(object any) (any, error) {
		switch object := object.(type) {
		case *metav1.PartialObjectMetadata:
			return newEntry(object), nil
		case *unstructured.Unstructured:
			object.SetManagedFields(nil) // no template reads them
			held := newEntry(object)
			if !wanted(object) {
				return held, nil
			}
			whole, err := object.MarshalJSON()
			held.whole = bytes.Clone(whole) // without the room to grow
			return held, err
		}
		return object, nil
	}
}

func everything(*unstructured.Unstructured) bool { return true }

func newEntry(object metav1.Object) *entry {
	return &entry{namespace: object.GetNamespace(), name: object.GetName(), resourceVersion: object.GetResourceVersion()}
}
