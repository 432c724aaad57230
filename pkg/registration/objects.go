package registration

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/klog/v2"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// SecretName is the Secret of the serving certificate and its authorities.
const SecretName = "policy-apiserver-serving-cert"

const (
	groupPriorityMinimum = 1000
	versionPriority      = 15

	// managedByLabel with the value fieldManager is on the Service that is ours.
	managedByLabel = "app.kubernetes.io/managed-by"
	// autoManagedLabel is on an APIService that kube-apiserver keeps for CRDs.
	autoManagedLabel = "kube-aggregator.kubernetes.io/automanaged"
	// injectAnnotation has cert-manager keep the caBundle.
	injectAnnotation = "cert-manager.io/inject-ca-from"
)

var (
	apiServiceName = policyv1alpha1.SchemeGroupVersion.Version + "." + policyv1alpha1.GroupName

	// definitions are the CRDs under which a Clusterpedia without this server
	// serves the group.
	definitions = []string{
		"clusterimportpolicies." + policyv1alpha1.GroupName,
		"pediaclusterlifecycles." + policyv1alpha1.GroupName,
	}
)

// names are those that the serving certificate is for.
func (c *Config) names() []string {
	short := c.Service.Name + "." + c.Service.Namespace
	return []string{short + ".svc", short + ".svc.cluster.local", short, c.Service.Name, "localhost"}
}

// followSecret serves with the certificate of the Secret, after it has made or
// renewed what is due. The material is nil when there is none; otherwise it is
// what the Secret holds, even if there is an error.
func (r *Registrar) followSecret(ctx context.Context) (*material, error) {
	logger := klog.FromContext(ctx).WithValues("secret", klog.KRef(r.config.Service.Namespace, SecretName))
	client := r.client.CoreV1().Secrets(r.config.Service.Namespace)
	for {
		secret, err := client.Get(ctx, SecretName, metav1.GetOptions{})
		exists := err == nil
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading the Secret of the serving certificate: %w", err)
		}
		now := time.Now()
		var m material
		if exists {
			var damage []string
			if m, damage = read(secret.Data, r.config.names(), now); len(damage) > 0 {
				logger.Info("The Secret of the serving certificate is damaged, the damaged parts are generated again", "damage", strings.Join(damage, "; "))
			}
		}
		var sound *material
		if m.serving != nil {
			held := m
			sound = &held
			r.serving.set(m.certificate, m.key)
		}

		made, err := m.renew(r.config.names(), r.config.Validity, now, r.trusted)
		if err != nil || len(made) == 0 {
			return sound, err
		}
		data, err := m.data()
		if err != nil {
			return sound, err
		}
		if exists {
			secret.Data = mergeData(secret.Data, data)
			_, err = client.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManager})
		} else {
			_, err = client.Create(ctx, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: SecretName, Labels: map[string]string{managedByLabel: fieldManager}},
				Type:       corev1.SecretTypeOpaque,
				Data:       data,
			}, metav1.CreateOptions{FieldManager: fieldManager})
		}
		switch {
		case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
			continue // another replica was faster: what it has made is used
		case apierrors.IsNotFound(err) && exists:
			continue // it was deleted meanwhile
		case err != nil:
			return sound, fmt.Errorf("writing the Secret of the serving certificate, namespace %s: %w", r.config.Service.Namespace, err)
		}
		r.serving.set(m.certificate, m.key)
		logger.Info("Renewed what the server is trusted by", "made", made, "expires", m.serving.NotAfter, "authorities", len(m.authorities))
		return &m, nil
	}
}

func mergeData(into, from map[string][]byte) map[string][]byte {
	if into == nil {
		return from
	}
	maps.Copy(into, from)
	return into
}

// keepAPIService makes the APIService or puts it right, unless somebody else
// serves the group. A nil bundle leaves to others how the server is verified.
func (r *Registrar) keepAPIService(ctx context.Context, bundle []byte) error {
	client := r.objects.Resource(apiServices)
	current, err := client.Get(ctx, apiServiceName, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading the APIService: %w", err)
	}
	if err != nil {
		current = nil
	}
	if err := r.checkServed(ctx, current); err != nil {
		return err
	}
	logger := klog.FromContext(ctx).WithValues("apiService", apiServiceName)

	if current == nil {
		_, err := client.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": apiServices.GroupVersion().String(),
			"kind":       "APIService",
			"metadata":   map[string]any{"name": apiServiceName},
			"spec":       r.apiServiceSpec(bundle, nil),
		}}, metav1.CreateOptions{FieldManager: fieldManager})
		if err != nil {
			return raced(err, "making the APIService")
		}
		r.carried.authority = nil
		logger.Info("Created the APIService: the host forwards requests for the group to this server now")
		return nil
	}

	if _, injected := current.GetAnnotations()[injectAnnotation]; injected && bundle != nil {
		return refuse("the APIService %s has the annotation %s, so cert-manager writes its caBundle, and so would this server: "+
			"remove the annotation, or give the server cert-manager's certificate with --tls-cert-file and --tls-private-key-file and no --apiservice-ca-file",
			apiServiceName, injectAnnotation)
	}
	was, _, _ := unstructured.NestedMap(current.Object, "spec")
	spec := r.apiServiceSpec(bundle, was)
	changed := differences(was, spec)
	if len(changed) == 0 {
		return nil
	}
	current.Object["spec"] = spec
	if _, err := client.Update(ctx, current, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return raced(err, "putting the APIService right")
	}
	r.carried.authority = nil
	logger.Info("Put the APIService right", "fields", changed)
	return nil
}

