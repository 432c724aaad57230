package render

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// namedLifecycles reads lifecycles from words such as "a" (has a PediaCluster),
// "a!" (has none), "a-" (is being deleted) and "a!-". They are in the order of their
// creation.
func namedLifecycles(words string) (lifecycles []NamedLifecycle) {
	for i, word := range strings.Fields(words) {
		lifecycles = append(lifecycles, NamedLifecycle{
			Name: strings.TrimRight(word, "!-"), Created: time.Unix(int64(i), 0),
			HasPediaCluster: !strings.Contains(word, "!"), Deleting: strings.Contains(word, "-"),
		})
	}
	return lifecycles
}

func TestChooseName(t *testing.T) {
	for _, test := range []struct {
		name, wanted, lifecycles string
		want                     Naming
	}{
		{"the first", "a", "", Naming{Name: "a"}},
		{"as it was", "a", "a", Naming{Name: "a"}},
		{"a rename", "b", "a", Naming{Name: "b"}},
		{"a rename of what has no PediaCluster", "b", "a!", Naming{Name: "b"}},
		{"a rename while the former one is being deleted", "b", "a-", Naming{Name: "b"}},
		{"the new one of two", "b", "a b", Naming{Name: "b"}},
		{"a return to the former of two", "a", "a b", Naming{Name: "a"}},
		{"a return to what is being deleted", "a", "a-", Naming{Name: "a"}},
		{"a return to what is being deleted, beside one that is kept", "a", "a- b", Naming{Name: "b", Behind: "a"}},
		{"a return to what is being deleted, beside one that never was", "a", "a- b!", Naming{Name: "a"}},
		{"a third while the former is held", "c", "a b", Naming{Name: "b", Behind: "a"}},
		{"a third while the former is being deleted", "c", "a- b", Naming{Name: "b", Behind: "a"}},
		{"a third while the new one is being deleted", "c", "a b-", Naming{Name: "a", Behind: "b"}},
		{"a mistake is corrected", "c", "a b!", Naming{Name: "a", Behind: "b", First: []string{"b"}}},
		{"a mistake that hangs is waited for", "c", "a b!-", Naming{Name: "a", Behind: "b", First: []string{"b"}}},
		{"two mistakes", "c", "a! b!", Naming{Behind: "a", First: []string{"a", "b"}}},
		{"the former without a PediaCluster hangs", "c", "a!- b", Naming{Name: "b", Behind: "a", First: []string{"a"}}},
		{"both are being deleted", "c", "a- b-", Naming{Behind: "a", First: []string{"a"}}},
		{"one goes, the other is a mistake", "c", "a- b!", Naming{Behind: "b", First: []string{"b"}}},
		{"many, as an older release left them", "x", "a b c d!", Naming{Name: "c", Behind: "d", First: []string{"d"}}},
		{"many, all with a PediaCluster", "x", "a b c", Naming{Name: "c", Behind: "a"}},
		{"many, and one of them is wanted", "b", "a b c", Naming{Name: "b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			lifecycles := namedLifecycles(test.lifecycles)
			slices.Reverse(lifecycles) // the order in which they are given does not matter
			if diff := cmp.Diff(test.want, ChooseName(test.wanted, lifecycles)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// However a name changes, and whatever becomes of lifecycles and PediaClusters
// meanwhile: there are never more than two lifecycles, the one that is worked on is
// there or may be made, and nothing is taken away that has a PediaCluster, unless all
// that there is goes already.
func TestASourceHasTwoLifecyclesAtMost(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 16))
	var lifecycles []NamedLifecycle
	for step := range 10_000 {
		wanted := fmt.Sprintf("n%d", random.IntN(6))
		naming := ChooseName(wanted, lifecycles)
		for _, first := range naming.First {
			at := slices.IndexFunc(lifecycles, func(l NamedLifecycle) bool { return l.Name == first })
			alive := slices.ContainsFunc(lifecycles, func(l NamedLifecycle) bool { return l.HasPediaCluster && !l.Deleting })
			switch victim := lifecycles[at]; {
			case victim.HasPediaCluster && alive:
				t.Fatalf("step %d: %s goes first though it has a PediaCluster: %+v", step, first, lifecycles)
			case victim.Deleting && random.IntN(2) == 0: // it hangs
			default:
				lifecycles = slices.Delete(lifecycles, at, at+1)
			}
		}
		at := slices.IndexFunc(lifecycles, func(l NamedLifecycle) bool { return l.Name == naming.Name })
		switch {
		case naming.Name == "":
		case at < 0 && len(naming.First) == 0:
			lifecycles = append(lifecycles, NamedLifecycle{Name: naming.Name, Created: time.Unix(int64(step), 0)})
		case at < 0:
			t.Fatalf("step %d: %q is worked on before others have gone", step, naming.Name)
		case random.IntN(2) == 0:
			lifecycles[at].HasPediaCluster = true
		}
		if len(lifecycles) > 2 {
			t.Fatalf("step %d: %q made a third lifecycle: %+v", step, wanted, lifecycles)
		}
		for i := range lifecycles {
			if random.IntN(10) == 0 {
				lifecycles[i].Deleting = true
			}
			if lifecycles[i].Deleting && random.IntN(3) == 0 {
				lifecycles[i].HasPediaCluster = false
			}
		}
		lifecycles = slices.DeleteFunc(lifecycles, func(l NamedLifecycle) bool {
			return l.Deleting && !l.HasPediaCluster && random.IntN(3) == 0
		})
	}
}
