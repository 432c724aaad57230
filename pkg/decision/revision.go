package decision

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// Revision is what a rollout brings to an import in its turn. What else a policy says
// applies to all imports at once: the versions of references among it, of which one is
// negotiated with the host.
type Revision struct {
	Template, CreationCondition string
	References                  []reference
}

// reference is a reference of a revision. No template and an empty one are the same.
type reference struct{ key, group, resource, namespaceTemplate, nameTemplate string }

func newReference(target policyv1alpha1.ReferenceTarget) reference {
	return reference{key: target.Key, group: target.Group, resource: target.Resource,
		namespaceTemplate: ptr.Deref(target.NamespaceTemplate, ""), nameTemplate: target.NameTemplate}
}

// RevisionOfPolicy is the newest revision.
func RevisionOfPolicy(spec *policyv1alpha1.ClusterImportPolicySpec) Revision {
	r := Revision{Template: spec.Template, CreationCondition: spec.CreationCondition}
	for _, ref := range spec.References {
		r.References = append(r.References, newReference(ref.ReferenceTarget))
	}
	return r
}

// RevisionOfLifecycle is the revision that a lifecycle records.
func RevisionOfLifecycle(spec *policyv1alpha1.PediaClusterLifecycleSpec) Revision {
	r := Revision{Template: spec.Template, CreationCondition: spec.CreationCondition}
	for _, ref := range spec.References {
		r.References = append(r.References, newReference(ref.ReferenceTarget))
	}
	return r
}

// IsOf reports whether a lifecycle records the revision. It costs less than a hash.
func (r Revision) IsOf(spec *policyv1alpha1.PediaClusterLifecycleSpec) bool {
	return r.Template == spec.Template && r.CreationCondition == spec.CreationCondition &&
		slices.EqualFunc(r.References, spec.References, func(a reference, b policyv1alpha1.VersionedReferenceTemplate) bool {
			return a == newReference(b.ReferenceTarget)
		})
}

// OnlyRevisionDiffers reports whether two specs with a rollout differ in nothing that applies to
// all imports at once, except the versions of references.
func OnlyRevisionDiffers(a, b policyv1alpha1.ClusterImportPolicySpec) bool {
	if a.Rollout == nil || b.Rollout == nil {
		return false
	}
	for _, spec := range []*policyv1alpha1.ClusterImportPolicySpec{&a, &b} {
		spec.Template, spec.CreationCondition, spec.References, spec.Rollout = "", "", nil, nil
	}
	return equality.Semantic.DeepEqual(a, b)
}

// Hash names the revision.
func (r Revision) Hash() string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%q %q\n", r.Template, r.CreationCondition)
	for _, ref := range r.References {
		fmt.Fprintf(hash, "%q %q %q %q %q\n", ref.key, ref.group, ref.resource, ref.namespaceTemplate, ref.nameTemplate)
	}
	return hex.EncodeToString(hash.Sum(nil))[:10]
}

// Record is what a lifecycle records of its revision.
type Record = policyv1alpha1.LifecycleRollout

// RecordOf is the record of a lifecycle whose spec has the revision of that name. One that
// says nothing of it had it before there was a rollout, and counts as verified.
func RecordOf(lifecycle *Lifecycle, revision string) Record {
	if known := lifecycle.Status.Rollout; known != nil && known.Revision == revision {
		return *known
	}
	return Record{Revision: revision, State: policyv1alpha1.RolloutVerified}
}

// Take is the record of an import that takes a revision, before anything is written to the
// host. One that was not verified keeps what was known of it before: it is not asked for less
// because it is broken.
func Take(revision string, former Record, status Status, readyNow string, now time.Time) Record {
	taken := Record{Revision: revision, State: policyv1alpha1.RolloutUnverified, TakenTime: timestamp(now), Before: former.Before}
	if former.State != policyv1alpha1.RolloutVerified {
		return taken
	}
	if readyNow == "" && status.Cluster != nil {
		readyNow = status.Cluster.Ready // as it was last known
	}
	switch imported := status.Phase == policyv1alpha1.LifecycleImported; {
	case status.Phase == policyv1alpha1.LifecycleWaiting, !imported && !IsCreated(status):
		taken.Before = policyv1alpha1.BeforeNotImported
	case readyNow == string(metav1.ConditionTrue):
		taken.Before = policyv1alpha1.BeforeClusterReady
	case imported:
		taken.Before = policyv1alpha1.BeforeImported
	default:
		taken.Before = policyv1alpha1.BeforeNotImported
	}
	return taken
}

// ClusterReady is what Clusterpedia says of a cluster: whether it is ready, empty when it says
// nothing, and since when.
func ClusterReady(pediaCluster *unstructured.Unstructured) (ready string, since time.Time) {
	conditions, _, _ := unstructured.NestedSlice(pediaCluster.Object, "status", "conditions")
	for _, condition := range conditions {
		if condition, ok := condition.(map[string]any); ok && condition["type"] == pediaReady {
			ready, _ = condition["status"].(string)
			text, _ := condition["lastTransitionTime"].(string)
			since, _ = time.Parse(time.RFC3339, text)
		}
	}
	return ready, since
}

