package pediaclusterlifecycle

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apilabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/install"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/caller"
)

func testStrategy() Strategy {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return NewStrategy(scheme)
}

// The two sorts of callers.
var (
	jane   = genericapirequest.WithUser(context.Background(), &user.DefaultInfo{Name: "jane", Groups: []string{user.SystemPrivilegedGroup}})
	server = genericapirequest.WithUser(context.Background(), &user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.SystemPrivilegedGroup}})
)

func validLifecycle() *policy.PediaClusterLifecycle {
	return &policy.PediaClusterLifecycle{
		ObjectMeta: metav1.ObjectMeta{
			Name: "mcp-amsterdam", ResourceVersion: "1", Generation: 3, Finalizers: []string{policyv1alpha1.Finalizer},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "policy.clusterpedia.io/v1alpha1", Kind: "ClusterImportPolicy", Name: "mcp", UID: "1", Controller: ptr.To(true),
			}},
		},
		Spec: policy.PediaClusterLifecycleSpec{
			Source: policy.DependentResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters", Namespace: "default", Name: "amsterdam"},
			Conversion: policy.Conversion{
				Template:          "spec:\n  apiserver: '{{ .source.spec.apiEndpoint }}'\n",
				CreationCondition: "true",
				DeletionPolicy:    policy.DeletionPolicyDelete,
			},
		},
		Status: policy.PediaClusterLifecycleStatus{ObservedGeneration: 3, SourceDefinition: "8f1c"},
	}
}

func TestALifecycleIsBornWithItsFinalizerAndTheDefinitionOfItsSourceAndNotReady(t *testing.T) {
	strategy := testStrategy()
	for name, finalizers := range map[string][]string{
		"none given":       nil,
		"given by clients": {policyv1alpha1.Finalizer},
	} {
		obj := validLifecycle()
		obj.Finalizers = finalizers
		obj.Generation = 0
		strategy.PrepareForCreate(caller.AsThisServer(context.Background()), obj)

		want := validLifecycle()
		want.Generation = 1
		want.Status.Conditions = policyv1alpha1.NewConditions(1, metav1.Now())
		if diff := cmp.Diff(want, obj, cmpopts.EquateApproxTime(time.Minute)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}

		strategy.PrepareForCreate(context.Background(), obj)
		want.Status = policy.PediaClusterLifecycleStatus{Conditions: want.Status.Conditions}
		if diff := cmp.Diff(want, obj, cmpopts.EquateApproxTime(time.Minute)); diff != "" {
			t.Errorf("%s, for others: -want +got:\n%s", name, diff)
		}
	}
}

