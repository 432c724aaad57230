package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// changeLifecycle changes the lifecycle in storage and in the informer.
func (o *oneImport) changeLifecycle(t *testing.T, change func(*policyv1alpha1.PediaClusterLifecycle)) *policyv1alpha1.PediaClusterLifecycle {
	t.Helper()
	changed := o.stored(t).DeepCopy()
	change(changed)
	if _, err := o.records.client.Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	o.looks.void(o.Import)
	return o.stored(t)
}

// changeState changes what is known of the policy, in storage too.
func (o *oneImport) changeState(t *testing.T, change func(*policyState)) {
	t.Helper()
	state := *o.policies.state("mcp")
	state.policy = state.policy.DeepCopy()
	change(&state)
	if _, err := o.policies.client.Update(t.Context(), state.policy, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	o.policies.mu.Lock()
	o.policies.states["mcp"] = &state
	o.policies.mu.Unlock()
	o.looks.void(o.Import)
}

// isDeleted has the PediaCluster be deleted on the host, with these finalizers.
func (o *oneImport) isDeleted(t *testing.T, version string, finalizers ...string) {
	t.Helper()
	object, err := o.host.Resource(render.PediaClusterGVR).Get(t.Context(), "mcp-a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	object.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
	object.SetFinalizers(finalizers)
	object.SetResourceVersion(version)
	if err := o.host.Tracker().Update(render.PediaClusterGVR, object, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return o.objects.ResourceVersion(pediaClusters, "", "mcp-a") == version })
}

func isDeletedByHand(lifecycle *policyv1alpha1.PediaClusterLifecycle) {
	lifecycle.DeletionTimestamp = &metav1.Time{Time: time.Now()}
}

func isDeletedByServer(lifecycle *policyv1alpha1.PediaClusterLifecycle) {
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
		for kind, deletion := range map[string]func(*policyv1alpha1.PediaClusterLifecycle){
			"deleted": isDeletedByHand,
			"deleted while paused": func(l *policyv1alpha1.PediaClusterLifecycle) {
				isDeletedByHand(l)
				l.Annotations = map[string]string{policyv1alpha1.PausedAnnotation: "true"}
			},
			"deleted while held": func(l *policyv1alpha1.PediaClusterLifecycle) { isDeletedByHand(l); l.Status.PrunePlan = "plan" },
			"to stay, in its place": func(l *policyv1alpha1.PediaClusterLifecycle) {
				isDeletedByServer(l)
				l.Annotations[policyv1alpha1.OrphanAnnotation] = "true"
			},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				one := newOneImport(t)
				one.changeState(t, change)
				one.changeLifecycle(t, deletion)
				one.look(t)
				if _, err := one.records.client.Get(t.Context(), "mcp-a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					t.Errorf("reading the lifecycle: %v", err)
				}
				object, err := one.host.Resource(render.PediaClusterGVR).Get(t.Context(), "mcp-a", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if object.GetAnnotations()[policyv1alpha1.CreatedForAnnotation] != "" || len(object.GetOwnerReferences()) > 0 {
					t.Errorf("the PediaCluster is not released: %v", object)
				}
			})
		}
	}
}

// recordedQueue notes what is added later.
type recordedQueue struct {
	workqueue.TypedRateLimitingInterface[index.Import]
	after []time.Duration
}

func (q *recordedQueue) AddAfter(_ index.Import, after time.Duration) {
	q.after = append(q.after, after)
}

