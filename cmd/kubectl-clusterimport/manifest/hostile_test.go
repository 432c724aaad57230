package manifest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestWhatIsMadeToTakeTooMuchIsRefused reads documents that are small and would take a
// lot of memory or time.
func TestWhatIsMadeToTakeTooMuchIsRefused(t *testing.T) {
	const head = "apiVersion: v1\nkind: ConfigMap\n"
	var laughs strings.Builder
	laughs.WriteString(head + "a0: &a0 [lol, lol, lol]\n")
	for i := range 12 {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for name, test := range map[string]struct{ text, want string }{
		"aliases of a large text": {head + "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a, ", 1<<12) + "]\n",
			"f:4:65: *a: the aliases of the document repeat more than 16 MiB"},
		"aliases of aliases": {laughs.String(), "the aliases of the document repeat more than 16 MiB"},
		"an alias of itself": {head + "a: &a [*a]\n", "no YAML: "},
		"Lists in Lists": {strings.Repeat("{apiVersion: v1, kind: List, items: [", 4000) + strings.Repeat("]}", 4000),
			"more than 10 Lists are in one another"},
		"lists in lists":       {head + "a: " + strings.Repeat("[", 1<<16), "no YAML: "},
		"mappings in mappings": {head + "a: " + strings.Repeat("{a: ", 1<<16), "no YAML: "},
	} {
		t.Run(name, func(t *testing.T) {
			allocated := allocates(func() {
				objects, err := Parse("f", []byte(test.text))
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%d objects, error %.200v; want %q", len(objects), err, test.want)
				}
			})
			if allocated > 1<<28 {
				t.Errorf("it allocated %d MiB", allocated>>20)
			}
		})
	}
}

func TestDeepAndWideDocumentsTakeTheirSize(t *testing.T) {
	const depth, width = 4000, 20_000
	var text strings.Builder
	text.WriteString("apiVersion: v1\nkind: ConfigMap\ndeep: " + strings.Repeat("{deep: ", depth) + "{")
	for i := range width {
		fmt.Fprintf(&text, "k%d: 1, ", i%(width/2))
	}
	text.WriteString("}" + strings.Repeat("}", depth) + "\n")
	allocated := allocates(func() {
		objects, err := Parse("f", []byte(text.String()))
		if err != nil || len(objects) != 1 {
			t.Fatalf("%d objects: %v", len(objects), err)
		}
		if got := objects[0].Duplicates; len(got) != maxDuplicates || !strings.HasSuffix(got[0], ".deep.k0") {
			t.Errorf("%d duplicates", len(got))
		}
	})
	if allocated > 1<<28 {
		t.Errorf("it allocated %d MiB", allocated>>20)
	}
}

func TestAliasesOfOrdinarySizeAreRead(t *testing.T) {
	objects, err := Parse("f", []byte("apiVersion: v1\nkind: ConfigMap\na: &a {x: z}\nb: *a\nc: [*a, *a]\n"))
	if err != nil || len(objects) != 1 || !strings.Contains(string(objects[0].JSON), `"c":[{"x":"z"},{"x":"z"}]`) {
		t.Errorf("%v: %v", objects, err)
	}
}

// allocates is how many bytes the function allocates.
func allocates(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
