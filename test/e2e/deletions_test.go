package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/etcd"
)

// waitForLifecycle waits until the check of a lifecycle passes. It is given the
// message of its condition Ready.
func (p *platform) waitForLifecycle(t *testing.T, name, what string, check func(lifecycle *policyv1alpha1.PediaClusterLifecycle, message string) error) {
	t.Helper()
	eventually(t, "the lifecycle "+name+" "+what, func() error {
		lifecycle, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		ready := meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady)
		if ready == nil {
			return errors.New("it says nothing")
		}
		if err := check(lifecycle, ready.Message); err != nil {
			return fmt.Errorf("%w; it is %s, %+v", err, lifecycle.Status.Phase, lifecycle.Status.Conditions)
		}
		return nil
	})
}

func isPhase(lifecycle *policyv1alpha1.PediaClusterLifecycle, phase policyv1alpha1.LifecyclePhase) error {
	return same("phase", string(lifecycle.Status.Phase), string(phase))
}

func isCreated(lifecycle *policyv1alpha1.PediaClusterLifecycle, created bool) error {
	if is := meta.IsStatusConditionTrue(lifecycle.Status.Conditions, policyv1alpha1.LifecycleCreated); is != created {
		return fmt.Errorf("created is %v", is)
	}
	return nil
}

// waitForCounts waits until the policy counts its imports so, and returns the message
// of its condition Ready.
func (p *platform) waitForCounts(t *testing.T, want policyv1alpha1.ImportCounts) (message string) {
	t.Helper()
	p.waitForPolicy(t, fmt.Sprintf("counts %+v", want), func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady)
		if status.Counts != want || ready == nil {
			return fmt.Errorf("its counts are %+v", status.Counts)
		}
		message = ready.Message
		return nil
	})
	return message
}

// finalize sets the finalizers of an object, of which there are none then if none are given.
func (h *host) finalize(t *testing.T, resource, name string, finalizers ...string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": finalizers}})
	must(t, err)
	h.kubectl(t, "patch", resource, name, "--type=merge", "-p", string(text))
}

func TestRule13ALifecycleThatIsStoredWithABrokenOwnerIsRestoredOrReleased(t *testing.T) {
	h := ownHost(t)
	p := h.newPlatform(t, "orphaned")
	p.installType(t)
	set(t, p.manifests.policy, `{{ ne .source.metadata.name "" }}`, "spec", "source", "selectorTemplate")
	p.apply(t, p.manifests.policy.Object)
	second := *p.manifests.policy.DeepCopy()
	second.SetName("two")
	set(t, second, `{{ eq .source.metadata.name "nobody" }}`, "spec", "source", "selectorTemplate")
	p.apply(t, second.Object)
	// Each by what is stored in the place of its controller reference.
	broken := []struct {
		cluster  string
		change   func(owner map[string]any)
		released bool
	}{
		{cluster: "other", change: func(owner map[string]any) { owner["name"] = "two" }},
		{cluster: "gone", change: func(owner map[string]any) { owner["name"] = "gone" }},
		{cluster: "kind", change: func(owner map[string]any) { owner["kind"] = "X" }},
		{cluster: "type", change: func(owner map[string]any) { owner["apiVersion"], owner["kind"] = "v1", "ConfigMap" }},
		{cluster: "version", change: func(owner map[string]any) { owner["apiVersion"] = "policy.clusterpedia.io/v9" }},
		{cluster: "owner", change: func(owner map[string]any) { owner["controller"] = false }},
		{cluster: "nobody-s", change: func(owner map[string]any) { owner["uid"] = "00000000-0000-0000-0000-000000000000" }, released: true},
	}
	for _, b := range broken {
		must(t, p.createCluster(t.Context(), b.cluster, "secret", true))
	}
	p.waitForCreated(t, len(broken))
	before := uidsOf(t, h)

	// The host's garbage collector acts on such references too. This is about the server.
	must(t, h.StopControllerManager(t.Context()))
	must(t, h.server.Stop(t.Context()))
	for _, b := range broken {
		h.rewriteLifecycle(t, p.pediaClusterName(b.cluster), func(lifecycle map[string]any) {
			owners, _, err := unstructured.NestedSlice(lifecycle, "metadata", "ownerReferences")
			must(t, err)
			b.change(owners[0].(map[string]any))
			must(t, unstructured.SetNestedSlice(lifecycle, owners, "metadata", "ownerReferences"))
		})
	}
	must(t, h.server.Start(t.Context()))
	policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
	must(t, err)
	for _, b := range broken {
		p.waitForLifecycle(t, p.pediaClusterName(b.cluster), "has its policy again", func(lifecycle *policyv1alpha1.PediaClusterLifecycle, _ string) error {
			if !metav1.IsControlledBy(lifecycle, policy) || lifecycle.OwnerReferences[0].Name != p.name || lifecycle.OwnerReferences[0].Kind != "ClusterImportPolicy" {
				return fmt.Errorf("its owners are %+v", lifecycle.OwnerReferences)
			}
			created := meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleCreated)
			if created == nil {
				return errors.New("it does not say yet whether there is a PediaCluster")
			}
			want := policyv1alpha1.ReasonCreated
			if b.released {
				want = policyv1alpha1.ReasonExisted
			}
			return errors.Join(isPhase(lifecycle, policyv1alpha1.LifecycleImported), same("reason", created.Reason, want))
		})
	}
	must(t, h.StartControllerManager(t.Context()))
	allKept(t, h, before)

	// They are worked on as before.
	for _, b := range broken {
		p.setToken(t, b.cluster, "rotated")
		p.waitForToken(t, b.cluster, "rotated")
		p.deleteCluster(t, b.cluster)
		if !b.released {
			p.waitUntilGone(t, b.cluster)
			continue
		}
		p.waitUntilReleased(t, b.cluster)
		_, err := p.pediaCluster(t.Context(), b.cluster)
		must(t, err)
	}
}

