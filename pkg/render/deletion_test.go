package render

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// The deletion condition is asked whenever what it reads is there.
func TestTheDeletionConditionIsAskedWhenWhatItReadsIsThere(t *testing.T) {
	missing := func(policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) { return nil, nil }
	unreadable := func(policyv1alpha1.DependentResource) (*unstructured.Unstructured, error) {
		return nil, errors.New("forbidden")
	}
	present := reviewed().Lookup
	for name, test := range map[string]struct {
		condition string
		lookup    Lookup
		unknown   bool
		holds     bool
	}{
		"none":                       {"", missing, false, false},
		"the Source alone":           {"true", missing, false, true},
		"the Source alone, not true": {"{{ .source.spec.no }}", missing, false, false},
		"the Source alone, through what is absent": {"{{ .source.spec.no.such }}", missing, false, false},
		"the Source alone, with an error":          {`{{ fail "broken" }}`, missing, true, false},
		"beside a reference that cannot be read":   {"true", unreadable, false, true},
		"the reference":                            {"{{ .references.secret.data.token }}true", missing, true, false},
		"the reference, in a branch":               {"{{ if .source.spec.no }}{{ .references.secret.data.token }}{{ end }}true", missing, true, false},
		"the reference, in a definition":           {`{{ define "t" }}{{ .references.secret.data.token }}{{ end }}{{ template "t" . }}true`, missing, true, false},
		"the reference, by its key":                {`{{ hasKey .references "secret" | not }}`, missing, true, false},
		"all references":                           {"{{ not .references }}", missing, true, false},
		"everything":                               {"{{ $ | toJson | len | lt 100 }}", missing, true, false},
		"the reference that is there":              {"{{ if .references.secret.data.token }}true{{ end }}", present, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			policy, errs := Compile(reviewedSpec(func(spec *policyv1alpha1.ClusterImportPolicySpec) { spec.DeletionCondition = test.condition }))
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			conversion := policy.Convert(Inputs{Name: "mcp-one", Source: reviewed().Source, Versions: []string{"v1"}, Lookup: test.lookup})
			if conversion.DeletionUnknown != test.unknown || conversion.DeletionCondition.Holds != test.holds {
				t.Errorf("unknown: %v, holds: %v, %v", conversion.DeletionUnknown, conversion.DeletionCondition.Holds, conversion.DeletionCondition.Err)
			}
			current := live(map[string]any{"apiserver": "https://one"}, createdFor(createdForOne))
			if action := conversion.Plan(owner, current, nil).Action; (action == ActionDelete) != test.holds {
				t.Errorf("the action is %s", action)
			}
		})
	}
}

func TestDescribeFinalizers(t *testing.T) {
	for want, finalizers := range map[string][]string{
		`its finalizer "example.com/mine", which the client that set it must remove`: {"example.com/mine"},
		`its finalizers "clusterpedia.io/cluster-synchro-controller", which Clusterpedia's clustersynchro-manager removes: it must run, and "b", which the client that set it must remove`: {
			"clusterpedia.io/cluster-synchro-controller", "b"},
		`its finalizer "foregroundDeletion", which the host's garbage collector removes`: {"foregroundDeletion"},
		`its finalizers "a", which the client that set it must remove, and "b", which the client that set it must remove, and "c", which the client that set it must remove, and 2 more`: {
			"a", "b", "c", "d", "e"},
	} {
		if diff := cmp.Diff(want, DescribeFinalizers(finalizers)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"a"}, ForeignFinalizers([]string{policyv1alpha1.Finalizer, "a"})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestASourceThatIsBeingDeletedIsSaidToBe(t *testing.T) {
	deleted := metav1.NewTime(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	going := reviewed(noSecret, func(in *ReviewInputs) {
		in.Source.SetDeletionTimestamp(&deleted)
		in.Source.SetFinalizers([]string{"cluster.example.com"})
	})
	policy, errs := Compile(reviewedSpec())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	const want = `the Source is being deleted (since 2026-07-01T12:00:00Z; it waits for its finalizer "cluster.example.com")`
	if diff := cmp.Diff(want+`: reference "secret": secrets "default/one-auth" does not exist`, policy.Review(going).Message); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want, SourceMessage(going.Source, "")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := SourceMessage(reviewed().Source, "as it is"); got != "as it is" {
		t.Errorf("of a Source that stays it is said: %s", got)
	}
}

func TestAPediaClusterThatHangsNamesItsFinalizers(t *testing.T) {
	going := live(upToDate, createdFor(createdForOne))
	going.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
	going.SetFinalizers([]string{"clusterpedia.io/cluster-synchro-controller"})
	plan := conversion().Plan(owner, going, nil)
	const want = `the PediaCluster is being deleted and waits for its finalizer "clusterpedia.io/cluster-synchro-controller", ` +
		`which Clusterpedia's clustersynchro-manager removes: it must run; it is created again after that if creationCondition is true`
	if diff := cmp.Diff(want, plan.Message); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
