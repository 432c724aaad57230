package decision

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// member has revision a, as one that was verified long ago, unless it is changed.
func member(name string, change ...func(*Member)) Member {
	m := Member{Name: name, Record: Record{Revision: "a", State: policyv1alpha1.RolloutVerified}, Waits: true, Created: true, Ready: "True"}
	for _, c := range change {
		c(&m)
	}
	return m
}

func canary(m *Member)   { m.Canary = true }
func allowed(m *Member)  { m.Allowed = true }
func idle(m *Member)     { m.Waits = false }
func unusable(m *Member) { m.Unusable = true }
func unknown(m *Member)  { m.Ready = "" }

// has gives it the revision, in that state.
func has(revision string, state policyv1alpha1.RolloutState) func(*Member) {
	return func(m *Member) {
		m.Record = Record{Revision: revision, State: state, TakenTime: at(0)}
		m.Waits = revision != "b"
		if state == policyv1alpha1.RolloutFailed {
			m.Record.Message = "refused"
		}
	}
}

func TestWhoIsNext(t *testing.T) {
	const unverified, verified, failed = policyv1alpha1.RolloutUnverified, policyv1alpha1.RolloutVerified, policyv1alpha1.RolloutFailed
	first := &policyv1alpha1.LabelSelector{MatchLabels: map[string]string{"stage": "test"}}
	cases := map[string]struct {
		rollout policyv1alpha1.Rollout
		members []Member
		after   int
		next    []string
		halted  string
	}{
		"as many as may be unverified": {
			rollout: policyv1alpha1.Rollout{MaxConcurrent: ptr.To(intstr.FromInt32(2))},
			members: []Member{member("p"), member("q"), member("r")}, next: []string{"p", "r"}},
		"at least one": {
			members: []Member{member("p"), member("q"), member("r")}, next: []string{"p"}},
		"a share of all, rounded down": {
			rollout: policyv1alpha1.Rollout{MaxConcurrent: ptr.To(intstr.FromString("70%"))},
			members: []Member{member("p"), member("q"), member("r", has("b", verified))}, next: []string{"p", "q"}},
		"not while others are unverified": {
			members: []Member{member("p"), member("q"), member("r", has("b", unverified))}},
		"nor while others are about to take it": {
			members: []Member{member("p"), member("q"), member("r", allowed)}},
		"canaries before all others": {
			rollout: policyv1alpha1.Rollout{First: first, MaxConcurrent: ptr.To(intstr.FromInt32(9))},
			members: []Member{member("p"), member("q", canary), member("r")}, next: []string{"q"}},
		"the others not while a canary is unverified": {
			rollout: policyv1alpha1.Rollout{First: first, MaxConcurrent: ptr.To(intstr.FromInt32(9))},
			members: []Member{member("p"), member("q", has("b", unverified), canary), member("r")}},
		"but then": {
			rollout: policyv1alpha1.Rollout{First: first, MaxConcurrent: ptr.To(intstr.FromInt32(9))},
			members: []Member{member("p"), member("q", has("b", verified), canary), member("r")}, next: []string{"p", "r"}},
		"a canary that cannot take it keeps nobody waiting while another is verified": {
			rollout: policyv1alpha1.Rollout{First: first},
			members: []Member{member("p"), member("q", canary, idle), member("r", canary, has("b", verified))}, next: []string{"p"}},
		"nobody when no canary can take it": {
			rollout: policyv1alpha1.Rollout{First: first},
			members: []Member{member("p"), member("q", canary, idle)}, halted: policyv1alpha1.ReasonNoCanaries},
		"nobody when the last canary vanishes after others have taken it": {
			rollout: policyv1alpha1.Rollout{First: first},
			members: []Member{member("p"), member("q", has("b", verified))}, halted: policyv1alpha1.ReasonNoCanaries},
		"nobody in a fleet of none": {
			rollout: policyv1alpha1.Rollout{First: first, Verify: policyv1alpha1.VerifyClusterReady}},
		"a failed canary halts": {
			rollout: policyv1alpha1.Rollout{First: first, MaxFailures: ptr.To(intstr.FromInt32(9))},
			members: []Member{member("p"), member("q", has("b", failed), canary)}, halted: policyv1alpha1.ReasonRolloutFailed},
		"other failures do when they are too many": {
			rollout: policyv1alpha1.Rollout{MaxFailures: ptr.To(intstr.FromInt32(1))},
			members: []Member{member("p"), member("q", has("b", failed)), member("r", has("b", failed))}, halted: policyv1alpha1.ReasonRolloutFailed},
		"and do not when they are not": {
			rollout: policyv1alpha1.Rollout{MaxFailures: ptr.To(intstr.FromInt32(2))},
			members: []Member{member("p"), member("q", has("b", failed)), member("r", has("b", failed))}, next: []string{"p"}},
		"one whose time is over has failed, whoever has not noted it": {
			members: []Member{member("p"), member("q", has("b", unverified))}, after: 300, halted: policyv1alpha1.ReasonRolloutFailed},
		"failures with another revision do not count": {
			members: []Member{member("p"), member("q", has("c", failed), idle)}, next: []string{"p"}},
		"the broken go first, all of them, and no canary with them": {
			rollout: policyv1alpha1.Rollout{First: first},
			members: []Member{member("p"), member("q", has("c", failed)), member("r", has("c", unverified)), member("s", canary)}, next: []string{"q", "r"}},
		"what cannot be worked on as it is goes before others": {
			members: []Member{member("p"), member("q", unusable)}, next: []string{"q"}},
		"but not before canaries": {
			rollout: policyv1alpha1.Rollout{First: first},
			members: []Member{member("p", canary), member("q", unusable)}, next: []string{"p"}},
		"nobody while it is paused": {
			rollout: policyv1alpha1.Rollout{Paused: true},
			members: []Member{member("p"), member("q", has("c", failed))}},
		"nobody when there is no canary": {
			rollout: policyv1alpha1.Rollout{First: first},
			members: []Member{member("p")}, halted: policyv1alpha1.ReasonNoCanaries},
		"which nobody misses when nobody waits": {
			rollout: policyv1alpha1.Rollout{First: first},
			members: []Member{member("p", has("b", verified))}},
		"nobody when nobody can verify": {
			rollout: policyv1alpha1.Rollout{Verify: policyv1alpha1.VerifyClusterReady},
			members: []Member{member("p", unknown)}, halted: policyv1alpha1.ReasonReadinessUnknown},
		"that nobody has said it yet of what was just written is not that": {
			rollout: policyv1alpha1.Rollout{Verify: policyv1alpha1.VerifyClusterReady, MaxConcurrent: ptr.To(intstr.FromInt32(2))},
			members: []Member{member("p", unknown), member("q", unknown, has("b", unverified), func(m *Member) {
				m.Record.Before = policyv1alpha1.BeforeClusterReady
			})}, next: []string{"p"}},
		"nor that nothing was created yet": {
			rollout: policyv1alpha1.Rollout{Verify: policyv1alpha1.VerifyClusterReady},
			members: []Member{member("p", unknown, func(m *Member) { m.Created = false })}, next: []string{"p"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			policyv1alpha1.SetDefaults_Rollout(&c.rollout)
			decided := Rollout{Policy: "mcp", Spec: &c.rollout, Revision: "b", Now: at(c.after).Time}.Decide(c.members)
			var next []string
			for _, i := range decided.Next {
				next = append(next, c.members[i].Name)
			}
			slices.Sort(next)
			if diff := cmp.Diff(c.next, next); diff != "" || decided.Halted != c.halted {
				t.Errorf("halted %q, want %q; next (-want +got):\n%s", decided.Halted, c.halted, diff)
			}
			if halted := metav1.ConditionTrue == decided.Conditions[1].Status; halted != (c.halted != "") {
				t.Errorf("the condition is %+v", decided.Conditions[1])
			}
		})
	}
}

