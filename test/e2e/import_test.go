package e2e

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

func TestRule1AReadyClusterIsImportedAndOwnedByItsLifecycle(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "ready")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	cluster := p.waitForToken(t, "one", "secret")
	p.waitForCondition(t, "one", policyv1alpha1.LifecycleReady, metav1.ConditionTrue)

	lifecycle, err := p.lifecycle(t.Context(), "one")
	must(t, err)
	owners := cluster.GetOwnerReferences()
	if len(owners) != 1 || owners[0].UID != lifecycle.UID || owners[0].Kind != "PediaClusterLifecycle" {
		t.Errorf("owner references are %+v, want only the lifecycle %s", owners, lifecycle.UID)
	}
	if metav1.GetControllerOf(cluster) != nil {
		t.Error("the lifecycle must not be the controller of the PediaCluster")
	}
	want := "ready/clusters.ready.mcp.io//one"
	if got := cluster.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]; got != want {
		t.Errorf("created for %q, want %q", got, want)
	}
	wantSpec := map[string]any{
		"apiserver": endpoint("one"),
		"caData":    base64.StdEncoding.EncodeToString(devcluster.Authority("one")),
		"tokenData": base64.StdEncoding.EncodeToString([]byte("secret")),
		"syncResources": []any{
			map[string]any{"group": "", "resources": []any{"pods"}},
			map[string]any{"group": "apps", "resources": []any{"*"}},
		},
	}
	if diff := cmp.Diff(wantSpec, cluster.Object["spec"]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestRule1AClusterThatIsNotReadyWaitsWithAReasonUntilItIs(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "waiting")
	must(t, p.createCluster(t.Context(), "one", "secret", false))
	p.waitForCondition(t, "one", policyv1alpha1.LifecycleCreated, metav1.ConditionFalse)
	if _, err := p.pediaCluster(t.Context(), "one"); gone(err) != nil {
		t.Errorf("its PediaCluster: %v", gone(err))
	}
	contains(t, shared.kubectl(t, "get", "pediaclusterlifecycle", "waiting-one", "-o", "wide"),
		"REASON", "MESSAGE", "Waiting", "creationCondition")

	p.setReady(t, "one")
	p.waitForToken(t, "one", "secret")
}

func TestRule6ARotatedTokenArrivesAndWhatUsersChangedStays(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "rotated")
	must(t, p.createCluster(t.Context(), "one", "old", true))
	p.waitForToken(t, "one", "old")

	p.patch(t, p.objects.Resource(pediaClusters), "rotated-one",
		`{"metadata":{"labels":{"team":"blue"}},"spec":{"syncResources":[{"group":"batch","resources":["jobs"]}]}}`)
	p.setToken(t, "one", "new")
	cluster := p.waitForToken(t, "one", "new")

	if got := cluster.GetLabels()["team"]; got != "blue" {
		t.Errorf("the user's label is %q", got)
	}
	sync, _, err := unstructured.NestedSlice(cluster.Object, "spec", "syncResources")
	must(t, err)
	want := []any{map[string]any{"group": "batch", "resources": []any{"jobs"}}}
	if diff := cmp.Diff(want, sync); diff != "" {
		t.Errorf("the user's syncResources (-want +got):\n%s", diff)
	}
}

func TestATokenArrivesByteForByteWhateverItsBase64Holds(t *testing.T) {
	t.Parallel()
	const encoded = "+/+//+8+Pz4/+w=="
	token, err := base64.StdEncoding.DecodeString(encoded)
	must(t, err)
	p := shared.installPlatform(t, "bytes")
	must(t, p.createCluster(t.Context(), "one", string(token), true))
	p.waitForToken(t, "one", string(token))
}

func TestRule11APolicyThatIsOlderThanItsTypeImportsWithinTenSecondsOfItsArrival(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "early")
	p.apply(t, p.manifests.policy.Object)
	eventually(t, "the policy says what it waits for", func() error {
		policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		ready := meta.FindStatusCondition(policy.Status.Conditions, policyv1alpha1.PolicyReady)
		if ready == nil || ready.Status != metav1.ConditionFalse || ready.Message == "" {
			return fmt.Errorf("its conditions are %+v", policy.Status.Conditions)
		}
		return nil
	})

	p.installType(t)
	arrived := time.Now()
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	within(t, 10*time.Second-time.Since(arrived), "the cluster is imported", func() error {
		_, err := p.pediaCluster(t.Context(), "one")
		return err
	})
}

func TestRule5AnEditedTemplateChangesEveryEndpointAndNothingElse(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "edited")
	names := []string{"one", "two", "three"}
	before := map[string]*unstructured.Unstructured{}
	for _, name := range names {
		must(t, p.createCluster(t.Context(), name, "secret", true))
	}
	for _, name := range names {
		before[name] = p.waitForToken(t, name, "secret")
	}

	const template = `
metadata:
  labels:
    new: label
spec:
  apiserver: "https://proxy.example.com/{{ .source.metadata.name }}"
  caData: "{{ .references.authSecret.data.ca }}"
  tokenData: "{{ .references.authSecret.data.token }}"
  syncResources:
  - group: batch
    resources: [jobs]
`
	set(t, p.manifests.policy, template, "spec", "template")
	p.apply(t, p.manifests.policy.Object)

	for _, name := range names {
		var after *unstructured.Unstructured
		want := "https://proxy.example.com/" + name
		eventually(t, "the PediaCluster of "+name+" has the new endpoint", func() (err error) {
			if after, err = p.pediaCluster(t.Context(), name); err != nil {
				return err
			}
			return same("apiserver", text(after, "spec", "apiserver"), want)
		})
		eventually(t, "the lifecycle of "+name+" has the new template", func() error {
			lifecycle, err := p.lifecycle(t.Context(), name)
			if err != nil {
				return err
			}
			return same("template", lifecycle.Spec.Template, template)
		})

		expected := before[name].DeepCopy()
		set(t, *expected, want, "spec", "apiserver")
		for _, object := range []*unstructured.Unstructured{expected, after} {
			object.SetManagedFields(nil)
			object.SetResourceVersion("")
			object.SetGeneration(0)
		}
		if diff := cmp.Diff(expected.Object, after.Object); diff != "" {
			t.Errorf("PediaCluster of %s (-want +got):\n%s", name, diff)
		}
	}
}
