package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RenderReview asks what a policy would do, and answers it. It is the body of
// the render subresources of policies and lifecycles; it is never stored, and
// nothing is written. Sources, references and PediaClusters are read with the
// permissions of whoever asks.
type RenderReview struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata. Its name, if set, is that of the
	// policy or lifecycle in the URL.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec asks. Empty asks for every Source of the policy.
	// +optional
	Spec RenderReviewSpec `json:"spec,omitempty"`

	// status answers.
	// +optional
	Status RenderReviewStatus `json:"status,omitempty"`
}

// RenderReviewSpec says what to render.
type RenderReviewSpec struct {
	// source is the one Source to render. Neither source nor sourceObject asks
	// for all Sources, page by page.
	// +optional
	Source *SourceName `json:"source,omitempty"`

	// sourceObject is a Source that need not exist: the whole object.
	// +optional
	SourceObject *runtime.RawExtension `json:"sourceObject,omitempty"`

	// references are objects to take for the references of the policy,
	// instead of those on the host.
	// +optional
	// +listType=map
	// +listMapKey=key
	References []ReferenceObject `json:"references,omitempty"`

	// policy is a spec to render instead of the stored one: it previews an
	// edit, or a policy that does not exist yet.
	// +optional
	Policy *ClusterImportPolicySpec `json:"policy,omitempty"`

	// includeCredentials shows the credentials of PediaClusters and the text of
	// conditions in the clear instead of digests.
	// +optional
	IncludeCredentials bool `json:"includeCredentials,omitempty"`

	// trace asks how the conditions came to their results. The values in the
	// answer are those that whoever asks may read.
	// +optional
	Trace bool `json:"trace,omitempty"`

	// limit is the most Sources to answer for at once. The default is 100, the
	// maximum 500.
	// +optional
	Limit int64 `json:"limit,omitempty"`

	// continue asks for the Sources after those of an earlier answer: the value
	// of its status.continue.
	// +optional
	Continue string `json:"continue,omitempty"`
}

// SourceName names a Source; its type is the policy's.
type SourceName struct {
	// namespace of the Source, empty for a type without namespaces.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the Source.
	Name string `json:"name"`
}

// ReferenceObject is an object given for a reference.
type ReferenceObject struct {
	// key is the key of the reference in the policy.
	Key string `json:"key"`
	// object is the whole object.
	Object runtime.RawExtension `json:"object"`
}

// RenderReviewStatus is the answer.
type RenderReviewStatus struct {
	// results are what would become of each Source.
	// +optional
	// +listType=atomic
	Results []RenderResult `json:"results,omitempty"`

	// totals count the results of this answer.
	// +optional
	Totals RenderTotals `json:"totals"`

	// continue, when set, asks for the Sources that follow.
	// +optional
	Continue string `json:"continue,omitempty"`
}

// RenderTotals counts results.
type RenderTotals struct {
	// sources is the number of results.
	// +optional
	Sources int32 `json:"sources"`
	// selected is the number of Sources that the policy selects.
	// +optional
	Selected int32 `json:"selected"`
	// actions counts the results by action.
	// +optional
	Actions map[RenderAction]int32 `json:"actions,omitempty"`
}

// RenderAction is what would be done about a PediaCluster.
// +enum
type RenderAction string

const (
	// RenderCreate creates the PediaCluster.
	RenderCreate RenderAction = "Create"
	// RenderUpdate changes endpoint, credentials or the marks of ownership.
	RenderUpdate RenderAction = "Update"
	// RenderDelete deletes the PediaCluster.
	RenderDelete RenderAction = "Delete"
	// RenderNone leaves the PediaCluster, or its absence, as it is.
	RenderNone RenderAction = "None"
	// RenderWait waits for a condition, a reference or a value.
	RenderWait RenderAction = "Wait"
	// RenderConflict does nothing, because name or Source belong to another import.
	RenderConflict RenderAction = "Conflict"
	// RenderError does nothing, because something is wrong.
	RenderError RenderAction = "Error"
)

