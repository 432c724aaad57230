package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

const metrics = `# TYPE apiserver_request_total counter
apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="events",scope="resource",subresource="",verb="POST",version="v1"} 21
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="events",scope="resource",subresource="",verb="PATCH",version="v1"} 3
apiserver_request_total{code="201",component="apiserver",dry_run="",group="events.k8s.io",resource="events",scope="resource",subresource="",verb="POST",version="v1"} 4
apiserver_request_total{code="409",component="apiserver",dry_run="",group="",resource="events",scope="resource",subresource="",verb="POST",version="v1"} 1
apiserver_request_total{code="200",component="apiserver",dry_run="",group="apps",resource="deployments",scope="resource",subresource="status",verb="PUT",version="v1"} 1e+06
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="events",scope="cluster",subresource="",verb="WATCH",version="v1"} 7
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="",scope="",subresource="/readyz",verb="GET",version=""} 9
apiserver_request_total_of_another_kind{code="200",resource="events",verb="POST"} 9
etcd_requests_total{group="policy.clusterpedia.io",operation="create",resource="pediaclusterlifecycles"} 5
etcd_requests_total{group="policy.clusterpedia.io",operation="get",resource="pediaclusterlifecycles"} 8
`

func TestMetricsAreReadByVerbAndResource(t *testing.T) {
	want := map[string]int{"POST events": 25, "PATCH events": 3, "POST events (409)": 1, "PUT deployments/status": 1000000}
	if diff := cmp.Diff(want, hostRequests([]byte(metrics))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"create pediaclusterlifecycles": 5}, storageWrites([]byte(metrics))); diff != "" {
		t.Error(diff)
	}
}

func TestWritesAreWhatIsStored(t *testing.T) {
	requests := map[string]int{
		"GET events": 1, "LIST events": 2, "PUT leases": 4, "POST subjectaccessreviews": 8, "POST events (409)": 16,
		"POST events": 32, "PUT events/status": 64, "DELETE pods": 128,
	}
	for resource, want := range map[string]int{"": 32 + 64 + 128, "events": 32 + 64, "secrets": 0} {
		if got := writes(requests, resource); got != want {
			t.Errorf("writes of %q: %d, want %d", resource, got, want)
		}
	}
}

func TestOwnRequestsAreSubtracted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	own := ownRequests{counts: map[string]int{}}
	client := &http.Client{Transport: own.wrap(http.DefaultTransport)}
	for _, request := range []struct{ method, path string }{
		{http.MethodPost, "/api/v1/namespaces/mcp-system/secrets"},
		{http.MethodGet, "/apis/cluster.clusterpedia.io/v1alpha2/pediaclusters?limit=1"},
		{http.MethodGet, "/apis/cluster.clusterpedia.io/v1alpha2/pediaclusters?watch=true"},
		{http.MethodGet, "/apis/cluster.clusterpedia.io/v1alpha2/pediaclusters/one"},
		{http.MethodPatch, "/apis/cluster.clusterpedia.io/v1alpha2/pediaclusters/one/status"},
		{http.MethodDelete, "/apis/cluster.clusterpedia.io/v1alpha2/pediaclusters/one"},
		{http.MethodGet, "/metrics"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), request.method, server.URL+request.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	requests := map[string]int{"POST secrets": 3, "GET pediaclusters": 3, "LIST pediaclusters": 1}
	own.subtractFrom(requests)
	want := map[string]int{
		"POST secrets": 2, "GET pediaclusters": 2, "LIST pediaclusters": 0,
		"PATCH pediaclusters/status": -1, "DELETE pediaclusters (404)": -1,
	}
	if diff := cmp.Diff(want, requests); diff != "" {
		t.Error(diff)
	}
}

func TestTheKernelsFiguresAreRead(t *testing.T) {
	ran, started := statFields("42 (a (strange) name) S 1 42 42 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 9 0 7777 1 2")
	if ran != 300 || started != 7777 {
		t.Errorf("ran %v, started %v", ran, started)
	}
	if got := statusMiB("VmHWM:\t    2048 kB\nRssAnon:\t   512 kB\n", "RssAnon"); got != 0.5 {
		t.Errorf("RssAnon is %v MiB", got)
	}
}

