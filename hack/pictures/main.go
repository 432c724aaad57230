// Command pictures draws the pictures of the documentation. For each diagram
// docs/images/NAME.yaml, each recording of a terminal docs/images/NAME.txt and each
// set of charts docs/images/NAME.json it writes docs/images/NAME.svg.
//
//	go run ./hack/pictures
//
// It is run from the top of the repository. A test fails when a picture is not
// what its source says.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const dir = "docs/images"

func main() {
	if err := run(dir); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	pictures, err := drawAll(dir)
	if err != nil {
		return err
	}
	for file, picture := range pictures {
		if err := os.WriteFile(file, []byte(picture), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// drawAll returns the pictures of a directory by the names of their files.
func drawAll(dir string) (map[string]string, error) {
	draw := map[string]func(source []byte) (string, error){".yaml": drawDiagram, ".txt": drawTerminal, ".json": drawCharts}
	pictures := map[string]string{}
	for extension, draw := range draw {
		sources, err := filepath.Glob(filepath.Join(dir, "*"+extension))
		if err != nil {
			return nil, err
		}
		for _, file := range sources {
			source, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			picture, err := draw(source)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			pictures[strings.TrimSuffix(file, extension)+".svg"] = picture
		}
	}
	return pictures, nil
}
