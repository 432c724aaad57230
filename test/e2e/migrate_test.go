package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/migrate"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const (
	formerManager   = "clusterpedia-controller-manager"
	formerFinalizer = "clusterpedia.io/of-the-former-controller"
	usersFinalizer  = "example.com/of-a-user"
	formerClusters  = 50
)

// formerHost is a host with a Clusterpedia installation whose CRDs hold policies
// and lifecycles, and the server beside it.
type formerHost struct {
	*platform
	client kubernetes.Interface
	// uids are those of policies and lifecycles, by kind and name.
	uids map[string]types.UID
	// clusters are the UIDs of the PediaClusters, by name.
	clusters map[string]types.UID
	record   *pediaClusterEvents
	// stopped ends when the controller-manager has.
	stopped chan struct{}
}

// newFormerHost installs the server beside the CRDs, with an APIService or, if it
// is to register itself, without. Neither must disturb the CRDs.
func newFormerHost(t *testing.T, options devcluster.ServerOptions) *formerHost {
	t.Helper()
	t.Parallel()
	dir, err := os.MkdirTemp("", "policy-apiserver-e2e-")
	must(t, err)
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{Dir: dir, BinDir: binDir, UnsafeNoFsync: true})
	must(t, err)
	h := &host{Cluster: cluster, dir: dir}
	t.Cleanup(func() {
		if err := h.stop(!t.Failed()); err != nil {
			t.Error(err)
		}
	})
	h.objects, err = dynamic.NewForConfig(h.Config())
	must(t, err)
	h.policy, err = policyclient.NewForConfig(h.Config())
	must(t, err)
	client, err := kubernetes.NewForConfig(h.Config())
	must(t, err)
	h.kubectl(t, "apply", "--server-side", "-f", artifacts+"/crds", "-f", "testdata/former-crds.yaml")
	must(t, h.WaitForTypes(t.Context(), "pediaclusters.cluster.clusterpedia.io",
		"clusterimportpolicies.policy.clusterpedia.io", "pediaclusterlifecycles.policy.clusterpedia.io"))
	options.Manifests = artifacts + "/deploy/base"
	h.server, err = h.StartServer(t.Context(), options)
	must(t, err)

	f := &formerHost{platform: h.newPlatform(t, "former"), client: client, uids: map[string]types.UID{}, stopped: make(chan struct{})}
	f.installType(t)
	f.importAsBefore(t)
	f.runManager(t)
	f.clusters = uidsOf(t, h)
	f.record = h.recordPediaClusters(t)
	return f
}

// importAsBefore makes what Clusterpedia's controllers would have: a policy with
// many imports, and one that this server would not take.
func (f *formerHost) importAsBefore(t *testing.T) {
	t.Helper()
	policy := f.manifests.policy.DeepCopy()
	unstructured.RemoveNestedField(policy.Object, "spec", "maxPrune")
	set(t, *policy, []any{map[string]any{
		"key": "authSecret", "group": "", "resource": "secrets", "versions": []any{"v1"},
		"namespaceTemplate": "{{ .source.spec.authSecretRef.namespace }}", "nameTemplate": "{{ .source.spec.authSecretRef.name }}",
	}}, "spec", "references")
	policy.SetFinalizers([]string{formerFinalizer})
	policy.SetAnnotations(map[string]string{"team": "blue"})
	policy = f.createAsBefore(t, "clusterimportpolicies", policy)
	set(t, *policy, []any{map[string]any{"type": "Validated", "status": "True"}}, "status", "conditions")
	_, err := f.objects.Resource(policyv1alpha1.SchemeGroupVersion.WithResource("clusterimportpolicies")).
		UpdateStatus(t.Context(), policy, metav1.UpdateOptions{})
	must(t, err)
	for i := range formerClusters {
		must(t, f.createCluster(t.Context(), clusterName(i), clusterToken(i), true))
		lifecycle := f.lifecycleAsBefore(t, policy, f.resource.Resource, f.group, clusterName(i))
		f.pediaClusterAsBefore(t, lifecycle, clusterName(i), clusterToken(i))
	}

	strange := policy.DeepCopy()
	strange.SetName("strange")
	strange.SetUID("")
	strange.SetResourceVersion("")
	set(t, *strange, map[string]any{"group": "", "resource": "configmaps", "versions": []any{"v1"}, "selectorTemplate": "true"}, "spec", "source")
	set(t, *strange, `spec: {apiserver: "{{ env "HOME" }}"}`, "spec", "template")
	strange = f.createAsBefore(t, "clusterimportpolicies", strange)
	lifecycle := f.lifecycleAsBefore(t, strange, "configmaps", "", "strange")
	f.pediaClusterAsBefore(t, lifecycle, "strange", "strange")
}

