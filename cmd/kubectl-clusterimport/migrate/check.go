package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/manifest"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/offline"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/migration"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// problem is what stands in the way of a migration, or what to know before it.
type problem struct {
	text   string
	blocks bool
	// manifest, in YAML, solves it; empty when none does.
	manifest string
}

type problems []problem

func (p *problems) block(format string, args ...any) {
	*p = append(*p, problem{text: fmt.Sprintf(format, args...), blocks: true})
}

func (p *problems) note(format string, args ...any) {
	*p = append(*p, problem{text: fmt.Sprintf(format, args...)})
}

func (p problems) blocking() problems {
	return slices.DeleteFunc(slices.Clone(p), func(p problem) bool { return !p.blocks })
}

func (p problems) String() string {
	if len(p) == 0 {
		return "No problem was found.\n"
	}
	var text strings.Builder
	for _, problem := range p {
		sign := "note:    "
		if problem.blocks {
			sign = "problem: "
		}
		fmt.Fprintf(&text, "%s%s\n", sign, strings.ReplaceAll(problem.text, "\n", "\n         "))
	}
	p.writeManifests(&text)
	return text.String()
}

// storageRecord is the ConfigMap by which the host remembers what storage serves it.
const storageRecord = "policy-apiserver-storage"

// backCommand is for a server that has never served: it has the host lead the APIService back to its CRDs. To delete it
// would do so too, but leave a moment in which the garbage collector is told that
// there are no lifecycles.
var backCommand = "kubectl label apiservice " + migration.APIServiceName + " " + automanaged + "=true"

// check finds out what would keep a migration from coming to its end.
func (m *Migration) check(ctx context.Context, s *state) (found problems, err error) {
	if s.service != nil {
		if s.defined() {
			err = m.checkSwitched(ctx, s, &found)
		}
		return found, err
	}
	if len(s.definitions) != len(resources) {
		found.block("this host has only one of the CRDs %s", strings.Join(resources, " and "))
		return found, nil
	}
	if err := m.checkManagers(ctx, &found); err != nil {
		return nil, err
	}
	if err := m.checkServer(ctx, &found); err != nil {
		return nil, err
	}
	objects, err := m.listAll(ctx)
	if err != nil {
		return nil, err
	}
	m.checkDeletions(objects, &found)
	if err := m.checkOwners(ctx, objects, &found); err != nil {
		return nil, err
	}
	m.checkCanaries(ctx, &found)
	policies := checkPolicies(ctx, objects, &found)
	m.checkRights(ctx, policies, &found)
	return found, m.checkCredentials(ctx, policies, &found)
}

// checkSwitched finds out about CRDs beside an APIService that leads to a service.
// They are what the host was served from, if it was led there too early, or in
// nobody's use, if they came later: the way back to them would cost the fleet then.
func (m *Migration) checkSwitched(ctx context.Context, s *state, found *problems) error {
	if s.service.Namespace != m.Namespace || s.service.Name != m.Service {
		found.block("the APIService %s leads to the Service %s, and not to %s/%s: give --namespace %s --service %s, as before",
			migration.APIServiceName, s.service, m.Namespace, m.Service, s.service.Namespace, s.service.Name)
		return nil
	}
	if s.record != nil {
		return nil
	}
	_, err := m.resource("pediaclusterlifecycles").List(ctx, metav1.ListOptions{Limit: 1})
	if err == nil {
		found.block("the policy-apiserver serves the group already, and nothing was exported here: the CRDs %s are not in use. They may have come with "+
			"Clusterpedia. See in the host's etcd, below /registry/%s, whether they hold anything that you need, then delete these CRDs. "+
			"Never delete or label the APIService %s while they exist: the host would serve the group from them, and its garbage collector "+
			"would delete PediaClusters", strings.Join(s.definitionNames(), " and "), policyv1alpha1.GroupName, migration.APIServiceName)
		return nil
	}
	served, unknown := m.mayHaveServed(ctx, s, err)
	if unknown != nil {
		return unknown
	}
	if served != "" {
		found.block("the APIService %s leads to the Service %s, nothing was exported here, and it is not certain that the server never served: %s. Have the "+
			"server answer first, and see its log: with its storage, it serves the group, and the CRDs are not in use. Until then, neither delete "+
			"nor label the APIService, and leave the CRDs", migration.APIServiceName, s.service, served)
		return nil
	}
	found.block("the APIService %s leads to a service already, but what the CRDs hold was not exported. Have the host serve them again, "+
		"and do not apply ours before the migration: %s", migration.APIServiceName, backCommand)
	return nil
}

