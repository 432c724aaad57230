package finalizers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/component-base/metrics/testutil"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

const (
	ours      = policyv1alpha1.Finalizer
	users     = "example.com/mine"
	policies  = "clusterpedia.io/cluster-import-policy-controller"
	imports   = "clusterpedia.io/pediacluster-lifecycle-controller"
	orphan    = metav1.FinalizerOrphanDependents
	cascading = metav1.FinalizerDeleteDependents
)

var (
	resource = policy.Resource("pediaclusterlifecycles")
	jane     = genericapirequest.WithUser(context.Background(), &user.DefaultInfo{Name: "jane", Groups: []string{user.SystemPrivilegedGroup}})
	server   = genericapirequest.WithUser(context.Background(), &user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.SystemPrivilegedGroup}})
)

func object(deleted bool, finalizers ...string) *metav1.ObjectMeta {
	metadata := &metav1.ObjectMeta{Name: "mcp-bergen", UID: "1", Finalizers: finalizers}
	if deleted {
		metadata.DeletionTimestamp = &metav1.Time{}
	}
	return metadata
}

func TestWhichFinalizersAreBanned(t *testing.T) {
	for finalizer, want := range map[string]bool{
		policies: true, imports: true, "clusterpedia.io/cluster-synchro-controller": true, "clusterpedia.io/of-a-later-release-controller": true,
		orphan: true, cascading: true,
		ours: false, users: false, "clusterpedia.io/controller-of-mine": false, "policy.clusterpedia.io/my-controller": false,
		"my-clusterpedia.io/a-controller": false, "clusterpedia.io.example.com/a-controller": false, "": false,
	} {
		if got := banned(finalizer); got != want {
			t.Errorf("%q: %t, want %t", finalizer, got, want)
		}
	}
}

// warnings keeps those of a request.
type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

func TestACreationBeginsWithOurFinalizerAndWithoutBannedOnes(t *testing.T) {
	for name, test := range map[string]struct {
		given, want []string
		warnings    [][]string // each with its parts
	}{
		"none":                    {nil, []string{ours}, nil},
		"ours":                    {[]string{ours}, []string{ours}, nil},
		"of a user":               {[]string{users}, []string{users, ours}, nil},
		"an export":               {[]string{policies, users}, []string{users, ours}, [][]string{{policies, "Clusterpedia's controller-manager", "Leave it out"}}},
		"all that is not allowed": {[]string{orphan, ours, imports}, []string{ours}, [][]string{{`"orphan"`, "garbage collector"}, {imports}}},
	} {
		t.Run(name, func(t *testing.T) {
			var told warnings
			created := object(false, test.given...)
			Begin(warning.WithWarningRecorder(jane, &told), created)
			if diff := cmp.Diff(test.want, created.Finalizers); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(told) != len(test.warnings) {
				t.Fatalf("warnings: %q", told)
			}
			for i, parts := range test.warnings {
				for _, part := range parts {
					if !strings.Contains(told[i], part) {
						t.Errorf("%q is not in the warning: %s", part, told[i])
					}
				}
			}
		})
	}
}

func TestAnUpdateKeepsOurFinalizerAsItIsStored(t *testing.T) {
	for name, test := range map[string]struct {
		ctx                   context.Context
		deleted               bool
		stored, updated, want []string
	}{
		"a manifest without finalizers":               {jane, false, []string{ours}, nil, []string{ours}},
		"a manifest with one of a user":               {jane, false, []string{ours}, []string{users}, []string{users, ours}},
		"users take theirs off":                       {jane, false, []string{ours, users}, []string{ours}, []string{ours}},
		"a user takes ours off during a deletion":     {jane, true, []string{ours, users}, nil, []string{ours}},
		"users take theirs off during a deletion":     {jane, true, []string{ours, users}, []string{ours}, []string{ours}},
		"this server takes it off during a deletion":  {server, true, []string{ours, users}, []string{users}, []string{users}},
		"this server does not take it off before":     {server, false, []string{ours}, nil, []string{ours}},
		"a user adds ours, which nobody would remove": {jane, false, []string{users}, []string{users, ours}, []string{users}},
		"this server adds it":                         {server, false, nil, []string{ours}, []string{ours}},
		"somebody unknown":                            {context.Background(), true, []string{ours}, nil, []string{ours}},
	} {
		t.Run(name, func(t *testing.T) {
			updated := object(test.deleted, slices.Clone(test.updated)...)
			Keep(test.ctx, updated, object(test.deleted, test.stored...))
			if !slices.Equal(updated.Finalizers, test.want) {
				t.Errorf("got %v, want %v", updated.Finalizers, test.want)
			}
		})
	}
}

