package etcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
)

const (
	// revisionBump is added to the revision of a restored store. Clients know
	// revisions that were given out after the snapshot: were those given out once
	// more, for something else, a watch would go on from them and miss what
	// changed. This way they are too old, and clients list again. No store gets
	// through so many between a snapshot and the loss of what came after it.
	revisionBump = 1_000_000_000
	// restoring is where a restored member is made, before it gets its place.
	restoring = "restore.partial"
)

// Save writes a snapshot of the embedded etcd in dir to the file: of the one
// that runs, or else of the data that is there.
func Save(ctx context.Context, dir, file string) error {
	if _, err := os.Stat(filepath.Join(dir, databaseFile)); err != nil {
		return fmt.Errorf("there is no embedded etcd in %s: %w", dir, err)
	}
	member, err := startMember(ctx, Config{Dir: dir, QuotaBytes: -1})
	if errors.Is(err, errInUse) {
		endpoint, err := os.ReadFile(filepath.Join(dir, lockFile))
		if err != nil {
			return err
		}
		if len(endpoint) == 0 {
			return fmt.Errorf("the process that uses %s runs no etcd there yet: try again", dir)
		}
		return save(ctx, string(endpoint), file)
	}
	if err != nil {
		return err
	}
	defer member.Stop()
	return save(ctx, member.Endpoint, file)
}

// Restore makes the data of an embedded etcd in dir from a snapshot. It fails
// if the snapshot is damaged, and if dir is in use or has data already. Either
// the whole of it is there in the end, or nothing.
func Restore(dir, file string) (err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := verify(file); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, fileutil.PrivateDirMode); err != nil {
		return fmt.Errorf("making the directory of the embedded etcd: %w", err)
	}
	locked, err := lock(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locked.Close()) }()
	member := filepath.Join(dir, "member")
	if _, err := os.Stat(member); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s has data already: move %s away first, and keep it until the restored one has proven itself", dir, member), err)
	}

	partial := filepath.Join(dir, restoring)
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(partial)) }()
	config := memberConfig(partial, url.URL{}, 0, zap.NewNop())
	peers := make([]string, 0, len(config.AdvertisePeerUrls))
	for _, peer := range config.AdvertisePeerUrls {
		peers = append(peers, peer.String())
	}
	err = snapshot.NewV3(newLogger(zap.ErrorLevel, exit{})).Restore(snapshot.RestoreConfig{
		SnapshotPath:        file,
		OutputDataDir:       partial,
		Name:                config.Name,
		PeerURLs:            peers,
		InitialCluster:      config.InitialCluster,
		InitialClusterToken: config.InitialClusterToken,
		RevisionBump:        revisionBump,
		MarkCompacted:       true,
	})
	if err != nil {
		return fmt.Errorf("restoring %s: %w", file, err)
	}
	return os.Rename(filepath.Join(partial, "member"), member)
}

// verify compares a snapshot with the checksum at its end.
func verify(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := info.Size() - sha256.Size
	// Databases consist of pages.
	if size <= 0 || size%512 != 0 {
		return fmt.Errorf("%s is not a complete snapshot of etcd: it has no checksum at its end", path)
	}
	hash := sha256.New()
	if _, err := io.CopyN(hash, file, size); err != nil {
		return err
	}
	want, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	if !bytes.Equal(hash.Sum(nil), want) {
		return fmt.Errorf("%s is damaged: it does not have the checksum that it had when it was taken", path)
	}
	return nil
}
