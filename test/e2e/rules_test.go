package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// waitForReady waits until the lifecycle of that name has this reason in its
// Ready condition.
func (h *host) waitForReady(t *testing.T, lifecycle, reason string) *policyv1alpha1.PediaClusterLifecycle {
	t.Helper()
	var found *policyv1alpha1.PediaClusterLifecycle
	eventually(t, "the lifecycle "+lifecycle+" says "+reason, func() (err error) {
		if found, err = h.policy.PolicyV1alpha1().PediaClusterLifecycles().Get(t.Context(), lifecycle, metav1.GetOptions{}); err != nil {
			return err
		}
		ready := meta.FindStatusCondition(found.Status.Conditions, policyv1alpha1.LifecycleReady)
		if ready == nil {
			return errors.New("it says nothing")
		}
		return same("reason", ready.Reason, reason)
	})
	return found
}

// waitForPolicy waits until the check of the policy's status passes.
func (p *platform) waitForPolicy(t *testing.T, what string, check func(policyv1alpha1.ClusterImportPolicyStatus) error) {
	t.Helper()
	eventually(t, "the policy "+what, func() error {
		policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if policy.Status.ObservedGeneration != policy.Generation {
			return fmt.Errorf("its status speaks of generation %d of %d", policy.Status.ObservedGeneration, policy.Generation)
		}
		return check(policy.Status)
	})
}

// edit changes the policy of the platform.
func (p *platform) edit(t *testing.T, patch string) {
	t.Helper()
	p.kubectl(t, "patch", "clusterimportpolicy", p.name, "--type=merge", "-p", patch)
}

// sameObject fails the test unless the PediaCluster is still the very one.
func (p *platform) sameObject(t *testing.T, cluster string, want *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	got, err := p.pediaCluster(t.Context(), cluster)
	must(t, err)
	if got.GetUID() != want.GetUID() || got.GetDeletionTimestamp() != nil {
		t.Errorf("the PediaCluster of %s was deleted: it was %s, and is %s, deleted at %v",
			cluster, want.GetUID(), got.GetUID(), got.GetDeletionTimestamp())
	}
	return got
}

func TestRule2WhatIsChangedByHandIsPutBack(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "putback")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")

	p.patch(t, p.objects.Resource(pediaClusters), "putback-one", `{"spec":{"apiserver":"https://elsewhere","keyData":"a2V5"}}`)
	eventually(t, "the endpoint is put back and the foreign key removed", func() error {
		object, err := p.pediaCluster(t.Context(), "one")
		if err != nil {
			return err
		}
		return errors.Join(same("apiserver", text(object, "spec", "apiserver"), endpoint("one")),
			same("keyData", text(object, "spec", "keyData"), ""))
	})

	first, err := p.pediaCluster(t.Context(), "one")
	must(t, err)
	must(t, p.objects.Resource(pediaClusters).Delete(t.Context(), "putback-one", metav1.DeleteOptions{}))
	eventually(t, "the deleted PediaCluster is made again", func() error {
		object, err := p.pediaCluster(t.Context(), "one")
		if err == nil && object.GetUID() == first.GetUID() {
			err = errors.New("it is the old one")
		}
		return err
	})
}

func TestRule4ALifecycleDeletedByHandReleasesItsPediaClusterAndIsMadeAgain(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "released")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	before := p.waitForToken(t, "one", "secret")
	first := p.waitForReady(t, "released-one", policyv1alpha1.ReasonCreated)

	p.kubectl(t, "delete", "pediaclusterlifecycle", "released-one", "--timeout=60s")
	second := p.waitForReady(t, "released-one", policyv1alpha1.ReasonExisted)
	if second.UID == first.UID {
		t.Error("it is still the same lifecycle")
	}
	after := p.sameObject(t, "one", before)
	if _, marked := after.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]; marked || len(after.GetOwnerReferences()) > 0 {
		t.Errorf("it is marked %t and owned by %v", marked, after.GetOwnerReferences())
	}

	p.deleteCluster(t, "one")
	p.waitUntilReleased(t, "one")
	p.sameObject(t, "one", before)
}