// mayHaveServed is what speaks for a server that has served the group, which
// answers with the refusal now. It is empty when nothing does.
func (m *Migration) mayHaveServed(ctx context.Context, s *state, refusal error) (string, error) {
	if !apierrors.IsServiceUnavailable(refusal) || !strings.Contains(refusal.Error(), migration.NotMigrated) {
		return fmt.Sprintf("it does not say so, but %q", refusal), nil
	}
	for _, namespace := range sets.List(sets.New(metav1.NamespaceSystem, m.Namespace)) {
		_, err := m.Kubernetes.CoreV1().ConfigMaps(namespace).Get(ctx, storageRecord, metav1.GetOptions{})
		if err == nil {
			return fmt.Sprintf("the ConfigMap %s/%s remembers a storage", namespace, storageRecord), nil
		}
		if !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("looking for the host's record of the storage: %w", err)
		}
	}
	pediaClusters, err := list(ctx, m.Objects.Resource(render.PediaClusterGVR))
	if err != nil {
		return "", fmt.Errorf("listing PediaClusters: %w", err)
	}
	for _, pediaCluster := range pediaClusters {
		if _, marked := pediaCluster.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]; marked {
			return fmt.Sprintf("PediaCluster %q has its annotation %s", pediaCluster.GetName(), policyv1alpha1.CreatedForAnnotation), nil
		}
		// What the CRDs hold cannot be read now.
		created, definition := pediaCluster.GetCreationTimestamp(), s.definitions["pediaclusterlifecycles"]
		if ownedByLifecycle(&pediaCluster) && (definition == nil || created.Time.Before(definition.GetCreationTimestamp().Time)) {
			return fmt.Sprintf("PediaCluster %q is older than the CRD %s, so the CRD lacks its owner", pediaCluster.GetName(),
				migration.DefinitionName("pediaclusterlifecycles")), nil
		}
	}
	return "", nil
}

func ownedByLifecycle(pediaCluster *unstructured.Unstructured) bool {
	return slices.ContainsFunc(pediaCluster.GetOwnerReferences(), func(owner metav1.OwnerReference) bool {
		gv, err := schema.ParseGroupVersion(owner.APIVersion)
		return err == nil && gv.Group == policyv1alpha1.GroupName
	})
}

func (m *Migration) checkManagers(ctx context.Context, found *problems) error {
	managers, err := m.managers(ctx)
	if err != nil {
		return err
	}
	for i := range managers {
		err := m.runs(ctx, &managers[i])
		switch {
		case err == nil:
		case m.StopControllerManager:
			found.note("Clusterpedia's controller-manager is stopped first: %v", err)
		default:
			found.block("Clusterpedia's controller-manager would work on the same policies: %v (or run this with --stop-controller-manager)", err)
		}
	}
	leases, err := m.leases(ctx)
	if err != nil {
		return err
	}
	for i := range leases {
		found.note("%s holds the Lease %s/%s: the migration begins when it is not renewed any more",
			holderOf(&leases[i]), leases[i].Namespace, leases[i].Name)
	}
	return nil
}

func (m *Migration) checkServer(ctx context.Context, found *problems) error {
	_, err := m.Kubernetes.CoreV1().Services(m.Namespace).Get(ctx, m.Service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		found.block("there is no Service %s/%s: install the policy-apiserver first, or name its Service with --namespace and --service",
			m.Namespace, m.Service)
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for the policy-apiserver: %w", err)
	}
	_, err = m.caBundle(ctx)
	if noAuthority := (*noAuthorityError)(nil); errors.As(err, &noAuthority) {
		found.block("%v", err)
		return nil
	}
	return err
}

func (m *Migration) checkDeletions(objects []unstructured.Unstructured, found *problems) {
	for i := range objects {
		if objects[i].GetDeletionTimestamp() != nil && !isCanary(&objects[i]) {
			found.block("%s is being deleted and has the finalizers %s: let Clusterpedia's controller-manager end the deletion first",
				describe(&objects[i]), strings.Join(objects[i].GetFinalizers(), ", "))
		}
	}
}

// checkOwners finds PediaClusters whose lifecycle is gone, for which the server
// would refuse its storage.
func (m *Migration) checkOwners(ctx context.Context, objects []unstructured.Unstructured, found *problems) error {
	known := sets.New[types.UID]()
	for i := range objects {
		known.Insert(objects[i].GetUID())
	}
	items, err := list(ctx, m.Objects.Resource(render.PediaClusterGVR))
	if err != nil {
		return fmt.Errorf("listing PediaClusters: %w", err)
	}
	for _, pediaCluster := range items {
		for _, owner := range pediaCluster.GetOwnerReferences() {
			gv, err := schema.ParseGroupVersion(owner.APIVersion)
			if err == nil && gv.Group == policyv1alpha1.GroupName && !known.Has(owner.UID) {
				found.block("PediaCluster %q is owned by %s %q with the UID %s, which does not exist: remove that owner reference, or wait until the "+
					"garbage collector has removed the PediaCluster", pediaCluster.GetName(), owner.Kind, owner.Name, owner.UID)
			}
		}
	}
	return nil
}

// checkCanaries asks whether the CRDs would take the objects of plantCanaries.
func (m *Migration) checkCanaries(ctx context.Context, found *problems) {
	for _, resource := range resources {
		_, err := m.resource(resource).Create(ctx, canary(resource, canaryName), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			found.block("%s takes no object that the migration needs for a while: %v", migration.DefinitionName(resource), err)
		}
	}
}

