package clusterimportpolicy

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/caller"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/deletion"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/finalizers"
)

var resource = policy.Resource("clusterimportpolicies")

// AuthorizeUpdate refuses what finalizers.AuthorizeUpdate refuses. It is a
// rest.TransformFunc that changes nothing.
func AuthorizeUpdate(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
	updated, stored := obj.(*policy.ClusterImportPolicy), old.(*policy.ClusterImportPolicy)
	return obj, finalizers.AuthorizeUpdate(ctx, resource, &updated.ObjectMeta, &stored.ObjectMeta, func() string { return deletionOf(stored) })
}

// deletionOf says what the deletion of the policy waits for, and how to end it.
func deletionOf(stored *policy.ClusterImportPolicy) string {
	return fmt.Sprintf("%sIt ends when all lifecycles of the policy are deleted: \"kubectl get pediaclusterlifecycles --field-selector policy=%[2]s -o wide\" "+
		"says what each waits for. To keep their PediaClusters: kubectl delete clusterimportpolicy %[2]s --cascade=orphan",
		deletion.WaitsFor(stored.Status.Conditions), stored.Name)
}

// AuthorizeStatus refuses a changed status from anybody but this server. It is a
// rest.TransformFunc that changes nothing.
func AuthorizeStatus(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
	updated, stored := obj.(*policy.ClusterImportPolicy), old.(*policy.ClusterImportPolicy)
	return obj, caller.AuthorizeStatus(ctx, resource, stored.Name, !apiequality.Semantic.DeepEqual(updated.Status, stored.Status))
}
