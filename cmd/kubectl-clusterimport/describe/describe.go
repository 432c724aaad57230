// Package describe says in words what results of rendering say. The commands print them,
// and the playground shows them.
package describe

import (
	"fmt"
	"strings"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Signs of steps.
const (
	Good    = "✓"
	Bad     = "✗"
	Waits   = "…"
	Unasked = "-"
)

// Source is the name of a Source, after its namespace if it has one.
func Source(source policyv1alpha1.SourceName) string {
	return strings.TrimPrefix(source.Namespace+"/"+source.Name, "/")
}

// Condition says what a condition of that field came to, empty if it was not evaluated.
func Condition(result *policyv1alpha1.RenderResult, field string, condition *policyv1alpha1.RenderedCondition) string {
	switch {
	case condition == nil:
		return ""
	case condition.Holds:
		return "true"
	case ErrorBelow(result, field) != "":
		return "not true: it cannot be evaluated"
	case condition.Text == "":
		return "not true: it renders nothing"
	default:
		return "not true: it renders " + condition.Text
	}
}

// ErrorBelow describes the first error in a field of the policy or below it.
func ErrorBelow(result *policyv1alpha1.RenderResult, field string) string {
	for _, err := range result.Errors {
		if strings.HasPrefix(err.Field, field) {
			return Error(err)
		}
	}
	return ""
}

// Error begins with field:line:column.
func Error(err policyv1alpha1.TemplateError) string {
	place := err.Field
	if err.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", err.Field, err.Line, err.Column)
	}
	if err.Expression != "" {
		place += ": " + err.Expression
	}
	return place + ": " + err.Message
}
