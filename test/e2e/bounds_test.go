package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// A lifecycle has at most this size beyond its conversion.
const mostOfALifecycle = 16 << 10

// checkSizes fails the test if a lifecycle of the platform, its policy's status or an
// event about them is large.
func (p *platform) checkSizes(t *testing.T) {
	t.Helper()
	lifecycles, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(), metav1.ListOptions{FieldSelector: policyv1alpha1.FieldPolicy + "=" + p.name})
	must(t, err)
	for _, lifecycle := range lifecycles.Items {
		whole, err := json.Marshal(lifecycle)
		must(t, err)
		conversion, err := json.Marshal(lifecycle.Spec)
		must(t, err)
		if size := len(whole) - len(conversion); size > mostOfALifecycle {
			t.Errorf("%s has %d bytes beyond its conversion", lifecycle.Name, size)
		}
		for _, condition := range lifecycle.Status.Conditions {
			if len(condition.Message) > 1024 {
				t.Errorf("%s: a message of %d bytes", lifecycle.Name, len(condition.Message))
			}
		}
	}
	policy, err := p.policy.PolicyV1alpha1().ClusterImportPolicies().Get(t.Context(), p.name, metav1.GetOptions{})
	must(t, err)
	status, err := json.Marshal(policy.Status)
	must(t, err)
	if len(status) > mostOfALifecycle {
		t.Errorf("the status of the policy has %d bytes", len(status))
	}
	for _, event := range p.events(t) {
		if len(event.Note) > 1024 {
			t.Errorf("an event of %d bytes", len(event.Note))
		}
	}
}

func TestRule16AHostileSourceCannotFillTheServer(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "hostile")
	// Sources say what is looked up, where, and how the cluster is called.
	set(t, p.manifests.policy, "true", "spec", "creationCondition")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	huge := strings.Repeat("x", 1_000_000)
	for _, test := range []struct {
		name, patch, reason string
		parts               []string
	}{
		{"name", `{"spec":{"authSecretRef":{"name":"` + huge + `"}}}`, policyv1alpha1.ReasonTemplateFailed,
			[]string{"spec.references[0].nameTemplate: renders", "cannot be the name of one of secrets"}},
		{"namespace", `{"spec":{"authSecretRef":{"namespace":"` + huge + `"}}}`, policyv1alpha1.ReasonTemplateFailed,
			[]string{"spec.references[0].namespaceTemplate: renders", "cannot be a namespace"}},
		{"path", `{"spec":{"authSecretRef":{"name":"../../../nodes/one"}}}`, policyv1alpha1.ReasonTemplateFailed,
			[]string{"spec.references[0].nameTemplate: renders", "cannot be the name"}},
		{"markup", `{"spec":{"authSecretRef":{"name":"` + strings.Repeat("<", 100_000) + `"}}}`, policyv1alpha1.ReasonTemplateFailed,
			[]string{"cannot be the name"}},
		{"address", `{"spec":{"apiEndpoint":"https://` + huge + `"}}`, policyv1alpha1.ReasonCreated, nil},
	} {
		must(t, p.createCluster(t.Context(), test.name, "secret", true))
		p.waitForToken(t, test.name, "secret")
		p.patch(t, p.objects.Resource(p.resource), test.name, test.patch)
		p.waitForLifecycle(t, p.pediaClusterName(test.name), "says "+test.reason, func(lifecycle *policyv1alpha1.PediaClusterLifecycle, message string) error {
			ready := meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady)
			if test.name == "address" && (lifecycle.Status.Cluster == nil || len(lifecycle.Status.Cluster.APIServer) != 512) {
				return fmt.Errorf("its cluster is %+v", lifecycle.Status.Cluster)
			}
			return errors.Join(same("reason", ready.Reason, test.reason), mentions(message, test.parts...))
		})
		// Nothing that exists changes.
		if test.name != "address" {
			p.waitForToken(t, test.name, "secret")
		}
	}
	// One that was never imported is a failure of the policy.
	p.edit(t, `{"spec":{"nameTemplate":"{{ if eq .source.metadata.name \"strange\" }}{{ .source.spec.apiEndpoint }}{{ else }}hostile-{{ .source.metadata.name }}{{ end }}"}}`)
	must(t, p.createObject(t.Context(), "strange", true))
	p.patch(t, p.objects.Resource(p.resource), "strange", `{"spec":{"apiEndpoint":"`+huge+`"}}`)
	p.waitForPolicy(t, "lists it", func(status policyv1alpha1.ClusterImportPolicyStatus) error {
		for _, failure := range status.Failures {
			if failure.Name == "strange" {
				return nil
			}
		}
		return fmt.Errorf("its failures are %v", status.Failures)
	})
	p.checkSizes(t)

	// So are the answers of previews, but for the PediaCluster itself.
	review := p.render(t, policyv1alpha1.RenderReviewSpec{})
	for _, result := range review.Status.Results {
		result.PediaCluster = nil
		text, err := json.Marshal(result)
		must(t, err)
		if len(text) > 8<<10 {
			t.Errorf("the answer about %s has %d bytes", result.Source.Name, len(text))
		}
	}
	// The wide table is for people.
	if out := p.kubectl(t, "get", "pcl", "-o", "wide", "--field-selector", policyv1alpha1.FieldPolicy+"="+p.name); len(out) > 10*mostOfALifecycle {
		t.Errorf("the table has %d bytes", len(out))
	}
}

