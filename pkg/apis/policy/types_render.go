package policy

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
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   RenderReviewSpec
	Status RenderReviewStatus
}

// RenderReviewSpec says what to render.
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

// SourceName names a Source; its type is the policy's.
type SourceName struct {
	Namespace string
	Name      string
}

// ReferenceObject is an object given for a reference.
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

// RenderAction is what would be done about a PediaCluster.
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

// RenderResult is what would become of one Source.
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

// ConditionTrace says how a condition came to its result.
type ConditionTrace struct {
	Field string
	Why   string
	Steps []TraceStep
}

// TraceStepKind is what a step decides about.
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

// TraceValue is what a path in an expression led to.
type TraceValue struct {
	Expression string
	Value      string
}

// RenderedReference is a reference as it resolves for one Source.
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
