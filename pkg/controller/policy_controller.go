package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/brake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/typed/policy/v1alpha1"
	policylisters "github.com/clusterpedia-io/policy-apiserver/pkg/generated/listers/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
	"github.com/clusterpedia-io/policy-apiserver/pkg/rights"
)

// statusDelay is how long the figures in a policy's status may lag behind its
// imports: in bulk work one write sums up many.
const statusDelay = time.Second

// schemaDelay is after how long the definition of PediaClusters is read again that could
// not be read.
const schemaDelay = 5 * time.Second

// policyController compiles policies, watches the types they name, and sums up
// what became of their Sources.
type policyController struct {
	client    policyclient.ClusterImportPolicyInterface
	lister    policylisters.ClusterImportPolicyLister
	store     *lifecycles.Store
	types     *servedtypes.Tracker
	objects   *hostobjects.Pool
	events    events.EventRecorder
	queue     workqueue.TypedRateLimitingInterface[string]
	summaries *policySummaries
	brake     *brake.Brake
	rollouts  *rollouts
	// announcer records events of what becomes of imports.
	announcer *announcer

	// enqueueImport has one import worked on, enqueueInBulk one of many, and addInBulk one of
	// many unless nothing is left to do.
	enqueueImport, enqueueInBulk, addInBulk func(memory.Import)
	// checkOwners checks the controller references of the lifecycles that name a policy.
	checkOwners func(policy string)
	// fits knows whether templates fit the types that they read.
	fits *fits
	// context is the one in which informers run; set before work begins.
	context context.Context

	// schemas knows what the host's PediaClusters are like.
	schemas hostSchema

	// written is when the status of a policy was last written.
	written map[string]time.Time

	mu     sync.RWMutex
	states map[string]*policyState
}

// policyState is what the import controller works by. It is replaced, never
// changed.
type policyState struct {
	policy   *policyv1alpha1.ClusterImportPolicy
	compiled *render.Policy
	// reads are the parts of a Source that the templates read.
	reads    *engine.Paths
	selector labels.Selector
	source   servedtypes.Type
	// sources and references are what is watched for this policy.
	sources    hostobjects.Kind
	references []referenceType
	// newest and its hash are what a rollout brings to the imports, and recorded is what they
	// live by until it is their turn. They are empty without a rollout.
	newest   decision.Revision
	revision string
	recorded []*recordedConversion
	// lookedThrough is when lifecycles were last looked through for that.
	lookedThrough time.Time
	// pediaClusters says whether the host serves PediaClusters.
	pediaClusters bool
	// schema is what they are like, nil when the host does not say so.
	schema *render.Schema
	// next is a version of the Source that the host serves instead of the one that
	// is worked by, and whose objects are not known yet; nil when there is none.
	next *hostobjects.Kind
	// problem is why the imports cannot be worked on, nil when they can.
	problem *problem
	// outage is why changes on the host may go unseen, nil when none does. The
	// imports are worked on all the same, with what is known.
	outage *problem
	// fit is the condition TemplatesFit, nil while it is not known.
	fit *metav1.Condition
	// passing is since when there is a problem that was to pass, zero when there is
	// none.
	passing time.Time
}

type referenceType struct {
	servedtypes.Type
	kind hostobjects.Kind
}

func newReferenceType(resolved servedtypes.Type) referenceType {
	return referenceType{Type: resolved, kind: hostobjects.Kind{
		GroupVersionResource: resolved.GroupVersionResource, Definition: resolved.Definition, MetadataOnly: true}}
}

// problem is why the imports of a policy cannot be worked on.
type problem struct {
	reason, message string
	// lasting problems are shown on the lifecycles too. Under any other problem
	// the imports rest: they and their statuses stay as they are.
	lasting bool
	// passing problems are over in a moment; they are not worth a write.
	passing bool
}

// problemPatience is how long a problem may be about to pass before it is shown.
const problemPatience = 15 * time.Second

func (p *problem) equal(other *problem) bool {
	if p == nil || other == nil {
		return p == other
	}
	return *p == *other
}

