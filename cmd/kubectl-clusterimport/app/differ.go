package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/describe"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/textdiff"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	policyv1alpha1client "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned/typed/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// differ compares the PediaClusters that one policy would make with those that
// there are.
type differ struct {
	genericiooptions.IOStreams
	policy        *policyv1alpha1.ClusterImportPolicy
	pediaClusters dynamic.ResourceInterface
	objects       dynamic.Interface
	// lifecycles are those of the policy, by their Source.
	lifecycles map[policyv1alpha1.SourceName][]policyv1alpha1.PediaClusterLifecycle

	created, updated, deleted, unchanged, waiting, failed int
}

func (d *differ) changes() int { return d.created + d.updated + d.deleted }

func (d *differ) run(ctx context.Context, client policyv1alpha1client.PolicyV1alpha1Interface, chunkSize int64) error {
	if d.policy.Spec.Suspend {
		fmt.Fprintf(d.Out, "policy %s: suspended: nothing would be done\n", d.policy.Name)
		return nil
	}
	review, err := reviewAll(ctx, client, d.policy.Name, policyv1alpha1.RenderReviewSpec{Policy: &d.policy.Spec, Limit: chunkSize})
	if err != nil {
		return err
	}
	if err := d.readLifecycles(ctx, client, chunkSize); err != nil {
		return err
	}
	for i := range review.Status.Results {
		if err := d.result(ctx, &review.Status.Results[i]); err != nil {
			return err
		}
	}
	if err := d.rollout(ctx); err != nil {
		return err
	}
	fmt.Fprintf(d.Out, "policy %s: %d to create, %d to update, %d to delete; %d unchanged, %d waiting, %d with errors or conflicts\n",
		d.policy.Name, d.created, d.updated, d.deleted, d.unchanged, d.waiting, d.failed)
	return nil
}

func (d *differ) readLifecycles(ctx context.Context, client policyv1alpha1client.PediaClusterLifecyclesGetter, chunkSize int64) error {
	d.lifecycles = map[policyv1alpha1.SourceName][]policyv1alpha1.PediaClusterLifecycle{}
	options := metav1.ListOptions{FieldSelector: policyv1alpha1.FieldPolicy + "=" + d.policy.Name, Limit: chunkSize}
	for {
		page, err := client.PediaClusterLifecycles().List(ctx, options)
		if err != nil {
			return err
		}
		for _, lifecycle := range page.Items {
			source := policyv1alpha1.SourceName{Namespace: lifecycle.Spec.Source.Namespace, Name: lifecycle.Spec.Source.Name}
			d.lifecycles[source] = append(d.lifecycles[source], lifecycle)
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return nil
		}
	}
}

// result prints what would become of one Source, and counts it.
func (d *differ) result(ctx context.Context, result *policyv1alpha1.RenderResult) error {
	decided := d.decide(result)
	if decided.Blocked != nil && decided.Blocked.Phase == policyv1alpha1.LifecycleHeld {
		d.waiting++
		fmt.Fprintf(d.ErrOut, "%s: %s: %s\n", describe.Source(result.Source), decided.Rule, decided.Blocked.Message)
		return nil
	}
	switch result.Action {
	case policyv1alpha1.RenderCreate, policyv1alpha1.RenderUpdate, policyv1alpha1.RenderDelete:
		fmt.Fprintf(d.Out, "# %s: %s, since %s\n", describe.Source(result.Source), result.Action, decided.Rule)
		if err := d.change(ctx, result); err != nil {
			return err
		}
	case policyv1alpha1.RenderNone:
		if result.Selected {
			d.unchanged++
		}
	case policyv1alpha1.RenderWait:
		d.waiting++
		if d.imported(result.Source) { // what was not imported before may wait in large numbers, and for good reason
			fmt.Fprintf(d.ErrOut, "%s: %s (%s): %s\n", describe.Source(result.Source), result.Action, result.Reason, result.Message)
		}
		return nil
	default:
		d.failed++
		fmt.Fprintf(d.ErrOut, "%s: %s: %s\n", describe.Source(result.Source), result.Action, result.Message)
		return nil
	}
	if !result.Selected {
		return nil
	}
	return d.renamed(ctx, result)
}

