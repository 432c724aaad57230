package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/testutil"

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
	must(t, p.createCluster(t.Context(), "one", jwt(expiry), true))
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

// jwt returns a token that expires then, as those of ServiceAccounts say.
func jwt(expiry int64) string {
	return "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, expiry)) + ".c2ln"
}
