// Package etcd runs an etcd inside the process, for installations that have
// none to offer. It is a package of its own, beside the API server and not in
// it: the server knows storage only by the addresses of an etcd, whoever runs
// it, and outlives none of its writes because this one is started before it
// and stopped after it.
//
// The member listens on a unix socket in a directory that only its user may
// enter. On loopback, every local user could read and write what the API
// guards, since etcd asks for no credentials. Peers are not listened to at all:
// there are none.
package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

const (
	memberName = "policy-apiserver"
	socketName = "etcd.sock"
	// maxSocketPath is what sockaddr_un takes on every system that we build
	// for: 104 bytes on BSD and macOS, 108 on Linux, each with a final zero.
	maxSocketPath = 103
	// defragThresholdMegabytes of free pages are given back at start, and while
	// the member runs.
	defragThresholdMegabytes = 64

	databaseFile = "member/snap/db"
	lockFile     = "lock"

	// readyTimeout bounds the time that a member takes to apply its log.
	readyTimeout = 2 * time.Minute
	// stopTimeout bounds that time for a start that is broken off.
	stopTimeout = 10 * time.Second
	// waitingPeriod is how often it is logged what is waited for.
	waitingPeriod = 10 * time.Second

	// noLevel is above all that etcd logs.
	noLevel = zap.FatalLevel + 1
)

// Config says where an embedded etcd keeps its data and how much.
type Config struct {
	// Dir is made if it does not exist. One process at a time may use it.
	Dir string
	// QuotaBytes caps the size of the database; a negative one does not.
	QuotaBytes int64

	// SnapshotInterval is the time between two snapshots; zero means none.
	SnapshotInterval time.Duration
	// SnapshotDir is where they are kept: the folder snapshots of Dir if empty.
	SnapshotDir string
	// SnapshotCount is how many of them are kept.
	SnapshotCount int

	// readyTimeout is another one for tests.
	readyTimeout time.Duration
}

// Etcd is a running member.
type Etcd struct {
	// Endpoint is the address for clients.
	Endpoint string

	logLevel  zap.AtomicLevel
	member    *embed.Etcd
	lock      *fileutil.LockedFile
	temporary string // the directory of the socket, if it goes at the end
	stop      sync.Once

	client  *clientv3.Client
	stopped context.CancelFunc
	tending sync.WaitGroup
}

// Start runs a member and returns when it serves. From then on it keeps its
// database small and takes snapshots. Stop it in any case.
func Start(ctx context.Context, config Config) (*Etcd, error) {
	e, err := startMember(ctx, config)
	if err != nil {
		return nil, err
	}
	e.client, err = clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint}, Logger: zap.NewNop()})
	if err != nil {
		e.Stop()
		return nil, fmt.Errorf("a client of the embedded etcd: %w", err)
	}
	logger := klog.FromContext(ctx)
	tending, stop := context.WithCancel(klog.NewContext(context.Background(), logger))
	e.stopped = stop

	// Before anything is written: a member that was full refuses writes until
	// it is told that there is room again.
	keeper := upkeep{client: e.client, endpoint: e.Endpoint}
	keeper.tend(tending)
	e.tending.Go(func() { wait.UntilWithContext(tending, keeper.tend, upkeepInterval) })
	if config.SnapshotInterval > 0 {
		s := newSnapshots(config, e.Endpoint)
		e.tending.Go(func() { s.run(tending) })
	}
	logger.Info("Embedded etcd serves", "dir", config.Dir, "endpoint", e.Endpoint)
	return e, nil
}

// startMember runs a member and leaves it alone.
func startMember(ctx context.Context, config Config) (_ *Etcd, err error) {
	// At its start, etcd warns of how a member with peers should be set up. What it
	// fails at becomes an error.
	e := &Etcd{logLevel: zap.NewAtomicLevelAt(noLevel)}
	defer func() {
		if err != nil {
			e.Stop()
		}
	}()

	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, fileutil.PrivateDirMode); err != nil {
		return nil, fmt.Errorf("making the directory of the embedded etcd: %w", err)
	}
	if e.lock, err = lock(dir); err != nil {
		return nil, err
	}
	socket, err := e.socketPath(dir)
	if err != nil {
		return nil, fmt.Errorf("making room for the socket of the embedded etcd: %w", err)
	}
	endpoint := url.URL{Scheme: "unix", Path: socket}
	e.Endpoint = endpoint.String()
	if err := e.announce(); err != nil {
		return nil, fmt.Errorf("writing the address of the embedded etcd into its lock: %w", err)
	}

	found, err := inspect(dir)
	if err == nil {
		err = e.startIn(ctx, dir, config)
	}
	if err != nil && ctx.Err() == nil {
		return nil, found.dataError(dir, err)
	}
	return e, err
}

