package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func reviewedSpec(change ...func(*policyv1alpha1.ClusterImportPolicySpec)) *policyv1alpha1.ClusterImportPolicySpec {
	spec := &policyv1alpha1.ClusterImportPolicySpec{
		Source: policyv1alpha1.SourceType{Group: "cluster.mcp.io", Resource: "clusters"},
		References: []policyv1alpha1.ReferenceTemplate{{ReferenceTarget: policyv1alpha1.ReferenceTarget{
			Key: "secret", Resource: "secrets",
			NamespaceTemplate: ptr.To("{{ .source.spec.secret.namespace }}"), NameTemplate: "{{ .source.spec.secret.name }}",
		}}},
		NameTemplate: "mcp-{{ .source.metadata.name }}",
		Conversion: policyv1alpha1.Conversion{
			Template:          "spec:\n  apiserver: {{ .source.spec.endpoint }}\n  tokenData: {{ .references.secret.data.token }}\n  syncResources: []\n",
			CreationCondition: "{{ .source.spec.ready }}",
		},
	}
	for _, f := range change {
		f(spec)
	}
	return spec
}

// reviewed is a review in which everything is there: a ready Source, its
// Secret, no lifecycle and no PediaCluster.
func reviewed(change ...func(*ReviewInputs)) ReviewInputs {
	in := ReviewInputs{
		PolicyName: "mcp",
		SourceType: policyv1alpha1.DependentResource{Group: "cluster.mcp.io", Version: "v1", Resource: "clusters"},
		Source: &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": "one", "labels": map[string]any{"stage": "prod"}},
			"spec": map[string]any{"endpoint": "https://one", "ready": "true",
				"secret": map[string]any{"namespace": "default", "name": "one-auth"}},
		}},
		Versions: []string{"v1"},
		Lookup: func(policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
			return &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"token": "bmV3"}}}, nil
		},
		Digest: func(credential string) string { return fmt.Sprintf("digest of %d", len(credential)) },
	}
	for _, f := range change {
		f(&in)
	}
	return in
}

func withCurrent(object *unstructured.Unstructured) func(*ReviewInputs) {
	return func(in *ReviewInputs) {
		in.Current = func(name string) (*unstructured.Unstructured, error) {
			if object.GetName() != name {
				return nil, nil
			}
			return object, nil
		}
	}
}

func withSource(path []string, value any) func(*ReviewInputs) {
	return func(in *ReviewInputs) {
		if err := unstructured.SetNestedField(in.Source.Object, value, path...); err != nil {
			panic(err)
		}
	}
}

func withLifecycles(lifecycles ...*policyv1alpha1.PediaClusterLifecycle) func(*ReviewInputs) {
	return func(in *ReviewInputs) { in.Lifecycles = lifecycles }
}

func lifecycleOf(policyName, name string, uid types.UID) *policyv1alpha1.PediaClusterLifecycle {
	yes := true
	lifecycle := &policyv1alpha1.PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "ClusterImportPolicy", Name: policyName, Controller: &yes}}}}
	lifecycle.Spec.Source = owner.Source
	return lifecycle
}

func noSecret(in *ReviewInputs) {
	in.Lookup = func(policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) { return nil, nil }
}

const createdObject = `{"apiVersion":"cluster.clusterpedia.io/v1alpha2","kind":"PediaCluster","metadata":` +
	`{"annotations":{"policy.clusterpedia.io/created-for":"mcp/clusters.cluster.mcp.io//one"},"name":"mcp-one"},` +
	`"spec":{"apiserver":"https://one","syncResources":[],"tokenData":"digest of 4"}}`

const renderedObject = `{"apiVersion":"cluster.clusterpedia.io/v1alpha2","kind":"PediaCluster","metadata":{"name":"mcp-one"},` +
	`"spec":{"apiserver":"https://one","syncResources":[],"tokenData":"digest of 4"}}`

