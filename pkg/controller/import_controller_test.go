package controller

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles/lifecyclestest"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/probe"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/fake"
	policylisters "github.com/clusterpedia-io/policy-apiserver/pkg/generated/listers/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// oneImport is an import of which nothing is left to do. Host and storage are fakes: these
// tests are about moments that real ones cannot be brought to. What the informer of lifecycles
// shows is up to the test.
type oneImport struct {
	*importController
	memory.Import
	host     *dynamicfake.FakeDynamicClient
	metadata *metadatafake.FakeMetadataClient
	storage  *lifecyclestest.Storage
	shown    *hookedIndexer
	// knownPolicies are those that the informer has.
	knownPolicies cache.Indexer
	// isBusy has records wait for more urgent work.
	isBusy atomic.Bool
	// time is that of the brake.
	time *clocktesting.FakePassiveClock
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

var (
	mcpClusters = schema.GroupVersionResource{Group: "cluster.mcp.io", Version: "v1alpha1", Resource: "clusters"}
	secrets     = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

func stateOfOne(t testing.TB, generation int64, endpoint string) *policyState {
	t.Helper()
	policy := &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mcp", UID: "p", Generation: generation}}
	policy.Spec.Source.Group, policy.Spec.Source.Resource = "cluster.mcp.io", "clusters"
	policy.Spec.NameTemplate = "mcp-{{ .source.metadata.name }}"
	policy.Spec.Template = "spec:\n  apiserver: " + endpoint + "\n  syncResources: []\n"
	policy.Spec.CreationCondition = "true"
	policy.Spec.DeletionPolicy = policyv1alpha1.DeletionPolicyDelete
	state := &policyState{policy: policy, pediaClusters: true,
		source:  servedtypes.Type{GroupVersionResource: mcpClusters, Definition: "definition"},
		sources: hostobjects.Kind{GroupVersionResource: mcpClusters, Definition: "definition"}}
	if problem := state.compile(); problem != nil {
		t.Fatal(problem)
	}
	return state
}

func sourceNamed(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "cluster.mcp.io/v1alpha1", "kind": "Cluster",
		"metadata": map[string]any{"name": name, "resourceVersion": "5", "uid": "s"}}}
}

// definition is the one of the type of the Source.
func definition() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: mcpClusters.GroupResource().String(), UID: "definition"},
	}
}

// newWorld is a host with one Source that nobody has worked on.
func newWorld(t *testing.T, state *policyState, hosts []runtime.Object, stored ...*lifecycles.Lifecycle) *oneImport {
	t.Helper()
	host := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		mcpClusters: "ClusterList", render.PediaClusterGVR: "PediaClusterList", secrets: "SecretList"}, hosts...)
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	one := &oneImport{Import: memory.Import{Policy: "mcp", Name: "a"}, host: host, storage: lifecyclestest.New(stored...),
		metadata:      metadatafake.NewSimpleMetadataClient(scheme, definition()),
		shown:         &hookedIndexer{Indexer: cache.NewIndexer(cache.MetaNamespaceKeyFunc, lifecycles.Indexers())},
		knownPolicies: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})}
	for _, lifecycle := range stored {
		if err := one.shown.Add(lifecycle.DeepCopy()); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.knownPolicies.Add(state.policy); err != nil {
		t.Fatal(err)
	}
	pool := hostobjects.NewPool(host, one.metadata, noHandler{}, hostClients{kubernetes: permissive()}.permitted)
	types := servedtypes.New(nil, one.metadata, func() {})
	store := lifecycles.New(one.storage, one.shown, clock.RealClock{})
	policies := newPolicyController(fake.NewClientset(state.policy.DeepCopy()).PolicyV1alpha1().ClusterImportPolicies(),
		policylisters.NewClusterImportPolicyLister(one.knownPolicies), store, types, pool, events.NewFakeRecorder(10_000))
	policies.states["mcp"] = state
	one.time = clocktesting.NewFakePassiveClock(time.Now())
	policies.brake = brake.New(one.time)
	one.importController = newImportController(policies, store, host, types, pool, policies.brake)
	policies.enqueueImport, policies.enqueueInBulk, policies.addInBulk, policies.checkOwners = one.enqueue, one.enqueueInBulk, one.addInBulk, one.checkOwners
	store.OnRecorded(one.recorded)

	ctx, cancel := context.WithCancel(t.Context())
	policies.context = ctx
	var writers sync.WaitGroup
	writers.Go(func() { store.Run(ctx, one.isBusy.Load) })
	for _, cleanup := range []func(){pool.Wait, writers.Wait, policies.queue.ShutDown, one.queue.ShutDown, one.owners.ShutDown, cancel} {
		t.Cleanup(cleanup)
	}
	for _, kind := range state.kinds() {
		pool.Subscribe(ctx, kind, "mcp", nil)
		// What changes between the list and the watch, fakes show to nobody.
		eventually(t, func() bool {
			synced, _ := pool.Status(kind)
			return synced && slices.ContainsFunc(slices.Concat(host.Actions(), one.metadata.Actions()), func(a clienttesting.Action) bool {
				return a.Matches("watch", kind.Resource)
			})
		})
	}
	return one
}

