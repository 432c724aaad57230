package migrate

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/review"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// shownSources is how many Sources of a policy are listed.
const shownSources = 50

// checkCredentials lists the Sources that this server imports otherwise than
// Clusterpedia does: those for which a credential that the template writes is
// missing. Clusterpedia takes it from the PediaCluster, and this server waits.
func (m *Migration) checkCredentials(ctx context.Context, policies []*policyv1alpha1.ClusterImportPolicy, found *problems) error {
	items, err := list(ctx, m.Objects.Resource(render.PediaClusterGVR))
	if err != nil {
		return fmt.Errorf("listing PediaClusters: %w", err)
	}
	pediaClusters := make(map[string]*unstructured.Unstructured, len(items))
	for i := range items {
		pediaClusters[items[i].GetName()] = &items[i]
	}
	for _, policy := range policies {
		compiled, errs := render.Compile(&policy.Spec)
		if len(errs) > 0 {
			continue // which is said already
		}
		waiting, err := m.waitingSources(ctx, policy, compiled, pediaClusters)
		switch {
		case err != nil:
			found.note("policy %q: whether credentials of its Sources are missing was not found out: %v", policy.Name, err)
		case len(waiting) > 0:
			found.note("policy %q: a credential that spec.template writes is missing for %d of its Sources, which Clusterpedia imports without it. Here they "+
				"wait with the reason CredentialsMissing, and a PediaCluster that has it keeps it. A credential that is optional belongs inside a condition:\n%s",
				policy.Name, len(waiting), strings.Join(shorten(waiting), "\n"))
		}
	}
	return nil
}

func shorten(lines []string) []string {
	if len(lines) <= shownSources {
		return lines
	}
	return append(lines[:shownSources:shownSources], fmt.Sprintf("and %d more", len(lines)-shownSources))
}

// waitingSources are the Sources of a policy for which a credential is missing,
// with what the server would say of them.
func (m *Migration) waitingSources(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy, compiled *render.Policy,
	pediaClusters map[string]*unstructured.Unstructured) (waiting []string, err error) {
	spec := &policy.Spec
	source, err := m.Host.Resolve(ctx, schema.GroupResource{Group: spec.Source.Group, Resource: spec.Source.Resource}, spec.Source.Versions)
	if err != nil {
		return nil, err
	}
	references := make([]review.Type, len(spec.References))
	versions := make([]string, len(spec.References))
	for i, ref := range spec.References {
		if references[i], err = m.Host.Resolve(ctx, schema.GroupResource{Group: ref.Group, Resource: ref.Resource}, ref.Versions); err != nil {
			return nil, err
		}
		versions[i] = references[i].Version
	}
	sources, err := m.sourcesOf(ctx, source)
	if err != nil {
		return nil, err
	}
	var refused error
	pediaClusterSchema := m.Host.Schema(ctx)
	for i := range sources {
		result := compiled.Review(render.ReviewInputs{
			PolicyName: policy.Name,
			SourceType: policyv1alpha1.DependentResource{Group: source.Group, Version: source.Version, Resource: source.Resource},
			Source:     &sources[i],
			Versions:   versions,
			Lookup: func(target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
				object, err := m.Host.Get(ctx, schema.GroupVersionResource{Group: target.Group, Version: target.Version, Resource: target.Resource},
					target.Namespace, target.Name)
				if apierrors.IsForbidden(err) {
					refused = err
				}
				return object, err
			},
			Env:     engine.Env{Now: time.Now(), Seed: string(sources[i].GetUID())},
			Current: func(name string) (*unstructured.Unstructured, error) { return pediaClusters[name], nil },
			Schema:  pediaClusterSchema,
		})
		if result.Reason == policyv1alpha1.ReasonCredentialsMissing {
			waiting = append(waiting, fmt.Sprintf("%s: %s", strings.TrimPrefix(result.Source.Namespace+"/"+result.Source.Name, "/"), result.Message))
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if len(waiting) == 0 && refused != nil {
		return nil, refused
	}
	return waiting, nil
}

func (m *Migration) sourcesOf(ctx context.Context, source review.Type) (items []unstructured.Unstructured, err error) {
	options := metav1.ListOptions{Limit: 500}
	for {
		page, err := m.Host.List(ctx, source.GroupVersionResource, options)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", source.GroupResource(), err)
		}
		items = append(items, page.Items...)
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return items, nil
		}
	}
}
