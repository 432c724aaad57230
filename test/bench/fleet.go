package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const (
	// workers is how many requests are under way at once in bulk work.
	workers = 32
	// namespace holds the Secrets of the clusters.
	namespace = "mcp-system"
	// pageSize is how many objects one LIST of the comparison reads.
	pageSize = 500

	// caBytes and tokenBytes are the sizes of a real authority and of the token
	// of a ServiceAccount.
	caBytes    = 1100
	tokenBytes = 900

	// editedSuffix is what an edit adds to every endpoint.
	editedSuffix = "/edited"
)

// cluster is what the platform says of one of its clusters.
type cluster struct {
	name              string // of its Source
	endpoint          string
	caData, tokenData string // as they are in the Secret
	rotations         int
}

func newCluster(name string) *cluster {
	c := &cluster{
		name:     name,
		endpoint: "https://" + name + ".example.com:6443",
		caData:   authority(name),
	}
	c.rotate()
	return c
}

// rotate gives the cluster another token.
func (c *cluster) rotate() {
	c.tokenData = data(fmt.Sprintf("token %d of %s", c.rotations, c.name), tokenBytes)
	c.rotations++
}

// authority is a certificate authority in base64: one that can be read, with
// text before it, so that it is as large as a real one and differs from all others.
func authority(name string) string {
	certificate := string(devcluster.Authority(name))
	before := text("authority of "+name, caBytes-len(certificate)-1)
	return base64.StdEncoding.EncodeToString([]byte(before + "\n" + certificate))
}

// data is a text that cannot be guessed at, always the same for a seed, in base64.
func data(seed string, bytes int) string {
	return base64.StdEncoding.EncodeToString([]byte(text(seed, bytes)))
}

func text(seed string, bytes int) string {
	random := make([]byte, bytes)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(random)
	return base64.RawURLEncoding.EncodeToString(random)[:bytes]
}

func (c *cluster) pediaCluster() string { return "mcp-" + c.name }

func (c *cluster) secret() string { return c.name + "-auth" }

// fleet is the clusters of the platform, and the policy that imports them.
type fleet struct {
	*host
	clusters map[string]*cluster // by the name of the PediaCluster
	// suffix is what the policy's template adds to the endpoint.
	suffix string
}

func names(prefix string, count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("%s%05d", prefix, i)
	}
	return names
}

// forEach works on all items with many workers.
func forEach[T any](ctx context.Context, items []T, work func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, item := range items {
		group.Go(func() error { return work(ctx, item) })
	}
	return group.Wait()
}

func (f *fleet) add(name string) *cluster {
	c := newCluster(name)
	f.clusters[c.pediaCluster()] = c
	return c
}

func (f *fleet) createNamespace(ctx context.Context, name string) error {
	return f.create(ctx, namespaces, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
	}})
}

func (f *fleet) createSecret(ctx context.Context, c *cluster) error {
	return f.create(ctx, secrets, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": c.secret(), "namespace": namespace},
		"data":     map[string]any{"ca": c.caData, "token": c.tokenData},
	}})
}

// createSource makes a Source that is ready to be imported.
func (f *fleet) createSource(ctx context.Context, c *cluster) error {
	return f.create(ctx, sources, source(c, "True"))
}

// createUnreadySource makes a Source for which creationCondition is not true.
func (f *fleet) createUnreadySource(ctx context.Context, c *cluster) error {
	return f.create(ctx, sources, source(c, "False"))
}

func source(c *cluster, ready string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": sources.GroupVersion().String(), "kind": "Cluster",
		"metadata": map[string]any{"name": c.name},
		"spec": map[string]any{
			"apiEndpoint":   c.endpoint,
			"authSecretRef": map[string]any{"namespace": namespace, "name": c.secret()},
		},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": ready}}},
	}}
}

func (f *fleet) deleteSource(ctx context.Context, c *cluster) error {
	return f.objects.Resource(sources).Delete(ctx, c.name, metav1.DeleteOptions{})
}

// heartbeat changes the status of a Source in what no template reads.
func (f *fleet) heartbeat(ctx context.Context, c *cluster, beat int) error {
	return f.patch(ctx, sources, "", c.name, map[string]any{"status": map[string]any{"conditions": []any{
		map[string]any{"type": "Ready", "status": "True", "message": fmt.Sprint("heartbeat ", beat)},
	}}})
}

// rotate writes the token that the cluster has now.
func (f *fleet) rotate(ctx context.Context, c *cluster) error {
	return f.patch(ctx, secrets, namespace, c.secret(), map[string]any{"data": map[string]any{"token": c.tokenData}})
}

