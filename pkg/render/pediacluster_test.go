package render

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// decodeText decodes a text that no action has printed.
func decodeText(name, text string) (*unstructured.Unstructured, error) {
	decoded, err := decodePediaCluster(name, &engine.Rendered{Text: text}, ShippedSchema())
	switch {
	case err != nil:
		return nil, err
	case len(decoded.missing) > 0:
		return nil, fmt.Errorf("credentials are missing: %v", decoded.missing)
	case len(decoded.problems) > 0:
		return nil, decoded.problems
	}
	return decoded.object, nil
}

func TestDecodePediaCluster(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]any
	}{
		{
			name: "strings stay strings, however they are written",
			text: `
metadata:
  labels: {version: 1.10, on: true, day: 2020-01-01, none: null}
  annotations: {count: 0x10}
spec:
  apiserver: 12345
  tokenData: 1234
  syncResourcesRefName: no
  syncAllCustomResources: true
  syncResources:
  - {group: "", versions: [1], resources: [pods, 2]}
  authenticationFrom: {kubeconfig: {name: 1, key: 2}}
`,
			want: map[string]any{
				"apiVersion": "cluster.clusterpedia.io/v1alpha2", "kind": "PediaCluster",
				"metadata": map[string]any{"name": "one",
					"labels":      map[string]any{"version": "1.10", "on": "true", "day": "2020-01-01"},
					"annotations": map[string]any{"count": "0x10"}},
				"spec": map[string]any{
					"apiserver": "12345", "tokenData": "1234", "syncResourcesRefName": "no", "syncAllCustomResources": true,
					"syncResources":      []any{map[string]any{"group": "", "versions": []any{"1"}, "resources": []any{"pods", "2"}}},
					"authenticationFrom": map[string]any{"kubeconfig": map[string]any{"name": "1", "key": "2"}},
				},
			},
		},
		{
			name: "fields of a newer definition pass with the type that YAML gives them",
			text: "spec: {apiserver: a, newer: {count: 3, share: 0.5, on: true, name: x, list: [1]}}",
			want: map[string]any{
				"apiVersion": "cluster.clusterpedia.io/v1alpha2", "kind": "PediaCluster", "metadata": map[string]any{"name": "one"},
				"spec": map[string]any{"apiserver": "a", "newer": map[string]any{
					"count": int64(3), "share": 0.5, "on": true, "name": "x", "list": []any{int64(1)}}},
			},
		},
		{
			name: "empty endpoint and credentials count as none, and blanks in base64 do not matter",
			text: "spec:\n  apiserver: \"\"\n  kubeconfig:\n  caData: |\n    YWJj\n    ZGVm\n",
			want: map[string]any{
				"apiVersion": "cluster.clusterpedia.io/v1alpha2", "kind": "PediaCluster", "metadata": map[string]any{"name": "one"},
				"spec": map[string]any{"caData": "YWJjZGVm"},
			},
		},
		{
			name: "base64 arrives byte for byte",
			text: `spec: {tokenData: "+/+/ab=="}`,
			want: map[string]any{
				"apiVersion": "cluster.clusterpedia.io/v1alpha2", "kind": "PediaCluster", "metadata": map[string]any{"name": "one"},
				"spec": map[string]any{"tokenData": "+/+/ab=="},
			},
		},
		{
			name: "what JSON has no number for is text, and an empty item of a list of strings is an empty string",
			text: "spec: {newer: [.nan, .inf, -.Inf, null], syncResources: [{group: x, versions: [v1, \"\", ~]}]}",
			want: map[string]any{
				"apiVersion": "cluster.clusterpedia.io/v1alpha2", "kind": "PediaCluster", "metadata": map[string]any{"name": "one"},
				"spec": map[string]any{"newer": []any{".nan", ".inf", "-.Inf", nil},
					"syncResources": []any{map[string]any{"group": "x", "versions": []any{"v1", "", ""}}}},
			},
		},
		{
			name: "anchors and the object's own type may be written",
			text: "apiVersion: cluster.clusterpedia.io/v1alpha2\nkind: PediaCluster\nspec: {apiserver: &a x, shardingName: *a}",
			want: map[string]any{
				"apiVersion": "cluster.clusterpedia.io/v1alpha2", "kind": "PediaCluster", "metadata": map[string]any{"name": "one"},
				"spec": map[string]any{"apiserver": "x", "shardingName": "x"},
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := decodeText("one", test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.Object); diff != "" {
				t.Errorf("PediaCluster (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNoPediaClusterIsRefusedWithoutItsValues(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", " \n", "renders nothing"},
		{"no YAML", "spec: {apiserver: \"s3cret\n", "renders no YAML"},
		{"a list", "- s3cret", "the document must be an object"},
		{"no spec", "metadata: {}", "spec is missing"},
		{"two documents", "spec: {}\n---\nspec: {}", "more than one YAML document"},
		{"an unknown field at the top", "spec: {}\nstatus: {}", "status: unknown field: a template can set apiVersion, kind, metadata, spec"},
		{"an unknown field of metadata", "metadata: {finalizers: [s3cret]}\nspec: {}", "metadata.finalizers: unknown field: a template can set name, labels, annotations"},
		{"another name", "metadata: {name: s3cret}\nspec: {}", "metadata.name: differs"},
		{"another kind", "kind: Secret\nspec: {}", "kind: must be PediaCluster"},
		{"another version and kind", "kind: Secret\napiVersion: v1\nspec: {}", "apiVersion: must be cluster.clusterpedia.io/v1alpha2"},
		{"a doubled key", "spec:\n  apiserver: s3cret\n  apiserver: s3cret", "line 3: spec.apiserver is set twice"},
		{"a list for an object", "spec: [s3cret]", "spec must be an object"},
		{"labels that are a list", "metadata: {labels: [s3cret]}\nspec: {}", "metadata.labels: must be an object"},
		{"metadata that is a string", "metadata: s3cret\nspec: {}", "metadata: must be an object"},
		{"a key with a line break", "metadata: {labels: {\"s3cret\\nspec\": {}}}\nspec: {}", "a value of metadata.labels: must be a string"},
		{"a key that is long", "metadata: {labels: {" + strings.Repeat("s3cret", 20) + ": {}}}\nspec: {}", "a value of metadata.labels: must be a string"},
		{"an odd key that is set twice", "spec: {\"s3cret!\": 1, \"s3cret!\": 2}", "line 1: a field of spec is set twice"},
		{"an odd key that is unknown", "\"s3cret!\": 1\nspec: {}", "a field of the document: unknown field: a template can set"},
		{"something below an odd key", "spec: {\"s3cret!\": [{a: 99999999999999999999999}, {<<: 1}]}", "line 1: a field of spec: a key must be a plain word"},
		{"a value that is part of itself", "spec: {x: &s3cret [*s3cret]}", "line 1: spec.x[0]: an alias refers to a value that it is part of"},
		{"a map that is part of itself", "spec: {x: &s3cret {\"s3cret!\": *s3cret}}", "line 1: a field of spec.x: an alias refers to a value that it is part of"},
		{"deep nesting", "spec: {x: " + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "}", "line 1: values are nested more than 200 levels deep"},
		{"a merge key", "spec: {<<: {apiserver: s3cret}}", "a key must be a plain word"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := decodeText("one", test.text)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q shows a value", err)
			}
		})
	}
}

func TestDeepDocumentsCostNoMoreThanTheirText(t *testing.T) {
	key := strings.Repeat("k", 500)
	text := "spec: " + strings.Repeat("{"+key+": ", 190) + "1" + strings.Repeat("}", 190)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := decodeText("one", text)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Error(err)
	}
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > uint64(20*len(text)) {
		t.Errorf("%d bytes were allocated for a text of %d", bytes, len(text))
	}
}

func TestAliasesCannotGrowWithoutBound(t *testing.T) {
	text := "spec:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i <= 8; i++ {
		anchor, alias := "a"+string(rune('0'+i)), "*a"+string(rune('0'+i-1))
		text += "  " + anchor + ": &" + anchor + " [" + strings.TrimSuffix(strings.Repeat(alias+",", 10), ",") + "]\n"
	}
	_, err := decodeText("one", text)
	if err == nil || !strings.Contains(err.Error(), "more than 100000 values") {
		t.Errorf("got %v", err)
	}
}
