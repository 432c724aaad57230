package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/cmd/policy-apiserver/app"
	"github.com/clusterpedia-io/policy-apiserver/pkg/etcd"
)

// startServerWithoutControllers runs a second server in this process, on an
// etcd of its own and the host at that address, with those flags besides. It
// returns the configuration of a client that is the named user; what that user may
// do, the host says.
func startServerWithoutControllers(t *testing.T, hostAddress, username string, args ...string) *rest.Config {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir(), QuotaBytes: 64 << 20})
	must(t, err)
	t.Cleanup(member.Stop)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)

	options := app.NewOptions()
	flags := pflag.NewFlagSet("policy-apiserver", pflag.ContinueOnError)
	for _, set := range options.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	must(t, flags.Parse(args))
	options.Recommended.CoreAPI.CoreAPIKubeconfigPath = writeKubeconfig(t, hostAddress)
	options.Recommended.Etcd.StorageConfig.Transport.ServerList = []string{member.Endpoint}
	options.Recommended.SecureServing.Listener = listener
	options.Recommended.Admission = nil
	options.Recommended.Features.EnablePriorityAndFairness = false
	must(t, options.Complete())
	options.Recommended.Authentication = nil
	config, err := options.Config()
	must(t, err)
	config.GenericConfig.Authentication.Authenticator = bearertoken.New(authenticator.TokenFunc(
		func(_ context.Context, token string) (*authenticator.Response, bool, error) {
			return &authenticator.Response{User: &user.DefaultInfo{Name: token}}, true, nil
		}))
	config.ExtraConfig.Host = rest.CopyConfig(config.GenericConfig.ClientConfig)
	server, err := config.Complete().New()
	must(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	prepared := server.PrepareRun()
	go func() { ended <- prepared.RunWithContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	client := rest.CopyConfig(server.LoopbackClientConfig)
	eventually(t, "the second server is ready", func() error {
		return ready(t, server.LoopbackClientConfig)
	})
	client.BearerToken = username
	return client
}

func ready(t *testing.T, config *rest.Config) error {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	must(t, err)
	response, err := client.Get(config.Host + "/readyz")
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answers %s", response.Status)
	}
	return errors.Join(err, response.Body.Close())
}
