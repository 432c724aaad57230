package engine

import (
	"fmt"
	"regexp"
	"strings"
	"text/template/parse"
	"unicode"
	"unicode/utf8"
)

// A template that does not parse is read once more, by a scanner that knows what
// people write who know other languages. Each mistake is recorded, and blanked
// without moving anything, so that the parser and the compiler find what else is
// wrong. The scanner never sees a template that parses.

// span is a part of a text.
type span struct{ from, to int }

func (s span) holds(offset int) bool { return s.from <= offset && offset < s.to }

// repaired is a template of which the mistakes are known.
type repaired struct {
	errs Errors
	// trees are what parses with the mistakes blanked, nil if nothing does.
	trees map[string]*parse.Tree
	// foreign are the actions with mistakes.
	foreign []span
}

// repair finds the mistakes of a template that does not parse.
func repair(text string) *repaired {
	s := &scanner{text: text, blanked: []byte(text)}
	s.scan()
	out := &repaired{errs: s.errs, foreign: s.foreign}
	if s.open {
		return out // What belongs to which block cannot be told.
	}
	for range maxErrors {
		trees, err := parseTrees(string(s.blanked))
		if err == nil {
			out.trees = trees
			return out
		}
		found, offset := parseError(text, string(s.blanked), err)
		action, ok := s.actionAt(offset)
		// Of an action with a mistake, the parser has nothing to say that is not
		// a consequence, unless it is about the block that begins there.
		if !s.isForeign(action) || endsEarly(parserMessage(err)) {
			out.errs.add(found)
		}
		switch {
		case endsEarly(parserMessage(err)):
			s.blanked = append(s.blanked, "{{end}}"...)
		case ok && strayEnd.MatchString(parserMessage(err)):
			s.blank(action)
		case !ok || !s.mask(action):
			return out
		}
	}
	return out
}

// strayEnd is what the parser says of {{end}} and {{else}} that belong to nothing.
var strayEnd = regexp.MustCompile(`^(?:unexpected|expected end; found) \{\{(?:end|else)`)

// scanner reads the actions of a template as package parse does.
type scanner struct {
	text    string
	blanked []byte
	at      int

	errs    Errors
	actions []span
	foreign []span
	// open says that an action which may begin a block does not end.
	open bool

	// The rest belongs to the action that is being read.
	action span
	// words is the number of values and operators read.
	words int
	// declares says that a comma or = may follow, since nothing but variables
	// has been read behind the keyword.
	declares bool
	seen     map[string]bool
	// mark is the number of errors before the action.
	mark int
}

func (s *scanner) scan() {
	for {
		next := strings.Index(s.text[s.at:], "{{")
		if next < 0 {
			return
		}
		s.at += next
		s.scanAction()
	}
}

// keyword is the keyword at the beginning of an action, with what is declared.
var keyword = regexp.MustCompile(`^\{\{(?:-[ \t\r\n])?[ \t\r\n]*(?:(else[ \t\r\n]+(?:if|with)|if|with|range|else|end|define|block|template|break|continue)\b)?`)

// scanAction reads an action up to its end.
func (s *scanner) scanAction() {
	from := s.at
	s.action, s.words, s.declares, s.seen = span{from, len(s.text)}, 0, true, map[string]bool{}
	s.mark = len(s.errs)
	s.at += len(keyword.FindString(s.text[from:]))
	if strings.HasPrefix(s.text[s.at:], "/*") {
		s.skipComment()
		return
	}
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch {
		case strings.HasPrefix(rest, "}}"):
			s.end(len("}}"))
			return
		case strings.HasPrefix(rest, "-}}") && isSpace(s.text[s.at-1]):
			s.end(len("-}}"))
			return
		case strings.HasPrefix(rest, "-}}"):
			s.take(1, "a space is needed before -}}")
			continue
		case rest[0] == '}' && !endsInLine(rest):
			s.unclosed(s.at, 1, "an action ends with }}")
			s.at++
			return
		case strings.HasPrefix(rest, "{{"):
			s.doesNotEnd()
			return
		}
		s.token(rest)
	}
	s.doesNotEnd()
}

func isSpace(c byte) bool { return isBlank(c) || isBreak(c) }

// end notes the action that ends here.
func (s *scanner) end(length int) {
	s.at += length
	s.action.to = s.at
	s.actions = append(s.actions, s.action)
	if len(s.seen) > 0 {
		s.foreign = append(s.foreign, s.action)
	}
}

