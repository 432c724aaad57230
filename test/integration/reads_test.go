package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

const groupVersionPath = "/apis/policy.clusterpedia.io/v1alpha1"

// getJSON decodes what jane gets from the path.
func getJSON(t *testing.T, path, accept string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, shared.loopback.Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := rawClient(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestAWatchBeginsWithWhatIsThereAndMarksItsPlace(t *testing.T) {
	ctx, policies := t.Context(), asUser(t).ClusterImportPolicies()
	policy := newPolicy("watched")
	policy.Labels = map[string]string{"test": "watch"}
	created := createPolicy(t, policy)
	w, err := policies.Watch(ctx, metav1.ListOptions{
		LabelSelector:        "test=watch",
		AllowWatchBookmarks:  true,
		SendInitialEvents:    ptr.To(true),
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	next := func() watch.Event {
		t.Helper()
		select {
		case event := <-w.ResultChan():
			return event
		case <-time.After(20 * time.Second):
			t.Fatal("nothing came")
			return watch.Event{}
		}
	}

	if event := next(); event.Type != watch.Added || event.Object.(*policyv1alpha1.ClusterImportPolicy).UID != created.UID {
		t.Fatalf("first came %s %+v", event.Type, event.Object)
	}
	bookmark := next()
	mark, _ := bookmark.Object.(*policyv1alpha1.ClusterImportPolicy)
	if bookmark.Type != watch.Bookmark || mark.Annotations[metav1.InitialEventsAnnotationKey] != "true" || mark.ResourceVersion == "" {
		t.Fatalf("then came %s %+v", bookmark.Type, bookmark.Object)
	}
	// From now on bookmarks come when the server sees fit.
	change := func() watch.Event {
		t.Helper()
		for {
			if event := next(); event.Type != watch.Bookmark {
				return event
			}
		}
	}
	created.Spec.Suspend = true
	if _, err := policies.Update(ctx, created, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if event := change(); event.Type != watch.Modified {
		t.Errorf("after an update came %s %+v", event.Type, event.Object)
	}
	removePolicy(t, "watched")
	if event := change(); event.Type != watch.Modified {
		t.Errorf("after the deletion began came %s %+v", event.Type, event.Object)
	}
	if event := change(); event.Type != watch.Deleted {
		t.Errorf("at last came %s %+v", event.Type, event.Object)
	}
}

func TestAListComesInPages(t *testing.T) {
	ctx, policies := t.Context(), asUser(t).ClusterImportPolicies()
	var want []string
	for i := range 5 {
		policy := newPolicy(fmt.Sprintf("page-%d", i))
		policy.Labels = map[string]string{"test": "pages"}
		want = append(want, createPolicy(t, policy).Name)
	}
	var got []string
	var sizes []int
	options := metav1.ListOptions{LabelSelector: "test=pages", Limit: 2}
	for {
		page, err := policies.List(ctx, options)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(page.Items))
		for _, policy := range page.Items {
			got = append(got, policy.Name)
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || !slices.Equal(sizes, []int{2, 2, 1}) {
		t.Errorf("pages of %v: -want +got:\n%s", sizes, diff)
	}
}

func TestObjectsAreSelectedByLabelsAndFields(t *testing.T) {
	ctx := t.Context()
	createPolicy(t, newPolicy("selected"))
	for _, lifecycle := range []*policyv1alpha1.PediaClusterLifecycle{
		newLifecycle("sel-a-1", "a", "one"), newLifecycle("sel-a-2", "a", "two"), newLifecycle("sel-b-1", "b", "one"),
	} {
		if lifecycle.Name == "sel-b-1" {
			lifecycle.Status.Phase = policyv1alpha1.LifecycleHeld
		}
		lifecycle.Labels = map[string]string{"test": "select", "policy": lifecycle.Spec.Source.Namespace}
		createLifecycle(t, lifecycle)
	}
	for _, test := range []struct {
		labels, fields string
		want           []string
	}{
		{"test=select,policy=a", "", []string{"sel-a-1", "sel-a-2"}},
		{"test=select", "metadata.name=sel-a-2", []string{"sel-a-2"}},
		{"test=select", "policy=a", []string{"sel-a-1", "sel-a-2"}},
		{"test=select", "policy!=a", []string{"sel-b-1"}},
		{"test=select", "spec.source.name=one", []string{"sel-a-1", "sel-b-1"}},
		{"test=select", "spec.source.name=one,spec.source.namespace=b", []string{"sel-b-1"}},
		{"test=select", "spec.source.group=cluster.mcp.io,spec.source.resource=clusters", []string{"sel-a-1", "sel-a-2", "sel-b-1"}},
		{"test=select", "spec.source.resource=secrets", nil},
		{"test=select", "status.phase=Held", []string{"sel-b-1"}},
		{"test=select", "status.phase=Pending,spec.source.name=two", []string{"sel-a-2"}},
	} {
		list, err := asUser(t).PediaClusterLifecycles().List(ctx, metav1.ListOptions{LabelSelector: test.labels, FieldSelector: test.fields})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, lifecycle := range list.Items {
			got = append(got, lifecycle.Name)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s %s: -want +got:\n%s", test.labels, test.fields, diff)
		}
	}

	policies, err := asUser(t).ClusterImportPolicies().List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=selected"})
	if err != nil || len(policies.Items) != 1 {
		t.Errorf("policies by name: %v, %v", policies, err)
	}
	_, err = asUser(t).PediaClusterLifecycles().List(ctx, metav1.ListOptions{FieldSelector: "phase=Failed"})
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "known are metadata.name, policy") {
		t.Errorf("an unknown field: %v", err)
	}
}

func TestATableComesToWhoAsksForOne(t *testing.T) {
	policy := newPolicy("tabled")
	policy.Labels = map[string]string{"test": "tables"}
	createPolicy(t, policy)
	lifecycle := newLifecycle("tabled", "mcp", "amsterdam")
	createLifecycle(t, lifecycle)

	const asTable = "application/json;as=Table;g=meta.k8s.io;v=v1"
	for path, want := range map[string][]any{
		"/clusterimportpolicies?labelSelector=test%3Dtables": {"tabled", "clusters.tabled.mcp.io", 0.0, 0.0, 0.0, 0.0, 0.0, "Unknown"},
		"/clusterimportpolicies/tabled":                      {"tabled", "clusters.tabled.mcp.io", 0.0, 0.0, 0.0, 0.0, 0.0, "Unknown"},
		"/clusterimportpolicies/tabled/status":               {"tabled", "clusters.tabled.mcp.io", 0.0, 0.0, 0.0, 0.0, 0.0, "Unknown"},
		"/pediaclusterlifecycles/tabled":                     {"tabled", "Pending", "Pending", "<none>", "<none>"},
	} {
		var table metav1.Table
		getJSON(t, groupVersionPath+path, asTable, &table)
		if table.Kind != "Table" || len(table.Rows) != 1 || table.ResourceVersion == "" || len(table.ColumnDefinitions) != len(table.Rows[0].Cells) {
			t.Errorf("%s: %+v", path, table)
			continue
		}
		if diff := cmp.Diff(want, table.Rows[0].Cells[:len(want)]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", path, diff)
		}
	}
}

func TestDiscoveryTellsWhatKubectlNeeds(t *testing.T) {
	var list metav1.APIResourceList
	getJSON(t, groupVersionPath, "application/json", &list)
	for _, want := range []metav1.APIResource{
		{Name: "clusterimportpolicies", SingularName: "clusterimportpolicy", Kind: "ClusterImportPolicy", ShortNames: []string{"cip"}},
		{Name: "pediaclusterlifecycles", SingularName: "pediaclusterlifecycle", Kind: "PediaClusterLifecycle", ShortNames: []string{"pcl"}},
	} {
		want.Categories = []string{"clusterpedia"}
		want.Verbs = metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
		i := slices.IndexFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == want.Name })
		if i < 0 {
			t.Errorf("no %s in %v", want.Name, list.APIResources)
			continue
		}
		got := list.APIResources[i]
		if got.StorageVersionHash == "" {
			t.Errorf("%s has no storageVersionHash", want.Name)
		}
		got.StorageVersionHash = ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestEveryFieldIsExplained(t *testing.T) {
	var v3 struct {
		Info       struct{ Title, Version string }
		Components struct {
			Schemas map[string]struct {
				Description string
				Properties  map[string]struct{ Description string }
			}
		}
	}
	getJSON(t, "/openapi/v3"+groupVersionPath, "application/json", &v3)
	if v3.Info.Title == "" || v3.Info.Version == "" {
		t.Errorf("info is %+v", v3.Info)
	}
	ours := 0
	for name, schema := range v3.Components.Schemas {
		if !strings.HasPrefix(name, "io.clusterpedia.policy.v1alpha1.") {
			continue
		}
		ours++
		if schema.Description == "" {
			t.Errorf("%s is not described", name)
		}
		for property, is := range schema.Properties {
			if is.Description == "" && property != "apiVersion" && property != "kind" {
				t.Errorf("%s.%s is not described", name, property)
			}
		}
	}
	if ours < 10 {
		t.Errorf("only %d schemas are ours", ours)
	}

	var v2 struct {
		Info        struct{ Title string }
		Definitions map[string]any
	}
	getJSON(t, "/openapi/v2", "application/json", &v2)
	if v2.Info.Title != v3.Info.Title || v2.Definitions["io.clusterpedia.policy.v1alpha1.ClusterImportPolicy"] == nil {
		t.Errorf("v2 is about %q and has %d definitions", v2.Info.Title, len(v2.Definitions))
	}
}

func TestObjectsLieWhereTheyBelongInEtcd(t *testing.T) {
	createPolicy(t, newPolicy("stored"))
	createLifecycle(t, newLifecycle("stored", "mcp", "a"))
	client := etcdClient(t)
	for key, kind := range map[string]string{
		"/registry/policy.clusterpedia.io/clusterimportpolicies/stored":  "ClusterImportPolicy",
		"/registry/policy.clusterpedia.io/pediaclusterlifecycles/stored": "PediaClusterLifecycle",
	} {
		response, err := client.Get(t.Context(), key)
		if err != nil || len(response.Kvs) != 1 {
			t.Errorf("%s: %v, %v", key, response, err)
			continue
		}
		var stored metav1.TypeMeta
		if err := json.Unmarshal(response.Kvs[0].Value, &stored); err != nil {
			t.Fatal(err)
		}
		if want := (metav1.TypeMeta{Kind: kind, APIVersion: "policy.clusterpedia.io/v1alpha1"}); stored != want {
			t.Errorf("%s holds a %v", key, stored)
		}
	}
}

func TestWhatIsWrittenToEtcdIsServedUnchecked(t *testing.T) {
	createPolicy(t, newPolicy("forged"))
	client := etcdClient(t)
	const key = "/registry/policy.clusterpedia.io/clusterimportpolicies/forged"
	response, err := client.Get(t.Context(), key)
	if err != nil || len(response.Kvs) != 1 {
		t.Fatalf("%v, %v", response, err)
	}
	// No author could have this accepted.
	forged := strings.ReplaceAll(string(response.Kvs[0].Value), "mcp-{{ .source.metadata.name }}", "{{ nonsense }}")
	if _, err := client.Put(t.Context(), key, forged); err != nil {
		t.Fatal(err)
	}
	served, err := asUser(t).ClusterImportPolicies().Get(t.Context(), "forged", metav1.GetOptions{})
	if err != nil || served.Spec.NameTemplate != "{{ nonsense }}" {
		t.Errorf("served %q, %v", served.Spec.NameTemplate, err)
	}
}

func etcdClient(t *testing.T) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{shared.endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}