// newOneImport is an import that was made before this process began.
func newOneImport(t *testing.T) *oneImport {
	t.Helper()
	state := stateOfOne(t, 1, "https://old")
	lifecycle := (&pass{Import: memory.Import{Policy: "mcp", Name: "a"}, state: state}).newLifecycle("mcp-a")
	lifecycle.UID, lifecycle.Generation, lifecycle.ResourceVersion = "lc", 1, "1"
	lifecycle.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second))
	lifecycle.Finalizers = []string{policyv1alpha1.Finalizer}
	pediaCluster := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"apiserver": "https://old", "syncResources": []any{}}}}
	pediaCluster.SetGroupVersionKind(render.PediaClusterGVK)
	pediaCluster.SetName(lifecycle.Name)
	pediaCluster.SetUID("pc")
	pediaCluster.SetResourceVersion("100")
	pediaCluster.SetAnnotations(map[string]string{policyv1alpha1.CreatedForAnnotation: decision.OwnerOf(lifecycle).CreatedFor()})
	pediaCluster.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: policyv1alpha1.SchemeGroupVersion.String(),
		Kind: "PediaClusterLifecycle", Name: lifecycle.Name, UID: lifecycle.UID}})
	one := newWorld(t, state, []runtime.Object{sourceNamed("a"), pediaCluster}, lifecycle)
	one.pass(t)
	one.stored(t)
	one.pass(t) // which finds nothing to do in what the first has recorded
	return one
}

// newUnimported is an import of which nothing was made.
func newUnimported(t *testing.T) *oneImport {
	t.Helper()
	return newWorld(t, stateOfOne(t, 1, "https://old"), []runtime.Object{sourceNamed("a")})
}

// pass has one pass over the import, and what it records written unless there is more urgent
// work.
func (o *oneImport) pass(t *testing.T) {
	t.Helper()
	if err := o.reconcile(t.Context(), o.Import); err != nil {
		t.Fatal(err)
	}
	if !o.isBusy.Load() {
		o.isWritten(t)
	}
}

// isWritten waits until no record is pending.
func (o *oneImport) isWritten(t *testing.T) {
	t.Helper()
	eventually(t, func() bool {
		return !slices.ContainsFunc([]string{"mcp-a", "mcp-b", "mcp-c"}, o.store.HasPending)
	})
}

// again has another pass that does all its work.
func (o *oneImport) again(t *testing.T) {
	t.Helper()
	o.memory.Invalidate(o.Import)
	o.pass(t)
}

// waits reports whether the import waits in the queue, and with which priority.
func (o *oneImport) waits() (priority, bool) {
	o.order.mu.Lock()
	defer o.order.mu.Unlock()
	p, waits := o.order.waits[o.Import]
	return p, waits
}

// forgetsQueue takes all imports off the queue.
func (o *oneImport) forgetsQueue() {
	for o.queue.Len() > 0 {
		item, _ := o.queue.Get()
		o.order.end(item, false)
		o.queue.Done(item)
	}
}

