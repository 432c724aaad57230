// Package claim sees to it that no two policies import the same Sources: of two
// policies on one type, each must have a selectorTemplate.
//
// Policies are compared with those in storage. What is not there yet, because
// another replica is about to write it, is found in a claim: one object for each
// type, changed by compare-and-swap before a policy is written. The storage of
// policies calls it at admission.
package claim

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/clock"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

// resource is the one under which claims are stored. It is not served.
const resource = "sourceclaims"

// Claims is safe for concurrent use, by any number of replicas. Use New.
type Claims struct {
	storage  storage.Interface
	prefix   string
	policies rest.Lister
	// timeout is after how long a policy that was claimed for and is not there
	// never comes: twice as long as a request lives, since clocks differ.
	timeout time.Duration
	clock   clock.PassiveClock
}

// New returns the claims in the storage that optsGetter describes, for the
// policies that are listed. A request must not live longer than the timeout.
func New(optsGetter generic.RESTOptionsGetter, policies rest.Lister, timeout time.Duration) (claims *Claims, destroy func(), err error) {
	options, err := optsGetter.GetRESTOptions(policy.Resource(resource), &policy.SourceClaim{})
	if err != nil {
		return nil, nil, err
	}
	prefix := path.Join("/", options.ResourcePrefix)
	store, destroy, err := generic.NewRawStorage(options.StorageConfig,
		func() runtime.Object { return &policy.SourceClaim{} }, func() runtime.Object { return &policy.SourceClaimList{} }, prefix)
	if err != nil {
		return nil, nil, err
	}
	return &Claims{storage: store, prefix: prefix, policies: policies, timeout: 2 * timeout, clock: clock.RealClock{}}, destroy, nil
}

// Take claims the Sources of a policy that is about to be written. The error is
// an API error that names the policy which has them. A dry run claims nothing.
func (c *Claims) Take(ctx context.Context, claimant *policy.ClusterImportPolicy, dryRun bool) error {
	if dryRun {
		claim := &policy.SourceClaim{}
		if err := c.storage.Get(ctx, c.key(claimant), storage.GetOptions{IgnoreNotFound: true}, claim); err != nil {
			return fmt.Errorf("reading who imports these Sources: %w", err)
		}
		_, err := c.check(ctx, claim, claimant)
		return err
	}
	return c.update(ctx, claimant, func(claim *policy.SourceClaim) error {
		others, err := c.check(ctx, claim, claimant)
		if err != nil {
			return err
		}
		claim.Name = claimName(claimant)
		claim.Holders = append(others, policy.SourceHolder{
			Policy: claimant.Name, UID: claimant.UID, Selective: selective(claimant), Time: metav1.NewTime(c.clock.Now())})
		return nil
	})
}

// Release gives the claim of a policy back that is gone, or was not written.
func (c *Claims) Release(ctx context.Context, holder *policy.ClusterImportPolicy) error {
	return c.update(ctx, holder, func(claim *policy.SourceClaim) error {
		claim.Holders = slices.DeleteFunc(claim.Holders, func(h policy.SourceHolder) bool { return h.UID == holder.UID })
		return nil
	})
}

func (c *Claims) update(ctx context.Context, of *policy.ClusterImportPolicy, change func(*policy.SourceClaim) error) error {
	err := c.storage.GuaranteedUpdate(ctx, c.key(of), &policy.SourceClaim{}, true, nil,
		func(input runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			claim := input.(*policy.SourceClaim)
			return claim, nil, change(claim)
		}, nil)
	if status := apierrors.APIStatus(nil); err == nil || errors.As(err, &status) {
		return err
	}
	return fmt.Errorf("writing who imports these Sources: %w", err)
}

// check returns the other holders of the claim that still count. The error is an
// API error when one of them, or a policy in storage, rules the claimant out.
func (c *Claims) check(ctx context.Context, claim *policy.SourceClaim, claimant *policy.ClusterImportPolicy) (others []policy.SourceHolder, err error) {
	list, err := c.policies.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the policies on the same Sources: %w", err)
	}
	for _, stored := range list.(*policy.ClusterImportPolicyList).Items {
		// Of two with one name only one is ever there.
		if stored.Name != claimant.Name && claimName(&stored) == claimName(claimant) && (!selective(&stored) || !selective(claimant)) {
			return nil, taken(claimant, stored.Name)
		}
	}
	for _, holder := range claim.Holders {
		if holder.UID == claimant.UID || c.clock.Since(holder.Time.Time) > c.timeout {
			continue
		}
		if holder.Policy != claimant.Name && (!holder.Selective || !selective(claimant)) {
			return nil, taken(claimant, holder.Policy)
		}
		others = append(others, holder)
	}
	return others, nil
}

func taken(claimant *policy.ClusterImportPolicy, by string) error {
	return apierrors.NewInvalid(policy.Kind("ClusterImportPolicy"), claimant.Name, field.ErrorList{field.Forbidden(
		field.NewPath("spec", "source"), fmt.Sprintf("policy %q imports %s already: give both policies a source.selectorTemplate, "+
			"so that each selects Sources of its own, or change that policy", by, claimName(claimant)))})
}

func selective(p *policy.ClusterImportPolicy) bool { return p.Spec.Source.SelectorTemplate != "" }

// claimName names the type of a policy's Sources.
func claimName(p *policy.ClusterImportPolicy) string {
	return schema.GroupResource{Group: p.Spec.Source.Group, Resource: p.Spec.Source.Resource}.String()
}

func (c *Claims) key(p *policy.ClusterImportPolicy) string {
	return path.Join(c.prefix, claimName(p))
}
