// Package review answers what a policy would do: the render subresources of
// policies and lifecycles, and the warnings for the authors of policies.
//
// It reads the host with the credentials of the server, and asks the host
// before each read whether the caller may do the same. What the caller may not
// read is treated as if it did not exist, so that no answer depends on it. The
// package has no way to write: Host reads, and nothing else is known of it.
//
// It is called by the registries of both kinds and calls pkg/render for what
// the controllers would do.
package review

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/util/workqueue"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

const (
	// defaultLimit is the number of Sources in an answer unless the caller
	// asks for another one.
	defaultLimit = 100
	// pageSize is how many Sources are held at a time.
	pageSize = 50
	// maxAnswer is the size in bytes after which no further page is begun.
	maxAnswer = 8 << 20
	// stepSize is about what a step of a trace takes of an answer, in bytes.
	stepSize = 512
	// workers is how many Sources of a page are worked on at a time.
	workers = 8
)

// Reviewer answers reviews.
type Reviewer struct {
	host       Host
	authorizer authorizer.UnconditionalAuthorizer
	lifecycles Lifecycles
}

// New returns a reviewer. The authorizer is the one that the server asks about
// its own requests: it asks the host.
func New(host Host, authorizer authorizer.UnconditionalAuthorizer, lifecycles Lifecycles) *Reviewer {
	return &Reviewer{host: host, authorizer: authorizer, lifecycles: lifecycles}
}

// request is what a caller asks about one policy.
type request struct {
	// PolicyName is the name that the policy has or would have.
	PolicyName string
	// Policy is what to render.
	Policy *policyv1alpha1.ClusterImportPolicySpec
	// PruneBudget is what maxPrune allows to be removed.
	PruneBudget decision.PruneBudget
	// Lifecycle is the name of the lifecycle that was asked about, if it was one.
	Lifecycle string
	// Spec says of which Sources, and how. It has been validated.
	Spec *policyv1alpha1.RenderReviewSpec
}

// session is the answering of one request.
type session struct {
	*Reviewer
	request
	access   *access
	compiled *render.Policy
	now      time.Time

	source Type
	// references are the types of the references, empty where none is served.
	references []Type
	versions   []string
	// schema is that of the host's PediaClusters, nil when it is not known.
	schema *render.Schema
	// blocked is why the imports of the policy rest, nil when they do not.
	blocked error
	// sourceServed is false when Sources can be neither read nor listed.
	sourceServed bool

	sourceObject *unstructured.Unstructured
	given        map[string]*unstructured.Unstructured
	digest       func(string) string
	rollout      *rollout
}

// review answers a request.
func (r *Reviewer) review(ctx context.Context, asked request) (*policyv1alpha1.RenderReviewStatus, error) {
	s, err := r.newSession(ctx, asked)
	if err != nil {
		return nil, err
	}
	status := &policyv1alpha1.RenderReviewStatus{}
	switch {
	case s.sourceObject != nil:
		status.Results, err = s.reviewAll(ctx, []unstructured.Unstructured{*s.sourceObject})
	case s.Spec.Source != nil:
		status.Results, err = s.reviewNamed(ctx, *s.Spec.Source)
	default:
		status.Results, status.Continue, err = s.reviewPages(ctx)
	}
	if err != nil {
		return nil, err
	}
	render.Contend(status.Results)
	decision.HoldRemovals(status.Results, asked.PruneBudget)
	status.Totals = totals(status.Results)
	return status, nil
}

func (r *Reviewer) newSession(ctx context.Context, asked request) (*session, error) {
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(errors.New("the request has no user"))
	}
	s := &session{Reviewer: r, request: asked, access: newAccess(r.authorizer, caller), now: time.Now()}
	var errs field.ErrorList
	if s.compiled, errs = render.Compile(asked.Policy); len(errs) > 0 {
		return nil, apierrors.NewInvalid(policy.Kind("ClusterImportPolicy"), asked.PolicyName, errs)
	}
	if errs = s.decode(); len(errs) > 0 {
		return nil, invalid(asked.PolicyName, errs)
	}
	if !asked.Spec.IncludeCredentials {
		s.digest = newDigest()
	}
	if err := s.resolve(ctx); err != nil {
		return nil, err
	}
	if err := s.checkRights(ctx); err != nil {
		return nil, err
	}
	s.rollout = s.readRollout(ctx)
	return s, nil
}

func invalid(name string, errs field.ErrorList) error {
	return apierrors.NewInvalid(policy.Kind("RenderReview"), name, errs)
}

// decode takes the objects out of the request.
func (s *session) decode() (errs field.ErrorList) {
	root := field.NewPath("spec")
	if raw := s.Spec.SourceObject; raw != nil {
		object, err := decodeObject(raw, root.Child("sourceObject"))
		errs = append(errs, err...)
		if len(err) == 0 && object.GetName() == "" {
			errs = append(errs, field.Required(root.Child("sourceObject", "metadata", "name"), "the name of the Source"))
		}
		s.sourceObject = object
	}
	s.given = map[string]*unstructured.Unstructured{}
	for i := range s.Spec.References {
		ref := &s.Spec.References[i]
		object, err := decodeObject(&ref.Object, root.Child("references").Index(i).Child("object"))
		errs = append(errs, err...)
		s.given[ref.Key] = object
	}
	return errs
}

