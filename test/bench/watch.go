package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// stall is how long nothing new may be seen before a phase is given up.
const stall = 3 * time.Minute

// watcher sees every change of a PediaCluster.
type watcher struct {
	watch *watchtools.RetryWatcher

	mu      sync.Mutex
	matches func(watch.EventType, *unstructured.Unstructured) bool
	left    int
	seen    map[string]bool
	done    chan time.Time
}

// watchPediaClusters watches from now on, until stop.
func (h *host) watchPediaClusters(ctx context.Context) (*watcher, error) {
	client := h.objects.Resource(pediaClusters)
	list, err := client.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	w := &watcher{}
	w.watch, err = watchtools.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, options)
		},
	})
	if err != nil {
		return nil, err
	}
	go func() {
		for event := range w.watch.ResultChan() {
			if object, ok := event.Object.(*unstructured.Unstructured); ok {
				w.saw(event.Type, object, time.Now())
			}
		}
	}()
	return w, nil
}

func (w *watcher) stop() { w.watch.Stop() }

func (w *watcher) saw(kind watch.EventType, object *unstructured.Unstructured, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == 0 || w.seen[object.GetName()] || !w.matches(kind, object) {
		return
	}
	w.seen[object.GetName()] = true
	if w.left--; w.left == 0 {
		w.done <- at
	}
}

// expect has the watcher look out for so many PediaClusters of which a change
// matches. It is told before that is brought about.
func (w *watcher) expect(count int, matches func(watch.EventType, *unstructured.Unstructured) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.matches, w.seen, w.done = count, matches, map[string]bool{}, make(chan time.Time, 1)
}

// wait returns when the last of them was seen.
func (w *watcher) wait(ctx context.Context, what string) (time.Time, error) {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	count, since := -1, time.Now()
	for {
		select {
		case at := <-w.done:
			return at, nil
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-w.watch.Done():
			return time.Time{}, fmt.Errorf("%s: the watch on PediaClusters has ended", what)
		case <-ticker.C:
			w.mu.Lock()
			seen, left := len(w.seen), w.left
			w.mu.Unlock()
			progress("  %s: %d of %d", what, seen, seen+left)
			if seen > count {
				count, since = seen, time.Now()
			}
			if time.Since(since) > stall {
				return time.Time{}, fmt.Errorf("%s: %d of %d PediaClusters were seen, and none more for %s", what, seen, seen+left, stall)
			}
		}
	}
}
