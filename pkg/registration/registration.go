// Package registration registers this server with the aggregator of the host
// and looks after its serving certificate.
//
// Three objects of the host are kept in step: the Secret that holds the
// certificate and its authorities, the APIService, whose caBundle has the same
// authorities, and the Service, if it is wanted. Every replica does the same
// from the same Secret, so they need no leader: the Secret changes by
// compare-and-swap, and what follows from it is the same for all.
package registration

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// fieldManager is who wrote what, in the objects of the host.
const fieldManager = "policy-apiserver"

const (
	// passTimeout bounds one look at all objects.
	passTimeout = 30 * time.Second
	// pause is the least time between two looks, so that nobody who wants
	// something else for an object is fought without end at full speed.
	pause = 500 * time.Millisecond
	// regardless is after how long all is looked at though nothing has changed.
	regardless = 5 * time.Minute
	// refusedPeriod is how often a refusal is thought over: what it depends on
	// is not watched.
	refusedPeriod = 10 * time.Second
	// maxSettling is how long, at most, the APIService carries a new authority
	// before that signs: every kube-apiserver has seen it by then.
	maxSettling = time.Minute
)

// passBackoff is how long passes wait after an error.
var passBackoff = wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.1, Steps: 6, Cap: 30 * time.Second}

// Config says what is registered.
type Config struct {
	// Host is the client configuration of the host cluster.
	Host *rest.Config
	// Service is the Service that the APIService leads to, and Port its port.
	// The Secret is in its namespace.
	Service types.NamespacedName
	Port    int32
	// TargetPort is the port that this process listens on. When it is given, the
	// Service is made and kept too.
	TargetPort int32
	// Validity is how long a serving certificate lives. When it is zero, the
	// certificate comes from elsewhere and there is no Secret.
	Validity time.Duration
	// Authorities vouch for a certificate that comes from elsewhere. When it is
	// nil, somebody else looks after the caBundle of the APIService.
	Authorities dynamiccertificates.CAContentProvider
}

// Registrar keeps the registration. It is made by New.
type Registrar struct {
	config Config
	client kubernetes.Interface
	// objects is for APIServices and CustomResourceDefinitions.
	objects dynamic.Interface
	wake    chan struct{}
	serving ServingCertificate

	// What follows belongs to the goroutine that looks.

	// carried is the newest authority that the APIService carries, and since
	// when, by this replica's own observation and without a break.
	carried struct {
		authority *x509.Certificate
		since     time.Time
	}
	// said is what was last logged of what stands in the way.
	said string
}

// New returns a registrar that has done nothing yet.
func New(config Config) (*Registrar, error) {
	client, err := kubernetes.NewForConfig(config.Host)
	if err != nil {
		return nil, err
	}
	objects, err := dynamic.NewForConfig(config.Host)
	if err != nil {
		return nil, err
	}
	r := &Registrar{config: config, client: client, objects: objects, wake: make(chan struct{}, 1)}
	if config.Authorities != nil {
		config.Authorities.AddListener(listener(r.lookAgain))
	}
	return r, nil
}

// ServingCertificate returns the certificate of the Secret, which changes with
// it. It is empty before AwaitCertificate has returned.
func (r *Registrar) ServingCertificate() *ServingCertificate { return &r.serving }

// AwaitCertificate returns when there is a certificate to serve with. Until then
// it logs why there is none. It fails only when ctx ends.
func (r *Registrar) AwaitCertificate(ctx context.Context) error {
	backoff := passBackoff
	for {
		bounded, cancel := context.WithTimeout(ctx, passTimeout)
		_, err := r.followSecret(bounded)
		cancel()
		if !r.serving.empty() {
			// What else is wrong is told and mended by Run.
			return nil
		}
		delay := backoff.Step()
		klog.FromContext(ctx).Error(err, "There is no serving certificate yet, trying again", "in", delay.Round(time.Second))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(delay):
		}
	}
}

