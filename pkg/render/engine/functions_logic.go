package engine

import (
	"fmt"
	"reflect"
	"strings"
)

var logicFunctions = []*function{
	// The compiler gives and and or nodes of their own, so that they stop at
	// the argument that decides; these two are here to be listed.
	define("and X...", "Returns the first argument that is false, or the last. Arguments after the first false one are not evaluated.", withAll(anyKind, 1, nil)),
	define("or X...", "Returns the first argument that is true, or the last. Arguments after the first true one are not evaluated.", withAll(anyKind, 1, nil)),
	define("not X", "Returns true if X is false, zero, empty or absent.", on1(func(x any) bool { return !truth(x) })),
	define("eq X Y...", "Returns true if X equals one of the others. Absent equals an empty string and another absent value.", &function{
		params: []kind{anyKind, anyKind}, rest: anyKind,
		call: func(_ *run, _ *call, args []any) (any, *Error) {
			for _, other := range args[1:] {
				if same, err := equal(args[0], other); err != nil || same {
					return same, err
				}
			}
			return false, nil
		},
	}),
	define("ne X Y", "Returns true if X does not equal Y.", with2(func(_ *run, x, y any) (any, *Error) {
		same, err := equal(x, y)
		return !same, err
	})),
	define("lt X Y", "Returns true if X is less than Y. Both are numbers, or both are strings.", ordered(func(n int) bool { return n < 0 })),
	define("le X Y", "Returns true if X is not greater than Y.", ordered(func(n int) bool { return n <= 0 })),
	define("gt X Y", "Returns true if X is greater than Y.", ordered(func(n int) bool { return n > 0 })),
	define("ge X Y", "Returns true if X is not less than Y.", ordered(func(n int) bool { return n >= 0 })),
	define("default FALLBACK X", "Returns X, or FALLBACK if X is false, zero, empty or absent.", &function{
		params: []kind{anyKind}, rest: anyKind,
		call: func(_ *run, _ *call, args []any) (any, *Error) {
			if len(args) < 2 || !truth(args[1]) {
				return args[0], nil
			}
			return args[1], nil
		},
	}),
	define("empty X", "Returns true if X is false, zero, empty or absent.", on1(func(x any) bool { return !truth(x) })),
	define("coalesce X...", "Returns the first argument that is not empty.", withAll(anyKind, 0, func(_ *run, args []any) (any, *Error) {
		for _, x := range args {
			if truth(x) {
				return x, nil
			}
		}
		return nil, nil
	})),
	define("all X...", "Returns true if no argument is empty.", withAll(anyKind, 0, func(_ *run, args []any) (any, *Error) {
		for _, x := range args {
			if !truth(x) {
				return false, nil
			}
		}
		return true, nil
	})),
	define("any X...", "Returns true if an argument is not empty.", withAll(anyKind, 0, func(_ *run, args []any) (any, *Error) {
		for _, x := range args {
			if truth(x) {
				return true, nil
			}
		}
		return false, nil
	})),
	define("ternary X Y CONDITION", "Returns X if CONDITION is true, and Y if it is false.", on3(func(x, y any, condition bool) any {
		if condition {
			return x
		}
		return y
	})),
	define("fail MESSAGE", "Stops the template with an error. The message is shown only if it is a literal, since any other may contain values.",
		(&function{params: []kind{textKind}, call: fail}).atRun()),
}

func ordered(holds func(int) bool) *function {
	return with2(func(_ *run, x, y any) (any, *Error) {
		n, err := order(x, y)
		return holds(n), err
	})
}

// fail shows its message only if it is a literal. Anything else may have been
// built from values of a Secret, and errors end up in conditions and events.
func fail(_ *run, e *call, args []any) (any, *Error) {
	if _, literal := e.args[0].(constant); literal {
		return nil, problem("%s", args[0])
	}
	return nil, problem("the template failed on purpose; its message is not shown, because it was built from values")
}

