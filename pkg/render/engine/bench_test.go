package engine

import (
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

const (
	benchTemplate = `spec:
  apiserver: "{{ .source.spec.apiEndpoint }}"
  caData: "{{ .references.auth.data.ca }}"
  tokenData: "{{ .references.auth.data.token }}"
  syncResources:
  - group: ""
    resources:
    - "pods"
    - "services"
    - "configmaps"
  - group: "apps"
    versions:
    - "v1"
    resources:
    - "deployments"
    - "statefulsets"
    - "daemonsets"
  syncAllCustomResources: true
`
	benchCondition = `{{ if ne .source.spec.apiEndpoint "" }} {{ range .source.status.conditions }} {{ if eq .type "Ready" }} {{ if eq .status "True" }} true {{ end }} {{ end }} {{ end }} {{ end }}`
)

// benchData is a cluster with 3 KB of credentials.
func benchData() Data {
	data := Data{Source: object(), References: references()}
	credential := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("-----BEGIN CERTIFICATE-----\n", 50)))[:1500]
	data.References["auth"]["data"] = map[string]any{"ca": credential, "token": credential}
	return data
}

// BenchmarkPolicy compares one import, template and condition, with what plain
// text/template and sprig need for it. Parsing is left out: both are compiled
// once per policy.
func BenchmarkPolicy(b *testing.B) {
	data := benchData()
	b.Run("engine", func(b *testing.B) {
		b.ReportAllocs()
		t, err := Compile(benchTemplate, Options{Output: YAML, References: []string{"auth"}})
		if err != nil {
			b.Fatal(err)
		}
		condition, err := Compile(benchCondition, Options{References: []string{"auth"}})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := t.Execute(data, env); err != nil {
				b.Fatal(err)
			}
			if _, err := condition.Execute(data, env); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("text-template", func(b *testing.B) {
		b.ReportAllocs()
		t := template.Must(template.New("t").Funcs(sprig.TxtFuncMap()).Parse(benchTemplate))
		condition := template.Must(template.New("c").Funcs(sprig.TxtFuncMap()).Parse(benchCondition))
		root := map[string]any{"source": data.Source, "references": map[string]any{"auth": data.References["auth"]}}
		for b.Loop() {
			for _, t := range []*template.Template{t, condition} {
				var out strings.Builder
				if err := t.Execute(&out, root); err != nil {
					b.Fatal(err)
				}
				_, _ = io.WriteString(io.Discard, out.String())
			}
		}
	})
}

// BenchmarkCompile is what a change of a policy costs.
func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(benchTemplate, Options{Output: YAML, References: []string{"auth"}}); err != nil {
			b.Fatal(err)
		}
	}
}
