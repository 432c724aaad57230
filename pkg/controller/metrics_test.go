package controller

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	policylisters "github.com/clusterpedia-io/policy-apiserver/pkg/generated/listers/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

func indexerOf(t *testing.T, objects ...runtime.Object) cache.Indexer {
	t.Helper()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, object := range objects {
		if err := indexer.Add(object); err != nil {
			t.Fatal(err)
		}
	}
	return indexer
}

func lifecycleExpiring(name string, at time.Time) *lifecycles.Lifecycle {
	return &lifecycles.Lifecycle{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "ClusterImportPolicy", Name: "mcp", Controller: ptr.To(true)}}},
		Status: policyv1alpha1.PediaClusterLifecycleStatus{
			Credentials: &policyv1alpha1.CredentialsState{ExpirationTime: &metav1.Time{Time: at}}},
	}
}

func TestOnlyTheLeaderTellsOfTheFleet(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	policies := indexerOf(t, &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mcp"},
		Status: policyv1alpha1.ClusterImportPolicyStatus{Prune: &policyv1alpha1.PruneStatus{Held: 3}, Conditions: []metav1.Condition{
			{Type: policyv1alpha1.PolicyReady, Status: metav1.ConditionFalse, Reason: policyv1alpha1.ReasonSourcesUnavailable},
			{Type: policyv1alpha1.PolicyValidated, Status: metav1.ConditionUnknown, Reason: policyv1alpha1.ReasonSourcesUnavailable}}}})
	stored := indexerOf(t, lifecycleExpiring("gone", now.Add(-time.Second)),
		lifecycleExpiring("soon", now.Add(time.Hour)), lifecycleExpiring("late", now.Add(20*day)))
	c := &controllers{store: lifecycles.New(nil, stored, clock.RealClock{}), policies: &policyController{
		lister: policylisters.NewClusterImportPolicyLister(policies), summaries: newPolicySummaries()}}
	c.policies.summaries.set(importOfMCP("a"), imported)
	c.policies.summaries.set(importOfMCP("b"), waiting)
	c.policies.summaries.set(importOfMCP("c"), waiting)

	const follows = `
		# HELP policy_apiserver_leader [ALPHA] 1 on the replica whose controllers run, 0 on the others.
		# TYPE policy_apiserver_leader gauge
		policy_apiserver_leader 0
		`
	const leads = `
		# HELP policy_apiserver_credentials_earliest_expiration_timestamp_seconds [ALPHA] When the first credentials of the policy expire, or expired.
		# TYPE policy_apiserver_credentials_earliest_expiration_timestamp_seconds gauge
		policy_apiserver_credentials_earliest_expiration_timestamp_seconds{policy="mcp"} 999999
		# HELP policy_apiserver_credentials_expiring [ALPHA] PediaClusters whose credentials expire within that time; the longer times include the shorter ones.
		# TYPE policy_apiserver_credentials_expiring gauge
		policy_apiserver_credentials_expiring{policy="mcp",within="1d"} 2
		policy_apiserver_credentials_expiring{policy="mcp",within="30d"} 3
		policy_apiserver_credentials_expiring{policy="mcp",within="7d"} 2
		policy_apiserver_credentials_expiring{policy="mcp",within="expired"} 1
		# HELP policy_apiserver_held_removals [ALPHA] Removals of PediaClusters that maxPrune holds until a user decides.
		# TYPE policy_apiserver_held_removals gauge
		policy_apiserver_held_removals{policy="mcp"} 3
		# HELP policy_apiserver_imports [ALPHA] Imports by phase.
		# TYPE policy_apiserver_imports gauge
		policy_apiserver_imports{phase="Conflict",policy="mcp"} 0
		policy_apiserver_imports{phase="Deleting",policy="mcp"} 0
		policy_apiserver_imports{phase="Failed",policy="mcp"} 0
		policy_apiserver_imports{phase="Held",policy="mcp"} 0
		policy_apiserver_imports{phase="Imported",policy="mcp"} 1
		policy_apiserver_imports{phase="Pending",policy="mcp"} 0
		policy_apiserver_imports{phase="Waiting",policy="mcp"} 2
		# HELP policy_apiserver_leader [ALPHA] 1 on the replica whose controllers run, 0 on the others.
		# TYPE policy_apiserver_leader gauge
		policy_apiserver_leader 1
		# HELP policy_apiserver_policy_condition [ALPHA] 1 for the status and reason that each condition of the policy has.
		# TYPE policy_apiserver_policy_condition gauge
		policy_apiserver_policy_condition{condition="Ready",policy="mcp",reason="SourcesUnavailable",status="false"} 1
		policy_apiserver_policy_condition{condition="Validated",policy="mcp",reason="SourcesUnavailable",status="unknown"} 1
		# HELP policy_apiserver_sources [ALPHA] Sources that the policy selects.
		# TYPE policy_apiserver_sources gauge
		policy_apiserver_sources{policy="mcp"} 3
		`
	collector := &fleetCollector{now: func() time.Time { return now }}
	compare := func(when, want string) {
		t.Helper()
		fresh := &fleetCollector{now: collector.now}
		fresh.running.Store(collector.running.Load())
		if err := testutil.CustomCollectAndCompare(fresh, strings.NewReader(want)); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	compare("before the term", follows)
	unset := collector.set(c)
	compare("during the term", leads)
	unset()
	compare("after the term", follows)

	// A policy that is gone leaves nothing, even if its counts are still there.
	unset = collector.set(c)
	defer unset()
	if err := policies.Replace(nil, ""); err != nil {
		t.Fatal(err)
	}
	compare("without the policy", strings.Replace(follows, "leader 0", "leader 1", 1))
}

func TestWhatWasCountedForAPolicyGoesWithIt(t *testing.T) {
	for _, policy := range []string{"stays", "goes"} {
		(&rendering{began: time.Now()}).observe(policy)
		countRenderError(policy, render.Plan{Action: render.ActionError, Reason: "A"})
		countRenderError(policy, render.Plan{Action: render.ActionError, Reason: "B"})
		countRenderError(policy, render.Plan{Action: render.ActionCreate})
		work := pass{Import: importOfMCP("a"), changed: time.Now()}
		work.Policy = policy
		work.observePropagation(decision.Execution{Plan: render.Plan{Action: render.ActionCreate}})
	}
	defer forgetAllSeries()
	if got, want := seriesOf(t, "goes"), 4; got != want {
		t.Errorf("there are %d series of a policy, want %d", got, want)
	}
	forgetSeries("goes")
	if got := seriesOf(t, "goes"); got != 0 {
		t.Errorf("%d series are left of a policy that is gone", got)
	}
	if got := seriesOf(t, "stays"); got != 4 {
		t.Errorf("%d series are left of the other policy, want 4", got)
	}
}

// seriesOf counts the series of a policy.
func seriesOf(t *testing.T, policy string) (n int) {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "policy" && label.GetValue() == policy {
					n++
				}
			}
		}
	}
	return n
}

func TestOnlyAWriteEndsAPropagation(t *testing.T) {
	changed := time.Now()
	for action, written := range map[render.Action]bool{
		render.ActionCreate: true, render.ActionUpdate: true, render.ActionNone: false, render.ActionError: false,
	} {
		work := pass{Import: importOfMCP("a"), changed: changed}
		work.observePropagation(decision.Execution{Plan: render.Plan{Action: action}})
		if work.changed.IsZero() != written {
			t.Errorf("%s: it waits since %s, written is %t", action, work.changed, written)
		}
	}
	forgetAllSeries()
}
