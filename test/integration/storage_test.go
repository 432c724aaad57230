package integration

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	encryptioncontroller "k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/apiserver/pkg/storage/etcd3/testserver"

	"github.com/clusterpedia-io/policy-apiserver/cmd/policy-apiserver/app"
	"github.com/clusterpedia-io/policy-apiserver/pkg/etcd"
)

// certificate makes one for 127.0.0.1 that serves as its own authority.
func certificate(t *testing.T) transport.TLSInfo {
	t.Helper()
	info, err := transport.SelfCert(zap.NewNop(), t.TempDir(), []string{"127.0.0.1:0"}, 1, x509.ExtKeyUsageClientAuth)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// encryption is a configuration that writes with the first of the keys.
func encryption(keys ...string) []byte {
	var text strings.Builder
	text.WriteString("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n" +
		"- resources: ['*.policy.clusterpedia.io']\n  providers:\n  - secretbox:\n      keys:\n")
	for _, key := range keys {
		fmt.Fprintf(&text, "      - {name: %s, secret: %s}\n", key, map[string]string{
			"one": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
			"two": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
		}[key])
	}
	text.WriteString("  - identity: {}\n")
	return []byte(text.String())
}

func replace(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// What is written to an external etcd goes there with TLS, under the prefix,
// and encrypted: also what is not served.
func TestAnExternalEtcdHasEverythingUnderThePrefixAndEncrypted(t *testing.T) {
	const prefix, secret = "/of/our/own", "a-word-that-nobody-may-read"
	member, client := certificate(t), certificate(t)
	config := testserver.NewTestConfig(t)
	for _, listen := range [][]url.URL{config.ListenClientUrls, config.AdvertiseClientUrls} {
		listen[0].Scheme = "https"
		listen[0].Host = "127.0.0.1:" + listen[0].Port()
	}
	config.ClientTLSInfo = transport.TLSInfo{
		CertFile: member.CertFile, KeyFile: member.KeyFile, TrustedCAFile: client.CertFile, ClientCertAuth: true,
		ClientCertFile: client.CertFile, ClientKeyFile: client.KeyFile,
	}
	// The client of the test server trusts the authority of clients only.
	config.ClientTLSInfo.TrustedCAFile = bundle(t, client.CertFile, member.CertFile)
	raw := testserver.RunEtcd(t, config)

	poll := encryptioncontroller.EncryptionConfigFileChangePollDuration
	encryptioncontroller.EncryptionConfigFileChangePollDuration = 100 * time.Millisecond
	defer func() { encryptioncontroller.EncryptionConfigFileChangePollDuration = poll }()
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	replace(t, file, encryption("one"))
	s, stop, err := serve(nil, func(o *app.Options) {
		storage := &o.Recommended.Etcd.StorageConfig
		storage.Prefix = prefix
		storage.Transport.ServerList = []string{config.ListenClientUrls[0].String()}
		storage.Transport.TrustedCAFile = member.CertFile
		storage.Transport.CertFile, storage.Transport.KeyFile = client.CertFile, client.KeyFile
		o.Recommended.Etcd.EncryptionProviderConfigFilepath = file
		o.Recommended.Etcd.EncryptionProviderConfigAutomaticReload = true
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()

	policies, lifecycles := clientFor(t, s.as("jane")).ClusterImportPolicies(), clientFor(t, s.loopback).PediaClusterLifecycles()
	policy := newPolicy(secret)
	policy.Spec.Template = "spec:\n  apiserver: https://" + secret + "\n"
	if policy, err = policies.Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	lifecycle := newLifecycle(secret, secret, secret)
	if _, err := lifecycles.Create(t.Context(), lifecycle, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	stored := func() map[string][]byte {
		response, err := raw.Client.Get(t.Context(), "", clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		values := map[string][]byte{}
		for _, kv := range response.Kvs {
			if key := string(kv.Key); key != "compact_rev_key" {
				values[key] = kv.Value
			}
		}
		return values
	}
	first := stored()
	for _, resource := range []string{"clusterimportpolicies/" + secret, "pediaclusterlifecycles/" + secret, "sourceclaims/clusters." + secret + ".mcp.io"} {
		value := first[prefix+"/policy.clusterpedia.io/"+resource]
		if !bytes.HasPrefix(value, []byte("k8s:enc:secretbox:v1:one:")) || bytes.Contains(value, []byte(secret)) {
			t.Errorf("%s is stored as %q", resource, value)
		}
	}
	if len(first) != 3 {
		t.Errorf("there are %d keys: %v", len(first), first)
	}

	// A new key: what is written from then on has it, and what has the old one
	// is still read.
	replace(t, file, encryption("two", "one"))
	key := prefix + "/policy.clusterpedia.io/clusterimportpolicies/" + secret
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		// Without a change, the server writes when the key is not the newest.
		if policy, err = policies.Update(t.Context(), policy, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(stored()[key], []byte("k8s:enc:secretbox:v1:two:")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the policy is stored as %q", stored()[key])
		}
	}
	if read, err := lifecycles.Get(t.Context(), secret, metav1.GetOptions{}); err != nil || read.Spec.Source.Name != secret {
		t.Errorf("what has the old key: %v, %v", read, err)
	}
}

func bundle(t *testing.T, files ...string) string {
	t.Helper()
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	path := filepath.Join(t.TempDir(), "bundle.crt")
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFullStorageIsReadAndSaysThatItIsFull(t *testing.T) {
	dir := t.TempDir()
	startOn := func(quota int64) (*etcd.Etcd, *server, func() error) {
		member, err := etcd.Start(t.Context(), etcd.Config{Dir: dir, QuotaBytes: quota})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(member.Stop)
		s, stop, err := serve(nil, func(o *app.Options) {
			o.Recommended.Etcd.StorageConfig.Transport.ServerList = []string{member.Endpoint}
		})
		if err != nil {
			t.Fatal(err)
		}
		return member, s, stop
	}
	member, s, stop := startOn(16 << 20)
	policies := clientFor(t, s.as("jane")).ClusterImportPolicies()
	if _, err := policies.Create(t.Context(), newPolicy("first"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	raw, err := clientv3.New(clientv3.Config{Endpoints: []string{member.Endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil; i++ {
		_, err = raw.Put(t.Context(), fmt.Sprintf("/filler/%d", i), string(make([]byte, 512<<10)))
	}
	if err := errors.Join(raw.Close(), ignore(err, rpctypes.ErrNoSpace)); err != nil {
		t.Fatal(err)
	}

	_, err = policies.Create(t.Context(), newPolicy("second"), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "database space exceeded") {
		t.Errorf("a write: %v", err)
	}
	if list, err := policies.List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 1 {
		t.Errorf("a read: %v, %v", list, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	member.Stop()

	_, s, stop = startOn(64 << 20)
	if _, err := clientFor(t, s.as("jane")).ClusterImportPolicies().Create(t.Context(), newPolicy("second"), metav1.CreateOptions{}); err != nil {
		t.Errorf("a write after the quota was raised: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// ignore returns the error unless it is the expected one.
func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
