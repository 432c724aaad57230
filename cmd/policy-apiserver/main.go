// policy-apiserver serves the API group policy.clusterpedia.io to a host
// cluster's aggregator and runs the controllers that import clusters.
package main

import (
	"os"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"

	"github.com/clusterpedia-io/policy-apiserver/cmd/policy-apiserver/app"
)

func main() {
	command := app.NewCommand()
	command.SetContext(genericapiserver.SetupSignalContext())
	os.Exit(cli.Run(command))
}
