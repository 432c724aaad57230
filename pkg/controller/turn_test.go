package controller

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

func rolloutOf(change func(*policyv1alpha1.Rollout)) *policyv1alpha1.Rollout {
	rollout := &policyv1alpha1.Rollout{}
	if change != nil {
		change(rollout)
	}
	policyv1alpha1.SetDefaults_Rollout(rollout)
	return rollout
}

// editInTurns edits the policy, which has a rollout from then on, and has the import worked on.
func (o *oneImport) editInTurns(t *testing.T, generation int64, endpoint string, change func(*policyv1alpha1.ClusterImportPolicy)) {
	t.Helper()
	state := stateOfOne(t, generation, endpoint)
	state.policy.Spec.Rollout = rolloutOf(nil)
	if change != nil {
		change(state.policy)
		if problem := state.compile(); problem != nil {
			t.Fatal(problem)
		}
	}
	o.policies.resolveRollout(state, o.policies.state("mcp"))
	o.setState(state)
	o.again(t)
}

// last is what was reported of an import, nil for nothing.
func (r *rollouts) last(i memory.Import) *decision.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.policies[i.Policy]; ok && p.members[i] != nil {
		m := p.members[i].Member
		return &m
	}
	return nil
}

// decideRollout has it decided who is next.
func (o *oneImport) decideRollout(t *testing.T) *decision.RolloutDecision {
	t.Helper()
	decided := o.policies.decideRollout(o.policies.state("mcp"), true)
	if decided == nil {
		t.Fatal("it is not decided who is next")
	}
	return decided
}

// takes has the import take its turn.
func (o *oneImport) takes(t *testing.T) {
	t.Helper()
	o.decideRollout(t)
	o.again(t)
	o.isWritten(t)
}

func (o *oneImport) rollout(t *testing.T) policyv1alpha1.LifecycleRollout {
	t.Helper()
	rollout := o.stored(t).Status.Rollout
	if rollout == nil {
		t.Fatal("the lifecycle says nothing of its revision")
	}
	return *rollout
}

func TestAnImportKeepsWhatItHasUntilItsTurn(t *testing.T) {
	one := newOneImport(t)
	one.editInTurns(t, 2, "https://new", func(p *policyv1alpha1.ClusterImportPolicy) {
		p.Spec.DeletionPolicy = policyv1alpha1.DeletionPolicyOrphan
	})
	one.isWritten(t)
	one.wantEndpoint(t, "https://old")
	former := one.stored(t)
	if !strings.Contains(former.Spec.Template, "https://old") || former.Spec.DeletionPolicy != policyv1alpha1.DeletionPolicyOrphan {
		t.Errorf("it records %+v", former.Spec)
	}
	if former.Status.Rollout == nil || former.Status.Rollout.State != policyv1alpha1.RolloutVerified {
		t.Errorf("it says %+v of its revision", former.Status.Rollout)
	}
	written := len(one.storage.Writes())
	one.again(t)
	if writes := one.storage.Writes()[written:]; len(writes) > 0 {
		t.Errorf("it writes %v while it waits", writes)
	}

	// The host is written when it is stored what the import takes.
	asked, stored := len(one.host.Actions()), policyv1alpha1.LifecycleRollout{}
	one.host.PrependReactor("patch", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
		lifecycle, err := one.storage.Get(t.Context(), "mcp-a")
		if err == nil && lifecycle.Status.Rollout != nil && strings.Contains(lifecycle.Spec.Template, "https://new") {
			stored = *lifecycle.Status.Rollout
		}
		return false, nil, nil
	})
	decided := one.decideRollout(t)
	if !decided.RollingOut || decided.Status.Total != 1 || decided.Status.Updated != 0 || decided.Status.StartTime == nil {
		t.Errorf("the policy says %+v", decided.Status)
	}
	one.again(t)
	one.wantEndpoint(t, "https://new")
	revision := one.policies.state("mcp").revision
	if stored.State != policyv1alpha1.RolloutUnverified || stored.Revision != revision || stored.TakenTime == nil || stored.Before == "" {
		t.Errorf("when the host was written, what was stored is %+v", stored)
	}
	if got := one.rollout(t); got.State != policyv1alpha1.RolloutVerified || got.Revision != revision || got.WrittenTime == nil {
		t.Errorf("in the end it says %+v", got)
	}
	if writes := one.writesToHost(asked); !slices.Equal(writes, []string{"patch"}) {
		t.Errorf("it writes %v to the host", writes)
	}
	if writes := one.storage.Writes()[written:]; !slices.Equal(writes, []string{"update mcp-a", "update mcp-a"}) {
		t.Errorf("it writes %v to storage", writes)
	}
}

