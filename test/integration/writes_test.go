package integration

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	applyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/generated/applyconfiguration/policy/v1alpha1"
)

func TestAPolicyLivesFromItsCreationToItsLastFinalizer(t *testing.T) {
	ctx, policies := t.Context(), asUser(t).ClusterImportPolicies()
	policy := newPolicy("life")
	policy.Status.ObservedGeneration = 7
	created := createPolicy(t, policy)
	if created.Generation != 1 || created.Status.ObservedGeneration != 0 || created.UID == "" {
		t.Errorf("generation %d, status of generation %d, uid %q", created.Generation, created.Status.ObservedGeneration, created.UID)
	}
	if diff := cmp.Diff([]string{policyv1alpha1.Finalizer}, created.Finalizers); diff != "" {
		t.Errorf("finalizers: -want +got:\n%s", diff)
	}
	if created.Spec.DeletionPolicy != policyv1alpha1.DeletionPolicyDelete {
		t.Errorf("deletionPolicy defaults to %q", created.Spec.DeletionPolicy)
	}

	created.Spec.Suspend = true
	updated, err := policies.Update(ctx, created, metav1.UpdateOptions{})
	if err != nil || updated.Generation != 2 {
		t.Fatalf("a changed spec: generation %d, %v", updated.Generation, err)
	}
	same, err := policies.Update(ctx, updated, metav1.UpdateOptions{})
	if err != nil || same.ResourceVersion != updated.ResourceVersion {
		t.Errorf("an update that changes nothing is written: %s after %s, %v", same.ResourceVersion, updated.ResourceVersion, err)
	}
	if _, err := policies.Create(ctx, newPolicy("life"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a second policy of that name: %v", err)
	}
	if _, err := policies.Update(ctx, created, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("an update of what it was before: %v", err)
	}
	created.ResourceVersion = ""
	if _, err := policies.Update(ctx, created, metav1.UpdateOptions{}); err != nil {
		t.Errorf("an unconditional update: %v", err)
	}
	if _, err := policies.Update(ctx, newPolicy("never-made"), metav1.UpdateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a PUT of what is not there: %v", err)
	}

	if err := policies.Delete(ctx, "life", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	deleting, err := policies.Get(ctx, "life", metav1.GetOptions{})
	if err != nil || deleting.DeletionTimestamp == nil {
		t.Fatalf("it did not wait for its finalizer: %v", err)
	}
	deleting.Finalizers = nil
	if _, err := policies.Update(ctx, deleting, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "--cascade=orphan") {
		t.Errorf("a user takes the finalizer off: %v", err)
	}
	if _, err := asServer(t).ClusterImportPolicies().Update(ctx, deleting, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := policies.Get(ctx, "life", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("it outlives its finalizer: %v", err)
	}
}

func TestAFinalizerStaysUntilTheDeletion(t *testing.T) {
	ctx, policies := t.Context(), asUser(t).ClusterImportPolicies()
	created := createPolicy(t, newPolicy("unfinalized"))
	created.Finalizers = nil
	created.Labels = map[string]string{"a": "b"}
	updated, err := policies.Update(ctx, created, metav1.UpdateOptions{})
	if err != nil || len(updated.Finalizers) != 1 {
		t.Errorf("finalizers %v, %v", updated.Finalizers, err)
	}
}

func TestSpecAndStatusAreWrittenApart(t *testing.T) {
	ctx, policies := t.Context(), asServer(t).ClusterImportPolicies()
	created := createPolicy(t, newPolicy("apart"))

	toStatus := created.DeepCopy()
	toStatus.Labels = map[string]string{"a": "b"}
	toStatus.Finalizers = nil
	toStatus.Spec.Suspend = true
	toStatus.Status.Counts.Selected = 3
	afterStatus, err := policies.UpdateStatus(ctx, toStatus, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if afterStatus.Spec.Suspend || len(afterStatus.Labels) > 0 || len(afterStatus.Finalizers) != 1 || afterStatus.Generation != 1 {
		t.Errorf("a status write changed more: %+v", afterStatus)
	}
	if afterStatus.Status.Counts.Selected != 3 {
		t.Errorf("it did not change the status: %+v", afterStatus.Status)
	}

	toSpec := afterStatus.DeepCopy()
	toSpec.Spec.Suspend = true
	toSpec.Status.Counts.Selected = 4
	afterSpec, err := policies.Update(ctx, toSpec, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !afterSpec.Spec.Suspend || afterSpec.Status.Counts.Selected != 3 || afterSpec.Generation != 2 {
		t.Errorf("spec %+v, status %+v, generation %d", afterSpec.Spec, afterSpec.Status, afterSpec.Generation)
	}

	patched, err := policies.Patch(ctx, "apart", types.MergePatchType, []byte(`{"spec":{"suspend":false},"status":{"observedGeneration":2}}`), metav1.PatchOptions{}, "status")
	if err != nil || !patched.Spec.Suspend || patched.Status.ObservedGeneration != 2 {
		t.Errorf("a patch of the status: %+v, %v", patched, err)
	}
	broken := patched.DeepCopy()
	broken.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "Perhaps", Reason: "R", LastTransitionTime: metav1.Now()}}
	if _, err := policies.UpdateStatus(ctx, broken, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "status.conditions[0].status") {
		t.Errorf("a status that is none: %v", err)
	}
}

// Every row of a table carries the managed fields: naming each field that the
// server writes would more than double what kubectl has to read.
func TestTheServerOwnsTheFieldsOfALifecycleAsAWhole(t *testing.T) {
	created := createLifecycle(t, newLifecycle("owned", "owned", "a"))
	created.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "True", Reason: "R", LastTransitionTime: metav1.Now()}}
	updated, err := asServer(t).PediaClusterLifecycles().UpdateStatus(t.Context(), created, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owned := map[string]bool{}
	for _, entry := range updated.ManagedFields {
		fields := map[string]json.RawMessage{}
		if err := json.Unmarshal(entry.FieldsV1.Raw, &fields); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"f:spec", "f:status"} {
			if text, ok := fields[field]; ok {
				owned[field+string(text)] = true
			}
		}
	}
	if want := map[string]bool{"f:spec{}": true, "f:status{}": true}; !maps.Equal(owned, want) {
		t.Errorf("owned are %v, want %v", owned, want)
	}
}

func TestAWrongPolicyIsRefusedWithAllThatIsWrong(t *testing.T) {
	policy := newPolicy("wrong")
	policy.Spec.Source.Resource = "clusters/status"
	policy.Spec.NameTemplate = ""
	policy.Spec.CreationCondition = "{{ if }}"
	policy.Spec.Template = "spec:\n  apiserver: {{ .references.auth.data.server }}\n"
	_, err := asUser(t).ClusterImportPolicies().Create(t.Context(), policy, metav1.CreateOptions{})
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		t.Fatal(err)
	}
	fields := sets.New[string]()
	for _, cause := range status.Status().Details.Causes {
		fields.Insert(cause.Field)
	}
	want := []string{"spec.creationCondition", "spec.nameTemplate", "spec.source.resource", "spec.template"}
	if diff := cmp.Diff(want, sets.List(fields)); diff != "" {
		t.Errorf("-want +got:\n%s\n%v", diff, err)
	}
}

