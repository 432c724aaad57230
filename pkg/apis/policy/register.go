package policy

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of this package.
const GroupName = "policy.clusterpedia.io"

// SchemeGroupVersion is the internal version of the group.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: runtime.APIVersionInternal}

var (
	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the internal types.
	AddToScheme = schemeBuilder.AddToScheme
)

// Kind returns the kind qualified by the group.
func Kind(kind string) schema.GroupKind {
	return SchemeGroupVersion.WithKind(kind).GroupKind()
}

// Resource returns the resource qualified by the group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&ClusterImportPolicy{},
		&ClusterImportPolicyList{},
		&PediaClusterLifecycle{},
		&PediaClusterLifecycleList{},
		&RenderReview{},
		&SourceClaim{},
		&SourceClaimList{},
		&StorageIdentity{},
		&StorageIdentityList{},
	)
	return nil
}