// settledWithSecret is an import that reads a Secret, under a policy with a rollout of generation 2,
// and of which nothing is left to do.
func settledWithSecret(t *testing.T) *oneImport {
	t.Helper()
	one := withSecret(t)
	one.typesAreServed(t)
	one.hasSecret(t, "7", "aHR0cHM6Ly9vbmU=")
	one.edited(t, func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.Rollout = rolloutOf(nil) })
	one.pass(t)
	one.showsPediaCluster(t, "https://one")
	one.stored(t)
	one.pass(t)
	one.decideRollout(t)
	if !one.isSettledNow() {
		t.Fatal("something is left to do")
	}
	return one
}

// typesAreServed has the policy controller know which types the host serves.
func (o *oneImport) typesAreServed(t *testing.T) {
	t.Helper()
	o.policies.types = servedtypes.New(served{}, o.metadata, func() {})
	go o.policies.types.Run(t.Context())
	eventually(t, func() bool {
		_, err := o.policies.types.Resolve(secrets.GroupResource(), nil)
		return err == nil
	})
}

// edited edits the policy as the policy controller hears of it, and leaves the work on the import
// to the queue.
func (o *oneImport) edited(t *testing.T, change func(*policyv1alpha1.ClusterImportPolicy)) {
	t.Helper()
	o.policies.enqueueImports(o.seesEdit(t, change))
}

// seesEdit has the policy known as edited, before its imports are enqueued.
func (o *oneImport) seesEdit(t *testing.T, change func(*policyv1alpha1.ClusterImportPolicy)) (now, before *policyState) {
	t.Helper()
	before = o.policies.state("mcp")
	now = &policyState{}
	*now = *before
	now.policy, now.recorded = before.policy.DeepCopy(), nil
	now.policy.Generation++
	change(now.policy)
	if problem := now.compile(); problem != nil {
		t.Fatal(problem)
	}
	if len(now.policy.Spec.References) == 0 {
		now.references = nil
	}
	o.policies.resolveRollout(now, before)
	o.setState(now)
	return now, before
}

func wantTemplate(endpoint string) func(*policyv1alpha1.ClusterImportPolicy) {
	return func(p *policyv1alpha1.ClusterImportPolicy) {
		p.Spec.Template = "spec:\n  apiserver: " + endpoint + "\n  syncResources: []\n"
		p.Spec.References = nil
	}
}

// What an import reads stays watched after an edit, though no informer has shown its lifecycle yet.
func TestWhatANewImportReadsStaysWatched(t *testing.T) {
	one := withSecret(t)
	one.typesAreServed(t)
	one.hasSecret(t, "7", "aHR0cHM6Ly9vbmU=")
	one.edited(t, func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.Rollout = rolloutOf(nil) })
	one.pass(t)
	read := one.policies.state("mcp").references[0].kind
	one.policies.subscribe(one.seesEdit(t, wantTemplate("https://new")))
	if synced, _ := one.objects.Status(read); !synced {
		t.Error("a rotated Secret is not noticed")
	}
	if one.policies.state("mcp").recordedBy(&one.lifecyclesOf(one.Import)[0].Spec) == nil {
		t.Error("it is not known what it lives by")
	}
}

