// Package apiserver builds the server from its configuration: the API group
// policy.clusterpedia.io, and beside it a runner for controllers of which the
// server knows nothing else.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"sync"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/author"
	lifecyclestorage "github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/pediaclusterlifecycle/storage"
	policyrest "github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/rest"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
)

// Config is what the server is built from.
type Config struct {
	GenericConfig *genericapiserver.RecommendedConfig
	ExtraConfig   ExtraConfig
}

// ExtraConfig is what this server has beside every other API server.
type ExtraConfig struct {
	// Controllers run while the API is served; nil means none. They must return
	// soon after the context ends. The server's readiness does not depend on them.
	Controllers func(ctx context.Context, own Own)
	// Host leads to the host cluster, which is read to answer what a policy
	// would do. Without it, nothing is rendered, and authors are not checked.
	Host *rest.Config
	// StorageGuard makes sure that the storage is the right one for the host;
	// nil serves any.
	StorageGuard *StorageGuard
	// AuthorCheck is what to do about authors who may not do what their policy does.
	AuthorCheck author.Mode
}

// Own is how controllers reach what this server serves.
type Own struct {
	// Loopback reaches this server's own API, as the server itself.
	Loopback *rest.Config
	// Lifecycles are read and written in storage, without the API.
	Lifecycles *lifecyclestorage.InProcess
}

type completedConfig struct {
	generic genericapiserver.CompletedConfig
	extra   ExtraConfig
}

// CompletedConfig comes from Complete only.
type CompletedConfig struct {
	*completedConfig
}

// Complete fills in what follows from the rest of the configuration.
func (c *Config) Complete() CompletedConfig {
	if c.ExtraConfig.StorageGuard != nil {
		c.ExtraConfig.StorageGuard.refuseRequests(c.GenericConfig)
	}
	awaitFrontProxy(c.GenericConfig)
	return CompletedConfig{&completedConfig{generic: c.GenericConfig.Complete(), extra: c.ExtraConfig}}
}

// New builds the server. It serves once it is prepared and run.
func (c CompletedConfig) New() (*genericapiserver.GenericAPIServer, error) {
	server, err := c.generic.New("policy-apiserver", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	host, err := c.host()
	if err != nil {
		return nil, err
	}
	storage, err := policyrest.NewStorage(Scheme, Codecs, c.generic.RESTOptionsGetter, c.generic.RequestTimeout, host)
	if err != nil {
		return nil, err
	}
	if err := server.InstallAPIGroup(storage.Group); err != nil {
		return nil, fmt.Errorf("installing the API group: %w", err)
	}
	server.RegisterDestroyFunc(storage.Identity.Destroy)
	controllers := c.extra.Controllers
	if c.extra.StorageGuard != nil {
		if controllers, err = c.extra.StorageGuard.watchOver(server, storage, controllers); err != nil {
			return nil, err
		}
	}
	if controllers != nil {
		if err := addControllers(server, storage.Lifecycles, controllers); err != nil {
			return nil, err
		}
	}
	return server, nil
}

// host reads the host cluster for those whom the server's own authorizer, which
// asks the host, lets read there themselves.
func (c CompletedConfig) host() (*policyrest.Host, error) {
	if c.extra.Host == nil {
		return nil, nil
	}
	host, err := review.NewHost(c.extra.Host)
	if err != nil {
		return nil, err
	}
	return &policyrest.Host{Host: host, Authorizer: c.generic.Authorization.Authorizer, AuthorCheck: c.extra.AuthorCheck}, nil
}

// addControllers starts the controllers when the API is served and stops them
// while it still is, so that their last writes succeed. They have a context of
// their own since that of a post-start hook ends only after the API is gone.
func addControllers(server *genericapiserver.GenericAPIServer, lifecycles *lifecyclestorage.InProcess, run func(context.Context, Own)) error {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup

	start := func(hook genericapiserver.PostStartHookContext) error {
		running.Go(func() { run(ctx, Own{Loopback: hook.LoopbackClientConfig, Lifecycles: lifecycles}) })
		return nil
	}
	end := func() error {
		stop()
		running.Wait()
		return nil
	}
	return errors.Join(
		server.AddPostStartHook("start-controllers", start),
		server.AddPreShutdownHook("stop-controllers", end),
	)
}
