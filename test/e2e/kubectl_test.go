package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// kubectlPlatform is a platform with one imported cluster.
func kubectlPlatform(t *testing.T, name string) *platform {
	t.Helper()
	p := shared.installPlatform(t, name)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForCondition(t, "one", policyv1alpha1.LifecycleReady, metav1.ConditionTrue)
	return p
}

func TestKubectlExplainAnswersForEveryField(t *testing.T) {
	contains(t, shared.kubectl(t, "explain", "clusterimportpolicy.spec.source"),
		"selectorTemplate", "versions are the versions", "group is the API group")
	contains(t, shared.kubectl(t, "explain", "pediaclusterlifecycle.status"), "conditions", "references")

	var document struct {
		Components struct {
			Schemas map[string]struct {
				Description string
				Properties  map[string]struct{ Description string }
			}
		}
	}
	openAPI := shared.kubectl(t, "get", "--raw", "/openapi/v3/apis/policy.clusterpedia.io/v1alpha1")
	must(t, json.Unmarshal([]byte(openAPI), &document))
	checked := 0
	for name, schema := range document.Components.Schemas {
		if !strings.Contains(name, "policy-apiserver.pkg.apis.policy.v1alpha1.") &&
			!strings.Contains(name, "clusterpedia.policy.v1alpha1.") {
			continue
		}
		for field, property := range schema.Properties {
			if property.Description == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
			checked++
		}
	}
	if checked == 0 {
		t.Errorf("none of our types in the OpenAPI document: it has %d others", len(document.Components.Schemas))
	}
}

func TestKubectlAppliesOnTheServerSide(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "serverside")
	contains(t, p.apply(t, p.manifests.policy.Object, "--server-side", "--force-conflicts"), "serverside-applied")

	p.apply(t, lifecycleLabels(p, "team", "red"), "--server-side")
	lifecycle, err := p.lifecycle(t.Context(), "one")
	must(t, err)
	must(t, same("its label", lifecycle.Labels["team"], "red"))
}

func TestKubectlDiffShowsWhatWouldChange(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "diffed")
	set(t, p.manifests.policy, "{{ eq .source.metadata.name \"one\" }}", "spec", "source", "selectorTemplate")
	contains(t, diff(t, p.manifests.policy.Object), "+    selectorTemplate:")
	contains(t, diff(t, lifecycleLabels(p, "team", "red"), "--server-side"), "+    team: red")
}

// Case 18: what a manifest says explicitly is served back.
func TestASecondKubectlApplyChangesNothing(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "unchanged")
	p.installType(t)
	set(t, p.manifests.policy, []any{}, "spec", "source", "versions")
	set(t, p.manifests.policy, "", "spec", "source", "selectorTemplate")
	set(t, p.manifests.policy, map[string]any{"matchLabels": map[string]any{}, "matchExpressions": []any{}}, "spec", "source", "labelSelector")
	set(t, p.manifests.policy, "", "spec", "deletionCondition")
	set(t, p.manifests.policy, false, "spec", "suspend")
	for _, references := range []any{p.manifests.policy.Object["spec"].(map[string]any)["references"], []any{}} {
		set(t, p.manifests.policy, references, "spec", "references")
		set(t, p.manifests.policy, "spec: {apiserver: 'https://a'}", "spec", "template")
		p.apply(t, p.manifests.policy.Object)
		contains(t, p.apply(t, p.manifests.policy.Object), " unchanged")
		for _, flags := range [][]string{nil, {"--server-side", "--force-conflicts"}} {
			p.apply(t, p.manifests.policy.Object, flags...)
			text, err := json.Marshal(p.manifests.policy.Object)
			must(t, err)
			out, err := p.Kubectl(t.Context(), strings.NewReader(string(text)), append([]string{"diff", "-f", "-"}, flags...)...)
			if err != nil || out != "" {
				t.Errorf("kubectl diff %v: %v\n%s", flags, err, out)
			}
		}
	}
}

func TestKubectlWaitsForReady(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "awaited")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	shared.kubectl(t, "wait", "--for=create", "--timeout=60s", "pediaclusterlifecycle/awaited-one")
	shared.kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "pediaclusterlifecycle/awaited-one")
	shared.kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "clusterimportpolicy/awaited")
}

func TestKubectlWatches(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "watched")
	policies := watch(t, "clusterimportpolicy", "watched")
	lifecycles := watch(t, "pediaclusterlifecycle", "--field-selector=policy=watched")
	waitForLine(t, policies, "watched")
	waitForLine(t, lifecycles, "watched-one")

	must(t, p.createCluster(t.Context(), "two", "secret", true))
	waitForLine(t, lifecycles, "watched-two")
	waitForLine(t, policies, "watched") // Its counts have changed.
}

func TestKubectlSelectsByLabel(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "labelled")
	must(t, p.createCluster(t.Context(), "two", "secret", true))
	p.waitForCondition(t, "two", policyv1alpha1.LifecycleReady, metav1.ConditionTrue)
	shared.kubectl(t, "label", "clusterimportpolicy", "labelled", "pick=this")
	shared.kubectl(t, "label", "pediaclusterlifecycle", "labelled-two", "pick=this")

	names(t, []string{"clusterimportpolicy.policy.clusterpedia.io/labelled"}, "cip", "-l", "pick=this")
	names(t, []string{"pediaclusterlifecycle.policy.clusterpedia.io/labelled-two"}, "pcl", "-l", "pick=this")
}

