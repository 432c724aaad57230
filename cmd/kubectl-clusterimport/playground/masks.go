package playground

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

// masks keep the credentials of objects that were read from a cluster. The page gets digests
// in their place, as in results, and sends these back in the texts that it has evaluated.
type masks struct {
	digest func(credential string) string

	mu     sync.Mutex
	values map[string]string // by their digest
}

func newMasks(digest func(string) string) *masks {
	return &masks{digest: digest, values: map[string]string{}}
}

// mask is the object as the page may see it: without the values of a Secret, the credentials
// of a PediaCluster and user parts of URLs. What was applied is left out, since it repeats
// them.
func (m *masks) mask(object *unstructured.Unstructured) *unstructured.Unstructured {
	masked := object.DeepCopy()
	masked.SetManagedFields(nil)
	if annotations := masked.GetAnnotations(); annotations[corev1.LastAppliedConfigAnnotation] != "" {
		delete(annotations, corev1.LastAppliedConfigAnnotation)
		masked.SetAnnotations(annotations)
	}
	kind := masked.GroupVersionKind().GroupKind()
	isPediaCluster := kind == render.PediaClusterGVK.GroupKind()
	replaceTexts(masked.Object, nil, func(path []string, text string) string {
		switch {
		case kind.Group == "" && kind.Kind == "Secret" && (path[0] == "data" || path[0] == "stringData"),
			isPediaCluster && isCredential(path, text), hasUser(text):
			return m.keep(text)
		}
		return text
	})
	return masked
}

// isCredential reports whether a field of a PediaCluster is a credential. So is an address
// with a user part, which need not look like a URL.
func isCredential(path []string, text string) bool {
	if len(path) != 2 || path[0] != "spec" {
		return false
	}
	return slices.Contains(render.CredentialFields(), path[1]) || path[1] == "apiserver" && strings.Contains(text, "@")
}

// hasUser reports whether a text has a URL with a user part, which is a credential.
func hasUser(text string) bool {
	if !strings.Contains(text, "@") {
		return false
	}
	object := &unstructured.Unstructured{Object: map[string]any{"text": text}}
	render.HideUsers(object)
	return object.Object["text"] != text
}

// keep remembers a credential and returns its digest.
func (m *masks) keep(credential string) string {
	if credential == "" {
		return ""
	}
	digest := m.digest(credential)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[digest] = credential
	return digest
}

// masked matches a text that is a digest.
var masked = regexp.MustCompile(`^hmac-sha256:[0-9a-f]{32}\(\d+ bytes\)$`)

// reveal puts the credentials back in place, and reports whether all are known. Where none
// was ever masked, what looks like a mask is a text like others.
func (m *masks) reveal(object *unstructured.Unstructured) (known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.values) == 0 {
		return true
	}
	known = true
	replaceTexts(object.Object, nil, func(_ []string, text string) string {
		if !strings.HasPrefix(text, "hmac-") || !masked.MatchString(text) {
			return text
		}
		credential, ok := m.values[text]
		if !ok {
			known = false
			return text
		}
		return credential
	})
	return known
}

// replaceTexts replaces all texts of a value, in place. The path has the keys above a text;
// items of a list have the path of the list.
func replaceTexts(value any, path []string, replace func(path []string, text string) string) any {
	switch value := value.(type) {
	case string:
		return replace(path, value)
	case map[string]any:
		for key, item := range value {
			value[key] = replaceTexts(item, append(path, key), replace)
		}
	case []any:
		for i, item := range value {
			value[i] = replaceTexts(item, path, replace)
		}
	}
	return value
}
