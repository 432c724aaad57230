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

// ClusterImportPolicy says how one type of object of a multi-cloud platform,
// the Source, becomes PediaClusters: which objects stand for a cluster, where
// their credentials lie, and the templates that turn both into a PediaCluster.
type ClusterImportPolicy struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the import that the author wants.
	Spec ClusterImportPolicySpec `json:"spec"`

	// status is what became of it. Written by the server.
	// +optional
	Status ClusterImportPolicyStatus `json:"status,omitempty"`
}

// ClusterImportPolicySpec is the import that the author of a policy wants.
type ClusterImportPolicySpec struct {
	// source is the type of object that stands for a cluster. Its group and
	// resource cannot be changed.
	Source SourceType `json:"source"`

	// references are the further objects that the templates read, usually the
	// Secret with the credentials. They are resolved in order: each may use
	// .source and every earlier .references.<key>.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +patchStrategy=merge
	// +patchMergeKey=key
	References []ReferenceTemplate `json:"references,omitzero" patchStrategy:"merge" patchMergeKey:"key"`

	// nameTemplate renders the name that the lifecycle and the PediaCluster
	// have in common. It sees .source only. The result must be a DNS-1123
	// subdomain; two Sources that render the same name do not both get it.
	NameTemplate string `json:"nameTemplate"`

	Conversion `json:",inline"`

	// maxPrune is how many of this policy's PediaClusters may be removed within
	// ten minutes for another cause than that their Source was deleted, or the
	// policy: a number or a percentage, rounded down but at least 1. When more
	// would go, all of them are held until somebody releases them, see the
	// PruneHeld condition. 0 holds every such removal. Defaults to "10%".
	// +optional
	MaxPrune *intstr.IntOrString `json:"maxPrune,omitempty"`

	// suspend stops the import: while true, nothing is created, changed or
	// deleted, and the status says so. A lifecycle that is deleted by hand
	// releases its PediaCluster all the same.
	// +optional
	Suspend bool `json:"suspend"`

	// rollout has an edit of template, creationCondition and references reach
	// the imports in turns, and stops it when it breaks clusters. Without it an
	// edit reaches all imports at once.
	// +optional
	Rollout *Rollout `json:"rollout,omitempty"`
}

// Rollout says how an edit of template, creationCondition and references
// reaches the imports of a policy.
type Rollout struct {
	// first selects the canaries by the labels of their Sources. The others
	// follow when all canaries are verified, and not if one of them fails.
	// +optional
	First *LabelSelector `json:"first,omitempty"`

	// maxConcurrent is how many imports may have taken an edit at a time without
	// being verified: a number, or a percentage of the imports, rounded down but
	// at least 1. Defaults to "10%".
	// +optional
	MaxConcurrent *intstr.IntOrString `json:"maxConcurrent,omitempty"`

	// verify is what makes an import verified: "Written", the default, when the
	// host has taken its PediaCluster; "ClusterReady" when in addition a cluster
	// that was ready before has been ready for minReadySeconds since.
	// +optional
	Verify RolloutVerification `json:"verify,omitempty"`

	// minReadySeconds is for how long a cluster must be ready after its
	// PediaCluster was written, with verify ClusterReady. Defaults to 30.
	// +optional
	MinReadySeconds *int32 `json:"minReadySeconds,omitempty"`

	// timeout is how long an import may take to be verified, such as "90s" or "1h".
	// After that it has failed. Defaults to "5m".
	// +optional
	Timeout *string `json:"timeout,omitempty"`

	// maxFailures is how many imports may fail before the rollout halts: a number,
	// or a percentage of the imports, rounded down. Any failure of a canary halts
	// it. Defaults to "1%".
	// +optional
	MaxFailures *intstr.IntOrString `json:"maxFailures,omitempty"`

	// paused stops the rollout: while true, no further import takes the edit.
	// +optional
	Paused bool `json:"paused"`
}

// RolloutVerification is what makes an import verified.
// +enum
type RolloutVerification string

const (
	// VerifyWritten asks that the host has taken the PediaCluster.
	VerifyWritten RolloutVerification = "Written"
	// VerifyClusterReady asks that the cluster is ready, too, if it was before.
	VerifyClusterReady RolloutVerification = "ClusterReady"
)

