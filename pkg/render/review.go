package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// maxShown is the size in bytes up to which a review shows a PediaCluster. No
// host stores a larger one.
const maxShown = 1 << 20

// ReviewInputs are what the review of one Source reads. Holder and Current may be
// nil, and find nothing then.
type ReviewInputs struct {
	// PolicyName is the name that the policy has or would have.
	PolicyName string
	// SourceType is the type of the Source: group, version and resource.
	SourceType policyv1alpha1.DependentResource
	// Source stands for the cluster.
	Source *unstructured.Unstructured
	// Versions are the negotiated versions of the references, in the order of
	// the policy.
	Versions []string
	// Lookup finds references.
	Lookup Lookup
	// Given are objects to take for the references of these keys, instead of
	// looking them up.
	Given map[string]*unstructured.Unstructured
	// Env is the clock and chance of an import that has no lifecycle yet.
	Env engine.Env

	// Blocked is why the imports of the policy rest, such as a type that the
	// host does not serve; nil when they do not.
	Blocked error
	// Lifecycles are those of this Source, under whatever policy.
	Lifecycles []*policyv1alpha1.PediaClusterLifecycle
	// Holder returns the lifecycle that has the name.
	Holder func(name string) (*policyv1alpha1.PediaClusterLifecycle, error)
	// Current returns the live PediaCluster of the name.
	Current func(name string) (*unstructured.Unstructured, error)

	// Schema is that of the host's PediaClusters; nil is the shipped one.
	Schema *Schema

	// Digest turns a credential into something that can be compared and shown.
	// Nil shows credentials and the texts of conditions in the clear.
	Digest func(credential string) string
	// Trace says how the conditions came to their results.
	Trace bool
}

// Review says what becomes of one Source, by the very functions with which the
// controllers carry it out. Its inputs are not changed.
func (p *Policy) Review(in ReviewInputs) policyv1alpha1.RenderResult {
	r := review{ReviewInputs: in, policy: p}
	r.result.Source = policyv1alpha1.SourceName{Namespace: in.Source.GetNamespace(), Name: in.Source.GetName()}
	r.conclude(r.run())
	if in.Trace {
		r.result.Traces = r.traces()
	}
	return r.result
}

// ReviewAbsent is the result for a Source that does not exist, as far as the
// one who asks may know. What becomes of its PediaCluster is not foretold: the
// controllers believe in an absence only after they have made sure of it.
func ReviewAbsent(source policyv1alpha1.DependentResource) policyv1alpha1.RenderResult {
	return policyv1alpha1.RenderResult{
		Source:  policyv1alpha1.SourceName{Namespace: source.Namespace, Name: source.Name},
		Action:  policyv1alpha1.RenderError,
		Reason:  policyv1alpha1.ReasonSourceNotFound,
		Message: Describe(source) + " does not exist, or you may not read it",
	}
}

// Contend lets the first of several Sources that would create one name have it,
// as the controllers do. Results are changed in place.
func Contend(results []policyv1alpha1.RenderResult) {
	first := map[string]policyv1alpha1.SourceName{}
	for i := range results {
		result := &results[i]
		if !result.Selected || result.Name == "" || result.Action == policyv1alpha1.RenderConflict {
			continue
		}
		keeper, taken := first[result.Name]
		if !taken {
			first[result.Name] = result.Source
			continue
		}
		result.Action, result.Reason = policyv1alpha1.RenderConflict, policyv1alpha1.ReasonNameTaken
		result.Message = fmt.Sprintf("%s renders the name %q too: change nameTemplate so that names differ",
			shorten(strings.TrimPrefix(keeper.Namespace+"/"+keeper.Name, "/")), result.Name)
		result.PediaCluster, result.Changed = nil, nil
	}
}

// review is one look at one Source.
type review struct {
	ReviewInputs
	policy *Policy
	result policyv1alpha1.RenderResult
	// conversion is nil until the Source has been converted.
	conversion *Conversion
}