func TestRule16ASourceThatIsRenamedAgainAndAgainHasTwoLifecyclesAtMost(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "restless")
	set(t, p.manifests.policy, int64(0), "spec", "maxPrune")
	set(t, p.manifests.policy, "restless-{{ .source.metadata.labels.called }}", "spec", "nameTemplate")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	call := func(name string) {
		t.Helper()
		p.patch(t, p.objects.Resource(p.resource), "one", `{"metadata":{"labels":{"called":"`+name+`"}}}`)
	}
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	call("n0")
	p.waitForReady(t, "restless-n0", policyv1alpha1.ReasonCreated)

	most := p.countLifecycles(t)
	call("n1")
	p.waitForReady(t, "restless-n1", policyv1alpha1.ReasonCreated)
	for i := range 35 {
		call(fmt.Sprintf("n%d", i+2))
	}
	var wanted string
	eventually(t, "two lifecycles are left, and one says why", func() error {
		lifecycles, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(), metav1.ListOptions{FieldSelector: policyv1alpha1.FieldPolicy + "=" + p.name})
		if err != nil {
			return err
		}
		if len(lifecycles.Items) != 2 {
			return fmt.Errorf("there are %d", len(lifecycles.Items))
		}
		for _, lifecycle := range lifecycles.Items {
			ready := meta.FindStatusCondition(lifecycle.Status.Conditions, policyv1alpha1.LifecycleReady)
			if ready != nil && ready.Reason == policyv1alpha1.ReasonRenamed {
				wanted = lifecycle.Name
				return mentions(ready.Message, `nameTemplate renders "restless-n36" now; this name is used after the lifecycle "restless-n0"`, "kept up to date under the former name")
			}
		}
		return fmt.Errorf("none says why: %+v", lifecycles.Items)
	})
	if found := most(); found > 2 {
		t.Errorf("there were %d lifecycles at a time", found)
	}
	if clusters := len(p.uids(t)); clusters != 2 {
		t.Errorf("there are %d PediaClusters", clusters)
	}
	p.waitForCounts(t, policyv1alpha1.ImportCounts{Selected: 1, Created: 1, Held: 1})

	// The one that is kept follows its Source, and a return to it is no third name.
	p.setToken(t, "one", "rotated")
	eventually(t, "the one that is kept has the new token", func() error {
		object, err := p.objects.Resource(pediaClusters).Get(t.Context(), wanted, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return same("tokenData", text(object, "spec", "tokenData"), "cm90YXRlZA==")
	})
	call(strings.TrimPrefix(wanted, "restless-"))
	p.waitForReady(t, wanted, policyv1alpha1.ReasonCreated)

	// A plan that is released gives the name free.
	plan := p.waitForHeld(t, 1)
	call("n36")
	p.waitForReady(t, wanted, policyv1alpha1.ReasonRenamed)
	_, err := p.release(t, plan)
	must(t, err)
	p.waitForReady(t, "restless-n36", policyv1alpha1.ReasonCreated)
}

