package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

// The faults of a server with three replicas on an etcd of three members, all of
// them in the same world.
func TestAFleetOfReplicasOutlives(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	w := newWorld(t, f.host, 500)

	for _, phase := range []struct {
		fault string
		cause func(*testing.T, *fleet, *world)
	}{
		{"members of its storage that die", membersDie},
		{"leaders that are killed, and a host that restarts", leadersAndHostDie},
		{"a leader that wakes up as none", leaderPauses},
		{"a clock that is ten minutes ahead", clockIsAhead},
		{"a rolling restart", replicasAreReplaced},
	} {
		if !t.Run(phase.fault, func(t *testing.T) {
			phase.cause(t, f, w)
			w.check(t)
		}) {
			t.Fatal("what comes next would only repeat it")
		}
	}
}

// leadersAndHostDie kills twenty leaders while edits reach the imports in turns, and after every
// fourth kube-apiserver.
func leadersAndHostDie(t *testing.T, f *fleet, w *world) {
	var takeovers []time.Duration
	edits, end := rollOut(t, w)
	defer end()
	for i := range 20 {
		if i%4 == 0 {
			edits.edit(t) // the next leaders die while that reaches the imports
		}
		leader := f.leader(t)
		term, err := f.holder(t.Context())
		must(t, err)
		killed := time.Now()
		must(t, leader.Kill())
		var meanwhile errgroup.Group
		meanwhile.Go(func() error { return leader.Start(t.Context()) })
		meanwhile.Go(func() error {
			err := insist(t.Context(), func(ctx context.Context) error { return f.otherLeader(ctx, term) })
			takeovers = append(takeovers, time.Since(killed))
			return err
		})
		w.recovers(t, fmt.Sprintf("leader killed #%d", i+1), killed)
		must(t, meanwhile.Wait())
		if i%4 == 3 {
			w.check(t)
			edits.isDone(t)
			killed = time.Now()
			must(t, f.RestartAPIServer(t.Context()))
			w.recovers(t, fmt.Sprintf("kube-apiserver restarted #%d", i/4+1), killed)
			w.check(t)
		}
	}
	note(t, "killed leaders: another replica held the Lease after (median, longest) %s; the rest is what a new leader reads", spread(takeovers))
}

func membersDie(t *testing.T, f *fleet, w *world) {
	killed := time.Now()
	must(t, f.storage.Kill(0))
	w.recovers(t, "one etcd member of three killed", killed)
	must(t, f.storage.Start(t.Context(), 0))
	w.check(t)

	must(t, f.storage.Kill(1))
	must(t, f.storage.Kill(2))
	// Without a majority nothing can be written, and that is said.
	within(t, "a write without a majority is refused", func(ctx context.Context) error {
		if err := w.touch(ctx, "without-majority"); err == nil {
			return errors.New("a write was acknowledged")
		}
		return nil
	})
	again := time.Now()
	must(t, f.storage.Start(t.Context(), 1))
	must(t, f.storage.Start(t.Context(), 2))
	w.recovers(t, "etcd members back after two of three were killed", again)
}

// leaderPauses has a leader wake up as none. It does so again in the rare case
// that the leader was stopped at a moment when it had nothing to send.
func leaderPauses(t *testing.T, f *fleet, w *world) {
	for range 5 {
		heldBack, late := pauseLeader(t, f, w)
		if heldBack > 0 {
			note(t, "paused leader: after it woke up, its fence held %d requests back, %d that were under way arrived and were refused, none was accepted",
				heldBack, late)
			return
		}
	}
	t.Fatal("five leaders woke up as none, and the fence held nothing back")
}

// pauseLeader stops the leader in the middle of much work until another leads and
// has done that work, and lets it go on. It returns how many requests the fence
// did not select, and how many others came too late.
func pauseLeader(t *testing.T, f *fleet, w *world) (heldBack, late int) {
	leader := f.leader(t)
	term, err := f.holder(t.Context())
	must(t, err)
	paused := time.Now()
	w.rotateAll(t, func() error {
		paused = time.Now()
		return leader.Pause()
	})
	w.recovers(t, "leader paused", paused)
	must(t, f.otherLeader(t.Context(), term))
	// The new leader has written everything anew when the former one goes on.
	before := w.lifecycleVersions(t)
	w.rotateAll(t, func() error { return nil })
	within(t, "every lifecycle has been written", func(context.Context) error {
		for name, version := range w.lifecycleVersions(t) {
			if strings.HasPrefix(name, "main-c") && before[name] == version {
				return fmt.Errorf("%s has not", name)
			}
		}
		return nil
	})
	w.check(t)

	fenced := countLines(t, leader.LogFile(), "not sent: the lease")
	woken := time.Now()
	must(t, leader.Resume())
	within(t, "the former leader notices that it leads no more", func(context.Context) error {
		if !linesSince(t, leader.LogFile(), woken, "This replica no longer leads") {
			return errors.New("it has not said so")
		}
		return nil
	})
	w.check(t)
	// It did not lead again since, so that whatever it sends it should not.
	arrived := writesSince(t, f.auditLog("kube-apiserver"), leader.Name, woken)
	arrived = append(arrived, writesSince(t, f.auditLog(leader.Name), "", woken)...)
	for _, write := range arrived {
		// What was under way when it was stopped may arrive, and comes too late.
		if write.ResponseStatus == nil || write.ResponseStatus.Code < 400 {
			t.Errorf("the former leader wrote: %s %s, answered %v", write.Verb, write.RequestURI, write.ResponseStatus)
		}
	}
	return countLines(t, leader.LogFile(), "not sent: the lease") - fenced, len(arrived)
}