// startIn returns when the member is ready.
func (e *Etcd) startIn(ctx context.Context, dir string, config Config) error {
	starting := &startup{failed: make(chan error, 1)}
	member := memberConfig(dir, url.URL{Scheme: "unix", Path: strings.TrimPrefix(e.Endpoint, "unix://")}, config.QuotaBytes,
		newLogger(e.logLevel, starting))
	opened := make(chan *embed.Etcd, 1)
	go func() {
		defer func() {
			if fault := recover(); fault != nil {
				starting.fail(fmt.Errorf("etcd cannot read its log in %s: %v", logDir, fault))
			}
		}()
		member, err := embed.StartEtcd(member)
		if err != nil {
			starting.fail(err)
			return
		}
		opened <- member
	}()

	limit := cmp.Or(config.readyTimeout, readyTimeout)
	told := time.NewTicker(waitingPeriod)
	defer told.Stop()
	waitingFor, late := "it has read its database", (<-chan time.Time)(nil)
	var ready, cancelled <-chan struct{}
	var died <-chan error
	for {
		select {
		case e.member = <-opened:
			waitingFor, late = "it has applied its log", time.After(limit)
			ready, cancelled, died = e.member.Server.ReadyNotify(), ctx.Done(), e.member.Err()
		case <-ready:
			starting.over.Store(true)
			e.logLevel.SetLevel(zap.WarnLevel)
			return nil
		case err := <-starting.failed:
			return err
		case err := <-died:
			return err
		case <-cancelled:
			// A new member that is stopped before it is ready never becomes ready.
			cancelled, late = nil, time.After(min(limit, stopTimeout))
		case <-late:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return errNotReady
		case <-told.C:
			klog.FromContext(ctx).Info("The embedded etcd is not ready", "dir", dir, "waitingUntil", waitingFor)
		}
	}
}

// lock takes the directory for this process. etcd itself would wait for the
// database of another process without an end.
func lock(dir string) (*fileutil.LockedFile, error) {
	file, err := fileutil.TryLockFile(filepath.Join(dir, lockFile), os.O_WRONLY|os.O_CREATE, fileutil.PrivateFileMode)
	switch {
	case errors.Is(err, fileutil.ErrLocked):
		return nil, fmt.Errorf("the directory %s of the embedded etcd is %w", dir, errInUse)
	case err != nil:
		return nil, fmt.Errorf("locking the directory of the embedded etcd: %w", err)
	}
	return file, nil
}

var errInUse = errors.New("in use by another process")

// announce writes into the lock where the member is reached.
func (e *Etcd) announce() error {
	if err := e.lock.Truncate(0); err != nil {
		return err
	}
	_, err := e.lock.WriteAt([]byte(e.Endpoint), 0)
	return err
}

func memberConfig(dir string, endpoint url.URL, quotaBytes int64, logger *zap.Logger) *embed.Config {
	config := embed.NewConfig()
	config.Name = memberName
	config.Dir = dir
	config.ListenClientUrls = []url.URL{endpoint}
	config.AdvertiseClientUrls = []url.URL{endpoint}
	config.ListenPeerUrls = nil
	config.InitialCluster = config.InitialClusterFromName(memberName)
	config.EnableGRPCGateway = false
	config.QuotaBackendBytes = quotaBytes
	// The API server compacts what is older than --etcd-compaction-interval;
	// this is for when that is turned off.
	config.AutoCompactionMode = embed.CompactorModePeriodic
	config.AutoCompactionRetention = "1h"
	config.BootstrapDefragThresholdMegabytes = defragThresholdMegabytes
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)
	return config
}

// socketPath is in a directory of the data directory that only this user may
// enter, or in a temporary one of that kind if the path would be longer than
// that of a socket can be.
func (e *Etcd) socketPath(dir string) (string, error) {
	parent := filepath.Join(dir, "run")
	if len(filepath.Join(parent, socketName)) > maxSocketPath {
		var err error
		if e.temporary, err = os.MkdirTemp("", "policy-etcd-"); err != nil {
			return "", err
		}
		parent = e.temporary
	}
	path := filepath.Join(parent, socketName)
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("the paths %s and %s are both too long: set TMPDIR to a shorter one", dir, parent)
	}
	if err := os.MkdirAll(parent, fileutil.PrivateDirMode); err != nil {
		return "", err
	}
	return path, os.Chmod(parent, fileutil.PrivateDirMode)
}

// Err tells of a member that died. It is closed when the member is stopped.
func (e *Etcd) Err() <-chan error { return e.member.Err() }

// Stop ends the member after the requests that it has begun. Once is enough,
// more does no harm.
func (e *Etcd) Stop() { e.stop.Do(e.end) }

func (e *Etcd) end() {
	// At its end, etcd calls its closed listeners errors.
	e.logLevel.SetLevel(zap.PanicLevel)
	if e.stopped != nil {
		e.stopped()
		e.tending.Wait()
		_ = e.client.Close()
	}
	if e.member != nil {
		select {
		case <-e.member.Server.ReadyNotify():
		default:
			// Its handlers, which Close waits for, wait until it is ready or stops.
			e.member.Server.HardStop()
		}
		e.member.Close()
	}
	if e.temporary != "" {
		_ = os.RemoveAll(e.temporary)
	}
	if e.lock != nil {
		_ = e.lock.Close()
	}
}
