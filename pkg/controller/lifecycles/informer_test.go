package lifecycles

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles/lifecyclestest"
)

func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !check(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func TestTheInformerShowsWhatIsStored(t *testing.T) {
	managed := newLifecycle("mcp-a")
	managed.UID, managed.ResourceVersion = "a", "1"
	managed.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	storage := lifecyclestest.New(managed)
	informer := NewInformer(storage)
	store := New(storage, informer.GetIndexer(), clock.RealClock{})
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { store.Observe(object.(*Lifecycle)) },
		UpdateFunc: func(_, object any) { store.Observe(object.(*Lifecycle)) },
		DeleteFunc: func(object any) { store.ObserveDeleted(object.(*Lifecycle)) },
	}); err != nil {
		t.Fatal(err)
	}
	go informer.RunWithContext(t.Context())
	eventually(t, "it is listed", func() bool { return len(store.List()) == 1 })
	if shown := store.Get("mcp-a"); shown.ManagedFields != nil || shown.Spec.Source.Name != "a" {
		t.Errorf("it shows %+v", shown)
	}
	shown := func() *Lifecycle {
		object, _, _ := informer.GetIndexer().GetByKey("mcp-a")
		lifecycle, _ := object.(*Lifecycle)
		return lifecycle
	}
	if _, err := store.Record(t.Context(), store.Get("mcp-a"), recordOf(managed, policyv1alpha1.LifecycleImported), true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its status is shown", func() bool { return shown().Status.Phase == policyv1alpha1.LifecycleImported })
	if left, err := store.Remove(t.Context(), store.Get("mcp-a")); left != nil || err != nil {
		t.Fatalf("left is %v, the error %v", left, err)
	}
	eventually(t, "it is gone", func() bool { return shown() == nil })
}

func TestATombstoneIsPassedOn(t *testing.T) {
	tombstone := cache.DeletedFinalStateUnknown{Key: "mcp-a", Obj: newLifecycle("mcp-a")}
	if got, err := trim(tombstone); err != nil || got.(cache.DeletedFinalStateUnknown).Obj != tombstone.Obj {
		t.Errorf("it becomes %v, %v", got, err)
	}
}

func TestWhatIsTrimmedStaysAsItWas(t *testing.T) {
	shared := newLifecycle("mcp-a") // with storage
	shared.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	trimmed, err := trim(shared)
	if err != nil || trimmed.(*Lifecycle).ManagedFields != nil || len(shared.ManagedFields) != 1 {
		t.Errorf("it becomes %+v, %v, from %+v", trimmed, err, shared)
	}
	if same, _ := trim(trimmed); same != trimmed {
		t.Error("what has nothing to trim is copied")
	}
}

func TestOwnersAreWrittenAndReadAtOnce(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a").DeepCopy()
	created.OwnerReferences[0].Name = "other"
	w.must(w.SetOwners(t.Context(), created))
	if got := w.Get("mcp-a").OwnerReferences[0].Name; got != "other" {
		t.Errorf("it reads %s", got)
	}
	for policy, want := range map[string]bool{"mcp": false, "other": true} {
		if has, err := w.HasPolicy(t.Context(), policy); has != want || err != nil {
			t.Errorf("storage has one of %s: %t, %v", policy, has, err)
		}
	}
	if err := w.SetOwners(t.Context(), created); err == nil {
		t.Error("an old version is written")
	}
	w.syncOverlay("mcp-a")
	w.wantNothingKept()
}
