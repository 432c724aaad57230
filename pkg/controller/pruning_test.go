package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/typed/policy/v1alpha1"
)

// The numbers in the message never contradict each other, and agree with their nouns.
func TestTheMessageOfWhatIsHeld(t *testing.T) {
	went := func(counts ...int32) (recent []policyv1alpha1.PruneCount) {
		for _, count := range counts {
			recent = append(recent, policyv1alpha1.PruneCount{Time: metav1.Now(), Count: count})
		}
		return recent
	}
	for want, prune := range map[string]pruning{
		"the removals of 50 PediaClusters are held, which is more than maxPrune (10%, which is 20 now)": {held: 50, share: "10%", most: 20},
		"the removal of 1 PediaCluster is held, which is more than maxPrune (0)":                        {held: 1, share: "0", most: 0},
		"the removals of 2 PediaClusters are held, which is more than maxPrune (0%, which is 0 now)":    {held: 2, share: "0%", most: 0, recent: went(3)},
		"the removal of 1 PediaCluster is held: with the 2 removed within 10 minutes it would be more than maxPrune (2)": {
			held: 1, share: "2", most: 2, recent: went(1, 1)},
		"the removal of 1 PediaCluster is held: more than maxPrune (10%, which is 1 now) were to be removed together, and removals that are held stay held until they are released or their cause ends": {
			held: 1, share: "10%", most: 1},
	} {
		if diff := cmp.Diff(want, prune.describe()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		prune.plan = "0123456789abcdef"
		message := prune.conditions(mcpState().policy)[0].Message
		if !strings.HasPrefix(message, want+". ") || !strings.HasSuffix(message, "kubectl annotate clusterimportpolicy mcp policy.clusterpedia.io/release-prune=0123456789abcdef") {
			t.Errorf("the condition says: %s", message)
		}
	}
}

// conclude has the policy controller decide about what the brake was asked for, a minute after
// it was asked, and returns the policy as it is stored then, which the informer shows.
func (o *oneImport) conclude(t *testing.T) *policyv1alpha1.ClusterImportPolicy {
	t.Helper()
	o.time.SetTime(o.time.Now().Add(time.Minute))
	delete(o.policies.written, "mcp") // long ago, too
	o.forgetsQueue()
	if err := o.policies.conclude(t.Context(), o.policies.state("mcp")); err != nil {
		t.Fatal(err)
	}
	return o.showsPolicy(t)
}

// showsPolicy has the informer show the policy as it is stored.
func (o *oneImport) showsPolicy(t *testing.T) *policyv1alpha1.ClusterImportPolicy {
	t.Helper()
	stored, err := o.policies.client.Get(t.Context(), "mcp", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	state := *o.policies.state("mcp")
	state.policy = stored
	o.setState(&state)
	return stored
}

// isToGo is an import that is no longer selected under a policy with that maxPrune, whose brake
// was asked.
func isToGo(t *testing.T, maxPrune intstr.IntOrString) *oneImport {
	t.Helper()
	one := newOneImport(t)
	one.policies.queue = &addsLater[string]{TypedRateLimitingInterface: one.policies.queue}
	one.changeState(t, func(s *policyState) {
		s.policy.Spec.MaxPrune = &maxPrune
		s.policy.Spec.Source.SelectorTemplate = "false"
	})
	begin(one.policies.summaries, "a")
	one.pass(t)
	return one
}

func TestARemovalWithinTheLimitGoesWhenItIsCounted(t *testing.T) {
	one := isToGo(t, intstr.FromString("10%"))
	if err := one.policies.conclude(t.Context(), one.policies.state("mcp")); err != nil {
		t.Fatal(err)
	}
	if later := one.policies.queue.(*addsLater[string]).added["mcp"]; len(later) == 0 || later[len(later)-1] > brake.Quiet {
		t.Errorf("it is decided later, at %v", later)
	}
	one.showsPolicy(t)
	policy := one.conclude(t)
	if prune := policy.Status.Prune; prune == nil || prune.Held != 0 || sum(prune.Recent) != 1 {
		t.Fatalf("the status says %+v", prune)
	}
	one.wantEnqueued(t, "it is approved", "mcp/a, single")
	one.again(t)
	if one.pediaCluster(t, "mcp-a") != nil {
		t.Error("it does not go")
	}
	// It counts for ten minutes, whoever leads.
	if prune, _ := one.policies.currentPruning(policy, metav1.NewTime(time.Now().Add(5*time.Minute))); sum(prune.recent) != 1 {
		t.Errorf("after five minutes %+v count", prune.recent)
	}
	if prune, _ := one.policies.currentPruning(policy, metav1.NewTime(time.Now().Add(12*time.Minute))); sum(prune.recent) != 0 {
		t.Errorf("after twelve minutes %+v count", prune.recent)
	}
}

func TestWhatIsTooMuchIsHeldUntilItsPlanIsReleased(t *testing.T) {
	one := isToGo(t, intstr.FromInt32(0))
	policy := one.conclude(t)
	prune := policy.Status.Prune
	if prune == nil || prune.Held != 1 || prune.Plan == "" || !meta.IsStatusConditionTrue(policy.Status.Conditions, policyv1alpha1.PolicyPruneHeld) || policy.Status.Counts.Held != 1 {
		t.Fatalf("the status says %+v", policy.Status)
	}
	one.wantEnqueued(t, "it is told", "mcp/a, single")
	one.again(t)
	if said := one.stored(t).Status; said.PrunePlan != prune.Plan {
		t.Errorf("the lifecycle says %+v", said)
	}
	release := func(plan string) *policyv1alpha1.ClusterImportPolicy {
		one.changeState(t, func(s *policyState) {
			s.policy.Annotations = map[string]string{policyv1alpha1.ReleasePruneAnnotation: plan}
		})
		one.conclude(t)
		return one.showsPolicy(t)
	}
	stale := release("another")
	if _, left := stale.Annotations[policyv1alpha1.ReleasePruneAnnotation]; left || stale.Status.Prune.Held != 1 {
		t.Errorf("a stale plan leaves %v, %+v", stale.Annotations, stale.Status.Prune)
	}
	if one.again(t); one.pediaCluster(t, "mcp-a") == nil {
		t.Fatal("a stale plan releases it")
	}
	released := release(prune.Plan)
	if _, left := released.Annotations[policyv1alpha1.ReleasePruneAnnotation]; left || released.Status.Counts.Deleting != 1 {
		t.Errorf("the plan leaves %v, %+v", released.Annotations, released.Status)
	}
	if one.again(t); one.pediaCluster(t, "mcp-a") != nil {
		t.Error("it does not go")
	}
	one.syncOverlay(t, "mcp-a")
	one.pass(t)
	if policy := one.conclude(t); policy.Status.Prune != nil || meta.FindStatusCondition(policy.Status.Conditions, policyv1alpha1.PolicyPruneHeld).Reason != policyv1alpha1.ReasonNothingHeld {
		t.Errorf("afterwards the status says %+v", policy.Status)
	}
}

// What another process held is held until this one has decided.
func TestWhatWasHeldBeforeThisProcessStaysHeld(t *testing.T) {
	one := isToGo(t, intstr.FromInt32(100))
	one.changeState(t, func(s *policyState) { s.policy.Status.Prune = &policyv1alpha1.PruneStatus{Plan: "before", Held: 1} })
	if policy := one.conclude(t); policy.Status.Prune.Held != 1 || policy.Status.Prune.Plan == "before" {
		t.Errorf("the status says %+v", policy.Status.Prune)
	}
	if one.again(t); one.pediaCluster(t, "mcp-a") == nil {
		t.Error("it goes, after a change of leader")
	}
}

// Nothing is decided while it is not known what is to go, nor before the decision is stored.
func TestTheBrakeDecidesOnlyWhatItKnowsAndWrites(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *oneImport){
		"imports are left to work on": func(_ *testing.T, one *oneImport) { begin(one.policies.summaries, "a", "b") },
		"the policy has a problem": func(t *testing.T, one *oneImport) {
			one.changeState(t, func(s *policyState) { s.problem = &problem{reason: "SourceTypeNotServed", lasting: true} })
		},
		"it is suspended": func(t *testing.T, one *oneImport) {
			one.changeState(t, func(s *policyState) { s.policy.Spec.Suspend = true })
		},
		"it is being deleted": func(t *testing.T, one *oneImport) {
			one.changeState(t, func(s *policyState) { s.policy.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
		},
		"its status has changed meanwhile": func(_ *testing.T, one *oneImport) {
			one.policies.client = conflicting{one.policies.client}
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := isToGo(t, intstr.FromInt32(1))
			change(t, one)
			one.conclude(t)
			if one.brake.Pending("mcp") > 0 {
				t.Error("it may go")
			}
		})
	}
}

// conflicting is a client whose status somebody else always writes first.
type conflicting struct {
	policyclient.ClusterImportPolicyInterface
}

func (conflicting) UpdateStatus(context.Context, *policyv1alpha1.ClusterImportPolicy, metav1.UpdateOptions) (*policyv1alpha1.ClusterImportPolicy, error) {
	return nil, apierrors.NewConflict(policyv1alpha1.Resource("clusterimportpolicies"), "mcp", errors.New("it has changed"))
}

func TestASuspendedPolicyTakesBackWhatWasApproved(t *testing.T) {
	one := isToGo(t, intstr.FromInt32(1))
	one.conclude(t)
	if one.brake.Pending("mcp") != 1 {
		t.Fatal("it is not approved")
	}
	one.changeState(t, func(s *policyState) { s.policy.Spec.Suspend = true })
	one.conclude(t)
	if one.brake.Pending("mcp") != 0 {
		t.Error("it may still go")
	}
}

func TestRemovalsAreCountedByTheMinute(t *testing.T) {
	minute := func(n int) metav1.Time { return metav1.NewTime(time.Unix(int64(n)*60, 0)) }
	at := func(n, seconds int) metav1.Time { return metav1.NewTime(time.Unix(int64(n)*60+int64(seconds), 0)) }
	recent := counted(nil, 2, at(100, 5))
	recent = counted(recent, 3, at(100, 59))
	shared := recent
	recent = counted(recent, 1, at(101, 0))
	recent = counted(recent, 0, at(102, 0))
	want := []policyv1alpha1.PruneCount{{Time: minute(100), Count: 5}, {Time: minute(101), Count: 1}}
	if diff := cmp.Diff(want, recent); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if counted(shared, 1, at(100, 59)); shared[0].Count != 5 {
		t.Error("what was counted before has changed")
	}
	for now, left := range map[metav1.Time]int{at(110, 59): 2, at(111, 0): 1, at(111, 59): 1, at(112, 0): 0} {
		if got := len(recentOnly(recent, now.Time)); got != left {
			t.Errorf("at %v %d minutes are left, want %d", now.UTC(), got, left)
		}
	}
}
