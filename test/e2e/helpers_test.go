package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

var (
	secrets       = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	pediaClusters = schema.GroupVersionResource{Group: "cluster.clusterpedia.io", Version: "v1alpha2", Resource: "pediaclusters"}
)

// eventually waits until check returns nil. What it waits for reads as a sentence.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	within(t, patience, what, check)
}

func within(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(pause(time.Since(began))) {
		err := check()
		if err == nil {
			return
		}
		if t.Context().Err() != nil || time.Since(began) > limit {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
	}
}

// pause is how long to wait before a check that has failed for so long is made again: asking takes
// the processor from what is waited for.
func pause(failing time.Duration) time.Duration {
	return min(max(failing/10, 50*time.Millisecond), time.Second)
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gone turns the answer to a GET into an error as long as the object is there.
func gone(err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("it still exists")
}

// contains fails the test unless the text has every one of the parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

// column is what the first row of a table has in the column of that name.
func column(table, name string) string {
	header, rows, _ := strings.Cut(table, "\n")
	at := strings.Index(header, name)
	if row, _, _ := strings.Cut(rows, "\n"); at >= 0 && at < len(row) {
		if fields := strings.Fields(row[at:]); len(fields) > 0 {
			return fields[0]
		}
	}
	return ""
}

// kubectl runs kubectl, which must succeed, and returns what it prints.
func (h *host) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.Kubectl(t.Context(), nil, args...)
	must(t, err)
	return out
}

// apply applies the object with kubectl, which must succeed.
func (h *host) apply(t *testing.T, object any, flags ...string) string {
	t.Helper()
	out, err := h.tryApply(t, object, flags...)
	must(t, err)
	return out
}

func (h *host) tryApply(t *testing.T, object any, flags ...string) (string, error) {
	t.Helper()
	text, err := yaml.Marshal(object)
	must(t, err)
	return h.Kubectl(t.Context(), strings.NewReader(string(text)), append([]string{"apply", "-f", "-"}, flags...)...)
}

// platform is a multi-cloud platform like the one of the example, under a name
// of its own.
type platform struct {
	*host
	name      string // of the policy and the namespace, prefix of PediaClusters
	group     string
	resource  schema.GroupVersionResource
	manifests struct{ crd, role, policy unstructured.Unstructured }
}

// newPlatform prepares a platform without installing anything.
func (h *host) newPlatform(t *testing.T, name string) *platform {
	t.Helper()
	if !h.server.Running() {
		t.Fatal("the server has ended; its log is ", h.server.LogFile())
	}
	p := &platform{host: h, name: name, group: name + ".mcp.io"}
	p.resource = schema.GroupVersionResource{Group: p.group, Version: "v1alpha1", Resource: "clusters"}

	p.manifests.crd = example(t, "crd.yaml")
	p.manifests.crd.SetName("clusters." + p.group)
	set(t, p.manifests.crd, p.group, "spec", "group")

	p.manifests.role = example(t, "rbac.yaml")
	p.manifests.role.SetName("clusterpedia:policy-sources:" + name)
	set(t, p.manifests.role, []any{map[string]any{
		"apiGroups": []any{p.group},
		"resources": []any{"clusters"},
		"verbs":     []any{"get", "list", "watch"},
	}}, "rules")

	p.manifests.policy = example(t, "policy.yaml")
	p.manifests.policy.SetName(name)
	set(t, p.manifests.policy, p.group, "spec", "source", "group")
	set(t, p.manifests.policy, name+"-{{ .source.metadata.name }}", "spec", "nameTemplate")
	// Tests have few clusters and remove most of them; those of the brake say
	// how many may go.
	set(t, p.manifests.policy, "100%", "spec", "maxPrune")
	return p
}

// installPlatform installs a platform and its policy.
func (h *host) installPlatform(t *testing.T, name string) *platform {
	t.Helper()
	p := h.newPlatform(t, name)
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	return p
}

// installType installs the Source type, the right to read it and the namespace for Secrets.
func (p *platform) installType(t *testing.T) {
	t.Helper()
	p.kubectl(t, "create", "namespace", p.name)
	p.apply(t, p.manifests.role.Object)
	p.apply(t, p.manifests.crd.Object)
	must(t, p.WaitForTypes(t.Context(), p.manifests.crd.GetName()))
}

func example(t *testing.T, file string) unstructured.Unstructured {
	t.Helper()
	objects, err := devcluster.ReadManifest("../mcp/" + file)
	must(t, err)
	return objects[0]
}

func set(t *testing.T, object unstructured.Unstructured, value any, path ...string) {
	t.Helper()
	must(t, unstructured.SetNestedField(object.Object, value, path...))
}

// pediaClusterName is the name that the policy gives to what it makes of a cluster.
func (p *platform) pediaClusterName(cluster string) string { return p.name + "-" + cluster }

func endpoint(cluster string) string { return "https://" + cluster + ".example.com:6443" }

// createCluster makes the Secret and the object of a cluster.
func (p *platform) createCluster(ctx context.Context, name, token string, ready bool) error {
	secret, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: p.name, Name: name + "-auth"},
		Data:       map[string][]byte{"ca": devcluster.Authority(name), "token": []byte(token)},
	})
	if err != nil {
		return err
	}
	if _, err := p.objects.Resource(secrets).Namespace(p.name).
		Create(ctx, &unstructured.Unstructured{Object: secret}, metav1.CreateOptions{}); err != nil {
		return err
	}
	return p.createObject(ctx, name, ready)
}