// Conversion turns one Source and its references into a PediaCluster. A policy
// declares it, and each lifecycle records the one it was made with.
type Conversion struct {
	// template renders the PediaCluster as YAML: metadata.labels,
	// metadata.annotations and spec. It sees .source and .references.<key>.
	// Endpoint and credentials (spec.apiserver, kubeconfig, caData, tokenData,
	// certData, keyData) follow it always; everything else is set when the
	// PediaCluster is created and belongs to its users from then on. While an
	// action prints nothing for a credential, none of these six changes: put a
	// credential that is optional inside an if or with.
	Template string `json:"template"`

	// creationCondition must render to "true" (in any case, blanks around it
	// trimmed) for the PediaCluster to be created. It is not asked again
	// while the PediaCluster exists. It sees .source and .references.<key>.
	CreationCondition string `json:"creationCondition"`

	// deletionCondition, when it renders to "true", deletes the PediaCluster
	// though its Source lives. The PediaCluster is created again only when
	// this stops being true and creationCondition is true. An error in it
	// deletes nothing. It sees .source and .references.<key>.
	// +optional
	DeletionCondition string `json:"deletionCondition"`

	// deletionPolicy says what happens to the PediaClusters this policy
	// created when their Source or the policy goes: "Delete", the default,
	// deletes them; "Orphan" leaves them to their users.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// DeletionPolicy says what happens to a PediaCluster whose Source goes.
// +enum
type DeletionPolicy string

const (
	// DeletionPolicyDelete deletes the PediaCluster.
	DeletionPolicyDelete DeletionPolicy = "Delete"
	// DeletionPolicyOrphan leaves the PediaCluster to its users.
	DeletionPolicyOrphan DeletionPolicy = "Orphan"
)

// SourceType selects the objects that stand for clusters.
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

	// labelSelector selects Sources by their labels, in the API server and so
	// at less cost than selectorTemplate.
	// +optional
	LabelSelector *LabelSelector `json:"labelSelector,omitempty"`

	// selectorTemplate must render to "true" (in any case, blanks around it
	// trimmed) for a Source to be imported. It sees .source only. Empty
	// selects all. An error in it deletes nothing.
	// +optional
	SelectorTemplate string `json:"selectorTemplate"`
}

// LabelSelector selects objects by their labels, as the label selectors of other
// APIs do: what both fields ask must hold, and an empty selector selects all. It is
// the type of k8s.io/apimachinery, except that an explicitly empty field stays one.
// +structType=atomic
type LabelSelector struct {
	// matchLabels are labels and their values.
	// +optional
	MatchLabels map[string]string `json:"matchLabels,omitzero"`

	// matchExpressions are requirements that a label has to meet.
	// +optional
	// +listType=atomic
	MatchExpressions []LabelSelectorRequirement `json:"matchExpressions,omitzero"`
}

// LabelSelectorRequirement relates the value of a label to some values.
type LabelSelectorRequirement struct {
	// key is the label.
	Key string `json:"key"`

	// operator is In, NotIn, Exists or DoesNotExist.
	Operator metav1.LabelSelectorOperator `json:"operator"`

	// values are those that In and NotIn compare with. Empty for the others.
	// +optional
	// +listType=atomic
	Values []string `json:"values,omitzero"`
}

