package e2e

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const platformsDir = artifacts + "/platforms"

// platformNames are the folders of artifacts/platforms, and the names of the
// policies in them.
var platformNames = []string{
	"argo-cd", "cluster-api", "cluster-inventory", "eks-gke-aks", "fleet", "gardener", "hypershift", "k0smotron",
	"kamaji", "karmada", "kubeconfig-secret", "kubevela", "open-cluster-management", "rancher", "sveltos", "vcluster",
}

var (
	capiV1beta1     = schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta1", Resource: "clusters"}
	capiV1beta2     = schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta2", Resource: "clusters"}
	karmadaClusters = schema.GroupVersionResource{Group: "cluster.karmada.io", Version: "v1alpha1", Resource: "clusters"}
	definitions     = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// TestThePlatformsRunAtOnce follows the READMEs of all platforms on one host, then
// gives some of their clusters real credentials.
func TestThePlatformsRunAtOnce(t *testing.T) {
	h := ownHost(t)
	member := startMember(t)

	t.Run("their READMEs can be followed", func(t *testing.T) {
		for _, name := range platformNames {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				readme := platformsDir + "/" + name + "/README.md"
				h.follow(t, readme)
				unchanged(t, h.Cluster, "--filename="+platformsDir+"/"+name+"/policy.yaml", "--filename="+platformsDir+"/"+name+"/rbac.yaml")
				documented := h.table(t, readme)
				if documented == nil {
					return
				}
				eventually(t, "the lifecycles are as the README shows", func() error {
					return differ(documented, h.lifecycles(t, name))
				})
			})
		}
	})
	eventually(t, "all lifecycles are as docs/platforms.md shows", func() error {
		return differ(h.table(t, "../../docs/platforms.md"), h.lifecycles(t, platformNames...))
	})
	for _, name := range platformNames {
		h.waitForStatus(t, name, func(status policyv1alpha1.ClusterImportPolicyStatus) error {
			failed := 0
			if name == "argo-cd" {
				failed = 1 // its example has a cluster whose token comes from a program
			}
			if len(status.Failures) != failed || int(status.Counts.Failed) != failed {
				return fmt.Errorf("its counts are %+v and its failures %+v", status.Counts, status.Failures)
			}
			return nil
		})
	}
	h.everySourceHasOneLifecycle(t)

	t.Run("PediaClusters have what the platform has written", func(t *testing.T) {
		blue := h.secret(t, "capi-clusters", "blue-kubeconfig")
		h.hasSpec(t, "capi-clusters-blue", "cluster-api/clusters.cluster.x-k8s.io/capi-clusters/blue", map[string]any{
			"apiserver":  "https://blue.example.com:6443",
			"kubeconfig": blue["value"],
		})
		member1 := h.secret(t, "karmada-cluster", "member1")
		h.hasSpec(t, "karmada-member1", "karmada/clusters.cluster.karmada.io//member1", map[string]any{
			"apiserver": "https://member1.example.com:6443",
			"caData":    member1["caBundle"],
			"tokenData": member1["token"],
		})
		dev := h.secret(t, "team-blue", "vc-dev")
		h.hasSpec(t, "vc-team-blue-dev", "vcluster/secrets/team-blue/vc-dev", map[string]any{
			"apiserver": "https://dev.team-blue.svc",
			"caData":    dev["certificate-authority"],
			"certData":  dev["client-certificate"],
			"keyData":   dev["client-key"],
		})
		amsterdam := h.secret(t, "vela-system", "amsterdam")
		h.hasSpec(t, "vela-amsterdam", "kubevela/secrets/vela-system/amsterdam", map[string]any{
			"apiserver": "https://amsterdam.example.com:6443",
			"caData":    amsterdam["ca.crt"],
			"certData":  amsterdam["tls.crt"],
			"keyData":   amsterdam["tls.key"],
		})
		bergen := h.secret(t, "vela-system", "bergen")
		h.hasSpec(t, "vela-bergen", "kubevela/secrets/vela-system/bergen", map[string]any{
			"apiserver": "https://bergen.example.com:6443",
			"caData":    bergen["ca.crt"],
			"tokenData": bergen["token"],
		})
		h.hasSpec(t, "kubeconfig-imports-edge", "kubeconfig-secret/secrets/imports/edge", map[string]any{
			"apiserver":  "https://edge.example.com:6443",
			"kubeconfig": h.secret(t, "imports", "edge")["kubeconfig"],
		})
		h.hasSpec(t, "kubeconfig-imports-lab", "kubeconfig-secret/secrets/imports/lab", map[string]any{
			"apiserver":  "https://lab.example.com:6443",
			"kubeconfig": h.secret(t, "imports", "lab")["value"],
		})
	})

	t.Run("a member cluster of Karmada says what it waits for", func(t *testing.T) {
		for cluster, want := range map[string]string{
			"member2": "spec.syncMode is not Push", "member3": "the condition Ready is not True",
		} {
			lifecycle := h.waitForReady(t, "karmada-"+cluster, policyv1alpha1.ReasonWaitingForCondition)
			contains(t, meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady).Message, want)
		}
	})

	t.Run("the credentials of each open the API server", func(t *testing.T) {
		host, port, err := net.SplitHostPort(strings.TrimPrefix(member.Config().Host, "https://"))
		must(t, err)
		certificate, key := member.certificate(t, "reader", oneDay)
		token := member.token(t, "reader")

		h.setSecret(t, "capi-clusters", "blue-kubeconfig", map[string][]byte{"value": member.kubeconfig(t, certificate, key, nil)})
		h.patch(t, h.objects.Resource(capiV1beta2).Namespace("capi-clusters"), "blue",
			`{"spec":{"controlPlaneEndpoint":{"host":"`+host+`","port":`+port+`}}}`)

		h.setSecret(t, "karmada-cluster", "member1", map[string][]byte{"token": token, "caBundle": member.ca(t)})
		h.patch(t, h.objects.Resource(karmadaClusters), "member1", `{"spec":{"apiEndpoint":"`+member.Config().Host+`"}}`)

		// The name of the Service is one for which the API server has a certificate.
		h.createSecret(t, "default", "vc-kubernetes", nil, map[string][]byte{
			"config":                member.kubeconfig(t, certificate, key, nil),
			"certificate-authority": member.ca(t), "client-certificate": certificate, "client-key": key,
		})

		h.setSecret(t, "vela-system", "amsterdam", map[string][]byte{
			"endpoint": []byte(member.Config().Host), "ca.crt": member.ca(t), "tls.crt": certificate, "tls.key": key,
		})
		h.setSecret(t, "vela-system", "bergen", map[string][]byte{
			"endpoint": []byte(member.Config().Host), "ca.crt": member.ca(t), "token": token,
		})

		h.setSecret(t, "imports", "edge", map[string][]byte{"kubeconfig": member.kubeconfig(t, certificate, key, nil)})
		h.setSecret(t, "imports", "lab", map[string][]byte{"value": member.kubeconfig(t, nil, nil, token)})

		names := []string{
			"capi-clusters-blue", "karmada-member1", "vc-default-kubernetes", "vela-amsterdam", "vela-bergen",
			"kubeconfig-imports-edge", "kubeconfig-imports-lab",
		}
		for _, secret := range []struct{ namespace, name, key, pediaCluster string }{
			{"clusters", "elm-admin-kubeconfig", "kubeconfig", "hypershift-clusters-elm"},
			{"fleet-default", "amber-kubeconfig", "value", "rancher-amber"},
			{"fleet-default", "quay-kubeconfig", "value", "fleet-fleet-default-quay"},
			{"hosted", "glen-kubeconfig", "value", "k0smotron-hosted-glen"},
			{"stores", "lake-sveltos-kubeconfig", "kubeconfig", "sveltos-stores-lake"},
			{"tenants", "cedar-admin-kubeconfig", "admin.conf", "kamaji-tenants-cedar"},
		} {
			h.setSecret(t, secret.namespace, secret.name, map[string][]byte{secret.key: member.kubeconfig(t, certificate, key, nil)})
			names = append(names, secret.pediaCluster)
		}
		names = append(names, h.setTokens(t, member, token)...)

		for _, name := range names {
			eventually(t, "the credentials of "+name+" open the API server", func() error { return member.opens(t, h, name) })
		}
	})
}

