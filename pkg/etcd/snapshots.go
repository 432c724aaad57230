package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.uber.org/zap"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

const (
	snapshotTime   = "20060102T150405Z"
	snapshotSuffix = ".db"
	// partSuffix ends the name of a snapshot that is being written.
	partSuffix = snapshotSuffix + ".part"
	// answerTimeout is longer than a member is busy giving free pages back.
	answerTimeout = time.Minute
)

var (
	snapshotTimestamp = metrics.NewGauge(&metrics.GaugeOpts{
		Name:           "policy_apiserver_embedded_etcd_snapshot_timestamp_seconds",
		Help:           "When the newest snapshot of the embedded etcd was saved.",
		StabilityLevel: metrics.ALPHA,
	})
	snapshotFailures = metrics.NewCounter(&metrics.CounterOpts{
		Name:           "policy_apiserver_embedded_etcd_snapshot_failures_total",
		Help:           "Snapshots of the embedded etcd that failed.",
		StabilityLevel: metrics.ALPHA,
	})
	// Only a server that takes snapshots tells of them.
	registerMetrics = sync.OnceFunc(func() { legacyregistry.MustRegister(snapshotTimestamp, snapshotFailures) })
)

// snapshots are those that a member takes of itself.
type snapshots struct {
	dir      string
	interval time.Duration
	count    int
	endpoint string
	now      func() time.Time
}

func newSnapshots(config Config, endpoint string) *snapshots {
	registerMetrics()
	dir := config.SnapshotDir
	if dir == "" {
		dir = filepath.Join(config.Dir, "snapshots")
	}
	return &snapshots{dir: dir, interval: config.SnapshotInterval, count: config.SnapshotCount, endpoint: endpoint, now: time.Now}
}

// run takes a snapshot whenever the newest is as old as the interval, whoever
// took it: a server that is restarted often has no more of them than others.
func (s *snapshots) run(ctx context.Context) {
	for {
		var due time.Duration
		if taken, err := s.list(); err == nil && len(taken) > 0 {
			newest := taken[len(taken)-1]
			snapshotTimestamp.Set(float64(newest.Unix()))
			// A clock that was set back does not stop them.
			due = min(newest.Add(s.interval).Sub(s.now()), s.interval)
		}
		if !sleep(ctx, due) {
			return
		}
		if err := s.take(ctx); err != nil && ctx.Err() == nil {
			snapshotFailures.Inc()
			klog.FromContext(ctx).Error(err, "A snapshot of the embedded etcd failed, it is tried again", "dir", s.dir, "in", s.retry())
			if !sleep(ctx, s.retry()) {
				return
			}
		}
	}
}

// retry is the time between two attempts.
func (s *snapshots) retry() time.Duration { return min(s.interval, time.Minute) }

func sleep(ctx context.Context, duration time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(duration):
		return ctx.Err() == nil
	}
}

// take writes a snapshot, and removes the oldest when there is one more than
// are kept.
func (s *snapshots) take(ctx context.Context) error {
	if err := os.MkdirAll(s.dir, fileutil.PrivateDirMode); err != nil {
		return err
	}
	now := s.now().UTC().Truncate(time.Second)
	file := filepath.Join(s.dir, now.Format(snapshotTime)+snapshotSuffix)
	if err := save(ctx, s.endpoint, file); err != nil {
		return err
	}
	snapshotTimestamp.Set(float64(now.Unix()))
	klog.FromContext(ctx).V(2).Info("Saved a snapshot of the embedded etcd", "file", file)
	return s.prune()
}

// prune removes the oldest snapshots, and what a process that was killed left
// half written. Files of other names are not touched.
func (s *snapshots) prune() error {
	taken, err := s.list()
	if err != nil {
		return err
	}
	var errs []error
	for _, old := range taken[:max(0, len(taken)-s.count)] {
		errs = append(errs, os.Remove(filepath.Join(s.dir, old.Format(snapshotTime)+snapshotSuffix)))
	}
	partial, err := s.named(partSuffix)
	errs = append(errs, err)
	for _, part := range partial {
		errs = append(errs, os.Remove(filepath.Join(s.dir, part.Format(snapshotTime)+partSuffix)))
	}
	return errors.Join(errs...)
}

// list returns when the snapshots that are there were taken, the oldest first.
func (s *snapshots) list() ([]time.Time, error) { return s.named(snapshotSuffix) }

// named returns the times of the files whose names are a time and the suffix.
func (s *snapshots) named(suffix string) ([]time.Time, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var times []time.Time
	for _, entry := range entries {
		name, matches := strings.CutSuffix(entry.Name(), suffix)
		taken, err := time.Parse(snapshotTime, name)
		if matches && err == nil && entry.Type().IsRegular() {
			times = append(times, taken)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times, nil
}

// save writes a snapshot of the member at that address to the file, which is
// there either whole or not at all. Its end is a checksum of the rest.
func save(ctx context.Context, endpoint, file string) error {
	config := clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()}
	if err := answers(ctx, config); err != nil {
		return fmt.Errorf("the embedded etcd does not respond at %s: %w", endpoint, err)
	}
	if _, err := snapshot.SaveWithVersion(ctx, zap.NewNop(), config, file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	// The name of the file has to outlive a power failure as well.
	if err := errors.Join(fileutil.Fsync(dir), dir.Close()); err != nil {
		return fmt.Errorf("writing the directory %s: %w", filepath.Dir(file), err)
	}
	return nil
}

// answers returns an error of a member that does not answer: the request for a
// snapshot would wait for it without an end.
func answers(ctx context.Context, config clientv3.Config) error {
	client, err := clientv3.New(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err = client.Status(ctx, config.Endpoints[0])
	return errors.Join(err, client.Close())
}
