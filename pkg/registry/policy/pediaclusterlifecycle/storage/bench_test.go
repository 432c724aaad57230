package storage

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

// importedLifecycles are lifecycles as they are of a fleet that is imported.
func importedLifecycles(n int) *policy.PediaClusterLifecycleList {
	list := &policy.PediaClusterLifecycleList{ListMeta: metav1.ListMeta{ResourceVersion: "9"}}
	now := time.Now()
	made := metav1.NewTime(now.Add(-29*24*time.Hour - time.Hour))
	for i := range n {
		list.Items = append(list.Items, policy.PediaClusterLifecycle{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("mcp-cluster-%05d", i), ResourceVersion: "7", CreationTimestamp: made,
				OwnerReferences: []metav1.OwnerReference{{
					APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "ClusterImportPolicy", Name: "mcp", UID: "policy-uid", Controller: ptr.To(true),
				}},
			},
			Spec: policy.PediaClusterLifecycleSpec{Source: policy.DependentResource{
				Group: "cluster.mcp.io", Version: "v1alpha1", Resource: "clusters", Namespace: "mcp-system", Name: fmt.Sprintf("cluster-%05d", i)}},
			Status: policy.PediaClusterLifecycleStatus{
				Phase:   policy.LifecycleImported,
				Cluster: &policy.ClusterState{Ready: "True", Version: "v1.36.3", APIServer: "https://10.0.0.1:6443"},
				Credentials: &policy.CredentialsState{
					ChangedTime: &made, ExpirationTime: ptr.To(metav1.NewTime(now.Add(29*24*time.Hour + time.Hour)))},
				Conditions: []metav1.Condition{
					{Type: "Ready", Status: "True", Reason: "PediaClusterCreated", Message: "endpoint and credentials of the PediaCluster follow the Source"},
					{Type: "Created", Status: "True", Reason: "PediaClusterCreated", Message: "the PediaCluster was created for this Source and is deleted with it"},
					{Type: "Updating", Status: "False", Reason: "UpToDate", Message: "nothing is left to update"},
				},
			},
		})
	}
	return list
}

// BenchmarkTable is `kubectl get pediaclusterlifecycle`, without reading and
// encoding. A row of many must not cost more than a single one.
func BenchmarkTable(b *testing.B) {
	for _, rows := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			list := importedLifecycles(rows)
			table, err := tableConvertor{}.ConvertToTable(context.Background(), list, nil)
			if err != nil || len(table.Rows) != rows {
				b.Fatalf("%d rows, %v", len(table.Rows), err)
			}
			want := []any{fmt.Sprintf("mcp-cluster-%05d", rows-1), "mcp", fmt.Sprintf("mcp-system/cluster-%05d", rows-1), "Imported", "True", "v1.36.3",
				"https://10.0.0.1:6443", "29d", "PediaClusterCreated", list.Items[0].Status.Conditions[0].Message, "29d", "29d"}
			if last := table.Rows[rows-1].Cells; fmt.Sprint(last) != fmt.Sprint(want) {
				b.Fatalf("the last row is %v, want %v", last, want)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (tableConvertor{}).ConvertToTable(context.Background(), list, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
		})
	}
}
