package storage

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/printing"
)

var columns = []metav1.TableColumnDefinition{
	printing.NameColumn,
	{Name: "Source", Type: "string", Description: "The type of object that is imported."},
	{Name: "Selected", Type: "integer", Description: "The number of Sources that the policy selects."},
	{Name: "Created", Type: "integer", Description: "The number of Sources whose PediaCluster exists."},
	{Name: "Waiting", Type: "integer", Description: "The number of Sources that wait for something."},
	{Name: "Held", Type: "integer", Description: "The number of Sources whose PediaCluster is kept until a user decides."},
	{Name: "Failed", Type: "integer", Description: "The number of Sources with an error or a conflict."},
	{Name: "Ready", Type: "string", Description: "Whether every selected Source has the PediaCluster that the policy defines."},
	printing.AgeColumn,
	{Name: "Deleting", Type: "integer", Priority: 1, Description: "The number of Sources whose PediaCluster or lifecycle is being deleted."},
	{Name: "Rollout", Type: "string", Priority: 1, Description: "How many imports have the newest revision, of those that have it or can be updated to it."},
	{Name: "Reason", Type: "string", Priority: 1, Description: "Why the policy is ready or not."},
	{Name: "Message", Type: "string", Priority: 1, Description: "The same in a sentence."},
}

// tableConvertor prints policies for kubectl get.
type tableConvertor struct{}

func (tableConvertor) ConvertToTable(_ context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	return printing.Table(object, tableOptions, columns, cells)
}

func cells(printed *policy.ClusterImportPolicy, name, age string) []any {
	source := schema.GroupResource{Group: printed.Spec.Source.Group, Resource: printed.Spec.Source.Resource}
	counts := printed.Status.Counts
	ready := printing.Condition(printed.Status.Conditions, policyv1alpha1.PolicyReady)
	return []any{
		name, source.String(), int64(counts.Selected), int64(counts.Created), int64(counts.Waiting), int64(counts.Held), int64(counts.Failed + counts.Conflict),
		string(ready.Status), age, int64(counts.Deleting), rollout(printed.Status.Rollout), ready.Reason, ready.Message,
	}
}

func rollout(status *policy.RolloutStatus) string {
	if status == nil {
		return printing.None
	}
	return fmt.Sprintf("%d/%d", status.Updated, status.Total)
}
