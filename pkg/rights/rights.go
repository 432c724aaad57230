// Package rights knows what this server must be allowed to do on the host with the
// types that a policy names, and the ClusterRole that allows it.
//
// The registry asks when a policy is written or rendered, the controllers before they
// list a type, and the plugin before a host is migrated. All say the same.
package rights

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// AggregationLabel on a ClusterRole adds its rules to those of this server; see
// artifacts/deploy/base/rbac.yaml.
const AggregationLabel = "policy.clusterpedia.io/aggregate-to-server"

// verbs are what the controllers do with each type that a policy names. Informers list
// and watch it. A single object is read when it is used as a reference, and before it is
// believed that a Source is gone.
var verbs = []string{"get", "list", "watch"}

// Error says that the host does not allow this server to read a type. It is Forbidden,
// for apierrors and for clients of this server.
type Error struct {
	Resource schema.GroupResource
	// Verbs are those that are missing.
	Verbs []string
}

func (e *Error) Error() string {
	return fmt.Sprintf("this server may not %s %s; allow it with: echo '%s' | kubectl apply -f -", e.What(), e.Resource, e.Role())
}

// Status implements apierrors.APIStatus.
func (e *Error) Status() metav1.Status {
	return metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: e.Error(),
		Details: &metav1.StatusDetails{Group: e.Resource.Group, Kind: e.Resource.Resource},
	}
}

// What is what the server may not do with the type: "list or watch".
func (e *Error) What() string { return either(e.Verbs) }

// Role is the ClusterRole, as JSON, that allows all that this server does with the type.
// It is named after the type, so that it is the same whichever policy needs it.
func (e *Error) Role() string {
	type metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	}
	// metav1.ObjectMeta and ClusterRole would print fields that are not set.
	text, err := json.Marshal(struct {
		APIVersion string              `json:"apiVersion"`
		Kind       string              `json:"kind"`
		Metadata   metadata            `json:"metadata"`
		Rules      []rbacv1.PolicyRule `json:"rules"`
	}{
		APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole",
		Metadata: metadata{Name: "clusterpedia:policy-sources:" + e.Resource.String(), Labels: map[string]string{AggregationLabel: "true"}},
		Rules:    []rbacv1.PolicyRule{{Verbs: verbs, APIGroups: []string{e.Resource.Group}, Resources: []string{e.Resource.Resource}}},
	})
	if err != nil {
		return err.Error() // strings can be encoded
	}
	return string(text)
}

// either reads "list", "list or watch", "get, list or watch".
func either(verbs []string) string {
	last := len(verbs) - 1
	if last <= 0 {
		return strings.Join(verbs, "")
	}
	return strings.Join(verbs[:last], ", ") + " or " + verbs[last]
}

// Reviewer asks the host whether somebody may do something.
type Reviewer func(context.Context, *authorizationv1.ResourceAttributes) (allowed bool, err error)

// Self asks about this server, whose client it is.
func Self(reviews authorizationclient.SelfSubjectAccessReviewInterface) Reviewer {
	return func(ctx context.Context, attributes *authorizationv1.ResourceAttributes) (bool, error) {
		review, err := reviews.Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes}}, metav1.CreateOptions{})
		if err != nil {
			return false, err
		}
		return review.Status.Allowed, nil
	}
}

// ServiceAccount asks about a server that runs as this ServiceAccount. Whoever asks needs
// the right to create SubjectAccessReviews.
func ServiceAccount(reviews authorizationclient.SubjectAccessReviewInterface, namespace, name string) Reviewer {
	return func(ctx context.Context, attributes *authorizationv1.ResourceAttributes) (bool, error) {
		review, err := reviews.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			ResourceAttributes: attributes,
			User:               serviceaccount.MakeUsername(namespace, name),
			Groups:             append(serviceaccount.MakeGroupNames(namespace), user.AllAuthenticated),
		}}, metav1.CreateOptions{})
		if err != nil {
			return false, err
		}
		return review.Status.Allowed, nil
	}
}

// Check asks the host whether the server may read the objects of a type in all
// namespaces. The error is an *Error when it may not, and is not Forbidden when that
// is not known.
func Check(ctx context.Context, may Reviewer, resource schema.GroupResource) error {
	allowed := make([]bool, len(verbs))
	group, ctx := errgroup.WithContext(ctx)
	for i, verb := range verbs {
		group.Go(func() error {
			var err error
			allowed[i], err = may(ctx, &authorizationv1.ResourceAttributes{Verb: verb, Group: resource.Group, Version: "*", Resource: resource.Resource})
			if err != nil {
				// Not wrapped: that this server may not ask does not say that it may not read.
				return fmt.Errorf("asking the host whether this server may %s %s: %s", verb, resource, err.Error())
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	missing := &Error{Resource: resource}
	for i, verb := range verbs {
		if !allowed[i] {
			missing.Verbs = append(missing.Verbs, verb)
		}
	}
	if len(missing.Verbs) > 0 {
		return missing
	}
	return nil
}
