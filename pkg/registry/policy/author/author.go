// Package author sees to it that nobody has a policy do what they may not do
// themselves. A policy reads with the permissions of this server, and shows what
// it has read in PediaClusters: without the check, whoever may write policies
// could read every Secret of the host.
//
// The package knows which permissions a policy needs and asks the host for them.
// The storage of policies calls it for each write, when the policy is valid and
// before it claims its Sources.
package author

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/caller"
)

const (
	// concurrency is how many questions of one write are asked at a time.
	concurrency = 8
	// retryAfter is after how many seconds a write may be tried again when the
	// host did not answer.
	retryAfter = 1
)

// Mode says what becomes of a policy whose author lacks permissions.
type Mode string

// The modes. The empty one is Enforce.
const (
	// Enforce refuses the policy.
	Enforce Mode = "enforce"
	// Warn accepts the policy with a warning.
	Warn Mode = "warn"
	// Off asks nothing.
	Off Mode = "off"
)

// Checker checks the authors of policies.
type Checker struct {
	authorizer authorizer.UnconditionalAuthorizer
	mode       Mode
}

// New returns a checker. The authorizer is the one that the server asks about its
// own requests: it asks the host.
func New(authorizer authorizer.UnconditionalAuthorizer, mode Mode) *Checker {
	return &Checker{authorizer: authorizer, mode: mode}
}

// CheckCreate refuses a new policy, as Forbidden and with all that is missing,
// when the caller may not do what it does. When that cannot be known, the error is
// ServiceUnavailable. This server itself is not asked.
func (c *Checker) CheckCreate(ctx context.Context, created *policy.ClusterImportPolicy) error {
	if c.mode == Off || caller.IsThisServer(ctx) {
		return nil
	}
	author, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return apierrors.NewInternalError(errors.New("the request has no user"))
	}
	problem, err := c.missing(ctx, author, created)
	switch {
	case err != nil && c.mode == Warn:
		warning.AddWarning(ctx, "", fmt.Sprintf("whether the author of this policy may do what it does is not known: %v", err))
	case err != nil:
		return unavailable(err)
	case problem != "" && c.mode == Warn:
		warning.AddWarning(ctx, "", "the author of this policy may not do what it does: "+problem)
	case problem != "":
		return apierrors.NewForbidden(policy.Resource("clusterimportpolicies"), created.Name, errors.New(problem))
	}
	return nil
}

// CheckUpdate does the same for a changed policy. Whoever leaves alone what a
// policy reads and writes needs no permissions for that.
func (c *Checker) CheckUpdate(ctx context.Context, updated, stored *policy.ClusterImportPolicy) error {
	if sameAuthority(updated.Spec, stored.Spec) {
		return nil
	}
	return c.CheckCreate(ctx, updated)
}

func unavailable(err error) error {
	status := apierrors.NewServiceUnavailable(fmt.Sprintf(
		"the policy was not written, since it is not known whether its author may do what it does; try again: %v", err))
	status.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: retryAfter}
	return status
}

// missing says what the author may not do of what the policy does, and what to ask
// for; nothing when the author may do all of it.
func (c *Checker) missing(ctx context.Context, author user.Info, written *policy.ClusterImportPolicy) (string, error) {
	reading, writing, instead := reads(&written.Spec), writes(), imports(written.Name)
	asked := map[permission]bool{instead: false}
	for _, needed := range append(reading, writing) {
		for _, p := range needed.permissions {
			asked[p] = false
		}
	}
	if err := c.ask(ctx, author, asked); err != nil {
		return "", err
	}

	var problems []string
	advice := "ask for these permissions"
	if !asked[instead] {
		for _, needed := range reading {
			problems = append(problems, needed.problem(asked)...)
		}
		if len(problems) > 0 {
			advice += fmt.Sprintf(", or, instead of those to read, for the verb %q on %s %q",
				instead.verb, instead.resource.GroupResource(), instead.name)
		}
	}
	problems = append(problems, writing.problem(asked)...)
	if len(problems) == 0 {
		return "", nil
	}
	return fmt.Sprintf("user %q %s: %s", author.GetName(), strings.Join(problems, "; "), advice), nil
}

// ask sets those that the author has.
func (c *Checker) ask(ctx context.Context, author user.Info, permissions map[permission]bool) error {
	type answer struct {
		permission
		allowed bool
	}
	answers := make([]answer, 0, len(permissions))
	for p := range permissions {
		answers = append(answers, answer{permission: p})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for i := range answers {
		asked := &answers[i]
		group.Go(func() (err error) {
			asked.allowed, err = c.allowed(ctx, author, asked.permission)
			return err
		})
	}
	err := group.Wait()
	for _, given := range answers {
		permissions[given.permission] = given.allowed
	}
	return err
}

func (c *Checker) allowed(ctx context.Context, author user.Info, p permission) (bool, error) {
	decision, _, err := c.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: author, Verb: p.verb, Namespace: p.namespace, Name: p.name,
		APIGroup: p.resource.Group, APIVersion: p.resource.Version, Resource: p.resource.Resource,
		ResourceRequest: true,
	})
	if decision == authorizer.DecisionAllow {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking the host whether user %q may %s %s: %w", author.GetName(), p.verb, p.resource.GroupResource(), err)
	}
	return false, nil
}

// problem says what is missing of the permissions.
func (n need) problem(has map[permission]bool) []string {
	var verbs []string
	for _, p := range n.permissions {
		if !has[p] {
			verbs = append(verbs, p.verb)
		}
	}
	if len(verbs) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("may not %s %s%s, %s", either(verbs), n.permissions[0].resource.GroupResource(), n.where, n.why)}
}

// either reads "list", "list or watch", "create, patch or delete".
func either(verbs []string) string {
	last := len(verbs) - 1
	if last == 0 {
		return verbs[0]
	}
	return strings.Join(verbs[:last], ", ") + " or " + verbs[last]
}
