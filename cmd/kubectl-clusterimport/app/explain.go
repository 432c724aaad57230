package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/describe"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	policyv1alpha1client "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/typed/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// explainer finds out why a cluster is imported or not.
type explainer struct {
	*factory
	client  policyv1alpha1client.PolicyV1alpha1Interface
	objects dynamic.Interface
}

func newExplainCommand(f *factory) *cobra.Command {
	return &cobra.Command{
		Use:                   "explain LIFECYCLE",
		DisableFlagsInUseLine: true,
		Short:                 "Explain why a cluster is imported, or why not",
		Long: long(`
			Explain why a cluster is imported, or why not: step by step from its Source to its PediaCluster. A
			lifecycle has the name of its PediaCluster.

			If there is no lifecycle of that name, the failures of all policies are searched for the name of the
			PediaCluster or of the Source.

			The symbols: ✓ correct, ✗ not correct, … waiting, - not evaluated.

			Exit codes: 0, or 1 if there is no such lifecycle.`),
		Example: examples(`
			# Explain why a cluster is not imported
			kubectl clusterimport explain oak-cusco`),
		Args:              arguments(cobra.ExactArgs(1), "name one lifecycle"),
		ValidArgsFunction: f.completeLifecycles,
		RunE: func(command *cobra.Command, args []string) error {
			client, err := f.policies()
			if err != nil {
				return err
			}
			objects, err := f.objects()
			if err != nil {
				return err
			}
			e := &explainer{factory: f, client: client, objects: objects}
			return e.run(command.Context(), args[0])
		},
	}
}

func (e *explainer) run(ctx context.Context, name string) error {
	lifecycle, err := e.client.PediaClusterLifecycles().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return e.withoutLifecycle(ctx, name)
	}
	if err != nil {
		return err
	}
	facts := facts{lifecycle: lifecycle}
	if owner := policyv1alpha1.ControllingPolicy(lifecycle); owner.Name != "" {
		facts.policyName = owner.Name
		facts.policy, facts.policyErr = e.client.ClusterImportPolicies().Get(ctx, owner.Name, metav1.GetOptions{})
	}
	review, err := e.client.PediaClusterLifecycles().Render(ctx, name,
		&policyv1alpha1.RenderReview{Spec: policyv1alpha1.RenderReviewSpec{Trace: true}}, metav1.CreateOptions{})
	switch {
	case err != nil:
		facts.resultErr = err
	case len(review.Status.Results) > 0:
		facts.result = &review.Status.Results[0]
	}
	facts.pediaCluster, facts.pediaClusterErr = e.objects.Resource(render.PediaClusterGVR).Get(ctx, name, metav1.GetOptions{})
	source := lifecycle.Spec.Source
	// Whoever may not read the Source is told by the render that it is not there.
	facts.source, _ = e.objects.Resource(schema.GroupVersionResource{Group: source.Group, Version: source.Version, Resource: source.Resource}).
		Namespace(source.Namespace).Get(ctx, source.Name, metav1.GetOptions{})
	return facts.explain(e.Out)
}

// withoutLifecycle looks for a Source that would have that name, or has it,
// among those that policies could not give a lifecycle.
func (e *explainer) withoutLifecycle(ctx context.Context, name string) error {
	fmt.Fprintf(e.Out, "There is no PediaClusterLifecycle %q.\n\n", name)
	policies, err := e.client.ClusterImportPolicies().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	found := false
	for i := range policies.Items {
		policy := &policies.Items[i]
		for _, failure := range policy.Status.Failures {
			source := policyv1alpha1.SourceName{Namespace: failure.Namespace, Name: failure.Name}
			if name != failure.Name && name != describe.Source(source) && !e.rendersName(ctx, policy, source, name) {
				continue
			}
			found = true
			fmt.Fprintf(e.Out, "✗ %s has no lifecycle under policy %s: %s: %s\n", describe.Source(source), policy.Name, failure.Reason, failure.Message)
		}
	}
	if imported, err := e.importedSource(ctx, name); err != nil {
		return err
	} else if imported != "" {
		found = true
		fmt.Fprint(e.Out, imported)
	}
	pediaCluster, err := e.objects.Resource(render.PediaClusterGVR).Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		found = true
		maker := "no policy made it"
		if createdFor := pediaCluster.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]; createdFor != "" {
			maker = "it was made for " + createdFor
		}
		fmt.Fprintf(e.Out, "- There is a PediaCluster of that name: %s.\n", maker)
	case !apierrors.IsNotFound(err):
		fmt.Fprintf(e.Out, "- Whether a PediaCluster of that name exists is not known: %v\n", err)
	}
	if !found {
		fmt.Fprint(e.Out, nothingFound(policies.Items))
	}
	return answerCode(1)
}

