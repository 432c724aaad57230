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

// The bounds. All times are ratios to what the host itself takes in the same run,
// for the bare PediaClusters (the floor) or for the whole work (the limit).
const (
	maxImportRatio      = 2.5
	maxEditRatio        = 1.5
	maxRolloutRatio     = 1.5
	maxDeleteRatio      = 4.3
	maxLimitRatio       = 1.3
	maxImportCPURatio   = 1.8 // of the server to kube-apiserver's for a bare creation
	maxCreateRatio      = 2.5
	maxRotateRatio      = 1.8
	maxTailRatio        = 2.0 // p95 to p50
	maxGrowthRatio      = 1.2 // p50 of more clusters to that of fewer
	maxTableRatio       = 1.2
	maxHostWrites       = 1
	maxImportOwnWrites  = 2
	maxOwnWrites        = 1 // of an edit, of a removal, and of a Source that waits
	maxRolloutOwnWrites = 2 // the revision before the host is written, and what came of it after
	maxEvents           = 1
	maxCreateCPUSeconds = 1.0 // of 100 single creations
	maxUpdateCPU        = 1.0 // milliseconds for an update of a Source that changes nothing
	maxIdleCPUPercent   = 3
	maxKiBPerCluster    = 18
	maxServingSeconds   = 5
	maxStopSeconds      = 10
	maxKillSeconds      = 30
	maxSecretsMiB       = 32
	maxRefusedSecretMiB = 128
)

// fewClusters is up to how many imported clusters the CPU time of single creations
// has a bound: garbage collection costs more where more is held.
const fewClusters = 1000

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
	s := &sheet{run: r}
	s.ratios()
	s.costs()
	s.samples()
	s.rest()
	if p := r.phase(tablePhase); p != nil {
		s.add("kubectl get: lifecycles / PediaClusters",
			p.Figures["pediaclusterlifecyclesSeconds"]/p.Figures["pediaclustersSeconds"], maxTableRatio)
	}
	s.restart(stopPhase, maxStopSeconds)
	s.restart(killPhase, maxKillSeconds)
	s.peak(secretsPhase, maxSecretsMiB)
	s.peak(refusedPhase, maxRefusedSecretMiB)
	return s.targets
}

// sheet holds one run against its targets.
type sheet struct {
	*run
	targets []target
}

func (s *sheet) add(name string, figure, bound float64) {
	s.targets = append(s.targets, newTarget(s.Clusters, name, figure, bound))
}

// perCluster adds how many writes to a resource came to each cluster of a phase.
func (s *sheet) perCluster(name string, requests map[string]int, resource string, bound float64) {
	s.add(name, float64(writes(requests, resource))/float64(s.Clusters), bound)
}

// ratios compares bulk work with what the host takes for it.
func (s *sheet) ratios() {
	for _, t := range []struct {
		name, of, base string
		bound          float64
	}{
		{"import / floor create", importPhase, floorCreate, maxImportRatio},
		{"import / limit", importPhase, limitImport, maxLimitRatio},
		{"edit / floor patch", editPhase, floorPatch, maxEditRatio},
		{"edit / limit", editPhase, limitEdit, maxLimitRatio},
		{"rollout / edit", rolloutPhase, editPhase, maxRolloutRatio},
		{"delete / floor delete", deletePhase, floorDelete, maxDeleteRatio},
		{"delete / limit", deletePhase, limitDelete, maxLimitRatio},
	} {
		if p, base := s.phase(t.of), s.phase(t.base); p != nil && base != nil && base.Seconds > 0 {
			s.add(t.name, p.Seconds/base.Seconds, t.bound)
		}
	}
}

