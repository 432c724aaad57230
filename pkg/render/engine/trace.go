package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/template/parse"
)

// A trace says how a condition came to its result. It is made by compiling the
// template once more, with each decision wrapped by an expression that counts, and
// executing that. So the trace is one of the very evaluator, and a template that is
// not traced does not know of it.

// Trace is how the execution of a condition came to its result: whether it printed
// "true" or not.
type Trace struct {
	// Steps are the decisions that were made, in the order of the template.
	Steps []TraceStep
	// Text is what was printed.
	Text string
	// Err is why the execution ended early.
	Err *Error
}

// TraceStepKind says what a step decides about.
type TraceStepKind string

const (
	// TraceIf is the condition of an if or a with, or an argument of and and or in it.
	TraceIf TraceStepKind = "If"
	// TraceRange is what a range goes over.
	TraceRange TraceStepKind = "Range"
	// TracePrint is what an action prints.
	TracePrint TraceStepKind = "Print"
)

// TraceStep is one decision of a template, over all its evaluations.
type TraceStep struct {
	Kind TraceStepKind
	// Line and Column are where the expression begins, Template is the defined
	// template that it is part of.
	Line, Column int
	Template     string
	// Expression is the decision as written.
	Expression string
	// Evaluated is how often it was made, and True how often it was true, had
	// items, or printed "true".
	Evaluated, True int
	// Items are those of a range, over all evaluations.
	Items int
	// Decided says that the result would have been another one if this step had
	// gone the other way, as far as the template alone tells.
	Decided bool
	// Values are those of the paths in the expression, of the last evaluation that
	// decided.
	Values []Value

	node *decision
	how  string
}

// Value is what a path in an expression led to.
type Value struct {
	Expression string
	Value      any
	// FromSource says that the path begins at .source, and Reference is the key of
	// the reference at which it begins. Where neither is set, it begins at the dot
	// or a variable, and may lead into anything that the template reads.
	FromSource bool
	Reference  string
}

// decision is a decision in a template that is compiled for a trace, and what it
// does in the only execution of that.
type decision struct {
	tally
	kind TraceStepKind
	at   *site
	// under is the decision that it depends on, and via how that must go.
	under *decision
	via   edge
	// need is how it must go so that "true" can be printed.
	need outcome
	// paths are those in the expression, without their values.
	paths []Value
}

// edge is how one decision leads to another.
type edge uint8

const (
	// viaNothing is for what is not in a condition.
	viaNothing edge = iota
	viaCondition
	viaTrue
	viaFalse
	// viaArgument is for what is in the argument of a function, of which it cannot
	// be told what it means for the condition.
	viaArgument
)

// outcome is how a decision goes.
type outcome uint8

const (
	either outcome = iota
	mustBeTrue
	mustBeFalse
	neither
)

// maxStepValues is how many values of a step are kept.
const maxStepValues = 8

// maxDecisions is how many decisions of a template are traced.
const maxDecisions = 200

// tracer collects the decisions of a compilation.
type tracer struct{ decisions []*decision }

// context is the decision that what is being compiled depends on.
type context struct {
	decision *decision
	via      edge
}

// within says that what is compiled next depends on a decision. Without a trace
// there is none.
func (c *compiler) within(d *decision, via edge) {
	if d != nil {
		c.inside = context{d, via}
	}
}

// decide notes a decision. It returns nil without a trace.
func (c *compiler) decide(kind TraceStepKind, node parse.Node, need outcome) *decision {
	if c.trace == nil || len(c.trace.decisions) == maxDecisions {
		return nil
	}
	if pipe, ok := node.(*parse.PipeNode); ok && len(pipe.Decl) > 0 {
		undeclared := *pipe
		undeclared.Decl = nil
		node = &undeclared
	}
	d := &decision{kind: kind, at: c.site(node), under: c.inside.decision, via: c.inside.via, need: need}
	c.trace.decisions = append(c.trace.decisions, d)
	return d
}

// branches is how the condition of a block must go.
func (c *compiler) branches(list, other *parse.ListNode) outcome {
	if c.trace == nil || len(c.trace.decisions) == maxDecisions {
		return either
	}
	yes, no := c.printsTrue(list, map[string]bool{}), c.printsTrue(other, map[string]bool{})
	switch {
	case yes && no:
		return either
	case yes:
		return mustBeTrue
	case no:
		return mustBeFalse
	}
	return neither
}

// printsTrue reports whether a list may print "true". Seen are the defined templates
// that have been looked into.
func (c *compiler) printsTrue(list *parse.ListNode, seen map[string]bool) bool {
	if list == nil {
		return false
	}
	return slices.ContainsFunc(list.Nodes, func(node parse.Node) bool {
		switch n := node.(type) {
		case *parse.TextNode:
			return strings.Contains(strings.ToLower(string(n.Text)), "true")
		case *parse.ActionNode:
			return len(n.Pipe.Decl) == 0 && mayBeTrue(n.Pipe)
		case *parse.IfNode:
			return c.printsTrue(n.List, seen) || c.printsTrue(n.ElseList, seen)
		case *parse.WithNode:
			return c.printsTrue(n.List, seen) || c.printsTrue(n.ElseList, seen)
		case *parse.RangeNode:
			return c.printsTrue(n.List, seen) || c.printsTrue(n.ElseList, seen)
		case *parse.TemplateNode:
			tree := c.trees[n.Name]
			if tree == nil || seen[n.Name] {
				return false
			}
			seen[n.Name] = true
			return c.printsTrue(tree.Root, seen)
		}
		return false
	})
}

