// Package storageguard makes sure that the storage behind this server is the one
// that the PediaClusters on the host were made from, before anybody is answered.
// The host's garbage collector deletes a PediaCluster when its owner, a lifecycle,
// is answered with 404 or vanishes from a list: an empty or foreign storage would
// cost the whole fleet.
//
// It reads the host and the identity of the storage, and writes three things: the
// record of the storage on the host, that of the host in the storage, and the
// owner references of PediaClusters whose lifecycles storage lacks. pkg/apiserver
// asks it before each request for resources; the controllers start after it.
package storageguard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

const (
	// shortDelay is after how long a failed look is followed by another one. When
	// storage stays refused, the delay grows up to longDelay.
	shortDelay = time.Second
	longDelay  = 10 * time.Second
	// lookTimeout bounds one look.
	lookTimeout = 5 * time.Minute

	// confirmPeriod is how often storage in use is confirmed to be the right one,
	// and confirmTimeout how long that may take.
	confirmPeriod  = 2 * time.Second
	confirmTimeout = 3 * time.Second
	// confidence is how long a confirmation counts: without another one, nobody is
	// answered.
	confidence = 12 * time.Second
	// handoverTime is how long a storage waits that takes the place of another
	// one: whoever served that has had no confirmation for longer than its
	// confidence then.
	handoverTime = 20 * time.Second

	// leap is by how much revisions do not grow between two looks. A restore that
	// raises them does.
	leap = 100_000_000
)

// Storage is what has to be known of the storage.
type Storage interface {
	// Get returns the id of the storage, which is given one if need be, the host
	// that it is bound to, empty at first, and the revision it has reached.
	Get(ctx context.Context) (id, host types.UID, revision uint64, err error)
	// Find is Get, but it gives no id to a storage that has none.
	Find(ctx context.Context) (id, host types.UID, revision uint64, err error)
	// Bind records the host in the storage of that id, if it is bound to the host
	// before.
	Bind(ctx context.Context, id, before, host types.UID) error
	// Lifecycles returns the UIDs of the lifecycles in storage, not of a cache.
	Lifecycles(ctx context.Context) (sets.Set[types.UID], error)
}

// Config says for which host storage has to be the right one.
type Config struct {
	// Host leads to the host cluster.
	Host *rest.Config
	// Namespace holds the Lease of an embedded etcd.
	Namespace string
	// Accept is the id of a storage that the operator wants to be served, whatever
	// served the host before. Empty accepts none.
	Accept types.UID
	// Embedded says that no other replica can reach the storage, and Identity tells
	// this replica from others that have one.
	Embedded bool
	Identity string
	// TakeOver puts into a storage of that id, which was never served, what belongs
	// there. Until it returns nil the storage is not judged. Nil has nothing to do.
	TakeOver func(ctx context.Context, id types.UID) error
}

// Guard knows whether storage may be served. Use New.
type Guard struct {
	config     Config
	storage    Storage
	kubernetes kubernetes.Interface
	metadata   metadata.Interface
	rivals     rivals

	// open is closed when storage is first found to be the right one.
	open chan struct{}

	mu sync.Mutex
	// reason is why nobody is answered, nil when somebody is.
	reason error
	// confirmed is when storage was last found to be the right one.
	confirmed time.Time
	// expiry blocks when a confirmation is used up.
	expiry *time.Timer
	// serving ends when those who are being answered should no longer be.
	serving context.Context
	cut     context.CancelFunc

	// What follows belongs to Run.

	// seen is the storage of the first look, and the highest revision of any.
	seen struct {
		id       types.UID
		revision uint64
	}
	// handover is since when this storage waits to take the place of another, as
	// the record says; zero when it does not.
	handover time.Time
}

// New returns a guard that lets nobody pass until it runs.
func New(config Config, storage Storage) (*Guard, error) {
	g := &Guard{config: config, storage: storage, open: make(chan struct{})}
	var err error
	if g.kubernetes, err = kubernetes.NewForConfig(config.Host); err != nil {
		return nil, fmt.Errorf("a client for the record of the storage: %w", err)
	}
	if g.metadata, err = metadata.NewForConfig(metadata.ConfigFor(config.Host)); err != nil {
		return nil, fmt.Errorf("a client for the owners of PediaClusters: %w", err)
	}
	g.rivals = newRivals(config, g.kubernetes, storage)
	g.block(errors.New("the server is starting"))
	return g, nil
}