// setTokens gives clusters of the platforms that have an address and a token the
// address of the member and a token for it. It returns their PediaClusters.
func (h *host) setTokens(t *testing.T, m *member, token []byte) []string {
	t.Helper()
	address, authority := m.Config().Host, m.ca(t)
	encoded := base64.StdEncoding.EncodeToString(authority)

	config, err := json.Marshal(map[string]any{"bearerToken": string(token), "tlsClientConfig": map[string]any{"caData": encoded}})
	must(t, err)
	h.setSecret(t, "argocd", "cluster-oak.example.com-1418346270", map[string][]byte{"server": []byte(address), "config": config})

	h.setSecret(t, "imports", "eks-blue", map[string][]byte{"server": []byte(address), "ca.crt": authority, "token": token})

	h.setSecret(t, "berlin", "clusterpedia", map[string][]byte{"token": token})
	h.kubectl(t, "patch", "managedcluster", "berlin", "--type=merge", "-p",
		`{"spec":{"managedClusterClientConfigs":[{"url":"`+address+`","caBundle":"`+encoded+`"}]}}`)

	h.setSecret(t, "garden-blue", "jade.clusterpedia", map[string][]byte{"token": token})
	bundle, err := json.Marshal(map[string]any{"data": map[string]any{"ca.crt": string(authority)}})
	must(t, err)
	h.kubectl(t, "patch", "configmap", "jade.ca-cluster", "-n", "garden-blue", "--type=merge", "-p", string(bundle))
	h.kubectl(t, "patch", "shoot", "jade", "-n", "garden-blue", "--type=merge", "-p",
		`{"status":{"advertisedAddresses":[{"name":"external","url":"`+address+`"}]}}`)

	h.setSecret(t, devcluster.Namespace, "spruce", map[string][]byte{"token": token})
	h.kubectl(t, "patch", "clusterprofile", "spruce", "-n", "sites", "--type=merge", "-p",
		`{"status":{"accessProviders":[{"name":"secretreader","cluster":{"server":"`+address+`","certificate-authority-data":"`+encoded+`"}}]}}`)

	return []string{
		"argocd-cluster-oak.example.com-1418346270", "token-imports-eks-blue", "ocm-berlin", "gardener-blue-jade", "inventory-sites-spruce",
	}
}

