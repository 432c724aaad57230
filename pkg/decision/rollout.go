package decision

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// Rollout decides which imports of a policy take its newest revision next. It is made from
// what lifecycles record, so that it does not matter who decides, nor how often.
type Rollout struct {
	// Policy is the name of the policy, and Spec its spec.rollout.
	Policy string
	Spec   *policyv1alpha1.Rollout
	// Revision is the newest one.
	Revision string
	// Known is what the status of the policy says, nil for nothing.
	Known *policyv1alpha1.RolloutStatus
	Now   time.Time
}

// Member is what a rollout knows of one import.
type Member struct {
	// Name is that of its lifecycle.
	Name string
	// Canary is set when spec.rollout.first selects its Source.
	Canary bool
	// Record is what the lifecycle records.
	Record Record
	// Waits is set when it could take the newest revision now, and has another one. One
	// that is paused, or whose removal is held, does not wait.
	Waits bool
	// Allowed is set when it may take the newest revision, and is about to.
	Allowed bool
	// Unusable is set when it cannot be worked on by the revision that it has.
	Unusable bool
	// Created is set when its PediaCluster exists, and Ready is what is known of its cluster.
	Created bool
	Ready   string
}

// RolloutDecision is what was decided about a rollout.
type RolloutDecision struct {
	// Next are the members that may take the newest revision, by their index.
	Next []int
	// Status and Conditions are for the status of the policy.
	Status     policyv1alpha1.RolloutStatus
	Conditions []metav1.Condition
	// Halted is why nothing takes the newest revision, empty when it is not halted; it is the
	// reason of the condition.
	Halted string
	// RollingOut is set while imports take the newest revision.
	RollingOut bool
	// Advice is what whoever watches should know, empty for nothing.
	Advice string
	// Again is after how long to decide again though nothing changes; 0 for never.
	Again time.Duration
}

const (
	// maxNamed is how many failures a condition names, and maxOpen how many imports that are
	// not verified yet.
	maxNamed = 10
	maxOpen  = 3
)

// fleetState is what the members are together.
type fleetState struct {
	// broken failed, or are not verified, with another revision than the newest, and wait.
	// canaries and others wait as well.
	broken, canaries, others []int
	// failed are the members that failed with the newest revision.
	failed []int
	// open are the imports that take a revision or may still fail.
	open []int
	// selected counts the canaries, idleCanaries those of them that neither have the newest
	// revision nor can take it now, and openCanaries those that have it and are not verified.
	selected, idleCanaries, openCanaries int
	// readyCanaries are those whose cluster is ready, or was before it took the revision.
	failedCanaries, readyCanaries int
	// created counts the PediaClusters, and judged those of clusters of which somebody says
	// whether they are ready.
	created, judged int
	status          policyv1alpha1.RolloutStatus
	deadline        time.Time
}

// Decide decides which members take the newest revision next.
func (r Rollout) Decide(members []Member) RolloutDecision {
	state := r.sum(members)
	decided := RolloutDecision{Status: state.status}
	waiting := len(state.broken) + len(state.canaries) + len(state.others)
	decided.Halted = r.halted(state, waiting)
	if decided.Halted == "" && !r.Spec.Paused {
		decided.Next = r.next(members, state)
	}
	former, unverified := state.status.Total > state.status.Updated, state.status.Updated > state.status.Verified+state.status.Failed
	decided.Status.StartTime = r.startTime(former || unverified)
	if r.Spec.Verify == policyv1alpha1.VerifyClusterReady && state.selected > 0 && state.readyCanaries == 0 && state.created > 0 {
		decided.Advice = "the cluster of no canary is known to be ready: they can only verify that the host accepts the edit"
	}
	decided.RollingOut = decided.Halted == "" && (unverified || former && !r.Spec.Paused)
	decided.Conditions = r.conditions(members, state, decided)
	if !state.deadline.IsZero() {
		decided.Again = max(time.Second, state.deadline.Sub(r.Now))
	}
	return decided
}

// sum is what the members are together.
func (r Rollout) sum(members []Member) (state fleetState) {
	state.status.Revision = r.Revision
	for i := range members {
		m := &members[i]
		failed, unverified := r.judge(m, &state)
		if unverified || m.Allowed {
			state.open = append(state.open, i)
		}
		state.count(m)
		if m.Record.Revision == r.Revision {
			state.addUpdated(i, m, failed, unverified)
		} else {
			state.addFormer(i, m, failed || unverified)
		}
	}
	return state
}

