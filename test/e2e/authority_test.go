package e2e

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

// rule is what a role allows: verbs on a resource of a group.
func rule(group, resource string, names []string, verbs ...string) any {
	return map[string]any{"apiGroups": []string{group}, "resources": []string{resource}, "resourceNames": names, "verbs": verbs}
}

// allow grants the rules to a user, in all namespaces when there is none.
func (h *host) allow(t *testing.T, user, namespace string, rules ...any) {
	t.Helper()
	name := "e2e:" + user
	role, binding := "ClusterRole", "ClusterRoleBinding"
	if namespace != "" {
		role, binding = "Role", "RoleBinding"
	}
	meta := map[string]any{"name": name, "namespace": namespace}
	const version = "rbac.authorization.k8s.io/v1"
	h.apply(t, map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{
		map[string]any{"apiVersion": version, "kind": role, "metadata": meta, "rules": rules},
		map[string]any{"apiVersion": version, "kind": binding, "metadata": meta,
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}}},
	}})
}

// bind binds a role that is installed with the server, or built in.
func (h *host) bind(t *testing.T, user, clusterRole string) {
	t.Helper()
	h.kubectl(t, "create", "clusterrolebinding", "e2e:"+user+":"+strings.ReplaceAll(clusterRole, ":", "-"),
		"--clusterrole="+clusterRole, "--user="+user)
}

// The permissions that a policy of the platform needs, apart from those on Secrets.
func (p *platform) readsSources() any { return rule(p.group, "clusters", nil, "list", "watch") }

func writesPediaClusters() any {
	return rule("cluster.clusterpedia.io", "pediaclusters", nil, "create", "patch", "delete")
}

// policyWithReference is the policy of the platform with templates that name its Secret.
func (p *platform) policyWithReference(t *testing.T, namespaceTemplate, nameTemplate string) map[string]any {
	t.Helper()
	policy := p.manifests.policy.DeepCopy()
	set(t, *policy, []any{map[string]any{"key": "authSecret", "group": "", "resource": "secrets",
		"namespaceTemplate": namespaceTemplate, "nameTemplate": nameTemplate}}, "spec", "references")
	return policy.Object
}

