package controller

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/probe"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
)

func TestOnlyTheRecordOfAnImportMayWait(t *testing.T) {
	const imported, failed = policyv1alpha1.LifecycleImported, policyv1alpha1.LifecycleFailed
	for name, test := range map[string]struct {
		before, now decision.Status
		want        bool
	}{
		"an update": {decision.Status{Phase: imported, SourceDefinition: "a"}, decision.Status{Phase: imported, SourceDefinition: "a"}, true},
		"an import": {decision.Status{SourceDefinition: "a"}, decision.Status{Phase: imported, SourceDefinition: "a"}, true},
		"an import by which a deletion is judged": {decision.Status{}, decision.Status{Phase: imported, SourceDefinition: "a"}, false},
		"the end of a failure":                    {decision.Status{Phase: failed}, decision.Status{Phase: imported}, false},
		"a failure":                               {decision.Status{Phase: imported}, decision.Status{Phase: failed}, false},
		"another definition of the Source":        {decision.Status{Phase: imported, SourceDefinition: "a"}, decision.Status{Phase: imported, SourceDefinition: "b"}, false},
		"what is no longer held":                  {decision.Status{Phase: imported, PrunePlan: "plan"}, decision.Status{Phase: imported}, false},
		"a resync that is done":                   {decision.Status{Phase: imported}, decision.Status{Phase: imported, LastResync: "now"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mayWait(test.before, test.now); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// What blocks an import is told where its owner looks, and leaves everything as it is.
func TestWhatBlocksAnImportIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		state     func(*policyState)
		lifecycle func(*lifecycles.Lifecycle)
		phase     policyv1alpha1.LifecyclePhase
		reason    string
		follows   bool // under the name that it has
	}{
		"a lasting problem": {state: func(s *policyState) {
			s.problem = &problem{reason: policyv1alpha1.ReasonSourceTypeNotServed, message: "no such type", lasting: true}
		}, phase: policyv1alpha1.LifecycleWaiting, reason: policyv1alpha1.ReasonWaitingForType},
		"a problem that passes": {state: func(s *policyState) {
			s.problem = &problem{reason: policyv1alpha1.ReasonSourcesUnavailable}
		}, phase: policyv1alpha1.LifecycleImported, reason: policyv1alpha1.ReasonCreated},
		"a suspended policy": {state: func(s *policyState) { s.policy.Spec.Suspend = true }, phase: policyv1alpha1.LifecycleImported, reason: policyv1alpha1.ReasonCreated},
		"a paused lifecycle": {lifecycle: func(l *lifecycles.Lifecycle) {
			l.Annotations = map[string]string{policyv1alpha1.PausedAnnotation: "true"}
		}, phase: policyv1alpha1.LifecycleHeld, reason: policyv1alpha1.ReasonPaused},
		"a selector that fails": {state: func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = `{{ fail "no" }}` },
			phase: policyv1alpha1.LifecycleFailed, reason: policyv1alpha1.ReasonSelectorFailed},
		"a name that is none": {state: func(s *policyState) { s.policy.Spec.NameTemplate = "Not A Name" },
			phase: policyv1alpha1.LifecycleFailed, reason: policyv1alpha1.ReasonInvalidName, follows: true},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			one.changeState(t, func(s *policyState) {
				s.policy.Spec.Template = "spec:\n  apiserver: https://another\n  syncResources: []\n"
				if test.state != nil {
					test.state(s)
				}
			})
			if test.lifecycle != nil {
				one.changeLifecycle(t, test.lifecycle)
			}
			one.pass(t)
			said := one.stored(t)
			if test.follows {
				one.wantEndpoint(t, "https://another")
			} else {
				one.wantEndpoint(t, "https://old")
			}
			if said.Status.Phase != test.phase || readyOf(said).Reason != test.reason || !decision.IsCreated(said.Status) {
				t.Errorf("it says %s: %+v", said.Status.Phase, readyOf(said))
			}
			if got, want := one.policies.summaries.of("mcp").results[one.Import], *resultOf(said.Status); !cmp.Equal(got, want, cmp.AllowUnexported(importResult{}, failure{})) {
				t.Errorf("it is counted as %+v, want %+v", got, want)
			}
		})
	}
}

// An import without a lifecycle is told of in the policy's status.
func TestWhatHasNoLifecycleIsAFailureOfThePolicy(t *testing.T) {
	for reason, change := range map[string]func(*policyState){
		policyv1alpha1.ReasonInvalidName:    func(s *policyState) { s.policy.Spec.NameTemplate = "Not A Name" },
		policyv1alpha1.ReasonSelectorFailed: func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = `{{ fail "no" }}` },
	} {
		one := newUnimported(t)
		one.changeState(t, change)
		source, err := one.host.Resource(mcpClusters).Get(t.Context(), "a", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		source.SetDeletionTimestamp(&metav1.Time{})
		one.pass(t)
		if !one.isGone(t, "mcp-a") {
			t.Errorf("%s: there is a lifecycle", reason)
		}
		status, _ := one.policies.summaries.status(one.policies.state("mcp"), pruning{}, nil)
		if len(status.Failures) != 1 || status.Failures[0].Name != "a" || status.Failures[0].Reason != reason || status.Failures[0].Message == "" {
			t.Errorf("%s: the failures are %+v", reason, status.Failures)
		}
		if ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady); ready.Status == metav1.ConditionTrue {
			t.Errorf("%s: the policy is ready", reason)
		}
	}
}

