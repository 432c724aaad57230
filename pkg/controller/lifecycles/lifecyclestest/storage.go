// Package lifecyclestest has a storage of lifecycles in memory, for tests. It guards
// writes and marks deletions as the registry does. It imports nothing of this project but
// the API types, so that the tests of the store itself can use it too.
package lifecyclestest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Lifecycle is what is stored here.
type Lifecycle = policyv1alpha1.PediaClusterLifecycle

var resource = policyv1alpha1.Resource("pediaclusterlifecycles")

// Storage is safe for concurrent use. Use New.
type Storage struct {
	mu      sync.Mutex
	version int
	objects map[string]*Lifecycle
	writes  []string
	// events are all that has happened, and watches are told of what happens.
	events  []watch.Event
	watches []*watch.RaceFreeFakeWatcher
	// fail is returned by the next write, which has happened all the same when lost is set.
	fail error
	lost bool
}

// New returns a storage that has these lifecycles, in the versions that they have.
func New(stored ...*Lifecycle) *Storage {
	s := &Storage{version: 100, objects: map[string]*Lifecycle{}}
	for _, lifecycle := range stored {
		s.objects[lifecycle.Name] = lifecycle.DeepCopy()
	}
	return s
}

// Fail has the next write fail, before or, when its answer is lost, after it has happened.
func (s *Storage) Fail(err error, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.lost = err, lost
}

// Writes are the writes of the store so far, as "<verb> <name>".
func (s *Storage) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// Change changes a lifecycle as somebody else does, whatever its version, and returns it as
// it is then. One that is being deleted goes when its last finalizer does.
func (s *Storage) Change(name string, change func(*Lifecycle)) *Lifecycle {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.objects[name].DeepCopy()
	change(changed)
	return s.store(changed, watch.Modified)
}

// asStored is a lifecycle as storage keeps it, such as with times in whole seconds.
func asStored(lifecycle *Lifecycle) *Lifecycle {
	text, err := json.Marshal(lifecycle)
	stored := &Lifecycle{}
	if err := errors.Join(err, json.Unmarshal(text, stored)); err != nil {
		panic(err) // a lifecycle can always be encoded
	}
	return stored
}

// store stores a lifecycle in a new version. The lock is held.
func (s *Storage) store(lifecycle *Lifecycle, event watch.EventType) *Lifecycle {
	s.version++
	lifecycle.ResourceVersion = strconv.Itoa(s.version)
	lifecycle = asStored(lifecycle)
	s.objects[lifecycle.Name] = lifecycle
	if lifecycle.DeletionTimestamp != nil && len(lifecycle.Finalizers) == 0 {
		delete(s.objects, lifecycle.Name)
		event = watch.Deleted
	}
	s.events = append(s.events, watch.Event{Type: event, Object: lifecycle.DeepCopy()})
	for _, w := range s.watches {
		w.Action(event, lifecycle.DeepCopy())
	}
	return lifecycle.DeepCopy()
}

// write is a write of the store.
func (s *Storage) write(verb string, given *Lifecycle, change func(next *Lifecycle)) (*Lifecycle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fail, lost := s.fail, s.lost
	s.fail, s.lost = nil, false
	if fail != nil && !lost {
		return nil, fail
	}
	stored, next, event := s.objects[given.Name], &Lifecycle{}, watch.Modified
	switch {
	case verb == "create" && stored != nil:
		return nil, apierrors.NewAlreadyExists(resource, given.Name)
	case verb == "create":
		given.DeepCopyInto(next)
		next.Generation = 1
		if next.UID == "" {
			next.UID, next.CreationTimestamp = types.UID(fmt.Sprint("uid-", s.version+1)), metav1.NewTime(time.Now())
		}
		event = watch.Added
	case stored == nil:
		return nil, apierrors.NewNotFound(resource, given.Name)
	case stored.UID != given.UID || stored.ResourceVersion != given.ResourceVersion:
		return nil, apierrors.NewConflict(resource, given.Name, errors.New("it has changed"))
	default:
		stored.DeepCopyInto(next)
	}
	change(next)
	s.writes = append(s.writes, verb+" "+given.Name)
	return s.store(next, event), fail
}

