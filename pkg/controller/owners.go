package controller

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
)

// This file repairs lifecycles whose controller reference is broken, or whose policy
// was deleted without waiting for them. Nothing else works on such a lifecycle: its
// reference is restored, or it is released when its policy does not exist. The UID
// identifies the policy, since no other object can have it. Name, kind and apiVersion
// must agree with it, since they are what everybody else reads.

// controllerReference is the reference of every lifecycle to its policy.
func controllerReference(policy *policyv1alpha1.ClusterImportPolicy) metav1.OwnerReference {
	return *metav1.NewControllerRef(policy, policyv1alpha1.SchemeGroupVersion.WithKind("ClusterImportPolicy"))
}

// rightfulPolicy returns the policy that the lifecycle belongs to, nil when there is
// none, and reports whether its controller reference says so in every part.
func rightfulPolicy(lifecycle *policyv1alpha1.PediaClusterLifecycle, policies []*policyv1alpha1.ClusterImportPolicy) (policy *policyv1alpha1.ClusterImportPolicy, right bool) {
	for _, candidate := range policies {
		source := candidate.Spec.Source
		if source.Group != lifecycle.Spec.Source.Group || source.Resource != lifecycle.Spec.Source.Resource {
			continue
		}
		if slices.ContainsFunc(lifecycle.OwnerReferences, func(owner metav1.OwnerReference) bool { return owner.UID == candidate.UID }) {
			return candidate, isControlledBy(lifecycle, candidate)
		}
	}
	return nil, false
}

// isControlledBy reports whether the controller reference of the lifecycle names
// this very policy.
func isControlledBy(lifecycle *policyv1alpha1.PediaClusterLifecycle, policy *policyv1alpha1.ClusterImportPolicy) bool {
	owner := policyv1alpha1.ControllingPolicy(lifecycle)
	return owner.UID == policy.UID && owner.Name == policy.Name && owner.APIVersion == policyv1alpha1.SchemeGroupVersion.String()
}

// checkOwner enqueues a lifecycle for reconcileOwner, unless its policy is known and its controller
// reference is right in every part.
func (c *importController) checkOwner(lifecycle *policyv1alpha1.PediaClusterLifecycle) {
	if policy, err := c.policies.lister.Get(policyv1alpha1.ControllingPolicy(lifecycle).Name); err == nil {
		if _, right := rightfulPolicy(lifecycle, []*policyv1alpha1.ClusterImportPolicy{policy}); right {
			return
		}
	}
	c.owners.Add(lifecycle.Name)
}

// checkAllOwners does so for every lifecycle, once, when all policies are known.
func (c *importController) checkAllOwners() {
	for _, lifecycle := range c.store.List() {
		c.checkOwner(lifecycle)
	}
}

// checkOwners does so for all lifecycles that name the policy.
func (c *importController) checkOwners(policy string) {
	for _, lifecycle := range c.store.OfPolicy(policy) {
		c.checkOwner(lifecycle)
	}
}

// reconcileOwner restores the controller reference of a lifecycle, or releases its
// PediaCluster when its policy does not exist.
func (c *importController) reconcileOwner(ctx context.Context, name string) error {
	lifecycle := c.store.Get(name)
	if lifecycle == nil {
		return nil
	}
	known, err := c.policies.lister.List(labels.Everything())
	if err != nil {
		return err
	}
	policy, right := rightfulPolicy(lifecycle, known)
	if policy == nil {
		// The informer may not have seen a new policy yet.
		stored, err := c.policies.client.List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("confirming that the policy of a lifecycle was deleted: %w", err)
		}
		known = known[:0:0]
		for i := range stored.Items {
			known = append(known, &stored.Items[i])
		}
		policy, right = rightfulPolicy(lifecycle, known)
	}
	switch {
	case right:
		return nil
	case policy == nil:
		klog.FromContext(ctx).Info("The policy of a lifecycle does not exist; its PediaCluster is released", "lifecycle", klog.KObj(lifecycle))
		_, err := c.remove(ctx, decision.Removal{Lifecycle: lifecycle, Cause: policyv1alpha1.ReasonPolicyDeleted, Fate: decision.Orphan})
		return err
	default:
		klog.FromContext(ctx).Info("Restoring the controller reference of a lifecycle", "lifecycle", klog.KObj(lifecycle), "policy", klog.KObj(policy))
		restored := lifecycle.DeepCopy()
		restored.OwnerReferences = []metav1.OwnerReference{controllerReference(policy)}
		if err := c.store.SetOwners(ctx, restored); err != nil {
			return fmt.Errorf("restoring the controller reference of the lifecycle: %w", err)
		}
		return nil
	}
}