func TestRule4ASourceOfTheSameNameKeepsItsPediaCluster(t *testing.T) {
	p := ownHost(t).installPlatform(t, "recreated")
	must(t, p.createCluster(t.Context(), "one", "old", true))
	p.waitForToken(t, "one", "old")

	// Without the server nobody sees that the Source was gone for a moment.
	before, err := p.pediaCluster(t.Context(), "one")
	must(t, err)
	must(t, p.server.Kill())
	p.deleteCluster(t, "one")
	must(t, p.objects.Resource(secrets).Namespace(p.name).Delete(t.Context(), "one-auth", metav1.DeleteOptions{}))
	must(t, p.createCluster(t.Context(), "one", "new", true))
	must(t, p.server.Start(t.Context()))

	p.waitForToken(t, "one", "new")
	p.sameObject(t, "one", before)
}

func TestRule9AnErrorDeletesNothing(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "faulty")
	before := map[string]*unstructured.Unstructured{}
	for _, name := range []string{"one", "two"} {
		must(t, p.createCluster(t.Context(), name, "secret", true))
		before[name] = p.waitForToken(t, name, "secret")
	}
	for _, fault := range []struct{ name, patch, undo, reason string }{
		{"selector", `{"spec":{"source":{"selectorTemplate":"{{ fail \"broken\" }}"}}}`,
			`{"spec":{"source":{"selectorTemplate":null}}}`, policyv1alpha1.ReasonSelectorFailed},
		{"name", `{"spec":{"nameTemplate":"Not A Name"}}`,
			`{"spec":{"nameTemplate":"faulty-{{ .source.metadata.name }}"}}`, policyv1alpha1.ReasonInvalidName},
		{"condition", `{"spec":{"deletionCondition":"{{ fail \"broken\" }}"}}`,
			`{"spec":{"deletionCondition":null}}`, policyv1alpha1.ReasonTemplateFailed},
		{"reference", `{"spec":{"references":[{"key":"authSecret","group":"","resource":"secrets","namespaceTemplate":"none","nameTemplate":"none"}]}}`,
			`{"spec":{"references":[{"key":"authSecret","group":"","resource":"secrets","namespaceTemplate":"{{ .source.spec.authSecretRef.namespace }}","nameTemplate":"{{ .source.spec.authSecretRef.name }}"}]}}`,
			policyv1alpha1.ReasonWaitingForReference},
		{"type of the reference", `{"spec":{"references":[{"key":"authSecret","group":"none.example.com","resource":"nothings","nameTemplate":"none"}]}}`,
			`{"spec":{"references":[{"key":"authSecret","group":"","resource":"secrets","namespaceTemplate":"{{ .source.spec.authSecretRef.namespace }}","nameTemplate":"{{ .source.spec.authSecretRef.name }}"}]}}`,
			policyv1alpha1.ReasonWaitingForType},
	} {
		t.Run(fault.name, func(t *testing.T) {
			p.edit(t, fault.patch)
			for name, object := range before {
				p.waitForReady(t, "faulty-"+name, fault.reason)
				p.sameObject(t, name, object)
			}
			p.waitForPolicy(t, "is not ready", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
				if meta.IsStatusConditionTrue(status.Conditions, policyv1alpha1.PolicyReady) && fault.name != "reference" {
					return fmt.Errorf("it is: %+v", status.Conditions)
				}
				return nil
			})
			p.edit(t, fault.undo)
			for name, object := range before {
				p.waitForReady(t, "faulty-"+name, policyv1alpha1.ReasonCreated)
				p.sameObject(t, name, object)
			}
		})
	}
}

