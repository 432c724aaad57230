package lifecycles

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

const (
	// writers is how many pending records are written at a time.
	writers = 2
	// longestPending is how long a record may be pending.
	longestPending = time.Minute
	// busyPeriod is how often a writer that yields checks whether there still is more urgent work.
	busyPeriod = 50 * time.Millisecond
)

// Record is what a lifecycle should say of its import.
type Record struct {
	Spec policyv1alpha1.PediaClusterLifecycleSpec
	// Status speaks of Generation; a spec that changes makes a later one of it.
	Status     policyv1alpha1.PediaClusterLifecycleStatus
	Generation int64
}

// statusOf is the status of a later generation, whose spec is what the status was made
// from.
func (r *Record) statusOf(generation int64) policyv1alpha1.PediaClusterLifecycleStatus {
	status := *r.Status.DeepCopy()
	status.ObservedGeneration = generation
	for i := range status.Conditions {
		if condition := &status.Conditions[i]; condition.ObservedGeneration == r.Generation {
			condition.ObservedGeneration = generation
		}
	}
	return status
}

// pending is a record that is still to be written.
type pending struct {
	Record
	// since is when it, or the first of those that it replaces, was recorded.
	since time.Time
}

// on is the lifecycle as it will read when the record is written.
func (p *pending) on(stored *Lifecycle) *Lifecycle {
	shown := *stored // the copy shares what is not replaced; nobody changes either
	shown.Spec, shown.Status = p.Spec, p.Status
	return &shown
}

// isBeneath reports whether the lifecycle that the informer shows differs from the one
// that the pending record was made from in nothing but metadata.
func (e *entry) isBeneath(shown *Lifecycle) bool {
	return e.pending != nil && e.stored != nil && shown.UID == e.stored.UID && shown.DeletionTimestamp == nil &&
		equality.Semantic.DeepEqual(shown.Spec, e.stored.Spec) && equality.Semantic.DeepEqual(shown.Status, e.stored.Status)
}

// writes reports whether the lifecycle that the informer shows is what the pending record makes
// of the one that is stored.
func (e *entry) writes(shown *Lifecycle) bool {
	return e.pending != nil && e.stored != nil && shown.UID == e.stored.UID && e.pending.isStored(shown)
}

// writer writes pending records, the oldest first.
type writer struct {
	queue workqueue.TypedRateLimitingInterface[string]
	// recorded is called with a lifecycle before and after a record of it was written, and
	// whether that was written behind.
	recorded func(before, now *Lifecycle, behind bool)
}

// OnRecorded has a function called with a lifecycle before and after a record of it was
// written; behind says whether its pass had left it to be written later. It is to be set
// before anything is recorded.
func (s *Store) OnRecorded(recorded func(before, now *Lifecycle, behind bool)) { s.recorded = recorded }

// HasPending reports whether a record is still to be written under the name.
func (s *Store) HasPending(name string) bool {
	_, p := s.pendingOf(name)
	return p != nil
}

// Waiting is how many records wait to be written behind.
func (s *Store) Waiting() int { return s.queue.Len() }

func newWriter() writer {
	return writer{recorded: func(*Lifecycle, *Lifecycle, bool) {}, queue: workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 30*time.Second),
		workqueue.TypedRateLimitingQueueConfig[string]{Name: "lifecycle-records"})}
}

// errStale says that a record was made from a version that is not the latest.
var errStale = errors.New("the lifecycle has changed meanwhile")

// Record has a lifecycle say what became of its import: now if it is urgent, otherwise
// when there is nothing more urgent to do. Reads see it at once. It returns the lifecycle as
// it reads then. When a write fails the record stays pending, and is tried again.
func (s *Store) Record(ctx context.Context, lifecycle *Lifecycle, record Record, urgent bool) (*Lifecycle, error) {
	overdue, err := s.markPending(lifecycle, record)
	if err != nil {
		return nil, err
	}
	if urgent || overdue {
		if err := s.flush(ctx, lifecycle.Name, false); err != nil {
			return nil, err
		}
	}
	return s.Get(lifecycle.Name), nil
}

