package engine

import (
	"fmt"
	"slices"
	"strings"
	"text/template/parse"
	"unicode/utf8"
)

// Compile parses a template and checks all that can be checked without data.
// The error, if there is one, is an Errors.
func Compile(text string, opts Options) (*Template, error) {
	if opts.Output == YAML {
		// Editors put it there, and YAML allows it nowhere else.
		text = strings.TrimPrefix(text, "\ufeff")
	}
	t := &Template{text: text, output: opts.Output, reads: map[string]bool{}}
	if opts.References != nil {
		t.declared = slices.Clone(opts.References)
		if t.declared == nil {
			t.declared = []string{}
		}
	}
	if errs := compile(t); len(errs) > 0 {
		return nil, errs
	}
	return t, nil
}

func compile(t *Template) Errors {
	trees, err := parseText(t.text)
	if err != nil {
		return salvage(t, err).inOrder()
	}
	c := newCompiler(t, trees)
	c.compile()
	return c.errs.inOrder()
}

// salvage returns what else is wrong with a template that the parser stopped at.
func salvage(t *Template, stopped *Error) Errors {
	if stopped.LimitExceeded {
		return Errors{stopped}
	}
	repaired := repair(t.text)
	if repaired.trees != nil {
		c := newCompiler(t, repaired.trees)
		c.foreign = repaired.foreign
		c.compile()
		repaired.errs = append(repaired.errs, *c.errs...)
	}
	if len(repaired.errs) == 0 {
		return Errors{stopped}
	}
	return repaired.errs
}

func newCompiler(t *Template, trees map[string]*parse.Tree) *compiler {
	return &compiler{template: t, trees: trees, bodies: map[bodyKey]*body{}, errs: &Errors{}, allowance: &allowance{
		prepare: budget{steps: maxSteps, values: maxValues},
		trials:  budget{steps: maxSteps, values: maxValues},
	}}
}

// compile compiles all definitions, and collects what is wrong with them.
func (c *compiler) compile() {
	// The functions below recurse through the parse tree. A limit ends the
	// compilation from wherever it is found, as an error does in package parse.
	defer func() {
		if p := recover(); p != nil {
			limit, ok := p.(*Error)
			if !ok {
				panic(p)
			}
			c.errs.add(limit)
		}
	}()
	c.template.main = c.body(mainName, true)
	// Definitions that nothing calls are checked like all others.
	names := make([]string, 0, len(c.trees))
	for name := range c.trees {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if c.bodies[bodyKey{name, true}] == nil && c.bodies[bodyKey{name, false}] == nil {
			c.body(name, false)
		}
	}
}

// compiler holds the state of one compilation.
type compiler struct {
	template  *Template
	trees     map[string]*parse.Tree
	bodies    map[bodyKey]*body
	allowance *allowance
	errs      *Errors
	// foreign are the actions in which something was repaired. Their operands
	// are checked, but not what they are arguments of.
	foreign []span

	// The rest belongs to the body that is being compiled.
	name string
	// scope are the variables that can be seen, the last one first found.
	scope []scoped
	slots int
	// rootVariable says that $ is the root, rootDot that the dot is.
	rootVariable, rootDot bool
	nesting               int
	// conditional says that the expression being compiled may not be evaluated.
	conditional bool

	// trace is set while a template is compiled for a trace, and inside is the
	// decision that what is being compiled depends on.
	trace  *tracer
	inside context
}

// allowance is what a template may still cost at compile time.
type allowance struct {
	// prepare is for what functions make of literals. It is not to be exceeded.
	prepare budget
	// trials is for calls with literals. When it is used up, no more are tried.
	trials budget
}

type scoped struct {
	name string
	slot int
}

// bodyKey tells apart a definition that is called with the root, in which the
// fields of dot are checked, from the same definition called with anything else.
type bodyKey struct {
	name string
	root bool
}