// isSettledNow reports whether the next pass would find nothing to do.
func (o *oneImport) isSettledNow() bool {
	p := &pass{importController: o.importController, Import: o.Import, state: o.policies.state(o.Policy), lifecycles: o.lifecyclesOf(o.Import)}
	begun, last := o.memory.Begin(o.Import)
	settled := p.isSettled(last)
	if settled {
		o.memory.End(o.Import, begun, last)
	}
	return settled
}

// newPass is a pass that has begun.
func (o *oneImport) newPass() *pass {
	return &pass{importController: o.importController, Import: o.Import, state: o.policies.state(o.Policy), lifecycles: o.lifecyclesOf(o.Import)}
}

// syncOverlay has the informer show a lifecycle as it is stored, and tell of it.
func (o *oneImport) syncOverlay(t *testing.T, name string) {
	t.Helper()
	live, err := o.storage.Get(t.Context(), name)
	object, known, _ := o.shown.GetByKey(name)
	handler := o.lifecycleHandler()
	switch {
	case err != nil && known:
		if err := o.shown.Delete(object); err != nil {
			t.Fatal(err)
		}
		handler.OnDelete(object)
	case err == nil && known:
		if err := o.shown.Update(live); err != nil {
			t.Fatal(err)
		}
		handler.OnUpdate(object, live)
	case err == nil:
		if err := o.shown.Add(live); err != nil {
			t.Fatal(err)
		}
		handler.OnAdd(live, false)
	}
}

// stored returns the lifecycle as it is in storage, which the informer shows too from now on.
func (o *oneImport) stored(t *testing.T) *lifecycles.Lifecycle {
	t.Helper()
	o.syncOverlay(t, "mcp-a")
	lifecycle, err := o.storage.Get(t.Context(), "mcp-a")
	if err != nil {
		t.Fatal(err)
	}
	return lifecycle
}

// isGone reports whether storage has no lifecycle of that name.
func (o *oneImport) isGone(t *testing.T, name string) bool {
	t.Helper()
	_, err := o.storage.Get(t.Context(), name)
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err != nil
}

// pediaCluster returns the PediaCluster of that name on the host, nil when there is none.
func (o *oneImport) pediaCluster(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	object, err := o.host.Resource(render.PediaClusterGVR).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// changePediaCluster changes the PediaCluster on the host, in a new version, and has the
// informer show it.
func (o *oneImport) changePediaCluster(t *testing.T, version string, change func(*unstructured.Unstructured)) {
	t.Helper()
	object := o.pediaCluster(t, "mcp-a")
	change(object)
	object.SetResourceVersion(version)
	if err := o.host.Tracker().Update(render.PediaClusterGVR, object, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return o.objects.ResourceVersion(pediaClusters, "", "mcp-a") == version })
}

// deletePediaCluster takes the PediaCluster away, and has the informer show it.
func (o *oneImport) deletePediaCluster(t *testing.T) {
	t.Helper()
	if err := o.host.Tracker().Delete(render.PediaClusterGVR, "", "mcp-a"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return o.objects.ResourceVersion(pediaClusters, "", "mcp-a") == "" })
}

// deleteSource takes the Source away, and has the informer show it.
func (o *oneImport) deleteSource(t *testing.T) {
	t.Helper()
	if err := o.host.Tracker().Delete(mcpClusters, "", "a"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return o.objects.ResourceVersion(o.policies.state("mcp").sources, "", "a") == "" })
}

// showsPediaCluster waits until the informer shows a PediaCluster with that endpoint.
func (o *oneImport) showsPediaCluster(t *testing.T, endpoint string) {
	t.Helper()
	eventually(t, func() bool {
		object := o.objects.Object(pediaClusters, "", "mcp-a")
		return object != nil && endpointOf(object) == endpoint
	})
}

// brakeDecides has the brake decide about what it was asked for, when that many may go.
func (o *oneImport) brakeDecides(most int) brake.Decision {
	decided := o.brake.Decide("mcp", o.limit(most), "")
	o.brake.Approve(decided.Counted)
	return decided
}

// limit lets that many PediaClusters go.
func (o *oneImport) limit(most int) brake.Limit {
	o.time.SetTime(o.time.Now().Add(time.Minute))
	return brake.Limit{Most: most}
}

