package controller

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// maxListedFailures is how many failures a policy's status lists: it stays readable,
// and bounded however large the fleet is.
const maxListedFailures = 10

// maxFailureMessage is how many bytes of a message it repeats.
const maxFailureMessage = 512

// importResult is what became of an import, for the policy's status.
type importResult struct {
	phase   policyv1alpha1.LifecyclePhase
	created bool // the PediaCluster exists
	owned   bool // and was made for this import
	// waits says what the deletion of a lifecycle waits for.
	waits string
	// failure is why the import failed or met a conflict, nil when it did not.
	failure *failure
}

type failure struct {
	reason, message string
}

// newImportResult is the result of an import that is in that phase for that reason.
func newImportResult(phase policyv1alpha1.LifecyclePhase, created bool, reason, message string) *importResult {
	result := &importResult{phase: phase, created: created}
	if phase == policyv1alpha1.LifecycleFailed || phase == policyv1alpha1.LifecycleConflict {
		result.failure = &failure{reason: reason, message: render.Bounded(message, maxFailureMessage)}
	}
	if phase == policyv1alpha1.LifecycleDeleting {
		result.waits = render.Bounded(message, maxFailureMessage)
	}
	return result
}

// resultOf is the result that the status of a lifecycle shows.
func resultOf(status policyv1alpha1.PediaClusterLifecycleStatus) *importResult {
	var reason, message string
	if ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.LifecycleReady); ready != nil {
		reason, message = ready.Reason, ready.Message
	}
	result := newImportResult(status.Phase, decision.IsCreated(status), reason, message)
	result.owned = result.created && meta.FindStatusCondition(status.Conditions, policyv1alpha1.LifecycleCreated).Reason == policyv1alpha1.ReasonCreated
	return result
}

// policySummaries count the imports of each policy as they change, so that a policy's
// status never takes a pass over its imports.
type policySummaries struct {
	mu       sync.Mutex
	policies map[string]*policySummary
}

type policySummary struct {
	results  map[memory.Import]importResult
	counts   policyv1alpha1.ImportCounts
	owned    int // PediaClusters that were made for these imports
	failures map[memory.Import]failure
	// outstanding are the imports that have not been worked on since the policy or its
	// types changed.
	outstanding map[memory.Import]struct{}
	// complete is set once every import has been worked on.
	complete bool
}

func newPolicySummaries() *policySummaries {
	return &policySummaries{policies: map[string]*policySummary{}}
}

func (s *policySummaries) of(policy string) *policySummary {
	p, ok := s.policies[policy]
	if !ok {
		p = &policySummary{
			results:     map[memory.Import]importResult{},
			failures:    map[memory.Import]failure{},
			outstanding: map[memory.Import]struct{}{},
		}
		s.policies[policy] = p
	}
	return p
}

func (s *policySummaries) forget(policy string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.policies, policy)
}

// begin starts a pass over all imports of a policy.
func (s *policySummaries) begin(policy string, imports map[memory.Import]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.of(policy)
	for i := range p.results {
		// What no longer has a Source nor a lifecycle counts no more.
		if _, ok := imports[i]; !ok {
			p.set(i, nil)
			delete(p.failures, i)
		}
	}
	p.outstanding = maps.Clone(imports) // who called goes on reading it
	p.complete = p.complete || len(imports) == 0
}

// expect records what becomes of an import that is left to be worked on.
func (s *policySummaries) expect(i memory.Import, result *importResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(i.Policy).set(i, result)
}

// setPhase records that imports have come into another phase. What else became of them
// stays as it was.
func (s *policySummaries) setPhase(imports []memory.Import, phase policyv1alpha1.LifecyclePhase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range imports {
		p := s.of(i.Policy)
		if before, ok := p.results[i]; ok {
			before.phase = phase
			p.set(i, &before)
		}
	}
}

// set records what became of an import, nil when nothing is left of it. It
// returns the failure if that is new, and whether the import was the last one that was
// left to be worked on.
func (s *policySummaries) set(i memory.Import, result *importResult) (news *failure, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.of(i.Policy)
	p.set(i, result)
	_, last = p.outstanding[i]
	delete(p.outstanding, i)
	last = last && len(p.outstanding) == 0
	p.complete = p.complete || len(p.outstanding) == 0
	before, had := p.failures[i]
	if result == nil || result.failure == nil {
		delete(p.failures, i)
		return nil, last
	}
	p.failures[i] = *result.failure
	if had && before.reason == result.failure.reason {
		return nil, last
	}
	return result.failure, last
}