// TestClusterAPIInBothVersions has a policy before its type, then clusters of both
// versions, then a host that ends to serve the newer one, and begins again.
func TestClusterAPIInBothVersions(t *testing.T) {
	const namespace = "capi-versions"
	h := ownHost(t)
	h.kubectl(t, "create", "namespace", namespace)
	h.kubectl(t, "apply", "-f", platformsDir+"/cluster-api")
	h.waitForStatus(t, "cluster-api", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		if validated := meta.FindStatusCondition(status.Conditions, policyv1alpha1.PolicyValidated); validated != nil {
			return same("reason", validated.Reason, policyv1alpha1.ReasonSourceTypeNotServed)
		}
		return errors.New("it says nothing yet")
	})
	h.installClusterAPI(t)

	create := func(version schema.GroupVersionResource, name, status string) {
		t.Helper()
		h.createSecret(t, namespace, name+"-kubeconfig", nil, map[string][]byte{"value": madeUpKubeconfig(name)})
		reference := map[string]any{"kind": "DockerCluster", "name": name}
		if version == capiV1beta2 {
			reference["apiGroup"] = "infrastructure.cluster.x-k8s.io"
		} else {
			reference["apiVersion"] = "infrastructure.cluster.x-k8s.io/v1beta1"
		}
		clusters := h.objects.Resource(version).Namespace(namespace)
		_, err := clusters.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": version.GroupVersion().String(), "kind": "Cluster",
			"metadata": map[string]any{"name": name},
			"spec":     map[string]any{"infrastructureRef": reference},
		}}, metav1.CreateOptions{})
		must(t, err)
		h.waitForReady(t, namespace+"-"+name, policyv1alpha1.ReasonWaitingForCondition)
		h.kubectl(t, "patch", "clusters."+version.Version+"."+version.Group, name, "-n", namespace,
			"--subresource=status", "--type=merge", "-p", status)
	}
	const (
		condition = `{"status":{"conditions":[{"type":"ControlPlaneInitialized","status":"%s","lastTransitionTime":"2026-01-02T03:04:05Z"}]}}`
		field     = `{"status":{"initialization":{"controlPlaneInitialized":%t}}}`
	)
	imported := func(name string) *unstructured.Unstructured {
		t.Helper()
		h.waitForReady(t, namespace+"-"+name, policyv1alpha1.ReasonCreated)
		object, err := h.objects.Resource(pediaClusters).Get(t.Context(), namespace+"-"+name, metav1.GetOptions{})
		must(t, err)
		return object
	}
	reads := func(version string) {
		t.Helper()
		h.waitForStatus(t, "cluster-api", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
			return same("the version that is read", status.SourceVersion, version)
		})
	}

	create(capiV1beta1, "old", fmt.Sprintf(condition, "True"))
	create(capiV1beta2, "new", fmt.Sprintf(field, true))
	create(capiV1beta1, "old-waiting", fmt.Sprintf(condition, "False"))
	create(capiV1beta2, "new-waiting", fmt.Sprintf(field, false))
	reads("v1beta2")
	before := map[string]*unstructured.Unstructured{"old": imported("old"), "new": imported("new")}

	h.serve(t, "v1beta2", false)
	reads("v1beta1")
	create(capiV1beta1, "later", fmt.Sprintf(condition, "True"))
	imported("later")
	h.kubectl(t, "patch", "clusters.v1beta1.cluster.x-k8s.io", "old-waiting", "-n", namespace,
		"--subresource=status", "--type=merge", "-p", fmt.Sprintf(condition, "True"))
	imported("old-waiting")

	h.serve(t, "v1beta2", true)
	reads("v1beta2")
	h.kubectl(t, "patch", "clusters.v1beta2.cluster.x-k8s.io", "new-waiting", "-n", namespace,
		"--subresource=status", "--type=merge", "-p", fmt.Sprintf(field, true))
	imported("new-waiting")
	for name, object := range before {
		if now := imported(name); now.GetUID() != object.GetUID() || now.GetResourceVersion() != object.GetResourceVersion() {
			t.Errorf("the PediaCluster of %s was written while versions came and went", name)
		}
	}
}