// setState sets what is known of the policy.
func (o *oneImport) setState(state *policyState) {
	o.policies.mu.Lock()
	defer o.policies.mu.Unlock()
	o.policies.states["mcp"] = state
}

// edit has the policy want another endpoint, and has a pass.
func (o *oneImport) edit(t *testing.T, endpoint string) {
	t.Helper()
	o.setState(stateOfOne(t, 2, endpoint))
	o.again(t)
}

func endpointOf(pediaCluster *unstructured.Unstructured) string {
	endpoint, _, _ := unstructured.NestedString(pediaCluster.Object, "spec", "apiserver")
	return endpoint
}

func (o *oneImport) wantEndpoint(t *testing.T, want string) {
	t.Helper()
	object := o.pediaCluster(t, "mcp-a")
	if object == nil {
		t.Fatal("there is no PediaCluster")
	}
	if got := endpointOf(object); got != want {
		t.Errorf("the endpoint is %s, want %s", got, want)
	}
}

func eventually(t testing.TB, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !check(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute")
		}
	}
}

func TestAnEditInTheMiddleOfAPassIsNotLost(t *testing.T) {
	one := newOneImport(t)
	one.memory.Invalidate(one.Import)
	edited := stateOfOne(t, 2, "https://new")
	one.shown.amidst = func() {
		one.setState(edited)
		one.enqueueInBulk(one.Import)
	}
	one.pass(t)
	one.pass(t) // what was enqueued
	one.wantEndpoint(t, "https://new")
}

func TestWhatARestoredHostShowsIsNoOwnWrite(t *testing.T) {
	one := newOneImport(t)
	one.changePediaCluster(t, "80", func(restored *unstructured.Unstructured) {
		if err := unstructured.SetNestedField(restored.Object, "https://ancient", "spec", "apiserver"); err != nil {
			t.Fatal(err)
		}
	})
	one.pediaClusterChanged("mcp-a", hostobjects.Present)
	if _, waits := one.waits(); !waits {
		t.Error("it is taken for an own write")
	}
	one.pass(t)
	one.wantEndpoint(t, "https://old")
}

func TestARecordIsWrittenEvenIfItsPassDoesNotCount(t *testing.T) {
	one := newOneImport(t)
	one.isBusy.Store(true)
	one.shown.amidst = func() { one.memory.Invalidate(one.Import) }
	one.edit(t, "https://new")
	if !one.store.HasPending("mcp-a") {
		t.Fatal("the record is not postponed")
	}
	if one.isSettledNow() {
		t.Error("a pass counts that may have missed something")
	}
	one.isBusy.Store(false)
	one.isWritten(t)
	if one.stored(t).Status.Credentials.ChangedTime == nil {
		t.Error("it is lost")
	}
}

func TestWhatARecordSaysIsNotLostWithIt(t *testing.T) {
	one := newOneImport(t)
	if changed := one.stored(t).Status.Credentials.ChangedTime; changed != nil {
		t.Fatalf("credentials that were there first changed at %v", changed)
	}
	one.isBusy.Store(true)
	one.edit(t, "https://new")
	if one.stored(t).Status.Credentials.ChangedTime != nil {
		t.Fatal("the record is not postponed")
	}
	one.showsPediaCluster(t, "https://new")
	one.again(t) // something else happens
	if !one.store.HasPending("mcp-a") {
		t.Fatal("the record is not left to be written")
	}
	one.isBusy.Store(false)
	one.isWritten(t)
	if one.stored(t).Status.Credentials.ChangedTime == nil {
		t.Error("the change of the credentials was not told")
	}
}

func TestOnlyAChangeOvertakesTheRecordThatIsPending(t *testing.T) {
	one := newOneImport(t)
	one.isBusy.Store(true)
	one.edit(t, "https://new")
	one.showsPediaCluster(t, "https://new")
	one.forgetsQueue()
	one.pediaClusterChanged("mcp-a", hostobjects.Present)
	if _, waits := one.waits(); waits {
		t.Error("an own write has the import worked on")
	}
	one.changePediaCluster(t, "102", func(*unstructured.Unstructured) {})
	one.pediaClusterChanged("mcp-a", hostobjects.Present)
	if p, waits := one.waits(); !waits || p != single {
		t.Errorf("a change has the import wait: %t, with priority %d", waits, p)
	}
}

