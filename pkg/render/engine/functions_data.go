package engine

import (
	"slices"
	"strings"
)

var mapFunctions = aliases([]*function{
	define("dict KEY VALUE...", "Creates a map from pairs of keys and values.", withAll(anyKind, 0, dict)),
	define("index X KEY...", "Looks up a map key or a list index; further keys are applied to the result. A missing key is absent.", &function{
		params: []kind{anyKind}, rest: anyKind,
		call: func(_ *run, _ *call, args []any) (any, *Error) { return index(args[0], args[1:]) },
	}),
	define("get MAP KEY", "Returns the value of a key, or absent.", on2(func(m map[string]any, key string) any { return m[key] })),
	define("hasKey MAP KEY", "Returns true if the map has the key.", on2(func(m map[string]any, key string) bool {
		_, ok := m[key]
		return ok
	})),
	define("dig KEY... FALLBACK MAP", "Follows the keys through nested maps, and returns FALLBACK if one of them is missing.", withAll(anyKind, 3, dig)),
	define("set MAP KEY VALUE", "Sets a key and returns the map. The change is visible in this template only.", with3(func(r *run, m map[string]any, key string, value any) (any, *Error) {
		if m == nil {
			return nil, problem("the map to change is absent")
		}
		if err := r.takeEntries(1); err != nil {
			return nil, err
		}
		m[key] = value
		return m, nil
	}).mutating()),
	define("unset MAP KEY", "Removes a key and returns the map. The change is visible in this template only.", on2(func(m map[string]any, key string) any {
		delete(m, key)
		return m
	}).mutating()),
	define("keys MAP...", "Returns the keys as a list, sorted within each map.", withAll(mapKind, 0, func(r *run, args []any) (any, *Error) {
		out := []any{}
		for i := range args {
			m := arg[map[string]any](args, i)
			if err := r.takeItems(len(m)); err != nil {
				return nil, err
			}
			sorted, err := r.sortedKeys(m)
			if err != nil {
				return nil, err
			}
			for _, key := range sorted {
				out = append(out, key)
			}
		}
		return out, nil
	})),
	define("values MAP", "Returns the values as a list, sorted by their keys.", with1(func(r *run, m map[string]any) (any, *Error) {
		if err := r.takeItems(len(m)); err != nil {
			return nil, err
		}
		sorted, err := r.sortedKeys(m)
		if err != nil {
			return nil, err
		}
		out := make([]any, 0, len(m))
		for _, key := range sorted {
			out = append(out, m[key])
		}
		return out, nil
	})),
	define("pick MAP KEY...", "Returns a map that has only these keys.", &function{params: []kind{mapKind}, rest: textKind, call: func(r *run, _ *call, args []any) (any, *Error) {
		m := arg[map[string]any](args, 0)
		if err := r.takeEntries(len(args)); err != nil {
			return nil, err
		}
		out := map[string]any{}
		for i := range args[1:] {
			key := arg[string](args, i+1)
			if value, ok := m[key]; ok {
				out[key] = value
			}
		}
		return out, nil
	}}),
	define("omit MAP KEY...", "Returns a map without these keys.", &function{params: []kind{mapKind}, rest: textKind, call: func(r *run, _ *call, args []any) (any, *Error) {
		m := arg[map[string]any](args, 0)
		if err := r.takeEntries(len(m) + len(args)); err != nil {
			return nil, err
		}
		out := shallow(m)
		for i := range args[1:] {
			delete(out, arg[string](args, i+1))
		}
		return out, nil
	}}),
	define("pluck KEY MAP...", "Returns the values that the maps have for a key, as a list.", &function{params: []kind{textKind}, rest: mapKind, call: func(r *run, _ *call, args []any) (any, *Error) {
		if err := r.takeItems(len(args)); err != nil {
			return nil, err
		}
		// Each map hashes the key.
		if err := r.read(len(args) * len(arg[string](args, 0))); err != nil {
			return nil, err
		}
		out := []any{}
		for i := range args[1:] {
			if value, ok := arg[map[string]any](args, i+1)[arg[string](args, 0)]; ok {
				out = append(out, value)
			}
		}
		return out, nil
	}}),
	define("merge MAP MAP...", "Adds to the first map the keys that only the others have. The change is visible in this template only.", merger("mustMerge")),
	define("mergeOverwrite MAP MAP...", "Adds the keys of the others to the first map, overwriting its own. The change is visible in this template only.", merger("mustMergeOverwrite")),
}, map[string]string{"mustMerge": "merge", "mustMergeOverwrite": "mergeOverwrite"})

