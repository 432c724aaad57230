package storageguard

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// facts are what is known of the storage and of the host, at one moment.
type facts struct {
	// storage is the id of the storage, and boundTo the host that it was last
	// served for; empty for a storage that never was.
	storage, boundTo types.UID
	// host is the UID of the host's namespace kube-system, and recorded the id of
	// the storage that last served it, as far as the host remembers.
	host, recorded types.UID
	// kind says whether the storage is embedded or external, and recordedKind what
	// the host remembers.
	kind, recordedKind string
	// pediaClusters are those on the host that an import was made for.
	pediaClusters []metav1.PartialObjectMetadata
	// lifecycles are the UIDs of those in storage, listed after the PediaClusters.
	lifecycles sets.Set[types.UID]
	// accepted says that the operator wants this storage, and replaced that another
	// one took its place once: what it knows is older than what is there.
	accepted, replaced bool
}

// Refusal is why a storage is not served, for the caller to read.
type Refusal struct {
	message string
	// Lasting says that somebody has to do something about it. Otherwise it passes
	// by itself.
	Lasting bool
}

func (r *Refusal) Error() string { return r.message }

// Refuse returns a lasting *Refusal with the text of the reason.
func Refuse(reason error) error { return refuse("%s", reason.Error()) }

// judge returns a *Refusal unless the storage may be served.
func judge(f facts) error {
	dangling, backed := f.dangling(), 0
	for i := range f.pediaClusters {
		if slices.ContainsFunc(f.pediaClusters[i].OwnerReferences, f.stored) {
			backed++
		}
	}
	switch {
	case f.recorded != f.storage && f.replaced && len(f.pediaClusters) > 0:
		return refuse("the storage %s served this host before, and was replaced by %s: use that storage again, or restore it from a snapshot, with all replicas stopped. "+
			"--accept-storage does not apply to it; to use it anyway, remove its id from %s in the ConfigMap %s", f.storage, f.recorded, formerKey, RecordName)
	case f.accepted:
		return nil
	case f.boundTo != "" && f.boundTo != f.host:
		return refuse("the storage %s belongs to another host cluster: two hosts must not share one (give each its --etcd-prefix). %s",
			f.storage, f.acceptance())
	case f.recorded == f.storage && f.kind == "embedded" && f.recordedKind == "external" && len(f.pediaClusters) > 0:
		return refuse("this host is served from an external etcd with the storage %s, and this is an embedded one with a copy of it, which may be old: "+
			"start the server with --etcd-servers. %s", f.storage, f.acceptance())
	case f.recorded == f.storage, len(f.pediaClusters) == 0:
		return nil
	case f.recorded != "":
		return refuse("this host was served from the storage %s, as its ConfigMap %s says, and this is the storage %s with %d lifecycles, "+
			"while %d PediaClusters of the former storage exist: stop all replicas, and use the former storage again or restore it from a snapshot. %s",
			f.recorded, RecordName, f.storage, len(f.lifecycles), len(f.pediaClusters), f.acceptance())
	case backed > 0 && len(dangling) == 0:
		return nil // written by a release that did not keep records yet
	default:
		return refuse("%d PediaClusters on this host were created from another storage than this one, %s with %d lifecycles: "+
			"stop all replicas, and use that storage again or restore it from a snapshot; "+
			"objects in the CRDs of a Clusterpedia installation are moved by `kubectl clusterimport migrate`. %s",
			len(f.pediaClusters), f.storage, len(f.lifecycles), f.acceptance())
	}
}

func refuse(format string, args ...any) error {
	return &Refusal{Lasting: true, message: fmt.Sprintf(format, args...)}
}

func (f *facts) acceptance() string {
	return fmt.Sprintf("To continue with this storage, which does not have the data of the other one and keeps all PediaClusters unchanged until its own policies change them, "+
		"start the server with --accept-storage=%s", f.storage)
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
	return render.IsLifecycle(owner) && f.lifecycles.Has(owner.UID)
}

func (f *facts) lost(owner metav1.OwnerReference) bool {
	return render.IsLifecycle(owner) && !f.lifecycles.Has(owner.UID)
}

// isOurs reports whether a PediaCluster was made for an import.
func isOurs(pediaCluster *metav1.PartialObjectMetadata) bool {
	_, marked := pediaCluster.Annotations[policyv1alpha1.CreatedForAnnotation]
	return marked || slices.ContainsFunc(pediaCluster.OwnerReferences, render.IsLifecycle)
}
