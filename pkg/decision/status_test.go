package decision

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// said is a status in words: of each condition "<status> <reason>: <message>".
type said struct {
	Phase                    policyv1alpha1.LifecyclePhase
	Ready, Created, Updating string
}

func inWords(status Status) said {
	return said{status.Phase, condition(status, policyv1alpha1.LifecycleReady),
		condition(status, policyv1alpha1.LifecycleCreated), condition(status, policyv1alpha1.LifecycleUpdating)}
}

func condition(status Status, name string) string {
	if c := meta.FindStatusCondition(status.Conditions, name); c != nil {
		return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
	}
	return ""
}

const (
	follows      = "True PediaClusterCreated: endpoint and credentials of the PediaCluster follow the Source"
	madeForIt    = "True PediaClusterCreated: the PediaCluster was created for this Source and is deleted with it"
	existed      = "True PediaClusterExisted: the PediaCluster existed before and is kept when the Source is deleted"
	nothingToDo  = "False UpToDate: nothing is left to update"
	noSuchSecret = "False WaitingForReference: no Secret"
)

func plan(action render.Action, reason, message string) render.Plan {
	return render.Plan{Action: action, Reason: reason, Message: message}
}

func TestTheStatusAfterAPlan(t *testing.T) {
	renamed := &Reason{Phase: policyv1alpha1.LifecycleWaiting, Reason: policyv1alpha1.ReasonRenamed, Message: "the other name comes first"}
	taken := &Reason{Phase: policyv1alpha1.LifecycleConflict, Reason: policyv1alpha1.ReasonNameTaken, Message: "the name is taken"}
	created := plan(render.ActionCreate, policyv1alpha1.ReasonCreated, "")
	waits := plan(render.ActionWait, policyv1alpha1.ReasonWaitingForReference, "no Secret")
	deletes := plan(render.ActionDelete, policyv1alpha1.ReasonDeletionConditionMet, "deletionCondition is true")
	for _, test := range []struct {
		name         string
		plan         render.Plan
		pediaCluster *unstructured.Unstructured
		err          error
		nameBlocked  *Reason
		want         said
	}{
		{"it was created", created, pediaCluster(), nil, nil,
			said{policyv1alpha1.LifecycleImported, follows, madeForIt, nothingToDo}},
		{"it was updated", plan(render.ActionUpdate, policyv1alpha1.ReasonCreated, ""), pediaCluster(), nil, nil,
			said{policyv1alpha1.LifecycleImported, follows, madeForIt, nothingToDo}},
		{"it is up to date", plan(render.ActionNone, policyv1alpha1.ReasonCreated, ""), pediaCluster(), nil, nil,
			said{policyv1alpha1.LifecycleImported, follows, madeForIt, nothingToDo}},
		{"it was there first", plan(render.ActionUpdate, policyv1alpha1.ReasonExisted, ""), pediaCluster(notOurs), nil, nil,
			said{policyv1alpha1.LifecycleImported, strings.Replace(follows, "PediaClusterCreated", "PediaClusterExisted", 1), existed, nothingToDo}},

		{"it waits and there is none", waits, nil, nil, nil,
			said{policyv1alpha1.LifecycleWaiting, noSuchSecret, noSuchSecret, nothingToDo}},
		{"it waits and stays as it is", waits, pediaCluster(), nil, nil,
			said{policyv1alpha1.LifecycleWaiting, noSuchSecret, madeForIt, "True WaitingForReference: no Secret"}},
		{"it is another import's", plan(render.ActionConflict, policyv1alpha1.ReasonNameTaken, "it is b's"), pediaCluster(ofAnother), nil, nil,
			said{policyv1alpha1.LifecycleConflict, "False NameTaken: it is b's", "False NameTaken: it is b's", nothingToDo}},
		{"the template fails and there is none", plan(render.ActionError, policyv1alpha1.ReasonTemplateFailed, "3:7: no such value"), nil, nil, nil,
			said{policyv1alpha1.LifecycleFailed, "False TemplateFailed: 3:7: no such value", "False TemplateFailed: 3:7: no such value", nothingToDo}},
		{"the template fails and it stays as it is", plan(render.ActionError, policyv1alpha1.ReasonTemplateFailed, "3:7: no such value"), pediaCluster(), nil, nil,
			said{policyv1alpha1.LifecycleFailed, "False TemplateFailed: 3:7: no such value", madeForIt, "True TemplateFailed: 3:7: no such value"}},
		{"the host refuses it", plan(render.ActionError, policyv1alpha1.ReasonHostUnavailable, "refused"), nil, errors.New("refused"), nil,
			said{policyv1alpha1.LifecycleFailed, "False HostUnavailable: refused", "False HostUnavailable: refused", nothingToDo}},
		{"deletionCondition has it deleted", deletes, nil, nil, nil,
			said{policyv1alpha1.LifecycleWaiting, "False DeletionConditionMet: deletionCondition is true", "False DeletionConditionMet: deletionCondition is true", nothingToDo}},
		{"deletionCondition has it deleted, and it has finalizers", deletes, pediaCluster(), nil, nil,
			said{policyv1alpha1.LifecycleWaiting, "False DeletionConditionMet: deletionCondition is true", madeForIt, "True DeletionConditionMet: deletionCondition is true"}},

		{"it is up to date under its former name", plan(render.ActionNone, policyv1alpha1.ReasonCreated, ""), pediaCluster(), nil, renamed,
			said{policyv1alpha1.LifecycleWaiting, "False Renamed: the other name comes first; kept up to date under the former name", madeForIt, nothingToDo}},
		{"another import has the name", plan(render.ActionNone, policyv1alpha1.ReasonCreated, ""), pediaCluster(), nil, taken,
			said{policyv1alpha1.LifecycleConflict, "False NameTaken: the name is taken; kept up to date under the former name", madeForIt, nothingToDo}},
		{"what is worse than a former name is said first", plan(render.ActionError, policyv1alpha1.ReasonTemplateFailed, "no"), pediaCluster(), nil, renamed,
			said{policyv1alpha1.LifecycleFailed, "False TemplateFailed: no", madeForIt, "True TemplateFailed: no"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := lifecycle(func(l *Lifecycle) { l.Generation, l.Status.PrunePlan = 3, "plan" })
			status := Projection{Lifecycle: l}.Converged(Convergence{
				Execution: Execution{Plan: test.plan, PediaCluster: test.pediaCluster, Err: test.err}, NameBlocked: test.nameBlocked})
			if diff := cmp.Diff(test.want, inWords(status)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if status.ObservedGeneration != 3 || status.PrunePlan != "" || (status.Cluster == nil) != (test.pediaCluster == nil) {
				t.Errorf("it says %+v", status)
			}
			for _, c := range status.Conditions {
				if c.ObservedGeneration != 3 {
					t.Errorf("%s speaks of generation %d", c.Type, c.ObservedGeneration)
				}
			}
		})
	}
}

func TestTheStatusRepeatsWhatAPassHasRead(t *testing.T) {
	secret := policyv1alpha1.DependentResource{Version: "v1", Resource: "secrets", Namespace: "mcp-system", Name: "a-auth"}
	l := lifecycle(func(l *Lifecycle) {
		l.Annotations = map[string]string{policyv1alpha1.ResyncAnnotation: "now"}
		l.Status.References = []policyv1alpha1.DependentResource{{Resource: "configmaps"}}
	})
	convergence := Convergence{Execution: Execution{Plan: plan(render.ActionNone, policyv1alpha1.ReasonCreated, ""), PediaCluster: pediaCluster()},
		References: []render.Reference{{Key: "auth", Target: secret}}, Definition: "definition"}
	status := Projection{Lifecycle: l}.Converged(convergence)
	if diff := cmp.Diff([]policyv1alpha1.DependentResource{secret}, status.References); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	if status.LastResync != "now" || status.SourceDefinition != "definition" {
		t.Errorf("it says %+v", status)
	}
	convergence.References = nil
	if status := (Projection{Lifecycle: l}).Converged(convergence); status.References != nil {
		t.Errorf("without references: %v", status.References)
	}
}

const kubeconfigWithToken = `
current-context: one
contexts: [{name: one, context: {cluster: one, user: one}}]
clusters: [{name: one, cluster: {server: "https://one"}}]
users: [{name: one, user: {token: hunter2}}]
`

func TestTheStatusOfTheCluster(t *testing.T) {
	with := func(fields map[string]any) *unstructured.Unstructured {
		return pediaCluster(func(o *unstructured.Unstructured) { maps.Copy(o.Object, fields) })
	}
	spec := map[string]any{"apiserver": "https://spec"}
	ready := func(status string) []any {
		return []any{"no condition", map[string]any{"type": "Validated", "status": "True"}, map[string]any{"type": "Ready", "status": status}}
	}
	condition := func(kind, status, reason, message string) any {
		return map[string]any{"type": kind, "status": status, "reason": reason, "message": message}
	}
	answer := &policyv1alpha1.ClusterState{Ready: "False", Message: "refused", Version: "v1.36.0", APIServer: "https://answer"}
	for name, test := range map[string]struct {
		pediaCluster *unstructured.Unstructured
		answer       *policyv1alpha1.ClusterState
		want         *policyv1alpha1.ClusterState
	}{
		"there is none":                          {nil, answer, nil},
		"nobody has said anything":               {with(nil), nil, &policyv1alpha1.ClusterState{}},
		"Clusterpedia has said nothing yet":      {with(map[string]any{"spec": spec}), nil, &policyv1alpha1.ClusterState{APIServer: "https://spec"}},
		"Clusterpedia's condition is of its own": {with(map[string]any{"status": map[string]any{"conditions": ready("maybe")}}), nil, &policyv1alpha1.ClusterState{}},
		"Clusterpedia has said nothing, it answers": {with(map[string]any{"spec": spec}), answer,
			&policyv1alpha1.ClusterState{Ready: "False", Message: "refused", Version: "v1.36.0", APIServer: "https://spec"}},
		"only it answers": {with(nil), answer, answer},
		"Clusterpedia knows": {with(map[string]any{"spec": spec, "status": map[string]any{"version": "v1.35.1", "apiserver": "https://status", "conditions": ready("True")}}), answer,
			&policyv1alpha1.ClusterState{Ready: "True", Version: "v1.35.1", APIServer: "https://status"}},
		"Clusterpedia cannot start": {with(map[string]any{"status": map[string]any{"conditions": []any{
			condition("Ready", "False", "NotReady", "SynchroRunning condition is False, reason is InitialFailed"),
			condition("ClusterHealthy", "Unknown", "MonitorStop", "wait cluster synchro"),
			condition("SynchroRunning", "False", "InitialFailed", "the server has asked for the client to provide credentials"),
			condition("Validated", "True", "Validated", "")}}}), answer,
			&policyv1alpha1.ClusterState{Ready: "False", Message: "SynchroRunning: the server has asked for the client to provide credentials"}},
		"Clusterpedia does not reach it, from another port each time": {with(map[string]any{"status": map[string]any{"conditions": []any{
			condition("Validated", "True", "Validated", "Warning: sync resource ref is not found"), condition("SynchroRunning", "True", "Running", ""),
			condition("ClusterHealthy", "False", "NotReachable", "read tcp 10.0.0.7:43210->10.0.0.8:6443: connection reset by peer"),
			condition("Ready", "False", "NotReady", "ClusterHealthy condition is False, reason is NotReachable")}}}), nil,
			&policyv1alpha1.ClusterState{Ready: "False", Message: "ClusterHealthy: read tcp 10.0.0.7->10.0.0.8:6443: connection reset by peer"}},
		"Clusterpedia gives a reason only": {with(map[string]any{"status": map[string]any{"conditions": []any{
			condition("Ready", "Unknown", "NotReady", "SynchroRunning condition is Unknown"), condition("SynchroRunning", "Unknown", "Pending", "")}}}), nil,
			&policyv1alpha1.ClusterState{Ready: "Unknown", Message: "SynchroRunning: Pending"}},
		"Clusterpedia gives a cause with Ready only": {with(map[string]any{"status": map[string]any{"conditions": []any{
			condition("Validated", "True", "", ""), condition("Ready", "False", "NotReady", "SynchroRunning condition is not found")}}}), nil,
			&policyv1alpha1.ClusterState{Ready: "False", Message: "Ready: SynchroRunning condition is not found"}},
		"Clusterpedia gives no cause": {with(map[string]any{"status": map[string]any{"conditions": ready("False")}}), answer,
			&policyv1alpha1.ClusterState{Ready: "False"}},
		"Clusterpedia's cause has credentials": {with(map[string]any{"spec": map[string]any{"tokenData": "aHVudGVyMg=="}, "status": map[string]any{"conditions": []any{
			condition("ClusterHealthy", "False", "NotReachable", "Get \"https://joe:secret@one\" with hunter2 (aHVudGVyMg==): refused"), condition("Ready", "False", "NotReady", "")}}}), nil,
			&policyv1alpha1.ClusterState{Ready: "False", Message: "ClusterHealthy: Get \"https://one\" with *** (***): refused"}},
		"Clusterpedia's cause has the token of a kubeconfig": {with(map[string]any{
			"spec": map[string]any{"kubeconfig": base64.StdEncoding.EncodeToString([]byte(kubeconfigWithToken))}, "status": map[string]any{"conditions": []any{
				condition("ClusterHealthy", "False", "NotReachable", "invalid header: Bearer hunter2"), condition("Ready", "False", "NotReady", "")}}}), nil,
			&policyv1alpha1.ClusterState{Ready: "False", Message: "ClusterHealthy: invalid header: Bearer ***"}},
		"Clusterpedia's cause is long": {with(map[string]any{"status": map[string]any{"conditions": []any{
			condition("Validated", "False", "InvalidConfig", strings.Repeat("é", 200)), condition("Ready", "False", "NotReady", "")}}}), nil,
			&policyv1alpha1.ClusterState{Ready: "False", Message: "Validated: " + strings.Repeat("é", 121) + "…"}},
		"a cause while it is ready": {with(map[string]any{"status": map[string]any{"conditions": []any{
			condition("ClusterHealthy", "True", "Healthy", "a version cannot be read"), condition("Ready", "True", "Ready", "")}}}), nil,
			&policyv1alpha1.ClusterState{Ready: "True"}},
		"Clusterpedia knows the version only": {with(map[string]any{"status": map[string]any{"version": "v1.35.1"}}), answer,
			&policyv1alpha1.ClusterState{Ready: "False", Message: "refused", Version: "v1.35.1", APIServer: "https://answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			status := Projection{Lifecycle: lifecycle()}.Converged(Convergence{Answer: test.answer,
				Execution: Execution{Plan: plan(render.ActionNone, policyv1alpha1.ReasonCreated, ""), PediaCluster: test.pediaCluster}})
			if diff := cmp.Diff(test.want, status.Cluster); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// expiring gives a PediaCluster a token that expires then.
func expiring(at time.Time) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, at.Unix()))
		object.Object["spec"] = map[string]any{"tokenData": base64.StdEncoding.EncodeToString([]byte("e30." + claims + ".c2ln"))}
	}
}