func (f *formerHost) createAsBefore(t *testing.T, resource string, object *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	created, err := f.objects.Resource(policyv1alpha1.SchemeGroupVersion.WithResource(resource)).Create(t.Context(), object, metav1.CreateOptions{})
	must(t, err)
	f.uids[created.GetKind()+" "+created.GetName()] = created.GetUID()
	return created
}

func (f *formerHost) lifecycleAsBefore(t *testing.T, policy *unstructured.Unstructured, resource, group, cluster string) *unstructured.Unstructured {
	t.Helper()
	references, _, _ := unstructured.NestedSlice(policy.Object, "spec", "references")
	for _, reference := range references {
		delete(reference.(map[string]any), "versions")
		reference.(map[string]any)["version"] = "v1"
	}
	lifecycle := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": policy.GetAPIVersion(), "kind": "PediaClusterLifecycle",
		"metadata": map[string]any{"name": f.pediaClusterName(cluster)},
		"spec": map[string]any{
			"source":            map[string]any{"group": group, "version": "v1alpha1", "resource": resource, "namespace": "", "name": cluster},
			"references":        references,
			"template":          text(policy, "spec", "template"),
			"creationCondition": text(policy, "spec", "creationCondition"),
		},
	}}
	lifecycle.SetFinalizers([]string{formerFinalizer, usersFinalizer})
	lifecycle.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(policy, policyv1alpha1.SchemeGroupVersion.WithKind(policy.GetKind()))})
	return f.createAsBefore(t, "pediaclusterlifecycles", lifecycle)
}

func (f *formerHost) pediaClusterAsBefore(t *testing.T, lifecycle *unstructured.Unstructured, cluster, token string) {
	t.Helper()
	pediaCluster := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": pediaClusters.GroupVersion().String(), "kind": "PediaCluster",
		"metadata": map[string]any{"name": lifecycle.GetName()},
		"spec": map[string]any{
			"apiserver": endpoint(cluster),
			"caData":    base64.StdEncoding.EncodeToString(devcluster.Authority(cluster)),
			"tokenData": base64.StdEncoding.EncodeToString([]byte(token)),
			"syncResources": []any{
				map[string]any{"group": "", "resources": []any{"pods"}},
				map[string]any{"group": "apps", "resources": []any{"*"}},
			},
		},
	}}
	pediaCluster.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: lifecycle.GetAPIVersion(), Kind: lifecycle.GetKind(), Name: lifecycle.GetName(), UID: lifecycle.GetUID(),
	}})
	_, err := f.objects.Resource(pediaClusters).Create(t.Context(), pediaCluster, metav1.CreateOptions{})
	must(t, err)
}

