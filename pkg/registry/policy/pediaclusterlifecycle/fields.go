package pediaclusterlifecycle

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// indexed are the field labels that the watch cache keeps an index of: those
// that pick few lifecycles out of many.
var indexed = []string{policyv1alpha1.FieldPolicy, policyv1alpha1.FieldSourceName}

// GetAttrs returns the labels and fields by which a lifecycle can be selected.
func GetAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	lifecycle, ok := obj.(*policy.PediaClusterLifecycle)
	if !ok {
		return nil, nil, fmt.Errorf("selecting a %T: not a PediaClusterLifecycle", obj)
	}
	return lifecycle.Labels, selectableFields(lifecycle), nil
}

// Match returns the lifecycles that both selectors match.
func Match(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: GetAttrs, IndexFields: indexed}
}

// Indexers make the indexes of the watch cache.
func Indexers() *cache.Indexers {
	indexers := cache.Indexers{}
	for _, label := range indexed {
		indexers[storage.FieldIndex(label)] = func(obj any) ([]string, error) {
			lifecycle, ok := obj.(*policy.PediaClusterLifecycle)
			if !ok {
				return nil, fmt.Errorf("indexing a %T: not a PediaClusterLifecycle", obj)
			}
			return []string{selectableFields(lifecycle)[label]}, nil
		}
	}
	return &indexers
}

// PhaseOf returns the phase of the lifecycle, which one that is new does not record.
func PhaseOf(lifecycle *policy.PediaClusterLifecycle) policy.LifecyclePhase {
	return cmp.Or(lifecycle.Status.Phase, policy.LifecyclePending)
}

func selectableFields(lifecycle *policy.PediaClusterLifecycle) fields.Set {
	source := lifecycle.Spec.Source
	return generic.AddObjectMetaFieldsSet(fields.Set{
		policyv1alpha1.FieldPolicy:          policyv1alpha1.ControllingPolicy(lifecycle).Name,
		policyv1alpha1.FieldSourceGroup:     source.Group,
		policyv1alpha1.FieldSourceResource:  source.Resource,
		policyv1alpha1.FieldSourceNamespace: source.Namespace,
		policyv1alpha1.FieldSourceName:      source.Name,
		policyv1alpha1.FieldPhase:           string(PhaseOf(lifecycle)),
	}, &lifecycle.ObjectMeta, false)
}
