package e2e

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"

	"github.com/clusterpedia-io/policy-apiserver/pkg/registration"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const (
	deploy = artifacts + "/deploy"
	chart  = deploy + "/chart"

	certManagerModule        = "github.com/cert-manager/cert-manager@v1.21.2"
	prometheusOperatorModule = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
)

// The values of the chart that stand for the overlays, and for every value that
// ends up in a flag or in an object of its own.
var chartValues = map[string][]string{
	"default":           nil,
	"cert-manager":      {"certificate.mode=certManager"},
	"high-availability": {"replicas=2", "storage.external.servers={https://etcd.clusterpedia-system.svc:2379}"},
	"monitoring":        {"monitoring.enabled=true"},
	"production": {"replicas=2", "storage.external.servers={https://etcd.clusterpedia-system.svc:2379}",
		"certificate.mode=certManager", "monitoring.enabled=true"},
	"everything": {"storage.embedded.size=20Gi", "storage.embedded.storageClass=fast", "storage.embedded.quotaBytes=4294967296",
		"storage.embedded.snapshots.interval=1h", "storage.embedded.snapshots.count=24",
		"certificate.mode=secret", "certificate.secretName=policy-apiserver-serving-cert", "monitoring.enabled=true",
		"platforms={" + strings.Join(platformNames, ",") + "}", "authorCheck=warn", "probeClusters=true",
		"extraArgs={--concurrent-imports=64}", "imagePullSecrets[0].name=registry", "image.tag=v9", "goMemLimit=1800MiB",
		"priorityClassName=system-cluster-critical", "nodeSelector.pool=system", "tolerations[0].operator=Exists",
		"resources.limits.memory=2000Mi"},
	"an etcd without TLS, an issuer": {"storage.external.servers={http://127.0.0.1:2379}", "storage.external.tlsSecret=",
		"certificate.mode=certManager", "certificate.issuerRef.kind=ClusterIssuer", "certificate.issuerRef.name=company", "readSecrets=false"},
}

// installation is what a way to install the server makes.
type installation struct {
	name    string
	objects []unstructured.Unstructured
}

// installations renders the base, every overlay, and the chart.
func installations(t *testing.T) (all []installation) {
	t.Helper()
	overlays, err := filepath.Glob(deploy + "/overlays/*")
	must(t, err)
	if len(overlays) < 4 {
		t.Fatalf("the overlays are %v", overlays)
	}
	for _, folder := range append(overlays, deploy+"/base") {
		all = append(all, kustomize(t, folder))
	}
	for _, name := range slices.Sorted(maps.Keys(chartValues)) {
		rendered, err := helmTemplate(t, chartValues[name]...)
		must(t, err)
		all = append(all, installation{"chart: " + name, parse(t, rendered)})
	}
	return all
}

func kustomize(t *testing.T, folder string) installation {
	t.Helper()
	return installation{filepath.Base(folder), parse(t, shared.kubectl(t, "kustomize", folder))}
}

func parse(t *testing.T, rendered string) []unstructured.Unstructured {
	t.Helper()
	objects, err := devcluster.ParseManifest(strings.NewReader(rendered))
	must(t, err)
	return objects
}

// helmTemplate renders the chart with these values.
func helmTemplate(t *testing.T, values ...string) (string, error) {
	t.Helper()
	args := []string{"template", "policy-apiserver", chart, "--namespace=" + devcluster.Namespace}
	for _, value := range values {
		args = append(args, "--set", value)
	}
	return helm(t, "", args...)
}

func helm(t *testing.T, kubeconfig string, args ...string) (string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binDir+"/helm", args...)
	home := t.TempDir() // what Helm remembers is not for the user
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// each decodes the objects of a kind.
func each[T any](t *testing.T, i installation, kind string) (found []T) {
	t.Helper()
	for _, object := range i.objects {
		if object.GetKind() == kind {
			var typed T
			must(t, apiruntime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &typed, true))
			found = append(found, typed)
		}
	}
	return found
}