// judge says whether a member has failed, or may still fail, and notes the first
// deadline. One that cannot be worked on meanwhile cannot record that its time is over.
func (r Rollout) judge(m *Member, state *fleetState) (failed, unverified bool) {
	if m.Record.State != policyv1alpha1.RolloutUnverified {
		return m.Record.State == policyv1alpha1.RolloutFailed, false
	}
	deadline := Deadline(m.Record, r.Spec)
	if !r.Now.Before(deadline) {
		return true, false
	}
	if state.deadline.IsZero() || deadline.Before(state.deadline) {
		state.deadline = deadline
	}
	return false, true
}

// count counts what a member has, whatever its revision.
func (s *fleetState) count(m *Member) {
	if m.Canary {
		s.selected++
		wasReady := m.Record.Revision == s.status.Revision && m.Record.Before == policyv1alpha1.BeforeClusterReady
		if wasReady || m.Ready == string(metav1.ConditionTrue) {
			s.readyCanaries++
		}
	}
	if m.Created {
		s.created++
	}
	// Of one that was just written nobody may have said it again yet.
	written := m.Record.State == policyv1alpha1.RolloutUnverified && m.Record.Before == policyv1alpha1.BeforeClusterReady
	if written || m.Ready == string(metav1.ConditionTrue) || m.Ready == string(metav1.ConditionFalse) {
		s.judged++
	}
}

// addUpdated adds a member that has the newest revision.
func (s *fleetState) addUpdated(i int, m *Member, failed, unverified bool) {
	s.status.Total++
	s.status.Updated++
	switch {
	case failed:
		s.status.Failed++
		s.failed = append(s.failed, i)
		if m.Canary {
			s.failedCanaries++
		}
	case unverified:
		if m.Canary {
			s.openCanaries++
		}
	default:
		s.status.Verified++
	}
}

// addFormer adds a member that has another revision.
func (s *fleetState) addFormer(i int, m *Member, broken bool) {
	if m.Waits || m.Allowed {
		s.status.Total++
	} else if m.Canary {
		s.idleCanaries++
	}
	switch {
	case m.Allowed && m.Canary:
		s.openCanaries++
	case m.Allowed || !m.Waits:
	case broken:
		s.broken = append(s.broken, i)
	case m.Canary:
		s.canaries = append(s.canaries, i)
	default:
		s.others = append(s.others, i)
	}
}

// next are the members that take the newest revision now: the broken without a slot of their
// own, then canaries, and when those are verified the others, as far as there is room.
func (r Rollout) next(members []Member, state fleetState) (next []int) {
	next = slices.Clone(state.broken)
	unverified := len(state.open)
	for _, i := range state.broken {
		if members[i].Record.State == policyv1alpha1.RolloutFailed || !r.Now.Before(Deadline(members[i].Record, r.Spec)) {
			unverified++ // the others count already
		}
		if members[i].Canary {
			state.openCanaries++
		}
	}
	candidates := state.canaries
	if len(candidates) == 0 && state.openCanaries == 0 {
		candidates = state.others
	}
	inOrder(members, candidates)
	room := max(0, r.maxConcurrent(int(state.status.Total))-unverified)
	return append(next, candidates[:min(room, len(candidates))]...)
}

// inOrder brings members of one stage into the order in which they take a revision: what cannot
// be worked on as it is first, and the others by chance, but always the same.
func inOrder(members []Member, stage []int) {
	type placed struct {
		unusable bool
		place    uint64
		index    int
	}
	order := make([]placed, len(stage))
	for at, i := range stage {
		order[at] = placed{unusable: members[i].Unusable, place: place(members[i].Name), index: i}
	}
	slices.SortFunc(order, func(a, b placed) int {
		switch {
		case a.unusable != b.unusable && a.unusable:
			return -1
		case a.unusable != b.unusable:
			return 1
		case a.place != b.place:
			return cmp.Compare(a.place, b.place)
		default:
			return cmp.Compare(members[a.index].Name, members[b.index].Name)
		}
	})
	for at := range order {
		stage[at] = order[at].index
	}
}

// place is where a member stands in the order. Clusters whose names are alike are often of one
// kind, and do not follow each other: each bit of the place depends on all of the name.
func place(name string) uint64 {
	hash := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(hash[:])
}

// maxConcurrent is how many imports may be unverified at a time.
func (r Rollout) maxConcurrent(total int) int { return max(1, share(r.Spec.MaxConcurrent, total)) }

// maxFailures is how many imports may fail.
func (r Rollout) maxFailures(total int) int { return share(r.Spec.MaxFailures, total) }

func share(of *intstr.IntOrString, total int) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(of, total, false)
	if err != nil {
		return 0
	}
	return n
}