// endsInLine reports whether an action ends in the same line.
func endsInLine(rest string) bool {
	line, _, _ := strings.Cut(rest, "\n")
	line, _, ends := strings.Cut(line, "}}")
	return ends && !strings.Contains(line, "{{")
}

// unclosed notes an action that does not end before the next one. Where it should
// end is not known, and so not which of what follows is a mistake.
func (s *scanner) unclosed(offset, length int, message string) {
	s.errs, s.seen = s.errs[:s.mark], map[string]bool{}
	s.fail(offset, length, "%s", message)
	s.open = s.open || keyword.FindStringSubmatch(s.text[s.action.from:])[1] != ""
	s.blank(span{s.action.from, s.at})
}

func (s *scanner) doesNotEnd() {
	line, _, _ := strings.Cut(s.text[s.action.from:s.at], "\n")
	s.unclosed(s.action.from, len(line), "the action that begins here does not end; write }} where it ends")
}

// skipComment skips a comment, which is an action of its own.
func (s *scanner) skipComment() {
	length := strings.Index(s.text[s.at:], "*/")
	if length < 0 {
		s.at = len(s.text)
		s.unclosed(s.action.from, 0, "the comment that begins here does not end; write */}} where it ends")
		return
	}
	s.at += length + len("*/")
	length = strings.Index(s.text[s.at:], "}}")
	if length < 0 {
		s.at = len(s.text)
		s.doesNotEnd()
		return
	}
	between := s.text[s.at : s.at+length]
	s.at += length + len("}}")
	if between != "" && between != " -" {
		s.unclosed(s.action.from, 0, "a comment is an action of its own: write {{/* COMMENT */}}, with nothing else between the braces")
	}
}

// fail records a mistake. An action may have the same mistake often; it is
// recorded once.
func (s *scanner) fail(offset, length int, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if s.seen[message] {
		return
	}
	s.seen[message] = true
	line, column := position(s.text, offset)
	s.errs.add(&Error{Line: line, Column: column, Expression: shorten(s.text[offset : offset+length]), Message: message})
}

// blank replaces a part of the text by spaces. Lines stay what they are.
func (s *scanner) blank(part span) {
	for i := part.from; i < part.to; i++ {
		if s.blanked[i] != '\n' {
			s.blanked[i] = ' '
		}
	}
}

// take reads a mistake: it is recorded and blanked.
func (s *scanner) take(length int, format string, args ...any) {
	s.fail(s.at, length, format, args...)
	s.blank(span{s.at, s.at + length})
	s.at += length
	s.declares = false
}

var (
	pathToken     = regexp.MustCompile(`^(?:[.$]?[\pL\pN_]+(?:\.[\pL\pN_]+)*|[.$])`)
	numberToken   = regexp.MustCompile(`^[+-]?\.?[0-9][\pL\pN_.]*`)
	charToken     = regexp.MustCompile(`^'(?:[^'\\\n]|\\[^\n][0-9a-fA-F]*)'`)
	singles       = regexp.MustCompile(`^'(?:[^'\\\n]|\\[^\n])*'`)
	doubles       = regexp.MustCompile(`^"(?:[^"\\\n]|\\[^\n])*"`)
	raws          = regexp.MustCompile("^`[^`]*`")
	lookups       = regexp.MustCompile(`^(?:\[[^\[\]{}\n]*\])+(?:\.[\pL\pN_]+(?:\[[^\[\]{}\n]*\])*)*`)
	dashed        = regexp.MustCompile(`^[-/][\pL\pN_][\pL\pN_./-]*`)
	manyDots      = regexp.MustCompile(`^\.\.+[\pL\pN_.]*`)
	curlyQuotes   = regexp.MustCompile(`^[` + curly + `][^` + curly + `{}\n]*[` + curly + `]?`)
	escapedQuotes = regexp.MustCompile(`^\\"[^"\\{}\n]*(?:\\")?`)
	inParens      = regexp.MustCompile(`^\([^(){}\n]*\)`)
	quotedField   = regexp.MustCompile(`^\.(?:"[^"\n]*"|'[^'\n]*')(?:\.[\pL\pN_]+)*`)
)

const curly = "“”„‘’«»"

var (
	justSign     = regexp.MustCompile(`^`)
	withField    = regexp.MustCompile(`^\?[\pL\pN_.]*`)
	brackets     = regexp.MustCompile(`^\[[^\[\]{}\n]*\]`)
	braces       = regexp.MustCompile(`^\{[^{}\n]*\}`)
	restOfAction = regexp.MustCompile(`^[^{}\n]*`)
)

