package controller

import (
	"context"
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/probe"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/fake"
	policylisters "github.com/clusterpedia-io/policy-apiserver/pkg/generated/listers/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// oneImport is an import of which nothing is left to do. Its clients are fakes:
// these tests are about moments that a real host cannot be brought to.
type oneImport struct {
	*importController
	index.Import
	host       *dynamicfake.FakeDynamicClient
	lifecycles *hookedIndexer
	// knownPolicies are those that the informer has.
	knownPolicies cache.Indexer
}

// hookedIndexer lets something happen while it is read.
type hookedIndexer struct {
	cache.Indexer
	amidst func()
}

func (h *hookedIndexer) ByIndex(name, value string) ([]any, error) {
	objects, err := h.Indexer.ByIndex(name, value)
	if amidst := h.amidst; amidst != nil {
		h.amidst = nil
		amidst()
	}
	return objects, err
}

type noHandler struct{}

func (noHandler) ObjectChanged(hostobjects.Kind, []string, string, string, hostobjects.Change) {}
func (noHandler) StateChanged(hostobjects.Kind, []string)                                      {}

func stateOfOne(t *testing.T, generation int64, endpoint string) *policyState {
	t.Helper()
	policy := &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mcp", UID: "p", Generation: generation}}
	policy.Spec.Source.Group, policy.Spec.Source.Resource = "cluster.mcp.io", "clusters"
	policy.Spec.NameTemplate = "mcp-{{ .source.metadata.name }}"
	policy.Spec.Template = "spec:\n  apiserver: " + endpoint + "\n"
	policy.Spec.CreationCondition = "true"
	state := &policyState{policy: policy, pediaClusters: true,
		source:  servedtypes.Type{GroupVersionResource: mcpClusters},
		sources: hostobjects.Kind{GroupVersionResource: mcpClusters}}
	if problem := state.compile(); problem != nil {
		t.Fatal(problem)
	}
	return state
}

var mcpClusters = schema.GroupVersionResource{Group: "cluster.mcp.io", Version: "v1alpha1", Resource: "clusters"}

func newOneImport(t *testing.T) *oneImport {
	t.Helper()
	state := stateOfOne(t, 1, "https://old")
	i := index.Import{Policy: "mcp", Name: "a"}
	source := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "cluster.mcp.io/v1alpha1", "kind": "Cluster",
		"metadata": map[string]any{"name": "a", "resourceVersion": "5", "uid": "s"}}}
	lifecycle := (&importWork{Import: i, state: state}).desiredLifecycle("mcp-a")
	lifecycle.UID, lifecycle.Generation, lifecycle.ResourceVersion = "lc", 1, "1"
	lifecycle.CreationTimestamp = metav1.Now()
	lifecycle.Finalizers = []string{policyv1alpha1.Finalizer}
	pediaCluster := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"apiserver": "https://old"}}}
	pediaCluster.SetGroupVersionKind(render.PediaClusterGVK)
	pediaCluster.SetName(lifecycle.Name)
	pediaCluster.SetUID("pc")
	pediaCluster.SetResourceVersion("100")
	pediaCluster.SetAnnotations(map[string]string{policyv1alpha1.CreatedForAnnotation: ownerOf(lifecycle).CreatedFor()})
	pediaCluster.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: policyv1alpha1.SchemeGroupVersion.String(),
		Kind: "PediaClusterLifecycle", Name: lifecycle.Name, UID: lifecycle.UID}})

	host := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		mcpClusters: "ClusterList", render.PediaClusterGVR: "PediaClusterList"}, source, pediaCluster)
	own := fake.NewClientset(lifecycle.DeepCopy(), state.policy.DeepCopy()).PolicyV1alpha1()
	lifecycles := &hookedIndexer{Indexer: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{byPolicy: indexByPolicy, bySource: indexBySource})}
	if err := lifecycles.Add(lifecycle); err != nil {
		t.Fatal(err)
	}
	records := &lifecycleStore{indexer: lifecycles, lister: policylisters.NewPediaClusterLifecycleLister(lifecycles), client: own.PediaClusterLifecycles()}
	pool := hostobjects.NewPool(host, nil, noHandler{})
	known := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	if err := known.Add(state.policy); err != nil {
		t.Fatal(err)
	}
	policies := newPolicyController(own.ClusterImportPolicies(), policylisters.NewClusterImportPolicyLister(known), records, nil, pool, events.NewFakeRecorder(100))
	policies.states["mcp"] = state
	one := &oneImport{newImportController(policies, records, host, nil, pool, policies.brake), i, host, lifecycles, known}

	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(pool.Wait)
	t.Cleanup(cancel)
	for _, kind := range []hostobjects.Kind{state.sources, pediaClusters} {
		pool.Subscribe(ctx, kind, "mcp", nil)
		eventually(t, func() bool { synced, _ := pool.Status(kind); return synced })
	}
	one.look(t)
	return one
}

