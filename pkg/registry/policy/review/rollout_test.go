package review

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
)

// inTurns is a policy with a rollout, of which c1 is the canary, and its newest revision.
func inTurns(t *testing.T) (spec *policy.ClusterImportPolicySpec, newest decision.Revision) {
	t.Helper()
	spec = mcpSpec()
	spec.Rollout = &policy.Rollout{First: &metav1.LabelSelector{MatchLabels: map[string]string{"stage": "test"}},
		MaxConcurrent: ptr.To(intstr.FromInt32(1)), MaxFailures: ptr.To(intstr.FromInt32(0)), Verify: policy.VerifyWritten, Timeout: ptr.To("5m")}
	versioned := &policyv1alpha1.ClusterImportPolicySpec{}
	if err := policyv1alpha1.Convert_policy_ClusterImportPolicySpec_To_v1alpha1_ClusterImportPolicySpec(spec.DeepCopy(), versioned, nil); err != nil {
		t.Fatal(err)
	}
	return spec, decision.RevisionOfPolicy(versioned)
}

// The preview shows what the newest revision makes of an import, and says what it has until then.
func TestARolloutIsSaidOfWhatWaitsForItsTurn(t *testing.T) {
	spec, newest := inTurns(t)
	former := decision.Revision{Template: "spec: {apiserver: https://old}", CreationCondition: "true"}
	waits := fmt.Sprintf("this is revision %s; the import keeps revision %s (Verified) until its turn", newest.Hash(), former.Hash())
	for name, test := range map[string]struct {
		prepare func(*world)
		want    map[string]string
	}{
		"before anything has happened": {nil,
			map[string]string{"c0": waits + ": number 2 in the order, after mcp-c1", "c1": waits + ": it is next"}},
		"the canary has it": {func(w *world) { w.takes(1, spec, policyv1alpha1.RolloutUnverified) },
			map[string]string{"c0": waits + ": it is next, when those that have taken the newest one are verified", "c1": ""}},
		"the canary has failed": {func(w *world) { w.takes(1, spec, policyv1alpha1.RolloutFailed) },
			map[string]string{"c0": waits + ": the rollout is halted (RolloutFailed): see the condition RolloutHalted of the policy", "c1": ""}},
		"nothing that depends on what the caller may not list": {func(w *world) { w.forbid("list pediaclusterlifecycles") },
			map[string]string{"c0": waits, "c1": waits}},
		"nor on Sources": {func(w *world) { w.forbid("list clusters") }, map[string]string{"c0": waits, "c1": waits}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			for i := range 2 {
				w.addCluster(fmt.Sprintf("c%d", i))
				w.addImport(fmt.Sprintf("c%d", i))
				w.lifecycles.items[i].Spec.Template, w.lifecycles.items[i].Spec.CreationCondition = former.Template, former.CreationCondition
			}
			w.host.objects["clusters /c1"].SetLabels(map[string]string{"stage": "test"})
			if test.prepare != nil {
				test.prepare(w)
			}
			got := map[string]string{}
			for source := range test.want {
				asked := subject()
				asked.Policy = spec
				answer, err := w.reviewer().Answer(asAlice(t), asked, &policy.RenderReview{Spec: named(source)}, nil)
				if err != nil {
					t.Fatal(err)
				}
				got[source] = answer.Status.Results[0].Message
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What is wrong with an edit is said without what nobody waits for yet.
func TestAnErrorOfAnUnsavedEditIsSaidAlone(t *testing.T) {
	spec, _ := inTurns(t)
	w := newWorld()
	w.addCluster("c0")
	w.addImport("c0")
	spec.Template = `{{ fail "no port" }}`
	asked := subject()
	asked.Policy = spec
	for unsaved, want := range map[*policy.ClusterImportPolicySpec]bool{nil: true, spec: false} {
		question := named("c0")
		question.Policy = unsaved
		answer, err := w.reviewer().Answer(asAlice(t), asked, &policy.RenderReview{Spec: question}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if message := answer.Status.Results[0].Message; strings.Contains(message, "its turn") != want {
			t.Errorf("with an unsaved policy: %t, it says %q", unsaved != nil, message)
		}
	}
}

// takes has the import take the newest revision.
func (w *world) takes(at int, spec *policy.ClusterImportPolicySpec, state policyv1alpha1.RolloutState) {
	lifecycle := &w.lifecycles.items[at]
	lifecycle.Spec.Conversion = spec.Conversion
	for _, ref := range spec.References {
		lifecycle.Spec.References = append(lifecycle.Spec.References, policy.VersionedReferenceTemplate{ReferenceTarget: ref.ReferenceTarget})
	}
	versioned := &policyv1alpha1.PediaClusterLifecycle{}
	_ = policyv1alpha1.Convert_policy_PediaClusterLifecycle_To_v1alpha1_PediaClusterLifecycle(lifecycle, versioned, nil)
	lifecycle.Status.Rollout = &policy.LifecycleRollout{Revision: decision.RevisionOfLifecycle(&versioned.Spec).Hash(),
		State: policy.RolloutState(state), TakenTime: ptr.To(metav1.Now())}
}