func newPolicyController(client policyclient.ClusterImportPolicyInterface, lister policylisters.ClusterImportPolicyLister,
	store *lifecycles.Store, types *servedtypes.Tracker, objects *hostobjects.Pool, recorder events.EventRecorder) *policyController {
	c := &policyController{
		client: client, lister: lister, store: store, types: types, objects: objects, events: recorder,
		queue:     newQueue[string]("policies", nil),
		summaries: newPolicySummaries(),
		brake:     brake.New(clock.RealClock{}),
		rollouts:  newRollouts(),
		written:   map[string]time.Time{},
		states:    map[string]*policyState{},
	}
	c.fits = newFits(c.allStates, c.queue.Add)
	c.announcer = newAnnouncer(recorder, clock.RealClock{}, c.queue.AddAfter)
	return c
}

func (c *policyController) eventHandler() cache.ResourceEventHandler {
	enqueue := func(object any) {
		name, err := cache.DeletionHandlingObjectToName(object)
		if err != nil {
			utilruntime.HandleError(err)
			return
		}
		c.queue.Add(name.Name)
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, object any) { enqueue(object) },
		DeleteFunc: enqueue,
	}
}

// importsOf returns the import of a Source under every policy on its type.
func (c *policyController) importsOf(source policyv1alpha1.DependentResource) (imports []memory.Import) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for name, state := range c.states {
		if state.policy.Spec.Source.Group == source.Group && state.policy.Spec.Source.Resource == source.Resource {
			imports = append(imports, memory.Import{Policy: name, Namespace: source.Namespace, Name: source.Name})
		}
	}
	return imports
}

func (c *policyController) enqueueAll() {
	policies, err := c.lister.List(labels.Everything())
	utilruntime.HandleError(err)
	for _, policy := range policies {
		c.queue.Add(policy.Name)
	}
}

// state returns what is known of a policy, nil when there is no such policy.
func (c *policyController) state(name string) *policyState {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.states[name]
}

// allStates are those of all policies, by their names.
func (c *policyController) allStates() map[string]*policyState {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return maps.Clone(c.states)
}

// reportResult records what became of an import, nil when there is nothing left of
// it, and has the status of its policy follow.
func (c *policyController) reportResult(i memory.Import, result *importResult) {
	state := c.state(i.Policy)
	if state == nil {
		return
	}
	failure, last := c.summaries.set(i, result)
	if failure != nil && !c.hasLifecycle(state, i) {
		c.announcer.failed(state, i, *failure)
	}
	if last && state.policy.Spec.Rollout != nil {
		c.queue.Add(i.Policy) // it can be decided now who is next
	}
	c.queue.AddAfter(i.Policy, statusDelay)
}

// reportExpected records what becomes of an import once its pending record is written.
func (c *policyController) reportExpected(i memory.Import, result *importResult) {
	if c.state(i.Policy) != nil {
		c.summaries.expect(i, result)
	}
}

// hasLifecycle reports whether the import has a lifecycle, which shows what became of it.
func (c *policyController) hasLifecycle(state *policyState, i memory.Import) bool {
	return slices.ContainsFunc(c.store.OfSource(state.sourceResource(i)), func(lifecycle *policyv1alpha1.PediaClusterLifecycle) bool {
		return policyv1alpha1.ControllingPolicy(lifecycle).Name == i.Policy
	})
}