func TestWhatAPolicySaysOfItsRollout(t *testing.T) {
	rollout := policyv1alpha1.Rollout{}
	policyv1alpha1.SetDefaults_Rollout(&rollout)
	decide := func(known *policyv1alpha1.RolloutStatus, after int, members ...Member) RolloutDecision {
		return Rollout{Policy: "mcp", Spec: &rollout, Revision: "b", Known: known, Now: at(after).Time}.Decide(members)
	}
	old := decide(nil, 0, member("p", has("b", policyv1alpha1.RolloutVerified)))
	want := policyv1alpha1.RolloutStatus{Revision: "b", Updated: 1, Verified: 1, Total: 1}
	if diff := cmp.Diff(want, old.Status); diff != "" || old.RollingOut || old.Conditions[0].Reason != policyv1alpha1.ReasonRolledOut {
		t.Errorf("of an edit that nobody waits for it says %+v (-want +got):\n%s", old.Conditions, diff)
	}
	begun := decide(&policyv1alpha1.RolloutStatus{Revision: "a", StartTime: at(-100)}, 0, member("p"), member("q", idle))
	want = policyv1alpha1.RolloutStatus{Revision: "b", Total: 1, StartTime: at(0)}
	if diff := cmp.Diff(want, begun.Status); diff != "" || !begun.RollingOut {
		t.Errorf("in the beginning it says %+v (-want +got):\n%s", begun.Conditions, diff)
	}
	failed := decide(&begun.Status, 10, member("q"), member("p", has("b", policyv1alpha1.RolloutFailed)))
	want = policyv1alpha1.RolloutStatus{Revision: "b", Total: 2, Updated: 1, Failed: 1, StartTime: at(0)}
	if diff := cmp.Diff(want, failed.Status); diff != "" || failed.RollingOut {
		t.Errorf("in the end it says %+v (-want +got):\n%s", failed.Conditions, diff)
	}
	if message := failed.Conditions[1].Message; !strings.Contains(message, "p (refused)") || !strings.Contains(message, "maxFailures (1%)") {
		t.Errorf("it does not say what failed: %s", message)
	}
	open := decide(&begun.Status, 10, member("r", allowed), member("q", has("b", policyv1alpha1.RolloutUnverified)), member("p"))
	if message := open.Conditions[0].Message; !strings.HasSuffix(message, "to be verified: q, r") {
		t.Errorf("it does not say what it waits for: %s", message)
	}
	rollout.First = &policyv1alpha1.LabelSelector{}
	if message := decide(nil, 0, member("p")).Conditions[1].Message; !strings.Contains(message, "selects no Source") {
		t.Errorf("it does not say that there is no canary: %s", message)
	}
	if message := decide(nil, 0, member("p"), member("q", canary, idle)).Conditions[1].Message; !strings.Contains(message, "paused or held") {
		t.Errorf("it does not say why no canary takes it: %s", message)
	}
	rollout.Verify = policyv1alpha1.VerifyClusterReady
	dead := func(m *Member) { m.Ready = "False" }
	if message := decide(nil, 0, member("p"), member("q", canary, dead)).Conditions[0].Message; !strings.Contains(message, "the cluster of no canary is known to be ready") {
		t.Errorf("it does not say that canaries verify nothing: %s", message)
	}
	wasReady := func(m *Member) { m.Record.Before = policyv1alpha1.BeforeClusterReady }
	for _, alive := range []Member{member("q", canary), member("q", canary, dead, has("b", policyv1alpha1.RolloutUnverified), wasReady)} {
		if message := decide(nil, 0, member("p"), alive).Conditions[0].Message; strings.Contains(message, "no canary") {
			t.Errorf("it says so of one that is ready, or was: %s", message)
		}
	}
	rollout.First, rollout.Paused = nil, true
	if paused := decide(&begun.Status, 10, member("p")); paused.RollingOut || paused.Conditions[0].Reason != policyv1alpha1.ReasonRolloutPaused {
		t.Errorf("of a rollout that is paused it says %+v", paused.Conditions)
	}
}

