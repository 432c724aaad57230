package render

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// Policy is the spec of a ClusterImportPolicy with its templates compiled. It
// is safe for concurrent use. Compile once per generation, not per render.
type Policy struct {
	labels            labels.Selector
	selector          *compiled // nil selects all
	name              *compiled
	references        []reference
	template          *compiled
	creationCondition *compiled
	deletionCondition *compiled // nil is never true
	deletionPolicy    policyv1alpha1.DeletionPolicy
}

// reference is a compiled reference of a policy.
type reference struct {
	key             string
	group, resource string
	namespace       *compiled // nil for types without namespaces
	name            *compiled
}

// compiled is a template that knows the field of the policy it stands in.
type compiled struct {
	path     *field.Path
	template *engine.Template
	// literals are what stands between its actions, blanks trimmed.
	literals []string
	// readsSecret reports whether it reads what a Secret holds. It is set for what renders names.
	readsSecret func() bool
}

// Error is an error of a template, with the field of the policy that holds it.
type Error struct {
	// Field is the path of the field, such as spec.references[0].nameTemplate.
	Field string
	// Cause says where in the template, and what.
	Cause *engine.Error
}

func (e *Error) Error() string {
	if e.Cause.Line == 0 { // it concerns what the whole template renders
		return e.Field + ": " + e.Cause.Message
	}
	return e.Field + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// absent reports whether err came from following a path through something
// that does not exist, which in a condition means "not yet".
func absent(err error) bool {
	var cause *engine.Error
	return errors.As(err, &cause) && cause.Absent
}

func (c *compiled) execute(data engine.Data, env engine.Env) (string, error) {
	rendered, err := c.render(data, env)
	if err != nil {
		return "", err
	}
	return rendered.Text, nil
}

func (c *compiled) render(data engine.Data, env engine.Env) (*engine.Rendered, error) {
	rendered, err := c.template.Render(data, c.own(env))
	if err == nil {
		return rendered, nil
	}
	var cause *engine.Error
	if !errors.As(err, &cause) {
		cause = &engine.Error{Message: err.Error()}
	}
	return nil, &Error{Field: c.path.String(), Cause: cause}
}

// own is the clock and chance of this template: no two templates draw the same.
func (c *compiled) own(env engine.Env) engine.Env {
	env.Seed += "/" + c.path.String()
	return env
}

// evaluate executes a condition: it holds when the text is "true" in any case,
// blanks around it trimmed.
func (c *compiled) evaluate(data engine.Data, env engine.Env) Condition {
	text, err := c.execute(data, env)
	text = strings.TrimSpace(text)
	condition := Condition{Holds: strings.EqualFold(text, "true"), Text: text, Err: err, compiled: c, data: data, env: env}
	if !strings.EqualFold(text, "false") && slices.Contains(c.literals, text) {
		condition.Says = text
	}
	return condition
}

// NeverTrue reports whether a condition can never be true, since it prints text in
// any case that is no part of "true". One that says false is meant so.
func NeverTrue(template string) bool {
	outline := engine.Certain(template).Text
	literal := strings.ToLower(strings.Join(strings.Fields(strings.ReplaceAll(outline, engine.Printed, " ")), ""))
	return literal != "false" && !strings.Contains("true", literal)
}

// action is what is not literal in a template.
var action = regexp.MustCompile(`(?s)\{\{.*?\}\}`)

func literals(text string) (literals []string) {
	for _, literal := range action.Split(text, -1) {
		if literal = strings.TrimSpace(literal); literal != "" {
			literals = append(literals, literal)
		}
	}
	return literals
}

// Compile compiles every template of a policy and checks what can be checked
// without data: syntax, functions, and the references that each template uses.
// All errors are returned at once, with the path of the field below "spec" and
// the place in the template. Empty templates are left to validation.
func Compile(spec *policyv1alpha1.ClusterImportPolicySpec) (*Policy, field.ErrorList) {
	c := compiler{}
	root := field.NewPath("spec")
	policy := &Policy{
		labels:         c.labels(root.Child("source", "labelSelector"), spec.Source.LabelSelector),
		selector:       c.compile(root.Child("source", "selectorTemplate"), spec.Source.SelectorTemplate, engine.Options{}),
		name:           c.compile(root.Child("nameTemplate"), spec.NameTemplate, engine.Options{}),
		deletionPolicy: spec.DeletionPolicy,
	}

	keys := make([]string, 0, len(spec.References))
	for i, ref := range spec.References {
		path := root.Child("references").Index(i)
		// A copy: the keys grow while the templates keep what they were given.
		earlier := engine.Options{References: append([]string{}, keys...)}
		policy.references = append(policy.references, reference{
			key: ref.Key, group: ref.Group, resource: ref.Resource,
			namespace: c.compile(path.Child("namespaceTemplate"), ptr.Deref(ref.NamespaceTemplate, ""), earlier),
			name:      c.compile(path.Child("nameTemplate"), ref.NameTemplate, earlier),
		})
		keys = append(keys, ref.Key)
	}

	secrets := secretsOf(spec)
	for _, naming := range policy.compiled() {
		naming.readsSecret = sync.OnceValue(func() bool { return readsSecret(naming.template, secrets) })
	}

	policy.template = c.compile(root.Child("template"), spec.Template, engine.Options{Output: engine.YAML, References: keys})
	policy.creationCondition = c.compile(root.Child("creationCondition"), spec.CreationCondition, engine.Options{References: keys})
	policy.deletionCondition = c.compile(root.Child("deletionCondition"), spec.DeletionCondition, engine.Options{References: keys})
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	return policy, nil
}

// secretsOf are the paths of the Secrets among Source and references.
func secretsOf(spec *policyv1alpha1.ClusterImportPolicySpec) (secrets [][]string) {
	if isSecrets(spec.Source.Group, spec.Source.Resource) {
		secrets = append(secrets, []string{"source"})
	}
	for _, ref := range spec.References {
		if isSecrets(ref.Group, ref.Resource) {
			secrets = append(secrets, []string{"references", ref.Key})
		}
	}
	return secrets
}

// readsSecret reports whether a template reads what one of these Secrets holds.
func readsSecret(template *engine.Template, secrets [][]string) bool {
	paths := engine.PathsOf(template.FindReads())
	return slices.ContainsFunc(secrets, func(path []string) bool {
		secret := paths
		for _, key := range path {
			secret = secret.At(key)
		}
		return secret.At("data") != nil || secret.At("stringData") != nil
	})
}

type compiler struct{ errs field.ErrorList }

func (c *compiler) compile(path *field.Path, text string, opts engine.Options) *compiled {
	if text == "" {
		return nil
	}
	template, err := engine.Compile(text, opts)
	if err != nil {
		c.refuse(path, text, err)
		return nil
	}
	return &compiled{path: path, template: template, literals: literals(text)}
}

// refuse adds all errors of a template, each with its line: a whole template
// would bury the message.
func (c *compiler) refuse(path *field.Path, text string, err error) {
	var found engine.Errors
	if !errors.As(err, &found) {
		c.errs = append(c.errs, field.InternalError(path, err))
		return
	}
	lines := strings.Split(text, "\n")
	for _, err := range found {
		line := Bounded(strings.TrimSpace(lines[min(max(err.Line, 1), len(lines))-1]), 256)
		c.errs = append(c.errs, field.Invalid(path, line, err.Error()))
	}
}

// labels is the selector of a policy; without one, all labels will do.
func (c *compiler) labels(path *field.Path, selector *policyv1alpha1.LabelSelector) labels.Selector {
	parsed, err := selector.Selector()
	if err != nil {
		c.errs = append(c.errs, field.Invalid(path, field.OmitValueType{}, err.Error()))
	}
	return parsed
}
