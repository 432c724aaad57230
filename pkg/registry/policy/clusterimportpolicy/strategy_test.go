package clusterimportpolicy

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
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

func validPolicy() *policy.ClusterImportPolicy {
	return &policy.ClusterImportPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "mcp", ResourceVersion: "1", Generation: 3, Finalizers: []string{policyv1alpha1.Finalizer}},
		Spec: policy.ClusterImportPolicySpec{
			Source:       policy.SourceType{Group: "cluster.mcp.io", Resource: "clusters"},
			NameTemplate: "mcp-{{ .source.metadata.name }}",
			MaxPrune:     ptr.To(intstr.FromString("10%")),
			Conversion: policy.Conversion{
				Template:          "spec:\n  apiserver: '{{ .source.spec.apiEndpoint }}'\n",
				CreationCondition: "true",
				DeletionPolicy:    policy.DeletionPolicyDelete,
			},
		},
		Status: policy.ClusterImportPolicyStatus{ObservedGeneration: 3},
	}
}

func TestAPolicyIsBornWithItsFinalizerAndNotReady(t *testing.T) {
	strategy := testStrategy()
	for name, finalizers := range map[string][]string{
		"none given":       nil,
		"given by clients": {policyv1alpha1.Finalizer},
	} {
		obj := validPolicy()
		obj.Finalizers = finalizers
		obj.Generation = 0
		strategy.PrepareForCreate(context.Background(), obj)

		want := validPolicy()
		want.Generation = 1
		want.Status = policy.ClusterImportPolicyStatus{Conditions: policyv1alpha1.NewConditions(1)}
		if diff := cmp.Diff(want, obj, cmpopts.EquateApproxTime(time.Minute)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestWhatIsBeingDeletedMayLoseItsFinalizer(t *testing.T) {
	now := metav1.Now()
	stored, obj := validPolicy(), validPolicy()
	stored.DeletionTimestamp, obj.DeletionTimestamp = &now, &now
	obj.Finalizers = nil
	testStrategy().PrepareForUpdate(context.Background(), obj, stored)
	if len(obj.Finalizers) > 0 {
		t.Errorf("finalizers %v", obj.Finalizers)
	}
}

func TestAnUpdateKeepsTheStatusAndCountsGenerations(t *testing.T) {
	strategy := testStrategy()
	for name, test := range map[string]struct {
		change     func(*policy.ClusterImportPolicy)
		generation int64
	}{
		"labels":                        {func(p *policy.ClusterImportPolicy) { p.Labels = map[string]string{"a": "b"} }, 3},
		"the status":                    {func(p *policy.ClusterImportPolicy) { p.Status.ObservedGeneration = 9 }, 3},
		"the finalizer":                 {func(p *policy.ClusterImportPolicy) { p.Finalizers = nil }, 3},
		"an empty list instead of none": {func(p *policy.ClusterImportPolicy) { p.Spec.Source.Versions = []string{} }, 3},
		"the spec":                      {func(p *policy.ClusterImportPolicy) { p.Spec.Suspend = true }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			obj := validPolicy()
			test.change(obj)
			strategy.PrepareForUpdate(context.Background(), obj, validPolicy())
			if obj.Generation != test.generation {
				t.Errorf("generation %d, want %d", obj.Generation, test.generation)
			}
			if diff := cmp.Diff(validPolicy().Status, obj.Status); diff != "" {
				t.Errorf("the status changed: %s", diff)
			}
			if diff := cmp.Diff(validPolicy().Finalizers, obj.Finalizers); diff != "" {
				t.Errorf("the finalizer did not stay: %s", diff)
			}
		})
	}
}

func TestAPolicyIsCompiledWhenItsSpecIsWritten(t *testing.T) {
	strategy, ctx := testStrategy(), context.Background()
	broken := validPolicy()
	broken.Spec.CreationCondition = "{{ if }}"
	broken.Spec.NameTemplate = ""

	want := []string{"spec.nameTemplate", "spec.creationCondition"}
	var onCreate, onUpdate []string
	for _, err := range strategy.Validate(ctx, broken) {
		onCreate = append(onCreate, err.Field)
	}
	for _, err := range strategy.ValidateUpdate(ctx, broken, validPolicy()) {
		onUpdate = append(onUpdate, err.Field)
	}
	if diff := cmp.Diff(want, onCreate); diff != "" {
		t.Errorf("on create: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want, onUpdate); diff != "" {
		t.Errorf("on update: -want +got:\n%s", diff)
	}
	// What an older release accepted must not keep a finalizer in place.
	if errs := strategy.ValidateUpdate(ctx, broken, broken.DeepCopy()); len(errs) > 0 {
		t.Errorf("an update that leaves the spec alone: %v", errs)
	}
}

func TestAStatusUpdateChangesTheStatusOnly(t *testing.T) {
	strategy, ctx := NewStatusStrategy(testStrategy()), context.Background()
	obj := validPolicy()
	obj.Labels = map[string]string{"a": "b"}
	obj.Finalizers = nil
	obj.Spec.Suspend = true
	obj.Status.ObservedGeneration = 9
	strategy.PrepareForUpdate(ctx, obj, validPolicy())

	want := validPolicy()
	want.Status.ObservedGeneration = 9
	if diff := cmp.Diff(want, obj); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	obj.Status.Conditions = []metav1.Condition{{}}
	if errs := strategy.ValidateUpdate(ctx, obj, validPolicy()); len(errs) == 0 {
		t.Error("an empty condition is accepted")
	}
}

func TestTheRestOfTheStrategy(t *testing.T) {
	strategy, ctx := testStrategy(), context.Background()
	status := NewStatusStrategy(strategy)
	if strategy.NamespaceScoped() {
		t.Error("policies have no namespace")
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
	obj := validPolicy()
	strategy.Canonicalize(obj)
	if diff := cmp.Diff(validPolicy(), obj); diff != "" {
		t.Errorf("canonicalization changed it: %s", diff)
	}
	if warnings := append(strategy.WarningsOnCreate(ctx, obj), strategy.WarningsOnUpdate(ctx, obj, obj)...); len(warnings) > 0 {
		t.Errorf("warnings without a cause: %v", warnings)
	}
	if kinds, _, err := strategy.ObjectKinds(obj); err != nil || kinds[0].Kind != "ClusterImportPolicy" {
		t.Errorf("kinds %v, %v", kinds, err)
	}
	if got := strategy.GetResetFields()["policy.clusterpedia.io/v1alpha1"].String(); got != ".status" {
		t.Errorf("a write resets %s", got)
	}
	if got := status.GetResetFields()["policy.clusterpedia.io/v1alpha1"].String(); got != ".metadata\n.spec" {
		t.Errorf("a status write resets %q", got)
	}
}
