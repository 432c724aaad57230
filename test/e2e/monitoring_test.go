package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/testutil"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const monitoring = artifacts + "/monitoring/"

func TestTheMetricsTellOfAPolicyUntilItIsGone(t *testing.T) {
	p := shared.newPlatform(t, "metered")
	p.installType(t)
	set(t, p.manifests.policy, `{{ if eq .source.metadata.name "two" }}{{ fail "broken" }}{{ end }}true`, "spec", "creationCondition")
	set(t, p.manifests.policy, map[string]any{}, "spec", "rollout")
	p.apply(t, p.manifests.policy.Object)
	expiry := time.Now().Add(2 * time.Hour).Unix()
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, expiry))
	must(t, p.createCluster(t.Context(), "one", "e30."+claims+".c2ln", true))
	p.waitForCondition(t, "one", policyv1alpha1.LifecycleReady, metav1.ConditionTrue)

	must(t, p.createCluster(t.Context(), "two", "secret", true))

	client := p.metricsClient(t)
	var metrics testutil.Metrics
	eventually(t, "the metrics tell of both clusters", func() (err error) {
		if metrics, err = scrape(client); err != nil {
			return err
		}
		for _, want := range []struct {
			series string
			value  float64
		}{
			{`policy_apiserver_imports{phase="Imported", policy="metered"}`, 1},
			{`policy_apiserver_imports{phase="Failed", policy="metered"}`, 1},
			{`policy_apiserver_sources{policy="metered"}`, 2},
			{`policy_apiserver_policy_condition{condition="Ready", policy="metered", reason="Failures", status="false"}`, 1},
			{`policy_apiserver_held_removals{policy="metered"}`, 0},
			{`policy_apiserver_rollout_imports{policy="metered", state="verified"}`, 2},
			{`policy_apiserver_credentials_expiring{policy="metered", within="expired"}`, 0},
			{`policy_apiserver_credentials_expiring{policy="metered", within="1d"}`, 1},
			{`policy_apiserver_credentials_expiring{policy="metered", within="30d"}`, 1},
			{`policy_apiserver_credentials_earliest_expiration_timestamp_seconds{policy="metered"}`, float64(expiry)},
			{`policy_apiserver_leader`, 1},
		} {
			if got := series(metrics)[want.series]; got != want.value {
				return fmt.Errorf("%s is %v, want %v", want.series, got, want.value)
			}
		}
		return nil
	})
	values := series(metrics)
	for _, name := range []string{"propagation_duration_seconds_count", "render_duration_seconds_count"} {
		if values[`policy_apiserver_`+name+`{policy="metered"}`] < 1 {
			t.Errorf("%s counts nothing", name)
		}
	}
	if sum := values[`policy_apiserver_propagation_duration_seconds_sum{policy="metered"}`]; sum <= 0 || sum > patience.Seconds() {
		t.Errorf("propagation took %v seconds", sum)
	}
	dashboardAndAlertsReadWhatIsThere(t, metrics)
	everyMetricIsExplained(t, metrics)

	must(t, p.policy.PolicyV1alpha1().ClusterImportPolicies().Delete(t.Context(), p.name, metav1.DeleteOptions{}))
	eventually(t, "the metrics forget the policy", func() error {
		metrics, err := scrape(client)
		if err != nil {
			return err
		}
		for name := range series(metrics) {
			if strings.Contains(name, `policy="metered"`) {
				return fmt.Errorf("there still is %s", name)
			}
		}
		return nil
	})
}

func TestMetricsAreNotForEverybody(t *testing.T) {
	response, err := shared.metricsClient(t, func(config *rest.Config) { config.CertFile, config.KeyFile = "", "" }).get()
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusForbidden && response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger is answered %s", response.Status)
	}
}

// metricsClient reads the metrics of the server itself: the aggregator does not
// lead there.
type metricsClient struct {
	*http.Client
	url string
}

func (c metricsClient) get() (*http.Response, error) { return c.Get(c.url) }

// metricsClient returns a client of the administrator, unless changed.
func (h *host) metricsClient(t *testing.T, change ...func(*rest.Config)) metricsClient {
	t.Helper()
	service, err := h.objects.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}).
		Get(t.Context(), devcluster.APIServiceName, metav1.GetOptions{})
	must(t, err)
	ca, err := base64.StdEncoding.DecodeString(text(service, "spec", "caBundle"))
	must(t, err)
	port, _, err := unstructured.NestedInt64(service.Object, "spec", "service", "port")
	must(t, err)

	config := h.Config()
	config.CAFile, config.CAData = "", ca
	for _, f := range change {
		f(config)
	}
	client, err := rest.HTTPClientFor(config)
	must(t, err)
	return metricsClient{Client: client, url: fmt.Sprintf("https://127.0.0.1:%d/metrics", port)}
}

func scrape(client metricsClient) (testutil.Metrics, error) {
	response, err := client.get()
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s: %s", response.Status, body)
	}
	metrics := testutil.NewMetrics()
	return metrics, testutil.ParseMetrics(string(body), &metrics)
}

