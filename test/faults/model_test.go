package faults

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

var pediaClusters = schema.GroupVersionResource{Group: "cluster.clusterpedia.io", Version: "v1alpha2", Resource: "pediaclusters"}

const (
	// probeCluster is the one whose token is changed to see whether imports work.
	probeCluster = "probe"
	editedLabel  = "example.io/edited-by-a-user"
	// selectedLabel has a Source selected, when it is true.
	selectedLabel = "example.io/selected"
)

// cluster is what a platform says of a cluster, and what users have made of its
// PediaCluster.
type cluster struct {
	endpoint, token string
	label           string // empty when no user has set it
	// held is set when the brake keeps the PediaCluster.
	held bool
}

// platform is a multi-cloud platform with a policy of the same name, and what
// the host should have of its clusters.
type platform struct {
	*host
	name     string
	resource schema.GroupVersionResource

	mu       sync.Mutex // held during a change, so that none is half done when all is compared
	clusters map[string]*cluster
	edits    int // of the policy's template
	random   *rand.Rand
	number   int // of names, tokens, and whatever else has to be new
}

// serveType has the host serve the Source type of a platform, of which this is
// the definition.
type serveType func(t *testing.T, p *platform, crd unstructured.Unstructured)

func asCustomResource(t *testing.T, p *platform, crd unstructured.Unstructured) {
	t.Helper()
	p.apply(t, crd)
	must(t, p.WaitForTypes(t.Context(), crd.GetName()))
}

// newPlatform installs the platform of the example under that name, with a policy
// of which maxPrune may go.
func newPlatform(t *testing.T, h *host, name, maxPrune string, serve serveType) *platform {
	t.Helper()
	group := name + ".example.io"
	p := &platform{
		host: h, name: name, resource: schema.GroupVersionResource{Group: group, Version: "v1alpha1", Resource: "clusters"},
		clusters: map[string]*cluster{}, random: rand.New(rand.NewPCG(1, 2)),
	}
	crd, role, policy := example(t, "crd.yaml"), example(t, "rbac.yaml"), example(t, "policy.yaml")
	crd.SetName("clusters." + group)
	role.SetName("clusterpedia:policy-sources:" + name)
	policy.SetName(name)
	for _, field := range []struct {
		object unstructured.Unstructured
		value  any
		path   []string
	}{
		{crd, group, []string{"spec", "group"}},
		{role, []any{map[string]any{
			"apiGroups": []any{group}, "resources": []any{"clusters"}, "verbs": []any{"get", "list", "watch"}}}, []string{"rules"}},
		{policy, group, []string{"spec", "source", "group"}},
		{policy, `{{ index .source.metadata.labels "` + selectedLabel + `" }}`, []string{"spec", "source", "selectorTemplate"}},
		{policy, name + "-{{ .source.metadata.name }}", []string{"spec", "nameTemplate"}},
		{policy, maxPrune, []string{"spec", "maxPrune"}},
	} {
		must(t, unstructured.SetNestedField(field.object.Object, field.value, field.path...))
	}
	_, err := h.Kubectl(t.Context(), nil, "create", "namespace", name)
	must(t, err)
	h.apply(t, role)
	serve(t, p, crd)
	h.apply(t, policy)
	return p
}

func example(t *testing.T, file string) unstructured.Unstructured {
	t.Helper()
	objects, err := devcluster.ReadManifest("../mcp/" + file)
	must(t, err)
	return objects[0]
}

func (h *host) apply(t *testing.T, object unstructured.Unstructured) {
	t.Helper()
	text, err := yaml.Marshal(object.Object)
	must(t, err)
	_, err = h.Kubectl(t.Context(), strings.NewReader(string(text)), "apply", "--server-side", "-f", "-")
	must(t, err)
}