// RenderResult is what would become of one Source.
type RenderResult struct {
	// source is the Source.
	Source SourceName `json:"source"`

	// selected says whether the selectors select the Source.
	Selected bool `json:"selected"`

	// name is the rendered name of the lifecycle and the PediaCluster.
	// +optional
	Name string `json:"name,omitempty"`

	// references are the references as they resolve, up to the first that
	// is missing.
	// +optional
	// +listType=atomic
	References []RenderedReference `json:"references,omitempty"`

	// creationCondition is the evaluated condition of the same name.
	// +optional
	CreationCondition *RenderedCondition `json:"creationCondition,omitempty"`

	// deletionCondition is the evaluated condition of the same name.
	// +optional
	DeletionCondition *RenderedCondition `json:"deletionCondition,omitempty"`

	// pediaCluster is the rendered PediaCluster. Credentials are digests,
	// comparable within one answer, unless they were asked for.
	// +optional
	PediaCluster *runtime.RawExtension `json:"pediaCluster,omitempty"`

	// action is what would be done about the PediaCluster.
	Action RenderAction `json:"action"`

	// reason is the cause in one CamelCase word, as in the conditions of a
	// lifecycle.
	// +optional
	Reason string `json:"reason,omitempty"`

	// message says why, and what to do.
	// +optional
	Message string `json:"message,omitempty"`

	// changed are the paths of the fields that an update would change.
	// +optional
	// +listType=atomic
	Changed []string `json:"changed,omitempty"`

	// errors are the errors of templates.
	// +optional
	// +listType=atomic
	Errors []TemplateError `json:"errors,omitempty"`

	// traces say how the conditions that were evaluated came to their results,
	// when spec.trace asks for it.
	// +optional
	// +listType=atomic
	Traces []ConditionTrace `json:"traces,omitempty"`
}

// ConditionTrace says how a condition came to its result.
type ConditionTrace struct {
	// field is the path of the condition in the policy, such as
	// spec.creationCondition.
	Field string `json:"field"`
	// why says in words and without values what kept the condition from being
	// true, innermost first. It is empty for a condition that is true, and where
	// the template alone does not tell.
	// +optional
	Why string `json:"why,omitempty"`
	// steps are the decisions that were made, in the order of the template: at
	// most 50.
	// +optional
	// +listType=atomic
	Steps []TraceStep `json:"steps,omitempty"`
}

// TraceStepKind is what a step decides about.
// +enum
type TraceStepKind string

const (
	// TraceIf is the condition of an if or a with, or an argument of and and or
	// in it.
	TraceIf TraceStepKind = "If"
	// TraceRange is what a range goes over.
	TraceRange TraceStepKind = "Range"
	// TracePrint is what an action prints.
	TracePrint TraceStepKind = "Print"
)

// TraceStep is one decision of a condition, over all its evaluations: inside of a
// range it is made for each item that gets there.
type TraceStep struct {
	// kind is what the step decides about.
	Kind TraceStepKind `json:"kind"`
	// line of the template, counted from 1.
	Line int32 `json:"line"`
	// column of the line, counted from 1.
	Column int32 `json:"column"`
	// template is the name of the defined template that the step is part of.
	// +optional
	Template string `json:"template,omitempty"`
	// expression is the decision as it is written in the policy.
	Expression string `json:"expression"`
	// evaluated is how often the decision was made.
	Evaluated int32 `json:"evaluated"`
	// held is how often it was true; of a range, how often it had items, and of
	// what is printed, how often that was "true".
	Held int32 `json:"held"`
	// items is the number of items of a range, over all evaluations.
	// +optional
	Items int32 `json:"items,omitempty"`
	// decided says that the condition could have been true if this step had gone
	// the other way.
	// +optional
	Decided bool `json:"decided,omitempty"`
	// values are what the paths in the expression led to, in the last evaluation
	// that decided, or else the last one.
	// +optional
	// +listType=atomic
	Values []TraceValue `json:"values,omitempty"`
}

// TraceValue is what a path in an expression led to.
type TraceValue struct {
	// expression is the path as it is written in the policy.
	Expression string `json:"expression"`
	// value is the value as JSON, or a description in parentheses: of what is
	// absent, of lists and maps, and of what may be a credential unless
	// credentials were asked for.
	Value string `json:"value"`
}

// RenderedReference is a reference as it resolves for one Source.
type RenderedReference struct {
	// key is the key of the reference in the policy.
	Key string `json:"key"`

	DependentResource `json:",inline"`

	// found says whether the object was found. An object that the caller may
	// not read counts as not found.
	Found bool `json:"found"`
}

// RenderedCondition is an evaluated condition.
type RenderedCondition struct {
	// holds says whether the condition is true.
	Holds bool `json:"holds"`
	// text is what the template rendered, blanks trimmed. What is neither true
	// nor false is shown by its length unless credentials were asked for.
	// +optional
	Text string `json:"text,omitempty"`
}

// TemplateError is an error of a template.
type TemplateError struct {
	// field is the path of the policy's field, such as
	// spec.references[0].nameTemplate.
	Field string `json:"field"`
	// line of the template, counted from 1.
	// +optional
	Line int32 `json:"line,omitempty"`
	// column of the line, counted from 1.
	// +optional
	Column int32 `json:"column,omitempty"`
	// expression is the part of the template that failed.
	// +optional
	Expression string `json:"expression,omitempty"`
	// message says what is wrong. It holds no value of a credential.
	Message string `json:"message"`
}
