package engine

import (
	"encoding/json"
	"reflect"
	"strings"
)

// objectPath is a path that begins at .source or at .references.<key>. These
// are most of what templates consist of, and the compiler knows where they
// begin, so that they read the data of the execution directly.
type objectPath struct {
	reference string // the key, or empty for .source
	path      []string
	prefix    string // as written: .source, $.references.auth
	at        *site
}

func (e *objectPath) eval(r *run, _ any) (any, *Error) {
	if err := r.step(e.at); err != nil {
		return nil, err
	}
	object, found := r.data.Source, true
	if e.reference != "" {
		object, found = r.data.References[e.reference]
		found = found && object != nil
	}
	if !found {
		if len(e.path) == 0 {
			return nil, nil
		}
		err := e.at.errorf("the object of reference %q has not been found", e.reference)
		err.Absent = true
		return nil, err
	}
	// What labels, annotations and namespace are is promised even if the
	// object does not have them. Only paths that meet them, and paths that hand
	// out something they are part of, need the object that has them all.
	if r.template.mutates || len(e.path) == 0 || e.path[0] == "metadata" && (len(e.path) == 1 || isPromised(e.path[1])) {
		var err *Error
		if object, err = r.objectValue(e.reference, object); err != nil {
			return nil, e.at.fill(err)
		}
	}
	var value any = object
	for i, name := range e.path {
		m, ok := value.(map[string]any)
		if !ok {
			return nil, notAMap(e.at, value, e.prefix, e.path[:i], name, r.parent(object, e.path[:i]), r)
		}
		value = m[name]
	}
	return value, nil
}

// parent walks again to the map in which the last name of a path is missing.
// It is only needed to describe an error.
func (r *run) parent(object map[string]any, path []string) map[string]any {
	for _, name := range path[:max(len(path)-1, 0)] {
		object, _ = object[name].(map[string]any)
	}
	return object
}

// notAMap is the error of following name from value, which is no map. The path
// is what led from prefix to value, and parent what value was looked up in. The
// keys of the parent are listed if it is part of an object as the API server
// has returned it: what the template has made can have values for keys.
func notAMap(at *site, value any, prefix string, path []string, name string, parent map[string]any, r *run) *Error {
	if value != nil {
		return at.errorf("%s is %s, it has no field %q", shorten(join(prefix, path)), describe(value), shorten(name))
	}
	var err *Error
	switch {
	case len(path) == 0:
		err = at.errorf("%s is absent", prefix)
	default:
		last := path[len(path)-1]
		in := shorten(join(prefix, path[:len(path)-1]))
		_, null := parent[last]
		switch last := shorten(last); {
		case null:
			err = at.errorf("%q in %s is null", last, in)
		case r.given(parent):
			err = at.errorf("no %q in %s; %s", last, in, describeKeys(parent))
		default:
			err = at.errorf("no %q in %s", last, in)
		}
	}
	err.Absent = true
	return err
}

// given says that a map is part of the data, and that the template cannot have
// changed it. It is only asked for an error, and so may take its time.
func (r *run) given(m map[string]any) bool {
	if r.template.mutates {
		return false
	}
	// The last are objects in which labels, annotations and namespace were missing.
	return holds(r.data.Source, m, 0) || anyHolds(r.data.References, m) || anyHolds(r.object, m)
}

func anyHolds(objects map[string]map[string]any, m map[string]any) bool {
	for _, object := range objects {
		if holds(object, m, 0) {
			return true
		}
	}
	return false
}

// holds says whether a map is the value or part of it.
func holds(value any, m map[string]any, depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch v := value.(type) {
	case map[string]any:
		if reflect.ValueOf(v).UnsafePointer() == reflect.ValueOf(m).UnsafePointer() {
			return true
		}
		for _, item := range v {
			if holds(item, m, depth+1) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if holds(item, m, depth+1) {
				return true
			}
		}
	}
	return false
}

// join writes a path as a template does.
func join(prefix string, path []string) string {
	switch {
	case len(path) == 0:
		return prefix
	case prefix == ".":
		return "." + strings.Join(path, ".")
	}
	return prefix + "." + strings.Join(path, ".")
}

// fieldPath is a path that begins at any other expression.
type fieldPath struct {
	base   expression
	path   []string
	prefix string
	// args are the arguments of the method that the last name then is.
	args  []expression
	piped bool
	at    *site
}

func (e *fieldPath) eval(r *run, dot any) (any, *Error) {
	if err := r.step(e.at); err != nil {
		return nil, err
	}
	var piped any
	if e.piped {
		var err *Error
		if piped, err = e.args[len(e.args)-1].eval(r, dot); err != nil {
			return nil, err
		}
	}
	value, err := e.base.eval(r, dot)
	if err != nil {
		return nil, err
	}
	var parent map[string]any
	for i, name := range e.path {
		if m, ok := value.(map[string]any); ok && !e.takesArguments(i) {
			parent, value = m, m[name]
			continue
		}
		m, ok := methodOf(value, name)
		if !ok {
			return nil, e.noMethod(r, value, parent, i)
		}
		var args []expression
		if e.takesArguments(i) {
			args = e.args
		}
		if value, err = e.callMethod(r, dot, m, args, piped); err != nil {
			return nil, err
		}
	}
	return value, nil
}

