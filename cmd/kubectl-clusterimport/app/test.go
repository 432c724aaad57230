package app

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/golden"
)

type testOptions struct {
	*factory
	update bool
	junit  string
}

func newTestCommand(f *factory) *cobra.Command {
	o := &testOptions{factory: f}
	command := &cobra.Command{
		Use:                   "test DIR",
		DisableFlagsInUseLine: true,
		Short:                 "Test policies against expected results, without a cluster",
		Long: long(`
			Test policies against expected results, without a cluster. Every directory in DIR that contains a
			source.yaml is a case:

			  policy.yaml            the policy; if missing, the policy of the nearest parent directory
			  source.yaml            the Source
			  references/<key>.yaml  the object for the reference with that key; optional
			  current.yaml           the existing PediaCluster; optional
			  expected.yaml          the result, as --update writes it

			expected.yaml contains credentials in plain text, as do the other files of a case: use made-up ones.

			Exit codes: 0 if all results are as expected, 1 if a result differs, 2 if there are no cases.`),
		Example: examples(`
			# Run all cases in a directory
			kubectl clusterimport test policies/tests

			# Write the expected results, for new cases or after an intended change
			kubectl clusterimport test policies/tests --update

			# Leave a report for continuous integration
			kubectl clusterimport test policies/tests --junit report.xml`),
		Args:        arguments(cobra.ExactArgs(1), "name the folder of the cases"),
		Annotations: errorsExitWith(2),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(command *cobra.Command, args []string) error {
			return o.run(command.Context(), args[0])
		},
	}
	command.Flags().BoolVar(&o.update, "update", false, "Write expected.yaml of the cases whose result differs.")
	command.Flags().StringVar(&o.junit, "junit", "", "Write a JUnit report to this file.")
	return command
}

func (o *testOptions) run(ctx context.Context, dir string) error {
	cases, err := golden.Find(dir)
	if err != nil {
		return err
	}
	failed, updated := 0, 0
	outcomes := make([]golden.Outcome, len(cases))
	for i, test := range cases {
		outcome := test.Run(ctx, o.update)
		outcomes[i] = outcome
		switch {
		case outcome.Failure != "":
			failed++
			fmt.Fprintf(o.Out, "FAIL     %s\n%s\n", outcome.Name, indent(strings.TrimRight(outcome.Failure, "\n")))
		case outcome.Updated:
			updated++
			fmt.Fprintf(o.Out, "updated  %s\n", outcome.Name)
		default:
			fmt.Fprintf(o.Out, "ok       %s\n", outcome.Name)
		}
	}
	fmt.Fprintf(o.Out, "%s, %d failed, %d updated\n", count(len(cases), "case", "cases"), failed, updated)
	if o.junit != "" {
		if err := o.report(dir, outcomes); err != nil {
			return err
		}
	}
	if failed > 0 {
		return answerCode(1)
	}
	return nil
}

func (o *testOptions) report(dir string, outcomes []golden.Outcome) (err error) {
	file, err := os.Create(o.junit)
	if err != nil {
		return err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
	}()
	return golden.WriteJUnit(file, dir, outcomes)
}

// indent sets a text apart from what is around it.
func indent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = "  " + line
		}
	}
	return strings.Join(lines, "\n")
}
