package review

import (
	"context"
	"fmt"
	"strings"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// rollout is what a review knows of the turns in which an edit reaches imports.
type rollout struct {
	*decision.Preview
	policyName string
	// unsaved is set when the policy in the question has it, and no import waits for it yet.
	unsaved bool
	// waiting says what an import waits for, by the name of its lifecycle. It is empty when
	// the caller may not list lifecycles and Sources, on which that depends.
	waiting map[string]string
}

// readRollout finds out who waits for what, nil when all imports take an edit at once. It is a
// help: without it a result says no more than that the import waits.
func (s *session) readRollout(ctx context.Context) *rollout {
	if s.Policy.Rollout == nil {
		return nil
	}
	r := &rollout{Preview: decision.NewPreview(s.Policy), policyName: s.PolicyName, unsaved: s.Spec.Policy != nil}
	if allowed, err := s.access.toList(ctx, lifecycleResource); err != nil || !allowed {
		return r
	}
	canaries, known := s.canaries(ctx)
	lifecycles, err := s.ofPolicy(ctx, s.PolicyName)
	if !known || err != nil {
		return r
	}
	members := make([]decision.Member, 0, len(lifecycles))
	for _, lifecycle := range lifecycles {
		source := policyv1alpha1.SourceName{Namespace: lifecycle.Spec.Source.Namespace, Name: lifecycle.Spec.Source.Name}
		members = append(members, r.Member(lifecycle, canaries[source]))
	}
	r.waiting = decision.Rollout{Policy: s.PolicyName, Spec: s.Policy.Rollout, Revision: r.Hash, Now: s.now}.Waiting(members)
	return r
}

// describe says of an import that has another revision than the newest, which the result shows,
// that it keeps that until its turn.
func (r *rollout) describe(result *policyv1alpha1.RenderResult, lifecycles []*policyv1alpha1.PediaClusterLifecycle) {
	if r == nil || r.unsaved && result.Action == policyv1alpha1.RenderError {
		return // what is wrong is to be read first
	}
	for _, lifecycle := range lifecycles {
		if lifecycle.Name != result.Name || policyv1alpha1.ControllingPolicy(lifecycle).Name != r.policyName || r.Newest.IsOf(&lifecycle.Spec) {
			continue
		}
		record := decision.RecordOf(lifecycle, decision.RevisionOfLifecycle(&lifecycle.Spec).Hash())
		text := fmt.Sprintf("this is revision %s; the import keeps revision %s (%s) until its turn", r.Hash, record.Revision, record.State)
		if waiting := r.waiting[lifecycle.Name]; waiting != "" {
			text += ": " + waiting
		}
		result.Message = strings.TrimSuffix(text+"; "+result.Message, "; ")
	}
}

// ofPolicy returns all lifecycles of a policy.
func (r *Reviewer) ofPolicy(ctx context.Context, name string) (lifecycles []*policyv1alpha1.PediaClusterLifecycle, err error) {
	list, err := r.lifecycles.List(ctx, &metainternalversion.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(policyv1alpha1.FieldPolicy, name),
		ResourceVersion: "0", // from the watch cache, which has an index of policies
	})
	if err != nil {
		return nil, fmt.Errorf("listing the lifecycles of the policy: %w", err)
	}
	for i := range list.(*policy.PediaClusterLifecycleList).Items {
		lifecycle := &policyv1alpha1.PediaClusterLifecycle{}
		if err := policyv1alpha1.Convert_policy_PediaClusterLifecycle_To_v1alpha1_PediaClusterLifecycle(
			&list.(*policy.PediaClusterLifecycleList).Items[i], lifecycle, nil); err != nil {
			return nil, err
		}
		lifecycles = append(lifecycles, lifecycle)
	}
	return lifecycles, nil
}

