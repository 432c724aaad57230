package render

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

const (
	// maxSteps and maxStepValues are what a review shows of one condition.
	maxSteps      = 50
	maxStepValues = 4
	// minCredential is the length from which a value that is part of a credential
	// is taken for one. Shorter ones may be so by chance.
	minCredential = 6
	// maxUnknown is the length up to which a value is shown while it is not known
	// what the credentials are.
	maxUnknown = 16
)

// trace says how the condition came to its result, nil if it was not evaluated.
func (c *Condition) trace() *engine.Trace {
	if c.compiled == nil {
		return nil
	}
	return c.compiled.template.Trace(c.data, c.compiled.own(c.env))
}

// notYet says why an import waits for its creation condition. The message holds
// expressions of the policy and no values. It is the same for the same inputs.
func (c *Condition) notYet() string {
	const message = "creationCondition is not true yet"
	switch {
	case c.Err != nil:
		return message + ": " + c.Err.Error()
	case c.Says != "":
		return message + ": " + shorten(c.Says)
	}
	if why := c.why(c.trace()); why != "" {
		return Bounded(message+": "+why, MaxMessage)
	}
	return message
}

// why says in words what kept the condition from being true.
func (c *Condition) why(trace *engine.Trace) string {
	if trace == nil || c.Holds {
		return ""
	}
	if words := strings.Fields(strings.ReplaceAll(strings.ToLower(c.Text), "true", " true ")); len(words) > 1 && !slices.ContainsFunc(words, func(word string) bool { return word != "true" }) {
		return fmt.Sprintf("it prints \"true\" %d times; write {{ break }} behind it, so that it does so once", len(words))
	}
	return trace.Why()
}

// traces say how the conditions came to their results that were evaluated.
func (r *review) traces() (traces []policyv1alpha1.ConditionTrace) {
	credentials := r.credentials()
	var conditions []Condition
	if r.policy.selector != nil && r.policy.labels.Matches(labels.Set(r.Source.GetLabels())) {
		conditions = append(conditions, r.policy.selector.evaluate(engine.Data{Source: r.Source.Object}, sourceEnv(r.Source)))
	}
	if r.conversion != nil {
		conditions = append(conditions, r.conversion.CreationCondition, r.conversion.DeletionCondition)
	}
	for i := range conditions {
		condition := &conditions[i]
		trace := condition.trace()
		if trace == nil {
			continue
		}
		shown := policyv1alpha1.ConditionTrace{Field: condition.compiled.path.String(), Why: Bounded(condition.why(trace), MaxMessage)}
		for _, step := range trace.Steps[:min(len(trace.Steps), maxSteps)] {
			shown.Steps = append(shown.Steps, r.showStep(condition, credentials, step))
		}
		traces = append(traces, shown)
	}
	return traces
}

func (r *review) showStep(condition *Condition, credentials []string, step engine.TraceStep) policyv1alpha1.TraceStep {
	shown := policyv1alpha1.TraceStep{
		Kind: policyv1alpha1.TraceStepKind(step.Kind), Line: int32(step.Line), Column: int32(step.Column), Template: shorten(step.Template),
		Expression: Bounded(step.Expression, MaxMessage), Evaluated: int32(step.Evaluated), Held: int32(step.True), Items: int32(step.Items),
		Decided: step.Decided,
	}
	for _, value := range step.Values[:min(len(step.Values), maxStepValues)] {
		shown.Values = append(shown.Values, policyv1alpha1.TraceValue{
			Expression: Bounded(value.Expression, MaxMessage), Value: r.showValue(condition, credentials, value)})
	}
	return shown
}

// showValue shows a value as JSON, or describes it in parentheses.
func (r *review) showValue(condition *Condition, credentials []string, value engine.Value) string {
	switch v := value.Value.(type) {
	case nil:
		return "(absent)"
	case []any:
		return fmt.Sprintf("(a list of %d)", len(v))
	case map[string]any:
		return fmt.Sprintf("(a map of %d)", len(v))
	case string:
		if r.Digest != nil && (r.mayBeSecret(condition, value) || isCredential(v, credentials)) {
			return fmt.Sprintf("(%d characters)", utf8.RuneCountInString(v))
		}
		raw, err := json.Marshal(shorten(v))
		if err != nil {
			return "(text)"
		}
		return string(raw)
	case bool, int, int64, float64, json.Number:
		if r.Digest != nil && r.mayBeSecret(condition, value) {
			return "(withheld)"
		}
		return shorten(fmt.Sprint(v))
	}
	return "(a value)"
}

// mayBeSecret reports whether a value may come from a Secret.
func (r *review) mayBeSecret(condition *Condition, value engine.Value) bool {
	sourceIsSecret := isSecrets(r.SourceType.Group, r.SourceType.Resource)
	switch {
	case value.FromSource:
		return sourceIsSecret
	case sourceIsSecret:
		return true
	}
	return slices.ContainsFunc(r.policy.references, func(ref reference) bool {
		reads := value.Reference == ref.key || value.Reference == "" && condition.compiled.template.Reads(ref.key)
		return reads && isSecrets(ref.group, ref.resource)
	})
}

func isSecrets(group, resource string) bool { return group == "" && resource == "secrets" }

// credentials are the credentials that the policy renders, in base64 and not. Nil
// if it has rendered nothing.
func (r *review) credentials() []string {
	if r.conversion == nil || r.conversion.PediaCluster == nil {
		return nil
	}
	credentials := []string{}
	for _, field := range credentialFields {
		credential, _, _ := unstructured.NestedString(r.conversion.PediaCluster.Object, "spec", field)
		if credential == "" {
			continue
		}
		credentials = append(credentials, credential)
		if decoded, err := base64.StdEncoding.DecodeString(credential); err == nil {
			credentials = append(credentials, string(decoded))
		}
	}
	return credentials
}

// isCredential reports whether a text may be a credential, part of one, or have one
// in it.
func isCredential(text string, credentials []string) bool {
	if credentials == nil {
		return len(text) > maxUnknown
	}
	return len(text) >= minCredential && slices.ContainsFunc(credentials, func(credential string) bool {
		return strings.Contains(credential, text) || len(credential) >= minCredential && strings.Contains(text, credential)
	})
}
