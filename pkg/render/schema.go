package render

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"

	"github.com/clusterpedia-io/policy-apiserver/artifacts/crds"
)

// PediaClusterDefinition names the CustomResourceDefinition of PediaClusters, and
// DefinitionGVR is the type of such definitions.
var (
	PediaClusterDefinition = PediaClusterGVR.GroupResource().String()
	DefinitionGVR          = apischema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// Schema is what a definition says of PediaClusters, compiled: which fields they have, and
// of which form. It is safe for concurrent use.
type Schema struct {
	structural *structuralschema.Structural
	validator  *validate.SchemaValidator
	// shape is what decoding has to know of it.
	shape *shape
}

// ShippedSchema is the schema of the definition that this project ships. It is that of
// Clusterpedia, and is used where no host says otherwise.
var ShippedSchema = sync.OnceValue(func() *Schema {
	var definition apiextensionsv1.CustomResourceDefinition
	err := yaml.UnmarshalStrict(crds.PediaClusters, &definition)
	if err != nil {
		panic(err) // a test compiles it
	}
	schema, err := newSchema(&definition)
	if err != nil {
		panic(err)
	}
	return schema
})

// SchemaOf compiles the schema of a CustomResourceDefinition of PediaClusters.
func SchemaOf(definition *unstructured.Unstructured) (*Schema, error) {
	raw, err := json.Marshal(definition.Object)
	if err != nil {
		return nil, err
	}
	var typed apiextensionsv1.CustomResourceDefinition
	if err := json.Unmarshal(raw, &typed); err != nil {
		return nil, fmt.Errorf("the PediaCluster CRD: %w", err)
	}
	return newSchema(&typed)
}

// SchemaCache compiles the schema of each version of a definition once. The zero value is
// ready for use.
type SchemaCache struct {
	mu      sync.Mutex
	version string
	schema  *Schema
	err     error
}

// Of is the schema of a definition.
func (c *SchemaCache) Of(definition *unstructured.Unstructured) (*Schema, error) {
	version := fmt.Sprintf("%s/%d", definition.GetUID(), definition.GetGeneration())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version != version {
		c.version = version
		c.schema, c.err = SchemaOf(definition)
	}
	return c.schema, c.err
}

func newSchema(definition *apiextensionsv1.CustomResourceDefinition) (*Schema, error) {
	at := slices.IndexFunc(definition.Spec.Versions, func(version apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return version.Name == PediaClusterGVR.Version && version.Schema != nil && version.Schema.OpenAPIV3Schema != nil
	})
	if at < 0 {
		return nil, fmt.Errorf("the definition %s has no schema of version %s", definition.Name, PediaClusterGVR.Version)
	}
	var internal apiextensions.JSONSchemaProps
	props := definition.Spec.Versions[at].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil); err != nil {
		return nil, fmt.Errorf("the schema of PediaClusters: %w", err)
	}
	structural, err := structuralschema.NewStructural(&internal)
	if err != nil {
		return nil, fmt.Errorf("the schema of PediaClusters: %w", err)
	}
	optional := structuralschema.Visitor{Structural: requireNoDefaults}
	optional.Visit(structural)
	return &Schema{
		structural: structural,
		validator:  validate.NewSchemaValidator(structural.ToKubeOpenAPI(), nil, "", strfmt.Default),
		shape:      shapeOfPediaCluster(structural),
	}, nil
}

// requireNoDefaults makes the fields optional that have a default: an API server sets it
// before it validates. It reports whether it has changed the schema.
func requireNoDefaults(s *structuralschema.Structural) bool {
	if s.ValueValidation == nil {
		return false
	}
	required := slices.DeleteFunc(slices.Clone(s.ValueValidation.Required), func(name string) bool {
		return s.Properties[name].Default.Object != nil
	})
	changed := len(required) < len(s.ValueValidation.Required)
	s.ValueValidation.Required = required
	return changed
}

// shapeOfPediaCluster is the shape of a rendered PediaCluster. The schema says nothing of
// its metadata; and of which credentials are missed, this server alone decides.
func shapeOfPediaCluster(s *structuralschema.Structural) *shape {
	schema := s.Properties["spec"]
	spec := &shape{fields: map[string]*shape{}}
	if known := shapeOf(&schema); known != nil && known.fields != nil {
		spec = known
	}
	spec.fields[endpointField] = textShape
	for _, field := range credentialFields {
		spec.fields[field] = credential
	}
	return &shape{fields: map[string]*shape{
		"apiVersion": textShape,
		"kind":       textShape,
		"metadata":   {fields: map[string]*shape{"name": textShape, "labels": textMap, "annotations": textMap}},
		"spec":       spec,
	}}
}

// shapeOf is the shape of a value with that schema, nil where YAML decides.
func shapeOf(s *structuralschema.Structural) *shape {
	switch {
	case s == nil || s.XIntOrString:
		return nil
	case s.Type == "string":
		return textShape
	case s.Type == "array":
		return &shape{items: shapeOf(s.Items)}
	case s.Type != "object":
		return nil
	}
	object := &shape{}
	if len(s.Properties) > 0 {
		object.fields = make(map[string]*shape, len(s.Properties))
	}
	for name, property := range s.Properties {
		object.fields[name] = shapeOf(&property)
	}
	if s.AdditionalProperties != nil {
		object.values = shapeOf(s.AdditionalProperties.Structural)
	}
	return object
}