// follow runs the sh blocks of a document in the folder of the repository, as a
// reader would. A console block is what the one before it prints, or a part of
// that. (A bash block is for a host that this one is not.)
func (h *host) follow(t *testing.T, file string) {
	t.Helper()
	document, err := os.ReadFile(file)
	must(t, err)
	root, err := filepath.Abs("../..")
	must(t, err)
	var out bytes.Buffer
	for _, block := range fence.FindAllStringSubmatch(string(document), -1) {
		if block[1] == "console" {
			contains(t, out.String(), block[3])
		}
		if block[1] != "sh" {
			continue
		}
		// A reader is slower: a type may have no conditions yet to wait for.
		eventually(t, file+" can be followed", func() error {
			out.Reset()
			cmd := exec.CommandContext(t.Context(), "bash", "-euc", block[3])
			cmd.Dir = root
			cmd.Env = append(h.KubectlCommand(t.Context()).Env, "PATH="+filepath.Join(root, "_output/bin")+":"+os.Getenv("PATH"))
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%w: %s\n%s", err, block[3], &out)
			}
			return nil
		})
	}
}

// table reads NAME, POLICY, SOURCE and PHASE from the table of lifecycles in a
// document, nil if there is none. The table must have the columns that kubectl
// prints.
func (h *host) table(t *testing.T, file string) []string {
	t.Helper()
	document, err := os.ReadFile(file)
	must(t, err)
	for _, block := range fence.FindAllStringSubmatch(string(document), -1) {
		if lines := strings.Split(strings.TrimSpace(block[3]), "\n"); block[1] == "text" && strings.HasPrefix(lines[0], "NAME") {
			printed, _, _ := strings.Cut(h.kubectl(t, "get", "pediaclusterlifecycle"), "\n")
			if difference := cmp.Diff(strings.Fields(printed), strings.Fields(lines[0])); difference != "" {
				t.Errorf("the columns in %s (-printed +documented):\n%s", file, difference)
			}
			return firstColumns(lines[1:])
		}
	}
	return nil
}

