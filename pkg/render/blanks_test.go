package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// convertTemplate converts a Source with a template. The Source has data with
// "token" and no "ca", "empty" and "blank" values, and labels.
func convertTemplate(t testing.TB, template string) Conversion {
	t.Helper()
	policy, errs := Compile(&policyv1alpha1.ClusterImportPolicySpec{
		NameTemplate: "one", Conversion: policyv1alpha1.Conversion{Template: template, CreationCondition: "true"},
	})
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return policy.Convert(Inputs{Name: "one", Source: &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "one", "labels": map[string]any{"tier": "gold", "void": ""}},
		"data": map[string]any{"token": "dG9rZW4=", "empty": "", "null": nil, "blank": "  ", "list": []any{},
			"tokens": []any{map[string]any{"name": "a", "value": ""}}},
		"spec": map[string]any{"tokenData": "", "caData": nil},
	}}})
}

// What a value is read as when it is empty: missing if an action printed nothing
// for it, and left out if the template itself says so.
func TestAnActionThatPrintsNothingMakesACredentialMissing(t *testing.T) {
	const missing, leftOut, there = "missing", "left out", "there"
	tests := []struct{ name, template, want string }{
		// Printing actions, in every place that YAML has for a value.
		{"plain", "spec:\n  tokenData: {{ .source.data.ca }}\n  apiserver: x\n", missing},
		{"plain, the last line", "spec:\n  apiserver: x\n  tokenData: {{ .source.data.ca }}", missing},
		{"in double quotes", "spec:\n  tokenData: \"{{ .source.data.ca }}\"\n  apiserver: x\n", missing},
		{"in single quotes", "spec:\n  tokenData: '{{ .source.data.ca }}'\n  apiserver: x\n", missing},
		{"with blanks in the quotes", "spec:\n  tokenData: \"  {{ .source.data.ca }}\\n\"\n  apiserver: x\n", missing},
		{"on the next line", "spec:\n  tokenData:\n    {{ .source.data.ca }}\n  apiserver: x\n", missing},
		{"behind a comment", "spec:\n  tokenData: # the token\n    {{ .source.data.ca }}\n  apiserver: x\n", missing},
		{"before a comment", "spec:\n  tokenData: {{ .source.data.ca }} # the token\n  apiserver: x\n", missing},
		{"a block scalar", "spec:\n  tokenData: |\n    {{ .source.data.ca }}\n  apiserver: x\n", missing},
		{"a folded block scalar", "spec:\n  tokenData: >-\n    {{ .source.data.ca }}\n  apiserver: x\n", missing},
		{"a block scalar by nindent", "spec:\n  tokenData: |{{ .source.data.ca | nindent 4 }}\n  apiserver: x\n", missing},
		{"a block scalar at the end", "spec:\n  apiserver: x\n  tokenData: |\n    {{ .source.data.ca }}", missing},
		{"flow style", "spec: {tokenData: {{ .source.data.ca }}, apiserver: x}\n", missing},
		{"flow style, quoted", "spec: {apiserver: x, 'tokenData': '{{ .source.data.ca }}'}\n", missing},
		{"JSON", `{"spec":{"tokenData":{{ .source.data.ca }},"apiserver":"x"}}`, missing},
		{"with an anchor", "spec:\n  tokenData: &t {{ .source.data.ca }}\n  apiserver: x\n", missing},
		{"with a tag", "spec:\n  tokenData: !!str {{ .source.data.ca }}\n  apiserver: x\n", missing},
		{"by an alias", "spec:\n  other: &t \"{{ .source.data.ca }}\"\n  tokenData: *t\n  apiserver: x\n", missing},
		{"with line breaks of Windows", "spec:\r\n  tokenData: {{ .source.data.ca }}\r\n  apiserver: x\r\n", missing},
		{"after wide characters", "metadata: {annotations: {title: \"äöü€ 😀\"}}\nspec: {other: \"€ 😀\", tokenData: \"{{ .source.data.ca }}\", apiserver: x}\n", missing},

		// Whatever prints nothing.
		{"an empty value", "spec: {apiserver: x, tokenData: \"{{ .source.data.empty }}\"}", missing},
		{"null", "spec: {apiserver: x, tokenData: \"{{ .source.data.null }}\"}", missing},
		{"white space", "spec: {apiserver: x, tokenData: \"{{ .source.data.blank }}\"}", missing},
		{"white space, plain", "spec:\n  apiserver: x\n  tokenData: {{ .source.data.blank }}\n", missing},
		{"b64enc of nothing", "spec:\n  apiserver: x\n  tokenData: {{ b64enc .source.data.ca }}\n", missing},
		{"a pipeline", "spec:\n  apiserver: x\n  tokenData: {{ .source.data.ca | b64enc | quote }}\n", missing},
		{"squote", "spec:\n  apiserver: x\n  tokenData: {{ .source.data.ca | squote }}\n", missing},
		{"index", "spec:\n  apiserver: x\n  tokenData: {{ index .source.data \"ca.crt\" }}\n", missing},
		{"get", "spec:\n  apiserver: x\n  tokenData: {{ get .source.data \"ca.crt\" }}\n", missing},
		{"dig", "spec:\n  apiserver: x\n  tokenData: {{ dig \"data\" \"ca\" \"\" .source }}\n", missing},
		{"an empty default", "spec:\n  apiserver: x\n  tokenData: {{ default \"\" .source.data.ca }}\n", missing},
		{"coalesce", "spec:\n  apiserver: x\n  tokenData: {{ coalesce .source.data.ca .source.data.empty }}\n", missing},
		{"or", "spec:\n  apiserver: x\n  tokenData: {{ or .source.data.ca .source.data.empty }}\n", missing},
		{"a variable", "{{ $t := .source.data.ca -}}\nspec:\n  apiserver: x\n  tokenData: {{ $t }}\n", missing},
		{"a variable that was sought", "{{ $t := \"\" }}{{ range .source.data.tokens }}{{ if eq .name \"b\" }}{{ $t = .value }}{{ end }}{{ end -}}\n" +
			"spec:\n  apiserver: x\n  tokenData: {{ $t }}\n", missing},
		{"a defined template", "{{ define \"t\" }}{{ .source.data.ca }}{{ end -}}\nspec:\n  apiserver: x\n  tokenData: {{ template \"t\" . }}\n", missing},
		{"in with that is true", "spec:\n  apiserver: x\n  tokenData: {{ with .source.data }}{{ .ca }}{{ end }}\n", missing},
		{"in else", "spec:\n  apiserver: x\n  tokenData: {{ if .source.data.ca }}a{{ else }}{{ .source.data.ca }}{{ end }}\n", missing},
		{"a loop over nothing", "spec:\n  apiserver: x\n  tokenData: {{ range .source.data.list }}{{ .value }}{{ end }}\n", missing},
		{"a loop that finds nothing", "spec:\n  apiserver: x\n  tokenData: >-\n    {{- range .source.data.tokens }}\n    {{ if eq .name \"b\" }}{{ .value }}{{ end }}\n    {{- end }}\n", missing},
		{"several that all print nothing", "spec:\n  apiserver: x\n  tokenData: \"{{ .source.data.ca }}{{ .source.data.empty }}\"\n", missing},
		{"toYaml of nothing", "spec:\n  apiserver: x\n  tokenData: {{ toYaml .source.data.ca }}\n", missing},
		{"toJson of an empty string", "spec:\n  apiserver: x\n  tokenData: {{ toJson .source.data.empty }}\n", missing},
		{"toYaml of a map with an empty value", "spec:\n  apiserver: x\n  {{ toYaml (dict \"tokenData\" .source.data.empty) }}\n", missing},
		{"toYaml of a map with an absent value", "spec:\n  {{- toYaml (dict \"tokenData\" .source.data.ca \"apiserver\" \"x\") | nindent 2 }}\n", missing},
		{"toJson of the whole", "spec: {{ toJson (dict \"apiserver\" \"x\" \"tokenData\" .source.data.ca) }}\n", missing},
		{"a map of the Source", "spec:\n  apiserver: x\n  {{ toYaml (pick .source.spec \"tokenData\") }}\n", missing},

		// What the template says.
		{"not written", "spec:\n  apiserver: x\n", leftOut},
		{"a literal", "spec:\n  apiserver: x\n  tokenData: \"\"\n", leftOut},
		{"a literal in single quotes", "spec: {apiserver: x, tokenData: ''}\n", leftOut},
		{"null", "spec: {apiserver: x, tokenData: null}\n", leftOut},
		{"no value", "spec:\n  tokenData:\n  apiserver: x\n", leftOut},
		{"a tilde", "spec:\n  tokenData: ~\n  apiserver: x\n", leftOut},
		{"a literal in an action", "spec:\n  tokenData: {{ \"\" }}\n  apiserver: x\n", leftOut},
		{"a block scalar with nothing in it", "spec:\n  tokenData: |\n  apiserver: x\n", leftOut},
		{"a literal before an empty action", "spec:\n  tokenData: \"\"\n  {{ .source.data.ca }}\n  apiserver: x\n", leftOut},
		{"a literal before a loop over nothing", "spec:\n  tokenData: \"\"\n  {{- range .source.data.list }}\n  {{ .name }}: x\n  {{- end }}\n  apiserver: x\n", leftOut},
		{"a literal after an empty action", "spec:\n  apiserver: \"x{{ .source.data.ca }}\"\n  tokenData: \"\"\n", leftOut},
		{"a literal before a value that is missing", "spec:\n  tokenData: \"\"\n  other: \"{{ .source.data.ca }}\"\n  apiserver: x\n", leftOut},
		{"a literal with an empty action in its comment", "spec:\n  tokenData: \"\" # {{ .source.data.ca }}\n  apiserver: x\n", leftOut},
		{"a literal in flow style beside an empty action", "spec: {tokenData: '', other: {{ .source.data.ca }}, apiserver: x}\n", leftOut},
		{"a literal before a map by toYaml", "spec:\n  tokenData: ''\n  {{ toYaml (dict \"apiserver\" \"x\") }}\n", leftOut},
		{"a literal after a map that was empty", "spec:\n  {{ toYaml .source.data.list | replace \"[]\" \"{}\" | fromYaml | toYaml }}\n  tokenData: ''\n  apiserver: x\n", leftOut},
		{"in if that is false", "spec:\n  apiserver: x\n  {{- if .source.data.ca }}\n  tokenData: {{ .source.data.ca }}\n  {{- end }}\n", leftOut},
		{"in with that is false", "spec:\n  apiserver: x\n  {{- with .source.data.ca }}\n  tokenData: {{ . }}\n  {{- end }}\n", leftOut},
		{"only the value in with that is false", "spec:\n  apiserver: x\n  tokenData: {{ with .source.data.ca }}{{ . }}{{ end }}\n", leftOut},
		{"only the value in if that is false", "spec:\n  apiserver: x\n  tokenData: \"{{ if .source.data.ca }}{{ .source.data.ca }}{{ end }}\"\n", leftOut},
		{"in a loop over nothing", "spec:\n  apiserver: x\n  {{- range .source.data.list }}\n  tokenData: {{ .value }}\n  {{- end }}\n", leftOut},

		// What is printed.
		{"a value", "spec:\n  apiserver: x\n  tokenData: {{ .source.data.token }}\n", there},
		{"the other of two", "spec:\n  apiserver: x\n  tokenData: \"{{ .source.data.ca }}{{ .source.data.token }}\"\n", there},
		{"a default", "spec:\n  apiserver: x\n  tokenData: {{ .source.data.ca | default .source.data.token }}\n", there},
		{"beside a literal", "spec:\n  apiserver: x\n  tokenData: \"{{ .source.data.ca }}dG9rZW4=\"\n", there},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conversion := convertTemplate(t, test.template)
			if conversion.Err != nil || conversion.Missing != nil {
				t.Fatal(conversion.Err, conversion.Missing)
			}
			got := leftOut
			token, written, _ := unstructured.NestedString(conversion.PediaCluster.Object, "spec", "tokenData")
			switch {
			case len(conversion.MissingCredentials) == 1 && conversion.MissingCredentials[0].Field == "tokenData" && !written:
				got = missing
			case len(conversion.MissingCredentials) > 0:
				got = fmt.Sprint(conversion.MissingCredentials)
			case written:
				got = there
				if token != "dG9rZW4=" {
					t.Errorf("the token is %q", token)
				}
			}
			if got != test.want {
				t.Errorf("the token is %s, want %s", got, test.want)
			}
			if server := followedText(conversion.PediaCluster, "apiserver"); server != "x" {
				t.Errorf("apiserver is %q", server)
			}
		})
	}
}

