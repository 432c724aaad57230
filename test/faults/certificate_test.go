package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clusterpedia-io/policy-apiserver/pkg/registration"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

// The certificate is renewed when its time comes, and is made anew, with its
// authority, when somebody has deleted it.
func TestARenewedCertificateIsFollowed(t *testing.T) {
	t.Parallel()
	w, _ := startServer(t, devcluster.ServerOptions{SelfRegister: true, Args: []string{"--serving-certificate-validity=1m"}})
	secrets := w.kubernetes.CoreV1().Secrets(devcluster.Namespace)
	certificate := func(ctx context.Context) ([]byte, error) {
		secret, err := secrets.Get(ctx, registration.SecretName, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return secret.Data["tls.crt"], nil
	}
	for _, fault := range []struct {
		name  string
		cause func(context.Context) error
	}{
		{"certificate renewed in time", func(context.Context) error { return nil }},
		{"certificate and authority deleted", func(ctx context.Context) error {
			return secrets.Delete(ctx, registration.SecretName, metav1.DeleteOptions{})
		}},
	} {
		before, err := certificate(t.Context())
		must(t, err)
		must(t, fault.cause(t.Context()))
		within(t, "there is a new certificate", func(ctx context.Context) error {
			now, err := certificate(ctx)
			if err == nil && bytes.Equal(now, before) {
				err = errors.New("it is the former one")
			}
			return err
		})
		w.recovers(t, fault.name, time.Now())
		w.check(t)
	}
	within(t, "the host reaches the API", func(ctx context.Context) error {
		service, err := w.Kubectl(ctx, nil, "get", "apiservice", devcluster.APIServiceName, "-o", `jsonpath={.status.conditions[?(@.type=="Available")].status}`)
		if err == nil && service != "True" {
			err = fmt.Errorf("the APIService is Available=%s", service)
		}
		return err
	})
}
