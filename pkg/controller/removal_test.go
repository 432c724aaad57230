package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/workqueue"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
)

// changeLifecycle changes the lifecycle in storage and in the informer, as somebody else does.
func (o *oneImport) changeLifecycle(t *testing.T, change func(*lifecycles.Lifecycle)) *lifecycles.Lifecycle {
	t.Helper()
	o.storage.Change("mcp-a", change)
	changed := o.stored(t)
	o.forgetsQueue()
	o.memory.Invalidate(o.Import)
	return changed
}

// changeState changes what is known of the policy, in storage too.
func (o *oneImport) changeState(t *testing.T, change func(*policyState)) {
	t.Helper()
	state := *o.policies.state("mcp")
	state.policy = state.policy.DeepCopy()
	change(&state)
	if state.compiled != nil && state.problem == nil {
		if problem := state.compile(); problem != nil {
			t.Fatal(problem)
		}
	}
	if _, err := o.policies.client.Update(t.Context(), state.policy, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	o.setState(&state)
	o.memory.Invalidate(o.Import)
}

// isDeleted has the PediaCluster be deleted on the host, with these finalizers.
func (o *oneImport) isDeleted(t *testing.T, version string, finalizers ...string) {
	t.Helper()
	o.changePediaCluster(t, version, func(object *unstructured.Unstructured) {
		object.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
		object.SetFinalizers(finalizers)
	})
}

func isDeletedByHand(lifecycle *lifecycles.Lifecycle) {
	lifecycle.DeletionTimestamp = &metav1.Time{Time: time.Now()}
}

func isDeletedByServer(lifecycle *lifecycles.Lifecycle) {
	isDeletedByHand(lifecycle)
	lifecycle.Annotations = map[string]string{policyv1alpha1.RemovedAnnotation: "true"}
}

func TestAPersonsDeletionReleasesUnderAnyProblemOfThePolicy(t *testing.T) {
	for name, change := range map[string]func(*policyState){
		"none":                           func(*policyState) {},
		"it is suspended":                func(s *policyState) { s.policy.Spec.Suspend = true },
		"it is being deleted":            func(s *policyState) { s.policy.DeletionTimestamp = &metav1.Time{Time: time.Now()} },
		"a type that is not served":      func(s *policyState) { s.problem = &problem{reason: "SourceTypeNotServed", lasting: true} },
		"it does not compile":            func(s *policyState) { s.compiled, s.problem = nil, &problem{reason: "TemplateFailed", lasting: true} },
		"Sources that cannot be listed":  func(s *policyState) { s.problem = &problem{reason: "SourcesUnavailable"} },
		"Sources that are not known yet": func(s *policyState) { s.problem = &problem{reason: "SourcesUnavailable", passing: true} },
	} {
		for kind, deletion := range map[string]func(*lifecycles.Lifecycle){
			"deleted": isDeletedByHand,
			"deleted while paused": func(l *lifecycles.Lifecycle) {
				isDeletedByHand(l)
				l.Annotations = map[string]string{policyv1alpha1.PausedAnnotation: "true"}
			},
			"deleted while held": func(l *lifecycles.Lifecycle) { isDeletedByHand(l); l.Status.PrunePlan = "plan" },
			"to stay, in its place": func(l *lifecycles.Lifecycle) {
				isDeletedByServer(l)
				l.Annotations[policyv1alpha1.OrphanAnnotation] = "true"
			},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				one := newOneImport(t)
				one.changeState(t, change)
				one.changeLifecycle(t, deletion)
				one.pass(t)
				if !one.isGone(t, "mcp-a") {
					t.Error("the lifecycle is left")
				}
				object := one.pediaCluster(t, "mcp-a")
				if object.GetAnnotations()[policyv1alpha1.CreatedForAnnotation] != "" || len(object.GetOwnerReferences()) > 0 {
					t.Errorf("the PediaCluster is not released: %v", object)
				}
			})
		}
	}
}

