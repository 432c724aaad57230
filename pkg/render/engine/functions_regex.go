package engine

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

var regexFunctions = aliases([]*function{
	regex("regexMatch PATTERN TEXT", "Returns true if PATTERN matches anywhere in TEXT.", nil, func(_ *run, p *pattern, s string, _ []any) (any, *Error) {
		return p.MatchString(s), nil
	}),
	regex("regexFind PATTERN TEXT", "Returns the first match.", nil, func(r *run, p *pattern, s string, _ []any) (any, *Error) {
		return r.result(p.FindString(s))
	}),
	regex("regexFindAll PATTERN TEXT COUNT", "Returns the first COUNT matches as a list, or all of them if COUNT is negative.", []kind{intKind}, func(r *run, p *pattern, s string, rest []any) (any, *Error) {
		if err := p.allMatches(r, s, nil); err != nil {
			return nil, err
		}
		return r.texts(0, func() []string { return p.FindAllString(s, arg[int](rest, 0)) })
	}),
	regex("regexReplaceAll PATTERN TEXT NEW", "Replaces all matches by NEW, in which `${1}` is the first capture group.", []kind{textKind}, func(r *run, p *pattern, s string, rest []any) (any, *Error) {
		replacement := arg[string](rest, 0)
		if strings.Contains(replacement, "$") {
			p = p.withGroups()
		}
		if err := p.search(r, len(s)); err != nil {
			return nil, err
		}
		// A replacement can name a group as often as it is long.
		grow := func(match int) *Error {
			if err := r.take(len(replacement)); err != nil {
				return err
			}
			return r.takeTimes(match, 1+len(replacement)/2)
		}
		if err := p.allMatches(r, s, grow); err != nil {
			return nil, err
		}
		return r.result(p.ReplaceAllString(s, replacement))
	}),
	regex("regexReplaceAllLiteral PATTERN TEXT NEW", "Replaces all matches by NEW, taken literally.", []kind{textKind}, func(r *run, p *pattern, s string, rest []any) (any, *Error) {
		replacement := arg[string](rest, 0)
		if err := p.allMatches(r, s, func(int) *Error { return r.take(len(replacement)) }); err != nil {
			return nil, err
		}
		return r.result(p.ReplaceAllLiteralString(s, replacement))
	}),
	regex("regexSplit PATTERN TEXT COUNT", "Splits TEXT at the matches into at most COUNT parts, or without a limit if COUNT is negative.", []kind{intKind}, func(r *run, p *pattern, s string, rest []any) (any, *Error) {
		if err := p.allMatches(r, s, nil); err != nil {
			return nil, err
		}
		return r.texts(1, func() []string { return p.Split(s, arg[int](rest, 0)) })
	}),
	define("regexQuoteMeta TEXT", "Escapes the special characters of patterns.", on1(regexp.QuoteMeta)),
}, map[string]string{
	"mustRegexMatch": "regexMatch", "mustRegexFind": "regexFind", "mustRegexFindAll": "regexFindAll", "mustRegexReplaceAll": "regexReplaceAll",
	"mustRegexReplaceAllLiteral": "regexReplaceAllLiteral", "mustRegexSplit": "regexSplit",
})

// pattern is a compiled regular expression.
type pattern struct {
	*regexp.Regexp
	// size is about how many instructions it was compiled to: what one byte
	// of text may cost.
	size int
	// reach is the length of the longest match, or negative if there is none.
	reach int
}

const (
	maxPattern = 1000
	// maxProgram bounds a pattern with its repetitions written out.
	maxProgram = 5000
)

// compilePattern compiles a pattern that is not too large to be compiled, and
// takes from the budget what that is worth. The message of the library is
// dropped: it quotes the pattern, and a pattern can be built from values.
func compilePattern(b *budget, text string) (*pattern, *Error) {
	if len(text) > maxPattern {
		return nil, limit("the pattern is %d bytes long; at most %d are allowed", len(text), maxPattern)
	}
	if err := b.spend(10 + len(text) + classSteps(text)); err != nil {
		return nil, err
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		reason := "it cannot be read"
		if e := (*syntax.Error)(nil); errors.As(err, &e) {
			reason = e.Code.String()
		}
		return nil, problem("the pattern is no regular expression: %s", reason)
	}
	size, reach := programSize(parsed)
	if size > maxProgram {
		return nil, limit("the pattern with its repetitions is too large")
	}
	if err := b.spend(size); err != nil {
		return nil, err
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, problem("the pattern is no regular expression")
	}
	return &pattern{compiled, size, reach}, nil
}

