package storage

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/claim"
)

// releaseTimeout bounds a release. One that fails is made up for by the age of
// the claim.
const releaseTimeout = 5 * time.Second

// claimant claims the Sources of a policy when all else is found valid.
type claimant struct {
	claims *claim.Claims
	dryRun bool
	taken  *policy.ClusterImportPolicy
}

func (c *claimant) beforeCreate(validate rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	return func(ctx context.Context, obj runtime.Object) error {
		if err := validate(ctx, obj); err != nil {
			return err
		}
		return c.take(ctx, obj)
	}
}

// beforeUpdate claims again when the policy loses its selectorTemplate: it then
// wants the Sources of others. When it gets one it wants less, and what it claimed
// before counts no more.
func (c *claimant) beforeUpdate(validate rest.ValidateObjectUpdateFunc) rest.ValidateObjectUpdateFunc {
	return func(ctx context.Context, obj, old runtime.Object) error {
		if err := validate(ctx, obj, old); err != nil {
			return err
		}
		after, before := obj.(*policy.ClusterImportPolicy), old.(*policy.ClusterImportPolicy)
		selects, selected := after.Spec.Source.SelectorTemplate != "", before.Spec.Source.SelectorTemplate != ""
		switch {
		case selects == selected, selects && c.dryRun:
			return nil
		case selects:
			return c.claims.Release(ctx, before)
		default:
			return c.take(ctx, obj)
		}
	}
}

func (c *claimant) take(ctx context.Context, obj runtime.Object) error {
	claiming := obj.(*policy.ClusterImportPolicy)
	if c.taken != nil && c.taken.UID != claiming.UID { // another try for a generated name
		release(ctx, c.claims, c.taken)
		c.taken = nil
	}
	if err := c.claims.Take(ctx, claiming, c.dryRun); err != nil {
		return err
	}
	if !c.dryRun {
		c.taken = claiming
	}
	return nil
}

// conclude gives the claim back when the write that it was for was refused. After
// any other error the policy may come all the same.
func (c *claimant) conclude(ctx context.Context, err error) {
	refused := apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err)
	if refused && c.taken != nil {
		release(context.WithoutCancel(ctx), c.claims, c.taken)
	}
}

func release(ctx context.Context, claims *claim.Claims, holder *policy.ClusterImportPolicy) {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	if err := claims.Release(ctx, holder); err != nil {
		utilruntime.HandleErrorWithContext(ctx, err, "Releasing the claim of a policy", "policy", holder.Name)
	}
}