func (p *platform) policyExists(t *testing.T) bool {
	t.Helper()
	_, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

func TestAnAuthorNeedsThePermissionsOfThePolicy(t *testing.T) {
	p := shared.newPlatform(t, "authored")
	p.installType(t)
	secret := func(names ...string) any { return rule("", "secrets", names, "get") }
	importing := func(names ...string) any {
		return rule("policy.clusterpedia.io", "clusterimportpolicies", names, "import")
	}
	chosen, fixed, single := p.manifests.policy.Object,
		p.policyWithReference(t, p.name, "{{ .source.metadata.name }}"), p.policyWithReference(t, p.name, "one-auth")
	const (
		sourcesMissing = "may not list or watch clusters.authored.mcp.io, which spec.source names"
		secretsMissing = `may not get secrets in all namespaces, which spec.references[0] ("authSecret") reads`
		writesMissing  = "may not create, patch or delete pediaclusters.cluster.clusterpedia.io"
	)
	for _, test := range []struct {
		user             string
		rules, inOwn     []any // in all namespaces, and in that of the platform
		policy           map[string]any
		missing, granted []string // nothing missing: the policy is accepted
	}{
		{"jane-nothing", nil, nil, chosen, []string{`user "jane-nothing"`, sourcesMissing, secretsMissing, writesMissing,
			`the verb "import" on clusterimportpolicies.policy.clusterpedia.io "authored"`}, nil},
		{"jane-sources", []any{p.readsSources()}, nil, chosen, []string{secretsMissing, writesMissing}, []string{"clusters.authored.mcp.io"}},
		{"jane-reads", []any{p.readsSources(), secret()}, nil, chosen, []string{writesMissing}, []string{"clusters.authored.mcp.io", "secrets"}},
		{"jane-writes", []any{p.readsSources(), secret(), writesPediaClusters()}, nil, chosen, nil, nil},
		{"jane-lists", []any{rule(p.group, "clusters", nil, "list"), secret(), writesPediaClusters()}, nil, chosen,
			[]string{"may not watch clusters.authored.mcp.io"}, nil},
		{"jane-own", []any{p.readsSources(), writesPediaClusters()}, []any{secret()}, chosen, []string{secretsMissing}, []string{"pediaclusters"}},
		{"jane-own-fixed", []any{p.readsSources(), writesPediaClusters()}, []any{secret()}, fixed, nil, nil},
		{"jane-one-fixed", []any{p.readsSources(), writesPediaClusters()}, []any{secret("one-auth")}, fixed,
			[]string{`may not get secrets in the namespace "authored"`}, nil},
		{"jane-one-single", []any{p.readsSources(), writesPediaClusters()}, []any{secret("one-auth")}, single, nil, nil},
		{"jane-import", []any{importing("authored"), writesPediaClusters()}, nil, chosen, nil, nil},
		{"jane-import-other", []any{importing("other"), writesPediaClusters()}, nil, chosen, []string{sourcesMissing, secretsMissing}, nil},
		{"jane-import-only", []any{importing()}, nil, chosen, []string{writesMissing}, []string{"get secrets", `the verb "import"`}},
	} {
		t.Run(test.user, func(t *testing.T) {
			p.bind(t, test.user, "clusterpedia:policy-admin")
			if test.rules != nil {
				p.allow(t, test.user, "", test.rules...)
			}
			if test.inOwn != nil {
				p.allow(t, test.user, p.name, test.inOwn...)
			}
			// A grant takes a moment to be seen, and answers are remembered for seconds.
			eventually(t, "the answer is that of the permissions", func() error {
				_, err := p.tryApply(t, test.policy, "--dry-run=server", "--as="+test.user)
				if test.missing == nil {
					return err
				}
				if err == nil {
					t.Fatal("the policy was accepted")
				}
				for _, permission := range test.granted {
					if strings.Contains(err.Error(), "may not") && strings.Contains(err.Error(), permission) {
						return fmt.Errorf("%q is missed in: %w", permission, err)
					}
				}
				return mentions(err.Error(), append(test.missing, "(Forbidden)")...)
			})
		})
	}

	for _, flags := range [][]string{{}, {"--server-side"}} {
		if _, err := p.tryApply(t, chosen, append(flags, "--as=jane-reads")...); err == nil || !strings.Contains(err.Error(), writesMissing) {
			t.Errorf("apply %v: %v", flags, err)
		}
	}
	if p.policyExists(t) {
		t.Error("a policy that was refused was written")
	}
	p.apply(t, chosen, "--server-side", "--as=jane-writes")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
}

func TestTheImportRoleStandsForWhatPoliciesRead(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "importer")
	p.installType(t)
	p.bind(t, "ivy", "clusterpedia:policy-admin")
	_, err := p.tryApply(t, p.manifests.policy.Object, "--as=ivy")
	if err == nil {
		t.Fatal("the role of those who write policies is enough")
	}
	p.bind(t, "ivy", "clusterpedia:policy-import")
	eventually(t, "the policy is accepted", func() error {
		_, err := p.tryApply(t, p.manifests.policy.Object, "--as=ivy")
		return err
	})
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
}

