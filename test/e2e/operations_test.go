package e2e

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

// What docs/operations.md says about taking the server out of a host, for a while
// or for good, is done here as it stands there.
func TestTheServerCanBeTakenOutWithoutLosingAPediaCluster(t *testing.T) {
	const clusters = 10
	h := ownHost(t)
	p, before := importedClusters(t, h, "operated", clusters)

	// The server is down: with the APIService gone, the host does not miss it.
	must(t, h.server.Stop(t.Context()))
	h.kubectl(t, "delete", "apiservice", devcluster.APIServiceName)
	h.kubectl(t, "create", "namespace", "short-lived")
	h.kubectl(t, "delete", "namespace", "short-lived", "--timeout=60s")
	allKept(t, h, before)
	h.restartServer(t)
	waitUntilServed(t, h)
	p.setToken(t, clusterName(0), "rotated meanwhile")
	p.waitForToken(t, clusterName(0), "rotated meanwhile")
	allKept(t, h, before)

	// Uninstalling: the policies leave their PediaClusters behind.
	h.kubectl(t, "delete", "clusterimportpolicies", "--all", "--cascade=orphan", "--timeout=60s")
	eventually(t, "all lifecycles are gone", func() error {
		list, err := h.policy.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(), metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			err = errors.New("some are left")
		}
		return err
	})
	for _, cluster := range listPediaClusters(t, h) {
		if _, marked := cluster.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]; marked || len(cluster.GetOwnerReferences()) > 0 {
			t.Errorf("%s still belongs to the server: %v", cluster.GetName(), cluster.Object["metadata"])
		}
	}
	h.kubectl(t, "delete", "apiservice", devcluster.APIServiceName)
	must(t, h.server.Stop(t.Context()))
	h.kubectl(t, "delete", "namespace", devcluster.Namespace, "--timeout=60s")

	// What remains, in the words of docs/operations.md.
	h.kubectl(t, "-n", "kube-system", "delete", "configmap", "policy-apiserver-storage")
	h.kubectl(t, "delete", "clusterroles", "-l", "policy.clusterpedia.io/aggregate-to-server=true")
	allKept(t, h, before)
}

func TestRule12AServerWhoseHostIsServedFromAnotherStorageEnds(t *testing.T) {
	h := ownHost(t)
	_, before := importedClusters(t, h, "replaced", 3)
	h.patch(t, h.objects.Resource(configMaps).Namespace(metav1.NamespaceSystem), "policy-apiserver-storage",
		`{"data":{"storage-id":"11111111-2222-3333-4444-555555555555"}}`)
	eventually(t, "the server ends", func() error {
		if h.server.Running() {
			return errors.New("it runs")
		}
		return nil
	})
	must(t, h.server.Start(t.Context()))
	message, id := waitUntilRefused(t, h)
	contains(t, message, "served from the storage 11111111-2222-3333-4444-555555555555", "3 lifecycles")
	h.restartServer(t, "--accept-storage="+id)
	waitUntilServed(t, h)
	allKept(t, h, before)
}

func TestAHostThatComesLateIsWaitedFor(t *testing.T) {
	h := ownHost(t)
	p, before := importedClusters(t, h, "late", 3)
	must(t, h.RestartAPIServer(t.Context()))
	p.setToken(t, clusterName(1), "after the restart")
	p.waitForToken(t, clusterName(1), "after the restart")
	must(t, p.createCluster(t.Context(), "later", "its token", true))
	p.waitForToken(t, "later", "its token")
	allKept(t, h, before)
	if !h.server.Running() {
		t.Error("the server did not outlive the host's restart")
	}
}
