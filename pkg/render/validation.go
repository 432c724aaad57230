package render

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	openapierrors "k8s.io/kube-openapi/pkg/validation/errors"
)

// Problem is a field of a PediaCluster that the host would refuse. It shows no value,
// which may be a credential.
type Problem struct {
	// Field is the path of the field.
	Field string
	// Message says what is wrong with it, and how it should be.
	Message string
}

func (p Problem) String() string { return p.Field + ": " + p.Message }

// Problems are the error of a PediaCluster that the host would refuse.
type Problems []Problem

// maxProblems is how many problems an error lists.
const maxProblems = 10

func (p Problems) Error() string {
	shown := make([]string, 0, maxProblems+1)
	for _, problem := range p[:min(len(p), maxProblems)] {
		shown = append(shown, problem.String())
	}
	if rest := len(p) - maxProblems; rest > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", rest))
	}
	return strings.Join(shown, "; ")
}

// Validate returns why the host would refuse to create the PediaCluster: unknown fields,
// missing ones, and values that are not as the schema wants them. It does not change it.
func (s *Schema) Validate(pediaCluster *unstructured.Unstructured) Problems {
	problems := slices.Concat(validateLabels(pediaCluster), validateAnnotations(pediaCluster), s.validateContent(pediaCluster.Object))
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	return problems
}

// validateFollowed returns why the host would refuse these fields of spec. What else is in
// spec has no part in it.
func (s *Schema) validateFollowed(spec map[string]any) (problems Problems) {
	if len(spec) == 0 {
		return nil
	}
	for _, problem := range s.validateContent(map[string]any{"spec": spec}) {
		if name, ok := strings.CutPrefix(problem.Field, "spec."); ok && spec[name] != nil {
			problems = append(problems, problem)
		}
	}
	return problems
}

// validateContent validates by the schema, as an API server with strict validation does.
func (s *Schema) validateContent(object map[string]any) (problems Problems) {
	content := maps.Clone(object)
	content["spec"] = copyJSON(object["spec"], true) // pruning changes it
	for _, path := range pruning.PruneWithOptions(content, s.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		if around := s.at(parentOf(path)); around == nil || around.Type == "object" { // else it has the wrong type
			problems = append(problems, s.unknownField(path))
		}
	}
	content["spec"] = copyJSON(content["spec"], false)
	for _, err := range s.validator.Validate(content).Errors {
		problems = append(problems, s.invalidField(err, func(path string) (string, bool) { return typeAt(content, path) }))
	}
	if known := slices.DeleteFunc(slices.Clone(problems), Problem.isVague); len(known) > 0 {
		return known
	}
	return problems
}

