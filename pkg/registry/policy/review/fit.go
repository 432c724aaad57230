package review

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/typecheck"
)

// mostUnfit is how many warnings there are of templates that do not fit the types
// that they read.
const mostUnfit = 10

// unfitWarnings are where templates do not fit the types that they read. They are
// warnings, since types change: a field may be about to come.
func (r *Reviewer) unfitWarnings(ctx context.Context, spec *policyv1alpha1.ClusterImportPolicySpec) (warnings []string) {
	compiled, errs := render.Compile(spec)
	if len(errs) > 0 {
		return nil
	}
	types := typecheck.Types{References: map[string]*typecheck.Object{}}
	types.Source = r.typeOf(ctx, schema.GroupResource{Group: spec.Source.Group, Resource: spec.Source.Resource}, spec.Source.Versions)
	for _, ref := range spec.References {
		types.References[ref.Key] = r.typeOf(ctx, schema.GroupResource{Group: ref.Group, Resource: ref.Resource}, ref.Versions)
	}
	findings := typecheck.Check(compiled, types)
	for i, finding := range findings {
		if i == mostUnfit {
			return append(warnings, fmt.Sprintf("spec: %d more like these", len(findings)-i))
		}
		warnings = append(warnings, finding.Error())
	}
	return warnings
}

// typeOf is the type of the objects of a resource, nil if it is not known.
func (r *Reviewer) typeOf(ctx context.Context, name schema.GroupResource, versions []string) *typecheck.Object {
	resolved, err := r.host.Resolve(ctx, name, versions)
	if err != nil {
		return nil // there is a warning of its own
	}
	object, err := r.host.ObjectType(ctx, resolved.GroupVersionResource)
	if err != nil {
		return nil
	}
	return object
}