func TestReview(t *testing.T) {
	selecting := func(template string) func(*policyv1alpha1.ClusterImportPolicySpec) {
		return func(spec *policyv1alpha1.ClusterImportPolicySpec) { spec.Source.SelectorTemplate = template }
	}
	orphaning := func(spec *policyv1alpha1.ClusterImportPolicySpec) {
		spec.DeletionPolicy = policyv1alpha1.DeletionPolicyOrphan
	}
	ours := live(map[string]any{"apiserver": "https://one", "tokenData": "b2xk"}, createdFor(createdForOne))
	imported := func(name string, created int64) *policyv1alpha1.PediaClusterLifecycle {
		lifecycle := lifecycleOf("mcp", name, types.UID("uid of "+name))
		lifecycle.CreationTimestamp = metav1.Unix(created, 0)
		lifecycle.Status.Conditions = []metav1.Condition{{Type: policyv1alpha1.LifecycleCreated, Status: metav1.ConditionTrue}}
		return lifecycle
	}

	for _, test := range []struct {
		name   string
		spec   *policyv1alpha1.ClusterImportPolicySpec
		in     ReviewInputs
		golden string
	}{
		{"a new import", reviewedSpec(), reviewed(), `
selected as mcp-one
secret: secrets.v1. default/one-auth found=true
creationCondition: true "true"
Create PediaClusterCreated ""
` + createdObject},
		{"in the clear", reviewedSpec(), reviewed(func(in *ReviewInputs) { in.Digest = nil }), `
selected as mcp-one
secret: secrets.v1. default/one-auth found=true
creationCondition: true "true"
Create PediaClusterCreated ""
` + strings.Replace(createdObject, "digest of 4", "bmV3", 1)},
		{"a rotated token", reviewedSpec(), reviewed(withCurrent(ours)), `
selected as mcp-one
secret: secrets.v1. default/one-auth found=true
creationCondition: true "true"
Update PediaClusterCreated "" [spec.tokenData]
` + renderedObject},
		{"a missing reference", reviewedSpec(), reviewed(noSecret), `
selected as mcp-one
secret: secrets.v1. default/one-auth found=false
Wait WaitingForReference "reference \"secret\": secrets \"default/one-auth\" does not exist"
`},
		{"the text of a condition that is neither true nor false is counted", reviewedSpec(), reviewed(withSource([]string{"spec", "ready"}, " hunter2 ")), `
selected as mcp-one
secret: secrets.v1. default/one-auth found=true
creationCondition: false "(7 characters)"
Wait WaitingForCondition "creationCondition is not true yet: line 1: .source.spec.ready did not print \"true\""
` + renderedObject},
		{"a type that is not served", reviewedSpec(), reviewed(func(in *ReviewInputs) { in.Blocked = errBroken }), `
selected as mcp-one
secret: secrets.v1. default/one-auth found=true
creationCondition: true "true"
Wait WaitingForType "broken"
` + renderedObject},
		{"deselected, never imported", reviewedSpec(selecting("false")), reviewed(), `
None SourceDeselected "the selectors do not select the Source"
`},
		{"deselected by labels", reviewedSpec(func(spec *policyv1alpha1.ClusterImportPolicySpec) {
			spec.Source.LabelSelector = &policyv1alpha1.LabelSelector{MatchLabels: map[string]string{"stage": "test"}}
		}), reviewed(), `
None SourceDeselected "the selectors do not select the Source"
`},
		{"deselected after it was imported", reviewedSpec(selecting("false")), reviewed(withCurrent(ours)), `
as mcp-one
Delete SourceDeselected "the selectors do not select the Source"
`},
		{"deselected, and its PediaCluster stays", reviewedSpec(selecting("false"), orphaning), reviewed(withCurrent(ours)), `
as mcp-one
Update SourceDeselected "the selectors do not select the Source; its PediaCluster is orphaned" [metadata.annotations]
`},
		{"deselected, and the PediaCluster was there first", reviewedSpec(selecting("false")), reviewed(withCurrent(live(upToDate))), `
None SourceDeselected "the selectors do not select the Source"
`},
		{"a selector that fails", reviewedSpec(selecting("{{ .source.spec.nothing.more }}")), reviewed(), `
Error SelectorFailed "spec.source.selectorTemplate: line 1, column 4: .source.spec.nothing.more: no \"nothing\" in .source.spec; it has: endpoint, ready, secret"
spec.source.selectorTemplate:1:4 ".source.spec.nothing.more" no "nothing" in .source.spec; it has: endpoint, ready, secret
`},
		{"a third name has to wait", reviewedSpec(), reviewed(withLifecycles(imported("mcp-first", 1), imported("mcp-second", 2))), `
selected as mcp-one
Wait Renamed "nameTemplate renders \"mcp-one\" now; this name is used after the lifecycle \"mcp-first\" of a former name is deleted, which shows what it waits for"
`},
		{"a return to one of two names", reviewedSpec(), reviewed(withLifecycles(imported("mcp-one", 1), imported("mcp-second", 2)), withCurrent(ours)), `
selected as mcp-one
secret: secrets.v1. default/one-auth found=true
creationCondition: true "true"
Update PediaClusterCreated "" [spec.tokenData metadata.ownerReferences]
` + renderedObject},
		{"a name that cannot be rendered", reviewedSpec(func(spec *policyv1alpha1.ClusterImportPolicySpec) {
			spec.NameTemplate = "mcp-{{ .source.status.id.name }}"
		}), reviewed(), `
selected
Error InvalidName "spec.nameTemplate: line 1, column 8: .source.status.id.name: no \"status\" in .source; it has: metadata, spec"
spec.nameTemplate:1:8 ".source.status.id.name" no "status" in .source; it has: metadata, spec
`},
		{"a name that another Source has", reviewedSpec(), reviewed(func(in *ReviewInputs) {
			in.Holder = func(name string) (*policyv1alpha1.PediaClusterLifecycle, error) {
				return lifecycleOf("other", name, "1"), nil
			}
		}), `
selected as mcp-one
Conflict NameTaken "the name \"mcp-one\" belongs to clusters.cluster.mcp.io \"one\" of policy \"other\": change nameTemplate so that names differ"
`},
		{"a Source that another policy has", reviewedSpec(), reviewed(withLifecycles(lifecycleOf("other", "other-one", "1"))), `
selected as mcp-one
Conflict SourceTaken "policy \"other\" has imported this Source as \"other-one\": select it in one policy only"
`},
		{"a new name", reviewedSpec(), reviewed(withLifecycles(lifecycleOf("mcp", "old-one", "1")), withSource([]string{"spec", "ready"}, "false"),
			withCurrent(live(map[string]any{"tokenData": "b2xk", "shardingName": "kept"}, createdFor(createdForOne),
				func(object *unstructured.Unstructured) { object.SetName("old-one") }))), `
selected as mcp-one
secret: secrets.v1. default/one-auth found=true
creationCondition: false "false"
Create PediaClusterCreated "replaces PediaCluster \"old-one\", which is deleted after that"
` + strings.Replace(createdObject, `"spec":{"apiserver":"https://one"`, `"spec":{"apiserver":"https://one","shardingName":"kept"`, 1)},
		{"a lifecycle that is being deleted", reviewedSpec(), reviewed(func(in *ReviewInputs) {
			lifecycle, now := lifecycleOf("mcp", "mcp-one", "1"), metav1.Now()
			lifecycle.DeletionTimestamp = &now
			in.Lifecycles = append(in.Lifecycles, lifecycle)
		}), `
selected as mcp-one
Wait Released "the lifecycle is being deleted; the import is created again after that"
`},
		{"a PediaCluster that cannot be read", reviewedSpec(), reviewed(func(in *ReviewInputs) {
			in.Current = func(string) (*unstructured.Unstructured, error) { return nil, errors.New("no answer") }
		}), `
selected as mcp-one
secret: secrets.v1. default/one-auth found=true
creationCondition: true "true"
Error HostUnavailable "reading the PediaCluster: no answer"
` + renderedObject},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := test.in.Source.DeepCopy()
			policy, errs := Compile(test.spec)
			if len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
			got := summary(policy.Review(test.in))
			if diff := cmp.Diff(strings.TrimPrefix(test.golden, "\n"), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(before, test.in.Source); diff != "" {
				t.Errorf("the Source was changed: %s", diff)
			}
		})
	}
}

