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

func begin(t *policySummaries, names ...string) {
	imports := map[memory.Import]struct{}{}
	for _, name := range names {
		imports[importOfMCP(name)] = struct{}{}
	}
	t.begin("mcp", imports)
}

func failing(reason string) *importResult {
	return newImportResult(policyv1alpha1.LifecycleConflict, false, reason, "")
}

var (
	imported = &importResult{phase: policyv1alpha1.LifecycleImported, created: true}
	waiting  = &importResult{phase: policyv1alpha1.LifecycleWaiting}
)

func TestTheStatusOfAPolicySumsUpItsImports(t *testing.T) {
	summaries := newPolicySummaries()
	begin(summaries, "a", "b", "c", "d")
	summaries.set(importOfMCP("a"), imported)
	summaries.set(importOfMCP("b"), waiting)
	summaries.set(importOfMCP("c"), failing(policyv1alpha1.ReasonNameTaken))
	summaries.set(importOfMCP("d"), newImportResult(policyv1alpha1.LifecycleFailed, false, policyv1alpha1.ReasonSelectorFailed, ""))

	status, ok := summaries.status(mcpState(), pruning{}, nil)
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
	summaries.set(importOfMCP("c"), imported)
	summaries.set(importOfMCP("d"), nil)
	status, _ = summaries.status(mcpState(), pruning{}, nil)
	if diff := cmp.Diff(policyv1alpha1.ImportCounts{Selected: 3, Created: 2, Waiting: 1, Imported: 2}, status.Counts); diff != "" {
		t.Errorf("counts afterwards (-want +got):\n%s", diff)
	}
	if len(status.Failures) != 0 || !meta.IsStatusConditionTrue(status.Conditions, policyv1alpha1.PolicyReady) {
		t.Errorf("afterwards there are the failures %v and the conditions %v", status.Failures, status.Conditions)
	}
}

func TestAfterARestartTheOldStatusStaysUntilAllIsCounted(t *testing.T) {
	summaries := newPolicySummaries()
	begin(summaries, "a", "b")
	summaries.set(importOfMCP("a"), imported)
	known := mcpState(func(s *policyState) { s.policy.Status.ObservedGeneration = 3 })
	if status, ok := summaries.status(known, pruning{}, nil); ok {
		t.Errorf("a half-counted status is written: %+v", status)
	}
	if status, ok := summaries.status(mcpState(), pruning{}, nil); !ok || meta.IsStatusConditionTrue(status.Conditions, policyv1alpha1.PolicyReady) {
		t.Errorf("a new policy does not show its progress: %t, %+v", ok, status)
	}
	summaries.set(importOfMCP("b"), imported)
	if status, ok := summaries.status(known, pruning{}, nil); !ok || status.Counts.Created != 2 {
		t.Errorf("the full count is not written: %t, %+v", ok, status)
	}
}

func TestAProblemThatPassesIsNotWorthAWrite(t *testing.T) {
	summaries := newPolicySummaries()
	passing := func(s *policyState) {
		s.policy.Status.ObservedGeneration = 3
		s.problem = &problem{reason: policyv1alpha1.ReasonSourcesUnavailable, passing: true}
	}
	if _, ok := summaries.status(mcpState(passing), pruning{}, nil); ok {
		t.Error("a passing problem is written")
	}
	lasting := func(s *policyState) { s.problem.passing = false }
	status, ok := summaries.status(mcpState(passing, lasting), pruning{}, nil)
	if ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady); !ok || ready.Reason != policyv1alpha1.ReasonSourcesUnavailable {
		t.Errorf("a problem that stays is not shown: %t, %+v", ok, status.Conditions)
	}
}

func TestAnOutageIsShownAtOnceAndCountsAreNotHalved(t *testing.T) {
	summaries := newPolicySummaries()
	begin(summaries, "a", "b")
	summaries.set(importOfMCP("a"), imported)
	known := policyv1alpha1.ImportCounts{Selected: 2, Created: 2, Imported: 2}
	state := mcpState(func(s *policyState) {
		s.policy.Status.ObservedGeneration, s.policy.Status.Counts = 3, known
		s.outage = &problem{reason: policyv1alpha1.ReasonSourcesUnavailable, message: "down"}
	})
	want := map[string]metav1.ConditionStatus{policyv1alpha1.PolicyReady: metav1.ConditionFalse,
		policyv1alpha1.PolicyValidated: metav1.ConditionUnknown, policyv1alpha1.PolicyReconciling: metav1.ConditionTrue}
	status, ok := summaries.status(state, pruning{}, nil)
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
	summaries.set(importOfMCP("b"), waiting)
	status, _ = summaries.status(state, pruning{}, nil)
	if diff := cmp.Diff(policyv1alpha1.ImportCounts{Selected: 2, Created: 1, Imported: 1, Waiting: 1}, status.Counts); diff != "" {
		t.Errorf("counts when all are counted (-want +got):\n%s", diff)
	}
}

