package controller

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
)

func importOfMCP(name string) memory.Import { return memory.Import{Policy: "mcp", Name: name} }

func mcpState(change ...func(*policyState)) *policyState {
	state := &policyState{policy: &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mcp", Generation: 3}}}
	for _, f := range change {
		f(state)
	}
	return state
}

func begin(t *tally, names ...string) {
	imports := map[memory.Import]struct{}{}
	for _, name := range names {
		imports[importOfMCP(name)] = struct{}{}
	}
	t.begin("mcp", imports)
}

func failing(reason string) *outcome {
	return newOutcome(policyv1alpha1.LifecycleConflict, false, reason, "")
}

var (
	imported = &outcome{phase: policyv1alpha1.LifecycleImported, created: true}
	waiting  = &outcome{phase: policyv1alpha1.LifecycleWaiting}
)

func TestTheStatusOfAPolicySumsUpItsImports(t *testing.T) {
	tally := newTally()
	begin(tally, "a", "b", "c", "d")
	tally.set(importOfMCP("a"), imported)
	tally.set(importOfMCP("b"), waiting)
	tally.set(importOfMCP("c"), failing(policyv1alpha1.ReasonNameTaken))
	tally.set(importOfMCP("d"), newOutcome(policyv1alpha1.LifecycleFailed, false, policyv1alpha1.ReasonSelectorFailed, ""))

	status, ok := tally.status(mcpState(), pruning{})
	if !ok {
		t.Fatal("there is no status though every import was worked on")
	}
	if diff := cmp.Diff(policyv1alpha1.ImportCounts{Selected: 3, Created: 1, Waiting: 1, Imported: 1, Conflict: 1, Failed: 1}, status.Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	want := []policyv1alpha1.SourceFailure{{Name: "c", Reason: "NameTaken"}, {Name: "d", Reason: "SelectorFailed"}}
	if diff := cmp.Diff(want, status.Failures); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	if ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady); ready.Reason != policyv1alpha1.ReasonFailures || ready.ObservedGeneration != 3 {
		t.Errorf("Ready is %+v", ready)
	}

	// What heals, and what goes, counts no more.
	tally.set(importOfMCP("c"), imported)
	tally.set(importOfMCP("d"), nil)
	status, _ = tally.status(mcpState(), pruning{})
	if diff := cmp.Diff(policyv1alpha1.ImportCounts{Selected: 3, Created: 2, Waiting: 1, Imported: 2}, status.Counts); diff != "" {
		t.Errorf("counts afterwards (-want +got):\n%s", diff)
	}
	if len(status.Failures) != 0 || !meta.IsStatusConditionTrue(status.Conditions, policyv1alpha1.PolicyReady) {
		t.Errorf("afterwards there are the failures %v and the conditions %v", status.Failures, status.Conditions)
	}
}

func TestAfterARestartTheOldStatusStaysUntilAllIsCounted(t *testing.T) {
	tally := newTally()
	begin(tally, "a", "b")
	tally.set(importOfMCP("a"), imported)
	known := mcpState(func(s *policyState) { s.policy.Status.ObservedGeneration = 3 })
	if status, ok := tally.status(known, pruning{}); ok {
		t.Errorf("a half-counted status is written: %+v", status)
	}
	if status, ok := tally.status(mcpState(), pruning{}); !ok || meta.IsStatusConditionTrue(status.Conditions, policyv1alpha1.PolicyReady) {
		t.Errorf("a new policy does not show its progress: %t, %+v", ok, status)
	}
	tally.set(importOfMCP("b"), imported)
	if status, ok := tally.status(known, pruning{}); !ok || status.Counts.Created != 2 {
		t.Errorf("the full count is not written: %t, %+v", ok, status)
	}
}

func TestAProblemThatPassesIsNotWorthAWrite(t *testing.T) {
	tally := newTally()
	passing := func(s *policyState) {
		s.policy.Status.ObservedGeneration = 3
		s.problem = &problem{reason: policyv1alpha1.ReasonSourcesUnavailable, passing: true}
	}
	if _, ok := tally.status(mcpState(passing), pruning{}); ok {
		t.Error("a passing problem is written")
	}
	lasting := func(s *policyState) { s.problem.passing = false }
	status, ok := tally.status(mcpState(passing, lasting), pruning{})
	if ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady); !ok || ready.Reason != policyv1alpha1.ReasonSourcesUnavailable {
		t.Errorf("a problem that stays is not shown: %t, %+v", ok, status.Conditions)
	}
}