func TestWhoMayWriteWhatOfALifecycle(t *testing.T) {
	now := metav1.Now()
	const foreign = "example.com/mine"
	type lifecycle = policy.PediaClusterLifecycle
	deleting := func(l *lifecycle) { l.DeletionTimestamp = &now }
	annotate := func(name, value string) func(*lifecycle) {
		return func(l *lifecycle) { metav1.SetMetaDataAnnotation(&l.ObjectMeta, name, value) }
	}
	owner := func(change func(*metav1.OwnerReference)) func(*lifecycle) {
		return func(l *lifecycle) { change(&l.OwnerReferences[0]) }
	}
	other := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "other", UID: "other"}
	both := func(l *lifecycle) { l.OwnerReferences = append(l.OwnerReferences, other) }
	finalizers := func(all ...string) func(*lifecycle) { return func(l *lifecycle) { l.Finalizers = all } }
	removed, orphan := policyv1alpha1.RemovedAnnotation, policyv1alpha1.OrphanAnnotation

	for name, test := range map[string]struct {
		stored       func(*lifecycle) // how it is stored, if not as it is valid
		change       func(*lifecycle)
		user, server bool // whether the change takes effect
	}{
		"labels":                      {nil, func(l *lifecycle) { l.Labels = map[string]string{"a": "b"} }, true, true},
		"annotations":                 {nil, annotate("note", "b"), true, true},
		"pausing":                     {nil, annotate(policyv1alpha1.PausedAnnotation, "true"), true, true},
		"a fresh look":                {nil, annotate(policyv1alpha1.ResyncAnnotation, "1"), true, true},
		"keeping the PediaCluster":    {nil, annotate(orphan, "true"), true, true},
		"keeping it, later":           {deleting, annotate(orphan, "true"), true, true},
		"a finalizer of a user":       {nil, finalizers(policyv1alpha1.Finalizer, foreign), true, true},
		"the spec":                    {nil, func(l *lifecycle) { l.Spec.Source.Name = "other" }, false, true},
		"the status":                  {nil, func(l *lifecycle) { l.Status.PrunePlan = "1" }, false, false},
		"no finalizer":                {nil, finalizers(), false, false},
		"no finalizer, later":         {deleting, finalizers(), false, true},
		"our finalizer":               {finalizers(foreign), finalizers(foreign, policyv1alpha1.Finalizer), false, true},
		"another policy":              {nil, owner(func(o *metav1.OwnerReference) { o.Name = "two" }), false, true},
		"a policy that is gone":       {nil, owner(func(o *metav1.OwnerReference) { o.Name = "gone" }), false, true},
		"an owner of another kind":    {nil, owner(func(o *metav1.OwnerReference) { o.Kind = "X" }), false, true},
		"an owner of another group":   {nil, owner(func(o *metav1.OwnerReference) { o.APIVersion, o.Kind = "v1", "ConfigMap" }), false, true},
		"an owner of another UID":     {nil, owner(func(o *metav1.OwnerReference) { o.UID = "2" }), false, true},
		"an owner not in control":     {nil, owner(func(o *metav1.OwnerReference) { o.Controller = nil }), false, true},
		"an owner that is waited for": {nil, owner(func(o *metav1.OwnerReference) { o.BlockOwnerDeletion = ptr.To(true) }), false, true},
		"no owner":                    {nil, func(l *lifecycle) { l.OwnerReferences = nil }, false, true},
		"a further owner":             {nil, both, false, true},
		"owners in another order":     {both, func(l *lifecycle) { slices.Reverse(l.OwnerReferences) }, false, true},
		"no owner, later":             {deleting, func(l *lifecycle) { l.OwnerReferences = nil }, false, true},
		"a deletion by this server":   {deleting, annotate(removed, "true"), false, true},
		"a deletion by a person":      {annotate(removed, "true"), func(l *lifecycle) { delete(l.Annotations, removed) }, false, true},
		"another word for it":         {annotate(removed, "true"), annotate(removed, "false"), false, true},
		"no orphaning after all":      {func(l *lifecycle) { deleting(l); annotate(orphan, "true")(l) }, func(l *lifecycle) { l.Annotations = nil }, false, false},
	} {
		for caller, effect := range map[string]bool{"a user": test.user, "this server": test.server} {
			t.Run(name+" by "+caller, func(t *testing.T) {
				stored := validLifecycle()
				if test.stored != nil {
					test.stored(stored)
				}
				changed := stored.DeepCopy()
				test.change(changed)
				obj := changed.DeepCopy()
				ctx := jane
				if caller == "this server" {
					ctx = server
				}
				before := stored.DeepCopy()
				testStrategy().PrepareForUpdate(ctx, obj, stored)
				want := before.DeepCopy()
				if effect {
					want = changed
				}
				want.Generation = obj.Generation
				if diff := cmp.Diff(want, obj, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if diff := cmp.Diff(before, stored); diff != "" {
					t.Errorf("the stored lifecycle was changed:\n%s", diff)
				}
			})
		}
	}
}

func TestAChangedSpecStartsAGeneration(t *testing.T) {
	for name, test := range map[string]struct {
		ctx        context.Context
		change     func(*policy.PediaClusterLifecycle)
		generation int64
	}{
		"labels":                        {server, func(p *policy.PediaClusterLifecycle) { p.Labels = map[string]string{"a": "b"} }, 3},
		"the status":                    {server, func(p *policy.PediaClusterLifecycle) { p.Status.ObservedGeneration = 9 }, 3},
		"an empty list instead of none": {server, func(p *policy.PediaClusterLifecycle) { p.Spec.References = []policy.VersionedReferenceTemplate{} }, 3},
		"the spec":                      {server, func(p *policy.PediaClusterLifecycle) { p.Spec.Source.Version = "v2" }, 4},
		"the spec, by a user":           {jane, func(p *policy.PediaClusterLifecycle) { p.Spec.Source.Version = "v2" }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			obj := validLifecycle()
			test.change(obj)
			testStrategy().PrepareForUpdate(test.ctx, obj, validLifecycle())
			if obj.Generation != test.generation {
				t.Errorf("generation %d, want %d", obj.Generation, test.generation)
			}
		})
	}
}

