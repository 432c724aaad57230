// Package integration tests the API server in process, on a real etcd and
// through real connections. The host cluster is absent: users are who they say
// they are and may do everything, and admission plugins are off.
package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/cmd/policy-apiserver/app"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apiserver"
	"github.com/clusterpedia-io/policy-apiserver/pkg/etcd"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/typed/policy/v1alpha1"
)

// server is a running server.
type server struct {
	// loopback is the configuration of a client that is the server itself.
	loopback *rest.Config
	// endpoint is the address of its etcd.
	endpoint string
}

// shared serves all tests that do not need a server of their own.
var shared *server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, stop, err := start(dir, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared = s
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// start runs a server on the data in dir until stop is called. Servers are
// started one after the other: feature gates are global.
func start(dir string, controllers func(context.Context, apiserver.Own)) (_ *server, stop func() error, err error) {
	member, err := etcd.Start(context.Background(), etcd.Config{Dir: dir, QuotaBytes: 256 << 20})
	if err != nil {
		return nil, nil, err
	}
	s, end, err := serve(controllers, func(o *app.Options) {
		o.Recommended.Etcd.StorageConfig.Transport.ServerList = []string{member.Endpoint}
	})
	if err != nil {
		member.Stop()
		return nil, nil, err
	}
	s.endpoint = member.Endpoint
	return s, func() error {
		defer member.Stop()
		return end()
	}, nil
}

// serve runs a server on the storage that storage sets until stop is called.
func serve(controllers func(context.Context, apiserver.Own), storage func(*app.Options)) (_ *server, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}

	options := app.NewOptions()
	options.ServerRun.ShutdownDelayDuration = 0 // no Service leads here
	storage(options)
	options.Recommended.SecureServing.Listener = listener
	options.Recommended.Authentication = nil
	options.Recommended.Authorization = nil
	options.Recommended.CoreAPI = nil
	options.Recommended.Admission = nil
	options.Recommended.Features.EnablePriorityAndFairness = false
	config, err := options.Config()
	if err != nil {
		return nil, nil, err
	}
	config.GenericConfig.Authentication.Authenticator = bearertoken.New(authenticator.TokenFunc(
		func(_ context.Context, token string) (*authenticator.Response, bool, error) {
			return &authenticator.Response{User: &user.DefaultInfo{Name: token, Groups: []string{user.SystemPrivilegedGroup}}}, true, nil
		}))
	config.GenericConfig.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	config.ExtraConfig.Controllers = controllers

	generic, err := config.Complete().New()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	prepared := generic.PrepareRun()
	go func() { ended <- prepared.RunWithContext(ctx) }()
	stop = func() error {
		cancel()
		return <-ended
	}

	s := &server{loopback: generic.LoopbackClientConfig}
	if err := s.ready(ctx); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return s, stop, nil
}

func (s *server) ready(ctx context.Context) error {
	client, err := rest.HTTPClientFor(s.loopback)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.loopback.Host+"/readyz", nil)
		if err != nil {
			return false, err
		}
		response, err := client.Do(request)
		if err != nil {
			return false, nil
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
}

// as returns the configuration of a client that is that user.
func (s *server) as(name string) *rest.Config {
	config := rest.CopyConfig(s.loopback)
	config.BearerToken = name
	return config
}

// asUser returns a client of the shared server that somebody called jane uses.
func asUser(t *testing.T) policyclient.PolicyV1alpha1Interface {
	return clientFor(t, shared.as("jane"))
}

// asServer returns a client of the shared server that is the server itself.
func asServer(t *testing.T) policyclient.PolicyV1alpha1Interface {
	return clientFor(t, shared.loopback)
}

func clientFor(t *testing.T, config *rest.Config) policyclient.PolicyV1alpha1Interface {
	t.Helper()
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.PolicyV1alpha1()
}

// rawClient returns the HTTP client of jane, for what typed clients hide.
func rawClient(t *testing.T) *http.Client {
	t.Helper()
	client, err := rest.HTTPClientFor(shared.as("jane"))
	if err != nil {
		t.Fatal(err)
	}
	return client
}
