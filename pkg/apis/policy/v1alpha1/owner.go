package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ControllingPolicy returns the reference to the policy that controls a lifecycle, the zero
// value when none does: a controller that is no policy of this API group, in whatever version,
// does not count.
func ControllingPolicy(lifecycle metav1.Object) metav1.OwnerReference {
	for _, owner := range lifecycle.GetOwnerReferences() {
		if owner.Controller == nil || !*owner.Controller {
			continue
		}
		if version, err := schema.ParseGroupVersion(owner.APIVersion); err == nil && version.Group == GroupName && owner.Kind == "ClusterImportPolicy" {
			return owner
		}
		break // an object has one controller
	}
	return metav1.OwnerReference{}
}