func TestALifecycleIsValidated(t *testing.T) {
	strategy, ctx := testStrategy(), context.Background()
	broken := validLifecycle()
	broken.Spec.Template = ""
	for name, errs := range map[string]field.ErrorList{
		"create": strategy.Validate(ctx, broken),
		"update": strategy.ValidateUpdate(ctx, broken, validLifecycle()),
	} {
		if len(errs) != 1 || errs[0].Field != "spec.template" {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func TestOnlyThisServerWritesTheSpec(t *testing.T) {
	created, relabelled, changed := validLifecycle(), validLifecycle(), validLifecycle()
	stored := validLifecycle()
	stored.UID = "1"
	relabelled.Labels = map[string]string{"a": "b"}
	relabelled.Finalizers, relabelled.OwnerReferences = nil, nil
	changed.Spec.CreationCondition = "false"
	taken := changed.DeepCopy()
	taken.Finalizers = append(taken.Finalizers, "clusterpedia.io/pediacluster-lifecycle-controller")
	deleted := stored.DeepCopy()
	deleted.DeletionTimestamp = &metav1.Time{}
	deleted.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "False", Reason: "PediaClusterDeleting", Message: "it has the finalizer x"}}
	unfinalized := deleted.DeepCopy()
	unfinalized.Finalizers = nil

	for name, test := range map[string]struct {
		ctx     context.Context
		check   func(context.Context) error
		refused string // a part of the answer; nothing: it is not refused
	}{
		"the server creates":             {server, creating(created), ""},
		"a user creates":                 {jane, creating(created), "A backup needs policies only"},
		"the server changes the spec":    {server, updating(changed, stored), ""},
		"a user changes the spec":        {jane, updating(changed, stored), "change the policy instead"},
		"a user changes metadata":        {jane, updating(relabelled, stored), ""},
		"a user creates by an apply":     {jane, updating(&policy.PediaClusterLifecycle{}, &policy.PediaClusterLifecycle{}), "change the policy instead"},
		"the server creates by an apply": {server, updating(created, &policy.PediaClusterLifecycle{}), ""},
		// The finalizer tells better what is wrong than the spec.
		"Clusterpedia's controller-manager": {jane, updating(taken, stored), "kubectl scale"},
		"a user ends a deletion":            {jane, updating(unfinalized, deleted), "kubectl delete pediaclusterlifecycle mcp-amsterdam --cascade=orphan"},
		"a user is told its status":         {jane, updating(unfinalized, deleted), "PediaClusterDeleting: it has the finalizer x"},
		"the server ends a deletion":        {server, updating(unfinalized, deleted), ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.check(test.ctx)
			if (err != nil) != (test.refused != "") || err != nil && !apierrors.IsForbidden(err) {
				t.Fatalf("answered %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%q is not in: %v", test.refused, err)
			}
		})
	}
	if err := AuthorizeCreate(context.Background(), created); !apierrors.IsForbidden(err) {
		t.Errorf("a request without a user: %v", err)
	}
}

func creating(obj runtime.Object) func(context.Context) error {
	return func(ctx context.Context) error { return AuthorizeCreate(ctx, obj) }
}

func updating(obj, old runtime.Object) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := AuthorizeUpdate(ctx, obj, old)
		return err
	}
}

