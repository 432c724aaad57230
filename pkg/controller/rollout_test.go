package controller

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
)

// Who is next is decided when there is room, and not for every import that is verified: each
// decision looks at all of them.
func TestWhoIsNextIsDecidedWhenThereIsRoom(t *testing.T) {
	r, now := newRollouts(), time.Unix(1000, 0)
	rollout := decision.Rollout{Policy: "mcp", Revision: "b", Spec: rolloutOf(func(r *policyv1alpha1.Rollout) { r.MaxConcurrent = ptr.To(intstr.FromInt32(2)) })}
	waiting := func(name string) *decision.Member {
		return &decision.Member{Name: name, Waits: true, Record: decision.Record{Revision: "a", State: policyv1alpha1.RolloutVerified}}
	}
	taken := func(name string, state policyv1alpha1.RolloutState) *decision.Member {
		return &decision.Member{Name: name, Record: decision.Record{Revision: "b", State: state, TakenTime: ptr.To(metav1.NewTime(now))}}
	}
	decide := func(after time.Duration) (next []string) {
		t.Helper()
		now = now.Add(after)
		rollout.Now = now
		_, imports, _, ok := r.decide(rollout, 1)
		if !ok {
			t.Fatal("it is not decided")
		}
		for _, i := range imports {
			next = append(next, i.Name)
		}
		return next
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if r.report(importOfMCP(name), 1, waiting(name)) != 0 {
			t.Errorf("%s makes room, though it has taken nothing", name)
		}
	}
	first := decide(0)
	if len(first) != 2 {
		t.Fatalf("%v are next, want two", first)
	}
	if r.report(importOfMCP(first[0]), 1, taken(first[0], policyv1alpha1.RolloutUnverified)) != 0 {
		t.Error("an import makes room that is not verified")
	}
	if r.report(importOfMCP(first[0]), 1, taken(first[0], policyv1alpha1.RolloutVerified)) == 0 {
		t.Error("an import that is verified makes no room")
	}
	if next := decide(rolloutPeriod / 2); len(next) != 0 {
		t.Errorf("%v are next, too soon after the last decision", next)
	}
	if next := decide(rolloutPeriod); len(next) != 1 {
		t.Errorf("%v are next, want one: another is not verified", next)
	}
	if r.report(importOfMCP(first[1]), 1, nil) == 0 {
		t.Error("an import that is gone makes no room")
	}
	if next := decide(rolloutPeriod); len(next) != 1 {
		t.Errorf("%v are next, want one", next)
	}
}

// A decision costs work for every import. It is made when a quarter of what was open is verified,
// which leaves enough to do meanwhile, and at once when a failure may halt the rollout.
func TestADecisionWaitsForSomeRoom(t *testing.T) {
	r, rollout := newRollouts(), decision.Rollout{Policy: "mcp", Revision: "b", Now: time.Unix(1000, 0),
		Spec: rolloutOf(func(r *policyv1alpha1.Rollout) { r.MaxConcurrent = ptr.To(intstr.FromInt32(8)) })}
	member := func(name, revision string, state policyv1alpha1.RolloutState) *decision.Member {
		return &decision.Member{Name: name, Waits: revision == "a",
			Record: decision.Record{Revision: revision, State: state, TakenTime: ptr.To(metav1.NewTime(rollout.Now))}}
	}
	for n := range 20 {
		name := fmt.Sprint("c", n)
		r.report(importOfMCP(name), 1, member(name, "a", policyv1alpha1.RolloutVerified))
	}
	_, next, _, ok := r.decide(rollout, 1)
	if !ok || len(next) != 8 {
		t.Fatalf("%v are next", next)
	}
	verified := func(i memory.Import, state policyv1alpha1.RolloutState) time.Duration {
		t.Helper()
		return r.report(i, 1, member(i.Name, "b", state))
	}
	if after := verified(next[0], policyv1alpha1.RolloutVerified); after != statusDelay {
		t.Errorf("after the first of eight it is decided in %v", after)
	}
	if after := verified(next[1], policyv1alpha1.RolloutVerified); after != rolloutPeriod {
		t.Errorf("after a quarter of them it is decided in %v", after)
	}
	rollout.Now = rollout.Now.Add(rolloutPeriod)
	if _, next, _, ok = r.decide(rollout, 1); !ok || len(next) != 2 {
		t.Fatalf("%v are next", next)
	}
	if after := verified(next[0], policyv1alpha1.RolloutFailed); after != rolloutPeriod {
		t.Errorf("after a failure it is decided in %v", after)
	}
}

// A policy is reconciled for many reasons, and its queue keeps one time for it, the earliest: whoever
// finds that it is too early to decide again says when it is not.
func TestADeadlineIsNotForgottenByAnEarlierLook(t *testing.T) {
	r, rollout := newRollouts(), decision.Rollout{Policy: "mcp", Revision: "b", Spec: rolloutOf(nil), Now: time.Unix(1000, 0)}
	r.report(importOfMCP("a"), 1, &decision.Member{Name: "a", Record: decision.Record{
		Revision: "b", State: policyv1alpha1.RolloutUnverified, TakenTime: ptr.To(metav1.NewTime(rollout.Now))}})
	decide := func(after time.Duration) (decision.RolloutDecision, time.Duration) {
		t.Helper()
		rollout.Now = rollout.Now.Add(after)
		decided, _, again, ok := r.decide(rollout, 1)
		if !ok {
			t.Fatal("it is not decided")
		}
		return decided, again
	}
	_, deadline := decide(0)
	if deadline <= time.Second {
		t.Fatalf("it is to be decided again in %v", deadline)
	}
	if _, again := decide(time.Second); again != deadline-time.Second {
		t.Errorf("after a look it is to be decided again in %v, of %v", again, deadline)
	}
	if decided, _ := decide(deadline); decided.Status.Failed != 1 {
		t.Errorf("after the deadline the policy says %+v", decided.Status)
	}
}

// Who could have taken a revision before an edit does not count as open after it.
func TestAnAllowanceEndsWithItsGeneration(t *testing.T) {
	r, rollout := newRollouts(), decision.Rollout{Policy: "mcp", Revision: "b", Now: time.Unix(1000, 0)}
	report := func(name string, generation int64, revision string) time.Duration {
		return r.report(importOfMCP(name), generation, &decision.Member{Name: name, Waits: revision == "a",
			Record: decision.Record{Revision: revision, State: policyv1alpha1.RolloutVerified}})
	}
	decide := func(generation int64, most string) (next []memory.Import) {
		t.Helper()
		rollout.Now = rollout.Now.Add(statusDelay)
		rollout.Spec = rolloutOf(func(r *policyv1alpha1.Rollout) { r.MaxConcurrent = ptr.To(intstr.FromString(most)) })
		for n := range 20 {
			report(fmt.Sprint("c", n), generation, "a")
		}
		_, next, _, _ = r.decide(rollout, generation)
		return next
	}
	if next := decide(1, "100%"); len(next) != 20 {
		t.Fatalf("%v are next", next)
	}
	next := decide(2, "10%")
	if len(next) != 2 {
		t.Fatalf("%v are next", next)
	}
	if after := report(next[0].Name, 2, "b"); after != rolloutPeriod {
		t.Errorf("when one of two is verified it is decided in %v", after)
	}
}
