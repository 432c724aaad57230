package controller

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
)

// newQueue returns a queue whose items are tried again after 50 ms at first and half a
// minute at last. A nil order is first come, first served.
func newQueue[K comparable](name string, order workqueue.Queue[K]) workqueue.TypedRateLimitingInterface[K] {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[K](50*time.Millisecond, 30*time.Second),
		workqueue.TypedRateLimitingQueueConfig[K]{Name: name, DelayingQueue: workqueue.NewTypedDelayingQueueWithConfig(
			workqueue.TypedDelayingQueueConfig[K]{Name: name, Queue: workqueue.NewTypedWithConfig(
				workqueue.TypedQueueConfig[K]{Name: name, Queue: order})})})
}

// priority is how urgent an item is; less is more urgent.
type priority int

const (
	// single is for what happened to one import: a rotated credential does not wait for a
	// policy's other imports.
	single priority = iota
	// bulk is for imports that are enqueued together.
	bulk

	priorities
)

// fairShare is how many items are taken, the most urgent ones first, until another priority,
// each in rotation, goes first: nothing waits forever.
const fairShare = 8

// order is the order of a queue in which what is urgent overtakes what is not.
type order[K comparable] struct {
	mu sync.Mutex // the queue calls from under a lock of its own, prioritize does not
	// prioritized are the priorities of items that are about to be added; the others are
	// single. taken are those of items that were taken and have not ended.
	prioritized, taken map[K]priority
	queues             [priorities][]K
	// waits says with which priority an item waits: one that has changed it is passed over
	// in its former place.
	waits map[K]priority
	// count is how many items wait with each priority.
	count [priorities]int
	// pops counts the items that were taken.
	pops uint
	// most is how many items have waited at a time since the last bulk was over.
	most int
}

// muchMemory is how many items that wait at a time take memory worth releasing.
const muchMemory = 1000

func newOrder[K comparable]() *order[K] {
	return &order[K]{prioritized: map[K]priority{}, taken: map[K]priority{}, waits: map[K]priority{}}
}

// prioritize says with which priority the item is about to be added. Of several the most urgent
// counts.
func (o *order[K]) prioritize(item K, p priority) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before, ok := o.prioritized[item]; !ok || p < before {
		o.prioritized[item] = p
	}
}

// end is called when the work on an item that was taken has ended. One that is to be tried
// again keeps its priority.
func (o *order[K]) end(item K, again bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.prioritized[item]; again && !ok {
		o.prioritized[item] = o.taken[item]
	}
	delete(o.taken, item)
}

// busy reports whether items wait.
func (o *order[K]) busy() bool { return o.Len() > 0 }

// Push adds an item.
func (o *order[K]) Push(item K) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(item, o.priorityOf(item))
}

// Touch is called when an item that waits is added again.
func (o *order[K]) Touch(item K) {
	o.mu.Lock()
	defer o.mu.Unlock()
	to := o.priorityOf(item)
	if from, ok := o.waits[item]; ok && to < from {
		o.count[from]--
		o.put(item, to)
	}
}

// priorityOf returns the priority that was asked for, once.
func (o *order[K]) priorityOf(item K) priority {
	defer delete(o.prioritized, item)
	return o.prioritized[item]
}

func (o *order[K]) put(item K, p priority) {
	o.queues[p] = append(o.queues[p], item)
	o.waits[item] = p
	o.count[p]++
	o.most = max(o.most, len(o.waits))
}

// bulkIsOver reports, once, that many items have waited and none does any more.
func (o *order[K]) bulkIsOver() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.most < muchMemory || len(o.waits) > 0 {
		return false
	}
	o.most = 0
	return true
}

// Len is how many items wait.
func (o *order[K]) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waits)
}

// Pop takes the most urgent item, most of the time. There must be one.
func (o *order[K]) Pop() K {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pops++
	from := o.next()
	for {
		var none K
		item := o.queues[from][0]
		o.queues[from][0] = none
		o.queues[from] = o.queues[from][1:]
		if p, waits := o.waits[item]; waits && p == from {
			delete(o.waits, item)
			o.count[from]--
			o.taken[item] = p
			o.shrink()
			return item
		}
	}
}

// shrink releases what a bulk has taken when nothing waits any more.
func (o *order[K]) shrink() {
	if len(o.waits) == 0 {
		o.queues, o.waits = [priorities][]K{}, map[K]priority{}
	}
}

// next is the priority of which an item is taken.
func (o *order[K]) next() (from priority) {
	if o.pops%fairShare == 0 {
		from = priority(o.pops/fairShare) % priorities
	}
	for o.count[from] == 0 {
		from = (from + 1) % priorities
	}
	return from
}
