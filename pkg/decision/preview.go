package decision

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// This file tells those who ask beforehand what would be decided, and what a rollout would do.

// SourceOf is what the result of a preview, which may be nil, says of its Source.
func SourceOf(result *policyv1alpha1.RenderResult) (source Source) {
	if result == nil || result.Reason == policyv1alpha1.ReasonSourceNotFound {
		return source // whoever may not read it is told so too
	}
	source.Presence, source.Selected = Present, result.Selected
	if result.Reason == policyv1alpha1.ReasonSelectorFailed {
		source.SelectorErr = errors.New(result.Message)
	}
	return source
}

// Block has the result of a preview, in place, say that its import, which has these lifecycles,
// stays as it is if the rules decide so, and what would happen otherwise. The problem of the policy
// is nil when there is none.
func Block(result *policyv1alpha1.RenderResult, problem *Problem, lifecycles []*Lifecycle) {
	switch result.Action {
	case policyv1alpha1.RenderCreate, policyv1alpha1.RenderUpdate, policyv1alpha1.RenderDelete, policyv1alpha1.RenderNone:
	default:
		return // it stays as it is anyway, and the result says why
	}
	decided := Decide(&Snapshot{Policy: &policyv1alpha1.ClusterImportPolicy{}, Problem: problem, Lifecycles: lifecycles, Source: SourceOf(result)})
	if decided.Blocked == nil || result.Action == policyv1alpha1.RenderNone && len(lifecycles) == 0 {
		return
	}
	message := decided.Blocked.Message
	if result.Action != policyv1alpha1.RenderNone {
		message = fmt.Sprintf("%s; the action would be %s", message, result.Action)
	}
	result.Action, result.Reason, result.Message = policyv1alpha1.RenderWait, decided.Blocked.Reason, message
}

// Preview makes members of what lifecycles alone tell, for those who ask what a rollout would do.
type Preview struct {
	// Newest is the revision of the policy, and Hash its name.
	Newest Revision
	Hash   string
	// former are the names of the others, each of which is hashed once.
	former []namedRevision
}

type namedRevision struct {
	revision Revision
	name     string
}

// NewPreview is a preview of a policy with that spec.
func NewPreview(spec *policyv1alpha1.ClusterImportPolicySpec) *Preview {
	newest := RevisionOfPolicy(spec)
	return &Preview{Newest: newest, Hash: newest.Hash()}
}

// Member is what a rollout knows of the import of a lifecycle.
func (p *Preview) Member(lifecycle *Lifecycle, canary bool) Member {
	m := Member{Name: lifecycle.Name, Canary: canary, Created: IsCreated(lifecycle.Status), Record: p.Record(lifecycle)}
	if cluster := lifecycle.Status.Cluster; cluster != nil {
		m.Ready = cluster.Ready
	}
	m.Waits = m.Record.Revision != p.Hash && lifecycle.DeletionTimestamp == nil && lifecycle.Status.PrunePlan == "" && !Paused(lifecycle)
	return m
}

// Record is what a lifecycle records of the revision that its spec has.
func (p *Preview) Record(lifecycle *Lifecycle) Record {
	if p.Newest.IsOf(&lifecycle.Spec) {
		return RecordOf(lifecycle, p.Hash)
	}
	at := slices.IndexFunc(p.former, func(n namedRevision) bool { return n.revision.IsOf(&lifecycle.Spec) })
	if at < 0 {
		revision := RevisionOfLifecycle(&lifecycle.Spec)
		at, p.former = len(p.former), append(p.former, namedRevision{revision, revision.Hash()})
	}
	return RecordOf(lifecycle, p.former[at].name)
}

// stages are the members that wait, in the order in which they take the newest revision if
// nothing fails: the broken all at once, the canaries, and the others.
func (r Rollout) stages(members []Member) (stages [3][]int, most int) {
	state := r.sum(members)
	stages = [3][]int{state.broken, state.canaries, state.others}
	for _, stage := range stages {
		inOrder(members, stage)
	}
	return stages, r.maxConcurrent(int(state.status.Total))
}

// Outline says in how many steps the members that wait would take the newest revision, if
// nothing fails, and which ones are first.
func (r Rollout) Outline(members []Member) (steps int, first []string) {
	stages, most := r.stages(members)
	for i, stage := range stages {
		size := most
		if i == 0 {
			size = max(1, len(stage))
		}
		steps += (len(stage) + size - 1) / size
		if first != nil {
			continue
		}
		for _, at := range stage[:min(size, len(stage))] {
			first = append(first, members[at].Name)
		}
	}
	return steps, first
}

// Waiting says of each member that has another revision than the newest what it waits for, by
// the name of its lifecycle.
func (r Rollout) Waiting(members []Member) map[string]string {
	texts := map[string]string{}
	decided := r.Decide(members)
	for i := range members {
		if m := &members[i]; m.Record.Revision != r.Revision && !m.Waits {
			texts[m.Name] = "it takes none while it is paused or its removal is held"
		}
	}
	stages, _ := r.stages(members)
	queue := slices.Concat(stages[0], stages[1], stages[2])
	next := sets.New(decided.Next...)
	for place, i := range queue {
		switch name := members[i].Name; {
		case decided.Halted != "":
			texts[name] = fmt.Sprintf("the rollout is halted (%s): see the condition RolloutHalted of the policy", decided.Halted)
		case r.Spec.Paused:
			texts[name] = "the rollout is paused: set spec.rollout.paused to false to resume it"
		case next.Has(i):
			texts[name] = "it is next"
		case place == 0:
			texts[name] = "it is next, when those that have taken the newest one are verified"
		default:
			texts[name] = fmt.Sprintf("number %d in the order, after %s", place+1, list(members, queue[:place], maxOpen, nameOf))
		}
	}
	return texts
}