func (c *compiler) site(node parse.Node) *site {
	s := &site{text: &c.template.text, node: node}
	if node != nil {
		s.offset = offsetOf(c.template.text, node)
	}
	if c.name != mainName {
		s.template = c.name
	}
	return s
}

// offsetOf is where a node begins. The parser puts the position of a path with
// more than one name at its second name.
func offsetOf(text string, node parse.Node) int {
	offset := int(node.Position())
	switch n := node.(type) {
	case *parse.FieldNode:
		if len(n.Ident) > 1 {
			offset -= len(n.Ident[0]) + 1
		}
	case *parse.VariableNode:
		if len(n.Ident) > 1 {
			offset -= len(n.Ident[0])
		}
	case *parse.ChainNode:
		offset = offsetOf(text, n.Node)
		if n.Node.Type() == parse.NodePipe {
			offset = parenthesis(text, offset)
		}
	case *parse.CommandNode:
		return offsetOf(text, n.Args[0])
	case *parse.PipeNode:
		if len(n.Decl) == 0 && len(n.Cmds) > 0 {
			first := n.Cmds[0].Args[0]
			offset = offsetOf(text, first)
			if first.Type() == parse.NodePipe {
				offset = parenthesis(text, offset)
			}
		}
	case *parse.ActionNode:
		return offsetOf(text, n.Pipe)
	}
	return offset
}

// parenthesis is the offset of the parenthesis before what begins at offset.
// The parser gives it no position.
func parenthesis(text string, offset int) int {
	before := strings.TrimRight(text[:min(offset, len(text))], " \t\r\n")
	if strings.HasSuffix(before, "(") {
		return len(before) - 1
	}
	return offset
}

// fail records what is wrong with an expression, which is broken from there on:
// nothing that follows from it is an error of its own.
func (c *compiler) fail(node parse.Node, format string, args ...any) expression {
	c.errs.add(c.site(node).errorf(format, args...))
	return broken{}
}

// broken stands for an expression with an error. It is never evaluated.
type broken struct{}

func (broken) eval(*run, any) (any, *Error) { return nil, nil }

// nest guards the recursion of the compiler, and so that of the evaluator.
func (c *compiler) nest(node parse.Node) func() {
	if c.nesting++; c.nesting > maxNesting {
		panic(c.site(node).limit("the template is nested more than %d levels deep", maxNesting))
	}
	return func() { c.nesting-- }
}

// body compiles a definition. It may be asked for while it is being compiled,
// since templates may call themselves.
func (c *compiler) body(name string, root bool) *body {
	key := bodyKey{name, root}
	if b := c.bodies[key]; b != nil {
		return b
	}
	b := &body{name: name}
	c.bodies[key] = b
	outer := *c
	*c = compiler{
		template: c.template, trees: c.trees, bodies: c.bodies, allowance: c.allowance, errs: c.errs, foreign: c.foreign, trace: c.trace,
		name: name, scope: []scoped{{"$", 0}}, slots: 1, rootVariable: root, rootDot: root, nesting: outer.nesting,
	}
	if tree := c.trees[name]; tree != nil && tree.Root != nil {
		b.list = c.list(tree.Root)
	}
	b.slots = c.slots
	*c = outer
	return b
}

func (c *compiler) list(list *parse.ListNode) []statement {
	if list == nil {
		return nil
	}
	defer c.nest(list)()
	var out []statement
	for _, node := range list.Nodes {
		if s := c.statement(node); s != nil {
			out = append(out, s)
		}
	}
	return out
}

func (c *compiler) statement(node parse.Node) statement {
	switch n := node.(type) {
	case *parse.TextNode:
		c.checkText(n)
		return &textStatement{chunk: newChunk(string(n.Text)), at: c.site(n)}
	case *parse.ActionNode:
		return c.action(n)
	case *parse.IfNode:
		return c.branch(&n.BranchNode, false)
	case *parse.WithNode:
		return c.branch(&n.BranchNode, true)
	case *parse.RangeNode:
		return c.loop(n)
	case *parse.BreakNode:
		return jumpStatement(breaking)
	case *parse.ContinueNode:
		return jumpStatement(continuing)
	case *parse.TemplateNode:
		return c.invocation(n)
	case *parse.CommentNode:
		return nil
	}
	c.fail(node, "this action is not known here")
	return nil
}

