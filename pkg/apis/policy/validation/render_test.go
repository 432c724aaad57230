package validation

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

func TestValidateRenderReview(t *testing.T) {
	rendered := &policy.ClusterImportPolicySpec{References: []policy.ReferenceTemplate{
		{ReferenceTarget: policy.ReferenceTarget{Key: "secret"}}}}
	one := &policy.SourceName{Name: "one"}
	for name, test := range map[string]struct {
		spec              policy.RenderReviewSpec
		policy, lifecycle []string // the paths of the errors
	}{
		"empty": {policy.RenderReviewSpec{}, nil, nil},
		"a reference": {
			policy.RenderReviewSpec{References: []policy.ReferenceObject{{Key: "secret"}}, IncludeCredentials: true}, nil, nil},
		"unknown and repeated references": {
			policy.RenderReviewSpec{References: []policy.ReferenceObject{{Key: "secret"}, {Key: "secret"}, {Key: "else"}}},
			[]string{"spec.references[1].key", "spec.references[2].key"}, []string{"spec.references[1].key", "spec.references[2].key"}},
		"a page":        {policy.RenderReviewSpec{Limit: 500, Continue: "x"}, nil, []string{"spec.continue", "spec.limit"}},
		"a large page":  {policy.RenderReviewSpec{Limit: 501}, []string{"spec.limit"}, []string{"spec.limit"}},
		"a hollow page": {policy.RenderReviewSpec{Limit: -1}, []string{"spec.limit"}, []string{"spec.limit"}},
		"a page of one": {
			policy.RenderReviewSpec{Source: one, Limit: 1, Continue: "x"},
			[]string{"spec.continue", "spec.limit"}, []string{"spec.continue", "spec.limit", "spec.source"}},
		"two Sources": {
			policy.RenderReviewSpec{Source: one, SourceObject: &runtime.RawExtension{}},
			[]string{"spec.sourceObject"}, []string{"spec.source", "spec.sourceObject"}},
		"a Source without a name": {
			policy.RenderReviewSpec{Source: &policy.SourceName{Namespace: "a"}},
			[]string{"spec.source.name"}, []string{"spec.source"}},
		"another policy": {
			policy.RenderReviewSpec{Policy: rendered}, nil, []string{"spec.policy"}},
	} {
		t.Run(name, func(t *testing.T) {
			review := &policy.RenderReview{Spec: test.spec}
			if diff := cmp.Diff(test.policy, sortedPaths(ValidateRenderReview(review, rendered))); diff != "" {
				t.Errorf("of a policy: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(test.lifecycle, sortedPaths(ValidateLifecycleRenderReview(review, rendered))); diff != "" {
				t.Errorf("of a lifecycle: -want +got:\n%s", diff)
			}
		})
	}
}

func sortedPaths(errs field.ErrorList) (paths []string) {
	for _, err := range errs {
		paths = append(paths, err.Field)
	}
	slices.Sort(paths)
	return paths
}
