package typecheck

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Limits of what is read of a schema. What is beyond them is not known.
const (
	// maxDocument is the size in bytes of an OpenAPI document, most of which is
	// skipped.
	maxDocument = 16 << 20
	// maxSchemas is the size in bytes of the schemas of one object. It is more than
	// an API server stores of a CustomResourceDefinition.
	maxSchemas = 4 << 20
	// maxTypes is the number of types that an object consists of.
	maxTypes = 20_000
	// maxDepth is how deep a schema may be nested, references included.
	maxDepth = 100
	// maxEnum is how many values are kept of one enumeration.
	maxEnum = 100
)

// FromOpenAPI returns the type of a resource from the OpenAPI v3 document of its
// group and version: that of what a GET of one object returns. It is nil if the
// document does not say so.
func FromOpenAPI(document []byte, resource schema.GroupVersionResource) *Object {
	if len(document) > maxDocument {
		return nil
	}
	// Schemas are decoded when they are needed, which few of a document are.
	var api struct {
		Paths      map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	if json.Unmarshal(document, &api) != nil {
		return nil
	}
	root := "/apis/" + resource.Group + "/" + resource.Version + "/"
	if resource.Group == "" {
		root = "/api/" + resource.Version + "/"
	}
	for _, path := range []string{root + "namespaces/{namespace}/" + resource.Resource + "/{name}", root + resource.Resource + "/{name}"} {
		if returned := returnedBy(api.Paths[path]); returned != nil {
			b := &builder{definitions: api.Components.Schemas}
			return object(b, returned, resource)
		}
	}
	return nil
}

// returnedBy is the schema of what a GET of the path returns.
func returnedBy(path json.RawMessage) *spec.Schema {
	var operations struct {
		Get struct {
			Responses map[string]struct {
				Content map[string]struct {
					Schema *spec.Schema `json:"schema"`
				} `json:"content"`
			} `json:"responses"`
		} `json:"get"`
	}
	if len(path) == 0 || len(path) > maxSchemas || json.Unmarshal(path, &operations) != nil {
		return nil
	}
	return operations.Get.Responses["200"].Content["application/json"].Schema
}

// Definition is a CustomResourceDefinition, as far as it matters here.
type Definition struct {
	schema.GroupResource
	// Versions are those that are served, in the order of the definition.
	Versions []string
	// Objects are the types of the objects in these versions.
	Objects map[string]*Object
}

// FromDefinition reads a CustomResourceDefinition.
func FromDefinition(raw []byte) (*Definition, error) {
	if len(raw) > maxSchemas {
		return nil, fmt.Errorf("the CustomResourceDefinition has %d bytes; at most %d are read", len(raw), maxSchemas)
	}
	type schemas struct {
		OpenAPIV3Schema *spec.Schema `json:"openAPIV3Schema"`
	}
	var crd struct {
		Spec struct {
			Group string `json:"group"`
			Names struct {
				Plural string `json:"plural"`
			} `json:"names"`
			PreserveUnknownFields bool `json:"preserveUnknownFields"`
			Versions              []struct {
				Name   string   `json:"name"`
				Served bool     `json:"served"`
				Schema *schemas `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(raw, &crd); err != nil {
		return nil, fmt.Errorf("reading the CustomResourceDefinition: %w", err)
	}
	definition := &Definition{GroupResource: schema.GroupResource{Group: crd.Spec.Group, Resource: crd.Spec.Names.Plural}, Objects: map[string]*Object{}}
	for _, version := range crd.Spec.Versions {
		if !version.Served {
			continue
		}
		definition.Versions = append(definition.Versions, version.Name)
		if version.Schema != nil && version.Schema.OpenAPIV3Schema != nil && !crd.Spec.PreserveUnknownFields {
			definition.Objects[version.Name] = object(&builder{}, version.Schema.OpenAPIV3Schema, definition.WithVersion(version.Name))
		}
	}
	return definition, nil
}

func object(b *builder, root *spec.Schema, resource schema.GroupVersionResource) *Object {
	built := b.build(root, 0)
	if built.kind() != Map {
		return nil
	}
	return &Object{Name: resource.GroupResource().String() + "/" + resource.Version,
		Root: &Type{Kind: Map, Fields: withMetadata(built.Fields), Values: built.Values}}
}

// builder makes types of schemas.
type builder struct {
	definitions map[string]json.RawMessage
	// referenced are the types of definitions, also while they are being built.
	referenced map[string]*Type
	// types and bytes are how many have been read.
	types, bytes int
}

// build returns the type of a schema, nil if it is not known.
func (b *builder) build(s *spec.Schema, depth int) *Type {
	b.types++
	if s == nil || depth > maxDepth || b.types > maxTypes {
		return nil
	}
	if name := s.Ref.String(); name != "" {
		return b.reference(strings.TrimPrefix(name, "#/components/schemas/"), depth)
	}
	structural := len(s.Type) > 0 || len(s.Properties) > 0
	switch {
	case s.Format == "int-or-string", extension(s, "x-kubernetes-int-or-string"):
		return nil
	case !structural && len(s.AllOf) == 1:
		// A reference with a description or a default of its own.
		return b.build(&s.AllOf[0], depth+1)
	case !structural:
		return nil
	}
	switch kindOf(s) {
	case "object":
		return b.object(s, depth)
	case "array":
		list := &Type{Kind: List}
		if s.Items != nil {
			list.Items = b.build(s.Items.Schema, depth+1)
		}
		return list
	case "string":
		return &Type{Kind: Text, Enum: enumOf(s)}
	case "integer":
		return whole
	case "number":
		return &Type{Kind: Number}
	case "boolean":
		return boolean
	}
	return nil
}

// reference returns the type of a definition. A definition that contains itself
// gets a type that does so too.
func (b *builder) reference(name string, depth int) *Type {
	if known, ok := b.referenced[name]; ok {
		return known
	}
	var s spec.Schema
	raw := b.definitions[name]
	b.bytes += len(raw)
	if len(raw) == 0 || b.bytes > maxSchemas || json.Unmarshal(raw, &s) != nil {
		return nil
	}
	if b.referenced == nil {
		b.referenced = map[string]*Type{}
	}
	known := &Type{}
	b.referenced[name] = known
	if built := b.build(&s, depth+1); built != nil {
		*known = *built
	}
	return known
}

// object returns the type of a schema of objects. One that names no field says
// nothing of what is in it.
func (b *builder) object(s *spec.Schema, depth int) *Type {
	t := &Type{Kind: Map}
	if len(s.Properties) > 0 {
		t.Fields = make(map[string]*Type, len(s.Properties))
		for name := range s.Properties {
			property := s.Properties[name]
			t.Fields[name] = b.build(&property, depth+1)
		}
	}
	if extension(s, "x-kubernetes-embedded-resource") {
		t.Fields = withMetadata(t.Fields)
	}
	switch {
	case extension(s, "x-kubernetes-preserve-unknown-fields"), len(s.Properties) == 0 && s.AdditionalProperties == nil:
		t.Values = &Values{}
	case s.AdditionalProperties != nil && (s.AdditionalProperties.Allows || s.AdditionalProperties.Schema != nil):
		t.Values = &Values{b.build(s.AdditionalProperties.Schema, depth+1)}
	}
	return t
}

// kindOf is the one kind that the schema allows beside null.
func kindOf(s *spec.Schema) string {
	kinds := slices.DeleteFunc(slices.Clone([]string(s.Type)), func(kind string) bool { return kind == "null" })
	switch {
	case len(kinds) == 1:
		return kinds[0]
	case len(kinds) == 0 && len(s.Properties) > 0:
		return "object"
	}
	return ""
}

// enumOf are the values of a schema of strings, nil if it allows others, or more
// than are kept.
func enumOf(s *spec.Schema) []string {
	if len(s.Enum) > maxEnum {
		return nil
	}
	var values []string
	for _, value := range s.Enum {
		name, ok := value.(string)
		if !ok {
			return nil
		}
		values = append(values, name)
	}
	return values
}

func extension(s *spec.Schema, name string) bool {
	set, _ := s.Extensions.GetBool(name)
	return set
}
