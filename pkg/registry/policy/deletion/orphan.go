// Package deletion holds what the deletion of both kinds has in common.
package deletion

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// RecordOrphaning returns a validation that, after validate, annotates the
// object if the options ask that its dependents be orphaned. The store
// validates the very object that it goes on to write, so annotation and
// deletion timestamp are one write. (A strategy's CheckGracefulDelete sees that
// object too, but not when its deletion is already under way, which is when
// somebody who waits in vain changes his mind.)
func RecordOrphaning(validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) rest.ValidateObjectFunc {
	if !orphans(options) {
		return validate
	}
	return Annotate(validate, policyv1alpha1.OrphanAnnotation)
}

// Annotate returns a validation that, after validate, sets the annotation to
// "true" on the object that is about to be marked as deleted.
func Annotate(validate rest.ValidateObjectFunc, annotation string) rest.ValidateObjectFunc {
	return func(ctx context.Context, obj runtime.Object) error {
		if err := validate(ctx, obj); err != nil {
			return err
		}
		object, err := meta.Accessor(obj)
		if err != nil {
			return err
		}
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[annotation] = "true"
		object.SetAnnotations(annotations)
		return nil
	}
}

// KeepOrphaning has an update of what is being deleted keep the annotation of
// RecordOrphaning, which a PUT of a manifest would take off: who was promised that
// PediaClusters are kept must not lose them to somebody who may write no more than
// annotations.
func KeepOrphaning(updated, stored *metav1.ObjectMeta) {
	if stored.DeletionTimestamp != nil && stored.Annotations[policyv1alpha1.OrphanAnnotation] == "true" {
		KeepAnnotation(updated, stored, policyv1alpha1.OrphanAnnotation)
	}
}

// KeepAnnotation has an update leave the annotation as it is stored.
func KeepAnnotation(updated, stored *metav1.ObjectMeta, name string) {
	value, ok := stored.Annotations[name]
	if !ok {
		delete(updated.Annotations, name)
		return
	}
	metav1.SetMetaDataAnnotation(updated, name, value)
}

func orphans(options *metav1.DeleteOptions) bool {
	if options == nil {
		return false
	}
	if options.PropagationPolicy != nil {
		return *options.PropagationPolicy == metav1.DeletePropagationOrphan
	}
	//nolint:staticcheck // orphanDependents is deprecated, but clients may send it.
	return options.OrphanDependents != nil && *options.OrphanDependents
}
