package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

// secretPolicy imports the Secrets of default that carry the label case with the
// name of the policy. Its PediaClusters are named <policy>-<secret>.
func secretPolicy(name, template string) map[string]any {
	return map[string]any{
		"apiVersion": policyv1alpha1.SchemeGroupVersion.String(), "kind": "ClusterImportPolicy",
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"source": map[string]any{"group": "", "resource": "secrets", "selectorTemplate": "true",
				"labelSelector": map[string]any{"matchLabels": map[string]any{"case": name}}},
			"nameTemplate": name + "-{{ .source.metadata.name }}", "template": template, "creationCondition": "true", "maxPrune": "100%",
		},
	}
}

// applySecretPolicy applies such a policy, and removes it and its Secrets after the test.
func (h *host) applySecretPolicy(t *testing.T, name, template string) {
	t.Helper()
	h.apply(t, secretPolicy(name, template))
	t.Cleanup(func() {
		for _, what := range [][]string{{"clusterimportpolicy", name, "--timeout=60s"}, {"secrets", "-n", "default", "-l", "case=" + name}} {
			// The test's own context has ended.
			if _, err := h.Kubectl(context.Background(), nil, append([]string{"delete", "--ignore-not-found"}, what...)...); err != nil {
				t.Error(err)
			}
		}
	})
}

func (h *host) pediaClusterNamed(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	object, err := h.objects.Resource(pediaClusters).Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	return object
}

// waitsFor waits until the lifecycle says the reason, and its message has the parts.
func (h *host) waitsFor(t *testing.T, lifecycle, phase, reason string, parts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is %s, %s", lifecycle, phase, reason), func() error {
		found, err := h.policy.PolicyV1alpha1().PediaClusterLifecycles().Get(t.Context(), lifecycle, metav1.GetOptions{})
		if err != nil {
			return err
		}
		ready := meta.FindStatusCondition(found.Status.Conditions, policyv1alpha1.LifecycleReady)
		if ready == nil {
			return errors.New("it says nothing")
		}
		if len(ready.Message) > 1024 {
			t.Errorf("the message has %d bytes", len(ready.Message))
		}
		return errors.Join(same("phase", string(found.Status.Phase), phase), same("reason", ready.Reason, reason), mentions(ready.Message, parts...))
	})
}

// hasCredentials waits until the spec of a PediaCluster has these followed fields
// and no others.
func (h *host) hasCredentials(t *testing.T, name string, want map[string][]byte) {
	t.Helper()
	eventually(t, name+" has the credentials", func() error {
		object, err := h.objects.Resource(pediaClusters).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		var errs []error
		for _, field := range []string{"kubeconfig", "caData", "tokenData", "certData", "keyData"} {
			errs = append(errs, same(field, text(object, "spec", field), base64.StdEncoding.EncodeToString(want[field])))
		}
		return errors.Join(errs...)
	})
}

