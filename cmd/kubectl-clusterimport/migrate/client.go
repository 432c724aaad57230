package migrate

import (
	"errors"

	"k8s.io/client-go/discovery"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	authorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/migration"
)

// Client is what a migration needs of kubernetes.Interface. The clients of all other
// groups would make the plugin a sixth larger.
type Client interface {
	migration.Client
	AppsV1() appsv1.AppsV1Interface
	AuthorizationV1() authorizationv1.AuthorizationV1Interface
	CoordinationV1() coordinationv1.CoordinationV1Interface
	Discovery() discovery.DiscoveryInterfaces
}

type client struct {
	apps          *appsv1.AppsV1Client
	authorization *authorizationv1.AuthorizationV1Client
	coordination  *coordinationv1.CoordinationV1Client
	core          *corev1.CoreV1Client
	discovery     *discovery.DiscoveryClient
}

// NewClient returns a client for the host.
func NewClient(host *rest.Config) (Client, error) {
	var c client
	var errs [5]error
	c.apps, errs[0] = appsv1.NewForConfig(host)
	c.authorization, errs[1] = authorizationv1.NewForConfig(host)
	c.coordination, errs[2] = coordinationv1.NewForConfig(host)
	c.core, errs[3] = corev1.NewForConfig(host)
	c.discovery, errs[4] = discovery.NewDiscoveryClientForConfig(host)
	return c, errors.Join(errs[:]...)
}

func (c client) AppsV1() appsv1.AppsV1Interface                            { return c.apps }
func (c client) AuthorizationV1() authorizationv1.AuthorizationV1Interface { return c.authorization }
func (c client) CoordinationV1() coordinationv1.CoordinationV1Interface    { return c.coordination }
func (c client) CoreV1() corev1.CoreV1Interface                            { return c.core }
func (c client) Discovery() discovery.DiscoveryInterfaces                  { return c.discovery }