func (p *policySummary) set(i memory.Import, result *importResult) {
	if before, ok := p.results[i]; ok {
		before.count(&p.counts, -1)
		if before.owned {
			p.owned--
		}
		delete(p.results, i)
	}
	if result != nil {
		result.count(&p.counts, 1)
		if result.owned {
			p.owned++
		}
		p.results[i] = *result
	}
}

func (r importResult) count(counts *policyv1alpha1.ImportCounts, n int32) {
	if r.failure == nil || r.failure.reason != policyv1alpha1.ReasonSelectorFailed {
		counts.Selected += n
	}
	if r.created {
		counts.Created += n
	}
	switch r.phase {
	case policyv1alpha1.LifecycleWaiting:
		counts.Waiting += n
	case policyv1alpha1.LifecycleImported:
		counts.Imported += n
	case policyv1alpha1.LifecycleHeld:
		counts.Held += n
	case policyv1alpha1.LifecycleConflict:
		counts.Conflict += n
	case policyv1alpha1.LifecycleFailed:
		counts.Failed += n
	case policyv1alpha1.LifecycleDeleting:
		counts.Deleting += n
	default:
		counts.Pending += n
	}
}

// allReconciled reports whether every import has been reconciled since the policy or its
// types changed, and how many PediaClusters were made for them.
func (s *policySummaries) allReconciled(policy string) (owned int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.of(policy)
	return p.owned, p.complete && len(p.outstanding) == 0
}

// isOutstanding reports whether the import is still to be worked on since the policy or its types
// changed.
func (s *policySummaries) isOutstanding(i memory.Import) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.policies[i.Policy]
	if !ok {
		return false
	}
	_, outstanding := p.outstanding[i]
	return outstanding
}