func TestTheStatusOfTheCredentials(t *testing.T) {
	var (
		now    = metav1.NewTime(then.Add(time.Hour))
		before = metav1.NewTime(then.Add(-time.Hour))
		expiry = metav1.NewTime(then.Add(24 * time.Hour))
		made   = metav1.NewTime(then.Add(-time.Minute))
	)
	madeThen := func(o *unstructured.Unstructured) { o.SetCreationTimestamp(made) }
	knew := func(changed, expiration *metav1.Time) *policyv1alpha1.CredentialsState {
		return &policyv1alpha1.CredentialsState{ChangedTime: changed, ExpirationTime: expiration}
	}
	update := func(changed ...string) render.Plan { return render.Plan{Action: render.ActionUpdate, Changed: changed} }
	for _, test := range []struct {
		name         string
		before       *policyv1alpha1.CredentialsState
		pediaCluster *unstructured.Unstructured
		plan         render.Plan
		err          error
		want         *policyv1alpha1.CredentialsState
	}{
		{"there is no PediaCluster", knew(&before, nil), nil, plan(render.ActionWait, "", ""), nil, nil},
		{"it was created", nil, pediaCluster(madeThen), plan(render.ActionCreate, "", ""), nil, knew(&now, nil)},
		{"it was created, and they expire", nil, pediaCluster(madeThen, expiring(expiry.Time)), plan(render.ActionCreate, "", ""), nil, knew(&now, &expiry)},
		{"they were changed", knew(&before, nil), pediaCluster(), update("spec.tokenData"), nil, knew(&now, nil)},
		{"something else was changed", knew(&before, nil), pediaCluster(), update("metadata.annotations"), nil, knew(&before, nil)},
		{"they are as they were", knew(&before, &expiry), pediaCluster(expiring(expiry.Time)), plan(render.ActionNone, "", ""), nil, knew(&before, &expiry)},
		{"they could not be changed", knew(&before, nil), pediaCluster(), update("spec.tokenData"), errors.New("no"), knew(&before, nil)},
		{"their last change did not come into the status", knew(&before, nil), pediaCluster(expiring(expiry.Time)), plan(render.ActionNone, "", ""), nil, knew(&now, &expiry)},
		{"their creation did not come into the status", nil, pediaCluster(madeThen), plan(render.ActionNone, "", ""), nil, knew(&made, nil)},
		{"they are those of one that is older than its lifecycle", nil, pediaCluster(func(o *unstructured.Unstructured) {
			o.SetCreationTimestamp(metav1.NewTime(made.Add(-time.Second)))
		}), plan(render.ActionNone, "", ""), nil, knew(nil, nil)},
		{"they are those of one that was there first", nil, pediaCluster(madeThen, notOurs), plan(render.ActionNone, "", ""), nil, knew(nil, nil)},
		{"they could not be read, and nothing was known", knew(nil, nil), pediaCluster(madeThen), plan(render.ActionNone, "", ""), nil, knew(nil, nil)},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := lifecycle(func(l *Lifecycle) { l.CreationTimestamp, l.Status.Credentials = made, test.before })
			status := Projection{Lifecycle: l, Now: now}.Converged(Convergence{
				Execution: Execution{Plan: test.plan, PediaCluster: test.pediaCluster, Err: test.err}})
			if diff := cmp.Diff(test.want, status.Credentials); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestTheStatusOfAContendedName(t *testing.T) {
	converged := func(l *Lifecycle, waiters NameWaiters) Status {
		return Projection{Lifecycle: l}.Converged(Convergence{Waiters: waiters,
			Execution: Execution{Plan: plan(render.ActionNone, policyv1alpha1.ReasonCreated, ""), PediaCluster: pediaCluster()}})
	}
	l := lifecycle()
	for _, step := range []struct {
		NameWaiters
		want string
	}{
		{NameWaiters{}, ""},
		{NameWaiters{Count: 2, Policy: "mcp", Namespace: "one", Name: "b"},
			`True NameTaken: 2 other Sources render this name, such as one/b of policy "mcp": change nameTemplate so that names differ`},
		{NameWaiters{Count: 1, Policy: "other", Name: "c"},
			`True NameTaken: 1 other Sources render this name, such as c of policy "other": change nameTemplate so that names differ`},
		{NameWaiters{}, "False NameFree: no other Source renders this name"},
	} {
		l.Status = converged(l, step.NameWaiters)
		if got := condition(l.Status, policyv1alpha1.LifecycleNameContended); got != step.want {
			t.Errorf("with %+v it says %q, want %q", step.NameWaiters, got, step.want)
		}
	}
}

func TestTheStatusOfABlockedImport(t *testing.T) {
	paused := &Reason{Phase: policyv1alpha1.LifecycleHeld, Reason: policyv1alpha1.ReasonPaused, Message: "paused"}
	held := &Reason{Phase: policyv1alpha1.LifecycleHeld, Reason: policyv1alpha1.ReasonPruneHeld, Message: "too many", PrunePlan: "new"}
	const isPaused, isHeld = "False Paused: paused", "False PruneHeld: too many"
	imported := func(l *Lifecycle) {
		l.Status = Projection{Lifecycle: l}.Converged(Convergence{Execution: Execution{
			Plan: plan(render.ActionNone, policyv1alpha1.ReasonCreated, ""), PediaCluster: pediaCluster()}})
	}
	wasThere := func(l *Lifecycle) {
		l.Status = Projection{Lifecycle: l}.Converged(Convergence{Execution: Execution{
			Plan: plan(render.ActionNone, policyv1alpha1.ReasonExisted, ""), PediaCluster: pediaCluster(notOurs)}})
	}
	wasHeld := func(l *Lifecycle) { l.Status.PrunePlan = "old" }
	for _, test := range []struct {
		name string
		*Lifecycle
		reason       *Reason
		pediaCluster *unstructured.Unstructured
		want         said
		plan         string
	}{
		{"of which nothing is known", lifecycle(), paused, nil, said{Phase: policyv1alpha1.LifecycleHeld, Ready: isPaused}, ""},
		{"that keeps what was said of it", lifecycle(imported), paused, pediaCluster(),
			said{policyv1alpha1.LifecycleHeld, isPaused, madeForIt, nothingToDo}, ""},
		{"whose PediaCluster is not known now", lifecycle(imported), paused, nil,
			said{policyv1alpha1.LifecycleHeld, isPaused, madeForIt, nothingToDo}, ""},
		{"whose creation did not come into the status", lifecycle(), paused, pediaCluster(),
			said{Phase: policyv1alpha1.LifecycleHeld, Ready: isPaused, Created: madeForIt}, ""},
		{"beside a PediaCluster of somebody else", lifecycle(), paused, pediaCluster(notOurs),
			said{Phase: policyv1alpha1.LifecycleHeld, Ready: isPaused}, ""},
		{"whose PediaCluster was there first", lifecycle(wasThere), paused, pediaCluster(notOurs),
			said{policyv1alpha1.LifecycleHeld, isPaused, existed, nothingToDo}, ""},
		{"that is held", lifecycle(imported), held, pediaCluster(), said{policyv1alpha1.LifecycleHeld, isHeld, madeForIt, nothingToDo}, "new"},
		{"that is held under another plan", lifecycle(imported, wasHeld), held, pediaCluster(), said{policyv1alpha1.LifecycleHeld, isHeld, madeForIt, nothingToDo}, "new"},
		{"that is no longer held", lifecycle(imported, wasHeld), paused, pediaCluster(), said{policyv1alpha1.LifecycleHeld, isPaused, madeForIt, nothingToDo}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.Generation = 4
			status := Projection{Lifecycle: test.Lifecycle}.Blocked(test.reason, test.pediaCluster)
			if diff := cmp.Diff(test.want, inWords(status)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if status.PrunePlan != test.plan || status.ObservedGeneration != 4 {
				t.Errorf("plan %q, generation %d", status.PrunePlan, status.ObservedGeneration)
			}
			if diff := cmp.Diff(test.Status.Cluster, status.Cluster); diff != "" {
				t.Errorf("the cluster (-before +after):\n%s", diff)
			}
		})
	}
}

func TestTheStatusOfAPediaClusterThatIsMadeAgain(t *testing.T) {
	l := lifecycle()
	l.Status = Projection{Lifecycle: l}.Converged(Convergence{Execution: Execution{
		Plan: plan(render.ActionNone, policyv1alpha1.ReasonCreated, ""), PediaCluster: pediaCluster()}})
	status := Projection{Lifecycle: l}.Uncreated()
	const deleted = "False PediaClusterDeleting: the PediaCluster was deleted and is being recreated"
	if diff := cmp.Diff(said{policyv1alpha1.LifecyclePending, deleted, deleted, nothingToDo}, inWords(status)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if status.Cluster != nil || status.Credentials != nil || IsCreated(status) {
		t.Errorf("it says %+v", status)
	}
}

func TestTheStatusOfADeletion(t *testing.T) {
	const (
		ours, mine, synchro = policyv1alpha1.Finalizer, "example.com/mine", "clusterpedia.io/cluster-synchro-controller"
		waitsForMine        = `, and this lifecycle waits for its finalizer "example.com/mine", which the client that set it must remove`
		released            = "this lifecycle is being deleted; after that the import is created again if its Source is selected; "
		none                = "there is no PediaCluster"
	)
	synced := func(o *unstructured.Unstructured) { o.SetFinalizers([]string{synchro}) }
	for _, test := range []struct {
		name         string
		cause        string
		fate         Fate
		finalizers   []string
		pediaCluster *unstructured.Unstructured
		ready        string
		created      string
	}{
		{"the PediaCluster waits for Clusterpedia", policyv1alpha1.ReasonSourceGone, Delete, []string{ours, mine}, pediaCluster(synced),
			`the Source no longer exists; the PediaCluster is being deleted and waits for its finalizer "clusterpedia.io/cluster-synchro-controller", ` +
				`which Clusterpedia's clustersynchro-manager removes: it must run`, madeForIt},
		{"the PediaCluster goes", policyv1alpha1.ReasonRenamed, Delete, []string{ours}, pediaCluster(),
			"nameTemplate renders another name now; the PediaCluster is being deleted", madeForIt},
		{"the PediaCluster was deleted", policyv1alpha1.ReasonSourceDeselected, Delete, []string{mine}, nil,
			"the selectors no longer select the Source; the PediaCluster was deleted" + waitsForMine, "False SourceDeselected: " + none},
		{"the PediaCluster was orphaned", policyv1alpha1.ReasonReleased, Orphan, []string{mine}, pediaCluster(),
			released + "the PediaCluster is orphaned" + waitsForMine, madeForIt},
		{"the PediaCluster is its users' already", policyv1alpha1.ReasonPolicyDeleted, Delete, []string{mine}, pediaCluster(notOurs),
			"the policy is being deleted, or no longer exists; the PediaCluster is orphaned" + waitsForMine, existed},
		{"the PediaCluster is retained", policyv1alpha1.ReasonReleased, Retain, []string{mine}, pediaCluster(),
			released + "the PediaCluster is retained for the next lifecycle" + waitsForMine, madeForIt},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := lifecycle(going, func(l *Lifecycle) {
				l.Finalizers = test.finalizers
				l.Status.PrunePlan, l.Status.Cluster, l.Status.Credentials = "plan", &policyv1alpha1.ClusterState{Version: "v1"}, &policyv1alpha1.CredentialsState{}
			})
			status := Projection{Lifecycle: l}.Deleting(Removal{Lifecycle: l, Cause: test.cause, Fate: test.fate}, test.pediaCluster)
			want := said{policyv1alpha1.LifecycleDeleting, "False " + test.cause + ": " + test.ready, test.created, nothingToDo}
			if diff := cmp.Diff(want, inWords(status)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if exists := test.pediaCluster != nil; status.PrunePlan != "" || (status.Cluster != nil) != exists || (status.Credentials != nil) != exists {
				t.Errorf("it says %+v", status)
			}
		})
	}
}

// projections are all kinds of statuses of a lifecycle.
func projections(p Projection) map[string]Status {
	cluster := pediaCluster(expiring(then.Time))
	return map[string]Status{
		"converged": p.Converged(Convergence{Execution: Execution{Plan: plan(render.ActionWait, policyv1alpha1.ReasonWaitingForReference, "no Secret"), PediaCluster: cluster}}),
		"blocked":   p.Blocked(&Reason{Phase: policyv1alpha1.LifecycleHeld, Reason: policyv1alpha1.ReasonPaused, Message: "paused"}, cluster),
		"uncreated": p.Uncreated(),
		"deleting":  p.Deleting(Removal{Lifecycle: p.Lifecycle, Cause: policyv1alpha1.ReasonSourceGone}, cluster),
	}
}

func TestEveryStatusSaysThatTheSourceIsBeingDeleted(t *testing.T) {
	source := &unstructured.Unstructured{Object: map[string]any{}}
	for kind, status := range projections(Projection{Lifecycle: lifecycle(), Source: source}) {
		if ready := condition(status, policyv1alpha1.LifecycleReady); strings.Contains(ready, "the Source is being deleted") {
			t.Errorf("%s, of a Source that stays: %s", kind, ready)
		}
	}
	source.SetDeletionTimestamp(&then)
	source.SetFinalizers([]string{"example.com/teardown"})
	for kind, status := range projections(Projection{Lifecycle: lifecycle(), Source: source}) {
		ready := condition(status, policyv1alpha1.LifecycleReady)
		if !strings.Contains(ready, `: the Source is being deleted (since 1970-01-12T13:46:40Z; it waits for its finalizer "example.com/teardown"): `) {
			t.Errorf("%s: %s", kind, ready)
		}
	}
}

// Storage keeps whole seconds, and what is recorded has to be what storage keeps.
func TestEveryStatusHasTheTimeThatItIsGiven(t *testing.T) {
	for kind, status := range projections(Projection{Lifecycle: lifecycle(), Now: then}) {
		for _, condition := range status.Conditions {
			if !condition.LastTransitionTime.Equal(&then) {
				t.Errorf("%s says %s since %v", kind, condition.Type, condition.LastTransitionTime)
			}
		}
	}
}

func TestEveryStatusIsBounded(t *testing.T) {
	long := strings.Repeat("<", 1<<20)
	l := lifecycle(func(l *Lifecycle) {
		l.Status.Cluster = &policyv1alpha1.ClusterState{Ready: "maybe", Version: long, APIServer: long, Message: long}
		l.Status.References = slices.Repeat([]policyv1alpha1.DependentResource{{Resource: "secrets", Name: strings.Repeat("n", 253)}}, 100)
		l.Status.Conditions = []metav1.Condition{{Type: policyv1alpha1.LifecycleCreated, Message: long}, {Type: policyv1alpha1.LifecycleReady, Message: long}}
		l.Finalizers = []string{long}
	})
	for kind, status := range projections(Projection{Lifecycle: l}) {
		if text, err := json.Marshal(status); err != nil || len(text) > 16<<10 {
			t.Errorf("%s has %d bytes, %v", kind, len(text), err)
		}
	}
}

func TestTheSameFactsGiveTheSameStatus(t *testing.T) {
	source := &unstructured.Unstructured{Object: map[string]any{}}
	source.SetDeletionTimestamp(&then)
	l := lifecycle()
	for kind := range projections(Projection{Lifecycle: l}) {
		was := l.DeepCopy()
		says := l.DeepCopy()
		says.Status = projections(Projection{Lifecycle: l, Source: source})[kind]
		if diff := cmp.Diff(was, l); diff != "" {
			t.Errorf("%s changes what it is made from:\n%s", kind, diff)
		}
		if diff := cmp.Diff(says.Status, projections(Projection{Lifecycle: says, Source: source})[kind]); diff != "" {
			t.Errorf("%s says something else when it says so already:\n%s", kind, diff)
		}
	}
}

func TestWhatAnExecutionHasDone(t *testing.T) {
	for _, test := range []struct {
		name            string
		done            Execution
		inSync, written bool
	}{
		{"created", Execution{Plan: plan(render.ActionCreate, "", "")}, true, true},
		{"updated", Execution{Plan: plan(render.ActionUpdate, "", "")}, true, true},
		{"up to date", Execution{Plan: plan(render.ActionNone, "", "")}, true, false},
		{"not wanted", Execution{Plan: plan(render.ActionWait, policyv1alpha1.ReasonDeletionConditionMet, "")}, true, false},
		{"deleted", Execution{Plan: plan(render.ActionDelete, policyv1alpha1.ReasonDeletionConditionMet, "")}, true, false},
		{"not written", Execution{Plan: plan(render.ActionCreate, "", ""), Err: errors.New("no")}, false, false},
		{"on its way out", Execution{Plan: plan(render.ActionWait, policyv1alpha1.ReasonPediaClusterDeleting, "")}, false, false},
		{"waiting", Execution{Plan: plan(render.ActionWait, policyv1alpha1.ReasonWaitingForReference, "")}, false, false},
		{"failed", Execution{Plan: plan(render.ActionError, "", "")}, false, false},
		{"somebody else's", Execution{Plan: plan(render.ActionConflict, "", "")}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.done.InSync() != test.inSync || test.done.Written() != test.written {
				t.Errorf("in sync %t, written %t", test.done.InSync(), test.done.Written())
			}
		})
	}
}

func TestAResyncIsDueUntilItIsDone(t *testing.T) {
	asked := func(value string) func(*Lifecycle) {
		return func(l *Lifecycle) { l.Annotations = map[string]string{policyv1alpha1.ResyncAnnotation: value} }
	}
	done := func(value string) func(*Lifecycle) { return func(l *Lifecycle) { l.Status.LastResync = value } }
	long := strings.Repeat("ü", 100) // which is cut off
	for _, test := range []struct {
		name string
		*Lifecycle
		value string
		due   bool
	}{
		{"nobody asks", lifecycle(), "", false},
		{"somebody asks", lifecycle(asked("1")), "1", true},
		{"it is done", lifecycle(asked("1"), done("1")), "1", false},
		{"somebody asks again", lifecycle(asked("2"), done("1")), "2", true},
		{"nobody asks any more", lifecycle(done("1")), "", true},
		{"the lifecycle is being deleted", lifecycle(asked("1"), going), "1", false},
		{"a long value", lifecycle(asked(long)), long[:64], true},
		{"what was cut off is no difference", lifecycle(asked(long), done(long[:64])), long[:64], false},
		{"a letter that was cut in two", lifecycle(asked("x" + long)), "x" + long[:62], true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if Resync(test.Lifecycle) != test.value || ResyncDue(test.Lifecycle) != test.due {
				t.Errorf("%q is due: %t", Resync(test.Lifecycle), ResyncDue(test.Lifecycle))
			}
		})
	}
}
