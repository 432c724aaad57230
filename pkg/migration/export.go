// Package migration is how a host moves from the CRDs of a Clusterpedia
// installation to this server: the form of the export that the plugin writes to
// the host, and how the server takes it over before it serves its storage for the
// first time. It is the only way by which an object gets a UID that this server
// did not make.
package migration

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Client is what a migration needs of kubernetes.Interface, on both of its sides.
type Client interface {
	CoreV1() typedcorev1.CoreV1Interface
}

const (
	// RecordName is the name of the ConfigMap that says what the export is. It is
	// written last: without it there is no export.
	RecordName = "policy-apiserver-migration"
	// Label is on everything that a migration leaves on the host for a while.
	Label = "policy.clusterpedia.io/migration"

	exportValue = "export"
	chunkKey    = "objects.json.gz"
	// chunkBytes keeps a Secret below the 1 MiB that it may have.
	chunkBytes = 768 << 10
	// maxSecrets is how many of them the server may read: artifacts/deploy names
	// them. They hold some hundred thousand lifecycles.
	maxSecrets = 8

	objectsKey    = "objects"
	secretsKey    = "secrets"
	sumKey        = "sha256"
	importedByKey = "imported-by"
	replacesKey   = "replaces"
)

// Record says what an export is.
type Record struct {
	// Objects and Secrets are how many objects it has and in how many Secrets.
	Objects, Secrets int
	// SHA256 is the sum of the objects, in hexadecimal digits.
	SHA256 string
	// ImportedBy is the id of the storage that has taken it over, empty before.
	ImportedBy types.UID
	// Replaces is the id of a storage that has taken an earlier export over, which
	// this one takes the place of.
	Replaces types.UID
}