// run goes the way of an import, and fills in the result what it meets.
func (r *review) run() Plan {
	selected, err := r.policy.Selects(r.Source)
	if err != nil {
		return r.failed(policyv1alpha1.ReasonSelectorFailed, err)
	}
	r.result.Selected = selected
	if !selected {
		return r.deselected()
	}
	name, err := r.policy.Name(r.Source)
	if err != nil {
		return r.failed(policyv1alpha1.ReasonInvalidName, err)
	}
	r.result.Name = name
	return r.importAs(name)
}

// importAs plans the PediaCluster of that name.
func (r *review) importAs(name string) Plan {
	lifecycle, former := r.lifecycles(name)
	env := r.Env
	if naming := ChooseName(name, namesOf(former)); lifecycle == nil && naming.Behind != "" {
		return Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonRenamed, Message: naming.DescribeBehind(name)}
	}
	switch {
	case lifecycle == nil:
		if plan := r.taken(name); plan != nil {
			return *plan
		}
	case lifecycle.DeletionTimestamp != nil:
		return Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonReleased,
			Message: "the lifecycle is being deleted; the import is created again after that"}
	default:
		env = engine.Env{Now: lifecycle.CreationTimestamp.Time, Seed: string(lifecycle.UID)}
	}

	conversion := r.policy.Convert(Inputs{Name: name, Source: r.Source, Versions: r.Versions, Lookup: r.Lookup, Given: r.Given, Env: env,
		Schema: r.Schema})
	r.show(&conversion)

	current, err := r.current(name)
	if err != nil {
		return r.failed(policyv1alpha1.ReasonHostUnavailable, err)
	}
	replaces, err := r.replaces(former)
	if err != nil {
		return r.failed(policyv1alpha1.ReasonHostUnavailable, err)
	}
	if r.Blocked != nil {
		return Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonWaitingForType, Message: r.Blocked.Error()}
	}
	plan := conversion.Plan(r.owner(lifecycle), current, replaces)
	if plan.Reason == policyv1alpha1.ReasonCredentialsMissing {
		for _, missing := range conversion.missing(current) {
			r.addError(missing)
		}
	}
	if plan.Object != nil {
		if lifecycle == nil {
			plan.Object.SetOwnerReferences(nil) // its owner does not exist yet
		}
		r.showPediaCluster(plan.Object)
	}
	if done := plan.Action == ActionCreate || plan.Action == ActionUpdate || plan.Action == ActionNone; done && replaces != nil {
		plan.Message = fmt.Sprintf("replaces PediaCluster %q, which is deleted after that", replaces.GetName())
	}
	return plan
}

// lifecycles are those of this import: that of the name, nil when there is
// none, and those of former names.
func (r *review) lifecycles(name string) (lifecycle *policyv1alpha1.PediaClusterLifecycle, former []*policyv1alpha1.PediaClusterLifecycle) {
	for _, candidate := range r.Lifecycles {
		switch {
		case policyv1alpha1.ControllingPolicy(candidate).Name != r.PolicyName:
		case candidate.Name == name:
			lifecycle = candidate
		default:
			former = append(former, candidate)
		}
	}
	return lifecycle, former
}

// namesOf is what the choice of a name knows of these lifecycles.
func namesOf(lifecycles []*policyv1alpha1.PediaClusterLifecycle) (named []NamedLifecycle) {
	for _, lifecycle := range lifecycles {
		named = append(named, NamedLifecycle{Name: lifecycle.Name, Created: lifecycle.CreationTimestamp.Time,
			Deleting:        lifecycle.DeletionTimestamp != nil,
			HasPediaCluster: meta.IsStatusConditionTrue(lifecycle.Status.Conditions, policyv1alpha1.LifecycleCreated)})
	}
	return named
}