func TestAMissingCredentialNamesItsPlaceAndWhatIsThereInstead(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"a path", "{{ .source.data.ca }}", `line 3, column 14: .source.data.ca: it prints nothing: no "ca" in .source.data; it has: blank, empty, list, token, tokens`},
		{"a function of a path", "{{ b64enc .source.data.ca }}", `line 3, column 14: b64enc .source.data.ca: it prints nothing: no "ca" in .source.data; it has: blank, empty, list, token, tokens`},
		{"an empty value", "{{ .source.data.empty }}", `line 3, column 14: .source.data.empty: it prints nothing: "empty" in .source.data is empty`},
		{"null", "{{ .source.data.null | quote }}", `line 3, column 14: .source.data.null | quote: it prints nothing: "null" in .source.data is null`},
		{"index", `{{ index .source.data "ca.crt" }}`, `line 3, column 14: index .source.data "ca.crt": it prints nothing: no "ca.crt" in .source.data; it has: blank, empty, list, token, tokens`},
		{"a default", `{{ default "" .source.data.ca }}`, `line 3, column 14: default "" .source.data.ca: it prints nothing: no "ca" in .source.data; it has: blank, empty, list, token, tokens`},
		{"a variable", `{{ with .source.data }}{{ $x := .ca }}{{ $x }}{{ end }}`, `line 3, column 52: $x: it prints nothing`},
		{"a loop", `{{ range .source.data.list }}{{ . }}{{ end }}`, `line 3, column 20: .source.data.list: it prints nothing`},
	} {
		t.Run(test.name, func(t *testing.T) {
			conversion := convertTemplate(t, "spec:\n  apiserver: x\n  caData: "+test.value+"\n")
			if len(conversion.MissingCredentials) != 1 {
				t.Fatalf("missing are %v, the error is %v", conversion.MissingCredentials, conversion.Err)
			}
			if diff := cmp.Diff("spec.template: "+test.want, conversion.MissingCredentials[0].Cause.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnEmptyLabelIsALabelAndAnAbsentOneIsNot(t *testing.T) {
	conversion := convertTemplate(t, `
metadata:
  labels:
    {{- range $key, $value := .source.metadata.labels }}
    {{ quote $key }}: {{ $value }}
    {{- end }}
    quoted: "{{ .source.metadata.labels.void }}"
    absent: {{ .source.metadata.labels.none }}
    literal: ""
    nothing:
  annotations: { {{ range $key, $value := .source.metadata.labels }}{{ quote $key }}: {{ $value }}, {{ end }} absent: {{ .source.data.null }} }
spec: {apiserver: x}
`)
	if conversion.Err != nil {
		t.Fatal(conversion.Err)
	}
	if diff := cmp.Diff(map[string]string{"tier": "gold", "void": "", "quoted": "", "literal": ""}, conversion.PediaCluster.GetLabels()); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"tier": "gold", "void": ""}, conversion.PediaCluster.GetAnnotations()); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// Whoever fills a Source with empty values cannot have more noted than the
// budget of the template has room for.
func TestManyBlanksAreBoundedAndFoundFast(t *testing.T) {
	const many = 20_000
	template := "metadata:\n  labels: { {{ range until " + fmt.Sprint(many) + " }}l{{ . }}: {{ $.source.data.empty }}, {{ end }} x: y}\n" +
		"spec: {apiserver: x, tokenData: {{ .source.data.ca }}}\n"
	conversion := convertTemplate(t, template)
	if conversion.Err != nil || len(conversion.MissingCredentials) != 1 || len(conversion.PediaCluster.GetLabels()) != many+1 {
		t.Errorf("%d labels, missing %v, error %v", len(conversion.PediaCluster.GetLabels()), conversion.MissingCredentials, conversion.Err)
	}
	conversion = convertTemplate(t, "spec: {apiserver: x, other: \"{{ range 300000 }}{{ $.source.data.empty }}{{ end }}\"}\n")
	if conversion.Err == nil || !strings.Contains(conversion.Err.Error(), "16 MiB of values") {
		t.Errorf("got %v", conversion.Err)
	}
}

// Wherever in YAML a printing action puts a token, the token is missing, and not
// left out, when the action prints nothing.
func FuzzMissingCredentials(f *testing.F) {
	for _, seed := range []string{
		"spec:\n  tokenData: {{ .source.data.ca }}\n",
		"spec:\n  tokenData: \"{{ .source.data.ca }}\"\n  apiserver: x\n",
		"spec: {tokenData: '{{ .source.data.ca }}', a: {{ .source.data.ca }}}\n",
		"spec:\n  a: &t {{ .source.data.ca }}\n  tokenData: *t\n",
		"spec:\n  tokenData: |+2\n\n    {{ .source.data.ca | quote }} # x\r\n",
		"{{ $x := b64enc .source.data.ca -}}\nspec:\n  ? tokenData\n  : !!str {{ $x | nindent 4 }}\n",
		"spec: {{ toJson (dict \"tokenData\" .source.data.ca) }}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		for _, condition := range []string{"if", "with", "range", "define", "block", "template"} {
			if strings.Contains(template, condition) {
				return // the template may say that there is none
			}
		}
		policy, errs := Compile(&policyv1alpha1.ClusterImportPolicySpec{
			NameTemplate: "one", Conversion: policyv1alpha1.Conversion{Template: template, CreationCondition: "true"},
		})
		if len(errs) > 0 || policy.template == nil {
			return
		}
		convert := func(data map[string]any) Conversion {
			return policy.Convert(Inputs{Name: "one", Source: &unstructured.Unstructured{Object: map[string]any{"data": data}}})
		}
		with, without := convert(map[string]any{"ca": "dG9rZW4="}), convert(map[string]any{"ca": ""})
		if with.PediaCluster == nil || without.PediaCluster == nil {
			return
		}
		had, has := followedText(with.PediaCluster, "tokenData"), followedText(without.PediaCluster, "tokenData")
		if had != "" && has == "" && len(without.MissingCredentials) == 0 {
			t.Errorf("the token is left out by %q", template)
		}
		if has != "" && len(without.MissingCredentials) > 0 && without.MissingCredentials[0].Field == "tokenData" {
			t.Errorf("the token is there and missing by %q", template)
		}
	})
}