func TestRule10DeletingTheSourceTypeDeletesNoPediaCluster(t *testing.T) {
	p := ownHost(t).installPlatform(t, "typeless")
	before := map[string]*unstructured.Unstructured{}
	names := []string{"one", "two", "three", "four", "five"}
	for _, name := range names {
		must(t, p.createCluster(t.Context(), name, "secret", true))
		before[name] = p.waitForToken(t, name, "secret")
	}
	p.kubectl(t, "delete", "crd", p.manifests.crd.GetName(), "--timeout=60s")
	for _, name := range names {
		p.waitForReady(t, "typeless-"+name, policyv1alpha1.ReasonWaitingForType)
		p.sameObject(t, name, before[name])
	}

	// The type comes back without its objects: their absence says nothing.
	p.apply(t, p.manifests.crd.Object)
	for _, name := range names {
		lifecycle := p.waitForReady(t, "typeless-"+name, policyv1alpha1.ReasonSourceTypeLost)
		must(t, same("phase", string(lifecycle.Status.Phase), string(policyv1alpha1.LifecycleHeld)))
		p.sameObject(t, name, before[name])
	}
	// Nor after a restart: another platform shows that the controllers work again.
	must(t, p.server.Kill())
	must(t, p.server.Start(t.Context()))
	other := p.installPlatform(t, "typed")
	must(t, other.createCluster(t.Context(), "one", "secret", true))
	other.waitForToken(t, "one", "secret")
	p.kubectl(t, "label", "pediaclusterlifecycle", "typeless-one", "touched=yes")
	for _, name := range names {
		p.waitForReady(t, "typeless-"+name, policyv1alpha1.ReasonSourceTypeLost)
		p.sameObject(t, name, before[name])
	}

	for _, name := range names {
		must(t, p.objects.Resource(secrets).Namespace(p.name).Delete(t.Context(), name+"-auth", metav1.DeleteOptions{}))
		must(t, p.createCluster(t.Context(), name, "back", true))
	}
	for _, name := range names {
		p.sameObject(t, name, p.waitForToken(t, name, "back"))
		p.sameObject(t, name, before[name])
	}

	// A Source that is deleted now is gone for good.
	p.deleteCluster(t, "one")
	p.waitUntilGone(t, "one")
	p.sameObject(t, "two", before["two"])
}

func TestRule8TwoSourcesOfOneNameDoNotFlap(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "contended")
	set(t, p.manifests.policy, "contended-{{ .source.spec.authSecretRef.namespace }}", "spec", "nameTemplate")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createCluster(t.Context(), "first", "first", true))
	const name = "contended-contended"
	keeper := p.waitForReady(t, name, policyv1alpha1.ReasonCreated)
	must(t, same("the keeper", keeper.Spec.Source.Name, "first"))
	must(t, p.createCluster(t.Context(), "probe", "probe", false)) // of the same name too

	eventually(t, "the first says that its name is contended", func() error {
		lifecycle, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && !meta.IsStatusConditionTrue(lifecycle.Status.Conditions, policyv1alpha1.LifecycleNameContended) {
			err = fmt.Errorf("its conditions are %+v", lifecycle.Status.Conditions)
		}
		return err
	})
	p.waitForPolicy(t, "lists the second", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if len(status.Failures) != 1 || status.Failures[0].Name != "probe" || status.Failures[0].Reason != policyv1alpha1.ReasonNameTaken {
			return fmt.Errorf("its failures are %+v", status.Failures)
		}
		return nil
	})
	eventually(t, "an event tells it", func() error {
		out, err := p.Kubectl(t.Context(), nil, "describe", "clusterimportpolicy", p.name)
		if err == nil {
			err = mentions(out, policyv1alpha1.ReasonNameTaken, "probe")
		}
		return err
	})

	// Whatever happens to the second, the first stands still.
	before, err := p.objects.Resource(pediaClusters).Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	p.setToken(t, "probe", "another")
	p.setReady(t, "probe")
	p.setToken(t, "first", "changed")
	eventually(t, "the first follows its Secret", func() error {
		after, err := p.objects.Resource(pediaClusters).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if after.GetGeneration() != before.GetGeneration()+1 {
			return fmt.Errorf("its generation went from %d to %d", before.GetGeneration(), after.GetGeneration())
		}
		return nil
	})

	// When the first goes, the second gets its turn.
	p.deleteCluster(t, "first")
	eventually(t, "the second has the name", func() error {
		lifecycle, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return same("Source", lifecycle.Spec.Source.Name, "probe")
	})
}

