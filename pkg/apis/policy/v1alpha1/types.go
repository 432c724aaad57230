package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:method=Render,verb=create,subresource=render,input=github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1.RenderReview,result=github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1.RenderReview
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterImportPolicy defines how objects of one type of a multi-cloud
// platform, the Sources, are imported as PediaClusters: which objects represent
// a cluster, where their credentials are stored, and the templates that render
// a PediaCluster from both.
type ClusterImportPolicy struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired import.
	Spec ClusterImportPolicySpec `json:"spec"`

	// status is the observed state of the policy. Only the server writes it.
	// +optional
	Status ClusterImportPolicyStatus `json:"status,omitempty"`
}

// ClusterImportPolicySpec is the import that the author of a policy requests.
type ClusterImportPolicySpec struct {
	// source is the type of the objects that represent clusters. Its group and
	// resource are immutable.
	Source SourceType `json:"source"`

	// references are other objects that the templates read, usually the Secret
	// with the credentials. They are resolved in order: each may use .source and
	// every earlier .references.<key>.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +patchStrategy=merge
	// +patchMergeKey=key
	References []ReferenceTemplate `json:"references,omitzero" patchStrategy:"merge" patchMergeKey:"key"`

	// nameTemplate renders the name of the lifecycle and of the PediaCluster. It
	// can read .source only. The result must be a DNS-1123 subdomain. If two
	// Sources render the same name, only one of them gets it.
	NameTemplate string `json:"nameTemplate"`

	Conversion `json:",inline"`

	// maxPrune is how many of this policy's PediaClusters may be removed within
	// ten minutes, not counting removals because the Source or the policy was
	// deleted: a number or a percentage, rounded down but at least 1. If the
	// policy would remove more, all of these removals are held until they are
	// released, see the PruneHeld condition. 0 holds every such removal. Defaults
	// to "10%".
	// +optional
	MaxPrune *intstr.IntOrString `json:"maxPrune,omitempty"`

	// suspend stops the import: while true, nothing is created, changed or
	// deleted, and the status says so. A lifecycle that a user deletes still
	// releases its PediaCluster.
	// +optional
	Suspend bool `json:"suspend"`

	// rollout applies an edit of template, creationCondition and references to
	// the imports in stages, and stops when the edit breaks clusters. Without it
	// an edit is applied to all imports immediately.
	// +optional
	Rollout *Rollout `json:"rollout,omitempty"`
}

// Rollout defines how an edit of template, creationCondition and references
// is applied to the imports of a policy.
type Rollout struct {
	// first selects the canaries by the labels of their Sources. The other
	// imports are updated when all canaries are verified. They are not updated if
	// a canary fails.
	// +optional
	First *LabelSelector `json:"first,omitempty"`

	// maxConcurrent is how many imports may be updated but not verified yet at
	// the same time: a number, or a percentage of the imports, rounded down but
	// at least 1. Defaults to "10%".
	// +optional
	MaxConcurrent *intstr.IntOrString `json:"maxConcurrent,omitempty"`

	// verify defines when an import is verified. "Written", the default, means
	// that the host has accepted its PediaCluster. "ClusterReady" means in
	// addition that a cluster that was ready before has been ready for
	// minReadySeconds since.
	// +optional
	Verify RolloutVerification `json:"verify,omitempty"`

	// minReadySeconds is how long a cluster must be ready after its PediaCluster
	// was written, if verify is "ClusterReady". Defaults to 30.
	// +optional
	MinReadySeconds *int32 `json:"minReadySeconds,omitempty"`

	// timeout is how long the verification of an import may take, such as "90s"
	// or "1h". After that time the import has failed. Defaults to "5m".
	// +optional
	Timeout *string `json:"timeout,omitempty"`

	// maxFailures is how many imports may fail without halting the rollout: a
	// number, or a percentage of the imports, rounded down. Any failure of a
	// canary halts the rollout. Defaults to "1%".
	// +optional
	MaxFailures *intstr.IntOrString `json:"maxFailures,omitempty"`

	// paused stops the rollout: while true, no further import is updated.
	// +optional
	Paused bool `json:"paused"`
}

// RolloutVerification defines when an import is verified.
// +enum
type RolloutVerification string

