package integration

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// policyOn returns a policy on the type "clusters" of the group.
func policyOn(group, name, selector string) *policyv1alpha1.ClusterImportPolicy {
	policy := newPolicy(name)
	policy.Spec.Source.Group, policy.Spec.Source.SelectorTemplate = group, selector
	return policy
}

func TestOfManyPoliciesOnOneTypeOneComes(t *testing.T) {
	policies := asUser(t).ClusterImportPolicies()
	var made atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := policies.Create(t.Context(), policyOn("race.io", fmt.Sprintf("race-%d", i), ""), metav1.CreateOptions{})
			switch {
			case err == nil:
				made.Add(1)
			case !apierrors.IsInvalid(err):
				t.Errorf("refused otherwise: %v", err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d policies were made", made.Load())
	}
}

func TestPoliciesThatSelectShareAType(t *testing.T) {
	policies := asUser(t).ClusterImportPolicies()
	for i := range 3 {
		if _, err := policies.Create(t.Context(), policyOn("shared.io", fmt.Sprintf("shared-%d", i), "true"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := policies.Create(t.Context(), policyOn("shared.io", "shared-all", ""), metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("one that takes all: %v", err)
	}
	_, err := policies.Patch(t.Context(), "shared-0", types.MergePatchType, []byte(`{"spec":{"source":{"selectorTemplate":null}}}`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("one that begins to take all: %v", err)
	}
	if _, err := policies.Patch(t.Context(), "shared-0", types.MergePatchType, []byte(`{"spec":{"suspend":true}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("another change: %v", err)
	}
}

func TestADryRunClaimsNothing(t *testing.T) {
	policies := asUser(t).ClusterImportPolicies()
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	if _, err := policies.Create(t.Context(), policyOn("dry.io", "dry-one", ""), dry); err != nil {
		t.Fatal(err)
	}
	if _, err := policies.Create(t.Context(), policyOn("dry.io", "dry-two", ""), metav1.CreateOptions{}); err != nil {
		t.Errorf("after a dry run of another: %v", err)
	}
	if _, err := policies.Create(t.Context(), policyOn("dry.io", "dry-three", ""), dry); !apierrors.IsInvalid(err) {
		t.Errorf("a dry run of one that would be refused: %v", err)
	}
}

func TestAClaimGoesWithItsPolicy(t *testing.T) {
	policies := asUser(t).ClusterImportPolicies()
	first := createPolicy(t, policyOn("again.io", "again-one", ""))
	if err := policies.Delete(t.Context(), first.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := policies.Create(t.Context(), policyOn("again.io", "again-two", ""), metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("while the first is still being deleted: %v", err)
	}
	if _, err := asServer(t).ClusterImportPolicies().Patch(t.Context(), first.Name, types.MergePatchType, withoutFinalizers, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := policies.Create(t.Context(), policyOn("again.io", "again-two", ""), metav1.CreateOptions{}); err != nil {
		t.Errorf("when the first is gone: %v", err)
	}
	// One that is refused for another reason claims nothing.
	if _, err := policies.Create(t.Context(), policyOn("again-too.io", "again-two", ""), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a name that is there: %v", err)
	}
	if _, err := policies.Create(t.Context(), policyOn("again-too.io", "again-three", ""), metav1.CreateOptions{}); err != nil {
		t.Errorf("after one that was refused: %v", err)
	}
}

func TestTheClaimOfAPolicyThatNeverCameIsTakenOver(t *testing.T) {
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{shared.endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = etcd.Close() }()
	claim := func(age time.Duration) {
		text, err := json.Marshal(policyv1alpha1.SourceClaim{
			TypeMeta:   metav1.TypeMeta{APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "SourceClaim"},
			ObjectMeta: metav1.ObjectMeta{Name: "clusters.crashed.io"},
			Holders:    []policyv1alpha1.SourceHolder{{Policy: "crashed", UID: "1", Time: metav1.NewTime(time.Now().Add(-age))}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := etcd.Put(t.Context(), "/registry/policy.clusterpedia.io/sourceclaims/clusters.crashed.io", string(text)); err != nil {
			t.Fatal(err)
		}
	}
	policies := asUser(t).ClusterImportPolicies()
	claim(0)
	if _, err := policies.Create(t.Context(), policyOn("crashed.io", "crashed-two", ""), metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("while the first may still come: %v", err)
	}
	claim(5 * time.Minute)
	if _, err := policies.Create(t.Context(), policyOn("crashed.io", "crashed-two", ""), metav1.CreateOptions{}); err != nil {
		t.Errorf("when it cannot come any more: %v", err)
	}
}