func TestRule8ARenamedFleetIsNeverMissingFromBothNames(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "renamed")
	names := []string{"one", "two", "three"}
	for _, name := range names {
		must(t, p.createCluster(t.Context(), name, "secret", true))
		p.waitForToken(t, name, "secret")
		p.patch(t, p.objects.Resource(pediaClusters), "renamed-"+name,
			`{"metadata":{"labels":{"team":"blue"}},"spec":{"syncAllCustomResources":true}}`)
		// The creation condition is not asked of what exists.
		p.patch(t, p.objects.Resource(p.resource), name, `{"status":{"conditions":[]}}`)
	}

	ctx, stop := context.WithCancel(t.Context())
	missing := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			list, err := p.objects.Resource(pediaClusters).List(ctx, metav1.ListOptions{})
			if err != nil {
				continue
			}
			there := map[string]bool{}
			for _, item := range list.Items {
				there[item.GetName()] = true
			}
			for _, name := range names {
				if !there["renamed-"+name] && !there["moved-"+name] {
					missing <- fmt.Errorf("%s was missing from both names", name)
					return
				}
			}
		}
		missing <- nil
	}()
	p.edit(t, `{"spec":{"nameTemplate":"moved-{{ .source.metadata.name }}"}}`)
	for _, name := range names {
		p.waitUntilGone(t, name)
	}
	stop()
	must(t, <-missing)
	for _, name := range names {
		object, err := p.objects.Resource(pediaClusters).Get(t.Context(), "moved-"+name, metav1.GetOptions{})
		must(t, err)
		must(t, same("label", object.GetLabels()["team"], "blue"))
		if all, _, _ := unstructured.NestedBool(object.Object, "spec", "syncAllCustomResources"); !all {
			t.Errorf("what the user set in %s is lost", name)
		}
	}
}

func TestRule8ARenameThatIsTakenBackLosesNothing(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "there")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	// Clusterpedia's own finalizer keeps a PediaCluster for a while.
	p.patch(t, p.objects.Resource(pediaClusters), "there-one",
		`{"metadata":{"finalizers":["clusterpedia.io/e2e"],"labels":{"team":"blue"}}}`)
	p.edit(t, `{"spec":{"nameTemplate":"andback-{{ .source.metadata.name }}"}}`)
	eventually(t, "the former PediaCluster is on its way out", func() error {
		object, err := p.pediaCluster(t.Context(), "one")
		if err == nil && object.GetDeletionTimestamp() == nil {
			err = errors.New("it is not being deleted")
		}
		return err
	})

	p.edit(t, `{"spec":{"nameTemplate":"there-{{ .source.metadata.name }}"}}`)
	p.patch(t, p.objects.Resource(p.resource), "one", `{"status":{"conditions":[]}}`)
	p.waitForPolicy(t, "has worked on the edit", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if !meta.IsStatusConditionFalse(status.Conditions, policyv1alpha1.PolicyReconciling) {
			return fmt.Errorf("its conditions are %+v", status.Conditions)
		}
		return nil
	})
	second, err := p.objects.Resource(pediaClusters).Get(t.Context(), "andback-one", metav1.GetOptions{})
	must(t, err)
	if second.GetDeletionTimestamp() != nil {
		t.Error("the cluster goes from both names")
	}

	p.patch(t, p.objects.Resource(pediaClusters), "there-one", `{"metadata":{"finalizers":null}}`)
	eventually(t, "the cluster is back under its first name, and only there", func() error {
		object, err := p.pediaCluster(t.Context(), "one")
		if err != nil {
			return err
		}
		if err := same("label", object.GetLabels()["team"], "blue"); err != nil {
			return err
		}
		_, err = p.objects.Resource(pediaClusters).Get(t.Context(), "andback-one", metav1.GetOptions{})
		return gone(err)
	})
}

func TestRule9ADeselectedSourceLosesItsPediaCluster(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "selected")
	for _, name := range []string{"one", "two"} {
		must(t, p.createCluster(t.Context(), name, "secret", true))
		p.waitForToken(t, name, "secret")
	}
	p.edit(t, `{"spec":{"source":{"selectorTemplate":"{{ ne .source.metadata.name \"one\" }}"}}}`)
	p.waitUntilGone(t, "one")
	p.waitForToken(t, "two", "secret")

	p.kubectl(t, "label", p.resource.GroupResource().String(), "two", "import=yes")
	p.edit(t, `{"spec":{"source":{"selectorTemplate":null,"labelSelector":{"matchLabels":{"import":"yes"}}}}}`)
	p.waitForPolicy(t, "selects one", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if status.Counts.Selected != 1 {
			return fmt.Errorf("its counts are %+v", status.Counts)
		}
		return nil
	})
	p.waitForToken(t, "two", "secret")
	p.kubectl(t, "label", p.resource.GroupResource().String(), "two", "import-")
	p.waitUntilGone(t, "two")
}

