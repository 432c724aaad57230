package engine

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/Masterminds/semver/v3"
)

// maxWidth is the greatest width and precision of printf.
const maxWidth = 1000

const errWidth = "a width of more than %d is too much for printf"

// sprintf reads the format before it is used, since a few letters can ask for
// megabytes of padding: it finds out how large the result can get, refuses what
// is over the limits or not repeatable, and gives absent arguments the value
// that their verb expects.
func (r *run) sprintf(format string, args []any) (any, *Error) {
	f, err := r.formatReader(format, args)
	if err != nil {
		return nil, err
	}
	if err := f.read(); err != nil {
		return nil, err
	}
	return r.result(fmt.Sprintf(format, f.args...))
}

// formatReader is a reader of a format with a copy of its arguments.
func (r *run) formatReader(format string, args []any) (formatReader, *Error) {
	f := formatReader{format: format, args: append([]any(nil), args...), sizes: make([]size, len(args)), bound: len(format), most: r.values}
	for i, x := range args {
		var err *Error
		if f.sizes[i], err = r.measure(x); err != nil {
			return f, err
		}
		// An argument that no verb takes is appended to the result.
		f.bound += 4*f.sizes[i].bytes + 64*f.sizes[i].nodes
	}
	return f, nil
}

// formatReader reads a format as package fmt does. It must agree with fmt on each
// byte: what it took for something else would be printed unchecked.
type formatReader struct {
	format string
	at     int // the offset in format
	// args are the arguments, made ready for their verbs as these are read, and
	// next is the index of the one that the next verb takes.
	args  []any
	sizes []size
	next  int
	// bound is how long the result can get, and most how long it may be.
	bound, most int
}

// specifier is what stands between a percent sign and its verb.
type specifier struct {
	detailed bool // it has a + or #, with which %v and %s look into values
	padding  int  // the sum of width and precision
	// badIndex says that fmt prints no argument, because an index is out of range
	// or out of place.
	badIndex bool
}

// read reads the whole format.
func (f *formatReader) read() *Error {
	for f.at < len(f.format) {
		f.at++
		if f.format[f.at-1] != '%' {
			continue
		}
		s, err := f.specifier()
		if err != nil {
			return err
		}
		if err := f.verb(s); err != nil {
			return err
		}
	}
	if f.bound > f.most {
		return limit("%s", errValues)
	}
	return nil
}

// specifier reads up to the verb: flags, width and precision, in this order. What
// comes in another order is a verb, or text.
func (f *formatReader) specifier() (s specifier, err *Error) {
	for ; f.at < len(f.format) && strings.IndexByte("+-# 0", f.format[f.at]) >= 0; f.at++ {
		s.detailed = s.detailed || f.is('+') || f.is('#')
	}
	indexed := f.index(&s)
	s.badIndex = s.badIndex || indexed && f.at < len(f.format) && isDigit(f.format[f.at])
	if indexed, err = f.number(&s, indexed); err != nil {
		return s, err
	}
	if f.is('.') && f.at+1 < len(f.format) {
		f.at++
		s.badIndex = s.badIndex || indexed
		if indexed, err = f.number(&s, f.index(&s)); err != nil {
			return s, err
		}
	}
	if !indexed {
		f.index(&s)
	}
	return s, nil
}

// is says whether c comes next.
func (f *formatReader) is(c byte) bool { return f.at < len(f.format) && f.format[f.at] == c }

// index reads the [n] that says which argument comes next, and says whether there
// is one.
func (f *formatReader) index(s *specifier) bool {
	if !f.is('[') {
		return false
	}
	text := f.format[f.at:]
	end := strings.IndexByte(text, ']')
	if end < 0 || len(text) < len("[n]") {
		f.at++
		s.badIndex = true
		return false
	}
	f.at += end + 1
	n, ok := argumentNumber(text[1:end])
	if !ok || n < 1 || n > len(f.args) {
		s.badIndex = true
		return ok
	}
	f.next = n - 1
	return true
}

// argumentNumber is the number of an argument. Like fmt, it gives up on long ones.
func argumentNumber(text string) (n int, ok bool) {
	for i := range len(text) {
		if !isDigit(text[i]) || n > 1e6 {
			return 0, false
		}
		n = 10*n + int(text[i]-'0')
	}
	return n, text != ""
}

// number reads a width or precision, after an index or not. It says whether that
// index is left for the verb: a * takes it.
func (f *formatReader) number(s *specifier, indexed bool) (left bool, err *Error) {
	if f.is('*') {
		f.at++
		return false, f.numberArgument(s)
	}
	n := 0
	for ; f.at < len(f.format) && isDigit(f.format[f.at]); f.at++ {
		if n = 10*n + int(f.format[f.at]-'0'); n > maxWidth {
			return false, limit(errWidth, maxWidth)
		}
	}
	s.padding += n
	return indexed, nil
}

// numberArgument takes the width or precision from an argument.
func (f *formatReader) numberArgument(s *specifier) *Error {
	f.bound += len("%!(BADWIDTH)")
	if f.next >= len(f.args) {
		return nil
	}
	i := f.next
	f.next++
	n, ok := wholeNumber(f.args[i])
	switch {
	case f.args[i] == nil:
		f.args[i] = 0
		return nil
	case !ok:
		return nil
	case n > maxWidth || n < -maxWidth:
		return limit(errWidth, maxWidth)
	}
	f.args[i] = int(n)
	s.padding += int(max(n, -n))
	return nil
}

// verb reads the verb, makes the next argument ready for it, and adds what that
// prints.
func (f *formatReader) verb(s specifier) *Error {
	verb, length := utf8.DecodeRuneInString(f.format[f.at:])
	f.at += length
	switch {
	case verb == '%':
		return nil
	case verb == 'p':
		return problem("%%p prints addresses, which differ at each execution")
	case s.badIndex || f.next >= len(f.args) || length == 0:
		f.bound += 32 // It prints what is wrong.
		return nil
	}
	i := f.next
	f.next++
	switch x := f.args[i]; {
	case x == nil:
		f.args[i] = zeroFor(verb)
	case f.sizes[i].opaque && !((verb == 'v' || verb == 's') && !s.detailed && isOpaque(x)):
		f.args[i] = stringified(x)
	}
	width := 64 + s.padding
	if verb == 'f' || verb == 'F' {
		width += 320 // The digits of the greatest number.
	}
	f.bound += s.padding + 6*f.sizes[i].bytes + width*f.sizes[i].nodes
	if f.bound > f.most || f.bound < 0 {
		return limit("%s", errValues)
	}
	return nil
}

// zeroFor is the zero value of the type that a verb formats.
func zeroFor(verb rune) any {
	switch verb {
	case 'd', 'b', 'o', 'O', 'c', 'U':
		return 0
	case 'e', 'E', 'f', 'F', 'g', 'G':
		return 0.0
	case 't':
		return false
	}
	return ""
}

func isOpaque(x any) bool {
	switch x.(type) {
	case time.Time, *semver.Version:
		return true
	}
	return false
}

// stringified replaces times and versions by their text. Most verbs would look
// into them, and print addresses.
func stringified(x any) any {
	switch v := x.(type) {
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = stringified(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = stringified(item)
		}
		return out
	}
	if isOpaque(x) {
		return fmt.Sprint(x)
	}
	return x
}
