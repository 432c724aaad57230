package engine

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

var textFunctions = aliases([]*function{
	define("trim TEXT", "Removes whitespace at both ends.", (&function{params: []kind{anyKind}, call: trim}).keeping()),
	define("trimAll CHARS TEXT", "Removes all characters in CHARS at both ends.", with2(trimAll)),
	define("trimPrefix PREFIX TEXT", "Removes PREFIX from the beginning.", on2(func(prefix, s string) string { return strings.TrimPrefix(s, prefix) })),
	define("trimSuffix SUFFIX TEXT", "Removes SUFFIX from the end.", on2(func(suffix, s string) string { return strings.TrimSuffix(s, suffix) })),
	define("upper TEXT", "Converts to upper case.", on1(strings.ToUpper)),
	define("lower TEXT", "Converts to lower case.", on1(strings.ToLower)),
	define("title TEXT", "Converts the first letter of each word to upper case.", on1(lib[func(string) string]("title"))),
	define("untitle TEXT", "Converts the first letter of each word to lower case.", on1(lib[func(string) string]("untitle"))),
	define("swapcase TEXT", "Swaps upper and lower case in each word.", on1(lib[func(string) string]("swapcase"))),
	define("snakecase TEXT", "Converts to `snake_case`.", on1(lib[func(string) string]("snakecase"))),
	define("camelcase TEXT", "Converts to `CamelCase`.", on1(lib[func(string) string]("camelcase"))),
	define("kebabcase TEXT", "Converts to `kebab-case`.", on1(lib[func(string) string]("kebabcase"))),
	define("initials TEXT", "Returns the first letter of each word.", on1(lib[func(string) string]("initials"))),
	define("nospace TEXT", "Removes all whitespace.", on1(func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, s)
	})),
	define("contains PART TEXT", "Returns true if PART occurs in TEXT.", on2(func(part, s string) bool { return strings.Contains(s, part) })),
	define("hasPrefix PREFIX TEXT", "Returns true if TEXT begins with PREFIX.", on2(func(prefix, s string) bool { return strings.HasPrefix(s, prefix) })),
	define("hasSuffix SUFFIX TEXT", "Returns true if TEXT ends with SUFFIX.", on2(func(suffix, s string) bool { return strings.HasSuffix(s, suffix) })),
	define("replace OLD NEW TEXT", "Replaces every OLD by NEW.", with3(func(r *run, old, replacement, s string) (any, *Error) {
		n := strings.Count(s, old)
		if err := r.take(len(s) - n*len(old)); err != nil {
			return nil, err
		}
		if err := r.takeTimes(len(replacement), n); err != nil {
			return nil, err
		}
		return strings.ReplaceAll(s, old, replacement), nil
	})),
	define("repeat COUNT TEXT", "Repeats TEXT COUNT times.", with2(func(r *run, n int, s string) (any, *Error) {
		if n < 0 {
			return nil, problem("nothing can be repeated a negative number of times")
		}
		if err := r.takeTimes(len(s), n); err != nil {
			return nil, err
		}
		return strings.Repeat(s, n), nil
	})),
	define("substr START END TEXT", "Returns the bytes from START up to but not including END. A negative START means the beginning, a negative END the end.", with3(substr)),
	define("trunc LENGTH TEXT", "Returns the first LENGTH bytes, or the last ones if LENGTH is negative.", on2(lib[func(int, string) string]("trunc"))),
	define("abbrev WIDTH TEXT", "Shortens to WIDTH bytes, with three dots at the end.", on2(lib[func(int, string) string]("abbrev"))),
	define("abbrevboth LEFT WIDTH TEXT", "Shortens to WIDTH bytes from offset LEFT on, with three dots at both ends.", on3(lib[func(int, int, string) string]("abbrevboth"))),
	define("indent SPACES TEXT", "Indents each line by SPACES spaces.", (&function{params: []kind{intKind, anyKind}, call: func(r *run, _ *call, args []any) (any, *Error) {
		return indent(r, arg[int](args, 0), args[1], false)
	}}).keeping()),
	define("nindent SPACES TEXT", "Same as `indent`, with a line break before the first line.", (&function{params: []kind{intKind, anyKind}, call: func(r *run, _ *call, args []any) (any, *Error) {
		return indent(r, arg[int](args, 0), args[1], true)
	}}).keeping()),
	define("wrap WIDTH TEXT", "Wraps lines at WIDTH bytes, between words.", with2(func(r *run, width int, s string) (any, *Error) {
		return wrap(r, width, "\n", s, func() string { return lib[func(int, string) string]("wrap")(width, s) })
	})),
	define("wrapWith WIDTH BREAK TEXT", "Same as `wrap`, with BREAK as the line break; breaks long words as well.", with3(func(r *run, width int, lineBreak, s string) (any, *Error) {
		return wrap(r, width, lineBreak, s, func() string { return lib[func(int, string, string) string]("wrapWith")(width, lineBreak, s) })
	})),
	define("plural ONE MANY COUNT", "Returns ONE if COUNT is 1, otherwise MANY.", on3(lib[func(string, string, int) string]("plural"))),
	define("splitList SEPARATOR TEXT", "Splits into a list.", with2(func(r *run, separator, s string) (any, *Error) {
		return r.texts(strings.Count(s, separator)+1, func() []string { return strings.Split(s, separator) })
	})),
	define("split SEPARATOR TEXT", "Splits into a map with the keys `_0`, `_1` and so on.", with2(func(r *run, separator, s string) (any, *Error) {
		return splitMap(r, separator, -1, s)
	})),
	define("splitn SEPARATOR COUNT TEXT", "Same as `split`, into at most COUNT parts.", with3(splitMap)),
	define("join SEPARATOR LIST", "Joins the items of a list.", with2(func(r *run, separator string, x any) (any, *Error) {
		parts, err := r.strings(x)
		if err != nil {
			return nil, err
		}
		return r.join(separator, parts)
	})),
	define("toStrings LIST", "Converts each item to a string.", with1(func(r *run, x any) (any, *Error) {
		parts, err := r.strings(x)
		if err != nil {
			return nil, err
		}
		return r.texts(len(parts), func() []string { return parts })
	})),
	define("hello", "Returns a greeting.", on0(func() string { return "Hello!" })),
}, map[string]string{"trimall": "trimAll"})

