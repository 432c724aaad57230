package render

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestBounded(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		most int
		want string
	}{
		"short":             {"abc", 3, "abc"},
		"long":              {"abcdefgh", 7, "abcd…"},
		"in runes":          {"ααααα", 9, "ααα…"},
		"markup":            {"<<<<", 12, "<…"},
		"quotes":            {`""""""`, 10, `"""…`},
		"control":           {"\x00\x00\x00", 12, "\x00…"},
		"no UTF-8":          {"a\xffb", 10, "a�b"},
		"nothing fits":      {"<<", 6, "…"},
		"just fits, markup": {"<<", 12, "<<"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Bounded(test.text, test.most)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func FuzzBounded(f *testing.F) {
	f.Add("<>&\u2028\xff\"\\\n", 20)
	f.Add(strings.Repeat("α", 100), 80)
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = 3 + max(0, most)%2000
		got := Bounded(text, most)
		written, err := json.Marshal(got)
		if err != nil || !utf8.ValidString(got) || len(written)-2 > most {
			t.Errorf("%q in %d bytes is %q, which JSON writes in %d", text, most, got, len(written)-2)
		}
		if again := Bounded(got, most); again != got {
			t.Errorf("%q becomes %q", got, again)
		}
	})
}

// A lifecycle has at most 16 KiB beyond its conversion, whatever Sources hold.
func TestAHostileStatusIsSmall(t *testing.T) {
	hostile := strings.Repeat("<\"\x00\xff", 1<<18)
	name := strings.Repeat("n", MaxName)
	lifecycle := &policyv1alpha1.PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: "01234567-89ab-cdef-0123-456789abcdef", ResourceVersion: "1234567890", Generation: 1000,
		CreationTimestamp: metav1.Now(), DeletionTimestamp: &metav1.Time{Time: time.Now()},
		Finalizers: []string{policyv1alpha1.Finalizer}, Annotations: map[string]string{policyv1alpha1.RemovedAnnotation: "true"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "ClusterImportPolicy",
			Name: name, UID: "01234567-89ab-cdef-0123-456789abcdef", Controller: new(bool), BlockOwnerDeletion: new(bool)}},
		ManagedFields: []metav1.ManagedFieldsEntry{
			{Manager: "policy-apiserver", FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:metadata":{"f:ownerReferences":{".":{},"k:{\"uid\":\"01234567\"}":{}}},"f:spec":{}}`)}},
			{Manager: "policy-apiserver", Subresource: "status", FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:status":{}}`)}},
		},
	}}
	long := policyv1alpha1.DependentResource{Group: name, Version: "v1alpha1", Resource: strings.Repeat("r", 63),
		Namespace: strings.Repeat("s", MaxNamespace), Name: name}
	lifecycle.Spec.Source = long
	status := &lifecycle.Status
	status.Phase, status.PrunePlan, status.LastResync = policyv1alpha1.LifecycleDeleting, strings.Repeat("f", 16), strings.Repeat("\"", 64)
	status.SourceDefinition = lifecycle.UID
	status.Cluster = &policyv1alpha1.ClusterState{Ready: hostile, Version: hostile, APIServer: hostile, Message: hostile}
	status.Credentials = &policyv1alpha1.CredentialsState{ChangedTime: &metav1.Time{Time: time.Now()}, ExpirationTime: &metav1.Time{Time: time.Now()}}
	for range 32 {
		status.References = append(status.References, long)
	}
	for _, condition := range []string{policyv1alpha1.LifecycleReady, policyv1alpha1.LifecycleCreated,
		policyv1alpha1.LifecycleUpdating, policyv1alpha1.LifecycleNameContended} {
		status.Conditions = append(status.Conditions, metav1.Condition{Type: condition, Status: metav1.ConditionUnknown,
			ObservedGeneration: 1000, LastTransitionTime: metav1.Now(), Reason: policyv1alpha1.ReasonWaitingForReference, Message: hostile})
	}

	BoundStatus(status)
	written, err := json.Marshal(lifecycle)
	if err != nil || len(written) > 16<<10 {
		t.Errorf("it has %d bytes, %v", len(written), err)
	}
	if len(status.References) == 0 || status.Cluster.Ready != "" {
		t.Errorf("%d references are left, and the cluster is %q", len(status.References), status.Cluster.Ready)
	}
	bounded := status.DeepCopy()
	BoundStatus(bounded)
	if diff := cmp.Diff(status, bounded); diff != "" {
		t.Errorf("a bounded status is changed again:\n%s", diff)
	}
}