// costs is what each change takes: writes, and CPU time.
func (s *sheet) costs() {
	if p := s.phase(importPhase); p != nil {
		if base := s.phase(floorCreate); base != nil && base.Processes[hostProcess].CPUSeconds > 0 {
			s.add("import: CPU of the server / CPU of kube-apiserver per bare creation",
				p.Processes[serverProcess].CPUSeconds/base.Processes[hostProcess].CPUSeconds, maxImportCPURatio)
		}
		s.perCluster("import: writes of PediaClusters per import", p.Requests, pediaClusters.Resource, maxHostWrites)
		s.perCluster("import: own writes of lifecycles per import", p.OwnWrites, lifecycles.Resource, maxImportOwnWrites)
		s.perCluster("import: Events per import", p.Requests, "events", maxEvents)
	}
	if p := s.phase(editPhase); p != nil {
		s.perCluster("edit: own writes of lifecycles per edit", p.OwnWrites, lifecycles.Resource, maxOwnWrites)
	}
	if p := s.phase(rolloutPhase); p != nil {
		s.perCluster("rollout: own writes of lifecycles per edit", p.OwnWrites, lifecycles.Resource, maxRolloutOwnWrites)
	}
	if p := s.phase(deletePhase); p != nil {
		s.perCluster("delete: own writes of lifecycles per removal", p.OwnWrites, lifecycles.Resource, maxOwnWrites)
	}
	if p := s.phase(waitPhase); p != nil && p.Figures["samples"] > 0 {
		s.add("wait: own writes of lifecycles per Source that waits",
			float64(writes(p.OwnWrites, lifecycles.Resource))/p.Figures["samples"], maxOwnWrites)
	}
	if p := s.phase(createPhase); p != nil && p.Figures["samples"] > 0 && s.Clusters <= fewClusters {
		s.add("create: CPU seconds of the server for 100 single creations",
			100*p.Processes[serverProcess].CPUSeconds/p.Figures["samples"], maxCreateCPUSeconds)
	}
	if p := s.phase(churnPhase); p != nil && p.Figures["updates"] > 0 {
		s.add("churn: CPU milliseconds of the server per update of a Source",
			1000*p.Processes[serverProcess].CPUSeconds/p.Figures["updates"], maxUpdateCPU)
		s.add("churn: GETs of Secrets", float64(p.Requests["GET secrets"]), 0)
	}
}

// samples compares single changes with single requests of the floor.
func (s *sheet) samples() {
	for _, sampled := range []struct {
		of, floor string
		bound     float64
	}{{createPhase, floorCreateOne, maxCreateRatio}, {rotatePhase, floorPatchOne, maxRotateRatio}} {
		p, base := s.phase(sampled.of), s.phase(sampled.floor)
		if p == nil || base == nil {
			continue
		}
		of, floor := p.Latencies[fromAnswer], base.Latencies[fromRequest]
		if floor.P50 > 0 && of.P50 > 0 {
			s.add(sampled.of+" p50 / "+sampled.floor+" p50", of.P50/floor.P50, sampled.bound)
			s.add(sampled.of+" p95 / p50", of.P95/of.P50, maxTailRatio)
		}
	}
}

// rest is what is done while there is nothing to do.
func (s *sheet) rest() {
	for _, name := range []string{idlePhase, churnPhase} {
		if p := s.phase(name); p != nil {
			s.add(name+": writes", float64(writes(p.Requests, "")+writes(p.OwnWrites, "")), 0)
		}
	}
	if p := s.phase(idlePhase); p != nil && p.Seconds > 0 {
		s.add("idle: CPU of the server, percent of a core", 100*p.Processes[serverProcess].CPUSeconds/p.Seconds, maxIdleCPUPercent)
	}
}

func (s *sheet) restart(name string, bound float64) {
	if p := s.phase(name); p != nil {
		s.add(name+": seconds until serving", p.Figures["servingSeconds"], maxServingSeconds)
		s.add(name+": seconds until converged", p.Figures["convergedSeconds"], bound)
		s.add(name+": writes of PediaClusters", p.Figures["writesBesidesCanaries"], 0)
	}
}

func (s *sheet) peak(name string, bound float64) {
	if p := s.phase(name); p != nil {
		s.add(name+": MiB more at the peak", p.Figures["mostMiB"], bound)
	}
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