func (o *oneImport) look(t *testing.T) {
	t.Helper()
	if err := o.reconcile(t.Context(), o.Import); err != nil {
		t.Fatal(err)
	}
}

func (o *oneImport) wantEndpoint(t *testing.T, want string) {
	t.Helper()
	object, err := o.host.Resource(render.PediaClusterGVR).Get(t.Context(), "mcp-a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := unstructured.NestedString(object.Object, "spec", "apiserver"); got != want {
		t.Errorf("the endpoint is %s, want %s", got, want)
	}
}

func eventually(t *testing.T, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !check(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute")
		}
	}
}

func TestAnEditInTheMiddleOfALookIsNotLost(t *testing.T) {
	one := newOneImport(t)
	one.looks.void(one.Import)
	edited := stateOfOne(t, 2, "https://new")
	one.lifecycles.amidst = func() {
		one.policies.mu.Lock()
		one.policies.states["mcp"] = edited
		one.policies.mu.Unlock()
		one.enqueueAmongMany(one.Import)
	}
	one.look(t)
	one.look(t) // what was enqueued
	one.wantEndpoint(t, "https://new")
}

func TestWhatARestoredHostHasIsNoEcho(t *testing.T) {
	one := newOneImport(t)
	restored, err := one.host.Resource(render.PediaClusterGVR).Get(t.Context(), "mcp-a", metav1.GetOptions{})
	if err == nil {
		restored.SetResourceVersion("80")
		err = unstructured.SetNestedField(restored.Object, "https://ancient", "spec", "apiserver")
	}
	if err == nil {
		err = one.host.Tracker().Update(render.PediaClusterGVR, restored, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return one.objects.ResourceVersion(pediaClusters, "", "mcp-a") == "80" })
	one.pediaClusterChanged("mcp-a", hostobjects.Present)
	one.look(t)
	one.wantEndpoint(t, "https://old")
}

// isBusy has another import wait, so that records are postponed, until it ends.
func (o *oneImport) isBusy() (ended func()) {
	o.enqueueAmongMany(index.Import{Policy: "mcp", Name: "another"})
	return func() {
		another, _ := o.queue.Get()
		o.queue.Done(another)
	}
}

// edit has the policy want another endpoint, and looks.
func (o *oneImport) edit(t *testing.T, endpoint string) {
	t.Helper()
	o.policies.mu.Lock()
	o.policies.states["mcp"] = stateOfOne(t, 2, endpoint)
	o.policies.mu.Unlock()
	o.looks.void(o.Import)
	o.look(t)
}

// stored returns the lifecycle as it is in storage, which the informer has too
// from now on.
func (o *oneImport) stored(t *testing.T) *policyv1alpha1.PediaClusterLifecycle {
	t.Helper()
	lifecycle, err := o.records.client.Get(t.Context(), "mcp-a", metav1.GetOptions{})
	if err == nil {
		err = o.lifecycles.Update(lifecycle)
	}
	if err != nil {
		t.Fatal(err)
	}
	return lifecycle
}

func TestARecordIsWrittenEvenIfItsLookDoesNotCount(t *testing.T) {
	one := newOneImport(t)
	one.stored(t)
	one.isBusy()
	one.lifecycles.amidst = one.looks.voidAll
	one.edit(t, "https://new")
	if one.looks.record(one.Import) == nil {
		t.Fatal("the record is not postponed")
	}
	if _, waits := one.lanes.waits[one.Import]; !waits {
		t.Error("nothing will ever write the record")
	}
}

func TestWhatARecordSaysIsNotLostWithIt(t *testing.T) {
	one := newOneImport(t)
	if changed := one.stored(t).Status.Credentials.ChangedTime; changed != nil {
		t.Fatalf("credentials that were there first changed at %v", changed)
	}
	ended := one.isBusy()
	one.edit(t, "https://new")
	if one.stored(t).Status.Credentials.ChangedTime != nil {
		t.Fatal("the record is not postponed")
	}
	ended()
	one.looks.void(one.Import)  // something else happens
	eventually(t, func() bool { // the informer has what was written
		object := one.objects.Object(pediaClusters, "", "mcp-a")
		endpoint, _, _ := unstructured.NestedString(object.Object, "spec", "apiserver")
		return endpoint == "https://new"
	})
	one.look(t)
	if one.stored(t).Status.Credentials.ChangedTime == nil {
		t.Error("the change of the credentials was not told")
	}
	if one.looks.record(one.Import) != nil {
		t.Error("the record is still left to be written")
	}
}

