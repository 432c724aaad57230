package memory

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	one    = Import{Policy: "p", Name: "one"}
	two    = Import{Policy: "p", Name: "two"}
	secret = Object{GroupResource: schema.GroupResource{Resource: "secrets"}, Namespace: "default", Name: "shared"}
	other  = Object{GroupResource: schema.GroupResource{Resource: "secrets"}, Namespace: "default", Name: "other"}
)

func TestAnObjectConcernsTheImportsThatReadIt(t *testing.T) {
	x := New()
	x.SetReads(one, []Object{secret})
	x.SetReads(two, []Object{secret, other})
	if diff := cmp.Diff([]Import{one, two}, x.Readers(secret)); diff != "" {
		t.Errorf("readers of the shared object (-want +got):\n%s", diff)
	}

	x.SetReads(one, []Object{other})
	if diff := cmp.Diff([]Import{two}, x.Readers(secret)); diff != "" {
		t.Errorf("after one of them reads another object (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Import{two, one}, x.Readers(other)); diff != "" {
		t.Errorf("readers of the other object (-want +got):\n%s", diff)
	}
}

func TestAReadCountsFromTheMomentItIsAnnounced(t *testing.T) {
	x := New()
	x.SetReads(one, []Object{secret})
	x.AddRead(one, other)
	x.AddRead(one, other)
	for _, object := range []Object{secret, other} {
		if diff := cmp.Diff([]Import{one}, x.Readers(object)); diff != "" {
			t.Errorf("readers of %v (-want +got):\n%s", object, diff)
		}
	}
	x.SetReads(one, []Object{other})
	if readers := x.Readers(secret); len(readers) > 0 {
		t.Errorf("the object that is no longer read has the readers %v", readers)
	}
}

func TestAReservedNameIsKeptUntilItsImportHasBeenWorkedOn(t *testing.T) {
	x := New()
	x.Reserve("a", one)
	if keeper, ok := x.ReservedFor("a"); !ok || keeper != one {
		t.Errorf("the name is kept for %v, %t", keeper, ok)
	}
	if names := x.Unreserve(two); names != nil {
		t.Errorf("another import gives %v free", names)
	}
	if diff := cmp.Diff([]string{"a"}, x.Unreserve(one)); diff != "" {
		t.Errorf("names given free (-want +got):\n%s", diff)
	}
	if _, ok := x.ReservedFor("a"); ok {
		t.Error("the name is still kept")
	}
}

func TestANameIsReservedForTheLastWhoDoesSo(t *testing.T) {
	x := New()
	x.Reserve("a", one)
	x.Reserve("b", one)
	x.Reserve("a", two)
	if holder, _ := x.ReservedFor("a"); holder != two {
		t.Errorf("it is reserved for %v", holder)
	}
	if diff := cmp.Diff([]string{"b"}, x.Unreserve(one)); diff != "" {
		t.Errorf("names given free by the former one (-want +got):\n%s", diff)
	}
	if holder, ok := x.ReservedFor("a"); !ok || holder != two {
		t.Errorf("afterwards it is reserved for %v, %t", holder, ok)
	}
}

func TestNothingIsKeptOfAnImportThatIsForgotten(t *testing.T) {
	x := New()
	x.SetReads(one, []Object{secret, other})
	x.WaitFor(one, "name")
	x.Reserve("reserved", one)
	x.SetDeletionSeen(one, true)
	x.Change(one, time.Now())
	x.Begin(one)
	if diff := cmp.Diff([]string{"name", "reserved"}, x.Forget(one)); diff != "" {
		t.Errorf("names that others may have now (-want +got):\n%s", diff)
	}
	if left := len(x.imports) + len(x.readers) + len(x.waiters) + len(x.reserved); left != 0 {
		t.Errorf("%d entries left", left)
	}
	if freed := x.Forget(one); freed != nil {
		t.Errorf("forgetting it again frees %v", freed)
	}
}

func TestANameTellsWhoWouldHaveIt(t *testing.T) {
	x := New()
	if diff := cmp.Diff([]string{"a"}, x.WaitFor(one, "a")); diff != "" {
		t.Errorf("changed names (-want +got):\n%s", diff)
	}
	x.WaitFor(two, "a")
	if diff := cmp.Diff([]Import{one, two}, x.Waiters("a")); diff != "" {
		t.Errorf("waiters (-want +got):\n%s", diff)
	}
	if changed := x.WaitFor(two, "a"); changed != nil {
		t.Errorf("wanting the same name again changed %v", changed)
	}
	if diff := cmp.Diff([]string{"a", "b"}, x.WaitFor(one, "b")); diff != "" {
		t.Errorf("changed names after wanting another (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Import{two}, x.Waiters("a")); diff != "" {
		t.Errorf("waiters afterwards (-want +got):\n%s", diff)
	}
}

func TestADeletionIsSeenUntilSaidOtherwise(t *testing.T) {
	x := New()
	x.SetDeletionSeen(one, false)
	if len(x.imports) != 0 {
		t.Error("an entry is made to say nothing")
	}
	for _, seen := range []bool{true, false, true} {
		x.SetDeletionSeen(one, seen)
		if got := x.DeletionSeen(one); got != seen || x.DeletionSeen(two) {
			t.Errorf("the deletion is seen: %t, want %t; of another import: %t", got, seen, x.DeletionSeen(two))
		}
	}
}

func TestTheFirstChangeSinceTheLastPassCounts(t *testing.T) {
	x, first := New(), time.Unix(1_000, 0)
	if since := x.TakeChange(one); !since.IsZero() {
		t.Errorf("before any change: %v", since)
	}
	for _, at := range []time.Time{first.Add(time.Second), first, {}, first.Add(time.Minute)} {
		x.Change(one, at)
	}
	if since := x.TakeChange(one); !since.Equal(first) {
		t.Errorf("the first change is %v", since)
	}
	if since := x.TakeChange(one); !since.IsZero() {
		t.Errorf("it is taken again: %v", since)
	}
}

func TestWhatAPassLeavesIsForgottenWhenSomethingHappens(t *testing.T) {
	result := &Settled{PediaCluster: "7"}
	for name, test := range map[string]struct {
		during, after func(m *Memory)
		want          *Settled
	}{
		"nothing":                   {want: result},
		"another import, meanwhile": {during: func(m *Memory) { m.Invalidate(two) }, want: result},
		"an event, meanwhile":       {during: func(m *Memory) { m.Invalidate(one) }},
		"an event, later":           {after: func(m *Memory) { m.Invalidate(one) }},
		"a pass that is under way":  {after: func(m *Memory) { m.Begin(one) }},
		"a pass that left work":     {after: func(m *Memory) { pass, _ := m.Begin(one); m.End(one, pass, nil) }},
		"a pass that overtook":      {during: func(m *Memory) { pass, _ := m.Begin(one); m.End(one, pass, nil) }},
		"its end":                   {during: func(m *Memory) { m.Forget(one) }},
	} {
		t.Run(name, func(t *testing.T) {
			m := New()
			pass, _ := m.Begin(one)
			if test.during != nil {
				test.during(m)
			}
			m.End(one, pass, result)
			if test.after != nil {
				test.after(m)
			}
			if _, got := m.Begin(one); got != test.want {
				t.Errorf("the last pass left %v, want %v", got, test.want)
			}
		})
	}
}

func TestWhatIsSettledFollowsTheRecordThatIsWrittenBehind(t *testing.T) {
	m := New()
	i := Import{Policy: "p", Name: "a"}
	m.Rewritten(i, "1", "2") // nothing is known of it
	begun, _ := m.Begin(i)
	m.Rewritten(i, "1", "2") // the pass has not ended
	m.End(i, begun, &Settled{Lifecycle: "1"})
	if _, last := m.Begin(i); !m.Matches(last, Settled{Lifecycle: "2"}) {
		t.Error("it does not follow what was written before the pass ended")
	}
	begun, _ = m.Begin(i)
	m.End(i, begun, &Settled{Lifecycle: "1"})
	m.Rewritten(i, "0", "2") // another version than the one that is settled
	if _, last := m.Begin(i); !m.Matches(last, Settled{Lifecycle: "1"}) {
		t.Error("it follows another version")
	}
	begun, _ = m.Begin(i)
	m.End(i, begun, &Settled{Lifecycle: "1"})
	m.Rewritten(i, "1", "2")
	if _, last := m.Begin(i); !m.Matches(last, Settled{Lifecycle: "2"}) {
		t.Error("it does not follow")
	}
}

// Every version that a pass is settled at counts: one that is forgotten in the comparison
// would be a change that is missed.
func TestEveryVersionCountsInWhatIsSettled(t *testing.T) {
	m := New()
	left := Settled{Lifecycle: "lc/1", Source: "5", PediaCluster: "100"}
	if !m.Matches(&left, Settled{Lifecycle: "lc/1", Source: "5", PediaCluster: "100"}) {
		t.Fatal("the same versions differ")
	}
	for field := range reflect.TypeFor[Settled]().Fields() {
		// What a pass began with, what is part of Source, and what changes with the policy alone.
		if !field.IsExported() || field.Name == "Before" || field.Name == "Parts" || field.Name == "Types" {
			continue
		}
		now := Settled{Lifecycle: "lc/1", Source: "5", PediaCluster: "100"}
		reflect.ValueOf(&now).Elem().FieldByIndex(field.Index).SetString("another")
		if before := left; m.Matches(&before, now) {
			t.Errorf("another %s makes no difference", field.Name)
		}
	}
	if m.Matches(nil, left) {
		t.Error("nothing is settled, and it is the same")
	}
}

// Of a Source in another version only the parts matter, if it is known which ones do.
func TestOfASourceOnlyItsPartsMatter(t *testing.T) {
	m := New()
	left := Settled{Lifecycle: "lc/1", Source: "5", Parts: "parts", PediaCluster: "100"}
	now := left
	now.Source = "6"
	if settled := left; !m.MatchesButForSource(&settled, now) || !m.Matches(&settled, now) || m.Matches(&settled, left) {
		t.Error("what is settled does not count for the new version, or still for the former")
	}
	for field := range reflect.TypeFor[Settled]().Fields() {
		if !field.IsExported() || field.Name == "Before" || field.Name == "Source" || field.Name == "Types" {
			continue
		}
		other, settled := now, left
		reflect.ValueOf(&other).Elem().FieldByIndex(field.Index).SetString("another")
		if m.MatchesButForSource(&settled, other) {
			t.Errorf("another %s makes no difference", field.Name)
		}
	}
	left.Parts, now.Parts = "", ""
	if m.MatchesButForSource(&left, now) || m.MatchesButForSource(nil, now) {
		t.Error("nothing is known of the parts, and they are the same")
	}
}

func TestWhatAPassReplacedIsOldUntilTheInformerHasShownTheResult(t *testing.T) {
	m := New()
	pass, _ := m.Begin(one)
	m.End(one, pass, &Settled{PediaCluster: "101", Before: "100"})
	for _, version := range []struct {
		shown   string
		settled bool
	}{{"100", true}, {"80", false}, {"", false}, {"101", true}, {"100", false}, {"102", false}, {"101", true}} {
		if got := m.IsSettled(one, version.shown); got != version.settled {
			t.Errorf("version %q: %v, want %v", version.shown, got, version.settled)
		}
	}
	if m.IsSettled(two, "101") {
		t.Error("an import without a pass is settled")
	}
}

func TestOnlyWhatTheInformerHasNotShownForLongIsOverdue(t *testing.T) {
	m := New()
	for i, settled := range map[Import]*Settled{one: {PediaCluster: "1"}, two: {PediaCluster: "2"}} {
		pass, _ := m.Begin(i)
		m.End(i, pass, settled)
	}
	m.IsSettled(two, "2") // shown
	if overdue := m.Overdue(); overdue != nil {
		t.Errorf("overdue at once: %v", overdue)
	}
	if diff := cmp.Diff([]Import{one}, m.Overdue()); diff != "" {
		t.Errorf("overdue (-want +got):\n%s", diff)
	}
}
