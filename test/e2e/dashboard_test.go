package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/metrics/testutil"
	"sigs.k8s.io/yaml"

	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const (
	// recordedRun is what test/monitoring evaluates the dashboard and the alerts with.
	recordedRun = "../monitoring/testdata/run.yaml"
	// scrapeInterval is the time between two samples of a recorded series.
	scrapeInterval = 5 * time.Second
)

// metricsRun is a run of the server whose metrics are read, in the form of the unit tests
// of promtool: a series, and its values one interval after the other.
type metricsRun struct {
	Start    metav1.Time     `json:"start"`
	Interval metav1.Duration `json:"interval"`
	Series   []runSeries     `json:"input_series"`
}

type runSeries struct {
	Series string `json:"series"`
	Values string `json:"values"`
}

// TestTheMetricsTellOfRolloutsAndHeldRemovals is, with -record, the run that the picture of the dashboard
// shows: with more clusters, which answer, and slowly enough to be seen.
func TestTheMetricsTellOfRolloutsAndHeldRemovals(t *testing.T) {
	h, size, wait := shared, 8, func(time.Duration) {}
	rollout := map[string]any{"maxConcurrent": "100%", "maxFailures": int64(1)}
	if *record {
		h, size, wait = ownHost(t, devcluster.ProbeArgs...), 40, time.Sleep
		rollout["maxConcurrent"], rollout["verify"], rollout["minReadySeconds"] = int64(4), "ClusterReady", int64(3)
	} else {
		t.Parallel()
	}
	m := &meter{client: h.metricsClient(t), exposed: map[string]bool{}}
	if *record {
		defer m.record(t)()
	}
	wait(20 * time.Second)

	east, west := h.newPlatform(t, "east"), h.newPlatform(t, "west")
	set(t, east.manifests.policy, "10%", "spec", "maxPrune")
	set(t, east.manifests.policy, rollout, "spec", "rollout")
	for _, p := range []*platform{east, west} {
		p.installType(t)
		p.apply(t, p.manifests.policy.Object)
	}
	itself := h.asMember(t)
	for i := range size {
		must(t, east.createCluster(t.Context(), clusterName(i), "token", !*record))
		if *record {
			east.reach(t, clusterName(i), itself)
			east.setReady(t, clusterName(i))
		}
		if i%3 == 0 {
			must(t, west.createCluster(t.Context(), clusterName(i), expiring(i), i%9 != 0))
		}
		wait(time.Second)
	}
	m.waitFor(t, float64(size), `policy_apiserver_imports{phase="Imported", policy="east"}`)
	m.waitFor(t, float64(size), `policy_apiserver_rollout_imports{policy="east", state="verified"}`)
	if *record {
		defer west.rotate(t, size, 3)()
	}
	wait(40 * time.Second)

	// An edit that fails for some clusters halts, and a corrected one reaches all.
	template := text(&east.manifests.policy, "spec", "template")
	corrected := strings.Replace(template, `.apiEndpoint }}`, `.apiEndpoint }}/`, 1)
	east.applyPolicy(t, `{{ if has .source.metadata.name (list "c0002" "c0007") }}{{ fail "no port" }}{{ end }}`+corrected, "spec", "template")
	m.waitFor(t, 1, `policy_apiserver_policy_condition{condition="RolloutHalted", policy="east", reason="RolloutFailed", status="true"}`)
	m.waitFor(t, 2, `policy_apiserver_rollout_imports{policy="east", state="failed"}`)
	wait(100 * time.Second)
	east.applyPolicy(t, corrected, "spec", "template")
	m.waitFor(t, float64(size), `policy_apiserver_rollout_imports{policy="east", state="verified"}`)
	wait(20 * time.Second)

	// A rollout is paused, and a policy suspended.
	east.applyPolicy(t, true, "spec", "rollout", "paused")
	east.applyPolicy(t, template, "spec", "template")
	west.applyPolicy(t, true, "spec", "suspend")
	m.waitFor(t, 1, `policy_apiserver_policy_condition{condition="Ready", policy="east", reason="RolloutPaused", status="false"}`)
	m.waitFor(t, 1, `policy_apiserver_policy_condition{condition="Ready", policy="west", reason="Suspended", status="false"}`)
	wait(30 * time.Second)
	east.applyPolicy(t, false, "spec", "rollout", "paused")
	west.applyPolicy(t, false, "spec", "suspend")
	m.waitFor(t, float64(size), `policy_apiserver_rollout_imports{policy="east", state="verified"}`)

	// A Source is deleted, and nothing holds its removal. A selector no longer selects half of the Sources: these removals are held.
	west.deleteCluster(t, clusterName(3))
	m.waitFor(t, float64((size+2)/3-1), `policy_apiserver_sources{policy="west"}`)
	east.applyPolicy(t, `{{ regexMatch "[0-4]$" .source.metadata.name }}`, "spec", "source", "selectorTemplate")
	held := 0
	for i := range size {
		if i%10 > 4 {
			held++
		}
	}
	m.waitFor(t, float64(held), `policy_apiserver_held_removals{policy="east"}`)
	wait(100 * time.Second)
	if !*record {
		m.recordedRunIsCurrent(t)
	}
}

// asMember is the host itself as a cluster that can be imported.
func (h *host) asMember(t *testing.T) *member {
	t.Helper()
	client, err := kubernetes.NewForConfig(h.Config())
	must(t, err)
	return &member{Cluster: h.Cluster, dir: h.dir, client: client}
}

// expiring is a token that expires some time later.
func expiring(i int) string { return jwt(time.Now().Add(time.Duration(i+1) * 20 * time.Hour).Unix()) }

