package storageguard

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// LeaseName is the name of the Lease that a storage within a process holds.
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

// holdUntilEnd holds the Lease until the context ends, and returns what waits
// until it is given back.
func (g *Guard) holdUntilEnd(ctx context.Context) (wait func()) {
	ctx, stop := context.WithCancel(ctx)
	released := make(chan struct{})
	go func() {
		defer close(released)
		g.hold(ctx)
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
func (g *Guard) hold(ctx context.Context) {
	var once sync.Once
	for ctx.Err() == nil {
		id, _, err := g.storage.Get(ctx)
		if err == nil {
			err = g.electOnce(ctx, string(id), func() { once.Do(func() { close(g.alone) }) })
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

func (g *Guard) electOnce(ctx context.Context, id string, held func()) error {
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: LeaseName,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: g.config.Namespace, Name: LeaseName},
			Client:     g.kubernetes.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: id},
		},
		LeaseDuration: leaseDuration, RenewDeadline: leaseDeadline, RetryPeriod: leaseRetry,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { held() },
			OnStoppedLeading: func() {},
			OnNewLeader:      func(identity string) { g.rival.Store(&identity) },
		},
	})
	if err != nil {
		return err
	}
	elector.Run(ctx)
	return nil
}

// notAlone says who else has a storage of its own.
func (g *Guard) notAlone() error {
	rival := g.rival.Load()
	if rival == nil || *rival == "" {
		return fmt.Errorf("the Lease %s/%s is not held yet", g.config.Namespace, LeaseName)
	}
	return &Refusal{fmt.Sprintf("another replica with an embedded etcd of its own (storage %s) holds the Lease %s/%s: an embedded etcd serves one replica; "+
		"scale to one, or give all replicas the same --etcd-servers. If that replica is gone, this one goes on within %s",
		*rival, g.config.Namespace, LeaseName, leaseDuration)}
}
