package clusterimportpolicy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/install"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/openapi"
)

// A tool compares a manifest with what the server serves, and applies the manifest again
// while there is a difference. So nothing that a manifest says may be lost, and nothing may
// be added where such a tool looks: to the items of a list.

// explicitPolicy says explicitly what means the same as leaving it out.
const explicitPolicy = `
apiVersion: policy.clusterpedia.io/v1alpha1
kind: ClusterImportPolicy
metadata: {name: explicit}
spec:
  source:
    group: ""
    resource: secrets
    versions: []
    labelSelector: {matchLabels: {}, matchExpressions: []}
    selectorTemplate: ""
  references: []
  nameTemplate: "explicit-{{ .source.metadata.name }}"
  template: |
    spec: {apiserver: "https://a", syncResources: []}
  creationCondition: "true"
  deletionCondition: ""
  deletionPolicy: Delete
  maxPrune: 0
  suspend: false
`

// explicitItems does so in the items of lists, beside items that leave it out.
const explicitItems = `
apiVersion: policy.clusterpedia.io/v1alpha1
kind: ClusterImportPolicy
metadata: {name: items}
spec:
  source:
    group: cluster.mcp.io
    resource: clusters
    labelSelector:
      matchExpressions:
      - {key: a, operator: Exists, values: []}
      - {key: b, operator: Exists}
  references:
  - {key: explicit, group: "", resource: namespaces, versions: [], namespaceTemplate: "", nameTemplate: a}
  - {key: absent, group: "", resource: namespaces, nameTemplate: a}
  nameTemplate: "items-{{ .source.metadata.name }}"
  template: |
    spec: {apiserver: "https://a", syncResources: []}
  creationCondition: "true"
`

// manifests are the policies that are shipped, and the ones above, by name.
func manifests(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	add := func(name string, text []byte) {
		asJSON, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found[name] = asJSON
	}
	for _, pattern := range []string{"platforms/*/policy.yaml", "examples/*/policy.yaml"} {
		files, err := filepath.Glob("../../../../artifacts/" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no policies in %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			add(file, text)
		}
	}
	add("everything is explicit", []byte(explicitPolicy))
	add("items are explicit", []byte(explicitItems))
	return found
}

// storage writes and reads policies as the API does.
type storage struct {
	Strategy
	codec   runtime.Codec
	decoder runtime.Decoder
}

func newStorage() storage {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	return storage{NewStrategy(scheme), codecs.LegacyCodec(policyv1alpha1.SchemeGroupVersion), codecs.UniversalDecoder()}
}

// create returns what is served of a manifest after it was written.
func (s storage) create(t *testing.T, manifest []byte) []byte {
	t.Helper()
	created := s.decode(t, manifest)
	s.PrepareForCreate(jane, created)
	if errs := s.Validate(jane, created); len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	created.ResourceVersion = "1"
	return s.serve(t, created)
}

// update returns what is served after a patch of what was served has been written.
func (s storage) update(t *testing.T, served, patched []byte) []byte {
	t.Helper()
	updated, stored := s.decode(t, patched), s.decode(t, served)
	s.PrepareForUpdate(jane, updated, stored)
	if errs := s.ValidateUpdate(jane, updated, stored); len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return s.serve(t, updated)
}

func (s storage) decode(t *testing.T, text []byte) *policy.ClusterImportPolicy {
	t.Helper()
	object, err := runtime.Decode(s.decoder, text)
	if err != nil {
		t.Fatal(err)
	}
	return object.(*policy.ClusterImportPolicy)
}

// serve stores a policy, reads it and encodes it for a client.
func (s storage) serve(t *testing.T, object *policy.ClusterImportPolicy) []byte {
	t.Helper()
	stored, err := runtime.Encode(s.codec, object)
	if err != nil {
		t.Fatal(err)
	}
	served, err := runtime.Encode(s.codec, s.decode(t, stored))
	if err != nil {
		t.Fatal(err)
	}
	return served
}

