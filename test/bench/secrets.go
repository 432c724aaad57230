package main

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// manyNamespace holds the many Secrets.
	manyNamespace = "many-secrets"
	// manySecretBytes is the size of each.
	manySecretBytes = 8 << 10
)

// secretsCost measures what many Secrets cost the server: first such that no policy
// refers to, then the same as Sources that a selector refuses. The peaks of the
// running server and of one that starts are compared with those before.
func (b *bench) secretsCost(ctx context.Context) error {
	if err := b.createNamespace(ctx, manyNamespace); err != nil {
		return err
	}
	var atStart, atRest float64
	work := func(p *phase, change func() error) error {
		err := change()
		if err != nil {
			return err
		}
		if _, err := b.settle(ctx, quiet); err != nil {
			return err
		}
		running, err := b.serverPeak()
		if err != nil {
			return err
		}
		started, err := b.peakOfStart(ctx)
		if err != nil {
			return err
		}
		p.Figures["runningMiB"], p.Figures["startMiB"] = running-atRest, started-atStart
		p.Figures["mostMiB"] = max(running-atRest, started-atStart)
		return nil
	}
	err := b.measure(ctx, secretsPhase, 0, func(p *phase) (err error) {
		if atStart, err = b.peakOfStart(ctx); err != nil {
			return err
		}
		if err := b.resetPeaks(); err != nil {
			return err
		}
		if _, err := b.settle(ctx, quiet); err != nil {
			return err
		}
		if atRest, err = b.serverPeak(); err != nil {
			return err
		}
		return work(p, func() error {
			return forEach(ctx, names("s", b.options.secrets), func(ctx context.Context, name string) error {
				return b.create(ctx, secrets, &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": "v1", "kind": "Secret",
					"metadata": map[string]any{"name": name, "namespace": manyNamespace},
					"data":     map[string]any{"data": data(name, manySecretBytes)},
				}})
			})
		})
	})
	if err != nil {
		return err
	}
	return b.changed(ctx, b.measure(ctx, refusedPhase, 0, func(p *phase) error {
		return work(p, func() error { return b.create(ctx, policies, refusingPolicy()) })
	}))
}

// refusingPolicy selects Secrets, but none of these.
func refusingPolicy() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": policies.GroupVersion().String(), "kind": "ClusterImportPolicy",
		"metadata": map[string]any{"name": "secrets"},
		"spec": map[string]any{
			"source": map[string]any{
				"group": "", "resource": "secrets", "versions": []any{},
				"selectorTemplate": `{{ eq (index .source.metadata.labels "example.com/cluster") "true" }}`,
			},
			"nameTemplate":      "secret-{{ .source.metadata.name }}",
			"template":          "spec:\n  kubeconfig: \"{{ .source.data.data }}\"\n  syncResources: [{group: \"\", resources: [pods]}]\n",
			"creationCondition": "true",
		},
	}}
}

// peakOfStart is the peak memory of the server at an ordered restart.
func (b *bench) peakOfStart(ctx context.Context) (float64, error) {
	if err := b.server.Stop(ctx); err != nil {
		return 0, err
	}
	if err := b.server.Start(ctx); err != nil {
		return 0, err
	}
	// It goes on working when it serves already.
	if err := sleep(ctx, 2*time.Second); err != nil {
		return 0, err
	}
	if _, err := b.settle(ctx, quiet); err != nil {
		return 0, err
	}
	return b.serverPeak()
}

func (b *bench) serverPeak() (float64, error) {
	state, err := readProcess(b.PIDs()[serverProcess])
	return state.peakMiB, err
}