func (c *compiler) action(n *parse.ActionNode) statement {
	if len(n.Pipe.Decl) > 0 {
		return &evalStatement{c.pipe(n.Pipe), c.site(n.Pipe)}
	}
	inside := c.inside
	d := c.decide(TracePrint, n.Pipe, mustBeTrue)
	c.within(d, viaCondition)
	s := &printStatement{d.wrap(c.pipe(n.Pipe)), c.site(n.Pipe)}
	c.inside = inside
	return s
}

// checkText refuses characters in the text of a YAML template that some readers
// of YAML take for line breaks or skip, and others do not: no one could tell
// where in the YAML a value behind them stands.
func (c *compiler) checkText(n *parse.TextNode) {
	if c.template.output != YAML {
		return
	}
	text := string(n.Text)
	if i := strings.IndexAny(text, "\u0085\u2028\u2029\ufeff"); i >= 0 {
		at := c.site(nil)
		at.offset = int(n.Pos) + i
		r, _ := utf8.DecodeRuneInString(text[i:])
		c.errs.add(at.errorf("the character %U cannot be used in YAML; remove it, or write it in double quotes as \"\\u%04X\"", r, r))
	}
}

// scoped compiles something and forgets the variables it declared.
func (c *compiler) scoped(compile func()) {
	scope, dot, inside := len(c.scope), c.rootDot, c.inside
	compile()
	c.scope, c.rootDot, c.inside = c.scope[:scope], dot, inside
}

func (c *compiler) branch(n *parse.BranchNode, setsDot bool) statement {
	s := &ifStatement{setsDot: setsDot, at: c.site(n.Pipe)}
	c.scoped(func() {
		d := c.decide(TraceIf, n.Pipe, c.branches(n.List, n.ElseList))
		c.within(d, viaCondition)
		s.condition = d.wrap(c.pipe(n.Pipe))
		c.scoped(func() {
			c.within(d, viaTrue)
			c.rootDot = c.rootDot && !setsDot || setsDot && c.isRoot(n.Pipe)
			s.list = c.list(n.List)
		})
		c.scoped(func() {
			c.within(d, viaFalse)
			s.other = c.list(n.ElseList)
		})
	})
	return s
}

// isRoot says whether a pipeline is nothing but the root.
func (c *compiler) isRoot(pipe *parse.PipeNode) bool {
	if pipe == nil || len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return false
	}
	switch n := pipe.Cmds[0].Args[0].(type) {
	case *parse.DotNode:
		return c.rootDot
	case *parse.VariableNode:
		return c.rootVariable && len(n.Ident) == 1 && n.Ident[0] == "$"
	}
	return false
}

func (c *compiler) loop(n *parse.RangeNode) statement {
	s := &rangeStatement{key: -1, item: -1, at: c.site(n.Pipe)}
	c.scoped(func() {
		d := c.decide(TraceRange, n.Pipe, c.branches(n.List, n.ElseList))
		c.within(d, viaCondition)
		s.over = c.commands(n.Pipe)
		if v, ok := s.over.(constant); ok {
			if count, ok := wholeNumber(v.value); ok && count > maxSteps {
				panic(s.at.limit("%s", errSteps))
			}
		}
		s.over = d.wrap(s.over)
		for i, v := range n.Pipe.Decl {
			slot := c.target(v, n.Pipe.IsAssign)
			if i == 0 && len(n.Pipe.Decl) == 2 {
				s.key = slot
			} else {
				s.item = slot
			}
		}
		c.scoped(func() {
			c.within(d, viaTrue)
			c.rootDot = false
			s.list = c.list(n.List)
		})
		c.scoped(func() {
			c.within(d, viaFalse)
			s.other = c.list(n.ElseList)
		})
	})
	return s
}

