package engine

import (
	"math"
	"strconv"
	"strings"
)

type (
	fromAny[R any]  = func(any) R
	fromAnys[R any] = func(...any) R
	fromMore[R any] = func(any, ...any) R
)

var numberFunctions = aliases([]*function{
	define("add X...", "Adds integers.", numeric(onAll(lib[fromAnys[int64]]("add")))),
	define("add1 X", "Adds 1 to an integer.", numeric(on1(lib[fromAny[int64]]("add1")))),
	define("sub X Y", "Subtracts integers.", numeric(on2(lib[func(a, b any) int64]("sub")))),
	define("mul X Y...", "Multiplies integers.", numeric(on1All(lib[fromMore[int64]]("mul")))),
	define("div X Y", "Divides integers, rounding toward zero.", numeric(with2(func(_ *run, x, y any) (any, *Error) {
		if lib[fromAny[int64]]("int64")(y) == 0 {
			return nil, problem("a number cannot be divided by zero")
		}
		return lib[func(a, b any) int64]("div")(x, y), nil
	}))),
	define("mod X Y", "Returns the remainder of an integer division.", numeric(with2(func(_ *run, x, y any) (any, *Error) {
		if lib[fromAny[int64]]("int64")(y) == 0 {
			return nil, problem("a number cannot be divided by zero")
		}
		return lib[func(a, b any) int64]("mod")(x, y), nil
	}))),
	define("max X Y...", "Returns the largest integer.", numeric(on1All(lib[fromMore[int64]]("max")))),
	define("min X Y...", "Returns the smallest integer.", numeric(on1All(lib[fromMore[int64]]("min")))),
	define("addf X...", "Adds numbers.", numeric(onAll(lib[fromAnys[float64]]("addf")))),
	define("add1f X", "Adds 1 to a number.", numeric(on1(lib[fromAny[float64]]("add1f")))),
	define("subf X Y...", "Subtracts numbers.", numeric(on1All(lib[fromMore[float64]]("subf")))),
	define("mulf X Y...", "Multiplies numbers.", numeric(on1All(lib[fromMore[float64]]("mulf")))),
	define("divf X Y...", "Divides numbers.", numeric(on1All(lib[fromMore[float64]]("divf")))),
	define("maxf X Y...", "Returns the largest number.", numeric(on1All(lib[fromMore[float64]]("maxf")))),
	define("minf X Y...", "Returns the smallest number.", numeric(on1All(lib[fromMore[float64]]("minf")))),
	define("ceil X", "Rounds up.", numeric(on1(lib[fromAny[float64]]("ceil")))),
	define("floor X", "Rounds down.", numeric(on1(lib[fromAny[float64]]("floor")))),
	define("round X PLACES THRESHOLD", "Rounds to a number of decimal places; fractions from THRESHOLD on are rounded up. THRESHOLD defaults to 0.5.", numeric(&function{
		params: []kind{anyKind, intKind}, rest: floatKind,
		call: func(_ *run, _ *call, args []any) (any, *Error) {
			threshold := []float64{}
			for i := range args[2:] {
				threshold = append(threshold, arg[float64](args, i+2))
			}
			return lib[func(any, int, ...float64) float64]("round")(args[0], arg[int](args, 1), threshold...), nil
		},
	})),
	define("int X", "Converts to an integer. Anything that is not a number becomes 0.", numeric(on1(lib[fromAny[int]]("int")))),
	define("int64 X", "Converts to an integer. Anything that is not a number becomes 0.", numeric(on1(lib[fromAny[int64]]("int64")))),
	define("float64 X", "Converts to a number. Anything that is not a number becomes 0.", numeric(on1(lib[fromAny[float64]]("float64")))),
	define("atoi TEXT", "Converts a string to an integer. Anything that is not an integer becomes 0.", numeric(on1(lib[func(string) int]("atoi")))),
	define("toDecimal X", "Converts octal digits to an integer. Anything else becomes 0.", with1(func(r *run, x any) (any, *Error) {
		s, err := r.text(x)
		if err != nil {
			return nil, err
		}
		n, failure := strconv.ParseInt(s, 8, 64)
		if failure != nil {
			return int64(0), nil
		}
		return n, nil
	})),
	define("seq X...", "Returns integers as a string, separated by spaces. The arguments are LAST, or FIRST and LAST, or FIRST, STEP and LAST.", withAll(intKind, 0, seq)),
}, map[string]string{"biggest": "max"})

// longestNumber is the length of text that is read as a number.
const longestNumber = 1000

// numeric gives a function of sprig nothing but what can be a number, and 0
// for the rest. The library that sprig converts with describes in an error,
// which sprig drops, all of what it cannot convert: without an end if a map
// contains itself, and without a limit if it is large.
func numeric(f *function) *function {
	convert := f.call
	f.call = func(r *run, e *call, args []any) (any, *Error) {
		for i, x := range args {
			switch v := x.(type) {
			case nil, bool, int, int64, float64:
			case string:
				if len(v) > longestNumber {
					args[i] = "0"
				}
			default:
				n, _ := wholeNumber(x)
				args[i] = n
			}
		}
		return convert(r, e, args)
	}
	return f
}

func seq(r *run, args []any) (any, *Error) {
	first, step, last := 1, 1, 0
	switch len(args) {
	case 1:
		last = arg[int](args, 0)
	case 2:
		first, last = arg[int](args, 0), arg[int](args, 1)
	case 3:
		first, step, last = arg[int](args, 0), arg[int](args, 1), arg[int](args, 2)
	default:
		return "", nil
	}
	if last == math.MaxInt || last == math.MinInt {
		return nil, limit("the last number is too large for seq")
	}
	beyond := last + 1
	if last < first {
		beyond = last - 1
		if len(args) < 3 {
			step = -1
		}
	}
	numbers, err := r.numbers(first, beyond, step)
	if err != nil {
		return nil, err
	}
	if err := r.takeTimes(20, len(numbers.([]any))); err != nil {
		return nil, err
	}
	var out strings.Builder
	for i, n := range numbers.([]any) {
		if i > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(strconv.Itoa(n.(int)))
	}
	return out.String(), nil
}
