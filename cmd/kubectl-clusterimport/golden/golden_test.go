package golden

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newCase copies the case "ready" of the example into a folder of its own.
func newCase(t *testing.T) Case {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "ready"), os.DirFS("../testdata/mcp/ready")); err != nil {
		t.Fatal(err)
	}
	policy, err := os.ReadFile("../testdata/mcp/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, policyFile), policy, 0o600); err != nil {
		t.Fatal(err)
	}
	cases, err := Find(dir)
	if err != nil || len(cases) != 1 || cases[0].Name != "ready" {
		t.Fatalf("cases are %+v: %v", cases, err)
	}
	return cases[0]
}

func TestAFolderIsFoundHoweverItIsNamed(t *testing.T) {
	dir := filepath.Dir(newCase(t).dir)
	for _, link := range []string{"link", "deep/link"} {
		if err := os.MkdirAll(filepath.Join(dir, "deep"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(dir, "ready"), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ in, name string }{
		{dir, "."}, {dir, "./"}, {dir, "ready"}, {dir, "ready/"}, {dir, "./ready"}, {dir, "ready//"}, {dir, "ready/.."}, {dir, "ready/../ready/"},
		{dir, "ready/source.yaml"}, {dir, "policy.yaml"}, {dir, "link"}, {dir, "link/"}, {dir, "deep/link"},
		{dir, filepath.Join(dir, "ready")}, {dir, dir + "/"},
		{filepath.Join(dir, "ready"), "."}, {filepath.Join(dir, "ready"), ".."}, {filepath.Join(dir, "ready"), "../ready/"},
		{filepath.Join(dir, "ready"), "source.yaml"}, {filepath.Join(dir, "ready", "references"), ".."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(test.in)
			cases, err := Find(test.name)
			if err != nil || len(cases) != 1 {
				t.Fatalf("cases are %+v: %v", cases, err)
			}
			if outcome := cases[0].Run(t.Context(), false); outcome.Name != "ready" || outcome.Failure != "" {
				t.Errorf("%s: %s", outcome.Name, outcome.Failure)
			}
		})
	}
}

func TestUpdateKeepsAnExpectationThatSaysTheSame(t *testing.T) {
	test := newCase(t)
	file := filepath.Join(test.dir, expectedFile)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	commented := "# Why it is so.\n" + string(text)
	if err := os.WriteFile(file, []byte(commented), 0o600); err != nil {
		t.Fatal(err)
	}
	if outcome := test.Run(t.Context(), true); outcome.Failure != "" || outcome.Updated {
		t.Errorf("outcome is %+v", outcome)
	}
	after, err := os.ReadFile(file)
	if err != nil || string(after) != commented {
		t.Errorf("the file was written: %v", err)
	}
}

func TestUpdateWritesWhatPassesThen(t *testing.T) {
	test := newCase(t)
	if err := os.WriteFile(filepath.Join(test.dir, expectedFile), []byte("action: None\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if outcome := test.Run(t.Context(), false); !strings.Contains(outcome.Failure, "-action: None") {
		t.Errorf("outcome is %+v", outcome)
	}
	if outcome := test.Run(t.Context(), true); outcome.Failure != "" || !outcome.Updated {
		t.Errorf("outcome is %+v", outcome)
	}
	if outcome := test.Run(t.Context(), false); outcome.Failure != "" || outcome.Updated {
		t.Errorf("outcome is %+v", outcome)
	}
}

func TestJUnit(t *testing.T) {
	var out bytes.Buffer
	err := WriteJUnit(&out, "cases", []Outcome{
		{Case: Case{Name: "good"}, Took: 2 * time.Millisecond},
		{Case: Case{Name: "bad"}, Took: time.Millisecond, Failure: "-a <b>\n+c & d\n"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="cases" tests="2" failures="1" time="0.003">
    <testcase classname="cases" name="good" time="0.002"></testcase>
    <testcase classname="cases" name="bad" time="0.001">
      <failure message="not as expected">-a &lt;b&gt;&#xA;+c &amp; d&#xA;</failure>
    </testcase>
  </testsuite>
</testsuites>
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
