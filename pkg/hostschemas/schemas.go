// Package hostschemas knows the types of the host's objects, from the OpenAPI v3
// that the host publishes: those of CustomResourceDefinitions, built-in types and
// aggregated API servers alike.
//
// It imports clients of the host and pkg/render/typecheck. The registry warns of
// templates that do not fit these types, and the controllers tell of them in a
// condition.
package hostschemas

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render/typecheck"
)

// maxKept is how many types are kept. It is more than there are policies on any
// sensible host.
const maxKept = 256

// Schemas are those of a host. Types are kept for as long as the host publishes
// the document that they come from: its hash is part of the document's address.
type Schemas struct {
	client openapi.ClientWithContext

	mu   sync.Mutex
	kept map[schema.GroupVersionResource]kept
}

// kept is a type and the address of the document that it comes from. The type is
// nil if the document does not say what it is.
type kept struct {
	address string
	object  *typecheck.Object
}

// New returns the schemas of the host that the client configuration leads to.
func New(config *rest.Config) (*Schemas, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("a client for the schemas of the host: %w", err)
	}
	return NewForClient(openapi.NewClientWithContext(client.RESTClient())), nil
}

// NewForClient returns the schemas that the client reads.
func NewForClient(client openapi.ClientWithContext) *Schemas {
	return &Schemas{client: client, kept: map[schema.GroupVersionResource]kept{}}
}

// Index is what the host publishes at one time.
type Index struct {
	schemas   *Schemas
	documents map[string]openapi.GroupVersionWithContext
}

// Index asks the host which documents it publishes.
func (s *Schemas) Index(ctx context.Context) (*Index, error) {
	documents, err := s.client.PathsWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the host for its schemas: %w", err)
	}
	return &Index{schemas: s, documents: documents}, nil
}

// Object returns the type of the objects of a resource. The error says why it is
// not known.
func (i *Index) Object(ctx context.Context, resource schema.GroupVersionResource) (*typecheck.Object, error) {
	if builtin := typecheck.Builtin(resource.Group, resource.Resource); builtin != nil {
		return builtin, nil
	}
	name := "apis/" + resource.Group + "/" + resource.Version
	if resource.Group == "" {
		name = "api/" + resource.Version
	}
	document, ok := i.documents[name]
	if !ok {
		return nil, fmt.Errorf("the host publishes no schema of %s", resource.GroupVersion())
	}
	object, known := i.schemas.get(resource, document.ServerRelativeURL())
	if !known {
		content, err := document.SchemaWithContext(ctx, runtime.ContentTypeJSON)
		if err != nil {
			return nil, fmt.Errorf("reading the schema of %s: %w", resource.GroupVersion(), err)
		}
		object = typecheck.FromOpenAPI(content, resource)
		i.schemas.keep(resource, document.ServerRelativeURL(), object)
	}
	if object == nil {
		return nil, fmt.Errorf("the schema that the host publishes does not say which fields %s have", resource.GroupResource())
	}
	return object, nil
}

func (s *Schemas) get(resource schema.GroupVersionResource, address string) (object *typecheck.Object, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.kept[resource]
	return found.object, found.address == address && strings.Contains(address, "hash=")
}

func (s *Schemas) keep(resource schema.GroupVersionResource, address string, object *typecheck.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= maxKept {
		clear(s.kept)
	}
	s.kept[resource] = kept{address, object}
}
