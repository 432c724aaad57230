package migrate

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

func TestTheControllerManagerIsFoundUnderAnyName(t *testing.T) {
	deployment := func(name, image string, command ...string) *appsv1.Deployment {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}}
		d.Spec.Template.Spec.Containers = []corev1.Container{{Image: "example.com/sidecar:v1"}, {Image: image, Command: command}}
		return d
	}
	for name, test := range map[string]struct {
		deployment *appsv1.Deployment
		want       bool
	}{
		"its name":              {deployment("clusterpedia-controller-manager", "x"), true},
		"the name of a release": {deployment("my-clusterpedia-controller-manager", "x"), true},
		"its image":             {deployment("x", "mirror.example.com/clusterpedia-io/controller-manager:v0.8.0"), true},
		"its command":           {deployment("x", "x", "/usr/local/bin/clusterpedia-controller-manager", "-v=3"), true},
		"the API server":        {deployment("clusterpedia-apiserver", "example.com/clusterpedia/apiserver:v0.8.0"), false},
		"the other manager":     {deployment("clusterpedia-clustersynchro-manager", "example.com/clusterpedia/clustersynchro-manager:v1"), false},
		"that of somebody else": {deployment("controller-manager", "example.com/controller-manager"), false},
		"this server":           {deployment("policy-apiserver", "example.com/policy-apiserver:v1"), false},
	} {
		if got := isManager(test.deployment); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func lifecycle(name string, uid types.UID, change ...func(*unstructured.Unstructured)) unstructured.Unstructured {
	object := unstructured.Unstructured{Object: map[string]any{
		"apiVersion": policyv1alpha1.SchemeGroupVersion.String(), "kind": "PediaClusterLifecycle", "spec": map[string]any{"template": "x"}}}
	object.SetName(name)
	object.SetUID(uid)
	for _, change := range change {
		change(&object)
	}
	return object
}

func beingDeleted(object *unstructured.Unstructured) {
	now := metav1.Now()
	object.SetDeletionTimestamp(&now)
	object.SetFinalizers([]string{"clusterpedia.io/former"})
}

func TestADeletionThatHasBegunIsInTheWay(t *testing.T) {
	m := New(Config{})
	var found problems
	m.checkDeletions([]unstructured.Unstructured{lifecycle("stays", "a"), lifecycle("goes", "b", beingDeleted), *canary("pediaclusterlifecycles", probeName)}, &found)
	if len(found) != 1 || !found[0].blocks || !strings.Contains(found[0].text, `"goes" is being deleted and has the finalizers clusterpedia.io/former`) {
		t.Error(found)
	}
}

func TestAnOwnerThatDoesNotExistIsInTheWay(t *testing.T) {
	pediaCluster := func(name, group string, uid types.UID) *unstructured.Unstructured {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(render.PediaClusterGVR.GroupVersion().WithKind("PediaCluster"))
		object.SetName(name)
		object.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: group + "/v1alpha1", Kind: "PediaClusterLifecycle", Name: name, UID: uid}})
		return object
	}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{render.PediaClusterGVR: "PediaClusterList"},
		pediaCluster("backed", policyv1alpha1.GroupName, "a"), pediaCluster("lost", policyv1alpha1.GroupName, "z"),
		pediaCluster("foreign", "example.com", "z"))
	var found problems
	err := New(Config{Objects: client}).checkOwners(t.Context(), []unstructured.Unstructured{lifecycle("backed", "a")}, &found)
	if err != nil || len(found) != 1 || !found[0].blocks || !strings.HasPrefix(found[0].text, `PediaCluster "lost"`) {
		t.Error(found, err)
	}
}

func TestWhatHasChangedSinceTheExport(t *testing.T) {
	base := []unstructured.Unstructured{lifecycle("one", "a"), lifecycle("two", "b")}
	for name, test := range map[string]struct {
		live []unstructured.Unstructured
		told string
	}{
		"nothing": {live: base},
		"what the migration changes": {live: []unstructured.Unstructured{base[1], lifecycle("one", "a", func(o *unstructured.Unstructured) {
			o.SetResourceVersion("2")
			o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "x"}})
			o.SetFinalizers([]string{"x"})
			o.Object["status"] = map[string]any{"x": "y"}
		})}},
		"a label": {live: []unstructured.Unstructured{base[1], lifecycle("one", "a", func(o *unstructured.Unstructured) {
			o.SetLabels(map[string]string{"team": "blue"})
		})}, told: `"one" has changed`},
		"a deletion":     {live: []unstructured.Unstructured{base[1], lifecycle("one", "a", beingDeleted)}, told: `"one" has changed`},
		"one is gone":    {live: base[:1], told: `"two" no longer exists`},
		"one is new":     {live: append(base[:2:2], lifecycle("three", "c")), told: `"three" is new`},
		"one came again": {live: []unstructured.Unstructured{base[0], lifecycle("two", "c")}, told: `"two" is new`},
	} {
		t.Run(name, func(t *testing.T) {
			err := differences(base, test.live)
			if (err == nil) != (test.told == "") || err != nil && !strings.Contains(err.Error(), test.told) {
				t.Errorf("want %q, got %v", test.told, err)
			}
		})
	}
}

func TestFinalizersOfAnEarlierExportAreKept(t *testing.T) {
	earlier := []unstructured.Unstructured{lifecycle("one", "a"), lifecycle("two", "b")}
	earlier[0].SetFinalizers([]string{"example.com/x"})
	earlier[1].SetFinalizers([]string{"example.com/y"})
	now := []unstructured.Unstructured{lifecycle("one", "a"), lifecycle("two", "b"), lifecycle("three", "c")}
	now[1].SetFinalizers([]string{"example.com/z"})
	restoreFinalizers(now, earlier)
	for i, want := range []string{"example.com/x", "example.com/z", ""} {
		if got := strings.Join(now[i].GetFinalizers(), ","); got != want {
			t.Errorf("%s has %q, want %q", now[i].GetName(), got, want)
		}
	}
}