func TestWhoMayNotReadMayStillChangeTheRestOfAPolicy(t *testing.T) {
	t.Parallel()
	p := kubectlPlatform(t, "operated") // written by the administrator
	p.bind(t, "otto", "clusterpedia:policy-admin")
	patch := func(patch string) error {
		t.Helper()
		_, err := p.Kubectl(t.Context(), nil, "patch", "clusterimportpolicy", p.name, "--type=merge", "--as=otto", "--patch="+patch)
		return err
	}
	eventually(t, "otto may suspend", func() error { return patch(`{"spec":{"suspend":true}}`) })
	for _, harmless := range []string{
		`{"metadata":{"labels":{"team":"a"}}}`, `{"spec":{"maxPrune":0}}`, `{"spec":{"deletionPolicy":"Orphan"}}`, `{"spec":{"suspend":false}}`,
	} {
		if err := patch(harmless); err != nil {
			t.Errorf("%s: %v", harmless, err)
		}
	}
	for _, change := range []string{
		`{"spec":{"source":{"selectorTemplate":"true"}}}`, `{"spec":{"source":{"labelSelector":{"matchLabels":{"a":"b"}}}}}`,
		`{"spec":{"references":[]}}`, `{"spec":{"nameTemplate":"x"}}`, `{"spec":{"template":"spec: {apiserver: https://x}"}}`,
		`{"spec":{"creationCondition":"true"}}`, `{"spec":{"deletionCondition":"true"}}`,
	} {
		err := patch(change)
		if err == nil {
			t.Errorf("%s is accepted", change)
			continue
		}
		// A policy without references cannot have a template that reads one.
		if change != `{"spec":{"references":[]}}` {
			contains(t, err.Error(), "may not list or watch clusters.operated.mcp.io")
		}
	}
	// The controllers write the policy all the same.
	must(t, p.createCluster(t.Context(), "two", "secret", true))
	p.waitForToken(t, "two", "secret")
	p.waitForCreated(t, 2)
}

// warned keeps the warnings of an API server.
type warned struct {
	mu    sync.Mutex
	texts []string
}

func (w *warned) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func TestTheAuthorCheckCanWarnOrBeOff(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "lenient")
	p.installType(t)
	p.bind(t, "lena", "clusterpedia:policy-admin")
	for _, test := range []struct {
		flag    string
		says    string
		refused bool
		asked   int // about each of two policies
	}{
		{"--policy-author-check=enforce", `user "lena" may not list or watch clusters.lenient.mcp.io`, true, 7},
		{"--policy-author-check=warn", `user "lena" may not list or watch clusters.lenient.mcp.io`, false, 7},
		{"--policy-author-check=off", "", false, 0},
	} {
		t.Run(test.flag, func(t *testing.T) {
			record := newRecorder(t, p.Config())
			config := startServerWithoutControllers(t, record.URL, "lena", test.flag)
			said := &warned{}
			config.WarningHandler = said
			client, err := policyclient.NewForConfig(config)
			must(t, err)
			policies := client.PolicyV1alpha1().ClusterImportPolicies()
			eventually(t, "lena may list policies", func() error {
				_, err := policies.List(t.Context(), metav1.ListOptions{})
				return err
			})
			count := func() int {
				record.mu.Lock()
				defer record.mu.Unlock()
				return strings.Count(strings.Join(record.requests, "\n"), "POST /apis/authorization.k8s.io/v1/subjectaccessreviews")
			}

			before := count()
			created, err := policies.Create(t.Context(), &policyv1alpha1.ClusterImportPolicy{
				ObjectMeta: metav1.ObjectMeta{Name: p.name}, Spec: *p.spec(t)}, metav1.CreateOptions{})
			if apierrors.IsForbidden(err) != test.refused || err != nil && !test.refused {
				t.Fatalf("answered %v", err)
			}
			// One question is whether lena may create policies at all.
			must(t, same("the number of questions", fmt.Sprint(count()-before), fmt.Sprint(1+test.asked)))
			said.mu.Lock()
			text := strings.Join(said.texts, "\n")
			said.mu.Unlock()
			if err != nil {
				text = err.Error()
			}
			if test.says == "" && strings.Contains(text, "may not") {
				t.Errorf("it says %q", text)
			}
			contains(t, text, test.says)
			if test.refused {
				return
			}
			// What the policy does not read by is not asked about.
			created.Spec.Suspend = true
			before = count()
			_, err = policies.Update(t.Context(), created, metav1.UpdateOptions{})
			must(t, err)
			if asked := count() - before; asked > 1 {
				t.Errorf("%d questions about an update that leaves alone what is read", asked)
			}
		})
	}
}

