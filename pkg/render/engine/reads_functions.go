package engine

// A transfer says what is known of the result of a function, and records what
// the function reads of its arguments.
type transfer func(a *analysis, n *call, args []value, s scope) value

// transfers are those of functions that do not read all of their arguments, or
// that return parts of them.
var transfers map[string]transfer

func init() {
	transfers = map[string]transfer{
		"index": (*analysis).index,
		"get":   (*analysis).get, "hasKey": (*analysis).hasKey, "dig": (*analysis).dig,
		"pluck": (*analysis).pluck, "pick": (*analysis).pick, "omit": part(usage{Use: AsMap, Depth: Shape}),
		"dict": (*analysis).dict, "list": (*analysis).list, "tuple": (*analysis).list,
		"keys": shapeOf(AsMap), "values": (*analysis).values, "len": shapeOf(AsAnything),
		"first": item, "mustFirst": item, "last": item, "mustLast": item,
		"rest": sublist, "mustRest": sublist, "initial": sublist, "mustInitial": sublist, "reverse": sublist, "mustReverse": sublist,
		"compact": items, "mustCompact": items, "uniq": items, "mustUniq": items, "without": items, "mustWithout": items,
		"append": (*analysis).append, "push": (*analysis).append, "mustAppend": (*analysis).append, "mustPush": (*analysis).append,
		"prepend": (*analysis).append, "mustPrepend": (*analysis).append, "concat": (*analysis).concat,
		"deepCopy": part(usage{Use: AsAnything, Depth: Whole}), "mustDeepCopy": part(usage{Use: AsAnything, Depth: Whole}),
		"set": (*analysis).set, "unset": (*analysis).set, "merge": (*analysis).merge, "mustMerge": (*analysis).merge,
		"mergeOverwrite": (*analysis).merge, "mustMergeOverwrite": (*analysis).merge,
		"default": (*analysis).fallback, "coalesce": (*analysis).fallback, "ternary": (*analysis).ternary,
		"not": (*analysis).not, "empty": (*analysis).not, "all": (*analysis).all, "any": (*analysis).any,
		"eq": (*analysis).compare, "ne": (*analysis).compare,
		"lt": (*analysis).order, "le": (*analysis).order, "gt": (*analysis).order, "ge": (*analysis).order,
		"kindOf": kindOf, "kindIs": kindOf, "typeOf": kindOf, "typeIs": kindOf, "typeIsLike": kindOf,
	}
}

// function evaluates a call.
func (a *analysis) function(n *call, s scope) value {
	a.exceeded = a.exceeded || len(n.args) > maxArguments
	args := make([]value, len(n.args))
	form := false
	for i, arg := range n.args {
		args[i] = a.eval(arg, s)
		form = form || args[i].isOfForm()
	}
	transfer := transfers[n.function.name]
	if transfer == nil {
		transfer = opaque
	}
	out := transfer(a, n, args, s)
	out.form = out.form || form
	return out
}

// opaque is the transfer of a function that may read all of its arguments, and
// returns no part of them.
func opaque(a *analysis, n *call, args []value, s scope) value {
	for i, arg := range args {
		kind := n.function.rest
		if i < len(n.function.params) {
			kind = n.function.params[i]
		}
		a.use(arg, usage{Use: useAs[kind], Depth: Whole}, s, n.at)
	}
	return value{other: true}
}

var useAs = [...]Use{
	noKind: AsAnything, anyKind: AsAnything, textKind: AsText, intKind: AsWholeNumber, floatKind: AsNumber,
	boolKind: AsBoolean, mapKind: AsMap, listKind: AsList, timeKind: AsAnything,
}

// stepTo is the step that a key leads to, which may not be known.
func stepTo(key value, at *site) PathStep {
	if key.literal != nil && len(key.paths) == 0 && !key.other && key.made == nil {
		if name, ok := key.literal.value.(string); ok {
			return PathStep{Name: name, at: at}
		}
		if _, ok := wholeNumber(key.literal.value); ok {
			return PathStep{Kind: Item, at: at}
		}
	}
	return PathStep{Kind: Each, at: at}
}

// key records that a key is read, unless it is a literal.
func (a *analysis) key(key value, s scope, at *site) PathStep {
	a.use(key, usage{Use: AsAnything, Depth: Whole}, s, at)
	return stepTo(key, at)
}

func (a *analysis) index(n *call, args []value, s scope) value {
	out := args[0]
	for _, key := range args[1:] {
		out = a.follow(out, a.key(key, s, n.at))
	}
	a.use(out, usage{}, s, n.at)
	return out
}

