package render

import (
	"fmt"
	"strings"

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
		return "", &Error{Field: p.name.path.String(), Cause: &engine.Error{
			Message: fmt.Sprintf("renders %q, which cannot be the name of a PediaCluster: %s", shorten(name), problems[0]),
		}}
	}
	return name, nil
}

// sourceEnv is the clock and chance of the templates that are rendered before
// there is a lifecycle: a Source always gets the same.
func sourceEnv(source *unstructured.Unstructured) engine.Env {
	return engine.Env{Now: source.GetCreationTimestamp().Time, Seed: string(source.GetUID())}
}

// shorten keeps what a tenant can write into a message within bounds, and
// credentials in URLs out of it.
func shorten(s string) string {
	const most = 80
	s = withoutUsers(s)
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// maxMessage is how much of a message a status shows, in bytes.
const maxMessage = 1024

// cut bounds a text to a number of bytes.
func cut(s string, most int) string {
	const ellipsis = "…"
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len(ellipsis)], "") + ellipsis
}