// threeWay are the patches that kubectl and Argo CD compute when a manifest is applied over
// what an earlier one has made.
func threeWay(t *testing.T, original, modified, current []byte) map[string][]byte {
	t.Helper()
	merge, err := jsonmergepatch.CreateThreeWayJSONMergePatch(original, modified, current)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := strategicpatch.NewPatchMetaFromStruct(policyv1alpha1.ClusterImportPolicy{})
	if err != nil {
		t.Fatal(err)
	}
	strategic, err := strategicpatch.CreateThreeWayMergePatch(original, modified, current, schema, true)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"JSON merge patch": merge, "strategic merge patch": strategic}
}

func TestASecondApplyOfAManifestChangesNothing(t *testing.T) {
	storage := newStorage()
	for name, manifest := range manifests(t) {
		served := storage.create(t, manifest)
		for kind, patch := range threeWay(t, manifest, manifest, served) {
			if string(patch) != "{}" {
				t.Errorf("%s: the %s of a second apply is %s", name, kind, patch)
			}
		}
	}
}

// TestAManifestThatBecomesExplicitIsServedBack applies the explicit manifests over policies that
// leave the same fields out.
func TestAManifestThatBecomesExplicitIsServedBack(t *testing.T) {
	storage := newStorage()
	for name, manifest := range map[string]string{"fields": explicitPolicy, "items": explicitItems} {
		explicit, err := yaml.YAMLToJSON([]byte(manifest))
		if err != nil {
			t.Fatal(err)
		}
		implicit := withoutEmpty(t, explicit)
		served := storage.create(t, implicit)
		for kind, patch := range threeWay(t, implicit, explicit, served) {
			var after []byte
			if kind == "strategic merge patch" {
				after, err = strategicpatch.StrategicMergePatch(served, patch, policyv1alpha1.ClusterImportPolicy{})
			} else {
				after, err = mergePatch(served, patch)
			}
			if err != nil {
				t.Fatal(err)
			}
			after = storage.update(t, served, after)
			for _, again := range threeWay(t, explicit, explicit, after) {
				if string(again) != "{}" {
					t.Errorf("%s, by a %s %s: what is left to apply is %s", name, kind, patch, again)
				}
			}
		}
	}
}

