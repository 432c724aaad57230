package controller

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// This file has an edit of a policy with spec.rollout reach its imports in turns. pkg/decision
// says who is next, from what lifecycles record. What is remembered here is lost with the
// leader, and found again by the first pass over each import.

// rollouts remembers what the imports record of policies with a rollout. A policy without one
// costs nothing.
type rollouts struct {
	mu       sync.Mutex
	policies map[string]*policyRollout
	// unknown are policies whose lifecycles have to be looked through.
	unknown map[string]bool
}

// policyRollout is what is remembered of one policy.
type policyRollout struct {
	members map[memory.Import]*rolloutMember
	// changed is set when a member has changed since it was last decided, at decidedAt, about
	// that generation.
	changed    bool
	decidedAt  time.Time
	generation int64
	latest     decision.RolloutDecision
	// open counts the members that were open when it was decided, and closed those that no longer
	// are.
	open, closed int
}

// rolloutMember is an import as its last pass left it.
type rolloutMember struct {
	decision.Member
	// generation is that of the policy that the pass was made under.
	generation int64
	// allowed is what the import may take, the zero value for nothing.
	allowed allowance
}

// allowance is the permission to take a revision. It ends with the generation of the policy that
// it was decided under: an edit may have paused the rollout, or have other canaries.
type allowance struct {
	revision   string
	generation int64
}

func newRollouts() *rollouts {
	return &rollouts{policies: map[string]*policyRollout{}, unknown: map[string]bool{}}
}

// rolloutPeriod is the least time between two decisions about who is next: one costs
// work for every import of the policy, and what is verified meanwhile is decided together.
const rolloutPeriod = 100 * time.Millisecond

// roomShare is how many of the open imports, one of that many, are verified before it is decided
// again who is next. With fewer it is decided after statusDelay.
const roomShare = 4

// report says what an import records after a pass under that generation of its policy; nil
// when nothing is left of it. It returns after how long it is to be decided who is next, 0 unless
// the import has made room for another one.
func (r *rollouts) report(i memory.Import, generation int64, now *decision.Member) (after time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.policies[i.Policy]
	if !ok {
		p = &policyRollout{members: map[memory.Import]*rolloutMember{}}
		r.policies[i.Policy] = p
	}
	m := p.members[i]
	wasOpen := m.isOpen()
	switch {
	case now == nil:
		p.changed = p.changed || m != nil
		delete(p.members, i)
		return p.close(wasOpen)
	case m == nil:
		m = &rolloutMember{}
		p.members[i] = m
	}
	p.changed = p.changed || m.generation != generation || !equality.Semantic.DeepEqual(m.Member, *now)
	m.Member, m.generation = *now, generation
	if !now.Waits {
		m.allowed = allowance{} // it has taken it, or cannot now
	}
	after = p.close(wasOpen && !m.isOpen())
	if after > 0 && now.Record.State == policyv1alpha1.RolloutFailed {
		return rolloutPeriod // it may halt
	}
	return after
}

// close counts a member that no longer is open.
func (p *policyRollout) close(closed bool) (after time.Duration) {
	if !closed {
		return 0
	}
	if p.closed++; p.closed*roomShare >= p.open {
		return rolloutPeriod
	}
	return statusDelay
}

// isOpen reports whether the member has taken a revision that is not verified, or may take one.
func (m *rolloutMember) isOpen() bool {
	return m != nil && (m.allowed != allowance{} || m.Record.State == policyv1alpha1.RolloutUnverified)
}

// hasReported reports whether it is known what the import records, under that generation of the
// policy.
func (r *rollouts) hasReported(i memory.Import, generation int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.policies[i.Policy]
	return ok && p.members[i] != nil && p.members[i].generation == generation
}

// keep forgets all but these imports of a policy: nobody reports of what is left of no import.
func (r *rollouts) keep(policy string, imports map[memory.Import]struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.policies[policy]; ok {
		before := len(p.members)
		maps.DeleteFunc(p.members, func(i memory.Import, _ *rolloutMember) bool { _, is := imports[i]; return !is })
		p.changed = p.changed || len(p.members) != before
	}
}