// What waits for a finalizer waits for an event: it asks the host nothing, and has a
// look of its own every few minutes at most.
func TestWhatWaitsForAFinalizerDoesNotPoll(t *testing.T) {
	one := newOneImport(t)
	queue := &recordedQueue{TypedRateLimitingInterface: one.queue}
	one.queue = queue
	one.changeState(t, func(s *policyState) { s.policy.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
	one.changeLifecycle(t, isDeletedByServer)
	one.isDeleted(t, "101", "clusterpedia.io/cluster-synchro-controller")

	one.look(t)
	asked := len(one.host.Actions())
	for range 10 {
		one.pediaClusterChanged("mcp-a", hostobjects.Present)
		one.look(t)
	}
	if more := one.host.Actions()[asked:]; len(more) > 0 {
		t.Errorf("the host is asked %v", more)
	}
	for _, after := range queue.after {
		if after < time.Minute {
			t.Errorf("it has a look again after %s", after)
		}
	}
	waits := one.stored(t).Status
	ready := meta.FindStatusCondition(waits.Conditions, policyv1alpha1.LifecycleReady)
	if waits.Phase != policyv1alpha1.LifecycleDeleting || !isCreated(waits) || ready.Status != metav1.ConditionFalse ||
		!strings.Contains(ready.Message, "clustersynchro-manager") {
		t.Errorf("it says %+v", waits)
	}
	if counts := one.policies.tally.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Created: 1, Deleting: 1}) {
		t.Errorf("the counts are %+v", counts)
	}

	// The event that it waits for.
	if err := one.host.Tracker().Delete(render.PediaClusterGVR, "", "mcp-a"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return one.objects.ResourceVersion(pediaClusters, "", "mcp-a") == "" })
	one.pediaClusterChanged("mcp-a", hostobjects.Deleted)
	if _, waits := one.lanes.waits[one.Import]; !waits {
		t.Fatal("it does not hear of it")
	}
	one.look(t)
	if _, err := one.records.client.Get(t.Context(), "mcp-a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("reading the lifecycle: %v", err)
	}
}

