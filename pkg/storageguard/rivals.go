package storageguard

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
)

// LeaseName is the name of the Lease that a replica with a storage of its own
// holds.
const LeaseName = "policy-apiserver-embedded-etcd"

// The Lease is held for as long as the process runs, and nothing else depends on
// it: whoever held it goes on when the host does not answer.
const (
	leaseDuration = 30 * time.Second
	leaseDeadline = 20 * time.Second
	leaseRetry    = 5 * time.Second

	// releaseTimeout is how long the end of the process waits for the Lease to be
	// given back, which only spares another storage the lease duration.
	releaseTimeout = 3 * time.Second
)

// rivals are replicas with a storage of their own: an embedded etcd serves one
// replica, beside which there must be no other, whatever its storage.
type rivals struct {
	config  Config
	client  kubernetes.Interface
	storage Storage
	// alone is closed when this replica holds the Lease.
	alone chan struct{}
	// observed is what a replica without a storage of its own has seen of the
	// Lease, and since when: clocks differ.
	observed struct {
		holder  string
		renewed metav1.MicroTime
		since   time.Time
	}
}

func newRivals(config Config, client kubernetes.Interface, storage Storage) rivals {
	return rivals{config: config, client: client, storage: storage, alone: make(chan struct{})}
}

// run holds the Lease, if the storage is embedded, and returns what ends that.
func (r *rivals) run(ctx context.Context) (end func()) {
	if !r.config.Embedded {
		return func() {}
	}
	ctx, stop := context.WithCancel(ctx)
	released := make(chan struct{})
	go func() {
		defer close(released)
		r.hold(ctx)
	}()
	return func() {
		stop()
		select {
		case <-released:
		case <-time.After(releaseTimeout):
		}
	}
}

// hold holds the Lease in the name of the storage until the context ends. A
// process that was killed finds it in its own name at the next start.
func (r *rivals) hold(ctx context.Context) {
	var once sync.Once
	for ctx.Err() == nil {
		id, _, _, err := r.storage.Get(ctx)
		if err == nil {
			err = r.electOnce(ctx, r.identity(id), func() { once.Do(func() { close(r.alone) }) })
		}
		if err != nil {
			utilruntime.HandleErrorWithContext(ctx, err, "Holding the Lease of the embedded etcd")
		}
		select {
		case <-ctx.Done():
		case <-time.After(shortDelay):
		}
	}
}

// identity is the name in which a storage of this replica holds the Lease.
func (r *rivals) identity(storage types.UID) string {
	return string(storage) + "_" + r.config.Identity
}

func (r *rivals) electOnce(ctx context.Context, identity string, held func()) error {
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: LeaseName,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: r.config.Namespace, Name: LeaseName},
			Client:     r.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		LeaseDuration: leaseDuration, RenewDeadline: leaseDeadline, RetryPeriod: leaseRetry,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { held() },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return err
	}
	elector.Run(ctx)
	return nil
}

// check returns an error while there is, or may be, a rival.
func (r *rivals) check(ctx context.Context) error {
	select {
	case <-r.alone:
		return nil
	default:
	}
	lease, err := r.client.CoordinationV1().Leases(r.config.Namespace).Get(ctx, LeaseName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && !r.config.Embedded:
		return nil
	case err != nil:
		return fmt.Errorf("reading the Lease of embedded etcds: %w", err)
	}
	holder := ptr.Deref(lease.Spec.HolderIdentity, "")
	if renewed := ptr.Deref(lease.Spec.RenewTime, metav1.MicroTime{}); holder != r.observed.holder || !renewed.Equal(&r.observed.renewed) {
		r.observed.holder, r.observed.renewed, r.observed.since = holder, renewed, time.Now()
	}
	if r.config.Embedded {
		id, _, _, err := r.storage.Get(ctx)
		if err != nil {
			return err
		}
		if holder == "" || holder == r.identity(id) { // left by this replica, when it was killed
			return fmt.Errorf("the Lease %s/%s is not held yet", r.config.Namespace, LeaseName)
		}
	}
	if !r.config.Embedded && (holder == "" || time.Since(r.observed.since) > leaseDuration) {
		return nil
	}
	return &Refusal{Lasting: true, message: fmt.Sprintf("another replica with an embedded etcd of its own holds the Lease %s/%s (%s): an embedded etcd serves one replica; "+
		"scale to one, or give all replicas the same --etcd-servers. If that replica no longer runs, this one continues within %s",
		r.config.Namespace, LeaseName, holder, leaseDuration)}
}
