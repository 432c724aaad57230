// Package stored reads policies and lifecycles from storage without the finalizers
// that they may not have. It is apart from package finalizers, which the kubectl
// plugin links, so that the plugin does not link the client of etcd.
package stored

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"

	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/finalizers"
)

// RESTOptions has objects read from storage without the finalizers that they may not
// have. An older release let them be added, and a snapshot may bring them back.
// They are gone from the first read on, whichever replica reads, and leave storage
// with the next write of the object.
type RESTOptions struct {
	generic.RESTOptionsGetter
}

// GetRESTOptions returns the options with a codec that drops finalizers.
func (o RESTOptions) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := o.RESTOptionsGetter.GetRESTOptions(resource, example)
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
			finalizers.Clean(metadata)
		}
	}
	return object, kind, err
}