// workload is the template of the server's pods, and how many there are.
func (i installation) workload(t *testing.T) (corev1.PodTemplateSpec, int32) {
	t.Helper()
	stateful, replicated := each[appsv1.StatefulSet](t, i, "StatefulSet"), each[appsv1.Deployment](t, i, "Deployment")
	switch {
	case len(stateful) == 1 && len(replicated) == 0:
		template := stateful[0].Spec.Template
		for _, claim := range stateful[0].Spec.VolumeClaimTemplates {
			template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: claim.Name})
		}
		return template, *stateful[0].Spec.Replicas
	case len(stateful) == 0 && len(replicated) == 1:
		return replicated[0].Spec.Template, *replicated[0].Spec.Replicas
	}
	t.Fatalf("%s has %d StatefulSets and %d Deployments", i.name, len(stateful), len(replicated))
	return corev1.PodTemplateSpec{}, 0
}

// arguments are the flags of the server, with the variables filled in.
func (i installation) arguments(t *testing.T) (args []string) {
	t.Helper()
	template, _ := i.workload(t)
	container := template.Spec.Containers[0]
	var replace []string
	for _, variable := range container.Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil && from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace" {
			value = devcluster.Namespace
		} else if from != nil && from.ConfigMapKeyRef != nil {
			for _, configMap := range each[corev1.ConfigMap](t, i, "ConfigMap") {
				if configMap.Name == from.ConfigMapKeyRef.Name {
					value = configMap.Data[from.ConfigMapKeyRef.Key]
				}
			}
		}
		if value == "" {
			t.Errorf("%s: the variable %s has no value", i.name, variable.Name)
		}
		replace = append(replace, "$("+variable.Name+")", value)
	}
	for _, arg := range container.Args {
		arg = strings.NewReplacer(replace...).Replace(arg)
		if strings.Contains(arg, "$(") {
			t.Errorf("%s: %s has a variable that nothing fills in", i.name, arg)
		}
		args = append(args, arg)
	}
	return args
}

// TestWhatIsShippedIsAcceptedByAHost applies every installation to a host of its
// own, and has the host's Pod Security check a pod of each.
func TestWhatIsShippedIsAcceptedByAHost(t *testing.T) {
	cluster := startHostAlone(t)
	install := func(what ...string) {
		t.Helper()
		_, err := cluster.Kubectl(t.Context(), nil, append([]string{"apply", "--server-side", "--validate=strict"}, what...)...)
		must(t, err)
	}
	certManager := moduleDir(t, certManagerModule) + "/deploy/crds/cert-manager.io_"
	prometheus := moduleDir(t, prometheusOperatorModule) + "/example/prometheus-operator-crd/monitoring.coreos.com_"
	install("-f", certManager+"issuers.yaml", "-f", certManager+"certificates.yaml",
		"-f", prometheus+"servicemonitors.yaml", "-f", prometheus+"prometheusrules.yaml")
	must(t, cluster.WaitForTypes(t.Context(), "issuers.cert-manager.io", "certificates.cert-manager.io",
		"servicemonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com"))

	// Helm itself, before there is anything.
	must(t, helmInstall(t, cluster))

	// Not the StatefulSet: the host writes into its volumeClaimTemplates, which kubectl takes for a difference.
	for _, what := range []string{"--kustomize=" + artifacts + "/monitoring", "--filename=" + artifacts + "/crds"} {
		_, err := cluster.Kubectl(t.Context(), nil, "apply", what)
		must(t, err)
		unchanged(t, cluster, what)
	}

	for _, i := range installations(t) {
		t.Run(i.name, func(t *testing.T) {
			// Volume claims of a StatefulSet cannot be changed.
			_, err := cluster.Kubectl(t.Context(), nil, "delete", "--ignore-not-found", "--namespace="+devcluster.Namespace, "statefulset,deployment", "policy-apiserver")
			must(t, err)
			_, err = cluster.Kubectl(t.Context(), yamlOf(t, i.objects), "apply", "--server-side", "--validate=strict", "--force-conflicts", "-f", "-")
			must(t, err)

			template, _ := i.workload(t)
			_, err = cluster.Kubectl(t.Context(), nil, "label", "--overwrite", "namespace", devcluster.Namespace, "pod-security.kubernetes.io/enforce=restricted")
			must(t, err)
			pod := corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
			pod.APIVersion, pod.Kind, pod.Name, pod.Namespace = "v1", "Pod", "policy-apiserver-0", devcluster.Namespace
			for index := range pod.Spec.Volumes {
				if volume := &pod.Spec.Volumes[index]; volume.VolumeSource == (corev1.VolumeSource{}) {
					volume.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: volume.Name}
				}
			}
			pod.Spec.PriorityClassName = "" // of the cluster's choice
			object, err := apiruntime.DefaultUnstructuredConverter.ToUnstructured(&pod)
			must(t, err)
			_, err = cluster.Kubectl(t.Context(), yamlOf(t, []unstructured.Unstructured{{Object: object}}), "create", "--dry-run=server", "-f", "-")
			must(t, err)

			for _, binding := range each[rbacv1.ClusterRoleBinding](t, i, "ClusterRoleBinding") {
				_, err := cluster.Kubectl(t.Context(), nil, "get", "clusterrole", binding.RoleRef.Name)
				must(t, err)
			}
			for _, binding := range each[rbacv1.RoleBinding](t, i, "RoleBinding") {
				_, err := cluster.Kubectl(t.Context(), nil, "get", "--namespace="+binding.Namespace, "role", binding.RoleRef.Name)
				must(t, err)
			}
		})
	}
}

