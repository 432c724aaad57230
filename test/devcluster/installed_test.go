package devcluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnInstalledProgramIsTakenIfItFits runs hack/installed.sh with made-up programs.
func TestAnInstalledProgramIsTakenIfItFits(t *testing.T) {
	script, err := filepath.Abs("../../hack/installed.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, prints string
		taken        bool
	}{
		{"kubectl", "Client Version: v1.37.2", true},
		{"kubectl", "Client Version: v1.36.0", true},
		{"kubectl", "Client Version: v1.38.0-rc.1\nKustomize Version: v5.7.1", true},
		{"kubectl", "Client Version: v1.35.9", false},
		{"kubectl", "Client Version: v1.39.0", false},
		{"kubectl", "Client Version: v2.37.0", false},
		{"kubectl", "no version", false},
		{"helm", "v3.18.4+gd80839c", true},
		{"helm", "v4.0.0+g123", true},
		{"helm", "v2.17.0+g123", false},
		{"helm", "v5.0.0", false},
	} {
		t.Run(test.name+" "+test.prints, func(t *testing.T) {
			dir := t.TempDir()
			bin, own := filepath.Join(dir, "installed"), filepath.Join(dir, "_output", "bin")
			for _, folder := range []string{bin, own} {
				if err := os.MkdirAll(folder, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			program := filepath.Join(bin, test.name)
			if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf '"+test.prints+"\\n'\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			// The second time finds what the first has linked, with _output/bin in PATH.
			for range 2 {
				cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", `source "$0"; kubernetes=v1.37.2
case $1 in kubectl) installed kubectl v1.37.2 fits_host version --client;; helm) installed helm v4.3.1 fits_helm version --short;; esac`, script, test.name)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+strings.Join([]string{own, bin, os.Getenv("PATH")}, string(os.PathListSeparator)))
				output, err := cmd.CombinedOutput()
				if (err == nil) != test.taken {
					t.Fatalf("%v: %s", err, output)
				}
			}
			if target, _ := os.Readlink(filepath.Join(own, test.name)); test.taken && target != program || !test.taken && target != "" {
				t.Errorf("_output/bin has %q", target)
			}
		})
	}
}