func (c *compiler) invocation(n *parse.TemplateNode) statement {
	if c.trees[n.Name] == nil {
		var defined []string
		for name := range c.trees {
			if name != mainName {
				defined = append(defined, fmt.Sprintf("%q", shorten(name)))
			}
		}
		slices.Sort(defined)
		c.fail(n, "there is no template %q; defined are: %s", shorten(n.Name), list(defined))
		if n.Pipe != nil {
			c.pipe(n.Pipe)
		}
		return nil
	}
	s := &templateStatement{at: c.site(n)}
	if n.Pipe == nil {
		s.body = c.body(n.Name, false)
		return s
	}
	if c.isRoot(n.Pipe) && len(n.Pipe.Decl) == 0 {
		s.dot, s.body = constant{root{}}, c.body(n.Name, true)
		return s
	}
	s.dot = c.pipe(n.Pipe)
	s.body = c.body(n.Name, false)
	return s
}

// target returns the slot that a declaration or an assignment writes to.
func (c *compiler) target(v *parse.VariableNode, assign bool) int {
	name := v.Ident[0]
	switch {
	case name == "$":
		c.fail(v, "$ cannot be changed")
	case len(v.Ident) > 1:
		c.fail(v, "only whole variables can be declared or assigned; use set to change a dict")
	case assign:
		slot, _ := c.lookup(v)
		return slot
	}
	slot := c.slots
	c.slots++
	c.scope = append(c.scope, scoped{name, slot})
	return slot
}

func (c *compiler) lookup(v *parse.VariableNode) (slot int, declared bool) {
	for i := len(c.scope) - 1; i >= 0; i-- {
		if c.scope[i].name == v.Ident[0] {
			return c.scope[i].slot, true
		}
	}
	c.fail(v, "the variable %s is not declared here; its declaration is in another branch", shorten(v.Ident[0]))
	return 0, false
}

// pipe compiles a pipeline with its declarations.
func (c *compiler) pipe(pipe *parse.PipeNode) expression {
	value := c.commands(pipe)
	for _, v := range pipe.Decl {
		if c.conditional {
			c.fail(v, "a variable cannot be declared or assigned in an argument of and and or, which may not be evaluated")
		}
		value = &declaration{value, c.target(v, pipe.IsAssign)}
	}
	return value
}

// commands compiles a pipeline without its declarations.
func (c *compiler) commands(pipe *parse.PipeNode) expression {
	defer c.nest(pipe)()
	if inside := c.inside; inside.decision != nil && len(pipe.Cmds) > 1 {
		c.inside.via = viaArgument
		defer func() { c.inside = inside }()
	}
	var value expression
	for i, command := range pipe.Cmds {
		if i > maxNesting {
			panic(c.site(command).limit("the pipeline has more than %d stages", maxNesting))
		}
		value = c.command(command, value)
	}
	return value
}

// command compiles one stage of a pipeline. Piped is the stage before it.
func (c *compiler) command(command *parse.CommandNode, piped expression) expression {
	first, args := command.Args[0], command.Args[1:]
	if c.isForeign(command) {
		return c.operandsOnly(command)
	}
	switch n := first.(type) {
	case *parse.IdentifierNode:
		return c.call(command, n, args, piped)
	case *parse.FieldNode, *parse.VariableNode, *parse.ChainNode:
		if len(args) == 0 && piped == nil {
			return c.operand(first)
		}
		return c.method(command, first, args, piped)
	case *parse.NilNode:
		return c.fail(n, "nil stands for nothing that could be printed or tested; an absent value is false and equals \"\"")
	}
	if len(args) > 0 || piped != nil {
		return c.noFunction(first, args)
	}
	return c.operand(first)
}

