package decision

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

var then = metav1.NewTime(time.Unix(1_000_000, 0))

// lifecycle is one of policy "mcp" for the Source "a".
func lifecycle(change ...func(*Lifecycle)) *Lifecycle {
	l := &Lifecycle{
		ObjectMeta: metav1.ObjectMeta{Name: "mcp-a", UID: "lc", Finalizers: []string{policyv1alpha1.Finalizer},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "ClusterImportPolicy",
				Name: "mcp", UID: "p", Controller: ptr.To(true)}}},
		Spec: policyv1alpha1.PediaClusterLifecycleSpec{Source: policyv1alpha1.DependentResource{Group: "cluster.mcp.io", Resource: "clusters", Name: "a"}},
	}
	for _, f := range change {
		f(l)
	}
	return l
}

func annotated(annotation string) func(*Lifecycle) {
	return func(l *Lifecycle) {
		if l.Annotations == nil {
			l.Annotations = map[string]string{}
		}
		l.Annotations[annotation] = "true"
	}
}

func waiting(l *Lifecycle) { l.Status.Phase = policyv1alpha1.LifecycleWaiting }

func going(l *Lifecycle) { l.DeletionTimestamp = &then }

var (
	removedByServer = annotated(policyv1alpha1.RemovedAnnotation)
	paused          = annotated(policyv1alpha1.PausedAnnotation)
	orphaned        = annotated(policyv1alpha1.OrphanAnnotation)
)

func policy() *policyv1alpha1.ClusterImportPolicy {
	p := &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mcp", UID: "p"}}
	p.Spec.DeletionPolicy = policyv1alpha1.DeletionPolicyDelete
	return p
}

// snapshot is one of a selected Source with one lifecycle, changed.
func snapshot(change ...func(*Snapshot)) *Snapshot {
	s := &Snapshot{
		Policy:     policy(),
		Lifecycles: []*Lifecycle{lifecycle()},
		Source:     Source{Presence: Present, Selected: true},
	}
	for _, f := range change {
		f(s)
	}
	return s
}

func of(lifecycles ...*Lifecycle) func(*Snapshot) {
	return func(s *Snapshot) { s.Lifecycles = lifecycles }
}

// in words what is decided.
func words(d Decision) string {
	text := ""
	for _, r := range append(slices.Clone(d.Release), d.Remove...) {
		text += fmt.Sprintf("%s %s for %s", []string{"delete", "orphan", "retain"}[r.Fate], r.Lifecycle.Name, r.Cause)
		if r.Counted {
			text += ", counted"
		}
		text += "; "
	}
	switch {
	case d.Observe:
		return text + "observe"
	case d.Converge:
		return text + "converge"
	case d.Rest:
		return text + "rest"
	case d.Blocked != nil:
		return text + fmt.Sprintf("blocked: %s/%s", d.Blocked.Phase, d.Blocked.Reason)
	case text == "":
		return "nothing is left"
	default:
		return text[:len(text)-2]
	}
}

