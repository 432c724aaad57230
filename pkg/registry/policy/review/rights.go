package review

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/rights"
)

// aggregationTime is how long a host may take to aggregate a ClusterRole that was applied
// together with the policy.
const aggregationTime = 500 * time.Millisecond

// permitted asks about several types at a time, each once. The errors are in the order
// of the types.
func (r *Reviewer) permitted(ctx context.Context, resources []schema.GroupResource) []error {
	errs := make([]error, len(resources))
	var asking sync.WaitGroup
	for i, resource := range resources {
		if slices.Index(resources, resource) == i {
			asking.Go(func() { errs[i] = r.host.Permitted(ctx, resource) })
		}
	}
	asking.Wait()
	return errs
}

// rightsWarnings name the types of a policy that this server may not read.
func (r *Reviewer) rightsWarnings(ctx context.Context, spec *policyv1alpha1.ClusterImportPolicySpec) (warnings []string) {
	paths := []string{"spec.source"}
	resources := []schema.GroupResource{{Group: spec.Source.Group, Resource: spec.Source.Resource}}
	for i, ref := range spec.References {
		paths = append(paths, fmt.Sprintf("spec.references[%d]", i))
		resources = append(resources, schema.GroupResource{Group: ref.Group, Resource: ref.Resource})
	}
	answers := r.permitted(ctx, resources)
	if slices.ContainsFunc(answers, apierrors.IsForbidden) {
		select {
		case <-time.After(aggregationTime):
			answers = r.permitted(ctx, resources)
		case <-ctx.Done():
		}
	}
	for i, err := range answers {
		if missing := (*rights.Error)(nil); errors.As(err, &missing) && !r.misspelled(ctx, resources[i]) {
			warnings = append(warnings, fmt.Sprintf("%s: the policy waits: %s", paths[i], missing))
		}
	}
	return warnings
}

// misspelled reports whether the host does not serve the type, but one that its name may
// stand for. A role for such a name would be of no use.
func (r *Reviewer) misspelled(ctx context.Context, resource schema.GroupResource) bool {
	_, err := r.host.Resolve(ctx, resource, nil)
	missing := (*NotServedError)(nil)
	return errors.As(err, &missing) && len(missing.Alike) > 0
}

// checkRights refuses to answer when this server may not read what the answer needs.
func (s *session) checkRights(ctx context.Context) error {
	var resources []schema.GroupResource
	if s.sourceServed && s.sourceObject == nil {
		resources = append(resources, s.source.GroupResource())
	}
	for i, ref := range s.references {
		if ref.Resource != "" && s.given[s.Policy.References[i].Key] == nil {
			resources = append(resources, ref.GroupResource())
		}
	}
	var forbidden []error
	for _, err := range s.permitted(ctx, resources) {
		switch missing := (*rights.Error)(nil); {
		case err == nil:
		case errors.As(err, &missing):
			forbidden = append(forbidden, missing)
		default:
			return unavailable(err)
		}
	}
	switch len(forbidden) {
	case 0:
		return nil
	case 1:
		return forbidden[0]
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden,
		Reason: metav1.StatusReasonForbidden, Message: errors.Join(forbidden...).Error()}}
}
