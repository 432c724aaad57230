package pediaclusterlifecycle

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Identity is what the storage would otherwise choose for a new lifecycle. The controllers
// choose it before: what templates render may depend on it, and the status of what they render
// is stored with the creation.
type Identity struct {
	UID               types.UID
	CreationTimestamp metav1.Time
}

type identityKey struct{}

// WithIdentity has a creation store that identity. No request from outside this process can.
func WithIdentity(ctx context.Context, identity Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, identity)
}

func identityFrom(ctx context.Context) (Identity, bool) {
	identity, ok := ctx.Value(identityKey{}).(Identity)
	return identity, ok
}
