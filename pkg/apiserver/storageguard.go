package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/migration"
	policyrest "github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/rest"
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

// A replica that may not serve yet is not ready, so that those that do are not
// stopped for it, but not for long: discovery is worth more than that.
const (
	// settling is how long it may not be known whether the replica may serve.
	settling = 30 * time.Second
	// stalling is how long one of several replicas may be refused: a Deployment
	// has given up its rollout by then.
	stalling = 15 * time.Minute
)

// admissionPeriod is how often controllers ask whether they may work.
const admissionPeriod = 200 * time.Millisecond

// refuseRequests answers 503 to requests for resources while the guard is closed,
// after the caller was authorized: the reason is not for everybody.
func (s *StorageGuard) refuseRequests(config *genericapiserver.RecommendedConfig) {
	began := time.Now()
	config.AddReadyzChecks(healthz.NamedCheck("storage-guard", func(*http.Request) error {
		guard, age := s.guard.Load(), time.Since(began)
		switch {
		case guard == nil:
		case guard.Opened(), age > stalling:
			return nil
		case guard.Refused():
			if s.Embedded {
				return nil
			}
		case age > settling:
			return nil
		}
		return errors.New("it is not known yet whether the storage is the right one")
	}))

	build := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return build(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			info, ok := genericapirequest.RequestInfoFrom(req.Context())
			if !ok || !info.IsResourceRequest || info.APIGroup != policy.GroupName {
				handler.ServeHTTP(w, req)
				return
			}
			ctx, release, reason := s.guard.Load().Admit(req.Context())
			if reason != nil {
				responsewriters.ErrorNegotiated(unavailable(reason), Codecs, policy.SchemeGroupVersion, w, req)
				return
			}
			defer release()
			if info.Verb == "watch" && !s.reached(req) {
				responsewriters.ErrorNegotiated(apierrors.NewResourceExpired("the resourceVersion is one that this storage has not reached: list again"),
					Codecs, policy.SchemeGroupVersion, w, req)
				return
			}
			handler.ServeHTTP(w, req.WithContext(ctx))
		}), c)
	}
}

// unavailable is the answer to a request that meets a closed guard. Errors of host
// and storage are for the log: they are not for everybody.
func unavailable(reason error) error {
	text, lasting := "it is not known now whether the storage is the one that this host was served from; the log of the server says why", false
	if refusal := (*storageguard.Refusal)(nil); errors.As(reason, &refusal) {
		text, lasting = refusal.Error(), refusal.Lasting
	}
	err := apierrors.NewServiceUnavailable(text)
	if !lasting {
		// Clients wait and try again, and do not show what they were told.
		err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	}
	return err
}

// reached is false for a watch from a resourceVersion that is not of this storage,
// as those have who watched the CRDs before or the storage before its restore. They
// would be told nothing until it is reached.
func (s *StorageGuard) reached(req *http.Request) bool {
	revision, err := strconv.ParseUint(req.URL.Query().Get("resourceVersion"), 10, 64)
	if err != nil || revision == 0 {
		return true // any will do, or it is refused by others
	}
	reached, err := s.guard.Load().Reached(req.Context(), revision)
	return reached && err == nil
}

// takeOver takes over what the CRDs of the host held.
func (s *StorageGuard) takeOver(importer *policyrest.Importer) (func(context.Context, types.UID) error, error) {
	takeover := migration.Takeover{Namespace: s.Namespace, Import: importer.Import}
	var err error
	if takeover.Kubernetes, err = kubernetes.NewForConfig(s.Host); err != nil {
		return nil, fmt.Errorf("a client for what the CRDs held: %w", err)
	}
	if takeover.Objects, err = dynamic.NewForConfig(s.Host); err != nil {
		return nil, fmt.Errorf("a client for who serves the group: %w", err)
	}
	return func(ctx context.Context, id types.UID) error {
		err := takeover.Run(ctx, id)
		if waiting := (*migration.Waiting)(nil); errors.As(err, &waiting) {
			return storageguard.Refuse(err)
		}
		return err
	}, nil
}

// watchOver runs the guard with the server, and returns controllers, which may be
// nil, that work while it lets them.
func (s *StorageGuard) watchOver(server *genericapiserver.GenericAPIServer, storage *policyrest.Storage,
	controllers func(context.Context, Own)) (func(context.Context, Own), error) {
	config := s.Config
	var err error
	if config.TakeOver, err = s.takeOver(storage.Importer); err != nil {
		return nil, err
	}
	guard, err := storageguard.New(config, storage.Identity)
	if err != nil {
		return nil, err
	}
	s.guard.Store(guard)
	var running sync.WaitGroup
	// The context of the hook ends when nobody is answered any more: until then
	// the guard has to know.
	err = server.AddPostStartHook("start-storage-guard", func(hook genericapiserver.PostStartHookContext) error {
		running.Go(func() {
			if err := guard.Run(hook); err != nil {
				s.Lost(err)
			}
		})
		return nil
	})
	server.RegisterDestroyFunc(running.Wait)
	if controllers == nil {
		return nil, err
	}
	return func(ctx context.Context, own Own) {
		for ctx.Err() == nil {
			// What they write to the host is as dangerous as what is answered here.
			serving, release, err := guard.Admit(ctx)
			if err == nil {
				controllers(serving, own)
				release()
			}
			select {
			case <-ctx.Done():
			case <-time.After(admissionPeriod):
			}
		}
	}, err
}
