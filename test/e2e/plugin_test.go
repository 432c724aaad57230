package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

const pluginTestdata = "../../cmd/kubectl-clusterimport/testdata/mcp"

// plugin runs kubectl clusterimport, which must end with that exit code, and
// returns what it prints.
func plugin(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	return shared.plugin(t, code, args...)
}

func (h *host) plugin(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	bin, err := filepath.Abs(binDir)
	must(t, err)
	var out, errOut bytes.Buffer
	cmd := h.KubectlCommand(t.Context(), append([]string{"clusterimport"}, args...)...)
	cmd.Env = append(cmd.Env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("kubectl clusterimport %s ended with %d, want %d:\n%s%s", strings.Join(args, " "), got, code, &out, &errOut)
	}
	return out.String(), errOut.String()
}

// pluginPlatform is a platform with a cluster that is imported and one that is
// not ready.
func pluginPlatform(t *testing.T, name string) *platform {
	t.Helper()
	p := shared.installPlatform(t, name)
	must(t, p.createCluster(t.Context(), "one", "the token of one", true))
	must(t, p.createCluster(t.Context(), "two", "the token of two", false))
	p.waitForCondition(t, "one", policyv1alpha1.LifecycleReady, metav1.ConditionTrue)
	p.waitForCondition(t, "two", policyv1alpha1.LifecycleReady, metav1.ConditionFalse)
	// Its status follows its imports.
	p.waitForPolicyReady(t, patience, metav1.ConditionTrue, policyv1alpha1.ReasonImported)
	return p
}

// edited writes the policy of the platform with a change to a file.
func (p *platform) edited(t *testing.T, value any, path ...string) string {
	t.Helper()
	policy := unstructured.Unstructured{Object: p.manifests.policy.DeepCopy().Object}
	if len(path) > 0 {
		set(t, policy, value, path...)
	}
	text, err := yaml.Marshal(policy.Object)
	must(t, err)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	must(t, os.WriteFile(file, text, 0o600))
	return file
}

// hides fails the test if the text has one of the parts.
func hides(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("%q is shown in:\n%s", part, text)
		}
	}
}

func TestPluginRenders(t *testing.T) {
	p := pluginPlatform(t, "plugin-render")
	token := base64.StdEncoding.EncodeToString([]byte("the token of one"))

	all, _ := plugin(t, 0, "render", p.name, "--chunk-size=1")
	contains(t, all, "plugin-render-one", "plugin-render-two", "None (PediaClusterCreated)", "Wait (WaitingForCondition)",
		`secrets "plugin-render/one-auth": found`, "apiserver: https://one.example.com:6443", "2 Sources, 2 selected: None 1, Wait 1")
	hides(t, all, token)

	one, _ := plugin(t, 0, "render", p.name, "--source", "one", "--include-credentials", "-o", "json")
	var review policyv1alpha1.RenderReview
	must(t, json.Unmarshal([]byte(one), &review))
	must(t, same("kind", review.Kind, "RenderReview"))
	must(t, same("action", string(review.Status.Results[0].Action), "None"))
	contains(t, string(review.Status.Results[0].PediaCluster.Raw), token)

	names, _ := plugin(t, 0, "render", p.name, "--all", "-o", "name")
	must(t, same("names", names, "pediacluster.cluster.clusterpedia.io/plugin-render-one\npediacluster.cluster.clusterpedia.io/plugin-render-two\n"))

	edit, _ := plugin(t, 0, "render", "-f", p.edited(t, "{{ .source.spec.ready }}", "spec", "source", "selectorTemplate"), "--all")
	contains(t, edit, "2 Sources, 0 selected", "Delete (SourceDeselected)")

	waiting, _ := plugin(t, 0, "render", "-f", p.edited(t, "spec: {{ .source.spec.nope.deep }}", "spec", "template"), "--source", "one")
	contains(t, waiting, "Wait (WaitingForValue)", "spec.template:1:10:", "it has: apiEndpoint, authSecretRef")

	failing, _ := plugin(t, 1, "render", "-f", p.edited(t, `spec: {{ fail "for a reason" }}`, "spec", "template"), "--source", "one")
	contains(t, failing, "Error (TemplateFailed)", "spec.template:1:10:", "for a reason")

	_, missing := plugin(t, 1, "render", "no-such-policy")
	contains(t, missing, "Error from server (NotFound)", "no-such-policy")
}

func TestPluginDiffs(t *testing.T) {
	t.Parallel()
	p := pluginPlatform(t, "plugin-diff")
	token := base64.StdEncoding.EncodeToString([]byte("the token of one"))

	out, _ := plugin(t, 0, "diff", "-f", p.edited(t, nil))
	contains(t, out, "policy plugin-diff: 0 to create, 0 to update, 0 to delete; 1 unchanged, 1 waiting")

	out, _ = plugin(t, 1, "diff", "-f", p.edited(t, "true", "spec", "creationCondition"))
	contains(t, out, "--- /dev/null", "+++ merged/pediacluster/plugin-diff-two", "+  apiserver: https://two.example.com:6443",
		"+  tokenData: '***'", "1 to create, 0 to update, 0 to delete")

	out, _ = plugin(t, 1, "diff", "-f", p.edited(t,
		"spec:\n  apiserver: https://proxy/{{ .source.metadata.name }}\n  tokenData: Y2hhbmdlZA==\n", "spec", "template"))
	contains(t, out, "-  apiserver: https://one.example.com:6443", "+  apiserver: https://proxy/one",
		"-  tokenData: '*** (before)'", "+  tokenData: '*** (after)'", "-  caData: '***'", "0 to create, 1 to update, 0 to delete")
	hides(t, out, token, "Y2hhbmdlZA", "-  syncResources", "-    created-for")

	out, _ = plugin(t, 1, "diff", "-f", p.edited(t, "false", "spec", "source", "selectorTemplate"))
	contains(t, out, "--- live/pediacluster/plugin-diff-one", "+++ /dev/null", "0 to create, 0 to update, 1 to delete")
	hides(t, out, token)

	out, _ = plugin(t, 1, "diff", "-f", p.edited(t, "renamed-{{ .source.metadata.name }}", "spec", "nameTemplate"))
	contains(t, out, "+++ merged/pediacluster/renamed-one", "--- live/pediacluster/plugin-diff-one", "1 to create, 0 to update, 1 to delete")

	out, _ = plugin(t, 0, "diff", "-f", p.edited(t, true, "spec", "suspend"))
	contains(t, out, "suspended")

	_, errOut := plugin(t, 2, "diff", "-f", p.edited(t, "{{", "spec", "template"))
	contains(t, errOut, "policy.yaml:", "spec.template")

	_, errOut = plugin(t, 2, "diff", "--as=somebody", "-f", p.edited(t, nil))
	contains(t, errOut, "Error from server (Forbidden)")

	// What the diff foretold has not been done.
	p.waitForToken(t, "one", "the token of one")
}

