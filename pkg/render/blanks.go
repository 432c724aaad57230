package render

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// MissingCredential is a credential that the template writes and for which it
// printed nothing. It is not the same as a credential that the template leaves
// out or writes as "": it may only be gone for a moment.
type MissingCredential struct {
	// Field is the field of the PediaCluster's spec.
	Field string
	// Cause says which action printed nothing, and why.
	Cause *Error
}

func (e *MissingCredential) Error() string {
	return fmt.Sprintf("spec.%s is missing: %v", e.Field, e.Cause)
}

func (e *MissingCredential) Unwrap() error { return e.Cause }

// emptyText is the value of a scalar, with regard to whether an action printed
// nothing for it.
func (d *yamlDecoder) emptyText(node *yaml.Node, value any, as *shape, at *spot) any {
	if as.empty == leftOut || !hasNoText(node) {
		return value
	}
	blank := d.blanks.of(node)
	switch {
	case blank == nil:
		return value
	case as.empty == missing:
		cause := &Error{Field: "spec.template", Cause: d.blanks.rendered.Explain(blank)}
		d.missing = append(d.missing, &MissingCredential{Field: at.key, Cause: cause})
		return nil
	case value == nil && blank.Empty:
		return ""
	}
	return value
}

// blankFinder finds the blanks of a rendered text in its nodes.
type blankFinder struct {
	rendered *engine.Rendered
	document *yaml.Node
	// extents are those of the scalars without text. They are made when first
	// asked for.
	extents map[*yaml.Node]extent
}

// extent is the part of a text from where a node begins to where the next one
// does, in offsets.
type extent struct{ from, to int }

// of returns the blank in a scalar without text, nil when the template itself
// says that it is empty.
func (f *blankFinder) of(node *yaml.Node) *engine.Blank {
	if len(f.rendered.Blanks) == 0 {
		return nil
	}
	if f.extents == nil {
		f.locate()
	}
	text, at := f.rendered.Text, f.extents[node]
	switch quoted := node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0; {
	case quoted && strings.IndexByte(`"'`, text[at.from]) >= 0:
		return f.rendered.Within(at.from, at.from+closingQuote(text[at.from:at.to]), true)
	case node.Style == 0 && node.Value != "": // null, or ~
		return f.rendered.Within(at.from, at.from+len(node.Value), true)
	}
	return f.rendered.Within(at.from, at.to, at.to == len(text))
}

// closingQuote is the offset of the quote that ends the scalar that text begins
// with. There is nothing but white space in it, and maybe escapes of that.
func closingQuote(text string) int {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == '"':
			i++
		case text[i] == quote:
			return i
		}
	}
	return len(text)
}

// locate finds the extents of scalars without text, in one pass.
func (f *blankFinder) locate() {
	f.extents = map[*yaml.Node]extent{}
	c := cursor{text: f.rendered.Text, line: 1, column: 1}
	var open *yaml.Node // its extent has no end yet
	end := func(at int) {
		if open != nil {
			f.extents[open] = extent{f.extents[open].from, at}
			open = nil
		}
	}
	var walk func(node *yaml.Node)
	walk = func(node *yaml.Node) {
		if node.Kind == yaml.ScalarNode || node.Kind == yaml.AliasNode {
			c.advance(node.Line, node.Column)
			end(c.offset)
		}
		if node.Kind == yaml.ScalarNode && hasNoText(node) {
			open, f.extents[node] = node, extent{from: c.offset}
		}
		for _, child := range node.Content {
			walk(child)
		}
	}
	walk(f.document)
	end(len(c.text))
}

// hasNoText reports whether a scalar is null, or holds nothing but white space.
func hasNoText(node *yaml.Node) bool {
	return node.Tag == "!!null" || strings.TrimSpace(node.Value) == ""
}

// cursor goes through a text by lines and columns, both from 1.
type cursor struct {
	text                 string
	offset, line, column int
}

// advance goes on to a place. It stays where it is if the place is behind it.
func (c *cursor) advance(line, column int) {
	for c.offset < len(c.text) && (c.line < line || c.line == line && c.column < column) {
		_, size := utf8.DecodeRuneInString(c.text[c.offset:])
		lineBreak := c.text[c.offset] == '\n'
		if c.text[c.offset] == '\r' {
			lineBreak = true
			if strings.HasPrefix(c.text[c.offset:], "\r\n") {
				size = 2
			}
		}
		c.offset += size
		c.column++
		if lineBreak {
			c.line, c.column = c.line+1, 1
		}
	}
}

// NeverOptional are the credentials that a template prints whatever its data is:
// an import waits while one of them is missing.
func NeverOptional(template string) (fields []string) {
	outline := comments.ReplaceAllString(engine.Certain(template).Text, "")
	for _, match := range printedCredential.FindAllStringSubmatch(outline, -1) {
		fields = append(fields, match[1])
	}
	return fields
}

var (
	// comments are lines that are comments as a whole.
	comments = regexp.MustCompile(`(?m)^[ \t]*#.*$`)
	// printedCredential is a credential as a field of a map, with what an action
	// prints for its value.
	printedCredential = regexp.MustCompile(`(?:^|[\s{,"'])(` + strings.Join(credentialFields, "|") + `)["']?:[\s"'|>+0-9-]*` + engine.Printed)
)
