package storage

import (
	"cmp"
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/pediaclusterlifecycle"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/printing"
)

var columns = []metav1.TableColumnDefinition{
	printing.NameColumn,
	{Name: "Policy", Type: "string", Description: "The policy that imports the cluster."},
	{Name: "Source", Type: "string", Description: "The object that stands for the cluster."},
	{Name: "Phase", Type: "string", Description: "Where the import stands."},
	{Name: "Ready", Type: "string", Description: "Whether the cluster answers, as its PediaCluster says."},
	{Name: "Version", Type: "string", Description: "The Kubernetes version of the cluster."},
	{Name: "APIServer", Type: "string", Description: "The address of the cluster's API server."},
	printing.AgeColumn,
	{Name: "Reason", Type: "string", Priority: 1, Description: "Why the import is up to date, or is not."},
	{Name: "Message", Type: "string", Priority: 1, Description: "The same in a sentence."},
}

// tableConvertor prints lifecycles for kubectl get.
type tableConvertor struct{}

func (tableConvertor) ConvertToTable(_ context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	return printing.Table(object, tableOptions, columns, cells)
}

func cells(printed *policy.PediaClusterLifecycle, name, age string) []any {
	source := printed.Spec.Source.Name
	if namespace := printed.Spec.Source.Namespace; namespace != "" {
		source = namespace + "/" + source
	}
	var cluster policy.ClusterState
	if printed.Status.Cluster != nil {
		cluster = *printed.Status.Cluster
	}
	ready := printing.Condition(printed.Status.Conditions, policyv1alpha1.LifecycleReady)
	return []any{
		name,
		cmp.Or(pediaclusterlifecycle.PolicyName(printed), printing.None),
		source,
		string(cmp.Or(printed.Status.Phase, policy.LifecyclePending)),
		cmp.Or(cluster.Ready, printing.None),
		cmp.Or(cluster.Version, printing.None),
		cmp.Or(cluster.APIServer, printing.None),
		age, ready.Reason, ready.Message,
	}
}
