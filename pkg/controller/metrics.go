package controller

import (
	"math"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// metricsPrefix begins the name of every metric of the controllers. They are
// explained in artifacts/monitoring/README.md.
const metricsPrefix = "policy_apiserver_"

// What happens is counted as it happens.
var (
	renderDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Name:           metricsPrefix + "render_duration_seconds",
		Help:           "Time to render one import, without the time to read its references.",
		Buckets:        metrics.ExponentialBucketsRange(10e-6, 1, 16),
		StabilityLevel: metrics.ALPHA,
	}, []string{"policy"})
	renderErrors = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           metricsPrefix + "render_errors_total",
		Help:           "Imports of which no PediaCluster could be rendered, by the reason of the error.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"policy", "reason"})
	propagationDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Name:           metricsPrefix + "propagation_duration_seconds",
		Help:           "Time from the event of a changed Source or reference to the write of its PediaCluster.",
		Buckets:        metrics.ExponentialBucketsRange(5e-3, 300, 16),
		StabilityLevel: metrics.ALPHA,
	}, []string{"policy"})
)

// What is the case is read when somebody asks.
var (
	leaderDesc = desc("leader", "1 on the replica whose controllers run, 0 on the others.")

	importsDesc   = desc("imports", "Imports by phase.", "policy", "phase")
	sourcesDesc   = desc("sources", "Sources that the policy selects.", "policy")
	conditionDesc = desc("policy_condition",
		"1 for the status and reason that each condition of the policy has.", "policy", "condition", "status", "reason")
	rolloutDesc = desc("rollout_imports", "Imports by how far the newest revision of a policy with a rollout has come.", "policy", "state")
	heldDesc    = desc("held_removals", "Removals of PediaClusters that maxPrune holds until a user decides.", "policy")

	expiringDesc = desc("credentials_expiring",
		"PediaClusters whose credentials expire within that time; the longer times include the shorter ones.", "policy", "within")
	earliestDesc = desc("credentials_earliest_expiration_timestamp_seconds",
		"When the first credentials of the policy expire, or expired.", "policy")

	fleetDescs = []*metrics.Desc{leaderDesc, importsDesc, sourcesDesc, conditionDesc, heldDesc, rolloutDesc, expiringDesc, earliestDesc}
)

func desc(name, help string, labels ...string) *metrics.Desc {
	return metrics.NewDesc(metricsPrefix+name, help, labels, nil, metrics.ALPHA, "")
}

// fleet is what /metrics shows of the controllers of this process.
var fleet = &fleetCollector{now: time.Now}

func init() {
	legacyregistry.MustRegister(renderDuration, renderErrors, propagationDuration)
	legacyregistry.CustomMustRegister(fleet)
}

// forgetSeries drops what was counted for a policy that is gone.
func forgetSeries(policy string) {
	of := map[string]string{"policy": policy}
	renderDuration.DeletePartialMatch(of)
	renderErrors.DeletePartialMatch(of)
	propagationDuration.DeletePartialMatch(of)
}

// forgetAllSeries drops what was counted: another replica leads, and nobody here
// learns which policies go.
func forgetAllSeries() {
	renderDuration.Reset()
	renderErrors.Reset()
	propagationDuration.Reset()
}

// fleetCollector collects the state of the policies and imports of the controllers that
// run. A replica whose controllers do not run reports only that.
type fleetCollector struct {
	metrics.BaseStableCollector
	now     func() time.Time
	running atomic.Pointer[controllers]
}

// set makes these controllers the source of the metrics, until the returned function is
// called.
func (f *fleetCollector) set(c *controllers) (unset func()) {
	f.running.Store(c)
	return func() { f.running.CompareAndSwap(c, nil) }
}

// DescribeWithStability implements metrics.StableCollector.
func (f *fleetCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, d := range fleetDescs {
		ch <- d
	}
}

