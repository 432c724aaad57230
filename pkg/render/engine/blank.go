package engine

import (
	"fmt"
	"slices"
	"sort"
)

// Rendered is what an execution has written.
type Rendered struct {
	Text string
	// Blanks are where Text may have no value because an action printed none,
	// by where they begin. Only the text of a YAML template has any.
	Blanks []Blank
	run    *run
}

// Blank is the part of a YAML text that one action has written, which YAML may
// read as nothing: no byte at all, white space, or markup such as null and "".
// Whether YAML does read it so is for whoever decodes the text to say.
//
// A text in which a value is missing and one in which the template leaves it
// out on purpose read alike: the blanks tell them apart.
type Blank struct {
	// From and To are offsets in bytes. They are equal if nothing was written.
	From, To int
	// Empty says that the value is the empty string, and so there, instead of
	// absent. It is not set for markup, which shows that itself.
	Empty bool

	at    *site
	value expression
}

// blankBytes is what noting a blank costs.
const blankBytes = 64

// blanks are noted in the order of execution.
type blanks []Blank

// note remembers a blank, within the budget.
func (r *run) note(b Blank) *Error {
	if err := r.take(blankBytes); err != nil {
		return b.at.fill(err)
	}
	r.blanks = append(r.blanks, b)
	return nil
}

// sorted orders blanks by where they begin. Of those at one place the first
// to be executed comes first.
func (b blanks) sorted() []Blank {
	slices.SortStableFunc(b, func(x, y Blank) int { return x.From - y.From })
	return b
}

// atValue says whether what is written here can be a value or a part of one. It
// cannot in a comment, nor left of where the value of the last key may stand.
func (o *output) atValue() bool {
	switch o.mode {
	case comment, blockComment, directive:
		return false
	case leading:
		return o.col > o.parent
	}
	return true
}

// Within returns the first blank that touches the part of the text from one
// offset to another. The end is part of it if it is closed.
func (r *Rendered) Within(from, to int, closed bool) *Blank {
	first := sort.Search(len(r.Blanks), func(i int) bool { return r.Blanks[i].From >= from })
	// One that begins before may reach into the part, as a map by toYaml does.
	if first > 0 && r.Blanks[first-1].To > from {
		return &r.Blanks[first-1]
	}
	if first < len(r.Blanks) && (r.Blanks[first].From < to || closed && r.Blanks[first].From == to) {
		return &r.Blanks[first]
	}
	return nil
}

// Explain says which action wrote a blank, and what it found absent.
func (r *Rendered) Explain(b *Blank) *Error {
	err := b.at.errorf("it prints nothing")
	if why := r.run.absence(b.value); why != "" {
		err.Message += ": " + why
	}
	return err
}

// absence says what is absent or empty in the data that an expression reads. It
// follows paths from .source and .references only: what a variable or the dot
// held is no longer known.
func (r *run) absence(e expression) string {
	switch e := e.(type) {
	case *objectPath:
		return r.pathAbsence(e, e.path)
	case *declaration:
		return r.absence(e.value)
	case *fieldPath:
		return r.absence(e.base)
	case *logic:
		return r.firstAbsence(e.args)
	case *call:
		if why := r.lookupAbsence(e); why != "" {
			return why
		}
		return r.firstAbsence(e.args)
	}
	return ""
}

func (r *run) firstAbsence(expressions []expression) string {
	for _, e := range expressions {
		if why := r.absence(e); why != "" {
			return why
		}
	}
	return ""
}

// lookupAbsence is absence for a key that index or get looks up.
func (r *run) lookupAbsence(e *call) string {
	if name := e.function.name; name != "index" && name != "get" || len(e.args) != 2 {
		return ""
	}
	path, ok := e.args[0].(*objectPath)
	if !ok {
		return ""
	}
	key, ok := e.args[1].(constant)
	if !ok {
		return ""
	}
	name, ok := key.value.(string)
	if !ok {
		return ""
	}
	return r.pathAbsence(path, append(slices.Clone(path.path), name))
}

// pathAbsence says why a path below an object leads to nothing.
func (r *run) pathAbsence(e *objectPath, path []string) string {
	object := r.data.Source
	if e.reference != "" {
		object = r.data.References[e.reference]
	}
	if object == nil || len(path) == 0 {
		return ""
	}
	last := len(path) - 1
	parent := object
	for _, name := range path[:last] {
		parent, _ = parent[name].(map[string]any)
	}
	if parent == nil {
		return ""
	}
	in, name := shorten(join(e.prefix, path[:last])), shorten(path[last])
	switch value, there := parent[path[last]]; {
	case !there:
		return fmt.Sprintf("no %q in %s; %s", name, in, describeKeys(parent))
	case value == nil:
		return fmt.Sprintf("%q in %s is null", name, in)
	case value == "":
		return fmt.Sprintf("%q in %s is empty", name, in)
	}
	return ""
}
