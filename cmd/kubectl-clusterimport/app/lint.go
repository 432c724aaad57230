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
	o := &lintOptions{files: newFileFlags("The files, folders or URLs that have the policies, or - for standard input.")}
	command := &cobra.Command{
		Use:                   "lint -f FILENAME [--crd FILENAME] [--strict] [--server]",
		DisableFlagsInUseLine: true,
		Short:                 "Check policies without a cluster",
		Long: long(`
			Check policies without a cluster: what the server would refuse or warn of, with the place of it in
			the file. Fields are checked strictly, and every template is compiled. Objects of other kinds are
			left out.

			What a template renders is checked as far as its text alone tells: fields that PediaClusters do not
			have, values that they cannot have, and a template that never writes syncResources.

			With the CustomResourceDefinitions of the platform, what templates read is checked too: fields that
			do not exist, values that are used as what they are not, and comparisons that never hold. The types
			of Secrets and ConfigMaps are known.

			With --server the policies that pass are also sent to the server, as a dry run: only there it is known
			which types there are, which of them the server may read, and what other policies import.

			Exit codes: 0 when nothing would be refused, 1 when something would, or with --strict when a template
			cannot render or read what it should, 2 when files cannot be read.`),
		Example: examples(`
			# Check a policy
			kubectl clusterimport lint -f policy.yaml

			# Check it with the types of the platform, for instance before a merge
			kubectl clusterimport lint -f policy.yaml --crd crds/ --strict

			# Check all policies in a folder and those below it
			kubectl clusterimport lint -R -f policies/

			# Check policies before they are merged: what a template cannot render or read is an error, too
			kubectl clusterimport lint --strict -R -f policies/

			# Check what a generator writes
			kustomize build . | kubectl clusterimport lint -f -

			# Ask the server too
			kubectl clusterimport lint -f policy.yaml --server`),
		Args:              arguments(cobra.NoArgs, "give files with -f"),
		Annotations:       errorsExitWith(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			return o.lint(command.Context(), f)
		},
	}
	o.files.AddFlags(command.Flags())
	command.Flags().StringSliceVar(&o.crds, "crd", nil, "Files, folders or URLs that have the CustomResourceDefinitions of Sources and references.")
	command.Flags().BoolVar(&o.strict, "strict", false, "If true, a template that renders what PediaClusters cannot have, or reads what its types do not have, is an error instead of a warning.")
	command.Flags().BoolVar(&o.server, "server", false, "Ask the server too, by a dry run. This takes the right to get, create and update policies.")
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
			note := fmt.Sprintf("%s: left out: %s is no ClusterImportPolicy", object.Place("").Source, cmp.Or(object.Kind, "what has no kind"))
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
		fmt.Fprintf(f.ErrOut, "%s: left out: %s\n", problem.Place, problem.Message)
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
