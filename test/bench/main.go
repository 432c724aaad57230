// Command bench measures how fast clusters are imported, changed and removed, and
// what that costs, on a development cluster of its own.
//
//	go run ./test/bench -n 1000,10000
//
// It drives and watches only the host's kube-apiserver, with the plain dynamic
// client, and knows nothing of how the policies are carried out: it measures any
// implementation of this API group. What it reads besides (metrics of the servers,
// the kernel's figures of their processes) says where the time went.
//
// Each number of clusters has a fresh host. First come two measures without the
// server, which everything else is to be seen as a ratio to: all share the machine's
// cores, the benchmark too. The floor is what kube-apiserver takes for the same
// PediaClusters, created, patched and deleted bare. The limit is what the whole work
// takes of it, done by a client without policies and without storage: for N ready
// Sources it imports, edits and removes PediaClusters as the server does. Then N
// ready Sources are made again, and the phases follow:
//
//	import    the policy is created, until N right PediaClusters exist
//	memory    of the server, some time later
//	create    one new ready Source to its PediaCluster, one at a time
//	wait      Sources whose creationCondition is not true
//	rotate    one Secret's token to its PediaCluster, one at a time
//	idle      nothing happens
//	churn     50 Sources a second say that they are alive
//	table     kubectl get of lifecycles, and of PediaClusters
//	restart   ordered and not, with tokens that changed meanwhile
//	edit      the policy's template, until every PediaCluster follows
//	rollout   the same in turns, with spec.rollout and its defaults
//	delete    all Sources, until no PediaCluster is left
//	secrets   (fewest clusters) many Secrets that concern nobody
//
// Every phase that changes PediaClusters ends with a comparison of all of them,
// field by field, with what they should be; a difference ends the run. Requests,
// writes, CPU and peak memory are counted until nothing is written any more,
// Leases aside; the clocks stop earlier.
//
// It is run from the top of the repository.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// The storages of the server.
const (
	external = "external"
	embedded = "embedded"
)

type options struct {
	clusters []int
	storages []string
	seconds  time.Duration
	samples  int
	secrets  int
	json     string
	profile  string
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	o, err := parse(os.Args[1:])
	if err == nil {
		err = runAll(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	clusters := flags.String("n", "1000,10000", "How many clusters, separated by commas. Each number has a host of its own.")
	storages := flags.String("storage", external+","+embedded,
		"The storages of the server. With external, an etcd process of its own, all phases are run; with embedded the import and its memory.")
	seconds := flags.Int("seconds", 60, "How long idle and churn are measured. The memory is looked at 2.5 times as long after the import.")
	flags.IntVar(&o.samples, "samples", 200, "How many single changes are measured.")
	flags.IntVar(&o.secrets, "secrets", 20000, "How many Secrets of 8 KiB concern nobody, with the smallest number of clusters. 0 leaves these phases out.")
	flags.StringVar(&o.json, "json", "", "A file for all figures.")
	flags.StringVar(&o.profile, "profile", "", "A directory for CPU and heap profiles of the server during import, edit, rollout and delete.")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.seconds = time.Duration(*seconds) * time.Second
	for text := range strings.SplitSeq(*clusters, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-n: %q is not a number of clusters", text)
		}
		o.clusters = append(o.clusters, n)
	}
	slices.Sort(o.clusters)
	for storage := range strings.SplitSeq(*storages, ",") {
		if storage != external && storage != embedded {
			return o, fmt.Errorf("-storage: %q is neither %s nor %s", storage, external, embedded)
		}
		o.storages = append(o.storages, storage)
	}
	if o.samples < 1 || *seconds < 1 || o.secrets < 0 || len(flags.Args()) > 0 {
		return o, errors.New("-samples and -seconds have to be positive, -secrets not negative, and there are no arguments")
	}
	return o, nil
}

func runAll(ctx context.Context, o options) error {
	if _, err := os.Stat(artifacts); err != nil {
		return fmt.Errorf("run it from the top of the repository: %w", err)
	}
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o755); err != nil {
			return err
		}
	}
	klog.SetOutput(os.Stderr)
	all := results{Date: time.Now(), Cores: runtime.NumCPU()}
	failed := all.measure(ctx, o)
	// What was measured before a failure is told all the same.
	all.Targets = judge(all.Runs)
	all.print(os.Stdout)
	if o.json == "" {
		return failed
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(o.json, append(text, '\n'), 0o644)
	}
	return errors.Join(failed, err)
}

// measure makes all runs, until one fails.
func (r *results) measure(ctx context.Context, o options) error {
	for _, storage := range o.storages {
		for i, clusters := range o.clusters {
			b := &bench{options: o, run: &run{Clusters: clusters, Storage: storage}}
			r.Runs = append(r.Runs, b.run)
			if i > 0 {
				b.options.secrets = 0
			}
			if err := b.onNewHost(ctx, r); err != nil {
				return fmt.Errorf("%d clusters, %s storage: %w", clusters, storage, err)
			}
		}
	}
	return nil
}

// onNewHost runs the phases of one number of clusters.
func (b *bench) onNewHost(ctx context.Context, r *results) error {
	progress("%d clusters, %s storage: starting a host", b.run.Clusters, b.run.Storage)
	h, err := newHost(ctx)
	if err != nil {
		return err
	}
	b.fleet = &fleet{host: h, clusters: map[string]*cluster{}}
	r.Versions, err = h.versions(ctx)
	if err == nil {
		err = b.phases(ctx)
	}
	return errors.Join(err, h.stop(ctx, err == nil || ctx.Err() != nil))
}

func (b *bench) phases(ctx context.Context) error {
	for _, step := range b.steps() {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) steps() []func(context.Context) error {
	start := func(ctx context.Context) error { return b.startServer(ctx, b.run.Storage == embedded) }
	if b.run.Storage == embedded {
		return []func(context.Context) error{start, b.createSecrets, b.createSources, b.importAll, b.memory}
	}
	stop := func(ctx context.Context) error {
		return b.restart(ctx, stopPhase, func() error { return b.server.Stop(ctx) })
	}
	kill := func(ctx context.Context) error { return b.restart(ctx, killPhase, b.server.Kill) }
	steps := []func(context.Context) error{
		b.floor,
		b.createSecrets, b.createSources, b.limitPhases,
		start, b.createSources, b.importAll, b.memory,
		b.createEach, b.waitEach, b.rotateEach, b.idle, b.churn, b.table, stop, kill, b.edit, b.rollOut, b.deleteAll,
	}
	if b.options.secrets > 0 {
		steps = append(steps, b.secretsCost)
	}
	return steps
}