func TestTheFirstRuleThatAppliesDecides(t *testing.T) {
	gone := func(seen bool) func(*Snapshot) {
		return func(s *Snapshot) { s.Source = Source{Presence: Gone, DeletionSeen: seen} }
	}
	deselected := func(s *Snapshot) { s.Source.Selected = false }
	suspended := func(s *Snapshot) { s.Policy.Spec.Suspend = true }
	orphaning := func(s *Snapshot) { s.Policy.Spec.DeletionPolicy = policyv1alpha1.DeletionPolicyOrphan }
	policyGoing := func(s *Snapshot) { s.Policy.DeletionTimestamp = &then }
	problem := func(lasting bool) func(*Snapshot) {
		return func(s *Snapshot) {
			s.Problem = &Problem{Message: "no", Lasting: lasting}
			s.Source = Source{Presence: Unknown}
		}
	}
	for _, test := range []struct {
		name string
		*Snapshot
		rule, want string
	}{
		{"a selected Source", snapshot(), "the Source is selected", "converge"},
		{"a selected Source without a lifecycle", snapshot(of()), "the Source is selected", "converge"},

		{"a policy that is deleted", snapshot(policyGoing), "the policy is being deleted", "delete mcp-a for PolicyDeleted"},
		{"a suspended policy that is deleted", snapshot(policyGoing, suspended), "the policy is being deleted", "orphan mcp-a for PolicyDeleted"},
		{"a policy that is deleted with --cascade=orphan", snapshot(policyGoing, func(s *Snapshot) { s.Policy.Annotations = map[string]string{policyv1alpha1.OrphanAnnotation: "true"} }),
			"the policy is being deleted", "orphan mcp-a for PolicyDeleted"},
		{"an orphaning policy that is deleted", snapshot(policyGoing, orphaning), "the policy is being deleted", "orphan mcp-a for PolicyDeleted"},
		{"a policy that is deleted though it has a problem", snapshot(policyGoing, problem(true)), "the policy is being deleted", "delete mcp-a for PolicyDeleted"},
		{"a policy that is deleted while a lifecycle is paused", snapshot(policyGoing, of(lifecycle(paused))), "the policy is being deleted", "delete mcp-a for PolicyDeleted"},

		{"a lifecycle that a person deletes", snapshot(of(lifecycle(going))), "the Source is selected", "orphan mcp-a for Released; converge"},
		{"that, under a policy that is deleted", snapshot(policyGoing, of(lifecycle(going))), "the policy is being deleted", "orphan mcp-a for Released"},
		{"that, under a suspended policy", snapshot(suspended, of(lifecycle(going))), "the policy is suspended", "orphan mcp-a for Released; rest"},
		{"that, under a policy with a problem", snapshot(problem(false), of(lifecycle(going))), "the policy has a problem", "orphan mcp-a for Released; rest"},
		{"that, under a policy with a lasting problem", snapshot(problem(true), of(lifecycle(going))), "the policy has a problem",
			"orphan mcp-a for Released; blocked: Waiting/WaitingForType"},
		{"that, paused", snapshot(of(lifecycle(going, paused))), "a lifecycle is paused", "orphan mcp-a for Released; blocked: Held/Paused"},
		{"that, while the Source is not selected", snapshot(deselected, of(lifecycle(going))), "the Source is not selected", "orphan mcp-a for Released"},
		{"that, after the Source was deleted", snapshot(gone(true), of(lifecycle(going))), "the Source no longer exists", "orphan mcp-a for Released"},
		{"one of two, while the Source no longer exists", snapshot(gone(true), of(lifecycle(going), lifecycle(func(l *Lifecycle) { l.Name = "mcp-b" }))),
			"the Source no longer exists", "orphan mcp-a for Released; delete mcp-b for SourceGone"},
		{"what this server removes, which a person wants to stay", snapshot(deselected, of(lifecycle(going, removedByServer, orphaned))),
			"the Source is not selected", "orphan mcp-a for Released"},

		{"a lasting problem", snapshot(problem(true)), "the policy has a problem", "blocked: Waiting/WaitingForType"},
		{"a problem that is not lasting", snapshot(problem(false), of(lifecycle(waiting))), "the policy has a problem", "rest"},
		{"that, where nothing was said before", snapshot(problem(false)), "the policy has a problem", "blocked: Waiting/WaitingForType"},
		{"that, while a name changes", snapshot(problem(false), of(lifecycle(), lifecycle())), "the policy has a problem", "rest"},
		{"a passing problem, where nothing was said before", snapshot(problem(false), func(s *Snapshot) { s.Problem.Passing = true }), "the policy has a problem", "rest"},
		{"a suspended policy", snapshot(suspended, deselected), "the policy is suspended", "rest"},
		{"a suspended policy whose Source is gone", snapshot(suspended, gone(true)), "the policy is suspended", "rest"},
		{"a paused lifecycle", snapshot(of(lifecycle(paused))), "a lifecycle is paused", "blocked: Held/Paused"},
		{"a paused lifecycle whose Source is gone", snapshot(gone(true), of(lifecycle(paused))), "a lifecycle is paused", "blocked: Held/Paused"},
		{"a lost type", snapshot(func(s *Snapshot) { s.Source = Source{Presence: TypeLost, TypeLost: "its definition is gone"} }),
			"the type of the Source is lost", "blocked: Held/SourceTypeLost"},

		{"a Source that was deleted", snapshot(gone(true)), "the Source no longer exists", "delete mcp-a for SourceGone"},
		{"a Source that is absent", snapshot(gone(false)), "the Source no longer exists", "delete mcp-a for SourceGone, counted"},
		{"that, under an orphaning policy", snapshot(orphaning, gone(true)), "the Source no longer exists", "orphan mcp-a for SourceGone"},
		{"that, while this server removes it already", snapshot(gone(false), of(lifecycle(going, removedByServer))),
			"the Source no longer exists", "delete mcp-a for SourceGone, counted"},
		{"a paused lifecycle whose removal had begun", snapshot(of(lifecycle(going, removedByServer, paused))),
			"a lifecycle is paused", "retain mcp-a for Released; blocked: Held/Paused"},
		{"nothing", snapshot(of(), func(s *Snapshot) { s.Source = Source{Presence: Never} }), "the Source never was", "nothing is left"},

		{"a Source that nobody has asked the host about", snapshot(func(s *Snapshot) { s.Source = Source{} }), "nothing is known of the Source", "observe"},
		{"a selector that fails", snapshot(func(s *Snapshot) { s.Source = Source{Presence: Present, SelectorErr: errors.New("no such key")} }),
			"the selector fails", "blocked: Failed/SelectorFailed"},
		{"a Source that is not selected", snapshot(deselected), "the Source is not selected", "delete mcp-a for SourceDeselected, counted"},
		{"one that never was", snapshot(deselected, of()), "the Source is not selected", "nothing is left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := Decide(test.Snapshot)
			if d.Rule != test.rule || words(d) != test.want {
				t.Errorf("%s: %s\nwant %s: %s", d.Rule, words(d), test.rule, test.want)
			}
		})
	}
}

