package controller

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
)

// looks remembers which looks at imports found all as it should be, and at what
// versions. Many events are echoes of what a look has just written or read: they
// need no other one.
type looks struct {
	mu   sync.Mutex
	last map[index.Import]*look
}

// look is one look at an import.
type look struct {
	// found is nil while nothing is known of the result, or when there was
	// something left to do.
	found *found
}

// found is what a look found or wrote that left nothing to do.
type found struct {
	lifecycle  types.UID
	generation int64
	// source and pediaCluster are resourceVersions.
	source, pediaCluster string
	// seen is set when the informer had the PediaCluster in that version: what is
	// older after that is new all the same, such as the host's restored state.
	seen    bool
	outcome *outcome
	// record is left to be written, nil when it was.
	record *record
}

// record is what a lifecycle should say of its import.
type record struct {
	// lifecycle is the one that the status was made from.
	lifecycle *policyv1alpha1.PediaClusterLifecycle
	spec      policyv1alpha1.PediaClusterLifecycleSpec
	status    policyv1alpha1.PediaClusterLifecycleStatus
}

// mayWait reports whether the record may be written when nothing more urgent is
// left to do: it says what it said before, of a cluster that was imported.
func (r *record) mayWait() bool {
	return r.lifecycle.Status.Phase == policyv1alpha1.LifecycleImported && r.status.Phase == r.lifecycle.Status.Phase &&
		r.status.SourceDefinition == r.lifecycle.Status.SourceDefinition
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

// postponed reports whether the last look has left a record to be written.
func (l *looks) postponed(i index.Import) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, ok := l.last[i]
	return ok && last.found != nil && last.found.record != nil
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
	if last == nil || w.fresh || len(w.lifecycles) != 1 || w.lifecycles[0].UID != last.lifecycle || w.lifecycles[0].Generation > last.generation ||
		w.objects.ResourceVersion(w.state.sources, w.Namespace, w.Name) != last.source {
		return false
	}
	pediaCluster := w.objects.ResourceVersion(pediaClusters, "", w.lifecycles[0].Name)
	if pediaCluster == last.pediaCluster {
		last.seen = true
		return true
	}
	// Until the informer has seen what was written there is nothing new.
	return !last.seen && older(pediaCluster, last.pediaCluster)
}

// catchUp writes the record that the last look has left, if it has left one.
func (c *importController) catchUp(ctx context.Context, i index.Import, last *found) error {
	if last.record == nil {
		return nil
	}
	updated, err := c.keep(ctx, last.record)
	if err != nil {
		return err
	}
	last.record, last.generation = nil, updated.Generation
	c.policies.worked(i, last.outcome)
	return nil
}

// older reports whether a version that an informer has, empty for none yet, is
// older than one that is known.
func older(version, known string) bool {
	order, err := resourceversion.CompareResourceVersion(version, known)
	return version == "" || err == nil && order < 0
}
