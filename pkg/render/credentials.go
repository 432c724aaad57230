package render

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// maxCredential bounds a credential in bytes: a Secret can hold no more.
	maxCredential = 1 << 20
	// maxKubeconfigSteps bounds the keys that are looked at in a kubeconfig:
	// aliases let a small one seem large.
	maxKubeconfigSteps = 1_000_000
	// maxShownName is the length of a name of a kubeconfig that an error shows.
	maxShownName = 63
)

// never is the year from which on a time of expiry means that there is none:
// RFC 5280, 4.1.2.5 gives certificates without an end 9999-12-31.
const never = 9999

// CredentialsExpiry returns the earliest time at which a credential that the
// PediaCluster carries expires: a client certificate, or a token that is a JWT
// with an exp claim, in its spec or in the current context of its kubeconfig.
// ok is false when none says so. Nothing is verified, and what is malformed
// says nothing: checkCredentials tells of it.
func CredentialsExpiry(pediaCluster *unstructured.Unstructured) (expiry time.Time, ok bool) {
	earlier := func(t time.Time, says bool) {
		if says && (!ok || t.Before(expiry)) {
			expiry, ok = t.UTC(), true
		}
	}
	cert, _ := specData(pediaCluster, "certData")
	earlier(certificateExpiry(cert))
	token, _ := specData(pediaCluster, "tokenData")
	earlier(tokenExpiry(string(token)))
	if data, _ := specData(pediaCluster, "kubeconfig"); len(data) > 0 {
		if kubeconfig, err := ParseKubeconfig(data); err == nil {
			earlier(certificateExpiry(kubeconfig.CertData))
			earlier(tokenExpiry(kubeconfig.Token))
		}
	}
	return expiry, ok
}

// specData decodes a field of spec that holds base64. Nil when there is none.
func specData(pediaCluster *unstructured.Unstructured, field string) ([]byte, error) {
	text, _, err := unstructured.NestedString(pediaCluster.Object, "spec", field)
	if err != nil {
		return nil, errors.New("it is not a string")
	}
	data, err := decodeBase64(text)
	if errors.Is(err, errNotBase64) {
		err = fmt.Errorf("%w: use the data of a Secret as it is, or b64enc", err)
	}
	return data, err
}

// errNotBase64 stands for the error of base64, which shows a part of the text.
var errNotBase64 = errors.New("it is not base64")

func decodeBase64(text string) ([]byte, error) {
	if base64.StdEncoding.DecodedLen(len(text)) > maxCredential+2 {
		return nil, fmt.Errorf("it is larger than %d bytes", maxCredential)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errNotBase64
	}
	return data, nil
}

// certificateExpiry reads the first certificate of a PEM chain: that of the
// client. Those of its issuers do not come with it when they are renewed.
func certificateExpiry(chain []byte) (time.Time, bool) {
	for len(chain) > 0 {
		var block *pem.Block
		if block, chain = pem.Decode(chain); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			break
		}
		return certificate.NotAfter, certificate.NotAfter.UTC().Year() < never
	}
	return time.Time{}, false
}

