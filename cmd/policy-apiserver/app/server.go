// Package app turns the command line into a running server.
package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of clients, queues and leases
	"k8s.io/klog/v2"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apiserver"
	"github.com/clusterpedia-io/policy-apiserver/pkg/etcd"
	"github.com/clusterpedia-io/policy-apiserver/pkg/storageguard"
)

// NewCommand returns the command. It runs until its context ends.
func NewCommand() *cobra.Command {
	o := NewOptions()
	command := &cobra.Command{
		Use: "policy-apiserver",
		Long: `The policy-apiserver serves policy.clusterpedia.io to the aggregator of a host
cluster. Its controllers turn the clusters of multi-cloud platforms, as
ClusterImportPolicies select them, into PediaClusters.

"policy-apiserver snapshot" saves and restores the etcd that it embeds.`,
		Args:         noArgs,
		Version:      buildVersion(),
		SilenceUsage: true, // an error would scroll away above it
		PersistentPreRunE: func(*cobra.Command, []string) error {
			// Feature gates count from here on, and the log is among them.
			if err := o.ServerRun.ComponentGlobalsRegistry.Set(); err != nil {
				return withHint(err)
			}
			return withHint(logsapi.ValidateAndApply(o.Logs, utilfeature.DefaultFeatureGate))
		},
		RunE: func(command *cobra.Command, _ []string) error {
			if err := o.Complete(); err != nil {
				return withHint(err)
			}
			if err := o.Validate(); err != nil {
				return withHint(err)
			}
			return Run(command.Context(), o)
		},
	}

	flags := o.Flags()
	globalflag.AddGlobalFlags(flags.FlagSet("global"), command.Name(), logs.SkipLoggingConfigurationFlags())
	flags.FlagSet("global").Bool("version", false, "print the version and quit")
	for _, set := range flags.FlagSets {
		command.Flags().AddFlagSet(set)
	}
	columns, _, _ := term.GetSize(int(os.Stdout.Fd())) // zero does not wrap
	cliflag.SetUsageAndHelpFunc(command, flags, columns)
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return withHint(err) })
	command.AddCommand(newSnapshotCommand())
	return command
}

func noArgs(command *cobra.Command, args []string) error {
	return withHint(cobra.NoArgs(command, args))
}

// withHint says where to read on about an error of the start, unless that says so
// itself.
func withHint(err error) error {
	var damaged *etcd.DataError
	if err == nil || errors.As(err, &damaged) {
		return err
	}
	return fmt.Errorf("%w; see policy-apiserver --help", err)
}

// Run serves until ctx ends. The embedded etcd, if there is one, starts first
// and stops last, so that nothing that was answered is lost.
func Run(ctx context.Context, o *Options) (err error) {
	serving := false
	defer func() {
		if !serving {
			err = withHint(err)
		}
	}()
	host, err := o.hostConfig()
	if err != nil {
		return err
	}
	// What is wrong with the command line is told before anything runs.
	if err := o.checkFiles(ctx); err != nil {
		return err
	}
	if err := o.listen(); err != nil {
		return err
	}

	ctx, die := context.WithCancelCause(ctx)
	defer die(nil)
	embedded := o.embedsEtcd()
	if embedded {
		member, err := etcd.Start(ctx, o.EmbeddedEtcd)
		if err != nil {
			return interrupted(ctx, err)
		}
		defer member.Stop()
		o.Recommended.Etcd.StorageConfig.Transport.ServerList = []string{member.Endpoint}
		go func() {
			if err := <-member.Err(); err != nil {
				die(fmt.Errorf("the embedded etcd died: %w", err))
			}
		}()
	} else if err := awaitEtcd(ctx, o.Recommended.Etcd.StorageConfig.Transport); err != nil {
		return interrupted(ctx, err)
	}

	if err := awaitHost(ctx, host, o); err != nil {
		return interrupted(ctx, err)
	}
	register, err := o.Registration.prepare(ctx, host, o.Recommended.SecureServing.SecureServingOptions)
	if err != nil {
		return interrupted(ctx, err)
	}
	config, err := o.Config()
	if err != nil {
		return err
	}
	if err := register(config); err != nil {
		return err
	}
	config.ExtraConfig.Host = o.Controllers.limited(config.GenericConfig.ClientConfig)
	config.ExtraConfig.Controllers = o.Controllers.runner(config.GenericConfig.ClientConfig)
	config.ExtraConfig.StorageGuard = &apiserver.StorageGuard{
		Config: storageguard.Config{
			Host:      o.Controllers.limited(config.GenericConfig.ClientConfig),
			Namespace: o.Controllers.Lease.Namespace,
			Accept:    types.UID(o.AcceptStorage),
			Embedded:  embedded,
			Identity:  hostname(),
		},
		Lost: die,
	}
	server, err := config.Complete().New()
	if err != nil {
		return err
	}
	klog.FromContext(ctx).Info("Serving", "version", buildVersion(), "address", config.GenericConfig.SecureServing.Listener.Addr(), "host", host.Host)
	serving = true
	if err := server.PrepareRun().RunWithContext(ctx); err != nil {
		return err
	}
	return interrupted(ctx, nil)
}

// interrupted tells a wanted end, which is no error, from one with a cause.
func interrupted(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return err
	case errors.Is(cause, context.Canceled):
		return nil
	default:
		return cause
	}
}
