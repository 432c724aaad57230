package render

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func pemOf(kind string, data []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
}

func TestCredentialsThatClientGoCannotLoadAreNamed(t *testing.T) {
	cert, key := pairUntil(t, inMay)
	otherCert, otherKey := pairUntil(t, inMay)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := x509.MarshalPKCS8PrivateKey(edKey)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	noCertificate := pemOf("CERTIFICATE", []byte("none"))
	const (
		notPEM   = "it is not PEM: a certificate begins with -----BEGIN CERTIFICATE-----"
		unread   = "it holds no certificate that can be read"
		notKey   = "it is not PEM of a private key: one begins with -----BEGIN PRIVATE KEY-----, or with RSA or EC before PRIVATE"
		notRead  = "the private key cannot be read: it is damaged, encrypted, or of a kind that TLS does not know"
		twice    = "it is base64 of base64: use the data of a Secret as it is, without b64enc"
		isTooBig = "the private key is larger than an RSA key of 8192 bits, and than any that API servers accept"
	)
	type fields map[string]string
	tests := []struct {
		name   string
		fields fields
		want   string
	}{
		{"a CA", fields{"caData": cert}, ""},
		{"several CAs", fields{"caData": "the first\n" + cert + otherCert}, ""},
		{"a CA beside one that cannot be read", fields{"caData": noCertificate + cert}, ""},
		{"a CA that is no PEM", fields{"caData": "the authority"}, "spec.caData: " + notPEM},
		{"a CA of white space", fields{"caData": " \n"}, "spec.caData: " + notPEM},
		{"a CA that only begins", fields{"caData": "-----BEGIN CERTIFICATE-----"}, "spec.caData: " + notPEM},
		{"a CA that cannot be read", fields{"caData": noCertificate}, "spec.caData: " + unread},
		{"a key as a CA", fields{"caData": key}, "spec.caData: " + unread},
		{"a CA, twice in base64", fields{"caData": b64(cert)}, "spec.caData: " + twice},
		{"the beginning of a CA, twice in base64", fields{"caData": b64("-----BEGIN CERTIFICATE-----")}, "spec.caData: " + twice},

		{"a pair", fields{"certData": cert, "keyData": key}, ""},
		{"a chain", fields{"certData": cert + otherCert, "keyData": "-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n" + key}, ""},
		{"a certificate without a key", fields{"certData": cert}, "spec.certData: there is no spec.keyData for it"},
		{"a key without a certificate", fields{"keyData": key}, "spec.keyData: there is no spec.certData for it"},
		{"a key of another certificate", fields{"certData": cert, "keyData": otherKey}, "spec.keyData: the private key belongs to another certificate than that of spec.certData"},
		{"the wrong one of a chain first", fields{"certData": otherCert + cert, "keyData": key}, "spec.keyData: the private key belongs to another certificate than that of spec.certData"},
		{"a key of another kind", fields{"certData": cert, "keyData": pemOf("PRIVATE KEY", edDER)}, "spec.keyData: the private key belongs to another certificate than that of spec.certData"},
		{"a certificate that is no PEM", fields{"certData": "the certificate", "keyData": key}, "spec.certData: " + notPEM},
		{"a certificate that cannot be read", fields{"certData": noCertificate, "keyData": key}, "spec.certData: " + unread},
		{"a certificate and a key that have changed places", fields{"certData": key, "keyData": cert}, "spec.certData: " + unread},
		{"a certificate, twice in base64", fields{"certData": b64(cert), "keyData": key}, "spec.certData: " + twice},
		{"a key that is no PEM", fields{"certData": cert, "keyData": "the key"}, "spec.keyData: " + notKey},
		{"a certificate as a key", fields{"certData": cert, "keyData": cert}, "spec.keyData: " + notKey},
		{"a key that cannot be read", fields{"certData": cert, "keyData": pemOf("PRIVATE KEY", []byte("none"))}, "spec.keyData: " + notRead},
		{"a key that is encrypted", fields{"certData": cert, "keyData": encrypted}, "spec.keyData: " + notRead},
		{"a key, twice in base64", fields{"certData": cert, "keyData": b64(key)}, "spec.keyData: " + twice},
		{"a key of RSA that is too large", fields{"certData": cert, "keyData": pemOf("RSA PRIVATE KEY", rsaKey(t, maxRSA/2+1))}, "spec.keyData: " + isTooBig},
		{"a key that is too large", fields{"certData": cert, "keyData": pemOf("PRIVATE KEY", make([]byte, maxPrivateKey+1))}, "spec.keyData: " + isTooBig},

		{"any token", fields{"tokenData": "abc\n"}, ""},
		{"a JWT", fields{"tokenData": jwtUntil(inMay)}, ""},
		{"a JWT, twice in base64", fields{"tokenData": b64(jwtUntil(inMay))}, "spec.tokenData: it is base64 of a token: use the token itself"},

		{"a kubeconfig", fields{"kubeconfig": kubeconfigOf(", certificate-authority-data: "+b64(cert), "client-certificate-data: "+b64(cert)+", client-key-data: "+b64(key))}, ""},
		{"a kubeconfig, twice in base64", fields{"kubeconfig": b64(kubeconfigOf("", ""))}, "spec.kubeconfig cannot be used: " + twice},
		{"a CA in a kubeconfig", fields{"kubeconfig": kubeconfigOf(", certificate-authority-data: "+b64("no CA"), "")},
			`spec.kubeconfig cannot be used: cluster "one": certificate-authority-data: ` + notPEM},
		{"a pair in a kubeconfig", fields{"kubeconfig": kubeconfigOf("", "client-certificate-data: "+b64(cert)+", client-key-data: "+b64(otherKey))},
			`spec.kubeconfig cannot be used: user "admin": client-key-data: the private key belongs to another certificate than that of client-certificate-data`},
		{"a token in a kubeconfig, in base64", fields{"kubeconfig": kubeconfigOf("", "token: "+b64(jwtUntil(inMay)))},
			`spec.kubeconfig cannot be used: user "admin": token: it is base64 of a token: use the token itself`},
		{"one that is good beside one that is not", fields{"kubeconfig": kubeconfigOf("", "token: t"), "certData": cert}, "spec.certData: there is no spec.keyData for it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := carrying(test.fields)
			got := ""
			if err := checkCredentials(want, nil); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if err := checkCredentials(want, want.DeepCopy()); err != nil {
				t.Errorf("what stays as it is was looked at: %v", err)
			}
		})
	}
}

