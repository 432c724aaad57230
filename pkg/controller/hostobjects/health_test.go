package hostobjects

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

var (
	resource = schema.GroupResource{Group: "cluster.x-k8s.io", Resource: "clusters"}
	errDown  = apierrors.NewServiceUnavailable("the server is down")
	errBusy  = apierrors.NewTooManyRequests("storage is (re)initializing", 1)
	errWhy   = apierrors.NewInternalError(errors.New("the conversion webhook is down"))
)

// typeOnHost answers lists and watches of one type as a host does that streams
// lists, or as one that does not.
type typeOnHost struct {
	streams bool

	mu sync.Mutex
	// answer of lists and watches, nil for a good one; hangs has them wait.
	list, watch, stream error
	hangs               bool
	// silent hosts send nothing in a stream, hasty ones end it early.
	silent, hasty bool
	// permitted is the answer when it is asked for the rights to read the type.
	permitted error
	// probe is the answer to the request for one object.
	probe   error
	watches []*watch.FakeWatcher
}

func (h *typeOnHost) set(f func(*typeOnHost)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
}

// stop ends all watches, as a host does that goes down.
func (h *typeOnHost) stop() {
	h.mu.Lock()
	watches := h.watches
	h.watches = nil
	h.mu.Unlock()
	for _, w := range watches {
		w.Stop()
	}
}

func (h *typeOnHost) answer(ctx context.Context, of func(*typeOnHost) error) error {
	h.mu.Lock()
	hangs, err := h.hangs, of(h)
	h.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (h *typeOnHost) List(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
	if err := h.answer(ctx, func(h *typeOnHost) error { return h.list }); err != nil {
		return nil, err
	}
	return &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
}

func (h *typeOnHost) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	streams := options.SendInitialEvents != nil && *options.SendInitialEvents
	if streams && !h.streams {
		return nil, apierrors.NewInvalid(schema.GroupKind{Kind: "ListOptions"}, "", nil)
	}
	if err := h.answer(ctx, func(h *typeOnHost) error {
		if streams {
			return h.stream
		}
		return h.watch
	}); err != nil {
		return nil, err
	}
	w := watch.NewFakeWithChanSize(2, false)
	h.mu.Lock()
	defer h.mu.Unlock()
	if streams && !h.silent {
		w.Add(object("one"))
		if h.hasty {
			time.AfterFunc(time.Second, w.Stop)
		} else {
			end := object("")
			end.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
			w.Action(watch.Bookmark, end)
		}
	}
	h.watches = append(h.watches, w)
	return w, nil
}

func object(name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"}}
}

// watched is an informer on such a type, and what its health said.
type watched struct {
	*typeOnHost
	health *health
	synced func() bool

	began time.Time
	mu    sync.Mutex
	told  []string // the second in which it was, and what
}

// observeType runs a test with an informer on a type, which has lived until then.
func observeType(t *testing.T, host *typeOnHost, test func(*watched)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		w := &watched{typeOnHost: host, health: newHealth(), began: time.Now()}
		requests := untilPermitted(w.health,
			func(ctx context.Context) error {
				return host.answer(ctx, func(h *typeOnHost) error { return h.permitted })
			},
			&cache.ListWatch{ListWithContextFunc: w.health.list(host.List), WatchFuncWithContext: w.health.observe(host.Watch)})
		informer := cache.NewSharedIndexInformerWithOptions(requests, &metav1.PartialObjectMetadata{}, cache.SharedIndexInformerOptions{})
		// The one of client-go sleeps by the clock of another bubble.
		if err := informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {}); err != nil {
			t.Fatal(err)
		}
		w.synced = informer.HasSynced
		probe := func(ctx context.Context) error {
			return host.answer(ctx, func(h *typeOnHost) error { return h.probe })
		}
		running.Go(func() { informer.RunWithContext(ctx) })
		running.Go(func() { w.health.supervise(ctx, informer.HasSynced, probe, w.changed) })
		synctest.Wait()
		test(w)
		cancel()
		host.stop()
	})
}