// runManager stands for Clusterpedia's controller-manager and for what runs pods,
// which this host lacks: it has a pod and renews its Lease until its Deployment is
// scaled to zero.
func (f *formerHost) runManager(t *testing.T) {
	t.Helper()
	labels := map[string]string{"app": formerManager}
	pod := corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "example.com/manager:v1"}}}
	deployment, err := f.client.AppsV1().Deployments(devcluster.Namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: formerManager},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](1), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	deployment.Status.Replicas = 1
	deployment, err = f.client.AppsV1().Deployments(devcluster.Namespace).UpdateStatus(t.Context(), deployment, metav1.UpdateOptions{})
	must(t, err)
	lease, err := f.client.CoordinationV1().Leases(devcluster.Namespace).Create(t.Context(), &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: formerManager},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To("one"), LeaseDurationSeconds: ptr.To[int32](2),
			RenewTime: ptr.To(metav1.NowMicro())},
	}, metav1.CreateOptions{})
	must(t, err)
	ctx := t.Context()
	go func() {
		defer close(f.stopped)
		for ctx.Err() == nil && (deployment.Spec.Replicas == nil || *deployment.Spec.Replicas > 0) {
			time.Sleep(200 * time.Millisecond)
			lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
			if renewed, err := f.client.CoordinationV1().Leases(devcluster.Namespace).Update(ctx, lease, metav1.UpdateOptions{}); err == nil {
				lease = renewed
			}
			if now, err := f.client.AppsV1().Deployments(devcluster.Namespace).Get(ctx, formerManager, metav1.GetOptions{}); err == nil {
				deployment = now
			}
		}
		deployment.Status.Replicas = 0
		if _, err := f.client.AppsV1().Deployments(devcluster.Namespace).UpdateStatus(ctx, deployment, metav1.UpdateOptions{}); err != nil && ctx.Err() == nil {
			t.Errorf("ending the controller-manager: %v", err)
		}
	}()
}

// pediaClusterEvents is everything that has happened to PediaClusters.
type pediaClusterEvents struct {
	lock   sync.Mutex
	events []string
}

func (h *host) recordPediaClusters(t *testing.T) *pediaClusterEvents {
	t.Helper()
	list, err := h.objects.Resource(pediaClusters).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	const anHour = 3600
	watcher, err := h.objects.Resource(pediaClusters).Watch(t.Context(),
		metav1.ListOptions{ResourceVersion: list.GetResourceVersion(), TimeoutSeconds: ptr.To[int64](anHour)})
	must(t, err)
	t.Cleanup(watcher.Stop)
	r := &pediaClusterEvents{}
	go func() {
		for event := range watcher.ResultChan() {
			name := ""
			if object, ok := event.Object.(*unstructured.Unstructured); ok {
				name = object.GetName()
				if object.GetDeletionTimestamp() != nil {
					name += " (being deleted)"
				}
			}
			r.lock.Lock()
			r.events = append(r.events, string(event.Type)+" "+name)
			r.lock.Unlock()
		}
		r.lock.Lock()
		r.events = append(r.events, "END")
		r.lock.Unlock()
	}()
	return r
}

// all returns what has happened, after the watch has shown that it is up to date.
func (r *pediaClusterEvents) all(t *testing.T, f *formerHost) (events []string) {
	t.Helper()
	marker := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": pediaClusters.GroupVersion().String(), "kind": "PediaCluster",
		"metadata": map[string]any{"generateName": "marker-"}, "spec": map[string]any{"syncResources": []any{}},
	}}
	marker, err := f.objects.Resource(pediaClusters).Create(t.Context(), marker, metav1.CreateOptions{})
	must(t, err)
	must(t, f.objects.Resource(pediaClusters).Delete(t.Context(), marker.GetName(), metav1.DeleteOptions{}))
	eventually(t, "the watch is up to date", func() error {
		r.lock.Lock()
		defer r.lock.Unlock()
		events = nil
		err := errors.New("it is not")
		for _, event := range r.events {
			switch {
			case event == string(apiwatch.Deleted)+" "+marker.GetName():
				err = nil
			case !strings.Contains(event, "marker-"):
				events = append(events, event)
			}
		}
		return err
	})
	return events
}

