package app

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/clusterpedia-io/policy-apiserver/pkg/etcd"
)

// newSnapshotCommand returns the command that saves and restores the embedded
// etcd. What concerns an external one is done with etcdctl and etcdutl.
func newSnapshotCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "snapshot",
		Short: "Save and restore the embedded etcd",
		Args:  noArgs,
		RunE:  func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.SetHelpFunc(plainHelp)
	command.SetUsageFunc(func(command *cobra.Command) error { plainHelp(command, nil); return nil })
	command.AddCommand(
		newSnapshotSubcommand("save FILE", "Save a snapshot of the embedded etcd",
			`Save a snapshot of the embedded etcd to FILE. If no server runs, the snapshot is
taken from the data directory. FILE is replaced if it exists.`,
			func(command *cobra.Command, dir, file string) error {
				if err := etcd.Save(command.Context(), dir, file); err != nil {
					return fmt.Errorf("saving a snapshot: %w", err)
				}
				_, err := fmt.Fprintf(command.OutOrStdout(), "saved a snapshot of the embedded etcd in %s to %s\n", dir, file)
				return err
			}),
		newSnapshotSubcommand("restore FILE", "Restore the embedded etcd from a snapshot",
			`Create the data of an embedded etcd from the snapshot FILE. The directory must not
contain data or be in use. Revisions continue far above those of the snapshot, so
that clients with newer revisions list again.`,
			func(command *cobra.Command, dir, file string) error {
				if err := etcd.Restore(dir, file); err != nil {
					return fmt.Errorf("restoring a snapshot: %w", err)
				}
				_, err := fmt.Fprintf(command.OutOrStdout(), "restored the embedded etcd in %s from %s\n", dir, file)
				return err
			}),
	)
	return command
}

func newSnapshotSubcommand(use, short, long string, run func(command *cobra.Command, dir, file string) error) *cobra.Command {
	dir := defaultEmbeddedEtcdDir
	command := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long,
		Args: func(command *cobra.Command, args []string) error {
			if err := cobra.ExactArgs(1)(command, args); err != nil {
				return withHint(fmt.Errorf("%s: one FILE is needed: %w", command.CommandPath(), err))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error { return run(command, dir, args[0]) },
	}
	command.Flags().StringVar(&dir, "embedded-etcd-dir", dir, "The directory of the embedded etcd.")
	return command
}

// plainHelp prints the help of a command by itself: that of the server lists the
// server's flags.
func plainHelp(command *cobra.Command, _ []string) {
	out := command.OutOrStdout()
	text := command.Long
	if text == "" {
		text = command.Short
	}
	fmt.Fprintf(out, "%s\n\nUsage:\n  %s\n", text, command.UseLine())
	for _, sub := range command.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(out, "  %s\n", sub.UseLine())
		}
	}
	if flags := command.LocalNonPersistentFlags(); flags.HasFlags() {
		fmt.Fprintf(out, "\nFlags:\n%s", flags.FlagUsages())
	}
}
