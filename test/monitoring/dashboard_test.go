package monitoring

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// write writes the charts instead of comparing them, as make pictures does.
var write = flag.Bool("write", false, "write docs/images/dashboard.json anew")

// charts is what hack/pictures draws.
type charts struct {
	Title       string  `json:"title"`
	Description string  `json:"description"`
	Minutes     float64 `json:"minutes"`
	Panels      []chart `json:"panels"`
}

type chart struct {
	Title  string     `json:"title"`
	Type   string     `json:"type"`
	Unit   string     `json:"unit"`
	At     [2]float64 `json:"at"`
	Size   [2]float64 `json:"size"`
	Kind   string     `json:"kind,omitempty"`
	Series []line     `json:"series"`
}

type line struct {
	Name   string `json:"name"`
	Values string `json:"values"`
}

// chartStep is the time between two values of a chart.
const chartStep = 10 * time.Second

// The picture of the dashboard in the documentation is drawn from the dashboard, and from a run that a real
// server has gone through.
func TestTheChartsAreTheDashboardOfTheRecordedRun(t *testing.T) {
	const file = "../../docs/images/dashboard.json"
	run, _ := recorded(t)
	dashboard := readDashboard(t)
	drawn := charts{
		Title: dashboard.Title,
		Description: "The panels of artifacts/monitoring/dashboard.json with the metrics of a recorded run: two policies import clusters, " +
			"the rollout of an edit halts and is corrected, another is paused, a policy is suspended, and at the end removals are held.",
		Minutes: run.last.Sub(run.first).Minutes(),
	}
	for _, panel := range dashboard.Panels {
		drawn.Panels = append(drawn.Panels, panel.chart(t, run))
	}
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	must(t, encoder.Encode(drawn))
	if *write {
		must(t, os.WriteFile(file, want.Bytes(), 0o644))
		return
	}
	got, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the dashboard shows of the recorded run: run make pictures, and look at it", file)
	}
}

// chart evaluates the expressions of a panel.
func (p panel) chart(t *testing.T, run samples) chart {
	t.Helper()
	drawn := chart{Title: p.Title, Type: p.Type, Unit: p.FieldConfig.Defaults.Unit,
		At: [2]float64{p.GridPos.X, p.GridPos.Y}, Size: [2]float64{p.GridPos.W, p.GridPos.H}}
	for _, target := range p.Targets {
		for _, series := range run.query(t, target.Expr, chartStep) {
			values := map[int64]float64{}
			last := math.NaN()
			for _, point := range series.Floats {
				values[point.T], last = point.F, point.F
			}
			var words []string
			for at := run.first; !at.After(run.last); at = at.Add(chartStep) {
				value, found := values[at.UnixMilli()]
				words = append(words, word(value, found))
			}
			if p.Type == "stat" {
				words, drawn.Kind = words[len(words)-1:], p.kind(last)
			}
			if strings.Trim(strings.Join(words, ""), "-") != "" {
				drawn.Series = append(drawn.Series, line{legend(t, target.LegendFormat, series.Metric), strings.Join(words, " ")})
			}
		}
	}
	if len(drawn.Series) == 0 {
		t.Errorf("the panel %q shows nothing", p.Title)
	}
	return drawn
}

// word is a value with four digits, which do not depend on the processor, or a dash for none.
func word(value float64, found bool) string {
	if !found || math.IsNaN(value) || math.IsInf(value, 0) {
		return "-"
	}
	return strconv.FormatFloat(value, 'g', 4, 64)
}

// kind is the color of a stat, by its thresholds.
func (p panel) kind(value float64) string {
	color := ""
	for _, step := range p.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value == nil || value >= *step.Value {
			color = step.Color
		}
	}
	return map[string]string{"green": "calm", "orange": "notice", "red": "alarm"}[color]
}

var placeholder = regexp.MustCompile(`{{ *(\w+) *}}`)

// legend is the name of a series. A label that it does not have is an error here.
func legend(t *testing.T, format string, metric labels.Labels) string {
	t.Helper()
	return placeholder.ReplaceAllStringFunc(format, func(found string) string {
		name := placeholder.FindStringSubmatch(found)[1]
		if !metric.Has(name) {
			t.Errorf("the legend %q names %s, which %s does not have", format, name, metric)
		}
		return metric.Get(name)
	})
}

// What is drawn after another would hide it.
func TestThePanelsDoNotCoverEachOther(t *testing.T) {
	taken := map[string]string{}
	for _, panel := range readDashboard(t).Panels {
		at := panel.GridPos
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				cell := fmt.Sprint(x, " ", y)
				if other := taken[cell]; other != "" {
					t.Fatalf("%q is where %q is", panel.Title, other)
				}
				taken[cell] = panel.Title
			}
		}
	}
}
