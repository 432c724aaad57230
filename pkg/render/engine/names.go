package engine

import (
	"cmp"
	"slices"
	"strings"
)

// Nearest returns those of the names that somebody may have meant who wrote
// another one, the most probable first. They are names that differ in few
// letters, in capitals only, or in a part at either end.
func Nearest(name string, names []string) []string {
	if len(name) > maxName {
		return nil
	}
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	for _, other := range names {
		if len(other) > maxName || other == name {
			continue
		}
		written, meant := strings.ToLower(name), strings.ToLower(other)
		distance := editDistance(written, meant)
		shorter, longer := written, meant
		if len(shorter) > len(longer) {
			shorter, longer = longer, shorter
		}
		extended := len(shorter) >= 4 && (strings.HasPrefix(longer, shorter) || strings.HasSuffix(longer, shorter))
		if distance <= 1+len(written)/5 || extended {
			near = append(near, candidate{other, distance})
		}
	}
	slices.SortStableFunc(near, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(x.distance, y.distance), cmp.Compare(x.name, y.name))
	})
	const most = 3
	out := make([]string, 0, most)
	for _, c := range near[:min(len(near), most)] {
		// The others are no better guesses than one that differs in a letter.
		if len(out) == 0 || near[0].distance > 1 {
			out = append(out, c.name)
		}
	}
	return out
}

// Misspelled says whether a name differs from another so little that it hardly
// is a name of its own.
func Misspelled(name, other string) bool {
	if len(name) > maxName || len(other) > maxName || name == other {
		return false
	}
	distance := editDistance(strings.ToLower(name), strings.ToLower(other))
	return distance == 0 || distance == 1 && len(name) > 4 || distance == 2 && len(name) > 8
}
