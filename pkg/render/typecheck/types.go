package typecheck

// Object is the type of the objects of a resource.
type Object struct {
	// Name is how messages call it: clusters.cluster.x-k8s.io/v1beta1.
	Name string
	// Root is the type of an object, nil if it is not known.
	Root *Type
}

// Type is the type of a value. Types can contain themselves. They are shared,
// and not changed once they are built; nil stands for anything.
type Type struct {
	Kind Kind
	// Fields are the types of the keys that an Object has by name.
	Fields map[string]*Type
	// Values is the type of all other keys of an Object. Without it, there are
	// none.
	Values *Values
	// Items is the type of the items of a List.
	Items *Type
	// Enum are all the values that Text can have, nil if it can have others.
	Enum []string
}

// Values is what an Object may have under keys that are not known by name.
type Values struct {
	// Type is the type of each, nil for anything.
	Type *Type
}

// Kind is the kind of a value.
type Kind uint8

const (
	// Anything is what is not known, or not bound to one kind.
	Anything Kind = iota
	// Map is an object.
	Map
	// List is an array.
	List
	// Text is a string.
	Text
	// WholeNumber is an integer.
	WholeNumber
	// Number is a number that need not be an integer.
	Number
	// Boolean is true or false.
	Boolean
)

var kindNames = [...]string{
	Anything: "anything", Map: "a map", List: "a list", Text: "a string", WholeNumber: "a whole number", Number: "a number", Boolean: "a boolean",
}

func (k Kind) String() string { return kindNames[k] }

// kind is the kind of a type, which may be nil.
func (t *Type) kind() Kind {
	if t == nil {
		return Anything
	}
	return t.Kind
}

var (
	text     = &Type{Kind: Text}
	boolean  = &Type{Kind: Boolean}
	whole    = &Type{Kind: WholeNumber}
	texts    = &Type{Kind: Map, Values: &Values{text}}
	textList = &Type{Kind: List, Items: text}
)

// metadata is the type of the metadata of all objects.
var metadata = &Type{Kind: Map, Fields: map[string]*Type{
	"name": text, "generateName": text, "namespace": text, "selfLink": text, "uid": text, "resourceVersion": text,
	"generation": whole, "creationTimestamp": text, "deletionTimestamp": text, "deletionGracePeriodSeconds": whole,
	"labels": texts, "annotations": texts, "finalizers": textList,
	"ownerReferences": {Kind: List, Items: &Type{Kind: Map, Fields: map[string]*Type{
		"apiVersion": text, "kind": text, "name": text, "uid": text, "controller": boolean, "blockOwnerDeletion": boolean,
	}}},
	"managedFields": {Kind: List, Items: &Type{Kind: Map, Fields: map[string]*Type{
		"manager": text, "operation": text, "apiVersion": text, "time": text, "fieldsType": text, "subresource": text, "fieldsV1": nil,
	}}},
}}

// withMetadata returns the type with what all objects have.
func withMetadata(fields map[string]*Type) map[string]*Type {
	out := map[string]*Type{"apiVersion": text, "kind": text, "metadata": metadata}
	for name, field := range fields {
		if out[name] == nil {
			out[name] = field
		}
	}
	return out
}

// Builtin returns the type of a resource whose schema is the same on all hosts,
// nil for others. It is that of the objects that an API server returns: a Secret
// has no stringData.
func Builtin(group, resource string) *Object {
	if group != "" {
		return nil
	}
	switch resource {
	case "secrets":
		return secret
	case "configmaps":
		return configMap
	}
	return nil
}

var (
	secret = &Object{Name: "secrets/v1", Root: &Type{Kind: Map, Fields: withMetadata(map[string]*Type{
		"data": texts, "type": text, "immutable": boolean,
	})}}
	configMap = &Object{Name: "configmaps/v1", Root: &Type{Kind: Map, Fields: withMetadata(map[string]*Type{
		"data": texts, "binaryData": texts, "immutable": boolean,
	})}}
)
