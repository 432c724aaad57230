package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// variant is one of the ways in which facts may differ.
type variant struct {
	name   string
	change func(*facts)
}

var phases = func() (all []variant) {
	for _, phase := range []policyv1alpha1.LifecyclePhase{"", policyv1alpha1.LifecyclePending, policyv1alpha1.LifecycleWaiting, policyv1alpha1.LifecycleImported,
		policyv1alpha1.LifecycleHeld, policyv1alpha1.LifecycleConflict, policyv1alpha1.LifecycleFailed, policyv1alpha1.LifecycleDeleting} {
		all = append(all, variant{string(phase), func(f *facts) {
			f.lifecycle.Status.Phase = phase
			if phase == "" {
				f.lifecycle.Status.Conditions = nil
				return
			}
			f.lifecycle.Status.Conditions[0].Reason, f.lifecycle.Status.Conditions[0].Message = "ReasonOf"+string(phase), "what "+string(phase)+" says"
		}})
	}
	return all
}()

var deletions = []variant{
	{"", nil},
	{"deleted by hand", func(f *facts) { f.lifecycle.DeletionTimestamp = now() }},
	{"removed by the server", func(f *facts) {
		f.lifecycle.DeletionTimestamp = now()
		f.lifecycle.Annotations = map[string]string{policyv1alpha1.RemovedAnnotation: "true"}
	}},
}

var pediaClusters = []variant{
	{"exists", nil},
	{"going", func(f *facts) { f.pediaCluster.SetDeletionTimestamp(now()) }},
	{"of another import", func(f *facts) {
		f.pediaCluster = &unstructured.Unstructured{Object: map[string]any{}}
		f.pediaCluster.SetAnnotations(map[string]string{policyv1alpha1.CreatedForAnnotation: "another/clusters.mcp.io/fleet/red"})
	}},
	{"absent", func(f *facts) {
		f.pediaCluster, f.pediaClusterErr = nil, apierrors.NewNotFound(render.PediaClusterGVR.GroupResource(), "mcp-blue")
	}},
	{"unreadable", func(f *facts) { f.pediaCluster, f.pediaClusterErr = nil, errors.New("you may not read it") }},
}

var results = func() []variant {
	all := []variant{{"no result", func(f *facts) { f.result, f.resultErr = nil, errors.New("forbidden") }}}
	for _, result := range []policyv1alpha1.RenderResult{
		{Action: policyv1alpha1.RenderNone, Reason: policyv1alpha1.ReasonCreated},
		{Action: policyv1alpha1.RenderCreate, Reason: policyv1alpha1.ReasonCreated},
		{Action: policyv1alpha1.RenderUpdate, Reason: policyv1alpha1.ReasonCreated},
		{Action: policyv1alpha1.RenderWait, Reason: policyv1alpha1.ReasonWaitingForCondition, Message: "not yet"},
		{Action: policyv1alpha1.RenderDelete, Reason: policyv1alpha1.ReasonDeletionConditionMet, Message: "deletionCondition is true"},
		{Action: policyv1alpha1.RenderConflict, Reason: policyv1alpha1.ReasonNameTaken, Message: "the name is taken"},
		{Action: policyv1alpha1.RenderError, Reason: policyv1alpha1.ReasonTemplateFailed, Message: "it fails"},
	} {
		all = append(all, variant{string(result.Action), func(f *facts) {
			f.result.Action, f.result.Reason, f.result.Message = result.Action, result.Reason, result.Message
		}})
	}
	return all
}()

var policyStates = []variant{
	{"fine", nil},
	{"suspended", func(f *facts) { f.policy.Spec.Suspend = true }},
	{"deleted", func(f *facts) { f.policy.DeletionTimestamp = now() }},
	{"unavailable", validated(metav1.ConditionUnknown, policyv1alpha1.ReasonSourcesUnavailable)},
	{"not served", validated(metav1.ConditionFalse, policyv1alpha1.ReasonSourceTypeNotServed)},
	{"unreadable", func(f *facts) { f.policy, f.policyErr = nil, errors.New("you may not read it") }},
}

func validated(status metav1.ConditionStatus, reason string) func(*facts) {
	return func(f *facts) {
		f.policy.Status.Conditions = []metav1.Condition{{Type: policyv1alpha1.PolicyValidated, Status: status, Reason: reason, Message: "of the type"}}
	}
}

var sources = []variant{{"there", nil}, {"going", func(f *facts) { f.source = beingDeleted() }}}

func now() *metav1.Time {
	now := metav1.Now()
	return &now
}

func factsOf(variants ...variant) *facts {
	f := imported(nil)
	for _, v := range variants {
		if v.change != nil {
			v.change(f)
		}
	}
	return f
}

