package storage

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/install"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/etcd"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/caller"
)

// cached are the options of resources with a watch cache.
type cached storagebackend.Config

func (c cached) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	config := storagebackend.Config(c)
	return generic.RESTOptions{
		StorageConfig: config.ForResource(resource), Decorator: genericregistry.StorageWithCacher(),
		DeleteCollectionWorkers: 1, ResourcePrefix: resource.Group + "/" + resource.Resource,
	}, nil
}

// newInProcess returns lifecycles in an etcd of their own.
func newInProcess(t *testing.T) *InProcess {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	config := storagebackend.NewDefaultConfig("/test", serializer.NewCodecFactory(scheme).LegacyCodec(policyv1alpha1.SchemeGroupVersion))
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir(), QuotaBytes: 1 << 30})
	must(t, err)
	t.Cleanup(member.Stop)
	config.Transport.ServerList = []string{member.Endpoint}
	storage, err := NewStorage(scheme, cached(*config))
	must(t, err)
	t.Cleanup(storage.PediaClusterLifecycle.Destroy)
	p := storage.NewInProcess(time.Minute)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // until the watch cache is filled
		_, err := p.List(t.Context(), metav1.ListOptions{})
		if err == nil {
			return p
		}
		if !apierrors.IsTooManyRequests(err) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newVersioned(name string) *policyv1alpha1.PediaClusterLifecycle {
	return &policyv1alpha1.PediaClusterLifecycle{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "ClusterImportPolicy", Name: "mcp", UID: "policy-uid", Controller: ptr.To(true)}}},
		Spec: policyv1alpha1.PediaClusterLifecycleSpec{
			Source:     policyv1alpha1.DependentResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters", Name: "a"},
			Conversion: policyv1alpha1.Conversion{Template: "spec: {}", CreationCondition: "true", DeletionPolicy: policyv1alpha1.DeletionPolicyDelete},
		},
		Status: policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleWaiting, ObservedGeneration: 1, SourceDefinition: "8f1c"},
	}
}

func create(t *testing.T, p *InProcess, name string) *policyv1alpha1.PediaClusterLifecycle {
	t.Helper()
	created, err := p.Create(t.Context(), newVersioned(name))
	must(t, err)
	return created
}

func TestALifecycleIsCreatedWithItsStatus(t *testing.T) {
	p := newInProcess(t)
	created := create(t, p, "mcp-a")
	if created.Status.Phase != policyv1alpha1.LifecycleWaiting || created.Status.SourceDefinition != "8f1c" || created.Generation != 1 || created.UID == "" {
		t.Errorf("created: generation %d, uid %q, status %+v", created.Generation, created.UID, created.Status)
	}
	if len(created.Finalizers) != 1 || created.Finalizers[0] != policyv1alpha1.Finalizer {
		t.Errorf("finalizers: %v", created.Finalizers)
	}
	if _, err := p.Create(t.Context(), newVersioned("mcp-a")); !apierrors.IsAlreadyExists(err) {
		t.Errorf("creating it again: %v", err)
	}
}

func TestALifecycleIsCreatedUnderTheIdentityThatItHas(t *testing.T) {
	p := newInProcess(t)
	chosen := newVersioned("mcp-a")
	chosen.UID, chosen.CreationTimestamp = "chosen", metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second))
	created, err := p.Create(t.Context(), chosen)
	must(t, err)
	if created.UID != "chosen" || !created.CreationTimestamp.Equal(&chosen.CreationTimestamp) {
		t.Errorf("created: %s at %s", created.UID, created.CreationTimestamp)
	}
	chosen.Name = "mcp-b"
	other, err := p.lifecycles.Create(caller.AsThisServer(t.Context()), internal(chosen), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	must(t, err)
	if versioned, err := versioned(other, nil); err != nil || versioned.UID == "chosen" || versioned.CreationTimestamp.Equal(&chosen.CreationTimestamp) {
		t.Errorf("through the API an identity can be chosen: %s, %v", versioned.UID, err)
	}
}

func TestSpecAndStatusAreWrittenAtOnceAndGuarded(t *testing.T) {
	p := newInProcess(t)
	created := create(t, p, "mcp-a")
	changed := created.DeepCopy()
	changed.Spec.Template, changed.Status.Phase, changed.Status.ObservedGeneration = "spec: {apiserver: x}", policyv1alpha1.LifecycleImported, 2
	updated, err := p.Update(t.Context(), changed)
	must(t, err)
	if updated.Generation != 2 || updated.Status.Phase != policyv1alpha1.LifecycleImported || updated.Spec.Template != changed.Spec.Template {
		t.Errorf("updated: generation %d, %+v", updated.Generation, updated.Status)
	}
	if _, err := p.Update(t.Context(), changed); !apierrors.IsConflict(err) {
		t.Errorf("updating what it was made from again: %v", err)
	}
	replaced := updated.DeepCopy()
	replaced.UID = "another"
	if _, err := p.Update(t.Context(), replaced); !apierrors.IsConflict(err) {
		t.Errorf("updating another one of that name: %v", err)
	}
	invalid := updated.DeepCopy()
	invalid.Spec.Source.Name = ""
	if _, err := p.Update(t.Context(), invalid); !apierrors.IsInvalid(err) {
		t.Errorf("updating to what is invalid: %v", err)
	}
}

