package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// fence is a fenced block: its language, its title if it has one, its text.
var fence = regexp.MustCompile("(?ms)^```(\\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$")

var digestText = regexp.MustCompile(`hmac-sha256:[0-9a-f]{32}`)

// TestTheExamplesOfTheRenderDocumentation runs docs/render.md: titled blocks are
// files, sh blocks are run, and a yaml block says what of the answer is shown.
func TestTheExamplesOfTheRenderDocumentation(t *testing.T) {
	const examples = artifacts + "/examples/oak"
	shared.kubectl(t, "apply", "-f", examples+"/crd.yaml", "-f", examples+"/rbac.yaml")
	must(t, shared.WaitForTypes(t.Context(), "oakclusters.oak.example.com"))
	shared.kubectl(t, "apply", "-f", examples+"/clusters.yaml", "-f", examples+"/policy.yaml")
	for _, name := range []string{"oak-amsterdam", "oak-bergen"} {
		shared.kubectl(t, "wait", "--for=create", "--timeout=60s", "pediaclusterlifecycle/"+name)
		shared.kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "pediaclusterlifecycle/"+name)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		err := shared.policy.PolicyV1alpha1().ClusterImportPolicies().Delete(context.Background(), "oak", metav1.DeleteOptions{})
		if err != nil {
			t.Error(err)
		}
	})

	document, err := os.ReadFile("../../docs/render.md")
	must(t, err)
	dir, output := t.TempDir(), ""
	compared := 0
	for _, block := range fence.FindAllStringSubmatch(string(document), -1) {
		switch language, title, text := block[1], block[2], block[3]; {
		case title != "":
			must(t, os.WriteFile(filepath.Join(dir, title), []byte(text), 0o600))
		case language == "sh":
			args := strings.Fields(strings.TrimPrefix(text, "kubectl "))
			cmd := shared.KubectlCommand(t.Context(), args...)
			cmd.Dir = dir
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			output = string(out)
		case language == "yaml":
			var want, got any
			must(t, yaml.Unmarshal([]byte(text), &want))
			must(t, json.Unmarshal([]byte(digestText.ReplaceAllString(output, "hmac-sha256:DIGEST")), &got))
			if difference := missing(want, got, ""); difference != "" {
				t.Errorf("%s\nin the answer to the example before it:\n%s", difference, output)
			}
			compared++
		}
	}
	if compared < 6 {
		t.Errorf("only %d examples were compared", compared)
	}
}

// missing is the first thing of want that got does not have. Got may have more
// fields, but not more items.
func missing(want, got any, path string) string {
	switch want := want.(type) {
	case map[string]any:
		have, _ := got.(map[string]any)
		for key, value := range want {
			if difference := missing(value, have[key], path+"."+key); difference != "" {
				return difference
			}
		}
	case []any:
		have, _ := got.([]any)
		if len(have) != len(want) {
			return fmt.Sprintf("%s has %d items, want %d", path, len(have), len(want))
		}
		for i := range want {
			if difference := missing(want[i], have[i], fmt.Sprintf("%s[%d]", path, i)); difference != "" {
				return difference
			}
		}
	default:
		if want != got && (want != false || got != nil) {
			return fmt.Sprintf("%s is %v, want %v", path, got, want)
		}
	}
	return ""
}
