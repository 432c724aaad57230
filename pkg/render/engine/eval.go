package engine

import (
	"bytes"
	"slices"
	"strings"
)

// A template is compiled into statements, which write, and expressions, which
// have a value. Both are immutable; whatever changes is in the run.
type (
	statement interface {
		exec(r *run, dot any) (flow, *Error)
	}
	expression interface {
		eval(r *run, dot any) (any, *Error)
	}
)

// flow says how execution goes on after a statement.
type flow uint8

const (
	onward flow = iota
	breaking
	continuing
)

// body is the compiled text of a template or of a {{define}}.
type body struct {
	name  string
	list  []statement
	slots int
}

// run is one execution.
type run struct {
	budget
	template *Template
	data     Data
	env      Env
	out      output
	blanks   blanks
	chance   *chance

	// vars are the variables of the template that is running. Slot 0 is $.
	vars []any
	// args is the stack of arguments of the calls under way.
	args []any
	// depth is the number of template calls under way.
	depth int
	// at is the call under way, in case that it panics.
	at *site

	// references and object are what .references and an object give as values.
	// They are made when first asked for: most templates only follow paths.
	references map[string]any
	object     map[string]map[string]any
}

func newRun(t *Template, data Data, env Env) *run {
	return &run{
		budget:   budget{steps: maxSteps, values: maxValues},
		template: t,
		data:     data,
		env:      env,
		out:      newOutput(t.output),
	}
}

func (r *run) main() (err *Error) {
	// Libraries that functions are built on may panic. A panic in a template
	// must stay an error of that template.
	defer func() {
		if p := recover(); p != nil {
			if r.at == nil {
				panic(p)
			}
			// What p says is not shown, since it may hold values.
			err = r.at.errorf("the function failed on its arguments")
		}
	}()
	body := r.template.main
	r.vars = make([]any, body.slots)
	if _, err := runAll(r, body.list, root{}); err != nil {
		return err
	}
	return r.out.finish()
}

// root is the value of dot where dot is what the template was executed with.
// The compiler knows those places, so that this value is only ever seen where
// the root as a whole is asked for.
type root struct{}

func runAll(r *run, list []statement, dot any) (flow, *Error) {
	for _, s := range list {
		if f, err := s.exec(r, dot); err != nil || f != onward {
			return f, err
		}
	}
	return onward, nil
}

// step takes one step, at a place.
func (r *run) step(at *site) *Error {
	if r.steps--; r.steps < 0 {
		return at.limit("%s", errSteps)
	}
	return nil
}

// textStatement writes text of the template itself.
type textStatement struct {
	chunk *chunk
	at    *site
}

func (s *textStatement) exec(r *run, _ any) (flow, *Error) {
	return onward, r.out.writeText(s.chunk, s.at)
}

// printStatement writes the value of an expression.
type printStatement struct {
	value expression
	at    *site
}

func (s *printStatement) exec(r *run, dot any) (flow, *Error) {
	if err := r.step(s.at); err != nil {
		return onward, err
	}
	value, err := s.value.eval(r, dot)
	if err != nil {
		return onward, err
	}
	if m, ok := value.(markup); ok {
		return onward, s.printMarkup(r, m)
	}
	text, ok := value.(string)
	if !ok {
		text, ok = scalarText(value)
	}
	if !ok {
		if r.template.output == YAML {
			return onward, s.at.errorf("the value is %s, and only toYaml and toJson write lists and maps into YAML", describe(value))
		}
		if text, err = r.text(value); err != nil {
			return onward, s.at.fill(err)
		}
	}
	from := len(r.out.buf)
	if err := r.out.writeValue(text, s.at); err != nil {
		return onward, err
	}
	if r.out.yaml && strings.TrimSpace(text) == "" {
		return onward, s.noteBlank(r, from, value)
	}
	return onward, nil
}

// printMarkup writes YAML that a function has made. YAML may take a part of it
// for nothing, such as null or "".
func (s *printStatement) printMarkup(r *run, m markup) *Error {
	from, err := r.out.writeMarkup(m, s.at)
	if err != nil || from < 0 {
		return err
	}
	return r.note(Blank{From: from, To: len(r.out.buf), at: s.at, value: s.value})
}

// noteBlank notes that the value has printed nothing, or only white space. A
// literal is text of the template, and what it says.
func (s *printStatement) noteBlank(r *run, from int, value any) *Error {
	if _, literal := s.value.(constant); literal || !r.out.atValue() {
		return nil
	}
	return r.note(Blank{From: from, To: len(r.out.buf), Empty: value == "", at: s.at, value: s.value})
}

// evalStatement evaluates an expression that declares or assigns variables.
type evalStatement struct {
	value expression
	at    *site
}

func (s *evalStatement) exec(r *run, dot any) (flow, *Error) {
	if err := r.step(s.at); err != nil {
		return onward, err
	}
	_, err := s.value.eval(r, dot)
	return onward, err
}

