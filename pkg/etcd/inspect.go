package etcd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/bbolt"
	bboltErrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

const logDir = "member/wal"

// errNotReady says that a member waits without an end for what its database has
// already, or never will have.
var errNotReady = fmt.Errorf("its log in %s does not continue where its database %s ends", logDir, databaseFile)

// DataError says that a member cannot be started from the data in its directory,
// and what to do.
type DataError struct {
	message string
	cause   error
}

func (e *DataError) Error() string { return e.message }

func (e *DataError) Unwrap() error { return e.cause }

// contents are what is to be known of a database before it is used.
type contents struct {
	// applied is up to which index of the log it goes.
	applied uint64
	// newer is the version of the etcd that wrote it, if that is newer than ours.
	newer string
	// sum is of bytes of every page, so that every page is read.
	sum byte
}

// dataError tells what to do about an error that a member starts with.
func (c contents) dataError(dir string, cause error) error {
	remedy := `see "When the data is damaged" in docs/storage.md`
	switch {
	case c.newer != "":
		return &DataError{cause: cause, message: fmt.Sprintf("the data in %s was written by etcd %s, which is newer than the %s of this server: "+
			"run the version of this server that wrote it, or restore a snapshot from before", dir, c.newer, version.Version)}
	case errors.Is(cause, errNotReady) && c.applied == 0:
		cause = errors.New("its first start was interrupted")
		remedy = "move its directory member, which contains no data, and start again"
	case errors.Is(cause, fs.ErrPermission):
		remedy = "let the user of this process own it"
	case strings.Contains(cause.Error(), syscall.ENOSPC.Error()): // etcd does not wrap it
		remedy = "free space on its volume"
	}
	return &DataError{cause: cause, message: fmt.Sprintf("the embedded etcd cannot start from the data in %s: %v: %s", dir, cause, remedy)}
}

// inspect finds out whether a member can start from the data in dir. Where files
// are damaged or missing, etcd crashes or waits for ever. Nothing is changed.
func inspect(dir string) (found contents, err error) {
	file := filepath.Join(dir, databaseFile)
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0:
		return found, nil // the member is new, or makes it from its log
	case err != nil:
		return found, err
	}
	if found, err = readDatabase(file); err != nil {
		return found, fmt.Errorf("its database %s: %w", databaseFile, err)
	}
	if found.applied == 0 {
		return found, nil // nothing has come from the log
	}
	log, err := os.ReadDir(filepath.Join(dir, logDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	if !slices.ContainsFunc(log, func(file fs.DirEntry) bool { return filepath.Ext(file.Name()) == ".wal" }) {
		return found, fmt.Errorf("the log in %s is missing, from which its database was made", logDir)
	}
	return found, nil
}

// readDatabase reads all of a database, so that what is damaged in it is found.
func readDatabase(file string) (found contents, err error) {
	// bbolt meets what it cannot read with a panic, and pages that the file lacks
	// are a memory fault. Its own check does so in a goroutine, and would end the
	// process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case runtime.Error:
			err = errors.New("it is damaged: pages are missing or cannot be read")
		default:
			err = fmt.Errorf("it is damaged: %v", fault)
		}
	}()
	database, err := bbolt.Open(file, fileutil.PrivateFileMode, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	switch {
	case errors.Is(err, bboltErrors.ErrTimeout):
		return found, errInUse
	case err != nil:
		return found, err
	}
	defer func() { err = errors.Join(err, database.Close()) }()
	err = database.View(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(schema.Meta.Name()); meta != nil { // a new one has no buckets yet
			if index := meta.Get(schema.MetaConsistentIndexKeyName); len(index) == 8 {
				found.applied = binary.BigEndian.Uint64(index)
			}
			if wrote := schema.ReadStorageVersionFromSnapshot(tx); wrote != nil && semver.New(version.Version).LessThan(*wrote) {
				found.newer = wrote.String()
			}
		}
		return tx.ForEach(func(_ []byte, bucket *bbolt.Bucket) error { return bucket.ForEach(found.read) })
	})
	return found, err
}

// read reads something of each page that a pair is on.
func (c *contents) read(key, value []byte) error {
	for _, part := range [][]byte{key, value} {
		for at := 0; at < len(part); at += os.Getpagesize() {
			c.sum += part[at]
		}
	}
	return nil
}