func (c *policyController) reconcile(ctx context.Context, name string) error {
	policy, err := c.lister.Get(name)
	if apierrors.IsNotFound(err) {
		c.forget(name)
		return nil
	}
	if err != nil {
		return err
	}
	c.announcer.flush(name)
	before := c.state(name)
	if before != nil && before.policy.UID != policy.UID {
		c.brake.Forget(name)
		c.rollouts.forget(name)
		c.checkOwners(name)
	} else if before != nil && before.policy.Generation != policy.Generation {
		c.brake.Revoke(name)
	}
	state := c.resolve(policy, before)
	if state.schema, err = c.schemas.at(ctx, c.types.DefinitionVersion(render.PediaClusterGVR.GroupResource())); err != nil {
		klog.FromContext(ctx).V(2).Info("Trying again later", "policy", name, "err", err)
		c.queue.AddAfter(name, schemaDelay)
	}
	c.resolveRollout(state, before)
	c.subscribe(state, before)
	state.examine(c.objects.Status)
	if remaining := state.limitPassing(before, time.Now()); remaining > 0 {
		c.queue.AddAfter(name, remaining)
	}
	state.fit = c.fits.of(state)
	c.mu.Lock()
	c.states[name] = state
	c.mu.Unlock()
	if before == nil || before.compiled != state.compiled || !slices.Equal(before.kinds(), state.kinds()) {
		c.fits.check()
	}

	awaitsPassing := state.problem != nil && state.problem.passing && policy.DeletionTimestamp == nil
	if !awaitsPassing && concernsImports(before, state) {
		c.enqueueImports(state, before)
	}
	if policy.DeletionTimestamp != nil && slices.Contains(policy.Finalizers, policyv1alpha1.Finalizer) && len(c.store.OfPolicy(name)) == 0 {
		return c.finalize(ctx, policy)
	}
	return c.conclude(ctx, state)
}

func (c *policyController) forget(name string) {
	c.announcer.forget(name)
	c.mu.Lock()
	state := c.states[name]
	delete(c.states, name)
	c.mu.Unlock()
	if state == nil {
		return
	}
	for _, kind := range state.watched() {
		c.objects.Unsubscribe(kind, name)
	}
	for _, lifecycle := range c.store.OfPolicy(name) {
		c.enqueueImport(importOf(lifecycle))
	}
	c.checkOwners(name)
	c.summaries.forget(name)
	delete(c.written, name)
	forgetSeries(name)
	c.brake.Forget(name)
	c.rollouts.forget(name)
}

// resolve compiles the policy and negotiates the versions of its types.
func (c *policyController) resolve(policy *policyv1alpha1.ClusterImportPolicy, before *policyState) *policyState {
	state := &policyState{policy: policy}
	_, unserved := c.types.Resolve(render.PediaClusterGVR.GroupResource(), []string{render.PediaClusterGVR.Version})
	state.pediaClusters = unserved == nil
	if before != nil && before.policy.UID == policy.UID && before.policy.Generation == policy.Generation && before.compiled != nil {
		state.compiled, state.reads, state.selector = before.compiled, before.reads, before.selector
	} else if state.problem = state.compile(); state.problem != nil {
		return state
	}

	source := policy.Spec.Source
	resolved, err := c.types.Resolve(schema.GroupResource{Group: source.Group, Resource: source.Resource}, source.Versions)
	if err != nil {
		state.problem = typeProblem(policyv1alpha1.ReasonSourceTypeNotServed, policyv1alpha1.ReasonSourcesUnavailable, err)
		return state
	}
	state.source, state.sources = resolved, hostobjects.Kind{GroupVersionResource: resolved.GroupVersionResource,
		Definition: resolved.Definition, LabelSelector: state.selector.String(), Selector: source.SelectorTemplate}
	if !c.known(state.sources) && state.isOtherVersionOf(before) && c.known(before.sources) {
		state.next = ptr.To(state.sources)
		state.source, state.sources = before.source, before.sources
	}

	for _, ref := range policy.Spec.References {
		resolved, err := c.types.Resolve(schema.GroupResource{Group: ref.Group, Resource: ref.Resource}, ref.Versions)
		if err != nil {
			state.problem = typeProblem(policyv1alpha1.ReasonReferenceTypeNotServed, policyv1alpha1.ReasonReferencesUnavailable,
				fmt.Errorf("reference %q: %w", ref.Key, err))
			return state
		}
		state.references = append(state.references, newReferenceType(resolved))
	}
	if unserved != nil {
		state.problem = typeProblem(policyv1alpha1.ReasonPediaClusterTypeNotServed, policyv1alpha1.ReasonPediaClusterTypeNotServed, unserved)
	}
	return state
}