// summary writes a result as people would tell it.
func summary(result policyv1alpha1.RenderResult) string {
	var b strings.Builder
	var first []string
	if result.Selected {
		first = append(first, "selected")
	}
	if result.Name != "" {
		first = append(first, "as "+result.Name)
	}
	if len(first) > 0 {
		fmt.Fprintln(&b, strings.Join(first, " "))
	}
	for _, ref := range result.References {
		fmt.Fprintf(&b, "%s: %s.%s.%s %s/%s found=%t\n", ref.Key, ref.Resource, ref.Version, ref.Group, ref.Namespace, ref.Name, ref.Found)
	}
	if condition := result.CreationCondition; condition != nil {
		fmt.Fprintf(&b, "creationCondition: %t %q\n", condition.Holds, condition.Text)
	}
	fmt.Fprintf(&b, "%s %s %q", result.Action, result.Reason, result.Message)
	if len(result.Changed) > 0 {
		fmt.Fprintf(&b, " %v", result.Changed)
	}
	fmt.Fprintln(&b)
	for _, err := range result.Errors {
		fmt.Fprintf(&b, "%s:%d:%d %q %s\n", err.Field, err.Line, err.Column, err.Expression, err.Message)
	}
	if result.PediaCluster != nil {
		b.Write(result.PediaCluster.Raw)
	}
	return b.String()
}

