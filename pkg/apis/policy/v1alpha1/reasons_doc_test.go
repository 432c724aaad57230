package v1alpha1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const statusPage = "../../../../docs/status.md"

// documented are the tables of docs/status.md that list constants, by the
// headings above them.
var documented = map[string]struct {
	file string
	// block is how the comment on the const declaration begins.
	block string
	// also are names that this table may have beside those of its own block.
	also string
}{
	"Phases":                    {"types.go", "", ""},
	"Conditions of a lifecycle": {"types.go", "Condition types of a PediaClusterLifecycle.", ""},
	"Conditions of a policy":    {"types.go", "Condition types of a ClusterImportPolicy.", ""},
	"Reasons of a lifecycle":    {"reasons.go", "Reasons of the conditions of a lifecycle.", ""},
	"Reasons of a policy":       {"reasons.go", "Reasons of the conditions of a policy.", "Reasons of the conditions of a lifecycle."},
}

func TestTheStatusPageHasEveryPhaseConditionAndReason(t *testing.T) {
	page, err := os.ReadFile(statusPage)
	if err != nil {
		t.Fatal(err)
	}
	tables := firstCells(string(page))
	blocks := map[string]map[string]string{} // of both files
	for _, file := range []string{"types.go", "reasons.go"} {
		maps.Copy(blocks, constants(t, file))
	}
	for heading, want := range documented {
		block := blocks[want.block]
		if len(block) == 0 {
			t.Errorf("%s has no constants under a comment that begins with %q: correct the comment, or this test", want.file, want.block)
		}
		for value, name := range block {
			if !slices.Contains(tables[heading], value) {
				t.Errorf("docs/status.md: the table under %q lacks a row for `%s` (%s in %s): say what it means and what to do",
					heading, value, name, want.file)
			}
		}
		for _, value := range tables[heading] {
			if block[value] == "" && (want.also == "" || blocks[want.also][value] == "") {
				t.Errorf("docs/status.md: the table under %q has `%s`, which is no constant in %s: remove the row, or add the constant",
					heading, value, want.file)
			}
		}
	}
}

// constants are the names of the string constants of a file by their values, by
// the first line of the comment on their declaration. Those of type
// LifecyclePhase are under "".
func constants(t *testing.T, file string) map[string]map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]map[string]string{}
	for _, decl := range parsed.Decls {
		block, ok := decl.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		comment, _, _ := strings.Cut(block.Doc.Text(), "\n")
		for _, spec := range block.Specs {
			spec := spec.(*ast.ValueSpec)
			typed, _ := spec.Type.(*ast.Ident)
			if (comment == "") != (typed != nil && typed.Name == "LifecyclePhase") {
				continue
			}
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if blocks[comment] == nil {
				blocks[comment] = map[string]string{}
			}
			blocks[comment][value] = spec.Names[0].Name
		}
	}
	return blocks
}

var firstCell = regexp.MustCompile("^\\| `([A-Za-z]+)` \\|")

// firstCells are the words in the first column of the tables, by the heading
// above them.
func firstCells(page string) map[string][]string {
	cells, heading := map[string][]string{}, ""
	for line := range strings.Lines(page) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			heading = strings.TrimSpace(title)
		} else if cell := firstCell.FindStringSubmatch(line); cell != nil {
			cells[heading] = append(cells[heading], cell[1])
		}
	}
	return cells
}
