package controller

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// notebook is a recorder that keeps events as lines, and what wakes were asked for.
type notebook struct {
	mu     sync.Mutex
	events []string
	wakes  []time.Duration
}

func (n *notebook) Eventf(regarding, _ runtime.Object, eventType, reason, _, note string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	reference := regarding.(*corev1.ObjectReference)
	n.events = append(n.events, fmt.Sprintf("%s/%s %s %s: %s", reference.Kind, reference.Name, eventType, reason, fmt.Sprintf(note, args...)))
}

func (n *notebook) wake(_ string, after time.Duration) { n.wakes = append(n.wakes, after) }

func (n *notebook) expect(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, n.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	n.events = nil
}

func newNotebook() (*notebook, *announcer, *clocktesting.FakePassiveClock) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_000_000, 0))
	n := &notebook{}
	return n, newAnnouncer(n, clock, n.wake), clock
}

func lifecycleOfMCP(name string) *policyv1alpha1.PediaClusterLifecycle {
	owner := &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mcp"}}
	return &policyv1alpha1.PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{
		*metav1.NewControllerRef(owner, policyv1alpha1.SchemeGroupVersion.WithKind("ClusterImportPolicy"))}}}
}

func pediaClusterNamed(name string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetName(name)
	return object
}

func did(action render.Action, reason string, changed ...string) decision.Execution {
	return decision.Execution{Plan: render.Plan{Action: action, Reason: reason, Changed: changed}, PediaCluster: pediaClusterNamed("a")}
}

func readyStatus(phase policyv1alpha1.LifecyclePhase, reason, message string) (status policyv1alpha1.PediaClusterLifecycleStatus) {
	status.Phase = phase
	ready := metav1.ConditionFalse
	if phase == policyv1alpha1.LifecycleImported {
		ready = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: policyv1alpha1.LifecycleReady, Status: ready, Reason: reason, Message: message})
	return status
}

func TestAnnounceTellsOfEachWriteWhereItIsLookedFor(t *testing.T) {
	n, a, _ := newNotebook()
	lifecycle := lifecycleOfMCP("a")
	a.executed(lifecycle, nil, did(render.ActionCreate, ""))
	n.expect(t,
		"PediaClusterLifecycle/a Normal Created: PediaCluster a was created",
		"PediaCluster/a Normal Created: PediaCluster a was created")
	a.executed(lifecycle, pediaClusterNamed("a"), did(render.ActionUpdate, "", "spec.apiserver", "spec.tokenData"))
	n.expect(t,
		"PediaClusterLifecycle/a Normal Updated: PediaCluster a was updated, changed: spec.apiserver, spec.tokenData",
		"PediaCluster/a Normal Updated: PediaCluster a was updated, changed: spec.apiserver, spec.tokenData")
	deleted := did(render.ActionDelete, policyv1alpha1.ReasonDeletionConditionMet)
	deleted.PediaCluster = nil
	a.executed(lifecycle, pediaClusterNamed("a"), deleted)
	n.expect(t, "PediaClusterLifecycle/a Normal Deleted: PediaCluster a was deleted, cause: DeletionConditionMet")
	hangs := pediaClusterNamed("a")
	hangs.SetFinalizers([]string{"example.com/hold"})
	a.executed(lifecycle, hangs, deleted)
	n.expect(t,
		"PediaClusterLifecycle/a Normal Deleting: PediaCluster a is being deleted, cause: DeletionConditionMet",
		"PediaCluster/a Normal Deleting: PediaCluster a is being deleted, cause: DeletionConditionMet")
	a.gone(lifecycle, policyv1alpha1.ReasonDeletionConditionMet)
	n.expect(t, "PediaClusterLifecycle/a Normal Deleted: PediaCluster a was deleted, cause: DeletionConditionMet")
	a.wrote(lifecycle, pediaClusterNamed("a"), eventReleased, "")
	n.expect(t,
		"PediaClusterLifecycle/a Normal Released: PediaCluster a was released",
		"PediaCluster/a Normal Released: PediaCluster a was released")

	failed := did(render.ActionError, policyv1alpha1.ReasonHostUnavailable)
	a.executed(lifecycle, nil, failed)
	a.executed(lifecycle, nil, did(render.ActionNone, ""))
	n.expect(t)
	if len(n.wakes) > 0 {
		t.Errorf("summaries are waited for: %v", n.wakes)
	}
}

func TestAnnounceTellsWhenALifecycleTurns(t *testing.T) {
	n, a, _ := newNotebook()
	lifecycle := lifecycleOfMCP("a")
	for _, step := range []struct {
		now  policyv1alpha1.PediaClusterLifecycleStatus
		want []string
	}{
		{readyStatus(policyv1alpha1.LifecycleImported, policyv1alpha1.ReasonCreated, ""), nil}, // told as Created
		{readyStatus(policyv1alpha1.LifecycleWaiting, policyv1alpha1.ReasonWaitingForReference, "no Secret"),
			[]string{"PediaClusterLifecycle/a Normal WaitingForReference: no Secret"}},
		{readyStatus(policyv1alpha1.LifecycleWaiting, policyv1alpha1.ReasonWaitingForReference, "no Secret, still"), nil},
		{readyStatus(policyv1alpha1.LifecycleImported, policyv1alpha1.ReasonCreated, "it follows"),
			[]string{"PediaClusterLifecycle/a Normal Imported: it follows"}},
		{readyStatus(policyv1alpha1.LifecycleConflict, policyv1alpha1.ReasonNameTaken, "taken"),
			[]string{"PediaClusterLifecycle/a Warning NameTaken: taken"}},
		{readyStatus(policyv1alpha1.LifecycleHeld, policyv1alpha1.ReasonPruneHeld, "held"),
			[]string{"PediaClusterLifecycle/a Warning PruneHeld: held"}},
		{readyStatus(policyv1alpha1.LifecycleFailed, policyv1alpha1.ReasonTemplateFailed, strings.Repeat("x", 2000)),
			[]string{"PediaClusterLifecycle/a Warning TemplateFailed: " + strings.Repeat("x", render.MaxMessage-len("…")) + "…"}},
		{readyStatus(policyv1alpha1.LifecycleDeleting, policyv1alpha1.ReasonSourceGone, ""), nil},
	} {
		a.phaseChanged(lifecycle, step.now)
		n.expect(t, step.want...)
		lifecycle.Status = step.now
	}
}

