package clusterimportpolicy

import (
	"testing"

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
			Group: test.group, Resource: test.resource, NamespaceTemplate: test.namespaceTemplate}}}}
		if got := warnings(&spec); (len(got) > 0) != test.warned {
			t.Errorf("%s.%s %q: %v", test.resource, test.group, test.namespaceTemplate, got)
		}
	}
}

func TestASpecThatStaysIsNotWarnedOf(t *testing.T) {
	strategy, obj := testStrategy(), validPolicy()
	obj.Spec.References = []policy.ReferenceTemplate{{ReferenceTarget: policy.ReferenceTarget{
		Resource: "secrets", NamespaceTemplate: "{{ .source.spec.namespace }}"}}}
	if len(strategy.WarningsOnCreate(t.Context(), obj)) != 1 || len(strategy.WarningsOnUpdate(t.Context(), obj, validPolicy())) != 1 {
		t.Error("no warning about a new spec")
	}
	if got := strategy.WarningsOnUpdate(t.Context(), obj, obj.DeepCopy()); len(got) > 0 {
		t.Errorf("a spec that stays: %v", got)
	}
}
