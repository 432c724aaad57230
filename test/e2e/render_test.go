package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const renderPath = "/apis/policy.clusterpedia.io/v1alpha1/"

// render asks about the policy of the platform as the administrator.
func (p *platform) render(t *testing.T, spec policyv1alpha1.RenderReviewSpec) *policyv1alpha1.RenderReview {
	t.Helper()
	answer, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Render(t.Context(), p.name,
		&policyv1alpha1.RenderReview{Spec: spec}, metav1.CreateOptions{})
	must(t, err)
	return answer
}

// spec is the spec of the platform's policy, to be edited.
func (p *platform) spec(t *testing.T) *policyv1alpha1.ClusterImportPolicySpec {
	t.Helper()
	policy := &policyv1alpha1.ClusterImportPolicy{}
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(p.manifests.policy.Object, policy))
	return &policy.Spec
}

func source(name string) *policyv1alpha1.SourceName { return &policyv1alpha1.SourceName{Name: name} }

// outcomes tells each result in a line.
func outcomes(review *policyv1alpha1.RenderReview) (lines []string) {
	for _, result := range review.Status.Results {
		line := fmt.Sprintf("%s as %q: %s %s", result.Source.Name, result.Name, result.Action, result.Reason)
		if len(result.Changed) > 0 {
			line += " " + strings.Join(result.Changed, ",")
		}
		lines = append(lines, line)
	}
	return lines
}

func checkOutcomes(t *testing.T, review *policyv1alpha1.RenderReview, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, outcomes(review)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// renderedToken is the token in the PediaCluster of the only result.
func renderedToken(t *testing.T, review *policyv1alpha1.RenderReview) string {
	t.Helper()
	object := unstructured.Unstructured{}
	must(t, json.Unmarshal(review.Status.Results[0].PediaCluster.Raw, &object.Object))
	return text(&object, "spec", "tokenData")
}

func TestKubectlRendersAPolicyAndALifecycle(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "rendered")
	must(t, p.createCluster(t.Context(), "two", "secret", false))

	out, err := p.Kubectl(t.Context(), strings.NewReader(`{"apiVersion":"policy.clusterpedia.io/v1alpha1","kind":"RenderReview"}`),
		"create", "--raw", renderPath+"clusterimportpolicies/rendered/render", "-f", "-")
	must(t, err)
	answer := &policyv1alpha1.RenderReview{}
	must(t, json.Unmarshal([]byte(out), answer))
	checkOutcomes(t, answer,
		`one as "rendered-one": None PediaClusterCreated`,
		`two as "rendered-two": Wait WaitingForCondition`)
	if answer.Name != "rendered" || answer.CreationTimestamp.IsZero() || answer.ManagedFields != nil {
		t.Errorf("its metadata are %+v", answer.ObjectMeta)
	}

	p.setToken(t, "one", "rotated")
	eventually(t, "the lifecycle is up to date again", func() error {
		answer = &policyv1alpha1.RenderReview{}
		must(t, json.Unmarshal([]byte(p.kubectl(t, "get", "--raw", renderPath+"pediaclusterlifecycles/rendered-one/render")), answer))
		return same("the outcome", strings.Join(outcomes(answer), "\n"), `one as "rendered-one": None PediaClusterCreated`)
	})
	contains(t, p.kubectl(t, "get", "--raw", renderPath), `"clusterimportpolicies/render"`, `"pediaclusterlifecycles/render"`, `"RenderReview"`)
	contains(t, p.kubectl(t, "get", "--raw", "/openapi/v3/apis/policy.clusterpedia.io/v1alpha1"),
		renderPath+"clusterimportpolicies/{name}/render", renderPath+"pediaclusterlifecycles/{name}/render")
}