// ifStatement is {{if}}, and {{with}} if it sets dot.
type ifStatement struct {
	condition   expression
	list, other []statement
	setsDot     bool
	at          *site
}

func (s *ifStatement) exec(r *run, dot any) (flow, *Error) {
	if err := r.step(s.at); err != nil {
		return onward, err
	}
	value, err := s.condition.eval(r, dot)
	if err != nil {
		return onward, err
	}
	if !truth(value) {
		return runAll(r, s.other, dot)
	}
	if s.setsDot {
		dot = value
	}
	return runAll(r, s.list, dot)
}

// rangeStatement is {{range}}. The slots are those of its variables, or -1.
type rangeStatement struct {
	over        expression
	key, item   int
	list, other []statement
	at          *site
}

func (s *rangeStatement) exec(r *run, dot any) (flow, *Error) {
	if err := r.step(s.at); err != nil {
		return onward, err
	}
	from := len(r.out.buf)
	flow, err := s.loop(r, dot)
	if err != nil || !r.out.yaml || !r.out.atValue() {
		return flow, err
	}
	from = min(from, len(r.out.buf)) // an empty map before it may have been taken back
	if len(bytes.TrimSpace(r.out.buf[from:])) == 0 {
		err = r.note(Blank{From: from, To: len(r.out.buf), at: s.at, value: s.over})
	}
	return flow, err
}

// loop executes the list for each item, or {{else}} if there is none.
func (s *rangeStatement) loop(r *run, dot any) (flow, *Error) {
	value, err := s.over.eval(r, dot)
	if err != nil {
		return onward, err
	}
	// As in text/template, the variables hold the whole value in {{else}}.
	s.assign(r, value, value)
	if ran, err := s.each(r, value); ran || err != nil {
		return onward, err
	}
	return runAll(r, s.other, dot)
}

func (s *rangeStatement) assign(r *run, key, item any) {
	if s.key >= 0 {
		r.vars[s.key] = key
	}
	if s.item >= 0 {
		r.vars[s.item] = item
	}
}

// each executes the list for each item, and says whether there is any.
func (s *rangeStatement) each(r *run, value any) (ran bool, err *Error) {
	switch v := value.(type) {
	case nil:
		return false, nil
	case []any:
		return s.eachItem(r, v)
	case map[string]any:
		return s.eachEntry(r, v)
	default:
		return s.eachNumber(r, value)
	}
}

func (s *rangeStatement) eachItem(r *run, items []any) (ran bool, err *Error) {
	for i, item := range items {
		if stop, err := s.once(r, i, item); stop || err != nil {
			return true, err
		}
	}
	return len(items) > 0, nil
}

// eachEntry goes over the entries that are there before the first is executed.
func (s *rangeStatement) eachEntry(r *run, m map[string]any) (ran bool, err *Error) {
	keys, err := r.sortedKeys(m)
	if err != nil {
		return false, s.at.fill(err)
	}
	items := make([]any, len(keys))
	for i, key := range keys {
		items[i] = m[key]
	}
	for i, key := range keys {
		if stop, err := s.once(r, key, items[i]); stop || err != nil {
			return true, err
		}
	}
	return len(keys) > 0, nil
}

// eachNumber goes over the numbers below a whole number. They are of its type.
func (s *rangeStatement) eachNumber(r *run, value any) (ran bool, err *Error) {
	n, ok := wholeNumber(value)
	if !ok {
		return false, s.at.errorf("range iterates over lists, maps and whole numbers; this is %s", describe(value))
	}
	if s.key >= 0 {
		return false, s.at.errorf("range over a number has one variable, not two")
	}
	_, isInt := value.(int)
	for i := range n {
		var item any = i
		if isInt {
			item = int(i)
		}
		if stop, err := s.once(r, nil, item); stop || err != nil {
			return true, err
		}
	}
	return n > 0, nil
}

// once executes the list for one item. It stops at {{break}}.
func (s *rangeStatement) once(r *run, key, item any) (stop bool, err *Error) {
	if err := r.step(s.at); err != nil {
		return true, err
	}
	s.assign(r, key, item)
	f, err := runAll(r, s.list, item)
	return f == breaking, err
}

// jumpStatement is {{break}} or {{continue}}.
type jumpStatement flow

func (s jumpStatement) exec(*run, any) (flow, *Error) { return flow(s), nil }

// templateStatement is {{template}}.
type templateStatement struct {
	body *body
	dot  expression // nil: the template is called without a value
	at   *site
}

func (s *templateStatement) exec(r *run, dot any) (flow, *Error) {
	if err := r.step(s.at); err != nil {
		return onward, err
	}
	if r.depth == maxNesting {
		return onward, s.at.limit("templates call each other more than %d levels deep", maxNesting)
	}
	var value any
	if s.dot != nil {
		var err *Error
		if value, err = s.dot.eval(r, dot); err != nil {
			return onward, err
		}
	}
	if err := r.spend(s.body.slots); err != nil {
		return onward, s.at.fill(err)
	}
	vars := r.vars
	r.vars = make([]any, s.body.slots)
	r.vars[0] = value
	r.depth++
	_, err := runAll(r, s.body.list, value)
	r.depth--
	r.vars = vars
	return onward, err
}