// An edit of thousands costs those nothing whose turn it is not: that nothing is left to do under
// the revision that they have was known before.
func TestASettledImportWaitsForItsTurnWithoutARequest(t *testing.T) {
	one := settledWithSecret(t)
	asked, written := len(one.host.Actions()), len(one.storage.Writes())
	one.edited(t, wantTemplate("https://new"))
	one.wantEnqueued(t, "an edit", "mcp/a, bulk")
	one.pass(t)
	if actions, writes := one.host.Actions()[asked:], one.storage.Writes()[written:]; len(actions)+len(writes) > 0 {
		t.Errorf("it asks %v, and writes %v", actions, writes)
	}
	if !one.isSettledNow() {
		t.Error("something is left to do")
	}
	decided := one.decideRollout(t)
	if decided.Status.Total != 1 || decided.Status.Updated != 0 || !decided.RollingOut {
		t.Errorf("the policy says %+v", decided.Status)
	}
	if _, ok := one.policies.summaries.allReconciled("mcp"); !ok {
		t.Error("it counts as one that was not worked on")
	}
	one.pass(t)
	one.isWritten(t)
	one.wantEndpoint(t, "https://new")
	if got := one.rollout(t); got.State != policyv1alpha1.RolloutVerified || got.Revision != one.policies.state("mcp").revision {
		t.Errorf("it says %+v", got)
	}
}

// An import may be worked on by the edited policy before all of them are enqueued. It counts as
// one that is left until it has had the pass that it is enqueued for.
func TestAPassBetweenAnEditAndItsWorkHidesNothing(t *testing.T) {
	for name, pass := range map[string]func(*oneImport, *testing.T){
		"nothing is left to do": (*oneImport).pass, "all its work is done": (*oneImport).again,
	} {
		t.Run(name, func(t *testing.T) {
			one := settledWithSecret(t)
			now, before := one.seesEdit(t, wantTemplate("https://new"))
			pass(one, t)
			one.stored(t)
			one.policies.enqueueImports(now, before)
			one.pass(t)
			if _, ok := one.policies.summaries.allReconciled("mcp"); !ok {
				t.Error("it counts as one that was not worked on")
			}
			one.decideRollout(t)
			one.pass(t)
			one.wantEndpoint(t, "https://new")
		})
	}
}

// What else happens, before the edit or with it, has the import worked on.
func TestWhatHappensBesideAnEditIsWorkedOn(t *testing.T) {
	secret := memory.Object{GroupResource: schema.GroupResource{Resource: "secrets"}, Namespace: "default", Name: "a"}
	const policy, one, two = "https://new", "https://one", "https://two"
	for name, test := range map[string]struct {
		happens func(*testing.T, *oneImport)
		want    string
	}{
		"the Secret is rotated": {func(t *testing.T, o *oneImport) {
			o.hasSecret(t, "8", "aHR0cHM6Ly90d28=")
			o.referenceChanged(secret)
			o.edited(t, wantTemplate(policy))
		}, two},
		"the Secret is rotated after it": {func(t *testing.T, o *oneImport) {
			o.edited(t, wantTemplate(policy))
			o.pass(t)
			o.hasSecretOf(t, o.policies.state("mcp").recorded[0].references[0].kind, "8", "aHR0cHM6Ly90d28=")
			o.referenceChanged(secret)
		}, two},
		"the PediaCluster is changed by another": {func(t *testing.T, o *oneImport) {
			o.edited(t, wantTemplate(policy))
			o.changePediaCluster(t, "300", func(object *unstructured.Unstructured) {
				if err := unstructured.SetNestedField(object.Object, "https://theirs", "spec", "apiserver"); err != nil {
					t.Fatal(err)
				}
			})
		}, one},
		"the edit reaches all at once": {func(t *testing.T, o *oneImport) {
			o.edited(t, func(p *policyv1alpha1.ClusterImportPolicy) {
				wantTemplate(policy)(p)
				p.Spec.Rollout = nil
			})
		}, policy},
	} {
		t.Run(name, func(t *testing.T) {
			o := settledWithSecret(t)
			test.happens(t, o)
			o.pass(t)
			o.wantEndpoint(t, test.want)
		})
	}
}

