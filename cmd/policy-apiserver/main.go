// policy-apiserver serves the API group policy.clusterpedia.io to a host
// cluster's aggregator and runs the controllers that import clusters.
package main

import (
	"fmt"
	"os"
	"strings"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"

	"github.com/clusterpedia-io/policy-apiserver/cmd/policy-apiserver/app"
)

func main() {
	command := app.NewCommand()
	command.SetContext(genericapiserver.SetupSignalContext())
	if err := cli.RunNoErrOutput(command); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}
