package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/discovery"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles/lifecyclestest"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/probe"
	"github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/fake"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

func TestWorkThatFailsIsTriedAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	order := newOrder[string]()
	queue := newQueue("test", order)
	var mu sync.Mutex
	worked := map[string]int{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(ctx, queue, func(_ context.Context, item string) error {
			defer order.end(item, true)
			mu.Lock()
			defer mu.Unlock()
			worked[item]++
			switch {
			case item == "fails" && worked[item] < 3:
				return errors.New("not yet")
			case item == "panics" && worked[item] < 3:
				panic("a fault")
			}
			return nil
		})
	}()
	want := map[string]int{"is done": 1, "fails": 3, "panics": 3}
	for item := range want {
		queue.Add(item)
	}
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint(worked) == fmt.Sprint(want)
	})
	eventually(t, func() bool { return queue.NumRequeues("fails")+queue.NumRequeues("panics") == 0 })
	cancel()
	<-done
	if !queue.ShuttingDown() {
		t.Error("the queue goes on")
	}
}

// A fault in one pass is told in the counts, and leaves the other imports alone.
func TestAPassThatPanicsIsCountedAsItWas(t *testing.T) {
	one := newOneImport(t)
	broken := *one.policies.state("mcp")
	broken.compiled = nil // which no policy without a problem has
	one.setState(&broken)
	one.memory.Invalidate(one.Import)
	one.queue.Add(one.Import)
	item, _ := one.queue.Get()
	if err := recovering(t.Context(), item, one.work); err == nil {
		t.Error("it is not told")
	}
	one.queue.AddRateLimited(item)
	one.queue.Done(item)
	eventually(t, func() bool { return one.queue.Len() == 1 })
	if counts := one.policies.summaries.of("mcp").counts; counts.Imported != 1 {
		t.Errorf("the counts are %+v", counts)
	}
	one.setState(stateOfOne(t, 2, "https://new"))
	if item, _ := one.queue.Get(); one.work(t.Context(), item) != nil {
		t.Error("it is not tried again")
	}
	one.wantEndpoint(t, "https://new")
}

func TestAChangeOnTheHostReachesTheImportsThatItConcerns(t *testing.T) {
	one := newOneImport(t)
	c := &controllers{imports: one.importController, policies: one.policies}
	one.memory.AddRead(importOfMCP("b"), memory.Object{GroupResource: schema.GroupResource{Resource: "secrets"}, Namespace: "default", Name: "auth"})
	one.changePediaCluster(t, "200", func(*unstructured.Unstructured) {})
	one.forgetsQueue()
	c.ObjectChanged(pediaClusters, []string{"mcp"}, "", "mcp-a", hostobjects.Present)
	one.wantEnqueued(t, "a PediaCluster", "mcp/a, single")
	c.ObjectChanged(secretKind, []string{"mcp"}, "default", "auth", hostobjects.Present)
	one.wantEnqueued(t, "a reference", "mcp/b, single")
	c.ObjectChanged(one.policies.state("mcp").sources, []string{"mcp", "another"}, "", "c", hostobjects.Present)
	one.wantEnqueued(t, "a Source", "another/c, single", "mcp/c, single")
}

