package typecheck

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// maxFindings is how many findings there are of one policy.
const maxFindings = 100

// Types are the types of what a policy reads, nil where they are not known.
type Types struct {
	Source *Object
	// References are those of the references, by their keys.
	References map[string]*Object
}

// Check returns where the templates of a policy do not fit the types: a path
// that leads to no field, a value that cannot be used as it is, a comparison
// that never holds. Each is something that goes wrong, or never happens, for
// every object of the type.
//
// Where a template provides for a field that does not exist, it may be meant for
// other versions of the type, and only what is hardly anything but a typing
// error is found.
func Check(policy *render.Policy, types Types) []*render.Error {
	c := checker{types: types, seen: map[string]bool{}, read: map[string]bool{}, compared: map[string][]any{}}
	templates := policy.Reads()
	for _, template := range templates {
		for i := range template.Reads {
			read := &template.Reads[i]
			for n := range read.Path {
				c.read[engine.PathString(read.Path[:n+1])] = true
			}
			path := engine.PathString(read.Path)
			c.compared[path] = append(c.compared[path], read.With...)
		}
	}
	for _, template := range templates {
		c.field = template.Field
		for i := range template.Reads {
			if read := &template.Reads[i]; read.Sure && len(c.findings) < maxFindings {
				c.check(read)
			}
		}
	}
	return c.findings
}

type checker struct {
	types    Types
	field    string
	findings []*render.Error
	// seen are the findings, by field and path.
	seen map[string]bool
	// read are all paths that the policy reads.
	read map[string]bool
	// compared are the literals that it compares what a path leads to with.
	compared map[string][]any
}

// add adds a finding, once for each field of the type, and once for each place
// where a value is of the wrong kind.
func (c *checker) add(key string, cause *engine.Error) {
	key = c.field + " " + key
	if !c.seen[key] {
		c.seen[key] = true
		c.findings = append(c.findings, &render.Error{Field: c.field, Cause: cause})
	}
}

// ofKind adds a finding about the kind of what a path leads to.
func (c *checker) ofKind(path string, cause *engine.Error) {
	c.add(fmt.Sprint(path, " ", cause.Line, ":", cause.Column), cause)
}

// object is the type of the object that a path begins at, and how many steps
// lead to it.
func (c *checker) object(path []engine.PathStep) (*Object, int) {
	switch {
	case len(path) > 0 && path[0].Name == "source":
		return c.types.Source, 1
	case len(path) > 1 && path[0].Name == "references" && path[1].Kind == engine.Key:
		return c.types.References[path[1].Name], 2
	}
	return nil, 0
}

func (c *checker) check(read *engine.Read) {
	object, first := c.object(read.Path)
	if object == nil {
		return
	}
	w := walk{checker: c, object: object, read: read, at: object.Root}
	for i := first; i < len(read.Path); i++ {
		if !w.step(i) {
			return
		}
	}
	path := engine.PathString(read.Path)
	problem := misuse(read, w.at, c.field == "spec.template")
	if problem == "" && read.Use == engine.Compared {
		problem = neverEqual(read.With, c.compared[path], w.at)
	}
	if problem != "" {
		c.ofKind(path, read.Errorf("%s is %s%s", path, describe(w.at), problem))
	}
}

// walk follows a read through a type.
type walk struct {
	*checker
	object *Object
	read   *engine.Read
	// at is the type that the steps so far lead to.
	at *Type
	// free says that the last step was a key that the type has no name for.
	free bool
}

// step follows the step of an index. It returns false at the end of what is
// known, and where the step leads nowhere.
func (w *walk) step(i int) bool {
	step := &w.read.Path[i]
	free := w.free
	w.free = false
	switch kind := w.at.kind(); {
	case kind == Anything:
		return false
	case kind == Map && step.Kind == engine.Key:
		field, known := w.at.Fields[step.Name]
		switch {
		case known:
			w.at = field
		case w.at.Values != nil:
			w.at, w.free = w.at.Values.Type, true
		default:
			w.noField(i)
			return false
		}
		return true
	case kind == Map && step.Kind == engine.Each:
		if len(w.at.Fields) > 0 || w.at.Values == nil {
			return false
		}
		w.at = w.at.Values.Type
		return true
	case kind == List && step.Kind != engine.Key:
		w.at = w.at.Items
		return true
	case step.Kind == engine.Each, kind == Text && step.Kind == engine.Item:
		return false // range says what it cannot go over
	}
	w.wrongKind(i, free)
	return false
}

