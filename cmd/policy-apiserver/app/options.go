package app

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	basecompatibility "k8s.io/component-base/compatibility"
	logsapi "k8s.io/component-base/logs/api/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apiserver"
	"github.com/clusterpedia-io/policy-apiserver/pkg/etcd"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/openapi"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/author"
)

const (
	// The storage factory puts group and resource behind the prefix.
	defaultEtcdPrefix      = "/registry"
	defaultEmbeddedEtcdDir = "/var/lib/policy-apiserver"
	defaultEtcdQuotaBytes  = 2 << 30
	defaultSecurePort      = 8443

	defaultSnapshotInterval = time.Hour
	defaultSnapshotCount    = 24

	defaultShutdownDelay    = 5 * time.Second
	defaultWatchTermination = 5 * time.Second
)

func init() {
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
}

// Options are what the flags say.
type Options struct {
	ServerRun    *genericoptions.ServerRunOptions
	Recommended  *genericoptions.RecommendedOptions
	EmbeddedEtcd etcd.Config
	// AcceptStorage is the id of a storage to serve though another one served the
	// host before.
	AcceptStorage string
	Controllers   ControllerOptions
	Registration  RegistrationOptions
	Authority     AuthorityOptions
	Logs          *logsapi.LoggingConfiguration
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	recommended := genericoptions.NewRecommendedOptions(defaultEtcdPrefix, apiserver.Codecs.LegacyCodec(policyv1alpha1.SchemeGroupVersion))
	// Discovery takes the storageVersionHash from here.
	recommended.Etcd.StorageConfig.EncodeVersioner = runtime.NewMultiGroupVersioner(
		policyv1alpha1.SchemeGroupVersion, schema.GroupKind{Group: policyv1alpha1.GroupName})
	recommended.SecureServing.BindPort = defaultSecurePort
	recommended.SecureServing.Required = true
	// Without a directory, a self-signed certificate stays in memory.
	recommended.SecureServing.ServerCert.CertDirectory = ""
	// This server dials nothing but the host and its etcd.
	recommended.EgressSelector = nil

	run := genericoptions.NewServerRunOptionsForComponent(basecompatibility.DefaultKubeComponent, compatibility.DefaultComponentGlobalsRegistry)
	// While /readyz is red already, requests are still served: the Service of a
	// pod that ends goes on leading here for a moment. Afterwards, connections are
	// told to go elsewhere and what is in flight is finished.
	run.ShutdownDelayDuration = defaultShutdownDelay
	// With zero, a watch would hold the shutdown up for a minute, longer than
	// the grace period of a pod.
	run.ShutdownWatchTerminationGracePeriod = defaultWatchTermination

	return &Options{
		ServerRun:   run,
		Recommended: recommended,
		EmbeddedEtcd: etcd.Config{
			Dir:              defaultEmbeddedEtcdDir,
			QuotaBytes:       defaultEtcdQuotaBytes,
			SnapshotInterval: defaultSnapshotInterval,
			SnapshotCount:    defaultSnapshotCount,
		},
		Controllers:  newControllerOptions(),
		Registration: newRegistrationOptions(),
		Authority:    newAuthorityOptions(),
		Logs:         logsapi.NewLoggingConfiguration(),
	}
}

// Flags that are of no effect here: a flag that does nothing is a bug.
var (
	runFlagsWithoutEffect = []string{
		"emulation-forward-compatible",                // our group has one version
		"runtime-config-emulation-forward-compatible", // there is no --runtime-config
	}
	etcdFlagsWithoutEffect = []string{
		"default-watch-cache-size",     // a no-op everywhere
		"enable-garbage-collector",     // our kinds never have its finalizers
		"etcd-db-metric-poll-interval", // read by nobody
		"etcd-servers-overrides",       // the storage factory has one etcd
		"lease-reuse-duration-seconds", // our objects do not expire
		"storage-backend",              // there is one
		"storage-media-type",           // our types are stored as JSON
	}
)

// Flags returns the flags in named sections.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	addFlagsBut(sets.FlagSet("generic"), o.ServerRun.AddUniversalFlags, runFlagsWithoutEffect)

	host := sets.FlagSet("host")
	host.StringVar(&o.Recommended.CoreAPI.CoreAPIKubeconfigPath, "kubeconfig", o.Recommended.CoreAPI.CoreAPIKubeconfigPath,
		"The kubeconfig file of the host cluster, which holds the Sources and the PediaClusters. If empty, that of the pod that this process runs in.")
	o.Controllers.AddFlags(sets.FlagSet("controllers"))
	o.Registration.AddFlags(sets.FlagSet("registration"))

	storage := sets.FlagSet("etcd")
	addFlagsBut(storage, o.Recommended.Etcd.AddFlags, etcdFlagsWithoutEffect)
	storage.StringVar(&o.EmbeddedEtcd.Dir, "embedded-etcd-dir", o.EmbeddedEtcd.Dir,
		"The directory of the etcd that this process runs when --etcd-servers is not given. One process at a time may use it.")
	storage.Int64Var(&o.EmbeddedEtcd.QuotaBytes, "embedded-etcd-quota-bytes", o.EmbeddedEtcd.QuotaBytes,
		"The maximum size of the database of the embedded etcd. A full database can be read, and refuses writes until there is enough space.")
	storage.DurationVar(&o.EmbeddedEtcd.SnapshotInterval, "embedded-etcd-snapshot-interval", o.EmbeddedEtcd.SnapshotInterval,
		"The time between two snapshots of the embedded etcd. Zero disables them.")
	storage.StringVar(&o.EmbeddedEtcd.SnapshotDir, "embedded-etcd-snapshot-dir", o.EmbeddedEtcd.SnapshotDir,
		"The directory of these snapshots. If empty, the directory snapshots in --embedded-etcd-dir.")
	storage.IntVar(&o.EmbeddedEtcd.SnapshotCount, "embedded-etcd-snapshot-count", o.EmbeddedEtcd.SnapshotCount,
		"How many of these snapshots are kept.")
	storage.StringVar(&o.AcceptStorage, "accept-storage", o.AcceptStorage,
		"The id of a storage to serve although another one served the host before. The server shows the id when it refuses the storage. "+
			"PediaClusters stay as they are until a policy in the storage changes them.")

	o.Recommended.SecureServing.AddFlags(sets.FlagSet("secure serving"))
	o.Recommended.Authentication.AddFlags(sets.FlagSet("authentication"))
	o.Recommended.Authorization.AddFlags(sets.FlagSet("authorization"))
	o.Authority.AddFlags(sets.FlagSet("authorization"))
	o.Recommended.Audit.AddFlags(sets.FlagSet("auditing"))
	o.Recommended.Admission.AddFlags(sets.FlagSet("admission"))
	o.Recommended.Features.AddFlags(sets.FlagSet("features"))
	o.Recommended.Traces.AddFlags(sets.FlagSet("traces"))
	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
	return sets
}

