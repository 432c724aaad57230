package manifest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/resource"
)

const twoObjects = `# The first one.
apiVersion: v1
kind: First
spec:
  plain: one two
  quoted: "one two"
  escaped: "one\ttwo"
  block: |
    one two

      three four
  folded: >-
    one two
  list:
  - name: x
    text: é one
  - {name: y, text: 'one'}
  list: []
---

apiVersion: v1
kind: Second
anchor: &a {x: 1, x: 2}
alias: *a
`

func parse(t *testing.T, text string) []*Object {
	t.Helper()
	objects, err := Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestObjectsKnowWhereTheirFieldsStand(t *testing.T) {
	objects := parse(t, twoObjects)
	if len(objects) != 2 {
		t.Fatalf("%d objects", len(objects))
	}
	for _, tt := range []struct {
		object int
		path   string
		want   string
	}{
		{0, "", "f.yaml:2:1"},
		{0, "kind", "f.yaml:3:1"},
		{0, "spec.quoted", "f.yaml:6:3"},
		{0, "spec.block", "f.yaml:8:3"},
		{0, "spec.list", "f.yaml:18:3"}, // the last one counts
		{0, "spec.list[4].name", "f.yaml:18:3"},
		{0, "spec.nope.deep", "f.yaml:4:1"},
		{1, "", "f.yaml:21:1"},
		{1, "kind", "f.yaml:22:1"},
		{1, "alias.x", "f.yaml:23:19"},
	} {
		if got := objects[tt.object].Place(tt.path).String(); got != tt.want {
			t.Errorf("%s stands at %s, want %s", tt.path, got, tt.want)
		}
	}
	if want := []string{"spec.list"}; !slices.Equal(objects[0].Duplicates, want) {
		t.Errorf("duplicates are %q, want %q", objects[0].Duplicates, want)
	}
	if want := []string{"anchor.x"}; !slices.Equal(objects[1].Duplicates, want) {
		t.Errorf("duplicates are %q, want %q", objects[1].Duplicates, want)
	}
}

func TestPlacesInTextsAreThoseInTheFile(t *testing.T) {
	object := parse(t, strings.Replace(twoObjects, "  list: []\n", "", 1))[0]
	for _, tt := range []struct {
		path         string
		line, column int
		want         string
	}{
		{"spec.plain", 1, 5, "f.yaml:5:14"},
		{"spec.quoted", 1, 5, "f.yaml:6:16"},
		{"spec.escaped", 1, 5, "f.yaml:7:3"}, // not written as it is
		{"spec.block", 1, 5, "f.yaml:9:9"},
		{"spec.block", 3, 3, "f.yaml:11:7"},
		{"spec.folded", 1, 5, "f.yaml:13:9"},
		{"spec.list[0].text", 1, 3, "f.yaml:16:13"},
		{"spec.list[1].text", 1, 1, "f.yaml:17:22"},
		{"spec.list[1].text", 7, 1, "f.yaml:17:15"}, // no such line
		{"spec.list", 1, 1, "f.yaml:14:3"},          // no text
	} {
		if got := object.PlaceInText(tt.path, tt.line, tt.column).String(); got != tt.want {
			t.Errorf("line %d, column %d of %s stand at %s, want %s", tt.line, tt.column, tt.path, got, tt.want)
		}
	}
}

func TestListsAreTakenApart(t *testing.T) {
	objects := parse(t, "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: A\n- apiVersion: v1\n  kind: B\n")
	var got []string
	for _, object := range objects {
		got = append(got, object.Kind+" "+object.Place("kind").String())
	}
	if diff := cmp.Diff([]string{"A f.yaml:5:3", "B f.yaml:7:3"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsBrokenLeavesTheRest(t *testing.T) {
	objects, err := Parse("f.yaml", []byte("apiVersion: v1\nkind: A\n---\n# nothing\n---\nkind: B\n---\na: [\n---\napiVersion: v1\nkind: C\n"))
	if len(objects) != 2 {
		t.Errorf("%d objects, want 2", len(objects))
	}
	broken, rest := Errors(err)
	if rest != nil {
		t.Error(rest)
	}
	var got []string
	for _, problem := range broken {
		got = append(got, problem.Error())
	}
	want := []string{
		"f.yaml:6:1: no Kubernetes object: apiVersion and kind must be set",
		"f.yaml:8: no YAML: did not find expected node content",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFilesAreThoseThatKubectlReads(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.yaml", "b.json", "c.txt", "sub/d.yml"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(`{"apiVersion": "v1", "kind": "`+filepath.Base(name)+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/there" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("apiVersion: v1\nkind: url\n"))
	}))
	defer server.Close()

	for _, tt := range []struct {
		name      string
		file      string
		recursive bool
		want      []string
		err       string
	}{
		{name: "folder", file: dir, want: []string{"a.yaml", "b.json"}},
		{name: "folder and those below", file: dir, recursive: true, want: []string{"a.yaml", "b.json", "d.yml"}},
		{name: "any file that is named", file: filepath.Join(dir, "c.txt"), want: []string{"c.txt"}},
		{name: "pattern", file: filepath.Join(dir, "*.json"), want: []string{"b.json"}},
		{name: "standard input", file: "-", want: []string{"stdin"}},
		{name: "URL", file: server.URL + "/there", want: []string{"url"}},
		{name: "URL of nothing", file: server.URL + "/nothing", err: "404"},
		{name: "no file", file: filepath.Join(dir, "none"), err: "does not exist"},
		{name: "no manifest", file: filepath.Join(dir, "empty"), err: "no manifest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "no manifest" {
				if err := os.Mkdir(tt.file, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			objects, err := Read(resource.FilenameOptions{Filenames: []string{tt.file}, Recursive: tt.recursive},
				strings.NewReader("apiVersion: v1\nkind: stdin\n"))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			var got []string
			for _, object := range objects {
				got = append(got, object.Kind)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(twoObjects, "spec.list[0].text", 1, 1)
	f.Add("{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{}]}", "items", 2, 3)
	f.Fuzz(func(_ *testing.T, text, path string, line, column int) {
		objects, _ := Parse("f.yaml", []byte(text))
		for _, object := range objects {
			object.Place(path)
			object.PlaceInText(path, line, column)
		}
	})
}

func TestBracesAndQuotesOfTemplatesAreExplained(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nnameTemplate: {{ .source.metadata.name }}\n":                           "f.yaml:3: no YAML: braces have a meaning of their own: put the template in single quotes, as in nameTemplate: '{{ … }}', or below nameTemplate: |-",
		"a:\n- nameTemplate: {{ .source.metadata.name }}-x\n":                         "f.yaml:3: no YAML: braces have a meaning of their own: put the template in single quotes, as in nameTemplate: '{{ … }}', or below nameTemplate: |-",
		"creationCondition: \"{{ eq .source.kind \"Cluster\" }}\"\nnameTemplate: x\n": "f.yaml:2: no YAML: the double quotes of the template end those around it: put it in single quotes, as in creationCondition: '{{ … }}', or below creationCondition: |-",
		"a: [\nnameTemplate: '{{ x }}'\n":                                             "f.yaml:3: no YAML: did not find expected ',' or ']'",
	} {
		_, err := Parse("f.yaml", []byte("---\n"+text))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s-want +got:\n%s", text, diff)
		}
	}
}
