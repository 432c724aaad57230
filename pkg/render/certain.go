package render

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// TemplateProblem is what is wrong with the PediaClusters that a template renders, whatever
// its data is.
type TemplateProblem struct {
	Problem
	// Line and Column are the place in the template, from 1; 0 when no place has it.
	Line, Column int
}

func (p TemplateProblem) String() string {
	if p.Line == 0 {
		return p.Problem.String()
	}
	return fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Problem)
}

// CheckTemplate returns what is wrong with the PediaClusters that a template of a policy
// renders, as far as its text alone tells: fields that PediaClusters do not have, values that
// they cannot have, and fields that are missing on every path through the template. What
// depends on data is not judged, nor a template whose text is no YAML by itself.
func CheckTemplate(template string, schema *Schema) []TemplateProblem {
	if schema == nil {
		schema = ShippedSchema()
	}
	outline := engine.Possible(template)
	text, offsets := literalText(outline)
	var document yaml.Node
	if yaml.Unmarshal([]byte(text), &document) != nil || document.Kind == 0 {
		return nil
	}
	c := templateChecker{schema: schema, prints: printsFields(template, outline)}
	c.document(document.Content[0])
	place := func(node *yaml.Node) (line, column int) {
		at := cursor{text: text, line: 1, column: 1}
		at.advance(node.Line, node.Column)
		if at.offset >= len(offsets) {
			return 0, 0
		}
		in := cursor{text: template, line: 1, column: 1}
		for in.offset < offsets[at.offset] {
			in.advance(in.line, in.column+1)
		}
		return in.line, in.column
	}
	problems := make([]TemplateProblem, 0, len(c.problems))
	for _, found := range c.problems[:min(len(c.problems), maxProblems)] {
		problem := TemplateProblem{Problem: found.problem}
		if found.node != nil {
			problem.Line, problem.Column = place(found.node)
		}
		problems = append(problems, problem)
	}
	slices.SortStableFunc(problems, func(a, b TemplateProblem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return problems
}

var (
	// topLevel is a line with a key of the document.
	topLevel = regexp.MustCompile(`^` + engine.Branch + `*[A-Za-z]+:`)
	// marksOnly is a line on which nothing is literal.
	marksOnly = regexp.MustCompile(`^[ \t\r]*[` + engine.Printed + engine.Branch + `][ \t\r` + engine.Printed + engine.Branch + `]*$`)
	// marksAround are branches that begin before the text of a line, or end after it.
	marksAround = regexp.MustCompile(`^[ \t` + engine.Branch + `]*` + engine.Branch + `|[ \t\r` + engine.Branch + `]*` + engine.Branch + `[ \t\r]*$`)
	// keyAndMark is a key whose value begins directly behind the colon, as with nindent.
	keyAndMark = regexp.MustCompile(`^[ \t-]*["']?[^"':\s` + engine.Printed + engine.Branch + `]+["']?:([` + engine.Printed + engine.Branch + `])`)
)

// prints says where actions may print whole fields.
type prints struct {
	// lines: on lines of their own, anywhere.
	lines bool
	// spec: among the fields of spec, on lines of their own or behind others, which takes nindent.
	spec bool
}

// printsFields finds where actions may print whole fields.
func printsFields(template string, outline engine.Outline) (found prints) {
	inMetadata, from := false, 0
	for line := range strings.Lines(outline.Text) {
		if topLevel.MatchString(line) {
			inMetadata = strings.HasPrefix(strings.TrimLeft(line, engine.Branch), "metadata:")
		}
		alone := strings.Contains(line, engine.Printed) && marksOnly.MatchString(strings.TrimSuffix(line, "\n"))
		found.lines = found.lines || alone
		for i, r := range line {
			if !inMetadata && string(r) == engine.Printed && (alone || mayPrintLines(template, outline.Offsets[from+i])) {
				found.spec = true
			}
		}
		from += len(line)
	}
	return found
}

// mayPrintLines reports whether the action may begin with a line break. Only nindent writes
// one in front of fields; its result may be in a variable or in the dot.
func mayPrintLines(template string, offset int) bool {
	action, _, _ := strings.Cut(template[offset:], "}}")
	return strings.Contains(action, "nindent") ||
		strings.Contains(template, "nindent") && (strings.Contains(action, "$") || strings.Trim(action, "{- \t\r\n") == ".")
}

// literalText is the outline of a template as YAML, with the offsets in the template. Lines
// without anything literal are left out.
func literalText(outline engine.Outline) (text string, offsets []int) {
	var out strings.Builder
	from := 0
	copied := func(begin, end int) {
		out.WriteString(outline.Text[begin:end])
		offsets = append(offsets, outline.Offsets[begin:end]...)
	}
	for line := range strings.Lines(outline.Text) {
		begin, end := from, from+len(strings.TrimSuffix(line, "\n"))
		from += len(line)
		body := outline.Text[begin:end]
		if !marksOnly.MatchString(body) {
			copyLine(body, func(b, e int) { copied(begin+b, begin+e) }, func() {
				out.WriteByte(' ')
				offsets = append(offsets, outline.Offsets[begin])
			})
		}
		copied(end, from)
	}
	return out.String(), offsets
}

// copyLine copies a line without the marks of branches around its text, and with a blank
// behind a key that has none.
func copyLine(line string, copied func(begin, end int), blank func()) {
	at := 0
	keep := func(end int) {
		if at < end {
			copied(at, end)
		}
		at = end
	}
	for _, around := range marksAround.FindAllStringIndex(line, -1) {
		keep(max(at, around[0]))
		for i, r := range line[around[0]:around[1]] {
			if string(r) == engine.Branch {
				keep(around[0] + i)
				at = around[0] + i + len(engine.Branch)
			}
		}
	}
	if mark := keyAndMark.FindStringSubmatchIndex(line); mark != nil && mark[2] >= at {
		keep(mark[2])
		blank()
	}
	keep(len(line))
}

// templateChecker collects the problems of a literal document.
type templateChecker struct {
	schema   *Schema
	prints   prints
	problems []placedProblem
}

// placedProblem is a problem at a node, nil when no node has it.
type placedProblem struct {
	node    *yaml.Node
	problem Problem
}

func (c *templateChecker) add(node *yaml.Node, problem Problem) {
	c.problems = append(c.problems, placedProblem{node, problem})
}

// document checks the document of a PediaCluster.
func (c *templateChecker) document(node *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		return
	}
	var specs []*yaml.Node
	c.fields(node, "", []string{"apiVersion", "kind", "metadata", "spec"}, func(name string, value *yaml.Node) {
		switch name {
		case "metadata":
			c.metadata(value)
		case "spec":
			specs = append(specs, value)
			spec := c.schema.structural.Properties["spec"]
			c.value(value, &spec, "spec")
		}
	})
	c.required(node, specs)
}

// fields visits the literal fields of a map, and complains of those that are not known.
func (c *templateChecker) fields(node *yaml.Node, path string, known []string, visit func(name string, value *yaml.Node)) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name, literal := literalOf(key)
		switch {
		case !literal:
		case slices.Contains(known, name.Value):
			visit(name.Value, value)
		default:
			field := strings.TrimPrefix(path+"."+name.Value, ".")
			c.add(key, Problem{Field: showPath(field), Message: "unknown field: a template can set " + strings.Join(known, ", ")})
		}
	}
}