// maxCompileMessage bounds what a condition says about templates that do not
// compile: a policy has many of them, and each may have several errors.
const maxCompileMessage = 8 << 10

func (s *policyState) compile() *problem {
	compiled, errs := render.Compile(&s.policy.Spec)
	if len(errs) > 0 {
		return &problem{reason: policyv1alpha1.ReasonTemplateFailed, message: render.Bounded(errs.ToAggregate().Error(), maxCompileMessage), lasting: true}
	}
	selector, err := s.policy.Spec.Source.LabelSelector.Selector()
	if err != nil {
		return &problem{reason: policyv1alpha1.ReasonSelectorFailed, message: "spec.source.labelSelector: " + err.Error(), lasting: true}
	}
	s.compiled, s.reads, s.selector = compiled, compiled.Paths().At("source"), selector
	return nil
}

func typeProblem(notServed, unavailable string, err error) *problem {
	var missing *servedtypes.NotServedError
	if errors.As(err, &missing) {
		return &problem{reason: notServed, message: err.Error(), lasting: true}
	}
	return &problem{reason: unavailable, message: render.Bounded(err.Error(), render.MaxMessage), passing: errors.Is(err, servedtypes.ErrUnknown)}
}

// isOtherVersionOf reports whether the Sources are those of before, as another
// version has them.
func (s *policyState) isOtherVersionOf(before *policyState) bool {
	return before != nil && before.policy.UID == s.policy.UID && before.policy.Generation == s.policy.Generation &&
		!before.source.Empty() && before.source.Definition == s.source.Definition && before.source.Version != s.source.Version
}

// known reports whether the objects of a kind are.
func (c *policyController) known(kind hostobjects.Kind) bool {
	synced, _ := c.objects.Status(kind)
	return synced
}

// examine finds out whether the objects that the policy needs are known, and
// whether they can be listed and watched.
func (s *policyState) examine(status func(hostobjects.Kind) (synced bool, failure error)) {
	for _, kind := range s.needed() {
		synced, failure := status(kind)
		problem := s.unavailable(kind, synced, failure)
		switch {
		case problem == nil:
		case synced || s.isNext(kind):
			s.outage = cmp.Or(s.outage, problem)
		case s.problem == nil || s.problem.passing && !problem.passing:
			s.problem = problem
		}
	}
}

// unavailable is the problem with the objects of a kind, nil when there is none.
func (s *policyState) unavailable(kind hostobjects.Kind, synced bool, failure error) *problem {
	p := &problem{reason: policyv1alpha1.ReasonReferencesUnavailable}
	switch {
	case kind == pediaClusters:
		p.reason = policyv1alpha1.ReasonHostUnavailable
	case kind == s.sources || s.isNext(kind):
		p.reason = policyv1alpha1.ReasonSourcesUnavailable
	}
	lacking, why := (*rights.Error)(nil), ""
	if failure != nil {
		why = ": " + render.Bounded(failure.Error(), render.MaxMessage/2)
	}
	switch {
	case errors.As(failure, &lacking):
		p.message = lacking.Error() // it ends with a command, which nothing may follow
	case s.isNext(kind) && failure == nil:
		return nil // they are being listed
	case s.isNext(kind):
		p.message = fmt.Sprintf("listing %s in version %s, which the host serves instead of %s%s; the last known state of the Sources is used",
			kind.GroupResource(), kind.Version, s.source.Version, why)
	case !synced:
		p.message = fmt.Sprintf("listing %s%s", kind.GroupResource(), why)
		p.passing = failure == nil
	case failure == nil || kind == s.sources && s.next != nil:
		return nil // the version that was served before has gone
	case kind == s.sources:
		p.message = fmt.Sprintf("listing and watching %s%s; their last known state is used", kind.GroupResource(), why)
	default:
		p.message = fmt.Sprintf("listing and watching %s%s; their changes are not observed", kind.GroupResource(), why)
	}
	return p
}

func (s *policyState) isNext(kind hostobjects.Kind) bool { return s.next != nil && *s.next == kind }