// A record that is still to be written leaves nothing to do, and when it is written, a pass
// finds nothing to do in it.
func TestARecordLeavesNothingToDo(t *testing.T) {
	one := newOneImport(t)
	one.isBusy.Store(true)
	one.edit(t, "https://new")
	one.showsPediaCluster(t, "https://new")
	one.forgetsQueue()
	if !one.isSettledNow() {
		t.Error("a pending record is something to do")
	}
	one.isBusy.Store(false)
	one.isWritten(t)
	one.syncOverlay(t, "mcp-a")
	if _, waits := one.waits(); waits {
		t.Error("the import is worked on when its record is written")
	}
	if !one.isSettledNow() {
		t.Error("a record that is written is something to do")
	}
	writes, asked := len(one.storage.Writes()), len(one.host.Actions())
	one.pass(t)
	if len(one.storage.Writes()) != writes || len(one.host.Actions()) != asked || !one.isSettledNow() {
		t.Errorf("the next pass writes %v and asks %v", one.storage.Writes()[writes:], one.host.Actions()[asked:])
	}
}

// The informer may show a lifecycle before the response to its creation is there.
func TestACreationThatIsShownEarlyCostsNoSecondPass(t *testing.T) {
	one := newUnimported(t)
	one.pass(t)
	eventually(t, func() bool { return one.objects.Object(pediaClusters, "", "mcp-a") != nil })
	one.syncOverlay(t, "mcp-a")
	one.forgetsQueue()
	one.lifecycleAdded(one.stored(t), false)
	if _, waits := one.waits(); !waits {
		t.Error("what somebody else may have written is not looked at")
	}
	if !one.isSettledNow() {
		t.Error("the next pass does all its work")
	}
}

func TestWhatIsToldBeforeTheInformerShowsALifecycleIsNotLost(t *testing.T) {
	for name, tell := range map[string]func(*oneImport){
		"an answer of the cluster": func(one *oneImport) {
			one.prober = probe.New(probe.Config{}, func(string) {})
			one.clusterAnswered("mcp-a")
		},
		"a contender for its name": func(one *oneImport) {
			one.waitFor(memory.Import{Policy: "mcp", Name: "b"}, "mcp-a")
		},
		"that its PediaCluster was deleted": func(one *oneImport) {
			one.pediaClusterChanged("mcp-a", hostobjects.Deleted)
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := newUnimported(t)
			one.pass(t)
			if len(one.shown.List()) > 0 || one.isGone(t, "mcp-a") {
				t.Fatal("it is shown, or not there")
			}
			tell(one)
			if _, waits := one.waits(); !waits || one.isSettledNow() {
				t.Errorf("it waits to be worked on: %t", waits)
			}
			one.forgetsQueue()
			one.syncOverlay(t, "mcp-a")
			if one.isSettledNow() {
				t.Error("the lifecycle's event makes it forgotten")
			}
		})
	}
}

// What happens to a PediaCluster before its lifecycle is stored has no import that its event
// could concern.
func TestWhatHappensToAPediaClusterWhileItsLifecycleIsCreatedIsNotLost(t *testing.T) {
	former := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"apiserver": "https://old", "syncResources": []any{}}}}
	former.SetGroupVersionKind(render.PediaClusterGVK)
	former.SetName("mcp-a")
	former.SetUID("former")
	former.SetResourceVersion("90")
	for name, test := range map[string]struct {
		exists, waits bool
		change        hostobjects.Change
	}{
		"it is deleted": {true, false, hostobjects.Deleted},
		"it is created": {false, true, hostobjects.Present},
		"nothing":       {true, false, -1},
	} {
		t.Run(name, func(t *testing.T) {
			one := newUnimported(t)
			if test.exists {
				if err := one.host.Tracker().Add(former); err != nil {
					t.Fatal(err)
				}
				one.showsPediaCluster(t, "https://old")
			}
			if test.waits {
				one.changeState(t, func(s *policyState) { s.policy.Spec.CreationCondition = "false" })
			}
			one.forgetsQueue()
			var told sync.WaitGroup
			happens := func() {
				switch {
				case test.change == hostobjects.Deleted:
					one.deletePediaCluster(t)
				case test.change < 0:
					return
				default:
					if err := one.host.Tracker().Add(former); err != nil {
						t.Fatal(err)
					}
					one.showsPediaCluster(t, "https://old")
				}
				// Whoever tells of it waits until lifecycles have been read.
				told.Go(func() { one.pediaClusterChanged("mcp-a", test.change) })
			}
			// Lifecycles are read when the pass begins, before it makes a plan, and after that.
			one.shown.amidst = func() {
				one.shown.amidst = func() { one.shown.amidst = happens }
			}
			one.pass(t)
			told.Wait()
			if one.isGone(t, "mcp-a") {
				t.Fatal("there is no lifecycle")
			}
			if _, waits := one.waits(); waits != (test.change >= 0) {
				t.Errorf("it waits to be worked on: %t", waits)
			}
		})
	}
}

