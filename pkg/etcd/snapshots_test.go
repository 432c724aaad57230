package etcd

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/component-base/metrics/testutil"
)

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestTheNewestSnapshotsAreKeptAndForeignFilesAreNotTouched(t *testing.T) {
	dir := t.TempDir()
	member := start(t, dir)
	now := time.Date(2026, 11, 21, 7, 30, 0, 0, time.UTC)
	s := newSnapshots(Config{Dir: dir, SnapshotCount: 2}, member.Endpoint)
	s.now = func() time.Time { return now }

	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	foreign := []string{"20261121T062900Z.db.gz", "before-the-upgrade.db", "notes.txt"}
	for _, name := range append(foreign, "20261121T062900Z.db.part") {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if err := s.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}

	want := append([]string{"20261121T093000Z.db", "20261121T103000Z.db"}, foreign...)
	slices.Sort(want)
	if got := files(t, s.dir); !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	for path, mode := range map[string]os.FileMode{s.dir: 0o700, filepath.Join(s.dir, "20261121T103000Z.db"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if got, err := testutil.GetGaugeMetricValue(snapshotTimestamp); err != nil || got != float64(now.Add(-time.Hour).Unix()) {
		t.Errorf("the newest is of %v, %v", got, err)
	}
}

func TestASnapshotThatFailsRemovesNone(t *testing.T) {
	dir := t.TempDir()
	member := start(t, dir)
	s := newSnapshots(Config{Dir: dir, SnapshotCount: 1}, member.Endpoint)
	if err := s.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	s.now = func() time.Time { return later }
	if err := os.Mkdir(filepath.Join(s.dir, later.UTC().Format(snapshotTime)+snapshotSuffix), 0o700); err != nil {
		t.Fatal(err)
	}
	before := files(t, s.dir)
	if err := s.take(t.Context()); err == nil {
		t.Error("a snapshot in the place of a directory")
	}
	if after := files(t, s.dir); !slices.Equal(before, after) {
		t.Errorf("there were %v, and now %v", before, after)
	}
}

func TestAServerTakesASnapshotWhenTheLastIsOld(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "snapshots")
	if err := os.MkdirAll(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2*time.Hour).UTC().Format(snapshotTime) + snapshotSuffix
	if err := os.WriteFile(filepath.Join(kept, old), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := Config{Dir: dir, QuotaBytes: 64 << 20, SnapshotInterval: time.Hour, SnapshotCount: 24}
	startIt := func() *Etcd {
		member, err := Start(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(member.Stop)
		return member
	}
	member := startIt()
	s := newSnapshots(config, member.Endpoint)
	list := func() []time.Time {
		taken, err := s.list()
		if err != nil {
			t.Fatal(err)
		}
		return taken
	}
	for deadline := time.Now().Add(time.Minute); len(list()) < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there is no new one in %v", files(t, kept))
		}
	}
	member.Stop()
	before := list()

	// A restart is no reason for another one.
	startIt().Stop()
	if after := list(); !slices.Equal(before, after) {
		t.Errorf("there were %v, and after a restart %v", before, after)
	}
}

func TestAFailedSnapshotIsCountedAndTriedAgain(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	registerMetrics()
	before, err := testutil.GetCounterMetricValue(snapshotFailures)
	if err != nil {
		t.Fatal(err)
	}
	member, err := Start(t.Context(), Config{Dir: dir, QuotaBytes: 64 << 20,
		SnapshotInterval: 10 * time.Millisecond, SnapshotDir: blocked, SnapshotCount: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer member.Stop()
	wait := func(what string, check func() bool) {
		for deadline := time.Now().Add(time.Minute); !check(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	wait("no failure is counted", func() bool {
		after, err := testutil.GetCounterMetricValue(snapshotFailures)
		return err == nil && after > before
	})
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	wait("it is not tried again", func() bool {
		entries, err := os.ReadDir(blocked)
		return err == nil && len(entries) > 0
	})
}
