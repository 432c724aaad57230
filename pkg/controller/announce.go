package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// Reasons of the events about writes. All other events have the reason of the
// condition that they tell of.
const (
	eventCreated  = "Created"
	eventUpdated  = "Updated"
	eventDeleting = "Deleting"
	eventDeleted  = "Deleted"
	eventReleased = "Released"
	eventImported = "Imported"
)

const (
	// announcedAtOnce is how many changes under one policy that come together have an
	// event each, announceEvery after how long one more has.
	announcedAtOnce = 10
	announceEvery   = 6 * time.Second
	// summaryDelay is how long changes are counted before they are summed up.
	summaryDelay = 10 * time.Second
	// maxExamples is how many names, and how many details, a summary repeats.
	maxExamples = 3
)

// announcer records events of changes. Few changes have an event each. Many under one
// policy are summed up in events on the policy.
type announcer struct {
	recorder events.EventRecorder
	clock    clock.PassiveClock
	// wake has flush called for the policy after that time.
	wake func(policy string, after time.Duration)

	mu     sync.Mutex
	bursts map[string]*burst
}

// burst is what happened under a policy lately.
type burst struct {
	tokens   int
	refilled time.Time
	// since is when the first change in the summaries happened.
	since     time.Time
	summaries map[summaryKey]*summary
}

type summaryKey struct{ eventType, reason, plural string }

// summary counts changes that had no event of their own.
type summary struct {
	first   announcement
	policy  *corev1.ObjectReference
	count   int
	names   []string
	details []string
}

// announcement is one change.
type announcement struct {
	// regarding is what the event is about. There is one event for each.
	regarding []*corev1.ObjectReference
	related   *corev1.ObjectReference

	eventType, reason, action, note string

	// name, plural and detail are for the summary: "3 PediaClusters were
	// deleted (cause: SourceGone), such as a, b, c".
	name, plural, detail string
}

func newAnnouncer(recorder events.EventRecorder, clock clock.PassiveClock, wake func(string, time.Duration)) *announcer {
	return &announcer{recorder: recorder, clock: clock, wake: wake, bursts: map[string]*burst{}}
}

// announce records an event of a change under a policy, or adds the change to a summary.
func (a *announcer) announce(policy *corev1.ObjectReference, change announcement) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	b, ok := a.bursts[policy.Name]
	if !ok {
		b = &burst{tokens: announcedAtOnce, refilled: now, summaries: map[summaryKey]*summary{}}
		a.bursts[policy.Name] = b
	}
	if b.take(now) {
		a.record(change)
		return
	}
	if len(b.summaries) == 0 {
		b.since = now
		a.wake(policy.Name, summaryDelay)
	}
	b.add(policy, change)
}

// take reports whether one more change may have an event of its own.
func (b *burst) take(now time.Time) bool {
	if n := int(now.Sub(b.refilled) / announceEvery); n > 0 {
		b.tokens = min(announcedAtOnce, b.tokens+n)
		b.refilled = b.refilled.Add(time.Duration(n) * announceEvery)
	}
	if b.tokens == 0 {
		return false
	}
	b.tokens--
	return true
}

func (b *burst) add(policy *corev1.ObjectReference, change announcement) {
	key := summaryKey{change.eventType, change.reason, change.plural}
	s, ok := b.summaries[key]
	if !ok {
		s = &summary{first: change, policy: policy}
		b.summaries[key] = s
	}
	s.count++
	s.names = example(s.names, change.name)
	s.details = example(s.details, change.detail)
}

// example adds a value to a few different ones.
func example(values []string, value string) []string {
	if value == "" || len(values) > maxExamples || slices.Contains(values, value) {
		return values
	}
	return append(values, value)
}

// flush records the summaries of a policy if they are due.
func (a *announcer) flush(policy string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, ok := a.bursts[policy]
	if !ok || len(b.summaries) == 0 {
		return
	}
	if wait := summaryDelay - a.clock.Since(b.since); wait > 0 {
		a.wake(policy, wait)
		return
	}
	a.recordSummaries(b)
}

// forget records the summaries of a policy that is gone, and forgets it.
func (a *announcer) forget(policy string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b, ok := a.bursts[policy]; ok {
		a.recordSummaries(b)
		delete(a.bursts, policy)
	}
}

// recordSummaries records the summaries and begins new ones.
func (a *announcer) recordSummaries(b *burst) {
	keys := make([]summaryKey, 0, len(b.summaries))
	for key := range b.summaries {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(x, y summaryKey) int {
		return cmp.Or(cmp.Compare(x.reason, y.reason), cmp.Compare(x.plural, y.plural))
	})
	for _, key := range keys {
		s := b.summaries[key]
		if s.count == 1 {
			a.record(s.first)
			continue
		}
		// The recorder takes events for repetitions that differ in nothing but
		// their note, and drops the later notes. What is related tells them apart.
		related := s.first.related
		if len(s.first.regarding) > 0 && s.first.regarding[0].Name != s.policy.Name {
			related = s.first.regarding[0]
		}
		a.record(announcement{regarding: []*corev1.ObjectReference{s.policy}, related: related,
			eventType: key.eventType, reason: key.reason, action: s.first.action, note: s.note(key)})
	}
	clear(b.summaries)
}

