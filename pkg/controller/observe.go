package controller

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// This file holds all reads of a pass. A read that fails ends the pass: without a snapshot,
// nothing is decided.

// observe is what is known of an import without asking the host.
func (p *pass) observe() *decision.Snapshot {
	s := &decision.Snapshot{Policy: p.state.policy, Lifecycles: p.lifecycles,
		Source: decision.Source{DeletionSeen: p.memory.DeletionSeen(p.Import)}}
	if problem := p.state.problem; problem != nil {
		s.Problem = &decision.Problem{Message: problem.message, Lasting: problem.lasting, Passing: problem.passing}
	}
	return s
}

// observeSource adds what is known of the Source, and whether it is selected.
func (p *pass) observeSource(ctx context.Context, s *decision.Snapshot) error {
	source, err := p.readSource(ctx)
	s.Source.DeletionSeen = p.memory.DeletionSeen(p.Import)
	lost := (*servedtypes.LostError)(nil)
	switch {
	case errors.Is(err, errSourceGone):
		s.Source.Presence = decision.Gone
		return nil
	case errors.As(err, &lost):
		s.Source.Presence, s.Source.TypeLost = decision.TypeLost, lost.Error()
		return nil
	case err != nil:
		return err
	case source == nil:
		s.Source.Presence = decision.Never
		return nil
	}
	p.source = source
	s.Source.Presence = decision.Present
	s.Source.Selected, s.Source.SelectorErr = p.state.compiled.Selects(source)
	p.selected = s.Source.Selected && s.Source.SelectorErr == nil
	return nil
}

// errSourceGone says that the Source is known not to exist.
var errSourceGone = errors.New("the Source no longer exists")

