package faults

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// report is what is printed at the end, whether the tests have passed or not.
var report struct {
	mu     sync.Mutex
	faults []recovery
	checks int // of one PediaCluster or one acknowledged write
	acked  int // writes that the API acknowledged
	gone   int // PediaClusters that went, as they should
	notes  []string
}

// recovery is how long it took after one fault until a write through our API
// succeeded, and until a change made after the fault was imported.
type recovery struct {
	fault        string
	api, imports time.Duration
}

func TestMain(m *testing.M) {
	began := time.Now()
	code := m.Run()
	printReport(time.Since(began))
	os.Exit(code)
}

func note(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf(format, args...)
	report.mu.Lock()
	defer report.mu.Unlock()
	report.notes = append(report.notes, fmt.Sprintf(format, args...))
}

func printReport(took time.Duration) {
	report.mu.Lock()
	defer report.mu.Unlock()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nFAULT\tAPI AGAIN AFTER\tIMPORTS AGAIN AFTER")
	byKind := map[string][]recovery{}
	var kinds []string
	for _, r := range report.faults {
		fmt.Fprintf(table, "%s\t%.1fs\t%.1fs\n", r.fault, r.api.Seconds(), r.imports.Seconds())
		kind, _, _ := strings.Cut(r.fault, " #")
		if byKind[kind] == nil {
			kinds = append(kinds, kind)
		}
		byKind[kind] = append(byKind[kind], r)
	}
	fmt.Fprintln(table, "\nKIND\tTIMES\tAPI: MEDIAN, LONGEST\tIMPORTS: MEDIAN, LONGEST")
	for _, kind := range kinds {
		var api, imports []time.Duration
		for _, r := range byKind[kind] {
			api, imports = append(api, r.api), append(imports, r.imports)
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", kind, len(api), spread(api), spread(imports))
	}
	_ = table.Flush()
	fmt.Println()
	for _, text := range report.notes {
		fmt.Println("-", text)
	}
	fmt.Printf("\n%d faults, %d comparisons, %d acknowledged writes, %d PediaClusters deleted as they should be; %.0fs\n",
		len(report.faults), report.checks, report.acked, report.gone, took.Seconds())
}

func spread(times []time.Duration) string {
	slices.Sort(times)
	return fmt.Sprintf("%.1fs, %.1fs", times[len(times)/2].Seconds(), times[len(times)-1].Seconds())
}
