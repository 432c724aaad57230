package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// env is the clock and the chance of all tests.
var env = Env{Now: time.Date(2026, 5, 4, 13, 2, 1, 0, time.UTC), Seed: "seed"}

// object is a Source with something of every type.
func object() map[string]any {
	return map[string]any{
		"apiVersion": "fleet.example.io/v1",
		"kind":       "ManagedCluster",
		"metadata":   map[string]any{"name": "blue", "namespace": "fleet", "labels": map[string]any{"region": "eu", "tier": "gold"}},
		"spec": map[string]any{
			"apiEndpoint": "https://blue.example.io:6443",
			"replicas":    int64(3),
			"weight":      1.5,
			"paused":      false,
			"zones":       []any{"a", "b", "c"},
			"ports":       []any{int64(80), int64(6443)},
			"empty":       "",
			"none":        nil,
			"nested":      map[string]any{"deep": map[string]any{"er": "bottom"}},
		},
		"status": map[string]any{"conditions": []any{
			map[string]any{"type": "Healthy", "status": "False"},
			map[string]any{"type": "Ready", "status": "True"},
		}},
		"data": map[string]any{"plain": "dG9rZW4=", "ca.crt": "LS0t"},
	}
}

func references() map[string]map[string]any {
	return map[string]map[string]any{
		"auth": {"kind": "Secret", "metadata": map[string]any{"name": "blue-auth"}, "data": map[string]any{"ca": "Y2E=", "token": "dG9r"}},
	}
}

// render compiles and executes, with one reference that is there and one that
// has not been found.
func render(t testing.TB, text string, output Output) (string, *Error) {
	t.Helper()
	return renderWith(t, text, output, Data{Source: object(), References: references()})
}

func renderWith(t testing.TB, text string, output Output, data Data) (string, *Error) {
	t.Helper()
	compiled, err := Compile(text, Options{Output: output, References: []string{"auth", "later"}})
	if err != nil {
		return "", asError(t, err)
	}
	out, err := compiled.Execute(data, env)
	return out, asError(t, err)
}

func asError(t testing.TB, err error) *Error {
	t.Helper()
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("the error is a %T, not an *Error: %v", err, err)
	}
	if e.Line < 1 || e.Column < 1 {
		t.Errorf("the error has no place: %v", err)
	}
	return e
}

// message is the whole text of an error, or empty.
func message(e *Error) string {
	if e == nil {
		return ""
	}
	return e.Error()
}

