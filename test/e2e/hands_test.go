package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
)

// These tests are about writes of others than this server; see design rule 13.

var lifecyclesGVR = policyv1alpha1.SchemeGroupVersion.WithResource("pediaclusterlifecycles")

// as returns the client configuration of a user without further groups.
func (h *host) as(user string) *rest.Config {
	config := h.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return config
}

func objectsFor(t *testing.T, config *rest.Config) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	must(t, err)
	return client
}

func policiesFor(t *testing.T, config *rest.Config) policyclient.Interface {
	t.Helper()
	client, err := policyclient.NewForConfig(config)
	must(t, err)
	return client
}

// grant grants the rules to a user and waits until they count.
func (p *platform) grant(t *testing.T, user string, rules ...any) *rest.Config {
	t.Helper()
	p.allow(t, user, "", rules...)
	config := p.as(user)
	config.WarningHandler = rest.NoWarnings{}
	client := policiesFor(t, config)
	eventually(t, user+" may list lifecycles", func() error {
		_, err := client.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(), metav1.ListOptions{})
		return err
	})
	return config
}

// follows makes sure that an import works: a new token arrives.
func (p *platform) follows(t *testing.T, cluster, token string) *unstructured.Unstructured {
	t.Helper()
	p.setToken(t, cluster, token)
	return p.waitForToken(t, cluster, token)
}

func TestWhoMayPatchLifecyclesCannotTakeOneFromItsPolicy(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "pulled")
	set(t, p.manifests.policy, "true", "spec", "source", "selectorTemplate")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	two := p.manifests.policy.DeepCopy()
	two.SetName("pulled-two")
	set(t, *two, "false", "spec", "source", "selectorTemplate")
	p.apply(t, two.Object)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	before := p.waitForToken(t, "one", "secret")
	p.waitForCreated(t, 1)

	user := objectsFor(t, p.grant(t, "pia", rule(policyv1alpha1.GroupName, "pediaclusterlifecycles", nil, "get", "list", "watch", "patch", "update")))
	lifecycles := user.Resource(lifecyclesGVR)
	name := p.pediaClusterName("one")
	owned, err := lifecycles.Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	owner := owned.GetOwnerReferences()[0]
	changed := func(change func(*metav1.OwnerReference)) []metav1.OwnerReference {
		owner := *owner.DeepCopy()
		change(&owner)
		return []metav1.OwnerReference{owner}
	}
	for what, owners := range map[string][]metav1.OwnerReference{
		"another policy on the type":       changed(func(o *metav1.OwnerReference) { o.Name = "pulled-two" }),
		"a policy that there is not":       changed(func(o *metav1.OwnerReference) { o.Name = "gone" }),
		"an owner of a kind without sense": changed(func(o *metav1.OwnerReference) { o.Kind = "X" }),
		"a ConfigMap":                      changed(func(o *metav1.OwnerReference) { o.APIVersion, o.Kind = "v1", "ConfigMap" }),
		"an owner that is not in control":  changed(func(o *metav1.OwnerReference) { o.Controller = nil }),
		"an owner that is gone":            changed(func(o *metav1.OwnerReference) { o.UID = "00000000-0000-0000-0000-000000000000" }),
		"nobody":                           nil,
	} {
		t.Run(what, func(t *testing.T) {
			for verb, write := range waysToWrite(t, lifecycles, name) {
				written, err := write(map[string]any{"metadata": map[string]any{"ownerReferences": plain(t, owners)}})
				switch {
				case apierrors.IsConflict(err): // what is applied belongs to the server
				case err != nil:
					t.Errorf("%s: %v", verb, err)
				default:
					if diff := cmp.Diff(owned.GetOwnerReferences(), written.GetOwnerReferences()); diff != "" {
						t.Errorf("%s: -before +after:\n%s", verb, diff)
					}
				}
			}
		})
	}
	p.sameObject(t, "one", before)
	after := p.follows(t, "one", "rotated")
	must(t, same("its UID", string(after.GetUID()), string(before.GetUID())))
	if diff := cmp.Diff(before.GetOwnerReferences(), after.GetOwnerReferences()); diff != "" {
		t.Errorf("the PediaCluster has other owners: -before +after:\n%s", diff)
	}
}

