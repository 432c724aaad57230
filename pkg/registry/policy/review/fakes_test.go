package review

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/typecheck"
	"github.com/clusterpedia-io/policy-apiserver/pkg/rights"
)

// fakeHost is a host of these objects, by "resource namespace/name".
type fakeHost struct {
	types   map[string]Type
	schemas map[string]*typecheck.Object
	objects map[string]*unstructured.Unstructured
	// permitted is what is answered about the rights of this server, nil when it has them.
	permitted func(ctx context.Context, resource string) error
	// alike are the types that a name which is not served may stand for.
	alike []schema.GroupResource
	// failure is the answer to every read, if set.
	failure error

	mu    sync.Mutex
	calls []string
}

func (h *fakeHost) record(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf(format, args...))
}

func (h *fakeHost) Resolve(_ context.Context, name schema.GroupResource, versions []string) (Type, error) {
	found, ok := h.types[name.Resource]
	if !ok {
		return Type{}, &NotServedError{Resource: name, Versions: versions, Alike: h.alike}
	}
	return found, nil
}

func (h *fakeHost) ObjectType(_ context.Context, resource schema.GroupVersionResource) (*typecheck.Object, error) {
	object, ok := h.schemas[resource.Resource]
	if !ok {
		return nil, fmt.Errorf("no schema of %s", resource)
	}
	return object, nil
}

func (h *fakeHost) Permitted(ctx context.Context, resource schema.GroupResource) error {
	if h.permitted == nil {
		return nil
	}
	return h.permitted(ctx, resource.Resource)
}

func (h *fakeHost) Get(_ context.Context, resource schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	key := resource.Resource + " " + namespace + "/" + name
	h.record("get %s", key)
	if h.failure != nil {
		return nil, h.failure
	}
	return h.objects[key], nil
}

// Schema is not known, so that the shipped one is used.
func (h *fakeHost) Schema(context.Context) *render.Schema { return nil }

// List takes the number of objects to skip for a token.
func (h *fakeHost) List(_ context.Context, resource schema.GroupVersionResource, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	h.record("list %s limit=%d", resource.Resource, options.Limit)
	if h.failure != nil {
		return nil, h.failure
	}
	skip := 0
	if options.Continue != "" {
		var err error
		if skip, err = strconv.Atoi(options.Continue); err != nil {
			return nil, apierrors.NewBadRequest("continue key is not valid")
		}
	}
	list := &unstructured.UnstructuredList{}
	for _, key := range slices.Sorted(maps.Keys(h.objects)) {
		if !strings.HasPrefix(key, resource.Resource+" ") {
			continue
		}
		if selector, err := labels.Parse(options.LabelSelector); err != nil || !selector.Matches(labels.Set(h.objects[key].GetLabels())) {
			continue
		}
		if skip--; skip >= 0 {
			continue
		}
		if int64(len(list.Items)) == options.Limit {
			from, _ := strconv.Atoi(options.Continue)
			list.SetContinue(strconv.Itoa(from + len(list.Items)))
			break
		}
		list.Items = append(list.Items, *h.objects[key])
	}
	return list, nil
}

// fakeAuthorizer allows "verb resource" for all objects and "verb resource
// namespace/name" for one.
type fakeAuthorizer struct {
	allowed []string
	mu      sync.Mutex
	asked   []string
}

func (a *fakeAuthorizer) Authorize(_ context.Context, attrs authorizer.Attributes) (authorizer.Decision, string, error) {
	question := attrs.GetVerb() + " " + attrs.GetResource()
	if attrs.GetName() != "" {
		question += " " + attrs.GetNamespace() + "/" + attrs.GetName()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, question)
	if attrs.GetUser().GetName() == "alice" && slices.Contains(a.allowed, question) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// fakeLifecycles is a storage of lifecycles.
type fakeLifecycles struct {
	rest.Lister // for what is not used
	items       []policy.PediaClusterLifecycle
}

func (l *fakeLifecycles) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	for i := range l.items {
		if l.items[i].Name == name {
			return &l.items[i], nil
		}
	}
	return nil, apierrors.NewNotFound(policy.Resource("pediaclusterlifecycles"), name)
}

func (l *fakeLifecycles) List(_ context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	name, bySource := options.FieldSelector.RequiresExactMatch(policyv1alpha1.FieldSourceName)
	list := &policy.PediaClusterLifecycleList{}
	for _, item := range l.items {
		if !bySource || item.Spec.Source.Name == name {
			list.Items = append(list.Items, item)
		}
	}
	return list, nil
}

// world is a host with clusters of a platform, their Secrets, PediaClusters and
// lifecycles, and a caller who may read everything.
type world struct {
	host       fakeHost
	authorizer fakeAuthorizer
	lifecycles fakeLifecycles
}

