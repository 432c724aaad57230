package storage

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

func TestAPolicyIsPrinted(t *testing.T) {
	reconciled := policy.ClusterImportPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "mcp", ResourceVersion: "7"},
		Spec:       policy.ClusterImportPolicySpec{Source: policy.SourceType{Group: "cluster.mcp.io", Resource: "clusters"}},
		Status: policy.ClusterImportPolicyStatus{
			Rollout:    &policy.RolloutStatus{Updated: 2, Total: 3},
			Counts:     policy.ImportCounts{Selected: 3, Created: 1, Waiting: 4, Held: 5, Conflict: 2, Failed: 1, Deleting: 6},
			Conditions: []metav1.Condition{{Type: "Ready", Status: "False", Reason: "Failures", Message: "1 of 3 failed"}},
		},
	}
	fresh := policy.ClusterImportPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "vcluster"},
		Spec:       policy.ClusterImportPolicySpec{Source: policy.SourceType{Resource: "secrets"}},
	}
	list := &policy.ClusterImportPolicyList{
		ListMeta: metav1.ListMeta{ResourceVersion: "9", Continue: "more", RemainingItemCount: ptr.To[int64](1)},
		Items:    []policy.ClusterImportPolicy{reconciled, fresh},
	}

	table, err := tableConvertor{}.ConvertToTable(context.Background(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]any{
		{"mcp", "clusters.cluster.mcp.io", int64(3), int64(1), int64(4), int64(5), int64(3), "False", "<unknown>", int64(6), "2/3", "Failures", "1 of 3 failed"},
		{"vcluster", "secrets", int64(0), int64(0), int64(0), int64(0), int64(0), "Unknown", "<unknown>", int64(0), "<none>", "", ""},
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
	for i, cell := range got[0] {
		_, isInteger := cell.(int64)
		if column := table.ColumnDefinitions[i]; isInteger != (column.Type == "integer") {
			t.Errorf("column %s is declared as %s", column.Name, column.Type)
		}
	}

	one, err := tableConvertor{}.ConvertToTable(context.Background(), &reconciled, &metav1.TableOptions{NoHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(one.Rows) != 1 || one.ResourceVersion != "7" || len(one.ColumnDefinitions) != 0 {
		t.Errorf("one policy without headers: %+v", one)
	}
	if _, err := (tableConvertor{}).ConvertToTable(context.Background(), &policy.PediaClusterLifecycle{}, nil); err == nil {
		t.Error("a lifecycle is printed as a policy")
	}
}

func TestTheColumnsOfPolicies(t *testing.T) {
	want := map[int32][]string{
		0: {"Name", "Source", "Selected", "Created", "Waiting", "Held", "Failed", "Ready", "Age"},
		1: {"Deleting", "Rollout", "Reason", "Message"},
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