// mayTake reports whether it is the import's turn to take the revision, under that generation of
// the policy.
func (r *rollouts) mayTake(i memory.Import, revision string, generation int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.policies[i.Policy]
	return ok && p.members[i] != nil && p.members[i].allowed == allowance{revision, generation}
}

// setUnknown says that a lifecycle of the policy records what nobody has looked up.
func (r *rollouts) setUnknown(policy string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unknown[policy] = true
}

// takeUnknown reports whether one does, once.
func (r *rollouts) takeUnknown(policy string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer delete(r.unknown, policy)
	return r.unknown[policy]
}

// forget forgets a policy.
func (r *rollouts) forget(policy string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.policies, policy)
	delete(r.unknown, policy)
}

// decide decides who is next, at most once in rolloutPeriod, and returns who may take the revision
// now. It is not ok until every import has reported under the policy as it is now. After
// again, unless that is 0, it has to be decided anew.
func (r *rollouts) decide(rollout decision.Rollout, generation int64) (decided decision.RolloutDecision, next []memory.Import, again time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.policies[rollout.Policy]
	if !known {
		return rollout.Decide(nil), nil, 0, true
	}
	if p.generation == generation {
		if remaining := rolloutPeriod - rollout.Now.Sub(p.decidedAt); remaining > 0 {
			return p.latest, nil, remaining, true
		}
		if remaining := p.latest.Again - rollout.Now.Sub(p.decidedAt); !p.changed && (p.latest.Again == 0 || remaining > 0) {
			return p.latest, nil, max(0, remaining), true // whoever asks may have brought the time forward
		}
	}
	imports, members, ok := p.list(rollout.Revision, generation)
	if !ok {
		return decided, nil, 0, false
	}
	decided = rollout.Decide(members)
	for _, m := range p.members {
		if decided.Halted != "" || m.allowed.generation != generation { // for those, too, that have not taken it yet
			m.allowed = allowance{}
		}
	}
	for _, at := range decided.Next {
		p.members[imports[at]].allowed = allowance{rollout.Revision, generation}
		next = append(next, imports[at])
	}
	decided.Next = nil
	p.latest, p.decidedAt, p.generation, p.changed = decided, rollout.Now, generation, false
	p.open, p.closed = 0, 0
	for _, m := range p.members {
		if m.isOpen() {
			p.open++
		}
	}
	return decided, next, decided.Again, true
}

// list are the imports of a policy and what they record. It is not ok while one has not
// reported under the policy as it is now.
func (p *policyRollout) list(revision string, generation int64) (imports []memory.Import, members []decision.Member, ok bool) {
	imports, members = make([]memory.Import, 0, len(p.members)), make([]decision.Member, 0, len(p.members))
	for i, m := range p.members {
		if m.generation != generation {
			return nil, nil, false
		}
		member := m.Member
		member.Allowed = m.Waits && m.allowed == allowance{revision, generation}
		imports, members = append(imports, i), append(members, member)
	}
	return imports, members, true
}

// decideRollout decides who is next under a policy, and has those worked on. It is nil
// while that cannot be decided, and without a rollout.
func (c *policyController) decideRollout(state *policyState, decidable bool) *decision.RolloutDecision {
	policy := state.policy
	if policy.Spec.Rollout == nil {
		c.rollouts.forget(policy.Name)
		return nil
	}
	if !decidable {
		return nil
	}
	decided, next, again, ok := c.rollouts.decide(decision.Rollout{Policy: policy.Name, Spec: policy.Spec.Rollout,
		Revision: state.revision, Known: policy.Status.Rollout, Now: time.Now()}, policy.Generation)
	if !ok {
		return nil
	}
	for _, i := range next {
		c.enqueueInBulk(i)
	}
	if again > 0 {
		c.queue.AddAfter(policy.Name, again)
	}
	return &decided
}

// converter is what an import is converted by.
type converter struct {
	compiled   *render.Policy
	references []referenceType
}

// versions are the negotiated versions of the references, in their order.
func (c converter) versions() []string {
	versions := make([]string, len(c.references))
	for i, ref := range c.references {
		versions[i] = ref.Version
	}
	return versions
}