func TestAReviewPlansWhatTheControllersWouldPlan(t *testing.T) {
	policy, errs := Compile(reviewedSpec())
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	lifecycle := lifecycleOf("mcp", "mcp-one", owner.LifecycleUID)
	for name, current := range map[string]*unstructured.Unstructured{
		"none":           nil,
		"there first":    live(outdated),
		"of this import": live(outdated, createdFor(createdForOne), ownedBy(byLifecycle)),
		"of an old one":  live(upToDate, ownedBy(byOldLifecycle), createdFor(createdForOne)),
		"of another":     live(outdated, createdFor("else")),
		"going":          live(outdated, deleting),
	} {
		in := reviewed(withLifecycles(lifecycle))
		in.Current = func(string) (*unstructured.Unstructured, error) { return current, nil }
		got := policy.Review(in)

		conversion := policy.Convert(Inputs{Name: "mcp-one", Source: in.Source, Versions: in.Versions, Lookup: in.Lookup})
		want := conversion.Plan(owner, current, nil)
		if diff := cmp.Diff(
			[]any{string(want.Action), want.Reason, want.Message, want.Changed},
			[]any{string(got.Action), got.Reason, got.Message, got.Changed}); diff != "" {
			t.Errorf("%s: -planned +reviewed:\n%s", name, diff)
		}
	}
}

func TestTheFirstOfTwoSourcesGetsTheName(t *testing.T) {
	policy, errs := Compile(reviewedSpec(func(spec *policyv1alpha1.ClusterImportPolicySpec) { spec.NameTemplate = "same" }))
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	results := []policyv1alpha1.RenderResult{
		policy.Review(reviewed()),
		policy.Review(reviewed(withSource([]string{"metadata", "name"}, "two"))),
	}
	Contend(results)
	if results[0].Action != policyv1alpha1.RenderCreate {
		t.Errorf("the first: %s", results[0].Action)
	}
	if got := fmt.Sprint(results[1].Action, " ", results[1].Reason); got != "Conflict NameTaken" || !strings.Contains(results[1].Message, "one renders") {
		t.Errorf("the second: %s, %s", got, results[1].Message)
	}
}

func TestAReviewNeverShowsACredentialUnasked(t *testing.T) {
	policy, errs := Compile(reviewedSpec(func(spec *policyv1alpha1.ClusterImportPolicySpec) {
		data := "{{ .references.secret.data.token }}"
		spec.Template = "spec:\n  apiserver: x\n  caData: " + data + "\n  certData: " + data + "\n  keyData: " + data +
			"\n  kubeconfig: " + data + "\n  tokenData: " + data + "\n"
		spec.CreationCondition = "{{ .references.secret.data.token }}"
		spec.DeletionCondition = "{{ .references.secret.data.token }}"
	}))
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	answer, err := json.Marshal(policy.Review(reviewed()))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(answer), "bmV3") {
		t.Errorf("the token is in the answer:\n%s", answer)
	}
}
