package render

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Action is what a plan does about a PediaCluster.
type Action string

// The actions, as the answers of the render subresource explain them.
const (
	ActionCreate   Action = "Create"
	ActionUpdate   Action = "Update"
	ActionDelete   Action = "Delete"
	ActionNone     Action = "None"
	ActionWait     Action = "Wait"
	ActionConflict Action = "Conflict"
	ActionError    Action = "Error"
)

// Writes reports whether the action writes the PediaCluster.
func (a Action) Writes() bool {
	return a == ActionCreate || a == ActionUpdate || a == ActionDelete
}

// Plan is what has to be done about one PediaCluster, and why.
type Plan struct {
	Action Action
	// Reason is one of the reasons of a lifecycle's conditions.
	Reason string
	// Message is for people. It holds no value of a credential.
	Message string
	// Object is what to create.
	Object *unstructured.Unstructured
	// Patch is the JSON merge patch that updates the PediaCluster, guarded by
	// its uid and resourceVersion.
	Patch map[string]any
	// Changed are the paths of the fields that Patch changes, in order.
	Changed []string
}

// Owner is the import for which a PediaCluster is planned.
type Owner struct {
	Policy string
	// Source is the object that stands for the cluster.
	Source policyv1alpha1.DependentResource
	// LifecycleUID is the UID of the lifecycle, which has the name of the
	// PediaCluster. Empty in a preview before there is one.
	LifecycleUID types.UID
}

// CreatedFor is the value of the annotation that marks a PediaCluster as made
// for this import. The version is no part of it: it may change.
func (o Owner) CreatedFor() string {
	resource := schema.GroupResource{Group: o.Source.Group, Resource: o.Source.Resource}
	return strings.Join([]string{o.Policy, resource.String(), o.Source.Namespace, o.Source.Name}, "/")
}

// Ownership says whose a PediaCluster is.
type Ownership int

const (
	// Unowned was there first: it is updated, and survives its Source.
	Unowned Ownership = iota
	// Owned was made for this import.
	Owned
	// OwnedByOther was made for another import.
	OwnedByOther
)

// Ownership says whose the PediaCluster is. Nobody else may own it; then it is
// this import's when it carries its annotation, even after its owner reference
// was lost, or when the lifecycle is its owner.
func (o Owner) Ownership(pediaCluster *unstructured.Unstructured) Ownership {
	owners := pediaCluster.GetOwnerReferences()
	createdFor, marked := pediaCluster.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]
	switch {
	case slices.ContainsFunc(owners, foreign):
		return Unowned
	case o.owns(owners), marked && createdFor == o.CreatedFor():
		return Owned
	case marked:
		return OwnedByOther
	default:
		return Unowned
	}
}

// owns reports whether the lifecycle is among the owners.
func (o Owner) owns(owners []metav1.OwnerReference) bool {
	return o.LifecycleUID != "" &&
		slices.ContainsFunc(owners, func(ref metav1.OwnerReference) bool { return ref.UID == o.LifecycleUID })
}

// IsLifecycle reports whether an owner is a lifecycle, of whatever version.
func IsLifecycle(ref metav1.OwnerReference) bool {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	return err == nil && gv.Group == policyv1alpha1.GroupName && ref.Kind == "PediaClusterLifecycle"
}

func foreign(ref metav1.OwnerReference) bool { return !IsLifecycle(ref) }