func TestAPairIsLookedAtWhenOneOfItChanges(t *testing.T) {
	cert, key := pairUntil(t, inMay)
	renewed, _ := pairUntil(t, inJune)
	live := carrying(map[string]string{"certData": cert, "keyData": key})
	err := checkCredentials(carrying(map[string]string{"certData": renewed, "keyData": key}), live)
	if err == nil || !strings.Contains(err.Error(), "another certificate") {
		t.Errorf("got %v", err)
	}
	if err := checkCredentials(carrying(nil), live); err != nil {
		t.Errorf("taking both away: %v", err)
	}
}

func TestAKubeconfigThatClientcmdRefusesIsNamed(t *testing.T) {
	cert, key := pairUntil(t, inMay)
	good := kubeconfigOf("", "token: t")
	pair := "client-certificate-data: " + b64(cert) + ", client-key-data: " + b64(key)
	const v1 = "apiVersion: client.authentication.k8s.io/v1"
	for _, test := range []struct{ name, kubeconfig, want string }{
		{"an empty certificate beside a key", kubeconfigOf("", `client-certificate-data: "", client-key-data: `+b64(key)), `user "admin" has a client-key without a client-certificate`},
		{"a key in a file without a certificate", kubeconfigOf("", "client-key: /key"), `user "admin" has a client-key without a client-certificate`},
		{"a certificate in a file without a key", kubeconfigOf("", "client-certificate: /crt"), `user "admin" has a client-certificate without a client-key`},
		{"a certificate in a file and a key", kubeconfigOf("", "client-certificate: /crt, client-key-data: "+b64(key)), ""},
		{"a certificate and a file of it", kubeconfigOf("", pair+", client-certificate: /crt"), `user "admin" has both client-certificate and client-certificate-data: keep one of them`},
		{"a key and a file of it", kubeconfigOf("", pair+", client-key: /key"), `user "admin" has both client-key and client-key-data: keep one of them`},
		{"a CA and a file of it", kubeconfigOf(", certificate-authority: /ca, certificate-authority-data: "+b64(cert), ""), `cluster "one" has both certificate-authority and certificate-authority-data: keep one of them`},
		{"an insecure cluster with a CA in a file", kubeconfigOf(", certificate-authority: /ca, insecure-skip-tls-verify: true", ""), `cluster "one" has both insecure-skip-tls-verify and certificate-authority: keep one of them`},
		{"a token and a password", kubeconfigOf("", "token: t, password: p"), `user "admin" has both a token and a username or password: keep one of them`},
		{"a proxy", kubeconfigOf(", proxy-url: socks5://proxy", ""), ""},
		{"a proxy that is none", kubeconfigOf(", proxy-url: ftp://s3cr3t", ""), `cluster "one": proxy-url must be a URL with http, https or socks5`},
		{"impersonation of nobody", kubeconfigOf("", "as-groups: [g]"), `user "admin" impersonates without saying whom: it lacks as`},
		{"impersonation", kubeconfigOf("", "as: u, as-groups: [g], as-user-extra: {k: [v]}"), ""},
		{"a program", kubeconfigOf("", "exec: {command: x, apiVersion: client.authentication.k8s.io/v1beta1}"), ""},
		{"a program and a provider", kubeconfigOf("", "auth-provider: {name: x}, exec: {command: x, interactiveMode: Never, "+v1+"}"), `user "admin" has both exec and auth-provider: keep one of them`},
		{"no program", kubeconfigOf("", "exec: {interactiveMode: Never, "+v1+"}"), `user "admin": exec has no command`},
		{"a program without a version", kubeconfigOf("", "exec: {command: x, interactiveMode: Never}"), `user "admin": exec has no apiVersion`},
		{"a program without a mode", kubeconfigOf("", "exec: {command: x, "+v1+"}"), `user "admin": exec: interactiveMode must be Never, IfAvailable or Always`},
		{"an environment without a name", kubeconfigOf("", "exec: {command: x, interactiveMode: Never, env: [{value: s3cr3t}], "+v1+"}"), `user "admin": exec: env has an item without a name`},
		{"a word that was a boolean once", kubeconfigOf("", "token: yes"), `user "admin": token must be a string`},
		{"a quoted one", kubeconfigOf("", `token: "yes"`), ""},
		{"another user with a token that is no text", good + "- name: other\n  user: {token: 12345678}\n", "users[1].user.token must be a string"},
		{"another user with data that is not base64", good + "- name: other\n  user: {client-key-data: s3cr3t!}\n", "users[1].user.client-key-data must be base64"},
		{"another user that is a list", good + "- name: other\n  user: []\n", "users[1].user must be a map"},
		{"users of one name", good + "- name: admin\n", `it has more than one user "admin"`},
		{"preferences that are none", good + "preferences: 1\n", "preferences must be a map"},
		{"a flag that is none", good + "preferences: {colors: s3cr3t}\n", "preferences.colors must be true or false"},
		{"extensions", good + "extensions: [{name: x, extension: {a: [1, {b: c}]}}]\n", ""},
		{"an unknown field", good + "x: {y: [1]}\n", ""},
		{"a number that JSON does not have", good + "x: .inf\n", "a number is not finite"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := CheckKubeconfig([]byte(test.kubeconfig)); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// The largest credentials that pass the limits are checked within bounds, whatever is in them.
// A check without bounds would take longer than a test may.
func TestHostileCredentialsAreCheckedWithinBounds(t *testing.T) {
	cert, _ := pairUntil(t, inMay)
	hostile := hostileCredentials()
	hostile["many certificates"] = strings.Repeat(cert, (1<<20)/len(cert))
	hostile["a key with many blocks before it"] = strings.Repeat("-----BEGIN X-----\nAAAA\n-----END X-----\n", 20_000) +
		pemOf("PRIVATE KEY", []byte("none"))
	hostile["an RSA key as large as may be"] = pemOf("RSA PRIVATE KEY", rsaKey(t, maxRSA/2))
	hostile["a larger one"] = pemOf("RSA PRIVATE KEY", rsaKey(t, maxRSA))
	hostile["a far larger one"] = pemOf("RSA PRIVATE KEY", rsaKey(t, 8*maxRSA))
	for name, data := range hostile {
		t.Run(name, func(t *testing.T) {
			for _, fields := range []map[string]string{{"caData": data}, {"certData": cert, "keyData": data}, {"certData": data, "keyData": data},
				{"tokenData": data}, {"kubeconfig": data}} {
				err := checkCredentials(carrying(fields), nil)
				if err != nil && len(err.Error()) > 300 {
					t.Errorf("the error has %d bytes", len(err.Error()))
				}
			}
		})
	}
	for _, spec := range []any{nil, "text", map[string]any{"certData": int64(1), "keyData": "not base64", "kubeconfig": []any{}}} {
		_ = checkCredentials(&unstructured.Unstructured{Object: map[string]any{"spec": spec}}, nil)
	}
}

// rsaKey is an RSA key with primes of so many bits that are none. It lacks what
// would make it faster to check.
func rsaKey(t *testing.T, bits uint) []byte {
	t.Helper()
	number := func() *big.Int {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits-1))
		if err != nil {
			t.Fatal(err)
		}
		return n.SetBit(n, int(bits-1), 1).SetBit(n, 0, 1)
	}
	p, q := number(), number()
	der, err := asn1.Marshal(struct {
		Version int
		N       *big.Int
		E       int
		D, P, Q *big.Int
	}{0, new(big.Int).Mul(p, q), 65537, number(), p, q})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func BenchmarkCheckCredentials(b *testing.B) {
	cert, key := pairUntil(b, inMay)
	object := carrying(map[string]string{"caData": cert, "certData": cert, "keyData": key, "tokenData": jwtUntil(inMay)})
	kubeconfig := carrying(map[string]string{"kubeconfig": kubeconfigOf(", certificate-authority-data: "+b64(cert),
		"client-certificate-data: "+b64(cert)+", client-key-data: "+b64(key))})
	for name, objects := range map[string][2]*unstructured.Unstructured{
		"new fields": {object, nil}, "new kubeconfig": {kubeconfig, nil}, "as before": {object, object.DeepCopy()},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := checkCredentials(objects[0], objects[1]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