func TestWhatASettledImportRecordsIsNotSaidWithoutAPassUnless(t *testing.T) {
	for name, test := range map[string]struct {
		differs func(*policyState)
		said    bool
	}{
		"nothing else differs":                  {func(*policyState) {}, true},
		"what it reads has another definition":  {func(s *policyState) { s.recorded[0].references[0].Definition = "another" }, false},
		"what it records is not known":          {func(s *policyState) { s.recorded = nil }, false},
		"what it records cannot be used":        {func(s *policyState) { s.recorded[0].unusable = &decision.Reason{} }, false},
		"what it reads is being listed":         {func(s *policyState) { s.recorded[0].references[0].kind.Resource = "others" }, false},
		"what it records is the newest, and it": {func(s *policyState) { s.newest, s.references = s.recorded[0].revision, s.recorded[0].references }, true},
		"the newest reads another type":         {func(s *policyState) { s.newest = s.recorded[0].revision }, false},
	} {
		t.Run(name, func(t *testing.T) {
			one := settledWithSecret(t)
			one.edited(t, wantTemplate("https://new"))
			state := *one.policies.state("mcp")
			test.differs(&state)
			one.setState(&state)
			_, last := one.memory.Begin(one.Import)
			p := one.newPass()
			if !p.isSettled(last) {
				t.Fatal("something is left to do")
			}
			if said := p.reportSettled(last); said != test.said {
				t.Errorf("it is said: %t", said)
			}
			if known := one.policies.rollouts.hasReported(one.Import, state.policy.Generation); known != test.said {
				t.Errorf("it is known: %t", known)
			}
		})
	}
}

// A pass that began before the edit says what the import recorded before, and nothing of the edit.
func TestAPassFromBeforeTheEditDoesNotHideWhoWaits(t *testing.T) {
	one := settledWithSecret(t)
	one.memory.Invalidate(one.Import)
	var edit sync.Once
	one.host.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		edit.Do(func() { one.edited(t, wantTemplate("https://new")) })
		return false, nil, nil
	})
	one.pass(t)
	one.stored(t)
	if decided := one.policies.decideRollout(one.policies.state("mcp"), true); decided != nil {
		t.Fatalf("it is decided by what the import recorded before the edit: %+v", decided.Status)
	}
	one.pass(t) // what was enqueued
	one.decideRollout(t)
	one.pass(t)
	one.wantEndpoint(t, "https://new")
}

// A pass that ends after the rollout was removed reports all the same. Should its import be gone when
// there is a rollout again, it is not waited for.
func TestWhatIsNoLongerAnImportIsNotWaitedFor(t *testing.T) {
	one := newOneImport(t)
	one.editInTurns(t, 2, "https://new", nil)
	one.isWritten(t)
	one.memory.Invalidate(one.Import)
	one.shown.amidst = func() { // the pass has begun
		one.seesEdit(t, func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.Rollout = nil })
		one.policies.decideRollout(one.policies.state("mcp"), true)
	}
	one.pass(t)
	one.stored(t)
	one.changeState(t, func(*policyState) {})
	one.goes(t)
	one.pass(t)
	one.again(t)
	one.syncOverlay(t, "mcp-a")
	if !one.isGone(t, "mcp-a") {
		t.Fatal("the lifecycle is left")
	}
	one.edited(t, func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.Rollout = rolloutOf(nil) })
	if decided := one.decideRollout(t); decided.Status.Total != 0 {
		t.Errorf("the policy says %+v", decided.Status)
	}
}

func TestTheHostIsNotWrittenBeforeTheRevisionIsStored(t *testing.T) {
	one := newOneImport(t)
	one.editInTurns(t, 2, "https://new", nil)
	one.isWritten(t)
	one.decideRollout(t)
	one.memory.Invalidate(one.Import)
	one.host.PrependReactor("patch", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
		if lifecycle, err := one.storage.Get(t.Context(), "mcp-a"); err != nil || !strings.Contains(lifecycle.Spec.Template, "https://new") {
			t.Errorf("the host is written before the revision is stored: %v", err)
		}
		return false, nil, nil
	})
	one.isBusy.Store(true) // else the write may be made behind the pass, and fail there
	one.storage.Fail(errors.New("storage is down"), false)
	if err := one.reconcile(t.Context(), one.Import); err == nil {
		t.Error("it is not tried again")
	}
	one.wantEndpoint(t, "https://old")
	one.isBusy.Store(false)
	one.isWritten(t)
	one.syncOverlay(t, "mcp-a")
	one.again(t)
	one.wantEndpoint(t, "https://new")
}

