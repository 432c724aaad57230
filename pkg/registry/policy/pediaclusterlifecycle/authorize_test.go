package pediaclusterlifecycle

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// impersonated has the name of this server, and not its group.
var impersonated = genericapirequest.WithUser(context.Background(), &user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.AllAuthenticated}})

func TestOnlyThisServerLetsALifecycleGoInOneWrite(t *testing.T) {
	exact := &metav1.Preconditions{UID: ptr.To(types.UID("1")), ResourceVersion: ptr.To("2")}
	atOnce := func(preconditions *metav1.Preconditions) *metav1.DeleteOptions {
		return &metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), Preconditions: preconditions}
	}
	for name, test := range map[string]struct {
		ctx     context.Context
		options *metav1.DeleteOptions
		want    bool
	}{
		"this server, just this version":  {server, atOnce(exact), true},
		"this server, any version":        {server, atOnce(&metav1.Preconditions{UID: exact.UID}), false},
		"this server, any object":         {server, atOnce(&metav1.Preconditions{ResourceVersion: exact.ResourceVersion}), false},
		"this server, whatever there is":  {server, atOnce(nil), false},
		"this server, with time to end":   {server, &metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](30), Preconditions: exact}, false},
		"this server, without a word":     {server, &metav1.DeleteOptions{Preconditions: exact}, false},
		"this server, without options":    {server, nil, false},
		"a user with --force":             {jane, atOnce(nil), false},
		"a user, just this version":       {jane, atOnce(exact), false},
		"who has the name of this server": {impersonated, atOnce(exact), false},
		"a request without a user":        {context.Background(), atOnce(exact), false},
	} {
		if got := IsFinalization(test.ctx, test.options); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

func TestALifecycleThatOthersHoldIsNotLetGo(t *testing.T) {
	held := validLifecycle()
	if err := ValidateFinalization(held); err != nil {
		t.Error(err)
	}
	held.Finalizers = nil
	if err := ValidateFinalization(held); err != nil {
		t.Error(err)
	}
	held.Finalizers = []string{policyv1alpha1.Finalizer, "example.com/mine"}
	if err := ValidateFinalization(held); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "example.com/mine") {
		t.Error(err)
	}
}

func TestOnlyADeletionOfThisServerIsNotedAsOne(t *testing.T) {
	for name, test := range map[string]struct {
		ctx  context.Context
		want string
	}{"this server": {server, "true"}, "a user": {jane, ""}, "who has the name of this server": {impersonated, ""}} {
		deleted := validLifecycle()
		if err := RecordRemoval(test.ctx, rest.ValidateAllObjectFunc)(test.ctx, deleted); err != nil {
			t.Fatal(err)
		}
		if got := deleted.Annotations[policyv1alpha1.RemovedAnnotation]; got != test.want {
			t.Errorf("%s: annotation %q, want %q", name, got, test.want)
		}
	}
	refuse := func(context.Context, runtime.Object) error { return errors.New("no") }
	if kept := validLifecycle(); RecordRemoval(server, refuse)(server, kept) == nil || len(kept.Annotations) > 0 {
		t.Errorf("a deletion that is refused leaves %v", kept.Annotations)
	}
}