// wrongKind reports a step that no value of the kind has.
func (w *walk) wrongKind(i int, free bool) {
	step, path := &w.read.Path[i], w.read.Path[:i]
	at := engine.PathString(path)
	switch {
	case step.Kind == engine.Item:
		w.ofKind(at, step.Errorf("%s is %s, and only lists have items", at, describe(w.at)))
	case w.at.Kind == List:
		w.ofKind(at, step.Errorf("%s is a list, it has no field %q; iterate over it with range, or get an item with first or index", at, step.Name))
	case free && i > 0:
		key := path[i-1].Name + "." + step.Name
		w.ofKind(at, step.Errorf("%s is %s, it has no field %q; if the key is %q, write index %s %q",
			at, describe(w.at), step.Name, key, engine.PathString(path[:i-1]), key))
	default:
		w.ofKind(at, step.Errorf("%s is %s, it has no field %q", at, describe(w.at), step.Name))
	}
}

// noField reports a field that the type does not have.
func (w *walk) noField(i int) {
	step := &w.read.Path[i]
	if i == len(w.read.Path)-1 && w.read.Use == engine.Named && !step.Guarded {
		return // it matters where it is used
	}
	in := engine.PathString(w.read.Path[:i])
	near := engine.Nearest(step.Name, fieldsOf(w.at))
	if step.Guarded {
		misspelled := len(near) > 0 && engine.Misspelled(step.Name, near[0]) && !w.checker.read[in+"."+near[0]]
		if !misspelled {
			return
		}
	}
	hint := has(w.at)
	switch elsewhere := w.elsewhere(i); {
	case w.object == secret && step.Name == "stringData":
		hint = "; the API server returns what was written there in data, in base64"
	case len(near) > 0:
		hint = meant(quotedList(near), hint)
	case elsewhere != "":
		hint = meant(engine.PathString(w.root())+elsewhere, hint)
	}
	w.add(engine.PathString(w.read.Path[:i+1]), step.Errorf("%s has no %q in %s%s", w.object.Name, step.Name, in, hint))
}

func (w *walk) root() []engine.PathStep {
	_, first := w.checker.object(w.read.Path)
	return w.read.Path[:first]
}

// elsewhere is where else in the object there is a field of the name of a step,
// empty if there is none near its root, or more than one.
func (w *walk) elsewhere(i int) string {
	name, found := w.read.Path[i].Name, ""
	for _, parent := range fieldsOf(w.object.Root) {
		t := w.object.Root.Fields[parent]
		if t.kind() != Map {
			continue
		}
		_, known := t.Fields[name]
		// A key of a Secret is a key of its data.
		known = known || parent == "data" && t.Values != nil && i == len(w.read.Path)-1 && w.at == w.object.Root
		if known && found != "" {
			return ""
		}
		if known {
			found = "." + parent + "." + name
		}
	}
	return found
}

// meant asks whether a name was meant, before what else there is.
func meant(names, others string) string {
	if rest, ok := strings.CutPrefix(others, "; i"); ok {
		others = " I" + rest
	}
	return "; did you mean " + names + "?" + others
}

func fieldsOf(t *Type) []string { return slices.Sorted(maps.Keys(t.Fields)) }

// has lists the fields of a type.
func has(t *Type) string {
	const most = 12
	fields := fieldsOf(t)
	if len(fields) == 0 {
		return ""
	}
	more := ""
	if len(fields) > most {
		more = fmt.Sprintf(" and %d more", len(fields)-most)
		fields = fields[:most]
	}
	return "; it has: " + strings.Join(fields, ", ") + more
}

// describe is a type as messages have it.
func describe(t *Type) string { return t.kind().String() }

func quotedList(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	return strings.Join(quoted, " or ")
}
