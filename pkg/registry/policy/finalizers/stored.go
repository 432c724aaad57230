package finalizers

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Stored has objects read from storage without the finalizers that they may not
// have. An older release let them be added, and a snapshot may bring them back.
// They are gone from the first read on, whichever replica reads, and leave storage
// with the next write of the object.
type Stored struct {
	generic.RESTOptionsGetter
}

// GetRESTOptions returns the options with a codec that drops finalizers.
func (s Stored) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := s.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	config := *options.StorageConfig
	config.Codec = droppingCodec{config.Codec}
	options.StorageConfig = &config
	return options, nil
}

type droppingCodec struct {
	runtime.Codec
}

// Decode decodes a policy or a lifecycle.
func (c droppingCodec) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	object, kind, err := c.Codec.Decode(data, defaults, into)
	if accessor, ok := object.(metav1.ObjectMetaAccessor); ok && err == nil {
		if metadata, ok := accessor.GetObjectMeta().(*metav1.ObjectMeta); ok {
			clean(metadata)
		}
	}
	return object, kind, err
}

// clean drops what the object may not have. What is being deleted and has nothing
// else gets our finalizer instead: whoever was waited for is not here any more, and
// this server ends the deletion without harm to PediaClusters.
func clean(object *metav1.ObjectMeta) {
	if drop(object) != nil && object.DeletionTimestamp != nil && len(object.Finalizers) == 0 {
		object.Finalizers = []string{policyv1alpha1.Finalizer}
	}
}