// unchanged fails the test unless kubectl apply says so of everything that was applied before.
func unchanged(t *testing.T, cluster *devcluster.Cluster, what ...string) {
	t.Helper()
	out, err := cluster.Kubectl(t.Context(), nil, append([]string{"apply"}, what...)...)
	must(t, err)
	for line := range strings.Lines(out) {
		if !strings.HasSuffix(strings.TrimSpace(line), " unchanged") {
			t.Errorf("kubectl apply %s once more: %s", strings.Join(what, " "), line)
		}
	}
}

// startHostAlone starts a host without the server.
func startHostAlone(t *testing.T) *devcluster.Cluster {
	t.Helper()
	t.Parallel()
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{Dir: t.TempDir(), BinDir: binDir, UnsafeNoFsync: true})
	must(t, err)
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

// helmInstall installs the chart, upgrades it and uninstalls it again. What remains of it then is
// in docs/operations.md.
func helmInstall(t *testing.T, cluster *devcluster.Cluster) error {
	t.Helper()
	before := installed(t, cluster)
	if _, err := helm(t, cluster.Kubeconfig(), "install", "policy-apiserver", chart, "--namespace="+devcluster.Namespace, "--create-namespace"); err != nil {
		return err
	}
	if _, err := helm(t, cluster.Kubeconfig(), "upgrade", "policy-apiserver", chart, "--namespace="+devcluster.Namespace, "--set=platforms={cluster-api}"); err != nil {
		return err
	}
	if _, err := cluster.Kubectl(t.Context(), nil, "get", "--namespace="+devcluster.Namespace, "statefulset,service", "policy-apiserver"); err != nil {
		return err
	}
	if _, err := helm(t, cluster.Kubeconfig(), "uninstall", "policy-apiserver", "--namespace="+devcluster.Namespace); err != nil {
		return err
	}
	want := []string{"apiservice.apiregistration.k8s.io/v1alpha2.cluster.clusterpedia.io", // the host's, for the type
		"customresourcedefinition.apiextensions.k8s.io/pediaclusters.cluster.clusterpedia.io", "namespace/" + devcluster.Namespace}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(without(installed(t, cluster), before)))); diff != "" {
		return fmt.Errorf("what remains after an uninstall: -want +got:\n%s", diff)
	}
	return cluster.WaitForTypes(t.Context(), "pediaclusters.cluster.clusterpedia.io")
}

// installed are the names of all that an installation may consist of.
func installed(t *testing.T, cluster *devcluster.Cluster) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, kinds := range []string{
		"namespaces,clusterroles,clusterrolebindings,customresourcedefinitions,apiservices",
		"roles,rolebindings,services,secrets,serviceaccounts,statefulsets,deployments,networkpolicies,leases,persistentvolumeclaims",
	} {
		out, err := cluster.Kubectl(t.Context(), nil, "get", kinds, "--all-namespaces", "--output=name")
		must(t, err)
		for _, name := range strings.Fields(out) {
			found[name] = true
		}
	}
	// The host has one in each namespace.
	delete(found, "serviceaccount/default")
	return found
}