func TestAnEventIsForANewFailureOnly(t *testing.T) {
	summaries := newPolicySummaries()
	if news, _ := summaries.set(importOfMCP("a"), failing("NameTaken")); news == nil {
		t.Error("a new failure is not told")
	}
	if news, _ := summaries.set(importOfMCP("a"), failing("NameTaken")); news != nil {
		t.Error("the same failure is told twice")
	}
	if news, _ := summaries.set(importOfMCP("a"), failing("InvalidName")); news == nil {
		t.Error("another failure is not told")
	}
	summaries.set(importOfMCP("a"), imported)
	if news, _ := summaries.set(importOfMCP("a"), failing("InvalidName")); news == nil {
		t.Error("a failure that is back is not told")
	}
}

// When the last import of a pass has been worked on, it can be decided who is next.
func TestTheLastImportOfAPassIsKnown(t *testing.T) {
	summaries := newPolicySummaries()
	summaries.begin("mcp", map[memory.Import]struct{}{importOfMCP("a"): {}, importOfMCP("b"): {}})
	for _, step := range []struct {
		name string
		last bool
	}{{"a", false}, {"a", false}, {"b", true}, {"b", false}} {
		if _, last := summaries.set(importOfMCP(step.name), imported); last != step.last {
			t.Errorf("%s is the last one: %t", step.name, last)
		}
	}
}

func TestTheListOfFailuresIsBounded(t *testing.T) {
	summaries := newPolicySummaries()
	for i := range 5000 {
		name := fmt.Sprintf("cluster-%04d", i)
		summaries.set(importOfMCP(name), newImportResult(policyv1alpha1.LifecycleFailed, false, "NameTaken", strings.Repeat("why ", 10_000)))
	}
	status, _ := summaries.status(mcpState(), pruning{}, nil)
	if len(status.Failures) != 10 || status.Failures[0].Name != "cluster-0000" || status.Counts.Failed != 5000 {
		t.Errorf("%d failures listed, first %q, %d counted", len(status.Failures), status.Failures[0].Name, status.Counts.Failed)
	}
	if text, err := json.Marshal(status); err != nil || len(text) > 16<<10 {
		t.Errorf("the status has %d bytes, %v", len(text), err)
	}
}

func TestWhatIsNoLongerThereIsNotCountedInANewPass(t *testing.T) {
	summaries := newPolicySummaries()
	summaries.set(importOfMCP("a"), imported)
	summaries.set(importOfMCP("gone"), failing("NameTaken"))
	begin(summaries, "a")
	summaries.set(importOfMCP("a"), imported)
	status, _ := summaries.status(mcpState(), pruning{}, nil)
	if diff := cmp.Diff(policyv1alpha1.ImportCounts{Selected: 1, Created: 1, Imported: 1}, status.Counts); diff != "" || len(status.Failures) != 0 {
		t.Errorf("counts (-want +got):\n%s\nfailures: %v", diff, status.Failures)
	}
}

func TestAPassIsCountedWhileItIsBegun(t *testing.T) {
	summaries := newPolicySummaries()
	imports := map[memory.Import]struct{}{}
	for i := range 2000 {
		imports[importOfMCP(fmt.Sprint(i))] = struct{}{}
	}
	summaries.begin("mcp", imports)
	for i := range imports { // as who began it does, while others work already
		summaries.set(i, imported)
	}
	if len(imports) != 2000 {
		t.Errorf("%d imports are left to enqueue", len(imports))
	}
	if _, ok := summaries.allReconciled("mcp"); !ok {
		t.Error("not all are reconciled")
	}
}

func TestReadyPointsToWhereThereIsSomethingToSee(t *testing.T) {
	held := newImportResult(policyv1alpha1.LifecycleHeld, true, policyv1alpha1.ReasonPaused, "paused")
	failed := newImportResult(policyv1alpha1.LifecycleFailed, false, policyv1alpha1.ReasonTemplateFailed, "broken")
	for name, test := range map[string]struct {
		results []*importResult
		prune   pruning
		want    string
	}{
		"held":            {[]*importResult{held}, pruning{}, "see the lifecycles of this policy in the phase Held"},
		"failed":          {[]*importResult{failed}, pruning{}, "see status.failures and the lifecycles of this policy"},
		"both":            {[]*importResult{held, failed}, pruning{}, "see status.failures, and the lifecycles of this policy in the phase Held"},
		"held by a plan":  {[]*importResult{held}, pruning{held: 1}, "see the condition PruneHeld"},
		"being deleted":   {[]*importResult{newImportResult(policyv1alpha1.LifecycleDeleting, true, "SourceGone", "it waits")}, pruning{}, "being deleted: 1"},
		"nothing special": {[]*importResult{imported}, pruning{}, "1 of 1 selected Sources have a PediaCluster; waiting: 0, held: 0, in conflict: 0, failed: 0, being deleted: 0"},
	} {
		summaries := newPolicySummaries()
		var names []string
		for i := range test.results {
			names = append(names, fmt.Sprint("c", i))
		}
		begin(summaries, names...)
		for i, result := range test.results {
			summaries.set(importOfMCP(names[i]), result)
		}
		status, _ := summaries.status(mcpState(), test.prune, nil)
		message := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady).Message
		if !strings.HasSuffix(message, test.want) || len(status.Failures) == 0 && strings.Contains(message, "failures") {
			t.Errorf("%s: Ready says %q, the failures are %v", name, message, status.Failures)
		}
	}
}

