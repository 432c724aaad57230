package app

import (
	"strings"
	"testing"
)

func TestTheAuthorCheckIsEnforcedUnlessSaidOtherwise(t *testing.T) {
	if got := parse(t).Authority.AuthorCheck; got != "enforce" {
		t.Errorf("the default is %q", got)
	}
	for _, mode := range []string{"enforce", "warn", "off"} {
		if err := parse(t, "--policy-author-check="+mode).Validate(); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	for _, mode := range []string{"", "Off", "none"} {
		err := parse(t, "--policy-author-check="+mode).Validate()
		if err == nil || !strings.Contains(err.Error(), "--policy-author-check must be enforce, warn or off") {
			t.Errorf("%q: %v", mode, err)
		}
	}
}
