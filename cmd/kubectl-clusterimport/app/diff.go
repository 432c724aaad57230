package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/offline"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

type diffOptions struct {
	*factory
	files     genericclioptions.FileNameFlags
	chunkSize int64
}

func newDiffCommand(f *factory) *cobra.Command {
	o := &diffOptions{factory: f, files: newFileFlags("The files, directories or URLs that contain the policies, or - for standard input.")}
	command := &cobra.Command{
		Use:                   "diff -f FILENAME",
		DisableFlagsInUseLine: true,
		Short:                 "Show what applying a policy would do to PediaClusters",
		Long: long(`
			Show what applying a policy would do to PediaClusters: what would be created, changed and deleted for
			all its Sources, as a unified diff of each PediaCluster and a total.

			The server renders the policy of the file with your permissions. Nothing is written. Credentials are
			masked: the diff shows which of them change, but not their values.

			Exit codes: 0 if nothing would change, 1 if something would change, 2 if there was an error.`),
		Example: examples(`
			# Show the effect of an edit
			kubectl clusterimport diff -f policy.yaml

			# Show the effect of all policies in a directory
			kubectl clusterimport diff -f policies/`),
		Args:              arguments(cobra.NoArgs, "give files with -f"),
		Annotations:       errorsExitWith(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(command *cobra.Command, _ []string) error { return o.run(command.Context()) },
	}
	o.files.AddFlags(command.Flags())
	command.Flags().Int64Var(&o.chunkSize, "chunk-size", 100, "The number of Sources in each request to the server.")
	return command
}

func (o *diffOptions) run(ctx context.Context) error {
	if len(*o.files.Filenames) == 0 {
		return usagef("give files with -f")
	}
	policies, err := offline.ReadPolicies(ctx, o.files.ToOptions(), o.In)
	if err != nil {
		return err
	}
	client, err := o.policies()
	if err != nil {
		return err
	}
	objects, err := o.objects()
	if err != nil {
		return err
	}
	changed := false
	for _, policy := range policies {
		d := differ{IOStreams: o.IOStreams, policy: policy, objects: objects, pediaClusters: objects.Resource(render.PediaClusterGVR)}
		if err := d.run(ctx, client, o.chunkSize); err != nil {
			return fmt.Errorf("policy %q: %w", policy.Name, err)
		}
		changed = changed || d.changes() > 0
	}
	if changed {
		return answerCode(1)
	}
	return nil
}
