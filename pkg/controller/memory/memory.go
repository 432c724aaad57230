// Package memory remembers imports between their passes: one struct for each, created
// when there is something to remember and dropped when nothing is left of the import.
//
// It also knows which imports are concerned when something changes: who reads an object,
// and who waits for a name that another import has. An event so costs the work of the
// imports that it concerns, never a pass over all.
//
// It imports nothing of this project. The import controller writes it during a pass, and
// event handlers read and invalidate.
package memory

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Import is one Source under one policy.
type Import struct {
	Policy string
	// Namespace and Name of the Source; its type is the policy's.
	Namespace, Name string
}

// Object is an object that imports read, in whatever version.
type Object struct {
	schema.GroupResource
	Namespace, Name string
}

// Memory is safe for concurrent use. Use New.
type Memory struct {
	mu      sync.RWMutex
	imports map[Import]*entry
	// readers and waiters are the imports by what they read and by the name that they
	// wait for; reserved is the import that a name is reserved for.
	readers  map[Object]*set
	waiters  map[string]*set
	reserved map[string]Import
}

// entry is all that is remembered of one import.
type entry struct {
	// reads are the objects that the import reads, whether they exist or not.
	reads []Object
	// waitsFor is the name that it would have if another import did not have it.
	waitsFor string
	// reserves are the names that are reserved for it while its lifecycle is replaced.
	reserves []string
	// deletionSeen is set when the deletion of its Source was observed.
	deletionSeen bool
	// changed is since when a change of its Source or of a reference waits to be written.
	changed time.Time
	// pass is the last one that has begun. An event that it may not have seen ends it.
	pass *Pass
}

// Pass is one pass over an import.
type Pass struct {
	// settled is what it left, nil while it is under way or when something is left to do.
	settled *Settled
	// rewritten is how its record has changed the version of the lifecycle meanwhile.
	rewritten *rewrite
}

// rewrite is another version of a lifecycle.
type rewrite struct{ before, now string }

// Settled are the versions of the inputs of a pass that left nothing to do.
type Settled struct {
	// Lifecycle is UID and resourceVersion of the lifecycle, Source and PediaCluster are
	// resourceVersions.
	Lifecycle, Source, PediaCluster string
	// Parts is a digest of all that matters of the Source, empty when any change of it does.
	Parts string
	// Types identifies the types of the references that the pass has read, 0 when these were not
	// those of one revision.
	Types uint64
	// Before is the resourceVersion of the PediaCluster that the pass began with, empty for
	// none: the informer may still show it.
	Before string

	// shown is set when the informer has shown the PediaCluster as it was left: what it
	// shows after that is new, even Before, as on a host that was restored.
	shown bool
	// overdue is set when it has not, for some time.
	overdue bool
}

// New returns an empty memory.
func New() *Memory {
	return &Memory{imports: map[Import]*entry{}, readers: map[Object]*set{}, waiters: map[string]*set{}, reserved: map[string]Import{}}
}

// of returns the entry of an import, a new one if there is none. The lock is held.
func (m *Memory) of(i Import) *entry {
	e, ok := m.imports[i]
	if !ok {
		e = &entry{}
		m.imports[i] = e
	}
	return e
}

// AddRead says that an import is about to read an object. Said before the object is read,
// it makes sure that no change of it is missed.
func (m *Memory) AddRead(i Import, object Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.of(i)
	if !slices.Contains(e.reads, object) {
		e.reads = append(slices.Clone(e.reads), object)
		add(m.readers, object, i)
	}
}

// SetReads says which objects an import reads, and that it reads no others.
func (m *Memory) SetReads(i Import, objects []Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setReads(i, m.of(i), objects)
}

func (m *Memory) setReads(i Import, e *entry, objects []Object) {
	if slices.Equal(e.reads, objects) {
		return
	}
	for _, object := range e.reads {
		remove(m.readers, object, i)
	}
	for _, object := range objects {
		add(m.readers, object, i)
	}
	e.reads = objects
}

// Readers returns the imports that read the object.
func (m *Memory) Readers(object Object) []Import {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.readers[object].list()
}

// WaitFor says which name an import would have if another one did not have it; empty for
// none. It returns the names whose waiters have changed.
func (m *Memory) WaitFor(i Import, name string) (changed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waitFor(i, m.of(i), name)
}

func (m *Memory) waitFor(i Import, e *entry, name string) (changed []string) {
	if e.waitsFor == name {
		return nil
	}
	if e.waitsFor != "" {
		remove(m.waiters, e.waitsFor, i)
		changed = append(changed, e.waitsFor)
	}
	if name != "" {
		add(m.waiters, name, i)
		changed = append(changed, name)
	}
	e.waitsFor = name
	return changed
}

// Waiters returns the imports that wait for the name.
func (m *Memory) Waiters(name string) []Import {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.waiters[name].list()
}

// Reserve reserves a name for an import while its lifecycle is replaced, so that no waiter
// gets between.
func (m *Memory) Reserve(name string, i Import) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if holder, ok := m.reserved[name]; ok {
		e := m.of(holder)
		e.reserves = slices.DeleteFunc(e.reserves, func(other string) bool { return other == name })
	}
	m.reserved[name] = i
	e := m.of(i)
	e.reserves = append(e.reserves, name)
}

// ReservedFor returns the import that the name is reserved for.
func (m *Memory) ReservedFor(name string) (Import, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i, ok := m.reserved[name]
	return i, ok
}