func TestTheRolesGrantNoMoreThanTheySay(t *testing.T) {
	for role, user := range map[string]string{"view": "vera", "admin": "adam", "clusterpedia:policy-admin": "paul"} {
		shared.bind(t, user, role)
	}
	for _, test := range []struct {
		user, verb, resource string
		may                  bool
	}{
		{"vera", "get", "clusterimportpolicies.policy.clusterpedia.io", true},
		{"vera", "list", "pediaclusterlifecycles.policy.clusterpedia.io", true},
		{"vera", "get", "pediaclusters.cluster.clusterpedia.io", false},
		{"vera", "create", "clusterimportpolicies.policy.clusterpedia.io", false},
		{"vera", "import", "clusterimportpolicies.policy.clusterpedia.io", false},
		{"adam", "get", "clusterimportpolicies.policy.clusterpedia.io", true},
		{"adam", "create", "clusterimportpolicies.policy.clusterpedia.io", false},
		{"adam", "import", "clusterimportpolicies.policy.clusterpedia.io", false},
		{"paul", "create", "clusterimportpolicies.policy.clusterpedia.io", true},
		{"paul", "import", "clusterimportpolicies.policy.clusterpedia.io", false},
		{"paul", "get", "pediaclusters.cluster.clusterpedia.io", false},
		{"paul", "get", "secrets", false},
		{"paul", "create", "pediaclusterlifecycles.policy.clusterpedia.io", false},
	} {
		eventually(t, fmt.Sprintf("%s may %s %s: %t", test.user, test.verb, test.resource, test.may), func() error {
			cmd := shared.KubectlCommand(t.Context(), "auth", "can-i", test.verb, test.resource, "--as="+test.user)
			out, _ := cmd.Output() // "no" is a failure for kubectl
			want := "no"
			if test.may {
				want = "yes"
			}
			return same("the answer", strings.TrimSpace(string(out)), want)
		})
	}
}

// tenantPlatform is a platform whose Sources live in namespaces, and whose policy
// takes the Secret from the namespace of the Source.
func tenantPlatform(t *testing.T, name string) *platform {
	t.Helper()
	p := shared.newPlatform(t, name)
	set(t, p.manifests.crd, "Namespaced", "spec", "scope")
	p.manifests.policy.Object = p.policyWithReference(t, "{{ .source.metadata.namespace }}", "{{ .source.spec.authSecretRef.name }}")
	p.installType(t)
	return p
}

// createTenantCluster makes a Source in the namespace of the platform.
func (p *platform) createTenantCluster(t *testing.T, name, endpoint, secret string) {
	t.Helper()
	_, err := p.objects.Resource(p.resource).Namespace(p.name).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": p.resource.GroupVersion().String(), "kind": "Cluster", "metadata": map[string]any{"name": name},
		"spec":   map[string]any{"apiEndpoint": endpoint, "authSecretRef": map[string]any{"namespace": "victim", "name": secret}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
	}}, metav1.CreateOptions{})
	must(t, err)
}

func (p *platform) createSecret(t *testing.T, namespace, name, token string) {
	t.Helper()
	p.kubectl(t, "create", "secret", "generic", name, "--namespace="+namespace, "--from-literal=ca="+string(devcluster.Authority(name)), "--from-literal=token="+token)
}

