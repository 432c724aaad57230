package offline

import (
	"fmt"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/manifest"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/typecheck"
)

// Definitions are the types that CustomResourceDefinitions define.
type Definitions map[schema.GroupResource]*typecheck.Definition

// ReadDefinitions reads the CustomResourceDefinitions of the files. Other objects
// are left out. What is broken in the files is returned for notes.
func ReadDefinitions(files resource.FilenameOptions, stdin io.Reader) (definitions Definitions, broken []*manifest.Error, err error) {
	objects, err := manifest.Read(files, stdin)
	if broken, err = manifest.Errors(err); err != nil {
		return nil, nil, err
	}
	definitions, undefined := DefinitionsOf(objects)
	return definitions, append(broken, undefined...), nil
}

// DefinitionsOf are the types that the CustomResourceDefinitions among the objects
// define. Those that are broken are returned for notes.
func DefinitionsOf(objects []*manifest.Object) (definitions Definitions, broken []*manifest.Error) {
	definitions = Definitions{}
	for _, object := range objects {
		if !IsDefinition(object) {
			continue
		}
		definition, err := typecheck.FromDefinition(object.JSON)
		if err != nil {
			broken = append(broken, &manifest.Error{Place: object.Place(""), Message: err.Error()})
			continue
		}
		definitions[definition.GroupResource] = definition
	}
	return definitions, broken
}

// IsDefinition reports whether the object says that it is a CustomResourceDefinition.
func IsDefinition(object *manifest.Object) bool {
	return object.Group == "apiextensions.k8s.io" && object.Kind == "CustomResourceDefinition"
}

// object is the type of a resource, in the version that a host would choose that
// serves nothing but the definition. It is nil if it is not known.
func (d Definitions) object(group, name string, versions []string) *typecheck.Object {
	if builtin := typecheck.Builtin(group, name); builtin != nil {
		return builtin
	}
	definition := d[schema.GroupResource{Group: group, Resource: name}]
	if definition == nil {
		return nil
	}
	served := slices.Clone(definition.Versions)
	slices.SortFunc(served, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	if len(versions) == 0 {
		versions = served
	}
	for _, wanted := range versions {
		if slices.Contains(served, wanted) {
			return definition.Objects[wanted]
		}
	}
	return nil
}

// CheckTypes returns where the templates of a policy do not fit the types of what
// they read, and the types that are not known.
func CheckTypes(object *manifest.Object, policy *policyv1alpha1.ClusterImportPolicy, definitions Definitions) (findings Findings, unknown []string) {
	compiled, errs := render.Compile(&policy.Spec)
	if len(errs) > 0 {
		return nil, nil
	}
	known := func(group, name string, versions []string) *typecheck.Object {
		found := definitions.object(group, name, versions)
		if found == nil {
			unknown = append(unknown, schema.GroupResource{Group: group, Resource: name}.String())
		}
		return found
	}
	source := policy.Spec.Source
	types := typecheck.Types{Source: known(source.Group, source.Resource, source.Versions), References: map[string]*typecheck.Object{}}
	for _, ref := range policy.Spec.References {
		types.References[ref.Key] = known(ref.Group, ref.Resource, ref.Versions)
	}
	for _, finding := range typecheck.Check(compiled, types) {
		findings = append(findings, Finding{
			Place:   object.PlaceInText(finding.Field, finding.Cause.Line, finding.Cause.Column),
			Field:   finding.Field,
			Message: fmt.Sprint(finding.Cause),
		})
	}
	slices.Sort(unknown)
	return findings, slices.Compact(unknown)
}