// plain is the value as JSON has it.
func plain(t *testing.T, value any) (plain any) {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	must(t, json.Unmarshal(text, &plain))
	return plain
}

// waysToWrite are the ways in which fields of an object can be changed.
func waysToWrite(t *testing.T, objects dynamic.ResourceInterface, name string, subresources ...string) map[string]func(map[string]any) (*unstructured.Unstructured, error) {
	t.Helper()
	patch := func(patchType types.PatchType, body any, options metav1.PatchOptions) (*unstructured.Unstructured, error) {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		return objects.Patch(t.Context(), name, patchType, text, options, subresources...)
	}
	return map[string]func(map[string]any) (*unstructured.Unstructured, error){
		"a merge patch": func(fields map[string]any) (*unstructured.Unstructured, error) {
			return patch(types.MergePatchType, fields, metav1.PatchOptions{})
		},
		"a strategic merge patch": func(fields map[string]any) (*unstructured.Unstructured, error) {
			return patch(types.StrategicMergePatchType, fields, metav1.PatchOptions{})
		},
		"a JSON patch": func(fields map[string]any) (*unstructured.Unstructured, error) {
			return patch(types.JSONPatchType, jsonPatch("", fields), metav1.PatchOptions{})
		},
		"an apply": func(fields map[string]any) (*unstructured.Unstructured, error) {
			return patch(types.ApplyPatchType, applied(name, fields), metav1.PatchOptions{FieldManager: "e2e"})
		},
		"an apply with force": func(fields map[string]any) (*unstructured.Unstructured, error) {
			force := true
			return patch(types.ApplyPatchType, applied(name, fields), metav1.PatchOptions{FieldManager: "e2e", Force: &force})
		},
		"an update": func(fields map[string]any) (*unstructured.Unstructured, error) {
			object, err := objects.Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return nil, err
			}
			merge(object.Object, fields)
			object.SetName(name)
			return objects.Update(t.Context(), object, metav1.UpdateOptions{}, subresources...)
		},
	}
}

// jsonPatch sets the leaves of fields, and removes those that are nil.
func jsonPatch(path string, fields map[string]any) (operations []map[string]any) {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for key, value := range fields {
		path := path + "/" + escape.Replace(key)
		switch value := value.(type) {
		case map[string]any:
			operations = append(operations, jsonPatch(path, value)...)
		case nil:
			operations = append(operations, map[string]any{"op": "remove", "path": path})
		default:
			operations = append(operations, map[string]any{"op": "add", "path": path, "value": value})
		}
	}
	return operations
}

// merge sets the leaves of fields in an object, and removes those that are nil.
func merge(object, fields map[string]any) {
	for key, value := range fields {
		inner, isMap := value.(map[string]any)
		switch into, ok := object[key].(map[string]any); {
		case value == nil:
			delete(object, key)
		case isMap && ok:
			merge(into, inner)
		default:
			object[key] = value
		}
	}
}

// applied is what to send to apply the fields.
func applied(name string, fields map[string]any) map[string]any {
	object := map[string]any{"apiVersion": policyv1alpha1.SchemeGroupVersion.String(), "kind": "PediaClusterLifecycle"}
	merge(object, map[string]any{"metadata": map[string]any{"name": name}})
	for key, value := range fields {
		if inner, ok := value.(map[string]any); ok && key == "metadata" {
			merge(object["metadata"].(map[string]any), inner)
			continue
		}
		object[key] = value
	}
	return object
}