func without(all, some map[string]bool) map[string]bool {
	rest := maps.Clone(all)
	maps.DeleteFunc(rest, func(name string, _ bool) bool { return some[name] })
	return rest
}

func yamlOf(t *testing.T, objects []unstructured.Unstructured) *bytes.Reader {
	t.Helper()
	list := unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}, Items: objects}
	text, err := list.MarshalJSON()
	must(t, err)
	return bytes.NewReader(text)
}

func TestTheShippedFlagsAreThoseOfTheServer(t *testing.T) {
	for _, i := range installations(t) {
		t.Run(i.name, func(t *testing.T) {
			// Flags are parsed before help is given.
			out, err := exec.CommandContext(t.Context(), binDir+"/policy-apiserver", append(i.arguments(t), "--help")...).CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, lastLine(string(out)))
			}
		})
	}
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// TestTheServerRunsWithTheShippedFlags: it registers itself, as the ServiceAccount
// and with the rights of the base, and the aggregator reaches it.
func TestTheServerRunsWithTheShippedFlags(t *testing.T) {
	args := slices.DeleteFunc(kustomize(t, deploy+"/base").arguments(t), func(arg string) bool {
		// What a pod has to itself is the development cluster's to choose.
		return strings.HasPrefix(arg, "--secure-port=") || strings.HasPrefix(arg, "--embedded-etcd-dir=")
	})
	h := startRegisteringHost(t, args...)
	h.kubectl(t, "get", "clusterimportpolicies")
	contains(t, h.kubectl(t, "get", "secret", "--namespace="+devcluster.Namespace, registration.SecretName, "--output=jsonpath={.data}"), "tls.crt", "ca.crt")
	lease := []string{"get", "--namespace=" + devcluster.Namespace, "lease", devcluster.ServiceName}
	eventually(t, "the controllers run", func() error { _, err := h.Kubectl(t.Context(), nil, lease...); return err })
	if log := readLog(t, h.server.LogFile()); strings.Contains(log, "is forbidden") {
		t.Errorf("a right is missing:\n%s", log)
	}
}

// TestTheShippedPartsFitTogether compares what the objects say of each other.
func TestTheShippedPartsFitTogether(t *testing.T) {
	document, err := os.ReadFile("../../docs/install.md")
	must(t, err)
	server := shared.metricsClient(t)
	for _, i := range installations(t) {
		t.Run(i.name, func(t *testing.T) {
			template, replicas := i.workload(t)
			container, args := template.Spec.Containers[0], i.arguments(t)

			flags := map[string]string{}
			for _, arg := range args {
				name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
				if _, twice := flags[name]; twice {
					t.Errorf("--%s is given twice", name)
				}
				flags[name] = value
			}
			if port := strconv.Itoa(int(container.Ports[0].ContainerPort)); flags["secure-port"] != port {
				t.Errorf("--secure-port is %s, the port of the container %s", flags["secure-port"], port)
			}
			if replicas > 1 && flags["etcd-servers"] == "" {
				t.Errorf("%d replicas have an embedded etcd", replicas)
			}

			service := each[corev1.Service](t, i, "Service")[0]
			if flags["service-name"] != service.Name || flags["service-namespace"] != service.Namespace {
				t.Errorf("the flags name the Service %s/%s", flags["service-namespace"], flags["service-name"])
			}
			policy := each[networkingv1.NetworkPolicy](t, i, "NetworkPolicy")[0]
			for what, port := range map[string]intstr.IntOrString{
				"the Service":         service.Spec.Ports[0].TargetPort,
				"the NetworkPolicy":   *policy.Spec.Ingress[0].Ports[0].Port,
				"the startup probe":   container.StartupProbe.HTTPGet.Port,
				"the liveness probe":  container.LivenessProbe.HTTPGet.Port,
				"the readiness probe": container.ReadinessProbe.HTTPGet.Port,
			} {
				if port.StrVal != container.Ports[0].Name {
					t.Errorf("%s leads to the port %s", what, port.String())
				}
			}
			for what, labels := range map[string]map[string]string{
				"the Service":       service.Spec.Selector,
				"the NetworkPolicy": policy.Spec.PodSelector.MatchLabels,
			} {
				if !maps.Equal(labels, template.Labels) {
					t.Errorf("%s selects %v, pods have %v", what, labels, template.Labels)
				}
			}
			for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
				probed := metricsClient{server.Client, strings.TrimSuffix(server.url, "/metrics") + probe.HTTPGet.Path}
				response, err := probed.get()
				must(t, err)
				must(t, response.Body.Close())
				if response.StatusCode != http.StatusOK {
					t.Errorf("%s answers %s", probe.HTTPGet.Path, response.Status)
				}
			}

			i.checkIdentity(t, template)
			i.checkFiles(t, template, flags, string(document))
			i.checkRights(t)
		})
	}
}

