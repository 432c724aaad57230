package devcluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// The names under which artifacts/deploy/base installs the server.
const (
	Namespace          = "clusterpedia-system"
	ServiceName        = "policy-apiserver"
	ServiceAccountName = "policy-apiserver"
	APIServiceName     = "v1alpha1.policy.clusterpedia.io"
)

// ServerOptions says how the policy-apiserver is started.
type ServerOptions struct {
	// Manifests is the folder artifacts/deploy/base of the repository.
	Manifests string
	// Args are added to the flags that every server of a cluster gets.
	Args []string
	// SelfRegister leaves the APIService and the certificate to the server.
	SelfRegister bool
}

// Server is the policy-apiserver of a cluster.
type Server struct {
	cluster *Cluster
	command command
	config  *rest.Config
}

// StartServer installs the manifests, starts the policy-apiserver and returns
// when kube-apiserver reaches it through the aggregator. As with Start, a server
// that runs already is kept unless its binary or flags have changed.
func (c *Cluster) StartServer(ctx context.Context, options ServerOptions) (*Server, error) {
	port, err := c.port(policyServer, policyServer)
	if err != nil {
		return nil, err
	}
	if err := c.install(ctx, options, port); err != nil {
		return nil, err
	}
	how := []string{
		"--tls-cert-file=" + c.pki(policyServer+"-serving.crt"),
		"--tls-private-key-file=" + c.pki(policyServer+"-serving.key"),
	}
	tls := rest.TLSClientConfig{CAFile: c.pki(extensionCA + ".crt")}
	if options.SelfRegister {
		how = []string{"--register-apiservice", fmt.Sprintf("--service-port=%d", port)}
		tls = rest.TLSClientConfig{Insecure: true} // the aggregator verifies it
	}
	config := &rest.Config{Host: fmt.Sprintf("https://%s:%d", loopback, port), TLSClientConfig: tls}
	server := &Server{cluster: c, config: config, command: command{
		name:   policyServer,
		binary: c.binary(policyServer),
		args: slices.Concat([]string{
			"--kubeconfig=" + c.path(policyServer+".kubeconfig"),
			"--bind-address=" + loopback,
			fmt.Sprintf("--secure-port=%d", port),
			"--embedded-etcd-dir=" + c.path(policyServer),
			"--shutdown-delay-duration=0s", // there is no other that the Service could lead to
		}, how, options.Args),
		ready: func(ctx context.Context) error { return get(ctx, config, "/readyz") },
	}}
	return server, server.Start(ctx)
}

// Start starts the server, on the data it left, and returns when kube-apiserver
// reaches it. It does nothing while the server runs.
func (s *Server) Start(ctx context.Context) error {
	if err := s.cluster.ensure(ctx, s.command); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := poll(ctx, s.cluster.available); err != nil {
		return fmt.Errorf("the server is ready but kube-apiserver does not reach it: %w%s",
			err, s.cluster.state.Processes[policyServer].logTail())
	}
	return nil
}

// Config reaches the server itself as the administrator, for its metrics and profiles.
func (s *Server) Config() *rest.Config {
	config := rest.CopyConfig(s.config)
	config.CertFile, config.KeyFile = s.cluster.pki(admin+".crt"), s.cluster.pki(admin+".key")
	return config
}

// Stop asks the server to end (SIGTERM) and waits until it has.
func (s *Server) Stop(ctx context.Context) error { return s.process().end(ctx) }

// Kill ends the server without a chance to clean up (SIGKILL).
func (s *Server) Kill() error { return s.process().kill() }

// Running reports whether the server's process lives.
func (s *Server) Running() bool { return s.process().alive() }

// LogFile is the path of the server's log.
func (s *Server) LogFile() string { return s.cluster.LogFile(policyServer) }

func (s *Server) process() *process { return s.cluster.state.Processes[policyServer] }

