package decision

import (
	"errors"
	"reflect"
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

func policySpec() policyv1alpha1.ClusterImportPolicySpec {
	return policyv1alpha1.ClusterImportPolicySpec{
		Source: policyv1alpha1.SourceType{Group: "cluster.mcp.io", Resource: "clusters"},
		References: []policyv1alpha1.ReferenceTemplate{{ReferenceTarget: policyv1alpha1.ReferenceTarget{
			Key: "auth", Resource: "secrets", NameTemplate: "a"}}},
		NameTemplate: "n",
		Conversion:   policyv1alpha1.Conversion{Template: "t", CreationCondition: "true"},
	}
}

func TestOnlySomeFieldsOfAPolicyMakeANewRevision(t *testing.T) {
	before := policySpec()
	edits := map[string]struct {
		edit  func(*policyv1alpha1.ClusterImportPolicySpec)
		other bool
	}{
		"Source":       {func(s *policyv1alpha1.ClusterImportPolicySpec) { s.Source.SelectorTemplate = "true" }, false},
		"NameTemplate": {func(s *policyv1alpha1.ClusterImportPolicySpec) { s.NameTemplate = "m" }, false},
		"MaxPrune":     {func(s *policyv1alpha1.ClusterImportPolicySpec) { s.MaxPrune = ptr.To(intstr.FromInt32(3)) }, false},
		"Suspend":      {func(s *policyv1alpha1.ClusterImportPolicySpec) { s.Suspend = true }, false},
		"Rollout":      {func(s *policyv1alpha1.ClusterImportPolicySpec) { s.Rollout = &policyv1alpha1.Rollout{Paused: true} }, false},
		"DeletionPolicy": {func(s *policyv1alpha1.ClusterImportPolicySpec) {
			s.DeletionPolicy = policyv1alpha1.DeletionPolicyOrphan
		}, false},
		"DeletionCondition": {func(s *policyv1alpha1.ClusterImportPolicySpec) { s.DeletionCondition = "true" }, false},
		"Template":          {func(s *policyv1alpha1.ClusterImportPolicySpec) { s.Template = "u" }, true},
		"CreationCondition": {func(s *policyv1alpha1.ClusterImportPolicySpec) { s.CreationCondition = "false" }, true},
		"References": {func(s *policyv1alpha1.ClusterImportPolicySpec) {
			s.References = []policyv1alpha1.ReferenceTemplate{s.References[0]}
			s.References[0].NameTemplate = "b"
		}, true},
	}
	for _, kind := range []reflect.Type{reflect.TypeFor[policyv1alpha1.ClusterImportPolicySpec](), reflect.TypeFor[policyv1alpha1.Conversion]()} {
		for i := range kind.NumField() {
			if name := kind.Field(i).Name; name != "Conversion" && edits[name].edit == nil {
				t.Errorf("%s is a field of a policy, and this test does not say whether it makes a new revision", name)
			}
		}
	}
	before.Rollout = &policyv1alpha1.Rollout{}
	for name, c := range edits {
		edited := policySpec()
		if OnlyRevisionDiffers(before, edited) {
			t.Error("an edit of thousands at once is no edit in turns")
		}
		edited.Rollout = &policyv1alpha1.Rollout{}
		c.edit(&edited)
		if only := OnlyRevisionDiffers(before, edited); only != (c.other || name == "Rollout") {
			t.Errorf("after an edit of %s, only the revision differs: %t", name, only)
		}
		if other := RevisionOfPolicy(&edited).Hash() != RevisionOfPolicy(&before).Hash(); other != c.other {
			t.Errorf("an edit of %s makes another revision: %t, want %t", name, other, c.other)
		}
	}
	versions := policySpec()
	versions.References[0].Versions = []string{"v2"}
	if RevisionOfPolicy(&versions).Hash() != RevisionOfPolicy(&before).Hash() {
		t.Error("other versions of a reference make another revision")
	}
}

func TestALifecycleHasTheRevisionThatItRecords(t *testing.T) {
	policy := policySpec()
	lifecycle := policyv1alpha1.PediaClusterLifecycleSpec{Conversion: policy.Conversion, References: []policyv1alpha1.VersionedReferenceTemplate{
		{ReferenceTarget: policy.References[0].ReferenceTarget, Version: "v1"}}}
	newest := RevisionOfPolicy(&policy)
	if !newest.IsOf(&lifecycle) || RevisionOfLifecycle(&lifecycle).Hash() != newest.Hash() {
		t.Error("a lifecycle that records what the policy says has another revision")
	}
	lifecycle.References[0].Key = "other"
	if newest.IsOf(&lifecycle) || RevisionOfLifecycle(&lifecycle).Hash() == newest.Hash() {
		t.Error("a lifecycle that records another reference has the same revision")
	}
}

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) *metav1.Time {
	t := metav1.NewTime(now.Add(time.Duration(seconds) * time.Second)).Rfc3339Copy()
	return &t
}

