package offline

import (
	"errors"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
)

// Presence is what a result, which may be nil, tells of its Source.
func Presence(result *policyv1alpha1.RenderResult) (source decision.Source) {
	if result == nil || result.Reason == policyv1alpha1.ReasonSourceNotFound {
		return source // whoever may not read it is told so too
	}
	source.Presence, source.Selected = decision.Present, result.Selected
	if result.Reason == policyv1alpha1.ReasonSelectorFailed {
		source.SelectorErr = errors.New(result.Message)
	}
	return source
}