// Run registers the server and keeps the registration and the certificate right
// until ctx ends.
func (r *Registrar) Run(ctx context.Context) {
	follow(ctx, r.objects, apiServices, metav1.NamespaceAll, apiServiceName, r.lookAgain)
	if r.config.Validity > 0 {
		follow(ctx, r.objects, secrets, r.config.Service.Namespace, SecretName, r.lookAgain)
	}
	if r.config.TargetPort > 0 {
		follow(ctx, r.objects, services, r.config.Service.Namespace, r.config.Service.Name, r.lookAgain)
	}
	backoff := passBackoff
	for {
		next, err := r.pass(ctx)
		if err != nil {
			next = backoff.Step()
			klog.FromContext(ctx).Error(err, "The registration with the host failed, trying again", "in", next.Round(time.Second))
		} else {
			backoff = passBackoff
		}
		timer := time.NewTimer(max(next, pause))
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// pass puts every object right, the Secret first, and returns after how long to
// look again though nothing has changed.
func (r *Registrar) pass(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()

	var errs []error
	next := regardless
	var bundle []byte
	var m *material
	if r.config.Validity > 0 {
		var err error
		if m, err = r.followSecret(ctx); err != nil {
			errs = append(errs, err)
		}
		if m != nil {
			bundle = m.bundle()
			// While a new authority settles, the renewal is overdue.
			next = min(next, max(time.Until(m.nextRenewal(r.config.Validity)), r.settling()/4))
		}
	} else if r.config.Authorities != nil {
		bundle = r.config.Authorities.CurrentCABundleContent()
	}

	var inTheWay []error
	if r.config.TargetPort > 0 {
		inTheWay = append(inTheWay, r.keepService(ctx))
	}
	if m != nil || r.config.Validity == 0 {
		err := r.keepAPIService(ctx, bundle)
		if err == nil && m != nil {
			r.carries(m.authority())
		}
		inTheWay = append(inTheWay, err)
	}
	var refusals []error
	for _, err := range inTheWay {
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			refusals = append(refusals, err)
		case errors.Is(err, errRaced):
			next = 0
		case err != nil:
			errs = append(errs, err)
		}
	}
	r.say(ctx, utilerrors.NewAggregate(refusals))
	if len(refusals) > 0 {
		next = min(next, refusedPeriod)
	}
	return next, utilerrors.NewAggregate(errs)
}

// errRaced means that somebody else has written in the same moment, such as
// another replica: what is right has to be found out again.
var errRaced = errors.New("the object has changed meanwhile")

// refusal is what a person has to decide. It is logged once.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// say logs what stands in the way of the registration when that has changed.
func (r *Registrar) say(ctx context.Context, err error) {
	var message string
	if err != nil {
		message = err.Error()
	}
	if message == r.said {
		return
	}
	r.said = message
	if err == nil {
		klog.FromContext(ctx).Info("Nothing prevents the registration any more")
		return
	}
	klog.FromContext(ctx).Error(err, "The server cannot register itself")
}

// carries notes that the APIService has the authority.
func (r *Registrar) carries(authority *x509.Certificate) {
	if r.carried.authority == nil || !r.carried.authority.Equal(authority) {
		r.carried.authority, r.carried.since = authority, time.Now()
	}
}

// trusted reports whether the APIService has had the authority for long enough.
func (r *Registrar) trusted(authority *x509.Certificate) bool {
	return r.carried.authority != nil && r.carried.authority.Equal(authority) && time.Since(r.carried.since) >= r.settling()
}

func (r *Registrar) settling() time.Duration { return min(maxSettling, r.config.Validity/10) }

var (
	secrets                   = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	services                  = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	apiServices               = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	customResourceDefinitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

func (r *Registrar) lookAgain() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// listener makes a function a listener.
type listener func()

// Enqueue calls the function.
func (l listener) Enqueue() { l() }

// ServingCertificate is a certificate that can change while it is served. It
// implements dynamiccertificates.CertKeyContentProvider.
type ServingCertificate struct {
	mu               sync.RWMutex
	certificate, key []byte
	listeners        []dynamiccertificates.Listener
}

var _ dynamiccertificates.CertKeyContentProvider = &ServingCertificate{}

// Name says where the certificate comes from.
func (c *ServingCertificate) Name() string { return "the Secret " + SecretName }

// CurrentCertKeyContent returns the certificate and its key in PEM.
func (c *ServingCertificate) CurrentCertKeyContent() (certificate, key []byte) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.certificate, c.key
}

// AddListener has the listener told of every change.
func (c *ServingCertificate) AddListener(listener dynamiccertificates.Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, listener)
}

func (c *ServingCertificate) empty() bool {
	certificate, _ := c.CurrentCertKeyContent()
	return certificate == nil
}

func (c *ServingCertificate) set(certificate, key []byte) {
	c.mu.Lock()
	changed := !bytes.Equal(c.certificate, certificate) || !bytes.Equal(c.key, key)
	c.certificate, c.key = certificate, key
	listeners := c.listeners
	c.mu.Unlock()
	if !changed {
		return
	}
	for _, listener := range listeners {
		listener.Enqueue()
	}
}