// noFunction is the error of giving arguments to what takes none. All of them
// are compiled, for what else may be wrong.
func (c *compiler) noFunction(first parse.Node, args []parse.Node) expression {
	c.operand(first)
	for i, arg := range args {
		if ident, ok := arg.(*parse.IdentifierNode); !ok {
			c.operand(arg)
		} else if i > 0 {
			c.known(ident)
		}
	}
	return c.fail(first, "%s is not a function and cannot be given arguments%s", shorten(first.String()), functionsFirst(first, args))
}

// method compiles a path that is given arguments: its last name is a method.
func (c *compiler) method(command *parse.CommandNode, node parse.Node, args []parse.Node, piped expression) expression {
	compiled := c.operand(node)
	if traced, ok := compiled.(*tracedValue); ok {
		compiled = traced.expression
	}
	e, ok := compiled.(*fieldPath)
	switch {
	case compiled == broken{}:
		c.arguments(args, nil)
		return broken{}
	case !ok:
		return c.noFunction(node, args)
	}
	e.args, e.piped = c.arguments(args, piped), piped != nil
	e.at = c.site(command)
	return e
}

func (c *compiler) arguments(args []parse.Node, piped expression) []expression {
	if c.inside.decision != nil {
		inside := c.inside
		c.inside.via = viaArgument
		defer func() { c.inside = inside }()
	}
	out := make([]expression, 0, len(args)+1)
	for _, arg := range args {
		out = append(out, c.operand(arg))
	}
	if piped != nil {
		out = append(out, piped)
	}
	return out
}

// operand compiles what stands for one value.
func (c *compiler) operand(node parse.Node) expression {
	switch n := node.(type) {
	case *parse.DotNode:
		if c.rootDot {
			return c.root(n)
		}
		return c.observe(dotExpression{}, n)
	case *parse.NilNode:
		return constant{nil}
	case *parse.BoolNode:
		return constant{n.True}
	case *parse.StringNode:
		return constant{n.Text}
	case *parse.NumberNode:
		return c.number(n)
	case *parse.IdentifierNode:
		return c.call(n, n, nil, nil)
	case *parse.PipeNode:
		return c.pipe(n)
	case *parse.FieldNode:
		if c.rootDot {
			return c.rootPath(n, "", n.Ident)
		}
		return c.observe(&fieldPath{base: dotExpression{}, path: n.Ident, prefix: ".", at: c.site(n)}, n)
	case *parse.VariableNode:
		slot, declared := c.lookup(n)
		if !declared {
			return broken{}
		}
		if slot == 0 && c.rootVariable {
			if len(n.Ident) == 1 {
				return c.root(n)
			}
			return c.rootPath(n, "$", n.Ident[1:])
		}
		if len(n.Ident) == 1 {
			return c.observe(variable(slot), n)
		}
		return c.observe(&fieldPath{base: variable(slot), path: n.Ident[1:], prefix: n.Ident[0], at: c.site(n)}, n)
	case *parse.ChainNode:
		if n.Node.Type() == parse.NodeNil {
			return c.fail(n, "nil has no fields")
		}
		return c.observe(&fieldPath{base: c.operand(n.Node), path: n.Field, prefix: shorten(parenthesised(n.Node)), at: c.site(n)}, n)
	}
	return c.fail(node, "this cannot stand here")
}

func parenthesised(node parse.Node) string {
	if node.Type() == parse.NodePipe {
		return "(" + node.String() + ")"
	}
	return node.String()
}

