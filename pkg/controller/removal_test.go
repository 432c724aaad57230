package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
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

// What waits for a finalizer waits for an event: it asks the host nothing, and has a
// pass of its own every few minutes at most.
func TestWhatWaitsForAFinalizerDoesNotPoll(t *testing.T) {
	one := newOneImport(t)
	queue := &addsLater[memory.Import]{TypedRateLimitingInterface: one.queue}
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
	for _, after := range queue.added[one.Import] {
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
	if counts := one.policies.summaries.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Created: 1, Deleting: 1}) {
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
		const want = `the policy is being deleted, or no longer exists; the PediaCluster was deleted, and this lifecycle waits for its finalizer "example.com/mine", which the client that set it must remove`
		if hangs.Status.Phase != policyv1alpha1.LifecycleDeleting || ready.Message != want || ready.Reason != policyv1alpha1.ReasonPolicyDeleted ||
			decision.IsCreated(hangs.Status) || hangs.Status.Cluster != nil {
			t.Fatalf("it says %+v", hangs.Status)
		}
	}
	if counts := one.policies.summaries.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Deleting: 1}) {
		t.Errorf("the counts are %+v", counts)
	}
	status, _ := one.policies.summaries.status(one.policies.state("mcp"), pruning{}, nil)
	told := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady)
	if told.Reason != policyv1alpha1.ReasonPolicyDeleted || !strings.Contains(told.Message, "the lifecycle of 1 Source, such as that of a: the policy is being deleted, or no longer exists") {
		t.Errorf("the policy says %s: %s", told.Reason, told.Message)
	}

	// Another finalizer is an event.
	one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { l.Finalizers = []string{"example.com/other"} })
	one.syncOverlay(t, "mcp-a")
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
	if counts := one.policies.summaries.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Deleting: 1}) || decision.IsCreated(hangs) {
		t.Errorf("the counts are %+v; the lifecycle says %+v", counts, hangs)
	}
	if ready := meta.FindStatusCondition(hangs.Conditions, policyv1alpha1.LifecycleReady); ready.Reason != policyv1alpha1.ReasonReleased ||
		!strings.Contains(ready.Message, "created again") || !strings.Contains(ready.Message, "example.com/mine") {
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
				if counts := one.policies.summaries.of("mcp").counts; counts.Held != 1 {
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

// goes has the Source be deleted, which is seen.
func (o *oneImport) goes(t *testing.T) {
	t.Helper()
	o.deleteSource(t)
	o.sourceChanged(o.Import, hostobjects.Deleted)
	o.forgetsQueue()
}

// What becomes of lifecycle and PediaCluster when a person has deleted Source or policy.
func TestWhatAPersonDeletesTakesTheImportAlong(t *testing.T) {
	sourceGoes := func(t *testing.T, one *oneImport) { one.goes(t) }
	policyGoes := func(t *testing.T, one *oneImport) {
		one.changeState(t, func(s *policyState) { s.policy.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
	}
	orphans := func(t *testing.T, one *oneImport) {
		one.changeState(t, func(s *policyState) { s.policy.Spec.DeletionPolicy = policyv1alpha1.DeletionPolicyOrphan })
	}
	const deleted, released, untouched = "deleted", "released", "untouched"
	for name, test := range map[string]struct {
		before, goes func(*testing.T, *oneImport)
		pediaCluster string
		host, own    []string // writes
	}{
		"a Source":                            {nil, sourceGoes, deleted, []string{"delete"}, []string{"remove mcp-a"}},
		"a policy":                            {nil, policyGoes, deleted, []string{"delete"}, []string{"remove mcp-a"}},
		"a Source, under an orphaning policy": {orphans, sourceGoes, released, []string{"patch"}, []string{"mark mcp-a", "remove mcp-a"}},
		"an orphaning policy":                 {orphans, policyGoes, released, []string{"patch"}, []string{"mark mcp-a", "remove mcp-a"}},
		"a suspended policy": {func(t *testing.T, one *oneImport) {
			one.changeState(t, func(s *policyState) { s.policy.Spec.Suspend = true })
		}, policyGoes, released, []string{"patch"}, []string{"mark mcp-a", "remove mcp-a"}},
		"a policy whose PediaClusters are to stay": {func(t *testing.T, one *oneImport) {
			one.changeState(t, func(s *policyState) {
				s.policy.Annotations = map[string]string{policyv1alpha1.OrphanAnnotation: "true"}
			})
		}, policyGoes, released, []string{"patch"}, []string{"mark mcp-a", "remove mcp-a"}},
		"a policy, while the lifecycle is paused": {func(t *testing.T, one *oneImport) {
			one.changeLifecycle(t, func(l *lifecycles.Lifecycle) {
				l.Annotations = map[string]string{policyv1alpha1.PausedAnnotation: "true"}
			})
			one.pass(t)
			one.stored(t)
		}, policyGoes, released, []string{"patch"}, []string{"mark mcp-a", "remove mcp-a"}},
		"a Source whose PediaCluster is its users'": {func(t *testing.T, one *oneImport) {
			one.changePediaCluster(t, "101", func(object *unstructured.Unstructured) { object.SetAnnotations(nil); object.SetOwnerReferences(nil) })
		}, sourceGoes, untouched, nil, []string{"mark mcp-a", "remove mcp-a"}},
		"a policy, before the PediaCluster was made": {func(t *testing.T, one *oneImport) {
			one.changePediaCluster(t, "101", func(object *unstructured.Unstructured) {
				object.SetCreationTimestamp(metav1.NewTime(time.Now().Add(time.Hour))) // the request is that of a restored storage
			})
		}, policyGoes, released, []string{"patch"}, []string{"mark mcp-a", "remove mcp-a"}},
		"a Source whose PediaCluster is gone": {func(t *testing.T, one *oneImport) { one.deletePediaCluster(t) },
			sourceGoes, "", nil, []string{"mark mcp-a", "remove mcp-a"}},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			if test.before != nil {
				test.before(t, one)
			}
			test.goes(t, one)
			asked, written := len(one.host.Actions()), len(one.storage.Writes())
			one.pass(t)
			if !one.isGone(t, "mcp-a") {
				t.Error("the lifecycle is left")
			}
			if diff := cmp.Diff(test.host, one.writesToHost(asked)); diff != "" {
				t.Errorf("writes to the host (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.own, one.storage.Writes()[written:]); diff != "" {
				t.Errorf("writes to storage (-want +got):\n%s", diff)
			}
			switch object := one.pediaCluster(t, "mcp-a"); {
			case test.pediaCluster == deleted || test.pediaCluster == "":
				if object != nil {
					t.Errorf("it is left: %v", object)
				}
			case object == nil:
				t.Error("the PediaCluster is deleted")
			case object.GetAnnotations()[policyv1alpha1.CreatedForAnnotation] != "" || len(object.GetOwnerReferences()) > 0:
				t.Errorf("it is not released: %v", object)
			}
			one.syncOverlay(t, "mcp-a")
			one.pass(t)
			if counted := one.policies.summaries.of("mcp").results; len(counted) > 0 {
				t.Error("it is counted on")
			}
		})
	}
}

// What nobody was seen to ask for counts, and goes when the brake lets it.
func TestWhatCountsWaitsForTheBrake(t *testing.T) {
	for cause, happens := range map[string]func(*testing.T, *oneImport){
		policyv1alpha1.ReasonSourceGone: func(t *testing.T, one *oneImport) {
			one.deleteSource(t)
			one.sourceChanged(one.Import, hostobjects.Missing)
		},
		policyv1alpha1.ReasonSourceDeselected: func(t *testing.T, one *oneImport) {
			one.changeState(t, func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = "false" })
		},
	} {
		t.Run(cause, func(t *testing.T) {
			one := newOneImport(t)
			happens(t, one)
			one.pass(t)
			one.wantEndpoint(t, "https://old")
			if said := one.stored(t); said.Status.Phase != policyv1alpha1.LifecycleImported || said.DeletionTimestamp != nil {
				t.Errorf("undecided it says %+v", said.Status)
			}
			held := one.brakeDecides(0)
			for range 2 {
				one.again(t)
				said := one.stored(t)
				if said.Status.Phase != policyv1alpha1.LifecycleHeld || said.Status.PrunePlan != held.Plan || readyOf(said).Reason != policyv1alpha1.ReasonPruneHeld ||
					!strings.Contains(readyOf(said).Message, decision.DescribeCounted(cause)+"; held by plan") || said.DeletionTimestamp != nil {
					t.Errorf("held it says %+v", said.Status)
				}
			}
			one.brake.Approve(one.brake.Decide("mcp", one.limit(0), held.Plan).Released)
			one.again(t)
			if one.pediaCluster(t, "mcp-a") != nil || !one.isGone(t, "mcp-a") {
				t.Error("what is released does not go")
			}
			one.syncOverlay(t, "mcp-a")
			one.pass(t)
			if one.brake.Pending("mcp") != 0 {
				t.Error("the brake waits for it")
			}
		})
	}
}

func TestNothingIsHeldOfWhatNobodyDeletes(t *testing.T) {
	for name, happens := range map[string]func(*testing.T, *oneImport){
		"there is no PediaCluster": func(t *testing.T, one *oneImport) { one.deletePediaCluster(t) },
		"it is its users'": func(t *testing.T, one *oneImport) {
			one.changePediaCluster(t, "101", func(object *unstructured.Unstructured) { object.SetAnnotations(nil); object.SetOwnerReferences(nil) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			happens(t, one)
			one.changeState(t, func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = "false" })
			one.pass(t)
			if !one.isGone(t, "mcp-a") || one.brakeDecides(0).Held != 0 {
				t.Error("it waits for the brake")
			}
		})
	}
}

// A deletion whose PediaCluster has finalizers is marked, told, and ended by their end.
func TestADeletionWaitsForThePediaCluster(t *testing.T) {
	one := newOneImport(t)
	one.changePediaCluster(t, "101", func(object *unstructured.Unstructured) {
		object.SetFinalizers([]string{"clusterpedia.io/cluster-synchro-controller"})
	})
	one.goes(t)
	one.host.PrependReactor("delete", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
	one.pass(t)
	said := one.stored(t)
	if !decision.RemovedByServer(said) || said.Status.Phase != policyv1alpha1.LifecycleDeleting || readyOf(said).Reason != policyv1alpha1.ReasonSourceGone ||
		!strings.HasPrefix(readyOf(said).Message, "the Source no longer exists; the PediaCluster is being deleted and waits for") {
		t.Errorf("it says %+v", said)
	}
	one.isDeleted(t, "102", "clusterpedia.io/cluster-synchro-controller")
	one.again(t)
	if one.isGone(t, "mcp-a") {
		t.Fatal("the lifecycle goes before the PediaCluster")
	}
	one.deletePediaCluster(t)
	one.pediaClusterChanged("mcp-a", hostobjects.Deleted)
	one.wantEnqueued(t, "the PediaCluster was deleted", "mcp/a, single")
	one.pass(t)
	if !one.isGone(t, "mcp-a") {
		t.Error("the lifecycle is left")
	}
}

// What the host does not let be removed stays, says so, and is tried again.
func TestARemovalThatTheHostRefusesIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		verb    string
		before  func(*testing.T, *oneImport)
		err     error
		message string // empty when it is decided again without a word
	}{
		"its deletion, at once": {"delete", nil, errHost, "removing the PediaCluster, which is tried again: deleting the PediaCluster: connection refused"},
		"its deletion, marked": {"delete", func(t *testing.T, one *oneImport) { one.changeLifecycle(t, isDeletedByServer) }, errHost,
			"removing the PediaCluster, which is tried again: deleting the PediaCluster: connection refused"},
		"its release": {"patch", func(t *testing.T, one *oneImport) {
			one.changeState(t, func(s *policyState) { s.policy.Spec.DeletionPolicy = policyv1alpha1.DeletionPolicyOrphan })
		}, errHost, "releasing the PediaCluster, which is tried again: releasing the PediaCluster: connection refused"},
		"a version that is no longer": {"delete", nil, apierrors.NewConflict(render.PediaClusterGVR.GroupResource(), "mcp-a", errHost), ""},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			if test.before != nil {
				test.before(t, one)
			}
			one.goes(t)
			one.hostFails(test.verb, "pediaclusters", test.err)
			if err := one.reconcile(t.Context(), one.Import); err == nil {
				t.Error("it is not tried again")
			}
			if one.pediaCluster(t, "mcp-a") == nil || one.isGone(t, "mcp-a") {
				t.Fatal("it is gone")
			}
			said := one.stored(t)
			told := said.Status.Phase == policyv1alpha1.LifecycleDeleting && readyOf(said).Reason == policyv1alpha1.ReasonHostUnavailable
			if told != (test.message != "") || told && readyOf(said).Message != test.message {
				t.Errorf("it says %+v", readyOf(said))
			}
			one.host.ReactionChain = one.host.ReactionChain[1:] // the host lets it
			one.pass(t)
			if !one.isGone(t, "mcp-a") {
				t.Error("it is not tried again in the end")
			}
		})
	}
}

