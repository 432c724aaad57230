package app

import (
	"fmt"
	"strings"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// traceConditions writes the conditions because of which there is no PediaCluster,
// or is to be none, each with what its decisions came to.
func (f *facts) traceConditions(d *description) {
	if f.result == nil {
		return
	}
	for _, trace := range f.result.Traces {
		title, template := f.decisive(trace.Field)
		if template == "" {
			continue
		}
		d.printf("\n%s:\n", title)
		markUp(d, template, trace.Steps)
		if trace.Why != "" {
			d.printf("  So it is not true: %s\n", trace.Why)
		}
	}
}

// decisive returns the title and the text of a condition, empty if it does not
// matter now what it says.
func (f *facts) decisive(field string) (title, template string) {
	condition := f.result.CreationCondition
	deletion := f.result.DeletionCondition
	switch field {
	case "spec.source.selectorTemplate":
		if f.policy != nil && !f.result.Selected {
			return "Selector", f.policy.Spec.Source.SelectorTemplate
		}
	case "spec.creationCondition":
		if condition != nil && !condition.Holds && !f.exists() {
			return "Creation condition", f.lifecycle.Spec.CreationCondition
		}
	case "spec.deletionCondition":
		if deletion != nil && deletion.Holds {
			return "Deletion condition", f.lifecycle.Spec.DeletionCondition
		}
	}
	return "", ""
}

// markUp writes a template line by line, with the decisions of each line below it.
func markUp(d *description, template string, steps []policyv1alpha1.TraceStep) {
	width := 0
	for _, step := range steps {
		width = max(width, min(len(step.Expression), 60))
	}
	for i, line := range strings.Split(strings.TrimRight(template, "\n"), "\n") {
		d.printf("  %3d  %s\n", i+1, line)
		for _, step := range steps {
			if int(step.Line) == i+1 {
				d.printf("       %s %-*s  %s\n", stepSign(step), width, step.Expression, stepResult(step))
			}
		}
	}
}

func stepSign(step policyv1alpha1.TraceStep) string {
	switch {
	case step.Decided && (step.Held == 0 || step.Held == step.Evaluated):
		return bad
	case step.Held > 0:
		return good
	default:
		return unasked
	}
}

// stepResult says what a decision came to, and the values that it read.
func stepResult(step policyv1alpha1.TraceStep) string {
	var result string
	switch {
	case step.Kind == policyv1alpha1.TraceRange && step.Items == 1:
		result = "1 item"
	case step.Kind == policyv1alpha1.TraceRange:
		result = fmt.Sprintf("%d items", step.Items)
	case step.Evaluated == 1 && step.Held == 1:
		result = "true"
	case step.Evaluated == 1:
		result = "false"
	case step.Held == 0:
		result = fmt.Sprintf("false for all %d", step.Evaluated)
	default:
		result = fmt.Sprintf("true for %d of %d", step.Held, step.Evaluated)
	}
	var values []string
	// Those of one item among others say little, unless it kept the condition from
	// being true.
	if step.Evaluated == 1 && step.Items == 0 || stepSign(step) == bad {
		for _, value := range step.Values {
			values = append(values, fmt.Sprintf("%s is %s", value.Expression, value.Value))
		}
	}
	if len(values) > 0 {
		result += ": " + strings.Join(values, ", ")
	}
	return result
}
