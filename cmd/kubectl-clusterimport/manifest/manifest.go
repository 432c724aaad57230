// Package manifest reads objects from files, folders, URLs and standard input
// as kubectl does, and remembers where each of them and each of their fields
// stands.
package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	sigsyaml "sigs.k8s.io/yaml"
)

// Stdin is the file name of standard input.
const Stdin = "-"

// Object is one object of a file.
type Object struct {
	// JSON is the object as kubectl would send it.
	JSON []byte
	// GroupVersionKind is what the object says it is, empty if it says nothing.
	schema.GroupVersionKind
	// Duplicates are the paths of fields that are set more than once.
	Duplicates []string

	document *document
	node     *yaml.Node // nil when no field can be found again
}

// Unstructured returns the object as data.
func (o *Object) Unstructured() (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(o.JSON); err != nil {
		return nil, &Error{Place: o.Place(""), Message: err.Error()}
	}
	return object, nil
}

// Error is something that is wrong in a file.
type Error struct {
	Place
	Message string
}

func (e *Error) Error() string { return e.String() + ": " + e.Message }

// Read reads all objects of the files. What cannot be read is reported with
// the objects that can: a file with broken content by an *Error, which Errors
// finds again.
func Read(files resource.FilenameOptions, stdin io.Reader) ([]*Object, error) {
	var objects []*Object
	var errs []error
	for _, name := range files.Filenames {
		paths, err := expand(name, files.Recursive)
		errs = append(errs, err)
		for _, path := range paths {
			read, err := readFile(path, stdin)
			objects = append(objects, read...)
			errs = append(errs, err)
		}
	}
	return objects, errors.Join(errs...)
}

// Errors takes what is wrong in files out of an error of Read, and returns what
// remains of it.
func Errors(err error) (broken []*Error, rest error) {
	var joined interface{ Unwrap() []error }
	var single *Error
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &joined):
		var others []error
		for _, err := range joined.Unwrap() {
			inner, other := Errors(err)
			broken = append(broken, inner...)
			others = append(others, other)
		}
		return broken, errors.Join(others...)
	case errors.As(err, &single):
		return []*Error{single}, nil
	default:
		return nil, err
	}
}

// expand turns an argument of --filename into the files that it stands for: a
// folder into its manifests, a pattern into its matches.
func expand(name string, recursive bool) ([]string, error) {
	if name == Stdin || IsURL(name) {
		return []string{name}, nil
	}
	matches := []string{name}
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		if matches, err = filepath.Glob(name); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", name, err)
		}
		if len(matches) == 0 {
			return nil, fmt.Errorf("the path %q does not exist", name)
		}
	}
	var paths []string
	for _, match := range matches {
		visitors, err := resource.ExpandPathsToFileVisitors(nil, match, recursive, resource.FileExtensions, nil)
		if err != nil {
			return nil, err
		}
		for _, visitor := range visitors {
			paths = append(paths, visitor.(*resource.FileVisitor).Path)
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no manifest in %q: it has no file that ends in %s", name, strings.Join(resource.FileExtensions, ", "))
	}
	return paths, nil
}

// IsURL reports whether the name of a file is a URL.
func IsURL(name string) bool {
	return strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://")
}

func readFile(path string, stdin io.Reader) ([]*Object, error) {
	content, err := open(path, stdin)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if path == Stdin {
		path = "STDIN"
	}
	return Parse(path, text)
}

func open(path string, stdin io.Reader) (io.ReadCloser, error) {
	switch {
	case path == Stdin:
		return io.NopCloser(stdin), nil
	case IsURL(path):
		response, err := http.Get(path)
		if err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusOK {
			_ = response.Body.Close()
			return nil, fmt.Errorf("unable to read URL %q, the server reported %s", path, response.Status)
		}
		return response.Body, nil
	default:
		return os.Open(path)
	}
}

// Parse reads the objects of a text in YAML or JSON. Lists are taken apart.
// The source is what places name.
func Parse(source string, text []byte) ([]*Object, error) {
	var objects []*Object
	var errs []error
	for _, document := range split(source, text) {
		parsed, err := document.parse()
		objects = append(objects, parsed...)
		errs = append(errs, err)
	}
	return objects, errors.Join(errs...)
}

// document is one YAML document of a file.
type document struct {
	source string
	before int // the number of lines before it
	lines  []string
}