func TestALifecycleIsSelectedByPolicyAndSource(t *testing.T) {
	labels, got, err := GetAttrs(validLifecycle())
	if err != nil || len(labels) > 0 {
		t.Fatalf("labels %v, %v", labels, err)
	}
	want := fields.Set{
		"metadata.name":         "mcp-amsterdam",
		"policy":                "mcp",
		"spec.source.group":     "cluster.mcp.io",
		"spec.source.resource":  "clusters",
		"spec.source.namespace": "default",
		"spec.source.name":      "amsterdam",
		"status.phase":          "Pending",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, _, err := GetAttrs(&policy.ClusterImportPolicy{}); err == nil {
		t.Error("a policy is taken for a lifecycle")
	}

	for name, index := range *Indexers() {
		values, err := index(validLifecycle())
		if want := []string{want[strings.TrimPrefix(name, "f:")]}; err != nil || !slices.Equal(want, values) {
			t.Errorf("index %s has %v, %v, want %v", name, values, err, want)
		}
		if _, err := index(nil); err == nil {
			t.Errorf("index %s takes anything", name)
		}
	}
	predicate := Match(apilabels.Everything(), fields.OneTermEqualSelector("policy", "mcp"))
	if matched, err := predicate.Matches(validLifecycle()); err != nil || !matched {
		t.Errorf("not selected by its policy: %v", err)
	}
}

func TestOnlyAPolicyThatControlsItIsItsPolicy(t *testing.T) {
	for name, change := range map[string]func(*metav1.OwnerReference){
		"of another kind":  func(o *metav1.OwnerReference) { o.Kind = "Cluster" },
		"of another group": func(o *metav1.OwnerReference) { o.APIVersion = "example.io/v1alpha1" },
		"of no version":    func(o *metav1.OwnerReference) { o.APIVersion = "a/b/c" },
		"not in control":   func(o *metav1.OwnerReference) { o.Controller = nil },
	} {
		lifecycle := validLifecycle()
		change(&lifecycle.OwnerReferences[0])
		if got := policyv1alpha1.ControllingPolicy(lifecycle).Name; got != "" {
			t.Errorf("an owner %s is taken for the policy %q", name, got)
		}
	}
}

func TestAStatusUpdateChangesTheStatusOnlyAndIsOfThisServer(t *testing.T) {
	strategy := NewStatusStrategy(testStrategy())
	for name, test := range map[string]struct {
		ctx      context.Context
		observed int64
	}{"this server": {server, 9}, "a user": {jane, 3}, "nobody": {context.Background(), 3}} {
		t.Run(name, func(t *testing.T) {
			obj := validLifecycle()
			obj.Labels, obj.Annotations = map[string]string{"a": "b"}, map[string]string{policyv1alpha1.RemovedAnnotation: "true"}
			obj.Finalizers, obj.OwnerReferences = []string{"clusterpedia.io/pediacluster-lifecycle-controller"}, nil
			obj.Spec.Source.Version = "v2"
			obj.Status.ObservedGeneration = 9
			strategy.PrepareForUpdate(test.ctx, obj, validLifecycle())

			want := validLifecycle()
			want.Status.ObservedGeneration = test.observed
			if diff := cmp.Diff(want, obj); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	obj := validLifecycle()
	obj.Status.Conditions = []metav1.Condition{{}}
	if errs := strategy.ValidateUpdate(server, obj, validLifecycle()); len(errs) == 0 {
		t.Error("an empty condition is accepted")
	}
}

func TestOnlyThisServerWritesTheStatus(t *testing.T) {
	changed, same := validLifecycle(), validLifecycle()
	changed.Status.SourceDefinition = "of-another"
	same.Status.Conditions = []metav1.Condition{}
	for name, test := range map[string]struct {
		ctx     context.Context
		obj     *policy.PediaClusterLifecycle
		refused bool
	}{
		"this server":               {server, changed, false},
		"a user":                    {jane, changed, true},
		"a user who changes little": {jane, same, false},
	} {
		_, err := AuthorizeStatus(test.ctx, test.obj, validLifecycle())
		if apierrors.IsForbidden(err) != test.refused || err != nil && !strings.Contains(err.Error(), "this server alone") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAnnotationThatDoesNotPauseIsWarnedOf(t *testing.T) {
	annotated := func(value string) *policy.PediaClusterLifecycle {
		lifecycle := validLifecycle()
		metav1.SetMetaDataAnnotation(&lifecycle.ObjectMeta, policyv1alpha1.PausedAnnotation, value)
		return lifecycle
	}
	const warned = `metadata.annotations[policy.clusterpedia.io/paused]: "yes" has no effect: only "true" pauses the import`
	for name, test := range map[string]struct {
		updated, stored *policy.PediaClusterLifecycle
		want            []string
	}{
		"no annotation":       {validLifecycle(), validLifecycle(), nil},
		"paused":              {annotated("true"), validLifecycle(), nil},
		"not paused":          {annotated("false"), annotated("true"), nil},
		"another value":       {annotated("yes"), validLifecycle(), []string{warned}},
		"from true":           {annotated("yes"), annotated("true"), []string{warned}},
		"no value":            {annotated(""), validLifecycle(), []string{strings.Replace(warned, "yes", "", 1)}},
		"it had it before":    {annotated("yes"), annotated("yes"), nil},
		"it is no longer set": {validLifecycle(), annotated("yes"), nil},
	} {
		if diff := cmp.Diff(test.want, testStrategy().WarningsOnUpdate(t.Context(), test.updated, test.stored)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAPersonWhoDeletesALifecycleIsToldWhatThatDoes(t *testing.T) {
	const told = `this deletes no PediaCluster: "mcp-amsterdam" is released, and kept if its Source is deleted. ` +
		`The lifecycle is created again while the policy selects the Source`
	deleted := validLifecycle()
	deleted.DeletionTimestamp = ptr.To(metav1.Now())
	refuse := func(context.Context, runtime.Object) error { return errSpecIsOurs }
	for name, test := range map[string]struct {
		ctx      context.Context
		obj      *policy.PediaClusterLifecycle
		validate rest.ValidateObjectFunc
		want     recorded
	}{
		"a person":                       {jane, validLifecycle(), rest.ValidateAllObjectFunc, recorded{told}},
		"this server":                    {caller.AsThisServer(t.Context()), validLifecycle(), rest.ValidateAllObjectFunc, nil},
		"it is being deleted already":    {jane, deleted, rest.ValidateAllObjectFunc, nil},
		"admission refuses the deletion": {jane, validLifecycle(), refuse, nil},
	} {
		var got recorded
		err := WarnOfDeletion(test.validate)(warning.WithWarningRecorder(test.ctx, &got), test.obj)
		if want := test.validate(test.ctx, test.obj); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// recorded are the warnings of a response.
type recorded []string

func (r *recorded) AddWarning(_, text string) { *r = append(*r, text) }

func TestTheRestOfTheStrategy(t *testing.T) {
	strategy, ctx := testStrategy(), context.Background()
	status := NewStatusStrategy(strategy)
	if strategy.NamespaceScoped() {
		t.Error("lifecycles have no namespace")
	}
	if strategy.AllowCreateOnUpdate(ctx) {
		t.Error("a PUT must not create")
	}
	if !strategy.AllowUnconditionalUpdate(ctx) {
		t.Error("built-in kinds can be updated without a resourceVersion")
	}
	if got := strategy.DefaultGarbageCollectionPolicy(ctx); got != rest.Unsupported {
		t.Errorf("garbage collection policy %s", got)
	}
	obj := validLifecycle()
	strategy.Canonicalize(obj)
	if diff := cmp.Diff(validLifecycle(), obj); diff != "" {
		t.Errorf("canonicalization changed it: %s", diff)
	}
	if warnings := append(strategy.WarningsOnCreate(ctx, obj), strategy.WarningsOnUpdate(ctx, obj, obj)...); len(warnings) > 0 {
		t.Errorf("warnings without a cause: %v", warnings)
	}
	if kinds, _, err := strategy.ObjectKinds(obj); err != nil || kinds[0].Kind != "PediaClusterLifecycle" {
		t.Errorf("kinds %v, %v", kinds, err)
	}
	if got := strategy.GetResetFields()["policy.clusterpedia.io/v1alpha1"].String(); got != ".status" {
		t.Errorf("a write resets %s", got)
	}
	if got := status.GetResetFields()["policy.clusterpedia.io/v1alpha1"].String(); got != ".metadata\n.spec" {
		t.Errorf("a status write resets %q", got)
	}
}
