package controller

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clienttesting "k8s.io/client-go/testing"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// stores has storage and informer have one more lifecycle.
func (o *oneImport) stores(t *testing.T, change func(*lifecycles.Lifecycle)) *lifecycles.Lifecycle {
	t.Helper()
	lifecycle := (&pass{Import: o.Import, state: o.policies.state("mcp")}).newLifecycle("mcp-a")
	change(lifecycle)
	created, err := o.storage.Create(t.Context(), lifecycle)
	if err != nil {
		t.Fatal(err)
	}
	o.syncOverlay(t, created.Name)
	o.forgetsQueue()
	return created
}

// writesToHost are the verbs of the writes of PediaClusters since that many requests.
func (o *oneImport) writesToHost(since int) (verbs []string) {
	for _, action := range o.host.Actions()[since:] {
		if !slices.Contains([]string{"get", "list", "watch"}, action.GetVerb()) {
			verbs = append(verbs, action.GetVerb())
		}
	}
	return verbs
}

func TestAnImportAndAnEditAreOneWriteToTheHost(t *testing.T) {
	one := newUnimported(t)
	asked := len(one.host.Actions())
	one.pass(t)
	if writes := one.writesToHost(asked); !slices.Equal(writes, []string{"create"}) {
		t.Errorf("an import writes %v to the host", writes)
	}
	if writes := one.storage.Writes(); !slices.Equal(writes, []string{"create mcp-a", "update mcp-a"}) {
		t.Errorf("an import writes %v to storage", writes)
	}
	made := one.pediaCluster(t, "mcp-a")
	lifecycle := one.stored(t)
	if decision.OwnerOf(lifecycle).Ownership(made) != render.Owned || lifecycle.Status.Phase != policyv1alpha1.LifecycleImported {
		t.Errorf("%v of %+v", made, lifecycle.Status)
	}
	one.showsPediaCluster(t, "https://old")
	one.pass(t)

	asked = len(one.host.Actions())
	one.edit(t, "https://new")
	if writes := one.writesToHost(asked); !slices.Equal(writes, []string{"patch"}) {
		t.Errorf("an edit writes %v to the host", writes)
	}
	if writes := one.storage.Writes()[2:]; !slices.Equal(writes, []string{"update mcp-a"}) {
		t.Errorf("an edit writes %v to storage", writes)
	}
	if lifecycle := one.stored(t); lifecycle.Generation != 2 || lifecycle.Status.ObservedGeneration != 2 {
		t.Errorf("generation %d, observed %d", lifecycle.Generation, lifecycle.Status.ObservedGeneration)
	}
	one.showsPediaCluster(t, "https://new")
	one.again(t)
	if len(one.writesToHost(asked)) != 1 || len(one.storage.Writes()) != 3 {
		t.Errorf("the same inputs write %v and %v", one.writesToHost(asked), one.storage.Writes())
	}
}

func TestASourceThatWaitsIsWrittenToStorageOnly(t *testing.T) {
	one := newUnimported(t)
	one.changeState(t, func(s *policyState) { s.policy.Spec.CreationCondition = "false" })
	asked := len(one.host.Actions())
	one.pass(t)
	if writes := one.writesToHost(asked); len(writes) > 0 {
		t.Errorf("it writes %v to the host", writes)
	}
	if writes := one.storage.Writes(); !slices.Equal(writes, []string{"create mcp-a"}) {
		t.Errorf("it writes %v to storage", writes)
	}
	one.syncOverlay(t, "mcp-a")
	one.pass(t)
	if writes := one.storage.Writes(); len(writes) > 1 {
		t.Errorf("a second pass writes %v to storage", writes)
	}
	waits := one.stored(t)
	if waits.Status.Phase != policyv1alpha1.LifecycleWaiting || readyOf(waits).Reason != policyv1alpha1.ReasonWaitingForCondition || decision.IsCreated(waits.Status) {
		t.Errorf("it says %+v", waits.Status)
	}
	if counts := one.policies.summaries.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Waiting: 1}) {
		t.Errorf("the counts are %+v", counts)
	}
}

