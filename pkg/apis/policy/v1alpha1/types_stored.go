package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SourceClaim lists the policies that are about to import the Sources of a type.
// Its name is the name of the type. It is stored, and not served.
type SourceClaim struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// holders are the policies.
	// +optional
	// +listType=atomic
	Holders []SourceHolder `json:"holders,omitempty"`
}

// SourceHolder is a policy that is about to be written, or was recently written.
type SourceHolder struct {
	// policy is its name.
	Policy string `json:"policy"`
	// uid is its UID.
	UID types.UID `json:"uid"`
	// selective says whether it has a selectorTemplate.
	Selective bool `json:"selective"`
	// time is when the claim was made.
	Time metav1.Time `json:"time"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SourceClaimList is a list of claims.
type SourceClaimList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the claims.
	Items []SourceClaim `json:"items"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StorageIdentity identifies this storage: its UID is the id of the storage.
// There is exactly one, which is stored and not served.
type StorageIdentity struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// host is the UID of the namespace kube-system of the host cluster that this
	// storage is for, empty until it has been served there.
	// +optional
	Host types.UID `json:"host,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StorageIdentityList is a list of identities.
type StorageIdentityList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the identities.
	Items []StorageIdentity `json:"items"`
}
