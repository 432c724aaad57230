package render

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

const noSync = "spec.syncResources: is missing: it must be a list, which may be empty"

func TestWhatIsWrongWhateverTheDataIsIsFound(t *testing.T) {
	const sync = "\n  syncResources: []\n"
	known := ": unknown field: known are apiserver, authenticationFrom, caData, certData, keyData, kubeconfig, shardingName, " +
		"syncAllCustomResources, syncResources, syncResourcesRefName, tokenData"
	noLabel := ": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', " +
		"and must start and end with an alphanumeric character; an annotation takes any text"
	for _, test := range []struct {
		name, template string
		want           []string
	}{
		{"no syncResources", "spec:\n  apiserver: \"{{ .source.spec.endpoint }}\"\n", []string{noSync}},
		{"no syncResources in a flow", "spec: {apiserver: '{{ .source.spec.endpoint }}'}", []string{noSync}},
		{"no syncResources in any branch", "spec:\n  {{ if .source.a }}\n  apiserver: a\n  {{ else if .source.b }}\n  apiserver: b\n  {{ end }}\n", []string{noSync}},
		{"no syncResources beside keys of labels", "metadata:\n  labels:\n    {{ toYaml .source.metadata.labels }}\nspec:\n  apiserver: {{ .source.a }}\n", []string{noSync}},
		{"no syncResources beside nindent in labels", "metadata:\n  labels: {{- toYaml .source.metadata.labels | nindent 4 }}\nspec:\n  apiserver: {{ .source.a }}\n", []string{noSync}},
		{"no syncResources in a defined template", "{{ define \"x\" }}spec:\n  apiserver: a\n{{ end }}{{ template \"x\" . }}", []string{noSync}},
		{"no spec", "metadata: {}\n", []string{noSync}},
		{"a misspelt field", "spec:\n  apiserver: a\n  syncAllCustomResource: true" + sync, []string{"line 3, column 3: spec.syncAllCustomResource" + known}},
		{"a misspelt field, with a value", "spec:\n  apisever: {{ .source.a }}" + sync, []string{"line 2, column 3: spec.apisever" + known}},
		{"a misspelt field in a branch", "spec:\n  {{- if .source.a }}\n  apisever: {{ .source.a }}\n  {{- end }}" + sync, []string{"line 3, column 3: spec.apisever" + known}},
		{"a misspelt field in the line of its branch", "spec:\n  {{ if .source.a }}apisever: {{ .source.a }}{{ end }}" + sync, []string{"line 2, column 21: spec.apisever" + known}},
		{"a misspelt field in a loop", "spec:\n  apiserver: a\n  syncResources:\n  {{- range .source.groups }}\n  - group: {{ . }}\n    resource: [pods]\n  {{- end }}\n",
			[]string{"line 6, column 5: spec.syncResources[0].resource: unknown field: known are eventsInvolvedResources, group, resources, versions"}},
		{"a misspelt field of a Secret's key", "spec:\n  authenticationFrom: {token: {name: a, kee: b}}" + sync,
			[]string{"line 2, column 41: spec.authenticationFrom.token.kee: unknown field: known are key, name"}},
		{"a field of metadata", "metadata:\n  namespace: a\nspec:" + sync, []string{"line 2, column 3: metadata.namespace: unknown field: a template can set name, labels, annotations"}},
		{"a field of the document", "status: {}\nspec:" + sync, []string{"line 1, column 1: status: unknown field: a template can set apiVersion, kind, metadata, spec"}},
		{"a boolean as text", "spec:\n  syncAllCustomResources: \"true\"" + sync,
			[]string{"line 2, column 27: spec.syncAllCustomResources: must be a boolean, not a string: write it without quotes"}},
		{"a map for a string", "spec:\n  apiserver: {host: a}" + sync, []string{"line 2, column 14: spec.apiserver: must be a string, not an object"}},
		{"a list for a map", "spec:\n  authenticationFrom: []" + sync, []string{"line 2, column 23: spec.authenticationFrom: must be an object, not a list"}},
		{"a string for a list", "spec:\n  syncResources: pods\n", []string{"line 2, column 18: spec.syncResources: must be a list, not a string"}},
		{"what is no base64", "spec:\n  caData: |\n    -----BEGIN CERTIFICATE-----\n    YWJj" + sync, []string{"line 2, column 11: spec.caData: is not base64: use the data of a Secret as it is, or b64enc"}},
		{"a label that is none", "metadata:\n  labels:\n    display: Prod EU\nspec:" + sync, []string{"line 3, column 14: metadata.labels[display]" + noLabel}},
		{"a label that is none in a branch", "metadata:\n  labels:\n    display: \"{{ if .source.a }}Prod EU{{ end }}\"\nspec:" + sync, []string{"line 3, column 14: metadata.labels[display]" + noLabel}},
		{"a label that is a map", "metadata:\n  labels:\n    display: {a: b}\nspec:" + sync, []string{"line 3, column 14: metadata.labels[display]: must be a string"}},
		{"the key of a label", "metadata:\n  labels:\n    -a: b\nspec:" + sync, []string{"line 3, column 5: metadata.labels: a key is invalid: name part must consist of " +
			"alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"}},
		{"all at once", "metadata:\n  labels: {display: 'a b'}\nspec:\n  apisever: a\n", []string{noSync,
			"line 2, column 21: metadata.labels[display]" + noLabel, "line 4, column 3: spec.apisever" + known}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, problem := range CheckTemplate(test.template, nil) {
				got = append(got, problem.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatDependsOnDataIsNotJudged(t *testing.T) {
	const sync = "\n  syncResources: []\n"
	for name, template := range map[string]string{
		"a whole spec that is printed":           "spec: {{ toJson .source.spec.pediaCluster }}\n",
		"a whole spec, in lines":                 "spec:\n  {{ toYaml .source.spec.pediaCluster }}\n",
		"a whole spec, by nindent":               "spec: {{- toYaml .source.spec.pediaCluster | nindent 2 }}\n",
		"a whole spec, by indent":                "spec:\n{{ toYaml .source.spec.pediaCluster | indent 2 }}\n",
		"a whole document":                       "{{ toYaml .source.spec.pediaCluster }}\n",
		"a whole document beside labels":         "metadata:\n  labels: {a: b}\n{{ toYaml .source.spec.pediaCluster }}\n",
		"fields behind others":                   "spec:\n  apiserver: a\n  {{ toYaml .source.spec.more }}\n",
		"fields behind others, by nindent":       "spec:\n  apiserver: {{ .source.a }}\n  {{- toYaml .source.spec.more | nindent 2 }}\n",
		"fields in a branch":                     "spec:\n  apiserver: a\n  {{ with .source.spec.more }}\n  {{ toYaml . }}\n  {{ end }}\n",
		"a variable":                             "{{ $more := toYaml .source.spec.more }}spec:\n  apiserver: a\n  {{ $more }}\n",
		"keys that are printed":                  "spec:\n  apiserver: a\n  {{- range $k, $v := .source.spec.more }}\n  {{ quote $k }}: {{ $v }}\n  {{- end }}\n",
		"a key that is printed in part":          "spec:\n  sync{{ .source.spec.what }}: []\n",
		"one branch has it":                      "spec:\n  apiserver: a\n  {{ if .source.a }}\n  syncResources: []\n  {{ end }}\n",
		"one of two specs has it":                "{{ if .source.a }}\nspec: {apiserver: a}\n{{ else }}\nspec: {apiserver: a, syncResources: []}\n{{ end }}\n",
		"both branches have it":                  "spec:\n  {{ if .source.a }}\n  syncResources: [{group: a, resources: [b]}]\n  {{ else }}\n  syncResources: []\n  {{ end }}\n",
		"its value is printed":                   "spec:\n  syncResources: {{ toYaml .source.spec.sync | nindent 4 }}\n",
		"its value is printed in lines":          "spec:\n  syncResources:\n  {{ toYaml .source.spec.sync }}\n",
		"its items are printed in a flow":        "spec:\n  syncResources: [{{ range .source.spec.sync }}{group: {{ .group }}, resources: [pods]},{{ end }}]\n",
		"a boolean that is printed":              "spec:\n  syncAllCustomResources: {{ .source.all }}" + sync,
		"a boolean from branches":                "spec:\n  syncAllCustomResources: {{ if .source.a }}true{{ else }}false{{ end }}" + sync,
		"a boolean in a branch":                  "spec:\n  syncAllCustomResources: {{ if .source.a }}true{{ end }}" + sync,
		"a value behind a key":                   "spec:\n  apiserver:{{ if .source.a }} a{{ else }} b{{ end }}" + sync,
		"a URL in parts":                         "spec:\n  apiserver: https://{{ .source.host }}:{{ .source.port }}" + sync,
		"a URL in branches":                      "spec:\n  apiserver: http{{ if .source.tls }}s{{ end }}://a" + sync,
		"base64 in parts":                        "spec:\n  caData: YWJj{{ .source.rest }}" + sync,
		"base64 in lines":                        "spec:\n  caData: |\n    YWJj\n    ZGVm" + sync,
		"base64 in a block that is printed":      "spec:\n  caData: |\n    {{ .source.ca }}" + sync,
		"empty credentials":                      "spec:\n  apiserver: \"\"\n  caData:\n  tokenData: ''" + sync,
		"a label that is printed":                "metadata:\n  labels: {a: '{{ .source.a }} b', {{ quote .source.k }}: b}\nspec:" + sync,
		"a label from branches":                  "metadata:\n  labels:\n    a: {{ if .source.a }}-{{ .source.b }}{{ else }}b{{ end }}\nspec:" + sync,
		"labels that are null or words":          "metadata:\n  labels: {a: , b: true, c: 1.10, d: ''}\nspec:" + sync,
		"annotations of any kind":                "metadata:\n  annotations: {a: 'b c #', Example.com/X: \"\"}\nspec:" + sync,
		"comments":                               "# {{ .source.a }}\nspec:\n  # syncAllCustomResource: {{ .source.a }}" + sync,
		"an alias":                               "spec:\n  apiserver: &a b\n  shardingName: *a" + sync,
		"text that is no YAML by itself":         "spec: {apiserver: \"{{ .source.a }}\n",
		"a template that does not parse":         "spec: {{ if }}",
		"a template that calls itself":           "{{ define \"x\" }}{{ if .source.a }}{{ template \"x\" . }}{{ end }}{{ end }}{{ template \"x\" . }}",
		"nothing":                                "",
		"a list":                                 "- a\n",
		"Windows line ends":                      "spec:\r\n  {{ if .source.a }}\r\n  apiserver: a\r\n  {{ end }}\r\n  syncResources: []\r\n",
		"a multi-line string":                    "metadata:\n  annotations:\n    script: |\n      {{ .source.a }}\n      spec:\n        nothing: here\nspec:" + sync,
		"names and types of the object":          "apiVersion: cluster.clusterpedia.io/v1alpha2\nkind: PediaCluster\nmetadata: {name: '{{ .source.a }}'}\nspec:" + sync,
		"a template with the runes of marks":     "spec:\n  apiserver: \uE000\n",
		"labels by a trimmed block":              "metadata:\n  labels:\n    {{- range $k, $v := .source.l }}\n    {{ quote $k }}: {{ quote $v }}\n    {{- end }}\nspec:" + sync,
		"fields of the outside of a printed one": "spec:\n  {{ quote .source.k }}:\n    anything: 1" + sync,
	} {
		t.Run(name, func(t *testing.T) {
			if problems := CheckTemplate(template, nil); len(problems) > 0 {
				t.Errorf("problems: %v", problems)
			}
		})
	}
}

// TestThePoliciesOfTheRepositoryAreRight is about every policy that is shipped.
func TestThePoliciesOfTheRepositoryAreRight(t *testing.T) {
	found := 0
	for _, pattern := range []string{"../../artifacts/*/*/policy.yaml", "../../artifacts/*/*/*/policy.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for document := range strings.SplitSeq(string(text), "\n---\n") {
				var policy policyv1alpha1.ClusterImportPolicy
				if err := yaml.Unmarshal([]byte(document), &policy); err != nil {
					t.Fatal(err)
				}
				if policy.Kind != "ClusterImportPolicy" {
					continue
				}
				found++
				if problems := CheckTemplate(policy.Spec.Template, nil); len(problems) > 0 {
					t.Errorf("%s: %v", file, problems)
				}
			}
		}
	}
	if found < 6 {
		t.Errorf("only %d policies were found", found)
	}
}

func TestTheCheckOfATemplateIsBounded(t *testing.T) {
	var calls strings.Builder
	calls.WriteString(`{{ define "t0" }}{{ end }}`)
	for i := range 60 {
		calls.WriteString(strings.NewReplacer("N", string(rune('0'+i)), "M", string(rune('1'+i))).Replace(`{{ define "tM" }}{{ template "tN" }}{{ template "tN" }}{{ end }}`))
	}
	calls.WriteString(`{{ template "t` + string(rune('0'+60)) + `" }}`)
	for name, template := range map[string]string{
		"templates that call each other": calls.String(),
		"many fields":                    "spec:\n" + strings.Repeat("  x: 1\n", 5000),
		"deep nesting":                   "spec: " + strings.Repeat("{a: ", 5000) + strings.Repeat("}", 5000),
		"many aliases":                   "spec:\n  a: &a [x]\n" + strings.Repeat("  b: [*a, *a]\n", 1000),
	} {
		if problems := CheckTemplate(template, nil); len(problems) > maxProblems {
			t.Errorf("%s: %d problems", name, len(problems))
		}
	}
}
