package migrate

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/migration"
)

// What a server that makes its own certificate keeps it in.
const (
	certificateSecret = "policy-apiserver-serving-cert"
	authoritiesKey    = "ca.crt"
)

// automanaged is the label of APIServices that the host takes back for its CRDs.
const automanaged = "kube-aggregator.kubernetes.io/automanaged"

// export writes what the CRDs hold to the backup and to the host, unless it is
// there already from an earlier attempt.
func (m *Migration) export(ctx context.Context, _ *state) error {
	objects, err := m.listAll(ctx)
	if err != nil {
		return err
	}
	earlier, record, err := migration.Read(ctx, m.Kubernetes, m.Namespace)
	if err != nil {
		return fmt.Errorf("%w (remove the ConfigMap %s/%s to export again)", err, m.Namespace, migration.RecordName)
	}
	if record != nil && differences(earlier, objects) == nil {
		m.say("%d objects, exported before", record.Objects)
		// The storage that took them over then may be gone.
		return migration.Unconfirm(ctx, m.Kubernetes, m.Namespace)
	}
	restoreFinalizers(objects, earlier)
	if err := m.backUp(objects); err != nil {
		return err
	}
	if record, err = migration.Write(ctx, m.Kubernetes, m.Namespace, objects); err != nil {
		return err
	}
	m.say("%d objects in %d Secrets of the namespace %s", record.Objects, record.Secrets, m.Namespace)
	return nil
}

// restoreFinalizers gives the objects those that an earlier attempt has taken off.
func restoreFinalizers(objects, earlier []unstructured.Unstructured) {
	finalizers := map[types.UID][]string{}
	for i := range earlier {
		finalizers[earlier[i].GetUID()] = earlier[i].GetFinalizers()
	}
	for i := range objects {
		if len(objects[i].GetFinalizers()) == 0 {
			objects[i].SetFinalizers(finalizers[objects[i].GetUID()])
		}
	}
}

// backUp writes the objects to the file, for nobody else to read: templates may
// have credentials in them.
func (m *Migration) backUp(objects []unstructured.Unstructured) (err error) {
	var text strings.Builder
	count := 0
	for i := range objects {
		if isCanary(&objects[i]) {
			continue
		}
		document, err := yaml.Marshal(objects[i].Object)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "---\n%s", document)
		count++
	}
	temporary, err := os.CreateTemp(filepath.Dir(m.Backup), ".clusterimport-migration-") // has the mode 0600
	if err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	_, err = temporary.WriteString(text.String())
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), m.Backup)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing the backup: %w", err), os.Remove(temporary.Name()))
	}
	m.say("%d objects in the file %s", count, m.Backup)
	return nil
}

// differences is an error that names what is not the same in both, but for what
// the migration itself changes.
func differences(exported, live []unstructured.Unstructured) error {
	known := map[types.UID]*unstructured.Unstructured{}
	for i := range exported {
		known[exported[i].GetUID()] = essence(&exported[i])
	}
	for i := range live {
		before, now := known[live[i].GetUID()], essence(&live[i])
		if before == nil {
			return fmt.Errorf("%s is new", describe(now))
		}
		if !apiequality.Semantic.DeepEqual(before.Object, now.Object) {
			return fmt.Errorf("%s has changed", describe(now))
		}
		delete(known, live[i].GetUID())
	}
	for _, gone := range known {
		return fmt.Errorf("%s no longer exists", describe(gone))
	}
	return nil
}

func essence(object *unstructured.Unstructured) *unstructured.Unstructured {
	object = object.DeepCopy()
	object.SetResourceVersion("")
	object.SetFinalizers(nil)
	object.SetManagedFields(nil)
	delete(object.Object, "status")
	return object
}

// removeFinalizers takes the finalizers off objects that are not being deleted,
// which deletes none of them.
func (m *Migration) removeFinalizers(ctx context.Context, _ *state) error {
	count := 0
	for _, resource := range resources {
		items, err := list(ctx, m.resource(resource))
		if err != nil {
			return fmt.Errorf("listing %s: %w", resource, err)
		}
		for i := range items {
			object := &items[i]
			if len(object.GetFinalizers()) == 0 {
				continue
			}
			if object.GetDeletionTimestamp() != nil {
				return fmt.Errorf("%s is being deleted: start Clusterpedia's controller-manager again to end the deletion", describe(object))
			}
			patch := fmt.Sprintf(`{"metadata":{"uid":%q,"resourceVersion":%q,"finalizers":null}}`, object.GetUID(), object.GetResourceVersion())
			if _, err := m.resource(resource).Patch(ctx, object.GetName(), types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
				return fmt.Errorf("removing the finalizers from %s: %w", describe(object), err)
			}
			count++
		}
	}
	m.say("%d objects had some", count)
	return nil
}

