// Package devcluster runs a Kubernetes control plane on loopback: etcd,
// kube-apiserver and kube-controller-manager as separate processes, and the
// policy-apiserver registered with them the way it is in production: through an
// APIService with a verified certificate, as a ServiceAccount that has the
// permissions of artifacts/deploy/base and no others.
//
// The quickstart runs it detached: processes outlive the command that started
// them and are found again through a state file. Tests run it attached:
// processes end with the test.
package devcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	loopback = "127.0.0.1"

	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	policyServer      = "policy-apiserver"

	// startTimeout is how long one process may take to become ready.
	startTimeout = 2 * time.Minute
)

// Options says where a cluster lives and how long.
type Options struct {
	// Dir holds everything of the cluster: data, certificates, kubeconfig,
	// logs and the state file.
	Dir string
	// BinDir holds the binaries that `make host-binaries build` makes.
	BinDir string
	// Detached processes outlive this one, until Down is called for Dir.
	Detached bool
	// UnsafeNoFsync spares etcd, and that of StartStorage, the wait for the disk. The data is lost when
	// the machine stops, which a test does not mind.
	UnsafeNoFsync bool
	// APIServerArgs are added to the flags of kube-apiserver.
	APIServerArgs []string
	// Progress, when set, is told in a sentence what was started.
	Progress io.Writer
}

// Cluster is a running control plane. Its methods are not safe for use by
// several goroutines at once, except Config, Kubeconfig and Kubectl.
type Cluster struct {
	options Options
	state   state
}