// lifecycles returns NAME, PHASE and REASON, as kubectl prints them, of the lifecycles of these
// policies.
func (h *host) lifecycles(t *testing.T, policies ...string) []string {
	t.Helper()
	var lines []string
	for _, policy := range policies {
		printed := h.kubectl(t, "get", "pcl", "--no-headers", "--field-selector=policy="+policy)
		lines = append(lines, strings.Split(strings.TrimSpace(printed), "\n")...)
	}
	return firstColumns(lines)
}

func firstColumns(lines []string) []string {
	var rows []string
	for _, line := range lines {
		columns := strings.Fields(line)
		rows = append(rows, strings.Join(columns[:min(3, len(columns))], " "))
	}
	slices.Sort(rows)
	return rows
}

func differ(want, got []string) error {
	if difference := cmp.Diff(want, got); difference != "" {
		return errors.New(difference)
	}
	return nil
}

// everySourceHasOneLifecycle fails the test when the policies have imported an
// object twice.
func (h *host) everySourceHasOneLifecycle(t *testing.T) {
	t.Helper()
	list, err := h.policy.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	seen := map[policyv1alpha1.DependentResource]string{}
	for _, lifecycle := range list.Items {
		if owner := metav1.GetControllerOf(&lifecycle); owner == nil || !slices.Contains(platformNames, owner.Name) {
			continue
		}
		if other, ok := seen[lifecycle.Spec.Source]; ok {
			t.Errorf("%+v has two lifecycles: %s and %s", lifecycle.Spec.Source, other, lifecycle.Name)
		}
		seen[lifecycle.Spec.Source] = lifecycle.Name
	}
}

// waitForStatus waits until the check of the policy's status passes.
func (h *host) waitForStatus(t *testing.T, policy string, check func(policyv1alpha1.ClusterImportPolicyStatus) error) {
	t.Helper()
	eventually(t, "the policy "+policy+" tells how it stands", func() error {
		found, err := h.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), policy, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return check(found.Status)
	})
}

// hasSpec fails the test unless the PediaCluster is as these fields, and what
// all platforms collect, say.
func (h *host) hasSpec(t *testing.T, name, createdFor string, fields map[string]any) {
	t.Helper()
	object, err := h.objects.Resource(pediaClusters).Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	fields["syncResources"] = []any{
		map[string]any{"group": "", "resources": []any{"namespaces", "nodes", "pods", "services"}},
		map[string]any{"group": "apps", "resources": []any{"*"}},
	}
	if difference := cmp.Diff(fields, object.Object["spec"]); difference != "" {
		t.Errorf("the PediaCluster %s (-want +got):\n%s", name, difference)
	}
	if err := same("created-for", object.GetAnnotations()[policyv1alpha1.CreatedForAnnotation], createdFor); err != nil {
		t.Errorf("the PediaCluster %s: %v", name, err)
	}
}

// secret returns the data of a Secret, which is base64.
func (h *host) secret(t *testing.T, namespace, name string) map[string]any {
	t.Helper()
	object, err := h.objects.Resource(secrets).Namespace(namespace).Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	data, _, _ := unstructured.NestedMap(object.Object, "data")
	return data
}

// createSecret creates a Secret.
func (h *host) createSecret(t *testing.T, namespace, name string, labels map[string]string, data map[string][]byte) {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret"}}
	object.SetName(name)
	object.SetLabels(labels)
	if data != nil {
		encoded := map[string]any{}
		for key, value := range data {
			encoded[key] = base64.StdEncoding.EncodeToString(value)
		}
		object.Object["data"] = encoded
	}
	_, err := h.objects.Resource(secrets).Namespace(namespace).Create(t.Context(), object, metav1.CreateOptions{})
	must(t, err)
}