func TestRule9ASourceThatWasNotSelectedIsImportedOnceItIs(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "chosen")
	set(t, p.manifests.policy, `{{ eq .source.metadata.labels.import "yes" }}`, "spec", "source", "selectorTemplate")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	label := func(name, value string) {
		p.patch(t, p.objects.Resource(p.resource), name, `{"metadata":{"labels":{"import":"`+value+`"}}}`)
	}
	for _, name := range []string{"one", "two"} {
		must(t, p.createCluster(t.Context(), name, "secret", true))
	}
	label("one", "yes")
	p.waitForToken(t, "one", "secret")
	label("one", "no")
	p.waitUntilGone(t, "one")
	label("one", "yes")
	p.waitForToken(t, "one", "secret")

	p.edit(t, `{"spec":{"source":{"selectorTemplate":"{{ eq .source.metadata.name \"two\" }}"}}}`)
	p.waitForToken(t, "two", "secret")
	p.waitUntilGone(t, "one")
	p.edit(t, `{"spec":{"source":{"selectorTemplate":null}}}`)
	p.waitForToken(t, "one", "secret")
}

func TestRule9TheDeletionConditionDeletesWhileItHolds(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "condemned")
	set(t, p.manifests.policy, `{{ eq (get .source.metadata.labels "retired") "yes" }}`, "spec", "deletionCondition")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")

	p.kubectl(t, "label", p.resource.GroupResource().String(), "one", "retired=yes")
	p.waitForReady(t, "condemned-one", policyv1alpha1.ReasonDeletionConditionMet)
	eventually(t, "the PediaCluster was deleted", func() error {
		_, err := p.pediaCluster(t.Context(), "one")
		return gone(err)
	})
	p.kubectl(t, "label", p.resource.GroupResource().String(), "one", "retired-")
	p.waitForToken(t, "one", "secret")
}

func TestRule4OrphanedPediaClustersStay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		delete func(*testing.T, *platform)
	}{
		{"orphanpolicy", func(t *testing.T, p *platform) {
			p.edit(t, `{"spec":{"deletionPolicy":"Orphan"}}`)
			p.deleteCluster(t, "one")
		}},
		{"orphancascade", func(t *testing.T, p *platform) {
			p.kubectl(t, "delete", "clusterimportpolicy", p.name, "--cascade=orphan", "--timeout=60s")
		}},
		{"orphanforeground", func(t *testing.T, p *platform) {
			p.edit(t, `{"spec":{"deletionPolicy":"Orphan"}}`)
			p.kubectl(t, "delete", "clusterimportpolicy", p.name, "--cascade=foreground", "--timeout=60s")
		}},
		{"orphanheld", func(t *testing.T, p *platform) {
			p.edit(t, `{"spec":{"maxPrune":0,"source":{"selectorTemplate":"no"}}}`)
			p.waitForHeld(t, 1)
			p.kubectl(t, "delete", "pediaclusterlifecycle", p.pediaClusterName("one"), "--cascade=foreground", "--timeout=60s")
		}},
		{"orphansuspended", func(t *testing.T, p *platform) {
			p.edit(t, `{"spec":{"suspend":true}}`)
			p.kubectl(t, "delete", "clusterimportpolicy", p.name, "--cascade=foreground", "--timeout=60s")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := shared.installPlatform(t, test.name)
			must(t, p.createCluster(t.Context(), "one", "secret", true))
			before := p.waitForToken(t, "one", "secret")
			test.delete(t, p)
			p.waitUntilReleased(t, "one")
			after := p.sameObject(t, "one", before)
			if _, marked := after.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]; marked || len(after.GetOwnerReferences()) > 0 {
				t.Errorf("it is marked %t and owned by %v", marked, after.GetOwnerReferences())
			}
		})
	}
}