// CollectWithStability implements metrics.StableCollector.
func (f *fleetCollector) CollectWithStability(ch chan<- metrics.Metric) {
	gauge := func(d *metrics.Desc, value float64, labels ...string) {
		ch <- metrics.NewLazyConstMetric(d, metrics.GaugeValue, value, labels...)
	}
	c := f.running.Load()
	if c == nil {
		gauge(leaderDesc, 0)
		return
	}
	gauge(leaderDesc, 1)

	policies, err := c.policies.lister.List(labels.Everything())
	utilruntime.HandleError(err)
	counts := c.policies.summaries.counts()
	credentials := credentials(c.store.List(), f.now())
	for _, policy := range policies {
		name := policy.Name
		if counts, ok := counts[name]; ok {
			gauge(sourcesDesc, float64(counts.Selected), name)
			for phase, n := range byPhase(counts) {
				gauge(importsDesc, float64(n), name, string(phase))
			}
		}
		for _, condition := range policy.Status.Conditions {
			gauge(conditionDesc, 1, name, condition.Type, strings.ToLower(string(condition.Status)), condition.Reason)
		}
		held := int32(0)
		if policy.Status.Prune != nil {
			held = policy.Status.Prune.Held
		}
		gauge(heldDesc, float64(held), name)
		for state, n := range byRolloutState(policy.Status.Rollout) {
			gauge(rolloutDesc, float64(n), name, state)
		}
		expiring := credentials[name]
		for i, span := range expirySpans {
			n := 0
			if expiring != nil {
				n = expiring.within[i]
			}
			gauge(expiringDesc, float64(n), name, span.name)
		}
		if expiring != nil {
			gauge(earliestDesc, expiring.earliest, name)
		}
	}
}

// byRolloutState is nothing for a policy without a rollout.
func byRolloutState(rollout *policyv1alpha1.RolloutStatus) map[string]int32 {
	if rollout == nil {
		return nil
	}
	return map[string]int32{"former": rollout.Total - rollout.Updated, "verified": rollout.Verified, "failed": rollout.Failed,
		"unverified": rollout.Updated - rollout.Verified - rollout.Failed}
}

func byPhase(counts policyv1alpha1.ImportCounts) map[policyv1alpha1.LifecyclePhase]int32 {
	return map[policyv1alpha1.LifecyclePhase]int32{
		policyv1alpha1.LifecyclePending:  counts.Pending,
		policyv1alpha1.LifecycleWaiting:  counts.Waiting,
		policyv1alpha1.LifecycleImported: counts.Imported,
		policyv1alpha1.LifecycleHeld:     counts.Held,
		policyv1alpha1.LifecycleConflict: counts.Conflict,
		policyv1alpha1.LifecycleFailed:   counts.Failed,
		policyv1alpha1.LifecycleDeleting: counts.Deleting,
	}
}

// counts returns the counts of every policy.
func (s *policySummaries) counts() map[string]policyv1alpha1.ImportCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]policyv1alpha1.ImportCounts, len(s.policies))
	for name, p := range s.policies {
		counts[name] = p.counts
	}
	return counts
}

const day = 24 * time.Hour

// expirySpans are the values of the label within.
var expirySpans = [...]struct {
	name string
	time.Duration
}{{"expired", 0}, {"1d", day}, {"7d", 7 * day}, {"30d", 30 * day}}

// expiring says when the credentials of a policy's PediaClusters expire.
type expiring struct {
	within   [len(expirySpans)]int
	earliest float64 // in seconds since 1970
}

// credentials returns when credentials expire, by policy. A policy none of whose
// credentials say so is missing.
func credentials(known []*lifecycles.Lifecycle, now time.Time) map[string]*expiring {
	policies := map[string]*expiring{}
	for _, lifecycle := range known {
		credentials := lifecycle.Status.Credentials
		if credentials == nil || credentials.ExpirationTime == nil {
			continue
		}
		policy := policyv1alpha1.ControllingPolicy(lifecycle).Name
		of := policies[policy]
		if of == nil {
			of = &expiring{earliest: math.Inf(1)}
			policies[policy] = of
		}
		expiry := credentials.ExpirationTime.Time
		of.earliest = min(of.earliest, float64(expiry.Unix()))
		for i, span := range expirySpans {
			if !expiry.After(now.Add(span.Duration)) {
				of.within[i]++
			}
		}
	}
	return policies
}

// rendering measures how long one import takes to render.
type rendering struct {
	began  time.Time
	paused time.Duration
}

// pause leaves out the time until the returned function is called.
func (r *rendering) pause() (goOn func()) {
	began := time.Now()
	return func() { r.paused += time.Since(began) }
}

// observe observes the duration of a rendering that is over.
func (r *rendering) observe(policy string) {
	renderDuration.WithLabelValues(policy).Observe((time.Since(r.began) - r.paused).Seconds())
}

// countRenderError counts a plan that is an error.
func countRenderError(policy string, plan render.Plan) {
	if plan.Action == render.ActionError {
		renderErrors.WithLabelValues(policy, plan.Reason).Inc()
	}
}

// observePropagation observes how long the change took that was written, if there was one.
func (p *pass) observePropagation(done decision.Execution) {
	if !done.Written() || p.changed.IsZero() {
		return
	}
	propagationDuration.WithLabelValues(p.Policy).Observe(time.Since(p.changed).Seconds())
	p.changed = time.Time{}
}
