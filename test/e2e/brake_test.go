package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// createFleet makes that many clusters and waits until they are imported.
func (p *platform) createFleet(t *testing.T, size int) {
	t.Helper()
	inParallel(t, size, func(ctx context.Context, i int) error {
		return p.createCluster(ctx, clusterName(i), "secret", true)
	})
	p.waitForCreated(t, size)
}

// inParallel calls f with the numbers below n.
func inParallel(t *testing.T, n int, f func(ctx context.Context, i int) error) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error { return f(ctx, i) })
	}
	must(t, group.Wait())
}

func (p *platform) waitForCreated(t *testing.T, count int) {
	t.Helper()
	p.waitForPolicy(t, fmt.Sprintf("counts %d PediaClusters", count), func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if int(status.Counts.Created) != count || !meta.IsStatusConditionFalse(status.Conditions, policyv1alpha1.PolicyReconciling) {
			return fmt.Errorf("its counts are %+v", status.Counts)
		}
		return nil
	})
}

// uids returns the UIDs of the PediaClusters of the platform by their names.
func (p *platform) uids(t *testing.T) map[string]types.UID {
	t.Helper()
	list, err := p.objects.Resource(pediaClusters).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	uids := map[string]types.UID{}
	for _, object := range list.Items {
		if strings.HasPrefix(object.GetName(), p.name+"-") {
			if object.GetDeletionTimestamp() != nil {
				t.Errorf("%s is being deleted", object.GetName())
			}
			uids[object.GetName()] = object.GetUID()
		}
	}
	return uids
}

// keep fails the test unless all these PediaClusters are still there.
func (p *platform) keep(t *testing.T, before map[string]types.UID) {
	t.Helper()
	now := p.uids(t)
	for name, uid := range before {
		if now[name] != uid {
			t.Errorf("PediaCluster %s had the UID %s, and has %q", name, uid, now[name])
		}
	}
}

// waitForHeld waits until the policy holds that many removals and returns their plan.
func (p *platform) waitForHeld(t *testing.T, count int) (plan string) {
	t.Helper()
	p.waitForPolicy(t, fmt.Sprintf("holds %d removals", count), func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		condition := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyPruneHeld)
		if condition == nil || status.Prune == nil || int(status.Prune.Held) != count || int(status.Counts.Held) != count {
			return fmt.Errorf("PruneHeld is %+v, prune %+v, and its counts are %+v", condition, status.Prune, status.Counts)
		}
		plan = status.Prune.Plan
		held := fmt.Sprintf("the removals of %d PediaClusters are held", count)
		if count == 1 {
			held = "the removal of 1 PediaCluster is held"
		}
		return errors.Join(same("status", string(condition.Status), "True"),
			mentions(condition.Message, held, "kubectl annotate clusterimportpolicy "+p.name, plan))
	})
	return plan
}

func (p *platform) waitForNothingHeld(t *testing.T) {
	t.Helper()
	p.waitForPolicy(t, "holds nothing", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if status.Counts.Held != 0 || !meta.IsStatusConditionFalse(status.Conditions, policyv1alpha1.PolicyPruneHeld) {
			return fmt.Errorf("its counts are %+v and its conditions %+v", status.Counts, status.Conditions)
		}
		return nil
	})
}

func (p *platform) release(t *testing.T, plan string) (string, error) {
	t.Helper()
	return p.Kubectl(t.Context(), nil, "annotate", "--overwrite", "clusterimportpolicy", p.name, policyv1alpha1.ReleasePruneAnnotation+"="+plan)
}

