// Package playground serves a page on which a policy, a Source and its references are edited,
// and which shows at once what becomes of them. It checks and renders by the functions of the
// commands lint and render.
package playground

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/describe"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/manifest"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/offline"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// Texts are what the editors hold, in YAML.
type Texts struct {
	Policy string `json:"policy"`
	Source string `json:"source"`
	// References are all other objects: those that references find, the PediaCluster
	// and the lifecycle that exist, and CustomResourceDefinitions to check templates
	// against.
	References string `json:"references"`
}

// The editors, as findings name them.
const (
	policyEditor     = "policy"
	sourceEditor     = "source"
	referencesEditor = "references"
)

// Severity says whether a finding is an error or a warning.
type Severity string

// An Error keeps the policy from being created or rendered; a Warning does not.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is what lint prints of a policy, and what is wrong with other objects.
type Finding struct {
	Editor string `json:"editor"`
	// Line and Column count from 1, in characters. Column 0 is not known.
	Line     int      `json:"line"`
	Column   int      `json:"column,omitempty"`
	Severity Severity `json:"severity"`
	Field    string   `json:"field,omitempty"`
	Message  string   `json:"message"`
}

// Evaluation is what becomes of the texts.
type Evaluation struct {
	Findings []Finding `json:"findings"`
	// MoreFindings is how many there are beside these.
	MoreFindings int `json:"moreFindings,omitempty"`
	// Untyped are the types that templates were not checked against, since no definition
	// is given.
	Untyped []string `json:"untyped,omitempty"`
	// Result is nil if the policy or the Source cannot be used.
	Result *Result `json:"result,omitempty"`
}

