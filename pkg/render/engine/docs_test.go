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

const (
	functionsPage = "../../../docs/template-functions.md"
	// The examples of both pages use the Source and the references of the first.
	templatesPage = "../../../docs/templates.md"
	checksPage    = "../../../docs/template-checks.md"
)

// functionList is the generated part of the page: a row for each function with
// its aliases, and a row for all removed functions with the same advice.
func functionList() string {
	var b strings.Builder
	aliases := map[string]string{}
	for _, f := range Functions() {
		if f.AliasOf != "" {
			aliases[f.AliasOf] += fmt.Sprintf(", `%s`", f.Name)
		}
	}
	group := ""
	for _, f := range Functions() {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(&b, "\n### %s\n\n| function | description |\n|---|---|\n", group)
		}
		if f.AliasOf == "" {
			fmt.Fprintf(&b, "| `%s`%s | %s |\n", f.Usage, aliases[f.Name], f.Summary)
		}
	}
	names := map[string]string{}
	var advices []string
	for _, f := range RemovedFunctions() {
		if names[f.Advice] == "" {
			advices = append(advices, f.Advice)
			names[f.Advice] = fmt.Sprintf("`%s`", f.Name)
		} else {
			names[f.Advice] += fmt.Sprintf(", `%s`", f.Name)
		}
	}
	b.WriteString("\n### Functions that cannot be used\n\n| function | reason and alternative |\n|---|---|\n")
	for _, advice := range advices {
		fmt.Fprintf(&b, "| %s | %s |\n", names[advice], advice)
	}
	return b.String()
}

func TestThePageListsTheFunctions(t *testing.T) {
	const begin, end = "<!-- The list is generated: go test ./pkg/render/engine -run ThePage -update -->\n", "\n<!-- End of the list. -->"
	text, err := os.ReadFile(functionsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	listed, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the list of functions", functionsPage)
	}
	if *update {
		if err := os.WriteFile(functionsPage, []byte(before+begin+functionList()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(functionList(), listed); diff != "" {
		t.Errorf("the list is out of date; run the test with -update (-want +got)\n%s", diff)
	}
}

// TestThePagesTellTheTruth renders the examples of the pages: each block marked
// as a template is followed by a block with its output or its error.
func TestThePagesTellTheTruth(t *testing.T) {
	text := ""
	for _, page := range []string{templatesPage, checksPage} {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text += string(content)
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
	for _, block := range regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
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
	if examples < 15 {
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
