package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const mebibyte = 1 << 20

func startWithQuota(t *testing.T, dir string, quota int64) *Etcd {
	t.Helper()
	member, err := Start(context.Background(), Config{Dir: dir, QuotaBytes: quota})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Stop)
	return member
}

// fill puts values of half a mebibyte until the database is full.
func fill(t *testing.T, member *Etcd, key func(i int) string) {
	t.Helper()
	c := client(t, member)
	for i := range 1000 {
		_, err := c.Put(t.Context(), key(i), string(bytes.Repeat([]byte{byte(i)}, mebibyte/2)))
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the database takes more than its quota")
}

func tend(t *testing.T, member *Etcd) {
	t.Helper()
	u := upkeep{client: member.client, endpoint: member.Endpoint}
	if err := u.try(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, member *Etcd) error {
	t.Helper()
	_, err := client(t, member).Put(t.Context(), "/one", "more")
	return err
}

func size(t *testing.T, member *Etcd) int64 {
	t.Helper()
	status, err := member.client.Status(t.Context(), member.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return status.DbSize
}

func TestAFullDatabaseDropsItsHistoryAndAcceptsWritesAgain(t *testing.T) {
	member := startWithQuota(t, t.TempDir(), 16*mebibyte)
	fill(t, member, func(int) string { return "/the/same/key" })

	if err := put(t, member); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Fatalf("a write to a full database: %v", err)
	}
	if read, err := client(t, member).Get(t.Context(), "/the/same/key"); err != nil || len(read.Kvs) != 1 {
		t.Fatalf("a read from a full database: %v, %v", read, err)
	}
	tend(t, member)
	if err := put(t, member); err != nil {
		t.Errorf("a write after the history was dropped: %v", err)
	}
	if after := size(t, member); after > 4*mebibyte {
		t.Errorf("the file still has %d bytes", after)
	}
}

func TestADatabaseFullOfWhatLivesIsReadUntilItsQuotaIsRaised(t *testing.T) {
	dir := t.TempDir()
	member := startWithQuota(t, dir, 16*mebibyte)
	// Pages that are half full are given back at first, and then there is nothing.
	for round := range 20 {
		fill(t, member, func(i int) string { return fmt.Sprintf("/key/%d/%d", round, i) })
		tend(t, member)
		if errors.Is(put(t, member), rpctypes.ErrNoSpace) {
			break
		}
	}
	if err := put(t, member); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Fatalf("a write to a full database: %v", err)
	}
	all, err := client(t, member).Get(t.Context(), "/key/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || all.Count < 20 {
		t.Fatalf("reading all: %v, %v", all, err)
	}
	member.Stop()

	member = startWithQuota(t, dir, 32*mebibyte)
	if err := put(t, member); err != nil {
		t.Errorf("a write after the quota was raised: %v", err)
	}
}

func TestDeletingMakesRoomInAFullDatabase(t *testing.T) {
	member := startWithQuota(t, t.TempDir(), 16*mebibyte)
	fill(t, member, func(i int) string { return fmt.Sprintf("/key/%d", i) })
	u := upkeep{client: member.client, endpoint: member.Endpoint}
	if err := u.try(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, member).Delete(t.Context(), "/key/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	if err := u.try(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := put(t, member); err != nil {
		t.Errorf("a write after something was deleted: %v", err)
	}
}

func TestFreePagesAreGivenBackBeforeTheQuotaIsReached(t *testing.T) {
	const quota = 32 * mebibyte
	member := startWithQuota(t, t.TempDir(), quota)
	c := client(t, member)
	var revision int64
	for size(t, member) < quota/100*85 {
		response, err := c.Put(t.Context(), "/key", string(make([]byte, mebibyte/2)))
		if err != nil {
			t.Fatal(err)
		}
		revision = response.Header.Revision
	}
	before := size(t, member)
	if _, err := c.Compact(t.Context(), revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	tend(t, member)
	if after := size(t, member); after > before/4 {
		t.Errorf("almost all is free, and the size went from %d to %d", before, after)
	}
}

func TestWhenFreePagesAreWorthGivingBack(t *testing.T) {
	for _, test := range []struct {
		name               string
		size, inUse, quota int64
		want               bool
	}{
		{"a small database, mostly free", 60, 1, 2048, false},
		{"mostly free, and much of it", 200, 90, 2048, true},
		{"much is free, and it is less than half", 1000, 600, 2048, false},
		{"near the quota, with something to gain", 1700, 1500, 2048, true},
		{"near the quota, with nothing to gain", 1700, 1600, 2048, false},
		{"without a quota", 1700, 1500, -1, false},
	} {
		if got := worthwhile(test.size*mebibyte, test.inUse*mebibyte, test.quota*mebibyte); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
