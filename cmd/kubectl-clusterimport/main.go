// kubectl-clusterimport is a kubectl plugin for those who write import
// policies: it shows what a policy makes of a Source, checks and tests policies
// without a cluster, and explains why a cluster is imported or not.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	os.Exit(app.Run(ctx, streams, os.Args[1:]))
}