func TestTheCountsFollowAPlanAtOnce(t *testing.T) {
	summaries := newPolicySummaries()
	begin(summaries, "a", "b", "c")
	for _, name := range []string{"a", "b", "c"} {
		summaries.set(importOfMCP(name), imported)
	}
	summaries.setPhase([]memory.Import{importOfMCP("a"), importOfMCP("b"), importOfMCP("nobody")}, policyv1alpha1.LifecycleHeld)
	status, _ := summaries.status(mcpState(), pruning{held: 2}, nil)
	if diff := cmp.Diff(policyv1alpha1.ImportCounts{Selected: 3, Created: 3, Imported: 1, Held: 2}, status.Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestAPolicyThatIsBeingDeletedSaysWhatItWaitsFor(t *testing.T) {
	hangs := func(message string) *importResult {
		return newImportResult(policyv1alpha1.LifecycleDeleting, false, policyv1alpha1.ReasonPolicyDeleted, message)
	}
	for name, test := range map[string]struct {
		results    map[string]*importResult
		finalizers []string
		want       string
	}{
		"nothing is left":  {nil, []string{policyv1alpha1.Finalizer}, "the policy is being deleted"},
		"work in progress": {map[string]*importResult{"a": imported, "b": imported}, nil, "the policy is being deleted, and is removed after the lifecycles of 2 Sources"},
		"two hang": {map[string]*importResult{"c": hangs("for x"), "b": hangs("for y"), "a": imported}, nil,
			"the policy is being deleted, and is removed after the lifecycles of 3 Sources, such as that of b: for y"},
		"one hangs": {map[string]*importResult{"a": hangs("for x")}, nil,
			"the policy is being deleted, and is removed after the lifecycle of 1 Source, such as that of a: for x"},
		"others hold the policy": {nil, []string{"example.com/mine"},
			`the policy is being deleted: its lifecycles are deleted, and it waits for its finalizer "example.com/mine", which the client that set it must remove`},
	} {
		summaries := newPolicySummaries()
		begin(summaries)
		for source, result := range test.results {
			summaries.set(importOfMCP(source), result)
		}
		state := mcpState(func(s *policyState) {
			s.policy.DeletionTimestamp, s.policy.Finalizers = &metav1.Time{}, test.finalizers
			s.problem = &problem{reason: "SourceTypeNotServed", message: "no such type", lasting: true}
		})
		status, _ := summaries.status(state, pruning{}, nil)
		ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady)
		if ready.Status != metav1.ConditionFalse || ready.Reason != policyv1alpha1.ReasonPolicyDeleted || ready.Message != test.want {
			t.Errorf("%s: Ready is %+v", name, ready)
		}
		if validated := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyValidated); validated.Reason != "SourceTypeNotServed" {
			t.Errorf("%s: Validated is %+v", name, validated)
		}
	}
}

func TestAPolicysMessagesAreBounded(t *testing.T) {
	summaries := newPolicySummaries()
	state := mcpState(func(s *policyState) {
		s.problem = &problem{reason: "TemplateFailed", message: strings.Repeat("<", 1<<20), lasting: true}
	})
	status, _ := summaries.status(state, pruning{}, nil)
	if text, err := json.Marshal(status); err != nil || len(text) > 4<<10 {
		t.Errorf("the status has %d bytes, %v", len(text), err)
	}
}

func TestSummedUp(t *testing.T) {
	of := func(phase policyv1alpha1.LifecyclePhase, created bool) *importResult {
		return newImportResult(phase, created, "Reason", "why")
	}
	const (
		imported = policyv1alpha1.LifecycleImported
		waiting  = policyv1alpha1.LifecycleWaiting
		failed   = policyv1alpha1.LifecycleFailed
		held     = policyv1alpha1.LifecycleHeld
		deleting = policyv1alpha1.LifecycleDeleting
	)
	for _, test := range []struct {
		main, former *importResult
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
		got := mergeResults(test.main, test.former)
		if got.phase != test.phase || got.created != test.created || got.waits != test.waits {
			t.Errorf("%+v and %+v are %+v", test.main, test.former, got)
		}
		if test.main != nil && (got.failure == nil) != (test.main.failure == nil) {
			t.Errorf("%+v and %+v: the failure is %v", test.main, test.former, got.failure)
		}
	}
	if mergeResults(nil, nil) != nil {
		t.Error("nothing is something")
	}
}