func clusterReady() *policyv1alpha1.Rollout {
	rollout := &policyv1alpha1.Rollout{Verify: policyv1alpha1.VerifyClusterReady}
	policyv1alpha1.SetDefaults_Rollout(rollout)
	return rollout
}

func TestVerify(t *testing.T) {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	written := Execution{Plan: render.Plan{Action: render.ActionUpdate}, PediaCluster: object}
	same := Execution{Plan: render.Plan{Action: render.ActionNone}, PediaCluster: object}
	waits := Execution{Plan: render.Plan{Action: render.ActionWait, Message: "no Secret"}, PediaCluster: object}
	host := Execution{Plan: render.Plan{Action: render.ActionError, Message: "host down"}, PediaCluster: object, Err: errors.New("any")}
	refused := Execution{Plan: render.Plan{Action: render.ActionError, Message: "refused"}, PediaCluster: object}

	taken := Record{Revision: "b", State: policyv1alpha1.RolloutUnverified, TakenTime: at(0), Before: policyv1alpha1.BeforeClusterReady}
	with := func(change func(*Record)) Record {
		record := taken
		change(&record)
		return record
	}
	cases := map[string]struct {
		record  Record
		written bool // verify: Written
		done    Execution
		ready   string
		since   *metav1.Time
		after   int // seconds
		want    Record
		again   time.Duration
	}{
		"what is verified stays so": {record: Record{Revision: "b", State: policyv1alpha1.RolloutVerified}, done: refused,
			want: Record{Revision: "b", State: policyv1alpha1.RolloutVerified}},
		"a failure is sticky": {record: Record{Revision: "b", State: policyv1alpha1.RolloutFailed, Message: "m"}, done: written, ready: "True",
			want: Record{Revision: "b", State: policyv1alpha1.RolloutFailed, Message: "m"}},
		"a refusal fails at once": {record: taken, done: refused,
			want: with(func(r *Record) { r.State, r.Message = policyv1alpha1.RolloutFailed, "refused" })},
		"the host's word is enough with verify Written": {record: taken, written: true, done: written, after: 2,
			want: with(func(r *Record) { r.State, r.WrittenTime = policyv1alpha1.RolloutVerified, at(2) })},
		"an error of the host is tried again": {record: taken, written: true, done: host, after: 2, want: taken, again: 298 * time.Second},
		"and fails in the end": {record: taken, written: true, done: host, after: 300,
			want: with(func(r *Record) {
				r.State, r.Message = policyv1alpha1.RolloutFailed, "not verified within 5m0s: host down"
			})},
		"readiness must hold": {record: taken, done: written, ready: "True", after: 2,
			want: with(func(r *Record) { r.WrittenTime, r.ReadyTime = at(2), at(2) }), again: 30 * time.Second},
		"for long enough": {record: with(func(r *Record) { r.WrittenTime, r.ReadyTime = at(2), at(2) }), done: same, ready: "True", after: 32,
			want: with(func(r *Record) { r.State, r.WrittenTime, r.ReadyTime = policyv1alpha1.RolloutVerified, at(2), at(2) })},
		"not from before a transition": {record: with(func(r *Record) { r.WrittenTime, r.ReadyTime = at(2), at(2) }), done: same, ready: "True", since: at(20), after: 32,
			want: with(func(r *Record) { r.WrittenTime, r.ReadyTime = at(2), at(20) }), again: 18 * time.Second},
		"and anew after another write": {record: with(func(r *Record) { r.WrittenTime, r.ReadyTime = at(2), at(2) }), done: written, ready: "True", after: 32,
			want: with(func(r *Record) { r.WrittenTime, r.ReadyTime = at(2), at(32) }), again: 30 * time.Second},
		"a cluster that is not ready may become so": {record: with(func(r *Record) { r.WrittenTime, r.ReadyTime = at(2), at(2) }), done: same, ready: "False", after: 10,
			want: with(func(r *Record) { r.WrittenTime = at(2) }), again: 292 * time.Second},
		"and has failed when it does not": {record: with(func(r *Record) { r.WrittenTime = at(2) }), done: same, ready: "False", after: 302,
			want: with(func(r *Record) {
				r.State, r.WrittenTime = policyv1alpha1.RolloutFailed, at(2)
				r.Message = "not verified within 5m0s: the cluster was ready before, and is not: Ready is False"
			})},
		"an answer that is missing verifies nothing": {record: with(func(r *Record) { r.WrittenTime, r.ReadyTime = at(2), at(2) }), done: same, after: 100,
			want: with(func(r *Record) { r.WrittenTime, r.ReadyTime = at(2), at(2) }), again: 202 * time.Second},
		"what was not ready before need not be": {record: with(func(r *Record) { r.Before = policyv1alpha1.BeforeImported }), done: written, ready: "False", after: 2,
			want: with(func(r *Record) {
				r.State, r.WrittenTime, r.Before = policyv1alpha1.RolloutVerified, at(2), policyv1alpha1.BeforeImported
			})},
		"what was imported before must not wait": {record: taken, written: true, done: waits, after: 2, want: taken, again: 298 * time.Second},
		"what waited before may": {record: with(func(r *Record) { r.Before = policyv1alpha1.BeforeNotImported }), done: waits, after: 2,
			want: with(func(r *Record) {
				r.State, r.WrittenTime, r.Before = policyv1alpha1.RolloutVerified, at(2), policyv1alpha1.BeforeNotImported
			})},
		"deletionCondition is none of its business": {record: taken, done: Execution{Plan: render.Plan{
			Action: render.ActionWait, Reason: policyv1alpha1.ReasonDeletionConditionMet}}, after: 2,
			want: with(func(r *Record) { r.State, r.WrittenTime = policyv1alpha1.RolloutVerified, at(2) })},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rollout := clusterReady()
			if c.written {
				rollout.Verify = policyv1alpha1.VerifyWritten
			}
			v := Verification{Rollout: rollout, Done: c.done, Ready: c.ready, Now: at(c.after).Time}
			if c.since != nil {
				v.Since = c.since.Time
			}
			got, again := v.Verify(c.record)
			if diff := cmp.Diff(c.want, got); diff != "" || again != c.again {
				t.Errorf("looks again after %s, want %s; record (-want +got):\n%s", again, c.again, diff)
			}
		})
	}
}