func TestWhatThisServerDeletesSaysSo(t *testing.T) {
	p := newInProcess(t)
	marked, err := p.MarkDeleted(t.Context(), create(t, p, "mcp-a"), ptr.To(metav1.DeletePropagationOrphan))
	must(t, err)
	if marked.DeletionTimestamp == nil || marked.Annotations[policyv1alpha1.RemovedAnnotation] != "true" ||
		marked.Annotations[policyv1alpha1.OrphanAnnotation] != "true" {
		t.Errorf("deleted at %v, with %v", marked.DeletionTimestamp, marked.Annotations)
	}
	_, err = p.Remove(t.Context(), marked)
	must(t, err)
	if _, err := p.Get(t.Context(), "mcp-a"); !apierrors.IsNotFound(err) {
		t.Errorf("after its removal: %v", err)
	}
	if again, err := p.MarkDeleted(t.Context(), marked, nil); again != nil || err != nil {
		t.Errorf("what is gone is marked: %v, %v", again, err)
	}
}

func TestWhatOthersHoldLosesOnlyOurFinalizer(t *testing.T) {
	p := newInProcess(t)
	held := newVersioned("mcp-a")
	held.Finalizers = []string{"example.com/mine"}
	created, err := p.Create(t.Context(), held)
	must(t, err)
	marked, err := p.MarkDeleted(t.Context(), created, nil)
	must(t, err)
	_, err = p.Remove(t.Context(), marked)
	must(t, err)
	left, err := p.Get(t.Context(), "mcp-a")
	must(t, err)
	if len(left.Finalizers) != 1 || left.Finalizers[0] != "example.com/mine" {
		t.Errorf("finalizers: %v", left.Finalizers)
	}
}

func TestOnlyTheVersionThatIsNamedIsRemoved(t *testing.T) {
	p := newInProcess(t)
	created := create(t, p, "mcp-a")
	changed := created.DeepCopy()
	changed.Status.Phase = policyv1alpha1.LifecycleImported
	_, err := p.Update(t.Context(), changed)
	must(t, err)
	if _, err := p.Remove(t.Context(), created); !apierrors.IsConflict(err) {
		t.Errorf("removing an older version: %v", err)
	}
	if _, err := p.MarkDeleted(t.Context(), created, nil); !apierrors.IsConflict(err) {
		t.Errorf("marking an older version: %v", err)
	}
}

func TestAPolicyIsAskedForItsLifecycles(t *testing.T) {
	p := newInProcess(t)
	create(t, p, "mcp-a")
	for policy, want := range map[string]bool{"mcp": true, "other": false} {
		if got, err := p.HasPolicy(t.Context(), policy); err != nil || got != want {
			t.Errorf("%s has lifecycles: %t, %v", policy, got, err)
		}
	}
}

func TestAnInformerListsAndWatches(t *testing.T) {
	p := newInProcess(t)
	created := create(t, p, "mcp-a")
	listed, err := p.List(t.Context(), metav1.ListOptions{})
	must(t, err)
	list := listed.(*policyv1alpha1.PediaClusterLifecycleList)
	if len(list.Items) != 1 || list.Items[0].Name != "mcp-a" || list.ResourceVersion == "" {
		t.Fatalf("listed: %d of version %s", len(list.Items), list.ResourceVersion)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events, err := p.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion, AllowWatchBookmarks: true})
	must(t, err)
	changed := created.DeepCopy()
	changed.Status.Phase = policyv1alpha1.LifecycleImported
	_, err = p.Update(t.Context(), changed)
	must(t, err)
	for event := range events.ResultChan() {
		lifecycle, ok := event.Object.(*policyv1alpha1.PediaClusterLifecycle)
		if !ok {
			t.Fatalf("%s of a %T", event.Type, event.Object)
		}
		if event.Type == watch.Modified {
			if lifecycle.Status.Phase != policyv1alpha1.LifecycleImported {
				t.Errorf("the phase is %s", lifecycle.Status.Phase)
			}
			return
		}
	}
	t.Error("the change is not watched")
}