// constant is a literal.
type constant struct{ value any }

func (e constant) eval(*run, any) (any, *Error) { return e.value, nil }

// dotExpression is the dot.
type dotExpression struct{}

func (dotExpression) eval(_ *run, dot any) (any, *Error) { return dot, nil }

// variable is $x.
type variable int

func (e variable) eval(r *run, _ any) (any, *Error) { return r.vars[e], nil }

// declaration is a pipeline that declares or assigns variables.
type declaration struct {
	value expression
	slot  int
}

func (e *declaration) eval(r *run, dot any) (any, *Error) {
	value, err := e.value.eval(r, dot)
	if err != nil {
		return nil, err
	}
	r.vars[e.slot] = value
	return value, nil
}

// rootExpression is the root as a whole, as a map like any other.
type rootExpression struct{ at *site }

func (e rootExpression) eval(r *run, _ any) (any, *Error) {
	source, err := r.sourceValue()
	if err != nil {
		return nil, e.at.fill(err)
	}
	whole := map[string]any{"source": source}
	if r.template.declared != nil {
		references, err := r.referencesValue()
		if err != nil {
			return nil, e.at.fill(err)
		}
		whole["references"] = references
	}
	return whole, nil
}

// logic is and, or or: they stop at the first argument that decides.
type logic struct {
	args  []expression
	until bool // true: or, false: and
	// piped says that the last argument came through a pipe: it has been
	// evaluated before the others, as the order of a pipeline demands.
	piped bool
	at    *site
}

func (e *logic) eval(r *run, dot any) (value any, err *Error) {
	if err := r.step(e.at); err != nil {
		return nil, err
	}
	args, last := e.args, any(nil)
	if e.piped {
		if last, err = args[len(args)-1].eval(r, dot); err != nil {
			return nil, err
		}
		args = args[:len(args)-1]
	}
	for _, arg := range args {
		if value, err = arg.eval(r, dot); err != nil {
			return nil, err
		}
		if truth(value) == e.until {
			return value, nil
		}
	}
	if e.piped {
		return last, nil
	}
	return value, nil
}

// call is a function with its arguments.
type call struct {
	function *function
	args     []expression
	piped    bool // see logic
	// prepared is what the function made of literal arguments at compile time.
	prepared any
	at       *site
}

func (e *call) eval(r *run, dot any) (any, *Error) {
	if err := r.step(e.at); err != nil {
		return nil, err
	}
	// The arguments live on a stack that all calls of a run share, so that a
	// call costs no allocation. Functions must not keep the slice.
	base := len(r.args)
	r.args = slices.Grow(r.args, len(e.args))[:base+len(e.args)]
	if e.piped {
		last := len(e.args) - 1
		value, err := e.args[last].eval(r, dot)
		if err != nil {
			return nil, err
		}
		r.args[base+last] = value
	}
	for i, arg := range e.args {
		if e.piped && i == len(e.args)-1 {
			break
		}
		value, err := arg.eval(r, dot)
		if err != nil {
			return nil, err
		}
		r.args[base+i] = value
	}
	args := r.args[base : base+len(e.args) : base+len(e.args)]
	value, err := e.function.apply(r, e, args)
	clear(args)
	r.args = r.args[:base]
	if err != nil {
		return nil, e.at.fill(err)
	}
	return value, nil
}

// expand makes markup plain text. What is indented is made again each time, and
// is paid for each time.
func (r *run) expand(m markup) (string, *Error) {
	if err := r.read(len(m.text)); err != nil {
		return "", err
	}
	if n := m.size(); n > len(m.text) {
		if err := r.take(n); err != nil {
			return "", err
		}
		if err := r.read(n); err != nil {
			return "", err
		}
	}
	return m.String(), nil
}

// apply checks the arguments and calls the function.
func (f *function) apply(r *run, e *call, args []any) (any, *Error) {
	read := 0
	for i, arg := range args {
		kind := f.rest
		if i < len(f.params) {
			kind = f.params[i]
		}
		value, ok := arg, false
		switch v := arg.(type) {
		case string:
			read += len(v)
			ok = kind == anyKind || kind == textKind
		case markup:
			if f.keepsMarkup {
				read += len(v.text)
			} else {
				text, err := r.expand(v)
				if err != nil {
					return nil, err
				}
				value = text
			}
			ok = kind == anyKind || kind == textKind
		default:
			value, ok = convert(arg, kind)
		}
		if !ok {
			return nil, problem("argument %d of %s must be %s, and is %s", i+1, f.name, kind, describe(arg))
		}
		args[i] = value
	}
	if err := r.read(read); err != nil {
		return nil, err
	}
	r.at = e.at
	return f.call(r, e, args)
}