// awaitImport returns when the server has the export in its storage.
func (m *Migration) awaitImport(ctx context.Context, _ *state) error {
	var record *migration.Record
	err := m.await(ctx, "the server has taken the export over", func() (err error) {
		record, err = migration.ReadRecord(ctx, m.Kubernetes, m.Namespace)
		switch {
		case err != nil:
			return err
		case record == nil:
			return errors.New("the export no longer exists")
		case record.ImportedBy == "":
			return fmt.Errorf("it has not: its log in the namespace %s says why. It must run, and its storage must be a new one", m.Namespace)
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.say("%d objects in the storage %s", record.Objects, record.ImportedBy)
	return nil
}

// switchOver leads the group to the server's Service.
func (m *Migration) switchOver(ctx context.Context, _ *state) error {
	if err := m.stillStopped(ctx); err != nil {
		return err
	}
	exported, _, err := migration.Read(ctx, m.Kubernetes, m.Namespace)
	if err != nil {
		return err
	}
	live, err := m.listAll(ctx)
	if err != nil {
		return err
	}
	if err := differences(exported, live); err != nil {
		return fmt.Errorf("since the export, %w", err)
	}
	if err := withoutFinalizers(live); err != nil {
		return err
	}
	caBundle, err := m.caBundle(ctx)
	if err != nil {
		return err
	}
	client := m.Objects.Resource(migration.APIServices)
	service, err := client.Get(ctx, migration.APIServiceName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the APIService: %w", err)
	}
	labels := service.GetLabels()
	delete(labels, automanaged)
	service.SetLabels(labels)
	service.Object["spec"] = map[string]any{
		"group": policyv1alpha1.GroupName, "version": policyv1alpha1.SchemeGroupVersion.Version,
		"groupPriorityMinimum": int64(1000), "versionPriority": int64(15),
		"service":  map[string]any{"namespace": m.Namespace, "name": m.Service, "port": int64(m.Port)},
		"caBundle": base64.StdEncoding.EncodeToString(caBundle),
	}
	if _, err := client.Update(ctx, service, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("changing the APIService: %w", err)
	}
	m.say("APIService %s leads to the Service %s/%s", migration.APIServiceName, m.Namespace, m.Service)
	return nil
}

// withoutFinalizers is an error that names an object with finalizers.
func withoutFinalizers(objects []unstructured.Unstructured) error {
	for i := range objects {
		if finalizers := objects[i].GetFinalizers(); len(finalizers) > 0 {
			return fmt.Errorf("%s has the finalizers %s again: the component that adds them reconciles the objects of the CRDs, and must not run",
				describe(&objects[i]), strings.Join(finalizers, ", "))
		}
	}
	return nil
}

// noAuthorityError says that nothing is known to vouch for the server.
type noAuthorityError struct{ secret string }

func (e *noAuthorityError) Error() string {
	return fmt.Sprintf("give the authority of the server's certificate with --ca-file: there is no Secret %s with %s", e.secret, authoritiesKey)
}

// caBundle returns what vouches for the server's certificate.
func (m *Migration) caBundle(ctx context.Context) ([]byte, error) {
	if len(m.CABundle) > 0 {
		return m.CABundle, nil
	}
	secret, err := m.Kubernetes.CoreV1().Secrets(m.Namespace).Get(ctx, certificateSecret, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading the authority of the server's certificate: %w", err)
	}
	if err != nil || len(secret.Data[authoritiesKey]) == 0 {
		return nil, &noAuthorityError{m.Namespace + "/" + certificateSecret}
	}
	return secret.Data[authoritiesKey], nil
}

// verify returns when the server answers for the group, and with the objects of
// the export.
func (m *Migration) verify(ctx context.Context, _ *state) error {
	exported, _, err := migration.Read(ctx, m.Kubernetes, m.Namespace)
	if err != nil {
		return err
	}
	if exported == nil {
		return errors.New("there is no export to compare with")
	}
	err = m.await(ctx, "the server answers with what the CRDs held", func() error {
		if err := m.answeredByServer(); err != nil {
			return err
		}
		served, err := m.listAll(ctx)
		if err != nil {
			return err
		}
		uids := map[string]types.UID{}
		for i := range served {
			uids[describe(&served[i])] = served[i].GetUID()
		}
		for i := range exported {
			if got := uids[describe(&exported[i])]; got != exported[i].GetUID() && !isCanary(&exported[i]) {
				return fmt.Errorf("%s had the UID %s and has %q", describe(&exported[i]), exported[i].GetUID(), got)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.say("%d objects have the UIDs that they had", len(exported))
	return nil
}

// answeredByServer is an error unless the group has what CRDs cannot have.
func (m *Migration) answeredByServer() error {
	found, err := m.Kubernetes.Discovery().ServerResourcesForGroupVersion(policyv1alpha1.SchemeGroupVersion.String())
	if err != nil {
		return fmt.Errorf("asking who serves %s: %w", policyv1alpha1.SchemeGroupVersion, err)
	}
	if !slices.ContainsFunc(found.APIResources, func(r metav1.APIResource) bool { return r.Name == "clusterimportpolicies/render" }) {
		return fmt.Errorf("%s is not answered by the server yet: see the conditions of the APIService %s",
			policyv1alpha1.SchemeGroupVersion, migration.APIServiceName)
	}
	return nil
}

// removeDefinitions deletes the CRDs and, with them, their objects, which nobody
// watches any more.
func (m *Migration) removeDefinitions(ctx context.Context, s *state) error {
	if err := m.stillStopped(ctx); err != nil {
		return err
	}
	client := m.Objects.Resource(migration.Definitions)
	for _, resource := range resources {
		definition := s.definitions[resource]
		if definition == nil {
			continue
		}
		uid := definition.GetUID()
		err := client.Delete(ctx, definition.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("removing the CRD %s: %w", definition.GetName(), err)
		}
		if err := m.awaitGone(ctx, "the CRD "+definition.GetName()+" is removed", func() error {
			_, err := client.Get(ctx, definition.GetName(), metav1.GetOptions{})
			return err
		}); err != nil {
			return err
		}
		m.say("%s is removed", definition.GetName())
	}
	return nil
}

// clean removes the export, which the server needs no more.
func (m *Migration) clean(ctx context.Context, _ *state) error {
	return migration.Remove(ctx, m.Kubernetes, m.Namespace)
}
