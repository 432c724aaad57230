// Package finalizers says which finalizers policies and lifecycles may have, and
// who may change them. The registries of both kinds call it.
//
// Three sorts matter; all others belong to users.
//
//   - Our own keeps an object until what it made is gone or released. Without it,
//     the host's garbage collector would delete PediaClusters whose lifecycle went.
//   - Those of Clusterpedia's controller-manager. It writes objects through a struct
//     that lacks most fields of ours, and so drops suspend, deletionPolicy, maxPrune,
//     deletionCondition and labelSelector. Before anything else it adds its finalizer
//     to what lacks it, and it stops where it cannot: who never gets the finalizer
//     loses nothing.
//   - Those of the garbage collector, which would delete or orphan PediaClusters by
//     them, past deletionPolicy, suspend and maxPrune.
package finalizers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/warning"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/caller"
)

const (
	path = "metadata.finalizers"

	// causeControllerManager marks the refusal of a write of Clusterpedia's
	// controller-manager.
	causeControllerManager metav1.CauseType = "ClusterpediaControllerManager"
)

// ofControllerManager reports whether a controller of Clusterpedia goes by the
// finalizer.
func ofControllerManager(finalizer string) bool {
	return strings.HasPrefix(finalizer, "clusterpedia.io/") && strings.HasSuffix(finalizer, "-controller")
}

func ofGarbageCollector(finalizer string) bool {
	return finalizer == metav1.FinalizerOrphanDependents || finalizer == metav1.FinalizerDeleteDependents
}

// banned reports whether no policy and no lifecycle may have the finalizer.
func banned(finalizer string) bool {
	return ofControllerManager(finalizer) || ofGarbageCollector(finalizer)
}

func isOurs(finalizer string) bool { return finalizer == policyv1alpha1.Finalizer }

func hasOurs(object *metav1.ObjectMeta) bool { return slices.ContainsFunc(object.Finalizers, isOurs) }

// Begin gives an object that is created our finalizer, so that no deletion can
// overtake it, and drops those that it may not have with a warning.
func Begin(ctx context.Context, created *metav1.ObjectMeta) {
	for _, finalizer := range drop(created) {
		warning.AddWarning(ctx, "", fmt.Sprintf("%s: %q is dropped: %s. Leave it out of the manifest: an update that adds it is refused", path, finalizer, why(finalizer)))
	}
	if !hasOurs(created) {
		created.Finalizers = append(created.Finalizers, policyv1alpha1.Finalizer)
	}
}

// Keep has an update leave our finalizer as it is stored. A PUT of a manifest would
// take it off. Nobody takes it from what is not being deleted; from what is, this
// server alone does. It is the only one to add it, too: it knows who takes it off.
func Keep(ctx context.Context, updated, stored *metav1.ObjectMeta) {
	server := caller.IsThisServer(ctx)
	switch has, had := hasOurs(updated), hasOurs(stored); {
	case had && !has && (stored.DeletionTimestamp == nil || !server):
		updated.Finalizers = append(updated.Finalizers, policyv1alpha1.Finalizer)
	case has && !had && !server:
		updated.Finalizers = slices.DeleteFunc(updated.Finalizers, isOurs)
	}
}

// AuthorizeUpdate refuses an update as a whole that adds a finalizer which the
// object may not have, whoever sends it, and one that takes ours off what is being
// deleted, unless this server sends it. Waiting says what the deletion waits for,
// and how to end it.
func AuthorizeUpdate(ctx context.Context, resource schema.GroupResource, updated, stored *metav1.ObjectMeta, waiting func() string) error {
	if stored.UID == "" { // it is created by an apply
		return nil
	}
	for _, finalizer := range updated.Finalizers {
		if banned(finalizer) && !slices.Contains(stored.Finalizers, finalizer) {
			return refuseToAdd(resource, stored.Name, finalizer)
		}
	}
	if stored.DeletionTimestamp == nil || !hasOurs(stored) || hasOurs(updated) || caller.IsThisServer(ctx) {
		return nil
	}
	text := fmt.Sprintf("only this server removes the finalizer %s: without it, the host would delete PediaClusters that must be kept. %s", policyv1alpha1.Finalizer, waiting())
	if len(stored.Finalizers) > 1 {
		text += ". Other finalizers can be removed while this one stays in the list"
	}
	return forbidden(resource, stored.Name, metav1.CauseTypeForbidden, text)
}

func refuseToAdd(resource schema.GroupResource, name, finalizer string) error {
	if ofControllerManager(finalizer) {
		return forbidden(resource, name, causeControllerManager, fmt.Sprintf("the finalizer %q cannot be added: %s. It writes back only the fields that it knows, "+
			"and so drops suspend, deletionPolicy, maxPrune, deletionCondition and labelSelector. Scale it down: kubectl scale --namespace clusterpedia-system "+
			"deployment/clusterpedia-controller-manager --replicas=0 (with Helm: controllerManager.disabled=true). If a manifest has the finalizer, leave it out",
			finalizer, why(finalizer)))
	}
	return forbidden(resource, name, metav1.CauseTypeForbidden, fmt.Sprintf("the finalizer %q cannot be added: %s. "+
		"Delete with --cascade=orphan to keep PediaClusters", finalizer, why(finalizer)))
}

// why says why the finalizer is banned.
func why(finalizer string) string {
	if ofGarbageCollector(finalizer) {
		return "the host's garbage collector would delete or orphan PediaClusters by it, whatever deletionPolicy, suspend and maxPrune say"
	}
	return "it belongs to Clusterpedia's controller-manager, which must not run beside this server"
}

func forbidden(resource schema.GroupResource, name string, cause metav1.CauseType, text string) error {
	err := apierrors.NewForbidden(resource, name, fmt.Errorf("%s", text))
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: cause, Field: path, Message: text}}
	return err
}

// drop takes the finalizers off that the object may not have, and returns them.
func drop(object *metav1.ObjectMeta) (dropped []string) {
	kept := object.Finalizers[:0:0]
	for _, finalizer := range object.Finalizers {
		if banned(finalizer) {
			dropped = append(dropped, finalizer)
		} else {
			kept = append(kept, finalizer)
		}
	}
	if dropped != nil {
		object.Finalizers = kept
	}
	return dropped
}

// Clean drops what an object that was stored may not have. What is being deleted and has nothing
// else gets our finalizer instead: whoever was waited for is not here any more, and
// this server ends the deletion without harm to PediaClusters.
func Clean(object *metav1.ObjectMeta) {
	if drop(object) != nil && object.DeletionTimestamp != nil && len(object.Finalizers) == 0 {
		object.Finalizers = []string{policyv1alpha1.Finalizer}
	}
}