func TestPluginExplains(t *testing.T) {
	t.Parallel()
	p := pluginPlatform(t, "plugin-explain")
	out, _ := plugin(t, 0, "explain", "plugin-explain-one")
	contains(t, out, "✓ Policy", "✓ Source", "✓ Selector", "✓ Name", `✓ Reference           authSecret: secrets "plugin-explain/one-auth"`,
		"✓ Creation condition", "✓ PediaCluster", "- Cluster", "Imported.")

	out, _ = plugin(t, 0, "explain", "plugin-explain-two")
	const why = `line 4: eq .status "True" was false for the one item of .source.status.conditions with eq .type "Ready"`
	contains(t, out, "… Creation condition", "✗ PediaCluster", "Not imported. WaitingForCondition: creationCondition is not true yet: "+why,
		`✓ ne .source.spec.apiEndpoint ""`, `✗ eq .status "True"`, `false: .status is "False"`)
	lifecycle, err := p.lifecycle(t.Context(), "two")
	must(t, err)
	contains(t, meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady).Message, why)
	review := p.render(t, policyv1alpha1.RenderReviewSpec{Source: source("two"), Trace: true})
	if traces := review.Status.Results[0].Traces; len(traces) != 1 || traces[0].Why != why || len(traces[0].Steps) != 4 {
		t.Errorf("the trace of the review: %+v", traces)
	}

	out, _ = plugin(t, 1, "explain", "one")
	contains(t, out, `There is no PediaClusterLifecycle "one"`, "kubectl clusterimport explain plugin-explain-one")

	out, _ = plugin(t, 1, "explain", "plugin-explain-none")
	contains(t, out, "No policy reports a failure", "kubectl clusterimport render plugin-explain")

	// Two Sources of one name: the second has no lifecycle.
	p.applyPolicy(t, "plugin-explain-{{ .source.metadata.name | trunc 3 }}", "spec", "nameTemplate")
	must(t, p.createCluster(t.Context(), "one-more", "the token of one-more", true))
	eventually(t, "the failure is in the policy's status", func() error {
		text := shared.kubectl(t, "get", "cip", p.name, "-o", "jsonpath={.status.failures[*].name}")
		return same("failures", text, "one-more")
	})
	out, _ = plugin(t, 1, "explain", "one-more")
	contains(t, out, "✗ one-more has no lifecycle under policy plugin-explain: NameTaken")
}

// applyPolicy applies the policy of the platform with a change.
func (p *platform) applyPolicy(t *testing.T, value any, path ...string) {
	t.Helper()
	set(t, p.manifests.policy, value, path...)
	p.apply(t, p.manifests.policy.Object)
}

func TestPluginLints(t *testing.T) {
	t.Parallel()
	_, errOut := plugin(t, 0, "lint", "-f", artifacts+"/examples/oak")
	contains(t, errOut, "1 policy checked, 0 errors", "CustomResourceDefinition")

	// What lint says is what the server says.
	p := shared.newPlatform(t, "plugin-lint")
	set(t, p.manifests.policy, "{{ .references.nope }}", "spec", "template")
	_, refused := p.tryApply(t, p.manifests.policy.Object, "--dry-run=server")
	out, _ := plugin(t, 1, "lint", "-f", p.edited(t, nil))
	_, message, _ := strings.Cut(strings.TrimSpace(out), "spec.template: ")
	contains(t, refused.Error(), message)
}

func TestPluginTests(t *testing.T) {
	out, _ := plugin(t, 0, "test", pluginTestdata)
	contains(t, out, "ok       ready", ", 0 failed, 0 updated")
}

func TestPluginCompletes(t *testing.T) {
	t.Parallel()
	pluginPlatform(t, "plugin-complete")
	dir := t.TempDir()
	bin, err := filepath.Abs(binDir)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "kubectl_complete-clusterimport"),
		[]byte("#!/bin/sh\nexec kubectl-clusterimport __complete \"$@\"\n"), 0o700))
	cmd := shared.KubectlCommand(t.Context(), "__complete", "clusterimport", "explain", "plugin-complete")
	cmd.Env = append(cmd.Env, "PATH="+strings.Join([]string{dir, bin, os.Getenv("PATH")}, string(os.PathListSeparator)))
	out, err := cmd.Output()
	must(t, err)
	contains(t, string(out), "plugin-complete-one\n", "plugin-complete-two\n")
}

func TestPluginTellsItsVersion(t *testing.T) {
	out, _ := plugin(t, 0, "version")
	contains(t, out, "Plugin Version:", "Go Version: go1.")
}
