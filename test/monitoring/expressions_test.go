package monitoring

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// all returns the expressions of the alerts and of the dashboard by what has them.
func all(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, rule := range rules(t) {
		found["the alert "+rule.Alert] = rule.Expr
	}
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			found["the panel "+panel.Title+", "+target.LegendFormat] = target.Expr
		}
	}
	if len(found) < 40 {
		t.Errorf("only %d expressions were found", len(found))
	}
	return found
}

func TestEveryExpressionReadsWhatTheServerExposes(t *testing.T) {
	run, _ := recorded(t)
	for where, expression := range all(t) {
		for _, problem := range unknown(t, run, expression) {
			t.Errorf("%s: %s", where, problem)
		}
	}
}

func TestWhatTheServerDoesNotExposeIsFound(t *testing.T) {
	run, _ := recorded(t)
	for expression, want := range map[string]string{
		`policy_apiserver_import > 0`:                                                   "there is no metric policy_apiserver_import",
		`sum(policy_apiserver_imports{policy="east",phase="Imports"})`:                  `no policy_apiserver_imports has phase="Imports"`,
		`policy_apiserver_imports{phase=~"Failed|Helt"}`:                                `no policy_apiserver_imports has phase="Helt"`,
		`policy_apiserver_policy_condition{reason!~"Suspended|RolledOut|RolloutPause"}`: `no policy_apiserver_policy_condition has reason="RolloutPause"`,
		`policy_apiserver_imports{state!="x"}`:                                          `no policy_apiserver_imports has a label state`,
		`sum by (name) (policy_apiserver_imports)`:                                      "nothing that is aggregated has a label name",
		`policy_apiserver_imports - ignoring (state) policy_apiserver_imports`:          "nothing that is matched has a label state",
	} {
		if got := unknown(t, run, expression); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, not %q", expression, got, want)
		}
	}
}

// unknown returns which metrics, labels and values of labels of an expression were not recorded.
func unknown(t *testing.T, run samples, expression string) (problems []string) {
	t.Helper()
	parsed, err := expressions.ParseExpr(expression)
	must(t, err)
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			problems = append(problems, unknownIn(run, node)...)
		case *parser.AggregateExpr:
			problems = append(problems, missing(run, node.Expr, node.Grouping, "aggregated")...)
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				problems = append(problems, missing(run, node, node.VectorMatching.MatchingLabels, "matched")...)
			}
		}
		return nil
	})
	return problems
}

// alternatives is a regular expression that is a list of values.
var alternatives = regexp.MustCompile(`^[\w|]+$`)

func unknownIn(run samples, selector *parser.VectorSelector) (problems []string) {
	series := run.named(selector.Name)
	if len(series) == 0 {
		return []string{"there is no metric " + selector.Name}
	}
	for _, matcher := range selector.LabelMatchers {
		if matcher.Name == labels.MetricName {
			continue
		}
		has := func(value string) bool {
			return slices.ContainsFunc(series, func(s promql.Series) bool {
				return s.Metric.Has(matcher.Name) && (value == "" || s.Metric.Get(matcher.Name) == value)
			})
		}
		var values []string
		switch {
		case alternatives.MatchString(matcher.Value):
			values = strings.Split(matcher.Value, "|")
		case matcher.Type == labels.MatchEqual || matcher.Type == labels.MatchNotEqual:
			values = []string{matcher.Value}
		}
		// What a run of another server would have, such as a verb, is no mistake if it is left out.
		if matcher.Type == labels.MatchNotEqual && !strings.HasPrefix(selector.Name, "policy_apiserver_") {
			values = nil
		}
		if !has("") {
			problems = append(problems, "no "+selector.Name+" has a label "+matcher.Name)
			continue
		}
		for _, value := range values {
			if !has(value) {
				problems = append(problems, "no "+selector.Name+" has "+matcher.Name+`="`+value+`"`)
			}
		}
	}
	return problems
}

// missing returns which of the labels no metric below the node has.
func missing(run samples, node parser.Node, names []string, how string) (problems []string) {
	for _, name := range names {
		found := false
		parser.Inspect(node, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok {
				for _, series := range run.named(selector.Name) {
					found = found || series.Metric.Has(name)
				}
			}
			return nil
		})
		if !found {
			problems = append(problems, "nothing that is "+how+" has a label "+name)
		}
	}
	return problems
}

// named are the series of a metric.
func (s samples) named(name string) (found []promql.Series) {
	for _, series := range s.series {
		if series.Metric.Get(labels.MetricName) == name {
			found = append(found, series)
		}
	}
	return found
}