// split cuts a text at the lines that separate YAML documents.
func split(source string, text []byte) []*document {
	current := &document{source: source}
	documents := []*document{current}
	scanner := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	scanner.Buffer(nil, len(text)+1)
	for number := 1; scanner.Scan(); number++ {
		line := scanner.Text()
		if rest, separates := strings.CutPrefix(line, "---"); separates && (rest == "" || rest[0] == ' ' || rest[0] == '\t') {
			current = &document{source: source, before: number}
			documents = append(documents, current)
			continue
		}
		current.lines = append(current.lines, line)
	}
	return documents
}

func (d *document) parse() ([]*Object, error) {
	text := []byte(strings.Join(d.lines, "\n") + "\n")
	var node *yaml.Node
	root := new(yaml.Node)
	err := yaml.Unmarshal(text, root)
	switch {
	case err == nil && len(root.Content) == 1:
		node = root.Content[0]
	case err != nil && bytes.ContainsRune(text, '&'):
		return nil, d.syntaxError(err) // it may have aliases that cannot be measured
	}
	if alias := newExpansion().tooLarge(node); alias != nil {
		return nil, &Error{Place: Place{Source: d.source, Line: d.before + alias.Line, Column: alias.Column},
			Message: fmt.Sprintf("*%s: the aliases of the document repeat more than %d MiB", alias.Value, maxRepeated>>20)}
	}
	raw, err := sigsyaml.YAMLToJSON(text)
	if err != nil {
		return nil, d.syntaxError(err)
	}
	if raw = bytes.TrimSpace(raw); bytes.Equal(raw, []byte("null")) {
		return nil, nil // nothing but comments
	}
	return d.objects(raw, node, 0)
}

// maxLists is how many Lists may be in one another. Each is read again for its items.
const maxLists = 10

func (d *document) objects(raw []byte, node *yaml.Node, depth int) ([]*Object, error) {
	object := &Object{JSON: raw, document: d, node: node}
	if depth > maxLists {
		return nil, &Error{Place: object.Place(""), Message: fmt.Sprintf("more than %d Lists are in one another", maxLists)}
	}
	var head struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Items      []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &head); err != nil || (head.APIVersion == "") != (head.Kind == "") {
		return nil, &Error{Place: object.Place(""), Message: "no Kubernetes object: apiVersion and kind must be set"}
	}
	if !strings.HasSuffix(head.Kind, "List") || head.Items == nil {
		object.GroupVersionKind = schema.FromAPIVersionAndKind(head.APIVersion, head.Kind)
		object.Duplicates = duplicates(node)
		return []*Object{object}, nil
	}
	var objects []*Object
	var errs []error
	items := find(node, "items")
	for i, item := range head.Items {
		var at *yaml.Node
		if items != nil && items.Kind == yaml.SequenceNode && i < len(items.Content) {
			at = items.Content[i]
		}
		parsed, err := d.objects(item, at, depth+1)
		objects = append(objects, parsed...)
		errs = append(errs, err)
	}
	return objects, errors.Join(errs...)
}

var lineOfError = regexp.MustCompile(`\bline (\d+): `)

// syntaxError moves the line that the parser names to where it is in the file.
func (d *document) syntaxError(err error) error {
	message := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	message = strings.TrimPrefix(message, "yaml: ")
	place := Place{Source: d.source, Line: d.before + 1}
	if match := lineOfError.FindStringSubmatch(message); match != nil {
		line, _ := strconv.Atoi(match[1])
		place.Line = d.before + line
		message = strings.Replace(message, match[0], "", 1)
	}
	if number, advice := d.unquoted(); advice != "" {
		place.Line = d.before + number
		message = advice
	}
	return &Error{Place: place, Message: "no YAML: " + message}
}

const templateKeys = `^\s*(?:- )?((?:name|namespace|selector)Template|template|(?:creation|deletion)Condition):\s+`

var (
	bareTemplate   = regexp.MustCompile(templateKeys + `\{\{`)
	quotesInQuotes = regexp.MustCompile(templateKeys + `"(?:[^"\\]|\\.)*"[^\s#]`)
)

// unquoted finds a template that YAML takes for something else because of its
// quotes. The parser says nothing of the kind, and may name another line.
func (d *document) unquoted() (number int, advice string) {
	for i, line := range d.lines {
		if match := bareTemplate.FindStringSubmatch(line); match != nil {
			return i + 1, fmt.Sprintf("braces have a meaning of their own: put the template in single quotes, as in %s: '{{ … }}', or below %s: |-", match[1], match[1])
		}
		if match := quotesInQuotes.FindStringSubmatch(line); match != nil {
			return i + 1, fmt.Sprintf("the double quotes of the template end those around it: put it in single quotes, as in %s: '{{ … }}', or below %s: |-", match[1], match[1])
		}
	}
	return 0, ""
}
