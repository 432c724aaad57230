package review

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/clusterpedia-io/policy-apiserver/pkg/hostschemas"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/typecheck"
	"github.com/clusterpedia-io/policy-apiserver/pkg/rights"
)

// Host is what is read of the host cluster. It reads with the server's own
// credentials: whether the caller may see it is asked before.
type Host interface {
	// Resolve negotiates the version of a type. The error is a *NotServedError
	// when the host serves none that would do.
	Resolve(ctx context.Context, name schema.GroupResource, versions []string) (Type, error)
	// ObjectType returns the type of the objects of a resource. The error says why it
	// is not known.
	ObjectType(ctx context.Context, resource schema.GroupVersionResource) (*typecheck.Object, error)
	// Permitted asks whether this server may read the objects of a type in all
	// namespaces. The error is a *rights.Error when it may not.
	Permitted(ctx context.Context, resource schema.GroupResource) error
	// Get returns nil when there is no such object.
	Get(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error)
	// List returns a page of the objects of all namespaces.
	List(ctx context.Context, resource schema.GroupVersionResource, options metav1.ListOptions) (*unstructured.UnstructuredList, error)
	// Schema returns that of the host's PediaClusters, nil when it is not known.
	Schema(ctx context.Context) *render.Schema
}

// NewHost returns the host that the client configuration leads to.
func NewHost(config *rest.Config) (Host, error) {
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("a client for objects of the host: %w", err)
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("a client for the types of the host: %w", err)
	}
	authorization, err := authorizationclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("a client for the rights of this server: %w", err)
	}
	published, err := hostschemas.New(config)
	if err != nil {
		return nil, err
	}
	return &host{typeCache: newTypeCache(discoverer), published: published, objects: objects, reviews: authorization.SelfSubjectAccessReviews()}, nil
}

type host struct {
	*typeCache
	published *hostschemas.Schemas
	objects   dynamic.Interface
	reviews   authorizationclient.SelfSubjectAccessReviewInterface
	schemas   render.SchemaCache
}

func (h *host) Schema(ctx context.Context) *render.Schema {
	definition, err := h.Get(ctx, render.DefinitionGVR, "", render.PediaClusterDefinition)
	if definition == nil || err != nil {
		return nil // on a host that answers nothing, or has another kind of PediaClusters
	}
	compiled, err := h.schemas.Of(definition)
	if err != nil {
		klog.FromContext(ctx).Error(err, "The PediaCluster CRD is not used to validate PediaClusters")
	}
	return compiled
}

func (h *host) ObjectType(ctx context.Context, resource schema.GroupVersionResource) (*typecheck.Object, error) {
	index, err := h.published.Index(ctx)
	if err != nil {
		return nil, err
	}
	return index.Object(ctx, resource)
}

func (h *host) Permitted(ctx context.Context, resource schema.GroupResource) error {
	return rights.Check(ctx, rights.Self(h.reviews), resource)
}

func (h *host) Get(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	object, err := h.objects.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return object, err
}

func (h *host) List(ctx context.Context, resource schema.GroupVersionResource, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	return h.objects.Resource(resource).List(ctx, options)
}