func TestATypeWakesThePoliciesThatWaitForIt(t *testing.T) {
	one := newOneImport(t)
	c := &controllers{imports: one.importController, policies: one.policies}
	if err := one.knownPolicies.Add(policyNamed("another", "other", "clusters")); err != nil {
		t.Fatal(err)
	}
	woken := func() (names []string) {
		for one.policies.queue.Len() > 0 {
			name, _ := one.policies.queue.Get()
			one.policies.queue.Done(name)
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	for name, test := range map[string]struct {
		happens func()
		want    []string
	}{
		"a type of one policy": {func() { c.StateChanged(secretKind, []string{"another"}) }, []string{"another"}},
		"PediaClusters":        {func() { c.StateChanged(pediaClusters, nil) }, []string{"another", "mcp"}},
		"what is served":       {c.typesChanged, []string{"another", "mcp"}},
		"an event of a policy": {func() { c.policies.eventHandler().OnAdd(policyNamed("mcp", "p", "clusters"), false) }, []string{"mcp"}},
		"the end of a policy":  {func() { c.policies.eventHandler().OnDelete(policyNamed("mcp", "p", "clusters")) }, []string{"mcp"}},
		"an edit of a policy": {func() {
			c.policies.eventHandler().OnUpdate(policyNamed("mcp", "p", "clusters"), policyNamed("mcp", "p", "clusters"))
		}, []string{"mcp"}},
	} {
		woken()
		if test.happens(); !slices.Equal(woken(), test.want) {
			t.Errorf("%s does not wake %v", name, test.want)
		}
	}
}

// served is a host whose discovery says what it serves.
type served struct {
	discovery.DiscoveryInterfaceWithContext
}

func (served) ServerGroupsAndResourcesWithContext(context.Context) ([]*metav1.APIGroup, []*metav1.APIResourceList, error) {
	resource := func(name string, namespaced bool) metav1.APIResource {
		return metav1.APIResource{Name: name, Namespaced: namespaced, Verbs: metav1.Verbs{"get", "list", "watch"}}
	}
	groups := []*metav1.APIGroup{{Name: ""}, {Name: mcpClusters.Group}, {Name: render.PediaClusterGVR.Group}}
	for i, version := range []string{"v1", mcpClusters.Version, render.PediaClusterGVR.Version} {
		groups[i].PreferredVersion.Version = version
	}
	return groups, []*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{resource("secrets", true)}},
		{GroupVersion: mcpClusters.GroupVersion().String(), APIResources: []metav1.APIResource{resource("clusters", false)}},
		{GroupVersion: render.PediaClusterGVR.GroupVersion().String(), APIResources: []metav1.APIResource{resource("pediaclusters", false)}},
	}, nil
}

func (served) OpenAPIV3WithContext(context.Context) openapi.ClientWithContext { return &publishing{} }

// permissive is a host that allows this server everything.
func permissive() *kubernetesfake.Clientset {
	client := kubernetesfake.NewClientset()
	client.PrependReactor("create", "selfsubjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().DeepCopyObject().(*authorizationv1.SelfSubjectAccessReview)
		review.Status.Allowed = true
		return true, review, nil
	})
	return client
}

// running are controllers that run on a host in memory.
type running struct {
	*controllers
	t        *testing.T
	own      *fake.Clientset
	storage  *lifecyclestest.Storage
	host     *dynamicfake.FakeDynamicClient
	metadata *metadatafake.FakeMetadataClient
	// refusesPatches is set while the host takes no patches.
	refusesPatches atomic.Bool
	// stop ends the controllers.
	stop func()
}

// ownClient keeps spec and status apart, as the API does: a status that was computed from an older
// policy must not take back what a person wrote in the meantime. The fake client does not.
func ownClient(policy *policyv1alpha1.ClusterImportPolicy) *fake.Clientset {
	client := fake.NewClientset(policy)
	client.PrependReactor("update", "clusterimportpolicies", func(action clienttesting.Action) (bool, runtime.Object, error) {
		update := action.(clienttesting.UpdateAction)
		stored, err := client.Tracker().Get(update.GetResource(), "", policy.Name)
		if err != nil {
			return true, nil, err
		}
		written := update.GetObject().DeepCopyObject().(*policyv1alpha1.ClusterImportPolicy)
		result := stored.(*policyv1alpha1.ClusterImportPolicy).DeepCopy()
		if update.GetSubresource() == "status" {
			result.Status = written.Status
		} else {
			written.Status, result = result.Status, written
		}
		return true, result, client.Tracker().Update(update.GetResource(), result, "")
	})
	return client
}

// run starts controllers with a policy and the Sources "a", "b" and "c".
func run(t *testing.T) *running {
	t.Helper()
	policy := stateOfOne(t, 1, "").policy
	policy.Finalizers = []string{policyv1alpha1.Finalizer}
	policy.Spec.MaxPrune = ptr.To(intstr.FromInt32(1))
	policy.Spec.References = []policyv1alpha1.ReferenceTemplate{{
		ReferenceTarget: policyv1alpha1.ReferenceTarget{Key: "auth", Resource: "secrets", NamespaceTemplate: ptr.To("default"), NameTemplate: "shared"}}}
	policy.Spec.Template = `spec: {apiserver: "https://{{ .source.metadata.name }}/{{ .references.auth.data.path | b64dec }}", syncResources: []}`
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, own: ownClient(policy), storage: lifecyclestest.New(),
		host: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
			mcpClusters: "ClusterList", render.PediaClusterGVR: "PediaClusterList", secrets: "SecretList"},
			sourceNamed("a"), sourceNamed("b"), sourceNamed("c")),
		metadata: metadatafake.NewSimpleMetadataClient(scheme, definition())}
	r.host.PrependReactor("patch", "pediaclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
		return r.refusesPatches.Load(), nil, apierrors.NewServiceUnavailable("down")
	})
	r.rotate("1", "b25l")
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

