package probe

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// authority signs certificates of servers and clients.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate: certificate, key: key, pem: encodePEM("CERTIFICATE", der)}
}

// sign returns a certificate and its key in PEM, for an hour from then.
func (a *authority) sign(t testing.TB, from time.Time, hosts ...string) (cert, key string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "admin"}, NotBefore: from, NotAfter: from.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	private := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encodePEM("CERTIFICATE", der), encodePEM("EC PRIVATE KEY", encoded)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// serve starts a TLS server. Its certificate is for hosts, 127.0.0.1 and
// localhost if there are none.
func (a *authority) serve(t testing.TB, handler http.HandlerFunc, hosts ...string) *httptest.Server {
	t.Helper()
	return a.serveFrom(t, time.Now().Add(-time.Minute), handler, hosts...)
}

func (a *authority) serveFrom(t testing.TB, from time.Time, handler http.HandlerFunc, hosts ...string) *httptest.Server {
	t.Helper()
	if len(hosts) == 0 {
		hosts = []string{"127.0.0.1", "localhost"}
	}
	pair, err := tls.X509KeyPair(asBytes(a.sign(t, from, hosts...)))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.certificate)
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func asBytes(a, b string) ([]byte, []byte) { return []byte(a), []byte(b) }

// kubernetes answers as an API server that is ready.
func kubernetes(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/readyz":
		fmt.Fprint(w, "ok")
	case "/version":
		fmt.Fprint(w, `{"major":"1","gitVersion":"v1.37.2"}`)
	default:
		http.NotFound(w, r)
	}
}

// guarded lets only those through who are authorized.
func guarded(authorized func(r *http.Request) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !authorized(r) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		kubernetes(w, r)
	}
}

func hasToken(token string) func(r *http.Request) bool {
	return func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+token }
}