// setSecret changes keys of a Secret.
func (h *host) setSecret(t *testing.T, namespace, name string, data map[string][]byte) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"data": data})
	must(t, err)
	h.patch(t, h.objects.Resource(secrets).Namespace(namespace), name, string(patch))
}

// installClusterAPI installs the type of Cluster API, as the README does.
func (h *host) installClusterAPI(t *testing.T) {
	t.Helper()
	document, err := os.ReadFile(platformsDir + "/cluster-api/README.md")
	must(t, err)
	_, module, found := strings.Cut(string(document), "go mod download ")
	if !found {
		t.Fatal("the README does not name the module of Cluster API")
	}
	module, _, _ = strings.Cut(module, "\n")
	h.kubectl(t, "apply", "--server-side", "-f", moduleDir(t, module)+"/config/crd/bases/cluster.x-k8s.io_clusters.yaml")
	must(t, h.WaitForTypes(t.Context(), "clusters.cluster.x-k8s.io"))
}

// moduleDir is the folder of a Go module, which is downloaded if need be.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir() // no module: neither go.mod nor go.sum hears of it
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("downloading %s: %v: %s", module, err, out)
	}
	var downloaded struct{ Dir string }
	must(t, json.Unmarshal(out, &downloaded))
	return downloaded.Dir
}

// serve begins or ends to serve a version of Cluster API's type.
func (h *host) serve(t *testing.T, version string, served bool) {
	t.Helper()
	definition, err := h.objects.Resource(definitions).Get(t.Context(), "clusters.cluster.x-k8s.io", metav1.GetOptions{})
	must(t, err)
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	at := slices.IndexFunc(versions, func(item any) bool { return item.(map[string]any)["name"] == version })
	versions[at].(map[string]any)["served"] = served
	must(t, unstructured.SetNestedSlice(definition.Object, versions, "spec", "versions"))
	_, err = h.objects.Resource(definitions).Update(t.Context(), definition, metav1.UpdateOptions{})
	must(t, err)
}

