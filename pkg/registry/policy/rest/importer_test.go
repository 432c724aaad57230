package rest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/install"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/etcd"
)

// inEtcd are the options of resources that are stored without a watch cache.
type inEtcd storagebackend.Config

func (c inEtcd) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	config := storagebackend.Config(c)
	return generic.RESTOptions{
		StorageConfig: config.ForResource(resource), Decorator: generic.UndecoratedStorage,
		DeleteCollectionWorkers: 1, ResourcePrefix: resource.Group + "/" + resource.Resource,
	}, nil
}

// newStorage returns the storage of the group in an etcd of its own.
func newStorage(t *testing.T) *Storage {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme)
	config := storagebackend.NewDefaultConfig("/test", codecs.LegacyCodec(policyv1alpha1.SchemeGroupVersion))
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir(), QuotaBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Stop)
	config.Transport.ServerList = []string{member.Endpoint}
	storage, err := NewStorage(scheme, codecs, inEtcd(*config), time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		storage.Identity.Destroy()
		for _, endpoint := range storage.Group.VersionedResourcesStorageMap["v1alpha1"] {
			endpoint.Destroy()
		}
	})
	return storage
}

func exported(kind, name, uid string, change ...func(map[string]any)) unstructured.Unstructured {
	object := map[string]any{
		"apiVersion": policyv1alpha1.SchemeGroupVersion.String(), "kind": kind,
		"metadata": map[string]any{
			"name": name, "uid": uid, "resourceVersion": "4711", "creationTimestamp": "2024-05-06T07:08:09Z",
			"labels":     map[string]any{"team": "blue"},
			"finalizers": []any{"clusterpedia.io/former", "x.policy.clusterpedia.io", "foregroundDeletion", "example.com/of-a-user"},
		},
		"spec": map[string]any{
			"source": map[string]any{"group": "mcp.io", "resource": "clusters"}, "nameTemplate": "{{ nope }}", "template": "spec: {}", "creationCondition": "true",
		},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Validated", "status": "True"}}},
	}
	if kind == "PediaClusterLifecycle" {
		delete(object["spec"].(map[string]any), "nameTemplate")
		object["spec"].(map[string]any)["source"] = map[string]any{"group": "mcp.io", "version": "v1", "resource": "clusters", "name": name}
	}
	for _, change := range change {
		change(object["metadata"].(map[string]any))
	}
	return unstructured.Unstructured{Object: object}
}

func ownedBy(kind string, controller any) func(map[string]any) {
	return func(metadata map[string]any) {
		owner := map[string]any{"apiVersion": "policy.clusterpedia.io/v1alpha1", "kind": kind, "name": "mcp", "uid": "p"}
		if controller != nil {
			owner["controller"] = controller
		}
		metadata["ownerReferences"] = []any{owner}
	}
}

