package render

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

var owner = Owner{
	Policy:       "mcp",
	Source:       policyv1alpha1.DependentResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters", Name: "one"},
	LifecycleUID: "lifecycle-uid",
}

const createdForOne = "mcp/clusters.cluster.mcp.io//one"

// conversion is one that is ready to be created.
func conversion(change ...func(*Conversion)) *Conversion {
	c := &Conversion{
		CreationCondition: Condition{Holds: true},
		PediaCluster:      pediaClusterObject(map[string]any{"apiserver": "https://one", "tokenData": "bmV3"}),
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// pediaClusterObject has the syncResources that every PediaCluster needs.
func pediaClusterObject(spec map[string]any) *unstructured.Unstructured {
	spec = maps.Clone(spec)
	if spec["syncResources"] == nil {
		spec["syncResources"] = []any{}
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(PediaClusterGVK)
	object.SetName("mcp-one")
	return object
}

// live is a PediaCluster on the host.
func live(spec map[string]any, change ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
	object := pediaClusterObject(spec)
	object.SetUID("pedia-uid")
	object.SetResourceVersion("7")
	for _, f := range change {
		f(object)
	}
	return object
}

func createdFor(value string) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		object.SetAnnotations(map[string]string{policyv1alpha1.CreatedForAnnotation: value})
	}
}

func ownedBy(refs ...metav1.OwnerReference) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) { object.SetOwnerReferences(refs) }
}

func deleting(object *unstructured.Unstructured) {
	now := metav1.Now()
	object.SetDeletionTimestamp(&now)
}

var (
	byLifecycle      = owner.reference("mcp-one")
	byOldLifecycle   = metav1.OwnerReference{APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "PediaClusterLifecycle", Name: "mcp-one", UID: "old-uid"}
	bySomebodyElse   = metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "else", UID: "else-uid"}
	errBroken        = errors.New("broken")
	errNotYet        = &Error{Field: "spec.creationCondition", Cause: &engine.Error{Message: "no status", Absent: true}}
	guards           = map[string]any{"uid": "pedia-uid", "resourceVersion": "7"}
	upToDate         = map[string]any{"apiserver": "https://one", "tokenData": "bmV3"}
	outdated         = map[string]any{"apiserver": "https://one", "tokenData": "b2xk", "caData": "Y2E="}
	outdatedPatch    = map[string]any{"tokenData": "bmV3", "caData": nil}
	missingToken     = missingCredential("tokenData")
	missingCA        = missingCredential("caData")
	missingReference = &MissingReference{Key: "secret", Target: policyv1alpha1.DependentResource{Resource: "secrets", Namespace: "default", Name: "one"}}
)

func missingCredential(field string) *MissingCredential {
	return &MissingCredential{Field: field, Cause: &Error{Field: "spec.template", Cause: &engine.Error{
		Line: 3, Column: 14, Expression: ".source.data.x", Message: "it prints nothing"}}}
}

// lacks is a conversion whose template printed nothing for a credential.
func lacks(missing ...*MissingCredential) func(*Conversion) {
	return func(c *Conversion) {
		c.MissingCredentials = missing
		for _, credential := range missing {
			unstructured.RemoveNestedField(c.PediaCluster.Object, "spec", credential.Field)
		}
	}
}

// renders is a conversion that renders this spec.
func renders(spec map[string]any) func(*Conversion) {
	return func(c *Conversion) { c.PediaCluster = pediaClusterObject(spec) }
}

// unsynced is a conversion that renders no syncResources.
func unsynced(c *Conversion) {
	unstructured.RemoveNestedField(c.PediaCluster.Object, "spec", "syncResources")
}

