package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Read is something that a template reads of its data, as far as that can be
// known without data.
type Read struct {
	// Path leads from the root of the data to what is read. Its first step is
	// source or references.
	Path []PathStep
	// Depth says how much of the value is read.
	Depth Depth
	// Use is what the value is used as.
	Use Use
	// With are the literals that the value is compared with, for Compared and
	// Ordered. It is nil if anything else is among them.
	With []any
	// Sure says that the expression reads just this path whenever it is
	// evaluated, of objects of every form. It is not set if the value may come
	// from elsewhere, if the expression is evaluated only for objects of some
	// version or kind, or if the template changes its data.
	Sure bool

	at *site
}

// PathStep leads from a value to a part of it.
type PathStep struct {
	Kind PathStepKind
	// Name is the key, if Kind is Key.
	Name string
	// Guarded says that the template provides for the case that the part does
	// not exist: it asks whether it does, or has a fallback.
	Guarded bool

	at *site
}

// PathStepKind says how a step finds the part.
type PathStepKind uint8

const (
	// Key is the value of a key of a map.
	Key PathStepKind = iota
	// Item is an item of a list: the first, the last, or that of an index.
	Item
	// Each is any item of a list, or any value of a map.
	Each
)

// Depth says how much of a value is read.
type Depth uint8

const (
	// Node is whether the value exists, and which kind of value it is.
	Node Depth = iota
	// Shape is in addition the keys of a map, the length of a list, or all of
	// any other value.
	Shape
	// Whole is all of the value.
	Whole
)

// Use is what a value is used as.
type Use uint8

const (
	// Named values are followed further, or are given to a variable.
	Named Use = iota
	// Tested values are asked whether they exist, or are true.
	Tested
	// Ranged values are gone over.
	Ranged
	// Written values are written to the output.
	Written
	// Compared values are compared by eq or ne.
	Compared
	// Ordered values are compared by lt, le, gt or ge.
	Ordered
	// AsText values are arguments of functions that take text, and likewise those below.
	AsText
	// AsWholeNumber values are arguments that must be integers.
	AsWholeNumber
	// AsNumber values are arguments that must be numbers.
	AsNumber
	// AsBoolean values are arguments that must be booleans.
	AsBoolean
	// AsMap values are arguments that must be maps.
	AsMap
	// AsList values are arguments that must be lists.
	AsList
	// AsAnything values are arguments of functions that take any value.
	AsAnything
)

// Errorf returns an error with the place of the expression that reads.
func (r *Read) Errorf(format string, args ...any) *Error { return r.at.errorf(format, args...) }

// Errorf returns an error with the place of the expression that has the step.
func (s *PathStep) Errorf(format string, args ...any) *Error { return s.at.errorf(format, args...) }

// PathString writes a path as a template does, with [] for items.
func PathString(path []PathStep) string {
	var b strings.Builder
	for _, step := range path {
		b.WriteString(step.key())
	}
	return b.String()
}

func (s *PathStep) key() string {
	switch {
	case s.Kind != Key:
		return "[]"
	case identifier(s.Name):
		return "." + s.Name
	}
	return fmt.Sprintf("[%q]", s.Name)
}

