package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
)

// enqueued are the imports that wait, in words, and takes them off the queue.
func (o *oneImport) enqueued() (words []string) {
	names := map[priority]string{single: "single", bulk: "bulk"}
	o.order.mu.Lock()
	for i, p := range o.order.waits {
		words = append(words, fmt.Sprint(i.Policy, "/", i.Name, ", ", names[p]))
	}
	o.order.mu.Unlock()
	slices.Sort(words)
	o.forgetsQueue()
	return words
}

func (o *oneImport) wantEnqueued(t *testing.T, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, o.enqueued()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// Heartbeats of a PediaCluster do not concern those who wait for its name: it is the lifecycle
// that has the name.
func TestAnEventOfAPediaClusterConcernsOneImport(t *testing.T) {
	one := newOneImport(t)
	for _, name := range []string{"b", "c", "d"} {
		one.memory.WaitFor(importOfMCP(name), "mcp-a")
	}
	one.forgetsQueue()
	for _, change := range []hostobjects.Change{hostobjects.Present, hostobjects.Deleted, hostobjects.Missing} {
		one.changePediaCluster(t, fmt.Sprint(200+int(change)), func(*unstructured.Unstructured) {})
		one.pediaClusterChanged("mcp-a", change)
		one.wantEnqueued(t, fmt.Sprint("change ", change), "mcp/a, single")
	}
}

func TestAPediaClusterThatIsNobodysConcernsNobody(t *testing.T) {
	one := newOneImport(t)
	one.memory.WaitFor(importOfMCP("b"), "somebody-elses")
	one.forgetsQueue()
	for _, change := range []hostobjects.Change{hostobjects.Present, hostobjects.Deleted, hostobjects.Missing} {
		one.pediaClusterChanged("somebody-elses", change)
		one.wantEnqueued(t, fmt.Sprint("change ", change))
	}
	if !one.isSettledNow() {
		t.Error("the next event of another import is a full pass")
	}
}

func TestAnOwnWriteConcernsNobody(t *testing.T) {
	one := newUnimported(t)
	one.pass(t)
	eventually(t, func() bool { return one.objects.Object(pediaClusters, "", "mcp-a") != nil })
	one.forgetsQueue()
	one.syncOverlay(t, "mcp-a")
	one.wantEnqueued(t, "the lifecycle is shown")
	one.pediaClusterChanged("mcp-a", hostobjects.Present)
	one.wantEnqueued(t, "the PediaCluster is shown")
}

// An object that many imports read is the affair of all of them: they do not get before the
// rotation of a single credential.
func TestTheReadersOfASharedObjectAreABulk(t *testing.T) {
	one := newOneImport(t)
	ca := memory.Object{GroupResource: schema.GroupResource{Resource: "configmaps"}, Namespace: "default", Name: "ca"}
	secret := memory.Object{GroupResource: schema.GroupResource{Resource: "secrets"}, Namespace: "default", Name: "a"}
	var all []string
	for n := range fewReaders {
		one.memory.AddRead(importOfMCP(fmt.Sprint("c", n)), ca)
		all = append(all, fmt.Sprintf("mcp/c%d, single", n))
	}
	one.forgetsQueue()
	one.referenceChanged(ca)
	one.wantEnqueued(t, "few readers", all...)

	one.memory.AddRead(importOfMCP("c8"), ca)
	all = append(all, "mcp/c8, bulk")
	for n := range all {
		all[n] = fmt.Sprintf("mcp/c%d, bulk", n)
	}
	one.referenceChanged(ca)
	one.wantEnqueued(t, "many readers", all...)

	one.memory.AddRead(one.Import, secret)
	one.referenceChanged(ca)
	one.referenceChanged(secret)
	if item, _ := one.queue.Get(); item != one.Import {
		t.Errorf("%v overtakes the rotation of one credential", item)
	}
	if one.memory.TakeChange(one.Import).IsZero() || one.memory.TakeChange(importOfMCP("c3")).IsZero() {
		t.Error("nothing waits to be written")
	}
	if one.isSettledNow() {
		t.Error("the rotation is taken for nothing to do")
	}
}

// addsLater notes what is added to a queue later.
type addsLater[K comparable] struct {
	workqueue.TypedRateLimitingInterface[K]
	added map[K][]time.Duration
}

func (q *addsLater[K]) AddAfter(item K, after time.Duration) {
	if q.added == nil {
		q.added = map[K][]time.Duration{}
	}
	q.added[item] = append(q.added[item], after)
}

func TestTheDeletionOfALifecycleWakesNoPolicyButOneThatIsBeingDeleted(t *testing.T) {
	for name, deleting := range map[string]bool{"a policy that stays": false, "a policy that is being deleted": true} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			policies := &addsLater[string]{TypedRateLimitingInterface: one.policies.queue}
			one.policies.queue = policies
			if deleting {
				one.changeState(t, func(s *policyState) { s.policy.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
			}
			lifecycle := one.stored(t)
			for n := range 1000 { // of a fleet
				gone := lifecycle.DeepCopy()
				gone.Name, gone.Spec.Source.Name = fmt.Sprint("mcp-", n), fmt.Sprint(n)
				one.lifecycleHandler().OnDelete(gone)
			}
			if policies.Len() > 0 {
				t.Errorf("%d policies are worked on at once", policies.Len())
			}
			if woken := len(policies.added["mcp"]) > 0; woken != deleting {
				t.Errorf("it is woken: %t", woken)
			}
			for _, after := range policies.added["mcp"] { // the queue makes one of them
				if after != statusDelay {
					t.Errorf("it is woken after %s", after)
				}
			}
		})
	}
}