// Clusters with like names are often of one kind: an edit that breaks that is noticed before it
// reaches all of them.
func TestLikeNamesDoNotFollowEachOther(t *testing.T) {
	var members []Member
	var all []int
	for i := range 100 {
		members, all = append(members, member(fmt.Sprintf("region-%02d", i))), append(all, i)
	}
	inOrder(members, all)
	neighbours := 0
	for at := range all[1:] {
		if difference := all[at+1] - all[at]; difference == 1 || difference == -1 {
			neighbours++
		}
	}
	if neighbours > 10 { // two of a hundred, by chance
		t.Errorf("%d times two names follow each other: %v", neighbours, all)
	}
}

func TestInHowManyStepsARolloutGoes(t *testing.T) {
	rollout := policyv1alpha1.Rollout{MaxConcurrent: ptr.To(intstr.FromInt32(2))}
	policyv1alpha1.SetDefaults_Rollout(&rollout)
	r := Rollout{Policy: "mcp", Spec: &rollout, Revision: "b", Now: now}
	steps, first := r.Outline([]Member{member("p"), member("q", canary), member("r", canary), member("s", canary), member("t"), member("u", has("b", policyv1alpha1.RolloutVerified))})
	if steps != 3 || len(first) != 2 || slices.ContainsFunc(first, func(name string) bool { return !strings.Contains("qrs", name) }) {
		t.Errorf("%d steps, first %v", steps, first)
	}
	if steps, first := r.Outline([]Member{member("p", has("b", policyv1alpha1.RolloutVerified))}); steps != 0 || len(first) > 0 {
		t.Errorf("%d steps, first %v, though nobody waits", steps, first)
	}
	if steps, first := r.Outline([]Member{member("p"), member("q", has("c", policyv1alpha1.RolloutFailed))}); steps != 2 || !slices.Equal(first, []string{"q"}) {
		t.Errorf("%d steps, first %v", steps, first)
	}
}