func TestAProcessThatWasRestartedCountsFromZero(t *testing.T) {
	before := snapshot{
		requests:  map[string]int{"POST events": 1, "GET pods": 5},
		ownWrites: map[string]int{"update pediaclusterlifecycles": 100},
		processes: map[string]processState{serverProcess: {pid: 1, cpu: 50}, "etcd": {pid: 2, cpu: 3}},
	}
	after := snapshot{
		requests:  map[string]int{"POST events": 4, "GET pods": 5},
		ownWrites: map[string]int{"update pediaclusterlifecycles": 20},
		processes: map[string]processState{serverProcess: {pid: 9, cpu: 2, peakMiB: 100}, "etcd": {pid: 2, cpu: 4, peakMiB: 50}},
	}
	var p phase
	p.sinceThen(before, after)
	want := phase{
		Requests:  map[string]int{"POST events": 3},
		OwnWrites: map[string]int{"update pediaclusterlifecycles": 20},
		Processes: map[string]usage{serverProcess: {CPUSeconds: 2, PeakMiB: 100}, "etcd": {CPUSeconds: 1, PeakMiB: 50}},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
}

func TestQuantilesAreOfTheNearestRank(t *testing.T) {
	var samples []time.Duration
	for i := 200; i > 0; i-- {
		samples = append(samples, time.Duration(i)*time.Millisecond)
	}
	if diff := cmp.Diff(quantiles{P50: 100, P95: 190, P99: 198}, summarize(samples)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(quantiles{P50: 7, P95: 7, P99: 7}, summarize([]time.Duration{7 * time.Millisecond})); diff != "" {
		t.Error(diff)
	}
}

// measured are runs of 100 and of 1124 clusters.
func measured() (fewer, more *run) {
	latency := func(clock string, p50, p95 float64) map[string]quantiles {
		return map[string]quantiles{clock: {P50: p50, P95: p95}}
	}
	cpu := func(process string, seconds float64) map[string]usage {
		return map[string]usage{process: {CPUSeconds: seconds}}
	}
	fewer = &run{Clusters: 100, Storage: external, Phases: []*phase{
		{Name: floorCreate, Seconds: 2, Processes: cpu(hostProcess, 0.25)},
		{Name: floorPatch, Seconds: 4},
		{Name: floorDelete, Seconds: 1},
		{Name: limitImport, Seconds: 4},
		{Name: limitEdit, Seconds: 8},
		{Name: limitDelete, Seconds: 3},
		{Name: importPhase, Seconds: 5, Processes: cpu(serverProcess, 0.5),
			Requests:  map[string]int{"POST pediaclusters": 100, "POST events": 101},
			OwnWrites: map[string]int{"create pediaclusterlifecycles": 100, "update pediaclusterlifecycles": 100, "update clusterimportpolicies": 9}},
		{Name: memoryPhase, Figures: map[string]float64{"rssAnonMiB": 50}},
		{Name: floorPatchOne, Latencies: latency(fromRequest, 5, 6)},
		{Name: createPhase, Figures: map[string]float64{"samples": 50}, Processes: cpu(serverProcess, 0.25)},
		{Name: waitPhase, Figures: map[string]float64{"samples": 50},
			OwnWrites: map[string]int{"create pediaclusterlifecycles": 50, "update pediaclusterlifecycles": 25}},
		{Name: rotatePhase, Latencies: latency(fromAnswer, 10, 15)},
		{Name: idlePhase, Seconds: 60, Requests: map[string]int{"PUT leases": 60}, Processes: cpu(serverProcess, 1.2)},
		{Name: churnPhase, Seconds: 60, Figures: map[string]float64{"updates": 3000}, Processes: cpu(serverProcess, 6),
			Requests: map[string]int{"GET secrets": 3000, "GET configmaps": 30}},
		{Name: killPhase, Figures: map[string]float64{"servingSeconds": 6, "convergedSeconds": 16, "writesBesidesCanaries": 0}},
		{Name: editPhase, Seconds: 8, OwnWrites: map[string]int{"update pediaclusterlifecycles": 200}},
		{Name: rolloutPhase, Seconds: 10, OwnWrites: map[string]int{"update pediaclusterlifecycles": 200}},
		{Name: deletePhase, Seconds: 4.5, OwnWrites: map[string]int{"delete pediaclusterlifecycles": 100}},
	}}
	more = &run{Clusters: 1124, Storage: external, Phases: []*phase{
		{Name: memoryPhase, Figures: map[string]float64{"rssAnonMiB": 75}},
		{Name: createPhase, Figures: map[string]float64{"samples": 50}, Processes: cpu(serverProcess, 0.5)},
		{Name: rotatePhase, Latencies: latency(fromAnswer, 11, 15)},
	}}
	return fewer, more
}

func TestTargetsAreRatiosWithinOneRun(t *testing.T) {
	fewer, more := measured()
	apart := &run{Clusters: 100, Storage: embedded, Phases: fewer.Phases}
	want := []target{
		{100, "import / floor create", 2.5, 2.5, true},
		{100, "import / limit", 1.25, 1.3, true},
		{100, "edit / floor patch", 2, 1.5, false},
		{100, "edit / limit", 1, 1.3, true},
		{100, "rollout / edit", 1.25, 1.5, true},
		{100, "delete / floor delete", 4.5, 4.3, false},
		{100, "delete / limit", 1.5, 1.3, false},
		{100, "import: CPU of the server / CPU of kube-apiserver per bare creation", 2, 1.8, false},
		{100, "import: writes of PediaClusters per import", 1, 1, true},
		{100, "import: own writes of lifecycles per import", 2, 2, true},
		{100, "import: Events per import", 1.01, 1, false},
		{100, "edit: own writes of lifecycles per edit", 2, 1, false},
		{100, "rollout: own writes of lifecycles per edit", 2, 2, true},
		{100, "delete: own writes of lifecycles per removal", 1, 1, true},
		{100, "wait: own writes of lifecycles per Source that waits", 1.5, 1, false},
		{100, "create: CPU seconds of the server for 100 single creations", 0.5, 1, true},
		{100, "churn: CPU milliseconds of the server per update of a Source", 2, 1, false},
		{100, "churn: GETs of Secrets", 3000, 0, false},
		{100, "rotate p50 / floor patch one p50", 2, 1.8, false},
		{100, "rotate p95 / p50", 1.5, 2, true},
		{100, "idle: writes", 0, 0, true},
		{100, "churn: writes", 0, 0, true},
		{100, "idle: CPU of the server, percent of a core", 2, 3, true},
		{100, "restart after SIGKILL: seconds until serving", 6, 5, false},
		{100, "restart after SIGKILL: seconds until converged", 16, 30, true},
		{100, "restart after SIGKILL: writes of PediaClusters", 0, 0, true},
		{1124, "rotate p50, 100 to 1124 clusters", 1.1, 1.2, true},
		{1124, "memory: KiB per cluster, 100 to 1124 clusters", 25, 18, false},
	}
	got := judge([]*run{fewer, more, apart})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var table strings.Builder
	results{Runs: []*run{fewer, more}, Targets: got}.print(&table)
	for _, row := range []string{"idle: writes", "NOT met", "25.0 KiB per cluster", "POST events 101"} {
		if !strings.Contains(table.String(), row) {
			t.Errorf("the report lacks %q:\n%s", row, &table)
		}
	}
}

// imported is the PediaCluster of the only cluster of a fleet, as a host would show it.
func imported() (*fleet, *unstructured.Unstructured) {
	f := &fleet{clusters: map[string]*cluster{}}
	object := f.want(f.add("one"), "uid")
	object["apiVersion"], object["kind"] = pediaClusters.GroupVersion().String(), "PediaCluster"
	object["metadata"].(map[string]any)["resourceVersion"] = "7"
	return f, &unstructured.Unstructured{Object: object}
}

func TestEveryFieldIsCompared(t *testing.T) {
	f, object := imported()
	if err := f.compareOne(object, "uid"); err != nil {
		t.Errorf("what is right differs: %v", err)
	}
	for name, change := range map[string]func(map[string]any){
		"token":    func(o map[string]any) { o["spec"].(map[string]any)["tokenData"] = "other" },
		"endpoint": func(o map[string]any) { delete(o["spec"].(map[string]any), "apiserver") },
		"field":    func(o map[string]any) { o["spec"].(map[string]any)["certData"] = "new" },
		"label":    func(o map[string]any) { o["metadata"].(map[string]any)["labels"] = map[string]any{"a": "b"} },
		"owner":    func(o map[string]any) { delete(o["metadata"].(map[string]any), "ownerReferences") },
		"name":     func(o map[string]any) { o["metadata"].(map[string]any)["name"] = "mcp-two" },
	} {
		f, object := imported()
		change(object.Object)
		if f.compareOne(object, "uid") == nil {
			t.Errorf("another %s is no difference", name)
		}
	}
	for _, uid := range []types.UID{"", "other"} {
		f, object := imported()
		if f.compareOne(object, uid) == nil {
			t.Errorf("a lifecycle with the uid %q is no difference", uid)
		}
	}
}

func TestAPediaClusterIsRightWithItsEndpointAndToken(t *testing.T) {
	f, object := imported()
	if !f.right(watch.Added, object) {
		t.Error("what is right is not seen")
	}
	if f.right(watch.Deleted, object) {
		t.Error("what is gone is right")
	}
	f.clusters[object.GetName()].rotate()
	if f.right(watch.Modified, object) {
		t.Error("the former token is right")
	}
}

func TestABarePediaClusterIsOfTheSameSizeAndNobodys(t *testing.T) {
	f, object := imported()
	bare := f.bare(f.clusters[object.GetName()])
	if diff := cmp.Diff(object.Object["spec"], bare.Object["spec"]); diff != "" {
		t.Error(diff)
	}
	if len(bare.GetOwnerReferences()) > 0 || bare.GetAnnotations()["policy.clusterpedia.io/created-for"] != "" {
		t.Errorf("it belongs to somebody: %v", bare.Object["metadata"])
	}
}

func TestABarePediaClusterIsComparedInEveryField(t *testing.T) {
	f, imported := imported()
	bare := f.bare(f.clusters[imported.GetName()])
	bare.SetResourceVersion("7")
	if err := f.compareOneBare(bare.DeepCopy()); err != nil {
		t.Errorf("what is right differs: %v", err)
	}
	f.suffix = editedSuffix
	if f.compareOneBare(bare.DeepCopy()) == nil {
		t.Error("the former endpoint is no difference")
	}
	f.clusters = nil
	if f.compareOneBare(bare) == nil {
		t.Error("one of no cluster is no difference")
	}
}

func TestTheLimitReadsAClusterAsThePolicyDoes(t *testing.T) {
	want := newCluster("one")
	secret := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"ca": want.caData, "token": want.tokenData}}}
	got := clusterOf(source(want, "True"), secret)
	want.rotations = 0 // nobody can read how often the token has changed
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(cluster{})); diff != "" {
		t.Error(diff)
	}
}

