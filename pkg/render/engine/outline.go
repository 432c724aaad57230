package engine

import (
	"strings"
	"text/template/parse"
)

// Printed stands in an outline for what an action prints.
const Printed = "\x00"

// Outline is what a template writes whatever its data is: its text outside of
// if, with and range, and Printed for each action that prints there. It is empty
// for a template that does not parse.
func Outline(text string) string {
	trees, err := parseText(text)
	if err != nil {
		return ""
	}
	o := outliner{trees: trees, open: map[string]bool{}, left: maxActions}
	o.template(mainName)
	return o.text.String()
}

type outliner struct {
	trees map[string]*parse.Tree
	// open are the templates being written: one that calls itself does so under
	// a condition, or never ends.
	open map[string]bool
	// left is how many templates may still be written: each of a few that call one
	// another twice would double the work.
	left int
	text strings.Builder
}

func (o *outliner) template(name string) {
	tree := o.trees[name]
	if tree == nil || tree.Root == nil || o.open[name] || o.text.Len() > maxText || o.left == 0 {
		return
	}
	o.left--
	o.open[name] = true
	defer delete(o.open, name)
	for _, node := range tree.Root.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
			o.text.Write(n.Text)
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				o.text.WriteString(Printed)
			}
		case *parse.TemplateNode:
			o.template(n.Name)
		}
	}
}
