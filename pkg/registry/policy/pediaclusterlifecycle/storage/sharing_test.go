package storage

import (
	"testing"
	"unsafe"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/install"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

type fixedOptions struct{ codec runtime.Codec }

func (f fixedOptions) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	config := &storagebackend.Config{Codec: f.codec}
	return generic.RESTOptions{StorageConfig: config.ForResource(resource)}, nil
}

func TestLifecyclesOutOfStorageShareTheTemplatesOfTheirPolicy(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codec := serializer.NewCodecFactory(scheme).LegacyCodec(policyv1alpha1.SchemeGroupVersion)
	options, err := sharing{fixedOptions{codec}}.GetRESTOptions(policy.Resource("pediaclusterlifecycles"), nil)
	if err != nil {
		t.Fatal(err)
	}
	decoded := func() *policy.PediaClusterLifecycle {
		t.Helper()
		object, err := runtime.Decode(options.StorageConfig.Codec, []byte(`{"apiVersion":"policy.clusterpedia.io/v1alpha1","kind":"PediaClusterLifecycle","spec":{"template":"spec: {}"}}`))
		if err != nil {
			t.Fatal(err)
		}
		return object.(*policy.PediaClusterLifecycle)
	}
	one, two := decoded(), decoded()
	if one.Spec.Template != "spec: {}" || unsafe.StringData(one.Spec.Template) != unsafe.StringData(two.Spec.Template) {
		t.Errorf("%q and %q are not one", one.Spec.Template, two.Spec.Template)
	}
}