// encode returns the objects as JSON, one a line, compressed and in pieces, and
// their record.
func encode(objects []unstructured.Unstructured) (chunks [][]byte, record *Record, err error) {
	var compressed bytes.Buffer
	sum := sha256.New()
	writer := gzip.NewWriter(&compressed)
	encoder := json.NewEncoder(io.MultiWriter(writer, sum))
	for i := range objects {
		if err := encoder.Encode(objects[i].Object); err != nil {
			return nil, nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, nil, err
	}
	for compressed.Len() > 0 {
		chunks = append(chunks, compressed.Next(chunkBytes))
	}
	return chunks, &Record{Objects: len(objects), Secrets: len(chunks), SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// decode is the reverse of encode. The error is that the pieces are not what the
// record says.
func decode(chunks [][]byte, record *Record) (objects []unstructured.Unstructured, err error) {
	reader, err := gzip.NewReader(bytes.NewReader(bytes.Join(chunks, nil)))
	if err != nil {
		return nil, fmt.Errorf("the Secrets hold no export: %w", err)
	}
	sum := sha256.New()
	for decoder := json.NewDecoder(io.TeeReader(reader, sum)); ; {
		object := unstructured.Unstructured{}
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the export is damaged at object %d: %w", len(objects)+1, err)
		}
		objects = append(objects, object)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != record.SHA256 || len(objects) != record.Objects {
		return nil, fmt.Errorf("the export is damaged: its record says %d objects with the sum %s, the Secrets hold %d with %s",
			record.Objects, record.SHA256, len(objects), got)
	}
	return objects, nil
}

// Write puts an export on the host, in the place of an earlier one.
func Write(ctx context.Context, client Client, namespace string, objects []unstructured.Unstructured) (*Record, error) {
	chunks, record, err := encode(objects)
	if err != nil {
		return nil, err
	}
	if len(chunks) > maxSecrets {
		return nil, fmt.Errorf("the export takes %d Secrets, and the server may read %d", len(chunks), maxSecrets)
	}
	records := client.CoreV1().ConfigMaps(namespace)
	configMap, err := records.Get(ctx, RecordName, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading the record of the export: %w", err)
	}
	exists := err == nil
	if exists {
		// Until the new one is complete, the record says no more than what it replaces.
		record.Replaces = types.UID(cmp.Or(configMap.Data[importedByKey], configMap.Data[replacesKey]))
		configMap.Data = map[string]string{replacesKey: string(record.Replaces)}
		if configMap, err = records.Update(ctx, configMap, metav1.UpdateOptions{}); err != nil {
			return nil, fmt.Errorf("voiding the record of the earlier export: %w", err)
		}
	} else {
		configMap = &corev1.ConfigMap{ObjectMeta: meta(namespace, RecordName)}
	}
	if err := removeSecrets(ctx, client, namespace); err != nil {
		return nil, err
	}
	for i, chunk := range chunks {
		secret := &corev1.Secret{ObjectMeta: meta(namespace, secretName(i)), Data: map[string][]byte{chunkKey: chunk}}
		if _, err := client.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			return nil, fmt.Errorf("writing the export: %w", err)
		}
	}
	configMap.Data = map[string]string{
		objectsKey: strconv.Itoa(record.Objects), secretsKey: strconv.Itoa(record.Secrets), sumKey: record.SHA256,
		replacesKey: string(record.Replaces),
	}
	if exists {
		_, err = records.Update(ctx, configMap, metav1.UpdateOptions{})
	} else {
		_, err = records.Create(ctx, configMap, metav1.CreateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("writing the record of the export: %w", err)
	}
	return record, nil
}

// Read returns the export on the host and its record, nil when there is none.
func Read(ctx context.Context, client Client, namespace string) ([]unstructured.Unstructured, *Record, error) {
	record, err := ReadRecord(ctx, client, namespace)
	if record == nil || err != nil {
		return nil, nil, err
	}
	chunks := make([][]byte, record.Secrets)
	for i := range chunks {
		secret, err := client.CoreV1().Secrets(namespace).Get(ctx, secretName(i), metav1.GetOptions{})
		if err != nil {
			return nil, nil, fmt.Errorf("reading the export: %w", err)
		}
		chunks[i] = secret.Data[chunkKey]
	}
	objects, err := decode(chunks, record)
	if err != nil {
		return nil, nil, err
	}
	return objects, record, nil
}

// ReadRecord returns the record of the export, nil when there is none.
func ReadRecord(ctx context.Context, client Client, namespace string) (*Record, error) {
	configMap, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, RecordName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of the export: %w", err)
	}
	_, complete := configMap.Data[sumKey]
	if _, begun := configMap.Data[replacesKey]; begun && !complete {
		return nil, nil // Write has not come to its end
	}
	record := &Record{
		SHA256: configMap.Data[sumKey], ImportedBy: types.UID(configMap.Data[importedByKey]), Replaces: types.UID(configMap.Data[replacesKey]),
	}
	var errs [2]error
	record.Objects, errs[0] = strconv.Atoi(configMap.Data[objectsKey])
	record.Secrets, errs[1] = strconv.Atoi(configMap.Data[secretsKey])
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("the ConfigMap %s/%s is no record of an export: %w", namespace, RecordName, err)
	}
	return record, nil
}

// markImported records the storage that has taken the export over. The error is
// a conflict when the export has become another one.
func markImported(ctx context.Context, client Client, namespace string, record *Record, storage types.UID) error {
	configMap, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, RecordName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the record of the export: %w", err)
	}
	if configMap.Data[sumKey] != record.SHA256 {
		return errors.New("the export has changed while it was imported")
	}
	configMap.Data[importedByKey] = string(storage)
	if _, err := client.CoreV1().ConfigMaps(namespace).Update(ctx, configMap, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("recording that the export was imported: %w", err)
	}
	return nil
}

// Unconfirm has the server take the export over again, as the storage that has it
// may be lost. What that holds of it is replaced. The host must not be switched.
func Unconfirm(ctx context.Context, client Client, namespace string) error {
	configMap, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, RecordName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the record of the export: %w", err)
	}
	if configMap.Data[importedByKey] == "" {
		return nil
	}
	configMap.Data[replacesKey] = configMap.Data[importedByKey]
	delete(configMap.Data, importedByKey)
	if _, err := client.CoreV1().ConfigMaps(namespace).Update(ctx, configMap, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("requesting another import of the export: %w", err)
	}
	return nil
}

// Remove removes the export from the host, its record first.
func Remove(ctx context.Context, client Client, namespace string) error {
	err := client.CoreV1().ConfigMaps(namespace).Delete(ctx, RecordName, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("removing the record of the export: %w", err)
	}
	return removeSecrets(ctx, client, namespace)
}

func removeSecrets(ctx context.Context, client Client, namespace string) error {
	selector := metav1.ListOptions{LabelSelector: Label + "=" + exportValue}
	secrets, err := client.CoreV1().Secrets(namespace).List(ctx, selector)
	if err != nil {
		return fmt.Errorf("looking for the export: %w", err)
	}
	for i := range secrets.Items {
		err := client.CoreV1().Secrets(namespace).Delete(ctx, secrets.Items[i].Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("removing the export: %w", err)
		}
	}
	return nil
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{Label: exportValue}}
}

func secretName(i int) string { return fmt.Sprintf("%s-%d", RecordName, i) }