func TestReferencesAreCheckedBeforeTheyAreLookedUp(t *testing.T) {
	for name, test := range map[string]struct {
		group, namespace, name string
		want                   string // in the error, empty for none
	}{
		"as it should be":      {"", "default", "one-auth", ""},
		"a huge name":          {"", "default", strings.Repeat("x", 1_000_000), "spec.references[0].nameTemplate: renders"},
		"a huge namespace":     {"", strings.Repeat("x", 1_000_000), "one", "spec.references[0].namespaceTemplate: renders"},
		"a path":               {"", "default", "../../nodes/one", "cannot be the name of one of secrets"},
		"a namespace of dots":  {"", "..", "one", "cannot be a namespace"},
		"a name of RBAC":       {"rbac.authorization.k8s.io", "", "system:node", ""},
		"a path elsewhere":     {"example.com", "", "a/b", "cannot be the name"},
		"a huge one elsewhere": {"example.com", "", strings.Repeat("x", 254), "must be no more than 253"},
		"no text":              {"example.com", "", "a\x07b", "printable"},
		"markup":               {"example.com", "", strings.Repeat("<", 60), "253"},
	} {
		t.Run(name, func(t *testing.T) {
			policy, errs := Compile(reviewedSpec(func(spec *policyv1alpha1.ClusterImportPolicySpec) { spec.References[0].Group = test.group }))
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			looked := false
			in := reviewed(withSource([]string{"spec", "secret", "namespace"}, test.namespace), withSource([]string{"spec", "secret", "name"}, test.name))
			conversion := policy.Convert(Inputs{Name: "mcp-one", Source: in.Source, Versions: in.Versions,
				Lookup: func(target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
					looked = true
					return in.Lookup(target)
				}})
			if looked != (test.want == "") || (conversion.Err == nil) != (test.want == "") {
				t.Fatalf("looked up: %v; the error is %v", looked, conversion.Err)
			}
			if test.want == "" {
				return
			}
			plan := conversion.Plan(owner, nil, nil)
			if plan.Action != ActionError || plan.Reason != policyv1alpha1.ReasonTemplateFailed || !strings.Contains(plan.Message, test.want) || len(plan.Message) > MaxMessage {
				t.Errorf("the plan is %s %s %q", plan.Action, plan.Reason, Bounded(plan.Message, 2000))
			}
			if len(conversion.References) > 0 {
				t.Errorf("it is shown as %d references", len(conversion.References))
			}
		})
	}
}

// What a name is rendered from may be another value of a Secret than was meant.
func TestANameThatCannotBeDoesNotShowWhatASecretHolds(t *testing.T) {
	const secret = "s3cret/"
	data := map[string]any{"name": secret}
	source := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "a", "labels": map[string]any{"name": "no/name"}}, "data": data}}
	convert := func(t *testing.T, change func(*policyv1alpha1.ClusterImportPolicySpec)) error {
		t.Helper()
		spec := &policyv1alpha1.ClusterImportPolicySpec{NameTemplate: "a"}
		spec.Template, spec.CreationCondition = "spec: {}", "true"
		spec.Source.Resource = "secrets"
		spec.References = []policyv1alpha1.ReferenceTemplate{
			{ReferenceTarget: policyv1alpha1.ReferenceTarget{Key: "auth", Resource: "secrets", NameTemplate: "auth"}},
			{ReferenceTarget: policyv1alpha1.ReferenceTarget{Key: "next", Resource: "configmaps", NameTemplate: "next"}}}
		change(spec)
		policy, errs := Compile(spec)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if _, err := policy.Name(source); err != nil {
			return err
		}
		return policy.Convert(Inputs{Name: "a", Source: source, Versions: []string{"v1", "v1"},
			Lookup: func(policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
				return &unstructured.Unstructured{Object: map[string]any{"data": data}}, nil
			}}).Err
	}
	for name, test := range map[string]struct {
		change func(*policyv1alpha1.ClusterImportPolicySpec)
		want   string
	}{
		"the name, of a Source": {func(spec *policyv1alpha1.ClusterImportPolicySpec) {
			spec.NameTemplate = "x-{{ .source.data.name }}"
		}, "renders 9 characters of a Secret, which cannot be the name of a PediaCluster"},
		"the name of a reference": {func(spec *policyv1alpha1.ClusterImportPolicySpec) {
			spec.References[1].NameTemplate = "{{ range $key, $value := .references.auth.data }}{{ $value }}{{ end }}"
		}, "renders 7 characters of a Secret, which cannot be the name of one of configmaps"},
		"a namespace": {func(spec *policyv1alpha1.ClusterImportPolicySpec) {
			namespace := "{{ .references.auth.data.name }}"
			spec.References[1].NamespaceTemplate = &namespace
		}, "renders 7 characters of a Secret, which cannot be a namespace"},
		"what is no secret of a Secret": {func(spec *policyv1alpha1.ClusterImportPolicySpec) {
			spec.NameTemplate = "{{ .source.metadata.labels.name }}"
		}, `renders "no/name", which cannot be the name of a PediaCluster`},
		"what is not of a Secret": {func(spec *policyv1alpha1.ClusterImportPolicySpec) {
			spec.Source.Resource = "configmaps"
			spec.NameTemplate = "{{ .source.data.name }}"
		}, `renders "s3cret/", which cannot be the name of a PediaCluster`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := convert(t, test.change); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
