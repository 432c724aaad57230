package apiserver

import (
	"testing"

	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func TestTheShippedAuditPolicyKeepsAnswersToRenderOut(t *testing.T) {
	rules, err := policy.LoadPolicyFromFile("../../artifacts/audit-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	evaluator := policy.NewPolicyRuleEvaluator(rules)

	for _, test := range []struct {
		caller, verb, resource, subresource string
		want                                auditinternal.Level
	}{
		{"alice", "create", "clusterimportpolicies", "render", auditinternal.LevelMetadata},
		{"alice", "get", "pediaclusterlifecycles", "render", auditinternal.LevelMetadata},
		{"alice", "create", "pediaclusterlifecycles", "render", auditinternal.LevelMetadata},
		{"alice", "create", "clusterimportpolicies", "", auditinternal.LevelRequest},
		{"alice", "delete", "pediaclusterlifecycles", "", auditinternal.LevelRequest},
		{"alice", "list", "pediaclusterlifecycles", "", auditinternal.LevelMetadata},
		{user.APIServerUser, "create", "pediaclusterlifecycles", "", auditinternal.LevelNone},
	} {
		got := evaluator.EvaluatePolicyRule(&authorizer.AttributesRecord{
			User: &user.DefaultInfo{Name: test.caller}, Verb: test.verb, ResourceRequest: true,
			APIGroup: "policy.clusterpedia.io", Resource: test.resource, Subresource: test.subresource,
		})
		if got.Level != test.want {
			t.Errorf("%s %ss %s/%s at level %s, want %s", test.caller, test.verb, test.resource, test.subresource, got.Level, test.want)
		}
	}
}
