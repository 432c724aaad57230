// Package brake holds removals of PediaClusters back until it is known how many
// are wanted, and holds all of them when they are too many: one edit must not
// remove all PediaClusters of a policy. It decides and remembers; it deletes nothing.
//
// It imports only memory, for its name of an import. The import controller
// asks before each removal that counts; the policy controller has the requests
// of a policy decided together.
package brake

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
)

// Window is how long a removal counts.
const Window = 10 * time.Minute

// Quiet is how long no further removal must have been asked for before those
// that were are decided: what belongs together is counted together.
const Quiet = 2 * time.Second

// LongestWait is how long a removal waits at most until it is decided, whatever else
// is asked for meanwhile.
const LongestWait = 30 * time.Second

// Verdict is what becomes of a removal that was asked for.
type Verdict int

const (
	// Undecided removals wait: nothing may be removed yet.
	Undecided Verdict = iota
	// Held removals wait until somebody releases their plan.
	Held
	// Approved removals may go.
	Approved
)

// Removal is the removal of one PediaCluster.
type Removal struct {
	Import memory.Import
	// PediaCluster is the UID of what would be removed.
	PediaCluster types.UID
	// Cause is the reason in one word.
	Cause string
}

// Limit is what may be removed of a policy.
type Limit struct {
	// Most is how many removals may go within a Window.
	Most int
	// Recent is how many went within the last one.
	Recent int
	// Holding says that removals were held when another process last decided. Which
	// they were may not have been noted: the first decision of this process then
	// holds all that it does not know.
	Holding bool
}

// Decision is what was decided about the removals of a policy.
type Decision struct {
	// Counted are removals within the limit, and Released those of the plan that
	// somebody released. Both may go once Approve was called with them.
	Counted, Released []Removal
	// Plan names the removals that are held, and Held counts them.
	Plan string
	Held int
	// Concerned are the imports that have to be notified of Plan, once.
	Concerned []memory.Import
	// Wait is after how long it can be decided; the rest is empty until then. 0
	// when it was decided.
	Wait time.Duration
}

// Brake is safe for concurrent use. Use New.
type Brake struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	policies map[string]*policyRemovals
}

// policyRemovals are the removals that were asked for of one policy.
type policyRemovals struct {
	requests map[memory.Import]map[types.UID]*request
	// asked is when the last undecided one was, since when the first one since the
	// last decision; zero for none.
	asked, since time.Time
	plan         string
	decided      bool // in this process
}

type request struct {
	Removal
	verdict Verdict
	// approved is when it was: an approval lasts as long as the removal counts.
	approved time.Time
	// notified is the plan that the import was last notified of.
	notified string
}

// New returns a brake that knows of no removals.
func New(clock clock.PassiveClock) *Brake {
	return &Brake{clock: clock, policies: map[string]*policyRemovals{}}
}

// Ask says whether the removal may go. One that was held before this process
// began stays held. With Held comes the plan that it is held under.
func (b *Brake) Ask(r Removal, held bool) (Verdict, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ask(r, held)
}

func (b *Brake) ask(r Removal, held bool) (Verdict, string) {
	p, ok := b.policies[r.Import.Policy]
	if !ok {
		p = &policyRemovals{requests: map[memory.Import]map[types.UID]*request{}}
		b.policies[r.Import.Policy] = p
	}
	known, ok := p.requests[r.Import][r.PediaCluster]
	if ok && known.Cause == r.Cause {
		switch {
		case known.verdict == Undecided && held:
			known.verdict = Held
		case known.verdict == Approved && b.clock.Since(known.approved) > Window:
			p.revoke(known, b.clock.Now())
		}
		return known.answer(p.plan)
	}
	asked := &request{Removal: r}
	if held || ok && known.verdict == Held {
		asked.verdict = Held
	}
	if p.requests[r.Import] == nil {
		p.requests[r.Import] = map[types.UID]*request{}
	}
	p.requests[r.Import][r.PediaCluster] = asked
	// The plan changes with its removals, those that are held included.
	p.wait(b.clock.Now())
	return asked.answer(p.plan)
}

// Hold keeps the removal of a PediaCluster held while it cannot be told whether it
// is still wanted. It reports whether it is held, as this process knows or, when
// before is set, as another one did, and returns it with the cause that is known of
// it.
func (b *Brake) Hold(r Removal, before bool) (kept Removal, plan string, held bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, ok := b.policies[r.Import.Policy]; ok {
		if known, ok := p.requests[r.Import][r.PediaCluster]; ok {
			r, before = known.Removal, known.verdict == Held || before && known.verdict == Undecided
		}
	}
	if !before {
		return r, "", false
	}
	_, plan = b.ask(r, true)
	return r, plan, true
}

// Holds reports whether a removal of the import is held.
func (b *Brake) Holds(i memory.Import) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.policies[i.Policy]
	if !ok {
		return false
	}
	for _, r := range p.requests[i] {
		if r.verdict == Held {
			return true
		}
	}
	return false
}

