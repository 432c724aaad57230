package apiserver

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/storageguard"
)

// StorageGuard keeps requests for resources away from a storage that may not be
// the one of the host. Discovery is answered all the same: without it, the host
// could not delete a namespace.
type StorageGuard struct {
	storageguard.Config
	// Lost is called when the storage in use has become another one. The process
	// should end.
	Lost func(error)

	guard atomic.Pointer[storageguard.Guard]
}

// refuseRequests answers 503 to requests for resources while the guard is closed,
// after the caller was authorized: the reason is not for everybody.
func (s *StorageGuard) refuseRequests(config *genericapiserver.RecommendedConfig) {
	build := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return build(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			info, ok := genericapirequest.RequestInfoFrom(req.Context())
			if !ok || !info.IsResourceRequest || info.APIGroup != policy.GroupName {
				handler.ServeHTTP(w, req)
				return
			}
			if reason := s.guard.Load().Blocked(); reason != nil {
				err := apierrors.NewServiceUnavailable(reason.Error())
				if refusal := (*storageguard.Refusal)(nil); !errors.As(reason, &refusal) {
					// Clients wait and try again, and do not show what they were told.
					err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
				}
				responsewriters.ErrorNegotiated(err, Codecs, policy.SchemeGroupVersion, w, req)
				return
			}
			handler.ServeHTTP(w, req)
		}), c)
	}
}

// watchOver runs the guard with the server, and returns controllers, which may be
// nil, that wait for it.
func (s *StorageGuard) watchOver(server *genericapiserver.GenericAPIServer, storage storageguard.Storage,
	controllers func(context.Context, *rest.Config)) (func(context.Context, *rest.Config), error) {
	guard, err := storageguard.New(s.Config, storage)
	if err != nil {
		return nil, err
	}
	s.guard.Store(guard)
	err = addRunner(server, "storage-guard", func(ctx context.Context, _ *rest.Config) {
		if err := guard.Run(ctx); err != nil {
			s.Lost(err)
		}
	})
	if controllers == nil {
		return nil, err
	}
	return func(ctx context.Context, loopback *rest.Config) {
		select {
		case <-guard.Open():
			controllers(ctx, loopback)
		case <-ctx.Done():
		}
	}, err
}