func (c *templateChecker) metadata(node *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		return
	}
	c.fields(node, "metadata", []string{"name", "labels", "annotations"}, func(name string, value *yaml.Node) {
		if name == "name" || value.Kind != yaml.MappingNode {
			return
		}
		field := "metadata." + name
		for i := 0; i+1 < len(value.Content); i += 2 {
			c.entry(field, value.Content[i], value.Content[i+1])
		}
	})
}

// entry checks a label or an annotation.
func (c *templateChecker) entry(field string, key, value *yaml.Node) {
	name, literal := literalOf(key)
	if !literal {
		return
	}
	labels := field == "metadata.labels"
	rule := name.Value
	if !labels {
		rule = strings.ToLower(rule)
	}
	for _, message := range validation.IsQualifiedName(rule) {
		c.add(key, invalidKey(field, message))
	}
	text, literal := literalOf(value)
	switch {
	case value.Kind == yaml.MappingNode || value.Kind == yaml.SequenceNode:
		c.add(value, Problem{Field: entry(field, name.Value), Message: "must be a string"})
	case literal && labels && text.Tag != "!!null":
		for _, message := range validation.IsValidLabelValue(text.Value) {
			c.add(value, Problem{Field: entry(field, name.Value), Message: withoutExample(message) + "; an annotation takes any text"})
		}
	}
}

