package e2e

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

const (
	oneDay = 24 * time.Hour

	// readers is the group on a member cluster that may read namespaces, and
	// nothing else.
	readers = "readers"
)

// member is a second cluster: one that a platform manages.
type member struct {
	*devcluster.Cluster
	dir    string
	client kubernetes.Interface
	uid    string // of kube-system: which cluster answers
}

// startMember starts a member cluster. It ends with the test.
func startMember(t *testing.T) *member {
	t.Helper()
	m := &member{dir: t.TempDir()}
	var err error
	m.Cluster, err = devcluster.Start(t.Context(), devcluster.Options{Dir: m.dir, BinDir: binDir, UnsafeNoFsync: true})
	must(t, err)
	t.Cleanup(func() {
		if err := m.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	m.client, err = kubernetes.NewForConfig(m.Config())
	must(t, err)
	_, err = m.client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: readers},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = m.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: readers},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: readers},
		Subjects: []rbacv1.Subject{
			{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: readers},
			{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:serviceaccounts:default"},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	eventually(t, "the member cluster has kube-system", func() error {
		system, err := m.client.CoreV1().Namespaces().Get(t.Context(), metav1.NamespaceSystem, metav1.GetOptions{})
		m.uid = string(system.UID)
		return err
	})
	return m
}

func (m *member) pki(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "pki", file))
	must(t, err)
	return text
}

// ca is the authority of the API server's certificate, in PEM.
func (m *member) ca(t *testing.T) []byte { t.Helper(); return m.pki(t, "serving-ca.crt") }

// certificate issues a client certificate for the readers, and its key, in PEM.
// A negative validity gives one that has expired.
func (m *member) certificate(t *testing.T, user string, validity time.Duration) (certificate, key []byte) {
	t.Helper()
	parent, err := x509.ParseCertificate(decodePEM(t, m.pki(t, "client-ca.crt")))
	must(t, err)
	signer, err := x509.ParsePKCS8PrivateKey(decodePEM(t, m.pki(t, "client-ca.key")))
	must(t, err)
	return issue(t, parent, signer.(crypto.Signer), user, validity)
}

func decodePEM(t *testing.T, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}

// issue makes a client certificate and its key, in PEM. Without a parent it has
// signed itself.
func issue(t *testing.T, parent *x509.Certificate, signer crypto.Signer, user string, validity time.Duration) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: user, Organization: []string{readers}},
		NotBefore:    time.Now().Add(-2 * oneDay),
		NotAfter:     time.Now().Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		parent, signer = template, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// token makes a ServiceAccount and returns a token for it.
func (m *member) token(t *testing.T, name string) []byte {
	t.Helper()
	accounts := m.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault)
	_, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	must(t, err)
	request, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	return []byte(request.Status.Token)
}

// kubeconfig is a kubeconfig for the member cluster with one of the two kinds
// of credentials in it.
func (m *member) kubeconfig(t *testing.T, certificate, key, token []byte) []byte {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["member"] = &clientcmdapi.Cluster{Server: m.Config().Host, CertificateAuthorityData: m.ca(t)}
	config.AuthInfos["reader"] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key, Token: string(token)}
	config.Contexts["reader@member"] = &clientcmdapi.Context{Cluster: "member", AuthInfo: "reader"}
	config.CurrentContext = "reader@member"
	text, err := clientcmd.Write(*config)
	must(t, err)
	return text
}

// opens is an error unless the credentials of the PediaCluster open the member
// cluster, as Clusterpedia would use them.
func (m *member) opens(t *testing.T, h *host, name string) error {
	object, err := h.objects.Resource(pediaClusters).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	config, err := restConfig(object)
	if err != nil {
		return err
	}
	address := hostOf(t, m.Config().Host)
	want := address
	if name == "vc-default-kubernetes" {
		// The Service has that name within the host only. The API server's
		// certificate is checked against it all the same.
		want = "kubernetes.default.svc"
		config.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	system, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return errors.Join(same("the cluster that answers", string(system.UID), m.uid),
		same("the address", hostOf(t, text(object, "spec", "apiserver")), want))
}

// restConfig is how Clusterpedia reads a PediaCluster: a kubeconfig comes first.
func restConfig(pediaCluster *unstructured.Unstructured) (*rest.Config, error) {
	fields := map[string][]byte{}
	for _, field := range []string{"kubeconfig", "caData", "certData", "keyData", "tokenData"} {
		value, err := base64.StdEncoding.DecodeString(text(pediaCluster, "spec", field))
		if err != nil {
			return nil, err
		}
		fields[field] = value
	}
	if len(fields["kubeconfig"]) > 0 {
		return clientcmd.RESTConfigFromKubeConfig(fields["kubeconfig"])
	}
	return &rest.Config{
		Host:        text(pediaCluster, "spec", "apiserver"),
		BearerToken: string(fields["tokenData"]),
		TLSClientConfig: rest.TLSClientConfig{
			CAData: fields["caData"], CertData: fields["certData"], KeyData: fields["keyData"],
		},
	}, nil
}
