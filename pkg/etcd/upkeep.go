package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"
)

const (
	upkeepInterval = time.Minute
	// largestRequest is what etcd accepts at most, with room for its own data:
	// a database with less than that below its quota is full.
	largestRequest = 2 << 20
)

// upkeep does for the embedded etcd what a person does with etcdctl elsewhere:
// it gives free pages back, and it ends the alarm of a full database when there
// is room again.
type upkeep struct {
	client   *clientv3.Client
	endpoint string
	// full is the revision up to which the history of a full database was
	// dropped already: doing so again would gain nothing.
	full int64
}

// tend looks at the database once. What fails is tried again the next time.
func (u *upkeep) tend(ctx context.Context) {
	if err := u.try(ctx); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "The maintenance of the embedded etcd failed, it is tried again", "in", upkeepInterval)
	}
}

func (u *upkeep) try(ctx context.Context) error {
	status, err := u.client.Status(ctx, u.endpoint)
	if err != nil {
		return fmt.Errorf("reading its state: %w", err)
	}
	// The alarm is asked for only when there is something to tell: asking is a
	// write to the log of etcd.
	if len(status.Errors) > 0 {
		alarms, err := u.client.AlarmList(ctx)
		if err != nil {
			return fmt.Errorf("reading its alarms: %w", err)
		}
		for _, alarm := range alarms.Alarms {
			if alarm.Alarm == etcdserverpb.AlarmType_NOSPACE {
				return u.heal(ctx, status, (*clientv3.AlarmMember)(alarm))
			}
		}
	}
	if worthwhile(status.DbSize, status.DbSizeInUse, status.DbSizeQuota) {
		return u.defragment(ctx, status)
	}
	return nil
}

// worthwhile reports whether giving the free pages back is worth the time in
// which nothing is answered. The quota counts free pages too.
func worthwhile(size, inUse, quota int64) bool {
	free := size - inUse
	if quota > 0 && size >= quota/5*4 && free >= size/10 {
		return true
	}
	return free > size/2 && free > defragThresholdMegabytes<<20
}

func room(status *clientv3.StatusResponse) bool {
	return status.DbSizeQuota <= 0 || status.DbSize+largestRequest <= status.DbSizeQuota
}

// heal makes room in a full database by dropping its history. Nothing is
// written to it meanwhile, so that no more can be gained until something was
// deleted. It ends the alarm when there is room.
func (u *upkeep) heal(ctx context.Context, status *clientv3.StatusResponse, alarm *clientv3.AlarmMember) error {
	logger := klog.FromContext(ctx)
	if revision := status.Header.Revision; !room(status) && u.full < revision {
		logger.Error(nil, "The embedded etcd is full and refuses writes: dropping its history", "size", status.DbSize, "quota", status.DbSizeQuota)
		if err := u.compact(ctx, revision); err != nil {
			return err
		}
		if err := u.defragment(ctx, status); err != nil {
			return err
		}
		u.full = revision
		var err error
		if status, err = u.client.Status(ctx, u.endpoint); err != nil {
			return fmt.Errorf("reading its state: %w", err)
		}
	}
	if !room(status) {
		logger.Error(nil, "The embedded etcd is full: it is read, and nothing can be written. "+
			"Raise --embedded-etcd-quota-bytes and restart", "size", status.DbSize, "quota", status.DbSizeQuota)
		return nil
	}
	if _, err := u.client.AlarmDisarm(ctx, alarm); err != nil {
		return fmt.Errorf("ending the alarm of the full database: %w", err)
	}
	logger.Info("The embedded etcd was full and accepts writes again", "size", status.DbSize, "quota", status.DbSizeQuota)
	return nil
}

func (u *upkeep) compact(ctx context.Context, revision int64) error {
	_, err := u.client.Compact(ctx, revision, clientv3.WithCompactPhysical())
	if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("dropping its history: %w", err)
	}
	return nil
}

func (u *upkeep) defragment(ctx context.Context, before *clientv3.StatusResponse) error {
	began := time.Now()
	if _, err := u.client.Defragment(ctx, u.endpoint); err != nil {
		return fmt.Errorf("giving its free pages back: %w", err)
	}
	after, err := u.client.Status(ctx, u.endpoint)
	if err != nil {
		return fmt.Errorf("reading its state: %w", err)
	}
	klog.FromContext(ctx).Info("Defragmented the embedded etcd, which served no requests during that time",
		"before", before.DbSize, "after", after.DbSize, "took", time.Since(began).Round(time.Millisecond))
	return nil
}
