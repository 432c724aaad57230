package app

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/restmapper"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/playground"
)

func newPlaygroundCommand(f *factory) *cobra.Command {
	var live bool
	command := &cobra.Command{
		Use:                   "playground [--live]",
		DisableFlagsInUseLine: true,
		Short:                 "Edit a policy in the browser, next to its result for a Source",
		Long: long(`
			Edit a policy in the browser, next to its result for a Source. As you type, the page marks the findings of
			lint at their place and shows the result of render: the name, the conditions with the values of their
			parts, the PediaCluster, and what the server would do. It starts with the policies for platforms that this
			project ships, and their golden cases.

			The page is served on the loopback address until the command is stopped. It loads nothing from
			elsewhere and sends nothing there. Open the URL that is printed. Other users of this machine and other
			pages in the browser cannot use the playground without the token in it.

			With --live you can open the Sources of the cluster with the objects that their references name. They are
			read with your own permissions, and nothing is written. The values of Secrets and the credentials of PediaClusters
			stay in the command: the page has digests in their place. What a policy writes of them into other fields,
			such as a label, is shown, as by render.`),
		Example: examples(`
			# Try out policies, without a cluster
			kubectl clusterimport playground

			# Try them with the Sources of a cluster
			kubectl clusterimport playground --live --context fleet`),
		Args:              arguments(cobra.NoArgs, "it takes no argument"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			return f.playground(command.Context(), live)
		},
	}
	command.Flags().BoolVar(&live, "live", false, "Offer the Sources of the cluster, read with your own permissions.")
	return command
}

func (f *factory) playground(ctx context.Context, live bool) error {
	var cluster playground.Live
	if live {
		reader, err := f.cluster()
		if err != nil {
			return err
		}
		cluster = reader
		fmt.Fprintf(f.ErrOut, "The Sources of %s can be opened.\n", reader.Name())
	}
	server, err := playground.Listen(cluster)
	if err != nil {
		return err
	}
	fmt.Fprintln(f.ErrOut, "Open this URL in a browser on this machine. Press Ctrl+C to stop.")
	fmt.Fprintln(f.Out, server.URL)
	return server.Serve(ctx)
}

// cluster reads what the user may read.
func (f *factory) cluster() (*playground.Cluster, error) {
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	discovery, err := f.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	kubeconfig, err := f.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, err
	}
	c := &playground.Cluster{
		Called: cmp.Or(*f.Context, kubeconfig.CurrentContext, config.Host),
		Mapper: restmapper.NewDeferredDiscoveryRESTMapper(discovery),
	}
	if c.Objects, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	c.Metadata, err = metadata.NewForConfig(config)
	return c, err
}