func decodeObject(raw *runtime.RawExtension, path *field.Path) (*unstructured.Unstructured, field.ErrorList) {
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw.Raw, &object.Object); err != nil || object.Object == nil {
		return nil, field.ErrorList{field.Invalid(path, field.OmitValueType{}, "must be the whole object")}
	}
	return object, nil
}

// resolve negotiates the versions of the policy's types.
func (s *session) resolve(ctx context.Context) (err error) {
	source := s.Policy.Source
	s.source, s.sourceServed, err = s.resolveType(ctx, "", source.Group, source.Resource, source.Versions)
	if err != nil {
		return err
	}
	for _, ref := range s.Policy.References {
		resolved, served, err := s.resolveType(ctx, ref.Key, ref.Group, ref.Resource, ref.Versions)
		if err != nil {
			return err
		}
		if object := s.given[ref.Key]; object != nil && !served {
			resolved.Version = object.GroupVersionKind().Version
		}
		s.references = append(s.references, resolved)
		s.versions = append(s.versions, resolved.Version)
	}
	s.schema = s.host.Schema(ctx)
	_, _, err = s.resolveType(ctx, "", render.PediaClusterGVR.Group, render.PediaClusterGVR.Resource, []string{render.PediaClusterGVR.Version})
	return err
}

// resolveType negotiates the version of one type. One that is not served
// blocks the policy, unless the object of the reference is given.
func (s *session) resolveType(ctx context.Context, key, group, resource string, versions []string) (Type, bool, error) {
	resolved, err := s.host.Resolve(ctx, schema.GroupResource{Group: group, Resource: resource}, versions)
	missing := (*NotServedError)(nil)
	switch {
	case err == nil:
		return resolved, true, nil
	case !errors.As(err, &missing):
		return Type{}, false, unavailable(err)
	}
	if key != "" {
		err = fmt.Errorf("reference %q: %w", key, err)
	}
	if s.blocked == nil && s.given[key] == nil {
		s.blocked = err
	}
	return Type{}, false, nil
}

// unavailable is the answer when the host does not say what is needed. What it forbids,
// it forbids to this server: the caller's own rights are asked before.
func unavailable(err error) error {
	var status apierrors.APIStatus
	if !apierrors.IsForbidden(err) || !errors.As(err, &status) {
		return apierrors.NewServiceUnavailable(err.Error())
	}
	forbidden := &apierrors.StatusError{ErrStatus: status.Status()}
	forbidden.ErrStatus.Message = "the host forbids it to this server: " + err.Error()
	return forbidden
}

// reviewNamed reviews one Source of the host.
func (s *session) reviewNamed(ctx context.Context, name policyv1alpha1.SourceName) ([]policyv1alpha1.RenderResult, error) {
	if !s.sourceServed {
		return []policyv1alpha1.RenderResult{{Source: name, Action: policyv1alpha1.RenderWait,
			Reason: policyv1alpha1.ReasonWaitingForType, Message: s.blocked.Error()}}, nil
	}
	path := field.NewPath("spec", "source", "namespace")
	switch {
	case s.source.Namespaced && name.Namespace == "":
		return nil, invalid(s.PolicyName, field.ErrorList{field.Required(path, s.source.Resource+" have a namespace")})
	case !s.source.Namespaced && name.Namespace != "":
		return nil, invalid(s.PolicyName, field.ErrorList{field.Invalid(path, name.Namespace, s.source.Resource+" have no namespace")})
	}
	source, err := s.read(ctx, s.source.GroupVersionResource, name.Namespace, name.Name)
	if err != nil {
		return nil, unavailable(err)
	}
	if source == nil {
		return []policyv1alpha1.RenderResult{render.ReviewAbsent(s.sourceNamed(name.Namespace, name.Name))}, nil
	}
	return s.reviewAll(ctx, []unstructured.Unstructured{*source})
}

// reviewPages reviews all Sources, as many as the caller wants and an answer
// can hold.
func (s *session) reviewPages(ctx context.Context) (results []policyv1alpha1.RenderResult, next string, err error) {
	if !s.sourceServed {
		warning.AddWarning(ctx, "", s.blocked.Error())
		return nil, "", nil
	}
	if allowed, err := s.access.toList(ctx, s.source.GroupVersionResource); err != nil {
		return nil, "", unavailable(err)
	} else if !allowed {
		return nil, "", apierrors.NewForbidden(s.source.GroupResource(), "",
			errors.New("without spec.source all Sources are rendered, which takes the permission to list them in all namespaces"))
	}
	limit := s.Spec.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	next = s.Spec.Continue
	for size := 0; ; {
		page, err := s.host.List(ctx, s.source.GroupVersionResource,
			metav1.ListOptions{Limit: min(pageSize, limit-int64(len(results))), Continue: next})
		if err != nil {
			return nil, "", s.listError(err, next)
		}
		reviewed, err := s.reviewAll(ctx, page.Items)
		if err != nil {
			return nil, "", err
		}
		results = append(results, reviewed...)
		for i := range reviewed {
			if object := reviewed[i].PediaCluster; object != nil {
				size += len(object.Raw)
			}
			for _, trace := range reviewed[i].Traces {
				size += len(trace.Steps) * stepSize
			}
		}
		next = page.GetContinue()
		if next == "" || int64(len(results)) >= limit || size > maxAnswer {
			return results, next, nil
		}
	}
}

