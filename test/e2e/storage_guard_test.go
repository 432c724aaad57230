package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// storageDir is the data of the embedded etcd of the server.
func (h *host) storageDir() string { return filepath.Join(h.dir, "policy-apiserver") }

// importedClusters makes a platform with that many clusters, all imported, and
// returns the UIDs of their PediaClusters by name.
func importedClusters(t *testing.T, h *host, name string, count int) (*platform, map[string]types.UID) {
	t.Helper()
	p := h.installPlatform(t, name)
	inParallel(t, count, func(ctx context.Context, i int) error {
		return p.createCluster(ctx, clusterName(i), clusterToken(i), true)
	})
	checkImports(t, p, count)
	return p, uidsOf(t, h)
}

func uidsOf(t *testing.T, h *host) map[string]types.UID {
	t.Helper()
	uids := map[string]types.UID{}
	for _, cluster := range listPediaClusters(t, h) {
		uids[cluster.GetName()] = cluster.GetUID()
	}
	return uids
}

// allKept fails the test unless every PediaCluster is the one that it was. It
// lets the garbage collector have its turn first.
func allKept(t *testing.T, h *host, want map[string]types.UID) {
	t.Helper()
	h.awaitGarbageCollection(t)
	got := uidsOf(t, h)
	for name, uid := range want {
		if got[name] != uid {
			t.Errorf("PediaCluster %s was %s and is %q", name, uid, got[name])
		}
	}
}

// awaitGarbageCollection returns when the garbage collector has deleted an object
// that was made now and whose owner does not exist.
func (h *host) awaitGarbageCollection(t *testing.T) {
	t.Helper()
	client := h.objects.Resource(configMaps).Namespace("default")
	orphan := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{
		"generateName": "orphan-",
		"ownerReferences": []any{map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "name": "not-there", "uid": "00000000-0000-0000-0000-000000000000"}},
	}}}
	orphan, err := client.Create(t.Context(), orphan, metav1.CreateOptions{})
	must(t, err)
	eventually(t, "the garbage collector works", func() error {
		_, err := client.Get(t.Context(), orphan.GetName(), metav1.GetOptions{})
		return gone(err)
	})
}

var acceptance = regexp.MustCompile(`--accept-storage=([0-9a-f-]{36})`)

// waitUntilRefused waits until the API says why it does not serve its storage,
// and returns what it says and the id that it names.
func waitUntilRefused(t *testing.T, h *host) (message, id string) {
	t.Helper()
	eventually(t, "the storage is refused", func() error {
		_, err := h.policy.PolicyV1alpha1().ClusterImportPolicies().List(t.Context(), metav1.ListOptions{})
		if err == nil {
			return errors.New("it is served")
		}
		message = err.Error()
		found := acceptance.FindStringSubmatch(message)
		if found == nil {
			return err
		}
		id = found[1]
		return nil
	})
	return message, id
}

// waitUntilServed waits until policies can be listed.
// waitUntilServed has time for the Lease of a killed replica to run out and for
// the handover after it.
func waitUntilServed(t *testing.T, h *host) {
	t.Helper()
	within(t, 3*time.Minute, "the storage is served", func() error {
		_, err := h.policy.PolicyV1alpha1().ClusterImportPolicies().List(t.Context(), metav1.ListOptions{})
		return err
	})
}

func TestRule12AnEmptyStorageIsNotServed(t *testing.T) {
	const clusters = 20
	h := ownHost(t)
	p, before := importedClusters(t, h, "emptied", clusters)

	aside := h.storageDir() + ".aside"
	must(t, h.server.Stop(t.Context()))
	must(t, os.Rename(h.storageDir(), aside))
	must(t, h.server.Start(t.Context()))

	message, _ := waitUntilRefused(t, h)
	contains(t, message, fmt.Sprintf("%d PediaClusters of the former storage exist", clusters), "0 lifecycles", "restore it from a snapshot")
	_, err := h.Kubectl(t.Context(), nil, "get", "clusterimportpolicy")
	if err == nil || !strings.Contains(err.Error(), "use the former storage again") {
		t.Errorf("kubectl does not tell why: %v", err)
	}
	_, err = h.tryApply(t, p.manifests.policy.Object)
	if err == nil {
		t.Error("a policy can be written")
	}
	if _, err := h.policy.Discovery().ServerResourcesForGroupVersion("policy.clusterpedia.io/v1alpha1"); err != nil {
		t.Errorf("discovery is not answered: %v", err)
	}
	h.kubectl(t, "create", "namespace", "short-lived")
	h.kubectl(t, "delete", "namespace", "short-lived", "--timeout=60s")
	allKept(t, h, before)

	// The former storage comes back: everything goes on as it was.
	must(t, h.server.Stop(t.Context()))
	must(t, os.RemoveAll(h.storageDir()))
	must(t, os.Rename(aside, h.storageDir()))
	must(t, h.server.Start(t.Context()))
	waitUntilServed(t, h)
	p.setToken(t, clusterName(0), "a new token")
	p.waitForToken(t, clusterName(0), "a new token")
	p.setToken(t, clusterName(0), clusterToken(0))
	p.waitForToken(t, clusterName(0), clusterToken(0))
	checkImports(t, p, clusters)
	allKept(t, h, before)
}

