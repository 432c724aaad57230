package engine

import (
	"strings"
	"text/template/parse"
)

// What stands in an outline for what is not literal. YAML can carry both runes, and
// templates have no use for them.
const (
	// Printed is what an action prints.
	Printed = "\uE000"
	// Branch is where a branch of if, with or range begins or ends.
	Branch = "\uE001"
)

// maxInlined is how many templates an outline consists of. Of a template that calls others
// again and again there is none.
const maxInlined = 1000

// Outline is the text of a template without its actions.
type Outline struct {
	Text string
	// Offsets are those in the template from which the bytes of the text come.
	Offsets []int
}

// Certain is what a template writes whatever its data is: its text outside of if, with
// and range, and Printed for each action that prints there. It is empty for a template
// that does not parse.
func Certain(text string) Outline { return outlined(text, false) }

// Possible is what a template may write: as Certain, with all branches of its if, with and
// range one after another, and Branch at the ends of each. It is empty for a template that
// does not parse.
func Possible(text string) Outline { return outlined(text, true) }

func outlined(text string, branches bool) Outline {
	trees, err := parseText(text)
	if err != nil || strings.ContainsAny(text, Printed+Branch) {
		return Outline{}
	}
	o := outliner{trees: trees, open: map[string]bool{}, branches: branches}
	o.template(mainName, 0)
	if o.inlined > maxInlined {
		return Outline{}
	}
	return Outline{Text: o.text.String(), Offsets: o.offsets}
}

type outliner struct {
	trees    map[string]*parse.Tree
	branches bool
	// open are the templates being written: one that calls itself does so under
	// a condition, or never ends.
	open    map[string]bool
	inlined int
	text    strings.Builder
	offsets []int
}

// write writes text, whose beginning comes from an offset in the template.
func (o *outliner) write(text string, from parse.Pos) {
	o.text.WriteString(text)
	for i := range len(text) {
		o.offsets = append(o.offsets, int(from)+i)
	}
}

func (o *outliner) template(name string, from parse.Pos) {
	tree := o.trees[name]
	switch o.inlined++; {
	case tree == nil || tree.Root == nil || o.inlined > maxInlined:
	case o.open[name] || o.text.Len() > maxText:
		o.write(Printed, from)
	default:
		o.open[name] = true
		defer delete(o.open, name)
		o.list(tree.Root)
	}
}

func (o *outliner) list(list *parse.ListNode) {
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
			o.write(string(n.Text), n.Pos)
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				o.write(Printed, n.Pos)
			}
		case *parse.TemplateNode:
			o.template(n.Name, n.Pos)
		case *parse.IfNode:
			o.branch(&n.BranchNode)
		case *parse.WithNode:
			o.branch(&n.BranchNode)
		case *parse.RangeNode:
			o.branch(&n.BranchNode)
		}
	}
}

func (o *outliner) branch(n *parse.BranchNode) {
	if !o.branches {
		return
	}
	o.write(Branch, n.Pos)
	o.list(n.List)
	if n.ElseList != nil {
		o.write(Branch, n.Pos)
		o.list(n.ElseList)
	}
	o.write(Branch, n.Pos)
}
