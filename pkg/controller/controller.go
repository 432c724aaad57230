// Package controller turns policies into PediaClusters. The policy controller
// compiles policies, watches the types they name and sums up what became of
// them; the import controller works on one Source under one policy at a time:
// its lifecycle, its PediaCluster, and the lifecycle's status.
//
// Each pass over an import observes (observe.go), has pkg/decision and pkg/render decide,
// applies (converge.go, removal.go) and records (record.go). Policies are read and written
// through the loopback client, lifecycles in this server's own storage, and the host's
// objects through the host client. cmd starts it through a runner that pkg/apiserver is
// given.
package controller

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/probe"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
	policyscheme "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/scheme"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/informers/externalversions"
	"github.com/clusterpedia-io/policy-apiserver/pkg/hostschemas"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/rights"
)

// fieldManager is the name under which the controllers write.
const fieldManager = "policy-apiserver"

// Config is what the controllers need.
type Config struct {
	// Loopback reaches this server's own API, as the server itself.
	Loopback *rest.Config
	// Lifecycles is the storage of lifecycles in this process.
	Lifecycles lifecycles.WatchableStorage
	// Host reaches the API server of the host cluster.
	Host *rest.Config
	// Workers is how many imports are worked on at a time.
	Workers int
	// Probe says how imported clusters are asked whether they answer; nil asks
	// none.
	Probe *probe.Config
	// Lease is held while the controllers work.
	Lease Lease
}

// Run works whenever this replica holds the lease, until the context ends.
func Run(ctx context.Context, config Config) error {
	return lead(ctx, config.Host, config.Lease, func(ctx context.Context, term *term) {
		// Each term starts from nothing: what another leader has done meanwhile
		// is read, not remembered.
		config := config
		config.Host, config.Loopback = term.fenced(config.Host), term.fenced(config.Loopback)
		config.Lifecycles = &fencedStorage{term: term, storage: config.Lifecycles}
		c, err := newControllers(config)
		if err == nil {
			err = c.run(ctx)
		}
		if err != nil && ctx.Err() == nil {
			utilruntime.HandleErrorWithContext(ctx, err, "The controllers stopped; another attempt follows")
		}
	})
}

// pediaClusters is what is watched of Clusterpedia.
var pediaClusters = hostobjects.Kind{GroupVersionResource: render.PediaClusterGVR}

type controllers struct {
	policies  *policyController
	imports   *importController
	store     *lifecycles.Store
	types     *servedtypes.Tracker
	objects   *hostobjects.Pool
	informers externalversions.SharedInformerFactory
	events    events.EventBroadcaster
	discovery discovery.DiscoveryInterfaceWithContext
	workers   int
}

func newControllers(config Config) (*controllers, error) {
	own, err := versioned.NewForConfig(config.Loopback)
	if err != nil {
		return nil, fmt.Errorf("making the client of this server's own API: %w", err)
	}
	host, err := newHostClients(config.Host)
	if err != nil {
		return nil, fmt.Errorf("making the clients of the host: %w", err)
	}
	return assemble(own, host, config)
}

// assemble connects the parts of the controllers.
func assemble(own versioned.Interface, host hostClients, config Config) (*controllers, error) {
	c := &controllers{
		informers: externalversions.NewSharedInformerFactory(own, 0),
		events:    events.NewBroadcaster(&events.EventSinkImpl{Interface: host.kubernetes.EventsV1()}),
		discovery: host.discovery,
		workers:   config.Workers,
	}
	policies := c.informers.Policy().V1alpha1().ClusterImportPolicies()
	stored := c.informers.InformerFor(&lifecycles.Lifecycle{}, func(versioned.Interface, time.Duration) cache.SharedIndexInformer {
		return lifecycles.NewInformer(config.Lifecycles)
	})
	c.store = lifecycles.New(config.Lifecycles, stored.GetIndexer(), clock.RealClock{})

	c.types = servedtypes.New(host.discovery, host.metadata, c.typesChanged)
	c.objects = hostobjects.NewPool(host.dynamic, host.metadata, c, host.permitted)
	c.policies = newPolicyController(own.PolicyV1alpha1().ClusterImportPolicies(), policies.Lister(), c.store, c.types, c.objects,
		c.events.NewRecorder(policyscheme.Scheme, fieldManager))
	c.policies.schemas.host = host.dynamic
	c.imports = newImportController(c.policies, c.store, host.dynamic, c.types, c.objects, c.policies.brake)
	c.store.OnRecorded(c.imports.recorded)
	c.policies.enqueueImport, c.policies.enqueueInBulk, c.policies.addInBulk = c.imports.enqueue, c.imports.enqueueInBulk, c.imports.addInBulk
	c.policies.checkOwners = c.imports.checkOwners
	if config.Probe != nil {
		c.imports.prober = probe.New(*config.Probe, c.imports.clusterAnswered)
	}

	if _, err := policies.Informer().AddEventHandler(c.policies.eventHandler()); err != nil {
		return nil, err
	}
	if _, err := stored.AddEventHandler(c.imports.lifecycleHandler()); err != nil {
		return nil, err
	}
	return c, nil
}

type hostClients struct {
	discovery  discovery.DiscoveryInterfaceWithContext
	dynamic    dynamic.Interface
	metadata   metadata.Interface
	kubernetes kubernetes.Interface
}

// permitted is a Forbidden error when this server may not read a type that policies name.
// PediaClusters are not such a type.
func (h hostClients) permitted(ctx context.Context, resource schema.GroupVersionResource) error {
	if resource == render.PediaClusterGVR {
		return nil
	}
	return rights.Check(ctx, rights.Self(h.kubernetes.AuthorizationV1().SelfSubjectAccessReviews()), resource.GroupResource())
}

