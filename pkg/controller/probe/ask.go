package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

const (
	maxReadyz  = 4 << 10  // bytes of an answer of /readyz
	maxVersion = 64 << 10 // bytes of an answer of /version
	maxHeader  = 64 << 10 // bytes of the header of an answer
	maxChecks  = 5        // failing checks that a message names
)

// ask probes the cluster once.
func (t Target) ask(ctx context.Context, config Config) Result {
	e, err := t.endpoint()
	if err != nil {
		return Result{Ready: metav1.ConditionUnknown, Message: "not asked: " + err.Error()}
	}
	result := Result{APIServer: e.String()}
	ctx, cancel := context.WithTimeout(ctx, config.Timeout)
	defer cancel()
	transport := e.transport(config)
	// Ten thousand clusters must not mean ten thousand open connections. One
	// serves both requests of a probe and ends with it.
	defer transport.CloseIdleConnections()

	status, body, err := e.get(ctx, transport, "/readyz", maxReadyz)
	if err != nil {
		klog.FromContext(ctx).V(4).Info("Cluster does not answer", "apiserver", result.APIServer, "err", err)
		result.Ready, result.Message = e.failure(err)
		return result
	}
	result.Ready, result.Message = e.readiness(status, body)
	if !isKubernetes(status) {
		return result
	}
	version, err := e.version(ctx, transport)
	if err != nil {
		klog.FromContext(ctx).V(4).Info("Cluster does not report its version", "apiserver", result.APIServer, "err", err)
		if result.Message == "" {
			_, problem := e.failure(err)
			result.Message = "the version could not be read: " + problem
		}
	}
	result.Version = version
	return result
}

// isKubernetes reports whether who answers /readyz so may tell a version.
func isKubernetes(status int) bool {
	return status == http.StatusOK || status == http.StatusForbidden || status >= http.StatusInternalServerError
}

// transport is made for one probe: one that is kept, or that client-go keeps for
// each set of credentials, would cost more memory than a handshake costs time.
func (e *endpoint) transport(config Config) *http.Transport {
	return &http.Transport{
		Proxy:       nil, // not from the environment: the address checked would be the proxy's
		DialContext: (&net.Dialer{Timeout: config.Timeout, ControlContext: config.allow}).DialContext,
		// HTTP/1.1 only: two requests need no more, and it is less to attack.
		TLSClientConfig:        e.tls,
		TLSHandshakeTimeout:    config.Timeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		MaxConnsPerHost:        1,
	}
}

// get asks for a path below the endpoint. Of the body it returns no more than one
// byte more than most. No client stands between it and the
// transport, so no redirect is followed: credentials go to the endpoint only.
func (e *endpoint) get(ctx context.Context, transport http.RoundTripper, path string, most int64) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url.JoinPath(path).String(), nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("User-Agent", "policy-apiserver/probe")
	switch {
	case e.token != "":
		request.Header.Set("Authorization", "Bearer "+e.token)
	case e.user != "":
		request.SetBasicAuth(e.user, e.pass)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(response.Body, most+1)); err == nil {
		// A server may answer when it sees the connection being closed for lack
		// of an answer, and the transport may still see that.
		err = ctx.Err()
	}
	return response.StatusCode, body, err
}

// readiness is what an answer of /readyz means.
func (e *endpoint) readiness(status int, body []byte) (metav1.ConditionStatus, string) {
	switch {
	case status == http.StatusOK:
		return metav1.ConditionTrue, ""
	case status == http.StatusUnauthorized && !e.credentials:
		return metav1.ConditionFalse, "the cluster requires credentials (401), and the PediaCluster has none"
	case status == http.StatusUnauthorized:
		return metav1.ConditionFalse, "the cluster does not accept the credentials (401): renew them where the policy reads them"
	case status == http.StatusForbidden:
		return metav1.ConditionUnknown, "the credentials may not read /readyz (403): bind them to the ClusterRole system:public-info-viewer there"
	case status >= 300 && status < 400:
		return metav1.ConditionFalse, fmt.Sprintf("a redirect (%d) is not followed: use the address of the API server itself", status)
	case status == http.StatusNotFound:
		return metav1.ConditionFalse, "there is no /readyz (404): the address is not that of a Kubernetes API server, or its path is wrong"
	case status >= http.StatusInternalServerError:
		message := fmt.Sprintf("the cluster is not ready (%d)", status)
		if checks := failingChecks(body); checks != "" {
			message += ": " + checks
		}
		return metav1.ConditionFalse, message
	default:
		return metav1.ConditionFalse, fmt.Sprintf("the cluster responds to /readyz with status %d", status)
	}
}