func (a *analysis) get(n *call, args []value, s scope) value {
	a.use(args[0], usage{Use: AsMap}, s, n.at)
	out := a.follow(args[0], a.key(args[1], s, n.at))
	a.use(out, usage{}, s, n.at)
	return out
}

func (a *analysis) hasKey(n *call, args []value, s scope) value {
	a.use(args[0], usage{Use: AsMap}, s, n.at)
	found := a.follow(args[0], a.key(args[1], s, n.at))
	a.use(found, usage{Use: Tested, guard: true}, s, n.at)
	return value{other: true, asks: true, yes: found.ifTrue()}
}

// dig has a fallback for each key.
func (a *analysis) dig(n *call, args []value, s scope) value {
	last := len(args) - 1
	a.use(args[last], usage{Use: AsMap}, s, n.at)
	found := args[last]
	for _, key := range args[:last-1] {
		step := a.key(key, s, n.at)
		step.Guarded = true
		found = a.follow(found, step)
	}
	a.use(found, usage{guard: true}, s, n.at)
	return a.join(found, args[last-1])
}

func (a *analysis) pluck(n *call, args []value, s scope) value {
	step := a.key(args[0], s, n.at)
	step.Guarded = true
	plucked := value{}
	for _, m := range args[1:] {
		a.use(m, usage{Use: AsMap}, s, n.at)
		found := a.follow(m, step)
		a.use(found, usage{guard: true}, s, n.at)
		found.other = true // a map may lack the key
		plucked = a.join(plucked, found)
	}
	return a.make(&made{items: plucked})
}

func (a *analysis) pick(n *call, args []value, s scope) value {
	a.use(args[0], usage{Use: AsMap}, s, n.at)
	picked := &made{fields: map[string]value{}}
	for _, key := range args[1:] {
		step := a.key(key, s, n.at)
		step.Guarded = true
		found := a.follow(args[0], step)
		a.use(found, usage{guard: true}, s, n.at)
		found.other = true // the map may lack the key
		if step.Kind == Key {
			picked.fields[step.Name] = found
		} else {
			picked.items = a.join(picked.items, found)
		}
	}
	return a.make(picked)
}

func (a *analysis) dict(n *call, args []value, s scope) value {
	m := &made{fields: map[string]value{}}
	for i := 0; i < len(args); i += 2 {
		field := value{literal: &constant{""}}
		if i+1 < len(args) {
			field = args[i+1]
		}
		if step := a.key(args[i], s, n.at); step.Kind == Key {
			m.fields[step.Name] = field
		} else {
			m.items = a.join(m.items, field)
		}
	}
	return a.make(m)
}

func (a *analysis) list(_ *call, args []value, _ scope) value {
	m := &made{}
	for _, arg := range args {
		m.items = a.join(m.items, arg)
	}
	return a.make(m)
}

func (a *analysis) values(n *call, args []value, s scope) value {
	a.use(args[0], usage{Use: AsMap, Depth: Shape}, s, n.at)
	return a.make(&made{items: a.each(args[0], n.at)})
}

// append makes a list longer, at either end.
func (a *analysis) append(n *call, args []value, s scope) value {
	a.use(args[0], usage{Use: AsList, Depth: Shape}, s, n.at)
	return a.make(&made{items: a.join(a.each(args[0], n.at), args[1])})
}

func (a *analysis) concat(n *call, args []value, s scope) value {
	m := &made{}
	for _, arg := range args {
		a.use(arg, usage{Use: AsList, Depth: Shape}, s, n.at)
		m.items = a.join(m.items, a.each(arg, n.at))
	}
	return a.make(m)
}

// item is the transfer of what returns an item of a list.
func item(a *analysis, n *call, args []value, s scope) value {
	a.use(args[0], usage{Use: AsList}, s, n.at)
	out := a.follow(args[0], PathStep{Kind: Item, at: n.at})
	a.use(out, usage{guard: true}, s, n.at)
	return out
}

// part is the transfer of what returns its first argument, or a part of it that
// has the same paths.
func part(u usage) transfer {
	return func(a *analysis, n *call, args []value, s scope) value {
		a.use(args[0], u, s, n.at)
		for _, arg := range args[1:] {
			a.use(arg, usage{Use: AsAnything, Depth: Whole}, s, n.at)
		}
		return args[0]
	}
}

