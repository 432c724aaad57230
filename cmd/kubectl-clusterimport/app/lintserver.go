package app

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/manifest"
	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/offline"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	policyclient "github.com/clusterpedia-io/policy-apiserver/pkg/generated/clientset/versioned"
)

// askServer adds what the server says about a policy to what was found without one. The
// error is that of a server that cannot be asked.
func (f *factory) askServer(ctx context.Context, object *manifest.Object, policy *policyv1alpha1.ClusterImportPolicy,
	refused, warnings offline.Findings) (allRefused, allWarnings offline.Findings, err error) {
	texts, err := f.dryRun(ctx, policy)
	known := slices.Concat(refused, warnings)
	for _, finding := range offline.Warned(object, texts) {
		if !slices.ContainsFunc(known, func(k offline.Finding) bool { return k.Field == finding.Field && k.Message == finding.Message }) {
			warnings = append(warnings, finding)
		}
	}
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return refused, warnings, nil
	case errors.As(err, &status):
		return append(refused, offline.Refused(object, err)...), warnings, nil
	default:
		return nil, nil, err
	}
}

// dryRun creates or updates the policy without storing it, and returns the warnings.
func (f *factory) dryRun(ctx context.Context, policy *policyv1alpha1.ClusterImportPolicy) (warnings []string, err error) {
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	kept := &keptWarnings{}
	config.WarningHandler = kept
	client, err := policyclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	policies := client.PolicyV1alpha1().ClusterImportPolicies()
	if policy.Name != "" {
		stored, err := policies.Get(ctx, policy.Name, metav1.GetOptions{})
		switch {
		case err == nil:
			stored.Spec = policy.Spec
			_, err = policies.Update(ctx, stored, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
			return kept.texts, err
		case !apierrors.IsNotFound(err):
			return nil, err
		}
	}
	// What a server sets is left to it.
	created := &policyv1alpha1.ClusterImportPolicy{Spec: policy.Spec, ObjectMeta: metav1.ObjectMeta{
		Name: policy.Name, GenerateName: policy.GenerateName, Labels: policy.Labels, Annotations: policy.Annotations}}
	_, err = policies.Create(ctx, created, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return kept.texts, err
}

// keptWarnings keeps the warnings of a server instead of printing them.
type keptWarnings struct{ texts []string }

// HandleWarningHeader implements rest.WarningHandler.
func (k *keptWarnings) HandleWarningHeader(code int, _, text string) {
	if code == 299 && !slices.Contains(k.texts, text) {
		k.texts = append(k.texts, text)
	}
}