func TestRule12AnAcceptedStorageTakesUpWhatIsThere(t *testing.T) {
	const clusters = 20
	h := ownHost(t)
	p, before := importedClusters(t, h, "accepted", clusters)
	h.patch(t, h.objects.Resource(pediaClusters), p.pediaClusterName(clusterName(3)), `{"metadata":{"labels":{"team":"blue"}}}`)

	former, aside := h.storageID(t), h.storageDir()+".aside"
	must(t, h.server.Stop(t.Context()))
	must(t, os.Rename(h.storageDir(), aside))
	must(t, h.server.Start(t.Context()))
	_, id := waitUntilRefused(t, h)

	h.restartServer(t, "--accept-storage=00000000-0000-0000-0000-000000000000")
	if message, again := waitUntilRefused(t, h); again != id {
		t.Errorf("another id is accepted: %s", message)
	}
	h.restartServer(t, "--accept-storage="+id)
	waitUntilServed(t, h)
	allKept(t, h, before)
	for _, cluster := range listPediaClusters(t, h) {
		if owners := cluster.GetOwnerReferences(); len(owners) > 0 {
			t.Errorf("%s has owners that are lost: %v", cluster.GetName(), owners)
		}
	}

	p.apply(t, p.manifests.policy.Object)
	checkImports(t, p, clusters)
	allKept(t, h, before)
	cluster, err := p.pediaCluster(t.Context(), clusterName(3))
	must(t, err)
	must(t, same("the label of a user", cluster.GetLabels()["team"], "blue"))

	// It is the storage of this host from now on.
	h.restartServer(t)
	waitUntilServed(t, h)
	p.deleteCluster(t, clusterName(0))
	p.waitUntilGone(t, clusterName(0))
	delete(before, p.pediaClusterName(clusterName(0)))

	// The former one is not, though a manifest may still accept it.
	must(t, h.server.Stop(t.Context()))
	must(t, os.RemoveAll(h.storageDir()))
	must(t, os.Rename(aside, h.storageDir()))
	h.restartServer(t, "--accept-storage="+former)
	eventually(t, "the former storage is refused", func() error {
		_, err := h.policy.PolicyV1alpha1().ClusterImportPolicies().List(t.Context(), metav1.ListOptions{})
		if err == nil {
			return errors.New("it is served")
		}
		return mentions(err.Error(), "the storage "+former+" served this host before, and was replaced by "+id)
	})
	allKept(t, h, before)
}

// storageID is the id of the storage that the host remembers.
func (h *host) storageID(t *testing.T) string {
	t.Helper()
	record, err := h.objects.Resource(configMaps).Namespace(metav1.NamespaceSystem).Get(t.Context(), "policy-apiserver-storage", metav1.GetOptions{})
	must(t, err)
	return text(record, "data", "storage-id")
}

func TestRule12ASnapshotHasGapsAndNothingIsDeleted(t *testing.T) {
	const before, after = 10, 20
	h := ownHost(t)
	p, _ := importedClusters(t, h, "restored", before)

	must(t, h.server.Stop(t.Context()))
	must(t, os.CopyFS(h.storageDir()+".copy", os.DirFS(h.storageDir())))
	must(t, h.server.Start(t.Context()))
	inParallel(t, after-before, func(ctx context.Context, i int) error {
		return p.createCluster(ctx, clusterName(before+i), clusterToken(before+i), true)
	})
	checkImports(t, p, after)
	p.deleteCluster(t, clusterName(1))
	p.waitUntilGone(t, clusterName(1))
	kept := uidsOf(t, h)

	must(t, h.server.Stop(t.Context()))
	must(t, os.RemoveAll(h.storageDir()))
	must(t, os.Rename(h.storageDir()+".copy", h.storageDir()))
	must(t, h.server.Start(t.Context()))
	waitUntilServed(t, h)
	allKept(t, h, kept)
	must(t, p.createCluster(t.Context(), "again", clusterToken(1), true))
	p.waitForToken(t, "again", clusterToken(1))
	p.waitUntilGone(t, clusterName(1))
	p.deleteCluster(t, "again")
	p.waitUntilGone(t, "again")
	// The Secret is there already.
	must(t, p.createObject(t.Context(), clusterName(1), true))
	p.waitForToken(t, clusterName(1), clusterToken(1))
	checkImports(t, p, after)
	allKept(t, h, kept)
}

