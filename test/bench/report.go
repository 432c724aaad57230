package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// columns are the processes of the table, with their headings.
var columns = []struct{ process, heading string }{
	{hostProcess, "apiserver"}, {"etcd", "etcd"}, {"kube-controller-manager", "kcm"},
	{serverProcess, "server"}, {"storage-0", "its etcd"}, {"benchmark", "bench"},
}

// print writes everything for people: what it cost, what was asked, and the targets.
func (r results) print(out io.Writer) {
	fmt.Fprintf(out, "%s, %d cores", r.Date.Format(time.DateTime), r.Cores)
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(out, ", %s %s", name, r.Versions[name])
	}
	fmt.Fprintln(out)
	for _, run := range r.Runs {
		run.print(out)
	}
	r.printMemory(out)

	fmt.Fprintln(out, "\nTARGETS")
	w := newTable(out)
	fmt.Fprintln(w, "CLUSTERS\tTARGET\tFIGURE\tBOUND\t")
	for _, t := range r.Targets {
		met := "met"
		if !t.Met {
			met = "NOT met"
		}
		fmt.Fprintf(w, "%d\t%s\t%.2f\t%.4g\t%s\n", t.Clusters, t.Name, t.Figure, t.Bound, met)
	}
	_ = w.Flush()
}

func newTable(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) }

func (r *run) print(out io.Writer) {
	fmt.Fprintf(out, "\n%d CLUSTERS, %s storage: seconds, milliseconds, CPU seconds / peak MiB of each process\n", r.Clusters, r.Storage)
	w := newTable(out)
	fmt.Fprint(w, "PHASE\tS\tP50\tP95\tP99")
	for _, column := range columns {
		fmt.Fprint(w, "\t", strings.ToUpper(column.heading))
	}
	fmt.Fprintln(w)
	for _, p := range r.Phases {
		first := p.Latencies[fromAnswer]
		if first == (quantiles{}) {
			first = p.Latencies[fromRequest]
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s", p.Name, number(p.Seconds, 2), number(first.P50, 1), number(first.P95, 1), number(first.P99, 1))
		for _, column := range columns {
			if used, ok := p.Processes[column.process]; ok {
				fmt.Fprintf(w, "\t%.1f / %.0f", used.CPUSeconds, used.PeakMiB)
			} else {
				fmt.Fprint(w, "\t-")
			}
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	fmt.Fprintln(out, "create and rotate: from the answer to the write until the PediaCluster was seen")

	w = newTable(out)
	fmt.Fprintln(w, "\nPHASE\tREQUESTS AT THE HOST, OWN WRITES, FURTHER FIGURES")
	for _, p := range r.Phases {
		fmt.Fprintf(w, "%s\thost: %s\n", p.Name, counts(p.Requests))
		if len(p.OwnWrites) > 0 {
			fmt.Fprintf(w, "\town: %s\n", counts(p.OwnWrites))
		}
		if q, ok := p.Latencies[fromRequest]; ok && len(p.Latencies) > 1 {
			fmt.Fprintf(w, "\tfrom the request: p50 %.1f, p95 %.1f, p99 %.1f ms\n", q.P50, q.P95, q.P99)
		}
		var figures []string
		for _, name := range slices.Sorted(maps.Keys(p.Figures)) {
			figures = append(figures, fmt.Sprintf("%s %.2f", name, p.Figures[name]))
		}
		if len(figures) > 0 {
			fmt.Fprintf(w, "\t%s\n", strings.Join(figures, ", "))
		}
	}
	_ = w.Flush()
}

// printMemory compares runs of the same storage.
func (r results) printMemory(out io.Writer) {
	for _, storage := range []string{external, embedded} {
		var fewest *run
		for _, run := range r.Runs {
			switch {
			case run.Storage != storage:
			case fewest == nil:
				fewest = run
			default:
				if kib, ok := kibPerCluster(fewest, run); ok {
					fmt.Fprintf(out, "\nmemory, %s storage: %.1f KiB per cluster between %d and %d clusters\n", storage, kib, fewest.Clusters, run.Clusters)
				}
			}
		}
	}
}

// number is empty for what was not measured.
func number(value float64, digits int) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, value)
}

func counts(requests map[string]int) string {
	if len(requests) == 0 {
		return "none"
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(requests)) {
		all = append(all, fmt.Sprintf("%s %d", key, requests[key]))
	}
	return strings.Join(all, ", ")
}
