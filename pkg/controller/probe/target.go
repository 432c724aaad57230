package probe

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// Target is how to reach a cluster: fields of a PediaCluster's spec as they
// stand there, the data in base64. Decoded only while it is probed, it
// costs no memory beside the PediaCluster that it was read from, whose strings
// it shares. Targets can be compared.
type Target struct {
	APIServer                                        string
	Kubeconfig, CAData, TokenData, CertData, KeyData string
	// AuthenticationFrom tells that credentials stand in Secrets.
	AuthenticationFrom bool
}

// TargetOf returns how to reach the cluster of a PediaCluster. What is wrong
// with it is said by the Result.
func TargetOf(pediaCluster *unstructured.Unstructured) Target {
	text := func(field string) string {
		value, _, _ := unstructured.NestedString(pediaCluster.Object, "spec", field)
		return value
	}
	from, _, _ := unstructured.NestedFieldNoCopy(pediaCluster.Object, "spec", "authenticationFrom")
	return Target{
		APIServer: text("apiserver"), Kubeconfig: text("kubeconfig"), CAData: text("caData"),
		TokenData: text("tokenData"), CertData: text("certData"), KeyData: text("keyData"),
		AuthenticationFrom: from != nil,
	}
}

// endpoint is a target made ready for one probe.
type endpoint struct {
	url         *url.URL
	tls         *tls.Config
	token       string
	user, pass  string
	credentials bool   // whether there are any
	caField     string // where the CA stands, or should
}

// maxEndpoint is the length of a URL that is shown, in bytes.
const maxEndpoint = 512

// endpoint reads a target the way Clusterpedia does: a kubeconfig wins over the
// other fields, and what is in the spec over authenticationFrom. Errors hold no
// values and are the same for the same target.
func (t Target) endpoint() (*endpoint, error) {
	cluster, caField, err := t.cluster()
	if err != nil {
		return nil, err
	}
	e := &endpoint{caField: caField, token: strings.TrimSpace(cluster.Token), user: cluster.Username, pass: cluster.Password}
	if e.url, err = parseEndpoint(cluster.Server); err != nil {
		return nil, err
	}
	if strings.ContainsFunc(e.token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("the token contains characters that no token has: render it as stored in its Secret")
	}

	// insecure-skip-tls-verify is honoured: it stands beside the credentials in
	// one kubeconfig, so who wrote them has chosen where they may go, and
	// Clusterpedia sends them there all the same. Without a CA the system's CAs
	// must vouch for the cluster. Clusterpedia asks no one then, but nobody has
	// said that the credentials may go to anyone.
	e.tls = &tls.Config{ServerName: cluster.TLSServerName, InsecureSkipVerify: cluster.InsecureSkipTLSVerify, MinVersion: tls.VersionTLS12}
	if len(cluster.CAData) > 0 {
		e.tls.RootCAs = x509.NewCertPool()
		if !e.tls.RootCAs.AppendCertsFromPEM(cluster.CAData) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", caField)
		}
	}
	if len(cluster.CertData) > 0 && len(cluster.KeyData) > 0 {
		pair, err := tls.X509KeyPair(cluster.CertData, cluster.KeyData)
		if err != nil {
			return nil, fmt.Errorf("the client certificate and its key are no pair in PEM")
		}
		e.tls.Certificates = []tls.Certificate{pair}
	}
	e.credentials = e.token != "" || e.user != "" || len(e.tls.Certificates) > 0
	return e, nil
}

// cluster decodes the fields, and says how the field with the CA is called.
func (t Target) cluster() (cluster *render.Kubeconfig, caField string, err error) {
	if t.Kubeconfig != "" {
		data, err := decode("kubeconfig", t.Kubeconfig)
		if err != nil {
			return nil, "", err
		}
		kubeconfig, err := render.ParseKubeconfig(data)
		if err != nil {
			return nil, "", fmt.Errorf("spec.kubeconfig cannot be used: %w", err)
		}
		// Files, programs and proxies would be those of this server.
		if len(kubeconfig.Outside) > 0 {
			return nil, "", fmt.Errorf("spec.kubeconfig has %s, which is not followed: put the data itself into the kubeconfig",
				strings.Join(kubeconfig.Outside, ", "))
		}
		return kubeconfig, "certificate-authority-data of spec.kubeconfig", nil
	}
	if t.AuthenticationFrom && t.TokenData == "" && (t.CertData == "" || t.KeyData == "") {
		return nil, "", fmt.Errorf("spec.authenticationFrom is not followed: render the credentials into the PediaCluster so that the cluster is probed")
	}
	if t.APIServer == "" {
		return nil, "", fmt.Errorf("the PediaCluster has neither spec.apiserver nor spec.kubeconfig")
	}
	cluster = &render.Kubeconfig{Server: t.APIServer}
	var token []byte
	for _, f := range []struct {
		name, text string
		data       *[]byte
	}{
		{"caData", t.CAData, &cluster.CAData}, {"tokenData", t.TokenData, &token},
		{"certData", t.CertData, &cluster.CertData}, {"keyData", t.KeyData, &cluster.KeyData},
	} {
		if *f.data, err = decode(f.name, f.text); err != nil {
			return nil, "", err
		}
	}
	cluster.Token = string(token)
	return cluster, "spec.caData", nil
}

func decode(field, text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("spec.%s is not base64", field) // the error of base64 shows a part
	}
	return data, nil
}

// parseEndpoint reads the address of an API server: a URL, or host and port.
func parseEndpoint(server string) (*url.URL, error) {
	if len(server) > maxEndpoint {
		return nil, fmt.Errorf("the address of the API server is longer than %d bytes", maxEndpoint)
	}
	if !strings.Contains(server, "://") {
		server = "https://" + server // as client-go does for a server with TLS
	}
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("the address of the API server is not a URL: write https://host:port")
	case u.Scheme != "https":
		return nil, fmt.Errorf("the address of the API server is not https: credentials are not sent unencrypted")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("the address of the API server has a user, a query or a fragment: write https://host:port")
	}
	return u, nil
}

// String is the address for people and for the Result.
func (e *endpoint) String() string { return strings.TrimSuffix(e.url.String(), "/") }