func (s *summary) note(key summaryKey) string {
	note := fmt.Sprintf("%d %s", s.count, key.plural)
	if len(s.details) > 0 {
		note += " (" + enumerate(s.details, "; ") + ")"
	}
	return note + ", such as " + enumerate(s.names, ", ")
}

// enumerate joins a few values, and hints at those that are left out.
func enumerate(values []string, separator string) string {
	if len(values) > maxExamples {
		return strings.Join(values[:maxExamples], separator) + separator + "…"
	}
	return strings.Join(values, separator)
}

func (a *announcer) record(change announcement) {
	note := render.Bounded(change.note, render.MaxMessage)
	for i, regarding := range change.regarding {
		related := change.related
		if i > 0 {
			related = change.regarding[0]
		}
		if related == nil { // as an interface it would not be nil
			a.recorder.Eventf(regarding, nil, change.eventType, change.reason, change.action, "%s", note)
			continue
		}
		a.recorder.Eventf(regarding, related, change.eventType, change.reason, change.action, "%s", note)
	}
}

// executed tells of the write that a plan was carried out with.
func (a *announcer) executed(lifecycle *policyv1alpha1.PediaClusterLifecycle, before *unstructured.Unstructured, done decision.Execution) {
	if done.Err != nil {
		return
	}
	switch done.Plan.Action {
	case render.ActionCreate:
		a.wrote(lifecycle, done.PediaCluster, eventCreated, "")
	case render.ActionUpdate:
		a.wrote(lifecycle, done.PediaCluster, eventUpdated, "changed: "+strings.Join(done.Plan.Changed, ", "))
	case render.ActionDelete:
		a.deleted(lifecycle, before, done.Plan.Reason)
	}
}

// deleted tells that the PediaCluster of a lifecycle was deleted, or is being deleted
// while it has finalizers, and why.
func (a *announcer) deleted(lifecycle *policyv1alpha1.PediaClusterLifecycle, pediaCluster *unstructured.Unstructured, cause string) {
	reason := eventDeleted
	if len(pediaCluster.GetFinalizers()) > 0 {
		reason = eventDeleting
	}
	a.wrote(lifecycle, pediaCluster, reason, "cause: "+cause)
}

// gone tells that the PediaCluster of a lifecycle, which was being deleted, is gone.
func (a *announcer) gone(lifecycle *policyv1alpha1.PediaClusterLifecycle, cause string) {
	pediaCluster := &unstructured.Unstructured{}
	pediaCluster.SetName(lifecycle.Name)
	a.wrote(lifecycle, pediaCluster, eventDeleted, "cause: "+cause)
}

// wrote tells of a write of a PediaCluster, on the lifecycle and, unless it is
// gone, on the PediaCluster.
func (a *announcer) wrote(lifecycle *policyv1alpha1.PediaClusterLifecycle, pediaCluster *unstructured.Unstructured, reason, detail string) {
	one, many := "was "+strings.ToLower(reason), "were "+strings.ToLower(reason)
	if reason == eventDeleting {
		one, many = "is being deleted", "are being deleted"
	}
	change := announcement{
		regarding: []*corev1.ObjectReference{referenceToLifecycle(lifecycle)}, related: referenceToPediaCluster(pediaCluster),
		eventType: corev1.EventTypeNormal, reason: reason, action: "Import",
		note: fmt.Sprintf("PediaCluster %s %s", lifecycle.Name, one),
		name: lifecycle.Name, plural: "PediaClusters " + many, detail: detail,
	}
	if detail != "" {
		change.note += ", " + detail
	}
	if reason != eventDeleted {
		change.regarding = append(change.regarding, change.related)
	}
	a.announce(referenceToPolicyOf(lifecycle), change)
}