// mayBeTrue reports whether an action may print "true".
func mayBeTrue(pipe *parse.PipeNode) bool {
	if len(pipe.Cmds) != 1 {
		return true
	}
	switch n := pipe.Cmds[0].Args[0].(type) {
	case *parse.StringNode:
		return strings.Contains(strings.ToLower(n.Text), "true")
	case *parse.BoolNode:
		return n.True
	case *parse.NumberNode, *parse.NilNode:
		return false
	case *parse.IdentifierNode:
		return n.Ident != "fail"
	}
	return true
}

// logicArguments compiles the arguments of and and or as decisions of their own:
// each depends on the one before it.
func (c *compiler) logicArguments(args []parse.Node, until bool) []expression {
	inside := c.inside
	defer func() { c.inside = inside }()
	via := viaTrue
	if until {
		via = viaFalse
	}
	need := inside.decision.need
	out := make([]expression, 0, len(args))
	for _, arg := range args {
		d := c.decide(TraceIf, arg, need)
		c.within(d, viaCondition)
		out = append(out, d.wrap(c.operand(arg)))
		c.within(d, via)
	}
	return out
}

// wrap counts how a decision goes.
func (d *decision) wrap(e expression) expression {
	if d == nil {
		return e
	}
	return &tracedDecision{e, d}
}

// observe records the value of a path in a condition.
func (c *compiler) observe(e expression, node parse.Node) expression {
	if c.trace == nil || c.inside.decision == nil || c.inside.via != viaCondition && c.inside.via != viaArgument {
		return e
	}
	d := c.inside.decision
	if len(d.paths) == maxStepValues {
		return e
	}
	value := Value{Expression: shorten(node.String())}
	if path, ok := e.(*objectPath); ok {
		value.FromSource, value.Reference = path.reference == "", path.reference
	}
	d.paths, d.pending = append(d.paths, value), append(d.pending, nil)
	return &tracedValue{e, d, len(d.paths) - 1}
}

// tally is what one decision has done.
type tally struct {
	evaluated, held, items int
	// how says in which way it was not true, empty if in several.
	how string
	// missed says that values are of an evaluation that decided.
	missed bool
	// pending are the values of the evaluation under way.
	pending, values []any
}

type tracedDecision struct {
	expression
	decision *decision
}

func (e *tracedDecision) eval(r *run, dot any) (any, *Error) {
	clear(e.decision.pending)
	value, err := e.expression.eval(r, dot)
	if err == nil {
		e.decision.add(value)
	}
	return value, err
}

// add counts an evaluation.
func (d *decision) add(value any) {
	held := truth(value)
	switch d.kind {
	case TraceRange:
		items := itemsOf(value)
		d.items += items
		held = items > 0
	case TracePrint:
		text, ok := scalarText(value)
		held = ok && strings.EqualFold(strings.TrimSpace(text), "true")
	}
	switch how := wasNot(d.kind, value); {
	case held:
		d.held++
	case d.evaluated == d.held:
		d.how = how // the first time
	case how != d.how:
		d.how = ""
	}
	d.evaluated++
	if missed := held != (d.need == mustBeTrue); missed || !d.missed {
		d.missed = d.missed || missed
		d.values = append(d.values[:0], d.pending...)
	}
}

// itemsOf is the number of items that range goes over.
func itemsOf(value any) int {
	switch v := value.(type) {
	case []any:
		return len(v)
	case map[string]any:
		return len(v)
	}
	n, _ := wholeNumber(value)
	return int(max(n, 0))
}

// wasNot says in which way a value is not true.
func wasNot(kind TraceStepKind, value any) string {
	switch v := value.(type) {
	case nil:
		return "was absent"
	case bool:
		if !v {
			return "was false"
		}
	case string:
		if v == "" {
			return "was empty"
		}
	case []any, map[string]any:
		if kind == TraceIf {
			return "was empty"
		}
	}
	switch kind {
	case TraceRange:
		return "had no items"
	case TracePrint:
		return `did not print "true"`
	}
	return "was zero"
}

type tracedValue struct {
	expression
	decision *decision
	path     int
}

func (e *tracedValue) eval(r *run, dot any) (any, *Error) {
	value, err := e.expression.eval(r, dot)
	e.decision.pending[e.path] = value
	return value, err
}