// anySnapshot makes a snapshot of any facts at all.
func anySnapshot(random *rand.Rand) *Snapshot {
	maybe := func() bool { return random.IntN(3) == 0 }
	s := &Snapshot{Policy: policy()}
	s.Policy.Spec.Suspend = maybe()
	if maybe() {
		s.Policy.Annotations = map[string]string{policyv1alpha1.OrphanAnnotation: "true"}
	}
	if maybe() {
		s.Policy.Spec.DeletionPolicy = policyv1alpha1.DeletionPolicyOrphan
	}
	if maybe() {
		s.Policy.DeletionTimestamp = &then
	}
	if maybe() {
		s.Problem = &Problem{Lasting: maybe(), Passing: maybe()}
	}
	for n := range random.IntN(3) {
		l := lifecycle(func(l *Lifecycle) { l.Name = fmt.Sprint("mcp-", n) })
		for _, change := range []func(*Lifecycle){going, removedByServer, paused, orphaned} {
			if maybe() {
				change(l)
			}
		}
		s.Lifecycles = append(s.Lifecycles, l)
	}
	s.Source = Source{Presence: Presence(random.IntN(int(TypeLost) + 1)), DeletionSeen: maybe(), Selected: maybe()}
	if maybe() {
		s.Source.SelectorErr = errors.New("no such key")
	}
	return s
}

// onAnySnapshots calls check with many snapshots of any facts at all.
func onAnySnapshots(t *testing.T, check func(t *testing.T, s *Snapshot, d Decision)) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 20_000 {
		s := anySnapshot(random)
		d := Decide(s)
		if check(t, s, d); t.Failed() {
			t.Fatalf("snapshot %d: %+v\n%s: %s", n, s, d.Rule, words(d))
		}
	}
}

func TestWhatIsNotKnownRemovesNothing(t *testing.T) {
	onAnySnapshots(t, func(t *testing.T, s *Snapshot, d Decision) {
		asked := s.Policy.DeletionTimestamp != nil
		unknown := s.Problem != nil || s.Source.Presence == Unknown || s.Source.Presence == TypeLost ||
			s.Source.Presence == Present && s.Source.SelectorErr != nil
		for _, r := range d.Remove {
			if unknown && !asked && r.Fate == Delete {
				t.Errorf("%s is removed", r.Lifecycle.Name)
			}
		}
	})
}

func TestNothingIsRemovedWithoutACause(t *testing.T) {
	onAnySnapshots(t, func(t *testing.T, s *Snapshot, d Decision) {
		for _, r := range d.Remove {
			var holds bool
			switch r.Cause {
			case policyv1alpha1.ReasonPolicyDeleted:
				holds = s.Policy.DeletionTimestamp != nil
			case policyv1alpha1.ReasonReleased: // a removal that had begun, whose cause is not there any more
				holds = r.Fate == Retain && r.Lifecycle.DeletionTimestamp != nil && d.Blocked != nil
			case policyv1alpha1.ReasonSourceGone:
				holds = s.Source.Presence == Gone && r.Counted == !s.Source.DeletionSeen
			case policyv1alpha1.ReasonSourceDeselected:
				holds = s.Source.Presence == Present && s.Source.SelectorErr == nil && !s.Source.Selected && r.Counted
			}
			if !holds {
				t.Errorf("%s is removed for %s", r.Lifecycle.Name, r.Cause)
			}
		}
	})
}

func TestWhatAPersonDeletesIsReleasedAndNothingElse(t *testing.T) {
	onAnySnapshots(t, func(t *testing.T, s *Snapshot, d Decision) {
		released := map[string]bool{}
		for _, r := range d.Release {
			released[r.Lifecycle.Name] = r.Fate == Orphan
		}
		for _, l := range s.Lifecycles {
			if released[l.Name] != DeletedByPerson(l) {
				t.Errorf("%s is released: %t", l.Name, released[l.Name])
			}
		}
		for _, r := range d.Remove {
			if released[r.Lifecycle.Name] {
				t.Errorf("%s is removed twice", r.Lifecycle.Name)
			}
		}
	})
}