// operators are those of other languages, with what to write instead. Of two that
// begin alike the longer one is first. All matches what belongs to the operator.
var operators = []struct {
	sign, instead string
	all           *regexp.Regexp
}{
	{"===", "there are no operators: write eq X Y instead of X === Y", justSign},
	{"!==", "there are no operators: write ne X Y instead of X !== Y", justSign},
	{"==", "there are no operators: write eq X Y instead of X == Y", justSign},
	{"!=", "there are no operators: write ne X Y instead of X != Y", justSign},
	{"=~", "there are no operators: write regexMatch PATTERN X instead of X =~ PATTERN", justSign},
	{"=>", "templates have no functions of their own: write {{ range LIST }} to iterate over a list", justSign},
	{"=", "= assigns to a variable only: write eq X Y instead of X = Y", justSign},
	{"&&", "there are no operators: write and X Y instead of X && Y", justSign},
	{"||", "there are no operators: write or X Y instead of X || Y", justSign},
	{"??", "there are no operators: write default Y X instead of X ?? Y", justSign},
	{"?.", "write dig \"FIELD\" \"\" X, or {{ with X }}{{ .FIELD }}{{ end }}, where X may be absent", withField},
	{"?:", "there are no operators: write default Y X instead of X ?: Y", justSign},
	{"?", "there are no operators: write ternary X Y CONDITION instead of CONDITION ? X : Y", justSign},
	{":", "there are no operators: write ternary X Y CONDITION instead of CONDITION ? X : Y", justSign},
	{"<=", "there are no operators: write le X Y instead of X <= Y", justSign},
	{">=", "there are no operators: write ge X Y instead of X >= Y", justSign},
	{"<", "there are no operators: write lt X Y instead of X < Y", justSign},
	{">", "there are no operators: write gt X Y instead of X > Y", justSign},
	{"!", "there are no operators: write not X instead of !X", justSign},
	{"->", "templates have no functions of their own: write {{ range LIST }} to iterate over a list", justSign},
	{"+", "there are no operators: write add X Y for numbers, and print X Y for strings", justSign},
	{"-", "there are no operators: write sub X Y instead of X - Y", justSign},
	{"*", "there are no operators: write mul X Y instead of X * Y", justSign},
	{"//", "a comment is an action of its own: write {{/* COMMENT */}}", restOfAction},
	{"/*", "a comment is an action of its own: write {{/* COMMENT */}}", restOfAction},
	{"/", "there are no operators: write div X Y instead of X / Y", justSign},
	{"%", "there are no operators: write mod X Y instead of X % Y", justSign},
	{"&", "there are no operators: write and X Y", justSign},
	{",", errCalled, justSign},
	{"[", "there are no lists in brackets: write list X Y, or index X KEY for a field or an item", brackets},
	{"]", "there are no lists in brackets: write list X Y, or index X KEY for a field or an item", justSign},
	{"{", "there are no maps in braces: write dict KEY VALUE", braces},
	{"}", "an action ends with }}", justSign},
	{"@", "there is no JSONPath: write {{ range LIST }} to iterate over a list, and .FIELD for a field of its item", justSign},
	{"#", "a comment is an action of its own: write {{/* COMMENT */}}", restOfAction},
	{";", "an action has one value: write another action", justSign},
	{"\\", `a backslash is for the inside of strings: write " without it`, justSign},
}

// token reads one token. Rest is the text that begins with it.
func (s *scanner) token(rest string) {
	number, path := numberToken.FindString(rest), pathToken.FindString(rest)
	switch c := rest[0]; {
	case isSpace(c), c == '(', c == ')', c == '|' && !strings.HasPrefix(rest, "||"):
		s.at++
	case c == '"', c == '`', c == '\'':
		s.quoted(rest)
	case strings.HasPrefix(rest, ":="):
		s.at += len(":=")
		s.declares = false
	case c == ',' && s.declares && s.words > 0:
		s.at++
	case c == '=' && s.declares && s.words > 0 && !strings.HasPrefix(rest, "==") && !strings.HasPrefix(rest, "=~"):
		s.at++
		s.declares = false
	case c == '[' && strings.HasSuffix(s.text[:s.at], ")") && lookups.MatchString(rest):
		s.take(len(lookups.FindString(rest)), "%s", lookUp("(…)", lookups.FindString(rest)))
	case number != "":
		s.word(number)
	case manyDots.MatchString(rest):
		s.take(len(manyDots.FindString(rest)), "a path has one dot before each name")
	case path != "":
		s.path(path)
	default:
		s.sign(rest)
	}
}