// readSource returns the Source. It is nil when there is none and nothing was made of it.
// For an import that exists its absence is believed only when the host confirms it.
func (p *pass) readSource(ctx context.Context) (*unstructured.Unstructured, error) {
	source := p.objects.Object(p.state.sources, p.Namespace, p.Name)
	if source != nil { // it is there again, or another informer spoke
		p.memory.SetDeletionSeen(p.Import, false)
	}
	if source != nil && !p.live || len(p.lifecycles) == 0 {
		return source, nil
	}
	source, err := p.host.Resource(p.state.source.GroupVersionResource).Namespace(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
	if err == nil {
		// It is not selected, or it is new. What was seen going was another one.
		p.memory.SetDeletionSeen(p.Import, false)
		return source, nil
	}
	if !objectNotFound(err) {
		return nil, fmt.Errorf("confirming that the Source no longer exists: %w", err)
	}
	for _, lifecycle := range p.lifecycles {
		if seen := lifecycle.Status.SourceDefinition; seen != "" && seen != p.state.source.Definition {
			return nil, servedtypes.Replaced(p.state.source)
		}
	}
	if err := p.types.Confirm(ctx, p.state.source); err != nil {
		return nil, err
	}
	return nil, errSourceGone
}

// confirmSource makes sure that the Source is, in all that matters, what deletionCondition has
// read of it: while it cannot be watched, the informer shows it as it was.
func (p *pass) confirmSource(ctx context.Context) error {
	live, err := p.host.Resource(p.state.source.GroupVersionResource).Namespace(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("%w: reading its Source: %w", errUnconfirmed, err)
	}
	parts := p.state.partsOf(live)
	if live.GetResourceVersion() != p.source.GetResourceVersion() && (parts == "" || parts != p.state.partsOf(p.source)) {
		return fmt.Errorf("%w: its Source has changed: waiting until that is seen", errUnconfirmed)
	}
	return nil
}

// partsOf is a digest of what a pass reads of a Source: what the templates read, which object
// it is, whether it is being deleted, and under a policy with canaries the labels. It is empty when
// any change of the Source matters: when not all of that is known, or is not the same for all
// imports, as while some have a former revision.
func (s *policyState) partsOf(source *unstructured.Unstructured) string {
	if source == nil || len(s.recorded) > 0 || s.reads.IsWhole() {
		return ""
	}
	parts := []any{source.GetUID(), source.GetDeletionTimestamp(), source.GetFinalizers()}
	if rollout := s.policy.Spec.Rollout; rollout != nil && rollout.First != nil {
		parts = append(parts, source.GetLabels())
	}
	if s.reads != nil {
		parts = append(parts, s.reads.Project(source.Object))
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return ""
	}
	digest := sha256.Sum256(text)
	return string(digest[:])
}

// objectNotFound reports whether the host says that an object of a type it serves does not
// exist. A type that is not served is answered 404 as well.
func objectNotFound(err error) bool {
	if !apierrors.IsNotFound(err) {
		return false
	}
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name != "" &&
		!apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// lookup reads a reference in a state at least as new as the informer knows of.
func (p *pass) lookup(ctx context.Context, references []referenceType, target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
	at := slices.IndexFunc(references, func(ref referenceType) bool {
		return ref.Group == target.Group && ref.Resource == target.Resource && ref.Version == target.Version
	})
	if at < 0 {
		return nil, fmt.Errorf("%s is no type that the policy reads", target.Resource)
	}
	ref := references[at]
	switch {
	case ref.Namespaced && target.Namespace == "":
		return nil, fmt.Errorf("%s have a namespace: set namespaceTemplate", target.Resource)
	case !ref.Namespaced && target.Namespace != "":
		return nil, fmt.Errorf("%s have no namespace: remove namespaceTemplate", target.Resource)
	}
	p.memory.AddRead(p.Import, objectOf(target))
	version := p.objects.ResourceVersion(ref.kind, target.Namespace, target.Name)
	switch {
	case p.live:
		version = "" // whatever the host has now
	case version == "":
		if _, failure := p.objects.Status(ref.kind); failure == nil {
			return nil, nil
		}
		// Changes may go unseen: only the host knows that there is none.
	}
	object, err := p.host.Resource(ref.GroupVersionResource).Namespace(target.Namespace).
		Get(ctx, target.Name, metav1.GetOptions{ResourceVersion: version})
	if objectNotFound(err) {
		return nil, nil
	}
	return object, err
}

func reads(references []render.Reference) []memory.Object {
	var objects []memory.Object
	for _, ref := range references {
		if object := objectOf(ref.Target); !slices.Contains(objects, object) {
			objects = append(objects, object)
		}
	}
	return objects
}

func objectOf(target policyv1alpha1.DependentResource) memory.Object {
	return memory.Object{GroupResource: schema.GroupResource{Group: target.Group, Resource: target.Resource},
		Namespace: target.Namespace, Name: target.Name}
}

// pediaCluster is the PediaCluster of that name, nil when there is none. What the informer
// shows is not taken for it while changes may go unseen.
func (p *pass) pediaCluster(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	if _, failure := p.objects.Status(pediaClusters); p.live || failure != nil {
		return p.livePediaCluster(ctx, name)
	}
	return p.objects.Object(pediaClusters, "", name), nil
}

// livePediaCluster reads a PediaCluster from the host: the informer may not have seen yet
// what was just made. It is nil when there is none, which an answer that its type is not
// served does not say.
func (c *importController) livePediaCluster(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	object, err := c.host.Resource(render.PediaClusterGVR).Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		return object, nil
	case objectNotFound(err):
		return nil, nil
	case apierrors.IsNotFound(err):
		removed, err := c.types.Removed(ctx, render.PediaClusterGVR.GroupResource())
		if err == nil && removed {
			return nil, nil
		}
		return nil, errors.Join(errors.New("the host does not serve PediaClusters now"), err)
	default:
		return nil, fmt.Errorf("reading the PediaCluster: %w", err)
	}
}

// readFormer reads the PediaCluster of the name that the import had before, nil when there is
// none that was made for it. It is read from the host: the informer may not have seen yet what
// was just made.
func (p *pass) readFormer(ctx context.Context, replaced []*lifecycles.Lifecycle) (*unstructured.Unstructured, error) {
	for _, old := range replaced {
		object, err := p.livePediaCluster(ctx, old.Name)
		if err != nil {
			return nil, err
		}
		if object != nil && decision.OwnerOf(old).Ownership(object) == render.Owned {
			return object, nil
		}
	}
	return nil, nil
}

// named is what the choice of a name knows of the lifecycles of the import.
func (p *pass) named() (named []render.NamedLifecycle) {
	for _, lifecycle := range p.lifecycles {
		object := p.objects.Object(pediaClusters, "", lifecycle.Name)
		named = append(named, render.NamedLifecycle{
			Name: lifecycle.Name, Created: lifecycle.CreationTimestamp.Time, Deleting: lifecycle.DeletionTimestamp != nil,
			HasPediaCluster: decision.IsCreated(lifecycle.Status) ||
				object != nil && decision.OwnerOf(lifecycle).Ownership(object) != render.OwnedByOther,
		})
	}
	return named
}
