package typecheck

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

var things = schema.GroupVersionResource{Group: "example.io", Version: "v1", Resource: "things"}

// document is an OpenAPI v3 document in which things are of this schema.
func document(root string, definitions ...string) []byte {
	return []byte(`{"paths": {"/apis/example.io/v1/namespaces/{namespace}/things/{name}": {"get": {"responses": {"200": {"content": {"application/json":
		{"schema": ` + root + `}}}}}}}, "components": {"schemas": {` + strings.Join(definitions, ",") + `}}}`)
}

func TestWhatASchemaSays(t *testing.T) {
	spec := func(schema string) string {
		return `{"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": ` + schema + `}}}}`
	}
	for _, test := range []struct{ name, schema, template, want string }{
		{"a string", spec(`{"type": "string"}`), "{{ .source.spec.x.y }}", "is a string"},
		{"null is allowed", spec(`{"type": ["string", "null"]}`), "{{ .source.spec.x.y }}", "is a string"},
		{"nullable", spec(`{"type": "string", "nullable": true}`), "{{ .source.spec.x.y }}", "is a string"},
		{"two types", spec(`{"type": ["string", "integer"]}`), "{{ .source.spec.x.y }}", ""},
		{"a number or a string", spec(`{"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}`), `{{ eq .source.spec.x "1" }}`, ""},
		{"a number or a string of a built-in type", spec(`{"type": "string", "format": "int-or-string"}`), `{{ eq .source.spec.x 1 }}`, ""},
		{"one of several", spec(`{"oneOf": [{"type": "string"}, {"type": "number"}]}`), `{{ eq .source.spec.x 1 }}`, ""},
		{"no type", spec(`{}`), `{{ .source.spec.x.y }}`, ""},
		{"additional properties", spec(`{"type": "object", "additionalProperties": {"type": "integer"}}`), `{{ eq .source.spec.x.y "1" }}`, ".source.spec.x.y is a whole number"},
		{"additional properties of any type", spec(`{"type": "object", "additionalProperties": true}`), `{{ .source.spec.x.y.z }}`, ""},
		{"additional properties beside others", spec(`{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "integer"}}`),
			`{{ .source.spec.x.a }}{{ eq .source.spec.x.b "1" }}`, ".source.spec.x.b is a whole number"},
		{"no properties", spec(`{"type": "object"}`), `{{ .source.spec.x.y }}`, ""},
		{"no additional properties", spec(`{"type": "object", "additionalProperties": false}`), `{{ .source.spec.x.y }}`, `has no "y" in .source.spec.x`},
		{"unknown fields are kept", spec(`{"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-preserve-unknown-fields": true}`),
			`{{ .source.spec.x.y }}{{ .source.spec.x.a.b }}`, ".source.spec.x.a is a string"},
		{"unknown fields are not kept", spec(`{"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-preserve-unknown-fields": false}`),
			`{{ .source.spec.x.y }}`, `has no "y"`},
		{"an object in it", spec(`{"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "string"}}}`),
			`{{ .source.spec.x.kind }}{{ .source.spec.x.metadata.labels.y }}{{ .source.spec.x.y }}`, `has no "y" in .source.spec.x`},
		{"any object in it", spec(`{"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}`),
			`{{ .source.spec.x.kind }}{{ .source.spec.x.spec.y }}`, ""},
		{"a list", spec(`{"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}}`), `{{ range .source.spec.x }}{{ .b }}{{ end }}`, `has no "b" in .source.spec.x[]`},
		{"a list of anything", spec(`{"type": "array"}`), `{{ range .source.spec.x }}{{ .b }}{{ end }}`, ""},
		{"a definition with a default", spec(`{"allOf": [{"$ref": "#/components/schemas/X"}], "default": {}}`), `{{ .source.spec.x.y }}`, `has no "y" in .source.spec.x`},
		{"several definitions at once", spec(`{"allOf": [{"$ref": "#/components/schemas/X"}, {"type": "object"}]}`), `{{ .source.spec.x.y }}`, ""},
		{"a definition that is missing", spec(`{"$ref": "#/components/schemas/Nowhere"}`), `{{ .source.spec.x.y }}`, ""},
		{"a definition that is broken", spec(`{"$ref": "#/components/schemas/Broken"}`), `{{ .source.spec.x.y }}`, ""},
		{"a definition that is itself", spec(`{"$ref": "#/components/schemas/Itself"}`), `{{ .source.spec.x.y }}`, ""},
		{"a definition that contains itself", spec(`{"$ref": "#/components/schemas/Tree"}`), `{{ .source.spec.x.left.left.right.y }}`, `has no "y" in .source.spec.x.left.left.right; it has: left, right`},
		{"an enumeration of numbers", spec(`{"type": "integer", "enum": [1, 2]}`), `{{ eq .source.spec.x 3 }}`, ""},
		{"metadata without fields", `{"type": "object", "properties": {"metadata": {"type": "object"}}}`, `{{ .source.metadata.nam }}`, `did you mean "name"`},
		{"no object", `{"type": "string"}`, `{{ .source.spec.x }}`, ""},
		{"any object", `{"type": "object", "x-kubernetes-preserve-unknown-fields": true}`, `{{ .source.spec.x.y }}{{ .source.metadata.nam }}`, `has no "nam" in .source.metadata`},
	} {
		object := FromOpenAPI(document(test.schema, `"X": {"type": "object", "properties": {"a": {"type": "string"}}}`, `"Broken": {"type": 1, "properties": []}`,
			`"Itself": {"allOf": [{"$ref": "#/components/schemas/Itself"}]}`,
			`"Tree": {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/Tree"}, "right": {"$ref": "#/components/schemas/Tree"}}}`), things)
		got := checked(t, object, "template", "x: "+test.template)
		if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
			t.Errorf("%s: want %q, got %q", test.name, test.want, got)
		}
	}
}

