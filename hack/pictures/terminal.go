package main

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// columns is where a line of the terminal is wrapped.
	columns = 108
	// cellWidth and cellHeight are the size of a character of the terminal.
	cellWidth, cellHeight = 7.83, 18.0
	// pause is the time in seconds before a command and before its output.
	pause = 1.1
)

const terminalStyle = `text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:13px;white-space:pre}
@keyframes appear{from{opacity:0}to{opacity:1}}
@media (prefers-reduced-motion: no-preference) {g{animation:appear 1ms backwards}}`

// drawTerminal draws a recording: comments and commands, each followed by what it
// printed. The first line is the title. Commands that are not shown begin with "@".
// The parts appear one after the other; where nothing moves, all of it is shown.
func drawTerminal(source []byte) (string, error) {
	title, rest, _ := strings.Cut(string(source), "\n")
	if title == "" || strings.TrimSpace(rest) == "" {
		return "", errors.New("it needs a title in its first line, and commands")
	}
	c := &canvas{width: columns*cellWidth + 2*margin}
	y, seconds := margin, 0.0
	open := false
	begin := func() {
		if open {
			c.add("</g>")
		}
		c.add(`<g style="animation-delay:%.1fs">`, seconds)
		open, seconds = true, seconds+pause
	}
	afterCommand := true
	for line := range strings.Lines(strings.Trim(rest, "\n") + "\n") {
		line = strings.TrimRight(line, " \n")
		if strings.HasPrefix(line, "@ ") {
			continue
		}
		class := "text"
		switch {
		case strings.HasPrefix(line, "# "):
			class = "faint"
		case strings.HasPrefix(line, "$ "):
			class = "command"
		}
		if class != "text" || afterCommand {
			begin()
		}
		afterCommand = class == "command"
		for _, part := range wrap(line) {
			y += cellHeight
			if part != "" {
				c.add(`<text class="%s" xml:space="preserve" x="%g" y="%g">%s</text>`, class, margin, y, escape(part))
			}
		}
	}
	c.add("</g>")
	c.height = y + 1.5*margin
	return c.svg(title, fmt.Sprintf("A terminal. %s.", title), terminalStyle), nil
}

// wrap breaks a line as a terminal does.
func wrap(line string) (parts []string) {
	runes := []rune(line)
	for len(runes) > columns {
		parts = append(parts, string(runes[:columns]))
		runes = runes[columns:]
	}
	return append(parts, string(runes))
}