var failingCheck = regexp.MustCompile(`(?m)^\[-\]([A-Za-z0-9./_-]{1,64}) failed`)

// failingChecks names what an API server says that it waits for.
func failingChecks(body []byte) string {
	var names []string
	for _, match := range failingCheck.FindAllSubmatch(body, maxChecks) {
		names = append(names, string(match[1]))
	}
	return strings.Join(names, ", ")
}

// gitVersion is what may reach the terminal of whoever lists clusters.
var gitVersion = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}$`)

func (e *endpoint) version(ctx context.Context, transport http.RoundTripper) (string, error) {
	status, body, err := e.get(ctx, transport, "/version", maxVersion)
	switch {
	case err != nil:
		return "", err
	case status != http.StatusOK:
		return "", problem(fmt.Sprintf("/version answers with status %d", status))
	case len(body) > maxVersion:
		return "", problem(fmt.Sprintf("the response to /version has more than %d bytes", maxVersion))
	}
	var info struct {
		GitVersion string `json:"gitVersion"`
	}
	if json.Unmarshal(body, &info) != nil || !gitVersion.MatchString(info.GitVersion) {
		return "", problem("the response to /version is not a version of Kubernetes")
	}
	return info.GitVersion, nil
}

// problem is an error that can be shown as it is.
type problem string

func (p problem) Error() string { return string(p) }

// failure sorts errors of a request into few kinds, so that the message stays
// the same while the cause does, and holds nothing but what stands here.
func (e *endpoint) failure(err error) (metav1.ConditionStatus, string) {
	if known, ok := errors.AsType[problem](err); ok {
		return metav1.ConditionFalse, string(known)
	}
	if denied, ok := errors.AsType[deniedError](err); ok {
		return metav1.ConditionUnknown, "not asked: " + denied.Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout {
		if dns.IsNotFound {
			return metav1.ConditionFalse, "the host name of the API server is not known (DNS)"
		}
		return metav1.ConditionFalse, "the host name of the API server could not be looked up (DNS)"
	}
	if message := e.tlsFailure(err); message != "" {
		return metav1.ConditionFalse, "TLS failed: " + message
	}
	timeout := interface{ Timeout() bool }(nil)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return metav1.ConditionFalse, "the cluster did not respond in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return metav1.ConditionFalse, "connection refused: nothing listens at the address of the API server"
	case errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH):
		return metav1.ConditionFalse, "no route to the address of the API server"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return metav1.ConditionFalse, "the connection was closed before a response"
	default:
		return metav1.ConditionFalse, "the request failed"
	}
}

// tlsFailure says why no trust came about; empty when that was not it.
func (e *endpoint) tlsFailure(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if e.tls.RootCAs == nil {
			return fmt.Sprintf("no CA of this system has signed the cluster's certificate: set %s", e.caField)
		}
		return fmt.Sprintf("the CA in %s has not signed the cluster's certificate", e.caField)
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the cluster's certificate is not for the host of the address"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return "a certificate of the cluster, or of the CA, has expired or is not valid yet"
		}
		return "the cluster's certificate is not valid"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the cluster's certificate cannot be verified"
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		// Of a fixed list, though the cluster chooses from it.
		return fmt.Sprintf("the cluster refused the connection (%s)", strings.TrimPrefix(alert.Err.Error(), "tls: "))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "the server at the address does not use TLS"
	}
	return ""
}