// countLifecycles watches the lifecycles of the policy, and returns a function that
// says how many there were at most at a time.
func (p *platform) countLifecycles(t *testing.T) (most func() int) {
	t.Helper()
	client := p.policy.PolicyV1alpha1().PediaClusterLifecycles()
	selected := metav1.ListOptions{FieldSelector: policyv1alpha1.FieldPolicy + "=" + p.name}
	list, err := client.List(t.Context(), selected)
	must(t, err)
	selected.ResourceVersion = list.ResourceVersion
	watcher, err := client.Watch(t.Context(), selected)
	must(t, err)
	count, highest := len(list.Items), len(list.Items)
	var mu sync.Mutex
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range watcher.ResultChan() {
			mu.Lock()
			switch event.Type {
			case apiwatch.Added:
				count++
			case apiwatch.Deleted:
				count--
			}
			highest = max(highest, count)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		watcher.Stop()
		<-done
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return highest
	}
}

func TestRule16AMistakeInANameIsCorrected(t *testing.T) {
	t.Parallel()
	p := shared.newPlatform(t, "mistaken")
	set(t, p.manifests.policy, int64(0), "spec", "maxPrune")
	set(t, p.manifests.policy, "mistaken-{{ .source.metadata.labels.called }}", "spec", "nameTemplate")
	p.installType(t)
	p.apply(t, p.manifests.policy.Object)
	must(t, p.createObject(t.Context(), "one", true)) // without its Secret
	call := func(name string) {
		t.Helper()
		p.patch(t, p.objects.Resource(p.resource), "one", `{"metadata":{"labels":{"called":"`+name+`"}}}`)
	}
	call("a")
	p.waitForReady(t, "mistaken-a", policyv1alpha1.ReasonWaitingForReference)
	// No PediaCluster was made, and so no name has to wait for another.
	for _, name := range []string{"b", "c", "d", "e"} {
		call(name)
		p.waitForReady(t, "mistaken-"+name, policyv1alpha1.ReasonWaitingForReference)
	}
	eventually(t, "one lifecycle is left", func() error {
		lifecycles, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().List(t.Context(), metav1.ListOptions{FieldSelector: policyv1alpha1.FieldPolicy + "=" + p.name})
		if err != nil {
			return err
		}
		return same("lifecycles", fmt.Sprint(len(lifecycles.Items)), "1")
	})

	// With a former PediaCluster that is held, the mistake alone goes.
	must(t, p.objects.Resource(p.resource).Delete(t.Context(), "one", metav1.DeleteOptions{}))
	p.waitForCounts(t, policyv1alpha1.ImportCounts{})
	must(t, p.createCluster(t.Context(), "one", "secret", true))
	call("good")
	p.waitForReady(t, "mistaken-good", policyv1alpha1.ReasonCreated)
	before := p.uids(t)
	p.patch(t, p.objects.Resource(p.resource), "one", `{"metadata":{"labels":{"called":"typo"}},"spec":{"apiEndpoint":""}}`)
	p.waitForReady(t, "mistaken-typo", policyv1alpha1.ReasonNoEndpoint)
	call("right")
	p.waitForReady(t, "mistaken-right", policyv1alpha1.ReasonNoEndpoint)
	if _, err := p.policy.PolicyV1alpha1().PediaClusterLifecycles().Get(t.Context(), "mistaken-typo", metav1.GetOptions{}); gone(err) != nil {
		t.Errorf("the mistake is still there: %v", gone(err))
	}
	p.keep(t, before)
}
