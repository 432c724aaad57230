package app

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

const livePediaCluster = `
apiVersion: cluster.clusterpedia.io/v1alpha2
kind: PediaCluster
metadata:
  name: mcp-blue
  uid: 6f0f
  resourceVersion: "7"
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: SECRET
    policy.clusterpedia.io/created-for: mcp/clusters.mcp.io/fleet/blue
    team: red
  managedFields: [{manager: somebody}]
  ownerReferences:
  - {apiVersion: policy.clusterpedia.io/v1alpha1, kind: PediaClusterLifecycle, name: mcp-blue, uid: old}
spec:
  apiserver: https://before
  caData: SECRET
  keyData: SECRET
  tokenData: SECRET
  syncResources: [{group: apps, resources: [deployments]}]
status:
  version: v1.36.3
`

func TestDiffs(t *testing.T) {
	source := policyv1alpha1.SourceName{Namespace: "fleet", Name: "blue"}
	for _, tt := range []struct {
		name   string
		result policyv1alpha1.RenderResult
	}{
		{name: "update", result: policyv1alpha1.RenderResult{Selected: true,
			PediaCluster: &runtime.RawExtension{Raw: []byte(`{"apiVersion":"cluster.clusterpedia.io/v1alpha2","kind":"PediaCluster","spec":{"apiserver":"https://after","caData":"digest","tokenData":"digest","certData":"digest"}}`)},
			Changed:      []string{"spec.apiserver", "spec.tokenData", "spec.keyData", "spec.certData"}}},
		{name: "adopt", result: policyv1alpha1.RenderResult{Selected: true,
			PediaCluster: &runtime.RawExtension{Raw: []byte(`{"apiVersion":"cluster.clusterpedia.io/v1alpha2","kind":"PediaCluster","spec":{}}`)},
			Changed:      []string{"metadata.annotations", "metadata.ownerReferences"}}},
		{name: "release", result: policyv1alpha1.RenderResult{Changed: []string{"metadata.annotations", "metadata.ownerReferences"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			live := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(livePediaCluster), &live.Object); err != nil {
				t.Fatal(err)
			}
			streams, _, out, _ := genericiooptions.NewTestIOStreams()
			d := &differ{
				IOStreams: streams,
				policy: &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "fleet"},
					Spec: policyv1alpha1.ClusterImportPolicySpec{Source: policyv1alpha1.SourceType{Group: "mcp.io", Resource: "clusters"}}},
				lifecycles: map[policyv1alpha1.SourceName][]policyv1alpha1.PediaClusterLifecycle{
					source: {{ObjectMeta: metav1.ObjectMeta{Name: "mcp-blue", UID: "new"}}}},
			}
			tt.result.Source, tt.result.Name = source, "mcp-blue"
			after, err := d.updateOf(live, &tt.result)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.print("mcp-blue", live, after, tt.result.Changed); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), "SECRET") {
				t.Error("a credential is shown")
			}
			compare(t, "differ-"+fileName(tt.name), out.String())
		})
	}
}

func TestADiffNamesTheImportsThatAnEditLetsWait(t *testing.T) {
	source := policyv1alpha1.SourceName{Namespace: "fleet", Name: "blue"}
	for phase, want := range map[policyv1alpha1.LifecyclePhase]string{
		policyv1alpha1.LifecycleImported: "fleet/blue: Wait (NoEndpoint): spec.template renders no endpoint\n",
		policyv1alpha1.LifecycleWaiting:  "",
	} {
		streams, _, out, errOut := genericiooptions.NewTestIOStreams()
		lifecycle := policyv1alpha1.PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{Name: "mcp-blue"}}
		lifecycle.Status.Phase = phase
		d := &differ{IOStreams: streams, policy: &policyv1alpha1.ClusterImportPolicy{},
			lifecycles: map[policyv1alpha1.SourceName][]policyv1alpha1.PediaClusterLifecycle{source: {lifecycle}}}
		if err := d.result(t.Context(), &policyv1alpha1.RenderResult{Source: source, Selected: true, Name: "mcp-blue", Action: policyv1alpha1.RenderWait,
			Reason: policyv1alpha1.ReasonNoEndpoint, Message: "spec.template renders no endpoint"}); err != nil {
			t.Fatal(err)
		}
		if d.waiting != 1 || out.String() != "" || errOut.String() != want {
			t.Errorf("%s: %d wait:\n%s%s", phase, d.waiting, out, errOut)
		}
	}
}

func TestADiffSaysWhoDecidesAndLeavesWhatIsPaused(t *testing.T) {
	source := policyv1alpha1.SourceName{Namespace: "fleet", Name: "blue"}
	for name, test := range map[string]struct {
		annotations map[string]string
		out, errOut string
		changes     int
	}{
		"selected": {nil, "# fleet/blue: Create, since the Source is selected\n--- /dev/null\n+++ merged/pediacluster/mcp-blue\n", "", 1},
		"paused": {map[string]string{policyv1alpha1.PausedAnnotation: "true"}, "",
			"fleet/blue: a lifecycle is paused: nothing is created, changed or deleted until the annotation policy.clusterpedia.io/paused is removed\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			streams, _, out, errOut := genericiooptions.NewTestIOStreams()
			d := &differ{IOStreams: streams, policy: &policyv1alpha1.ClusterImportPolicy{}, pediaClusters: dynamicfake.NewSimpleDynamicClient(runtime.NewScheme()).Resource(render.PediaClusterGVR),
				lifecycles: map[policyv1alpha1.SourceName][]policyv1alpha1.PediaClusterLifecycle{
					source: {{ObjectMeta: metav1.ObjectMeta{Name: "mcp-blue", Annotations: test.annotations}}}}}
			result := &policyv1alpha1.RenderResult{Source: source, Selected: true, Name: "mcp-blue", Action: policyv1alpha1.RenderCreate,
				PediaCluster: &runtime.RawExtension{Raw: []byte(`{"apiVersion":"cluster.clusterpedia.io/v1alpha2","kind":"PediaCluster","spec":{}}`)}}
			if err := d.result(t.Context(), result); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(out.String(), test.out) || (test.out == "") != (out.String() == "") || errOut.String() != test.errOut || d.changes() != test.changes {
				t.Errorf("%d changes:\n%s%s", d.changes(), out, errOut)
			}
		})
	}
}