// Unreserve ends the reservations of an import, and returns the names.
func (m *Memory) Unreserve(i Import) (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.imports[i]; ok {
		names = m.unreserve(e)
	}
	return names
}

func (m *Memory) unreserve(e *entry) (names []string) {
	names, e.reserves = e.reserves, nil
	for _, name := range names {
		delete(m.reserved, name)
	}
	return names
}

// SetDeletionSeen says whether the deletion of the Source was observed.
func (m *Memory) SetDeletionSeen(i Import, seen bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.imports[i]; ok || seen {
		if e == nil {
			e = m.of(i)
		}
		e.deletionSeen = seen
	}
}

// DeletionSeen reports whether the deletion of the Source was observed.
func (m *Memory) DeletionSeen(i Import) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	e, ok := m.imports[i]
	return ok && e.deletionSeen
}

// Change says that a change waits to be written since then, unless an earlier one does.
// The zero time says nothing.
func (m *Memory) Change(i Import, since time.Time) {
	if since.IsZero() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.of(i); e.changed.IsZero() || since.Before(e.changed) {
		e.changed = since
	}
}

// TakeChange returns since when a change waits, and forgets it. It is zero when none does.
func (m *Memory) TakeChange(i Import) (since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.imports[i]; ok {
		since, e.changed = e.changed, time.Time{}
	}
	return since
}

// Begin begins a pass, and returns what the last one left, nil when something may be left
// to do. It comes before anything is read.
func (m *Memory) Begin(i Import) (begun *Pass, last *Settled) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.of(i)
	if e.pass != nil {
		last = e.pass.settled
	}
	begun = &Pass{}
	e.pass = begun
	return begun, last
}

// End ends a pass that left nothing to do at these versions, nil when it did. An event that
// the pass may not have seen invalidates what it left.
func (m *Memory) End(i Import, begun *Pass, settled *Settled) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.imports[i]; ok && e.pass == begun {
		if settled != nil && begun.rewritten != nil && settled.Lifecycle == begun.rewritten.before {
			settled.Lifecycle = begun.rewritten.now
		}
		begun.settled = settled
	}
}

// Rewritten says that the record which the last pass left to be written is stored, and has made
// another version of the lifecycle.
func (m *Memory) Rewritten(i Import, before, now string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e := m.imports[i]; {
	case e == nil || e.pass == nil:
	case e.pass.settled == nil: // the pass has not ended yet
		e.pass.rewritten = &rewrite{before, now}
	case e.pass.settled.Lifecycle == before:
		e.pass.settled.Lifecycle = now
	}
}

// Invalidate has the next pass over the import do all its work, and the one that is under
// way count for nothing.
func (m *Memory) Invalidate(i Import) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.imports[i]; ok {
		e.pass = nil
	}
}

// IsSettled reports whether the last pass left nothing to do, and the PediaCluster in that
// version.
func (m *Memory) IsSettled(i Import, pediaCluster string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.imports[i]
	return ok && e.pass != nil && e.pass.settled != nil && e.pass.settled.matchesShown(pediaCluster)
}

// Matches reports whether the versions are those that a pass left.
func (m *Memory) Matches(left *Settled, now Settled) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return left != nil && left.Lifecycle == now.Lifecycle && left.Source == now.Source && left.matchesShown(now.PediaCluster)
}

// MatchesButForSource reports whether the versions are those that a pass left, but for that of a
// Source whose Parts are the same. If so, what the pass left is updated to the new version.
func (m *Memory) MatchesButForSource(left *Settled, now Settled) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if left == nil || left.Parts == "" || left.Parts != now.Parts || left.Lifecycle != now.Lifecycle || !left.matchesShown(now.PediaCluster) {
		return false
	}
	left.Source = now.Source
	return true
}

// Observe notes which version of the PediaCluster the informer shows before the pass ends: it may be
// the one that the pass has left, and then no event says so.
func (s *Settled) Observe(pediaCluster string) { s.matchesShown(pediaCluster) }

// matchesShown reports whether the informer shows the PediaCluster as it was left, or as it was
// before, as long as it has not shown it as it was left. It notes when it has.
func (s *Settled) matchesShown(pediaCluster string) bool {
	if pediaCluster == s.PediaCluster {
		s.shown = true
		return true
	}
	return !s.shown && pediaCluster == s.Before
}

// Overdue returns the imports whose PediaCluster the informer has not shown as it was left
// since before the last call. One that is created and deleted while its watch is broken is
// never shown, and no event says so.
func (m *Memory) Overdue() (overdue []Import) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, e := range m.imports {
		if e.pass == nil || e.pass.settled == nil || e.pass.settled.shown {
			continue
		}
		if e.pass.settled.overdue {
			overdue = append(overdue, i)
		}
		e.pass.settled.overdue = true
	}
	return overdue
}

// Forget drops what is remembered of an import of which nothing is left, and returns the
// names that others may have now.
func (m *Memory) Forget(i Import) (freed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.imports[i]
	if !ok {
		return nil
	}
	m.setReads(i, e, nil)
	freed = append(m.waitFor(i, e, ""), m.unreserve(e)...)
	delete(m.imports, i)
	return freed
}

func add[K comparable](sets map[K]*set, key K, i Import) {
	members, ok := sets[key]
	if !ok {
		members = &set{}
		sets[key] = members
	}
	members.add(i)
}

func remove[K comparable](sets map[K]*set, key K, i Import) {
	if members, ok := sets[key]; ok && members.remove(i) {
		delete(sets, key)
	}
}
