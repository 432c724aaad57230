package engine

import (
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// The idea of html/template, for YAML: text of the template is markup, what
// comes out of an action is data. The output knows where in the YAML written
// so far it stands (place), and writes each value so that it can be nothing
// but a part of the scalar that the template puts there. A value that cannot
// stand where it is put is an error.
//
// What follows a value can change what it is: {{ .a }} is a whole scalar before
// the end of a line, part of one before more text, and a key before a colon.
// The output does not look ahead for that. It writes what is right for a whole
// scalar, and remembers what must not follow (owed).

// output is what an execution has written.
type output struct {
	buf  []byte
	yaml bool
	place
	owed owed
	// at is the action that owes, or that wrote into the scalar under way, and
	// began where the markup begins that it wrote.
	at    *site
	began int
	// hollow is where an empty map or list has been written.
	hollow place
}

// owed is what must not follow the value written last.
type owed uint8

const (
	nothing owed = iota
	// anEnd: the value was written as a whole node, quoted or as markup. The
	// line must end, or in flow style the item.
	anEnd
	// anEndOrColon: the value is a quoted scalar that the template asked for,
	// and so may be a key.
	anEndOrColon
	// anEndOrMore: the value is an empty map or list on a line of its own. More
	// of it may follow on the next lines.
	anEndOrMore
	// aValue: an empty value was written where a node begins. A colon must not
	// follow, for there would be an empty key. In flow style, the end of the
	// item must not follow either, for the item would not be there.
	aValue
	// noBlank: the value ended with a colon. A blank must not follow, for that
	// would make a key of what stands before it.
	noBlank
)

// maxKey is how long a key may be for readers of YAML.
const maxKey = 1024

const errLost = "the value and the text next to it form a word that YAML reads as null; put quotes around the whole"

func newOutput(kind Output) output {
	return output{yaml: kind == YAML, place: place{mode: leading, parent: -1}}
}

// room checks that n more bytes may be written.
func (o *output) room(n int) *Error {
	most := maxOutput
	if o.yaml {
		most = maxYAML
	}
	if n < 0 || len(o.buf)+n > most {
		return limit("the template writes more than %d MiB", most>>20)
	}
	return nil
}

// append writes, within the limit.
func (o *output) append(s string) *Error {
	if err := o.room(len(s)); err != nil {
		return err
	}
	o.buf = append(o.buf, s...)
	return nil
}

// chunk is text of the template. Where it leads from one place is always the
// same, and it is nearly always written at the same place. So the last answer
// is kept, and the text is hardly ever looked at twice.
type chunk struct {
	text string
	last atomic.Pointer[transition]
}

type transition struct{ from, to place }

func newChunk(text string) *chunk { return &chunk{text: text} }

func (c *chunk) from(p place) place {
	if t := c.last.Load(); t != nil && t.from == p {
		return t.to
	}
	to := p.after(c.text)
	c.last.Store(&transition{p, to})
	return to
}

// writeText writes text of the template.
func (o *output) writeText(c *chunk, at *site) *Error {
	if o.yaml {
		if o.owed != nothing {
			if err := o.settle(c.text); err != nil {
				return err
			}
		}
		o.place = c.from(o.place)
		if o.lost {
			return o.at.errorf("%s", errLost)
		}
	}
	if err := o.append(c.text); err != nil {
		return at.fill(err)
	}
	return nil
}

// settle checks that text may follow the value written last.
func (o *output) settle(text string) *Error {
	if o.owed == noBlank {
		return o.settleColon(text)
	}
	rest := strings.TrimLeft(text, " \t")
	if o.flow > 0 {
		rest = strings.TrimLeft(text, " \t\r\n")
	}
	if rest == "" {
		return nil
	}
	owed := o.owed
	o.owed = nothing
	switch {
	case owed == anEndOrColon && rest[0] == ':':
		return o.settleKey()
	case owed == anEndOrMore && o.fills(text):
		// {} and further keys are no map, and nothing and further keys are.
		o.buf, o.place = o.buf[:o.began], o.hollow
		return nil
	case owed == aValue:
		return o.settleEmpty(rest, len(rest) < len(text))
	}
	return o.settleNode(rest[0], len(rest) < len(text))
}

// settleColon checks what follows a value that ends with a colon.
func (o *output) settleColon(text string) *Error {
	if c := text[0]; isBlank(c) || isBreak(c) || o.flow > 0 && isFlowIndicator(c) {
		return o.at.errorf("the value ends with a colon, or is empty after one, and would make a key of what stands before it; put quotes around the whole")
	}
	o.owed = nothing
	return nil
}

// settleKey checks that the value may be a key.
func (o *output) settleKey() *Error {
	if len(o.buf)-o.began > maxKey {
		return o.at.errorf("the value is longer than %d bytes, and cannot be a key", maxKey)
	}
	return nil
}

// settleNode checks what follows a whole node: c, after blanks or not.
func (o *output) settleNode(c byte, blanks bool) *Error {
	switch {
	case isBreak(c), c == '#' && (blanks || o.prev == ' '), o.endsItem(c):
		return nil
	case c == ':':
		return o.at.errorf("the value needs quotes, and cannot be a key; put quotes around the action")
	}
	return o.at.errorf("the value needs quotes, and there is other text next to it; put quotes around the whole")
}

// settleEmpty checks what follows an empty value: rest, after blanks or not.
func (o *output) settleEmpty(rest string, blanks bool) *Error {
	c := rest[0]
	switch {
	case c == '#' && o.flow > 0:
		// A comment ends nothing, but no item would be there before it.
		return o.append("null ")
	case c == '#' && !blanks:
		return o.at.errorf("the value is empty, and without it the text that follows would be a comment; put a space or quotes between them")
	case c == '#', isBreak(c):
		return nil
	case o.flow == 0 && blanks && o.lineIsBlank():
		return o.at.errorf("the value is empty, and without it the blanks that follow would be indentation; put quotes around the whole")
	case o.endsItem(c):
		// An empty item would not be there at all.
		return o.append("null")
	case c == ':' && (len(rest) == 1 || isBlank(rest[1]) || isBreak(rest[1])):
		return o.at.errorf("the value is empty, and cannot be a key")
	case beginsNode(rest):
		return o.at.errorf("the value is empty, and without it the text that follows would be no text; put quotes around the whole")
	}
	return nil
}

// endsItem says whether c ends an item in brackets or braces.
func (p place) endsItem(c byte) bool {
	return p.flow > 0 && (c == ',' || c == ']' || c == '}')
}

// lineIsBlank says whether nothing but blanks stands on the line so far.
func (o *output) lineIsBlank() bool {
	for i := len(o.buf) - 1; i >= 0 && !isBreak(o.buf[i]); i-- {
		if !isBlank(o.buf[i]) {
			return false
		}
	}
	return true
}

// beginsNode says whether text, where a node begins, begins anything but a plain
// scalar: an item, a key, a marker, a quote, and so on.
func beginsNode(text string) bool {
	switch text[0] {
	case '-', '?':
		return len(text) == 1 || isBlank(text[1]) || isBreak(text[1]) || strings.HasPrefix(text, "---")
	case '.':
		return strings.HasPrefix(text, "...")
	default:
		return strings.IndexByte("[{&*!|>'\"%@`", text[0]) >= 0
	}
}

// fills says whether text goes on with the map or list that is empty so far: its
// first line begins in the same column, and is no comment and no marker.
func (o *output) fills(text string) bool {
	rest := strings.TrimLeft(text, " \r\n")
	if rest == "" || rest[0] == '#' || strings.HasPrefix(rest, "---") || strings.HasPrefix(rest, "...") {
		return false
	}
	blank := text[:len(text)-len(rest)]
	return strings.Contains(blank, "\n") && o.hollow.after(blank).col == o.hollow.col
}

// finish checks that the output may end here.
func (o *output) finish() *Error {
	if !o.yaml {
		return nil
	}
	if o.owed == noBlank {
		return o.settle("\n")
	}
	if o.mode == plain && o.ends().lost {
		return o.at.errorf("%s", errLost)
	}
	return nil
}

// writeValue writes a value that is not markup.
func (o *output) writeValue(s string, at *site) *Error {
	err := o.write(s, at)
	if err != nil {
		return at.fill(err)
	}
	return nil
}

func (o *output) write(s string, at *site) *Error {
	if !o.yaml {
		return o.append(s)
	}
	// Most values stand in double quotes and need no escape.
	if o.mode == doubleQuoted && o.pending == 0 && needsNoEscape(s) {
		return o.append(s)
	}
	switch o.owed {
	case anEnd, anEndOrColon, anEndOrMore, noBlank:
		if s == "" {
			return nil
		}
		if o.owed != noBlank {
			return o.at.errorf("the value needs quotes, and there is another value next to it; put quotes around both")
		}
	}
	o.owed = nothing
	if err := o.room(len(s)); err != nil {
		return err // Before anything is made of it.
	}
	if !utf8.ValidString(s) {
		return problem("the value is no valid UTF-8, which YAML cannot carry; use b64enc")
	}
	return o.writeInMode(s, at)
}

// writeInMode writes a value as the place demands.
func (o *output) writeInMode(s string, at *site) *Error {
	switch o.mode {
	case leading:
		if o.continues && o.col > o.parent {
			return o.writePart(s, at)
		}
		return o.writeScalar(s, at)
	case valueStart, flowStart:
		return o.writeScalar(s, at)
	case afterColon:
		return o.writeAfterColon(s, at)
	case plain:
		return o.writePart(s, at)
	case doubleQuoted:
		return o.writeDoubleQuoted(s)
	case doubleQuotedEscape:
		return problem(errEscape)
	case singleQuoted:
		return o.writeSingleQuoted(s)
	case singleQuotedQuote, afterNode:
		return o.writeAfterNode(s)
	case comment, blockComment:
		return o.writeComment(s)
	case blockHeader:
		return o.writeAfterHeader(s)
	case blockLead, blockText:
		return o.writeBlock(s)
	case indicator:
		return problem("the value stands directly after %q; put a space between them, or quotes around both", string(o.prev))
	case property:
		return problem("the value would be part of an anchor, an alias or a tag")
	default:
		return problem("the value would be part of a directive")
	}
}

const errEscape = "the value would complete the escape that begins before it"

func (o *output) writeAfterColon(s string, at *site) *Error {
	if o.flow == 0 {
		return problem("the value stands directly after the colon of a key; put a space between them")
	}
	o.mode = flowStart
	return o.writeScalar(s, at)
}

func (o *output) writeDoubleQuoted(s string) *Error {
	if o.pending > 0 {
		return problem(errEscape)
	}
	return o.append(string(appendQuoted(nil, s)))
}

func (o *output) writeSingleQuoted(s string) *Error {
	if strings.ContainsFunc(s, isControl) {
		return problem("the value has line breaks or control characters, which single quotes cannot carry; use double quotes")
	}
	return o.append(strings.ReplaceAll(s, "'", "''"))
}

// writeAfterNode writes a value where a node has ended. It can only be empty.
func (o *output) writeAfterNode(s string) *Error {
	if s != "" {
		return problem("the value stands directly after the end of another; put quotes around both")
	}
	return nil
}

func (o *output) writeComment(s string) *Error {
	if strings.ContainsFunc(s, isControl) {
		return problem("the value has line breaks or control characters, which a comment cannot carry")
	}
	return o.append(s)
}

// writeAfterHeader writes a value behind | or >. It can only be one that nindent
// has put on the next line.
func (o *output) writeAfterHeader(s string) *Error {
	if s != "" && s[0] != '\n' {
		return problem("the value is in the first line of a block scalar; put it on the next line")
	}
	return o.writeBlock(s)
}

// writeScalar writes a value where a node begins.
func (o *output) writeScalar(s string, at *site) *Error {
	o.at = at
	if s == "" {
		o.owed = aValue
		return nil
	}
	standsAlone := o.standsAlone(s)
	o.place = o.begin(o.mode)
	if standsAlone {
		o.mode, o.prev = plain, 0
		o.place = o.with(s)
		return o.append(s)
	}
	o.mode, o.prev, o.owed = afterNode, 0, anEnd
	quoted := make([]byte, 0, len(s)+16)
	quoted = append(quoted, '"')
	quoted = appendQuoted(quoted, s)
	return o.append(string(append(quoted, '"')))
}

// standsAlone says whether a value reads back as it is, as a plain scalar that
// begins here. What type it then has is not decided here: that is a matter of
// the schema, and a token of digits is a string.
func (o *output) standsAlone(s string) bool {
	first, last := s[0], s[len(s)-1]
	switch {
	case strings.IndexByte("?:,[]{}#&*!|>'\"%@`<= ", first) >= 0, last == ' ', last == ':':
		return false
	case first == '-' && (len(s) == 1 || !isAlphanumeric(s[1]) && s[1] != '.'):
		return false
	case (first == '-' || first == '.') && o.mode == leading && o.col == 0:
		// The markers of documents begin like this.
		return false
	case len(s) <= 4 && (s == "~" || s == "null" || s == "Null" || s == "NULL"):
		return false
	case o.flow > 0 && strings.ContainsAny(s, ",[]{}:?"):
		return false
	}
	return isPlainText(s)
}

// isPlainText says whether nothing inside of s ends a plain scalar.
func isPlainText(s string) bool {
	if strings.Contains(s, ": ") || strings.Contains(s, " #") {
		return false
	}
	return isPlainASCII(s) || !strings.ContainsFunc(s, func(r rune) bool { return !printable(r) })
}

// writePart writes a value as part of a plain scalar that has begun, or that a
// line before has begun.
func (o *output) writePart(s string, at *site) *Error {
	o.at = at
	if s == "" {
		if o.mode == plain && o.prev == ':' {
			o.owed = noBlank
		}
		return nil
	}
	blankBefore := o.mode == leading || o.prev == ' '
	bad := s[0] == ' ' || s[len(s)-1] == ' ' || s[0] == '#' && blankBefore || !isPlainText(s) ||
		o.flow > 0 && strings.ContainsAny(s, ",[]{}?") ||
		o.mode == leading && o.col == 0 && (s[0] == '-' || s[0] == '.')
	if bad {
		return problem("the value has characters that need quotes here, such as a colon and a space, or a line break; put quotes around the whole")
	}
	if blankBefore {
		o.word = longWord
	}
	o.mode, o.prev, o.continues = plain, 0, false
	o.place = o.with(s)
	if s[len(s)-1] == ':' {
		o.prev, o.owed = ':', noBlank
	}
	return o.append(s)
}

// writeBlock writes a value as part of a literal or folded block scalar.
func (o *output) writeBlock(s string) *Error {
	if s == "" {
		return nil
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !printable(r) && r != '\n' && r != '\t' }) {
		return problem("the value has control characters, which a block scalar cannot carry; use double quotes")
	}
	if o.mode == blockHeader || !o.insideBlock() {
		return o.writeIndented(s)
	}
	width, err := o.blockWidth(s)
	if err != nil {
		return err
	}
	return o.writeLines(s, width)
}

