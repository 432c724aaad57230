package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"
)

const (
	// etcdTimeout is how long the start waits for an external etcd. A pod that
	// ends with the reason is seen; one that waits in silence is not.
	etcdTimeout = 20 * time.Second
	// etcdAttempt bounds one request to it.
	etcdAttempt = 2 * time.Second
)

// oldestEtcd is what k8s.io/apiserver still works with.
var oldestEtcd = semver.Version{Major: 3, Minor: 5}

// awaitEtcd returns when the external etcd answers, and an error with the
// reason when it does not in time. The storage of the generic server would say
// only that a deadline was exceeded.
func awaitEtcd(ctx context.Context, config storagebackend.TransportConfig) error {
	where := strings.Join(config.ServerList, ",")
	info := transport.TLSInfo{CertFile: config.CertFile, KeyFile: config.KeyFile, TrustedCAFile: config.TrustedCAFile, Logger: zap.NewNop()}
	tlsConfig, err := info.ClientConfig()
	if err != nil {
		return fmt.Errorf("--etcd-cafile, --etcd-certfile and --etcd-keyfile: %w", err)
	}
	if info.Empty() && info.TrustedCAFile == "" {
		tlsConfig = nil
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: config.ServerList,
		TLS:       tlsConfig,
		Logger:    zap.NewNop(),
	})
	if err != nil {
		return fmt.Errorf("--etcd-servers %s: %w", where, err)
	}
	defer func() { _ = client.Close() }()

	var last error
	err = wait.PollUntilContextTimeout(ctx, time.Second, etcdTimeout, true, func(ctx context.Context) (bool, error) {
		for _, endpoint := range config.ServerList {
			attempt, cancel := context.WithTimeout(ctx, etcdAttempt)
			status, err := client.Status(attempt, endpoint)
			cancel()
			if err != nil {
				if reason := diagnose(ctx, endpoint, tlsConfig); reason != nil {
					err = reason
				}
				if last == nil || ctx.Err() == nil { // the end of the wait is no reason
					last = err
				}
				klog.FromContext(ctx).V(2).Info("The etcd does not answer yet", "endpoint", endpoint, "err", last)
				continue
			}
			return true, checkVersion(endpoint, status.Version)
		}
		return false, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("--etcd-servers %s: no answer within %s: %w", where, etcdTimeout, last)
	}
	return err
}

// diagnose returns why there is no connection to the endpoint, or nil if there
// is one. The client of etcd knows only that it has waited, and an etcd that
// refuses a certificate says so after the handshake.
func diagnose(ctx context.Context, endpoint string, config *tls.Config) error {
	address, err := url.Parse(endpoint)
	if err != nil || address.Host == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, etcdAttempt)
	defer cancel()
	var connection net.Conn
	if address.Scheme == "https" {
		if config = config.Clone(); config == nil {
			config = &tls.Config{}
		}
		config.NextProtos = []string{"h2"}
		connection, err = (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address.Host)
	} else {
		connection, err = (&net.Dialer{}).DialContext(ctx, "tcp", address.Host)
	}
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	// One that accepts the certificate speaks first; one that does not, closes.
	_, err = connection.Read(make([]byte, 1))
	return err
}

func checkVersion(endpoint, text string) error {
	version, err := semver.NewVersion(text)
	if err != nil {
		return fmt.Errorf("--etcd-servers: %s says that it is of version %q: %w", endpoint, text, err)
	}
	if version.LessThan(oldestEtcd) {
		return fmt.Errorf("--etcd-servers: the etcd at %s is of version %s, and %d.%d or newer is needed", endpoint, version, oldestEtcd.Major, oldestEtcd.Minor)
	}
	return nil
}
