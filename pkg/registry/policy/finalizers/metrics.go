package finalizers

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// refusals is explained in artifacts/monitoring/README.md, with all metrics.
var refusals = metrics.NewCounterVec(&metrics.CounterOpts{
	Name:           "policy_apiserver_controller_manager_refusals_total",
	Help:           "Writes that were refused because they came from Clusterpedia's own controller-manager, which must not run together with this server.",
	StabilityLevel: metrics.ALPHA,
}, []string{"resource"})

func init() {
	legacyregistry.MustRegister(refusals)
	// An increase of what was not there before is none to Prometheus.
	for _, resource := range []string{"clusterimportpolicies", "pediaclusterlifecycles"} {
		refusals.WithLabelValues(resource)
	}
}

// Count counts the answer to an update if AuthorizeUpdate has refused it as one of
// Clusterpedia's controller-manager. An attempt may be checked more than once, and
// is answered once.
func Count(resource schema.GroupResource, err error) {
	if apierrors.HasStatusCause(err, causeControllerManager) {
		refusals.WithLabelValues(resource.Resource).Inc()
	}
}
