package policy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterImportPolicy defines how objects of one type of a multi-cloud
// platform, the Sources, are imported as PediaClusters: which objects represent
// a cluster, where their credentials are stored, and the templates that render
// a PediaCluster from both.
type ClusterImportPolicy struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   ClusterImportPolicySpec
	Status ClusterImportPolicyStatus
}

// ClusterImportPolicySpec is the import that the author of a policy requests.
type ClusterImportPolicySpec struct {
	Source       SourceType
	References   []ReferenceTemplate
	NameTemplate string
	Conversion
	MaxPrune *intstr.IntOrString
	Suspend  bool
	Rollout  *Rollout
}

// Rollout defines how an edit of template, creationCondition and references
// is applied to the imports of a policy.
type Rollout struct {
	First           *metav1.LabelSelector
	MaxConcurrent   *intstr.IntOrString
	Verify          RolloutVerification
	MinReadySeconds *int32
	Timeout         *string
	MaxFailures     *intstr.IntOrString
	Paused          bool
}

// RolloutVerification defines when an import is verified.
type RolloutVerification string

// What verifies an import.
const (
	VerifyWritten      RolloutVerification = "Written"
	VerifyClusterReady RolloutVerification = "ClusterReady"
)

// Conversion renders a PediaCluster from one Source and its references. A
// policy declares it, and each lifecycle records the one that it was rendered
// with.
type Conversion struct {
	Template          string
	CreationCondition string
	DeletionCondition string
	DeletionPolicy    DeletionPolicy
}

// DeletionPolicy defines what happens to a PediaCluster whose Source is deleted.
type DeletionPolicy string

// What the deletion policies do.
const (
	DeletionPolicyDelete DeletionPolicy = "Delete"
	DeletionPolicyOrphan DeletionPolicy = "Orphan"
)

// SourceType selects the objects that represent clusters.
type SourceType struct {
	Group            string
	Resource         string
	Versions         []string
	LabelSelector    *metav1.LabelSelector
	SelectorTemplate string
}

// ReferenceTarget identifies an object of a type with templates.
type ReferenceTarget struct {
	Key               string
	Group             string
	Resource          string
	NamespaceTemplate *string
	NameTemplate      string
}

// ReferenceTemplate is an object that the templates of a policy read.
type ReferenceTemplate struct {
	ReferenceTarget
	Versions []string
}

// ClusterImportPolicyStatus is the observed state of a policy.
type ClusterImportPolicyStatus struct {
	ObservedGeneration int64
	SourceVersion      string
	ReferenceVersions  []ReferenceVersion
	Counts             ImportCounts
	Failures           []SourceFailure
	Prune              *PruneStatus
	Rollout            *RolloutStatus
	Conditions         []metav1.Condition
}

// ImportCounts counts the Sources of a policy.
type ImportCounts struct {
	Selected int32
	Created  int32
	Pending  int32
	Waiting  int32
	Imported int32
	Held     int32
	Conflict int32
	Failed   int32
	Deleting int32
}

// ReferenceVersion is the version of a reference that is read.
type ReferenceVersion struct {
	Key     string
	Version string
}

// PruneStatus is what maxPrune counts and holds.
type PruneStatus struct {
	Plan   string
	Held   int32
	Recent []PruneCount
}

// PruneCount is the number of removals that proceeded within one minute.
type PruneCount struct {
	Time  metav1.Time
	Count int32
}

// RolloutStatus is the progress of the newest revision of a policy.
type RolloutStatus struct {
	Revision  string
	Updated   int32
	Verified  int32
	Failed    int32
	Total     int32
	StartTime *metav1.Time
}

// SourceFailure is a Source that failed or has a conflict, and the reason.
type SourceFailure struct {
	Namespace string
	Name      string
	Reason    string
	Message   string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterImportPolicyList is a list of policies.
type ClusterImportPolicyList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []ClusterImportPolicy
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SourceClaim lists the policies that are about to import the Sources of a type.
// Its name is the name of the type. It is stored, and not served.
type SourceClaim struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Holders []SourceHolder
}

// SourceHolder is a policy that is about to be written, or was recently written.
type SourceHolder struct {
	Policy    string
	UID       types.UID
	Selective bool
	Time      metav1.Time
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SourceClaimList is a list of claims.
type SourceClaimList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []SourceClaim
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StorageIdentity identifies this storage: its UID is the id of the storage.
// There is exactly one, which is stored and not served.
type StorageIdentity struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Host types.UID
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StorageIdentityList is a list of identities.
type StorageIdentityList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []StorageIdentity
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// PediaClusterLifecycle is the record of one import. There is one for each
// selected Source. It has the name of its PediaCluster, owns it, and is
// controlled by its policy. The server writes it; users may change its labels
// and annotations.
type PediaClusterLifecycle struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   PediaClusterLifecycleSpec
	Status PediaClusterLifecycleStatus
}

// PediaClusterLifecycleSpec defines what is imported and how.
type PediaClusterLifecycleSpec struct {
	Source     DependentResource
	References []VersionedReferenceTemplate
	Conversion
}

// VersionedReferenceTemplate is an object that the templates of a lifecycle read.
type VersionedReferenceTemplate struct {
	ReferenceTarget
	Version string
}

// DependentResource identifies one object.
type DependentResource struct {
	Group     string
	Version   string
	Resource  string
	Namespace string
	Name      string
}

// PediaClusterLifecycleStatus is the observed state of one import.
type PediaClusterLifecycleStatus struct {
	ObservedGeneration int64
	Phase              LifecyclePhase
	SourceDefinition   types.UID
	References         []DependentResource
	Credentials        *CredentialsState
	PrunePlan          string
	Rollout            *LifecycleRollout
	LastResync         string
	Cluster            *ClusterState
	Conditions         []metav1.Condition
}

// LifecyclePhase is a summary of the state of an import.
type LifecyclePhase string

// The phases of a lifecycle.
const (
	LifecyclePending  LifecyclePhase = "Pending"
	LifecycleWaiting  LifecyclePhase = "Waiting"
	LifecycleImported LifecyclePhase = "Imported"
	LifecycleHeld     LifecyclePhase = "Held"
	LifecycleConflict LifecyclePhase = "Conflict"
	LifecycleFailed   LifecyclePhase = "Failed"
	LifecycleDeleting LifecyclePhase = "Deleting"
)

// LifecycleRollout is the revision of an import, and its verification.
type LifecycleRollout struct {
	Revision    string
	State       RolloutState
	Message     string
	TakenTime   *metav1.Time
	WrittenTime *metav1.Time
	ReadyTime   *metav1.Time
	Before      RolloutBefore
}

// RolloutState is what is known of a revision that an import has.
type RolloutState string

// The states of a revision.
const (
	RolloutUnverified RolloutState = "Unverified"
	RolloutVerified   RolloutState = "Verified"
	RolloutFailed     RolloutState = "Failed"
)

// RolloutBefore is what was known of an import before it took a revision.
type RolloutBefore string

// CredentialsState describes credentials without showing them.
type CredentialsState struct {
	ChangedTime    *metav1.Time
	ExpirationTime *metav1.Time
}

// ClusterState is the state of an imported cluster.
type ClusterState struct {
	Ready     string
	Version   string
	APIServer string
	Message   string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// PediaClusterLifecycleList is a list of lifecycles.
type PediaClusterLifecycleList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []PediaClusterLifecycle
}
