package controller

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/hostobjects"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/lifecycles"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/memory"
	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/servedtypes"
	"github.com/clusterpedia-io/policy-apiserver/pkg/decision"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// definitionIs has the host answer that about the definition of the type of the Source.
func (o *oneImport) definitionIs(object *metav1.PartialObjectMetadata, err error) {
	o.metadata.PrependReactor("get", "customresourcedefinitions", func(clienttesting.Action) (bool, runtime.Object, error) {
		if object == nil {
			return true, nil, err
		}
		return true, object, err
	})
}

var (
	crdResource  = schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}
	crdNotFound  = apierrors.NewNotFound(crdResource, mcpClusters.GroupResource().String())
	typeIsSilent = apierrors.NewGenericServerResponse(404, "get", mcpClusters.GroupResource(), "a", "404 page not found", 0, true)
)

// An absence is a fact only when the host confirms object and type. Whatever else it says, the
// pass ends with an error, or the type is lost.
func TestTheAbsenceOfASourceIsBelievedWhenTheHostConfirmsIt(t *testing.T) {
	const lost = decision.TypeLost
	anew, going := definition(), definition()
	anew.UID = "another"
	going.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	for name, test := range map[string]struct {
		host func(*testing.T, *oneImport)
		want decision.Presence
		err  string
		seen bool // that its deletion was seen is still known
	}{
		"the host has it, whatever the informer shows": {func(t *testing.T, one *oneImport) {
			one.objects.Unsubscribe(one.policies.state("mcp").sources, "mcp") // it must not show it again
			if err := one.host.Tracker().Add(sourceNamed("a")); err != nil {
				t.Fatal(err)
			}
		}, decision.Present, "", false},
		"it is confirmed":          {func(*testing.T, *oneImport) {}, decision.Gone, "", true},
		"the host does not answer": {func(_ *testing.T, one *oneImport) { one.hostFails("get", "clusters", errHost) }, decision.Unknown, errHost.Error(), true},
		"the host refuses to answer": {func(_ *testing.T, one *oneImport) {
			one.hostFails("get", "clusters", apierrors.NewForbidden(mcpClusters.GroupResource(), "a", nil))
		}, decision.Unknown, "forbidden", true},
		"the type is not served":   {func(_ *testing.T, one *oneImport) { one.hostFails("get", "clusters", typeIsSilent) }, decision.Unknown, "could not find the requested resource", true},
		"its type is gone":         {func(_ *testing.T, one *oneImport) { one.definitionIs(nil, crdNotFound) }, lost, "", true},
		"its type is going":        {func(_ *testing.T, one *oneImport) { one.definitionIs(going, nil) }, lost, "", true},
		"its type was recreated":   {func(_ *testing.T, one *oneImport) { one.definitionIs(anew, nil) }, lost, "", true},
		"its type cannot be asked": {func(_ *testing.T, one *oneImport) { one.definitionIs(nil, errHost) }, decision.Unknown, errHost.Error(), true},
		"it was imported under another definition": {func(t *testing.T, one *oneImport) {
			one.changeLifecycle(t, func(l *lifecycles.Lifecycle) { l.Status.SourceDefinition = "former" })
		}, lost, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			one.deleteSource(t)
			one.memory.SetDeletionSeen(one.Import, true)
			test.host(t, one)
			p := one.newPass()
			snapshot := p.observe()
			err := p.observeSource(t.Context(), snapshot)
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("the error is %v", err)
			}
			if got := snapshot.Source; err == nil && (got.Presence != test.want || got.DeletionSeen != test.seen || (got.TypeLost != "") != (test.want == lost)) {
				t.Errorf("it observes %+v", got)
			}
			if one.memory.DeletionSeen(one.Import) != test.seen {
				t.Errorf("that it was seen is remembered: %t", !test.seen)
			}
			// And nothing is removed of which that is not known.
			before := one.pediaCluster(t, "mcp-a")
			_, _ = one.newPass().run(t.Context())
			if gone := one.pediaCluster(t, "mcp-a") == nil; gone != (test.want == decision.Gone) || before == nil {
				t.Errorf("the PediaCluster is gone: %t", gone)
			}
		})
	}
}