// rewriteLifecycle changes a lifecycle in the storage of a server that is stopped.
func (h *host) rewriteLifecycle(t *testing.T, name string, change func(lifecycle map[string]any)) {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: h.storageDir(), QuotaBytes: 1 << 30})
	must(t, err)
	defer member.Stop()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{member.Endpoint}, Logger: zap.NewNop()})
	must(t, err)
	defer client.Close()
	all, err := client.Get(t.Context(), "", clientv3.WithPrefix())
	must(t, err)
	for _, stored := range all.Kvs {
		if !bytes.HasSuffix(stored.Key, []byte("/pediaclusterlifecycles/"+name)) {
			continue
		}
		var lifecycle map[string]any
		must(t, json.Unmarshal(stored.Value, &lifecycle))
		change(lifecycle)
		text, err := json.Marshal(lifecycle)
		must(t, err)
		_, err = client.Put(t.Context(), string(stored.Key), string(text))
		must(t, err)
		return
	}
	t.Fatalf("storage has no lifecycle %s", name)
}

func TestRule13APersonsDeletionOfALifecycleReleasesUnderASuspendedPolicy(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "resting")
	before := map[string]*unstructured.Unstructured{}
	for _, name := range []string{"one", "two"} {
		must(t, p.createCluster(t.Context(), name, "secret", true))
		before[name] = p.waitForToken(t, name, "secret")
	}
	p.kubectl(t, "annotate", "pcl", p.pediaClusterName("two"), policyv1alpha1.PausedAnnotation+"=true")
	p.edit(t, `{"spec":{"suspend":true}}`)
	p.waitForPolicy(t, "says that it is suspended", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		return same("reason", meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady).Reason, policyv1alpha1.ReasonSuspended)
	})
	for name, object := range before {
		p.kubectl(t, "delete", "pediaclusterlifecycle", p.pediaClusterName(name), "--timeout=60s")
		after := p.sameObject(t, name, object)
		if _, marked := after.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]; marked || len(after.GetOwnerReferences()) > 0 {
			t.Errorf("%s is marked %t and owned by %v", name, marked, after.GetOwnerReferences())
		}
	}
	p.waitForCounts(t, policyv1alpha1.ImportCounts{})

	// Nothing is made while the policy rests.
	p.edit(t, `{"spec":{"suspend":false}}`)
	for name, object := range before {
		p.waitForReady(t, p.pediaClusterName(name), policyv1alpha1.ReasonExisted)
		p.sameObject(t, name, object)
	}
}

