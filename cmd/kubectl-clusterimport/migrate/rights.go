package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/rights"
)

// serverAccount is the ServiceAccount that artifacts/deploy gives the server, whatever
// its Service is called.
const serverAccount = "policy-apiserver"

// checkRights finds the types that policies name and the server may not read: their imports
// would no longer follow their Sources. A policy that does nothing reads nothing.
func (m *Migration) checkRights(ctx context.Context, policies []*policyv1alpha1.ClusterImportPolicy, found *problems) {
	readers := readersOf(policies)
	may := rights.ServiceAccount(m.Kubernetes.AuthorizationV1().SubjectAccessReviews(), m.Namespace, serverAccount)
	for _, resource := range slices.SortedFunc(maps.Keys(readers), func(a, b schema.GroupResource) int {
		return strings.Compare(a.String(), b.String())
	}) {
		err := rights.Check(ctx, may, resource)
		missing := (*rights.Error)(nil)
		switch {
		case err == nil:
		case errors.As(err, &missing):
			*found = append(*found, problem{blocks: true, manifest: manifestOf(missing), text: fmt.Sprintf(
				"the server, which is the ServiceAccount %s/%s, may not %s %s: after the migration, the imports of %s would wait. Apply the ClusterRole below",
				m.Namespace, serverAccount, missing.What(), resource, nameAll(readers[resource]))})
		default:
			found.note("whether the server, which is the ServiceAccount %s/%s, may read all that the policies name is not known: %v. "+
				"To ask takes the right to create subjectaccessreviews.authorization.k8s.io", m.Namespace, serverAccount, err)
			return
		}
	}
}

// readersOf are the types that the policies name, each with the names of those policies.
func readersOf(policies []*policyv1alpha1.ClusterImportPolicy) map[schema.GroupResource]sets.Set[string] {
	readers := map[schema.GroupResource]sets.Set[string]{}
	read := func(policy, group, resource string) {
		named := schema.GroupResource{Group: group, Resource: resource}
		if readers[named] == nil {
			readers[named] = sets.New[string]()
		}
		readers[named].Insert(policy)
	}
	for _, policy := range policies {
		read(policy.Name, policy.Spec.Source.Group, policy.Spec.Source.Resource)
		for _, reference := range policy.Spec.References {
			read(policy.Name, reference.Group, reference.Resource)
		}
	}
	return readers
}

// nameAll names policies, or the first of many.
func nameAll(policies sets.Set[string]) string {
	const most = 5
	names := sets.List(policies)
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	word := "policy "
	if len(policies) > 1 {
		word = "the policies "
	}
	return word + strings.Join(names, ", ") + more
}

func manifestOf(missing *rights.Error) string {
	text, err := yaml.JSONToYAML([]byte(missing.Role()))
	if err != nil {
		return missing.Role() // which is YAML too
	}
	return string(text)
}

// writeManifests prints what solves the problems, as kubectl apply takes it.
func (p problems) writeManifests(text *strings.Builder) {
	for _, problem := range p {
		if problem.manifest != "" {
			fmt.Fprintf(text, "---\n%s", problem.manifest)
		}
	}
}
