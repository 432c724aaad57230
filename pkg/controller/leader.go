package controller

import (
	"context"
	"fmt"
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
// ends, with what fences the clients of that term. The context of work ends with
// the lease. The lease is given back after work has returned, so that no two
// replicas ever work.
func lead(ctx context.Context, host *rest.Config, lease Lease, work func(context.Context, *term)) error {
	// A client of its own: renewals must not queue behind the work, nor be
	// refused by what they keep open.
	client, err := coordinationclient.NewForConfig(rest.AddUserAgent(host, "leader-election"))
	if err != nil {
		return fmt.Errorf("making the client of the lease: %w", err)
	}
	logger := klog.FromContext(ctx).WithValues("lease", klog.KRef(lease.Namespace, lease.Name))
	for ctx.Err() == nil {
		leading, end := context.WithCancel(context.WithoutCancel(ctx))
		term := &term{
			Interface: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: lease.Namespace, Name: lease.Name},
				Client:     client,
				LockConfig: resourcelock.ResourceLockConfig{Identity: lease.Identity},
			},
			patience: lease.RenewDeadline,
			end:      end,
			finished: make(chan struct{}),
			now:      time.Now,
		}
		stopWaiting := context.AfterFunc(ctx, func() {
			if !term.acquired.Load() {
				end()
			}
		})
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Name:          lease.Name,
			Lock:          term,
			LeaseDuration: lease.Duration, RenewDeadline: lease.RenewDeadline, RetryPeriod: lease.RetryPeriod,
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(holding context.Context) {
					defer end()
					defer close(term.finished)
					working, stop := context.WithCancel(holding)
					defer stop()
					defer context.AfterFunc(ctx, stop)()
					logger.Info("This replica leads", "identity", lease.Identity)
					work(working, term)
				},
				OnStoppedLeading: func() {},
				OnNewLeader: func(identity string) {
					logger.V(2).Info("The lease is held", "identity", identity)
				},
			},
		})
		if err != nil {
			end()
			return fmt.Errorf("setting up the election: %w", err)
		}
		elector.Run(leading)
		stopWaiting()
		end()
		if term.acquired.Load() {
			<-term.finished
			logger.Info("This replica no longer leads")
		}
	}
	return nil
}