// insideBlock says whether a line of a block scalar is indented as far as the
// block is.
func (p place) insideBlock() bool {
	return p.mode == blockText || p.indent >= 0 && p.col >= p.indent || p.indent < 0 && p.col > p.parent
}

// blockWidth is how far the lines of a value are indented that stands in a block
// scalar.
func (p place) blockWidth(s string) (int32, *Error) {
	width := p.indent
	if width < 0 {
		// The value has the line that decides how far the block is indented.
		width = p.col
		if text := strings.TrimLeft(s, "\n"); text != "" && (text[0] == ' ' || text[0] == '\t') {
			return 0, problem("the value begins with white space, and would decide how far the block is indented; give the indentation after the | or >, as in |2, or use double quotes")
		}
	}
	if width <= 0 && (strings.Contains(s, "\n") || s[0] == '-' || s[0] == '.') {
		return 0, problem("the value could end the document, because the block is not indented")
	}
	return width, nil
}

// writeLines writes a value into a block scalar, with its lines indented by width.
func (o *output) writeLines(s string, width int32) *Error {
	lines, spaces := strings.Split(s, "\n"), int(max(width, 0))
	if err := o.room(len(s) + len(lines)*spaces); err != nil {
		return err
	}
	pad := strings.Repeat(" ", spaces)
	for i, line := range lines {
		if i > 0 {
			o.buf = append(o.buf, '\n')
			o.mode, o.col = blockLead, 0
			// What follows the value must stay inside, too, so that the last
			// line is indented even if it is empty.
			if line != "" || i == len(lines)-1 {
				o.buf = append(o.buf, pad...)
				o.col = width
			}
		}
		if line != "" {
			o.buf = append(o.buf, line...)
			o.mode, o.indent = blockText, width
		}
	}
	return nil
}