func (r *Registrar) apiServiceSpec(bundle []byte, was map[string]any) map[string]any {
	spec := map[string]any{
		"group":                policyv1alpha1.GroupName,
		"version":              policyv1alpha1.SchemeGroupVersion.Version,
		"groupPriorityMinimum": int64(groupPriorityMinimum),
		"versionPriority":      int64(versionPriority),
		"service": map[string]any{
			"namespace": r.config.Service.Namespace,
			"name":      r.config.Service.Name,
			"port":      int64(r.config.Port),
		},
	}
	if bundle != nil {
		spec["caBundle"] = base64.StdEncoding.EncodeToString(bundle)
		return spec
	}
	for _, field := range []string{"caBundle", "insecureSkipTLSVerify"} {
		if value, ok := was[field]; ok {
			spec[field] = value
		}
	}
	return spec
}

// differences returns the names of the fields that differ.
func differences(a, b map[string]any) (names []string) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !equality.Semantic.DeepEqual(a[name], b[name]) {
			names = append(names, name)
		}
	}
	return names
}

// raced returns errRaced for an error that only says that somebody else has
// written, and otherwise the error with what was being done.
func raced(err error, doing string) error {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return errRaced
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// checkServed returns a refusal when somebody else serves the group. The
// APIService is nil when there is none.
func (r *Registrar) checkServed(ctx context.Context, current *unstructured.Unstructured) error {
	if current != nil {
		namespace, _, _ := unstructured.NestedString(current.Object, "spec", "service", "namespace")
		name, _, _ := unstructured.NestedString(current.Object, "spec", "service", "name")
		switch {
		case namespace == r.config.Service.Namespace && name == r.config.Service.Name:
			return nil // it is ours already, whatever CRDs there are besides
		case name != "":
			return refuse("the APIService %s leads to the Service %s/%s and not to %s: delete the APIService if that server is no longer wanted, "+
				"or give its Service with --service-namespace and --service-name", apiServiceName, namespace, name, r.config.Service)
		}
	}

	installed, err := r.installed(ctx)
	switch {
	case err != nil:
		return err
	case len(installed) > 0:
		return refuse("the host serves %s from its CustomResourceDefinitions %s: migrate their objects with `kubectl clusterimport migrate`, "+
			"or, if they have no objects, run `kubectl delete crd %[3]s`",
			policyv1alpha1.GroupName, strings.Join(installed, " and "), strings.Join(installed, " "))
	case current != nil:
		return refuse("the APIService %s leads to no Service: the host serves the group itself, or did (label %s=%q); "+
			"delete the APIService if it is not removed automatically", apiServiceName, autoManagedLabel, current.GetLabels()[autoManagedLabel])
	}
	return nil
}

// installed returns the definitions that the host has.
func (r *Registrar) installed(ctx context.Context) (names []string, err error) {
	for _, name := range definitions {
		_, err := r.objects.Resource(customResourceDefinitions).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			names = append(names, name)
		} else if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading the CustomResourceDefinition %s: %w", name, err)
		}
	}
	return names, nil
}

// keepService makes the Service or puts it right if it is ours.
func (r *Registrar) keepService(ctx context.Context) error {
	client := r.client.CoreV1().Services(r.config.Service.Namespace)
	selector := map[string]string{"app": "policy-apiserver"}
	ports := []corev1.ServicePort{{
		Name: "https", Protocol: corev1.ProtocolTCP, Port: r.config.Port, TargetPort: intstr.FromInt32(r.config.TargetPort),
	}}

	service, err := client.Get(ctx, r.config.Service.Name, metav1.GetOptions{})
	logger := klog.FromContext(ctx).WithValues("service", r.config.Service)
	if apierrors.IsNotFound(err) {
		_, err := client.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: r.config.Service.Name, Labels: map[string]string{managedByLabel: fieldManager}},
			Spec:       corev1.ServiceSpec{Selector: selector, Ports: ports},
		}, metav1.CreateOptions{FieldManager: fieldManager})
		if err != nil {
			return raced(err, "making the Service")
		}
		logger.Info("Made the Service")
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the Service: %w", err)
	}
	if service.Labels[managedByLabel] != fieldManager {
		return refuse("the Service %s was created by another client (it has no label %s=%s) and is not changed: run without --register-service, or delete it",
			r.config.Service, managedByLabel, fieldManager)
	}
	// What the host has filled in is kept.
	if len(service.Spec.Ports) == 1 {
		ports[0].NodePort = service.Spec.Ports[0].NodePort
	}
	if equality.Semantic.DeepEqual(service.Spec.Selector, selector) && equality.Semantic.DeepEqual(service.Spec.Ports, ports) {
		return nil
	}
	service.Spec.Selector, service.Spec.Ports = selector, ports
	if _, err = client.Update(ctx, service, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return raced(err, "putting the Service right")
	}
	logger.Info("Put the Service right")
	return nil
}
