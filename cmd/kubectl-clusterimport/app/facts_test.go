package app

import (
	"bytes"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// imported are the facts of an import with which all is well.
func imported(change func(*facts)) *facts {
	secret := policyv1alpha1.DependentResource{Version: "v1", Resource: "secrets", Namespace: "fleet", Name: "blue-auth"}
	f := &facts{
		lifecycle: &policyv1alpha1.PediaClusterLifecycle{
			ObjectMeta: metav1.ObjectMeta{Name: "mcp-blue"},
			Spec: policyv1alpha1.PediaClusterLifecycleSpec{
				Source:     policyv1alpha1.DependentResource{Group: "mcp.io", Version: "v1", Resource: "clusters", Namespace: "fleet", Name: "blue"},
				References: []policyv1alpha1.VersionedReferenceTemplate{{ReferenceTarget: policyv1alpha1.ReferenceTarget{Key: "auth", Resource: "secrets"}}},
				Conversion: policyv1alpha1.Conversion{DeletionCondition: "{{ .source.spec.gone }}"},
			},
			Status: policyv1alpha1.PediaClusterLifecycleStatus{
				Phase:   policyv1alpha1.LifecycleImported,
				Cluster: &policyv1alpha1.ClusterState{Ready: "True", Version: "v1.36.3", APIServer: "https://blue:6443"},
				Conditions: []metav1.Condition{
					{Type: "Ready", Status: "True", Reason: "UpToDate", Message: "as the policy wants it"},
					{Type: "Created", Status: "True", Reason: "PediaClusterCreated", Message: "it was created"},
				},
			},
		},
		policyName: "mcp",
		policy:     &policyv1alpha1.ClusterImportPolicy{},
		result: &policyv1alpha1.RenderResult{
			Selected: true, Name: "mcp-blue",
			References:        []policyv1alpha1.RenderedReference{{Key: "auth", DependentResource: secret, Found: true}},
			CreationCondition: &policyv1alpha1.RenderedCondition{Holds: true, Text: "true"},
			DeletionCondition: &policyv1alpha1.RenderedCondition{},
			PediaCluster:      &runtime.RawExtension{Raw: []byte("{}")},
			Action:            policyv1alpha1.RenderNone, Reason: policyv1alpha1.ReasonCreated,
		},
		pediaCluster: &unstructured.Unstructured{Object: map[string]any{}},
	}
	if change != nil {
		change(f)
	}
	return f
}

func withoutPediaCluster(f *facts) {
	f.pediaCluster, f.pediaClusterErr = nil, apierrors.NewNotFound(render.PediaClusterGVR.GroupResource(), "mcp-blue")
	f.lifecycle.Status.Cluster = nil
	f.lifecycle.Status.Phase = policyv1alpha1.LifecycleWaiting
	f.lifecycle.Status.Conditions = nil
}

// rollsOut has the import have the newest revision of a policy with a rollout.
func rollsOut(f *facts) {
	f.policy.Spec.Rollout = &policyv1alpha1.Rollout{}
	policyv1alpha1.SetDefaults_Rollout(f.policy.Spec.Rollout)
	f.policy.Spec.References = []policyv1alpha1.ReferenceTemplate{{ReferenceTarget: f.lifecycle.Spec.References[0].ReferenceTarget}}
	f.lifecycle.Status.Rollout = &policyv1alpha1.LifecycleRollout{State: policyv1alpha1.RolloutVerified,
		Revision: decision.RevisionOfPolicy(&f.policy.Spec).Hash()}
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*facts)
	}{
		{name: "imported"},
		{name: "waits for its turn", change: func(f *facts) {
			rollsOut(f)
			f.lifecycle.Spec.Template = "former"
			f.result.Action, f.result.Changed = policyv1alpha1.RenderUpdate, []string{"spec.apiserver"}
			f.result.Message = "this is revision abcdefabcd; the import keeps revision 0123456789 (Verified) until its turn: it is next"
		}},
		{name: "is paused before its turn", change: func(f *facts) {
			rollsOut(f)
			f.lifecycle.Spec.Template, f.lifecycle.Annotations = "former", map[string]string{policyv1alpha1.PausedAnnotation: "true"}
		}},
		{name: "its revision is not verified", change: func(f *facts) {
			rollsOut(f)
			f.lifecycle.Status.Rollout.State, f.lifecycle.Status.Rollout.WrittenTime = policyv1alpha1.RolloutUnverified, &metav1.Time{Time: time.Unix(0, 0).UTC()}
		}},
		{name: "its revision has failed", change: func(f *facts) {
			rollsOut(f)
			f.lifecycle.Status.Rollout.State, f.lifecycle.Status.Rollout.Message = policyv1alpha1.RolloutFailed, "not verified within 5m0s: the cluster was ready before, and is not: Ready is False"
		}},
		{name: "its revision is verified", change: rollsOut},
		{name: "waits for the condition", change: func(f *facts) {
			withoutPediaCluster(f)
			f.result.CreationCondition = &policyv1alpha1.RenderedCondition{Text: "false"}
			f.result.Action, f.result.Reason, f.result.Message = policyv1alpha1.RenderWait, policyv1alpha1.ReasonWaitingForCondition, "creationCondition is not true yet"
		}},
		{name: "waits for a part of the condition", change: func(f *facts) {
			withoutPediaCluster(f)
			f.lifecycle.Spec.CreationCondition = "{{ range .source.status.conditions }}\n  {{ if and (eq .type \"Ready\") (eq .status \"True\") }}true{{ end }}\n{{ end }}\n"
			f.result.CreationCondition = &policyv1alpha1.RenderedCondition{}
			f.result.Traces = []policyv1alpha1.ConditionTrace{
				{Field: "spec.source.selectorTemplate", Steps: []policyv1alpha1.TraceStep{{Kind: policyv1alpha1.TracePrint, Line: 1, Column: 4, Expression: "true", Evaluated: 1, Held: 1}}},
				{Field: "spec.creationCondition", Why: "line 2: eq .status \"True\" was false", Steps: []policyv1alpha1.TraceStep{
					{Kind: policyv1alpha1.TraceRange, Line: 1, Column: 10, Expression: ".source.status.conditions", Evaluated: 1, Held: 1, Items: 3},
					{Kind: policyv1alpha1.TraceIf, Line: 2, Column: 9, Expression: "and (eq .type \"Ready\") (eq .status \"True\")", Evaluated: 3, Decided: true},
					{Kind: policyv1alpha1.TraceIf, Line: 2, Column: 14, Expression: "eq .type \"Ready\"", Evaluated: 3, Held: 1, Decided: true,
						Values: []policyv1alpha1.TraceValue{{Expression: ".type", Value: "\"Synced\""}}},
					{Kind: policyv1alpha1.TraceIf, Line: 2, Column: 32, Expression: "eq .status \"True\"", Evaluated: 1, Decided: true,
						Values: []policyv1alpha1.TraceValue{{Expression: ".status", Value: "\"False\""}}},
				}},
			}
			f.result.Action, f.result.Reason, f.result.Message = policyv1alpha1.RenderWait, policyv1alpha1.ReasonWaitingForCondition, "creationCondition is not true yet: line 2: eq .status \"True\" was false"
		}},
		{name: "deselected by its template", change: func(f *facts) {
			f.policy.Spec.Source.SelectorTemplate = "{{ eq .source.metadata.labels.stage \"prod\" }}"
			f.result = &policyv1alpha1.RenderResult{Action: policyv1alpha1.RenderDelete, Reason: policyv1alpha1.ReasonSourceDeselected, Message: "the selectors do not select the Source",
				Traces: []policyv1alpha1.ConditionTrace{{Field: "spec.source.selectorTemplate", Steps: []policyv1alpha1.TraceStep{
					{Kind: policyv1alpha1.TracePrint, Line: 1, Column: 4, Expression: "eq .source.metadata.labels.stage \"prod\"", Evaluated: 1, Decided: true,
						Values: []policyv1alpha1.TraceValue{{Expression: ".source.metadata.labels.stage", Value: "\"test\""}}}}}}}
		}},
		{name: "waits for a reference", change: func(f *facts) {
			withoutPediaCluster(f)
			f.result.References[0].Found = false
			f.result.CreationCondition, f.result.DeletionCondition, f.result.PediaCluster = nil, nil, nil
			f.result.Action, f.result.Reason, f.result.Message = policyv1alpha1.RenderWait, policyv1alpha1.ReasonWaitingForReference, "it does not exist"
		}},
		{name: "reference cannot be named", change: func(f *facts) {
			withoutPediaCluster(f)
			f.result.References = nil
			f.result.CreationCondition, f.result.DeletionCondition, f.result.PediaCluster = nil, nil, nil
			f.result.Errors = []policyv1alpha1.TemplateError{{Field: "spec.references[0].nameTemplate", Line: 1, Column: 4, Expression: ".source.spec.a.b", Message: `no "a" in .source.spec`}}
			f.result.Action, f.result.Reason, f.result.Message = policyv1alpha1.RenderWait, policyv1alpha1.ReasonWaitingForValue, "a value is missing"
		}},
		{name: "template fails", change: func(f *facts) {
			f.result.PediaCluster = nil
			f.result.Errors = []policyv1alpha1.TemplateError{{Field: "spec.template", Line: 3, Column: 7, Message: "too long"}}
			f.result.Action, f.result.Reason, f.result.Message = policyv1alpha1.RenderError, policyv1alpha1.ReasonTemplateFailed, "spec.template: too long"
		}},
		{name: "to be created", change: func(f *facts) {
			withoutPediaCluster(f)
			f.result.Action = policyv1alpha1.RenderCreate
		}},
		{name: "to be updated", change: func(f *facts) {
			f.result.Action, f.result.Changed = policyv1alpha1.RenderUpdate, []string{"spec.tokenData"}
		}},
		{name: "to be deleted", change: func(f *facts) {
			f.result.DeletionCondition.Holds = true
			f.result.Action, f.result.Reason, f.result.Message = policyv1alpha1.RenderDelete, policyv1alpha1.ReasonDeletionConditionMet, "deletionCondition is true"
		}},
		{name: "was there first and is not ready", change: func(f *facts) {
			f.result.Reason = policyv1alpha1.ReasonExisted
			f.lifecycle.Status.Cluster.Ready = "False"
		}},
		{name: "does not answer", change: func(f *facts) {
			f.lifecycle.Status.Cluster.Ready, f.lifecycle.Status.Cluster.Message = "False", "ClusterHealthy: connection refused"
		}},
		{name: "deselected", change: func(f *facts) {
			f.result = &policyv1alpha1.RenderResult{Action: policyv1alpha1.RenderDelete, Reason: policyv1alpha1.ReasonSourceDeselected, Message: "the selectors do not select the Source"}
		}},
		{name: "source gone", change: func(f *facts) {
			f.result = &policyv1alpha1.RenderResult{Action: policyv1alpha1.RenderError, Reason: policyv1alpha1.ReasonSourceNotFound, Message: "it does not exist, or you may not read it"}
		}},
		{name: "renamed", change: func(f *facts) { f.result.Name = "blue" }},
		{name: "being deleted", change: func(f *facts) {
			now := metav1.NewTime(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
			f.lifecycle.DeletionTimestamp = &now
			f.lifecycle.Status.Phase = policyv1alpha1.LifecycleDeleting
			f.lifecycle.Status.Conditions = []metav1.Condition{{Type: policyv1alpha1.LifecycleReady, Status: metav1.ConditionFalse,
				Reason: policyv1alpha1.ReasonSourceGone, Message: "the Source no longer exists; the PediaCluster is being deleted"}}
			f.pediaCluster.SetDeletionTimestamp(&now)
			f.pediaCluster.SetFinalizers([]string{"clusterpedia.io/cluster-synchro-controller"})
			f.result = &policyv1alpha1.RenderResult{Action: policyv1alpha1.RenderError, Reason: policyv1alpha1.ReasonSourceNotFound, Message: "it does not exist, or you may not read it"}
		}},
		{name: "suspended", change: func(f *facts) { f.policy.Spec.Suspend = true }},
		{name: "source being deleted without its reference", change: func(f *facts) {
			withoutPediaCluster(f)
			f.source = beingDeleted("foregroundDeletion", "cluster.x-k8s.io/cleanup")
			f.result.References[0].Found = false
			f.result.CreationCondition, f.result.DeletionCondition, f.result.PediaCluster = nil, nil, nil
			f.result.Action, f.result.Reason, f.result.Message = policyv1alpha1.RenderWait, policyv1alpha1.ReasonWaitingForReference, "it does not exist"
		}},
		{name: "source being deleted", change: func(f *facts) { f.source = beingDeleted() }},
		{name: "source type unavailable", change: func(f *facts) {
			f.policy.Status.Conditions = []metav1.Condition{{Type: policyv1alpha1.PolicyValidated, Status: metav1.ConditionUnknown,
				Reason: policyv1alpha1.ReasonSourcesUnavailable, Message: "listing and watching clusters.mcp.io: no answer"}}
			f.result, f.resultErr = nil, errors.New("the server is currently unable to handle the request")
		}},
		{name: "render is forbidden", change: func(f *facts) {
			f.result, f.resultErr = nil, errors.New("you may not render")
			f.policy, f.policyErr = nil, errors.New("you may not read policies")
			f.pediaCluster, f.pediaClusterErr = nil, errors.New("you may not read PediaClusters")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := imported(tt.change).explain(&out); err != nil {
				t.Fatal(err)
			}
			compare(t, "explain-"+fileName(tt.name), out.String())
		})
	}
}

