package render

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// clusterSynchroFinalizer is the finalizer that Clusterpedia sets on each
// PediaCluster which it synchronizes.
const clusterSynchroFinalizer = "clusterpedia.io/cluster-synchro-controller"

// maxShownFinalizers is how many finalizers a message names.
const maxShownFinalizers = 3

// ForeignFinalizers are the finalizers that are not this server's.
func ForeignFinalizers(finalizers []string) []string {
	return slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return f == policyv1alpha1.Finalizer })
}

// DescribeFinalizers says what an object that is being deleted waits for, and who
// can end it: its finalizer "example.com/mine", which whoever set it has to
// remove. There must be one.
func DescribeFinalizers(finalizers []string) string {
	return listFinalizers(finalizers, func(finalizer string) string { return ", which " + remover(finalizer) })
}

// listFinalizers names the first few finalizers, each with what is to be said of it.
func listFinalizers(finalizers []string, about func(string) string) string {
	noun := "its finalizer "
	if len(finalizers) > 1 {
		noun = "its finalizers "
	}
	var parts []string
	for i, finalizer := range finalizers {
		if i == maxShownFinalizers {
			parts = append(parts, fmt.Sprintf("%d more", len(finalizers)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%q%s", shorten(finalizer), about(finalizer)))
	}
	return noun + strings.Join(parts, ", and ")
}

// remover says who removes a finalizer.
func remover(finalizer string) string {
	switch finalizer {
	case clusterSynchroFinalizer:
		return "Clusterpedia's clustersynchro-manager removes: it must run"
	case metav1.FinalizerDeleteDependents, metav1.FinalizerOrphanDependents:
		return "the host's garbage collector removes"
	default:
		return "the client that set it must remove"
	}
}

// DescribeDeletion says that a PediaCluster is being deleted, and what that waits
// for.
func DescribeDeletion(pediaCluster *unstructured.Unstructured) string {
	const message = "the PediaCluster is being deleted"
	if finalizers := pediaCluster.GetFinalizers(); len(finalizers) > 0 {
		return message + " and waits for " + DescribeFinalizers(finalizers)
	}
	return message
}

// SourceMessage is the message about an import of this Source. It says so when the
// Source is being deleted: that its Secret does not exist then means the end of a
// cluster, not its beginning.
func SourceMessage(source *unstructured.Unstructured, message string) string {
	deleted := source.GetDeletionTimestamp()
	if deleted == nil {
		return message
	}
	said := fmt.Sprintf("the Source is being deleted (since %s", deleted.UTC().Format(time.RFC3339))
	if finalizers := source.GetFinalizers(); len(finalizers) > 0 {
		said += "; it waits for " + listFinalizers(finalizers, func(string) string { return "" })
	}
	said += ")"
	if message == "" {
		return said
	}
	return said + ": " + message
}
