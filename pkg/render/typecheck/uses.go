package typecheck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// misuse says why a value of the type cannot be used as the template does, empty
// if it can. It continues a sentence that names the kind of the value.
func misuse(read *engine.Read, t *Type, yaml bool) string {
	kind := t.kind()
	structure := kind == Map || kind == List
	switch read.Use {
	case engine.Ranged:
		if kind == Text || kind == Boolean {
			return ", and range iterates over lists, maps and whole numbers"
		}
	case engine.Written:
		if structure && yaml {
			return ", and only toYaml and toJson write lists and maps into YAML" + parts(t)
		}
	case engine.Compared:
		if structure {
			return ", and eq and ne compare no lists and maps" + parts(t)
		}
		return unequal(read.With, t)
	case engine.Ordered:
		return unordered(read.With, kind)
	default:
		if wanted, ok := argumentKinds[read.Use]; ok && kind != Anything && !slices.Contains(wanted, kind) {
			return fmt.Sprintf(", and the function takes %s", wanted[0]) + parts(t)
		}
	}
	return ""
}

// argumentKinds are the kinds of values that arguments can have.
var argumentKinds = map[engine.Use][]Kind{
	engine.AsText:        {Text},
	engine.AsWholeNumber: {WholeNumber, Number},
	engine.AsNumber:      {Number, WholeNumber},
	engine.AsBoolean:     {Boolean},
	engine.AsMap:         {Map},
	engine.AsList:        {List},
}

// parts lists the fields of a map, one of which may be meant.
func parts(t *Type) string {
	if t.kind() != Map {
		return ""
	}
	return has(t)
}

// unequal says why a value of the type cannot be compared with one of the
// literals.
func unequal(literals []any, t *Type) string {
	for _, literal := range literals {
		if kind := literalKind(literal); kind != Anything && !comparableKinds(kind, t.kind()) {
			return fmt.Sprintf(", and is compared with %s: that is an error whenever there is a value%s", describeLiteral(literal), remedy(literal, t.kind()))
		}
	}
	return ""
}

// neverEqual says why a value of the type is none of the literals. Absent equals
// the empty string. If the policy also compares it with a value that it can have,
// the literals may be those of another version of the type, unless they are
// misspelled.
func neverEqual(literals, all []any, t *Type) string {
	possible := func(literal any) bool {
		name, isText := literal.(string)
		return !isText || name == "" || slices.Contains(t.Enum, name)
	}
	if t.kind() != Text || len(t.Enum) == 0 || len(literals) == 0 || slices.ContainsFunc(literals, possible) {
		return ""
	}
	name, _ := literals[0].(string)
	near := engine.Nearest(name, t.Enum)
	misspelled := len(near) > 0 && engine.Misspelled(name, near[0])
	if !misspelled && slices.ContainsFunc(all, possible) {
		return ""
	}
	hint := "; it is one of: " + enum(t)
	if len(near) > 0 {
		hint = meant(quotedList(near), hint)
	}
	return fmt.Sprintf(" and never %q%s", name, hint)
}

func enum(t *Type) string {
	const most = 12
	values, more := t.Enum, ""
	if len(values) > most {
		more = fmt.Sprintf(" and %d more", len(values)-most)
		values = values[:most]
	}
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = strconv.Quote(value)
	}
	return strings.Join(quoted, ", ") + more
}

// unordered says why a value of the kind has no order with one of the literals.
func unordered(literals []any, kind Kind) string {
	if kind == Map || kind == List || kind == Boolean {
		return ", and only numbers and strings have an order"
	}
	for _, literal := range literals {
		if other := literalKind(literal); other != Anything && kind != Anything && !comparableKinds(other, kind) {
			return fmt.Sprintf(", and has no order with %s", describeLiteral(literal))
		}
	}
	return ""
}

func comparableKinds(a, b Kind) bool {
	number := func(kind Kind) bool { return kind == WholeNumber || kind == Number }
	return a == b || b == Anything || number(a) && number(b)
}

// literalKind is the kind of a literal. Absent compares with everything.
func literalKind(literal any) Kind {
	switch literal.(type) {
	case string:
		return Text
	case bool:
		return Boolean
	case int:
		return WholeNumber
	case float64:
		return Number
	}
	return Anything
}

func describeLiteral(literal any) string {
	if name, ok := literal.(string); ok {
		return "the string " + strconv.Quote(name)
	}
	return fmt.Sprintf("%v", literal)
}

// remedy says how to write the literal, where that is clear.
func remedy(literal any, kind Kind) string {
	name, isText := literal.(string)
	switch {
	case isText && name == "":
		return "; whether there is one is asked with if, or hasKey"
	case isText && kind == Boolean && (strings.EqualFold(name, "true") || strings.EqualFold(name, "false")):
		return "; write " + strings.ToLower(name) + " without quotes"
	case isText && kind != Text:
		if _, err := strconv.ParseFloat(name, 64); err == nil {
			return "; write " + name + " without quotes"
		}
	case kind == Text:
		return fmt.Sprintf("; write %q", fmt.Sprint(literal))
	}
	return ""
}
