package engine

import (
	"fmt"
	"strings"
	"time"

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
	f := formatReader{format: format, args: append([]any(nil), args...), sizes: make([]size, len(args)), bound: len(format), most: r.values}
	for i, x := range args {
		var err *Error
		if f.sizes[i], err = r.measure(x); err != nil {
			return nil, err
		}
		// An argument that no verb takes is appended to the result.
		f.bound += 4*f.sizes[i].bytes + 64*f.sizes[i].nodes
	}
	if err := f.read(); err != nil {
		return nil, err
	}
	return r.result(fmt.Sprintf(format, f.args...))
}

// formatReader reads a format as package fmt does.
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

// modifiers are what stands between a percent sign and its verb.
type modifiers struct {
	detailed bool // it has a + or #, with which %v and %s look into values
	padding  int  // the sum of width and precision
}

// read reads the whole format.
func (f *formatReader) read() *Error {
	for ; f.at < len(f.format); f.at++ {
		if f.format[f.at] != '%' {
			continue
		}
		f.at++
		m, err := f.modifiers()
		if err != nil {
			return err
		}
		if f.at == len(f.format) {
			break
		}
		if err := f.verb(f.format[f.at], m); err != nil {
			return err
		}
	}
	if f.bound > f.most {
		return limit("%s", errValues)
	}
	return nil
}

// modifiers reads up to the verb. What it calls ends at the last byte it reads.
func (f *formatReader) modifiers() (m modifiers, err *Error) {
	for ; f.at < len(f.format) && strings.IndexByte("+-# 0123456789.*[]", f.format[f.at]) >= 0; f.at++ {
		width := 0
		switch c := f.format[f.at]; {
		case c == '[':
			f.argumentIndex()
		case c == '*':
			width, err = f.widthArgument()
		case '1' <= c && c <= '9', c == '0' && isDigit(f.format[f.at-1]):
			width, err = f.width()
		case c == '+', c == '#':
			m.detailed = true
		}
		if err != nil {
			return m, err
		}
		m.padding += width
	}
	return m, nil
}

// argumentIndex reads the [n] that says which argument comes next.
func (f *formatReader) argumentIndex() {
	end := strings.IndexByte(f.format[f.at:], ']')
	if end < 0 {
		return
	}
	n := 0
	if _, err := fmt.Sscanf(f.format[f.at+1:f.at+end], "%d", &n); err == nil && n >= 1 {
		f.next = n - 1
	}
	f.at += end
}

// widthArgument is the width or precision that a * takes from an argument.
func (f *formatReader) widthArgument() (int, *Error) {
	i := f.next
	f.next++
	if i >= len(f.args) {
		return 0, nil
	}
	n, ok := wholeNumber(f.args[i])
	switch {
	case f.args[i] == nil:
		f.args[i] = 0
		return 0, nil
	case !ok:
		return 0, nil
	case n > maxWidth || n < -maxWidth:
		return 0, limit(errWidth, maxWidth)
	}
	f.args[i] = int(n)
	return int(max(n, -n)), nil
}

// width is a width or precision in digits.
func (f *formatReader) width() (int, *Error) {
	n := 0
	for ; f.at < len(f.format) && isDigit(f.format[f.at]); f.at++ {
		if n = 10*n + int(f.format[f.at]-'0'); n > maxWidth {
			return 0, limit(errWidth, maxWidth)
		}
	}
	f.at--
	return n, nil
}

// verb makes the next argument ready for its verb, and adds what that prints.
func (f *formatReader) verb(verb byte, m modifiers) *Error {
	switch verb {
	case '%':
		return nil
	case 'p':
		return problem("%%p prints addresses, which differ at each execution")
	}
	i := f.next
	f.next++
	if i < 0 || i >= len(f.args) {
		f.bound += 32 // It prints that the argument is missing.
		return nil
	}
	switch x := f.args[i]; {
	case x == nil:
		f.args[i] = zeroFor(verb)
	case f.sizes[i].opaque && !(strings.IndexByte("vs", verb) >= 0 && !m.detailed && isOpaque(x)):
		f.args[i] = stringified(x)
	}
	width := 64 + m.padding
	if verb == 'f' || verb == 'F' {
		width += 320 // The digits of the greatest number.
	}
	f.bound += m.padding + 6*f.sizes[i].bytes + width*f.sizes[i].nodes
	if f.bound > f.most || f.bound < 0 {
		return limit("%s", errValues)
	}
	return nil
}

// zeroFor is the zero value of the type that a verb formats.
func zeroFor(verb byte) any {
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