func TestWhoHasOnlyTheNameOfThisServerIsNotThisServer(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "namesake")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	p.waitForCreated(t, 1)
	namesake := policiesFor(t, p.grant(t, "system:apiserver", rule(policyv1alpha1.GroupName, "*", nil, "*"))).PolicyV1alpha1().PediaClusterLifecycles()
	lifecycle, err := p.lifecycle(t.Context(), "one")
	must(t, err)
	forbidden := func(what string, err error) {
		t.Helper()
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	copied := &policyv1alpha1.PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{Name: "namesake-two"}, Spec: lifecycle.Spec}
	_, err = namesake.Create(t.Context(), copied, metav1.CreateOptions{})
	forbidden("a creation", err)
	changed := lifecycle.DeepCopy()
	changed.Spec.Template = "spec: {}"
	_, err = namesake.Update(t.Context(), changed, metav1.UpdateOptions{})
	forbidden("a spec", err)
	changed = lifecycle.DeepCopy()
	changed.Status.SourceDefinition = "another"
	_, err = namesake.UpdateStatus(t.Context(), changed, metav1.UpdateOptions{})
	forbidden("a status", err)
	p.follows(t, "one", "rotated")
}

// careful is a policy with every field that Clusterpedia's types lack.
const careful = `
apiVersion: policy.clusterpedia.io/v1alpha1
kind: ClusterImportPolicy
metadata: {name: careful}
spec:
  suspend: true
  deletionPolicy: Orphan
  maxPrune: 0
  deletionCondition: "false"
  source:
    group: ""
    resource: serviceaccounts
    labelSelector: {matchLabels: {x: "y"}}
    selectorTemplate: '{{ eq .source.metadata.name "default" }}'
  nameTemplate: "careful-{{ .source.metadata.namespace }}"
  template: |
    spec: {apiserver: "https://127.0.0.1:1", tokenData: dG9rZW4=, syncResources: [{group: "", resources: [pods]}]}
  creationCondition: "true"
`

// The types of Clusterpedia as it has published them.
type (
	publishedConversion struct {
		Template          string `json:"template"`
		CreationCondition string `json:"creationCondition"`
	}
	publishedReference struct {
		Key               string   `json:"key"`
		Group             string   `json:"group"`
		Resource          string   `json:"resource"`
		NamespaceTemplate string   `json:"namespaceTemplate,omitempty"`
		NameTemplate      string   `json:"nameTemplate"`
		Versions          []string `json:"versions,omitempty"`
		Version           string   `json:"version,omitempty"`
	}
	publishedPolicy struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata,omitempty"`
		Spec              struct {
			Source struct {
				Group            string   `json:"group"`
				Versions         []string `json:"versions,omitempty"`
				Resource         string   `json:"resource"`
				SelectorTemplate string   `json:"selectorTemplate,omitempty"`
			} `json:"source"`
			References          []publishedReference `json:"references,omitempty"`
			NameTemplate        string               `json:"nameTemplate"`
			publishedConversion `json:",inline"`
		} `json:"spec,omitempty"`
		Status struct {
			Conditions []metav1.Condition `json:"conditions,omitempty"`
		} `json:"status,omitempty"`
	}
	publishedSource struct {
		Group     string `json:"group"`
		Version   string `json:"version"`
		Resource  string `json:"resource"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	}
	publishedLifecycle struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata,omitempty"`
		Spec              struct {
			Source              publishedSource      `json:"source"`
			References          []publishedReference `json:"references,omitempty"`
			publishedConversion `json:",inline"`
		} `json:"spec,omitempty"`
		Status struct {
			Conditions []metav1.Condition `json:"conditions,omitempty"`
			References []publishedSource  `json:"references"`
		} `json:"status,omitempty"`
	}
)

// publishedManager is a client that knows those types and no others.
type publishedManager struct{ rest.Interface }

func (m publishedManager) get(t *testing.T, resource, name string, into any) {
	t.Helper()
	text, err := m.Get().Resource(resource).Name(name).DoRaw(t.Context())
	must(t, err)
	must(t, json.Unmarshal(text, into))
}

func (m publishedManager) send(ctx context.Context, request *rest.Request, object any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return request.SetHeader("Content-Type", "application/json").Body(text).Do(ctx).Error()
}

func (m publishedManager) put(ctx context.Context, resource, name, subresource string, object any) error {
	request := m.Put().Resource(resource).Name(name)
	if subresource != "" {
		request = request.SubResource(subresource)
	}
	return m.send(ctx, request, object)
}