// A fleet of 200, of which by default 20 may go within ten minutes.
func TestRule10TheBrakeHoldsAFleet(t *testing.T) {
	p := ownHost(t).newPlatform(t, "braked")
	set(t, p.manifests.policy, "10%", "spec", "maxPrune")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	p.createFleet(t, 200)
	before := p.uids(t)

	// A selector that fails for every Source deletes nothing.
	p.edit(t, `{"spec":{"source":{"selectorTemplate":"{{ .source.metadata.labels.no.such }}"}}}`)
	p.waitForPolicy(t, "shows that the selector fails", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if status.Counts.Failed != 200 || len(status.Failures) != 10 || status.Failures[0].Reason != policyv1alpha1.ReasonSelectorFailed {
			return fmt.Errorf("its counts are %+v, its failures %+v", status.Counts, status.Failures)
		}
		return nil
	})
	p.keep(t, before)

	// One that refuses 50 is held.
	p.edit(t, `{"spec":{"source":{"selectorTemplate":"{{ ge .source.metadata.name \"c0050\" }}"}}}`)
	plan := p.waitForHeld(t, 50)
	p.keep(t, before)
	held := p.waitForReady(t, "braked-c0000", policyv1alpha1.ReasonPruneHeld)
	must(t, errors.Join(
		same("phase", string(held.Status.Phase), string(policyv1alpha1.LifecycleHeld)),
		same("plan", held.Status.PrunePlan, plan),
		mentions(meta.FindStatusCondition(held.Status.Conditions, policyv1alpha1.LifecycleReady).Message, "selectors", plan, `"braked"`)))

	// So it stays, over a restart too.
	must(t, p.server.Kill())
	must(t, p.server.Start(t.Context()))
	// A release of something else is refused.
	eventually(t, "a stale release is refused", func() error {
		out, err := p.release(t, "0123456789abcdef")
		if err == nil {
			t.Fatalf("it was accepted: %s", out)
		}
		return mentions(err.Error(), "0123456789abcdef", plan)
	})
	if again := p.waitForHeld(t, 50); again != plan {
		t.Errorf("after the restart the plan is %s, and was %s", again, plan)
	}
	p.keep(t, before)

	// What is no longer wanted is no longer held, and the others stay so, however
	// few they are.
	p.edit(t, `{"spec":{"source":{"selectorTemplate":"{{ ge .source.metadata.name \"c0005\" }}"}}}`)
	plan = p.waitForHeld(t, 5)
	must(t, p.server.Kill())
	must(t, p.server.Start(t.Context()))
	p.waitForReady(t, "braked-c0049", policyv1alpha1.ReasonCreated)
	if again := p.waitForHeld(t, 5); again != plan {
		t.Errorf("after the restart the plan is %s, and was %s", again, plan)
	}
	p.keep(t, before)

	// Released, they go, and only they.
	p.edit(t, `{"spec":{"source":{"selectorTemplate":"{{ ge .source.metadata.name \"c0050\" }}"}}}`)
	plan = p.waitForHeld(t, 50)
	out, err := p.release(t, plan)
	must(t, err)
	contains(t, out, "annotated")
	p.waitForCreated(t, 150)
	p.waitForNothingHeld(t)
	for i := range 50 {
		delete(before, p.pediaClusterName(clusterName(i)))
	}
	eventually(t, "all that were released are gone", func() error {
		lifecycles, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(),
			metav1.ListOptions{FieldSelector: policyv1alpha1.FieldPolicy + "=" + p.name})
		if err != nil {
			return err
		}
		return same("lifecycles", fmt.Sprint(len(lifecycles.Items)), "150")
	})
	p.keep(t, before)
	if after := p.uids(t); len(after) != 150 {
		t.Errorf("%d PediaClusters are left", len(after))
	}
	eventually(t, "the annotation is taken away", func() error {
		policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
		if err == nil && policy.Annotations[policyv1alpha1.ReleasePruneAnnotation] != "" {
			err = errors.New("it is still there")
		}
		return err
	})

	// The deletion of the policy is free, and tells what it will take along.
	text, err := p.KubectlCommand(t.Context(), "delete", "clusterimportpolicy", p.name, "--wait=false").CombinedOutput()
	must(t, err)
	contains(t, string(text), "Warning: this removes 150 lifecycles and deletes the PediaClusters that this policy created")
	p.kubectl(t, "wait", "--for=delete", "clusterimportpolicy/"+p.name, "--timeout=60s")
	if after := p.uids(t); len(after) != 0 {
		t.Errorf("%d PediaClusters are left", len(after))
	}
}

