package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/manifest"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/offline"
)

// newFileFlags returns the flags for files of policies.
func newFileFlags(usage string) genericclioptions.FileNameFlags {
	return genericclioptions.FileNameFlags{Usage: usage, Filenames: new([]string), Recursive: new(bool)}
}

func newLintCommand(f *factory) *cobra.Command {
	files := newFileFlags("The files, folders or URLs that have the policies, or - for standard input.")
	strict := false
	server := false
	command := &cobra.Command{
		Use:                   "lint -f FILENAME [--server]",
		DisableFlagsInUseLine: true,
		Short:                 "Check policies without a cluster",
		Long: long(`
			Check policies without a cluster: what the server would refuse or warn of, with the place of it in
			the file. Fields are checked strictly, and every template is compiled. Objects of other kinds are
			left out.

			What a template renders is checked as far as its text alone tells: fields that PediaClusters do not
			have, values that they cannot have, and a template that never writes syncResources.

			With --server the policies that pass are also sent to the server, as a dry run: only there it is known
			which types there are, which of them the server may read, and what other policies import.

			Exit codes: 0 when nothing would be refused, 1 when something would, or with --strict when a template
			cannot render what it should, 2 when files cannot be read.`),
		Example: examples(`
			# Check a policy
			kubectl clusterimport lint -f policy.yaml

			# Check all policies in a folder and those below it
			kubectl clusterimport lint -R -f policies/

			# Check policies before they are merged: what a template cannot render is an error, too
			kubectl clusterimport lint --strict -R -f policies/

			# Check what a generator writes
			kustomize build . | kubectl clusterimport lint -f -

			# Ask the server too
			kubectl clusterimport lint -f policy.yaml --server`),
		Args:              arguments(cobra.NoArgs, "give files with -f"),
		Annotations:       errorsExitWith(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			return lint(command.Context(), f, files, strict, server)
		},
	}
	files.AddFlags(command.Flags())
	command.Flags().BoolVar(&strict, "strict", strict, "If true, a template that renders what PediaClusters cannot have is an error instead of a warning.")
	command.Flags().BoolVar(&server, "server", false, "Ask the server too, by a dry run. This takes the right to get, create and update policies.")
	return command
}

func lint(ctx context.Context, f *factory, files genericclioptions.FileNameFlags, strict, server bool) error {
	if len(*files.Filenames) == 0 {
		return usagef("give files with -f")
	}
	objects, err := manifest.Read(files.ToOptions(), f.In)
	broken, err := manifest.Errors(err)
	if err != nil {
		return err
	}
	var refused, warnings offline.Findings
	for _, problem := range broken {
		refused = append(refused, offline.Finding{Place: problem.Place, Message: problem.Message})
	}
	policies := 0
	others := map[string]bool{}
	for _, object := range objects {
		if !offline.IsPolicy(object) {
			note := fmt.Sprintf("%s: left out: %s is no ClusterImportPolicy", object.Place("").Source, cmp.Or(object.Kind, "what has no kind"))
			if !others[note] {
				fmt.Fprintln(f.ErrOut, note)
			}
			others[note] = true
			continue
		}
		policies++
		policy, errs, warns := offline.Check(ctx, object)
		if policy != nil {
			unfit := offline.CheckTemplate(object, policy)
			if strict {
				errs = append(errs, unfit...)
			} else {
				warns = append(warns, unfit...)
			}
		}
		if server && policy != nil {
			if errs, warns, err = f.askServer(ctx, object, policy, errs, warns); err != nil {
				return err
			}
		}
		refused = append(refused, errs...)
		warnings = append(warnings, warns...)
	}
	for i := range warnings {
		warnings[i].Message = "warning: " + warnings[i].Message
	}
	for _, finding := range inOrder(slices.Concat(refused, warnings)) {
		fmt.Fprintln(f.Out, finding)
	}
	fmt.Fprintf(f.ErrOut, "%s checked, %s, %s\n", count(policies, "policy", "policies"),
		count(len(refused), "error", "errors"), count(len(warnings), "warning", "warnings"))
	if len(refused) > 0 {
		return answerCode(1)
	}
	return nil
}

// inOrder sorts findings as one reads the files.
func inOrder(findings offline.Findings) offline.Findings {
	slices.SortStableFunc(findings, func(a, b offline.Finding) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return findings
}

// count is a number with its noun.
func count(n int, singular, plural string) string {
	if n == 1 {
		return "1 " + singular
	}
	return fmt.Sprintf("%d %s", n, plural)
}