func TestRule15ACredentialThatVanishesFromItsSecretIsKept(t *testing.T) {
	const name = "vanishing"
	shared.applySecretPolicy(t, name, `
spec:
  apiserver: "{{ b64dec .source.data.endpoint }}"
  tokenData: {{ .source.data.token }}
  caData: "{{ .source.data.ca }}"
  syncResources: []
`)
	label := map[string]string{"case": name}
	authority := devcluster.Authority("one")
	shared.createSecret(t, "default", "one", label, map[string][]byte{"endpoint": []byte(endpoint("one")), "token": []byte("first"), "ca": authority})
	shared.hasCredentials(t, "vanishing-one", map[string][]byte{"tokenData": []byte("first"), "caData": authority})
	before := shared.pediaClusterNamed(t, "vanishing-one")
	unchanged := func(what string) {
		t.Helper()
		if now := shared.pediaClusterNamed(t, "vanishing-one"); now.GetResourceVersion() != before.GetResourceVersion() {
			t.Errorf("%s: the PediaCluster was written (-before +after):\n%s", what, cmp.Diff(before.Object["spec"], now.Object["spec"]))
		}
	}

	// The authority goes, and with the same write endpoint and token change.
	shared.setSecret(t, "default", "one", map[string][]byte{"ca": nil, "token": []byte("second"), "endpoint": []byte("https://moved.example.com")})
	const missing = "endpoint and credentials stay as they are while spec.caData is missing"
	shared.waitsFor(t, "vanishing-one", "Waiting", policyv1alpha1.ReasonCredentialsMissing, missing,
		"spec.template: line 5, column 15: .source.data.ca", `no "ca" in .source.data; it has: endpoint, token`)
	unchanged("the authority is gone")
	contains(t, shared.kubectl(t, "get", "pcl", "vanishing-one", "-o", "wide"), "Waiting", "CredentialsMissing", "spec.caData")

	// A preview, a preview of an edit and an explanation say the same, without a cluster too.
	out, _ := plugin(t, 0, "render", name, "--source", "default/one")
	contains(t, out, "Wait (CredentialsMissing)", missing)
	edit := writeYAML(t, secretPolicy(name, "spec: {apiserver: https://edited, tokenData: {{ .source.data.token }}, caData: {{ .source.data.ca }}, syncResources: []}"))
	out, _ = plugin(t, 0, "diff", "-f", edit)
	contains(t, out, "0 to create, 0 to update, 0 to delete; 0 unchanged, 1 waiting")
	out, _ = plugin(t, 0, "explain", "vanishing-one")
	contains(t, out, missing)
	secret, err := shared.objects.Resource(secrets).Namespace("default").Get(t.Context(), "one", metav1.GetOptions{})
	must(t, err)
	out, _ = plugin(t, 0, "render", "-f", edit, "--source", writeYAML(t, secret.Object), "--current", writeYAML(t, before.Object))
	contains(t, out, "Wait (CredentialsMissing)", missing)

	// It comes back, and everything follows.
	shared.setSecret(t, "default", "one", map[string][]byte{"ca": authority})
	shared.hasCredentials(t, "vanishing-one", map[string][]byte{"tokenData": []byte("second"), "caData": authority})
	must(t, same("apiserver", text(shared.pediaClusterNamed(t, "vanishing-one"), "spec", "apiserver"), "https://moved.example.com"))

	// The token moves to another key, or is empty.
	shared.waitForReady(t, "vanishing-one", policyv1alpha1.ReasonCreated)
	before = shared.pediaClusterNamed(t, "vanishing-one")
	shared.setSecret(t, "default", "one", map[string][]byte{"token": nil, "bearer": []byte("third")})
	shared.waitsFor(t, "vanishing-one", "Waiting", policyv1alpha1.ReasonCredentialsMissing, "spec.tokenData is missing", `no "token" in .source.data; it has: bearer, ca, endpoint`)
	unchanged("the token has moved")
	shared.setSecret(t, "default", "one", map[string][]byte{"token": {}})
	shared.waitsFor(t, "vanishing-one", "Waiting", policyv1alpha1.ReasonCredentialsMissing, `"token" in .source.data is empty`)
	unchanged("the token is empty")

	// Nothing is created with one missing.
	shared.createSecret(t, "default", "two", label, map[string][]byte{"endpoint": []byte(endpoint("two")), "ca": authority})
	shared.waitsFor(t, "vanishing-two", "Waiting", policyv1alpha1.ReasonCredentialsMissing, "not created while spec.tokenData is missing")
	if _, err := shared.objects.Resource(pediaClusters).Get(t.Context(), "vanishing-two", metav1.GetOptions{}); gone(err) != nil {
		t.Errorf("it has a PediaCluster: %v", err)
	}
	shared.setSecret(t, "default", "two", map[string][]byte{"token": []byte("late")})
	shared.hasCredentials(t, "vanishing-two", map[string][]byte{"tokenData": []byte("late"), "caData": authority})

	// What the template says is optional, or leaves out, is removed.
	shared.apply(t, secretPolicy(name, `
spec:
  apiserver: "{{ b64dec .source.data.endpoint }}"
  {{- with .source.data.token }}
  tokenData: {{ . }}
  {{- end }}
  caData: ""
  syncResources: []
`))
	shared.hasCredentials(t, "vanishing-one", nil)
	shared.hasCredentials(t, "vanishing-two", map[string][]byte{"tokenData": []byte("late")})
	shared.waitForReady(t, "vanishing-one", policyv1alpha1.ReasonCreated)
}