// While the host cannot be asked about the PediaCluster, what is held stays so.
func TestWhatIsHeldStaysSoWhileTheHostIsSilent(t *testing.T) {
	for before, want := range map[string]policyv1alpha1.LifecyclePhase{"plan": policyv1alpha1.LifecycleHeld, "": policyv1alpha1.LifecycleFailed} {
		one := newOneImport(t)
		one.changeLifecycle(t, func(l *lifecycles.Lifecycle) { l.Status.PrunePlan = before })
		one.brake.Ask(brake.Removal{Import: one.Import, PediaCluster: "pc", Cause: policyv1alpha1.ReasonSourceDeselected}, true)
		one.changeState(t, func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = `{{ fail "no" }}` })
		one.hostFails("get", "pediaclusters", errHost)
		one.pass(t)
		if said := one.stored(t).Status; said.Phase != want || said.PrunePlan != before {
			t.Errorf("held under %q it says %s under %q", before, said.Phase, said.PrunePlan)
		}
	}
}

func TestOneOfTwoThatAPersonDeletesIsReleasedWhileTheOtherGoes(t *testing.T) {
	one := newOneImport(t)
	one.changeState(t, func(s *policyState) { s.policy.Spec.NameTemplate = "mcp-b" })
	one.pass(t)
	eventually(t, func() bool { return one.objects.Object(pediaClusters, "", "mcp-b") != nil })
	one.syncOverlay(t, "mcp-b")
	one.changeLifecycle(t, isDeletedByHand)
	one.goes(t)
	one.pass(t) // the first is released, which is an event
	one.syncOverlay(t, "mcp-a")
	one.pass(t)
	if object := one.pediaCluster(t, "mcp-a"); object == nil || object.GetAnnotations()[policyv1alpha1.CreatedForAnnotation] != "" {
		t.Errorf("what a person released is %v", object)
	}
	if one.pediaCluster(t, "mcp-b") != nil || !one.isGone(t, "mcp-a") || !one.isGone(t, "mcp-b") {
		t.Error("the other one stays")
	}
}