// answer answers one path with a status and a body, others as kubernetes does.
func answer(path string, status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			kubernetes(w, r)
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// kubeconfig is a target with a kubeconfig of these fields of cluster and user.
func kubeconfig(cluster, user string) Target {
	return Target{Kubeconfig: b64(fmt.Sprintf(`{"current-context":"a","contexts":[{"name":"a","context":{"cluster":"b","user":"c"}}],
"clusters":[{"name":"b","cluster":{%s}}],"users":[{"name":"c","user":{%s}}]}`, cluster, user))}
}

// allowing lets tests reach loopback.
var allowing = Config{Deny: []netip.Prefix{}}.withDefaults()

const secret = "s3cr3t"

func TestAClusterIsAskedWithTheCredentialsOfItsPediaCluster(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.sign(t, time.Now().Add(-time.Minute))
	withToken := ca.serve(t, guarded(hasToken(secret)))
	withCertificate := ca.serve(t, guarded(func(r *http.Request) bool { return len(r.TLS.PeerCertificates) > 0 }))
	withPassword := ca.serve(t, guarded(func(r *http.Request) bool {
		user, password, ok := r.BasicAuth()
		return ok && user == "admin" && password == secret
	}))
	below := ca.serve(t, http.StripPrefix("/k8s/one", guarded(hasToken(secret))).ServeHTTP)
	clusterOf := func(server *httptest.Server) string {
		return fmt.Sprintf(`"server":%q,"certificate-authority-data":%q`, server.URL, b64(ca.pem))
	}

	tests := []struct {
		name      string
		target    Target
		apiServer string
	}{
		{"a token", Target{APIServer: withToken.URL, CAData: b64(ca.pem), TokenData: b64(secret + "\n")}, withToken.URL},
		{"a client certificate", Target{APIServer: withCertificate.URL, CAData: b64(ca.pem), CertData: b64(cert), KeyData: b64(key)}, withCertificate.URL},
		{"a token in a kubeconfig", kubeconfig(clusterOf(withToken), `"token":"`+secret+`"`), withToken.URL},
		{"a client certificate in a kubeconfig", kubeconfig(clusterOf(withCertificate),
			fmt.Sprintf(`"client-certificate-data":%q,"client-key-data":%q`, b64(cert), b64(key))), withCertificate.URL},
		{"a password in a kubeconfig", kubeconfig(clusterOf(withPassword), `"username":"admin","password":"`+secret+`"`), withPassword.URL},
		{"a kubeconfig wins over the fields", func() Target {
			target := kubeconfig(clusterOf(withToken), `"token":"`+secret+`"`)
			target.APIServer, target.TokenData = withPassword.URL, b64("another")
			return target
		}(), withToken.URL},
		{"what is in the spec wins over authenticationFrom",
			Target{APIServer: withToken.URL, CAData: b64(ca.pem), TokenData: b64(secret), AuthenticationFrom: true}, withToken.URL},
		{"an address below a path", Target{APIServer: below.URL + "/k8s/one/", CAData: b64(ca.pem), TokenData: b64(secret)}, below.URL + "/k8s/one"},
		{"host and port", Target{APIServer: strings.TrimPrefix(withToken.URL, "https://"), CAData: b64(ca.pem), TokenData: b64(secret)}, withToken.URL},
		{"a kubeconfig that verifies nothing", kubeconfig(fmt.Sprintf(`"server":%q,"insecure-skip-tls-verify":true`, withToken.URL),
			`"token":"`+secret+`"`), withToken.URL},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := Result{Ready: metav1.ConditionTrue, Version: "v1.37.2", APIServer: test.apiServer}
			if diff := cmp.Diff(want, test.target.ask(t.Context(), allowing)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatAClusterAnswersIsTold(t *testing.T) {
	ca := newAuthority(t)
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    Result
	}{
		{"401", answer("/readyz", 401, secret), Result{Ready: "False",
			Message: "the cluster does not accept the credentials (401): renew them where the policy reads them"}},
		{"403", answer("/readyz", 403, secret), Result{Ready: "Unknown", Version: "v1.37.2",
			Message: "the credentials may not read /readyz (403): bind them to the ClusterRole system:public-info-viewer there"}},
		{"404", answer("/readyz", 404, secret), Result{Ready: "False",
			Message: "there is no /readyz (404): the address is not that of a Kubernetes API server, or its path is wrong"}},
		{"429", answer("/readyz", 429, secret), Result{Ready: "False", Message: "the cluster responds to /readyz with status 429"}},
		{"503", answer("/readyz", 503, secret), Result{Ready: "False", Version: "v1.37.2", Message: "the cluster is not ready (503)"}},
		{"500 with what fails", answer("/readyz", 500, "[+]ping ok\n[-]etcd failed: reason withheld\n[-]informer-sync failed: \x1b[31m"),
			Result{Ready: "False", Version: "v1.37.2", Message: "the cluster is not ready (500): etcd, informer-sync"}},
		{"an endless body", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/version" {
				kubernetes(w, r)
				return
			}
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("A"), 1<<16)); err != nil {
					return
				}
			}
		}, Result{Ready: "True", Version: "v1.37.2"}},
		{"a large version", answer("/version", 200, `{"gitVersion":"v1.37.2","x":"`+strings.Repeat("A", maxVersion)+`"}`),
			Result{Ready: "True", Message: "the version could not be read: the response to /version has more than 65536 bytes"}},
		{"a version for the terminal", answer("/version", 200, `{"gitVersion":"v1\u001b[31m"}`),
			Result{Ready: "True", Message: "the version could not be read: the response to /version is not a version of Kubernetes"}},
		{"a version that is no JSON", answer("/version", 200, secret),
			Result{Ready: "True", Message: "the version could not be read: the response to /version is not a version of Kubernetes"}},
		{"no version", answer("/version", 403, secret), Result{Ready: "True", Message: "the version could not be read: /version answers with status 403"}},
		{"nothing", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			Result{Ready: "False", Message: "the connection was closed before a response"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := ca.serve(t, test.handler)
			test.want.APIServer = server.URL
			target := Target{APIServer: server.URL, CAData: b64(ca.pem), TokenData: b64("token")}
			if diff := cmp.Diff(test.want, target.ask(t.Context(), allowing)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("401 without credentials", func(t *testing.T) {
		server := ca.serve(t, answer("/readyz", 401, ""))
		got := Target{APIServer: server.URL, CAData: b64(ca.pem)}.ask(t.Context(), allowing)
		if want := "the cluster requires credentials (401), and the PediaCluster has none"; got.Message != want {
			t.Errorf("got %q", got.Message)
		}
	})
}

func TestARedirectIsNotFollowedAndNoTokenTravelsWithIt(t *testing.T) {
	ca := newAuthority(t)
	var elsewhere atomic.Int32
	other := ca.serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := ca.serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+r.URL.Path, status) })
		got := Target{APIServer: server.URL, CAData: b64(ca.pem), TokenData: b64(secret)}.ask(t.Context(), allowing)
		want := Result{Ready: "False", APIServer: server.URL,
			Message: fmt.Sprintf("a redirect (%d) is not followed: use the address of the API server itself", status)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if n := elsewhere.Load(); n > 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}

