package storage

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/install"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
)

// storedPolicies has the policy "mcp".
type storedPolicies struct {
	spec policy.ClusterImportPolicySpec
}

func (s storedPolicies) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if name != "mcp" {
		return nil, apierrors.NewNotFound(policy.Resource("clusterimportpolicies"), name)
	}
	return &policy.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid", ResourceVersion: "1"}, Spec: s.spec}, nil
}

// What reaches the reviewer is tested there; here is what is refused before.
func TestAPolicyInAReviewIsToldWhatAWriteWouldBeTold(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	spec := policy.ClusterImportPolicySpec{
		Source:       policy.SourceType{Group: "cluster.mcp.io", Resource: "clusters"},
		NameTemplate: "x",
		Conversion:   policy.Conversion{Template: "x", CreationCondition: "true", DeletionPolicy: policy.DeletionPolicyDelete},
	}
	render := NewRenderREST(scheme, storedPolicies{spec}, review.New(nil, nil, nil))

	broken, moved := spec, spec
	broken.CreationCondition = "{{ nonsense }}"
	moved.Source.Resource = "others"
	for name, test := range map[string]struct {
		policyName string
		review     policy.RenderReview
		is         func(error) bool
		want       string
	}{
		"no such policy": {"else", policy.RenderReview{}, apierrors.IsNotFound, `"else" not found`},
		"a template that does not compile, of a policy that need not exist": {
			"else", policy.RenderReview{Spec: policy.RenderReviewSpec{Policy: &broken}}, apierrors.IsInvalid, "spec.policy.creationCondition"},
		"a name that cannot be one": {
			"Else", policy.RenderReview{Spec: policy.RenderReviewSpec{Policy: &spec}}, apierrors.IsInvalid, "metadata.name"},
		"another type of Source": {
			"mcp", policy.RenderReview{Spec: policy.RenderReviewSpec{Policy: &moved}}, apierrors.IsInvalid, "spec.policy.source.resource"},
		"a UID of a policy that does not exist": {
			"else", policy.RenderReview{ObjectMeta: metav1.ObjectMeta{UID: "uid"}, Spec: policy.RenderReviewSpec{Policy: &spec}}, apierrors.IsConflict, "UID"},
		"a reference that the policy does not have": {
			"mcp", policy.RenderReview{Spec: policy.RenderReviewSpec{References: []policy.ReferenceObject{{Key: "secret"}}}}, apierrors.IsInvalid, "spec.references[0].key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render.Create(t.Context(), test.policyName, &test.review, nil, nil)
			if err == nil || !test.is(err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want one about %q", err, test.want)
			}
		})
	}
}