// rootPath compiles a path that begins at the root, and checks its beginning.
func (c *compiler) rootPath(node parse.Node, prefix string, names []string) expression {
	at := c.site(node)
	switch names[0] {
	case "source":
		return c.observe(&objectPath{path: names[1:], prefix: prefix + ".source", at: at}, node)
	case "references":
		if c.template.declared == nil {
			return c.fail(node, ".references cannot be used here; there is only .source")
		}
		if len(names) == 1 {
			c.readsAll()
			return referencesExpression{at}
		}
		if !c.checkReference(node, names[1]) {
			return broken{}
		}
		c.template.reads[names[1]] = true
		return c.observe(&objectPath{reference: names[1], path: names[2:], prefix: prefix + ".references." + names[1], at: at}, node)
	}
	has := ".source"
	if c.template.declared != nil {
		has += " and .references"
	}
	return c.fail(node, "there is no %s.%s; a template has %s%s", prefix, shorten(names[0]), has, c.insteadOf(names))
}

// root compiles the root as a whole.
func (c *compiler) root(node parse.Node) expression {
	c.readsAll()
	return rootExpression{c.site(node)}
}

// readsAll records that the template may read every reference.
func (c *compiler) readsAll() {
	for _, key := range c.template.declared {
		c.template.reads[key] = true
	}
}

func (c *compiler) checkReference(node parse.Node, key string) bool {
	if slices.Contains(c.template.declared, key) {
		return true
	}
	c.fail(node, "no reference with key %q can be used here; there are: %s", shorten(key), list(c.template.declared))
	return false
}

// number compiles a number literal. As in text/template, its syntax says
// whether it is a whole number.
func (c *compiler) number(n *parse.NumberNode) expression {
	isRune := strings.HasPrefix(n.Text, "'")
	isHex := len(n.Text) > 2 && n.Text[0] == '0' && (n.Text[1] == 'x' || n.Text[1] == 'X') && !strings.ContainsAny(n.Text, "pP")
	switch {
	case strings.HasSuffix(n.Text, "i") && !isRune:
		return c.fail(n, "complex numbers cannot be used here")
	case n.IsFloat && !isRune && !isHex && strings.ContainsAny(n.Text, ".eEpP"):
		return constant{n.Float64}
	case n.IsInt && int64(int(n.Int64)) == n.Int64:
		return constant{int(n.Int64)}
	}
	return c.fail(n, "%s is too large for a whole number", shorten(n.Text))
}

// logic compiles and and or. In a condition that is traced their arguments are
// decisions of their own.
func (c *compiler) logic(node parse.Node, name string, args []parse.Node, piped expression) expression {
	if len(args) == 0 && piped == nil {
		return c.fail(node, "%s needs at least one argument", name)
	}
	// A declaration in an argument that is skipped would be neither made
	// nor missing, and no reader could tell which.
	conditional := c.conditional
	c.conditional = true
	e := &logic{until: name == "or", piped: piped != nil, at: c.site(node)}
	if c.inside.decision != nil && c.inside.via == viaCondition {
		e.args = c.logicArguments(args, e.until)
	} else {
		e.args = c.arguments(args, piped)
	}
	c.conditional = conditional
	return e
}

// call compiles a function call. It checks the name, the number of arguments,
// and whatever literals tell about the rest.
func (c *compiler) call(node parse.Node, ident *parse.IdentifierNode, args []parse.Node, piped expression) expression {
	name := ident.Ident
	if name == "and" || name == "or" {
		return c.logic(node, name, args, piped)
	}
	if !c.known(ident) {
		if !strings.HasPrefix(foreignNames[name], "write {{") { // else it is an action of its own
			c.arguments(args, nil)
		}
		return broken{}
	}
	f := functions[name]
	e := &call{function: f, piped: piped != nil, args: c.arguments(args, piped), at: c.site(node)}
	if n := len(e.args); n < len(f.params) || n > len(f.params) && f.rest == noKind || n < f.atLeast {
		return c.fail(node, "%s takes %s, not %d: %s", name, f.arity(), n, f.usage)
	}
	if f.mutates {
		c.checkTarget(node, e)
		c.template.mutates = true
	}
	literals, ok := c.checkLiterals(node, e)
	if !ok {
		return broken{}
	}
	if f.prepare != nil {
		if pattern, ok := e.args[0].(constant); ok {
			prepared, err := f.prepare(&c.allowance.prepare, pattern.value)
			if err != nil {
				return c.stop(c.site(argumentNode(node, args, 0)).fill(err))
			}
			e.prepared = prepared
		}
	}
	if literals != nil {
		c.try(e, literals)
	}
	c.checkKey(f, e, args)
	return e
}