// checkMigrated checks the host after the migration, and that the server works
// on what it has taken over.
func (f *formerHost) checkMigrated(t *testing.T) {
	t.Helper()
	f.awaitGarbageCollection(t)
	for _, event := range f.record.all(t, f) {
		if !strings.HasPrefix(event, string(apiwatch.Modified)) || strings.Contains(event, "being deleted") {
			t.Errorf("it happened to a PediaCluster: %s", event)
		}
	}
	if got := uidsOf(t, f.host); !maps.Equal(got, f.clusters) {
		t.Errorf("the PediaClusters were\n%v\nand are\n%v", f.clusters, got)
	}
	uids := map[string]types.UID{}
	policies, err := f.policy.PolicyV1alpha1().ClusterImportPolicies().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, policy := range policies.Items {
		uids["ClusterImportPolicy "+policy.Name] = policy.UID
		if strings.Join(policy.Finalizers, ",") != policyv1alpha1.Finalizer || policy.Generation < 1 || policy.Annotations["team"] != "blue" {
			t.Errorf("the metadata of policy %s are %+v", policy.Name, policy.ObjectMeta)
		}
	}
	lifecycles, err := f.policy.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, lifecycle := range lifecycles.Items {
		uids["PediaClusterLifecycle "+lifecycle.Name] = lifecycle.UID
		must(t, same("the finalizers", strings.Join(lifecycle.Finalizers, ","), usersFinalizer+","+policyv1alpha1.Finalizer))
	}
	if !maps.Equal(uids, f.uids) {
		t.Errorf("the policies and lifecycles were\n%v\nand are\n%v", f.uids, uids)
	}
	for _, definition := range []string{"clusterimportpolicies", "pediaclusterlifecycles"} {
		_, err := f.client.Discovery().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
			definition+".policy.clusterpedia.io").DoRaw(t.Context())
		if !apierrors.IsNotFound(err) {
			t.Errorf("the CRD of %s is still there: %v", definition, err)
		}
	}
	left := f.kubectl(t, "get", "configmaps,secrets", "-A", "-l", "policy.clusterpedia.io/migration", "-o", "name")
	must(t, same("what is left of the migration", left, ""))

	// The server works on what it has taken over.
	eventually(t, "every lifecycle says where it stands", func() error {
		return same("lifecycles that nobody has worked on", f.kubectl(t, "get", "pcl", "--field-selector=status.phase=Pending", "-o", "name"), "")
	})
	eventually(t, "the policy that does not compile says so", func() error {
		policy, err := f.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), "strange", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !meta.IsStatusConditionFalse(policy.Status.Conditions, policyv1alpha1.PolicyValidated) {
			return fmt.Errorf("its conditions are %+v", policy.Status.Conditions)
		}
		return nil
	})
	f.setToken(t, clusterName(0), "a new token")
	f.waitForToken(t, clusterName(0), "a new token")
	f.deleteCluster(t, clusterName(1))
	eventually(t, "the PediaCluster of a deleted Source is gone", func() error {
		_, err := f.pediaCluster(t.Context(), clusterName(1))
		return gone(err)
	})
	delete(f.clusters, f.pediaClusterName(clusterName(1)))
	must(t, f.createCluster(t.Context(), "late", "late", true))
	late := f.waitForToken(t, "late", "late")
	f.clusters[late.GetName()] = late.GetUID()

	// kube-apiserver learns the schema of a group that CRDs have left when it starts.
	must(t, f.RestartAPIServer(t.Context()))
	must(t, f.server.Stop(t.Context()))
	must(t, f.server.Start(t.Context()))
	waitUntilServed(t, f.host)
	contains(t, f.kubectl(t, "explain", "clusterimportpolicy.spec.maxPrune"), "maxPrune")
	allKept(t, f.host, f.clusters)
	if got := len(uidsOf(t, f.host)); got != len(f.clusters) {
		t.Errorf("%d PediaClusters, want %d", got, len(f.clusters))
	}
}

// port is that of the server's Service, which is not 443 here.
func (f *formerHost) port(t *testing.T) string {
	t.Helper()
	return f.kubectl(t, "get", "service", devcluster.ServiceName, "-n", devcluster.Namespace, "-o", "jsonpath={.spec.ports[0].port}")
}

// checkRightsBefore takes a right from the server: a dry run says so and prints what grants
// it, for kubectl apply.
func (f *formerHost) checkRightsBefore(t *testing.T, dryRun string) {
	t.Helper()
	f.kubectl(t, "delete", "clusterrole", f.manifests.role.GetName())
	var roles string
	eventually(t, "the server lacks a right", func() error {
		out, err := f.shell(t.Context(), dryRun)
		if err == nil {
			return errors.New("nothing stands in the way")
		}
		_, roles, _ = strings.Cut(string(out), "\n---\n")
		return mentions(string(out), "may not get, list or watch "+f.resource.GroupResource().String()+": after the migration, the imports of policy former would wait")
	})
	_, err := f.Kubectl(t.Context(), strings.NewReader(roles), "apply", "-f", "-")
	must(t, err)
	eventually(t, "the server has its rights", func() error {
		_, err := f.shell(t.Context(), dryRun)
		return err
	})
}

