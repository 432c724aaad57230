package hostobjects

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"regexp"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// patience is how long requests may fail, or a list may bring nothing, before
	// objects count as unavailable. It outlasts the restart of an API server.
	patience = 15 * time.Second
	// checkPeriod is how often it is checked whether patience is over.
	checkPeriod = time.Second
	// probeTimeout bounds the request that asks for the cause of a silence.
	probeTimeout = 5 * time.Second
)

var (
	errSilent     = fmt.Errorf("the host has not responded within %s", patience)
	errEndedEarly = errors.New("the host closed the connection before it had sent all objects")
	errNoWatch    = errors.New("the connection was closed before the host responded")
)

// requests is what the lists and watches of one informer have come to.
type requests struct {
	// watching is set while a watch tells of changes. All objects were listed
	// before it.
	watching bool
	// answering is set while the answer to a list is being received.
	answering bool
	// heard is when a list last brought something, the last watch ended, or the
	// informer began.
	heard time.Time
	// failing is when the first request failed since then, zero if none did.
	failing time.Time
	// err is the error of the last one that failed.
	err error
	// refused is the error of the last list, nil if it succeeded.
	refused error
}

func (r *requests) watches() { *r = requests{watching: true} }

func (r *requests) failed(now time.Time, err error) {
	if isExpired(err) {
		return // a list follows
	}
	if r.failing.IsZero() {
		r.failing = now
	}
	r.err = err
}

// verdict tells whether objects are unavailable. While nothing is known of them,
// the error of a list is told at once. When unclear is set, the requests do not
// tell the cause, and failure is the best that is known of it.
func (r *requests) verdict(now time.Time, synced bool) (unclear bool, failure error) {
	switch {
	case r.watching:
		return false, nil
	case !synced && r.refused != nil && !isBusy(r.refused):
		return false, r.refused
	case !r.failing.IsZero() && now.Sub(r.failing) >= patience:
		return isBusy(r.err), r.err
	case !r.answering && now.Sub(r.heard) >= patience:
		return true, r.err
	default:
		return false, nil
	}
}

// cause is the failure to tell when the requests do not tell it: answer is that
// of another list.
func cause(failure, answer error, synced bool) error {
	switch {
	case answer != nil:
		return answer
	case failure != nil:
		return failure
	case synced:
		return nil // the host lets objects be listed, and a quiet watch need not be answered
	default:
		return errSilent
	}
}

// isExpired reports whether the host has forgotten the version that was asked
// for, or does not have it yet: the next list asks for another one.
func isExpired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) ||
		apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}

// isBusy reports whether the host puts a request off. It does so as long as the
// objects cannot be read from etcd, and does not say why.
func isBusy(err error) bool { return apierrors.IsTooManyRequests(err) }

// health knows whether the host lets the objects of one informer be listed and
// watched, and if not, why. It observes the requests of the informer, because an informer
// that has synced once does not report that its watch fails. Use newHealth.
type health struct {
	wake chan struct{}

	mu       sync.Mutex
	requests requests
	// watch is the number of the last watch.
	watch   int
	failure error
}

func newHealth() *health {
	return &health{wake: make(chan struct{}, 1), requests: requests{heard: time.Now()}}
}

// err is why objects cannot be listed or watched, nil while they can.
func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failure
}

func (h *health) note(f func(*requests)) {
	h.mu.Lock()
	f(&h.requests)
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *health) heard() {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests.heard = now
}

// supervise finds out, until the context ends, whether objects can be listed and
// watched, and calls changed when that has changed. It asks probe for the cause
// if requests do not tell it.
func (h *health) supervise(ctx context.Context, synced func() bool, probe func(context.Context) error, changed func()) {
	ticker := time.NewTicker(checkPeriod)
	defer ticker.Stop()
	var answer error
	var asked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-ticker.C:
		}
		if unclear, _ := h.verdict(synced()); unclear && time.Since(asked) >= patience {
			answer = ask(ctx, probe)
			asked = time.Now()
		}
		unclear, failure := h.verdict(synced()) // it may have answered meanwhile
		if unclear {
			failure = cause(failure, answer, synced())
		}
		if h.set(failure) && ctx.Err() == nil {
			logFailure(ctx, failure)
			changed()
		}
	}
}

func (h *health) verdict(synced bool) (unclear bool, failure error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests.verdict(time.Now(), synced)
}

// set reports whether the failure is another one than before.
func (h *health) set(failure error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if message(h.failure) == message(failure) {
		return false
	}
	h.failure = failure
	return true
}

// sourceAddress differs each time that the same thing happens to a connection.
var sourceAddress = regexp.MustCompile(`\S+->`)

func message(err error) string {
	if err == nil {
		return ""
	}
	return sourceAddress.ReplaceAllString(err.Error(), "")
}