// checkIdentity compares ServiceAccounts with whom the bindings name.
func (i installation) checkIdentity(t *testing.T, template corev1.PodTemplateSpec) {
	t.Helper()
	accounts := map[string]bool{}
	for _, account := range each[corev1.ServiceAccount](t, i, "ServiceAccount") {
		accounts[account.Namespace+"/"+account.Name] = true
	}
	if !accounts[devcluster.Namespace+"/"+template.Spec.ServiceAccountName] {
		t.Errorf("the pod's ServiceAccount %s is not among %v", template.Spec.ServiceAccountName, accounts)
	}
	var subjects []rbacv1.Subject
	for _, binding := range each[rbacv1.ClusterRoleBinding](t, i, "ClusterRoleBinding") {
		subjects = append(subjects, binding.Subjects...)
	}
	for _, binding := range each[rbacv1.RoleBinding](t, i, "RoleBinding") {
		subjects = append(subjects, binding.Subjects...)
	}
	for _, subject := range subjects {
		if !accounts[subject.Namespace+"/"+subject.Name] {
			t.Errorf("rights are bound to %s/%s, which is not there", subject.Namespace, subject.Name)
		}
	}
}

// checkFiles compares mounts with the flags that name files, and the Secrets of
// the mounts with those that something makes: an object of the installation, the
// server, cert-manager, or a user who reads the documentation.
func (i installation) checkFiles(t *testing.T, template corev1.PodTemplateSpec, flags map[string]string, document string) {
	t.Helper()
	made := map[string]bool{}
	for _, object := range i.objects {
		switch object.GetKind() {
		case "Secret":
			made[object.GetName()] = true
		case "Certificate":
			made[text(&object, "spec", "secretName")] = true
		}
	}
	volumes := map[string]corev1.Volume{}
	for _, volume := range template.Spec.Volumes {
		volumes[volume.Name] = volume
		if volume.Secret != nil && !made[volume.Secret.SecretName] && !strings.Contains(document, volume.Secret.SecretName) {
			t.Errorf("nothing makes the Secret %s, and docs/install.md does not speak of it", volume.Secret.SecretName)
		}
	}
	var mounts []string
	for _, mount := range template.Spec.Containers[0].VolumeMounts {
		if _, found := volumes[mount.Name]; !found {
			t.Errorf("there is no volume %s", mount.Name)
		}
		delete(volumes, mount.Name)
		used := mount.MountPath == os.TempDir()
		for _, value := range flags {
			used = used || strings.HasPrefix(value, mount.MountPath+"/")
		}
		if !used {
			t.Errorf("no flag names a file in %s", mount.MountPath)
		}
		mounts = append(mounts, mount.MountPath+"/")
	}
	for name := range volumes {
		t.Errorf("the volume %s is not mounted", name)
	}
	for name, value := range flags {
		within := func(mount string) bool { return strings.HasPrefix(value, mount) }
		if strings.HasPrefix(value, "/") && name != "etcd-prefix" && !slices.ContainsFunc(mounts, within) {
			t.Errorf("--%s=%s is not on a volume, and the root file system is read-only", name, value)
		}
	}
}