// addFlagsBut adds to flags what add adds, but those flags.
func addFlagsBut(flags *pflag.FlagSet, add func(*pflag.FlagSet), names []string) {
	all := pflag.NewFlagSet(flags.Name(), pflag.ContinueOnError)
	add(all)
	all.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(names, flag.Name) {
			flags.AddFlag(flag)
		}
	})
}

// Complete fills in what follows from other options.
func (o *Options) Complete() error {
	kubeconfig := o.Recommended.CoreAPI.CoreAPIKubeconfigPath
	if o.Recommended.Authentication.RemoteKubeConfigFile == "" {
		o.Recommended.Authentication.RemoteKubeConfigFile = kubeconfig
	}
	if o.Recommended.Authorization.RemoteKubeConfigFile == "" {
		o.Recommended.Authorization.RemoteKubeConfigFile = kubeconfig
	}
	return o.ServerRun.Complete()
}

// Validate returns all that is wrong with the options.
func (o *Options) Validate() error {
	recommended := *o.Recommended
	if o.embedsEtcd() {
		storage := *recommended.Etcd
		storage.StorageConfig.Transport.ServerList = []string{"unix:"} // known once it runs
		recommended.Etcd = &storage
	}
	errs := append(o.ServerRun.Validate(), recommended.Validate()...)
	if o.embedsEtcd() && o.EmbeddedEtcd.Dir == "" {
		errs = append(errs, errors.New("one of --etcd-servers and --embedded-etcd-dir is needed"))
	}
	if o.EmbeddedEtcd.QuotaBytes <= 0 {
		errs = append(errs, errors.New("--embedded-etcd-quota-bytes must be greater than 0"))
	}
	if o.EmbeddedEtcd.SnapshotInterval < 0 {
		errs = append(errs, errors.New("--embedded-etcd-snapshot-interval must not be negative"))
	}
	if o.EmbeddedEtcd.SnapshotCount < 1 {
		errs = append(errs, errors.New("--embedded-etcd-snapshot-count must be greater than 0: with --embedded-etcd-snapshot-interval=0 there are none"))
	}
	errs = append(errs, o.Controllers.Validate()...)
	errs = append(errs, o.Registration.Validate(o.Recommended.SecureServing.SecureServingOptions)...)
	errs = append(errs, o.Authority.Validate()...)
	return utilerrors.NewAggregate(errs)
}

func (o *Options) embedsEtcd() bool {
	return len(o.Recommended.Etcd.StorageConfig.Transport.ServerList) == 0
}

// hostConfig returns the client configuration of the host cluster.
func (o *Options) hostConfig() (*rest.Config, error) {
	path := o.Recommended.CoreAPI.CoreAPIKubeconfigPath
	if path == "" {
		config, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("there is no host cluster: set --kubeconfig, since this process does not run in a pod")
		}
		if err != nil {
			return nil, fmt.Errorf("the host cluster as this pod sees it: %w", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	return config, nil
}

// listen listens on the port and reads the certificate. What is listened on
// already is left to the server as it is.
func (o *Options) listen() error {
	var listening *genericapiserver.SecureServingInfo
	if err := o.Recommended.SecureServing.SecureServingOptions.ApplyTo(&listening); err != nil {
		return fmt.Errorf("--secure-port, --tls-cert-file and --tls-private-key-file: %w", err)
	}
	return nil
}

// Config turns the options into the configuration of the server. The host has
// to answer.
func (o *Options) Config() (*apiserver.Config, error) {
	if o.Recommended.SecureServing.ServerCert.GeneratedCert == nil { // that of the registration
		if err := o.Recommended.SecureServing.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
			return nil, fmt.Errorf("making a self-signed certificate: %w", err)
		}
	}

	config := genericapiserver.NewRecommendedConfig(apiserver.Codecs)
	namer := openapinamer.NewDefinitionNamer(apiserver.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIConfig.Info.Title = "Clusterpedia import policies"
	config.OpenAPIConfig.Info.Version = buildVersion()
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config.Info = config.OpenAPIConfig.Info

	if err := o.ServerRun.ApplyTo(&config.Config); err != nil {
		return nil, err
	}
	if err := o.Recommended.ApplyTo(config); err != nil {
		return nil, err
	}

	return &apiserver.Config{
		GenericConfig: config,
		ExtraConfig:   apiserver.ExtraConfig{AuthorCheck: author.Mode(o.Authority.AuthorCheck)},
	}, nil
}
