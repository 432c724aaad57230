package controller

import (
	"slices"
	"testing"
)

func TestSingleItemsOvertakeThoseThatComeInBulk(t *testing.T) {
	lanes := newLanes[string]()
	queue := newQueue("test", lanes)
	defer queue.ShutDown()
	for _, item := range []string{"a", "b", "c", "d"} {
		lanes.announce(item, bulkLane)
		queue.Add(item)
	}
	queue.Add("c") // waits already, among the others
	queue.Add("x")
	lanes.announce("x", bulkLane) // one of many by now, and yet the first
	queue.Add("x")

	var order []string
	for queue.Len() > 0 {
		item, _ := queue.Get()
		order = append(order, item)
		queue.Done(item)
	}
	if want := []string{"c", "x", "a", "b", "d"}; !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
	queue.Add("c") // and nothing is left behind of it
	if item, _ := queue.Get(); item != "c" || queue.Len() != 0 {
		t.Errorf("%q, and %d wait", item, queue.Len())
	}
}

func TestAnItemThatIsAddedWhileItIsWorkedOnKeepsItsLane(t *testing.T) {
	lanes := newLanes[string]()
	queue := newQueue("test", lanes)
	defer queue.ShutDown()
	queue.Add("a")
	item, _ := queue.Get()
	lanes.announce("a", bulkLane)
	queue.Add("a")
	queue.Done(item)
	queue.Add("b")
	if item, _ := queue.Get(); item != "b" {
		t.Errorf("%q overtook a single item", item)
	}
}

func TestARecordWaitsUntilNothingElseIsLeft(t *testing.T) {
	lanes := newLanes[string]()
	queue := newQueue("test", lanes)
	defer queue.ShutDown()
	for item, in := range map[string]lane{"record": recordLane, "bulk": bulkLane, "moved": recordLane} {
		lanes.announce(item, in)
		queue.Add(item)
	}
	queue.Add("moved") // something happened to it
	lanes.announce("bulk", recordLane)
	queue.Add("bulk") // stays where it is more urgent
	for _, want := range []string{"moved", "bulk", "record"} {
		if busy := want != "record"; lanes.busy() != busy {
			t.Errorf("busy is %v before %q", !busy, want)
		}
		item, _ := queue.Get()
		if item != want {
			t.Errorf("%q, want %q", item, want)
		}
		queue.Done(item)
	}
}

func TestOfTwoAnnouncementsTheMoreUrgentCounts(t *testing.T) {
	lanes := newLanes[string]()
	lanes.announce("a", singleLane)
	lanes.announce("a", recordLane)
	lanes.Push("a")
	if !lanes.busy() {
		t.Error("an event waits among the records")
	}
}

func TestNothingWaitsForEver(t *testing.T) {
	lanes := newLanes[int]()
	taken := map[lane]int{}
	for i := range 10 * fairShare {
		for in := range lanesCount { // more of each than is ever taken
			item := i*int(lanesCount) + int(in)
			lanes.announce(item, in)
			lanes.Push(item)
		}
		taken[lane(lanes.Pop()%int(lanesCount))]++
	}
	if taken[bulkLane] == 0 || taken[recordLane] == 0 || taken[singleLane] < 8*fairShare {
		t.Errorf("taken from each lane: %v", taken)
	}
}

func TestABulkIsOverOnce(t *testing.T) {
	l := newLanes[int]()
	for item := range bulk - 1 {
		l.Push(item)
	}
	for l.Len() > 0 {
		l.Pop()
	}
	if l.bulkIsOver() {
		t.Error("there was none")
	}
	for item := range bulk {
		l.Push(item)
	}
	for l.Len() > 1 {
		l.Pop()
	}
	if l.bulkIsOver() {
		t.Error("an item still waits")
	}
	l.Pop()
	if !l.bulkIsOver() || l.bulkIsOver() {
		t.Error("it is not told, or told twice")
	}
}
