package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/version"
	"golang.org/x/sync/errgroup"
)

const pageSize = 4096

// stopped makes the data of a member that was stopped. It has taken a snapshot of
// its own, after which its log alone is not enough to make the database.
func stopped(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	member := start(t, dir)
	c := client(t, member)
	var writes errgroup.Group
	writes.SetLimit(200)
	value := strings.Repeat("x", 1000)
	for i := range 10_100 {
		writes.Go(func() error {
			_, err := c.Put(t.Context(), fmt.Sprint("/key/", i), value)
			return err
		})
	}
	if err := writes.Wait(); err != nil {
		t.Fatal(err)
	}
	member.Stop()
	if snapshots, err := filepath.Glob(filepath.Join(dir, "member", "snap", "*.snap")); err != nil || len(snapshots) == 0 {
		t.Fatalf("the member has taken no snapshot: %v", err)
	}
	return dir
}

// copyOf copies the data of a member, without writing the zeros at the end of its
// log.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to, err := os.MkdirTemp("", "policy-etcd-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What is left of an etcd that has crashed may still make a file there.
		for tries := 0; os.RemoveAll(to) != nil && tries < 100; tries++ {
			time.Sleep(10 * time.Millisecond)
		}
	})
	err = fs.WalkDir(os.DirFS(dir), "member", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o700)
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		file := filepath.Join(to, path)
		return errors.Join(os.WriteFile(file, bytes.TrimRight(content, "\x00"), 0o600), os.Truncate(file, int64(len(content))))
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestDataThatIsDamagedIsRefusedWithTheWayBack(t *testing.T) {
	const db, log = "member/snap/db", "member/wal/0000000000000000-0000000000000000.wal"
	data := stopped(t)
	truncate := func(file string, size int64) func(string) error {
		return func(dir string) error { return os.Truncate(filepath.Join(dir, file), size) }
	}
	overwrite := func(file string, at, size int64, with func([]byte)) func(string) error {
		return func(dir string) error {
			file, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			content := make([]byte, size)
			with(content)
			_, err = file.WriteAt(content, at)
			return errors.Join(err, file.Close())
		}
	}
	garbage := func(content []byte) {
		for i := range content {
			content[i] = 0xA5
		}
	}
	zeros := func([]byte) {}
	for _, test := range []struct {
		name   string
		damage func(dir string) error
		want   string
	}{
		{"no log", func(dir string) error { return os.RemoveAll(filepath.Join(dir, "member/wal")) }, "the log in member/wal is missing"},
		{"a folder of the log without files", func(dir string) error { return os.Remove(filepath.Join(dir, log)) }, "the log in member/wal is missing"},
		{"a file instead of the folder of the log", func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "member/wal")), os.WriteFile(filepath.Join(dir, "member/wal"), nil, 0o600))
		}, "member/wal"},
		{"an empty log", truncate(log, 0), "etcd cannot read its log in member/wal"},
		{"a log that ends too early", truncate(log, 100_000), "does not continue where its database"},
		{"garbage at the beginning of the log", overwrite(log, 0, 1<<20, garbage), "etcd cannot read its log in member/wal"},
		{"garbage in the log", overwrite(log, 100*pageSize, pageSize, garbage), "cannot start"},
		{"no database", func(dir string) error { return os.Remove(filepath.Join(dir, db)) }, "failed to find database snapshot file"},
		{"an empty database", truncate(db, 0), "failed to find database snapshot file"},
		{"a folder instead of the database", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, db)), os.Mkdir(filepath.Join(dir, db), 0o700))
		}, "invalid database"},
		{"a database of which half is missing", truncate(db, 8<<20), "it is damaged"},
		{"a database of two pages", truncate(db, 2*pageSize), "it is damaged"},
		{"a database of one page", truncate(db, pageSize), "file size too small"},
		{"a database of some bytes", truncate(db, 100), "invalid database"},
		{"garbage at the beginning of the database", overwrite(db, 0, 2*pageSize, garbage), "invalid database"},
		{"garbage in the first pages of data", overwrite(db, 2*pageSize, 20*pageSize, garbage), "it is damaged"},
		{"garbage in the middle of the database", overwrite(db, 1000*pageSize, 1000*pageSize, garbage), "it is damaged"},
		{"zeros in the database", overwrite(db, 0, 10<<20, zeros), "invalid database"},
		{"zeros in the middle of the database", overwrite(db, 10*pageSize, 10<<20, zeros), "it is damaged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := copyOf(t, data)
			if err := test.damage(dir); err != nil {
				t.Fatal(err)
			}
			member, err := startMember(context.Background(), Config{Dir: dir, QuotaBytes: 1 << 30, readyTimeout: time.Second})
			if err == nil {
				member.Stop()
				t.Fatal("it starts")
			}
			var damaged *DataError
			if !errors.As(err, &damaged) {
				t.Errorf("it is no DataError: %v", err)
			}
			for _, part := range []string{dir, test.want, "When the data is damaged"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("no %q in: %v", part, err)
				}
			}
		})
	}
}

