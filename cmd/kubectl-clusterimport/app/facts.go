package app

import (
	"fmt"
	"io"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/describe"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// facts are what is known of one import. What could not be read has an error
// in its place.
type facts struct {
	lifecycle *policyv1alpha1.PediaClusterLifecycle

	policyName string
	policy     *policyv1alpha1.ClusterImportPolicy
	policyErr  error

	result    *policyv1alpha1.RenderResult
	resultErr error

	// source is nil when it could not be read.
	source *unstructured.Unstructured

	pediaCluster    *unstructured.Unstructured
	pediaClusterErr error
}

// Signs of steps.
const (
	good    = describe.Good
	bad     = describe.Bad
	waits   = describe.Waits
	unasked = describe.Unasked
)

// explain writes one line for each step of the import, the rule by which the controllers
// decide about it, as far as the facts tell, and the conclusion.
func (f *facts) explain(w io.Writer) error {
	d := &description{w: w}
	d.printf("PediaClusterLifecycle %s: %s\n\n", f.lifecycle.Name, f.lifecycle.Status.Phase)
	step := func(sign, name, format string, args ...any) {
		d.printf("%s %-20s%s\n", sign, name, fmt.Sprintf(format, args...))
	}
	f.policyStep(step)
	f.revisionStep(step)
	if f.result == nil {
		step(unasked, "Source", "%s: the current result of the policy is not known: %v", render.Describe(f.lifecycle.Spec.Source), f.resultErr)
	} else {
		f.sourceSteps(step)
	}
	f.pediaClusterStep(step)
	f.clusterStep(step)
	f.traceConditions(d)

	if len(f.lifecycle.Status.Conditions) > 0 {
		d.printf("\nConditions:\n")
	}
	for _, condition := range f.lifecycle.Status.Conditions {
		d.printf("  %-18s%-8s%s: %s\n", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	d.printf("\n")
	d.field("Decided by", f.rule())
	d.printf("%s\n", f.conclusion())
	return d.err
}

// stepFunc writes one step.
type stepFunc func(sign, name, format string, args ...any)

func (f *facts) policyStep(step stepFunc) {
	switch {
	case f.policyErr != nil:
		step(bad, "Policy", "%s: %v", f.policyName, f.policyErr)
	case f.policy == nil:
		step(bad, "Policy", "the lifecycle has none")
	case f.policy.DeletionTimestamp != nil:
		step(bad, "Policy", "%s is being deleted", f.policyName)
	case f.policy.Spec.Suspend:
		step(waits, "Policy", "%s is suspended: nothing is created, changed or deleted", f.policyName)
	case f.invalid() != nil:
		step(bad, "Policy", "%s: %s", f.policyName, f.invalid().Message)
	case f.unavailable() != nil:
		step(waits, "Policy", "%s: %s: %s", f.policyName, f.unavailable().Reason, f.unavailable().Message)
	default:
		step(good, "Policy", "%s", f.policyName)
	}
}

// revisionStep says which revision the import has under a policy with a rollout.
func (f *facts) revisionStep(step stepFunc) {
	const name = "Revision"
	if f.policy == nil || f.policy.Spec.Rollout == nil {
		return
	}
	newest := decision.RevisionOfPolicy(&f.policy.Spec)
	record := decision.RecordOf(f.lifecycle, decision.RevisionOfLifecycle(&f.lifecycle.Spec).Hash())
	switch {
	case f.waitsForTurn() && (decision.Paused(f.lifecycle) || f.lifecycle.Status.PrunePlan != ""):
		step(waits, name, "%s (%s); it takes the newest, %s, when it is no longer paused or held", record.Revision, record.State, newest.Hash())
	case f.waitsForTurn():
		step(waits, name, "%s (%s); it waits for its turn to be updated to %s, which the lines below show", record.Revision, record.State, newest.Hash())
	case record.State == policyv1alpha1.RolloutFailed:
		step(bad, name, "%s, the newest, has failed: %s", record.Revision, record.Message)
	case record.State == policyv1alpha1.RolloutUnverified:
		step(waits, name, "%s, the newest, is not verified yet: %s; it fails if that is still so at %s", record.Revision, f.unverified(&record),
			decision.Deadline(record, f.policy.Spec.Rollout).UTC().Format(time.RFC3339))
	default:
		step(good, name, "%s, the newest, is verified", record.Revision)
	}
}

// unverified is what a revision waits for that the import has taken.
func (f *facts) unverified(record *decision.Record) string {
	switch {
	case record.WrittenTime == nil:
		return "the host has not taken the PediaCluster"
	case record.ReadyTime == nil:
		return "the cluster was ready before, and has not been since the write"
	default:
		return fmt.Sprintf("the cluster has to be ready for %d seconds, since %s", ptr.Deref(f.policy.Spec.Rollout.MinReadySeconds, 0), record.ReadyTime.UTC().Format(time.RFC3339))
	}
}

// unavailable is the condition of a policy whose types cannot be listed and
// watched now, nil when they can.
func (f *facts) unavailable() *metav1.Condition { return f.validated(metav1.ConditionUnknown) }

// invalid is the condition of a policy that cannot be worked on, nil when it can.
func (f *facts) invalid() *metav1.Condition { return f.validated(metav1.ConditionFalse) }

func (f *facts) validated(status metav1.ConditionStatus) *metav1.Condition {
	validated := meta.FindStatusCondition(f.policy.Status.Conditions, policyv1alpha1.PolicyValidated)
	if validated == nil || validated.Status != status {
		return nil
	}
	return validated
}

// sourceSteps are those from the Source to the rendered PediaCluster, up to the
// first without which the others make no sense.
func (f *facts) sourceSteps(step stepFunc) {
	source := render.Describe(f.lifecycle.Spec.Source)
	if f.result.Reason == policyv1alpha1.ReasonSourceNotFound {
		step(bad, "Source", "%s", f.result.Message)
		return
	}
	if f.sourceIsGoing() {
		step(waits, "Source", "%s is being deleted%s", source, finalizers(f.source))
	} else {
		step(good, "Source", "%s", source)
	}
	switch {
	case f.result.Reason == policyv1alpha1.ReasonSelectorFailed:
		step(bad, "Selector", "%s", f.result.Message)
		return
	case !f.result.Selected:
		step(bad, "Selector", "no longer selects it")
		return
	}
	step(good, "Selector", "selects it")
	switch f.result.Name {
	case f.lifecycle.Name:
		step(good, "Name", "%s", f.result.Name)
	case "":
		step(bad, "Name", "%s", f.result.Message)
		return
	default:
		step(waits, "Name", "is %s now: the import moves there", f.result.Name)
	}
	f.referenceSteps(step)
	f.conditionSteps(step)
	f.templateStep(step)
}

func (f *facts) referenceSteps(step stepFunc) {
	resolved := map[string]bool{}
	for _, ref := range f.result.References {
		resolved[ref.Key] = true
		target := render.Describe(ref.DependentResource)
		if ref.Found {
			step(good, "Reference", "%s: %s", ref.Key, target)
		} else {
			step(waits, "Reference", "%s: %s does not exist, or you may not read it", ref.Key, target)
		}
	}
	for _, ref := range f.lifecycle.Spec.References {
		if resolved[ref.Key] {
			continue
		}
		if problem := describe.ErrorBelow(f.result, "spec.references"); problem != "" {
			step(waits, "Reference", "%s: %s", ref.Key, problem)
			return
		}
		step(unasked, "Reference", "%s: not resolved yet", ref.Key)
	}
}

func (f *facts) conditionSteps(step stepFunc) {
	const creation, deletion = "Creation condition", "Deletion condition"
	problem := describe.ErrorBelow(f.result, "spec.creationCondition")
	switch condition := f.result.CreationCondition; {
	case condition == nil:
		step(unasked, creation, "not evaluated yet")
	case condition.Holds:
		step(good, creation, "is true")
	case f.exists():
		step(unasked, creation, "is %s, which does not matter while the PediaCluster exists", describe.Condition(f.result, "spec.creationCondition", condition))
	case problem != "":
		step(waits, creation, "%s", problem)
	default:
		step(waits, creation, "is %s", describe.Condition(f.result, "spec.creationCondition", condition))
	}
	if f.lifecycle.Spec.DeletionCondition == "" {
		return
	}
	problem = describe.ErrorBelow(f.result, "spec.deletionCondition")
	switch condition := f.result.DeletionCondition; {
	case condition == nil:
		step(unasked, deletion, "not evaluated yet")
	case condition.Holds:
		step(bad, deletion, "is true: there is to be no PediaCluster")
	case problem != "":
		step(bad, deletion, "%s", problem)
	default:
		step(good, deletion, "is not true")
	}
}

func (f *facts) templateStep(step stepFunc) {
	switch problem := describe.ErrorBelow(f.result, "spec.template"); {
	case problem != "":
		step(bad, "Template", "%s", problem)
	case f.result.PediaCluster == nil:
		step(unasked, "Template", "not rendered")
	default:
		step(good, "Template", "renders a PediaCluster")
	}
}

func (f *facts) pediaClusterStep(step stepFunc) {
	const name = "PediaCluster"
	switch {
	case apierrors.IsNotFound(f.pediaClusterErr) && f.result != nil && f.result.Action == policyv1alpha1.RenderCreate:
		step(waits, name, "does not exist; it will be created")
	case apierrors.IsNotFound(f.pediaClusterErr):
		step(bad, name, "does not exist")
	case f.pediaClusterErr != nil:
		step(unasked, name, "%v", f.pediaClusterErr)
	case f.pediaCluster.GetDeletionTimestamp() != nil:
		step(waits, name, "%s", strings.TrimPrefix(render.DescribeDeletion(f.pediaCluster), "the PediaCluster "))
	case f.result == nil:
		step(good, name, "exists")
	case f.result.Action == policyv1alpha1.RenderConflict:
		step(bad, name, "%s", f.result.Message)
	case f.result.Action == policyv1alpha1.RenderDelete:
		step(waits, name, "exists; it will be deleted")
	case f.renamed():
		step(waits, name, "exists until %s replaces it", f.result.Name)
	case f.result.Action == policyv1alpha1.RenderUpdate:
		step(waits, name, "exists; will be changed: %s", strings.Join(f.result.Changed, ", "))
	case f.result.Reason == policyv1alpha1.ReasonExisted:
		step(good, name, "exists and is up to date; it existed before, and is kept when its Source is deleted")
	case f.result.Action == policyv1alpha1.RenderNone:
		step(good, name, "exists and is up to date")
	default:
		step(waits, name, "exists, and stays as it is")
	}
}

// renamed reports whether the import has another name now.
func (f *facts) renamed() bool { return f.result.Name != "" && f.result.Name != f.lifecycle.Name }

func (f *facts) clusterStep(step stepFunc) {
	cluster := f.lifecycle.Status.Cluster
	switch {
	case !f.exists():
	case cluster == nil || cluster.Ready == "":
		step(unasked, "Cluster", "Clusterpedia has not said yet whether it answers")
	case cluster.Ready == "True":
		step(good, "Cluster", "answers at %s, version %s", cluster.APIServer, cluster.Version)
	case cluster.Message != "":
		step(bad, "Cluster", "is not ready: %s", cluster.Message)
	default:
		step(bad, "Cluster", "Clusterpedia says that it is not ready: see kubectl describe pediacluster %s", f.lifecycle.Name)
	}
}

// exists reports whether there is a PediaCluster; who may not read it is told
// what the lifecycle says.
func (f *facts) exists() bool {
	if f.pediaCluster == nil && !apierrors.IsNotFound(f.pediaClusterErr) {
		return meta.IsStatusConditionTrue(f.lifecycle.Status.Conditions, policyv1alpha1.LifecycleCreated)
	}
	return f.pediaCluster != nil
}

// sourceIsGoing reports whether the Source is being deleted.
func (f *facts) sourceIsGoing() bool {
	return f.source != nil && f.source.GetDeletionTimestamp() != nil
}

// finalizers says what the deletion of an object waits for.
func finalizers(object *unstructured.Unstructured) string {
	waitsFor := object.GetFinalizers()
	if len(waitsFor) == 0 {
		return ""
	}
	return ", and waits for its finalizers " + strings.Join(waitsFor, ", ")
}