// start starts controllers, as a replica does that begins to lead.
func (r *running) start() {
	r.t.Helper()
	c, err := assemble(r.own, hostClients{served{}, r.host, r.metadata, permissive()},
		Config{Lifecycles: r.storage, Workers: 2, Probe: &probe.Config{}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.controllers = c
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("they ended with %v", err)
		}
	}
}

// rotate stores the Secret that all imports read in another version.
func (r *running) rotate(version, path string) {
	r.t.Helper()
	secret := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": "shared", "namespace": "default", "resourceVersion": version}, "data": map[string]any{"path": path}}}
	shown := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: "shared", Namespace: "default", ResourceVersion: version}}
	err := errors.Join(r.host.Tracker().Add(secret), r.metadata.Tracker().Add(shown))
	if err != nil {
		err = errors.Join(r.host.Tracker().Update(secrets, secret, "default"), r.metadata.Tracker().Update(secrets, shown, "default"))
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// has waits until the host has just these PediaClusters, as "<name> <endpoint>".
func (r *running) has(want ...string) {
	r.t.Helper()
	var got []string
	defer func() {
		if r.t.Failed() {
			r.t.Logf("the host has %v, want %v", got, want)
		}
	}()
	eventually(r.t, func() bool {
		list, err := r.host.Resource(render.PediaClusterGVR).List(r.t.Context(), metav1.ListOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		got = nil
		for i := range list.Items {
			got = append(got, list.Items[i].GetName()+" "+endpointOf(&list.Items[i]))
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// says waits until the policy's status is so.
func (r *running) says(is func(policyv1alpha1.ClusterImportPolicyStatus) bool) {
	r.t.Helper()
	eventually(r.t, func() bool {
		policy, err := r.own.PolicyV1alpha1().ClusterImportPolicies().Get(r.t.Context(), "mcp", metav1.GetOptions{})
		return err == nil && is(policy.Status)
	})
}

// changePolicy writes the policy as a person does.
func (r *running) changePolicy(change func(*policyv1alpha1.ClusterImportPolicy)) {
	r.t.Helper()
	client := r.own.PolicyV1alpha1().ClusterImportPolicies()
	policy, err := client.Get(r.t.Context(), "mcp", metav1.GetOptions{})
	if err == nil {
		change(policy)
		policy.Generation++
		_, err = client.Update(r.t.Context(), policy, metav1.UpdateOptions{})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// All parts together, from the first look at a policy to its end.
func TestTheControllersWorkTogether(t *testing.T) {
	r := run(t)
	r.has("mcp-a https://a/one", "mcp-b https://b/one", "mcp-c https://c/one")
	r.says(func(s policyv1alpha1.ClusterImportPolicyStatus) bool {
		return s.Counts == policyv1alpha1.ImportCounts{Selected: 3, Created: 3, Imported: 3} && s.SourceVersion == "v1alpha1" && len(s.ReferenceVersions) == 1
	})
	eventually(t, func() bool {
		list, _ := r.storage.List(t.Context(), metav1.ListOptions{})
		return !slices.ContainsFunc(list.(*policyv1alpha1.PediaClusterLifecycleList).Items, func(l lifecycles.Lifecycle) bool {
			return l.Status.Phase != policyv1alpha1.LifecycleImported || len(l.Status.References) != 1
		})
	})

	r.rotate("2", "dHdv")
	r.has("mcp-a https://a/two", "mcp-b https://b/two", "mcp-c https://c/two")

	r.changePolicy(func(p *policyv1alpha1.ClusterImportPolicy) {
		p.Spec.Template = "spec: {apiserver: https://edited, syncResources: []}"
	})
	r.has("mcp-a https://edited", "mcp-b https://edited", "mcp-c https://edited")

	if err := r.host.Tracker().Delete(mcpClusters, "", "a"); err != nil {
		t.Fatal(err)
	}
	r.has("mcp-b https://edited", "mcp-c https://edited")

	r.changePolicy(func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.Source.SelectorTemplate = "false" })
	r.says(func(s policyv1alpha1.ClusterImportPolicyStatus) bool { // two would go, of which one may
		return s.Prune != nil && s.Prune.Held == 2 && s.Counts.Held == 2
	})
	r.has("mcp-b https://edited", "mcp-c https://edited")
	r.changePolicy(func(p *policyv1alpha1.ClusterImportPolicy) {
		p.Annotations = map[string]string{policyv1alpha1.ReleasePruneAnnotation: p.Status.Prune.Plan}
		p.Generation--
	})
	r.has()
	r.says(func(s policyv1alpha1.ClusterImportPolicyStatus) bool {
		return s.Counts == policyv1alpha1.ImportCounts{} && (s.Prune == nil || s.Prune.Held == 0)
	})

	r.changePolicy(func(p *policyv1alpha1.ClusterImportPolicy) { p.Spec.Source.SelectorTemplate = "" })
	r.has("mcp-b https://edited", "mcp-c https://edited")
	r.changePolicy(func(p *policyv1alpha1.ClusterImportPolicy) { p.DeletionTimestamp = ptr.To(metav1.Now()) })
	r.has()
	eventually(t, func() bool {
		policy, err := r.own.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), "mcp", metav1.GetOptions{})
		return err != nil || len(policy.Finalizers) == 0
	})
	if has, err := r.storage.HasPolicy(t.Context(), "mcp"); has || err != nil {
		t.Errorf("lifecycles are left: %t, %v", has, err)
	}
}

func TestControllersAreMadeOfClientsThatShareABudget(t *testing.T) {
	config := &rest.Config{Host: "https://127.0.0.1:1", QPS: 5, Burst: 7}
	c, err := newControllers(Config{Loopback: config, Host: config, Lifecycles: lifecyclestest.New(), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.policies.queue.ShutDown()
	c.imports.queue.ShutDown()
	c.imports.owners.ShutDown()
	if c.imports.prober != nil || config.RateLimiter != nil {
		t.Error("clusters are asked, or the configuration of others is changed")
	}
	if c.policies.enqueueImport == nil || c.policies.enqueueInBulk == nil || c.policies.checkOwners == nil {
		t.Error("the parts do not know each other")
	}
	broken := &rest.Config{Host: "https://127.0.0.1:1", TLSClientConfig: rest.TLSClientConfig{CAFile: "/nowhere"}}
	for _, configs := range [][2]*rest.Config{{broken, config}, {config, broken}} {
		if _, err := newControllers(Config{Loopback: configs[0], Host: configs[1], Lifecycles: lifecyclestest.New()}); err == nil {
			t.Error("a broken configuration is taken")
		}
	}
}

func TestMemoryIsReleasedAfterABulk(t *testing.T) {
	one := newOneImport(t)
	c := &controllers{imports: one.importController, store: one.store}
	for n := range muchMemory {
		one.enqueueInBulk(importOfMCP(fmt.Sprint(n)))
	}
	one.forgetsQueue()
	c.releaseMemory(t.Context())
	if one.order.bulkIsOver() {
		t.Error("it is not released")
	}
}

func TestTheImportOfALifecycle(t *testing.T) {
	lifecycle := lifecycleOfMCP("mcp-a")
	lifecycle.Spec.Source = policyv1alpha1.DependentResource{Namespace: "n", Name: "a"}
	if got, want := importOf(lifecycle), (memory.Import{Policy: "mcp", Namespace: "n", Name: "a"}); got != want {
		t.Errorf("it is %+v", got)
	}
}

// What is known of an import whose policy is gone is dropped; one whose policy is not known yet
// is kept.
func TestAnImportIsForgottenWithItsPolicy(t *testing.T) {
	one := newOneImport(t)
	secret := memory.Object{GroupResource: schema.GroupResource{Resource: "secrets"}, Name: "a"}
	one.policies.mu.Lock()
	delete(one.policies.states, "mcp")
	one.policies.mu.Unlock()
	one.memory.AddRead(one.Import, secret)
	one.pass(t)
	if len(one.memory.Readers(secret)) != 1 {
		t.Error("it is forgotten while its policy is there")
	}
	if err := one.knownPolicies.Delete(policyNamed("mcp", "p", "clusters")); err != nil {
		t.Fatal(err)
	}
	one.pass(t)
	if len(one.memory.Readers(secret)) > 0 {
		t.Error("it is remembered without its policy")
	}
	if one.pediaCluster(t, "mcp-a") == nil || one.isGone(t, "mcp-a") {
		t.Error("something was removed")
	}
}

func TestControllersEndWhenTheyCannotBegin(t *testing.T) {
	r := &running{t: t, own: fake.NewClientset(), storage: lifecyclestest.New()}
	c, err := assemble(r.own, hostClients{kubernetes: kubernetesfake.NewClientset()}, Config{Lifecycles: r.storage})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	if err := c.run(ctx); err == nil {
		t.Error("they began after their time")
	}
}
