// Package probe asks imported clusters whether they answer.
//
// Who it asks, and with which credentials, is written by tenants. So it reaches
// no address of this machine or of the cloud's metadata, follows no redirect,
// no proxy, no file and no program, and believes no length. It imports render
// for the reading of kubeconfigs and nothing else of this project. The import
// controller says which clusters there are and reads the results.
package probe

import (
	"context"
	"net/netip"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// Config says how clusters are asked. The zero value of a field stands for its
// default.
type Config struct {
	// Workers is how many clusters are asked at the same time; 64. A worker
	// mostly waits: this many silent clusters delay nobody else.
	Workers int
	// Interval is the time between two probes of a cluster that is ready; a
	// minute.
	Interval time.Duration
	// MinBackoff and MaxBackoff bound the time between two probes of one that is
	// not: it doubles with each; 5 seconds and 5 minutes.
	MinBackoff, MaxBackoff time.Duration
	// Timeout bounds one probe from the look-up of the name to the last byte; 10
	// seconds.
	Timeout time.Duration
	// Deny are the addresses that are not asked; nil stands for DefaultDeny, and
	// an empty list denies none.
	Deny []netip.Prefix
}

func (c Config) withDefaults() Config {
	set(&c.Workers, 64)
	set(&c.Interval, time.Minute)
	set(&c.MinBackoff, 5*time.Second)
	set(&c.MaxBackoff, 5*time.Minute)
	set(&c.Timeout, 10*time.Second)
	if c.Deny == nil {
		c.Deny = DefaultDeny()
	}
	return c
}

func set[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

// jitter spreads probes over a fifth more than the time between them.
const jitter = 0.2

// Result is what a cluster answered. It changes only when the answer says
// something else: there is no time, port or address in it but the endpoint.
type Result struct {
	// Ready is Unknown when the cluster was not asked, or may not say.
	Ready metav1.ConditionStatus
	// Version is the cluster's gitVersion, the last one known of this endpoint.
	Version string
	// APIServer is the endpoint that was asked, a URL without credentials. Empty
	// when the target has none that can be asked.
	APIServer string
	// Message says why Ready is not True, or why the version could not be read, and what
	// to do. It holds no value of a credential.
	Message string
}

// Prober asks clusters. Its methods are safe for concurrent use. Use New.
type Prober struct {
	config  Config
	changed func(name string)
	queue   workqueue.TypedDelayingInterface[string]

	mu       sync.Mutex
	clusters map[string]*cluster
}

// cluster is all that is kept of one: connections and what is parsed for them
// live as long as a probe.
type cluster struct {
	target Target
	result Result
	asked  bool
	// current is set when the result is an answer of the target, not of a former one.
	current  bool
	failures int
}

// New returns a prober without clusters. It calls changed, never twice at once
// for one name, when the result of a cluster has become another; changed must
// return soon. Run must be called, or what New starts never ends.
func New(config Config, changed func(name string)) *Prober {
	return &Prober{
		config:   config.withDefaults(),
		changed:  changed,
		clusters: map[string]*cluster{},
		queue: workqueue.NewTypedDelayingQueueWithConfig(
			workqueue.TypedDelayingQueueConfig[string]{Name: "cluster_probes"}),
	}
}

// Set says how the cluster of that name is reached. A new or changed target is
// asked at once, as far as workers are free; the result of the former one stays
// until then. It does nothing when the target is as before.
func (p *Prober) Set(name string, target Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.clusters[name]
	if !ok {
		c = &cluster{}
		p.clusters[name] = c
	}
	same := ok && c.target == target
	// Of equal ones the new target is kept: its strings are those of the newest
	// PediaCluster, and the former one's can go.
	c.target = target
	if !same {
		c.failures, c.current = 0, false
		p.queue.Add(name)
	}
}

// Forget ends the probes of a cluster. A probe under way has no result.
func (p *Prober) Forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.clusters, name)
}

// Result returns what the cluster last answered; false before its first probe.
func (p *Prober) Result(name string) (Result, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.clusters[name]
	if !ok || !c.asked {
		return Result{}, false
	}
	return c.result, true
}

// IsCurrent reports whether the result of a cluster is an answer of the target that was set
// last, not of a former one.
func (p *Prober) IsCurrent(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.clusters[name]
	return ok && c.current
}

// Run asks clusters until the context ends, and returns when no probe is under
// way. It is called once.
func (p *Prober) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range p.config.Workers {
		workers.Go(func() {
			for {
				name, shutdown := p.queue.Get()
				if shutdown {
					return
				}
				p.probe(ctx, name)
				p.queue.Done(name)
			}
		})
	}
	<-ctx.Done()
	p.queue.ShutDown()
	workers.Wait()
}

// probe asks one cluster and sees to it that it is asked again. The queue gives
// a name to one worker at a time.
func (p *Prober) probe(ctx context.Context, name string) {
	if ctx.Err() != nil {
		return // the queue is emptied
	}
	p.mu.Lock()
	c, ok := p.clusters[name]
	if !ok {
		p.mu.Unlock()
		return
	}
	target := c.target
	p.mu.Unlock()

	logger := klog.FromContext(ctx).WithValues("pediaCluster", name)
	result := target.ask(klog.NewContext(ctx, logger), p.config)
	if ctx.Err() != nil {
		return // what failed was the probe
	}

	p.mu.Lock()
	if p.clusters[name] != c || c.target != target {
		p.mu.Unlock()
		return // forgotten or changed meanwhile; if changed, it is in the queue
	}
	if result.Version == "" && result.APIServer == c.result.APIServer {
		result.Version = c.result.Version
	}
	changed := !c.asked || c.result != result
	changed = changed || !c.current // whoever waits for an answer of this target is told
	c.result, c.asked, c.current = result, true, true
	if result.Ready == metav1.ConditionTrue {
		c.failures = 0
	} else {
		c.failures++
	}
	delay := p.config.delay(c.failures)
	p.mu.Unlock()

	p.queue.AddAfter(name, delay)
	if changed {
		logger.V(2).Info("Cluster was asked", "ready", result.Ready, "version", result.Version, "message", result.Message)
		p.changed(name)
	}
}

// delay is the time until a cluster is asked again.
func (c Config) delay(failures int) time.Duration {
	if failures == 0 {
		return wait.Jitter(c.Interval, jitter)
	}
	delay := c.MinBackoff
	for ; failures > 1 && delay < c.MaxBackoff; failures-- {
		delay *= 2
	}
	return wait.Jitter(min(delay, c.MaxBackoff), jitter)
}
