package lifecycles

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// pend has a record of a lifecycle pending.
func (w *world) pend(lifecycle *Lifecycle, phase policyv1alpha1.LifecyclePhase) *Lifecycle {
	w.t.Helper()
	shown, err := w.Record(w.t.Context(), lifecycle, recordOf(lifecycle, phase), false)
	w.must(err)
	return shown
}

func TestARecordSpeaksOfTheGenerationThatItsSpecBecomes(t *testing.T) {
	record := Record{Generation: 2, Status: policyv1alpha1.PediaClusterLifecycleStatus{ObservedGeneration: 2, Conditions: []metav1.Condition{
		{Type: "Ready", ObservedGeneration: 2}, {Type: "Other", ObservedGeneration: 1}}}}
	status := record.statusOf(3)
	if status.ObservedGeneration != 3 || status.Conditions[0].ObservedGeneration != 3 || status.Conditions[1].ObservedGeneration != 1 {
		t.Errorf("%+v", status)
	}
	if record.Status.Conditions[0].ObservedGeneration != 2 {
		t.Error("the record itself has changed")
	}
}

func TestARecordIsPendingUntilItIsWritten(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	if w.HasPending("mcp-a") {
		t.Error("a record is pending before there is one")
	}
	shown := w.pend(created, policyv1alpha1.LifecycleImported)
	if !w.HasPending("mcp-a") {
		t.Error("no record is pending")
	}
	another := shown.DeepCopy()
	another.UID = "another"
	if _, err := w.Record(t.Context(), another, recordOf(another, policyv1alpha1.LifecycleFailed), true); !errors.Is(err, errStale) {
		t.Errorf("a record of another lifecycle of the name: %v", err)
	}
	if got := w.Get("mcp-a").Status.Phase; !w.HasPending("mcp-a") || got != policyv1alpha1.LifecycleImported {
		t.Errorf("the record of another lifecycle counts: it reads %s", got)
	}
	w.must(w.flush(t.Context(), "mcp-a", true))
	if w.HasPending("mcp-a") {
		t.Error("a record that was written is left")
	}
}

func TestARecordThatIsUndoneIsNotWritten(t *testing.T) {
	w := newWorld(t)
	created := w.create("mcp-a")
	written, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleWaiting), true)
	w.must(err)
	w.syncOverlay("mcp-a")
	w.pend(w.pend(written, policyv1alpha1.LifecycleImported), policyv1alpha1.LifecycleWaiting)
	if got := w.Get("mcp-a").Status.Phase; w.HasPending("mcp-a") || got != policyv1alpha1.LifecycleWaiting {
		t.Errorf("it reads %s", got)
	}
	w.wantNothingKept()
}

func TestAPendingRecordGoesWithItsLifecycle(t *testing.T) {
	for name, goes := range map[string]func(w *world, created *Lifecycle){
		"it was removed": func(w *world, _ *Lifecycle) {
			w.remove(w.Get("mcp-a"))
			w.syncOverlay("mcp-a")
		},
		"somebody else has removed it": func(w *world, created *Lifecycle) {
			w.must(w.indexer.Delete(created))
			w.ObserveDeleted(created)
		},
		"there is another one of the name": func(w *world, _ *Lifecycle) {
			w.storage.Change("mcp-a", func(l *Lifecycle) { l.UID = "another" })
			if w.syncOverlay("mcp-a") {
				w.t.Error("it is taken for an own write")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			created := w.create("mcp-a")
			w.syncOverlay("mcp-a")
			w.pend(created, policyv1alpha1.LifecycleImported)
			goes(w, created)
			if w.HasPending("mcp-a") {
				t.Error("it is left")
			}
			w.must(w.flush(t.Context(), "mcp-a", true))
			w.wantNothingKept()
		})
	}
}

func TestWhoeverIsToldHearsOfEachRecordOnce(t *testing.T) {
	w := newWorld(t)
	var told []string
	w.OnRecorded(func(before, now *Lifecycle, behind bool) {
		told = append(told, fmt.Sprintf("%q to %q, behind: %t", before.Status.Phase, now.Status.Phase, behind))
	})
	created := w.create("mcp-a")
	written, err := w.Record(t.Context(), created, recordOf(created, policyv1alpha1.LifecycleWaiting), true)
	w.must(err)
	_, err = w.Record(t.Context(), written, recordOf(written, policyv1alpha1.LifecycleWaiting), true)
	w.must(err)
	w.pend(written, policyv1alpha1.LifecycleImported)
	for range 2 {
		w.must(w.flush(t.Context(), "mcp-a", true))
	}
	if diff := cmp.Diff([]string{`"" to "Waiting", behind: false`, `"Waiting" to "Imported", behind: true`}, told); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// While imports wait, a record that is pending for long is written all the same, and one
// whose write fails is tried again.
func TestPendingRecordsAreWrittenInTheEnd(t *testing.T) {
	for name, test := range map[string]struct {
		busy bool
		fail error
		most time.Duration
	}{
		"nothing is more urgent":      {false, nil, 0},
		"the host is always busy":     {true, nil, longestPending + time.Second},
		"its write fails":             {false, errors.New("timeout"), time.Second},
		"its write fails, while busy": {true, errors.New("timeout"), longestPending + 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				created := w.create("mcp-a")
				w.storage.Fail(test.fail, false)
				w.pend(created, policyv1alpha1.LifecycleImported)
				if waiting := w.Waiting(); waiting != 1 {
					t.Errorf("%d records wait", waiting)
				}
				began := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					w.Run(ctx, func() bool { return test.busy })
				}()
				for w.HasPending("mcp-a") && time.Since(began) < 10*longestPending {
					synctest.Wait()
					time.Sleep(busyPeriod)
				}
				if took := time.Since(began); took > test.most+busyPeriod || w.live("mcp-a").Status.Phase != policyv1alpha1.LifecycleImported {
					t.Errorf("after %s it says %q", took, w.live("mcp-a").Status.Phase)
				}
				if waiting := w.Waiting(); waiting != 0 {
					t.Errorf("%d records wait in the end", waiting)
				}
				cancel()
				<-ended
			})
		})
	}
}

func TestWritersEndWithTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"mcp-a", "mcp-b", "mcp-c"} {
			w.pend(w.create(name), policyv1alpha1.LifecycleImported)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Run(ctx, func() bool { return true })
		}()
		synctest.Wait()
		if len(w.storage.Writes()) != 3 {
			t.Errorf("while there is more urgent work: %v", w.storage.Writes())
		}
		cancel()
		<-ended
	})
}
