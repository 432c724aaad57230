package golden

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"
)

// The elements of a JUnit report, as far as those who read them agree.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Seconds  string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Suite   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Seconds string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the outcomes as a JUnit report with one suite.
func WriteJUnit(w io.Writer, suite string, outcomes []Outcome) error {
	report := junitSuite{Name: suite, Tests: len(outcomes)}
	var took time.Duration
	for _, outcome := range outcomes {
		took += outcome.Took
		line := junitCase{Suite: suite, Name: outcome.Name, Seconds: seconds(outcome.Took)}
		if outcome.Failure != "" {
			report.Failures++
			line.Failure = &junitFailure{Message: "not as expected", Text: outcome.Failure}
		}
		report.Cases = append(report.Cases, line)
	}
	report.Seconds = seconds(took)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(junitSuites{Suites: []junitSuite{report}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
