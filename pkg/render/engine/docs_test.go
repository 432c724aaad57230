package engine

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the list of functions in the documentation")

const page = "../../../docs/templates.md"

// functionList is the generated part of the page.
func functionList() string {
	var b strings.Builder
	group := ""
	for _, f := range Functions() {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(&b, "\n### %s\n\n| function | |\n|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Usage, f.Summary)
	}
	b.WriteString("\n### Functions that cannot be used\n\n| function | why, and what to do instead |\n|---|---|\n")
	for _, f := range RemovedFunctions() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Name, f.Advice)
	}
	return b.String()
}

func TestThePageListsTheFunctions(t *testing.T) {
	const begin, end = "<!-- The list is generated: go test ./pkg/render/engine -run ThePage -update -->\n", "\n<!-- End of the list. -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	listed, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the list of functions", page)
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+functionList()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(functionList(), listed); diff != "" {
		t.Errorf("the list is out of date; run the test with -update (-want +got)\n%s", diff)
	}
}

// TestThePageTellsTheTruth renders the examples of the page: each block marked
// as a template is followed by a block with its output or its error.
func TestThePageTellsTheTruth(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) map[string]any {
		r := newRun(&Template{}, Data{}, env)
		value, err := fromYAML(r, text)
		if err != nil {
			t.Fatal(err)
		}
		return value.(map[string]any)
	}
	var data Data
	var template, kind string
	examples := 0
	for _, block := range regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		switch info, body := block[1], block[2]; info {
		case "yaml source":
			data.Source = read(body)
		case "yaml references":
			data.References = map[string]map[string]any{}
			for key, object := range read(body) {
				data.References[key] = object.(map[string]any)
			}
		case "gotemplate", "gotemplate yaml":
			template, kind = strings.TrimSuffix(body, "\n"), info
		case "text output", "yaml output", "text error":
			examples++
			output := Text
			if kind == "gotemplate yaml" {
				output = YAML
			}
			got, err := renderPage(template, output, data)
			if info == "text error" {
				_, got = asError(t, err), err.Error()
			} else if err != nil {
				t.Errorf("%s\n%v", template, err)
				continue
			}
			if diff := cmp.Diff(strings.TrimSuffix(body, "\n"), strings.TrimSuffix(got, "\n")); diff != "" {
				t.Errorf("%s\n(-page +engine)\n%s", template, diff)
			}
		}
	}
	if examples < 10 {
		t.Errorf("only %d examples were found", examples)
	}
}

func renderPage(text string, output Output, data Data) (string, error) {
	t, err := Compile(text, Options{Output: output, References: []string{"auth", "later"}})
	if err != nil {
		return "", err
	}
	return t.Execute(data, env)
}

func TestEveryFunctionIsKnownAllowedOrRemoved(t *testing.T) {
	for name := range library {
		_, gone := removed[name]
		if functions[name] == nil && !gone {
			t.Errorf("%s of sprig is neither allowed nor removed", name)
		}
		if functions[name] != nil && gone {
			t.Errorf("%s is both allowed and removed", name)
		}
	}
	for _, f := range Functions() {
		if f.Usage == "" || f.Summary == "" || !strings.HasSuffix(f.Summary, ".") {
			t.Errorf("%s lacks its description", f.Name)
		}
	}
	for name := range removed {
		if _, err := Compile("{{ "+name+" }}", Options{}); err == nil || !strings.Contains(err.Error(), name+" cannot be used") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
