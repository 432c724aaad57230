package hosterrors

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

func TestAnErrorIsDescribedWithoutTheValuesThatItQuotes(t *testing.T) {
	const secret = "s3cret"
	resource := schema.GroupResource{Group: "cluster.clusterpedia.io", Resource: "pediaclusters"}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"an invalid field", apierrors.NewInvalid(schema.GroupKind{Kind: "PediaCluster"}, "one", field.ErrorList{
			field.Invalid(field.NewPath("spec", "caData"), secret, "is no base64"),
			field.Required(field.NewPath("spec", "syncResources"), ""),
		}), "see the fields spec.caData (FieldValueInvalid), spec.syncResources (FieldValueRequired)"},
		{"an unknown field", apierrors.NewBadRequest(`strict decoding error: unknown field "spec.nonsense"`),
			`strict decoding error: unknown field "spec.nonsense"`},
		{"another bad request", apierrors.NewBadRequest("cannot read " + secret), "the host answers 400 BadRequest"},
		{"a webhook", &apierrors.StatusError{ErrStatus: metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden,
			Message: `admission webhook "guard.example.com" denied the request: ` + secret}},
			`admission webhook "guard.example.com" denied the request: ask it with a dry run of your own, or who runs it`},
		{"a policy of the host", &apierrors.StatusError{ErrStatus: metav1.Status{Code: 422, Reason: metav1.StatusReasonInvalid,
			Message: `pediaclusters.cluster.clusterpedia.io "one" is forbidden: ValidatingAdmissionPolicy 'guard' with binding 'guard' denied request: ` + secret,
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Message: secret}}}}},
			`pediaclusters.cluster.clusterpedia.io "one" is forbidden: ValidatingAdmissionPolicy 'guard' with binding 'guard' ` +
				`denied the request: ask it with a dry run of your own, or who runs it`},
		{"a field that quotes what looks like one", apierrors.NewInvalid(schema.GroupKind{Kind: "PediaCluster"}, "one", field.ErrorList{
			field.Invalid(field.NewPath("spec", "apiserver"), secret+" ValidatingAdmissionPolicy 'x' denied", "is no URL"),
		}), "see the fields spec.apiserver (FieldValueInvalid)"},
		{"a refusal of another kind", &apierrors.StatusError{ErrStatus: metav1.Status{Code: 422, Reason: metav1.StatusReasonInvalid,
			Message: secret + " ValidatingAdmissionPolicy 'x'", Details: &metav1.StatusDetails{}}}, "the host answers 422 Invalid"},
		{"a connection that broke", &url.Error{Op: "Delete", URL: "https://host/apis", Err: &net.OpError{Op: "read", Net: "tcp",
			Source: &net.TCPAddr{Port: 51234}, Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 6443}, Err: errors.New("connection reset by peer")}},
			"read tcp 10.0.0.1:6443: connection reset by peer"},
		{"a missing permission", apierrors.NewForbidden(resource, "one", errors.New("no")),
			`pediaclusters.cluster.clusterpedia.io "one" is forbidden: no`},
		{"a failure of the host", apierrors.NewInternalError(errors.New(secret)), "the host answers 500 InternalError"},
		{"a failure of the network", errors.New("connection refused"), "connection refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Describe(test.err)
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if strings.Contains(got, secret) {
				t.Errorf("%q shows a value", got)
			}
		})
	}
	if got := Describe(errors.New(strings.Repeat("x", 1<<20))); len(got) > render.MaxMessage {
		t.Errorf("a message of %d bytes", len(got))
	}
}

func TestARedactedErrorCanStillBeTold(t *testing.T) {
	denied := &apierrors.StatusError{ErrStatus: metav1.Status{Code: 409, Reason: metav1.StatusReasonConflict,
		Message: `admission webhook "guard.example.com" denied the request: tokenData is s3cret`}}
	err := fmt.Errorf("patching: %w", Redact(denied))
	if strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "guard.example.com") {
		t.Errorf("it says: %v", err)
	}
	if !apierrors.IsConflict(err) {
		t.Error("it is no longer a conflict")
	}
	if err := Redact(nil); err != nil {
		t.Errorf("no error has become %v", err)
	}
}
