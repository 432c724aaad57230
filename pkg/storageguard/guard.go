// Package storageguard makes sure that the storage behind this server is the one
// that the PediaClusters on the host were made from, before anybody is answered.
// The host's garbage collector deletes a PediaCluster when its owner, a lifecycle,
// is answered with 404: an empty or foreign storage would cost the whole fleet.
//
// It reads the host and the identity of the storage, and writes three things: the
// record of the storage on the host, that of the host in the storage, and the
// owner references of PediaClusters whose lifecycles storage lacks. pkg/apiserver
// asks it before each request for resources; the controllers start after it.
package storageguard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const (
	// RecordName is the name of the ConfigMap by which the host remembers what
	// storage served it.
	RecordName = "policy-apiserver-storage"
	// RecordKey is the key of the storage's id in it.
	RecordKey = "storage-id"

	fieldManager = "policy-apiserver"

	// shortDelay is after how long a failed look is followed by another one, and
	// longDelay when storage was refused.
	shortDelay = time.Second
	longDelay  = 5 * time.Second
	// watchPeriod is how often storage in use is looked at.
	watchPeriod = 5 * time.Second
	// lookTimeout bounds one look.
	lookTimeout = time.Minute

	pageSize     = 1000
	stripsAtOnce = 16
)

var (
	pediaClusters = schema.GroupVersionResource{Group: "cluster.clusterpedia.io", Version: "v1alpha2", Resource: "pediaclusters"}
	definitions   = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// Storage is what has to be known of the storage.
type Storage interface {
	// Get returns the id of the storage, which is given one if need be, and the
	// host that it is bound to, empty at first.
	Get(ctx context.Context) (id, host types.UID, err error)
	// Find is Get, but it gives no id to a storage that has none, and returns the
	// revision that the storage has reached.
	Find(ctx context.Context) (id, host types.UID, revision uint64, err error)
	// Bind records the host in the storage of that id.
	Bind(ctx context.Context, id, host types.UID) error
	// Lifecycles returns the UIDs of the lifecycles in storage.
	Lifecycles(ctx context.Context) (sets.Set[types.UID], error)
}

// Config says for which host storage has to be the right one.
type Config struct {
	// Host leads to the host cluster.
	Host *rest.Config
	// Namespace holds the host's record of the storage, and the Lease of an
	// embedded etcd.
	Namespace string
	// Accept is the id of a storage that the operator wants to be served, whatever
	// served the host before. Empty accepts none.
	Accept types.UID
	// Embedded says that no other replica can reach the storage.
	Embedded bool
	// TakeOver puts into a storage of that id, which was never served, what belongs
	// there. Until it returns nil the storage is not judged. Nil has nothing to do.
	TakeOver func(ctx context.Context, id types.UID) error
}

// Guard knows whether storage may be served. Use New.
type Guard struct {
	config     Config
	storage    Storage
	kubernetes kubernetes.Interface
	metadata   metadata.Interface

	state atomic.Pointer[error]
	open  chan struct{}
	// alone is closed when no other replica has a storage of its own.
	alone chan struct{}
	rival atomic.Pointer[string]
}

// New returns a guard that lets nobody pass until it runs.
func New(config Config, storage Storage) (*Guard, error) {
	g := &Guard{config: config, storage: storage, open: make(chan struct{}), alone: make(chan struct{})}
	var err error
	if g.kubernetes, err = kubernetes.NewForConfig(config.Host); err != nil {
		return nil, fmt.Errorf("a client for the record of the storage: %w", err)
	}
	if g.metadata, err = metadata.NewForConfig(metadata.ConfigFor(config.Host)); err != nil {
		return nil, fmt.Errorf("a client for the owners of PediaClusters: %w", err)
	}
	g.block(errors.New("the server is starting: it does not know yet whether its storage is the one that this host was served from"))
	return g, nil
}

// Blocked is why resources cannot be served now, nil when they can.
func (g *Guard) Blocked() error { return *g.state.Load() }

// Open is closed when storage is found to be the right one.
func (g *Guard) Open() <-chan struct{} { return g.open }

func (g *Guard) block(reason error) { g.state.Store(&reason) }

// Run looks at storage and host until they belong together, lets requests pass,
// and goes on looking until the context ends, which is no error. The error is
// that storage has become another one: what this process knows is worth nothing
// then, and it should end.
func (g *Guard) Run(ctx context.Context) error {
	if g.config.Embedded {
		defer g.holdUntilEnd(ctx)()
	} else {
		close(g.alone)
	}
	id, host, ok := g.await(ctx)
	if !ok {
		return nil
	}
	g.block(nil)
	close(g.open)
	if err := g.watch(ctx, id, host); err != nil {
		g.block(err)
		return err
	}
	return nil
}

// await returns when storage may be served, or the context has ended.
func (g *Guard) await(ctx context.Context) (id, host types.UID, ok bool) {
	logger := klog.FromContext(ctx)
	for said := ""; ; {
		id, host, err := g.look(ctx)
		if err == nil {
			return id, host, true
		}
		delay, refused := shortDelay, (*Refusal)(nil)
		if errors.As(err, &refused) {
			delay = longDelay
		} else {
			err = fmt.Errorf("it is not known yet whether the storage is the one that this host was served from: %w", err)
		}
		g.block(err)
		if err.Error() != said && ctx.Err() == nil {
			logger.Error(err, "The API answers 503 for its resources, and nothing is imported")
			said = err.Error()
		}
		select {
		case <-ctx.Done():
			return "", "", false
		case <-time.After(delay):
		}
	}
}

// look gathers the facts and, when storage may be served, makes it safe to do so.
func (g *Guard) look(ctx context.Context) (id, host types.UID, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	select {
	case <-g.alone:
	default:
		return "", "", g.notAlone()
	}
	if err := g.takeOver(ctx); err != nil {
		return "", "", err
	}
	f, record, err := g.gather(ctx)
	if err != nil {
		return "", "", err
	}
	if err := judge(*f); err != nil {
		return "", "", err
	}
	if err := g.strip(ctx, f); err != nil {
		return "", "", err
	}
	if f.boundTo != f.host {
		if err := g.storage.Bind(ctx, f.storage, f.host); err != nil {
			return "", "", err
		}
	}
	if f.recorded != f.storage {
		if err := g.record(ctx, record, f.storage); err != nil {
			return "", "", err
		}
	}
	klog.FromContext(ctx).Info("The storage is the right one", "storage", f.storage, "lifecycles", len(f.lifecycles), "pediaClusters", len(f.pediaClusters),
		"servedBefore", f.recorded == f.storage)
	return f.storage, f.host, nil
}

func (g *Guard) takeOver(ctx context.Context) error {
	if g.config.TakeOver == nil {
		return nil
	}
	id, boundTo, err := g.storage.Get(ctx)
	if err != nil || boundTo != "" {
		return err
	}
	return g.config.TakeOver(ctx, id)
}

// Reached reports whether the storage has come to that revision. One that it has
// not reached is of another storage, or of this one before it was restored.
func (g *Guard) Reached(ctx context.Context, revision uint64) (bool, error) {
	_, _, reached, err := g.storage.Find(ctx)
	return revision <= reached, err
}

// gather lists lifecycles after PediaClusters: of a PediaCluster in the first
// list, the lifecycle is in the second, unless both have gone.
func (g *Guard) gather(ctx context.Context) (f *facts, record *corev1.ConfigMap, err error) {
	f = &facts{}
	system, err := g.kubernetes.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the identity of the host: %w", err)
	}
	f.host = system.UID
	if record, err = g.readRecord(ctx); err != nil {
		return nil, nil, err
	}
	if record != nil {
		f.recorded = types.UID(record.Data[RecordKey])
	}
	if f.storage, f.boundTo, err = g.storage.Get(ctx); err != nil {
		return nil, nil, err
	}
	f.accepted = g.config.Accept != "" && g.config.Accept == f.storage
	if f.pediaClusters, err = g.listOurs(ctx); err != nil {
		return nil, nil, err
	}
	if f.lifecycles, err = g.storage.Lifecycles(ctx); err != nil {
		return nil, nil, fmt.Errorf("listing the lifecycles in storage: %w", err)
	}
	return f, record, nil
}