func TestWhatIsBrokenKeepsWhatWasKnownOfItBefore(t *testing.T) {
	imported := Status{Phase: policyv1alpha1.LifecycleImported, Cluster: &policyv1alpha1.ClusterState{Ready: "True"}}
	verified := Record{Revision: "a", State: policyv1alpha1.RolloutVerified}
	cases := map[string]struct {
		former Record
		status Status
		ready  string
		want   policyv1alpha1.RolloutBefore
	}{
		"ready":                 {verified, imported, "True", policyv1alpha1.BeforeClusterReady},
		"ready as far as known": {verified, imported, "", policyv1alpha1.BeforeClusterReady},
		"not ready":             {verified, imported, "False", policyv1alpha1.BeforeImported},
		"waiting":               {verified, Status{Phase: policyv1alpha1.LifecycleWaiting}, "True", policyv1alpha1.BeforeNotImported},
		"failed": {Record{State: policyv1alpha1.RolloutFailed, Before: policyv1alpha1.BeforeClusterReady},
			Status{Phase: policyv1alpha1.LifecycleFailed}, "False", policyv1alpha1.BeforeClusterReady},
		"unverified": {Record{State: policyv1alpha1.RolloutUnverified, Before: policyv1alpha1.BeforeClusterReady},
			Status{Phase: policyv1alpha1.LifecycleWaiting}, "False", policyv1alpha1.BeforeClusterReady},
	}
	for name, c := range cases {
		got := Take("b", c.former, c.status, c.ready, now.Add(time.Millisecond))
		want := Record{Revision: "b", State: policyv1alpha1.RolloutUnverified, TakenTime: at(1), Before: c.want}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