// A Source that goes right after it was imported is one that was seen to go.
func TestADeletionThatIsSeenBeforeTheInformerShowsTheLifecycleDoesNotCount(t *testing.T) {
	one := newUnimported(t)
	one.pass(t)
	if len(one.shown.List()) > 0 || one.pediaCluster(t, "mcp-a") == nil {
		t.Fatal("the lifecycle is shown, or nothing was imported")
	}
	eventually(t, func() bool { return one.objects.Object(pediaClusters, "", "mcp-a") != nil })
	one.deleteSource(t)
	one.sourceChanged(one.Import, hostobjects.Deleted)
	one.wantEnqueued(t, "the Source goes", "mcp/a, single")
	if !one.memory.DeletionSeen(one.Import) {
		t.Fatal("the deletion is forgotten")
	}
	one.pass(t)
	if one.pediaCluster(t, "mcp-a") != nil || !one.isGone(t, "mcp-a") {
		t.Error("it waits for the brake")
	}
}

func TestADeletionThatIsNotSeenToTheEndCounts(t *testing.T) {
	for name, test := range map[string]struct {
		happens func(*testing.T, *oneImport)
		seen    bool
	}{
		"it was seen":           {func(_ *testing.T, one *oneImport) { one.sourceChanged(one.Import, hostobjects.Deleted) }, true},
		"its absence was found": {func(_ *testing.T, one *oneImport) { one.sourceChanged(one.Import, hostobjects.Missing) }, false},
		"it was there again in between": {func(_ *testing.T, one *oneImport) {
			one.sourceChanged(one.Import, hostobjects.Deleted)
			one.sourceChanged(one.Import, hostobjects.Present)
		}, false},
		"nothing was made of it": {func(t *testing.T, one *oneImport) {
			lifecycle := one.stored(t)
			if err := one.shown.Delete(lifecycle); err != nil {
				t.Fatal(err)
			}
			one.sourceChanged(one.Import, hostobjects.Deleted)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			test.happens(t, one)
			if got := one.memory.DeletionSeen(one.Import); got != test.seen {
				t.Errorf("it is seen: %t", got)
			}
			one.wantEnqueued(t, "in any case", "mcp/a, single")
			if one.memory.TakeChange(one.Import).IsZero() {
				t.Error("no change waits")
			}
		})
	}
}

func TestWhichImportsAnEventOfALifecycleConcerns(t *testing.T) {
	another := policyNamed("another", "uid of another", "clusters")
	annotate := func(l *lifecycles.Lifecycle) { l.Annotations = map[string]string{policyv1alpha1.ResyncAnnotation: "1"} }
	for name, test := range map[string]struct {
		happens func(*testing.T, *oneImport)
		want    []string
		settled bool
	}{
		"nothing but a version": {func(_ *testing.T, one *oneImport) { one.storage.Change("mcp-a", func(*lifecycles.Lifecycle) {}) },
			[]string{"mcp/a, single"}, false},
		"a label": {func(_ *testing.T, one *oneImport) {
			one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { l.Labels = map[string]string{"a": "b"} })
		}, []string{"mcp/a, single"}, false},
		"an annotation":     {func(_ *testing.T, one *oneImport) { one.storage.Change("mcp-a", annotate) }, []string{"mcp/a, single"}, false},
		"a deletion":        {func(_ *testing.T, one *oneImport) { one.storage.Change("mcp-a", isDeletedByHand) }, []string{"mcp/a, single"}, false},
		"it is shown again": {func(*testing.T, *oneImport) {}, nil, true},
		"an owner": {func(_ *testing.T, one *oneImport) {
			one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) {
				l.OwnerReferences = []metav1.OwnerReference{controllerReference(another)}
			})
		}, []string{"another/a, single", "mcp/a, single"}, false},
		"its end": {func(_ *testing.T, one *oneImport) {
			one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { isDeletedByHand(l); l.Finalizers = nil })
		}, []string{"another/a, single", "mcp/a, single", "mcp/waits, single"}, false},
		"another one of its name": {func(_ *testing.T, one *oneImport) {
			one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { l.UID = "another" })
		}, []string{"another/a, single", "mcp/a, single", "mcp/waits, single"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			one.policies.states["another"] = &policyState{policy: another}
			one.memory.WaitFor(importOfMCP("waits"), "mcp-a")
			one.forgetsQueue()
			test.happens(t, one)
			one.syncOverlay(t, "mcp-a")
			one.wantEnqueued(t, "it is shown", test.want...)
			if settled := one.isSettledNow(); settled != test.settled {
				t.Errorf("the next pass finds nothing to do: %t", settled)
			}
		})
	}
}

