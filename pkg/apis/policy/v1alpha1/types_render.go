package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RenderReview requests what a policy would do, and returns the result. It is
// the body of the render subresources of policies and lifecycles. It is never
// stored, and nothing is written. Sources, references and PediaClusters are read
// with the permissions of the caller.
type RenderReview struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata. Its name, if set, is that of the
	// policy or lifecycle in the URL.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the request. Empty requests every Source of the policy.
	// +optional
	Spec RenderReviewSpec `json:"spec,omitempty"`

	// status is the response.
	// +optional
	Status RenderReviewStatus `json:"status,omitempty"`
}

// RenderReviewSpec defines what to render.
type RenderReviewSpec struct {
	// source is the Source to render. If neither source nor sourceObject is set,
	// all Sources are rendered, in pages.
	// +optional
	Source *SourceName `json:"source,omitempty"`

	// sourceObject is a complete Source object, which does not need to exist.
	// +optional
	SourceObject *runtime.RawExtension `json:"sourceObject,omitempty"`

	// references are objects to use for the references of the policy, instead of
	// those on the host.
	// +optional
	// +listType=map
	// +listMapKey=key
	References []ReferenceObject `json:"references,omitempty"`

	// policy is a spec to render instead of the stored one, to preview an edit or
	// a policy that does not exist yet.
	// +optional
	Policy *ClusterImportPolicySpec `json:"policy,omitempty"`

	// includeCredentials shows the credentials of PediaClusters and the text of
	// conditions in plain text instead of digests.
	// +optional
	IncludeCredentials bool `json:"includeCredentials,omitempty"`

	// trace requests an explanation of the results of the conditions. The
	// response contains only values that the caller may read.
	// +optional
	Trace bool `json:"trace,omitempty"`

	// limit is the maximum number of Sources in the response. The default is 100,
	// the maximum 500.
	// +optional
	Limit int64 `json:"limit,omitempty"`

	// continue requests the Sources after those of an earlier response. It is the
	// value of status.continue in that response.
	// +optional
	Continue string `json:"continue,omitempty"`
}

// SourceName identifies a Source of the policy's Source type.
type SourceName struct {
	// namespace of the Source, empty for a type without namespaces.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the Source.
	Name string `json:"name"`
}

// ReferenceObject is an object to use for a reference.
type ReferenceObject struct {
	// key is the key of the reference in the policy.
	Key string `json:"key"`
	// object is the complete object.
	Object runtime.RawExtension `json:"object"`
}

// RenderReviewStatus is the response.
type RenderReviewStatus struct {
	// results has one result for each Source.
	// +optional
	// +listType=atomic
	Results []RenderResult `json:"results,omitempty"`

	// totals count the results in this response.
	// +optional
	Totals RenderTotals `json:"totals"`

	// continue is set if there are more Sources. Use it as spec.continue of the
	// next request.
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

// RenderAction is what would happen to a PediaCluster.
// +enum
type RenderAction string

const (
	// RenderCreate creates the PediaCluster.
	RenderCreate RenderAction = "Create"
	// RenderUpdate changes the endpoint, the credentials or the ownership.
	RenderUpdate RenderAction = "Update"
	// RenderDelete deletes the PediaCluster.
	RenderDelete RenderAction = "Delete"
	// RenderNone changes nothing.
	RenderNone RenderAction = "None"
	// RenderWait waits for a condition, a reference or a value.
	RenderWait RenderAction = "Wait"
	// RenderConflict does nothing, because the name or the Source belongs to
	// another import.
	RenderConflict RenderAction = "Conflict"
	// RenderError does nothing, because there is an error.
	RenderError RenderAction = "Error"
)

// RenderResult is the result for one Source.
type RenderResult struct {
	// source is the Source.
	Source SourceName `json:"source"`

	// selected says whether the selectors select the Source.
	Selected bool `json:"selected"`

	// name is the rendered name of the lifecycle and the PediaCluster.
	// +optional
	Name string `json:"name,omitempty"`

	// references are the resolved references, up to the first one that is
	// missing.
	// +optional
	// +listType=atomic
	References []RenderedReference `json:"references,omitempty"`

	// creationCondition is the evaluated condition of the same name.
	// +optional
	CreationCondition *RenderedCondition `json:"creationCondition,omitempty"`

	// deletionCondition is the evaluated condition of the same name.
	// +optional
	DeletionCondition *RenderedCondition `json:"deletionCondition,omitempty"`

	// pediaCluster is the rendered PediaCluster. Credentials are digests, which
	// are comparable within one response, unless includeCredentials is set.
	// +optional
	PediaCluster *runtime.RawExtension `json:"pediaCluster,omitempty"`

	// action is what would happen to the PediaCluster.
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

	// traces explain the results of the evaluated conditions, if spec.trace is
	// set.
	// +optional
	// +listType=atomic
	Traces []ConditionTrace `json:"traces,omitempty"`
}

// ConditionTrace explains the result of a condition.
type ConditionTrace struct {
	// field is the path of the condition in the policy, such as
	// spec.creationCondition.
	Field string `json:"field"`
	// why describes, without values, what prevented the condition from being
	// true, innermost first. It is empty for a condition that is true, and if the
	// template alone does not show the reason.
	// +optional
	Why string `json:"why,omitempty"`
	// steps are the decisions of the template, in its order. At most 50 are
	// returned.
	// +optional
	// +listType=atomic
	Steps []TraceStep `json:"steps,omitempty"`
}

// TraceStepKind is the kind of a step.
// +enum
type TraceStepKind string

const (
	// TraceIf is the condition of an if or a with, or an argument of and and or
	// in it.
	TraceIf TraceStepKind = "If"
	// TraceRange is the value that a range iterates over.
	TraceRange TraceStepKind = "Range"
	// TracePrint is the output of an action.
	TracePrint TraceStepKind = "Print"
)

// TraceStep is one decision of a condition, with all its evaluations: inside a
// range it is evaluated for each item that reaches it.
type TraceStep struct {
	// kind is the kind of the step.
	Kind TraceStepKind `json:"kind"`
	// line of the template, counted from 1.
	Line int32 `json:"line"`
	// column of the line, counted from 1.
	Column int32 `json:"column"`
	// template is the name of the defined template that contains the step.
	// +optional
	Template string `json:"template,omitempty"`
	// expression is the text of the step in the policy.
	Expression string `json:"expression"`
	// evaluated is how often the step was evaluated.
	Evaluated int32 `json:"evaluated"`
	// held is how often the step was true. For a range it is how often the range
	// had items, and for an action how often it printed "true".
	Held int32 `json:"held"`
	// items is the number of items of a range, in all evaluations.
	// +optional
	Items int32 `json:"items,omitempty"`
	// decided says that the condition could have been true with another result
	// of this step.
	// +optional
	Decided bool `json:"decided,omitempty"`
	// values are the values of the paths in the expression, in the last
	// evaluation that decided, or else in the last one.
	// +optional
	// +listType=atomic
	Values []TraceValue `json:"values,omitempty"`
}

// TraceValue is the value of a path in an expression.
type TraceValue struct {
	// expression is the text of the path in the policy.
	Expression string `json:"expression"`
	// value is the value as JSON, or a description in parentheses for absent
	// values, lists and maps, and for possible credentials unless
	// includeCredentials is set.
	Value string `json:"value"`
}

// RenderedReference is a reference resolved for one Source.
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
	// text is the output of the template, with surrounding blanks removed. Text
	// other than "true" and "false" is replaced by its length unless
	// includeCredentials is set.
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
	// message describes the error. It contains no credentials.
	Message string `json:"message"`
}
