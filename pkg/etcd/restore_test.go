package etcd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

// saved returns a snapshot of a store with one key, and the revision after
// which it was taken.
func saved(t *testing.T) (file string, revision int64) {
	t.Helper()
	dir := t.TempDir()
	member := start(t, dir)
	response, err := client(t, member).Put(t.Context(), "/key", "saved")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "saved.db")
	if err := Save(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	return file, response.Header.Revision
}

func TestARestoredStoreHasWhatWasSavedAndNoRevisionTwice(t *testing.T) {
	file, revision := saved(t)
	dir := filepath.Join(t.TempDir(), "new")
	if err := Restore(dir, file); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); strings.Join(got, " ") != "lock member" {
		t.Errorf("there are %v", got)
	}

	c := client(t, start(t, dir))
	read, err := c.Get(t.Context(), "/key")
	if err != nil || len(read.Kvs) != 1 || string(read.Kvs[0].Value) != "saved" {
		t.Fatalf("%v, %v", read, err)
	}
	if got := read.Header.Revision; got <= revision+revisionBump-1 {
		t.Errorf("the revision was %d when it was saved, and is %d", revision, got)
	}
	// A client that has seen what came after the snapshot is told to list again.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watched := <-c.Watch(ctx, "/key", clientv3.WithRev(revision+100))
	if err := watched.Err(); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("a watch from after the snapshot: %v", err)
	}
}

func TestASnapshotIsSavedWhetherAServerRunsOrNot(t *testing.T) {
	for name, dir := range map[string]string{
		"in a directory of a usual name": filepath.Join(t.TempDir(), "data"),
		"where the path would be long":   filepath.Join(t.TempDir(), strings.Repeat("x", maxSocketPath)),
	} {
		t.Run(name, func(t *testing.T) {
			member := start(t, dir)
			if _, err := client(t, member).Put(t.Context(), "/key", "value"); err != nil {
				t.Fatal(err)
			}
			for _, when := range []string{"running", "stopped"} {
				file := filepath.Join(t.TempDir(), when+".db")
				if err := Save(t.Context(), dir, file); err != nil {
					t.Fatal(err)
				}
				restored := filepath.Join(t.TempDir(), when)
				if err := Restore(restored, file); err != nil {
					t.Fatal(err)
				}
				read, err := client(t, start(t, restored)).Get(t.Context(), "/key")
				if err != nil || len(read.Kvs) != 1 {
					t.Errorf("%s: %v, %v", when, read, err)
				}
				member.Stop()
			}
		})
	}
}

func TestNothingIsSavedOfADirectoryWithoutData(t *testing.T) {
	dir := t.TempDir()
	err := Save(t.Context(), dir, filepath.Join(t.TempDir(), "file"))
	if err == nil || !strings.Contains(err.Error(), "there is no embedded etcd in "+dir) {
		t.Errorf("%v", err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("it has made %v", got)
	}
}

func TestARestoreThatIsRefusedChangesNothing(t *testing.T) {
	file, _ := saved(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	damaged := append([]byte(nil), whole...)
	damaged[len(damaged)/2] ^= 1
	for _, test := range []struct{ file, want string }{
		{write("damaged", damaged), "is damaged"},
		{write("truncated", whole[:len(whole)-1000]), "is not a complete snapshot"},
		{write("text", []byte("not a snapshot")), "is not a complete snapshot"},
		{write("empty", nil), "is not a complete snapshot"},
		{filepath.Join(t.TempDir(), "absent"), "no such file"},
	} {
		dir := filepath.Join(t.TempDir(), "new")
		err := Restore(dir, test.file)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.file) {
			t.Errorf("%s: %v", filepath.Base(test.file), err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: it has made %v", filepath.Base(test.file), files(t, dir))
		}
	}

	dir := t.TempDir()
	member := start(t, dir)
	if err := Restore(dir, file); !errors.Is(err, errInUse) {
		t.Errorf("under a running server: %v", err)
	}
	member.Stop()
	if err := Restore(dir, file); err == nil || !strings.Contains(err.Error(), dir+" has data already") {
		t.Errorf("over the data of another: %v", err)
	}
	if _, err := client(t, start(t, dir)).Get(t.Context(), "/key"); err != nil {
		t.Errorf("the one that was there: %v", err)
	}
}

func TestDataOfANewerEtcdIsRefusedWithItsVersion(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Stop()
	// There is no newer etcd yet: its mark stands for it.
	database, err := bbolt.Open(filepath.Join(dir, databaseFile), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = database.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(schema.Meta.Name()).Put(schema.MetaStorageVersionName, []byte("3.99.0"))
	})
	if err := errors.Join(err, database.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "the data in "+dir+" was written by etcd 3.99.0, which is newer than") {
		t.Errorf("%v", err)
	}
}