// fill makes that many clusters, one of them for probes.
func (p *platform) fill(t *testing.T, count int) {
	t.Helper()
	names := []string{probeCluster}
	for len(names) < count {
		names = append(names, p.fresh("c"))
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for _, name := range names {
		p.clusters[name] = newCluster(name)
		group.Go(func() error { return p.create(ctx, name, newCluster(name)) })
	}
	must(t, group.Wait())
}

func newCluster(name string) *cluster {
	return &cluster{endpoint: "https://" + name + ".example.com", token: "the first of " + name}
}

// fresh returns something that was not there before.
func (p *platform) fresh(prefix string) string {
	p.number++
	return fmt.Sprintf("%s%04d", prefix, p.number)
}

// create makes the Secret and the Source of a cluster.
func (p *platform) create(ctx context.Context, name string, c *cluster) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-auth"},
		Data:       map[string][]byte{"ca": devcluster.Authority(name), "token": []byte(c.token)},
	}
	source := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": p.resource.GroupVersion().String(),
		"kind":       "Cluster",
		"metadata":   map[string]any{"name": name, "labels": map[string]any{selectedLabel: "true"}},
		"spec": map[string]any{
			"apiEndpoint":   c.endpoint,
			"authSecretRef": map[string]any{"namespace": p.name, "name": name + "-auth"},
		},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
	}}
	return insist(ctx, func(ctx context.Context) error {
		if _, err := p.kubernetes.CoreV1().Secrets(p.name).Create(ctx, secret, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		if _, err := p.objects.Resource(p.resource).Create(ctx, source, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		return nil
	})
}

func (p *platform) setToken(ctx context.Context, cluster, token string) error {
	return insist(ctx, func(ctx context.Context) error {
		_, err := p.kubernetes.CoreV1().Secrets(p.name).Patch(ctx, cluster+"-auth", types.MergePatchType,
			fmt.Appendf(nil, `{"data":{"token":%q}}`, encoded(token)), metav1.PatchOptions{})
		return err
	})
}

func (p *platform) patchSource(ctx context.Context, cluster, patch string) error {
	return insist(ctx, func(ctx context.Context) error {
		_, err := p.objects.Resource(p.resource).Patch(ctx, cluster, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	})
}

// patchPediaCluster changes a PediaCluster as a user would, and reports whether
// it was there.
func (p *platform) patchPediaCluster(ctx context.Context, cluster, patch string) (existed bool, err error) {
	err = insist(ctx, func(ctx context.Context) error {
		_, err := p.objects.Resource(pediaClusters).Patch(ctx, p.pediaCluster(cluster), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		existed = err == nil
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	return existed, err
}

// pediaCluster is the name of the PediaCluster of a cluster.
func (p *platform) pediaCluster(cluster string) string { return p.name + "-" + cluster }

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// change makes one change, and returns when the host has it.
func (p *platform) change(ctx context.Context, expected *expectedDeletions) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	name, c := p.any()
	fresh := p.fresh("c")
	switch kind := p.random.IntN(20); {
	case kind == 0:
		p.clusters[fresh] = newCluster(fresh)
		return p.create(ctx, fresh, p.clusters[fresh])
	case kind == 1:
		expected.add(p.pediaCluster(name))
		delete(p.clusters, name)
		return insist(ctx, func(ctx context.Context) error {
			err := p.objects.Resource(p.resource).Delete(ctx, name, metav1.DeleteOptions{})
			if err == nil || apierrors.IsNotFound(err) {
				err = p.kubernetes.CoreV1().Secrets(p.name).Delete(ctx, name+"-auth", metav1.DeleteOptions{})
			}
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
	case kind < 5:
		c.endpoint = "https://" + fresh + ".example.com"
		return p.patchSource(ctx, name, fmt.Sprintf(`{"spec":{"apiEndpoint":%q}}`, c.endpoint))
	case kind < 7:
		existed, err := p.patchPediaCluster(ctx, name, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, editedLabel, fresh))
		if existed {
			c.label = fresh
		}
		return err
	case kind < 9: // it has to be put back
		_, err := p.patchPediaCluster(ctx, name, fmt.Sprintf(`{"spec":{"apiserver":"https://%s.example.org"}}`, fresh))
		return err
	default:
		c.token = "token " + fresh
		return p.setToken(ctx, name, c.token)
	}
}

// any returns some cluster.
func (p *platform) any() (string, *cluster) {
	names := p.names()
	name := names[p.random.IntN(len(names))]
	return name, p.clusters[name]
}

// names are those of all clusters but the one for probes.
func (p *platform) names() []string {
	var names []string
	for name := range p.clusters {
		if name != probeCluster {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// want is the PediaCluster that there should be, as far as it is not the host's
// affair.
func (p *platform) want(name string, c *cluster, lifecycle types.UID) map[string]any {
	metadata := map[string]any{
		"name":        p.pediaCluster(name),
		"annotations": map[string]any{policyv1alpha1.CreatedForAnnotation: p.name + "/" + p.resource.GroupResource().String() + "//" + name},
		"ownerReferences": []any{map[string]any{
			"apiVersion": policyv1alpha1.SchemeGroupVersion.String(), "kind": "PediaClusterLifecycle",
			"name": p.pediaCluster(name), "uid": string(lifecycle),
		}},
	}
	if c.label != "" {
		metadata["labels"] = map[string]any{editedLabel: c.label}
	}
	return map[string]any{
		"metadata": metadata,
		"spec": map[string]any{
			"apiserver": c.endpoint + p.suffix(),
			"caData":    encoded(string(devcluster.Authority(name))),
			"tokenData": encoded(c.token),
			"syncResources": []any{
				map[string]any{"group": "", "resources": []any{"pods"}},
				map[string]any{"group": "apps", "resources": []any{"*"}},
			},
		},
	}
}

// got is a PediaCluster without what the host adds to every object.
func got(object *unstructured.Unstructured) map[string]any {
	object = object.DeepCopy()
	metadata := object.Object["metadata"].(map[string]any)
	for _, field := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"} {
		delete(metadata, field)
	}
	delete(object.Object, "apiVersion")
	delete(object.Object, "kind")
	return object.Object
}

// differences compares every PediaCluster with what it should be, and returns how
// many were compared. Who calls it holds the platforms.
func differences(objects []*unstructured.Unstructured, lifecycles []policyv1alpha1.PediaClusterLifecycle, platforms []*platform) (int, error) {
	records := map[string]*policyv1alpha1.PediaClusterLifecycle{}
	for i := range lifecycles {
		records[lifecycles[i].Name] = &lifecycles[i]
	}
	live := map[string]*unstructured.Unstructured{}
	for _, object := range objects {
		live[object.GetName()] = object
	}
	var errs []error
	total := 0
	for _, p := range platforms {
		for name, c := range p.clusters {
			total++
			full := p.pediaCluster(name)
			record, object := records[full], live[full]
			phase := policyv1alpha1.LifecycleImported
			if c.held {
				phase = policyv1alpha1.LifecycleHeld
			}
			switch {
			case object == nil:
				errs = append(errs, fmt.Errorf("there is no PediaCluster %s", full))
			case record == nil:
				errs = append(errs, fmt.Errorf("there is no lifecycle %s", full))
			case record.Status.Phase != phase:
				errs = append(errs, fmt.Errorf("the lifecycle %s is %s, want %s", full, record.Status.Phase, phase))
			default:
				if diff := cmp.Diff(p.want(name, c, record.UID), got(object)); diff != "" {
					errs = append(errs, fmt.Errorf("PediaCluster %s (-want +got):\n%s", full, diff))
				}
			}
		}
	}
	if len(objects) != total || len(lifecycles) != total {
		errs = append(errs, fmt.Errorf("%d PediaClusters and %d lifecycles, want %d", len(objects), len(lifecycles), total))
	}
	if len(errs) > 5 {
		errs = append(errs[:5], fmt.Errorf("and %d more", len(errs)-5))
	}
	return total, errors.Join(errs...)
}

// expectedDeletions are the names of the PediaClusters that may go. No name
// is used twice.
type expectedDeletions struct {
	mu    sync.Mutex
	names map[string]bool
}

func (e *expectedDeletions) add(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.names[name] = true
}

// compare fails if a deletion was seen that is not expected, or more than one of
// the same name. (Not all are seen: what is new may go before it is imported.)
func (e *expectedDeletions) compare(seen []deletion) (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gone := map[string]bool{}
	for _, d := range seen {
		if !e.names[d.name] || gone[d.name] {
			err = errors.Join(err, fmt.Errorf("PediaCluster %s (uid %s) was deleted at %s, though nobody asked for it",
				d.name, d.uid, d.at.Format(time.TimeOnly)))
		}
		gone[d.name] = true
	}
	return err
}

// acknowledged are the writes that our API answered with success: policies, by
// name.
type acknowledged struct {
	*host
	mu       sync.Mutex
	policies map[string]written
	writes   int
}

type written struct {
	uid   types.UID
	label string
}

// write makes one write through the API and returns when it is acknowledged.
func (a *acknowledged) write(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writes++
	client := a.policy.PolicyV1alpha1().ClusterImportPolicies()
	value := fmt.Sprint(a.writes)
	if a.writes%10 == 1 {
		policy := idlePolicy("acknowledged-" + value)
		return insist(ctx, func(ctx context.Context) error {
			created, err := client.Create(ctx, policy, metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) { // by an attempt whose answer was lost
				created, err = client.Get(ctx, policy.Name, metav1.GetOptions{})
			}
			if err == nil {
				a.policies[policy.Name] = written{created.UID, ""}
			}
			return err
		})
	}
	for name := range a.policies { // any
		return insist(ctx, func(ctx context.Context) error {
			_, err := client.Patch(ctx, name, types.MergePatchType,
				fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, editedLabel, value), metav1.PatchOptions{})
			if err == nil {
				a.policies[name] = written{a.policies[name].uid, value}
			}
			return err
		})
	}
	return nil
}

// idlePolicy is a policy on a type that nobody has.
func idlePolicy(name string) *policyv1alpha1.ClusterImportPolicy {
	return &policyv1alpha1.ClusterImportPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: policyv1alpha1.ClusterImportPolicySpec{
			Source:       policyv1alpha1.SourceType{Group: name + ".example.io", Resource: "clusters"},
			NameTemplate: name + "-{{ .source.metadata.name }}",
			Conversion: policyv1alpha1.Conversion{
				Template:          "spec:\n  apiserver: \"{{ .source.spec.apiEndpoint }}\"\n",
				CreationCondition: "true",
			},
		},
	}
}

// compare fails unless every acknowledged write can be read, and returns how many
// can.
func (a *acknowledged) compare(policies []policyv1alpha1.ClusterImportPolicy) (int, error) {
	stored := map[string]written{}
	for _, policy := range policies {
		stored[policy.Name] = written{policy.UID, policy.Labels[editedLabel]}
	}
	var errs []error
	for name, want := range a.policies {
		if stored[name] != want {
			errs = append(errs, fmt.Errorf("policy %s is stored as %+v, acknowledged was %+v", name, stored[name], want))
		}
	}
	return len(a.policies), errors.Join(errs...)
}

// world is everything that changes while faults happen, and what it should come to.
type world struct {
	*host
	platforms []*platform
	expected  *expectedDeletions
	acked     *acknowledged
	watcher   *watcher
}

// newWorld makes that many clusters, some of them held by the brake, and keeps
// changing things until the test ends.
func newWorld(t *testing.T, h *host, clusters int) *world {
	t.Helper()
	return newWorldOf(t, h, clusters, asCustomResource, asCustomResource)
}

// newWorldOf does so with Source types that the host serves in these ways: that of
// the clusters which change, and that of those which the brake holds.
func newWorldOf(t *testing.T, h *host, clusters int, changing, held serveType) *world {
	t.Helper()
	const heldClusters = 20
	w := &world{host: h, expected: &expectedDeletions{names: map[string]bool{}},
		acked: &acknowledged{host: h, policies: map[string]written{}}, watcher: watchPediaClusters(t, h)}
	main, braked := newPlatform(t, h, "main", "100%", changing), newPlatform(t, h, "held", "10%", held)
	w.platforms = []*platform{main, braked}
	main.fill(t, clusters-heldClusters)
	braked.fill(t, heldClusters)
	w.check(t)

	// Half of them are deselected, which is too many: they stay through everything.
	for _, name := range braked.names()[:heldClusters/2] {
		must(t, braked.patchSource(t.Context(), name, fmt.Sprintf(`{"metadata":{"labels":{%q:"false"}}}`, selectedLabel)))
		braked.clusters[name].held = true
	}
	within(t, "the brake holds what was deselected", func(ctx context.Context) error {
		policy, err := h.policy.PolicyV1alpha1().ClusterImportPolicies().Get(ctx, braked.name, metav1.GetOptions{})
		if err == nil && !meta.IsStatusConditionTrue(policy.Status.Conditions, policyv1alpha1.PolicyPruneHeld) {
			err = fmt.Errorf("its conditions are %+v", policy.Status.Conditions)
		}
		return err
	})

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	keep := func(period time.Duration, change func(context.Context) error) {
		running.Go(func() {
			for ctx.Err() == nil {
				if err := change(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(period):
				}
			}
		})
	}
	keep(150*time.Millisecond, func(ctx context.Context) error { return main.change(ctx, w.expected) })
	keep(250*time.Millisecond, w.acked.write)
	t.Cleanup(func() {
		stop()
		running.Wait()
		report.mu.Lock()
		defer report.mu.Unlock()
		report.acked += w.acked.writes
		report.gone += len(w.watcher.seen())
	})
	return w
}

// check waits until everything is what it should be, with changes stopped
// meanwhile, and fails at once at a deletion that nobody asked for.
func (w *world) check(t *testing.T) {
	t.Helper()
	for _, p := range w.platforms {
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	w.acked.mu.Lock()
	defer w.acked.mu.Unlock()
	compared := 0
	within(t, "everything is what it should be", func(ctx context.Context) error {
		must(t, w.expected.compare(w.watcher.seen()))
		lifecycles, err := w.policy.PolicyV1alpha1().PediaClusterLifecycles().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var objects []*unstructured.Unstructured
		for _, object := range w.watcher.informer.GetStore().List() {
			objects = append(objects, object.(*unstructured.Unstructured))
		}
		if _, err := differences(objects, lifecycles.Items, w.platforms); err != nil {
			return err
		}
		// The same of what is read from the host now.
		list, err := w.objects.Resource(pediaClusters).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		objects = nil
		for i := range list.Items {
			objects = append(objects, &list.Items[i])
		}
		if compared, err = differences(objects, lifecycles.Items, w.platforms); err != nil {
			return err
		}
		policies, err := w.policy.PolicyV1alpha1().ClusterImportPolicies().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		read, err := w.acked.compare(policies.Items)
		if err != nil {
			t.Fatal(err)
		}
		compared += read
		return nil
	})
	report.mu.Lock()
	defer report.mu.Unlock()
	report.checks += compared
}

// recovers waits until a write through our API succeeds, and until a change that
// is made now is imported, and reports how long that was after the fault.
func (w *world) recovers(t *testing.T, fault string, since time.Time) {
	t.Helper()
	p := w.platforms[0]
	token := fmt.Sprintf("%s at %s", fault, since)
	r := recovery{fault: fault}
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("it took too long"))
	defer cancel()
	var both errgroup.Group
	both.Go(func() error {
		err := insist(ctx, func(ctx context.Context) error {
			return w.touch(ctx, fmt.Sprint(since.UnixNano()))
		})
		r.api = time.Since(since)
		return err
	})
	both.Go(func() error {
		if err := p.setToken(ctx, probeCluster, token); err != nil {
			return err
		}
		err := insist(ctx, func(ctx context.Context) error {
			object, err := p.objects.Resource(pediaClusters).Get(ctx, p.pediaCluster(probeCluster), metav1.GetOptions{})
			if err != nil {
				return err
			}
			if now, _, _ := unstructured.NestedString(object.Object, "spec", "tokenData"); now != encoded(token) {
				return errors.New("the token of the probe has not arrived")
			}
			return nil
		})
		r.imports = time.Since(since)
		return err
	})
	if err := both.Wait(); err != nil {
		t.Fatalf("after %s: %v", fault, err)
	}
	p.mu.Lock()
	p.clusters[probeCluster].token = token
	p.mu.Unlock()
	t.Logf("%s: API again after %.1fs, imports after %.1fs", fault, r.api.Seconds(), r.imports.Seconds())
	report.mu.Lock()
	defer report.mu.Unlock()
	report.faults = append(report.faults, r)
}

// touch makes one write through our API.
func (w *world) touch(ctx context.Context, value string) error {
	_, err := w.policy.PolicyV1alpha1().ClusterImportPolicies().Patch(ctx, w.platforms[0].name, types.MergePatchType,
		fmt.Appendf(nil, `{"metadata":{"labels":{"example.io/probe":%q}}}`, value), metav1.PatchOptions{})
	return err
}

// rotateAll gives every cluster of the main platform a new token, and calls
// amidst when about half of them have it.
func (w *world) rotateAll(t *testing.T, amidst func() error) {
	t.Helper()
	p := w.platforms[0]
	p.mu.Lock() // nothing else changes meanwhile
	defer p.mu.Unlock()
	names := p.names()
	half := make(chan struct{})
	var all errgroup.Group
	all.SetLimit(4)
	all.Go(func() error {
		<-half
		return amidst()
	})
	for i, name := range names {
		token := p.fresh("token ")
		p.clusters[name].token = token
		all.Go(func() error {
			if i == len(names)/2 {
				close(half)
			}
			return p.setToken(t.Context(), name, token)
		})
	}
	must(t, all.Wait())
}

// lifecycleVersions returns the resourceVersion of every lifecycle, by name.
func (w *world) lifecycleVersions(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	within(t, "lifecycles are listed", func(ctx context.Context) error {
		list, err := w.policy.PolicyV1alpha1().PediaClusterLifecycles().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, lifecycle := range list.Items {
			versions[lifecycle.Name] = lifecycle.ResourceVersion
		}
		return nil
	})
	return versions
}
