// Package index knows which imports are concerned when something changes: who
// reads an object, who would have a name that another import holds, and who is
// about to import a Source. An
// event so costs the work of the imports it concerns, never a pass over all.
//
// It imports nothing of this project. The import controller writes it while it
// works on an import, and event handlers read it.
package index

import (
	"slices"
	"sync"

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

// Index is safe for concurrent use. Use New.
type Index struct {
	mu         sync.RWMutex
	reads      map[Import][]Object
	readers    map[Object]*set
	wants      map[Import]string
	contenders map[string]*set
	reserved   map[string]Import
	keeps      map[Import][]string
	takers     map[Object]Import
	takes      map[Import]Object
}

// New returns an empty index.
func New() *Index {
	return &Index{
		reads:      map[Import][]Object{},
		readers:    map[Object]*set{},
		wants:      map[Import]string{},
		contenders: map[string]*set{},
		reserved:   map[string]Import{},
		keeps:      map[Import][]string{},
		takers:     map[Object]Import{},
		takes:      map[Import]Object{},
	}
}

// AddRead says that an import is about to read an object. Said before the object
// is looked at, it makes sure that no change of it is missed.
func (x *Index) AddRead(i Import, object Object) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Contains(x.reads[i], object) {
		x.reads[i] = append(slices.Clone(x.reads[i]), object)
		add(x.readers, object, i)
	}
}

// SetReads says which objects an import reads, whether they exist or not, and
// that it reads no others.
func (x *Index) SetReads(i Import, objects []Object) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.reads[i]
	if slices.Equal(before, objects) {
		return
	}
	for _, object := range before {
		remove(x.readers, object, i)
	}
	for _, object := range objects {
		add(x.readers, object, i)
	}
	put(x.reads, i, objects, len(objects) == 0)
}

// Readers returns the imports that read the object.
func (x *Index) Readers(object Object) []Import {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.readers[object].list()
}

// SetWants says which name an import would have if another one did not hold
// it; empty for none. It returns the names whose contenders have changed.
func (x *Index) SetWants(i Import, name string) (changed []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.wants[i]
	if before == name {
		return nil
	}
	if before != "" {
		remove(x.contenders, before, i)
		changed = append(changed, before)
	}
	if name != "" {
		add(x.contenders, name, i)
		changed = append(changed, name)
	}
	put(x.wants, i, name, name == "")
	return changed
}

// Contenders returns the imports that would have the name.
func (x *Index) Contenders(name string) []Import {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.contenders[name].list()
}

// Reserve keeps a name for an import while its lifecycle is made anew, so that
// no contender gets between.
func (x *Index) Reserve(name string, i Import) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if keeper, ok := x.reserved[name]; ok {
		kept := slices.DeleteFunc(x.keeps[keeper], func(other string) bool { return other == name })
		put(x.keeps, keeper, kept, len(kept) == 0)
	}
	x.reserved[name] = i
	x.keeps[i] = append(x.keeps[i], name)
}

// ReservedFor returns the import that the name is kept for.
func (x *Index) ReservedFor(name string) (Import, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i, ok := x.reserved[name]
	return i, ok
}

// Unreserve gives free the names that are kept for the import, and returns them.
func (x *Index) Unreserve(i Import) (names []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	names = x.keeps[i]
	delete(x.keeps, i)
	for _, name := range names {
		delete(x.reserved, name)
	}
	return names
}

// Take says that an import is about to make a lifecycle for its Source. It
// reports whether it may: of two policies only one can be about to.
func (x *Index) Take(source Object, i Import) (taker Import, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	taker, taken := x.takers[source]
	if taken && taker != i {
		return taker, false
	}
	if before, ok := x.takes[i]; ok { // of a former policy of the same name
		delete(x.takers, before)
	}
	x.takers[source], x.takes[i] = i, source
	return i, true
}

// Leave says that the lifecycle has been seen, or will not be made.
func (x *Index) Leave(i Import) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if source, taken := x.takes[i]; taken {
		delete(x.takers, source)
		delete(x.takes, i)
	}
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

func put[K comparable, V any](m map[K]V, key K, value V, empty bool) {
	if empty {
		delete(m, key)
		return
	}
	m[key] = value
}