// writeIndented writes a value that begins left of the block scalar it is meant
// for. It must have been indented by indent or nindent.
func (o *output) writeIndented(s string) *Error {
	if err := o.checkIndentation(strings.Split(s, "\n")); err != nil {
		return err
	}
	if err := o.append(s); err != nil {
		return err
	}
	o.place = o.after(s)
	return nil
}

// checkIndentation checks that lines written here stay inside of the block scalar.
func (p place) checkIndentation(lines []string) *Error {
	need := p.indent
	if p.mode == blockHeader {
		need = p.after("\n").indent
	}
	blank := int32(0) // the longest line of white space so far
	for i, line := range lines {
		text := strings.TrimLeft(line, " ")
		column := int32(len(line) - len(text))
		if i == 0 && p.mode == blockLead {
			column += p.col
		}
		if text == "" && i < len(lines)-1 {
			blank = max(blank, column)
			continue
		}
		if need < 0 && text != "" {
			var err *Error
			if need, err = p.decideIndent(text, column, blank); err != nil {
				return err
			}
		}
		if least := max(need, p.parent+1); column < least {
			return problem("the value does not stay inside of the block scalar; put it on a line of its own that is indented, or use nindent with at least %d", least)
		}
	}
	return nil
}

// decideIndent is how far a block scalar is indented whose first text stands in
// this column, after lines of white space of which the longest has length blank.
func (p place) decideIndent(text string, column, blank int32) (int32, *Error) {
	if text[0] == '\t' {
		return 0, problem("the value begins with a tab, which cannot decide how far a block is indented")
	}
	indent := max(column, p.parent+1)
	if blank > indent {
		return 0, problem("the value begins with a line of white space that is longer than the next is indented")
	}
	return indent, nil
}

