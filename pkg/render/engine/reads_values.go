package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// value is what is known without data of the value of an expression. The zero
// value is that of an expression which has not been evaluated.
type value struct {
	// paths are the parts of the data that it may be, sorted by their keys.
	paths []origin
	// made is a list or map that the template has made of parts of the data.
	made *made
	// literal is set if it may be this constant.
	literal *constant
	// other says that it may be anything that is no part of the data.
	other bool

	// yes and no are the keys of paths that lead to something if the value is
	// true, and if it is false.
	yes, no []string
	// asks says that it tells whether a part of the data exists.
	asks bool
	// form says that the value tells of which form an object is.
	form bool
}

// origin is a path from the root of the data.
type origin struct {
	steps []PathStep
	key   string
}

func (p origin) to(step PathStep) origin {
	return origin{append(slices.Clip(p.steps), step), p.key + step.key()}
}

// isVersion says whether the path is that of apiVersion of an object.
func (p origin) isVersion() bool {
	object := 1
	if len(p.steps) > 0 && p.steps[0].Name == "references" {
		object = 2
	}
	return len(p.steps) == object+1 && p.steps[object].Name == "apiVersion"
}

// made is a list or a map that the template has made.
type made struct {
	// fields are the values of keys that are literals, items all others.
	fields map[string]value
	items  value
}

func (m *made) each(do func(value)) {
	for _, name := range slices.Sorted(maps.Keys(m.fields)) {
		do(m.fields[name])
	}
	do(m.items)
}

func (m *made) depth() int {
	deepest := 0
	m.each(func(v value) {
		if v.made != nil {
			deepest = max(deepest, v.made.depth())
		}
	})
	return deepest + 1
}

// isJust says whether the value is one path, and nothing else.
func (v value) isJust() bool {
	return len(v.paths) == 1 && v.made == nil && v.literal == nil && !v.other
}

// ifTrue are the keys of paths that lead to something if the value is true.
func (v value) ifTrue() []string {
	exist := slices.Clone(v.yes)
	for _, p := range v.paths {
		exist = append(exist, p.key)
	}
	return exist
}

func (v value) isOfForm() bool {
	return v.form || slices.ContainsFunc(v.paths, origin.isVersion)
}

func (v value) asksForParts() bool { return v.asks || len(v.paths) > 0 }

func (v value) String() string {
	var b strings.Builder
	for _, p := range v.paths {
		b.WriteString(p.key)
		// What is guarded on one way to a path may not be so on another.
		for _, step := range p.steps {
			if step.Guarded {
				b.WriteByte('?')
			}
		}
		b.WriteByte(' ')
	}
	if v.literal != nil {
		fmt.Fprintf(&b, "%T(%v)", v.literal.value, v.literal.value)
	}
	fmt.Fprint(&b, v.other, v.asks, v.form, v.yes, v.no)
	if v.made != nil {
		b.WriteByte('{')
		for _, name := range slices.Sorted(maps.Keys(v.made.fields)) {
			fmt.Fprintf(&b, "%q:%s,", name, v.made.fields[name])
		}
		fmt.Fprintf(&b, "%s}", v.made.items)
	}
	return b.String()
}

// join returns a value that may be either.
func (a *analysis) join(v, w value) value {
	empty := func(v value) bool { return len(v.paths) == 0 && v.made == nil && v.literal == nil && !v.other }
	if empty(v) {
		return w
	}
	if empty(w) {
		return v
	}
	out := value{other: v.other || w.other, asks: v.asks || w.asks, form: v.form || w.form, literal: v.literal}
	if v.literal != w.literal && (v.literal == nil || w.literal == nil || *v.literal != *w.literal) {
		out.literal, out.other = nil, true
	}
	out.yes = slices.DeleteFunc(slices.Clone(v.yes), func(key string) bool { return !slices.Contains(w.yes, key) })
	out.no = slices.DeleteFunc(slices.Clone(v.no), func(key string) bool { return !slices.Contains(w.no, key) })
	out.paths = slices.Clone(v.paths)
	for _, p := range w.paths {
		at, found := slices.BinarySearchFunc(out.paths, p, func(x, y origin) int { return strings.Compare(x.key, y.key) })
		if !found {
			out.paths = slices.Insert(out.paths, at, p)
		}
	}
	out.made = a.joinMade(v.made, w.made)
	if len(out.paths) > maxAliases {
		a.escape(value{paths: out.paths})
		out.paths, out.other = nil, true
	}
	return out
}

func (a *analysis) joinMade(m, n *made) *made {
	if m == nil || n == nil {
		if m == nil {
			return n
		}
		return m
	}
	out := &made{items: a.join(m.items, n.items), fields: map[string]value{}}
	for name, field := range m.fields {
		out.fields[name] = a.join(field, n.fields[name])
	}
	for name, field := range n.fields {
		if _, ok := m.fields[name]; !ok {
			out.fields[name] = field
		}
	}
	return out
}