func TestTheTypeOfAPolicyStays(t *testing.T) {
	created := createPolicy(t, newPolicy("typed"))
	created.Spec.Source.Group, created.Spec.Source.Resource = "", "secrets"
	_, err := asUser(t).ClusterImportPolicies().Update(t.Context(), created, metav1.UpdateOptions{})
	for _, part := range []string{"spec.source.group", "spec.source.resource", "make a new policy"} {
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}

func TestAnUnknownFieldIsAWarningOrAnError(t *testing.T) {
	body := `{"apiVersion":"policy.clusterpedia.io/v1alpha1","kind":"ClusterImportPolicy","metadata":{"name":"unknown-field"},
		"spec":{"sauce":1,"source":{"group":"","resource":"secrets"},"nameTemplate":"a","template":"spec: {}","creationCondition":"true"}}`
	post := func(validation string) *http.Response {
		url := shared.loopback.Host + "/apis/policy.clusterpedia.io/v1alpha1/clusterimportpolicies?fieldValidation=" + validation
		response, err := rawClient(t).Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		return response
	}

	strict := post(metav1.FieldValidationStrict)
	var status metav1.Status
	if err := json.NewDecoder(strict.Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	if strict.StatusCode != http.StatusBadRequest || !strings.Contains(status.Message, `unknown field "spec.sauce"`) {
		t.Errorf("strict: %d, %s", strict.StatusCode, status.Message)
	}
	warned := post(metav1.FieldValidationWarn)
	t.Cleanup(func() { removePolicy(t, "unknown-field") })
	if warned.StatusCode != http.StatusCreated || !strings.Contains(warned.Header.Get("Warning"), `unknown field \"spec.sauce\"`) {
		t.Errorf("warn: %d, %s", warned.StatusCode, warned.Header.Get("Warning"))
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	ctx, policies := t.Context(), asUser(t).ClusterImportPolicies()
	dryRun := []string{metav1.DryRunAll}

	created, err := policies.Create(ctx, newPolicy("dry"), metav1.CreateOptions{DryRun: dryRun})
	if err != nil || len(created.Finalizers) != 1 {
		t.Fatalf("%v, %v", created, err)
	}
	if _, err := policies.Get(ctx, "dry", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatalf("a dry run created it: %v", err)
	}

	before := createPolicy(t, newPolicy("wet"))
	changed := before.DeepCopy()
	changed.Spec.Suspend = true
	if updated, err := policies.Update(ctx, changed, metav1.UpdateOptions{DryRun: dryRun}); err != nil || updated.Generation != 2 {
		t.Errorf("update: %v, %v", updated, err)
	}
	orphan := metav1.DeleteOptions{DryRun: dryRun, PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}
	if err := policies.Delete(ctx, "wet", orphan); err != nil {
		t.Errorf("delete: %v", err)
	}
	after, err := policies.Get(ctx, "wet", metav1.GetOptions{})
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Errorf("%v: -before +after:\n%s", err, diff)
	}
}

func TestServerSideApplyKeepsTrackOfWhoOwnsWhat(t *testing.T) {
	ctx, policies := t.Context(), asUser(t).ClusterImportPolicies()
	apply := func(nameTemplate string) *applyv1alpha1.ClusterImportPolicyApplyConfiguration {
		return applyv1alpha1.ClusterImportPolicy("applied").WithSpec(applyv1alpha1.ClusterImportPolicySpec().
			WithSource(applyv1alpha1.SourceType().WithGroup("cluster.mcp.io").WithResource("clusters")).
			WithNameTemplate(nameTemplate).
			WithTemplate("spec: {}").
			WithCreationCondition("true").
			WithReferences(applyv1alpha1.ReferenceTemplate().WithKey("auth").WithGroup("").WithResource("secrets").WithNameTemplate("a"))).
			WithStatus(applyv1alpha1.ClusterImportPolicyStatus().WithObservedGeneration(5))
	}
	created, err := policies.Apply(ctx, apply("a"), metav1.ApplyOptions{FieldManager: "author"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removePolicy(t, "applied") })
	if len(created.Finalizers) != 1 || created.Generation != 1 || created.Status.ObservedGeneration != 0 {
		t.Errorf("created by an apply: %+v", created)
	}
	if _, err := policies.Apply(ctx, apply("b"), metav1.ApplyOptions{FieldManager: "rival"}); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), ".spec.nameTemplate") {
		t.Errorf("a rival is not told: %v", err)
	}

	// References are told apart by their keys, so that two may own one each.
	second := applyv1alpha1.ClusterImportPolicy("applied").WithSpec(applyv1alpha1.ClusterImportPolicySpec().
		WithReferences(applyv1alpha1.ReferenceTemplate().WithKey("ca").WithGroup("").WithResource("configmaps").WithNameTemplate("b")))
	both, err := policies.Apply(ctx, second, metav1.ApplyOptions{FieldManager: "second"})
	if err != nil || len(both.Spec.References) != 2 {
		t.Errorf("%v, %v", both.Spec.References, err)
	}

	status := applyv1alpha1.ClusterImportPolicy("applied").
		WithLabels(map[string]string{"a": "b"}).
		WithSpec(applyv1alpha1.ClusterImportPolicySpec().WithSuspend(true)).
		WithStatus(applyv1alpha1.ClusterImportPolicyStatus().WithObservedGeneration(1))
	if _, err := policies.ApplyStatus(ctx, status, metav1.ApplyOptions{FieldManager: "controller"}); !apierrors.IsForbidden(err) {
		t.Errorf("a user applies a status: %v", err)
	}
	after, err := asServer(t).ClusterImportPolicies().ApplyStatus(ctx, status, metav1.ApplyOptions{FieldManager: "controller"})
	if err != nil {
		t.Fatal(err)
	}
	if after.Status.ObservedGeneration != 1 || after.Spec.Suspend || len(after.Labels) > 0 {
		t.Errorf("an applied status: %+v", after)
	}
	for _, entry := range after.ManagedFields {
		owned := string(entry.FieldsV1.Raw)
		ownsStatus := strings.Contains(owned, `"f:status"`)
		ownsRest := strings.Contains(owned, `"f:spec"`) || strings.Contains(owned, `"f:labels"`)
		if isStatus := entry.Subresource == "status"; ownsStatus != isStatus || ownsRest == isStatus {
			t.Errorf("%s (%s) owns %s", entry.Manager, entry.Subresource, owned)
		}
	}
}

