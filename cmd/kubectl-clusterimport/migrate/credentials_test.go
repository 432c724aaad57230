package migrate

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// fakeHost has Sources, each with a Secret of its name.
type fakeHost struct {
	review.Host // for what is not used

	sources []unstructured.Unstructured
	secrets map[string]map[string]any
	refuses bool
}

func (h *fakeHost) Resolve(_ context.Context, name schema.GroupResource, _ []string) (review.Type, error) {
	if name.Resource == "gone" {
		return review.Type{}, &review.NotServedError{Resource: name}
	}
	return review.Type{GroupVersionResource: name.WithVersion("v1")}, nil
}

func (h *fakeHost) Get(_ context.Context, resource schema.GroupVersionResource, _, name string) (*unstructured.Unstructured, error) {
	if h.refuses {
		return nil, apierrors.NewForbidden(resource.GroupResource(), name, nil)
	}
	data, ok := h.secrets[name]
	if !ok {
		return nil, nil
	}
	return &unstructured.Unstructured{Object: map[string]any{"data": data}}, nil
}

// List returns a page of one Source.
func (h *fakeHost) List(_ context.Context, _ schema.GroupVersionResource, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	page := 0
	if options.Continue != "" {
		_, _ = fmt.Sscan(options.Continue, &page)
	}
	list := &unstructured.UnstructuredList{Items: h.sources[page : page+1]}
	if page+1 < len(h.sources) {
		list.SetContinue(fmt.Sprint(page + 1))
	}
	return list, nil
}

func (h *fakeHost) Schema(context.Context) *render.Schema { return nil }

func TestSourcesThatWouldWaitForACredentialAreListed(t *testing.T) {
	source := func(name string) unstructured.Unstructured {
		return unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"namespace": "blue", "name": name}}}
	}
	host := &fakeHost{
		sources: []unstructured.Unstructured{source("good"), source("new"), source("live"), source("never"), source("no-secret")},
		secrets: map[string]map[string]any{
			"good": {"token": "dG9rZW4=", "key": "a2V5"}, "new": {"token": "dG9rZW4="}, "live": {"token": "dG9rZW4="}, "never": {"token": "dG9rZW4="},
		},
	}
	live := func(name, kubeconfig string) *unstructured.Unstructured {
		object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"kubeconfig": kubeconfig}}}
		object.SetGroupVersionKind(render.PediaClusterGVK)
		object.SetName(name)
		return object
	}
	objects := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{render.PediaClusterGVR: "PediaClusterList"}, live("mcp-live", "a2V5"), live("mcp-never", ""))
	policy := func(resource string) *policyv1alpha1.ClusterImportPolicy {
		return &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mcp"}, Spec: policyv1alpha1.ClusterImportPolicySpec{
			Source: policyv1alpha1.SourceType{Resource: resource},
			References: []policyv1alpha1.ReferenceTemplate{{ReferenceTarget: policyv1alpha1.ReferenceTarget{Key: "auth", Resource: "secrets",
				NamespaceTemplate: ptr.To("blue"), NameTemplate: "{{ .source.metadata.name }}"}}},
			NameTemplate: "mcp-{{ .source.metadata.name }}",
			Conversion: policyv1alpha1.Conversion{CreationCondition: "true",
				Template: "spec:\n  apiserver: https://x\n  tokenData: {{ .references.auth.data.token }}\n  kubeconfig: {{ .references.auth.data.key }}\n  syncResources: []\n"},
		}}
	}
	notes := func(policy *policyv1alpha1.ClusterImportPolicy) string {
		t.Helper()
		var found problems
		m := New(Config{Objects: objects, Host: host})
		if err := m.checkCredentials(t.Context(), []*policyv1alpha1.ClusterImportPolicy{policy}, &found); err != nil {
			t.Fatal(err)
		}
		if len(found.blocking()) > 0 {
			t.Errorf("it is in the way: %s", found)
		}
		return found.String()
	}

	got := notes(policy("clusters"))
	for _, part := range []string{`policy "mcp": `, "missing for 2 of its Sources", "blue/new: not created while spec.kubeconfig is missing",
		"blue/live: endpoint and credentials stay as they are while spec.kubeconfig is missing", `no "key" in .references.auth.data; it has: token`} {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in\n%s", part, got)
		}
	}
	for _, part := range []string{"good", "never", "no-secret"} {
		if strings.Contains(got, part) {
			t.Errorf("%q is listed in\n%s", part, got)
		}
	}
	if got := notes(policy("gone")); !strings.Contains(got, "was not found out: the host does not serve gone") {
		t.Error(got)
	}
	host.refuses = true
	if got := notes(policy("clusters")); !strings.Contains(got, "was not found out") || !strings.Contains(got, "forbidden") {
		t.Error(got)
	}
	if got := len(shorten(make([]string, 80))); got != shownSources+1 {
		t.Errorf("%d lines", got)
	}
}
