// Package controller turns policies into PediaClusters. The policy controller
// compiles policies, watches the types they name and sums up what became of
// them; the import controller works on one Source under one policy at a time:
// its lifecycle, its PediaCluster, and the lifecycle's status.
//
// It reads and writes this server's own objects through the loopback client,
// and the host's through the host client. What to do is decided by pkg/render;
// here it is done. cmd starts it through a runner that pkg/apiserver is given.
package controller

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
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
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/probe"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
	policyscheme "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/scheme"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/informers/externalversions"
	policylisters "github.com/clusterpedia-io/policy-apiserver/pkg/generated/listers/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/intern"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// fieldManager is the name under which the controllers write.
const fieldManager = "policy-apiserver"

// Config is what the controllers need.
type Config struct {
	// Loopback reaches this server's own API, as the server itself.
	Loopback *rest.Config
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

// Indexes of the lifecycle informer.
const (
	byPolicy = "policy" // name of the policy
	bySource = "source" // type and name of the Source
)

type controllers struct {
	policies  *policyController
	imports   *importController
	types     *servedtypes.Tracker
	objects   *hostobjects.Pool
	informers externalversions.SharedInformerFactory
	events    events.EventBroadcaster
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

	c := &controllers{
		informers: externalversions.NewSharedInformerFactory(own, 0),
		events:    events.NewBroadcaster(&events.EventSinkImpl{Interface: host.kubernetes.EventsV1()}),
		workers:   config.Workers,
	}
	policies := c.informers.Policy().V1alpha1().ClusterImportPolicies()
	lifecycles := c.informers.Policy().V1alpha1().PediaClusterLifecycles()
	if err := lifecycles.Informer().AddIndexers(cache.Indexers{byPolicy: indexByPolicy, bySource: indexBySource}); err != nil {
		return nil, err
	}

	if err := lifecycles.Informer().SetTransform(lean()); err != nil {
		return nil, err
	}

	c.types = servedtypes.New(host.discovery, host.metadata, c.typesChanged)
	c.objects = hostobjects.NewPool(host.dynamic, host.metadata, c)
	records := &lifecycleStore{lister: lifecycles.Lister(), indexer: lifecycles.Informer().GetIndexer(),
		client: own.PolicyV1alpha1().PediaClusterLifecycles(), rest: own.PolicyV1alpha1().RESTClient()}
	c.policies = newPolicyController(own.PolicyV1alpha1().ClusterImportPolicies(), policies.Lister(), records, c.types, c.objects,
		c.events.NewRecorder(policyscheme.Scheme, fieldManager))
	c.imports = newImportController(c.policies, records, host.dynamic, c.types, c.objects, c.policies.brake)
	c.policies.enqueueImport, c.policies.enqueueAmongMany = c.imports.enqueue, c.imports.enqueueAmongMany
	if config.Probe != nil {
		c.imports.prober = probe.New(*config.Probe, c.imports.clusterAnswered)
	}

	if _, err := policies.Informer().AddEventHandler(c.policies.eventHandler()); err != nil {
		return nil, err
	}
	if _, err := lifecycles.Informer().AddEventHandler(c.imports.lifecycleHandler()); err != nil {
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
	// Whoever returns early takes the others along.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer c.policies.queue.ShutDown()
	defer c.imports.queue.ShutDown()

	if err := c.events.StartRecordingToSinkWithContext(ctx); err != nil {
		return fmt.Errorf("starting to record events: %w", err)
	}
	defer c.events.Shutdown()

	c.informers.StartWithContext(ctx)
	defer c.informers.Shutdown()
	if err := c.informers.WaitForCacheSyncWithContext(ctx).AsError(); err != nil {
		return fmt.Errorf("waiting for this server's own API: %w", err)
	}

	wg.Go(func() { c.types.Run(ctx) })
	if c.imports.prober != nil {
		wg.Go(func() { c.imports.prober.Run(ctx) })
	}
	defer c.objects.Wait()
	defer cancel()
	c.policies.context = ctx

	defer fleet.set(c)()
	logger.Info("The controllers run", "workers", c.workers)
	wg.Go(func() { wait.UntilWithContext(ctx, c.imports.lookForLate, lateDelay) })
	wg.Go(func() { wait.UntilWithContext(ctx, c.giveBack, time.Minute) })
	wg.Go(func() { work(ctx, c.policies.queue, c.policies.reconcile) })
	for range c.workers {
		wg.Go(func() { work(ctx, c.imports.queue, c.imports.reconcile) })
	}
	<-ctx.Done()
	logger.Info("The controllers stop")
	return nil
}

// giveBack returns the memory that a bulk has taken. By itself Go keeps it for
// minutes, as long as hardly any garbage is made.
func (c *controllers) giveBack(context.Context) {
	if c.imports.lanes.bulkIsOver() {
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
func (c *controllers) typesChanged() { c.policies.enqueueAll() }

// ObjectChanged passes a change on the host to the imports that it concerns.
func (c *controllers) ObjectChanged(kind hostobjects.Kind, policies []string, namespace, name string, change hostobjects.Change) {
	switch {
	case kind == pediaClusters:
		c.imports.pediaClusterChanged(name, change)
	case kind.MetadataOnly:
		c.imports.referenceChanged(index.Object{GroupResource: kind.GroupResource(), Namespace: namespace, Name: name})
	default:
		for _, policy := range policies {
			c.imports.sourceChanged(index.Import{Policy: policy, Namespace: namespace, Name: name}, change)
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

// lean drops what the controllers do not read of a lifecycle, and has lifecycles
// share what they repeat. The server keeps managed fields that a write leaves out.
func lean() cache.TransformFunc {
	pool := &intern.Pool{}
	return func(object any) (any, error) {
		if lifecycle, ok := object.(*policyv1alpha1.PediaClusterLifecycle); ok { // no tombstone
			lifecycle.ManagedFields = nil
			pool.Share(lifecycle)
		}
		return object, nil
	}
}

func indexByPolicy(object any) ([]string, error) {
	return []string{policyOf(object.(*policyv1alpha1.PediaClusterLifecycle))}, nil
}

func indexBySource(object any) ([]string, error) {
	return []string{sourceKey(object.(*policyv1alpha1.PediaClusterLifecycle).Spec.Source)}, nil
}

// sourceKey names a Source, in whatever version.
func sourceKey(source policyv1alpha1.DependentResource) string {
	resource := schema.GroupResource{Group: source.Group, Resource: source.Resource}
	return resource.String() + "/" + source.Namespace + "/" + source.Name
}

// policyOf is the name of the policy that controls the lifecycle.
func policyOf(lifecycle *policyv1alpha1.PediaClusterLifecycle) string {
	for _, owner := range lifecycle.OwnerReferences {
		if owner.Controller != nil && *owner.Controller && owner.Kind == "ClusterImportPolicy" {
			return owner.Name
		}
	}
	return ""
}

// importOf is the import that the lifecycle records.
func importOf(lifecycle *policyv1alpha1.PediaClusterLifecycle) index.Import {
	return index.Import{Policy: policyOf(lifecycle), Namespace: lifecycle.Spec.Source.Namespace, Name: lifecycle.Spec.Source.Name}
}

// lifecycleStore reads lifecycles from the informer and writes them.
type lifecycleStore struct {
	lister  policylisters.PediaClusterLifecycleLister
	indexer cache.Indexer
	client  lifecycleClient
	rest    rest.Interface
	// gone are the lifecycles that were let go and that the informer has not seen
	// go yet, by UID.
	gone sync.Map
	// written are the lifecycles that were written and that the informer has not
	// seen so yet, by UID: what one look has said, the next one has to know.
	written sync.Map
}

// wrote is called with a lifecycle as it was written.
func (s *lifecycleStore) wrote(written *policyv1alpha1.PediaClusterLifecycle) {
	written.ManagedFields = nil // as the informer has it
	s.written.Store(written.UID, written)
	if known, err := s.lister.Get(written.Name); err == nil {
		s.seen(known)
	}
}

// seen is called when the informer has seen a lifecycle. It reports whether that is
// known to be as it was written, or older.
func (s *lifecycleStore) seen(lifecycle *policyv1alpha1.PediaClusterLifecycle) (known bool) {
	written, ok := s.written.Load(lifecycle.UID)
	if !ok {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(lifecycle.ResourceVersion, written.(*policyv1alpha1.PediaClusterLifecycle).ResourceVersion)
	if err != nil || order >= 0 {
		s.written.CompareAndDelete(lifecycle.UID, written)
	}
	return err == nil && order <= 0
}

// latest returns the lifecycle as it was written last, should the informer not
// have seen that yet.
func (s *lifecycleStore) latest(lifecycle *policyv1alpha1.PediaClusterLifecycle) *policyv1alpha1.PediaClusterLifecycle {
	s.seen(lifecycle)
	if written, ok := s.written.Load(lifecycle.UID); ok {
		return written.(*policyv1alpha1.PediaClusterLifecycle)
	}
	return lifecycle
}

// delete marks just this version of a lifecycle as deleted, and returns it as it
// is then, nil when it is gone.
func (s *lifecycleStore) delete(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, propagation *metav1.DeletionPropagation) (*policyv1alpha1.PediaClusterLifecycle, error) {
	marked := &policyv1alpha1.PediaClusterLifecycle{}
	// The typed client does not return what is left of the object.
	err := s.rest.Delete().Resource("pediaclusterlifecycles").Name(lifecycle.Name).
		Body(&metav1.DeleteOptions{Preconditions: preconditions(lifecycle), PropagationPolicy: propagation}).Do(ctx).Into(marked)
	switch {
	case apierrors.IsNotFound(err) || err == nil && marked.UID == "":
		return nil, nil
	case err != nil:
		return nil, err
	}
	s.wrote(marked)
	return marked, nil
}

// letGo lets just this version of a lifecycle go, whose PediaCluster is gone or
// left to its users. One with finalizers that are not ours has to be marked as
// deleted; it stays until they are gone, too.
func (s *lifecycleStore) letGo(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle) error {
	if !onlyOurs(lifecycle.Finalizers) {
		patch, err := withoutFinalizer(&lifecycle.ObjectMeta)
		if err == nil {
			_, err = s.client.Patch(ctx, lifecycle.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	s.gone.Store(lifecycle.UID, nil)
	err := s.client.Delete(ctx, lifecycle.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), Preconditions: preconditions(lifecycle)})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	if known, _ := s.lister.Get(lifecycle.Name); err != nil || known == nil || known.UID != lifecycle.UID { // Get fails on none but a missing one
		s.gone.Delete(lifecycle.UID)
	}
	return err
}

func onlyOurs(finalizers []string) bool {
	return len(finalizers) == 1 && finalizers[0] == policyv1alpha1.Finalizer
}

// seenGone is called when the informer has seen a lifecycle go.
func (s *lifecycleStore) seenGone(lifecycle *policyv1alpha1.PediaClusterLifecycle) {
	s.gone.Delete(lifecycle.UID)
	s.written.Delete(lifecycle.UID)
}

// ofSource returns the lifecycles of a Source, whatever their policy.
func (s *lifecycleStore) ofSource(source policyv1alpha1.DependentResource) []*policyv1alpha1.PediaClusterLifecycle {
	return s.indexed(bySource, sourceKey(source))
}

// ofPolicy returns the lifecycles of a policy.
func (s *lifecycleStore) ofPolicy(policy string) []*policyv1alpha1.PediaClusterLifecycle {
	return s.indexed(byPolicy, policy)
}

func (s *lifecycleStore) indexed(name, value string) []*policyv1alpha1.PediaClusterLifecycle {
	objects, err := s.indexer.ByIndex(name, value)
	if err != nil {
		utilruntime.HandleError(err)
	}
	lifecycles := make([]*policyv1alpha1.PediaClusterLifecycle, 0, len(objects))
	for _, object := range objects {
		lifecycle := object.(*policyv1alpha1.PediaClusterLifecycle)
		if _, gone := s.gone.Load(lifecycle.UID); !gone {
			lifecycles = append(lifecycles, s.latest(lifecycle))
		}
	}
	return lifecycles
}
