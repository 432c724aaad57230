package engine

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

// read takes the steps that reading n bytes of text is worth.
func (b *budget) read(n int) *Error { return b.spend(n / 64) }