func (s *session) listError(err error, token string) error {
	switch {
	case apierrors.IsResourceExpired(err):
		return err // as a list does: begin again
	case apierrors.IsBadRequest(err) && token != "":
		return invalid(s.PolicyName, field.ErrorList{field.Invalid(field.NewPath("spec", "continue"), token,
			"must be the status.continue of an earlier response")})
	}
	return unavailable(fmt.Errorf("listing Sources: %w", err))
}

// reviewAll reviews these Sources, several at a time.
func (s *session) reviewAll(ctx context.Context, sources []unstructured.Unstructured) ([]policyv1alpha1.RenderResult, error) {
	results := make([]policyv1alpha1.RenderResult, len(sources))
	errs := make([]error, len(sources))
	workqueue.ParallelizeUntil(ctx, workers, len(sources), func(i int) {
		results[i], errs[i] = s.reviewSource(ctx, &sources[i])
	})
	if err := ctx.Err(); err != nil {
		return nil, apierrors.NewTimeoutError("rendering took too long: ask for fewer Sources with spec.limit", 0)
	}
	if err := utilerrors.NewAggregate(errs); err != nil {
		return nil, unavailable(err)
	}
	return results, nil
}

func (s *session) reviewSource(ctx context.Context, source *unstructured.Unstructured) (policyv1alpha1.RenderResult, error) {
	lifecycles, err := s.lifecyclesOf(ctx, s.sourceNamed(source.GetNamespace(), source.GetName()))
	if err != nil {
		return policyv1alpha1.RenderResult{}, err
	}
	result := s.compiled.Review(render.ReviewInputs{
		PolicyName: s.PolicyName,
		SourceType: s.sourceNamed("", ""),
		Source:     source,
		Versions:   s.versions,
		Lookup: func(target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
			return s.lookup(ctx, target)
		},
		Given:      s.given,
		Env:        engine.Env{Now: s.now, Seed: string(source.GetUID())},
		Blocked:    s.blocked,
		Lifecycles: lifecycles,
		Holder: func(name string) (*policyv1alpha1.PediaClusterLifecycle, error) {
			return s.holder(ctx, name)
		},
		Current: func(name string) (*unstructured.Unstructured, error) {
			return s.read(ctx, render.PediaClusterGVR, "", name)
		},
		Schema: s.schema,
		Digest: s.digest,
		Trace:  s.Spec.Trace,
	})
	decision.Block(&result, s.problem(), s.ofThis(lifecycles))
	if result.Reason == policyv1alpha1.ReasonWaitingForReference {
		result.Message += ", or you may not read it"
	}
	s.rollout.describe(&result, lifecycles)
	return result, nil
}

// problem is why imports of the policy cannot be worked on, nil when they can.
func (s *session) problem() *decision.Problem {
	if s.blocked == nil {
		return nil
	}
	return &decision.Problem{Message: s.blocked.Error(), Lasting: true}
}

// lookup reads a reference, by the rules of the controllers.
func (s *session) lookup(ctx context.Context, target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
	for _, ref := range s.references {
		if ref.Group != target.Group || ref.Resource != target.Resource || ref.Version != target.Version {
			continue
		}
		switch {
		case ref.Namespaced && target.Namespace == "":
			return nil, fmt.Errorf("%s have a namespace: set namespaceTemplate", target.Resource)
		case !ref.Namespaced && target.Namespace != "":
			return nil, fmt.Errorf("%s have no namespace: remove namespaceTemplate", target.Resource)
		}
		return s.read(ctx, ref.GroupVersionResource, target.Namespace, target.Name)
	}
	return nil, nil // its type is not served, which blocks the policy
}

// read returns an object if it exists and the caller may read it, else nil.
// Nothing is read before that is known, so that not even the time it takes
// tells whether a forbidden object exists.
func (s *session) read(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	if allowed, err := s.access.toGet(ctx, resource, namespace, name); err != nil || !allowed {
		return nil, err
	}
	return s.host.Get(ctx, resource, namespace, name)
}

func (s *session) sourceNamed(namespace, name string) policyv1alpha1.DependentResource {
	return policyv1alpha1.DependentResource{
		Group: s.Policy.Source.Group, Version: s.source.Version, Resource: s.Policy.Source.Resource,
		Namespace: namespace, Name: name,
	}
}

func totals(results []policyv1alpha1.RenderResult) policyv1alpha1.RenderTotals {
	sum := policyv1alpha1.RenderTotals{Sources: int32(len(results)), Actions: map[policyv1alpha1.RenderAction]int32{}}
	for _, result := range results {
		if result.Selected {
			sum.Selected++
		}
		sum.Actions[result.Action]++
	}
	return sum
}
