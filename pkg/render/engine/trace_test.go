package engine

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// traced are conditions, of which testdata/traces.txt has what is said about them.
var traced = []struct{ name, text string }{
	{"the published condition", benchCondition},
	{"nested blocks in several lines", `{{ range .source.status.conditions }}
  {{ if eq .type "Healthy" }}
    {{ if eq .status "True" }}true{{ end }}
  {{ end }}
{{ end }}`},
	{"and in a range", `{{ range .source.status.conditions }}{{ if and (eq .type "Healthy") (eq .status "True") }}true{{ end }}{{ end }}`},
	{"no item fits", `{{ range .source.status.conditions }}{{ if eq .type "Synced" }}{{ if eq .status "True" }}true{{ end }}{{ end }}{{ end }}`},
	{"some items fit", `{{ range .source.spec.ports }}{{ if gt . 100 }}{{ if lt . 200 }}true{{ end }}{{ end }}{{ end }}`},
	{"no items", `{{ range .source.status.addresses }}true{{ end }}`},
	{"a range with variables", `{{ range $i, $c := .source.status.conditions }}{{ if eq $c.type "Ready" }}{{ if eq $c.status "False" }}true{{ end }}{{ end }}{{ end }}`},
	{"a range in a range", `{{ range .source.spec.zones }}{{ $z := . }}{{ range $.source.status.conditions }}{{ if eq .type $z }}true{{ end }}{{ end }}{{ end }}`},
	{"a printed comparison", `{{ eq .source.kind "Cluster" }}`},
	{"a printed field", `{{ .source.kind }}`},
	{"an absent field", `{{ .source.spec.ready }}`},
	{"and that is printed", `{{ and (eq .source.kind "ManagedCluster") .source.spec.paused .source.spec.missing }}`},
	{"or that is printed", `{{ or .source.spec.paused (eq .source.kind "Cluster") }}`},
	{"or in and", `{{ and (or .source.spec.paused .source.spec.missing) .source.kind }}`},
	{"not", `{{ if not .source.kind }}true{{ end }}`},
	{"a condition that must be false", `{{ if .source.kind }}false{{ else }}true{{ end }}`},
	{"or that must be false", `{{ if or .source.spec.paused .source.kind }}no{{ else }}true{{ end }}`},
	{"else if", `{{ if .source.spec.paused }}true{{ else if eq .source.kind "Cluster" }}true{{ end }}`},
	{"both branches", `{{ if .source.kind }}{{ .source.spec.paused }}{{ else }}true{{ end }}`},
	{"with", `{{ with .source.spec.nested }}{{ if .shallow }}true{{ end }}{{ end }}`},
	{"several blocks", `{{ if .source.spec.paused }}true{{ end }}{{ if .source.spec.empty }}true{{ end }}{{ if .source.spec.none }}true{{ end }}{{ range .source.spec.none }}true{{ end }}`},
	{"what cannot print true", `{{ if .source.spec.paused }}no{{ end }}`},
	{"true in two parts", `tr{{ if .source.spec.paused }}ue{{ end }}`},
	{"a defined template", `{{ define "ready" }}{{ if eq .status "True" }}true{{ end }}{{ end }}{{ range .source.status.conditions }}{{ if eq .type "Healthy" }}{{ template "ready" . }}{{ end }}{{ end }}`},
	{"a pipeline", `{{ .source.kind | eq "Cluster" }}`},
	{"and through a pipe", `{{ .source.kind | and .source.spec.paused }}`},
	{"a reference", `{{ if eq .references.auth.data.token "x" }}true{{ end }}`},
	{"an error", `{{ if .source.kind }}{{ .source.spec.missing.x }}{{ end }}`},
	{"one that is true", `{{ if .source.kind }}true{{ end }}`},
	{"true twice", `{{ range .source.spec.zones }}true{{ end }}`},
	{"a break", `{{ range .source.status.conditions }}{{ if eq .type "Healthy" }}{{ break }}{{ end }}true{{ end }}`},
	{"a method", `{{ if gt ((semver "1.2.3").Major) 2 }}true{{ end }}`},
	{"empty values", `{{ if .source.spec.empty }}true{{ end }}{{ with .source.spec.none }}true{{ end }}{{ if dict }}true{{ end }}{{ if sub 1 1 }}true{{ end }}`},
}

func traceOf(t testing.TB, text string, data Data) (*Trace, *Template) {
	t.Helper()
	compiled, err := Compile(text, Options{References: []string{"auth", "later"}})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return compiled.Trace(data, env), compiled
}

