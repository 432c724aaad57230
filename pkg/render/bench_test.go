package render

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// mcpSpec is the policy of test/mcp. With a kubeconfig, the
// endpoint and all credentials come in one key of the Secret.
func mcpSpec(b *testing.B, kubeconfig bool) *policyv1alpha1.ClusterImportPolicySpec {
	b.Helper()
	text, err := os.ReadFile("../../test/mcp/policy.yaml")
	if err != nil {
		b.Fatal(err)
	}
	var policy policyv1alpha1.ClusterImportPolicy
	if err := yaml.UnmarshalStrict(text, &policy); err != nil {
		b.Fatal(err)
	}
	if kubeconfig {
		before, rest, ok := strings.Cut(policy.Spec.Template, `  apiserver:`)
		_, after, ok2 := strings.Cut(rest, "  syncResources:")
		if !ok || !ok2 {
			b.Fatal("the example has another template: write its variant with a kubeconfig again")
		}
		policy.Spec.Template = before + `  kubeconfig: "{{ .references.authSecret.data.kubeconfig }}"` + "\n  syncResources:" + after
	}
	return &policy.Spec
}

// BenchmarkCompilePolicy is what a change of a policy costs, once for all its
// imports.
func BenchmarkCompilePolicy(b *testing.B) {
	spec := mcpSpec(b, false)
	b.ReportAllocs()
	for b.Loop() {
		if _, errs := Compile(spec); len(errs) > 0 {
			b.Fatal(errs.ToAggregate())
		}
	}
}

func mcpSource() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cluster.mcp.io/v1alpha1", "kind": "Cluster",
		"metadata": map[string]any{"name": "amsterdam", "uid": "source-uid", "resourceVersion": "12",
			"creationTimestamp": "2031-04-01T12:00:00Z", "labels": map[string]any{"region": "eu", "stage": "production"}},
		"spec": map[string]any{
			"apiEndpoint":   "https://amsterdam.example.com:6443",
			"authSecretRef": map[string]any{"namespace": "mcp-system", "name": "amsterdam-auth"},
		},
		"status": map[string]any{"conditions": []any{
			map[string]any{"type": "Provisioned", "status": "True", "reason": "Provisioned"},
			map[string]any{"type": "Ready", "status": "True", "reason": "Answers"},
		}},
	}}
}

func mcpSecret(data map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"namespace": "mcp-system", "name": "amsterdam-auth"},
		"data":     data,
	}}
}

// importing does what the import controller does for one import between its
// requests.
func importing(policy *Policy, source, secret, current *unstructured.Unstructured) (Plan, error) {
	selected, err := policy.Selects(source)
	if err != nil || !selected {
		return Plan{}, err
	}
	name, err := policy.Name(source)
	if err != nil {
		return Plan{}, err
	}
	conversion := policy.Convert(Inputs{
		Name: name, Source: source, Versions: []string{"v1"},
		Lookup: func(policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) { return secret, nil },
		Env:    engine.Env{Now: time.Date(2031, 4, 1, 12, 0, 0, 0, time.UTC), Seed: "lifecycle-uid"},
	})
	return conversion.Plan(Owner{Policy: "mcp", LifecycleUID: "lifecycle-uid", Source: policyv1alpha1.DependentResource{
		Group: "cluster.mcp.io", Version: "v1alpha1", Resource: "clusters", Name: "amsterdam"}}, current, nil), conversion.Err
}

// BenchmarkImport is one import from its Source to its plan: with two CAs of 1 KiB
// in all and a token of 900 bytes, and with a kubeconfig that holds these CAs, a
// client certificate and its key.
func BenchmarkImport(b *testing.B) {
	ca := strings.Repeat(certificateUntil(b, inJune), 2)
	token := strings.Repeat("a part of a token of nine hundred bytes.", 23)[:900]
	kubeconfig := func(expiry time.Time) string {
		cert, key := pairUntil(b, expiry)
		return kubeconfigOf(", certificate-authority-data: "+b64(ca), "client-certificate-data: "+b64(cert)+", client-key-data: "+b64(key))
	}
	for _, variant := range []struct {
		name            string
		kubeconfig      bool
		secret, rotated map[string]any
		changed         string // in spec, by the rotation
		from            string // of the Secret
	}{
		{"token", false, map[string]any{"ca": b64(ca), "token": b64(token)},
			map[string]any{"ca": b64(ca), "token": b64("new" + token[3:])}, "tokenData", "token"},
		{"kubeconfig", true, map[string]any{"kubeconfig": b64(kubeconfig(inMay))},
			map[string]any{"kubeconfig": b64(kubeconfig(inJune))}, "kubeconfig", "kubeconfig"},
	} {
		policy, errs := Compile(mcpSpec(b, variant.kubeconfig))
		if len(errs) > 0 {
			b.Fatal(errs.ToAggregate())
		}
		source, secret, rotated := mcpSource(), mcpSecret(variant.secret), mcpSecret(variant.rotated)
		created, err := importing(policy, source, secret, nil)
		if err != nil || created.Action != ActionCreate {
			b.Fatalf("%s: not created: %+v, %v", variant.name, created, err)
		}
		if got, _, _ := unstructured.NestedString(created.Object.Object, "spec", variant.changed); got != variant.secret[variant.from] {
			b.Fatalf("%s: spec.%s is not what the Secret has", variant.name, variant.changed)
		}
		current := created.Object
		current.SetUID("pedia-uid")
		current.SetResourceVersion("7")

		for _, test := range []struct {
			plan            string
			secret, current *unstructured.Unstructured
			action          Action
			changed         []string
		}{
			{"create", secret, nil, ActionCreate, nil},
			{"nothing", secret, current, ActionNone, nil},
			{"rotate", rotated, current, ActionUpdate, []string{"spec." + variant.changed}},
		} {
			b.Run("credentials="+variant.name+"/plan="+test.plan, func(b *testing.B) {
				plan, err := importing(policy, source, test.secret, test.current)
				if err != nil || plan.Action != test.action || !slices.Equal(plan.Changed, test.changed) {
					b.Fatalf("the plan is %s of %v, %v", plan.Action, plan.Changed, err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := importing(policy, source, test.secret, test.current); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
