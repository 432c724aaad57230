package review

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/typecheck"
	"github.com/clusterpedia-io/policy-apiserver/pkg/rights"
)

func lacking(resource string) string {
	return (&rights.Error{Resource: schema.GroupResource{Resource: resource}, Verbs: []string{"list", "watch"}}).Error()
}

func TestAWriteDoesNotWaitForAHostThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.host.permitted = func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		w.reviewer().Warnings(asAlice(t), "mcp", mcpSpec())
		if took := time.Since(began); took > warningTime {
			t.Errorf("it took %s", took)
		}
	})
}

func TestARoleThatIsAppliedTogetherWithThePolicyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		began := time.Now()
		w.host.permitted = func(context.Context, string) error {
			if time.Since(began) < aggregationTime/2 {
				return &rights.Error{Verbs: []string{"list"}}
			}
			return nil
		}
		if got := w.reviewer().Warnings(asAlice(t), "mcp", mcpSpec()); len(got) > 0 {
			t.Errorf("it warns: %q", got)
		}
	})
}

func TestWarnings(t *testing.T) {
	selecting := func(template string) func(*policy.ClusterImportPolicySpec) {
		return func(spec *policy.ClusterImportPolicySpec) { spec.Source.SelectorTemplate = template }
	}
	rollingOut := func(verify policy.RolloutVerification) func(*policy.ClusterImportPolicySpec) {
		return func(spec *policy.ClusterImportPolicySpec) {
			spec.Rollout = &policy.Rollout{First: &metav1.LabelSelector{MatchLabels: map[string]string{"stage": "test"}}, Verify: verify}
		}
	}
	readiness := func(spec *policy.ClusterImportPolicySpec) {
		rollingOut(policy.VerifyClusterReady)(spec)
		spec.Rollout.First = nil
	}
	const noCanary = "spec.rollout.first: it selects none of the Sources that this policy imports now, and an edit halts when that is still so (NoCanaries): " +
		"label the Source of a cluster that may be updated first, or correct the selector"
	for name, test := range map[string]struct {
		prepare func(*world)
		change  func(*policy.ClusterImportPolicySpec)
		want    []string
	}{
		"nothing to warn of": {nil, nil, nil},
		"types that are not served": {
			func(w *world) { w.host.types = nil }, nil,
			[]string{
				"spec.source: the host does not serve clusters.cluster.mcp.io: install what defines it; until then the policy waits",
				"spec.references[0]: the host does not serve secrets: install what defines it; until then the policy waits",
			}},
		"types that this server may not read": {
			func(w *world) { w.lack("clusters", "secrets") },
			func(spec *policy.ClusterImportPolicySpec) {
				spec.References = append(spec.References, spec.References[0])
			},
			[]string{
				"spec.source: the policy waits: " + lacking("clusters"),
				"spec.references[0]: the policy waits: " + lacking("secrets"),
			}},
		"a type that is not served yet, and that this server may not read": {
			func(w *world) { delete(w.host.types, "secrets"); w.lack("secrets") }, nil,
			[]string{
				"spec.references[0]: the policy waits: " + lacking("secrets"),
				"spec.references[0]: the host does not serve secrets: install what defines it; until then the policy waits",
			}},
		"a mistyped name needs no role": {
			func(w *world) {
				delete(w.host.types, "secrets")
				w.host.alike = []schema.GroupResource{{Resource: "configmaps"}}
				w.lack("secrets")
			}, nil,
			[]string{`spec.references[0]: the host does not serve secrets: install what defines it, or write resource "configmaps" of group ""; until then the policy waits`}},
		"rights that are not known": {
			func(w *world) {
				w.host.permitted = func(context.Context, string) error { return errors.New("no answer") }
			}, nil, nil},
		"a selector that lets nothing through": {
			nil, selecting("{{ false }}"),
			[]string{"spec.source: the selectors select none of the 3 clusters.cluster.mcp.io"}},
		"a selector that lets one through": {nil, selecting(`{{ eq .source.metadata.name "c1" }}`), nil},
		"a selector, and no Sources": {
			func(w *world) { w.host.objects = nil }, selecting("false"), nil},
		"a selector, and no permission to list": {
			func(w *world) { w.forbid("list clusters") }, selecting("false"), nil},
		"more Sources than are looked at": {
			func(w *world) {
				for i := range 600 {
					w.addCluster(fmt.Sprintf("m%d", i))
				}
			}, selecting("false"),
			[]string{"spec.source: the selectors select none of the first 500 clusters.cluster.mcp.io"}},
		"canaries that there are": {
			func(w *world) { w.host.objects["clusters /c1"].SetLabels(map[string]string{"stage": "test"}) }, rollingOut(""), nil},
		"no canary": {nil, rollingOut(""), []string{noCanary}},
		"a canary that is not imported": {
			func(w *world) { w.host.objects["clusters /c1"].SetLabels(map[string]string{"stage": "test"}) },
			func(spec *policy.ClusterImportPolicySpec) {
				rollingOut("")(spec)
				spec.Source.SelectorTemplate = `{{ ne .source.metadata.name "c1" }}`
			}, []string{noCanary}},
		"no canary, and no permission to list": {func(w *world) { w.forbid("list clusters") }, rollingOut(""), nil},
		"no canary, and no Sources":            {func(w *world) { w.host.objects = nil }, rollingOut(""), nil},
		"readiness that nobody tells": {
			func(w *world) { w.addImport("c0"); w.created(0, ""); w.addImport("c1"); w.created(1, "Unknown") }, readiness,
			[]string{"spec.rollout.verify: of the 2 clusters of this policy, the readiness of none is known, and an edit halts when that is still so " +
				"(ReadinessUnknown): run Clusterpedia, start the server with --probe-clusters, or set verify to Written"}},
		"readiness that somebody tells":         {func(w *world) { w.addImport("c0"); w.created(0, "False") }, readiness, nil},
		"readiness of what is not created yet":  {func(w *world) { w.addImport("c0") }, readiness, nil},
		"readiness that the author may not see": {func(w *world) { w.addImport("c0"); w.created(0, ""); w.forbid("list pediaclusterlifecycles") }, readiness, nil},
		"templates that do not fit the types": {
			func(w *world) {
				text := &typecheck.Type{Kind: typecheck.Text}
				w.host.schemas = map[string]*typecheck.Object{
					"secrets": typecheck.Builtin("", "secrets"),
					"clusters": {Name: "clusters.cluster.mcp.io/v1", Root: &typecheck.Type{Kind: typecheck.Map, Fields: map[string]*typecheck.Type{
						"spec": {Kind: typecheck.Map, Fields: map[string]*typecheck.Type{"apiEndpoint": text}}}}},
				}
			},
			func(spec *policy.ClusterImportPolicySpec) {
				spec.NameTemplate = "mcp"
				spec.References[0].NameTemplate = "{{ .source.spec.apiEndpoint }}"
				spec.Template = "spec: {apiserver: {{ .source.spec.endpoint }}, tokenData: {{ .references.secret.stringData.token }}, syncResources: []}"
			},
			[]string{
				`spec.template: line 1, column 22: .source.spec.endpoint: clusters.cluster.mcp.io/v1 has no "endpoint" in .source.spec; did you mean "apiEndpoint"? It has: apiEndpoint`,
				`spec.template: line 1, column 62: .references.secret.stringData.token: secrets/v1 has no "stringData" in .references.secret; the API server returns what was written there in data, in base64`,
			}},
		"a name that does not use the namespace": {
			func(w *world) {
				clusters := w.host.types["clusters"]
				clusters.Namespaced = true
				w.host.types["clusters"] = clusters
			}, nil,
			[]string{"spec.nameTemplate: clusters.cluster.mcp.io have a namespace, which the name does not use: " +
				"of two with the same name in different namespaces only one is imported"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			for i := range 3 {
				w.addCluster(fmt.Sprintf("c%d", i))
			}
			if test.prepare != nil {
				test.prepare(w)
			}
			spec := mcpSpec()
			if test.change != nil {
				test.change(spec)
			}
			if diff := cmp.Diff(test.want, w.reviewer().Warnings(asAlice(t), "mcp", spec)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, call := range w.host.calls {
				if !strings.HasPrefix(call, "list clusters") {
					t.Errorf("it also did %q", call)
				}
			}
		})
	}
}