// types identifies the types of the references, as the host serves them.
func (c converter) types() uint64 {
	var hash maphash.Hash
	hash.SetSeed(typesSeed)
	for _, ref := range c.references {
		maphash.WriteComparable(&hash, ref)
	}
	return hash.Sum64()
}

var typesSeed = maphash.MakeSeed()

// recordedConversion is what imports live by that have another revision than the newest, until
// it is their turn. It is compiled once for all imports that record it, and dropped when none
// does any more.
type recordedConversion struct {
	converter
	revision decision.Revision
	hash     string
	// spec is that of one of the lifecycles. deletionCondition is no part of the revision.
	spec *policyv1alpha1.PediaClusterLifecycleSpec
	// unusable is why it cannot be used, nil when it can.
	unusable *decision.Reason
}

// maxRecorded is how many of them are kept for one policy, so that however many edits are
// broken off take bounded memory. Whoever records another one keeps what exists, and goes
// first. Imports take an edit in a fixed order, so that there are hardly ever three.
const maxRecorded = 16

func (r *recordedConversion) isOf(spec *policyv1alpha1.PediaClusterLifecycleSpec) bool {
	return r.spec.DeletionCondition == spec.DeletionCondition && r.revision.IsOf(spec)
}

// recordedBy is what a lifecycle with that spec lives by, nil when that is not known yet.
func (s *policyState) recordedBy(spec *policyv1alpha1.PediaClusterLifecycleSpec) *recordedConversion {
	for _, r := range s.recorded {
		if r.isOf(spec) {
			return r
		}
	}
	return nil
}

// resolveRollout finds the newest revision, and what imports live by until it is their turn.
// Lifecycles are looked through when the policy has changed, and from time to time as long as some
// record another revision.
func (c *policyController) resolveRollout(state, before *policyState) {
	policy := state.policy
	if policy.Spec.Rollout == nil || state.compiled == nil {
		return
	}
	state.newest = decision.RevisionOfPolicy(&policy.Spec)
	unknown := c.rollouts.takeUnknown(policy.Name)
	if before == nil || before.policy.UID != policy.UID || before.policy.Generation != policy.Generation {
		state.revision = state.newest.Hash()
		c.lookThrough(state, nil)
		return
	}
	state.revision = before.revision
	switch {
	case unknown || len(before.recorded) > 0 && time.Since(before.lookedThrough) >= statusDelay:
		c.lookThrough(state, before.recorded)
	case len(before.recorded) > 0:
		state.lookedThrough = before.lookedThrough
		for _, r := range before.recorded {
			state.recorded = append(state.recorded, c.resolveRecorded(state, r.spec, r))
		}
		c.queue.AddAfter(policy.Name, statusDelay)
	}
}

// lookThrough finds the revisions that lifecycles of a policy record besides the newest. Of those
// that are known nothing is compiled again.
func (c *policyController) lookThrough(state *policyState, known []*recordedConversion) {
	state.lookedThrough = time.Now()
	for _, lifecycle := range c.store.OfPolicy(state.policy.Name) {
		spec := &lifecycle.Spec
		if state.newest.IsOf(spec) || state.recordedBy(spec) != nil {
			continue
		}
		var before *recordedConversion
		if at := slices.IndexFunc(known, func(r *recordedConversion) bool { return r.isOf(spec) }); at >= 0 {
			before = known[at]
		}
		state.recorded = append(state.recorded, c.resolveRecorded(state, spec, before))
	}
}