// copyJSON copies a value, with or without the fields that are null: an API server looks for
// unknown fields, drops those that are null, and then validates.
func copyJSON(value any, nulls bool) any {
	switch v := value.(type) {
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, field := range v {
			if nulls || field != nil {
				copied[key] = copyJSON(field, nulls)
			}
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i, item := range v {
			copied[i] = copyJSON(item, nulls)
		}
		return copied
	}
	return value
}

// validateLabels applies the rules of apimachinery to labels, key by key.
func validateLabels(pediaCluster *unstructured.Unstructured) (problems Problems) {
	for key, value := range pediaCluster.GetLabels() {
		for _, message := range validation.IsQualifiedName(key) {
			problems = append(problems, invalidKey("metadata.labels", message))
		}
		for _, message := range validation.IsValidLabelValue(value) {
			problems = append(problems, Problem{Field: entry("metadata.labels", key), Message: withoutExample(message) + "; an annotation takes any text"})
		}
	}
	return problems
}

// validateAnnotations applies the rules of apimachinery to annotations, key by key.
func validateAnnotations(pediaCluster *unstructured.Unstructured) (problems Problems) {
	annotations := pediaCluster.GetAnnotations()
	for key := range annotations {
		for _, message := range validation.IsQualifiedName(strings.ToLower(key)) {
			problems = append(problems, invalidKey("metadata.annotations", message))
		}
	}
	if apivalidation.ValidateAnnotationsSize(annotations) != nil {
		problems = append(problems, Problem{Field: "metadata.annotations",
			Message: fmt.Sprintf("must have at most %d bytes in all", apivalidation.TotalAnnotationSizeLimitB)})
	}
	return problems
}

func invalidKey(field, message string) Problem {
	return Problem{Field: field, Message: "a key is invalid: " + withoutExample(message)}
}

// entry is the path of a value in a map, as far as its key can be shown.
func entry(field, key string) string {
	if len(key) > maxShownKey || len(validation.IsQualifiedName(key)) > 0 {
		return "a value of " + field
	}
	return field + "[" + key + "]"
}

// withoutExample shortens a message of apimachinery.
func withoutExample(message string) string { return inParentheses.ReplaceAllString(message, "") }

var inParentheses = regexp.MustCompile(` \(e\.g\. .*?'\)`)

// unknownField is the problem of a field that PediaClusters do not have. The path is that
// of pruning.
func (s *Schema) unknownField(path string) Problem {
	problem := Problem{Field: showPath(path), Message: "unknown field"}
	if around := s.at(parentOf(path)); around != nil && len(around.Properties) > 0 {
		problem.Message += ": known are " + strings.Join(slices.Sorted(maps.Keys(around.Properties)), ", ")
	}
	return problem
}

func parentOf(path string) string { return path[:max(strings.LastIndexByte(path, '.'), 0)] }

// stepsOf are the names and indexes of a path.
func stepsOf(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// at is the schema of a path, nil when there is none.
func (s *Schema) at(path string) *structuralschema.Structural {
	at := s.structural
	for _, name := range stepsOf(path) {
		switch property, ok := at.Properties[name]; {
		case at.Items != nil:
			at = at.Items
		case ok:
			at = &property
		case at.AdditionalProperties != nil:
			at = at.AdditionalProperties.Structural
		default:
			return nil
		}
		if at == nil {
			return nil
		}
	}
	return at
}

// typeNames are the types of JSON, as messages name them.
var typeNames = map[string]string{"object": "an object", "array": "a list", "string": "a string", "boolean": "a boolean",
	"integer": "an integer", "number": "a number", "null": "null"}

// safeCodes are those of errors whose message shows what the schema says, and nothing of
// the value.
var safeCodes = []int32{openapierrors.TooLongFailCode, openapierrors.TooShortFailCode, openapierrors.PatternFailCode, openapierrors.EnumFailCode,
	openapierrors.MultipleOfFailCode, openapierrors.MaxFailCode, openapierrors.MinFailCode, openapierrors.UniqueFailCode,
	openapierrors.MaxItemsFailCode, openapierrors.MinItemsFailCode, openapierrors.TooFewPropertiesCode, openapierrors.TooManyPropertiesCode}

// vague is the message of what the validator does not explain.
const vague = "does not fit the schema of the PediaCluster CRD"

func (p Problem) isVague() bool { return p.Message == vague }

// invalidField is the problem that an error of the validator speaks of. TypeOf is the JSON
// type of what was validated.
func (s *Schema) invalidField(err error, typeOf func(path string) (string, bool)) Problem {
	invalid := (*openapierrors.Validation)(nil)
	if !errors.As(err, &invalid) {
		return unexplained(err)
	}
	path := strings.TrimPrefix(invalid.Name, ".")
	problem := Problem{Field: showPath(path), Message: vague}
	switch code := invalid.Code(); {
	case code == openapierrors.RequiredFailCode:
		problem.Message = "is missing" + s.shouldBe(path)
	case code == openapierrors.InvalidTypeCode:
		problem.Message = s.wrongType(path, typeOf)
	case slices.Contains(safeCodes, code):
		message := strings.TrimPrefix(invalid.Error(), invalid.Name+" in body ")
		problem.Message = strings.Replace(message, "should ", "must ", 1)
	}
	return problem
}

// unexplained is the problem of an error that begins with a path in quotes, or has none.
func unexplained(err error) Problem {
	quoted, _ := strconv.QuotedPrefix(err.Error())
	path, _ := strconv.Unquote(quoted)
	for _, rule := range []string{"oneOf", "anyOf", "allOf", "not"} {
		if strings.Contains(err.Error(), "("+rule+")") {
			return Problem{Field: showPath(cmp.Or(strings.TrimPrefix(path, "."), "spec")), Message: "does not satisfy the rule " + rule + " of its schema"}
		}
	}
	return Problem{Field: "spec", Message: vague}
}

// shouldBe says what a missing field should be.
func (s *Schema) shouldBe(path string) string {
	schema := s.at(path)
	if schema == nil || typeNames[schema.Type] == "" {
		return ""
	}
	should := ": it must be " + typeNames[schema.Type]
	if schema.Type == "array" && (schema.ValueValidation == nil || schema.ValueValidation.MinItems == nil) {
		should += ", which may be empty"
	}
	return should
}

// wrongType says what is wrong with a value that has another type, or another format, than
// the schema wants.
func (s *Schema) wrongType(path string, typeOf func(path string) (string, bool)) string {
	schema := s.at(path)
	got, ok := typeOf(path)
	switch {
	case schema == nil || !ok || typeNames[schema.Type] == "":
		return vague
	case got == schema.Type && schema.ValueValidation != nil && schema.ValueValidation.Format == "byte":
		return "is not base64: use the data of a Secret as it is, or b64enc"
	case got == schema.Type && schema.ValueValidation != nil:
		return "does not have the format " + schema.ValueValidation.Format
	case got == "string" && schema.Type != "object" && schema.Type != "array":
		return fmt.Sprintf("must be %s, not a string: write it without quotes", typeNames[schema.Type])
	}
	return fmt.Sprintf("must be %s, not %s", typeNames[schema.Type], typeNames[got])
}

// typeAt is the JSON type of the value at a path.
func typeAt(content any, path string) (name string, ok bool) {
	for _, step := range stepsOf(path) {
		switch v := content.(type) {
		case map[string]any:
			content, ok = v[step]
		case []any:
			index, err := strconv.Atoi(step)
			if ok = err == nil && index < len(v); ok {
				content = v[index]
			}
		default:
			ok = false
		}
		if !ok {
			return "", false
		}
	}
	switch content.(type) {
	case map[string]any:
		return "object", true
	case []any:
		return "array", true
	case string:
		return "string", true
	case bool:
		return "boolean", true
	case int64:
		return "integer", true
	case float64:
		return "number", true
	}
	return "null", true
}

// showPath is a path as far as it can be shown: a template may have made a key of a value.
func showPath(path string) string {
	segments := strings.Split(path, ".")
	for i, segment := range segments {
		if len(segment) > maxShownKey || !plainSegment.MatchString(segment) {
			return "a field of " + cmp.Or(strings.Join(segments[:i], "."), "the document")
		}
	}
	return path
}

// plainSegment is the name of a field, with the indexes of items below it.
var plainSegment = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*(\[[0-9]+\])*$`)
