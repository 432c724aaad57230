package playground

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// onCluster is a cluster that has the objects of a case of Karmada, and its policy.
func onCluster(t *testing.T, name string) (*Cluster, *dynamicfake.FakeDynamicClient, Texts) {
	t.Helper()
	texts := example(t, "karmada", name)
	mapper := meta.NewDefaultRESTMapper(nil)
	listKinds := map[schema.GroupVersionResource]string{}
	for _, kind := range []schema.GroupVersionKind{
		{Group: "cluster.karmada.io", Version: "v1alpha1", Kind: "Cluster"}, {Version: "v1", Kind: "Secret"}, render.PediaClusterGVK,
		policyv1alpha1.SchemeGroupVersion.WithKind("PediaClusterLifecycle"),
	} {
		mapper.Add(kind, meta.RESTScopeNamespace)
		resource, _ := meta.UnsafeGuessKindToResource(kind)
		listKinds[resource] = kind.Kind + "List"
	}
	var objects, metadata []runtime.Object
	for _, text := range append(strings.Split(texts.References, "---\n"), texts.Source) {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
			t.Fatal(err)
		}
		if object.GetKind() == "CustomResourceDefinition" {
			continue
		}
		object.SetAnnotations(map[string]string{corev1.LastAppliedConfigAnnotation: text})
		object.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl"}})
		objects = append(objects, object)
		if object.GetKind() == "Cluster" {
			metadata = append(metadata, &metav1.PartialObjectMetadata{
				TypeMeta: metav1.TypeMeta{APIVersion: object.GetAPIVersion(), Kind: object.GetKind()}, ObjectMeta: metav1.ObjectMeta{Name: object.GetName()}})
		}
	}
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds, objects...)
	return &Cluster{Called: "fleet", Mapper: mapper, Objects: client, Metadata: metadatafake.NewSimpleMetadataClient(scheme, metadata...)}, client, texts
}

func ask[T any](t *testing.T, s *Server, path string, body any) T {
	t.Helper()
	w := serve(s, request(s, "POST", path, body))
	if w.Code != http.StatusOK {
		t.Fatalf("%s is answered with %d: %s", path, w.Code, w.Body)
	}
	return decode[T](t, w)
}

func TestASourceOfTheClusterIsEvaluatedWithMaskedCredentials(t *testing.T) {
	cluster, client, texts := onCluster(t, "push")
	s := newServer(t, cluster)
	if start := decode[Start](t, serve(s, request(s, "GET", "/api/start", nil))); start.Cluster != "fleet" {
		t.Errorf("the cluster is %q", start.Cluster)
	}
	list := ask[SourceList](t, s, "/api/live/sources", SourceRequest{Policy: texts.Policy})
	if diff := cmp.Diff(SourceList{Sources: []policyv1alpha1.SourceName{{Name: "member1"}}}, list); diff != "" {
		t.Fatal(diff)
	}
	w := serve(s, request(s, "POST", "/api/live/source", SourceRequest{Policy: texts.Policy, Source: &list.Sources[0]}))
	var secret corev1.Secret
	if err := yaml.Unmarshal([]byte(strings.Split(texts.References, "---\n")[0]), &secret); err != nil || len(secret.Data["token"]) == 0 {
		t.Fatalf("%v: %v", secret, err)
	}
	for _, credential := range []string{string(secret.Data["token"]), "dGhlIHRva2VuIG9mIG1lbWJlcjE=", "LS0tLS1CRUdJTi"} {
		if strings.Contains(w.Body.String(), credential) {
			t.Errorf("a credential is shown: %s", w.Body)
		}
	}
	opened := decode[SourceTexts](t, w)
	if len(opened.Notes) > 0 || strings.Contains(opened.Source+opened.References, "managedFields") || strings.Contains(opened.References, corev1.LastAppliedConfigAnnotation) {
		t.Errorf("opened %+v", opened)
	}

	// What is evaluated with the masks is what the credentials give.
	masked := ask[Evaluation](t, s, "/api/evaluate", Texts{Policy: texts.Policy, Source: opened.Source, References: opened.References})
	plain := ask[Evaluation](t, s, "/api/evaluate", texts)
	if masked.Result == nil || plain.Result == nil {
		t.Fatalf("%+v, %+v", masked, plain)
	}
	if diff := cmp.Diff(plain.Result, masked.Result); diff != "" {
		t.Errorf("masked credentials give something else (-plain +masked):\n%s", diff)
	}

	for _, action := range client.Actions() {
		if !slices.Contains([]string{"get", "list"}, action.GetVerb()) {
			t.Errorf("it does %s", action.GetVerb())
		}
	}
}

