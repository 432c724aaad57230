package caller

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// AsThisServer returns the context of a request that this server makes to its own storage,
// as the loopback client would: about objects without a namespace.
func AsThisServer(ctx context.Context) context.Context {
	return genericapirequest.WithUser(genericapirequest.WithNamespace(ctx, metav1.NamespaceNone), &user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.SystemPrivilegedGroup}})
}
