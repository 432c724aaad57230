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
	"k8s.io/klog/v2"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// APIServiceName is the name of the APIService that says who serves the group.
var APIServiceName = policyv1alpha1.SchemeGroupVersion.Version + "." + policyv1alpha1.GroupName

// The types that say who serves the group.
var (
	APIServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	Definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// NotMigrated is part of what a server tells that has never served the group and
// finds CRDs of it.
const NotMigrated = "migrate its objects with `kubectl clusterimport migrate`"

// Waiting is why a storage is not served until the migration has come further.
type Waiting struct{ message string }

func (w *Waiting) Error() string { return w.message }

// Takeover takes an export over into a storage that was never served.
type Takeover struct {
	Kubernetes Client
	Objects    dynamic.Interface
	// Namespace holds the export.
	Namespace string
	// Import writes the objects to storage, with their UIDs. It may be called
	// again with the same ones. With replace, others that are there are left from
	// an earlier call, and removed.
	Import func(ctx context.Context, objects []unstructured.Unstructured, replace bool) error
}

// Run returns nil when nothing has to be taken over any more: there is no export,
// or it is in the storage of that id and the host sends the requests here. The
// error is a *Waiting before that: nothing is imported until the CRDs no longer
// serve the group.
func (t *Takeover) Run(ctx context.Context, storage types.UID) error {
	switched, err := Switched(ctx, t.Objects)
	if err != nil {
		return err
	}
	definition, err := t.defined(ctx)
	if err != nil {
		return err
	}
	objects, record, err := Read(ctx, t.Kubernetes, t.Namespace)
	switch {
	case err != nil:
		return err
	case record == nil && definition != "":
		return &Waiting{fmt.Sprintf("the host has the CRD %s of a Clusterpedia installation: %s", definition, NotMigrated)}
	case record == nil:
		return nil
	case record.ImportedBy != storage && record.ImportedBy != "" && switched:
		return &Waiting{fmt.Sprintf("the objects of the CRDs were imported into the storage %s, and this is %s: use that storage",
			record.ImportedBy, storage)}
	case record.ImportedBy != storage:
		if err := t.Import(ctx, objects, record.Replaces == storage); err != nil {
			return fmt.Errorf("importing the objects of the CRDs: %w", err)
		}
		if err := markImported(ctx, t.Kubernetes, t.Namespace, record, storage); err != nil {
			return err
		}
		klog.FromContext(ctx).Info("The objects of the CRDs are in storage", "objects", record.Objects, "storage", storage)
	}
	if !switched {
		return &Waiting{fmt.Sprintf("the %d objects of the CRDs are in storage; waiting for `kubectl clusterimport migrate` to point %s to this server",
			record.Objects, policyv1alpha1.SchemeGroupVersion)}
	}
	return nil
}

// Switched reports whether the APIService leads to a service, and no longer to the
// CRDs of the host.
func Switched(ctx context.Context, client dynamic.Interface) (bool, error) {
	service, err := ServedBy(ctx, client)
	return service != nil, err
}

// ServedBy returns the service to which the APIService leads, nil when it leads to
// none.
func ServedBy(ctx context.Context, client dynamic.Interface) (*types.NamespacedName, error) {
	found, err := client.Resource(APIServices).Get(ctx, APIServiceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading who serves %s: %w", policyv1alpha1.SchemeGroupVersion, err)
	}
	service, _, _ := unstructured.NestedMap(found.Object, "spec", "service")
	if service == nil {
		return nil, nil
	}
	namespace, _ := service["namespace"].(string)
	name, _ := service["name"].(string)
	return &types.NamespacedName{Namespace: namespace, Name: name}, nil
}

// defined returns the name of a CRD of the group that is there, or nothing.
func (t *Takeover) defined(ctx context.Context) (string, error) {
	for _, resource := range []string{"clusterimportpolicies", "pediaclusterlifecycles"} {
		_, err := t.Objects.Resource(Definitions).Get(ctx, DefinitionName(resource), metav1.GetOptions{})
		if err == nil {
			return DefinitionName(resource), nil
		}
		if !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("looking for CRDs of %s: %w", policyv1alpha1.GroupName, err)
		}
	}
	return "", nil
}

// DefinitionName is the name of the CRD of a resource.
func DefinitionName(resource string) string { return resource + "." + policyv1alpha1.GroupName }
