package engine

// Paths are parts of a value: those that reads lead to.
type Paths struct {
	depth Depth
	keys  map[string]*Paths
	each  *Paths
}

// PathsOf returns the parts of the data that reads lead to. The first keys are
// source and references.
func PathsOf(reads ...[]Read) *Paths {
	paths := &Paths{}
	for _, list := range reads {
		for i := range list {
			paths.add(list[i].Path, list[i].Depth)
		}
	}
	return paths
}

func (p *Paths) add(path []PathStep, depth Depth) {
	for _, step := range path {
		p = p.child(step)
	}
	p.depth = max(p.depth, depth)
}

func (p *Paths) child(step PathStep) *Paths {
	if step.Kind != Key {
		if p.each == nil {
			p.each = &Paths{}
		}
		return p.each
	}
	if p.keys[step.Name] == nil {
		if p.keys == nil {
			p.keys = map[string]*Paths{}
		}
		p.keys[step.Name] = &Paths{}
	}
	return p.keys[step.Name]
}

// At returns the paths below a key, nil when nothing below it is read.
func (p *Paths) At(key string) *Paths {
	if p == nil || p.depth == Whole {
		return p
	}
	return union(p.keys[key], p.each)
}

// IsWhole says that all of the value is read.
func (p *Paths) IsWhole() bool { return p != nil && p.depth == Whole }

// union returns the parts that either has.
func union(p, q *Paths) *Paths {
	switch {
	case p == nil || q.IsWhole():
		return q
	case q == nil || p.IsWhole():
		return p
	}
	out := &Paths{depth: max(p.depth, q.depth), each: union(p.each, q.each), keys: map[string]*Paths{}}
	for _, side := range []*Paths{p, q} {
		for key := range side.keys {
			out.keys[key] = union(p.keys[key], q.keys[key])
		}
	}
	return out
}

// Project returns the parts of a value, with true in the place of parts of
// which only their existence matters. Two values with equal projections give
// equal results. The result may share parts with the value.
func (p *Paths) Project(value any) any {
	if p.IsWhole() {
		return value
	}
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, item := range v {
			if child := p.At(key); child != nil {
				out[key] = child.Project(item)
			} else if p.depth == Shape {
				out[key] = true
			}
		}
		return out
	case []any:
		out := []any{}
		for _, item := range v {
			switch {
			case p.each != nil:
				out = append(out, p.each.Project(item))
			case p.depth == Shape:
				out = append(out, true)
			}
		}
		return out
	}
	return value
}
