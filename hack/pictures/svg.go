package main

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// theme is the colors of one color scheme: fill and stroke for each class.
type theme map[string]struct{ fill, stroke string }

// The colors have a contrast of at least 4.5 to 1 between text and fill.
var (
	light = theme{
		"page":    {"#ffffff", "#d1d9e0"},
		"text":    {"#1f2328", "none"},
		"faint":   {"#59636e", "none"},
		"line":    {"none", "#59636e"},
		"head":    {"#59636e", "none"},
		"group":   {"none", "#9aa4af"},
		"host":    {"#f6f8fa", "#59636e"},
		"ours":    {"#ddf4ff", "#0969da"},
		"storage": {"#fff8c5", "#9a6700"},
		"good":    {"#dafbe1", "#1a7f37"},
		"wait":    {"#fff1e5", "#bc4c00"},
		"danger":  {"#ffebe9", "#cf222e"},
		"prompt":  {"#1a7f37", "none"},
		"command": {"#0550ae", "none"},
		"panel":   {"#f6f8fa", "#d1d9e0"},
		"grid":    {"none", "#d8dee4"},
		"calm":    {"#1a7f37", "none"},
		"notice":  {"#bc4c00", "none"},
		"alarm":   {"#cf222e", "none"},
		"s0":      {"none", "#0969da"},
		"s1":      {"none", "#bc4c00"},
		"s2":      {"none", "#1a7f37"},
		"s3":      {"none", "#8250df"},
		"s4":      {"none", "#cf222e"},
		"s5":      {"none", "#9a6700"},
		"s6":      {"none", "#0f7b8a"},
		"s7":      {"none", "#bf3989"},
	}
	dark = theme{
		"page":    {"#0d1117", "#3d444d"},
		"text":    {"#f0f6fc", "none"},
		"faint":   {"#9198a1", "none"},
		"line":    {"none", "#9198a1"},
		"head":    {"#9198a1", "none"},
		"group":   {"none", "#656c76"},
		"host":    {"#1c2128", "#9198a1"},
		"ours":    {"#12294a", "#4493f8"},
		"storage": {"#33290e", "#d29922"},
		"good":    {"#12301d", "#3fb950"},
		"wait":    {"#3a1f0c", "#db6d28"},
		"danger":  {"#3c1618", "#f85149"},
		"prompt":  {"#3fb950", "none"},
		"command": {"#79c0ff", "none"},
		"panel":   {"#151b23", "#3d444d"},
		"grid":    {"none", "#2f353d"},
		"calm":    {"#3fb950", "none"},
		"notice":  {"#db6d28", "none"},
		"alarm":   {"#f85149", "none"},
		"s0":      {"none", "#4493f8"},
		"s1":      {"none", "#db6d28"},
		"s2":      {"none", "#3fb950"},
		"s3":      {"none", "#ab7df8"},
		"s4":      {"none", "#f85149"},
		"s5":      {"none", "#d29922"},
		"s6":      {"none", "#39c5cf"},
		"s7":      {"none", "#db61a2"},
	}
)

// classes in the order in which they are written.
var classes = []string{"page", "text", "faint", "line", "head", "group", "host", "ours", "storage", "good", "wait", "danger",
	"prompt", "command"}

// chartClasses are those of charts only.
var chartClasses = []string{"panel", "grid", "calm", "notice", "alarm", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"}

func (t theme) rules(classes []string) string {
	var rules strings.Builder
	for _, class := range classes {
		fmt.Fprintf(&rules, ".%s{fill:%s;stroke:%s}", class, t[class].fill, t[class].stroke)
	}
	// What is under a label hides the line that it stands on.
	fmt.Fprintf(&rules, ".under{fill:%s}", t["page"].fill)
	return rules.String()
}

// canvas collects the elements of a picture.
type canvas struct {
	width, height float64
	// classes are those of its elements, besides what every picture has.
	classes []string
	body    strings.Builder
}

func (c *canvas) add(format string, args ...any) { fmt.Fprintf(&c.body, format+"\n", args...) }

// svg returns the picture, which follows the color scheme of its viewer.
func (c *canvas) svg(title, description, style string) string {
	classes := slices.Concat(classes, c.classes)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]g %[2]g" width="%[1]g" height="%[2]g" role="img" aria-labelledby="title description">
<title id="title">%[3]s</title>
<desc id="description">%[4]s</desc>
<style>
%[5]s
%[6]s
@media (prefers-color-scheme: dark) {
%[7]s
}
</style>
<rect class="page" x="0.5" y="0.5" width="%[8]g" height="%[9]g" rx="8"/>
%[10]s</svg>
`, c.width, c.height, escape(title), escape(description), style, light.rules(classes), dark.rules(classes), c.width-1, c.height-1, c.body.String())
}

func escape(text string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text)) // a strings.Builder does not fail
	return escaped.String()
}
