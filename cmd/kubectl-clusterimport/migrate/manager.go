package migrate

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// managers returns the Deployments that run Clusterpedia's controller-manager.
func (m *Migration) managers(ctx context.Context) (found []appsv1.Deployment, err error) {
	deployments, err := m.Kubernetes.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("looking for Clusterpedia's controller-manager: %w", err)
	}
	for _, deployment := range deployments.Items {
		if isManager(&deployment) {
			found = append(found, deployment)
		}
	}
	return found, nil
}

// isManager tells the controller-manager by its name, or by the image or the
// command of a container.
func isManager(deployment *appsv1.Deployment) bool {
	if namesManager(deployment.Name) {
		return true
	}
	for _, container := range deployment.Spec.Template.Spec.Containers {
		command := strings.Join(append(container.Command, container.Args...), " ")
		if namesManager(container.Image) || namesManager(command) {
			return true
		}
	}
	return false
}

func namesManager(text string) bool {
	_, after, ok := strings.Cut(text, "clusterpedia")
	return ok && strings.Contains(after, "controller-manager")
}

// runs is an error that says what is still there of a Deployment.
func (m *Migration) runs(ctx context.Context, deployment *appsv1.Deployment) error {
	if replicas := deployment.Spec.Replicas; replicas == nil || *replicas > 0 {
		return fmt.Errorf("the Deployment %s/%s is to run: %s", deployment.Namespace, deployment.Name, scaleCommand(deployment))
	}
	if deployment.Status.Replicas > 0 {
		return fmt.Errorf("the Deployment %s/%s has %d pods left", deployment.Namespace, deployment.Name, deployment.Status.Replicas)
	}
	selector, err := metav1.LabelSelectorAsSelector(deployment.Spec.Selector)
	if err != nil {
		return fmt.Errorf("the selector of Deployment %s/%s: %w", deployment.Namespace, deployment.Name, err)
	}
	pods, err := m.Kubernetes.CoreV1().Pods(deployment.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return fmt.Errorf("looking for pods of Clusterpedia's controller-manager: %w", err)
	}
	for _, pod := range pods.Items {
		if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			return fmt.Errorf("pod %s/%s of Clusterpedia's controller-manager has not ended", pod.Namespace, pod.Name)
		}
	}
	return nil
}

func scaleCommand(deployment *appsv1.Deployment) string {
	return fmt.Sprintf("kubectl scale --namespace %s deployment/%s --replicas=0", deployment.Namespace, deployment.Name)
}

// leases returns those that a controller-manager of Clusterpedia holds, as far as
// their name or their holder tells.
func (m *Migration) leases(ctx context.Context) (held []coordinationv1.Lease, err error) {
	all, err := m.Kubernetes.CoordinationV1().Leases(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("looking for the Lease of Clusterpedia's controller-manager: %w", err)
	}
	for _, lease := range all.Items {
		if holder := holderOf(&lease); holder != "" && (namesManager(lease.Name) || namesManager(holder)) {
			held = append(held, lease)
		}
	}
	return held, nil
}

func holderOf(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// stopManagers returns when no controller-manager of Clusterpedia runs any more.
func (m *Migration) stopManagers(ctx context.Context, _ *state) error {
	managers, err := m.managers(ctx)
	if err != nil {
		return err
	}
	for i := range managers {
		if err := m.stopManager(ctx, &managers[i]); err != nil {
			return err
		}
	}
	if err := m.awaitLeases(ctx); err != nil {
		return err
	}
	m.say("%d found, none runs", len(managers))
	return nil
}

// stillStopped is an error when a controller-manager of Clusterpedia was started
// again since stopManagers.
func (m *Migration) stillStopped(ctx context.Context) error {
	managers, err := m.managers(ctx)
	if err != nil {
		return err
	}
	for i := range managers {
		if err := m.runs(ctx, &managers[i]); err != nil {
			return fmt.Errorf("a controller-manager of Clusterpedia works on the same policies again: %w", err)
		}
	}
	return m.awaitLeases(ctx)
}

func (m *Migration) awaitLeases(ctx context.Context) error {
	leases, err := m.leases(ctx)
	if err != nil {
		return err
	}
	for i := range leases {
		if err := m.awaitSilence(ctx, &leases[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *Migration) stopManager(ctx context.Context, deployment *appsv1.Deployment) error {
	client := m.Kubernetes.AppsV1().Deployments(deployment.Namespace)
	if replicas := deployment.Spec.Replicas; m.StopControllerManager && (replicas == nil || *replicas > 0) {
		_, err := client.Patch(ctx, deployment.Name, types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{}, "scale")
		if err != nil {
			return fmt.Errorf("scaling Deployment %s/%s to zero: %w", deployment.Namespace, deployment.Name, err)
		}
		m.say("scaled Deployment %s/%s to zero", deployment.Namespace, deployment.Name)
	}
	return m.await(ctx, "Clusterpedia's controller-manager has ended", func() error {
		now, err := client.Get(ctx, deployment.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return m.runs(ctx, now)
	})
}

// awaitSilence returns when a Lease was not renewed for as long as it lasts. Its
// times are not compared with the clock of this machine.
func (m *Migration) awaitSilence(ctx context.Context, lease *coordinationv1.Lease) error {
	lasts := 15 * time.Second
	if seconds := lease.Spec.LeaseDurationSeconds; seconds != nil {
		lasts = time.Duration(*seconds) * time.Second
	}
	renewed, since := lease.Spec.RenewTime, time.Now()
	if last, ok := m.silent[lease.UID]; ok && last.Equal(renewed) {
		return nil
	}
	return m.await(ctx, "nobody renews the Lease of Clusterpedia's controller-manager", func() error {
		now, err := m.Kubernetes.CoordinationV1().Leases(lease.Namespace).Get(ctx, lease.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if holderOf(now) == "" {
			return nil
		}
		if !now.Spec.RenewTime.Equal(renewed) {
			renewed, since = now.Spec.RenewTime, time.Now()
		}
		if time.Since(since) <= lasts {
			return fmt.Errorf("%s holds the Lease %s/%s: if it continues to renew it, it runs outside of a Deployment: stop it there",
				holderOf(now), now.Namespace, now.Name)
		}
		if renewed != nil {
			m.silent[lease.UID] = *renewed
		}
		return nil
	})
}
