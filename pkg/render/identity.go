package render

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// Selects reports whether labelSelector and selectorTemplate let the Source
// through.
func (p *Policy) Selects(source *unstructured.Unstructured) (bool, error) {
	if !p.labels.Matches(labels.Set(source.GetLabels())) {
		return false, nil
	}
	if p.selector == nil {
		return true, nil
	}
	condition := p.selector.evaluate(engine.Data{Source: source.Object}, sourceEnv(source))
	return condition.Holds, condition.Err
}

// Name renders the name that the lifecycle and the PediaCluster of the Source
// have in common. A name that is no DNS-1123 subdomain is an error.
func (p *Policy) Name(source *unstructured.Unstructured) (string, error) {
	name, err := p.name.execute(engine.Data{Source: source.Object}, sourceEnv(source))
	if err != nil {
		return "", err
	}
	name = strings.TrimSpace(name)
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return "", p.name.invalidValue(name, "the name of a PediaCluster", problems[0])
	}
	return name, nil
}

// invalidValue is the error that the template renders a value that is not valid for its
// purpose. What comes from a Secret is not shown: it may be another value than was meant.
func (c *compiled) invalidValue(rendered, what, problem string) error {
	shown := fmt.Sprintf("%q", shorten(rendered))
	if c.readsSecret() {
		shown = fmt.Sprintf("%d characters of a Secret", utf8.RuneCountInString(rendered))
	}
	return &Error{Field: c.path.String(), Cause: &engine.Error{
		Message: fmt.Sprintf("renders %s, which cannot be %s: %s", shown, what, problem),
	}}
}

// sourceEnv is the clock and chance of the templates that are rendered before
// there is a lifecycle: a Source always gets the same.
func sourceEnv(source *unstructured.Unstructured) engine.Env {
	return engine.Env{Now: source.GetCreationTimestamp().Time, Seed: string(source.GetUID())}
}
