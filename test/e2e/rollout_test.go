package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// reach has a cluster of the platform be that member.
func (p *platform) reach(t *testing.T, cluster string, m *member) {
	t.Helper()
	secret, err := json.Marshal(map[string]any{"data": map[string][]byte{"ca": m.ca(t), "token": m.token(t, cluster)}})
	must(t, err)
	p.patch(t, p.objects.Resource(secrets).Namespace(p.name), cluster+"-auth", string(secret))
	p.patch(t, p.objects.Resource(p.resource), cluster, `{"spec":{"apiEndpoint":"`+m.Config().Host+`"}}`)
}

// waitForAnswer waits until the lifecycle of a cluster says that the cluster answers.
func (p *platform) waitForAnswer(t *testing.T, cluster string) {
	t.Helper()
	eventually(t, "the cluster "+cluster+" is ready", func() error {
		lifecycle, err := p.lifecycle(t.Context(), cluster)
		if err != nil || lifecycle.Status.Cluster == nil {
			return errors.Join(err, errors.New("nothing is known of it"))
		}
		return same("ready", lifecycle.Status.Cluster.Ready, "True")
	})
}

// revision is what the lifecycle of a cluster says of its revision.
func (p *platform) revision(t *testing.T, cluster string) policyv1alpha1.LifecycleRollout {
	t.Helper()
	lifecycle, err := p.lifecycle(t.Context(), cluster)
	must(t, err)
	if lifecycle.Status.Rollout == nil {
		t.Fatalf("the lifecycle of %s says nothing of its revision", cluster)
	}
	return *lifecycle.Status.Rollout
}

// The clusters are real: one answers no more when the edit has reached it.
func TestAnEditThatBreaksClustersStopsAfterTheCanaries(t *testing.T) {
	h := ownHost(t, "--probe-clusters", "--probe-denied-cidrs=169.254.0.0/16")
	h.follow(t, "../../docs/rollout.md")

	p := h.newPlatform(t, "rolled")
	p.installType(t)
	set(t, p.manifests.policy, map[string]any{
		"first":  map[string]any{"matchLabels": map[string]any{"stage": "test"}},
		"verify": "ClusterReady", "minReadySeconds": int64(2), "timeout": "10s", "maxConcurrent": "100%",
	}, "spec", "rollout")
	p.apply(t, p.manifests.policy.Object)
	one, two := startMember(t), startMember(t)
	members := map[string]*member{"canary": one, "second": two, "third": two}
	for cluster, m := range members {
		must(t, p.createCluster(t.Context(), cluster, "unused", true))
		p.reach(t, cluster, m)
	}
	p.patch(t, p.objects.Resource(p.resource), "canary", `{"metadata":{"labels":{"stage":"test"}}}`)
	before := map[string]*unstructured.Unstructured{}
	for cluster := range members {
		p.waitForAnswer(t, cluster)
		var err error
		before[cluster], err = p.pediaCluster(t.Context(), cluster)
		must(t, err)
	}
	good := p.edited(t, p.manifests.policy.Object["spec"], "spec")

	const broken = `
spec:
  apiserver: "https://127.0.0.1:1"
  caData: "{{ .references.authSecret.data.ca }}"
  tokenData: "{{ .references.authSecret.data.token }}"
`
	edit := p.edited(t, broken, "spec", "template")
	steps, _ := h.plugin(t, 1, "diff", "-f", edit)
	contains(t, steps, "policy rolled: rolled out in 2 steps, first to rolled-canary")
	p.kubectl(t, "apply", "-f", edit)
	status, _ := h.plugin(t, 1, "rollout", "status", "rolled")
	contains(t, status, "halted: imports failed", "rolled-canary", "first")
	contains(t, p.kubectl(t, "get", "clusterimportpolicy", "rolled", "-o", "wide"), "ROLLOUT", "1/3", "RolloutFailed")
	contains(t, p.kubectl(t, "get", "pediaclusterlifecycle", "rolled-canary", "-o", "wide"), "REVISION", "Failed")
	contains(t, p.kubectl(t, "get", "events", "-n", "default", "--field-selector=involvedObject.name=rolled"), "RolloutFailed")
	explained, _ := h.plugin(t, 0, "explain", "rolled-second")
	contains(t, explained, "Revision", "waits for its turn to be updated to", "the rollout is halted (RolloutFailed)")
	explained, _ = h.plugin(t, 0, "explain", "rolled-canary")
	contains(t, explained, "the newest, has failed: not verified within 10s")
	again, _ := h.plugin(t, 1, "diff", "-f", edit)
	contains(t, again, "policy rolled: rolled out to none: it halts (RolloutFailed)")
	if failed := p.revision(t, "canary"); failed.Message == "" || failed.Before != policyv1alpha1.BeforeClusterReady {
		t.Errorf("the canary says %+v", failed)
	}
	for _, cluster := range []string{"second", "third"} {
		now, err := p.pediaCluster(t.Context(), cluster)
		must(t, err)
		must(t, same("resourceVersion of "+cluster, now.GetResourceVersion(), before[cluster].GetResourceVersion()))
	}

	// Taking it back mends the canary, and begins nothing for the others: they have that revision.
	p.kubectl(t, "apply", "-f", good)
	within(t, patience/4, "the canary is mended", func() error {
		now, err := p.pediaCluster(t.Context(), "canary")
		if err != nil {
			return err
		}
		return same("apiserver", text(now, "spec", "apiserver"), one.Config().Host)
	})
	h.plugin(t, 0, "rollout", "status", "rolled")
	p.waitForAnswer(t, "canary")
	p.waitForPolicy(t, "is ready again", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if !meta.IsStatusConditionTrue(status.Conditions, policyv1alpha1.PolicyReady) || status.Rollout.Verified != 3 {
			return fmt.Errorf("it says %+v and %+v", status.Rollout, status.Conditions)
		}
		return nil
	})
	for cluster := range members {
		now, err := p.objects.Resource(pediaClusters).Get(t.Context(), p.pediaClusterName(cluster), metav1.GetOptions{})
		must(t, err)
		must(t, same("UID of "+cluster, string(now.GetUID()), string(before[cluster].GetUID())))
	}
}