// writeYAML writes an object to a file.
func writeYAML(t *testing.T, object any) string {
	t.Helper()
	out, err := yaml.Marshal(object)
	must(t, err)
	file := filepath.Join(t.TempDir(), "object.yaml")
	must(t, os.WriteFile(file, out, 0o600))
	return file
}

func TestRule15CredentialsThatCannotBeLoadedAreNotWritten(t *testing.T) {
	// The authority of the Secret is base64 of PEM that only begins, and encoded once more.
	shared.applySecretPolicy(t, "not-pem", `
spec:
  apiserver: https://a.example.com
  caData: {{ b64enc .source.data.ca }}
  syncResources: []
`)
	shared.createSecret(t, "default", "not-pem", map[string]string{"case": "not-pem"}, map[string][]byte{"ca": []byte("-----BEGIN CERTIFICATE----")})
	shared.waitsFor(t, "not-pem-not-pem", "Failed", policyv1alpha1.ReasonInvalidPediaCluster, "spec.caData: it is base64 of base64")
	if _, err := shared.objects.Resource(pediaClusters).Get(t.Context(), "not-pem-not-pem", metav1.GetOptions{}); gone(err) != nil {
		t.Errorf("it has a PediaCluster: %v", err)
	}

	// Of a PediaCluster that exists the last good ones stay.
	shared.applySecretPolicy(t, "loadable", `
spec:
  apiserver: https://a.example.com
  {{- range $field, $key := dict "caData" "ca" "certData" "cert" "keyData" "key" "kubeconfig" "kubeconfig" }}
  {{- with get $.source.data $key }}
  {{ $field }}: {{ . }}
  {{- end }}
  {{- end }}
  syncResources: []
`)
	authority := devcluster.Authority("one")
	certificate, key := issue(t, nil, nil, "admin", oneDay)
	renewed, renewedKey := issue(t, nil, nil, "admin", oneDay)
	kubeconfig := func(user string) []byte {
		return edited(t, madeUpKubeconfig("one"), "token: the token of one", user)
	}
	encoded := base64.StdEncoding.EncodeToString
	good := map[string][]byte{"ca": authority, "cert": certificate, "key": key, "kubeconfig": kubeconfig("token: t")}
	want := map[string][]byte{"caData": authority, "certData": certificate, "keyData": key, "kubeconfig": good["kubeconfig"]}
	shared.createSecret(t, "default", "one", map[string]string{"case": "loadable"}, good)
	shared.hasCredentials(t, "loadable-one", want)
	before := shared.pediaClusterNamed(t, "loadable-one").GetResourceVersion()
	for _, test := range []struct {
		name    string
		data    map[string][]byte
		message string
	}{
		{"a CA that is no PEM", map[string][]byte{"ca": []byte("the authority")}, "spec.caData: it is not PEM"},
		{"a certificate of another key", map[string][]byte{"cert": renewed}, "spec.keyData: the private key belongs to another certificate"},
		{"a certificate without its key", map[string][]byte{"key": nil}, "spec.certData: there is no spec.keyData for it"},
		{"a key in base64", map[string][]byte{"key": []byte(encoded(key))}, "spec.keyData: it is base64 of base64"},
		{"an empty certificate beside a key in a kubeconfig", map[string][]byte{"kubeconfig": kubeconfig(`client-certificate-data: ""` +
			"\n    client-key-data: " + encoded(key))}, `user "admin" has a client-key without a client-certificate`},
		{"a pair that does not fit in a kubeconfig", map[string][]byte{"kubeconfig": kubeconfig("client-certificate-data: " + encoded(certificate) +
			"\n    client-key-data: " + encoded(renewedKey))}, `user "admin": client-key-data: the private key belongs to another certificate`},
		{"a kubeconfig that clientcmd refuses", map[string][]byte{"kubeconfig": kubeconfig("token: t\n    password: p")}, `user "admin" has both a token and a username or password`},
		{"a kubeconfig in base64", map[string][]byte{"kubeconfig": []byte(encoded(kubeconfig("token: t")))}, "spec.kubeconfig cannot be used: it is base64 of base64"},
	} {
		shared.setSecret(t, "default", "one", test.data)
		shared.waitsFor(t, "loadable-one", "Failed", policyv1alpha1.ReasonInvalidPediaCluster, test.message)
		if now := shared.pediaClusterNamed(t, "loadable-one").GetResourceVersion(); now != before {
			t.Errorf("%s: the PediaCluster was written", test.name)
		}
		shared.setSecret(t, "default", "one", good)
		shared.waitForReady(t, "loadable-one", policyv1alpha1.ReasonCreated)
	}
	shared.setSecret(t, "default", "one", map[string][]byte{"cert": renewed, "key": renewedKey})
	want["certData"], want["keyData"] = renewed, renewedKey
	shared.hasCredentials(t, "loadable-one", want)
}

