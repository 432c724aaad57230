package render

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAnAddressIsShownWithoutItsUserPart(t *testing.T) {
	for address, want := range map[string]string{
		"":                                            "",
		"https://host:6443":                           "https://host:6443",
		"host:6443":                                   "host:6443",
		"https://user:pw@host:6443":                   "https://host:6443",
		"https://user@host":                           "https://host",
		"https://:pw@host/k8s/one?a=b#c":              "https://host/k8s/one?a=b#c",
		"HTTPS://User:PW@Host":                        "HTTPS://Host",
		"https://u%40x:p%2Fw@[fd00::1]:6443/":         "https://[fd00::1]:6443/",
		"https://user:p@w@host":                       "https://host",
		"https://user:p/w@host":                       "https://host",
		"https://user:p#w@host":                       "https://host",
		"https://user:p?w@host":                       "https://host",
		"https://user:p w@host":                       "https://host",
		"https://user:%zz@host":                       "https://host",
		"user:pw@host:6443":                           "host:6443",
		"//user:pw@host":                              "host",
		"https:user:pw@host":                          "host",
		"https:/user:pw@host":                         "host",
		"user:pw@https://host":                        "https://host",
		"https://host/path/with@sign":                 "https://host/path/with@sign",
		"https://user:pw@host/path/with@sign":         "https://host/path/with@sign",
		"https://" + strings.Repeat("h", 600):         "https://" + strings.Repeat("h", 501) + "…",
		"https://user:pw@" + strings.Repeat("h", 600): "https://" + strings.Repeat("h", 501) + "…",
	} {
		got := Address(address)
		if got != want {
			t.Errorf("%q is shown as %q, want %q", address, got, want)
		}
		if len(got) > MaxAddress {
			t.Errorf("%q has %d bytes", got, len(got))
		}
	}
}

func TestNoURLInAPediaClusterShowsAUserPart(t *testing.T) {
	object := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{
			"endpoint": "https://user:hunter2@host:6443",
			"note":     "see <https://user:hunter2@host/a>, or https://b.example.com and ask a@example.com",
		}},
		"spec": map[string]any{"apiserver": "https://user:hunter 2@host", "list": []any{"socks5://hunter2@proxy", int64(1)}},
	}}
	HideUsers(object)
	want := map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{
			"endpoint": "https://host:6443",
			"note":     "see <https://host/a>, or https://b.example.com and ask a@example.com",
		}},
		"spec": map[string]any{"apiserver": "https://host", "list": []any{"socks5://proxy", int64(1)}},
	}
	if diff := cmp.Diff(want, object.Object); diff != "" {
		t.Error(diff)
	}
	if got := shorten("https://user:hunter2@host"); got != "https://host" {
		t.Errorf("a message says %q", got)
	}
}

// Whatever net/url takes for a user part is not shown.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"https://user:pw@host:6443", "https://user:p/w@host", "a@b://c@d", "https://%40:@host/@?@#@"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		shown := Address(address)
		if len(shown) > MaxAddress {
			t.Errorf("%q has %d bytes", shown, len(shown))
		}
		if parsed, err := url.Parse(shown); err == nil && parsed.User != nil && len(address) <= MaxAddress {
			t.Errorf("%q is shown as %q, with the user part %q", address, shown, parsed.User)
		}
	})
}
