package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestAPausedLifecycleChangesNothingAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "paused")
	for _, cluster := range []string{"one", "two"} {
		must(t, p.createCluster(t.Context(), cluster, "old", true))
		p.waitForToken(t, cluster, "old")
	}
	p.kubectl(t, "annotate", "pcl", "paused-one", policyv1alpha1.PausedAnnotation+"=true")
	held := p.waitForReady(t, "paused-one", policyv1alpha1.ReasonPaused)
	must(t, same("phase", string(held.Status.Phase), string(policyv1alpha1.LifecycleHeld)))
	before := p.waitForToken(t, "one", "old")

	p.setToken(t, "one", "new")
	p.setToken(t, "two", "new")
	p.waitForToken(t, "two", "new")
	if after := p.sameObject(t, "one", before); after.GetResourceVersion() != before.GetResourceVersion() {
		t.Error("the PediaCluster of the paused lifecycle was written")
	}
	// Not even the deletion of its Source.
	p.deleteCluster(t, "one")
	p.deleteCluster(t, "two")
	p.waitUntilGone(t, "two")
	p.sameObject(t, "one", before)

	p.kubectl(t, "annotate", "pcl", "paused-one", policyv1alpha1.PausedAnnotation+"-")
	p.waitUntilGone(t, "one")
}

func TestADeletedPolicyLeavesThePediaClusterOfAPausedLifecycle(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "pausedaway")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	before := p.waitForToken(t, "one", "secret")
	p.kubectl(t, "annotate", "pcl", "pausedaway-one", policyv1alpha1.PausedAnnotation+"=true")
	p.waitForReady(t, "pausedaway-one", policyv1alpha1.ReasonPaused)
	p.kubectl(t, "delete", "clusterimportpolicy", p.name, "--timeout=60s")
	after := p.sameObject(t, "one", before)
	if len(after.GetOwnerReferences()) > 0 {
		t.Errorf("it is owned by %v", after.GetOwnerReferences())
	}
}

func TestAResyncIsDoneAndSaysSo(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "resynced")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	before := p.waitForToken(t, "one", "secret")
	p.waitForReady(t, "resynced-one", policyv1alpha1.ReasonCreated)
	for _, value := range []string{"1", "2"} {
		p.kubectl(t, "annotate", "--overwrite", "pcl", "resynced-one", policyv1alpha1.ResyncAnnotation+"="+value)
		eventually(t, "the resync is done", func() error {
			lifecycle, err := p.lifecycle(t.Context(), "one")
			if err != nil {
				return err
			}
			return same("lastResync", lifecycle.Status.LastResync, value)
		})
	}
	if after := p.sameObject(t, "one", before); after.GetResourceVersion() != before.GetResourceVersion() {
		t.Error("a resync that finds nothing to do writes")
	}
}

func TestThePolicyTellsTheVersionsAndThePhases(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "summed")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	must(t, p.createCluster(t.Context(), "two", "secret", false))
	p.waitForPolicy(t, "counts by phase", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		want := policyv1alpha1.ImportCounts{Selected: 2, Created: 1, Imported: 1, Waiting: 1}
		if status.Counts != want || status.SourceVersion != "v1alpha1" ||
			len(status.ReferenceVersions) != 1 || status.ReferenceVersions[0].Version != "v1" {
			return fmt.Errorf("its status is %+v", status)
		}
		return nil
	})
}

func TestTheWideTableTellsWhenCredentialsChanged(t *testing.T) {
	p := shared.installPlatform(t, "synced")
	must(t, p.createCluster(t.Context(), "one", "old", true))
	p.waitForToken(t, "one", "old")
	created := p.waitForReady(t, "synced-one", policyv1alpha1.ReasonCreated)
	if created.Status.Credentials == nil || created.Status.Credentials.ChangedTime == nil {
		t.Fatalf("nothing is said of its credentials: %+v", created.Status)
	}
	header, _, _ := strings.Cut(p.kubectl(t, "get", "pcl", "synced-one", "-o", "wide"), "\n")
	must(t, same("columns", strings.Join(strings.Fields(header), " "),
		"NAME PHASE REASON READY VERSION AGE POLICY SOURCE APISERVER SYNCED EXPIRES REVISION MESSAGE"))

	// Times have seconds.
	time.Sleep(time.Until(created.Status.Credentials.ChangedTime.Add(1100 * time.Millisecond)))
	p.setToken(t, "one", "new")
	var changed metav1.Time
	eventually(t, "the change shows", func() error {
		lifecycle, err := p.lifecycle(t.Context(), "one")
		if err == nil && !lifecycle.Status.Credentials.ChangedTime.After(created.Status.Credentials.ChangedTime.Time) {
			err = errors.New("it shows the former time")
		}
		if err == nil {
			changed = *lifecycle.Status.Credentials.ChangedTime
		}
		return err
	})
	// A label is no change of credentials.
	p.kubectl(t, "label", "pediacluster", "synced-one", "a=b")
	p.patch(t, p.objects.Resource(p.resource), "one", `{"metadata":{"labels":{"c":"d"}}}`)
	p.setToken(t, "one", "new")
	lifecycle, err := p.lifecycle(t.Context(), "one")
	must(t, err)
	if !lifecycle.Status.Credentials.ChangedTime.Equal(&changed) {
		t.Errorf("changed at %s, and was at %s", lifecycle.Status.Credentials.ChangedTime, changed)
	}
}
