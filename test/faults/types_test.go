package faults

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

// The Sources of one platform are served by an aggregated API server, those of the
// other are converted by a webhook. Both go away and come back.
func typesAreAway(t *testing.T) {
	h := newHost(t)
	_, err := h.StartServer(t.Context(), devcluster.ServerOptions{Manifests: artifacts + "/deploy/base"})
	must(t, err)
	var server *devcluster.TypeServer
	webhook, err := devcluster.StartConversionWebhook()
	must(t, err)
	t.Cleanup(func() {
		must(t, webhook.Stop())
		if server != nil {
			must(t, server.Stop())
		}
	})
	w := newWorldOf(t, h, fewClusters, func(t *testing.T, p *platform, _ unstructured.Unstructured) {
		server, err = p.StartTypeServer(t.Context(), p.resource, "Cluster")
		must(t, err)
	}, func(t *testing.T, p *platform, crd unstructured.Unstructured) {
		// The policy reads the version that the host prefers, which is not the one
		// that is stored.
		versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
		must(t, err)
		preferred := crd.DeepCopy().Object["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
		preferred["name"], preferred["storage"] = "v1beta1", false
		must(t, unstructured.SetNestedSlice(crd.Object, append(versions, preferred), "spec", "versions"))
		must(t, unstructured.SetNestedMap(crd.Object, webhook.Conversion(), "spec", "conversion"))
		asCustomResource(t, p, crd)
	})

	main, held := w.platforms[0], w.platforms[1]
	// Changes of Sources would wait until their type is back, and others with them.
	for _, p := range w.platforms {
		p.mu.Lock()
	}
	stopped := time.Now()
	must(t, server.Stop())
	must(t, webhook.Stop())
	// A quiet watch does not need the webhook.
	must(t, held.patchSource(t.Context(), held.names()[0], `{"metadata":{"labels":{"example.io/changed":"true"}}}`))
	tokens := map[*platform]string{main: "away", held: "away too"}
	for p, token := range tokens {
		for name := range p.clusters {
			if !p.clusters[name].held {
				p.clusters[name].token = token
				must(t, p.setToken(t.Context(), name, token))
			}
		}
	}
	for p, token := range tokens {
		within(t, "credentials follow while the type is away", func(ctx context.Context) error { return p.allHave(ctx, token) })
	}
	note(t, "Source types away: all new tokens had arrived after %.1fs", time.Since(stopped).Seconds())
	for p := range tokens {
		within(t, "the policy tells of its type", func(ctx context.Context) error {
			return p.isReady(ctx, metav1.ConditionFalse, policyv1alpha1.ReasonSourcesUnavailable)
		})
	}
	note(t, "Source types away: both policies said so after %.1fs", time.Since(stopped).Seconds())
	for _, p := range w.platforms {
		p.mu.Unlock()
	}

	back := time.Now()
	must(t, server.Start())
	must(t, webhook.Start())
	within(t, "the policies do not tell of their types any more", func(ctx context.Context) error {
		return errors.Join(main.isReady(ctx, metav1.ConditionTrue, policyv1alpha1.ReasonImported),
			held.isReady(ctx, metav1.ConditionFalse, policyv1alpha1.ReasonPruneHeld))
	})
	w.recovers(t, "Source types back after they could not be listed", back)
	w.check(t)
}

// allHave fails unless the PediaClusters of the platform have the token, but for
// those that are held.
func (p *platform) allHave(ctx context.Context, token string) error {
	list, err := p.objects.Resource(pediaClusters).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	tokens := map[string]string{}
	for i := range list.Items {
		tokens[list.Items[i].GetName()], _, _ = unstructured.NestedString(list.Items[i].Object, "spec", "tokenData")
	}
	for name, c := range p.clusters {
		if !c.held && tokens[p.pediaCluster(name)] != encoded(token) {
			return fmt.Errorf("%s does not have it", p.pediaCluster(name))
		}
	}
	return nil
}

// isReady fails unless the condition Ready of the policy has that status for that
// reason.
func (p *platform) isReady(ctx context.Context, status metav1.ConditionStatus, reason string) error {
	policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(ctx, p.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	ready := meta.FindStatusCondition(policy.Status.Conditions, policyv1alpha1.PolicyReady)
	if ready == nil || ready.Status != status || ready.Reason != reason {
		return fmt.Errorf("policy %s says %+v", p.name, ready)
	}
	return nil
}
