package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// TestTemplatesAreCheckedAgainstTheTypesOfTheHost writes a policy with mistakes,
// corrects it, and has the platform rename a field.
func TestTemplatesAreCheckedAgainstTheTypesOfTheHost(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "fit")
	p.installType(t)
	within(t, time.Minute, "the host to publish the schema", func() error {
		document := p.kubectl(t, "get", "--raw", "/openapi/v3")
		return mentions(document, "apis/"+p.group+"/v1alpha1")
	})

	right := p.manifests.policy.DeepCopy()
	set(t, p.manifests.policy, "spec: {apiserver: '{{ .source.spec.apiEndpint }}', caData: '{{ .references.authSecret.data.ca.crt }}', "+
		"syncResources: [{group: '', resources: [pods]}]}", "spec", "template")
	warnings := p.warningsOf(t, &p.manifests.policy)
	contains(t, warnings,
		`Warning: spec.template: line 1, column 23: .source.spec.apiEndpint: clusters.fit.mcp.io/v1alpha1 has no "apiEndpint" in .source.spec; did you mean "apiEndpoint"?`,
		`write index .references.authSecret.data "ca.crt"`)
	p.waitForFit(t, metav1.ConditionFalse, policyv1alpha1.ReasonTypesDiffer, ".source.spec.apiEndpint", ".references.authSecret.data.ca.crt")

	if warnings := p.warningsOf(t, right); strings.Contains(warnings, "line 1") {
		t.Errorf("the policy of the example is warned of:\n%s", warnings)
	}
	p.waitForFit(t, metav1.ConditionTrue, policyv1alpha1.ReasonTypesFit)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForCondition(t, "one", policyv1alpha1.LifecycleReady, metav1.ConditionTrue)

	// The platform renames the field that the policy reads.
	versions, _, err := unstructured.NestedSlice(p.manifests.crd.Object, "spec", "versions")
	must(t, err)
	properties := versions[0].(map[string]any)["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)["properties"].(map[string]any)
	fields := properties["spec"].(map[string]any)["properties"].(map[string]any)
	fields["apiURL"] = fields["apiEndpoint"]
	delete(fields, "apiEndpoint")
	set(t, p.manifests.crd, versions, "spec", "versions")
	p.apply(t, p.manifests.crd.Object)
	p.waitForFit(t, metav1.ConditionFalse, policyv1alpha1.ReasonTypesDiffer, `has no "apiEndpoint" in .source.spec`, "apiURL")
}

// warningsOf applies an object, and returns what kubectl prints.
func (h *host) warningsOf(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	manifest, err := yaml.Marshal(object.Object)
	must(t, err)
	command := h.KubectlCommand(t.Context(), "apply", "-f", "-")
	command.Stdin = strings.NewReader(string(manifest))
	printed, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	return string(printed)
}

// waitForFit waits until the policy says so of its templates as they are.
func (p *platform) waitForFit(t *testing.T, status metav1.ConditionStatus, reason string, parts ...string) {
	t.Helper()
	within(t, 2*time.Minute, fmt.Sprintf("the condition TemplatesFit to be %s", status), func() error {
		policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		condition := meta.FindStatusCondition(policy.Status.Conditions, policyv1alpha1.PolicyTemplatesFit)
		if condition == nil || condition.ObservedGeneration != policy.Generation || condition.Status != status || condition.Reason != reason {
			return fmt.Errorf("it is %+v", condition)
		}
		return mentions(condition.Message, parts...)
	})
}