func TestRule14ALifecycleThatOthersHoldTellsSoAndCountsAsBeingDeleted(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "clung")
	const name = "clung-one"
	for _, cluster := range []string{"one", "two"} {
		must(t, p.createCluster(t.Context(), cluster, "secret", true))
		p.waitForToken(t, cluster, "secret")
	}
	p.waitForReady(t, name, policyv1alpha1.ReasonCreated)
	p.finalize(t, "pcl", name, policyv1alpha1.Finalizer, "example.com/mine")
	p.deleteCluster(t, "one")
	p.waitForLifecycle(t, name, "names its finalizer", func(lifecycle *policyv1alpha1.PediaClusterLifecycle, message string) error {
		return errors.Join(isPhase(lifecycle, policyv1alpha1.LifecycleDeleting), isCreated(lifecycle, false),
			mentions(message, "the Source no longer exists", "the PediaCluster was deleted", `this lifecycle waits for its finalizer "example.com/mine"`, "the client that set it must remove"))
	})
	eventually(t, "the PediaCluster was deleted", func() error {
		_, err := p.pediaCluster(t.Context(), "one")
		return gone(err)
	})
	hanging := policyv1alpha1.ImportCounts{Selected: 2, Created: 1, Imported: 1, Deleting: 1}
	contains(t, p.waitForCounts(t, hanging), "1 of 2 selected Sources have a PediaCluster", "being deleted: 1")
	contains(t, p.kubectl(t, "get", "pcl", name, "-o", "wide"), "Deleting", policyv1alpha1.ReasonSourceGone, "this lifecycle waits for")
	header, _, _ := strings.Cut(p.kubectl(t, "get", "cip", p.name, "-o", "wide"), "\n")
	contains(t, header, "DELETING")
	out, _ := plugin(t, 0, "explain", name)
	contains(t, out, "Being deleted. SourceGone: ", "example.com/mine")

	// Its Source is made again, and has to wait.
	must(t, p.createObject(t.Context(), "one", true))
	p.waitForLifecycle(t, name, "says that the import is made again", func(lifecycle *policyv1alpha1.PediaClusterLifecycle, message string) error {
		return errors.Join(isPhase(lifecycle, policyv1alpha1.LifecycleDeleting), isCreated(lifecycle, false),
			mentions(message, "created again", "example.com/mine"))
	})
	p.waitForCounts(t, hanging)
	p.finalize(t, "pcl", name)
	p.waitForReady(t, name, policyv1alpha1.ReasonCreated)
	p.waitForToken(t, "one", "secret")
	p.waitForCounts(t, policyv1alpha1.ImportCounts{Selected: 2, Created: 2, Imported: 2})

	// The policy tells for which it waits, and is deleted then.
	p.finalize(t, "pcl", name, policyv1alpha1.Finalizer, "example.com/mine")
	p.kubectl(t, "delete", "cip", p.name, "--wait=false")
	p.waitForPolicy(t, "says what its deletion waits for", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady)
		return errors.Join(same("reason", ready.Reason, policyv1alpha1.ReasonPolicyDeleted),
			mentions(ready.Message, "the policy is being deleted, and is removed after the lifecycle of 1 Source, such as that of one", `"example.com/mine"`))
	})
	p.finalize(t, "pcl", name)
	p.kubectl(t, "wait", "--for=delete", "cip/"+p.name, "--timeout=60s")
}

func TestRule14APediaClusterThatHangsNamesItsFinalizerAndWhoRemovesIt(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "hung")
	const name, synchro = "hung-one", "clusterpedia.io/cluster-synchro-controller"
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	p.waitForReady(t, name, policyv1alpha1.ReasonCreated)
	p.finalize(t, "pediacluster", name, synchro, "example.com/hold")
	p.deleteCluster(t, "one")
	p.waitForLifecycle(t, name, "names both finalizers", func(lifecycle *policyv1alpha1.PediaClusterLifecycle, message string) error {
		return errors.Join(isPhase(lifecycle, policyv1alpha1.LifecycleDeleting), isCreated(lifecycle, true),
			mentions(message, "the Source no longer exists", `"`+synchro+`", which Clusterpedia's clustersynchro-manager removes: it must run`,
				`"example.com/hold", which the client that set it must remove`))
	})
	p.waitForCounts(t, policyv1alpha1.ImportCounts{Selected: 1, Created: 1, Deleting: 1})
	p.waitForEvent(t, "pcl", name, "Normal", "Deleting", "PediaCluster "+name+" is being deleted, cause: SourceGone")
	for _, event := range p.events(t) {
		if event.Reason == "Deleted" {
			t.Errorf("it is told that %s", event.Note)
		}
	}
	out, _ := plugin(t, 0, "explain", name)
	contains(t, out, "PediaClusterLifecycle hung-one: Deleting", "is being deleted and waits for its finalizers", "Being deleted. SourceGone: ", "clustersynchro-manager")

	// One after the other.
	p.finalize(t, "pediacluster", name, synchro)
	p.waitForLifecycle(t, name, "names the one that is left", func(_ *policyv1alpha1.PediaClusterLifecycle, message string) error {
		if strings.Contains(message, "example.com/hold") {
			return errors.New("it still names the other one")
		}
		return mentions(message, synchro)
	})
	p.finalize(t, "pediacluster", name)
	p.waitUntilGone(t, "one")
	eventually(t, "an event tells that it is gone", func() error {
		out, err := p.Kubectl(t.Context(), nil, "get", "events", "-A",
			"--field-selector", "involvedObject.kind=PediaClusterLifecycle,involvedObject.name="+name+",reason=Deleted")
		return errors.Join(err, mentions(out, "PediaCluster hung-one was deleted, cause: SourceGone"))
	})

	// One that is to be made again, once it is gone.
	must(t, p.createObject(t.Context(), "one", true))
	p.waitForToken(t, "one", "secret")
	p.finalize(t, "pediacluster", name, synchro)
	p.kubectl(t, "delete", "pediacluster", name, "--wait=false")
	p.waitForLifecycle(t, name, "waits for the finalizer", func(lifecycle *policyv1alpha1.PediaClusterLifecycle, message string) error {
		return errors.Join(isPhase(lifecycle, policyv1alpha1.LifecycleWaiting), isCreated(lifecycle, true),
			mentions(message, "the PediaCluster is being deleted and waits for", "clustersynchro-manager", "it is created again after that"))
	})
	p.finalize(t, "pediacluster", name)
	p.waitForReady(t, name, policyv1alpha1.ReasonCreated)
}

