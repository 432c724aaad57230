package decision

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// pediaCluster is the one of lifecycle().
func pediaCluster(change ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetName("mcp-a")
	object.SetCreationTimestamp(metav1.NewTime(then.Add(-time.Hour)))
	object.SetAnnotations(map[string]string{policyv1alpha1.CreatedForAnnotation: "mcp/clusters.cluster.mcp.io//a"})
	for _, f := range change {
		f(object)
	}
	return object
}

func notOurs(object *unstructured.Unstructured) { object.SetAnnotations(nil) }

func ofAnother(object *unstructured.Unstructured) {
	object.SetAnnotations(map[string]string{policyv1alpha1.CreatedForAnnotation: "mcp/clusters.cluster.mcp.io//b"})
}

func ownedByOthers(object *unstructured.Unstructured) {
	object.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "x"}})
}

func TestTheFateOfAPediaCluster(t *testing.T) {
	young := func(object *unstructured.Unstructured) {
		object.SetCreationTimestamp(metav1.NewTime(then.Add(underWay + time.Second)))
	}
	for _, test := range []struct {
		name string
		Removal
		object *unstructured.Unstructured
		want   Fate
	}{
		{"ours", Removal{Lifecycle: lifecycle()}, pediaCluster(), Delete},
		{"ours, which is to be orphaned", Removal{Lifecycle: lifecycle(), Fate: Orphan}, pediaCluster(), Orphan},
		{"ours, which is to be retained", Removal{Lifecycle: lifecycle(), Fate: Retain}, pediaCluster(), Retain},
		{"its users'", Removal{Lifecycle: lifecycle()}, pediaCluster(notOurs), Orphan},
		{"its users', which is to be retained", Removal{Lifecycle: lifecycle(), Fate: Retain}, pediaCluster(notOurs), Orphan},
		{"that of another import", Removal{Lifecycle: lifecycle()}, pediaCluster(ofAnother), Orphan},
		{"one that others own", Removal{Lifecycle: lifecycle()}, pediaCluster(ownedByOthers), Orphan},
		{"ours, of a paused lifecycle", Removal{Lifecycle: lifecycle(paused)}, pediaCluster(), Orphan},
		{"ours, of a lifecycle that a person orphans", Removal{Lifecycle: lifecycle(orphaned)}, pediaCluster(), Orphan},
		{"ours, from before the policy was deleted", Removal{Lifecycle: lifecycle(), Asked: &then}, pediaCluster(), Delete},
		{"ours, from after the policy was deleted", Removal{Lifecycle: lifecycle(), Asked: &then}, pediaCluster(young), Orphan},
		{"ours, young, which nobody asked for", Removal{Lifecycle: lifecycle()}, pediaCluster(young), Delete},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.FateOf(test.object); got != test.want {
				t.Errorf("fate %v, want %v", got, test.want)
			}
		})
	}
}

func TestEveryCauseOfARemovalIsDescribed(t *testing.T) {
	for _, cause := range []string{policyv1alpha1.ReasonSourceGone, policyv1alpha1.ReasonSourceDeselected, policyv1alpha1.ReasonRenamed,
		policyv1alpha1.ReasonPolicyDeleted, policyv1alpha1.ReasonReleased, policyv1alpha1.ReasonDeletionConditionMet} {
		if causes[cause] == "" || !strings.HasPrefix(DescribeCounted(cause), causes[cause]) {
			t.Errorf("%s is described as %q, and as %q when it counts", cause, causes[cause], DescribeCounted(cause))
		}
	}
	if got := DescribeCounted(policyv1alpha1.ReasonSourceGone); !strings.HasSuffix(got, "was not observed") {
		t.Errorf("why it counts that the Source is gone is not in %q", got)
	}
}
