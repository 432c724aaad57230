package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func reading(name string, source schema.GroupResource, references ...schema.GroupResource) *policyv1alpha1.ClusterImportPolicy {
	policy := &policyv1alpha1.ClusterImportPolicy{}
	policy.Name = name
	policy.Spec.Source.Group, policy.Spec.Source.Resource = source.Group, source.Resource
	for _, reference := range references {
		policy.Spec.References = append(policy.Spec.References, policyv1alpha1.ReferenceTemplate{
			ReferenceTarget: policyv1alpha1.ReferenceTarget{Group: reference.Group, Resource: reference.Resource}})
	}
	return policy
}

// hostWithout answers access reviews: these rights, a verb and a resource, are missing.
func hostWithout(missing []string, err error) Client {
	client := kubernetesfake.NewClientset()
	client.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		asked := review.Spec.ResourceAttributes
		review.Status.Allowed = !slices.Contains(missing, asked.Verb+" "+asked.Resource)
		return true, review, err
	})
	return client
}

func TestTheServersRightsAreCheckedBeforeAMigration(t *testing.T) {
	clusters, secrets, tokens := schema.GroupResource{Group: "a.io", Resource: "clusters"}, schema.GroupResource{Resource: "secrets"}, schema.GroupResource{Group: "b.io", Resource: "tokens"}
	policies := []*policyv1alpha1.ClusterImportPolicy{reading("one", clusters, secrets, secrets, tokens), reading("two", tokens, secrets)}
	for i := range 7 {
		policies = append(policies, reading(fmt.Sprintf("more-%d", i), clusters))
	}
	for name, test := range map[string]struct {
		missing []string // verb and resource
		err     error
		want    string
	}{
		"it may read all": {nil, nil, "No problem was found.\n"},
		"a type": {[]string{"watch tokens"}, nil,
			`problem: the server, which is the ServiceAccount there/policy-apiserver, may not watch tokens.b.io: after the migration, the imports of the policies one, two would wait. Apply the ClusterRole below
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  labels:
    policy.clusterpedia.io/aggregate-to-server: "true"
  name: clusterpedia:policy-sources:tokens.b.io
rules:
- apiGroups:
  - b.io
  resources:
  - tokens
  verbs:
  - get
  - list
  - watch
`},
		"who asks may not": {[]string{"get clusters"}, errors.New("forbidden"),
			"note:    whether the server, which is the ServiceAccount there/policy-apiserver, may read all that the policies name is not known: " +
				"asking the host whether this server may VERB clusters.a.io: forbidden. To ask takes the right to create subjectaccessreviews.authorization.k8s.io\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var found problems
			New(Config{Kubernetes: hostWithout(test.missing, test.err), Namespace: "there"}).checkRights(t.Context(), policies, &found)
			got := found.String()
			for _, verb := range []string{"get", "list", "watch"} { // who is answered first
				got = strings.Replace(got, "may "+verb+" clusters", "may VERB clusters", 1)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}

	var found problems
	missing := []string{"get clusters", "list secrets", "watch tokens"}
	New(Config{Kubernetes: hostWithout(missing, nil), Namespace: "there"}).checkRights(t.Context(), policies, &found)
	if len(found.blocking()) != 3 || !strings.Contains(found[0].text, "the policies more-0, more-1, more-2, more-3, more-4 and 3 more would") {
		t.Errorf("it says %s", found)
	}
	if got := strings.Count(found.String(), "---\n"); got != 3 || strings.Index(found.String(), "---") < strings.LastIndex(found.String(), "problem:") {
		t.Errorf("the ClusterRoles are not at the end: %s", found)
	}
}
