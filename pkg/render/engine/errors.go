package engine

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"text/template/parse"
	"unicode"
	"unicode/utf8"
)

// Error is what is wrong with a template, or with the data it met. It is meant
// to be read by the author of the template. It holds keys, types, sizes and
// names of functions, but never a value: values may be secrets.
type Error struct {
	// Line and Column are where the culprit begins in the text of the
	// template. Both count from 1, Column in characters.
	Line, Column int
	// Template is the name of the defined template the culprit stands in, and
	// empty in the text outside of all definitions.
	Template string
	// Expression is the culprit as written, shortened if it is long.
	Expression string
	// Message says what is wrong.
	Message string
	// Absent says that a path led through something that does not exist. In
	// a condition that means "not yet".
	Absent bool
	// LimitExceeded says that the template wanted more than it may have: too
	// many steps, too large values, too much output, too deep recursion.
	LimitExceeded bool
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "line %d, column %d", e.Line, e.Column)
	if e.Template != "" {
		fmt.Fprintf(&b, " (template %q)", e.Template)
	}
	b.WriteString(": ")
	if e.Expression != "" {
		b.WriteString(e.Expression)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// maxErrors is how many errors of one template are reported at once.
const maxErrors = 10

// Errors are what is wrong with a template, in the order of its text: at most
// maxErrors, each once.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.As find the first error.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, err := range e {
		out[i] = err
	}
	return out
}

// add adds an error, unless it is there: a definition may be compiled twice. Far
// more than are reported are not kept either.
func (e *Errors) add(err *Error) {
	const most = 10 * maxErrors
	if len(*e) < most && !slices.ContainsFunc(*e, func(other *Error) bool { return *other == *err }) {
		*e = append(*e, err)
	}
}

// inOrder returns the first errors of the text.
func (e Errors) inOrder() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e[:min(len(e), maxErrors)]
}

// problem returns an error that has no place yet. The evaluator adds the place
// of the call that the error came from.
func problem(format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...)}
}

// limit returns an error about an exhausted limit that has no place yet.
func limit(format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), LimitExceeded: true}
}

// site is the place of an expression or action, kept with what is compiled
// from it.
type site struct {
	text     *string
	template string
	node     parse.Node
	offset   int
}

// fill gives err this place, unless it has one already.
func (s *site) fill(err *Error) *Error {
	if err.Line != 0 {
		return err
	}
	err.Line, err.Column = position(*s.text, s.offset)
	err.Template = s.template
	if s.node != nil && err.Expression == "" {
		err.Expression = shorten(s.node.String())
	}
	return err
}

func (s *site) errorf(format string, args ...any) *Error {
	return s.fill(problem(format, args...))
}

func (s *site) limit(format string, args ...any) *Error {
	return s.fill(limit(format, args...))
}

// position turns an offset in bytes into a line and a column, both from 1.
func position(text string, offset int) (line, column int) {
	offset = min(max(offset, 0), len(text))
	before := text[:offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:])
}

// shorten makes an expression fit into a line.
func shorten(expression string) string {
	const most = 100
	expression = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, expression)
	if runes := []rune(expression); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return expression
}

// describeKeys lists the keys of m for an error message: sorted, not too many
// of them, none too long, and never with their values.
func describeKeys(m map[string]any) string {
	const most = 12
	keys := make([]string, 0, len(m))
	for key, value := range m {
		if value != nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return "it is empty"
	}
	sort.Strings(keys)
	more := ""
	if len(keys) > most {
		more = fmt.Sprintf(" and %d more", len(keys)-most)
		keys = keys[:most]
	}
	for i, key := range keys {
		keys[i] = describeKey(key)
	}
	return "it has: " + strings.Join(keys, ", ") + more
}

// describeKey shows a key of the data. Odd keys are quoted, long ones cut.
func describeKey(key string) string {
	const most = 64
	odd := strings.ContainsFunc(key, func(r rune) bool {
		return !unicode.IsPrint(r) || r == ',' || r == ' ' || r == '"'
	})
	if len(key) > most {
		key = strings.ToValidUTF8(key[:most], "") + "…"
	}
	if odd || key == "" {
		return strconv.Quote(key)
	}
	return key
}

// list joins names for a message.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
