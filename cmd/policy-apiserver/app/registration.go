package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apiserver"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registration"
)

const (
	// podNamespaceFile exists in a pod.
	podNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

	defaultServingValidity = 90 * 24 * time.Hour
	minServingValidity     = time.Minute
)

// RegistrationOptions are the flags of how the server registers itself.
type RegistrationOptions struct {
	// Enabled has the server make and keep its APIService.
	Enabled bool
	// MakeService has it make and keep its Service too.
	MakeService bool
	Service     types.NamespacedName
	ServicePort int32
	// CAFile vouches for a certificate that comes from elsewhere.
	CAFile string
	// Validity is how long a serving certificate of its own lives.
	Validity time.Duration
}

func newRegistrationOptions() RegistrationOptions {
	namespace := "clusterpedia-system"
	if text, err := os.ReadFile(podNamespaceFile); err == nil {
		namespace = strings.TrimSpace(string(text))
	}
	return RegistrationOptions{
		Service:     types.NamespacedName{Namespace: namespace, Name: "policy-apiserver"},
		ServicePort: 443,
		Validity:    defaultServingValidity,
	}
}

// AddFlags adds the flags of the registration.
func (o *RegistrationOptions) AddFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.Enabled, "register-apiservice", o.Enabled,
		"Create and update the APIService with which the host finds this server. Without --tls-cert-file, "+
			"also create and renew the serving certificate, which the replicas share in the Secret "+registration.SecretName+".")
	flags.BoolVar(&o.MakeService, "register-service", o.MakeService,
		"With --register-apiservice, create and update the Service that the APIService refers to. It selects pods with the label app: policy-apiserver.")
	flags.StringVar(&o.Service.Name, "service-name", o.Service.Name,
		"The name of the Service of this server.")
	flags.StringVar(&o.Service.Namespace, "service-namespace", o.Service.Namespace,
		"The namespace of the Service of this server, and of the Secret of its certificate. In a pod the default is the namespace of the pod.")
	flags.Int32Var(&o.ServicePort, "service-port", o.ServicePort,
		"The port of the Service of this server.")
	flags.StringVar(&o.CAFile, "apiservice-ca-file", o.CAFile,
		"With --register-apiservice and --tls-cert-file, the file with the certificate authorities for the caBundle of the APIService. "+
			"It is reloaded when it changes. If empty, the caBundle is managed by something else, such as cert-manager.")
	flags.DurationVar(&o.Validity, "serving-certificate-validity", o.Validity,
		"How long a serving certificate that the server generates is valid. It is renewed after two thirds of that time. Its authority is valid ten times as long.")
}

// Validate returns all that is wrong with the options. The serving options say
// whether the certificate comes from elsewhere.
func (o *RegistrationOptions) Validate(serving *genericoptions.SecureServingOptions) (errs []error) {
	if !o.Enabled {
		// A flag that would do nothing is a mistake.
		if o.MakeService {
			errs = append(errs, errors.New("--register-service needs --register-apiservice"))
		}
		if o.CAFile != "" {
			errs = append(errs, errors.New("--apiservice-ca-file needs --register-apiservice"))
		}
		return errs
	}
	for flag, problems := range map[string][]string{
		"service-name":      validation.IsDNS1035Label(o.Service.Name),
		"service-namespace": validation.IsDNS1123Label(o.Service.Namespace),
		"service-port":      validation.IsValidPortNum(int(o.ServicePort)),
	} {
		for _, problem := range problems {
			errs = append(errs, fmt.Errorf("--%s: %s", flag, problem))
		}
	}
	if o.Validity < minServingValidity {
		errs = append(errs, fmt.Errorf("--serving-certificate-validity must be at least %s", minServingValidity))
	}
	if o.CAFile != "" && !certificateIsGiven(serving) {
		errs = append(errs, errors.New("--apiservice-ca-file needs --tls-cert-file and --tls-private-key-file: "+
			"the authorities of a certificate that the server makes are known to it"))
	}
	if serving.ServerCert.CertDirectory != "" && !certificateIsGiven(serving) {
		errs = append(errs, errors.New("--cert-dir and --register-apiservice exclude each other: the certificate is in a Secret"))
	}
	return errs
}

func certificateIsGiven(serving *genericoptions.SecureServingOptions) bool {
	return serving.ServerCert.CertKey.CertFile != "" || serving.ServerCert.CertKey.KeyFile != ""
}

// prepare returns what has a server with that configuration register itself. If
// the certificate is the server's own, it waits until there is one and puts it
// into the serving options.
func (o *RegistrationOptions) prepare(ctx context.Context, host *rest.Config, serving *genericoptions.SecureServingOptions) (func(*apiserver.Config) error, error) {
	objects, err := dynamic.NewForConfig(host)
	if err != nil {
		return nil, fmt.Errorf("a client for the host cluster: %w", err)
	}
	warn := func(config *apiserver.Config) error {
		return config.GenericConfig.AddPostStartHook("warn-of-definitions", func(hook genericapiserver.PostStartHookContext) error {
			go registration.WarnOfDefinitions(hook, objects)
			return nil
		})
	}
	if !o.Enabled {
		return warn, nil
	}
	config := registration.Config{Host: host, Service: o.Service, Port: o.ServicePort}
	if o.MakeService {
		config.TargetPort = int32(serving.BindPort)
	}
	var authorities *dynamiccertificates.DynamicFileCAContent
	if !certificateIsGiven(serving) {
		config.Validity = o.Validity
	} else if o.CAFile != "" {
		var err error
		if authorities, err = dynamiccertificates.NewDynamicCAContentFromFile("apiservice-ca", o.CAFile); err != nil {
			return nil, fmt.Errorf("--apiservice-ca-file: %w", err)
		}
		config.Authorities = authorities
	}
	registrar, err := registration.New(config)
	if err != nil {
		return nil, fmt.Errorf("a client for the host cluster: %w", err)
	}
	if config.Validity > 0 {
		if err := registrar.AwaitCertificate(ctx); err != nil {
			return nil, err
		}
		serving.ServerCert.GeneratedCert = registrar.ServingCertificate()
	}
	// The host is told of a server that listens, not before.
	return func(config *apiserver.Config) error {
		if err := warn(config); err != nil {
			return err
		}
		return config.GenericConfig.AddPostStartHook("register-apiservice", func(hook genericapiserver.PostStartHookContext) error {
			if authorities != nil {
				go authorities.Run(hook, 1)
			}
			go registrar.Run(hook)
			return nil
		})
	}, nil
}
