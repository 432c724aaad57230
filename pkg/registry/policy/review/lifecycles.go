package review

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Lifecycles is the storage of lifecycles.
type Lifecycles interface {
	rest.Getter
	rest.Lister
}

var lifecycleResource = policyv1alpha1.SchemeGroupVersion.WithResource("pediaclusterlifecycles")

// lifecyclesOf returns the lifecycles of a Source that the caller may read.
func (s *session) lifecyclesOf(ctx context.Context, source policyv1alpha1.DependentResource) ([]*policyv1alpha1.PediaClusterLifecycle, error) {
	list, err := s.lifecycles.List(ctx, &metainternalversion.ListOptions{
		FieldSelector: fields.Set{
			policyv1alpha1.FieldSourceGroup:     source.Group,
			policyv1alpha1.FieldSourceResource:  source.Resource,
			policyv1alpha1.FieldSourceNamespace: source.Namespace,
			policyv1alpha1.FieldSourceName:      source.Name,
		}.AsSelector(),
		ResourceVersion: "0", // from the watch cache, which has an index of names
	})
	if err != nil {
		return nil, fmt.Errorf("listing the lifecycles of the Source: %w", err)
	}
	var lifecycles []*policyv1alpha1.PediaClusterLifecycle
	for i := range list.(*policy.PediaClusterLifecycleList).Items {
		lifecycle, err := s.readable(ctx, &list.(*policy.PediaClusterLifecycleList).Items[i])
		if err != nil {
			return nil, err
		}
		if lifecycle != nil {
			lifecycles = append(lifecycles, lifecycle)
		}
	}
	return lifecycles, nil
}

// ofThis are those lifecycles that this policy controls.
func (s *session) ofThis(lifecycles []*policyv1alpha1.PediaClusterLifecycle) (own []*policyv1alpha1.PediaClusterLifecycle) {
	for _, lifecycle := range lifecycles {
		if policyv1alpha1.ControllingPolicy(lifecycle).Name == s.PolicyName {
			own = append(own, lifecycle)
		}
	}
	return own
}

// holder returns the lifecycle of that name if the caller may read it, else nil.
func (s *session) holder(ctx context.Context, name string) (*policyv1alpha1.PediaClusterLifecycle, error) {
	object, err := s.lifecycles.Get(ctx, name, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.readable(ctx, object.(*policy.PediaClusterLifecycle))
}

// readable returns the lifecycle if the caller may read it, else nil. The one
// that was asked about is readable to whoever may ask about it.
func (s *session) readable(ctx context.Context, lifecycle *policy.PediaClusterLifecycle) (*policyv1alpha1.PediaClusterLifecycle, error) {
	if lifecycle.Name != s.Lifecycle {
		if allowed, err := s.access.toGet(ctx, lifecycleResource, "", lifecycle.Name); err != nil || !allowed {
			return nil, err
		}
	}
	versioned := &policyv1alpha1.PediaClusterLifecycle{}
	err := policyv1alpha1.Convert_policy_PediaClusterLifecycle_To_v1alpha1_PediaClusterLifecycle(lifecycle, versioned, nil)
	return versioned, err
}
