package hostobjects

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"
)

func TestOnlyWhatIsWantedIsHeldWhole(t *testing.T) {
	object := func(name string, more map[string]any) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{"kind": "Secret", "metadata": map[string]any{
			"namespace": "default", "name": name, "resourceVersion": "7", "uid": "u",
		}}}
		for key, value := range more {
			o.Object["metadata"].(map[string]any)[key] = value
		}
		return o
	}
	stub := func(name string) *entry {
		return &entry{namespace: "default", name: name, resourceVersion: "7"}
	}
	whole := func(name string) *entry {
		held := stub(name)
		held.whole = []byte(`{"kind":"Secret","metadata":{"name":"` + name + `","namespace":"default","resourceVersion":"7","uid":"u"}}` + "\n")
		return held
	}
	tombstone := cache.DeletedFinalStateUnknown{Key: "default/other", Obj: stub("other")}
	tests := []struct {
		name   string
		object any
		want   any
	}{
		{"a wanted object", object("wanted", nil), whole("wanted")},
		{"without its managed fields", object("wanted", map[string]any{"managedFields": []any{map[string]any{"manager": "a"}}}), whole("wanted")},
		{"the name of another", object("other", nil), stub("other")},
		{"the name of metadata", &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "other", ResourceVersion: "7", UID: "u", Labels: map[string]string{"a": "b"}}}, stub("other")},
		{"a tombstone as it is", tombstone, tombstone},
	}
	transform := hold(func(o *unstructured.Unstructured) bool { return o.GetName() == "wanted" })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			once, err := transform(test.object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, once, cmp.AllowUnexported(entry{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			twice, err := transform(once)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, twice, cmp.AllowUnexported(entry{})); diff != "" {
				t.Errorf("-want +got of what is held already:\n%s", diff)
			}
		})
	}
}