func dict(r *run, args []any) (any, *Error) {
	if err := r.takeEntries((len(args) + 1) / 2); err != nil {
		return nil, err
	}
	out := make(map[string]any, (len(args)+1)/2)
	for i := 0; i < len(args); i += 2 {
		key, err := r.text(args[i])
		if err != nil {
			return nil, err
		}
		out[key] = ""
		if i+1 < len(args) {
			out[key] = args[i+1]
		}
	}
	return out, nil
}

func dig(_ *run, args []any) (any, *Error) {
	last := len(args) - 1
	value, fallback := args[last], args[last-1]
	for i, key := range args[:last-1] {
		name, ok := key.(string)
		if !ok {
			return nil, problem("argument %d of dig must be a string, and is %s", i+1, describe(key))
		}
		m, ok := value.(map[string]any)
		if !ok && value != nil {
			return nil, problem("dig follows keys through maps, but argument %d leads to what is %s", i+1, describe(value))
		}
		if value, ok = m[name]; !ok {
			return fallback, nil
		}
	}
	return value, nil
}

// merger merges as sprig does. What is merged is measured first: the library
// would follow a map that contains itself without end.
func merger(name string) *function {
	merge := lib[func(map[string]any, ...map[string]any) (any, error)](name)
	f := &function{params: []kind{mapKind}, rest: mapKind, call: func(r *run, _ *call, args []any) (any, *Error) {
		maps := make([]map[string]any, len(args))
		for i := range args {
			maps[i] = arg[map[string]any](args, i)
			total, err := r.measure(maps[i])
			if err != nil {
				return nil, err
			}
			if err := r.takeEntries(total.nodes); err != nil {
				return nil, err
			}
		}
		merged, err := merge(maps[0], maps[1:]...)
		if err != nil {
			return nil, problem("the maps hold values of different types under one key")
		}
		return merged, nil
	}}
	return f.mutating()
}

var listFunctions = aliases([]*function{
	define("list X...", "Creates a list.", withAll(anyKind, 0, func(r *run, args []any) (any, *Error) {
		if err := r.takeItems(len(args)); err != nil {
			return nil, err
		}
		return slices.Clone(nonNil(args)), nil
	})),
	define("first LIST", "Returns the first item, or absent.", on1(func(l []any) any {
		if len(l) == 0 {
			return nil
		}
		return l[0]
	})),
	define("last LIST", "Returns the last item, or absent.", on1(func(l []any) any {
		if len(l) == 0 {
			return nil
		}
		return l[len(l)-1]
	})),
	define("rest LIST", "Returns all items but the first.", with1(func(_ *run, l []any) (any, *Error) {
		return l[min(1, len(l)):len(l):len(l)], nil
	})),
	define("initial LIST", "Returns all items but the last.", with1(func(_ *run, l []any) (any, *Error) {
		n := max(len(l)-1, 0)
		return l[:n:n], nil
	})),
	define("append LIST X", "Returns a list with X added at its end.", with2(func(r *run, l []any, x any) (any, *Error) {
		if err := r.takeItems(len(l) + 1); err != nil {
			return nil, err
		}
		return append(slices.Clone(l), x), nil
	})),
	define("prepend LIST X", "Returns a list with X added at its beginning.", with2(func(r *run, l []any, x any) (any, *Error) {
		if err := r.takeItems(len(l) + 1); err != nil {
			return nil, err
		}
		return append([]any{x}, l...), nil
	})),
	define("concat LIST...", "Concatenates lists.", withAll(listKind, 0, func(r *run, args []any) (any, *Error) {
		var out []any
		for i := range args {
			l := arg[[]any](args, i)
			if err := r.takeItems(len(l)); err != nil {
				return nil, err
			}
			out = append(out, l...)
		}
		return out, nil
	})),
	define("reverse LIST", "Returns the items in reverse order.", with1(func(r *run, l []any) (any, *Error) {
		if err := r.takeItems(len(l)); err != nil {
			return nil, err
		}
		out := slices.Clone(nonNil(l))
		slices.Reverse(out)
		return out, nil
	})),
	define("uniq LIST", "Returns the list without duplicates.", with1(func(r *run, l []any) (any, *Error) {
		return filter(r, l, func(kept []any, item any) (bool, *Error) {
			found, err := contains(r, kept, item)
			return !found, err
		})
	})),
	define("without LIST X...", "Returns the list without the items X.", &function{params: []kind{listKind}, rest: anyKind, call: func(r *run, _ *call, args []any) (any, *Error) {
		return filter(r, arg[[]any](args, 0), func(_ []any, item any) (bool, *Error) {
			found, err := contains(r, args[1:], item)
			return !found, err
		})
	}}),
	define("compact LIST", "Returns the items that are not empty.", with1(func(r *run, l []any) (any, *Error) {
		return filter(r, l, func(_ []any, item any) (bool, *Error) { return truth(item), nil })
	})),
	define("has X LIST", "Returns true if X is in the list.", with2(func(r *run, x any, l []any) (any, *Error) {
		return contains(r, l, x)
	})),
	define("slice LIST START END", "Returns the items, or the bytes of a string, from START up to but not including END. Both can be omitted.", &function{params: []kind{anyKind}, rest: anyKind, call: slice}),
	define("chunk SIZE LIST", "Splits the list into lists of SIZE items.", with2(func(r *run, n int, l []any) (any, *Error) {
		if n < 1 {
			return nil, problem("lists are made of at least one item each")
		}
		if err := r.takeItems(2 * len(l)); err != nil {
			return nil, err
		}
		out := []any{}
		for part := range slices.Chunk(l, n) {
			out = append(out, slices.Clip(part))
		}
		return out, nil
	})),
	define("sortAlpha LIST", "Returns the items as strings, sorted.", with1(func(r *run, x any) (any, *Error) {
		parts, err := r.strings(x)
		if err != nil {
			return nil, err
		}
		bytes := 0
		for _, part := range parts {
			bytes += len(part)
		}
		if err := r.spend(sortSteps(len(parts), bytes)); err != nil {
			return nil, err
		}
		return r.texts(len(parts), func() []string {
			slices.SortFunc(parts, strings.Compare)
			return parts
		})
	})),
	define("until COUNT", "Returns a list of the integers from 0 up to but not including COUNT.", with1(func(r *run, n int) (any, *Error) {
		step := 1
		if n < 0 {
			step = -1
		}
		return r.numbers(0, n, step)
	})),
	define("untilStep START STOP STEP", "Returns a list of the integers from START up to but not including STOP, in steps of STEP.", with3(func(r *run, start, stop, step int) (any, *Error) {
		return r.numbers(start, stop, step)
	})),
}, map[string]string{
	"tuple": "list", "push": "append", "mustAppend": "append", "mustPush": "append", "mustPrepend": "prepend",
	"mustFirst": "first", "mustRest": "rest", "mustLast": "last", "mustInitial": "initial", "mustReverse": "reverse",
	"mustUniq": "uniq", "mustWithout": "without", "mustHas": "has", "mustSlice": "slice", "mustChunk": "chunk", "mustCompact": "compact",
})