func TestKubectlSelectsByField(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "fields")
	must(t, p.createCluster(t.Context(), "two", "secret", true))
	p.waitForCondition(t, "two", policyv1alpha1.LifecycleReady, metav1.ConditionTrue)

	const one, two = "pediaclusterlifecycle.policy.clusterpedia.io/fields-one", "pediaclusterlifecycle.policy.clusterpedia.io/fields-two"
	names(t, []string{"clusterimportpolicy.policy.clusterpedia.io/fields"}, "cip", "--field-selector=metadata.name=fields")
	names(t, []string{one, two}, "pcl", "--field-selector=policy=fields")
	names(t, []string{one, two}, "pcl", "--field-selector=spec.source.group=fields.mcp.io,spec.source.resource=clusters,spec.source.namespace=")
	names(t, []string{two}, "pcl", "--field-selector=policy=fields,spec.source.name=two")
	names(t, []string{one}, "pcl", "--field-selector=metadata.name=fields-one")
	names(t, []string{one, two}, "pcl", "--field-selector=policy=fields,status.phase=Imported")
	names(t, nil, "pcl", "--field-selector=policy=fields,status.phase!=Imported")
}

func TestKubectlListsInPages(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "pages")
	must(t, p.createCluster(t.Context(), "two", "secret", true))
	p.waitForCondition(t, "two", policyv1alpha1.LifecycleReady, metav1.ConditionTrue)
	names(t, []string{
		"pediaclusterlifecycle.policy.clusterpedia.io/pages-one",
		"pediaclusterlifecycle.policy.clusterpedia.io/pages-two",
	}, "pcl", "--field-selector=policy=pages", "--chunk-size=1")
}

func TestADryRunChangesNothing(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "dry")
	p.apply(t, p.manifests.policy.Object, "--dry-run=server")
	_, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
	must(t, gone(err))
}

func TestTablesTellAtAGlance(t *testing.T) {
	t.Parallel()
	kubectlPlatform(t, "glance")
	contains(t, shared.kubectl(t, "get", "cip", "glance"),
		"NAME", "SOURCE", "SELECTED", "CREATED", "FAILED", "READY", "AGE", "clusters.glance.mcp.io")
	contains(t, shared.kubectl(t, "get", "pcl", "glance-one"),
		"NAME", "PHASE", "REASON", "READY", "VERSION", "AGE", "glance-one", "Imported", policyv1alpha1.ReasonCreated)
	contains(t, shared.kubectl(t, "get", "clusterpedia"), "clusterimportpolicy", "pediaclusterlifecycle")
}

// lifecycleLabels is what a user applies to label the lifecycle of the cluster "one".
func lifecycleLabels(p *platform, label, value string) map[string]any {
	return map[string]any{
		"apiVersion": policyv1alpha1.SchemeGroupVersion.String(),
		"kind":       "PediaClusterLifecycle",
		"metadata": map[string]any{
			"name":   p.pediaClusterName("one"),
			"labels": map[string]any{label: value},
		},
	}
}

// diff runs kubectl diff, which must find a difference, and returns it.
func diff(t *testing.T, object any, flags ...string) string {
	t.Helper()
	text, err := json.Marshal(object)
	must(t, err)
	out, err := shared.Kubectl(t.Context(), strings.NewReader(string(text)), append([]string{"diff", "-f", "-"}, flags...)...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("kubectl diff found no difference: %v", err)
	}
	return out
}

// names fails the test unless kubectl get lists exactly these objects.
func names(t *testing.T, want []string, args ...string) {
	t.Helper()
	got := shared.kubectl(t, append([]string{"get", "-o", "name"}, args...)...)
	if strings.TrimSpace(got) != strings.Join(want, "\n") {
		t.Errorf("kubectl get %s lists:\n%swant:\n%s", strings.Join(args, " "), got, strings.Join(want, "\n"))
	}
}

// watch runs kubectl get -w until the test ends and returns its lines.
func watch(t *testing.T, args ...string) *bufio.Scanner {
	t.Helper()
	cmd := shared.KubectlCommand(t.Context(), append([]string{"get", "-w", "--no-headers"}, args...)...)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		// It was killed when the test's context ended.
		_ = cmd.Wait()
	})
	return bufio.NewScanner(out)
}

// waitForLine reads lines until one begins with the name of the object.
func waitForLine(t *testing.T, lines *bufio.Scanner, name string) {
	t.Helper()
	found := make(chan bool, 1)
	go func() {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), name+" ") {
				found <- true
				return
			}
		}
		found <- false
	}()
	select {
	case ok := <-found:
		if !ok {
			t.Fatalf("kubectl get -w ended without a line for %s", name)
		}
	case <-time.After(patience):
		t.Fatalf("no line for %s within %s", name, patience)
	}
}
