// Package offline does without a cluster what the server does with one: it
// admits policies and renders them. It calls the server's own functions, so
// that what it says is what the server would say.
package offline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/manifest"
	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/install"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/clusterimportpolicy"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

var (
	// Scheme knows every version of the API.
	Scheme = runtime.NewScheme()

	// decoder decodes strictly, sets defaults and converts to what the server
	// works with.
	decoder runtime.Decoder
)

func init() {
	install.Install(Scheme)
	decoder = serializer.NewCodecFactory(Scheme, serializer.EnableStrict).
		UniversalDecoder(schema.GroupVersion{Group: policyv1alpha1.GroupName, Version: runtime.APIVersionInternal})
}

// Finding is what the server would say about a policy.
type Finding struct {
	manifest.Place
	// Field is the path of the field, empty when it is about none.
	Field   string
	Message string
}

func (f Finding) String() string {
	if f.Field == "" {
		return fmt.Sprintf("%s: %s", f.Place, f.Message)
	}
	return fmt.Sprintf("%s: %s: %s", f.Place, f.Field, f.Message)
}

// Findings are the error of a policy that cannot be used.
type Findings []Finding

func (f Findings) Error() string {
	text := "the server would refuse this policy"
	for _, finding := range f {
		text += "\n" + finding.String()
	}
	return text
}

// IsPolicy reports whether the object says that it is a ClusterImportPolicy.
func IsPolicy(object *manifest.Object) bool {
	return object.Group == policyv1alpha1.GroupName && object.Kind == "ClusterImportPolicy"
}

// Check returns what the server would have to say if the policy were created:
// why it would refuse it, and what it would warn of. The policy, with its
// defaults, is returned when it would not be refused.
func Check(ctx context.Context, object *manifest.Object) (policy *policyv1alpha1.ClusterImportPolicy, refused, warnings Findings) {
	c := checker{object: object}
	for _, field := range object.Duplicates {
		c.add(field, "is set twice")
	}
	internal, err := runtime.Decode(decoder, object.JSON)
	if err != nil {
		c.addDecoding(err)
	}
	if internal == nil {
		return nil, c.findings, nil
	}
	strategy := clusterimportpolicy.NewStrategy(Scheme)
	if accessor, err := meta.Accessor(internal); err == nil {
		rest.FillObjectMetaSystemFields(accessor)
	}
	var warned recorder
	ctx = warning.WithWarningRecorder(genericapirequest.WithNamespace(ctx, metav1.NamespaceNone), &warned)
	if err := rest.BeforeCreate(strategy, ctx, internal); err != nil {
		c.addAdmission(err)
	}
	if len(c.findings) > 0 {
		return nil, c.findings, nil
	}
	versioned, err := Scheme.ConvertToVersion(internal, policyv1alpha1.SchemeGroupVersion)
	if err != nil {
		c.add("", err.Error())
		return nil, c.findings, nil
	}
	policy = versioned.(*policyv1alpha1.ClusterImportPolicy)
	return policy, nil, c.warnings(append(warned, singulars(&policy.Spec)...))
}

// singulars warns of types whose names do not look like a plural. Only a cluster
// knows whether there is such a type.
func singulars(spec *policyv1alpha1.ClusterImportPolicySpec) (warnings []string) {
	warn := func(path, resource string) {
		if strings.HasSuffix(resource, "s") {
			return
		}
		plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Kind: resource})
		warnings = append(warnings, fmt.Sprintf("%s.resource: types have names in the plural: did you mean %q?", path, plural.Resource))
	}
	warn("spec.source", spec.Source.Resource)
	for i, ref := range spec.References {
		warn(fmt.Sprintf("spec.references[%d]", i), ref.Resource)
	}
	return warnings
}

// CheckTemplate returns what is wrong with the PediaClusters of a policy, as far as its template
// alone tells. The server uses the definition of its host for it, of which it warns.
func CheckTemplate(object *manifest.Object, policy *policyv1alpha1.ClusterImportPolicy) (findings Findings) {
	const field = "spec.template"
	for _, problem := range render.CheckTemplate(policy.Spec.Template, nil) {
		finding := Finding{Place: object.Place(field), Field: field, Message: problem.String()}
		if problem.Line > 0 {
			finding.Place = object.PlaceInText(field, problem.Line, problem.Column)
		}
		findings = append(findings, finding)
	}
	return findings
}

// Refused places the error with which a server has refused the object.
func Refused(object *manifest.Object, err error) Findings {
	c := checker{object: object}
	c.addAdmission(err)
	return c.findings
}

// Warned places warnings of a server about the object.
func Warned(object *manifest.Object, texts []string) Findings {
	c := checker{object: object}
	return c.warnings(texts)
}

// recorder keeps the warnings of a creation.
type recorder []string

// AddWarning implements warning.Recorder.
func (r *recorder) AddWarning(_, text string) { *r = append(*r, text) }

type checker struct {
	object   *manifest.Object
	findings Findings
}

func (c *checker) add(field, message string) {
	c.findings = append(c.findings, Finding{Place: c.object.Place(field), Field: field, Message: message})
}

// warnings finds the places of warnings that begin with the path of a field.
func (c *checker) warnings(texts []string) (findings Findings) {
	for _, text := range texts {
		field, message, ok := strings.Cut(text, ": ")
		if !ok || strings.Contains(field, " ") {
			field, message = "", text
		}
		findings = append(findings, Finding{Place: c.object.Place(field), Field: field, Message: message})
	}
	return findings
}

var unknownField = regexp.MustCompile(`^unknown field "(.*)"$`)

// addDecoding adds what is wrong with the form of the object.
func (c *checker) addDecoding(err error) {
	var mismatch *json.UnmarshalTypeError
	strict, isStrict := runtime.AsStrictDecodingError(err)
	switch {
	case isStrict:
		for _, err := range strict.Errors() {
			if match := unknownField.FindStringSubmatch(err.Error()); match != nil {
				c.add(match[1], "unknown field")
				continue
			}
			c.add("", err.Error())
		}
	case runtime.IsNotRegisteredError(err):
		c.add("apiVersion", fmt.Sprintf("is not %s: there is no other version", policyv1alpha1.SchemeGroupVersion))
	case errors.As(err, &mismatch):
		c.add(mismatch.Field, fmt.Sprintf("must be %s, not %s", describeType(mismatch), mismatch.Value))
	default:
		c.add("", err.Error())
	}
}

func describeType(err *json.UnmarshalTypeError) string {
	switch kind := err.Type.Kind().String(); kind {
	case "struct", "map":
		return "an object"
	case "slice":
		return "a list"
	case "bool":
		return "true or false"
	default:
		return "a " + kind
	}
}

// placeInTemplate is how the errors of templates begin, after the value.
var placeInTemplate = regexp.MustCompile(`: line (\d+), column (\d+)\b`)

// addAdmission adds what is wrong with the content of the object.
func (c *checker) addAdmission(err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		c.add("", err.Error())
		return
	}
	for _, cause := range status.Status().Details.Causes {
		c.add(cause.Field, cause.Message)
		if match := placeInTemplate.FindStringSubmatch(cause.Message); match != nil {
			line, _ := strconv.Atoi(match[1])
			column, _ := strconv.Atoi(match[2])
			c.findings[len(c.findings)-1].Place = c.object.PlaceInText(cause.Field, line, column)
		}
	}
}
