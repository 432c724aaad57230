package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

// toldWithin is how soon a policy says that a type can no longer be listed or
// watched.
const toldWithin = 30 * time.Second

// recoveredWithin leaves room for the longest pause that a client of an API server
// makes between two attempts.
const recoveredWithin = 2 * time.Minute

func TestWhatIsNewIsNotReady(t *testing.T) {
	p := shared.newPlatform(t, "new")
	p.installType(t)
	unknown := func(what string, conditions []metav1.Condition) {
		t.Helper()
		ready := meta.FindStatusCondition(conditions, policyv1alpha1.PolicyReady)
		if ready == nil || ready.Status != metav1.ConditionUnknown || ready.Reason != policyv1alpha1.ReasonPending ||
			ready.ObservedGeneration != 1 || ready.LastTransitionTime.IsZero() {
			t.Errorf("the new %s says %+v", what, ready)
		}
	}
	var policy policyv1alpha1.ClusterImportPolicy
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(p.manifests.policy.Object, &policy))
	created, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Create(t.Context(), &policy, metav1.CreateOptions{})
	must(t, err)
	unknown("policy", created.Status.Conditions)
	p.kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "clusterimportpolicy/"+p.name)

	lifecycles, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().Watch(t.Context(),
		metav1.ListOptions{FieldSelector: policyv1alpha1.FieldPolicy + "=" + p.name})
	must(t, err)
	defer lifecycles.Stop()
	must(t, p.createCluster(t.Context(), "one", "token", true))
	event := <-lifecycles.ResultChan()
	unknown("lifecycle", event.Object.(*policyv1alpha1.PediaClusterLifecycle).Status.Conditions)
	p.kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "pediaclusterlifecycle/"+p.pediaClusterName("one"))
}

// A type that cannot be listed disturbs the host's own controllers: these tests have hosts of
// their own.
func TestAnOutageOfTheAPIServerOfASourceTypeIsTold(t *testing.T) {
	h := ownHost(t)
	p := h.newPlatform(t, "aggregated")
	p.kubectl(t, "create", "namespace", p.name)
	p.apply(t, p.manifests.role.Object)
	server, err := h.StartTypeServer(t.Context(), p.resource, "Cluster")
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createCluster(t.Context(), "one", "first", true))
	before := p.waitForToken(t, "one", "first")
	p.waitForPolicyReady(t, patience, metav1.ConditionTrue, policyv1alpha1.ReasonImported)

	must(t, server.Stop())
	p.waitForPolicyReady(t, toldWithin, metav1.ConditionFalse, policyv1alpha1.ReasonSourcesUnavailable,
		"clusters.aggregated.mcp.io", "unable to handle the request", "last known state")
	policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
	must(t, err)
	if validated := meta.FindStatusCondition(policy.Status.Conditions, policyv1alpha1.PolicyValidated); validated.Status != metav1.ConditionUnknown {
		t.Errorf("nobody knows whether the type is served, and Validated is %+v", validated)
	}

	out, _ := h.plugin(t, 1, "explain", "aggregated-unknown")
	contains(t, out, "may select such a Source", "… aggregated: SourcesUnavailable")
	out, _ = h.plugin(t, 0, "explain", "aggregated-one")
	contains(t, out, "… Policy              aggregated: SourcesUnavailable", "Imported, as far as is known.")

	// What is known is worked on.
	p.setToken(t, "one", "rotated")
	p.waitForToken(t, "one", "rotated")

	// A server that is started now has never seen a Source. It says so, of the
	// generation that it has read, and touches nothing.
	must(t, h.server.Stop(t.Context()))
	must(t, h.server.Start(t.Context()))
	p.edit(t, `{"spec":{"maxPrune":"90%"}}`)
	p.waitForPolicyReady(t, toldWithin, metav1.ConditionFalse, policyv1alpha1.ReasonSourcesUnavailable, "aggregated.mcp.io")
	p.setToken(t, "one", "rotated while nothing was known")

	must(t, server.Start())
	p.waitForPolicyReady(t, recoveredWithin, metav1.ConditionTrue, policyv1alpha1.ReasonImported)
	after := p.waitForToken(t, "one", "rotated while nothing was known")
	if after.GetUID() != before.GetUID() {
		t.Error("the PediaCluster was deleted and made again")
	}
	must(t, p.createCluster(t.Context(), "two", "second", true))
	p.waitForToken(t, "two", "second")
	p.deleteCluster(t, "one")
	p.waitUntilGone(t, "one")
}