func TestMigrationFromTheCRDs(t *testing.T) {
	f := newFormerHost(t, devcluster.ServerOptions{})
	caFile, port := filepath.Join(f.dir, "pki", "extension-ca.crt"), f.port(t)
	backup := filepath.Join(t.TempDir(), "backup.yaml")
	flags := []string{"migrate", "--ca-file", caFile, "--service-port", port, "--backup", backup, "--timeout", "2m"}
	scale := "kubectl scale --namespace clusterpedia-system deployment/clusterpedia-controller-manager --replicas=0"
	compile := `policy "strange" is migrated and keeps its lifecycles`

	out, _ := f.plugin(t, 1, append(flags, "--dry-run")...)
	contains(t, out, "Plan:", "10. ", "problem: Clusterpedia's controller-manager", scale, "note:    "+compile, "the function env cannot be used",
		"holds the Lease clusterpedia-system/clusterpedia-controller-manager")
	_, errOut := f.plugin(t, 1, flags...)
	contains(t, errOut, "nothing was changed", scale, "--stop-controller-manager")
	out, _ = f.plugin(t, 1, append(flags, "--dry-run", "--as=somebody", "--as-group=system:authenticated")...)
	contains(t, out, "you may not")
	out, _ = f.plugin(t, 1, "migrate", "--dry-run", "--namespace=default")
	contains(t, out, "there is no Service default/policy-apiserver")
	out, _ = f.plugin(t, 1, "migrate", "--dry-run", "--stop-controller-manager")
	contains(t, out, "--ca-file")
	f.checkRightsBefore(t, "kubectl clusterimport "+strings.Join(flags, " ")+" --dry-run --stop-controller-manager")
	// Of the credentials, what Clusterpedia would take away is told.
	secret := f.objects.Resource(secrets).Namespace(f.name)
	authority := base64.StdEncoding.EncodeToString(devcluster.Authority(clusterName(1)))
	f.patch(t, secret, clusterName(1)+"-auth", `{"data":{"ca":null}}`)
	out, _ = f.plugin(t, 0, append(flags, "--dry-run", "--stop-controller-manager")...)
	contains(t, out, "controller-manager is stopped first", compile, `note:    policy "former": a credential that spec.template writes is missing for 1 of its Sources`,
		clusterName(1)+": endpoint and credentials stay as they are while spec.caData is missing", `no "ca" in .references.authSecret.data; it has: token`)
	f.patch(t, secret, clusterName(1)+"-auth", `{"data":{"ca":"`+authority+`"}}`)
	out, _ = f.plugin(t, 0, append(flags, "--dry-run", "--stop-controller-manager")...)
	hides(t, out, "a credential that spec.template writes")
	if _, err := os.Stat(backup); !os.IsNotExist(err) {
		t.Errorf("a dry run has written the backup: %v", err)
	}
	must(t, same("what a dry run has left", f.kubectl(t, "get", "clusterimportpolicies,configmaps,secrets", "-A",
		"-l", "policy.clusterpedia.io/migration", "-o", "name"), ""))

	out, _ = f.plugin(t, 0, append(flags, "--stop-controller-manager")...)
	t.Log(out)
	contains(t, out, "[1/10]", "[10/10]", "scaled Deployment clusterpedia-system/clusterpedia-controller-manager to zero",
		"the garbage collector watches the server", "Next:")
	<-f.stopped
	f.checkMigrated(t)

	info, err := os.Stat(backup)
	must(t, err)
	must(t, same("the mode of the backup", info.Mode().String(), "-rw-------"))
	saved, err := devcluster.ReadManifest(backup)
	must(t, err)
	for _, object := range saved {
		if f.uids[object.GetKind()+" "+object.GetName()] != object.GetUID() || len(object.GetFinalizers()) == 0 {
			t.Errorf("the backup of %s %s is %v", object.GetKind(), object.GetName(), object.Object["metadata"])
		}
	}
	must(t, same("objects in the backup", fmt.Sprint(len(saved)), fmt.Sprint(len(f.uids))))

	out, _ = f.plugin(t, 0, flags...)
	contains(t, out, "There is nothing to migrate")
}

