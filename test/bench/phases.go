package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

const (
	// quiet is how long nothing but Leases may be written before a phase is over,
	// quietInBulk before one of bulk work is: Events about that may come ten
	// seconds late.
	quiet       = 3 * time.Second
	quietInBulk = 11 * time.Second
	// pause lies between two samples, so that each is taken alone.
	pause = 50 * time.Millisecond
	// memoryPauses is how many times -seconds lie between the import and the look at
	// the memory: a Go program collects its garbage every two minutes when idle.
	memoryPauses = 2.5
	// churnPeriod is the time between two updates of a Source.
	churnPeriod = time.Second / 50
	// canaries are the Secrets that change while the server is away. When all of
	// them have reached their PediaClusters, it has come through its work.
	canaries = 20
	// tableRuns is how often kubectl gets each table.
	tableRuns = 5
)

// The names of phases that targets read.
const (
	floorCreate    = "floor create"
	floorPatch     = "floor patch"
	floorDelete    = "floor delete"
	floorCreateOne = "floor create one"
	floorPatchOne  = "floor patch one"
	floorDeleteOne = "floor delete one"
	limitImport    = "limit import"
	limitEdit      = "limit edit"
	limitDelete    = "limit delete"
	importPhase    = "import"
	memoryPhase    = "memory"
	createPhase    = "create"
	waitPhase      = "wait"
	rotatePhase    = "rotate"
	idlePhase      = "idle"
	churnPhase     = "churn"
	tablePhase     = "table"
	stopPhase      = "restart after SIGTERM"
	killPhase      = "restart after SIGKILL"
	editPhase      = "edit"
	rolloutPhase   = "rollout"
	deletePhase    = "delete"
	secretsPhase   = "secrets"
	refusedPhase   = "secrets as Sources"
)

// bench runs the phases on one host.
type bench struct {
	*fleet
	options options
	run     *run
}

// measure runs the work of a phase and counts what it costs, until it is quiet
// for so long.
func (b *bench) measure(ctx context.Context, name string, quiet time.Duration, work func(*phase) error) (err error) {
	progress("%s", name)
	p := &phase{Name: name, Latencies: map[string]quantiles{}, Figures: map[string]float64{}}
	if err := b.resetPeaks(); err != nil {
		return err
	}
	before, err := b.snapshot(ctx)
	if err != nil {
		return err
	}
	profiled := b.profile(ctx, name)
	if err := work(p); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	after, err := b.settle(ctx, quiet)
	if err != nil {
		return err
	}
	p.sinceThen(before, after)
	b.run.Phases = append(b.run.Phases, p)
	return profiled()
}

// settle waits until nothing was written for so long, and returns the counters of
// the moment when that began.
func (b *bench) settle(ctx context.Context, quiet time.Duration) (snapshot, error) {
	settled, err := b.snapshot(ctx)
	for since := time.Now(); err == nil && time.Since(since) < quiet; {
		if err = sleep(ctx, time.Second); err != nil {
			break
		}
		var now snapshot
		if now, err = b.snapshot(ctx); err == nil && !sameWrites(settled, now) {
			settled, since = now, time.Now()
		}
	}
	return settled, err
}

// profile takes profiles of the server while bulk work is under way. What it
// returns waits for them.
func (b *bench) profile(ctx context.Context, name string) (wait func() error) {
	if b.options.profile == "" || !slices.Contains([]string{importPhase, editPhase, rolloutPhase, deletePhase}, name) {
		return func() error { return nil }
	}
	take := func(kind, query string) error {
		text, err := fetch(ctx, b.direct, b.server.Config().Host+"/debug/pprof/"+kind+query)
		if err != nil {
			return err
		}
		file := fmt.Sprintf("%s-%d-%s.%s.pprof", name, b.run.Clusters, b.run.Storage, kind)
		return os.WriteFile(filepath.Join(b.options.profile, file), text, 0o600)
	}
	var group errgroup.Group
	group.Go(func() error { return take("profile", "?seconds=10") })
	return func() error { return errors.Join(group.Wait(), take("heap", "?gc=1")) }
}

// changed compares the whole fleet, after a phase that has changed PediaClusters.
func (b *bench) changed(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	progress("  comparing %d PediaClusters", len(b.clusters))
	return b.compare(ctx)
}