func (w *watched) changed() {
	text := "fine"
	if err := w.health.err(); err != nil {
		text = err.Error()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf("%d: %s", int(time.Since(w.began).Seconds()), text))
}

// after lets time pass and fails unless that is what was told by then.
func (w *watched) after(t *testing.T, period time.Duration, want ...string) {
	t.Helper()
	time.Sleep(period)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.told, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("after %s it was told:\n%s\nwant:\n%s", time.Since(w.began), got, strings.Join(want, "\n"))
	}
}

// recoversSoon lets the few seconds pass that a right may take to count.
func (w *watched) recoversSoon(t *testing.T) {
	t.Helper()
	time.Sleep(permissionPeriod + time.Second)
	synctest.Wait()
	if err := w.health.err(); err != nil || !w.synced() {
		t.Errorf("seconds later it still is: %v, known %t", err, w.synced())
	}
}

// eventually lets time pass until objects can be listed and watched again.
func (w *watched) recovers(t *testing.T) {
	t.Helper()
	time.Sleep(time.Minute)
	synctest.Wait()
	if err := w.health.err(); err != nil || !w.synced() {
		t.Errorf("a minute later it still is: %v", err)
	}
}

func inBothModes(t *testing.T, test func(*testing.T, *typeOnHost)) {
	t.Run("with streaming lists", func(t *testing.T) { test(t, &typeOnHost{streams: true}) })
	t.Run("with plain lists", func(t *testing.T) { test(t, &typeOnHost{}) })
}

func TestNothingIsToldWhileObjectsAreListedAndWatched(t *testing.T) {
	inBothModes(t, func(t *testing.T, host *typeOnHost) {
		observeType(t, host, func(w *watched) {
			if !w.synced() {
				t.Fatal("objects are not known")
			}
			for range 12 { // as watches expire
				w.after(t, 5*time.Minute)
				w.stop()
			}
			w.after(t, time.Minute)
		})
	})
}

func TestAnErrorIsToldAtOnceWhileNothingIsKnown(t *testing.T) {
	inBothModes(t, func(t *testing.T, host *typeOnHost) {
		forbidden := apierrors.NewForbidden(resource, "", errors.New("no"))
		host.list, host.watch, host.stream = forbidden, forbidden, forbidden
		observeType(t, host, func(w *watched) {
			w.after(t, 0, `0: `+forbidden.Error())
		})
	})
}

func TestAFailureIsToldWhenItLasts(t *testing.T) {
	down := func(h *typeOnHost) { h.list, h.watch, h.stream = errDown, errDown, errDown }
	up := func(h *typeOnHost) { h.list, h.watch, h.stream = nil, nil, nil }
	inBothModes(t, func(t *testing.T, host *typeOnHost) {
		observeType(t, host, func(w *watched) {
			time.Sleep(100 * time.Second)
			w.set(down)
			w.stop()
			w.after(t, 14*time.Second)
			w.after(t, 2*time.Second, "115: the server is down")
			w.after(t, time.Hour, "115: the server is down")
			w.set(up)
			w.recovers(t)
		})
	})
	inBothModes(t, func(t *testing.T, host *typeOnHost) {
		observeType(t, host, func(w *watched) {
			time.Sleep(100 * time.Second)
			w.set(down)
			w.stop()
			time.Sleep(2 * time.Second)
			w.set(up)
			w.after(t, time.Hour)
		})
	})
}