// escape records that all of a value is read: it is not known what becomes of
// it.
func (a *analysis) escape(v value) {
	at := &site{text: &a.template.text}
	a.use(v, usage{Use: AsAnything, Depth: Whole, guard: true}, scope{facts: facts{form: true}}, at)
}

// make returns a list or map made of values.
func (a *analysis) make(m *made) value {
	if m.depth() <= maxMade {
		return value{made: m}
	}
	m.each(a.escape)
	return value{other: true}
}

// follow returns a part of a value.
func (a *analysis) follow(v value, step PathStep) value {
	out := value{other: v.other || v.literal != nil}
	for _, p := range v.paths {
		if len(p.steps) == maxPathSteps {
			a.escape(value{paths: []origin{p}})
			out.other = true
			continue
		}
		out.paths = append(out.paths, p.to(step))
	}
	slices.SortFunc(out.paths, func(x, y origin) int { return strings.Compare(x.key, y.key) })
	if v.made != nil {
		part := v.made.items
		if field, ok := v.made.fields[step.Name]; ok && step.Kind == Key {
			part = field
		} else if step.Kind != Key {
			v.made.each(func(field value) { part = a.join(part, field) })
		}
		out = a.join(out, part)
		// A key may be missing, and may have been set since.
		out.other = out.other || a.template.mutates || len(v.paths) > 0
	}
	return out
}

// each returns any item of a value.
func (a *analysis) each(v value, at *site) value {
	return a.follow(v, PathStep{Kind: Each, at: at})
}

func (a *analysis) eval(e expression, s scope) value {
	if a.over() {
		return value{other: true}
	}
	switch n := e.(type) {
	case constant:
		if _, isRoot := n.value.(root); isRoot {
			return value{paths: []origin{{}}}
		}
		return value{literal: &n}
	case dotExpression:
		return s.dot
	case variable:
		return a.current.vars[n]
	case *declaration:
		v := a.eval(n.value, s)
		a.assign(n.slot, v)
		return v
	case rootExpression:
		return value{paths: []origin{{}}}
	case referencesExpression:
		return a.field(value{paths: []origin{{}}}, []string{"references"}, s, n.at)
	case *objectPath:
		names := []string{"source"}
		if n.reference != "" {
			names = []string{"references", n.reference}
		}
		return a.field(value{paths: []origin{{}}}, append(names, n.path...), s, n.at)
	case *fieldPath:
		return a.fieldPath(n, s)
	case *logic:
		return a.logic(n, s)
	case *call:
		return a.function(n, s)
	}
	// Whatever it is, it may read everything.
	a.exceeded = true
	return value{other: true}
}

// field follows names, and records that they are followed.
func (a *analysis) field(v value, names []string, s scope, at *site) value {
	for _, name := range names {
		v = a.follow(v, PathStep{Name: name, at: at})
	}
	a.use(v, usage{}, s, at)
	return v
}

// fieldPath follows a path. With arguments, the last name is that of a method,
// which no part of the data has.
func (a *analysis) fieldPath(n *fieldPath, s scope) value {
	names := n.path
	if len(n.args) > 0 {
		names = names[:len(names)-1]
	}
	v := a.field(a.eval(n.base, s), names, s, n.at)
	if len(n.args) == 0 {
		return v
	}
	a.use(v, usage{Use: AsAnything, Depth: Whole}, s, n.at)
	for _, arg := range n.args {
		a.use(a.eval(arg, s), usage{Use: AsAnything, Depth: Whole}, s, n.at)
	}
	return value{other: true}
}

// logic is and, or or. Both end with an argument that they have not asked for:
// or takes a later one for what is missing, and what and does not get to is not
// read.
func (a *analysis) logic(n *logic, s scope) value {
	a.exceeded = a.exceeded || len(n.args) > maxArguments
	out := value{}
	for i, arg := range n.args {
		v := a.eval(arg, s)
		last := i == len(n.args)-1
		out.form, out.asks = out.form || v.isOfForm(), out.asks || v.asksForParts()
		if n.until {
			a.use(v, tested, s, n.at)
			no := append(out.no, v.no...)
			form, asks := out.form, out.asks
			out = a.join(out, v)
			out.form, out.asks, out.yes, out.no = form, asks, nil, no
			s.facts = s.with(v.no, v.isOfForm())
			continue
		}
		if !last {
			a.use(v, tested, s, n.at)
		}
		out.yes = append(out.yes, v.ifTrue()...)
		s.facts = s.with(v.ifTrue(), v.isOfForm())
		if last {
			out.paths, out.made, out.literal = v.paths, v.made, v.literal
			out.other = v.other || len(n.args) > 1 // what is false is one of the others
		}
	}
	return out
}
