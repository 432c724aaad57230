package app

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

var update = flag.Bool("update", false, "write what the commands print to testdata/output")

// digest is what differs each time.
var digest = regexp.MustCompile(`hmac-sha256:[0-9a-f]{32}`)

const (
	policy   = "../testdata/mcp/policy.yaml"
	source   = "../testdata/mcp/ready/source.yaml"
	secret   = "../testdata/mcp/ready/references/authSecret.yaml"
	clusters = "testdata/inputs/clusters.yaml"
)

// TestCommands runs the commands that need no cluster and compares what they
// print, and the exit code, with the files in testdata/output.
func TestCommands(t *testing.T) {
	t.Setenv("KUBECONFIG", writeKubeconfig(t, "apiVersion: v1\nkind: Config\ncurrent-context: c\n"+
		"contexts: [{name: c, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n"))
	render := func(args ...string) []string { return append([]string{"render"}, args...) }
	for _, tt := range []struct {
		name  string
		args  []string
		stdin string
	}{
		{name: "render", args: render("-f", policy, "--source", source, "--reference", "authSecret="+secret)},
		{name: "render several", args: render("-f", policy, "--source", clusters, "--reference", "authSecret="+clusters)},
		{name: "render several with one reference", args: render("-f", policy, "--source", clusters, "--reference", "authSecret="+secret)},
		{name: "render Secrets with clear text", args: render("-f", "../../../artifacts/platforms/kubeconfig-secret/policy.yaml",
			"--source", "../../../artifacts/platforms/kubeconfig-secret/example/secrets.yaml")},
		{name: "render credentials as yaml", args: render("-f", policy, "--source", source, "--reference", "authSecret="+secret, "--include-credentials", "-o", "yaml")},
		{name: "render names", args: render("-f", policy, "--source", clusters, "--reference", "authSecret="+clusters, "-o", "name")},
		{name: "render jsonpath", args: render("-f", policy, "--source", clusters, "-o", "jsonpath={.status.results[*].reason}")},
		{name: "render an update", args: render("-f", policy, "--source", source, "--reference", "authSecret="+secret, "--current", "../testdata/mcp/rotated/current.yaml")},
		{name: "render without reference", args: render("-f", policy, "--source", source)},
		{name: "render errors", args: render("-f", "testdata/policies/errors.yaml", "--source", source)},
		{name: "render what is not selected", args: render("-f", "testdata/policies/errors.yaml", "--source", "testdata/inputs/ignored.yaml")},
		{name: "render from standard input", args: render("-f", policy, "--source", "-", "-o", "name"), stdin: readFile(t, source)},
		{name: "render an invalid policy", args: render("-f", "testdata/policies/list.json", "--source", source)},
		{name: "render no policy", args: render("-f", source, "--source", source)},
		{name: "render another kind", args: render("-f", policy, "--source", secret)},
		{name: "render another kind of reference", args: render("-f", policy, "--source", source, "--reference", "authSecret="+source)},
		{name: "render an unknown reference", args: render("-f", policy, "--source", source, "--reference", "nope="+secret)},
		{name: "render nothing", args: render()},
		{name: "render a file and a name", args: render("mcp", "-f", policy)},
		{name: "render no source", args: render("-f", policy)},
		{name: "render standard input twice", args: render("-f", "-", "--source", "-")},
		{name: "render a bad reference", args: render("-f", policy, "--source", source, "--reference", "authSecret")},
		{name: "render a bad format", args: render("-f", policy, "--source", source, "-o", "nope")},
		{name: "render without a cluster", args: render("mcp")},
		{name: "lint", args: []string{"lint", "-f", policy}},
		{name: "lint a folder", args: []string{"lint", "-R", "-f", "testdata/policies"}},
		{name: "lint standard input", args: []string{"lint", "-f", "-"}, stdin: readFile(t, "testdata/policies/mistakes.yaml")},
		{name: "lint an export", args: []string{"lint", "-f", "testdata/inputs/exported.yaml"}},
		{name: "lint what PediaClusters cannot have", args: []string{"lint", "-f", "testdata/inputs/refused.yaml"}},
		{name: "lint strictly", args: []string{"lint", "--strict", "-f", "testdata/inputs/refused.yaml"}},
		{name: "lint a right policy strictly", args: []string{"lint", "--strict", "-f", policy}},
		{name: "render what PediaClusters cannot have", args: render("-f", "testdata/inputs/refused.yaml", "--source", source)},
		{name: "lint with types", args: []string{"lint", "-f", "testdata/inputs/misspelled.yaml", "--crd", "../../../test/mcp/crd.yaml"}},
		{name: "lint with a folder of types", args: []string{"lint", "-f", "testdata/inputs/misspelled.yaml", "--crd", "testdata/crds", "--strict"}},
		{name: "lint what is right strictly", args: []string{"lint", "-f", policy, "--crd", "../../../test/mcp/crd.yaml", "--strict"}},
		{name: "lint without a schema of the type", args: []string{"lint", "-f", policy, "--crd", "../../../artifacts/platforms/karmada/example/crd.yaml"}},
		{name: "lint with types of none", args: []string{"lint", "-f", policy, "--crd", policy}},
		{name: "lint nothing", args: []string{"lint"}},
		{name: "lint no file", args: []string{"lint", "-f", "nowhere.yaml"}},
		{name: "lint an unknown flag", args: []string{"lint", "--nope"}},
		{name: "test", args: []string{"test", "../testdata/mcp"}},
		{name: "test failures", args: []string{"test", "testdata/cases"}},
		{name: "test nothing", args: []string{"test", "testdata/inputs"}},
		{name: "test no folder", args: []string{"test"}},
		{name: "diff an invalid policy", args: []string{"diff", "-f", "testdata/policies/list.json"}},
		{name: "diff nothing", args: []string{"diff"}},
		{name: "diff without a cluster", args: []string{"diff", "-f", policy}},
		{name: "explain nothing", args: []string{"explain"}},
		{name: "an unknown command", args: []string{"nope"}},
		{name: "an unknown subcommand", args: []string{"rollout", "stop", "oak"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := digest.ReplaceAllString(execute(t, tt.stdin, tt.args...), "hmac-sha256:...")
			compare(t, fileName(tt.name), got)
		})
	}
}