func TestAnnounceDoesNotTellACreationTwice(t *testing.T) {
	n, a, _ := newNotebook()
	lifecycle := lifecycleOfMCP("a")
	lifecycle.Status = readyStatus(policyv1alpha1.LifecycleWaiting, policyv1alpha1.ReasonWaitingForCondition, "")
	now := readyStatus(policyv1alpha1.LifecycleImported, policyv1alpha1.ReasonCreated, "")
	meta.SetStatusCondition(&now.Conditions, metav1.Condition{Type: policyv1alpha1.LifecycleCreated, Status: metav1.ConditionTrue, Reason: policyv1alpha1.ReasonCreated})
	a.phaseChanged(lifecycle, now)
	n.expect(t)
}

func TestAnnounceSumsUpBulkWorkAndLosesNothing(t *testing.T) {
	n, a, clock := newNotebook()
	for i := range 1000 {
		a.executed(lifecycleOfMCP(fmt.Sprintf("c%04d", i)), nil, did(render.ActionCreate, ""))
	}
	if len(n.events) != 2*announcedAtOnce {
		t.Errorf("%d events at once, want %d changes on two objects each", len(n.events), announcedAtOnce)
	}
	n.events = nil
	a.flush("mcp")
	n.expect(t) // too early
	if diff := cmp.Diff([]time.Duration{summaryDelay, summaryDelay}, n.wakes); diff != "" {
		t.Errorf("wakes (-want +got):\n%s", diff)
	}
	clock.SetTime(clock.Now().Add(summaryDelay))
	a.flush("mcp")
	n.expect(t, "ClusterImportPolicy/mcp Normal Created: 990 PediaClusters were created, such as c0010, c0011, c0012, …")
	a.flush("mcp")
	n.expect(t) // once is enough

	// One token has come back. What else happens is summed up by reason.
	for i := range 6 {
		deleted := did(render.ActionDelete, []string{policyv1alpha1.ReasonRenamed, policyv1alpha1.ReasonSourceGone}[i%2])
		a.executed(lifecycleOfMCP(fmt.Sprint("d", i)), pediaClusterNamed("d"), deleted)
	}
	a.executed(lifecycleOfMCP("e"), pediaClusterNamed("e"), did(render.ActionUpdate, "", "spec.tokenData"))
	n.events = n.events[1:]
	a.forget("mcp")
	n.expect(t,
		"ClusterImportPolicy/mcp Normal Deleted: 5 PediaClusters were deleted (cause: SourceGone; cause: Renamed), such as d1, d2, d3, …",
		"PediaClusterLifecycle/e Normal Updated: PediaCluster e was updated, changed: spec.tokenData",
		"PediaCluster/a Normal Updated: PediaCluster e was updated, changed: spec.tokenData")
	if len(a.bursts) > 0 {
		t.Error("a policy that is gone is remembered")
	}
}

func TestAnnounceLimitsTheFailuresOfSources(t *testing.T) {
	n, a, clock := newNotebook()
	for i := range 5000 {
		a.failed(mcpState(), importOfMCP(fmt.Sprintf("s%04d", i)), failure{policyv1alpha1.ReasonNameTaken, "taken"})
	}
	if len(n.events) != announcedAtOnce {
		t.Errorf("%d events, want %d", len(n.events), announcedAtOnce)
	}
	n.events = n.events[:1]
	n.expect(t, "ClusterImportPolicy/mcp Warning NameTaken: Source s0000: taken")
	clock.SetTime(clock.Now().Add(time.Minute))
	a.flush("mcp")
	n.expect(t, "ClusterImportPolicy/mcp Warning NameTaken: 4990 Sources failed or met a conflict, such as s0010, s0011, s0012, …")
}

func TestAnnounceTellsOnceThatRemovalsAreHeld(t *testing.T) {
	n, a, _ := newNotebook()
	policy := mcpState().policy
	prune := pruning{plan: "p1", held: 3}
	a.pruneHeld(policy, prune)
	if len(n.events) != 1 || !strings.Contains(n.events[0], "Warning PruneHeld: the removals of 3 PediaClusters are held") {
		t.Errorf("the events are %q", n.events)
	}
	n.events = nil
	policy.Status.Prune = prune.status()
	a.pruneHeld(policy, prune)
	a.pruneHeld(policy, pruning{})
	n.expect(t)
	prune.plan = "p2"
	a.pruneHeld(policy, prune)
	if len(n.events) != 1 {
		t.Errorf("another plan is not told of: %q", n.events)
	}
}
