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

// lane is how urgent an item is; less is more urgent.
type lane int

const (
	// singleLane is for what happened to one import: a rotated credential does not
	// wait for a policy's other imports.
	singleLane lane = iota
	// bulkLane is for imports that are enqueued together.
	bulkLane
	// recordLane is for imports of which only the record is left to write.
	recordLane

	lanesCount
)

// fairShare is how many items are taken, the most urgent ones first, until each
// lane in its turn is the first: nothing waits for ever.
const fairShare = 8

// lanes is the order of a queue in which what is urgent overtakes what is not.
type lanes[K comparable] struct {
	mu sync.Mutex // the queue calls from under a lock of its own, announce does not
	// announced are the lanes of items that are about to be added; the others are
	// single.
	announced map[K]lane
	queues    [lanesCount][]K
	// waits says in which lane an item waits: one that has changed lanes is passed
	// over in the former.
	waits map[K]lane
	// count is how many items wait in each lane.
	count [lanesCount]int
	taken uint
	// most is how many items have waited at a time since the last bulk was over.
	most int
}

// bulk is how many items that wait at a time take memory worth giving back.
const bulk = 1000

func newLanes[K comparable]() *lanes[K] {
	return &lanes[K]{announced: map[K]lane{}, waits: map[K]lane{}}
}

// announce says in which lane the next addition of the item belongs. Of several
// the most urgent counts.
func (l *lanes[K]) announce(item K, in lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, ok := l.announced[item]; !ok || in < before {
		l.announced[item] = in
	}
}

// postpone has the next addition of the item belong to the records, whatever was
// announced before.
func (l *lanes[K]) postpone(item K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.announced[item] = recordLane
}

// busy reports whether more than records waits.
func (l *lanes[K]) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count[singleLane]+l.count[bulkLane] > 0
}

// Push adds an item.
func (l *lanes[K]) Push(item K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(item, l.take(item))
}

// Touch is called when an item that waits is added again.
func (l *lanes[K]) Touch(item K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to := l.take(item)
	if from, ok := l.waits[item]; ok && to < from {
		l.count[from]--
		l.put(item, to)
	}
}

// take returns the lane that was announced.
func (l *lanes[K]) take(item K) lane {
	defer delete(l.announced, item)
	return l.announced[item]
}

func (l *lanes[K]) put(item K, in lane) {
	l.queues[in] = append(l.queues[in], item)
	l.waits[item] = in
	l.count[in]++
	l.most = max(l.most, len(l.waits))
}

// bulkIsOver reports, once, that many items have waited and none does any more.
func (l *lanes[K]) bulkIsOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most < bulk || len(l.waits) > 0 {
		return false
	}
	l.most = 0
	return true
}

// Len is how many items wait.
func (l *lanes[K]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waits)
}

// Pop takes the most urgent item, most of the time. There must be one.
func (l *lanes[K]) Pop() K {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken++
	from := l.next()
	for {
		var none K
		item := l.queues[from][0]
		l.queues[from][0] = none
		l.queues[from] = l.queues[from][1:]
		if in, waits := l.waits[item]; waits && in == from {
			delete(l.waits, item)
			l.count[from]--
			l.shrink()
			return item
		}
	}
}

// shrink gives back what a bulk has taken when nothing waits any more.
func (l *lanes[K]) shrink() {
	if len(l.waits) == 0 {
		l.queues, l.waits = [lanesCount][]K{}, map[K]lane{}
	}
}

// next is the lane from which an item is taken.
func (l *lanes[K]) next() (from lane) {
	if l.taken%fairShare == 0 {
		from = lane(l.taken/fairShare) % lanesCount
	}
	for l.count[from] == 0 {
		from = (from + 1) % lanesCount
	}
	return from
}
