package devcluster

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const binDir = "../../_output/bin"

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func start(ctx context.Context, t *testing.T, options Options) *Cluster {
	t.Helper()
	options.BinDir = binDir
	options.UnsafeNoFsync = true
	cluster, err := Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func TestAControlPlaneStartsRestartsAndStops(t *testing.T) {
	ctx := testContext(t)
	cluster := start(ctx, t, Options{Dir: t.TempDir()})
	client, err := kubernetes.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Kubectl(ctx, strings.NewReader(""), "create", "namespace", "kept"); err != nil {
		t.Fatal(err)
	}

	before := cluster.PIDs()
	if err := cluster.RestartAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	if cluster.PIDs()[apiServer] == before[apiServer] {
		t.Error("kube-apiserver was not restarted")
	}
	if _, err := client.CoreV1().Namespaces().Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("after the restart: %v", err)
	}

	if err := cluster.StopControllerManager(ctx); err != nil {
		t.Fatal(err)
	}
	if cluster.state.Processes[controllerManager].alive() {
		t.Error("kube-controller-manager still runs")
	}
	if err := cluster.StartControllerManager(ctx); err != nil {
		t.Fatal(err)
	}

	processes := cluster.state.Processes
	if err := cluster.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for name, p := range processes {
		if p.alive() {
			t.Errorf("%s still runs", name)
		}
	}
}

func TestADetachedClusterIsFoundAgainAndEndsWithDown(t *testing.T) {
	ctx := testContext(t)
	dir := t.TempDir()
	first := start(ctx, t, Options{Dir: dir, Detached: true})
	second := start(ctx, t, Options{Dir: dir, Detached: true})
	for name, pid := range first.PIDs() {
		if second.PIDs()[name] != pid {
			t.Errorf("%s was started a second time", name)
		}
	}

	// One flag of etcd is another now: it is started again, and only it.
	third, err := Start(ctx, Options{Dir: dir, BinDir: binDir, Detached: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, pid := range third.PIDs() {
		if again := pid != first.PIDs()[name]; again != (name == etcd) {
			t.Errorf("%s was started again: %v", name, again)
		}
	}
	for _, want := range []int{3, 0} {
		stopped, err := Down(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		if stopped != want {
			t.Errorf("Down stopped %d processes, want %d", stopped, want)
		}
	}
}

func TestAForeignProcessWithARecordedPidIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	// This very process, as if it had been given the pid of one that ended.
	foreign := &process{Name: etcd, PID: os.Getpid(), Started: "long ago"}
	text, err := json.Marshal(state{Ports: map[string]int{etcd: 1}, Processes: map[string]*process{etcd: foreign}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stateFile(dir), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if stopped, err := Down(t.Context(), dir); err != nil || stopped != 0 {
		t.Errorf("Down stopped %d processes, error %v", stopped, err)
	}
}

func TestAFailedStartTellsTheLogAndItsLastLines(t *testing.T) {
	ctx := testContext(t)
	dir := t.TempDir()
	// etcd cannot make its data folder where a file is.
	if err := os.WriteFile(filepath.Join(dir, "etcd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(ctx, Options{Dir: dir, BinDir: binDir})
	if err == nil {
		t.Fatal("etcd started without a data folder")
	}
	for _, want := range []string{"etcd ended at its start", "logs/etcd.log", "not a directory"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestABinaryThatIsNotBuiltIsNamed(t *testing.T) {
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), BinDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "etcd is not built") {
		t.Errorf("got %v", err)
	}
}

func TestAPortInUseIsChosenAround(t *testing.T) {
	first, err := choosePort(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := choosePort(first, map[string]int{"first": first})
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Errorf("port %d was given twice", first)
	}
}
