package engine

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mistakes are what people write who know other languages. What is said about
// them is in testdata/mistakes.txt.
var mistakes = []struct{ name, text string }{
	{"operators", `{{ if .source.status.phase == "Ready" && .source.spec.x != "" || !.source.spec.paused }}true{{ end }}`},
	{"more operators", `{{ .source.spec.a >= 1 }}{{ .source.spec.a<2 }}{{ .source.spec.a + 1 }}{{ .source.spec.a - 1 }}{{ .source.spec.a*2 }}{{ .source.spec.a / 2 }}{{ .source.spec.a % 2 }}`},
	{"a choice", `{{ .source.spec.a ? "x" : "y" }}{{ .source.spec.a ?? "x" }}{{ .source.spec?.a }}`},
	{"an assignment for a comparison", `{{ if .source.spec.a = "x" }}true{{ end }}`},
	{"infix functions", `{{ if .source.spec.a eq "x" }}{{ .source.kind in (list "a") }}{{ end }}`},
	{"case 21", `{{ if .Source.status.conditions[0].status == "True" }}true{{ end }}`},
	{"case 21 in three actions", "{{ .Source.metadata.name }}\n{{ a == b }}\n{{ .source.status.conditions[0].status }}"},
	{"an index and a key in brackets", `{{ .source.status.conditions[0].type }}{{ .source.metadata.labels["a.b/c"] }}{{ .source.metadata.labels['x'] }}{{ .source.spec.matrix[0][1] }}{{ (index .source "spec")[0] }}`},
	{"a filter of JSONPath", `{{ .source.status.conditions[?(@.type=="Ready")].status }}{{ .source.status.conditions[*].type }}{{ $.source..name }}`},
	{"names with dashes and slashes", `{{ .source.metadata.labels.my-label }}{{ .source.metadata.annotations.example.io/tier }}`},
	{"names in quotes", `{{ .source.data."ca.crt" }}{{ .source.metadata.labels.'a-b' }}`},
	{"single quotes", `{{ eq .source.kind 'Cluster' }}{{ eq .source.kind 'it"s' }}`},
	{"curly quotes", "{{ eq .source.kind “Cluster” }}"},
	{"escaped quotes", `{{ eq .source.kind \"Cluster\" }}`},
	{"commas", `{{ eq(.source.kind, "Cluster") }}`},
	{"the root of Helm", `{{ .Values.name }}{{ .Release.Name }}{{ .Chart.Version }}{{ .Capabilities.KubeVersion }}`},
	{"functions of Helm", `{{ include "a" . }}{{ tpl "x" . }}{{ lookup "v1" "Secret" "ns" "n" }}{{ required "x" .source.spec.a }}{{ toToml .source }}`},
	{"an object's fields at the root", `{{ .metadata.name }}{{ .Spec.x }}{{ .status }}{{ .data.token }}`},
	{"references", `{{ .reference.auth.data.x }}{{ .auth.data.x }}{{ .refs.auth.data.x }}{{ auth.data.x }}{{ .secret.data.x }}`},
	{"paths without a dot", `{{ source.metadata.name }}{{ references.auth.data.ca }}{{ metadata.name }}`},
	{"CEL", `{{ has(.source.spec.a) }}{{ size(.source.spec.zones) }}{{ self.spec.x }}{{ object.spec.x }}{{ .source.metadata.name.startsWith("a") }}{{ .source.status.conditions.exists(c, c.type == "Ready") }}`},
	{"methods", `{{ .source.metadata.name.toLowerCase }}{{ .source.metadata.name.contains("a") }}{{ .source.metadata.name.replace("a", "b") }}`},
	{"keywords of others", `{{ for x in .source.spec.zones }}{{ endfor }}{{ elif .source.spec.a }}{{ null }}{{ True }}`},
	{"a block without end", "a\n{{ if .Source.x }}\nb"},
	{"a block of a mistake without end", `{{ if .source.spec.a == "x" }}true`},
	{"ends too many", `{{ if .source.spec.a }}true{{ end }}{{ end }}{{ else }}{{ .Source }}`},
	{"two elses", `{{ if .source.spec.a }}a{{ else }}b{{ else }}c{{ end }}`},
	{"an action without end", "{{ .source.kind\n{{ .Source.x }}"},
	{"an action with half an end", "{{ .source.kind }\n{{ .Source.x }}"},
	{"a block with half an end", "{{ if .source.kind }\ntrue{{ end }}"},
	{"a comment", `{{ # a comment }}{{ // another }}{{/* a */ .source.kind }}`},
	{"a comment without end", `{{/* a `},
	{"an empty action", `{{ }}{{ if }}x{{ end }}{{ with }}{{ end }}{{ range }}{{ end }}{{ () }}`},
	{"pipes", `{{ .source.kind | }}{{ | upper }}{{ .source.kind | "x" }}{{ .source.kind || upper }}`},
	{"variables", `{{ $x }}{{ x := 1 }}{{ $a, $b := .source }}{{ range $a, $b, $c := .source }}{{ end }}`},
	{"strings without end", "{{ eq .source.kind \"Cluster }}\n{{ .Source }}"},
	{"an escape", `{{ regexMatch "\d+" .source.kind }}`},
	{"numbers", `{{ add 1a 2 }}{{ 99999999999999999999 }}`},
	{"parentheses", `{{ (eq .source.kind "a" }}{{ eq .source.kind "a") }}`},
	{"a trim marker without a space", `{{ .source.kind-}}`},
	{"braces and brackets", `{{ {"a": 1} }}{{ ["a"] }}{{ ${x} }}`},
	{"define without a name", `{{ define x }}{{ end }}`},
	{"template without a name", `{{ template x }}{{ template "x" . . }}`},
	{"jumps", `{{ break }}{{ if true }}{{ continue }}{{ end }}`},
	{"else range", `{{ if true }}{{ else range .source.spec.zones }}{{ end }}`},
	{"behind characters of several bytes", "é: 日本 {{ .Source }} ü {{ a == b }}\n日 {{ .source.x[0] }} {{ ö }}"},
	{"errors of all kinds in one action", `{{ if and (.Values.a) (foo "x") (eq .references.none.data.x 'abc') (env "x") }}{{ end }}`},
	{"errors in the arguments of what is unknown", `{{ foo (bar .Source) }}`},
	{"a number of arguments and another error", `{{ replace "a" .Source }}{{ upper }}`},
	{"an undeclared template with an error", `{{ template "x" .Source }}`},
	{"the same error in a template that is called twice", `{{ define "a" }}{{ .Values }}{{ end }}{{ template "a" . }}{{ template "a" .source }}`},
	{"more errors than are reported", strings.Repeat("{{ .Source }}\n", 15)},
	{"a character", `{{ .source.kind ¬ }}`},
	{"an ordinary space is another", "{{ .source.kind\u00a0}}"},
}

