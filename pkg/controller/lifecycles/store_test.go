package lifecycles

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles/lifecyclestest"
)

// world is a store over a storage and an informer that shows what the test has it show.
type world struct {
	*Store
	t       *testing.T
	storage *lifecyclestest.Storage
	indexer cache.Indexer
}

func newWorld(t *testing.T) *world {
	storage, indexer := lifecyclestest.New(), cache.NewIndexer(cache.MetaNamespaceKeyFunc, Indexers())
	return &world{New(storage, indexer, clock.RealClock{}), t, storage, indexer}
}

// syncOverlay has the informer show a name as it is stored, and reports whether that is told
// to be an own write.
func (w *world) syncOverlay(name string) (own bool) {
	w.t.Helper()
	live, err := w.storage.Get(w.t.Context(), name)
	if err != nil {
		object, _, _ := w.indexer.GetByKey(name)
		if gone, ok := object.(*Lifecycle); ok {
			w.must(w.indexer.Delete(gone))
			w.ObserveDeleted(gone)
		}
		return false
	}
	w.must(w.indexer.Add(live))
	return w.Observe(live)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// live is the lifecycle of that name as it is stored.
func (w *world) live(name string) *Lifecycle {
	w.t.Helper()
	live, err := w.Live(w.t.Context(), name)
	w.must(err)
	return live
}

// annotate is a write of somebody else.
func (w *world) annotate(name, value string) {
	w.storage.Change(name, func(l *Lifecycle) { l.Annotations = map[string]string{"example.com/note": value} })
}

func (w *world) create(name string) *Lifecycle {
	w.t.Helper()
	created, err := w.Create(w.t.Context(), newLifecycle(name), func() error { return nil })
	w.must(err)
	return created
}

func (w *world) remove(lifecycle *Lifecycle) {
	w.t.Helper()
	if left, err := w.Remove(w.t.Context(), lifecycle); left != nil || err != nil {
		w.t.Fatalf("left is %v, the error %v", left, err)
	}
}

func newLifecycle(name string) *Lifecycle {
	return &Lifecycle{
		ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{policyv1alpha1.Finalizer}, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "ClusterImportPolicy", Name: "mcp", UID: "p", Controller: ptr.To(true)}}},
		Spec: policyv1alpha1.PediaClusterLifecycleSpec{Source: policyv1alpha1.DependentResource{Group: "cluster.mcp.io", Resource: "clusters", Name: "a"}},
	}
}

func recordOf(lifecycle *Lifecycle, phase policyv1alpha1.LifecyclePhase) Record {
	status := *lifecycle.Status.DeepCopy()
	status.Phase, status.ObservedGeneration = phase, lifecycle.Generation
	return Record{Spec: lifecycle.Spec, Status: status, Generation: lifecycle.Generation}
}

func names(lifecycles []*Lifecycle) (names []string) {
	for _, lifecycle := range lifecycles {
		names = append(names, lifecycle.Name)
	}
	return names
}

func (w *world) wantNothingKept() {
	w.t.Helper()
	if len(w.overlay) > 0 || len(w.unseen) > 0 {
		w.t.Errorf("kept: %d written, %d not seen", len(w.overlay), len(w.unseen))
	}
}

func TestAnOwnWriteIsReadAtOnceAndForgottenWhenTheInformerShowsIt(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	if diff := cmp.Diff([]string{"mcp-a"}, names(w.OfSource(created.Spec.Source))); diff != "" {
		t.Errorf("of the Source, before the informer shows it:\n%s", diff)
	}
	written, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleWaiting), true)
	w.must(err)
	if got := w.Get("mcp-a"); got.Status.Phase != policyv1alpha1.LifecycleWaiting || got.ResourceVersion != written.ResourceVersion {
		t.Errorf("it reads %s at %s", got.Status.Phase, got.ResourceVersion)
	}
	w.must(w.indexer.Add(created)) // late
	if !w.Observe(created) {
		t.Error("what an own write has replaced is taken for news")
	}
	if got := w.Get("mcp-a").Status.Phase; got != policyv1alpha1.LifecycleWaiting {
		t.Errorf("the informer's older version hides the own write: %s", got)
	}
	if !w.syncOverlay("mcp-a") {
		t.Error("the own write is taken for news")
	}
	w.wantNothingKept()
	w.annotate("mcp-a", "theirs")
	if w.syncOverlay("mcp-a") {
		t.Error("the write of somebody else is taken for an own one")
	}
}

