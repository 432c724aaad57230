package memory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestASetHasEachMemberOnceHoweverManyThereAre(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s, want := &set{}, map[Import]bool{}
	for step := range 5_000 {
		i := Import{Policy: "p", Name: fmt.Sprint(random.IntN(3 * fewMembers))}
		if random.IntN(2) == 0 {
			s.add(i)
			want[i] = true
		} else {
			delete(want, i)
			if empty := s.remove(i); empty != (len(want) == 0) {
				t.Fatalf("step %d: empty is %t with %d members", step, empty, len(want))
			}
		}
		got := s.list()
		if len(got) != len(want) || slices.ContainsFunc(got, func(i Import) bool { return !want[i] }) {
			t.Fatalf("step %d: members %v, want %v", step, got, want)
		}
	}
}

func TestTheFirstMemberStaysTheFirstUntilItIsRemoved(t *testing.T) {
	s := &set{}
	for n := range 4 * fewMembers {
		s.add(Import{Name: fmt.Sprint(n)})
	}
	for n := 1; n < 3*fewMembers; n++ {
		s.remove(Import{Name: fmt.Sprint(n)})
		if first := s.list()[0]; first.Name != "0" {
			t.Fatalf("after the removal of %d the first is %s", n, first.Name)
		}
	}
}
