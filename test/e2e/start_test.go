package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/clusterpedia-io/policy-apiserver/pkg/etcd"
)

// runServer runs the real server, which is expected to end by itself.
func runServer(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	command := exec.CommandContext(ctx, filepath.Join(binDir, "policy-apiserver"), args...)
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	if exit := (&exec.ExitError{}); errors.As(err, &exit) {
		return exit.ExitCode(), out.String(), errs.String()
	}
	must(t, err)
	return 0, out.String(), errs.String()
}

func TestAStartThatFailsSaysWhyInOneLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	absent := filepath.Join(dir, "absent")
	garbage := write("garbage", "not: [what it should be")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	used := fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)

	// Each has one fault, and is otherwise a server that would start.
	sound := []string{
		"--kubeconfig=" + filepath.Join(shared.dir, "policy-apiserver.kubeconfig"),
		"--bind-address=127.0.0.1", "--secure-port=" + freePort(t), "--embedded-etcd-dir=" + filepath.Join(dir, "storage"),
	}
	for _, test := range []struct {
		name  string
		fault []string
		want  []string
	}{
		{"an unknown flag", []string{"--wrong-flag"}, []string{"--wrong-flag"}},
		{"an unknown command", []string{"bogus"}, []string{`"bogus"`}},
		{"a port that is no number", []string{"--secure-port=x"}, []string{"--secure-port"}},
		{"a duration without a unit", []string{"--embedded-etcd-snapshot-interval=5"}, []string{"--embedded-etcd-snapshot-interval"}},
		{"several values out of range", []string{"--embedded-etcd-quota-bytes=0", "--embedded-etcd-snapshot-count=0", "--kube-api-qps=0"},
			[]string{"--embedded-etcd-quota-bytes", "--embedded-etcd-snapshot-count", "--kube-api-qps"}},
		{"an unknown feature", []string{"--feature-gates=Bogus=true"}, []string{"Bogus"}},
		{"an unknown log format", []string{"--logging-format=bogus"}, []string{"bogus"}},
		{"no kubeconfig", []string{"--kubeconfig=" + absent}, []string{"--kubeconfig", absent}},
		{"a kubeconfig that is none", []string{"--kubeconfig=" + garbage}, []string{"--kubeconfig", garbage}},
		{"no certificate", []string{"--tls-cert-file=" + absent, "--tls-private-key-file=" + absent},
			[]string{"--tls-cert-file", "--tls-private-key-file", absent}},
		{"a certificate that is none", []string{"--tls-cert-file=" + garbage, "--tls-private-key-file=" + garbage}, []string{"--tls-cert-file", "PEM"}},
		{"no audit policy", []string{"--audit-policy-file=" + absent, "--audit-log-path=-"}, []string{"--audit-policy-file", absent}},
		{"an audit policy that is none", []string{"--audit-policy-file=" + garbage, "--audit-log-path=-"}, []string{"--audit-policy-file", garbage}},
		{"no encryption configuration", []string{"--encryption-provider-config=" + absent}, []string{"--encryption-provider-config", absent}},
		{"an encryption configuration that is none", []string{"--encryption-provider-config=" + garbage}, []string{"--encryption-provider-config", garbage}},
		{"no client certificate for etcd", []string{"--etcd-servers=https://127.0.0.1:1", "--etcd-certfile=" + absent}, []string{"--etcd-certfile", absent}},
		{"a port in use", []string{"--secure-port=" + used}, []string{"--secure-port", used, "address already in use"}},
		{"a storage in use", []string{"--embedded-etcd-dir=" + filepath.Join(shared.dir, "policy-apiserver")}, []string{shared.dir, "in use by another process"}},
		// The tests may run as root, whom no mode keeps out.
		{"a storage that cannot be written", []string{"--embedded-etcd-dir=" + filepath.Join(garbage, "storage")}, []string{garbage, "embedded etcd"}},
		{"a damaged storage: garbage instead of its database", []string{"--embedded-etcd-dir=" + damagedStorage(t, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "member/snap/db"), bytes.Repeat([]byte("no database"), 10000), 0o600)
		})}, []string{"database member/snap/db", "invalid database", damaged}},
		{"a damaged storage: half of its database", []string{"--embedded-etcd-dir=" + damagedStorage(t, func(dir string) error {
			return os.Truncate(filepath.Join(dir, "member/snap/db"), 16<<10)
		})}, []string{"database member/snap/db", "it is damaged", damaged}},
		{"a damaged storage: its log is missing", []string{"--embedded-etcd-dir=" + damagedStorage(t, func(dir string) error {
			return os.RemoveAll(filepath.Join(dir, "member/wal"))
		})}, []string{"the log in member/wal is missing", damaged}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := runServer(t, append(append([]string{}, sound...), test.fault...)...)
			if code != 1 || stdout != "" {
				t.Errorf("exit code %d, and on stdout: %s", code, stdout)
			}
			contains(t, stderr, test.want...)
			if lines := strings.Count(stderr, "\n"); lines != 1 || strings.Contains(stderr, "panic") {
				t.Errorf("%d lines:\n%s", lines, stderr)
			}
			if !strings.Contains(test.name, "damaged") && !strings.HasSuffix(stderr, "see policy-apiserver --help\n") {
				t.Errorf("no hint at the end of: %s", stderr)
			}
		})
	}
}

