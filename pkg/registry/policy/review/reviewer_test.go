package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

func TestAnAnswerSaysWhatTheControllersWouldDo(t *testing.T) {
	raw := func(text string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(text)} }
	for name, test := range map[string]struct {
		prepare func(*world)
		spec    policy.RenderReviewSpec
		want    []string
	}{
		"a new import": {
			func(w *world) { w.addCluster("one") }, named("one"),
			[]string{"one: mcp-one Create PediaClusterCreated [] secret=true"}},
		"an import that has changed": {
			func(w *world) { w.addCluster("one"); w.addImport("one") }, named("one"),
			[]string{"one: mcp-one Update PediaClusterCreated [spec.apiserver spec.tokenData] secret=true"}},
		"an import that is paused": {
			func(w *world) {
				w.addCluster("one")
				w.addImport("one")
				metav1.SetMetaDataAnnotation(&w.lifecycles.items[0].ObjectMeta, policyv1alpha1.PausedAnnotation, "true")
			}, named("one"),
			[]string{"one: mcp-one Wait Paused [spec.apiserver spec.tokenData] secret=true"}},
		"an import that is paused under another policy": {
			func(w *world) {
				w.addCluster("one")
				w.addImport("one")
				w.lifecycles.items[0].OwnerReferences[0].Name = "other"
				metav1.SetMetaDataAnnotation(&w.lifecycles.items[0].ObjectMeta, policyv1alpha1.PausedAnnotation, "true")
			}, named("one"),
			[]string{"one: mcp-one Conflict SourceTaken []"}},
		"a name that another Source has": {
			func(w *world) {
				w.addCluster("one")
				w.addImport("one")
				w.lifecycles.items[0].Spec.Source.Name = "else"
			}, named("one"),
			[]string{"one: mcp-one Conflict NameTaken []"}},
		"no such Source": {
			func(*world) {}, named("one"),
			[]string{"one:  Error SourceNotFound []"}},
		"a Source that need not exist, with its reference": {
			func(*world) {},
			policy.RenderReviewSpec{
				SourceObject: raw(`{"metadata":{"name":"dream"}}`),
				References:   []policy.ReferenceObject{{Key: "secret", Object: *raw(`{"data":{"token":"c2VjcmV0"}}`)}},
			},
			[]string{"dream: mcp-dream Create PediaClusterCreated [] secret=true"}},
		"a Source whose type is not served": {
			func(w *world) { delete(w.host.types, "clusters") }, named("one"),
			[]string{"one:  Wait WaitingForType []"}},
		"all Sources of a type that is not served": {
			func(w *world) { delete(w.host.types, "clusters") }, policy.RenderReviewSpec{}, nil},
		"a reference whose type is not served": {
			func(w *world) { w.addCluster("one"); delete(w.host.types, "secrets") }, named("one"),
			[]string{"one: mcp-one Wait WaitingForType [] secret=false"}},
		"a reference that is given though its type is not served": {
			func(w *world) { w.addCluster("one"); delete(w.host.types, "secrets") },
			policy.RenderReviewSpec{
				Source:     &policy.SourceName{Name: "one"},
				References: []policy.ReferenceObject{{Key: "secret", Object: *raw(`{"apiVersion":"v1","data":{"token":"c2VjcmV0"}}`)}},
			},
			[]string{"one: mcp-one Create PediaClusterCreated [] secret=true"}},
		"a host without PediaClusters": {
			func(w *world) { w.addCluster("one"); delete(w.host.types, "pediaclusters") }, named("one"),
			[]string{"one: mcp-one Wait WaitingForType [] secret=true"}},
		"all Sources": {
			func(w *world) { w.addCluster("one"); w.addCluster("two"); w.addImport("two") }, policy.RenderReviewSpec{},
			[]string{
				"one: mcp-one Create PediaClusterCreated [] secret=true",
				"two: mcp-two Update PediaClusterCreated [spec.apiserver spec.tokenData] secret=true",
			}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			test.prepare(w)
			answer := w.answer(t, test.spec)
			if diff := cmp.Diff(test.want, summaries(answer)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if answer.Status.Totals.Sources != int32(len(test.want)) {
				t.Errorf("totals: %+v", answer.Status.Totals)
			}
		})
	}
}