// checkRights holds the roles to what can be said of all of them.
func (i installation) checkRights(t *testing.T) {
	t.Helper()
	rules := map[string][]rbacv1.PolicyRule{}
	for _, role := range each[rbacv1.ClusterRole](t, i, "ClusterRole") {
		rules[role.Name] = role.Rules
		writes := slices.ContainsFunc(role.Rules, func(rule rbacv1.PolicyRule) bool {
			return slices.Contains(rule.Resources, "secrets") && !onlyReads(rule.Verbs)
		})
		if writes {
			t.Errorf("%s writes Secrets in all namespaces", role.Name)
		}
	}
	for _, role := range each[rbacv1.Role](t, i, "Role") {
		rules[role.Name] = role.Rules
		for _, rule := range role.Rules {
			if len(rule.ResourceNames) == 0 && !slices.Equal(rule.Verbs, []string{"create"}) {
				t.Errorf("%s: %v of %v is not limited by name", role.Name, rule.Verbs, rule.Resources)
			}
		}
	}
	for name, rules := range rules {
		for _, rule := range rules {
			for _, words := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs} {
				for _, word := range words {
					if strings.Contains(word, "*") {
						t.Errorf("%s has %q", name, word)
					}
				}
			}
		}
	}
}

func onlyReads(verbs []string) bool {
	return !slices.ContainsFunc(verbs, func(verb string) bool { return !slices.Contains([]string{"get", "list", "watch"}, verb) })
}

// TestTheChartMakesWhatKustomizeMakes compares them object by object.
func TestTheChartMakesWhatKustomizeMakes(t *testing.T) {
	overlays := map[string]string{"default": deploy + "/base"}
	for _, name := range []string{"cert-manager", "high-availability", "monitoring", "production"} {
		overlays[name] = deploy + "/overlays/" + name
	}
	for name, folder := range overlays {
		t.Run(name, func(t *testing.T) {
			rendered, err := helmTemplate(t, chartValues[name]...)
			must(t, err)
			want, got := kustomize(t, folder).comparable(t), installation{"chart", parse(t, rendered)}.comparable(t)
			delete(want, "Namespace /clusterpedia-system") // with Helm: --create-namespace
			if difference := cmp.Diff(want, got); difference != "" {
				t.Errorf("kustomize makes (-), the chart makes (+):\n%s", difference)
			}
		})
	}
}

// comparable returns the objects by kind, namespace and name. The servers of an
// etcd come by a ConfigMap with kustomize, by value with the chart: both are told
// by value, and the order of flags, volumes and variables is of no meaning.
func (i installation) comparable(t *testing.T) map[string]any {
	t.Helper()
	objects := map[string]any{}
	for _, object := range i.objects {
		switch object.GetKind() {
		case "ConfigMap":
			continue
		case "StatefulSet", "Deployment":
			template, _ := i.workload(t)
			container := &template.Spec.Containers[0]
			container.Args = slices.Sorted(slices.Values(i.arguments(t)))
			container.Env = slices.DeleteFunc(container.Env, func(variable corev1.EnvVar) bool {
				return variable.ValueFrom != nil && variable.ValueFrom.ConfigMapKeyRef != nil
			})
			byName := func(a, b corev1.VolumeMount) int { return strings.Compare(a.Name, b.Name) }
			slices.SortFunc(container.VolumeMounts, byName)
			slices.SortFunc(template.Spec.Volumes, func(a, b corev1.Volume) int { return strings.Compare(a.Name, b.Name) })
			objects["pod template"] = template
			unstructured.RemoveNestedField(object.Object, "spec", "template")
		}
		key := fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
		if _, twice := objects[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		objects[key] = object.Object
	}
	return objects
}

// TestTheExamplesOfTheInstallationDocumentation renders them.
func TestTheExamplesOfTheInstallationDocumentation(t *testing.T) {
	document, err := os.ReadFile("../../docs/install.md")
	must(t, err)
	dir := t.TempDir()
	absolute, err := filepath.Abs(artifacts)
	must(t, err)
	must(t, os.Symlink(absolute, filepath.Join(dir, "artifacts")))
	mine := filepath.Join(dir, "my-cluster")
	must(t, os.Mkdir(mine, 0o700))
	for _, block := range fence.FindAllStringSubmatch(string(document), -1) {
		if block[2] != "" {
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(mine, block[2])), 0o700))
			must(t, os.WriteFile(filepath.Join(mine, block[2]), []byte(block[3]), 0o600))
		}
	}

	adapted := kustomize(t, mine)
	servers := "--etcd-servers=https://etcd-0.example.com:2379,https://etcd-1.example.com:2379"
	template, _ := adapted.workload(t)
	if args := adapted.arguments(t); !slices.Contains(args, servers) || !slices.Contains(args, "--concurrent-imports=64") ||
		template.Spec.Containers[0].Image != "registry.example.com/policy-apiserver:v0.1.0" {
		t.Errorf("the kustomization runs %s with %v", template.Spec.Containers[0].Image, args)
	}

	rendered, err := helm(t, "", "template", "policy-apiserver", chart, "--namespace="+devcluster.Namespace, "--values", filepath.Join(mine, "values.yaml"))
	must(t, err)
	contains(t, rendered, servers, "replicas: 2", "kind: ServiceMonitor", "kind: Issuer", "clusterpedia:policy-sources:cluster-api")
}