// taken is the plan of an import that cannot have a lifecycle, because another
// one has its Source or its name. Nil when it can.
func (r *review) taken(name string) *Plan {
	for _, other := range r.Lifecycles {
		if policy := policyv1alpha1.ControllingPolicy(other).Name; policy != r.PolicyName {
			return &Plan{Action: ActionConflict, Reason: policyv1alpha1.ReasonSourceTaken, Message: SourceTaken(policy, other)}
		}
	}
	if r.Holder == nil {
		return nil
	}
	holder, err := r.Holder(name)
	if err != nil {
		plan := r.failed(policyv1alpha1.ReasonHostUnavailable, fmt.Errorf("reading the lifecycle that has the name: %w", err))
		return &plan
	}
	if holder == nil {
		return nil
	}
	return &Plan{Action: ActionConflict, Reason: policyv1alpha1.ReasonNameTaken, Message: NameTaken(policyv1alpha1.ControllingPolicy(holder).Name, holder)}
}

// SourceTaken says that the Source has a lifecycle of another policy.
func SourceTaken(policy string, lifecycle *policyv1alpha1.PediaClusterLifecycle) string {
	return fmt.Sprintf("policy %q has imported this Source as %q: select it in one policy only", policy, lifecycle.Name)
}

// NameTaken says that the name of the import belongs to the lifecycle of another.
func NameTaken(policy string, lifecycle *policyv1alpha1.PediaClusterLifecycle) string {
	return fmt.Sprintf("the name %q belongs to %s of policy %q: change nameTemplate so that names differ",
		lifecycle.Name, Describe(lifecycle.Spec.Source), policy)
}

// replaces is the PediaCluster of the former name, nil when there is none that
// was made by this import.
func (r *review) replaces(former []*policyv1alpha1.PediaClusterLifecycle) (*unstructured.Unstructured, error) {
	for _, old := range former {
		object, err := r.current(old.Name)
		if err != nil {
			return nil, err
		}
		if object != nil && r.owner(old).Ownership(object) == Owned {
			return object, nil
		}
	}
	return nil, nil
}

// deselected is the plan for a Source that is not selected:
// what was made of it goes, or is orphaned.
func (r *review) deselected() Plan {
	none := Plan{Action: ActionNone, Reason: policyv1alpha1.ReasonSourceDeselected, Message: "the selectors do not select the Source"}
	name, lifecycle := r.existing()
	if name == "" {
		return none
	}
	current, err := r.current(name)
	switch {
	case err != nil:
		return r.failed(policyv1alpha1.ReasonHostUnavailable, err)
	case current == nil || r.owner(lifecycle).Ownership(current) != Owned:
		return none
	}
	r.result.Name = name
	if r.policy.deletionPolicy != policyv1alpha1.DeletionPolicyOrphan {
		return Plan{Action: ActionDelete, Reason: none.Reason, Message: none.Message}
	}
	released := Plan{Action: ActionUpdate, Reason: none.Reason, Message: none.Message + "; its PediaCluster is orphaned"}
	metadata, _ := Release(current, false)["metadata"].(map[string]any)
	for _, field := range []string{"annotations", "ownerReferences"} {
		if _, ok := metadata[field]; ok {
			released.Changed = append(released.Changed, "metadata."+field)
		}
	}
	return released
}

// existing is the name under which the Source was imported, and its lifecycle.
// Without a lifecycle to be seen it is the name that the Source would have.
func (r *review) existing() (string, *policyv1alpha1.PediaClusterLifecycle) {
	_, mine := r.lifecycles("")
	if len(mine) > 0 {
		return mine[0].Name, mine[0]
	}
	name, err := r.policy.Name(r.Source)
	if err != nil {
		return "", nil // never imported, then
	}
	return name, nil
}

