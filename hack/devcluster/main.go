// Command devcluster runs the development cluster of `make quickstart`: a
// Kubernetes control plane on loopback, the policy-apiserver registered with
// it, and the example.
//
//	go run ./hack/devcluster up     start it, or what of it is not running
//	go run ./hack/devcluster down   stop what up has started
//
// It is run from the top of the repository.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const (
	binDir  = "_output/bin"
	dir     = "_output/dev"
	example = "artifacts/examples/oak"

	// importTimeout is how long the example's clusters may take to be imported.
	importTimeout = time.Minute
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context) error{"up": up, "down": down}
	if len(args) != 1 || commands[args[0]] == nil {
		return errors.New("usage: go run ./hack/devcluster up|down")
	}
	if _, err := os.Stat(example); err != nil {
		return fmt.Errorf("run it from the top of the repository: %w", err)
	}
	release, err := devcluster.Lock(dir)
	if err != nil {
		return err
	}
	return errors.Join(commands[args[0]](ctx), release())
}

func up(ctx context.Context) error {
	cluster, err := devcluster.Start(ctx, devcluster.Options{
		Dir:      dir,
		BinDir:   binDir,
		Detached: true,
		Progress: os.Stdout,
	})
	if err != nil {
		return err
	}
	if _, err := cluster.StartServer(ctx, devcluster.ServerOptions{
		Manifests: "artifacts/deploy/base",
		Args:      devcluster.ProbeArgs,
	}); err != nil {
		return err
	}
	fmt.Println("applying the PediaCluster CRD and the example of", example)
	if err := applyExample(ctx, cluster); err != nil {
		return err
	}
	if err := waitForImports(ctx, cluster); err != nil {
		return err
	}
	tables, err := cluster.Kubectl(ctx, nil, "get", "clusterimportpolicy,pediaclusterlifecycle")
	if err != nil {
		return err
	}
	fmt.Printf("\n$ kubectl get clusterimportpolicy,pediaclusterlifecycle\n%s", tables)
	fmt.Print(howToGoOn)
	return nil
}

const howToGoOn = `
The example has three clusters. amsterdam is this host itself: it is imported with
the token of a ServiceAccount, and is ready. bergen is imported as well, but nothing
responds at its address. cusco is not imported until its platform reports it ready.
To see the result for a cluster, and the reason for it step by step:

  export KUBECONFIG=$PWD/_output/dev/kubeconfig PATH=$PWD/_output/bin:$PATH
  kubectl get pediacluster oak-amsterdam -o yaml
  kubectl clusterimport explain oak-bergen
  kubectl clusterimport explain oak-cusco

To let cusco become ready, rotate a token and remove a cluster:

  kubectl patch oakcluster cusco --type=merge -p '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
  kubectl -n oak-system patch secret bergen-auth -p '{"stringData":{"token":"a-new-token"}}'
  kubectl get pediacluster oak-bergen -o jsonpath='{.spec.tokenData}' | base64 -d
  kubectl delete oakcluster amsterdam
  kubectl get pediaclusterlifecycle,pediacluster

Logs are in _output/dev/logs. Run "make quickstart" again to restore the example and
to restart a changed server; "make dev-down" stops everything.
`

// applyExample applies the example the way a user would: first the types, then
// the objects.
func applyExample(ctx context.Context, cluster *devcluster.Cluster) error {
	apply := []string{"apply", "--server-side", "--force-conflicts"}
	if _, err := cluster.Kubectl(ctx, nil, append(apply, "-f", "artifacts/crds", "-f", example+"/crd.yaml")...); err != nil {
		return err
	}
	if err := cluster.WaitForTypes(ctx, "pediaclusters.cluster.clusterpedia.io", "oakclusters.oak.example.com"); err != nil {
		return err
	}
	clusters, err := cluster.Resolved(example + "/clusters.yaml")
	if err != nil {
		return err
	}
	_, err = cluster.Kubectl(ctx, bytes.NewReader(clusters),
		append(apply, "-f", "-", "-f", example+"/rbac.yaml", "-f", example+"/policy.yaml")...)
	return err
}

// ends are what is to become of the example's lifecycles. The last one waits, unless it was
// imported already, as the output invites to try.
var ends = []struct{ lifecycle, is string }{
	{"oak-amsterdam", "{.status.cluster.ready}=True"},
	{"oak-bergen", "{.status.cluster.ready}=False"},
	{"oak-cusco", "{.status.phase}"},
}

// waitForImports returns when the clusters of the example are where they should be
// and the policy says so, or tells what is missing and where to look for the reason.
func waitForImports(ctx context.Context, cluster *devcluster.Cluster) error {
	timeout := "--timeout=" + importTimeout.String()
	var waits [][]string
	for _, end := range ends {
		name := "pediaclusterlifecycle/" + end.lifecycle
		waits = append(waits, []string{"wait", timeout, "--for=create", name},
			[]string{"wait", timeout, "--for=jsonpath=" + end.is, name})
	}
	waits = append(waits, []string{"wait", timeout, "--for=condition=Ready", "clusterimportpolicy/oak"})
	for _, args := range waits {
		if _, err := cluster.Kubectl(ctx, nil, args...); err != nil {
			found, getErr := cluster.Kubectl(ctx, nil, "get", "clusterimportpolicy,pediaclusterlifecycle", "-o", "wide")
			return fmt.Errorf("the clusters of the example are not what they should be within %s: %w\n\n%s\nthe server's log is %s",
				importTimeout, errors.Join(err, getErr), found, filepath.Join(dir, "logs", "policy-apiserver.log"))
		}
	}
	return nil
}

func down(ctx context.Context) error {
	stopped, err := devcluster.Down(ctx, dir)
	fmt.Printf("stopped %d processes\n", stopped)
	return err
}
