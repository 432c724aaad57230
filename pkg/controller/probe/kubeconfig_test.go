package probe

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// The tests here hold pkg/render, which may not import client-go, to what it
// says of client-go.

// loads is what clientcmd and client-go say of a kubeconfig, as Clusterpedia
// uses it.
func loads(kubeconfig []byte) error {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return err
	}
	// Which programs and providers can be used is a matter of who uses them.
	config.ExecProvider, config.AuthProvider = nil, nil
	_, err = rest.TLSConfigFor(config)
	return err
}

// stricter reports whether pkg/render refuses more than client-go on purpose.
func stricter(t *testing.T, kubeconfig []byte, problem error) bool {
	t.Helper()
	for _, text := range []string{"without a client-certificate", "its user ", "names no cluster", "merge key", "too many values", "is base64 of", "it has no current-context"} {
		if strings.Contains(problem.Error(), text) {
			return true
		}
	}
	// What is not sent by TLS needs no certificates.
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	return err == nil && !rest.IsConfigTransportTLS(*config)
}

// readsFiles reports whether client-go would look for files, of which pkg/render
// says nothing.
func readsFiles(kubeconfig []byte) bool {
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return false
	}
	for _, cluster := range config.Clusters {
		if cluster.CertificateAuthority != "" {
			return true
		}
	}
	for _, user := range config.AuthInfos {
		if user.ClientCertificate != "" || user.ClientKey != "" || user.TokenFile != "" {
			return true
		}
	}
	return false
}

// compare fails the test unless pkg/render and client-go agree on a kubeconfig.
func compare(t *testing.T, kubeconfig []byte) {
	t.Helper()
	if readsFiles(kubeconfig) {
		return
	}
	theirs, ours := loads(kubeconfig), render.CheckKubeconfig(kubeconfig)
	switch {
	case theirs != nil && ours == nil:
		t.Errorf("client-go refuses what is accepted: %v\n%s", theirs, kubeconfig)
	case theirs == nil && ours != nil && !stricter(t, kubeconfig, ours):
		t.Errorf("client-go accepts what is refused: %v\n%s", ours, kubeconfig)
	}
}

// credentialsOf are lines that a kubeconfig can have for its cluster and its
// user: good ones, bad ones and the null of each.
func credentialsOf(t testing.TB) (cluster, user []string) {
	ca, other := newAuthority(t), newAuthority(t)
	cert, key := ca.sign(t, time.Now())
	_, otherKey := ca.sign(t, time.Now())
	data := func(name string, values ...string) (lines []string) {
		for _, value := range values {
			lines = append(lines, name+": "+value)
		}
		return append(lines, "")
	}
	b64 := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	cluster = append(cluster, data("certificate-authority-data", b64(ca.pem), b64(ca.pem+other.pem), b64("none"), b64(b64(ca.pem)), `""`, "null", "s3cr3t!", "[a]", "1234")...)
	cluster = append(cluster, data("insecure-skip-tls-verify", "true", "false", "yes", `"true"`, "1")...)
	cluster = append(cluster, data("proxy-url", "http://proxy", "socks5://proxy", "ftp://proxy", "proxy", `":"`)...)
	cluster = append(cluster, data("tls-server-name", "name", "n", "12", "2020-01-01")...)
	cluster = append(cluster, data("disable-compression", "true", "text")...)
	cluster = append(cluster, data("extensions", "[{name: x, extension: {a: 1}}]", "[a]", "{}", "[{name: 1}]")...)
	user = append(user, data("client-certificate-data", b64(cert), b64(cert+ca.pem), b64(ca.pem+cert), b64("none"), b64(b64(cert)), `""`)...)
	user = append(user, data("client-key-data", b64(key), b64(otherKey), b64("none"), b64(cert), `""`)...)
	user = append(user, data("token", "t", "12345678", "yes", `"yes"`, "0x1f", "1_000", ".5", "1e3", "~", "no", "{}", "2020-01-01", "2020-01-01T00:00:00Z", "!!str 1", "0o17", "0b1", "1:30", "-", "=")...)
	user = append(user, data("username", "u", "off")...)
	user = append(user, data("password", "p", "1")...)
	user = append(user, data("as", "u")...)
	user = append(user, data("as-uid", "1", `"1"`)...)
	user = append(user, data("as-groups", "[g]", "g", "[]", "[1]", "[~]")...)
	user = append(user, data("as-user-extra", "{k: [v]}", "{k: v}", "{}", "{k: [on]}")...)
	user = append(user, data("auth-provider", "{name: x}", "x", "{name: x, config: {a: b}}", "{config: {a: 1}}")...)
	user = append(user, data("exec", "{command: x}", "{}", "{command: x, apiVersion: client.authentication.k8s.io/v1}",
		"{command: x, apiVersion: client.authentication.k8s.io/v1beta1}", "{command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}",
		"{command: x, apiVersion: v, interactiveMode: Sometimes}", "{command: x, apiVersion: v, interactiveMode: Always, args: [1]}",
		"{command: x, apiVersion: v, interactiveMode: Always, env: [{name: a, value: b}]}", "{command: x, apiVersion: v, interactiveMode: Always, env: [{value: b}]}",
		"{command: x, apiVersion: v, interactiveMode: Always, env: []}", "[]")...)
	return cluster, user
}

