package policy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterImportPolicy says how one type of object of a multi-cloud platform,
// the Source, becomes PediaClusters: which objects stand for a cluster, where
// their credentials lie, and the templates that turn both into a PediaCluster.
type ClusterImportPolicy struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   ClusterImportPolicySpec
	Status ClusterImportPolicyStatus
}

// ClusterImportPolicySpec is the import that the author of a policy wants.
type ClusterImportPolicySpec struct {
	Source       SourceType
	References   []ReferenceTemplate
	NameTemplate string
	Conversion
	MaxPrune *intstr.IntOrString
	Suspend  bool
	Rollout  *Rollout
}

// Rollout says how an edit of template, creationCondition and references
// reaches the imports of a policy.
type Rollout struct {
	First           *metav1.LabelSelector
	MaxConcurrent   *intstr.IntOrString
	Verify          RolloutVerification
	MinReadySeconds *int32
	Timeout         *string
	MaxFailures     *intstr.IntOrString
	Paused          bool
}

// RolloutVerification is what makes an import verified.
type RolloutVerification string

// What verifies an import.
const (
	VerifyWritten      RolloutVerification = "Written"
	VerifyClusterReady RolloutVerification = "ClusterReady"
)

// Conversion turns one Source and its references into a PediaCluster. A policy
// declares it, and each lifecycle records the one it was made with.
type Conversion struct {
	Template          string
	CreationCondition string
	DeletionCondition string
	DeletionPolicy    DeletionPolicy
}

// DeletionPolicy says what happens to a PediaCluster whose Source goes.
type DeletionPolicy string

// What the deletion policies do.
const (
	DeletionPolicyDelete DeletionPolicy = "Delete"
	DeletionPolicyOrphan DeletionPolicy = "Orphan"
)

// SourceType selects the objects that stand for clusters.
type SourceType struct {
	Group            string
	Resource         string
	Versions         []string
	LabelSelector    *metav1.LabelSelector
	SelectorTemplate string
}

// ReferenceTarget names an object of a type by templates.
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

// ClusterImportPolicyStatus is what became of a policy.
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

// PruneCount is a number of removals that were let go at a time.
type PruneCount struct {
	Time  metav1.Time
	Count int32
}

// RolloutStatus is how far the newest revision of a policy has come.
type RolloutStatus struct {
	Revision  string
	Updated   int32
	Verified  int32
	Failed    int32
	Total     int32
	StartTime *metav1.Time
}

// SourceFailure is a Source that failed or met a conflict, and why.
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

// SourceClaim says which policies are about to import the Sources of a type, by
// whose name it goes. It is stored, and not served.
type SourceClaim struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Holders []SourceHolder
}

// SourceHolder is a policy that is about to be written, or was a moment ago.
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

// StorageIdentity tells this storage from every other: its UID is the id of the
// storage. There is one, which is stored and not served.
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

// PediaClusterLifecycle is the record of one import: one per selected Source.
// It has the name of its PediaCluster, owns it, and is controlled by its
// policy. The server writes it; users may change its labels and annotations.
type PediaClusterLifecycle struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   PediaClusterLifecycleSpec
	Status PediaClusterLifecycleStatus
}

// PediaClusterLifecycleSpec is what is imported and how.
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

// DependentResource names one object.
type DependentResource struct {
	Group     string
	Version   string
	Resource  string
	Namespace string
	Name      string
}

// PediaClusterLifecycleStatus is what became of one import.
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

// LifecyclePhase is where an import stands.
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

// LifecycleRollout is which revision an import has, and what is known of it.
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

// CredentialsState is what can be said of credentials without showing them.
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