// overtakenIndexer is an informer that shows an own write between the read of what it showed
// before and the use of that, unless the store has locked that out.
type overtakenIndexer struct {
	cache.Indexer
	*world
	show string
}

func (i *overtakenIndexer) overtake() {
	if i.show != "" && i.mu.TryLock() {
		i.mu.Unlock()
		name := i.show
		i.show = ""
		i.syncOverlay(name)
	}
}

func (i *overtakenIndexer) ByIndex(name, value string) ([]any, error) {
	defer i.overtake()
	return i.Indexer.ByIndex(name, value)
}

func (i *overtakenIndexer) GetByKey(key string) (any, bool, error) {
	defer i.overtake()
	return i.Indexer.GetByKey(key)
}

func (i *overtakenIndexer) List() []any {
	defer i.overtake()
	return i.Indexer.List()
}

// Whoever has written a lifecycle never reads what was there before, whenever the informer shows it.
func TestAnOwnWriteIsReadWhileTheInformerShowsIt(t *testing.T) {
	for name, read := range map[string]func(*world) *Lifecycle{
		"by name":   func(w *world) *Lifecycle { return w.Get("mcp-a") },
		"by Source": func(w *world) *Lifecycle { return w.OfSource(w.live("mcp-a").Spec.Source)[0] },
		"by policy": func(w *world) *Lifecycle {
			return w.OfPolicy(policyv1alpha1.ControllingPolicy(w.live("mcp-a")).Name)[0]
		},
		"of all": func(w *world) *Lifecycle { return w.List()[0] },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			lifecycle := w.create("mcp-a")
			w.syncOverlay("mcp-a")
			if _, err := w.Record(t.Context(), lifecycle, recordOf(lifecycle, policyv1alpha1.LifecycleImported), true); err != nil {
				t.Fatal(err)
			}
			w.Store.indexer = &overtakenIndexer{w.indexer, w, "mcp-a"}
			if got := read(w); got.Status.Phase != policyv1alpha1.LifecycleImported {
				t.Errorf("it is read in phase %q", got.Status.Phase)
			}
		})
	}
}

func TestAPassKnowsWhatTheLastOneHasWritten(t *testing.T) {
	const imported, waiting, failed = policyv1alpha1.LifecycleImported, policyv1alpha1.LifecycleWaiting, policyv1alpha1.LifecycleFailed
	for name, test := range map[string]struct {
		then func(w *world, before *Lifecycle)
		want policyv1alpha1.LifecyclePhase
	}{
		"the informer has not shown it":       {func(*world, *Lifecycle) {}, waiting},
		"the informer has shown it":           {func(w *world, _ *Lifecycle) { w.syncOverlay("mcp-a") }, waiting},
		"the informer shows it, but not here": {func(w *world, _ *Lifecycle) { w.must(w.indexer.Update(w.live("mcp-a"))) }, waiting},
		"somebody else has written it": {func(w *world, _ *Lifecycle) {
			w.must(w.indexer.Update(w.storage.Change("mcp-a", func(l *Lifecycle) { l.Status.Phase = failed })))
		}, failed},
		"its deletion was shown, and a former one is still listed": {func(w *world, before *Lifecycle) { w.ObserveDeleted(before) }, imported},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			created := w.create("mcp-a")
			before, err := w.Record(t.Context(), created, recordOf(created, imported), true)
			w.must(err)
			w.syncOverlay("mcp-a")
			_, err = w.Record(t.Context(), before, recordOf(before, waiting), true)
			w.must(err)
			test.then(w, before)
			lists := map[string][]*Lifecycle{"by name": {w.Get("mcp-a")}, "of its Source": w.OfSource(created.Spec.Source),
				"of its policy": w.OfPolicy("mcp"), "of all": w.List()}
			for list, got := range lists {
				if len(got) != 1 || got[0].Status.Phase != test.want {
					t.Errorf("%s it says %s, want %s", list, got[0].Status.Phase, test.want)
				}
			}
		})
	}
}

func TestWhatWasCreatedIsOneOfItsPolicyAtOnce(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	for range 2 {
		if got := w.OfPolicy("mcp"); len(got) != 1 || got[0].UID != created.UID {
			t.Errorf("of its policy are %v", got)
		}
		if got := w.OfPolicy("other"); len(got) > 0 {
			t.Errorf("of another policy are %v", got)
		}
		w.must(w.indexer.Add(w.live("mcp-a"))) // shown, and nobody told of it
	}
}