func TestWhichUpdatesOfFinalizersAreRefused(t *testing.T) {
	waiting := func() string { return "It waits for rain" }
	for name, test := range map[string]struct {
		ctx             context.Context
		deleted         bool
		stored, updated []string
		refused         []string // parts of the answer; nothing: it is not refused
		counted         float64
	}{
		"labels":                                 {jane, false, []string{ours}, []string{ours}, nil, 0},
		"a finalizer of a user":                  {jane, false, []string{ours}, []string{ours, users}, nil, 0},
		"a manifest without finalizers":          {jane, false, []string{ours}, nil, nil, 0},
		"Clusterpedia's, of a policy":            {jane, false, []string{ours}, []string{ours, policies}, []string{policies, "kubectl scale", "suspend"}, 1},
		"Clusterpedia's, of a lifecycle":         {jane, false, []string{ours}, []string{imports}, []string{imports, "deployment/clusterpedia-controller-manager", "drops suspend"}, 1},
		"Clusterpedia's, added by this server":   {server, false, []string{ours}, []string{ours, policies}, []string{policies}, 1},
		"Clusterpedia's, during a deletion":      {jane, true, []string{ours}, []string{policies}, []string{policies}, 1},
		"the garbage collector's":                {jane, false, []string{ours}, []string{ours, cascading}, []string{`"foregroundDeletion"`, "--cascade=orphan"}, 0},
		"the garbage collector's, to orphan":     {server, false, []string{ours}, []string{ours, orphan}, []string{`"orphan"`}, 0},
		"ours, during a deletion":                {jane, true, []string{ours}, nil, []string{ours, "only this server", "It waits for rain"}, 0},
		"all, during a deletion":                 {jane, true, []string{ours, users}, nil, []string{ours, "Other finalizers can be removed"}, 0},
		"ours, by somebody unknown":              {context.Background(), true, []string{ours}, nil, []string{ours}, 0},
		"those of users, during a deletion":      {jane, true, []string{ours, users}, []string{ours}, nil, 0},
		"ours, by this server":                   {server, true, []string{ours}, nil, nil, 0},
		"those of users, when ours has gone":     {jane, true, []string{users}, nil, nil, 0},
		"what is stored already, if it ever was": {jane, false, []string{ours, policies}, []string{ours, policies}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			refusals.Reset()
			err := AuthorizeUpdate(test.ctx, resource, object(test.deleted, test.updated...), object(test.deleted, test.stored...), waiting)
			if (err != nil) != (test.refused != nil) || err != nil && !apierrors.IsForbidden(err) {
				t.Fatalf("answered %v", err)
			}
			for _, part := range test.refused {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			Count(resource, err)
			counted, err := testutil.GetCounterMetricValue(refusals.WithLabelValues(resource.Resource))
			if err != nil || counted != test.counted {
				t.Errorf("counted are %v, %v, want %v", counted, err, test.counted)
			}
		})
	}
	created := object(false)
	created.UID = ""
	if err := AuthorizeUpdate(jane, resource, object(false, policies), created, waiting); err != nil {
		t.Errorf("an apply that creates: %v", err)
	}
}

func TestARefusalNamesTheField(t *testing.T) {
	err := AuthorizeUpdate(jane, resource, object(false, policies), object(false), nil)
	var status apierrors.APIStatus
	if !errors.As(err, &status) || len(status.Status().Details.Causes) != 1 || status.Status().Details.Causes[0].Field != "metadata.finalizers" {
		t.Errorf("%+v", err)
	}
}

func TestStoredObjectsLoseBannedFinalizers(t *testing.T) {
	for name, test := range map[string]struct {
		deleted      bool
		stored, want []string
	}{
		"as they should be":                           {false, []string{ours, users}, []string{ours, users}},
		"with both of Clusterpedia":                   {false, []string{policies, ours, imports, users}, []string{ours, users}},
		"with those of the garbage collector":         {false, []string{orphan, ours, cascading}, []string{ours}},
		"without any":                                 {false, nil, nil},
		"only Clusterpedia's":                         {false, []string{policies}, nil},
		"being deleted, ours is left":                 {true, []string{ours, policies}, []string{ours}},
		"being deleted, a user is waited for":         {true, []string{users, policies}, []string{users}},
		"being deleted, nobody is left to wait for":   {true, []string{policies}, []string{ours}},
		"being deleted, only the garbage collector's": {true, []string{cascading}, []string{ours}},
	} {
		t.Run(name, func(t *testing.T) {
			stored := object(test.deleted, test.stored...)
			Clean(stored)
			if !slices.Equal(stored.Finalizers, test.want) {
				t.Errorf("got %v, want %v", stored.Finalizers, test.want)
			}
		})
	}
}