// takesArguments says whether the name at an index of the path is that of a
// method with arguments.
func (e *fieldPath) takesArguments(i int) bool { return len(e.args) > 0 && i == len(e.path)-1 }

// noMethod is the error of following the name at an index of the path from a
// value that has no such method. Parent is what the value was looked up in.
func (e *fieldPath) noMethod(r *run, value any, parent map[string]any, i int) *Error {
	if e.takesArguments(i) && value != nil {
		return e.at.errorf("%s is %s and not a method; it cannot be given arguments", e.path[i], describe(value))
	}
	return notAMap(e.at, value, e.prefix, e.path[:i], e.path[i], parent, r)
}

// callMethod calls a method with the values of args. Of these the one that came
// through a pipe has been evaluated before, see logic.
func (e *fieldPath) callMethod(r *run, dot any, m method, args []expression, piped any) (any, *Error) {
	var values []any
	for i, arg := range args {
		value := piped
		if !e.piped || i < len(args)-1 {
			var err *Error
			if value, err = arg.eval(r, dot); err != nil {
				return nil, err
			}
		}
		values = append(values, value)
	}
	r.at = e.at
	value, err := m.call(r, values)
	if err != nil {
		return nil, e.at.fill(err)
	}
	return value, nil
}

// isPromised names the fields of metadata that always have a value.
func isPromised(field string) bool {
	return field == "labels" || field == "annotations" || field == "namespace"
}

// objectValue returns an object in which metadata.labels and .annotations are
// maps and metadata.namespace is a string. If they are not there, they are
// added to a copy of metadata alone: input is never changed, and what a cache
// shares is not copied as a whole. A template that calls functions that write
// into maps is given a copy of everything instead, made at the first use.
func (r *run) objectValue(reference string, object map[string]any) (map[string]any, *Error) {
	if made, ok := r.object[reference]; ok {
		return made, nil
	}
	made := object
	if r.template.mutates {
		copied, err := r.copyValue(object)
		if err != nil {
			return nil, err
		}
		made = copied.(map[string]any)
	}
	if metadata, ok := made["metadata"].(map[string]any); ok || made["metadata"] == nil {
		if metadata["labels"] == nil || metadata["annotations"] == nil || metadata["namespace"] == nil {
			made, metadata = shallow(made), shallow(metadata)
			for field, value := range map[string]any{"labels": map[string]any{}, "annotations": map[string]any{}, "namespace": ""} {
				if metadata[field] == nil {
					metadata[field] = value
				}
			}
			made["metadata"] = metadata
		}
	}
	if r.object == nil {
		r.object = map[string]map[string]any{}
	}
	r.object[reference] = made
	return made, nil
}

// shallow copies a map, but not what it holds.
func shallow(m map[string]any) map[string]any {
	out := make(map[string]any, len(m)+3)
	for key, value := range m {
		out[key] = value
	}
	return out
}

// sourceValue is .source as a value.
func (r *run) sourceValue() (map[string]any, *Error) {
	return r.objectValue("", r.data.Source)
}

// referencesValue is .references as a value: the declared keys whose objects
// have been found.
func (r *run) referencesValue() (map[string]any, *Error) {
	if r.references != nil {
		return r.references, nil
	}
	found := make(map[string]any, len(r.template.declared))
	for _, key := range r.template.declared {
		object := r.data.References[key]
		if object == nil {
			continue
		}
		value, err := r.objectValue(key, object)
		if err != nil {
			return nil, err
		}
		found[key] = value
	}
	r.references = found
	return found, nil
}

// referencesExpression is .references as a whole.
type referencesExpression struct{ at *site }

func (e referencesExpression) eval(r *run, _ any) (any, *Error) {
	value, err := r.referencesValue()
	if err != nil {
		return nil, e.at.fill(err)
	}
	return value, nil
}

// index is the function of that name: it follows keys and indices through maps
// and lists. A missing key is absent, but nothing can be looked up in absent.
func index(item any, keys []any) (any, *Error) {
	for i, key := range keys {
		switch v := item.(type) {
		case map[string]any:
			name, ok := key.(string)
			if !ok && key != nil {
				return nil, problem("argument %d of index is %s, but a map is looked up by strings", i+2, describe(key))
			}
			item = v[name]
		case []any:
			n, err := indexArgument(key, i+2, len(v)-1)
			if err != nil {
				return nil, err
			}
			item = v[n]
		case string:
			n, err := indexArgument(key, i+2, len(v)-1)
			if err != nil {
				return nil, err
			}
			item = v[n]
		case nil:
			err := problem("the value to look into is absent")
			if i > 0 {
				err = problem("what argument %d of index looks up is absent, so argument %d has nothing to look into", i+1, i+2)
			}
			err.Absent = true
			return nil, err
		default:
			return nil, problem("index looks into maps, lists and strings; this is %s", describe(item))
		}
		if b, ok := item.(byte); ok {
			item = int(b)
		}
	}
	if n, ok := item.(json.Number); ok {
		return plainNumber(n), nil
	}
	return item, nil
}

// indexArgument returns an index between 0 and last.
func indexArgument(value any, argument, last int) (int, *Error) {
	n, ok := wholeNumber(value)
	if !ok {
		return 0, problem("argument %d must be a whole number, and is %s", argument, describe(value))
	}
	if n < 0 || n > int64(last) {
		return 0, problem("argument %d is out of range, there are %d", argument, last+1)
	}
	return int(n), nil
}