func logFailure(ctx context.Context, failure error) {
	if failure == nil {
		klog.FromContext(ctx).Info("Objects of the host can be listed and watched again")
		return
	}
	klog.FromContext(ctx).Error(failure, "Objects of the host cannot be listed and watched")
}

// ask returns the error of a request, or that there is no answer.
func ask(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := request(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errSilent
	}
	return err
}

// list is a list function that reports what becomes of it.
func (h *health) list(list cache.ListWithContextFunc) cache.ListWithContextFunc {
	return func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		objects, err := list(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GotFirstResponseByte: func() { h.note(func(r *requests) { r.answering = true }) },
		}), options)
		h.note(func(r *requests) {
			r.answering, r.refused = false, nil
			switch {
			case err == nil:
				r.heard = time.Now()
			case ctx.Err() == nil:
				r.failed(time.Now(), err)
				r.refused = r.err
			}
		})
		return objects, err
	}
}

// refuse reports that a list was not sent, since the host forbids it.
func (h *health) refuse(err error) {
	h.note(func(r *requests) {
		r.failed(time.Now(), err)
		r.refused = err
	})
}

// observe is a watch function that reports what becomes of it. A watch that
// begins with a list tells of changes once that is complete, others at once.
func (h *health) observe(begin cache.WatchFuncWithContext) cache.WatchFuncWithContext {
	return func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		lists := options.SendInitialEvents != nil && *options.SendInitialEvents
		w, err := begin(ctx, options)
		switch {
		case err == nil:
			return h.follow(ctx, w, lists), nil
		case !lists && ctx.Err() == nil:
			// A list follows one that was to begin with a list: its answer counts.
			h.note(func(r *requests) { r.failed(time.Now(), err) })
		}
		return w, err
	}
}

func (h *health) follow(ctx context.Context, w watch.Interface, lists bool) watch.Interface {
	h.mu.Lock()
	h.watch++
	number := h.watch
	h.mu.Unlock()
	o := &observedWatch{
		Interface: w,
		result:    make(chan watch.Event),
		stopped:   make(chan struct{}),
		note: func(f func(*requests)) {
			h.note(func(r *requests) {
				if h.watch == number && ctx.Err() == nil {
					f(r)
				}
			})
		},
		heard: h.heard,
		lists: lists,
	}
	go o.run()
	return o
}

// observedWatch passes the events of a watch on and reports what they say of
// the requests of an informer.
type observedWatch struct {
	watch.Interface
	result  chan watch.Event
	stopped chan struct{}
	stop    sync.Once
	note    func(func(*requests))
	heard   func()
	// lists is set until all objects that exist have been sent.
	lists bool
}

// ResultChan implements watch.Interface.
func (o *observedWatch) ResultChan() <-chan watch.Event { return o.result }

// Stop implements watch.Interface.
func (o *observedWatch) Stop() {
	o.stop.Do(func() { close(o.stopped) })
	o.Interface.Stop()
}

func (o *observedWatch) run() {
	defer close(o.result)
	events := o.Interface.ResultChan()
	if !o.lists {
		select {
		case event, open := <-events:
			if !open {
				// The client returns a closed watch when the connection was lost
				// before there was an answer.
				o.ended(errNoWatch)
				return
			}
			o.note((*requests).watches)
			if !o.pass(event) {
				return
			}
		default:
			o.note((*requests).watches)
		}
	}
	for event := range events {
		if !o.pass(event) {
			return
		}
	}
	select {
	case <-o.stopped:
		o.ended(nil)
	default:
		if o.lists {
			o.ended(errEndedEarly)
			return
		}
		o.ended(nil)
	}
}

// pass passes an event on, unless the watch was stopped.
func (o *observedWatch) pass(event watch.Event) bool {
	o.seen(event)
	select {
	case o.result <- event:
		return true
	case <-o.stopped:
		o.ended(nil)
		return false
	}
}

func (o *observedWatch) seen(event watch.Event) {
	switch {
	case event.Type == watch.Error:
		o.ended(apierrors.FromObject(event.Object))
	case !o.lists:
	case endsList(event):
		o.lists = false
		o.note((*requests).watches)
	default:
		o.heard()
	}
}

// ended reports that the watch is over, and the error if it failed.
func (o *observedWatch) ended(err error) {
	o.note(func(r *requests) {
		now := time.Now()
		if r.watching {
			r.watching, r.heard = false, now
		}
		if err != nil {
			r.failed(now, err)
		}
	})
}

// endsList reports whether the event says that all objects have been sent.
func endsList(event watch.Event) bool {
	if event.Type != watch.Bookmark {
		return false
	}
	object, err := meta.Accessor(event.Object)
	return err == nil && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}
