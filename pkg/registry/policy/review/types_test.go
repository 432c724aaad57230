package review

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

type fakeDiscovery struct {
	lists  []*metav1.APIResourceList
	silent map[schema.GroupVersion]error
	asked  int
}

func (d *fakeDiscovery) ServerGroupsAndResourcesWithContext(context.Context) ([]*metav1.APIGroup, []*metav1.APIResourceList, error) {
	d.asked++
	groups := []*metav1.APIGroup{{Name: "mcp.io", PreferredVersion: metav1.GroupVersionForDiscovery{Version: "v1"}}}
	if d.silent != nil {
		return groups, d.lists, &discovery.ErrGroupDiscoveryFailed{Groups: d.silent}
	}
	return groups, d.lists, nil
}

func listed(groupVersion, name string, verbs ...string) *metav1.APIResourceList {
	return &metav1.APIResourceList{GroupVersion: groupVersion, APIResources: []metav1.APIResource{{Name: name, Namespaced: true, Verbs: verbs}}}
}

func TestVersionsAreNegotiatedAsTheControllersDo(t *testing.T) {
	names := metav1.APIResource{Kind: "MCPCluster", SingularName: "cluster", ShortNames: []string{"mc"}}
	fake := &fakeDiscovery{
		lists: []*metav1.APIResourceList{
			listed("mcp.io/v2", "clusters", "list", "watch"), listed("mcp.io/v1", "clusters", "list", "watch"),
			listed("mcp.io/v1", "reviews", "create"), listed("v1", "secrets", "list", "watch"),
		},
		silent: map[schema.GroupVersion]error{{Group: "silent.io", Version: "v1"}: errors.New("no answer")},
	}
	for _, list := range fake.lists {
		if served := &list.APIResources[0]; served.Name == "clusters" {
			served.Kind, served.SingularName, served.ShortNames = names.Kind, names.SingularName, names.ShortNames
		} else {
			served.Kind, served.SingularName = "Secret", "secret"
		}
	}
	cache := newTypeCache(fake)
	for _, test := range []struct {
		resource string
		versions []string
		want     string
	}{
		{"clusters.mcp.io", nil, "v1"},
		{"clusters.mcp.io", []string{"v3", "v2", "v1"}, "v2"},
		{"clusters.mcp.io", []string{"v3"}, "the host serves clusters.mcp.io in version [v1 v2], none of [v3]: correct versions, or install what serves them"},
		{"reviews.mcp.io", nil, "the host does not serve reviews.mcp.io: install what defines it"},
		{"cluster.mcp.io", nil, `the host does not serve cluster.mcp.io: install what defines it, or write resource "clusters" of group "mcp.io"`},
		{"mcpcluster.mcp.io", nil, `the host does not serve mcpcluster.mcp.io: install what defines it, or write resource "clusters" of group "mcp.io"`},
		{"mc.mcp.io", nil, `the host does not serve mc.mcp.io: install what defines it, or write resource "clusters" of group "mcp.io"`},
		{"clusters", nil, `the host does not serve clusters: install what defines it, or write resource "clusters" of group "mcp.io"`},
		{"secret.core", nil, `the host does not serve secret.core: install what defines it, or write resource "secrets" of group ""`},
		{"secrets.v1", nil, `the host does not serve secrets.v1: install what defines it, or write resource "secrets" of group ""`},
		{"things.silent.io", nil, `the API server of group "silent.io" does not respond: no answer`},
	} {
		resolved, err := cache.Resolve(t.Context(), schema.ParseGroupResource(test.resource), test.versions)
		got := resolved.Version
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s %v: %s, want %s", test.resource, test.versions, got, test.want)
		}
	}
}

func TestTypesAreRememberedForSecondsUnlessTheyAreMissing(t *testing.T) {
	fake := &fakeDiscovery{lists: []*metav1.APIResourceList{listed("mcp.io/v1", "clusters", "list", "watch")}}
	now := time.Now()
	cache := newTypeCache(fake)
	cache.now = func() time.Time { return now }
	resolve := func(resource string) error {
		_, err := cache.Resolve(t.Context(), schema.GroupResource{Group: "mcp.io", Resource: resource}, nil)
		return err
	}
	for step, test := range []struct {
		after    time.Duration
		resource string
		found    bool
		asked    int
	}{
		{0, "clusters", true, 1},
		{time.Second, "clusters", true, 1},
		{0, "others", false, 2},
		{0, "others", false, 3},
		{typesAge - time.Second, "clusters", true, 3},
		{time.Second, "clusters", true, 4},
	} {
		now = now.Add(test.after)
		if err := resolve(test.resource); (err == nil) != test.found || fake.asked != test.asked {
			t.Errorf("step %d: %v, asked %d times, want %d", step, err, fake.asked, test.asked)
		}
	}
}

// hangingDiscovery answers when its host does.
type hangingDiscovery chan struct{}

func (d hangingDiscovery) ServerGroupsAndResourcesWithContext(context.Context) ([]*metav1.APIGroup, []*metav1.APIResourceList, error) {
	<-d
	return nil, nil, nil
}

func TestNobodyWaitsForAHostBeyondTheirDeadline(t *testing.T) {
	host := make(hangingDiscovery)
	cache := newTypeCache(host)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = cache.Resolve(context.Background(), schema.GroupResource{Resource: "secrets"}, nil)
	}()
	for len(cache.lock) == 0 { // until the other one asks
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := cache.Resolve(ctx, schema.GroupResource{Resource: "secrets"}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ended with %v", err)
	}
	close(host)
	<-done
}
