package policy

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
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   RenderReviewSpec
	Status RenderReviewStatus
}

// RenderReviewSpec defines what to render.
type RenderReviewSpec struct {
	Source             *SourceName
	SourceObject       *runtime.RawExtension
	References         []ReferenceObject
	Policy             *ClusterImportPolicySpec
	IncludeCredentials bool
	Trace              bool
	Limit              int64
	Continue           string
}

// SourceName identifies a Source of the policy's Source type.
type SourceName struct {
	Namespace string
	Name      string
}

// ReferenceObject is an object to use for a reference.
type ReferenceObject struct {
	Key    string
	Object runtime.RawExtension
}

// RenderReviewStatus is the answer.
type RenderReviewStatus struct {
	Results  []RenderResult
	Totals   RenderTotals
	Continue string
}

// RenderTotals counts results.
type RenderTotals struct {
	Sources  int32
	Selected int32
	Actions  map[RenderAction]int32
}

// RenderAction is what would happen to a PediaCluster.
type RenderAction string

// The actions of a render result.
const (
	RenderCreate   RenderAction = "Create"
	RenderUpdate   RenderAction = "Update"
	RenderDelete   RenderAction = "Delete"
	RenderNone     RenderAction = "None"
	RenderWait     RenderAction = "Wait"
	RenderConflict RenderAction = "Conflict"
	RenderError    RenderAction = "Error"
)

// RenderResult is the result for one Source.
type RenderResult struct {
	Source            SourceName
	Selected          bool
	Name              string
	References        []RenderedReference
	CreationCondition *RenderedCondition
	DeletionCondition *RenderedCondition
	PediaCluster      *runtime.RawExtension
	Action            RenderAction
	Reason            string
	Message           string
	Changed           []string
	Errors            []TemplateError
	Traces            []ConditionTrace
}

// ConditionTrace explains the result of a condition.
type ConditionTrace struct {
	Field string
	Why   string
	Steps []TraceStep
}

// TraceStepKind is the kind of a step.
type TraceStepKind string

// The kinds of steps.
const (
	TraceIf    TraceStepKind = "If"
	TraceRange TraceStepKind = "Range"
	TracePrint TraceStepKind = "Print"
)

// TraceStep is one decision of a condition.
type TraceStep struct {
	Kind       TraceStepKind
	Line       int32
	Column     int32
	Template   string
	Expression string
	Evaluated  int32
	Held       int32
	Items      int32
	Decided    bool
	Values     []TraceValue
}

// TraceValue is the value of a path in an expression.
type TraceValue struct {
	Expression string
	Value      string
}

// RenderedReference is a reference resolved for one Source.
type RenderedReference struct {
	Key string
	DependentResource
	Found bool
}

// RenderedCondition is an evaluated condition.
type RenderedCondition struct {
	Holds bool
	Text  string
}

// TemplateError is an error of a template.
type TemplateError struct {
	Field      string
	Line       int32
	Column     int32
	Expression string
	Message    string
}