// imported reports whether the Source is imported now.
func (d *differ) imported(source policyv1alpha1.SourceName) bool {
	return slices.ContainsFunc(d.lifecycles[source], func(lifecycle policyv1alpha1.PediaClusterLifecycle) bool {
		return lifecycle.Status.Phase == policyv1alpha1.LifecycleImported
	})
}

// decide is what the controllers decide about the Source of a result.
func (d *differ) decide(result *policyv1alpha1.RenderResult) decision.Decision {
	snapshot := &decision.Snapshot{Policy: d.policy, Source: decision.SourceOf(result)}
	for i := range d.lifecycles[result.Source] {
		snapshot.Lifecycles = append(snapshot.Lifecycles, &d.lifecycles[result.Source][i])
	}
	return decision.Decide(snapshot)
}

// renamed prints that the PediaClusters of former names go, once that of the
// new name is there.
func (d *differ) renamed(ctx context.Context, result *policyv1alpha1.RenderResult) error {
	for _, lifecycle := range d.lifecycles[result.Source] {
		if lifecycle.Name == result.Name {
			continue
		}
		live, err := d.read(ctx, lifecycle.Name)
		if err != nil {
			return err
		}
		owner := render.Owner{Policy: d.policy.Name, Source: lifecycle.Spec.Source, LifecycleUID: lifecycle.UID}
		if live == nil || owner.Ownership(live) != render.Owned {
			continue
		}
		d.deleted++
		if err := d.print(lifecycle.Name, live, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func (d *differ) change(ctx context.Context, result *policyv1alpha1.RenderResult) error {
	live, err := d.read(ctx, result.Name)
	if err != nil {
		return err
	}
	var after *unstructured.Unstructured
	switch result.Action {
	case policyv1alpha1.RenderDelete:
		d.deleted++
	case policyv1alpha1.RenderUpdate:
		d.updated++
		after, err = d.updateOf(live, result)
	default:
		d.created++
		after, err = rendered(result)
	}
	if err != nil {
		return err
	}
	return d.print(result.Name, live, after, result.Changed)
}

// read returns the live PediaCluster, nil when there is none.
func (d *differ) read(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	live, err := d.pediaClusters.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return live, err
}

// rendered is the PediaCluster of a result.
func rendered(result *policyv1alpha1.RenderResult) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if result.PediaCluster == nil {
		return nil, fmt.Errorf("the server does not show PediaCluster %q: it is too large", result.Name)
	}
	return object, object.UnmarshalJSON(result.PediaCluster.Raw)
}

// updateOf is the live PediaCluster with the changes that the result names.
func (d *differ) updateOf(live *unstructured.Unstructured, result *policyv1alpha1.RenderResult) (*unstructured.Unstructured, error) {
	switch {
	case live == nil:
		return nil, fmt.Errorf("PediaCluster %q has been deleted meanwhile: try again", result.Name)
	case !result.Selected: // it is orphaned
		return merge(live, render.Release(live, false))
	}
	object, err := rendered(result)
	if err != nil {
		return nil, err
	}
	owner := d.ownerOf(result)
	spec, metadata := map[string]any{}, map[string]any{}
	for _, path := range result.Changed {
		switch path {
		case "metadata.annotations":
			metadata["annotations"] = map[string]any{policyv1alpha1.CreatedForAnnotation: owner.CreatedFor()}
		case "metadata.ownerReferences":
			metadata["ownerReferences"] = []any{map[string]any{
				"apiVersion": policyv1alpha1.SchemeGroupVersion.String(), "kind": "PediaClusterLifecycle",
				"name": result.Name, "uid": string(owner.LifecycleUID)}}
		default:
			field := strings.TrimPrefix(path, "spec.")
			// A field that is not rendered any more is nil, which removes it.
			spec[field], _, _ = unstructured.NestedFieldNoCopy(object.Object, "spec", field)
		}
	}
	return merge(live, map[string]any{"spec": spec, "metadata": metadata})
}

// ownerOf is the import of a result.
func (d *differ) ownerOf(result *policyv1alpha1.RenderResult) render.Owner {
	owner := render.Owner{Policy: d.policy.Name, Source: policyv1alpha1.DependentResource{
		Group: d.policy.Spec.Source.Group, Resource: d.policy.Spec.Source.Resource,
		Namespace: result.Source.Namespace, Name: result.Source.Name}}
	for _, lifecycle := range d.lifecycles[result.Source] {
		if lifecycle.Name == result.Name {
			owner.LifecycleUID = lifecycle.UID
		}
	}
	return owner
}

// merge is the object with a JSON merge patch.
func merge(object *unstructured.Unstructured, patch map[string]any) (*unstructured.Unstructured, error) {
	before, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	change, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	after, err := jsonpatch.MergePatch(before, change)
	if err != nil {
		return nil, err
	}
	merged := &unstructured.Unstructured{}
	return merged, merged.UnmarshalJSON(after)
}

// print prints the unified diff of a PediaCluster, either side of which may not
// exist.
func (d *differ) print(name string, live, merged *unstructured.Unstructured, changed []string) error {
	before, after := printable(live), printable(merged)
	maskCredentials(before, after, changed)
	var texts [2]string
	for i, object := range []*unstructured.Unstructured{before, after} {
		if object == nil {
			continue
		}
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			return err
		}
		texts[i] = string(text)
	}
	from, to := "/dev/null", "/dev/null"
	if before != nil {
		from = "live/pediacluster/" + name
	}
	if after != nil {
		to = "merged/pediacluster/" + name
	}
	_, err := fmt.Fprint(d.Out, textdiff.Unified(from, to, texts[0], texts[1]))
	return err
}

// printable is a copy of the object without what no policy sets.
func printable(object *unstructured.Unstructured) *unstructured.Unstructured {
	if object == nil {
		return nil
	}
	object = object.DeepCopy()
	delete(object.Object, "status")
	object.SetManagedFields(nil)
	if annotations := object.GetAnnotations(); annotations[corev1.LastAppliedConfigAnnotation] != "" {
		delete(annotations, corev1.LastAppliedConfigAnnotation) // it has credentials in it
		object.SetAnnotations(annotations)
	}
	return object
}

// maskCredentials puts masks in the place of credentials, as kubectl diff does.
// Only those that change differ.
func maskCredentials(before, after *unstructured.Unstructured, changed []string) {
	for _, object := range []*unstructured.Unstructured{before, after} {
		if object != nil {
			render.HideUsers(object)
		}
	}
	from, to := specOf(before), specOf(after)
	if slices.Contains(changed, "spec.apiserver") && from["apiserver"] != nil && from["apiserver"] == to["apiserver"] {
		// Only the user part differs.
		from["apiserver"], to["apiserver"] = fmt.Sprintf("%v (before)", from["apiserver"]), fmt.Sprintf("%v (after)", to["apiserver"])
	}
	for _, field := range render.CredentialFields() {
		_, wasSet := from[field]
		_, isSet := to[field]
		if wasSet && isSet && slices.Contains(changed, "spec."+field) {
			from[field], to[field] = "*** (before)", "*** (after)"
			continue
		}
		if wasSet {
			from[field] = "***"
		}
		if isSet {
			to[field] = "***"
		}
	}
}

func specOf(object *unstructured.Unstructured) map[string]any {
	if object == nil {
		return nil
	}
	spec, _ := object.Object["spec"].(map[string]any)
	return spec
}
