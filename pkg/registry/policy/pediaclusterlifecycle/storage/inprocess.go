package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/caller"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/pediaclusterlifecycle"
)

// InProcess reads and writes lifecycles for the controllers of this very process: the same
// strategies and the same storage as through the API, without HTTP and without the filters
// of requests. Admission plugins, audit and managed fields do not see these writes.
type InProcess struct {
	lifecycles *REST
	// whole writes spec and status at once.
	whole *genericregistry.Store
	// timeout is how long a request may take.
	timeout time.Duration
}

// NewInProcess returns the way to the same storage for this process.
func (s Storage) NewInProcess(timeout time.Duration) *InProcess {
	whole := *s.PediaClusterLifecycle.Store
	whole.UpdateStrategy = pediaclusterlifecycle.WholeStrategy{Strategy: whole.UpdateStrategy.(pediaclusterlifecycle.Strategy)}
	return &InProcess{lifecycles: s.PediaClusterLifecycle, whole: &whole, timeout: timeout}
}

// as makes a request of this server, which must not take for ever.
func (p *InProcess) as(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(caller.AsThisServer(ctx), p.timeout)
}

// Create stores a new lifecycle with its status, under the UID and creation time that it has,
// if it has any.
func (p *InProcess) Create(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle) (*policyv1alpha1.PediaClusterLifecycle, error) {
	ctx, cancel := p.as(ctx)
	defer cancel()
	if lifecycle.UID != "" {
		ctx = pediaclusterlifecycle.WithIdentity(ctx, pediaclusterlifecycle.Identity{UID: lifecycle.UID, CreationTimestamp: lifecycle.CreationTimestamp})
	}
	return versioned(p.lifecycles.Create(ctx, internal(lifecycle), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}))
}