// Trace executes a condition as Execute does, and says how it came to its result.
func (t *Template) Trace(data Data, env Env) *Trace {
	traced := &Template{text: t.text, output: t.output, declared: t.declared, reads: map[string]bool{}}
	trees, err := parseText(t.text)
	if err != nil {
		return &Trace{Err: err} // It has been parsed before.
	}
	c := newCompiler(traced, trees)
	c.trace = &tracer{}
	c.compile()

	r := newRun(traced, data, env)
	out := &Trace{Err: r.main()}
	if out.Err == nil {
		out.Text = string(r.out.buf)
	}
	out.Steps = c.trace.steps()
	return out
}

// steps are the decisions that were made, in the order of the template.
func (t *tracer) steps() (steps []TraceStep) {
	for _, d := range t.decisions {
		if d.evaluated == 0 {
			continue
		}
		place := d.at.fill(&Error{})
		step := TraceStep{
			Kind: d.kind, Line: place.Line, Column: place.Column, Template: place.Template, Expression: place.Expression,
			Evaluated: d.evaluated, True: d.held, Items: d.items, Decided: d.decides(), node: d, how: cmp.Or(d.how, "was false"),
		}
		for i, path := range d.paths {
			path.Value = d.values[i]
			step.Values = append(step.Values, path)
		}
		steps = append(steps, step)
	}
	slices.SortStableFunc(steps, func(a, b TraceStep) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return steps
}

// decides reports whether a decision has kept "true" from being printed.
func (d *decision) decides() bool {
	switch d.need {
	case mustBeTrue:
		return d.held < d.evaluated
	case mustBeFalse:
		return d.held > 0
	case either:
		return true
	}
	return false
}

// maxReasons is how many decisions Why names.
const maxReasons = 3

// Why says in words without values why the condition was not true: the decisions
// that kept it from being so, innermost first. It is empty if the template alone
// does not tell.
func (t *Trace) Why() string {
	var reasons []string
	for _, step := range t.deciding() {
		reasons = append(reasons, t.describe(step))
	}
	if more := len(reasons) - maxReasons; more > 0 {
		reasons = append(reasons[:maxReasons], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(reasons, "; ")
}

// deciding are the innermost steps that decided, and those without which these
// would not have been made.
func (t *Trace) deciding() []*TraceStep {
	var innermost []*TraceStep
	for i := range t.Steps {
		step := &t.Steps[i]
		if step.Decided && !slices.ContainsFunc(t.Steps, func(other TraceStep) bool { return other.Decided && other.node.dependsOn(step.node) }) {
			innermost = append(innermost, step)
		}
	}
	slices.SortStableFunc(innermost, func(a, b *TraceStep) int { return cmp.Compare(b.node.depth(), a.node.depth()) })
	out := slices.Clone(innermost)
	for _, step := range innermost {
		for d := step.node; d.under != nil; d = d.under {
			if before := t.step(d.under); d.via == viaFalse && before != nil && before.Decided && !slices.Contains(out, before) {
				out = append(out, before)
			}
		}
	}
	return out
}

// step is what a decision has done, nil if it was not made.
func (t *Trace) step(d *decision) *TraceStep {
	for i := range t.Steps {
		if t.Steps[i].node == d {
			return &t.Steps[i]
		}
	}
	return nil
}

// dependsOn reports whether a decision is made inside of another one.
func (d *decision) dependsOn(other *decision) bool {
	for at := d.under; at != nil; at = at.under {
		if at == other {
			return true
		}
	}
	return false
}

func (d *decision) depth() (depth int) {
	for at := d.under; at != nil; at = at.under {
		depth++
	}
	return depth
}

// describe says how a step went, and for which items of the range around it.
func (t *Trace) describe(step *TraceStep) string {
	var b strings.Builder
	fmt.Fprintf(&b, "line %d", step.Line)
	if step.Template != "" {
		fmt.Fprintf(&b, " (template %q)", step.Template)
	}
	fmt.Fprintf(&b, ": %s ", step.Expression)
	failed := step.Evaluated - step.True
	if step.node.need == mustBeFalse || step.node.need == either && failed == 0 {
		failed = step.True
		b.WriteString("was true")
	} else {
		b.WriteString(step.how)
	}
	loop, with := t.loop(step.node)
	switch {
	case loop == nil && step.Evaluated > 1:
		fmt.Fprintf(&b, ", %d of %d times", failed, step.Evaluated)
	case loop == nil:
	case failed < step.Evaluated:
		fmt.Fprintf(&b, " for %d of %d items of %s", failed, step.Evaluated, loop.Expression)
	case failed == 1:
		fmt.Fprintf(&b, " for the one item of %s", loop.Expression)
	default:
		fmt.Fprintf(&b, " for all %d items of %s", failed, loop.Expression)
	}
	if loop != nil && len(with) > 0 {
		fmt.Fprintf(&b, " with %s", strings.Join(with, " and "))
	}
	return b.String()
}

// loop is the innermost range around a decision, and what was true of the items
// for which the decision was made.
func (t *Trace) loop(d *decision) (loop *TraceStep, with []string) {
	for at := d; at.under != nil; at = at.under {
		before := t.step(at.under)
		switch {
		case before == nil || at.via != viaTrue:
		case before.Kind == TraceRange:
			return before, with
		default:
			with = append([]string{before.Expression}, with...)
		}
	}
	return nil, nil
}
