package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

const (
	// canaryLabel is on the Source of the canary, which is the cluster for probes: that is never
	// deleted.
	canaryLabel = "example.io/canary"
	// mostUnverified is spec.rollout.maxConcurrent. It is so small that a rollout outlives leaders.
	mostUnverified = 8
)

// suffix is what the policy's template adds to every endpoint.
func (p *platform) suffix() string {
	if p.edits == 0 {
		return ""
	}
	return fmt.Sprintf("/edit-%d", p.edits)
}

var editPattern = regexp.MustCompile(`/edit-(\d+)"`)

// editOf is which edit a template is of.
func editOf(template string) int {
	found := editPattern.FindStringSubmatch(template)
	if found == nil {
		return 0
	}
	edit, _ := strconv.Atoi(found[1])
	return edit
}

// rollouts edits the policy of the main platform in turns, and looks at how far that has come.
type rollouts struct {
	*world
	platform *platform
	// looks are how often it was looked at, midway how often a rollout was under way, and most
	// the most imports that were unverified.
	looks, midway, most int
}

// rollOut has edits of the policy of the main platform go in turns, and looks at them until the
// returned function is called.
func rollOut(t *testing.T, w *world) (r *rollouts, end func()) {
	t.Helper()
	r = &rollouts{world: w, platform: w.platforms[0]}
	must(t, r.platform.patchSource(t.Context(), probeCluster, fmt.Sprintf(`{"metadata":{"labels":{%q:"true"}}}`, canaryLabel)))
	r.patch(t, fmt.Sprintf(`{"spec":{"rollout":{"first":{"matchLabels":{%q:"true"}},"maxConcurrent":%d}}}`, canaryLabel, mostUnverified))
	ctx, stop := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	looking.Go(func() {
		for ctx.Err() == nil {
			if err := r.look(ctx); err != nil {
				t.Error(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(pollPeriod):
			}
		}
	})
	return r, func() {
		stop()
		looking.Wait()
		if r.midway == 0 {
			t.Error("no rollout was seen midway")
		}
		note(t, "rollouts: %d edits in turns, looked at %d times, %d of them midway; at most %d imports were unverified, %d may be",
			r.platform.edits, r.looks, r.midway, r.most, mostUnverified)
	}
}

func (r *rollouts) patch(t *testing.T, patch string) {
	t.Helper()
	must(t, insist(t.Context(), func(ctx context.Context) error {
		_, err := r.policy.PolicyV1alpha1().ClusterImportPolicies().Patch(ctx, r.platform.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}))
}

// edit edits the template, and returns when imports have taken that.
func (r *rollouts) edit(t *testing.T) {
	t.Helper()
	p := r.platform
	p.mu.Lock()
	p.edits++
	policy, endpoint := example(t, "policy.yaml"), "{{ .source.spec.apiEndpoint }}"
	template, _, _ := unstructured.NestedString(policy.Object, "spec", "template")
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": strings.Replace(template, endpoint, endpoint+p.suffix(), 1)}})
	must(t, err)
	r.patch(t, string(patch))
	p.mu.Unlock()
	within(t, "the rollout begins", func(ctx context.Context) error {
		lifecycles, err := r.policy.PolicyV1alpha1().PediaClusterLifecycles().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		taken := 0
		for i := range lifecycles.Items {
			if editOf(lifecycles.Items[i].Spec.Template) == p.edits {
				taken++
			}
		}
		if taken < 2*mostUnverified {
			err = fmt.Errorf("%d imports have taken the edit", taken)
		}
		return err
	})
}

// look fails when a bound is broken: more unverified imports than may be, or any import that has
// taken an edit before the canary was verified. A list is of one moment.
func (r *rollouts) look(ctx context.Context) error {
	attempt, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := r.policy.PolicyV1alpha1().PediaClusterLifecycles().List(attempt, metav1.ListOptions{
		FieldSelector: policyv1alpha1.FieldPolicy + "=" + r.platform.name})
	if err != nil {
		return nil // nobody answers just now
	}
	unverified, newest, former := 0, 0, 0
	var canary *policyv1alpha1.PediaClusterLifecycle
	for i := range list.Items {
		lifecycle := &list.Items[i]
		if lifecycle.Name == r.platform.pediaCluster(probeCluster) {
			canary = lifecycle
		}
		if isUnverified(lifecycle) {
			unverified++
		}
		newest = max(newest, editOf(lifecycle.Spec.Template))
	}
	if canary == nil {
		return errors.New("the canary has no lifecycle")
	}
	for i := range list.Items {
		lifecycle := &list.Items[i]
		rollout := lifecycle.Status.Rollout
		switch {
		case editOf(lifecycle.Spec.Template) < newest:
			former++
		case lifecycle == canary || rollout == nil || rollout.TakenTime == nil: // it is new
		case editOf(canary.Spec.Template) < newest || isUnverified(canary):
			return fmt.Errorf("%s has taken edit %d, and the canary is not verified with it: %+v", lifecycle.Name, newest, canary.Status.Rollout)
		case rollout.State == policyv1alpha1.RolloutFailed:
			return fmt.Errorf("%s has failed: %s", lifecycle.Name, rollout.Message)
		}
	}
	r.looks++
	if former > 0 && former < len(list.Items)-1 {
		r.midway++
	}
	r.most = max(r.most, unverified)
	if unverified > mostUnverified {
		return fmt.Errorf("%d imports are unverified, and %d may be", unverified, mostUnverified)
	}
	return nil
}

func isUnverified(lifecycle *policyv1alpha1.PediaClusterLifecycle) bool {
	return lifecycle.Status.Rollout != nil && lifecycle.Status.Rollout.State == policyv1alpha1.RolloutUnverified
}

// isDone waits until the policy says that every import has the newest revision.
func (r *rollouts) isDone(t *testing.T) {
	t.Helper()
	r.platform.mu.Lock()
	defer r.platform.mu.Unlock()
	within(t, "the rollout ends", func(ctx context.Context) error {
		policy, err := r.policy.PolicyV1alpha1().ClusterImportPolicies().Get(ctx, r.platform.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		said := policy.Status.Rollout
		if said == nil || said.Verified != said.Total || int(said.Total) < len(r.platform.names()) {
			return fmt.Errorf("it says %+v", said)
		}
		return nil
	})
}
