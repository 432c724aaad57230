package migrate

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/migration"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

const system = "system"

func newDynamic(objects ...runtime.Object) *dynamicfake.FakeDynamicClient {
	return dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		render.PediaClusterGVR: "PediaClusterList",
		policyv1alpha1.SchemeGroupVersion.WithResource("pediaclusterlifecycles"): "PediaClusterLifecycleList",
	}, objects...)
}

func TestTheWayBackIsAdvisedOnlyWhenTheServerNeverServed(t *testing.T) {
	unbound := apierrors.NewServiceUnavailable("the host has the CRD x: " + migration.NotMigrated)
	installed := time.Now()
	pediaCluster := func(age time.Duration, mark string) *unstructured.Unstructured {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(render.PediaClusterGVR.GroupVersion().WithKind("PediaCluster"))
		object.SetName("one")
		object.SetCreationTimestamp(metav1.NewTime(installed.Add(-age)))
		object.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "PediaClusterLifecycle", UID: "a"}})
		if mark != "" {
			object.SetAnnotations(map[string]string{policyv1alpha1.CreatedForAnnotation: mark})
		}
		return object
	}
	record := func(namespace string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "policy-apiserver-storage"}}
	}
	younger := pediaCluster(-time.Hour, "")
	for name, test := range map[string]struct {
		answer       error
		pediaCluster *unstructured.Unstructured
		record       *corev1.ConfigMap
		service      types.NamespacedName
		told         string
		advised      bool
	}{
		"it never served":              {answer: unbound, pediaCluster: younger, told: "was not exported", advised: true},
		"it serves":                    {pediaCluster: younger, told: "are not in use"},
		"it does not run":              {answer: apierrors.NewServiceUnavailable("no endpoints"), pediaCluster: younger, told: "no endpoints"},
		"another failure":              {answer: errors.New("timeout"), pediaCluster: younger, told: "timeout"},
		"the host remembers":           {answer: unbound, pediaCluster: younger, record: record(system), told: "system/policy-apiserver-storage remembers"},
		"the host remembers centrally": {answer: unbound, pediaCluster: younger, record: record("kube-system"), told: "kube-system/policy-apiserver-storage remembers"},
		"it made a PediaCluster":       {answer: unbound, pediaCluster: pediaCluster(-time.Hour, "x"), told: `PediaCluster "one" has its annotation`},
		"the CRDs came later":          {answer: unbound, pediaCluster: pediaCluster(time.Hour, ""), told: `PediaCluster "one" is older`},
		"another namespace": {answer: unbound, pediaCluster: younger, service: types.NamespacedName{Namespace: "elsewhere", Name: "policy-apiserver"},
			told: "give --namespace elsewhere --service policy-apiserver"},
	} {
		t.Run(name, func(t *testing.T) {
			objects := newDynamic(test.pediaCluster)
			objects.PrependReactor("list", "pediaclusterlifecycles", func(clienttesting.Action) (bool, runtime.Object, error) {
				return test.answer != nil, nil, test.answer
			})
			client := fake.NewClientset()
			if test.record != nil {
				must(t, client.Tracker().Add(test.record))
			}
			definition := &unstructured.Unstructured{}
			definition.SetCreationTimestamp(metav1.NewTime(installed))
			if test.service.Name == "" {
				test.service = types.NamespacedName{Namespace: system, Name: "policy-apiserver"}
			}
			s := &state{service: &test.service, definitions: map[string]*unstructured.Unstructured{"pediaclusterlifecycles": definition}}
			found, err := New(Config{Kubernetes: client, Objects: objects, Namespace: system, Service: "policy-apiserver"}).check(t.Context(), s)
			if err != nil || len(found) != 1 || !found[0].blocks || !strings.Contains(found[0].text, test.told) {
				t.Fatal(found, err)
			}
			if strings.Contains(found[0].text, backCommand) != test.advised {
				t.Error(found)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnExportInTheNamespaceOfTheServiceIsFound(t *testing.T) {
	client := fake.NewClientset()
	_, err := migration.Write(t.Context(), client, "elsewhere", nil)
	must(t, err)
	apiService := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": migration.APIServiceName},
		"spec": map[string]any{"service": map[string]any{"namespace": "elsewhere", "name": "policy-apiserver"}},
	}}
	_, err = New(Config{Kubernetes: client, Objects: newDynamic(apiService), Namespace: system}).look(t.Context())
	if err == nil || !strings.Contains(err.Error(), "give --namespace elsewhere") {
		t.Error(err)
	}
}

func TestAControllerManagerThatWasStartedAgainStopsTheMigration(t *testing.T) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "clusterpedia-controller-manager"}}
	deployment.Spec.Replicas, deployment.Spec.Selector = ptr.To[int32](0), &metav1.LabelSelector{}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: deployment.Name, UID: "lease"}}
	lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: ptr.To("one"), LeaseDurationSeconds: ptr.To[int32](0), RenewTime: ptr.To(metav1.NowMicro())}
	client := fake.NewClientset(deployment, lease)
	m := New(Config{Kubernetes: client, Objects: newDynamic(), Namespace: system, Timeout: time.Minute, Out: io.Discard})
	must(t, m.stopManagers(t.Context(), nil))
	must(t, m.stillStopped(t.Context()))

	// Nobody waits again for a Lease that is as it was.
	lease.Spec.LeaseDurationSeconds = ptr.To[int32](3600)
	must(t, client.Tracker().Update(coordinationv1.SchemeGroupVersion.WithResource("leases"), lease, system))
	must(t, m.stillStopped(t.Context()))
	lease.Spec.RenewTime = ptr.To(metav1.NewMicroTime(lease.Spec.RenewTime.Add(time.Second)))
	must(t, client.Tracker().Update(coordinationv1.SchemeGroupVersion.WithResource("leases"), lease, system))
	m.Timeout = time.Millisecond
	if err := m.stillStopped(t.Context()); err == nil || !strings.Contains(err.Error(), "one holds the Lease") {
		t.Errorf("a Lease that is renewed: %v", err)
	}

	deployment.Spec.Replicas = ptr.To[int32](1)
	must(t, client.Tracker().Update(appsv1.SchemeGroupVersion.WithResource("deployments"), deployment, system))
	for name, step := range map[string]func() error{
		"switch": func() error { return m.switchOver(t.Context(), nil) },
		"detach": func() error { return m.detach(t.Context(), &state{}) },
		"remove": func() error { return m.removeDefinitions(t.Context(), &state{}) },
	} {
		if err := step(); err == nil || !strings.Contains(err.Error(), "works on the same policies again") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFinalizersThatCameBackAreInTheWay(t *testing.T) {
	objects := []unstructured.Unstructured{lifecycle("one", "a"), lifecycle("two", "b")}
	must(t, withoutFinalizers(objects))
	objects[1].SetFinalizers([]string{"clusterpedia.io/former"})
	if err := withoutFinalizers(objects); err == nil || !strings.Contains(err.Error(), `"two" has the finalizers clusterpedia.io/former again`) {
		t.Error(err)
	}
}

func TestADependentThatIsGoneProvesNothing(t *testing.T) {
	const resource = "pediaclusterlifecycles"
	there := lifecycle(canaryName, "a")
	dependent := func(owner types.UID) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: dependentName(resource),
			OwnerReferences: []metav1.OwnerReference{{UID: owner}}}}
	}
	for name, test := range map[string]struct {
		canary    *unstructured.Unstructured
		dependent *corev1.ConfigMap
		refused   bool
	}{
		"both are there":            {&there, dependent("a"), false},
		"the canary is gone":        {nil, dependent("a"), false},
		"the dependent is gone":     {&there, nil, true},
		"it belongs to another":     {&there, dependent("b"), true},
		"an attempt has ended here": {nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, objects := fake.NewClientset(), newDynamic()
			if test.canary != nil {
				must(t, objects.Tracker().Add(test.canary.DeepCopy()))
			}
			if test.dependent != nil {
				must(t, client.Tracker().Add(test.dependent))
			}
			err := New(Config{Kubernetes: client, Objects: objects, Namespace: system}).checkDependent(t.Context(), resource)
			if (err != nil) != test.refused || err != nil && !strings.Contains(err.Error(), "kubectl delete "+resource) {
				t.Error(err)
			}
		})
	}
}
