package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// The finalizers of the controllers that Clusterpedia's controller-manager runs.
const (
	formerPolicyFinalizer    = "clusterpedia.io/cluster-import-policy-controller"
	formerLifecycleFinalizer = "clusterpedia.io/pediacluster-lifecycle-controller"
)

// storedObject is an object of the shared server as its etcd has it.
type storedObject struct {
	client *clientv3.Client
	key    string
}

func stored(t *testing.T, resource, name string) storedObject {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{shared.endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return storedObject{client, "/registry/policy.clusterpedia.io/" + resource + "/" + name}
}

func (s storedObject) read(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	response, err := s.client.Get(t.Context(), s.key)
	if err != nil || len(response.Kvs) != 1 {
		t.Fatalf("%s: %v, %v", s.key, response, err)
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(response.Kvs[0].Value, &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

// write changes the object past the API, as an older release has left it.
func (s storedObject) write(t *testing.T, change func(*unstructured.Unstructured)) {
	t.Helper()
	object := s.read(t)
	change(object)
	text, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Put(t.Context(), s.key, string(text)); err != nil {
		t.Fatal(err)
	}
}

func TestStoredObjectsLoseTheFinalizersOfClusterpediasControllers(t *testing.T) {
	ctx, policies, lifecycles := t.Context(), asUser(t).ClusterImportPolicies(), asUser(t).PediaClusterLifecycles()
	createPolicy(t, newPolicy("upgraded"))
	createLifecycle(t, newLifecycle("upgraded", "upgraded", "a"))
	for resource, finalizer := range map[string]string{"clusterimportpolicies": formerPolicyFinalizer, "pediaclusterlifecycles": formerLifecycleFinalizer} {
		t.Run(resource, func(t *testing.T) {
			want := []string{"example.com/mine", policyv1alpha1.Finalizer}
			read := func() (metav1.Object, error) { return policies.Get(ctx, "upgraded", metav1.GetOptions{}) }
			list := func() (found []metav1.Object, err error) {
				list, err := policies.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=upgraded"})
				for i := range list.Items {
					found = append(found, &list.Items[i])
				}
				return found, err
			}
			patch := func(text string) error {
				_, err := policies.Patch(ctx, "upgraded", types.MergePatchType, []byte(text), metav1.PatchOptions{})
				return err
			}
			if resource == "pediaclusterlifecycles" {
				read = func() (metav1.Object, error) { return lifecycles.Get(ctx, "upgraded", metav1.GetOptions{}) }
				list = func() (found []metav1.Object, err error) {
					list, err := lifecycles.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=upgraded"})
					for i := range list.Items {
						found = append(found, &list.Items[i])
					}
					return found, err
				}
				patch = func(text string) error {
					_, err := lifecycles.Patch(ctx, "upgraded", types.MergePatchType, []byte(text), metav1.PatchOptions{})
					return err
				}
			}

			in := stored(t, resource, "upgraded")
			in.write(t, func(object *unstructured.Unstructured) {
				object.SetFinalizers([]string{finalizer, "example.com/mine", "foregroundDeletion", policyv1alpha1.Finalizer, "orphan"})
			})
			got, err := read()
			if err != nil || !slices.Equal(got.GetFinalizers(), want) {
				t.Fatalf("read: %v, %v", got.GetFinalizers(), err)
			}
			if found, err := list(); err != nil || len(found) != 1 || !slices.Equal(found[0].GetFinalizers(), want) {
				t.Errorf("listed: %v, %v", found, err)
			}
			// What was there is not there to be kept.
			add := fmt.Sprintf(`{"metadata":{"finalizers":[%q,%q]}}`, policyv1alpha1.Finalizer, finalizer)
			if err := patch(add); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "controller-manager") {
				t.Errorf("added again: %v", err)
			}
			// The next write takes it out of storage.
			if err := patch(`{"metadata":{"labels":{"a":"b"}}}`); err != nil {
				t.Fatal(err)
			}
			if got := in.read(t).GetFinalizers(); !slices.Equal(got, want) {
				t.Errorf("stored: %v", got)
			}

			// Nobody is left to end a deletion that waited for such a finalizer only:
			// this server does, and the object does not go before.
			in.write(t, func(object *unstructured.Unstructured) {
				object.SetFinalizers([]string{finalizer})
				object.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
				object.SetDeletionGracePeriodSeconds(new(int64))
			})
			got, err = read()
			if err != nil || !slices.Equal(got.GetFinalizers(), want[1:]) {
				t.Errorf("while it is being deleted: %v, %v", got.GetFinalizers(), err)
			}
			if err := patch(`{"metadata":{"finalizers":null}}`); !apierrors.IsForbidden(err) {
				t.Errorf("a user ends the deletion: %v", err)
			}
		})
	}
}

func TestACreationDropsTheFinalizersOfOthersControllersWithAWarning(t *testing.T) {
	said := &warnings{}
	config := shared.as("jane")
	config.WarningHandler = said
	exported := newPolicy("exported")
	exported.Finalizers = []string{formerPolicyFinalizer, "example.com/mine"}
	exported.Status.SourceVersion = "v1"
	created, err := clientFor(t, config).ClusterImportPolicies().Create(t.Context(), exported, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := asServer(t).ClusterImportPolicies().Patch(context.Background(), "exported", types.MergePatchType,
			[]byte(`{"metadata":{"finalizers":["`+policyv1alpha1.Finalizer+`"]}}`), metav1.PatchOptions{})
		tolerate(t, err)
		removePolicy(t, "exported")
	})
	if !slices.Equal(created.Finalizers, []string{"example.com/mine", policyv1alpha1.Finalizer}) || created.Status.SourceVersion != "" {
		t.Errorf("finalizers %v, status %+v", created.Finalizers, created.Status)
	}
	if len(*said) != 1 || !strings.Contains((*said)[0], formerPolicyFinalizer) || !strings.Contains((*said)[0], "Leave it out") {
		t.Errorf("warnings: %q", *said)
	}
}

// warnings keeps those of a server.
type warnings []string

func (w *warnings) HandleWarningHeader(_ int, _, text string) { *w = append(*w, text) }
