package migration

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
)

func apiService(service bool) *unstructured.Unstructured {
	spec := map[string]any{"group": "policy.clusterpedia.io"}
	if service {
		spec["service"] = map[string]any{"name": "policy-apiserver"}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": APIServiceName}, "spec": spec,
	}}
}

func definition() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": DefinitionName("pediaclusterlifecycles")},
	}}
}

func TestStorageIsServedWhenNothingHasToBeTakenOver(t *testing.T) {
	failing := errors.New("the storage is full")
	for name, test := range map[string]struct {
		host     []runtime.Object
		export   bool
		takenBy  string // the storage that has the export already
		err      error
		waits    string // for what, empty when it does not
		imported bool
	}{
		"a host without Clusterpedia":             {},
		"one where this server is registered":     {host: []runtime.Object{apiService(true)}},
		"one with its CRDs":                       {host: []runtime.Object{apiService(false), definition()}, waits: "has the CRD"},
		"one with its CRDs, registered too early": {host: []runtime.Object{apiService(true), definition()}, waits: "has the CRD"},
		"an export":                           {host: []runtime.Object{apiService(false), definition()}, export: true, waits: "waiting for", imported: true},
		"an export that cannot be written":    {host: []runtime.Object{apiService(false), definition()}, export: true, err: failing, imported: true},
		"an export taken over":                {host: []runtime.Object{apiService(false), definition()}, export: true, takenBy: "this", waits: "waiting for"},
		"one taken over by a lost storage":    {host: []runtime.Object{apiService(false), definition()}, export: true, takenBy: "lost", waits: "waiting for", imported: true},
		"an export, switched over":            {host: []runtime.Object{apiService(true), definition()}, export: true, imported: true},
		"one taken over, switched over":       {host: []runtime.Object{apiService(true)}, export: true, takenBy: "this"},
		"one taken over by another, switched": {host: []runtime.Object{apiService(true)}, export: true, takenBy: "lost", waits: "into the storage lost, and this is this"},
		"an export whose CRDs are gone":       {export: true, waits: "waiting for", imported: true},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			if test.export {
				record, err := Write(t.Context(), client, namespace, objects(2, 10))
				if err != nil {
					t.Fatal(err)
				}
				if test.takenBy != "" {
					if err := markImported(t.Context(), client, namespace, record, "this"); err != nil {
						t.Fatal(err)
					}
				}
				if test.takenBy == "lost" {
					if err := markImported(t.Context(), client, namespace, record, "lost"); err != nil {
						t.Fatal(err)
					}
				}
			}
			imported := 0
			takeover := Takeover{Kubernetes: client, Namespace: namespace,
				Objects: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
					map[schema.GroupVersionResource]string{APIServices: "APIServiceList", Definitions: "CustomResourceDefinitionList"}, test.host...),
				Import: func(_ context.Context, objects []unstructured.Unstructured, replace bool) error {
					if imported = len(objects); replace {
						t.Error("what was not there before is replaced")
					}
					return test.err
				},
			}
			err := takeover.Run(t.Context(), "this")
			waiting := (*Waiting)(nil)
			switch {
			case test.err != nil:
				if !errors.Is(err, test.err) || errors.As(err, &waiting) {
					t.Errorf("got %v", err)
				}
			case test.waits == "":
				if err != nil {
					t.Errorf("it waits: %v", err)
				}
			case !errors.As(err, &waiting) || !strings.Contains(err.Error(), test.waits):
				t.Errorf("want %q, got %v", test.waits, err)
			}
			if test.imported != (imported == 2) {
				t.Errorf("%d objects were imported", imported)
			}
			if test.imported && test.err == nil {
				if record, err := ReadRecord(t.Context(), client, namespace); err != nil || record.ImportedBy != "this" {
					t.Errorf("it is not recorded who has the export: %+v, %v", record, err)
				}
			}
		})
	}
}

func TestAnExportThatReplacesOneInTheSameStorage(t *testing.T) {
	client := fake.NewClientset()
	first, err := Write(t.Context(), client, namespace, objects(2, 10))
	if err != nil {
		t.Fatal(err)
	}
	if err := markImported(t.Context(), client, namespace, first, "this"); err != nil {
		t.Fatal(err)
	}
	// The second one was never taken over, and the third one comes in its place.
	for range 2 {
		if _, err := Write(t.Context(), client, namespace, objects(1, 10)); err != nil {
			t.Fatal(err)
		}
	}
	replaced := false
	takeover := Takeover{Kubernetes: client, Namespace: namespace,
		Objects: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
			map[schema.GroupVersionResource]string{APIServices: "APIServiceList", Definitions: "CustomResourceDefinitionList"}),
		Import: func(_ context.Context, _ []unstructured.Unstructured, replace bool) error {
			replaced = replace
			return errors.New("not yet")
		},
	}
	for storage, want := range map[types.UID]bool{"this": true, "other": false} {
		if err := takeover.Run(t.Context(), storage); err == nil || replaced != want {
			t.Errorf("the storage %s is replaced: %t, %v", storage, replaced, err)
		}
	}
}
