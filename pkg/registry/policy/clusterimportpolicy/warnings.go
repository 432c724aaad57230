package clusterimportpolicy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

var (
	// ownNamespace is the namespace of the Source itself, which its author may
	// write to anyway.
	ownNamespace = regexp.MustCompile(`\.source\.metadata\.namespace\b`)
	sourceField  = regexp.MustCompile(`\.source\b`)
)

// warnings are what is probably not meant, as far as the spec alone tells.
func warnings(spec *policy.ClusterImportPolicySpec) (warnings []string) {
	for i, ref := range spec.References {
		chosen := sourceField.MatchString(ownNamespace.ReplaceAllString(ptr.Deref(ref.NamespaceTemplate, ""), ""))
		if ref.Group == "" && ref.Resource == "secrets" && chosen {
			warnings = append(warnings, fmt.Sprintf("spec.references[%d].namespaceTemplate: fields of the Source choose the namespace: "+
				"users who may write one of these Sources can have a Secret of any namespace read into a PediaCluster", i))
		}
	}
	if fields := render.NeverOptional(spec.Template); slices.Contains(fields, "tokenData") && slices.Contains(fields, "certData") {
		warnings = append(warnings, "spec.template: tokenData and certData are written for every Source: one that lacks either is not imported, and waits "+
			"with the reason CredentialsMissing. Put a credential that not all of them have inside a condition, such as "+
			"{{ with .source.data.token }}tokenData: {{ . }}{{ end }}")
	}
	return append(warnings, literalWarnings(spec)...)
}

// literalWarnings are about templates without an action where one is needed.
func literalWarnings(spec *policy.ClusterImportPolicySpec) (warnings []string) {
	for _, condition := range []struct{ field, text string }{
		{"spec.source.selectorTemplate", spec.Source.SelectorTemplate},
		{"spec.creationCondition", spec.CreationCondition},
		{"spec.deletionCondition", spec.DeletionCondition},
	} {
		if text := strings.TrimSpace(condition.text); text != "" && render.NeverTrue(text) {
			warnings = append(warnings, condition.field+": it is never true, since it always prints more than \"true\": "+
				"write the whole condition in braces, such as {{ eq .source.status.phase \"Ready\" }}")
		}
	}
	if name := strings.TrimSpace(spec.NameTemplate); name != "" && !strings.Contains(name, "{{") {
		warnings = append(warnings, "spec.nameTemplate: all Sources have the same name, so that only one is imported: "+
			"use a field of the Source, such as {{ .source.metadata.name }}")
	}
	return warnings
}