func TestPlan(t *testing.T) {
	tests := []struct {
		name       string
		conversion *Conversion
		current    *unstructured.Unstructured
		want       Plan
	}{
		{
			name:       "a PediaCluster is created when the condition holds",
			conversion: conversion(),
			want: Plan{Action: ActionCreate, Reason: "PediaClusterCreated",
				Object: pediaClusterWith(upToDate, createdFor(createdForOne), ownedBy(byLifecycle))},
		},
		{
			name:       "it waits while the condition does not hold",
			conversion: conversion(func(c *Conversion) { c.CreationCondition.Holds = false }),
			want:       Plan{Action: ActionWait, Reason: "WaitingForCondition", Message: "creationCondition is not true yet"},
		},
		{
			name:       "what is absent in the condition is not yet",
			conversion: conversion(func(c *Conversion) { c.CreationCondition = Condition{Err: errNotYet} }),
			want:       Plan{Action: ActionWait, Reason: "WaitingForCondition", Message: "creationCondition is not true yet: " + errNotYet.Error()},
		},
		{
			name: "another error in the condition is an error",
			conversion: conversion(func(c *Conversion) {
				c.CreationCondition = Condition{Err: &Error{Field: "spec.creationCondition", Cause: &engine.Error{Message: "broken"}}}
			}),
			want: Plan{Action: ActionError, Reason: "TemplateFailed",
				Message: (&Error{Field: "spec.creationCondition", Cause: &engine.Error{Message: "broken"}}).Error()},
		},
		{
			name:       "it waits for a reference",
			conversion: conversion(func(c *Conversion) { c.Missing, c.PediaCluster = missingReference, nil }),
			want:       Plan{Action: ActionWait, Reason: "WaitingForReference", Message: `reference "secret": secrets "default/one" does not exist`},
		},
		{
			name:       "a reference that goes leaves the PediaCluster as it is",
			conversion: conversion(func(c *Conversion) { c.Missing, c.PediaCluster = missingReference, nil }),
			current:    live(outdated, createdFor(createdForOne), ownedBy(byLifecycle)),
			want:       Plan{Action: ActionWait, Reason: "WaitingForReference", Message: `reference "secret": secrets "default/one" does not exist`},
		},
		{
			name:       "nothing is created while a credential is missing",
			conversion: conversion(lacks(missingCA)),
			want: Plan{Action: ActionWait, Reason: "CredentialsMissing", Message: "not created while spec.caData is missing; a field that is optional " +
				"belongs inside {{ with }} or {{ if }}: spec.template: line 3, column 14: .source.data.x: it prints nothing"},
		},
		{
			name:       "nor, then, without the condition, and for want of the only endpoint",
			conversion: conversion(renders(map[string]any{}), lacks(missingCredential("kubeconfig"), missingToken), func(c *Conversion) { c.CreationCondition.Holds = false }),
			want: Plan{Action: ActionWait, Reason: "CredentialsMissing", Message: "not created while spec.kubeconfig and spec.tokenData are missing; a field that " +
				"is optional belongs inside {{ with }} or {{ if }}: spec.template: line 3, column 14: .source.data.x: it prints nothing; " +
				"spec.template: line 3, column 14: .source.data.x: it prints nothing"},
		},
		{
			name:       "a credential that is gone keeps all six fields as they are",
			conversion: conversion(renders(map[string]any{"apiserver": "https://moved", "tokenData": "bmV3"}), lacks(missingCA)),
			current:    live(outdated, createdFor(createdForOne)),
			want: Plan{Action: ActionWait, Reason: "CredentialsMissing", Message: "endpoint and credentials stay as they are while spec.caData is missing; a field " +
				"that is optional belongs inside {{ with }} or {{ if }}: spec.template: line 3, column 14: .source.data.x: it prints nothing"},
		},
		{
			name:       "also of a PediaCluster that was there first",
			conversion: conversion(lacks(missingToken)),
			current:    live(outdated),
			want: Plan{Action: ActionWait, Reason: "CredentialsMissing", Message: "endpoint and credentials stay as they are while spec.tokenData is missing; a field " +
				"that is optional belongs inside {{ with }} or {{ if }}: spec.template: line 3, column 14: .source.data.x: it prints nothing"},
		},
		{
			name:       "a credential that the live PediaCluster never had is nothing to keep",
			conversion: conversion(lacks(missingCredential("certData"), missingCredential("keyData"))),
			current:    live(outdated, createdFor(createdForOne), ownedBy(byLifecycle)),
			want: Plan{Action: ActionUpdate, Reason: "PediaClusterCreated", Changed: []string{"spec.caData", "spec.tokenData"},
				Patch: map[string]any{"metadata": guards, "spec": outdatedPatch}},
		},
		{
			name:       "the deletion condition is asked all the same",
			conversion: conversion(lacks(missingToken), func(c *Conversion) { c.DeletionCondition.Holds = true }),
			current:    live(outdated, createdFor(createdForOne), ownedBy(byLifecycle)),
			want:       Plan{Action: ActionDelete, Reason: "DeletionConditionMet", Message: "deletionCondition is true"},
		},
		{
			name:       "credentials that client-go cannot load are not created",
			conversion: conversion(renders(map[string]any{"apiserver": "https://one", "tokenData": "bmV3", "caData": "Y2E="})),
			want: Plan{Action: ActionError, Reason: "InvalidPediaCluster",
				Message: "spec.caData: it is not PEM: a certificate begins with -----BEGIN CERTIFICATE-----"},
		},
		{
			name:       "nor put in the place of others",
			conversion: conversion(renders(map[string]any{"apiserver": "https://moved", "tokenData": "bmV3", "certData": "Y2E="})),
			current:    live(upToDate, createdFor(createdForOne)),
			want:       Plan{Action: ActionError, Reason: "InvalidPediaCluster", Message: "spec.certData: there is no spec.keyData for it"},
		},
		{
			name:       "what the live PediaCluster has already is not looked at again",
			conversion: conversion(renders(map[string]any{"apiserver": "https://one", "tokenData": "bmV3", "caData": "Y2E="})),
			current:    live(outdated, createdFor(createdForOne), ownedBy(byLifecycle)),
			want: Plan{Action: ActionUpdate, Reason: "PediaClusterCreated", Changed: []string{"spec.tokenData"},
				Patch: map[string]any{"metadata": guards, "spec": map[string]any{"tokenData": "bmV3"}}},
		},
		{
			name:       "what the host would refuse is not created",
			conversion: conversion(unsynced),
			want: Plan{Action: ActionError, Reason: "InvalidPediaCluster", Message: "spec.template renders a PediaCluster that cannot be used: " +
				"spec.syncResources: is missing: it must be a list, which may be empty"},
		},
		{
			name: "nor is what a template cannot set",
			conversion: conversion(func(c *Conversion) {
				c.problems = Problems{{Field: "metadata.namespace", Message: "unknown field"}}
			}),
			want: Plan{Action: ActionError, Reason: "InvalidPediaCluster",
				Message: "spec.template renders a PediaCluster that cannot be used: metadata.namespace: unknown field"},
		},
		{
			name:       "what would be refused is said while the creation condition is waited for",
			conversion: conversion(unsynced, func(c *Conversion) { c.CreationCondition.Holds = false }),
			want: Plan{Action: ActionWait, Reason: "WaitingForCondition", Message: "creationCondition is not true yet; what spec.template renders " +
				"now could not be created: spec.syncResources: is missing: it must be a list, which may be empty"},
		},
		{
			name: "credentials follow, whatever is wrong with what an update does not write",
			conversion: conversion(unsynced, func(c *Conversion) {
				c.problems = Problems{{Field: "metadata.namespace", Message: "unknown field"}}
				c.PediaCluster.SetLabels(map[string]string{"display": "Prod EU #1"})
				c.PediaCluster.Object["spec"].(map[string]any)["syncAllCustomResources"] = "true"
				c.PediaCluster.Object["spec"].(map[string]any)["noSuchField"] = int64(1)
			}),
			current: live(outdated, createdFor(createdForOne), ownedBy(byLifecycle)),
			want: Plan{Action: ActionUpdate, Reason: "PediaClusterCreated", Changed: []string{"spec.caData", "spec.tokenData"},
				Patch: map[string]any{"metadata": guards, "spec": outdatedPatch}},
		},
		{
			name: "an endpoint of another type does not take the place of one, nor removes it",
			conversion: conversion(func(c *Conversion) {
				spec := c.PediaCluster.Object["spec"].(map[string]any)
				spec["apiserver"], spec["authenticationFrom"] = map[string]any{"host": "one"}, map[string]any{"kubeconfig": map[string]any{"name": "a", "key": "b"}}
			}),
			current: live(upToDate, createdFor(createdForOne), ownedBy(byLifecycle)),
			want: Plan{Action: ActionError, Reason: "InvalidPediaCluster",
				Message: "spec.template renders a PediaCluster that cannot be used: spec.apiserver: must be a string, not an object"},
		},
		{
			name: "a field that the host does not have is not written into what exists",
			conversion: conversion(func(c *Conversion) {
				c.schema = richSchema(t, `{type: object, properties: {apiserver: {type: string}}}`)
			}),
			current: live(outdated, createdFor(createdForOne), ownedBy(byLifecycle)),
			want: Plan{Action: ActionError, Reason: "InvalidPediaCluster",
				Message: "spec.template renders a PediaCluster that cannot be used: spec.tokenData: unknown field: known are apiserver"},
		},
		{
			name:       "without an endpoint nothing is created",
			conversion: conversion(func(c *Conversion) { c.PediaCluster = pediaClusterObject(map[string]any{"tokenData": "bmV3"}) }),
			want: Plan{Action: ActionWait, Reason: "NoEndpoint",
				Message: "spec.template renders neither spec.apiserver nor spec.kubeconfig nor spec.authenticationFrom.kubeconfig"},
		},
		{
			name:       "a lost endpoint does not empty the PediaCluster",
			conversion: conversion(func(c *Conversion) { c.PediaCluster = pediaClusterObject(map[string]any{}) }),
			current:    live(outdated, createdFor(createdForOne), ownedBy(byLifecycle)),
			want: Plan{Action: ActionWait, Reason: "NoEndpoint",
				Message: "spec.template renders neither spec.apiserver nor spec.kubeconfig nor spec.authenticationFrom.kubeconfig"},
		},
		{
			name:       "endpoint and credentials follow, with null for what is no longer rendered",
			conversion: conversion(),
			current:    live(outdated, createdFor(createdForOne), ownedBy(byLifecycle)),
			want: Plan{Action: ActionUpdate, Reason: "PediaClusterCreated", Changed: []string{"spec.caData", "spec.tokenData"},
				Patch: map[string]any{"metadata": guards, "spec": outdatedPatch}},
		},
		{
			name:       "the creation condition is not asked while the PediaCluster exists",
			conversion: conversion(func(c *Conversion) { c.CreationCondition = Condition{Err: errBroken} }),
			current:    live(upToDate, createdFor(createdForOne), ownedBy(byLifecycle)),
			want:       Plan{Action: ActionNone, Reason: "PediaClusterCreated"},
		},
		{
			name: "what belongs to the users is left to them",
			conversion: conversion(func(c *Conversion) {
				c.PediaCluster.SetLabels(map[string]string{"from": "template"})
				c.PediaCluster.Object["spec"].(map[string]any)["syncResourcesRefName"] = "template"
			}),
			current: live(upToDate, createdFor(createdForOne), ownedBy(byLifecycle)),
			want:    Plan{Action: ActionNone, Reason: "PediaClusterCreated"},
		},
		{
			name:       "a PediaCluster that was there first is updated and not owned",
			conversion: conversion(),
			current:    live(outdated),
			want: Plan{Action: ActionUpdate, Reason: "PediaClusterExisted", Changed: []string{"spec.caData", "spec.tokenData"},
				Patch: map[string]any{"metadata": guards, "spec": outdatedPatch}},
		},
		{
			name:       "one that is ours is adopted again after its owner reference was lost",
			conversion: conversion(),
			current:    live(upToDate, createdFor(createdForOne)),
			want: Plan{Action: ActionUpdate, Reason: "PediaClusterCreated", Changed: []string{"metadata.ownerReferences"},
				Patch: map[string]any{"metadata": map[string]any{"uid": "pedia-uid", "resourceVersion": "7",
					"ownerReferences": []metav1.OwnerReference{byLifecycle}}}},
		},
		{
			name:       "an owner reference to an earlier lifecycle is replaced",
			conversion: conversion(),
			current:    live(upToDate, createdFor(createdForOne), ownedBy(byOldLifecycle)),
			want: Plan{Action: ActionUpdate, Reason: "PediaClusterCreated", Changed: []string{"metadata.ownerReferences"},
				Patch: map[string]any{"metadata": map[string]any{"uid": "pedia-uid", "resourceVersion": "7",
					"ownerReferences": []metav1.OwnerReference{byLifecycle}}}},
		},
		{
			name:       "a lost annotation is put back",
			conversion: conversion(),
			current:    live(upToDate, ownedBy(byLifecycle)),
			want: Plan{Action: ActionUpdate, Reason: "PediaClusterCreated", Changed: []string{"metadata.annotations"},
				Patch: map[string]any{"metadata": map[string]any{"uid": "pedia-uid", "resourceVersion": "7",
					"annotations": map[string]any{policyv1alpha1.CreatedForAnnotation: createdForOne}}}},
		},
		{
			name:       "one that somebody else owns too is not ours",
			conversion: conversion(),
			current:    live(upToDate, createdFor(createdForOne), ownedBy(bySomebodyElse)),
			want:       Plan{Action: ActionNone, Reason: "PediaClusterExisted"},
		},
		{
			name:       "one that was made for another Source is a conflict",
			conversion: conversion(),
			current:    live(outdated, createdFor("mcp/clusters.cluster.mcp.io//two")),
			want: Plan{Action: ActionConflict, Reason: "NameTaken", Message: `PediaCluster "mcp-one" was made for ` +
				`mcp/clusters.cluster.mcp.io//two: change nameTemplate so that names differ, or delete that PediaCluster`},
		},
		{
			name:       "one that is being deleted is waited for",
			conversion: conversion(),
			current:    live(outdated, createdFor(createdForOne), deleting),
			want: Plan{Action: ActionWait, Reason: "PediaClusterDeleting",
				Message: "the PediaCluster is being deleted; it is created again after that if creationCondition is true"},
		},
		{
			name:       "the deletion condition deletes what is ours",
			conversion: conversion(func(c *Conversion) { c.DeletionCondition.Holds = true }),
			current:    live(upToDate, createdFor(createdForOne), ownedBy(byLifecycle)),
			want:       Plan{Action: ActionDelete, Reason: "DeletionConditionMet", Message: "deletionCondition is true"},
		},
		{
			name:       "the deletion condition does not delete what was there first",
			conversion: conversion(func(c *Conversion) { c.DeletionCondition.Holds = true }),
			current:    live(upToDate),
			want:       Plan{Action: ActionNone, Reason: "PediaClusterExisted"},
		},
		{
			name:       "nothing is created while the deletion condition holds",
			conversion: conversion(func(c *Conversion) { c.DeletionCondition.Holds = true }),
			want:       Plan{Action: ActionWait, Reason: "DeletionConditionMet", Message: "not created while deletionCondition is true"},
		},
		{
			name:       "a reference that cannot be read is told from one that does not exist",
			conversion: conversion(func(c *Conversion) { c.Err, c.PediaCluster = &LookupError{Key: "secret", Err: errBroken}, nil }),
			current:    live(upToDate, createdFor(createdForOne), ownedBy(byLifecycle)),
			want:       Plan{Action: ActionError, Reason: "ReferenceUnavailable", Message: `reading reference "secret": broken`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := test.current.DeepCopy()
			got := test.conversion.Plan(owner, test.current, nil)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if test.current != nil {
				if diff := cmp.Diff(before.Object, test.current.Object); diff != "" {
					t.Errorf("the live PediaCluster was changed:\n%s", diff)
				}
			}
		})
	}
}

