package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/hostschemas"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/typecheck"
)

const (
	// fitTimeout bounds one look at the host's schemas.
	fitTimeout = 10 * time.Second
	// fitResync is how often they are looked at without a cause: for aggregated
	// API servers, whose types change unannounced.
	fitResync = time.Minute
	// maxUnfit is how many findings the condition lists.
	maxUnfit = 3
)

// fitDelays are the delays after a change at which the host is asked again: it
// publishes the schema of a type later than it serves the type.
var fitDelays = []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second}

// fits knows whether the templates of policies fit the types of the objects that
// they read. Nothing depends on it but a condition: no import ever waits for it.
type fits struct {
	// states returns what policies are worked by.
	states func() map[string]*policyState
	// onChange is called with the name of a policy whose condition has changed.
	onChange func(policy string)
	changed  chan struct{}

	mu    sync.Mutex
	known map[string]fit
}

// fit is what is known of a policy.
type fit struct {
	compiled  *render.Policy
	types     typecheck.Types
	condition metav1.Condition
}

func newFits(states func() map[string]*policyState, onChange func(policy string)) *fits {
	return &fits{states: states, onChange: onChange, changed: make(chan struct{}, 1), known: map[string]fit{}}
}

// check has the policies checked soon.
func (f *fits) check() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// of returns the condition of a policy, nil while it is not known for its
// templates as they are.
func (f *fits) of(state *policyState) *metav1.Condition {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.known[state.policy.Name]
	if !ok || known.compiled != state.compiled {
		return nil
	}
	return known.condition.DeepCopy()
}

// run checks the policies until the context ends.
func (f *fits) run(ctx context.Context, schemas *hostschemas.Schemas) {
	next := 0
	timer := time.NewTimer(fitDelays[0])
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.changed:
			next = 0
		case <-timer.C:
			f.checkAll(ctx, schemas)
			next++
		}
		if next < len(fitDelays) {
			timer.Reset(fitDelays[next])
		} else {
			timer.Reset(fitResync)
		}
	}
}

func (f *fits) checkAll(ctx context.Context, schemas *hostschemas.Schemas) {
	ctx, cancel := context.WithTimeout(ctx, fitTimeout)
	defer cancel()
	states := f.states()
	f.mu.Lock()
	maps.DeleteFunc(f.known, func(name string, _ fit) bool { return states[name] == nil })
	f.mu.Unlock()
	if len(states) == 0 {
		return
	}
	index, err := schemas.Index(ctx)
	if err != nil {
		klog.FromContext(ctx).V(4).Info("The host does not say which schemas it has", "err", err)
	}
	for name, state := range states {
		if state.compiled != nil {
			f.checkOne(ctx, name, state, index, err)
		}
	}
}

// checkOne checks a policy, unless it and its types are those of the last time.
func (f *fits) checkOne(ctx context.Context, name string, state *policyState, index *hostschemas.Index, failure error) {
	types, unknown := typesOf(state, func(resource schema.GroupVersionResource) (*typecheck.Object, error) {
		if failure != nil {
			return nil, failure
		}
		return index.Object(ctx, resource)
	})
	f.mu.Lock()
	before := f.known[name]
	f.mu.Unlock()
	now := fit{compiled: state.compiled, types: types, condition: before.condition}
	if now.compiled != before.compiled || types.Source != before.types.Source || !maps.Equal(types.References, before.types.References) ||
		before.condition.Reason == policyv1alpha1.ReasonTypesUnknown || unknown != nil {
		now.condition = fitCondition(typecheck.Check(state.compiled, types), unknown)
	}
	f.mu.Lock()
	f.known[name] = now
	f.mu.Unlock()
	if now.compiled != before.compiled || now.condition != before.condition {
		f.onChange(name)
	}
}

// typesOf are the types that the templates of a policy read. The error says which
// of them are not known, and why.
func typesOf(state *policyState, object func(schema.GroupVersionResource) (*typecheck.Object, error)) (types typecheck.Types, unknown error) {
	var err error
	types.References = map[string]*typecheck.Object{}
	if state.source.Empty() {
		return types, fmt.Errorf("the host does not serve %s.%s", state.policy.Spec.Source.Resource, state.policy.Spec.Source.Group)
	}
	types.Source, err = object(state.source.GroupVersionResource)
	unknown = errors.Join(unknown, err)
	for i, ref := range state.policy.Spec.References {
		if i >= len(state.references) {
			return types, errors.Join(unknown, fmt.Errorf("the type of reference %q is not served", ref.Key))
		}
		types.References[ref.Key], err = object(state.references[i].GroupVersionResource)
		unknown = errors.Join(unknown, err)
	}
	return types, unknown
}

// fitCondition tells of findings. What is known to be wrong counts more than what
// is not known.
func fitCondition(findings []*render.Error, unknown error) metav1.Condition {
	condition := metav1.Condition{Type: policyv1alpha1.PolicyTemplatesFit, Status: metav1.ConditionTrue,
		Reason: policyv1alpha1.ReasonTypesFit, Message: "every field that the templates read exists, and is used with its type"}
	switch {
	case len(findings) > 0:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, policyv1alpha1.ReasonTypesDiffer, ""
		for i, finding := range findings {
			if i == maxUnfit {
				condition.Message += fmt.Sprintf("\nand %d more", len(findings)-i)
				break
			}
			if i > 0 {
				condition.Message += "\n"
			}
			condition.Message += finding.Error()
		}
	case unknown != nil:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionUnknown, policyv1alpha1.ReasonTypesUnknown, unknown.Error()
	}
	return condition
}