// Start brings the control plane up and returns when it serves. Processes of
// Dir that run already are kept, unless their binary or flags have changed. If
// it fails, what it has started is stopped again.
func Start(ctx context.Context, options Options) (_ *Cluster, err error) {
	for _, dir := range []*string{&options.Dir, &options.BinDir} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Join(options.Dir, "logs"), 0o700); err != nil {
		return nil, err
	}
	c := &Cluster{options: options}
	if c.state, err = loadState(options.Dir); err != nil {
		return nil, err
	}
	if err := ensurePKI(c.path("pki")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && !options.Detached {
			err = errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := c.startEtcd(ctx); err != nil {
		return nil, err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return nil, err
	}
	if err := c.StartControllerManager(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Stop ends every process of the cluster, the last started first.
func (c *Cluster) Stop(ctx context.Context) error { return c.state.stopAll(ctx, c.options.Dir) }

// Down ends every process of the detached cluster in dir and returns how many
// were running. Data, certificates and logs stay, for the next Start.
func Down(ctx context.Context, dir string) (int, error) {
	state, err := loadState(dir)
	if err != nil {
		return 0, err
	}
	running := 0
	for _, p := range state.Processes {
		if p.alive() {
			running++
		}
	}
	return running, state.stopAll(ctx, dir)
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// Config returns the administrator's client configuration, without a rate limit.
func (c *Cluster) Config() *rest.Config {
	return &rest.Config{
		Host: fmt.Sprintf("https://%s:%d", loopback, c.state.Ports[apiServer]),
		TLSClientConfig: rest.TLSClientConfig{
			CAFile:   c.pki(servingCA + ".crt"),
			CertFile: c.pki(admin + ".crt"),
			KeyFile:  c.pki(admin + ".key"),
		},
		QPS: -1,
	}
}

// PIDs returns the process id of every program that was started, by its name.
func (c *Cluster) PIDs() map[string]int {
	pids := map[string]int{}
	for name, p := range c.state.Processes {
		pids[name] = p.PID
	}
	return pids
}

// LogFile is the path of the log of kube-apiserver, kube-controller-manager,
// etcd or policy-apiserver.
func (c *Cluster) LogFile(name string) string { return c.path("logs", name+".log") }

// StopControllerManager takes the garbage collector (and the other controllers) away.
func (c *Cluster) StopControllerManager(ctx context.Context) error {
	return c.state.Processes[controllerManager].end(ctx)
}

// RestartAPIServer stops kube-apiserver and starts it again on the same data and port.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	if err := c.state.Processes[apiServer].end(ctx); err != nil {
		return err
	}
	return c.startAPIServer(ctx)
}

func (c *Cluster) startEtcd(ctx context.Context) error {
	client, err := c.port(etcd, etcd)
	if err != nil {
		return err
	}
	peer, err := c.port(etcd+"-peer", etcd)
	if err != nil {
		return err
	}
	clientURL := fmt.Sprintf("http://%s:%d", loopback, client)
	peerURL := fmt.Sprintf("http://%s:%d", loopback, peer)
	args := []string{
		"--name=default",
		"--data-dir=" + c.path("etcd"),
		"--listen-client-urls=" + clientURL,
		"--advertise-client-urls=" + clientURL,
		"--listen-peer-urls=" + peerURL,
		"--initial-advertise-peer-urls=" + peerURL,
		"--initial-cluster=default=" + peerURL,
		"--quota-backend-bytes=4294967296",
		"--auto-compaction-mode=periodic",
		"--auto-compaction-retention=5m",
	}
	if c.options.UnsafeNoFsync {
		args = append(args, "--unsafe-no-fsync")
	}
	return c.ensure(ctx, command{
		name:   etcd,
		binary: c.binary(etcd),
		args:   args,
		ready: func(ctx context.Context) error {
			return get(ctx, &rest.Config{Host: clientURL}, "/health")
		},
	})
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	port, err := c.port(apiServer, apiServer)
	if err != nil {
		return err
	}
	for user, file := range map[string]string{
		admin:             c.Kubeconfig(),
		controllerManager: c.path(controllerManager + ".kubeconfig"),
		policyServer:      c.path(policyServer + ".kubeconfig"),
	} {
		if err := c.writeKubeconfig(file, user); err != nil {
			return err
		}
	}
	config := c.Config()
	return c.ensure(ctx, command{
		name:   apiServer,
		binary: c.binary(apiServer),
		args: append([]string{
			"--bind-address=" + loopback,
			"--advertise-address=" + loopback,
			fmt.Sprintf("--secure-port=%d", port),
			"--endpoint-reconciler-type=none",
			"--service-cluster-ip-range=10.0.0.0/24",
			fmt.Sprintf("--etcd-servers=http://%s:%d", loopback, c.state.Ports[etcd]),
			"--authorization-mode=Node,RBAC",
			"--tls-cert-file=" + c.pki(serving+".crt"),
			"--tls-private-key-file=" + c.pki(serving+".key"),
			"--client-ca-file=" + c.pki(clientCA+".crt"),
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-signing-key-file=" + c.pki(signer+".key"),
			"--service-account-key-file=" + c.pki(signer+".pub"),
			// What follows is the aggregator: how an extension server knows
			// it, and how it says for whom it asks.
			"--requestheader-client-ca-file=" + c.pki(proxyCA+".crt"),
			"--requestheader-allowed-names=" + proxyClient,
			"--requestheader-username-headers=X-Remote-User",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + c.pki(proxyClient+".crt"),
			"--proxy-client-key-file=" + c.pki(proxyClient+".key"),
		}, c.options.APIServerArgs...),
		ready: func(ctx context.Context) error {
			if err := get(ctx, config, "/readyz"); err != nil {
				return err
			}
			// Made by kube-apiserver itself, a moment after it is ready.
			return get(ctx, config, "/api/v1/namespaces/default")
		},
	})
}

// StartControllerManager starts the controllers that a host of the
// policy-apiserver has: the garbage collector, and those for namespaces,
// ServiceAccounts and their tokens, aggregated ClusterRoles and endpoints.
func (c *Cluster) StartControllerManager(ctx context.Context) error {
	port, err := c.port(controllerManager, controllerManager)
	if err != nil {
		return err
	}
	kubeconfig := c.path(controllerManager + ".kubeconfig")
	return c.ensure(ctx, command{
		name:   controllerManager,
		binary: c.binary(controllerManager),
		args: []string{
			"--bind-address=" + loopback,
			fmt.Sprintf("--secure-port=%d", port),
			"--tls-cert-file=" + c.pki(serving+".crt"),
			"--tls-private-key-file=" + c.pki(serving+".key"),
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--root-ca-file=" + c.pki(servingCA+".crt"),
			"--service-account-private-key-file=" + c.pki(signer+".key"),
			"--leader-elect=false",
			// Without it the garbage collector may not touch custom resources.
			"--use-service-account-credentials=true",
			"--controllers=garbage-collector-controller,namespace-controller,serviceaccount-controller,serviceaccount-token-controller," +
				"root-ca-certificate-publisher-controller,clusterrole-aggregation-controller,endpointslice-controller",
		},
		ready: func(ctx context.Context) error {
			return get(ctx, &rest.Config{
				Host:            fmt.Sprintf("https://%s:%d", loopback, port),
				TLSClientConfig: rest.TLSClientConfig{CAFile: c.pki(servingCA + ".crt")},
			}, "/healthz")
		},
	})
}

// ensure returns when the command runs and is ready: it is started unless it
// runs already, and started again if its binary or flags have changed.
func (c *Cluster) ensure(ctx context.Context, command command) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	began := time.Now()
	fingerprint, err := command.fingerprint()
	if err != nil {
		return err
	}
	running := c.state.Processes[command.name]
	if running.alive() && running.Fingerprint == fingerprint {
		return running.waitUntilReady(ctx, command.ready)
	}
	if running.alive() {
		if err := running.end(ctx); err != nil {
			return err
		}
	}
	started, err := command.start(fingerprint, c.LogFile(command.name), c.options.Detached)
	if err != nil {
		return err
	}
	c.state.Processes[command.name] = started
	if err := c.state.save(c.options.Dir); err != nil {
		return errors.Join(err, started.kill())
	}
	if err := started.waitUntilReady(ctx, command.ready); err != nil {
		return err
	}
	c.progress("%s is ready (%.1fs)", command.name, time.Since(began).Seconds())
	return nil
}

// port returns the port of that name: the one it had before if its owner still
// listens there or it is free, else another.
func (c *Cluster) port(name, owner string) (int, error) {
	port := c.state.Ports[name]
	if c.state.Processes[owner].alive() {
		return port, nil
	}
	delete(c.state.Ports, name)
	port, err := choosePort(port, c.state.Ports)
	if err != nil {
		return 0, err
	}
	c.state.Ports[name] = port
	return port, nil
}

func (c *Cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.options.Dir}, elements...)...)
}