func pediaClusterWith(spec map[string]any, change ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
	object := pediaClusterObject(spec)
	for _, f := range change {
		f(object)
	}
	return object
}

// Whatever goes wrong, what exists stays: of all combinations, only a deletion
// condition that holds deletes, and only what was made for this import.
func TestAnErrorNeverDeletes(t *testing.T) {
	failures := map[string]func(*Conversion){
		"nothing":              func(*Conversion) {},
		"missing":              func(c *Conversion) { c.Missing, c.PediaCluster = missingReference, nil },
		"error":                func(c *Conversion) { c.Err, c.PediaCluster = errBroken, nil },
		"creation error":       func(c *Conversion) { c.CreationCondition = Condition{Err: errBroken} },
		"creation not yet":     func(c *Conversion) { c.CreationCondition = Condition{Err: errNotYet} },
		"deletion error":       func(c *Conversion) { c.DeletionCondition = Condition{Err: errBroken} },
		"deletion not yet":     func(c *Conversion) { c.DeletionCondition = Condition{Err: errNotYet} },
		"deletion holds":       func(c *Conversion) { c.DeletionCondition.Holds = true },
		"creation not holding": func(c *Conversion) { c.CreationCondition.Holds = false },
		"credential missing":   func(c *Conversion) { c.MissingCredentials = []*MissingCredential{missingCA} },
		"credential unusable": func(c *Conversion) {
			if c.PediaCluster != nil {
				c.PediaCluster.Object["spec"].(map[string]any)["caData"] = "bm9uZQ=="
			}
		},
	}
	states := map[string]*unstructured.Unstructured{
		"none":           nil,
		"ours":           live(outdated, createdFor(createdForOne), ownedBy(byLifecycle)),
		"ours, unmarked": live(outdated, ownedBy(byLifecycle)),
		"ours, lost":     live(outdated, createdFor(createdForOne)),
		"there first":    live(outdated),
		"of another":     live(outdated, createdFor("mcp/clusters.cluster.mcp.io//two")),
		"shared":         live(outdated, createdFor(createdForOne), ownedBy(byLifecycle, bySomebodyElse)),
	}
	for one, first := range failures {
		for two, second := range failures {
			for state, current := range states {
				c := conversion(first, second)
				plan := c.Plan(owner, current, nil)
				may := c.DeletionCondition.Holds && c.DeletionCondition.Err == nil && current != nil && owner.Ownership(current) == Owned
				if plan.Action == ActionDelete && !may {
					t.Errorf("%s and %s delete the PediaCluster that is %s", one, two, state)
				}
				failed := c.Missing != nil || c.Err != nil || one == "credential missing" || two == "credential unusable"
				if failed && (plan.Action == ActionUpdate || plan.Action == ActionCreate) {
					t.Errorf("%s and %s write the PediaCluster that is %s", one, two, state)
				}
			}
		}
	}
}

