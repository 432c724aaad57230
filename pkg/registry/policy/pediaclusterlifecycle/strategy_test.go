package pediaclusterlifecycle

import (
	"context"
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
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/install"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func testStrategy() Strategy {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return NewStrategy(scheme)
}

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
		strategy.PrepareForCreate(context.Background(), obj)

		want := validLifecycle()
		want.Generation = 1
		want.Status = policy.PediaClusterLifecycleStatus{SourceDefinition: "8f1c", Conditions: policyv1alpha1.NewConditions(1)}
		if diff := cmp.Diff(want, obj, cmpopts.EquateApproxTime(time.Minute)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestWhatIsBeingDeletedMayLoseItsFinalizer(t *testing.T) {
	now := metav1.Now()
	stored, obj := validLifecycle(), validLifecycle()
	stored.DeletionTimestamp, obj.DeletionTimestamp = &now, &now
	obj.Finalizers = nil
	testStrategy().PrepareForUpdate(context.Background(), obj, stored)
	if len(obj.Finalizers) > 0 {
		t.Errorf("finalizers %v", obj.Finalizers)
	}
}

func TestAUserCannotTakeALifecycleFromItsPolicy(t *testing.T) {
	controller := *metav1.NewControllerRef(&metav1.ObjectMeta{Name: "mcp", UID: "policy"}, policyv1alpha1.SchemeGroupVersion.WithKind("ClusterImportPolicy"))
	other := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "other", UID: "other"}
	stored := validLifecycle()
	stored.OwnerReferences = []metav1.OwnerReference{controller}
	for name, owners := range map[string][]metav1.OwnerReference{"none": nil, "another": {other}} {
		obj := validLifecycle()
		obj.OwnerReferences = owners
		testStrategy().PrepareForUpdate(context.Background(), obj, stored)
		if diff := cmp.Diff(append(slices.Clone(owners), controller), obj.OwnerReferences); diff != "" {
			t.Errorf("%s: owners -want +got:\n%s", name, diff)
		}
	}
}

func TestAnUpdateKeepsTheStatusAndCountsGenerations(t *testing.T) {
	strategy := testStrategy()
	for name, test := range map[string]struct {
		change     func(*policy.PediaClusterLifecycle)
		generation int64
	}{
		"labels":        {func(p *policy.PediaClusterLifecycle) { p.Labels = map[string]string{"a": "b"} }, 3},
		"the status":    {func(p *policy.PediaClusterLifecycle) { p.Status.ObservedGeneration = 9 }, 3},
		"the finalizer": {func(p *policy.PediaClusterLifecycle) { p.Finalizers = nil }, 3},
		"the spec":      {func(p *policy.PediaClusterLifecycle) { p.Spec.Source.Version = "v2" }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			obj := validLifecycle()
			test.change(obj)
			strategy.PrepareForUpdate(context.Background(), obj, validLifecycle())
			if obj.Generation != test.generation {
				t.Errorf("generation %d, want %d", obj.Generation, test.generation)
			}
			if diff := cmp.Diff(validLifecycle().Status, obj.Status); diff != "" {
				t.Errorf("the status changed: %s", diff)
			}
			if diff := cmp.Diff(validLifecycle().Finalizers, obj.Finalizers); diff != "" {
				t.Errorf("the finalizer did not stay: %s", diff)
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
	as := func(name string) context.Context {
		return genericapirequest.WithUser(context.Background(), &user.DefaultInfo{Name: name, Groups: []string{user.SystemPrivilegedGroup}})
	}
	created, relabelled, changed := validLifecycle(), validLifecycle(), validLifecycle()
	stored := validLifecycle()
	stored.UID = "1"
	relabelled.Labels = map[string]string{"a": "b"}
	relabelled.Finalizers, relabelled.OwnerReferences = nil, nil
	changed.Spec.CreationCondition = "false"

	for name, test := range map[string]struct {
		user      string
		check     func(context.Context) error
		forbidden bool
	}{
		"the server creates":             {user.APIServerUser, func(ctx context.Context) error { return AuthorizeCreate(ctx, created) }, false},
		"an administrator creates":       {"admin", func(ctx context.Context) error { return AuthorizeCreate(ctx, created) }, true},
		"the server changes the spec":    {user.APIServerUser, updating(changed, stored), false},
		"a user changes the spec":        {"jane", updating(changed, stored), true},
		"a user changes metadata":        {"jane", updating(relabelled, stored), false},
		"a user creates by an apply":     {"jane", updating(&policy.PediaClusterLifecycle{}, &policy.PediaClusterLifecycle{}), true},
		"the server creates by an apply": {user.APIServerUser, updating(created, &policy.PediaClusterLifecycle{}), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.check(as(test.user)); apierrors.IsForbidden(err) != test.forbidden {
				t.Errorf("%v", err)
			}
		})
	}
	if err := AuthorizeCreate(context.Background(), created); !apierrors.IsForbidden(err) {
		t.Errorf("a request without a user: %v", err)
	}
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
		if got := PolicyName(lifecycle); got != "" {
			t.Errorf("an owner %s is taken for the policy %q", name, got)
		}
	}
}

func TestAStatusUpdateChangesTheStatusOnly(t *testing.T) {
	strategy, ctx := NewStatusStrategy(testStrategy()), context.Background()
	obj := validLifecycle()
	obj.Labels = map[string]string{"a": "b"}
	obj.Finalizers = nil
	obj.Spec.Source.Version = "v2"
	obj.Status.ObservedGeneration = 9
	strategy.PrepareForUpdate(ctx, obj, validLifecycle())

	want := validLifecycle()
	want.Status.ObservedGeneration = 9
	if diff := cmp.Diff(want, obj); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	obj.Status.Conditions = []metav1.Condition{{}}
	if errs := strategy.ValidateUpdate(ctx, obj, validLifecycle()); len(errs) == 0 {
		t.Error("an empty condition is accepted")
	}
}

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