// series are the values by name and labels.
func series(metrics testutil.Metrics) map[string]float64 {
	values := map[string]float64{}
	for _, samples := range metrics {
		for _, sample := range samples {
			values[sample.Metric.String()] = float64(sample.Value)
		}
	}
	return values
}

// everyMetricIsExplained fails the test unless the README lists what is exposed,
// and no more.
func everyMetricIsExplained(t *testing.T, metrics testutil.Metrics) {
	t.Helper()
	readme, err := os.ReadFile(monitoring + "README.md")
	must(t, err)
	listed := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `(policy_apiserver_\\w+)` \\|").FindAllStringSubmatch(string(readme), -1) {
		listed[match[1]] = false
	}
	for name := range metrics {
		if !strings.HasPrefix(name, "policy_apiserver_") {
			continue
		}
		name = regexp.MustCompile(`_seconds_(bucket|sum|count)$`).ReplaceAllString(name, "_seconds")
		if _, ok := listed[name]; !ok {
			t.Errorf("the README does not explain %s", name)
		}
		listed[name] = true
	}
	for name, exposed := range listed {
		if !exposed {
			t.Errorf("the README explains %s, which there is not", name)
		}
	}
}

var (
	quoted    = regexp.MustCompile(`"[^"]*"`)
	selectors = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}`)
	matchers  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	notNames  = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	nameLike  = regexp.MustCompile(`\b[a-zA-Z_:][\w:]*\b\s*\(?`)
	operators = []string{"and", "or", "unless", "bool", "offset"}
)

// metricNames returns the metrics that a PromQL expression reads.
func metricNames(expression string) (found []string) {
	expression = notNames.ReplaceAllString(quoted.ReplaceAllString(expression, ""), " ")
	for _, name := range nameLike.FindAllString(expression, -1) {
		if name = strings.TrimSpace(name); !strings.HasSuffix(name, "(") && !slices.Contains(operators, name) {
			found = append(found, name)
		}
	}
	return found
}

func TestMetricNamesAreFoundInAnExpression(t *testing.T) {
	for expression, want := range map[string][]string{
		`histogram_quantile(0.99, sum by (policy, le) (rate(a_bucket{x=~"$y"}[5m]))) > 1e3`: {"a_bucket"},
		`a{b="c"} - ignoring (b) d{e="{f}"} > 0`:                                            {"a", "d"},
		`sum(a) < 1 or absent(b) and c - time() unless on (x) d offset 5m`:                  {"a", "b", "c", "d"},
	} {
		if got := metricNames(expression); !slices.Equal(got, want) {
			t.Errorf("%s reads %v, want %v", expression, got, want)
		}
	}
}

// dashboardAndAlertsReadWhatIsThere fails the test when an expression reads a
// metric, a label or a value of a label that there is not.
func dashboardAndAlertsReadWhatIsThere(t *testing.T, metrics testutil.Metrics) {
	t.Helper()
	for _, expression := range expressions(t) {
		for _, name := range metricNames(expression) {
			if len(metrics[name]) == 0 {
				t.Errorf("there is no metric %s, which is read by %s", name, expression)
			}
		}
		for _, selector := range selectors.FindAllStringSubmatch(expression, -1) {
			for _, matcher := range matchers.FindAllStringSubmatch(selector[2], -1) {
				label, operator, value := matcher[1], matcher[2], matcher[3]
				if label == "job" {
					continue // from Prometheus
				}
				matches := func(got string) bool { return got != "" }
				switch {
				case operator == "=":
					matches = func(got string) bool { return got == value }
				case operator == "=~" && !strings.HasPrefix(value, "$"):
					matches = regexp.MustCompile("^(" + value + ")$").MatchString
				}
				found := false
				for _, sample := range metrics[selector[1]] {
					for key, got := range sample.Metric {
						found = found || string(key) == label && matches(string(got))
					}
				}
				if !found {
					t.Errorf("%s matches nothing in %s", matcher[0], expression)
				}
			}
		}
	}
}

// expressions are those of the dashboard and of the alerts.
func expressions(t *testing.T) (found []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	content, err := os.ReadFile(monitoring + "dashboard.json")
	must(t, err)
	must(t, json.Unmarshal(content, &dashboard))
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			found = append(found, target.Expr)
		}
	}
	var alerts struct {
		Spec struct {
			Groups []struct {
				Rules []struct{ Alert, Expr string }
			}
		}
	}
	content, err = os.ReadFile(monitoring + "alerts.yaml")
	must(t, err)
	must(t, yaml.UnmarshalStrict(content, &map[string]any{}))
	must(t, yaml.Unmarshal(content, &alerts))
	for _, group := range alerts.Spec.Groups {
		for _, rule := range group.Rules {
			found = append(found, rule.Expr)
		}
	}
	if len(found) < 25 {
		t.Errorf("only %d expressions were found", len(found))
	}
	return found
}
