package controller

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
)

// term is one time of leading. It stands between the election and the lease,
// where it sees renewals, and between the controllers and the network, where it
// lets no request begin once the lease may be another's. The election alone
// cannot: a process that was stopped for a minute goes on in the middle of its
// work, before the election has noticed anything.
type term struct {
	resourcelock.Interface
	// patience is after how long without a renewal no request begins.
	patience time.Duration
	// end stops the election and the work of this term.
	end context.CancelFunc
	// finished is closed when the work has ended.
	finished chan struct{}
	now      func() time.Time
	// renewed is when the last renewal was sent that succeeded. It is nil before
	// the lease was acquired and after it was lost or given back.
	renewed atomic.Pointer[time.Time]
	// acquired is set from the first time the lease was held.
	acquired atomic.Bool
}

// Get reads the lease, which the election does when it could not renew it as it
// was. If it has changed hands meanwhile, this term is over, even if the lease is
// free again: what another leader did has to be read again.
func (t *term) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := t.Interface.Get(ctx)
	if t.acquired.Load() && (apierrors.IsNotFound(err) || err == nil && record.HolderIdentity != t.Identity()) {
		t.renewed.Store(nil)
		t.end()
		return nil, nil, fmt.Errorf("another replica has held the lease %s in the meantime", t.Describe())
	}
	return record, raw, err
}

// Create makes the lease, for this replica.
func (t *term) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return t.hold(func() error { return t.Interface.Create(ctx, record) })
}

// Update acquires, renews, or gives back the lease. It is given back only after
// the work has ended: the election would not wait for that when renewals fail.
func (t *term) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity == t.Identity() {
		return t.hold(func() error { return t.Interface.Update(ctx, record) })
	}
	t.end()
	select {
	case <-t.finished:
	case <-ctx.Done():
		return fmt.Errorf("the controllers have not stopped, so the lease is not released and expires: %w", ctx.Err())
	}
	t.renewed.Store(nil)
	return t.Interface.Update(ctx, record)
}

func (t *term) hold(write func() error) error {
	// Others count from when they see the renewal, which is after this.
	sent := t.now()
	if err := write(); err != nil {
		return err
	}
	t.renewed.Store(&sent)
	t.acquired.Store(true)
	return nil
}

// checkHeld returns an error unless it is certain that this replica holds the lease.
func (t *term) checkHeld() error {
	renewed := t.renewed.Load()
	if renewed == nil {
		return fmt.Errorf("not sent: the lease %s is not held any more", t.Describe())
	}
	// By either clock: the monotonic one may rest while the machine sleeps, and
	// the other one may be set back.
	now := t.now()
	silent := max(now.Sub(*renewed), now.Round(0).Sub(renewed.Round(0)))
	if silent > t.patience {
		return fmt.Errorf("not sent: the lease %s was last renewed %s ago, so that another replica may lead",
			t.Describe(), silent.Round(time.Millisecond))
	}
	return nil
}

// fenced returns the configuration of a client whose requests begin only while
// the lease is held.
func (t *term) fenced(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &fence{term: t, next: next} })
	return config
}

// fence lets requests through while the lease is held.
type fence struct {
	term *term
	next http.RoundTripper
}

func (f *fence) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := f.term.checkHeld(); err != nil {
		if request.Body != nil {
			_ = request.Body.Close() // as every RoundTripper has to
		}
		return nil, err
	}
	return f.next.RoundTrip(request)
}

// WrappedRoundTripper is how client-go finds the connections below.
func (f *fence) WrappedRoundTripper() http.RoundTripper { return f.next }

// fencedStorage is the storage of lifecycles for one term: no request begins once the lease
// may be another's.
type fencedStorage struct {
	term    *term
	storage lifecycles.WatchableStorage
}

var _ lifecycles.WatchableStorage = &fencedStorage{}

// fencedBy sends a request to storage while the lease is held.
func fencedBy[R any](term *term, request func() (R, error)) (R, error) {
	if err := term.checkHeld(); err != nil {
		var none R
		return none, err
	}
	return request()
}

func (f *fencedStorage) Create(ctx context.Context, lifecycle *lifecycles.Lifecycle) (*lifecycles.Lifecycle, error) {
	return fencedBy(f.term, func() (*lifecycles.Lifecycle, error) { return f.storage.Create(ctx, lifecycle) })
}

func (f *fencedStorage) Update(ctx context.Context, lifecycle *lifecycles.Lifecycle) (*lifecycles.Lifecycle, error) {
	return fencedBy(f.term, func() (*lifecycles.Lifecycle, error) { return f.storage.Update(ctx, lifecycle) })
}

func (f *fencedStorage) SetOwners(ctx context.Context, lifecycle *lifecycles.Lifecycle) (*lifecycles.Lifecycle, error) {
	return fencedBy(f.term, func() (*lifecycles.Lifecycle, error) { return f.storage.SetOwners(ctx, lifecycle) })
}

func (f *fencedStorage) MarkDeleted(ctx context.Context, lifecycle *lifecycles.Lifecycle, propagation *metav1.DeletionPropagation) (*lifecycles.Lifecycle, error) {
	return fencedBy(f.term, func() (*lifecycles.Lifecycle, error) { return f.storage.MarkDeleted(ctx, lifecycle, propagation) })
}

func (f *fencedStorage) Remove(ctx context.Context, lifecycle *lifecycles.Lifecycle) (*lifecycles.Lifecycle, error) {
	return fencedBy(f.term, func() (*lifecycles.Lifecycle, error) { return f.storage.Remove(ctx, lifecycle) })
}

func (f *fencedStorage) Get(ctx context.Context, name string) (*lifecycles.Lifecycle, error) {
	return fencedBy(f.term, func() (*lifecycles.Lifecycle, error) { return f.storage.Get(ctx, name) })
}

func (f *fencedStorage) HasPolicy(ctx context.Context, policy string) (bool, error) {
	return fencedBy(f.term, func() (bool, error) { return f.storage.HasPolicy(ctx, policy) })
}

func (f *fencedStorage) List(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	return fencedBy(f.term, func() (runtime.Object, error) { return f.storage.List(ctx, options) })
}

func (f *fencedStorage) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return fencedBy(f.term, func() (watch.Interface, error) { return f.storage.Watch(ctx, options) })
}
