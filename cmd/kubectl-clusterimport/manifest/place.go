package manifest

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Place is where something stands: a file or URL, a line, and a column in
// characters, both counted from 1. Column 0 is not known.
type Place struct {
	Source       string
	Line, Column int
}

func (p Place) String() string {
	if p.Column == 0 {
		return fmt.Sprintf("%s:%d", p.Source, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.Source, p.Line, p.Column)
}

// Place is where the field of that path is set, such as
// spec.references[0].nameTemplate. For a field that is not set it is what
// comes nearest: the object that should have it.
func (o *Object) Place(path string) Place {
	at := o.place(o.node)
	node := o.node
	for _, step := range steps(path) {
		key, value := child(node, step)
		if value == nil {
			break
		}
		at, node = o.place(key), value
	}
	return at
}

func (o *Object) place(node *yaml.Node) Place {
	if node == nil {
		return Place{Source: o.document.source, Line: o.document.before + 1}
	}
	return Place{Source: o.document.source, Line: o.document.before + node.Line, Column: node.Column}
}

// PlaceInText is where a line and a column of the text that the field of that
// path holds stand in the file. Where the text is not written in the file as it
// is, for instance with escapes, it is the beginning of the field.
func (o *Object) PlaceInText(path string, line, column int) Place {
	at, node := o.Place(path), find(o.node, path)
	if node == nil || node.Kind != yaml.ScalarNode || line < 1 {
		return at
	}
	texts := strings.Split(node.Value, "\n")
	if line > len(texts) {
		return at
	}
	number := node.Line + line - 1
	if node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		number++ // the text begins below its indicator
	}
	if number > len(o.document.lines) {
		return at
	}
	written, text := o.document.lines[number-1], texts[line-1]
	start := strings.Index(written, text)
	if start < 0 {
		return at
	}
	return Place{
		Source: o.document.source,
		Line:   o.document.before + number,
		Column: utf8.RuneCountInString(written[:start]) + column,
	}
}

// steps are the parts of a path: keys and, in brackets, indexes.
func steps(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

func find(node *yaml.Node, path string) *yaml.Node {
	for _, step := range steps(path) {
		_, node = child(node, step)
	}
	return node
}

// child returns what stands for the step below the node: the key and the value
// of a mapping, or the item of a list twice. Nil when there is none.
func child(node *yaml.Node, step string) (key, value *yaml.Node) {
	switch {
	case node == nil:
	case node.Kind == yaml.AliasNode:
		return child(node.Alias, step)
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				key, value = node.Content[i], node.Content[i+1] // the last one counts
			}
		}
	case node.Kind == yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	}
	return key, value
}

// maxDuplicates is how many fields that are set twice are reported.
const maxDuplicates = 20

// duplicates are the paths of the first keys that a mapping has more than once.
func duplicates(root *yaml.Node) (paths []string) {
	var steps []string // of the node that is looked at
	var visit func(node *yaml.Node)
	below := func(step string, node *yaml.Node) {
		steps = append(steps, step)
		visit(node)
		steps = steps[:len(steps)-1]
	}
	visit = func(node *yaml.Node) {
		switch {
		case node == nil:
		case node.Kind == yaml.MappingNode:
			seen := map[string]bool{}
			for i := 0; i+1 < len(node.Content) && len(paths) < maxDuplicates; i += 2 {
				key := node.Content[i].Value
				if seen[key] {
					paths = append(paths, strings.TrimPrefix(strings.Join(steps, "")+"."+key, "."))
				}
				seen[key] = true
				below("."+key, node.Content[i+1])
			}
		case node.Kind == yaml.SequenceNode:
			for i := 0; i < len(node.Content) && len(paths) < maxDuplicates; i++ {
				below("["+strconv.Itoa(i)+"]", node.Content[i])
			}
		}
	}
	visit(root)
	return paths
}