// resolveRecorded compiles what a lifecycle records, unless that was done before, and
// negotiates the versions of its types.
func (c *policyController) resolveRecorded(state *policyState, spec *policyv1alpha1.PediaClusterLifecycleSpec, before *recordedConversion) *recordedConversion {
	r := &recordedConversion{revision: decision.RevisionOfLifecycle(spec), spec: spec}
	if before != nil {
		r.hash, r.compiled = before.hash, before.compiled
	} else {
		r.hash = r.revision.Hash()
	}
	if len(state.recorded) >= maxRecorded {
		r.unusable = unusableReason(policyv1alpha1.LifecycleFailed, policyv1alpha1.ReasonTemplateFailed, "too many edits have not reached all imports")
		return r
	}
	if r.compiled == nil {
		recorded := state.policy.Spec.DeepCopy()
		recorded.Template, recorded.CreationCondition, recorded.DeletionCondition = spec.Template, spec.CreationCondition, spec.DeletionCondition
		recorded.References = nil
		for _, ref := range spec.References {
			recorded.References = append(recorded.References, policyv1alpha1.ReferenceTemplate{ReferenceTarget: ref.ReferenceTarget})
		}
		compiled, errs := render.Compile(recorded)
		if len(errs) > 0 {
			r.unusable = unusableReason(policyv1alpha1.LifecycleFailed, policyv1alpha1.ReasonTemplateFailed, errs.ToAggregate().Error())
			return r
		}
		r.compiled = compiled
	}
	for _, ref := range spec.References {
		resource := schema.GroupResource{Group: ref.Group, Resource: ref.Resource}
		resolved, err := c.types.Resolve(resource, []string{ref.Version})
		if err != nil { // other versions are no edit
			resolved, err = c.types.Resolve(resource, nil)
		}
		if err != nil {
			r.unusable = unusableReason(policyv1alpha1.LifecycleWaiting, policyv1alpha1.ReasonWaitingForType, err.Error())
			return r
		}
		r.references = append(r.references, newReferenceType(resolved))
	}
	return r
}

// unusableReason is why an import cannot be worked on by the revision that it has.
func unusableReason(phase policyv1alpha1.LifecyclePhase, reason, message string) *decision.Reason {
	return &decision.Reason{Phase: phase, Reason: reason, Message: "the revision that this import has cannot be used (" + message +
		"): the PediaCluster stays as it is until it is the import's turn to take the newest one"}
}

// recordedChanged reports whether what imports live by can be used in another way than before.
func recordedChanged(before, now *policyState) bool {
	for _, r := range now.recorded {
		for _, known := range before.recorded {
			if known.hash == r.hash && known.spec.DeletionCondition == r.spec.DeletionCondition &&
				((known.unusable == nil) != (r.unusable == nil) || !slices.Equal(known.references, r.references)) {
				return true
			}
		}
	}
	return false
}

// recordedKinds are what is watched for recorded conversions alone.
func (s *policyState) recordedKinds() (kinds []hostobjects.Kind) {
	for _, r := range s.recorded {
		for _, ref := range r.references {
			kinds = append(kinds, ref.kind)
		}
	}
	return kinds
}

// setRolloutStatus sets how far the newest revision of a policy has come, and returns the conditions
// that show it. While that is not decided, the status stays as it is.
func setRolloutStatus(status *policyv1alpha1.ClusterImportPolicyStatus, policy *policyv1alpha1.ClusterImportPolicy, rollout *decision.RolloutDecision) []metav1.Condition {
	switch {
	case policy.Spec.Rollout == nil:
		status.Rollout = nil
		meta.RemoveStatusCondition(&status.Conditions, policyv1alpha1.PolicyRollingOut)
		meta.RemoveStatusCondition(&status.Conditions, policyv1alpha1.PolicyRolloutHalted)
		return nil
	case rollout == nil:
		return nil
	default:
		status.Rollout = rollout.Status.DeepCopy()
		return rollout.Conditions
	}
}

// reflectRollout has a policy that is otherwise ready show that imports still have a former
// revision, or are not verified.
func reflectRollout(ready, reconciling *metav1.Condition, rollout *decision.RolloutDecision) {
	rolling := rollout.Conditions[0]
	if former := rollout.Status.Updated < rollout.Status.Total; ready.Status == metav1.ConditionTrue && (former || rollout.RollingOut) {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, rolling.Reason, rolling.Message
	}
	if rollout.RollingOut && reconciling.Status == metav1.ConditionFalse {
		reconciling.Status, reconciling.Reason, reconciling.Message = metav1.ConditionTrue, rolling.Reason, rolling.Message
	}
}
