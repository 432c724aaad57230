package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// clockTicks is how many of the kernel's clock ticks a second has for user programs.
const clockTicks = 100

// snapshot is the state of all counters at one moment.
type snapshot struct {
	requests  map[string]int // at kube-apiserver, without the benchmark's own
	ownWrites map[string]int // of the server to its storage
	processes map[string]processState
}

type processState struct {
	pid     int
	cpu     float64 // seconds
	peakMiB float64
	anonMiB float64
}

// sinceThen puts into the phase what has changed from one snapshot to the next.
// A process that was started in between began to count anew.
func (p *phase) sinceThen(before, after snapshot) {
	if before.processes[serverProcess].pid != after.processes[serverProcess].pid {
		before.ownWrites = nil
	}
	p.Requests = difference(before.requests, after.requests)
	p.OwnWrites = difference(before.ownWrites, after.ownWrites)
	p.Processes = map[string]usage{}
	for name, now := range after.processes {
		cpu := now.cpu
		if then := before.processes[name]; then.pid == now.pid {
			cpu -= then.cpu
		}
		p.Processes[name] = usage{CPUSeconds: cpu, PeakMiB: now.peakMiB}
	}
}

func difference(before, after map[string]int) map[string]int {
	changed := map[string]int{}
	for key, count := range after {
		if count > before[key] {
			changed[key] = count - before[key]
		}
	}
	return changed
}

// sameWrites tells whether nothing was written between two snapshots, but Leases.
func sameWrites(a, b snapshot) bool {
	return writes(a.requests, "") == writes(b.requests, "") && writes(a.ownWrites, "") == writes(b.ownWrites, "")
}

// snapshot reads all counters.
func (h *host) snapshot(ctx context.Context) (s snapshot, err error) {
	text, err := fetch(ctx, h.plain, h.Config().Host+"/metrics")
	if err != nil {
		return s, err
	}
	s.requests = hostRequests(text)
	h.own.subtractFrom(s.requests)
	if h.server != nil && h.server.Running() {
		if text, err = fetch(ctx, h.direct, h.server.Config().Host+"/metrics"); err != nil {
			return s, err
		}
		s.ownWrites = storageWrites(text)
	}
	s.processes, err = h.processes()
	return s, err
}

// databases returns how many MiB the etcd of the server and that of the host take
// on disk, history and free pages included.
func (h *host) databases(ctx context.Context) (server, host float64, err error) {
	for _, of := range []struct {
		mebibytes *float64
		client    *http.Client
		at        string
	}{{&server, h.direct, h.server.Config().Host}, {&host, h.plain, h.Config().Host}} {
		text, err := fetch(ctx, of.client, of.at+"/metrics")
		if err != nil {
			return 0, 0, err
		}
		for _, bytes := range series(text, "apiserver_storage_size_bytes") {
			*of.mebibytes += bytes / (1 << 20)
		}
	}
	return server, host, nil
}

// watched tells whether anybody watches a resource through the API server at that address.
func watched(ctx context.Context, client *http.Client, at, resource string) (bool, error) {
	text, err := fetch(ctx, client, at+"/metrics")
	for labels, watches := range series(text, "apiserver_longrunning_requests") {
		if labels["resource"] == resource && labels["verb"] == "WATCH" && watches > 0 {
			return true, err
		}
	}
	return false, err
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %.200s", url, response.Status, text)
	}
	return text, err
}

// hostRequests reads what kube-apiserver was asked, by verb and resource, and by
// the code of the answer where it refused.
func hostRequests(text []byte) map[string]int {
	requests := map[string]int{}
	for labels, value := range series(text, "apiserver_request_total") {
		if labels["resource"] != "" && labels["verb"] != "WATCH" {
			requests[requestKey(labels["verb"], labels["resource"], labels["subresource"], labels["code"])] += int(value)
		}
	}
	return requests
}

func requestKey(verb, resource, subresource, code string) string {
	if subresource != "" {
		resource += "/" + subresource
	}
	if code >= "400" {
		resource += " (" + code + ")"
	}
	return verb + " " + resource
}

