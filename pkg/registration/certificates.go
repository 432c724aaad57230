package registration

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What the Secret holds, all of it PEM.
const (
	servingCertificateKey = corev1.TLSCertKey
	servingKeyKey         = corev1.TLSPrivateKeyKey
	// authoritiesKey has every authority that may vouch for a replica, the
	// newest last: the caBundle of the APIService.
	authoritiesKey = "ca.crt"
	// signerKey is the key of the newest authority. Those of older ones are gone.
	signerKey = "ca.key"
)

const (
	// authorityLifetimes is how many times as long an authority lives as what it signs.
	authorityLifetimes = 10
	// clockSlack is how far the clock of a reader may be behind.
	clockSlack = time.Hour
)

// material is what the Secret holds, as far as it is sound.
type material struct {
	// authorities are ordered from the oldest to the newest.
	authorities []*x509.Certificate
	// signer is the key of the newest authority, or nil.
	signer crypto.Signer
	// serving is the certificate to serve with, or nil, and certificate and
	// key are it in PEM.
	serving          *x509.Certificate
	certificate, key []byte
	// formerNames are of a certificate that is sound but lacks a name. Replicas
	// that were started with another name still need them.
	formerNames []string
}

// read takes from the data of a Secret what is sound, and says of the rest what
// is wrong with it, without its values.
func read(data map[string][]byte, names []string, now time.Time) (m material, damage []string) {
	for rest := data[authoritiesKey]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && certificate.IsCA && now.After(certificate.NotBefore) && now.Before(certificate.NotAfter) {
			m.authorities = append(m.authorities, certificate)
		}
	}
	if len(m.authorities) == 0 {
		return m, []string{authoritiesKey + " has no authority that is valid"}
	}

	if m.signer = parseKey(data[signerKey]); m.signer == nil || !isKeyOf(m.signer, m.authority()) {
		m.signer = nil
		damage = append(damage, fmt.Sprintf("%s is not the key of the newest authority in %s", signerKey, authoritiesKey))
	}

	pair, err := tls.X509KeyPair(data[servingCertificateKey], data[servingKeyKey])
	if err != nil {
		return m, append(damage, fmt.Sprintf("%s and %s are not a certificate and its key", servingCertificateKey, servingKeyKey))
	}
	roots := x509.NewCertPool()
	for _, authority := range m.authorities {
		roots.AddCert(authority)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now}); err != nil {
		return m, append(damage, fmt.Sprintf("%s is not trusted by %s: %v", servingCertificateKey, authoritiesKey, err))
	}
	for _, name := range names {
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			m.formerNames = pair.Leaf.DNSNames
			return m, append(damage, fmt.Sprintf("%s is not for %s", servingCertificateKey, name))
		}
	}
	m.serving, m.certificate, m.key = pair.Leaf, data[servingCertificateKey], data[servingKeyKey]
	return m, damage
}

// authority returns the newest authority.
func (m *material) authority() *x509.Certificate { return m.authorities[len(m.authorities)-1] }

// bundle returns the authorities in PEM.
func (m *material) bundle() []byte {
	var text bytes.Buffer
	for _, authority := range m.authorities {
		text.Write(encode("CERTIFICATE", authority.Raw))
	}
	return text.Bytes()
}

// renew makes what is missing and what has less than a third of its life left,
// and says what it has made. A new authority stands next to the old ones, which
// stay until they expire. It signs when trusted says that clients know it, or
// when there is nothing else to serve with.
func (m *material) renew(names []string, validity time.Duration, now time.Time, trusted func(*x509.Certificate) bool) (made []string, err error) {
	if m.signer == nil || !now.Before(renewal(m.authority(), authorityLifetimes*validity)) {
		if err := m.makeAuthority(authorityLifetimes*validity, now); err != nil {
			return nil, fmt.Errorf("making an authority: %w", err)
		}
		made = append(made, "an authority")
	}
	if m.serving != nil {
		if now.Before(renewal(m.serving, validity)) {
			return made, nil
		}
		if m.serving.CheckSignatureFrom(m.authority()) != nil && !trusted(m.authority()) {
			return made, nil
		}
	}
	if err := m.makeServing(names, validity, now); err != nil {
		return nil, fmt.Errorf("making a serving certificate: %w", err)
	}
	return append(made, "a serving certificate"), nil
}

// nextRenewal returns when renew has something to do again. It is in the past
// while a new authority has to become known.
func (m *material) nextRenewal(validity time.Duration) time.Time {
	next := renewal(m.authority(), authorityLifetimes*validity)
	if serving := renewal(m.serving, validity); serving.Before(next) {
		return serving
	}
	return next
}

func renewal(certificate *x509.Certificate, lifetime time.Duration) time.Time {
	return certificate.NotAfter.Add(-lifetime / 3)
}

func (m *material) makeAuthority(lifetime time.Duration, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "policy-apiserver of " + now.UTC().Format(time.RFC3339)},
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	certificate, err := sign(template, template, key.Public(), key)
	if err != nil {
		return err
	}
	m.authorities, m.signer = append(m.authorities, certificate), key
	return nil
}

func (m *material) makeServing(names []string, validity time.Duration, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	names = slices.Concat(names, m.formerNames)
	slices.Sort(names)
	certificate, err := sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "policy-apiserver"},
		DNSNames:    slices.Compact(names),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   now.Add(-clockSlack),
		NotAfter:    now.Add(validity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, m.authority(), key.Public(), m.signer)
	if err != nil {
		return err
	}
	m.serving = certificate
	m.certificate, m.key = encode("CERTIFICATE", certificate.Raw), encode("PRIVATE KEY", der)
	return nil
}

// data returns what the Secret has to hold. It is not called without a signer.
func (m *material) data() (map[string][]byte, error) {
	signer, err := x509.MarshalPKCS8PrivateKey(m.signer)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		servingCertificateKey: m.certificate,
		servingKeyKey:         m.key,
		authoritiesKey:        m.bundle(),
		signerKey:             encode("PRIVATE KEY", signer),
	}, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// parseKey returns the private key, or nil.
func parseKey(text []byte) crypto.Signer {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil
	}
	signer, _ := key.(crypto.Signer)
	return signer
}

func isKeyOf(signer crypto.Signer, certificate *x509.Certificate) bool {
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(certificate.PublicKey)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