func TestRule14ASourceThatIsBeingDeletedIsSaidToBe(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "ending")
	const name = "ending-one"
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	resource := p.resource.GroupResource().String()
	p.finalize(t, resource, "one", "platform.example.com/teardown")
	p.kubectl(t, "delete", resource, "one", "--wait=false")
	p.waitForLifecycle(t, name, "says so", func(lifecycle *policyv1alpha1.PediaClusterLifecycle, message string) error {
		return errors.Join(isPhase(lifecycle, policyv1alpha1.LifecycleImported),
			mentions(message, "the Source is being deleted (since ", `"platform.example.com/teardown"`))
	})
	// As a platform does: the Secret goes first.
	p.kubectl(t, "delete", "secret", "-n", p.name, "one-auth")
	p.waitForLifecycle(t, name, "says so of what is missing", func(lifecycle *policyv1alpha1.PediaClusterLifecycle, message string) error {
		return errors.Join(isPhase(lifecycle, policyv1alpha1.LifecycleWaiting), mentions(message, "the Source is being deleted (since ", "one-auth", "does not exist"))
	})
	out, _ := plugin(t, 0, "explain", name)
	contains(t, out, "WaitingForReference: the Source is being deleted (since ")
	p.finalize(t, resource, "one")
	p.waitUntilGone(t, "one")
}

func TestRule10TheMessageOfWhatIsHeldDoesNotContradictItself(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "heldwords")
	set(t, p.manifests.policy, "10%", "spec", "maxPrune")
	set(t, p.manifests.policy, `{{ ne .source.metadata.labels.import "no" }}`, "spec", "source", "selectorTemplate")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	const size = 12
	p.createFleet(t, size)
	before := p.uids(t)
	label := func(i int, value string) {
		p.patch(t, p.objects.Resource(p.resource), clusterName(i), `{"metadata":{"labels":{"import":`+value+`}}}`)
	}
	held := func(count int, parts ...string) {
		t.Helper()
		p.waitForPolicy(t, fmt.Sprintf("holds %d, in all places", count), func(status policyv1alpha1.ClusterImportPolicyStatus) error {
			condition := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyPruneHeld)
			ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady)
			if condition == nil || status.Prune == nil || int(status.Prune.Held) != count {
				return fmt.Errorf("prune is %+v, its counts %+v", status.Prune, status.Counts)
			}
			// Whenever a plan is written, the counts say the same.
			if int(status.Counts.Held) != count {
				t.Errorf("the plan holds %d, and the counts are %+v", count, status.Counts)
			}
			return errors.Join(mentions(condition.Message, parts...), mentions(ready.Message, fmt.Sprintf("held: %d", count)))
		})
	}
	inParallel(t, 5, func(ctx context.Context, i int) error {
		_, err := p.objects.Resource(p.resource).Patch(ctx, clusterName(i), types.MergePatchType, []byte(`{"metadata":{"labels":{"import":"no"}}}`), metav1.PatchOptions{})
		return err
	})
	held(5, "the removals of 5 PediaClusters are held, which is more than maxPrune (10%, which is 1 now)")
	for i := range 4 {
		label(i, "null")
	}
	p.waitForPolicy(t, "holds one", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if status.Prune == nil || status.Prune.Held != 1 || status.Counts.Held != 1 {
			return fmt.Errorf("prune is %+v, its counts %+v", status.Prune, status.Counts)
		}
		return nil
	})
	held(1, "the removal of 1 PediaCluster is held: more than maxPrune (10%, which is 1 now) were to be removed together, and removals that are held stay held until they are released or their cause ends")
	p.keep(t, before)

	// A lifecycle that somebody pauses is held too, and no failure.
	label(4, "null")
	p.waitForNothingHeld(t)
	p.kubectl(t, "annotate", "pcl", p.pediaClusterName(clusterName(0)), policyv1alpha1.PausedAnnotation+"=true")
	p.waitForPolicy(t, "points to where there is something to see", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady)
		if strings.Contains(ready.Message, "status.failures") || len(status.Failures) > 0 {
			return fmt.Errorf("it says %s, with the failures %v", ready.Message, status.Failures)
		}
		return errors.Join(same("reason", ready.Reason, policyv1alpha1.ReasonFailures), mentions(ready.Message, "see the lifecycles of this policy in the phase Held"))
	})
}