func TestAnUpdateOfTheLimitIsOfTheVersionItWasMadeFrom(t *testing.T) {
	f, current := imported()
	f.suffix = editedSuffix
	current.SetUID("uid")
	c := f.clusters[current.GetName()]
	want := map[string]any{
		"metadata": map[string]any{"uid": "uid", "resourceVersion": "7"},
		"spec": map[string]any{
			"apiserver": "https://one.example.com:6443/edited", "caData": c.caData, "tokenData": c.tokenData,
			"certData": nil, "keyData": nil, "kubeconfig": nil,
		},
	}
	if diff := cmp.Diff(want, f.guardedUpdate(c, current)); diff != "" {
		t.Error(diff)
	}
}

func TestALifecycleWaitsWhenItSaysSo(t *testing.T) {
	for phase, want := range map[string]bool{"Waiting": true, "Pending": false, "": false} {
		lifecycle := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"phase": phase}}}
		if got := isWaiting(lifecycle); got != want {
			t.Errorf("phase %q: %v", phase, got)
		}
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-n", "300,20", "-storage", "embedded"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{20, 300}, o.clusters); diff != "" {
		t.Error(diff)
	}
	for _, args := range []string{"-n=0", "-n=x", "-storage=other", "-samples=0", "-seconds=0", "-secrets=-1", "rest"} {
		if _, err := parse([]string{args}); err == nil {
			t.Errorf("%s is accepted", args)
		}
	}
}
