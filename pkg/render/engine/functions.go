package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/sprig/v3"
)

// function is a function that templates may call.
type function struct {
	name, usage, summary string
	// aliasOf is the function of which this is another name.
	aliasOf string

	// params are the kinds of the fixed parameters, rest the kind of all
	// further arguments, and atLeast how many arguments there must be in all.
	params  []kind
	rest    kind
	atLeast int

	// call gets arguments that have been converted to the kinds above. It must
	// not keep the slice. It takes from the budget of the run what it creates.
	call func(r *run, e *call, args []any) (any, *Error)

	// prepare makes something of a literal first argument at compile time. It
	// takes from the budget of the compilation what that costs.
	prepare func(b *budget, literal any) (any, *Error)

	// keepsMarkup says that the function is given markup as such.
	keepsMarkup bool
	// mutates says that the function writes into an argument.
	mutates bool
	// impure says that it is pointless to call the function at compile time.
	impure bool
}

// kind is what a parameter takes.
type kind uint8

const (
	noKind kind = iota
	anyKind
	textKind
	intKind
	floatKind
	boolKind
	mapKind
	listKind
	timeKind
)

var kindNames = [...]string{
	noKind: "nothing", anyKind: "anything", textKind: "a string", intKind: "a whole number", floatKind: "a number",
	boolKind: "a boolean", mapKind: "a map", listKind: "a list", timeKind: "a time",
}

func (k kind) String() string { return kindNames[k] }

// kindFor is the kind of a parameter of type T.
func kindFor[T any]() kind {
	switch reflect.TypeFor[T]() {
	case reflect.TypeFor[string]():
		return textKind
	case reflect.TypeFor[int]():
		return intKind
	case reflect.TypeFor[float64]():
		return floatKind
	case reflect.TypeFor[bool]():
		return boolKind
	case reflect.TypeFor[map[string]any]():
		return mapKind
	case reflect.TypeFor[[]any]():
		return listKind
	case reflect.TypeFor[time.Time]():
		return timeKind
	case reflect.TypeFor[any]():
		return anyKind
	}
	panic("no kind for " + reflect.TypeFor[T]().String())
}

// convert makes value an argument of a kind. Absent becomes the zero value.
// Numbers without a fraction are whole numbers, whatever type they have in Go.
func convert(value any, k kind) (any, bool) {
	switch k {
	case anyKind:
		if n, ok := value.(json.Number); ok {
			return plainNumber(n), true
		}
		return value, true
	case textKind:
		return as[string](value)
	case intKind:
		if n, ok := wholeNumber(value); ok {
			return int(n), true
		}
		return as[int](value)
	case floatKind:
		if f, ok := realNumber(value); ok {
			return f, true
		}
		return as[float64](value)
	case boolKind:
		return as[bool](value)
	case mapKind:
		return as[map[string]any](value)
	case listKind:
		return as[[]any](value)
	case timeKind:
		return as[time.Time](value)
	}
	return nil, false
}

func as[T any](value any) (any, bool) {
	v, ok := value.(T)
	return v, ok || value == nil
}

// Functions that neither fail nor make much of little are declared by what
// they are in Go. What they return is taken from the budget if it is text.

func on0[R any](f func() R) *function {
	return &function{call: func(r *run, _ *call, _ []any) (any, *Error) { return r.result(f()) }}
}

func on1[A, R any](f func(A) R) *function {
	return &function{params: []kind{kindFor[A]()}, call: func(r *run, _ *call, args []any) (any, *Error) {
		return r.result(f(arg[A](args, 0)))
	}}
}

func on2[A, B, R any](f func(A, B) R) *function {
	return &function{params: []kind{kindFor[A](), kindFor[B]()}, call: func(r *run, _ *call, args []any) (any, *Error) {
		return r.result(f(arg[A](args, 0), arg[B](args, 1)))
	}}
}

func on3[A, B, C, R any](f func(A, B, C) R) *function {
	return &function{params: []kind{kindFor[A](), kindFor[B](), kindFor[C]()}, call: func(r *run, _ *call, args []any) (any, *Error) {
		return r.result(f(arg[A](args, 0), arg[B](args, 1), arg[C](args, 2)))
	}}
}