// floor is what kube-apiserver needs for the bare PediaClusters, with a garbage
// collector that watches them as on every host. The single samples are taken while
// the others are there.
func (b *bench) floor(ctx context.Context) error {
	progress("waiting until the garbage collector knows of PediaClusters")
	if err := poll(ctx, func() (bool, error) { return watched(ctx, b.plain, b.Config().Host, pediaClusters.Resource) }); err != nil {
		return fmt.Errorf("waiting until the garbage collector watches PediaClusters: %w", err)
	}
	var all, single []*cluster
	for _, name := range names("c", b.run.Clusters) {
		all = append(all, newCluster(name))
	}
	for _, name := range names("s", b.options.samples) {
		single = append(single, newCluster(name))
	}
	for _, step := range []struct {
		name     string
		clusters []*cluster
		bulk     bool
		work     func(context.Context, *cluster) error
	}{
		{floorCreate, all, true, b.createBare},
		{floorCreateOne, single, false, b.createBare},
		{floorPatchOne, single, false, b.patchBare},
		{floorDeleteOne, single, false, b.deleteBare},
		{floorPatch, all, true, b.patchBare},
		{floorDelete, all, true, b.deleteBare},
	} {
		err := b.measure(ctx, step.name, 0, func(p *phase) error {
			began := time.Now()
			if step.bulk {
				err := forEach(ctx, step.clusters, step.work)
				p.Seconds = time.Since(began).Seconds()
				return err
			}
			var taken []time.Duration
			for _, c := range step.clusters {
				began := time.Now()
				if err := step.work(ctx, c); err != nil {
					return err
				}
				taken = append(taken, time.Since(began))
				if err := sleep(ctx, pause); err != nil {
					return err
				}
			}
			p.Latencies[fromRequest] = summarize(taken)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// createSecrets makes the Secrets of the clusters that are imported together.
func (b *bench) createSecrets(ctx context.Context) error {
	progress("creating %d Secrets", b.run.Clusters)
	if err := b.createNamespace(ctx, namespace); err != nil {
		return err
	}
	return forEach(ctx, names("c", b.run.Clusters), func(ctx context.Context, name string) error {
		return b.createSecret(ctx, newCluster(name))
	})
}

// createSources makes the Sources of these clusters, which wait to be imported.
func (b *bench) createSources(ctx context.Context) error {
	progress("creating %d Sources", b.run.Clusters)
	for _, name := range names("c", b.run.Clusters) {
		b.add(name)
	}
	return forEach(ctx, b.all(), b.createSource)
}

// all returns every cluster, in the order of their names.
func (b *bench) all() []*cluster {
	var all []*cluster
	for _, name := range slices.Sorted(maps.Keys(b.clusters)) {
		all = append(all, b.clusters[name])
	}
	return all
}

// follow measures a change of the whole fleet, from its first request until every
// PediaCluster has followed, and counts what it costs until it is quiet for so long.
func (b *bench) follow(ctx context.Context, name string, quiet time.Duration,
	matches func(watch.EventType, *unstructured.Unstructured) bool, change func(*phase) error) error {
	return b.measure(ctx, name, quiet, func(p *phase) error {
		w, err := b.watchPediaClusters(ctx)
		if err != nil {
			return err
		}
		defer w.stop()
		w.expect(b.run.Clusters, matches)
		began := time.Now()
		if err := change(p); err != nil {
			return err
		}
		at, err := w.wait(ctx, name)
		p.Seconds = at.Sub(began).Seconds()
		return err
	})
}

// bulk measures a change of the whole fleet that the server makes.
func (b *bench) bulk(ctx context.Context, name string, matches func(watch.EventType, *unstructured.Unstructured) bool,
	change func(*phase) error) error {
	if err := b.follow(ctx, name, quietInBulk, matches, change); err != nil {
		return err
	}
	figures, err := b.run.phase(name).Figures, error(nil)
	figures["databaseMiB"], figures["hostDatabaseMiB"], err = b.databases(ctx)
	return err
}

// importAll imports the whole fleet. The garbage collector watches the owners of PediaClusters by
// then, as it does from half a minute after the installation: until then it asks the server for
// each of them.
func (b *bench) importAll(ctx context.Context) error {
	progress("waiting until the garbage collector knows of lifecycles and policies")
	for _, resource := range []string{lifecycles.Resource, policies.Resource} {
		if err := poll(ctx, func() (bool, error) { return watched(ctx, b.direct, b.server.Config().Host, resource) }); err != nil {
			return fmt.Errorf("waiting until the garbage collector watches %s: %w", resource, err)
		}
	}
	return b.changed(ctx, b.bulk(ctx, importPhase, b.right, func(*phase) error { return b.createPolicy(ctx) }))
}

// memory looks at the server's memory some time after the import, as it is.
func (b *bench) memory(ctx context.Context) error {
	return b.measure(ctx, memoryPhase, 0, func(p *phase) error {
		p.Figures["rssAnonAtOnceMiB"] = b.rssAnon()
		err := sleep(ctx, time.Duration(memoryPauses*float64(b.options.seconds)))
		p.Figures["rssAnonMiB"] = b.rssAnon()
		if err != nil {
			return err
		}
		for _, resource := range []schema.GroupVersionResource{lifecycles, pediaClusters} {
			bytes, err := b.bytesOf(ctx, resource)
			if err != nil {
				return err
			}
			p.Figures["bytesPerCluster "+resource.Resource] = float64(bytes) / float64(len(b.clusters))
		}
		return err
	})
}

// rssAnon is the server's resident memory without mapped files.
func (b *bench) rssAnon() float64 {
	state, _ := readProcess(b.PIDs()[serverProcess]) // the next snapshot fails when it is not there
	return state.anonMiB
}

// sample measures single changes, each from its request and from the answer to it
// until its PediaCluster was seen.
func (b *bench) sample(ctx context.Context, name string, clusters []*cluster,
	before, change func(context.Context, *cluster) error) error {
	return b.measure(ctx, name, quiet, func(p *phase) error {
		w, err := b.watchPediaClusters(ctx)
		if err != nil {
			return err
		}
		defer w.stop()
		var request, answer []time.Duration
		for _, c := range clusters {
			if err := before(ctx, c); err != nil {
				return err
			}
			if err := sleep(ctx, pause); err != nil {
				return err
			}
			w.expect(1, func(kind watch.EventType, object *unstructured.Unstructured) bool {
				return object.GetName() == c.pediaCluster() && b.right(kind, object)
			})
			began := time.Now()
			if err := change(ctx, c); err != nil {
				return err
			}
			answered := time.Now()
			at, err := w.wait(ctx, name)
			if err != nil {
				return err
			}
			request = append(request, at.Sub(began))
			answer = append(answer, max(0, at.Sub(answered)))
		}
		p.Figures["samples"] = float64(len(clusters))
		p.Latencies[fromRequest], p.Latencies[fromAnswer] = summarize(request), summarize(answer)
		return nil
	})
}

// createEach imports new clusters one at a time. They are gone again at its end. The
// server is asked for nothing until it has finished, so that all its CPU time is
// that of the imports.
func (b *bench) createEach(ctx context.Context) error {
	var fresh []*cluster
	for _, name := range names("s", b.options.samples) {
		fresh = append(fresh, b.add(name))
	}
	if err := b.changed(ctx, b.sample(ctx, createPhase, fresh, b.createSecret, b.createSource)); err != nil {
		return err
	}
	if err := forEach(ctx, fresh, b.untilCreated); err != nil {
		return err
	}
	w, err := b.watchPediaClusters(ctx)
	if err != nil {
		return err
	}
	defer w.stop()
	w.expect(len(fresh), deleted)
	if err := forEach(ctx, fresh, b.deleteSource); err != nil {
		return err
	}
	if _, err := w.wait(ctx, "removing what create has made"); err != nil {
		return err
	}
	for _, c := range fresh {
		delete(b.clusters, c.pediaCluster())
	}
	_, err = b.settle(ctx, quiet)
	return b.changed(ctx, err)
}

func deleted(kind watch.EventType, _ *unstructured.Unstructured) bool { return kind == watch.Deleted }

// untilCreated waits until the lifecycle says that the PediaCluster was created.
func (b *bench) untilCreated(ctx context.Context, c *cluster) error {
	return b.untilLifecycle(ctx, c, func(lifecycle *unstructured.Unstructured) bool { return isTrue(lifecycle, "Created") })
}

// untilLifecycle waits until the lifecycle of a cluster is there and as it should be.
func (b *bench) untilLifecycle(ctx context.Context, c *cluster, so func(*unstructured.Unstructured) bool) error {
	err := poll(ctx, func() (bool, error) {
		lifecycle, err := b.objects.Resource(lifecycles).Get(ctx, c.pediaCluster(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && so(lifecycle), err
	})
	if err != nil {
		return fmt.Errorf("waiting for the lifecycle %s: %w", c.pediaCluster(), err)
	}
	return nil
}

// waitEach makes Sources for which creationCondition is not true. They are gone again
// at its end.
func (b *bench) waitEach(ctx context.Context) error {
	var unready []*cluster
	for _, name := range names("w", b.options.samples) {
		unready = append(unready, newCluster(name))
	}
	if err := forEach(ctx, unready, b.createSecret); err != nil {
		return err
	}
	if err := b.measure(ctx, waitPhase, quietInBulk, func(p *phase) error {
		p.Figures["samples"] = float64(len(unready))
		if err := forEach(ctx, unready, b.createUnreadySource); err != nil {
			return err
		}
		return forEach(ctx, unready, func(ctx context.Context, c *cluster) error {
			return b.untilLifecycle(ctx, c, isWaiting)
		})
	}); err != nil {
		return err
	}
	if err := forEach(ctx, unready, b.deleteSource); err != nil {
		return err
	}
	if err := forEach(ctx, unready, b.untilNoLifecycle); err != nil {
		return err
	}
	_, err := b.settle(ctx, quiet)
	return b.changed(ctx, err)
}

func isWaiting(lifecycle *unstructured.Unstructured) bool {
	phase, _, _ := unstructured.NestedString(lifecycle.Object, "status", "phase")
	return phase == string(policyv1alpha1.LifecycleWaiting)
}

func (b *bench) untilNoLifecycle(ctx context.Context, c *cluster) error {
	err := poll(ctx, func() (bool, error) {
		_, err := b.objects.Resource(lifecycles).Get(ctx, c.pediaCluster(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("waiting until the lifecycle %s is gone: %w", c.pediaCluster(), err)
	}
	return nil
}

func (b *bench) rotateEach(ctx context.Context) error {
	rotated := b.spread(b.options.samples)
	next := func(_ context.Context, c *cluster) error {
		c.rotate()
		return nil
	}
	return b.changed(ctx, b.sample(ctx, rotatePhase, rotated, next, b.rotate))
}

// spread returns that many clusters, from everywhere in the fleet.
func (b *bench) spread(count int) []*cluster {
	all := b.all()
	chosen := make([]*cluster, min(count, len(all)))
	for i := range chosen {
		chosen[i] = all[i*len(all)/len(chosen)]
	}
	return chosen
}

func (b *bench) idle(ctx context.Context) error {
	if _, err := b.settle(ctx, quietInBulk); err != nil {
		return err
	}
	return b.measure(ctx, idlePhase, 0, func(p *phase) error {
		p.Seconds = b.options.seconds.Seconds()
		return sleep(ctx, b.options.seconds)
	})
}

// churn has Sources say that they are alive.
func (b *bench) churn(ctx context.Context) error {
	err := b.measure(ctx, churnPhase, 0, func(p *phase) error {
		all := b.all()
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(workers)
		ticker := time.NewTicker(churnPeriod)
		defer ticker.Stop()
		began := time.Now()
		updates := 0
		for ; time.Since(began) < b.options.seconds && ctx.Err() == nil; updates++ {
			<-ticker.C
			beat := updates
			group.Go(func() error { return b.heartbeat(ctx, all[beat%len(all)], beat) })
		}
		err := group.Wait()
		p.Seconds = time.Since(began).Seconds()
		p.Figures["updates"] = float64(updates)
		return err
	})
	return b.changed(ctx, err)
}

// table compares kubectl's table of lifecycles with that of PediaClusters.
func (b *bench) table(ctx context.Context) error {
	return b.measure(ctx, tablePhase, 0, func(p *phase) error {
		taken := map[string][]time.Duration{}
		for i := range tableRuns + 1 {
			for _, resource := range []string{"pediaclusters", "pediaclusterlifecycles"} {
				began := time.Now()
				if err := b.KubectlCommand(ctx, "get", resource).Run(); err != nil {
					return fmt.Errorf("kubectl get %s: %w", resource, err)
				}
				if i > 0 { // kubectl asks what there is the first time
					taken[resource] = append(taken[resource], time.Since(began))
				}
			}
		}
		for resource, samples := range taken {
			p.Figures[resource+"Seconds"] = summarize(samples).P50 / 1000
		}
		return nil
	})
}

// restart stops the server, and measures from the start of its process until it
// serves through the host, and until it has converged: when the canaries have
// reached their PediaClusters and the policy says that it is ready.
func (b *bench) restart(ctx context.Context, name string, stop func() error) error {
	rotated := b.spread(canaries)
	err := b.measure(ctx, name, quietInBulk, func(p *phase) error {
		began := time.Now()
		if err := stop(); err != nil {
			return err
		}
		p.Figures["stopSeconds"] = time.Since(began).Seconds()
		w, err := b.watchPediaClusters(ctx)
		if err != nil {
			return err
		}
		defer w.stop()
		for _, c := range rotated {
			c.rotate()
		}
		expected := map[string]bool{}
		for _, c := range rotated {
			expected[c.pediaCluster()] = true
		}
		w.expect(len(rotated), func(kind watch.EventType, object *unstructured.Unstructured) bool {
			return expected[object.GetName()] && b.right(kind, object)
		})
		if err := forEach(ctx, rotated, b.rotate); err != nil {
			return err
		}
		var group errgroup.Group // Start returns later than it serves
		group.Go(func() error { return b.server.Start(ctx) })
		err = poll(ctx, func() (bool, error) {
			// The dynamic client would wait a second before it asks again.
			_, err := fetch(ctx, b.plain, b.Config().Host+"/apis/"+lifecycles.GroupVersion().String()+"/"+lifecycles.Resource+"?limit=1")
			return err == nil, nil
		})
		serving := time.Now()
		var followed time.Time
		if err == nil {
			followed, err = w.wait(ctx, name)
		}
		if err == nil {
			err = poll(ctx, func() (bool, error) { return b.policyReady(ctx) })
		}
		converged := time.Now()
		if err := errors.Join(err, group.Wait()); err != nil {
			return err
		}
		started, err := startOf(b.PIDs()[serverProcess])
		if err != nil {
			return err
		}
		p.Figures["servingSeconds"] = serving.Sub(started).Seconds()
		p.Figures["canariesSeconds"] = followed.Sub(started).Seconds()
		p.Figures["convergedSeconds"] = converged.Sub(started).Seconds()
		return nil
	})
	if p := b.run.phase(name); p != nil {
		p.Figures["writesBesidesCanaries"] = float64(writes(p.Requests, pediaClusters.Resource) - len(rotated))
	}
	return b.changed(ctx, err)
}

// policyReady tells whether the policy says that all its Sources are imported.
func (b *bench) policyReady(ctx context.Context) (bool, error) {
	policy, err := b.objects.Resource(policies).Get(ctx, "mcp", metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	observed, _, _ := unstructured.NestedInt64(policy.Object, "status", "observedGeneration")
	return observed == policy.GetGeneration() && isTrue(policy, "Ready"), nil
}

func isTrue(object *unstructured.Unstructured, condition string) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(item any) bool {
		c, _ := item.(map[string]any)
		return c["type"] == condition && c["status"] == "True"
	})
}

func (b *bench) edit(ctx context.Context) error {
	b.suffix = editedSuffix
	return b.changed(ctx, b.bulk(ctx, editPhase, b.right, func(*phase) error { return b.editPolicy(ctx) }))
}

// rollOut is an edit that reaches the imports in turns, with the defaults of spec.rollout: a
// tenth of them at a time, which are verified when they are written.
func (b *bench) rollOut(ctx context.Context) error {
	if err := b.setRollout(ctx, map[string]any{}); err != nil {
		return err
	}
	if _, err := b.settle(ctx, quietInBulk); err != nil {
		return err
	}
	b.suffix = editedSuffix + editedSuffix
	err := b.bulk(ctx, rolloutPhase, b.right, func(*phase) error { return b.editPolicy(ctx) })
	if err := b.changed(ctx, errors.Join(err, b.setRollout(ctx, nil))); err != nil {
		return err
	}
	_, err = b.settle(ctx, quietInBulk) // lifecycles forget the rollout: that is no cost of what comes next
	return err
}

func (b *bench) deleteAll(ctx context.Context) error {
	err := b.bulk(ctx, deletePhase, deleted, func(p *phase) error { return b.deleteSources(ctx, p, b.all()) })
	b.clusters = map[string]*cluster{}
	return b.changed(ctx, err)
}

// deleteSources deletes Sources, and notes how long that alone takes.
func (b *bench) deleteSources(ctx context.Context, p *phase, clusters []*cluster) error {
	began := time.Now()
	err := forEach(ctx, clusters, b.deleteSource)
	p.Figures["sourcesSeconds"] = time.Since(began).Seconds()
	return err
}

// poll tries every 20 milliseconds until it is so.
func poll(ctx context.Context, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, stall)
	defer cancel()
	for {
		if yes, err := so(); yes || err != nil {
			return err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, duration time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(duration):
		return nil
	}
}

var progressMu sync.Mutex

// progress tells people what is being done.
func progress(format string, args ...any) {
	progressMu.Lock()
	defer progressMu.Unlock()
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
