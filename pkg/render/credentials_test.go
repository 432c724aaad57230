package render

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var (
	inMay  = time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)
	inJune = time.Date(2031, 6, 1, 12, 0, 0, 0, time.UTC)
)

func certificateUntil(t testing.TB, notAfter time.Time) string {
	t.Helper()
	certificate, _ := pairUntil(t, notAfter)
	return certificate
}

// pairUntil is a certificate and its key, in PEM.
func pairUntil(t testing.TB, notAfter time.Time) (certificate, private string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "admin"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: notAfter,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func jwt(payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(payload)) + "." + encode([]byte("signature"))
}

func jwtUntil(t time.Time) string { return jwt(fmt.Sprintf(`{"sub":"admin","exp":%d}`, t.Unix())) }

// carrying has the given data, in clear here, in its spec.
func carrying(fields map[string]string) *unstructured.Unstructured {
	spec := map[string]any{"apiserver": "https://one.example:6443"}
	for field, value := range fields {
		spec[field] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	return &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
}

// kubeconfigOf is a kubeconfig of two contexts, the second of which is current.
func kubeconfigOf(cluster, user string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: prod
contexts:
- name: test
  context: {cluster: elsewhere, user: nobody}
- name: prod
  context: {cluster: one, user: admin, namespace: default}
clusters:
- name: one
  cluster: {server: "https://one.example:6443"%s}
users:
- name: admin
  user: {%s}
`, cluster, user)
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestCredentialsExpiryIsTheEarliestOfWhatThePediaClusterCarries(t *testing.T) {
	may, june := certificateUntil(t, inMay), certificateUntil(t, inJune)
	key := "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
	inKubeconfig := func(user string) map[string]string {
		return map[string]string{"kubeconfig": kubeconfigOf("", user)}
	}
	tests := []struct {
		name   string
		fields map[string]string
		want   time.Time // zero: says none
	}{
		{"nothing", nil, time.Time{}},
		{"a client certificate", map[string]string{"certData": may}, inMay},
		{"the first certificate of a chain is the client's", map[string]string{"certData": june + may}, inJune},
		{"a key before the certificate", map[string]string{"certData": key + may}, inMay},
		{"a serving CA says nothing about the credentials", map[string]string{"caData": may}, time.Time{}},
		{"a certificate without an end", map[string]string{"certData": certificateUntil(t, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))}, time.Time{}},
		{"a token", map[string]string{"tokenData": jwtUntil(inJune) + "\n"}, inJune},
		{"a token with a fraction of a second", map[string]string{"tokenData": jwt(`{"exp":1.9383192e9}`)}, time.Unix(1938319200, 0).UTC()},
		{"a token without an end", map[string]string{"tokenData": jwt(`{"sub":"admin"}`)}, time.Time{}},
		{"a token that is no JWT", map[string]string{"tokenData": "abcdef.0123456789abcdef"}, time.Time{}},
		{"the earlier of both", map[string]string{"certData": june, "tokenData": jwtUntil(inMay)}, inMay},
		{"a certificate in the kubeconfig",
			inKubeconfig("client-certificate-data: " + b64(may) + ", client-key-data: " + b64(key)), inMay},
		{"a token in the kubeconfig", inKubeconfig("token: " + jwtUntil(inMay)), inMay},
		{"what a malformed field says does not matter to the others",
			map[string]string{"certData": "no certificate", "kubeconfig": "no kubeconfig", "tokenData": jwtUntil(inMay)}, inMay},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := CredentialsExpiry(carrying(test.fields))
			if !got.Equal(test.want) || ok == test.want.IsZero() {
				t.Errorf("got %v, %v, want %v", got, ok, test.want)
			}
		})
	}
}

// hostileCredentials could hang, grow or break whoever reads them.
func hostileCredentials() map[string]string {
	mib := strings.Repeat("A", 1<<20)
	lines := func(line string) string { return strings.Repeat(line, (1<<20)/len(line)) }
	return map[string]string{
		"empty":                          "",
		"zero bytes":                     "\x00\x00\x00",
		"a mebibyte":                     mib,
		"more than a mebibyte":           mib + mib,
		"many beginnings":                lines("-----BEGIN CERTIFICATE-----\n"),
		"many empty blocks":              lines("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
		"many blocks of another type":    lines("-----BEGIN X-----\nAAAA\n-----END X-----\n"),
		"a certificate of zeros":         "-----BEGIN CERTIFICATE-----\n" + strings.Repeat("A", 1<<19) + "\n-----END CERTIFICATE-----\n",
		"dots":                           lines("."),
		"three empty parts":              "..",
		"a payload that is no JSON":      jwt("exp"),
		"a payload that is a list":       jwt("[1]"),
		"a payload that is null":         jwt("null"),
		"a deep payload":                 jwt(strings.Repeat(`{"exp":`, 100_000)),
		"exp is text":                    jwt(`{"exp":"1938319200"}`),
		"exp is null":                    jwt(`{"exp":null}`),
		"exp is negative":                jwt(`{"exp":-1}`),
		"exp is zero":                    jwt(`{"exp":0}`),
		"exp is beyond time":             jwt(`{"exp":1e300}`),
		"exp is beyond numbers":          jwt(`{"exp":1e999}`),
		"EXP is not exp":                 jwt(`{"EXP":1938319200}`),
		"deep YAML":                      lines("["),
		"deep block YAML":                lines("- "),
		"many keys":                      lines("a: b\n"),
		"an alias to what it is part of": "contexts: &a [*a]\ncurrent-context: a",
		"an alias as the document":       "*a",
		"a large value in many places": "x: &a " + strings.Repeat("v", 1<<19) + "\ncurrent-context: a\ncontexts: [" +
			strings.Repeat("*a,", 1<<17) + "]",
		"a large map in many places": "x: &a {" + strings.Repeat("v,", 1<<18) + "}\ncurrent-context: a\ncontexts: [" +
			strings.Repeat("*a,", 1<<17) + "]",
		"aliases of aliases": "a: &a [1]\nb: &b [*a,*a]\nc: &c [*b,*b]\ncontexts: *c\ncurrent-context: x",
		"all of one name":    "current-context: x\ncontexts:\n" + lines("- name: x\n"),
		"binary names":       "current-context: !!binary AAAA",
		"a list of nothing":  "current-context: x\ncontexts: [,]",
		"a value that is part of itself, beside a context": kubeconfigOf("", "") + "x: &a [*a]\n",
		"a number that JSON does not have, beside one":     kubeconfigOf("", "") + "x: [.inf]\n",
		"doubling aliases, beside one":                     kubeconfigOf("", "") + "a0: &a0 [x,x]\n" + doublingAliases(30),
	}
}

func doublingAliases(times int) (text string) {
	for i := range times {
		text += fmt.Sprintf("a%[2]d: &a%[2]d [*a%[1]d,*a%[1]d]\n", i, i+1)
	}
	return text
}

func TestHostileCredentialsSayNothing(t *testing.T) {
	for name, data := range hostileCredentials() {
		t.Run(name, func(t *testing.T) {
			for _, field := range credentialFields {
				object := carrying(map[string]string{field: data})
				if got, ok := CredentialsExpiry(object); ok {
					t.Errorf("%s expires at %v", field, got)
				}
			}
			if err := CheckKubeconfig([]byte(data)); (err == nil) != (data == "") {
				t.Errorf("as a kubeconfig: %v", err)
			} else if err != nil && len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
	for _, spec := range []any{nil, "text", map[string]any{"certData": int64(1), "tokenData": "not base64", "kubeconfig": []any{}}} {
		object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		if got, ok := CredentialsExpiry(object); ok {
			t.Errorf("spec %v expires at %v", spec, got)
		}
	}
}

func TestCheckKubeconfigSaysWhyItCannotBeUsed(t *testing.T) {
	good := kubeconfigOf("", "token: s3cr3t")
	long := strings.Repeat("n", 200)
	tests := []struct {
		name, kubeconfig, want string
	}{
		{"fine", good, ""},
		{"JSON", `{"current-context":"a","contexts":[{"name":"a","context":{"cluster":"b"}}],"clusters":[{"name":"b","cluster":{"server":"https://b"}}]}`, ""},
		{"aliases", "x: &s https://one.example\n" + strings.Replace(good, `"https://one.example:6443"`, "*s", 1), ""},
		{"files and programs are for whoever uses it", kubeconfigOf(", certificate-authority: /ca.crt",
			"client-certificate: /crt, client-key: /key, exec: {command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}"), ""},
		{"an insecure cluster", kubeconfigOf(", insecure-skip-tls-verify: true", ""), ""},
		{"not YAML", "x: 1\na: s3cr3t: b", "it is not YAML: see its line 2"},
		{"no map", "s3cr3t", "the kubeconfig must be a map"},
		{"only a comment", "# s3cr3t", "it is empty"},
		{"another kind", "kind: Secret\napiVersion: v1", "it is no kubeconfig: its kind is not Config"},
		{"no current context", strings.Replace(good, "current-context", "current", 1), "it has no current-context"},
		{"a missing context", strings.Replace(good, "current-context: prod", "current-context: dev", 1), `its context "dev" is missing`},
		{"a long name", strings.Replace(good, "current-context: prod", "current-context: "+long, 1),
			fmt.Sprintf(`its context "%s…" is missing`, long[:63])},
		{"a context without a cluster", strings.Replace(good, "cluster: one, ", "", 1), `context "prod" names no cluster`},
		{"a missing cluster", strings.Replace(good, "cluster: one,", "cluster: two,", 1), `its cluster "two" is missing`},
		{"a missing user", strings.Replace(good, "user: admin", "user: root", 1), `its user "root" is missing`},
		{"no users", strings.Replace(good, "users:", "people:", 1), `its user "admin" is missing`},
		{"two of a name", strings.Replace(good, "name: test", "name: prod", 1), `it has more than one context "prod"`},
		{"no server", strings.Replace(good, "server:", "host:", 1), `cluster "one" has no server`},
		{"a server that is no text", strings.Replace(good, `"https://one.example:6443"`, "[s3cr3t]", 1), `cluster "one": server must be a string`},
		{"clusters that are no list", strings.Replace(good, "clusters:\n- name: one\n  cluster:", "clusters:\n  one:", 1), "its clusters must be a list"},
		{"a cluster that is no map", strings.Replace(good, `{server: "https://one.example:6443"}`, "s3cr3t", 1), `cluster "one" must be a map`},
		{"a token that is no text", kubeconfigOf("", "token: 12345678"), `user "admin": token must be a string`},
		{"data that is not base64", kubeconfigOf(`, certificate-authority-data: "s3cr3t!"`, ""), `cluster "one": certificate-authority-data: it is not base64`},
		{"a certificate without a key", kubeconfigOf("", "client-certificate-data: czNjcjN0"), `user "admin" has client-certificate-data without client-key-data`},
		{"insecure and a CA", kubeconfigOf(", insecure-skip-tls-verify: true, certificate-authority-data: czNjcjN0", ""),
			`cluster "one" has both insecure-skip-tls-verify and certificate-authority-data: keep one of them`},
		{"insecure by halves", kubeconfigOf(", insecure-skip-tls-verify: s3cr3t", ""), `cluster "one": insecure-skip-tls-verify must be true or false`},
		{"merge keys", kubeconfigOf(", <<: {}", ""), `cluster "one" has a merge key (<<): write its fields out`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := CheckKubeconfig([]byte(test.kubeconfig))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestParseKubeconfigReadsTheCurrentContext(t *testing.T) {
	got, err := ParseKubeconfig([]byte(kubeconfigOf(
		", tls-server-name: two.example, certificate-authority-data: "+b64("ca")+", proxy-url: http://proxy, certificate-authority: ''",
		"client-certificate-data: "+b64("cert")+", client-key-data: "+b64("key")+", token: t, username: u, password: p, exec: {command: x}, tokenFile: /t")))
	if err != nil {
		t.Fatal(err)
	}
	want := &Kubeconfig{
		Server: "https://one.example:6443", TLSServerName: "two.example",
		CAData: []byte("ca"), CertData: []byte("cert"), KeyData: []byte("key"),
		Token: "t", Username: "u", Password: "p",
		Outside: []string{"proxy-url", "tokenFile", "exec"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add(kubeconfigOf(", insecure-skip-tls-verify: true", "token: "+jwtUntil(inMay)))
	f.Add(certificateUntil(f, inMay))
	for _, data := range hostileCredentials() {
		if len(data) < 1000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data string) {
		object := carrying(map[string]string{"kubeconfig": data, "certData": data, "tokenData": data})
		for _, fields := range []map[string]string{{"kubeconfig": data}, {"caData": data}, {"certData": data, "keyData": data}, {"tokenData": data}} {
			if err := checkCredentials(carrying(fields), nil); err != nil && len(err.Error()) > 500 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		}
		if expiry, ok := CredentialsExpiry(object); ok && expiry.Year() >= never {
			t.Errorf("expires at %v", expiry)
		}
	})
}

func BenchmarkCredentialsExpiry(b *testing.B) {
	cert := certificateUntil(b, inMay)
	for name, fields := range map[string]map[string]string{
		"token":       {"tokenData": jwtUntil(inMay)},
		"certificate": {"certData": cert},
		"kubeconfig": {"kubeconfig": kubeconfigOf(", certificate-authority-data: "+b64(cert+cert),
			"client-certificate-data: "+b64(cert)+", client-key-data: "+b64(cert))},
	} {
		b.Run(name, func(b *testing.B) {
			object := carrying(fields)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := CredentialsExpiry(object); !ok {
					b.Fatal("says none")
				}
			}
		})
	}
}
