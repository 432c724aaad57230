// Package servedtypes knows which types the host serves, in which versions, and
// tells when that changes. Types come and go with CustomResourceDefinitions and
// APIServices.
//
// It imports clients of the host and, of this project, confirm. The policy
// controller resolves types here, and the import controller has it confirm that
// an object is really gone and not only its type.
package servedtypes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/confirm"
)

var (
	crds        = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
)

// resync is how often discovery is asked without a cause: for what changes
// behind an aggregated API server without its APIService changing.
const resync = time.Minute

// discoveryTimeout bounds one discovery: a host that hangs is asked again.
const discoveryTimeout = 30 * time.Second

// discoveryDelays are the delays after a change at which discovery is asked again: a
// CustomResourceDefinition is served somewhat later than it is established.
var discoveryDelays = []time.Duration{100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second}

// NotServedError says that the host does not serve a type in any of the
// versions that would do.
type NotServedError struct {
	Resource schema.GroupResource
	Versions []string // empty when any would do
	Served   []string // the versions that are served
}

func (e *NotServedError) Error() string {
	switch {
	case len(e.Served) > 0:
		return fmt.Sprintf("the host serves %s in version %v, none of %v: correct versions, or install what serves them", e.Resource, e.Served, e.Versions)
	default:
		return fmt.Sprintf("the host does not serve %s: install what defines it", e.Resource)
	}
}

// Type is a type that the host serves.
type Type struct {
	schema.GroupVersionResource
	Namespaced bool
	// Definition is the UID of the CustomResourceDefinition, empty for
	// built-in and aggregated types. Objects go with their definition.
	Definition types.UID
}

// Tracker knows the served types. Use New.
type Tracker struct {
	discovery discovery.DiscoveryInterfaceWithContext
	metadata  metadata.Interface
	onChange  func()
	changed   chan struct{}

	mu sync.RWMutex
	// served is nil until discovery has answered once.
	served map[schema.GroupResource]resource
	// unknown are the groups whose API server did not answer at the last look.
	unknown map[string]error
	// failure is why served is nil, if that is known.
	failure error

	crds cache.GenericLister // set by Run

	confirmations confirm.Group[Type, struct{}]
}

// resource is a type in all its versions, the preferred one first.
type resource struct {
	versions   []string
	namespaced bool
	definition types.UID
	// generation is that of the definition, which grows when its schema changes.
	generation int64
}

func (r resource) equal(other resource) bool {
	return slices.Equal(r.versions, other.versions) && r.namespaced == other.namespaced && r.definition == other.definition &&
		r.generation == other.generation
}

// New returns a tracker that calls onChange, from a goroutine of its own,
// whenever the served types or their definitions have changed.
func New(discoveryClient discovery.DiscoveryInterfaceWithContext, metadataClient metadata.Interface, onChange func()) *Tracker {
	return &Tracker{
		discovery: discoveryClient,
		metadata:  metadataClient,
		onChange:  onChange,
		changed:   make(chan struct{}, 1),
	}
}

// Run keeps the served types current until the context ends.
func (t *Tracker) Run(ctx context.Context) {
	factory := metadatainformer.NewSharedInformerFactory(t.metadata, 0)
	changed := func() {
		select {
		case t.changed <- struct{}{}:
		default:
		}
	}
	for _, gvr := range []schema.GroupVersionResource{crds, apiServices} {
		informer := factory.ForResource(gvr).Informer()
		utilruntime.Must(informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
			t.failed(fmt.Errorf("listing %s: %w", gvr.GroupResource(), err))
			cache.DefaultWatchErrorHandler(ctx, r, err)
		}))
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { changed() },
			UpdateFunc: func(any, any) { changed() },
			DeleteFunc: func(any) { changed() },
		}); err != nil {
			utilruntime.HandleErrorWithContext(ctx, err, "Adding an event handler", "resource", gvr.GroupResource())
		}
	}
	t.crds = factory.ForResource(crds).Lister()
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	factory.WaitForCacheSync(ctx.Done())

	next := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.changed:
			next = 0
		case <-timer.C:
			t.refresh(ctx)
			next++
		}
		if next < len(discoveryDelays) {
			timer.Reset(discoveryDelays[next])
		} else {
			timer.Reset(resync)
		}
	}
}

// failed keeps why it is not known which types are served.
func (t *Tracker) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failure = err
}

func (t *Tracker) refresh(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	groups, lists, err := t.discovery.ServerGroupsAndResourcesWithContext(asking)
	var partial *discovery.ErrGroupDiscoveryFailed
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !errors.As(err, &partial):
		t.failed(err)
		klog.FromContext(ctx).Error(err, "Asking the host which types it serves; the last known types stay in use")
		return
	}
	served := t.flatten(groups, lists)

	t.mu.Lock()
	unknown := map[string]error{}
	if partial != nil {
		for gv, cause := range partial.Groups {
			unknown[gv.Group] = cause
		}
		// A silent API server does not make its types go away, nor does one
		// silent version make another the best.
		maps.DeleteFunc(served, func(name schema.GroupResource, _ resource) bool {
			_, silent := unknown[name.Group]
			return silent
		})
		for name, before := range t.served {
			if _, silent := unknown[name.Group]; silent {
				served[name] = before
			}
		}
	}
	same := t.served != nil && maps.EqualFunc(t.served, served, resource.equal) &&
		maps.EqualFunc(t.unknown, unknown, func(error, error) bool { return true })
	t.served, t.unknown = served, unknown
	t.mu.Unlock()

	if !same {
		t.onChange()
	}
}