func onAll[R any](f func(...any) R) *function {
	return &function{rest: anyKind, call: func(r *run, _ *call, args []any) (any, *Error) { return r.result(f(args...)) }}
}

func on1All[R any](f func(any, ...any) R) *function {
	return &function{params: []kind{anyKind}, rest: anyKind, call: func(r *run, _ *call, args []any) (any, *Error) {
		return r.result(f(args[0], args[1:]...))
	}}
}

// All others get the run, to take from its budget what they need.

func with0(f func(*run) (any, *Error)) *function {
	return &function{call: func(r *run, _ *call, _ []any) (any, *Error) { return f(r) }}
}

func with1[A any](f func(*run, A) (any, *Error)) *function {
	return &function{params: []kind{kindFor[A]()}, call: func(r *run, _ *call, args []any) (any, *Error) {
		return f(r, arg[A](args, 0))
	}}
}

func with2[A, B any](f func(*run, A, B) (any, *Error)) *function {
	return &function{params: []kind{kindFor[A](), kindFor[B]()}, call: func(r *run, _ *call, args []any) (any, *Error) {
		return f(r, arg[A](args, 0), arg[B](args, 1))
	}}
}

func with3[A, B, C any](f func(*run, A, B, C) (any, *Error)) *function {
	return &function{params: []kind{kindFor[A](), kindFor[B](), kindFor[C]()}, call: func(r *run, _ *call, args []any) (any, *Error) {
		return f(r, arg[A](args, 0), arg[B](args, 1), arg[C](args, 2))
	}}
}

// withAll is a function of any number of arguments of one kind.
func withAll(rest kind, atLeast int, f func(*run, []any) (any, *Error)) *function {
	return &function{rest: rest, atLeast: atLeast, call: func(r *run, _ *call, args []any) (any, *Error) { return f(r, args) }}
}

// arg is an argument, or the zero value if the argument is absent.
func arg[T any](args []any, i int) T {
	v, _ := args[i].(T)
	return v
}

// result takes text that a function has returned from the budget.
func (r *run) result(value any) (any, *Error) {
	if s, ok := value.(string); ok {
		return s, r.take(len(s))
	}
	return value, nil
}

// takeTimes reserves times times n bytes.
func (b *budget) takeTimes(n, times int) *Error {
	if n > 0 && times > b.values/n {
		return limit("%s", errValues)
	}
	return b.take(n * times)
}

func (f *function) keeping() *function {
	f.keepsMarkup = true
	return f
}

func (f *function) mutating() *function {
	f.mutates = true
	return f
}

// atRun marks what depends on the execution, or must not happen before it.
func (f *function) atRun() *function {
	f.impure = true
	return f
}