func newWorld() *world {
	w := &world{}
	w.host.types = map[string]Type{
		"clusters":      {GroupVersionResource: schema.GroupVersionResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters"}},
		"secrets":       {GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, Namespaced: true},
		"pediaclusters": {GroupVersionResource: schema.GroupVersionResource{Group: "cluster.clusterpedia.io", Version: "v1alpha2", Resource: "pediaclusters"}},
	}
	w.host.objects = map[string]*unstructured.Unstructured{}
	w.authorizer.allowed = []string{"list clusters", "get clusters", "get secrets", "get pediaclusters", "get pediaclusterlifecycles", "list pediaclusterlifecycles"}
	return w
}

func (w *world) reviewer() *Reviewer { return New(&w.host, &w.authorizer, &w.lifecycles) }

// addCluster makes a Source and its Secret.
func (w *world) addCluster(name string) {
	w.host.objects["clusters /"+name] = &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": name, "uid": name}}}
	w.host.objects["secrets default/"+name] = &unstructured.Unstructured{Object: map[string]any{
		"data": map[string]any{"token": "c2VjcmV0"}}}
}

// addImport makes the lifecycle and the PediaCluster of a Source.
func (w *world) addImport(name string) {
	controller := true
	lifecycle := policy.PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{Name: "mcp-" + name, UID: "lifecycle-uid",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "ClusterImportPolicy", Name: "mcp", Controller: &controller}}}}
	lifecycle.Spec.Source = policy.DependentResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters", Name: name}
	w.lifecycles.items = append(w.lifecycles.items, lifecycle)

	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"apiserver": "https://old"}}}
	object.SetName("mcp-" + name)
	object.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "policy.clusterpedia.io/v1alpha1",
		Kind: "PediaClusterLifecycle", Name: "mcp-" + name, UID: "lifecycle-uid"}})
	object.SetAnnotations(map[string]string{policyv1alpha1.CreatedForAnnotation: "mcp/clusters.cluster.mcp.io//" + name})
	w.host.objects["pediaclusters /mcp-"+name] = object
}

// created has a lifecycle say that its PediaCluster is there, and whether its cluster is ready.
func (w *world) created(at int, ready string) {
	status := &w.lifecycles.items[at].Status
	status.Conditions = []metav1.Condition{{Type: policyv1alpha1.LifecycleCreated, Status: metav1.ConditionTrue}}
	status.Cluster = &policy.ClusterState{Ready: ready}
}

// lack takes rights on types from this server.
func (w *world) lack(resources ...string) {
	w.host.permitted = func(_ context.Context, resource string) error {
		if !slices.Contains(resources, resource) {
			return nil
		}
		return &rights.Error{Resource: schema.GroupResource{Resource: resource}, Verbs: []string{"list", "watch"}}
	}
}

func (w *world) forbid(permissions ...string) {
	w.authorizer.allowed = slices.DeleteFunc(w.authorizer.allowed, func(allowed string) bool {
		return slices.Contains(permissions, allowed)
	})
}

func mcpSpec() *policy.ClusterImportPolicySpec {
	return &policy.ClusterImportPolicySpec{
		Source: policy.SourceType{Group: "cluster.mcp.io", Resource: "clusters"},
		References: []policy.ReferenceTemplate{{ReferenceTarget: policy.ReferenceTarget{Key: "secret", Resource: "secrets",
			NamespaceTemplate: ptr.To("default"), NameTemplate: "{{ .source.metadata.name }}"}}},
		NameTemplate: "mcp-{{ .source.metadata.name }}",
		MaxPrune:     ptr.To(intstr.FromString("10%")),
		Conversion: policy.Conversion{
			Template:          "spec: {apiserver: https://new, tokenData: {{ .references.secret.data.token }}, syncResources: []}",
			CreationCondition: "true",
			DeletionPolicy:    policy.DeletionPolicyDelete,
		},
	}
}

func asAlice(t *testing.T) context.Context {
	return genericapirequest.WithUser(t.Context(), &user.DefaultInfo{Name: "alice"})
}

// answer asks and returns the answer.
func (w *world) answer(t *testing.T, spec policy.RenderReviewSpec) *policy.RenderReview {
	t.Helper()
	answer, err := w.reviewer().Answer(asAlice(t), subject(), &policy.RenderReview{Spec: spec}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func subject() Subject {
	return Subject{Resource: policy.Resource("clusterimportpolicies"), Name: "mcp", UID: "policy-uid", PolicyName: "mcp", Policy: mcpSpec()}
}

func named(name string) policy.RenderReviewSpec {
	return policy.RenderReviewSpec{Source: &policy.SourceName{Name: name}}
}

// asJSON is what of an answer could tell something.
func asJSON(t *testing.T, review *policy.RenderReview) string {
	t.Helper()
	text, err := json.Marshal(review.Status)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func objectMeta(name, uid string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: types.UID(uid)}
}
