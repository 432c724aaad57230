package hostobjects

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

const (
	// permissionPeriod is how often something is tried again that the host forbids.
	permissionPeriod = 5 * time.Second
	// firstPermissionPeriod is after how long at first: a ClusterRole that is applied
	// together with a policy takes a moment to be aggregated.
	firstPermissionPeriod = 500 * time.Millisecond
)

// untilPermitted tries lists and watches again as long as the host forbids them. A
// reflector would do so itself, but it waits for up to a minute between two attempts,
// and a right that somebody has just given should count within seconds.
//
// A type is not listed before permitted says that nothing is missing: the rights to
// list and watch alone would bring objects into the cache that cannot be read.
func untilPermitted(health *health, permitted func(context.Context) error, requests *cache.ListWatch) *cache.ListWatch {
	forbidden := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		if err := permitted(ctx); apierrors.IsForbidden(err) {
			return err
		}
		return nil // if it is not known, the request itself tells
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return whileForbidden(ctx, func() (runtime.Object, error) {
				if err := forbidden(ctx); err != nil {
					health.refuse(err)
					return nil, err
				}
				return requests.ListWithContextFunc(ctx, options)
			})
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			if options.SendInitialEvents != nil && *options.SendInitialEvents {
				// A list follows when this fails.
				if err := forbidden(ctx); err != nil {
					return nil, err
				}
				return requests.WatchFuncWithContext(ctx, options)
			}
			return whileForbidden(ctx, func() (watch.Interface, error) { return requests.WatchFuncWithContext(ctx, options) })
		},
	}
}

// whileForbidden sends a request again as long as its error is Forbidden and the
// context has not ended.
func whileForbidden[T any](ctx context.Context, request func() (T, error)) (T, error) {
	for pause := firstPermissionPeriod; ; pause = min(2*pause, permissionPeriod) {
		result, err := request()
		if !apierrors.IsForbidden(err) {
			return result, err
		}
		select {
		case <-ctx.Done():
			return result, err
		case <-time.After(pause):
		}
	}
}
