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

// The certificate is renewed when its time comes, and is made again, with its
// authority, when somebody has deleted it.
func certificateIsRenewed(t *testing.T) {
	w, _ := startServer(t, devcluster.ServerOptions{SelfRegister: true, Args: []string{"--serving-certificate-validity=1m"}})
	secrets := w.kubernetes.CoreV1().Secrets(devcluster.Namespace)
	certificate := func(ctx context.Context) ([]byte, error) {
		secret, err := secrets.Get(ctx, registration.SecretName, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return secret.Data["tls.crt"], nil
	}
	renewed := func(before []byte) {
		t.Helper()
		within(t, "there is a new certificate", func(ctx context.Context) error {
			now, err := certificate(ctx)
			if err == nil && bytes.Equal(now, before) {
				err = errors.New("it is the former one")
			}
			return err
		})
	}
	before, err := certificate(t.Context())
	must(t, err)
	renewed(before)
	w.recovers(t, "certificate renewed in time", time.Now())
	w.check(t)

	before, err = certificate(t.Context())
	must(t, err)
	began := time.Now()
	must(t, secrets.Delete(t.Context(), registration.SecretName, metav1.DeleteOptions{}))
	renewed(before)
	w.recovers(t, "certificate and authority deleted", began)
	w.check(t)
	within(t, "the host reaches the API", func(ctx context.Context) error {
		service, err := w.Kubectl(ctx, nil, "get", "apiservice", devcluster.APIServiceName, "-o", `jsonpath={.status.conditions[?(@.type=="Available")].status}`)
		if err == nil && service != "True" {
			err = fmt.Errorf("the APIService is Available=%s", service)
		}
		return err
	})
}
