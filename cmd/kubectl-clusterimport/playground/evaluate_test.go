package playground

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// digested is the digest of the tests: what is shown of a credential has nothing of it.
func digested(credential string) string { return fmt.Sprintf("digest of %d bytes", len(credential)) }

func newEvaluator() *evaluator {
	return &evaluator{digest: digested, masks: newMasks(digested)}
}

func evaluate(t *testing.T, texts Texts) *Evaluation {
	t.Helper()
	evaluated, err := newEvaluator().evaluate(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	return evaluated
}

// TestThePlaygroundShowsWhatTheGoldenCasesExpect evaluates every case of every platform.
func TestThePlaygroundShowsWhatTheGoldenCasesExpect(t *testing.T) {
	platforms, err := Platforms()
	if err != nil {
		t.Fatal(err)
	}
	if len(platforms) < 16 {
		t.Errorf("only %d platforms", len(platforms))
	}
	for _, platform := range platforms {
		for _, name := range platform.Cases {
			t.Run(platform.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				texts, err := Example(platform.Name, name)
				if err != nil {
					t.Fatal(err)
				}
				evaluated := evaluate(t, texts)
				if evaluated.Result == nil {
					t.Fatalf("no result: %+v", evaluated.Findings)
				}
				golden := goldenResult(t, platform.Name, name)
				if diff := cmp.Diff(pediaClusterOf(t, golden), evaluated.Result.PediaCluster); diff != "" {
					t.Errorf("the PediaCluster differs (-golden +playground):\n%s", diff)
				}
				plan := evaluated.Result.Plan
				if got, want := []string{plan.Action, plan.Reason, evaluated.Result.Name}, []string{string(golden.Action), golden.Reason, golden.Name}; !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				for _, finding := range evaluated.Findings {
					if finding.Severity == Error && golden.Action != policyv1alpha1.RenderError || finding.Editor != policyEditor {
						t.Errorf("finding %+v", finding)
					}
				}
			})
		}
	}
}

func goldenResult(t *testing.T, platform, name string) policyv1alpha1.RenderResult {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../artifacts/platforms", platform, "tests", name, "expected.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var result policyv1alpha1.RenderResult
	if err := yaml.Unmarshal(text, &result); err != nil {
		t.Fatal(err)
	}
	return result
}

