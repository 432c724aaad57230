package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// token is the credential of the cluster, in base64: "the token of amsterdam".
const token = "dGhlIHRva2VuIG9mIGFtc3RlcmRhbQ=="

type object = map[string]any

// serveHost answers what the playground asks of a host with one Source and its Secret. That a
// real host answers so is tested in test/e2e.
func serveHost(t *testing.T) (kubeconfig string) {
	t.Helper()
	source := object{"apiVersion": "oak.example.com/v1", "kind": "Oak", "metadata": object{"name": "amsterdam"},
		"spec": object{"endpoint": "https://amsterdam.example.com:6443"}}
	verbs := []string{"get", "list", "watch"}
	answers := map[string]object{
		"/api":  {"kind": "APIVersions", "versions": []string{"v1"}},
		"/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []object{{"name": "oak.example.com", "versions": []object{{"groupVersion": "oak.example.com/v1", "version": "v1"}}}}},
		"/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []object{
			{"name": "secrets", "kind": "Secret", "namespaced": true, "verbs": verbs}}},
		"/apis/oak.example.com/v1": {"kind": "APIResourceList", "groupVersion": "oak.example.com/v1", "resources": []object{
			{"name": "oaks", "kind": "Oak", "namespaced": false, "verbs": verbs}}},
		"/apis/oak.example.com/v1/oaks": {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "items": []object{
			{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object{"name": "amsterdam"}}}},
		"/apis/oak.example.com/v1/oaks/amsterdam": source,
		"/api/v1/namespaces/oak/secrets/amsterdam": {"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": "amsterdam", "namespace": "oak"},
			"data": object{"token": token}},
	}
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("the playground does %s %s", r.Method, r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": http.StatusNotFound}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(host.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: harbour, context: {cluster: c}}]\ncurrent-context: harbour\n", host.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

const oak = `apiVersion: policy.clusterpedia.io/v1alpha1
kind: ClusterImportPolicy
metadata:
  name: oak
spec:
  source: {group: oak.example.com, resource: oaks}
  references:
  - {key: secret, group: "", resource: secrets, namespaceTemplate: oak, nameTemplate: "{{ .source.metadata.name }}"}
  nameTemplate: "oak-{{ .source.metadata.name }}"
  creationCondition: "true"
  template: |
    spec:
      apiserver: "{{ .source.spec.endpoint }}"
      tokenData: "{{ .references.secret.data.token }}"
      syncResources: []
`

func TestASourceOfTheClusterIsOpened(t *testing.T) {
	p := open(t, startPlayground(t, []string{"KUBECONFIG=" + serveHost(t), "KUBECACHEDIR=" + t.TempDir()}, "--live"))
	if got := p.text("#live"); !strings.Contains(got, "harbour") {
		t.Errorf("the cluster is not named: %s", got)
	}
	p.edit("policy")
	p.control("a")
	p.press(kb.Backspace)
	p.paste("policy", oak)
	p.do(chromedp.Click(chromedp.ID("list-sources")))
	p.waitFor(`document.querySelector("#source-name").textContent === "amsterdam"`)
	p.do(chromedp.Click(chromedp.ID("open-source")))
	p.waitFor(`document.querySelector("#summary").textContent === "PediaCluster oak-amsterdam would be created."`)

	masked := eval[string](p, `document.querySelector("#references").textContent.match(/token: (hmac-sha256:\w+\(22 bytes\))/)[1]`)
	if shown := p.editor("pediacluster"); !strings.Contains(shown, "tokenData: "+masked) {
		t.Errorf("the PediaCluster does not have the token of the Secret, %s:\n%s", masked, shown)
	}
	if page := eval[string](p, `document.documentElement.outerHTML`); strings.Contains(page, token) || strings.Contains(page, "the token of") {
		t.Error("a credential is on the page")
	}
	// An edit of the Source keeps the credential.
	p.edit("policy")
	p.control(kb.Home)
	p.press("#")
	p.waitForReady()
	p.waitFor(`document.querySelector("#summary").textContent === "PediaCluster oak-amsterdam would be created."`)
}
