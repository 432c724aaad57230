// Package caller tells this server, which writes to its own API, from everybody
// else who does. The registries of both kinds call it.
package caller

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// IsThisServer reports whether the request came through the loopback client,
// which the controllers use.
func IsThisServer(ctx context.Context) bool {
	requester, ok := genericapirequest.UserFrom(ctx)
	return ok && requester.GetName() == user.APIServerUser
}