func TestASourceOfWhichNothingWasMadeIsNotAskedFor(t *testing.T) {
	one := newUnimported(t)
	one.deleteSource(t)
	asked := len(one.host.Actions())
	p := one.newPass()
	snapshot := p.observe()
	if err := p.observeSource(t.Context(), snapshot); err != nil || snapshot.Source.Presence != decision.Never || len(one.host.Actions()) != asked {
		t.Errorf("it observes %+v, %v, and asks %v", snapshot.Source, err, one.host.Actions()[asked:])
	}
	one.pass(t)
	if counts := one.policies.summaries.of("mcp").counts; counts != (policyv1alpha1.ImportCounts{}) {
		t.Errorf("the counts are %+v", counts)
	}
}

func TestWhatIsObservedOfASelectedSource(t *testing.T) {
	for selector, want := range map[string]decision.Source{
		"":                       {Presence: decision.Present, Selected: true},
		"{{ eq 1 1 }}":           {Presence: decision.Present, Selected: true},
		"false":                  {Presence: decision.Present},
		`{{ fail "no reason" }}`: {Presence: decision.Present, SelectorErr: errors.New("no reason")},
	} {
		one := newOneImport(t)
		one.changeState(t, func(s *policyState) { s.policy.Spec.Source.SelectorTemplate = selector })
		p := one.newPass()
		snapshot := p.observe()
		if err := p.observeSource(t.Context(), snapshot); err != nil {
			t.Fatal(err)
		}
		got := snapshot.Source
		if got.Presence != want.Presence || got.Selected != want.Selected || (got.SelectorErr == nil) != (want.SelectorErr == nil) || p.selected != want.Selected {
			t.Errorf("%q: it observes %+v", selector, got)
		}
	}
}

// An answer that PediaClusters are not served does not say that there is none.
func TestAPediaClusterIsReadFromTheHost(t *testing.T) {
	pediaClusterType := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: render.PediaClusterGVR.GroupResource().String()}}
	for name, test := range map[string]struct {
		host  func(*oneImport)
		found bool
		err   string
	}{
		"there is one": {func(*oneImport) {}, true, ""},
		"there is none": {func(one *oneImport) {
			one.hostFails("get", "pediaclusters", apierrors.NewNotFound(render.PediaClusterGVR.GroupResource(), "mcp-a"))
		}, false, ""},
		"the host does not answer": {func(one *oneImport) { one.hostFails("get", "pediaclusters", errHost) }, false, errHost.Error()},
		"they are not served for a moment": {func(one *oneImport) {
			one.hostFails("get", "pediaclusters", notServed("get"))
			one.definitionIs(pediaClusterType, nil)
		}, false, "does not serve"},
		"they are not served, nobody knows": {func(one *oneImport) {
			one.hostFails("get", "pediaclusters", notServed("get"))
			one.definitionIs(nil, errHost)
		}, false, "does not serve"},
		"their definition was deleted": {func(one *oneImport) {
			one.hostFails("get", "pediaclusters", notServed("get"))
			one.definitionIs(nil, crdNotFound)
		}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			test.host(one)
			object, err := one.livePediaCluster(t.Context(), "mcp-a")
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) || (object != nil) != test.found {
				t.Errorf("%v, %v", object, err)
			}
		})
	}
}

// withSecret has the policy read the Secret "a" of the Source's namespace, and returns the
// import with that.
func withSecret(t *testing.T) *oneImport {
	t.Helper()
	state := stateOfOne(t, 1, "")
	state.policy.Spec.Template = `spec: {apiserver: "{{ .references.auth.data.endpoint | b64dec }}", syncResources: []}`
	state.policy.Spec.References = []policyv1alpha1.ReferenceTemplate{{
		ReferenceTarget: policyv1alpha1.ReferenceTarget{Key: "auth", Resource: "secrets", NamespaceTemplate: ptr.To("default"), NameTemplate: "{{ .source.metadata.name }}"}}}
	state.references = []referenceType{{
		Type: servedtypes.Type{GroupVersionResource: secrets, Namespaced: true},
		kind: hostobjects.Kind{GroupVersionResource: secrets, MetadataOnly: true}}}
	if problem := state.compile(); problem != nil {
		t.Fatal(problem)
	}
	return newWorld(t, state, []runtime.Object{sourceNamed("a")})
}

// hasSecret stores a Secret on the host, in a version, and has the informer show it.
func (o *oneImport) hasSecret(t *testing.T, version, endpoint string) {
	t.Helper()
	o.hasSecretOf(t, o.policies.state("mcp").references[0].kind, version, endpoint)
}

func (o *oneImport) hasSecretOf(t *testing.T, kind hostobjects.Kind, version, endpoint string) {
	t.Helper()
	o.hasSecretNamed(t, kind, "a", version, endpoint)
}