// value checks a value against its schema.
func (c *templateChecker) value(node *yaml.Node, s *structuralschema.Structural, path string) {
	if s == nil || s.XPreserveUnknownFields || s.XIntOrString || len(c.problems) >= maxProblems {
		return
	}
	switch node.Kind {
	case yaml.MappingNode:
		c.mapping(node, s, path)
	case yaml.SequenceNode:
		if s.Type != "array" {
			c.mismatch(node, s, path, "a list")
			return
		}
		for i, item := range node.Content {
			c.value(item, s.Items, fmt.Sprintf("%s[%d]", path, i))
		}
	case yaml.ScalarNode:
		c.scalar(node, s, path)
	}
}

func (c *templateChecker) mapping(node *yaml.Node, s *structuralschema.Structural, path string) {
	if s.Type != "object" {
		c.mismatch(node, s, path, "an object")
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name, literal := literalOf(key)
		if !literal {
			continue
		}
		at := path + "." + name.Value
		switch property, ok := s.Properties[name.Value]; {
		case ok:
			c.value(value, &property, at)
		case s.AdditionalProperties != nil:
			c.value(value, s.AdditionalProperties.Structural, at)
		default:
			c.add(key, c.schema.unknownField(at))
		}
	}
}

// scalar checks a literal scalar. One that is null is left out of the PediaCluster, as an empty
// endpoint or credential is.
func (c *templateChecker) scalar(node *yaml.Node, s *structuralschema.Structural, path string) {
	literal, ok := literalOf(node)
	if !ok || literal.Tag == "!!null" {
		return
	}
	name := strings.TrimPrefix(path, "spec.")
	followed := slices.Contains(followedFields, name)
	if followed && strings.TrimSpace(literal.Value) == "" {
		return
	}
	as := shapeOf(s)
	if as == nil {
		as = &shape{}
	}
	value, err := scalar(literal, as, &spot{})
	if err != nil {
		return
	}
	if text, ok := value.(string); ok && followed && name != endpointField {
		value = strings.Join(strings.Fields(text), "")
	}
	for _, err := range validate.NewSchemaValidator(s.ToKubeOpenAPI(), nil, path, strfmt.Default).Validate(value).Errors {
		c.add(node, c.schema.invalidField(err, func(string) (string, bool) { return typeAt(value, "") }))
	}
}

func (c *templateChecker) mismatch(node *yaml.Node, s *structuralschema.Structural, path, got string) {
	if want, ok := typeNames[s.Type]; ok {
		c.add(node, Problem{Field: showPath(path), Message: fmt.Sprintf("must be %s, not %s", want, got)})
	}
}

// required complains of the required fields of spec that no path through the template
// writes. That is not known when something else than literal text may write it.
func (c *templateChecker) required(document *yaml.Node, specs []*yaml.Node) {
	spec := c.schema.structural.Properties["spec"]
	if c.prints.spec || c.prints.lines && len(specs) == 0 || spec.ValueValidation == nil || !onlyLiteralKeys(document) {
		return
	}
	var written []string
	for _, node := range specs {
		if node.Kind != yaml.MappingNode || !onlyLiteralKeys(node) {
			return
		}
		for i := 0; i < len(node.Content); i += 2 {
			name, _ := literalOf(node.Content[i])
			written = append(written, name.Value)
		}
	}
	for _, name := range spec.ValueValidation.Required {
		if !slices.Contains(written, name) {
			path := "spec." + name
			c.add(nil, Problem{Field: path, Message: "is missing" + c.schema.shouldBe(path)})
		}
	}
}

func onlyLiteralKeys(node *yaml.Node) bool {
	for i := 0; i < len(node.Content); i += 2 {
		if _, literal := literalOf(node.Content[i]); !literal {
			return false
		}
	}
	return true
}

// literalOf is a scalar without the marks of a branch around it. It reports whether nothing
// of it depends on data.
func literalOf(node *yaml.Node) (*yaml.Node, bool) {
	if node.Kind != yaml.ScalarNode || node.Tag == "!!merge" {
		return node, false
	}
	if !strings.ContainsAny(node.Value, engine.Printed+engine.Branch) {
		return node, true
	}
	text := strings.Trim(node.Value, engine.Branch)
	if node.Style == 0 {
		text = strings.TrimSpace(text)
	}
	literal := &yaml.Node{Kind: yaml.ScalarNode, Style: node.Style, Value: text}
	literal.Tag = literal.ShortTag()
	return literal, !strings.ContainsAny(text, engine.Printed+engine.Branch)
}