// timestamp is a time as it is stored, in whole seconds. It is rounded up, so that what is
// measured from it never counts too much.
func timestamp(t time.Time) *metav1.Time {
	seconds := t.Truncate(time.Second)
	if seconds.Before(t) {
		seconds = seconds.Add(time.Second)
	}
	stored := metav1.NewTime(seconds).Rfc3339Copy()
	return &stored
}

// Deadline is until when an unverified import has to be verified. Its time begins with the
// first write to the host: before, it may have been suspended.
func Deadline(record Record, rollout *policyv1alpha1.Rollout) time.Time {
	switch {
	case record.WrittenTime != nil:
		return record.WrittenTime.Add(timeoutOf(rollout))
	case record.TakenTime != nil:
		return record.TakenTime.Add(timeoutOf(rollout))
	default:
		return time.Time{}
	}
}

// timeoutOf is how long an import may take to be verified. The field was validated.
func timeoutOf(rollout *policyv1alpha1.Rollout) time.Duration {
	timeout, err := time.ParseDuration(ptr.Deref(rollout.Timeout, ""))
	if err != nil {
		return 5 * time.Minute
	}
	return timeout
}

// Verification judges an import after a pass with the revision that it records.
type Verification struct {
	Rollout *policyv1alpha1.Rollout
	// Done is the plan as it was carried out.
	Done Execution
	// Ready says whether the cluster is ready: True, False, Unknown, or empty while nobody
	// has said so of the target that the PediaCluster names now. Since is since when
	// Clusterpedia says so, zero when it does not.
	Ready string
	Since time.Time
	Now   time.Time
}

// Verify is the record after the pass, and after how long to look again; 0 for when
// something changes. Verified and failed records stay as they are.
func (v Verification) Verify(record Record) (verified Record, again time.Duration) {
	if record.State != policyv1alpha1.RolloutUnverified {
		return record, 0
	}
	if message := v.failure(); message != "" {
		return v.fail(record, message), 0
	}
	waiting := v.write(&record)
	if waiting == "" {
		waiting, again = v.readiness(&record)
	}
	remaining := Deadline(record, v.Rollout).Sub(v.Now)
	switch {
	case waiting == "":
		record.State = policyv1alpha1.RolloutVerified
		return record, 0
	case remaining <= 0:
		return v.fail(record, fmt.Sprintf("not verified within %s: %s", timeoutOf(v.Rollout), waiting)), 0
	case again == 0:
		return record, remaining
	default:
		return record, min(again, remaining)
	}
}

func (v Verification) fail(record Record, message string) Record {
	record.State, record.Message = policyv1alpha1.RolloutFailed, render.Bounded(message, maxRecordMessage)
	return record
}

// maxRecordMessage is how many bytes of a message a record repeats.
const maxRecordMessage = 512

// failure is the error of a template or the refusal of the host that no time can heal, empty
// for none.
func (v Verification) failure() string {
	if v.Done.Err == nil && v.Done.Plan.Action == render.ActionError {
		return v.Done.Plan.Message
	}
	return ""
}

// write notes that the host has what the revision wants, and returns why it has not. Of an
// import that was not imported before, nothing can break.
func (v Verification) write(record *Record) (waiting string) {
	accepted := v.Done.InSync() || v.Done.Plan.Action == render.ActionConflict ||
		v.Done.Err == nil && (v.Done.PediaCluster == nil || record.Before == policyv1alpha1.BeforeNotImported)
	if !accepted {
		return v.Done.Plan.Message
	}
	if record.WrittenTime == nil {
		record.WrittenTime = timestamp(v.Now)
	}
	if v.Done.Written() {
		record.ReadyTime = nil // what was ready was another target
	}
	return ""
}

// readiness notes since when the cluster is ready, and returns what is to be waited for, and
// for how long.
func (v Verification) readiness(record *Record) (waiting string, again time.Duration) {
	if v.Rollout.Verify != policyv1alpha1.VerifyClusterReady || record.Before != policyv1alpha1.BeforeClusterReady || v.Done.PediaCluster == nil {
		return "", 0
	}
	switch v.Ready {
	case string(metav1.ConditionTrue):
	case "":
		return "nobody has said since the write whether the cluster is ready", 0
	default:
		record.ReadyTime = nil
		return "the cluster was ready before, and is not: Ready is " + v.Ready, 0
	}
	if record.ReadyTime == nil {
		record.ReadyTime = timestamp(v.Now)
	}
	if v.Since.After(record.ReadyTime.Time) {
		record.ReadyTime = timestamp(v.Since) // it was not, in between
	}
	remaining := time.Duration(*v.Rollout.MinReadySeconds)*time.Second - v.Now.Sub(record.ReadyTime.Time)
	if remaining > 0 {
		return "the cluster has not been ready for long enough", remaining
	}
	return "", 0
}