func (o *oneImport) hasSecretNamed(t *testing.T, kind hostobjects.Kind, name, version, endpoint string) {
	t.Helper()
	secret := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": name, "namespace": "default", "resourceVersion": version},
		"data":     map[string]any{"endpoint": endpoint}}}
	shown := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", ResourceVersion: version}}
	err := errors.Join(o.host.Tracker().Add(secret), o.metadata.Tracker().Add(shown))
	if err != nil {
		err = errors.Join(o.host.Tracker().Update(secrets, secret, "default"), o.metadata.Tracker().Update(secrets, shown, "default"))
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return o.objects.ResourceVersion(kind, "default", name) == version })
}

func TestAReferenceIsReadWhenTheInformerKnowsIt(t *testing.T) {
	one := withSecret(t)
	secret := memory.Object{GroupResource: schema.GroupResource{Resource: "secrets"}, Namespace: "default", Name: "a"}
	one.pass(t)
	waits := one.stored(t)
	if waits.Status.Phase != policyv1alpha1.LifecycleWaiting || readyOf(waits).Reason != policyv1alpha1.ReasonWaitingForReference {
		t.Fatalf("without the Secret it says %+v", waits.Status)
	}
	for _, action := range one.host.Actions() {
		if action.GetVerb() == "get" && action.GetResource() == secrets {
			t.Error("the host is asked for what the informer does not show")
		}
	}
	if diff := cmp.Diff([]memory.Import{one.Import}, one.memory.Readers(secret)); diff != "" {
		t.Errorf("who hears when it comes (-want +got):\n%s", diff)
	}

	one.hasSecret(t, "7", "aHR0cHM6Ly9vbmU=")
	one.referenceChanged(secret)
	one.pass(t)
	one.wantEndpoint(t, "https://one")
	one.showsPediaCluster(t, "https://one")
	if diff := cmp.Diff([]policyv1alpha1.DependentResource{{Version: "v1", Resource: "secrets", Namespace: "default", Name: "a"}}, one.stored(t).Status.References); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}

	one.hasSecret(t, "8", "aHR0cHM6Ly90d28=")
	one.referenceChanged(secret)
	one.wantEnqueued(t, "a rotation", "mcp/a, single")
	one.pass(t)
	one.wantEndpoint(t, "https://two")
}