// TestClusterpediaIsInstalledWithoutWhatThisServerReplaces renders the kustomization
// of docs/install.md on what stands for Clusterpedia's manifests.
func TestClusterpediaIsInstalledWithoutWhatThisServerReplaces(t *testing.T) {
	document, err := os.ReadFile("../../docs/install.md")
	must(t, err)
	dir := t.TempDir()
	for _, block := range fence.FindAllStringSubmatch(string(document), -1) {
		if block[2] == "clusterpedia/kustomization.yaml" {
			local := strings.Replace(block[3], "https://github.com/clusterpedia-io/clusterpedia/kustomize", "theirs.yaml", 1)
			must(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(local), 0o600))
		}
	}
	var theirs strings.Builder
	for _, object := range []string{
		"apps/v1 Deployment clusterpedia-controller-manager", "apps/v1 Deployment clusterpedia-apiserver",
		"apiextensions.k8s.io/v1 CustomResourceDefinition clusterimportpolicies.policy.clusterpedia.io",
		"apiextensions.k8s.io/v1 CustomResourceDefinition pediaclusterlifecycles.policy.clusterpedia.io",
		"apiextensions.k8s.io/v1 CustomResourceDefinition pediaclusters.cluster.clusterpedia.io",
	} {
		is := strings.Fields(object)
		fmt.Fprintf(&theirs, "apiVersion: %s\nkind: %s\nmetadata: {name: %s}\n---\n", is[0], is[1], is[2])
	}
	must(t, os.WriteFile(filepath.Join(dir, "theirs.yaml"), []byte(theirs.String()), 0o600))
	var left []string
	for _, object := range kustomize(t, dir).objects {
		left = append(left, object.GetName())
	}
	slices.Sort(left)
	must(t, same("what is left", strings.Join(left, " "), "clusterpedia-apiserver pediaclusters.cluster.clusterpedia.io"))
}

// TestTheShippedTokenIsForMetricsOnly tries what the ServiceMonitor scrapes with.
func TestTheShippedTokenIsForMetricsOnly(t *testing.T) {
	shared.kubectl(t, "apply", "--server-side", "-f", monitoring+"rbac.yaml")
	token := strings.TrimSpace(shared.kubectl(t, "create", "token", "--namespace="+devcluster.Namespace, "policy-apiserver-metrics"))
	client := shared.metricsClient(t, func(config *rest.Config) {
		config.CertFile, config.KeyFile, config.BearerToken = "", "", token
		config.ServerName = devcluster.ServiceName + "." + devcluster.Namespace + ".svc"
	})
	_, err := scrape(client)
	must(t, err)
	client.url = strings.TrimSuffix(client.url, "/metrics") + "/apis/policy.clusterpedia.io/v1alpha1/clusterimportpolicies"
	response, err := client.get()
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("policies are answered with %s", response.Status)
	}
}