var (
	// sublist returns items of a list without a look at them.
	sublist = part(usage{Use: AsList, Depth: Shape})
	// items compares the items of a list.
	items = part(usage{Use: AsList, Depth: Whole})
)

// shapeOf is the transfer of what reads the shape of its arguments.
func shapeOf(as Use) transfer {
	return func(a *analysis, n *call, args []value, s scope) value {
		for _, arg := range args {
			a.use(arg, usage{Use: as, Depth: Shape}, s, n.at)
		}
		return value{other: true}
	}
}

// set changes a map. What is put into it may be read from wherever it is.
func (a *analysis) set(n *call, args []value, s scope) value {
	target := args[0]
	a.mutates = a.mutates || len(target.paths) > 0 || target.other
	a.use(target, usage{Use: AsMap}, s, n.at)
	for _, arg := range args[1:] {
		a.use(arg, usage{Use: AsAnything, Depth: Whole}, s, n.at)
	}
	target.other = true
	return target
}

// merge changes its first map, and moves parts of the others into it.
func (a *analysis) merge(n *call, args []value, s scope) value {
	a.mutates = a.mutates || len(args[0].paths) > 0 || args[0].other
	return opaque(a, n, args, s)
}

// fallback returns the first argument that is not empty, or another one.
func (a *analysis) fallback(n *call, args []value, s scope) value {
	out := value{}
	for _, arg := range args {
		a.use(arg, tested, s, n.at)
		out = a.join(out, arg)
	}
	out.other = out.other || len(args) != 1
	return out
}

func (a *analysis) ternary(n *call, args []value, s scope) value {
	condition := tested
	condition.Use = AsBoolean
	a.use(args[2], condition, s, n.at)
	return a.join(args[0], args[1])
}

func (a *analysis) not(n *call, args []value, s scope) value {
	a.use(args[0], tested, s, n.at)
	return value{other: true, asks: args[0].asksForParts(), yes: args[0].no, no: args[0].ifTrue()}
}

func (a *analysis) all(n *call, args []value, s scope) value {
	out := value{other: true}
	for _, arg := range args {
		a.use(arg, tested, s, n.at)
		out.yes, out.asks = append(out.yes, arg.ifTrue()...), out.asks || arg.asksForParts()
	}
	return out
}

func (a *analysis) any(n *call, args []value, s scope) value {
	out := value{other: true}
	for _, arg := range args {
		a.use(arg, tested, s, n.at)
		out.no, out.asks = append(out.no, arg.no...), out.asks || arg.asksForParts()
	}
	return out
}

// compare is eq or ne. What equals something that is not empty exists.
func (a *analysis) compare(n *call, args []value, s scope) value {
	a.comparison(Compared, n, args, s)
	out := value{other: true}
	exist, empty := true, len(args) == 2
	var side []string
	for _, arg := range args {
		switch {
		case arg.literal == nil:
			side = append(side, arg.ifTrue()...)
		case arg.literal.value == "" || arg.literal.value == nil:
			exist = false
		default:
			empty = false
		}
	}
	if exist {
		out.yes = side
	}
	if empty && !exist {
		out.no, out.asks = side, true
	}
	if n.function.name == "ne" {
		out.yes, out.no = out.no, out.yes
	}
	return out
}

// order is lt, le, gt or ge.
func (a *analysis) order(n *call, args []value, s scope) value {
	a.comparison(Ordered, n, args, s)
	return value{other: true}
}

// comparison records that the first argument is compared with each other.
func (a *analysis) comparison(use Use, n *call, args []value, s scope) {
	a.use(args[0], usage{Use: use, Depth: Whole, with: literalsOf(args[1:])}, s, n.at)
	for _, arg := range args[1:] {
		a.use(arg, usage{Use: use, Depth: Whole, with: literalsOf(args[:1])}, s, n.at)
	}
}

// literalsOf returns the literals that the values are, or nil if one is
// anything else.
func literalsOf(values []value) []any {
	out := make([]any, 0, len(values))
	for _, v := range values {
		if v.literal == nil || v.other || len(v.paths) > 0 || v.made != nil {
			return nil
		}
		out = append(out, v.literal.value)
	}
	return out
}

// kindOf is the transfer of what asks which kind of value something is.
func kindOf(a *analysis, n *call, args []value, s scope) value {
	out := value{other: true, form: true}
	for _, arg := range args {
		a.use(arg, usage{Use: Tested, guard: true}, s, n.at)
		out.yes = append(out.yes, arg.ifTrue()...)
	}
	return out
}