// halted is why nothing takes the newest revision, empty when it is not halted.
func (r Rollout) halted(state fleetState, waiting int) string {
	switch {
	case state.failedCanaries > 0, len(state.failed) > r.maxFailures(int(state.status.Total)):
		return policyv1alpha1.ReasonRolloutFailed
	case waiting == 0:
		return ""
	case r.Spec.First != nil && state.selected == state.idleCanaries:
		return policyv1alpha1.ReasonNoCanaries
	case r.Spec.Verify == policyv1alpha1.VerifyClusterReady && state.created > 0 && state.judged == 0:
		return policyv1alpha1.ReasonReadinessUnknown
	default:
		return ""
	}
}

// startTime is when the rollout of the newest revision began, nil when there was none.
func (r Rollout) startTime(open bool) *metav1.Time {
	if r.Known != nil && r.Known.Revision == r.Revision && r.Known.StartTime != nil {
		return r.Known.StartTime
	}
	if !open {
		return nil
	}
	return timestamp(r.Now)
}

func (r Rollout) conditions(members []Member, state fleetState, decided RolloutDecision) []metav1.Condition {
	rolling := metav1.Condition{Type: policyv1alpha1.PolicyRollingOut, Status: metav1.ConditionFalse}
	switch {
	case decided.Halted != "":
		rolling.Reason = decided.Halted
	case decided.RollingOut:
		rolling.Status, rolling.Reason = metav1.ConditionTrue, policyv1alpha1.ReasonRollingOut
	case r.Spec.Paused && decided.Status.Total > decided.Status.Updated:
		rolling.Reason = policyv1alpha1.ReasonRolloutPaused
	default:
		rolling.Reason = policyv1alpha1.ReasonRolledOut
	}
	rolling.Message = fmt.Sprintf("%d of %d imports have revision %s; verified: %d, failed: %d",
		decided.Status.Updated, decided.Status.Total, r.Revision, decided.Status.Verified, decided.Status.Failed)
	switch {
	case rolling.Reason == policyv1alpha1.ReasonRolloutPaused:
		rolling.Message += "; no further import is updated while spec.rollout.paused is true"
	case len(state.open) > 0:
		rolling.Message += "; to be verified: " + list(members, byName(members, state.open), maxOpen, nameOf)
	}
	if decided.RollingOut && decided.Advice != "" {
		rolling.Message += "; " + decided.Advice
	}
	halted := metav1.Condition{Type: policyv1alpha1.PolicyRolloutHalted, Status: metav1.ConditionFalse,
		Reason: policyv1alpha1.ReasonNotHalted, Message: "the rollout is not halted"}
	if decided.Halted != "" {
		halted.Status, halted.Reason, halted.Message = metav1.ConditionTrue, decided.Halted, r.explain(members, state, decided.Halted)
	}
	return []metav1.Condition{rolling, halted}
}

// explain says why the rollout is halted, and what to do.
func (r Rollout) explain(members []Member, state fleetState, reason string) string {
	switch reason {
	case policyv1alpha1.ReasonNoCanaries:
		if state.selected > 0 {
			return fmt.Sprintf("none of the imports that spec.rollout.first selects (%d) can be updated to the newest revision, and no other import is updated before a canary is verified: "+
				"they are paused or held, or could not be reconciled; resume one, or have the selector select others", state.selected)
		}
		return "spec.rollout.first selects no Source of an import, and no other import is updated before a canary is verified: correct the selector, or remove it"
	case policyv1alpha1.ReasonReadinessUnknown:
		return "spec.rollout.verify is ClusterReady, but the readiness of no cluster is known: run Clusterpedia, start the server with --probe-clusters, or set verify to Written"
	}
	why := fmt.Sprintf("more than maxFailures (%s)", r.Spec.MaxFailures)
	remedy := "revert or correct the edit, which updates these first, or raise spec.rollout.maxFailures"
	if state.failedCanaries > 0 {
		why, remedy = "canaries among them", "revert or correct the edit, which updates these first"
	}
	failures := list(members, byName(members, state.failed), maxNamed, func(m *Member) string {
		return fmt.Sprintf("%s (%s)", m.Name, render.Bounded(cmp.Or(m.Record.Message, "not verified in time"), 64))
	})
	// What to do comes first: names may be long, and the end is cut off.
	return fmt.Sprintf("imports failed with revision %s (%d, %s), and no further import is updated: %s. Failed: %s",
		r.Revision, len(state.failed), why, remedy, failures)
}

// byName are these members in the order of their names.
func byName(members []Member, which []int) []int {
	slices.SortFunc(which, func(a, b int) int { return cmp.Compare(members[a].Name, members[b].Name) })
	return which
}

func nameOf(m *Member) string { return m.Name }

// list is a text about the first of these members.
func list(members []Member, which []int, most int, text func(*Member) string) string {
	var texts []string
	for _, i := range which[:min(most, len(which))] {
		texts = append(texts, text(&members[i]))
	}
	if len(which) > most {
		texts = append(texts, "…")
	}
	return strings.Join(texts, ", ")
}
