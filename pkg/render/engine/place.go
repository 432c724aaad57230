package engine

// place is where in YAML the output stands. It is all that has to be known of
// the text before, so that a template is never read from its beginning again.
// It follows the scanner of libyaml, which most YAML of Kubernetes is read by,
// as far as that matters for what a value may look like. It has no opinion on
// whether the YAML is valid.
type place struct {
	mode mode
	// origin is the mode before a property.
	origin mode
	// prev is the class of the byte before: a blank, a colon, or 0 for others.
	// In mode indicator it is the indicator.
	prev byte
	// pending is the number of hex digits that an escape still needs, the
	// number of dashes in an indicator, or the indentation in a block header.
	pending int8
	// continues says that a line begins that may continue a plain scalar.
	continues bool
	// held says that start has been set by a property.
	held bool
	// word is what a plain scalar consists of so far, as long as it can become
	// a word that stands for null, or longWord. Valued says that a value is
	// part of it, and lost that such a scalar has become null.
	word   uint32
	valued bool
	lost   bool
	// flow is the number of open brackets and braces.
	flow int32
	// col is the column, as long as the line can still begin a key.
	col int32
	// start is the column in which the node has begun that may be a key.
	start int32
	// parent is the column of the innermost key or dash, or -1.
	parent int32
	// indent is the indentation of a block scalar, or -1 as long as no line
	// of it has decided that.
	indent int32
}

type mode uint8

const (
	// leading is the beginning of a line, also after dashes.
	leading mode = iota
	// indicator is after a dash, question mark or colon that begins a node.
	indicator
	// valueStart is between a key and its value.
	valueStart
	// flowStart is where an item in brackets or braces begins.
	flowStart
	plain
	doubleQuoted
	doubleQuotedEscape
	singleQuoted
	// singleQuotedQuote is after a quote that ends the scalar or begins ''.
	singleQuotedQuote
	// afterNode is after a closing quote, bracket or brace, and afterColon
	// after a colon that follows one.
	afterNode
	afterColon
	// property is inside of an anchor, an alias or a tag.
	property
	comment
	directive
	// blockHeader is behind | or >, blockComment a comment there.
	blockHeader
	blockComment
	// blockLead is the indentation of a line of a block scalar, blockText its
	// text.
	blockLead
	blockText
)

// begin is the place with a node beginning in it.
func (p place) begin(from mode) place {
	if p.flow == 0 && !p.held {
		if p.start = p.parent; from == leading {
			p.start = p.col
		}
	}
	p.continues, p.held = false, false
	p.word, p.valued = 0, false
	return p
}

// longWord is the word of a plain scalar that cannot be null.
const longWord = ' '

// grow is the place after one more byte of a plain scalar.
func (p place) grow(c byte) place {
	switch {
	case p.word == longWord || p.prev == ' ':
		p.word = longWord
		return p
	case p.word>>24 != 0:
		p.word = longWord
		return p
	}
	p.word = p.word<<8 | uint32(c)
	switch p.word {
	case '~', 'n', 'N', 'n'<<8 | 'u', 'N'<<8 | 'u', 'N'<<8 | 'U', 'n'<<16 | 'u'<<8 | 'l', 'N'<<16 | 'u'<<8 | 'l', 'N'<<16 | 'U'<<8 | 'L',
		nullLower, nullTitle, nullUpper:
	default:
		p.word = longWord
	}
	return p
}

const (
	nullLower = 'n'<<24 | 'u'<<16 | 'l'<<8 | 'l'
	nullTitle = 'N'<<24 | 'u'<<16 | 'l'<<8 | 'l'
	nullUpper = 'N'<<24 | 'U'<<16 | 'L'<<8 | 'L'
)

// with is the place after a value that is part of a plain scalar.
func (p place) with(value string) place {
	for i := 0; i < len(value) && p.word != longWord; i++ {
		p = p.grow(value[i])
	}
	p.valued = true
	return p
}