func TestACascadeIsOurs(t *testing.T) {
	ctx, policies := t.Context(), asUser(t).ClusterImportPolicies()
	for name, test := range map[string]struct {
		deletions []metav1.DeletionPropagation
		orphaned  bool
	}{
		"background":            {[]metav1.DeletionPropagation{metav1.DeletePropagationBackground}, false},
		"foreground":            {[]metav1.DeletionPropagation{metav1.DeletePropagationForeground}, false},
		"orphan":                {[]metav1.DeletionPropagation{metav1.DeletePropagationOrphan}, true},
		"background-and-orphan": {[]metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan}, true},
	} {
		t.Run(name, func(t *testing.T) {
			createPolicy(t, newPolicy(name))
			createLifecycle(t, newLifecycle(name, name, "a"))
			check := func(object metav1.Object, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{policyv1alpha1.Finalizer}, object.GetFinalizers()); diff != "" {
					t.Errorf("finalizers: -want +got:\n%s", diff)
				}
				if _, orphaned := object.GetAnnotations()[policyv1alpha1.OrphanAnnotation]; orphaned != test.orphaned {
					t.Errorf("annotations %v", object.GetAnnotations())
				}
				if object.GetDeletionTimestamp() == nil {
					t.Error("it is not being deleted")
				}
			}
			for _, propagation := range test.deletions {
				options := metav1.DeleteOptions{PropagationPolicy: &propagation}
				if err := policies.Delete(ctx, name, options); err != nil {
					t.Fatal(err)
				}
				if err := asUser(t).PediaClusterLifecycles().Delete(ctx, name, options); err != nil {
					t.Fatal(err)
				}
			}
			policy, err := policies.Get(ctx, name, metav1.GetOptions{})
			check(policy, err)
			lifecycle, err := asUser(t).PediaClusterLifecycles().Get(ctx, name, metav1.GetOptions{})
			check(lifecycle, err)
		})
	}
}