// Of two who would have the same, the first keeps it; the other says so and waits.
func TestWhatAnotherImportHasIsNotTaken(t *testing.T) {
	another := policyNamed("another", "uid of another", "clusters")
	ofAnother := func(l *lifecycles.Lifecycle) {
		l.OwnerReferences = []metav1.OwnerReference{controllerReference(another)}
	}
	for name, test := range map[string]struct {
		taken           func(*testing.T, *oneImport)
		reason, message string
		waitsFor        string
	}{
		"the Source, by another policy": {func(t *testing.T, one *oneImport) {
			one.stores(t, func(l *lifecycles.Lifecycle) { ofAnother(l); l.Name = "other-a" })
		}, policyv1alpha1.ReasonSourceTaken, `"another"`, ""},
		"the name, for another Source": {func(t *testing.T, one *oneImport) {
			one.stores(t, func(l *lifecycles.Lifecycle) { l.Spec.Source.Name = "b" })
		}, policyv1alpha1.ReasonNameTaken, `"mcp"`, "mcp-a"},
		"the name, reserved for another Source": {func(_ *testing.T, one *oneImport) { one.memory.Reserve("mcp-a", importOfMCP("b")) },
			policyv1alpha1.ReasonNameTaken, `the name "mcp-a" is kept for the Source b of policy "mcp"`, "mcp-a"},
		"the name, which only storage knows": {func(t *testing.T, one *oneImport) {
			one.stores(t, func(l *lifecycles.Lifecycle) { l.Spec.Source.Name = "b" })
			if err := one.shown.Delete(one.store.Get("mcp-a")); err != nil {
				t.Fatal(err)
			}
		}, policyv1alpha1.ReasonNameTaken, `"mcp"`, "mcp-a"},
	} {
		t.Run(name, func(t *testing.T) {
			one := newUnimported(t)
			test.taken(t, one)
			asked := len(one.host.Actions())
			one.pass(t)
			if writes := one.writesToHost(asked); len(writes) > 0 {
				t.Errorf("it writes %v to the host", writes)
			}
			status, _ := one.policies.summaries.status(one.policies.state("mcp"), pruning{}, nil)
			if len(status.Failures) != 1 || status.Failures[0].Reason != test.reason || !strings.Contains(status.Failures[0].Message, test.message) || status.Counts.Conflict != 1 {
				t.Errorf("the policy says %+v", status)
			}
			waits := slices.Contains(one.memory.Waiters("mcp-a"), one.Import)
			if waits != (test.waitsFor == "mcp-a") {
				t.Errorf("it waits for the name: %t", waits)
			}
		})
	}
}

func TestANameThatBecomesFreeIsTaken(t *testing.T) {
	one := newUnimported(t)
	one.stores(t, func(l *lifecycles.Lifecycle) { l.Spec.Source.Name = "b" })
	one.pass(t)
	one.forgetsQueue()
	one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { isDeletedByHand(l); l.Finalizers = nil })
	one.syncOverlay(t, "mcp-a")
	one.wantEnqueued(t, "it is free", "mcp/a, single", "mcp/b, single")
	one.pass(t)
	if one.stored(t).Spec.Source.Name != "a" || len(one.memory.Waiters("mcp-a")) > 0 {
		t.Error("it still waits")
	}
	one.wantEndpoint(t, "https://old")
}

// The answer to a creation may be lost: what storage has is taken up, or another's.
func TestALifecycleWhoseCreationWasNotAnsweredIsTakenUp(t *testing.T) {
	one := newUnimported(t)
	one.storage.Fail(errors.New("timeout"), true)
	for _, want := range []string{"timeout", "adopted"} {
		if err := one.reconcile(t.Context(), one.Import); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("the error is %v, want %s", err, want)
		}
	}
	one.pass(t)
	if writes := one.storage.Writes(); !slices.Equal(writes, []string{"create mcp-a", "update mcp-a"}) {
		t.Errorf("writes: %v", writes)
	}
	one.wantEndpoint(t, "https://old")
}

