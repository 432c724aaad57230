package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// Values are what JSON has, as Go has it: map[string]any, []any, string, bool,
// int, int64, float64 and json.Number. Functions add time.Time and its
// relatives, and *semver.Version. Lists and maps with other element types,
// which sprig returns here and there, do not occur: our functions return []any
// and map[string]any throughout.
//
// Absent is nil. JSON null counts as absent: the API machinery drops or keeps
// nulls as it pleases, so a template must not be able to tell them apart.

// markup is text that is YAML already: the result of toYaml, toJson, quote and
// their relatives. It is the only text that may write structure. For all
// functions but those that indent and trim it is a plain string.
type markup struct {
	// text has no line break at its end, and begins in column 0.
	text string
	kind markupKind
	// newline says that nindent has put a line break before the text, first
	// and indent by how many spaces the first line and the others are indented.
	newline       bool
	first, indent int
}

// size is how long the text is as a plain string. It can be much longer than
// what has been made so far, because indentation is only noted.
func (m markup) size() int {
	n := len(m.text) + m.first
	if m.indent > 0 {
		n += m.indent * strings.Count(m.text, "\n")
	}
	if m.newline {
		n++
	}
	return n
}

// String is the text as a plain string, which is what most functions get. The
// caller has made sure that its size is within the limits.
func (m markup) String() string {
	if !m.newline && m.first == 0 && m.indent == 0 {
		return m.text
	}
	s := strings.Repeat(" ", m.first) + strings.ReplaceAll(m.text, "\n", "\n"+strings.Repeat(" ", m.indent))
	if m.newline {
		s = "\n" + s
	}
	return s
}

type markupKind uint8

const (
	// blockMarkup is a map or list in block style, for block positions only.
	blockMarkup markupKind = iota
	// flowMarkup is JSON or a scalar, for block and flow positions.
	flowMarkup
	// quotedMarkup is a scalar in quotes, which may be a key, too.
	quotedMarkup
)

// truth says whether if takes its first branch. It is the rule of
// text/template: the zero value of a type is false, a struct is true.
func truth(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case markup:
		return v.text != ""
	case int:
		return v != 0
	case int64:
		return v != 0
	case float64:
		return v != 0
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case map[string]any:
		return len(v) > 0
	case []any:
		return len(v) > 0
	case time.Duration:
		return v != 0
	case time.Month:
		return v != 0
	case time.Weekday:
		return v != 0
	case *semver.Version:
		return v != nil
	default:
		return true
	}
}

// describe names the type of a value as users know it.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "absent"
	case bool:
		return "a boolean"
	case string, markup:
		return "a string"
	case int, int64, time.Month, time.Weekday:
		return "a whole number"
	case float64, json.Number:
		return "a number"
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	case *semver.Version:
		return "a version"
	default:
		return fmt.Sprintf("of type %T", v)
	}
}

// plainNumber turns a json.Number into the number it stands for.
func plainNumber(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	if f, err := n.Float64(); err == nil {
		return f
	}
	return n.String()
}

// wholeNumber returns the value as an int64 if it is a number without a
// fraction. JSON has one kind of number, so 3, 3.0 and "a field that an API
// server decoded as int64" are the same here.
func wholeNumber(value any) (int64, bool) {
	switch v := value.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case float64:
		if i := int64(v); float64(i) == v && v > -1e18 && v < 1e18 {
			return i, true
		}
	case json.Number:
		if _, again := plainNumber(v).(string); !again {
			return wholeNumber(plainNumber(v))
		}
	case time.Duration:
		return int64(v), true
	case time.Month:
		return int64(v), true
	case time.Weekday:
		return int64(v), true
	}
	return 0, false
}

// realNumber returns the value as a float64 if it is a number.
func realNumber(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	i, ok := wholeNumber(value)
	return float64(i), ok
}

