package playground

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheEditorIsBundledFromItsSources compares sources and bundle with what was recorded
// when it was made, so that nobody needs npm to know.
func TestTheEditorIsBundledFromItsSources(t *testing.T) {
	const root = "../../.."
	recorded, err := os.ReadFile(filepath.Join(root, "hack/playground/built.sha256"))
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for lines := bufio.NewScanner(bytes.NewReader(recorded)); lines.Scan(); files++ {
		want, name, _ := strings.Cut(lines.Text(), "  ")
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(text)); got != want {
			t.Errorf("%s has changed since the editor was bundled: make playground-assets bundles it", name)
		}
	}
	if files < 6 {
		t.Errorf("only %d files are recorded", files)
	}
}
