package controller

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
)

// newQueue returns a queue whose items are tried again after 50 ms at first
// and half a minute at last. A nil order is first come, first served.
func newQueue[K comparable](name string, order workqueue.Queue[K]) workqueue.TypedRateLimitingInterface[K] {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[K](50*time.Millisecond, 30*time.Second),
		workqueue.TypedRateLimitingQueueConfig[K]{Name: name, DelayingQueue: workqueue.NewTypedDelayingQueueWithConfig(
			workqueue.TypedDelayingQueueConfig[K]{Name: name, Queue: workqueue.NewTypedWithConfig(
				workqueue.TypedQueueConfig[K]{Name: name, Queue: order})})})
}

// lanes is the order of a queue in which single items overtake those that come
// in bulk: a rotated credential does not wait for a policy's other imports.
type lanes[K comparable] struct {
	mu sync.Mutex // the queue calls from under a lock of its own, announce does not
	// announced are the items that are about to be added in bulk.
	announced map[K]struct{}
	single    []K
	bulk      []K
	// waits says in which lane an item waits: one that has changed lanes is
	// passed over in the other.
	waits map[K]lane
}

type lane bool

const (
	singleLane lane = true
	bulkLane   lane = false
)

func newLanes[K comparable]() *lanes[K] {
	return &lanes[K]{announced: map[K]struct{}{}, waits: map[K]lane{}}
}

// announce says that the next addition of the item is one of many.
func (l *lanes[K]) announce(item K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.announced[item] = struct{}{}
}

// Push adds an item.
func (l *lanes[K]) Push(item K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.oneOfMany(item) {
		l.bulk = append(l.bulk, item)
		l.waits[item] = bulkLane
		return
	}
	l.single = append(l.single, item)
	l.waits[item] = singleLane
}

// Touch is called when an item that waits is added again.
func (l *lanes[K]) Touch(item K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if where, waits := l.waits[item]; !l.oneOfMany(item) && waits && where == bulkLane {
		l.single = append(l.single, item)
		l.waits[item] = singleLane
	}
}

func (l *lanes[K]) oneOfMany(item K) bool {
	_, ok := l.announced[item]
	delete(l.announced, item)
	return ok
}

// Len is how many items wait.
func (l *lanes[K]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waits)
}

// Pop takes the next item. There must be one.
func (l *lanes[K]) Pop() K {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		from, queue := singleLane, &l.single
		if len(l.single) == 0 {
			from, queue = bulkLane, &l.bulk
		}
		var none K
		item := (*queue)[0]
		(*queue)[0] = none
		*queue = (*queue)[1:]
		if where, waits := l.waits[item]; waits && where == from {
			delete(l.waits, item)
			return item
		}
	}
}
