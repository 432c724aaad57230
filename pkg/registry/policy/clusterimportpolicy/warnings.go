package clusterimportpolicy

import (
	"fmt"
	"regexp"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
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
		chosen := sourceField.MatchString(ownNamespace.ReplaceAllString(ref.NamespaceTemplate, ""))
		if ref.Group == "" && ref.Resource == "secrets" && chosen {
			warnings = append(warnings, fmt.Sprintf("spec.references[%d].namespaceTemplate: fields of the Source choose the namespace: "+
				"whoever may write one of these Sources can have a Secret of any namespace read into a PediaCluster", i))
		}
	}
	return warnings
}