// recordedQueue notes what is added later.
type recordedQueue struct {
	workqueue.TypedRateLimitingInterface[memory.Import]
	after []time.Duration
}

func (q *recordedQueue) AddAfter(_ memory.Import, after time.Duration) {
	q.after = append(q.after, after)
}

// What waits for a finalizer waits for an event: it asks the host nothing, and has a
// pass of its own every few minutes at most.
func TestWhatWaitsForAFinalizerDoesNotPoll(t *testing.T) {
	one := newOneImport(t)
	queue := &recordedQueue{TypedRateLimitingInterface: one.queue}
	one.queue = queue
	one.changeState(t, func(s *policyState) { s.policy.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
	one.changeLifecycle(t, isDeletedByServer)
	one.isDeleted(t, "101", "clusterpedia.io/cluster-synchro-controller")

	one.pass(t)
	asked := len(one.host.Actions())
	for range 10 {
		one.pediaClusterChanged("mcp-a", hostobjects.Present)
		one.pass(t)
	}
	if more := one.host.Actions()[asked:]; len(more) > 0 {
		t.Errorf("the host is asked %v", more)
	}
	for _, after := range queue.after {
		if after < time.Minute {
			t.Errorf("it is worked on again after %s", after)
		}
	}
	waits := one.stored(t).Status
	ready := meta.FindStatusCondition(waits.Conditions, policyv1alpha1.LifecycleReady)
	if waits.Phase != policyv1alpha1.LifecycleDeleting || !decision.IsCreated(waits) || ready.Status != metav1.ConditionFalse ||
		!strings.Contains(ready.Message, "clustersynchro-manager") {
		t.Errorf("it says %+v", waits)
	}
	if counts := one.policies.tally.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Created: 1, Deleting: 1}) {
		t.Errorf("the counts are %+v", counts)
	}

	// The event that it waits for.
	one.deletePediaCluster(t)
	one.pediaClusterChanged("mcp-a", hostobjects.Deleted)
	if _, waits := one.waits(); !waits {
		t.Fatal("it does not hear of it")
	}
	one.pass(t)
	if !one.isGone(t, "mcp-a") {
		t.Error("the lifecycle is left")
	}
}

func TestALifecycleThatOthersHoldSaysSo(t *testing.T) {
	one := newOneImport(t)
	one.changeState(t, func(s *policyState) { s.policy.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
	one.changeLifecycle(t, func(l *lifecycles.Lifecycle) {
		isDeletedByServer(l)
		l.Finalizers = []string{"example.com/mine"} // ours was taken off
	})
	one.deletePediaCluster(t)
	for range 3 {
		one.memory.Invalidate(one.Import)
		one.pass(t)
		hangs := one.stored(t)
		ready := meta.FindStatusCondition(hangs.Status.Conditions, policyv1alpha1.LifecycleReady)
		const want = `the policy is deleted; the PediaCluster is gone, and this lifecycle waits for its finalizer "example.com/mine", which whoever set it has to remove`
		if hangs.Status.Phase != policyv1alpha1.LifecycleDeleting || ready.Message != want || ready.Reason != policyv1alpha1.ReasonPolicyDeleted ||
			decision.IsCreated(hangs.Status) || hangs.Status.Cluster != nil {
			t.Fatalf("it says %+v", hangs.Status)
		}
	}
	if counts := one.policies.tally.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Deleting: 1}) {
		t.Errorf("the counts are %+v", counts)
	}
	status, _ := one.policies.tally.status(one.policies.state("mcp"), pruning{})
	told := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady)
	if told.Reason != policyv1alpha1.ReasonPolicyDeleted || !strings.Contains(told.Message, "the lifecycle of 1 Source, such as that of a: the policy is deleted") {
		t.Errorf("the policy says %s: %s", told.Reason, told.Message)
	}

	// Another finalizer is an event.
	one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { l.Finalizers = []string{"example.com/other"} })
	one.catchUp(t, "mcp-a")
	if _, waits := one.waits(); !waits {
		t.Error("it does not hear that its finalizers have changed")
	}
}

