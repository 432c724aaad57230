package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	certutil "k8s.io/client-go/util/cert"

	"github.com/clusterpedia-io/policy-apiserver/pkg/registration"
	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

var (
	apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
)

// startRegisteringHost starts a host whose server registers itself.
func startRegisteringHost(t *testing.T, flags ...string) *host {
	t.Helper()
	return ownHostWith(t, devcluster.ServerOptions{SelfRegister: true, Args: flags})
}

func TestAServerRegistersItself(t *testing.T) {
	// That the server is available says that the aggregator has verified its certificate.
	h := startRegisteringHost(t, "--serving-certificate-validity=1m")
	port := h.servicePort(t)

	t.Run("what the host sees differ is put back", func(t *testing.T) {
		bundle := h.caBundle(t)
		_, other, _ := newPair(t)
		h.patch(t, h.objects.Resource(apiServices), devcluster.APIServiceName,
			`{"spec":{"caBundle":"`+base64.StdEncoding.EncodeToString(other)+`","versionPriority":7,"service":{"port":1}}}`)
		eventually(t, "the APIService is as before", func() error {
			service := h.apiService(t)
			return errors.Join(
				same("caBundle", text(service, "spec", "caBundle"), base64.StdEncoding.EncodeToString([]byte(bundle))),
				same("port and priority", fmt.Sprint(field(service, "spec", "service", "port"), field(service, "spec", "versionPriority")), port+" 15"))
		})
		must(t, h.objects.Resource(apiServices).Delete(t.Context(), devcluster.APIServiceName, metav1.DeleteOptions{}))
		h.eventuallyAvailable(t)
		must(t, same("caBundle", h.caBundle(t), bundle))
	})

	replica := h.startReplica(t, port, "--serving-certificate-validity=1m")

	t.Run("certificate and authority are renewed while clients list", func(t *testing.T) {
		first := h.servingSecret(t)
		for _, address := range []string{port, replica.port} {
			eventually(t, "the replicas serve the certificate of the Secret", serves(address, first["tls.crt"]))
		}
		stop := h.askAllTheTime(t, port, replica.port)
		// Without the key of the authority there has to be another authority.
		h.patch(t, h.objects.Resource(secrets).Namespace(devcluster.Namespace), registration.SecretName, `{"data":{"ca.key":null}}`)
		var authorities []*x509.Certificate
		eventually(t, "the caBundle has the old and the new authority", func() error {
			authorities = certificates(t, []byte(h.caBundle(t)))
			return same("number of authorities", strconv.Itoa(len(authorities)), "2")
		})
		must(t, serves(port, first["tls.crt"])())
		within(t, 3*time.Minute, "every replica serves what the new authority has signed", func() error {
			for _, address := range []string{port, replica.port} {
				served, err := served(address)
				if err != nil {
					return err
				}
				if err := served.CheckSignatureFrom(authorities[1]); err != nil {
					return err
				}
			}
			return nil
		})
		stop()
		must(t, same("number of authorities", strconv.Itoa(len(certificates(t, []byte(h.caBundle(t))))), "2"))
	})

	t.Run("a damaged Secret is mended and a deleted one made again", func(t *testing.T) {
		before := h.servingSecret(t)
		authority := before["ca.crt"]
		h.patch(t, h.objects.Resource(secrets).Namespace(devcluster.Namespace), registration.SecretName,
			`{"data":{"tls.key":"`+base64.StdEncoding.EncodeToString([]byte("rubbish"))+`"}}`)
		eventually(t, "the replicas serve a new certificate", func() error {
			certificate := h.servingSecret(t)["tls.crt"]
			if string(certificate) == string(before["tls.crt"]) {
				return errors.New("the certificate is the former one")
			}
			return errors.Join(serves(port, certificate)(), serves(replica.port, certificate)())
		})
		must(t, same("authorities", string(h.servingSecret(t)["ca.crt"]), string(authority)))
		log := readLog(t, h.server.LogFile()) + readLog(t, replica.log) // one of them has mended it
		contains(t, log, "is damaged", "tls.crt and tls.key are not a certificate and its key")
		if strings.Contains(log, "rubbish") || strings.Contains(log, "PRIVATE KEY") {
			t.Error("the log has values of the Secret")
		}

		must(t, h.objects.Resource(secrets).Namespace(devcluster.Namespace).Delete(t.Context(), registration.SecretName, metav1.DeleteOptions{}))
		eventually(t, "all is new and fits together", func() error {
			secret, err := h.readSecret(t.Context())
			if err != nil {
				return err
			}
			if string(secret["ca.crt"]) == string(authority) {
				return errors.New("the authority is the former one")
			}
			return errors.Join(serves(port, secret["tls.crt"])(), serves(replica.port, secret["tls.crt"])(), same("caBundle", h.caBundle(t), string(secret["ca.crt"])))
		})
		h.eventuallyAvailable(t)
	})

	t.Run("without permissions it serves with what it has, and waits with nothing", func(t *testing.T) {
		binding := h.kubectl(t, "get", "rolebinding", "policy-apiserver-registration", "-n", devcluster.Namespace, "-o", "json")
		h.kubectl(t, "delete", "rolebinding", "policy-apiserver-registration", "-n", devcluster.Namespace)
		replica.stop(t)
		must(t, h.objects.Resource(secrets).Namespace(devcluster.Namespace).Delete(t.Context(), registration.SecretName, metav1.DeleteOptions{}))
		eventually(t, "the log says what is missing", logs(h.server.LogFile(), "The registration with the host failed", `cannot create resource \"secrets\"`))
		_, err := h.Kubectl(t.Context(), nil, "get", "clusterimportpolicies")
		must(t, err)

		waiting := h.startReplica(t, port, "--serving-certificate-validity=1m")
		eventually(t, "the log says what it waits for", logs(waiting.log, "no serving certificate yet", `cannot create resource \"secrets\"`))
		if _, err := served(waiting.port); err == nil {
			t.Error("it serves without a certificate")
		}
		if _, err := h.Kubectl(t.Context(), strings.NewReader(binding), "create", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		within(t, 2*time.Minute, "both serve the certificate that one of them has made", func() error {
			secret, err := h.readSecret(t.Context())
			if err != nil {
				return err
			}
			return errors.Join(serves(port, secret["tls.crt"])(), serves(waiting.port, secret["tls.crt"])())
		})
		h.eventuallyAvailable(t)
		waiting.stop(t)
	})

	t.Run("the Service is made and kept if it is the server's", func(t *testing.T) {
		// The Service is shipped, and so the right to write it is not.
		h.kubectl(t, "create", "role", "writes-services", "-n", devcluster.Namespace, "--resource=services", "--verb=get,list,watch,create,update")
		h.kubectl(t, "create", "rolebinding", "writes-services", "-n", devcluster.Namespace, "--role=writes-services",
			"--serviceaccount="+devcluster.Namespace+":"+devcluster.ServiceAccountName)
		before := h.service(t).GetResourceVersion()
		replica := h.startReplica(t, port, "--register-service")
		eventually(t, "the log says whose the Service is", logs(replica.log, "was created by another client", "--register-service"))
		must(t, same("resourceVersion", h.service(t).GetResourceVersion(), before))

		// From here the aggregator reaches nothing: a development cluster has no pods.
		resource := h.objects.Resource(services).Namespace(devcluster.Namespace)
		must(t, resource.Delete(t.Context(), devcluster.ServiceName, metav1.DeleteOptions{}))
		asWanted := func() error {
			service, err := resource.Get(t.Context(), devcluster.ServiceName, metav1.GetOptions{})
			if err != nil {
				return err
			}
			ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
			if len(ports) != 1 {
				return fmt.Errorf("the ports are %v", ports)
			}
			got := ports[0].(map[string]any)
			return errors.Join(same("selector", text(service, "spec", "selector", "app"), "policy-apiserver"),
				same("port", fmt.Sprint(got["port"], got["targetPort"]), port+" "+replica.port))
		}
		eventually(t, "the Service is made", asWanted)
		h.patch(t, resource, devcluster.ServiceName, `{"spec":{"selector":{"app":"something-else"}}}`)
		eventually(t, "the Service is put back", asWanted)
	})
}

func TestAServerDoesNotTakeTheGroupFromOthers(t *testing.T) {
	h := startRegisteringHost(t)
	port := h.servicePort(t)
	must(t, h.server.Stop(t.Context()))
	must(t, h.objects.Resource(apiServices).Delete(t.Context(), devcluster.APIServiceName, metav1.DeleteOptions{}))
	definition := "clusterimportpolicies.policy.clusterpedia.io"
	h.apply(t, map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": definition},
		"spec": map[string]any{
			"group": "policy.clusterpedia.io",
			"scope": "Cluster",
			"names": map[string]any{"plural": "clusterimportpolicies", "singular": "clusterimportpolicy", "kind": "ClusterImportPolicy"},
			"versions": []any{map[string]any{
				"name": "v1alpha1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	})
	must(t, h.WaitForTypes(t.Context(), definition))
	h.eventuallyAvailable(t)
	before := len(readLog(t, h.server.LogFile()))

	must(t, h.server.Start(t.Context()))
	eventually(t, "the log says what to do", logs(h.server.LogFile(),
		"from its CustomResourceDefinitions "+definition, "kubectl clusterimport migrate", "kubectl delete crd "+definition))
	if service := text(h.apiService(t), "spec", "service", "name"); service != "" {
		t.Errorf("the APIService leads to %s", service)
	}

	h.kubectl(t, "delete", "crd", definition)
	eventually(t, "the server goes on by itself", func() error {
		service, err := h.objects.Resource(apiServices).Get(t.Context(), devcluster.APIServiceName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return same("port", fmt.Sprint(field(service, "spec", "service", "port")), port)
	})
	h.eventuallyAvailable(t)
	if said := strings.Count(readLog(t, h.server.LogFile())[before:], "kubectl clusterimport migrate"); said != 1 {
		t.Errorf("the log says %d times what to do, want once", said)
	}

	// Two writers of one caBundle would never end.
	h.patch(t, h.objects.Resource(apiServices), devcluster.APIServiceName,
		`{"metadata":{"annotations":{"cert-manager.io/inject-ca-from":"a/b"}},"spec":{"versionPriority":7}}`)
	eventually(t, "the log tells of cert-manager", logs(h.server.LogFile(), "cert-manager writes its caBundle"))
	must(t, same("versionPriority", fmt.Sprint(field(h.apiService(t), "spec", "versionPriority")), "7"))
	h.kubectl(t, "annotate", "apiservice", devcluster.APIServiceName, "cert-manager.io/inject-ca-from-")
	eventually(t, "the APIService is kept again", func() error {
		return same("versionPriority", fmt.Sprint(field(h.apiService(t), "spec", "versionPriority")), "15")
	})

	// Another server of the group is not pushed aside either.
	h.patch(t, h.objects.Resource(apiServices), devcluster.APIServiceName, `{"spec":{"versionPriority":7,"service":{"name":"another"}}}`)
	eventually(t, "the log names the other Service", logs(h.server.LogFile(), "leads to the Service clusterpedia-system/another"))
	must(t, same("service", text(h.apiService(t), "spec", "service", "name"), "another"))
	must(t, same("versionPriority", fmt.Sprint(field(h.apiService(t), "spec", "versionPriority")), "7"))
}

func TestACertificateFromElsewhereIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		t.Helper()
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file+".new", content, 0o600))
		must(t, os.Rename(file+".new", file))
		return file
	}
	firstCertificate, firstCA, firstKey := newPair(t)
	secondCertificate, secondCA, secondKey := newPair(t)
	certificate := []string{
		"--tls-cert-file=" + write("tls.crt", firstCertificate),
		"--tls-private-key-file=" + write("tls.key", firstKey),
	}
	h := startRegisteringHost(t, append(certificate, "--apiservice-ca-file="+write("ca.crt", firstCA))...)
	port := h.servicePort(t)
	must(t, serves(port, firstCertificate)())
	must(t, same("caBundle", h.caBundle(t), string(firstCA)))

	stop := h.askAllTheTime(t, port)
	both := append(append([]byte{}, firstCA...), secondCA...)
	write("ca.crt", both)
	eventually(t, "the caBundle follows its file", func() error { return same("caBundle", h.caBundle(t), string(both)) })
	write("tls.key", secondKey)
	write("tls.crt", secondCertificate)
	within(t, 2*time.Minute, "the certificate follows its file", serves(port, secondCertificate))
	stop()
	h.eventuallyAvailable(t)

	// Without the file the caBundle belongs to others, and only that.
	server, err := h.StartServer(t.Context(), devcluster.ServerOptions{Manifests: artifacts + "/deploy/base", SelfRegister: true, Args: certificate})
	must(t, err)
	h.server = server
	h.patch(t, h.objects.Resource(apiServices), devcluster.APIServiceName,
		`{"spec":{"caBundle":"`+base64.StdEncoding.EncodeToString(secondCA)+`","service":{"port":1}}}`)
	eventually(t, "the port is put back", func() error {
		return same("port", fmt.Sprint(field(h.apiService(t), "spec", "service", "port")), port)
	})
	must(t, same("caBundle", h.caBundle(t), string(secondCA)))
	h.eventuallyAvailable(t)
}

func TestReplicasThatStartTogetherAgreeOnOneCertificate(t *testing.T) {
	const replicas = 8
	shared.kubectl(t, "create", "namespace", "together")
	registrars := make([]*registration.Registrar, replicas)
	errs := make([]error, replicas)
	var all sync.WaitGroup
	for i := range replicas {
		registrar, err := registration.New(registration.Config{
			Host:     shared.Config(),
			Service:  types.NamespacedName{Namespace: "together", Name: "policy-apiserver"},
			Port:     443,
			Validity: time.Hour,
		})
		must(t, err)
		registrars[i] = registrar
		all.Go(func() { errs[i] = registrar.AwaitCertificate(t.Context()) })
	}
	all.Wait()
	must(t, errors.Join(errs...))
	secret, err := shared.objects.Resource(secrets).Namespace("together").Get(t.Context(), registration.SecretName, metav1.GetOptions{})
	must(t, err)
	for _, registrar := range registrars {
		certificate, _ := registrar.ServingCertificate().CurrentCertKeyContent()
		must(t, same("certificate", base64.StdEncoding.EncodeToString(certificate), text(secret, "data", "tls.crt")))
	}
}

// replica is another process of the server, on the same host but with an etcd
// of its own.
type replica struct {
	port, log string
	process   *exec.Cmd
	ended     chan struct{}
}

// startReplica starts a replica that registers the port of the first one.
func (h *host) startReplica(t *testing.T, servicePort string, flags ...string) *replica {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	must(t, listener.Close())

	dir, err := os.MkdirTemp(h.dir, "replica-")
	must(t, err)
	r := &replica{port: port, log: dir + "/log", ended: make(chan struct{})}
	log, err := os.Create(r.log)
	must(t, err)
	defer log.Close()
	r.process = exec.Command(binDir+"/policy-apiserver", append([]string{
		"--kubeconfig=" + filepath.Join(h.dir, "policy-apiserver.kubeconfig"),
		"--bind-address=127.0.0.1",
		"--secure-port=" + port,
		"--embedded-etcd-dir=" + dir + "/etcd",
		"--register-apiservice",
		"--service-port=" + servicePort,
	}, flags...)...)
	r.process.Stdout, r.process.Stderr = log, log
	must(t, r.process.Start())
	go func() {
		defer close(r.ended)
		_ = r.process.Wait() // its log tells the reason
	}()
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r *replica) stop(t *testing.T) {
	t.Helper()
	select {
	case <-r.ended:
		return
	default:
	}
	must(t, r.process.Process.Signal(syscall.SIGTERM))
	<-r.ended
}

// askAllTheTime lists policies through the aggregator, and connects to each port
// anew as the aggregator would, until the returned function is called, which
// fails the test if anything has failed.
func (h *host) askAllTheTime(t *testing.T, ports ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var errs []error
	answered := 0
	ask := func() error {
		if _, err := h.policy.PolicyV1alpha1().ClusterImportPolicies().List(t.Context(), metav1.ListOptions{}); err != nil {
			return err
		}
		service, err := h.objects.Resource(apiServices).Get(t.Context(), devcluster.APIServiceName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		bundle, err := base64.StdEncoding.DecodeString(text(service, "spec", "caBundle"))
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(bundle)
		for _, port := range ports {
			if _, err := connect(port, &tls.Config{RootCAs: roots, ServerName: devcluster.ServiceName + "." + devcluster.Namespace + ".svc"}); err != nil {
				return err
			}
		}
		return nil
	}
	var running sync.WaitGroup
	running.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
			if err := ask(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", time.Now().Format(time.TimeOnly), err))
			} else {
				answered++
			}
		}
	})
	return func() {
		t.Helper()
		cancel()
		running.Wait()
		if len(errs) > 0 || answered == 0 {
			t.Errorf("%d times all was answered and %d times not: %v", answered, len(errs), errors.Join(errs...))
		}
	}
}

