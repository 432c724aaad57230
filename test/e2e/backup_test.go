package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Case 20, on another host: what docs/operations.md says about tools that back up objects of the
// API. Such a tool keeps of an object's metadata no more than name, labels and annotations, and
// nothing of its status.
func TestABackupOfObjectsIsRestoredOntoAnEmptyHost(t *testing.T) {
	target := ownHost(t)
	from := shared.installPlatform(t, "backedup")
	for _, cluster := range []string{"one", "two"} {
		must(t, from.createCluster(t.Context(), cluster, "old", true))
		from.waitForToken(t, cluster, "old")
	}
	must(t, from.createCluster(t.Context(), "three", "old", false))
	from.waitForCondition(t, "three", policyv1alpha1.LifecycleReady, metav1.ConditionFalse)
	from.kubectl(t, "label", "pediacluster", "backedup-one", "team=blue")

	p := target.newPlatform(t, "backedup")
	p.installType(t)
	restore := func(kinds ...schema.GroupVersionResource) error {
		objects := unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
		for _, kind := range kinds {
			objects.Items = append(objects.Items, from.backup(t, kind)...)
		}
		text, err := objects.MarshalJSON()
		must(t, err)
		_, err = target.Kubectl(t.Context(), strings.NewReader(string(text)), "create", "-f", "-")
		return err
	}
	lifecycles := policyv1alpha1.SchemeGroupVersion.WithResource("pediaclusterlifecycles")
	err := restore(secrets, lifecycles, p.resource, pediaClusters)
	if err == nil || strings.Count(err.Error(), "Forbidden") != 3 || strings.Count(err.Error(), "Error") != 3 {
		t.Errorf("of all objects exactly the three lifecycles are refused: %v", err)
	}
	restored := map[string]*unstructured.Unstructured{}
	for _, cluster := range []string{"one", "two"} {
		if restored[cluster], err = p.pediaCluster(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
	}
	must(t, restore(policyv1alpha1.SchemeGroupVersion.WithResource("clusterimportpolicies")))

	for _, cluster := range []string{"one", "two"} {
		lifecycle := p.waitForReady(t, p.pediaClusterName(cluster), policyv1alpha1.ReasonCreated)
		adopted := p.sameObject(t, cluster, restored[cluster])
		if !slices.ContainsFunc(adopted.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return owner.UID == lifecycle.UID }) {
			t.Errorf("%s is owned by %v", cluster, adopted.GetOwnerReferences())
		}
	}
	must(t, same("the label of a user", restored["one"].GetLabels()["team"], "blue"))
	p.waitForReady(t, "backedup-three", policyv1alpha1.ReasonWaitingForCondition)

	p.setToken(t, "one", "new")
	p.waitForToken(t, "one", "new")
	p.deleteCluster(t, "two")
	p.waitUntilGone(t, "two")
	p.waitForPolicy(t, "has its clusters", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if want := (policyv1alpha1.ImportCounts{Selected: 2, Created: 1, Imported: 1, Waiting: 1}); status.Counts != want {
			return fmt.Errorf("its counts are %+v", status.Counts)
		}
		return nil
	})
}

// backup returns what a backup has of the objects of the platform.
func (p *platform) backup(t *testing.T, kind schema.GroupVersionResource) (objects []unstructured.Unstructured) {
	t.Helper()
	list, err := p.objects.Resource(kind).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, item := range list.Items {
		if item.GetNamespace() != p.name && !strings.HasPrefix(item.GetName()+"-", p.name+"-") && kind != p.resource {
			continue
		}
		metadata := map[string]any{"name": item.GetName()}
		for _, field := range []string{"namespace", "labels", "annotations"} {
			if value, ok, _ := unstructured.NestedFieldCopy(item.Object, "metadata", field); ok {
				metadata[field] = value
			}
		}
		item.Object["metadata"] = metadata
		delete(item.Object, "status")
		objects = append(objects, item)
	}
	if len(objects) == 0 {
		t.Fatal("nothing to back up of ", kind.Resource)
	}
	return objects
}
