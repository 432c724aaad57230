package servedtypes

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	metadatafake "k8s.io/client-go/metadata/fake"
)

// answers is a host whose discovery can be made to fail in part, which a real
// one does only when an aggregated API server goes silent.
type answers struct {
	discovery.DiscoveryInterfaceWithContext
	current atomic.Pointer[answer]
}

type answer struct {
	groups []*metav1.APIGroup
	lists  []*metav1.APIResourceList
	err    error
	// hangs has no answer at all.
	hangs bool
}

func (a *answers) ServerGroupsAndResourcesWithContext(ctx context.Context) ([]*metav1.APIGroup, []*metav1.APIResourceList, error) {
	current := a.current.Load()
	if current.hangs {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	return current.groups, current.lists, current.err
}

var clusters = schema.GroupResource{Group: "cluster.x-k8s.io", Resource: "clusters"}

func group(name, preferred string) *metav1.APIGroup {
	return &metav1.APIGroup{Name: name, PreferredVersion: metav1.GroupVersionForDiscovery{Version: preferred}}
}

func list(groupVersion string, resources ...metav1.APIResource) *metav1.APIResourceList {
	return &metav1.APIResourceList{GroupVersion: groupVersion, APIResources: resources}
}

func watchable(name string) metav1.APIResource {
	return metav1.APIResource{Name: name, Namespaced: true, Verbs: metav1.Verbs{"get", "list", "watch"}}
}

func crd(uid types.UID) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: clusters.String(), UID: uid},
	}
}

func served() *answer {
	return &answer{
		groups: []*metav1.APIGroup{group(clusters.Group, "v1beta2")},
		lists: []*metav1.APIResourceList{
			list(clusters.Group+"/v1beta1", watchable("clusters"), metav1.APIResource{Name: "clusters/status", Verbs: metav1.Verbs{"get"}}),
			list(clusters.Group+"/v1beta2", watchable("clusters")),
		},
	}
}

// start runs a tracker on a host with these answers and objects, and waits until
// it has looked once.
func start(t *testing.T, a *answer, objects ...runtime.Object) (*Tracker, *answers, *atomic.Int32) {
	t.Helper()
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	host := &answers{}
	host.current.Store(a)
	var changes atomic.Int32
	tracker := New(host, metadatafake.NewSimpleMetadataClient(scheme, objects...), func() { changes.Add(1) })
	go tracker.Run(t.Context())
	until(t, "the first look", func() bool { return changes.Load() > 0 })
	return tracker, host, &changes
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true,
		func(context.Context) (bool, error) { return done(), nil })
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

func TestTheVersionOfATypeIsNegotiated(t *testing.T) {
	tracker, _, _ := start(t, served(), crd("one"))
	tests := []struct {
		name     string
		versions []string
		want     string
	}{
		{"the host's choice without a list", nil, "v1beta2"},
		{"the first of the list that is served", []string{"v1", "v1beta1", "v1beta2"}, "v1beta1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := tracker.Resolve(clusters, test.versions)
			if err != nil {
				t.Fatal(err)
			}
			want := Type{GroupVersionResource: clusters.WithVersion(test.want), Namespaced: true, Definition: "one"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("type (-want +got):\n%s", diff)
			}
		})
	}
}

func TestATypeThatIsNotServedIsNamed(t *testing.T) {
	tracker, _, _ := start(t, served(), crd("one"))
	for want, resolve := range map[string]func() (Type, error){
		"the host does not serve machines.cluster.x-k8s.io: install what defines it": func() (Type, error) {
			return tracker.Resolve(schema.GroupResource{Group: clusters.Group, Resource: "machines"}, nil)
		},
		"the host serves clusters.cluster.x-k8s.io in version [v1beta2 v1beta1], none of [v1]: correct versions, or install what serves them": func() (Type, error) {
			return tracker.Resolve(clusters, []string{"v1"})
		},
	} {
		_, err := resolve()
		var missing *NotServedError
		if !errors.As(err, &missing) || err.Error() != want {
			t.Errorf("got the error %v, want %s", err, want)
		}
	}
}