// equal is eq. Absent equals absent and "", and nothing else.
func equal(a, b any) (bool, *Error) {
	if m, ok := a.(markup); ok {
		a = m.String()
	}
	if m, ok := b.(markup); ok {
		b = m.String()
	}
	switch x := a.(type) {
	case string:
		switch y := b.(type) {
		case string:
			return x == y, nil
		case nil:
			return x == "", nil
		}
	case bool:
		if y, ok := b.(bool); ok {
			return x == y, nil
		}
	case nil:
		return b == nil || b == "", nil
	}
	if b == nil {
		return false, nil
	}
	if order, ok := compareNumbers(a, b); ok {
		return order == 0, nil
	}
	switch a.(type) {
	case map[string]any, []any:
		return false, problem("%s cannot be compared with eq and ne; use deepEqual", describe(a))
	}
	switch b.(type) {
	case map[string]any, []any:
		return false, problem("%s cannot be compared with eq and ne; use deepEqual", describe(b))
	}
	if reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false, problem("one side is %s, the other is %s: they cannot be compared", describe(a), describe(b))
	}
	return a == b, nil
}

// compareNumbers compares numbers by value. NaN is unequal to everything.
func compareNumbers(a, b any) (order int, ok bool) {
	if x, whole := wholeNumber(a); whole {
		if y, whole := wholeNumber(b); whole {
			switch {
			case x < y:
				return -1, true
			case x > y:
				return 1, true
			}
			return 0, true
		}
	}
	x, ok := realNumber(a)
	if !ok {
		return 0, false
	}
	y, ok := realNumber(b)
	switch {
	case !ok:
		return 0, false
	case x < y:
		return -1, true
	case x == y:
		return 0, true
	}
	return 1, true
}

// order compares two values for lt, le, gt and ge. Absent is the zero value of
// the other side.
func order(a, b any) (int, *Error) {
	if m, ok := a.(markup); ok {
		a = m.String()
	}
	if m, ok := b.(markup); ok {
		b = m.String()
	}
	zero := func(of any) any {
		if _, ok := of.(string); ok || of == nil {
			return ""
		}
		return 0
	}
	if a == nil {
		a = zero(b)
	}
	if b == nil {
		b = zero(a)
	}
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), nil
		}
	}
	if n, ok := compareNumbers(a, b); ok {
		return n, nil
	}
	return 0, problem("only numbers with numbers and strings with strings have an order; one side is %s, the other is %s", describe(a), describe(b))
}

// scalarText prints a value that is no list and no map, as text/template does.
func scalarText(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case markup:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case json.Number:
		return v.String(), true
	case map[string]any, []any:
		return "", false
	default:
		return fmt.Sprint(v), true
	}
}

// text prints any value as text/template does, within the budget. Values that
// are nil print as nothing, also inside of a list.
func (b *budget) text(value any) (string, *Error) {
	if s, ok := scalarText(value); ok {
		return s, nil
	}
	if _, err := b.measure(value); err != nil {
		return "", err
	}
	var out strings.Builder
	writeText(&out, value)
	return out.String(), b.take(out.Len())
}

func writeText(out *strings.Builder, value any) {
	switch v := value.(type) {
	case map[string]any:
		out.WriteString("map[")
		for i, key := range keysOfMeasured(v) {
			if i > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(key)
			out.WriteByte(':')
			writeText(out, v[key])
		}
		out.WriteByte(']')
	case []any:
		out.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				out.WriteByte(' ')
			}
			writeText(out, item)
		}
		out.WriteByte(']')
	default:
		s, _ := scalarText(v)
		out.WriteString(s)
	}
}

// size is what measure counts: the nodes of a value as a tree, and the bytes
// of its keys and strings.
type size struct {
	nodes, bytes int
	// opaque says that the value holds a time or a version.
	opaque bool
}

// measure walks through a value and takes the steps that any walk through it
// is worth. It refuses values that contain themselves, and values that are
// small in memory but large when written out, before a library recurses into
// them without a bound.
func (b *budget) measure(value any) (size, *Error) {
	var total size
	err := b.measureInto(&total, value, 0)
	return total, err
}

