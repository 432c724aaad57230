package storage

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
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
			Rollout: &policy.LifecycleRollout{Revision: "0a1b2c3d4e", State: policy.RolloutFailed},
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
	// What the cluster says is shown unless the import itself has a problem.
	down, failed := *imported.DeepCopy(), *imported.DeepCopy()
	down.Status.Cluster.Ready, down.Status.Cluster.Message = "False", "ClusterHealthy: refused"
	failed.Status.Cluster = down.Status.Cluster
	failed.Status.Conditions[0].Status = "False"
	list := &policy.PediaClusterLifecycleList{
		ListMeta: metav1.ListMeta{ResourceVersion: "9", Continue: "more", RemainingItemCount: ptr.To[int64](1)},
		Items:    []policy.PediaClusterLifecycle{imported, down, failed, fresh},
	}

	table, err := tableConvertor{}.ConvertToTable(context.Background(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]any{
		{"mcp-amsterdam", "Imported", "UpToDate", "True", "v1.36.3", "<unknown>", "mcp", "default/amsterdam", "https://10.0.0.1:6443", "5m", "29d", "0a1b2c3d4e Failed", "imported"},
		{"mcp-amsterdam", "Imported", "UpToDate", "False", "v1.36.3", "<unknown>", "mcp", "default/amsterdam", "https://10.0.0.1:6443", "5m", "29d", "0a1b2c3d4e Failed", "ClusterHealthy: refused"},
		{"mcp-amsterdam", "Imported", "UpToDate", "False", "v1.36.3", "<unknown>", "mcp", "default/amsterdam", "https://10.0.0.1:6443", "5m", "29d", "0a1b2c3d4e Failed", "imported"},
		{"mcp-bergen", "Pending", "<none>", "<none>", "<none>", "<unknown>", "<none>", "bergen", "<none>", "<none>", "<none>", "<none>", "<none>"},
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
		0: {"Name", "Phase", "Reason", "Ready", "Version", "Age"},
		1: {"Policy", "Source", "APIServer", "Synced", "Expires", "Revision", "Message"},
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

// longest are the longest reasons of a lifecycle; see pkg/apis/policy/v1alpha1/reasons.go.
var longest = []string{policyv1alpha1.ReasonDeletionConditionMet, policyv1alpha1.ReasonReferenceUnavailable, policyv1alpha1.ReasonPediaClusterDeleting}

func TestLinesFitTheTerminal(t *testing.T) {
	const name, source = "team-blue-prod-eu-west-1-workload-01", "prod-eu-west-1-workload-01"
	lifecycle := func(reason, version, address, message string) policy.PediaClusterLifecycle {
		return policy.PediaClusterLifecycle{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Now().Add(-199 * time.Minute)),
				OwnerReferences: []metav1.OwnerReference{{
					APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "ClusterImportPolicy", Name: "cluster-api", Controller: ptr.To(true)}}},
			Spec: policy.PediaClusterLifecycleSpec{Source: policy.DependentResource{Namespace: "team-blue", Name: source}},
			Status: policy.PediaClusterLifecycleStatus{Phase: policy.LifecycleConflict,
				Cluster: &policy.ClusterState{Ready: "Unknown", Version: version, APIServer: address},
				Credentials: &policy.CredentialsState{ChangedTime: ptr.To(metav1.Now()),
					ExpirationTime: ptr.To(metav1.NewTime(time.Now().Add(-time.Hour)))},
				Conditions: []metav1.Condition{{Type: "Ready", Status: "False", Reason: reason, Message: message}}},
		}
	}
	list := &policy.PediaClusterLifecycleList{}
	for _, reason := range longest {
		list.Items = append(list.Items, lifecycle(reason, "v1.34.2-gke.1846000", "https://"+source+".k8s.example.com:6443",
			`reference "kubeconfig": secrets "team-blue/`+source+`-kubeconfig" does not exist`))
	}
	list.Items = append(list.Items, lifecycle("Failed", strings.Repeat("v1", 400), "https://"+strings.Repeat("a", 500), strings.Repeat("why ", 250)))
	table, err := tableConvertor{}.ConvertToTable(context.Background(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	for wide, most := range map[bool]int{false: 120, true: 350} {
		for i, line := range strings.Split(strings.TrimSpace(printed(t, table, wide)), "\n") {
			if width := utf8.RuneCountInString(line); width > most {
				t.Errorf("wide %v: line %d has %d characters, more than %d:\n%s", wide, i, width, most, line)
			}
		}
	}
}

// printed is a table as kubectl prints it.
func printed(t *testing.T, table *metav1.Table, wide bool) string {
	t.Helper()
	var out strings.Builder
	if err := printers.NewTablePrinter(printers.PrintOptions{Wide: wide}).PrintObj(table, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
