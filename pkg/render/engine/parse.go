package engine

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template/parse"
	"unicode"
	"unicode/utf8"
)

// mainName is the name under which the parser knows the text outside of all
// definitions.
const mainName = "template"

// parseText parses a template into the trees of its definitions.
func parseText(text string) (map[string]*parse.Tree, *Error) {
	if len(text) > maxText {
		return nil, &Error{Line: 1, Column: 1, LimitExceeded: true, Message: fmt.Sprintf("the template is %d bytes long; at most %d are allowed", len(text), maxText)}
	}
	if n := strings.Count(text, "{{"); n > maxActions {
		return nil, &Error{Line: 1, Column: 1, LimitExceeded: true, Message: fmt.Sprintf("the template has %d actions; at most %d are allowed", n, maxActions)}
	}
	trees, err := parseTrees(text)
	if err != nil {
		found, _ := parseError(text, text, err)
		return nil, found
	}
	return trees, nil
}

func parseTrees(text string) (map[string]*parse.Tree, error) {
	trees := map[string]*parse.Tree{}
	tree := parse.New(mainName)
	// The compiler checks the names of functions, since it has more to say.
	tree.Mode = parse.SkipFuncCheck
	_, err := tree.Parse(text, "", "", trees)
	return trees, err
}

var (
	parserPrefix = regexp.MustCompile(`^template: template:(\d+): (?s:(.*))$`)
	parserSuffix = regexp.MustCompile(` in action started at template:\d+$| started at template:\d+$`)
	blockAction  = regexp.MustCompile(`\{\{(?:-[ \t\r\n])?[ \t\r\n]*(if|range|with|define|block|end|/\*)\b?`)
	quotedToken  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// parseError makes an error of the parser a message with a place, and returns the
// offset of that too. Parsed is the text with mistakes blanked that are known.
//
// The parser tells the line only. The column comes from an observation: the parser
// stops at its culprit, so the shortest beginning of the text that still gives the
// same message ends with the culprit. Errors that speak of an unexpected end have
// their culprit where the unfinished thing begins.
func parseError(text, parsed string, err error) (found *Error, offset int) {
	message := parserMessage(err)
	var end int
	switch {
	case endsEarly(message):
		return unfinished(text, parsed)
	case strings.HasPrefix(message, "unclosed action"), strings.HasPrefix(message, "unterminated"), strings.HasPrefix(message, "unclosed comment"), strings.HasPrefix(message, "comment ends before"):
		offset = lastOpening(parsed, err)
		line, _, _ := strings.Cut(text[offset:], "\n")
		end = offset + len(line)
	default:
		end = shortest(parsed, message, err)
		offset = culprit(parsed[:end], message)
	}
	line, column := position(text, offset)
	return &Error{Line: line, Column: column, Expression: shorten(text[offset:min(end, len(text))]), Message: plainly(message)}, offset
}

// endsEarly reports whether the parser has missed the end of a block.
func endsEarly(message string) bool { return strings.HasPrefix(message, "unexpected EOF") }

// shortest is the length of the shortest beginning of the text that gives the
// message.
func shortest(text, message string, err error) int {
	fails := func(length int) bool {
		_, err := parseTrees(text[:length])
		return err != nil && parserMessage(err) == message
	}
	// The same mistake may be made by cutting off an action before it, so that
	// the search begins in the line that the parser names. It ends there, too,
	// unless the parser looked further.
	short := lineOffset(text, parserLine(err))
	long := lineOffset(text, parserLine(err)+1)
	if !fails(long) {
		long = len(text)
	}
	for short < long {
		middle := (short + long) / 2
		if fails(middle) {
			long = middle
		} else {
			short = middle + 1
		}
	}
	return long
}

// culprit returns the offset of the token that text ends with.
func culprit(text, message string) int {
	if offset := strings.LastIndex(text, "{{"); offset >= 0 && strings.ContainsAny(message, "{<") {
		return offset
	}
	if begin := strings.LastIndexByte(strings.TrimSuffix(text, `"`), '"'); begin >= 0 && strings.HasPrefix(message, "invalid syntax") {
		return begin
	}
	for _, quoted := range quotedToken.FindAllString(message, -1) {
		token := strings.Trim(quoted, `"`)
		if token != "" && strings.HasSuffix(text, token) {
			return len(text) - len(token)
		}
	}
	last, width := utf8.DecodeLastRuneInString(text)
	if offset := strings.LastIndex(text, "{{"); offset >= 0 && (last == '}' || unicode.IsSpace(last)) {
		return offset // Something is missing, in all of the action.
	}
	return len(text) - width
}

func parserMessage(err error) string {
	message := err.Error()
	if m := parserPrefix.FindStringSubmatch(message); m != nil {
		message = m[2]
	}
	return strings.TrimPrefix(parserSuffix.ReplaceAllString(message, ""), "template: ")
}

// unfinished finds the block that has no {{end}}.
func unfinished(text, parsed string) (e *Error, offset int) {
	var open [][]int
	for _, m := range blockAction.FindAllStringSubmatchIndex(parsed, -1) {
		switch word := parsed[m[2]:m[3]]; {
		case word == "end" && len(open) > 0:
			open = open[:len(open)-1]
		case word != "end" && word != "/*":
			open = append(open, m)
		}
	}
	e = &Error{Message: "the template ends before a block that it begins: an {{end}} is missing"}
	offset = len(text)
	if len(open) > 0 {
		m := open[len(open)-1]
		offset = m[0]
		e.Message = fmt.Sprintf("this {{%s}} has no {{end}}", parsed[m[2]:m[3]])
		e.Expression = shorten(firstAction(text[offset:]))
	}
	e.Line, e.Column = position(text, offset)
	return e, offset
}

func firstAction(text string) string {
	if end := strings.Index(text, "}}"); end >= 0 {
		return text[:end+2]
	}
	return text
}

// parserLine is the line that an error of the parser names, or 0.
func parserLine(err error) int {
	if m := parserPrefix.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1])
		return line
	}
	return 0
}

// lineOffset is where a line begins, or the end of the text if there is none.
func lineOffset(text string, line int) int {
	offset := 0
	for ; line > 1; line-- {
		next := strings.IndexByte(text[offset:], '\n')
		if next < 0 {
			return len(text)
		}
		offset += next + 1
	}
	return offset
}

// lastOpening finds where the action begins that the parser could not end.
func lastOpening(text string, err error) int {
	end := len(text)
	if line := parserLine(err); line > 0 {
		end = lineOffset(text, line+1)
	}
	if offset := strings.LastIndex(text[:end], "{{"); offset >= 0 {
		return offset
	}
	return max(strings.LastIndex(text, "{{"), 0)
}
