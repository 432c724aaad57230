package controller

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/cache"

	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
)

// This file says which imports an event concerns. Handlers do no I/O. A change of an input
// invalidates what the last pass over an import left; an own write does not.

// add enqueues an import whose versions say whether there is anything to do.
func (c *importController) add(i memory.Import, p priority) {
	c.order.prioritize(i, p)
	c.queue.Add(i)
}

// enqueue enqueues an import whose next pass is a whole one, whatever its versions say.
func (c *importController) enqueue(i memory.Import) {
	c.memory.Invalidate(i)
	c.add(i, single)
}

// enqueueInBulk does so for one of many imports, which single ones overtake.
func (c *importController) enqueueInBulk(i memory.Import) {
	c.memory.Invalidate(i)
	c.addInBulk(i)
}

// addInBulk enqueues one of many imports whose versions say whether there is anything to do.
func (c *importController) addInBulk(i memory.Import) { c.add(i, bulk) }

// lifecycleHandler handles the events of lifecycles.
func (c *importController) lifecycleHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, initial bool) { c.lifecycleAdded(object.(*lifecycles.Lifecycle), initial) },
		UpdateFunc: func(before, now any) {
			c.lifecycleUpdated(before.(*lifecycles.Lifecycle), now.(*lifecycles.Lifecycle))
		},
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			if lifecycle, ok := object.(*lifecycles.Lifecycle); ok {
				c.lifecycleDeleted(lifecycle)
			}
		},
	}
}

func (c *importController) lifecycleAdded(lifecycle *lifecycles.Lifecycle, initial bool) {
	own := c.store.Observe(lifecycle)
	if !initial { // checkAllOwners sees to the others, when all policies are known
		c.checkOwner(lifecycle)
	}
	if !own {
		// Its writer does not know it yet, or it is the late write of a former leader: the
		// versions say which.
		c.add(importOf(lifecycle), single)
	}
}

func (c *importController) lifecycleUpdated(before, now *lifecycles.Lifecycle) {
	own := c.store.Observe(now)
	if before.UID != now.UID {
		c.lifecycleDeleted(before)
	}
	if !equality.Semantic.DeepEqual(before.OwnerReferences, now.OwnerReferences) {
		c.checkOwner(now)
		c.enqueue(importOf(before))
		c.enqueue(importOf(now))
	}
	switch {
	case before.UID != now.UID || changedByOthers(before, now):
		c.enqueue(importOf(now))
	case !own && before.ResourceVersion != now.ResourceVersion:
		// Its writer does not know it yet, or it is the late write of a former leader.
		c.add(importOf(now), single)
	}
}

// changedByOthers reports whether a lifecycle changed in what this controller does not write.
func changedByOthers(before, now *lifecycles.Lifecycle) bool {
	return !before.DeletionTimestamp.Equal(now.DeletionTimestamp) ||
		!maps.Equal(before.Annotations, now.Annotations) ||
		now.DeletionTimestamp != nil && !slices.Equal(before.Finalizers, now.Finalizers)
}

func (c *importController) lifecycleDeleted(lifecycle *lifecycles.Lifecycle) {
	c.store.ObserveDeleted(lifecycle)
	if c.prober != nil {
		c.prober.Forget(lifecycle.Name)
	}
	c.enqueue(importOf(lifecycle))
	c.enqueueWaiters(lifecycle.Name)
	// Another policy may have been waiting for the Source.
	for _, i := range c.policies.importsOf(lifecycle.Spec.Source) {
		c.enqueue(i)
	}
	// A policy that is being deleted goes after its last lifecycle.
	c.policies.lifecycleDeleted(importOf(lifecycle).Policy)
}

// sourceChanged enqueues the import of a Source.
func (c *importController) sourceChanged(i memory.Import, change hostobjects.Change) {
	c.memory.SetDeletionSeen(i, change == hostobjects.Deleted && len(c.lifecyclesOf(i)) > 0)
	c.memory.Change(i, time.Now())
	if change != hostobjects.Present {
		c.memory.Invalidate(i)
	}
	c.add(i, single)
}

// pediaClusterChanged enqueues the import whose lifecycle has the name, unless the change is its own
// write: the version that its last pass has left.
func (c *importController) pediaClusterChanged(name string, change hostobjects.Change) {
	lifecycle := c.store.Get(name)
	switch {
	case lifecycle == nil:
	case change != hostobjects.Present:
		c.enqueue(importOf(lifecycle))
	default:
		if i := importOf(lifecycle); !c.memory.IsSettled(i, c.objects.ResourceVersion(pediaClusters, "", name)) {
			c.add(i, single)
		}
	}
}

// referenceChanged enqueues the imports that read the object. If these are many, they are enqueued
// in bulk, so that the rotation of a single credential overtakes them.
func (c *importController) referenceChanged(object memory.Object) {
	readers := c.memory.Readers(object)
	enqueue := c.enqueue
	if len(readers) > fewReaders {
		enqueue = c.enqueueInBulk
	}
	for _, i := range readers {
		c.memory.Change(i, time.Now())
		enqueue(i)
	}
}

// fewReaders is how many imports may read an object whose change concerns them singly.
const fewReaders = 8

// clusterAnswered enqueues the import of a cluster that has given a new answer, for its status.
func (c *importController) clusterAnswered(name string) {
	if lifecycle := c.store.Get(name); lifecycle != nil {
		c.enqueue(importOf(lifecycle))
	}
}

// enqueueWaiters enqueues the imports that wait for a name.
func (c *importController) enqueueWaiters(name string) {
	for _, i := range c.memory.Waiters(name) {
		c.enqueue(i)
	}
}

// waitFor records the name that an import would have if it were free. It enqueues the imports that
// have a name whose waiters have changed, for their status.
func (c *importController) waitFor(i memory.Import, name string) {
	for _, changed := range c.memory.WaitFor(i, name) {
		if holder := c.store.Get(changed); holder != nil {
			c.enqueue(importOf(holder))
		} else if changed == name {
			// It became free before this import was known to wait for it.
			c.queue.AddAfter(i, retryDelay)
		}
	}
}

// forget drops what is remembered of an import of which nothing is left.
func (c *importController) forget(i memory.Import) {
	c.waitFor(i, "")
	for _, name := range c.memory.Forget(i) {
		c.enqueueWaiters(name)
	}
}

// enqueueOverdue enqueues the imports whose own writes the informers should have shown by now.
func (c *importController) enqueueOverdue() {
	for _, i := range c.memory.Overdue() {
		c.enqueue(i)
	}
	for _, lifecycle := range c.store.Overdue() {
		c.enqueue(importOf(lifecycle))
	}
}