// Plan says what to do about the PediaCluster: current is the live one, nil
// when there is none. When the name of the import has changed, replaces is the
// PediaCluster of the former name, nil otherwise: the new one then takes over
// what belongs to its users, and creationCondition is not asked.
func (c *Conversion) Plan(owner Owner, current, replaces *unstructured.Unstructured) Plan {
	unwanted := c.DeletionCondition.Holds && c.DeletionCondition.Err == nil
	ownership := Unowned
	if current != nil {
		ownership = owner.Ownership(current)
	}
	switch {
	case ownership == OwnedByOther:
		return Plan{Action: ActionConflict, Reason: policyv1alpha1.ReasonNameTaken, Message: fmt.Sprintf(
			"PediaCluster %q was made for %s: change nameTemplate so that names differ, or delete that PediaCluster",
			current.GetName(), shorten(current.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]))}
	case current != nil && current.GetDeletionTimestamp() != nil && unwanted:
		return Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonDeletionConditionMet,
			Message: "deletionCondition is true; " + DescribeDeletion(current)}
	case current != nil && current.GetDeletionTimestamp() != nil:
		return Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonPediaClusterDeleting,
			Message: DescribeDeletion(current) + "; it is created again after that if creationCondition is true"}
	case c.DeletionCondition.Err != nil && !absent(c.DeletionCondition.Err):
		return failed(c.DeletionCondition.Err)
	case unwanted && ownership == Owned:
		return Plan{Action: ActionDelete, Reason: policyv1alpha1.ReasonDeletionConditionMet, Message: "deletionCondition is true"}
	case unwanted && current == nil:
		return Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonDeletionConditionMet,
			Message: "not created while deletionCondition is true"}
	case c.Missing != nil:
		return waiting(c.Missing)
	case c.Err != nil:
		return failed(c.Err)
	case len(c.missing(current)) > 0:
		return lacking(c.missing(current), current != nil)
	case !hasEndpoint(c.PediaCluster):
		return Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonNoEndpoint,
			Message: "spec.template renders neither spec.apiserver nor spec.kubeconfig nor spec.authenticationFrom.kubeconfig"}
	}
	if err := checkCredentials(c.PediaCluster, current); err != nil {
		return failed(err)
	}
	switch {
	case c.losesLogin(cmp.Or(current, replaces)):
		return Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonCredentialsMissing,
			Message: "endpoint and credentials stay as they are: the user of the kubeconfig that spec.template renders has no credentials, and that of the PediaCluster has; write the value that the template reads, or correct its path"}
	case current != nil:
		return c.update(owner, current, ownership)
	case replaces != nil:
		return c.replace(owner, replaces)
	default:
		return c.createOnCondition(owner)
	}
}

// replace is the plan for the PediaCluster of a new name. The condition is not asked.
func (c *Conversion) replace(owner Owner, replaces *unstructured.Unstructured) Plan {
	plan := c.create(owner)
	plan.Object = takeOver(plan.Object, replaces)
	if problems := c.definition().Validate(plan.Object); len(problems) > 0 {
		return failed(fmt.Errorf("PediaCluster %q cannot replace %q, whose fields it copies: %w", plan.Object.GetName(), replaces.GetName(), problems))
	}
	return plan
}

// createOnCondition is the plan for a PediaCluster that does not exist. Until the condition is
// true it is not refused either: data that the template needs may not be there yet.
func (c *Conversion) createOnCondition(owner Owner) Plan {
	condition := c.CreationCondition
	switch {
	case condition.Err != nil && !absent(condition.Err):
		return failed(condition.Err)
	case !condition.Holds:
		message := condition.notYet()
		if problems := c.refused(c.PediaCluster); len(problems) > 0 {
			message += "; what spec.template renders now could not be created: " + problems.Error()
		}
		return Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonWaitingForCondition, Message: Bounded(message, MaxMessage)}
	}
	plan := c.create(owner)
	if problems := c.refused(plan.Object); len(problems) > 0 {
		return failed(invalidPediaCluster(problems))
	}
	return plan
}

// refused is why the host would refuse to create the PediaCluster that was rendered.
func (c *Conversion) refused(object *unstructured.Unstructured) Problems {
	return append(slices.Clone(c.problems), c.definition().Validate(object)...)
}

// definition is what PediaClusters must be like.
func (c *Conversion) definition() *Schema {
	if c.schema == nil {
		return ShippedSchema()
	}
	return c.schema
}

func (c *Conversion) create(owner Owner) Plan {
	object := c.PediaCluster.DeepCopy()
	object.SetOwnerReferences([]metav1.OwnerReference{owner.reference(object.GetName())})
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[policyv1alpha1.CreatedForAnnotation] = owner.CreatedFor()
	object.SetAnnotations(annotations)
	return Plan{Action: ActionCreate, Reason: policyv1alpha1.ReasonCreated, Object: object}
}