// limitPassing has a problem shown that should have passed within problemPatience. Of another
// passing problem it returns after how long to check again.
func (s *policyState) limitPassing(before *policyState, now time.Time) (again time.Duration) {
	if s.problem == nil || !s.problem.passing {
		return 0
	}
	s.passing = now
	if before != nil && !before.passing.IsZero() {
		s.passing = before.passing
	}
	if remaining := problemPatience - now.Sub(s.passing); remaining > 0 {
		return remaining
	}
	s.problem.passing = false
	return 0
}

// reason is the problem that the status gives as the reason, nil when there is none.
func (s *policyState) reason() *problem { return cmp.Or(s.problem, s.outage) }

// watched are the kinds that are watched for the policy.
func (s *policyState) watched() []hostobjects.Kind {
	return append(s.needed(), s.recordedKinds()...)
}

// needed are those without which all its imports rest.
func (s *policyState) needed() []hostobjects.Kind {
	if s.next == nil {
		return s.kinds()
	}
	return append(s.kinds(), *s.next)
}

// kinds are those that its imports are worked by.
func (s *policyState) kinds() (kinds []hostobjects.Kind) {
	if s.pediaClusters {
		kinds = append(kinds, pediaClusters)
	}
	if s.source.Empty() {
		return kinds
	}
	kinds = append(kinds, s.sources)
	for _, ref := range s.references {
		kinds = append(kinds, ref.kind)
	}
	return kinds
}

// sourceResource names the Source of an import.
func (s *policyState) sourceResource(i memory.Import) policyv1alpha1.DependentResource {
	return policyv1alpha1.DependentResource{
		Group: s.policy.Spec.Source.Group, Version: s.source.Version, Resource: s.policy.Spec.Source.Resource,
		Namespace: i.Namespace, Name: i.Name,
	}
}

// subscribe watches what the policy needs now, and gives back what it does not
// need any more.
func (c *policyController) subscribe(state, before *policyState) {
	kinds, compiled := state.watched(), state.compiled
	wanted := func(source *unstructured.Unstructured) (wanted bool) {
		// Whatever is wrong, its import tells of it.
		defer func() {
			if recover() != nil {
				wanted = true
			}
		}()
		selected, err := compiled.Selects(source)
		return selected || err != nil
	}
	for _, kind := range kinds {
		c.objects.Subscribe(c.context, kind, state.policy.Name, wanted)
	}
	if before == nil {
		return
	}
	for _, kind := range before.watched() {
		if !slices.Contains(kinds, kind) {
			c.objects.Unsubscribe(kind, state.policy.Name)
		}
	}
}

// concernsImports reports whether every import of a policy has to be worked on
// after a change.
func concernsImports(before, now *policyState) bool {
	if before == nil {
		return true
	}
	return before.policy.UID != now.policy.UID ||
		before.policy.Generation != now.policy.Generation ||
		(before.policy.DeletionTimestamp == nil) != (now.policy.DeletionTimestamp == nil) ||
		!before.problem.equal(now.problem) ||
		before.schema != now.schema ||
		!slices.Equal(before.kinds(), now.kinds()) || recordedChanged(before, now)
}

// onlyRevisionChanged reports whether the policy has changed in nothing but its revision, and in
// how that is rolled out: what has another revision stays as it is until it is its turn.
func onlyRevisionChanged(before, now *policyState) bool {
	return before != nil && before.policy.UID == now.policy.UID && before.policy.Generation != now.policy.Generation &&
		now.policy.DeletionTimestamp == nil && !now.policy.Spec.Suspend &&
		before.problem == nil && now.problem == nil && before.schema == now.schema && before.source == now.source &&
		decision.OnlyRevisionDiffers(before.policy.Spec, now.policy.Spec)
}