// ReferenceTarget names an object of a type by templates.
type ReferenceTarget struct {
	// key is the name by which templates read the object: .references.<key>.
	// Letters, digits and underscores, not starting with a digit.
	Key string `json:"key"`

	// group is the API group of the object, empty for the core group.
	Group string `json:"group"`

	// resource is the plural, lower-case name of the type, such as "secrets".
	Resource string `json:"resource"`

	// namespaceTemplate renders the namespace of the object. Empty for types
	// without namespaces. It sees .source and every earlier .references.<key>.
	// +optional
	NamespaceTemplate *string `json:"namespaceTemplate,omitempty"`

	// nameTemplate renders the name of the object. It sees .source and every
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

// ClusterImportPolicyStatus is what became of a policy.
type ClusterImportPolicyStatus struct {
	// observedGeneration is the generation of the spec that this status
	// speaks of.
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

	// counts are the Sources of this policy by what became of them.
	// +optional
	Counts ImportCounts `json:"counts,omitempty"`

	// failures are the first ten Sources, in the order of their names, that
	// failed or met a conflict, with or without a lifecycle.
	// +optional
	// +listType=atomic
	Failures []SourceFailure `json:"failures,omitempty"`

	// prune is what maxPrune counts and holds.
	// +optional
	Prune *PruneStatus `json:"prune,omitempty"`

	// rollout is how far the newest revision has come. Empty without
	// spec.rollout.
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
	// pending counts the Sources that have not been worked on yet.
	// +optional
	Pending int32 `json:"pending"`
	// waiting counts the Sources that wait for a condition, a reference or a type.
	// +optional
	Waiting int32 `json:"waiting"`
	// imported counts the Sources whose PediaCluster is up to date.
	// +optional
	Imported int32 `json:"imported"`
	// held counts the Sources whose PediaCluster is kept as it is until somebody
	// decides.
	// +optional
	Held int32 `json:"held"`
	// conflict counts the Sources whose name or which themselves belong to
	// another import, with or without a lifecycle.
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
	// key is that of the reference.
	Key string `json:"key"`
	// version is the one that is read.
	Version string `json:"version"`
}

// PruneStatus is what maxPrune counts and holds.
type PruneStatus struct {
	// plan names the removals that are held, all of them together: it changes
	// with them. The annotation policy.clusterpedia.io/release-prune with this
	// value releases them. Empty when none is held.
	// +optional
	Plan string `json:"plan,omitempty"`
	// held counts the PediaClusters whose removal is held.
	// +optional
	Held int32 `json:"held,omitempty"`
	// recent are the removals of the last ten minutes that count, oldest first.
	// +optional
	// +listType=atomic
	Recent []PruneCount `json:"recent,omitempty"`
}

// PruneCount is a number of removals that were let go at a time.
type PruneCount struct {
	// time is when, to the minute.
	Time metav1.Time `json:"time"`
	// count is how many.
	Count int32 `json:"count"`
}

// RolloutStatus is how far the newest revision of a policy has come.
type RolloutStatus struct {
	// revision is a hash of template, creationCondition and references.
	Revision string `json:"revision"`
	// updated counts the imports that have taken the revision.
	// +optional
	Updated int32 `json:"updated"`
	// verified counts those of them that are verified.
	// +optional
	Verified int32 `json:"verified"`
	// failed counts those of them that have failed.
	// +optional
	Failed int32 `json:"failed"`
	// total counts the imports that have taken the revision or can take it. One
	// that is paused or whose removal is held cannot.
	// +optional
	Total int32 `json:"total"`
	// startTime is when the rollout of the revision began. Empty when every
	// import had it from the beginning.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
}

// SourceFailure is a Source that failed or met a conflict, and why.
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
	// PolicyReady is true when every selected Source has what the policy
	// wants for it, or waits for it as the policy says.
	PolicyReady = "Ready"
	// PolicyValidated is true when the spec is valid and its types are served.
	PolicyValidated = "Validated"
	// PolicyReconciling is true while Sources are being worked through.
	PolicyReconciling = "Reconciling"
	// PolicyPruneHeld is true while removals are held because they are more
	// than maxPrune allows.
	PolicyPruneHeld = "PruneHeld"
	// PolicyTemplatesFit is true when the templates fit the types of the objects
	// that they read. It is a help for authors: nothing depends on it.
	PolicyTemplatesFit = "TemplatesFit"
	// PolicyRollingOut is true while imports take the newest revision in turns.
	PolicyRollingOut = "RollingOut"
	// PolicyRolloutHalted is true while no further import takes the newest
	// revision, because of failures or since the rollout cannot be judged.
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

// PediaClusterLifecycle is the record of one import: one per selected Source.
// It has the name of its PediaCluster, owns it, and is controlled by its
// policy. The server writes it; users may change its labels and annotations.
type PediaClusterLifecycle struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is imported and how. Written by the server.
	// +structType=atomic
	Spec PediaClusterLifecycleSpec `json:"spec"`

	// status is what became of it. Written by the server.
	// +optional
	// +structType=atomic
	Status PediaClusterLifecycleStatus `json:"status,omitempty"`
}

