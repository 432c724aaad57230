package review

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
)

// Subject is what a review is about: the object in the URL, and what follows
// from it.
type Subject struct {
	// Resource and Name are those in the URL.
	Resource schema.GroupResource
	Name     string
	// UID is empty for a policy that does not exist yet.
	UID types.UID
	// PolicyName is the name of the policy.
	PolicyName string
	// Policy is what to render.
	Policy *policy.ClusterImportPolicySpec
	// Status is that of the policy, as far as there is one: what maxPrune counts.
	Status policy.ClusterImportPolicyStatus
	// Lifecycle is set when the subject is a lifecycle: its Source is the one
	// to render.
	Lifecycle *policy.PediaClusterLifecycle
	// Invalid is what is wrong with the question.
	Invalid field.ErrorList
}

// Answer answers the review, in place. What its spec asks stays as it is; a
// status in the question is dropped.
func (r *Reviewer) Answer(ctx context.Context, subject Subject, review *policy.RenderReview, admit rest.ValidateObjectFunc) (*policy.RenderReview, error) {
	if review.UID != "" && review.UID != subject.UID {
		return nil, apierrors.NewConflict(subject.Resource, subject.Name,
			fmt.Errorf("the UID in the request (%s) is not that of the object (%s)", review.UID, subject.UID))
	}
	errs := subject.Invalid
	if review.Name != "" && review.Name != subject.Name {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), review.Name, "must be the name in the URL, or left out"))
	}
	if len(errs) > 0 {
		return nil, invalid(subject.Name, errs)
	}
	review.Name, review.UID, review.CreationTimestamp = subject.Name, subject.UID, metav1.Now()
	review.ManagedFields = nil // it is not stored
	review.Status = policy.RenderReviewStatus{}
	if admit != nil {
		if err := admit(ctx, review.DeepCopyObject()); err != nil {
			return nil, err
		}
	}

	asked, err := versionedRequest(subject, review)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	status, err := r.review(ctx, asked)
	if err != nil {
		return nil, err
	}
	if asked.Policy.Suspend {
		warning.AddWarning(ctx, "", fmt.Sprintf("policy %q is suspended: nothing of this is done until it is resumed", asked.PolicyName))
	}
	err = policyv1alpha1.Convert_v1alpha1_RenderReviewStatus_To_policy_RenderReviewStatus(status, &review.Status, nil)
	return review, err
}

// versionedRequest is the request in the types that pkg/render knows.
func versionedRequest(subject Subject, review *policy.RenderReview) (request, error) {
	asked := request{
		PolicyName:  subject.PolicyName,
		PruneBudget: pruneBudget(subject),
		Policy:      &policyv1alpha1.ClusterImportPolicySpec{},
		Spec:        &policyv1alpha1.RenderReviewSpec{},
	}
	err := policyv1alpha1.Convert_policy_ClusterImportPolicySpec_To_v1alpha1_ClusterImportPolicySpec(subject.Policy, asked.Policy, nil)
	if err != nil {
		return request{}, err
	}
	// A copy: what was asked is part of the answer.
	err = policyv1alpha1.Convert_policy_RenderReviewSpec_To_v1alpha1_RenderReviewSpec(review.Spec.DeepCopy(), asked.Spec, nil)
	if err != nil {
		return request{}, err
	}
	if lifecycle := subject.Lifecycle; lifecycle != nil {
		asked.Lifecycle = lifecycle.Name
		asked.Spec.Source = &policyv1alpha1.SourceName{Namespace: lifecycle.Spec.Source.Namespace, Name: lifecycle.Spec.Source.Name}
	}
	return asked, nil
}

// pruneBudget is what maxPrune allows to be removed, as far as the policy's status tells.
func pruneBudget(subject Subject) (budget decision.PruneBudget) {
	if subject.Policy.MaxPrune != nil {
		budget.Share = *subject.Policy.MaxPrune
	}
	budget.PediaClusters = int(subject.Status.Counts.Created)
	if prune := subject.Status.Prune; prune != nil {
		budget.Held = int(prune.Held)
		for _, count := range prune.Recent {
			budget.Recent += int(count.Count)
		}
	}
	return budget
}
