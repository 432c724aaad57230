package deletion

import (
	"context"
	"errors"
	"maps"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestOnlyADeletionThatOrphansIsAnnotated(t *testing.T) {
	for name, test := range map[string]struct {
		options *metav1.DeleteOptions
		want    string
	}{
		"no options":   {nil, ""},
		"by default":   {&metav1.DeleteOptions{}, ""},
		"background":   {&metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}, ""},
		"foreground":   {&metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}, ""},
		"orphan":       {&metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}, "true"},
		"the old way":  {&metav1.DeleteOptions{OrphanDependents: ptr.To(true)}, "true"},
		"its contrary": {&metav1.DeleteOptions{OrphanDependents: ptr.To(false)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			obj := &policy.ClusterImportPolicy{}
			if err := RecordOrphaning(rest.ValidateAllObjectFunc, test.options)(context.Background(), obj); err != nil {
				t.Fatal(err)
			}
			if got := obj.Annotations[policyv1alpha1.OrphanAnnotation]; got != test.want {
				t.Errorf("annotation %q, want %q", got, test.want)
			}
		})
	}
}

func TestADeletionThatIsRefusedChangesNothing(t *testing.T) {
	refuse := func(context.Context, runtime.Object) error { return errors.New("no") }
	obj := &policy.ClusterImportPolicy{}
	options := &metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}
	if err := RecordOrphaning(refuse, options)(context.Background(), obj); err == nil || len(obj.Annotations) > 0 {
		t.Errorf("%v, %v", err, obj.Annotations)
	}
}

func TestOrphaningIsKeptFromTheDeletionOn(t *testing.T) {
	now := metav1.Now()
	orphaned := map[string]string{policyv1alpha1.OrphanAnnotation: "true", "note": "stored"}
	for name, test := range map[string]struct {
		deleted         *metav1.Time
		stored, updated map[string]string
		want            string
	}{
		"before a deletion it may be taken off": {nil, orphaned, nil, ""},
		"before a deletion it may be set":       {nil, nil, orphaned, "true"},
		"a manifest without annotations":        {&now, orphaned, nil, "true"},
		"a manifest with others":                {&now, orphaned, map[string]string{"note": "new"}, "true"},
		"another value":                         {&now, orphaned, map[string]string{policyv1alpha1.OrphanAnnotation: "false"}, "true"},
		"during a deletion it may be set":       {&now, nil, orphaned, "true"},
		"what does not orphan may be changed":   {&now, map[string]string{policyv1alpha1.OrphanAnnotation: "false"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			stored := &metav1.ObjectMeta{DeletionTimestamp: test.deleted, Annotations: maps.Clone(test.stored)}
			updated := &metav1.ObjectMeta{DeletionTimestamp: test.deleted, Annotations: maps.Clone(test.updated)}
			KeepOrphaning(updated, stored)
			if got := updated.Annotations[policyv1alpha1.OrphanAnnotation]; got != test.want {
				t.Errorf("annotation %q, want %q", got, test.want)
			}
			if got, want := updated.Annotations["note"], test.updated["note"]; got != want {
				t.Errorf("another annotation is %q, want %q", got, want)
			}
			if !maps.Equal(stored.Annotations, test.stored) {
				t.Errorf("the stored object was changed: %v", stored.Annotations)
			}
		})
	}
}

func TestAnAnnotationIsKeptAsItIsStored(t *testing.T) {
	for name, test := range map[string]struct{ stored, updated, want map[string]string }{
		"added":           {nil, map[string]string{"a": "1", "b": "2"}, map[string]string{"b": "2"}},
		"changed":         {map[string]string{"a": "1"}, map[string]string{"a": "9", "b": "2"}, map[string]string{"a": "1", "b": "2"}},
		"removed":         {map[string]string{"a": "1"}, map[string]string{"b": "2"}, map[string]string{"a": "1", "b": "2"}},
		"removed, as all": {map[string]string{"a": "1"}, nil, map[string]string{"a": "1"}},
		"never there":     {nil, nil, nil},
	} {
		updated := &metav1.ObjectMeta{Annotations: test.updated}
		KeepAnnotation(updated, &metav1.ObjectMeta{Annotations: test.stored}, "a")
		if !maps.Equal(updated.Annotations, test.want) {
			t.Errorf("%s: %v, want %v", name, updated.Annotations, test.want)
		}
	}
}
