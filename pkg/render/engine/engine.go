// Package engine parses, checks and executes one template against JSON-like
// data. It speaks the language of text/template with the functions of sprig,
// and is safe where those are not: templates come from users, and the data
// often from tenants with fewer rights than the author of the template.
//
// The package parses with text/template/parse and evaluates with an evaluator
// of its own. That is what makes absent values, a budget counted in steps,
// exact places in errors, caps on sizes and escaping for YAML part of the
// evaluation, instead of additions from outside that a template can get
// around. It is also faster: JSON-like data needs next to no reflection.
//
// The package knows nothing of policies, of clients or of API types.
package engine

import (
	"time"
)

// Output says what a template writes.
type Output int

const (
	// Text is written as it is: names, conditions, selectors.
	Text Output = iota
	// YAML is text that is escaped as the YAML around it demands, so that no
	// value can add a key, an item or a line. See yaml.go for the rules.
	YAML
)

// Limits of one template and of one execution. They are constants, and counted
// in units that are the same on every machine, because whether a policy works
// must not depend on where it runs.
const (
	// maxText is the size in bytes of a template.
	maxText = 256 << 10
	// maxActions is the number of actions in a template. It bounds the depth
	// to which the parser, which knows no bound of its own, can recurse.
	maxActions = 10_000
	// maxNesting is the depth of blocks, parentheses and template calls.
	maxNesting = 200
	// maxSteps is the work one execution may do. One step is about as much
	// work as one action, one function call or 64 bytes read by a function.
	maxSteps = 1_000_000
	// maxValues is how many bytes of values functions may create in one
	// execution, garbage included.
	maxValues = 16 << 20
	// maxOutput is the size in bytes of what one execution may write.
	maxOutput = 8 << 20
	// maxYAML is the same for YAML. What reads it makes a hundred bytes of one,
	// and an object of this size is beyond what an API server stores.
	maxYAML = 1 << 20
	// maxDepth is how deep a value may be nested for a function that walks
	// through it. It also stops at values that contain themselves.
	maxDepth = 200
)

// Options say what a template is for.
type Options struct {
	Output Output
	// References are the keys that a template may use as .references.<key>.
	// If nil, .references is not available to the template at all.
	References []string
}

// Data is what a template sees. It is never changed.
type Data struct {
	// Source is .source.
	Source map[string]any
	// References is .references. A declared key without an entry is absent:
	// its object has not been found yet.
	References map[string]map[string]any
}

// Env is the only clock and the only chance a template sees, so that equal
// inputs give equal output.
type Env struct {
	// Now is what now returns and what ago counts from.
	Now time.Time
	// Seed is what uuidv4, shuffle and the rand functions draw from.
	Seed string
}

// Template is a compiled template. It is safe for concurrent use.
type Template struct {
	text   string
	main   *body
	output Output
	// declared are the keys usable below .references, in their given order.
	declared []string
	// reads are the keys below .references that the template may read.
	reads map[string]bool
	// mutates says that the template calls a function that writes into its
	// argument. Only such a template is given copies of its data.
	mutates bool
}

// Reads reports whether the template may read the reference of that key. One that
// reads .references as a whole may read all of them.
func (t *Template) Reads(reference string) bool { return t.reads[reference] }

// Execute renders the template. The error, if there is one, is an *Error.
// Execute never changes data.
func (t *Template) Execute(data Data, env Env) (string, error) {
	rendered, err := t.Render(data, env)
	if err != nil {
		return "", err
	}
	return rendered.Text, nil
}

// Render is Execute for whoever has to know where an action printed nothing.
func (t *Template) Render(data Data, env Env) (*Rendered, error) {
	r := newRun(t, data, env)
	if err := r.main(); err != nil {
		return nil, err
	}
	return &Rendered{Text: string(r.out.buf), Blanks: r.blanks.sorted(), run: r}, nil
}
