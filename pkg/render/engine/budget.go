package engine

import (
	"math/bits"
	"sort"
)

// budget is what one execution may still spend. All of it is counted before
// the work is done or the memory is taken, never after.
type budget struct {
	steps  int
	values int
}

const (
	errSteps  = "the template does more than 1,000,000 steps of work"
	errValues = "the template creates more than 16 MiB of values"
)

// spend takes n steps.
func (b *budget) spend(n int) *Error {
	if n < 0 || n > b.steps {
		b.steps = 0
		return limit("%s", errSteps)
	}
	b.steps -= n
	return nil
}

// take reserves n bytes for a value that is about to be created.
func (b *budget) take(n int) *Error {
	if n < 0 || n > b.values {
		return limit("%s", errValues)
	}
	b.values -= n
	return nil
}

// What the elements of a list and the entries of a map cost in memory, on top
// of what they hold. The numbers are rounded up.
const (
	itemBytes  = 32
	entryBytes = 96
)

// takeItems reserves a list of n items, and the work of filling it.
func (b *budget) takeItems(n int) *Error {
	if n < 0 || n > b.values/itemBytes {
		return limit("%s", errValues)
	}
	if err := b.spend(n); err != nil {
		return err
	}
	return b.take(n * itemBytes)
}

// takeEntries reserves a map of n entries, and the work of filling it.
func (b *budget) takeEntries(n int) *Error {
	if n < 0 || n > b.values/entryBytes {
		return limit("%s", errValues)
	}
	if err := b.spend(n); err != nil {
		return err
	}
	return b.take(n * entryBytes)
}

// sortSteps are the steps that sorting n texts is worth, with so many bytes in
// all. Each is compared about as often as n can be halved, and a comparison
// reads what the texts have in common, which may be nearly all of them.
func sortSteps(n, bytes int) int { return (n + bytes/64) * bits.Len(uint(n)) }

// sortedKeys returns the keys of m in the order in which everything here walks
// through a map.
func (b *budget) sortedKeys(m map[string]any) ([]string, *Error) {
	if err := b.spend(len(m)); err != nil {
		return nil, err
	}
	bytes := 0
	for key := range m {
		bytes += len(key)
	}
	if err := b.spend(sortSteps(len(m), bytes)); err != nil {
		return nil, err
	}
	return keysOfMeasured(m), nil
}

// keysOfMeasured is sortedKeys for a map that measure has walked through, and
// so has paid for.
func keysOfMeasured(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// read takes the steps that reading n bytes of text is worth.
func (b *budget) read(n int) *Error { return b.spend(n / 64) }
