package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// quote is markup in a YAML template, so that {{ .source.x | quote }} is the
// scalar that it looks like. In text it is what it is in sprig.
func quote(r *run, args []any) (any, *Error) {
	parts := make([]string, 0, len(args))
	for _, x := range args {
		s, err := r.text(x)
		if err != nil {
			return nil, err
		}
		if err := r.takeTimes(6, len(s)+1); err != nil {
			return nil, err
		}
		if r.template.output == YAML && len(args) == 1 {
			if !utf8.ValidString(s) {
				return nil, problem("the value is no valid UTF-8, which YAML cannot carry; use b64enc")
			}
			return markup{text: `"` + string(appendQuoted(nil, s)) + `"`, kind: quotedMarkup}, nil
		}
		parts = append(parts, strconv.Quote(s))
	}
	return strings.Join(parts, " "), nil
}

// squote is markup in a YAML template if single quotes can carry the value.
func squote(r *run, args []any) (any, *Error) {
	parts := make([]string, 0, len(args))
	for _, x := range args {
		s, err := r.text(x)
		if err != nil {
			return nil, err
		}
		if err := r.takeTimes(2, len(s)+1); err != nil {
			return nil, err
		}
		if r.template.output == YAML && len(args) == 1 {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) {
				return nil, problem("the value has characters that single quotes cannot carry; use quote")
			}
			return markup{text: "'" + strings.ReplaceAll(s, "'", "''") + "'", kind: quotedMarkup}, nil
		}
		parts = append(parts, "'"+s+"'")
	}
	return strings.Join(parts, " "), nil
}

// toYAML writes a value in block style, with sorted keys.
func toYAML(r *run, x any) (any, *Error) {
	if _, err := r.measure(x); err != nil {
		return nil, err
	}
	w := yamlWriter{most: r.values}
	w.value(x, 0, false)
	if w.err != nil {
		return nil, w.err
	}
	if err := r.take(len(w.out)); err != nil {
		return nil, err
	}
	text := string(w.out)
	if r.template.output != YAML {
		return text, nil
	}
	kind := flowMarkup
	if isCollection(x) {
		kind = blockMarkup
	}
	return markup{text: text, kind: kind}, nil
}

// isCollection says whether a value is written in lines.
func isCollection(x any) bool {
	switch v := x.(type) {
	case map[string]any:
		return len(v) > 0
	case []any:
		return len(v) > 0
	}
	return false
}

type yamlWriter struct {
	out  []byte
	most int
	err  *Error
}

// value writes x at an indentation. Inline says that the line already holds a
// dash, so that the first key or item follows it.
func (w *yamlWriter) value(x any, indent int, inline bool) {
	if len(w.out) > w.most && w.err == nil {
		w.err = limit("%s", errValues)
	}
	if w.err != nil {
		return
	}
	switch v := x.(type) {
	case map[string]any:
		if len(v) == 0 {
			w.out = append(w.out, "{}"...)
			return
		}
		for _, key := range keysOfMeasured(v) {
			w.line(indent, inline)
			inline = false
			w.text(key)
			w.out = append(w.out, ':')
			switch item := v[key]; {
			case !isCollection(item):
				w.out = append(w.out, ' ')
				w.value(item, 0, true)
			case isList(item):
				w.value(item, indent, false)
			default:
				w.value(item, indent+2, false)
			}
		}
	case []any:
		if len(v) == 0 {
			w.out = append(w.out, "[]"...)
			return
		}
		for _, item := range v {
			w.line(indent, inline)
			inline = false
			w.out = append(w.out, '-', ' ')
			w.value(item, indent+2, true)
		}
	default:
		w.scalar(x)
	}
}

func isList(x any) bool {
	_, ok := x.([]any)
	return ok
}

func (w *yamlWriter) line(indent int, inline bool) {
	if inline || len(w.out) == 0 {
		return
	}
	w.out = append(w.out, '\n')
	for range indent {
		w.out = append(w.out, ' ')
	}
}