// arity says how many arguments the function takes.
func (f *function) arity() string {
	n := max(len(f.params), f.atLeast)
	switch {
	case f.rest != noKind:
		return fmt.Sprintf("at least %s", count(n, "argument"))
	default:
		return count(n, "argument")
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// library is where the functions come from that need no care of ours.
var library = sprig.TxtFuncMap()

// lib returns a function of sprig with its type. A new version of sprig that
// changes the type is found by any test, since this is called at start-up.
func lib[F any](name string) F { return library[name].(F) }

// Function describes a function that templates may call.
type Function struct {
	Name string
	// Group is the heading under which the documentation lists the function.
	Group string
	// Usage is the function with its arguments. Words in capitals stand for
	// arguments, and ... for any number of the last one.
	Usage string
	// Summary says in a sentence what the function does.
	Summary string
	// AliasOf is the name of the function of which this is another name.
	AliasOf string
}

// RemovedFunction is a function of sprig or of text/template that templates
// may not call.
type RemovedFunction struct {
	Name string
	// Advice says why, and what to use instead.
	Advice string
}

// Functions lists the functions that templates may call, by group.
func Functions() []Function {
	var out []Function
	for _, g := range groups {
		for _, f := range g.functions {
			out = append(out, Function{Name: f.name, Group: g.name, Usage: f.usage, Summary: f.summary, AliasOf: f.aliasOf})
		}
	}
	return out
}

// RemovedFunctions lists the functions that templates may not call, by name.
func RemovedFunctions() []RemovedFunction {
	out := make([]RemovedFunction, 0, len(removed))
	for name, advice := range removed {
		out = append(out, RemovedFunction{name, advice})
	}
	slices.SortFunc(out, func(a, b RemovedFunction) int { return strings.Compare(a.Name, b.Name) })
	return out
}

const (
	noOutside    = "a template can read only the Source and its references"
	noRandomKey  = "its result differs on every call, so objects would change without a cause; keep credentials in a Secret and declare the Secret as a reference"
	noCrypto     = "keep credentials in a Secret, in the form in which they are used, and declare the Secret as a reference"
	notForYAML   = "values are escaped only for the YAML that surrounds them"
	noFuncValues = "values are never functions; write the name of the function itself"
)

// removed are functions that policies written for other systems may use.
var removed = map[string]string{
	"env":                      noOutside,
	"expandenv":                noOutside,
	"getHostByName":            noOutside,
	"bcrypt":                   noRandomKey,
	"htpasswd":                 noRandomKey,
	"derivePassword":           noRandomKey,
	"genPrivateKey":            noRandomKey,
	"genCA":                    noRandomKey,
	"genCAWithKey":             noRandomKey,
	"genSelfSignedCert":        noRandomKey,
	"genSelfSignedCertWithKey": noRandomKey,
	"genSignedCert":            noRandomKey,
	"genSignedCertWithKey":     noRandomKey,
	"buildCustomCert":          noCrypto,
	"encryptAES":               noRandomKey,
	"decryptAES":               noCrypto,
	"html":                     notForYAML,
	"js":                       notForYAML,
	"urlquery":                 notForYAML + "; urlJoin builds URLs",
	"call":                     noFuncValues,
	"include":                  "use {{template}}, whose output becomes part of the surrounding text",
	"tpl":                      "the text of a template is fixed; use {{define}} and {{template}}",
	"lookup":                   noOutside + "; declare the object as a reference",
	"required":                 "use fail in an {{if}}, or let creationCondition wait for the value",
	"toToml":                   "use toYaml or toJson",
}

type group struct {
	name      string
	functions []*function
}

// groups are all functions, in the order of the documentation.
var groups = []group{
	{"Comparison and logic", logicFunctions},
	{"Printing", printFunctions},
	{"Strings", textFunctions},
	{"Maps", mapFunctions},
	{"Lists", listFunctions},
	{"Numbers", numberFunctions},
	{"Encoding", encodingFunctions},
	{"Regular expressions", regexFunctions},
	{"Time", timeFunctions},
	{"Random values", chanceFunctions},
	{"Types", typeFunctions},
	{"Paths, URLs and versions", pathFunctions},
}

// functions are the functions by name.
var functions = func() map[string]*function {
	all := map[string]*function{}
	for _, g := range groups {
		for _, f := range g.functions {
			all[f.name] = f
		}
	}
	return all
}()

// define completes a function with how it is used and what it does.
func define(usage, summary string, f *function) *function {
	named := *f
	named.name, _, _ = strings.Cut(usage, " ")
	named.usage, named.summary = usage, summary
	return &named
}

// alias is the same function under another name.
func alias(name string, f *function) *function {
	same := *f
	same.name, same.aliasOf = name, f.name
	_, arguments, _ := strings.Cut(f.usage, " ")
	same.usage = strings.TrimSpace(name + " " + arguments)
	same.summary = "Alias of " + f.name + "."
	return &same
}

// aliases returns the list with further names for some of its functions.
func aliases(list []*function, names map[string]string) []*function {
	var out []*function
	for _, f := range list {
		out = append(out, f)
		var more []string
		for name, of := range names {
			if of == f.name {
				more = append(more, name)
			}
		}
		slices.Sort(more)
		for _, name := range more {
			out = append(out, alias(name, f))
		}
	}
	return out
}
