package author

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/ptr"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

// fakeHost allows what is listed, and answers no question that is in silent. A
// permission reads "verb resource.group", with " namespace/name" where it has one.
type fakeHost struct {
	allowed, silent []string

	mu    sync.Mutex
	asked []string
}

func (h *fakeHost) Authorize(_ context.Context, attrs authorizer.Attributes) (authorizer.Decision, string, error) {
	question := attrs.GetVerb() + " " + attrs.GetResource()
	if attrs.GetAPIGroup() != "" {
		question += "." + attrs.GetAPIGroup()
	}
	if attrs.GetNamespace() != "" || attrs.GetName() != "" {
		question += " " + attrs.GetNamespace() + "/" + attrs.GetName()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, question)
	switch {
	case slices.Contains(h.silent, question):
		return authorizer.DecisionNoOpinion, "", errors.New("connection refused")
	case attrs.GetUser().GetName() == "jane" && slices.Contains(h.allowed, question):
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

var (
	readsAll = []string{"list clusters.mcp.io", "watch clusters.mcp.io", "get secrets"}
	writeAll = []string{"create pediaclusters.cluster.clusterpedia.io", "patch pediaclusters.cluster.clusterpedia.io",
		"delete pediaclusters.cluster.clusterpedia.io"}
	importIt = []string{"import clusterimportpolicies.policy.clusterpedia.io /mcp"}
)

func testPolicy() *policy.ClusterImportPolicy {
	return &policy.ClusterImportPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "mcp"},
		Spec: policy.ClusterImportPolicySpec{
			Source: policy.SourceType{Group: "mcp.io", Resource: "clusters"},
			References: []policy.ReferenceTemplate{{ReferenceTarget: policy.ReferenceTarget{
				Key: "auth", Resource: "secrets", NamespaceTemplate: ptr.To("{{ .source.spec.namespace }}"), NameTemplate: "{{ .source.spec.secret }}"}}},
			NameTemplate: "mcp-{{ .source.metadata.name }}",
			MaxPrune:     ptr.To(intstr.FromString("10%")),
			Conversion: policy.Conversion{
				Template: "spec: {}", CreationCondition: "true", DeletionCondition: "false", DeletionPolicy: policy.DeletionPolicyDelete,
			},
		},
	}
}

func as(t *testing.T, name string, groups ...string) context.Context {
	return genericapirequest.WithUser(t.Context(), &user.DefaultInfo{Name: name, Groups: groups})
}

func TestAPolicyNeedsWhatItReadsAndWrites(t *testing.T) {
	reference := func(group, resource, namespaceTemplate, nameTemplate string) policy.ReferenceTemplate {
		return policy.ReferenceTemplate{ReferenceTarget: policy.ReferenceTarget{
			Key: "ref", Group: group, Resource: resource, NamespaceTemplate: ptr.To(namespaceTemplate), NameTemplate: nameTemplate}}
	}
	for name, test := range map[string]struct {
		references []policy.ReferenceTemplate
		want       []string
	}{
		"no reference": {nil, nil},
		"a namespace of the Source's choice": {
			[]policy.ReferenceTemplate{reference("", "secrets", "{{ .source.metadata.namespace }}", "auth")}, []string{"get secrets"}},
		"a namespace partly of the Source's choice": {
			[]policy.ReferenceTemplate{reference("", "secrets", "team-{{ .source.metadata.name }}", "auth")}, []string{"get secrets"}},
		"a constant that is an action all the same": {
			[]policy.ReferenceTemplate{reference("", "secrets", `{{ "mcp" }}`, "auth")}, []string{"get secrets"}},
		"a literal namespace": {
			[]policy.ReferenceTemplate{reference("", "secrets", " mcp\n", "{{ .source.metadata.name }}")}, []string{"get secrets mcp/"}},
		"a literal namespace and name": {
			[]policy.ReferenceTemplate{reference("vault.io", "keys", "mcp", "auth")}, []string{"get keys.vault.io mcp/auth"}},
		"a type without namespaces": {
			[]policy.ReferenceTemplate{reference("vault.io", "stores", "", "{{ .source.metadata.name }}")}, []string{"get stores.vault.io"}},
		"one object of a type without namespaces": {
			[]policy.ReferenceTemplate{reference("vault.io", "stores", "", "main")}, []string{"get stores.vault.io /main"}},
		"two references of one type": {
			[]policy.ReferenceTemplate{reference("", "secrets", "a", "{{ .source.metadata.name }}"), reference("", "secrets", "b", "{{ .source.metadata.name }}")},
			[]string{"get secrets a/", "get secrets b/"}},
		"the same twice": {
			[]policy.ReferenceTemplate{reference("", "secrets", "a", "{{ .source.x }}"), reference("", "secrets", "a", "{{ .source.y }}")},
			[]string{"get secrets a/"}},
	} {
		t.Run(name, func(t *testing.T) {
			host, written := &fakeHost{}, testPolicy()
			written.Spec.References = test.references
			host.allowed = slices.Concat([]string{"list clusters.mcp.io", "watch clusters.mcp.io"}, writeAll, test.want)
			if err := New(host, Enforce).CheckCreate(as(t, "jane"), written); err != nil {
				t.Error(err)
			}
			want := slices.Concat(host.allowed, importIt)
			slices.Sort(want)
			slices.Sort(host.asked)
			if diff := cmp.Diff(want, host.asked); diff != "" {
				t.Errorf("asked: -want +got:\n%s", diff)
			}
			for _, missing := range host.allowed {
				fewer := &fakeHost{allowed: slices.DeleteFunc(slices.Clone(host.allowed), func(p string) bool { return p == missing })}
				if err := New(fewer, Enforce).CheckCreate(as(t, "jane"), written); !apierrors.IsForbidden(err) {
					t.Errorf("without %q: %v", missing, err)
				}
			}
		})
	}
}

