package devcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// probePeriod and probeTimeout are how often the Service asks a replica whether
// it is ready, and how long it waits for the answer.
const (
	probePeriod  = 500 * time.Millisecond
	probeTimeout = 2 * time.Second
)

// Service stands in for kube-proxy, which does not work on loopback: it leads
// new connections to the replicas that say that they are ready, one after the
// other. Connections stay when a replica is no longer ready, as they do in a real
// cluster. Those to a replica that does not even answer are cut, where a real
// cluster would restart it.
type Service struct {
	cluster  *Cluster
	listener net.Listener
	stop     context.CancelFunc
	probing  context.Context
	done     sync.WaitGroup

	mu       sync.Mutex
	backends []*backend
	next     int
}

type backend struct {
	address     string
	ready       bool
	silent      int // probes without an answer, in a row
	connections map[net.Conn]struct{}
}

// StartService installs the manifests and leads the Service of the
// policy-apiserver to the replicas that Add names. It ends with the cluster.
func (c *Cluster) StartService(ctx context.Context, manifests string) (*Service, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, err
	}
	if err := c.install(ctx, ServerOptions{Manifests: manifests}, listener.Addr().(*net.TCPAddr).Port); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Service{cluster: c, listener: listener}
	s.probing, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.done.Go(s.serve)
	return s, nil
}

// Close ends the Service and its connections.
func (s *Service) Close() error {
	s.stop()
	err := s.listener.Close()
	s.mu.Lock()
	for _, b := range s.backends {
		b.cut()
	}
	s.mu.Unlock()
	s.done.Wait()
	return err
}

// Add leads connections to the replica whenever it is ready.
func (s *Service) Add(replica *Replica) error {
	config := replica.config()
	config.Timeout = probeTimeout
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	b := &backend{address: fmt.Sprintf("%s:%d", loopback, replica.Port), connections: map[net.Conn]struct{}{}}
	s.mu.Lock()
	s.backends = append(s.backends, b)
	s.mu.Unlock()
	s.done.Go(func() {
		for s.probing.Err() == nil {
			s.probed(b, client, config.Host+"/readyz")
			select {
			case <-s.probing.Done():
			case <-time.After(probePeriod):
			}
		}
	})
	return nil
}

// Available fails unless kube-apiserver reaches the API through the Service.
func (s *Service) Available(ctx context.Context) error { return s.cluster.available(ctx) }

func (s *Service) probed(b *backend, client *http.Client, url string) {
	request, err := http.NewRequestWithContext(s.probing, http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	response, err := client.Do(request)
	answered := err == nil
	ready := answered && response.StatusCode == http.StatusOK
	if answered {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.ready = ready
	b.silent++
	if answered {
		b.silent = 0
	}
	if b.silent >= 2 {
		b.cut()
	}
}

func (b *backend) cut() {
	for connection := range b.connections {
		_ = connection.Close()
	}
}

func (s *Service) serve() {
	for {
		connection, err := s.listener.Accept()
		if err != nil {
			return // the listener was closed
		}
		s.done.Go(func() { s.lead(connection) })
	}
}

// lead passes a connection on to a replica, or refuses it if none is ready.
func (s *Service) lead(from net.Conn) {
	defer from.Close()
	b := s.choose()
	if b == nil {
		return
	}
	to, err := net.DialTimeout("tcp", b.address, probeTimeout)
	if err != nil {
		return
	}
	defer to.Close()
	s.mu.Lock()
	b.connections[to] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(b.connections, to)
		s.mu.Unlock()
	}()
	var one sync.WaitGroup
	one.Go(func() { forward(to, from) })
	forward(from, to)
	one.Wait()
}

// forward copies until one side ends, and ends the other one.
func forward(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.(*net.TCPConn).CloseWrite()
	_ = from.(*net.TCPConn).CloseRead()
}

// choose returns a replica that is ready, nil when there is none.
func (s *Service) choose() *backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.backends {
		s.next++
		if b := s.backends[s.next%len(s.backends)]; b.ready {
			return b
		}
	}
	return nil
}
