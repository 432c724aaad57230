package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	// column and row are the size of a cell of the grid on which panels are laid out.
	column, row = 46.0, 21.0
	// gap is the space between panels.
	gap = 8.0
	// smallWidth and smallHeight are those of a character and of a line of a panel's text.
	smallWidth, smallHeight = 6.4, 16.0
	// axisWidth is the space for the numbers of an axis.
	axisWidth = 60.0
	// legendLines is how many lines the names of the series of a panel may take.
	legendLines = 3
	// palette is how many colors there are for series: the classes s0 to s7.
	palette = 8
)

const chartsStyle = `text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;font-size:12px}
.title{font-weight:600}.middle{text-anchor:middle}.end{text-anchor:end}.number{font-size:30px;font-weight:600;text-anchor:middle;stroke:none}
.panel,.grid{stroke-width:1px}polyline{stroke-width:1.6px;stroke-linejoin:round}.swatch{stroke-width:3px}`

// charts is panels of series that were read at the same times.
type charts struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	// Minutes is the time from the first to the last value.
	Minutes float64 `json:"minutes"`
	Panels  []panel `json:"panels"`
}

// panel is a chart, or the last value of its series.
type panel struct {
	Title string `json:"title"`
	// Type is stat or timeseries, as in Grafana.
	Type string `json:"type"`
	// Unit is short, s (seconds), or what is counted each second.
	Unit string `json:"unit"`
	At   point  `json:"at"`
	Size point  `json:"size"`
	// Kind is the class that colors the number of a stat.
	Kind   string   `json:"kind,omitempty"`
	Series []series `json:"series"`
}

// series is a name, and the values one after the other. A dash is none.
type series struct {
	Name   string `json:"name"`
	Values string `json:"values"`
}

