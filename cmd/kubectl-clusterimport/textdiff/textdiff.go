// Package textdiff compares texts for people.
package textdiff

import (
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// Unified is the unified diff of two texts, empty when they are the same.
func Unified(fromName, toName, from, to string) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: lines(from), FromFile: fromName,
		B: lines(to), ToFile: toName,
		Context: 3,
	})
	if err != nil {
		// It only ever writes to memory.
		panic(err)
	}
	return text
}

// lines are those of a text, each with its end. An empty text has none.
func lines(text string) []string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	lines := strings.SplitAfter(text, "\n")
	return lines[:len(lines)-1] // what follows the last end
}