// What does not depend on the command line alone is waited for, for a while.
func TestAServerWithoutItsEtcdEndsWithTheReason(t *testing.T) {
	t.Parallel()
	code, _, stderr := runServer(t,
		"--kubeconfig="+filepath.Join(shared.dir, "policy-apiserver.kubeconfig"),
		"--bind-address=127.0.0.1", "--secure-port="+freePort(t), "--etcd-servers=http://127.0.0.1:"+freePort(t))
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	if code != 1 || !strings.HasPrefix(last, "Error: --etcd-servers http://127.0.0.1:") || !strings.Contains(last, "connection refused") {
		t.Errorf("exit code %d and:\n%s", code, stderr)
	}
	for _, line := range lines[:len(lines)-1] {
		if !regexp.MustCompile(`^[IW]\d{4} `).MatchString(line) {
			t.Errorf("a line that is not of the log: %s", line)
		}
	}
}

func TestHelpAndVersionAreNoErrors(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"--version"}, {"snapshot"}, {"snapshot", "--help"},
		{"snapshot", "save", "--help"}, {"snapshot", "restore", "--help"}} {
		code, stdout, stderr := runServer(t, args...)
		if code != 0 || stdout == "" || stderr != "" {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

func TestASnapshotOfARunningServerIsSavedAndRestoredByCommand(t *testing.T) {
	file, dir := filepath.Join(t.TempDir(), "saved.db"), filepath.Join(t.TempDir(), "restored")
	running := filepath.Join(shared.dir, "policy-apiserver")
	for _, args := range [][]string{
		{"snapshot", "save", file, "--embedded-etcd-dir", running},
		{"snapshot", "restore", file, "--embedded-etcd-dir", dir},
	} {
		if code, stdout, stderr := runServer(t, args...); code != 0 || !strings.Contains(stdout, file) || stderr != "" {
			t.Fatalf("%v: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	for _, refused := range []struct {
		args []string
		want string
	}{
		{[]string{"snapshot", "restore", file, "--embedded-etcd-dir", dir}, "has data already"},
		{[]string{"snapshot", "restore", file, "--embedded-etcd-dir", running}, "in use"},
		{[]string{"snapshot", "restore", os.Args[0], "--embedded-etcd-dir", dir}, os.Args[0]},
		{[]string{"snapshot", "save", file, "--embedded-etcd-dir", t.TempDir()}, "there is no embedded etcd"},
		{[]string{"snapshot", "save"}, "one FILE is needed"},
		{[]string{"snapshot", "bogus"}, "bogus"},
	} {
		code, _, stderr := runServer(t, refused.args...)
		if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, refused.want) {
			t.Errorf("%v: exit code %d and:\n%s", refused.args, code, stderr)
		}
	}
}

// damaged is the section of docs/storage.md that a server with damaged storage
// leads to.
const damaged = "When the data is damaged"

// damagedStorage is of a server whose files were damaged when it had ended.
func damagedStorage(t *testing.T, damage func(dir string) error) string {
	t.Helper()
	dir := t.TempDir()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: dir, QuotaBytes: 64 << 20})
	must(t, err)
	defer member.Stop()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{member.Endpoint}})
	must(t, err)
	for i := range 100 {
		_, err := client.Put(t.Context(), fmt.Sprint("/key/", i), strings.Repeat("x", 1000))
		must(t, err)
	}
	must(t, client.Close())
	member.Stop()
	must(t, damage(dir))
	return dir
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}
