package clusterimportpolicy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
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

// The two sorts of callers.
var (
	jane   = genericapirequest.WithUser(context.Background(), &user.DefaultInfo{Name: "jane", Groups: []string{user.SystemPrivilegedGroup}})
	server = genericapirequest.WithUser(context.Background(), &user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.SystemPrivilegedGroup}})
)

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
		"of an export":     {"clusterpedia.io/cluster-import-policy-controller"},
	} {
		obj := validPolicy()
		obj.Finalizers = finalizers
		obj.Generation = 0
		strategy.PrepareForCreate(context.Background(), obj)

		want := validPolicy()
		want.Generation = 1
		want.Status = policy.ClusterImportPolicyStatus{Conditions: policyv1alpha1.NewConditions(1, metav1.Now())}
		if diff := cmp.Diff(want, obj, cmpopts.EquateApproxTime(time.Minute)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestWhoMayWriteWhatOfAPolicy(t *testing.T) {
	now := metav1.Now()
	const foreign = "example.com/mine"
	type importPolicy = policy.ClusterImportPolicy
	deleting := func(p *importPolicy) { p.DeletionTimestamp = &now }
	annotate := func(name, value string) func(*importPolicy) {
		return func(p *importPolicy) { metav1.SetMetaDataAnnotation(&p.ObjectMeta, name, value) }
	}
	finalizers := func(all ...string) func(*importPolicy) { return func(p *importPolicy) { p.Finalizers = all } }
	orphan := policyv1alpha1.OrphanAnnotation

	for name, test := range map[string]struct {
		stored       func(*importPolicy) // how it is stored, if not as it is valid
		change       func(*importPolicy)
		user, server bool // whether the change takes effect
	}{
		"labels":                 {nil, func(p *importPolicy) { p.Labels = map[string]string{"a": "b"} }, true, true},
		"annotations":            {nil, annotate("note", "b"), true, true},
		"keeping PediaClusters":  {nil, annotate(orphan, "true"), true, true},
		"keeping them, later":    {deleting, annotate(orphan, "true"), true, true},
		"the spec":               {nil, func(p *importPolicy) { p.Spec.Suspend = true }, true, true},
		"an owner":               {nil, func(p *importPolicy) { p.OwnerReferences = []metav1.OwnerReference{{UID: "1"}} }, true, true},
		"a finalizer of a user":  {nil, finalizers(policyv1alpha1.Finalizer, foreign), true, true},
		"the status":             {nil, func(p *importPolicy) { p.Status.Prune = &policy.PruneStatus{Plan: "1"} }, false, false},
		"no finalizer":           {nil, finalizers(), false, false},
		"no finalizer, later":    {deleting, finalizers(), false, true},
		"our finalizer":          {finalizers(foreign), finalizers(foreign, policyv1alpha1.Finalizer), false, true},
		"no orphaning after all": {func(p *importPolicy) { deleting(p); annotate(orphan, "true")(p) }, func(p *importPolicy) { p.Annotations = nil }, false, false},
	} {
		for caller, effect := range map[string]bool{"a user": test.user, "this server": test.server} {
			t.Run(name+" by "+caller, func(t *testing.T) {
				stored := validPolicy()
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
					t.Errorf("the stored policy was changed:\n%s", diff)
				}
			})
		}
	}
}

func TestWhichUpdatesOfAPolicyAreRefused(t *testing.T) {
	stored := validPolicy()
	stored.UID = "1"
	taken := stored.DeepCopy()
	taken.Finalizers = append(taken.Finalizers, "clusterpedia.io/cluster-import-policy-controller")
	changed := stored.DeepCopy()
	changed.Spec.Suspend, changed.Finalizers = true, nil
	deleted := stored.DeepCopy()
	deleted.DeletionTimestamp = &metav1.Time{}
	deleted.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "False", Reason: "PolicyDeleted", Message: "3 lifecycles are left"}}
	unfinalized := deleted.DeepCopy()
	unfinalized.Finalizers = nil
	for name, test := range map[string]struct {
		ctx      context.Context
		obj, old *policy.ClusterImportPolicy
		refused  []string // parts of the answer; nothing: it is not refused
	}{
		"a manifest":                        {jane, changed, stored, nil},
		"an apply that creates":             {jane, taken, &policy.ClusterImportPolicy{}, nil},
		"Clusterpedia's controller-manager": {jane, taken, stored, []string{"kubectl scale"}},
		"a user ends a deletion": {jane, unfinalized, deleted, []string{"PolicyDeleted: 3 lifecycles are left",
			"--field-selector policy=mcp", "kubectl delete clusterimportpolicy mcp --cascade=orphan"}},
		"this server ends a deletion": {server, unfinalized, deleted, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := AuthorizeUpdate(test.ctx, test.obj, test.old)
			if (err != nil) != (test.refused != nil) || err != nil && !apierrors.IsForbidden(err) {
				t.Fatalf("answered %v", err)
			}
			for _, part := range test.refused {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
		})
	}
}

func TestOnlyThisServerWritesTheStatus(t *testing.T) {
	changed, same := validPolicy(), validPolicy()
	changed.Status.Prune = &policy.PruneStatus{Recent: []policy.PruneCount{{Count: 1}}}
	same.Status.Conditions = []metav1.Condition{}
	for name, test := range map[string]struct {
		ctx     context.Context
		obj     *policy.ClusterImportPolicy
		refused bool
	}{
		"this server":               {server, changed, false},
		"a user":                    {jane, changed, true},
		"a user who changes little": {jane, same, false},
	} {
		_, err := AuthorizeStatus(test.ctx, test.obj, validPolicy())
		if apierrors.IsForbidden(err) != test.refused || err != nil && !strings.Contains(err.Error(), "this server alone") {
			t.Errorf("%s: %v", name, err)
		}
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
	broken.Spec.CreationCondition = "{{ if }}{{ end }}"
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

func TestAStatusUpdateChangesTheStatusOnlyAndIsOfThisServer(t *testing.T) {
	strategy := NewStatusStrategy(testStrategy())
	for name, test := range map[string]struct {
		ctx      context.Context
		observed int64
	}{"this server": {server, 9}, "a user": {jane, 3}, "nobody": {context.Background(), 3}} {
		t.Run(name, func(t *testing.T) {
			obj := validPolicy()
			obj.Labels = map[string]string{"a": "b"}
			obj.Finalizers = []string{"clusterpedia.io/cluster-import-policy-controller"}
			obj.Spec.Suspend = true
			obj.Status.ObservedGeneration = 9
			strategy.PrepareForUpdate(test.ctx, obj, validPolicy())

			want := validPolicy()
			want.Status.ObservedGeneration = test.observed
			if diff := cmp.Diff(want, obj); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	obj := validPolicy()
	obj.Status.Conditions = []metav1.Condition{{}}
	if errs := strategy.ValidateUpdate(server, obj, validPolicy()); len(errs) == 0 {
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