func TestASilentAPIServerDoesNotMakeItsTypesGoAway(t *testing.T) {
	tracker, host, changes := start(t, served(), crd("one"))
	before := changes.Load()
	silent := errors.New("no answer")
	host.current.Store(&answer{err: &discovery.ErrGroupDiscoveryFailed{Groups: map[schema.GroupVersion]error{
		{Group: clusters.Group, Version: "v1beta1"}: silent,
		{Group: "other.io", Version: "v1"}:          silent,
	}}})
	until(t, "the silence to be noticed", func() bool { return changes.Load() > before })

	if _, err := tracker.Resolve(clusters, nil); err != nil {
		t.Errorf("a type that was served before is gone: %v", err)
	}
	_, err := tracker.Resolve(schema.GroupResource{Group: "other.io", Resource: "things"}, nil)
	var missing *NotServedError
	if err == nil || errors.As(err, &missing) || !errors.Is(err, silent) {
		t.Errorf("of a type that was never seen it is said: %v", err)
	}

	host.current.Store(&answer{err: errors.New("the host is away")})
	tracker.refresh(t.Context())
	if _, err := tracker.Resolve(clusters, nil); err != nil {
		t.Errorf("without the host its types are gone: %v", err)
	}
}

func TestATypeIsConfirmedOnlyWhileItsDefinitionIsTheSame(t *testing.T) {
	tracker, _, _ := start(t, served(), crd("one"))
	resolved, err := tracker.Resolve(clusters, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := metav1.Now()
	terminating := crd("one")
	terminating.DeletionTimestamp = &now
	tests := []struct {
		name    string
		objects []runtime.Object
		lost    bool
	}{
		{"the same", []runtime.Object{crd("one")}, false},
		{"gone", nil, true},
		{"terminating", []runtime.Object{terminating}, true},
		{"made again", []runtime.Object{crd("two")}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			scheme := metadatafake.NewTestScheme()
			if err := metav1.AddMetaToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			now := &Tracker{metadata: metadatafake.NewSimpleMetadataClient(scheme, test.objects...)}
			err := now.Confirm(t.Context(), resolved)
			var lost *LostError
			if errors.As(err, &lost) != test.lost || (err != nil) != test.lost {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestATypeWhoseDefinitionWasNotKnownIsNotConfirmedWhileThereIsOne(t *testing.T) {
	tracker, _, _ := start(t, served(), crd("one"))
	resolved, err := tracker.Resolve(clusters, nil)
	if err != nil {
		t.Fatal(err)
	}
	resolved.Definition = ""
	// Its objects may be going with it, whatever is said of its APIService.
	err = tracker.Confirm(t.Context(), resolved)
	var lost *LostError
	if err == nil || errors.As(err, &lost) {
		t.Errorf("got %v", err)
	}
}

func TestAHostThatHangsHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := metadatafake.NewTestScheme()
		if err := metav1.AddMetaToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		host := &answers{}
		host.current.Store(&answer{hangs: true})
		tracker := New(host, metadatafake.NewSimpleMetadataClient(scheme), func() {})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { tracker.Run(ctx) })

		time.Sleep(discoveryTimeout + time.Second)
		_, err := tracker.Resolve(clusters, nil)
		if !errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("of its types it is said: %v", err)
		}
		stopped := time.Now()
		cancel()
		running.Wait()
		if took := time.Since(stopped); took > time.Second {
			t.Errorf("the end took %s", took)
		}
	})
}

func TestAnotherGenerationOfADefinitionIsAChange(t *testing.T) {
	tracker, _, changes := start(t, served(), crd("one"))
	before := changes.Load()
	edited := crd("one")
	edited.Generation = 2
	client := tracker.metadata.Resource(crds).(metadatafake.MetadataClient)
	if _, err := client.UpdateFake(edited, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the change to be told of", func() bool { return changes.Load() > before })
}