// checkPolicies says which policies this server would refuse if they were new,
// and returns the others.
func checkPolicies(ctx context.Context, objects []unstructured.Unstructured, found *problems) (accepted []*policyv1alpha1.ClusterImportPolicy) {
	bySource := map[string][]string{}
	unselective := sets.New[string]()
	for i := range objects {
		if objects[i].GetKind() != "ClusterImportPolicy" || isCanary(&objects[i]) {
			continue
		}
		name := objects[i].GetName()
		policy, refused := admit(ctx, &objects[i])
		if policy != nil {
			accepted = append(accepted, policy)
		}
		for _, text := range refused {
			found.note("policy %q is migrated and keeps its lifecycles, but does nothing until it is corrected: %s", name, text)
		}
		group, _, _ := unstructured.NestedString(objects[i].Object, "spec", "source", "group")
		resource, _, _ := unstructured.NestedString(objects[i].Object, "spec", "source", "resource")
		selector, _, _ := unstructured.NestedString(objects[i].Object, "spec", "source", "selectorTemplate")
		source := schema.GroupResource{Group: group, Resource: resource}.String()
		bySource[source] = append(bySource[source], name)
		if selector == "" {
			unselective.Insert(source)
		}
	}
	for _, source := range sets.List(unselective) {
		if names := bySource[source]; len(names) > 1 {
			found.note("the policies %s import %s, not all of them with a selectorTemplate: a Source stays with the one that has imported it",
				strings.Join(names, ", "), source)
		}
	}
	return accepted
}

// admit returns the policy as the server would take it as a new one, or why it
// would not.
func admit(ctx context.Context, object *unstructured.Unstructured) (policy *policyv1alpha1.ClusterImportPolicy, refusals []string) {
	text, err := json.Marshal(map[string]any{
		"apiVersion": object.GetAPIVersion(), "kind": object.GetKind(),
		"metadata": map[string]any{"name": object.GetName()}, "spec": object.Object["spec"],
	})
	if err != nil {
		return nil, []string{err.Error()}
	}
	parsed, err := manifest.Parse(object.GetName(), text)
	if err != nil {
		return nil, []string{err.Error()}
	}
	for _, object := range parsed {
		admitted, refused, _ := offline.Check(ctx, object)
		policy = admitted
		for _, finding := range refused {
			refusals = append(refusals, strings.TrimPrefix(finding.Field+": "+finding.Message, ": "))
		}
	}
	return policy, refusals
}

// access is a right that the migration needs.
type access struct {
	group, resource, subresource, namespace, name string
	verbs                                         []string
}

func (m *Migration) accesses() []access {
	needed := []access{
		{resource: "configmaps", namespace: m.Namespace, verbs: []string{"get", "create", "update", "delete"}},
		{resource: "configmaps", namespace: metav1.NamespaceSystem, name: storageRecord, verbs: []string{"get"}},
		{resource: "secrets", namespace: m.Namespace, verbs: []string{"get", "list", "create", "delete"}},
		{group: "apiregistration.k8s.io", resource: "apiservices", name: migration.APIServiceName, verbs: []string{"get", "update"}},
	}
	for _, resource := range resources {
		needed = append(needed,
			access{group: policyv1alpha1.GroupName, resource: resource, verbs: []string{"get", "list", "create", "patch", "delete"}},
			access{group: migration.Definitions.Group, resource: migration.Definitions.Resource, name: migration.DefinitionName(resource),
				verbs: []string{"get", "update", "delete"}})
	}
	needed = append(needed,
		access{resource: "services", namespace: m.Namespace, name: m.Service, verbs: []string{"get"}},
		access{resource: "pods", verbs: []string{"list"}},
		access{group: "apps", resource: "deployments", verbs: []string{"get", "list"}},
		access{group: "coordination.k8s.io", resource: "leases", verbs: []string{"get", "list"}},
		access{group: render.PediaClusterGVR.Group, resource: render.PediaClusterGVR.Resource, verbs: []string{"list"}})
	if m.StopControllerManager {
		needed = append(needed, access{group: "apps", resource: "deployments", subresource: "scale", verbs: []string{"patch"}})
	}
	return needed
}

// checkAccess asks the host for every right that the migration needs.
func (m *Migration) checkAccess(ctx context.Context) (found problems, err error) {
	for _, needed := range m.accesses() {
		for _, verb := range needed.verbs {
			review, err := m.Kubernetes.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Group: needed.group, Resource: needed.resource, Subresource: needed.subresource,
					Namespace: needed.namespace, Name: needed.name, Verb: verb,
				}},
			}, metav1.CreateOptions{})
			if err != nil {
				return nil, fmt.Errorf("asking what you may do: %w", err)
			}
			if !review.Status.Allowed {
				resource := schema.GroupResource{Group: needed.group, Resource: strings.TrimSuffix(needed.resource+"/"+needed.subresource, "/")}
				place := "in all namespaces"
				if needed.namespace != "" {
					place = "in the namespace " + needed.namespace
				}
				found.block("you may not %s %s %s %s", verb, resource, needed.name, place)
			}
		}
	}
	return found, nil
}