// writeMarkup writes the result of toYaml and its relatives. Where a node
// begins it is written as it is, with its lines below one another, and the
// offset is returned at which it begins. Elsewhere it is text like any other,
// and the offset is -1.
func (o *output) writeMarkup(m markup, at *site) (from int, err *Error) {
	// Indentation is only noted so far, and can be megabytes for each line.
	if err := o.room(m.size()); err != nil {
		return -1, at.fill(err)
	}
	isNode := false
	if o.yaml {
		if isNode, err = o.takesNode(m); err != nil {
			return -1, at.fill(err)
		}
	}
	if !isNode {
		return -1, o.writeValue(m.String(), at)
	}
	if err := o.writeNode(m, at); err != nil {
		return -1, at.fill(err)
	}
	return o.began, nil
}

// takesNode says whether markup is a node of its own here.
func (o *output) takesNode(m markup) (bool, *Error) {
	switch {
	case o.owed == anEnd, o.owed == anEndOrColon, o.owed == anEndOrMore, o.owed == noBlank && !m.newline:
		return false, nil
	case o.mode == leading && o.continues:
		return o.endsPlain(m)
	case o.mode == leading, o.mode == valueStart, o.mode == flowStart:
		return true, nil
	}
	// nindent puts a node on the line below a key.
	afterKey := o.flow == 0 && (o.mode == plain && o.prev == ':' || o.mode == afterColon)
	return afterKey && m.newline, nil
}