func TestWhatIsRemovedIsGoneAtOnceHoweverLateTheInformerIs(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	w.syncOverlay("mcp-a")
	w.remove(created)
	if w.Get("mcp-a") != nil || len(w.OfSource(created.Spec.Source)) > 0 || len(w.OfPolicy("mcp")) > 0 || len(w.List()) > 0 {
		t.Error("it is still read")
	}
	again := w.create("mcp-a")
	if got := w.Get("mcp-a"); got == nil || got.UID != again.UID {
		t.Errorf("the new one reads %v", got)
	}
	w.ObserveDeleted(created)
	if got := w.Get("mcp-a"); got == nil || got.UID != again.UID {
		t.Errorf("after the deletion of the former one it reads %v", got)
	}
	w.syncOverlay("mcp-a")
	w.wantNothingKept()
}

func TestALifecycleThatOthersHoldStaysAfterItsRemoval(t *testing.T) {
	w := newWorld(t)
	held := newLifecycle("mcp-a")
	held.Finalizers = append(held.Finalizers, "example.com/mine")
	created, err := w.Create(t.Context(), held, func() error { return nil })
	w.must(err)
	w.syncOverlay("mcp-a")
	left, err := w.Remove(t.Context(), created)
	w.must(err)
	if got := w.Get("mcp-a"); left == nil || got == nil || got.ResourceVersion != left.ResourceVersion || OnlyOurs(got.Finalizers) {
		t.Errorf("left is %v, and it reads %v", left, got)
	}
}

func TestOfOneSourceOneLifecycleIsCreatedAtATime(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			wanted := newLifecycle(fmt.Sprint("mcp-", n))
			_, _ = w.Create(t.Context(), wanted, func() error {
				if others := w.OfSource(wanted.Spec.Source); len(others) > 0 {
					return errors.New("another one has it")
				}
				return nil
			})
		})
	}
	wg.Wait()
	if created := w.OfSource(newLifecycle("").Spec.Source); len(created) != 1 {
		t.Errorf("created: %v", names(created))
	}
}

func TestARecordIsReadAtOnceAndWrittenWhenNothingIsMoreUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.queue.ShutDown()
		created := w.create("mcp-a")
		w.syncOverlay("mcp-a")
		shown, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleImported), false)
		w.must(err)
		if shown.Status.Phase != policyv1alpha1.LifecycleImported || w.Get("mcp-a").Status.Phase != policyv1alpha1.LifecycleImported {
			t.Error("the record is not read")
		}
		ctx, cancel := context.WithCancel(t.Context())
		var busy sync.Mutex
		isBusy := true
		go w.Run(ctx, func() bool {
			busy.Lock()
			defer busy.Unlock()
			return isBusy
		})
		synctest.Wait()
		if len(w.storage.Writes()) != 1 {
			t.Errorf("while there is more urgent work: %v", w.storage.Writes())
		}
		busy.Lock()
		isBusy = false
		busy.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"create mcp-a", "update mcp-a"}, w.storage.Writes()); diff != "" {
			t.Errorf("writes:\n%s", diff)
		}
		if !w.syncOverlay("mcp-a") {
			t.Error("its own status is taken for news")
		}
		w.wantNothingKept()
		cancel()
		synctest.Wait()
	})
}

func TestARecordIsPendingForAMinuteAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.queue.ShutDown()
		created := w.create("mcp-a")
		lifecycle := created
		for n := range 4 {
			record := recordOf(lifecycle, policyv1alpha1.LifecycleImported)
			record.Status.LastResync = fmt.Sprint(n)
			var err error
			lifecycle, err = w.Record(t.Context(), lifecycle, record, false)
			w.must(err)
			time.Sleep(longestPending / 2)
		}
		if len(w.storage.Writes()) != 2 {
			t.Errorf("writes after two minutes: %v", w.storage.Writes())
		}
	})
}

func TestARecordThatSaysNothingNewIsNotWritten(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	for range 2 {
		written, err := w.Record(t.Context(), w.Get("mcp-a"), recordOf(created, policyv1alpha1.LifecycleImported), true)
		w.must(err)
		w.syncOverlay(written.Name)
	}
	if diff := cmp.Diff([]string{"create mcp-a", "update mcp-a"}, w.storage.Writes()); diff != "" {
		t.Errorf("writes:\n%s", diff)
	}
	w.wantNothingKept()
}

