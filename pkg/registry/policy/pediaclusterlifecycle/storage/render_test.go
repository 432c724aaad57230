package storage

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
)

// getter has one object.
type getter struct {
	name   string
	object runtime.Object
}

func (g getter) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if name != g.name {
		return nil, apierrors.NewNotFound(policy.Resource("things"), name)
	}
	return g.object, nil
}

// What reaches the reviewer is tested there; here is what is refused before.
func TestALifecycleIsRenderedUnderItsPolicy(t *testing.T) {
	controller := true
	lifecycle := &policy.PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{Name: "mcp-one", UID: "uid",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "ClusterImportPolicy", Name: "mcp", Controller: &controller}}}}
	lifecycles := getter{"mcp-one", lifecycle}
	policies := getter{"mcp", &policy.ClusterImportPolicy{}}
	for name, test := range map[string]struct {
		policies getter
		name     string
		review   policy.RenderReview
		is       func(error) bool
		want     string
	}{
		"no such lifecycle": {policies, "else", policy.RenderReview{}, apierrors.IsNotFound, "else"},
		"its policy went":   {getter{}, "mcp-one", policy.RenderReview{}, apierrors.IsNotFound, "mcp"},
		"another Source": {policies, "mcp-one", policy.RenderReview{Spec: policy.RenderReviewSpec{Source: &policy.SourceName{Name: "two"}}},
			apierrors.IsInvalid, "spec.source"},
		"another UID": {policies, "mcp-one", policy.RenderReview{ObjectMeta: metav1.ObjectMeta{UID: "else"}}, apierrors.IsConflict, "UID"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewRenderREST(lifecycles, test.policies, review.New(nil, nil, nil)).Create(t.Context(), test.name, &test.review, nil, nil)
			if err == nil || !test.is(err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want one about %q", err, test.want)
			}
		})
	}
}