func TestRule4ASuspendedPolicyChangesNothing(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "suspended")
	must(t, p.createCluster(t.Context(), "one", "old", true))
	before := p.waitForToken(t, "one", "old")
	p.edit(t, `{"spec":{"suspend":true}}`)
	p.waitForPolicy(t, "says that it is suspended", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady)
		return same("reason", ready.Reason, policyv1alpha1.ReasonSuspended)
	})

	p.setToken(t, "one", "new")
	must(t, p.createCluster(t.Context(), "two", "secret", true))
	// Another platform's import shows that the server has seen all of it.
	other := shared.installPlatform(t, "notsuspended")
	must(t, other.createCluster(t.Context(), "one", "secret", true))
	other.waitForToken(t, "one", "secret")
	if got := p.sameObject(t, "one", before).GetResourceVersion(); got != before.GetResourceVersion() {
		t.Errorf("the PediaCluster was changed: %s to %s", before.GetResourceVersion(), got)
	}
	if _, err := p.pediaCluster(t.Context(), "two"); gone(err) != nil {
		t.Errorf("a new one: %v", gone(err))
	}

	p.edit(t, `{"spec":{"suspend":false}}`)
	p.waitForToken(t, "one", "new")
	p.waitForToken(t, "two", "secret")
}

func TestRule7ASourceIsImportedByOnePolicyOnly(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "claimed")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForReady(t, "claimed-one", policyv1alpha1.ReasonCreated)
	const everything = "{{ ne .source.metadata.name \"\" }}"

	second := *p
	second.name = "claimant"
	second.manifests.policy = *p.manifests.policy.DeepCopy()
	second.manifests.policy.SetName(second.name)
	set(t, second.manifests.policy, "claimant-{{ .source.metadata.name }}", "spec", "nameTemplate")

	// Both must say which Sources they take.
	for _, selector := range []string{"", everything} {
		set(t, second.manifests.policy, selector, "spec", "source", "selectorTemplate")
		out, err := second.tryApply(t, second.manifests.policy.Object)
		if err == nil {
			t.Fatalf("a second policy on the type is accepted: %s", out)
		}
		contains(t, err.Error(), `policy "claimed" imports clusters.claimed.mcp.io already`, "selectorTemplate")
	}
	p.edit(t, `{"spec":{"source":{"selectorTemplate":`+strconv.Quote(everything)+`}}}`)
	second.apply(t, second.manifests.policy.Object)
	if out, err := p.Kubectl(t.Context(), nil, "patch", "clusterimportpolicy", p.name, "--type=merge", "-p",
		`{"spec":{"source":{"selectorTemplate":null}}}`); err == nil {
		t.Errorf("the first policy takes all Sources again: %s", out)
	}

	// A Source that both take stays with the first.
	second.waitForPolicy(t, "names the first", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if len(status.Failures) != 1 || status.Failures[0].Reason != policyv1alpha1.ReasonSourceTaken {
			return fmt.Errorf("its failures are %+v", status.Failures)
		}
		return mentions(status.Failures[0].Message, `"claimed"`)
	})
	before, err := p.pediaCluster(t.Context(), "one")
	must(t, err)

	// Deleting the second touches nothing of the first.
	p.kubectl(t, "delete", "clusterimportpolicy", second.name, "--timeout=60s")
	p.sameObject(t, "one", before)
	p.waitForReady(t, "claimed-one", policyv1alpha1.ReasonCreated)
}

func TestAFieldThatThePediaClusterDoesNotHaveIsAnError(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "strict")
	set(t, p.manifests.policy, "spec:\n  apiserver: \"{{ .source.spec.apiEndpoint }}\"\n  syncResources: []\n  noSuchField: 1\n", "spec", "template")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	lifecycle := p.waitForReady(t, "strict-one", policyv1alpha1.ReasonInvalidPediaCluster)
	must(t, same("phase", string(lifecycle.Status.Phase), string(policyv1alpha1.LifecycleFailed)))
	must(t, mentions(meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady).Message, "spec.noSuchField: unknown field: known are apiserver, "))
	if _, err := p.pediaCluster(t.Context(), "one"); gone(err) != nil {
		t.Errorf("it was made all the same: %v", gone(err))
	}
}

