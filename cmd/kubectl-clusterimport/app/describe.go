package app

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/describe"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// describeReview writes a review for people, in the manner of kubectl describe. References that
// come from files are given or not: whether others exist is not known.
func describeReview(w io.Writer, review *policyv1alpha1.RenderReview, fromFiles bool) error {
	d := &description{w: w, found: "found", missing: "missing"}
	if fromFiles {
		d.found, d.missing = "given", "not given"
	}
	for i := range review.Status.Results {
		d.result(&review.Status.Results[i])
		d.printf("\n")
	}
	d.printf("%s\n", describeTotals(review.Status.Totals))
	return d.err
}

// description writes until the first error. What Sources say cannot command the
// terminal.
type description struct {
	w   io.Writer
	err error
	// found and missing are what is said of references.
	found, missing string
}

func (d *description) printf(format string, args ...any) {
	if d.err == nil {
		d.err = printers.WriteEscaped(d.w, fmt.Sprintf(format, args...))
	}
}

// field writes a field of the description, unless it is empty.
func (d *description) field(name, value string) {
	if value != "" {
		d.printf("%-20s%s\n", name+":", value)
	}
}

func (d *description) result(result *policyv1alpha1.RenderResult) {
	d.field("Source", describe.Source(result.Source))
	d.field("Selected", yesNo(result.Selected))
	d.field("Name", result.Name)
	d.field("Action", strings.TrimSuffix(fmt.Sprintf("%s (%s)", result.Action, result.Reason), " ()"))
	d.field("Message", result.Message)
	d.field("Changed", strings.Join(result.Changed, ", "))
	if len(result.References) > 0 {
		d.printf("References:\n")
	}
	for _, ref := range result.References {
		found := d.found
		if !ref.Found {
			found = d.missing
		}
		d.printf("  %-18s%s: %s\n", ref.Key, render.Describe(ref.DependentResource), found)
	}
	d.field("Creation condition", describe.Condition(result, "spec.creationCondition", result.CreationCondition))
	d.field("Deletion condition", describe.Condition(result, "spec.deletionCondition", result.DeletionCondition))
	if len(result.Errors) > 0 {
		d.printf("Errors:\n")
	}
	for _, err := range result.Errors {
		d.printf("  %s\n", describe.Error(err))
	}
	if result.PediaCluster != nil {
		text, err := yaml.JSONToYAML(result.PediaCluster.Raw)
		if err != nil {
			d.err = cmp.Or(d.err, err)
			return
		}
		d.printf("PediaCluster:\n%s\n", indent(strings.TrimRight(string(text), "\n")))
	}
}

func describeTotals(totals policyv1alpha1.RenderTotals) string {
	var actions []string
	for _, action := range slices.Sorted(maps.Keys(totals.Actions)) {
		actions = append(actions, fmt.Sprintf("%s %d", action, totals.Actions[action]))
	}
	text := fmt.Sprintf("%s, %d selected", count(int(totals.Sources), "Source", "Sources"), totals.Selected)
	if len(actions) > 0 {
		text += ": " + strings.Join(actions, ", ")
	}
	return text
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