func TestASilenceIsToldWithItsCause(t *testing.T) {
	inBothModes(t, func(t *testing.T, host *typeOnHost) {
		host.hangs = true
		observeType(t, host, func(w *watched) {
			w.after(t, 14*time.Second)
			w.after(t, 7*time.Second, "20: "+errSilent.Error())
		})
	})
	t.Run("of a stream that was begun", func(t *testing.T) {
		observeType(t, &typeOnHost{streams: true, silent: true, probe: errWhy}, func(w *watched) {
			w.after(t, 14*time.Second)
			w.after(t, 2*time.Second, "15: "+errWhy.Error())
		})
	})
	t.Run("of a host that puts the stream off", func(t *testing.T) {
		host := &typeOnHost{streams: true, stream: errBusy, list: errBusy, watch: errBusy, probe: errWhy}
		observeType(t, host, func(w *watched) {
			w.after(t, 14*time.Second)
			w.after(t, 2*time.Second, "15: "+errWhy.Error())
			w.set(func(h *typeOnHost) { h.stream, h.list, h.watch, h.probe = nil, nil, nil, nil })
			w.recovers(t)
		})
	})
	t.Run("without another one than the silence", func(t *testing.T) {
		observeType(t, &typeOnHost{streams: true, silent: true}, func(w *watched) {
			w.after(t, 16*time.Second, "15: "+errSilent.Error())
		})
	})
}

func TestAListWithoutAWatchIsNotEnough(t *testing.T) {
	inBothModes(t, func(t *testing.T, host *typeOnHost) {
		forbidden := apierrors.NewForbidden(resource, "", errors.New("watching is not allowed"))
		host.watch, host.stream = forbidden, forbidden
		observeType(t, host, func(w *watched) {
			w.after(t, 14*time.Second)
			if !w.synced() {
				t.Error("what was listed is not known")
			}
			w.after(t, 2*time.Second, "15: "+forbidden.Error())
		})
	})
}

func TestAWatchThatIsNotAnsweredIsFineWhileTheHostListsObjects(t *testing.T) {
	observeType(t, &typeOnHost{}, func(w *watched) {
		time.Sleep(100 * time.Second)
		w.set(func(h *typeOnHost) { h.hangs = true })
		w.stop()
		time.Sleep(10 * time.Second)
		w.set(func(h *typeOnHost) { h.hangs = false }) // only the watch hangs by now
		w.after(t, time.Hour)
		w.set(func(h *typeOnHost) { h.probe = errWhy })
		w.after(t, 20*time.Second, "3715: "+errWhy.Error())
	})
}

func TestAnExpiredVersionIsNoFailure(t *testing.T) {
	inBothModes(t, func(t *testing.T, host *typeOnHost) {
		observeType(t, host, func(w *watched) {
			time.Sleep(100 * time.Second)
			w.mu.Lock()
			for _, watch := range w.watches {
				status := apierrors.NewResourceExpired("too old resource version").Status()
				watch.Error(&status)
			}
			w.mu.Unlock()
			w.after(t, time.Hour)
		})
	})
}

func TestAStreamThatEndsBeforeAllIsSentIsAFailure(t *testing.T) {
	observeType(t, &typeOnHost{streams: true, hasty: true}, func(w *watched) {
		w.after(t, 20*time.Second, "16: "+errEndedEarly.Error())
		w.set(func(h *typeOnHost) { h.hasty = false })
		w.recovers(t)
	})
}