// endsPlain says whether markup stands far enough to the left to be a node where
// a line may continue a plain scalar.
func (p place) endsPlain(m markup) (bool, *Error) {
	column := int(p.col) + m.first
	if m.newline {
		column = m.indent
	}
	switch {
	case column <= int(p.parent):
		return true, nil
	case m.newline || p.col <= p.parent:
		return false, problem("the value would become part of the text on the line before; put that into quotes, or the value behind a key of its own")
	}
	return false, nil
}

// writeNode writes markup that is a node of its own.
func (o *output) writeNode(m markup, at *site) *Error {
	spaces, err := o.indentation(m)
	if err != nil {
		return err
	}
	lead := strings.Repeat(" ", spaces)
	if m.newline {
		lead = "\n" + lead
	}
	p := o.after(lead)
	text := m.text
	if m.kind == blockMarkup {
		if err := o.room(len(lead) + len(text) + strings.Count(text, "\n")*int(p.col)); err != nil {
			return err
		}
		text = strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", int(p.col)))
	}
	if err := o.append(lead); err != nil {
		return err
	}
	o.began = len(o.buf)
	if err := o.append(text); err != nil {
		return err
	}
	o.at, o.owed = at, anEnd
	switch {
	case m.kind == quotedMarkup:
		o.owed = anEndOrColon
	case p.mode == leading && (m.text == "{}" || m.text == "[]"):
		o.owed, o.hollow = anEndOrMore, p
	}
	if m.kind == blockMarkup {
		o.place = p.after(text)
		return nil
	}
	o.place = p.begin(p.mode)
	o.mode, o.prev = afterNode, 0
	return nil
}

// indentation is how many spaces stand before markup that is a node of its own here.
func (p place) indentation(m markup) (int, *Error) {
	switch {
	case p.flow > 0 && m.kind == blockMarkup:
		return 0, problem("toYaml cannot write a map or list between [ ] or { }; use toJson")
	case p.mode == valueStart && m.kind == blockMarkup && !m.newline:
		return 0, problem("a map or list cannot begin behind its key; put it on the next line, or use nindent")
	case !m.newline:
		return m.first, nil
	}
	if least := p.leastIndent(m.text); p.flow == 0 && int32(m.indent) < least {
		return 0, problem("%d spaces are not enough to stay below the key; at least %d are needed", m.indent, least)
	}
	return m.indent, nil
}

// leastIndent is how far markup on the next line is indented at least. A list may
// begin in the column of its key.
func (p place) leastIndent(text string) int32 {
	if p.mode == leading {
		return 0
	}
	least := p.after("\n").parent + 1
	if strings.HasPrefix(text, "- ") && least > 0 {
		least--
	}
	return least
}