func TestWhatAnImportWaitsFor(t *testing.T) {
	rollout := policyv1alpha1.Rollout{}
	policyv1alpha1.SetDefaults_Rollout(&rollout)
	waiting := func(members ...Member) map[string]string {
		return Rollout{Policy: "mcp", Spec: &rollout, Revision: "b", Now: now}.Waiting(members)
	}
	want := map[string]string{
		"q": "it is next", "s": "number 2 in the order, after q", "p": "number 3 in the order, after q, s",
		"i": "it takes none while it is paused or its removal is held",
	}
	if diff := cmp.Diff(want, waiting(member("p"), member("q", canary), member("s"), member("i", idle), member("d", has("b", policyv1alpha1.RolloutVerified)))); diff != "" {
		t.Errorf("in the beginning (-want +got):\n%s", diff)
	}
	want = map[string]string{"p": "it is next, when those that have taken the newest one are verified"}
	if diff := cmp.Diff(want, waiting(member("p"), member("q", has("b", policyv1alpha1.RolloutUnverified)))); diff != "" {
		t.Errorf("while others are verified (-want +got):\n%s", diff)
	}
	if text := waiting(member("p"), member("q", canary, has("b", policyv1alpha1.RolloutFailed)))["p"]; !strings.Contains(text, "halted (RolloutFailed)") {
		t.Errorf("after a failure: %q", text)
	}
	rollout.Paused = true
	if text := waiting(member("p"))["p"]; !strings.Contains(text, "paused") {
		t.Errorf("while it is paused: %q", text)
	}
}

// history is a generated history of a policy: what is recorded survives all that happens.
type history struct {
	*testing.T
	random   *rand.Rand
	rollout  policyv1alpha1.Rollout
	revision string // the newest
	imports  []*simulated
	now      time.Time
	healthy  bool // nothing fails any more
	log      []string
}

// simulated is one import. Only record and written are stored; written is the revision that
// the host has.
type simulated struct {
	name    string
	canary  bool
	paused  bool
	record  Record
	written string
	allowed bool // in the memory of the leader
	// exempt is set when it took its revision because it had failed, and takes no slot.
	exempt bool
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{T: t, random: rand.New(rand.NewPCG(seed, 0)), revision: "r0", now: now}
	h.rollout = policyv1alpha1.Rollout{MaxConcurrent: ptr.To(intstr.FromInt32(1 + h.random.Int32N(4))), MaxFailures: ptr.To(intstr.FromInt32(h.random.Int32N(4)))}
	if h.random.IntN(2) == 0 {
		h.rollout.Verify = policyv1alpha1.VerifyClusterReady
	}
	policyv1alpha1.SetDefaults_Rollout(&h.rollout)
	canaries := 0
	if h.random.IntN(2) == 0 {
		h.rollout.First = &policyv1alpha1.LabelSelector{}
		canaries = 1 + h.random.IntN(3)
	}
	for i := range 4 + h.random.IntN(12) {
		h.imports = append(h.imports, &simulated{name: fmt.Sprintf("i%d", i), canary: i < canaries, written: "r0",
			record: Record{Revision: "r0", State: policyv1alpha1.RolloutVerified}})
	}
	return h
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *history) fail(format string, args ...any) {
	h.Helper()
	h.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(h.log, "\n"))
}