// ends is the place with the plain scalar ended. A value may not make it null,
// since a field that is null is not there.
func (p place) ends() place {
	if p.valued {
		switch p.word {
		case '~', nullLower, nullTitle, nullUpper:
			p.lost = true
		}
	}
	p.word, p.valued = 0, false
	return p
}

// newLine is the place after a line break outside of scalars.
func (p place) newLine() place {
	p.prev, p.held = 0, false
	if p.flow > 0 {
		p.mode = flowStart
		return p
	}
	p.mode, p.col = leading, 0
	return p
}

// key is the place after a key and its colon.
func (p place) key() place {
	p.prev, p.held, p.continues = 0, false, false
	p.word, p.valued = 0, false
	if p.flow > 0 {
		p.mode = flowStart
		return p
	}
	p.mode, p.parent = valueStart, p.start
	return p
}

// after is the place after text has been written here.
func (p place) after(text string) place {
	for i := 0; i < len(text); {
		next, taken := p.step(text[i])
		p = next
		if taken {
			i++
		}
	}
	return p
}

// step looks at one byte. If it is not taken, it is looked at again in the new
// mode. Every mode that does not take a byte leads to one that does.
func (p place) step(c byte) (next place, taken bool) {
	switch p.mode {
	case leading:
		switch {
		case isBreak(c):
			return p.newLine(), true
		case isBlank(c):
			p.col++
			return p, true
		case c == '#':
			p.mode, p.continues = comment, false
			return p, true
		case p.continues && p.col > p.parent:
			p.mode, p.prev, p.continues, p.word = plain, 0, false, longWord
			return p, false
		case c == '-' || c == '?' || c == ':':
			p = p.begin(leading)
			p.mode, p.prev, p.pending = indicator, c, 1
			p.col++
			return p, true
		case c == '%' && p.col == 0:
			p.mode = directive
			return p, true
		}
		return p.node(c)

	case indicator:
		switch {
		case isBlank(c) || isBreak(c):
			switch {
			case p.pending == 1:
				p.mode, p.parent, p.prev, p.pending = leading, p.start, 0, 0
			case p.pending == 3 && p.start == 0:
				p.mode, p.parent, p.prev, p.pending = valueStart, -1, 0, 0
			default:
				p.mode, p.prev, p.pending, p.word = plain, 0, 0, longWord
			}
			return p, false
		case c == '-' && p.prev == '-' && p.pending < 4:
			p.pending++
			return p, true
		}
		p.mode, p.prev, p.pending, p.word = plain, 0, 0, longWord
		return p, false

	case valueStart:
		switch {
		case isBreak(c):
			return p.newLine(), true
		case isBlank(c):
			return p, true
		case c == '#':
			p.mode = comment
			return p, true
		}
		return p.node(c)

	case flowStart:
		switch {
		case isBreak(c), isBlank(c), c == ',', c == ':':
			return p, true
		case c == '#':
			p.mode = comment
			return p, true
		case c == ']' || c == '}':
			return p.close(), true
		}
		return p.node(c)

	case plain:
		return p.plain(c)

	case doubleQuoted:
		switch {
		case p.pending > 0:
			p.pending--
		case c == '\\':
			p.mode = doubleQuotedEscape
		case c == '"':
			p.mode, p.prev = afterNode, 0
		}
		return p, true

	case doubleQuotedEscape:
		p.mode = doubleQuoted
		switch c {
		case 'x':
			p.pending = 2
		case 'u':
			p.pending = 4
		case 'U':
			p.pending = 8
		}
		return p, true

	case singleQuoted:
		if c == '\'' {
			p.mode = singleQuotedQuote
		}
		return p, true

	case singleQuotedQuote:
		if c == '\'' {
			p.mode = singleQuoted
			return p, true
		}
		p.mode, p.prev = afterNode, 0
		return p, false

	case afterNode:
		switch {
		case isBreak(c) && p.flow == 0:
			return p.newLine(), true
		case isBlank(c), isBreak(c):
			p.prev = ' '
		case c == '#' && p.prev == ' ':
			p.mode = comment
		case c == ':':
			p.mode = afterColon
		case p.flow > 0 && c == ',':
			p.mode = flowStart
		case p.flow > 0 && (c == ']' || c == '}'):
			return p.close(), true
		default:
			p.mode, p.prev, p.word = plain, 0, longWord
		}
		return p, true

	case afterColon:
		if p.flow > 0 || isBlank(c) || isBreak(c) {
			return p.key(), false
		}
		p.mode, p.prev, p.word = plain, 0, longWord
		return p, false

	case property:
		switch {
		case isBreak(c):
			return p.newLine(), true
		case isBlank(c):
			p.mode = p.origin
			p.held = p.origin == leading
			return p, true
		case p.flow > 0 && isFlowIndicator(c):
			p.mode, p.prev = afterNode, 0
			return p, false
		}
		return p, true

	case comment, directive:
		if isBreak(c) {
			return p.newLine(), true
		}
		return p, true

	case blockHeader:
		switch {
		case isBreak(c):
			return p.block(), true
		case c == '#':
			p.mode = blockComment
		case '1' <= c && c <= '9':
			p.pending = int8(c - '0')
		}
		return p, true

	case blockComment:
		if isBreak(c) {
			return p.block(), true
		}
		return p, true

	case blockLead:
		switch {
		case isBreak(c):
			p.col = 0
			return p, true
		case c == ' ':
			p.col++
			return p, true
		case p.indent < 0 && p.col > p.parent:
			p.mode, p.indent = blockText, p.col
			return p, true
		case p.indent >= 0 && p.col >= p.indent:
			p.mode = blockText
			return p, true
		}
		p.mode = leading
		return p, false

	default: // blockText
		if isBreak(c) {
			p.mode, p.col = blockLead, 0
		}
		return p, true
	}
}