func TestWhatIsMissingIsNamedAtOnce(t *testing.T) {
	const (
		who     = `clusterimportpolicies.policy.clusterpedia.io "mcp" is forbidden: user "jane" `
		ask     = `: ask for these permissions`
		instead = `, or, instead of those to read, for the verb "import" on clusterimportpolicies.policy.clusterpedia.io "mcp"`
	)
	for name, test := range map[string]struct {
		allowed []string
		want    string
	}{
		"nothing is allowed": {nil, who + `may not list or watch clusters.mcp.io, which spec.source names; ` +
			`may not get secrets in all namespaces, which spec.references[0] ("auth") reads; ` +
			`may not get secrets "ca" in the namespace "mcp", which spec.references[1] ("ca") reads; ` +
			`may not get stores.vault.io, which spec.references[2] ("store") reads; ` +
			`may not create, patch or delete pediaclusters.cluster.clusterpedia.io, which the policy writes` + ask + instead},
		"only watch is missing": {slices.Concat(readsAll[:1], readsAll[2:], []string{"get secrets mcp/ca", "get stores.vault.io"}, writeAll),
			who + `may not watch clusters.mcp.io, which spec.source names` + ask + instead},
		"import without writing": {importIt,
			who + `may not create, patch or delete pediaclusters.cluster.clusterpedia.io, which the policy writes` + ask},
		"import and writing":  {slices.Concat(importIt, writeAll), ""},
		"reading and writing": {slices.Concat(readsAll, []string{"get secrets mcp/ca", "get stores.vault.io"}, writeAll), ""},
		"import of another policy": {slices.Concat([]string{"import clusterimportpolicies.policy.clusterpedia.io /other"},
			readsAll[1:], []string{"get secrets mcp/ca", "get stores.vault.io"}, writeAll),
			who + `may not list clusters.mcp.io, which spec.source names` + ask + instead},
	} {
		t.Run(name, func(t *testing.T) {
			written := testPolicy()
			written.Spec.References = append(written.Spec.References,
				policy.ReferenceTemplate{ReferenceTarget: policy.ReferenceTarget{Key: "ca", Resource: "secrets", NamespaceTemplate: ptr.To("mcp"), NameTemplate: "ca"}},
				policy.ReferenceTemplate{ReferenceTarget: policy.ReferenceTarget{Key: "store", Group: "vault.io", Resource: "stores", NameTemplate: "{{ .source.spec.store }}"}})
			got := ""
			if err := New(&fakeHost{allowed: test.allowed}, Enforce).CheckCreate(as(t, "jane"), written); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOnlyAChangeOfWhatAPolicyReadsAndWritesIsAskedAbout(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*policy.ClusterImportPolicy)
		asks   bool
	}{
		"nothing":                       {func(*policy.ClusterImportPolicy) {}, false},
		"labels":                        {func(p *policy.ClusterImportPolicy) { p.Labels = map[string]string{"a": "b"} }, false},
		"a finalizer":                   {func(p *policy.ClusterImportPolicy) { p.Finalizers = nil }, false},
		"the status":                    {func(p *policy.ClusterImportPolicy) { p.Status.Counts.Selected = 1 }, false},
		"suspend":                       {func(p *policy.ClusterImportPolicy) { p.Spec.Suspend = true }, false},
		"maxPrune":                      {func(p *policy.ClusterImportPolicy) { p.Spec.MaxPrune = ptr.To(intstr.FromInt32(0)) }, false},
		"rollout":                       {func(p *policy.ClusterImportPolicy) { p.Spec.Rollout = &policy.Rollout{Paused: true} }, false},
		"deletionPolicy":                {func(p *policy.ClusterImportPolicy) { p.Spec.DeletionPolicy = policy.DeletionPolicyOrphan }, false},
		"an empty list instead of none": {func(p *policy.ClusterImportPolicy) { p.Spec.Source.Versions = []string{} }, false},
		"source.versions":               {func(p *policy.ClusterImportPolicy) { p.Spec.Source.Versions = []string{"v1"} }, true},
		"source.labelSelector":          {func(p *policy.ClusterImportPolicy) { p.Spec.Source.LabelSelector = &metav1.LabelSelector{} }, true},
		"source.selectorTemplate":       {func(p *policy.ClusterImportPolicy) { p.Spec.Source.SelectorTemplate = "true" }, true},
		"references":                    {func(p *policy.ClusterImportPolicy) { p.Spec.References[0].NameTemplate = "root" }, true},
		"a reference less":              {func(p *policy.ClusterImportPolicy) { p.Spec.References = nil }, true},
		"nameTemplate":                  {func(p *policy.ClusterImportPolicy) { p.Spec.NameTemplate = "production" }, true},
		"template":                      {func(p *policy.ClusterImportPolicy) { p.Spec.Template = "spec: {apiserver: https://evil}" }, true},
		"creationCondition":             {func(p *policy.ClusterImportPolicy) { p.Spec.CreationCondition = "false" }, true},
		"deletionCondition":             {func(p *policy.ClusterImportPolicy) { p.Spec.DeletionCondition = "true" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			host, updated := &fakeHost{}, testPolicy()
			test.change(updated)
			err := New(host, Enforce).CheckUpdate(as(t, "jane"), updated, testPolicy())
			if asked := len(host.asked) > 0; asked != test.asks || apierrors.IsForbidden(err) != test.asks {
				t.Errorf("asked %v, answered %v", host.asked, err)
			}
		})
	}
}

func TestThisServerIsNeverAsked(t *testing.T) {
	host, updated := &fakeHost{}, testPolicy()
	updated.Spec.Template = "spec: {apiserver: https://other}"
	checker, ctx := New(host, Enforce), as(t, user.APIServerUser, user.SystemPrivilegedGroup)
	if err := errors.Join(checker.CheckCreate(ctx, updated), checker.CheckUpdate(ctx, updated, testPolicy())); err != nil {
		t.Error(err)
	}
	if len(host.asked) > 0 {
		t.Errorf("asked %v", host.asked)
	}
	// The name alone is not this server.
	if err := checker.CheckCreate(as(t, user.APIServerUser), updated); !apierrors.IsForbidden(err) {
		t.Errorf("who has the name of this server is answered %v", err)
	}
}

func TestARequestWithoutAUserIsRefused(t *testing.T) {
	if err := New(&fakeHost{}, Enforce).CheckCreate(t.Context(), testPolicy()); err == nil {
		t.Error("accepted")
	}
}

// warnings keeps those of a request.
type warnings struct{ texts []string }

func (w *warnings) AddWarning(_, text string) { w.texts = append(w.texts, text) }

func TestModesOfTheAuthorCheck(t *testing.T) {
	silent := []string{"watch clusters.mcp.io"}
	everything := slices.Concat(readsAll, writeAll)
	for name, test := range map[string]struct {
		mode    Mode
		host    *fakeHost
		refused func(error) bool
		says    string // in the error or the warning
		asks    bool
	}{
		"enforce":                       {Enforce, &fakeHost{}, apierrors.IsForbidden, "may not list or watch clusters.mcp.io", true},
		"no mode":                       {"", &fakeHost{}, apierrors.IsForbidden, "may not list or watch clusters.mcp.io", true},
		"enforce, allowed":              {Enforce, &fakeHost{allowed: everything}, nil, "", true},
		"enforce, no answer":            {Enforce, &fakeHost{allowed: everything, silent: silent}, apierrors.IsServiceUnavailable, "try again", true},
		"enforce, no answer, forbidden": {Enforce, &fakeHost{silent: silent}, apierrors.IsServiceUnavailable, "connection refused", true},
		"warn":                          {Warn, &fakeHost{}, nil, "may not list or watch clusters.mcp.io", true},
		"warn, allowed":                 {Warn, &fakeHost{allowed: everything}, nil, "", true},
		"warn, no answer":               {Warn, &fakeHost{allowed: everything, silent: silent}, nil, "is not known", true},
		"off":                           {Off, &fakeHost{}, nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := &warnings{}
			ctx := warning.WithWarningRecorder(as(t, "jane"), recorder)
			err := New(test.host, test.mode).CheckCreate(ctx, testPolicy())
			said := strings.Join(recorder.texts, "\n")
			if err != nil {
				said = err.Error()
			}
			if refused := err != nil; refused != (test.refused != nil) || refused && !test.refused(err) {
				t.Errorf("answered %v", err)
			}
			if !strings.Contains(said, test.says) || (said == "") != (test.says == "") {
				t.Errorf("said %q", said)
			}
			if asked := len(test.host.asked) > 0; asked != test.asks {
				t.Errorf("asked %v", test.host.asked)
			}
			if _, retry := apierrors.SuggestsClientDelay(err); apierrors.IsServiceUnavailable(err) && !retry {
				t.Error("a client is not told to try again")
			}
		})
	}
}

func TestAnAbandonedRequestIsNotAnswered(t *testing.T) {
	ctx, cancel := context.WithCancel(as(t, "jane"))
	cancel()
	waiting := authorizer.AuthorizerFunc(func(ctx context.Context, _ authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionNoOpinion, "", ctx.Err()
	})
	if err := New(waiting, Enforce).CheckCreate(ctx, testPolicy()); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("answered %v", err)
	}
}