// rotate gives new tokens to every so many clusters, one each second, until the returned function is called.
func (p *platform) rotate(t *testing.T, size, every int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for i := 0; ctx.Err() == nil; i += every {
			if i >= size {
				i = 0
			}
			time.Sleep(time.Second)
			p.setToken(t, clusterName(i), expiring(i))
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// meter reads the metrics of a run.
type meter struct {
	client metricsClient
	// exposed is every metric that was read, with its labels.
	exposed map[string]bool
}

// waitFor waits until a series has a value.
func (m *meter) waitFor(t *testing.T, want float64, name string) {
	t.Helper()
	within(t, 3*patience, fmt.Sprintf("%s is %v", name, want), func() error {
		metrics, err := scrape(m.client)
		if err != nil {
			return err
		}
		for _, samples := range metrics {
			for _, sample := range samples {
				m.exposed[kind(sample.Metric)] = true
			}
		}
		if got, found := series(metrics)[name]; !found || got != want {
			return fmt.Errorf("it is %v (found: %v)", got, found)
		}
		return nil
	})
}

// kind is the name of a metric, its labels, and what their values can be where that does not depend on the run.
func kind[M ~map[K]V, K, V ~string](metric M) string {
	var parts []string
	for label, value := range metric {
		switch label {
		case "__name__", "condition", "phase", "state", "within":
			parts = append(parts, string(label)+"="+string(value))
		default:
			parts = append(parts, string(label))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// recordedRunIsCurrent fails the test unless this server exposes what the recorded run has.
func (m *meter) recordedRunIsCurrent(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(recordedRun)
	must(t, err)
	var recorded metricsRun
	must(t, yaml.UnmarshalStrict(content, &recorded))
	if len(recorded.Series) < 100 {
		t.Errorf("only %d series were recorded", len(recorded.Series))
	}
	for _, of := range recorded.Series {
		metrics := testutil.NewMetrics()
		must(t, testutil.ParseMetrics(of.Series+" 0\n", &metrics))
		for _, samples := range metrics {
			if kind := kind(samples[0].Metric); !m.exposed[kind] {
				t.Errorf("run make metrics-recording: the server exposes no %s", kind)
			}
		}
	}
}

// record reads the metrics until the returned function is called, which writes those that the
// dashboard and the alerts read.
func (m *meter) record(t *testing.T) (write func()) {
	recorded := metricsRun{Start: metav1.Now().Rfc3339Copy(), Interval: metav1.Duration{Duration: scrapeInterval}}
	values := map[string][]string{}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(scrapeInterval)
		defer ticker.Stop()
		for scrapes := 0; ctx.Err() == nil; scrapes++ {
			metrics, err := scrape(m.client)
			if err != nil {
				t.Error(err)
				return
			}
			for name, value := range series(metrics) {
				if _, found := values[name]; !found {
					values[name] = slices.Repeat([]string{"_"}, scrapes)
				}
				values[name] = append(values[name], strconv.FormatFloat(value, 'f', -1, 64))
			}
			for name, before := range values {
				if len(before) > scrapes {
					continue
				}
				missing := "_"
				if last := before[scrapes-1]; last != "_" && last != "stale" {
					missing = "stale" // as Prometheus writes
				}
				values[name] = append(before, missing)
			}
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
		if t.Failed() {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(thatAreRead(t, values))) {
			recorded.Series = append(recorded.Series, runSeries{Series: name, Values: compact(values[name])})
		}
		content, err := yaml.Marshal(recorded)
		must(t, err)
		must(t, os.WriteFile(recordedRun, append([]byte("# Written by make metrics-recording.\n"), content...), 0o644))
	}
}

var withoutBucket = regexp.MustCompile(`(, )?le="[^"]*"`)

// thatAreRead are the series that the dashboard and the alerts read. Metrics that every Kubernetes API server
// has are left out where nothing happened: histograms without an observation, counters without an increase.
func thatAreRead(t *testing.T, values map[string][]string) map[string][]string {
	t.Helper()
	var readers string
	for _, file := range []string{"dashboard.json", "alerts.yaml"} {
		content, err := os.ReadFile(monitoring + file)
		must(t, err)
		readers += string(content)
	}
	moved := map[string]bool{}
	for name, values := range values {
		of := withoutBucket.ReplaceAllString(name, "")
		moved[of] = moved[of] || len(slices.Compact(slices.Clone(values))) > 1
	}
	found := maps.Clone(values)
	maps.DeleteFunc(found, func(name string, _ []string) bool {
		metric, _, _ := strings.Cut(name, "{")
		isRead := regexp.MustCompile(`\b` + metric + `\b`).MatchString(readers)
		queue := strings.Contains(name, `name="imports"`) || strings.Contains(name, `name="policies"`)
		return !isRead || !strings.HasPrefix(metric, "policy_apiserver_") && !moved[withoutBucket.ReplaceAllString(name, "")] && !queue ||
			strings.HasPrefix(metric, "workqueue_") && !queue
	})
	return found
}

// compact writes a value that is repeated as promtool does: 1x3 is four times 1, and _x3 three times none.
func compact(values []string) string {
	var parts []string
	for len(values) > 0 {
		n := 1
		for n < len(values) && values[n] == values[0] {
			n++
		}
		switch {
		case n == 1:
			parts = append(parts, values[0])
		case values[0] == "_":
			parts = append(parts, fmt.Sprintf("_x%d", n))
		default:
			parts = append(parts, fmt.Sprintf("%sx%d", values[0], n-1))
		}
		values = values[n:]
	}
	return strings.Join(parts, " ")
}