const (
	// VerifyWritten requires that the host has accepted the PediaCluster.
	VerifyWritten RolloutVerification = "Written"
	// VerifyClusterReady also requires that the cluster is ready, if it was
	// ready before.
	VerifyClusterReady RolloutVerification = "ClusterReady"
)

// Conversion renders a PediaCluster from one Source and its references. A
// policy declares it, and each lifecycle records the one that it was rendered
// with.
type Conversion struct {
	// template renders the PediaCluster as YAML: metadata.labels,
	// metadata.annotations and spec. It can read .source and .references.<key>.
	// Endpoint and credentials (spec.apiserver, kubeconfig, caData, tokenData,
	// certData, keyData) are always kept up to date. All other fields are set only
	// when the PediaCluster is created, and are then owned by users. While an
	// action prints nothing for a credential, none of these six fields changes:
	// put an optional credential inside an if or with.
	Template string `json:"template"`

	// creationCondition must render to "true" (case-insensitive, with surrounding
	// blanks removed) for the PediaCluster to be created. It is not evaluated
	// again while the PediaCluster exists. It can read .source and
	// .references.<key>.
	CreationCondition string `json:"creationCondition"`

	// deletionCondition deletes the PediaCluster while it renders to "true",
	// although the Source exists. The PediaCluster is created again only when
	// deletionCondition is no longer true and creationCondition is true. An error
	// in it deletes nothing. It can read .source and .references.<key>.
	// +optional
	DeletionCondition string `json:"deletionCondition"`

	// deletionPolicy defines what happens to the PediaClusters that this policy
	// created when their Source or the policy is deleted: "Delete", the default,
	// deletes them; "Orphan" keeps them, without an owner.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// DeletionPolicy defines what happens to a PediaCluster whose Source is deleted.
// +enum
type DeletionPolicy string

const (
	// DeletionPolicyDelete deletes the PediaCluster.
	DeletionPolicyDelete DeletionPolicy = "Delete"
	// DeletionPolicyOrphan keeps the PediaCluster, without an owner.
	DeletionPolicyOrphan DeletionPolicy = "Orphan"
)

// SourceType selects the objects that represent clusters.
type SourceType struct {
	// group is the API group of the Source, empty for the core group.
	Group string `json:"group"`

	// resource is the plural, lower-case name of the type, such as "clusters".
	Resource string `json:"resource"`

	// versions are the versions that the templates are written for, best
	// first: the first one that is served is read. Empty means the version
	// that the API server prefers.
	// +optional
	// +listType=atomic
	Versions []string `json:"versions,omitzero"`

	// labelSelector selects Sources by their labels. The API server evaluates it,
	// so it costs less than selectorTemplate.
	// +optional
	LabelSelector *LabelSelector `json:"labelSelector,omitempty"`

	// selectorTemplate must render to "true" (case-insensitive, with surrounding
	// blanks removed) for a Source to be imported. It can read .source only. Empty
	// selects all Sources. An error in it deletes nothing.
	// +optional
	SelectorTemplate string `json:"selectorTemplate"`
}

// LabelSelector selects objects by their labels, like the label selectors of
// other APIs: both fields must match, and an empty selector selects all objects.
// It is the type of k8s.io/apimachinery, except that explicitly empty fields are
// preserved.
// +structType=atomic
type LabelSelector struct {
	// matchLabels are labels and their required values.
	// +optional
	MatchLabels map[string]string `json:"matchLabels,omitzero"`

	// matchExpressions are requirements that labels must meet.
	// +optional
	// +listType=atomic
	MatchExpressions []LabelSelectorRequirement `json:"matchExpressions,omitzero"`
}

// LabelSelectorRequirement compares the value of a label with some values.
type LabelSelectorRequirement struct {
	// key is the key of the label.
	Key string `json:"key"`

	// operator is In, NotIn, Exists or DoesNotExist.
	Operator metav1.LabelSelectorOperator `json:"operator"`

	// values are compared with by In and NotIn. Must be empty for the others.
	// +optional
	// +listType=atomic
	Values []string `json:"values,omitzero"`
}

// ReferenceTarget identifies an object of a type with templates.
type ReferenceTarget struct {
	// key is the name by which templates read the object: .references.<key>.
	// Letters, digits and underscores, not starting with a digit.
	Key string `json:"key"`

	// group is the API group of the object, empty for the core group.
	Group string `json:"group"`

	// resource is the plural, lower-case name of the type, such as "secrets".
	Resource string `json:"resource"`

	// namespaceTemplate renders the namespace of the object. Empty for
	// cluster-scoped types. It can read .source and every earlier
	// .references.<key>.
	// +optional
	NamespaceTemplate *string `json:"namespaceTemplate,omitempty"`

	// nameTemplate renders the name of the object. It can read .source and every
	// earlier .references.<key>.
	NameTemplate string `json:"nameTemplate"`
}

// ReferenceTemplate is an object that the templates of a policy read.
type ReferenceTemplate struct {
	ReferenceTarget `json:",inline"`

	// versions are the versions that the templates are written for, best
	// first: the first one that is served is read. Empty means the version
	// that the API server prefers.
	// +optional
	// +listType=atomic
	Versions []string `json:"versions,omitzero"`
}

// ClusterImportPolicyStatus is the observed state of a policy.
type ClusterImportPolicyStatus struct {
	// observedGeneration is the generation of the spec that this status
	// describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// sourceVersion is the version of the Source that is read.
	// +optional
	SourceVersion string `json:"sourceVersion,omitempty"`

	// referenceVersions are the versions of the references that are read.
	// +optional
	// +listType=map
	// +listMapKey=key
	ReferenceVersions []ReferenceVersion `json:"referenceVersions,omitempty"`

	// counts are the numbers of Sources of this policy by their state.
	// +optional
	Counts ImportCounts `json:"counts,omitempty"`

	// failures are the first ten Sources, in the order of their names, that
	// failed or have a conflict, with or without a lifecycle.
	// +optional
	// +listType=atomic
	Failures []SourceFailure `json:"failures,omitempty"`

	// prune is what maxPrune counts and holds.
	// +optional
	Prune *PruneStatus `json:"prune,omitempty"`

	// rollout is the progress of the newest revision. Empty without spec.rollout.
	// +optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`

	// conditions are Ready, Validated, Reconciling, PruneHeld, RollingOut and
	// RolloutHalted.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ImportCounts counts the Sources of a policy.
type ImportCounts struct {
	// selected Sources are those that the policy selects.
	// +optional
	Selected int32 `json:"selected"`
	// created counts the Sources whose PediaCluster exists.
	// +optional
	Created int32 `json:"created"`
	// pending counts the Sources that have not been reconciled yet.
	// +optional
	Pending int32 `json:"pending"`
	// waiting counts the Sources that wait for a condition, a reference or a type.
	// +optional
	Waiting int32 `json:"waiting"`
	// imported counts the Sources whose PediaCluster is up to date.
	// +optional
	Imported int32 `json:"imported"`
	// held counts the Sources whose PediaCluster is kept unchanged until a user
	// decides.
	// +optional
	Held int32 `json:"held"`
	// conflict counts the Sources that belong, or whose name belongs, to another
	// import, with or without a lifecycle.
	// +optional
	Conflict int32 `json:"conflict"`
	// failed counts the Sources with an error, with or without a lifecycle.
	// +optional
	Failed int32 `json:"failed"`
	// deleting counts the Sources whose PediaCluster is being removed.
	// +optional
	Deleting int32 `json:"deleting"`
}

// ReferenceVersion is the version of a reference that is read.
type ReferenceVersion struct {
	// key is the key of the reference.
	Key string `json:"key"`
	// version is the version that is read.
	Version string `json:"version"`
}

// PruneStatus is what maxPrune counts and holds.
type PruneStatus struct {
	// plan identifies all removals that are held; it changes when they change.
	// The annotation policy.clusterpedia.io/release-prune with this value releases
	// them. Empty if none is held.
	// +optional
	Plan string `json:"plan,omitempty"`
	// held counts the PediaClusters whose removal is held.
	// +optional
	Held int32 `json:"held,omitempty"`
	// recent are the counted removals of the last ten minutes, oldest first.
	// +optional
	// +listType=atomic
	Recent []PruneCount `json:"recent,omitempty"`
}

// PruneCount is the number of removals that proceeded within one minute.
type PruneCount struct {
	// time is the time of the removals, to the minute.
	Time metav1.Time `json:"time"`
	// count is the number of removals.
	Count int32 `json:"count"`
}

// RolloutStatus is the progress of the newest revision of a policy.
type RolloutStatus struct {
	// revision is a hash of template, creationCondition and references.
	Revision string `json:"revision"`
	// updated counts the imports that have been updated to the revision.
	// +optional
	Updated int32 `json:"updated"`
	// verified counts the updated imports that are verified.
	// +optional
	Verified int32 `json:"verified"`
	// failed counts the updated imports that have failed.
	// +optional
	Failed int32 `json:"failed"`
	// total counts the imports that have been or can be updated to the revision.
	// An import that is paused or whose removal is held cannot be updated.
	// +optional
	Total int32 `json:"total"`
	// startTime is when the rollout of the revision began. Empty when every
	// import had it from the beginning.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
}

// SourceFailure is a Source that failed or has a conflict, and the reason.
type SourceFailure struct {
	// namespace of the Source, empty for a type without namespaces.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the Source.
	Name string `json:"name"`
	// reason is the cause in one CamelCase word.
	Reason string `json:"reason"`
	// message says what is wrong, and what to do.
	// +optional
	Message string `json:"message,omitempty"`
}

// Condition types of a ClusterImportPolicy.
const (
	// PolicyReady is true when every selected Source has the desired
	// PediaCluster, or waits for a condition of the policy.
	PolicyReady = "Ready"
	// PolicyValidated is true when the spec is valid and its types are served.
	PolicyValidated = "Validated"
	// PolicyReconciling is true while Sources are being reconciled.
	PolicyReconciling = "Reconciling"
	// PolicyPruneHeld is true while removals are held because there are more
	// than maxPrune allows.
	PolicyPruneHeld = "PruneHeld"
	// PolicyTemplatesFit is true when the templates match the types of the
	// objects that they read. It helps authors: nothing depends on it.
	PolicyTemplatesFit = "TemplatesFit"
	// PolicyRollingOut is true while imports are updated to the newest revision
	// in stages.
	PolicyRollingOut = "RollingOut"
	// PolicyRolloutHalted is true while no further import is updated to the
	// newest revision, because of failures or because the result of the rollout
	// cannot be determined.
	PolicyRolloutHalted = "RolloutHalted"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterImportPolicyList is a list of policies.
type ClusterImportPolicyList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the policies.
	Items []ClusterImportPolicy `json:"items"`
}

// +genclient
// +genclient:nonNamespaced
// +genclient:method=Render,verb=create,subresource=render,input=github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1.RenderReview,result=github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1.RenderReview
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// PediaClusterLifecycle is the record of one import. There is one for each
// selected Source. It has the name of its PediaCluster, owns it, and is
// controlled by its policy. The server writes it; users may change its labels
// and annotations.
type PediaClusterLifecycle struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec defines what is imported and how. Only the server writes it.
	// +structType=atomic
	Spec PediaClusterLifecycleSpec `json:"spec"`

	// status is the observed state of the import. Only the server writes it.
	// +optional
	// +structType=atomic
	Status PediaClusterLifecycleStatus `json:"status,omitempty"`
}

// PediaClusterLifecycleSpec defines what is imported and how.
type PediaClusterLifecycleSpec struct {
	// source is the object that represents the cluster.
	Source DependentResource `json:"source"`

	// references are the other objects that the templates read, with the
	// version that is read.
	// +optional
	// +listType=map
	// +listMapKey=key
	References []VersionedReferenceTemplate `json:"references,omitempty"`

	Conversion `json:",inline"`
}

// VersionedReferenceTemplate is an object that the templates of a lifecycle read.
type VersionedReferenceTemplate struct {
	ReferenceTarget `json:",inline"`

	// version is the version that is read.
	Version string `json:"version"`
}

// DependentResource identifies one object.
type DependentResource struct {
	// group is the API group of the object, empty for the core group.
	Group string `json:"group"`

	// version is the version that is read.
	Version string `json:"version"`

	// resource is the plural, lower-case name of the type.
	Resource string `json:"resource"`

	// namespace of the object, empty for a type without namespaces.
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// name of the object.
	Name string `json:"name"`
}

// PediaClusterLifecycleStatus is the observed state of one import.
type PediaClusterLifecycleStatus struct {
	// observedGeneration is the generation of the spec that this status
	// describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// phase is a summary of the state of the import: Pending, Waiting, Imported,
	// Held, Conflict, Failed or Deleting.
	// +optional
	Phase LifecyclePhase `json:"phase,omitempty"`

	// sourceDefinition is the UID of the CustomResourceDefinition of the Source
	// when it was last observed, empty for other types. A definition that is
	// created again has other objects: the absence of a Source then does not mean
	// that its cluster was deleted.
	// +optional
	SourceDefinition types.UID `json:"sourceDefinition,omitempty"`

	// references are the objects that the reference templates resolved to,
	// whether they exist or not.
	// +optional
	// +listType=atomic
	References []DependentResource `json:"references,omitempty"`

	// credentials describes the credentials in the PediaCluster without showing
	// them.
	// +optional
	Credentials *CredentialsState `json:"credentials,omitempty"`

	// prunePlan is the plan under which the removal of the PediaCluster is held,
	// see maxPrune of the policy. Empty if the removal is not held.
	// +optional
	PrunePlan string `json:"prunePlan,omitempty"`

	// rollout is the revision of the import, and whether it is verified. Empty if
	// the policy has no rollout.
	// +optional
	Rollout *LifecycleRollout `json:"rollout,omitempty"`

	// lastResync is the last value of the annotation
	// policy.clusterpedia.io/resync that was processed.
	// +optional
	LastResync string `json:"lastResync,omitempty"`

	// cluster is the state of the imported cluster, as reported by its
	// PediaCluster or by a probe.
	// +optional
	Cluster *ClusterState `json:"cluster,omitempty"`

	// conditions are Ready, Created, Updating and NameContended.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// LifecyclePhase is a summary of the state of an import.
// +enum
type LifecyclePhase string

const (
	// LifecyclePending means that the import is new and was not reconciled yet.
	LifecyclePending LifecyclePhase = "Pending"
	// LifecycleWaiting means that the import waits for a condition, a reference
	// or a type.
	LifecycleWaiting LifecyclePhase = "Waiting"
	// LifecycleImported means that the PediaCluster exists and is up to date.
	LifecycleImported LifecyclePhase = "Imported"
	// LifecycleHeld means that the PediaCluster is kept unchanged until a user
	// decides.
	LifecycleHeld LifecyclePhase = "Held"
	// LifecycleConflict means that the Source or the name belongs to another
	// import.
	LifecycleConflict LifecyclePhase = "Conflict"
	// LifecycleFailed means that an error occurred. Existing objects are kept
	// unchanged.
	LifecycleFailed LifecyclePhase = "Failed"
	// LifecycleDeleting means that the PediaCluster is being removed, and then
	// the lifecycle.
	LifecycleDeleting LifecyclePhase = "Deleting"
)

// LifecycleRollout is the revision of an import, and its verification.
type LifecycleRollout struct {
	// revision is a hash of template, creationCondition and references in spec.
	Revision string `json:"revision"`

	// state is Unverified, Verified or Failed. An import that has failed remains
	// Failed until it is updated to a newer revision.
	State RolloutState `json:"state"`

	// message says why the import has failed.
	// +optional
	Message string `json:"message,omitempty"`

	// takenTime is when the import was updated to the revision. Empty if it was
	// created with this revision.
	// +optional
	TakenTime *metav1.Time `json:"takenTime,omitempty"`

	// writtenTime is when the host first had the PediaCluster as rendered with
	// the revision.
	// +optional
	WrittenTime *metav1.Time `json:"writtenTime,omitempty"`

	// readyTime is since when the cluster has been ready after writtenTime.
	// +optional
	ReadyTime *metav1.Time `json:"readyTime,omitempty"`

	// before is the state of the import before it was updated to the revision, or
	// to the first revision since it was last verified: ClusterReady, Imported or
	// NotImported. The verification requires no better state than this.
	// +optional
	Before RolloutBefore `json:"before,omitempty"`
}

// RolloutState is the state of the verification of an import.
// +enum
type RolloutState string

const (
	// RolloutUnverified means that the import was updated and may still fail.
	RolloutUnverified RolloutState = "Unverified"
	// RolloutVerified means that the import meets spec.rollout.verify of the
	// policy.
	RolloutVerified RolloutState = "Verified"
	// RolloutFailed means that an error occurred, or that the import was not
	// verified in time.
	RolloutFailed RolloutState = "Failed"
)

// RolloutBefore is the state of an import before it was updated to a revision.
// +enum
type RolloutBefore string

const (
	// BeforeClusterReady means that the cluster was imported and ready.
	BeforeClusterReady RolloutBefore = "ClusterReady"
	// BeforeImported means that the cluster was imported and not known to be
	// ready.
	BeforeImported RolloutBefore = "Imported"
	// BeforeNotImported means that the cluster was not imported.
	BeforeNotImported RolloutBefore = "NotImported"
)

// CredentialsState describes credentials without showing them.
type CredentialsState struct {
	// changedTime is when endpoint or credentials of the PediaCluster were last
	// written. Empty if this server did not write them.
	// +optional
	ChangedTime *metav1.Time `json:"changedTime,omitempty"`

	// expirationTime is the earliest time at which the client certificate or the
	// token expires. Empty if neither has an expiration time.
	// +optional
	ExpirationTime *metav1.Time `json:"expirationTime,omitempty"`
}

// ClusterState is the state of an imported cluster.
type ClusterState struct {
	// ready says whether the cluster is ready: True, False or Unknown. Empty
	// until Clusterpedia has reported it, or the cluster was probed.
	// +optional
	Ready string `json:"ready,omitempty"`

	// version is the Kubernetes version of the cluster.
	// +optional
	Version string `json:"version,omitempty"`

	// apiServer is the address of the cluster's API server, without user
	// information, which is a credential.
	// +optional
	APIServer string `json:"apiServer,omitempty"`

	// message says why the cluster is not ready.
	// +optional
	Message string `json:"message,omitempty"`
}

// Condition types of a PediaClusterLifecycle.
const (
	// LifecycleReady is true when the PediaCluster exists and is up to date.
	LifecycleReady = "Ready"
	// LifecycleCreated is true when the PediaCluster exists.
	LifecycleCreated = "Created"
	// LifecycleUpdating is true when the PediaCluster differs from the desired
	// state and cannot be updated now.
	LifecycleUpdating = "Updating"
	// LifecycleNameContended is true for the lifecycle that keeps a name which
	// another Source also renders.
	LifecycleNameContended = "NameContended"
)

// Names that objects carry.
const (
	// Finalizer keeps policies and lifecycles until the objects that they created
	// are deleted or released.
	Finalizer = "policy.clusterpedia.io/cleanup"

	// CreatedForAnnotation marks a PediaCluster that this server created, with
	// the policy, resource, namespace and name of its Source:
	// <policy>/<resource>[.<group>]/<namespace>/<name>.
	CreatedForAnnotation = "policy.clusterpedia.io/created-for"

	// OrphanAnnotation on a policy or lifecycle that is being deleted orphans the
	// PediaClusters, independent of deletionPolicy. A delete with --cascade=orphan
	// sets it.
	OrphanAnnotation = "policy.clusterpedia.io/orphan"

	// RemovedAnnotation on a lifecycle that is being deleted says that this
	// server deletes it, not a user. If its Source exists again meanwhile, the
	// PediaCluster is retained for the next lifecycle.
	RemovedAnnotation = "policy.clusterpedia.io/removed-by-server"

	// ReleasePruneAnnotation on a policy releases the removals that are held under
	// the plan in its value, which status.prune.plan shows. The server then
	// removes the annotation.
	ReleasePruneAnnotation = "policy.clusterpedia.io/release-prune"

	// PausedAnnotation with the value "true" on a lifecycle stops the import of
	// this cluster: nothing is created, changed or deleted. If the policy or the
	// lifecycle itself is deleted, the PediaCluster is orphaned.
	PausedAnnotation = "policy.clusterpedia.io/paused"

	// ResyncAnnotation on a lifecycle causes an immediate reconciliation, with
	// objects read from the host again, whenever its value changes.
	ResyncAnnotation = "policy.clusterpedia.io/resync"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// PediaClusterLifecycleList is a list of lifecycles.
type PediaClusterLifecycleList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the lifecycles.
	Items []PediaClusterLifecycle `json:"items"`
}
