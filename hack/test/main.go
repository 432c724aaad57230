// Command test runs suites of tests, two at a time, and closes with one summary and
// the slowest tests. Each argument is a suite: its name, an equals sign, variables of
// the environment if there are any, and the arguments of `go test`.
//
//	go run ./hack/test "e2e=CGO_ENABLED=0 ./test/e2e/..." "unit=-race ./pkg/..."
//
// The whole output of a suite is kept in _output/test/NAME.log. It fails when a
// test fails, when a package cannot be built or run, and when a suite runs no
// test at all.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	logDir = "_output/test"
	// atATime is how many suites run at a time: the end-to-end tests mostly wait.
	atATime = 2
	// mostSlow is how many of the slowest tests the summary names.
	mostSlow = 10
)

func main() {
	if len(os.Args) == 1 {
		fmt.Fprintln(os.Stderr, `usage: go run ./hack/test "NAME=ARGUMENTS OF GO TEST" ...`)
		os.Exit(2)
	}
	var suites []*suite
	var wg sync.WaitGroup
	slots := make(chan struct{}, atATime)
	for _, arg := range os.Args[1:] {
		name, goTestArgs, _ := strings.Cut(arg, "=")
		s := &suite{name: name}
		suites = append(suites, s)
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := s.run(strings.Fields(goTestArgs)); err != nil {
				s.fail(s.name + ": " + err.Error())
			}
		})
	}
	wg.Wait()
	if failed := summarize(suites); failed {
		os.Exit(1)
	}
}

// variable is an assignment to a variable of the environment.
var variable = regexp.MustCompile(`^[A-Z_]+=`)

// suite is the outcome of one run of `go test`.
type suite struct {
	name    string
	passed  int
	failed  []string
	skipped []string
	slow    []slowTest
	took    time.Duration
}

type slowTest struct {
	name    string
	seconds float64
}

// event is what `go test -json` writes; see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
}

func (s *suite) run(args []string) error {
	began := time.Now()
	defer func() { s.took = time.Since(began) }()
	if err := os.MkdirAll(logDir, 0o755); err != nil {
		return err
	}
	file, _, _ := strings.Cut(s.name, " ")
	log, err := os.Create(filepath.Join(logDir, file+".log"))
	if err != nil {
		return err
	}
	defer log.Close()

	fmt.Printf("== %s: go test %s (output in %s)\n", s.name, strings.Join(args, " "), log.Name())
	variables := 0
	for variables < len(args) && variable.MatchString(args[variables]) {
		variables++
	}
	// -json is last, since -C has to be first.
	cmd := exec.Command("go", slices.Concat([]string{"test"}, args[variables:], []string{"-json"})...)
	cmd.Env = append(os.Environ(), args[:variables]...)
	// What does not come from a test: downloads, and patterns that match nothing.
	cmd.Stderr = io.MultiWriter(os.Stderr, log)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := s.read(stdout, log)
	runErr := cmd.Wait()
	if runErr != nil && len(s.failed) > 0 {
		runErr = nil // A failed test is the reason, and it is counted.
	}
	if runErr == nil && s.passed+len(s.failed) == 0 {
		runErr = errors.New("no test was run")
	}
	return errors.Join(readErr, runErr)
}

// read counts the tests in the events and prints how the suite gets on.
func (s *suite) read(events io.Reader, log io.Writer) error {
	// The output of each test, and of each package outside of its tests, until it has ended.
	output := map[string]string{}
	for decoder := json.NewDecoder(events); ; {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the events of go test: %w", err)
		}
		name := strings.TrimSpace(e.Package + " " + e.Test)
		switch e.Action {
		case "output", "build-output":
			output[name] += e.Output
			if _, err := io.WriteString(log, e.Output); err != nil {
				return err
			}
		case "pass", "fail", "skip":
			if e.Test == "" {
				s.packageEnded(e, output[name])
			} else {
				s.testEnded(e, name, output[name])
			}
			delete(output, name)
		case "build-fail":
			fmt.Print(output[""])
		}
	}
}

func (s *suite) testEnded(e event, name, output string) {
	switch e.Action {
	case "pass":
		s.passed++
	case "skip":
		s.skipped = append(s.skipped, name+": "+lastLine(output))
	case "fail":
		s.fail(name)
		fmt.Print(output)
	}
	// A test that takes long shows that the suite gets on.
	if !strings.Contains(e.Test, "/") && e.Elapsed >= 1 {
		fmt.Printf("   %s %s (%.1fs)\n", e.Action, e.Test, e.Elapsed)
		s.slow = append(s.slow, slowTest{e.Test, e.Elapsed})
	}
}

func (s *suite) packageEnded(e event, output string) {
	if e.Action == "skip" { // It has no test files.
		return
	}
	fmt.Printf("%s %s (%.1fs)\n", e.Action, e.Package, e.Elapsed)
	if e.Action == "fail" && !s.failedIn(e.Package) {
		s.fail(e.Package + " (not built, or ended outside of a test)")
		fmt.Print(output)
	}
}

func (s *suite) fail(name string) { s.failed = append(s.failed, name) }

func (s *suite) failedIn(pkg string) bool {
	for _, name := range s.failed {
		if strings.HasPrefix(name, pkg+" ") {
			return true
		}
	}
	return false
}

// lastLine returns the last line that a skipped test wrote before go test said
// that it was skipped: its reason.
func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(lines[i]); !strings.HasPrefix(line, "--- ") && !strings.HasPrefix(line, "=== ") {
			return line
		}
	}
	return "no reason given"
}

// summarize prints the table and reports whether anything has failed.
func summarize(suites []*suite) bool {
	var passed int
	var failed, skipped []string
	width := len("suite")
	for _, s := range suites {
		width = max(width, len(s.name))
	}
	fmt.Printf("\n%-*s  %7s %7s %7s %8s\n", width, "suite", "passed", "failed", "skipped", "seconds")
	for _, s := range suites {
		fmt.Printf("%-*s  %7d %7d %7d %8.1f\n", width, s.name, s.passed, len(s.failed), len(s.skipped), s.took.Seconds())
		passed += s.passed
		failed = append(failed, s.failed...)
		skipped = append(skipped, s.skipped...)
	}
	list("slowest", slowest(suites))
	list("failed", failed)
	list("skipped", skipped)
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", passed, len(failed), len(skipped))
	return len(failed) > 0
}

// slowest names the tests of all suites that took longest.
func slowest(suites []*suite) (names []string) {
	var slow []slowTest
	for _, s := range suites {
		slow = append(slow, s.slow...)
	}
	slices.SortFunc(slow, func(a, b slowTest) int { return cmp.Compare(b.seconds, a.seconds) })
	for _, test := range slow[:min(len(slow), mostSlow)] {
		names = append(names, fmt.Sprintf("%5.1fs %s", test.seconds, test.name))
	}
	return names
}

func list(title string, names []string) {
	if len(names) > 0 {
		fmt.Printf("\n%s:\n  %s\n", title, strings.Join(names, "\n  "))
	}
}
