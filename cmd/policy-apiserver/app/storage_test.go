package app

import (
	"context"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"k8s.io/apiserver/pkg/storage/etcd3/testserver"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// await waits for the etcd, not as long as the server does.
func await(t *testing.T, config storagebackend.TransportConfig) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return awaitEtcd(ctx, config)
}

func certificate(t *testing.T) transport.TLSInfo {
	t.Helper()
	info, err := transport.SelfCert(zap.NewNop(), t.TempDir(), []string{"127.0.0.1:0"}, 1, x509.ExtKeyUsageClientAuth)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestAnEtcdThatCannotBeUsedIsToldWithTheReason(t *testing.T) {
	own, stranger := certificate(t), certificate(t)
	config := testserver.NewTestConfig(t)
	config.ListenClientUrls[0].Scheme, config.ListenClientUrls[0].Host = "https", "127.0.0.1:"+config.ListenClientUrls[0].Port()
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ClientTLSInfo = transport.TLSInfo{CertFile: own.CertFile, KeyFile: own.KeyFile, TrustedCAFile: own.CertFile, ClientCertAuth: true}
	testserver.RunEtcd(t, config)
	server := []string{config.ListenClientUrls[0].String()}

	good := storagebackend.TransportConfig{ServerList: server, TrustedCAFile: own.CertFile, CertFile: own.CertFile, KeyFile: own.KeyFile}
	if err := await(t, good); err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := "http://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		config storagebackend.TransportConfig
		want   string
	}{
		"a certificate of another authority": {storagebackend.TransportConfig{
			ServerList: server, TrustedCAFile: own.CertFile, CertFile: stranger.CertFile, KeyFile: stranger.KeyFile}, "tls: "},
		"no certificate": {storagebackend.TransportConfig{ServerList: server, TrustedCAFile: own.CertFile}, "tls: "},
		"another authority for the server": {storagebackend.TransportConfig{
			ServerList: server, TrustedCAFile: stranger.CertFile, CertFile: own.CertFile, KeyFile: own.KeyFile}, "x509: "},
		"a key that is not there": {storagebackend.TransportConfig{
			ServerList: server, TrustedCAFile: own.CertFile, CertFile: own.CertFile, KeyFile: "/does/not/exist"}, "/does/not/exist"},
		"nobody listens": {storagebackend.TransportConfig{ServerList: []string{silent}}, "connection refused"},
	} {
		err := await(t, test.config)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "--etcd-") {
			t.Errorf("%s: %v", name, err)
		}
	}

	if err := await(t, storagebackend.TransportConfig{ServerList: append([]string{silent}, server...),
		TrustedCAFile: own.CertFile, CertFile: own.CertFile, KeyFile: own.KeyFile}); err != nil {
		t.Errorf("one of two that answers: %v", err)
	}
}

// ancient answers as an etcd of 2019 does; no such etcd can be built here.
type ancient struct {
	etcdserverpb.UnimplementedMaintenanceServer
}

func (ancient) Status(context.Context, *etcdserverpb.StatusRequest) (*etcdserverpb.StatusResponse, error) {
	return &etcdserverpb.StatusResponse{Version: "3.4.3"}, nil
}

func TestAnEtcdThatIsTooOldIsRefusedWithItsVersion(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	etcdserverpb.RegisterMaintenanceServer(server, ancient{})
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	err = await(t, storagebackend.TransportConfig{ServerList: []string{"http://" + listener.Addr().String()}})
	if err == nil || !strings.Contains(err.Error(), "is of version 3.4.3, and 3.5 or newer is needed") {
		t.Errorf("%v", err)
	}
}