// What the host says of a write, and what becomes of it.
func TestARefusalOfTheHostIsToldAndTriedAgain(t *testing.T) {
	invalid := apierrors.NewInvalid(render.PediaClusterGVK.GroupKind(), "mcp-a", field.ErrorList{field.Invalid(field.NewPath("spec", "caData"), "s3cret", "no")})
	for name, test := range map[string]struct {
		err    error
		phase  policyv1alpha1.LifecyclePhase
		reason string
		again  bool // with an error
		later  bool
	}{
		"it is invalid":              {invalid, policyv1alpha1.LifecycleFailed, policyv1alpha1.ReasonInvalidPediaCluster, false, true},
		"the host does not answer":   {errHost, policyv1alpha1.LifecycleFailed, policyv1alpha1.ReasonHostUnavailable, true, false},
		"there is one in the moment": {apierrors.NewAlreadyExists(render.PediaClusterGVR.GroupResource(), "mcp-a"), "", "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			one := newUnimported(t)
			queue := &addsLater[memory.Import]{TypedRateLimitingInterface: one.queue}
			one.queue = queue
			one.hostFails("create", "pediaclusters", test.err)
			err := one.reconcile(t.Context(), one.Import)
			if (err != nil) != test.again {
				t.Errorf("the error is %v", err)
			}
			said := one.stored(t)
			if said.Status.Phase != test.phase || test.reason != "" && readyOf(said).Reason != test.reason || decision.IsCreated(said.Status) {
				t.Errorf("it says %+v", said.Status)
			}
			if test.reason != "" && strings.Contains(readyOf(said).Message, "s3cret") {
				t.Errorf("it shows a value: %s", readyOf(said).Message)
			}
			if later := slices.Contains(queue.added[one.Import], refusedDelay); later != test.later {
				t.Errorf("later: %v", queue.added)
			}
		})
	}
}

func TestAnUpdateOfWhatHasChangedIsDecidedAgain(t *testing.T) {
	one := newOneImport(t)
	one.hostFails("patch", "pediaclusters", apierrors.NewConflict(render.PediaClusterGVR.GroupResource(), "mcp-a", errors.New("it has changed")))
	one.setState(stateOfOne(t, 2, "https://new"))
	one.memory.Invalidate(one.Import)
	writes := len(one.storage.Writes())
	if err := one.reconcile(t.Context(), one.Import); err == nil {
		t.Error("it is not tried again")
	}
	if len(one.storage.Writes()) != writes || one.stored(t).Status.Phase != policyv1alpha1.LifecycleImported {
		t.Errorf("it tells of it: %+v", one.stored(t).Status)
	}
}

// deletionCondition asks the brake, which decides with all that belongs together.
func TestDeletionConditionWaitsForTheBrake(t *testing.T) {
	one := newOneImport(t)
	one.changeState(t, func(s *policyState) { s.policy.Spec.DeletionCondition = "true" })
	one.pass(t)
	one.wantEndpoint(t, "https://old") // undecided
	if said := one.stored(t).Status; said.Phase != policyv1alpha1.LifecycleImported {
		t.Errorf("undecided it says %+v", said)
	}
	held := one.brakeDecides(0)
	one.again(t)
	said := one.stored(t)
	if said.Status.Phase != policyv1alpha1.LifecycleHeld || said.Status.PrunePlan != held.Plan || !strings.Contains(readyOf(said).Message, "deletionCondition is true; held by plan ") {
		t.Errorf("held it says %+v", said.Status)
	}
	one.wantEndpoint(t, "https://old")

	released := one.brake.Decide("mcp", one.limit(0), held.Plan).Released
	one.brake.Approve(released)
	one.again(t)
	if one.pediaCluster(t, "mcp-a") != nil {
		t.Error("it is not deleted")
	}
	gone := one.stored(t)
	if gone.Status.Phase != policyv1alpha1.LifecycleWaiting || readyOf(gone).Reason != policyv1alpha1.ReasonDeletionConditionMet || decision.IsCreated(gone.Status) || gone.Status.PrunePlan != "" {
		t.Errorf("deleted it says %+v", gone.Status)
	}
	eventually(t, func() bool { return one.objects.Object(pediaClusters, "", "mcp-a") == nil })
	one.again(t)
	if one.pediaCluster(t, "mcp-a") != nil {
		t.Error("it is created again while the condition is true")
	}
	one.changeState(t, func(s *policyState) { s.policy.Spec.DeletionCondition = "false" })
	one.pass(t)
	one.wantEndpoint(t, "https://old")
}

