package render

import "github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"

// TemplateReads are what one template of a policy reads.
type TemplateReads struct {
	// Field is the path of the field that holds the template.
	Field string
	Reads []engine.Read
}

// Reads are what the templates of the policy read, as far as it can be known
// without data.
func (p *Policy) Reads() []TemplateReads {
	var all []TemplateReads
	for _, c := range p.compiled() {
		all = append(all, TemplateReads{Field: c.path.String(), Reads: c.template.FindReads()})
	}
	return all
}

// Paths are the parts of Source and references that the templates read, below
// the keys source and references. What else changes in a Source makes no
// difference to its conversion, its name, or whether it is selected.
func (p *Policy) Paths() *engine.Paths {
	var reads [][]engine.Read
	for _, template := range p.Reads() {
		reads = append(reads, template.Reads)
	}
	return engine.PathsOf(reads...)
}

// compiled are the templates of the policy that are there, in the order in
// which they are executed.
func (p *Policy) compiled() (all []*compiled) {
	add := func(c *compiled) {
		if c != nil {
			all = append(all, c)
		}
	}
	add(p.selector)
	add(p.name)
	for _, ref := range p.references {
		add(ref.namespace)
		add(ref.name)
	}
	add(p.creationCondition)
	add(p.deletionCondition)
	add(p.template)
	return all
}
