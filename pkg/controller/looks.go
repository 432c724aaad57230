package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
)

// looks remembers which looks at imports found all as it should be, and at what
// versions. Many events are echoes of what a look has just written or read: they
// need no other one. It also keeps the records that are left to be written.
type looks struct {
	mu   sync.Mutex
	last map[index.Import]*look
	// owed outlive the looks that left them: what they say, such as when
	// credentials changed, no other look can find out.
	owed map[index.Import]*record
}

// look is one look at an import.
type look struct {
	// found is nil while nothing is known of the result, or when there was
	// something left to do.
	found *found
}

// found is what a look found or wrote that left nothing to do but a record.
type found struct {
	// uid is that of the lifecycle, the others are resourceVersions.
	uid                             types.UID
	lifecycle, source, pediaCluster string
	// before is the version of the PediaCluster that the look began with, empty
	// for none: the informer may still have it.
	before string
	// seen is set when the informer has had the PediaCluster as it was left: what
	// it has after that is new, even what it had before, as on a restored host.
	seen bool
	// late is set when it has not, for some time.
	late    bool
	outcome *outcome
}

// isAs reports whether the informer has, in that version, what the look has left,
// or what it has replaced and the informer has not seen go.
func (f *found) isAs(pediaCluster string) bool {
	if pediaCluster == f.pediaCluster {
		f.seen = true
		return true
	}
	return !f.seen && pediaCluster == f.before
}

// recordDelay is how long looks may put off a record, one after the other. In the
// queue it has its turn after what is more urgent.
const recordDelay = time.Minute

// record is what a lifecycle should say of its import.
type record struct {
	// lifecycle is the one that the status was made from.
	lifecycle *policyv1alpha1.PediaClusterLifecycle
	spec      policyv1alpha1.PediaClusterLifecycleSpec
	status    policyv1alpha1.PediaClusterLifecycleStatus
	// since is when it, or the first of those that it replaces, was to be written.
	since time.Time
}

// mayWait reports whether the record may be written when nothing more urgent is
// left to do: the cluster is imported, and nothing else was said of it before.
// What a deletion is judged by does not wait.
func (r *record) mayWait() bool {
	before := r.lifecycle.Status
	return r.status.Phase == policyv1alpha1.LifecycleImported && (before.Phase == "" || before.Phase == r.status.Phase) &&
		before.SourceDefinition == r.status.SourceDefinition
}

// statusOf returns the status of a later generation, whose spec is what the
// status was made from.
func (r *record) statusOf(generation int64) policyv1alpha1.PediaClusterLifecycleStatus {
	status := *r.status.DeepCopy()
	status.ObservedGeneration = generation
	for i := range status.Conditions {
		if condition := &status.Conditions[i]; condition.ObservedGeneration == r.lifecycle.Generation {
			condition.ObservedGeneration = generation
		}
	}
	return status
}

// begin starts a look in place of the last one, and returns what that has found,
// nil when it has to be looked again. It comes before anything is read.
func (l *looks) begin(i index.Import) (begun *look, last *found) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[index.Import]*look{}
	}
	if before, ok := l.last[i]; ok {
		last = before.found
	}
	begun = &look{}
	l.last[i] = begun
	return begun, last
}

// end keeps what a look has found, nil for nothing, unless something happened
// meanwhile that it may not have seen. It reports whether it is kept.
func (l *looks) end(i index.Import, begun *look, found *found) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.last[i] != begun:
		return false
	case found == nil:
		delete(l.last, i)
		return false
	default:
		begun.found = found
		return true
	}
}

// owe keeps a record until it is written, in place of the one that is kept, and
// reports for how long one has been.
func (l *looks) owe(i index.Import, r *record, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.since = now
	if before, ok := l.owed[i]; ok && before.lifecycle.UID == r.lifecycle.UID {
		r.since = before.since
	}
	if l.owed == nil {
		l.owed = map[index.Import]*record{}
	}
	l.owed[i] = r
	return now.Sub(r.since)
}

// record returns what is left to be written of an import, nil for nothing.
func (l *looks) record(i index.Import) *record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owed[i]
}

// forget drops the record of an import of which nothing is left.
func (l *looks) forget(i index.Import) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.owed, i)
}

// waits reports whether the last look has left nothing but a record to be written.
func (l *looks) waits(i index.Import) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left(i) != nil
}

// left is what the last look has found, if it has left nothing but a record.
func (l *looks) left(i index.Import) *found {
	if last, ok := l.last[i]; ok && l.owed[i] != nil {
		return last.found
	}
	return nil
}

// written is called when the status of a lifecycle was written, or need not be any
// more.
func (l *looks) written(lifecycle *policyv1alpha1.PediaClusterLifecycle) {
	i := importOf(lifecycle)
	l.mu.Lock()
	defer l.mu.Unlock()
	if owed, ok := l.owed[i]; ok && owed.lifecycle.UID == lifecycle.UID {
		delete(l.owed, i)
	}
}

// isEcho reports whether an import, of which only a record is left to be written,
// is with that version of its PediaCluster as the last look left it.
func (l *looks) isEcho(i index.Import, pediaCluster string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.left(i)
	return left != nil && left.isAs(pediaCluster)
}

// late returns the imports whose PediaCluster the informer has not had as it was
// left since before the last call. One that is created and deleted while its
// watch is broken never comes, and no event says so.
func (l *looks) late() (late []index.Import) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, last := range l.last {
		switch left := last.found; {
		case left == nil || left.seen:
		case left.late:
			late = append(late, i)
		default:
			left.late = true
		}
	}
	return late
}

// void has the import looked at again, whatever the last look, or the one that
// is under way, finds.
func (l *looks) void(i index.Import) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.last, i)
}

// voidAll does so for every import.
func (l *looks) voidAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = nil
}

// isAs reports whether the import is as the last look left it.
func (w *importWork) isAs(last *found) bool {
	return last != nil && !w.fresh && len(w.lifecycles) == 1 && w.lifecycles[0].UID == last.uid &&
		w.lifecycles[0].ResourceVersion == last.lifecycle && w.objectsAreAs(last, w.lifecycles[0].Name)
}

// objectsAreAs reports whether Source and PediaCluster are as a look left them.
func (w *importWork) objectsAreAs(left *found, pediaCluster string) bool {
	return left.isAs(w.objects.ResourceVersion(pediaClusters, "", pediaCluster)) &&
		w.objects.ResourceVersion(w.state.sources, w.Namespace, w.Name) == left.source
}

// catchUp writes the record that the last look has left, if it has left one.
func (w *importWork) catchUp(ctx context.Context, last *found) error {
	record := w.looks.record(w.Import)
	if record == nil {
		return nil
	}
	updated, err := w.keep(ctx, w.lifecycles[0], record)
	if err != nil {
		return err
	}
	last.lifecycle = updated.ResourceVersion
	w.policies.worked(w.Import, last.outcome)
	return nil
}

// said is what a lifecycle says of its import, or would if it had been written.
func (c *importController) said(lifecycle *policyv1alpha1.PediaClusterLifecycle) policyv1alpha1.PediaClusterLifecycleStatus {
	if owed := c.looks.record(importOf(lifecycle)); owed != nil && owed.lifecycle.UID == lifecycle.UID {
		return owed.status
	}
	return lifecycle.Status
}
