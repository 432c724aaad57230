package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// events returns the events about the objects that the policy of the platform is,
// or has made.
func (p *platform) events(t *testing.T) (found []eventsv1.Event) {
	t.Helper()
	list, err := p.objects.Resource(schema.GroupVersionResource{Group: "events.k8s.io", Version: "v1", Resource: "events"}).
		List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, item := range list.Items {
		var event eventsv1.Event
		must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &event))
		if event.Regarding.Name == p.name || strings.HasPrefix(event.Regarding.Name, p.name+"-") {
			found = append(found, event)
		}
	}
	return found
}

// waitForEvent waits until kubectl describe shows an event with all of the parts
// in one line.
func (p *platform) waitForEvent(t *testing.T, kind, name string, parts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("describe %s %s shows the event %q", kind, name, parts), func() error {
		out, err := p.Kubectl(t.Context(), nil, "describe", kind, name)
		if err != nil {
			return err
		}
		_, events, _ := strings.Cut(out, "\nEvents:")
		for line := range strings.Lines(events) {
			if mentions(line, parts...) == nil {
				return nil
			}
		}
		return errors.New(events)
	})
}

func TestEventsTellWhatBecameOfACluster(t *testing.T) {
	t.Parallel()
	const secret = "a-token-that-nobody-may-see"
	p := shared.installPlatform(t, "eventful")
	must(t, p.createCluster(t.Context(), "one", "first", false))
	p.waitForEvent(t, "pcl", "eventful-one", "Normal", policyv1alpha1.ReasonWaitingForCondition, "creationCondition is not true yet")

	p.setReady(t, "one")
	p.waitForToken(t, "one", "first")
	p.waitForEvent(t, "pcl", "eventful-one", "Normal", "Created", "PediaCluster eventful-one was created")
	p.waitForEvent(t, "pediacluster", "eventful-one", "Normal", "Created", "PediaCluster eventful-one was created")

	p.setToken(t, "one", secret)
	p.waitForToken(t, "one", secret)
	p.waitForEvent(t, "pcl", "eventful-one", "Normal", "Updated", "changed: spec.tokenData")
	p.waitForEvent(t, "pediacluster", "eventful-one", "Normal", "Updated", "changed: spec.tokenData")

	p.kubectl(t, "delete", "secret", "-n", p.name, "one-auth")
	p.waitForEvent(t, "pcl", "eventful-one", "Normal", policyv1alpha1.ReasonWaitingForReference, "one-auth")

	p.deleteCluster(t, "one")
	p.waitUntilGone(t, "one")
	eventually(t, "an event tells why the PediaCluster went", func() error {
		out, err := p.Kubectl(t.Context(), nil, "get", "events", "-A",
			"--field-selector", "involvedObject.kind=PediaClusterLifecycle,involvedObject.name=eventful-one,reason=Deleted")
		if err != nil {
			return err
		}
		return mentions(out, "Deleted", policyv1alpha1.ReasonSourceGone)
	})
	for _, event := range p.events(t) {
		if strings.Contains(event.Note, secret) {
			t.Errorf("the token is in the event %q", event.Note)
		}
	}
}

func TestEventsTellOfAReleaseAndOfAConflict(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "eventconflict")
	set(t, p.manifests.policy, "eventconflict-same", "spec", "nameTemplate")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForReady(t, "eventconflict-same", policyv1alpha1.ReasonCreated)
	for _, name := range []string{"two", "three"} {
		must(t, p.createCluster(t.Context(), name, "secret", true))
		p.waitForEvent(t, "cip", p.name, "Warning", policyv1alpha1.ReasonNameTaken, "Source "+name+":")
	}

	p.kubectl(t, "delete", "pcl", "eventconflict-same", "--timeout=60s")
	p.waitForEvent(t, "pediacluster", "eventconflict-same", "Normal", "Released")
}

func TestEventsTellThatARemovalIsHeld(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "eventheld")
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	p.waitForToken(t, "one", "secret")
	p.edit(t, `{"spec":{"maxPrune":0,"source":{"selectorTemplate":"{{ ne .source.metadata.name \"one\" }}"}}}`)
	p.waitForEvent(t, "pcl", "eventheld-one", "Warning", policyv1alpha1.ReasonPruneHeld, "the selectors no longer select the Source")
	p.waitForEvent(t, "cip", p.name, "Warning", policyv1alpha1.ReasonPruneHeld, "the removal of 1 PediaCluster is held")

	p.edit(t, `{"spec":{"source":{"selectorTemplate":null}}}`)
	p.waitForEvent(t, "pcl", "eventheld-one", "Normal", "Imported")
}

func TestEventsOfBulkWorkAreSummedUp(t *testing.T) {
	t.Parallel()
	const clusters, most = 100, 40
	p := shared.installPlatform(t, "eventbulk")
	inParallel(t, clusters, func(ctx context.Context, i int) error {
		return p.createCluster(ctx, clusterName(i), "secret", true)
	})
	p.waitForCreated(t, clusters)
	p.waitForEvent(t, "cip", p.name, "Normal", "Created", "PediaClusters were created, such as")

	// Every creation is told of, one by one or in a summary.
	eventually(t, "the events tell of every creation", func() error {
		told := 0
		for _, event := range p.events(t) {
			switch {
			case event.Reason != "Created":
			case event.Regarding.Kind == "PediaClusterLifecycle":
				told++
			case event.Regarding.Kind == "ClusterImportPolicy":
				var n int
				if _, err := fmt.Sscanf(event.Note, "%d PediaClusters", &n); err != nil {
					return err
				}
				told += n
			}
		}
		if told != clusters {
			return fmt.Errorf("they tell of %d of %d", told, clusters)
		}
		return nil
	})
	found := p.events(t)
	t.Logf("%d events", len(found))
	if len(found) > most {
		t.Errorf("%d clusters made %d events, want at most %d", clusters, len(found), most)
	}
}
