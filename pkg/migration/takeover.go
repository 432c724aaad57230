package migration

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// APIServiceName is the name of the APIService that says who serves the group.
var APIServiceName = policyv1alpha1.SchemeGroupVersion.Version + "." + policyv1alpha1.GroupName

// APIServices is the resource of the APIService.
var APIServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// Waiting is why a storage is not served until the migration has come further.
type Waiting struct{ message string }

func (w *Waiting) Error() string { return w.message }

// Takeover takes an export over into a storage that was never served.
type Takeover struct {
	Kubernetes kubernetes.Interface
	Objects    dynamic.Interface
	// Namespace holds the export.
	Namespace string
	// Import writes the objects to storage, with their UIDs. It may be called
	// again with the same ones.
	Import func(ctx context.Context, objects []unstructured.Unstructured) error
}

// Run returns nil when nothing has to be taken over any more: there is no export,
// or it is in the storage of that id and the host sends the requests here. The
// error is a *Waiting as long as CRDs serve the group: what this server did
// meanwhile would be done twice.
func (t *Takeover) Run(ctx context.Context, storage types.UID) error {
	service, local, err := Serving(ctx, t.Objects)
	if err != nil {
		return err
	}
	objects, record, err := Read(ctx, t.Kubernetes, t.Namespace)
	switch {
	case err != nil:
		return err
	case record == nil && local:
		return &Waiting{fmt.Sprintf("CRDs on this host serve %s: move what they hold with `kubectl clusterimport migrate`, "+
			"or remove them if they hold nothing", policyv1alpha1.SchemeGroupVersion)}
	case record == nil:
		return nil
	case record.ImportedBy != storage && record.ImportedBy != "" && service:
		return &Waiting{fmt.Sprintf("what the CRDs held was taken over by the storage %s, and this is %s: bring that storage back",
			record.ImportedBy, storage)}
	case record.ImportedBy != storage:
		if err := t.Import(ctx, objects); err != nil {
			return fmt.Errorf("taking over what the CRDs held: %w", err)
		}
		if err := markImported(ctx, t.Kubernetes, t.Namespace, record, storage); err != nil {
			return err
		}
		klog.FromContext(ctx).Info("What the CRDs held is in storage", "objects", record.Objects, "storage", storage)
	}
	if !service {
		return &Waiting{fmt.Sprintf("the %d objects that the CRDs held are in storage; waiting for `kubectl clusterimport migrate` to lead %s here",
			record.Objects, policyv1alpha1.SchemeGroupVersion)}
	}
	return nil
}

// Serving reports whether the APIService leads to a service, or to the host
// itself, which is how CRDs are served. There may be none.
func Serving(ctx context.Context, client dynamic.Interface) (service, local bool, err error) {
	found, err := client.Resource(APIServices).Get(ctx, APIServiceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("reading who serves %s: %w", policyv1alpha1.SchemeGroupVersion, err)
	}
	spec, _, _ := unstructured.NestedMap(found.Object, "spec", "service")
	return spec != nil, spec == nil, nil
}
