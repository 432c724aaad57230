package deletion

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestOnlyADeletionThatOrphansIsAnnotated(t *testing.T) {
	for name, test := range map[string]struct {
		options *metav1.DeleteOptions
		want    string
	}{
		"no options":   {nil, ""},
		"by default":   {&metav1.DeleteOptions{}, ""},
		"background":   {&metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}, ""},
		"foreground":   {&metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}, ""},
		"orphan":       {&metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}, "true"},
		"the old way":  {&metav1.DeleteOptions{OrphanDependents: ptr.To(true)}, "true"},
		"its contrary": {&metav1.DeleteOptions{OrphanDependents: ptr.To(false)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			obj := &policy.ClusterImportPolicy{}
			if err := RecordOrphaning(rest.ValidateAllObjectFunc, test.options)(context.Background(), obj); err != nil {
				t.Fatal(err)
			}
			if got := obj.Annotations[policyv1alpha1.OrphanAnnotation]; got != test.want {
				t.Errorf("annotation %q, want %q", got, test.want)
			}
		})
	}
}

func TestADeletionThatIsRefusedChangesNothing(t *testing.T) {
	refuse := func(context.Context, runtime.Object) error { return errors.New("no") }
	obj := &policy.ClusterImportPolicy{}
	options := &metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}
	if err := RecordOrphaning(refuse, options)(context.Background(), obj); err == nil || len(obj.Annotations) > 0 {
		t.Errorf("%v, %v", err, obj.Annotations)
	}
}