func (h *host) apiService(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	service, err := h.objects.Resource(apiServices).Get(t.Context(), devcluster.APIServiceName, metav1.GetOptions{})
	must(t, err)
	return service
}

func (h *host) service(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	service, err := h.objects.Resource(services).Namespace(devcluster.Namespace).Get(t.Context(), devcluster.ServiceName, metav1.GetOptions{})
	must(t, err)
	return service
}

func (h *host) servicePort(t *testing.T) string {
	t.Helper()
	return fmt.Sprint(field(h.apiService(t), "spec", "service", "port"))
}

func (h *host) caBundle(t *testing.T) string {
	t.Helper()
	bundle, err := base64.StdEncoding.DecodeString(text(h.apiService(t), "spec", "caBundle"))
	must(t, err)
	return string(bundle)
}

func (h *host) servingSecret(t *testing.T) map[string][]byte {
	t.Helper()
	data, err := h.readSecret(t.Context())
	must(t, err)
	return data
}

func (h *host) readSecret(ctx context.Context) (map[string][]byte, error) {
	secret, err := h.objects.Resource(secrets).Namespace(devcluster.Namespace).Get(ctx, registration.SecretName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	encoded, _, err := unstructured.NestedStringMap(secret.Object, "data")
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for key, value := range encoded {
		if data[key], err = base64.StdEncoding.DecodeString(value); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// eventuallyAvailable waits until the aggregator reaches whoever serves the group.
func (h *host) eventuallyAvailable(t *testing.T) {
	t.Helper()
	eventually(t, "the group is available", func() error {
		_, err := h.Kubectl(t.Context(), nil, "wait", "--for=condition=Available", "--timeout=5s", "apiservice/"+devcluster.APIServiceName)
		if err != nil {
			return err
		}
		_, err = h.Kubectl(t.Context(), nil, "get", "clusterimportpolicies")
		return err
	})
}

// logs returns an error as long as the log does not have every one of the parts.
func logs(file string, parts ...string) func() error {
	return func() error {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if !strings.Contains(string(content), part) {
				return fmt.Errorf("no %q in %s", part, file)
			}
		}
		return nil
	}
}

func readLog(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	return string(content)
}

// served returns the certificate that a process on loopback serves with.
func served(port string) (*x509.Certificate, error) {
	return connect(port, &tls.Config{InsecureSkipVerify: true}) // which certificate it is gets checked
}

// connect returns the certificate that a new connection is served with.
func connect(port string, config *tls.Config) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// serves returns an error as long as another certificate is served.
func serves(port string, certificate []byte) func() error {
	return func() error {
		got, err := served(port)
		if err != nil {
			return err
		}
		want, err := certutil.ParseCertsPEM(certificate)
		if err != nil {
			return err
		}
		if !got.Equal(want[0]) {
			return fmt.Errorf("port %s serves another certificate, valid until %s", port, got.NotAfter)
		}
		return nil
	}
}

func certificates(t *testing.T, text []byte) []*x509.Certificate {
	t.Helper()
	all, err := certutil.ParseCertsPEM(text)
	must(t, err)
	return all
}

// newPair returns a certificate for the Service, its authority and its key in PEM.
func newPair(t *testing.T) (certificate, authority, key []byte) {
	t.Helper()
	chain, key, err := certutil.GenerateSelfSignedCertKey(devcluster.ServiceName+"."+devcluster.Namespace+".svc",
		[]net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"})
	must(t, err)
	all := certificates(t, chain)
	return chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: all[len(all)-1].Raw}), key
}

func field(object *unstructured.Unstructured, path ...string) any {
	value, _, _ := unstructured.NestedFieldNoCopy(object.Object, path...)
	return value
}