func (b *budget) measureInto(total *size, value any, depth int) *Error {
	if depth > maxDepth {
		return limit("a value is nested more than %d levels deep, or contains itself", maxDepth)
	}
	if err := b.spend(1); err != nil {
		return err
	}
	total.nodes++
	bytes := 0
	switch v := value.(type) {
	case string:
		bytes = len(v)
	case markup:
		bytes = len(v.text)
	case json.Number:
		bytes = len(v)
	case time.Time, *semver.Version:
		total.opaque = true
		bytes = 64
	case []any:
		for _, item := range v {
			if err := b.measureInto(total, item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for key := range v {
			bytes += len(key)
		}
		// Whoever walks through a map sorts its keys.
		if err := b.spend(len(v) + sortSteps(len(v), bytes)); err != nil {
			return err
		}
		for _, item := range v {
			if err := b.measureInto(total, item, depth+1); err != nil {
				return err
			}
		}
	}
	total.bytes += bytes
	if total.bytes > b.values {
		return limit("%s", errValues)
	}
	return b.read(bytes)
}

// copyValue is a deep copy of the lists and maps of a value.
func (b *budget) copyValue(value any) (any, *Error) {
	if _, err := b.measure(value); err != nil {
		return nil, err
	}
	return b.copyMeasured(value)
}

func (b *budget) copyMeasured(value any) (any, *Error) {
	switch v := value.(type) {
	case map[string]any:
		if err := b.takeEntries(len(v)); err != nil {
			return nil, err
		}
		out := make(map[string]any, len(v))
		for key, item := range v {
			copied, err := b.copyMeasured(item)
			if err != nil {
				return nil, err
			}
			out[key] = copied
		}
		return out, nil
	case []any:
		if err := b.takeItems(len(v)); err != nil {
			return nil, err
		}
		out := make([]any, len(v))
		for i, item := range v {
			copied, err := b.copyMeasured(item)
			if err != nil {
				return nil, err
			}
			out[i] = copied
		}
		return out, nil
	}
	return value, nil
}

// deepEqual compares whole values. Numbers are equal if they are the same
// number, whatever Go calls their type: has 80 .source.spec.ports is true for
// a port 80 that an API server has decoded.
func (b *budget) deepEqual(x, y any) (bool, *Error) { return b.deepEqualAt(x, y, 0) }

func (b *budget) deepEqualAt(x, y any, depth int) (bool, *Error) {
	if depth > maxDepth {
		return false, limit("a value is nested more than %d levels deep, or contains itself", maxDepth)
	}
	if err := b.spend(1); err != nil {
		return false, err
	}
	if m, ok := x.(markup); ok {
		x = m.String()
	}
	if m, ok := y.(markup); ok {
		y = m.String()
	}
	switch v := x.(type) {
	case nil:
		return y == nil, nil
	case string:
		w, ok := y.(string)
		if !ok || len(v) != len(w) {
			return false, nil
		}
		if err := b.read(len(v)); err != nil {
			return false, err
		}
		return v == w, nil
	case map[string]any:
		w, ok := y.(map[string]any)
		if !ok || len(v) != len(w) {
			return false, nil
		}
		return b.equalMaps(v, w, depth+1)
	case []any:
		w, ok := y.([]any)
		if !ok || len(v) != len(w) {
			return false, nil
		}
		return b.equalLists(v, w, depth+1)
	}
	if n, ok := compareNumbers(x, y); ok {
		return n == 0, nil
	}
	return reflect.DeepEqual(x, y), nil
}

// equalMaps compares maps of the same length. It goes through them in order, so
// that the steps do not depend on that of the map.
func (b *budget) equalMaps(x, y map[string]any, depth int) (bool, *Error) {
	keys, err := b.sortedKeys(x)
	if err != nil {
		return false, err
	}
	for _, key := range keys {
		other, ok := y[key]
		if !ok {
			return false, nil
		}
		if same, err := b.deepEqualAt(x[key], other, depth); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// equalLists compares lists of the same length.
func (b *budget) equalLists(x, y []any, depth int) (bool, *Error) {
	for i := range x {
		if same, err := b.deepEqualAt(x[i], y[i], depth); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}
