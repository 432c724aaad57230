package hostschemas

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/openapi"
)

// host publishes a document under an address.
type host struct {
	document []byte
	address  string
	err      error
	reads    int
}

func (h *host) PathsWithContext(context.Context) (map[string]openapi.GroupVersionWithContext, error) {
	return map[string]openapi.GroupVersionWithContext{"apis/cluster.karmada.io/v1alpha1": h}, nil
}

func (h *host) SchemaWithContext(context.Context, string) ([]byte, error) {
	h.reads++
	return h.document, h.err
}

func (h *host) ServerRelativeURL() string { return h.address }

var clusters = schema.GroupVersionResource{Group: "cluster.karmada.io", Version: "v1alpha1", Resource: "clusters"}

func ask(t *testing.T, s *Schemas, resource schema.GroupVersionResource) (name string, err error) {
	t.Helper()
	index, err := s.Index(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	object, err := index.Object(t.Context(), resource)
	if err != nil {
		return "", err
	}
	return object.Name, nil
}

func TestADocumentIsReadOnceForEachHash(t *testing.T) {
	document, err := os.ReadFile("../render/typecheck/testdata/karmada.json")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{document: document, address: "/openapi/v3/apis/cluster.karmada.io/v1alpha1?hash=1"}
	s := NewForClient(h)
	for _, step := range []struct {
		address string
		reads   int
	}{
		{h.address, 1}, {h.address, 1}, {h.address + "2", 2}, {h.address + "2", 2},
		{"/openapi/v3/without", 3}, {"/openapi/v3/without", 4}, // it cannot be seen whether it has changed
	} {
		h.address = step.address
		if name, err := ask(t, s, clusters); err != nil || name != "clusters.cluster.karmada.io/v1alpha1" {
			t.Fatalf("%q, %v", name, err)
		}
		if h.reads != step.reads {
			t.Errorf("%s: read %d times, not %d", step.address, h.reads, step.reads)
		}
	}
}

func TestWhatIsNotKnownSaysWhy(t *testing.T) {
	for name, test := range map[string]struct {
		host     host
		resource schema.GroupVersionResource
		want     string
	}{
		"no document":       {host{}, schema.GroupVersionResource{Group: "example.io", Version: "v1", Resource: "things"}, "publishes no schema of example.io/v1"},
		"no such type":      {host{document: []byte(`{"paths":{}}`)}, clusters, "does not say which fields clusters.cluster.karmada.io have"},
		"a broken document": {host{document: []byte(`{"paths":[`)}, clusters, "does not say which fields"},
		"an error":          {host{err: errors.New("out of order")}, clusters, "out of order"},
	} {
		if got, err := ask(t, NewForClient(&test.host), test.resource); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestTheTypesThatAreTheSameEverywhereAreNotAskedFor(t *testing.T) {
	h := &host{}
	if name, err := ask(t, NewForClient(h), schema.GroupVersionResource{Version: "v1", Resource: "secrets"}); err != nil || name != "secrets/v1" || h.reads > 0 {
		t.Errorf("%q, %v, read %d times", name, err, h.reads)
	}
}