func TestAChangeOvertakesTheRecordThatIsLeft(t *testing.T) {
	one := newOneImport(t)
	one.stored(t)
	one.isBusy()
	one.edit(t, "https://new")
	one.pediaClusterChanged("mcp-a", hostobjects.Present)
	if in := one.lanes.waits[one.Import]; in != recordLane {
		t.Errorf("an echo brings the import into lane %v", in)
	}
	changed, err := one.host.Resource(render.PediaClusterGVR).Get(t.Context(), "mcp-a", metav1.GetOptions{})
	if err == nil {
		changed.SetResourceVersion("102")
		err = one.host.Tracker().Update(render.PediaClusterGVR, changed, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return one.objects.ResourceVersion(pediaClusters, "", "mcp-a") == "102" })
	one.pediaClusterChanged("mcp-a", hostobjects.Present)
	if in := one.lanes.waits[one.Import]; in != singleLane {
		t.Errorf("a change brings the import into lane %v", in)
	}
}

func TestWhatWasToldBeforeALifecycleIsKnownIsNotLost(t *testing.T) {
	for name, tell := range map[string]func(*oneImport){
		"an answer of the cluster": func(one *oneImport) {
			one.prober = probe.New(probe.Config{}, func(string) {})
			one.clusterAnswered("mcp-a")
		},
		"a contender for its name": func(one *oneImport) {
			one.setWants(index.Import{Policy: "mcp", Name: "b"}, "mcp-a")
		},
		"that its PediaCluster was deleted": func(one *oneImport) {
			one.pediaClusterChanged("mcp-a", hostobjects.Deleted)
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			lifecycle := one.lifecycles.List()[0].(*policyv1alpha1.PediaClusterLifecycle)
			if err := one.lifecycles.Delete(lifecycle); err != nil { // not seen yet
				t.Fatal(err)
			}
			tell(one)
			if err := one.lifecycles.Add(lifecycle); err != nil {
				t.Fatal(err)
			}
			one.lifecycleHandler().OnAdd(lifecycle, false)
			if _, last := one.looks.begin(one.Import); last != nil {
				t.Error("the lifecycle's event is taken for an echo")
			}
		})
	}
}

func TestALifecycleThatComesLateIsLookedAt(t *testing.T) {
	one := newOneImport(t)
	lifecycle := one.stored(t)
	one.isBusy()
	one.edit(t, "https://new")
	if err := one.lifecycles.Delete(lifecycle); err != nil { // not seen yet
		t.Fatal(err)
	}
	if err := one.host.Resource(mcpClusters).Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return one.objects.ResourceVersion(one.policies.state("mcp").sources, "", "a") == "" })
	one.sourceChanged(one.Import, hostobjects.Deleted)
	for one.lanes.Len() > 0 {
		item, _ := one.queue.Get()
		if item == one.Import {
			one.look(t)
		}
		one.queue.Done(item)
	}
	one.lifecycleHandler().OnAdd(lifecycle, false)
	if _, waits := one.lanes.waits[one.Import]; !waits {
		t.Error("nothing will ever remove the PediaCluster")
	}
}

func TestAPediaClusterIsMadeAgainUnderAVersionThatNobodyLetsGo(t *testing.T) {
	one := newOneImport(t)
	one.stored(t)
	if err := one.host.Resource(render.PediaClusterGVR).Delete(t.Context(), "mcp-a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return one.objects.ResourceVersion(pediaClusters, "", "mcp-a") == "" })
	made := false
	one.host.PrependReactor("create", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
		made = true
		stored, err := one.records.client.Get(t.Context(), "mcp-a", metav1.GetOptions{})
		if err != nil || isCreated(stored.Status) {
			t.Errorf("the lifecycle still says that there is one: %v, %v", stored.Status, err)
		}
		return false, nil, nil
	})
	one.pediaClusterChanged("mcp-a", hostobjects.Deleted)
	one.look(t)
	if !made || !isCreated(one.stored(t).Status) {
		t.Errorf("the PediaCluster was made: %v; the lifecycle says %v", made, one.stored(t).Status)
	}
}

func TestAKeptNameIsGivenFreeWhenItsLifecycleHasGone(t *testing.T) {
	one := newOneImport(t)
	for _, name := range []string{"mcp-a", "mcp-former"} {
		one.index.Reserve(name, one.Import)
	}
	one.looks.void(one.Import)
	one.look(t)
	if _, kept := one.index.ReservedFor("mcp-a"); !kept {
		t.Error("a name is given free while its lifecycle is there")
	}
	one.index.Unreserve(one.Import)
	one.index.Reserve("mcp-former", one.Import)
	one.looks.void(one.Import)
	one.look(t)
	if _, kept := one.index.ReservedFor("mcp-former"); kept {
		t.Error("the former name is kept for ever")
	}
}

