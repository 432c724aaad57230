package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
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
		if r.report(importOfMCP(name), 1, waiting(name)) {
			t.Errorf("%s makes room, though it has taken nothing", name)
		}
	}
	first := decide(0)
	if len(first) != 2 {
		t.Fatalf("%v are next, want two", first)
	}
	if r.report(importOfMCP(first[0]), 1, taken(first[0], policyv1alpha1.RolloutUnverified)) {
		t.Error("an import makes room that is not verified")
	}
	if !r.report(importOfMCP(first[0]), 1, taken(first[0], policyv1alpha1.RolloutVerified)) {
		t.Error("an import that is verified makes no room")
	}
	if next := decide(rolloutPeriod / 2); len(next) != 0 {
		t.Errorf("%v are next, too soon after the last decision", next)
	}
	if next := decide(rolloutPeriod); len(next) != 1 {
		t.Errorf("%v are next, want one: another is not verified", next)
	}
	if !r.report(importOfMCP(first[1]), 1, nil) {
		t.Error("an import that is gone makes no room")
	}
	if next := decide(rolloutPeriod); len(next) != 1 {
		t.Errorf("%v are next, want one", next)
	}
}