func TestATenantCannotReachASecretOutsideItsNamespace(t *testing.T) {
	t.Parallel()
	p := tenantPlatform(t, "tenant")
	p.kubectl(t, "create", "namespace", "victim")
	p.createSecret(t, "victim", "target", "stolen")
	p.createSecret(t, p.name, "own", "mine")
	p.apply(t, p.manifests.policy.Object)
	attempts := map[string]string{
		"plain": "target", "path": "../../victim/secrets/target", "slash": "victim/target", "encoded": "..%2F..%2Fvictim%2Fsecrets%2Ftarget",
	}
	for name, secret := range attempts {
		p.createTenantCluster(t, name, endpoint(name), secret)
	}
	p.createTenantCluster(t, "honest", endpoint("honest"), "own")
	p.waitForToken(t, "honest", "mine")
	for name := range attempts {
		eventually(t, "the lifecycle of "+name+" has found nothing", func() error {
			lifecycle, err := p.lifecycle(t.Context(), name)
			if err != nil {
				return err
			}
			if phase := lifecycle.Status.Phase; phase != policyv1alpha1.LifecycleWaiting && phase != policyv1alpha1.LifecycleFailed {
				return fmt.Errorf("its phase is %q", phase)
			}
			return nil
		})
		if _, err := p.pediaCluster(t.Context(), name); !apierrors.IsNotFound(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestATemplateThatChecksTheEndpointKeepsCredentialsFromOthers(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "redirect")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	const evil = "https://evil.test/.example.com:6443"
	move := func(to string) {
		t.Helper()
		p.patch(t, p.objects.Resource(p.resource), "one", `{"spec":{"apiEndpoint":"`+to+`"}}`)
	}
	follows := func(to string) {
		t.Helper()
		move(to)
		eventually(t, "the PediaCluster leads to "+to, func() error {
			return same("the endpoint", text(p.waitForToken(t, "one", "secret"), "spec", "apiserver"), to)
		})
	}
	// Without a check the credentials go wherever the Source says.
	follows(evil)
	follows(endpoint("one"))

	template := text(&p.manifests.policy, "spec", "template")
	set(t, p.manifests.policy, `{{ if not (regexMatch "^https://[a-z0-9-]+\\.example\\.com:6443$" .source.spec.apiEndpoint) }}`+
		`{{ fail "the endpoint is none of ours" }}{{ end }}`+template, "spec", "template")
	p.apply(t, p.manifests.policy.Object)
	before := p.waitForToken(t, "one", "secret")
	move(evil)
	eventually(t, "the lifecycle says why it does not follow", func() error {
		lifecycle, err := p.lifecycle(t.Context(), "one")
		if err != nil {
			return err
		}
		return mentions(fmt.Sprint(lifecycle.Status.Conditions), "the endpoint is none of ours")
	})
	after := p.sameObject(t, "one", before)
	must(t, same("the endpoint", text(after, "spec", "apiserver"), endpoint("one")))
}

func TestAPrefixKeepsSourcesAwayFromThePediaClustersOfOthers(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "prefixed")
	foreign := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cluster.clusterpedia.io/v1alpha2", "kind": "PediaCluster", "metadata": map[string]any{"name": "production"},
		"spec": map[string]any{"apiserver": "https://production.example.com", "syncResources": []any{}},
	}}
	before, err := p.objects.Resource(pediaClusters).Create(t.Context(), foreign, metav1.CreateOptions{})
	must(t, err)
	must(t, p.createCluster(t.Context(), "production", "secret", true))
	p.waitForToken(t, "production", "secret")
	after, err := p.objects.Resource(pediaClusters).Get(t.Context(), "production", metav1.GetOptions{})
	must(t, err)
	must(t, same("its resourceVersion", after.GetResourceVersion(), before.GetResourceVersion()))
}