func TestPublishedPoliciesRenderUnchanged(t *testing.T) {
	const condition = `{{ if ne .source.spec.apiEndpoint "" }} {{ range .source.status.conditions }} {{ if eq .type "Ready" }} {{ if eq .status "True" }} true {{ end }} {{ end }} {{ end }} {{ end }}`
	vcluster := Data{Source: map[string]any{
		"metadata": map[string]any{"name": "vc-blue", "namespace": "team"},
		"data": map[string]any{
			"certificate-authority": "CA", "client-certificate": "CERT",
			"config": "YXBpVmVyc2lvbjogdjEKY2E6IENBCmNlcnQ6IENFUlQK", // apiVersion: v1, ca: CA, cert: CERT
		},
	}}
	vela := Data{Source: map[string]any{
		"metadata": map[string]any{"name": "blue", "namespace": "vela-system", "labels": map[string]any{"cluster.core.oam.dev/cluster-credential-type": "X509Certificate"}},
		"data":     map[string]any{"endpoint": "aHR0cHM6Ly9ibHVlOjY0NDM=", "ca.crt": "LS0tLS1CRUdJTi8r"},
	}}
	selector := `{{ if eq .source.metadata.namespace "vela-system" }}{{ if .source.metadata.labels }}{{ eq (index .source.metadata.labels "cluster.core.oam.dev/cluster-credential-type") "X509Certificate" }}{{ end }}{{ end }}`
	tests := []struct {
		name, text string
		output     Output
		data       Data
		want       string
	}{
		{
			name: "a name is made of the name of the Source", text: "mcp-{{ .source.metadata.name }}", want: "mcp-blue",
		},
		{
			name:   "a template of quoted fields gives a PediaCluster",
			output: YAML,
			text: `spec:
  apiserver: "{{ .source.spec.apiEndpoint }}"
  caData: "{{ .references.auth.data.ca }}"
  tokenData: "{{ .references.auth.data.token }}"
  syncResources:
  - group: ""
    resources:
    - "pods"
`,
			want: `spec:
  apiserver: "https://blue.example.io:6443"
  caData: "Y2E="
  tokenData: "dG9r"
  syncResources:
  - group: ""
    resources:
    - "pods"
`,
		},
		{name: "a condition holds if one of the conditions does", text: condition, want: "true"},
		{
			name: "a condition does not hold without the endpoint", text: condition, want: "",
			data: Data{Source: map[string]any{"spec": map[string]any{}, "status": object()["status"]}},
		},
		{
			name:   "plain fields are decoded and written as they are",
			output: YAML, data: vela,
			text: `spec:
  apiserver: {{ index .source.data "endpoint" | b64dec }}
  caData: {{ index .source.data "ca.crt" }}
  certData: {{ index .source.data "tls.crt" }}
`,
			want: "spec:\n  apiserver: https://blue:6443\n  caData: LS0tLS1CRUdJTi8r\n  certData: \n",
		},
		{name: "a selector matches by namespace and label", text: selector, data: vela, want: "true"},
		{
			name: "a selector does not match without the label", text: selector, want: "false",
			data: Data{Source: map[string]any{"metadata": map[string]any{"namespace": "vela-system", "labels": map[string]any{"a": "b"}}}},
		},
		{
			name: "a selector does not match without labels", text: selector, want: "",
			data: Data{Source: map[string]any{"metadata": map[string]any{"namespace": "vela-system"}}},
		},
		{
			name: "a selector looks into a decoded kubeconfig", data: vcluster, want: "true",
			text: `{{ $ca := (get .source.data "certificate-authority") }}{{/* from the Secret */}}
{{ $clientca := (get .source.data "client-certificate") }}
{{ if and $ca $clientca (hasKey .source.data "config") }}{{ $kubeconfig := (b64dec .source.data.config) }}{{ and (contains $ca $kubeconfig) (contains $clientca $kubeconfig) }}{{ end }}`,
		},
		{
			name: "a selector does not match a Secret without the keys", want: "", data: vela,
			text: `{{ $ca := (get .source.data "certificate-authority") }}{{ if and $ca (hasKey .source.data "config") }}{{ contains $ca (b64dec .source.data.config) }}{{ end }}`,
		},
		{
			name: "single quotes hold more than one value", output: YAML, data: vcluster,
			text: `apiserver: 'https://{{ trimPrefix "vc-" .source.metadata.name }}.{{ .source.metadata.namespace }}.svc'`,
			want: `apiserver: 'https://blue.team.svc'`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.data.Source == nil {
				tt.data = Data{Source: object(), References: references()}
			}
			got, err := renderWith(t, tt.text, tt.output, tt.data)
			if err != nil {
				t.Fatal(err)
			}
			if tt.output == Text {
				got = strings.TrimSpace(got)
			} else if err := yaml.Unmarshal([]byte(got), &map[string]any{}); err != nil {
				t.Errorf("the result is no YAML: %v\n%s", err, got)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestAbsentIsAValueOfItsOwn(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"it prints as nothing", `[{{ .source.spec.missing }}]`, "[]"},
		{"null is absent", `[{{ .source.spec.none }}]{{ if .source.spec.none }}x{{ end }}{{ eq .source.spec.none "" }}`, "[]true"},
		{"it is false", `{{ if .source.spec.missing }}yes{{ else }}no{{ end }}{{ not .source.spec.missing }}`, "notrue"},
		{"it ranges zero times", `{{ range .source.spec.missing }}x{{ else }}none{{ end }}`, "none"},
		{"it equals the empty string", `{{ eq .source.spec.missing "" }} {{ ne .source.spec.missing "" }} {{ eq "" .source.spec.missing }}`, "true false true"},
		{"it equals what is absent too", `{{ eq .source.spec.missing .source.spec.none }}`, "true"},
		{"it equals nothing else", `{{ eq .source.spec.missing 0 }}{{ eq .source.spec.missing false }}{{ eq .source.spec.missing "x" }}{{ eq .source.spec.missing .source.spec.zones }}`, "falsefalsefalsefalse"},
		{"it is the zero value of the other side in comparisons of order", `{{ gt .source.spec.missing 0 }} {{ lt .source.spec.missing 1 }} {{ lt .source.spec.missing "a" }}`, "false true true"},
		{"it becomes an empty string where a function wants one", `[{{ upper .source.spec.missing }}{{ b64enc .source.spec.missing }}{{ trimPrefix "x" .source.spec.missing }}]`, "[]"},
		{"it becomes an empty map where a function wants one", `{{ hasKey .source.spec.missing "x" }}{{ get .source.spec.missing "x" }}{{ keys .source.spec.missing }}{{ dig "x" "y" "default" .source.spec.missing }}`, "false[]default"},
		{"it becomes an empty list where a function wants one", `{{ has "x" .source.spec.missing }}{{ first .source.spec.missing }}{{ append .source.spec.missing "x" }}{{ join "," .source.spec.missing }}`, "false[x]"},
		{"it becomes zero where a function wants a number", `{{ until .source.spec.missing }}{{ add 1 .source.spec.missing }}{{ len .source.spec.missing }}`, "[]10"},
		{"it becomes what a verb of printf wants", `{{ printf "%s|%d|%t|%q|%v" .source.spec.missing .source.spec.missing .source.spec.missing .source.spec.missing .source.spec.missing }}`, `|0|false|""|`},
		{"a missing key of index is absent", `[{{ index .source.data "missing" }}]`, "[]"},
		{"a default replaces it", `{{ .source.spec.missing | default "d" }}{{ coalesce .source.spec.missing "c" }}{{ ternary "a" "b" .source.spec.missing }}`, "dcb"},
		{"labels are a map", `{{ kindOf .references.auth.metadata.labels }} {{ len .references.auth.metadata.annotations }} {{ index .references.auth.metadata.labels "x" }}.`, "map 0 ."},
		{"labels are a map however they are reached", `{{ with .references.auth }}{{ kindOf .metadata.labels }}{{ end }}{{ kindOf (index .references "auth" "metadata" "annotations") }}{{ $s := .source }}{{ len $s.metadata.annotations }}{{ kindOf (get .references.auth.metadata "labels") }}`, "mapmap0map"},
		{"the namespace is a string", `{{ kindOf .references.auth.metadata.namespace }}{{ .references.auth.metadata.namespace }}`, "string"},
		{"a reference that has not been found is absent", `[{{ .references.later }}]{{ if .references.later }}x{{ end }}{{ hasKey .references "later" }}`, "[]false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := render(t, tt.text, Text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestErrorsTeach(t *testing.T) {
	tests := []struct {
		name, text    string
		want          string
		absent, limit bool
	}{
		{name: "the first missing key and its neighbours are named", text: `{{ .source.spec.nested.missing.x.y }}`,
			want: `line 1, column 4: .source.spec.nested.missing.x.y: no "missing" in .source.spec.nested; it has: deep`, absent: true},
		{name: "a null is named as such", text: `{{ .source.spec.none.x }}`,
			want: `line 1, column 4: .source.spec.none.x: "none" in .source.spec is null`, absent: true},
		{name: "a path through a variable names the variable", text: "{{ $s := .source.spec }}\n{{ $s.missing.x }}",
			want: `line 2, column 4: $s.missing.x: no "missing" in $s; it has: apiEndpoint, empty, nested, paused, ports, replicas, weight, zones`, absent: true},
		{name: "a path through the dot names the dot", text: "{{ range .source.status.conditions }}\n  {{ .x.y }}{{ end }}",
			want: `line 2, column 6: .x.y: no "x" in .; it has: status, type`, absent: true},
		{name: "a path through parentheses names them", text: `{{ (index .source "spec").missing.x }}`,
			want: `line 1, column 4: (index .source "spec").missing.x: no "missing" in (index .source "spec"); it has: apiEndpoint, empty, nested, paused, ports, replicas, weight, zones`, absent: true},
		{name: "a reference that has not been found is not yet there", text: `{{ .references.later.data.x }}`,
			want: `line 1, column 4: .references.later.data.x: the object of reference "later" has not been found`, absent: true},
		{name: "index cannot look into absent", text: `{{ index .source.spec.missing "x" }}`,
			want: `line 1, column 4: index .source.spec.missing "x": the value to look into is absent`, absent: true},
		{name: "a string has no fields", text: `{{ .source.metadata.name.first }}`,
			want: `line 1, column 4: .source.metadata.name.first: .source.metadata.name is a string, it has no field "first"`},
		{name: "the place is right in an action of several lines", text: "a\n{{ print\n  \"x\"\n    .source.é.x }}",
			want: `line 4, column 5: .source.é.x: no "é" in .source; it has: apiVersion, data, kind, metadata, spec, status`, absent: true},
		{name: "a field of the root that does not exist lists those that do", text: `{{ .spec.x }}`,
			want: `line 1, column 4: .spec.x: there is no .spec; a template has .source and .references; write .source.spec.x`},
		{name: "a field of the root is checked in a template that is called with it", text: "{{ define \"d\" }}\n{{ .spec }}{{ end }}{{ template \"d\" . }}",
			want: `line 2, column 4 (template "d"): .spec: there is no .spec; a template has .source and .references; write .source.spec`},
		{name: "a field of $ is checked", text: `{{ range .source.spec.zones }}{{ $.foo }}{{ end }}`,
			want: `line 1, column 34: $.foo: there is no $.foo; a template has .source and .references`},
		{name: "a reference that is not declared lists those that are", text: `{{ .references.secret.data.x }}`,
			want: `line 1, column 4: .references.secret.data.x: no reference with key "secret" can be used here; there are: auth, later`},
		{name: "a reference that is not declared is found in index", text: `{{ index .references "secret" "data" }}`,
			want: `line 1, column 22: "secret": no reference with key "secret" can be used here; there are: auth, later`},
		{name: "a function that does not exist gets a suggestion", text: "{{ if true }}\n\t{{ .source | tojsn }}{{ end }}",
			want: `line 2, column 15: tojsn: there is no function "tojsn"; did you mean "toJson"?`},
		{name: "a function that cannot be used says what to do instead", text: `{{ env "HOME" }}`,
			want: `line 1, column 4: env: the function env cannot be used in a template: a template can read only the Source and its references`},
		{name: "too few arguments are counted", text: `{{ replace "a" "b" }}`,
			want: `line 1, column 4: replace "a" "b": replace takes 3 arguments, not 2: replace OLD NEW TEXT`},
		{name: "an argument through a pipe is counted", text: `{{ .source | trimPrefix }}`,
			want: `line 1, column 14: trimPrefix: trimPrefix takes 2 arguments, not 1: trimPrefix PREFIX TEXT`},
		{name: "a literal of a wrong type is found", text: `{{ repeat "x" "y" }}`,
			want: `line 1, column 4: repeat "x" "y": argument 1 of repeat must be a whole number, and is a string: repeat COUNT TEXT`},
		{name: "a value of a wrong type is found", text: `{{ upper .source.spec.zones }}`,
			want: `line 1, column 4: upper .source.spec.zones: argument 1 of upper must be a string, and is a list`},
		{name: "a literal pattern is checked", text: "{{ regexMatch\n \"(a\" .source.kind }}",
			want: `line 2, column 2: "(a": the pattern is no regular expression: missing closing )`},
		{name: "a literal over the limits is found", text: `{{ if .source }}{{ repeat 100000000 "x" }}{{ end }}`, limit: true,
			want: `line 1, column 20: repeat 100000000 "x": the template creates more than 16 MiB of values`},
		{name: "a template that is not defined lists those that are", text: `{{ define "a" }}{{ end }}{{ template "b" . }}`,
			want: `line 1, column 38: {{template "b" .}}: there is no template "b"; defined are: "a"`},
		{name: "data cannot be given arguments", text: `{{ .source.kind "x" }}`,
			want: `line 1, column 4: .source.kind: .source.kind is not a function and cannot be given arguments`},
		{name: "types that cannot be compared are named", text: `{{ eq .source.kind 3 }}`,
			want: `line 1, column 4: eq .source.kind 3: one side is a string, the other is a whole number: they cannot be compared`},
		{name: "a variable of another branch is not seen", text: `{{ if true }}{{ $x := 1 }}{{ else }}{{ $x }}{{ end }}`,
			want: `line 1, column 40: $x: the variable $x is not declared here; its declaration is in another branch`},
		{name: "an undeclared variable is found in its column", text: "{{ $x := 1 }}\n{{ $x }}{{ print $y }}",
			want: `line 2, column 18: $y: the variable $y is not declared; write {{ $y := VALUE }} before it`},
		{name: "an unexpected token is found in its column", text: "a: b\nc: {{ .source.x ! }}",
			want: `line 2, column 17: !: there are no operators: write not X instead of !X`},
		{name: "a block without an end is found where it begins", text: "a\n  {{ if .source }}\n{{ range .source }}{{ end }}\nb",
			want: `line 2, column 3: {{ if .source }}: this {{if}} has no {{end}}`},
		{name: "an action without an end is found where it begins", text: "a\nb {{ .source.kind\nc",
			want: `line 2, column 3: {{ .source.kind: the action that begins here does not end; write }} where it ends`},
		{name: "an end too much is found", text: "a{{ end }}", want: `line 1, column 2: {{ end }}: this {{end}} ends no block: no {{if}}, {{with}}, {{range}} or {{define}} is open here; remove it`},
		{name: "the message of fail is shown if it is a literal", text: `{{ fail "no endpoint" }}`,
			want: `line 1, column 4: fail "no endpoint": no endpoint`},
		{name: "the message of fail is not shown if it is built from values", text: `{{ fail (print "token " .references.auth.data.token) }}`,
			want: `line 1, column 4: fail (print "token " .references.auth.data.token): the template failed on purpose; its message is not shown, because it was built from values`},
		{name: "the keys of a map that the template has made are not listed", text: `{{ (dict .source.metadata.name 1).foo.bar }}`,
			want: `line 1, column 4: (dict .source.metadata.name 1).foo.bar: no "foo" in (dict .source.metadata.name 1)`, absent: true},
		{name: "the keys of a map that the template has changed are not listed", text: `{{ $_ := set .source.spec .source.metadata.name 1 }}{{ .source.spec.foo.bar }}`,
			want: `line 1, column 56: .source.spec.foo.bar: no "foo" in .source.spec`, absent: true},
		{name: "the keys of an item are listed", text: `{{ range .source.status.conditions }}{{ with . }}{{ .foo.bar }}{{ end }}{{ end }}`,
			want: `line 1, column 53: .foo.bar: no "foo" in .; it has: status, type`, absent: true},
		{name: "what holds the references cannot be changed", text: `{{ $_ := set .references "x" 1 }}`,
			want: `line 1, column 10: set .references "x" 1: set can change .source and what is in it, and the object of a reference, but not what holds them`},
		{name: "the root cannot be changed", text: `{{ $_ := merge $ (dict "x" 1) }}`,
			want: `line 1, column 10: merge $ (dict "x" 1): merge can change .source and what is in it, and the object of a reference, but not what holds them`},
		{name: "the column of a parenthesis is found", text: `{{ ( .source.spec).foo.bar }}`,
			want: `line 1, column 4: (.source.spec).foo.bar: no "foo" in (.source.spec); it has: apiEndpoint, empty, nested, paused, ports, replicas, weight, zones`, absent: true},
		{name: "a mistake is found in its own line", text: "a: {{ 1 }}\na: {{ 1 }}\nxxxxxxx\nb: {{ 1 }\n",
			want: `line 4, column 9: }: an action ends with }}`},
		{name: "a long name is cut and compared with nothing", text: `{{ ` + strings.Repeat("a", 10_000) + ` }}`,
			want: `line 1, column 4: ` + strings.Repeat("a", 100) + `…: there is no function "` + strings.Repeat("a", 100) + `…"`},
		{name: "a map is no YAML", text: `a: {{ .source.spec }}`,
			want: `line 1, column 7: .source.spec: the value is a map, and only toYaml and toJson write lists and maps into YAML`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := render(t, tt.text, YAML)
			if diff := cmp.Diff(tt.want, message(err)); diff != "" {
				t.Fatalf("(-want +got)\n%s", diff)
			}
			if err.Absent != tt.absent || err.LimitExceeded != tt.limit {
				t.Errorf("Absent is %t, want %t; LimitExceeded is %t, want %t", err.Absent, tt.absent, err.LimitExceeded, tt.limit)
			}
		})
	}
}

func TestReferencesAreUnavailableUnlessDeclared(t *testing.T) {
	for _, text := range []string{`{{ .references.auth.data }}`, `{{ .references }}`, `{{ $.references.auth }}`} {
		_, err := Compile(text, Options{})
		if e := asError(t, err); e == nil || e.Message != ".references cannot be used here; there is only .source" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestErrorsHoldNoValues(t *testing.T) {
	secret := "S3CR3T-!"
	source := map[string]any{"spec": map[string]any{"s": secret, "m": map[string]any{secret + "x": 1}, "l": []any{secret}}}
	for _, text := range []string{
		`{{ b64dec .source.spec.s }}`, `{{ b32dec .source.spec.s }}`, `{{ mustFromJson .source.spec.s }}`, `{{ fromYaml (print "{" .source.spec.s) }}`,
		`{{ semver .source.spec.s }}`, `{{ semverCompare .source.spec.s "1.2.3" }}`, `{{ semverCompare ">1" .source.spec.s }}`,
		`{{ mustToDate "2006" .source.spec.s }}`, `{{ mustDateModify .source.spec.s now }}`, `{{ regexMatch (print "(" .source.spec.s) "x" }}`,
		`{{ mustRegexFind (print "[" .source.spec.s) "x" }}`, `{{ urlParse (print "%zz" .source.spec.s) }}`, `{{ urlJoin (dict "host" (list .source.spec.s)) }}`,
		`{{ urlJoin (dict "userinfo" (print "%" .source.spec.s)) }}`,
		`{{ index .source.spec.l .source.spec.s }}`, `{{ index .source.spec.s 99 }}`, `{{ substr 5 2 .source.spec.s }}`, `{{ slice .source.spec.s 99 }}`,
		`{{ fail .source.spec.s }}`, `{{ .source.spec.s | fail }}`, `{{ eq .source.spec.s 1 }}`, `{{ lt .source.spec.s 1 }}`, `{{ upper .source.spec.l }}`,
		`{{ range .source.spec.s }}{{ end }}`, `{{ .source.spec.s.x }}`, `{{ div 1 .source.spec.s }}`, `{{ repeat .source.spec.s "x" }}`,
		`{{ dig "s" "x" 1 .source.spec }}`, `{{ merge .source.spec (dict "s" (dict "a" 1)) .source.spec.s }}`, `{{ printf "%p" .source.spec.s }}`,
		`{{ dateInZone .source.spec.s (list 1) (list 2) }}`, `{{ (semver "1.2.3").Compare .source.spec.s }}`, `{{ now.Format .source.spec.l }}`,
		`{{ .source.spec.s "x" }}`, `{{ get .source.spec.s "x" }}`, `{{ toYaml (print .source.spec.s "\xff") }}`,
		`'{{ print .source.spec.s "\n" }}'`, `a: {{ print .source.spec.s ": " }}x`, `# {{ print .source.spec.s "\n" }}`, `a: "{{ print .source.spec.s "\xff" }}"`,
		`- |\n{{ print .source.spec.s "\n" }}`,
	} {
		_, err := renderWith(t, text, YAML, Data{Source: source})
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error holds the value: %v", text, err)
		}
	}
}

// TestErrorsHoldNoNumbers looks for numbers out of the data. Those of literals
// are in the expression anyway.
func TestErrorsHoldNoNumbers(t *testing.T) {
	source := map[string]any{"n": int64(7654321), "m": int64(-7654321), "l": []any{"a"}, "s": "abc"}
	for _, text := range []string{
		`{{ index .source.l .source.n }}`, `{{ slice .source.l .source.n }}`, `{{ slice .source.s 1 .source.n }}`, `{{ until .source.n }}`, `{{ untilStep 0 .source.n 1 }}`,
		`{{ seq .source.n }}`, `{{ repeat .source.m "x" }}`, `{{ indent .source.m "x" }}`, `{{ nindent .source.m "x" }}`, `{{ substr .source.n 2 .source.s }}`,
		`{{ substr 2 .source.m .source.s | substr .source.n 1 }}`, `{{ chunk .source.m .source.l }}`, `{{ randInt .source.n .source.m }}`, `{{ printf "%*d" .source.n 1 }}`, `{{ printf "%.*f" .source.n 1.0 }}`,
		`{{ trunc .source.m .source.s }}{{ fail "" }}`, `{{ abbrev .source.m .source.s }}{{ fail "" }}`, `{{ randAlpha .source.m }}`, `{{ wrap .source.m .source.s }}{{ fail "" }}`,
		`{{ splitn "," .source.m .source.s }}{{ fail "" }}`, `{{ regexSplit "a" .source.s .source.m }}{{ fail "" }}`, `{{ date .source.n .source.n }}`, `{{ div .source.n 0 }}`,
	} {
		_, err := renderWith(t, text, Text, Data{Source: source})
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		if strings.Contains(err.Error(), "765432") {
			t.Errorf("%s: the error holds the number: %v", text, err)
		}
	}
}

func TestDefinitionsAndVariables(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a template sees what it is called with", `{{ define "d" }}{{ .name }}/{{ $.namespace }}{{ end }}{{ template "d" .source.metadata }}`, "blue/fleet"},
		{"a template that is called with the root sees the root", `{{ define "d" }}{{ .source.kind }}{{ $.source.kind }}{{ end }}{{ template "d" . }}{{ with $ }}{{ template "d" . }}{{ end }}`, "ManagedClusterManagedClusterManagedClusterManagedCluster"},
		{"the root can be a value", `{{ $r := . }}{{ $r.source.kind }}{{ (index . "references").auth.kind }}`, "ManagedClusterSecret"},
		{"a block is defined and called", `{{ block "b" .source.kind }}<{{ . }}>{{ end }}`, "<ManagedCluster>"},
		{"variables end with their block", `{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}`, "21"},
		{"assignments reach out of their block", `{{ $x := 1 }}{{ range .source.spec.zones }}{{ $x = . }}{{ end }}{{ $x }}`, "c"},
		{"range has two variables", `{{ range $i, $z := .source.spec.zones }}{{ $i }}{{ $z }}{{ end }}{{ range $k, $v := .source.metadata.labels }} {{ $k }}={{ $v }}{{ end }}`, "0a1b2c region=eu tier=gold"},
		{"break and continue work", `{{ range until 9 }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ if eq . 5 }}{{ break }}{{ end }}{{ . }}{{ end }}`, "0134"},
		{"range counts", `{{ range 3 }}{{ . }}{{ end }}{{ range $i := .source.spec.replicas }}{{ $i }}{{ else }}none{{ end }}`, "012012"},
		{"and and or stop early", `{{ or .source.kind (fail "x") }}{{ and .source.spec.missing (fail "x") }}`, "ManagedCluster"},
		{"pipes are evaluated from the left", `{{ $d := dict "n" 1 }}{{ (set $d "n" 2).n | print (set $d "n" 3).n $d.n }}`, "3 3 2"},
		{"times have methods", `{{ now.Year }} {{ (now).Format "15:04" }} {{ "2006-01-02" | now.Format }} {{ (now.AddDate 0 0 1).Day }} {{ printf "%02d" now.Month }}`, "2026 13:02 2026-05-04 5 05"},
		{"versions have methods", `{{ (semver "1.2.3-rc.1").Major }}{{ (semver "1.2.3-rc.1").Prerelease }}{{ (semver "1.2.3").Compare (semver "1.3.0") }}`, "1rc.1-1"},
		{"numbers are numbers, whatever their type", `{{ eq .source.spec.replicas 3 }}{{ eq .source.spec.weight 1.5 }}{{ has 80 .source.spec.ports }}{{ len (until .source.spec.replicas) }}`, "truetruetrue3"},
		{"a dict can be changed", `{{ $d := dict }}{{ $_ := set $d "k" "v" }}{{ $d.k }}{{ $_ = unset $d "k" }}{{ len $d }}`, "v0"},
		{"labels can be changed for the template", `{{ $l := .source.metadata.labels }}{{ $_ := set $l "new" "x" }}{{ .source.metadata.labels.new }}{{ $l.region }}`, "xeu"},
		{"YAML can be read", `{{ $k := fromYaml "a: &x {b: [1, 2.5, \"3\"]}\nc: {<<: *x, d: ~}" }}{{ toJson $k }}`, `{"a":{"b":[1,2.5,"3"]},"c":{"b":[1,2.5,"3"],"d":null}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := render(t, tt.text, Text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestSameInputsGiveTheSameOutput(t *testing.T) {
	const text = `{{ uuidv4 }} {{ randAlphaNum 9 }} {{ randInt 1 1000 }} {{ shuffle "abcdef" }} {{ randBytes 6 }} {{ now }} {{ ago .source.t }} {{ keys .source }} {{ values .source }} {{ toJson .source }} {{ range $k, $v := .source }}{{ $k }}{{ end }}`
	source := map[string]any{"t": int64(1), "a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}
	first, err := renderWith(t, text, Text, Data{Source: source})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, _ := renderWith(t, text, Text, Data{Source: source})
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatalf("(-first +again)\n%s", diff)
		}
	}
	compiled, _ := Compile(`{{ uuidv4 }}`, Options{})
	one, _ := compiled.Execute(Data{}, Env{Seed: "1"})
	two, _ := compiled.Execute(Data{}, Env{Seed: "2"})
	if one == two {
		t.Errorf("two seeds give the same UUID %s", one)
	}
}
