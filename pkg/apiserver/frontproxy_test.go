package apiserver

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

func TestRequestsAreAskedToComeBackUntilTheFrontProxyIsKnown(t *testing.T) {
	var known atomic.Bool
	handler := unavailableUntil(known.Load, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	}))
	get := func(path string) *httptest.ResponseRecorder {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		return recorder
	}

	for _, path := range []string{"/apis", "/apis/policy.clusterpedia.io/v1alpha1/clusterimportpolicies/readyz", "/openapi/v2"} {
		answer := get(path)
		if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %d, Retry-After %q", path, answer.Code, answer.Header().Get("Retry-After"))
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/readyz/etcd", "/healthz"} {
		if answer := get(path); answer.Code != http.StatusOK {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
	known.Store(true)
	if answer := get("/apis"); answer.Code != http.StatusOK {
		t.Errorf("/apis, once it is known: %d", answer.Code)
	}
}
