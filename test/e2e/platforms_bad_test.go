package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

// badSource is a Source that cannot be imported as it should.
type badSource struct {
	// lifecycle that tells it, its reason, and a part of its message.
	lifecycle, reason, message string
}

// TestBadSourcesSaySoAndTheOthersGoOn has a good cluster of each platform amid
// everything that can be wrong with one.
func TestBadSourcesSaySoAndTheOthersGoOn(t *testing.T) {
	const (
		capi, karmada, vcluster, anySecret = "bad-capi", "bad-karmada", "bad-vcluster", "bad-kubeconfig"
		vela                               = "vela-system"
	)
	h := ownHost(t)
	for _, name := range []string{capi, karmada, vcluster, anySecret, vela} {
		h.kubectl(t, "create", "namespace", name)
	}
	h.installClusterAPI(t)
	h.installLaxKarmada(t)
	apply := []string{"apply"}
	for _, name := range platformNames {
		apply = append(apply, "-f", platformsDir+"/"+name)
	}
	h.kubectl(t, apply...)

	var bad []badSource
	expect := func(lifecycle, reason, message string) { bad = append(bad, badSource{lifecycle, reason, message}) }
	failures := map[string]string{} // by policy, the name of a Source without a lifecycle
	var good []string

	// The kubeconfigs that the two policies with kubeconfigs refuse.
	kubeconfigs := map[string]struct {
		text            []byte
		reason, message string
	}{
		"no-yaml":        {[]byte("\tclusters: ["), policyv1alpha1.ReasonTemplateFailed, "the text is not YAML"},
		"binary":         {bytes.Repeat([]byte{0xff, 0, 0x80}, 100), policyv1alpha1.ReasonTemplateFailed, "the text is not YAML"},
		"only-text":      {[]byte("ask the admin"), policyv1alpha1.ReasonTemplateFailed, "it has no field"},
		"clusters-word":  {[]byte("clusters: yes\nusers: []\ncontexts: 3"), policyv1alpha1.ReasonTemplateFailed, ""},
		"no-context":     {edited(t, madeUpKubeconfig("x"), "current-context: admin@x", ""), policyv1alpha1.ReasonTemplateFailed, "leads to no server"},
		"no-server":      {edited(t, madeUpKubeconfig("x"), "server: https://x.example.com:6443", "{}"), policyv1alpha1.ReasonTemplateFailed, ""},
		"runs-a-program": {edited(t, madeUpKubeconfig("x"), "token: the token of x", "exec: {command: rm}"), policyv1alpha1.ReasonTemplateFailed, "program to run"},
		"merged-program": {edited(t, madeUpKubeconfig("x"), "token: the token of x", "<<: {exec: {command: rm}}"), policyv1alpha1.ReasonTemplateFailed, "program to run"},
		"reads-a-file":   {edited(t, madeUpKubeconfig("x"), "token: the token of x", "tokenFile: /etc/passwd"), policyv1alpha1.ReasonTemplateFailed, "names files"},
		"reads-an-authority": {edited(t, madeUpKubeconfig("x"), "server: https", "certificate-authority: /etc/passwd\n    server: https"),
			policyv1alpha1.ReasonTemplateFailed, "names files"},
		"empty": {nil, policyv1alpha1.ReasonCredentialsMissing, "spec.kubeconfig is missing"},
		"huge":  {append(madeUpKubeconfig("x"), "# "+strings.Repeat("x", 1000_000)...), policyv1alpha1.ReasonTemplateFailed, ""},
	}
	long := strings.Repeat("a", 253) // the first among those that fail
	dotted := "with.many.dots"

	// Cluster API.
	cluster := func(name string) {
		t.Helper()
		_, err := h.objects.Resource(capiV1beta2).Namespace(capi).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
			"metadata": map[string]any{"name": name},
			"spec":     map[string]any{"paused": false},
		}}, metav1.CreateOptions{})
		must(t, err)
		h.kubectl(t, "patch", "clusters.cluster.x-k8s.io", name, "-n", capi, "--subresource=status", "--type=merge",
			"-p", `{"status":{"initialization":{"controlPlaneInitialized":true}}}`)
	}
	for _, name := range []string{"good", dotted} {
		h.createSecret(t, capi, name+"-kubeconfig", nil, map[string][]byte{"value": madeUpKubeconfig("good")})
		cluster(name)
		good = append(good, capi+"-"+name)
	}
	for name, kubeconfig := range kubeconfigs {
		h.createSecret(t, capi, name+"-kubeconfig", nil, map[string][]byte{"value": kubeconfig.text})
		cluster(name)
		expect(capi+"-"+name, kubeconfig.reason, kubeconfig.message)
	}
	h.createSecret(t, capi, "other-key-kubeconfig", nil, map[string][]byte{"kubeconfig": madeUpKubeconfig("x")})
	cluster("other-key")
	expect(capi+"-other-key", policyv1alpha1.ReasonCredentialsMissing, `no "value" in .references.kubeconfig.data`)
	h.createSecret(t, capi, "no-data-kubeconfig", nil, nil)
	cluster("no-data")
	expect(capi+"-no-data", policyv1alpha1.ReasonWaitingForValue, `no "data"`)
	cluster("no-secret")
	expect(capi+"-no-secret", policyv1alpha1.ReasonWaitingForReference, "no-secret-kubeconfig")
	cluster(long)
	failures["cluster-api"] = long

	// Karmada.
	member := func(name string, spec, status any) {
		t.Helper()
		_, err := h.objects.Resource(karmadaClusters).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster",
			"metadata": map[string]any{"name": name}, "spec": spec, "status": status,
		}}, metav1.CreateOptions{})
		must(t, err)
	}
	spec := func(edits ...any) map[string]any {
		fields := map[string]any{"syncMode": "Push", "apiEndpoint": "https://x.example.com:6443",
			"secretRef": map[string]any{"namespace": karmada, "name": "good"}}
		for i := 0; i < len(edits); i += 2 {
			fields[edits[i].(string)] = edits[i+1]
		}
		return fields
	}
	ready := map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}
	h.createSecret(t, karmada, "good", nil, map[string][]byte{"token": []byte("token"), "caBundle": devcluster.Authority("good")})
	h.createSecret(t, karmada, "no-token", nil, map[string][]byte{"caBundle": devcluster.Authority("no-token")})
	h.createSecret(t, karmada, "no-bundle", nil, map[string][]byte{"token": []byte("token")})
	for _, name := range []string{"good", dotted} {
		member(name, spec(), ready)
		good = append(good, "karmada-"+name)
	}
	secretRef := func(name string) any { return map[string]any{"namespace": karmada, "name": name} }
	// Karmada does not verify it, and no proxy is used.
	member("insecure", spec("insecureSkipTLSVerification", true, "proxyURL", "http://proxy", "secretRef", secretRef("good")), ready)
	member("insecure-without-bundle", spec("insecureSkipTLSVerification", true, "secretRef", secretRef("no-bundle")), ready)
	unverified := []string{"karmada-insecure", "karmada-insecure-without-bundle"}
	good = append(good, unverified...)
	for _, test := range []struct {
		name            string
		spec, status    any
		reason, message string
	}{
		{"no-token", spec("secretRef", secretRef("no-token")), ready, policyv1alpha1.ReasonTemplateFailed, "has no token"},
		{"no-bundle", spec("secretRef", secretRef("no-bundle")), ready, policyv1alpha1.ReasonCredentialsMissing, `no "caBundle" in .references.secret.data`},
		{"no-such-secret", spec("secretRef", secretRef("none")), ready, policyv1alpha1.ReasonWaitingForReference, "none"},
		{"bad-secret-name", spec("secretRef", secretRef("../Secrets")), ready, policyv1alpha1.ReasonTemplateFailed, "which cannot be the name of one of secrets"},
		{"no-reference", map[string]any{"syncMode": "Push"}, ready, policyv1alpha1.ReasonWaitingForValue, `no "secretRef" in .source.spec`},
		{"null-reference", spec("secretRef", nil), ready, policyv1alpha1.ReasonWaitingForValue, `"secretRef" in .source.spec is null`},
		{"reference-is-text", spec("secretRef", "good"), ready, policyv1alpha1.ReasonTemplateFailed, `it has no field "namespace"`},
		{"no-spec", nil, ready, policyv1alpha1.ReasonWaitingForValue, `"spec" in .source is null`},
		{"spec-is-a-list", []any{"Push"}, ready, policyv1alpha1.ReasonTemplateFailed, ""},
		{"no-endpoint", spec("apiEndpoint", nil), ready, policyv1alpha1.ReasonNoEndpoint, ""},
		{"endpoint-is-no-url", spec("apiEndpoint", "ask\nthe admin"), ready, policyv1alpha1.ReasonTemplateFailed, "must be the URL"},
		{"endpoint-is-a-map", spec("apiEndpoint", map[string]any{"a": "b"}), ready, policyv1alpha1.ReasonTemplateFailed, ""},
		{"no-status", spec(), nil, policyv1alpha1.ReasonWaitingForCondition, ""},
		{"status-is-text", spec(), "Ready", policyv1alpha1.ReasonTemplateFailed, ""},
		{"conditions-are-text", spec(), map[string]any{"conditions": "Ready"}, policyv1alpha1.ReasonTemplateFailed, ""},
		{"condition-is-a-number", spec(), map[string]any{"conditions": []any{int64(1)}}, policyv1alpha1.ReasonTemplateFailed, ""},
		{"mode-is-a-number", spec("syncMode", int64(1)), ready, policyv1alpha1.ReasonTemplateFailed, ""},
	} {
		member(test.name, test.spec, test.status)
		expect("karmada-"+test.name, test.reason, test.message)
	}
	member(long, spec(), ready)
	failures["karmada"] = long

	// vcluster.
	authority, _ := issue(t, nil, nil, "authority", oneDay)
	certificate, key := issue(t, nil, nil, "admin", oneDay)
	expired, expiredKey := issue(t, nil, nil, "admin", -oneDay)
	virtual := func(name string, edits ...any) {
		t.Helper()
		data := map[string][]byte{"config": madeUpKubeconfig("x"), "certificate-authority": authority,
			"client-certificate": certificate, "client-key": key}
		for i := 0; i < len(edits); i += 2 {
			data[edits[i].(string)], _ = edits[i+1].([]byte)
		}
		h.createSecret(t, vcluster, name, nil, data)
	}
	virtual("vc-good")
	virtual("vc-" + dotted)
	virtual("vc-expired", "client-certificate", expired, "client-key", expiredKey)
	good = append(good, "vc-"+vcluster+"-good", "vc-"+vcluster+"-"+dotted, "vc-"+vcluster+"-expired")
	virtual("vc-empty", "client-key", nil)
	virtual("vc-no-pem", "certificate-authority", []byte{0, 1, 2})
	virtual("vc-huge", "certificate-authority", append([]byte("-----BEGIN CERTIFICATE-----\n"), bytes.Repeat([]byte("A"), 1000_000)...))
	for _, name := range []string{"empty", "no-pem"} {
		expect("vc-"+vcluster+"-"+name, policyv1alpha1.ReasonTemplateFailed, "must be PEM")
	}
	expect("vc-"+vcluster+"-huge", policyv1alpha1.ReasonTemplateFailed, "")
	virtual("vc-" + long[3:])
	failures["vcluster"] = "vc-" + long[3:]
	// These are no Secrets of vcluster at all.
	h.createSecret(t, vcluster, "vc-one-key", nil, map[string][]byte{"config": madeUpKubeconfig("x")})
	h.createSecret(t, vcluster, "vc-no-data", nil, nil)
	virtual("no-prefix")

	// KubeVela.
	velaCluster := func(name, kind string, edits ...any) {
		t.Helper()
		data := map[string][]byte{"endpoint": []byte("https://x.example.com:6443"), "ca.crt": authority,
			"tls.crt": certificate, "tls.key": key, "token": []byte("token")}
		for i := 0; i < len(edits); i += 2 {
			if edits[i+1] == nil {
				delete(data, edits[i].(string))
				continue
			}
			data[edits[i].(string)] = edits[i+1].([]byte)
		}
		h.createSecret(t, vela, name, map[string]string{"cluster.core.oam.dev/cluster-credential-type": kind}, data)
	}
	const x509, token = "X509Certificate", "ServiceAccountToken"
	velaCluster("good", x509)
	velaCluster(dotted, token)
	velaCluster("expired", x509, "tls.crt", expired, "tls.key", expiredKey)
	good = append(good, "vela-good", "vela-"+dotted, "vela-expired")
	velaCluster("no-endpoint", x509, "endpoint", nil)
	velaCluster("endpoint-is-no-url", token, "endpoint", []byte("example.com"))
	velaCluster("endpoint-is-binary", token, "endpoint", []byte{0xff, 0xfe, 0})
	for _, name := range []string{"no-endpoint", "endpoint-is-no-url", "endpoint-is-binary"} {
		expect("vela-"+name, policyv1alpha1.ReasonTemplateFailed, "endpoint must be the URL")
	}
	velaCluster("no-key", x509, "tls.key", nil)
	expect("vela-no-key", policyv1alpha1.ReasonTemplateFailed, "needs tls.crt and tls.key")
	velaCluster("no-pem", x509, "tls.crt", []byte("a certificate"))
	expect("vela-no-pem", policyv1alpha1.ReasonTemplateFailed, "in PEM")
	velaCluster("empty-ca", token, "ca.crt", []byte{})
	expect("vela-empty-ca", policyv1alpha1.ReasonCredentialsMissing, "spec.caData is missing")
	velaCluster("not-a-pair", x509, "tls.crt", authority)
	expect("vela-not-a-pair", policyv1alpha1.ReasonInvalidPediaCluster, "spec.keyData: the private key belongs to another certificate")
	velaCluster("unverified", token, "ca.crt", nil)
	unverified = append(unverified, "vela-unverified")
	good = append(good, "vela-unverified")
	velaCluster("no-token", token, "token", nil)
	expect("vela-no-token", policyv1alpha1.ReasonTemplateFailed, "needs token")
	h.createSecret(t, vela, "no-data", map[string]string{"cluster.core.oam.dev/cluster-credential-type": x509}, nil)
	expect("vela-no-data", policyv1alpha1.ReasonWaitingForValue, "")
	velaCluster(long, x509)
	failures["kubevela"] = long
	velaCluster("dynamic", "Dynamic") // a credential that the policy does not know

	// Any kubeconfig, by label.
	label := map[string]string{"policy.clusterpedia.io/import": "kubeconfig"}
	for _, name := range []string{"good", dotted} {
		h.createSecret(t, anySecret, name, label, map[string][]byte{"kubeconfig": madeUpKubeconfig("good")})
		good = append(good, "kubeconfig-"+anySecret+"-"+name)
	}
	h.createSecret(t, anySecret, "expired", label, map[string][]byte{"kubeconfig": edited(t, madeUpKubeconfig("x"),
		"token: the token of x", "client-certificate-data: "+base64.StdEncoding.EncodeToString(expired)+
			"\n    client-key-data: "+base64.StdEncoding.EncodeToString(expiredKey))})
	good = append(good, "kubeconfig-"+anySecret+"-expired")
	for name, kubeconfig := range kubeconfigs {
		h.createSecret(t, anySecret, name, label, map[string][]byte{"kubeconfig": kubeconfig.text})
		if name == "empty" { // as if the key were missing
			kubeconfig.reason, kubeconfig.message = policyv1alpha1.ReasonTemplateFailed, "neither a key kubeconfig nor a key value"
		}
		expect("kubeconfig-"+anySecret+"-"+name, kubeconfig.reason, kubeconfig.message)
	}
	h.createSecret(t, anySecret, "other-key", label, map[string][]byte{"config": madeUpKubeconfig("x")})
	expect("kubeconfig-"+anySecret+"-other-key", policyv1alpha1.ReasonTemplateFailed, "neither a key kubeconfig nor a key value")
	h.createSecret(t, anySecret, "no-data", label, nil)
	expect("kubeconfig-"+anySecret+"-no-data", policyv1alpha1.ReasonWaitingForValue, `no "data"`)
	h.createSecret(t, anySecret, long, label, map[string][]byte{"kubeconfig": madeUpKubeconfig("x")})
	failures["kubeconfig-secret"] = long

	// What looks as if it were of several platforms is of one.
	everything := map[string][]byte{"endpoint": []byte("https://x.example.com:6443"), "token": []byte("token"),
		"config": madeUpKubeconfig("x"), "kubeconfig": madeUpKubeconfig("x"),
		"certificate-authority": authority, "client-certificate": certificate, "client-key": key}
	h.createSecret(t, vcluster, "vc-everything", label, everything)
	good = append(good, "vc-"+vcluster+"-everything")
	label["cluster.core.oam.dev/cluster-credential-type"] = token
	h.createSecret(t, vela, "vc-everything", label, everything)
	good = append(good, "vela-vc-everything")

	for _, source := range bad {
		t.Run(source.lifecycle, func(t *testing.T) {
			lifecycle := h.waitForReady(t, source.lifecycle, source.reason)
			message := meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady).Message
			contains(t, message, source.message)
			t.Log(message)
			if _, err := h.objects.Resource(pediaClusters).Get(t.Context(), source.lifecycle, metav1.GetOptions{}); gone(err) != nil {
				t.Errorf("it has a PediaCluster: %v", err)
			}
		})
	}
	for policy, name := range failures {
		h.waitForStatus(t, policy, func(status policyv1alpha1.ClusterImportPolicyStatus) error {
			if !slices.ContainsFunc(status.Failures, func(failure policyv1alpha1.SourceFailure) bool {
				return failure.Name == name && failure.Reason == policyv1alpha1.ReasonInvalidName
			}) {
				return fmt.Errorf("its failures are %+v", status.Failures)
			}
			return nil
		})
	}
	h.everySourceHasOneLifecycle(t)

	uids := map[string]string{}
	for _, name := range good {
		h.waitForReady(t, name, policyv1alpha1.ReasonCreated)
		object, err := h.objects.Resource(pediaClusters).Get(t.Context(), name, metav1.GetOptions{})
		must(t, err)
		uids[name] = string(object.GetUID())
	}

	for _, name := range unverified {
		object, err := h.objects.Resource(pediaClusters).Get(t.Context(), name, metav1.GetOptions{})
		must(t, err)
		if _, written, _ := unstructured.NestedString(object.Object, "spec", "caData"); written || text(object, "spec", "tokenData") == "" {
			t.Errorf("%s has the spec %v", name, object.Object["spec"])
		}
	}

	// An expired certificate is passed on as it is: the platform may renew it.
	for _, name := range []string{"vc-" + vcluster + "-expired", "vela-expired", "kubeconfig-" + anySecret + "-expired"} {
		eventually(t, name+" says that its certificate has expired", func() error {
			return same("EXPIRES", column(h.kubectl(t, "get", "pcl", name, "-o", "wide"), "EXPIRES"), "expired")
		})
	}

	// What was good becomes bad: the PediaCluster keeps what it has. The others go on.
	h.setSecret(t, capi, "good-kubeconfig", map[string][]byte{"value": []byte("\tno kubeconfig")})
	h.setSecret(t, karmada, "good", map[string][]byte{"token": nil})
	h.setSecret(t, vcluster, "vc-good", map[string][]byte{"client-key": []byte("no key")})
	h.setSecret(t, vela, "good", map[string][]byte{"tls.key": nil})
	h.setSecret(t, anySecret, "good", map[string][]byte{"kubeconfig": []byte("\tno kubeconfig")})
	h.setSecret(t, anySecret, dotted, map[string][]byte{"kubeconfig": madeUpKubeconfig("moved")})
	for _, name := range []string{capi + "-good", "karmada-good", "vc-" + vcluster + "-good", "vela-good", "kubeconfig-" + anySecret + "-good"} {
		h.waitForReady(t, name, policyv1alpha1.ReasonTemplateFailed)
		object, err := h.objects.Resource(pediaClusters).Get(t.Context(), name, metav1.GetOptions{})
		must(t, err)
		if object.GetGeneration() != 1 || string(object.GetUID()) != uids[name] {
			t.Errorf("the PediaCluster %s has changed", name)
		}
	}
	eventually(t, "a good Source is followed", func() error {
		object, err := h.objects.Resource(pediaClusters).Get(t.Context(), "kubeconfig-"+anySecret+"-"+dotted, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return same("apiserver", text(object, "spec", "apiserver"), "https://moved.example.com:6443")
	})
}

// installLaxKarmada installs the type of Karmada without a schema, so that
// anything can be written, and without a subresource for the status.
func (h *host) installLaxKarmada(t *testing.T) {
	t.Helper()
	definition := readExample(t, "karmada/example/crd.yaml")[0]
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	must(t, err)
	version := versions[0].(map[string]any)
	delete(version, "subresources")
	version["schema"] = map[string]any{"openAPIV3Schema": map[string]any{
		"type": "object", "x-kubernetes-preserve-unknown-fields": true,
	}}
	set(t, definition, versions, "spec", "versions")
	h.apply(t, definition.Object)
	must(t, h.WaitForTypes(t.Context(), definition.GetName()))
}

// edited replaces a part of a text, which must be in it.
func edited(t *testing.T, text []byte, part, with string) []byte {
	t.Helper()
	if !bytes.Contains(text, []byte(part)) {
		t.Fatalf("no %q in the text", part)
	}
	return bytes.ReplaceAll(text, []byte(part), []byte(with))
}