func drawCharts(source []byte) (string, error) {
	var d charts
	decoder := json.NewDecoder(strings.NewReader(string(source)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return "", err
	}
	if d.Title == "" || d.Description == "" || len(d.Panels) == 0 {
		return "", errors.New("title, description and panels are required")
	}
	c := &canvas{classes: chartClasses}
	c.add(`<g transform="translate(%g %g)">`, gap, gap)
	for _, p := range d.Panels {
		c.width = max(c.width, (p.At[0]+p.Size[0])*column+2*gap)
		c.height = max(c.height, (p.At[1]+p.Size[1])*row+2*gap)
		if err := c.panel(p, d.Minutes); err != nil {
			return "", fmt.Errorf("panel %q: %w", p.Title, err)
		}
	}
	c.add(`</g>`)
	return c.svg(d.Title, d.Description, chartsStyle), nil
}

// frame is a rectangle.
type frame struct{ x, y, width, height float64 }

func (c *canvas) panel(p panel, minutes float64) error {
	outer := frame{p.At[0]*column + gap/2, p.At[1]*row + gap/2, p.Size[0]*column - gap, p.Size[1]*row - gap}
	c.add(`<rect class="panel" x="%g" y="%g" width="%g" height="%g" rx="4"/>`, outer.x, outer.y, outer.width, outer.height)
	if width := float64(len(p.Title)) * smallWidth; width > outer.width-gap {
		return fmt.Errorf("the title is %g wide, and the panel %g", width, outer.width-gap)
	}
	class := "text"
	if p.Type != "stat" {
		class += " title"
	}
	c.add(`<text class="%s" x="%g" y="%g">%s</text>`, class, outer.x+gap, outer.y+smallHeight+2, escape(p.Title))
	values := make([][]float64, len(p.Series))
	for i, s := range p.Series {
		var err error
		if values[i], err = numbers(s.Values); err != nil {
			return err
		}
	}
	if p.Type == "stat" {
		return c.number(p, outer, values)
	}
	legend := p.legend(outer.width - 2*gap)
	inner := frame{outer.x + axisWidth, outer.y + smallHeight + 14, outer.width - axisWidth - 3*gap, 0}
	inner.height = outer.y + outer.height - inner.y - smallHeight*float64(len(legend)+1) - gap
	c.plot(p, inner, values, minutes)
	for line, entries := range legend {
		y := outer.y + outer.height - gap - smallHeight*float64(len(legend)-1-line)
		for _, entry := range entries {
			x := outer.x + gap + entry.at
			if entry.class != "" {
				c.add(`<path class="swatch %s" d="M%g %gh12"/>`, entry.class, x, y-4)
				x += 17
			}
			c.add(`<text class="faint" x="%g" y="%g">%s</text>`, x, y, escape(entry.name))
		}
	}
	return nil
}

// number draws the last value of the first series.
func (c *canvas) number(p panel, outer frame, values [][]float64) error {
	if len(values) != 1 || len(values[0]) == 0 {
		return errors.New("a stat has one series")
	}
	kind := p.Kind
	if kind == "" {
		kind = "text"
	}
	value := values[0][len(values[0])-1]
	factor, suffix := unitOf(value, p.Unit)
	c.add(`<text class="number %s" x="%g" y="%g">%s</text>`, kind, outer.x+outer.width/2, outer.y+outer.height-16, label(value/factor, suffix))
	return nil
}

// plot draws the axes and the lines.
func (c *canvas) plot(p panel, inner frame, values [][]float64, minutes float64) {
	highest := 0.0
	for _, line := range values {
		for _, value := range line {
			if !math.IsNaN(value) {
				highest = max(highest, value)
			}
		}
	}
	factor, suffix := unitOf(highest, p.Unit)
	step, top := scale(highest / factor)
	for value := 0.0; value <= top*1.001; value += step {
		y := inner.y + inner.height*(1-value/top)
		c.add(`<path class="grid" d="M%g %.1fh%g"/>`, inner.x, y, inner.width)
		c.add(`<text class="faint end" x="%g" y="%.1f">%s</text>`, inner.x-6, y+4, label(value, suffix))
	}
	every := math.Ceil(50 * minutes / inner.width)
	for minute := every; minute <= minutes; minute += every {
		c.add(`<text class="faint middle" x="%.1f" y="%g">%g min</text>`, inner.x+inner.width*minute/minutes, inner.y+inner.height+smallHeight, minute)
	}
	for i, line := range values {
		var points []string
		flush := func() {
			if len(points) > 0 {
				c.add(`<polyline class="s%d" points="%s"/>`, i%palette, strings.Join(points, " "))
			}
			points = nil
		}
		for j, value := range line {
			if math.IsNaN(value) {
				flush()
				continue
			}
			points = append(points, fmt.Sprintf("%.1f,%.1f", inner.x+inner.width*float64(j)/float64(max(1, len(line)-1)), inner.y+inner.height*(1-value/factor/top)))
		}
		flush()
	}
}

// scale returns the step of the axis, and its end: up to four steps of 1, 2 or 5 times a power of ten.
func scale(highest float64) (step, top float64) {
	if highest <= 0 {
		return 1, 1
	}
	power := math.Pow(10, math.Floor(math.Log10(highest/4)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if step = factor * power; step*4 >= highest {
			break
		}
	}
	return step, step * math.Ceil(highest/step-1e-9)
}

// unitOf returns what a value up to the highest is divided by, and what is written after it.
func unitOf(highest float64, unit string) (factor float64, suffix string) {
	switch {
	case unit == "short":
		return 1, ""
	case unit != "s":
		return 1, "/s"
	case highest >= 86400:
		return 86400, " d"
	case highest >= 3600:
		return 3600, " h"
	case highest >= 120:
		return 60, " min"
	case highest >= 1 || highest == 0:
		return 1, " s"
	}
	return 1e-3, " ms"
}

// label is a value with four digits at most, and what comes after it.
func label(value float64, suffix string) string {
	switch {
	case math.IsNaN(value):
		return "no data"
	case value == 0:
		return "0"
	}
	digits := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(value))))
	return strconv.FormatFloat(math.Round(value*digits)/digits, 'f', -1, 64) + suffix
}

type legendEntry struct {
	name, class string
	at          float64
}

// legend breaks the names of the series into lines of a width.
func (p panel) legend(width float64) (lines [][]legendEntry) {
	x := 0.0
	for i, s := range p.Series {
		entry := legendEntry{name: s.Name, class: fmt.Sprintf("s%d", i%palette)}
		needed := 17 + float64(len(s.Name))*smallWidth + 12
		if len(lines) == 0 || x+needed > width {
			if len(lines) == legendLines {
				lines[legendLines-1] = []legendEntry{{name: fmt.Sprintf("and %d more", len(p.Series)-i+len(lines[legendLines-1]))}}
				return lines
			}
			lines, x = append(lines, nil), 0
		}
		entry.at = x
		lines[len(lines)-1] = append(lines[len(lines)-1], entry)
		x += needed
	}
	return lines
}

func numbers(text string) (values []float64, err error) {
	for _, word := range strings.Fields(text) {
		value := math.NaN()
		if word != "-" {
			if value, err = strconv.ParseFloat(word, 64); err != nil {
				return nil, err
			}
		}
		values = append(values, value)
	}
	return values, nil
}