// canaries are the Sources that spec.rollout.first selects. They are not known to a caller who may
// not list Sources.
func (s *session) canaries(ctx context.Context) (canaries map[policyv1alpha1.SourceName]bool, known bool) {
	if s.Policy.Rollout.First == nil {
		return nil, true
	}
	selector, err := s.Policy.Rollout.First.Selector()
	if err != nil || !s.sourceServed {
		return nil, false
	}
	if allowed, err := s.access.toList(ctx, s.source.GroupVersionResource); err != nil || !allowed {
		return nil, false
	}
	canaries = map[policyv1alpha1.SourceName]bool{}
	options := metav1.ListOptions{LabelSelector: selector.String(), Limit: warningSources}
	for {
		page, err := s.host.List(ctx, s.source.GroupVersionResource, options)
		if err != nil {
			return nil, false
		}
		for i := range page.Items {
			canaries[policyv1alpha1.SourceName{Namespace: page.Items[i].GetNamespace(), Name: page.Items[i].GetName()}] = true
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return canaries, true
		}
	}
}

// rolloutWarnings are about a rollout that would halt at the next edit, as far as that is known
// now.
func (r *Reviewer) rolloutWarnings(ctx context.Context, name string, spec *policyv1alpha1.ClusterImportPolicySpec) (warnings []string) {
	caller, ok := genericapirequest.UserFrom(ctx)
	if spec.Rollout == nil || !ok {
		return nil
	}
	access := newAccess(r.authorizer, caller)
	if r.selectsNoCanary(ctx, access, spec) {
		warnings = append(warnings, "spec.rollout.first: it selects none of the Sources that this policy imports now, and an edit halts when that is still so (NoCanaries): "+
			"label the Source of a cluster that may be updated first, or correct the selector")
	}
	if created := r.unjudged(ctx, access, name, spec); created > 0 {
		warnings = append(warnings, fmt.Sprintf("spec.rollout.verify: of the %d clusters of this policy, the readiness of none is known, and an edit halts when that is still so "+
			"(ReadinessUnknown): run Clusterpedia, start the server with --probe-clusters, or set verify to Written", created))
	}
	return warnings
}

// selectsNoCanary reports whether the policy imports Sources, and spec.rollout.first selects none
// of them. It lists only for authors who may do so themselves.
func (r *Reviewer) selectsNoCanary(ctx context.Context, access *access, spec *policyv1alpha1.ClusterImportPolicySpec) bool {
	if spec.Rollout.First == nil {
		return false
	}
	first, err := spec.Rollout.First.Selector()
	compiled, errs := render.Compile(spec)
	if err != nil || len(errs) > 0 {
		return false
	}
	source, err := r.host.Resolve(ctx, schema.GroupResource{Group: spec.Source.Group, Resource: spec.Source.Resource}, spec.Source.Versions)
	if err != nil {
		return false
	}
	if allowed, err := access.toList(ctx, source.GroupVersionResource); err != nil || !allowed {
		return false
	}
	selected := func(labels string) (some, known bool) {
		page, err := r.host.List(ctx, source.GroupVersionResource, metav1.ListOptions{LabelSelector: labels, Limit: warningSources})
		if err != nil || ctx.Err() != nil {
			return false, false
		}
		for i := range page.Items {
			if selected, _ := compiled.Selects(&page.Items[i]); selected {
				return true, true
			}
		}
		return false, page.GetContinue() == ""
	}
	if some, known := selected(first.String()); some || !known {
		return false
	}
	some, _ := selected("")
	return some
}

// unjudged is how many PediaClusters the policy has if the readiness of none of their clusters is known,
// though verify asks for it, and 0 otherwise.
func (r *Reviewer) unjudged(ctx context.Context, access *access, name string, spec *policyv1alpha1.ClusterImportPolicySpec) (created int) {
	if spec.Rollout.Verify != policyv1alpha1.VerifyClusterReady || name == "" {
		return 0
	}
	if allowed, err := access.toList(ctx, lifecycleResource); err != nil || !allowed {
		return 0
	}
	lifecycles, err := r.ofPolicy(ctx, name)
	if err != nil {
		return 0
	}
	for _, lifecycle := range lifecycles {
		if cluster := lifecycle.Status.Cluster; cluster != nil && (cluster.Ready == string(metav1.ConditionTrue) || cluster.Ready == string(metav1.ConditionFalse)) {
			return 0
		}
		if decision.IsCreated(lifecycle.Status) {
			created++
		}
	}
	return created
}