func TestRule10RemovalsWithinTheLimitGoAndCount(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "within")
	set(t, p.manifests.policy, int64(2), "spec", "maxPrune")
	set(t, p.manifests.policy, `{{ ne .source.metadata.labels.import "no" }}`, "spec", "source", "selectorTemplate")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	p.createFleet(t, 5)

	deselect := func(i int) {
		p.patch(t, p.objects.Resource(p.resource), clusterName(i), `{"metadata":{"labels":{"import":"no"}}}`)
	}
	deselect(0)
	p.waitUntilGone(t, clusterName(0))
	deselect(1)
	p.waitUntilGone(t, clusterName(1))
	p.waitForPolicy(t, "counts both", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		total := 0
		if status.Prune != nil {
			for _, count := range status.Prune.Recent {
				total += int(count.Count)
			}
		}
		return same("recent removals", fmt.Sprint(total), "2")
	})
	before := p.uids(t)
	deselect(2)
	p.waitForHeld(t, 1)
	p.keep(t, before)

	// A cluster whose Source is deleted before our eyes goes all the same, held or not.
	p.deleteCluster(t, clusterName(3))
	p.waitUntilGone(t, clusterName(3))
	p.deleteCluster(t, clusterName(2))
	p.waitUntilGone(t, clusterName(2))
	p.waitForNothingHeld(t)
}

func TestRule10ZeroHoldsEveryRemovalThatCounts(t *testing.T) {
	p := ownHost(t).newPlatform(t, "pinned")
	set(t, p.manifests.policy, int64(0), "spec", "maxPrune")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	p.createFleet(t, 3)
	before := p.uids(t)

	// Nobody sees these go.
	must(t, p.server.Kill())
	p.deleteCluster(t, clusterName(0))
	p.deleteCluster(t, clusterName(1))
	must(t, p.server.Start(t.Context()))
	p.waitForHeld(t, 2)
	held := p.waitForReady(t, p.pediaClusterName(clusterName(0)), policyv1alpha1.ReasonPruneHeld)
	must(t, mentions(meta.FindStatusCondition(held.Status.Conditions, policyv1alpha1.LifecycleReady).Message, "was not observed"))
	p.keep(t, before)

	// The cause of one ends.
	must(t, p.objects.Resource(secrets).Namespace(p.name).Delete(t.Context(), clusterName(0)+"-auth", metav1.DeleteOptions{}))
	must(t, p.createCluster(t.Context(), clusterName(0), "new", true))
	p.waitForToken(t, clusterName(0), "new")
	p.waitForHeld(t, 1)
	p.keep(t, before)

	// A held lifecycle that is deleted by hand leaves its PediaCluster to its users.
	p.kubectl(t, "delete", "pediaclusterlifecycle", p.pediaClusterName(clusterName(1)), "--timeout=60s")
	p.waitForNothingHeld(t)
	p.keep(t, before)

	// deletionCondition and renames count too.
	p.edit(t, `{"spec":{"deletionCondition":"{{ eq .source.metadata.name \"c0002\" }}"}}`)
	p.waitForHeld(t, 1)
	p.keep(t, before)
	p.edit(t, `{"spec":{"deletionCondition":""}}`)
	p.waitForNothingHeld(t)
	p.edit(t, `{"spec":{"nameTemplate":"pinned-new-{{ .source.metadata.name }}"}}`)
	plan := p.waitForHeld(t, 2)
	p.keep(t, before)
	for _, i := range []int{0, 2} {
		p.waitForReady(t, "pinned-new-"+clusterName(i), policyv1alpha1.ReasonCreated)
	}
	_, err := p.release(t, plan)
	must(t, err)
	p.waitUntilGone(t, clusterName(0))
	p.waitUntilGone(t, clusterName(2))
}

func TestAPolicyOfAThousandFailuresHasASmallStatus(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "failing")
	set(t, p.manifests.policy, "{{ .source.spec.no.such.field }}", "spec", "source", "selectorTemplate")
	p.installType(t)
	const size = 1000
	inParallel(t, size, func(ctx context.Context, i int) error {
		return p.createObject(ctx, clusterName(i), false)
	})
	p.apply(t, p.manifests.policy.Object)
	within(t, 2*time.Minute, "every failure is counted", func() error {
		policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if policy.Status.Counts.Failed != size || len(policy.Status.Failures) != 10 {
			return fmt.Errorf("its counts are %+v, and it lists %d failures", policy.Status.Counts, len(policy.Status.Failures))
		}
		return nil
	})
	text := p.kubectl(t, "get", "clusterimportpolicy", p.name, "-o", "jsonpath={.status}")
	if len(text) > 16<<10 {
		t.Errorf("the status has %d bytes", len(text))
	}
	p.kubectl(t, "delete", "customresourcedefinition", p.manifests.crd.GetName(), "--wait=false")
}