// listOurs lists the PediaClusters that were made for an import. There are none
// on a host that is known not to have the type.
func (g *Guard) listOurs(ctx context.Context) (ours []metav1.PartialObjectMetadata, err error) {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := g.metadata.Resource(pediaClusters).List(ctx, options)
		if apierrors.IsNotFound(err) {
			_, definitionErr := g.metadata.Resource(definitions).Get(ctx, pediaClusters.GroupResource().String(), metav1.GetOptions{})
			if apierrors.IsNotFound(definitionErr) {
				return nil, nil
			}
			err = errors.Join(err, definitionErr)
		}
		if err != nil {
			return nil, fmt.Errorf("listing the PediaClusters of the host: %w", err)
		}
		for i := range page.Items {
			if isOurs(&page.Items[i]) {
				ours = append(ours, page.Items[i])
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return ours, nil
		}
	}
}

// strip takes the owners that storage lacks off the PediaClusters. Their mark
// stays, by which they are taken up again.
func (g *Guard) strip(ctx context.Context, f *facts) error {
	dangling := f.dangling()
	if len(dangling) == 0 {
		return nil
	}
	errs := make([]error, len(dangling))
	workqueue.ParallelizeUntil(ctx, stripsAtOnce, len(dangling), func(i int) {
		errs[i] = g.stripOne(ctx, dangling[i], f)
	})
	if err := errors.Join(errs...); err != nil || ctx.Err() != nil {
		return fmt.Errorf("taking lost lifecycles off PediaClusters, which are deleted otherwise: %w", errors.Join(err, ctx.Err()))
	}
	klog.FromContext(ctx).Info("PediaClusters had owners that this storage lacks: they are kept, and taken up again by their policies",
		"pediaClusters", len(dangling))
	return nil
}

