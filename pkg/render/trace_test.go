package render

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func withCreationCondition(text string) func(*policyv1alpha1.ClusterImportPolicySpec) {
	return func(spec *policyv1alpha1.ClusterImportPolicySpec) { spec.CreationCondition = text }
}

func withConditions(in *ReviewInputs) {
	in.Source.Object["status"] = map[string]any{"conditions": []any{
		map[string]any{"type": "Ready", "status": "Unknown"},
		map[string]any{"type": "Synced", "status": "True"},
	}}
}

func reviewOf(t *testing.T, spec *policyv1alpha1.ClusterImportPolicySpec, in ReviewInputs) policyv1alpha1.RenderResult {
	t.Helper()
	policy, errs := Compile(spec)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return policy.Review(in)
}

func TestAnImportThatWaitsSaysForWhichPartOfItsCondition(t *testing.T) {
	for _, test := range []struct{ condition, want string }{
		{"{{ range .source.status.conditions }}\n{{ if eq .type \"Ready\" }}\n{{ if eq .status \"True\" }}true{{ end }}{{ end }}{{ end }}",
			`: line 3: eq .status "True" was false for the one item of .source.status.conditions with eq .type "Ready"`},
		{`{{ range .source.status.conditions }}{{ if and (eq .type "Paused") (eq .status "True") }}true{{ end }}{{ end }}`,
			`: line 1: eq .type "Paused" was false for all 2 items of .source.status.conditions`},
		{`{{ .source.spec.missing }}`, `: line 1: .source.spec.missing was absent`},
		{`{{ .source.spec.missing.x }}`, `: spec.creationCondition: line 1, column 4: .source.spec.missing.x: no "missing" in .source.spec; it has: endpoint, ready, secret`},
		{`{{ range .source.status.conditions }}true{{ end }}`, `: it prints "true" 2 times; write {{ break }} behind it, so that it does so once`},
		{`{{ if .source.spec.missing }}true{{ else }}it is not ready{{ end }}`, `: it is not ready`},
		{`never`, `: never`},
		{`{{ "never" }}`, `: line 1: "never" did not print "true"`},
		{`{{ if eq .references.secret.data.token "hunter" }}true{{ end }}`, `: line 1: eq .references.secret.data.token "hunter" was false`},
	} {
		result := reviewOf(t, reviewedSpec(withCreationCondition(test.condition)), reviewed(withConditions))
		if diff := cmp.Diff("Wait: creationCondition is not true yet"+test.want, fmt.Sprintf("%s: %s", result.Action, result.Message)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.condition, diff)
		}
	}
}

func TestWhyAnImportWaitsIsBounded(t *testing.T) {
	long := strings.Repeat("é", 4000)
	var condition strings.Builder
	for i := range 50 {
		fmt.Fprintf(&condition, `{{ if eq .source.spec.ready "%s%d" }}true{{ end }}`, long[:200], i)
	}
	result := reviewOf(t, reviewedSpec(withCreationCondition(condition.String())), reviewed())
	if len(result.Message) > MaxMessage || !strings.Contains(result.Message, "line 1: eq ") {
		t.Errorf("%d bytes: %s", len(result.Message), result.Message)
	}
}

