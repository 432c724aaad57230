// Package validation checks the structure of policy.clusterpedia.io objects:
// what can be told from one object without compiling its templates, which is
// the business of pkg/render.
package validation

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

// Limits that no honest object comes near. They keep what one object costs in
// storage and in compilation within bounds.
const (
	maxTemplateBytes = 64 << 10
	maxTextBytes     = 8 << 10
	maxReferences    = 32
	maxVersions      = 16
)

// referenceKey is what can follow a dot in a template: .references.<key>.
var referenceKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ValidateClusterImportPolicy checks a policy that is created.
func ValidateClusterImportPolicy(obj *policy.ClusterImportPolicy) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&obj.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return append(errs, validatePolicySpec(&obj.Spec, field.NewPath("spec"))...)
}

// ValidateClusterImportPolicyUpdate checks a changed policy. A spec that stays
// as it is was valid when it was written and is not judged again: a stricter
// rule of a newer release must not keep a finalizer from being removed.
func ValidateClusterImportPolicyUpdate(obj, old *policy.ClusterImportPolicy) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&obj.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	if apiequality.Semantic.DeepEqual(obj.Spec, old.Spec) {
		return errs
	}
	errs = append(errs, validatePolicySpec(&obj.Spec, field.NewPath("spec"))...)

	source := field.NewPath("spec", "source")
	errs = append(errs, validateUnchanged(obj.Spec.Source.Group, old.Spec.Source.Group, source.Child("group"))...)
	return append(errs, validateUnchanged(obj.Spec.Source.Resource, old.Spec.Source.Resource, source.Child("resource"))...)
}

// ValidateClusterImportPolicyStatusUpdate checks the status of a policy.
func ValidateClusterImportPolicyStatusUpdate(obj, old *policy.ClusterImportPolicy) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&obj.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, metav1validation.ValidateConditions(obj.Status.Conditions, field.NewPath("status", "conditions"))...)
}

// ValidatePediaClusterLifecycle checks a lifecycle that is created.
func ValidatePediaClusterLifecycle(obj *policy.PediaClusterLifecycle) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&obj.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return append(errs, validateLifecycleSpec(&obj.Spec, field.NewPath("spec"))...)
}

// ValidatePediaClusterLifecycleUpdate checks a changed lifecycle; see
// ValidateClusterImportPolicyUpdate for what an unchanged spec means.
func ValidatePediaClusterLifecycleUpdate(obj, old *policy.PediaClusterLifecycle) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&obj.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	if apiequality.Semantic.DeepEqual(obj.Spec, old.Spec) {
		return errs
	}
	return append(errs, validateLifecycleSpec(&obj.Spec, field.NewPath("spec"))...)
}

// ValidatePediaClusterLifecycleStatusUpdate checks the status of a lifecycle.
func ValidatePediaClusterLifecycleStatusUpdate(obj, old *policy.PediaClusterLifecycle) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&obj.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, metav1validation.ValidateConditions(obj.Status.Conditions, field.NewPath("status", "conditions"))...)
}

func validatePolicySpec(spec *policy.ClusterImportPolicySpec, path *field.Path) field.ErrorList {
	errs := validateSourceType(&spec.Source, path.Child("source"))

	references := path.Child("references")
	errs = append(errs, validateReferenceCount(len(spec.References), references)...)
	keys := sets.New[string]()
	for i := range spec.References {
		reference := &spec.References[i]
		errs = append(errs, validateReferenceTarget(&reference.ReferenceTarget, keys, references.Index(i))...)
		errs = append(errs, validateVersions(reference.Versions, references.Index(i).Child("versions"))...)
	}

	errs = append(errs, validateRequiredTemplate(spec.NameTemplate, maxTextBytes, path.Child("nameTemplate"))...)
	errs = append(errs, validateShare(spec.MaxPrune, 0, path.Child("maxPrune"))...)
	if spec.Rollout != nil {
		errs = append(errs, validateRollout(spec.Rollout, path.Child("rollout"))...)
	}
	return append(errs, validateConversion(&spec.Conversion, path)...)
}

// validateShare checks a number or a percentage, neither of which may be less than least.
func validateShare(share *intstr.IntOrString, least int, path *field.Path) field.ErrorList {
	if share == nil {
		return field.ErrorList{field.Required(path, `a number or a percentage, such as "10%"`)}
	}
	if share.Type == intstr.Int {
		if least == 0 {
			return apivalidation.ValidateNonnegativeField(int64(share.IntVal), path)
		}
		if share.IntValue() < least {
			return field.ErrorList{field.Invalid(path, share.IntVal, fmt.Sprintf("must be at least %d", least))}
		}
		return nil
	}
	percent, err := strconv.Atoi(strings.TrimSuffix(share.StrVal, "%"))
	if err != nil || percent < least || percent > 100 || !strings.HasSuffix(share.StrVal, "%") {
		return field.ErrorList{field.Invalid(path, share.StrVal, fmt.Sprintf(`must be a number, or a percentage from "%d%%" to "100%%"`, least))}
	}
	return nil
}