func (r *review) owner(lifecycle *policyv1alpha1.PediaClusterLifecycle) Owner {
	owner := Owner{Policy: r.PolicyName, Source: r.SourceType}
	owner.Source.Namespace, owner.Source.Name = r.Source.GetNamespace(), r.Source.GetName()
	if lifecycle != nil {
		owner.LifecycleUID = lifecycle.UID
	}
	return owner
}

func (r *review) current(name string) (*unstructured.Unstructured, error) {
	if r.Current == nil {
		return nil, nil
	}
	object, err := r.Current(name)
	if err != nil {
		return nil, fmt.Errorf("reading the PediaCluster: %w", err)
	}
	return object, nil
}

func (r *review) failed(reason string, err error) Plan {
	r.addError(err)
	return Plan{Action: ActionError, Reason: reason, Message: err.Error()}
}

// conclude fills in what the plan says.
func (r *review) conclude(plan Plan) {
	r.result.Action = policyv1alpha1.RenderAction(plan.Action)
	r.result.Reason, r.result.Changed = plan.Reason, plan.Changed
	r.result.Message = Bounded(SourceMessage(r.Source, plan.Message), MaxMessage)
}

// show fills in what the conversion says.
func (r *review) show(conversion *Conversion) {
	r.conversion = conversion
	found := 0
	for _, ref := range conversion.References {
		r.result.References = append(r.result.References, policyv1alpha1.RenderedReference{
			Key: ref.Key, DependentResource: ref.Target, Found: ref.Found})
		if ref.Found {
			found++
		}
	}
	// The creation condition is evaluated when every reference has been found, the
	// deletion condition when those have been that it reads.
	if found == len(r.policy.references) {
		r.result.CreationCondition = r.showCondition(conversion.CreationCondition)
	}
	if r.policy.deletionCondition != nil && (!conversion.DeletionUnknown || conversion.DeletionCondition.Err != nil) {
		r.result.DeletionCondition = r.showCondition(conversion.DeletionCondition)
	}
	for _, err := range []error{conversion.CreationCondition.Err, conversion.DeletionCondition.Err, conversion.Missing, conversion.Err} {
		r.addError(err)
	}
	if conversion.PediaCluster != nil {
		r.showPediaCluster(conversion.PediaCluster)
	}
}

func (r *review) showCondition(condition Condition) *policyv1alpha1.RenderedCondition {
	text := condition.Text
	switch {
	case text == "", strings.EqualFold(text, "true"), strings.EqualFold(text, "false"):
	case r.Digest == nil:
		text = shorten(text)
	default:
		text = fmt.Sprintf("(%d characters)", utf8.RuneCountInString(text))
	}
	return &policyv1alpha1.RenderedCondition{Holds: condition.Holds, Text: text}
}

// showPediaCluster fills in the object, its credentials digested and the user
// parts of its URLs left out.
func (r *review) showPediaCluster(object *unstructured.Unstructured) {
	r.result.PediaCluster = nil
	if r.Digest != nil {
		object = object.DeepCopy()
		spec, _ := object.Object["spec"].(map[string]any)
		for _, field := range credentialFields {
			if credential, ok := spec[field].(string); ok {
				spec[field] = r.Digest(credential)
			}
		}
		HideUsers(object)
	}
	raw, err := json.Marshal(object.Object)
	if err != nil || len(raw) > maxShown {
		return
	}
	r.result.PediaCluster = &runtime.RawExtension{Raw: raw}
}

// addError lists the error of a template. Others are in the message.
func (r *review) addError(err error) {
	var template *Error
	if !errors.As(err, &template) {
		return
	}
	shown := policyv1alpha1.TemplateError{
		Field: template.Field,
		Line:  int32(template.Cause.Line), Column: int32(template.Cause.Column),
		Expression: Bounded(template.Cause.Expression, MaxMessage), Message: Bounded(template.Cause.Message, MaxMessage),
	}
	if !slices.Contains(r.result.Errors, shown) {
		r.result.Errors = append(r.result.Errors, shown)
	}
}
