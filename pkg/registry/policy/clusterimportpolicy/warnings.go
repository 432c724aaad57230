package clusterimportpolicy

import (
	"fmt"
	"regexp"
	"slices"

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
				"whoever may write one of these Sources can have a Secret of any namespace read into a PediaCluster", i))
		}
	}
	if fields := render.NeverOptional(spec.Template); slices.Contains(fields, "tokenData") && slices.Contains(fields, "certData") {
		warnings = append(warnings, "spec.template: tokenData and certData are written for every Source: one that lacks either is not imported, and waits "+
			"with the reason CredentialsMissing. Put a credential that not all of them have inside a condition, such as "+
			"{{ with .source.data.token }}tokenData: {{ . }}{{ end }}")
	}
	return warnings
}