// word reads something that is right.
func (s *scanner) word(text string) {
	s.at += len(text)
	s.words++
	s.declares = s.declares && strings.HasPrefix(text, "$")
}

// sign reads an operator, or a character that has no meaning.
func (s *scanner) sign(rest string) {
	if text := curlyQuotes.FindString(rest); text != "" {
		s.take(len(text), `strings are written in straight double quotes: write %q`, shorten(strings.Trim(text, curly)))
		return
	}
	if text := escapedQuotes.FindString(rest); text != "" {
		s.take(len(text), "a backslash is for the inside of strings: write %q", shorten(strings.Trim(text, `\"`)))
		return
	}
	for _, operator := range operators {
		if strings.HasPrefix(rest, operator.sign) {
			s.take(max(len(operator.sign), len(operator.all.FindString(rest))), "%s", operator.instead)
			return
		}
	}
	r, width := utf8.DecodeRuneInString(rest)
	switch {
	case unicode.IsSpace(r):
		s.take(width, "this is the character %U; write an ordinary space", r)
	default:
		s.take(width, "the character has no meaning here; an action is a value, or a function and its arguments, separated by spaces")
	}
}

// quoted reads a string.
func (s *scanner) quoted(rest string) {
	for _, right := range []*regexp.Regexp{doubles, raws, charToken} {
		if text := right.FindString(rest); text != "" {
			s.word(text)
			return
		}
	}
	if text := singles.FindString(rest); text != "" {
		s.fail(s.at, len(text), "strings are written in double quotes: write %s", requoted(text))
		s.rewrite(text)
		s.word(text)
		return
	}
	line, _, _ := strings.Cut(rest, "\n")
	s.fail(s.at, len(line), "the string that begins here does not end in its line; write %s where it ends", rest[:1])
	end := strings.Index(rest, "}}")
	if end < 0 {
		end = len(rest)
	}
	s.blank(span{s.at, s.at + end})
	s.at += end
}

// requoted is text in single quotes as it should be.
func requoted(text string) string {
	inner := text[1 : len(text)-1]
	if strings.ContainsAny(inner, "\"\\") && !strings.Contains(inner, "`") {
		return "`" + shorten(inner) + "`"
	}
	return `"` + shorten(inner) + `"`
}

// rewrite puts a string into double quotes, or blanks it.
func (s *scanner) rewrite(text string) {
	if strings.ContainsAny(text, "\"\\") {
		s.blank(span{s.at, s.at + len(text)})
		return
	}
	s.blanked[s.at], s.blanked[s.at+len(text)-1] = '"', '"'
}

// path reads a path or a name, and what may not follow one.
func (s *scanner) path(path string) {
	from := s.at
	s.word(path)
	rest := s.text[s.at:]
	bad, wrong := "", 0
	switch {
	case strings.HasPrefix(rest, "("):
		s.called(path, from)
		return
	case strings.HasPrefix(rest, "["):
		if bad = lookups.FindString(rest); bad == "" {
			return // The bracket is an operator like any other.
		}
		s.fail(from, len(path)+len(bad), "%s", lookUp(capital.ReplaceAllString(path, ".source"), bad))
	case dashed.MatchString(rest) && strings.ContainsAny(path[:1], ".$") && !strings.HasPrefix(rest, "-}}"):
		bad = dashed.FindString(rest)
		wrong = len(path) - max(strings.LastIndexByte(path, '.'), 1)
		s.fail(from, len(path)+len(bad), "names with - or / are looked up with index: write %s", dashedName(path, bad))
	case quotedField.MatchString(rest):
		bad = quotedField.FindString(rest)
		s.fail(from, len(path)+len(bad), "names in quotes are looked up with index: write %s", quotedName(path, bad))
	default:
		return
	}
	s.declares = false
	s.blank(span{s.at - wrong, s.at + len(bad)})
	s.at += len(bad)
}

// called reads what other languages call a function or a method with. From is where
// the path begins.
func (s *scanner) called(path string, from int) {
	arguments := inParens.FindString(s.text[s.at:])
	cut := strings.LastIndexByte(path, '.')
	switch {
	case cut > 0:
		written := strings.Trim(strings.ReplaceAll(arguments, ",", ""), "()")
		s.fail(from, len(path)+len(arguments), "values have no methods: %s", insteadOfMethod(capital.ReplaceAllString(path[:cut], ".source"), path[cut+1:], written))
		s.blank(span{from + cut, s.at + max(len(arguments), 1)})
		s.at += max(len(arguments), 1)
		return
	case path == "has":
		s.fail(from, len(path)+len(arguments), "whether a field is there is asked with {{ if .source.spec.FIELD }}, or hasKey MAP KEY")
	default:
		s.fail(from, len(path)+len(arguments), "%s", errCalled)
	}
	// The parentheses are blanked, and what is between them is read on.
	s.blank(span{s.at, s.at + 1})
	if arguments != "" {
		s.blank(span{s.at + len(arguments) - 1, s.at + len(arguments)})
	}
	s.at++
}