func TestWhatNoLongerCompilesKeepsWhatExists(t *testing.T) {
	one := newOneImport(t)
	before := one.policies.state("mcp")
	one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { l.Spec.Template = "spec: {{ removedFunction }}" })
	one.syncOverlay(t, "mcp-a")
	state := stateOfOne(t, 2, "https://new")
	state.policy.Spec.Rollout = rolloutOf(nil)
	one.policies.resolveRollout(state, before)
	one.setState(state)
	one.again(t)
	one.wantEndpoint(t, "https://old")
	if said := one.stored(t); said.Status.Phase != policyv1alpha1.LifecycleFailed || !strings.Contains(readyOf(said).Message, "removedFunction") {
		t.Errorf("it says %+v", said.Status)
	}
	if last := one.policies.rollouts.last(one.Import); last == nil || !last.Waits || !last.Unusable {
		t.Errorf("it reports %+v", last)
	}
	one.takes(t)
	one.wantEndpoint(t, "https://new")
}

// A pass that fails is tried again: others do not go before a canary because of that.
func TestAnImportWhosePassFailsWaitsForItsTurnAllTheSame(t *testing.T) {
	for name, test := range map[string]struct {
		annotations map[string]string
		waits       bool
	}{
		"it waits":                {map[string]string{policyv1alpha1.ResyncAnnotation: "please"}, true},
		"but not if it is paused": {map[string]string{policyv1alpha1.ResyncAnnotation: "please", policyv1alpha1.PausedAnnotation: "true"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			one.editInTurns(t, 2, "https://new", nil)
			one.changeLifecycle(t, func(l *lifecycles.Lifecycle) { l.Annotations = test.annotations })
			one.hostFails("get", "clusters", errHost) // as a resync has its Source read
			one.memory.Invalidate(one.Import)
			err := one.reconcile(t.Context(), one.Import)
			if failed := err != nil; failed != test.waits {
				t.Errorf("the pass ends with %v", err)
			}
			if last := one.policies.rollouts.last(one.Import); last == nil || last.Waits != test.waits {
				t.Errorf("it reports %+v", last)
			}
		})
	}
}

// An import that cannot be worked on by what it records gets its new name when it has had its turn.
func TestWhatNoLongerCompilesIsRenamedLater(t *testing.T) {
	one := newOneImport(t)
	one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { l.Spec.Template = "spec: {{ removedFunction }}" })
	one.syncOverlay(t, "mcp-a")
	one.editInTurns(t, 2, "https://new", func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.NameTemplate = "renamed" })
	one.wantEndpoint(t, "https://old")
	one.takes(t)
	one.wantEndpoint(t, "https://new")
	one.syncOverlay(t, "mcp-a")
	one.again(t)
	if renamed := one.pediaCluster(t, "renamed"); renamed == nil || endpointOf(renamed) != "https://new" {
		t.Errorf("under the new name there is %v", renamed)
	}
}

func TestNeitherRevisionDeletesAlone(t *testing.T) {
	for name, test := range map[string]struct{ recorded, newest string }{
		"the recorded one": {"true", "false"}, "the newest": {"", "true"}, "the newest has none": {"true", ""},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			one.storage.Change("mcp-a", func(l *lifecycles.Lifecycle) { l.Spec.DeletionCondition = test.recorded })
			one.syncOverlay(t, "mcp-a")
			one.editInTurns(t, 2, "https://new", func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.DeletionCondition = test.newest })
			one.brakeDecides(10)
			one.again(t)
			one.wantEndpoint(t, "https://old")
		})
	}
}

