package controller

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// Lease is the Lease on the host that one of any number of replicas holds while
// its controllers work.
type Lease struct {
	Namespace, Name string
	// Identity tells this replica from every other.
	Identity string
	// Duration is how long the others wait for a holder that went silent;
	// RenewDeadline is after how long without a renewal the holder stops; and
	// RetryPeriod is how often both try.
	Duration, RenewDeadline, RetryPeriod time.Duration
}

// lead calls work whenever this replica holds the lease, until the context
// ends. The context of work ends with the lease. On an ordered stop the lease is
// given back after work has returned, so that no two replicas ever work.
func lead(ctx context.Context, host *rest.Config, lease Lease, work func(context.Context)) error {
	// A client of its own: renewals must not queue behind the work.
	client, err := coordinationclient.NewForConfig(rest.AddUserAgent(host, "leader-election"))
	if err != nil {
		return fmt.Errorf("making the client of the lease: %w", err)
	}
	logger := klog.FromContext(ctx).WithValues("lease", klog.KRef(lease.Namespace, lease.Name))
	for ctx.Err() == nil {
		term, giveBack := context.WithCancel(context.WithoutCancel(ctx))
		var leading atomic.Bool
		finished := make(chan struct{})
		stopWaiting := context.AfterFunc(ctx, func() {
			if !leading.Load() {
				giveBack()
			}
		})
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Name: lease.Name,
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: lease.Namespace, Name: lease.Name},
				Client:     client,
				LockConfig: resourcelock.ResourceLockConfig{Identity: lease.Identity},
			},
			LeaseDuration: lease.Duration, RenewDeadline: lease.RenewDeadline, RetryPeriod: lease.RetryPeriod,
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(holding context.Context) {
					leading.Store(true)
					defer close(finished)
					defer giveBack()
					working, stop := context.WithCancel(holding)
					defer stop()
					defer context.AfterFunc(ctx, stop)()
					logger.Info("This replica leads", "identity", lease.Identity)
					work(working)
				},
				OnStoppedLeading: func() {},
				OnNewLeader: func(identity string) {
					logger.V(2).Info("The lease is held", "identity", identity)
				},
			},
		})
		if err != nil {
			giveBack()
			return fmt.Errorf("setting up the election: %w", err)
		}
		elector.Run(term)
		stopWaiting()
		giveBack()
		if leading.Load() {
			<-finished
			logger.Info("This replica no longer leads")
		}
	}
	return nil
}