// newHostClients makes clients that share one budget of requests.
func newHostClients(config *rest.Config) (clients hostClients, err error) {
	config = rest.CopyConfig(config)
	if config.QPS > 0 {
		config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(config.QPS, config.Burst)
	}
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return clients, err
	}
	if clients.discovery, err = discovery.NewDiscoveryClientForConfigAndClient(config, httpClient); err != nil {
		return clients, err
	}
	if clients.dynamic, err = dynamic.NewForConfigAndClient(config, httpClient); err != nil {
		return clients, err
	}
	if clients.metadata, err = metadata.NewForConfigAndClient(metadata.ConfigFor(config), httpClient); err != nil {
		return clients, err
	}
	clients.kubernetes, err = kubernetes.NewForConfigAndClient(config, httpClient)
	return clients, err
}

func (c *controllers) run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	defer utilruntime.HandleCrashWithContext(ctx)
	defer forgetAllSeries() // after the last one has worked
	var wg sync.WaitGroup
	defer wg.Wait()
	// If one returns early, all others end.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer c.policies.queue.ShutDown()
	defer c.imports.queue.ShutDown()
	defer c.imports.owners.ShutDown()

	if err := c.events.StartRecordingToSinkWithContext(ctx); err != nil {
		return fmt.Errorf("starting to record events: %w", err)
	}
	defer c.events.Shutdown()

	c.informers.StartWithContext(ctx)
	defer c.informers.Shutdown()
	if err := c.informers.WaitForCacheSyncWithContext(ctx).AsError(); err != nil {
		return fmt.Errorf("waiting for this server's own API: %w", err)
	}
	c.imports.checkAllOwners()

	wg.Go(func() { c.types.Run(ctx) })
	wg.Go(func() { c.policies.fits.run(ctx, hostschemas.NewForClient(c.discovery.OpenAPIV3WithContext(ctx))) })
	if c.imports.prober != nil {
		wg.Go(func() { c.imports.prober.Run(ctx) })
	}
	defer c.objects.Wait()
	defer cancel()
	c.policies.context = ctx

	defer fleet.set(c)()
	logger.Info("The controllers run", "workers", c.workers)
	wg.Go(func() { wait.UntilWithContext(ctx, func(context.Context) { c.imports.enqueueOverdue() }, overdueDelay) })
	wg.Go(func() { wait.UntilWithContext(ctx, c.releaseMemory, time.Minute) })
	wg.Go(func() { c.store.Run(ctx, c.imports.order.busy) })
	wg.Go(func() { work(ctx, c.policies.queue, c.policies.reconcile) })
	for range c.workers {
		wg.Go(func() { work(ctx, c.imports.queue, c.imports.work) })
		wg.Go(func() { work(ctx, c.imports.owners, c.imports.reconcileOwner) })
	}
	<-ctx.Done()
	logger.Info("The controllers stop")
	return nil
}

// releaseMemory returns the memory that a bulk has taken, when its records are written as well.
// By itself Go keeps it for minutes, as long as hardly any garbage is made.
func (c *controllers) releaseMemory(context.Context) {
	if c.store.Waiting() == 0 && c.imports.order.bulkIsOver() {
		debug.FreeOSMemory()
	}
}

// work takes items off the queue until it is shut down. An item whose work
// failed is tried again with growing delays.
func work[K comparable](ctx context.Context, queue workqueue.TypedRateLimitingInterface[K], reconcile func(context.Context, K) error) {
	stop := context.AfterFunc(ctx, queue.ShutDown)
	defer stop()
	for {
		item, shutdown := queue.Get()
		if shutdown {
			return
		}
		err := recovering(ctx, item, reconcile)
		switch {
		case err == nil:
			queue.Forget(item)
		case ctx.Err() == nil:
			klog.FromContext(ctx).V(2).Info("Trying again later", "item", item, "err", err)
			queue.AddRateLimited(item)
		}
		queue.Done(item)
	}
}

// recovering turns a panic into an error: one import that trips over a fault of
// ours must not take the API and all other imports along.
func recovering[K comparable](ctx context.Context, item K, reconcile func(context.Context, K) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
			klog.FromContext(ctx).Error(err, "A fault of this server, to be reported", "item", item, "stack", string(debug.Stack()))
		}
	}()
	return reconcile(ctx, item)
}

// typesChanged is called when the host serves other types than before.
func (c *controllers) typesChanged() {
	c.policies.enqueueAll()
	c.policies.fits.check()
}

// ObjectChanged passes a change on the host to the imports that it concerns.
func (c *controllers) ObjectChanged(kind hostobjects.Kind, policies []string, namespace, name string, change hostobjects.Change) {
	switch {
	case kind == pediaClusters:
		c.imports.pediaClusterChanged(name, change)
	case kind.MetadataOnly:
		c.imports.referenceChanged(memory.Object{GroupResource: kind.GroupResource(), Namespace: namespace, Name: name})
	default:
		for _, policy := range policies {
			c.imports.sourceChanged(memory.Import{Policy: policy, Namespace: namespace, Name: name}, change)
		}
	}
}

// StateChanged wakes the policies that wait for the objects of a type.
func (c *controllers) StateChanged(kind hostobjects.Kind, policies []string) {
	if kind == pediaClusters {
		c.policies.enqueueAll()
		return
	}
	for _, policy := range policies {
		c.policies.queue.Add(policy)
	}
}

// importOf is the import that the lifecycle records.
func importOf(lifecycle *lifecycles.Lifecycle) memory.Import {
	return memory.Import{Policy: policyv1alpha1.ControllingPolicy(lifecycle).Name, Namespace: lifecycle.Spec.Source.Namespace, Name: lifecycle.Spec.Source.Name}
}