const (
	formerPolicyFinalizer    = "clusterpedia.io/cluster-import-policy-controller"
	formerLifecycleFinalizer = "clusterpedia.io/pediacluster-lifecycle-controller"
)

// workOn does with a policy what Clusterpedia's controller-manager does: it begins
// with its finalizer and stops where it cannot have it.
func (m publishedManager) workOn(t *testing.T, name string) error {
	t.Helper()
	policy := &publishedPolicy{}
	m.get(t, "clusterimportpolicies", name, policy)
	policy.Finalizers = append(policy.Finalizers, formerPolicyFinalizer)
	return m.put(t.Context(), "clusterimportpolicies", name, "", policy)
}

// refused is an error unless the answer says what to scale down and why.
func refused(err error) error {
	if !apierrors.IsForbidden(err) {
		return fmt.Errorf("answered %w", errors.Join(errors.New("not as forbidden"), err))
	}
	return mentions(err.Error(), "Clusterpedia's controller-manager", "drops suspend",
		"kubectl scale --namespace clusterpedia-system deployment/clusterpedia-controller-manager --replicas=0")
}

func TestClusterpediasControllerManagerChangesNothing(t *testing.T) {
	p := shared.newPlatform(t, "former")
	set(t, p.manifests.policy, "false", "spec", "deletionCondition")
	set(t, p.manifests.policy, map[string]any{}, "spec", "source", "labelSelector")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	pediaCluster := p.waitForToken(t, "one", "secret")
	p.waitForCreated(t, 1)
	var object map[string]any
	must(t, yaml.Unmarshal([]byte(careful), &object))
	p.apply(t, object)
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Delete(context.Background(), "careful", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})

	const account = "system:serviceaccount:clusterpedia-system:clusterpedia-controller-manager"
	manager := publishedManager{policiesFor(t, p.grant(t, account, rule("*", "*", nil, "*"))).PolicyV1alpha1().RESTClient()}
	lifecycleName := p.pediaClusterName("one")
	record := func() (state []any) {
		for _, name := range []string{p.name, "careful"} {
			policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), name, metav1.GetOptions{})
			must(t, err)
			state = append(state, policy.UID, policy.Generation, policy.Spec, policy.Finalizers, policy.Annotations, policy.Status.Counts)
		}
		lifecycle, err := p.lifecycle(t.Context(), "one")
		must(t, err)
		return append(state, lifecycle.UID, lifecycle.Generation, lifecycle.Spec, lifecycle.Finalizers, lifecycle.OwnerReferences,
			lifecycle.Status.SourceDefinition, lifecycle.Status.References)
	}
	metrics := p.metricsClient(t)
	counted := func(resource string) float64 {
		t.Helper()
		found, err := scrape(metrics)
		must(t, err)
		return series(found)[`policy_apiserver_controller_manager_refusals_total{resource="`+resource+`"}`]
	}
	before := record()
	policiesBefore, lifecyclesBefore := counted("clusterimportpolicies"), counted("pediaclusterlifecycles")

	// What it does first.
	for _, name := range []string{p.name, "careful"} {
		must(t, refused(manager.workOn(t, name)))
	}
	lifecycle := &publishedLifecycle{}
	manager.get(t, "pediaclusterlifecycles", lifecycleName, lifecycle)
	taken := *lifecycle
	taken.Finalizers = append([]string{formerLifecycleFinalizer}, lifecycle.Finalizers...)
	must(t, refused(manager.put(t.Context(), "pediaclusterlifecycles", lifecycleName, "", &taken)))
	must(t, same("counted writes of policies", fmt.Sprint(counted("clusterimportpolicies")-policiesBefore), "2"))
	must(t, same("counted writes of lifecycles", fmt.Sprint(counted("pediaclusterlifecycles")-lifecyclesBefore), "1"))

	// What it would do next, if it had not stopped at its finalizer.
	policy := &publishedPolicy{}
	manager.get(t, "clusterimportpolicies", "careful", policy)
	policy.Status.Conditions = []metav1.Condition{{Type: "Validated", Status: "False", Reason: "Mine", LastTransitionTime: metav1.Now()}}
	made := &publishedLifecycle{TypeMeta: lifecycle.TypeMeta, ObjectMeta: metav1.ObjectMeta{Name: "former-two", OwnerReferences: lifecycle.OwnerReferences}, Spec: lifecycle.Spec}
	updated := *lifecycle
	updated.Spec.publishedConversion = policy.Spec.publishedConversion
	updated.Status.Conditions = policy.Status.Conditions
	for what, err := range map[string]error{
		"the status of a policy":    manager.put(t.Context(), "clusterimportpolicies", "careful", "status", policy),
		"a new lifecycle":           manager.send(t.Context(), manager.Post().Resource("pediaclusterlifecycles"), made),
		"the spec of a lifecycle":   manager.put(t.Context(), "pediaclusterlifecycles", lifecycleName, "", &updated),
		"the status of a lifecycle": manager.put(t.Context(), "pediaclusterlifecycles", lifecycleName, "status", &updated),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if diff := cmp.Diff(before, record()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	p.sameObject(t, "one", pediaCluster)
	p.follows(t, "one", "rotated")

	// What was exported from it can be created.
	exported := &publishedPolicy{TypeMeta: policy.TypeMeta, ObjectMeta: metav1.ObjectMeta{Name: "former-exported", Finalizers: []string{formerPolicyFinalizer}},
		Spec: policy.Spec, Status: policy.Status}
	exported.Spec.Source.Group, exported.Spec.Source.Resource = p.group, "others"
	must(t, manager.send(t.Context(), manager.Post().Resource("clusterimportpolicies"), exported))
	created, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), "former-exported", metav1.GetOptions{})
	must(t, err)
	must(t, same("its finalizers", strings.Join(created.Finalizers, ","), policyv1alpha1.Finalizer))
	must(t, refused(manager.workOn(t, "former-exported")))
}