// tokenExpiry reads the exp claim of a JWT, in seconds since 1970 (RFC 7519, 4.1.4).
func tokenExpiry(token string) (time.Time, bool) {
	token = strings.TrimSpace(token)
	if len(token) > maxCredential || strings.Count(token, ".") != 2 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return time.Time{}, false
	}
	// Not a struct: it would take Exp and EXP for exp.
	var claims map[string]json.RawMessage
	if json.Unmarshal(payload, &claims) != nil {
		return time.Time{}, false
	}
	var seconds float64
	if json.Unmarshal(claims["exp"], &seconds) != nil || seconds < 1 ||
		seconds >= float64(time.Date(never, 1, 1, 0, 0, 0, 0, time.UTC).Unix()) {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// Kubeconfig is what the current context of a kubeconfig says: how to reach
// one cluster, and as whom.
type Kubeconfig struct {
	Server, TLSServerName string
	InsecureSkipTLSVerify bool
	// CAData, CertData and KeyData are PEM as far as anyone has looked.
	CAData, CertData, KeyData []byte
	Token                     string
	Username, Password        string
	// Outside are the names of the fields that are set and lead out of the
	// kubeconfig: to files, to programs, to a proxy.
	Outside []string
}

// logsIn reports whether the user has anything to log in with.
func (k *Kubeconfig) logsIn() bool {
	return k.Token != "" || k.Password != "" || len(k.CertData) > 0 ||
		slices.ContainsFunc(k.Outside, func(field string) bool { return slices.Contains(userOutside, field) })
}

// userOutside are the fields of a user that lead out of the kubeconfig.
var userOutside = []string{"client-certificate", "client-key", "tokenFile", "exec", "auth-provider"}

// ParseKubeconfig reads the current context of a kubeconfig, YAML or JSON of at
// most 1 MiB. It is an error where clientcmd would refuse it: the context, its
// cluster or its user is missing, the cluster has no server, a value has the
// wrong type. Errors show no values but names.
//
// clientcmd itself would be no choice even if this package could import it:
// it writes out each alias, so that 60 KB can cost it gigabytes, and
// kubeconfigs come from tenants. Merge keys (<<), which nobody writes into
// kubeconfigs, are therefore refused.
func ParseKubeconfig(data []byte) (*Kubeconfig, error) {
	document, err := readKubeconfig(data)
	if err != nil {
		return nil, err
	}
	r := kubeconfigReader{}
	kubeconfig := r.read(document)
	if r.err != nil {
		return nil, r.err
	}
	return kubeconfig, nil
}

// readKubeconfig returns the top node of a kubeconfig.
func readKubeconfig(data []byte) (*yaml.Node, error) {
	if len(data) > maxCredential {
		return nil, fmt.Errorf("it is larger than %d bytes", maxCredential)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, notYAML(err)
	}
	if document.Kind == 0 {
		return nil, errors.New("it is empty")
	}
	return document.Content[0], nil
}

// notYAML keeps nothing of the error but the line: it may quote the text.
func notYAML(err error) error {
	if line := yamlLine.FindString(err.Error()); line != "" {
		return fmt.Errorf("it is not YAML: see its %s", line)
	}
	return errors.New("it is not YAML")
}

var yamlLine = regexp.MustCompile(`line \d+`)

// kubeconfigReader reads the fields that matter from the nodes of a kubeconfig,
// without writing out aliases. After the first error it reads nothing.
type kubeconfigReader struct {
	err   error
	steps int
	// cluster and user are those of the current context, and how to speak of
	// them. The user is nil when there is none.
	cluster, user     *yaml.Node
	clusterAt, userAt string
}

func (r *kubeconfigReader) read(config *yaml.Node) *Kubeconfig {
	const top = "the kubeconfig"
	for _, must := range []struct{ field, be string }{{"apiVersion", "v1"}, {"kind", "Config"}} {
		if got := r.text(config, top, must.field); got != "" && got != must.be {
			r.fail("it is no kubeconfig: its %s is not %s", must.field, must.be)
		}
	}
	current := r.text(config, top, "current-context")
	if current == "" {
		r.fail("it has no current-context")
	}
	at, context := r.named(config, "context", current)
	clusterName, userName := r.text(context, at, "cluster"), r.text(context, at, "user")
	if clusterName == "" {
		r.fail("%s names no cluster", at)
	}
	k := &Kubeconfig{}
	at, cluster := r.named(config, "cluster", clusterName)
	r.cluster, r.clusterAt = cluster, at
	k.Server = r.text(cluster, at, "server")
	if k.Server == "" {
		r.fail("%s has no server", at)
	}
	k.TLSServerName = r.text(cluster, at, "tls-server-name")
	k.InsecureSkipTLSVerify = r.flag(cluster, at, "insecure-skip-tls-verify")
	k.CAData = r.data(cluster, at, "certificate-authority-data")
	if k.InsecureSkipTLSVerify && len(k.CAData) > 0 {
		r.fail("%s has both insecure-skip-tls-verify and certificate-authority-data: keep one of them", at)
	}
	r.outside(k, cluster, at, "certificate-authority", "proxy-url")

	at, user := r.named(config, "user", userName)
	r.user, r.userAt = user, at
	k.CertData = r.data(user, at, "client-certificate-data")
	k.KeyData = r.data(user, at, "client-key-data")
	k.Token = r.text(user, at, "token")
	k.Username, k.Password = r.text(user, at, "username"), r.text(user, at, "password")
	r.outside(k, user, at, userOutside...)
	if len(k.CertData) > 0 && len(k.KeyData) == 0 && r.field(user, at, "client-key") == nil {
		r.fail("%s has client-certificate-data without client-key-data", at)
	}
	return k
}

func (r *kubeconfigReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// named returns the entry of that name from the list of contexts, clusters or
// users, and how to speak of it.
func (r *kubeconfigReader) named(config *yaml.Node, kind, name string) (string, *yaml.Node) {
	at := fmt.Sprintf("%s %s", kind, showName(name))
	list := r.field(config, "the kubeconfig", kind+"s")
	if list != nil && list.Kind != yaml.SequenceNode {
		r.fail("its %ss must be a list", kind)
	}
	var found *yaml.Node
	for i := 0; list != nil && i < len(list.Content) && r.err == nil; i++ {
		item := resolved(list.Content[i])
		in := fmt.Sprintf("item %d of its %ss", i+1, kind)
		switch {
		case r.text(item, in, "name") != name:
		case found != nil:
			r.fail("it has more than one %s", at)
		default:
			found = item
		}
	}
	if found == nil {
		if name != "" { // nobody need be named as the user
			r.fail("its %s is missing", at)
		}
		return at, nil
	}
	return at, r.field(found, at, kind)
}

func showName(name string) string {
	if len(name) > maxShownName {
		name = strings.ToValidUTF8(name[:maxShownName], "") + "…"
	}
	return fmt.Sprintf("%q", name)
}

// field returns the value of a key, nil when it is absent or null.
func (r *kubeconfigReader) field(node *yaml.Node, at, key string) *yaml.Node {
	if r.err != nil || node == nil || isNull(node) {
		return nil
	}
	if node.Kind != yaml.MappingNode {
		r.fail("%s must be a map", at)
		return nil
	}
	if r.steps += len(node.Content); r.steps > maxKubeconfigSteps {
		r.fail("it has too many values")
		return nil
	}
	var value *yaml.Node
	for i := 0; i < len(node.Content); i += 2 {
		switch k := resolved(node.Content[i]); {
		case k.Kind == yaml.ScalarNode && k.Tag == "!!merge":
			r.fail("%s has a merge key (<<): write its fields out", at)
			return nil
		case k.Kind == yaml.ScalarNode && k.Value == key:
			value = resolved(node.Content[i+1]) // the last counts, as for clientcmd
		}
	}
	if value != nil && isNull(value) {
		return nil
	}
	return value
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func (r *kubeconfigReader) text(node *yaml.Node, at, key string) string {
	value := r.field(node, at, key)
	if value == nil {
		return ""
	}
	tag := value.ShortTag()
	if value.Kind != yaml.ScalarNode || tag != "!!str" && tag != "!!timestamp" || isOldBoolean(value) {
		r.fail("%s: %s must be a string", at, key)
		return ""
	}
	return value.Value
}

// isOldBoolean reports whether clientcmd takes a word for true or false, which
// was so before YAML 1.2.
func isOldBoolean(node *yaml.Node) bool {
	if node.Style != 0 {
		return false
	}
	switch node.Value {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return true
	}
	return false
}

func (r *kubeconfigReader) data(node *yaml.Node, at, key string) []byte {
	data, err := decodeBase64(r.text(node, at, key))
	if err != nil {
		r.fail("%s: %s: %w", at, key, err)
	}
	return data
}

func (r *kubeconfigReader) flag(node *yaml.Node, at, key string) bool {
	value := r.field(node, at, key)
	if value == nil {
		return false
	}
	var flag bool
	if value.Kind != yaml.ScalarNode || value.Decode(&flag) != nil {
		r.fail("%s: %s must be true or false", at, key)
	}
	return flag
}

// outside notes those of the fields that are set, whatever they hold.
func (r *kubeconfigReader) outside(k *Kubeconfig, node *yaml.Node, at string, keys ...string) {
	for _, key := range keys {
		if value := r.field(node, at, key); value != nil && (value.Kind != yaml.ScalarNode || value.Value != "") {
			k.Outside = append(k.Outside, key)
		}
	}
}

// resolved follows an alias. The node that it stands for is none itself.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