// foldsCase finds where a pattern begins to ignore the case of letters.
var foldsCase = regexp.MustCompile(`\(\?[a-zA-Z]*i`)

// classSteps are the steps that the character classes of a pattern are worth.
// Few letters stand for tables of hundreds of ranges, which are merged, and a
// range that ignores case is walked through from its first character to its
// last. None of that shows in the size of what comes of it.
func classSteps(text string) int {
	const (
		tableSteps = 2000
		namedSteps = 50
		lastFold   = 0x1e943
	)
	steps := tableSteps*(strings.Count(text, `\p`)+strings.Count(text, `\P`)) + namedSteps*strings.Count(text, "[:")
	if !foldsCase.MatchString(text) {
		return steps
	}
	for i := strings.IndexByte(text, '-'); i >= 0 && i+1 < len(text); {
		text = text[i+1:]
		last, _ := utf8.DecodeRuneInString(text)
		if strings.HasPrefix(text, `\x{`) {
			last = lastFold
		}
		steps += int(min(last, lastFold))
		i = strings.IndexByte(text, '-')
	}
	return steps
}

// withGroups is the pattern for a search that has to know where each group has
// matched, which is copied for each of the ways in which the pattern may go on.
func (p *pattern) withGroups() *pattern {
	groups := *p
	groups.size = min(p.size*(1+p.NumSubexp()/8), 1<<20)
	return &groups
}

// programSize estimates how many instructions a pattern compiles to, and how
// long in bytes its longest match is.
func programSize(re *syntax.Regexp) (size, reach int) {
	const unbounded = -1
	size = 2 + len(re.Rune)
	switch re.Op {
	case syntax.OpLiteral:
		reach = 4 * len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		reach = 4
	}
	for _, sub := range re.Sub {
		subSize, subReach := programSize(sub)
		size = min(size+subSize, 1<<20)
		switch {
		case subReach < 0 || reach < 0:
			reach = unbounded
		case re.Op == syntax.OpAlternate:
			reach = max(reach, subReach)
		default:
			reach = min(reach+subReach, 1<<20)
		}
	}
	switch re.Op {
	case syntax.OpStar, syntax.OpPlus:
		reach = unbounded
	case syntax.OpRepeat:
		times := max(re.Min, re.Max, 1)
		size = min(size*times, 1<<20)
		if re.Max < 0 {
			reach = unbounded
		} else if reach > 0 {
			reach = min(reach*times, 1<<20)
		}
	}
	return size, reach
}

// search takes what looking for one match in n bytes is worth.
func (p *pattern) search(r *run, n int) *Error {
	return r.spend(1 + n*p.size/128)
}

// tooMuch ends the walk through the matches.
type tooMuch struct{ err *Error }

// allMatches takes what finding all matches is worth. A pattern can look ahead
// to the end of the text, match little, and do so again at the next byte, so
// that a linear search becomes a quadratic one. Matches are therefore counted
// one by one before a function works with all of them.
func (p *pattern) allMatches(r *run, s string, each func(length int) *Error) (err *Error) {
	defer func() {
		if stop, ok := recover().(tooMuch); ok {
			err = stop.err
		}
	}()
	p.ReplaceAllStringFunc(s, func(match string) string {
		ahead := len(s)
		if p.reach >= 0 {
			ahead = min(p.reach, len(s))
		}
		err := p.search(r, ahead)
		if err == nil {
			err = r.takeItems(1)
		}
		if err == nil && each != nil {
			err = each(len(match))
		}
		if err != nil {
			panic(tooMuch{err})
		}
		return ""
	})
	return nil
}

// regex declares a function whose first argument is a pattern. A literal
// pattern is checked and compiled with the template.
func regex(usage, summary string, more []kind, f func(*run, *pattern, string, []any) (any, *Error)) *function {
	return define(usage, summary, &function{
		params: append([]kind{textKind, textKind}, more...),
		prepare: func(b *budget, literal any) (any, *Error) {
			text, _ := literal.(string)
			p, err := compilePattern(b, text)
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		call: func(r *run, e *call, args []any) (any, *Error) {
			p, ok := e.prepared.(*pattern)
			if !ok {
				// A pattern that is built while the template is executed.
				var err *Error
				if p, err = compilePattern(&r.budget, arg[string](args, 0)); err != nil {
					return nil, err
				}
			}
			s := arg[string](args, 1)
			if err := p.search(r, len(s)); err != nil {
				return nil, err
			}
			return f(r, p, s, args[2:])
		},
	})
}