// Update stores spec and status of just this version of a lifecycle in one write.
func (p *InProcess) Update(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle) (*policyv1alpha1.PediaClusterLifecycle, error) {
	ctx, cancel := p.as(ctx)
	defer cancel()
	updated, _, err := p.whole.Update(ctx, lifecycle.Name, rest.DefaultUpdatedObjectInfo(internal(lifecycle)),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return versioned(updated, err)
}

// MarkDeleted marks just this version of a lifecycle as deleted by this server. It returns
// the lifecycle as it is then, nil when it is gone.
func (p *InProcess) MarkDeleted(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, propagation *metav1.DeletionPropagation) (*policyv1alpha1.PediaClusterLifecycle, error) {
	ctx, cancel := p.as(ctx)
	defer cancel()
	marked, gone, err := p.lifecycles.Delete(ctx, lifecycle.Name, rest.ValidateAllObjectFunc,
		&metav1.DeleteOptions{Preconditions: versionOf(lifecycle), PropagationPolicy: propagation})
	switch {
	case apierrors.IsNotFound(err) || err == nil && gone:
		return nil, nil
	default:
		return versioned(marked, err)
	}
}

// Remove takes just this version of a lifecycle out of storage. One that others hold by
// their finalizers loses only ours, and is returned.
func (p *InProcess) Remove(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle) (*policyv1alpha1.PediaClusterLifecycle, error) {
	others := slices.DeleteFunc(slices.Clone(lifecycle.Finalizers), func(f string) bool { return f == policyv1alpha1.Finalizer })
	if len(others) > 0 {
		left := *lifecycle
		left.Finalizers = others
		return p.Update(ctx, &left)
	}
	ctx, cancel := p.as(ctx)
	defer cancel()
	_, _, err := p.lifecycles.Delete(ctx, lifecycle.Name, rest.ValidateAllObjectFunc,
		&metav1.DeleteOptions{Preconditions: versionOf(lifecycle), GracePeriodSeconds: ptr.To[int64](0)})
	return nil, err
}

// SetOwners stores the owner references of just this version of a lifecycle.
func (p *InProcess) SetOwners(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle) (*policyv1alpha1.PediaClusterLifecycle, error) {
	return p.Update(ctx, lifecycle)
}

func versionOf(lifecycle *policyv1alpha1.PediaClusterLifecycle) *metav1.Preconditions {
	return &metav1.Preconditions{UID: &lifecycle.UID, ResourceVersion: &lifecycle.ResourceVersion}
}

// Get reads a lifecycle from etcd.
func (p *InProcess) Get(ctx context.Context, name string) (*policyv1alpha1.PediaClusterLifecycle, error) {
	ctx, cancel := p.as(ctx)
	defer cancel()
	return versioned(p.lifecycles.Get(ctx, name, &metav1.GetOptions{}))
}

// HasPolicy reports whether etcd has a lifecycle of the policy.
func (p *InProcess) HasPolicy(ctx context.Context, name string) (bool, error) {
	ctx, cancel := p.as(ctx)
	defer cancel()
	list, err := p.lifecycles.List(ctx, &metainternalversion.ListOptions{Limit: 1,
		FieldSelector: fields.OneTermEqualSelector(policyv1alpha1.FieldPolicy, name)})
	if err != nil {
		return false, err
	}
	return len(list.(*policy.PediaClusterLifecycleList).Items) > 0, nil
}

// List lists lifecycles for an informer. Their text is that of the watch cache, which nobody
// may write to.
func (p *InProcess) List(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	in, err := internalOptions(options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := p.as(ctx)
	defer cancel()
	listed, err := p.lifecycles.List(ctx, in)
	if err != nil {
		return nil, err
	}
	list := &policyv1alpha1.PediaClusterLifecycleList{}
	err = policyv1alpha1.Convert_policy_PediaClusterLifecycleList_To_v1alpha1_PediaClusterLifecycleList(
		listed.(*policy.PediaClusterLifecycleList), list, nil)
	list.Items = slices.Clone(list.Items)
	return list, err
}

// Watch watches lifecycles for an informer, until the context ends.
func (p *InProcess) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	in, err := internalOptions(options)
	if err != nil {
		return nil, err
	}
	events, err := p.lifecycles.Watch(caller.AsThisServer(ctx), in)
	if err != nil {
		return nil, err
	}
	return watch.Filter(events, func(event watch.Event) (watch.Event, bool) {
		if shared, ok := event.Object.(runtime.CacheableObject); ok {
			event.Object = shared.GetObject() // a copy
		}
		if lifecycle, ok := event.Object.(*policy.PediaClusterLifecycle); ok {
			event.Object, err = versioned(lifecycle, nil)
			if err != nil { // no conversion of a lifecycle fails
				event = watch.Event{Type: watch.Error, Object: &apierrors.NewInternalError(err).ErrStatus}
			}
		}
		return event, true
	}), nil
}

func internalOptions(options metav1.ListOptions) (*metainternalversion.ListOptions, error) {
	in := &metainternalversion.ListOptions{}
	if err := metainternalversion.Convert_v1_ListOptions_To_internalversion_ListOptions(&options, in, nil); err != nil {
		return nil, fmt.Errorf("converting the options of a list: %w", err)
	}
	return in, nil
}

// internal is a copy of the lifecycle that storage may change.
func internal(lifecycle *policyv1alpha1.PediaClusterLifecycle) *policy.PediaClusterLifecycle {
	out := &policy.PediaClusterLifecycle{}
	// It copies field by field, and no field can fail.
	_ = policyv1alpha1.Convert_v1alpha1_PediaClusterLifecycle_To_policy_PediaClusterLifecycle(lifecycle.DeepCopy(), out, nil)
	return out
}

func versioned(object runtime.Object, err error) (*policyv1alpha1.PediaClusterLifecycle, error) {
	if err != nil {
		return nil, err
	}
	lifecycle, ok := object.(*policy.PediaClusterLifecycle)
	if !ok {
		return nil, errors.New("storage answers with something that is no lifecycle")
	}
	out := &policyv1alpha1.PediaClusterLifecycle{}
	err = policyv1alpha1.Convert_policy_PediaClusterLifecycle_To_v1alpha1_PediaClusterLifecycle(lifecycle, out, nil)
	return out, err
}