func validateRollout(rollout *policy.Rollout, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabelSelector(rollout.First, metav1validation.LabelSelectorValidationOptions{}, path.Child("first"))
	errs = append(errs, validateShare(rollout.MaxConcurrent, 1, path.Child("maxConcurrent"))...)
	errs = append(errs, validateShare(rollout.MaxFailures, 0, path.Child("maxFailures"))...)
	switch rollout.Verify {
	case policy.VerifyWritten, policy.VerifyClusterReady:
	default:
		errs = append(errs, field.NotSupported(path.Child("verify"), rollout.Verify,
			[]policy.RolloutVerification{policy.VerifyWritten, policy.VerifyClusterReady}))
	}
	after := ptr.Deref(rollout.Timeout, "")
	duration, err := time.ParseDuration(after)
	minReady, timeout := path.Child("minReadySeconds"), path.Child("timeout")
	switch {
	case rollout.MinReadySeconds == nil:
		errs = append(errs, field.Required(minReady, "how long a cluster must be ready, in seconds"))
	case *rollout.MinReadySeconds < 0:
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(*rollout.MinReadySeconds), minReady)...)
	case err != nil || duration < time.Second: // times are stored in seconds
		errs = append(errs, field.Invalid(timeout, after, `must be a duration of at least a second, such as "5m"`))
	case rollout.Verify == policy.VerifyClusterReady && duration <= time.Duration(*rollout.MinReadySeconds)*time.Second:
		errs = append(errs, field.Invalid(timeout, after,
			fmt.Sprintf("must be more than minReadySeconds (%d): no cluster could be verified in time", *rollout.MinReadySeconds)))
	}
	return errs
}

func validateLifecycleSpec(spec *policy.PediaClusterLifecycleSpec, path *field.Path) field.ErrorList {
	source := path.Child("source")
	errs := validateGroup(spec.Source.Group, source.Child("group"))
	errs = append(errs, validateVersion(spec.Source.Version, source.Child("version"))...)
	errs = append(errs, validateResource(spec.Source.Resource, source.Child("resource"))...)
	if spec.Source.Name == "" {
		errs = append(errs, field.Required(source.Child("name"), "the name of the object that represents the cluster"))
	}

	references := path.Child("references")
	errs = append(errs, validateReferenceCount(len(spec.References), references)...)
	keys := sets.New[string]()
	for i := range spec.References {
		reference := &spec.References[i]
		errs = append(errs, validateReferenceTarget(&reference.ReferenceTarget, keys, references.Index(i))...)
		errs = append(errs, validateVersion(reference.Version, references.Index(i).Child("version"))...)
	}
	return append(errs, validateConversion(&spec.Conversion, path)...)
}

func validateSourceType(source *policy.SourceType, path *field.Path) field.ErrorList {
	errs := validateGroup(source.Group, path.Child("group"))
	errs = append(errs, validateResource(source.Resource, path.Child("resource"))...)
	errs = append(errs, validateVersions(source.Versions, path.Child("versions"))...)
	errs = append(errs, metav1validation.ValidateLabelSelector(source.LabelSelector,
		metav1validation.LabelSelectorValidationOptions{}, path.Child("labelSelector"))...)
	return append(errs, validateTemplate(source.SelectorTemplate, maxTextBytes, path.Child("selectorTemplate"))...)
}

func validateReferenceCount(count int, path *field.Path) field.ErrorList {
	if count > maxReferences {
		return field.ErrorList{field.TooMany(path, count, maxReferences)}
	}
	return nil
}

// validateReferenceTarget adds the key of the reference to keys, which holds
// those before it.
func validateReferenceTarget(reference *policy.ReferenceTarget, keys sets.Set[string], path *field.Path) field.ErrorList {
	errs := validateReferenceKey(reference.Key, keys, path.Child("key"))
	keys.Insert(reference.Key)
	errs = append(errs, validateGroup(reference.Group, path.Child("group"))...)
	errs = append(errs, validateResource(reference.Resource, path.Child("resource"))...)
	errs = append(errs, validateTemplate(ptr.Deref(reference.NamespaceTemplate, ""), maxTextBytes, path.Child("namespaceTemplate"))...)
	return append(errs, validateRequiredTemplate(reference.NameTemplate, maxTextBytes, path.Child("nameTemplate"))...)
}

