package describe

import (
	"fmt"
	"strings"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Line is a line of a template, with the decisions that were made in it.
type Line struct {
	Number    int        `json:"number"`
	Text      string     `json:"text"`
	Decisions []Decision `json:"decisions,omitempty"`
}

// Decision is what a part of a condition came to.
type Decision struct {
	Sign       string `json:"sign"`
	Expression string `json:"expression"`
	Result     string `json:"result"`
}

// Trace is a template line by line, with what its steps came to.
func Trace(template string, steps []policyv1alpha1.TraceStep) []Line {
	var lines []Line
	for i, text := range strings.Split(strings.TrimRight(template, "\n"), "\n") {
		line := Line{Number: i + 1, Text: text}
		for _, step := range steps {
			if int(step.Line) == i+1 {
				line.Decisions = append(line.Decisions, Decision{Sign: stepSign(step), Expression: step.Expression, Result: stepResult(step)})
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func stepSign(step policyv1alpha1.TraceStep) string {
	switch {
	case step.Decided && (step.Held == 0 || step.Held == step.Evaluated):
		return Bad
	case step.Held > 0:
		return Good
	default:
		return Unasked
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
	if step.Evaluated == 1 && step.Items == 0 || stepSign(step) == Bad {
		for _, value := range step.Values {
			values = append(values, fmt.Sprintf("%s is %s", value.Expression, value.Value))
		}
	}
	if len(values) > 0 {
		result += ": " + strings.Join(values, ", ")
	}
	return result
}
