// Package hosterrors describes errors of requests that write PediaClusters, without the values that
// they may quote: the validation of the host, and its admission webhooks and policies, may quote
// credentials of the object. Whatever is logged or written into a status goes through here.
package hosterrors

import (
	"errors"
	"fmt"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// redacted is an error whose message is Describe of it.
type redacted struct{ error }

// Redact returns the error with a message that quotes no value, nil for nil. What kind of error
// it is can still be found with errors.As and the functions of package apierrors.
func Redact(err error) error {
	if err == nil {
		return nil
	}
	return redacted{err}
}

func (e redacted) Error() string { return Describe(e.error) }

func (e redacted) Unwrap() error { return e.error }

// Describe is the message of an error of a request to the host, without the values that it may
// quote.
func Describe(err error) string {
	status, network := apierrors.APIStatus(nil), (*net.OpError)(nil)
	switch {
	case errors.As(err, &status):
	case errors.As(err, &network):
		remote := *network
		remote.Source = nil // its port differs each time
		return render.Bounded(remote.Error(), render.MaxMessage)
	default:
		return render.Bounded(err.Error(), render.MaxMessage)
	}
	message := status.Status().Message
	var fields []string
	if details := status.Status().Details; apierrors.IsInvalid(err) && details != nil {
		for _, cause := range details.Causes {
			if cause.Field != "" {
				fields = append(fields, fmt.Sprintf("%s (%s)", cause.Field, cause.Type))
			}
		}
	}
	by, _, denied := strings.Cut(message, " denied")
	switch {
	case len(fields) > 0:
		return render.Bounded("see the fields "+strings.Join(fields, ", "), render.MaxMessage)
	case denied && (strings.HasPrefix(by, "admission webhook") || strings.Contains(by, "ValidatingAdmissionPolicy '")):
		// What it says of the object is its own affair, and not repeated.
		return render.Bounded(by+" denied the request: ask it with a dry run of your own, or who runs it", render.MaxMessage)
	case apierrors.IsForbidden(err), strings.Contains(message, "strict decoding error: unknown field"):
		return render.Bounded(message, render.MaxMessage)
	default:
		return fmt.Sprintf("the host answers %d %s", status.Status().Code, status.Status().Reason)
	}
}