func kubeconfigWith(cluster, user, rest string) []byte {
	indent := func(lines string) (text string) {
		for line := range strings.Lines(lines) {
			if strings.TrimSpace(line) != "" {
				text += "    " + strings.TrimRight(line, "\n") + "\n"
			}
		}
		return text
	}
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: c
contexts:
- name: c
  context: {cluster: b, user: a}
clusters:
- name: b
  cluster:
    server: https://one.example:6443
%susers:
- name: a
  user:
    x: y
%s%s`, indent(cluster), indent(user), rest)
}

func TestKubeconfigsAreAcceptedAsByClientcmd(t *testing.T) {
	clusters, users := credentialsOf(t)
	for _, cluster := range clusters {
		for _, other := range clusters {
			if name, _, _ := strings.Cut(cluster, ":"); !strings.HasPrefix(other, name) {
				compare(t, kubeconfigWith(cluster+"\n"+other, "", ""))
			}
		}
	}
	for _, user := range users {
		for _, other := range users {
			if name, _, _ := strings.Cut(user, ":"); !strings.HasPrefix(other, name) {
				compare(t, kubeconfigWith("", user+"\n"+other, ""))
			}
		}
	}
	// What is wrong with a cluster or user that is not the current one.
	for _, user := range users {
		compare(t, kubeconfigWith("", "", "- name: other\n  user: {"+user+"}\n"))
	}
	for _, rest := range []string{
		"- name: a\n", "- name: 1\n", "- user: {}\n", "- {}\n", "- null\n", "- text\n", "- name: b\n  user: null\n",
		"preferences: {}\n", "preferences: {colors: true}\n", "preferences: {colors: on}\n", "preferences: []\n", "preferences:\n",
		"extensions: []\n", "extensions: {}\n", "x: .inf\n", "x: [.nan]\n", "x: {1: 2, true: 3, ~: 4}\n", "x: [{y: -.Inf}]\n",
		"x: &a {y: z}\nz: *a\n", "apiVersion: v2\n", "kind: Secret\n", "kind: 1\n", "clusters: []\n", "contexts: {}\n", "current-context: d\n",
		"current-context: [c]\n", "users:\n- name: b\n", "---\nmore: yes\n", "...\n", "? [a]\n: b\n", "x: !!binary aGVsbG8=\n", "x: !other y\n",
	} {
		compare(t, kubeconfigWith("", "", rest))
	}
	for _, text := range []string{"", " ", "#", "{}", "[]", "text", "kind: Config", "\x00", "\ufeff" + string(kubeconfigWith("", "", "")), "\t", "a: b: c"} {
		if text != "" { // which is none, here
			compare(t, []byte(text))
		}
	}
}

// What clientcmd itself writes is accepted.
func TestWhatClientcmdWritesIsAccepted(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.sign(t, time.Now())
	config := clientcmdapi.NewConfig()
	config.CurrentContext = "c"
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "b", AuthInfo: "a", Namespace: "n"}
	config.Contexts["d"] = &clientcmdapi.Context{}
	config.Clusters["b"] = &clientcmdapi.Cluster{Server: "https://b", CertificateAuthorityData: []byte(ca.pem), TLSServerName: "x", ProxyURL: "http://p"}
	config.AuthInfos["a"] = &clientcmdapi.AuthInfo{ClientCertificateData: []byte(cert), ClientKeyData: []byte(key), Token: "yes",
		Impersonate: "y", ImpersonateGroups: []string{"1"}, ImpersonateUserExtra: map[string][]string{"on": {"no"}}}
	config.AuthInfos["e"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{Command: "x", APIVersion: "v", InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		Env: []clientcmdapi.ExecEnvVar{{Name: "A", Value: "1"}}}}
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, text)
	if err := render.CheckKubeconfig(text); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

func FuzzKubeconfig(f *testing.F) {
	clusters, users := credentialsOf(f)
	for i := range max(len(clusters), len(users)) {
		f.Add(string(kubeconfigWith(clusters[i%len(clusters)], users[i%len(users)], "")))
	}
	f.Fuzz(func(t *testing.T, kubeconfig string) {
		// clientcmd writes aliases out, and is not to be asked about many. It
		// reads tags that nobody writes as it likes.
		if kubeconfig == "" || len(kubeconfig) > 10_000 || strings.ContainsAny(kubeconfig, "&*!") {
			return
		}
		compare(t, []byte(kubeconfig))
	})
}
