package controller

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
)

// exampleState is what is known of the policy of test/mcp while
// its imports are worked on.
func exampleState(b *testing.B) *policyState {
	b.Helper()
	text, err := os.ReadFile("../../test/mcp/policy.yaml")
	if err != nil {
		b.Fatal(err)
	}
	policy := &policyv1alpha1.ClusterImportPolicy{}
	if err := yaml.UnmarshalStrict(text, policy); err != nil {
		b.Fatal(err)
	}
	policy.UID, policy.Generation = "policy-uid", 3
	return &policyState{
		policy:     policy,
		source:     servedtypes.Type{GroupVersionResource: schema.GroupVersionResource{Group: "cluster.mcp.io", Version: "v1alpha1", Resource: "clusters"}},
		references: []referenceType{{Type: servedtypes.Type{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}}}},
	}
}

// importNumber is an import of a policy with many.
func importNumber(n int) memory.Import { return importOfMCP(fmt.Sprintf("cluster-%06d", n)) }

// passOver is a pass over an import, and the lifecycle that its policy wants for it.
func passOver(state *policyState, n int) (*pass, *lifecycles.Lifecycle) {
	work := &pass{Import: importNumber(n), state: state}
	lifecycle := work.newLifecycle(fmt.Sprintf("mcp-cluster-%06d", n))
	lifecycle.UID, lifecycle.Generation = "lifecycle-uid", 3
	return work, lifecycle
}

// countedSummaries has worked on that many imports, of which some failed.
func countedSummaries(imports, failures int) *policySummaries {
	t := newPolicySummaries()
	for n := range imports {
		if n < failures {
			t.set(importNumber(n), newImportResult(policyv1alpha1.LifecycleFailed, false, policyv1alpha1.ReasonTemplateFailed, "spec.template: 3:7: no such value"))
		} else {
			t.set(importNumber(n), imported)
		}
	}
	return t
}

// BenchmarkPolicySummarySet records what became of one import. It must not grow with the
// number of imports.
func BenchmarkPolicySummarySet(b *testing.B) {
	for _, imports := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("imports=%d", imports), func(b *testing.B) {
			t := countedSummaries(imports, 0)
			changing := make([]memory.Import, 1_000)
			for n := range changing {
				changing[n] = importNumber(n * imports / len(changing))
			}
			if t.set(changing[0], waiting); t.of("mcp").counts != (policyv1alpha1.ImportCounts{
				Selected: int32(imports), Created: int32(imports) - 1, Imported: int32(imports) - 1, Waiting: 1}) {
				b.Fatalf("counts %+v", t.of("mcp").counts)
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				result := imported
				if n/len(changing)%2 == 0 {
					result = waiting
				}
				t.set(changing[n%len(changing)], result)
			}
		})
	}
}

// BenchmarkSummaryBegin is what a pass over all imports begins with.
func BenchmarkSummaryBegin(b *testing.B) {
	for _, imports := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("imports=%d", imports), func(b *testing.B) {
			t, all := countedSummaries(imports, 0), map[memory.Import]struct{}{}
			for n := range imports {
				all[importNumber(n)] = struct{}{}
			}
			if t.begin("mcp", all); len(t.of("mcp").outstanding) != imports || len(t.of("mcp").results) != imports {
				b.Fatalf("%d imports are left of %d", len(t.of("mcp").outstanding), len(t.of("mcp").results))
			}
			b.ReportAllocs()
			for b.Loop() {
				t.begin("mcp", all)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*imports), "ns/import")
		})
	}
}

// BenchmarkTurn decides who is next in a fleet of which a tenth has taken the newest revision.
func BenchmarkTurn(b *testing.B) {
	for _, imports := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("imports=%d", imports), func(b *testing.B) {
			r, spec := newRollouts(), &policyv1alpha1.Rollout{}
			policyv1alpha1.SetDefaults_Rollout(spec)
			for n := range imports {
				i, record := importNumber(n), decision.Record{Revision: "a", State: policyv1alpha1.RolloutVerified}
				if n%10 == 0 {
					record.Revision = "b"
				}
				r.report(i, 1, &decision.Member{Name: i.Name, Record: record, Waits: n%10 > 0, Created: true, Ready: "True"})
			}
			p := r.policies["mcp"]
			b.ReportAllocs()
			for now := time.Unix(0, 0); b.Loop(); now = now.Add(time.Hour) {
				p.changed = true
				_, next, _, ok := r.decide(decision.Rollout{Policy: "mcp", Spec: spec, Revision: "b", Now: now}, 1)
				if !ok || len(next) != imports/10 {
					b.Fatalf("%d are next", len(next))
				}
				for _, i := range next {
					p.members[i].allowed = allowance{}
				}
			}
		})
	}
}