func TestRule15AUserPartInAnAddressIsShownNowhere(t *testing.T) {
	const name, template = "userpart", `
metadata:
  annotations: {endpoint: "{{ .source.metadata.annotations.server }}"}
spec:
  apiserver: "{{ .source.metadata.annotations.server }}"
  kubeconfig: {{ .source.data.kubeconfig }}
  syncResources: []
`
	since := metav1.Now()
	shared.applySecretPolicy(t, name, template)
	secret := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": "one", "namespace": "default", "labels": map[string]any{"case": name},
			"annotations": map[string]any{"server": "https://someuser:hunter2@one.example.com:6443"}},
		"data": map[string]any{"kubeconfig": base64.StdEncoding.EncodeToString(
			edited(t, madeUpKubeconfig("one"), "https://one", "https://someuser:hunter2@one"))},
	}}
	_, err := shared.objects.Resource(secrets).Namespace("default").Create(t.Context(), secret, metav1.CreateOptions{})
	must(t, err)
	shared.waitForReady(t, "userpart-one", policyv1alpha1.ReasonCreated)
	must(t, same("apiserver", text(shared.pediaClusterNamed(t, "userpart-one"), "spec", "apiserver"), "https://someuser:hunter2@one.example.com:6443"))
	shown := func(what, out string) {
		t.Helper()
		contains(t, out, "one.example.com:6443")
		hides(t, out, "hunter2", "someuser")
		if t.Failed() {
			t.Fatal(what)
		}
	}
	everything := func() {
		t.Helper()
		shown("the lifecycle", shared.kubectl(t, "get", "pcl", "userpart-one", "-o", "yaml"))
		shown("the table", shared.kubectl(t, "get", "pcl", "userpart-one", "-o", "wide"))
		shown("describe", shared.kubectl(t, "describe", "pcl", "userpart-one"))
		out, _ := plugin(t, 0, "explain", "userpart-one")
		hides(t, out, "hunter2", "someuser")
		out, _ = plugin(t, 0, "render", name, "--source", "default/one", "-o", "yaml")
		shown("a preview", out)
		out, _ = plugin(t, 0, "render", "-f", writeYAML(t, secretPolicy(name, template)), "--source", writeYAML(t, secret.Object))
		shown("a preview without a cluster", out)
		hides(t, shared.kubectl(t, "get", "events", "-n", "default", "-o", "yaml"), "hunter2", "someuser")
	}
	everything()

	// Clusterpedia writes the address that it has used into the status.
	shared.kubectl(t, "patch", "pediacluster", "userpart-one", "--subresource=status", "--type=merge",
		"-p", `{"status":{"apiserver":"https://someuser:hunter2@one.example.com:6443","version":"v1.36.3","conditions":[]}}`)
	eventually(t, "the lifecycle has the version", func() error {
		lifecycle, err := shared.policy.PolicyV1alpha1().PediaClusterLifecycles().Get(t.Context(), "userpart-one", metav1.GetOptions{})
		if err != nil {
			return err
		}
		return errors.Join(same("version", lifecycle.Status.Cluster.Version, "v1.36.3"),
			same("address", lifecycle.Status.Cluster.APIServer, "https://one.example.com:6443"))
	})
	everything()

	// Nor do an edit, what would go, and the log of the server show it.
	out, _ := plugin(t, 1, "diff", "-f", writeYAML(t, secretPolicy(name, strings.Replace(template, `apiserver: "{{ .source.metadata.annotations.server }}"`,
		"apiserver: https://someuser:hunter3@one.example.com:6443", 1))))
	shown("a diff", out)
	contains(t, out, "-  apiserver: https://one.example.com:6443 (before)", "+  apiserver: https://one.example.com:6443 (after)")
	hides(t, out, "hunter3")
	removed := secretPolicy(name, template)
	removed["spec"].(map[string]any)["source"].(map[string]any)["selectorTemplate"] = "false"
	out, _ = plugin(t, 1, "diff", "-f", writeYAML(t, removed))
	shown("a diff of a removal", out)
	log, err := os.ReadFile(shared.server.LogFile())
	must(t, err)
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "hunter2") {
			t.Errorf("since %s the log says %s", since, line)
		}
	}
}