func TestAMigrationThatWasBrokenOffGoesOn(t *testing.T) {
	f := newFormerHost(t, devcluster.ServerOptions{SelfRegister: true})
	reader, err := review.NewHost(f.Config())
	must(t, err)
	config := migrate.Config{
		Kubernetes: f.client, Objects: f.objects, Host: reader, Namespace: devcluster.Namespace, Service: devcluster.ServiceName,
		Backup: filepath.Join(t.TempDir(), "backup.yaml"), StopControllerManager: true,
		Timeout: 2 * time.Minute, Out: t.Output(),
	}
	_, err = fmt.Sscan(f.port(t), &config.Port)
	must(t, err)

	// Nobody is answered, and nothing is imported, before the switch.
	log, err := os.ReadFile(f.server.LogFile())
	must(t, err)
	contains(t, string(log), "the host has the CRD clusterimportpolicies.policy.clusterpedia.io of a Clusterpedia installation")

	// This policy is deleted on the way.
	shortLived := f.manifests.policy.DeepCopy()
	shortLived.SetName("short-lived")
	set(t, *shortLived, map[string]any{"group": "", "resource": "secrets", "versions": []any{}, "selectorTemplate": "false"}, "spec", "source")
	unstructured.RemoveNestedField(shortLived.Object, "spec", "references")
	former := f.objects.Resource(policyv1alpha1.SchemeGroupVersion.WithResource("clusterimportpolicies"))
	_, err = former.Create(t.Context(), shortLived, metav1.CreateOptions{})
	must(t, err)

	f.checkTooEarly(t, config)
	brokenOff := errors.New("broken off")
	for steps := 1; ; steps++ {
		done := 0
		config.Between = func(step string) error {
			if done++; done < steps {
				if step == "import" && done+1 == steps {
					f.loseRights(t)
				}
				return nil
			}
			t.Logf("broken off after %s", step)
			if step == "import" {
				if events := f.record.all(t, f); len(events) > 0 {
					t.Errorf("before the switch, it happened to PediaClusters: %v", events)
				}
				// The server finds the export that it has taken over.
				must(t, f.server.Stop(t.Context()))
				must(t, f.server.Start(t.Context()))
				// The next attempt finds that the export is out of date.
				must(t, former.Delete(t.Context(), "short-lived", metav1.DeleteOptions{}))
			}
			if step == "switch" {
				f.checkNothingIsPending(t)
			}
			return brokenOff
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := migrate.New(config).Run(ctx)
		cancel()
		if err == nil {
			if steps < 10 {
				t.Errorf("it was broken off %d times only", steps-1)
			}
			break
		}
		if !errors.Is(err, brokenOff) {
			t.Fatal(err)
		}
	}
	f.checkMigrated(t)
	f.checkCRDsCameBack(t, config)
}

// loseRights takes the right to read Sources from the server.
func (f *formerHost) loseRights(t *testing.T) {
	t.Helper()
	f.kubectl(t, "delete", "clusterrole", f.manifests.role.GetName())
	eventually(t, "the server may no longer read Sources", func() error {
		// It says no by its exit code, too.
		out, _ := f.Kubectl(t.Context(), nil, "auth", "can-i", "list", f.resource.GroupResource().String(), "-A",
			"--as=system:serviceaccount:"+devcluster.Namespace+":"+devcluster.ServiceAccountName)
		return same("the answer", strings.TrimSpace(out), "no")
	})
}

// checkNothingIsPending: a server that lacks a right after the switch says so in every
// lifecycle, and goes on when it has it.
func (f *formerHost) checkNothingIsPending(t *testing.T) {
	t.Helper()
	eventually(t, "every lifecycle says what it waits for", func() error {
		const messages = `jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].message}{"\n"}{end}`
		out, err := f.Kubectl(t.Context(), nil, "get", "pcl", "--field-selector=policy=former,status.phase=Waiting", "-o", messages)
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			if err := mentions(line, "this server may not get, list or watch "+f.resource.GroupResource().String()); err != nil {
				return err
			}
		}
		return same("lifecycles that wait", fmt.Sprint(strings.Count(out, "\n")), fmt.Sprint(formerClusters))
	})
	f.apply(t, f.manifests.role.Object)
}