// outcome is what becomes of a pass of an import with the revision that it records.
func (h *history) outcome(s *simulated) (done Execution, ready string) {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	done = Execution{Plan: render.Plan{Action: render.ActionNone}, PediaCluster: object}
	if s.written != s.record.Revision {
		done.Plan.Action = render.ActionUpdate
	}
	// The fate of an import with a revision is always the same.
	switch fate := place(s.name+s.record.Revision) % 8; {
	case h.healthy || fate > 3:
		return done, "True"
	case fate == 0:
		done.Plan = render.Plan{Action: render.ActionError, Message: "template"}
		return done, "True"
	case fate == 1:
		return done, "False"
	default:
		return done, []string{"True", "False", ""}[h.random.IntN(3)]
	}
}

func (h *history) members() (members []Member) {
	for _, s := range h.imports {
		members = append(members, Member{Name: s.name, Canary: s.canary, Record: s.record, Allowed: s.allowed,
			Waits: !s.paused && s.record.Revision != h.revision, Created: true, Ready: "True"})
	}
	return members
}

// open reports whether an import may still fail.
func (h *history) open(s *simulated) bool {
	return s.allowed || s.record.State == policyv1alpha1.RolloutUnverified && h.now.Before(Deadline(s.record, &h.rollout))
}

func (h *history) broken(s *simulated) bool {
	return s.record.State == policyv1alpha1.RolloutFailed || s.record.State == policyv1alpha1.RolloutUnverified
}

// decide has it decided who is next, and checks that.
func (h *history) decide() RolloutDecision {
	members := h.members()
	decided := Rollout{Policy: "mcp", Spec: &h.rollout, Revision: h.revision, Now: h.now}.Decide(members)
	failures, canaryFailed, canariesOpen := 0, false, false
	waiting, canaries, idle := 0, 0, 0
	for _, s := range h.imports {
		updated := s.record.Revision == h.revision
		failed := updated && (s.record.State == policyv1alpha1.RolloutFailed || s.record.State == policyv1alpha1.RolloutUnverified && !h.open(s))
		if failed {
			failures++
			canaryFailed = canaryFailed || s.canary
		}
		canariesOpen = canariesOpen || s.canary && !s.paused && !(updated && s.record.State == policyv1alpha1.RolloutVerified)
		if !updated && !s.paused && !s.allowed {
			waiting++
		}
		if s.canary {
			canaries++
			if !updated && s.paused && !s.allowed {
				idle++
			}
		}
	}
	halts := canaryFailed || failures > h.rollout.MaxFailures.IntValue() || waiting > 0 && h.rollout.First != nil && canaries == idle
	if (decided.Halted != "") != halts {
		h.fail("it is halted: %q, and should be: %t (%d failed, a canary: %t; canaries: %d, of which %d cannot take it)",
			decided.Halted, halts, failures, canaryFailed, canaries, idle)
	}
	if len(decided.Next) > 0 && (canaryFailed || failures > h.rollout.MaxFailures.IntValue() || h.rollout.Paused) {
		h.fail("%d failed, a canary: %t, paused: %t, and %d may take the revision", failures, canaryFailed, h.rollout.Paused, len(decided.Next))
	}
	for _, i := range decided.Next {
		s := h.imports[i]
		if s.paused || s.record.Revision == h.revision {
			h.fail("%s may take the revision, which it has or cannot take", s.name)
		}
		if canariesOpen && !s.canary && !h.broken(s) {
			h.fail("%s may take the revision before the canaries are verified", s.name)
		}
		s.exempt = h.broken(s) && (s.exempt || !h.open(s))
		s.allowed = true
		h.note("%s may take %s", s.name, h.revision)
	}
	h.checkBound()
	return decided
}