// node is the first byte of a node.
func (p place) node(c byte) (next place, taken bool) {
	from := p.mode
	held := p.held
	p = p.begin(from)
	switch c {
	case '"':
		p.mode, p.pending = doubleQuoted, 0
		return p, true
	case '\'':
		p.mode = singleQuoted
		return p, true
	case '[', '{':
		p.mode = flowStart
		p.flow++
		return p, true
	case '&', '*', '!':
		p.mode, p.origin, p.held = property, from, held
		return p, true
	case '|', '>':
		if p.flow == 0 {
			p.mode, p.pending = blockHeader, 0
			return p, true
		}
	}
	p.mode, p.prev = plain, 0
	return p, false
}

// plain is one more byte of a plain scalar.
func (p place) plain(c byte) (next place, taken bool) {
	switch {
	case isBreak(c) || isBlank(c):
		if p.prev == ':' {
			return p.key(), false
		}
		if isBreak(c) && p.flow == 0 {
			p = p.ends().newLine()
			p.continues = true
			return p, true
		}
		p.prev = ' '
	case c == '#' && p.prev == ' ':
		p = p.ends()
		p.mode = comment
	case c == ':':
		p = p.grow(c)
		p.prev = ':'
	case p.flow > 0 && isFlowIndicator(c):
		p = p.ends()
		switch c {
		case ',':
			p.mode = flowStart
		case ']', '}':
			return p.close(), true
		default:
			p.mode = flowStart
			p.flow++
		}
	default:
		p = p.grow(c)
		p.prev = 0
	}
	return p, true
}

// close is the place after a closing bracket or brace.
func (p place) close() place {
	p.flow--
	p.mode, p.prev = afterNode, 0
	return p
}

// block is the place after the header of a block scalar.
func (p place) block() place {
	p.indent = -1
	if p.pending > 0 {
		p.indent = max(p.parent, 0) + int32(p.pending)
	}
	p.mode, p.col, p.pending = blockLead, 0, 0
	return p
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isBreak(c byte) bool { return c == '\n' || c == '\r' }

func isFlowIndicator(c byte) bool {
	return c == ',' || c == '[' || c == ']' || c == '{' || c == '}'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlphanumeric(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