func TestASchemaThatSaysNothingIsNoType(t *testing.T) {
	for _, document := range []string{"", "null", "[]", "{", `{"paths": 1}`, `{"paths": {"/apis/example.io/v1/things/{name}": {}}}`,
		`{"paths": {"/apis/example.io/v1/things/{name}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/None"}}}}}}}}}`,
		strings.Repeat(" ", maxDocument) + "{}"} {
		if object := FromOpenAPI([]byte(document), things); object != nil {
			t.Errorf("%.100s: %v", document, object)
		}
	}
	for _, crd := range []string{"{}", `{"spec": {"versions": [{"name": "v1", "served": true}]}}`,
		`{"spec": {"versions": [{"name": "v1", "served": true, "schema": {"openAPIV3Schema": {"type": "string"}}}]}}`,
		`{"spec": {"preserveUnknownFields": true, "versions": [{"name": "v1", "served": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "string"}}}}}]}}`,
		`{"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "string"}}}}}]}}`} {
		definition, err := FromDefinition([]byte(crd))
		if err != nil || definition.Objects["v1"] != nil {
			t.Errorf("%s: %v, %v", crd, definition, err)
		}
	}
	for _, crd := range []string{"", "[", `{"spec": []}`, `{"spec": {"versions": [{"schema": {"openAPIV3Schema": []}}]}}`, strings.Repeat(" ", maxSchemas) + "{}"} {
		if _, err := FromDefinition([]byte(crd)); err == nil {
			t.Errorf("%.100s: no error", crd)
		}
	}
}

// TestHugeSchemasCostABoundedAmount reads schemas of the greatest size, in forms
// that would cost most. What is beyond the limits is not known, and no finding.
func TestHugeSchemasCostABoundedAmount(t *testing.T) {
	nested := strings.Repeat(`{"type": "object", "properties": {"x": `, 9_000) + `{"type": "string"}` + strings.Repeat("}}", 9_000)
	var wide, chain, doubling strings.Builder
	for i := range 55_000 {
		fmt.Fprintf(&wide, `,"f%d": {"type": "object", "properties": {"x": {"type": "string"}}}`, i)
	}
	for i := range 20_000 {
		fmt.Fprintf(&chain, `,"C%d": {"type": "object", "properties": {"x": {"$ref": "#/components/schemas/C%d"}}}`, i, i+1)
		fmt.Fprintf(&doubling, `,"D%d": {"type": "object", "properties": {"x": {"$ref": "#/components/schemas/D%d"}, "y": {"$ref": "#/components/schemas/D%d"}}}`, i, i+1, i+2)
	}
	for name, doc := range map[string][]byte{
		"nested":   document(nested),
		"wide":     document(`{"type": "object", "properties": {"a": {"type": "string"}` + wide.String() + `}}`),
		"chain":    document(`{"$ref": "#/components/schemas/C0"}`, strings.TrimPrefix(chain.String(), ",")),
		"doubling": document(`{"$ref": "#/components/schemas/D0"}`, strings.TrimPrefix(doubling.String(), ",")),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		object := FromOpenAPI(doc, things)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 512<<20 {
			t.Errorf("%s: %d bytes took %d bytes", name, len(doc), took)
		}
		if got := checked(t, object, "template", "x: {{ toYaml .source.x.x"+strings.Repeat(".x", 20)+" }}"); name != "wide" && len(got) > 0 {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func FuzzSchema(f *testing.F) {
	f.Add([]byte(`{"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": {"type": "string"}}}}}`))
	f.Add([]byte(`{"type": "array", "items": [{"type": "string"}], "enum": [null]}`))
	f.Add([]byte(`{"additionalProperties": {"$ref": "#/components/schemas/X"}, "allOf": [{"$ref": "%"}]}`))
	f.Fuzz(func(_ *testing.T, root []byte) {
		FromOpenAPI(document(string(root), `"X": `+string(root)), things)
		_, _ = FromDefinition([]byte(`{"spec": {"versions": [{"name": "v1", "served": true, "schema": {"openAPIV3Schema": ` + string(root) + `}}]}}`))
	})
}