// TestNothingButThePediaClusterHoldsCredentials has a host of its own, so that
// what it looks through is all of it.
func TestNothingButThePediaClusterHoldsCredentials(t *testing.T) {
	h := ownHost(t, "--v=6")
	p := h.installPlatform(t, "discreet")
	const first, second = "Tr0ub4dor-and-3-of-the-kind", "c0rrect-horse-battery-and-staple"
	must(t, p.createCluster(t.Context(), "one", first, true))
	p.waitForToken(t, "one", first)
	p.setToken(t, "one", second)
	p.waitForToken(t, "one", second)
	// An error that has the value at hand.
	failing := p.manifests.policy.DeepCopy()
	set(t, *failing, `spec: {apiserver: "{{ .source.spec.apiEndpoint }}", tokenData: "{{ index .references.authSecret.data.token 9999 }}"}`, "spec", "template")
	p.apply(t, failing.Object)
	eventually(t, "the lifecycle fails", func() error {
		lifecycle, err := p.lifecycle(t.Context(), "one")
		if err != nil {
			return err
		}
		return same("its phase", string(lifecycle.Status.Phase), string(policyv1alpha1.LifecycleFailed))
	})
	eventually(t, "events tell of it", func() error {
		return mentions(p.kubectl(t, "get", "events", "--all-namespaces", "-o", "yaml"), "discreet")
	})

	places := map[string]string{
		"policies and lifecycles": p.kubectl(t, "get", "clusterimportpolicies,pediaclusterlifecycles", "-o", "yaml", "--show-managed-fields"),
		"events":                  p.kubectl(t, "get", "events", "--all-namespaces", "-o", "yaml"),
		"tables":                  p.kubectl(t, "get", "clusterimportpolicies,pediaclusterlifecycles", "-o", "wide"),
	}
	log, err := os.ReadFile(h.server.LogFile())
	must(t, err)
	places["the log"] = string(log)
	response, err := h.metricsClient(t).get()
	must(t, err)
	metrics, err := io.ReadAll(response.Body)
	must(t, errors.Join(err, response.Body.Close()))
	places["metrics"] = string(metrics)
	// The database of the embedded etcd, with all that was ever written to it.
	var database bytes.Buffer
	must(t, filepath.WalkDir(filepath.Join(h.dir, "policy-apiserver"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		database.Write(data)
		return err
	}))
	places["the storage"] = database.String()

	for place, content := range places {
		if !strings.Contains(content, "discreet") {
			t.Errorf("%s: the platform is not in it, so this test looks in the wrong place", place)
		}
		for _, secret := range []string{first, second} {
			encoded := base64.StdEncoding.EncodeToString([]byte(secret))
			for _, form := range []string{secret, encoded, base64.StdEncoding.EncodeToString([]byte(encoded))} {
				if at := strings.Index(content, form); at >= 0 {
					t.Errorf("%s: a token stands in %q", place, content[max(0, at-80):at])
				}
			}
		}
	}
}

func TestWhoTakesTheLeaseStopsImportsAndDeletesNothing(t *testing.T) {
	h := ownHost(t)
	p := h.installPlatform(t, "leased")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	before := p.waitForToken(t, "one", "secret")

	leases := h.objects.Resource(schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}).Namespace(devcluster.Namespace)
	_, err := leases.Patch(t.Context(), "policy-apiserver", types.MergePatchType,
		[]byte(`{"spec":{"holderIdentity":"mallory","leaseDurationSeconds":3600}}`), metav1.PatchOptions{})
	must(t, err)
	eventually(t, "the controllers stop", func() error {
		log, err := os.ReadFile(h.server.LogFile())
		return errors.Join(err, mentions(string(log), "This replica no longer leads"))
	})
	must(t, p.createCluster(t.Context(), "two", "secret", true))
	p.deleteCluster(t, "one")
	p.kubectl(t, "label", "clusterimportpolicy", p.name, "served=yes")
	p.sameObject(t, "one", before)
	if _, err := p.lifecycle(t.Context(), "two"); !apierrors.IsNotFound(err) {
		t.Errorf("the lifecycle of two: %v", err)
	}

	must(t, leases.Delete(t.Context(), "policy-apiserver", metav1.DeleteOptions{}))
	p.waitForToken(t, "two", "secret")
	p.waitForCreated(t, 1)
}

func TestWhoComesPastTheAggregatorIsNobody(t *testing.T) {
	// A caller with a certificate is let in: that of the administrator is one of the host.
	administrator := shared.metricsClient(t)
	stranger := shared.metricsClient(t, func(config *rest.Config) { *config = *rest.AnonymousClientConfig(config) })
	status := func(client metricsClient) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(client.url, "/metrics", renderPath+"clusterimportpolicies", 1), nil)
		must(t, err)
		// What the aggregator would send.
		request.Header.Set("X-Remote-User", "admin")
		request.Header.Set("X-Remote-Group", "system:masters")
		response, err := client.Do(request)
		must(t, err)
		must(t, response.Body.Close())
		return response.StatusCode
	}
	if got := status(administrator); got != http.StatusOK {
		t.Errorf("the administrator: %d", got)
	}
	if got := status(stranger); got != http.StatusForbidden && got != http.StatusUnauthorized {
		t.Errorf("the stranger: %d", got)
	}
}
