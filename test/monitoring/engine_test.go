// Package monitoring evaluates the alerts and the dashboard of artifacts/monitoring
// with the PromQL engine of Prometheus. It is a Go module of its own, so that
// Prometheus is not in go.mod.
package monitoring

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"go.yaml.in/yaml/v2"
)

const (
	artifacts   = "../../artifacts/monitoring/"
	recordedRun = "testdata/run.yaml"
)

var (
	expressions = parser.NewParser(parser.Options{})
	engine      = promql.NewEngine(promql.EngineOpts{
		MaxSamples: 10_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true, Parser: expressions,
	})
)

// input is series and their values, one interval after the other, in the form of
// the unit tests of promtool.
type input struct {
	Start    time.Time      `yaml:"start"`
	Interval model.Duration `yaml:"interval"`
	Series   []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
}

// samples are series that can be queried.
type samples struct {
	series []promql.Series
	// first and last are the times of the first and the last sample.
	first, last time.Time
}

// load returns the series with the labels that Prometheus adds when it scrapes a replica.
func (i input) load(t *testing.T) samples {
	t.Helper()
	loaded := samples{first: i.Start, last: i.Start}
	for _, of := range i.Series {
		metric, values, err := expressions.ParseSeriesDesc(of.Series + " " + of.Values)
		must(t, err)
		series := promql.Series{Metric: scraped(metric)}
		for n, value := range values {
			at := i.Start.Add(time.Duration(n) * time.Duration(i.Interval))
			if !value.Omitted {
				series.Floats = append(series.Floats, promql.FPoint{T: at.UnixMilli(), F: value.Value})
			}
			if at.After(loaded.last) {
				loaded.last = at
			}
		}
		loaded.series = append(loaded.series, series)
	}
	return loaded
}

func scraped(metric labels.Labels) labels.Labels {
	b := labels.NewBuilder(metric)
	for name, value := range map[string]string{"job": "policy-apiserver", "instance": "10.0.0.1:8443"} {
		if !metric.Has(name) {
			b.Set(name, value)
		}
	}
	return b.Labels()
}

// query evaluates an expression from the first to the last sample.
func (s samples) query(t *testing.T, expression string, step time.Duration) promql.Matrix {
	t.Helper()
	q, err := engine.NewRangeQuery(context.Background(), s, nil, expression, s.first, s.last, step)
	must(t, err)
	defer q.Close()
	result := q.Exec(context.Background())
	if result.Err != nil {
		t.Fatalf("%s: %v", expression, result.Err)
	}
	// A warning or a note says that a function is used for what it is not made for.
	for _, problem := range result.Warnings.AsErrors() {
		t.Errorf("%s: %v", expression, problem)
	}
	matrix, err := result.Matrix()
	must(t, err)
	return matrix
}

// Querier implements storage.Queryable.
func (s samples) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		set := &seriesSet{at: -1}
		for _, series := range s.series {
			if matches(series.Metric, matchers) {
				set.series = append(set.series, series)
			}
		}
		return set
	}}, nil
}

func matches(metric labels.Labels, matchers []*labels.Matcher) bool {
	for _, matcher := range matchers {
		if !matcher.Matches(metric.Get(matcher.Name)) {
			return false
		}
	}
	return true
}

type seriesSet struct {
	series []promql.Series
	at     int
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *seriesSet) At() storage.Series                { return promql.NewStorageSeries(s.series[s.at]) }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// recorded is the run that make metrics-recording has recorded.
func recorded(t *testing.T) (samples, time.Duration) {
	t.Helper()
	var run input
	readYAML(t, recordedRun, &run)
	return run.load(t), time.Duration(run.Interval)
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	must(t, yaml.UnmarshalStrict(content, into))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dashboard is what is read of artifacts/monitoring/dashboard.json.
type dashboard struct {
	Title  string
	Panels []panel
}

type panel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H float64 }
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
		}
	}
	Targets []struct{ Expr, LegendFormat string }
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	content, err := os.ReadFile(artifacts + "dashboard.json")
	must(t, err)
	must(t, json.Unmarshal(content, &d))
	for i := range d.Panels {
		for j := range d.Panels[i].Targets {
			target := &d.Panels[i].Targets[j]
			target.Expr = strings.ReplaceAll(target.Expr, "$policy", ".*")
		}
	}
	return d
}