// enqueueImports has every import of the policy worked on that the change concerns.
func (c *policyController) enqueueImports(state, before *policyState) {
	enqueue := c.enqueueInBulk
	if onlyRevisionChanged(before, state) {
		enqueue = c.addInBulk
	}
	imports := map[memory.Import]struct{}{}
	c.objects.Each(state.sources, func(namespace, name string) {
		imports[memory.Import{Policy: state.policy.Name, Namespace: namespace, Name: name}] = struct{}{}
	})
	for _, lifecycle := range c.store.OfPolicy(state.policy.Name) {
		imports[importOf(lifecycle)] = struct{}{}
	}
	c.summaries.begin(state.policy.Name, imports)
	c.rollouts.keep(state.policy.Name, imports)
	for i := range imports {
		enqueue(i)
	}
}

// lifecycleDeleted is called when a lifecycle of the policy is gone: a policy that is being
// deleted may have waited for the last one. It is asked at most once a second, however many
// go.
func (c *policyController) lifecycleDeleted(policy string) {
	if state := c.state(policy); state != nil && state.policy.DeletionTimestamp != nil {
		c.queue.AddAfter(policy, statusDelay)
	}
}

// rests reports whether imports rest for a problem that passes by itself.
func (s *policyState) rests() bool { return s.problem != nil && !s.problem.lasting }

// finalize removes our finalizer from the policy when its lifecycles are gone.
func (c *policyController) finalize(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy) error {
	// The informer may lag behind a lifecycle that was just made.
	switch left, err := c.store.HasPolicy(ctx, policy.Name); {
	case err != nil:
		return fmt.Errorf("making sure that no lifecycle of the policy is left: %w", err)
	case left:
		return errors.New("lifecycles of the policy are left")
	}
	patch, err := withoutFinalizer(&policy.ObjectMeta)
	if err != nil {
		return err
	}
	_, err = c.client.Patch(ctx, policy.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// withoutFinalizer is the merge patch that removes our finalizer from just this
// version of the object.
func withoutFinalizer(object *metav1.ObjectMeta) ([]byte, error) {
	left := slices.DeleteFunc(slices.Clone(object.Finalizers), func(f string) bool { return f == policyv1alpha1.Finalizer })
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": object.UID, "resourceVersion": object.ResourceVersion, "finalizers": left,
	}})
}

// updateStatus writes the status of a policy if it has changed, and reports
// whether it is what is stored now. What has changed in nothing but figures is
// not written more often than every statusDelay.
func (c *policyController) updateStatus(ctx context.Context, state *policyState, prune pruning, rollout *decision.RolloutDecision) (stored bool, err error) {
	status, ok := c.summaries.status(state, prune, rollout)
	if !ok {
		return false, nil
	}
	before := state.policy.Status
	if equality.Semantic.DeepEqual(status, before) {
		return true, nil
	}
	if remaining := statusDelay - time.Since(c.written[state.policy.Name]); remaining > 0 && sameButFigures(before, status) {
		c.queue.AddAfter(state.policy.Name, remaining)
		return false, nil
	}
	policy := state.policy.DeepCopy()
	policy.Status = status
	_, err = c.client.UpdateStatus(ctx, policy, metav1.UpdateOptions{FieldManager: fieldManager})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		// The informer will bring the version that came in between.
		klog.FromContext(ctx).V(4).Info("The policy changed while its status was written", "policy", klog.KObj(policy))
		return false, nil
	}
	c.written[policy.Name] = time.Now()
	return err == nil, err
}

// sameButFigures reports whether two statuses differ in nothing but counts,
// failures and messages.
func sameButFigures(a, b policyv1alpha1.ClusterImportPolicyStatus) bool {
	a.Counts, a.Failures = b.Counts, b.Failures
	if a.Rollout != nil && b.Rollout != nil && a.Rollout.Revision == b.Rollout.Revision {
		a.Rollout = b.Rollout
	}
	without := func(conditions []metav1.Condition) (reasons []metav1.Condition) {
		for _, condition := range conditions {
			condition.Message = ""
			reasons = append(reasons, condition)
		}
		return reasons
	}
	a.Conditions, b.Conditions = without(a.Conditions), without(b.Conditions)
	return equality.Semantic.DeepEqual(a, b)
}
