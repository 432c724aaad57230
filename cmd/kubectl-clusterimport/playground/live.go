package playground

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/yaml"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/manifest"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/offline"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// Live reads objects of a cluster.
type Live interface {
	// Name is what people call the cluster.
	Name() string
	// Sources are the first Sources of a policy.
	Sources(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy) (*SourceList, error)
	// Source reads a Source, what its references find, its PediaCluster and its lifecycle.
	Source(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy, name policyv1alpha1.SourceName) (*SourceObjects, error)
}

// SourceList has names of Sources.
type SourceList struct {
	Sources []policyv1alpha1.SourceName `json:"sources"`
	// More says that there are others.
	More bool `json:"more,omitempty"`
}

// SourceObjects are a Source and what its import reads.
type SourceObjects struct {
	Source *unstructured.Unstructured
	Others []*unstructured.Unstructured
	// Notes say what could not be read.
	Notes []string
}

// SourceTexts are SourceObjects for the editors. Credentials are masked.
type SourceTexts struct {
	Source     string   `json:"source"`
	References string   `json:"references"`
	Notes      []string `json:"notes,omitempty"`
}

// texts writes objects for the editors.
func (m *masks) texts(objects *SourceObjects) (*SourceTexts, error) {
	source, err := yaml.Marshal(m.mask(objects.Source).Object)
	if err != nil {
		return nil, err
	}
	var others []string
	for _, object := range objects.Others {
		text, err := yaml.Marshal(m.mask(object).Object)
		if err != nil {
			return nil, err
		}
		others = append(others, string(text))
	}
	return &SourceTexts{Source: string(source), References: documents(others), Notes: objects.Notes}, nil
}

// policyOf is the policy of a text, which must be without errors.
func policyOf(ctx context.Context, text string) (*policyv1alpha1.ClusterImportPolicy, error) {
	objects, err := manifest.Parse(policyEditor, []byte(text))
	if err != nil {
		return nil, err
	}
	return offline.Policy(ctx, objects, "the editor of the policy")
}

// mostSources is how many Sources are offered: nobody chooses from more.
const mostSources = 500

// Cluster is a Live that reads with the rights of a user, and writes nothing.
type Cluster struct {
	Called   string
	Objects  dynamic.Interface
	Metadata metadata.Interface
	Mapper   meta.RESTMapper
}

// Name implements Live.
func (c *Cluster) Name() string { return c.Called }

// served is the type in the first of the versions that is served, or the preferred one.
func (c *Cluster) served(group, resource string, versions []string) (schema.GroupVersionResource, error) {
	if len(versions) == 0 {
		versions = []string{""}
	}
	var err error
	for _, version := range versions {
		var found schema.GroupVersionResource
		if found, err = c.Mapper.ResourceFor(schema.GroupVersionResource{Group: group, Version: version, Resource: resource}); err == nil {
			return found, nil
		}
	}
	if meta.IsNoMatchError(err) {
		err = fmt.Errorf("the cluster does not serve %s", schema.GroupResource{Group: group, Resource: resource})
	}
	return schema.GroupVersionResource{}, err
}

// Sources implements Live.
func (c *Cluster) Sources(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy) (*SourceList, error) {
	source := policy.Spec.Source
	resource, err := c.served(source.Group, source.Resource, source.Versions)
	if err != nil {
		return nil, err
	}
	options := metav1.ListOptions{Limit: mostSources}
	if source.LabelSelector != nil {
		selector, err := source.LabelSelector.Selector()
		if err != nil {
			return nil, err
		}
		options.LabelSelector = selector.String()
	}
	list, err := c.Metadata.Resource(resource).List(ctx, options)
	if err != nil {
		return nil, err
	}
	found := &SourceList{Sources: []policyv1alpha1.SourceName{}, More: list.Continue != ""}
	for _, object := range list.Items {
		found.Sources = append(found.Sources, policyv1alpha1.SourceName{Namespace: object.Namespace, Name: object.Name})
	}
	return found, nil
}

// Source implements Live. What is read is what a review of the Source asks for.
func (c *Cluster) Source(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy, name policyv1alpha1.SourceName) (*SourceObjects, error) {
	spec := &policy.Spec
	compiled, errs := render.Compile(spec)
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	resource, err := c.served(spec.Source.Group, spec.Source.Resource, spec.Source.Versions)
	if err != nil {
		return nil, err
	}
	read := &SourceObjects{}
	if read.Source, err = c.Objects.Resource(resource).Namespace(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{}); err != nil {
		return nil, err
	}
	get := func(resource schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
		object, err := c.Objects.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			read.Notes = append(read.Notes, err.Error())
			return nil, err
		}
		read.Others = append(read.Others, object)
		return object, nil
	}
	var versions []string
	for _, ref := range spec.References {
		served, err := c.served(ref.Group, ref.Resource, ref.Versions)
		if err != nil {
			read.Notes = append(read.Notes, err.Error())
		}
		versions = append(versions, served.Version)
	}
	result := compiled.Review(render.ReviewInputs{
		PolicyName: policy.Name,
		SourceType: policyv1alpha1.DependentResource{Group: resource.Group, Version: resource.Version, Resource: resource.Resource},
		Source:     read.Source,
		Versions:   versions,
		Lookup: func(target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
			if target.Version == "" {
				return nil, nil // the type is not served
			}
			return get(schema.GroupVersionResource{Group: target.Group, Version: target.Version, Resource: target.Resource}, target.Namespace, target.Name)
		},
		Env: engine.Env{Now: read.Source.GetCreationTimestamp().Time, Seed: string(read.Source.GetUID())},
		Current: func(name string) (*unstructured.Unstructured, error) {
			return get(render.PediaClusterGVR, "", name)
		},
	})
	if result.Name != "" {
		// Who may not read it sees that in the notes.
		_, _ = get(policyv1alpha1.SchemeGroupVersion.WithResource("pediaclusterlifecycles"), "", result.Name)
	}
	return read, nil
}