// A lifecycle that a former leader has created, and that comes late.
func TestALifecycleThatComesLateIsWorkedOn(t *testing.T) {
	one := newOneImport(t)
	lifecycle := one.stored(t)
	if err := one.shown.Delete(lifecycle); err != nil { // not seen yet
		t.Fatal(err)
	}
	one.deleteSource(t)
	one.sourceChanged(one.Import, hostobjects.Deleted)
	one.forgetsQueue()
	one.pass(t)
	if len(one.lifecyclesOf(one.Import)) > 0 || one.pediaCluster(t, "mcp-a") == nil {
		t.Fatal("it is known already")
	}
	if err := one.shown.Add(lifecycle); err != nil {
		t.Fatal(err)
	}
	one.lifecycleHandler().OnAdd(lifecycle, false)
	if _, waits := one.waits(); !waits {
		t.Error("nothing will ever remove the PediaCluster")
	}
}

func TestAPediaClusterIsCreatedAgainUnderAVersionThatNobodyRemoves(t *testing.T) {
	one := newOneImport(t)
	one.deletePediaCluster(t)
	created := false
	one.host.PrependReactor("create", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
		created = true
		stored, err := one.storage.Get(t.Context(), "mcp-a")
		if err != nil || decision.IsCreated(stored.Status) {
			t.Errorf("the lifecycle still says that there is one: %v, %v", stored.Status, err)
		}
		return false, nil, nil
	})
	one.pediaClusterChanged("mcp-a", hostobjects.Deleted)
	one.pass(t)
	if !created || !decision.IsCreated(one.stored(t).Status) {
		t.Errorf("the PediaCluster was created: %v; the lifecycle says %v", created, one.stored(t).Status)
	}
}

// While the host still has the PediaCluster that the informer no longer shows, none is created
// in its place.
func TestAPediaClusterThatTheHostHasIsNotCreatedAgain(t *testing.T) {
	one := newOneImport(t)
	live := one.pediaCluster(t, "mcp-a")
	one.deletePediaCluster(t)
	one.host.PrependReactor("get", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) { return true, live, nil })
	one.pediaClusterChanged("mcp-a", hostobjects.Deleted)
	one.pass(t)
	if one.isSettledNow() {
		t.Error("the informer does not show it, and nothing is left to do")
	}
	for _, action := range one.host.Actions() {
		if action.GetVerb() == "create" {
			t.Errorf("%v", action)
		}
	}
	if !decision.IsCreated(one.stored(t).Status) {
		t.Error("the lifecycle says that there is none")
	}
}

func TestAReservedNameIsFreeWhenItsLifecycleIsGone(t *testing.T) {
	one := newOneImport(t)
	for _, name := range []string{"mcp-a", "mcp-former"} {
		one.memory.Reserve(name, one.Import)
	}
	one.again(t)
	if _, reserved := one.memory.ReservedFor("mcp-a"); !reserved {
		t.Error("a name is free while its lifecycle is there")
	}
	one.memory.Unreserve(one.Import)
	one.memory.Reserve("mcp-former", one.Import)
	one.again(t)
	if _, reserved := one.memory.ReservedFor("mcp-former"); reserved {
		t.Error("the former name is reserved for ever")
	}
}

