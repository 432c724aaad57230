package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// host answers what the start asks for, with the resources that it serves.
func host(t *testing.T, ready *atomic.Bool, resources map[string][]string) *rest.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !ready.Load() {
			http.Error(w, `{"kind":"Status","message":"not yet","reason":"Forbidden","code":403}`, http.StatusForbidden)
			return
		}
		if req.URL.Path == "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication" {
			_, _ = w.Write([]byte(`{"kind":"ConfigMap","apiVersion":"v1","data":{"requestheader-client-ca-file":"a certificate"}}`))
			return
		}
		names, served := resources[req.URL.Path]
		if !served {
			http.Error(w, `{"kind":"Status","reason":"NotFound","code":404}`, http.StatusNotFound)
			return
		}
		list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}}
		for _, name := range names {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
		}
		_ = json.NewEncoder(w).Encode(list)
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

const (
	admissionPath   = "/apis/admissionregistration.k8s.io/v1"
	flowcontrolPath = "/apis/flowcontrol.apiserver.k8s.io/v1"
)

func TestTheStartWaitsForTheHost(t *testing.T) {
	var ready atomic.Bool
	config := host(t, &ready, map[string][]string{
		admissionPath:   {"mutatingadmissionpolicies", "validatingadmissionpolicies"},
		flowcontrolPath: {"flowschemas"},
	})
	time.AfterFunc(100*time.Millisecond, func() { ready.Store(true) })

	o := parse(t)
	if err := awaitHost(t.Context(), config, o); err != nil {
		t.Fatal(err)
	}
	if off := o.Recommended.Admission.DefaultOffPlugins; len(off) > 0 || !o.Recommended.Features.EnablePriorityAndFairness {
		t.Errorf("turned off without need: %v, priority and fairness %v", off, o.Recommended.Features.EnablePriorityAndFairness)
	}
}

func TestTheStartCanBeInterruptedWhileItWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	err := awaitHost(ctx, host(t, new(atomic.Bool), nil), parse(t))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := interrupted(ctx, err); err != nil {
		t.Errorf("an interruption is no failure: %v", err)
	}
}

func TestWhatAnOlderHostDoesNotServeIsTurnedOff(t *testing.T) {
	var ready atomic.Bool
	ready.Store(true)
	o := parse(t)
	if err := awaitHost(t.Context(), host(t, &ready, map[string][]string{admissionPath: {"validatingadmissionpolicies"}}), o); err != nil {
		t.Fatal(err)
	}
	off := o.Recommended.Admission.DefaultOffPlugins
	if !off.Has("MutatingAdmissionPolicy") || off.Has("ValidatingAdmissionPolicy") || o.Recommended.Features.EnablePriorityAndFairness {
		t.Errorf("off are %v, priority and fairness is %v", off, o.Recommended.Features.EnablePriorityAndFairness)
	}
}

func TestOnlyAnInterruptionWithACauseIsAnError(t *testing.T) {
	failed := errors.New("failed")
	if err := interrupted(t.Context(), failed); !errors.Is(err, failed) {
		t.Errorf("while running: %v", err)
	}
	ctx, die := context.WithCancelCause(t.Context())
	die(failed)
	if err := interrupted(ctx, nil); !errors.Is(err, failed) {
		t.Errorf("with a cause: %v", err)
	}
}
