package migrate

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/migration"
)

// The garbage collector keeps a watch of each type open for minutes, and the
// switch of the APIService leaves it where it is: at the CRD. If the CRD deleted
// its objects then, the garbage collector would see the lifecycles go and delete
// their PediaClusters, though the server has those lifecycles.
//
// A canary tells where it listens. It is an object of the CRD that has a ConfigMap
// as its dependent. After the switch it is deleted at the server: the ConfigMap
// goes when the garbage collector hears of that, which it only does from the
// server. It must have seen the canary before, since it asks for owners that it
// has not seen, and is answered by the server whatever it listens to. So a probe
// comes after the canary and is deleted in the foreground: only a garbage
// collector that has seen the probe, and so the canary, lets it go.
const (
	canaryName = "policy-apiserver-migration-canary"
	probeName  = "policy-apiserver-migration-probe"

	canaryValue = "canary"
	// canaryGroup is the group of a Source type that does not exist.
	canaryGroup = "canary.policy.clusterpedia.io"
)

func isCanary(object *unstructured.Unstructured) bool {
	return object.GetLabels()[migration.Label] == canaryValue
}

// canary returns an object of the resource that does nothing.
func canary(resource, name string) *unstructured.Unstructured {
	kind := "ClusterImportPolicy"
	spec := map[string]any{
		"source":       map[string]any{"group": canaryGroup, "versions": []any{"v1"}, "resource": "canaries", "selectorTemplate": "false"},
		"references":   []any{},
		"nameTemplate": name, "template": "spec: {}", "creationCondition": "false",
	}
	if resource == "pediaclusterlifecycles" {
		kind = "PediaClusterLifecycle"
		spec["source"] = map[string]any{"group": canaryGroup, "version": "v1", "resource": "canaries", "namespace": "default", "name": name}
		delete(spec, "nameTemplate")
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": policyv1alpha1.SchemeGroupVersion.String(), "kind": kind,
		"metadata": map[string]any{"name": name, "labels": map[string]any{migration.Label: canaryValue}},
		"spec":     spec,
	}}
}

// plantCanaries leaves a canary in each CRD that the garbage collector has seen.
func (m *Migration) plantCanaries(ctx context.Context, _ *state) error {
	for _, resource := range resources {
		for _, name := range []string{canaryName, probeName} {
			_, err := m.resource(resource).Create(ctx, canary(resource, name), metav1.CreateOptions{})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("making %s %s: %w", resource, name, err)
			}
		}
	}
	foreground := metav1.DeletePropagationForeground
	for _, resource := range resources {
		err := m.resource(resource).Delete(ctx, probeName, metav1.DeleteOptions{PropagationPolicy: &foreground})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting %s %s: %w", resource, probeName, err)
		}
	}
	for _, resource := range resources {
		if err := m.awaitGone(ctx, "the garbage collector has seen "+resource+" "+probeName, func() error {
			_, err := m.resource(resource).Get(ctx, probeName, metav1.GetOptions{})
			return err
		}); err != nil {
			return err
		}
	}
	for _, resource := range resources {
		if err := m.makeDependent(ctx, resource); err != nil {
			return err
		}
	}
	m.say("the garbage collector works, and has seen them")
	return nil
}

// makeDependent makes the ConfigMap that the canary owns.
func (m *Migration) makeDependent(ctx context.Context, resource string) error {
	owner, err := m.resource(resource).Get(ctx, canaryName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: m.Namespace, Name: dependentName(resource), Labels: map[string]string{migration.Label: canaryValue},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(),
		}},
	}}
	client := m.Kubernetes.CoreV1().ConfigMaps(m.Namespace)
	return m.await(ctx, "the dependent of the canary exists", func() error {
		_, err := client.Create(ctx, configMap, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		there, err := client.Get(ctx, configMap.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(there.OwnerReferences) != 1 || there.OwnerReferences[0].UID != owner.GetUID() {
			return fmt.Errorf("ConfigMap %s/%s belongs to another canary: remove it if it is not deleted automatically", m.Namespace, configMap.Name)
		}
		return nil
	})
}

func dependentName(resource string) string { return canaryName + "-" + resource }

// detach ends the watches of the CRDs and returns when the garbage collector
// listens to the server.
func (m *Migration) detach(ctx context.Context, s *state) error {
	if err := m.stillStopped(ctx); err != nil {
		return err
	}
	for _, resource := range resources {
		if definition := s.definitions[resource]; definition != nil {
			if err := m.unserve(ctx, definition); err != nil {
				return err
			}
		}
	}
	m.say("the CRDs are not served any more, which ends the watches of their objects")
	for _, resource := range resources {
		if err := m.checkDependent(ctx, resource); err != nil {
			return err
		}
		if err := m.deleteCanary(ctx, resource); err != nil {
			return err
		}
		client := m.Kubernetes.CoreV1().ConfigMaps(m.Namespace)
		if err := m.awaitGone(ctx, "the garbage collector watches the server for "+resource, func() error {
			_, err := client.Get(ctx, dependentName(resource), metav1.GetOptions{})
			return err
		}); err != nil {
			return err
		}
	}
	m.say("the garbage collector watches the server")
	return nil
}

// unserve has a CRD answer no request, which tears down what serves its watches.
func (m *Migration) unserve(ctx context.Context, definition *unstructured.Unstructured) error {
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil {
		return err
	}
	for _, version := range versions {
		if fields, ok := version.(map[string]any); ok {
			fields["served"] = false
		}
	}
	definition = definition.DeepCopy()
	if err := unstructured.SetNestedSlice(definition.Object, versions, "spec", "versions"); err != nil {
		return err
	}
	if _, err := m.Objects.Resource(migration.Definitions).Update(ctx, definition, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("having the CRD %s serve nothing any more: %w", definition.GetName(), err)
	}
	return nil
}

// checkDependent is an error when the dependent of a canary that is there has gone
// already: that it goes would prove nothing.
func (m *Migration) checkDependent(ctx context.Context, resource string) error {
	owner, err := m.resource(resource).Get(ctx, canaryName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // an earlier attempt has come this far
	}
	if err != nil {
		return fmt.Errorf("reading %s %s: %w", resource, canaryName, err)
	}
	dependent, err := m.Kubernetes.CoreV1().ConfigMaps(m.Namespace).Get(ctx, dependentName(resource), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading the dependent of %s %s: %w", resource, canaryName, err)
	}
	if err == nil && dependent.DeletionTimestamp == nil && len(dependent.OwnerReferences) == 1 && dependent.OwnerReferences[0].UID == owner.GetUID() {
		return nil
	}
	return fmt.Errorf("the ConfigMap %s/%s of %s %s does not exist or belongs to another canary, so it is not known which server the garbage collector watches: restart the host's "+
		"kube-controller-manager, which then watches the server, then run `kubectl delete %s %s`", m.Namespace, dependentName(resource),
		resource, canaryName, resource, canaryName)
}

// deleteCanary deletes the canary at the server, which answers for the group.
func (m *Migration) deleteCanary(ctx context.Context, resource string) error {
	return m.await(ctx, "the server has deleted "+resource+" "+canaryName, func() error {
		err := m.resource(resource).Delete(ctx, canaryName, metav1.DeleteOptions{})
		if err == nil {
			return errors.New("it is not gone yet")
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// awaitGone waits until get answers that there is no such object.
func (m *Migration) awaitGone(ctx context.Context, what string, get func() error) error {
	return m.await(ctx, what, func() error {
		err := get()
		switch {
		case err == nil:
			return errors.New("it has not")
		case apierrors.IsNotFound(err):
			return nil
		}
		return err
	})
}