// BenchmarkPolicyStatus sums up a policy whose status says so already, as once a
// second while its imports are worked on. It must not grow with the number of
// imports; those that failed are listed.
func BenchmarkPolicyStatus(b *testing.B) {
	for _, size := range []struct{ imports, failures int }{{1_000, 0}, {100_000, 0}, {100_000, 10}, {100_000, 1_000}, {100_000, 100_000}} {
		b.Run(fmt.Sprintf("imports=%d/failures=%d", size.imports, size.failures), func(b *testing.B) {
			t, state := countedSummaries(size.imports, size.failures), exampleState(b)
			status, ok := t.status(state, pruning{}, nil)
			if !ok || status.Counts.Imported != int32(size.imports-size.failures) || len(status.Failures) != min(size.failures, maxListedFailures) {
				b.Fatalf("the status is %+v, %t", status, ok)
			}
			state.policy.Status = status
			b.ReportAllocs()
			for b.Loop() {
				if status, ok := t.status(state, pruning{}, nil); !ok || !equality.Semantic.DeepEqual(status, state.policy.Status) {
					b.Fatalf("another status: %+v", status)
				}
			}
		})
	}
}

// BenchmarkDesiredLifecycle is how each pass over an import learns that its
// lifecycle is what the policy wants.
func BenchmarkDesiredLifecycle(b *testing.B) {
	work, lifecycle := passOver(exampleState(b), 0)
	if spec := lifecycle.Spec; policyv1alpha1.ControllingPolicy(lifecycle).Name != "mcp" || spec.Source.Name != "cluster-000000" || spec.Template == "" ||
		len(spec.References) != 1 || spec.References[0].Key != "authSecret" || spec.References[0].Version != "v1" {
		b.Fatalf("the lifecycle is %+v", lifecycle)
	}
	// What storage answered shares no memory with the policy.
	lifecycle.Spec.Template = strings.Clone(lifecycle.Spec.Template)
	lifecycle.Spec.CreationCondition = strings.Clone(lifecycle.Spec.CreationCondition)
	changed := lifecycle.DeepCopy()
	changed.Spec.References[0].Version = "v2"
	if equality.Semantic.DeepEqual(changed.Spec, work.newLifecycle(lifecycle.Name).Spec) {
		b.Fatal("a change is not seen")
	}
	b.ReportAllocs()
	for b.Loop() {
		if !equality.Semantic.DeepEqual(lifecycle.Spec, work.newLifecycle(lifecycle.Name).Spec) {
			b.Fatal("the lifecycle is not what the policy wants")
		}
	}
}

// onLifecycles runs the benchmark with the lifecycles of a small and a large fleet.
func onLifecycles(b *testing.B, run func(b *testing.B, c *importController, imports int)) {
	for _, imports := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("imports=%d", imports), func(b *testing.B) {
			state := exampleState(b)
			indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, lifecycles.Indexers())
			for n := range imports {
				_, lifecycle := passOver(state, n)
				if err := indexer.Add(lifecycle); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			run(b, &importController{
				policies: &policyController{states: map[string]*policyState{"mcp": state}},
				store:    lifecycles.New(nil, indexer, clock.RealClock{}),
			}, imports)
		})
	}
}

// BenchmarkLifecyclesOfSource looks up the lifecycles of one import, as each pass
// over it begins. It must not grow with the number of imports.
func BenchmarkLifecyclesOfSource(b *testing.B) {
	onLifecycles(b, func(b *testing.B, c *importController, imports int) {
		looked := make([]memory.Import, 1_000)
		for n := range looked {
			looked[n] = importNumber(n * imports / len(looked))
		}
		for n := 0; b.Loop(); n = (n + 1) % len(looked) {
			if found := c.lifecyclesOf(looked[n]); len(found) != 1 || importOf(found[0]) != looked[n] {
				b.Fatalf("found %v for %v", found, looked[n])
			}
		}
	})
}

// BenchmarkLifecyclesOfPolicy is a pass over a fleet: what begins with one must not
// be done for each import.
func BenchmarkLifecyclesOfPolicy(b *testing.B) {
	onLifecycles(b, func(b *testing.B, c *importController, imports int) {
		for b.Loop() {
			if found := c.store.OfPolicy("mcp"); len(found) != imports {
				b.Fatalf("found %d lifecycles of %d", len(found), imports)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*imports), "ns/import")
	})
}
