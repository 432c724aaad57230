package author

import (
	"fmt"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// anyVersion asks about a type in all its versions: which of them is read may
// change while the policy lives.
const anyVersion = "*"

// permission is one that the host knows of: to do verb to all objects of a type,
// to those of a namespace, or to one that has a name.
type permission struct {
	verb            string
	resource        schema.GroupVersionResource
	namespace, name string
}

// need is what a policy does with a type, and so what its author must be allowed
// to do.
type need struct {
	permissions []permission
	// where and why complete the sentence "user may not get secrets".
	where, why string
}

func newNeed(of permission, why string, verbs ...string) need {
	n := need{why: why}
	for _, verb := range verbs {
		of.verb = verb
		n.permissions = append(n.permissions, of)
	}
	return n
}

// reads are the needs that come from what a policy reads.
func reads(spec *policy.ClusterImportPolicySpec) []need {
	source := schema.GroupVersionResource{Group: spec.Source.Group, Version: anyVersion, Resource: spec.Source.Resource}
	needs := []need{newNeed(permission{resource: source}, "which spec.source names", "list", "watch")}
	for i := range spec.References {
		needs = append(needs, readsReference(&spec.References[i], i))
	}
	return needs
}

// readsReference is as narrow as the templates are literal: whoever may get more
// than that may get that.
func readsReference(ref *policy.ReferenceTemplate, index int) need {
	wanted := permission{resource: schema.GroupVersionResource{Group: ref.Group, Version: anyVersion, Resource: ref.Resource}}
	where := " in all namespaces"
	if namespace, ok := literal(ptr.Deref(ref.NamespaceTemplate, "")); ok {
		wanted.namespace, where = namespace, ""
		if name, ok := literal(ref.NameTemplate); ok {
			wanted.name = name
			where = fmt.Sprintf(" %q", name)
		}
		if namespace != "" {
			where += fmt.Sprintf(" in the namespace %q", namespace)
		}
	}
	needed := newNeed(wanted, fmt.Sprintf("which spec.references[%d] (%q) reads", index, ref.Key), "get")
	needed.where = where
	return needed
}

// literal is what a template renders when it has no actions.
func literal(template string) (string, bool) {
	return strings.TrimSpace(template), !strings.Contains(template, "{{")
}

// writes is the need that every policy has.
func writes() need {
	return newNeed(permission{resource: render.PediaClusterGVR}, "which the policy writes", "create", "patch", "delete")
}

// imports is the permission that stands for all that a policy of this name reads.
func imports(name string) permission {
	return permission{verb: "import", resource: policyv1alpha1.SchemeGroupVersion.WithResource("clusterimportpolicies"), name: name}
}

// sameAuthority reports whether a policy reads and writes just as it did before.
//
// Left out are the fields that can only end or delay what the policy does:
// suspend and maxPrune, which an operator has to reach in an emergency, and
// deletionPolicy, which is about PediaClusters that the policy itself has made.
// Conditions count: they read references too, and what they render shows. A field
// that is added to the API counts until it is named here.
func sameAuthority(updated, stored policy.ClusterImportPolicySpec) bool {
	for _, spec := range []*policy.ClusterImportPolicySpec{&updated, &stored} {
		spec.DeletionPolicy, spec.MaxPrune, spec.Suspend, spec.Rollout = "", nil, false, nil
	}
	return apiequality.Semantic.DeepEqual(updated, stored)
}