// checkCRDsCameBack puts the CRDs beside the server that serves, as an upgrade of
// Clusterpedia may. The host must not be led back to them.
func (f *formerHost) checkCRDsCameBack(t *testing.T, config migrate.Config) {
	t.Helper()
	warnings := func() int {
		log, err := os.ReadFile(f.server.LogFile())
		must(t, err)
		return strings.Count(string(log), "do not delete the APIService while they exist")
	}
	before := warnings()
	f.kubectl(t, "apply", "--server-side", "-f", "testdata/former-crds.yaml")
	config.Between, config.Timeout = nil, time.Minute
	refused := func(told string, config migrate.Config) {
		t.Helper()
		err := migrate.New(config).Run(t.Context())
		if err == nil {
			t.Fatal("it migrates a host that was migrated")
		}
		contains(t, err.Error(), "nothing was changed", told)
		if strings.Contains(err.Error(), "kubectl label") {
			t.Errorf("it advises to have the host serve the CRDs: %v", err)
		}
	}
	refused("are not in use", config)
	elsewhere := config
	elsewhere.Namespace = metav1.NamespaceDefault
	refused("give --namespace clusterpedia-system --service policy-apiserver", elsewhere)

	eventually(t, "the server warns", func() error {
		if warnings() == before {
			return errors.New("it has not")
		}
		return nil
	})
	must(t, f.server.Stop(t.Context()))
	refused("it is not certain that the server never served", config)
	must(t, f.server.Start(t.Context()))
	waitUntilServed(t, f.host)

	f.kubectl(t, "delete", "-f", "testdata/former-crds.yaml")
	f.awaitGarbageCollection(t)
	allKept(t, f.host, f.clusters)
}

// checkTooEarly leads the APIService to the server before the migration, as all
// manifests together do. It must do no harm, and the way back must lead back.
func (f *formerHost) checkTooEarly(t *testing.T, config migrate.Config) {
	t.Helper()
	const apiService = "v1alpha1.policy.clusterpedia.io"
	certificate, err := f.client.CoreV1().Secrets(devcluster.Namespace).Get(t.Context(), "policy-apiserver-serving-cert", metav1.GetOptions{})
	must(t, err)
	f.kubectl(t, "patch", "apiservice", apiService, "--type=json", "-p", fmt.Sprintf(
		`[{"op":"remove","path":"/metadata/labels/kube-aggregator.kubernetes.io~1automanaged"},
		{"op":"add","path":"/spec/service","value":{"namespace":%q,"name":%q,"port":%d}},
		{"op":"add","path":"/spec/caBundle","value":%q}]`,
		config.Namespace, config.Service, config.Port, base64.StdEncoding.EncodeToString(certificate.Data["ca.crt"])))
	eventually(t, "the server says that the host is to be migrated", func() error {
		_, err := f.policy.PolicyV1alpha1().ClusterImportPolicies().List(t.Context(), metav1.ListOptions{})
		if err == nil {
			return errors.New("it answers")
		}
		return mentions(err.Error(), "the host has the CRD", "kubectl clusterimport migrate")
	})
	err = migrate.New(config).Run(t.Context())
	if err == nil {
		t.Fatal("what was not exported is migrated")
	}
	contains(t, err.Error(), "nothing was changed", "kubectl label apiservice "+apiService)
	_, back, _ := strings.Cut(err.Error(), "kubectl label ")
	f.kubectl(t, append([]string{"label"}, strings.Fields(back)...)...)
	eventually(t, "the CRDs serve again", func() error {
		_, err := f.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), "short-lived", metav1.GetOptions{})
		return err
	})
	f.awaitGarbageCollection(t)
	if events := f.record.all(t, f); len(events) > 0 {
		t.Errorf("it happened to PediaClusters: %v", events)
	}
}
