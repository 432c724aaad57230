package main

import (
	"math"
	"slices"
	"strings"
	"time"
)

// results is what the JSON file holds.
type results struct {
	Date     time.Time         `json:"date"`
	Cores    int               `json:"cores"`
	Versions map[string]string `json:"versions"`
	Runs     []*run            `json:"runs"`
	Targets  []target          `json:"targets"`
}

// run is one host, with that many clusters.
type run struct {
	Clusters int      `json:"clusters"`
	Storage  string   `json:"storage"`
	Phases   []*phase `json:"phases"`
}

// phase is what one part of a run took.
type phase struct {
	Name string `json:"name"`
	// Seconds is by the phase's own clock; what follows is counted until all is
	// quiet again.
	Seconds float64 `json:"seconds,omitempty"`
	// Latencies of single samples, by clock: from the request, or from its answer.
	Latencies map[string]quantiles `json:"latencyMilliseconds,omitempty"`
	// Figures are those that only this phase has. The unit ends the name.
	Figures map[string]float64 `json:"figures,omitempty"`
	// Requests at kube-apiserver by verb and resource (and the code of the answer, if
	// it was refused), without the benchmark's own and without watches, which are
	// counted when they end.
	Requests map[string]int `json:"requests,omitempty"`
	// OwnWrites of the server to its storage, by operation and resource.
	OwnWrites map[string]int   `json:"ownWrites,omitempty"`
	Processes map[string]usage `json:"processes,omitempty"`
}

// usage is what a process needed.
type usage struct {
	CPUSeconds float64 `json:"cpuSeconds"`
	PeakMiB    float64 `json:"peakMiB"`
}

// quantiles are in milliseconds.
type quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// The clocks of a sample.
const (
	fromRequest = "fromRequest"
	fromAnswer  = "fromAnswer"
)

// summarize returns the quantiles by nearest rank, zero for no samples.
func summarize(samples []time.Duration) quantiles {
	if len(samples) == 0 {
		return quantiles{}
	}
	sorted := slices.Sorted(slices.Values(samples))
	at := func(percent float64) float64 {
		rank := int(math.Ceil(percent / 100 * float64(len(sorted))))
		return float64(sorted[rank-1]) / float64(time.Millisecond)
	}
	return quantiles{P50: at(50), P95: at(95), P99: at(99)}
}

// phase returns the phase of that name, nil when it was not run.
func (r *run) phase(name string) *phase {
	if i := slices.IndexFunc(r.Phases, func(p *phase) bool { return p.Name == name }); i >= 0 {
		return r.Phases[i]
	}
	return nil
}

// writes sums up the writes to a resource, its subresources included; without a
// resource those to all but Leases. What was refused is not written, nor are
// reviews, which are only answered.
func writes(requests map[string]int, resource string) int {
	sum := 0
	for key, count := range requests {
		verb, of, _ := strings.Cut(key, " ")
		of, _, _ = strings.Cut(of, "/")
		switch {
		case verb == "GET" || verb == "LIST" || of == "leases" || strings.HasSuffix(of, "reviews") || strings.HasSuffix(key, ")"):
		case resource == "" || of == resource:
			sum += count
		}
	}
	return sum
}