func TestATraceSaysHowAConditionCameToItsResult(t *testing.T) {
	const golden = "testdata/traces.txt"
	var b strings.Builder
	for _, test := range traced {
		trace, _ := traceOf(t, test.text, Data{Source: object(), References: references()})
		fmt.Fprintf(&b, "# %s\n%s\n  prints: %s\n", test.name, test.text, strings.Join(strings.Fields(trace.Text), " "))
		if trace.Err != nil {
			fmt.Fprintf(&b, "  error: %v\n", trace.Err)
		}
		fmt.Fprintf(&b, "  why: %s\n", trace.Why())
		for _, step := range trace.Steps {
			fmt.Fprintf(&b, "  %d:%d %s %s: %d of %d, %d items", step.Line, step.Column, step.Kind, step.Expression, step.True, step.Evaluated, step.Items)
			if step.Decided {
				b.WriteString(", decided")
			}
			for _, value := range step.Values {
				fmt.Fprintf(&b, ", %s=%v", value.Expression, describe(value.Value))
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("run the test with -update if this is meant (-want +got)\n%s", diff)
	}
}

func TestWhyHoldsNoValues(t *testing.T) {
	for _, test := range traced {
		data := Data{Source: object(), References: references()}
		before, _ := traceOf(t, test.text, data)
		if why := before.Why(); strings.Contains(why, "dG9r") || strings.Contains(why, "ManagedCluster") && !strings.Contains(test.text, "ManagedCluster") {
			t.Errorf("%s: %s", test.name, why)
		}
	}
}

// sameTrace checks that a trace changes nothing of the result.
func sameTrace(t *testing.T, compiled *Template, data Data) {
	t.Helper()
	text, err := compiled.Execute(data, env)
	trace := compiled.Trace(data, env)
	if want, got := message(asError(t, err)), message(trace.Err); want != got {
		t.Errorf("%q: the error is %q, and %q with a trace", compiled.text, want, got)
	}
	if text != trace.Text {
		t.Errorf("%q: prints %q, and %q with a trace", compiled.text, text, trace.Text)
	}
	again := compiled.Trace(data, env)
	if diff := cmp.Diff(trace.Why(), again.Why()); diff != "" {
		t.Errorf("%q: another reason for the same inputs:\n%s", compiled.text, diff)
	}
	for _, step := range trace.Steps {
		if step.True > step.Evaluated || step.Line < 1 || step.Column < 1 || len(step.Values) > maxStepValues {
			t.Errorf("%q: %+v", compiled.text, step)
		}
	}
}

func TestTracingDoesNotChangeTheResult(t *testing.T) {
	texts := append([]string{}, sameTemplates...)
	texts = append(texts, mutators...)
	for _, test := range traced {
		texts = append(texts, test.text)
	}
	for _, text := range texts {
		if compiled, err := Compile(text, Options{References: []string{"auth", "later"}}); err == nil {
			sameTrace(t, compiled, Data{Source: object(), References: references()})
		}
	}
}

func FuzzTrace(f *testing.F) {
	for _, text := range sameTemplates {
		f.Add(text)
	}
	for _, text := range mutators {
		f.Add(text)
	}
	for _, test := range traced {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if compiled, err := Compile(text, Options{References: []string{"auth", "later"}}); err == nil {
			sameTrace(t, compiled, Data{Source: object(), References: references()})
		}
	})
}

// TestALargeTraceIsBounded traces more decisions than are kept.
func TestALargeTraceIsBounded(t *testing.T) {
	text := strings.Repeat("{{ if and .source.spec.none (or .source.spec.none .source.spec.empty) }}true{{ end }}", 3000)
	trace, compiled := traceOf(t, text, Data{Source: object()})
	if len(trace.Steps) > maxDecisions {
		t.Errorf("%d steps", len(trace.Steps))
	}
	if why := trace.Why(); len(why) > 1000 {
		t.Errorf("%d bytes: %s", len(why), why)
	}
	sameTrace(t, compiled, Data{Source: object()})
}

// TestTemplatesThatCallThemselvesAreTraced looks into each of them once.
func TestTemplatesThatCallThemselvesAreTraced(t *testing.T) {
	text := `{{ define "a" }}{{ if .x }}{{ template "b" . }}{{ template "a" . }}{{ template "a" . }}{{ end }}{{ end }}` +
		`{{ define "b" }}{{ if .x }}{{ template "a" . }}{{ template "b" . }}{{ template "b" . }}{{ end }}{{ end }}` +
		`{{ if .source.spec.none }}{{ template "a" .source }}{{ end }}{{ if .source.spec.empty }}true{{ end }}`
	trace, compiled := traceOf(t, text, Data{Source: object()})
	if diff := cmp.Diff("line 1: .source.spec.empty was empty", trace.Why()); diff != "" {
		t.Error(diff)
	}
	sameTrace(t, compiled, Data{Source: object()})
}

// BenchmarkTrace is what it costs to say why an import waits.
func BenchmarkTrace(b *testing.B) {
	b.ReportAllocs()
	t, err := Compile(benchCondition, Options{References: []string{"auth"}})
	if err != nil {
		b.Fatal(err)
	}
	data := benchData()
	for b.Loop() {
		_ = t.Trace(data, env).Why()
	}
}