// madeUpKubeconfig is a kubeconfig that leads nowhere.
func madeUpKubeconfig(cluster string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: https://%[1]s.example.com:6443
users:
- name: admin
  user:
    token: the token of %[1]s
contexts:
- name: admin@%[1]s
  context:
    cluster: %[1]s
    user: admin
current-context: admin@%[1]s
`, cluster)
}

// hostOf is host and port of a URL.
func hostOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	must(t, err)
	return parsed.Host
}

// readExample returns the objects of a file below artifacts/platforms.
func readExample(t *testing.T, file string) []unstructured.Unstructured {
	t.Helper()
	objects, err := devcluster.ReadManifest(filepath.Join(platformsDir, file))
	must(t, err)
	return objects
}

// TestThePlatformsAskForNoMoreThanTheyRead compares the rights of each platform
// with what its policy reads, as they stand in the files. Secrets as references
// need no rule.
func TestThePlatformsAskForNoMoreThanTheyRead(t *testing.T) {
	entries, err := os.ReadDir(platformsDir)
	must(t, err)
	var folders []string
	for _, entry := range entries {
		folders = append(folders, entry.Name())
	}
	if difference := cmp.Diff(platformNames, folders); difference != "" {
		t.Errorf("the folders of %s (-tested +there):\n%s", platformsDir, difference)
	}
	for _, name := range platformNames {
		plugin(t, 0, "lint", "-f", platformsDir+"/"+name+"/policy.yaml")
		policy := readExample(t, name+"/policy.yaml")[0]
		if err := same("the policy's name", policy.GetName(), name); err != nil {
			t.Error(err)
		}
		roles := readExample(t, name+"/rbac.yaml")
		if len(roles) != 1 {
			t.Fatalf("%s has %d objects for its rights", name, len(roles))
		}
		if err := same("kind", roles[0].GetKind(), "ClusterRole"); err != nil {
			t.Error(name, err)
		}
		if roles[0].GetLabels()["policy.clusterpedia.io/aggregate-to-server"] != "true" {
			t.Errorf("the role of %s does not reach the server", name)
		}
		if difference := cmp.Diff(rulesFor(t, policy), roles[0].Object["rules"]); difference != "" {
			t.Errorf("the role of %s (-want +got):\n%s", name, difference)
		}
	}
}

// rulesFor are the rules that the server needs to read what a policy names.
func rulesFor(t *testing.T, policy unstructured.Unstructured) []any {
	t.Helper()
	rule := func(resource map[string]any) any {
		return map[string]any{
			"apiGroups": []any{resource["group"]}, "resources": []any{resource["resource"]}, "verbs": []any{"get", "list", "watch"},
		}
	}
	source, _, err := unstructured.NestedMap(policy.Object, "spec", "source")
	must(t, err)
	rules := []any{rule(source)}
	references, _, err := unstructured.NestedSlice(policy.Object, "spec", "references")
	must(t, err)
	for _, reference := range references {
		if reference := reference.(map[string]any); reference["resource"] != "secrets" {
			rules = append(rules, rule(reference))
		}
	}
	return rules
}

// TestTheReaderMayReadWhatThePlatformsCollect compares the rights that the
// ServiceAccount of artifacts/member has in a member cluster with syncResources.
func TestTheReaderMayReadWhatThePlatformsCollect(t *testing.T) {
	objects, err := devcluster.ReadManifest(artifacts + "/member/reader.yaml")
	must(t, err)
	i := slices.IndexFunc(objects, func(object unstructured.Unstructured) bool { return object.GetKind() == "ClusterRole" })
	collected := map[string]any{}
	for _, rule := range objects[i].Object["rules"].([]any) {
		rule := rule.(map[string]any)
		if difference := cmp.Diff([]any{"get", "list", "watch"}, rule["verbs"]); difference != "" {
			t.Errorf("the verbs of the reader (-want +got):\n%s", difference)
		}
		collected[rule["apiGroups"].([]any)[0].(string)] = rule["resources"]
	}
	if difference := cmp.Diff(map[string]any{"": []any{"namespaces", "nodes", "pods", "services"}, "apps": []any{"*"}}, collected); difference != "" {
		t.Errorf("what the reader may read (-want +got):\n%s", difference)
	}
}

// TestKarmadaWithTheServerOnAnotherCluster reads what the README of Karmada
// applies to karmada-apiserver, which runs no pods, and to the cluster beside it.
func TestKarmadaWithTheServerOnAnotherCluster(t *testing.T) {
	kinds := func(folder string) (kinds []string, objects map[string]unstructured.Unstructured) {
		file := filepath.Join(t.TempDir(), "objects.yaml")
		must(t, os.WriteFile(file, []byte(shared.kubectl(t, "kustomize", platformsDir+"/karmada/"+folder)), 0o600))
		list, err := devcluster.ReadManifest(file)
		must(t, err)
		objects = map[string]unstructured.Unstructured{}
		for _, object := range list {
			kinds = append(kinds, object.GetKind())
			objects[object.GetKind()] = object
		}
		slices.Sort(kinds)
		return slices.Compact(kinds), objects
	}

	there, objects := kinds("control-plane")
	want := []string{"ClusterRole", "ClusterRoleBinding", "Namespace", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount"}
	if difference := cmp.Diff(want, there); difference != "" {
		t.Errorf("what karmada-apiserver gets (-want +got):\n%s", difference)
	}
	service := objects["Service"]
	if err := errors.Join(
		same("the type of the Service", text(&service, "spec", "type"), "ExternalName"),
		same("where it leads", text(&service, "spec", "externalName"), "policy-apiserver.clusterpedia-system.svc.cluster.local"),
	); err != nil {
		t.Error(err)
	}

	there, objects = kinds("host-cluster")
	if difference := cmp.Diff([]string{"Namespace", "NetworkPolicy", "Service", "ServiceAccount", "StatefulSet"}, there); difference != "" {
		t.Errorf("what the cluster beside it gets (-want +got):\n%s", difference)
	}
	containers, _, err := unstructured.NestedSlice(objects["StatefulSet"].Object, "spec", "template", "spec", "containers")
	must(t, err)
	if args := containers[0].(map[string]any)["args"].([]any); !slices.Contains(args, any("--kubeconfig=/etc/policy-apiserver/kubeconfig")) {
		t.Errorf("the server has the arguments %v", args)
	}
}
