package render

import (
	"net/url"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Address is the address of an API server as anyone may see it: without a user
// part, which is a credential, and of at most 512 bytes.
func Address(server string) string { return Bounded(withoutUser(server), MaxAddress) }

// withoutUser is a URL, or host and port, without a user part. What is before
// an @ and no URL is left out as well: it may have been meant for one.
func withoutUser(address string) string {
	last := strings.LastIndexByte(address, '@')
	if last < 0 {
		return address
	}
	scheme, rest, hasScheme := strings.Cut(address, "://")
	if !hasScheme || strings.Contains(scheme, "@") {
		return address[last+1:]
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || !strings.EqualFold(parsed.Scheme, scheme) {
		return scheme + "://" + address[last+1:]
	}
	authority := len(rest)
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = end
	}
	return scheme + "://" + rest[strings.LastIndexByte(rest[:authority], '@')+1:]
}

// userPart is what may be a URL with a user part in a text.
var userPart = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]*@[^\s"'<>]*`)

// withoutUsers is a text in which no URL has a user part.
func withoutUsers(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	return userPart.ReplaceAllStringFunc(text, withoutUser)
}

// HideUsers takes the user parts off all URLs in a PediaCluster.
func HideUsers(pediaCluster *unstructured.Unstructured) {
	hideUsers(pediaCluster.Object)
	if spec, ok := pediaCluster.Object["spec"].(map[string]any); ok {
		if server, ok := spec[endpointField].(string); ok {
			spec[endpointField] = withoutUser(server)
		}
	}
}

// hideUsers takes the user parts off all URLs in a value, in place.
func hideUsers(value any) any {
	switch value := value.(type) {
	case string:
		return withoutUsers(value)
	case map[string]any:
		for key, item := range value {
			value[key] = hideUsers(item)
		}
	case []any:
		for i, item := range value {
			value[i] = hideUsers(item)
		}
	}
	return value
}