// createObject makes the object of a cluster, without its Secret.
func (p *platform) createObject(ctx context.Context, name string, ready bool) error {
	cluster := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": p.resource.GroupVersion().String(),
		"kind":       "Cluster",
		"metadata":   map[string]any{"name": name},
		"spec": map[string]any{
			"apiEndpoint":   endpoint(name),
			"authSecretRef": map[string]any{"namespace": p.name, "name": name + "-auth"},
		},
		"status": map[string]any{"conditions": []any{
			map[string]any{"type": "Ready", "status": conditionStatus(ready)},
		}},
	}}
	_, err := p.objects.Resource(p.resource).Create(ctx, cluster, metav1.CreateOptions{})
	return err
}

func conditionStatus(value bool) string {
	if value {
		return string(metav1.ConditionTrue)
	}
	return string(metav1.ConditionFalse)
}

func (p *platform) setReady(t *testing.T, cluster string) {
	t.Helper()
	p.patch(t, p.objects.Resource(p.resource), cluster, `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
}

func (p *platform) setToken(t *testing.T, cluster, token string) {
	t.Helper()
	encoded := base64.StdEncoding.EncodeToString([]byte(token))
	p.patch(t, p.objects.Resource(secrets).Namespace(p.name), cluster+"-auth", `{"data":{"token":"`+encoded+`"}}`)
}

func (p *platform) deleteCluster(t *testing.T, name string) {
	t.Helper()
	must(t, p.objects.Resource(p.resource).Delete(t.Context(), name, metav1.DeleteOptions{}))
}

func (h *host) patch(t *testing.T, objects dynamic.ResourceInterface, name, patch string) {
	t.Helper()
	_, err := objects.Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(t, err)
}

// pediaCluster returns the PediaCluster of a cluster.
func (p *platform) pediaCluster(ctx context.Context, cluster string) (*unstructured.Unstructured, error) {
	return p.objects.Resource(pediaClusters).Get(ctx, p.pediaClusterName(cluster), metav1.GetOptions{})
}

func (p *platform) lifecycle(ctx context.Context, cluster string) (*policyv1alpha1.PediaClusterLifecycle, error) {
	return p.policy.PolicyV1alpha1().PediaClusterLifecycles().Get(ctx, p.pediaClusterName(cluster), metav1.GetOptions{})
}

// waitForToken waits until the PediaCluster of a cluster exists and has the
// token, and returns it. Whatever was due before it has happened by then.
func (p *platform) waitForToken(t *testing.T, cluster, token string) *unstructured.Unstructured {
	t.Helper()
	var found *unstructured.Unstructured
	eventually(t, "the PediaCluster of "+cluster+" has the token", func() (err error) {
		if found, err = p.pediaCluster(t.Context(), cluster); err != nil {
			return err
		}
		return same("tokenData", text(found, "spec", "tokenData"), base64.StdEncoding.EncodeToString([]byte(token)))
	})
	return found
}

// waitForCondition waits until the lifecycle of a cluster has the condition with that status.
func (p *platform) waitForCondition(t *testing.T, cluster, conditionType string, status metav1.ConditionStatus) {
	t.Helper()
	eventually(t, fmt.Sprintf("the lifecycle of %s is %s=%s", cluster, conditionType, status), func() error {
		lifecycle, err := p.lifecycle(t.Context(), cluster)
		if err != nil {
			return err
		}
		condition := meta.FindStatusCondition(lifecycle.Status.Conditions, conditionType)
		if condition == nil || condition.Status != status || condition.Message == "" {
			return fmt.Errorf("its conditions are %+v", lifecycle.Status.Conditions)
		}
		return nil
	})
}

// waitUntilGone waits until neither the lifecycle nor the PediaCluster of a cluster exists.
func (p *platform) waitUntilGone(t *testing.T, cluster string) {
	t.Helper()
	eventually(t, "the PediaCluster of "+cluster+" is gone", func() error {
		_, err := p.pediaCluster(t.Context(), cluster)
		return gone(err)
	})
	p.waitUntilReleased(t, cluster)
}

// waitUntilReleased waits until the lifecycle of a cluster is gone.
func (p *platform) waitUntilReleased(t *testing.T, cluster string) {
	t.Helper()
	eventually(t, "the lifecycle of "+cluster+" is gone", func() error {
		_, err := p.lifecycle(t.Context(), cluster)
		return gone(err)
	})
}

func text(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return value
}

func same(what, got, want string) error {
	if got != want {
		return fmt.Errorf("%s is %q, want %q", what, got, want)
	}
	return nil
}

// mentions is an error unless the text has every one of the parts.
func mentions(text string, parts ...string) error {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return fmt.Errorf("no %q in: %s", part, text)
		}
	}
	return nil
}