// What the informer shows of a Source may be out of date, as while it cannot be watched.
func TestDeletionConditionDeletesNothingOverASourceThatHasChanged(t *testing.T) {
	for name, test := range map[string]struct {
		live    func(*unstructured.Unstructured)
		err     error
		renamed bool
		deletes bool
	}{
		"it no longer says so":                       {func(s *unstructured.Unstructured) { s.SetLabels(nil); s.SetResourceVersion("9") }, nil, false, false},
		"it no longer says so, and has another name": {func(s *unstructured.Unstructured) { s.SetLabels(nil); s.SetResourceVersion("9") }, nil, true, false},
		"it cannot be read":                          {nil, errHost, false, false},
		"what has changed is nothing that is read": {func(s *unstructured.Unstructured) {
			s.SetAnnotations(map[string]string{"a": "b"})
			s.SetResourceVersion("9")
		}, nil, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			going := sourceNamed("a")
			going.SetLabels(map[string]string{"phase": "Going"})
			going.SetResourceVersion("6")
			if err := one.host.Tracker().Update(mcpClusters, going, ""); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool { return one.objects.ResourceVersion(one.policies.state("mcp").sources, "", "a") == "6" })
			one.changeState(t, func(s *policyState) {
				s.policy.Spec.DeletionCondition = `{{ eq .source.metadata.labels.phase "Going" }}`
				if test.renamed {
					s.policy.Spec.NameTemplate = "mcp-b"
				}
			})
			one.pass(t)
			one.brakeDecides(1)
			one.host.PrependReactor("get", "clusters", func(clienttesting.Action) (bool, runtime.Object, error) {
				live := going.DeepCopy()
				if test.live != nil {
					test.live(live)
				}
				return true, live, test.err
			})
			one.memory.Invalidate(one.Import)
			err := one.reconcile(t.Context(), one.Import)
			if deleted := one.pediaCluster(t, "mcp-a") == nil; deleted != test.deletes || (err == nil) != test.deletes {
				t.Errorf("deleted: %t, %v", deleted, err)
			}
		})
	}
}

// The PediaCluster that deletionCondition deletes may have finalizers: it is told when it goes
// and when it is gone.
func TestDeletionConditionTellsWhatItWaitsFor(t *testing.T) {
	one := newOneImport(t)
	one.changePediaCluster(t, "101", func(object *unstructured.Unstructured) { object.SetFinalizers([]string{"example.com/hold"}) })
	one.changeState(t, func(s *policyState) { s.policy.Spec.DeletionCondition = "true" })
	one.pass(t)
	one.brakeDecides(1)
	one.host.PrependReactor("delete", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
	one.again(t)
	said := one.stored(t)
	if !decision.IsCreated(said.Status) || !strings.Contains(readyOf(said).Message, `waits for its finalizer "example.com/hold"`) {
		t.Errorf("it says %+v", said.Status)
	}
	one.deletePediaCluster(t)
	one.again(t)
	if said := one.stored(t); decision.IsCreated(said.Status) || readyOf(said).Reason != policyv1alpha1.ReasonDeletionConditionMet {
		t.Errorf("when it is gone it says %+v", said.Status)
	}
}

// A rename makes the new pair first. The former PediaCluster goes when the brake lets it.
func TestARenameMakesTheNewPairFirst(t *testing.T) {
	one := newOneImport(t)
	one.changePediaCluster(t, "101", func(object *unstructured.Unstructured) { object.SetLabels(map[string]string{"team": "one"}) })
	one.changeState(t, func(s *policyState) { s.policy.Spec.NameTemplate = "mcp-b" })
	one.pass(t)
	made := one.pediaCluster(t, "mcp-b")
	if made == nil || made.GetLabels()["team"] != "one" {
		t.Fatalf("the new PediaCluster is %v", made)
	}
	if one.pediaCluster(t, "mcp-a") == nil || one.isGone(t, "mcp-a") {
		t.Fatal("the former one is gone before the brake has decided")
	}
	eventually(t, func() bool { return one.objects.Object(pediaClusters, "", "mcp-b") != nil })
	one.syncOverlay(t, "mcp-b")
	one.brakeDecides(1)
	one.again(t)
	if one.pediaCluster(t, "mcp-a") != nil || !one.isGone(t, "mcp-a") {
		t.Error("the former one stays")
	}
	one.syncOverlay(t, "mcp-a")
	one.again(t)
	if counts := one.policies.summaries.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Created: 1, Imported: 1}) {
		t.Errorf("the counts are %+v", counts)
	}
}

