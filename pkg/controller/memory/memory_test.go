package memory

import (
	"testing"

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

func TestNothingIsKeptOfAnImportThatReadsNothing(t *testing.T) {
	x := New()
	x.SetReads(one, []Object{secret, other})
	x.SetWants(one, "name")
	x.SetReads(one, nil)
	x.SetWants(one, "")
	if left := len(x.reads) + len(x.readers) + len(x.wants) + len(x.contenders); left != 0 {
		t.Errorf("%d entries left", left)
	}
}

func TestANameTellsWhoWouldHaveIt(t *testing.T) {
	x := New()
	if diff := cmp.Diff([]string{"a"}, x.SetWants(one, "a")); diff != "" {
		t.Errorf("changed names (-want +got):\n%s", diff)
	}
	x.SetWants(two, "a")
	if diff := cmp.Diff([]Import{one, two}, x.Contenders("a")); diff != "" {
		t.Errorf("contenders (-want +got):\n%s", diff)
	}
	if changed := x.SetWants(two, "a"); changed != nil {
		t.Errorf("wanting the same name again changed %v", changed)
	}
	if diff := cmp.Diff([]string{"a", "b"}, x.SetWants(one, "b")); diff != "" {
		t.Errorf("changed names after wanting another (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Import{two}, x.Contenders("a")); diff != "" {
		t.Errorf("contenders afterwards (-want +got):\n%s", diff)
	}
}

func TestOfTwoPoliciesOneTakesASource(t *testing.T) {
	x := New()
	source := Object{Name: "one"}
	first, second := Import{Policy: "a", Name: "one"}, Import{Policy: "b", Name: "one"}
	if _, ok := x.Take(source, first); !ok {
		t.Error("nobody has it, and it cannot be taken")
	}
	if _, ok := x.Take(source, first); !ok {
		t.Error("who has it cannot take it again")
	}
	if taker, ok := x.Take(source, second); ok || taker != first {
		t.Errorf("it is taken from who has it: %v, %t", taker, ok)
	}
	x.Leave(second)
	if _, ok := x.Take(source, second); ok {
		t.Error("it was given back by who did not have it")
	}
	x.Leave(first)
	if _, ok := x.Take(source, second); !ok {
		t.Error("it was given back and cannot be taken")
	}
}