func TestWhatACluserAnswersIsShownUntilClusterpediaKnows(t *testing.T) {
	one := newOneImport(t)
	if got := one.probe("mcp-a", one.pediaCluster(t, "mcp-a")); got != nil {
		t.Errorf("nobody asks, and the answer is %+v", got)
	}
	answered := make(chan string, 10)
	one.prober = probe.New(probe.Config{}, func(name string) { answered <- name })
	done := make(chan struct{})
	go func() { defer close(done); one.prober.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	one.again(t)
	if cluster := one.stored(t).Status.Cluster; cluster.Ready != "" {
		t.Errorf("before it has answered it says %+v", cluster)
	}
	// It has no credentials, and so is not asked: that is an answer.
	if name := <-answered; name != "mcp-a" {
		t.Fatalf("the answer is that of %s", name)
	}
	one.forgetsQueue()
	one.clusterAnswered("mcp-a")
	one.clusterAnswered("nobody")
	one.wantEnqueued(t, "an answer", "mcp/a, single")
	one.pass(t)
	if cluster := one.stored(t).Status.Cluster; cluster.Ready == "" || cluster.Message == "" || cluster.APIServer != "https://old" {
		t.Errorf("it says %+v", cluster)
	}
	one.probe("mcp-a", nil)
	if _, known := one.prober.Result("mcp-a"); known {
		t.Error("a cluster without a PediaCluster is asked")
	}
}

func TestAContendedNameIsToldByWhoHasIt(t *testing.T) {
	one := newOneImport(t)
	one.waitFor(importOfMCP("b"), "mcp-a")
	one.pass(t)
	contended := meta.FindStatusCondition(one.stored(t).Status.Conditions, policyv1alpha1.LifecycleNameContended)
	if contended == nil || contended.Status != metav1.ConditionTrue || !strings.Contains(contended.Message, `such as b of policy "mcp"`) {
		t.Errorf("it says %+v", contended)
	}
	one.waitFor(importOfMCP("b"), "")
	one.pass(t)
	contended = meta.FindStatusCondition(one.stored(t).Status.Conditions, policyv1alpha1.LifecycleNameContended)
	if contended == nil || contended.Status != metav1.ConditionFalse {
		t.Errorf("when nobody waits any more it says %+v", contended)
	}
}

// A removal that had begun, whose cause cannot be judged any more, hands its PediaCluster over:
// the lifecycle goes, and the cluster stays imported.
func TestWhatWasGoingIsHandedOverWhenItsImportIsBlocked(t *testing.T) {
	for name, test := range map[string]struct {
		state     func(*policyState)
		lifecycle func(*lifecycles.Lifecycle)
	}{
		"a lasting problem":     {state: func(s *policyState) { s.problem = &problem{reason: "SourceTypeNotServed", lasting: true} }},
		"a selector that fails": {state: func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = `{{ fail "no" }}` }},
		"a name that is none":   {state: func(s *policyState) { s.policy.Spec.NameTemplate = "Not A Name" }},
	} {
		for held, finalizers := range map[string][]string{"": {policyv1alpha1.Finalizer}, ", held by others": {policyv1alpha1.Finalizer, "example.com/mine"}} {
			t.Run(name+held, func(t *testing.T) {
				one := newOneImport(t)
				one.changeState(t, test.state)
				one.changeLifecycle(t, func(l *lifecycles.Lifecycle) { isDeletedByServer(l); l.Finalizers = finalizers })
				one.pass(t)
				kept := one.pediaCluster(t, "mcp-a")
				if kept == nil || len(kept.GetOwnerReferences()) > 0 || kept.GetAnnotations()[policyv1alpha1.CreatedForAnnotation] == "" {
					t.Fatalf("the PediaCluster is %v", kept)
				}
				if gone := one.isGone(t, "mcp-a"); gone != (held == "") {
					t.Errorf("the lifecycle is gone: %t", gone)
				}
				if held == "" {
					return
				}
				said := one.stored(t)
				if said.Status.Phase != policyv1alpha1.LifecycleDeleting || !strings.Contains(readyOf(said).Message, "the PediaCluster is retained for the next lifecycle, and this lifecycle waits for its finalizer") {
					t.Errorf("it says %+v", said.Status)
				}
				if counts := one.policies.summaries.of("mcp").counts; counts.Deleting != 1 || counts.Created != 1 {
					t.Errorf("the counts are %+v", counts)
				}
			})
		}
	}
}

// What a pass records behind is compared with what the informer shows: were it not just what storage
// makes of it, each own write would be taken for that of another.
func TestAPassRecordsWhatStorageKeeps(t *testing.T) {
	for name, pass := range map[string]func(*testing.T) *oneImport{
		"an import": func(t *testing.T) *oneImport {
			one := newUnimported(t)
			one.isBusy.Store(true)
			one.pass(t)
			return one
		},
		"an edit": func(t *testing.T) *oneImport {
			one := newOneImport(t)
			one.isBusy.Store(true)
			one.edit(t, "https://new")
			return one
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := pass(t)
			if !one.store.HasPending("mcp-a") {
				t.Fatal("the record is not left to be written")
			}
			recorded, stored := one.store.Get("mcp-a"), &lifecycles.Lifecycle{}
			text, err := json.Marshal(recorded)
			if err := errors.Join(err, json.Unmarshal(text, stored)); err != nil {
				t.Fatal(err)
			}
			if !equality.Semantic.DeepEqual(stored.Status, recorded.Status) {
				t.Errorf("storage makes of it (-recorded +stored):\n%s", cmp.Diff(recorded.Status, stored.Status))
			}
		})
	}
}