func TestAnOutageOfTheConversionWebhookOfASourceTypeIsTold(t *testing.T) {
	h := ownHost(t)
	webhook, err := devcluster.StartConversionWebhook()
	must(t, err)
	t.Cleanup(func() { must(t, webhook.Stop()) })
	p := h.newPlatform(t, "converted")
	crd := p.manifests.crd
	versions := crd.Object["spec"].(map[string]any)["versions"].([]any)
	older, newer := versions[0].(map[string]any), crd.DeepCopy().Object["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
	older["name"], older["storage"] = "v1beta1", false
	newer["name"] = "v1beta2"
	set(t, crd, []any{older, newer}, "spec", "versions")
	set(t, crd, webhook.Conversion(), "spec", "conversion")
	p.resource.Version = "v1beta2"
	p.installType(t)
	set(t, p.manifests.policy, []any{"v1beta2", "v1beta1"}, "spec", "source", "versions")
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createCluster(t.Context(), "one", "first", true))
	before := p.waitForToken(t, "one", "first")
	p.waitForPolicyReady(t, patience, metav1.ConditionTrue, policyv1alpha1.ReasonImported)

	must(t, webhook.Stop())
	_, err = h.objects.Resource(definitions).Patch(t.Context(), crd.GetName(), types.JSONPatchType,
		[]byte(`[{"op":"replace","path":"/spec/versions/1/served","value":false}]`), metav1.PatchOptions{})
	must(t, err)
	p.waitForPolicyReady(t, toldWithin, metav1.ConditionFalse, policyv1alpha1.ReasonSourcesUnavailable,
		"v1beta1", "instead of v1beta2", "conversion webhook", "connection refused")
	p.setToken(t, "one", "rotated")
	p.waitForToken(t, "one", "rotated")

	must(t, webhook.Start())
	p.waitForPolicyReady(t, recoveredWithin, metav1.ConditionTrue, policyv1alpha1.ReasonImported)
	eventually(t, "the lifecycle follows the Source in the other version", func() error {
		lifecycle, err := p.lifecycle(t.Context(), "one")
		if err != nil {
			return err
		}
		return same("its version", lifecycle.Spec.Source.Version, "v1beta1")
	})
	p.setToken(t, "one", "rotated again")
	if after := p.waitForToken(t, "one", "rotated again"); after.GetUID() != before.GetUID() {
		t.Error("the PediaCluster was deleted and made again")
	}
	p.resource.Version = "v1beta1"
	must(t, p.createCluster(t.Context(), "two", "second", true))
	p.waitForToken(t, "two", "second")
}

// The way back is the one that docs/storage.md describes.
func TestAStorageWithoutItsLogIsRestoredFromASnapshot(t *testing.T) {
	h := ownHost(t)
	p := h.installPlatform(t, "restored")
	must(t, p.createCluster(t.Context(), "one", "first", true))
	before := p.waitForToken(t, "one", "first")
	p.waitForPolicyReady(t, patience, metav1.ConditionTrue, policyv1alpha1.ReasonImported)
	data, snapshot := filepath.Join(h.dir, "policy-apiserver"), filepath.Join(t.TempDir(), "snapshot.db")
	run := func(args ...string) {
		t.Helper()
		if code, _, stderr := runServer(t, append(args, "--embedded-etcd-dir="+data)...); code != 0 {
			t.Fatalf("%v: %s", args, stderr)
		}
	}
	run("snapshot", "save", snapshot)
	must(t, h.server.Stop(t.Context()))
	must(t, os.RemoveAll(filepath.Join(data, "member", "wal")))

	err := h.server.Start(t.Context())
	if err == nil || h.server.Running() {
		t.Fatal("it serves a storage without its log")
	}
	log, err := os.ReadFile(h.server.LogFile())
	must(t, err)
	contains(t, string(log), "the log in member/wal is missing", damaged)

	must(t, os.Rename(filepath.Join(data, "member"), filepath.Join(data, "member.old")))
	run("snapshot", "restore", snapshot)
	must(t, h.server.Start(t.Context()))
	p.waitForPolicyReady(t, patience, metav1.ConditionTrue, policyv1alpha1.ReasonImported)
	p.setToken(t, "one", "second")
	if after := p.waitForToken(t, "one", "second"); after.GetUID() != before.GetUID() {
		t.Error("the PediaCluster was deleted and made again")
	}
}

// CRDs of the same group come back, as when Clusterpedia's manifests are applied once more.
func TestCRDsOfTheGroupAreWarnedOf(t *testing.T) {
	h := ownHost(t)
	h.installPlatform(t, "restored")
	logged := func(part string) func() error {
		return func() error {
			log, err := os.ReadFile(h.server.LogFile())
			if err != nil {
				return err
			}
			if !strings.Contains(string(log), part) {
				return fmt.Errorf("no %q in %s", part, h.server.LogFile())
			}
			return nil
		}
	}
	h.kubectl(t, "apply", "--server-side", "-f", "testdata/former-crds.yaml")
	eventually(t, "the server warns of the CRDs", logged("do not delete the APIService while they exist"))
	h.kubectl(t, "get", "clusterimportpolicy", "restored")
	// A CRD that is deleted before its storage is ready waits for its next event.
	h.kubectl(t, "delete", "--wait=false", "-f", "testdata/former-crds.yaml")
	eventually(t, "the CRDs are gone", func() error {
		left := h.kubectl(t, "get", "crd", "-o", "name")
		if !strings.Contains(left, "policy.clusterpedia.io") {
			return nil
		}
		// One of them may be gone.
		_, err := h.Kubectl(t.Context(), nil, "annotate", "--overwrite", "-f", "testdata/former-crds.yaml", "example.com/at="+time.Now().Format(time.RFC3339Nano))
		return errors.Join(errors.New(left), err)
	})
	eventually(t, "the server says that they are gone", logged("no longer has CustomResourceDefinitions"))
}

// waitForPolicyReady waits until the policy says of its present generation that it is
// ready or not, for that reason and with a message that has every one of the parts.
func (p *platform) waitForPolicyReady(t *testing.T, limit time.Duration, status metav1.ConditionStatus, reason string, parts ...string) {
	t.Helper()
	within(t, limit, fmt.Sprintf("policy %s is Ready=%s: %s", p.name, status, reason), func() error {
		policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		ready := meta.FindStatusCondition(policy.Status.Conditions, policyv1alpha1.PolicyReady)
		if ready == nil || ready.Status != status || ready.Reason != reason || ready.ObservedGeneration != policy.Generation {
			return fmt.Errorf("generation %d: %+v", policy.Generation, ready)
		}
		return mentions(ready.Message, parts...)
	})
}
