// policy-apiserver serves the API group policy.clusterpedia.io to a host
// cluster's aggregator and runs the controllers that import clusters.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"

	"github.com/clusterpedia-io/policy-apiserver/cmd/policy-apiserver/app"
)

// gcPercent is how much garbage there may be, in percent of what is in use, unless
// GOGC says otherwise. Most of what is in use stays so, and bulk work is rare: Go's
// 100 percent would be memory for nothing.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	command := app.NewCommand()
	command.SetContext(genericapiserver.SetupSignalContext())
	if err := cli.RunNoErrOutput(command); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}