// errUnconfirmed is told while storage in use cannot be confirmed.
var errUnconfirmed = errors.New("the storage could not be confirmed to be the right one for a while")

// Admit returns a context for a request, which ends when resources can no longer
// be served, and what releases it. The error is why they cannot be served now: a
// *Refusal has a text for the caller.
func (g *Guard) Admit(ctx context.Context) (context.Context, func(), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.blocked(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.serving, cancel)
	return ctx, func() { stop(); cancel() }, nil
}

// Blocked is why resources cannot be served now, nil when they can.
func (g *Guard) Blocked() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.blocked()
}

func (g *Guard) blocked() error {
	if g.reason == nil && g.usedUp() {
		return errUnconfirmed
	}
	return g.reason
}

// usedUp tells by either clock: the monotonic one may rest while the machine
// sleeps, and the other one may be set back.
func (g *Guard) usedUp() bool {
	now := time.Now()
	return max(now.Sub(g.confirmed), now.Round(0).Sub(g.confirmed.Round(0))) > confidence
}

// Opened reports whether storage was ever found to be the right one.
func (g *Guard) Opened() bool {
	select {
	case <-g.open:
		return true
	default:
		return false
	}
}

// Refused reports whether storage is refused until somebody does something about it.
func (g *Guard) Refused() bool {
	refused := (*Refusal)(nil)
	return errors.As(g.Blocked(), &refused) && refused.Lasting
}

// block answers nobody any more, and ends what is being answered.
func (g *Guard) block(reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reason = reason
	g.end()
}

func (g *Guard) end() {
	if g.cut != nil {
		g.cut()
		g.cut = nil
	}
}

// confirm lets requests pass until the confidence is used up. It was found out
// after that time.
func (g *Guard) confirm(since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut == nil {
		g.serving, g.cut = context.WithCancel(context.Background())
	}
	g.reason, g.confirmed = nil, since
	if g.expiry == nil {
		g.expiry = time.AfterFunc(confidence, g.expire)
	}
	g.expiry.Reset(confidence + time.Millisecond - time.Since(since))
}

// expire ends what is being answered when the last confirmation is used up: storage
// may come back as another one, and those who watch must not be told of the
// difference.
func (g *Guard) expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if reason := g.blocked(); reason != nil {
		g.reason = reason
		g.end()
	}
}

// Run looks at storage and host until they belong together, lets requests pass,
// and goes on confirming that until the context ends, which is no error. It has to
// run for as long as anybody can be answered. The error is that storage has become
// another one: what this process knows is worth nothing then, and it should end.
func (g *Guard) Run(ctx context.Context) error {
	defer g.rivals.run(ctx)()
	host, err := g.await(ctx)
	if err == nil && ctx.Err() == nil {
		err = g.watch(ctx, host)
	}
	if err != nil {
		g.block(err)
	}
	return err
}

// await returns when storage may be served or the context has ended. The error is
// a *lost.
func (g *Guard) await(ctx context.Context) (host types.UID, err error) {
	logger := klog.FromContext(ctx)
	refusedFor, said := shortDelay, ""
	for {
		began := time.Now()
		host, err := g.look(ctx)
		if err == nil {
			g.confirm(began)
			close(g.open)
			return host, nil
		}
		if changed := (*lost)(nil); errors.As(err, &changed) {
			return "", err
		}
		delay := shortDelay
		if refused := (*Refusal)(nil); errors.As(err, &refused) && refused.Lasting {
			delay, refusedFor = refusedFor, min(2*refusedFor, longDelay)
		} else {
			refusedFor = shortDelay
		}
		if errors.Is(err, errLookAgain) {
			delay = 0
		}
		g.block(err)
		if err.Error() != said && ctx.Err() == nil {
			logger.Error(err, "The API responds with 503 for its resources, and nothing is imported")
			said = err.Error()
		}
		select {
		case <-ctx.Done():
			return "", nil
		case <-time.After(delay):
		}
	}
}