// An import that has asked the newest revision as well, and is kept by that, is worked on when there
// is another one.
func TestWhatTheNewestRevisionKeepsIsAskedAgain(t *testing.T) {
	one := settledWithSecret(t)
	secretNamed := func(name string) func(*policyv1alpha1.ClusterImportPolicy) {
		return func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.References[0].NameTemplate = name }
	}
	one.edited(t, func(p *policyv1alpha1.ClusterImportPolicy) {
		p.Spec.DeletionCondition = `{{ eq (b64dec .references.auth.data.endpoint) "https://going" }}`
	})
	one.pass(t)
	one.stored(t)
	one.edited(t, secretNamed("b"))
	one.hasSecretNamed(t, one.policies.state("mcp").references[0].kind, "b", "1", base64.StdEncoding.EncodeToString([]byte("https://stays")))
	one.pass(t)
	one.hasSecret(t, "8", base64.StdEncoding.EncodeToString([]byte("https://going")))
	one.referenceChanged(memory.Object{GroupResource: secrets.GroupResource(), Namespace: "default", Name: "a"})
	one.pass(t)
	one.showsPediaCluster(t, "https://going")
	one.stored(t)
	one.pass(t)
	if !one.isSettledNow() {
		t.Fatal("something is left to do")
	}
	one.edited(t, func(p *policyv1alpha1.ClusterImportPolicy) {
		secretNamed("{{ .source.metadata.name }}")(p)
		p.Spec.Template = "spec: {apiserver: https://new, syncResources: []}"
	})
	one.pass(t) // asks the brake
	if decided := one.brakeDecides(10); len(decided.Counted) != 1 {
		t.Errorf("both revisions delete now, and of the removal it is decided %+v", decided)
	}
}

func TestAnotherNameIsNoOtherRevision(t *testing.T) {
	one := newOneImport(t)
	one.editInTurns(t, 2, "https://new", func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.NameTemplate = "renamed" })
	renamed := one.pediaCluster(t, "renamed")
	if renamed == nil || endpointOf(renamed) != "https://old" {
		t.Fatalf("under the new name there is %v", renamed)
	}
	lifecycle, err := one.storage.Get(t.Context(), "renamed")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(lifecycle.Spec.Template, "https://old") || lifecycle.Status.Rollout == nil || lifecycle.Status.Rollout.Revision == one.policies.state("mcp").revision {
		t.Errorf("it records %+v of %+v", lifecycle.Spec, lifecycle.Status.Rollout)
	}
}

func TestANewSourceTakesTheNewestRevision(t *testing.T) {
	one := newUnimported(t)
	one.editInTurns(t, 2, "https://new", nil)
	one.isWritten(t)
	one.wantEndpoint(t, "https://new")
	if got := one.rollout(t); got.State != policyv1alpha1.RolloutVerified || got.TakenTime != nil {
		t.Errorf("it says %+v", got)
	}
	if decided := one.decideRollout(t); decided.RollingOut || decided.Status.StartTime != nil {
		t.Errorf("the policy says %+v", decided)
	}
}

func TestARolloutThatEndsIsForgotten(t *testing.T) {
	one := newOneImport(t)
	one.editInTurns(t, 2, "https://new", nil)
	one.isWritten(t)
	one.edit(t, "https://newer") // without a rollout
	one.isWritten(t)
	one.wantEndpoint(t, "https://newer")
	if got := one.stored(t).Status.Rollout; got != nil {
		t.Errorf("it says %+v", got)
	}
}

