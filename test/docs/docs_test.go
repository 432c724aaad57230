// Package docs tests the documentation as a whole: what it links to and names has
// to be there.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// pages returns the text of every page in Markdown, by its path from the top.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "_output" || entry.Name() == ".git"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("only %d pages were found", len(found))
	}
	return found
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
	// notInAnchors is what a forge leaves out of the anchor of a heading.
	notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns what a link to a heading of the page may end with.
func anchors(page string) map[string]bool {
	found := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		found[anchorOf(match[1])] = true
	}
	return found
}

// anchorOf returns the anchor that a forge gives to a heading.
func anchorOf(heading string) string {
	return strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := pages(t)
	for path, page := range all {
		for _, match := range link.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s: %v", path, match[1], err)
			} else if linked, isPage := all[file]; isPage && anchor != "" && !anchors(linked)[anchor] {
				t.Errorf("%s links to %s: there is no such heading", path, match[1])
			}
		}
	}
}

var (
	declared = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	named    = regexp.MustCompile("`(Test[A-Z]\\w+)`")
)

func TestEveryTestThatIsNamedExists(t *testing.T) {
	tests := map[string]bool{}
	for _, folder := range []string{"cmd", "pkg", "test", "hack"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, match := range declared.FindAllStringSubmatch(string(text), -1) {
				tests[match[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	count := 0
	for path, page := range pages(t) {
		for _, match := range named.FindAllStringSubmatch(page, -1) {
			if count++; !tests[match[1]] {
				t.Errorf("%s names %s, which there is not", path, match[1])
			}
		}
	}
	if count == 0 {
		t.Error("no test is named")
	}
}

// repositoryPath is what looks like a file or folder of this repository.
var repositoryPath = regexp.MustCompile("`((?:\\.github|artifacts|cmd|docs|hack|pkg|test)/[\\w./-]+)`")

func TestThePathsInTheGuideForContributorsExist(t *testing.T) {
	guide := pages(t)[filepath.Join(root, "CONTRIBUTING.md")]
	matches := repositoryPath.FindAllStringSubmatch(guide, -1)
	if len(matches) < 20 {
		t.Errorf("only %d paths were found", len(matches))
	}
	for _, match := range matches {
		if _, err := os.Stat(filepath.Join(root, match[1])); err != nil {
			t.Errorf("CONTRIBUTING.md: %v", err)
		}
	}
}

var (
	goFile = regexp.MustCompile("`([\\w/-]+\\.go)`")
	// codeRow is a row of a table whose last cell names files, and identifier a name of Go in it.
	codeRow    = regexp.MustCompile("(?m)^\\|.*\\.go` \\|$")
	identifier = regexp.MustCompile("`([A-Za-z]\\w+)`")
)

func TestTheFilesAndFunctionsInTheArchitectureExist(t *testing.T) {
	page := pages(t)[filepath.Join(root, "docs/architecture.md")]
	read := func(file string) string {
		if !strings.Contains(file, "/") {
			file = "pkg/controller/" + file
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Errorf("architecture.md: %v", err)
		}
		return string(text)
	}
	for _, match := range goFile.FindAllStringSubmatch(page, -1) {
		read(match[1])
	}
	names := 0
	for _, row := range codeRow.FindAllString(page, -1) {
		code := ""
		for _, match := range goFile.FindAllStringSubmatch(row, -1) {
			code += read(match[1])
		}
		for _, match := range identifier.FindAllStringSubmatch(row, -1) {
			names++
			if declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type )` + match[1] + `\b`); !declared.MatchString(code) {
				t.Errorf("architecture.md: the files of this row do not declare %s: %s", match[1], row)
			}
		}
	}
	if names < 15 {
		t.Errorf("only %d names were found", names)
	}
}

// makeTarget is a target that the documentation tells to make.
var makeTarget = regexp.MustCompile(`(?m)(?:^    |\x60|\(|run: )make ([a-z][a-z -]*)`)

func TestEveryMakeTargetExists(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(string(makefile), -1) {
		targets[match[1]] = true
	}
	readme := pages(t)[filepath.Join(root, "README.md")]
	for path, page := range pages(t) {
		for _, match := range makeTarget.FindAllStringSubmatch(page, -1) {
			for _, target := range strings.Fields(match[1]) {
				if !targets[target] {
					t.Errorf("%s says make %s, which there is not", path, target)
				}
			}
		}
	}
	for _, command := range []string{"make quickstart", "make test"} {
		if !strings.Contains(readme, "    "+command+" ") {
			t.Errorf("README.md does not tell to %s", command)
		}
	}
}

const monitoring = root + "/artifacts/monitoring/"

// Whoever is woken by an alert finds what to do, and no alert that there is not.
func TestEveryAlertHasARunbookEntry(t *testing.T) {
	alerts := names(t, monitoring+"alerts.yaml", regexp.MustCompile(`(?m)^ +- alert: (\w+)$`))
	runbook := names(t, root+"/docs/operations.md", regexp.MustCompile("(?m)^\\| `((?:Cluster|PolicyAPIServer)\\w+)` \\|"))
	if len(alerts) < 10 {
		t.Fatalf("only %d alerts were found", len(alerts))
	}
	for alert := range alerts {
		if !runbook[alert] {
			t.Errorf("docs/operations.md does not say what to do about the alert %s", alert)
		}
	}
	for alert := range runbook {
		if !alerts[alert] {
			t.Errorf("docs/operations.md has an entry for %s, and there is no such alert", alert)
		}
	}
}

// Every metric of this server is drawn, or somebody is woken by it.
func TestEveryMetricIsOnTheDashboardOrInAnAlert(t *testing.T) {
	series := regexp.MustCompile(`(policy_apiserver_[a-z_]*[a-z])`)
	listed := names(t, monitoring+"README.md", regexp.MustCompile("(?m)^\\| `(policy_apiserver_\\w+)` \\|"))
	drawn, alerts := names(t, monitoring+"dashboard.json", series), names(t, monitoring+"alerts.yaml", series)
	if len(listed) < 10 {
		t.Fatalf("only %d metrics were found", len(listed))
	}
	for metric := range listed {
		if !drawn[metric] && !drawn[metric+"_bucket"] && !alerts[metric] {
			t.Errorf("%s is neither on the dashboard nor in an alert", metric)
		}
	}
}

// names are what the pattern finds in a file.
func names(t *testing.T, file string, pattern *regexp.Regexp) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, match := range pattern.FindAllStringSubmatch(string(text), -1) {
		found[match[1]] = true
	}
	return found
}
