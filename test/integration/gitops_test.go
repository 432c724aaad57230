package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// explicitPolicy says explicitly what means the same as leaving it out.
const explicitPolicy = `
apiVersion: policy.clusterpedia.io/v1alpha1
kind: ClusterImportPolicy
metadata: {name: explicit}
spec:
  source: {group: explicit.mcp.io, resource: clusters, versions: [], selectorTemplate: "", labelSelector: {matchLabels: {}, matchExpressions: []}}
  references: []
  nameTemplate: "explicit-{{ .source.metadata.name }}"
  template: |
    spec: {apiserver: "https://a", syncResources: []}
  creationCondition: "true"
  deletionCondition: ""
  suspend: false
`

// policyManifests are the policies that are shipped, and the explicit one.
func policyManifests(t *testing.T) (manifests []*unstructured.Unstructured) {
	t.Helper()
	texts := [][]byte{[]byte(explicitPolicy)}
	for _, pattern := range []string{"platforms/*/policy.yaml", "examples/*/policy.yaml"} {
		files, err := filepath.Glob("../../artifacts/" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no policies in %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, text)
		}
	}
	for _, text := range texts {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &object.Object); err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, object)
	}
	return manifests
}

// TestAServerSideDiffOfAnAppliedManifestIsEmpty applies manifests as Flux and Argo CD do, and
// compares what a dry run of the same would make of them.
func TestAServerSideDiffOfAnAppliedManifestIsEmpty(t *testing.T) {
	client, err := dynamic.NewForConfig(shared.as("gitops"))
	if err != nil {
		t.Fatal(err)
	}
	policies := client.Resource(policyv1alpha1.SchemeGroupVersion.WithResource("clusterimportpolicies"))
	for _, manifest := range policyManifests(t) {
		name := manifest.GetName()
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { removePolicy(t, name) })
			options := metav1.ApplyOptions{FieldManager: "gitops"}
			if _, err := policies.Apply(t.Context(), name, manifest, options); err != nil {
				t.Fatal(err)
			}
			live, err := policies.Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, dryRun := range [][]string{{metav1.DryRunAll}, nil} {
				options.DryRun = dryRun
				after, err := policies.Apply(t.Context(), name, manifest, options)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(live.Object, after.Object); diff != "" {
					t.Errorf("applied once more, dry run %v: -live +after:\n%s", dryRun, diff)
				}
			}
		})
	}
}

func TestReferencesArePatchedByTheirKey(t *testing.T) {
	ctx, policies := t.Context(), asUser(t).ClusterImportPolicies()
	reference := func(key, name string) policyv1alpha1.ReferenceTemplate {
		return policyv1alpha1.ReferenceTemplate{ReferenceTarget: policyv1alpha1.ReferenceTarget{
			Key: key, Resource: "secrets", NamespaceTemplate: ptr.To("default"), NameTemplate: name}}
	}
	policy := newPolicy("patched")
	policy.Spec.References = []policyv1alpha1.ReferenceTemplate{reference("auth", "a"), reference("ca", "b")}
	createPolicy(t, policy)
	patch := func(text string) ([]policyv1alpha1.ReferenceTemplate, error) {
		patched, err := policies.Patch(ctx, "patched", types.StrategicMergePatchType, []byte(text), metav1.PatchOptions{})
		return patched.Spec.References, err
	}

	got, err := patch(`{"spec":{"references":[{"key":"ca","nameTemplate":"c"}]}}`)
	if diff := cmp.Diff([]policyv1alpha1.ReferenceTemplate{reference("auth", "a"), reference("ca", "c")}, got); err != nil || diff != "" {
		t.Errorf("one is changed: %v: -want +got:\n%s", err, diff)
	}
	got, err = patch(`{"spec":{"references":[{"key":"auth","$patch":"delete"}]}}`)
	if diff := cmp.Diff([]policyv1alpha1.ReferenceTemplate{reference("ca", "c")}, got); err != nil || diff != "" {
		t.Errorf("one is removed: %v: -want +got:\n%s", err, diff)
	}
	got, err = patch(`{"spec":{"references":[{"$patch":"replace"}]}}`)
	if err != nil || len(got) > 0 {
		t.Errorf("all are removed: %v, %v", got, err)
	}

	for patchType, text := range map[types.PatchType]string{
		types.MergePatchType: `{"spec":{"references":[{"key":"a","group":"","resource":"secrets","nameTemplate":"a"},{"key":"a","group":"","resource":"secrets","nameTemplate":"b"}]}}`,
		types.ApplyYAMLPatchType: `{"apiVersion":"policy.clusterpedia.io/v1alpha1","kind":"ClusterImportPolicy","spec":{"references":[
			{"key":"a","group":"","resource":"secrets","nameTemplate":"a"},{"key":"a","group":"","resource":"secrets","nameTemplate":"b"}]}}`,
	} {
		_, err := policies.Patch(ctx, "patched", patchType, []byte(text), metav1.PatchOptions{FieldManager: "jane"})
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "duplicate") {
			t.Errorf("%s: one key twice: %v", patchType, err)
		}
	}
}

