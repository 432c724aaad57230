// Package lifecycles holds the lifecycles of one term of leadership: an informer, and
// an overlay of what this process has written and the informer has not shown yet.
// Whoever reads here sees own writes at once, and statuses that are still to be
// written.
//
// It owns the Storage interface, which the registry implements in this process, and knows
// nothing of imports or of the host. The import controller reads and writes here, the
// policy controller reads.
package lifecycles

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Lifecycle is what is stored here.
type Lifecycle = policyv1alpha1.PediaClusterLifecycle

// Storage is where lifecycles are stored. Every write but Create is guarded by the
// uid and resourceVersion of the lifecycle that it is given.
type Storage interface {
	// Create stores a new lifecycle.
	Create(ctx context.Context, lifecycle *Lifecycle) (*Lifecycle, error)
	// Update stores spec and status of the lifecycle in one write.
	Update(ctx context.Context, lifecycle *Lifecycle) (*Lifecycle, error)
	// MarkDeleted sets the deletion timestamp and returns the lifecycle as it is then,
	// nil when it is gone.
	MarkDeleted(ctx context.Context, lifecycle *Lifecycle, propagation *metav1.DeletionPropagation) (*Lifecycle, error)
	// Remove takes the lifecycle out of storage. One with finalizers of others loses only
	// ours, and is returned.
	Remove(ctx context.Context, lifecycle *Lifecycle) (*Lifecycle, error)
	// SetOwners stores the owner references of the lifecycle.
	SetOwners(ctx context.Context, lifecycle *Lifecycle) (*Lifecycle, error)
	// Get reads storage, not a cache.
	Get(ctx context.Context, name string) (*Lifecycle, error)
	// HasPolicy reports whether storage has a lifecycle of the policy.
	HasPolicy(ctx context.Context, policy string) (bool, error)
}

// expectationTimeout is how long the informer may take to show an own write. One that
// it never shows was overtaken by another write while its watch was broken.
const expectationTimeout = 5 * time.Minute

// Store reads and writes lifecycles. Use New.
type Store struct {
	storage Storage
	indexer cache.Indexer
	clock   clock.PassiveClock

	mu      sync.Mutex
	overlay map[string]*entry // by name
	// unseen are the names of created lifecycles that the informer has not shown yet,
	// by Source.
	unseen map[string][]string
	// sources serialize creations by Source, and names all other writes by name.
	sources, names striped

	writer
}

// entry is what this process knows of one name and the informer does not show yet.
type entry struct {
	// stored is the lifecycle as it was written last, nil after its removal; shown is what
	// reads see: the same, unless a record is pending.
	stored, shown *Lifecycle
	// pending is what is still to be written, nil for nothing.
	pending *pending
	// removed is the UID of the lifecycle that was removed under this name.
	removed types.UID
	// version is the resourceVersion of the last write.
	version string
	written time.Time
}

// Indexers of the informer that New is given.
func Indexers() cache.Indexers {
	return cache.Indexers{
		byPolicy: func(object any) ([]string, error) {
			return []string{policyv1alpha1.ControllingPolicy(object.(*Lifecycle)).Name}, nil
		},
		bySource: func(object any) ([]string, error) { return []string{sourceKey(object.(*Lifecycle).Spec.Source)}, nil },
	}
}

const (
	byPolicy = "policy" // name of the policy
	bySource = "source" // type and name of the Source
)

// New returns a store over the informer's indexer, which has Indexers.
func New(storage Storage, indexer cache.Indexer, clock clock.PassiveClock) *Store {
	return &Store{storage: storage, indexer: indexer, clock: clock,
		overlay: map[string]*entry{}, unseen: map[string][]string{}, writer: newWriter()}
}

// sourceKey names a Source, in whatever version.
func sourceKey(source policyv1alpha1.DependentResource) string {
	return source.Resource + "." + source.Group + "/" + source.Namespace + "/" + source.Name
}

// Get returns the lifecycle of that name, nil when there is none.
func (s *Store) Get(name string) *Lifecycle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest(name, s.shown(name))
}

// OfSource returns the lifecycles of a Source, whatever their policy.
func (s *Store) OfSource(source policyv1alpha1.DependentResource) []*Lifecycle {
	key := sourceKey(source)
	s.mu.Lock()
	defer s.mu.Unlock()
	lifecycles := s.indexed(bySource, key)
	for _, name := range s.unseen[key] {
		if !slices.ContainsFunc(lifecycles, func(l *Lifecycle) bool { return l.Name == name }) {
			if created := s.overlay[name]; created != nil && created.shown != nil {
				lifecycles = append(lifecycles, created.shown)
			}
		}
	}
	return lifecycles
}

// OfPolicy returns the lifecycles of a policy.
func (s *Store) OfPolicy(policy string) []*Lifecycle {
	s.mu.Lock()
	defer s.mu.Unlock()
	lifecycles := s.indexed(byPolicy, policy)
	isOf := func(l *Lifecycle) bool { return l != nil && policyv1alpha1.ControllingPolicy(l).Name == policy }
	for _, names := range s.unseen {
		for _, name := range names {
			if created := s.overlay[name]; created != nil && isOf(created.shown) && !isOf(s.shown(name)) {
				lifecycles = append(lifecycles, created.shown)
			}
		}
	}
	return lifecycles
}

