package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	policyv1alpha1client "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/typed/policy/v1alpha1"
)

const (
	// followEvery is how often a rollout that is followed is read: its figures change once a
	// second.
	followEvery = time.Second
	// haltedLooks is how often in a row a rollout has to be seen halted: whoever has just
	// resumed a canary, say, waits until the controllers have seen that.
	haltedLooks = 3
)

func newRolloutCommand(f *factory) *cobra.Command {
	command := &cobra.Command{
		Use:   "rollout SUBCOMMAND",
		Short: "Follow, pause and resume the rollout of an edit",
		Long: long(`
			Follow, pause and resume the rollout of an edit.

			With spec.rollout, an edit of template, creationCondition and references reaches the imports of a
			policy in stages: the canaries first, and no further import when clusters break.`),
		DisableFlagsInUseLine: true,
		Args:                  arguments(cobra.NoArgs, "the subcommands are status, pause and resume"),
		RunE:                  func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newRolloutStatusCommand(f),
		newPauseCommand(f, "pause", true, "Pause the rollout: no further import is updated", "paused"),
		newPauseCommand(f, "resume", false, "Resume the rollout", "resumed"))
	return command
}

const onePolicy = "name one policy"

func newRolloutStatusCommand(f *factory) *cobra.Command {
	return &cobra.Command{
		Use:                   "status POLICY",
		DisableFlagsInUseLine: true,
		Short:                 "Follow a rollout until it is done or halted",
		Long: long(`
			Follow a rollout until it is done or halted.

			Exit codes: 0 if every import that can be updated has the newest revision, 1 if the rollout is halted,
			2 if there was an error.`),
		Example: examples(`
			# Follow the rollout of a policy
			kubectl clusterimport rollout status oak`),
		Args:              arguments(cobra.ExactArgs(1), onePolicy),
		Annotations:       errorsExitWith(2),
		ValidArgsFunction: f.completePolicies,
		RunE: func(command *cobra.Command, args []string) error {
			client, err := f.policies()
			if err != nil {
				return err
			}
			return f.follow(command.Context(), client.ClusterImportPolicies(), args[0])
		},
	}
}

// follow prints how far the rollout of a policy has come, until it is done or halted.
func (f *factory) follow(ctx context.Context, client policyv1alpha1client.ClusterImportPolicyInterface, name string) error {
	var last string
	halted := 0
	err := wait.PollUntilContextCancel(ctx, followEvery, true, func(ctx context.Context) (done bool, err error) {
		policy, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		message, done, err := progress(policy)
		if err != nil {
			return false, err
		}
		if message != last {
			fmt.Fprintln(f.Out, message)
			last = message
		}
		if !done || !meta.IsStatusConditionTrue(policy.Status.Conditions, policyv1alpha1.PolicyRolloutHalted) {
			halted = 0
			return done, nil
		}
		halted++
		return halted >= haltedLooks, nil
	})
	switch {
	case err != nil:
		return err
	case halted > 0:
		return answerCode(1)
	default:
		return nil
	}
}

// progress says how far the rollout of a policy has come, and whether that is all that is to be
// expected without somebody's help.
func progress(policy *policyv1alpha1.ClusterImportPolicy) (message string, done bool, err error) {
	switch {
	case policy.Spec.Rollout == nil:
		return "", false, fmt.Errorf("policy %q has no spec.rollout: an edit is applied to all its imports immediately", policy.Name)
	case policy.Spec.Suspend:
		return "", false, fmt.Errorf("policy %q is suspended: nothing is rolled out until spec.suspend is false", policy.Name)
	}
	conditions := policy.Status.Conditions
	rolling := meta.FindStatusCondition(conditions, policyv1alpha1.PolicyRollingOut)
	halted := meta.FindStatusCondition(conditions, policyv1alpha1.PolicyRolloutHalted)
	switch {
	case rolling == nil || halted == nil || rolling.ObservedGeneration != policy.Generation:
		return "waiting until every import has been reconciled", false, nil
	case halted.Status == metav1.ConditionTrue:
		return rolling.Message + "\nhalted: " + halted.Message, true, nil
	case rolling.Status == metav1.ConditionTrue:
		return rolling.Message, false, nil
	case rolling.Reason == policyv1alpha1.ReasonRolloutPaused:
		return rolling.Message, false, nil
	default:
		return rolling.Message + "\ndone", true, nil
	}
}