// PediaClusterLifecycleSpec is what is imported and how.
type PediaClusterLifecycleSpec struct {
	// source is the object that stands for the cluster.
	Source DependentResource `json:"source"`

	// references are the further objects that the templates read, in the
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

// DependentResource names one object.
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

// PediaClusterLifecycleStatus is what became of one import.
type PediaClusterLifecycleStatus struct {
	// observedGeneration is the generation of the spec that this status
	// speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// phase is where the import stands, in one word: Pending, Waiting,
	// Imported, Held, Conflict, Failed or Deleting.
	// +optional
	Phase LifecyclePhase `json:"phase,omitempty"`

	// sourceDefinition is the UID of the CustomResourceDefinition under which
	// the Source was last seen, empty for other types. When the definition is
	// made again its objects are others: that they are absent then does not
	// mean that their clusters are gone.
	// +optional
	SourceDefinition types.UID `json:"sourceDefinition,omitempty"`

	// references are the objects that the reference templates resolved to,
	// whether they exist or not.
	// +optional
	// +listType=atomic
	References []DependentResource `json:"references,omitempty"`

	// credentials says what can be said of the credentials that the
	// PediaCluster carries without showing them.
	// +optional
	Credentials *CredentialsState `json:"credentials,omitempty"`

	// prunePlan is the plan under which the removal of the PediaCluster is
	// held, see maxPrune of the policy. Empty when it is not.
	// +optional
	PrunePlan string `json:"prunePlan,omitempty"`

	// rollout is which revision the import has, and whether that is verified.
	// Empty when the policy has no rollout.
	// +optional
	Rollout *LifecycleRollout `json:"rollout,omitempty"`

	// lastResync is the value of the annotation policy.clusterpedia.io/resync
	// that was last acted upon.
	// +optional
	LastResync string `json:"lastResync,omitempty"`

	// cluster is the state of the imported cluster, as its PediaCluster shows it
	// or as it answered when it was asked.
	// +optional
	Cluster *ClusterState `json:"cluster,omitempty"`

	// conditions are Ready, Created, Updating and NameContended.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// LifecyclePhase is where an import stands.
// +enum
type LifecyclePhase string

const (
	// LifecyclePending is new, and nothing was written of it yet.
	LifecyclePending LifecyclePhase = "Pending"
	// LifecycleWaiting waits for a condition, a reference or a type.
	LifecycleWaiting LifecyclePhase = "Waiting"
	// LifecycleImported has its PediaCluster, and it is up to date.
	LifecycleImported LifecyclePhase = "Imported"
	// LifecycleHeld keeps its PediaCluster as it is until somebody decides.
	LifecycleHeld LifecyclePhase = "Held"
	// LifecycleConflict cannot have its PediaCluster: it is somebody else's.
	LifecycleConflict LifecyclePhase = "Conflict"
	// LifecycleFailed met an error. What exists stays as it is.
	LifecycleFailed LifecyclePhase = "Failed"
	// LifecycleDeleting removes its PediaCluster, then itself.
	LifecycleDeleting LifecyclePhase = "Deleting"
)

// LifecycleRollout is which revision an import has, and what is known of it.
type LifecycleRollout struct {
	// revision is a hash of template, creationCondition and references in spec.
	Revision string `json:"revision"`

	// state is Unverified, Verified or Failed. An import that has failed stays so
	// until it takes a newer revision.
	State RolloutState `json:"state"`

	// message says why it has failed.
	// +optional
	Message string `json:"message,omitempty"`

	// takenTime is when the import took the revision. Empty when it had it from
	// the beginning.
	// +optional
	TakenTime *metav1.Time `json:"takenTime,omitempty"`

	// writtenTime is when the host first had what the revision makes of the
	// Source.
	// +optional
	WrittenTime *metav1.Time `json:"writtenTime,omitempty"`

	// readyTime is since when the cluster has been ready after that.
	// +optional
	ReadyTime *metav1.Time `json:"readyTime,omitempty"`

	// before is what was known of the import before it took the revision, or the
	// first one since it was last verified: ClusterReady, Imported or NotImported.
	// No more is asked of it now.
	// +optional
	Before RolloutBefore `json:"before,omitempty"`
}

// RolloutState is what is known of a revision that an import has.
// +enum
type RolloutState string

const (
	// RolloutUnverified has taken the revision, and may yet turn out to be broken.
	RolloutUnverified RolloutState = "Unverified"
	// RolloutVerified is as spec.rollout.verify of the policy asks.
	RolloutVerified RolloutState = "Verified"
	// RolloutFailed met an error, or was not verified in time.
	RolloutFailed RolloutState = "Failed"
)

// RolloutBefore is what was known of an import before it took a revision.
// +enum
type RolloutBefore string

const (
	// BeforeClusterReady was imported, and its cluster was ready.
	BeforeClusterReady RolloutBefore = "ClusterReady"
	// BeforeImported was imported, and its cluster was not known to be ready.
	BeforeImported RolloutBefore = "Imported"
	// BeforeNotImported was not imported.
	BeforeNotImported RolloutBefore = "NotImported"
)

// CredentialsState is what can be said of credentials without showing them.
type CredentialsState struct {
	// changedTime is when endpoint or credentials of the PediaCluster were last
	// written. Empty when this server did not write them.
	// +optional
	ChangedTime *metav1.Time `json:"changedTime,omitempty"`

	// expirationTime is the earliest time at which the client certificate or the
	// token expires. Empty when neither says so.
	// +optional
	ExpirationTime *metav1.Time `json:"expirationTime,omitempty"`
}

// ClusterState is the state of an imported cluster.
type ClusterState struct {
	// ready says whether the cluster answers: True, False or Unknown. Empty
	// until Clusterpedia has said so, or the cluster was asked.
	// +optional
	Ready string `json:"ready,omitempty"`

	// version is the Kubernetes version of the cluster.
	// +optional
	Version string `json:"version,omitempty"`

	// apiServer is the address of the cluster's API server, without a user part:
	// that is a credential.
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
	// LifecycleUpdating is true when the PediaCluster differs from what the
	// policy wants and cannot be brought in line now.
	LifecycleUpdating = "Updating"
	// LifecycleNameContended is true on the lifecycle that keeps a name which
	// another Source renders too.
	LifecycleNameContended = "NameContended"
)

// Names that objects carry.
const (
	// Finalizer keeps policies and lifecycles until what they made is gone or
	// released.
	Finalizer = "policy.clusterpedia.io/cleanup"

	// CreatedForAnnotation marks a PediaCluster that this server created, with
	// the policy, resource, namespace and name of its Source:
	// <policy>/<resource>[.<group>]/<namespace>/<name>.
	CreatedForAnnotation = "policy.clusterpedia.io/created-for"

	// OrphanAnnotation on a policy or lifecycle that is being deleted leaves
	// the PediaClusters to their users, whatever deletionPolicy says. A delete
	// with --cascade=orphan sets it.
	OrphanAnnotation = "policy.clusterpedia.io/orphan"

	// RemovedAnnotation on a lifecycle that is being deleted says that this
	// server deletes it, not a person. Should its Source come back meanwhile,
	// the PediaCluster is handed over to the next lifecycle.
	RemovedAnnotation = "policy.clusterpedia.io/removed-by-server"

	// ReleasePruneAnnotation on a policy lets the removals go that are held
	// under the plan it names, as status.prune.plan shows it. The server takes
	// it away when it has done so.
	ReleasePruneAnnotation = "policy.clusterpedia.io/release-prune"

	// PausedAnnotation with the value "true" on a lifecycle stops the import of
	// this one cluster: nothing is created, changed or deleted, unless the policy
	// or the lifecycle itself is deleted, which then leaves the PediaCluster to its
	// users.
	PausedAnnotation = "policy.clusterpedia.io/paused"

	// ResyncAnnotation on a lifecycle has the import worked on at once, on facts
	// read from the host again, whenever its value changes.
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
