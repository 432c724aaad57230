package render

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render/engine"
)

// Lookup returns the object that a reference resolved to, or nil when there is
// none. An error means that it cannot be known now.
type Lookup func(policyv1alpha1.DependentResource) (*unstructured.Unstructured, error)

// Reference is a resolved reference.
type Reference struct {
	Key    string
	Target policyv1alpha1.DependentResource
	Found  bool
}

// Conversion is what a policy makes of one Source and its references.
type Conversion struct {
	// References are the resolved ones, in the order of the policy, up to the
	// first that could not be resolved or found.
	References []Reference
	// Missing is what the conversion waits for, nil when nothing is missing.
	Missing error
	// CreationCondition and DeletionCondition say whether they hold. An absent
	// value in the creation condition is "not yet": the error says which.
	CreationCondition, DeletionCondition Condition
	// DeletionUnknown is set while it is not known what the deletion condition
	// says: a reference that it may read is missing, or it ended with an error.
	DeletionUnknown bool
	// PediaCluster is the rendered object: apiVersion, kind, name, labels,
	// annotations and spec. Nil when Err or Missing is set.
	PediaCluster *unstructured.Unstructured
	// MissingCredentials are those that the template writes and for which it
	// printed nothing. PediaCluster is without them.
	MissingCredentials []*MissingCredential
	// schema is what PediaClusters must be like, and problems are what it does not
	// see: see decoded.
	schema   *Schema
	problems Problems
	// Err is what went wrong.
	Err error
}

// Condition is an evaluated condition of a policy.
type Condition struct {
	Holds bool
	// Text is what the template rendered, blanks trimmed. It may hold a
	// credential.
	Text string
	// Says is the text if it stands in the policy word for word, and so can be
	// shown to whoever may not read the data; empty for true, false and others.
	Says string
	// Err says why it could not be evaluated.
	Err error

	// The rest is what it takes to say how it came to its result.
	compiled *compiled
	data     engine.Data
	env      engine.Env
}

// Inputs are what one conversion reads.
type Inputs struct {
	// Name is the name of the PediaCluster.
	Name string
	// Source stands for the cluster.
	Source *unstructured.Unstructured
	// Versions are the negotiated versions of the references, in the order of
	// the policy.
	Versions []string
	// Lookup finds references.
	Lookup Lookup
	// Given are objects to take for the references of these keys, instead of
	// looking them up.
	Given map[string]*unstructured.Unstructured
	// Env is the clock and chance of the templates.
	Env engine.Env
	// Schema is that of the host's PediaClusters; nil is the shipped one.
	Schema *Schema
}

// reference returns the object of a resolved reference.
func (in *Inputs) reference(key string, target policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
	if object, ok := in.Given[key]; ok {
		return object, nil
	}
	return in.Lookup(target)
}

// Convert resolves the references in order, evaluates the conditions and
// renders the PediaCluster. Its inputs are not changed.
func (p *Policy) Convert(in Inputs) Conversion {
	out := Conversion{schema: in.Schema}
	data := engine.Data{Source: in.Source.Object, References: make(map[string]map[string]any, len(p.references))}
	p.resolveReferences(&in, &data, &out)
	p.askDeletionCondition(&in, data, &out)
	if out.Missing != nil || out.Err != nil {
		return out
	}
	out.CreationCondition = p.creationCondition.evaluate(data, in.Env)
	rendered, err := p.template.render(data, in.Env)
	if absent(err) {
		out.Missing = err
		return out
	}
	if err != nil {
		out.Err = err
		return out
	}
	decoded, err := decodePediaCluster(in.Name, rendered, out.definition())
	if err != nil {
		out.Err = err
		return out
	}
	out.PediaCluster, out.MissingCredentials, out.problems = decoded.object, decoded.missing, decoded.problems
	return out
}

// resolveReferences finds the references, up to the first that is missing or that
// cannot be resolved.
func (p *Policy) resolveReferences(in *Inputs, data *engine.Data, out *Conversion) {
	for i, ref := range p.references {
		target, err := ref.resolve(*data, in.Env)
		if absent(err) {
			out.Missing = err
			return
		}
		if err != nil {
			out.Err = err
			return
		}
		target.Version = in.Versions[i]
		if target.Name == "" {
			out.Missing = &MissingReference{Key: ref.key, Target: target}
			return
		}
		object, err := in.reference(ref.key, target)
		out.References = append(out.References, Reference{Key: ref.key, Target: target, Found: object != nil})
		if err != nil {
			out.Err = &LookupError{Key: ref.key, Err: err}
			return
		}
		if object == nil {
			out.Missing = &MissingReference{Key: ref.key, Target: target}
			return
		}
		data.References[ref.key] = object.Object
	}
}

// askDeletionCondition evaluates the deletion condition if everything that it may
// read is there. A reference that it does not read may be missing: when a platform
// deletes a cluster, the Secret often goes first.
func (p *Policy) askDeletionCondition(in *Inputs, data engine.Data, out *Conversion) {
	if p.deletionCondition == nil {
		return
	}
	for _, ref := range p.references {
		if _, found := data.References[ref.key]; !found && p.deletionCondition.template.Reads(ref.key) {
			out.DeletionUnknown = true
			return
		}
	}
	out.DeletionCondition = p.deletionCondition.evaluate(data, in.Env)
	out.DeletionUnknown = out.DeletionCondition.Err != nil && !absent(out.DeletionCondition.Err)
}

// resolve renders namespace and name of the reference. Both come from data: what
// cannot be a name is an error before anything is looked up under it.
func (r reference) resolve(data engine.Data, env engine.Env) (policyv1alpha1.DependentResource, error) {
	target := policyv1alpha1.DependentResource{Group: r.group, Resource: r.resource}
	if r.namespace != nil {
		namespace, err := r.namespace.execute(data, env)
		if err != nil {
			return target, err
		}
		target.Namespace = strings.TrimSpace(namespace)
		if target.Namespace != "" {
			if problem := checkNamespace(target.Namespace); problem != "" {
				return target, r.namespace.invalidValue(target.Namespace, "a namespace", problem)
			}
		}
	}
	name, err := r.name.execute(data, env)
	target.Name = strings.TrimSpace(name)
	if err == nil && target.Name != "" {
		if problem := checkObjectName(r.group, target.Name); problem != "" {
			return target, r.name.invalidValue(target.Name, "the name of one of "+r.resource, problem)
		}
	}
	return target, err
}

// MissingReference says that a reference resolved to an object that does not
// exist.
type MissingReference struct {
	Key    string
	Target policyv1alpha1.DependentResource
}

func (e *MissingReference) Error() string {
	if e.Target.Name == "" {
		return fmt.Sprintf("reference %q has no name yet: its nameTemplate renders nothing", e.Key)
	}
	return fmt.Sprintf("reference %q: %s does not exist", e.Key, Describe(e.Target))
}

// LookupError says that it cannot be known now whether a reference exists.
type LookupError struct {
	Key string
	Err error
}

func (e *LookupError) Error() string { return fmt.Sprintf("reading reference %q: %v", e.Key, e.Err) }

func (e *LookupError) Unwrap() error { return e.Err }

// Describe names an object as messages do: secrets "default/cluster-1".
func Describe(target policyv1alpha1.DependentResource) string {
	resource := target.Resource
	if target.Group != "" {
		resource += "." + target.Group
	}
	name := target.Name
	if target.Namespace != "" {
		name = target.Namespace + "/" + name
	}
	return fmt.Sprintf("%s %q", resource, shorten(name))
}
