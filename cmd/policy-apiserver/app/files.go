package app

import (
	"context"
	"fmt"
	"os"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
)

// checkFiles returns what is wrong with the files that flags name. The flags
// are part of the errors, which those of the generic server leave out.
func (o *Options) checkFiles(ctx context.Context) error {
	r := o.Recommended
	transport := r.Etcd.StorageConfig.Transport
	var errs []error
	for _, file := range []struct{ flag, path string }{
		{"tls-cert-file", r.SecureServing.ServerCert.CertKey.CertFile},
		{"tls-private-key-file", r.SecureServing.ServerCert.CertKey.KeyFile},
		{"etcd-cafile", transport.TrustedCAFile},
		{"etcd-certfile", transport.CertFile},
		{"etcd-keyfile", transport.KeyFile},
		{"encryption-provider-config", r.Etcd.EncryptionProviderConfigFilepath},
		{"authentication-kubeconfig", r.Authentication.RemoteKubeConfigFile},
		{"authorization-kubeconfig", r.Authorization.RemoteKubeConfigFile},
		{"client-ca-file", r.Authentication.ClientCert.ClientCA},
		{"requestheader-client-ca-file", r.Authentication.RequestHeader.ClientCAFile},
		{"audit-policy-file", r.Audit.PolicyFile},
		{"audit-webhook-config-file", r.Audit.WebhookOptions.ConfigFile},
		{"admission-control-config-file", r.Admission.ConfigFile},
		{"tracing-config-file", r.Traces.ConfigFile},
	} {
		if file.path == "" {
			continue
		}
		if _, err := os.ReadFile(file.path); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", file.flag, err))
		}
	}
	if len(errs) > 0 {
		return utilerrors.NewAggregate(errs)
	}

	if path := r.Audit.PolicyFile; path != "" {
		if _, err := policy.LoadPolicyFromFile(path); err != nil {
			errs = append(errs, fmt.Errorf("--audit-policy-file: %w", err))
		}
	}
	if path := r.Etcd.EncryptionProviderConfigFilepath; path != "" {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // what it starts to talk to a KMS; the server starts its own
		if _, err := encryptionconfig.LoadEncryptionConfig(ctx, path, false, ""); err != nil {
			errs = append(errs, fmt.Errorf("--encryption-provider-config %s: %w", path, err))
		}
	}
	return utilerrors.NewAggregate(errs)
}
