package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// This file holds everything that can delete a PediaCluster.

// removal is why a lifecycle goes, and what becomes of its PediaCluster.
type removal struct {
	cause string
	fate  fate
}

// fate is what becomes of the PediaCluster of a lifecycle that goes.
type fate int

const (
	// deleted is the fate of a PediaCluster that nobody wants any more.
	deleted fate = iota
	// released leaves it to its users.
	released
	// handedOver leaves it to the next lifecycle of the same Source.
	handedOver
)

// removeAll removes every lifecycle of the import.
func (w *importWork) removeAll(ctx context.Context, r removal) (*outcome, error) {
	if w.state.policy.Spec.DeletionPolicy == policyv1alpha1.DeletionPolicyOrphan {
		r.fate = released
	}
	for _, lifecycle := range w.lifecycles {
		if err := w.remove(ctx, lifecycle, r); err != nil {
			return &outcome{phase: policyv1alpha1.LifecycleDeleting, created: true}, err
		}
	}
	if len(w.lifecycles) > 0 {
		return &outcome{phase: policyv1alpha1.LifecycleDeleting}, nil
	}
	return nil, nil
}

// remove takes one lifecycle back: marks it as going, deletes its PediaCluster
// or leaves it to its users, then lets the lifecycle go. It is called again
// until all is done.
func (c *importController) remove(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r removal) error {
	logger := klog.FromContext(ctx)
	if lifecycle.DeletionTimestamp == nil {
		logger.V(2).Info("Removing a lifecycle", "lifecycle", klog.KObj(lifecycle), "cause", r.cause)
		err := c.records.client.Delete(ctx, lifecycle.Name, metav1.DeleteOptions{Preconditions: preconditions(lifecycle)})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting the lifecycle: %w", err)
		}
		// The informer brings it back with its deletion timestamp: what was
		// decided here is decided again then, on fresh facts.
		return nil
	}
	if !slices.Contains(lifecycle.Finalizers, policyv1alpha1.Finalizer) {
		return nil
	}
	gone, err := c.removePediaCluster(ctx, lifecycle, r)
	if err != nil {
		return err
	}
	if !gone {
		// Its informer may have been given back with the last policy.
		c.queue.AddAfter(importOf(lifecycle), retryDelay)
		return c.writeStatus(ctx, lifecycle, stalledStatus(lifecycle,
			&stalled{policyv1alpha1.LifecycleDeleting, r.cause, "waiting until the PediaCluster is gone"}))
	}
	if r.fate != deleted {
		c.index.Reserve(lifecycle.Name, importOf(lifecycle))
	}
	patch, err := withoutFinalizer(&lifecycle.ObjectMeta)
	if err != nil {
		return err
	}
	_, err = c.records.client.Patch(ctx, lifecycle.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("letting the lifecycle go: %w", err)
	}
	return nil
}

// removePediaCluster deletes the PediaCluster of the lifecycle, or leaves it to
// its users, and reports whether that is done. One that was not made for this
// import stays untouched.
func (c *importController) removePediaCluster(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle, r removal) (gone bool, err error) {
	object, err := c.livePediaCluster(ctx, lifecycle.Name)
	if err != nil || object == nil {
		return object == nil, err
	}
	fate := r.fate
	if hasOrphanAnnotation(&lifecycle.ObjectMeta) {
		fate = released
	}
	if ownerOf(lifecycle).Ownership(object) != render.Owned {
		fate = released // takes our owner reference away, should there be one
	}
	if fate != deleted {
		return true, c.releasePediaCluster(ctx, object, fate)
	}
	if object.GetDeletionTimestamp() == nil {
		if err := c.deletePediaCluster(ctx, object, r.cause); err != nil {
			return false, err
		}
	}
	return len(object.GetFinalizers()) == 0, nil
}

// livePediaCluster reads a PediaCluster from the host: the informer may not have
// seen yet what was just made. It is nil when there is none, which an answer that
// its type is not served does not say.
func (c *importController) livePediaCluster(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	object, err := c.host.Resource(render.PediaClusterGVR).Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		return object, nil
	case objectNotFound(err):
		return nil, nil
	case apierrors.IsNotFound(err):
		removed, err := c.types.Removed(ctx, render.PediaClusterGVR.GroupResource())
		if err == nil && removed {
			return nil, nil
		}
		return nil, errors.Join(errors.New("the host does not serve PediaClusters now"), err)
	default:
		return nil, fmt.Errorf("reading the PediaCluster: %w", err)
	}
}

// releasePediaCluster takes the marks of ownership off a PediaCluster.
func (c *importController) releasePediaCluster(ctx context.Context, object *unstructured.Unstructured, fate fate) error {
	release := render.Release(object, fate == handedOver)
	if release == nil {
		return nil
	}
	patch, err := json.Marshal(release)
	if err != nil {
		return err
	}
	_, err = c.host.Resource(render.PediaClusterGVR).Patch(ctx, object.GetName(), types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("releasing the PediaCluster: %w", err)
	}
	klog.FromContext(ctx).V(2).Info("Released a PediaCluster", "pediaCluster", object.GetName())
	return nil
}

// deletePediaCluster deletes just this version of a PediaCluster.
func (c *importController) deletePediaCluster(ctx context.Context, object *unstructured.Unstructured, cause string) error {
	err := c.host.Resource(render.PediaClusterGVR).Delete(ctx, object.GetName(), metav1.DeleteOptions{Preconditions: preconditions(object)})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting the PediaCluster: %w", err)
	}
	klog.FromContext(ctx).V(2).Info("Deleted a PediaCluster", "pediaCluster", object.GetName(), "cause", cause)
	return nil
}

func preconditions(object metav1.Object) *metav1.Preconditions {
	uid, version := object.GetUID(), object.GetResourceVersion()
	return &metav1.Preconditions{UID: &uid, ResourceVersion: &version}
}

func hasOrphanAnnotation(object *metav1.ObjectMeta) bool {
	return object.Annotations[policyv1alpha1.OrphanAnnotation] == "true"
}

func removedByServer(lifecycle *policyv1alpha1.PediaClusterLifecycle) bool {
	return lifecycle.Annotations[policyv1alpha1.RemovedAnnotation] == "true"
}

// letGo lets a deleted lifecycle go whose cluster nobody says is gone. Deleted by
// hand it releases its PediaCluster. Deleted by this server, for a cause that has
// passed, it hands the PediaCluster over to the lifecycle that comes next.
func (c *importController) letGo(ctx context.Context, lifecycle *policyv1alpha1.PediaClusterLifecycle) error {
	r := removal{cause: policyv1alpha1.ReasonReleased, fate: released}
	if removedByServer(lifecycle) {
		r.fate = handedOver
	}
	return c.remove(ctx, lifecycle, r)
}
