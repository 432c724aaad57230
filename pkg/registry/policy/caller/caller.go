// Package caller tells this server, which writes to its own API, from everybody
// else who does. The registries of both kinds call it.
package caller

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// IsThisServer reports whether the request came through the loopback client,
// which the controllers use. It asks for the group as well: the name alone can be
// had by everybody who may impersonate users or have certificates signed.
func IsThisServer(ctx context.Context) bool {
	requester, ok := genericapirequest.UserFrom(ctx)
	return ok && requester.GetName() == user.APIServerUser && slices.Contains(requester.GetGroups(), user.SystemPrivilegedGroup)
}

var errStatusIsOurs = errors.New("its status is written by this server alone: deletions and maxPrune are decided by what it says")

// AuthorizeStatus refuses a changed status from anybody but this server.
func AuthorizeStatus(ctx context.Context, resource schema.GroupResource, name string, changed bool) error {
	if !changed || IsThisServer(ctx) {
		return nil
	}
	return apierrors.NewForbidden(resource, name, errStatusIsOurs)
}