func TestRenderShowsWhatAnEditWouldDo(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "reworked")
	must(t, p.createCluster(t.Context(), "two", "secret", true))
	p.waitForCondition(t, "two", policyv1alpha1.LifecycleReady, metav1.ConditionTrue)

	edit := p.spec(t)
	certificate, key := devcluster.Client()
	edit.Template = strings.Replace(edit.Template, "apiserver:", "certData: "+base64.StdEncoding.EncodeToString(certificate)+
		"\n  keyData: "+base64.StdEncoding.EncodeToString(key)+"\n  apiserver:", 1)
	edit.Source.SelectorTemplate = `{{ ne .source.metadata.name "two" }}`
	answer := p.render(t, policyv1alpha1.RenderReviewSpec{Policy: edit})
	checkOutcomes(t, answer,
		`one as "reworked-one": Update PediaClusterCreated spec.certData,spec.keyData`,
		`two as "reworked-two": Delete SourceDeselected`)
	if diff := cmp.Diff(policyv1alpha1.RenderTotals{Sources: 2, Selected: 1, Actions: map[policyv1alpha1.RenderAction]int32{
		policyv1alpha1.RenderUpdate: 1, policyv1alpha1.RenderDelete: 1}}, answer.Status.Totals); diff != "" {
		t.Errorf("totals: -want +got:\n%s", diff)
	}

	renamed := p.spec(t)
	renamed.NameTemplate = "renamed-{{ .source.metadata.name }}"
	answer = p.render(t, policyv1alpha1.RenderReviewSpec{Policy: renamed, Source: source("one")})
	checkOutcomes(t, answer, `one as "renamed-one": Create PediaClusterCreated`)
	contains(t, answer.Status.Results[0].Message, `replaces PediaCluster "reworked-one"`)
}

func TestRenderNeedsNeitherAPolicyNorASource(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "unsaved") // Not even the type exists.
	answer := p.render(t, policyv1alpha1.RenderReviewSpec{
		Policy: p.spec(t),
		SourceObject: &runtime.RawExtension{Raw: []byte(`{"metadata":{"name":"dream"},
			"spec":{"apiEndpoint":"https://dream","authSecretRef":{"namespace":"a","name":"b"}},
			"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)},
		References: []policyv1alpha1.ReferenceObject{{Key: "authSecret",
			Object: runtime.RawExtension{Raw: []byte(`{"data":{"token":"c2VjcmV0","ca":"` +
				base64.StdEncoding.EncodeToString(devcluster.Authority("dream")) + `"}}`)}}},
	})
	checkOutcomes(t, answer, `dream as "unsaved-dream": Wait WaitingForType`)
	contains(t, answer.Status.Results[0].Message, "does not serve clusters.unsaved.mcp.io")

	p.installType(t)
	eventually(t, "the type is known", func() error {
		answer = p.render(t, answer.Spec)
		return same("the outcome", strings.Join(outcomes(answer), "\n"), `dream as "unsaved-dream": Create PediaClusterCreated`)
	})

	broken := p.spec(t)
	broken.CreationCondition = "{{ nonsense }}"
	broken.References[0].Key = ""
	_, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Render(t.Context(), p.name,
		&policyv1alpha1.RenderReview{Spec: policyv1alpha1.RenderReviewSpec{Policy: broken}}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		t.Fatalf("got %v", err)
	}
	contains(t, err.Error(), "spec.policy.creationCondition", "nonsense", "spec.policy.references[0].key")
}

func TestRenderComesInPages(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "paged")
	p.installType(t)
	for i := range 7 {
		must(t, p.createCluster(t.Context(), fmt.Sprintf("c%d", i), "secret", i%2 == 0))
	}
	var sources, selected, created, waiting int32
	spec := policyv1alpha1.RenderReviewSpec{Policy: p.spec(t), Limit: 3}
	for pages := 1; ; pages++ {
		answer := p.render(t, spec)
		totals := answer.Status.Totals
		if totals.Sources > 3 || int(totals.Sources) != len(answer.Status.Results) {
			t.Errorf("page %d: %+v", pages, totals)
		}
		sources, selected = sources+totals.Sources, selected+totals.Selected
		created += totals.Actions[policyv1alpha1.RenderCreate]
		waiting += totals.Actions[policyv1alpha1.RenderWait]
		if spec.Continue = answer.Status.Continue; spec.Continue == "" {
			must(t, same("the number of pages", fmt.Sprint(pages), "3"))
			break
		}
	}
	must(t, same("the sums", fmt.Sprint(sources, selected, created, waiting), "7 7 4 3"))
}

func TestRenderShowsCredentialsOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "shown")
	digest := renderedToken(t, p.render(t, policyv1alpha1.RenderReviewSpec{Source: source("one")}))
	if !strings.HasPrefix(digest, "hmac-sha256:") || !strings.HasSuffix(digest, "(6 bytes)") {
		t.Errorf("its digest is %q", digest)
	}
	must(t, same("the token", renderedToken(t, p.render(t,
		policyv1alpha1.RenderReviewSpec{Source: source("one"), IncludeCredentials: true})), "c2VjcmV0"))
}

func TestWhoMayOnlyRenderLearnsNothing(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "curious")
	p.apply(t, map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "only-render"},
		"rules": []any{map[string]any{"apiGroups": []any{"policy.clusterpedia.io"}, "resources": []any{"clusterimportpolicies/render"}, "verbs": []any{"create"}}},
	})
	p.kubectl(t, "create", "clusterrolebinding", "only-render", "--clusterrole=only-render", "--user=mallory")
	config := p.Config()
	config.Impersonate.UserName = "mallory"
	client, err := policyclient.NewForConfig(config)
	must(t, err)
	// ask returns everything of the answer that could tell something.
	ask := func(spec policyv1alpha1.RenderReviewSpec) string {
		t.Helper()
		answer, err := client.PolicyV1alpha1().ClusterImportPolicies().Render(t.Context(), p.name,
			&policyv1alpha1.RenderReview{Spec: spec}, metav1.CreateOptions{})
		must(t, err)
		text, err := json.Marshal(answer.Status)
		must(t, err)
		return string(text)
	}
	// What mallory makes up points at a Secret, and at names, of her choice.
	made := func(secret string) policyv1alpha1.RenderReviewSpec {
		return policyv1alpha1.RenderReviewSpec{IncludeCredentials: true, SourceObject: &runtime.RawExtension{Raw: []byte(
			`{"metadata":{"name":"one"},"spec":{"apiEndpoint":"https://x","authSecretRef":{"namespace":"curious","name":"` + secret + `"}}}`)}}
	}

	_, err = client.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
	if !apierrors.IsForbidden(err) {
		t.Fatalf("mallory may do more than render: %v", err)
	}
	exists, absent := ask(made("one-auth")), ask(made("two-auth"))
	must(t, same("the answer about a Secret that exists", strings.ReplaceAll(exists, "one-auth", "two-auth"), absent))
	contains(t, absent, `"found":false`, "or you may not read it")

	exists, absent = ask(policyv1alpha1.RenderReviewSpec{Source: source("one")}), ask(policyv1alpha1.RenderReviewSpec{Source: source("two")})
	must(t, same("the answer about a Source that exists", strings.ReplaceAll(exists, "one", "two"), absent))

	_, err = client.PolicyV1alpha1().ClusterImportPolicies().Render(t.Context(), p.name, &policyv1alpha1.RenderReview{}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("all Sources: %v", err)
	}
	_, err = client.PolicyV1alpha1().PediaClusterLifecycles().Render(t.Context(), "curious-one", &policyv1alpha1.RenderReview{}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("a lifecycle: %v", err)
	}

	// With the right to one Secret, mallory sees that one.
	p.kubectl(t, "create", "role", "one-secret", "-n", "curious", "--verb=get", "--resource=secrets", "--resource-name=one-auth")
	p.kubectl(t, "create", "rolebinding", "one-secret", "-n", "curious", "--role=one-secret", "--user=mallory")
	eventually(t, "the permission is seen", func() error {
		if answer := ask(made("one-auth")); !strings.Contains(answer, `"found":true`) {
			return fmt.Errorf("%s", answer)
		}
		return nil
	})
	contains(t, ask(made("two-auth")), `"found":false`)
}

