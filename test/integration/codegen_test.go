package integration

import (
	"os/exec"
	"testing"
)

func TestGeneratedCodeIsCurrent(t *testing.T) {
	if output, err := exec.CommandContext(t.Context(), "../../hack/verify-codegen.sh").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