func TestAnOutageIsShownAtOnceAndCountsAreNotHalved(t *testing.T) {
	tally := newTally()
	begin(tally, "a", "b")
	tally.set(importOfMCP("a"), imported)
	known := policyv1alpha1.ImportCounts{Selected: 2, Created: 2, Imported: 2}
	state := mcpState(func(s *policyState) {
		s.policy.Status.ObservedGeneration, s.policy.Status.Counts = 3, known
		s.outage = &problem{reason: policyv1alpha1.ReasonSourcesUnavailable, message: "down"}
	})
	want := map[string]metav1.ConditionStatus{policyv1alpha1.PolicyReady: metav1.ConditionFalse,
		policyv1alpha1.PolicyValidated: metav1.ConditionUnknown, policyv1alpha1.PolicyReconciling: metav1.ConditionTrue}
	status, ok := tally.status(state, pruning{})
	if !ok {
		t.Fatal("it is not shown while imports are left to be counted")
	}
	for _, condition := range status.Conditions {
		if condition.Status != want[condition.Type] || condition.Reason != policyv1alpha1.ReasonSourcesUnavailable {
			t.Errorf("%s is %s: %s", condition.Type, condition.Status, condition.Reason)
		}
	}
	if diff := cmp.Diff(known, status.Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	tally.set(importOfMCP("b"), waiting)
	status, _ = tally.status(state, pruning{})
	if diff := cmp.Diff(policyv1alpha1.ImportCounts{Selected: 2, Created: 1, Imported: 1, Waiting: 1}, status.Counts); diff != "" {
		t.Errorf("counts when all are counted (-want +got):\n%s", diff)
	}
}

func TestAnEventIsForANewFailureOnly(t *testing.T) {
	tally := newTally()
	if tally.set(importOfMCP("a"), failing("NameTaken")) == nil {
		t.Error("a new failure is not told")
	}
	if tally.set(importOfMCP("a"), failing("NameTaken")) != nil {
		t.Error("the same failure is told twice")
	}
	if tally.set(importOfMCP("a"), failing("InvalidName")) == nil {
		t.Error("another failure is not told")
	}
	tally.set(importOfMCP("a"), imported)
	if tally.set(importOfMCP("a"), failing("InvalidName")) == nil {
		t.Error("a failure that is back is not told")
	}
}

func TestTheListOfFailuresIsBounded(t *testing.T) {
	tally := newTally()
	for i := range 5000 {
		name := fmt.Sprintf("cluster-%04d", i)
		tally.set(importOfMCP(name), newOutcome(policyv1alpha1.LifecycleFailed, false, "NameTaken", strings.Repeat("why ", 10_000)))
	}
	status, _ := tally.status(mcpState(), pruning{})
	if len(status.Failures) != 10 || status.Failures[0].Name != "cluster-0000" || status.Counts.Failed != 5000 {
		t.Errorf("%d failures listed, first %q, %d counted", len(status.Failures), status.Failures[0].Name, status.Counts.Failed)
	}
	if text, err := json.Marshal(status); err != nil || len(text) > 16<<10 {
		t.Errorf("the status has %d bytes, %v", len(text), err)
	}
}

func TestWhatIsNoLongerThereIsNotCountedInANewPass(t *testing.T) {
	tally := newTally()
	tally.set(importOfMCP("a"), imported)
	tally.set(importOfMCP("gone"), failing("NameTaken"))
	begin(tally, "a")
	tally.set(importOfMCP("a"), imported)
	status, _ := tally.status(mcpState(), pruning{})
	if diff := cmp.Diff(policyv1alpha1.ImportCounts{Selected: 1, Created: 1, Imported: 1}, status.Counts); diff != "" || len(status.Failures) != 0 {
		t.Errorf("counts (-want +got):\n%s\nfailures: %v", diff, status.Failures)
	}
}

func TestAPassIsCountedWhileItIsBegun(t *testing.T) {
	tally := newTally()
	imports := map[memory.Import]struct{}{}
	for i := range 2000 {
		imports[importOfMCP(fmt.Sprint(i))] = struct{}{}
	}
	tally.begin("mcp", imports)
	for i := range imports { // as who began it does, while others work already
		tally.set(i, imported)
	}
	if len(imports) != 2000 {
		t.Errorf("%d imports are left to enqueue", len(imports))
	}
	if _, settled := tally.settled("mcp"); !settled {
		t.Error("it is not settled when all is done")
	}
}