func TestALabelWithoutAValueIsALabel(t *testing.T) {
	const name = "emptylabel"
	shared.applySecretPolicy(t, name, `
metadata:
  labels:
    {{- range $k, $v := .source.metadata.labels }}
    {{ quote $k }}: {{ $v }}
    {{- end }}
  annotations:
    note: {{ .source.metadata.annotations.note }}
    none: {{ .source.metadata.annotations.none }}
spec: {apiserver: https://a.example.com, syncResources: []}
`)
	_, err := shared.objects.Resource(secrets).Namespace("default").Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "one", "namespace": "default",
			"labels": map[string]any{"case": name, "v": ""}, "annotations": map[string]any{"note": ""}},
	}}, metav1.CreateOptions{})
	must(t, err)
	shared.waitForReady(t, "emptylabel-one", policyv1alpha1.ReasonCreated)
	object := shared.pediaClusterNamed(t, "emptylabel-one")
	if diff := cmp.Diff(map[string]string{"case": name, "v": ""}, object.GetLabels()); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	want := map[string]string{"note": "", policyv1alpha1.CreatedForAnnotation: "emptylabel/secrets/default/one"}
	if diff := cmp.Diff(want, object.GetAnnotations()); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestBothKindsOfCredentialsWithoutAConditionAreWarnedOf(t *testing.T) {
	const warning = "Warning: spec.template: tokenData and certData are written for every Source"
	both := secretPolicy("both-kinds", "spec: {apiserver: https://a, tokenData: {{ .source.data.token }}, certData: {{ .source.data.cert }}, keyData: {{ .source.data.key }}}")
	out, err := yaml.Marshal(both)
	must(t, err)
	command := shared.KubectlCommand(t.Context(), "apply", "--dry-run=server", "-f", "-")
	command.Stdin = strings.NewReader(string(out))
	answer, err := command.CombinedOutput()
	must(t, err)
	contains(t, string(answer), warning, "{{ with .source.data.token }}")
	out2, errOut := plugin(t, 0, "lint", "-f", writeYAML(t, both))
	contains(t, out2+errOut, "tokenData and certData are written for every Source")
}
