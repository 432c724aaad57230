package faults

import (
	"context"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// deletion is the end of a PediaCluster.
type deletion struct {
	name string
	uid  types.UID
	at   time.Time
}

// watcher sees every PediaCluster that goes, also one that went and came back
// while kube-apiserver was away.
type watcher struct {
	mu        sync.Mutex
	deletions []deletion
	informer  cache.SharedIndexInformer
}

// watchPediaClusters watches until the test ends.
func watchPediaClusters(t *testing.T, h *host) *watcher {
	t.Helper()
	w := &watcher{informer: dynamicinformer.NewDynamicSharedInformerFactory(h.objects, 0).ForResource(pediaClusters).Informer()}
	// That kube-apiserver goes away is what the test is about.
	must(t, w.informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {}))
	_, err := w.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(older, newer any) {
			if before := older.(metav1.Object); before.GetUID() != newer.(metav1.Object).GetUID() {
				w.deleted(before)
			}
		},
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			w.deleted(object.(metav1.Object))
		},
	})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.informer.RunWithContext(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	if !cache.WaitForCacheSync(ctx.Done(), w.informer.HasSynced) {
		t.Fatal("PediaClusters cannot be watched")
	}
	return w
}

func (w *watcher) deleted(object metav1.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deletions = append(w.deletions, deletion{object.GetName(), object.GetUID(), time.Now()})
}

// seen returns all deletions so far.
func (w *watcher) seen() []deletion {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]deletion(nil), w.deletions...)
}
