package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// serve answers requests, by "METHOD path", as a server with these warnings. What it does
// not know is answered 404.
func serve(t *testing.T, warnings []string, answers map[string]any) (requests *[]string) {
	t.Helper()
	requests = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := r.Method + " " + r.URL.Path
		*requests = append(*requests, request+"?"+r.URL.RawQuery)
		for _, text := range warnings {
			w.Header().Add("Warning", fmt.Sprintf("299 - %q", text))
		}
		w.Header().Set("Content-Type", "application/json")
		answer, ok := answers[request]
		if !ok {
			answer = metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound, Message: "not found"}
		}
		if status, ok := answer.(metav1.Status); ok {
			w.WriteHeader(int(status.Code))
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("KUBECONFIG", writeKubeconfig(t, fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\n"+
		"contexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n", server.URL)))
	return requests
}

const policiesPath = "/apis/policy.clusterpedia.io/v1alpha1/clusterimportpolicies"

func typed(object runtime.Object, apiVersion, kind string) runtime.Object {
	object.GetObjectKind().SetGroupVersionKind(schema.FromAPIVersionAndKind(apiVersion, kind))
	return object
}

func mcpOnServer() runtime.Object {
	return typed(&policyv1alpha1.ClusterImportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mcp", ResourceVersion: "7"},
		Spec:   policyv1alpha1.ClusterImportPolicySpec{Source: policyv1alpha1.SourceType{Group: "mcp.io", Resource: "clusters"}},
		Status: policyv1alpha1.ClusterImportPolicyStatus{SourceVersion: "v1"}}, "policy.clusterpedia.io/v1alpha1", "ClusterImportPolicy")
}

func TestLintAsksTheServer(t *testing.T) {
	const lacking = `spec.source: the policy waits: this server may not list clusters.mcp.io; allow it with: echo '{}' | kubectl apply -f -`
	refused := metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
		Message: "it is invalid", Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Field: "spec.source", Message: `Forbidden: policy "other" imports them already`}}}}
	for name, test := range map[string]struct {
		warnings []string
		answers  map[string]any
		asked    string
	}{
		"lint a new policy on the server":   {[]string{lacking}, map[string]any{"POST " + policiesPath: mcpOnServer()}, "POST " + policiesPath + "?dryRun=All"},
		"lint an edit on the server":        {[]string{lacking}, map[string]any{"GET " + policiesPath + "/mcp": mcpOnServer(), "PUT " + policiesPath + "/mcp": mcpOnServer()}, "PUT " + policiesPath + "/mcp?dryRun=All"},
		"lint what the server would refuse": {nil, map[string]any{"POST " + policiesPath: refused}, "POST " + policiesPath + "?dryRun=All"},
	} {
		t.Run(name, func(t *testing.T) {
			requests := serve(t, test.warnings, test.answers)
			compare(t, fileName(name), execute(t, "", "lint", "-f", policy, "--server"))
			if last := (*requests)[len(*requests)-1]; last != test.asked {
				t.Errorf("it asked %s", last)
			}
		})
	}
	t.Run("that does not answer", func(t *testing.T) {
		if got := execute(t, "", "lint", "-f", policy, "--server", "--kubeconfig="+writeKubeconfig(t, "apiVersion: v1\nkind: Config\n")); !strings.Contains(got, "exit code 2") {
			t.Error(got)
		}
	})
}

func TestSourcesAndFormatsAreCompleted(t *testing.T) {
	list := &metav1.PartialObjectMetadataList{Items: []metav1.PartialObjectMetadata{
		{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "blue"}}, {ObjectMeta: metav1.ObjectMeta{Name: "red"}}}}
	for i := range list.Items {
		list.Items[i].TypeMeta = metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}
	}
	serve(t, nil, map[string]any{
		"GET " + policiesPath + "/mcp": mcpOnServer(),
		"GET /apis/mcp.io/v1/clusters": typed(list, "meta.k8s.io/v1", "PartialObjectMetadataList"),
	})
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"render", "mcp", "--source", ""}, "fleet/blue\nred\n:0\n"},
		{[]string{"render", "none", "--source", ""}, "\n:0\n"},
		{[]string{"render", "--source", ""}, "\n:0\n"},
		{[]string{"render", "mcp", "-o", ""}, "json\nyaml\n"},
		{[]string{"render", "mcp", "--output", ""}, "json\nyaml\n"},
	} {
		got := execute(t, "", append([]string{cobra.ShellCompNoDescRequestCmd}, test.args...)...)
		if !strings.Contains(got, test.want) {
			t.Errorf("%v:\n%s", test.args, got)
		}
	}
}

// stderrOf is what is written to the standard error of the process meanwhile.
func stderrOf(t *testing.T, do func()) string {
	t.Helper()
	before := os.Stderr
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = write
	defer func() { os.Stderr = before }()
	do()
	klog.Flush()
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNothingIsLoggedUnlessItIsAskedFor(t *testing.T) {
	t.Cleanup(func() { quiet(newTestCommandTree(t)) })
	serve(t, []string{"this is deprecated"}, map[string]any{"GET " + policiesPath + "/mcp": mcpOnServer()})
	log := func() {
		utilruntime.HandleErrorWithContext(t.Context(), errors.New("couldn't get current server API group list"), "Unhandled Error")
		klog.FromContext(t.Context()).Info("Waited before sending request", "delay", "1.2s")
		klog.Background().Error(nil, "an error")
		klog.InfoS("in another way")
		klog.ErrorS(nil, "in another way")
	}
	var answer string
	if got := stderrOf(t, func() {
		answer = execute(t, "", "render", "mcp")
		log()
	}); got != "" {
		t.Errorf("it shows:\n%s", got)
	}
	if strings.Count(answer, "Warning: this is deprecated\n") != 1 {
		t.Errorf("a warning of the server is for people:\n%s", answer)
	}
	if got := stderrOf(t, func() {
		execute(t, "", "version", "-v=1")
		log()
	}); !strings.Contains(got, "API group list") || !strings.Contains(got, "Waited before") {
		t.Errorf("with -v it shows:\n%s", got)
	}
}