func TestAConnectionThatIsLostBeforeAnAnswerIsAFailure(t *testing.T) {
	h := newHealth()
	closed := h.observe(func(context.Context, metav1.ListOptions) (watch.Interface, error) { return watch.NewEmptyWatch(), nil })
	w, err := closed(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, open := <-w.ResultChan(); open {
		t.Error("a lost connection brought an event")
	}
	if h.requests.watching || !errors.Is(h.requests.err, errNoWatch) {
		t.Errorf("a lost connection counts as a watch: %+v", h.requests)
	}
}

func TestTheSameFailureIsToldOnce(t *testing.T) {
	h := newHealth()
	first := errors.New("read tcp 127.0.0.1:40001->127.0.0.1:6443: connection reset by peer")
	for _, step := range []struct {
		failure error
		changed bool
		want    error
	}{
		{nil, false, nil},
		{first, true, first},
		{errors.New("read tcp 127.0.0.1:40002->127.0.0.1:6443: connection reset by peer"), false, first},
		{errDown, true, errDown},
		{nil, true, nil},
	} {
		if changed := h.set(step.failure); changed != step.changed || !errors.Is(h.err(), step.want) {
			t.Errorf("after %v: changed is %t, and it says %v", step.failure, changed, h.err())
		}
	}
}

func TestTheVerdictOnRequests(t *testing.T) {
	now := time.Unix(1000, 0)
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	conflict := &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusConflict, Message: "an error"}}
	for _, test := range []struct {
		name     string
		requests requests
		synced   bool
		failure  error
		unclear  bool
	}{
		{"a watch that is quiet", requests{watching: true}, true, nil, false},
		{"an informer that has just begun", requests{heard: now}, false, nil, false},
		{"its first list that fails", requests{heard: now, failing: now, err: conflict, refused: conflict}, false, conflict, false},
		{"its first list, which is put off", requests{heard: now, failing: now, err: errBusy, refused: errBusy}, false, nil, false},
		{"its first watch that fails", requests{heard: now, failing: now, err: conflict}, false, nil, false},
		{"an error of a type that was known", requests{heard: ago(14), failing: ago(14), err: conflict}, true, nil, false},
		{"one that lasts", requests{heard: ago(15), failing: ago(15), err: conflict}, true, conflict, false},
		{"one that lasts though lists bring something", requests{heard: now, failing: ago(15), err: conflict}, true, conflict, false},
		{"one that lasts and gives no cause", requests{heard: now, failing: ago(15), err: errBusy}, true, errBusy, true},
		{"a list that brings nothing", requests{heard: ago(15)}, false, nil, true},
		{"a long list that is being received", requests{heard: ago(60), answering: true}, false, nil, false},
		{"nothing since a watch ended", requests{heard: ago(15)}, true, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			unclear, failure := test.requests.verdict(now, test.synced)
			if !errors.Is(failure, test.failure) || (failure == nil) != (test.failure == nil) || unclear != test.unclear {
				t.Errorf("got %v, %t; want %v, %t", failure, unclear, test.failure, test.unclear)
			}
		})
	}
}

func TestARightThatIsGivenCountsWithinSeconds(t *testing.T) {
	errForbidden := apierrors.NewForbidden(resource, "", errors.New("this server may not"))
	for name, forbid := range map[string]func(*typeOnHost, error){
		"all rights":                func(h *typeOnHost, err error) { h.permitted = err },
		"the right to list":         func(h *typeOnHost, err error) { h.list, h.stream = err, err },
		"the right to watch, alone": func(h *typeOnHost, err error) { h.watch, h.stream = err, err },
	} {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, host *typeOnHost) {
				forbid(host, errForbidden)
				observeType(t, host, func(w *watched) {
					time.Sleep(10 * time.Minute) // the pauses of a reflector are long by then
					synctest.Wait()
					if err := w.health.err(); !apierrors.IsForbidden(err) {
						t.Errorf("it is told: %v", err)
					}
					w.set(func(h *typeOnHost) { forbid(h, nil) })
					w.recoversSoon(t)
				})
			})
		})
	}
}

func TestWhatIsMissingIsToldAtOnce(t *testing.T) {
	inBothModes(t, func(t *testing.T, host *typeOnHost) {
		host.permitted = apierrors.NewForbidden(resource, "", errors.New("this server may not get them"))
		observeType(t, host, func(w *watched) {
			w.after(t, time.Second, "0: "+host.permitted.Error())
		})
	})
}

func TestRightsThatAreNotKnownAreNotMissing(t *testing.T) {
	inBothModes(t, func(t *testing.T, host *typeOnHost) {
		host.permitted = errors.New("the host does not say")
		observeType(t, host, func(w *watched) {
			if w.after(t, time.Minute); !w.synced() {
				t.Error("objects are not known")
			}
		})
	})
}
