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

// begin starts a look in place of the last one.
func (l *looks) begin(i index.Import) *look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[index.Import]*look{}
	}
	begun := &look{}
	l.last[i] = begun
	return begun
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

// recorded says that the record is written.
func (l *looks) recorded(found *found, generation int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found.record, found.generation = nil, generation
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

// get returns what the last look found, nil when it has to be looked again.
func (l *looks) get(i index.Import) *found {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[i]; ok {
		return last.found
	}
	return nil
}

// same returns what the last look found if the import is as it left it, nil
// otherwise.
func (w *importWork) same() *found {
	found := w.looks.get(w.Import)
	if found == nil || w.fresh || len(w.lifecycles) != 1 || w.lifecycles[0].UID != found.lifecycle || w.lifecycles[0].Generation > found.generation ||
		w.objects.ResourceVersion(w.state.sources, w.Namespace, w.Name) != found.source {
		return nil
	}
	pediaCluster := w.objects.ResourceVersion(pediaClusters, "", w.lifecycles[0].Name)
	if pediaCluster == found.pediaCluster {
		found.seen = true
		return found
	}
	// Until the informer has seen what was written there is nothing new.
	if found.seen || !older(pediaCluster, found.pediaCluster) {
		return nil
	}
	return found
}

// catchUp writes the record that the last look has left, if it has left one.
func (c *importController) catchUp(ctx context.Context, i index.Import, found *found) error {
	if found.record == nil {
		return nil
	}
	updated, err := c.keep(ctx, found.record)
	if err != nil {
		c.looks.void(i)
		return err
	}
	c.looks.recorded(found, updated.Generation)
	c.policies.worked(i, found.outcome)
	return nil
}

// older reports whether a version that an informer has, empty for none yet, is
// older than one that is known.
func older(version, known string) bool {
	order, err := resourceversion.CompareResourceVersion(version, known)
	return version == "" || err == nil && order < 0
}
