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
			Test policies against expected results, without a cluster. Every folder in DIR that has a
			source.yaml is a case:

			  policy.yaml            the policy; without one, that of the nearest folder above
			  source.yaml            the Source
			  references/<key>.yaml  what the reference with that key finds; may be left out
			  current.yaml           the PediaCluster that exists already; may be left out
			  expected.yaml          the result, as --update writes it

			Credentials in expected.yaml are in the clear, as they are in the files beside it: use made-up ones.

			Exit codes: 0 when all is as expected, 1 when something is not, 2 when there are no cases.`),
		Example: examples(`
			# Run all cases of a folder
			kubectl clusterimport test policies/tests

			# Write what is expected, for new cases or after a change that was meant
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
	command.Flags().BoolVar(&o.update, "update", false, "Write expected.yaml of the cases that render something else.")
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