func TestMasksOfAnotherPlaygroundAreNotKnown(t *testing.T) {
	cluster, _, texts := onCluster(t, "push")
	opened := func(s *Server) SourceTexts {
		return ask[SourceTexts](t, s, "/api/live/source", SourceRequest{Policy: texts.Policy, Source: &policyv1alpha1.SourceName{Name: "member1"}})
	}
	former, s := newServer(t, cluster), newServer(t, cluster)
	old := opened(former)
	opened(s)
	evaluated := ask[Evaluation](t, s, "/api/evaluate", Texts{Policy: texts.Policy, Source: old.Source, References: old.References})
	if !slices.ContainsFunc(evaluated.Findings, func(f Finding) bool {
		return f.Editor == referencesEditor && f.Severity == Error && strings.Contains(f.Message, "choose the Source again")
	}) {
		t.Errorf("findings %+v", evaluated.Findings)
	}
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	one := &policyv1alpha1.SourceName{Name: "member1"}
	t.Run("a reference", func(t *testing.T) {
		cluster, client, texts := onCluster(t, "push")
		client.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "member1", errors.New("not you"))
		})
		opened := ask[SourceTexts](t, newServer(t, cluster), "/api/live/source", SourceRequest{Policy: texts.Policy, Source: one})
		if len(opened.Notes) != 1 || !strings.Contains(opened.Notes[0], `secrets "member1" is forbidden: not you`) || opened.Source == "" {
			t.Errorf("opened %+v", opened)
		}
	})
	t.Run("a reference that does not exist", func(t *testing.T) {
		cluster, _, texts := onCluster(t, "no-secret")
		opened := ask[SourceTexts](t, newServer(t, cluster), "/api/live/source", SourceRequest{Policy: texts.Policy, Source: one})
		if len(opened.Notes) > 0 || opened.References != "" {
			t.Errorf("opened %+v", opened)
		}
	})
	for name, test := range map[string]struct {
		change func(*Texts)
		source *policyv1alpha1.SourceName
		want   string
	}{
		"a type that is not served": {func(texts *Texts) {
			texts.Policy = strings.ReplaceAll(texts.Policy, "cluster.karmada.io", "nope.example.com")
		}, one,
			"the cluster does not serve clusters.nope.example.com"},
		"a version that is not served": {func(texts *Texts) { texts.Policy = strings.ReplaceAll(texts.Policy, "[v1alpha1]", "[v9]") }, one, "the cluster does not serve clusters.cluster.karmada.io"},
		"a Source that does not exist": {func(*Texts) {}, &policyv1alpha1.SourceName{Name: "nobody"}, `"nobody" not found`},
		"no Source":                    {func(*Texts) {}, nil, "name a Source"},
		"a policy with a mistake":      {func(texts *Texts) { texts.Policy = strings.ReplaceAll(texts.Policy, "nameTemplate", "nameTemplat") }, one, "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, _, texts := onCluster(t, "push")
			test.change(&texts)
			s := newServer(t, cluster)
			w := serve(s, request(s, "POST", "/api/live/source", SourceRequest{Policy: texts.Policy, Source: test.source}))
			if got := decode[Refusal](t, w).Error; w.Code != http.StatusUnprocessableEntity || !strings.Contains(got, test.want) {
				t.Errorf("answered %d: %s; want %q", w.Code, got, test.want)
			}
		})
	}
}

func TestWhatIsMasked(t *testing.T) {
	for name, test := range map[string]struct {
		object map[string]any
		secret []string
		plain  []string
	}{
		"a Secret": {map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": map[string]any{"token": "c2VjcmV0"}, "stringData": map[string]any{"x": "clear"}},
			[]string{"c2VjcmV0", "clear"}, []string{"Opaque", `"token"`}},
		"a PediaCluster": {map[string]any{"apiVersion": render.PediaClusterGVK.GroupVersion().String(), "kind": "PediaCluster",
			"spec": map[string]any{"apiserver": "me:word@one.example.com", "tokenData": "dG9rZW4=", "kubeconfig": "a3ViZQ==", "shardingName": "s"}},
			[]string{"word", "dG9rZW4=", "a3ViZQ=="}, []string{"shardingName", `"s"`}},
		"an address": {map[string]any{"apiVersion": "x.io/v1", "kind": "Cluster", "spec": map[string]any{"list": []any{"https://me:word@one.example.com/x"}, "mail": "me@example.com"}},
			[]string{"word"}, []string{"me@example.com"}},
		"a ConfigMap": {map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "b"}}, nil, []string{`"b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newServer(t, nil).masks
			object := &unstructured.Unstructured{Object: test.object}
			before := object.DeepCopy()
			masked := m.mask(object)
			text, err := json.Marshal(masked.Object)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range test.secret {
				if strings.Contains(string(text), secret) {
					t.Errorf("%s is shown: %s", secret, text)
				}
			}
			for _, plain := range test.plain {
				if !strings.Contains(string(text), plain) {
					t.Errorf("%s is not shown: %s", plain, text)
				}
			}
			if !cmp.Equal(before, object) {
				t.Error("the object itself was changed")
			}
			if !m.reveal(masked) || !cmp.Equal(before, masked) {
				t.Errorf("it does not come back: %v", masked)
			}
		})
	}
}