func TestSpecAndStatusAreOneWrite(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	record := recordOf(created, policyv1alpha1.LifecycleImported)
	record.Spec.Template = "new"
	written, err := w.Record(t.Context(), created, record, true)
	w.must(err)
	if diff := cmp.Diff([]string{"create mcp-a", "update mcp-a"}, w.storage.Writes()); diff != "" {
		t.Errorf("writes:\n%s", diff)
	}
	if written.Generation != 2 || written.Status.ObservedGeneration != 2 {
		t.Errorf("generation %d, observed %d", written.Generation, written.Status.ObservedGeneration)
	}
}

func TestAPendingRecordFollowsWhatOthersWrite(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	w.syncOverlay("mcp-a")
	_, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleImported), false)
	w.must(err)
	w.annotate("mcp-a", "theirs")
	if err := w.flush(t.Context(), "mcp-a", true); !apierrors.IsConflict(err) {
		t.Errorf("a record overwrites what it does not know: %v", err)
	}
	if w.syncOverlay("mcp-a") {
		t.Error("what others write is taken for an own write")
	}
	if got := w.Get("mcp-a"); got.Annotations["example.com/note"] != "theirs" || got.Status.Phase != policyv1alpha1.LifecycleImported {
		t.Errorf("it reads %v, %s", got.Annotations, got.Status.Phase)
	}
	w.must(w.flush(t.Context(), "mcp-a", true))
	if live, _ := w.storage.Get(t.Context(), "mcp-a"); live.Status.Phase != policyv1alpha1.LifecycleImported {
		t.Errorf("stored: %s", live.Status.Phase)
	}
}

func TestAPendingRecordGivesWayToAStatusOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	w.syncOverlay("mcp-a")
	_, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleImported), false)
	w.must(err)
	foreign := created.DeepCopy()
	foreign.Status.Phase = policyv1alpha1.LifecycleFailed // a former leader's, late
	_, err = w.storage.Update(t.Context(), foreign)
	w.must(err)
	if w.syncOverlay("mcp-a") {
		t.Error("it is taken for an own write")
	}
	if got := w.Get("mcp-a").Status.Phase; got != policyv1alpha1.LifecycleFailed {
		t.Errorf("it reads %s", got)
	}
	w.wantNothingKept()
}

func TestARecordMadeFromAnOldVersionIsRefused(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	_, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleWaiting), true)
	w.must(err)
	if _, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleImported), false); !errors.Is(err, errStale) {
		t.Errorf("the error is %v", err)
	}
}

func TestARecordWhoseWriteFailsStaysPending(t *testing.T) {
	for name, lost := range map[string]bool{"it has not happened": false, "its answer is lost": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			created := w.create("mcp-a")
			w.storage.Fail(errors.New("timeout"), lost)
			if _, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleWaiting), true); err == nil {
				t.Fatal("the error is not told")
			}
			if got := w.Get("mcp-a").Status.Phase; got != policyv1alpha1.LifecycleWaiting {
				t.Errorf("it reads %s", got)
			}
			w.syncOverlay("mcp-a")
			_ = w.flush(t.Context(), "mcp-a", true)
			if live, _ := w.storage.Get(t.Context(), "mcp-a"); live.Status.Phase != policyv1alpha1.LifecycleWaiting {
				t.Errorf("stored: %s", live.Status.Phase)
			}
		})
	}
}

func TestACreationWhoseAnswerIsLostIsAdopted(t *testing.T) {
	w := newWorld(t)
	w.storage.Fail(errors.New("timeout"), true)
	free := func() error { return nil }
	if _, err := w.Create(t.Context(), newLifecycle("mcp-a"), free); err == nil {
		t.Fatal("the error is not told")
	}
	if _, err := w.Create(t.Context(), newLifecycle("mcp-a"), free); !apierrors.IsAlreadyExists(err) {
		t.Fatalf("creating it again: %v", err)
	}
	live, err := w.Live(t.Context(), "mcp-a")
	w.must(err)
	w.Adopt(live)
	if got := w.Get("mcp-a"); got == nil || got.UID != live.UID {
		t.Errorf("it reads %v", got)
	}
	w.syncOverlay("mcp-a")
	w.wantNothingKept()
}

func TestWhatTheInformerNeverShowsIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.queue.ShutDown()
		w.create("mcp-a")
		if overdue := w.Overdue(); len(overdue) > 0 {
			t.Errorf("overdue at once: %v", names(overdue))
		}
		time.Sleep(expectationTimeout)
		if diff := cmp.Diff([]string{"mcp-a"}, names(w.Overdue())); diff != "" {
			t.Errorf("overdue:\n%s", diff)
		}
		w.wantNothingKept()
	})
}