func TestARenamedImportTakesOverWhatBelongsToTheUsers(t *testing.T) {
	old := live(map[string]any{
		"apiserver": "https://old", "caData": "b2xk",
		"syncResources": []any{map[string]any{"group": "apps", "resources": []any{"*"}}},
	}, func(object *unstructured.Unstructured) {
		object.SetName("old-name")
		object.SetLabels(map[string]string{"team": "users"})
		object.SetAnnotations(map[string]string{"note": "users", policyv1alpha1.CreatedForAnnotation: createdForOne})
	})
	c := conversion(func(c *Conversion) {
		c.CreationCondition.Holds = false
		c.PediaCluster.SetLabels(map[string]string{"from": "template"})
	})
	want := pediaClusterWith(map[string]any{
		"apiserver": "https://one", "tokenData": "bmV3",
		"syncResources": []any{map[string]any{"group": "apps", "resources": []any{"*"}}},
	}, ownedBy(byLifecycle), func(object *unstructured.Unstructured) {
		object.SetLabels(map[string]string{"team": "users"})
		object.SetAnnotations(map[string]string{"note": "users", policyv1alpha1.CreatedForAnnotation: createdForOne})
	})
	got := c.Plan(owner, nil, old)
	if diff := cmp.Diff(Plan{Action: ActionCreate, Reason: "PediaClusterCreated", Object: want}, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestARenamedImportIsNotCreatedWithWhatTheHostWouldRefuse(t *testing.T) {
	old := live(map[string]any{"apiserver": "https://old", "syncAllCustomResources": "true"}, createdFor(createdForOne))
	old.SetName("old-name")
	want := Plan{Action: ActionError, Reason: "InvalidPediaCluster", Message: `PediaCluster "mcp-one" cannot replace "old-name", whose fields it copies: ` +
		`spec.syncAllCustomResources: must be a boolean, not a string: write it without quotes`}
	if diff := cmp.Diff(want, conversion().Plan(owner, nil, old)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// An update removes a field only when the template does not write it: what it writes and
// cannot be used stays as it is.
func TestWhatCannotBeUsedNeverRemovesWhatIsThere(t *testing.T) {
	values := []any{"https://two", "bmV3", "%", int64(1), 1.5, true, []any{}, []any{"x"}, map[string]any{}, map[string]any{"x": "y"}}
	current := live(map[string]any{"apiserver": "https://one", "tokenData": "b2xk", "caData": "Y2E=", "certData": "YQ==", "keyData": "YQ==", "kubeconfig": "YQ=="},
		createdFor(createdForOne), ownedBy(byLifecycle))
	for _, field := range followedFields {
		for _, value := range values {
			c := conversion(func(c *Conversion) {
				c.PediaCluster = current.DeepCopy()
				c.PediaCluster.Object["spec"].(map[string]any)[field] = value
			})
			plan := c.Plan(owner, current, nil)
			spec, _ := plan.Patch["spec"].(map[string]any)
			for name, written := range spec {
				if _, text := written.(string); !text {
					t.Errorf("with %v in %s, %s becomes %v", value, field, name, written)
				}
			}
			if _, text := value.(string); !text && (plan.Action == ActionUpdate || plan.Action == ActionNone) {
				t.Errorf("with %v in %s, the plan is %s", value, field, plan.Action)
			}
		}
	}
}

// What a template puts together is one value to the engine: that a token in it printed nothing is
// seen only by what it has become.
func TestAKubeconfigThatCanLogInIsNotReplacedByOneThatCannot(t *testing.T) {
	kubeconfig := func(server, user string) map[string]any {
		return map[string]any{"kubeconfig": base64.StdEncoding.EncodeToString([]byte(`{"current-context":"a","contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],` +
			`"clusters":[{"name":"a","cluster":{"server":"https://` + server + `"}}],"users":[{"name":"a","user":` + user + `}]}`))}
	}
	const token, exec = `{"token":"t"}`, `{"exec":{"apiVersion":"client.authentication.k8s.io/v1","command":"login","interactiveMode":"Never"}}`
	for name, test := range map[string]struct {
		has, gets map[string]any
		keeps     bool
	}{
		"the token is empty":                   {kubeconfig("a", token), kubeconfig("a", `{"token":""}`), true},
		"the user is empty":                    {kubeconfig("a", token), kubeconfig("b", `{}`), true},
		"the password is empty":                {kubeconfig("a", `{"username":"u","password":"p"}`), kubeconfig("a", `{"username":"u","password":""}`), true},
		"the program is gone":                  {kubeconfig("a", exec), kubeconfig("a", `{}`), true},
		"another token":                        {kubeconfig("a", token), kubeconfig("a", `{"token":"u"}`), false},
		"a program in place of a token":        {kubeconfig("a", token), kubeconfig("a", exec), false},
		"it never could":                       {kubeconfig("a", `{}`), kubeconfig("b", `{}`), false},
		"what is there is no kubeconfig":       {map[string]any{"kubeconfig": "YQ=="}, kubeconfig("b", `{}`), false},
		"there is no kubeconfig yet":           {map[string]any{"apiserver": "https://a"}, kubeconfig("b", `{}`), false},
		"it is replaced by a token of its own": {kubeconfig("a", token), map[string]any{"apiserver": "https://a", "tokenData": "dA=="}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := conversion(renders(test.gets))
			for as, plan := range map[string]Plan{
				"an update": c.Plan(owner, live(test.has, createdFor(createdForOne), ownedBy(byLifecycle)), nil),
				"a rename":  c.Plan(owner, nil, live(test.has, createdFor(createdForOne), ownedBy(byLifecycle))),
			} {
				if kept := plan.Reason == policyv1alpha1.ReasonCredentialsMissing; kept != test.keeps || plan.Action.Writes() == test.keeps {
					t.Errorf("%s: %s, %s: %s", as, plan.Action, plan.Reason, plan.Message)
				}
			}
		})
	}
}

func TestRelease(t *testing.T) {
	tests := []struct {
		name     string
		current  *unstructured.Unstructured
		keepMark bool
		want     string
	}{
		{"all marks are taken off", live(upToDate, createdFor(createdForOne), ownedBy(bySomebodyElse, byLifecycle)), false,
			`{"metadata":{"annotations":{"policy.clusterpedia.io/created-for":null},` +
				`"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"else","uid":"else-uid"}],"resourceVersion":"7","uid":"pedia-uid"}}`},
		{"the mark stays for the next lifecycle", live(upToDate, createdFor(createdForOne), ownedBy(byLifecycle)), true,
			`{"metadata":{"ownerReferences":[],"resourceVersion":"7","uid":"pedia-uid"}}`},
		{"what is free already is left alone", live(upToDate, ownedBy(bySomebodyElse)), false, `null`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := json.Marshal(Release(test.current, test.keepMark))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
		})
	}
}

func ExampleOwner_CreatedFor() {
	fmt.Println(owner.CreatedFor())
	fmt.Println(Owner{Policy: "vcluster", Source: policyv1alpha1.DependentResource{
		Version: "v1", Resource: "secrets", Namespace: "team-a", Name: "vc-one"}}.CreatedFor())
	// Output:
	// mcp/clusters.cluster.mcp.io//one
	// vcluster/secrets/team-a/vc-one
}

func TestAConditionIsRepeatedOnlyIfItsWordsStandInThePolicy(t *testing.T) {
	for text, want := range map[string]string{
		`{{ if .source.spec.ready }}true{{ else }} it is not ready {{ end }}`: "it is not ready",
		`{{ if .source.spec.ready }}true{{ else }}false{{ end }}`:             "",
		`{{ .source.spec.secret }}`:                                           "",
		`it is {{ .source.spec.secret }}`:                                     "",
		`{{ .source.spec.secret }}{{ if .source.spec.ready }}hunter{{ end }}`: "",
	} {
		var c compiler
		condition := c.compile(field.NewPath("creationCondition"), text, engine.Options{})
		source := map[string]any{"spec": map[string]any{"secret": "hunt"}}
		if got := condition.evaluate(engine.Data{Source: source}, engine.Env{}).Says; got != want {
			t.Errorf("%s says %q, want %q", text, got, want)
		}
	}
}