// Case 3: the deletion of a lifecycle under a suspended policy.
func TestWhoTakesOurFinalizerOffALifecycleDeletesNoPediaCluster(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "stripped")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	before := p.waitForToken(t, "one", "secret")
	p.edit(t, `{"spec":{"suspend":true}}`)
	p.waitForPolicy(t, "is suspended", func(policyv1alpha1.ClusterImportPolicyStatus) error { return nil })
	p.bind(t, "paula", "clusterpedia:policy-admin")
	user := policiesFor(t, p.as("paula")).PolicyV1alpha1().PediaClusterLifecycles()
	name := p.pediaClusterName("one")
	eventually(t, "paula may delete lifecycles", func() error { return user.Delete(t.Context(), name, metav1.DeleteOptions{}) })
	lifecycle, err := user.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	switch {
	case apierrors.IsForbidden(err):
		must(t, mentions(err.Error(), "only this server removes the finalizer", "kubectl delete pediaclusterlifecycle "+name+" --cascade=orphan"))
	case apierrors.IsNotFound(err): // it was released already
	case err != nil, !strings.Contains(strings.Join(lifecycle.Finalizers, ","), policyv1alpha1.Finalizer):
		t.Errorf("it was taken off: %v, %v", lifecycle.Finalizers, err)
	}
	p.awaitGarbageCollection(t)
	p.sameObject(t, "one", before)

	p.edit(t, `{"spec":{"suspend":false}}`)
	p.waitForReady(t, name, policyv1alpha1.ReasonExisted)
	p.follows(t, "one", "rotated")
	p.awaitGarbageCollection(t)
	p.sameObject(t, "one", before)
}