func newPauseCommand(f *factory, use string, paused bool, short, verb string) *cobra.Command {
	return &cobra.Command{
		Use:                   use + " POLICY",
		DisableFlagsInUseLine: true,
		Short:                 short,
		Long: long(`
			` + short + `. It sets spec.rollout.paused of the policy. A tool that applies the policy may
			revert it.`),
		Example:           examples("kubectl clusterimport rollout " + use + " oak"),
		Args:              arguments(cobra.ExactArgs(1), onePolicy),
		ValidArgsFunction: f.completePolicies,
		RunE: func(command *cobra.Command, args []string) error {
			client, err := f.policies()
			if err != nil {
				return err
			}
			if err := pause(command.Context(), client.ClusterImportPolicies(), args[0], paused); err != nil {
				return err
			}
			fmt.Fprintf(f.Out, "clusterimportpolicy.policy.clusterpedia.io/%s %s\n", args[0], verb)
			return nil
		},
	}
}

// pause sets spec.rollout.paused of a policy that has a rollout.
func pause(ctx context.Context, client policyv1alpha1client.ClusterImportPolicyInterface, name string, paused bool) error {
	policy, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if policy.Spec.Rollout == nil {
		return fmt.Errorf("policy %q has no spec.rollout: an edit is applied to all its imports immediately", name)
	}
	// The patch is for just this version: should the rollout be taken away meanwhile, it stays so.
	patch := fmt.Sprintf(`{"metadata":{"resourceVersion":%q},"spec":{"rollout":{"paused":%t}}}`, policy.ResourceVersion, paused)
	_, err = client.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "kubectl-clusterimport"})
	return err
}

// mostFirst is how many of the first imports are named.
const mostFirst = 5

// rollout prints in how many steps the edit would reach the imports, and who is first.
func (d *differ) rollout(ctx context.Context) error {
	if d.policy.Spec.Rollout == nil {
		return nil
	}
	spec := d.policy.Spec.Rollout.DeepCopy()
	policyv1alpha1.SetDefaults_Rollout(spec)
	canaries, err := d.canaries(ctx, spec)
	if err != nil {
		return fmt.Errorf("listing the Sources that spec.rollout.first selects: %w", err)
	}
	preview := decision.NewPreview(&d.policy.Spec)
	r := decision.Rollout{Policy: d.policy.Name, Spec: spec, Revision: preview.Hash, Now: time.Now()}
	var members []decision.Member
	for source, lifecycles := range d.lifecycles {
		for i := range lifecycles {
			members = append(members, preview.Member(&lifecycles[i], canaries[source]))
		}
	}
	fmt.Fprintf(d.Out, "policy %s: %s\n", d.policy.Name, outline(r, members))
	return nil
}

// outline says in how many steps the edit would reach the imports, and who is first, or why it
// would reach none.
func outline(r decision.Rollout, members []decision.Member) string {
	steps, first := r.Outline(members)
	decided := r.Decide(members)
	switch {
	case steps == 0:
		return "nothing is left to roll out"
	case decided.Halted != "":
		return fmt.Sprintf("rolled out to none: it halts (%s): %s", decided.Halted, meta.FindStatusCondition(decided.Conditions, policyv1alpha1.PolicyRolloutHalted).Message)
	case r.Spec.Paused:
		return "rolled out to none while spec.rollout.paused is true"
	}
	named := strings.Join(first[:min(mostFirst, len(first))], ", ")
	if len(first) > mostFirst {
		named += fmt.Sprintf(" and %d others", len(first)-mostFirst)
	}
	text := fmt.Sprintf("rolled out in %s, first to %s", count(steps, "step", "steps"), named)
	if decided.Advice != "" {
		text += "; " + decided.Advice
	}
	return text
}

// canaries are the Sources that spec.rollout.first selects, as far as the caller may list them.
func (d *differ) canaries(ctx context.Context, spec *policyv1alpha1.Rollout) (map[policyv1alpha1.SourceName]bool, error) {
	canaries := map[policyv1alpha1.SourceName]bool{}
	if spec.First == nil {
		return canaries, nil
	}
	var source policyv1alpha1.DependentResource
	for _, lifecycles := range d.lifecycles {
		source = lifecycles[0].Spec.Source // whose version is served
		break
	}
	if source.Resource == "" {
		return canaries, nil
	}
	selector, err := spec.First.Selector()
	if err != nil {
		return nil, err
	}
	options := metav1.ListOptions{LabelSelector: selector.String(), Limit: 500}
	resource := schema.GroupVersionResource{Group: source.Group, Version: source.Version, Resource: source.Resource}
	for {
		page, err := d.objects.Resource(resource).List(ctx, options)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			canaries[policyv1alpha1.SourceName{Namespace: page.Items[i].GetNamespace(), Name: page.Items[i].GetName()}] = true
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return canaries, nil
		}
	}
}
