package devcluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The names under which createPKI writes certificates (NAME.crt) and keys
// (NAME.key). There is one authority for each purpose, as in a real cluster:
// what the front proxy may say must not follow from being a client.
const (
	servingCA   = "serving-ca"      // signs what kube-apiserver and the controller manager serve with
	clientCA    = "client-ca"       // signs who may log in to kube-apiserver
	proxyCA     = "front-proxy-ca"  // signs the aggregator's client certificate
	extensionCA = "extension-ca"    // signs the policy-apiserver's serving certificate: the APIService's caBundle
	signer      = "service-account" // signs ServiceAccount tokens
	serving     = "serving"
	admin       = "admin"
	proxyClient = "front-proxy-client"
)

// ensurePKI makes the keys and certificates in dir unless they are there. They
// are written aside first, so that dir is complete if it exists.
func ensurePKI(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.MkdirAll(partial, 0o700); err != nil {
		return err
	}
	if err := createPKI(partial); err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	return os.Rename(partial, dir)
}

func createPKI(dir string) error {
	authorities := map[string]*authority{}
	for _, name := range []string{servingCA, clientCA, proxyCA, extensionCA} {
		ca, err := newAuthority(dir, name)
		if err != nil {
			return err
		}
		authorities[name] = ca
	}
	server := x509.Certificate{
		DNSNames:    []string{"localhost", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.ParseIP(loopback)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	extension := x509.Certificate{
		DNSNames:    []string{"localhost", ServiceName + "." + Namespace + ".svc"},
		IPAddresses: []net.IP{net.ParseIP(loopback)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	client := func(name string, groups ...string) x509.Certificate {
		return x509.Certificate{
			Subject:     pkix.Name{CommonName: name, Organization: groups},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
	}
	for _, leaf := range []struct {
		name, ca string
		template x509.Certificate
	}{
		{serving, servingCA, server},
		{admin, clientCA, client("devcluster-admin", "system:masters")},
		{controllerManager, clientCA, client("system:kube-controller-manager")},
		{policyServer, clientCA, client("system:serviceaccount:"+Namespace+":"+ServiceAccountName,
			"system:serviceaccounts", "system:serviceaccounts:"+Namespace)},
		{proxyClient, proxyCA, client(proxyClient)},
		{policyServer + "-serving", extensionCA, extension},
	} {
		if err := authorities[leaf.ca].issue(dir, leaf.name, leaf.template); err != nil {
			return err
		}
	}
	key, err := newKey(dir, signer)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePEM(dir, signer+".pub", "PUBLIC KEY", public)
}

type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(dir, name string) (*authority, error) {
	key, err := newKey(dir, name)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		Subject:               pkix.Name{CommonName: "devcluster " + name},
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key}, writePEM(dir, name+".crt", "CERTIFICATE", der)
}

// issue makes a key and a certificate for it that the authority has signed.
func (a *authority) issue(dir, name string, template x509.Certificate) error {
	key, err := newKey(dir, name)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := sign(template, *a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	return writePEM(dir, name+".crt", "CERTIFICATE", der)
}

func sign(template, parent x509.Certificate, public crypto.PublicKey, key crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	// An hour of slack for clocks that were set back since.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(10, 0, 0)
	return x509.CreateCertificate(rand.Reader, &template, &parent, public, key)
}

func newKey(dir, name string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(dir, name+".key", "PRIVATE KEY", der)
}

func writePEM(dir, file, kind string, der []byte) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return os.WriteFile(filepath.Join(dir, file), text, 0o600)
}