// What the controllers cannot decide removes nothing, and so a preview of it does not either.
func TestAPolicyWithAProblemRemovesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*world)
		want    string
	}{
		"an import": {func(w *world) { w.addImport("one") }, "one: mcp-one Wait WaitingForType []"},
		"an import whose lifecycle may not be read": {func(w *world) {
			w.addImport("one")
			w.forbid("get pediaclusterlifecycles")
		}, "one: mcp-one Wait WaitingForType []"},
		"no import": {func(*world) {}, "one:  None SourceDeselected []"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.addCluster("one")
			delete(w.host.types, "secrets")
			test.prepare(w)
			deselected := subject()
			deselected.Policy.Source.SelectorTemplate = "false"
			answer, err := w.reviewer().Answer(asAlice(t), deselected, &policy.RenderReview{Spec: named("one")}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := summaries(answer); !slices.Equal(got, []string{test.want}) {
				t.Errorf("it says %q, want %q", got, test.want)
			}
		})
	}
}

func summaries(review *policy.RenderReview) (lines []string) {
	for _, result := range review.Status.Results {
		line := fmt.Sprintf("%s: %s %s %s %v", result.Source.Name, result.Name, result.Action, result.Reason, result.Changed)
		for _, ref := range result.References {
			line += fmt.Sprintf(" %s=%t", ref.Key, ref.Found)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestWhatIsForbiddenLooksLikeWhatDoesNotExist(t *testing.T) {
	for object, test := range map[string]struct {
		key         string
		permissions []string
	}{
		"the Source":       {"clusters /one", []string{"get clusters"}},
		"the reference":    {"secrets default/one", []string{"get secrets"}},
		"the PediaCluster": {"pediaclusters /mcp-one", []string{"get pediaclusters"}},
		"the lifecycle":    {"", []string{"get pediaclusterlifecycles"}},
		"everything":       {"", []string{"get clusters", "get secrets", "get pediaclusters", "get pediaclusterlifecycles"}},
	} {
		t.Run(object, func(t *testing.T) {
			forbidden := newWorld()
			forbidden.addCluster("one")
			forbidden.addImport("one")
			forbidden.forbid(test.permissions...)
			absent := newWorld()
			absent.addCluster("one")
			absent.addImport("one")
			switch object {
			case "the lifecycle":
				absent.lifecycles.items = nil
			case "everything":
				absent.host.objects, absent.lifecycles.items = nil, nil
				fallthrough
			default:
				delete(absent.host.objects, test.key)
			}
			// Without credentials: each answer has digests of its own.
			ask := named("one")
			ask.IncludeCredentials = true
			if diff := cmp.Diff(asJSON(t, absent.answer(t, ask)), asJSON(t, forbidden.answer(t, ask))); diff != "" {
				t.Errorf("-absent +forbidden:\n%s", diff)
			}
			if test.key != "" && slices.Contains(forbidden.host.calls, "get "+test.key) {
				t.Error("it was read, and the time that takes can be measured")
			}
		})
	}
}

func TestWhoMayAskAboutALifecycleSeesThatOne(t *testing.T) {
	w := newWorld()
	w.addCluster("one")
	w.addImport("one")
	w.host.objects["pediaclusters /mcp-one"].SetAnnotations(nil) // only the owner reference is left
	w.forbid("get pediaclusterlifecycles")
	asked := subject()
	asked.Name, asked.Lifecycle = "mcp-one", &w.lifecycles.items[0]
	answer, err := w.reviewer().Answer(asAlice(t), asked, &policy.RenderReview{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"one: mcp-one Update PediaClusterCreated [spec.apiserver spec.tokenData metadata.annotations] secret=true"}
	if diff := cmp.Diff(want, summaries(answer)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if answer.Spec.Source != nil {
		t.Error("the question was changed")
	}
}

func TestPermissionsAreAskedForOncePerTypeElsePerObject(t *testing.T) {
	w := newWorld()
	for i := range 20 {
		w.addCluster(fmt.Sprintf("c%02d", i))
	}
	w.forbid("get pediaclusters")
	w.authorizer.allowed = append(w.authorizer.allowed, "get pediaclusters /mcp-c07")
	w.answer(t, policy.RenderReviewSpec{})

	counts := map[string]int{}
	for _, question := range w.authorizer.asked {
		counts[question]++
	}
	for _, question := range []string{"list clusters", "get secrets", "get pediaclusters", "get pediaclusters /mcp-c07"} {
		if counts[question] != 1 {
			t.Errorf("%q was asked %d times", question, counts[question])
		}
	}
	if len(counts) != 3+20 {
		t.Errorf("%d different questions: %v", len(counts), counts)
	}
}

func TestAllSourcesComeInPages(t *testing.T) {
	w := newWorld()
	for i := range 130 {
		w.addCluster(fmt.Sprintf("c%03d", i))
	}
	var seen, sizes []string
	for next := ""; ; {
		answer := w.answer(t, policy.RenderReviewSpec{Limit: 60, Continue: next})
		for _, result := range answer.Status.Results {
			seen = append(seen, result.Source.Name)
		}
		totals := answer.Status.Totals
		sizes = append(sizes, fmt.Sprintf("%d/%d/%d", totals.Sources, totals.Selected, totals.Actions[policy.RenderCreate]))
		if next = answer.Status.Continue; next == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"60/60/60", "60/60/60", "10/10/10"}, sizes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	slices.Sort(seen)
	if seen = slices.Compact(seen); len(seen) != 130 {
		t.Errorf("%d different Sources", len(seen))
	}
	if got := len(w.answer(t, policy.RenderReviewSpec{}).Status.Results); got != 100 {
		t.Errorf("%d results without a limit", got)
	}
	if i := slices.IndexFunc(w.host.calls, func(call string) bool { return call == "list clusters limit=60" }); i >= 0 {
		t.Error("more Sources are held at a time than a page")
	}
}

func TestWhatIsGivenNeedsNoRights(t *testing.T) {
	w := newWorld()
	w.lack("clusters", "secrets")
	answer := w.answer(t, policy.RenderReviewSpec{
		SourceObject: &runtime.RawExtension{Raw: []byte(`{"metadata":{"name":"dream"}}`)},
		References:   []policy.ReferenceObject{{Key: "secret", Object: runtime.RawExtension{Raw: []byte(`{"data":{"token":"c2VjcmV0"}}`)}}},
	})
	if diff := cmp.Diff([]string{"dream: mcp-dream Create PediaClusterCreated [] secret=true"}, summaries(answer)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// forbiddenByTypeServer is what an aggregated API server may answer that has rules of its own.
var forbiddenByTypeServer = apierrors.NewForbidden(schema.GroupResource{Resource: "clusters"}, "", errors.New("not here"))

func TestAnAnswerIsRefusedWithAReason(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*world)
		review  policy.RenderReview
		is      func(error) bool
		want    string
	}{
		"all Sources without the permission to list them": {
			func(w *world) { w.forbid("list clusters") }, policy.RenderReview{}, apierrors.IsForbidden, "list them in all namespaces"},
		"a Source that this server may not read": {
			func(w *world) { w.addCluster("one"); w.lack("clusters") },
			policy.RenderReview{Spec: named("one")}, apierrors.IsForbidden, lacking("clusters")},
		"Sources and references that it may not read": {
			func(w *world) { w.lack("clusters", "secrets") }, policy.RenderReview{},
			apierrors.IsForbidden, lacking("clusters") + "\n" + lacking("secrets")},
		"a host that does not say what this server may read": {
			func(w *world) {
				w.host.permitted = func(context.Context, string) error { return errors.New("no answer") }
			},
			policy.RenderReview{}, apierrors.IsServiceUnavailable, "no answer"},
		"a Source that the host does not give to this server": {
			func(w *world) { w.addCluster("one"); w.host.failure = forbiddenByTypeServer },
			policy.RenderReview{Spec: named("one")}, apierrors.IsForbidden, "the host forbids it to this server: clusters is forbidden: not here"},
		"nor all of them": {
			func(w *world) { w.addCluster("one"); w.host.failure = forbiddenByTypeServer }, policy.RenderReview{},
			apierrors.IsForbidden, "the host forbids it to this server: listing Sources: clusters is forbidden: not here"},
		"a host that does not answer": {
			func(w *world) { w.host.failure = errors.New("no answer") },
			policy.RenderReview{Spec: named("one")}, apierrors.IsServiceUnavailable, "no answer"},
		"a token that is none": {
			nil, policy.RenderReview{Spec: policy.RenderReviewSpec{Continue: "x"}}, apierrors.IsInvalid, "spec.continue"},
		"a namespace for a type without": {
			nil, policy.RenderReview{Spec: policy.RenderReviewSpec{Source: &policy.SourceName{Namespace: "a", Name: "one"}}},
			apierrors.IsInvalid, "spec.source.namespace"},
		"no namespace for a type that has one": {
			func(w *world) { w.host.types["clusters"] = Type{Namespaced: true} },
			policy.RenderReview{Spec: named("one")}, apierrors.IsInvalid, "spec.source.namespace"},
		"a Source that is no object": {
			nil, policy.RenderReview{Spec: policy.RenderReviewSpec{SourceObject: &runtime.RawExtension{Raw: []byte("[]")}}},
			apierrors.IsInvalid, "spec.sourceObject"},
		"a Source without a name": {
			nil, policy.RenderReview{Spec: policy.RenderReviewSpec{SourceObject: &runtime.RawExtension{Raw: []byte("{}")}}},
			apierrors.IsInvalid, "spec.sourceObject.metadata.name"},
		"another name": {
			nil, policy.RenderReview{ObjectMeta: objectMeta("else", "")}, apierrors.IsInvalid, "metadata.name"},
		"another UID": {
			nil, policy.RenderReview{ObjectMeta: objectMeta("", "else")}, apierrors.IsConflict, "UID"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if test.prepare != nil {
				test.prepare(w)
			}
			_, err := w.reviewer().Answer(asAlice(t), subject(), &test.review, nil)
			if err == nil || !test.is(err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want one about %q", err, test.want)
			}
		})
	}
}

func TestTheQuestionIsPartOfTheAnswer(t *testing.T) {
	w := newWorld()
	w.addCluster("one")
	asked := policy.RenderReview{Spec: named("one")}
	asked.Status.Continue = "made up"
	admitted := false
	answer, err := w.reviewer().Answer(asAlice(t), subject(), asked.DeepCopy(), func(context.Context, runtime.Object) error {
		admitted = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(asked.Spec, answer.Spec); diff != "" {
		t.Errorf("the spec changed: %s", diff)
	}
	if answer.Name != "mcp" || answer.UID != "policy-uid" || answer.CreationTimestamp.IsZero() || !admitted || answer.Status.Continue != "" {
		t.Errorf("admitted %t, metadata %+v, continue %q", admitted, answer.ObjectMeta, answer.Status.Continue)
	}
}

func TestCredentialsAreDigestedUnlessAskedFor(t *testing.T) {
	w := newWorld()
	w.addCluster("one")
	w.addCluster("two")
	digests := func(spec policy.RenderReviewSpec) (digests []string) {
		for _, result := range w.answer(t, spec).Status.Results {
			object := &unstructured.Unstructured{}
			if err := object.UnmarshalJSON(result.PediaCluster.Raw); err != nil {
				t.Fatal(err)
			}
			token, _, _ := unstructured.NestedString(object.Object, "spec", "tokenData")
			digests = append(digests, token)
		}
		return digests
	}
	first, second := digests(policy.RenderReviewSpec{}), digests(policy.RenderReviewSpec{})
	if first[0] != first[1] || !strings.HasPrefix(first[0], "hmac-sha256:") || !strings.HasSuffix(first[0], "(6 bytes)") {
		t.Errorf("equal tokens have the digests %q", first)
	}
	if first[0] == second[0] {
		t.Error("guesses can be tried out by asking again")
	}
	if got := digests(policy.RenderReviewSpec{IncludeCredentials: true}); got[0] != "c2VjcmV0" {
		t.Errorf("in the clear: %q", got)
	}
}