func TestASilentClusterEndsTheProbe(t *testing.T) {
	ca := newAuthority(t)
	config := allowing
	config.Timeout = 200 * time.Millisecond
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	halfway := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "o")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	for name, address := range map[string]string{
		"no answer":    ca.serve(t, silent).URL,
		"half a body":  ca.serve(t, halfway).URL,
		"no handshake": "https://" + mute.Addr().String(),
	} {
		got := Target{APIServer: address, CAData: b64(ca.pem)}.ask(t.Context(), config)
		if diff := cmp.Diff(Result{Ready: "False", APIServer: address, Message: "the cluster did not respond in time"}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAClusterThatCannotBeTrustedGetsNoCredentials(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	var asked atomic.Int32
	count := func(w http.ResponseWriter, r *http.Request) { asked.Add(1); kubernetes(w, r) }
	good := ca.serve(t, count)
	elsewhere := ca.serve(t, count, "two.example")
	expired := ca.serveFrom(t, time.Now().Add(-2*time.Hour), count)
	plain := httptest.NewServer(http.HandlerFunc(count))
	t.Cleanup(plain.Close)
	closed := ca.serve(t, count)
	closed.Close()
	address := func(server *httptest.Server) string { return "https://" + server.Listener.Addr().String() }

	with := func(server *httptest.Server, caData string) Target {
		return Target{APIServer: address(server), CAData: caData, TokenData: b64(secret)}
	}
	tests := []struct {
		name   string
		target Target
		want   string
	}{
		{"another CA", with(good, b64(other.pem)), "TLS failed: the CA in spec.caData has not signed the cluster's certificate"},
		{"no CA", with(good, ""), "TLS failed: no CA of this system has signed the cluster's certificate: set spec.caData"},
		{"no CA in a kubeconfig", kubeconfig(fmt.Sprintf(`"server":%q`, good.URL), `"token":"`+secret+`"`),
			"TLS failed: no CA of this system has signed the cluster's certificate: set certificate-authority-data of spec.kubeconfig"},
		{"another host", with(elsewhere, b64(ca.pem)), "TLS failed: the cluster's certificate is not for the host of the address"},
		{"an expired certificate", with(expired, b64(ca.pem)), "TLS failed: a certificate of the cluster, or of the CA, has expired or is not valid yet"},
		{"no TLS", with(plain, b64(ca.pem)), "TLS failed: the server at the address does not use TLS"},
		{"nobody", with(closed, b64(ca.pem)), "connection refused: nothing listens at the address of the API server"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.target.ask(t.Context(), allowing)
			if got.Ready != metav1.ConditionFalse || got.Message != test.want {
				t.Errorf("got %s, %q, want %q", got.Ready, got.Message, test.want)
			}
		})
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("credentials were sent %d times", n)
	}

	t.Run("a client certificate of another CA", func(t *testing.T) {
		cert, key := other.sign(t, time.Now().Add(-time.Minute))
		got := Target{APIServer: good.URL, CAData: b64(ca.pem), CertData: b64(cert), KeyData: b64(key)}.ask(t.Context(), allowing)
		if got.Ready != metav1.ConditionFalse || !strings.HasPrefix(got.Message, "TLS failed: the cluster refused the connection (") {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("tls-server-name says for which host the certificate is", func(t *testing.T) {
		target := kubeconfig(fmt.Sprintf(`"server":%q,"tls-server-name":"two.example","certificate-authority-data":%q`,
			elsewhere.URL, b64(ca.pem)), `"token":"t"`)
		if got := target.ask(t.Context(), allowing); got.Ready != metav1.ConditionTrue {
			t.Errorf("got %+v", got)
		}
	})
}

func TestLoopbackIsDeniedByDefaultWhateverItsName(t *testing.T) {
	ca := newAuthority(t)
	var connections atomic.Int32
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = connection.Close()
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1.2.3"} {
		address := "https://" + net.JoinHostPort(strings.Trim(host, "[]"), port)
		got := Target{APIServer: address, CAData: b64(ca.pem), TokenData: b64(secret)}.ask(t.Context(), Config{}.withDefaults())
		want := "not asked: its host is at an address that is not probed (loopback, link-local, metadata or the like; see --probe-denied-cidrs)"
		if got.Ready != metav1.ConditionUnknown || got.Message != want {
			t.Errorf("%s: got %s, %q", host, got.Ready, got.Message)
		}
	}
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections came", n)
	}
}

func TestAddressesThatAreDenied(t *testing.T) {
	config := Config{}.withDefaults()
	for address, want := range map[string]bool{
		"127.0.0.1": true, "127.255.255.254": true, "0.0.0.0": true, "0.1.2.3": true, "255.255.255.255": true,
		"169.254.169.254": true, "169.254.170.2": true, "100.100.100.200": true, "168.63.129.16": true, "192.0.0.192": true,
		"224.0.0.1": true, "239.1.2.3": true, "240.0.0.1": true,
		"::": true, "::1": true, "::127.0.0.1": true, "fe80::1": true, "fe80::1%eth0": true, "febf::1": true,
		"ff02::1": true, "fd00:ec2::254": true, "fd20:ce::254": true,
		"::ffff:127.0.0.1": true, "::ffff:169.254.169.254": true, "::ffff:0.0.0.0": true,
		"64:ff9b::169.254.169.254": true, "2002:7f00:1::": true, "2002:a9fe:a9fe::1": true,
		"10.0.0.1": false, "192.168.1.1": false, "172.16.0.1": false, "100.64.0.1": false, "203.0.113.7": false,
		"::ffff:10.0.0.1": false, "fd00::1": false, "2001:db8::1": false, "64:ff9b::10.0.0.1": false, "2002:a00:1::": false,
	} {
		ip := netip.MustParseAddr(address)
		if got := config.denies(ip); got != want {
			t.Errorf("%s: got %v", address, got)
		}
		if err := config.allow(context.Background(), "tcp", netip.AddrPortFrom(ip, 443).String(), nil); (err != nil) != want {
			t.Errorf("%s: dialling: %v", address, err)
		}
	}
	if err := config.allow(context.Background(), "unix", "/run/containerd.sock", nil); err == nil {
		t.Error("what is no address was allowed")
	}
	if private := (Config{Deny: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}); !private.denies(netip.MustParseAddr("::ffff:10.1.2.3")) ||
		private.denies(netip.MustParseAddr("127.0.0.1")) {
		t.Error("a list of one's own does not stand for the default")
	}
}

func TestATargetThatLeadsElsewhereIsNotAsked(t *testing.T) {
	ca := newAuthority(t)
	var asked atomic.Int32
	server := ca.serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	cluster := fmt.Sprintf(`"server":%q,"certificate-authority-data":%q`, server.URL, b64(ca.pem))
	cert, _ := ca.sign(t, time.Now())
	_, otherKey := ca.sign(t, time.Now())
	with := func(change func(*Target)) Target {
		target := Target{APIServer: server.URL, CAData: b64(ca.pem), TokenData: b64(secret)}
		change(&target)
		return target
	}
	outside := func(field string) string {
		return "spec.kubeconfig has " + field + ", which is not followed: put the data itself into the kubeconfig"
	}
	tests := []struct {
		name   string
		target Target
		want   string
	}{
		{"an exec plugin", kubeconfig(cluster, `"exec":{"command":"s3cr3t"}`), outside("exec")},
		{"an auth provider", kubeconfig(cluster, `"auth-provider":{"name":"s3cr3t"}`), outside("auth-provider")},
		{"a token file", kubeconfig(cluster, `"token":"t","tokenFile":"/s3cr3t"`), outside("tokenFile")},
		{"a certificate and a key in files", kubeconfig(cluster, `"client-certificate":"/s3cr3t","client-key":"/s3cr3t"`), outside("client-certificate, client-key")},
		{"a CA in a file", kubeconfig(cluster+`,"certificate-authority":"/s3cr3t"`, ``), outside("certificate-authority")},
		{"a proxy", kubeconfig(cluster+`,"proxy-url":"http://s3cr3t"`, ``), outside("proxy-url")},
		{"a kubeconfig without a server", kubeconfig(`"x":"y"`, ``), `spec.kubeconfig cannot be used: cluster "b" has no server`},
		{"a kubeconfig that is not base64", Target{Kubeconfig: "s3cr3t!"}, "spec.kubeconfig is not base64"},
		{"authenticationFrom", Target{APIServer: server.URL, AuthenticationFrom: true},
			"spec.authenticationFrom is not followed: render the credentials into the PediaCluster so that the cluster is probed"},
		{"no address", with(func(t *Target) { t.APIServer = "" }), "the PediaCluster has neither spec.apiserver nor spec.kubeconfig"},
		{"http", with(func(t *Target) { t.APIServer = "http://one.example" }), "the address of the API server is not https: credentials are not sent unencrypted"},
		{"another scheme", with(func(t *Target) { t.APIServer = "unix:///s3cr3t" }), "the address of the API server is not a URL: write https://host:port"},
		{"no host", with(func(t *Target) { t.APIServer = "https://:443" }), "the address of the API server is not a URL: write https://host:port"},
		{"no URL", with(func(t *Target) { t.APIServer = "s3cr3t\x1b[31m" }), "the address of the API server is not a URL: write https://host:port"},
		{"a password in the address", with(func(t *Target) { t.APIServer = "https://admin:s3cr3t@one.example" }),
			"the address of the API server has a user, a query or a fragment: write https://host:port"},
		{"a query in the address", with(func(t *Target) { t.APIServer = "https://one.example/?s3cr3t" }),
			"the address of the API server has a user, a query or a fragment: write https://host:port"},
		{"a long address", with(func(t *Target) { t.APIServer = "https://one.example/" + strings.Repeat("s", 1000) }),
			"the address of the API server is longer than 512 bytes"},
		{"a token of two lines", with(func(t *Target) { t.TokenData = b64(secret + "\r\nHost: two.example") }),
			"the token contains characters that no token has: render it as stored in its Secret"},
		{"a token that is not base64", with(func(t *Target) { t.TokenData = "s3cr3t!" }), "spec.tokenData is not base64"},
		{"a CA that is none", with(func(t *Target) { t.CAData = b64(secret) }), "spec.caData holds no certificate in PEM"},
		{"a key of another certificate", with(func(t *Target) { t.CertData, t.KeyData = b64(cert), b64(otherKey) }),
			"the client certificate and its key are no pair in PEM"},
		{"a key that is none", with(func(t *Target) { t.CertData, t.KeyData = b64(cert), b64(secret) }),
			"the client certificate and its key are no pair in PEM"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.target.ask(t.Context(), allowing)
			if diff := cmp.Diff(Result{Ready: metav1.ConditionUnknown, Message: "not asked: " + test.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestNoConnectionOutlivesItsProbe(t *testing.T) {
	ca := newAuthority(t)
	states := make(chan http.ConnState, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(kubernetes))
	pair, err := tls.X509KeyPair(asBytes(ca.sign(t, time.Now().Add(-time.Minute), "127.0.0.1")))
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) { states <- state }
	server.StartTLS()
	t.Cleanup(server.Close)
	if got := (Target{APIServer: server.URL, CAData: b64(ca.pem)}).ask(t.Context(), allowing); got.Version == "" {
		t.Fatalf("got %+v", got)
	}
	opened := 0
	for state := range states {
		if state == http.StateNew {
			opened++
		}
		if state == http.StateClosed {
			break
		}
	}
	if opened != 1 {
		t.Errorf("one probe opened %d connections", opened)
	}
}

func TestTargetOfReadsThePediaCluster(t *testing.T) {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"apiserver": "a", "kubeconfig": "k", "caData": "ca", "tokenData": "t", "certData": "c", "keyData": "ke",
		"authenticationFrom": map[string]any{"token": map[string]any{"name": "n", "key": "k"}},
	}}}
	want := Target{APIServer: "a", Kubeconfig: "k", CAData: "ca", TokenData: "t", CertData: "c", KeyData: "ke", AuthenticationFrom: true}
	if got := TargetOf(object); got != want {
		t.Errorf("got %+v", got)
	}
	for _, spec := range []any{nil, "text", map[string]any{"apiserver": int64(1), "kubeconfig": []any{}}} {
		if got := TargetOf(&unstructured.Unstructured{Object: map[string]any{"spec": spec}}); got != (Target{}) {
			t.Errorf("of %v: %+v", spec, got)
		}
	}
}