// flatten sorts what discovery says by type, leaving out what cannot be watched.
func (t *Tracker) flatten(groups []*metav1.APIGroup, lists []*metav1.APIResourceList) map[schema.GroupResource]resource {
	preferred := map[string]string{}
	for _, group := range groups {
		preferred[group.Name] = group.PreferredVersion.Version
	}
	served := map[schema.GroupResource]resource{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, listed := range list.APIResources {
			if !slices.Contains(listed.Verbs, "list") || !slices.Contains(listed.Verbs, "watch") {
				continue
			}
			name := schema.GroupResource{Group: gv.Group, Resource: listed.Name}
			r := served[name]
			r.namespaced = listed.Namespaced
			r.definition, r.generation = t.definitionOf(name)
			if gv.Version == preferred[gv.Group] {
				r.versions = slices.Insert(r.versions, 0, gv.Version)
			} else {
				r.versions = append(r.versions, gv.Version)
			}
			served[name] = r
		}
	}
	return served
}

// definitionOf is the UID and the generation of the CustomResourceDefinition of a type, empty
// for none.
func (t *Tracker) definitionOf(name schema.GroupResource) (types.UID, int64) {
	object, err := t.crds.Get(name.String())
	if err != nil { // it fails on none but a missing one
		return "", 0
	}
	definition, ok := object.(metav1.Object)
	if !ok {
		return "", 0
	}
	return definition.GetUID(), definition.GetGeneration()
}

// DefinitionVersion identifies what the definition of a served type says. It is empty for a
// type without a CustomResourceDefinition, and changes with the schema of one.
func (t *Tracker) DefinitionVersion(name schema.GroupResource) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	served := t.served[name]
	if served.definition == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d", served.definition, served.generation)
}

// ErrUnknown says that it is not known yet which types the host serves.
var ErrUnknown = errors.New("the host has not reported yet which types it serves")

// Resolve negotiates the version of a type: the first of versions that is
// served, or the one that the host prefers when there are none. The error is a
// *NotServedError when the host serves none that would do.
func (t *Tracker) Resolve(name schema.GroupResource, versions []string) (Type, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.served == nil {
		if t.failure != nil {
			return Type{}, fmt.Errorf("%w: %w", ErrUnknown, t.failure)
		}
		return Type{}, ErrUnknown
	}
	served := t.served[name]
	if cause, silent := t.unknown[name.Group]; silent && len(served.versions) == 0 {
		return Type{}, fmt.Errorf("the API server of group %q does not respond: %w", name.Group, cause)
	}
	wanted := versions
	if len(wanted) == 0 {
		wanted = served.versions
	}
	for _, version := range wanted {
		if slices.Contains(served.versions, version) {
			return Type{GroupVersionResource: name.WithVersion(version), Namespaced: served.namespaced, Definition: served.definition}, nil
		}
	}
	return Type{}, &NotServedError{Resource: name, Versions: versions, Served: served.versions}
}

// Removed asks the host whether a type is gone for good: its
// CustomResourceDefinition does not exist.
func (t *Tracker) Removed(ctx context.Context, name schema.GroupResource) (bool, error) {
	_, err := t.metadata.Resource(crds).Get(ctx, name.String(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// LostError says that objects of a type went, or are going, with their type:
// their absence says nothing of what they stood for.
type LostError struct{ message string }

func (e *LostError) Error() string { return e.message }

// Confirm asks the host whether a type that was resolved is still the same and
// not about to go. Deleting a CustomResourceDefinition deletes its objects
// first, one by one, so the absence of an object means nothing unless its type
// is confirmed after the object was found absent. The error is a *LostError when
// the host says so, and another one when it cannot be known now. Calls that come
// while a request is under way share one that is sent after it.
func (t *Tracker) Confirm(ctx context.Context, resolved Type) error {
	_, err := t.confirmations.Do(resolved, func() (struct{}, error) { return struct{}{}, t.confirm(ctx, resolved) })
	return err
}

func (t *Tracker) confirm(ctx context.Context, resolved Type) error {
	gvr, name := crds, resolved.GroupResource().String()
	if resolved.Definition == "" {
		// A definition that was not known when the type was resolved may be going.
		if _, err := t.metadata.Resource(gvr).Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return errors.Join(fmt.Errorf("waiting until the definition of %s is known", name), err)
		}
		gvr, name = apiServices, resolved.Version+"."+resolved.Group
	}
	object, err := t.metadata.Resource(gvr).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return &LostError{fmt.Sprintf("%s %q no longer exists", gvr.Resource, name)}
	case err != nil:
		return fmt.Errorf("confirming that %s %q exists: %w", gvr.Resource, name, err)
	case object.DeletionTimestamp != nil:
		return &LostError{fmt.Sprintf("%s %q is being deleted, and its objects with it", gvr.Resource, name)}
	case resolved.Definition != "" && object.UID != resolved.Definition:
		return Replaced(resolved)
	}
	return nil
}

// Replaced is the error that the definition of a type was deleted and made again.
func Replaced(resolved Type) error {
	return &LostError{fmt.Sprintf("the definition of %s was deleted and created again, and its objects were deleted with the old one", resolved.GroupResource())}
}
