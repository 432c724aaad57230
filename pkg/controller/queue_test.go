package controller

import (
	"slices"
	"testing"
)

// all takes all items off the queue, each with the work on it ended.
func all(order *order[string], queue interface {
	Len() int
	Get() (string, bool)
	Done(string)
}) (taken []string) {
	for queue.Len() > 0 {
		item, _ := queue.Get()
		taken = append(taken, item)
		order.end(item, false)
		queue.Done(item)
	}
	return taken
}

func TestSingleItemsOvertakeThoseThatComeInBulk(t *testing.T) {
	order := newOrder[string]()
	queue := newQueue("test", order)
	defer queue.ShutDown()
	for _, item := range []string{"a", "b", "c", "d"} {
		order.prioritize(item, bulk)
		queue.Add(item)
	}
	queue.Add("c") // waits already, among the others
	queue.Add("x")
	order.prioritize("x", bulk) // one of many by now, and yet the first
	queue.Add("x")

	if taken, want := all(order, queue), []string{"c", "x", "a", "b", "d"}; !slices.Equal(taken, want) {
		t.Errorf("the order is %v, want %v", taken, want)
	}
	queue.Add("c") // and nothing is left behind of it
	if item, _ := queue.Get(); item != "c" || queue.Len() != 0 {
		t.Errorf("%q, and %d wait", item, queue.Len())
	}
}

func TestAnItemThatIsAddedWhileItIsWorkedOnKeepsItsPriority(t *testing.T) {
	order := newOrder[string]()
	queue := newQueue("test", order)
	defer queue.ShutDown()
	queue.Add("a")
	item, _ := queue.Get()
	order.prioritize("a", bulk)
	queue.Add("a")
	order.end(item, false)
	queue.Done(item)
	queue.Add("b")
	if item, _ := queue.Get(); item != "b" {
		t.Errorf("%q overtook a single item", item)
	}
}

func TestTheOrderIsBusyWhileAnItemWaits(t *testing.T) {
	order := newOrder[string]()
	queue := newQueue("test", order)
	defer queue.ShutDown()
	for item, p := range map[string]priority{"bulk": bulk, "moved": bulk} {
		order.prioritize(item, p)
		queue.Add(item)
	}
	queue.Add("moved") // something happened to it
	order.prioritize("bulk", bulk)
	queue.Add("bulk") // stays where it is
	for _, want := range []string{"moved", "bulk"} {
		if !order.busy() {
			t.Errorf("it is not busy before %q", want)
		}
		item, _ := queue.Get()
		if item != want {
			t.Errorf("%q, want %q", item, want)
		}
		order.end(item, false)
		queue.Done(item)
	}
	if order.busy() {
		t.Error("it is busy with nothing")
	}
}

func TestOfTwoAnnouncementsTheMoreUrgentCounts(t *testing.T) {
	order := newOrder[string]()
	order.prioritize("many", bulk)
	order.Push("many")
	order.prioritize("a", single)
	order.prioritize("a", bulk)
	order.Push("a")
	if item := order.Pop(); item != "a" {
		t.Error("an event waits among the many")
	}
}

// What failed has no more right to be the first than it had: many that are tried again do
// not overtake the rotation of one credential, and that one does not fall behind them.
func TestWhatIsTriedAgainKeepsItsPriority(t *testing.T) {
	for name, test := range map[string]struct {
		before, meanwhile priority
		changed, again    bool
		want              priority
	}{
		"one of many":  {before: bulk, again: true, want: bulk},
		"a single one": {before: single, again: true, want: single},
		"one of many, which something happened to": {before: bulk, changed: true, meanwhile: single, again: true, want: single},
		"one of many that did not fail":            {before: bulk, again: false, want: single},
	} {
		t.Run(name, func(t *testing.T) {
			order := newOrder[string]()
			queue := newQueue("test", order)
			defer queue.ShutDown()
			order.prioritize("a", test.before)
			queue.Add("a")
			item, _ := queue.Get()
			if test.changed {
				order.prioritize(item, test.meanwhile)
			}
			order.end(item, test.again)
			queue.Done(item)
			queue.Add(item) // as the rate limiter does, later
			if got := order.waits[item]; got != test.want {
				t.Errorf("it waits with priority %d, want %d", got, test.want)
			}
			all(order, queue)
			if left := len(order.prioritized) + len(order.taken) + len(order.waits); left != 0 {
				t.Errorf("%d entries are left", left)
			}
		})
	}
}

func TestNothingWaitsForEver(t *testing.T) {
	order := newOrder[int]()
	taken := map[priority]int{}
	for i := range 10 * fairShare {
		for p := range priorities { // more of each than is ever taken
			item := i*int(priorities) + int(p)
			order.prioritize(item, p)
			order.Push(item)
		}
		taken[priority(order.Pop()%int(priorities))]++
	}
	if taken[bulk] == 0 || taken[single] < 8*fairShare {
		t.Errorf("taken of each priority: %v", taken)
	}
}

func TestABulkIsOverOnce(t *testing.T) {
	order := newOrder[int]()
	for item := range muchMemory - 1 {
		order.Push(item)
	}
	for order.Len() > 0 {
		order.Pop()
	}
	if order.bulkIsOver() {
		t.Error("there was none")
	}
	for item := range muchMemory {
		order.Push(item)
	}
	for order.Len() > 1 {
		order.Pop()
	}
	if order.bulkIsOver() {
		t.Error("an item still waits")
	}
	order.Pop()
	if !order.bulkIsOver() || order.bulkIsOver() {
		t.Error("it is not told, or told twice")
	}
}
