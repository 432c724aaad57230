package v1alpha1

// Reasons of the conditions of a lifecycle.
const (
	// ReasonCreated: the PediaCluster was created for this lifecycle.
	ReasonCreated = "PediaClusterCreated"
	// ReasonExisted: the PediaCluster was there first. Its endpoint and
	// credentials follow the policy; it survives its Source.
	ReasonExisted = "PediaClusterExisted"
	// ReasonUpToDate: the PediaCluster is what the policy wants.
	ReasonUpToDate = "UpToDate"
	// ReasonWaitingForCondition: creationCondition does not render to true yet.
	ReasonWaitingForCondition = "WaitingForCondition"
	// ReasonWaitingForReference: a reference does not exist yet, or no longer.
	ReasonWaitingForReference = "WaitingForReference"
	// ReasonWaitingForValue: a template reads a value that does not exist yet.
	ReasonWaitingForValue = "WaitingForValue"
	// ReasonWaitingForType: a type that the policy names is not served.
	ReasonWaitingForType = "WaitingForType"
	// ReasonNoEndpoint: the template renders neither apiserver nor kubeconfig.
	ReasonNoEndpoint = "NoEndpoint"
	// ReasonCredentialsMissing: the template writes a credential and prints
	// nothing for it. What the PediaCluster has stays.
	ReasonCredentialsMissing = "CredentialsMissing"
	// ReasonDeletionConditionMet: deletionCondition renders to true.
	ReasonDeletionConditionMet = "DeletionConditionMet"
	// ReasonTemplateFailed: a template ended with an error.
	ReasonTemplateFailed = "TemplateFailed"
	// ReasonInvalidPediaCluster: what the template renders is no PediaCluster,
	// or the host refuses it, or would.
	ReasonInvalidPediaCluster = "InvalidPediaCluster"
	// ReasonReferenceUnavailable: a reference cannot be read now.
	ReasonReferenceUnavailable = "ReferenceUnavailable"
	// ReasonNameTaken: the name belongs to another Source or to a PediaCluster
	// made for another one.
	ReasonNameTaken = "NameTaken"
	// ReasonSourceTaken: another policy has imported this Source.
	ReasonSourceTaken = "SourceTaken"
	// ReasonInvalidName: nameTemplate renders no usable name.
	ReasonInvalidName = "InvalidName"
	// ReasonSelectorFailed: selectorTemplate ended with an error.
	ReasonSelectorFailed = "SelectorFailed"
	// ReasonPediaClusterDeleting: the PediaCluster is being deleted; it is made
	// again when it is gone.
	ReasonPediaClusterDeleting = "PediaClusterDeleting"
	// ReasonHostUnavailable: the host did not take a write; it is tried again.
	ReasonHostUnavailable = "HostUnavailable"
	// ReasonSourceGone: the Source was deleted.
	ReasonSourceGone = "SourceGone"
	// ReasonSourceTypeLost: the Source went with the definition of its type,
	// which says nothing of the cluster that it stood for.
	ReasonSourceTypeLost = "SourceTypeLost"
	// ReasonSourceDeselected: the selectors no longer select the Source.
	ReasonSourceDeselected = "SourceDeselected"
	// ReasonPolicyDeleted: the policy is being deleted.
	ReasonPolicyDeleted = "PolicyDeleted"
	// ReasonReleased: the lifecycle was deleted by hand; its PediaCluster stays.
	ReasonReleased = "Released"
	// ReasonRenamed: nameTemplate renders another name now.
	ReasonRenamed = "Renamed"
	// ReasonSourceNotFound: there is no such Source, as far as the one who asks
	// for a render may know.
	ReasonSourceNotFound = "SourceNotFound"
	// ReasonPruneHeld: more PediaClusters would be removed than maxPrune allows.
	ReasonPruneHeld = "PruneHeld"
	// ReasonPaused: an annotation on the lifecycle stops this import.
	ReasonPaused = "Paused"
	// ReasonNameFree: no other Source renders the name of this lifecycle.
	ReasonNameFree = "NameFree"
	// ReasonPending: the object is new, and nobody has worked on it yet.
	ReasonPending = "Pending"
)

// Reasons of the conditions of a policy.
const (
	// ReasonValid: the spec is valid and every type in it is served.
	ReasonValid = "Valid"
	// ReasonSourceTypeNotServed: the host does not serve the Source's type.
	ReasonSourceTypeNotServed = "SourceTypeNotServed"
	// ReasonReferenceTypeNotServed: the host does not serve a reference's type.
	ReasonReferenceTypeNotServed = "ReferenceTypeNotServed"
	// ReasonPediaClusterTypeNotServed: the host has no PediaCluster CRD.
	ReasonPediaClusterTypeNotServed = "PediaClusterTypeNotServed"
	// ReasonSourcesUnavailable: the Sources cannot be listed now.
	ReasonSourcesUnavailable = "SourcesUnavailable"
	// ReasonReferencesUnavailable: the objects of a reference's type cannot be
	// listed now.
	ReasonReferencesUnavailable = "ReferencesUnavailable"
	// ReasonImporting: Sources are being worked through.
	ReasonImporting = "Importing"
	// ReasonImported: every selected Source has been worked through.
	ReasonImported = "Imported"
	// ReasonNothingHeld: no removal is held by maxPrune.
	ReasonNothingHeld = "NothingHeld"
	// ReasonFailures: some Sources failed or are held.
	ReasonFailures = "Failures"
	// ReasonTypesFit: every field that the templates read exists.
	ReasonTypesFit = "TypesFit"
	// ReasonTypesDiffer: the templates read a field that its type does not have,
	// or use it as something that it is not.
	ReasonTypesDiffer = "TypesDiffer"
	// ReasonTypesUnknown: the host does not say which fields a type has.
	ReasonTypesUnknown = "TypesUnknown"
	// ReasonRollingOut: imports take the newest revision in turns.
	ReasonRollingOut = "RollingOut"
	// ReasonRolledOut: every import that can has the newest revision.
	ReasonRolledOut = "RolledOut"
	// ReasonRolloutPaused: spec.rollout.paused stops the rollout.
	ReasonRolloutPaused = "RolloutPaused"
	// ReasonRolloutFailed: more imports have failed with the newest revision than
	// spec.rollout.maxFailures allows, or a canary has.
	ReasonRolloutFailed = "RolloutFailed"
	// ReasonNoCanaries: spec.rollout.first selects no import that can take the newest
	// revision.
	ReasonNoCanaries = "NoCanaries"
	// ReasonReadinessUnknown: verify is ClusterReady, and nobody says of any
	// cluster whether it is ready.
	ReasonReadinessUnknown = "ReadinessUnknown"
	// ReasonNotHalted: the rollout is not halted.
	ReasonNotHalted = "NotHalted"
	// ReasonSuspended: spec.suspend stops the policy.
	ReasonSuspended = "Suspended"
)
