package offline

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// Inputs are the policy and the objects to render it with. Objects that the
// policy does not speak of are not used.
type Inputs struct {
	Policy *policyv1alpha1.ClusterImportPolicy
	// Sources are objects, some of which stand for clusters.
	Sources []*unstructured.Unstructured
	// References are the objects among which a reference looks for its own, by
	// its key.
	References map[string][]*unstructured.Unstructured
	// Objects are what every reference finds by the type, namespace and name that it
	// renders, as on a cluster.
	Objects []*unstructured.Unstructured
	// Lifecycles are those that exist. Those of the Sources lend clock and chance to
	// templates.
	Lifecycles []*policyv1alpha1.PediaClusterLifecycle
	// Current are the PediaClusters that exist.
	Current []*unstructured.Unstructured
	// Digest turns a credential into something that can be compared and shown.
	// Nil shows credentials in the clear.
	Digest func(credential string) string
	// Trace says how the conditions came to their results.
	Trace bool
}

// Sources are those of the objects that are of the type that the policy imports. The
// error says that there are none.
func Sources(policy *policyv1alpha1.ClusterImportPolicy, objects []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	source := policy.Spec.Source
	found := ofType(objects, source.Group, source.Resource, source.Versions)
	if len(found) == 0 {
		return nil, fmt.Errorf("no Source: %s", noneOf(objects, source.Group, source.Resource, source.Versions))
	}
	return found, nil
}

// Render says what becomes of each Source. Without a lifecycle that could lend
// its own, the clock and chance of templates come from the Source, so that
// the same files always give the same result.
func Render(in Inputs) ([]policyv1alpha1.RenderResult, error) {
	spec := &in.Policy.Spec
	compiled, errs := render.Compile(spec)
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	sources, err := Sources(in.Policy, in.Sources)
	if err != nil {
		return nil, err
	}
	references, err := newReferences(spec, in, len(sources) == 1)
	if err != nil {
		return nil, err
	}
	results := make([]policyv1alpha1.RenderResult, len(sources))
	for i, source := range sources {
		results[i] = compiled.Review(render.ReviewInputs{
			PolicyName: in.Policy.Name,
			SourceType: policyv1alpha1.DependentResource{
				Group: spec.Source.Group, Version: source.GroupVersionKind().Version, Resource: spec.Source.Resource},
			Source:     source,
			Versions:   references.versions,
			Lookup:     references.lookup,
			Given:      references.given,
			Lifecycles: LifecyclesOf(in.Policy, source, in.Lifecycles),
			Env:        engine.Env{Now: source.GetCreationTimestamp().Time, Seed: string(source.GetUID())},
			Current: func(name string) (*unstructured.Unstructured, error) {
				for _, object := range in.Current {
					if object.GetName() == name {
						return object, nil
					}
				}
				return nil, nil
			},
			Digest: in.Digest,
			Trace:  in.Trace,
		})
	}
	render.Contend(results)
	return results, nil
}

// LifecyclesOf are those of the Source, under whatever policy.
func LifecyclesOf(policy *policyv1alpha1.ClusterImportPolicy, source *unstructured.Unstructured, lifecycles []*policyv1alpha1.PediaClusterLifecycle) (found []*policyv1alpha1.PediaClusterLifecycle) {
	for _, lifecycle := range lifecycles {
		of, want := lifecycle.Spec.Source, policy.Spec.Source
		if of.Group == want.Group && of.Resource == want.Resource && of.Namespace == source.GetNamespace() && of.Name == source.GetName() {
			found = append(found, lifecycle)
		}
	}
	return found
}

// references are the objects that a policy's references can find.
type references struct {
	versions []string
	// given are those that a reference finds whatever its name.
	given map[string]*unstructured.Unstructured
	// named are those that a reference finds by its name.
	named map[policyv1alpha1.DependentResource]*unstructured.Unstructured
}

// newReferences takes an object for what the reference of its key finds by its
// namespace and name. An only object for an only Source is taken whatever its name, as
// the server does with a review that has one.
func newReferences(spec *policyv1alpha1.ClusterImportPolicySpec, in Inputs, oneSource bool) (*references, error) {
	inputs := in.References
	r := &references{
		given: map[string]*unstructured.Unstructured{},
		named: map[policyv1alpha1.DependentResource]*unstructured.Unstructured{},
	}
	var keys []string
	for _, ref := range spec.References {
		keys = append(keys, ref.Key)
		objects := ofType(inputs[ref.Key], ref.Group, ref.Resource, ref.Versions)
		if len(objects) == 0 && len(inputs[ref.Key]) > 0 {
			return nil, fmt.Errorf("reference %q: %s", ref.Key, noneOf(inputs[ref.Key], ref.Group, ref.Resource, ref.Versions))
		}
		version := likelyVersion(ref)
		for _, object := range slices.Concat(objects, amongOthers(in.Objects, spec, ref)) {
			version = object.GroupVersionKind().Version
			at := policyv1alpha1.DependentResource{Group: ref.Group, Version: version, Resource: ref.Resource,
				Namespace: object.GetNamespace(), Name: object.GetName()}
			r.named[at] = object
		}
		if oneSource && len(objects) == 1 {
			r.given[ref.Key] = objects[0]
		}
		r.versions = append(r.versions, version)
	}
	for key := range inputs {
		if !slices.Contains(keys, key) {
			return nil, fmt.Errorf("reference %q: the policy has no such key; it has: %s", key, strings.Join(keys, ", "))
		}
	}
	return r, nil
}