func (w *yamlWriter) scalar(x any) {
	switch v := x.(type) {
	case nil:
		w.out = append(w.out, "null"...)
	case string:
		w.text(v)
	case bool:
		w.out = strconv.AppendBool(w.out, v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			w.err = problem("the value holds a number that JSON does not have, such as NaN")
			return
		}
		w.out = strconv.AppendFloat(w.out, v, 'g', -1, 64)
	case json.Number:
		w.out = append(w.out, fmt.Sprint(plainNumber(v))...)
	case time.Time:
		w.text(v.Format(time.RFC3339Nano))
	default:
		if n, ok := wholeNumber(v); ok {
			w.out = strconv.AppendInt(w.out, n, 10)
			return
		}
		w.text(fmt.Sprint(v))
	}
}

// text writes a string so that it is read back as a string. Only words that no
// version of YAML takes for anything else go without quotes.
func (w *yamlWriter) text(s string) {
	if !utf8.ValidString(s) {
		w.err = problem("the value holds a string that is no valid UTF-8, which YAML cannot carry; use b64enc")
		return
	}
	if isWord(s) {
		w.out = append(w.out, s...)
		return
	}
	w.out = append(w.out, '"')
	w.out = appendQuoted(w.out, s)
	w.out = append(w.out, '"')
}

func isWord(s string) bool {
	if s == "" || !('a' <= s[0] && s[0] <= 'z' || 'A' <= s[0] && s[0] <= 'Z') {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte("_./-", s[i]) < 0 {
			// A colon is part of a word if something follows it, as in a URL.
			if s[i] != ':' || i+1 == len(s) {
				return false
			}
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf":
		return false
	}
	return true
}

// fromYAML reads YAML into what JSON has. The messages of the library are
// dropped, since they quote what they cannot read.
func fromYAML(r *run, s string) (any, *Error) {
	if err := r.spend(len(s) / 4); err != nil {
		return nil, err
	}
	if err := r.takeTimes(64, len(s)); err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(s), &document); err != nil {
		return nil, problem("the text is not YAML")
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	return r.fromNode(document.Content[0], 0)
}

// fromNode converts a node. Aliases are followed as often as the budget allows,
// which ends documents that are small only as long as nobody follows them.
func (r *run) fromNode(node *yaml.Node, depth int) (any, *Error) {
	if depth > maxDepth {
		return nil, limit("the YAML is nested more than %d levels deep", maxDepth)
	}
	switch node.Kind {
	case yaml.AliasNode:
		return r.fromNode(node.Alias, depth+1)
	case yaml.SequenceNode:
		return r.fromSequence(node, depth)
	case yaml.MappingNode:
		return r.fromMapping(node, depth)
	}
	return fromScalar(node), nil
}

func (r *run) fromSequence(node *yaml.Node, depth int) (any, *Error) {
	if err := r.takeItems(len(node.Content)); err != nil {
		return nil, err
	}
	out := make([]any, len(node.Content))
	for i, item := range node.Content {
		value, err := r.fromNode(item, depth+1)
		if err != nil {
			return nil, err
		}
		out[i] = value
	}
	return out, nil
}

func (r *run) fromMapping(node *yaml.Node, depth int) (any, *Error) {
	if err := r.takeEntries(len(node.Content) / 2); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return nil, problem("the YAML has a key that is no string")
		}
		value, err := r.fromNode(node.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if key.ShortTag() != "!!merge" {
			out[key.Value] = value
			continue
		}
		if err := r.mergeKey(out, value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mergeKey adds what a << key refers to, without overwriting.
func (r *run) mergeKey(out map[string]any, value any) *Error {
	maps, ok := value.([]any)
	if !ok {
		maps = []any{value}
	}
	for _, x := range maps {
		m, ok := x.(map[string]any)
		if !ok {
			return problem("the YAML merges something that is no map")
		}
		if err := r.takeEntries(len(m)); err != nil {
			return err
		}
		for key, item := range m {
			if _, there := out[key]; !there {
				out[key] = item
			}
		}
	}
	return nil
}

func fromScalar(node *yaml.Node) any {
	switch node.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if node.Decode(&b) == nil {
			return b
		}
	case "!!int":
		var n int64
		if node.Decode(&n) == nil {
			return n
		}
		fallthrough
	case "!!float":
		var f float64
		if node.Decode(&f) == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	}
	return node.Value
}
