package render

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// maxRSA bounds an RSA key in bits: the work of checking one grows with the
	// cube of its size. API servers, like all of Go, accept none that is larger.
	maxRSA = 8192
	// maxPrivateKey bounds any private key in bytes of DER. An RSA key of maxRSA
	// has 4.7 KiB.
	maxPrivateKey = 6 << 10
)

var errEncodedTwice = errors.New("it is base64 of base64: use the data of a Secret as it is, without b64enc")

// checkCredentials returns why client-go could not load the credentials in which
// want differs from current, which may be nil; nil when it can. What stays as
// it is costs nothing. Errors name fields, and show no value but the names of
// contexts, clusters and users of a kubeconfig.
func checkCredentials(want, current *unstructured.Unstructured) error {
	for _, rule := range []struct {
		fields []string
		check  func(data [][]byte) error
	}{
		{[]string{"kubeconfig"}, func(data [][]byte) error {
			if err := CheckKubeconfig(data[0]); err != nil {
				return fmt.Errorf("spec.kubeconfig cannot be used: %w", err)
			}
			return nil
		}},
		{[]string{"caData"}, func(data [][]byte) error { return checkAuthorities("spec.caData", data[0]) }},
		{[]string{"certData", "keyData"}, func(data [][]byte) error {
			return checkPair("spec.certData", "spec.keyData", data[0], data[1])
		}},
		{[]string{"tokenData"}, func(data [][]byte) error { return checkToken("spec.tokenData", data[0]) }},
	} {
		if !slices.ContainsFunc(rule.fields, func(field string) bool { return followedText(want, field) != followedText(current, field) }) {
			continue
		}
		data := make([][]byte, len(rule.fields))
		for i, field := range rule.fields {
			var err error
			if data[i], err = specData(want, field); err != nil {
				return fmt.Errorf("spec.%s: %w", field, err)
			}
		}
		if err := rule.check(data); err != nil {
			return err
		}
	}
	return nil
}

// followedText is the value of a field of spec, empty when there is none.
func followedText(pediaCluster *unstructured.Unstructured, field string) string {
	if pediaCluster == nil {
		return ""
	}
	text, _, _ := unstructured.NestedString(pediaCluster.Object, "spec", field)
	return text
}

// checkAuthorities returns why client-go could not verify a server with these
// certificates. Of several it needs one that it can read.
func checkAuthorities(field string, data []byte) error {
	if len(data) == 0 || x509.NewCertPool().AppendCertsFromPEM(data) {
		return nil
	}
	return fmt.Errorf("%s: %w", field, notCertificates(data))
}

// notCertificates says what data is instead of certificates.
func notCertificates(data []byte) error {
	switch block, _ := pem.Decode(data); {
	case isEncodedPEM(data):
		return errEncodedTwice
	case block == nil:
		return errors.New("it is not PEM: a certificate begins with -----BEGIN CERTIFICATE-----")
	default:
		return errors.New("it holds no certificate that can be read")
	}
}

// isEncodedPEM reports whether data is the base64 of PEM.
func isEncodedPEM(data []byte) bool {
	const enough = 64 // to see how it begins
	decoded := make([]byte, base64.StdEncoding.DecodedLen(enough))
	head := bytes.TrimSpace(data)
	head = head[:min(len(head), enough)]
	n, _ := base64.StdEncoding.Decode(decoded, head)
	return bytes.HasPrefix(decoded[:n], []byte("-----BEGIN "))
}

// checkPair returns why client-go could not log in with a certificate and its
// key, nil when there is neither.
func checkPair(certField, keyField string, cert, key []byte) error {
	switch {
	case len(cert) == 0 && len(key) == 0:
		return nil
	case len(key) == 0:
		return fmt.Errorf("%s: there is no %s for it", certField, keyField)
	case len(cert) == 0:
		return fmt.Errorf("%s: there is no %s for it", keyField, certField)
	}
	if !holdsCertificate(cert) {
		return fmt.Errorf("%s: %w", certField, notCertificates(cert))
	}
	private := privateKey(key)
	switch {
	case isEncodedPEM(key):
		return fmt.Errorf("%s: %w", keyField, errEncodedTwice)
	case private == nil:
		return fmt.Errorf("%s: it is not PEM of a private key: one begins with -----BEGIN PRIVATE KEY-----, or with RSA or EC before PRIVATE", keyField)
	case len(private.Bytes) > maxPrivateKey || isLargeRSA(private.Bytes):
		return fmt.Errorf("%s: the private key is larger than an RSA key of %d bits, and than any that API servers accept", keyField, maxRSA)
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		if strings.Contains(err.Error(), "does not match") {
			return fmt.Errorf("%s: the private key belongs to another certificate than that of %s", keyField, certField)
		}
		// The error is that of the key. What it says is for programmers.
		return fmt.Errorf("%s: the private key cannot be read: it is damaged, encrypted, or of a kind that TLS does not know", keyField)
	}
	return nil
}

// holdsCertificate reports whether the first certificate of a PEM chain, that of
// the client, can be read.
func holdsCertificate(chain []byte) bool {
	block := findBlock(chain, func(kind string) bool { return kind == "CERTIFICATE" })
	if block == nil {
		return false
	}
	_, err := x509.ParseCertificate(block.Bytes)
	return err == nil
}

// privateKey is the first private key in PEM, nil when there is none.
func privateKey(data []byte) *pem.Block {
	return findBlock(data, func(kind string) bool { return kind == "PRIVATE KEY" || strings.HasSuffix(kind, " PRIVATE KEY") })
}

func findBlock(data []byte, is func(kind string) bool) *pem.Block {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil || is(block.Type) {
			return block
		}
	}
}

// isLargeRSA reports whether a private key, PKCS #1 or PKCS #8, is one of RSA
// with numbers that are larger than those of the largest accepted.
func isLargeRSA(der []byte) bool {
	var wrapped struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	if _, err := asn1.Unmarshal(der, &wrapped); err == nil {
		der = wrapped.Key
	}
	var key struct {
		Version int
		N       *big.Int
		E       int
		D, P, Q *big.Int
	}
	if _, err := asn1.Unmarshal(der, &key); err != nil {
		return false
	}
	return max(key.N.BitLen(), key.D.BitLen()) > maxRSA || max(key.P.BitLen(), key.Q.BitLen()) > maxRSA/2
}

// checkToken finds a JWT in base64 where the token itself belongs. Other tokens
// can be anything.
func checkToken(field string, token []byte) error {
	text := strings.TrimSpace(string(token))
	if !strings.HasPrefix(text, "ZXlK") || strings.Contains(text, ".") { // base64 of what a JWT begins with
		return nil
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err == nil && bytes.Count(decoded, []byte(".")) == 2 {
		return fmt.Errorf("%s: it is base64 of a token: use the token itself", field)
	}
	return nil
}
