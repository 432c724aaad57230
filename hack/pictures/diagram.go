package main

import (
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	// unit is the length of a step of the grid on which diagrams are laid out.
	unit = 20.0
	// margin is the space around a diagram.
	margin = 20.0
	// fontSize and lineHeight are those of a line of text.
	fontSize, lineHeight = 14.0, 18.0
	// charWidth is how wide a character may be: sans-serif fonts differ.
	charWidth = 7.4
)

const diagramStyle = `text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;font-size:14px;text-anchor:middle}
.title{font-weight:600}.left{text-anchor:start}.label{font-size:13px}
rect{stroke-width:1.3px}.group{stroke-dasharray:5 4}.line{stroke-width:1.4px}.dashed{stroke-dasharray:5 4}`

// diagram is boxes and the arrows between them. Positions and sizes are in steps
// of the grid, x before y.
type diagram struct {
	Title string `json:"title"`
	// Description is what the picture says, for those who do not see it.
	Description string  `json:"description"`
	Groups      []box   `json:"groups"`
	Boxes       []box   `json:"boxes"`
	Arrows      []arrow `json:"arrows"`
	Notes       []note  `json:"notes"`
}

// box is a rectangle with text in it. A group is a dashed one with its title above
// on the left, and boxes in it.
type box struct {
	ID    string   `json:"id"`
	At    point    `json:"at"`
	Size  point    `json:"size"`
	Title string   `json:"title"`
	Lines []string `json:"lines"`
	// Kind is the class that colors the box.
	Kind string `json:"kind"`
}

// arrow leads from a box to another. It is straight if the boxes face each other,
// at the middle of what they share or at the given x or y. Otherwise it goes
// through the given points.
type arrow struct {
	From   string   `json:"from"`
	To     string   `json:"to"`
	Lines  []string `json:"lines"`
	At     *float64 `json:"at"`
	Via    []point  `json:"via"`
	Dashed bool     `json:"dashed"`
	// LabelAt is where the text stands, if not in the middle of the longest part.
	LabelAt *point `json:"labelAt"`
}

// note is text beside the boxes, beginning at a position.
type note struct {
	At    point    `json:"at"`
	Lines []string `json:"lines"`
}

type point [2]float64

func (b box) right() float64  { return b.At[0] + b.Size[0] }
func (b box) bottom() float64 { return b.At[1] + b.Size[1] }

func drawDiagram(source []byte) (string, error) {
	var d diagram
	if err := yaml.UnmarshalStrict(source, &d); err != nil {
		return "", err
	}
	if err := d.check(); err != nil {
		return "", err
	}
	c := &canvas{}
	for _, b := range append(d.Groups, d.Boxes...) {
		c.width = max(c.width, b.right()*unit+2*margin)
		c.height = max(c.height, b.bottom()*unit+2*margin)
	}
	c.add(`<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">` +
		`<path class="head" d="M0 0L10 5L0 10z"/></marker></defs>`)
	c.add(`<g transform="translate(%g %g)">`, margin, margin)
	for _, group := range d.Groups {
		c.rect(group, "group")
		c.add(`<text class="faint left" x="%g" y="%g">%s</text>`, group.At[0]*unit+10, group.At[1]*unit+lineHeight, escape(group.Title))
	}
	for _, b := range d.Boxes {
		c.box(b)
	}
	if err := d.drawArrows(c); err != nil {
		return "", err
	}
	for _, n := range d.Notes {
		for i, line := range n.Lines {
			c.add(`<text class="faint left" x="%g" y="%g">%s</text>`, n.At[0]*unit, n.At[1]*unit+float64(i)*lineHeight, escape(line))
		}
	}
	c.add(`</g>`)
	return c.svg(d.Title, d.Description, diagramStyle), nil
}

// check returns what would make a picture that cannot be read.
func (d *diagram) check() (err error) {
	if d.Title == "" || d.Description == "" {
		err = errors.New("title and description are required")
	}
	for i, b := range d.Boxes {
		if _, known := light[b.Kind]; !known {
			err = errors.Join(err, fmt.Errorf("box %q: there is no kind %q", b.ID, b.Kind))
		}
		if height := float64(len(b.text())) * lineHeight; height > b.Size[1]*unit-4 {
			err = errors.Join(err, fmt.Errorf("box %q: its text is %.1f high", b.ID, height/unit))
		}
		for _, line := range b.text() {
			if width := float64(len([]rune(line)))*charWidth + 8; width > b.Size[0]*unit {
				err = errors.Join(err, fmt.Errorf("box %q: %q is %.1f wide", b.ID, line, width/unit))
			}
		}
		for _, other := range d.Boxes[:i] {
			if b.ID == other.ID || b.At[0] < other.right() && other.At[0] < b.right() && b.At[1] < other.bottom() && other.At[1] < b.bottom() {
				err = errors.Join(err, fmt.Errorf("boxes %q and %q are in one place or have one id", other.ID, b.ID))
			}
		}
	}
	return err
}

// text is the lines in the box, its title the first of them.
func (b box) text() []string {
	if b.Title == "" {
		return b.Lines
	}
	return append([]string{b.Title}, b.Lines...)
}