// textArgument returns the text of an argument that is no markup.
func textArgument(f string, x any) (string, *Error) {
	switch v := x.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", problem("the text given to %s must be a string, and is %s", f, describe(x))
}

func trim(r *run, _ *call, args []any) (any, *Error) {
	if m, ok := args[0].(markup); ok {
		m.newline, m.first = false, 0
		return m, nil
	}
	s, err := textArgument("trim", args[0])
	if err != nil {
		return nil, err
	}
	return r.result(strings.TrimSpace(s))
}

// trimAll is strings.Trim, which looks through all of chars at each character
// of s. For more than a few it is a set that is looked into.
func trimAll(r *run, chars, s string) (any, *Error) {
	const few = 16
	if len(chars) <= few {
		return r.result(strings.Trim(s, chars))
	}
	if err := r.spend(len(chars)); err != nil {
		return nil, err
	}
	if err := r.takeTimes(itemBytes, len(chars)); err != nil {
		return nil, err
	}
	set := make(map[rune]bool)
	for _, c := range chars {
		set[c] = true
	}
	return r.result(strings.TrimFunc(s, func(c rune) bool { return set[c] }))
}

// indent keeps markup what it is: the way to place it where it belongs.
func indent(r *run, spaces int, x any, newline bool) (any, *Error) {
	if spaces < 0 {
		return nil, problem("lines cannot be indented by a negative number of spaces")
	}
	if m, ok := x.(markup); ok {
		// The text is not made here, but what it comes to is reserved, so that
		// no sum of indentations can overflow.
		if err := r.take(m.size() + 1); err != nil {
			return nil, err
		}
		if err := r.takeTimes(1+strings.Count(m.text, "\n"), spaces); err != nil {
			return nil, err
		}
		m.newline = m.newline || newline
		m.first += spaces
		m.indent += spaces
		return m, nil
	}
	s, err := textArgument("indent", x)
	if err != nil {
		return nil, err
	}
	if err := r.take(len(s) + 1); err != nil {
		return nil, err
	}
	if err := r.takeTimes(1+strings.Count(s, "\n"), spaces); err != nil {
		return nil, err
	}
	pad := strings.Repeat(" ", spaces)
	s = pad + strings.ReplaceAll(s, "\n", "\n"+pad)
	if newline {
		s = "\n" + s
	}
	return s, nil
}

func substr(r *run, start, end int, s string) (any, *Error) {
	if start < 0 {
		start = 0
	} else if end < 0 || end > len(s) {
		end = len(s)
	}
	if end < start || end > len(s) {
		return nil, problem("the string has no such bytes; it is %d bytes long", len(s))
	}
	return r.result(s[start:end])
}

// wrap inserts at most one line break per word, and one per width.
func wrap(r *run, width int, lineBreak, s string, do func() string) (any, *Error) {
	breaks := strings.Count(s, " ") + len(s)/max(width, 1) + 1
	if err := r.takeTimes(max(len(lineBreak), 1), breaks); err != nil {
		return nil, err
	}
	return r.result(do())
}

func splitMap(r *run, separator string, n int, s string) (any, *Error) {
	parts := strings.Count(s, separator) + 1
	if separator == "" {
		parts = utf8.RuneCountInString(s)
	}
	if n >= 0 {
		parts = min(parts, n)
	}
	if err := r.takeEntries(parts); err != nil {
		return nil, err
	}
	out := make(map[string]any, parts)
	for i, part := range strings.SplitN(s, separator, n) {
		out[fmt.Sprintf("_%d", i)] = part
	}
	return out, nil
}

// texts returns a list of strings that has at most n items.
func (r *run) texts(n int, list func() []string) (any, *Error) {
	if err := r.takeItems(n); err != nil {
		return nil, err
	}
	parts := list()
	out := make([]any, len(parts))
	for i, part := range parts {
		out[i] = part
	}
	return out, nil
}

// strings returns the items of a list as strings, leaving out absent ones, and
// anything else as the only string.
func (r *run) strings(x any) ([]string, *Error) {
	if x == nil {
		return nil, nil
	}
	items, ok := x.([]any)
	if !ok {
		items = []any{x}
	}
	if err := r.takeItems(len(items)); err != nil {
		return nil, err
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		if item == nil {
			continue
		}
		s, err := r.text(item)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// join reserves the result before it is made.
func (r *run) join(separator string, parts []string) (any, *Error) {
	total := 0
	for _, part := range parts {
		total += len(part)
	}
	if err := r.takeTimes(len(separator), len(parts)); err != nil {
		return nil, err
	}
	if err := r.take(total); err != nil {
		return nil, err
	}
	return strings.Join(parts, separator), r.read(total)
}