func TestNothingIsDeletedThatStorageDoesNotConfirm(t *testing.T) {
	type seen struct {
		lifecycle *policyv1alpha1.PediaClusterLifecycle
		policy    *policyv1alpha1.ClusterImportPolicy
	}
	removals := map[string]func(*testing.T, *oneImport, seen) error{
		"at once": func(t *testing.T, one *oneImport, seen seen) error {
			_, err := one.remove(t.Context(), seen.lifecycle, removal{cause: policyv1alpha1.ReasonSourceGone, policy: seen.policy})
			return err
		},
		"marked before": func(t *testing.T, one *oneImport, seen seen) error {
			marked := seen.lifecycle.DeepCopy()
			marked.DeletionTimestamp = &metav1.Time{Time: time.Now()}
			marked.Annotations = map[string]string{policyv1alpha1.RemovedAnnotation: "true"}
			_, err := one.remove(t.Context(), marked, removal{cause: policyv1alpha1.ReasonSourceGone, policy: seen.policy})
			return err
		},
		"by deletionCondition": func(t *testing.T, one *oneImport, seen seen) error {
			w := &importWork{importController: one.importController, Import: one.Import, state: one.policies.state("mcp")}
			done := w.execute(t.Context(), seen.lifecycle, one.objects.Object(pediaClusters, "", "mcp-a"),
				render.Plan{Action: render.ActionDelete, Reason: policyv1alpha1.ReasonDeletionConditionMet})
			if done.stale != (done.err != nil) {
				t.Errorf("it is told that %v", done.err)
			}
			return done.err
		},
	}
	for name, test := range map[string]struct {
		meanwhile func(seen)
		gone      bool
	}{
		"as it was seen": {func(seen) {}, true},
		"a policy that somebody annotated": {func(seen seen) {
			seen.policy.Annotations = map[string]string{"example.com/owner": "jane"}
		}, true},
		"a lifecycle that was paused": {func(seen seen) {
			seen.lifecycle.ResourceVersion, seen.lifecycle.Annotations = "9", map[string]string{policyv1alpha1.PausedAnnotation: "true"}
		}, false},
		"a lifecycle that was made anew": {func(seen seen) { seen.lifecycle.UID = "other" }, false},
		"a policy that was suspended": {func(seen seen) {
			seen.policy.Generation, seen.policy.Spec.Suspend = 2, true
		}, false},
		"a policy whose PediaClusters are to stay": {func(seen seen) {
			seen.policy.Annotations = map[string]string{policyv1alpha1.OrphanAnnotation: "true"}
		}, false},
		"a policy that was made anew": {func(seen seen) { seen.policy.UID = "other" }, false},
	} {
		for how, remove := range removals {
			t.Run(name+", "+how, func(t *testing.T) {
				one := newOneImport(t)
				saw := seen{one.stored(t).DeepCopy(), one.policies.state("mcp").policy}
				changed := seen{saw.lifecycle.DeepCopy(), saw.policy.DeepCopy()}
				test.meanwhile(changed)
				_, err := one.records.client.Update(t.Context(), changed.lifecycle, metav1.UpdateOptions{})
				if err == nil {
					_, err = one.policies.client.Update(t.Context(), changed.policy, metav1.UpdateOptions{})
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := remove(t, one, saw); (err == nil) != test.gone {
					t.Errorf("the error is %v", err)
				}
				_, err = one.host.Resource(render.PediaClusterGVR).Get(t.Context(), "mcp-a", metav1.GetOptions{})
				if apierrors.IsNotFound(err) != test.gone {
					t.Errorf("reading the PediaCluster: %v", err)
				}
				if _, err = one.records.client.Get(t.Context(), "mcp-a", metav1.GetOptions{}); err != nil && !test.gone {
					t.Errorf("reading the lifecycle: %v", err)
				}
			})
		}
	}
}

func TestAStatusThatComesLateIsCorrected(t *testing.T) {
	one := newOneImport(t)
	before := one.stored(t)
	late := before.DeepCopy()
	late.ResourceVersion, late.Status.Phase = "9", policyv1alpha1.LifecycleWaiting
	if _, err := one.records.client.UpdateStatus(t.Context(), late, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	seen := one.stored(t)
	one.lifecycleHandler().OnUpdate(before, seen)
	if _, waits := one.lanes.waits[one.Import]; !waits {
		t.Fatal("nothing will ever correct it")
	}
	item, _ := one.queue.Get()
	one.look(t)
	one.queue.Done(item)
	corrected, err := one.records.client.Get(t.Context(), "mcp-a", metav1.GetOptions{})
	if err != nil || corrected.Status.Phase != policyv1alpha1.LifecycleImported {
		t.Fatalf("the lifecycle says %s, %v", corrected.Status.Phase, err)
	}
	corrected.ResourceVersion = "10" // which the fake client does not raise
	one.records.wrote(corrected)
	one.lifecycleHandler().OnUpdate(seen, corrected)
	if _, waits := one.lanes.waits[one.Import]; waits {
		t.Error("what it has written itself is looked at again")
	}
}

func TestWhatWasMarkedButNotDeletedAsksTheBrakeAgain(t *testing.T) {
	orphaned := map[string]string{policyv1alpha1.RemovedAnnotation: "true", policyv1alpha1.OrphanAnnotation: "true"}
	for name, test := range map[string]struct {
		annotations     map[string]string
		going           bool
		asks, keepsMark bool
	}{
		"it is still there":          {annotations: map[string]string{policyv1alpha1.RemovedAnnotation: "true"}, asks: true, keepsMark: true},
		"it goes already":            {annotations: map[string]string{policyv1alpha1.RemovedAnnotation: "true"}, going: true, keepsMark: true},
		"a person wants it to stay":  {annotations: orphaned},
		"a person deletes what goes": {annotations: orphaned, going: true},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			w := &importWork{importController: one.importController, Import: one.Import, state: one.policies.state("mcp")}
			marked := one.stored(t).DeepCopy()
			marked.DeletionTimestamp, marked.Annotations = &metav1.Time{Time: time.Now()}, test.annotations
			clusters := one.host.Resource(render.PediaClusterGVR)
			live, err := clusters.Get(t.Context(), "mcp-a", metav1.GetOptions{})
			if err == nil && test.going {
				live.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
				live.SetFinalizers([]string{"clusterpedia.io/cluster-synchro-controller"})
				live.SetResourceVersion("101")
				_, err = clusters.Update(t.Context(), live, metav1.UpdateOptions{})
			}
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool {
				return one.objects.ResourceVersion(pediaClusters, "", "mcp-a") == live.GetResourceVersion()
			})
			_, err = w.removeIfMay(t.Context(), marked, removal{cause: policyv1alpha1.ReasonSourceDeselected, counted: true})
			if err != nil {
				t.Error(err)
			}
			if asked := len(w.wanted) > 0; asked != test.asks {
				t.Errorf("the brake was asked: %v", asked)
			}
			live, err = clusters.Get(t.Context(), "mcp-a", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if kept := live.GetAnnotations()[policyv1alpha1.CreatedForAnnotation] != ""; kept != test.keepsMark {
				t.Errorf("it says whose it is: %v", kept)
			}
		})
	}
}