// Platforms write the status of their objects all the time. What no template reads costs no
// read of a reference, and no rendering.
func TestAChangeOfASourceThatNoTemplateReadsIsNotWorkedOn(t *testing.T) {
	template := "spec:\n  apiserver: \"{{ .source.spec.endpoint }}\"\n  syncResources: []\n"
	heartbeat := func(o *unstructured.Unstructured) { o.Object["status"] = map[string]any{"heartbeat": "now"} }
	label := func(o *unstructured.Unstructured) { o.SetLabels(map[string]string{"tier": "gold"}) }
	inTurns := func(s *policyState) {
		s.policy.Spec.Rollout = rolloutOf(func(r *policyv1alpha1.Rollout) { r.First = &policyv1alpha1.LabelSelector{} })
		s.newest = decision.RevisionOfPolicy(&s.policy.Spec)
		s.revision = s.newest.Hash()
	}
	for name, test := range map[string]struct {
		template string
		change   func(*unstructured.Unstructured)
		settled  bool
		rollout  func(*policyState)
	}{
		"a heartbeat":        {template, heartbeat, true, nil},
		"a label":            {template, label, true, nil},
		"what is read":       {template, func(o *unstructured.Unstructured) { o.Object["spec"] = map[string]any{"endpoint": "https://new"} }, false, nil},
		"its deletion":       {template, func(o *unstructured.Unstructured) { o.SetDeletionTimestamp(&metav1.Time{Time: time.Now()}) }, false, nil},
		"whom it waits for":  {template, func(o *unstructured.Unstructured) { o.SetFinalizers([]string{"example.com/mine"}) }, false, nil},
		"that it is another": {template, func(o *unstructured.Unstructured) { o.SetUID("another") }, false, nil},
		"a part of a whole":  {template + "  shardingName: \"{{ .source | toJson | len }}\"\n", label, false, nil},
		"a heartbeat under a policy with a rollout": {template, heartbeat, true, inTurns},
		"a label, which makes canaries":             {template, label, false, inTurns},
		"a heartbeat while others have a former revision": {template, heartbeat, false, func(s *policyState) {
			inTurns(s)
			s.recorded = []*recordedConversion{{hash: "former"}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			one := newOneImport(t)
			changes := func(version string, change func(*unstructured.Unstructured)) {
				t.Helper()
				source := sourceNamed("a")
				source.Object["spec"] = map[string]any{"endpoint": "https://old"}
				source.SetResourceVersion(version)
				change(source)
				if err := one.host.Tracker().Update(mcpClusters, source, ""); err != nil {
					t.Fatal(err)
				}
				eventually(t, func() bool { return one.objects.ResourceVersion(one.policies.state("mcp").sources, "", "a") == version })
			}
			changes("6", func(*unstructured.Unstructured) {})
			one.changeState(t, func(s *policyState) { s.policy.Spec.Template = test.template })
			one.pass(t)
			if test.rollout != nil {
				one.changeState(t, test.rollout)
				one.pass(t)
			}
			one.pass(t)
			if !one.isSettledNow() {
				t.Fatal("something is left to do before the change")
			}
			changes("7", test.change)
			one.sourceChanged(one.Import, hostobjects.Present)
			for range 2 {
				if settled := one.isSettledNow(); settled != test.settled {
					t.Errorf("nothing is to be done: %t", settled)
				}
			}
		})
	}
}

// A read that fails changes nothing, is told, and is tried again.
func TestAReferenceThatCannotBeReadChangesNothing(t *testing.T) {
	one := withSecret(t)
	one.hasSecret(t, "7", "aHR0cHM6Ly9vbmU=")
	one.pass(t)
	one.showsPediaCluster(t, "https://one")
	one.hasSecret(t, "8", "aHR0cHM6Ly90d28=")
	one.hostFails("get", "secrets", errHost)
	one.memory.Invalidate(one.Import)
	if err := one.reconcile(t.Context(), one.Import); err == nil || !strings.Contains(err.Error(), errHost.Error()) {
		t.Errorf("it is not tried again: %v", err)
	}
	one.wantEndpoint(t, "https://one")
	if said := one.stored(t); readyOf(said).Reason != policyv1alpha1.ReasonReferenceUnavailable || !decision.IsCreated(said.Status) {
		t.Errorf("it says %+v", said.Status)
	}
}

func TestWhichTypesAReferenceMayHave(t *testing.T) {
	one := withSecret(t)
	one.policies.state("mcp").references = append(one.policies.state("mcp").references, referenceType{
		Type: servedtypes.Type{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "nodes"}}})
	for target, want := range map[policyv1alpha1.DependentResource]string{
		{Version: "v1", Resource: "secrets", Name: "a"}:                       "secrets have a namespace: set namespaceTemplate",
		{Version: "v1", Resource: "nodes", Namespace: "default", Name: "a"}:   "nodes have no namespace: remove namespaceTemplate",
		{Version: "v1", Resource: "configmaps", Namespace: "d", Name: "a"}:    "configmaps is no type that the policy reads",
		{Version: "v2", Resource: "secrets", Namespace: "default", Name: "a"}: "secrets is no type that the policy reads",
	} {
		if object, err := one.newPass().lookup(t.Context(), one.policies.state("mcp").references, target); err == nil || err.Error() != want || object != nil {
			t.Errorf("%+v: %v, %v", target, object, err)
		}
	}
}

// Somebody who asks for a resync has everything read from the host, whatever informers show.
func TestAResyncReadsFromTheHost(t *testing.T) {
	one := withSecret(t)
	one.hasSecret(t, "7", "aHR0cHM6Ly9vbmU=")
	one.pass(t)
	one.showsPediaCluster(t, "https://one")
	one.stored(t)
	one.pass(t)
	asked := len(one.host.Actions())
	one.changeLifecycle(t, func(l *lifecycles.Lifecycle) {
		l.Annotations = map[string]string{policyv1alpha1.ResyncAnnotation: "please"}
	})
	one.pass(t)
	read := map[string]bool{}
	for _, action := range one.host.Actions()[asked:] {
		if get, ok := action.(clienttesting.GetAction); ok {
			read[fmt.Sprint(get.GetResource().Resource)] = true
		}
	}
	if diff := cmp.Diff(map[string]bool{"clusters": true, "secrets": true, "pediaclusters": true}, read); diff != "" {
		t.Errorf("read from the host (-want +got):\n%s", diff)
	}
	if done := one.stored(t).Status.LastResync; done != "please" {
		t.Errorf("done is %q", done)
	}
	asked = len(one.host.Actions())
	one.again(t)
	if more := one.host.Actions()[asked:]; len(more) > 1 { // the Secret
		t.Errorf("after it the host is asked %v", more)
	}
}
