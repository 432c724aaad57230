package controller

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Errors are logged, where admission webhooks of the host must not be quoted either.
func TestErrorsOfWritesShowNoValue(t *testing.T) {
	denied := &apierrors.StatusError{ErrStatus: metav1.Status{Code: 409, Reason: metav1.StatusReasonConflict,
		Message: `admission webhook "guard.example.com" denied the request: tokenData is s3cret`}}
	unwanted := func(t *testing.T, one *oneImport) {
		one.changeState(t, func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = "false" })
		one.pass(t)
		one.brakeDecides(1)
	}
	for name, test := range map[string]struct {
		verb    string
		prepare func(*testing.T, *oneImport)
	}{
		"an update": {"patch", func(t *testing.T, one *oneImport) { one.setState(stateOfOne(t, 2, "https://new")) }},
		"a removal": {"delete", unwanted},
		"a release": {"patch", func(t *testing.T, one *oneImport) {
			one.changeState(t, func(s *policyState) { s.policy.Spec.DeletionPolicy = policyv1alpha1.DeletionPolicyOrphan })
			one.goes(t)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			test.prepare(t, one)
			one.hostFails(test.verb, "pediaclusters", denied)
			one.memory.Invalidate(one.Import)
			err := one.reconcile(t.Context(), one.Import)
			if err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error is %v", err)
			}
			if !apierrors.IsConflict(err) {
				t.Error("what it is cannot be told any more")
			}
		})
	}
}
