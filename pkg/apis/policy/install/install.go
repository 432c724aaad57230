// Package install registers every version of the policy.clusterpedia.io API.
package install

import (
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Install registers the internal and the published versions with the scheme.
func Install(scheme *runtime.Scheme) {
	utilruntime.Must(policy.AddToScheme(scheme))
	utilruntime.Must(policyv1alpha1.AddToScheme(scheme))
	utilruntime.Must(scheme.SetVersionPriority(policyv1alpha1.SchemeGroupVersion))
}
