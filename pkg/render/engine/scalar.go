package engine

import (
	"strings"
	"unicode/utf8"
)

// printable says whether a character can stand in YAML as it is and is no line
// break. YAML 1.1 breaks lines at U+0085, U+2028 and U+2029, too.
func printable(r rune) bool {
	switch {
	case r < ' ', r == 0x7f, 0x80 <= r && r < 0xa0:
		return false
	case r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
		return false
	}
	return true
}

// isControl says whether a character is a line break or a control character, but
// no tab.
func isControl(r rune) bool { return !printable(r) && r != '\t' }

// isPlainASCII says whether all bytes are printable ASCII. It looks at eight
// bytes at a time, because credentials are kilobytes of just that.
func isPlainASCII(s string) bool {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	for len(s) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		// As long as all bytes are within 0x20 and 0x7e, neither sum carries
		// over and no high bit is set.
		if (x|(x-0x20*ones)|(x+ones))&high != 0 {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// needsNoEscape says whether s can stand in double quotes as it is.
func needsNoEscape(s string) bool {
	return isPlainASCII(s) && strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0
}

// appendQuoted appends valid UTF-8 with the escapes that double quotes need.
func appendQuoted(out []byte, s string) []byte {
	if needsNoEscape(s) {
		return append(out, s...)
	}
	for _, r := range s {
		if r == '"' || r == '\\' || !printable(r) {
			out = appendEscaped(out, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// appendEscaped appends an escape that YAML and JSON read alike.
func appendEscaped(out []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	switch r {
	case '"', '\\':
		return append(out, '\\', byte(r))
	case '\n':
		return append(out, `\n`...)
	case '\t':
		return append(out, `\t`...)
	case '\r':
		return append(out, `\r`...)
	}
	return append(out, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
}