// What people read, for all phases and deletions.
func TestConclusions(t *testing.T) {
	var text strings.Builder
	for _, phase := range phases {
		for _, deletion := range deletions {
			for _, pediaCluster := range pediaClusters {
				fmt.Fprintf(&text, "%-10s%-23s%-19s%s\n", phase.name, deletion.name, pediaCluster.name, factsOf(phase, deletion, pediaCluster).conclusion())
			}
		}
	}
	compare(t, fileName("conclusions"), text.String())
}

// What must be true of each of them, with whatever else is known.
func TestNoConclusionSaysWhatIsNotSo(t *testing.T) {
	check := func(name string, f *facts) {
		text := f.conclusion()
		says := func(part string) bool { return strings.Contains(text, part) }
		deleting := f.lifecycle.DeletionTimestamp != nil || f.lifecycle.Status.Phase == policyv1alpha1.LifecycleDeleting
		usable := f.pediaCluster != nil && f.pediaCluster.GetDeletionTimestamp() == nil && f.pediaCluster.GetAnnotations() == nil
		for problem, wrong := range map[string]bool{
			"it does not say that the lifecycle goes":                  deleting != strings.HasPrefix(text, "Being deleted."),
			"it says imported of what is not":                          strings.HasPrefix(text, "Imported") && !usable && !says("as the lifecycle says"),
			"it says not imported of what is":                          strings.HasPrefix(text, "Not imported") && usable,
			"it says that nothing is left to update, and something is": says("Nothing is left to update") && (!usable && !says("as the lifecycle says") || f.lifecycle.Status.Phase != policyv1alpha1.LifecycleImported || f.policy != nil && (f.policy.Spec.Suspend || f.policy.DeletionTimestamp != nil) || f.result.Action != policyv1alpha1.RenderNone),
			"it leaves to its users what is not there":                 says("orphans its") && !usable && f.pediaClusterErr == nil,
			"it does not say that it is held":                          !deleting && f.lifecycle.Status.Phase == policyv1alpha1.LifecycleHeld && !says("Held. ReasonOfHeld: "),
			"it says that it goes on under a policy that rests":        says("Next: ") && f.policy != nil && (f.policy.Spec.Suspend || f.policy.DeletionTimestamp != nil || len(f.policy.Status.Conditions) > 0),
			"it does not say that the Source goes":                     !deleting && f.sourceIsGoing() != says("The Source is being deleted"),
			"it does not end as a sentence or a message":               strings.HasSuffix(text, ". ") || strings.Contains(text, ".."),
		} {
			if wrong {
				t.Errorf("%s: %s: %s", name, problem, text)
			}
		}
	}
	for _, phase := range phases {
		for _, deletion := range deletions {
			for _, pediaCluster := range pediaClusters {
				for _, result := range results {
					for _, policy := range policyStates {
						for _, source := range sources {
							all := []variant{phase, deletion, pediaCluster, result, policy, source}
							check(fmt.Sprint(phase.name, "/", deletion.name, "/", pediaCluster.name, "/", result.name, "/", policy.name, "/", source.name), factsOf(all...))
						}
					}
				}
			}
		}
	}
}

func TestTheRuleIsShownWhereItIsKnown(t *testing.T) {
	reason := func(reason string) func(*facts) {
		return func(f *facts) {
			f.result.Reason = policyv1alpha1.ReasonSourceNotFound
			f.lifecycle.Status.Conditions[0].Reason = reason
		}
	}
	for want, changes := range map[string][]func(*facts){
		"the policy is being deleted": {policyStates[2].change},
		"the policy has a problem":    {policyStates[4].change},
		"the policy is suspended":     {policyStates[1].change},
		"a lifecycle is paused": {func(f *facts) {
			f.lifecycle.Annotations = map[string]string{policyv1alpha1.PausedAnnotation: "true"}
		}},
		"the type of the Source is lost": {reason(policyv1alpha1.ReasonSourceTypeLost)},
		"the Source no longer exists":    {reason(policyv1alpha1.ReasonSourceGone)},
		"the selector fails":             {func(f *facts) { f.result.Reason = policyv1alpha1.ReasonSelectorFailed }},
		"the Source is not selected":     {func(f *facts) { f.result.Selected = false }},
		"the Source is selected":         {nil},
		"": {policyStates[3].change, policyStates[5].change, results[0].change,
			func(f *facts) { f.result.Reason = policyv1alpha1.ReasonSourceNotFound }},
	} {
		for n, change := range changes {
			if got := factsOf(variant{change: change}).rule(); got != want {
				t.Errorf("%q, %d: %q", want, n, got)
			}
		}
	}
}
