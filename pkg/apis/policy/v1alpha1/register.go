package v1alpha1

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of this package.
const GroupName = "policy.clusterpedia.io"

// SchemeGroupVersion is the group and version of this package.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

var (
	// SchemeBuilder collects what registers this version; generated code adds to it.
	SchemeBuilder      = runtime.NewSchemeBuilder(addKnownTypes, addDefaultingFuncs, addFieldLabelConversions)
	localSchemeBuilder = &SchemeBuilder

	// AddToScheme registers the types, defaults, conversions and field labels.
	AddToScheme = SchemeBuilder.AddToScheme
)

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
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}

// Field labels by which lifecycles can be selected, beside metadata.name.
const (
	FieldPolicy          = "policy"
	FieldSourceGroup     = "spec.source.group"
	FieldSourceResource  = "spec.source.resource"
	FieldSourceNamespace = "spec.source.namespace"
	FieldSourceName      = "spec.source.name"
	FieldPhase           = "status.phase"
)

func addFieldLabelConversions(scheme *runtime.Scheme) error {
	kind := SchemeGroupVersion.WithKind("PediaClusterLifecycle")
	return scheme.AddFieldLabelConversionFunc(kind, func(label, value string) (string, string, error) {
		switch label {
		case "metadata.name", FieldPolicy, FieldSourceGroup, FieldSourceResource, FieldSourceNamespace, FieldSourceName, FieldPhase:
			return label, value, nil
		default:
			return "", "", fmt.Errorf("%q is not a known field selector; known are metadata.name, %s, %s, %s, %s, %s and %s",
				label, FieldPolicy, FieldSourceGroup, FieldSourceResource, FieldSourceNamespace, FieldSourceName, FieldPhase)
		}
	})
}