// pediaClusterOf is that of a golden result, with its credentials digested.
func pediaClusterOf(t *testing.T, result policyv1alpha1.RenderResult) string {
	t.Helper()
	if result.PediaCluster == nil {
		return ""
	}
	var object unstructured.Unstructured
	if err := json.Unmarshal(result.PediaCluster.Raw, &object.Object); err != nil {
		t.Fatal(err)
	}
	spec := object.Object["spec"].(map[string]any)
	for _, field := range render.CredentialFields() {
		if credential, ok := spec[field].(string); ok {
			spec[field] = digested(credential)
		}
	}
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// example is a platform's case with replacements, in pairs, in its policy.
func example(t *testing.T, platform, name string, replacements ...string) Texts {
	t.Helper()
	texts, err := Example(platform, name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(texts.Policy, replacements[i]) {
			t.Fatalf("the policy has no %q", replacements[i])
		}
		texts.Policy = strings.ReplaceAll(texts.Policy, replacements[i], replacements[i+1])
	}
	return texts
}

// lineOf is the number of the first line that has the text.
func lineOf(t *testing.T, text, part string) int {
	t.Helper()
	before, _, found := strings.Cut(text, part)
	if !found {
		t.Fatalf("no %q", part)
	}
	return strings.Count(before, "\n") + 1
}

func TestMistakesAreAtTheirPlace(t *testing.T) {
	karmada := func(replacements ...string) Texts { return example(t, "karmada", "push", replacements...) }
	for name, test := range map[string]struct {
		texts    Texts
		editor   string
		at       string // the text of the line
		severity Severity
		message  string
		result   bool
	}{
		"a field that does not exist": {karmada("nameTemplate:", "nameTemplat:"), policyEditor, "nameTemplat:", Error, "unknown field", false},
		"a template that does not compile": {karmada("{{ .source.metadata.name }}", "{{ .source.metadata.name | getenv }}"), policyEditor, "getenv", Error,
			`there is no function "getenv"`, false},
		"a field that the type does not have": {karmada(".source.spec.apiEndpoint", ".source.spec.apiEndpint"), policyEditor, "apiEndpint", Warning,
			`did you mean "apiEndpoint"`, true},
		"a field that PediaClusters do not have": {Texts{Policy: `apiVersion: policy.clusterpedia.io/v1alpha1
kind: ClusterImportPolicy
metadata: {name: p}
spec:
  source: {group: "", resource: secrets}
  nameTemplate: "{{ .source.metadata.name }}"
  creationCondition: "true"
  template: |
    spec:
      syncNothing: true
      syncResources: []
`}, policyEditor, "syncNothing", Warning, "unknown field", false},
		"a tab":                   {func() Texts { texts := karmada(); texts.Source = "kind: Cluster\n\tx: y\n"; return texts }(), sourceEditor, "\tx", Error, "no YAML", false},
		"a key that is set twice": {karmada("\nspec:\n", "\nspec:\n  suspend: false\n  suspend: true\n"), policyEditor, "suspend: true", Error, "set twice", false},
		"another kind for the Source": {func() Texts { texts := karmada(); texts.Source = "apiVersion: v1\nkind: Secret\n"; return texts }(), sourceEditor, "apiVersion", Error,
			"no Source: the policy reads clusters.cluster.karmada.io", false},
		"two Sources": {func() Texts {
			texts := karmada()
			texts.Source += "---\n" + strings.ReplaceAll(texts.Source, "name: ", "name: second-")
			return texts
		}(), sourceEditor, "", Warning, "only the first Source", true},
		"a broken reference":   {func() Texts { texts := karmada(); texts.References = "a: [\n"; return texts }(), referencesEditor, "a: [", Error, "no YAML", true},
		"no policy":            {Texts{}, policyEditor, "", Error, "there is no ClusterImportPolicy", false},
		"something else":       {Texts{Policy: "apiVersion: v1\nkind: Secret\n"}, policyEditor, "kind", Error, "Secret is no ClusterImportPolicy", false},
		"no object":            {Texts{Policy: "just a text"}, policyEditor, "just", Error, "no Kubernetes object", false},
		"two policies":         {func() Texts { texts := karmada(); texts.Policy += "---\n" + texts.Policy; return texts }(), policyEditor, "", Warning, "only the first policy", true},
		"no Source":            {func() Texts { texts := karmada(); texts.Source = ""; return texts }(), "", "", "", "", false},
		"a template in braces": {karmada("nameTemplate: \"karmada-{{ .source.metadata.name }}\"", "nameTemplate: {{ .source.metadata.name }}"), policyEditor, "nameTemplate: {{", Error, "single quotes", false},
	} {
		t.Run(name, func(t *testing.T) {
			evaluated := evaluate(t, test.texts)
			if got := evaluated.Result != nil; got != test.result {
				t.Errorf("has a result: %v, want %v", got, test.result)
			}
			if test.editor == "" {
				for _, finding := range evaluated.Findings {
					if finding.Severity == Error {
						t.Errorf("finding %+v", finding)
					}
				}
				return
			}
			text := map[string]string{policyEditor: test.texts.Policy, sourceEditor: test.texts.Source, referencesEditor: test.texts.References}[test.editor]
			found := slices.ContainsFunc(evaluated.Findings, func(f Finding) bool {
				return f.Editor == test.editor && f.Severity == test.severity && strings.Contains(f.Message, test.message) &&
					(test.at == "" || f.Line == lineOf(t, text, test.at))
			})
			if !found {
				t.Errorf("findings %+v; want one with %q", evaluated.Findings, test.message)
			}
		})
	}
}

func TestWhatFailsWithASourceIsMarkedInThePolicy(t *testing.T) {
	texts := example(t, "karmada", "push", "\n    spec:\n", "\n    spec:\n      shardingName: {{ fail \"not today\" }}\n")
	evaluated := evaluate(t, texts)
	if evaluated.Result == nil || evaluated.Result.Plan.Action != string(policyv1alpha1.RenderError) {
		t.Fatalf("result %+v", evaluated.Result)
	}
	want := Finding{Editor: policyEditor, Line: lineOf(t, texts.Policy, "not today"), Column: 24, Severity: Error, Field: "spec.template",
		Message: `with this Source: fail "not today": not today`}
	if !slices.Contains(evaluated.Findings, want) {
		t.Errorf("findings %+v, want %+v", evaluated.Findings, want)
	}
}

func TestConditionsSayWhyTheyAreNotTrue(t *testing.T) {
	for _, condition := range evaluate(t, example(t, "karmada", "not-ready")).Result.Conditions {
		if condition.Field != "spec.creationCondition" {
			continue
		}
		if condition.Holds || condition.Why == "" {
			t.Errorf("condition %+v", condition)
		}
		for _, line := range condition.Template {
			for _, decided := range line.Decisions {
				if decided.Sign == "✗" {
					return
				}
			}
		}
		t.Errorf("no decision is shown: %+v", condition.Template)
		return
	}
	t.Error("no creation condition")
}

// TestCredentialsAreShownNowhere evaluates a case with all its credentials.
func TestCredentialsAreShownNowhere(t *testing.T) {
	const token, password = "c2VjcmV0LXRva2Vu", "hunter2hunter2"
	texts := Texts{
		Policy: `apiVersion: policy.clusterpedia.io/v1alpha1
kind: ClusterImportPolicy
metadata: {name: p}
spec:
  source: {group: "", resource: secrets}
  nameTemplate: "{{ .source.metadata.name }}"
  creationCondition: '{{ eq (b64dec .source.data.token) "secret-token" }}'
  template: |
    spec:
      apiserver: https://admin:` + password + `@one.example.com
      tokenData: "{{ .source.data.token }}"
      syncResources: []
`,
		Source: "apiVersion: v1\nkind: Secret\nmetadata: {name: one, namespace: x}\ndata: {token: " + token + "}\n",
	}
	evaluated := evaluate(t, texts)
	shown, err := json.Marshal(evaluated.Result)
	if err != nil || evaluated.Result == nil || evaluated.Result.PediaCluster == "" {
		t.Fatalf("%+v: %v", evaluated, err)
	}
	for _, credential := range []string{token, password, `is \"secret-token`} {
		if strings.Contains(string(shown), credential) {
			t.Errorf("%s is shown: %s", credential, shown)
		}
	}
}

func TestAnExistingPediaClusterIsAmongTheReferences(t *testing.T) {
	texts := example(t, "karmada", "push")
	created := evaluate(t, texts).Result
	if created.Plan.Summary != "PediaCluster "+created.Name+" would be created." || created.Plan.Rule == "" {
		t.Errorf("plan %+v", created.Plan)
	}
	texts.References += "---\napiVersion: cluster.clusterpedia.io/v1alpha2\nkind: PediaCluster\nmetadata: {name: " + created.Name + "}\nspec: {apiserver: 'https://old.example.com', syncResources: []}\n"
	if plan := evaluate(t, texts).Result.Plan; plan.Action != string(policyv1alpha1.RenderUpdate) || !slices.Contains(plan.Changed, "spec.apiserver") {
		t.Errorf("plan %+v", plan)
	}
	texts.Policy = strings.Replace(texts.Policy, "\nspec:\n", "\nspec:\n  suspend: true\n", 1)
	if plan := evaluate(t, texts).Result.Plan; plan.Summary != "Nothing would be done: the policy is suspended." {
		t.Errorf("plan %+v", plan)
	}
}

func TestALifecycleIsAmongTheReferences(t *testing.T) {
	texts := example(t, "karmada", "push")
	lifecycle := func(annotations string) string {
		return `---
apiVersion: policy.clusterpedia.io/v1alpha1
kind: PediaClusterLifecycle
metadata:
  name: karmada-member1
  uid: b9f9e26c-94e1-4c1c-a8ff-7d6d5f9a6d33
  annotations: {` + annotations + `}
  ownerReferences: [{apiVersion: policy.clusterpedia.io/v1alpha1, kind: ClusterImportPolicy, name: karmada, uid: x, controller: true}]
spec:
  source: {group: cluster.karmada.io, version: v1alpha1, resource: clusters, name: member1}
`
	}
	before := texts.References
	texts.References = before + lifecycle("")
	if plan := evaluate(t, texts).Result.Plan; plan.Summary != "PediaCluster karmada-member1 would be created." {
		t.Errorf("plan %+v", plan)
	}
	texts.References = before + lifecycle(policyv1alpha1.PausedAnnotation+": 'true'")
	if plan := evaluate(t, texts).Result.Plan; plan.Summary != "Nothing would be done: "+plan.Rule+"." || !strings.Contains(plan.Rule, "paused") {
		t.Errorf("plan %+v", plan)
	}
	texts.References = before + strings.ReplaceAll(lifecycle(""), "name: karmada,", "name: other,")
	if plan := evaluate(t, texts).Result.Plan; plan.Reason != policyv1alpha1.ReasonSourceTaken {
		t.Errorf("plan %+v", plan)
	}
}

// large is how many thousands of bytes hostile texts have: 2 MB, or less where the race
// detector makes everything take ten times as long.
var large = map[bool]int{false: 2000, true: 200}[raced]

// hostile are texts that are made to take long or to show what they should not.
func hostile(t *testing.T) map[string]Texts {
	condition := func(template string) Texts {
		return example(t, "karmada", "push", "\n  creationCondition: |", "\n  deletionCondition: '"+template+"'\n  creationCondition: |")
	}
	texts := map[string]Texts{
		"a range without an end": condition(`{{ range until 1000000000 }}{{ range until 1000000000 }}x{{ end }}{{ end }}`),
		"nested ranges":          condition(`{{ range until 999 }}{{ range until 999 }}{{ range until 999 }}{{ now }}{{ end }}{{ end }}{{ end }}`),
		"a template of itself":   condition(`{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`),
		"a text that grows":      condition(`{{ $x := "xxxxxxxx" }}{{ range until 100 }}{{ $x = print $x $x $x $x }}{{ end }}`),
		"a repetition":           condition(`{{ repeat 1000000000 "x" }}`),
		"a regular expression":   condition(`{{ regexMatch "(a*)*(a*)*(a*)*b" (repeat 100000 "a") }}`),
		"many actions":           condition(strings.Repeat("{{ .source.x }}", 20_000)),
		"deep blocks":            condition(strings.Repeat("{{ if true }}", 5000) + strings.Repeat("{{ end }}", 5000)),
		"deep brackets":          condition("{{ " + strings.Repeat("(", 50_000) + "1" + strings.Repeat(")", 50_000) + " }}"),
		"2 MB of unknown fields": {Policy: "apiVersion: policy.clusterpedia.io/v1alpha1\nkind: ClusterImportPolicy\nspec:\n" + numbered("  field%d: x\n", 60*large)},
		"2 MB of unknown types":  {Policy: numbered("---\napiVersion: v1\nkind: Kind%d\n", 25*large)},
		"2 MB of broken YAML":    {Policy: strings.Repeat("---\na: [\n", 125*large)},
		"aliases":                {Source: "apiVersion: v1\nkind: A\na: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a, ", 1<<12) + "]\n"},
	}
	many := example(t, "karmada", "push")
	many.Source = strings.Repeat(many.Source+"---\n", large*1000/len(many.Source))
	texts["2 MB of Sources"] = many
	long := example(t, "karmada", "push")
	long.Source += numbered("x%d: [a, b, {c: d}]\n", 45*large)
	texts["a Source of 2 MB"] = long
	others := example(t, "karmada", "push")
	others.References += numbered("---\napiVersion: v1\nkind: Secret\nmetadata: {name: s%d, namespace: x}\ndata: {token: eA==}\n", 12*large)
	texts["2 MB of references"] = others
	texts["a List of 2 MB"] = Texts{Policy: others.Policy, Source: others.Source,
		References: "apiVersion: v1\nkind: List\nitems:\n" + numbered("- {apiVersion: v1, kind: Secret, metadata: {name: s%d, namespace: x}}\n", 15*large)}
	const work = `{{ range until 500 }}{{ range until 500 }}{{ end }}{{ end }}`
	texts["work in every template"] = example(t, "karmada", "push", "  references:\n", "  references:\n"+numbered("  - {key: k%d, group: '', resource: secrets, namespaceTemplate: '"+work+
		"{{ .source.spec.secretRef.namespace }}', nameTemplate: '"+work+"{{ .source.spec.secretRef.name }}'}\n", 31), "{{- $ready := false }}", "{{- $ready := false }}"+work)
	return texts
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestHostileTextsAreEvaluated takes each of them through all that the page asks. Without the
// bounds of the engine and of manifests, some would run until the machine is out of memory.
func TestHostileTextsAreEvaluated(t *testing.T) {
	for name, texts := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			var before, after goruntime.MemStats
			goruntime.ReadMemStats(&before)
			evaluated := evaluate(t, texts)
			goruntime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 2<<30 {
				t.Errorf("it allocated %d MiB", allocated>>20)
			}
			if len(evaluated.Findings) > maxFindings {
				t.Errorf("%d findings", len(evaluated.Findings))
			}
			for _, finding := range evaluated.Findings {
				if finding.Line < 1 || len(finding.Message) > maxMessage {
					t.Errorf("finding of %d bytes at line %d", len(finding.Message), finding.Line)
				}
			}
			shown, err := json.Marshal(evaluated)
			if err != nil || len(shown) > 3<<20 {
				t.Errorf("%d bytes are shown: %v", len(shown), err)
			}
		})
	}
}

func TestAnEvaluationEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newEvaluator().evaluate(ctx, example(t, "karmada", "push")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// FuzzEvaluate looks for texts at which the evaluation panics.
func FuzzEvaluate(f *testing.F) {
	for _, name := range []string{"push", "not-ready"} {
		texts, err := Example("karmada", name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(texts.Policy, texts.Source, texts.References)
	}
	f.Add("a: &a [*a]", "---\n---\n", "kind: List\nitems: [{}]")
	f.Fuzz(func(t *testing.T, policy, source, references string) {
		evaluated, err := newEvaluator().evaluate(t.Context(), Texts{policy, source, references})
		if err != nil {
			t.Fatal(err)
		}
		for _, finding := range evaluated.Findings {
			if finding.Line < 1 {
				t.Errorf("finding %+v has no place", finding)
			}
		}
	})
}
