package storage

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

func TestALifecycleIsPrinted(t *testing.T) {
	imported := policy.PediaClusterLifecycle{
		ObjectMeta: metav1.ObjectMeta{
			Name: "mcp-amsterdam", ResourceVersion: "7",
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "ClusterImportPolicy", Name: "mcp", Controller: ptr.To(true),
			}},
		},
		Spec: policy.PediaClusterLifecycleSpec{Source: policy.DependentResource{Namespace: "default", Name: "amsterdam"}},
		Status: policy.PediaClusterLifecycleStatus{
			Phase:   policy.LifecycleImported,
			Cluster: &policy.ClusterState{Ready: "True", Version: "v1.36.3", APIServer: "https://10.0.0.1:6443"},
			Credentials: &policy.CredentialsState{
				ChangedTime:    ptr.To(metav1.NewTime(time.Now().Add(-5 * time.Minute))),
				ExpirationTime: ptr.To(metav1.NewTime(time.Now().Add(29*24*time.Hour + time.Hour))),
			},
			Conditions: []metav1.Condition{{Type: "Ready", Status: "True", Reason: "UpToDate", Message: "imported"}},
		},
	}
	fresh := policy.PediaClusterLifecycle{
		ObjectMeta: metav1.ObjectMeta{Name: "mcp-bergen"},
		Spec:       policy.PediaClusterLifecycleSpec{Source: policy.DependentResource{Name: "bergen"}},
	}
	list := &policy.PediaClusterLifecycleList{
		ListMeta: metav1.ListMeta{ResourceVersion: "9", Continue: "more", RemainingItemCount: ptr.To[int64](1)},
		Items:    []policy.PediaClusterLifecycle{imported, fresh},
	}

	table, err := tableConvertor{}.ConvertToTable(context.Background(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]any{
		{"mcp-amsterdam", "mcp", "default/amsterdam", "Imported", "True", "v1.36.3", "https://10.0.0.1:6443", "<unknown>", "UpToDate", "imported", "5m", "29d"},
		{"mcp-bergen", "<none>", "bergen", "Pending", "<none>", "<none>", "<none>", "<unknown>", "", "", "<none>", "<none>"},
	}
	var got [][]any
	for _, row := range table.Rows {
		got = append(got, row.Cells)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(list.ListMeta, table.ListMeta); diff != "" {
		t.Errorf("list metadata: -want +got:\n%s", diff)
	}

	one, err := tableConvertor{}.ConvertToTable(context.Background(), &imported, &metav1.TableOptions{NoHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(one.Rows) != 1 || one.ResourceVersion != "7" || len(one.ColumnDefinitions) != 0 {
		t.Errorf("one lifecycle without headers: %+v", one)
	}
	if _, err := (tableConvertor{}).ConvertToTable(context.Background(), &policy.ClusterImportPolicy{}, nil); err == nil {
		t.Error("a policy is printed as a lifecycle")
	}
}

func TestWhatHasExpiredSaysSo(t *testing.T) {
	now := time.Now()
	for expiration, want := range map[time.Time]string{now.Add(-time.Hour): "expired", now: "expired", now.Add(90 * time.Second): "90s"} {
		if got := expires(ptr.To(metav1.NewTime(expiration)), now); got != want {
			t.Errorf("%s: %q, want %q", expiration.Sub(now), got, want)
		}
	}
}

func TestTheColumnsOfLifecycles(t *testing.T) {
	want := map[int32][]string{
		0: {"Name", "Policy", "Source", "Phase", "Ready", "Version", "APIServer", "Age"},
		1: {"Reason", "Message", "Synced", "Expires"},
	}
	got := map[int32][]string{}
	for _, column := range columns {
		got[column.Priority] = append(got[column.Priority], column.Name)
		if column.Description == "" {
			t.Errorf("column %s has no description", column.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