func TestTheClusterHasToBeReadyAfterTheWrite(t *testing.T) {
	one := newOneImport(t)
	ready := func(status string, since time.Time) func(*unstructured.Unstructured) {
		return func(object *unstructured.Unstructured) {
			object.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": status,
				"lastTransitionTime": since.UTC().Format(time.RFC3339)}}}
		}
	}
	one.changePediaCluster(t, "300", ready("True", time.Now().Add(-time.Hour)))
	one.again(t)
	one.editInTurns(t, 2, "https://new", func(p *policyv1alpha1.ClusterImportPolicy) {
		p.Spec.Rollout = rolloutOf(func(r *policyv1alpha1.Rollout) { r.Verify = policyv1alpha1.VerifyClusterReady })
	})
	one.isWritten(t)
	one.takes(t)
	one.wantEndpoint(t, "https://new")
	if got := one.rollout(t); got.State != policyv1alpha1.RolloutUnverified || got.Before != policyv1alpha1.BeforeClusterReady || got.ReadyTime == nil {
		t.Errorf("after the write it says %+v", got)
	}
	if one.isSettledNow() {
		t.Error("nobody looks at it again")
	}
	one.changePediaCluster(t, "301", ready("False", time.Now()))
	one.again(t)
	one.isWritten(t)
	if got := one.rollout(t); got.State != policyv1alpha1.RolloutUnverified || got.ReadyTime != nil {
		t.Errorf("when the cluster is not ready it says %+v", got)
	}
}

// All parts together: an edit that breaks the canary stops there, and its correction reaches
// that first.
func TestAnEditThatBreaksTheCanaryStopsThere(t *testing.T) {
	r := run(t)
	r.has("mcp-a https://a/one", "mcp-b https://b/one", "mcp-c https://c/one")
	canary := sourceNamed("b")
	canary.SetLabels(map[string]string{"stage": "test"})
	canary.SetResourceVersion("6")
	if err := r.host.Tracker().Update(mcpClusters, canary, ""); err != nil {
		t.Fatal(err)
	}
	r.changePolicy(func(p *policyv1alpha1.ClusterImportPolicy) {
		p.Spec.Rollout = rolloutOf(func(rollout *policyv1alpha1.Rollout) {
			rollout.First = &policyv1alpha1.LabelSelector{MatchLabels: map[string]string{"stage": "test"}}
			rollout.MaxConcurrent = ptr.To(intstr.FromString("100%"))
		})
		p.Spec.References = nil // which the others go on reading
		p.Spec.Template = `spec: {apiserver: "https://{{ fail "broken" }}"}`
	})
	r.says(func(s policyv1alpha1.ClusterImportPolicyStatus) bool {
		halted := meta.FindStatusCondition(s.Conditions, policyv1alpha1.PolicyRolloutHalted)
		return halted != nil && halted.Status == metav1.ConditionTrue && strings.Contains(halted.Message, "mcp-b") &&
			s.Rollout != nil && s.Rollout.Updated == 1 && s.Rollout.Failed == 1 && s.Rollout.Total == 3
	})
	r.has("mcp-a https://a/one", "mcp-b https://b/one", "mcp-c https://c/one")
	r.rotate("2", "dHdv") // the others follow their Secret as ever
	r.has("mcp-a https://a/two", "mcp-b https://b/one", "mcp-c https://c/two")

	r.changePolicy(func(p *policyv1alpha1.ClusterImportPolicy) {
		p.Spec.Template = `spec: {apiserver: "https://{{ .source.metadata.name }}/fixed"}`
	})
	r.has("mcp-a https://a/fixed", "mcp-b https://b/fixed", "mcp-c https://c/fixed")
	r.says(func(s policyv1alpha1.ClusterImportPolicyStatus) bool {
		return meta.IsStatusConditionFalse(s.Conditions, policyv1alpha1.PolicyRolloutHalted) &&
			meta.IsStatusConditionFalse(s.Conditions, policyv1alpha1.PolicyRollingOut) &&
			meta.IsStatusConditionTrue(s.Conditions, policyv1alpha1.PolicyReady) &&
			s.Rollout.Verified == 3 && s.Rollout.Failed == 0
	})
	r.changePolicy(func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.Rollout = nil })
	r.says(func(s policyv1alpha1.ClusterImportPolicyStatus) bool {
		return s.Rollout == nil && meta.FindStatusCondition(s.Conditions, policyv1alpha1.PolicyRollingOut) == nil
	})
	for _, action := range r.host.Actions() {
		if action.GetVerb() == "delete" && action.GetResource() == render.PediaClusterGVR {
			t.Errorf("a rollout deletes: %v", action)
		}
	}
}