func validateReferenceKey(key string, earlier sets.Set[string], path *field.Path) field.ErrorList {
	switch {
	case key == "":
		return field.ErrorList{field.Required(path, "templates read the object as .references.<key>")}
	case len(key) > validation.DNS1123LabelMaxLength:
		return field.ErrorList{field.TooLong(path, key, validation.DNS1123LabelMaxLength)}
	case !referenceKey.MatchString(key):
		return field.ErrorList{field.Invalid(path, key,
			"must consist of letters, digits and underscores and not start with a digit, since templates read the object as .references.<key>")}
	case earlier.Has(key):
		return field.ErrorList{field.Duplicate(path, key)}
	}
	return nil
}

func validateConversion(conversion *policy.Conversion, path *field.Path) field.ErrorList {
	errs := validateRequiredTemplate(conversion.Template, maxTemplateBytes, path.Child("template"))
	errs = append(errs, validateRequiredTemplate(conversion.CreationCondition, maxTextBytes, path.Child("creationCondition"))...)
	errs = append(errs, validateTemplate(conversion.DeletionCondition, maxTextBytes, path.Child("deletionCondition"))...)
	switch conversion.DeletionPolicy {
	case policy.DeletionPolicyDelete, policy.DeletionPolicyOrphan:
	default:
		errs = append(errs, field.NotSupported(path.Child("deletionPolicy"), conversion.DeletionPolicy,
			[]policy.DeletionPolicy{policy.DeletionPolicyDelete, policy.DeletionPolicyOrphan}))
	}
	return errs
}

func validateRequiredTemplate(text string, maxBytes int, path *field.Path) field.ErrorList {
	if strings.TrimSpace(text) == "" {
		return field.ErrorList{field.Required(path, "must not be empty or blank")}
	}
	return validateTemplate(text, maxBytes, path)
}

func validateTemplate(text string, maxBytes int, path *field.Path) field.ErrorList {
	if len(text) > maxBytes {
		return field.ErrorList{field.TooLong(path, text, maxBytes)}
	}
	return nil
}

func validateGroup(group string, path *field.Path) field.ErrorList {
	switch {
	case group == "": // the core group
		return nil
	case strings.Contains(group, "/"):
		return field.ErrorList{field.Invalid(path, group, "must be the group alone: versions have a field of their own")}
	}
	return invalid(path, group, validation.IsDNS1123Subdomain(group))
}

func validateResource(resource string, path *field.Path) field.ErrorList {
	switch {
	case resource == "":
		return field.ErrorList{field.Required(path, `the plural, lower-case name of the type, such as "secrets"`)}
	case strings.Contains(resource, "/"):
		return field.ErrorList{field.Invalid(path, resource, "must not be a subresource: name the resource alone")}
	case strings.Contains(resource, "."):
		name, group, _ := strings.Cut(resource, ".")
		return field.ErrorList{field.Invalid(path, resource,
			fmt.Sprintf("must be the resource alone: set resource to %q and group to %q", name, group))}
	case resource != strings.ToLower(resource):
		return field.ErrorList{field.Invalid(path, resource,
			fmt.Sprintf("must be the plural, lower-case name of the type, not its kind: write %q", pluralOf(resource)))}
	}
	return invalid(path, resource, validation.IsDNS1035Label(resource))
}

// pluralOf guesses the resource of a kind.
func pluralOf(kind string) string {
	if strings.HasSuffix(kind, "s") {
		return strings.ToLower(kind)
	}
	plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Kind: kind})
	return plural.Resource
}

func validateVersions(versions []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(versions) > maxVersions {
		errs = append(errs, field.TooMany(path, len(versions), maxVersions))
	}
	seen := sets.New[string]()
	for i, version := range versions {
		if seen.Has(version) {
			errs = append(errs, field.Duplicate(path.Index(i), version))
			continue
		}
		seen.Insert(version)
		errs = append(errs, validateVersion(version, path.Index(i))...)
	}
	return errs
}

func validateVersion(version string, path *field.Path) field.ErrorList {
	switch {
	case version == "":
		return field.ErrorList{field.Required(path, `a version of the resource, such as "v1"`)}
	case strings.Contains(version, "/"):
		return field.ErrorList{field.Invalid(path, version, "must be the version alone: the group has a field of its own")}
	}
	return invalid(path, version, validation.IsDNS1035Label(version))
}

func validateUnchanged(value, old string, path *field.Path) field.ErrorList {
	if value == old {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value,
		fmt.Sprintf("cannot be changed from %q: make a new policy for the other type", old))}
}

func invalid(path *field.Path, value string, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, message := range messages {
		errs = append(errs, field.Invalid(path, value, message))
	}
	return errs
}
