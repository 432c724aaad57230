package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

const (
	randomWrites  = 1000
	randomWriters = 4
	randomSeed    = 13
)

// Who has every right on lifecycles and none on PediaClusters deletes and disowns
// none, whatever is written. DELETE is not among the writes: it releases a
// PediaCluster, as a person who deletes a lifecycle wants it.
func TestAThousandWritesOfLifecyclesDeleteAndDisownNothing(t *testing.T) {
	t.Parallel()
	p := shared.installPlatform(t, "riotous")
	const clusters = 8
	for i := range clusters {
		must(t, p.createCluster(t.Context(), clusterName(i), clusterToken(i), true))
	}
	p.waitForCreated(t, clusters)
	pediaClustersBefore, lifecyclesBefore := map[string]*unstructured.Unstructured{}, map[string]*policyv1alpha1.PediaClusterLifecycle{}
	for i := range clusters {
		pediaClustersBefore[clusterName(i)] = p.waitForToken(t, clusterName(i), clusterToken(i))
		lifecycle, err := p.lifecycle(t.Context(), clusterName(i))
		must(t, err)
		lifecyclesBefore[clusterName(i)] = lifecycle
	}
	user := objectsFor(t, p.grant(t, "rita", rule(policyv1alpha1.GroupName, "pediaclusterlifecycles", nil, "*"),
		rule(policyv1alpha1.GroupName, "pediaclusterlifecycles/*", nil, "*")))

	began := time.Now()
	taken := p.riot(t, user.Resource(lifecyclesGVR), clusters, lifecyclesBefore[clusterName(0)].OwnerReferences[0].UID)
	t.Logf("%d writes, of which %d were taken, in %s", randomWrites, taken, time.Since(began).Round(time.Millisecond))
	if taken < randomWrites/10 || taken == randomWrites {
		t.Errorf("%d of %d writes were taken: this test does not do what it should", taken, randomWrites)
	}

	p.awaitGarbageCollection(t)
	for i := range clusters {
		name := clusterName(i)
		before, lifecycle := pediaClustersBefore[name], lifecyclesBefore[name]
		after := p.sameObject(t, name, before)
		for _, path := range [][]string{{"spec"}, {"metadata", "ownerReferences"}, {"metadata", "annotations"}} {
			want, _, _ := unstructured.NestedFieldNoCopy(before.Object, path...)
			got, _, _ := unstructured.NestedFieldNoCopy(after.Object, path...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of the PediaCluster of %s: -before +after:\n%s", strings.Join(path, "."), name, diff)
			}
		}
		now, err := p.lifecycle(t.Context(), name)
		must(t, err)
		if now.UID != lifecycle.UID || now.DeletionTimestamp != nil || !slices.Contains(now.Finalizers, policyv1alpha1.Finalizer) {
			t.Errorf("the lifecycle of %s is another, or goes: %+v", name, now.ObjectMeta)
		}
		if diff := cmp.Diff([]any{lifecycle.Spec, lifecycle.OwnerReferences}, []any{now.Spec, now.OwnerReferences}); diff != "" {
			t.Errorf("the lifecycle of %s: -before +after:\n%s", name, diff)
		}
		// What users may do they may undo.
		p.calm(t, name)
	}
	for i := range clusters {
		p.follows(t, clusterName(i), clusterToken(i)+", rotated")
	}
	// Nothing has become undeletable, either.
	for i := range clusters {
		p.deleteCluster(t, clusterName(i))
	}
	for i := range clusters {
		p.waitUntilGone(t, clusterName(i))
	}
}

// calm removes what keeps an import from being worked on, as its users would.
func (p *platform) calm(t *testing.T, cluster string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"finalizers": []any{}, "annotations": map[string]any{policyv1alpha1.PausedAnnotation: nil, policyv1alpha1.OrphanAnnotation: nil},
	}})
	must(t, err)
	p.patch(t, p.objects.Resource(lifecyclesGVR), p.pediaClusterName(cluster), string(patch))
}