// phaseChanged tells that a lifecycle began to wait, to fail or to be held or in
// conflict, or that it is imported again after that. The creation of a
// PediaCluster is told when it is done.
func (a *announcer) phaseChanged(lifecycle *policyv1alpha1.PediaClusterLifecycle, now policyv1alpha1.PediaClusterLifecycleStatus) {
	before := meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady)
	ready := meta.FindStatusCondition(now.Conditions, policyv1alpha1.LifecycleReady)
	if ready == nil || before != nil && before.Status == ready.Status && before.Reason == ready.Reason {
		return
	}
	change := announcement{
		regarding: []*corev1.ObjectReference{referenceToLifecycle(lifecycle)},
		eventType: corev1.EventTypeNormal, reason: ready.Reason, action: "Import", note: ready.Message,
		name: lifecycle.Name,
	}
	switch now.Phase {
	case policyv1alpha1.LifecycleWaiting:
		change.plural = "lifecycles began to wait"
	case policyv1alpha1.LifecycleConflict:
		change.eventType, change.plural = corev1.EventTypeWarning, "lifecycles met a conflict"
	case policyv1alpha1.LifecycleHeld:
		change.eventType, change.plural = corev1.EventTypeWarning, "lifecycles are held"
	case policyv1alpha1.LifecycleFailed:
		change.eventType, change.plural = corev1.EventTypeWarning, "lifecycles failed"
	case policyv1alpha1.LifecycleImported:
		if before == nil || before.Status == metav1.ConditionUnknown || createdNow(lifecycle.Status, now) {
			return
		}
		change.reason, change.plural = eventImported, "lifecycles are imported again"
	default:
		return
	}
	a.announce(referenceToPolicyOf(lifecycle), change)
}

// createdNow reports whether the PediaCluster was created between the two.
func createdNow(before, now policyv1alpha1.PediaClusterLifecycleStatus) bool {
	created := meta.FindStatusCondition(now.Conditions, policyv1alpha1.LifecycleCreated)
	return !decision.IsCreated(before) && created != nil && created.Reason == policyv1alpha1.ReasonCreated
}

// failed tells of a Source without a lifecycle on its policy.
func (a *announcer) failed(state *policyState, i memory.Import, f failure) {
	name := cache.NewObjectName(i.Namespace, i.Name).String()
	policy := referenceToPolicy(state.policy)
	a.announce(policy, announcement{
		regarding: []*corev1.ObjectReference{policy},
		related: &corev1.ObjectReference{APIVersion: state.source.GroupVersion().String(),
			Namespace: i.Namespace, Name: i.Name},
		eventType: corev1.EventTypeWarning, reason: f.reason, action: "Import", note: "Source " + name + ": " + f.message,
		name: name, plural: "Sources failed or met a conflict",
	})
}

// pruneHeld tells on the policy that removals begin to be held. It is for a
// person to decide, and is never summed up.
func (a *announcer) pruneHeld(policy *policyv1alpha1.ClusterImportPolicy, prune pruning) {
	if known := policy.Status.Prune; prune.held == 0 || known != nil && known.Held > 0 && known.Plan == prune.plan {
		return
	}
	for _, condition := range prune.conditions(policy) {
		a.record(announcement{regarding: []*corev1.ObjectReference{referenceToPolicy(policy)},
			eventType: corev1.EventTypeWarning, reason: condition.Reason, action: "Prune", note: condition.Message})
	}
}

// rolloutHalted tells on the policy that its rollout halts. It is for a person to mend, and is
// never summed up.
func (a *announcer) rolloutHalted(policy *policyv1alpha1.ClusterImportPolicy, rollout *decision.RolloutDecision) {
	if rollout == nil || rollout.Halted == "" {
		return
	}
	known := meta.FindStatusCondition(policy.Status.Conditions, policyv1alpha1.PolicyRolloutHalted)
	for _, condition := range rollout.Conditions {
		if condition.Type == policyv1alpha1.PolicyRolloutHalted && (known == nil || known.Status != condition.Status || known.Reason != condition.Reason) {
			a.record(announcement{regarding: []*corev1.ObjectReference{referenceToPolicy(policy)},
				eventType: corev1.EventTypeWarning, reason: condition.Reason, action: "RollOut", note: condition.Message})
		}
	}
}

func referenceTo(object metav1.Object, apiVersion, kind string) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: apiVersion, Kind: kind, Name: object.GetName(), UID: object.GetUID(),
		ResourceVersion: object.GetResourceVersion()}
}

func referenceToPolicy(policy *policyv1alpha1.ClusterImportPolicy) *corev1.ObjectReference {
	return referenceTo(policy, policyv1alpha1.SchemeGroupVersion.String(), "ClusterImportPolicy")
}

func referenceToLifecycle(lifecycle *policyv1alpha1.PediaClusterLifecycle) *corev1.ObjectReference {
	return referenceTo(lifecycle, policyv1alpha1.SchemeGroupVersion.String(), "PediaClusterLifecycle")
}

func referenceToPediaCluster(pediaCluster *unstructured.Unstructured) *corev1.ObjectReference {
	return referenceTo(pediaCluster, render.PediaClusterGVR.GroupVersion().String(), "PediaCluster")
}

// referenceToPolicyOf refers to the policy of a lifecycle, which may be gone.
func referenceToPolicyOf(lifecycle *policyv1alpha1.PediaClusterLifecycle) *corev1.ObjectReference {
	owner := policyv1alpha1.ControllingPolicy(lifecycle)
	return &corev1.ObjectReference{APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "ClusterImportPolicy", Name: owner.Name, UID: owner.UID}
}