var typeFunctions = aliases([]*function{
	define("typeOf X", "Returns the Go type of X.", on1(func(x any) string { return fmt.Sprintf("%T", x) })),
	define("typeIs TYPE X", "Returns true if TYPE is the type of X.", on2(func(t string, x any) bool { return t == fmt.Sprintf("%T", x) })),
	define("typeIsLike TYPE X", "Returns true if TYPE is the type of X, or of what X points to.", on2(func(t string, x any) bool {
		return t == strings.TrimPrefix(fmt.Sprintf("%T", x), "*") || t == fmt.Sprintf("%T", x)
	})),
	define("kindOf X", "Returns the kind of X in Go: `string`, `map`, `slice`, `bool`, `int`, `int64`, `float64`, or `invalid` if it is absent.", on1(kindName)),
	define("kindIs KIND X", "Returns true if KIND is the kind of X.", on2(func(k string, x any) bool { return k == kindName(x) })),
	define("deepEqual X Y", "Returns true if X and Y are equal, including everything nested in them.", with2(func(r *run, x, y any) (any, *Error) {
		return r.deepEqual(x, y)
	})),
	define("deepCopy X", "Returns a deep copy of X.", with1(deepCopy)),
}, map[string]string{"mustDeepCopy": "deepCopy"})

func kindName(x any) string { return reflect.ValueOf(x).Kind().String() }

func deepCopy(r *run, x any) (any, *Error) { return r.copyValue(x) }

var printFunctions = []*function{
	define("print X...", "Returns the arguments as one string, with a space between two that are not strings.", withAll(anyKind, 0, func(r *run, args []any) (any, *Error) {
		return r.sprint(args, fmt.Sprint)
	})),
	define("println X...", "Returns the arguments as one string, with spaces between them and a line break at the end.", withAll(anyKind, 0, func(r *run, args []any) (any, *Error) {
		return r.sprint(args, fmt.Sprintln)
	})),
	define("printf FORMAT X...", "Formats the arguments as `fmt.Sprintf` of Go does. Widths and precisions are limited to 1000; `%p` is rejected.", &function{
		params: []kind{textKind}, rest: anyKind,
		call: func(r *run, _ *call, args []any) (any, *Error) { return r.sprintf(arg[string](args, 0), args[1:]) },
	}),
	define("cat X...", "Joins the arguments with spaces.", withAll(anyKind, 0, func(r *run, args []any) (any, *Error) {
		var parts []string
		for _, x := range args {
			if x == nil {
				continue
			}
			s, err := r.text(x)
			if err != nil {
				return nil, err
			}
			parts = append(parts, s)
		}
		return r.join(" ", parts)
	})),
	define("toString X", "Returns X as a string.", with1(func(r *run, x any) (any, *Error) { return r.text(x) })),
	define("quote X...", "Encloses each argument in double quotes and escapes it.", withAll(anyKind, 0, quote)),
	define("squote X...", "Encloses each argument in single quotes.", withAll(anyKind, 0, squote)),
	define("len X", "Returns the length of a string, list or map.", with1(func(_ *run, x any) (any, *Error) {
		switch v := x.(type) {
		case nil:
			return 0, nil
		case string:
			return len(v), nil
		case []any:
			return len(v), nil
		case map[string]any:
			return len(v), nil
		}
		return nil, problem("strings, lists and maps have a length; this is %s", describe(x))
	})),
}

// printed is a value that is printed as text, but is not text: fmt.Sprint puts
// a space between two operands that are no strings.
type printed struct{ text string }

func (p printed) String() string { return p.text }

func (r *run) sprint(args []any, join func(...any) string) (any, *Error) {
	operands := make([]any, len(args))
	for i, x := range args {
		switch v := x.(type) {
		case nil:
			operands[i] = ""
		case map[string]any, []any:
			text, err := r.text(v)
			if err != nil {
				return nil, err
			}
			operands[i] = printed{text}
		default:
			operands[i] = x
		}
	}
	return r.result(join(operands...))
}