func TestNothingIsDeletedThatStorageDoesNotConfirm(t *testing.T) {
	type known struct {
		lifecycle *lifecycles.Lifecycle
		policy    *policyv1alpha1.ClusterImportPolicy
	}
	removals := map[string]func(*testing.T, *oneImport, known) error{
		"at once": func(t *testing.T, one *oneImport, known known) error {
			_, err := one.remove(t.Context(), decision.Removal{Lifecycle: known.lifecycle, Cause: policyv1alpha1.ReasonSourceGone, By: known.policy})
			return err
		},
		"marked before": func(t *testing.T, one *oneImport, known known) error {
			marked := known.lifecycle.DeepCopy()
			isDeletedByServer(marked)
			_, err := one.remove(t.Context(), decision.Removal{Lifecycle: marked, Cause: policyv1alpha1.ReasonSourceGone, By: known.policy})
			return err
		},
		"by deletionCondition": func(t *testing.T, one *oneImport, known known) error {
			done := one.newPass().applyPlan(t.Context(), known.lifecycle, one.objects.Object(pediaClusters, "", "mcp-a"),
				render.Plan{Action: render.ActionDelete, Reason: policyv1alpha1.ReasonDeletionConditionMet})
			if done.Stale != (done.Err != nil) {
				t.Errorf("it is told that %v", done.Err)
			}
			return done.Err
		},
	}
	for name, test := range map[string]struct {
		meanwhile func(known)
		gone      bool
	}{
		"as it was": {nil, true},
		"a policy that somebody annotated": {func(known known) {
			known.policy.Annotations = map[string]string{"example.com/owner": "jane"}
		}, true},
		"a lifecycle that was paused": {func(known known) {
			known.lifecycle.Annotations = map[string]string{policyv1alpha1.PausedAnnotation: "true"}
		}, false},
		"a lifecycle that was recreated": {func(known known) { known.lifecycle.UID = "other" }, false},
		"a policy that was suspended": {func(known known) {
			known.policy.Generation, known.policy.Spec.Suspend = 2, true
		}, false},
		"a policy whose PediaClusters are to stay": {func(known known) {
			known.policy.Annotations = map[string]string{policyv1alpha1.OrphanAnnotation: "true"}
		}, false},
		"a policy that was recreated": {func(known known) { known.policy.UID = "other" }, false},
	} {
		for how, remove := range removals {
			t.Run(name+", "+how, func(t *testing.T) {
				one := newOneImport(t)
				before := known{one.stored(t), one.policies.state("mcp").policy}
				if test.meanwhile != nil {
					changed := known{before.lifecycle.DeepCopy(), before.policy.DeepCopy()}
					test.meanwhile(changed)
					if changed.policy, changed.lifecycle = changed.policy.DeepCopy(), changed.lifecycle.DeepCopy(); !equalObjects(changed.lifecycle, before.lifecycle) {
						one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { changed.lifecycle.DeepCopyInto(l) })
					}
					if _, err := one.policies.client.Update(t.Context(), changed.policy, metav1.UpdateOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				if err := remove(t, one, before); (err == nil) != test.gone {
					t.Errorf("the error is %v", err)
				}
				if gone := one.pediaCluster(t, "mcp-a") == nil; gone != test.gone {
					t.Errorf("the PediaCluster is gone: %t", gone)
				}
				if one.isGone(t, "mcp-a") && !test.gone {
					t.Error("the lifecycle is gone")
				}
			})
		}
	}
}

func equalObjects(a, b *lifecycles.Lifecycle) bool {
	return a.UID == b.UID && len(a.Annotations) == len(b.Annotations)
}

func TestAStatusThatComesLateIsCorrected(t *testing.T) {
	one := newOneImport(t)
	one.forgetsQueue()
	one.storage.Change("mcp-a", func(late *lifecycles.Lifecycle) { late.Status.Phase = policyv1alpha1.LifecycleWaiting })
	one.syncOverlay(t, "mcp-a")
	if _, waits := one.waits(); !waits {
		t.Fatal("nothing will ever correct it")
	}
	one.forgetsQueue()
	one.pass(t)
	corrected, err := one.storage.Get(t.Context(), "mcp-a")
	if err != nil || corrected.Status.Phase != policyv1alpha1.LifecycleImported {
		t.Fatalf("the lifecycle says %s, %v", corrected.Status.Phase, err)
	}
	one.syncOverlay(t, "mcp-a")
	if _, waits := one.waits(); waits {
		t.Error("an own write has the import worked on again")
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
			one.changeState(t, func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = "false" })
			if test.going {
				one.isDeleted(t, "101", "clusterpedia.io/cluster-synchro-controller")
			}
			one.changeLifecycle(t, func(l *lifecycles.Lifecycle) { isDeletedByHand(l); l.Annotations = test.annotations })
			p := one.newPass()
			if _, err := p.run(t.Context()); err != nil {
				t.Error(err)
			}
			if asked := len(p.asked) > 0; asked != test.asks {
				t.Errorf("the brake was asked: %v", asked)
			}
			live := one.pediaCluster(t, "mcp-a")
			if live == nil {
				t.Fatal("it was deleted")
			}
			if kept := live.GetAnnotations()[policyv1alpha1.CreatedForAnnotation] != ""; kept != test.keepsMark {
				t.Errorf("it says whose it is: %v", kept)
			}
		})
	}
}