func (r *request) answer(plan string) (Verdict, string) {
	if r.verdict == Held {
		r.notified = plan
	}
	return r.verdict, plan
}

// Revoke takes back what was approved and has not happened: what it was approved
// under is no longer so.
func (b *Brake) Revoke(policy string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, ok := b.policies[policy]; ok {
		for _, r := range p.with(Approved) {
			p.revoke(r, b.clock.Now())
		}
	}
}

func (p *policyRemovals) revoke(r *request, now time.Time) {
	r.verdict = Undecided
	p.wait(now)
}

// wait has what was just asked for wait for what may belong to it.
func (p *policyRemovals) wait(now time.Time) {
	p.asked = now
	if p.since.IsZero() {
		p.since = now
	}
}

// due is after how long the removals may be decided.
func (p *policyRemovals) due(held int, now time.Time) time.Duration {
	wait := quiet(held) - now.Sub(p.asked)
	if !p.since.IsZero() {
		wait = min(wait, LongestWait-now.Sub(p.since))
	}
	return wait
}

// Pending counts the removals that were approved and have not happened.
func (b *Brake) Pending(policy string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, ok := b.policies[policy]; ok {
		return len(p.with(Approved))
	}
	return 0
}

// Withdraw forgets the removals of an import whose cause has ended: all but
// those that stay wanted.
func (b *Brake) Withdraw(i memory.Import, wanted func(Removal) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.policies[i.Policy]
	if !ok {
		return
	}
	for uid, r := range p.requests[i] {
		if !wanted(r.Removal) {
			delete(p.requests[i], uid)
		}
	}
	if len(p.requests[i]) == 0 {
		delete(p.requests, i)
	}
}

// Forget forgets a policy.
func (b *Brake) Forget(policy string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.policies, policy)
}

// Decide decides about the removals of a policy, once all that are wanted have
// had the time to be asked for. When they and the recent ones are more than the
// limit, all are held: those that were held before stay so, whatever their
// number. Held ones are released by the name of their plan.
func (b *Brake) Decide(policy string, limit Limit, release string) Decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.policies[policy]
	if !ok {
		return Decision{}
	}
	undecided, held := p.with(Undecided), p.with(Held)
	if wait := p.due(len(held), b.clock.Now()); wait > 0 && len(p.requests) > 0 {
		return Decision{Wait: wait}
	}
	p.since = time.Time{}
	var decision Decision
	unknown := limit.Holding && !p.decided
	p.decided = true
	if len(undecided)+len(held)+limit.Recent > limit.Most || unknown {
		for _, r := range undecided {
			r.verdict = Held
		}
		held = p.with(Held)
	} else {
		decision.Counted = removals(undecided)
	}
	p.plan = plan(held)
	if p.plan != "" && release == p.plan {
		decision.Released = removals(held)
	}
	decision.Plan, decision.Held = p.plan, len(held)
	for _, r := range held {
		if r.notified != p.plan {
			r.notified = p.plan
			decision.Concerned = append(decision.Concerned, r.Import)
		}
	}
	return decision
}

// quiet is Quiet, and longer when many are held: each of them is told of every
// new plan.
func quiet(held int) time.Duration {
	return min(max(Quiet, time.Duration(held)*10*time.Millisecond), time.Minute)
}

// Approve approves removals, as far as they are still wanted.
func (b *Brake) Approve(approved []Removal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range approved {
		if p, ok := b.policies[r.Import.Policy]; ok {
			if wanted, ok := p.requests[r.Import][r.PediaCluster]; ok && wanted.Removal == r {
				wanted.verdict, wanted.approved = Approved, b.clock.Now()
			}
		}
	}
}

// with returns the requests of that verdict in a fixed order.
func (p *policyRemovals) with(verdict Verdict) (requests []*request) {
	for _, ofImport := range p.requests {
		for _, r := range ofImport {
			if r.verdict == verdict {
				requests = append(requests, r)
			}
		}
	}
	slices.SortFunc(requests, func(a, b *request) int {
		return cmp.Or(cmp.Compare(a.Import.Namespace, b.Import.Namespace), cmp.Compare(a.Import.Name, b.Import.Name),
			cmp.Compare(a.PediaCluster, b.PediaCluster))
	})
	return requests
}

func removals(requests []*request) (removals []Removal) {
	for _, r := range requests {
		removals = append(removals, r.Removal)
	}
	return removals
}

// plan names just these removals: of these PediaClusters, for these causes.
func plan(requests []*request) string {
	if len(requests) == 0 {
		return ""
	}
	hash := sha256.New()
	for _, r := range requests {
		fmt.Fprintf(hash, "%q %q %q %q\n", r.Import.Namespace, r.Import.Name, r.PediaCluster, r.Cause)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}
