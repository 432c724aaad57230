package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apiserver"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/probe"
)

// ControllerOptions are the flags of the controllers.
type ControllerOptions struct {
	// QPS and Burst bound the requests to the host cluster.
	QPS     float32
	Burst   int
	Workers int
	Lease   controller.Lease
	// Probe asks imported clusters whether they answer, but none at the
	// addresses of Denied.
	Probe  bool
	Denied []string
}

func newControllerOptions() ControllerOptions {
	return ControllerOptions{
		QPS:     1000,
		Burst:   2000,
		Workers: 32,
		Denied:  deniedByDefault(),
		Lease: controller.Lease{
			Namespace:     "clusterpedia-system",
			Name:          "policy-apiserver",
			Duration:      10 * time.Second,
			RenewDeadline: 7 * time.Second,
			// A replica looks at the Lease after up to 2.2 of these: it sees the last
			// renewal that much late, and the end of the Lease too. So a leader that
			// dies is replaced within 12 seconds.
			RetryPeriod: 400 * time.Millisecond,
		},
	}
}

// AddFlags adds the flags of the controllers.
func (o *ControllerOptions) AddFlags(flags *pflag.FlagSet) {
	flags.Float32Var(&o.QPS, "kube-api-qps", o.QPS,
		"The queries per second that the controllers may send to the host cluster. Render requests have a separate limit of the same size.")
	flags.IntVar(&o.Burst, "kube-api-burst", o.Burst,
		"The queries that the controllers may send to the host cluster in one burst. Render requests have a separate limit of the same size.")
	flags.IntVar(&o.Workers, "concurrent-imports", o.Workers,
		"The number of imports that are reconciled concurrently.")
	flags.BoolVar(&o.Probe, "probe-clusters", o.Probe,
		"Request /readyz and /version from each imported cluster with the credentials of its PediaCluster, and show the result in its lifecycle. "+
			"This server then connects to addresses that Sources determine.")
	flags.StringSliceVar(&o.Denied, "probe-denied-cidrs", o.Denied,
		"The address ranges that --probe-clusters never connects to, independent of the host name. Given ranges replace the default ones.")
	flags.StringVar(&o.Lease.Namespace, "leader-elect-resource-namespace", o.Lease.Namespace,
		"The namespace on the host cluster of the Lease that the leader holds.")
	flags.StringVar(&o.Lease.Name, "leader-elect-resource-name", o.Lease.Name,
		"The name of the Lease that the leader holds.")
	flags.DurationVar(&o.Lease.Duration, "leader-elect-lease-duration", o.Lease.Duration,
		"How long the other replicas wait after the last renewal by the leader before one of them becomes the leader.")
	flags.DurationVar(&o.Lease.RenewDeadline, "leader-elect-renew-deadline", o.Lease.RenewDeadline,
		"The time without a renewal of its Lease after which the leader stops its controllers. Less than the lease duration.")
	flags.DurationVar(&o.Lease.RetryPeriod, "leader-elect-retry-period", o.Lease.RetryPeriod,
		"How often replicas try to acquire or renew the Lease. Less than the renew deadline.")
}

// Validate returns all that is wrong with the options.
func (o *ControllerOptions) Validate() (errs []error) {
	if o.QPS <= 0 {
		errs = append(errs, errors.New("--kube-api-qps must be greater than 0"))
	}
	if o.Burst <= 0 {
		errs = append(errs, errors.New("--kube-api-burst must be greater than 0"))
	}
	if o.Workers <= 0 {
		errs = append(errs, errors.New("--concurrent-imports must be greater than 0"))
	}
	if _, err := o.denied(); err != nil {
		errs = append(errs, err)
	}
	if o.Lease.Namespace == "" || o.Lease.Name == "" {
		errs = append(errs, errors.New("--leader-elect-resource-namespace and --leader-elect-resource-name must not be empty"))
	}
	if o.Lease.Duration <= o.Lease.RenewDeadline {
		errs = append(errs, errors.New("--leader-elect-lease-duration must be greater than --leader-elect-renew-deadline"))
	}
	// The election adds up to 20 % to each period.
	if o.Lease.RenewDeadline <= o.Lease.RetryPeriod*12/10 || o.Lease.RetryPeriod <= 0 {
		errs = append(errs, errors.New("--leader-elect-renew-deadline must be greater than 1.2 times --leader-elect-retry-period, which must be greater than 0"))
	}
	return errs
}

func deniedByDefault() (cidrs []string) {
	for _, prefix := range probe.DefaultDeny() {
		cidrs = append(cidrs, prefix.String())
	}
	return cidrs
}

func (o *ControllerOptions) denied() ([]netip.Prefix, error) {
	prefixes := []netip.Prefix{}
	for _, cidr := range o.Denied {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, fmt.Errorf("--probe-denied-cidrs: %q is no address range, such as 10.0.0.0/8", cidr)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

// probe returns how clusters are asked, nil when none are.
func (o *ControllerOptions) probe() *probe.Config {
	if !o.Probe {
		return nil
	}
	denied, err := o.denied()
	utilruntime.Must(err) // Validate has seen it
	return &probe.Config{Deny: denied}
}

// limited returns the client configuration with the limits of the flags.
func (o *ControllerOptions) limited(host *rest.Config) *rest.Config {
	host = rest.CopyConfig(host)
	host.QPS, host.Burst = o.QPS, o.Burst
	return host
}

// runner returns what runs beside the API: here, and nowhere else, the
// controllers are given to the server.
func (o *ControllerOptions) runner(host *rest.Config) func(ctx context.Context, own apiserver.Own) {
	host = o.limited(host)
	lease := o.Lease
	lease.Identity = hostname() + "_" + uuid.NewString()
	return func(ctx context.Context, own apiserver.Own) {
		err := controller.Run(ctx, controller.Config{Loopback: own.Loopback, Lifecycles: own.Lifecycles, Host: host, Workers: o.Workers, Probe: o.probe(), Lease: lease})
		if err != nil {
			utilruntime.HandleErrorWithContext(ctx, err, "The controllers cannot run")
		}
	}
}

// hostname is that of the pod, which a StatefulSet keeps.
func hostname() string {
	name, _ := os.Hostname() // what goes with it tells replicas apart
	return name
}