func TestARenameThatIsHeldKeepsBothPediaClusters(t *testing.T) {
	one := newOneImport(t)
	one.changeState(t, func(s *policyState) { s.policy.Spec.NameTemplate = "mcp-b" })
	one.pass(t)
	eventually(t, func() bool { return one.objects.Object(pediaClusters, "", "mcp-b") != nil })
	one.syncOverlay(t, "mcp-b")
	held := one.brakeDecides(0)
	one.again(t)
	if said := one.stored(t); said.Status.Phase != policyv1alpha1.LifecycleHeld || said.Status.PrunePlan != held.Plan {
		t.Errorf("the former one says %+v", said.Status)
	}
	if counts := one.policies.summaries.of("mcp").counts; counts.Held != 1 || counts.Created != 1 {
		t.Errorf("the counts are %+v", counts)
	}
	// A third name waits, and what is held stays so.
	one.changeState(t, func(s *policyState) { s.policy.Spec.NameTemplate = "mcp-c" })
	one.pass(t)
	one.syncOverlay(t, "mcp-b")
	said := one.store.Get("mcp-b")
	if said.Status.Phase != policyv1alpha1.LifecycleWaiting || readyOf(said).Reason != policyv1alpha1.ReasonRenamed ||
		!strings.Contains(readyOf(said).Message, `nameTemplate renders "mcp-c" now`) || !one.isGone(t, "mcp-c") {
		t.Errorf("it says %+v", said.Status)
	}
	if !one.brake.Holds(one.Import) || one.pediaCluster(t, "mcp-a") == nil {
		t.Error("the former one is no longer held")
	}
}

// While the new name cannot be had, the import is kept up to date under the one that it has.
func TestARenameToANameThatIsTakenStays(t *testing.T) {
	one := newOneImport(t)
	one.stores(t, func(l *lifecycles.Lifecycle) { l.Name, l.Spec.Source.Name = "mcp-b", "b" })
	one.changeState(t, func(s *policyState) {
		s.policy.Spec.NameTemplate = "mcp-b"
		s.policy.Spec.Template = "spec:\n  apiserver: https://new\n  syncResources: []\n"
	})
	one.pass(t)
	one.wantEndpoint(t, "https://new")
	said := one.stored(t)
	if said.Status.Phase != policyv1alpha1.LifecycleConflict || readyOf(said).Reason != policyv1alpha1.ReasonNameTaken ||
		!strings.HasSuffix(readyOf(said).Message, "; kept up to date under the former name") {
		t.Errorf("it says %+v", said.Status)
	}
	if !slices.Contains(one.memory.Waiters("mcp-b"), one.Import) {
		t.Error("it does not wait for the name")
	}
}