func TestMistakesSayWhatToWriteInstead(t *testing.T) {
	const golden = "testdata/mistakes.txt"
	var b strings.Builder
	for _, mistake := range mistakes {
		fmt.Fprintf(&b, "# %s\n%s\n", mistake.name, mistake.text)
		_, err := Compile(mistake.text, Options{References: []string{"auth"}})
		var found Errors
		if !errors.As(err, &found) {
			t.Errorf("%s is not refused: %v", mistake.name, err)
		}
		for _, e := range found {
			fmt.Fprintf(&b, "  %s\n", e)
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

// TestTheWordsOfTheParserAreNotShown finds what package parse says that is passed
// on as it is.
func TestTheWordsOfTheParserAreNotShown(t *testing.T) {
	texts := append([]string{}, sameTemplates...)
	for _, mistake := range mistakes {
		texts = append(texts, mistake.text)
	}
	for _, text := range texts {
		_, err := parseTrees(text)
		if err == nil {
			continue
		}
		message := parserMessage(err)
		_, err = Compile(text, Options{References: []string{"auth"}})
		if err == nil {
			t.Errorf("%q compiles, but does not parse: %s", text, message)
		} else if strings.Contains(err.Error(), message) {
			t.Errorf("%q: the parser's own words: %v", text, err)
		}
	}
}

// TestAllErrorsAreFoundAtOnce mends one mistake after the other: the next one has
// been reported before.
func TestAllErrorsAreFoundAtOnce(t *testing.T) {
	parts := []string{"{{ .Source }}", "{{ a == b }}", "{{ .source.x[0] }}", "{{ foo }}", "{{ eq .source.kind 'abc' }}", "{{ .Values.x }}", "{{ upper }}"}
	_, err := Compile(strings.Join(parts, "\n"), Options{})
	var all Errors
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	lines := map[int]bool{}
	for _, e := range all {
		lines[e.Line] = true
	}
	for i, part := range parts {
		if !lines[i+1] {
			t.Errorf("%s is not reported:\n%v", part, err)
		}
	}
}

func FuzzMistakes(f *testing.F) {
	for _, mistake := range mistakes {
		f.Add(mistake.text)
	}
	for _, text := range sameTemplates {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := Compile(text, Options{References: []string{"auth"}})
		var found Errors
		if err != nil && !errors.As(err, &found) {
			t.Fatalf("%q: %T is no Errors", text, err)
		}
		if len(found) > maxErrors {
			t.Errorf("%q: %d errors", text, len(found))
		}
		lines := strings.Split(text, "\n")
		for _, e := range found {
			if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > 1+len([]rune(lines[e.Line-1])) {
				t.Errorf("%q: the place of %v is outside of the text", text, e)
			}
		}
		// Whether a template is refused depends on the parser and the compiler alone,
		// not on what is found in one that is.
		if _, parseErr := parseTrees(text); parseErr != nil && err == nil {
			t.Errorf("%q compiles, but does not parse: %v", text, parseErr)
		}
	})
}
