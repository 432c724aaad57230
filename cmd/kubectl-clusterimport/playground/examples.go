package playground

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/clusterpedia-io/policy-apiserver/artifacts"
)

// Platform is a platform that this project ships a policy for.
type Platform struct {
	Name string `json:"name"`
	// Cases are the names of its golden cases.
	Cases []string `json:"cases"`
}

// shipped is the folder of the platforms. Each has a policy, and below tests a folder for
// each golden case, as the command test reads them.
const shipped = "platforms"

// Platforms are the examples to start from.
func Platforms() ([]Platform, error) {
	names, err := folders(shipped)
	if err != nil {
		return nil, err
	}
	var platforms []Platform
	for _, name := range names {
		cases, err := folders(path.Join(shipped, name, "tests"))
		if err != nil {
			return nil, err
		}
		platforms = append(platforms, Platform{Name: name, Cases: cases})
	}
	return platforms, nil
}

// folders are the names of the folders in a folder.
func folders(dir string) (names []string, err error) {
	entries, err := fs.ReadDir(artifacts.Platforms, dir)
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

// errNoExample is the error for an example that does not exist.
var errNoExample = errors.New("there is no such example")

// Example returns the texts of a golden case.
func Example(platform, name string) (Texts, error) {
	if cases, err := folders(path.Join(shipped, platform, "tests")); err != nil || !slices.Contains(cases, name) {
		return Texts{}, fmt.Errorf("%w: %s/%s", errNoExample, platform, name)
	}
	dir := path.Join(shipped, platform, "tests", name)
	others, err := fs.Glob(artifacts.Platforms, path.Join(dir, "references", "*.yaml"))
	if err != nil {
		return Texts{}, err
	}
	others = append(others, path.Join(dir, "current.yaml"), path.Join(shipped, platform, "example", "crd.yaml"))
	var references []string
	for _, other := range others {
		text, err := fs.ReadFile(artifacts.Platforms, other)
		switch {
		case err == nil:
			references = append(references, string(text))
		case !errors.Is(err, fs.ErrNotExist): // a case may have neither
			return Texts{}, err
		}
	}
	policy, err := fs.ReadFile(artifacts.Platforms, path.Join(shipped, platform, "policy.yaml"))
	if err != nil {
		return Texts{}, err
	}
	source, err := fs.ReadFile(artifacts.Platforms, path.Join(dir, "source.yaml"))
	return Texts{Policy: string(policy), Source: string(source), References: documents(references)}, err
}

// documents is one text with these YAML documents.
func documents(texts []string) string {
	for i, text := range texts {
		texts[i] = strings.TrimPrefix(strings.TrimSuffix(text, "\n")+"\n", "---\n")
	}
	return strings.Join(texts, "---\n")
}