func TestAStartThatWaitsForEverCanBeBrokenOff(t *testing.T) {
	dir := t.TempDir()
	member := start(t, dir)
	c := client(t, member)
	for range 100 {
		if _, err := c.Put(t.Context(), "/key", "value"); err != nil {
			t.Fatal(err)
		}
	}
	member.Stop()
	// A new log, and none of what the database was made from.
	other := t.TempDir()
	start(t, other).Stop()
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, logDir)), os.Rename(filepath.Join(other, logDir), filepath.Join(dir, logDir))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := startMember(ctx, Config{Dir: dir, readyTimeout: time.Second}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}

func TestALogThatIsMissingIsNotMadeAnew(t *testing.T) {
	dir := t.TempDir()
	member := start(t, dir)
	if _, err := client(t, member).Put(t.Context(), "/key", "value"); err != nil {
		t.Fatal(err)
	}
	member.Stop()
	if err := os.Rename(filepath.Join(dir, logDir), filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	if _, err := startMember(context.Background(), Config{Dir: dir}); err == nil {
		t.Fatal("it starts without its log")
	}
	if _, err := os.Stat(filepath.Join(dir, logDir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log was recreated: %v", err)
	}
	if err := os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, logDir)); err != nil {
		t.Fatal(err)
	}
	response, err := client(t, start(t, dir)).Get(t.Context(), "/key")
	if err != nil || len(response.Kvs) != 1 {
		t.Errorf("with its log back it has %v, %v", response, err)
	}
}

// A member that is killed when it starts for the first time leaves a database
// without a log, or a log without an entry.
func TestAFirstStartThatWasBrokenOff(t *testing.T) {
	for name, make := range map[string]func(file string) error{
		"before its database was written": func(file string) error { return os.WriteFile(file, nil, 0o600) },
		"before its database was used": func(file string) error {
			database, err := bbolt.Open(file, 0o600, nil)
			if err != nil {
				return err
			}
			return database.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, databaseFile)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), make(file)); err != nil {
				t.Fatal(err)
			}
			start(t, dir)
		})
	}
	err := contents{}.dataError("/data", errNotReady)
	if want := "the embedded etcd cannot start from the data in /data: its first start was interrupted: move its directory member"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("a log without an entry: %v", err)
	}
}

func TestTheRemedyFitsTheCause(t *testing.T) {
	for name, test := range map[string]struct {
		found contents
		cause error
		want  string
	}{
		"damage":       {contents{}, errors.New("crc mismatch"), `crc mismatch: see "When the data is damaged" in docs/storage.md`},
		"permissions":  {contents{}, &fs.PathError{Op: "open", Path: "db", Err: syscall.EACCES}, "permission denied: let the user of this process own it"},
		"no room":      {contents{}, errors.New("wal: no space left on device"), "no space left on device: free space on its volume"},
		"a newer etcd": {contents{newer: "9.0.0"}, errors.New("cannot downgrade"), "written by etcd 9.0.0, which is newer than the " + version.Version},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.found.dataError("/data", test.cause).Error(); !strings.Contains(got, test.want) || !strings.Contains(got, "/data") {
				t.Errorf("got %q, want %q in it", got, test.want)
			}
		})
	}
}
