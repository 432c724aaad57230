package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// A template with three mistakes that the host would refuse. It is refused before any request
// is sent, previews say so, and credentials of what exists follow all the same.
func TestWhatTheHostWouldRefuseIsNotSent(t *testing.T) {
	t.Parallel()
	const name = "preview"
	const wrong = `
metadata:
  labels: {display: "{{ .source.metadata.annotations.display }}"}
spec:
  apiserver: https://a.example.com
  tokenData: {{ .source.data.token }}
  syncAllCustomResources: "true"
`
	const right = `
metadata:
  annotations: {display: "{{ .source.metadata.annotations.display }}"}
spec:
  apiserver: https://a.example.com
  tokenData: {{ .source.data.token }}
  syncAllCustomResources: true
  syncResources: []
`
	const noSync, text = "spec.syncResources: is missing: it must be a list, which may be empty", "spec.syncAllCustomResources: must be a boolean, not a string"
	const label = "metadata.labels[display]: a valid label must be"
	shared.createSecret(t, "default", "preview", map[string]string{"case": name}, map[string][]byte{"token": []byte("first")})
	_, err := shared.objects.Resource(secrets).Namespace("default").Patch(t.Context(), "preview", types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"display":"Prod EU #1"}}}`), metav1.PatchOptions{})
	must(t, err)

	// Before the policy exists.
	file := writeYAML(t, secretPolicy(name, wrong))
	out, _ := plugin(t, 0, "lint", "-f", file)
	contains(t, out, noSync, text)
	out, _ = plugin(t, 1, "lint", "--strict", "-f", file)
	contains(t, out, noSync, text)
	answer, err := shared.KubectlCommand(t.Context(), "apply", "--dry-run=server", "-f", file).CombinedOutput()
	must(t, err)
	contains(t, string(answer), "Warning: spec.template: "+noSync, "Warning: spec.template: line 7, column 27: "+text)
	out, stderr := plugin(t, 0, "diff", "-f", file) // nothing would be done
	contains(t, out+stderr, noSync, text, label)

	// When it does.
	shared.applySecretPolicy(t, name, wrong)
	shared.waitsFor(t, "preview-preview", "Failed", policyv1alpha1.ReasonInvalidPediaCluster, noSync, text, label)
	out, _ = plugin(t, 1, "render", name, "--source", "default/preview")
	contains(t, out, "Error (InvalidPediaCluster)", noSync, text, label)
	if _, err := shared.objects.Resource(pediaClusters).Get(t.Context(), "preview-preview", metav1.GetOptions{}); gone(err) != nil {
		t.Errorf("it has a PediaCluster: %v", err)
	}

	// Mended, it is imported. Broken again, what an update does not write stands in the way of nothing.
	shared.apply(t, secretPolicy(name, right))
	shared.hasCredentials(t, "preview-preview", map[string][]byte{"tokenData": []byte("first")})
	shared.apply(t, secretPolicy(name, wrong))
	shared.setSecret(t, "default", "preview", map[string][]byte{"token": []byte("second")})
	shared.hasCredentials(t, "preview-preview", map[string][]byte{"tokenData": []byte("second")})
	shared.waitForReady(t, "preview-preview", policyv1alpha1.ReasonCreated)

	t.Run("our validation agrees with the host's", agreesWithHost)
	t.Run("a change of the definition has it tried again", newDefinitionIsUsed)
}

// newDefinitionIsUsed has a new field in the definition of PediaClusters.
func newDefinitionIsUsed(t *testing.T) {
	const name = "newer"
	shared.applySecretPolicy(t, name, "spec: {apiserver: https://a.example.com, tokenData: {{ .source.data.token }}, syncResources: [], newerField: 5}")
	shared.createSecret(t, "default", "newer", map[string]string{"case": name}, map[string][]byte{"token": []byte("first")})
	shared.waitsFor(t, "newer-newer", "Failed", policyv1alpha1.ReasonInvalidPediaCluster, "spec.newerField: unknown field")
	const property = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/newerField"
	change := func(patch string) {
		_, err := shared.objects.Resource(render.DefinitionGVR).Patch(t.Context(), render.PediaClusterDefinition, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
		must(t, err)
	}
	change(`[{"op":"add","path":"` + property + `","value":{"type":"string"}}]`)
	defer change(`[{"op":"remove","path":"` + property + `"}]`)
	shared.waitForReady(t, "newer-newer", policyv1alpha1.ReasonCreated)
	// The type of a plain scalar is that of the host's definition, too.
	must(t, same("newerField", stringAt(shared.pediaClusterNamed(t, "newer-newer"), "spec", "newerField"), "5"))
}

func stringAt(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return value
}

// agreesWithHost compares what Validate says of PediaClusters with what the host says, of
// the examples of the unit tests and of random ones.
func agreesWithHost(t *testing.T) {
	definition, err := shared.objects.Resource(render.DefinitionGVR).Get(t.Context(), render.PediaClusterDefinition, metav1.GetOptions{})
	must(t, err)
	schema, err := render.SchemaOf(definition)
	must(t, err)
	raw, err := os.ReadFile("../../pkg/render/testdata/pediaclusters.yaml")
	must(t, err)
	var examples []struct {
		Name     string         `json:"name"`
		Object   map[string]any `json:"object"`
		Problems []string       `json:"problems"`
	}
	must(t, yaml.Unmarshal(raw, &examples))
	valid := map[string]any{}
	for _, example := range examples {
		if example.Name == "everything" {
			valid = example.Object
		}
		accepted := agreeOn(t, schema, example.Name, example.Object)
		if accepted != (len(example.Problems) == 0) {
			t.Errorf("%s: the host accepts it: %t", example.Name, accepted)
		}
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	accepted := 0
	for range 300 {
		object := (&unstructured.Unstructured{Object: valid}).DeepCopy().Object
		for range 1 + random.IntN(3) {
			mutate(random, object)
		}
		if agreeOn(t, schema, fmt.Sprintf("of seed %d", seed), object) {
			accepted++
		}
	}
	if accepted < 15 || accepted > 285 {
		t.Errorf("the host accepts %d of 300 random PediaClusters (seed %d)", accepted, seed)
	}
}

// agreeOn compares both verdicts on a PediaCluster, and returns that of the host.
func agreeOn(t *testing.T, schema *render.Schema, what string, fields map[string]any) (accepted bool) {
	t.Helper()
	raw, err := json.Marshal(fields)
	must(t, err)
	object := &unstructured.Unstructured{Object: map[string]any{}}
	must(t, json.Unmarshal(raw, &object.Object))
	object.SetGroupVersionKind(render.PediaClusterGVK)
	object.SetName("agreement")
	raw, err = object.MarshalJSON()
	must(t, err)
	must(t, object.UnmarshalJSON(raw)) // its numbers are as those of a rendered one
	problems := schema.Validate(object)
	_, err = shared.objects.Resource(pediaClusters).Create(t.Context(), object.DeepCopy(), metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	if err != nil && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		t.Fatalf("%s: %v", what, err)
	}
	if (err == nil) != (len(problems) == 0) {
		t.Errorf("%s: the host says %v, and Validate %v, of %s", what, err, problems, raw)
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) && apierrors.IsInvalid(err) {
		for _, cause := range status.Status().Details.Causes {
			if !slices.ContainsFunc(problems, func(p render.Problem) bool { return strings.Contains(p.Field, strings.Split(cause.Field, "[")[0]) }) {
				t.Errorf("%s: the host complains of %s, and Validate only of %v", what, cause.Field, problems)
			}
		}
	}
	return err == nil
}

// mutate changes a random place of a PediaCluster.
func mutate(random *rand.Rand, object map[string]any) {
	texts := []any{"a", "", "YWJj", "a b", "True", base64.StdEncoding.EncodeToString([]byte("any text")), strings.Repeat("a", 64)}
	keys := []string{"apiserver", "syncResources", "resources", "group", "name", "example.com/a", "shardingName", "caData", "-x", "versions"}
	metadata, _ := object["metadata"].(map[string]any)
	if random.IntN(4) == 0 {
		field := []string{"labels", "annotations"}[random.IntN(2)]
		metadata[field].(map[string]any)[pick(random, keys)] = pick(random, texts)
		return
	}
	mutateSpec(random, object["spec"].(map[string]any), keys, append(texts, nil, true, int64(1), 1.5, []any{}, []any{"a"}, []any{int64(1)},
		map[string]any{}, map[string]any{"name": "a", "key": "b"}, map[string]any{"group": "a", "resources": []any{"b"}}))
}

func mutateSpec(random *rand.Rand, value any, keys []string, values []any) {
	deeper := random.IntN(3) > 0
	switch v := value.(type) {
	case map[string]any:
		key := pick(random, append(slices.Sorted(maps.Keys(v)), pick(random, keys)))
		switch child := v[key].(type) {
		case map[string]any, []any:
			if deeper {
				mutateSpec(random, child, keys, values)
				return
			}
		}
		if v[key] = pick(random, values); random.IntN(4) == 0 {
			delete(v, key)
		}
	case []any:
		if len(v) == 0 {
			return
		}
		if at := random.IntN(len(v)); deeper {
			mutateSpec(random, v[at], keys, values)
		} else {
			v[at] = pick(random, values)
		}
	}
}

func pick[T any](random *rand.Rand, values []T) T { return values[random.IntN(len(values))] }
