package validation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

func validPolicy() *policy.ClusterImportPolicy {
	return &policy.ClusterImportPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "mcp", ResourceVersion: "1"},
		Spec: policy.ClusterImportPolicySpec{
			Source: policy.SourceType{
				Group:         "cluster.mcp.io",
				Resource:      "clusters",
				Versions:      []string{"v1", "v1beta1"},
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}},
			},
			References: []policy.ReferenceTemplate{{
				ReferenceTarget: policy.ReferenceTarget{
					Key: "auth", Resource: "secrets",
					NamespaceTemplate: ptr.To("{{ .source.metadata.namespace }}"),
					NameTemplate:      "{{ .source.spec.secret }}",
				},
			}},
			NameTemplate: "mcp-{{ .source.metadata.name }}",
			MaxPrune:     ptr.To(intstr.FromString("10%")),
			Conversion:   validConversion(),
		},
	}
}

func validLifecycle() *policy.PediaClusterLifecycle {
	return &policy.PediaClusterLifecycle{
		ObjectMeta: metav1.ObjectMeta{Name: "mcp-amsterdam", ResourceVersion: "1"},
		Spec: policy.PediaClusterLifecycleSpec{
			Source: policy.DependentResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters", Name: "amsterdam"},
			References: []policy.VersionedReferenceTemplate{{
				ReferenceTarget: policy.ReferenceTarget{Key: "auth", Resource: "secrets", NameTemplate: "a"},
				Version:         "v1",
			}},
			Conversion: validConversion(),
		},
	}
}

func validRollout() *policy.Rollout {
	return &policy.Rollout{
		First:         &metav1.LabelSelector{MatchLabels: map[string]string{"stage": "test"}},
		MaxConcurrent: ptr.To(intstr.FromString("10%")), MaxFailures: ptr.To(intstr.FromString("1%")),
		Verify: policy.VerifyClusterReady, MinReadySeconds: ptr.To[int32](30), Timeout: ptr.To("5m"),
	}
}

func validConversion() policy.Conversion {
	return policy.Conversion{
		Template:          "spec: {}",
		CreationCondition: "true",
		DeletionPolicy:    policy.DeletionPolicyDelete,
	}
}

// complaints are the errors as a client sees them, in their order.
func complaints(errs field.ErrorList) []string {
	var all []string
	for _, err := range errs {
		all = append(all, fmt.Sprintf("%s: %s", err.Field, err.ErrorBody()))
	}
	return all
}

