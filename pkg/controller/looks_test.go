package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
)

func TestALookIsForgottenWhenSomethingHappened(t *testing.T) {
	i, other := index.Import{Policy: "p", Name: "a"}, index.Import{Policy: "p", Name: "b"}
	result := &found{pediaCluster: "7"}
	for name, test := range map[string]struct {
		during, after func(l *looks)
		want          *found
	}{
		"nothing":                    {want: result},
		"another import, meanwhile":  {during: func(l *looks) { l.void(other) }, want: result},
		"an event, meanwhile":        {during: func(l *looks) { l.void(i) }},
		"an event that may concern":  {during: func(l *looks) { l.voidAll() }},
		"an event, later":            {after: func(l *looks) { l.void(i) }},
		"a look that is under way":   {after: func(l *looks) { l.begin(i) }},
		"a look that found work":     {after: func(l *looks) { look, _ := l.begin(i); l.end(i, look, nil) }},
		"another look that overtook": {during: func(l *looks) { look, _ := l.begin(i); l.end(i, look, nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := &looks{}
			look, _ := l.begin(i)
			if test.during != nil {
				test.during(l)
			}
			l.end(i, look, result)
			if test.after != nil {
				test.after(l)
			}
			if _, got := l.begin(i); got != test.want {
				t.Errorf("the last look found %v, want %v", got, test.want)
			}
		})
	}
}

func TestWhatALookReplacedIsAnEchoUntilTheInformerHasSeenItGo(t *testing.T) {
	left := &found{pediaCluster: "101", before: "100"}
	for _, version := range []struct {
		has  string
		same bool
	}{{"100", true}, {"80", false}, {"", false}, {"101", true}, {"100", false}, {"102", false}, {"101", true}} {
		if got := left.isAs(version.has); got != version.same {
			t.Errorf("version %q: %v, want %v", version.has, got, version.same)
		}
	}
}

func TestOnlyWhatTheInformerHasNotSeenForLongIsLate(t *testing.T) {
	l := &looks{}
	leave := func(name string, left *found) index.Import {
		i := index.Import{Policy: "p", Name: name}
		look, _ := l.begin(i)
		l.end(i, look, left)
		return i
	}
	leave("waiting", nil)
	leave("seen", &found{pediaCluster: "7", seen: true})
	never := leave("never seen", &found{pediaCluster: "7"})
	later := leave("seen later", &found{pediaCluster: "7"})
	if late := l.late(); len(late) > 0 {
		t.Errorf("%v are late at once", late)
	}
	l.last[later].found.isAs("7")
	leave("new", &found{pediaCluster: "7"})
	if late := l.late(); len(late) != 1 || late[0] != never {
		t.Errorf("%v are late, want %v", late, never)
	}
}

func TestARecordIsOwedUntilItIsWritten(t *testing.T) {
	l, i, began := &looks{}, index.Import{Policy: "p", Name: "a"}, time.Now()
	of := func(uid types.UID) *record {
		lifecycle := &policyv1alpha1.PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{UID: uid, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: policyv1alpha1.SchemeGroupVersion.String(), Kind: "ClusterImportPolicy", Name: i.Policy, Controller: ptr.To(true)}}}}
		lifecycle.Spec.Source.Name = i.Name
		return &record{lifecycle: lifecycle}
	}
	first, second := of("1"), of("1")
	if owed := l.owe(i, first, began); owed != 0 {
		t.Errorf("the first is owed for %v", owed)
	}
	if owed := l.owe(i, second, began.Add(time.Second)); owed != time.Second || l.record(i) != second {
		t.Errorf("the next is owed for %v; %v is kept", owed, l.record(i))
	}
	l.written(of("2").lifecycle)
	if l.record(i) == nil {
		t.Error("the record of another lifecycle counts")
	}
	if owed := l.owe(i, of("2"), began.Add(time.Minute)); owed != 0 {
		t.Errorf("that of another lifecycle is owed for %v", owed)
	}
	l.written(of("2").lifecycle)
	if l.record(i) != nil {
		t.Error("a record that was written is left")
	}
}

func TestARecordTellsOfTheGenerationThatItsSpecBecomes(t *testing.T) {
	r := &record{
		lifecycle: &policyv1alpha1.PediaClusterLifecycle{ObjectMeta: metav1.ObjectMeta{Generation: 2}},
		status: policyv1alpha1.PediaClusterLifecycleStatus{ObservedGeneration: 2, Conditions: []metav1.Condition{
			{Type: "Ready", ObservedGeneration: 2}, {Type: "Other", ObservedGeneration: 1}}},
	}
	status := r.statusOf(3)
	if status.ObservedGeneration != 3 || status.Conditions[0].ObservedGeneration != 3 || status.Conditions[1].ObservedGeneration != 1 {
		t.Errorf("%+v", status)
	}
	if r.status.Conditions[0].ObservedGeneration != 2 {
		t.Error("the record itself has changed")
	}
}

func TestOnlyTheRecordOfAnImportMayWait(t *testing.T) {
	for name, test := range map[string]struct {
		before, now policyv1alpha1.PediaClusterLifecycleStatus
		want        bool
	}{
		"an update": {
			policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleImported, SourceDefinition: "a"},
			policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleImported, SourceDefinition: "a"}, true},
		"an import": {
			policyv1alpha1.PediaClusterLifecycleStatus{SourceDefinition: "a"},
			policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleImported, SourceDefinition: "a"}, true},
		"an import by which a deletion is judged": {
			policyv1alpha1.PediaClusterLifecycleStatus{},
			policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleImported, SourceDefinition: "a"}, false},
		"the end of a failure": {
			policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleFailed},
			policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleImported}, false},
		"a failure": {
			policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleImported},
			policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleFailed}, false},
		"another definition of the Source": {
			policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleImported, SourceDefinition: "a"},
			policyv1alpha1.PediaClusterLifecycleStatus{Phase: policyv1alpha1.LifecycleImported, SourceDefinition: "b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &record{lifecycle: &policyv1alpha1.PediaClusterLifecycle{Status: test.before}, status: test.now}
			if got := r.mayWait(); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}
