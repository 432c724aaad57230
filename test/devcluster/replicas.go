package devcluster

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"syscall"

	"k8s.io/client-go/rest"
)

// Replica is one of several policy-apiservers that serve the same API, behind a
// Service, with an etcd outside of them.
type Replica struct {
	Name string
	// Port is where it serves on loopback, behind the Service.
	Port    int
	cluster *Cluster
	command command
}

// ReplicaOptions says how a replica is started.
type ReplicaOptions struct {
	// Name tells replicas apart: in the names of their logs, and to the host as
	// their user agent.
	Name string
	// Binary is the one in BinDir that runs; policy-apiserver when empty.
	Binary string
	// Args are added to the flags that every replica gets.
	Args []string
}

// StartReplica starts a replica and returns when it is ready. The Service does
// not lead to it before it is told to.
func (c *Cluster) StartReplica(ctx context.Context, storage *Storage, options ReplicaOptions) (*Replica, error) {
	port, err := c.port(options.Name, options.Name)
	if err != nil {
		return nil, err
	}
	replica := &Replica{Name: options.Name, Port: port, cluster: c, command: command{
		name:   options.Name,
		binary: c.binary(cmp.Or(options.Binary, policyServer)),
		args: append([]string{
			"--kubeconfig=" + c.path(policyServer+".kubeconfig"),
			"--bind-address=" + loopback,
			fmt.Sprintf("--secure-port=%d", port),
			"--tls-cert-file=" + c.pki(policyServer+"-serving.crt"),
			"--tls-private-key-file=" + c.pki(policyServer+"-serving.key"),
			storage.Flag(),
		}, options.Args...),
	}}
	replica.command.ready = func(ctx context.Context) error { return get(ctx, replica.config(), "/readyz") }
	return replica, replica.Start(ctx)
}

// Start starts the replica again and returns when it is ready.
func (r *Replica) Start(ctx context.Context) error { return r.cluster.ensure(ctx, r.command) }

// Stop asks the replica to end (SIGTERM) and waits until it has.
func (r *Replica) Stop(ctx context.Context) error { return r.process().end(ctx) }

// Kill ends the replica without a chance to clean up (SIGKILL).
func (r *Replica) Kill() error { return r.process().kill() }

// Pause stops the replica in the middle of whatever it does, until Resume.
func (r *Replica) Pause() error { return r.process().signal(syscall.SIGSTOP) }

// Resume lets a paused replica go on.
func (r *Replica) Resume() error { return r.process().signal(syscall.SIGCONT) }

// Running reports whether the replica's process lives, be it paused or not.
func (r *Replica) Running() bool { return r.process().alive() }

// LogFile is the path of the replica's log.
func (r *Replica) LogFile() string { return r.cluster.LogFile(r.Name) }

func (r *Replica) process() *process { return r.cluster.state.Processes[r.Name] }

func (r *Replica) config() *rest.Config {
	return &rest.Config{
		Host:            fmt.Sprintf("https://%s:%d", loopback, r.Port),
		TLSClientConfig: rest.TLSClientConfig{CAFile: r.cluster.pki(extensionCA + ".crt")},
	}
}

// Storage is an etcd of several members, for replicas.
type Storage struct {
	cluster   *Cluster
	members   []command
	endpoints []string
}

// StartStorage starts an etcd of that many members and returns when it has a
// leader.
func (c *Cluster) StartStorage(ctx context.Context, members int) (*Storage, error) {
	storage := &Storage{cluster: c}
	var names, peers, initial []string
	for i := range members {
		name := fmt.Sprintf("storage-%d", i)
		client, err := c.port(name, name)
		if err != nil {
			return nil, err
		}
		peer, err := c.port(name+"-peer", name)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		storage.endpoints = append(storage.endpoints, fmt.Sprintf("http://%s:%d", loopback, client))
		peers = append(peers, fmt.Sprintf("http://%s:%d", loopback, peer))
		initial = append(initial, name+"="+peers[i])
	}
	for i, name := range names {
		args := []string{
			"--name=" + name,
			"--data-dir=" + c.path(name),
			"--listen-client-urls=" + storage.endpoints[i],
			"--advertise-client-urls=" + storage.endpoints[i],
			"--listen-peer-urls=" + peers[i],
			"--initial-advertise-peer-urls=" + peers[i],
			"--initial-cluster=" + strings.Join(initial, ","),
		}
		if c.options.UnsafeNoFsync {
			args = append(args, "--unsafe-no-fsync")
		}
		storage.members = append(storage.members, command{
			name:   name,
			binary: c.binary(etcd),
			args:   args,
			// Alone it has no leader, and is not healthy.
			ready: func(context.Context) error { return nil },
		})
		if err := storage.Start(ctx, i); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, endpoint := range storage.endpoints {
		err := poll(ctx, func(ctx context.Context) error { return get(ctx, &rest.Config{Host: endpoint}, "/health") })
		if err != nil {
			return nil, fmt.Errorf("waiting for the members of the storage: %w", err)
		}
	}
	return storage, nil
}

// Flag has a server use this storage.
func (s *Storage) Flag() string { return "--etcd-servers=" + strings.Join(s.endpoints, ",") }

// Start starts a member on the data it left. It serves once a majority does.
func (s *Storage) Start(ctx context.Context, member int) error {
	return s.cluster.ensure(ctx, s.members[member])
}

// Kill ends a member without a chance to clean up (SIGKILL).
func (s *Storage) Kill(member int) error {
	return s.cluster.state.Processes[s.members[member].name].kill()
}