func (c *Cluster) pki(file string) string { return c.path("pki", file) }

func (c *Cluster) binary(name string) string { return filepath.Join(c.options.BinDir, name) }

func (c *Cluster) progress(format string, args ...any) {
	if c.options.Progress != nil {
		fmt.Fprintf(c.options.Progress, format+"\n", args...)
	}
}

// writeKubeconfig writes a kubeconfig with the certificates inside, so that it
// can be copied elsewhere.
func (c *Cluster) writeKubeconfig(file, user string) error {
	contents := map[string][]byte{}
	for _, name := range []string{servingCA + ".crt", user + ".crt", user + ".key"} {
		text, err := os.ReadFile(c.pki(name))
		if err != nil {
			return err
		}
		contents[name] = text
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["devcluster"] = &clientcmdapi.Cluster{
		Server:                   c.Config().Host,
		CertificateAuthorityData: contents[servingCA+".crt"],
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificateData: contents[user+".crt"],
		ClientKeyData:         contents[user+".key"],
	}
	config.Contexts["devcluster"] = &clientcmdapi.Context{Cluster: "devcluster", AuthInfo: user}
	config.CurrentContext = "devcluster"
	return clientcmd.WriteToFile(*config, file)
}

// get fails unless the path answers 200.
func get(ctx context.Context, config *rest.Config, path string) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+path, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", path, response.Status, body)
	}
	return nil
}

// state is what has to be known of a cluster to find it again.
type state struct {
	Ports     map[string]int      `json:"ports"`
	Processes map[string]*process `json:"processes"`
}

func stateFile(dir string) string { return filepath.Join(dir, "state.json") }

func loadState(dir string) (state, error) {
	s := state{Ports: map[string]int{}, Processes: map[string]*process{}}
	text, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s is damaged: %w", relative(stateFile(dir)), err)
	}
	return s, nil
}

// save replaces the state file in one step.
func (s state) save(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	partial := stateFile(dir) + ".partial"
	if err := os.WriteFile(partial, text, 0o600); err != nil {
		return err
	}
	return os.Rename(partial, stateFile(dir))
}

func (s state) stopAll(ctx context.Context, dir string) error {
	var errs []error
	last := []string{policyServer, controllerManager, apiServer, etcd}
	replicas := slices.Collect(maps.Keys(s.Processes)) // of the policy-apiserver, and their storage
	replicas = slices.DeleteFunc(replicas, func(name string) bool { return slices.Contains(last, name) })
	slices.Sort(replicas)
	for _, name := range append(replicas, last...) {
		if p := s.Processes[name]; p != nil {
			errs = append(errs, p.end(ctx))
			delete(s.Processes, name)
		}
	}
	if len(s.Ports) > 0 {
		errs = append(errs, s.save(dir))
	}
	return errors.Join(errs...)
}

// Lock keeps other commands away from the cluster in dir until it is released
// or this process ends.
func Lock(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another command is working on %s: %w", relative(dir), err), file.Close())
	}
	return file.Close, nil
}
