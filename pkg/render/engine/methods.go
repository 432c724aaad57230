package engine

import (
	"reflect"
	"time"

	"github.com/Masterminds/semver/v3"
)

// method is a method of a value that a function returned, such as now.Format.
type method struct {
	name  string
	value reflect.Value
}

// methods are the methods a template may call. They are listed one by one,
// because a library may add a method tomorrow that is not harmless.
var methods = map[reflect.Type]map[string]bool{
	reflect.TypeFor[time.Time](): set(
		"Add", "AddDate", "After", "Before", "Compare", "Day", "Equal", "Format", "Hour", "IsZero", "Minute", "Month",
		"Nanosecond", "Round", "Second", "String", "Sub", "Truncate", "UTC", "Unix", "UnixMicro", "UnixMilli", "UnixNano",
		"Weekday", "Year", "YearDay"),
	reflect.TypeFor[time.Duration]():   set("Abs", "Hours", "Microseconds", "Milliseconds", "Minutes", "Nanoseconds", "Round", "Seconds", "String", "Truncate"),
	reflect.TypeFor[time.Month]():      set("String"),
	reflect.TypeFor[time.Weekday]():    set("String"),
	reflect.TypeFor[*semver.Version](): set("Compare", "Equal", "GreaterThan", "LessThan", "Major", "Metadata", "Minor", "Original", "Patch", "Prerelease", "String"),
}

func set(names ...string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, name := range names {
		out[name] = true
	}
	return out
}

// methodOf returns the method of value with this name, if templates may call it.
func methodOf(value any, name string) (method, bool) {
	if value == nil || !methods[reflect.TypeOf(value)][name] {
		return method{}, false
	}
	return method{name, reflect.ValueOf(value).MethodByName(name)}, true
}

func (m method) call(r *run, args []any) (any, *Error) {
	t := m.value.Type()
	if len(args) != t.NumIn() {
		return nil, problem("%s takes %d arguments, not %d", m.name, t.NumIn(), len(args))
	}
	in := make([]reflect.Value, len(args))
	for i, arg := range args {
		var err *Error
		if text, ok := arg.(markup); ok {
			if args[i], err = r.expand(text); err != nil {
				return nil, err
			}
		}
		if in[i], err = m.argument(i, args[i], t.In(i)); err != nil {
			return nil, err
		}
	}
	if err := r.payForTexts(args); err != nil {
		return nil, err
	}
	out := m.value.Call(in)[0]
	if out.Kind() == reflect.Uint64 {
		return int64(out.Uint()), nil
	}
	return out.Interface(), nil
}

// argument makes the argument at an index one of the type that the method takes.
func (m method) argument(i int, arg any, want reflect.Type) (reflect.Value, *Error) {
	n, whole := wholeNumber(arg)
	switch {
	case arg == nil:
		return reflect.Zero(want), nil
	case reflect.TypeOf(arg) == want:
		return reflect.ValueOf(arg), nil
	case whole && (want.Kind() == reflect.Int || want.Kind() == reflect.Int64):
		return reflect.ValueOf(n).Convert(want), nil
	}
	return reflect.Value{}, problem("argument %d of %s is %s, which it does not take", i+1, m.name, describe(arg))
}

// payForTexts takes what arguments of a method are worth. The layout of Format
// is the only one with a size. Each of its elements can grow a few times over.
func (r *run) payForTexts(args []any) *Error {
	for _, arg := range args {
		s, ok := arg.(string)
		if !ok {
			continue
		}
		if err := r.take(8 * len(s)); err != nil {
			return err
		}
		if err := r.read(8 * len(s)); err != nil {
			return err
		}
	}
	return nil
}
