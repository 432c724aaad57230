package validation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

// maxRendered is the most Sources that one answer is asked to hold.
const maxRendered = 500

// ValidateRenderReview checks what is asked about a policy with that spec.
func ValidateRenderReview(review *policy.RenderReview, rendered *policy.ClusterImportPolicySpec) field.ErrorList {
	spec, path := &review.Spec, field.NewPath("spec")
	errs := validateGivenReferences(spec.References, rendered, path.Child("references"))
	if spec.Source != nil && spec.Source.Name == "" {
		errs = append(errs, field.Required(path.Child("source", "name"), "the name of the Source; leave spec.source out to ask for all"))
	}
	if spec.Source != nil && spec.SourceObject != nil {
		errs = append(errs, field.Forbidden(path.Child("sourceObject"), "spec.source names one already"))
	}
	if spec.Limit < 0 || spec.Limit > maxRendered {
		errs = append(errs, field.Invalid(path.Child("limit"), spec.Limit, fmt.Sprintf("must be between 0, which is the default, and %d", maxRendered)))
	}
	if spec.Source == nil && spec.SourceObject == nil {
		return errs
	}
	return append(errs, forbidPaging(spec, path, "there is one Source only")...)
}

// ValidateLifecycleRenderReview checks what is asked about a lifecycle of a
// policy with that spec.
func ValidateLifecycleRenderReview(review *policy.RenderReview, rendered *policy.ClusterImportPolicySpec) field.ErrorList {
	const why = "a lifecycle is the import of one Source under one policy: render the policy to ask about others"
	spec, path := &review.Spec, field.NewPath("spec")
	errs := validateGivenReferences(spec.References, rendered, path.Child("references"))
	if spec.Source != nil {
		errs = append(errs, field.Forbidden(path.Child("source"), why))
	}
	if spec.SourceObject != nil {
		errs = append(errs, field.Forbidden(path.Child("sourceObject"), why))
	}
	if spec.Policy != nil {
		errs = append(errs, field.Forbidden(path.Child("policy"), why))
	}
	return append(errs, forbidPaging(spec, path, why)...)
}

func forbidPaging(spec *policy.RenderReviewSpec, path *field.Path, why string) (errs field.ErrorList) {
	if spec.Limit != 0 {
		errs = append(errs, field.Forbidden(path.Child("limit"), why))
	}
	if spec.Continue != "" {
		errs = append(errs, field.Forbidden(path.Child("continue"), why))
	}
	return errs
}

func validateGivenReferences(given []policy.ReferenceObject, rendered *policy.ClusterImportPolicySpec, path *field.Path) (errs field.ErrorList) {
	keys, seen := make([]string, 0, len(rendered.References)), sets.New[string]()
	for _, ref := range rendered.References {
		keys = append(keys, ref.Key)
	}
	known := sets.New(keys...)
	for i, ref := range given {
		switch at := path.Index(i).Child("key"); {
		case seen.Has(ref.Key):
			errs = append(errs, field.Duplicate(at, ref.Key))
		case !known.Has(ref.Key):
			errs = append(errs, field.NotSupported(at, ref.Key, keys))
		}
		seen.Insert(ref.Key)
	}
	return errs
}