func TestOnlyWhatIsOursAndNobodyWantsToStayIsDeleted(t *testing.T) {
	pediaClusters := map[string]*unstructured.Unstructured{
		"ours": pediaCluster(), "its users'": pediaCluster(notOurs), "of another import": pediaCluster(ofAnother),
		"younger than the request": pediaCluster(func(o *unstructured.Unstructured) {
			o.SetCreationTimestamp(metav1.NewTime(then.Add(underWay + time.Second)))
		}),
	}
	onAnySnapshots(t, func(t *testing.T, s *Snapshot, d Decision) {
		for _, r := range d.Remove {
			for whose, object := range pediaClusters {
				if r.FateOf(object) != Delete {
					continue
				}
				by := r.Lifecycle
				switch {
				case whose != "ours" && (whose != "younger than the request" || r.Asked != nil),
					Paused(by), HasOrphanAnnotation(by),
					s.Policy.Spec.DeletionPolicy == policyv1alpha1.DeletionPolicyOrphan,
					DeletedByPerson(by),
					s.Policy.DeletionTimestamp != nil && (s.Policy.Spec.Suspend || HasOrphanAnnotation(s.Policy)):
					t.Errorf("%s, which is %s, is deleted", by.Name, whose)
				}
			}
		}
	})
}

func TestDecidingTwiceChangesNothing(t *testing.T) {
	onAnySnapshots(t, func(t *testing.T, s *Snapshot, d Decision) {
		if again := Decide(s); !reflect.DeepEqual(d, again) {
			t.Error(cmp.Diff(words(d), words(again)))
		}
	})
}

func TestEveryRuleDecidesSomething(t *testing.T) {
	decided := map[string]bool{}
	onAnySnapshots(t, func(_ *testing.T, _ *Snapshot, d Decision) { decided[d.Rule] = true })
	for _, r := range rules {
		if !decided[r.name] {
			t.Errorf("%q decides nothing", r.name)
		}
	}
	if slices.ContainsFunc(rules, func(r rule) bool { return r.name == "" }) {
		t.Error("a rule has no name")
	}
}

func TestAPreviewSaysWhatTheRulesBlock(t *testing.T) {
	paused := lifecycle(func(l *Lifecycle) { l.Annotations = map[string]string{policyv1alpha1.PausedAnnotation: "true"} })
	const create, update, remove, none, wait, failed = policyv1alpha1.RenderCreate, policyv1alpha1.RenderUpdate, policyv1alpha1.RenderDelete,
		policyv1alpha1.RenderNone, policyv1alpha1.RenderWait, policyv1alpha1.RenderError
	for name, test := range map[string]struct {
		result     policyv1alpha1.RenderResult
		lifecycles []*Lifecycle
		want       policyv1alpha1.RenderAction
		says       string
	}{
		"an update":                        {policyv1alpha1.RenderResult{Action: update, Selected: true}, []*Lifecycle{paused}, wait, "the action would be Update"},
		"a creation":                       {policyv1alpha1.RenderResult{Action: create, Selected: true}, []*Lifecycle{paused}, wait, "the action would be Create"},
		"a removal":                        {policyv1alpha1.RenderResult{Action: remove}, []*Lifecycle{paused}, wait, "the action would be Delete"},
		"nothing to do":                    {policyv1alpha1.RenderResult{Action: none, Selected: true}, []*Lifecycle{paused}, wait, "until the annotation"},
		"one of two, while a name changes": {policyv1alpha1.RenderResult{Action: update, Selected: true}, []*Lifecycle{lifecycle(), paused}, wait, "the action would be Update"},
		"an error":                         {policyv1alpha1.RenderResult{Action: failed, Message: "line 1"}, []*Lifecycle{paused}, failed, "line 1"},
		"what is not paused":               {policyv1alpha1.RenderResult{Action: update, Selected: true}, []*Lifecycle{lifecycle()}, update, ""},
		"what is not selected":             {policyv1alpha1.RenderResult{Action: remove}, []*Lifecycle{lifecycle()}, remove, ""},
		"what is new":                      {policyv1alpha1.RenderResult{Action: create, Selected: true}, nil, create, ""},
	} {
		t.Run(name, func(t *testing.T) {
			Block(&test.result, nil, test.lifecycles)
			if test.result.Action != test.want || !strings.Contains(test.result.Message, test.says) {
				t.Errorf("%s: %s", test.result.Action, test.result.Message)
			}
			if paused := test.want == wait; paused != (test.result.Reason == policyv1alpha1.ReasonPaused) {
				t.Errorf("the reason is %q", test.result.Reason)
			}
		})
	}
}