// List returns the lifecycles that the informer has shown.
func (s *Store) List() (lifecycles []*Lifecycle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.visible(s.indexer.List())
}

// HasPolicy asks storage whether there is a lifecycle of the policy.
func (s *Store) HasPolicy(ctx context.Context, policy string) (bool, error) {
	return s.storage.HasPolicy(ctx, policy)
}

// Live reads a lifecycle from storage.
func (s *Store) Live(ctx context.Context, name string) (*Lifecycle, error) {
	return s.storage.Get(ctx, name)
}

// indexed returns the lifecycles of an index. The lock is held while the informer is read, too:
// what it shows in between would take an own write off the overlay, and what was read before that
// would pass for the newest.
func (s *Store) indexed(name, value string) []*Lifecycle {
	objects, err := s.indexer.ByIndex(name, value)
	if err != nil {
		utilruntime.HandleError(err)
	}
	return s.visible(objects)
}

// visible returns the newest of what the informer shows, without what was removed. The lock is held.
func (s *Store) visible(objects []any) []*Lifecycle {
	lifecycles := make([]*Lifecycle, 0, len(objects))
	for _, object := range objects {
		shown := object.(*Lifecycle)
		if lifecycle := s.newest(shown.Name, shown); lifecycle != nil {
			lifecycles = append(lifecycles, lifecycle)
		}
	}
	return lifecycles
}

// newest returns the newer of what the informer shows, nil for nothing, and of what was
// written.
func (s *Store) newest(name string, shown *Lifecycle) *Lifecycle {
	written, ok := s.overlay[name]
	switch {
	case !ok:
		return shown
	case shown == nil || shown.UID == written.removed || !newer(shown.ResourceVersion, written.version):
		return written.shown
	case written.isBeneath(shown):
		return written.pending.on(shown)
	default:
		return shown
	}
}

// newer reports whether a version is a later one than another. What cannot be compared
// is: the informer is believed.
func newer(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err != nil || order > 0
}

// Create creates a lifecycle unless check, which may read here, fails. No other
// lifecycle of the same Source is created between the two.
func (s *Store) Create(ctx context.Context, lifecycle *Lifecycle, check func() error) (*Lifecycle, error) {
	defer s.sources.lock(sourceKey(lifecycle.Spec.Source))()
	if err := check(); err != nil {
		return nil, err
	}
	created, err := s.storage.Create(ctx, lifecycle)
	if err != nil {
		return nil, fmt.Errorf("creating the lifecycle: %w", err)
	}
	s.created(created)
	return created, nil
}

// Adopt has the store know a lifecycle that was read from storage and that the
// informer has not shown yet.
func (s *Store) Adopt(live *Lifecycle) {
	defer s.sources.lock(sourceKey(live.Spec.Source))()
	if known := s.Get(live.Name); known == nil || known.UID != live.UID {
		s.created(live)
	}
}

func (s *Store) created(lifecycle *Lifecycle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sourceKey(lifecycle.Spec.Source)
	if !slices.Contains(s.unseen[key], lifecycle.Name) {
		s.unseen[key] = append(s.unseen[key], lifecycle.Name)
	}
	s.write(lifecycle)
	s.trim(lifecycle.Name)
}

// write records a lifecycle as it was written. The lock is held.
func (s *Store) write(lifecycle *Lifecycle) {
	if lifecycle.ManagedFields != nil {
		lifecycle.ManagedFields = nil // as the informer has it
	}
	e := s.overlay[lifecycle.Name]
	if e == nil {
		e = &entry{}
		s.overlay[lifecycle.Name] = e
	}
	e.stored, e.shown, e.version, e.written = lifecycle, lifecycle, lifecycle.ResourceVersion, s.clock.Now()
	if e.pending != nil {
		e.shown = e.pending.on(lifecycle)
	}
}

// MarkDeleted marks just this version of a lifecycle as deleted, and returns it as it is
// then, nil when it is gone.
func (s *Store) MarkDeleted(ctx context.Context, lifecycle *Lifecycle, propagation *metav1.DeletionPropagation) (*Lifecycle, error) {
	defer s.names.lock(lifecycle.Name)()
	marked, err := s.storage.MarkDeleted(ctx, lifecycle, propagation)
	if err != nil || marked == nil {
		return nil, err
	}
	_, p := s.pendingOf(lifecycle.Name)
	s.wrote(marked, p) // what comes of a deletion is recorded again
	return marked, nil
}

// wrote records a lifecycle as it was written, and which pending record the write contained,
// nil for none.
func (s *Store) wrote(lifecycle *Lifecycle, contained *pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.overlay[lifecycle.Name]; e != nil && e.pending == contained {
		e.pending = nil
	}
	s.write(lifecycle)
	s.trim(lifecycle.Name)
}