func TestWarningsForAuthors(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "warned")
	apply := func() string {
		t.Helper()
		object, err := json.Marshal(p.manifests.policy.Object)
		must(t, err)
		cmd := shared.KubectlCommand(t.Context(), "apply", "--dry-run=server", "-f", "-")
		cmd.Stdin = strings.NewReader(string(object))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	contains(t, apply(), "Warning: spec.source: the host does not serve clusters.warned.mcp.io", "fields of the Source choose the namespace")

	p.installType(t)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	set(t, p.manifests.policy, "false", "spec", "source", "selectorTemplate")
	eventually(t, "the selector is warned of", func() error {
		if out := apply(); !strings.Contains(out, "the selectors select none of the 1 clusters.warned.mcp.io") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
}

// recorder passes requests on to the host and keeps what they were.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
}

func newRecorder(t *testing.T, host *rest.Config) *recorder {
	t.Helper()
	transport, err := rest.TransportFor(host)
	must(t, err)
	target, err := url.Parse(host.Host)
	must(t, err)
	r := &recorder{}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(request *httputil.ProxyRequest) { request.SetURL(target) },
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, request.Method+" "+request.URL.Path)
		r.mu.Unlock()
		proxy.ServeHTTP(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) writes() (writes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, request := range r.requests {
		reads := strings.HasPrefix(request, "GET ")
		review := strings.HasPrefix(request, "POST /apis/authorization.k8s.io/") || strings.HasPrefix(request, "POST /apis/authentication.k8s.io/")
		if !reads && !review {
			writes = append(writes, request)
		}
	}
	return writes
}

func (r *recorder) has(request string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.requests, request)
}

func TestRenderWritesNothing(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "readonly")
	p.installType(t)
	must(t, p.createCluster(t.Context(), "one", "secret", true))

	record := newRecorder(t, p.Config())
	p.kubectl(t, "create", "clusterrolebinding", "jane", "--clusterrole=cluster-admin", "--user=jane")
	client, err := policyclient.NewForConfig(startServerWithoutControllers(t, record.URL, "jane"))
	must(t, err)
	policy := &policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: p.name}, Spec: *p.spec(t)}
	_, err = client.PolicyV1alpha1().ClusterImportPolicies().Create(t.Context(), policy, metav1.CreateOptions{})
	must(t, err)
	for _, spec := range []policyv1alpha1.RenderReviewSpec{
		{}, {Source: source("one")}, {Source: source("two")}, {Policy: p.spec(t), IncludeCredentials: true},
	} {
		_, err := client.PolicyV1alpha1().ClusterImportPolicies().Render(t.Context(), p.name,
			&policyv1alpha1.RenderReview{Spec: spec}, metav1.CreateOptions{})
		must(t, err)
	}
	for _, request := range []string{
		"GET /apis/readonly.mcp.io/v1alpha1/clusters", "GET /apis/readonly.mcp.io/v1alpha1/clusters/one",
		"POST /apis/authorization.k8s.io/v1/subjectaccessreviews", "GET /api/v1/namespaces/readonly/secrets/one-auth", "GET /apis/cluster.clusterpedia.io/v1alpha2/pediaclusters/readonly-one",
	} {
		if !record.has(request) {
			t.Errorf("%s was not seen: requests go past the recorder", request)
		}
	}
	if writes := record.writes(); len(writes) > 0 {
		t.Errorf("it wrote:\n%s", strings.Join(writes, "\n"))
	}
}

func writeKubeconfig(t *testing.T, server string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(file, []byte(`apiVersion: v1
kind: Config
clusters: [{name: host, cluster: {server: "`+server+`"}}]
contexts: [{name: host, context: {cluster: host}}]
current-context: host
`), 0o600))
	return file
}
