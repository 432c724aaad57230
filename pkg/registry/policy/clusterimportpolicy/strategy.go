// Package clusterimportpolicy holds what is peculiar to the life of a
// ClusterImportPolicy in storage.
package clusterimportpolicy

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/validation"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/caller"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/deletion"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/finalizers"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// Strategy is how policies are created, updated and deleted.
type Strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
}

var (
	_ rest.RESTCreateStrategy              = Strategy{}
	_ rest.RESTUpdateStrategy              = Strategy{}
	_ rest.RESTDeleteStrategy              = Strategy{}
	_ rest.GarbageCollectionDeleteStrategy = Strategy{}
	_ rest.ResetFieldsStrategy             = Strategy{}
)

// NewStrategy returns the strategy for the types that typer knows.
func NewStrategy(typer runtime.ObjectTyper) Strategy {
	return Strategy{ObjectTyper: typer, NameGenerator: names.SimpleNameGenerator}
}

// NamespaceScoped is false: a policy speaks of the whole host.
func (Strategy) NamespaceScoped() bool { return false }

// GetResetFields returns the fields that a write of the policy cannot set.
func (Strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(policyv1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("status"),
		),
	}
}

// PrepareForCreate starts the first generation, of which nothing is known yet. The
// finalizer is there from the first write on, so that no deletion can overtake it.
func (Strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	created := obj.(*policy.ClusterImportPolicy)
	created.Generation = 1
	created.Status = policy.ClusterImportPolicyStatus{Conditions: policyv1alpha1.NewConditions(created.Generation, metav1.Now())}
	finalizers.Begin(ctx, &created.ObjectMeta)
}

// PrepareForUpdate keeps the status and starts a new generation when the spec
// means something else.
func (Strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	updated, stored := obj.(*policy.ClusterImportPolicy), old.(*policy.ClusterImportPolicy)
	updated.Status = stored.Status
	finalizers.Keep(ctx, &updated.ObjectMeta, &stored.ObjectMeta)
	deletion.KeepOrphaning(&updated.ObjectMeta, &stored.ObjectMeta)
	if !apiequality.Semantic.DeepEqual(updated.Spec, stored.Spec) {
		updated.Generation = stored.Generation + 1
	}
}

// Validate checks the structure of a new policy and compiles its templates.
func (Strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	created := obj.(*policy.ClusterImportPolicy)
	errs := append(validation.ValidateClusterImportPolicy(created), validateRelease(created, &policy.ClusterImportPolicy{})...)
	return withCompilation(errs, &created.Spec)
}

// ValidateUpdate checks a changed policy. A spec that stays is not compiled.
func (Strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	updated, stored := obj.(*policy.ClusterImportPolicy), old.(*policy.ClusterImportPolicy)
	errs := append(validation.ValidateClusterImportPolicyUpdate(updated, stored), validateRelease(updated, stored)...)
	if apiequality.Semantic.DeepEqual(updated.Spec, stored.Spec) {
		return errs
	}
	return withCompilation(errs, &updated.Spec)
}

// validateRelease refuses to release removals other than those that are held now:
// who releases them has seen them.
func validateRelease(updated, stored *policy.ClusterImportPolicy) field.ErrorList {
	release := updated.Annotations[policyv1alpha1.ReleasePruneAnnotation]
	if release == stored.Annotations[policyv1alpha1.ReleasePruneAnnotation] {
		return nil
	}
	plan := ""
	if stored.Status.Prune != nil {
		plan = stored.Status.Prune.Plan
	}
	path := field.NewPath("metadata", "annotations").Key(policyv1alpha1.ReleasePruneAnnotation)
	switch {
	case release == "" || release == plan:
		return nil
	case plan == "":
		return field.ErrorList{field.Invalid(path, release, "no removal is held")}
	default:
		return field.ErrorList{field.Invalid(path, release, fmt.Sprintf(
			"what is held now is plan %q: look at the lifecycles in the phase Held, then release that", plan))}
	}
}

// withCompilation adds what compilation finds wrong with the fields that errs
// does not complain of already.
func withCompilation(errs field.ErrorList, spec *policy.ClusterImportPolicySpec) field.ErrorList {
	var versioned policyv1alpha1.ClusterImportPolicySpec
	if err := policyv1alpha1.Convert_policy_ClusterImportPolicySpec_To_v1alpha1_ClusterImportPolicySpec(spec, &versioned, nil); err != nil {
		return append(errs, field.InternalError(field.NewPath("spec"), err))
	}
	reported := sets.New[string]()
	for _, err := range errs {
		reported.Insert(err.Field)
	}
	_, compileErrs := render.Compile(&versioned)
	for _, err := range compileErrs {
		if !reported.Has(err.Field) {
			errs = append(errs, err)
		}
	}
	return errs
}

// WarningsOnCreate are about what the spec alone tells; the storage adds what
// only the host can tell.
func (Strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return warnings(&obj.(*policy.ClusterImportPolicy).Spec)
}

// WarningsOnUpdate has none about a spec that stays.
func (s Strategy) WarningsOnUpdate(ctx context.Context, obj, old runtime.Object) []string {
	updated, stored := obj.(*policy.ClusterImportPolicy), old.(*policy.ClusterImportPolicy)
	if apiequality.Semantic.DeepEqual(updated.Spec, stored.Spec) {
		return nil
	}
	return s.WarningsOnCreate(ctx, obj)
}

// Canonicalize has nothing to do.
func (Strategy) Canonicalize(runtime.Object) {}

// AllowCreateOnUpdate is false: a PUT needs an object. Server-side apply
// creates all the same.
func (Strategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate is true, as for built-in kinds.
func (Strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// DefaultGarbageCollectionPolicy keeps the finalizers of the host's garbage
// collector away: deletion is the business of our own finalizer, which knows
// of deletionPolicy and suspend.
func (Strategy) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	return rest.Unsupported
}

// StatusStrategy is how the status subresource is updated.
type StatusStrategy struct {
	Strategy
}

var (
	_ rest.RESTUpdateStrategy  = StatusStrategy{}
	_ rest.ResetFieldsStrategy = StatusStrategy{}
)

// NewStatusStrategy returns the strategy of the status beside that of the object.
func NewStatusStrategy(strategy Strategy) StatusStrategy {
	return StatusStrategy{Strategy: strategy}
}

// GetResetFields returns the fields that a write of the status cannot set.
func (StatusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(policyv1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("metadata"),
			fieldpath.MakePathOrDie("spec"),
		),
	}
}

// PrepareForUpdate keeps everything but the status, and that too unless this
// server writes it.
func (StatusStrategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	updated, stored := obj.(*policy.ClusterImportPolicy), old.(*policy.ClusterImportPolicy)
	updated.Spec = stored.Spec
	if !caller.IsThisServer(ctx) {
		updated.Status = stored.Status
	}
	metav1.ResetObjectMetaForStatus(&updated.ObjectMeta, &stored.ObjectMeta)
}

// ValidateUpdate checks the status.
func (StatusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateClusterImportPolicyStatusUpdate(obj.(*policy.ClusterImportPolicy), old.(*policy.ClusterImportPolicy))
}
