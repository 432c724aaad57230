package caller

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

func TestThisServerHasItsNameAndItsGroup(t *testing.T) {
	for name, test := range map[string]struct {
		user user.Info
		want bool
	}{
		"the loopback client":      {&user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.SystemPrivilegedGroup}}, true},
		"with further groups":      {&user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.AllAuthenticated, user.SystemPrivilegedGroup}}, true},
		"an impersonated name":     {&user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.AllAuthenticated}}, false},
		"a certificate of it":      {&user.DefaultInfo{Name: user.APIServerUser}, false},
		"an administrator":         {&user.DefaultInfo{Name: "admin", Groups: []string{user.SystemPrivilegedGroup}}, false},
		"a ServiceAccount":         {&user.DefaultInfo{Name: "system:serviceaccount:clusterpedia-system:policy-apiserver"}, false},
		"a request without a user": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			if test.user != nil {
				ctx = genericapirequest.WithUser(ctx, test.user)
			}
			if got := IsThisServer(ctx); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
			for _, changed := range []bool{true, false} {
				err := AuthorizeStatus(ctx, policy.Resource("clusterimportpolicies"), "mcp", changed)
				if refused := changed && !test.want; apierrors.IsForbidden(err) != refused {
					t.Errorf("a status that is changed (%t): %v", changed, err)
				}
			}
		})
	}
}
