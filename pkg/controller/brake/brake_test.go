package brake

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
)

// A fleet of 200 with the default of maxPrune.
var tenth = Limit{Most: 20}

type driver struct {
	*Brake
	t     *testing.T
	clock *clocktesting.FakePassiveClock
}

func drive(t *testing.T) driver {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_000_000, 0))
	return driver{New(clock), t, clock}
}

func removalOf(name, cause string) Removal {
	return Removal{Import: memory.Import{Policy: "mcp", Name: name}, PediaCluster: types.UID("uid of " + name), Cause: cause}
}

// ask asks for that many removals and returns what is answered to all of them.
func (d driver) ask(first, count int, cause string) Verdict {
	d.t.Helper()
	verdicts := map[Verdict]int{}
	var last Verdict
	for i := first; i < first+count; i++ {
		last, _ = d.Ask(removalOf(fmt.Sprintf("cluster-%04d", i), cause), false)
		verdicts[last]++
	}
	if len(verdicts) != 1 {
		d.t.Errorf("the answers differ: %v", verdicts)
	}
	return last
}

func TestWhatKeepsBeingAskedForIsDecidedAllTheSame(t *testing.T) {
	d := drive(t)
	start := d.clock.Now()
	for n := 0; ; n++ {
		d.ask(n, 1, "SourceDeselected")
		d.clock.SetTime(d.clock.Now().Add(Quiet * 9 / 10))
		if decision := d.Decide("mcp", tenth, ""); decision.Wait == 0 {
			d.want("removals that may go", len(decision.Counted), n+1)
			break
		}
		if d.clock.Since(start) > 2*LongestWait {
			t.Fatalf("nothing was decided within %s", d.clock.Since(start))
		}
	}
	if waited := d.clock.Since(start); waited > LongestWait+Quiet {
		t.Errorf("the first one waited for %s", waited)
	}
	d.ask(100, 1, "SourceDeselected")
	d.want("what is asked for after that waits again", d.Decide("mcp", tenth, "").Wait, Quiet)
}

// decide decides after a while without further removals.
func (d driver) decide(limit Limit, release string) Decision {
	d.clock.SetTime(d.clock.Now().Add(Quiet))
	decision := d.Decide("mcp", limit, release)
	d.Approve(decision.Counted)
	d.Approve(decision.Released)
	return decision
}