func TestRule10ARemovalStaysShownAsHeldWhileItsImportWaits(t *testing.T) {
	p := ownHost(t).newPlatform(t, "heldwaiting")
	set(t, p.manifests.policy, int64(0), "spec", "maxPrune")
	set(t, p.manifests.policy, `{{ eq .source.metadata.labels.retired "yes" }}{{ with .references.authSecret.data.retired }}{{ end }}`, "spec", "deletionCondition")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	before := p.waitForToken(t, "one", "secret")
	p.kubectl(t, "label", p.resource.GroupResource().String(), "one", "retired=yes")
	plan := p.waitForHeld(t, 1)
	check := func(when string) {
		t.Helper()
		p.waitForLifecycle(t, "heldwaiting-one", "is held "+when, func(lifecycle *policyv1alpha1.PediaClusterLifecycle, message string) error {
			return errors.Join(isPhase(lifecycle, policyv1alpha1.LifecycleHeld), same("plan", lifecycle.Status.PrunePlan, plan),
				mentions(message, "cannot be judged", "one-auth", plan))
		})
		if again := p.waitForHeld(t, 1); again != plan {
			t.Errorf("%s the plan is %s, and was %s", when, again, plan)
		}
		contains(t, p.waitForCounts(t, policyv1alpha1.ImportCounts{Selected: 1, Created: 1, Held: 1}), "held: 1")
		p.sameObject(t, "one", before)
	}
	// As in every deletion of Cluster API: the Secret goes before its cluster does.
	p.kubectl(t, "delete", "secret", "-n", p.name, "one-auth")
	check("while its Secret is missing")
	must(t, p.server.Kill())
	must(t, p.server.Start(t.Context()))
	// Another platform shows that the controllers work again.
	other := p.installPlatform(t, "heldother")
	must(t, other.createCluster(t.Context(), "one", "secret", true))
	other.waitForToken(t, "one", "secret")
	p.setReady(t, "one")
	check("after a restart")

	p.kubectl(t, "label", p.resource.GroupResource().String(), "one", "retired-")
	check("when the cause has ended, which cannot be told without the Secret")
	must(t, p.objects.Resource(p.resource).Delete(t.Context(), "one", metav1.DeleteOptions{}))
	p.waitUntilGone(t, "one")
	p.waitForNothingHeld(t)
}

func TestDeletionConditionIsAskedWhileAReferenceIsMissingThatItDoesNotRead(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "asked")
	set(t, p.manifests.policy, `{{ eq .source.metadata.labels.retired "yes" }}`, "spec", "deletionCondition")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	p.kubectl(t, "delete", "secret", "-n", p.name, "one-auth")
	p.waitForReady(t, "asked-one", policyv1alpha1.ReasonWaitingForReference)

	p.kubectl(t, "label", p.resource.GroupResource().String(), "one", "retired=yes")
	eventually(t, "the PediaCluster was deleted", func() error {
		_, err := p.pediaCluster(t.Context(), "one")
		return gone(err)
	})
	p.waitForReady(t, "asked-one", policyv1alpha1.ReasonDeletionConditionMet)
}