func TestARecordIsWrittenWhileTheImportsRest(t *testing.T) {
	one := newOneImport(t)
	one.stored(t)
	ended := one.isBusy()
	one.edit(t, "https://new")
	ended()
	resting := *one.policies.state("mcp")
	resting.problem = &problem{reason: policyv1alpha1.ReasonReferencesUnavailable}
	one.policies.mu.Lock()
	one.policies.states["mcp"] = &resting
	one.policies.mu.Unlock()
	one.look(t)
	if stored := one.stored(t); stored.Status.Credentials.ChangedTime == nil || stored.Spec.Template != resting.policy.Spec.Template {
		t.Errorf("the lifecycle says that it is made by %q, and %+v", stored.Spec.Template, stored.Status)
	}
	if one.looks.record(one.Import) != nil {
		t.Error("the record is still left to be written")
	}
}

func TestAPediaClusterWhoseTypeIsNotServedIsNotTakenForDeleted(t *testing.T) {
	one := newOneImport(t)
	one.host.PrependReactor("delete", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewGenericServerResponse(http.StatusNotFound, "delete",
			render.PediaClusterGVR.GroupResource(), "mcp-a", "404 page not found", 0, true)
	})
	lifecycle := one.lifecycles.List()[0].(*policyv1alpha1.PediaClusterLifecycle).DeepCopy()
	lifecycle.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	_, gone, err := one.removePediaCluster(t.Context(), lifecycle, removal{cause: policyv1alpha1.ReasonPolicyDeleted, policy: one.policies.state("mcp").policy})
	if gone || err == nil {
		t.Errorf("gone is %v, the error %v", gone, err)
	}
}