// checkBound fails the test when more imports are unverified than may be, less those that had
// failed and take a fix.
func (h *history) checkBound() {
	open := 0
	for _, s := range h.imports {
		if h.open(s) && !s.exempt {
			open++
		}
	}
	if most := h.rollout.MaxConcurrent.IntValue(); open > most {
		h.fail("%d imports are unverified, and may be %d", open, most)
	}
}

// take has an import take the newest revision, if it may, and perhaps ends before the host is
// written.
func (h *history) take(s *simulated, dies bool) {
	if s.allowed && !s.paused && s.record.Revision != h.revision {
		status := Status{Phase: policyv1alpha1.LifecycleImported, Cluster: &policyv1alpha1.ClusterState{Ready: "True"}}
		s.record = Take(h.revision, s.record, status, "True", h.now)
		h.note("%s takes %s", s.name, h.revision)
	}
	s.allowed = false
	if !dies {
		h.work(s)
	}
}

// work is a pass over an import.
func (h *history) work(s *simulated) {
	if s.paused {
		return
	}
	done, ready := h.outcome(s)
	if done.InSync() {
		s.written = s.record.Revision
	}
	before := s.record
	s.record, _ = Verification{Rollout: &h.rollout, Done: done, Ready: ready, Now: h.now}.Verify(s.record)
	if before.State == policyv1alpha1.RolloutFailed && s.record.State != policyv1alpha1.RolloutFailed {
		h.fail("%s forgets that it failed", s.name)
	}
	if s.record.State == policyv1alpha1.RolloutVerified {
		s.exempt = false
	}
	if before.State != s.record.State {
		h.note("%s is %s with %s", s.name, s.record.State, s.record.Revision)
	}
}

// happen has something happen.
func (h *history) happen() {
	s := h.imports[h.random.IntN(len(h.imports))]
	switch h.random.IntN(12) {
	case 0:
		h.revision = fmt.Sprintf("r%d", h.random.IntN(6)) // it may be a former one
		for _, s := range h.imports {
			s.allowed = false
		}
		h.note("the policy is edited: %s", h.revision)
	case 1:
		for _, s := range h.imports {
			s.allowed = false
		}
		h.note("the leader dies")
	case 2:
		s.paused = !s.paused
		h.note("%s is paused: %t", s.name, s.paused)
	case 3:
		h.rollout.Paused = h.random.IntN(4) == 0
	case 4:
		h.rollout.MaxFailures = ptr.To(intstr.FromInt32(h.random.Int32N(5)))
	case 5, 6:
		h.take(s, h.random.IntN(3) == 0)
	case 7, 8:
		h.work(s)
	case 9:
		h.now = h.now.Add(time.Duration(h.random.IntN(60)) * time.Second)
	default:
		h.decide()
	}
	h.checkBound()
}

func TestNoHistoryBreaksTheBoundsOfARollout(t *testing.T) {
	for seed := range uint64(3000) {
		h := newHistory(t, seed)
		h.note("seed %d", seed)
		for range 150 {
			h.happen()
		}
		h.end()
	}
}

// end has nothing fail any more, and everything reach a newer revision.
func (h *history) end() {
	h.healthy, h.rollout.Paused, h.revision = true, false, "last"
	for _, s := range h.imports {
		s.paused, s.allowed = false, false
	}
	h.note("the policy is edited for the last time")
	for range 10 * len(h.imports) {
		decided := h.decide()
		if decided.Halted != "" {
			h.fail("halted: %+v", decided.Conditions)
		}
		for _, s := range h.imports {
			h.take(s, h.random.IntN(10) == 0)
		}
		h.now = h.now.Add(31 * time.Second)
		for _, s := range h.imports {
			h.work(s)
		}
		if int(decided.Status.Verified) == len(h.imports) {
			if decided.RollingOut || decided.Conditions[0].Reason != policyv1alpha1.ReasonRolledOut {
				h.fail("everything is rolled out, and it says %+v", decided.Conditions)
			}
			return
		}
	}
	h.fail("the rollout does not end: %+v", h.decide().Status)
}