// Create stores a new lifecycle.
func (s *Storage) Create(_ context.Context, lifecycle *Lifecycle) (*Lifecycle, error) {
	return answer(s.write("create", lifecycle, func(next *Lifecycle) {
		if !slices.Contains(next.Finalizers, policyv1alpha1.Finalizer) {
			next.Finalizers = append(next.Finalizers, policyv1alpha1.Finalizer)
		}
	}))
}

// Update stores spec and status.
func (s *Storage) Update(_ context.Context, lifecycle *Lifecycle) (*Lifecycle, error) {
	return answer(s.write("update", lifecycle, func(next *Lifecycle) {
		if !equality.Semantic.DeepEqual(next.Spec, lifecycle.Spec) {
			next.Generation++
		}
		next.Spec, next.Status = *lifecycle.Spec.DeepCopy(), *lifecycle.Status.DeepCopy()
	}))
}

// MarkDeleted marks a lifecycle as deleted by this server. It returns nil when it is gone.
func (s *Storage) MarkDeleted(_ context.Context, lifecycle *Lifecycle, propagation *metav1.DeletionPropagation) (*Lifecycle, error) {
	marked, err := s.write("mark", lifecycle, func(next *Lifecycle) {
		next.DeletionTimestamp = ptr.To(metav1.Now())
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, policyv1alpha1.RemovedAnnotation, "true")
		if propagation != nil && *propagation == metav1.DeletePropagationOrphan {
			metav1.SetMetaDataAnnotation(&next.ObjectMeta, policyv1alpha1.OrphanAnnotation, "true")
		}
	})
	if apierrors.IsNotFound(err) || err == nil && len(marked.Finalizers) == 0 {
		return nil, nil
	}
	return answer(marked, err)
}

// SetOwners stores owner references.
func (s *Storage) SetOwners(_ context.Context, lifecycle *Lifecycle) (*Lifecycle, error) {
	return answer(s.write("owners", lifecycle, func(next *Lifecycle) { next.OwnerReferences = lifecycle.OwnerReferences }))
}

// Remove takes a lifecycle out of storage, or our finalizer off one that others hold.
func (s *Storage) Remove(_ context.Context, lifecycle *Lifecycle) (*Lifecycle, error) {
	left, err := s.write("remove", lifecycle, func(next *Lifecycle) {
		next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == policyv1alpha1.Finalizer })
		if len(next.Finalizers) == 0 && next.DeletionTimestamp == nil {
			next.DeletionTimestamp = ptr.To(metav1.Now())
		}
	})
	if err == nil && len(left.Finalizers) == 0 {
		return nil, nil
	}
	return answer(left, err)
}

func answer(lifecycle *Lifecycle, err error) (*Lifecycle, error) {
	if err != nil {
		return nil, err
	}
	return lifecycle, nil
}

// Get returns a lifecycle as it is stored.
func (s *Storage) Get(_ context.Context, name string) (*Lifecycle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stored := s.objects[name]; stored != nil {
		return stored.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(resource, name)
}

// HasPolicy reports whether a lifecycle of the policy is stored.
func (s *Storage) HasPolicy(_ context.Context, policy string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stored := range s.objects {
		if owner := metav1.GetControllerOf(stored); owner != nil && owner.Name == policy {
			return true, nil
		}
	}
	return false, nil
}

// List lists all lifecycles.
func (s *Storage) List(context.Context, metav1.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := &policyv1alpha1.PediaClusterLifecycleList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(s.version)}}
	for _, stored := range s.objects {
		list.Items = append(list.Items, *stored.DeepCopy())
	}
	return list, nil
}

// Watch tells of all that has happened since that version, and of what happens from now on.
// A watch that is to begin with a list is refused, as by an old server.
func (s *Storage) Watch(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
	if options.SendInitialEvents != nil {
		return nil, apierrors.NewInvalid(listOptions, "", nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := watch.NewRaceFreeFake()
	since, _ := strconv.Atoi(options.ResourceVersion)
	for _, event := range s.events {
		if version, _ := strconv.Atoi(event.Object.(*Lifecycle).ResourceVersion); version > since {
			w.Action(event.Type, event.Object.DeepCopyObject())
		}
	}
	s.watches = append(s.watches, w)
	return w, nil
}

var listOptions = metav1.SchemeGroupVersion.WithKind("ListOptions").GroupKind()
