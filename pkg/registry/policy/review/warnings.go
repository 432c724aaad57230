package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

const (
	// warningTime is how long the answer to a write may wait for warnings.
	warningTime = 2 * time.Second
	// warningSources is how many Sources warnings look at.
	warningSources = 500
)

// Warnings are what will probably go wrong with the policy of that name on this host. They are
// a help: whatever fails on the way is left out.
func (r *Reviewer) Warnings(ctx context.Context, name string, spec *policy.ClusterImportPolicySpec) []string {
	ctx, cancel := context.WithTimeout(ctx, warningTime)
	defer cancel()
	versioned := &policyv1alpha1.ClusterImportPolicySpec{}
	err := policyv1alpha1.Convert_policy_ClusterImportPolicySpec_To_v1alpha1_ClusterImportPolicySpec(spec.DeepCopy(), versioned, nil)
	if err != nil {
		return nil
	}
	return slices.Concat(r.rightsWarnings(ctx, versioned), r.sourceWarnings(ctx, versioned), r.referenceWarnings(ctx, versioned),
		r.templateWarnings(ctx, versioned), r.unfitWarnings(ctx, versioned), r.rolloutWarnings(ctx, name, versioned))
}

// templateWarnings are about PediaClusters that the host would refuse, as far as the
// template alone tells.
func (r *Reviewer) templateWarnings(ctx context.Context, spec *policyv1alpha1.ClusterImportPolicySpec) (warnings []string) {
	for _, problem := range render.CheckTemplate(spec.Template, r.host.Schema(ctx)) {
		warnings = append(warnings, "spec.template: "+problem.String())
	}
	return warnings
}

func (r *Reviewer) sourceWarnings(ctx context.Context, spec *policyv1alpha1.ClusterImportPolicySpec) (warnings []string) {
	source := spec.Source
	resolved, err := r.host.Resolve(ctx, schema.GroupResource{Group: source.Group, Resource: source.Resource}, source.Versions)
	if err != nil {
		return notServed("spec.source", err)
	}
	if resolved.Namespaced && !namesNamespace(spec.NameTemplate) {
		warnings = append(warnings, fmt.Sprintf("spec.nameTemplate: %s have a namespace, which the name does not use: "+
			"of two with the same name in different namespaces only one is imported", resolved.GroupResource()))
	}
	if seen, more, none := r.selectsNone(ctx, resolved, spec); none {
		warnings = append(warnings, fmt.Sprintf("spec.source: the selectors select none of the %s%d %s", more, seen, resolved.GroupResource()))
	}
	return warnings
}

func (r *Reviewer) referenceWarnings(ctx context.Context, spec *policyv1alpha1.ClusterImportPolicySpec) (warnings []string) {
	for i, ref := range spec.References {
		_, err := r.host.Resolve(ctx, schema.GroupResource{Group: ref.Group, Resource: ref.Resource}, ref.Versions)
		if err != nil {
			warnings = append(warnings, notServed(fmt.Sprintf("spec.references[%d]", i), err)...)
		}
	}
	return warnings
}

// notServed warns of a type that is known not to be served.
func notServed(path string, err error) []string {
	if missing := (*NotServedError)(nil); errors.As(err, &missing) {
		return []string{fmt.Sprintf("%s: %s; until then the policy waits", path, missing)}
	}
	return nil
}

// namesNamespace reports whether a nameTemplate tells Sources of different
// namespaces apart.
func namesNamespace(template string) bool {
	return strings.Contains(template, "namespace") || strings.Contains(template, "uid")
}

// selectsNone reports whether there are Sources and the selectors let none of
// those seen through. It lists only for authors who may do so themselves.
func (r *Reviewer) selectsNone(ctx context.Context, source Type, spec *policyv1alpha1.ClusterImportPolicySpec) (seen int, more string, none bool) {
	if spec.Source.SelectorTemplate == "" && spec.Source.LabelSelector == nil {
		return 0, "", false
	}
	compiled, errs := render.Compile(spec)
	caller, ok := genericapirequest.UserFrom(ctx)
	if len(errs) > 0 || !ok {
		return 0, "", false
	}
	if allowed, err := newAccess(r.authorizer, caller).toList(ctx, source.GroupVersionResource); err != nil || !allowed {
		return 0, "", false
	}
	page, err := r.host.List(ctx, source.GroupVersionResource, metav1.ListOptions{Limit: warningSources})
	if err != nil {
		return 0, "", false
	}
	for i := range page.Items {
		// A selector that fails lets nothing through either.
		if selected, _ := compiled.Selects(&page.Items[i]); selected || ctx.Err() != nil {
			return 0, "", false
		}
	}
	if page.GetContinue() != "" {
		more = "first "
	}
	return len(page.Items), more, len(page.Items) > 0
}
