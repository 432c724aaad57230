package controller

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

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
	seen bool
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
// meanwhile that it may not have seen.
func (l *looks) end(i index.Import, begun *look, found *found) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.last[i] != begun:
	case found == nil:
		delete(l.last, i)
	default:
		begun.found = found
	}
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

// same reports whether the import is as the last look left it.
func (w *importWork) same() bool {
	found := w.looks.get(w.Import)
	if found == nil || w.fresh || len(w.lifecycles) != 1 || w.lifecycles[0].UID != found.lifecycle || w.lifecycles[0].Generation > found.generation ||
		w.objects.ResourceVersion(w.state.sources, w.Namespace, w.Name) != found.source {
		return false
	}
	pediaCluster := w.objects.ResourceVersion(pediaClusters, "", w.lifecycles[0].Name)
	if pediaCluster == found.pediaCluster {
		found.seen = true
		return true
	}
	// Until the informer has seen what was written there is nothing new.
	return !found.seen && older(pediaCluster, found.pediaCluster)
}

// older reports whether a version that an informer has, empty for none yet, is
// older than one that is known.
func older(version, known string) bool {
	order, err := resourceversion.CompareResourceVersion(version, known)
	return version == "" || err == nil && order < 0
}
