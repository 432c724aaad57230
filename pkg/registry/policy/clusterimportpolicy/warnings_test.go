package clusterimportpolicy

import (
	"testing"

	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

func TestSourcesThatChooseTheNamespaceOfASecretAreWarnedOf(t *testing.T) {
	for _, test := range []struct {
		group, resource, namespaceTemplate string
		warned                             bool
	}{
		{"", "secrets", "{{ .source.spec.secretRef.namespace }}", true},
		{"", "secrets", `{{ index .source "spec" "namespace" }}`, true},
		{"", "secrets", "{{ .source.metadata.namespace }}-{{ .source.spec.suffix }}", true},
		{"", "secrets", "{{ .source.metadata.namespace }}", false},
		{"", "secrets", "mcp-system", false},
		{"", "configmaps", "{{ .source.spec.namespace }}", false},
		{"vault.io", "secrets", "{{ .source.spec.namespace }}", false},
	} {
		spec := policy.ClusterImportPolicySpec{References: []policy.ReferenceTemplate{{ReferenceTarget: policy.ReferenceTarget{
			Group: test.group, Resource: test.resource, NamespaceTemplate: ptr.To(test.namespaceTemplate)}}}}
		if got := warnings(&spec); (len(got) > 0) != test.warned {
			t.Errorf("%s.%s %q: %v", test.resource, test.group, test.namespaceTemplate, got)
		}
	}
}

func TestBothKindsOfCredentialsWithoutAConditionAreWarnedOf(t *testing.T) {
	const both = "spec:\n  tokenData: {{ .source.data.token }}\n  certData: {{ index .source.data \"tls.crt\" }}\n"
	for _, test := range []struct {
		name, template string
		warned         bool
	}{
		{"both", both, true},
		{"in quotes", `spec: {"tokenData": "{{ .source.data.token }}", 'certData': '{{ .source.data.cert }}'}`, true},
		{"as blocks", "spec:\n  tokenData: |-\n    {{ .source.data.token }}\n  certData: >\n    {{ .source.data.cert }}\n", true},
		{"by a defined template", `{{ define "c" }}` + both + `{{ end }}{{ template "c" . }}`, true},
		{"only one of them", "spec: {tokenData: {{ .source.data.token }}}", false},
		{"a kubeconfig", "spec: {tokenData: {{ .source.data.token }}, kubeconfig: {{ .source.data.cert }}}", false},
		{"the field in with", "spec:\n  tokenData: {{ .source.data.token }}\n  {{- with .source.data.cert }}\n  certData: {{ . }}\n  {{- end }}\n", false},
		{"the value in with", "spec: {tokenData: {{ with .source.data.token }}{{ . }}{{ end }}, certData: {{ .source.data.cert }}}", false},
		{"one or the other", "spec:\n  {{- if .source.data.token }}\n  tokenData: {{ .source.data.token }}\n  {{- else }}\n  certData: {{ .source.data.cert }}\n  {{- end }}\n", false},
		{"a literal", "spec: {tokenData: abcd, certData: {{ .source.data.cert }}}", false},
		{"in a comment", "spec:\n  tokenData: {{ .source.data.token }}\n  # certData: {{ .source.data.cert }}\n", false},
		{"a field of another name", "spec: {tokenData: {{ .source.data.token }}, xcertData: {{ .source.data.cert }}}", false},
		{"a template that calls itself", `{{ define "c" }}{{ template "c" . }}{{ end }}{{ template "c" . }}`, false},
	} {
		got := warnings(&policy.ClusterImportPolicySpec{Conversion: policy.Conversion{Template: test.template}})
		if (len(got) > 0) != test.warned {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestASpecThatStaysIsNotWarnedOf(t *testing.T) {
	strategy, obj := testStrategy(), validPolicy()
	obj.Spec.References = []policy.ReferenceTemplate{{ReferenceTarget: policy.ReferenceTarget{
		Resource: "secrets", NamespaceTemplate: ptr.To("{{ .source.spec.namespace }}")}}}
	if len(strategy.WarningsOnCreate(t.Context(), obj)) != 1 || len(strategy.WarningsOnUpdate(t.Context(), obj, validPolicy())) != 1 {
		t.Error("no warning about a new spec")
	}
	if got := strategy.WarningsOnUpdate(t.Context(), obj, obj.DeepCopy()); len(got) > 0 {
		t.Errorf("a spec that stays: %v", got)
	}
}