func TestALifecycleThatOthersHoldSaysSo(t *testing.T) {
	one := newOneImport(t)
	one.changeState(t, func(s *policyState) { s.policy.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
	before := one.changeLifecycle(t, func(l *policyv1alpha1.PediaClusterLifecycle) {
		isDeletedByServer(l)
		l.Finalizers = []string{"example.com/mine"} // ours was taken off
	})
	if err := one.host.Tracker().Delete(render.PediaClusterGVR, "", "mcp-a"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		one.looks.void(one.Import)
		one.look(t)
		hangs := one.stored(t)
		ready := meta.FindStatusCondition(hangs.Status.Conditions, policyv1alpha1.LifecycleReady)
		const want = `the policy is deleted; the PediaCluster is gone, and this lifecycle waits for its finalizer "example.com/mine", which whoever set it has to remove`
		if hangs.Status.Phase != policyv1alpha1.LifecycleDeleting || ready.Message != want || ready.Reason != policyv1alpha1.ReasonPolicyDeleted ||
			isCreated(hangs.Status) || hangs.Status.Cluster != nil {
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
	now := before.DeepCopy()
	now.ResourceVersion, now.Finalizers = "9", nil
	one.lifecycleHandler().OnUpdate(before, now)
	if _, waits := one.lanes.waits[one.Import]; !waits {
		t.Error("it does not hear that its finalizers have changed")
	}
}

func TestASourceThatIsMadeAgainIsNotCountedAsCreated(t *testing.T) {
	one := newOneImport(t) // its Source is there
	one.changeLifecycle(t, func(l *policyv1alpha1.PediaClusterLifecycle) {
		isDeletedByServer(l)
		l.Finalizers = []string{"example.com/mine"}
	})
	if err := one.host.Tracker().Delete(render.PediaClusterGVR, "", "mcp-a"); err != nil {
		t.Fatal(err)
	}
	one.look(t)
	hangs := one.stored(t).Status
	if counts := one.policies.tally.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Deleting: 1}) || isCreated(hangs) {
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
				one.changeLifecycle(t, func(l *policyv1alpha1.PediaClusterLifecycle) { l.Status.PrunePlan = "plan" })
				if !restarted {
					one.brake.Ask(brake.Removal{Import: one.Import, PediaCluster: "pc", Cause: policyv1alpha1.ReasonSourceDeselected}, true)
				}
				one.changeState(t, func(s *policyState) {
					test.change(s)
					if problem := s.compile(); problem != nil {
						t.Fatal(problem)
					}
				})
				one.look(t)
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
	one.changeLifecycle(t, func(l *policyv1alpha1.PediaClusterLifecycle) { l.Status.PrunePlan = "plan" })
	one.brake.Ask(brake.Removal{Import: one.Import, PediaCluster: "pc", Cause: policyv1alpha1.ReasonSourceDeselected}, true)
	one.look(t)
	if said := one.stored(t).Status; said.Phase != policyv1alpha1.LifecycleImported || said.PrunePlan != "" || one.brake.Holds(one.Import) {
		t.Errorf("the lifecycle says %s, %q; the brake holds it: %v", said.Phase, said.PrunePlan, one.brake.Holds(one.Import))
	}
}

func TestSummedUp(t *testing.T) {
	of := func(phase policyv1alpha1.LifecyclePhase, created bool) *outcome {
		return newOutcome(phase, created, "Reason", "why")
	}
	const (
		imported = policyv1alpha1.LifecycleImported
		waiting  = policyv1alpha1.LifecycleWaiting
		failed   = policyv1alpha1.LifecycleFailed
		held     = policyv1alpha1.LifecycleHeld
		deleting = policyv1alpha1.LifecycleDeleting
	)
	for _, test := range []struct {
		main, former *outcome
		phase        policyv1alpha1.LifecyclePhase
		created      bool
		waits        string
	}{
		{of(imported, true), nil, imported, true, ""},
		{nil, of(deleting, true), deleting, true, "why"},
		{of(imported, true), of(deleting, true), deleting, true, "why"},
		{of(waiting, false), of(deleting, false), deleting, false, "why"},
		{of(waiting, false), of(imported, true), waiting, true, ""},
		{of(failed, false), of(deleting, true), failed, true, ""},
		{of(failed, false), of(held, true), held, true, ""},
		{of(held, true), of(deleting, true), held, true, ""},
		{of(imported, true), of(held, true), held, true, ""},
	} {
		got := summedUp(test.main, test.former)
		if got.phase != test.phase || got.created != test.created || got.waits != test.waits {
			t.Errorf("%+v and %+v are %+v", test.main, test.former, got)
		}
		if test.main != nil && (got.failure == nil) != (test.main.failure == nil) {
			t.Errorf("%+v and %+v: the failure is %v", test.main, test.former, got.failure)
		}
	}
	if summedUp(nil, nil) != nil {
		t.Error("nothing is something")
	}
}

func TestTheMessageOfADeletion(t *testing.T) {
	both := []string{policyv1alpha1.Finalizer, "example.com/mine"}
	for _, test := range []struct {
		cause        string
		finalizers   []string
		pediaCluster bool
		fate         fate
		want         string
	}{
		{policyv1alpha1.ReasonSourceGone, both, true, deleted,
			`the Source is gone; the PediaCluster is being deleted and waits for its finalizer "clusterpedia.io/cluster-synchro-controller", which Clusterpedia's clustersynchro-manager removes: it must run`},
		{policyv1alpha1.ReasonSourceDeselected, both[1:], false, deleted,
			`the Source is no longer selected; the PediaCluster is gone, and this lifecycle waits for its finalizer "example.com/mine", which whoever set it has to remove`},
		{policyv1alpha1.ReasonReleased, both[1:], true, released,
			`this lifecycle is being deleted, and the import is made again when it is gone if its Source is selected; the PediaCluster is left to its users, and this lifecycle waits for its finalizer "example.com/mine", which whoever set it has to remove`},
		{policyv1alpha1.ReasonReleased, both[1:], true, handedOver,
			`this lifecycle is being deleted, and the import is made again when it is gone if its Source is selected; the PediaCluster stays for the next lifecycle, and this lifecycle waits for its finalizer "example.com/mine", which whoever set it has to remove`},
	} {
		lifecycle := lifecycleOfMCP("a")
		lifecycle.Finalizers = test.finalizers
		object := pediaClusterNamed("a")
		object.SetFinalizers([]string{"clusterpedia.io/cluster-synchro-controller"})
		if !test.pediaCluster {
			object = nil
		}
		if got := deletionMessage(test.cause, lifecycle, object, test.fate); got != test.want {
			t.Errorf("it says\n%s\nwant\n%s", got, test.want)
		}
	}
	for _, cause := range []string{policyv1alpha1.ReasonSourceGone, policyv1alpha1.ReasonSourceDeselected, policyv1alpha1.ReasonRenamed,
		policyv1alpha1.ReasonPolicyDeleted, policyv1alpha1.ReasonReleased} {
		if deletionCauses[cause] == "" {
			t.Errorf("nothing is said of %s", cause)
		}
	}
}
