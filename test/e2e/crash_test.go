package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestAServerKilledInTheMiddleOfImportsEndsWithExactlyThose(t *testing.T) {
	const clusters = 400
	// Killing the server would disturb other tests: this one has a host of its own.
	h := ownHost(t)
	p := h.newPlatform(t, "crash")
	p.installType(t)

	inParallel(t, clusters, func(ctx context.Context, i int) error {
		return p.createCluster(ctx, clusterName(i), clusterToken(i), true)
	})

	p.apply(t, p.manifests.policy.Object)
	waitForPediaClusters(t, h, 100)
	must(t, h.server.Kill())
	if made := len(listPediaClusters(t, h)); made >= clusters {
		t.Fatalf("the server was killed too late: it had made all %d PediaClusters", made)
	}
	must(t, h.server.Start(t.Context()))
	checkImports(t, p, clusters)

	// What an orderly end and a new start leave is the same.
	must(t, h.server.Stop(t.Context()))
	must(t, h.server.Start(t.Context()))
	checkImports(t, p, clusters)

	// PediaClusters follow an edited policy first, what their lifecycles say comes
	// after that. A new token overtakes both.
	const template = `
spec:
  apiserver: "https://proxy.example.com/{{ .source.metadata.name }}"
  tokenData: "{{ .references.authSecret.data.token }}"
`
	p.edit(t, fmt.Sprintf(`{"spec":{"template":%q}}`, template))
	p.setToken(t, clusterName(clusters/2), "rotated")
	eventually(t, "the first follow the edited policy", func() error { return follow(t, h, 100) })
	must(t, h.server.Kill())
	must(t, h.server.Start(t.Context()))
	within(t, 3*time.Minute, "all follow the edited policy", func() error { return follow(t, h, clusters) })
	p.waitForToken(t, clusterName(clusters/2), "rotated")
	p.edit(t, `{"spec":{"creationCondition":"{{ true }}"}}`) // with nothing to do for the host
	within(t, 3*time.Minute, "all lifecycles follow", func() error {
		lifecycles, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, lifecycle := range lifecycles.Items {
			ready := meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady)
			if err := errors.Join(
				same("template", lifecycle.Spec.Template, template),
				same("creationCondition", lifecycle.Spec.CreationCondition, "{{ true }}"),
				same("phase", string(lifecycle.Status.Phase), string(policyv1alpha1.LifecycleImported)),
			); err != nil {
				return fmt.Errorf("%s: %w", lifecycle.Name, err)
			}
			if generation := lifecycle.Generation; lifecycle.Status.ObservedGeneration != generation || ready.ObservedGeneration != generation {
				return fmt.Errorf("%s tells of generation %d, want %d", lifecycle.Name, ready.ObservedGeneration, generation)
			}
		}
		return nil
	})
}

// follow fails unless so many PediaClusters have the endpoint of the edited policy.
func follow(t *testing.T, h *host, want int) error {
	t.Helper()
	count := 0
	for _, cluster := range listPediaClusters(t, h) {
		if strings.HasPrefix(text(&cluster, "spec", "apiserver"), "https://proxy.example.com/") {
			count++
		}
	}
	if count < want {
		return fmt.Errorf("%d of %d", count, want)
	}
	return nil
}

func clusterName(i int) string  { return fmt.Sprintf("c%04d", i) }
func clusterToken(i int) string { return fmt.Sprintf("the token of %d", i) }

// checkImports waits until every import is complete and checks that there is
// exactly one right PediaCluster for each cluster.
func checkImports(t *testing.T, p *platform, clusters int) {
	t.Helper()
	within(t, 3*time.Minute, "every import is complete", func() error {
		lifecycles, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		imported := 0
		for _, lifecycle := range lifecycles.Items {
			if lifecycle.Status.Phase == policyv1alpha1.LifecycleImported {
				imported++
			}
		}
		if len(lifecycles.Items) != clusters || imported != clusters {
			return fmt.Errorf("%d lifecycles, %d of them imported", len(lifecycles.Items), imported)
		}
		return nil
	})
	if made := len(listPediaClusters(t, p.host)); made != clusters {
		t.Errorf("%d PediaClusters, want %d", made, clusters)
	}
	for i := range clusters {
		cluster, err := p.pediaCluster(t.Context(), clusterName(i))
		must(t, err)
		lifecycle, err := p.lifecycle(t.Context(), clusterName(i))
		must(t, err)
		owners := cluster.GetOwnerReferences()
		if len(owners) != 1 || owners[0].UID != lifecycle.UID {
			t.Errorf("%s is owned by %v, want its lifecycle %s", cluster.GetName(), owners, lifecycle.UID)
		}
		if err := errors.Join(
			same("apiserver", text(cluster, "spec", "apiserver"), endpoint(clusterName(i))),
			same("tokenData", text(cluster, "spec", "tokenData"), base64.StdEncoding.EncodeToString([]byte(clusterToken(i)))),
		); err != nil {
			t.Errorf("%s: %v", cluster.GetName(), err)
		}
	}
}

// waitForPediaClusters returns as soon as that many PediaClusters exist. It
// watches, since a list of many takes longer than some of them take to be made.
func waitForPediaClusters(t *testing.T, h *host, count int) {
	t.Helper()
	list, err := h.objects.Resource(pediaClusters).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	timeout := int64(patience.Seconds())
	watch, err := h.objects.Resource(pediaClusters).Watch(t.Context(),
		metav1.ListOptions{ResourceVersion: list.GetResourceVersion(), TimeoutSeconds: &timeout})
	must(t, err)
	defer watch.Stop()
	for seen := len(list.Items); seen < count; {
		event, open := <-watch.ResultChan()
		if !open {
			t.Fatalf("only %d of %d PediaClusters within %s", seen, count, patience)
		}
		if event.Type == "ADDED" {
			seen++
		}
	}
}

func listPediaClusters(t *testing.T, h *host) []unstructured.Unstructured {
	t.Helper()
	list, err := h.objects.Resource(pediaClusters).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	return list.Items
}