// storageWrites reads what the server wrote to etcd, by operation and resource.
func storageWrites(text []byte) map[string]int {
	writes := map[string]int{}
	for labels, value := range series(text, "etcd_requests_total") {
		switch operation := labels["operation"]; operation {
		case "create", "update", "delete":
			writes[operation+" "+labels["resource"]] += int(value)
		}
	}
	return writes
}

// series yields labels and value of every series of a metric in the text format
// of Prometheus. The values of labels that are read here hold no quotes.
func series(text []byte, metric string) func(yield func(map[string]string, float64) bool) {
	return func(yield func(map[string]string, float64) bool) {
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			rest, found := strings.CutPrefix(lines.Text(), metric+"{")
			if !found {
				continue
			}
			end := strings.LastIndex(rest, "} ")
			if end < 0 {
				continue
			}
			value, err := strconv.ParseFloat(strings.Fields(rest[end+2:])[0], 64)
			if err != nil {
				continue
			}
			labels := map[string]string{}
			for pair := range strings.SplitSeq(rest[:end], `",`) {
				name, value, _ := strings.Cut(pair, `="`)
				labels[name] = strings.TrimSuffix(value, `"`)
			}
			if !yield(labels, value) {
				return
			}
		}
	}
}

// processes reads what the kernel knows of every process of the host, and of the
// benchmark itself.
func (h *host) processes() (map[string]processState, error) {
	states := map[string]processState{}
	for name, pid := range h.pids() {
		state, err := readProcess(pid)
		if os.IsNotExist(err) {
			continue // it was stopped
		}
		if err != nil {
			return nil, err
		}
		states[name] = state
	}
	return states, nil
}

func (h *host) pids() map[string]int {
	pids := h.PIDs()
	pids["benchmark"] = os.Getpid()
	return pids
}

// resetPeaks has the kernel measure the peak memory of each process from now on.
func (h *host) resetPeaks() error {
	for name, pid := range h.pids() {
		err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("resetting the peak memory of %s: %w", name, err)
		}
	}
	return nil
}

func readProcess(pid int) (processState, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processState{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return processState{}, err
	}
	ticks, _ := statFields(string(stat))
	return processState{
		pid:     pid,
		cpu:     ticks / clockTicks,
		peakMiB: statusMiB(string(status), "VmHWM"),
		anonMiB: statusMiB(string(status), "RssAnon"),
	}, nil
}

// statFields returns from /proc/PID/stat how many clock ticks the process has run,
// and at which tick after the machine's start it began.
func statFields(stat string) (ran, started float64) {
	// The second field is the command in parentheses and may hold anything.
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(fields) < 20 {
		return 0, 0
	}
	number := func(i int) float64 { n, _ := strconv.ParseFloat(fields[i], 64); return n }
	return number(11) + number(12), number(19)
}

// statusMiB returns a size from /proc/PID/status.
func statusMiB(status, field string) float64 {
	_, rest, _ := strings.Cut(status, field+":")
	line, _, _ := strings.Cut(rest, "\n")
	kib, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(line, "kB")), 64)
	return kib / 1024
}

// startOf returns when a process was started.
func startOf(pid int) (time.Time, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return time.Time{}, err
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	running, err := strconv.ParseFloat(strings.Fields(string(uptime))[0], 64)
	if err != nil {
		return time.Time{}, err
	}
	_, started := statFields(string(stat))
	return now.Add(-time.Duration((running - started/clockTicks) * float64(time.Second))), nil
}

// ownRequests counts what the benchmark itself asks kube-apiserver for.
type ownRequests struct {
	mu     sync.Mutex
	counts map[string]int
}

var requestInfo = request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}

// wrap counts the requests that go through a transport.
func (o *ownRequests) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		if info, err := requestInfo.NewRequestInfo(r); err == nil && info.IsResourceRequest {
			verb := r.Method
			if verb == http.MethodGet {
				verb = strings.ToUpper(info.Verb)
			}
			if verb != "WATCH" {
				o.mu.Lock()
				o.counts[requestKey(verb, info.Resource, info.Subresource, strconv.Itoa(response.StatusCode))]++
				o.mu.Unlock()
			}
		}
		return response, nil
	})
}

func (o *ownRequests) subtractFrom(requests map[string]int) {
	o.mu.Lock()
	own := maps.Clone(o.counts)
	o.mu.Unlock()
	for key, count := range own {
		requests[key] -= count
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