// reference is the lifecycle as an owner, though not the controller, of its
// PediaCluster. It does not block a deletion of the lifecycle: our finalizer
// sees to the order.
func (o Owner) reference(name string) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "PediaClusterLifecycle", Name: name, UID: o.LifecycleUID,
	}
}

// update brings endpoint and credentials in line, and the marks of ownership of
// a PediaCluster that is this import's. Only what it writes is validated: the rest
// of what was rendered is not used, and what is there belongs to its users.
func (c *Conversion) update(owner Owner, current *unstructured.Unstructured, ownership Ownership) Plan {
	rendered, _ := c.PediaCluster.Object["spec"].(map[string]any)
	spec, written := map[string]any{}, map[string]any{}
	var changed []string
	for _, field := range followedFields {
		want, wanted := rendered[field]
		if got := followedText(current, field); want == got || !wanted && got == "" {
			continue
		}
		changed = append(changed, "spec."+field)
		spec[field] = want // null removes what the template no longer renders
		if wanted {
			written[field] = want
		}
	}
	if problems := c.definition().validateFollowed(written); len(problems) > 0 {
		return failed(invalidPediaCluster(problems))
	}
	metadata := map[string]any{}
	if ownership == Owned && owner.LifecycleUID != "" {
		if current.GetAnnotations()[policyv1alpha1.CreatedForAnnotation] != owner.CreatedFor() {
			metadata["annotations"] = map[string]any{policyv1alpha1.CreatedForAnnotation: owner.CreatedFor()}
			changed = append(changed, "metadata.annotations")
		}
		if owners, ok := owner.adopt(current); !ok {
			metadata["ownerReferences"] = owners
			changed = append(changed, "metadata.ownerReferences")
		}
	}

	reason := policyv1alpha1.ReasonCreated
	if ownership == Unowned {
		reason = policyv1alpha1.ReasonExisted
	}
	if len(changed) == 0 {
		return Plan{Action: ActionNone, Reason: reason}
	}
	patch := map[string]any{"metadata": guarded(metadata, current)}
	if len(spec) > 0 {
		patch["spec"] = spec
	}
	return Plan{Action: ActionUpdate, Reason: reason, Patch: patch, Changed: changed}
}

// adopt returns the owner references with this lifecycle in the place of every
// other: the garbage collector would take the absence of an earlier one for a
// reason to delete. It reports whether they are so already.
func (o Owner) adopt(current *unstructured.Unstructured) (owners []metav1.OwnerReference, already bool) {
	before := current.GetOwnerReferences()
	owners = slices.DeleteFunc(slices.Clone(before), IsLifecycle)
	owners = append(owners, o.reference(current.GetName()))
	return owners, len(owners) == len(before) && o.owns(before)
}

// Release is the JSON merge patch that takes the marks of ownership off a
// PediaCluster: no lifecycle owns it, and unless keepMark is set it no longer
// counts as made by this server. Nil when it is so already.
func Release(current *unstructured.Unstructured, keepMark bool) map[string]any {
	metadata := map[string]any{}
	owners := current.GetOwnerReferences()
	kept := slices.DeleteFunc(slices.Clone(owners), IsLifecycle)
	if len(kept) < len(owners) {
		metadata["ownerReferences"] = kept
	}
	if _, marked := current.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]; marked && !keepMark {
		metadata["annotations"] = map[string]any{policyv1alpha1.CreatedForAnnotation: nil}
	}
	if len(metadata) == 0 {
		return nil
	}
	return map[string]any{"metadata": guarded(metadata, current)}
}

