package apiserver

import (
	"errors"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
)

// awaitFrontProxy makes the server answer 503, which clients repeat, until it
// knows by which authority the host's aggregator signs for its users. The
// generic server reads that only when it already listens, and takes everybody
// for anonymous until then: after each restart, requests would be Forbidden.
func awaitFrontProxy(config *genericapiserver.RecommendedConfig) {
	requestHeader := config.Authentication.RequestHeaderConfig
	if requestHeader == nil {
		return
	}
	known := func() bool {
		_, ok := requestHeader.CAContentProvider.VerifyOptions()
		return ok
	}
	config.AddReadyzChecks(healthz.NamedCheck("front-proxy-ca", func(*http.Request) error {
		if !known() {
			return errors.New("the certificate authority of the front proxy is not loaded yet")
		}
		return nil
	}))

	build := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return unavailableUntil(known, build(handler, c))
	}
}

func unavailableUntil(known func() bool, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if known() || isHealthCheck(req.URL.Path) {
			handler.ServeHTTP(w, req)
			return
		}
		err := apierrors.NewServiceUnavailable("the server is starting: it cannot authenticate users of the aggregator yet")
		err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
		responsewriters.ErrorNegotiated(err, Codecs, schema.GroupVersion{}, w, req)
	})
}

func isHealthCheck(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first == "livez" || first == "readyz" || first == "healthz"
}
