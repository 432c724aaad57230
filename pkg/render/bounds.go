package render

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
)

// Sources are often written by tenants. What a status, an event or a review
// repeats of them has at most these sizes, in bytes of JSON.
const (
	MaxName      = validation.DNS1123SubdomainMaxLength
	MaxNamespace = validation.DNS1123LabelMaxLength
	MaxAddress   = 512
	MaxMessage   = 1024

	// maxReferences is the size of all references of one lifecycle. A policy may
	// have 32 references, and the names of a few are long.
	maxReferences = 5 << 10
	// referenceOverhead is what JSON adds to the values of one of them.
	referenceOverhead = 64
)

// ellipsis stands for what was cut off.
const ellipsis = "…"

// Bounded returns the text, or as much of it as JSON writes in that many bytes.
// What is no UTF-8 is replaced: storage would do so, and the text would never be
// equal to what is stored.
func Bounded(text string, most int) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	size, cut := 0, 0
	for at, r := range text {
		if size <= most-len(ellipsis) {
			cut = at
		}
		if size += jsonSize(r); size > most {
			return text[:cut] + ellipsis
		}
	}
	return text
}

// jsonSize is how many bytes encoding/json writes for a rune of a string.
func jsonSize(r rune) int {
	switch r {
	case '"', '\\', '\n', '\r', '\t', '\b', '\f':
		return 2
	case '<', '>', '&', '\u2028', '\u2029':
		return 6
	}
	if r < ' ' {
		return 6
	}
	return utf8.RuneLen(r)
}

// shorten keeps what a tenant can write into a message within bounds, and credentials
// in URLs out of it.
func shorten(s string) string { return Bounded(withoutUsers(s), 80) }

// BoundStatus keeps everything in a status that comes from data within bounds.
func BoundStatus(status *policyv1alpha1.PediaClusterLifecycleStatus) {
	for i := range status.Conditions {
		status.Conditions[i].Message = Bounded(withoutUsers(status.Conditions[i].Message), MaxMessage)
	}
	status.References = boundedReferences(status.References)
	cluster := status.Cluster
	if cluster == nil {
		return
	}
	switch cluster.Ready {
	case "True", "False", "Unknown":
	default:
		cluster.Ready = ""
	}
	cluster.Version = Bounded(cluster.Version, MaxName)
	cluster.APIServer = Address(cluster.APIServer)
	cluster.Message = Bounded(withoutUsers(cluster.Message), MaxMessage)
}

// boundedReferences are the first ones, up to maxReferences.
func boundedReferences(references []policyv1alpha1.DependentResource) []policyv1alpha1.DependentResource {
	size := 0
	for i, ref := range references {
		size += referenceOverhead + len(ref.Group) + len(ref.Version) + len(ref.Resource) + len(ref.Namespace) + len(ref.Name)
		if size > maxReferences {
			return references[:i]
		}
	}
	return references
}

// checkNamespace returns why no namespace can have the name, empty when one can.
func checkNamespace(name string) string {
	if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
		return problems[0]
	}
	return ""
}

// checkObjectName returns why no object of the group can have the name, empty when
// one can. Objects of the core group have DNS-1123 subdomains for names. Other
// types may be less strict, as those of RBAC are; all names are segments of a path.
func checkObjectName(group, name string) string {
	if group == "" {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			return problems[0]
		}
		return ""
	}
	if len(name) > MaxName {
		return validation.MaxLenError(MaxName)
	}
	if problems := content.IsPathSegmentName(name); len(problems) > 0 {
		return problems[0]
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) || Bounded(name, MaxName) != name {
		return fmt.Sprintf("must consist of printable characters, and take no more than %d bytes", MaxName)
	}
	return ""
}
