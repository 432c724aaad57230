package e2e

import (
	"regexp"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// goesOnWithin is how soon a policy goes on when this server has been given the rights
// that it lacked.
const goesOnWithin = 10 * time.Second

func TestRightsThatTheServerLacksAreToldWithTheRoleThatGivesThem(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "forbidden")
	p.kubectl(t, "create", "namespace", p.name)
	p.apply(t, p.manifests.crd.Object)
	must(t, p.WaitForTypes(t.Context(), p.manifests.crd.GetName()))
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	const lacking = "this server may not get, list or watch clusters.forbidden.mcp.io; allow it with: echo '"

	file := p.edited(t, nil)
	out, _ := p.plugin(t, 0, "lint", "--server", "-f", file)
	contains(t, out, "spec.source: warning: the policy waits: "+lacking)
	cmd := p.KubectlCommand(t.Context(), "apply", "-f", file)
	applied, err := cmd.CombinedOutput()
	must(t, err)
	contains(t, string(applied), "Warning: spec.source: the policy waits: "+lacking, "clusterimportpolicy.policy.clusterpedia.io/forbidden created")
	again, _ := p.plugin(t, 0, "lint", "--server", "-f", file)
	must(t, same("what lint says of what is stored", again, out))
	_, refused := p.plugin(t, 1, "render", p.name, "--all")
	contains(t, refused, "Error from server (Forbidden): "+lacking)
	_, refused = p.plugin(t, 1, "render", p.name, "--source", "one")
	contains(t, refused, "Error from server (Forbidden): "+lacking)
	p.waitForPolicyReady(t, patience, metav1.ConditionFalse, policyv1alpha1.ReasonSourcesUnavailable, lacking)

	policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
	must(t, err)
	ready := meta.FindStatusCondition(policy.Status.Conditions, policyv1alpha1.PolicyReady)
	command := regexp.MustCompile(`allow it with: (echo .* \| kubectl apply -f -)$`).FindStringSubmatch(ready.Message)
	if command == nil {
		t.Fatalf("there is no command at the end of: %s", ready.Message)
	}
	if out, err := p.shell(t.Context(), command[1]); err != nil {
		t.Fatalf("%s: %v: %s", command[1], err, out)
	}
	p.waitForPolicyReady(t, goesOnWithin, metav1.ConditionTrue, policyv1alpha1.ReasonImported)
	p.waitForToken(t, "one", "secret")
	out, errOut := p.plugin(t, 0, "lint", "--server", "-f", file)
	hides(t, out+errOut, "this server may not")
}