// createPolicy creates the policy of the example.
func (f *fleet) createPolicy(ctx context.Context) error {
	policy, err := examplePolicy()
	if err != nil {
		return err
	}
	return f.create(ctx, policies, policy)
}

func examplePolicy() (*unstructured.Unstructured, error) {
	objects, err := devcluster.ReadManifest("test/mcp/policy.yaml")
	if err != nil {
		return nil, err
	}
	return &objects[0], nil
}

// editPolicy changes the endpoint of every PediaCluster.
func (f *fleet) editPolicy(ctx context.Context) error {
	policy, err := examplePolicy()
	if err != nil {
		return err
	}
	const endpoint = "{{ .source.spec.apiEndpoint }}"
	template, _, _ := unstructured.NestedString(policy.Object, "spec", "template")
	edited := strings.Replace(template, endpoint, endpoint+f.suffix, 1)
	if edited == template {
		return fmt.Errorf("the template of the example has no %s", endpoint)
	}
	return f.patch(ctx, policies, "", policy.GetName(), map[string]any{"spec": map[string]any{"template": edited}})
}

// setRollout sets spec.rollout of the policy, or removes it.
func (f *fleet) setRollout(ctx context.Context, rollout map[string]any) error {
	policy, err := examplePolicy()
	if err != nil {
		return err
	}
	var value any // a nil map is no null
	if rollout != nil {
		value = rollout
	}
	return f.patch(ctx, policies, "", policy.GetName(), map[string]any{"spec": map[string]any{"rollout": value}})
}

// bare is the PediaCluster as its import would make it. An annotation stands in
// for the owner reference: a bare one has no owner.
func (f *fleet) bare(c *cluster) *unstructured.Unstructured {
	const uid = "00000000-0000-0000-0000-000000000000"
	object := f.want(c, uid)
	object["apiVersion"], object["kind"] = pediaClusters.GroupVersion().String(), "PediaCluster"
	metadata := object["metadata"].(map[string]any)
	owner, _ := json.Marshal(metadata["ownerReferences"])
	delete(metadata, "ownerReferences")
	// Under the real name it would belong to the policy.
	metadata["annotations"] = map[string]any{"policy.example.com/bare-created-for": string(owner) + c.name}
	return &unstructured.Unstructured{Object: object}
}

func (f *fleet) createBare(ctx context.Context, c *cluster) error {
	return f.create(ctx, pediaClusters, f.bare(c))
}

// patchBare writes the six fields that an update of an import writes.
func (f *fleet) patchBare(ctx context.Context, c *cluster) error {
	return f.patch(ctx, pediaClusters, "", c.pediaCluster(), map[string]any{"spec": followed(c, editedSuffix)})
}

// followed is what an update of an import writes.
func followed(c *cluster, suffix string) map[string]any {
	return map[string]any{
		"apiserver": c.endpoint + suffix, "caData": c.caData, "tokenData": c.tokenData,
		"certData": nil, "keyData": nil, "kubeconfig": nil,
	}
}

func (f *fleet) deleteBare(ctx context.Context, c *cluster) error {
	return f.objects.Resource(pediaClusters).Delete(ctx, c.pediaCluster(), metav1.DeleteOptions{})
}

func (f *fleet) create(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	_, err := f.objects.Resource(resource).Namespace(object.GetNamespace()).Create(ctx, object, metav1.CreateOptions{})
	return err
}

func (f *fleet) patch(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, patch map[string]any) error {
	return mergePatch(ctx, f.objects.Resource(resource).Namespace(namespace), name, patch)
}

func mergePatch(ctx context.Context, client dynamic.ResourceInterface, name string, patch map[string]any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = client.Patch(ctx, name, types.MergePatchType, text, metav1.PatchOptions{})
	return err
}

// right tells whether an event shows a PediaCluster with the endpoint and the
// token that it should have. The comparison looks at the rest, when there is time.
func (f *fleet) right(kind watch.EventType, object *unstructured.Unstructured) bool {
	c := f.clusters[object.GetName()]
	if c == nil || kind == watch.Deleted {
		return false
	}
	spec, _ := object.Object["spec"].(map[string]any)
	return spec["apiserver"] == c.endpoint+f.suffix && spec["tokenData"] == c.tokenData
}

