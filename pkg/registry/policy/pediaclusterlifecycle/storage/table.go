package storage

import (
	"cmp"
	"context"
	"time"

	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/pediaclusterlifecycle"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/printing"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

var columns = []metav1.TableColumnDefinition{
	printing.NameColumn,
	{Name: "Phase", Type: "string", Description: "Where the import stands."},
	{Name: "Reason", Type: "string", Description: "Why the import is up to date or not."},
	{Name: "Ready", Type: "string", Description: "Whether the cluster is ready, as its PediaCluster reports."},
	{Name: "Version", Type: "string", Description: "The Kubernetes version of the cluster."},
	printing.AgeColumn,
	{Name: "Policy", Type: "string", Priority: 1, Description: "The policy that imports the cluster."},
	{Name: "Source", Type: "string", Priority: 1, Description: "The object that represents the cluster."},
	{Name: "APIServer", Type: "string", Priority: 1, Description: "The address of the cluster's API server."},
	{Name: "Synced", Type: "string", Priority: 1, Description: "How long ago endpoint or credentials of the PediaCluster last changed."},
	{Name: "Expires", Type: "string", Priority: 1, Description: "In how long the client certificate or token that it carries expires."},
	{Name: "Revision", Type: "string", Priority: 1, Description: "The revision of the policy that the import has, and its state unless it is verified."},
	{Name: "Message", Type: "string", Priority: 1, Description: "The message of the reason, or why the cluster is not ready. Long messages are truncated."},
}

// What comes from data and from messages is cut, so that a line of usual names has at most
// 120 characters, and a wide one not much more than twice as many.
const (
	mostVersion = 24
	mostAddress = 48
	mostMessage = 100
)

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
	var credentials policy.CredentialsState
	if printed.Status.Credentials != nil {
		credentials = *printed.Status.Credentials
	}
	ready := printing.Condition(printed.Status.Conditions, policyv1alpha1.LifecycleReady)
	message := ready.Message
	if ready.Status == metav1.ConditionTrue { // of an import that is up to date, the cluster has the news
		message = cmp.Or(cluster.Message, message)
	}
	return []any{
		name,
		string(pediaclusterlifecycle.PhaseOf(printed)),
		cmp.Or(ready.Reason, printing.None),
		cmp.Or(cluster.Ready, printing.None),
		cmp.Or(render.Bounded(cluster.Version, mostVersion), printing.None),
		age,
		cmp.Or(policyv1alpha1.ControllingPolicy(printed).Name, printing.None),
		source,
		cmp.Or(render.Bounded(cluster.APIServer, mostAddress), printing.None),
		synced(credentials.ChangedTime),
		expires(credentials.ExpirationTime, time.Now()),
		revision(printed.Status.Rollout),
		cmp.Or(render.Bounded(message, mostMessage), printing.None),
	}
}

func revision(rollout *policy.LifecycleRollout) string {
	switch {
	case rollout == nil:
		return printing.None
	case rollout.State == policy.RolloutVerified:
		return rollout.Revision
	default:
		return rollout.Revision + " " + string(rollout.State)
	}
}

func synced(changed *metav1.Time) string {
	if changed == nil {
		return printing.None
	}
	return metatable.ConvertToHumanReadableDateType(*changed)
}

func expires(expiration *metav1.Time, now time.Time) string {
	switch {
	case expiration == nil:
		return printing.None
	case expiration.After(now):
		return duration.HumanDuration(expiration.Sub(now))
	default:
		return "expired"
	}
}