// takeOver carries over to a new PediaCluster what belongs to the users of the
// one it replaces: labels, annotations and the fields of spec that do not
// follow the template.
func takeOver(object, replaced *unstructured.Unstructured) *unstructured.Unstructured {
	annotations := replaced.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[policyv1alpha1.CreatedForAnnotation] = object.GetAnnotations()[policyv1alpha1.CreatedForAnnotation]
	object.SetAnnotations(annotations)
	object.SetLabels(replaced.GetLabels())

	rendered, _, _ := unstructured.NestedMap(object.Object, "spec")
	spec, _, _ := unstructured.NestedMap(replaced.Object, "spec")
	if spec == nil {
		spec = map[string]any{}
	}
	for _, field := range followedFields {
		delete(spec, field)
		if value, ok := rendered[field]; ok {
			spec[field] = value
		}
	}
	object.Object["spec"] = spec
	return object
}

// guarded makes a patch fail when the object is no longer the one it was made for.
func guarded(metadata map[string]any, current *unstructured.Unstructured) map[string]any {
	metadata["uid"] = string(current.GetUID())
	metadata["resourceVersion"] = current.GetResourceVersion()
	return metadata
}

// missing returns the missing credentials that stand in the way: all of them
// when there is no PediaCluster yet, and those that it has when there is one.
func (c *Conversion) missing(current *unstructured.Unstructured) []*MissingCredential {
	if current == nil {
		return c.MissingCredentials
	}
	return slices.DeleteFunc(slices.Clone(c.MissingCredentials), func(missing *MissingCredential) bool {
		return followedText(current, missing.Field) == ""
	})
}

// losesLogin reports whether an update would replace a kubeconfig that can log in by one that
// cannot: what is missing inside of a kubeconfig is not known to the engine.
func (c *Conversion) losesLogin(current *unstructured.Unstructured) bool {
	if current == nil {
		return false
	}
	has, _ := specData(current, "kubeconfig")
	gets, _ := specData(c.PediaCluster, "kubeconfig")
	if len(has) == 0 || len(gets) == 0 || bytes.Equal(has, gets) {
		return false
	}
	before, err := ParseKubeconfig(has)
	if err != nil || !before.logsIn() {
		return false
	}
	now, err := ParseKubeconfig(gets)
	return err == nil && !now.logsIn() // one that is no kubeconfig is refused as such
}

func hasEndpoint(pediaCluster *unstructured.Unstructured) bool {
	for _, path := range [][]string{{"spec", "apiserver"}, {"spec", "kubeconfig"}, {"spec", "authenticationFrom", "kubeconfig", "name"}} {
		if value, _, _ := unstructured.NestedString(pediaCluster.Object, path...); value != "" {
			return true
		}
	}
	return false
}

// lacking is the plan while credentials are missing. It names all of them, and
// why as far as there is room.
func lacking(missing []*MissingCredential, exists bool) Plan {
	effect, verb := "not created", "is"
	if exists {
		effect = "endpoint and credentials stay as they are"
	}
	if len(missing) > 1 {
		verb = "are"
	}
	fields, causes := make([]string, len(missing)), make([]string, len(missing))
	for i, credential := range missing {
		fields[i], causes[i] = "spec."+credential.Field, credential.Cause.Error()
	}
	message := fmt.Sprintf("%s while %s %s missing; a field that is optional belongs inside {{ with }} or {{ if }}: %s",
		effect, strings.Join(fields, " and "), verb, strings.Join(causes, "; "))
	return Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonCredentialsMissing, Message: Bounded(message, MaxMessage)}
}

func waiting(missing error) Plan {
	plan := Plan{Action: ActionWait, Reason: policyv1alpha1.ReasonWaitingForValue, Message: missing.Error()}
	if ref := (*MissingReference)(nil); errors.As(missing, &ref) {
		plan.Reason = policyv1alpha1.ReasonWaitingForReference
	}
	return plan
}

func failed(err error) Plan {
	plan := Plan{Action: ActionError, Reason: policyv1alpha1.ReasonInvalidPediaCluster, Message: Bounded(err.Error(), MaxMessage)}
	if template := (*Error)(nil); errors.As(err, &template) {
		plan.Reason = policyv1alpha1.ReasonTemplateFailed
	}
	if lookup := (*LookupError)(nil); errors.As(err, &lookup) {
		plan.Reason = policyv1alpha1.ReasonReferenceUnavailable
	}
	return plan
}