// nonNil makes sure that a list prints and compares as a list.
func nonNil(l []any) []any {
	if l == nil {
		return []any{}
	}
	return l
}

func contains(r *run, l []any, x any) (bool, *Error) {
	for _, item := range l {
		if same, err := r.deepEqual(x, item); err != nil || same {
			return same, err
		}
	}
	return false, nil
}

func filter(r *run, l []any, keep func(kept []any, item any) (bool, *Error)) (any, *Error) {
	if err := r.takeItems(len(l)); err != nil {
		return nil, err
	}
	out := []any{}
	for _, item := range l {
		ok, err := keep(out, item)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, item)
		}
	}
	return out, nil
}

func slice(r *run, _ *call, args []any) (any, *Error) {
	length := 0
	switch v := args[0].(type) {
	case nil:
		return nil, nil
	case string:
		length = len(v)
	case []any:
		if length = len(v); length == 0 {
			return nil, nil
		}
	default:
		return nil, problem("slice takes parts of lists and strings; this is %s", describe(args[0]))
	}
	if len(args) > 3 {
		return nil, problem("slice takes at most 3 arguments, not %d", len(args))
	}
	bounds := [2]int{0, length}
	for i, x := range args[1:] {
		n, err := indexArgument(x, i+2, length)
		if err != nil {
			return nil, err
		}
		bounds[i] = n
	}
	if bounds[0] > bounds[1] {
		return nil, problem("the slice ends before it begins")
	}
	if s, ok := args[0].(string); ok {
		return r.result(s[bounds[0]:bounds[1]])
	}
	return args[0].([]any)[bounds[0]:bounds[1]:bounds[1]], nil
}

// numbers lists the numbers from start up to stop. It counts them first, in a
// way that cannot overflow.
func (r *run) numbers(start, stop, step int) (any, *Error) {
	n := uint64(0)
	switch {
	case step > 0 && start < stop:
		n = (uint64(stop)-uint64(start)-1)/uint64(step) + 1
	case step < 0 && start > stop:
		n = (uint64(start)-uint64(stop)-1)/(-uint64(step)) + 1
	}
	if n > maxSteps {
		return nil, limit("a list of more than %d numbers is over the limit", maxSteps)
	}
	if err := r.takeItems(int(n)); err != nil {
		return nil, err
	}
	out := make([]any, n)
	for i := range out {
		out[i] = start + i*step
	}
	return out, nil
}
