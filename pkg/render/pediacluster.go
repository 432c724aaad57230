package render

import (
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// PediaCluster's type. It belongs to Clusterpedia; this server knows of it
// what it writes, so that fields of a newer definition pass without a rebuild.
var (
	PediaClusterGVK = schema.GroupVersionKind{Group: "cluster.clusterpedia.io", Version: "v1alpha2", Kind: "PediaCluster"}
	PediaClusterGVR = PediaClusterGVK.GroupVersion().WithResource("pediaclusters")
)

// Fields of a PediaCluster's spec that follow the template always: the
// endpoint and the credentials.
var (
	endpointField    = "apiserver"
	credentialFields = []string{"caData", "certData", "keyData", "kubeconfig", "tokenData"}
	followedFields   = append([]string{endpointField}, credentialFields...)
)

// CredentialFields are the fields of a PediaCluster's spec whose values are never shown.
func CredentialFields() []string { return slices.Clone(credentialFields) }

// shape is what decoding knows of the type of a YAML value. A value of another
// form, or with a nil shape, takes the type that YAML gives it.
type shape struct {
	text   bool              // a string, however it is written: 12345 is "12345"
	empty  emptiness         // what a string means for which an action printed nothing
	fields map[string]*shape // the known fields of a map
	values *shape            // every value of a map
	items  *shape            // every item of a list
}

// emptiness is what a string means for which an action printed nothing.
type emptiness uint8

const (
	// leftOut: it is not there.
	leftOut emptiness = iota
	// kept: it is there if its value is the empty string, and not if it is absent.
	kept
	// missing: it ought to be there.
	missing
)

var (
	textShape  = &shape{text: true}
	textMap    = &shape{values: &shape{text: true, empty: kept}}
	credential = &shape{text: true, empty: missing}
)

// decoded is what was read out of a rendered text.
type decoded struct {
	object *unstructured.Unstructured
	// missing are the credentials that are missing in it.
	missing []*MissingCredential
	// problems are those of what is not part of the object: fields of the document and of
	// its metadata that a template cannot set. They stand in the way of its creation.
	problems Problems
}

// decodePediaCluster turns the rendered text into a PediaCluster of that name. It does not
// validate it: what a field may hold is for the schema to say.
// Errors name the line of the rendered text and the field, never a value.
func decodePediaCluster(name string, rendered *engine.Rendered, schema *Schema) (*decoded, error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(rendered.Text))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("spec.template renders nothing: it must render metadata and spec of a PediaCluster")
	case err != nil:
		return nil, fmt.Errorf("spec.template renders no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(new(yaml.Node)); err == nil {
		return nil, errors.New("spec.template renders more than one YAML document")
	}
	d := yamlDecoder{nodes: maxNodes, open: map[*yaml.Node]bool{}, blanks: blankFinder{rendered: rendered, document: &document}}
	value, err := d.value(document.Content[0], schema.shape, &spot{})
	if err != nil {
		return nil, invalidPediaCluster(err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, invalidPediaCluster(errors.New("the document must be an object"))
	}
	spec, ok := fields["spec"].(map[string]any)
	switch {
	case fields["spec"] == nil:
		return nil, invalidPediaCluster(errors.New("spec is missing"))
	case !ok:
		return nil, invalidPediaCluster(errors.New("spec must be an object"))
	}
	object, problems := assemble(name, fields, spec)
	return &decoded{object: object, missing: d.missing, problems: problems}, nil
}

// invalidPediaCluster is the error of a template that renders no valid PediaCluster.
func invalidPediaCluster(err error) error {
	return fmt.Errorf("spec.template renders a PediaCluster that cannot be used: %w", err)
}

// assemble builds the PediaCluster from what was rendered.
func assemble(name string, rendered, spec map[string]any) (*unstructured.Unstructured, Problems) {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(PediaClusterGVK)
	object.SetName(name)
	problems := unknownKeys("", rendered, "apiVersion", "kind", "metadata", "spec")
	problems = append(problems, checkType(rendered)...)
	switch metadata, ok := rendered["metadata"].(map[string]any); {
	case ok:
		problems = append(problems, setMetadata(object, metadata)...)
	case rendered["metadata"] != nil:
		problems = append(problems, Problem{Field: "metadata", Message: "must be an object"})
	}
	normalizeCredentials(spec)
	for _, field := range followedFields {
		// An empty endpoint or credential is none.
		if spec[field] == "" {
			delete(spec, field)
		}
	}
	object.Object["spec"] = spec
	return object, problems
}

// unknownKeys are the problems of keys that a template cannot set there.
func unknownKeys(parent string, object map[string]any, known ...string) (problems Problems) {
	for key := range object {
		if !slices.Contains(known, key) {
			problems = append(problems, Problem{Field: showPath(parent + key), Message: "unknown field: a template can set " + strings.Join(known, ", ")})
		}
	}
	return problems
}

// checkType checks that apiVersion and kind are those of a PediaCluster, if they
// were rendered.
func checkType(rendered map[string]any) (problems Problems) {
	for _, field := range []struct{ name, want string }{
		{"apiVersion", PediaClusterGVK.GroupVersion().String()},
		{"kind", PediaClusterGVK.Kind},
	} {
		if got, ok := rendered[field.name]; ok && got != field.want {
			problems = append(problems, Problem{Field: field.name, Message: fmt.Sprintf("must be %s, or left out", field.want)})
		}
	}
	return problems
}

// setMetadata sets the labels and annotations that were rendered.
func setMetadata(object *unstructured.Unstructured, metadata map[string]any) Problems {
	problems := unknownKeys("metadata.", metadata, "name", "labels", "annotations")
	if name, ok := metadata["name"]; ok && name != object.GetName() {
		problems = append(problems, Problem{Field: "metadata.name", Message: "differs from what spec.nameTemplate renders: leave it out"})
	}
	for _, field := range []struct {
		name string
		set  func(map[string]string)
	}{{"labels", object.SetLabels}, {"annotations", object.SetAnnotations}} {
		rendered, ok := metadata[field.name]
		if !ok {
			continue
		}
		texts, wrong := textsOf("metadata."+field.name, rendered)
		problems = append(problems, wrong...)
		field.set(texts)
	}
	return problems
}

// textsOf are the strings of a map, and the problems of what is none.
func textsOf(field string, rendered any) (texts map[string]string, problems Problems) {
	values, ok := rendered.(map[string]any)
	if !ok {
		return nil, Problems{{Field: field, Message: "must be an object"}}
	}
	texts = make(map[string]string, len(values))
	for key, value := range values {
		text, ok := value.(string)
		if !ok {
			problems = append(problems, Problem{Field: entry(field, key), Message: "must be a string"})
			continue
		}
		texts[key] = text
	}
	return texts, problems
}

// normalizeCredentials removes white space from the base64 of credentials, as
// from lines of it in a block scalar.
func normalizeCredentials(spec map[string]any) {
	for _, field := range credentialFields {
		if data, ok := spec[field].(string); ok {
			spec[field] = strings.Join(strings.Fields(data), "")
		}
	}
}

const (
	// maxNodes bounds what aliases can make of a small text.
	maxNodes = 100_000
	// maxNesting bounds the recursion through the nodes, and so what is later
	// done with the PediaCluster. It is the depth at which templates stop, too.
	maxNesting = 200
	// maxShownKey is the length of a key that an error shows.
	maxShownKey = 64
)

// yamlDecoder turns nodes of YAML into what JSON would hold.
type yamlDecoder struct {
	nodes int
	// open are the nodes with an anchor whose content is being decoded. An
	// alias to one of them stands for a value without an end.
	open map[*yaml.Node]bool
	// blanks are where an action printed nothing, and missing the credentials
	// for which one did.
	blanks  blankFinder
	missing []*MissingCredential
}

// spot is where a value stands in the document. It is linked to the spot
// around it, and made into text only for an error.
type spot struct {
	around *spot
	key    string // of a map
	index  int    // of a list, or -1
	depth  int
}

func (s *spot) field(key string) *spot {
	return &spot{around: s, key: key, index: -1, depth: s.depth + 1}
}

func (s *spot) item(index int) *spot { return &spot{around: s, index: index, depth: s.depth + 1} }

// String is the path of the spot, as far as it can be shown. A template may
// have made a key of a value, and values are not for errors: only what looks
// like the name of a field is shown, and anything else by what it is part of.
func (s *spot) String() string {
	path := ""
	for ; s.around != nil; s = s.around {
		switch {
		case s.index >= 0:
			path = fmt.Sprintf("[%d]%s", s.index, path)
		case isFieldName(s.key):
			path = "." + s.key + path
		default:
			// What is below it would be misleading without it.
			return "a field of " + s.around.String()
		}
	}
	if path == "" {
		return "the document"
	}
	return strings.TrimPrefix(path, ".")
}

func isFieldName(key string) bool {
	return len(key) <= maxShownKey && fieldName.MatchString(key)
}

var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// value turns a YAML node into what JSON would hold, as the shape says. Fields
// that are null count as left out.
func (d *yamlDecoder) value(node *yaml.Node, as *shape, at *spot) (any, error) {
	if d.nodes--; d.nodes < 0 {
		return nil, fmt.Errorf("more than %d values", maxNodes)
	}
	if at.depth > maxNesting {
		return nil, fmt.Errorf("line %d: values are nested more than %d levels deep", node.Line, maxNesting)
	}
	if as == nil {
		as = &shape{}
	}
	if node.Anchor != "" {
		d.open[node] = true
		defer delete(d.open, node)
	}
	switch node.Kind {
	case yaml.AliasNode:
		if d.open[node.Alias] {
			return nil, fmt.Errorf("line %d: %s: an alias refers to a value that it is part of", node.Line, at)
		}
		return d.value(node.Alias, as, at)
	case yaml.MappingNode:
		return d.mapping(node, as, at)
	case yaml.SequenceNode:
		return d.sequence(node, as, at)
	default:
		value, err := scalar(node, as, at)
		if err != nil {
			return nil, err
		}
		return d.emptyText(node, value, as, at), nil
	}
}

func (d *yamlDecoder) sequence(node *yaml.Node, as *shape, around *spot) (any, error) {
	list := make([]any, 0, len(node.Content))
	for i, item := range node.Content {
		value, err := d.value(item, as.items, around.item(i))
		if err != nil {
			return nil, err
		}
		if value == nil && as.items != nil && as.items.text {
			// A list has no place for what is left out: an empty value is
			// an empty string, as it is for a field.
			value = ""
		}
		list = append(list, value)
	}
	return list, nil
}

func (d *yamlDecoder) mapping(node *yaml.Node, as *shape, around *spot) (any, error) {
	object := make(map[string]any, len(node.Content)/2)
	for i := 0; i < len(node.Content); i += 2 {
		key, content := node.Content[i], node.Content[i+1]
		name := key.Value
		at := around.field(name)
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return nil, fmt.Errorf("line %d: %s: a key must be a plain word", key.Line, around)
		}
		if _, double := object[name]; double {
			return nil, fmt.Errorf("line %d: %s is set twice", key.Line, at)
		}
		known, ok := as.fields[name]
		if !ok {
			known = as.values
		}
		value, err := d.value(content, known, at)
		if err != nil {
			return nil, err
		}
		if value != nil {
			object[name] = value
		}
	}
	return object, nil
}

func scalar(node *yaml.Node, as *shape, at *spot) (any, error) {
	if node.Tag == "!!null" {
		return nil, nil
	}
	if as.text {
		return node.Value, nil
	}
	var value any
	switch node.Tag {
	case "!!bool":
		value = new(bool)
	case "!!int":
		value = new(int64)
	case "!!float":
		value = new(float64)
	default:
		return node.Value, nil
	}
	if err := node.Decode(value); err != nil {
		return nil, fmt.Errorf("line %d: %s: a number that is out of range", node.Line, at)
	}
	switch value := value.(type) {
	case *bool:
		return *value, nil
	case *int64:
		return *value, nil
	default:
		number := *value.(*float64)
		if math.IsNaN(number) || math.IsInf(number, 0) {
			// JSON has no such numbers, so that it can only be meant as text.
			return node.Value, nil
		}
		return number, nil
	}
}