func TestASourceThatIsMadeAgainIsNotCountedAsCreated(t *testing.T) {
	one := newOneImport(t) // its Source is there
	one.changeLifecycle(t, func(l *lifecycles.Lifecycle) {
		isDeletedByServer(l)
		l.Finalizers = []string{"example.com/mine"}
	})
	one.deletePediaCluster(t)
	one.pass(t)
	hangs := one.stored(t).Status
	if counts := one.policies.tally.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Deleting: 1}) || decision.IsCreated(hangs) {
		t.Errorf("the counts are %+v; the lifecycle says %+v", counts, hangs)
	}
	if ready := meta.FindStatusCondition(hangs.Conditions, policyv1alpha1.LifecycleReady); ready.Reason != policyv1alpha1.ReasonReleased ||
		!strings.Contains(ready.Message, "made again when it is gone") || !strings.Contains(ready.Message, "example.com/mine") {
		t.Errorf("it says %s: %s", ready.Reason, ready.Message)
	}
}

// A removal that is held stays shown as held, on the lifecycle, in the counts and by
// the brake, while its cause cannot be judged: over a restart as well.
func TestWhatIsHeldIsShownWhileItsCauseCannotBeJudged(t *testing.T) {
	broken := `{{ fail "broken" }}`
	for name, test := range map[string]struct {
		change func(*policyState)
		reason string
	}{
		"deletionCondition fails": {func(s *policyState) { s.policy.Spec.DeletionCondition = broken }, policyv1alpha1.ReasonPruneHeld},
		"the selector fails":      {func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = broken }, policyv1alpha1.ReasonPruneHeld},
		"the name is none": {func(s *policyState) {
			s.policy.Spec.NameTemplate = "Not A Name"
			s.policy.Spec.DeletionCondition = broken
		}, policyv1alpha1.ReasonPruneHeld},
		"a type is not served": {func(s *policyState) {
			s.problem = &problem{reason: "SourceTypeNotServed", message: "no", lasting: true}
		}, policyv1alpha1.ReasonPruneHeld},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", restarted: ", restarted), func(t *testing.T) {
				one := newOneImport(t)
				one.changeLifecycle(t, func(l *lifecycles.Lifecycle) { l.Status.PrunePlan = "plan" })
				if !restarted {
					one.brake.Ask(brake.Removal{Import: one.Import, PediaCluster: "pc", Cause: policyv1alpha1.ReasonSourceDeselected}, true)
				}
				one.changeState(t, test.change)
				one.pass(t)
				said := one.stored(t).Status
				ready := meta.FindStatusCondition(said.Conditions, policyv1alpha1.LifecycleReady)
				if said.Phase != policyv1alpha1.LifecycleHeld || said.PrunePlan == "" || ready.Reason != test.reason {
					t.Errorf("the lifecycle says %s, %q, %+v", said.Phase, said.PrunePlan, ready)
				}
				if !one.brake.Holds(one.Import) {
					t.Error("the brake does not hold it")
				}
				if counts := one.policies.tally.of("mcp").counts; counts.Held != 1 {
					t.Errorf("the counts are %+v", counts)
				}
				one.wantEndpoint(t, "https://old")
			})
		}
	}
}

func TestWhatIsWantedAgainIsNoLongerHeld(t *testing.T) {
	one := newOneImport(t)
	one.changeLifecycle(t, func(l *lifecycles.Lifecycle) { l.Status.PrunePlan = "plan" })
	one.brake.Ask(brake.Removal{Import: one.Import, PediaCluster: "pc", Cause: policyv1alpha1.ReasonSourceDeselected}, true)
	one.pass(t)
	if said := one.stored(t).Status; said.Phase != policyv1alpha1.LifecycleImported || said.PrunePlan != "" || one.brake.Holds(one.Import) {
		t.Errorf("the lifecycle says %s, %q; the brake holds it: %v", said.Phase, said.PrunePlan, one.brake.Holds(one.Import))
	}
}
