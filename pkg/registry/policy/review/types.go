package review

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// typesAge is how long an answer of discovery is good enough. Replicas that do
// not run the controllers watch nothing of the host.
const typesAge = 5 * time.Second

// Type is a type that the host serves.
type Type struct {
	schema.GroupVersionResource
	Namespaced bool
}

// NotServedError says that the host serves a type in none of the versions that
// would do.
type NotServedError struct {
	Resource schema.GroupResource
	Versions []string // empty when any would do
	Served   []string // the versions that are served
	// Alike are types that are served and that the name may stand for.
	Alike []schema.GroupResource
}

func (e *NotServedError) Error() string {
	if len(e.Served) > 0 {
		return fmt.Sprintf("the host serves %s in version %v, none of %v: correct versions, or install what serves them", e.Resource, e.Served, e.Versions)
	}
	message := fmt.Sprintf("the host does not serve %s: install what defines it", e.Resource)
	for i, alike := range e.Alike {
		separator := ", or write "
		if i > 0 {
			separator = ", or "
		}
		message += fmt.Sprintf("%sresource %q of group %q", separator, alike.Resource, alike.Group)
	}
	return message
}

type discoverer interface {
	ServerGroupsAndResourcesWithContext(context.Context) ([]*metav1.APIGroup, []*metav1.APIResourceList, error)
}

// typeCache negotiates versions, by asking the host which types it serves.
type typeCache struct {
	discovery discoverer

	now func() time.Time

	// lock is taken by sending, to read or change what follows. It is no mutex, since
	// nobody waits for it beyond the deadline of their own request.
	lock   chan struct{}
	asked  time.Time
	served map[schema.GroupResource]servedType
	silent map[string]error // groups whose API server did not answer
	// called are the types by what else they are called: singular, kind in lower
	// case and short names.
	called map[string][]schema.GroupResource
}

func newTypeCache(discovery discoverer) *typeCache {
	return &typeCache{discovery: discovery, now: time.Now, lock: make(chan struct{}, 1)}
}

// servedType is a type in all its versions, the preferred one first.
type servedType struct {
	versions   []string
	namespaced bool
}

// Resolve negotiates the version of a type as the controllers do: the first of
// versions that is served, or the one that the host prefers when there are
// none. The error is a *NotServedError when the host serves none that would do.
func (t *typeCache) Resolve(ctx context.Context, name schema.GroupResource, versions []string) (Type, error) {
	select {
	case t.lock <- struct{}{}:
		defer func() { <-t.lock }()
	case <-ctx.Done():
		return Type{}, fmt.Errorf("asking the host which types it serves: %w", ctx.Err())
	}
	if t.served != nil && t.now().Sub(t.asked) < typesAge {
		// Whoever has just installed a type does not want to wait for it.
		if resolved, err := t.negotiate(name, versions); err == nil {
			return resolved, nil
		}
	}
	if err := t.ask(ctx); err != nil {
		return Type{}, err
	}
	return t.negotiate(name, versions)
}

func (t *typeCache) negotiate(name schema.GroupResource, versions []string) (Type, error) {
	served := t.served[name]
	if cause, silent := t.silent[name.Group]; silent && len(served.versions) == 0 {
		return Type{}, fmt.Errorf("the API server of group %q does not respond: %w", name.Group, cause)
	}
	wanted := versions
	if len(wanted) == 0 {
		wanted = served.versions
	}
	for _, version := range wanted {
		if slices.Contains(served.versions, version) {
			return Type{GroupVersionResource: name.WithVersion(version), Namespaced: served.namespaced}, nil
		}
	}
	return Type{}, &NotServedError{Resource: name, Versions: versions, Served: served.versions, Alike: t.alike(name)}
}

// alike returns the types that a name may stand for which is that of none: those
// of its group that are called so, or else those of other groups.
func (t *typeCache) alike(name schema.GroupResource) (alike []schema.GroupResource) {
	const most = 3
	for _, other := range t.called[name.Resource] {
		if other.Group == name.Group {
			return []schema.GroupResource{other}
		}
		alike = append(alike, other)
	}
	for other := range t.served {
		if other.Resource == name.Resource && !slices.Contains(alike, other) {
			alike = append(alike, other)
		}
	}
	slices.SortFunc(alike, func(a, b schema.GroupResource) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	})
	return alike[:min(len(alike), most)]
}

// call notes what else a type is called.
func (t *typeCache) call(name schema.GroupResource, listed metav1.APIResource) {
	for _, called := range append([]string{listed.SingularName, strings.ToLower(listed.Kind)}, listed.ShortNames...) {
		if called != "" && called != name.Resource && !slices.Contains(t.called[called], name) {
			t.called[called] = append(t.called[called], name)
		}
	}
}

func (t *typeCache) ask(ctx context.Context) error {
	groups, lists, err := t.discovery.ServerGroupsAndResourcesWithContext(ctx)
	partial := (*discovery.ErrGroupDiscoveryFailed)(nil)
	if err != nil && !errors.As(err, &partial) {
		return fmt.Errorf("asking the host which types it serves: %w", err)
	}
	t.asked, t.served, t.silent = t.now(), map[schema.GroupResource]servedType{}, map[string]error{}
	t.called = map[string][]schema.GroupResource{}
	if partial != nil {
		for gv, cause := range partial.Groups {
			t.silent[gv.Group] = cause
		}
	}
	preferred := map[string]string{}
	for _, group := range groups {
		preferred[group.Name] = group.PreferredVersion.Version
	}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, listed := range list.APIResources {
			// What cannot be watched cannot be imported.
			if !slices.Contains(listed.Verbs, "list") || !slices.Contains(listed.Verbs, "watch") {
				continue
			}
			name := schema.GroupResource{Group: gv.Group, Resource: listed.Name}
			served := t.served[name]
			served.namespaced = listed.Namespaced
			at := len(served.versions)
			if gv.Version == preferred[gv.Group] {
				at = 0
			}
			served.versions = slices.Insert(served.versions, at, gv.Version)
			t.served[name] = served
			t.call(name, listed)
		}
	}
	return nil
}