const errCalled = "arguments follow their function, separated by spaces: write f X Y instead of f(X, Y)"

var (
	capital  = regexp.MustCompile(`^\.Source\b`)
	bracket  = regexp.MustCompile(`\[([^\[\]]*)\]|\.([\pL\pN_]+)`)
	indexKey = regexp.MustCompile(`^(?:[0-9]+|"[^"]*"|'[^']*'|\$[\pL\pN_]+)$`)
)

// lookUp is what to write instead of a path with brackets behind it.
func lookUp(path, brackets string) string {
	expression, fields := path, ""
	wrap := func() {
		if fields != "" {
			expression, fields = "("+expression+")"+fields, ""
		}
	}
	indexed := false
	for _, step := range bracket.FindAllStringSubmatch(brackets, -1) {
		key, field := strings.TrimSpace(step[1]), step[2]
		switch {
		case field != "":
			fields += "." + field
		case !indexKey.MatchString(key):
			return fmt.Sprintf("there is no JSONPath: iterate over the items, as in {{ range %s }}{{ if eq .type \"Ready\" }}{{ .status }}{{ end }}{{ end }}", shorten(expression+fields))
		default:
			key = strings.ReplaceAll(key, "'", `"`)
			if indexed && fields == "" {
				expression += " " + key
				continue
			}
			wrap()
			expression, indexed = "index "+expression+" "+key, true
		}
	}
	wrap()
	return "fields and items are looked up with index: write " + shorten(expression)
}

// dashedName is what to write instead of a path that goes on with a dash.
func dashedName(path, bad string) string {
	cut := strings.LastIndexByte(path, '.')
	if cut < 0 {
		return "index MAP \"NAME\""
	}
	name, base := path[cut+1:]+bad, path[:cut]
	if base == "" {
		base = "."
	}
	return fmt.Sprintf("index %s %q", shorten(base), shorten(strings.TrimRight(name, "./-")))
}

// quotedName is what to write instead of a path that goes on with a string.
func quotedName(path, bad string) string {
	end := strings.LastIndexAny(bad, `"'`)
	expression := fmt.Sprintf("index %s %q", shorten(path), shorten(bad[2:end]))
	if end+1 < len(bad) {
		return "(" + expression + ")" + shorten(bad[end+1:])
	}
	return expression
}

// actionAt returns the action that holds an offset.
func (s *scanner) actionAt(offset int) (span, bool) {
	for _, action := range s.actions {
		if action.holds(offset) {
			return action, true
		}
	}
	return span{}, false
}

func (s *scanner) isForeign(action span) bool {
	for _, foreign := range s.foreign {
		if foreign == action {
			return true
		}
	}
	return false
}

var declared = regexp.MustCompile(`^[ \t\r\n]*\$[\pL\pN_]+(?:[ \t\r\n]*,[ \t\r\n]*\$[\pL\pN_]+)?[ \t\r\n]*:?=`)

// mask replaces what an action is about by a number. It reports whether that can
// be done: a block whose name is wrong cannot be kept.
func (s *scanner) mask(action span) bool {
	text := string(s.blanked[action.from:action.to])
	head := keyword.FindStringSubmatch(text)
	tail := len("}}")
	if strings.HasSuffix(text, " -}}") {
		tail = len(" -}}")
	}
	kept, value := head[0], " 0"
	declares := declared.FindString(text[len(kept):])
	switch {
	case head[1] == "define" || head[1] == "block":
		return false
	case head[1] == "end" || head[1] == "else":
		value = ""
	case head[1] == "if", head[1] == "with", head[1] == "range", strings.HasPrefix(head[1], "else "):
		if declares == "" && len(kept)+len(value) > len(text)-tail {
			kept = "{{" + head[1] // without the space before it
		}
		kept += declares
	case declares == "" || strings.Contains(declares, ","):
		s.blank(action) // It is text then.
		return true
	default:
		kept += declares
	}
	if len(kept)+len(value) > len(text)-tail || strings.Contains(kept, "\n") {
		return false
	}
	s.blank(span{action.from, action.to - tail})
	copy(s.blanked[action.from:], kept+value)
	return string(s.blanked[action.from:action.to]) != text
}
