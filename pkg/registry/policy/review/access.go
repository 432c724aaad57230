package review

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// access knows what one caller may read on the host, for the time of one
// request: each question is asked once.
type access struct {
	authorizer authorizer.UnconditionalAuthorizer
	caller     user.Info

	mu      sync.Mutex
	answers map[question]*answer
}

// question is about all objects of a type, or about one when it has a name.
type question struct {
	verb            string
	resource        schema.GroupVersionResource
	namespace, name string
}

type answer struct {
	once    sync.Once
	allowed bool
	err     error
}

func newAccess(authorizer authorizer.UnconditionalAuthorizer, caller user.Info) *access {
	return &access{authorizer: authorizer, caller: caller, answers: map[question]*answer{}}
}

// toGet reports whether the caller may get the object. Whoever may get all
// objects of the type is not asked about single ones.
func (a *access) toGet(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (bool, error) {
	all, err := a.ask(ctx, question{verb: "get", resource: resource})
	if all || err != nil {
		return all, err
	}
	return a.ask(ctx, question{verb: "get", resource: resource, namespace: namespace, name: name})
}

// toList reports whether the caller may list the objects of all namespaces.
func (a *access) toList(ctx context.Context, resource schema.GroupVersionResource) (bool, error) {
	return a.ask(ctx, question{verb: "list", resource: resource})
}

func (a *access) ask(ctx context.Context, q question) (bool, error) {
	a.mu.Lock()
	known := a.answers[q]
	if known == nil {
		known = &answer{}
		a.answers[q] = known
	}
	a.mu.Unlock()
	known.once.Do(func() {
		decision, _, err := a.authorizer.Authorize(ctx, authorizer.AttributesRecord{
			User: a.caller, Verb: q.verb, Namespace: q.namespace, Name: q.name,
			APIGroup: q.resource.Group, APIVersion: q.resource.Version, Resource: q.resource.Resource,
			ResourceRequest: true,
		})
		known.allowed = decision == authorizer.DecisionAllow
		if err != nil && !known.allowed {
			known.err = fmt.Errorf("asking the host what the caller may read: %w", err)
		}
	})
	return known.allowed, known.err
}
