package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterpedia-io/policy-apiserver/test/devcluster"
)

// record writes what is seen into the recording, as `make recording` does.
var record = flag.Bool("record", false, "record the run anew instead of comparing it")

const recording = "../../docs/images/quickstart.txt"

// varying is what differs from run to run: ages, the hashes of plans, the port of the host.
var varying = regexp.MustCompile(`\b[0-9]+s\b|\b[0-9a-f]{16}\b|127\.0\.0\.1:[0-9]{5}\b`)

// TestTheRecordingShowsWhatHappens runs the commands of the recording that the README
// shows, on the host of the quickstart, and compares what they print.
func TestTheRecordingShowsWhatHappens(t *testing.T) {
	h := ownHost(t, devcluster.ProbeArgs...)
	const example = artifacts + "/examples/oak/"
	h.kubectl(t, "apply", "-f", example+"crd.yaml", "-f", example+"rbac.yaml")
	must(t, h.WaitForTypes(t.Context(), "oakclusters.oak.example.com"))
	clusters, err := h.Resolved(example + "clusters.yaml")
	must(t, err)
	_, err = h.Kubectl(t.Context(), bytes.NewReader(clusters), "apply", "-f", "-")
	must(t, err)

	text, err := os.ReadFile(recording)
	must(t, err)
	seen := h.replay(t, string(text))
	if *record {
		must(t, os.WriteFile(recording, []byte(seen), 0o644))
		return
	}
	if difference := cmp.Diff(normalized(string(text)), normalized(seen)); difference != "" {
		t.Errorf("run make recording, and look at the picture (-recorded +seen):\n%s", difference)
	}
}

// replay runs the commands of a recording one after the other and returns it with what
// they print. A command after "@" is not shown, and is repeated until it succeeds.
func (h *host) replay(t *testing.T, recording string) string {
	t.Helper()
	title, rest, _ := strings.Cut(recording, "\n")
	seen := []string{title}
	for line := range strings.Lines(rest) {
		line = strings.TrimSuffix(line, "\n")
		kind, command, _ := strings.Cut(line, " ")
		switch kind {
		case "#":
			if len(seen) > 1 {
				seen = append(seen, "")
			}
			seen = append(seen, line)
		case "@":
			eventually(t, command, func() error {
				output, err := h.shell(t.Context(), command)
				if err != nil {
					return fmt.Errorf("%w: %s", err, output)
				}
				return nil
			})
			seen = append(seen, line)
		case "$":
			// A refused command is a part of the story.
			output, err := h.shell(t.Context(), command)
			if err != nil && len(output) == 0 {
				t.Fatalf("%s: %v", command, err)
			}
			seen = append(seen, line, strings.TrimRight(string(output), "\n"))
		}
	}
	return strings.Join(seen, "\n") + "\n"
}

// shell runs a command at the top of the repository, as a user of this host would.
func (h *host) shell(ctx context.Context, command string) ([]byte, error) {
	bin, err := filepath.Abs(binDir)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", command)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "KUBECONFIG="+h.Kubeconfig(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	output, err := cmd.CombinedOutput()
	return bytes.TrimSpace(output), err
}

// normalized leaves out what varies, and the width that it gives to columns.
func normalized(recording string) string {
	var lines []string
	for line := range strings.Lines(varying.ReplaceAllString(recording, "…")) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}