// install applies the manifests, with the two changes that a server outside the
// cluster needs: its Service leads to this machine, and there is an APIService
// that names the port and the authority that the certificate comes from,
// unless the server makes its own. The StatefulSet is there too, but no
// controller that would make its pod.
func (c *Cluster) install(ctx context.Context, options ServerOptions, port int) error {
	caBundle, err := os.ReadFile(c.pki(extensionCA + ".crt"))
	if err != nil {
		return err
	}
	rendered, err := c.Kubectl(ctx, nil, "kustomize", options.Manifests)
	if err != nil {
		return err
	}
	objects, err := ParseManifest(strings.NewReader(rendered))
	if err != nil {
		return fmt.Errorf("%s: %w", relative(options.Manifests), err)
	}
	for _, object := range objects {
		if object.GetKind() == "Service" {
			object.Object["spec"] = map[string]any{
				"type":         "ExternalName",
				"externalName": "localhost",
				"ports":        []any{map[string]any{"port": int64(port), "protocol": "TCP"}},
			}
		}
	}
	list := unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
	if !options.SelfRegister {
		objects = append(objects, apiService(port, caBundle))
	}
	list.Items = objects
	text, err := json.Marshal(list.UnstructuredContent())
	if err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, bytes.NewReader(text), "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// apiService hands every request for our API to the Service.
func apiService(port int, caBundle []byte) unstructured.Unstructured {
	return unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1",
		"kind":       "APIService",
		"metadata":   map[string]any{"name": APIServiceName},
		"spec": map[string]any{
			"group":                "policy.clusterpedia.io",
			"version":              "v1alpha1",
			"groupPriorityMinimum": int64(1000),
			"versionPriority":      int64(15),
			"service":              map[string]any{"namespace": Namespace, "name": ServiceName, "port": int64(port)},
			"caBundle":             caBundle,
		},
	}}
}

// available fails unless the aggregator says that it reaches the server, and
// answers `kubectl explain` with the schema it has fetched from there.
func (c *Cluster) available(ctx context.Context) error {
	client, err := dynamic.NewForConfig(c.Config())
	if err != nil {
		return err
	}
	resource := schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	service, err := client.Resource(resource).Get(ctx, APIServiceName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := hasCondition(service, "Available"); err != nil {
		return err
	}
	return get(ctx, c.Config(), "/openapi/v3/apis/policy.clusterpedia.io/v1alpha1")
}

// WaitForTypes returns when the CustomResourceDefinitions of these names are
// established. (kubectl wait fails on one that has no conditions yet.)
func (c *Cluster) WaitForTypes(ctx context.Context, names ...string) error {
	client, err := dynamic.NewForConfig(c.Config())
	if err != nil {
		return err
	}
	definitions := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, name := range names {
		err := poll(ctx, func(ctx context.Context) error {
			definition, err := definitions.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			return hasCondition(definition, "Established")
		})
		if err != nil {
			return fmt.Errorf("waiting for the type %s: %w", name, err)
		}
	}
	return nil
}

// hasCondition fails, with the reason, unless the condition is true.
func hasCondition(object *unstructured.Unstructured, conditionType string) error {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, item := range conditions {
		condition, _ := item.(map[string]any)
		if condition["type"] != conditionType {
			continue
		}
		if condition["status"] == "True" {
			return nil
		}
		return fmt.Errorf("%s %s is not %s: %v: %v", object.GetKind(), object.GetName(), conditionType, condition["reason"], condition["message"])
	}
	return fmt.Errorf("%s %s does not say yet whether it is %s", object.GetKind(), object.GetName(), conditionType)
}

// Kubectl runs kubectl as the administrator and returns what it printed on
// stdout; what it printed on stderr is part of the error.
func (c *Cluster) Kubectl(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := c.KubectlCommand(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// KubectlCommand returns kubectl as the administrator, not started yet.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.binary("kubectl"), args...)
	// What kubectl remembers of the API goes with the cluster, not with the user.
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig(), "KUBECACHEDIR="+c.path("kubectl-cache"))
	return cmd
}

// ReadManifest returns the objects of a YAML file.
func ReadManifest(file string) ([]unstructured.Unstructured, error) {
	text, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	objects, err := ParseManifest(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", relative(file), err)
	}
	return objects, nil
}

// ParseManifest returns the objects of a YAML stream.
func ParseManifest(text io.Reader) (objects []unstructured.Unstructured, err error) {
	for decoder := yaml.NewYAMLOrJSONDecoder(text, 4096); ; {
		var object unstructured.Unstructured
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}
