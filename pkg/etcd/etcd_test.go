package etcd

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func start(t *testing.T, dir string) *Etcd {
	t.Helper()
	member, err := Start(context.Background(), Config{Dir: dir, QuotaBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Stop)
	return member
}

func client(t *testing.T, member *Etcd) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{member.Endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestWhatWasWrittenIsThereAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := start(t, dir)
	if _, err := client(t, first).Put(t.Context(), "/key", "value"); err != nil {
		t.Fatal(err)
	}
	first.Stop()
	if err, open := <-first.Err(); open {
		t.Errorf("a member that was stopped reports %v", err)
	}

	response, err := client(t, start(t, dir)).Get(t.Context(), "/key")
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Kvs) != 1 || string(response.Kvs[0].Value) != "value" {
		t.Errorf("the key has %v", response.Kvs)
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir)
	_, err := Start(context.Background(), Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), dir+" of the embedded etcd is in use by another process") {
		t.Fatalf("%v", err)
	}
	// The one that runs is none the worse for it.
	if _, err := client(t, first).Get(t.Context(), "/key"); err != nil {
		t.Error(err)
	}
}

func TestOnlyItsUserReachesTheMember(t *testing.T) {
	for name, dir := range map[string]string{
		"in the data directory":        t.TempDir(),
		"where the path would be long": filepath.Join(t.TempDir(), strings.Repeat("x", maxSocketPath)),
	} {
		t.Run(name, func(t *testing.T) {
			member := start(t, dir)
			endpoint, err := url.Parse(member.Endpoint)
			if err != nil || endpoint.Scheme != "unix" {
				t.Fatalf("the endpoint is %s", member.Endpoint)
			}
			parent := filepath.Dir(endpoint.Path)
			info, err := os.Stat(parent)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v, %v", parent, info.Mode(), err)
			}
			if len(member.member.Peers) != 0 || len(member.member.Clients) != 1 {
				t.Errorf("it listens for %d peers and on %d addresses", len(member.member.Peers), len(member.member.Clients))
			}
			if _, err := client(t, member).Get(t.Context(), "/key"); err != nil {
				t.Error(err)
			}
			member.Stop()
			if member.temporary != "" {
				if _, err := os.Stat(member.temporary); !os.IsNotExist(err) {
					t.Errorf("%s is left behind: %v", member.temporary, err)
				}
			}
		})
	}
}

func TestAStartThatFailsSaysWhy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(context.Background(), Config{Dir: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file instead of a directory: %v", err)
	}

	dir := t.TempDir()
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if member, err := Start(cancelled, Config{Dir: dir}); err == nil {
		member.Stop() // it was ready at once
	}
	start(t, dir) // the lock is free again
}