func TestADeletedCollectionIsOrphanedAsAWhole(t *testing.T) {
	ctx, policies := t.Context(), asUser(t).ClusterImportPolicies()
	for _, name := range []string{"many-1", "many-2"} {
		policy := newPolicy(name)
		policy.Labels = map[string]string{"test": "many"}
		createPolicy(t, policy)
	}
	many := metav1.ListOptions{LabelSelector: "test=many"}
	if err := policies.DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}, many); err != nil {
		t.Fatal(err)
	}
	list, err := policies.List(ctx, many)
	if err != nil || len(list.Items) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, policy := range list.Items {
		if policy.Annotations[policyv1alpha1.OrphanAnnotation] != "true" || policy.DeletionTimestamp == nil {
			t.Errorf("%s: %+v", policy.Name, policy.ObjectMeta)
		}
	}
}

func TestOnlyTheServerLetsALifecycleGoAtOnce(t *testing.T) {
	ctx := t.Context()
	atOnce := func(of *policyv1alpha1.PediaClusterLifecycle) metav1.DeleteOptions {
		return metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0),
			Preconditions: &metav1.Preconditions{UID: &of.UID, ResourceVersion: &of.ResourceVersion}}
	}
	created := createLifecycle(t, newLifecycle("kept", "mcp", "kept"))
	if err := asUser(t).PediaClusterLifecycles().Delete(ctx, created.Name, atOnce(created)); err != nil {
		t.Fatal(err)
	}
	if left, err := asUser(t).PediaClusterLifecycles().Get(ctx, created.Name, metav1.GetOptions{}); err != nil || left.DeletionTimestamp == nil {
		t.Errorf("deleted by a user: %v, %v", left, err)
	}

	lifecycles := asServer(t).PediaClusterLifecycles()
	first := createLifecycle(t, newLifecycle("let-go", "mcp", "let-go"))
	if _, err := asUser(t).PediaClusterLifecycles().Patch(ctx, first.Name, types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"`+policyv1alpha1.PausedAnnotation+`":"true"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := lifecycles.Delete(ctx, first.Name, atOnce(first)); !apierrors.IsConflict(err) {
		t.Errorf("another version: %v", err)
	}
	held, err := asUser(t).PediaClusterLifecycles().Patch(ctx, first.Name, types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":["`+policyv1alpha1.Finalizer+`","example.com/jane"]}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := lifecycles.Delete(ctx, first.Name, atOnce(held)); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "example.com/jane") {
		t.Errorf("with a finalizer of a user: %v", err)
	}
	latest, err := asUser(t).PediaClusterLifecycles().Patch(ctx, first.Name, types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":["`+policyv1alpha1.Finalizer+`"]}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dry := atOnce(latest)
	dry.DryRun = []string{metav1.DryRunAll}
	if err := lifecycles.Delete(ctx, first.Name, dry); err != nil {
		t.Errorf("dry run: %v", err)
	}
	if err := lifecycles.Delete(ctx, first.Name, atOnce(latest)); err != nil {
		t.Errorf("this version: %v", err)
	}
	if err := lifecycles.Delete(ctx, first.Name, atOnce(latest)); !apierrors.IsNotFound(err) {
		t.Errorf("once more: %v", err)
	}
}

func TestOnlyTheServerWritesTheSpecOfALifecycle(t *testing.T) {
	ctx, lifecycles := t.Context(), asUser(t).PediaClusterLifecycles()
	forbidden := func(what string, err error) {
		t.Helper()
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "change the policy instead") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := lifecycles.Create(ctx, newLifecycle("made-by-jane", "mcp", "a"), metav1.CreateOptions{})
	forbidden("create", err)
	_, err = lifecycles.Create(ctx, newLifecycle("made-by-jane", "mcp", "a"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	forbidden("create, dry run", err)
	_, err = lifecycles.Apply(ctx, applyv1alpha1.PediaClusterLifecycle("made-by-jane"), metav1.ApplyOptions{FieldManager: "jane"})
	forbidden("create by an apply", err)

	created := createLifecycle(t, newLifecycle("guarded", "mcp", "a"))
	if len(created.Finalizers) != 1 || created.Generation != 1 {
		t.Errorf("%+v", created.ObjectMeta)
	}
	changed := created.DeepCopy()
	changed.Spec.Template = ""
	_, err = lifecycles.Update(ctx, changed, metav1.UpdateOptions{})
	forbidden("update", err)
	_, err = lifecycles.Patch(ctx, "guarded", types.MergePatchType, []byte(`{"spec":{"template":"spec: {}"}}`), metav1.PatchOptions{})
	forbidden("patch", err)
	_, err = lifecycles.Apply(ctx, applyv1alpha1.PediaClusterLifecycle("guarded").WithSpec(
		applyv1alpha1.PediaClusterLifecycleSpec().WithTemplate("spec: {}")), metav1.ApplyOptions{FieldManager: "jane", Force: true})
	forbidden("apply", err)

	labelled, err := lifecycles.Patch(ctx, "guarded", types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"a"},"annotations":{"note":"b"}}}`), metav1.PatchOptions{})
	if err != nil || labelled.Labels["team"] != "a" || labelled.Generation != 1 {
		t.Errorf("labels: %v, %v", labelled, err)
	}
	changed = labelled.DeepCopy()
	changed.Spec.Template = "spec: {}"
	updated, err := asServer(t).PediaClusterLifecycles().Update(ctx, changed, metav1.UpdateOptions{})
	if err != nil || updated.Generation != 2 {
		t.Errorf("the server itself: %v, %v", updated, err)
	}
	updated.Spec.Template = ""
	if _, err := asServer(t).PediaClusterLifecycles().Update(ctx, updated, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("the server itself, with a wrong spec: %v", err)
	}
	meta.SetStatusCondition(&labelled.Status.Conditions, metav1.Condition{Type: "Ready", Status: "True", Reason: "UpToDate"})
	labelled.ResourceVersion = ""
	ready, err := asServer(t).PediaClusterLifecycles().UpdateStatus(ctx, labelled, metav1.UpdateOptions{})
	if err != nil || len(ready.Status.Conditions) != 1 || ready.Spec.Template != "spec: {}" {
		t.Errorf("its status: %v, %v", ready, err)
	}
	if err := lifecycles.Delete(ctx, "guarded", metav1.DeleteOptions{}); err != nil {
		t.Errorf("whoever may delete may delete: %v", err)
	}
	_, err = lifecycles.Patch(ctx, "guarded", types.MergePatchType, withoutFinalizers, metav1.PatchOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "--cascade=orphan") {
		t.Errorf("a user takes the finalizer off: %v", err)
	}
}
