package storage

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/intern"
)

// sharing has lifecycles that come out of storage share what they repeat: the watch
// cache holds all of them, many in two versions, with the templates of their policy
// and much the same managed fields.
type sharing struct{ generic.RESTOptionsGetter }

func (s sharing) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := s.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	config := *options.StorageConfig
	config.Codec = &sharingCodec{Codec: config.Codec}
	options.StorageConfig = &config
	return options, nil
}

type sharingCodec struct {
	runtime.Codec
	pool intern.Pool
}

// Decode decodes a lifecycle.
func (c *sharingCodec) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	object, kind, err := c.Codec.Decode(data, defaults, into)
	if lifecycle, ok := object.(*policy.PediaClusterLifecycle); ok && err == nil {
		c.pool.Share(lifecycle)
	}
	return object, kind, err
}