func TestARecordIsWrittenWhileTheImportsRest(t *testing.T) {
	one := newOneImport(t)
	one.isBusy.Store(true)
	one.edit(t, "https://new")
	resting := *one.policies.state("mcp")
	resting.problem = &problem{reason: policyv1alpha1.ReasonReferencesUnavailable}
	one.setState(&resting)
	one.pass(t)
	if !one.store.HasPending("mcp-a") {
		t.Fatal("the record is not left to be written")
	}
	one.isBusy.Store(false)
	one.isWritten(t)
	if stored := one.stored(t); stored.Status.Credentials.ChangedTime == nil || stored.Spec.Template != resting.policy.Spec.Template {
		t.Errorf("the lifecycle says that it is made by %q, and %+v", stored.Spec.Template, stored.Status)
	}
}

func TestAPediaClusterWhoseTypeIsNotServedIsNotTakenForDeleted(t *testing.T) {
	one := newOneImport(t)
	one.host.PrependReactor("delete", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, notServed("delete")
	})
	lifecycle := one.changeLifecycle(t, isDeletedByServer)
	_, gone, err := one.removePediaCluster(t.Context(), decision.Removal{Lifecycle: lifecycle, Cause: policyv1alpha1.ReasonPolicyDeleted, By: one.policies.state("mcp").policy})
	if gone || err == nil {
		t.Errorf("gone is %v, the error %v", gone, err)
	}
}

// notServed is how a host answers that does not serve PediaClusters.
func notServed(verb string) error {
	return apierrors.NewGenericServerResponse(http.StatusNotFound, verb, render.PediaClusterGVR.GroupResource(), "mcp-a", "404 page not found", 0, true)
}

var errHost = errors.New("connection refused")

// hostFails has the next requests of that kind fail.
func (o *oneImport) hostFails(verb, resource string, err error) {
	o.host.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, err })
}

func readyOf(lifecycle *lifecycles.Lifecycle) *metav1.Condition {
	return meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady)
}

// What could not be created may be updated: a PediaCluster that the informer does not show yet is
// not taken for one that has to be created.
func TestAnEditOfWhatTheInformerDoesNotShowYetIsAnUpdate(t *testing.T) {
	one := newOneImport(t)
	live := one.pediaCluster(t, "mcp-a")
	one.deletePediaCluster(t)
	one.host.PrependReactor("get", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) { return true, live, nil })
	one.host.PrependReactor("patch", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) { return true, live, nil })
	one.changeState(t, func(s *policyState) { s.policy.Spec.Template = "spec: {apiserver: https://new}" }) // without syncResources
	asked := len(one.host.Actions())
	one.pass(t)
	if writes := one.writesToHost(asked); !slices.Equal(writes, []string{"patch"}) {
		t.Errorf("it writes %v", writes)
	}
	if said := one.stored(t); said.Status.Phase != policyv1alpha1.LifecycleImported {
		t.Errorf("it says %+v", said.Status)
	}
}