// A removal that had begun and is held now is described as one that had not: there may be
// thousands, and what can be done about them is said once, by the policy.
func TestAHeldRemovalNamesItsPlanAndThePolicyThatExplainsIt(t *testing.T) {
	one := newOneImport(t)
	one.changeState(t, func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = "false" })
	one.changeLifecycle(t, isDeletedByServer)
	one.pass(t)
	held := one.brakeDecides(0)
	one.again(t)
	want := decision.DescribeCounted(policyv1alpha1.ReasonSourceDeselected) + "; held by plan " + held.Plan + `, see PruneHeld of policy "mcp"`
	if said := one.stored(t); readyOf(said).Message != want {
		t.Errorf("it says %s", readyOf(said).Message)
	}
}

// A lifecycle that a person has deleted and that others hold is counted as what it is, while
// the import goes on under another name.
func TestWhatOthersHoldDoesNotHoldTheImport(t *testing.T) {
	one := newOneImport(t)
	one.changeLifecycle(t, func(l *lifecycles.Lifecycle) {
		isDeletedByHand(l)
		l.Finalizers = append(l.Finalizers, "example.com/mine")
	})
	one.pass(t)
	if said := one.stored(t); said.Status.Phase != policyv1alpha1.LifecycleDeleting || slices.Contains(said.Finalizers, policyv1alpha1.Finalizer) {
		t.Fatalf("it is %+v", said)
	}
	one.changeState(t, func(s *policyState) { s.policy.Spec.NameTemplate = "mcp-b" })
	one.pass(t)
	if one.pediaCluster(t, "mcp-b") == nil {
		t.Error("the import waits for it")
	}
	if counts := one.policies.summaries.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{Selected: 1, Created: 1, Deleting: 1}) {
		t.Errorf("the counts are %+v", counts)
	}
}