func (d driver) want(what string, got, want any) {
	d.t.Helper()
	if got != want {
		d.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (d driver) withdraw(name string) {
	d.Withdraw(memory.Import{Policy: "mcp", Name: name}, func(Removal) bool { return false })
}

func TestFewRemovalsGoOnceTheyAreCounted(t *testing.T) {
	d := drive(t)
	d.want("first", d.ask(0, 20, "Deselected"), Undecided)
	d.want("before it is quiet", len(d.Decide("mcp", tenth, "").Counted), 0)
	decision := d.decide(tenth, "")
	d.want("counted", len(decision.Counted), 20)
	d.want("held", decision.Held, 0)
	d.want("then", d.ask(0, 20, "Deselected"), Approved)
}

func TestTooManyAreHeldAllOfThem(t *testing.T) {
	d := drive(t)
	d.ask(0, 50, "Deselected")
	decision := d.decide(tenth, "")
	d.want("counted", len(decision.Counted), 0)
	d.want("held", decision.Held, 50)
	d.want("concerned", len(decision.Concerned), 50)
	d.want("then", d.ask(0, 50, "Deselected"), Held)
	if _, plan := d.Ask(removalOf("cluster-0000", "Deselected"), false); plan == "" || plan != decision.Plan {
		t.Errorf("held under the plan %q, decided was %q", plan, decision.Plan)
	}
}

func TestWhatWentBeforeCounts(t *testing.T) {
	d := drive(t)
	d.ask(0, 15, "Deselected")
	d.want("held", d.decide(Limit{Most: 20, Recent: 6}, "").Held, 15)
}

func TestOneAfterTheOtherIsCountedTogether(t *testing.T) {
	d := drive(t)
	for i := range 21 {
		d.ask(i, 1, "Deselected")
		d.clock.SetTime(d.clock.Now().Add(Quiet / 2))
		if decision := d.Decide("mcp", tenth, ""); len(decision.Counted) > 0 || decision.Wait <= 0 {
			t.Fatalf("decided after %d: %+v", i+1, decision)
		}
	}
	d.want("held", d.decide(tenth, "").Held, 21)
}

func TestHeldOnesStayHeldWhenFewAreLeft(t *testing.T) {
	d := drive(t)
	d.ask(0, 21, "Deselected")
	d.decide(tenth, "")
	for i := range 15 {
		d.withdraw(fmt.Sprintf("cluster-%04d", i))
	}
	decision := d.decide(tenth, "")
	d.want("held", decision.Held, 6)
	d.want("concerned of the new plan", len(decision.Concerned), 6)
	d.want("a new one within the limit", d.ask(100, 1, "Deselected"), Undecided)
	decision = d.decide(tenth, "")
	d.want("it goes", len(decision.Counted), 1)
	d.want("the others stay", decision.Held, 6)
}

func TestHeldOnesStayHeldOverARestart(t *testing.T) {
	d := drive(t)
	verdict, _ := d.Ask(removalOf("one", "Deselected"), true)
	d.want("one that was held", verdict, Held)
	d.want("held", d.decide(tenth, "").Held, 1)
}

func TestAnotherCauseDoesNotFreeWhatIsHeld(t *testing.T) {
	d := drive(t)
	d.ask(0, 50, "Deselected")
	before := d.decide(tenth, "").Plan
	d.want("for another cause", d.ask(0, 1, "SourceGone"), Held)
	if d.decide(tenth, "").Plan == before {
		t.Error("the plan is the same for another cause")
	}
}

func TestAnApprovalIsForOneCause(t *testing.T) {
	d := drive(t)
	d.ask(0, 1, "Deselected")
	d.decide(tenth, "")
	d.want("approved", d.ask(0, 1, "Deselected"), Approved)
	d.want("for another cause", d.ask(0, 1, "Renamed"), Undecided)
}

func TestAReleaseLetsGoJustWhatItNames(t *testing.T) {
	d := drive(t)
	d.ask(0, 50, "Deselected")
	plan := d.decide(tenth, "").Plan
	d.ask(50, 1, "Deselected")
	decision := d.decide(tenth, plan)
	d.want("released under a plan that has grown", len(decision.Released), 0)
	d.want("held", decision.Held, 51)
	decision = d.decide(tenth, decision.Plan)
	d.want("released", len(decision.Released), 51)
	d.want("then", d.ask(0, 51, "Deselected"), Approved)
	d.want("nothing is held any more", d.decide(tenth, plan).Plan, "")
}

func TestAReleaseIsNotForTheNextPediaCluster(t *testing.T) {
	d := drive(t)
	d.ask(0, 50, "DeletionConditionMet")
	plan := d.decide(tenth, "").Plan
	d.decide(tenth, plan)
	for i := range 50 {
		d.withdraw(fmt.Sprintf("cluster-%04d", i))
	}
	for i := range 50 {
		again := removalOf(fmt.Sprintf("cluster-%04d", i), "DeletionConditionMet")
		again.PediaCluster += " made again"
		d.Ask(again, false)
	}
	decision := d.decide(tenth, plan)
	d.want("released", len(decision.Released), 0)
	d.want("held", decision.Held, 50)
}

func TestZeroHoldsASingleOne(t *testing.T) {
	d := drive(t)
	d.ask(0, 1, "Deselected")
	d.want("held", d.decide(Limit{}, "").Held, 1)
}

func TestAnEmptyReleaseReleasesNothing(t *testing.T) {
	d := drive(t)
	d.ask(0, 1, "Deselected")
	decision := d.Decide("mcp", Limit{}, "")
	d.want("released", len(decision.Released), 0)
	d.want("released later", len(d.decide(Limit{}, "").Released), 0)
}

func TestWhatIsNoLongerWantedIsNotApproved(t *testing.T) {
	d := drive(t)
	d.ask(0, 1, "Deselected")
	d.clock.SetTime(d.clock.Now().Add(Quiet))
	decision := d.Decide("mcp", tenth, "")
	d.withdraw("cluster-0000")
	d.Approve(decision.Counted)
	d.want("asked again", d.ask(0, 1, "Deselected"), Undecided)
}

func TestPoliciesDoNotCountTogether(t *testing.T) {
	d := drive(t)
	d.ask(0, 15, "Deselected")
	for i := range 15 {
		other := removalOf(fmt.Sprint(i), "Deselected")
		other.Import.Policy = "other"
		d.Ask(other, false)
	}
	d.want("counted", len(d.decide(tenth, "").Counted), 15)
	d.Forget("mcp")
	d.want("after it was forgotten", d.ask(0, 1, "Deselected"), Undecided)
}

func TestAnApprovalLastsAsLongAsItCounts(t *testing.T) {
	d := drive(t)
	d.ask(0, 1, "Deselected")
	d.decide(tenth, "")
	d.clock.SetTime(d.clock.Now().Add(Window))
	d.want("to the end", d.ask(0, 1, "Deselected"), Approved)
	d.clock.SetTime(d.clock.Now().Add(time.Second))
	d.want("then", d.ask(0, 1, "Deselected"), Undecided)
}

func TestAnApprovalCanBeRevoked(t *testing.T) {
	d := drive(t)
	d.ask(0, 1, "Deselected")
	d.decide(tenth, "")
	d.want("pending", d.Pending("mcp"), 1)
	d.Revoke("mcp")
	d.want("pending afterwards", d.Pending("mcp"), 0)
	d.want("afterwards", d.ask(0, 1, "Deselected"), Undecided)
}

func TestWhatIsHeldIsToldOfEachPlanOnce(t *testing.T) {
	d := drive(t)
	d.ask(0, 50, "Deselected")
	d.want("concerned", len(d.decide(tenth, "").Concerned), 50)
	d.want("of the same plan", len(d.decide(tenth, "").Concerned), 0)
	// One whose cause ended and began again is told again, though the plan is the same.
	d.withdraw("cluster-0000")
	d.ask(0, 1, "Deselected")
	d.want("the one that is there again", len(d.decide(tenth, "").Concerned), 1)
}

func TestAFormerProcessMayHaveHeldWhatItDidNotNote(t *testing.T) {
	d := drive(t)
	d.ask(0, 1, "Deselected")
	d.want("held", d.decide(Limit{Most: 20, Holding: true}, "").Held, 1)
	d.ask(1, 1, "Deselected")
	d.want("counted later", len(d.decide(Limit{Most: 20, Holding: true}, "").Counted), 1)
}

func TestAHoldIsNotedLate(t *testing.T) {
	d := drive(t)
	d.ask(0, 1, "Deselected")
	verdict, _ := d.Ask(removalOf("cluster-0000", "Deselected"), true)
	d.want("once its mark is seen", verdict, Held)
}

func TestWhatIsHeldStaysSoWhileItsCauseCannotBeTold(t *testing.T) {
	const name = "cluster-0000"
	unknown := removalOf(name, "SelectorFailed")
	hold := func(d driver, before bool) bool {
		kept, _, held := d.Hold(unknown, before)
		if held {
			d.want("kept", kept.PediaCluster, unknown.PediaCluster)
		}
		d.want("holds", d.Holds(unknown.Import), held)
		return held
	}
	for what, test := range map[string]struct {
		prepare func(d driver)
		before  bool
		want    bool
	}{
		"it was never asked for":         {func(driver) {}, false, false},
		"another process held it":        {func(driver) {}, true, true},
		"it waits to be decided":         {func(d driver) { d.ask(0, 1, "Deselected") }, false, false},
		"it waits, and was held":         {func(d driver) { d.ask(0, 1, "Deselected") }, true, true},
		"it is held":                     {func(d driver) { d.ask(0, 50, "Deselected"); d.decide(tenth, "") }, false, true},
		"it was approved":                {func(d driver) { d.ask(0, 1, "Deselected"); d.decide(tenth, "") }, false, false},
		"it was released a moment ago":   {func(d driver) { d.ask(0, 50, "Deselected"); d.decide(tenth, d.decide(tenth, "").Plan) }, true, false},
		"another one of the policy held": {func(d driver) { d.ask(1, 50, "Deselected"); d.decide(tenth, "") }, false, false},
	} {
		t.Run(what, func(t *testing.T) {
			d := drive(t)
			test.prepare(d)
			d.want("held", hold(d, test.before), test.want)
		})
	}

	// The cause that it was held for stays, and with it the plan.
	d := drive(t)
	d.ask(0, 50, "Deselected")
	plan := d.decide(tenth, "").Plan
	kept, under, _ := d.Hold(unknown, true)
	d.want("cause", kept.Cause, "Deselected")
	d.want("plan", under, plan)
	d.want("plan decided again", d.decide(tenth, "").Plan, plan)
}
