package e2e

import (
	"testing"
)

func TestABadPolicyIsRefusedWithAMessageThatTellsWhere(t *testing.T) {
	t.Parallel()
	reference := func(key, nameTemplate string) []any {
		return []any{map[string]any{"key": key, "group": "", "resource": "secrets",
			"namespaceTemplate": "default", "nameTemplate": nameTemplate}}
	}
	for name, test := range map[string]struct {
		path  []string
		value any
		want  []string
	}{
		"a template with a syntax error": {
			[]string{"spec", "template"}, "spec:\n  apiserver: \"{{ .source.spec.apiEndpoint \"\n",
			[]string{"spec.template", "line 2"}},
		"a template that calls an unknown function": {
			[]string{"spec", "template"}, "spec:\n  apiserver: \"{{ nonsense .source.spec.apiEndpoint }}\"\n",
			[]string{"spec.template", "line 2", "nonsense"}},
		"a template that calls a function that is not available": {
			[]string{"spec", "template"}, "spec:\n  apiserver: \"{{ env \\\"HOME\\\" }}\"\n",
			[]string{"spec.template", "line 2"}},
		"a condition with a syntax error": {
			[]string{"spec", "creationCondition"}, "{{ if true }}",
			[]string{"spec.creationCondition", "line 1"}},
		"a reference that cannot be parsed": {
			[]string{"spec", "references"}, reference("authSecret", "{{ .source."),
			[]string{"spec.references[0].nameTemplate", "line 1"}},
		"a reference without a key": {
			[]string{"spec", "references"}, reference("", "{{ .source.metadata.name }}"),
			[]string{"spec.references[0].key"}},
		"a template that reads an undeclared reference": {
			[]string{"spec", "template"}, "spec:\n  tokenData: \"{{ .references.nobody.data.token }}\"\n",
			[]string{"spec.template", "nobody"}},
		"a reference that reads itself": {
			[]string{"spec", "references"}, reference("authSecret", "{{ .references.authSecret.metadata.name }}"),
			[]string{"spec.references[0].nameTemplate", "authSecret"}},
		"a policy without a name template": {
			[]string{"spec", "nameTemplate"}, "",
			[]string{"spec.nameTemplate"}},
		"a resource that is none": {
			[]string{"spec", "source", "resource"}, "Clusters/status",
			[]string{"spec.source.resource"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := shared.newPlatform(t, "bad")
			set(t, p.manifests.policy, test.value, test.path...)
			_, err := p.tryApply(t, p.manifests.policy.Object)
			if err == nil {
				t.Fatal("the policy was accepted")
			}
			contains(t, err.Error(), test.want...)
		})
	}
}

func TestAnUnknownFieldIsRefusedByName(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "unknown")
	set(t, p.manifests.policy, "x", "spec", "nonsense")
	_, err := p.tryApply(t, p.manifests.policy.Object)
	if err == nil {
		t.Fatal("the policy was accepted")
	}
	contains(t, err.Error(), "spec.nonsense")
}