// riot writes lifecycles of the policy at random, and returns how many of the
// writes were taken.
func (p *platform) riot(t *testing.T, lifecycles dynamic.ResourceInterface, clusters int, policy types.UID) (taken int) {
	t.Helper()
	var mu sync.Mutex
	inParallel(t, randomWriters, func(ctx context.Context, writer int) error {
		r := rand.New(rand.NewPCG(randomSeed, uint64(writer)))
		for i := range randomWrites / randomWriters {
			name := p.pediaClusterName(clusterName(r.IntN(clusters)))
			what, err := randomWrite(t, r, lifecycles, name, policy)
			switch {
			case err == nil:
				mu.Lock()
				taken++
				mu.Unlock()
			case !isRefusal(err):
				return fmt.Errorf("write %d of writer %d to %s: %s: %w", i, writer, name, what, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
	return taken
}

// isRefusal reports whether the server would not have the write. That there is no
// such object is something else.
func isRefusal(err error) bool {
	var status apierrors.APIStatus
	switch {
	case !errors.As(err, &status), apierrors.IsNotFound(err):
		return false
	case status.Status().Code == http.StatusInternalServerError:
		// An apply of two owners with one UID is answered so, for every kind.
		return strings.Contains(err.Error(), "failed to create typed patch object")
	default:
		return status.Status().Code >= 400 && status.Status().Code < 500
	}
}

// randomWrite changes something in some way.
func randomWrite(t *testing.T, r *rand.Rand, lifecycles dynamic.ResourceInterface, name string, policy types.UID) (what string, err error) {
	fields := map[string]any{}
	for range 1 + r.IntN(3) {
		combine(fields, randomChange(r, policy))
	}
	var subresources []string
	if r.IntN(3) == 0 {
		subresources = []string{"status"}
	}
	ways := waysToWrite(t, lifecycles, name, subresources...)
	verbs := make([]string, 0, len(ways))
	for verb := range ways {
		verbs = append(verbs, verb)
	}
	slices.Sort(verbs)
	verb := verbs[r.IntN(len(verbs))]
	_, err = ways[verb](fields)
	return fmt.Sprintf("%s of %v, subresource %v", verb, fields, subresources), err
}

// combine adds fields to others. What both have is as it is in fields.
func combine(others, fields map[string]any) {
	for key, value := range fields {
		inner, isMap := value.(map[string]any)
		if into, ok := others[key].(map[string]any); ok && isMap {
			combine(into, inner)
		} else {
			others[key] = value
		}
	}
}

// randomChange returns fields with other values, or with nil: without them.
func randomChange(r *rand.Rand, policy types.UID) map[string]any {
	one := func(values ...any) any { return values[r.IntN(len(values))] }
	metadata := func(field string, value any) map[string]any {
		return map[string]any{"metadata": map[string]any{field: value}}
	}
	owner := func() any {
		owner := map[string]any{
			"apiVersion": one(policyv1alpha1.SchemeGroupVersion.String(), policyv1alpha1.SchemeGroupVersion.String(), "v1", "a/b"),
			"kind":       one("ClusterImportPolicy", "ClusterImportPolicy", "ConfigMap", "X"),
			"name":       one("riotous", "gone", "other"),
			"uid":        one(string(policy), string(policy), "00000000-0000-0000-0000-000000000000", ""),
		}
		if r.IntN(2) == 0 {
			owner["controller"] = one(true, false)
		}
		if r.IntN(3) == 0 {
			owner["blockOwnerDeletion"] = one(true, false)
		}
		return owner
	}
	finalizers := []any{}
	for range r.IntN(3) {
		finalizers = append(finalizers, one(policyv1alpha1.Finalizer, "example.com/mine", formerLifecycleFinalizer,
			metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents, "no finalizer"))
	}
	switch r.IntN(12) {
	case 0, 1:
		return metadata("ownerReferences", one(nil, []any{}, []any{owner()}, []any{owner(), owner()},
			[]any{map[string]any{"$patch": "replace"}}, []any{map[string]any{"$patch": "delete", "uid": "1"}}))
	case 2, 3:
		return metadata("finalizers", one(nil, finalizers, finalizers, finalizers))
	case 4, 5:
		return metadata("annotations", one(nil, map[string]any{one(policyv1alpha1.RemovedAnnotation, policyv1alpha1.OrphanAnnotation, policyv1alpha1.PausedAnnotation,
			policyv1alpha1.ResyncAnnotation, policyv1alpha1.CreatedForAnnotation, policyv1alpha1.ReleasePruneAnnotation, "note").(string): one(nil, "true", "false", "1")}))
	case 6:
		return metadata("labels", one(nil, map[string]any{"team": one(nil, "a", "b")}))
	case 7:
		fields := []string{"uid", "resourceVersion", "name", "deletionTimestamp", "creationTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields"}
		values := []any{"1", "1", "other", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", int64(0), int64(9), []any{}}
		n := r.IntN(len(fields))
		return metadata(fields[n], one(nil, values[n]))
	case 8, 9:
		return map[string]any{"spec": one(nil, map[string]any{one("template", "creationCondition", "deletionCondition", "deletionPolicy").(string): one(nil, "true", "spec: {}", "Delete")},
			map[string]any{"source": map[string]any{one("group", "version", "resource", "namespace", "name").(string): one(nil, "other", "v1")}}, map[string]any{"references": one(nil, []any{})})}
	default:
		return map[string]any{"status": one(nil, map[string]any{"phase": one(nil, "Deleting", "Held", "Imported")}, map[string]any{"prunePlan": one(nil, "1")},
			map[string]any{"sourceDefinition": one(nil, "00000000-0000-0000-0000-000000000000")}, map[string]any{"conditions": one(nil, []any{})},
			map[string]any{"references": one(nil, []any{})}, map[string]any{"lastResync": "1"})}
	}
}