func (g *Guard) stripOne(ctx context.Context, pediaCluster *metav1.PartialObjectMetadata, f *facts) error {
	kept := slices.DeleteFunc(slices.Clone(pediaCluster.OwnerReferences), f.lost)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pediaCluster.UID, "resourceVersion": pediaCluster.ResourceVersion, "ownerReferences": kept,
	}})
	if err != nil {
		return err
	}
	_, err = g.metadata.Resource(pediaClusters).Patch(ctx, pediaCluster.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// readRecord returns what the host remembers, nil when nothing.
func (g *Guard) readRecord(ctx context.Context) (*corev1.ConfigMap, error) {
	record, err := g.kubernetes.CoreV1().ConfigMaps(g.config.Namespace).Get(ctx, RecordName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the host's record of the storage: %w", err)
	}
	return record, nil
}

// record has the host remember the storage, unless the record has changed since
// it was read.
func (g *Guard) record(ctx context.Context, record *corev1.ConfigMap, storage types.UID) (err error) {
	client := g.kubernetes.CoreV1().ConfigMaps(g.config.Namespace)
	if record == nil {
		record = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: RecordName, Namespace: g.config.Namespace}}
		record.Data = map[string]string{RecordKey: string(storage)}
		_, err = client.Create(ctx, record, metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		record = record.DeepCopy()
		if record.Data == nil {
			record.Data = map[string]string{}
		}
		record.Data[RecordKey] = string(storage)
		_, err = client.Update(ctx, record, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return fmt.Errorf("writing the host's record of the storage: %w", err)
	}
	return nil
}

// watch returns an error when the storage in use is no longer the one that was
// looked at, and nil when the context ends. What cannot be read proves nothing.
func (g *Guard) watch(ctx context.Context, id, host types.UID) error {
	reached := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPeriod):
		}
		now, boundTo, revision, err := g.storage.Find(ctx)
		switch {
		case err != nil:
			continue
		case now != id:
			return fmt.Errorf("the storage %s was replaced by %q under the running server", id, now)
		case boundTo != host:
			return fmt.Errorf("the storage %s is used for another host now", id)
		case revision < reached:
			return fmt.Errorf("the storage %s went back from revision %d to %d under the running server, as a restored snapshot does", id, reached, revision)
		}
		reached = revision
		if record, err := g.readRecord(ctx); err == nil && record != nil && record.Data[RecordKey] != string(id) {
			return fmt.Errorf("the host is served from the storage %q now, and no longer from %s", record.Data[RecordKey], id)
		}
	}
}