func TestRule12AWatchOfAnotherStorageBeginsAnew(t *testing.T) {
	watch := func(resourceVersion string) error {
		watcher, err := shared.policy.PolicyV1alpha1().PediaClusterLifecycles().Watch(t.Context(), metav1.ListOptions{ResourceVersion: resourceVersion})
		if err == nil {
			watcher.Stop()
		}
		return err
	}
	if err := watch("9000000000000"); !apierrors.IsResourceExpired(err) {
		t.Errorf("a watch from a revision that storage has not reached is answered: %v", err)
	}
	list, err := shared.policy.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, resourceVersion := range []string{"", "0", list.ResourceVersion} {
		must(t, watch(resourceVersion))
	}
}

func TestRule12ASecondReplicaWithAnEtcdOfItsOwnIsRefused(t *testing.T) {
	h := ownHost(t)
	lease := schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	held, err := h.objects.Resource(lease).Namespace(devcluster.Namespace).Get(t.Context(), "policy-apiserver-embedded-etcd", metav1.GetOptions{})
	must(t, err)
	id := h.storageID(t)
	must(t, mentions(text(held, "spec", "holderIdentity"), id+"_"))

	// The first replica was killed a moment ago, as far as the second one knows.
	must(t, h.server.Kill())
	must(t, os.RemoveAll(h.storageDir()))
	must(t, h.server.Start(t.Context()))
	eventually(t, "the second replica says why it does not serve", func() error {
		_, err := h.policy.PolicyV1alpha1().ClusterImportPolicies().List(t.Context(), metav1.ListOptions{})
		if err == nil {
			return errors.New("it serves")
		}
		return mentions(err.Error(), "another replica with an embedded etcd", "scale to one", id)
	})
	// The first one never comes back.
	waitUntilServed(t, h)
}

func TestRule12TheFormerStorageIsNoLongerServedWhenAnotherIsAccepted(t *testing.T) {
	const clusters = 10
	h := ownHost(t)
	storage, err := h.StartStorage(t.Context(), 1)
	must(t, err)
	t.Cleanup(func() { _ = h.server.Stop(context.Background()) }) // before its etcd
	h.restartServer(t, storage.Flag(), "--etcd-prefix=/former")
	waitUntilServed(t, h)
	p, before := importedClusters(t, h, "rolled", clusters)

	// As in a rolling update, the next replica comes while the former one works. One
	// that is refused does not become ready.
	refused, known := context.WithCancel(t.Context())
	var id string
	go func() {
		defer known()
		for ; id == "" && t.Context().Err() == nil; time.Sleep(50 * time.Millisecond) {
			log, _ := os.ReadFile(h.LogFile("next"))
			if found := acceptance.FindSubmatch(log); found != nil {
				id = string(found[1])
			}
		}
	}()
	options := devcluster.ReplicaOptions{Name: "next", Args: []string{"--etcd-prefix=/next"}}
	if _, err := h.StartReplica(refused, storage, options); err == nil {
		t.Error("a replica is ready whose storage is refused")
	}
	<-refused.Done()
	if !h.server.Running() {
		t.Fatal("a storage that is refused ends the one that is served")
	}
	options.Args = append(options.Args, "--accept-storage="+id)
	accepted, err := h.StartReplica(t.Context(), storage, options)
	must(t, err)
	if h.server.Running() {
		t.Error("the former storage is still served when the next one is")
	}
	for _, cluster := range listPediaClusters(t, h) {
		if owners := cluster.GetOwnerReferences(); len(owners) > 0 {
			t.Errorf("%s has owners that are lost: %v", cluster.GetName(), owners)
		}
	}
	must(t, accepted.Stop(t.Context()))

	h.restartServer(t, storage.Flag(), "--etcd-prefix=/next")
	waitUntilServed(t, h)
	allKept(t, h, before)
	p.apply(t, p.manifests.policy.Object)
	checkImports(t, p, clusters)
	allKept(t, h, before)
}

// restartServer starts the server anew with other flags.
func (h *host) restartServer(t *testing.T, flags ...string) {
	t.Helper()
	must(t, h.server.Stop(t.Context()))
	server, err := h.StartServer(t.Context(), devcluster.ServerOptions{Manifests: artifacts + "/deploy/base", Args: flags})
	must(t, err)
	h.server = server
}
