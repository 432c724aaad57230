package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/migrate"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
)

// serverNamespace is where artifacts/deploy installs the server.
const serverNamespace = "clusterpedia-system"

type migrateOptions struct {
	*factory
	migrate.Config
	caFile string
	dryRun bool
}

func newMigrateCommand(f *factory) *cobra.Command {
	o := &migrateOptions{factory: f}
	command := &cobra.Command{
		Use:                   "migrate",
		DisableFlagsInUseLine: true,
		Short:                 "Move from the CRDs of a Clusterpedia installation to the policy-apiserver",
		Long: long(`
			Move from the CRDs of a Clusterpedia installation to the policy-apiserver. Policies and lifecycles
			keep their UIDs, and no PediaCluster is deleted or changed.

			Install the policy-apiserver first: it does not register itself while the CRDs exist. Then check the
			output of --dry-run. If a migration was interrupted, run the same command again to continue.

			--namespace is the namespace of the policy-apiserver, clusterpedia-system unless it is given.

			Exit codes: 0 if it is done or there is no problem, 1 otherwise.`),
		Example: examples(`
			# Print the plan and every problem
			kubectl clusterimport migrate --dry-run

			# Migrate, and stop Clusterpedia's controller-manager for it
			kubectl clusterimport migrate --stop-controller-manager --backup policies.yaml`),
		Args:              arguments(cobra.NoArgs, "it takes flags only"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			return o.run(command.Context())
		},
	}
	flags := command.Flags()
	flags.BoolVar(&o.dryRun, "dry-run", false, "Print the plan and every problem, and change nothing.")
	flags.BoolVar(&o.StopControllerManager, "stop-controller-manager", false, "Scale Clusterpedia's controller-manager to zero if it runs.")
	flags.StringVar(&o.Backup, "backup", "clusterimport-migration-"+time.Now().UTC().Format("20060102-150405")+".yaml",
		"The file to write the objects of the CRDs to. Only you may read it.")
	flags.StringVar(&o.caFile, "ca-file", "",
		"The file with the certificate authority of the server. Not needed for a server that generates its own certificate.")
	flags.StringVar(&o.Service, "service", "policy-apiserver", "The Service of the policy-apiserver.")
	flags.Int32Var(&o.Port, "service-port", 443, "The port of the Service.")
	flags.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "How long each step may wait.")
	// A default that differs at each call is no help.
	flags.Lookup("backup").DefValue = "clusterimport-migration-<time>.yaml"
	return command
}

func (o *migrateOptions) run(ctx context.Context) error {
	host, err := o.config()
	if err != nil {
		return err
	}
	if o.Kubernetes, err = migrate.NewClient(host); err != nil {
		return err
	}
	if o.Objects, err = dynamic.NewForConfig(host); err != nil {
		return err
	}
	if o.Host, err = review.NewHost(host); err != nil {
		return err
	}
	if o.caFile != "" {
		if o.CABundle, err = os.ReadFile(o.caFile); err != nil {
			return fmt.Errorf("--ca-file: %w", err)
		}
	}
	config := o.Config
	config.Namespace, config.Out = *o.ConfigFlags.Namespace, o.IOStreams.Out
	if config.Namespace == "" {
		config.Namespace = serverNamespace
	}
	migration := migrate.New(config)
	if !o.dryRun {
		return migration.Run(ctx)
	}
	refused, err := migration.DryRun(ctx)
	if err == nil && refused {
		return answerCode(1)
	}
	return err
}