func TestALifecycleThatSomebodyElseHasCreatedIsWorkedOn(t *testing.T) {
	for name, initial := range map[string]bool{"at the start": true, "later": false} {
		one := newOneImport(t)
		lifecycle := one.stored(t).DeepCopy()
		lifecycle.OwnerReferences = nil
		one.forgetsQueue()
		one.lifecycleHandler().(cache.ResourceEventHandlerDetailedFuncs).OnAdd(lifecycle, initial)
		one.wantEnqueued(t, name, "/a, single")
		if checked := one.owners.Len() == 1; checked == initial { // all are checked at the start
			t.Errorf("%s, its owner is checked: %t", name, checked)
		}
	}
}

func TestTheEndOfALifecycleIsUnderstoodFromItsTombstone(t *testing.T) {
	one := newOneImport(t)
	lifecycle := one.stored(t)
	one.forgetsQueue()
	one.lifecycleHandler().OnDelete(cache.DeletedFinalStateUnknown{Key: "mcp-a", Obj: lifecycle})
	one.wantEnqueued(t, "with the lifecycle", "mcp/a, single")
	one.lifecycleHandler().OnDelete(cache.DeletedFinalStateUnknown{Key: "mcp-a", Obj: "something else"})
	one.wantEnqueued(t, "with something else")
}

func TestWhoWaitsForANameIsToldOfByWhoHasIt(t *testing.T) {
	one := newOneImport(t)
	queue := &addsLater[memory.Import]{TypedRateLimitingInterface: one.queue}
	one.queue = queue
	b := importOfMCP("b")
	one.forgetsQueue()
	one.waitFor(b, "mcp-a")
	one.wantEnqueued(t, "somebody waits", "mcp/a, single")
	one.waitFor(b, "mcp-a")
	one.wantEnqueued(t, "as before")
	one.waitFor(b, "")
	one.wantEnqueued(t, "nobody waits any more", "mcp/a, single")
	if len(queue.added) > 0 {
		t.Errorf("later: %v", queue.added)
	}
	one.waitFor(b, "mcp-free") // it was taken a moment ago
	one.wantEnqueued(t, "nobody has the name")
	if diff := cmp.Diff(map[memory.Import][]time.Duration{b: {retryDelay}}, queue.added); diff != "" {
		t.Errorf("later (-want +got):\n%s", diff)
	}
	one.waitFor(importOfMCP("c"), "mcp-a")
	one.forgetsQueue()
	one.forget(importOfMCP("c"))
	one.wantEnqueued(t, "who waits is gone", "mcp/a, single")
}

func TestWhatWaitsForAReservedNameHearsThatItIsFree(t *testing.T) {
	for name, frees := range map[string]func(*oneImport){
		"its import has it again": func(one *oneImport) { one.unreserve(one.Import) },
		"its import is gone":      func(one *oneImport) { one.forget(one.Import) },
	} {
		one := newOneImport(t)
		one.memory.Reserve("mcp-former", one.Import)
		one.memory.WaitFor(importOfMCP("b"), "mcp-former")
		one.forgetsQueue()
		frees(one)
		one.wantEnqueued(t, name, "mcp/b, single")
	}
}

// What the informers never show of own writes is worked on again in the end.
func TestWhatIsOverdueIsWorkedOnAgain(t *testing.T) {
	one := newOneImport(t)
	one.forgetsQueue()
	begun, _ := one.memory.Begin(one.Import)
	one.memory.End(one.Import, begun, &memory.Settled{PediaCluster: "never shown"})
	one.enqueueOverdue()
	one.wantEnqueued(t, "at once")
	one.enqueueOverdue()
	one.wantEnqueued(t, "when it has not been shown for long", "mcp/a, single")
	if one.isSettledNow() {
		t.Error("it is taken for nothing to do")
	}
}

// What the informer shows already when a pass ends is not worked on again for nothing.
func TestWhatNeededNoWriteIsNotOverdue(t *testing.T) {
	one := newOneImport(t)
	for range 2 {
		one.again(t)
		one.forgetsQueue()
		one.enqueueOverdue()
		one.enqueueOverdue()
		one.wantEnqueued(t, "long after a pass that wrote nothing")
	}
}
