package storage

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

// authoredCreate checks the author of a new policy that is found valid.
func (r *REST) authoredCreate(validate rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	if r.Authors == nil {
		return validate
	}
	return func(ctx context.Context, obj runtime.Object) error {
		if err := validate(ctx, obj); err != nil {
			return err
		}
		return r.Authors.CheckCreate(ctx, obj.(*policy.ClusterImportPolicy))
	}
}

// authoredUpdate does the same for a changed one.
func (r *REST) authoredUpdate(validate rest.ValidateObjectUpdateFunc) rest.ValidateObjectUpdateFunc {
	if r.Authors == nil {
		return validate
	}
	return func(ctx context.Context, obj, old runtime.Object) error {
		if err := validate(ctx, obj, old); err != nil {
			return err
		}
		return r.Authors.CheckUpdate(ctx, obj.(*policy.ClusterImportPolicy), old.(*policy.ClusterImportPolicy))
	}
}