// Whose turn it was to take a revision, and who has not taken it yet, waits with all others when
// the rollout halts or is paused, or when the policy has wanted another revision meanwhile.
func TestATurnThatWasNotTakenEndsWithWhatItWasDecidedBy(t *testing.T) {
	now := time.Now()
	a, b := importOfMCP("a"), importOfMCP("b")
	decide := func(r *rollouts, generation int64, revision string, change func(*policyv1alpha1.Rollout)) {
		t.Helper()
		now = now.Add(2 * statusDelay)
		spec := rolloutOf(func(rollout *policyv1alpha1.Rollout) {
			rollout.MaxConcurrent = ptr.To(intstr.FromString("100%"))
			if change != nil {
				change(rollout)
			}
		})
		if _, _, _, ok := r.decide(decision.Rollout{Policy: "mcp", Spec: spec, Revision: revision, Now: now}, generation); !ok {
			t.Fatal("it is not decided who is next")
		}
	}
	waiting := func(name string) *decision.Member {
		return &decision.Member{Name: name, Waits: true, Record: decision.Record{Revision: "old", State: policyv1alpha1.RolloutVerified}}
	}
	for name, happens := range map[string]func(*rollouts){
		"it halts": func(r *rollouts) {
			r.report(a, 2, &decision.Member{Name: "a", Record: decision.Record{Revision: "new", State: policyv1alpha1.RolloutFailed}})
			decide(r, 2, "new", func(rollout *policyv1alpha1.Rollout) { rollout.MaxFailures = ptr.To(intstr.FromInt32(0)) })
		},
		"it is paused": func(*rollouts) {}, // a pass under the new generation comes before it is decided again
		"another revision was wanted meanwhile": func(r *rollouts) {
			for i, member := range map[memory.Import]*decision.Member{a: waiting("a"), b: waiting("b")} {
				r.report(i, 3, member)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRollouts()
			r.report(a, 2, waiting("a"))
			r.report(b, 2, waiting("b"))
			decide(r, 2, "new", nil)
			if !r.mayTake(b, "new", 2) {
				t.Fatal("it is not its turn")
			}
			happens(r)
			generation := int64(4)
			if name == "it halts" {
				generation = 2
			}
			if r.mayTake(b, "new", generation) {
				t.Error("it may still take the revision")
			}
		})
	}
}

// Whoever leads next counts the same imports as unverified, though it remembers nothing.
func TestAnotherLeaderKeepsTheBoundsOfARollout(t *testing.T) {
	r := run(t)
	r.has("mcp-a https://a/one", "mcp-b https://b/one", "mcp-c https://c/one")
	r.refusesPatches.Store(true)
	r.changePolicy(func(p *policyv1alpha1.ClusterImportPolicy) {
		p.Spec.Rollout = rolloutOf(nil) // one at a time
		p.Spec.Template = `spec: {apiserver: "https://{{ .source.metadata.name }}/new"}`
	})
	taken := func() (names []string) {
		list, err := r.storage.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, lifecycle := range list.(*policyv1alpha1.PediaClusterLifecycleList).Items {
			if strings.Contains(lifecycle.Spec.Template, "/new") {
				names = append(names, lifecycle.Name)
			}
		}
		return names
	}
	eventually(t, func() bool { return len(taken()) == 1 })
	first := taken()
	for range 2 {
		r.stop()
		r.start()
		eventually(t, func() bool {
			r.policies.rollouts.mu.Lock()
			defer r.policies.rollouts.mu.Unlock()
			p := r.policies.rollouts.policies["mcp"]
			return p != nil && p.latest.Status.Updated == 1 // it has decided
		})
		if now := taken(); !slices.Equal(now, first) {
			t.Fatalf("%v have taken the revision, and may be %v", now, first)
		}
	}
	r.has("mcp-a https://a/one", "mcp-b https://b/one", "mcp-c https://c/one")
	r.refusesPatches.Store(false)
	r.has("mcp-a https://a/new", "mcp-b https://b/new", "mcp-c https://c/new")
}
