package author

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const root = "../../../.."

var (
	testName    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	testFunc    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	permitted   = regexp.MustCompile("^\\| `([a-z0-9./, -]+)`: ([a-z, ]+) \\|")
	tableRow    = regexp.MustCompile(`^\|.*\|$`)
	headOfTable = "| can or cannot |"
)

func securityPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(root + "/docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// eachFile calls f with the content of every file below folder whose name ends so.
func eachFile(t *testing.T, folder, suffix string, f func(content []byte)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		content, err := os.ReadFile(path)
		f(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEachLineOfTheThreatModelIsShownByATest(t *testing.T) {
	var tests []string
	for _, folder := range []string{"cmd", "pkg", "test"} {
		eachFile(t, folder, "_test.go", func(content []byte) {
			for _, found := range testFunc.FindAllSubmatch(content, -1) {
				tests = append(tests, string(found[1]))
			}
		})
	}

	lines, inTable := 0, false
	for line := range strings.Lines(securityPage(t)) {
		line = strings.TrimSpace(line)
		names := testName.FindAllStringSubmatch(line, -1)
		for _, name := range names {
			if !slices.Contains(tests, name[1]) {
				t.Errorf("docs/security.md names %s, and there is no such test", name[1])
			}
		}
		switch {
		case !tableRow.MatchString(line):
			inTable = false
		case strings.HasPrefix(line, headOfTable):
			inTable = true
		case inTable && !strings.HasPrefix(line, "|---"):
			lines++
			if len(names) == 0 {
				t.Errorf("docs/security.md: no test shows that %s", line)
			}
		}
	}
	if lines == 0 {
		t.Error("docs/security.md has no lines: correct the page, or this test")
	}
}

func TestThePermissionsOfTheServerAreExplained(t *testing.T) {
	granted, roles := map[string]string{}, 0
	eachFile(t, "artifacts/deploy", ".yaml", func(content []byte) {
		for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(string(content)), 4096); ; {
			var role rbacv1.ClusterRole
			if err := decoder.Decode(&role); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Log(err) // a patch is no object
				}
				return
			}
			namespaced := role.Kind == "Role" && strings.HasPrefix(role.Name, "policy-apiserver")
			if !namespaced && (role.Kind != "ClusterRole" || !strings.HasPrefix(role.Name, "clusterpedia:policy-apiserver")) {
				continue
			}
			roles++
			for _, rule := range role.Rules {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						key := schema.GroupResource{Group: group, Resource: resource}.String()
						if len(rule.ResourceNames) > 0 {
							key += "/" + strings.Join(rule.ResourceNames, ",")
						}
						if namespaced {
							key += " in " + role.Namespace
						}
						verbs := strings.Join(rule.Verbs, ", ")
						if others := granted[key]; others != "" {
							verbs = others + ", " + verbs // in the order of the files
						}
						granted[key] = verbs
					}
				}
			}
		}
	})
	if roles != 8 {
		t.Fatalf("%d roles of the server in artifacts/deploy, want 8", roles)
	}
	explained := map[string]string{}
	for line := range strings.Lines(securityPage(t)) {
		if row := permitted.FindStringSubmatch(line); row != nil {
			explained[row[1]] = row[2]
		}
	}
	if diff := cmp.Diff(granted, explained); diff != "" {
		t.Errorf("docs/security.md: the table of permissions: -granted +explained:\n%s", diff)
	}
}
