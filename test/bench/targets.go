package main

import "fmt"

// target is a bound on a figure, and whether it is met.
type target struct {
	Clusters int     `json:"clusters"`
	Name     string  `json:"name"`
	Figure   float64 `json:"figure"`
	Bound    float64 `json:"bound"`
	Met      bool    `json:"met"`
}

// The bounds. All times are ratios to what the host itself takes in the same run.
const (
	maxImportRatio      = 2.5
	maxEditRatio        = 2.5
	maxDeleteRatio      = 3.0
	maxCreateRatio      = 2.5
	maxRotateRatio      = 1.8
	maxTailRatio        = 2.0 // p95 to p50
	maxGrowthRatio      = 1.2 // p50 of more clusters to that of fewer
	maxTableRatio       = 1.2
	maxHostWrites       = 1
	maxOwnWrites        = 2
	maxEvents           = 1
	maxIdleCPUPercent   = 3
	maxKiBPerCluster    = 24
	maxServingSeconds   = 5
	maxStopSeconds      = 15
	maxKillSeconds      = 30
	maxSecretsMiB       = 32
	maxRefusedSecretMiB = 128
)

// judge holds the runs against the targets. What was not measured has no target.
func judge(runs []*run) []target {
	var targets []target
	var fewest *run
	for _, r := range runs {
		if r.Storage != external {
			continue
		}
		targets = append(targets, r.targets()...)
		if fewest == nil {
			fewest = r
		} else {
			targets = append(targets, growth(fewest, r)...)
		}
	}
	return targets
}

func (r *run) targets() []target {
	var targets []target
	add := func(name string, figure, bound float64) {
		targets = append(targets, newTarget(r.Clusters, name, figure, bound))
	}
	seconds := func(name, of, floor string, bound float64) {
		if p, base := r.phase(of), r.phase(floor); p != nil && base != nil && base.Seconds > 0 {
			add(name, p.Seconds/base.Seconds, bound)
		}
	}
	perCluster := func(count int) float64 { return float64(count) / float64(r.Clusters) }

	seconds("import / floor create", importPhase, floorCreate, maxImportRatio)
	if p := r.phase(importPhase); p != nil {
		add("import: writes of PediaClusters per import", perCluster(writes(p.Requests, pediaClusters.Resource)), maxHostWrites)
		add("import: own writes of lifecycles per import", perCluster(writes(p.OwnWrites, lifecycles.Resource)), maxOwnWrites)
		add("import: Events per import", perCluster(writes(p.Requests, "events")), maxEvents)
	}
	seconds("edit / floor patch", editPhase, floorPatch, maxEditRatio)
	seconds("delete / floor delete", deletePhase, floorDelete, maxDeleteRatio)
	for _, sampled := range []struct {
		of, floor string
		bound     float64
	}{{createPhase, floorCreateOne, maxCreateRatio}, {rotatePhase, floorPatchOne, maxRotateRatio}} {
		p, base := r.phase(sampled.of), r.phase(sampled.floor)
		if p == nil || base == nil {
			continue
		}
		of, floor := p.Latencies[fromAnswer], base.Latencies[fromRequest]
		if floor.P50 > 0 && of.P50 > 0 {
			add(sampled.of+" p50 / "+sampled.floor+" p50", of.P50/floor.P50, sampled.bound)
			add(sampled.of+" p95 / p50", of.P95/of.P50, maxTailRatio)
		}
	}
	for _, name := range []string{idlePhase, churnPhase} {
		if p := r.phase(name); p != nil {
			add(name+": writes", float64(writes(p.Requests, "")+writes(p.OwnWrites, "")), 0)
		}
	}
	if p := r.phase(idlePhase); p != nil && p.Seconds > 0 {
		add("idle: CPU of the server, percent of a core", 100*p.Processes[serverProcess].CPUSeconds/p.Seconds, maxIdleCPUPercent)
	}
	if p := r.phase(tablePhase); p != nil {
		add("kubectl get: lifecycles / PediaClusters",
			p.Figures["pediaclusterlifecyclesSeconds"]/p.Figures["pediaclustersSeconds"], maxTableRatio)
	}
	restart := func(name string, bound float64) {
		if p := r.phase(name); p != nil {
			add(name+": seconds until serving", p.Figures["servingSeconds"], maxServingSeconds)
			add(name+": seconds until converged", p.Figures["convergedSeconds"], bound)
			add(name+": writes of PediaClusters", p.Figures["writesBesidesCanaries"], 0)
		}
	}
	restart(stopPhase, maxStopSeconds)
	restart(killPhase, maxKillSeconds)
	peak := func(name string, bound float64) {
		if p := r.phase(name); p != nil {
			add(name+": MiB more at the peak", p.Figures["mostMiB"], bound)
		}
	}
	peak(secretsPhase, maxSecretsMiB)
	peak(refusedPhase, maxRefusedSecretMiB)
	return targets
}

// growth compares a run with one of fewer clusters.
func growth(fewer, more *run) []target {
	var targets []target
	add := func(name string, figure, bound float64) {
		targets = append(targets, newTarget(more.Clusters, fmt.Sprintf("%s, %d to %d clusters", name, fewer.Clusters, more.Clusters), figure, bound))
	}
	for _, name := range []string{createPhase, rotatePhase} {
		a, b := fewer.phase(name), more.phase(name)
		if a != nil && b != nil && a.Latencies[fromAnswer].P50 > 0 {
			add(name+" p50", b.Latencies[fromAnswer].P50/a.Latencies[fromAnswer].P50, maxGrowthRatio)
		}
	}
	if kib, ok := kibPerCluster(fewer, more); ok {
		add("memory: KiB per cluster", kib, maxKiBPerCluster)
	}
	return targets
}

// kibPerCluster is how much more memory each further cluster takes.
func kibPerCluster(fewer, more *run) (float64, bool) {
	a, b := fewer.phase(memoryPhase), more.phase(memoryPhase)
	if a == nil || b == nil || more.Clusters == fewer.Clusters {
		return 0, false
	}
	return (b.Figures["rssAnonMiB"] - a.Figures["rssAnonMiB"]) * 1024 / float64(more.Clusters-fewer.Clusters), true
}

func newTarget(clusters int, name string, figure, bound float64) target {
	return target{Clusters: clusters, Name: name, Figure: figure, Bound: bound, Met: figure <= bound}
}