func TestTheStateOfTheClusterShowsInTheTable(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "stateful")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	_, err := p.objects.Resource(pediaClusters).Patch(t.Context(), "stateful-one", types.MergePatchType, []byte(
		`{"status":{"version":"v1.36.3","apiserver":"https://seen.example.com","conditions":[{"type":"Ready","status":"True",`+
			`"reason":"Ready","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`), metav1.PatchOptions{}, "status")
	must(t, err)
	eventually(t, "the lifecycle shows the state of the cluster", func() error {
		lifecycle, err := p.lifecycle(t.Context(), "one")
		if err != nil {
			return err
		}
		want := &policyv1alpha1.ClusterState{Ready: "True", Version: "v1.36.3", APIServer: "https://seen.example.com"}
		if diff := cmp.Diff(want, lifecycle.Status.Cluster); diff != "" {
			return fmt.Errorf("state (-want +got):\n%s", diff)
		}
		return nil
	})
	contains(t, shared.kubectl(t, "get", "pcl", "stateful-one", "-o", "wide"), "True", "v1.36.3", "https://seen.example.com")

	// Not ready: Clusterpedia's summary names a condition, and that has the cause.
	_, err = p.objects.Resource(pediaClusters).Patch(t.Context(), "stateful-one", types.MergePatchType, []byte(
		`{"status":{"conditions":[{"type":"Ready","status":"False","reason":"NotReady",`+
			`"message":"SynchroRunning condition is False, reason is InitialFailed","lastTransitionTime":"2026-01-01T00:00:00Z"},`+
			`{"type":"SynchroRunning","status":"False","reason":"InitialFailed","message":"no route to host","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`),
		metav1.PatchOptions{}, "status")
	must(t, err)
	shared.kubectl(t, "wait", "--for=jsonpath={.status.cluster.message}=SynchroRunning: no route to host", "--timeout=60s", "pcl/stateful-one")
	contains(t, shared.kubectl(t, "get", "pcl", "stateful-one", "-o", "wide"), "False", "SynchroRunning: no route to host")
}

func TestRule11AReferenceTypeMayComeLateAndGo(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "latecomer")
	// The token is in an object of a type of its own, of the same group.
	credentials := *p.manifests.crd.DeepCopy()
	credentials.SetName("credentials." + p.group)
	set(t, credentials, map[string]any{"kind": "Credential", "listKind": "CredentialList",
		"plural": "credentials", "singular": "credential"}, "spec", "names")
	set(t, p.manifests.role, []any{map[string]any{"apiGroups": []any{p.group},
		"resources": []any{"clusters", "credentials"}, "verbs": []any{"get", "list", "watch"}}}, "rules")
	set(t, p.manifests.policy, []any{map[string]any{"key": "secret", "group": p.group, "resource": "credentials",
		"nameTemplate": "{{ .source.metadata.name }}"}}, "spec", "references")
	set(t, p.manifests.policy, "spec:\n  apiserver: \"{{ .references.secret.spec.apiEndpoint }}\"\n"+
		"  syncResources: [{group: \"\", resources: [pods]}]\n", "spec", "template")
	set(t, p.manifests.policy, "true", "spec", "creationCondition")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createObject(t.Context(), "one", true))
	p.waitForPolicy(t, "waits for the type", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady)
		return errors.Join(same("reason", ready.Reason, policyv1alpha1.ReasonReferenceTypeNotServed),
			mentions(ready.Message, `reference "secret"`, "credentials."+p.group))
	})

	arrive := func(endpoint string) {
		p.apply(t, credentials.Object)
		must(t, p.WaitForTypes(t.Context(), credentials.GetName()))
		p.apply(t, map[string]any{"apiVersion": p.resource.GroupVersion().String(), "kind": "Credential",
			"metadata": map[string]any{"name": "one"}, "spec": map[string]any{"apiEndpoint": endpoint}})
		eventually(t, "the PediaCluster has the endpoint", func() error {
			object, err := p.pediaCluster(t.Context(), "one")
			if err != nil {
				return err
			}
			return same("apiserver", text(object, "spec", "apiserver"), endpoint)
		})
	}
	arrive("https://first.example.com")
	before := p.uids(t)

	// The type goes, with its objects, and the import waits with what it has.
	p.kubectl(t, "delete", "customresourcedefinition", credentials.GetName(), "--timeout=60s")
	p.waitForReady(t, "latecomer-one", policyv1alpha1.ReasonWaitingForType)
	p.keep(t, before)
	arrive("https://second.example.com")
	p.keep(t, before)
}
