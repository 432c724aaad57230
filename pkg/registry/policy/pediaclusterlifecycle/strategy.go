// Package pediaclusterlifecycle holds what is peculiar to the life of a
// PediaClusterLifecycle in storage.
package pediaclusterlifecycle

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
)

// Strategy is how lifecycles are created, updated and deleted.
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

// NamespaceScoped is false: PediaClusters have no namespace either.
func (Strategy) NamespaceScoped() bool { return false }

// GetResetFields returns the fields that a write of the lifecycle cannot set.
func (Strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(policyv1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("status"),
		),
	}
}

// PrepareForCreate starts the first generation. The finalizer is there from the
// first write on, so that no deletion can overtake it. Only this server creates
// lifecycles, and it says in the same write what is known: the definition of the
// Source, by which a deletion is judged, and what the import waits for.
func (Strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	created := obj.(*policy.PediaClusterLifecycle)
	if !caller.IsThisServer(ctx) {
		created.Status = policy.PediaClusterLifecycleStatus{}
	}
	created.Generation = 1
	if identity, ok := identityFrom(ctx); ok {
		created.UID, created.CreationTimestamp = identity.UID, identity.CreationTimestamp
	}
	if len(created.Status.Conditions) == 0 {
		created.Status.Conditions = policyv1alpha1.NewConditions(created.Generation, metav1.Now())
	}
	finalizers.Begin(ctx, &created.ObjectMeta)
}

// PrepareForUpdate keeps the status and starts a new generation when the spec
// means something else. Of what anybody else writes, labels, annotations and
// finalizers remain, less those that belong to this server.
func (Strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	updated, stored := obj.(*policy.PediaClusterLifecycle), old.(*policy.PediaClusterLifecycle)
	updated.Status = stored.Status
	finalizers.Keep(ctx, &updated.ObjectMeta, &stored.ObjectMeta)
	deletion.KeepOrphaning(&updated.ObjectMeta, &stored.ObjectMeta)
	if !caller.IsThisServer(ctx) {
		updated.Spec = stored.Spec
		// The owner says which policy a lifecycle is of, by name and kind as well as
		// by UID: whoever changed a part of it could have another policy delete the
		// PediaCluster, or nobody see to it any more.
		updated.OwnerReferences = stored.OwnerReferences
		// It says who deletes the lifecycle: a person's deletion must not pass for one
		// of this server, which may delete the PediaCluster.
		deletion.KeepAnnotation(&updated.ObjectMeta, &stored.ObjectMeta, policyv1alpha1.RemovedAnnotation)
	}
	if !apiequality.Semantic.DeepEqual(updated.Spec, stored.Spec) {
		updated.Generation = stored.Generation + 1
	}
}

// Validate checks the structure of a new lifecycle. Its templates were
// compiled when the policy was written.
func (Strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidatePediaClusterLifecycle(obj.(*policy.PediaClusterLifecycle))
}

// ValidateUpdate checks a changed lifecycle.
func (Strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidatePediaClusterLifecycleUpdate(obj.(*policy.PediaClusterLifecycle), old.(*policy.PediaClusterLifecycle))
}

// WarningsOnCreate has none.
func (Strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate are about an annotation that does not pause the import, although its
// author probably meant that.
func (Strategy) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	updated, stored := obj.(*policy.PediaClusterLifecycle), old.(*policy.PediaClusterLifecycle)
	paused, set := updated.Annotations[policyv1alpha1.PausedAnnotation]
	if before, wasSet := stored.Annotations[policyv1alpha1.PausedAnnotation]; !set || wasSet && paused == before || paused == "true" || paused == "false" {
		return nil
	}
	path := field.NewPath("metadata", "annotations").Key(policyv1alpha1.PausedAnnotation)
	return []string{fmt.Sprintf("%s: %q has no effect: only \"true\" pauses the import", path, paused)}
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
	updated, stored := obj.(*policy.PediaClusterLifecycle), old.(*policy.PediaClusterLifecycle)
	updated.Spec = stored.Spec
	if !caller.IsThisServer(ctx) {
		updated.Status = stored.Status
	}
	metav1.ResetObjectMetaForStatus(&updated.ObjectMeta, &stored.ObjectMeta)
}

// ValidateUpdate checks the status.
func (StatusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidatePediaClusterLifecycleStatusUpdate(obj.(*policy.PediaClusterLifecycle), old.(*policy.PediaClusterLifecycle))
}
