package rights

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

var clusters = schema.GroupResource{Group: "mcp.io", Resource: "clusters"}

// reviewer answers reviews about clusters of all namespaces.
func reviewer(t *testing.T, err error, allowed ...string) Reviewer {
	client := kubernetesfake.NewClientset()
	client.PrependReactor("create", "selfsubjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
		asked := *review.Spec.ResourceAttributes
		verb := asked.Verb
		asked.Verb = ""
		if want := (authorizationv1.ResourceAttributes{Group: "mcp.io", Version: "*", Resource: "clusters"}); asked != want {
			t.Errorf("asked about %+v", asked)
		}
		review = review.DeepCopy()
		review.Status.Allowed = slices.Contains(allowed, verb)
		return true, review, err
	})
	return Self(client.AuthorizationV1().SelfSubjectAccessReviews())
}

func TestAServiceAccountIsAskedAboutAsItLogsIn(t *testing.T) {
	client := kubernetesfake.NewClientset()
	client.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		if review.Spec.User != "system:serviceaccount:there:server" ||
			!slices.Equal(review.Spec.Groups, []string{"system:serviceaccounts", "system:serviceaccounts:there", "system:authenticated"}) {
			t.Errorf("asked about %q in %q", review.Spec.User, review.Spec.Groups)
		}
		review.Status.Allowed = review.Spec.ResourceAttributes.Verb != "watch"
		return true, review, nil
	})
	err := Check(t.Context(), ServiceAccount(client.AuthorizationV1().SubjectAccessReviews(), "there", "server"), clusters)
	if missing := (*Error)(nil); !errors.As(err, &missing) || missing.What() != "watch" {
		t.Errorf("got %v", err)
	}
}

func TestTheVerbsThatAreMissingAreNamed(t *testing.T) {
	for _, test := range []struct {
		allowed []string
		want    string
	}{
		{nil, "this server may not get, list or watch clusters.mcp.io; "},
		{[]string{"get"}, "this server may not list or watch clusters.mcp.io; "},
		{[]string{"list", "watch"}, "this server may not get clusters.mcp.io; "},
		{[]string{"get", "list", "watch"}, ""},
	} {
		err := Check(t.Context(), reviewer(t, nil, test.allowed...), clusters)
		if test.want == "" {
			if err != nil {
				t.Errorf("allowed %v: %v", test.allowed, err)
			}
			continue
		}
		if missing := (*Error)(nil); !errors.As(err, &missing) || !apierrors.IsForbidden(err) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("allowed %v: %v", test.allowed, err)
		}
	}
}

func TestAHostThatDoesNotAnswerForbidsNothing(t *testing.T) {
	for _, failure := range []error{
		context.DeadlineExceeded,
		apierrors.NewForbidden(schema.GroupResource{Resource: "selfsubjectaccessreviews"}, "", errors.New("nobody may ask")),
	} {
		if err := Check(t.Context(), reviewer(t, failure), clusters); err == nil || apierrors.IsForbidden(err) {
			t.Errorf("%v: %v", failure, err)
		}
	}
}

func TestTheRoleThatIsPrintedAllowsAllThatIsNeeded(t *testing.T) {
	for _, resource := range []schema.GroupResource{clusters, {Resource: "secrets"}} {
		_, command, _ := strings.Cut((&Error{Resource: resource, Verbs: []string{"watch"}}).Error(), "allow it with: ")
		manifest, found := strings.CutSuffix(strings.TrimPrefix(command, "echo '"), "' | kubectl apply -f -")
		if !found || strings.ContainsAny(manifest, "'\n") {
			t.Fatalf("no shell takes %s", command)
		}
		var role rbacv1.ClusterRole
		if err := yaml.UnmarshalStrict([]byte(manifest), &role); err != nil {
			t.Fatal(err)
		}
		rule := rbacv1.PolicyRule{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}}
		if role.Kind != "ClusterRole" || role.Name != "clusterpedia:policy-sources:"+resource.String() ||
			role.Labels[AggregationLabel] != "true" || len(role.Rules) != 1 || role.Rules[0].String() != rule.String() {
			t.Errorf("it is %+v", role)
		}
	}
}

func TestTheCommandFitsIntoACondition(t *testing.T) {
	err := &Error{Resource: schema.GroupResource{Group: strings.Repeat("g", 120) + ".example.com", Resource: strings.Repeat("r", 63)}, Verbs: verbs}
	if got := len(err.Error()); got > render.MaxMessage {
		t.Errorf("it has %d bytes", got)
	}
}