func beingDeleted(finalizers ...string) *unstructured.Unstructured {
	now := metav1.Now()
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetDeletionTimestamp(&now)
	object.SetFinalizers(finalizers)
	return object
}

func TestExplainConcludesNothingFromPoliciesThatCannotTell(t *testing.T) {
	policy := func(name string, change func(*policyv1alpha1.ClusterImportPolicy)) policyv1alpha1.ClusterImportPolicy {
		p := policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 2}}
		p.Status.Conditions = []metav1.Condition{
			{Type: policyv1alpha1.PolicyReady, Status: metav1.ConditionTrue, Reason: policyv1alpha1.ReasonImported, ObservedGeneration: 2},
			{Type: policyv1alpha1.PolicyReconciling, Status: metav1.ConditionFalse, Reason: policyv1alpha1.ReasonImported, ObservedGeneration: 2},
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	problem := func(reason, message string) func(*policyv1alpha1.ClusterImportPolicy) {
		return func(p *policyv1alpha1.ClusterImportPolicy) {
			p.Status.Conditions[0].Status, p.Status.Conditions[1].Status = metav1.ConditionFalse, metav1.ConditionTrue
			p.Status.Conditions[0].Reason, p.Status.Conditions[0].Message = reason, message
		}
	}
	compare(t, fileName("explain nothing found"), nothingFound([]policyv1alpha1.ClusterImportPolicy{policy("fine", nil)}))
	compare(t, fileName("explain nothing known"), nothingFound([]policyv1alpha1.ClusterImportPolicy{
		policy("fine", nil),
		policy("new", func(p *policyv1alpha1.ClusterImportPolicy) {
			p.Status.Conditions = policyv1alpha1.NewConditions(2, metav1.Now())
		}),
		policy("bare", func(p *policyv1alpha1.ClusterImportPolicy) { p.Status.Conditions = nil }),
		policy("edited", func(p *policyv1alpha1.ClusterImportPolicy) { p.Generation++ }),
		policy("unserved", problem(policyv1alpha1.ReasonSourceTypeNotServed, "the host does not serve clusters.mcp.io")),
		policy("down", problem(policyv1alpha1.ReasonSourcesUnavailable, "listing and watching clusters.mcp.io: no answer")),
		policy("busy", problem(policyv1alpha1.ReasonImporting, "7 Sources are still to be reconciled")),
		policy("suspended", func(p *policyv1alpha1.ClusterImportPolicy) {
			p.Spec.Suspend = true
			p.Status.Conditions[0].Reason, p.Status.Conditions[0].Message = policyv1alpha1.ReasonSuspended, "nothing is created"
		}),
		policy("failing", func(p *policyv1alpha1.ClusterImportPolicy) {
			p.Status.Counts.Failed, p.Status.Counts.Conflict = 9, 3
			p.Status.Failures = make([]policyv1alpha1.SourceFailure, 10)
		}),
	}))
}