// amongOthers are the objects of the type of a reference, where others are too. A kind from
// which the name of its type cannot be told may be of any type of its group.
func amongOthers(objects []*unstructured.Unstructured, spec *policyv1alpha1.ClusterImportPolicySpec, ref policyv1alpha1.ReferenceTemplate) (found []*unstructured.Unstructured) {
	var ofGroup []string // the types of the group that the policy reads
	for _, other := range spec.References {
		if other.Group == ref.Group {
			ofGroup = append(ofGroup, other.Resource)
		}
	}
	for _, object := range objects {
		kind := object.GroupVersionKind()
		plural, _ := meta.UnsafeGuessKindToResource(kind)
		switch {
		case kind.Group != ref.Group || len(ref.Versions) > 0 && !slices.Contains(ref.Versions, kind.Version):
		case plural.Resource == ref.Resource, ref.Group != "" && !slices.Contains(ofGroup, plural.Resource):
			found = append(found, object)
		}
	}
	return found
}

// likelyVersion is the version of a reference without an object to tell it.
func likelyVersion(ref policyv1alpha1.ReferenceTemplate) string {
	switch {
	case len(ref.Versions) > 0:
		return ref.Versions[0]
	case ref.Group == "":
		return "v1"
	default:
		return ""
	}
}

func (r *references) lookup(target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
	return r.named[target], nil
}

// ofType are the objects of that type, as far as a kind tells its resource
// without a cluster to ask. An object of the group that is alone is taken for
// what is meant, whatever its kind.
func ofType(objects []*unstructured.Unstructured, group, resource string, versions []string) []*unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for _, object := range objects {
		kind := object.GroupVersionKind()
		if kind.Group != group || len(versions) > 0 && !slices.Contains(versions, kind.Version) {
			continue
		}
		if plural, _ := meta.UnsafeGuessKindToResource(kind); plural.Resource == resource || len(objects) == 1 {
			found = append(found, object)
		}
	}
	return found
}

// noneOf says that objects are not of the type that is asked for.
func noneOf(objects []*unstructured.Unstructured, group, resource string, versions []string) string {
	var kinds []string
	for _, object := range objects {
		if kind := object.GetAPIVersion() + " " + object.GetKind(); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	wanted := resource
	if group != "" {
		wanted += "." + group
	}
	if len(versions) > 0 {
		wanted += " in version " + strings.Join(versions, " or ")
	}
	return fmt.Sprintf("the policy reads %s, and the files have: %s", wanted, strings.Join(kinds, ", "))
}

// asStored is what an API server makes of a manifest: the clear text of a
// Secret's stringData becomes data.
func asStored(object *unstructured.Unstructured) *unstructured.Unstructured {
	texts, found, err := unstructured.NestedStringMap(object.Object, "stringData")
	if object.GetAPIVersion() != "v1" || object.GetKind() != "Secret" || !found || err != nil {
		return object
	}
	stored := object.DeepCopy()
	delete(stored.Object, "stringData")
	data, _ := stored.Object["data"].(map[string]any)
	if data == nil {
		data = map[string]any{}
	}
	for key, value := range texts {
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	stored.Object["data"] = data
	return stored
}

// NotGiven reports whether a result waits for a reference of which nobody knows without a
// cluster whether it exists, and returns its key and what the message says of it.
func NotGiven(result *policyv1alpha1.RenderResult) (key, reference string, ok bool) {
	message, ok := strings.CutSuffix(result.Message, " does not exist")
	if !ok || result.Reason != policyv1alpha1.ReasonWaitingForReference || len(result.References) == 0 {
		return "", "", false
	}
	return result.References[len(result.References)-1].Key, message, true
}

// NewDigest returns a function that turns credentials into digests as the
// server does: equal for equal credentials, under a key that nobody knows.
func NewDigest() func(credential string) string {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return func(credential string) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(credential))
		size := len(credential)
		if decoded, err := base64.StdEncoding.DecodeString(credential); err == nil {
			size = len(decoded)
		}
		return fmt.Sprintf("hmac-sha256:%x(%d bytes)", mac.Sum(nil)[:16], size)
	}
}
