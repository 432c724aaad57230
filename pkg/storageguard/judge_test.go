package storageguard

import (
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// pediaCluster returns one that is marked as ours, with those lifecycles as owners.
func pediaCluster(lifecycles ...types.UID) metav1.PartialObjectMetadata {
	object := metav1.PartialObjectMetadata{}
	object.Annotations = map[string]string{policyv1alpha1.CreatedForAnnotation: "mcp/clusters.mcp.io//one"}
	for _, uid := range lifecycles {
		object.OwnerReferences = append(object.OwnerReferences, metav1.OwnerReference{
			APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "PediaClusterLifecycle", Name: "one", UID: uid})
	}
	return object
}

func TestOnlyTheRightStorageIsServed(t *testing.T) {
	list := func(items ...metav1.PartialObjectMetadata) []metav1.PartialObjectMetadata { return items }
	stored := sets.New[types.UID]("a", "b")
	for name, test := range map[string]struct {
		facts   facts
		refused string // part of the message, empty when it is served
	}{
		"a fresh installation":                  {facts: facts{storage: "new", host: "h"}},
		"a fresh one where another was":         {facts: facts{storage: "new", host: "h", recorded: "old"}},
		"the one that was":                      {facts: facts{storage: "s", boundTo: "h", host: "h", recorded: "s", pediaClusters: list(pediaCluster("a")), lifecycles: stored}},
		"the one that was, with gaps":           {facts: facts{storage: "s", boundTo: "h", host: "h", recorded: "s", pediaClusters: list(pediaCluster("z")), lifecycles: stored}},
		"the one that was, stopped half-way":    {facts: facts{storage: "s", host: "h", recorded: "s", pediaClusters: list(pediaCluster("a")), lifecycles: stored}},
		"that of an earlier release":            {facts: facts{storage: "s", host: "h", pediaClusters: list(pediaCluster("a"), pediaCluster()), lifecycles: stored}},
		"one whose record was removed":          {facts: facts{storage: "s", boundTo: "h", host: "h", pediaClusters: list(pediaCluster("a")), lifecycles: stored}},
		"another":                               {facts{storage: "new", host: "h", recorded: "old", pediaClusters: list(pediaCluster("a")), lifecycles: stored}, "from the storage old"},
		"an empty one":                          {facts{storage: "new", host: "h", recorded: "old", pediaClusters: list(pediaCluster("a"))}, "0 lifecycles"},
		"an empty one, what is ours is unowned": {facts{storage: "new", host: "h", pediaClusters: list(pediaCluster())}, "from another storage than this one"},
		"an unknown one that lacks a lifecycle": {facts{storage: "s", host: "h", pediaClusters: list(pediaCluster("a"), pediaCluster("z")), lifecycles: stored}, "from another storage than this one"},
		"an old one whose record was removed":   {facts{storage: "s", boundTo: "h", host: "h", pediaClusters: list(pediaCluster("z")), lifecycles: stored}, "from another storage than this one"},
		"that of another host":                  {facts{storage: "s", boundTo: "g", host: "h"}, "belongs to another host"},
		"that of another host, recorded":        {facts{storage: "s", boundTo: "g", host: "h", recorded: "s"}, "belongs to another host"},
		"another one, accepted":                 {facts: facts{storage: "new", host: "h", recorded: "old", pediaClusters: list(pediaCluster("a")), accepted: true}},
		"that of another host, accepted":        {facts: facts{storage: "s", boundTo: "g", host: "h", accepted: true}},
		"one that was replaced once":            {facts{storage: "s", boundTo: "h", host: "h", recorded: "new", replaced: true, pediaClusters: list(pediaCluster("a"))}, "was replaced by new"},
		"one that was replaced, accepted":       {facts{storage: "s", boundTo: "h", host: "h", recorded: "new", replaced: true, accepted: true, pediaClusters: list(pediaCluster("a"))}, "does not apply to it"},
		"an old copy within the server": {facts{storage: "s", boundTo: "h", host: "h", recorded: "s", kind: "embedded", recordedKind: "external",
			pediaClusters: list(pediaCluster("a")), lifecycles: stored}, "which may be old"},
		"a copy outside of the server": {facts: facts{storage: "s", boundTo: "h", host: "h", recorded: "s", kind: "external", recordedKind: "embedded",
			pediaClusters: list(pediaCluster("a")), lifecycles: stored}},
		"one that came back": {facts: facts{storage: "s", boundTo: "h", host: "h", recorded: "s", replaced: true}},
	} {
		t.Run(name, func(t *testing.T) {
			err := judge(test.facts)
			if test.refused == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if refused := (*Refusal)(nil); !errors.As(err, &refused) {
				t.Fatalf("served: %v", err)
			}
			if !strings.Contains(err.Error(), test.refused) {
				t.Errorf("no %q in: %v", test.refused, err)
			}
			if offered := strings.Contains(err.Error(), "--accept-storage="+string(test.facts.storage)); offered == test.facts.replaced {
				t.Errorf("whether it can be accepted is told wrong in: %v", err)
			}
		})
	}
}

func TestOnlyLostLifecyclesAreTakenOff(t *testing.T) {
	mixed := pediaCluster("a", "z")
	mixed.OwnerReferences = append(mixed.OwnerReferences,
		metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "of a user", UID: "y"},
		metav1.OwnerReference{APIVersion: "policy.example.io/v1", Kind: "PediaClusterLifecycle", Name: "of another group", UID: "x"})
	f := facts{lifecycles: sets.New[types.UID]("a"), pediaClusters: []metav1.PartialObjectMetadata{pediaCluster(), pediaCluster("a"), mixed}}
	dangling := f.dangling()
	if len(dangling) != 1 || dangling[0] != &f.pediaClusters[2] {
		t.Fatalf("dangling are %v", dangling)
	}
	var lost []types.UID
	for _, owner := range mixed.OwnerReferences {
		if f.lost(owner) {
			lost = append(lost, owner.UID)
		}
	}
	if len(lost) != 1 || lost[0] != "z" {
		t.Errorf("lost are %v", lost)
	}
}

func TestWhatIsOurs(t *testing.T) {
	marked, owned, foreign := pediaCluster(), pediaCluster("a"), metav1.PartialObjectMetadata{}
	owned.Annotations = nil
	foreign.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", UID: "a"}}
	if !isOurs(&marked) || !isOurs(&owned) || isOurs(&foreign) || isOurs(&metav1.PartialObjectMetadata{}) {
		t.Error("what was made for an import is told by mark or owner")
	}
}