// want is the PediaCluster that there should be, as far as it is not the host's
// affair.
func (f *fleet) want(c *cluster, lifecycle types.UID) map[string]any {
	return map[string]any{
		"metadata": map[string]any{
			"name":        c.pediaCluster(),
			"annotations": map[string]any{policyv1alpha1.CreatedForAnnotation: "mcp/" + sources.GroupResource().String() + "//" + c.name},
			"ownerReferences": []any{map[string]any{
				"apiVersion": lifecycles.GroupVersion().String(), "kind": "PediaClusterLifecycle",
				"name": c.pediaCluster(), "uid": string(lifecycle),
			}},
		},
		"spec": map[string]any{
			"apiserver": c.endpoint + f.suffix,
			"caData":    c.caData,
			"tokenData": c.tokenData,
			"syncResources": []any{
				map[string]any{"group": "", "resources": []any{"pods"}},
				map[string]any{"group": "apps", "resources": []any{"*"}},
			},
		},
	}
}

// compare fails unless the PediaClusters and lifecycles of the host are those of
// the fleet, and every PediaCluster is in every field what it should be.
func (f *fleet) compare(ctx context.Context) error {
	uids := map[string]types.UID{}
	err := f.list(ctx, lifecycles, func(object *unstructured.Unstructured) { uids[object.GetName()] = object.GetUID() })
	if err != nil {
		return err
	}
	var errs []error
	for name := range uids {
		if f.clusters[name] == nil {
			errs = append(errs, fmt.Errorf("there is a lifecycle %s, and should not be", name))
		}
	}
	return f.compareAll(ctx, errs, func(object *unstructured.Unstructured) error {
		return f.compareOne(object, uids[object.GetName()])
	})
}

// compareBare fails unless the PediaClusters of the host are the bare ones of the
// fleet, in every field.
func (f *fleet) compareBare(ctx context.Context) error {
	return f.compareAll(ctx, nil, f.compareOneBare)
}

// compareAll compares every PediaCluster of the host and adds what differs to the
// errors that there are already.
func (f *fleet) compareAll(ctx context.Context, errs []error, compareOne func(*unstructured.Unstructured) error) error {
	found := map[string]bool{}
	err := f.list(ctx, pediaClusters, func(object *unstructured.Unstructured) {
		found[object.GetName()] = true
		if err := compareOne(object); err != nil {
			errs = append(errs, err)
		}
	})
	if err != nil {
		return err
	}
	for name := range f.clusters {
		if !found[name] {
			errs = append(errs, fmt.Errorf("there is no PediaCluster %s", name))
		}
	}
	if len(errs) > 5 {
		errs = append(errs[:5], fmt.Errorf("and %d more", len(errs)-5))
	}
	return errors.Join(errs...)
}

// compareOne fails unless the PediaCluster is what it should be, in every field.
func (f *fleet) compareOne(object *unstructured.Unstructured, lifecycle types.UID) error {
	name := object.GetName()
	c := f.clusters[name]
	if c == nil {
		return fmt.Errorf("there is a PediaCluster %s, and should not be", name)
	}
	if lifecycle == "" {
		return fmt.Errorf("there is no lifecycle %s", name)
	}
	return differs(f.want(c, lifecycle), object)
}

// compareOneBare fails unless the PediaCluster is the bare one of its cluster.
func (f *fleet) compareOneBare(object *unstructured.Unstructured) error {
	c := f.clusters[object.GetName()]
	if c == nil {
		return fmt.Errorf("there is a PediaCluster %s, and should not be", object.GetName())
	}
	return differs(withoutSystemFields(f.bare(c)), object)
}

func differs(want map[string]any, got *unstructured.Unstructured) error {
	name := got.GetName()
	if diff := cmp.Diff(want, withoutSystemFields(got)); diff != "" {
		return fmt.Errorf("PediaCluster %s (-want +got):\n%s", name, diff)
	}
	return nil
}

// withoutSystemFields is a PediaCluster without what the host adds to every object.
func withoutSystemFields(object *unstructured.Unstructured) map[string]any {
	metadata := object.Object["metadata"].(map[string]any)
	for _, field := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"} {
		delete(metadata, field)
	}
	delete(object.Object, "apiVersion")
	delete(object.Object, "kind")
	return object.Object
}

// bytesOf is how many bytes the objects of a resource are as JSON, which is how
// etcd holds them.
func (f *fleet) bytesOf(ctx context.Context, resource schema.GroupVersionResource) (bytes int, err error) {
	listed := f.list(ctx, resource, func(object *unstructured.Unstructured) {
		text, failed := object.MarshalJSON()
		bytes, err = bytes+len(text), errors.Join(err, failed)
	})
	return bytes, errors.Join(err, listed)
}

func (f *fleet) list(ctx context.Context, resource schema.GroupVersionResource, each func(*unstructured.Unstructured)) error {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := f.objects.Resource(resource).List(ctx, options)
		if err != nil {
			return err
		}
		for i := range page.Items {
			each(&page.Items[i])
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}
