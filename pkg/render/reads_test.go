package render

import (
	"os"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// TestThePathsOfAPolicyTellWhichChangesMatter changes a Source as its platform
// does: what no template reads is not part of the projection.
func TestThePathsOfAPolicyTellWhichChangesMatter(t *testing.T) {
	content, err := os.ReadFile("../../artifacts/platforms/karmada/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var policy policyv1alpha1.ClusterImportPolicy
	if err := yaml.Unmarshal(content, &policy); err != nil {
		t.Fatal(err)
	}
	compiled, errs := Compile(&policy.Spec)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	paths := compiled.Paths().At("source")
	if paths.IsWhole() {
		t.Fatal("the policy reads all of its Sources")
	}
	source := func(change func(map[string]any)) any {
		object := map[string]any{
			"metadata": map[string]any{"name": "blue", "resourceVersion": "1", "labels": map[string]any{"tier": "gold"}},
			"spec": map[string]any{"syncMode": "Push", "apiEndpoint": "https://blue", "region": "eu",
				"secretRef": map[string]any{"namespace": "karmada", "name": "blue"}},
			"status": map[string]any{
				"nodeSummary": map[string]any{"readyNum": int64(3)},
				"conditions":  []any{map[string]any{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}},
			},
		}
		change(object)
		return paths.Project(object)
	}
	set := func(value any, fields ...string) func(map[string]any) {
		return func(object map[string]any) {
			if err := unstructured.SetNestedField(object, value, fields...); err != nil {
				t.Fatal(err)
			}
		}
	}
	condition := func(field, value string) func(map[string]any) {
		return func(object map[string]any) {
			object["status"].(map[string]any)["conditions"].([]any)[0].(map[string]any)[field] = value
		}
	}
	before := source(func(map[string]any) {})
	for name, test := range map[string]struct {
		change  func(map[string]any)
		matters bool
	}{
		"a version of the object":   {set("2", "metadata", "resourceVersion"), false},
		"a label":                   {set("silver", "metadata", "labels", "tier"), false},
		"a count of nodes":          {set(int64(2), "status", "nodeSummary", "readyNum"), false},
		"a region":                  {set("us", "spec", "region"), false},
		"the time of a condition":   {condition("lastTransitionTime", "2026-02-01T00:00:00Z"), false},
		"the status of a condition": {condition("status", "False"), true},
		"another condition": {func(object map[string]any) {
			status := object["status"].(map[string]any)
			status["conditions"] = append(status["conditions"].([]any), map[string]any{"type": "Other"})
		}, true},
		"the endpoint":                      {set("https://green", "spec", "apiEndpoint"), true},
		"the name of the Secret":            {set("green", "spec", "secretRef", "name"), true},
		"what was not there before":         {set(true, "spec", "insecureSkipTLSVerification"), true},
		"conditions that are there no more": {func(object map[string]any) { delete(object, "status") }, true},
	} {
		if changed := !reflect.DeepEqual(before, source(test.change)); changed != test.matters {
			t.Errorf("%s: changed %v", name, changed)
		}
	}
}