// A lifecycle without a PediaCluster does not keep a better name waiting.
func TestAMistakeInANameIsCorrected(t *testing.T) {
	one := newOneImport(t)
	one.changeState(t, func(s *policyState) {
		s.policy.Spec.NameTemplate = "mcp-b"
	})
	one.hostFails("create", "pediaclusters", apierrors.NewInvalid(render.PediaClusterGVK.GroupKind(), "mcp-b", nil))
	one.pass(t)
	one.syncOverlay(t, "mcp-b")
	if one.isGone(t, "mcp-b") || one.pediaCluster(t, "mcp-b") != nil {
		t.Fatal("the second lifecycle has a PediaCluster, or is not there")
	}
	one.changeState(t, func(s *policyState) { s.policy.Spec.NameTemplate = "mcp-c" })
	one.pass(t)
	if !one.isGone(t, "mcp-b") || !one.isGone(t, "mcp-c") {
		t.Error("the mistake stays, or a third one begins at once")
	}
	one.syncOverlay(t, "mcp-b")
	one.pass(t)
	if one.isGone(t, "mcp-c") || one.pediaCluster(t, "mcp-a") == nil {
		t.Error("the corrected name does not begin, or the former one is gone")
	}
}

// A lifecycle whose deletion this server had begun, and whose cause is over, hands its
// PediaCluster over to the next one.
func TestAnImportThatIsWantedAgainIsHandedOver(t *testing.T) {
	one := newOneImport(t)
	one.changeLifecycle(t, isDeletedByServer)
	before := one.pediaCluster(t, "mcp-a")
	one.pass(t)
	if !one.isGone(t, "mcp-a") {
		t.Fatal("the lifecycle stays")
	}
	kept := one.pediaCluster(t, "mcp-a")
	if kept == nil || kept.GetUID() != before.GetUID() || len(kept.GetOwnerReferences()) > 0 || kept.GetAnnotations()[policyv1alpha1.CreatedForAnnotation] == "" {
		t.Fatalf("the PediaCluster is %v", kept)
	}
	if holder, _ := one.memory.ReservedFor("mcp-a"); holder != one.Import {
		t.Error("its name is not reserved")
	}
	eventually(t, func() bool { return len(one.objects.Object(pediaClusters, "", "mcp-a").GetOwnerReferences()) == 0 })
	one.syncOverlay(t, "mcp-a")
	one.pass(t)
	again := one.stored(t)
	if again.UID == "lc" || decision.OwnerOf(again).Ownership(one.pediaCluster(t, "mcp-a")) != render.Owned {
		t.Errorf("it is not taken over: %+v", again.Status)
	}
	if _, reserved := one.memory.ReservedFor("mcp-a"); reserved {
		t.Error("the name is reserved for ever")
	}
}

// Two lifecycles of which the wanted one is being deleted: the other one follows until it is
// made again.
func TestAReturnToANameThatGoesWaitsForIt(t *testing.T) {
	one := newOneImport(t)
	one.changeState(t, func(s *policyState) { s.policy.Spec.NameTemplate = "mcp-b" })
	one.pass(t)
	eventually(t, func() bool { return one.objects.Object(pediaClusters, "", "mcp-b") != nil })
	one.syncOverlay(t, "mcp-b")
	one.brakeDecides(1)
	one.changePediaCluster(t, "105", func(object *unstructured.Unstructured) {
		object.SetFinalizers([]string{"example.com/hold"})
		object.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
	})
	one.again(t) // the former one goes
	if former := one.stored(t); former.DeletionTimestamp == nil || former.Status.Phase != policyv1alpha1.LifecycleDeleting {
		t.Fatalf("the former one is %+v", former)
	}
	one.changeState(t, func(s *policyState) { s.policy.Spec.NameTemplate = "mcp-a" })
	one.pass(t)
	one.syncOverlay(t, "mcp-b")
	said := one.store.Get("mcp-b")
	if said.Status.Phase != policyv1alpha1.LifecycleWaiting || !strings.Contains(readyOf(said).Message, `the lifecycle "mcp-a" is being deleted; it is created again after that`) {
		t.Errorf("it says %+v", said.Status)
	}
	if one.pediaCluster(t, "mcp-b") == nil || one.isGone(t, "mcp-b") {
		t.Error("the cluster is missing under both names")
	}
}
