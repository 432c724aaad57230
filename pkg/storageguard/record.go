package storageguard

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// RecordName is the name of the ConfigMap in kube-system by which the host
	// remembers what storage serves it: there is one, whatever namespace servers are
	// in.
	RecordName = "policy-apiserver-storage"
	// RecordKey is the key of the storage's id in it.
	RecordKey = "storage-id"
	// formerKey has the ids of storages that were replaced, separated by commas.
	formerKey = "former-storage-ids"
	// kindKey says whether the storage is embedded or external: a copy of one within
	// the other has the same id.
	kindKey = "storage-kind"
	// handoverKey is there while the storage waits to take the place of another.
	handoverKey = "handover"

	fieldManager = "policy-apiserver"
)

// readRecord returns what the host remembers, nil when nothing.
func (g *Guard) readRecord(ctx context.Context) (*corev1.ConfigMap, error) {
	record, err := g.kubernetes.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, RecordName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the host's record of the storage: %w", err)
	}
	return record, nil
}

func recorded(record *corev1.ConfigMap) types.UID {
	if record == nil {
		return ""
	}
	return types.UID(record.Data[RecordKey])
}

func former(record *corev1.ConfigMap) []string {
	if record == nil || record.Data[formerKey] == "" {
		return nil
	}
	return strings.Split(record.Data[formerKey], ",")
}

func takesOver(record *corev1.ConfigMap) bool { return record.Data[handoverKey] != "" }

// kind is what the record says of this storage.
func (c *Config) kind() string {
	if c.Embedded {
		return "embedded"
	}
	return "external"
}

// record has the host remember the storage, and returns what it remembers then. A
// storage that may have another one beside it is remembered to take its place,
// until nobody is served from there any more.
func (g *Guard) record(ctx context.Context, f *facts, record *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	replaces, moves := f.recorded != "" && f.recorded != f.storage, f.boundTo != "" && f.boundTo != f.host
	copied := f.recorded == f.storage && f.recordedKind != "" && f.recordedKind != f.kind
	unknown := f.recorded == "" && f.accepted && len(f.pediaClusters) > 0
	if f.recorded == f.storage && f.recordedKind == f.kind && !moves {
		return record, nil
	}
	changed := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: RecordName, Namespace: metav1.NamespaceSystem}}
	if record != nil {
		changed = record.DeepCopy()
	}
	if changed.Data == nil {
		changed.Data = map[string]string{}
	}
	changed.Data[RecordKey], changed.Data[kindKey] = string(f.storage), f.kind
	if replaces || moves || copied || unknown {
		changed.Data[handoverKey] = "true"
		g.handover = time.Now()
	}
	// What has made no PediaCluster is no loss, and may come back.
	if ids := former(record); replaces && len(f.pediaClusters) > 0 && !slices.Contains(ids, string(f.recorded)) {
		changed.Data[formerKey] = strings.Join(append(ids, string(f.recorded)), ",")
	}
	return g.writeRecord(ctx, changed)
}

func (g *Guard) endHandover(ctx context.Context, record *corev1.ConfigMap) error {
	if !takesOver(record) {
		return nil
	}
	changed := record.DeepCopy()
	delete(changed.Data, handoverKey)
	_, err := g.writeRecord(ctx, changed)
	return err
}

// writeRecord creates the record, or updates it unless it has changed since it was
// read.
func (g *Guard) writeRecord(ctx context.Context, record *corev1.ConfigMap) (written *corev1.ConfigMap, err error) {
	client := g.kubernetes.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	if record.ResourceVersion == "" {
		written, err = client.Create(ctx, record, metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		written, err = client.Update(ctx, record, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return nil, fmt.Errorf("writing the host's record of the storage: %w", err)
	}
	return written, nil
}

// checkRecord returns a *lost when the host is served from another storage. A
// record that somebody has removed is written again.
func (g *Guard) checkRecord(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	record, err := g.readRecord(ctx)
	if err != nil {
		return err
	}
	switch recorded(record) {
	case g.seen.id:
		if kind := record.Data[kindKey]; kind != g.config.kind() {
			return &lost{fmt.Sprintf("the host is served from an %s etcd with a copy of the storage %s now", kind, g.seen.id)}
		}
		return nil
	case "":
		_, err := g.record(ctx, &facts{storage: g.seen.id, kind: g.config.kind()}, record)
		return err
	default:
		return &lost{fmt.Sprintf("the host is served from the storage %s now, and no longer from %s, as its ConfigMap %s/%s says",
			recorded(record), g.seen.id, metav1.NamespaceSystem, RecordName)}
	}
}