func TestAPolicyIsRefusedFieldByField(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*policy.ClusterImportPolicy)
		want   []string
	}{
		"a valid policy":       {change: func(*policy.ClusterImportPolicy) {}},
		"a number of removals": {change: func(p *policy.ClusterImportPolicy) { p.Spec.MaxPrune = ptr.To(intstr.FromInt32(0)) }},
		"a negative number of removals": {
			change: func(p *policy.ClusterImportPolicy) { p.Spec.MaxPrune = ptr.To(intstr.FromInt32(-1)) },
			want:   []string{"spec.maxPrune: Invalid value: -1: must be greater than or equal to 0"},
		},
		"a share of removals that is none": {
			change: func(p *policy.ClusterImportPolicy) { p.Spec.MaxPrune = ptr.To(intstr.FromString("some")) },
			want:   []string{`spec.maxPrune: Invalid value: "some": must be a number, or a percentage from "0%" to "100%"`},
		},
		"a share of removals above all": {
			change: func(p *policy.ClusterImportPolicy) { p.Spec.MaxPrune = ptr.To(intstr.FromString("101%")) },
			want:   []string{`spec.maxPrune: Invalid value: "101%": must be a number, or a percentage from "0%" to "100%"`},
		},
		"the core group": {change: func(p *policy.ClusterImportPolicy) {
			p.Spec.Source.Group, p.Spec.Source.Resource = "", "secrets"
		}},
		"a name that is no DNS subdomain": {
			change: func(p *policy.ClusterImportPolicy) { p.Name = "MCP" },
			want:   []string{`metadata.name: Invalid value: "MCP": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
		},
		"all that is required, at once": {
			change: func(p *policy.ClusterImportPolicy) {
				p.Spec = policy.ClusterImportPolicySpec{References: []policy.ReferenceTemplate{{}}}
				p.Spec.NameTemplate = " \n"
			},
			want: []string{
				`spec.source.resource: Required value: the plural, lower-case name of the type, such as "secrets"`,
				`spec.references[0].key: Required value: templates read the object as .references.<key>`,
				`spec.references[0].resource: Required value: the plural, lower-case name of the type, such as "secrets"`,
				`spec.references[0].nameTemplate: Required value: must not be empty or blank`,
				`spec.nameTemplate: Required value: must not be empty or blank`,
				`spec.maxPrune: Required value: a number or a percentage, such as "10%"`,
				`spec.template: Required value: must not be empty or blank`,
				`spec.creationCondition: Required value: must not be empty or blank`,
				`spec.deletionPolicy: Unsupported value: "": supported values: "Delete", "Orphan"`,
			},
		},
		"a subresource": {
			change: func(p *policy.ClusterImportPolicy) { p.Spec.Source.Resource = "clusters/status" },
			want:   []string{`spec.source.resource: Invalid value: "clusters/status": must not be a subresource: name the resource alone`},
		},
		"a resource with its group": {
			change: func(p *policy.ClusterImportPolicy) { p.Spec.References[0].Resource = "clusters.mcp.io" },
			want:   []string{`spec.references[0].resource: Invalid value: "clusters.mcp.io": must be the resource alone: set resource to "clusters" and group to "mcp.io"`},
		},
		"a kind instead of a resource": {
			change: func(p *policy.ClusterImportPolicy) { p.Spec.Source.Resource = "Cluster" },
			want:   []string{`spec.source.resource: Invalid value: "Cluster": must be the plural, lower-case name of the type, not its kind: write "clusters"`},
		},
		"a group with its version": {
			change: func(p *policy.ClusterImportPolicy) { p.Spec.Source.Group = "mcp.io/v1" },
			want:   []string{`spec.source.group: Invalid value: "mcp.io/v1": must be the group alone: versions have a field of their own`},
		},
		"versions that are empty, twice there, or have a group": {
			change: func(p *policy.ClusterImportPolicy) { p.Spec.Source.Versions = []string{"", "v1", "v1", "mcp.io/v1"} },
			want: []string{
				`spec.source.versions[0]: Required value: a version of the resource, such as "v1"`,
				`spec.source.versions[2]: Duplicate value: "v1"`,
				`spec.source.versions[3]: Invalid value: "mcp.io/v1": must be the version alone: the group has a field of its own`,
			},
		},
		"a wrong label selector": {
			change: func(p *policy.ClusterImportPolicy) {
				p.Spec.Source.LabelSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "env", Operator: "Has"}}
			},
			want: []string{`spec.source.labelSelector.matchExpressions[0].operator: Invalid value: "Has": not a valid selector operator`},
		},
		"a key that no template can read": {
			change: func(p *policy.ClusterImportPolicy) { p.Spec.References[0].Key = "auth-secret" },
			want:   []string{`spec.references[0].key: Invalid value: "auth-secret": must consist of letters, digits and underscores and not start with a digit, since templates read the object as .references.<key>`},
		},
		"a key that is there twice": {
			change: func(p *policy.ClusterImportPolicy) {
				p.Spec.References = append(p.Spec.References, p.Spec.References[0])
			},
			want: []string{`spec.references[1].key: Duplicate value: "auth"`},
		},
		"rollouts that could never go on, or never halt": {
			change: func(p *policy.ClusterImportPolicy) {
				p.Spec.Rollout = validRollout()
				p.Spec.Rollout.First = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "stage", Operator: "Has"}}}
				p.Spec.Rollout.MaxConcurrent, p.Spec.Rollout.MaxFailures = ptr.To(intstr.FromString("101%")), ptr.To(intstr.FromString("few"))
				p.Spec.Rollout.Verify, p.Spec.Rollout.Timeout = "Perhaps", ptr.To("999ms")
			},
			want: []string{
				`spec.rollout.first.matchExpressions[0].operator: Invalid value: "Has": not a valid selector operator`,
				`spec.rollout.maxConcurrent: Invalid value: "101%": must be a number, or a percentage from "1%" to "100%"`,
				`spec.rollout.maxFailures: Invalid value: "few": must be a number, or a percentage from "0%" to "100%"`,
				`spec.rollout.verify: Unsupported value: "Perhaps": supported values: "Written", "ClusterReady"`,
				`spec.rollout.timeout: Invalid value: "999ms": must be a duration of at least a second, such as "5m"`,
			},
		},
		"a rollout of nobody at a time, with too little time": {
			change: func(p *policy.ClusterImportPolicy) {
				p.Spec.Rollout = validRollout()
				p.Spec.Rollout.MaxConcurrent, p.Spec.Rollout.MaxFailures = ptr.To(intstr.FromInt32(0)), ptr.To(intstr.FromInt32(-1))
				p.Spec.Rollout.Timeout = ptr.To("30s")
			},
			want: []string{
				`spec.rollout.maxConcurrent: Invalid value: 0: must be at least 1`,
				`spec.rollout.maxFailures: Invalid value: -1: must be greater than or equal to 0`,
				`spec.rollout.timeout: Invalid value: "30s": must be more than minReadySeconds (30): no cluster could be verified in time`,
			},
		},
		"a deletionPolicy of another API": {
			change: func(p *policy.ClusterImportPolicy) { p.Spec.DeletionPolicy = "Retain" },
			want:   []string{`spec.deletionPolicy: Unsupported value: "Retain": supported values: "Delete", "Orphan"`},
		},
		"templates that are too long": {
			change: func(p *policy.ClusterImportPolicy) {
				p.Spec.Template = strings.Repeat("a", 64<<10+1)
				p.Spec.DeletionCondition = strings.Repeat("a", 8<<10+1)
			},
			want: []string{
				`spec.template: Too long: may not be more than 65536 bytes`,
				`spec.deletionCondition: Too long: may not be more than 8192 bytes`,
			},
		},
		"too many versions and references": {
			change: func(p *policy.ClusterImportPolicy) {
				p.Spec.Source.Versions, p.Spec.References = nil, nil
				for i := range 17 {
					p.Spec.Source.Versions = append(p.Spec.Source.Versions, fmt.Sprintf("v%d", i+1))
				}
				for i := range 33 {
					reference := validPolicy().Spec.References[0]
					reference.Key = fmt.Sprintf("key%d", i)
					p.Spec.References = append(p.Spec.References, reference)
				}
			},
			want: []string{
				`spec.source.versions: Too many: 17: must have at most 16 items`,
				`spec.references: Too many: 33: must have at most 32 items`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			obj := validPolicy()
			test.change(obj)
			if diff := cmp.Diff(test.want, complaints(ValidateClusterImportPolicy(obj))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestARolloutIsAccepted(t *testing.T) {
	obj := validPolicy()
	obj.Spec.Rollout = validRollout()
	if errs := ValidateClusterImportPolicy(obj); len(errs) > 0 {
		t.Errorf("a valid rollout is refused: %v", errs)
	}
	// Without a cluster to wait for, minReadySeconds means nothing.
	obj.Spec.Rollout.Verify, obj.Spec.Rollout.Timeout = policy.VerifyWritten, ptr.To("1s")
	if errs := ValidateClusterImportPolicy(obj); len(errs) > 0 {
		t.Errorf("a short timeout is refused, though nothing has to be ready: %v", errs)
	}
}

func TestTheTypeOfAPolicyCannotBeChanged(t *testing.T) {
	obj := validPolicy()
	obj.Spec.Source.Group, obj.Spec.Source.Resource = "", "secrets"
	want := []string{
		`spec.source.group: Invalid value: "": cannot be changed from "cluster.mcp.io": make a new policy for the other type`,
		`spec.source.resource: Invalid value: "secrets": cannot be changed from "clusters": make a new policy for the other type`,
	}
	if diff := cmp.Diff(want, complaints(ValidateClusterImportPolicyUpdate(obj, validPolicy()))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestASpecThatStaysIsNotJudgedAgain(t *testing.T) {
	oldPolicy := validPolicy()
	oldPolicy.Spec.NameTemplate = ""
	oldPolicy.Finalizers = []string{"policy.clusterpedia.io/cleanup"}
	obj := oldPolicy.DeepCopy()
	obj.Finalizers = nil
	if errs := ValidateClusterImportPolicyUpdate(obj, oldPolicy); len(errs) > 0 {
		t.Errorf("the finalizer of a policy cannot be removed: %v", errs)
	}

	oldLifecycle := validLifecycle()
	oldLifecycle.Spec.Template = ""
	if errs := ValidatePediaClusterLifecycleUpdate(oldLifecycle.DeepCopy(), oldLifecycle); len(errs) > 0 {
		t.Errorf("a lifecycle cannot be written: %v", errs)
	}
}

func TestALifecycleIsRefusedFieldByField(t *testing.T) {
	if errs := ValidatePediaClusterLifecycle(validLifecycle()); len(errs) > 0 {
		t.Fatalf("a valid lifecycle is refused: %v", errs)
	}
	obj := validLifecycle()
	obj.Spec.Source = policy.DependentResource{}
	obj.Spec.References[0].Version = ""
	obj.Spec.Template = ""
	want := []string{
		`spec.source.version: Required value: a version of the resource, such as "v1"`,
		`spec.source.resource: Required value: the plural, lower-case name of the type, such as "secrets"`,
		`spec.source.name: Required value: the name of the object that represents the cluster`,
		`spec.references[0].version: Required value: a version of the resource, such as "v1"`,
		`spec.template: Required value: must not be empty or blank`,
	}
	for name, errs := range map[string]field.ErrorList{
		"create": ValidatePediaClusterLifecycle(obj),
		"update": ValidatePediaClusterLifecycleUpdate(obj, validLifecycle()),
	} {
		if diff := cmp.Diff(want, complaints(errs)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestAStatusNeedsWellFormedConditions(t *testing.T) {
	conditions := []metav1.Condition{{Type: "Ready", Status: "Perhaps", Reason: "Because", LastTransitionTime: metav1.Now()}}
	want := []string{`status.conditions[0].status: Unsupported value: "Perhaps": supported values: "False", "True", "Unknown"`}

	obj := validPolicy()
	obj.Status.Conditions = conditions
	if diff := cmp.Diff(want, complaints(ValidateClusterImportPolicyStatusUpdate(obj, validPolicy()))); diff != "" {
		t.Errorf("policy: -want +got:\n%s", diff)
	}
	lifecycle := validLifecycle()
	lifecycle.Status.Conditions = conditions
	if diff := cmp.Diff(want, complaints(ValidatePediaClusterLifecycleStatusUpdate(lifecycle, validLifecycle()))); diff != "" {
		t.Errorf("lifecycle: -want +got:\n%s", diff)
	}
}