// nothingFound says what follows when no policy reports a failure that fits.
func nothingFound(policies []policyv1alpha1.ClusterImportPolicy) string {
	var unknown strings.Builder
	for i := range policies {
		if why := withholds(&policies[i]); why != "" {
			fmt.Fprintf(&unknown, "%s %s: %s\n", waits, policies[i].Name, why)
		}
	}
	if unknown.Len() > 0 {
		return "No policy reports a failure that fits, but these may select such a Source without saying so:\n" + unknown.String() +
			"See what each policy makes of its Sources:\n" + renderHints(policies)
	}
	return "No policy reports a failure that fits, so no policy selects such a Source. See what each makes of its Sources:\n" + renderHints(policies)
}

// withholds is why a Source that the policy selects may be neither imported nor
// among its failures, empty when every Source is.
func withholds(policy *policyv1alpha1.ClusterImportPolicy) string {
	status := policy.Status
	ready := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyReady)
	failures := status.Counts.Failed + status.Counts.Conflict
	switch {
	case ready == nil || ready.Status == metav1.ConditionUnknown || ready.ObservedGeneration != policy.Generation:
		return "it has not been reconciled yet"
	case policy.Spec.Suspend, meta.IsStatusConditionTrue(status.Conditions, policyv1alpha1.PolicyReconciling):
		return ready.Reason + ": " + ready.Message
	case int(failures) > len(status.Failures):
		return fmt.Sprintf("it lists %d of its %d failures", len(status.Failures), failures)
	default:
		return ""
	}
}

// rendersName reports whether the policy would give the Source that name.
func (e *explainer) rendersName(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy, source policyv1alpha1.SourceName, name string) bool {
	review, err := e.client.ClusterImportPolicies().Render(ctx, policy.Name,
		&policyv1alpha1.RenderReview{Spec: policyv1alpha1.RenderReviewSpec{Source: &source}}, metav1.CreateOptions{})
	return err == nil && len(review.Status.Results) > 0 && review.Status.Results[0].Name == name
}

// importedSource tells of lifecycles whose Source has the name: who asks may
// have taken one for the other.
func (e *explainer) importedSource(ctx context.Context, name string) (string, error) {
	source := sourceName(name, "")
	selector := policyv1alpha1.FieldSourceName + "=" + source.Name
	if source.Namespace != "" {
		selector += "," + policyv1alpha1.FieldSourceNamespace + "=" + source.Namespace
	}
	lifecycles, err := e.client.PediaClusterLifecycles().List(ctx, metav1.ListOptions{FieldSelector: selector})
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, lifecycle := range lifecycles.Items {
		fmt.Fprintf(&text, "- %s is a Source: its lifecycle is %s. Ask: kubectl clusterimport explain %s\n",
			name, lifecycle.Name, lifecycle.Name)
	}
	return text.String(), nil
}

func renderHints(policies []policyv1alpha1.ClusterImportPolicy) string {
	if len(policies) == 0 {
		return "  (there are no policies)\n"
	}
	var text strings.Builder
	for _, policy := range policies {
		fmt.Fprintf(&text, "  kubectl clusterimport render %s\n", policy.Name)
	}
	return text.String()
}