// errLookAgain says that something was put right, which has to be seen.
var errLookAgain = errors.New("lost owners were removed from PediaClusters")

// look gathers the facts and, when storage may be served, makes it safe to do so.
func (g *Guard) look(ctx context.Context) (host types.UID, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := g.rivals.check(ctx); err != nil {
		return "", err
	}
	if err := g.takeOver(ctx); err != nil {
		return "", err
	}
	f, record, err := g.gather(ctx)
	if err != nil {
		return "", err
	}
	if err := judge(*f); err != nil {
		g.handover = time.Time{} // whatever is waited for then begins again
		return "", err
	}
	if record, err = g.record(ctx, f, record); err != nil {
		return "", err
	}
	if f.boundTo != f.host {
		if err := g.storage.Bind(ctx, f.storage, f.boundTo, f.host); err != nil {
			return "", err
		}
	}
	if !takesOver(record) {
		g.handover = time.Time{}
	} else {
		if g.handover.IsZero() {
			g.handover = time.Now()
		}
		if left := handoverTime - time.Since(g.handover); left > 0 {
			return "", &Refusal{message: fmt.Sprintf("the storage %s replaces another: waiting for %s, until no client is served from that",
				f.storage, handoverTime)}
		}
	}
	if dangling := f.dangling(); len(dangling) > 0 {
		if err := g.strip(ctx, f, dangling); err != nil {
			return "", err
		}
		return "", errLookAgain
	}
	if err := g.endHandover(ctx, record); err != nil {
		return "", err
	}
	klog.FromContext(ctx).Info("The storage is the right one", "storage", f.storage, "lifecycles", len(f.lifecycles), "pediaClusters", len(f.pediaClusters),
		"servedBefore", f.recorded == f.storage)
	return f.host, nil
}

func (g *Guard) takeOver(ctx context.Context) error {
	if g.config.TakeOver == nil {
		return nil
	}
	id, boundTo, _, err := g.storage.Get(ctx)
	if err != nil || boundTo != "" {
		return err
	}
	return g.config.TakeOver(ctx, id)
}

// Reached reports whether the storage has come to that revision. One that it has
// not reached is of another storage, or of this one before it was restored.
func (g *Guard) Reached(ctx context.Context, revision uint64) (bool, error) {
	_, _, reached, err := g.storage.Find(ctx)
	return revision <= reached, err
}

// lost says that the storage is no longer the one that this process began with.
type lost struct{ message string }

func (l *lost) Error() string { return l.message }

// same returns a *lost unless the storage is the one of the first look, further on.
func (g *Guard) same(id types.UID, revision uint64) error {
	seen := &g.seen
	switch {
	case seen.id == "":
		seen.id = id
	case id != seen.id:
		return &lost{fmt.Sprintf("the storage %s was replaced by %q while the server runs", seen.id, id)}
	case revision < seen.revision, revision > seen.revision+leap:
		return &lost{fmt.Sprintf("the revision of the storage %s changed from %d to %d while the server runs, as after a restore from a snapshot",
			id, seen.revision, revision)}
	}
	seen.revision = revision
	return nil
}

// watch returns a *lost when the storage in use is no longer the right one, and nil
// when the context ends. What cannot be read proves nothing, and confirms nothing.
func (g *Guard) watch(ctx context.Context, host types.UID) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(confirmPeriod):
		}
		began := time.Now()
		ofRecord := make(chan error, 1)
		go func() { ofRecord <- g.checkRecord(ctx) }()
		// One that cannot be read must not hide what the other one says.
		err := errors.Join(g.checkStorage(ctx, host), <-ofRecord)
		switch changed := (*lost)(nil); {
		case errors.As(err, &changed):
			return changed
		case err == nil:
			g.confirm(began)
		case ctx.Err() == nil:
			klog.FromContext(ctx).V(2).Info("The storage in use was not confirmed", "err", err)
		}
	}
}

func (g *Guard) checkStorage(ctx context.Context, host types.UID) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	id, boundTo, revision, err := g.storage.Find(ctx)
	switch {
	case err != nil:
		return err
	case boundTo != host && id == g.seen.id:
		return &lost{fmt.Sprintf("the storage %s is used for another host now", id)}
	}
	return g.same(id, revision)
}
