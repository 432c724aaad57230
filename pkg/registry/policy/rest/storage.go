// Package rest puts the storage of the policy.clusterpedia.io API together.
package rest

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/author"
	policystorage "github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/clusterimportpolicy/storage"
	lifecyclestorage "github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/pediaclusterlifecycle/storage"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
)

// Host is where policies find their Sources, and who knows what callers may
// read there.
type Host struct {
	review.Host
	Authorizer authorizer.UnconditionalAuthorizer
	// AuthorCheck is what becomes of policies whose authors lack permissions there.
	AuthorCheck author.Mode
}

// Storage is the API group with its endpoints, ready to be installed, and what
// tells its storage from every other.
type Storage struct {
	Group    *genericapiserver.APIGroupInfo
	Identity *Identity
	Importer *Importer
	// Lifecycles are those of the group, for the controllers of this process.
	Lifecycles *lifecyclestorage.InProcess
}

// NewStorage returns the storage that optsGetter describes. No request lives
// longer than requestTimeout. Without a host, which may be nil, nothing is
// rendered, and authors are not checked.
func NewStorage(scheme *runtime.Scheme, codecs serializer.CodecFactory, optsGetter generic.RESTOptionsGetter,
	requestTimeout time.Duration, host *Host) (*Storage, error) {
	policies, err := policystorage.NewStorage(scheme, optsGetter, requestTimeout)
	if err != nil {
		return nil, fmt.Errorf("storage of policies: %w", err)
	}
	lifecycles, err := lifecyclestorage.NewStorage(scheme, optsGetter)
	if err != nil {
		return nil, fmt.Errorf("storage of lifecycles: %w", err)
	}
	policies.ClusterImportPolicy.Imports = lifecycles.PediaClusterLifecycle.CountOf
	identity, err := newIdentity(optsGetter)
	if err != nil {
		return nil, fmt.Errorf("storage of its identity: %w", err)
	}

	endpoints := map[string]rest.Storage{
		"clusterimportpolicies":         policies.ClusterImportPolicy,
		"clusterimportpolicies/status":  policies.Status,
		"pediaclusterlifecycles":        lifecycles.PediaClusterLifecycle,
		"pediaclusterlifecycles/status": lifecycles.Status,
	}
	if host != nil {
		reviewer := review.New(host.Host, host.Authorizer, lifecycles.PediaClusterLifecycle)
		policies.ClusterImportPolicy.Warnings = reviewer.Warnings
		policies.ClusterImportPolicy.Authors = author.New(host.Authorizer, host.AuthorCheck)
		endpoints["clusterimportpolicies/render"] = policystorage.NewRenderREST(scheme, policies.ClusterImportPolicy, reviewer)
		endpoints["pediaclusterlifecycles/render"] = lifecyclestorage.NewRenderREST(
			lifecycles.PediaClusterLifecycle, policies.ClusterImportPolicy, reviewer)
	}

	group := genericapiserver.NewDefaultAPIGroupInfo(policy.GroupName, scheme, runtime.NewParameterCodec(scheme), codecs)
	group.VersionedResourcesStorageMap[policyv1alpha1.SchemeGroupVersion.Version] = endpoints
	importer := newImporter(codecs, policies.ClusterImportPolicy.Store, lifecycles.PediaClusterLifecycle.Store)
	return &Storage{Group: &group, Identity: identity, Importer: importer, Lifecycles: lifecycles.NewInProcess(requestTimeout)}, nil
}