func (s *Storage) policy(t *testing.T, name string) *policy.ClusterImportPolicy {
	t.Helper()
	object, err := s.Importer.policies.Get(genericapirequest.NewContext(), name, &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object.(*policy.ClusterImportPolicy)
}

func (s *Storage) lifecycle(t *testing.T, name string) *policy.PediaClusterLifecycle {
	t.Helper()
	object, err := s.Importer.lifecycles.Get(genericapirequest.NewContext(), name, &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object.(*policy.PediaClusterLifecycle)
}

func TestObjectsOfCRDsAreImportedWithTheirUIDs(t *testing.T) {
	s := newStorage(t)
	ours := []string{"example.com/of-a-user", policyv1alpha1.Finalizer}
	objects := []unstructured.Unstructured{
		exported("ClusterImportPolicy", "mcp", "p"),
		exported("PediaClusterLifecycle", "one", "l1", ownedBy("ClusterImportPolicy", true)),
		exported("PediaClusterLifecycle", "two", "l2", ownedBy("ClusterImportPolicy", nil)),
		exported("PediaClusterLifecycle", "nobodys", "l3"),
	}
	if err := s.Importer.Import(t.Context(), objects, false); err != nil {
		t.Fatal(err)
	}

	// Its template does not compile, and its fields have their defaults.
	p := s.policy(t, "mcp")
	if p.UID != "p" || p.Generation != 1 || p.Labels["team"] != "blue" || p.CreationTimestamp.Year() != 2024 || p.Spec.MaxPrune.String() != "10%" ||
		p.Spec.DeletionPolicy != policy.DeletionPolicyDelete || len(p.Status.Conditions) != 1 || p.Status.Conditions[0].Reason != policyv1alpha1.ReasonPending {
		t.Errorf("the policy is %+v", p)
	}
	if diff := cmp.Diff(ours, p.Finalizers); diff != "" {
		t.Error(diff)
	}
	owner := []metav1.OwnerReference{{
		APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "ClusterImportPolicy", Name: "mcp", UID: "p", Controller: ptr.To(true)}}
	for name, want := range map[string]struct {
		uid        string
		owners     []metav1.OwnerReference
		finalizers []string
	}{
		"one":     {"l1", owner, ours},
		"two":     {"l2", owner, ours},
		"nobodys": {"l3", nil, ours[:1]},
	} {
		l := s.lifecycle(t, name)
		if string(l.UID) != want.uid || l.Spec.Source.Name != name {
			t.Errorf("the lifecycle %s is %+v", name, l)
		}
		if diff := cmp.Diff(want.owners, l.OwnerReferences); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff(want.finalizers, l.Finalizers); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}

	// A second time, nothing is written.
	before := p.ResourceVersion
	if err := s.Importer.Import(t.Context(), objects, false); err != nil {
		t.Fatal(err)
	}
	if after := s.policy(t, "mcp").ResourceVersion; after != before {
		t.Errorf("written again: %s, then %s", before, after)
	}
}

func TestStorageThatHoldsSomethingElseIsLeftAlone(t *testing.T) {
	s := newStorage(t)
	first := []unstructured.Unstructured{
		exported("ClusterImportPolicy", "mcp", "p"), exported("PediaClusterLifecycle", "one", "l1", ownedBy("ClusterImportPolicy", true))}
	if err := s.Importer.Import(t.Context(), first, false); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		objects []unstructured.Unstructured
		told    string
	}{
		"another object": {[]unstructured.Unstructured{exported("ClusterImportPolicy", "mcp", "p")}, `"one" with the UID l1`},
		"another UID":    {append(first[:1:1], exported("PediaClusterLifecycle", "one", "l9")), "this storage is not a new one"},
		"no UID":         {append(first[:2:2], exported("PediaClusterLifecycle", "two", "")), "it has no UID"},
		"a deletion": {append(first[:2:2], exported("PediaClusterLifecycle", "two", "l2", func(metadata map[string]any) {
			metadata["deletionTimestamp"] = "2024-05-06T07:08:09Z"
		})), "it is being deleted"},
		"another kind": {append(first[:2:2], exported("RenderReview", "two", "l2")), "neither a policy nor a lifecycle"},
		"another name": {append(first[:2:2], exported("ClusterImportPolicy", "mcp", "p2")), "storage has one with the UID p"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Importer.Import(t.Context(), test.objects, false); err == nil || !strings.Contains(err.Error(), test.told) {
				t.Errorf("want %q, got %v", test.told, err)
			}
			if s.policy(t, "mcp").UID != "p" || s.lifecycle(t, "one").UID != "l1" {
				t.Error("it was changed")
			}
		})
	}

	// What an earlier export has left is replaced.
	if err := s.Importer.Import(t.Context(), []unstructured.Unstructured{exported("PediaClusterLifecycle", "one", "l9")}, true); err != nil {
		t.Fatal(err)
	}
	if uid := s.lifecycle(t, "one").UID; uid != "l9" {
		t.Errorf("the lifecycle has the UID %s", uid)
	}
	_, err := s.Importer.policies.Get(genericapirequest.NewContext(), "mcp", &metav1.GetOptions{})
	if err == nil {
		err = errors.New("the policy is still there")
	}
	if !strings.Contains(err.Error(), "not found") {
		t.Error(err)
	}
}
