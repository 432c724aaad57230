// Package golden tests policies: each case is a folder with a Source, its
// references and the result that is expected of rendering them.
package golden

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/yaml"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/offline"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/textdiff"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// The files of a case.
const (
	policyFile   = "policy.yaml"   // here or in the nearest folder above
	sourceFile   = "source.yaml"   // what makes a folder a case
	referenceDir = "references"    // <key>.yaml; may be left out
	currentFile  = "current.yaml"  // the PediaCluster that exists; may be left out
	expectedFile = "expected.yaml" // the RenderResult
)

// Case is a folder with a test of a policy.
type Case struct {
	// Name is the path of the folder below the one that was searched.
	Name string

	dir    string
	policy string
}

// Find returns the cases in a folder and all those below it; a file stands for its
// folder. A case without a policy of its own tests the nearest one above, be that
// in the folder, below it or above it.
func Find(root string) ([]Case, error) {
	dir, err := folder(root)
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	var cases []Case
	policies := map[string]string{filepath.Dir(dir): policyAbove(absolute)} // by folder
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		policies[path] = policies[filepath.Dir(path)]
		if own := filepath.Join(path, policyFile); exists(own) {
			policies[path] = own
		}
		if !exists(filepath.Join(path, sourceFile)) {
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if name == "." {
			name = filepath.Base(absolute)
		}
		cases = append(cases, Case{Name: name, dir: path, policy: policies[path]})
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("no case in %s: a case is a folder with a %s", root, sourceFile)
	}
	return cases, nil
}

// folder is the folder of that name as filepath.WalkDir needs it: clean, so that it
// is the parent of what is found in it, and no symbolic link.
func folder(name string) (string, error) {
	dir, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	return dir, err
}

// policyAbove is the nearest policy in a folder above, empty when there is none.
func policyAbove(dir string) string {
	for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
		if policy := filepath.Join(parent, policyFile); exists(policy) {
			return policy
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Outcome is what came of a case.
type Outcome struct {
	Case
	// Failure says what is not as expected; empty when all is.
	Failure string
	// Updated says that the expectation was written again.
	Updated bool
	Took    time.Duration
}

// Run renders a case and compares. With update it writes what is expected
// instead; a file that says the same already is left as it is, comments
// included.
func (c Case) Run(ctx context.Context, update bool) Outcome {
	start := time.Now()
	outcome := Outcome{Case: c}
	if err := c.run(ctx, update, &outcome); err != nil {
		outcome.Failure = err.Error()
	}
	outcome.Took = time.Since(start)
	return outcome
}

func (c Case) run(ctx context.Context, update bool, outcome *Outcome) error {
	result, err := c.render(ctx)
	if err != nil {
		return err
	}
	got, err := yaml.Marshal(result)
	if err != nil {
		return err
	}
	file := filepath.Join(c.dir, expectedFile)
	written, err := os.ReadFile(file)
	missing := errors.Is(err, os.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	want, err := normalize(written)
	if err != nil && !update {
		return fmt.Errorf("%s: %w", file, err)
	}
	diff := textdiff.Unified(file, "rendered", want, string(got))
	switch {
	case diff == "":
		return nil
	case update:
		outcome.Updated = true
		return os.WriteFile(file, got, 0o666)
	case missing:
		return fmt.Errorf("%s does not exist: write it with --update, and read what it says", file)
	}
	outcome.Failure = diff
	return nil
}

// normalize writes YAML in the order and form of what it is compared with.
func normalize(text []byte) (string, error) {
	var value any
	if err := yaml.UnmarshalStrict(text, &value); err != nil || value == nil {
		return "", err
	}
	normal, err := yaml.Marshal(value)
	return string(normal), err
}

func (c Case) render(ctx context.Context) (*policyv1alpha1.RenderResult, error) {
	if c.policy == "" {
		return nil, fmt.Errorf("no %s in %s or a folder above it", policyFile, c.dir)
	}
	in := offline.Inputs{References: map[string][]*unstructured.Unstructured{}}
	var err error
	if in.Policy, err = offline.ReadPolicy(ctx, resource.FilenameOptions{Filenames: []string{c.policy}}, nil); err != nil {
		return nil, err
	}
	if in.Sources, err = readObjects(filepath.Join(c.dir, sourceFile)); err != nil {
		return nil, err
	}
	references, err := filepath.Glob(filepath.Join(c.dir, referenceDir, "*"))
	if err != nil {
		return nil, err
	}
	for _, path := range references {
		extension := filepath.Ext(path)
		if !slices.Contains(resource.FileExtensions, extension) {
			continue
		}
		key := strings.TrimSuffix(filepath.Base(path), extension)
		if in.References[key], err = readObjects(path); err != nil {
			return nil, err
		}
	}
	if path := filepath.Join(c.dir, currentFile); exists(path) {
		if in.Current, err = readObjects(path); err != nil {
			return nil, err
		}
	}
	results, err := offline.Render(in)
	if err != nil {
		return nil, err
	}
	if len(results) > 1 {
		return nil, fmt.Errorf("%s has %d Sources: make a case of each", filepath.Join(c.dir, sourceFile), len(results))
	}
	return &results[0], nil
}

func readObjects(path string) ([]*unstructured.Unstructured, error) {
	return offline.ReadObjects(resource.FilenameOptions{Filenames: []string{path}}, nil)
}