// execute runs a command line and returns what it prints, and its exit code.
func execute(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	streams, in, out, errOut := genericiooptions.NewTestIOStreams()
	in.WriteString(stdin)
	code := Run(t.Context(), streams, args)
	var text bytes.Buffer
	text.WriteString("$ kubectl clusterimport " + strings.Join(args, " ") + "\n")
	text.Write(out.Bytes())
	if errOut.Len() > 0 {
		text.WriteString("standard error:\n")
		text.Write(errOut.Bytes())
	}
	text.WriteString("exit code " + answerCode(code).String() + "\n")
	return text.String()
}

// compare compares with a file in testdata/output.
func compare(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "output", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(readFile(t, file), got); diff != "" {
		t.Errorf("not as in %s (-want +got):\n%s", file, diff)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheCopiesOfTheDocumentedPolicyAreCurrent(t *testing.T) {
	for _, pair := range [][2]string{
		{policy, "../../../test/mcp/policy.yaml"},
		{clusters, "../../../test/mcp/clusters.yaml"},
	} {
		if diff := cmp.Diff(readFile(t, pair[1]), readFile(t, pair[0])); diff != "" {
			t.Errorf("%s differs from %s: copy it (-want +got):\n%s", pair[0], pair[1], diff)
		}
	}
}

func TestEveryCommandHelps(t *testing.T) {
	for _, command := range newTestCommandTree(t).Commands() {
		if command.Short == "" || strings.HasSuffix(command.Short, ".") {
			t.Errorf("%s: Short is %q", command.Name(), command.Short)
		}
		for line := range strings.Lines(command.Example) {
			_, args, ok := strings.Cut(strings.TrimSpace(line), "kubectl clusterimport ")
			if !ok {
				continue
			}
			root := newTestCommandTree(t)
			found, flags, err := root.Find(strings.Fields(args))
			if err != nil || found.Name() != command.Name() {
				t.Errorf("%s: the example %q is of another command: %v", command.Name(), line, err)
				continue
			}
			if err := found.ParseFlags(flags); err != nil {
				t.Errorf("%s: the example %q: %v", command.Name(), line, err)
			} else if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%s: the example %q: %v", command.Name(), line, err)
			}
		}
	}
}

func newTestCommandTree(t *testing.T) *cobra.Command {
	t.Helper()
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	return NewCommand(streams)
}

func TestContextsAreCompleted(t *testing.T) {
	t.Setenv("KUBECONFIG", writeKubeconfig(t,
		"apiVersion: v1\nkind: Config\ncontexts: [{name: east, context: {cluster: c}}, {name: west, context: {cluster: c}}]\n"))
	got := execute(t, "", cobra.ShellCompNoDescRequestCmd, "render", "--context", "")
	if !strings.Contains(got, "east\nwest\n") {
		t.Errorf("contexts are not completed:\n%s", got)
	}
}

func writeKubeconfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// fileName is the golden file of a test.
func fileName(test string) string { return strings.ReplaceAll(test, " ", "-") + ".txt" }