// An informer that is behind for long must not bring back what was removed: a PediaCluster whose
// owner becomes a lifecycle that is gone is deleted by the host.
func TestWhatWasRemovedDoesNotComeBackHoweverLateTheInformerIs(t *testing.T) {
	for name, again := range map[string]bool{"it is gone": false, "it was made again": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.queue.ShutDown()
				former := w.create("mcp-a")
				w.syncOverlay("mcp-a")
				w.remove(former)
				if again {
					w.create("mcp-a")
				}
				time.Sleep(expectationTimeout)
				w.Overdue()
				if got := w.Get("mcp-a"); (got != nil) != again || again && got.UID == former.UID {
					t.Errorf("it reads %v", got)
				}
				if found := w.OfSource(former.Spec.Source); len(found) > 0 && found[0].UID == former.UID {
					t.Errorf("of the Source it reads %v", found)
				}
				w.syncOverlay("mcp-a")
				w.wantNothingKept()
			})
		})
	}
}

func TestAnAnswerThatIsSlowerThanTheInformerLeavesNothingBehind(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	w.syncOverlay("mcp-a")
	written, err := w.storage.Update(t.Context(), created)
	w.must(err)
	w.syncOverlay("mcp-a")
	w.wrote(written, nil)
	w.wantNothingKept()
}

// The informer may show a record that is written behind before the response to its write.
func TestARecordThatIsShownBeforeItsResponseIsAnOwnWrite(t *testing.T) {
	for name, test := range map[string]struct {
		between func(w *world)
		own     bool
	}{
		"nothing comes between": {func(*world) {}, true},
		"somebody else has written another status": {func(w *world) {
			w.storage.Change("mcp-a", func(l *Lifecycle) { l.Status.Phase = policyv1alpha1.LifecycleFailed })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			created := w.create("mcp-a")
			w.syncOverlay("mcp-a")
			_, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleImported), false)
			w.must(err)
			stored, pending := w.pendingOf("mcp-a")
			written, err := w.storage.Update(t.Context(), pending.written(stored))
			w.must(err)
			test.between(w)
			if own := w.syncOverlay("mcp-a"); own != test.own {
				t.Errorf("an own write: %t", own)
			}
			if test.own {
				w.wrote(written, pending)
				w.wantNothingKept()
			}
		})
	}
}

func TestADeletionMarkReplacesAPendingRecord(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	_, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleImported), false)
	w.must(err)
	marked, err := w.MarkDeleted(t.Context(), w.Get("mcp-a"), nil)
	w.must(err)
	if got := w.Get("mcp-a"); got.DeletionTimestamp == nil || got.ResourceVersion != marked.ResourceVersion || got.Status.Phase != "" {
		t.Errorf("it reads %v at %s in phase %s", got.DeletionTimestamp, got.ResourceVersion, got.Status.Phase)
	}
}

// A pass may read a lifecycle whose record is pending, and record the next one only when the
// former is written and shown.
func TestARecordMadeBeforeTheLastOneWasWrittenIsRefusedAndTriedAgain(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	w.syncOverlay("mcp-a")
	read, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleWaiting), false)
	w.must(err)
	w.must(w.flush(t.Context(), "mcp-a", true))
	w.syncOverlay("mcp-a")
	if _, err := w.Record(t.Context(), read, recordOf(read, policyv1alpha1.LifecycleImported), false); !errors.Is(err, errStale) {
		t.Errorf("the error is %v", err)
	}
	again := w.Get("mcp-a")
	_, err = w.Record(t.Context(), again, recordOf(again, policyv1alpha1.LifecycleImported), true)
	w.must(err)
	if phase := w.live("mcp-a").Status.Phase; phase != policyv1alpha1.LifecycleImported {
		t.Errorf("stored: %s", phase)
	}
	w.syncOverlay("mcp-a")
	w.wantNothingKept()
}

// What the informer shows before the response to the write that it shows must not leave a
// record behind that can never be written.
func TestARecordFollowsWhatTheInformerHasShownBeforeIt(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	w.syncOverlay("mcp-a")
	_, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleWaiting), false)
	w.must(err)
	w.annotate("mcp-a", "theirs")
	w.must(w.indexer.Update(w.live("mcp-a"))) // the event is still on its way
	w.must(w.flush(t.Context(), "mcp-a", true))
	if live := w.live("mcp-a"); live.Status.Phase != policyv1alpha1.LifecycleWaiting || live.Annotations["example.com/note"] != "theirs" {
		t.Errorf("stored: %s, %v", live.Status.Phase, live.Annotations)
	}
	w.syncOverlay("mcp-a")
	w.wantNothingKept()
}
