package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/manifest"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/offline"
)

// newFileFlags returns the flags for files of policies.
func newFileFlags(usage string) genericclioptions.FileNameFlags {
	return genericclioptions.FileNameFlags{Usage: usage, Filenames: new([]string), Recursive: new(bool)}
}

func newLintCommand(f *factory) *cobra.Command {
	o := &lintOptions{files: newFileFlags("The files, directories or URLs that contain the policies, or - for standard input.")}
	command := &cobra.Command{
		Use:                   "lint -f FILENAME [--crd FILENAME] [--strict] [--server]",
		DisableFlagsInUseLine: true,
		Short:                 "Check policies without a cluster",
		Long: long(`
			Check policies without a cluster: print what the server would refuse or return as a warning, with its
			position in the file. Fields are checked strictly, and every template is compiled. Objects of other
			kinds are ignored.

			The text of a template is checked for fields that PediaClusters do not have, values that they cannot
			have, and for a template that never writes syncResources.

			With the CustomResourceDefinitions of the platform, the fields that templates read are checked, too:
			fields that do not exist, values of the wrong type, and comparisons that are never true. The types of
			Secrets and ConfigMaps are known.

			With --server the policies that pass are also sent to the server, as a dry run: only the server knows
			which types exist, which of them it may read, and what other policies import.

			Exit codes: 0 if nothing would be refused, 1 if a policy would be refused, or with --strict if a template
			cannot render or read what it should, 2 if files cannot be read.`),
		Example: examples(`
			# Check a policy
			kubectl clusterimport lint -f policy.yaml

			# Check it with the types of the platform, for example before a merge
			kubectl clusterimport lint -f policy.yaml --crd crds/ --strict

			# Check all policies in a directory and its subdirectories
			kubectl clusterimport lint -R -f policies/

			# Check policies before they are merged: what a template cannot render or read is an error, too
			kubectl clusterimport lint --strict -R -f policies/

			# Check the output of a generator
			kustomize build . | kubectl clusterimport lint -f -

			# Also check them on the server
			kubectl clusterimport lint -f policy.yaml --server`),
		Args:              arguments(cobra.NoArgs, "give files with -f"),
		Annotations:       errorsExitWith(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			return o.lint(command.Context(), f)
		},
	}
	o.files.AddFlags(command.Flags())
	command.Flags().StringSliceVar(&o.crds, "crd", nil, "Files, directories or URLs that contain the CustomResourceDefinitions of Sources and references.")
	command.Flags().BoolVar(&o.strict, "strict", false, "If true, a template that renders fields or values that PediaClusters cannot have, or reads fields that its types do not have, is an error instead of a warning.")
	command.Flags().BoolVar(&o.server, "server", false, "Also check the policies on the server, by a dry run. This requires permission to get, create and update policies.")
	return command
}

type lintOptions struct {
	files  genericclioptions.FileNameFlags
	crds   []string
	strict bool
	server bool
}

func (o *lintOptions) lint(ctx context.Context, f *factory) error {
	if len(*o.files.Filenames) == 0 {
		return usagef("give files with -f")
	}
	objects, err := manifest.Read(o.files.ToOptions(), f.In)
	broken, err := manifest.Errors(err)
	if err != nil {
		return err
	}
	definitions, err := o.definitions(f)
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
			note := fmt.Sprintf("%s: skipped: %s is not a ClusterImportPolicy", object.Place("").Source, cmp.Or(object.Kind, "an object without a kind"))
			if !others[note] {
				fmt.Fprintln(f.ErrOut, note)
			}
			others[note] = true
			continue
		}
		policies++
		errs, warns, err := o.check(ctx, f, object, definitions)
		if err != nil {
			return err
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

// check finds what is wrong with a policy.
func (o *lintOptions) check(ctx context.Context, f *factory, object *manifest.Object, definitions offline.Definitions) (refused, warnings offline.Findings, err error) {
	policy, refused, warnings := offline.Check(ctx, object)
	if policy == nil {
		return refused, warnings, nil
	}
	unfit, unknown := offline.CheckTypes(object, policy, definitions)
	unfit = append(offline.CheckTemplate(object, policy), unfit...)
	if o.strict {
		refused = append(refused, unfit...)
	} else {
		warnings = append(warnings, unfit...)
	}
	if len(o.crds) > 0 && len(unknown) > 0 {
		fmt.Fprintf(f.ErrOut, "%s: not checked with its types: no schema is given of %s\n", object.Place(""), strings.Join(unknown, ", "))
	}
	if o.server {
		return f.askServer(ctx, object, policy, refused, warnings)
	}
	return refused, warnings, nil
}

// definitions reads the CustomResourceDefinitions that were given.
func (o *lintOptions) definitions(f *factory) (offline.Definitions, error) {
	if len(o.crds) == 0 {
		return nil, nil
	}
	definitions, broken, err := offline.ReadDefinitions(resource.FilenameOptions{Filenames: o.crds, Recursive: *o.files.Recursive}, f.In)
	if err != nil {
		return nil, err
	}
	for _, problem := range broken {
		fmt.Fprintf(f.ErrOut, "%s: skipped: %s\n", problem.Place, problem.Message)
	}
	if len(definitions) == 0 {
		return nil, fmt.Errorf("no CustomResourceDefinition in %s", strings.Join(o.crds, ", "))
	}
	return definitions, nil
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