// Result is a RenderResult, ready to be shown.
type Result struct {
	Source     string      `json:"source"`
	Selected   bool        `json:"selected"`
	Name       string      `json:"name,omitempty"`
	References []Reference `json:"references,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	// PediaCluster is YAML. Credentials are digests.
	PediaCluster string `json:"pediaCluster,omitempty"`
	Plan         Plan   `json:"plan"`
}

// Reference is an object that a reference names.
type Reference struct {
	Key    string `json:"key"`
	Target string `json:"target"`
	Found  bool   `json:"found"`
}

// Condition is the selector or a condition of the policy.
type Condition struct {
	Title string `json:"title"`
	Field string `json:"field"`
	// Result says what it came to. It is empty if it was not evaluated.
	Result string `json:"result,omitempty"`
	Holds  bool   `json:"holds"`
	// Why says what kept it from being true.
	Why string `json:"why,omitempty"`
	// Template is its text with what each part of it came to.
	Template []describe.Line `json:"template,omitempty"`
}

// Plan is what the server would do.
type Plan struct {
	Summary string   `json:"summary"`
	Action  string   `json:"action"`
	Reason  string   `json:"reason,omitempty"`
	Message string   `json:"message,omitempty"`
	Changed []string `json:"changed,omitempty"`
	// Rule is the one by which the controllers decide about the import.
	Rule string `json:"rule"`
}

const (
	// maxFindings and maxMessage bound what is shown of mistakes. Nobody reads more.
	maxFindings = 100
	maxMessage  = 2000

	// maxDocuments bounds the YAML documents of a text: each takes much longer to read than
	// its size suggests.
	maxDocuments = 1000
)

// evaluator evaluates the texts of a playground.
type evaluator struct {
	// digest turns credentials into what is shown of them.
	digest func(credential string) string
	// masks are the credentials of objects that were read from a cluster.
	masks *masks
}

// evaluate says what becomes of the texts. The error is that of the context.
func (e *evaluator) evaluate(ctx context.Context, texts Texts) (*Evaluation, error) {
	v := &evaluation{evaluator: e}
	for _, step := range []func(context.Context, Texts){v.readOthers, v.readPolicy, v.readSource, v.render} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		step(ctx, texts)
	}
	return v.conclude(), nil
}

// evaluation is one evaluation under way.
type evaluation struct {
	*evaluator

	object *manifest.Object                    // the policy as it is written
	policy *policyv1alpha1.ClusterImportPolicy // nil if it would be refused
	source *unstructured.Unstructured          // nil if there is none

	others      []*unstructured.Unstructured
	current     []*unstructured.Unstructured
	lifecycles  []*policyv1alpha1.PediaClusterLifecycle
	definitions offline.Definitions

	findings []Finding
	untyped  []string
	result   *Result
}

func (v *evaluation) add(severity Severity, finding offline.Finding) {
	v.findings = append(v.findings, Finding{Editor: finding.Source, Line: finding.Line, Column: finding.Column,
		Severity: severity, Field: finding.Field, Message: render.Bounded(finding.Message, maxMessage)})
}

func (v *evaluation) addAt(severity Severity, place manifest.Place, format string, args ...any) {
	v.add(severity, offline.Finding{Place: place, Message: fmt.Sprintf(format, args...)})
}

// parse reads the objects of an editor.
func (v *evaluation) parse(editor, text string) []*manifest.Object {
	if strings.Count(text, "\n---") >= maxDocuments {
		v.addAt(Error, manifest.Place{Source: editor, Line: 1}, "the playground reads no text with more than %d YAML documents", maxDocuments)
		return nil
	}
	objects, err := manifest.Parse(editor, []byte(text))
	broken, err := manifest.Errors(err)
	for _, problem := range broken {
		v.addAt(Error, problem.Place, "%s", problem.Message)
	}
	if err != nil {
		v.addAt(Error, manifest.Place{Source: editor, Line: 1}, "%v", err)
	}
	return objects
}

// stored is the object as an API server would store it, with its credentials. It is nil if
// it is broken.
func (v *evaluation) stored(object *manifest.Object) *unstructured.Unstructured {
	stored, err := offline.Objects([]*manifest.Object{object})
	if err != nil {
		broken, _ := manifest.Errors(err)
		for _, problem := range broken {
			v.addAt(Error, problem.Place, "%s", problem.Message)
		}
		return nil
	}
	if !v.masks.reveal(stored[0]) {
		v.addAt(Error, object.Place(""), "a credential is masked, and its value is not known any more: choose the Source again")
	}
	return stored[0]
}

// readOthers reads what references find, what exists of the import, and definitions.
func (v *evaluation) readOthers(_ context.Context, texts Texts) {
	objects := v.parse(referencesEditor, texts.References)
	var broken []*manifest.Error
	v.definitions, broken = offline.DefinitionsOf(objects)
	for _, problem := range broken {
		v.addAt(Error, problem.Place, "%s", problem.Message)
	}
	for _, object := range objects {
		if offline.IsDefinition(object) {
			continue
		}
		stored := v.stored(object)
		switch {
		case stored == nil:
		case object.GroupKind() == render.PediaClusterGVK.GroupKind():
			v.current = append(v.current, stored)
		case object.Group == policyv1alpha1.GroupName && object.Kind == "PediaClusterLifecycle":
			lifecycle := &policyv1alpha1.PediaClusterLifecycle{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(stored.Object, lifecycle); err != nil {
				v.addAt(Error, object.Place(""), "%v", err)
				continue
			}
			v.lifecycles = append(v.lifecycles, lifecycle)
		default:
			v.others = append(v.others, stored)
		}
	}
}

// readPolicy checks the policy as lint does.
func (v *evaluation) readPolicy(ctx context.Context, texts Texts) {
	before := len(v.findings)
	for _, object := range v.parse(policyEditor, texts.Policy) {
		switch {
		case !offline.IsPolicy(object):
			v.addAt(Error, object.Place("kind"), "%s is no ClusterImportPolicy", cmp.Or(object.Kind, "what has no kind"))
		case v.object != nil:
			v.addAt(Warning, object.Place("metadata.name"), "only the first policy is evaluated")
		default:
			v.object = object
		}
	}
	if v.object == nil {
		if len(v.findings) == before {
			v.addAt(Error, manifest.Place{Source: policyEditor, Line: 1}, "there is no ClusterImportPolicy: open an example to start from, or write one")
		}
		return
	}
	policy, refused, warnings := offline.Check(ctx, v.object)
	for _, finding := range refused {
		v.add(Error, finding)
	}
	if v.policy = policy; policy == nil {
		return
	}
	unfit, untyped := offline.CheckTypes(v.object, policy, v.definitions)
	for _, finding := range slices.Concat(warnings, offline.CheckTemplate(v.object, policy), unfit) {
		v.add(Warning, finding)
	}
	v.untyped = untyped
}

// readSource takes the first Source for the one to render.
func (v *evaluation) readSource(_ context.Context, texts Texts) {
	var places []manifest.Place
	var objects []*unstructured.Unstructured
	for _, object := range v.parse(sourceEditor, texts.Source) {
		if stored := v.stored(object); stored != nil {
			places, objects = append(places, object.Place("")), append(objects, stored)
		}
	}
	v.others = append(v.others, objects...) // a Source may be a reference too
	if v.policy == nil || len(objects) == 0 {
		return
	}
	sources, err := offline.Sources(v.policy, objects)
	if err != nil {
		v.addAt(Error, places[0], "%v", err)
		return
	}
	if v.source = sources[0]; len(sources) > 1 {
		v.addAt(Warning, places[slices.Index(objects, sources[1])], "only the first Source is rendered, out of %d", len(sources))
	}
}

// render renders the Source.
func (v *evaluation) render(_ context.Context, _ Texts) {
	if v.policy == nil || v.source == nil {
		return
	}
	results, err := offline.Render(offline.Inputs{Policy: v.policy, Sources: []*unstructured.Unstructured{v.source},
		Objects: v.others, Lifecycles: v.lifecycles, Current: v.current, Digest: v.digest, Trace: true})
	if err != nil {
		v.addAt(Error, manifest.Place{Source: sourceEditor, Line: 1}, "%v", err)
		return
	}
	result := &results[0]
	if key, reference, ok := offline.NotGiven(result); ok {
		result.Message = fmt.Sprintf("%s, the reference %s, is not among the references", reference, key)
	}
	for _, problem := range result.Errors {
		v.addTemplateError(result, problem)
	}
	v.result = v.show(result)
}

// addTemplateError marks what a template failed at in the policy.
func (v *evaluation) addTemplateError(result *policyv1alpha1.RenderResult, problem policyv1alpha1.TemplateError) {
	severity := Warning
	if result.Action == policyv1alpha1.RenderError {
		severity = Error
	}
	place := v.object.Place(problem.Field)
	if problem.Line > 0 {
		place = v.object.PlaceInText(problem.Field, int(problem.Line), int(problem.Column))
	}
	message := problem.Message
	if problem.Expression != "" {
		message = problem.Expression + ": " + message
	}
	v.add(severity, offline.Finding{Place: place, Field: problem.Field, Message: "with this Source: " + message})
}

// conclude puts the findings in the order of the editors and their lines.
func (v *evaluation) conclude() *Evaluation {
	order := []string{policyEditor, sourceEditor, referencesEditor}
	slices.SortStableFunc(v.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Editor), slices.Index(order, b.Editor)),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	shown := v.findings[:min(len(v.findings), maxFindings)]
	return &Evaluation{Findings: append([]Finding{}, shown...), MoreFindings: len(v.findings) - len(shown), Untyped: v.untyped, Result: v.result}
}

// show is a result as the page shows it.
func (v *evaluation) show(result *policyv1alpha1.RenderResult) *Result {
	shown := &Result{Source: describe.Source(result.Source), Selected: result.Selected, Name: result.Name,
		Conditions: v.conditions(result), Plan: v.plan(result)}
	for _, ref := range result.References {
		shown.References = append(shown.References, Reference{Key: ref.Key, Target: render.Describe(ref.DependentResource), Found: ref.Found})
	}
	if result.PediaCluster != nil {
		if text, err := yaml.JSONToYAML(result.PediaCluster.Raw); err == nil {
			shown.PediaCluster = string(text)
		}
	}
	return shown
}

// conditions are those that the policy has, each with the trace of its evaluation.
func (v *evaluation) conditions(result *policyv1alpha1.RenderResult) (conditions []Condition) {
	spec := &v.policy.Spec
	if spec.Source.SelectorTemplate != "" || spec.Source.LabelSelector != nil {
		selector := Condition{Title: "Selector", Field: "spec.source.selectorTemplate", Holds: result.Selected, Result: "selects the Source"}
		if !result.Selected {
			selector.Result = "does not select the Source"
		}
		conditions = append(conditions, traced(selector, spec.Source.SelectorTemplate, result))
	}
	for _, condition := range []struct {
		title, field, template string
		evaluated              *policyv1alpha1.RenderedCondition
	}{
		{"Creation condition", "spec.creationCondition", spec.CreationCondition, result.CreationCondition},
		{"Deletion condition", "spec.deletionCondition", spec.DeletionCondition, result.DeletionCondition},
	} {
		if condition.template == "" {
			continue
		}
		conditions = append(conditions, traced(Condition{
			Title: condition.title, Field: condition.field,
			Result: describe.Condition(result, condition.field, condition.evaluated),
			Holds:  condition.evaluated != nil && condition.evaluated.Holds,
		}, condition.template, result))
	}
	return conditions
}

// traced adds to a condition how it came to its result.
func traced(condition Condition, template string, result *policyv1alpha1.RenderResult) Condition {
	if template == "" {
		return condition
	}
	var steps []policyv1alpha1.TraceStep
	for _, trace := range result.Traces {
		if trace.Field == condition.Field {
			steps, condition.Why = trace.Steps, trace.Why
		}
	}
	if condition.Holds {
		for i := range steps {
			steps[i].Decided = false // nothing kept it from being true
		}
	}
	condition.Template = describe.Trace(template, steps)
	return condition
}

// plan says what the server would do.
func (v *evaluation) plan(result *policyv1alpha1.RenderResult) Plan {
	decided := decision.Decide(&decision.Snapshot{Policy: v.policy, Source: decision.SourceOf(result),
		Lifecycles: offline.LifecyclesOf(v.policy, v.source, v.lifecycles)})
	return Plan{
		Summary: v.summary(result, decided),
		Action:  string(result.Action), Reason: result.Reason, Message: result.Message, Changed: result.Changed,
		Rule: decided.Rule,
	}
}

func (v *evaluation) summary(result *policyv1alpha1.RenderResult, decided decision.Decision) string {
	const nothing = "Nothing would be done"
	switch {
	case v.policy.Spec.Suspend:
		return nothing + ": the policy is suspended."
	case decided.Blocked != nil:
		return nothing + ": " + decided.Rule + "."
	case result.Action == policyv1alpha1.RenderCreate:
		return fmt.Sprintf("PediaCluster %s would be created.", result.Name)
	case result.Action == policyv1alpha1.RenderUpdate && !result.Selected:
		return fmt.Sprintf("PediaCluster %s would be orphaned.", result.Name)
	case result.Action == policyv1alpha1.RenderUpdate:
		return fmt.Sprintf("PediaCluster %s would be changed: %s.", result.Name, strings.Join(result.Changed, ", "))
	case result.Action == policyv1alpha1.RenderDelete:
		return fmt.Sprintf("PediaCluster %s would be deleted.", result.Name)
	case result.Action == policyv1alpha1.RenderWait:
		return nothing + " yet."
	case result.Action == policyv1alpha1.RenderNone && result.Selected:
		return fmt.Sprintf("%s: PediaCluster %s is up to date.", nothing, result.Name)
	case result.Action == policyv1alpha1.RenderNone:
		return nothing + ": the Source is not selected."
	default:
		return nothing + ": there is an error or a conflict."
	}
}
