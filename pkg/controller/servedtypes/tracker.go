// Package servedtypes knows which types the host serves, in which versions, and
// tells when that changes. Types come and go with CustomResourceDefinitions and
// APIServices.
//
// It imports clients of the host and nothing of this project. The policy
// controller resolves types here, and the import controller has it confirm that
// an object is really gone and not only its type.
package servedtypes

import (
	"context"
	"errors"
	"fmt"
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
)

var (
	crds        = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
)

// resync is how often discovery is asked without a cause: for what changes
// behind an aggregated API server without its APIService changing.
const resync = time.Minute

// settle are the delays after a change at which discovery is asked again: a
// CustomResourceDefinition is served somewhat later than it is established.
var settle = []time.Duration{0, 250 * time.Millisecond, time.Second, 3 * time.Second, 8 * time.Second}

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
		return fmt.Sprintf("the host serves %s in version %v, none of %v", e.Resource, e.Served, e.Versions)
	default:
		return fmt.Sprintf("the host does not serve %s: install what defines it", e.Resource)
	}
}

// Type is a type that the host serves.
type Type struct {
	schema.GroupVersionResource
	Namespaced bool
	// definition is the UID of the CustomResourceDefinition, empty for
	// built-in and aggregated types.
	definition types.UID
}

// Tracker knows the served types. Use New.
type Tracker struct {
	discovery discovery.DiscoveryInterface
	metadata  metadata.Interface
	onChange  func()
	changed   chan struct{}

	mu sync.RWMutex
	// served maps a resource to its versions, the preferred one first. Nil
	// until discovery has answered once.
	served map[schema.GroupResource][]version
	// unknown are the groups whose API server did not answer at the last look.
	unknown map[string]error
	crds    cache.GenericLister
	synced  []cache.InformerSynced
}

type version struct {
	name       string
	namespaced bool
}

// New returns a tracker that calls onChange, from a goroutine of its own,
// whenever the served types have changed.
func New(discoveryClient discovery.DiscoveryInterface, metadataClient metadata.Interface, onChange func()) *Tracker {
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
	t.mu.Lock()
	for _, gvr := range []schema.GroupVersionResource{crds, apiServices} {
		informer := factory.ForResource(gvr).Informer()
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { changed() },
			UpdateFunc: func(any, any) { changed() },
			DeleteFunc: func(any) { changed() },
		}); err != nil {
			utilruntime.HandleErrorWithContext(ctx, err, "Adding an event handler", "resource", gvr.GroupResource())
		}
		t.synced = append(t.synced, informer.HasSynced)
	}
	t.crds = factory.ForResource(crds).Lister()
	t.mu.Unlock()
	factory.Start(ctx.Done())
	defer factory.Shutdown()

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
		if next < len(settle) {
			timer.Reset(settle[next])
		} else {
			timer.Reset(resync)
		}
	}
}

func (t *Tracker) refresh(ctx context.Context) {
	groups, lists, err := t.discovery.ServerGroupsAndResources()
	var partial *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &partial) {
		klog.FromContext(ctx).Error(err, "Asking the host which types it serves; what was known stays in force")
		return
	}
	served := flatten(groups, lists)

	t.mu.Lock()
	unknown := map[string]error{}
	if partial != nil {
		for gv, cause := range partial.Groups {
			unknown[gv.Group] = cause
		}
		// A silent API server does not make its types go away.
		for resource, versions := range t.served {
			if _, silent := unknown[resource.Group]; silent && len(served[resource]) == 0 {
				served[resource] = versions
			}
		}
	}
	same := t.served != nil && equal(t.served, served) && len(unknown) == len(t.unknown)
	t.served, t.unknown = served, unknown
	t.mu.Unlock()

	if !same {
		t.onChange()
	}
}

func flatten(groups []*metav1.APIGroup, lists []*metav1.APIResourceList) map[schema.GroupResource][]version {
	preferred := map[string]string{}
	for _, group := range groups {
		preferred[group.Name] = group.PreferredVersion.Version
	}
	served := map[schema.GroupResource][]version{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, resource := range list.APIResources {
			if !slices.Contains(resource.Verbs, "list") || !slices.Contains(resource.Verbs, "watch") {
				continue
			}
			gr := schema.GroupResource{Group: gv.Group, Resource: resource.Name}
			v := version{name: gv.Version, namespaced: resource.Namespaced}
			if gv.Version == preferred[gv.Group] {
				served[gr] = slices.Insert(served[gr], 0, v)
			} else {
				served[gr] = append(served[gr], v)
			}
		}
	}
	return served
}

func equal(a, b map[schema.GroupResource][]version) bool {
	if len(a) != len(b) {
		return false
	}
	for resource, versions := range a {
		if !slices.Equal(versions, b[resource]) {
			return false
		}
	}
	return true
}

// ErrUnknown says that it is not known yet which types the host serves.
var ErrUnknown = errors.New("the host has not said yet which types it serves")

// Resolve negotiates the version of a type: the first of versions that is
// served, or the one that the host prefers when there are none. The error is a
// *NotServedError when the host serves none that would do.
func (t *Tracker) Resolve(resource schema.GroupResource, versions []string) (Type, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.served == nil || t.crds == nil {
		return Type{}, ErrUnknown
	}
	for _, synced := range t.synced {
		if !synced() {
			return Type{}, ErrUnknown
		}
	}
	served := t.served[resource]
	if cause, silent := t.unknown[resource.Group]; silent && len(served) == 0 {
		return Type{}, fmt.Errorf("the API server of group %q does not answer: %w", resource.Group, cause)
	}
	at := -1
	if len(versions) == 0 && len(served) > 0 {
		at = 0
	}
	for _, want := range versions {
		if at = slices.IndexFunc(served, func(v version) bool { return v.name == want }); at >= 0 {
			break
		}
	}
	if at < 0 {
		names := make([]string, 0, len(served))
		for _, v := range served {
			names = append(names, v.name)
		}
		return Type{}, &NotServedError{Resource: resource, Versions: versions, Served: names}
	}
	resolved := Type{GroupVersionResource: resource.WithVersion(served[at].name), Namespaced: served[at].namespaced}
	if object, err := t.crds.Get(resource.Resource + "." + resource.Group); err == nil {
		if crd, ok := object.(metav1.Object); ok {
			resolved.definition = crd.GetUID()
		}
	}
	return resolved, nil
}

// Confirm asks the host whether a type that was resolved is still the same and
// not about to go. Deleting a CustomResourceDefinition deletes its objects
// first, one by one, so the absence of an object means nothing unless its type
// is confirmed after the object was found absent.
func (t *Tracker) Confirm(ctx context.Context, resolved Type) error {
	gvr, name := crds, resolved.Resource+"."+resolved.Group
	if resolved.definition == "" {
		gvr, name = apiServices, resolved.Version+"."+resolved.Group
	}
	object, err := t.metadata.Resource(gvr).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s %q is gone: without it nothing can be said of its objects", gvr.Resource, name)
	case err != nil:
		return fmt.Errorf("confirming that %s %q is there: %w", gvr.Resource, name, err)
	case object.DeletionTimestamp != nil:
		return fmt.Errorf("%s %q is being deleted, and its objects with it", gvr.Resource, name)
	case resolved.definition != "" && object.UID != resolved.definition:
		return fmt.Errorf("%s %q was deleted and made again: its objects went with the old one", gvr.Resource, name)
	}
	return nil
}
