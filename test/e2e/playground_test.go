package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusterpedia-io/policy-apiserver/cmd/kubectl-clusterimport/playground"
	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// playgroundAPI asks the API of a playground as its page does.
type playgroundAPI struct{ base, token string }

// startPlayground starts kubectl clusterimport playground until the end of the test.
func (h *host) startPlayground(t *testing.T, args ...string) playgroundAPI {
	t.Helper()
	bin, err := filepath.Abs(binDir)
	must(t, err)
	cmd := h.KubectlCommand(t.Context(), append([]string{"clusterimport", "playground"}, args...)...)
	cmd.Env = append(cmd.Env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECACHEDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() }) // it ends with the context of the test
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	base, token, _ := strings.Cut(strings.TrimSpace(line), "#")
	return playgroundAPI{base, token}
}

// ask returns what is answered, decoded and as text.
func ask[T any](t *testing.T, api playgroundAPI, path string, body any) (value T, text string) {
	t.Helper()
	encoded, err := json.Marshal(body)
	must(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api.base+path, bytes.NewReader(encoded))
	must(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Origin", strings.TrimSuffix(api.base, "/"))
	request.Header.Set(playground.TokenHeader, api.token)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	must(t, err)
	must(t, same("status", response.Status, "200 OK"))
	must(t, json.Unmarshal(answer, &value))
	return value, string(answer)
}

// TestThePlaygroundOpensSourcesOfTheHost evaluates an imported and a waiting cluster of a
// real host, whose credentials do not leave the command.
func TestThePlaygroundOpensSourcesOfTheHost(t *testing.T) {
	t.Parallel()
	p := pluginPlatform(t, "playground")
	api := p.startPlayground(t, "--live")
	text, err := os.ReadFile(p.edited(t, nil))
	must(t, err)
	policy := string(text)

	list, _ := ask[playground.SourceList](t, api, "api/live/sources", playground.SourceRequest{Policy: policy})
	if len(list.Sources) != 2 || list.Sources[0].Name != "one" || list.Sources[1].Name != "two" {
		t.Fatalf("the Sources are %+v", list)
	}
	evaluate := func(source string) (*playground.Evaluation, string) {
		t.Helper()
		texts, shown := ask[playground.SourceTexts](t, api, "api/live/source",
			playground.SourceRequest{Policy: policy, Source: &policyv1alpha1.SourceName{Name: source}})
		if len(texts.Notes) > 0 {
			t.Errorf("not read: %v", texts.Notes)
		}
		evaluated, evaluation := ask[playground.Evaluation](t, api, "api/evaluate",
			playground.Texts{Policy: policy, Source: texts.Source, References: texts.References})
		hides(t, shown+evaluation, base64.StdEncoding.EncodeToString([]byte("the token of "+source)))
		if evaluated.Result == nil {
			t.Fatalf("no result: %+v", evaluated.Findings)
		}
		return &evaluated, texts.References
	}

	imported, references := evaluate("one")
	contains(t, references, "kind: Secret", "token: hmac-sha256:", "kind: PediaCluster\n", "tokenData: hmac-sha256:", "kind: PediaClusterLifecycle")
	must(t, same("plan", imported.Result.Plan.Summary, "Nothing would be done: PediaCluster playground-one is up to date."))
	contains(t, imported.Result.PediaCluster, "name: playground-one", "tokenData: hmac-sha256:")

	waiting, _ := evaluate("two")
	must(t, same("reason", waiting.Result.Plan.Reason, policyv1alpha1.ReasonWaitingForCondition))

	// An edit is evaluated with the credentials of the host.
	policy = strings.Replace(policy, "{{ .source.spec.apiEndpoint }}", "https://proxy.example.com", 1)
	edited, _ := evaluate("one")
	contains(t, edited.Result.Plan.Summary, "PediaCluster playground-one would be changed: spec.apiserver")
}
