package golden

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

const platforms = "../../../artifacts/platforms"

// TestThePlatformsConvertTheirClusters runs the golden cases of the platforms.
func TestThePlatformsConvertTheirClusters(t *testing.T) {
	for _, c := range platformCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if outcome := c.Run(t.Context(), false); outcome.Failure != "" {
				t.Error(outcome.Failure)
			}
		})
	}
}

// TestTheExampleConvertsItsClusters runs the golden cases of the example.
func TestTheExampleConvertsItsClusters(t *testing.T) {
	cases, err := Find("../../../artifacts/examples/oak")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if outcome := c.Run(t.Context(), false); outcome.Failure != "" {
			t.Errorf("%s: %s", outcome.Name, outcome.Failure)
		}
	}
}

// TestThePlatformsHaveCasesOfEveryKind looks for clusters of each platform that
// are imported, that are not ready, that are broken and that are being deleted.
// A PediaCluster must be one that Clusterpedia's schema admits.
func TestThePlatformsHaveCasesOfEveryKind(t *testing.T) {
	kinds := map[string][]string{} // by platform
	for _, c := range platformCases(t) {
		platform, _, _ := strings.Cut(c.Name, string(filepath.Separator))
		var result policyv1alpha1.RenderResult
		readYAML(t, filepath.Join(c.dir, expectedFile), &result)
		var source unstructured.Unstructured
		readYAML(t, filepath.Join(c.dir, sourceFile), &source.Object)

		kind := string(result.Action)
		if result.Action == policyv1alpha1.RenderError || result.Reason == policyv1alpha1.ReasonCredentialsMissing {
			kind = "broken"
		}
		if source.GetDeletionTimestamp() != nil {
			kind = "deleted"
			if result.Action == policyv1alpha1.RenderCreate {
				kind = "created while it is being deleted"
			}
		}
		kinds[platform] = append(kinds[platform], kind)

		if result.PediaCluster == nil {
			continue
		}
		var object unstructured.Unstructured
		if err := yaml.Unmarshal(result.PediaCluster.Raw, &object.Object); err != nil {
			t.Fatal(err)
		}
		if items, _, err := unstructured.NestedSlice(object.Object, "spec", "syncResources"); err != nil || len(items) == 0 {
			t.Errorf("%s: the PediaCluster has the syncResources %v: %v", c.Name, items, err)
		}
	}
	for _, platform := range platformNames(t) {
		for _, kind := range []string{string(policyv1alpha1.RenderCreate), "broken", "deleted"} {
			if !slices.Contains(kinds[platform], kind) {
				t.Errorf("%s has no case of a cluster that is %s: %v", platform, kind, kinds[platform])
			}
		}
	}
}

// TestKubeconfigsAreCheckedAlike compares the part of the templates that refuses
// kubeconfigs: a rule that one of them has, all have.
func TestKubeconfigsAreCheckedAlike(t *testing.T) {
	const begin, end = "{{- $kubeconfig := fromYaml", "names files: put their content into it"
	var first, of string
	checked := 0
	for _, platform := range platformNames(t) {
		var policy policyv1alpha1.ClusterImportPolicy
		readYAML(t, filepath.Join(platforms, platform, policyFile), &policy)
		template := policy.Spec.Template
		if !strings.Contains(template, "\n  kubeconfig: ") {
			continue
		}
		_, rules, _ := strings.Cut(template, begin)
		_, rules, _ = strings.Cut(rules, "\n") // whose data they read differs
		rules, _, found := strings.Cut(rules, end)
		if checked++; !found {
			t.Errorf("%s passes a kubeconfig on unchecked", platform)
			continue
		}
		if first == "" {
			first, of = rules, platform
		}
		if rules != first {
			t.Errorf("%s checks kubeconfigs like this:\n%s\nand %s like this:\n%s", platform, rules, of, first)
		}
	}
	if checked < 2 {
		t.Errorf("only %d platforms have kubeconfigs", checked)
	}
}

func platformCases(t *testing.T) []Case {
	t.Helper()
	cases, err := Find(platforms)
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

// platformNames are the folders of artifacts/platforms.
func platformNames(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(platforms)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
