package monitoring

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
	"go.yaml.in/yaml/v2"
)

// rules are those of alerts.yaml, checked as Prometheus checks a file of rules.
func rules(t *testing.T) (found []rulefmt.Rule) {
	t.Helper()
	var manifest struct {
		APIVersion string         `yaml:"apiVersion"`
		Kind       string         `yaml:"kind"`
		Metadata   map[string]any `yaml:"metadata"`
		Spec       any            `yaml:"spec"`
	}
	readYAML(t, artifacts+"alerts.yaml", &manifest)
	spec, err := yaml.Marshal(manifest.Spec)
	must(t, err)
	groups, errs := rulefmt.Parse(spec, false, model.UTF8Validation, expressions, promslog.NewNopLogger())
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.FailNow()
	}
	for _, group := range groups.Groups {
		found = append(found, group.Rules...)
	}
	return found
}

// alertCase is series that make an alert fire at a time, or do not.
type alertCase struct {
	Name  string         `yaml:"name"`
	Alert string         `yaml:"alert"`
	At    model.Duration `yaml:"at"`
	// Fires is the summaries of the alerts; none where it does not fire.
	Fires []string `yaml:"fires"`
	input `yaml:",inline"`
}

func cases(t *testing.T) (found []alertCase) {
	t.Helper()
	readYAML(t, "testdata/alerts.yaml", &found)
	return found
}

func TestAlerts(t *testing.T) {
	byName := map[string]rulefmt.Rule{}
	for _, rule := range rules(t) {
		byName[rule.Alert] = rule
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range cases(t) {
		t.Run(test.Alert+": "+test.Name, func(t *testing.T) {
			rule, found := byName[test.Alert]
			if !found {
				t.Fatal("there is no such alert")
			}
			fires[test.Alert] = fires[test.Alert] || len(test.Fires) > 0
			silent[test.Alert] = silent[test.Alert] || len(test.Fires) == 0
			test.Start = time.Unix(1_800_000_000, 0)
			if test.Interval == 0 {
				test.Interval = model.Duration(time.Minute)
			}
			series := test.load(t)
			series.last = test.Start.Add(time.Duration(test.At))
			got := series.firing(t, rule)
			if want := slices.Sorted(slices.Values(test.Fires)); !slices.Equal(got, want) {
				t.Errorf("it fires %q, not %q", got, want)
			}
		})
	}
	for name := range byName {
		if !fires[name] || !silent[name] {
			t.Errorf("%s has no case in which it fires, or none in which it does not", name)
		}
	}
}

// evaluation is the time between two evaluations of a rule.
const evaluation = 30 * time.Second

// firing returns the summaries of the alerts that fire at the last sample: those whose
// expression has had a result for the whole time that the rule demands.
func (s samples) firing(t *testing.T, rule rulefmt.Rule) (summaries []string) {
	t.Helper()
	for _, result := range s.query(t, rule.Expr, evaluation) {
		// With the label of a replica it would end and begin again when the leader changes.
		if result.Metric.Has("policy") && result.Metric.Len() > 1 {
			t.Errorf("%s is about a policy, and has the labels %s", rule.Alert, result.Metric)
		}
		last := s.last.UnixMilli()
		since, at := last, last
		value, present := 0.0, false
		for _, point := range slices.Backward(result.Floats) {
			if point.T != at {
				break
			}
			if !present {
				value, present = point.F, true
			}
			since, at = point.T, point.T-evaluation.Milliseconds()
		}
		if present && last-since >= time.Duration(rule.For).Milliseconds() {
			for name, text := range rule.Annotations {
				if expanded := expand(t, text, result.Metric, value); name == "summary" {
					summaries = append(summaries, expanded)
				}
			}
		}
	}
	slices.Sort(summaries)
	return summaries
}

// expand fills in an annotation as Prometheus does. A label that the result does not have is an error here.
func expand(t *testing.T, text string, metric labels.Labels, value float64) string {
	t.Helper()
	const variables = `{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}`
	data := template.AlertTemplateData(metric.Map(), nil, "", promql.Sample{F: value})
	expanded, err := template.NewTemplateExpander(context.Background(), variables+text, "annotation", data, 0, nil,
		&url.URL{}, []string{"missingkey=error"}).Expand()
	must(t, err)
	return expanded
}

// The series of the cases are such as the server exposes.
func TestTheCasesOfAlertsHaveMetricsOfTheServer(t *testing.T) {
	run, _ := recorded(t)
	exposed := map[string]bool{}
	for _, series := range run.series {
		exposed[form(series.Metric)] = true
	}
	for _, test := range cases(t) {
		for _, series := range test.load(t).series {
			if !exposed[form(series.Metric)] {
				t.Errorf("%s: %s: the server exposes no %s", test.Alert, test.Name, form(series.Metric))
			}
		}
	}
}

// form is the name of a metric and of its labels.
func form(metric labels.Labels) string {
	names := slices.Sorted(maps.Keys(metric.Map()))
	return fmt.Sprintf("%s{%s}", metric.Get(labels.MetricName), strings.Join(names[1:], ","))
}

// Of what happens in the recorded run, two things need a person.
func TestTheRecordedRunFiresWhatItShould(t *testing.T) {
	run, _ := recorded(t)
	fired := map[string]bool{}
	for _, rule := range rules(t) {
		all := run
		for all.last = run.first; !all.last.After(run.last); all.last = all.last.Add(evaluation) {
			for _, summary := range all.firing(t, rule) {
				fired[rule.Alert+": "+summary] = true
			}
		}
	}
	want := []string{
		"ClusterImportRemovalsHeld: Policy east would remove more PediaClusters than its maxPrune allows",
		"ClusterImportRolloutHalted: The rollout of policy east has halted",
	}
	if got := slices.Sorted(maps.Keys(fired)); !slices.Equal(got, want) {
		t.Errorf("these alerts fire: %q, not %q", got, want)
	}
}
