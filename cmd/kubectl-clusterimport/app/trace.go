package app

import (
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/describe"
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
	for _, line := range describe.Trace(template, steps) {
		d.printf("  %3d  %s\n", line.Number, line.Text)
		for _, decision := range line.Decisions {
			d.printf("       %s %-*s  %s\n", decision.Sign, width, decision.Expression, decision.Result)
		}
	}
}