func (c *canvas) rect(b box, class string) {
	c.add(`<rect class="%s" x="%g" y="%g" width="%g" height="%g" rx="6"/>`, class, b.At[0]*unit, b.At[1]*unit, b.Size[0]*unit, b.Size[1]*unit)
}

func (c *canvas) box(b box) {
	c.rect(b, b.Kind)
	lines := b.text()
	x := (b.At[0] + b.Size[0]/2) * unit
	y := (b.At[1]+b.Size[1]/2)*unit - float64(len(lines)-1)*lineHeight/2 + fontSize*0.35
	for i, line := range lines {
		class := "text"
		if i == 0 && b.Title != "" {
			class = "text title"
		}
		c.add(`<text class="%s" x="%g" y="%g">%s</text>`, class, x, y+float64(i)*lineHeight, escape(line))
	}
}

func (d *diagram) drawArrows(c *canvas) error {
	boxes := map[string]box{}
	for _, b := range d.Boxes {
		boxes[b.ID] = b
	}
	// Labels come last, above all lines.
	for _, labels := range []bool{false, true} {
		for _, a := range d.Arrows {
			from, haveFrom := boxes[a.From]
			to, haveTo := boxes[a.To]
			if !haveFrom || !haveTo {
				return fmt.Errorf("an arrow from %q to %q: there is no such box", a.From, a.To)
			}
			path, err := a.path(from, to)
			if err != nil {
				return fmt.Errorf("the arrow from %q to %q: %w", a.From, a.To, err)
			}
			if labels {
				a.drawLabel(c, path)
			} else {
				a.drawLine(c, path)
			}
		}
	}
	return nil
}

// path returns the corners of the arrow, its ends included.
func (a arrow) path(from, to box) ([]point, error) {
	via := a.Via
	if len(via) == 0 {
		straight, err := a.straight(from, to)
		if err != nil {
			return nil, err
		}
		via = []point{straight}
	}
	start, err := edge(from, via[0])
	if err != nil {
		return nil, err
	}
	end, err := edge(to, via[len(via)-1])
	if err != nil {
		return nil, err
	}
	if len(a.Via) == 0 {
		via = nil
	}
	return append(append([]point{start}, via...), end), nil
}

// straight returns a point between two boxes that face each other.
func (a arrow) straight(from, to box) (point, error) {
	for x := range 2 { // first above each other, then beside each other
		y := 1 - x
		low, high := max(from.At[x], to.At[x]), min(from.At[x]+from.Size[x], to.At[x]+to.Size[x])
		if low >= high {
			continue
		}
		var p point
		p[x] = (low + high) / 2
		if a.At != nil {
			p[x] = *a.At
		}
		upper, lower := from, to
		if from.At[y] > to.At[y] {
			upper, lower = to, from
		}
		p[y] = (upper.At[y] + upper.Size[y] + lower.At[y]) / 2
		return p, nil
	}
	return point{}, errors.New("the boxes do not face each other: it needs via")
}

// edge returns where a line from the box to the point leaves it, at a right angle.
func edge(b box, p point) (point, error) {
	for x := range 2 {
		y := 1 - x
		if p[x] <= b.At[x] || p[x] >= b.At[x]+b.Size[x] {
			continue
		}
		start := p
		start[y] = b.At[y]
		if p[y] > b.At[y] {
			start[y] += b.Size[y]
		}
		return start, nil
	}
	return point{}, fmt.Errorf("(%g, %g) is not beside, above or below box %q", p[0], p[1], b.ID)
}

func (a arrow) drawLine(c *canvas, path []point) {
	var line strings.Builder
	for i, p := range path {
		fmt.Fprintf(&line, "%c%g %g", "ML"[min(i, 1)], p[0]*unit, p[1]*unit)
	}
	class := "line"
	if a.Dashed {
		class += " dashed"
	}
	c.add(`<path class="%s" d="%s" marker-end="url(#tip)"/>`, class, line.String())
}

func (a arrow) drawLabel(c *canvas, path []point) {
	at := a.LabelAt
	if at == nil {
		at = longest(path)
	}
	for i, line := range a.Lines {
		y := at[1]*unit + (float64(i)-float64(len(a.Lines)-1)/2)*lineHeight
		width := float64(len([]rune(line))) * charWidth * 0.95
		c.add(`<rect class="under" x="%.1f" y="%g" width="%.1f" height="%g"/>`, at[0]*unit-width/2, y-lineHeight/2, width, lineHeight+1)
		c.add(`<text class="faint label" x="%g" y="%g">%s</text>`, at[0]*unit, y+fontSize*0.35, escape(line))
	}
}

// longest returns the middle of the longest part of a path.
func longest(path []point) *point {
	var middle point
	length := -1.0
	for i := range len(path) - 1 {
		p, q := path[i], path[i+1]
		if l := max(p[0]-q[0], q[0]-p[0]) + max(p[1]-q[1], q[1]-p[1]); l > length {
			length, middle = l, point{(p[0] + q[0]) / 2, (p[1] + q[1]) / 2}
		}
	}
	return &middle
}