// trim forgets what the informer shows already: it may be faster than the response to a
// write. The lock is held.
func (s *Store) trim(name string) {
	e, shown := s.overlay[name], s.shown(name)
	if shown != nil && e.pending == nil && e.stored != nil && shown.UID == e.stored.UID &&
		(shown.ResourceVersion == e.version || newer(shown.ResourceVersion, e.version)) {
		s.drop(name)
	}
}

// SetOwners stores the owner references of just this version of a lifecycle.
func (s *Store) SetOwners(ctx context.Context, lifecycle *Lifecycle) error {
	defer s.names.lock(lifecycle.Name)()
	updated, err := s.storage.SetOwners(ctx, lifecycle)
	if err == nil {
		s.wrote(updated, nil)
	}
	return err
}

// Remove takes just this version of a lifecycle out of storage. One with finalizers of others
// loses only ours, and is returned: it stays until the others are gone.
func (s *Store) Remove(ctx context.Context, lifecycle *Lifecycle) (left *Lifecycle, err error) {
	defer s.names.lock(lifecycle.Name)()
	left, err = s.storage.Remove(ctx, lifecycle)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if err == nil && left != nil {
		_, p := s.pendingOf(lifecycle.Name)
		s.wrote(left, p)
		return left, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.overlay[lifecycle.Name]; ok {
		s.drop(lifecycle.Name)
	}
	s.overlay[lifecycle.Name] = &entry{removed: lifecycle.UID, version: lifecycle.ResourceVersion, written: s.clock.Now()}
	return nil, nil
}

// OnlyOurs reports whether nobody else holds an object with these finalizers.
func OnlyOurs(finalizers []string) bool {
	return len(finalizers) == 1 && finalizers[0] == policyv1alpha1.Finalizer
}

// Observe is called when the informer shows a lifecycle. It reports whether that is an
// own write, or what an own write has replaced.
func (s *Store) Observe(shown *Lifecycle) (own bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.observe(shown)
}

// shown is the lifecycle of that name as the informer shows it, nil for none.
func (s *Store) shown(name string) *Lifecycle {
	object, _, err := s.indexer.GetByKey(name)
	if err != nil {
		utilruntime.HandleError(err)
	}
	shown, _ := object.(*Lifecycle)
	return shown
}

// syncOverlay has what is known of a name follow what the informer shows, should that have been
// shown before there was anything to know. The lock is held.
func (s *Store) syncOverlay(name string) {
	if shown := s.shown(name); shown != nil {
		s.observe(shown)
	}
}

// observe does what Observe says. The lock is held.
func (s *Store) observe(shown *Lifecycle) (own bool) {
	written, ok := s.overlay[shown.Name]
	if !ok {
		return false
	}
	if shown.UID == written.removed {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(shown.ResourceVersion, written.version)
	switch {
	case err == nil && order < 0:
		return true
	case err == nil && order == 0 && written.pending != nil:
		return true
	case written.isBeneath(shown):
		written.stored, written.shown, written.version = shown, written.pending.on(shown), shown.ResourceVersion
		return false
	}
	// The informer may be faster than the response to the write of a pending record.
	own = err == nil && order == 0 || written.writes(shown)
	s.drop(shown.Name)
	return own
}

// ObserveDeleted is called when the informer shows that a lifecycle is gone.
func (s *Store) ObserveDeleted(gone *Lifecycle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written, ok := s.overlay[gone.Name]
	if ok && (written.removed == gone.UID && written.stored == nil || written.stored != nil && written.stored.UID == gone.UID) {
		s.drop(gone.Name)
	}
}

// outlives reports whether the informer still shows a lifecycle that is gone for certain: it was
// removed, or another one was created under its name.
func (e *entry) outlives(shown *Lifecycle) bool {
	return shown != nil && (shown.UID == e.removed ||
		e.stored != nil && shown.UID != e.stored.UID && !newer(shown.ResourceVersion, e.version))
}

// Overdue forgets what the informer should have shown long ago, and returns the
// lifecycles concerned. What is gone stays so.
func (s *Store) Overdue() (overdue []*Lifecycle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, e := range s.overlay {
		if e.pending != nil || s.clock.Since(e.written) < expectationTimeout || e.outlives(s.shown(name)) {
			continue
		}
		if e.stored != nil {
			overdue = append(overdue, e.stored)
		}
		s.drop(name)
	}
	return overdue
}

// drop forgets what was written under a name. The lock is held.
func (s *Store) drop(name string) {
	if e := s.overlay[name]; e.stored != nil {
		key := sourceKey(e.stored.Spec.Source)
		if left := slices.DeleteFunc(s.unseen[key], func(n string) bool { return n == name }); len(left) > 0 {
			s.unseen[key] = left
		} else {
			delete(s.unseen, key)
		}
	}
	delete(s.overlay, name)
}

// striped are locks by key, of which some share one.
type striped struct{ locks [256]sync.Mutex }

var seed = maphash.MakeSeed()

// lock locks the key until the returned function is called.
func (s *striped) lock(key string) (unlock func()) {
	lock := &s.locks[maphash.String(seed, key)%uint64(len(s.locks))]
	lock.Lock()
	return lock.Unlock
}