func TestTheChartRefusesWhatCannotWork(t *testing.T) {
	for reason, values := range map[string][]string{
		"replicas is 2, but the embedded etcd belongs to one replica: set storage.external.servers": {"replicas=2"},
		"additional properties 'replicaCount' not allowed":                                          {"replicaCount=1"},
		"additional properties 'quota' not allowed":                                                 {"storage.embedded.quota=1"},
		"certificate.mode is secret: set certificate.secretName":                                    {"certificate.mode=secret"},
		"certificate.secretName is used with certificate.mode secret only":                          {"certificate.secretName=mine"},
		"certificate.issuerRef is used with certificate.mode certManager only":                      {"certificate.issuerRef.name=mine"},
		"at '/authorCheck'": {"authorCheck=maybe"},
		"at '/platforms/0'": {"platforms={nothing}"},
	} {
		_, err := helmTemplate(t, values...)
		if err == nil {
			t.Errorf("%v is accepted", values)
		} else {
			contains(t, err.Error(), reason)
		}
	}
}

// TestTheChartGoesIntoAnotherNamespace, where nothing of the default one is left.
func TestTheChartGoesIntoAnotherNamespace(t *testing.T) {
	rendered, err := helm(t, "", "template", "policy-apiserver", chart, "--namespace=elsewhere",
		"--set", "certificate.mode=certManager,monitoring.enabled=true")
	must(t, err)
	if strings.Contains(rendered, devcluster.Namespace) {
		t.Errorf("%s is still named in\n%s", devcluster.Namespace, rendered)
	}
	contains(t, rendered, "dnsNames:\n  - policy-apiserver.elsewhere.svc", "namespace: kube-system")
}

// dockerfile finds one instruction.
func dockerfile(t *testing.T, text, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(`(?m)^`+pattern+`$`).FindAllStringSubmatch(text, -1)
	if len(match) == 0 {
		t.Fatalf("the Dockerfile has no line %s", pattern)
	}
	return match[len(match)-1][1]
}

// TestTheImageIsWhatTheManifestsRun runs the build of the Dockerfile for the
// machine that the test runs on.
func TestTheImageIsWhatTheManifestsRun(t *testing.T) {
	contents, err := os.ReadFile("../../Dockerfile")
	must(t, err)
	text := string(contents)
	template, _ := kustomize(t, deploy+"/base").workload(t)
	container, pod := template.Spec.Containers[0], template.Spec.SecurityContext

	if port := dockerfile(t, text, `EXPOSE (\d+)`); port != strconv.Itoa(int(container.Ports[0].ContainerPort)) {
		t.Errorf("the image exposes %s, the container %d", port, container.Ports[0].ContainerPort)
	}
	if user := dockerfile(t, text, `USER (\d+:\d+)`); user != fmt.Sprintf("%d:%d", *pod.RunAsUser, *pod.RunAsGroup) {
		t.Errorf("the image runs as %s, the pod as %d:%d", user, *pod.RunAsUser, *pod.RunAsGroup)
	}
	entrypoint := dockerfile(t, text, `ENTRYPOINT \["([^"]+)"\]`)
	if len(container.Command) > 0 || dockerfile(t, text, `COPY --from=build \S+ (\S+)`) != entrypoint {
		t.Errorf("the entry point %s is not what is copied, or not what runs: %v", entrypoint, container.Command)
	}

	// A checkout of its own, since the tests may run in one that git does not trust.
	checkout := t.TempDir()
	command := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = checkout
		cmd.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v: %s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, folder := range []string{"artifacts/crds", "cmd", "pkg"} {
		must(t, os.CopyFS(filepath.Join(checkout, folder), os.DirFS("../../"+folder)))
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		contents, err := os.ReadFile("../../" + file)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(checkout, file), contents, 0o600))
	}
	command("git", "init", "--quiet")
	command("git", "add", ".")
	command("git", "-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false", "commit", "--quiet", "--message=a state")
	commit := command("git", "rev-parse", "--short=12", "HEAD")
	build := dockerfile(t, text, `    (CGO_ENABLED=0 .*\\\n.*)`)
	binary := filepath.Join(t.TempDir(), "policy-apiserver")
	build = strings.NewReplacer("\\\n", " ", dockerfile(t, text, `COPY --from=build (\S+) \S+`), binary).Replace(build)
	command("sh", "-c", build)

	file, err := elf.Open(binary)
	must(t, err)
	defer file.Close()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("it is linked with %v, %v", libraries, err)
	}
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			t.Error("it asks for a dynamic linker, and the image has none")
		}
	}
	if runtime.GOOS == "linux" {
		contains(t, command(binary, "--version"), commit)
	}
}