// TestSeveralAppliersShareAPolicy has a GitOps tool own the policy, and others what it leaves to
// them.
func TestSeveralAppliersShareAPolicy(t *testing.T) {
	ctx, policies := t.Context(), asUser(t).ClusterImportPolicies()
	apply := func(manager, spec string, force bool) (*policyv1alpha1.ClusterImportPolicy, error) {
		text := `{"apiVersion":"policy.clusterpedia.io/v1alpha1","kind":"ClusterImportPolicy","metadata":{"name":"two-appliers"},"spec":` + spec + `}`
		return policies.Patch(ctx, "two-appliers", types.ApplyYAMLPatchType, []byte(text), metav1.PatchOptions{FieldManager: manager, Force: &force})
	}
	const git = `{"source":{"group":"two-appliers.mcp.io","resource":"clusters"},"nameTemplate":"a","template":"spec: {}","creationCondition":"true",
		"references":[{"key":"auth","group":"","resource":"secrets","namespaceTemplate":"default","nameTemplate":"a"}]}`
	t.Cleanup(func() { removePolicy(t, "two-appliers") })
	if _, err := apply("git", git, false); err != nil {
		t.Fatal(err)
	}

	// What the tool does not mention, others may set: a default is nobody's.
	if _, err := apply("on-call", `{"suspend":true,"maxPrune":0,"deletionPolicy":"Orphan","source":{"selectorTemplate":"true"},
		"references":[{"key":"ca","group":"","resource":"secrets","nameTemplate":"b","versions":[]}]}`, false); err != nil {
		t.Fatal(err)
	}
	shared, err := apply("git", git, false)
	if err != nil {
		t.Fatal(err)
	}
	if spec := shared.Spec; !spec.Suspend || spec.MaxPrune.String() != "0" || spec.DeletionPolicy != policyv1alpha1.DeletionPolicyOrphan ||
		spec.Source.SelectorTemplate != "true" || len(spec.References) != 2 || spec.References[1].Versions == nil {
		t.Errorf("the next apply of the tool took it back: %+v", spec)
	}

	// What the tool says, others may not change unless they insist.
	changed := strings.Replace(git, `"nameTemplate":"a"`, `"nameTemplate":"b"`, 1)
	if _, err := apply("on-call", changed, false); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `"git"`) {
		t.Errorf("another value of a field of the tool: %v", err)
	}

	// What an applier no longer says is gone, or its default again; the rest stays.
	left, err := apply("on-call", `{}`, false)
	if err != nil {
		t.Fatal(err)
	}
	if spec := left.Spec; spec.Suspend || spec.MaxPrune.String() != "10%" || spec.DeletionPolicy != policyv1alpha1.DeletionPolicyDelete ||
		spec.Source.SelectorTemplate != "" || len(spec.References) != 1 || spec.NameTemplate != "a" {
		text, _ := json.Marshal(spec)
		t.Errorf("after on-call let go: %s", text)
	}
}
