// Package rest puts the storage of the policy.clusterpedia.io API together.
package rest

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	policystorage "github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/clusterimportpolicy/storage"
	lifecyclestorage "github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/pediaclusterlifecycle/storage"
)

// NewAPIGroupInfo returns the group with its endpoints, ready to be installed.
func NewAPIGroupInfo(scheme *runtime.Scheme, codecs serializer.CodecFactory, optsGetter generic.RESTOptionsGetter) (*genericapiserver.APIGroupInfo, error) {
	policies, err := policystorage.NewStorage(scheme, optsGetter)
	if err != nil {
		return nil, fmt.Errorf("storage of policies: %w", err)
	}
	lifecycles, err := lifecyclestorage.NewStorage(scheme, optsGetter)
	if err != nil {
		return nil, fmt.Errorf("storage of lifecycles: %w", err)
	}

	group := genericapiserver.NewDefaultAPIGroupInfo(policy.GroupName, scheme, runtime.NewParameterCodec(scheme), codecs)
	group.VersionedResourcesStorageMap[policyv1alpha1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		"clusterimportpolicies":         policies.ClusterImportPolicy,
		"clusterimportpolicies/status":  policies.Status,
		"pediaclusterlifecycles":        lifecycles.PediaClusterLifecycle,
		"pediaclusterlifecycles/status": lifecycles.Status,
	}
	return &group, nil
}