func TestAReviewTracesTheConditionsThatWereEvaluated(t *testing.T) {
	spec := reviewedSpec(withCreationCondition(`{{ range .source.status.conditions }}{{ if eq .type "Ready" }}{{ eq .status "True" }}{{ end }}{{ end }}`),
		func(spec *policyv1alpha1.ClusterImportPolicySpec) {
			spec.Source.SelectorTemplate = `{{ eq .source.metadata.labels.stage "prod" }}`
			spec.DeletionCondition = `{{ .source.spec.retired }}`
		})
	traced := func(in *ReviewInputs) { in.Trace = true }
	if result := reviewOf(t, spec, reviewed(withConditions)); result.Traces != nil {
		t.Errorf("nobody asked for %v", result.Traces)
	}
	step := func(kind policyv1alpha1.TraceStepKind, column int32, expression string, held, evaluated, items int32, decided bool, values ...string) policyv1alpha1.TraceStep {
		s := policyv1alpha1.TraceStep{Kind: kind, Line: 1, Column: column, Expression: expression, Evaluated: evaluated, Held: held, Items: items, Decided: decided}
		for i := 0; i < len(values); i += 2 {
			s.Values = append(s.Values, policyv1alpha1.TraceValue{Expression: values[i], Value: values[i+1]})
		}
		return s
	}
	selector := policyv1alpha1.ConditionTrace{Field: "spec.source.selectorTemplate", Steps: []policyv1alpha1.TraceStep{
		step("Print", 4, `eq .source.metadata.labels.stage "prod"`, 1, 1, 0, false, ".source.metadata.labels.stage", `"prod"`)}}
	want := []policyv1alpha1.ConditionTrace{
		selector,
		{Field: "spec.creationCondition", Why: `line 1: eq .status "True" was false for the one item of .source.status.conditions with eq .type "Ready"`,
			Steps: []policyv1alpha1.TraceStep{
				step("Range", 10, ".source.status.conditions", 1, 1, 2, false, ".source.status.conditions", "(a list of 2)"),
				step("If", 44, `eq .type "Ready"`, 1, 2, 0, true, ".type", `"Synced"`),
				step("Print", 66, `eq .status "True"`, 0, 1, 0, true, ".status", `"Unknown"`),
			}},
		{Field: "spec.deletionCondition", Why: "line 1: .source.spec.retired was absent", Steps: []policyv1alpha1.TraceStep{
			step("Print", 4, ".source.spec.retired", 0, 1, 0, true, ".source.spec.retired", "(absent)")}},
	}
	if diff := cmp.Diff(want, reviewOf(t, spec, reviewed(withConditions, traced, func(in *ReviewInputs) {
		// Who reads no Secret need not wonder whose value the dot is.
		in.Lookup = reviewed().Lookup
	})).Traces); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]policyv1alpha1.ConditionTrace{selector, want[2]}, reviewOf(t, spec, reviewed(withConditions, traced, noSecret)).Traces); diff != "" {
		t.Errorf("without the Secret only two are evaluated: -want +got:\n%s", diff)
	}
	result := reviewOf(t, spec, reviewed(traced, withSource([]string{"metadata", "labels"}, map[string]any{"stage": "test"})))
	if len(result.Traces) != 1 || !strings.Contains(result.Traces[0].Why, "was false") {
		t.Errorf("of a Source that is not selected: %+v", result.Traces)
	}
}

func TestATraceNeverShowsACredentialUnasked(t *testing.T) {
	const condition = `{{ $t := .references.secret.data.token }}{{ if and (eq $t "x") }}{{ end }}{{ if eq (b64dec $t) "x" }}true{{ end }}` +
		`{{ range .references.secret.data }}{{ if eq . "x" }}true{{ end }}{{ end }}` +
		`{{ with .references.secret.data }}{{ if eq .token "x" }}true{{ end }}{{ end }}` +
		`{{ if eq .references.secret.data.token "x" }}true{{ end }}{{ if eq .source.spec.copy "x" }}true{{ end }}` +
		`{{ if eq .source.spec.decoded "x" }}true{{ end }}{{ if eq .source.spec.within "x" }}true{{ end }}`
	const token, decoded = "aHVudGVyMi1zZWNyZXQ=", "hunter2-secret"
	in := func(change ...func(*ReviewInputs)) ReviewInputs {
		return reviewed(append(change, func(in *ReviewInputs) {
			in.Trace = true
			in.Lookup = func(policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
				return &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"token": token}}}, nil
			}
		}, withSource([]string{"spec", "copy"}, token), withSource([]string{"spec", "decoded"}, decoded), withSource([]string{"spec", "within"}, "token="+decoded))...)
	}
	spec := reviewedSpec(withCreationCondition(condition), func(spec *policyv1alpha1.ClusterImportPolicySpec) {
		spec.Source.SelectorTemplate = `{{ if ne .source.spec.decoded "x" }}true{{ end }}`
		spec.DeletionCondition = condition
	})
	for name, spec := range map[string]*policyv1alpha1.ClusterImportPolicySpec{
		"rendered": spec,
		"failing": reviewedSpec(withCreationCondition(condition), func(failing *policyv1alpha1.ClusterImportPolicySpec) {
			failing.Template = `{{ fail "x" }}`
		}),
	} {
		result := reviewOf(t, spec, in())
		answer, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Traces) == 0 {
			t.Errorf("%s: there is no trace", name)
		}
		if name == "failing" {
			continue // What the credentials are is not known; see maxUnknown.
		}
		for _, secret := range []string{token, decoded, token[:12], decoded[:12]} {
			if strings.Contains(string(answer), secret) {
				t.Errorf("%s: %q is in the answer:\n%s", name, secret, answer)
			}
		}
	}
	answer, err := json.Marshal(reviewOf(t, spec, in(func(in *ReviewInputs) { in.Digest = nil })))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(answer), decoded) {
		t.Errorf("whoever asks for credentials gets them:\n%s", answer)
	}
}
