package decision

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// pediaClusterOf is the PediaCluster of the lifecycle as Clusterpedia has it, with
// a token of about 900 bytes that expires.
func pediaClusterOf(lifecycle *Lifecycle) *unstructured.Unstructured {
	encode := base64.RawURLEncoding.EncodeToString
	token := strings.Join([]string{encode([]byte(`{"alg":"RS256","kid":"` + strings.Repeat("k", 43) + `"}`)),
		encode([]byte(`{"aud":["https://kubernetes.default.svc"],"exp":1935576000,"sub":"` + strings.Repeat("s", 250) + `"}`)),
		encode([]byte(strings.Repeat("g", 256)))}, ".")
	condition := func(name string) any {
		return map[string]any{"type": name, "status": "True", "reason": name, "message": "cluster is " + name,
			"lastTransitionTime": "2031-04-01T12:00:00Z"}
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{
			"apiserver": "https://amsterdam.example.com:6443",
			"caData":    base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a line of a certificate authority, in PEM\n", 27))),
			"tokenData": base64.StdEncoding.EncodeToString([]byte(token)),
			"syncResources": []any{
				map[string]any{"group": "", "resources": []any{"pods"}},
				map[string]any{"group": "apps", "resources": []any{"*"}},
			},
		},
		"status": map[string]any{
			"apiserver": "https://amsterdam.example.com:6443", "version": "v1.36.3",
			"conditions": []any{condition("Validated"), condition("SynchroRunning"), condition("ClusterHealthy"), condition("Ready")},
		},
	}}
	object.SetGroupVersionKind(render.PediaClusterGVK)
	object.SetName(lifecycle.Name)
	object.SetAnnotations(map[string]string{policyv1alpha1.CreatedForAnnotation: OwnerOf(lifecycle).CreatedFor()})
	object.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "PediaClusterLifecycle", Name: lifecycle.Name, UID: lifecycle.UID}})
	return object
}

// BenchmarkConverged computes the status of a lifecycle and compares it with
// what is stored, as each pass over an import ends: after its PediaCluster was made,
// with nothing to do, and after a token was rotated.
func BenchmarkConverged(b *testing.B) {
	lifecycle := lifecycle(func(l *Lifecycle) { l.Generation = 3 })
	pediaCluster := pediaClusterOf(lifecycle)
	references := []render.Reference{{Key: "authSecret", Found: true,
		Target: policyv1alpha1.DependentResource{Version: "v1", Resource: "secrets", Namespace: "mcp-system", Name: "amsterdam-auth"}}}
	created := Execution{PediaCluster: pediaCluster, Plan: render.Plan{Action: render.ActionCreate, Reason: policyv1alpha1.ReasonCreated}}
	rotated := Execution{PediaCluster: pediaCluster, Plan: render.Plan{Action: render.ActionUpdate, Reason: policyv1alpha1.ReasonCreated, Changed: []string{"spec.tokenData"}}}
	nothing := Execution{PediaCluster: pediaCluster, Plan: render.Plan{Action: render.ActionNone, Reason: policyv1alpha1.ReasonCreated}}

	converged := func(lifecycle *Lifecycle, done Execution) Status {
		return Projection{Lifecycle: lifecycle, Now: metav1.Now()}.Converged(Convergence{Execution: done, References: references})
	}
	known := lifecycle.DeepCopy()
	known.Status = converged(lifecycle, created)
	longAgo := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	known.Status.Credentials.ChangedTime = &longAgo
	for i := range known.Status.Conditions {
		known.Status.Conditions[i].LastTransitionTime = longAgo
	}
	if status := known.Status; status.Phase != policyv1alpha1.LifecycleImported || !IsCreated(status) || len(status.References) != 1 ||
		status.Cluster.Ready != "True" || status.Credentials.ExpirationTime.Unix() != 1935576000 || len(status.Conditions) != 3 {
		b.Fatalf("the status is %+v", status)
	}

	for _, test := range []struct {
		plan      string
		lifecycle *Lifecycle
		done      Execution
		same      bool
	}{
		{"create", lifecycle, created, false},
		{"nothing", known, nothing, true},
		{"rotate", known, rotated, false},
	} {
		b.Run("plan="+test.plan, func(b *testing.B) {
			status := converged(test.lifecycle, test.done)
			if status.Phase != policyv1alpha1.LifecycleImported || status.Credentials.ChangedTime.Equal(&longAgo) != test.same {
				b.Fatalf("the status is %+v", status)
			}
			b.ReportAllocs()
			for b.Loop() {
				status := converged(test.lifecycle, test.done)
				if equality.Semantic.DeepEqual(test.lifecycle.Status, status) != test.same {
					b.Fatalf("the status %+v becomes %+v", test.lifecycle.Status, status)
				}
			}
		})
	}
	b.Run("comparison", func(b *testing.B) {
		status := converged(known, nothing)
		later := *status.DeepCopy()
		later.Conditions = slices.Clone(later.Conditions)
		later.Conditions[len(later.Conditions)-1].Message = "another message"
		if equality.Semantic.DeepEqual(known.Status, later) {
			b.Fatal("a change is not seen")
		}
		b.ReportAllocs()
		for b.Loop() {
			if !equality.Semantic.DeepEqual(known.Status, status) {
				b.Fatal("the same status differs")
			}
		}
	})
}