// status sums up a policy. It is not ok while a problem is about to pass, nor
// while the imports are being counted for the first time, if the status that is
// there speaks of the same spec: after a restart it is truer than the first new
// figures.
func (s *policySummaries) status(state *policyState, prune pruning, rollout *decision.RolloutDecision) (status policyv1alpha1.ClusterImportPolicyStatus, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.of(state.policy.Name)
	policy := state.policy
	problem := state.reason()
	incomplete, passing := problem == nil && !p.complete, problem != nil && problem.passing
	if (incomplete || passing) && policy.Status.ObservedGeneration == policy.Generation {
		return status, false
	}
	status = *policy.Status.DeepCopy()
	status.ObservedGeneration = policy.Generation
	status.SourceVersion = state.source.Version
	status.ReferenceVersions = nil
	for i, ref := range state.references {
		status.ReferenceVersions = append(status.ReferenceVersions,
			policyv1alpha1.ReferenceVersion{Key: policy.Spec.References[i].Key, Version: ref.Version})
	}
	status.Prune = prune.status()
	if p.complete || problem == nil {
		status.Counts = p.counts
		status.Failures = p.firstFailures()
	}
	conditions := append(p.conditions(state, prune, rollout), prune.conditions(policy)...)
	if state.fit != nil {
		conditions = append(conditions, *state.fit)
	}
	conditions = append(conditions, setRolloutStatus(&status, policy, rollout)...)
	for _, condition := range conditions {
		condition.ObservedGeneration = policy.Generation
		condition.Message = render.Bounded(condition.Message, render.MaxMessage)
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	return status, true
}

// firstFailures are the first few, by namespace and name of the Source.
func (p *policySummary) firstFailures() (first []policyv1alpha1.SourceFailure) {
	for i, failure := range p.failures {
		at, _ := slices.BinarySearchFunc(first, i, func(f policyv1alpha1.SourceFailure, i memory.Import) int {
			return cmp.Or(strings.Compare(f.Namespace, i.Namespace), strings.Compare(f.Name, i.Name))
		})
		if at == maxListedFailures {
			continue
		}
		first = slices.Insert(first, at, policyv1alpha1.SourceFailure{
			Namespace: i.Namespace, Name: i.Name, Reason: failure.reason, Message: failure.message})
		first = first[:min(len(first), maxListedFailures)]
	}
	return first
}

func (p *policySummary) conditions(state *policyState, prune pruning, rollout *decision.RolloutDecision) []metav1.Condition {
	validated := metav1.Condition{Type: policyv1alpha1.PolicyValidated, Status: metav1.ConditionTrue,
		Reason: policyv1alpha1.ReasonValid, Message: "the templates compile and the host serves every type they read"}
	reconciling := metav1.Condition{Type: policyv1alpha1.PolicyReconciling, Status: metav1.ConditionFalse,
		Reason: policyv1alpha1.ReasonImported, Message: "every Source has been reconciled"}
	ready := metav1.Condition{Type: policyv1alpha1.PolicyReady, Status: metav1.ConditionTrue,
		Reason: policyv1alpha1.ReasonImported, Message: p.summary()}

	shown := state.reason()
	if shown != nil {
		validated.Status, validated.Reason, validated.Message = metav1.ConditionUnknown, shown.reason, shown.message
		if shown.lasting {
			validated.Status = metav1.ConditionFalse
		}
	}
	notReady := func(reason, message string) {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, reason, message
	}
	switch {
	case state.policy.DeletionTimestamp != nil:
		notReady(policyv1alpha1.ReasonPolicyDeleted, p.deletion(state.policy))
		reconciling.Status, reconciling.Reason, reconciling.Message = metav1.ConditionTrue, ready.Reason, ready.Message
	case shown != nil:
		notReady(shown.reason, shown.message)
		reconciling.Status, reconciling.Reason, reconciling.Message = metav1.ConditionTrue, ready.Reason,
			"continues automatically when the cause is removed"
	case state.policy.Spec.Suspend:
		notReady(policyv1alpha1.ReasonSuspended, "nothing is created, changed or deleted while spec.suspend is true")
		reconciling.Reason, reconciling.Message = ready.Reason, ready.Message
	case len(p.outstanding) > 0:
		notReady(policyv1alpha1.ReasonImporting, fmt.Sprintf("%d Sources are still to be reconciled", len(p.outstanding)))
		reconciling.Status, reconciling.Reason, reconciling.Message = metav1.ConditionTrue, ready.Reason, ready.Message
	case rollout != nil && rollout.Halted != "":
		notReady(rollout.Halted, p.summary()+"; see the condition RolloutHalted")
	case prune.held > 0:
		notReady(policyv1alpha1.ReasonPruneHeld, p.summary()+"; see the condition PruneHeld")
	case len(p.failures) > 0 && p.counts.Held > 0:
		notReady(policyv1alpha1.ReasonFailures, p.summary()+"; see status.failures, and the lifecycles of this policy in the phase Held")
	case len(p.failures) > 0:
		notReady(policyv1alpha1.ReasonFailures, p.summary()+"; see status.failures and the lifecycles of this policy")
	case p.counts.Held > 0:
		notReady(policyv1alpha1.ReasonFailures, p.summary()+"; see the lifecycles of this policy in the phase Held")
	}
	if rollout != nil {
		reflectRollout(&ready, &reconciling, rollout)
	}
	return []metav1.Condition{ready, validated, reconciling}
}

func (p *policySummary) summary() string {
	c := p.counts
	return fmt.Sprintf("%d of %d selected Sources have a PediaCluster; waiting: %d, held: %d, in conflict: %d, failed: %d, being deleted: %d",
		c.Created, c.Selected, c.Waiting, c.Held, c.Conflict, c.Failed, c.Deleting)
}

// deletion says what the deletion of the policy waits for.
func (p *policySummary) deletion(policy *policyv1alpha1.ClusterImportPolicy) string {
	const message = "the policy is being deleted"
	foreign := render.ForeignFinalizers(policy.Finalizers)
	switch {
	case len(p.results) == 0 && len(foreign) > 0 && len(foreign) == len(policy.Finalizers):
		return message + ": its lifecycles are deleted, and it waits for " + render.DescribeFinalizers(foreign)
	case len(p.results) == 0:
		return message
	}
	left := fmt.Sprintf("%s, and is removed after the lifecycles of %d Sources", message, len(p.results))
	if len(p.results) == 1 {
		left = message + ", and is removed after the lifecycle of 1 Source"
	}
	var first *memory.Import
	for i, result := range p.results {
		if result.waits != "" && (first == nil || compareImports(i, *first) < 0) {
			first = &i
		}
	}
	if first == nil {
		return left
	}
	return fmt.Sprintf("%s, such as that of %s: %s", left, cache.NewObjectName(first.Namespace, first.Name), p.results[*first].waits)
}

// compareImports orders the imports of a policy by namespace and name of the Source.
func compareImports(a, b memory.Import) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// mergeResults is the result of an import with two lifecycles. Something that is held has to be
// decided by a person, and is never hidden. A failure is worse than a lifecycle that goes.
func mergeResults(main, former *importResult) *importResult {
	if main == nil || former == nil {
		return cmp.Or(main, former)
	}
	result := *main
	result.created = main.created || former.created
	result.owned = main.owned || former.owned
	switch {
	case main.phase == policyv1alpha1.LifecycleHeld:
	case former.phase == policyv1alpha1.LifecycleHeld, former.phase == policyv1alpha1.LifecycleDeleting && main.failure == nil:
		result.phase, result.waits = former.phase, former.waits
	}
	return &result
}