// clockIsAhead runs a replica whose clock is ten minutes ahead, as one of
// several, and then as the leader.
func clockIsAhead(t *testing.T, f *fleet, w *world) {
	ahead := f.add(t, "policy-apiserver-ahead", "policy-apiserver-ahead")
	began := time.Now()
	w.recovers(t, "a replica with a clock ten minutes ahead", began)

	others := f.replicas[:len(f.replicas)-1]
	for i, replica := range others {
		stopAndRecover(t, w, replica, fmt.Sprintf("stopped until only a clock ten minutes ahead is left #%d", i+1))
	}
	if leader := f.leader(t); leader != ahead {
		t.Fatalf("%s leads, not the only replica that runs", leader.Name)
	}
	lease, err := f.lease(t.Context())
	must(t, err)
	if early := time.Until(lease.Spec.RenewTime.Time); early < 9*time.Minute {
		t.Fatalf("its Lease is renewed %s ahead of time, not ten minutes", early)
	}
	w.check(t)

	for _, replica := range others {
		must(t, replica.Start(t.Context()))
	}
	f.replicas = others
	stopAndRecover(t, w, ahead, "a right clock after one ten minutes ahead")
}

// stopAndRecover stops a replica in order, and waits until things work again,
// which is before it has ended.
func stopAndRecover(t *testing.T, w *world, replica *devcluster.Replica, fault string) {
	t.Helper()
	var stopping errgroup.Group
	stopping.Go(func() error { return replica.Stop(t.Context()) })
	w.recovers(t, fault, time.Now())
	must(t, stopping.Wait())
}

// replicasAreReplaced restarts one replica after the other while clients write. A
// write that is accepted must not get lost; one that kube-apiserver cannot pass on
// at just this moment is refused with 503, and its client has to try again.
func replicasAreReplaced(t *testing.T, f *fleet, w *world) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	policies := w.policy.PolicyV1alpha1().ClusterImportPolicies()
	var load errgroup.Group
	var written [4][]string
	var refused [4]int
	for i := range written {
		load.Go(func() error {
			for n := 0; ctx.Err() == nil; n++ {
				name := fmt.Sprintf("rolling-%d-%d", i, n)
				_, err := policies.Create(t.Context(), idlePolicy(name), metav1.CreateOptions{})
				switch {
				case err == nil:
					written[i] = append(written[i], name)
				case apierrors.IsServiceUnavailable(err), apierrors.IsTooManyRequests(err):
					refused[i]++
				default:
					return fmt.Errorf("creating policy %s: %w", name, err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			return nil
		})
	}
	for i, replica := range f.replicas {
		stopAndRecover(t, w, replica, fmt.Sprintf("replica restarted in order #%d", i+1))
		must(t, replica.Start(t.Context()))
	}
	stop()
	must(t, load.Wait())
	total, turnedAway := 0, 0
	for i, names := range written {
		total += len(names)
		turnedAway += refused[i]
		for _, name := range names {
			_, err := policies.Get(t.Context(), name, metav1.GetOptions{})
			must(t, err)
		}
	}
	note(t, "rolling restart: %d writes of four clients were accepted while three replicas were restarted, none was lost, %d were refused with 503 or 429",
		total, turnedAway)
}

// writesSince reads an audit log for changes that the server of that name, or
// anybody, made after a time.
func writesSince(t *testing.T, file, userAgent string, since time.Time) (writes []auditv1.Event) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	for line := range bytes.Lines(text) {
		var event auditv1.Event
		if json.Unmarshal(line, &event) != nil {
			continue // the last one, half written
		}
		if strings.HasPrefix(event.UserAgent, userAgent) && event.RequestReceivedTimestamp.After(since) {
			writes = append(writes, event)
		}
	}
	return writes
}

func countLines(t *testing.T, file, part string) (count int) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return bytes.Count(text, []byte(part))
}

// linesSince reports whether the log has a line with that part from after a time.
func linesSince(t *testing.T, file string, since time.Time, part string) bool {
	t.Helper()
	log, err := os.Open(file)
	must(t, err)
	defer log.Close()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		// I1121 07:38:08.123456 ...
		fields := strings.Fields(lines.Text())
		if strings.Contains(lines.Text(), part) && len(fields) > 1 && fields[1] >= since.Format("15:04:05.000000") {
			return true
		}
	}
	return false
}
