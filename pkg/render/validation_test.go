package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/clusterpedia-io/policy-apiserver/artifacts/crds"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// examplePediaCluster is an entry of testdata/pediaclusters.yaml.
type examplePediaCluster struct {
	Name     string         `json:"name"`
	Object   map[string]any `json:"object"`
	Problems []string       `json:"problems"`
}

func examplePediaClusters(t testing.TB) (examples []examplePediaCluster) {
	t.Helper()
	text, err := os.ReadFile("testdata/pediaclusters.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &examples); err != nil {
		t.Fatal(err)
	}
	return examples
}

// unstructuredOf is a PediaCluster with these fields.
func unstructuredOf(t testing.TB, fields map[string]any) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{Object: maps.Clone(fields)}
	object.SetGroupVersionKind(PediaClusterGVK)
	object.SetName("one")
	raw, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	read := &unstructured.Unstructured{} // its numbers are as the decoder's
	if err := read.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return read
}

func shippedDefinition(t testing.TB) *unstructured.Unstructured {
	t.Helper()
	definition := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(crds.PediaClusters, &definition.Object); err != nil {
		t.Fatal(err)
	}
	return definition
}

func TestEachProblemNamesFieldAndRemedyAndNoValue(t *testing.T) {
	for _, example := range examplePediaClusters(t) {
		t.Run(example.Name, func(t *testing.T) {
			object := unstructuredOf(t, example.Object)
			before := object.DeepCopy()
			var got []string
			for _, problem := range ShippedSchema().Validate(object) {
				got = append(got, problem.String())
			}
			if diff := cmp.Diff(example.Problems, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if strings.Contains(strings.Join(got, ""), "s3cret") {
				t.Errorf("a value is shown: %s", got)
			}
			if diff := cmp.Diff(before, object); diff != "" {
				t.Errorf("the object was changed (-before +after):\n%s", diff)
			}
		})
	}
}

// richSchema is the schema of a definition with rules that Clusterpedia's does not have.
func richSchema(t testing.TB, spec string) *Schema {
	t.Helper()
	text := fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: pediaclusters.cluster.clusterpedia.io}
spec:
  versions:
  - name: v1alpha2
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: %s
`, spec)
	var definition unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(text), &definition.Object); err != nil {
		t.Fatal(err)
	}
	schema, err := SchemaOf(&definition)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestTheRulesOfAnotherDefinitionCount(t *testing.T) {
	schema := richSchema(t, `
            type: object
            required: [mode, retries]
            properties:
              mode: {type: string, enum: [Fast, Safe]}
              name: {type: string, pattern: '^[a-z]+$', maxLength: 5, minLength: 2}
              retries: {type: integer, minimum: 1, maximum: 5, default: 3}
              share: {type: number, exclusiveMinimum: true, minimum: 0}
              extra: {type: object, x-kubernetes-preserve-unknown-fields: true}
              tags: {type: object, maxProperties: 1, additionalProperties: {type: string}}
              list: {type: array, maxItems: 1, items: {type: string, format: date}}
              port: {x-kubernetes-int-or-string: true}
              either: {type: object, properties: {a: {type: string}, b: {type: string}}, oneOf: [{required: [a]}, {required: [b]}]}
`)
	for _, test := range []struct {
		spec string
		want []string
	}{
		{"{mode: Fast, retries: 1, name: abc, share: 0.5, extra: {any: [1]}, tags: {a: b}, list: [2020-01-01], port: 1, either: {a: x}}", nil},
		{"{mode: Safe, port: x}", nil}, // retries has a default
		{"{}", []string{"spec.mode: is missing: it must be a string"}},
		{"{mode: s3cret}", []string{"spec.mode: must be one of [Fast Safe]"}},
		{"{mode: Fast, name: S3CRET}", []string{"spec.name: must be at most 5 chars long"}},
		{"{mode: Fast, name: S3}", []string{"spec.name: must match '^[a-z]+$'"}},
		{"{mode: Fast, name: a}", []string{"spec.name: must be at least 2 chars long"}},
		{"{mode: Fast, retries: 9}", []string{"spec.retries: must be less than or equal to 5"}},
		{"{mode: Fast, retries: 0}", []string{"spec.retries: must be greater than or equal to 1"}},
		{"{mode: Fast, retries: 1.5}", []string{"spec.retries: must be an integer, not a number"}},
		{"{mode: Fast, retries: \"1\"}", []string{"spec.retries: must be an integer, not a string: write it without quotes"}},
		{"{mode: Fast, share: 0}", []string{"spec.share: must be greater than 0"}},
		{"{mode: Fast, tags: {a: 1}}", []string{"spec.tags.a: must be a string, not an integer"}},
		{"{mode: Fast, tags: {\"s3cret!\": 1}}", []string{"a field of spec.tags: must be a string, not an integer"}},
		{"{mode: Fast, tags: {a: b, c: d}}", []string{"spec.tags: must have at most 1 properties"}},
		{"{mode: Fast, list: [s3cret]}", []string{"spec.list[0]: does not have the format date"}},
		{"{mode: Fast, list: [2020-01-01, 2020-01-02]}", []string{"spec.list: must have at most 1 items"}},
		{"{mode: Fast, either: {a: s3cret, b: s3cret}}", []string{"spec.either: does not satisfy the rule oneOf of its schema"}},
		{"{mode: Fast, other: s3cret}", []string{"spec.other: unknown field: known are either, extra, list, mode, name, port, retries, share, tags"}},
	} {
		t.Run(test.spec, func(t *testing.T) {
			var spec map[string]any
			if err := yaml.Unmarshal([]byte(test.spec), &spec); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, problem := range schema.Validate(unstructuredOf(t, map[string]any{"spec": spec})) {
				got = append(got, problem.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlainScalarsTakeTheirTypeFromTheHostsDefinition(t *testing.T) {
	schema := richSchema(t, `
            type: object
            properties:
              apiserver: {type: string}
              newer: {type: string}
              names: {type: array, items: {type: string}}
              tags: {type: object, additionalProperties: {type: string}}
              count: {type: integer}
`)
	decoded, err := decodePediaCluster("one", &engine.Rendered{Text: "spec: {apiserver: 1, newer: 0x10, names: [on, 2], tags: {a: 1.10}, count: 5}"}, schema)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"apiserver": "1", "newer": "0x10", "names": []any{"on", "2"}, "tags": map[string]any{"a": "1.10"}, "count": int64(5)}
	if diff := cmp.Diff(want, decoded.object.Object["spec"]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if problems := schema.Validate(decoded.object); len(problems) > 0 {
		t.Error(problems)
	}
}

func TestWhatIsNoDefinitionOfPediaClustersIsAnError(t *testing.T) {
	for name, definition := range map[string]map[string]any{
		"nothing":         {},
		"another version": {"spec": map[string]any{"versions": []any{map[string]any{"name": "v1"}}}},
		"no schema":       {"spec": map[string]any{"versions": []any{map[string]any{"name": "v1alpha2"}}}},
		"another type":    {"spec": "x"},
		"a reference": {"spec": map[string]any{"versions": []any{map[string]any{"name": "v1alpha2",
			"schema": map[string]any{"openAPIV3Schema": map[string]any{"$ref": "#/x"}}}}}},
	} {
		if schema, err := SchemaOf(&unstructured.Unstructured{Object: definition}); err == nil {
			t.Errorf("%s: compiled to %v", name, schema)
		}
	}
}

func TestManyProblemsAreCounted(t *testing.T) {
	items := make([]any, 30)
	for i := range items {
		items[i] = map[string]any{"group": "", "resources": "s3cret"}
	}
	problems := ShippedSchema().Validate(unstructuredOf(t, map[string]any{"spec": map[string]any{"syncResources": items}}))
	if len(problems) != 30 || !strings.HasSuffix(problems.Error(), "; and 20 more") {
		t.Errorf("%d problems: %v", len(problems), problems)
	}
}

// BenchmarkValidate is what a new PediaCluster costs in addition: of ten groups of resources.
func BenchmarkValidate(b *testing.B) {
	items := make([]any, 10)
	for i := range items {
		items[i] = map[string]any{"group": fmt.Sprint("group", i), "resources": []any{"*"}, "versions": []any{"v1"}}
	}
	object := unstructuredOf(b, map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b", "c": "d"}},
		"spec": map[string]any{"apiserver": "https://one", "caData": strings.Repeat("YWJj", 400), "tokenData": strings.Repeat("YWJj", 300), "syncResources": items}})
	schema := ShippedSchema()
	b.ReportAllocs()
	for b.Loop() {
		if problems := schema.Validate(object); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

// BenchmarkCompileSchema is what a change of the definition costs, once.
func BenchmarkCompileSchema(b *testing.B) {
	definition := shippedDefinition(b)
	for b.Loop() {
		if _, err := SchemaOf(definition); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheckTemplate is what the template of a policy costs when the policy is written.
func BenchmarkCheckTemplate(b *testing.B) {
	spec := mcpSpec(b, false)
	for b.Loop() {
		if problems := CheckTemplate(spec.Template, nil); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
