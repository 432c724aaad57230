package app

import (
	"context"
	"errors"
	"fmt"
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
	etcdAttempt = 5 * time.Second
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
	client, err := clientv3.New(clientv3.Config{Endpoints: config.ServerList, TLS: tlsConfig, Logger: zap.NewNop()})
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
				last = err
				klog.FromContext(ctx).V(2).Info("The etcd does not answer yet", "endpoint", endpoint, "err", err)
				continue
			}
			return true, checkVersion(endpoint, status.Version)
		}
		return false, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("--etcd-servers %s: no answer within %s: %w", where, etcdTimeout, errors.Join(last, ctx.Err()))
	}
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