// markPending makes a record pending, and reports whether one has been for too long. A
// lifecycle that says so already needs none.
func (s *Store) markPending(lifecycle *Lifecycle, record Record) (overdue bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncOverlay(lifecycle.Name)
	e, shown := s.overlay[lifecycle.Name], s.shown(lifecycle.Name)
	switch {
	case e == nil && (shown == nil || shown.UID != lifecycle.UID || shown.ResourceVersion != lifecycle.ResourceVersion):
		return false, errStale
	case e == nil:
		e = &entry{stored: shown, shown: shown, version: lifecycle.ResourceVersion}
	case e.stored == nil || e.stored.UID != lifecycle.UID || e.version != lifecycle.ResourceVersion:
		return false, errStale
	}
	p := &pending{Record: record, since: s.clock.Now()}
	switch {
	case p.isStored(e.stored):
		if s.overlay[lifecycle.Name] != nil {
			e.pending, e.shown = nil, e.stored
			s.trim(lifecycle.Name)
		}
		return false, nil
	case e.pending != nil:
		p.since = e.pending.since
	}
	e.pending, e.shown, e.written = p, p.on(e.stored), s.clock.Now()
	s.overlay[lifecycle.Name] = e
	s.queue.Add(lifecycle.Name)
	return s.clock.Since(p.since) > longestPending, nil
}

// isStored reports whether the lifecycle says already what the record does.
func (p *pending) isStored(stored *Lifecycle) bool {
	return equality.Semantic.DeepEqual(stored.Spec, p.Spec) &&
		equality.Semantic.DeepEqual(stored.Status, p.statusOf(stored.Generation))
}

// written is the lifecycle as the record has it written.
func (p *pending) written(stored *Lifecycle) *Lifecycle {
	generation := stored.Generation
	if !equality.Semantic.DeepEqual(stored.Spec, p.Spec) {
		generation++
	}
	changed := stored.DeepCopy()
	changed.Spec, changed.Status = p.Spec, p.statusOf(generation)
	return changed
}

// flush writes the record that is pending under a name.
func (s *Store) flush(ctx context.Context, name string, behind bool) error {
	defer s.names.lock(name)()
	stored, p := s.pendingOf(name)
	if p == nil {
		return nil
	}
	if !p.isStored(stored) {
		updated, err := s.storage.Update(ctx, p.written(stored))
		if err != nil {
			return fmt.Errorf("writing the lifecycle: %w", err)
		}
		s.recorded(stored, updated, behind)
		stored = updated
	}
	s.wrote(stored, p)
	return nil
}

func (s *Store) pendingOf(name string) (stored *Lifecycle, p *pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncOverlay(name)
	if e := s.overlay[name]; e != nil && e.pending != nil {
		return e.stored, e.pending
	}
	return nil, nil
}

// Run writes pending records until the context ends. While busy reports more urgent work,
// only those are written that have been pending for long. Records that are pending when it
// returns are lost with the term: the next one makes them again from what it reads.
func (s *Store) Run(ctx context.Context, busy func() bool) {
	defer context.AfterFunc(ctx, s.queue.ShutDown)()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for {
				name, shutdown := s.queue.Get()
				if shutdown {
					return
				}
				s.yield(ctx, name, busy)
				s.writeBehind(ctx, name)
			}
		})
	}
	wg.Wait()
}

// yield waits while there is more urgent work than the record of that name.
func (s *Store) yield(ctx context.Context, name string, busy func() bool) {
	for busy() && ctx.Err() == nil {
		if _, p := s.pendingOf(name); p == nil || s.clock.Since(p.since) > longestPending {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(busyPeriod):
		}
	}
}

func (s *Store) writeBehind(ctx context.Context, name string) {
	defer s.queue.Done(name)
	err := s.flush(ctx, name, true)
	if err == nil {
		s.queue.Forget(name)
		return
	}
	if ctx.Err() == nil {
		// A conflict ends when the informer shows the version that came in between.
		klog.FromContext(ctx).V(4).Info("Writing a record later", "lifecycle", klog.KRef("", name), "err", err)
		s.queue.AddRateLimited(name)
	}
}