// withoutEmpty removes what is empty from a manifest, except the empty groups, which are
// required.
func withoutEmpty(t *testing.T, manifest []byte) []byte {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(manifest, &object); err != nil {
		t.Fatal(err)
	}
	removeEmpty(object)
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func removeEmpty(value any) {
	switch value := value.(type) {
	case map[string]any:
		for key, field := range value {
			if removeEmpty(field); key != "group" && isEmpty(field) {
				delete(value, key)
			}
		}
	case []any:
		for _, item := range value {
			removeEmpty(item)
		}
	}
}

func isEmpty(value any) bool {
	switch value := value.(type) {
	case string:
		return value == ""
	case bool:
		return !value
	case map[string]any:
		return len(value) == 0
	case []any:
		return len(value) == 0
	}
	return false
}

func mergePatch(document, patch []byte) ([]byte, error) {
	var object, changes map[string]any
	if err := json.Unmarshal(document, &object); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(patch, &changes); err != nil {
		return nil, err
	}
	merge(object, changes)
	return json.Marshal(object)
}

func merge(object, changes map[string]any) {
	for key, change := range changes {
		inner, ok := object[key].(map[string]any)
		if nested, isMap := change.(map[string]any); ok && isMap {
			merge(inner, nested)
			continue
		}
		object[key] = change
	}
}

// TestEveryFieldOfASpecIsServedBack says one field at a time explicitly, empty, wherever it may
// stand. It is served back, or it is refused.
func TestEveryFieldOfASpecIsServedBack(t *testing.T) {
	storage, schemas := newStorage(), newSchemas()
	explicit := schemas.explicit(t, policyv1alpha1.ClusterImportPolicySpec{}.OpenAPIModelName())
	if len(explicit) < 20 {
		t.Fatalf("only %d fields: %v", len(explicit), explicit)
	}
	for _, spec := range explicit {
		manifest, err := json.Marshal(map[string]any{"apiVersion": policyv1alpha1.SchemeGroupVersion.String(), "kind": "ClusterImportPolicy", "spec": spec})
		if err != nil {
			t.Fatal(err)
		}
		object, err := runtime.Decode(storage.decoder, manifest)
		if err != nil {
			if !strings.Contains(err.Error(), "leave the field out") {
				t.Errorf("%s: %v", manifest, err)
			}
			continue
		}
		served := storage.serve(t, object.(*policy.ClusterImportPolicy))
		for kind, patch := range threeWay(t, manifest, manifest, served) {
			if string(patch) != "{}" {
				t.Errorf("%s is not served back: the %s of a second apply is %s", manifest, kind, patch)
			}
		}
	}
}

// schemas are the published types by name.
type schemas map[string]common.OpenAPIDefinition

func newSchemas() schemas {
	return openapi.GetOpenAPIDefinitions(func(name string) spec.Ref { return spec.MustCreateRef("#/definitions/" + name) })
}

// explicit returns objects of a type: for each field that is reachable from it one that has
// this field, empty, and nothing else that is not required.
func (s schemas) explicit(t *testing.T, name string) (objects []map[string]any) {
	t.Helper()
	definition, ok := s[name]
	if !ok {
		t.Fatalf("no type %s", name)
	}
	for field, schema := range definition.Schema.Properties {
		for _, value := range s.values(t, name+"."+field, schema) {
			object := s.required(name)
			object[field] = value
			objects = append(objects, object)
		}
	}
	return objects
}

// required is an object that has the required fields of a type, empty.
func (s schemas) required(name string) map[string]any {
	object := map[string]any{}
	for _, field := range s[name].Schema.Required {
		object[field] = ""
		if ref := referred(s[name].Schema.Properties[field]); ref != "" {
			object[field] = s.required(ref)
		}
	}
	return object
}

// referred is the name of the type that a field has, empty for a basic type.
func referred(schema spec.Schema) string {
	return strings.TrimPrefix(schema.Ref.String(), "#/definitions/")
}

// values are the empty values of a field, and those in which something deeper is empty.
func (s schemas) values(t *testing.T, field string, schema spec.Schema) (values []any) {
	t.Helper()
	if ref := referred(schema); ref != "" {
		switch {
		case strings.HasSuffix(ref, ".IntOrString"):
			return []any{0, ""}
		case !strings.HasPrefix(ref, "io.clusterpedia."):
			t.Errorf("%s: is a %s served as it was written?", field, ref)
			return nil
		}
		values = append(values, s.required(ref))
		for _, object := range s.explicit(t, ref) {
			values = append(values, object)
		}
		return values
	}
	switch {
	case schema.Type.Contains("array"):
		values = append(values, []any{})
		for _, item := range s.values(t, field, *schema.Items.Schema) {
			values = append(values, []any{item})
		}
		return values
	case schema.Type.Contains("string"):
		return []any{""}
	case schema.Type.Contains("boolean"):
		return []any{false}
	case schema.Type.Contains("integer"):
		return []any{0}
	case schema.Type.Contains("object"):
		return []any{map[string]any{}}
	}
	t.Errorf("%s: what is an empty %s?", field, schema.Type)
	return nil
}

// TestReferencesAreMergedByTheirKey patches one reference of two.
func TestReferencesAreMergedByTheirKey(t *testing.T) {
	storage := newStorage()
	manifest, err := yaml.YAMLToJSON([]byte(explicitItems))
	if err != nil {
		t.Fatal(err)
	}
	served := storage.create(t, manifest)
	patched, err := strategicpatch.StrategicMergePatch(served,
		[]byte(`{"spec":{"references":[{"key":"absent","nameTemplate":"b"}]}}`), policyv1alpha1.ClusterImportPolicy{})
	if err != nil {
		t.Fatal(err)
	}
	var after policyv1alpha1.ClusterImportPolicy
	if err := json.Unmarshal(storage.update(t, served, patched), &after); err != nil {
		t.Fatal(err)
	}
	want := []policyv1alpha1.ReferenceTemplate{
		{ReferenceTarget: policyv1alpha1.ReferenceTarget{Key: "explicit", Resource: "namespaces", NamespaceTemplate: ptr.To(""), NameTemplate: "a"}, Versions: []string{}},
		{ReferenceTarget: policyv1alpha1.ReferenceTarget{Key: "absent", Resource: "namespaces", NameTemplate: "b"}},
	}
	if diff := cmp.Diff(want, after.Spec.References); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
