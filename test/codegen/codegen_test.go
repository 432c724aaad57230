// Package codegen tests that generated code is what the generators make of the
// types today.
package codegen

import (
	"os/exec"
	"testing"
)

func TestGeneratedCodeIsCurrent(t *testing.T) {
	command := exec.CommandContext(t.Context(), "../../hack/verify-codegen.sh")
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v; run make update\n%s", err, output)
	}
}