// identifier says whether a key can be written behind a dot.
func identifier(name string) bool {
	for i := range len(name) {
		c := name[i]
		if letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'; !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// Limits of the analysis. A template beyond them may read everything.
const (
	// maxAnalysis is the number of statements and expressions to look at, those
	// of a definition once for each different value that it is called with.
	maxAnalysis = 50_000
	// maxContexts is the number of different calls of definitions.
	maxContexts = 200
	// maxPasses is how often a definition is gone through until it is known
	// what its variables hold.
	maxPasses = 10
	// maxPathSteps is how many steps of a path are followed.
	maxPathSteps = 32
	// maxAliases is how many paths one value may come from.
	maxAliases = 8
	// maxMade is how deep lists and maps of the template are followed.
	maxMade = 4
	// maxArguments is how many arguments of one function are followed.
	maxArguments = 500
	// maxFacts is how much is known of one place in the template.
	maxFacts = 500
)

// FindReads finds out what the template reads of its data. Each execution reads
// nothing but what the result has, which FuzzReads checks; the result can have what
// no execution reads.
//
// The analysis executes the template with sets of paths for values. Variables
// are taken to hold all that is ever assigned to them, and definitions are gone
// through for each different value that they are called with.
func (t *Template) FindReads() []Read {
	a := &analysis{template: t, contexts: map[string]*callContext{}}
	main := a.call(t.main, value{paths: []origin{{}}}, facts{})
	if a.exceeded {
		return []Read{{Depth: Whole, Use: AsAnything}}
	}
	var reads []Read
	collected := map[*callContext]bool{}
	var collect func(*callContext)
	collect = func(c *callContext) {
		if collected[c] {
			return
		}
		collected[c] = true
		reads = append(reads, c.reads...)
		for _, callee := range c.calls {
			collect(callee)
		}
	}
	collect(main)
	slices.SortStableFunc(reads, func(x, y Read) int { return x.at.offset - y.at.offset })
	if a.mutates {
		for i := range reads {
			reads[i].Sure = false
		}
	}
	return reads
}

// analysis is the state of one analysis.
type analysis struct {
	template *Template
	contexts map[string]*callContext
	// current is the call being gone through.
	current *callContext
	work    int
	// exceeded says that the template is beyond the limits.
	exceeded bool
	// mutates says that the template may change its data.
	mutates bool
}

// callContext is a body together with what it is called with.
type callContext struct {
	vars  []value
	reads []Read
	seen  map[string]bool
	calls []*callContext
}

// facts are what is known where an expression is evaluated.
type facts struct {
	// exist are the keys of paths that lead to something.
	exist map[string]bool
	// lacking are the keys of objects that are asked for something and do not
	// have it. What is read of them instead, other versions may have.
	lacking []string
	// form says that whether it is evaluated depends on the form of an object:
	// its version, or of which kind a value in it is.
	form bool
}

// with returns the facts with others added.
func (f facts) with(exist []string, form bool) facts {
	out := facts{exist: f.exist, lacking: f.lacking, form: f.form || form}
	if len(exist) > 0 {
		out.exist = maps.Clone(f.exist)
		if out.exist == nil {
			out.exist = map[string]bool{}
		}
		for _, key := range exist {
			out.exist[key] = true
		}
	}
	out.form = out.form || len(out.exist) > maxFacts
	return out
}

// without returns the facts where paths of these keys lead to nothing.
func (f facts) without(paths []string) facts {
	f.lacking = slices.Clone(f.lacking)
	for _, key := range paths {
		if object := objectOf(key); object != "" && !slices.Contains(f.lacking, object) {
			f.lacking = append(f.lacking, object)
		}
	}
	slices.Sort(f.lacking)
	return f
}

// objectOf is the key of the object that a path leads into.
func objectOf(key string) string {
	names := strings.SplitN(key, ".", 4)
	switch {
	case len(names) > 2 && names[1] == "source":
		return ".source"
	case len(names) > 3 && names[1] == "references":
		return ".references." + names[2]
	}
	return ""
}

func (f facts) String() string {
	return fmt.Sprint(slices.Sorted(maps.Keys(f.exist)), f.lacking, f.form)
}

// scope is what an expression is evaluated in.
type scope struct {
	dot value
	facts
}

// over says whether the analysis has to end. It counts the work.
func (a *analysis) over() bool {
	a.work++
	a.exceeded = a.exceeded || a.work > maxAnalysis
	return a.exceeded
}

// call goes through a body.
func (a *analysis) call(b *body, dot value, known facts) *callContext {
	key := fmt.Sprintf("%p %s %s", b, dot.String(), known)
	if c := a.contexts[key]; c != nil {
		return c
	}
	c := &callContext{vars: make([]value, b.slots)}
	if len(a.contexts) >= maxContexts {
		a.exceeded = true
		return c
	}
	a.contexts[key] = c
	outer := a.current
	a.current = c
	defer func() { a.current = outer }()
	c.vars[0] = dot
	for pass, before := 0, ""; !a.exceeded; pass++ {
		if pass == maxPasses {
			a.exceeded = true
		}
		c.reads, c.calls, c.seen = nil, nil, map[string]bool{}
		a.statements(b.list, scope{dot, known})
		var after strings.Builder
		for i := range c.vars {
			after.WriteString(c.vars[i].String())
		}
		if after.String() == before {
			break
		}
		before = after.String()
	}
	return c
}

func (a *analysis) statements(list []statement, s scope) {
	for _, statement := range list {
		if a.over() {
			return
		}
		a.statement(statement, s)
	}
}

func (a *analysis) statement(statement statement, s scope) {
	switch n := statement.(type) {
	case *printStatement:
		a.use(a.eval(n.value, s), usage{Use: Written, Depth: Whole}, s, n.at)
	case *evalStatement:
		a.eval(n.value, s)
	case *ifStatement:
		a.branch(n, s)
	case *rangeStatement:
		a.loop(n, s)
	case *templateStatement:
		dot := value{other: true}
		if n.dot != nil {
			dot = a.eval(n.dot, s)
		}
		a.current.calls = append(a.current.calls, a.call(n.body, dot, s.facts))
	}
}

func (a *analysis) branch(n *ifStatement, s scope) {
	condition := a.eval(n.condition, s)
	a.use(condition, tested, s, n.at)
	list := s
	list.facts = s.with(condition.ifTrue(), condition.isOfForm())
	s.facts = s.with(condition.no, condition.isOfForm())
	if condition.asksForParts() {
		list.facts = list.without(condition.no)
		s.facts = s.without(condition.ifTrue())
	}
	if n.setsDot {
		list.dot = condition
	}
	a.statements(n.list, list)
	a.statements(n.other, s)
}

func (a *analysis) loop(n *rangeStatement, s scope) {
	over := a.eval(n.over, s)
	a.use(over, usage{Use: Ranged, Depth: Shape}, s, n.at)
	list := s
	list.dot = a.each(over, n.at)
	if n.key >= 0 {
		a.assign(n.key, value{other: true})
	}
	if n.item >= 0 {
		a.assign(n.item, list.dot)
	}
	if len(n.other) > 0 {
		// There the variables hold the whole value.
		for _, slot := range []int{n.key, n.item} {
			if slot >= 0 {
				a.assign(slot, over)
			}
		}
	}
	a.statements(n.list, list)
	a.statements(n.other, s)
}

func (a *analysis) assign(slot int, v value) {
	a.current.vars[slot] = a.join(a.current.vars[slot], v)
}

// usage is how a value is used.
type usage struct {
	Use
	Depth
	with []any
	// guard says that the template provides for the value not to exist.
	guard bool
}

var tested = usage{Use: Tested, Depth: Shape, guard: true}

// use records the reads of a use of a value.
func (a *analysis) use(v value, u usage, s scope, at *site) {
	for _, p := range v.paths {
		a.record(p, u, v.isJust(), s.facts, at)
	}
	if v.made != nil && u.Depth == Whole {
		v.made.each(func(part value) { a.use(part, usage{Use: AsAnything, Depth: Whole}, s, at) })
	}
}

func (a *analysis) record(p origin, u usage, sure bool, known facts, at *site) {
	read := Read{Path: slices.Clone(p.steps), Depth: u.Depth, Use: u.Use, With: u.with, Sure: sure && !known.form, at: at}
	instead := slices.Contains(known.lacking, objectOf(p.key))
	prefix := ""
	for i := range read.Path {
		step := &read.Path[i]
		prefix += step.key()
		step.Guarded = step.Guarded || instead || known.exist[prefix] || u.guard && i == len(read.Path)-1
	}
	key := fmt.Sprint(p.key, " ", u.Use, u.Depth, u.with, read.Sure, at.offset)
	for i := range read.Path {
		key += fmt.Sprint(read.Path[i].Guarded)
	}
	if !a.current.seen[key] {
		a.current.seen[key] = true
		a.current.reads = append(a.current.reads, read)
	}
}