// A deletion that waits for a finalizer of somebody else waits on, and says so.
func TestADeletionThatWaitsIsNotEndedByHand(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "hanging")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	name := p.pediaClusterName("one")
	p.patch(t, p.objects.Resource(pediaClusters), name, `{"metadata":{"finalizers":["example.com/mine"]}}`)
	p.deleteCluster(t, "one")
	eventually(t, "the lifecycle waits", func() error {
		lifecycle, err := p.lifecycle(t.Context(), "one")
		if err != nil {
			return err
		}
		return same("its phase", string(lifecycle.Status.Phase), string(policyv1alpha1.LifecycleDeleting))
	})
	must(t, p.policy.PolicyV1alpha1().ClusterImportPolicies().Delete(t.Context(), p.name, metav1.DeleteOptions{}))

	for resource, object := range map[string]string{"pediaclusterlifecycle": name, "clusterimportpolicy": p.name} {
		says := "Its status says "
		if object == p.name {
			says = "It ends when all lifecycles of the policy are deleted" // its status may not have been written yet
		}
		for _, flags := range [][]string{{"--type=merge", `--patch={"metadata":{"finalizers":null}}`}, {"--type=json", `--patch=[{"op":"remove","path":"/metadata/finalizers"}]`}} {
			out, err := p.Kubectl(t.Context(), nil, append([]string{"patch", resource, object}, flags...)...)
			if err == nil {
				t.Fatalf("%s: the finalizer was taken off: %s", resource, out)
			}
			must(t, mentions(err.Error(), "only this server removes the finalizer "+policyv1alpha1.Finalizer, says,
				fmt.Sprintf("kubectl delete %s %s --cascade=orphan", resource, object)))
		}
		// Neither does force.
		p.kubectl(t, "delete", resource, object, "--force", "--grace-period=0", "--wait=false")
	}
	// A manifest that was applied before the deletion has no finalizers.
	replaced, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
	must(t, err)
	replaced.Finalizers = nil
	if _, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Update(t.Context(), replaced, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("an update without finalizers: %v", err)
	}

	p.patch(t, p.objects.Resource(pediaClusters), name, `{"metadata":{"finalizers":null}}`)
	p.waitUntilGone(t, "one")
	eventually(t, "the policy is gone", func() error {
		_, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
		return gone(err)
	})
}

// The garbage collector acts on its finalizers whoever has put them there: it
// would delete what was to be orphaned.
func TestTheGarbageCollectorIsNotMadeToDeleteByItsFinalizers(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "collected")
	set(t, p.manifests.policy, "Orphan", "spec", "deletionPolicy")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	before := p.waitForToken(t, "one", "secret")
	user := objectsFor(t, p.grant(t, "gregor", rule(policyv1alpha1.GroupName, "pediaclusterlifecycles", nil, "get", "list", "patch", "update"))).Resource(lifecyclesGVR)
	name := p.pediaClusterName("one")
	for _, finalizer := range []string{metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents} {
		for verb, write := range waysToWrite(t, user, name) {
			_, err := write(map[string]any{"metadata": map[string]any{"finalizers": []any{policyv1alpha1.Finalizer, finalizer}}})
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "garbage collector") {
				t.Errorf("%s with %s: %v", verb, finalizer, err)
			}
		}
	}
	p.deleteCluster(t, "one")
	p.waitUntilReleased(t, "one")
	p.awaitGarbageCollection(t)
	p.sameObject(t, "one", before)
}

// Case 20: what a restore of all objects of the group meets.
func TestLifecyclesNeedNotBeRestored(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "restored")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	before := p.waitForToken(t, "one", "secret")
	lifecycle, err := p.lifecycle(t.Context(), "one")
	must(t, err)
	backup, err := yaml.Marshal(map[string]any{
		"apiVersion": policyv1alpha1.SchemeGroupVersion.String(), "kind": "PediaClusterLifecycle",
		"metadata": map[string]any{"name": "restored-lost", "labels": map[string]any{"a": "b"}, "annotations": map[string]any{"c": "d"}},
		"spec":     lifecycle.Spec,
	})
	must(t, err)
	out, err := p.Kubectl(t.Context(), strings.NewReader(string(backup)), "create", "-f", "-")
	if err == nil {
		t.Fatalf("it was created: %s", out)
	}
	must(t, mentions(err.Error(), "(Forbidden)", "A backup needs policies only"))
	p.apply(t, p.manifests.policy.Object)
	p.follows(t, "one", "rotated")
	p.sameObject(t, "one", before)
}
