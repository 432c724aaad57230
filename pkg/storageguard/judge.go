package storageguard

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// facts are what is known of the storage and of the host, at one moment.
type facts struct {
	// storage is the id of the storage, and boundTo the host that it was last
	// served for; empty for a storage that never was.
	storage, boundTo types.UID
	// host is the UID of the host's namespace kube-system, and recorded the id of
	// the storage that last served it, as far as the host remembers.
	host, recorded types.UID
	// pediaClusters are those on the host that an import was made for.
	pediaClusters []metav1.PartialObjectMetadata
	// lifecycles are the UIDs of those in storage, listed after the PediaClusters.
	lifecycles sets.Set[types.UID]
	// accepted says that the operator wants this storage.
	accepted bool
}

// Refusal is why a storage is not served until somebody does something about it.
type Refusal struct{ message string }

func (r *Refusal) Error() string { return r.message }

// Refuse returns a *Refusal with the text of the reason.
func Refuse(reason error) error { return &Refusal{reason.Error()} }

// judge returns a *Refusal unless the storage may be served.
func judge(f facts) error {
	dangling, backed := f.dangling(), 0
	for i := range f.pediaClusters {
		if slices.ContainsFunc(f.pediaClusters[i].OwnerReferences, f.stored) {
			backed++
		}
	}
	switch {
	case f.accepted:
		return nil
	case f.boundTo != "" && f.boundTo != f.host:
		return &Refusal{fmt.Sprintf("the storage %s belongs to another host cluster: two hosts must not share one (give each its --etcd-prefix). %s",
			f.storage, f.acceptance())}
	case f.recorded == f.storage, len(f.pediaClusters) == 0:
		return nil
	case f.recorded != "":
		return &Refusal{fmt.Sprintf("this host was served from the storage %s, and this is the storage %s with %d lifecycles, "+
			"while %d PediaClusters of the former are here: bring the former back, or restore it from a snapshot. %s",
			f.recorded, f.storage, len(f.lifecycles), len(f.pediaClusters), f.acceptance())}
	case backed > 0 && len(dangling) == 0:
		return nil // written by a release that did not keep records yet
	default:
		return &Refusal{fmt.Sprintf("%d PediaClusters on this host were made from a storage which this one, %s with %d lifecycles, is not: "+
			"bring that storage back, or restore it from a snapshot; what the CRDs of a Clusterpedia installation hold is moved by `kubectl clusterimport migrate`. %s",
			len(f.pediaClusters), f.storage, len(f.lifecycles), f.acceptance())}
	}
}

func (f *facts) acceptance() string {
	return fmt.Sprintf("To go on with this storage, which deletes no PediaCluster and forgets what the other knew, start the server with --accept-storage=%s", f.storage)
}

// dangling are the PediaClusters with an owner that storage lacks: the garbage
// collector would delete them as soon as it is told so.
func (f *facts) dangling() (found []*metav1.PartialObjectMetadata) {
	for i := range f.pediaClusters {
		if slices.ContainsFunc(f.pediaClusters[i].OwnerReferences, f.lost) {
			found = append(found, &f.pediaClusters[i])
		}
	}
	return found
}

func (f *facts) stored(owner metav1.OwnerReference) bool {
	return isLifecycle(owner) && f.lifecycles.Has(owner.UID)
}

func (f *facts) lost(owner metav1.OwnerReference) bool {
	return isLifecycle(owner) && !f.lifecycles.Has(owner.UID)
}

// isOurs reports whether a PediaCluster was made for an import.
func isOurs(pediaCluster *metav1.PartialObjectMetadata) bool {
	_, marked := pediaCluster.Annotations[policyv1alpha1.CreatedForAnnotation]
	return marked || slices.ContainsFunc(pediaCluster.OwnerReferences, isLifecycle)
}

func isLifecycle(owner metav1.OwnerReference) bool {
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && gv.Group == policyv1alpha1.GroupName && owner.Kind == "PediaClusterLifecycle"
}
