package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const images = "../../docs/images"

func TestThePicturesAreWhatTheirSourcesSay(t *testing.T) {
	pictures, err := drawAll(images)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range pictures {
		got, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("run make pictures: %v", err)
		} else if string(got) != want {
			t.Errorf("%s is not what its source says: run make pictures, and look at it", file)
		}
	}
	checkedIn, err := filepath.Glob(filepath.Join(images, "*.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range checkedIn {
		if _, drawn := pictures[file]; !drawn {
			t.Errorf("%s has no source", file)
		}
	}
}

func TestEveryPictureIsShownInTheDocumentation(t *testing.T) {
	var text strings.Builder
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			content, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(content)
		}
	}
	pictures, err := drawAll(images)
	if err != nil {
		t.Fatal(err)
	}
	for file := range pictures {
		if !strings.Contains(text.String(), "images/"+filepath.Base(file)+")") {
			t.Errorf("no page shows %s", filepath.Base(file))
		}
	}
}

func TestPicturesAreWellFormedAndDescribed(t *testing.T) {
	pictures, err := drawAll(images)
	if err != nil {
		t.Fatal(err)
	}
	for file, picture := range pictures {
		elements := map[string]int{}
		decoder := xml.NewDecoder(strings.NewReader(picture))
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if element, ok := token.(xml.StartElement); ok {
				elements[element.Name.Local]++
			}
		}
		if elements["title"] != 1 || elements["desc"] != 1 {
			t.Errorf("%s has no title or no description", file)
		}
	}
}

const boxes = `
title: t
description: d
boxes:
- {id: a, kind: host, at: [0, 0], size: [4, 2], lines: [a]}
- {id: b, kind: host, at: [8, 0], size: [4, 2], lines: [b]}
- {id: c, kind: ours, at: [20, 8], size: [4, 2], lines: [c]}
`

func TestArrows(t *testing.T) {
	for name, test := range map[string]struct{ arrow, want string }{
		"beside each other": {"{from: a, to: b}", `d="M80 20L160 20"`},
		"backwards":         {"{from: b, to: a, at: 0.5}", `d="M160 10L80 10"`},
		"around a corner":   {"{from: b, to: c, via: [[22, 1]]}", `d="M240 20L440 20L440 160"`},
		"with markup":       {`{from: a, to: b, lines: ["<&>"]}`, `&lt;&amp;&gt;`},
	} {
		picture, err := drawDiagram([]byte(boxes + "arrows:\n- " + test.arrow))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !strings.Contains(picture, test.want) {
			t.Errorf("%s: no %s in\n%s", name, test.want, picture)
		}
	}
}

func TestADiagramThatCannotBeReadIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ source, want string }{
		"no title":             {"description: d", "title and description are required"},
		"unknown field":        {boxes + "arrow: []", `unknown field "arrow"`},
		"unknown kind":         {boxes + "- {id: d, kind: x, at: [0, 9], size: [4, 2]}", `box "d": there is no kind "x"`},
		"too wide":             {boxes + "- {id: d, kind: host, at: [0, 9], size: [4, 2], lines: [a line that is long]}", `"a line that is long" is`},
		"too high":             {boxes + "- {id: d, kind: host, at: [0, 9], size: [4, 2], lines: [a, b, c]}", `box "d": its text is`},
		"over each other":      {boxes + "- {id: d, kind: host, at: [3, 1], size: [4, 2]}", `"a" and "d" are in one place`},
		"no such box":          {boxes + "arrows: [{from: a, to: x}]", "there is no such box"},
		"not facing":           {boxes + "arrows: [{from: a, to: c}]", "do not face each other"},
		"not at a right angle": {boxes + "arrows: [{from: a, to: c, via: [[6, 6]]}]", `is not beside, above or below box "a"`},
	} {
		if _, err := drawDiagram([]byte(test.source)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %v, not %q", name, err, test.want)
		}
	}
}

func TestARecordingShowsCommandsAndWhatTheyPrint(t *testing.T) {
	picture, err := drawTerminal([]byte("A title\n# why\n$ command\none\n\ntwo\n@ hidden\n$ " + strings.Repeat("x", columns) + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<title id=\"title\">A title</title>", ">$ command</text>", ">two</text>", ">xx</text>"} {
		if !strings.Contains(picture, want) {
			t.Errorf("no %s in\n%s", want, picture)
		}
	}
	if strings.Contains(picture, "hidden") {
		t.Error("a command that is not to be shown is")
	}
	if parts := strings.Count(picture, "<g style"); parts != 4 {
		t.Errorf("%d parts appear one after the other, not 4", parts)
	}
	if _, err := drawTerminal([]byte("A title\n")); err == nil {
		t.Error("a recording without commands is drawn")
	}
}

const chartsSource = `{"title": "t", "description": "d", "minutes": 4, "panels": [
 {"title": "Leaders", "type": "stat", "unit": "short", "at": [0, 0], "size": [4, 4], "kind": "calm", "series": [{"name": "n", "values": "3"}]},
 {"title": "Latency", "type": "timeseries", "unit": "s", "at": [4, 0], "size": [12, 8], "series": [
  {"name": "east <p99>", "values": "0 0.25 - 0.3 0.4"}, {"name": "west", "values": "- - - - -"}]}]}`

func TestChartsShowNumbersLinesAndNames(t *testing.T) {
	picture, err := drawCharts([]byte(chartsSource))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`class="number calm"`, ">3</text>", ">400 ms</text>", ">2 min</text>", ">east &lt;p99&gt;</text>", ">west</text>"} {
		if !strings.Contains(picture, want) {
			t.Errorf("no %s in\n%s", want, picture)
		}
	}
	if lines := strings.Count(picture, "<polyline"); lines != 2 {
		t.Errorf("a line with a gap has %d parts, not 2", lines)
	}
}

func TestChartsThatCannotBeReadAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ replace, with, want string }{
		"no title":      {`"title": "t"`, `"title": ""`, "are required"},
		"unknown field": {`"minutes"`, `"hours"`, `unknown field "hours"`},
		"no number":     {`"values": "3"`, `"values": "three"`, `panel "Leaders": strconv.ParseFloat`},
		"no value":      {`"values": "3"`, `"values": ""`, `panel "Leaders": a stat has one series`},
		"too long":      {`"title": "Leaders"`, `"title": "Leaders of the controllers of a server"`, "the title is"},
	} {
		if _, err := drawCharts([]byte(strings.Replace(chartsSource, test.replace, test.with, 1))); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %v, not %q", name, err, test.want)
		}
	}
}

func TestAxesHaveRoundSteps(t *testing.T) {
	for highest, want := range map[float64]point{0: {1, 1}, 1: {0.5, 1}, 0.03: {0.01, 0.03}, 42: {20, 60}, 400: {100, 400}, 401: {200, 600}} {
		if step, top := scale(highest); math.Abs(step-want[0]) > 1e-9 || math.Abs(top-want[1]) > 1e-9 {
			t.Errorf("up to %v it has steps of %v up to %v, not %v", highest, step, top, want)
		}
	}
}

func TestManyNamesAreCounted(t *testing.T) {
	p := panel{}
	for range 30 {
		p.Series = append(p.Series, series{Name: "a long name of a series"})
	}
	lines := p.legend(400)
	if last := lines[len(lines)-1]; len(lines) != legendLines || last[0].name != "and 26 more" {
		t.Errorf("the names are %v", lines)
	}
}
