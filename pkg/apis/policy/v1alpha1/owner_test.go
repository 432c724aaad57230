package v1alpha1

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestControllingPolicy(t *testing.T) {
	yes, no := true, false
	policy := metav1.OwnerReference{APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "ClusterImportPolicy", Name: "mcp", UID: "p", Controller: &yes}
	change := func(f func(*metav1.OwnerReference)) metav1.OwnerReference {
		changed := policy
		f(&changed)
		return changed
	}
	for name, test := range map[string]struct {
		owners []metav1.OwnerReference
		name   string
	}{
		"a policy":               {[]metav1.OwnerReference{{Kind: "Other"}, policy}, "mcp"},
		"in another version":     {[]metav1.OwnerReference{change(func(o *metav1.OwnerReference) { o.APIVersion = "policy.clusterpedia.io/v2" })}, "mcp"},
		"nobody":                 {nil, ""},
		"an owner alone":         {[]metav1.OwnerReference{change(func(o *metav1.OwnerReference) { o.Controller = &no })}, ""},
		"another kind":           {[]metav1.OwnerReference{change(func(o *metav1.OwnerReference) { o.Kind = "X" })}, ""},
		"another group":          {[]metav1.OwnerReference{change(func(o *metav1.OwnerReference) { o.APIVersion = "v1" })}, ""},
		"a version that is none": {[]metav1.OwnerReference{change(func(o *metav1.OwnerReference) { o.APIVersion = "a/b/c" })}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			lifecycle := &PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{OwnerReferences: test.owners}}
			if owner := ControllingPolicy(lifecycle); owner.Name != test.name {
				t.Errorf("it is %+v", owner)
			}
		})
	}
}