// stop records an error. A limit that all of the template share ends the
// compilation.
func (c *compiler) stop(err *Error) expression {
	if err.LimitExceeded {
		panic(err)
	}
	c.errs.add(err)
	return broken{}
}

func argumentNode(node parse.Node, args []parse.Node, i int) parse.Node {
	if i < len(args) {
		return args[i]
	}
	return node
}

// checkLiterals finds literals of a wrong type. If all arguments are literals,
// it returns them.
func (c *compiler) checkLiterals(node parse.Node, e *call) (literals []any, ok bool) {
	args := make([]any, len(e.args))
	for i, arg := range e.args {
		literal, ok := arg.(constant)
		if !ok {
			args = nil
			continue
		}
		kind := e.function.rest
		if i < len(e.function.params) {
			kind = e.function.params[i]
		}
		if _, ok := convert(literal.value, kind); !ok {
			c.fail(node, "argument %d of %s must be %s, and is %s: %s", i+1, e.function.name, kind, describe(literal.value), e.function.usage)
			return nil, false
		}
		if args != nil {
			args[i] = literal.value
		}
	}
	return args, true
}

// try makes a call with literals once, to find results over the limits. What
// all calls of a template may cost together is no more than what one execution
// may. A call that runs out of steps which others have used is not to blame.
func (c *compiler) try(e *call, args []any) {
	left := &c.allowance.trials
	if e.function.impure || left.steps <= 0 || left.values <= 0 {
		return
	}
	r := newRun(c.template, Data{}, Env{})
	r.steps = left.steps
	err := tryCall(r, e, args)
	if err != nil && err.LimitExceeded && (r.steps > 0 || left.steps == maxSteps) {
		panic(e.at.fill(err))
	}
	left.steps = r.steps
	left.values -= maxValues - r.values
}

// tryCall calls a function outside of any execution.
func tryCall(r *run, e *call, args []any) (err *Error) {
	defer func() {
		// What panics on these literals does so again when it is executed,
		// which is where text/template reports it, too.
		_ = recover()
	}()
	_, err = e.function.apply(r, e, args)
	return err
}

// checkTarget refuses to change what is made again for each use of . and
// .references: the change would be seen here and nowhere else.
func (c *compiler) checkTarget(node parse.Node, e *call) {
	switch e.args[0].(type) {
	case rootExpression, referencesExpression:
		c.fail(node, "%s can change .source and what is in it, and the object of a reference, but not what holds them", e.function.name)
	}
}

// checkKey checks a literal key that is looked up in .references.
func (c *compiler) checkKey(f *function, e *call, args []parse.Node) {
	if f.name != "index" && f.name != "get" && f.name != "hasKey" || len(e.args) < 2 {
		return
	}
	if _, ok := e.args[0].(referencesExpression); !ok {
		return
	}
	if key, ok := e.args[1].(constant); ok {
		if name, ok := key.value.(string); ok {
			c.checkReference(argumentNode(args[0], args, 1), name)
		}
	}
}

// maxName is longer than the name of any function.
const maxName = 64

// suggestion names the function whose name is nearest to an unknown one.
func suggestion(name string) string {
	if len(name) > maxName {
		return "" // It is no typing error, and would take long to compare.
	}
	best, distance := "", 1+len(name)/3
	for _, f := range Functions() {
		if d := editDistance(strings.ToLower(name), strings.ToLower(f.Name)); d < distance {
			best, distance = f.Name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts the letters to insert, remove or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
