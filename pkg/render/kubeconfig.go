package render

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// CheckKubeconfig returns why clientcmd and client-go could not use a kubeconfig,
// nil when they can and when it is empty. It sees what ParseKubeconfig sees, and
// also every field that has the wrong type, wherever it stands, and certificates
// and keys that cannot be loaded. Files that a kubeconfig names are there or not
// where it is used: nothing is said of them.
//
// It is stricter than clientcmd, which ignores a key without a certificate.
func CheckKubeconfig(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	document, err := readKubeconfig(data)
	if err != nil {
		return err
	}
	r := kubeconfigReader{}
	k := r.read(document)
	r.types(document, kubeconfigType, "", 0)
	r.names(document)
	r.checkCluster(k)
	r.checkUser(k)
	if r.err != nil && isEncodedKubeconfig(document) {
		return errEncodedTwice
	}
	return r.err
}

// checkCluster looks at the cluster of the current context.
func (r *kubeconfigReader) checkCluster(k *Kubeconfig) {
	at := r.clusterAt
	file := r.text(r.cluster, at, "certificate-authority")
	if k.InsecureSkipTLSVerify && file != "" {
		r.fail("%s has both insecure-skip-tls-verify and certificate-authority: keep one of them", at)
	}
	r.either(at, "certificate-authority", file, "certificate-authority-data", k.CAData)
	if proxy := r.text(r.cluster, at, "proxy-url"); proxy != "" && !isProxy(proxy) {
		r.fail("%s: proxy-url must be a URL with http, https or socks5", at)
	}
	r.failWith(at, checkAuthorities("certificate-authority-data", k.CAData))
}

// isProxy reports whether clientcmd would take a URL for that of a proxy.
func isProxy(address string) bool {
	parsed, err := url.Parse(address)
	return err == nil && slices.Contains([]string{"http", "https", "socks5"}, parsed.Scheme)
}

// checkUser looks at the user of the current context.
func (r *kubeconfigReader) checkUser(k *Kubeconfig) {
	user, at := r.user, r.userAt
	certFile, keyFile := r.text(user, at, "client-certificate"), r.text(user, at, "client-key")
	r.either(at, "client-certificate", certFile, "client-certificate-data", k.CertData)
	r.either(at, "client-key", keyFile, "client-key-data", k.KeyData)
	switch hasCert, hasKey := certFile != "" || len(k.CertData) > 0, keyFile != "" || len(k.KeyData) > 0; {
	case hasCert && !hasKey:
		r.fail("%s has a client-certificate without a client-key", at)
	case hasKey && !hasCert: // clientcmd would go on without either
		r.fail("%s has a client-key without a client-certificate", at)
	case len(k.CertData) > 0 && len(k.KeyData) > 0:
		r.failWith(at, checkPair("client-certificate-data", "client-key-data", k.CertData, k.KeyData))
	}
	if k.Token != "" && (k.Username != "" || k.Password != "") {
		r.fail("%s has both a token and a username or password: keep one of them", at)
	}
	if r.text(user, at, "as") == "" && (r.text(user, at, "as-uid") != "" || r.filled(user, at, "as-groups") || r.filled(user, at, "as-user-extra")) {
		r.fail("%s impersonates without saying whom: it lacks as", at)
	}
	r.failWith(at, checkToken("token", []byte(k.Token)))
	r.checkProgram(user, at)
}

func (r *kubeconfigReader) failWith(at string, err error) {
	if err != nil {
		r.fail("%s: %w", at, err)
	}
}

// either refuses a file beside the data itself.
func (r *kubeconfigReader) either(at, fileKey, file, dataKey string, data []byte) {
	if file != "" && len(data) > 0 {
		r.fail("%s has both %s and %s: keep one of them", at, fileKey, dataKey)
	}
}

// filled reports whether a list or map is there and not empty.
func (r *kubeconfigReader) filled(node *yaml.Node, at, key string) bool {
	value := r.field(node, at, key)
	return value != nil && len(value.Content) > 0
}

// checkProgram refuses a program to log in with that clientcmd would not run.
func (r *kubeconfigReader) checkProgram(user *yaml.Node, at string) {
	exec := r.field(user, at, "exec")
	if exec == nil {
		return
	}
	if r.field(user, at, "auth-provider") != nil {
		r.fail("%s has both exec and auth-provider: keep one of them", at)
	}
	in := at + ": exec"
	version, mode := r.text(exec, in, "apiVersion"), r.text(exec, in, "interactiveMode")
	if mode == "" && slices.Contains([]string{"client.authentication.k8s.io/v1alpha1", "client.authentication.k8s.io/v1beta1"}, version) {
		mode = "IfAvailable"
	}
	switch {
	case r.text(exec, in, "command") == "":
		r.fail("%s has no command", in)
	case version == "":
		r.fail("%s has no apiVersion", in)
	case !slices.Contains([]string{"Never", "IfAvailable", "Always"}, mode):
		r.fail("%s: interactiveMode must be Never, IfAvailable or Always", in)
	}
	if env := r.field(exec, in, "env"); env != nil {
		for _, item := range env.Content {
			if r.text(resolved(item), in+": env", "name") == "" {
				r.fail("%s: env has an item without a name", in)
			}
		}
	}
}

// isEncodedKubeconfig reports whether a kubeconfig that is none is one in base64.
func isEncodedKubeconfig(document *yaml.Node) bool {
	if document.Kind != yaml.ScalarNode {
		return false
	}
	decoded, err := decodeBase64(document.Value)
	if err != nil {
		return false
	}
	inner, err := readKubeconfig(decoded)
	return err == nil && inner.Kind == yaml.MappingNode
}

// fieldType is the type that a field of a kubeconfig has for clientcmd. The zero
// value stands for any.
type fieldType struct {
	kind   fieldKind
	fields map[string]*fieldType // of a map
	values *fieldType            // of a map
	items  *fieldType            // of a list
}

type fieldKind uint8

const (
	anyField fieldKind = iota
	textField
	flagField
	dataField
	mapField
	listField
)

var (
	aText      = &fieldType{kind: textField}
	aFlag      = &fieldType{kind: flagField}
	someData   = &fieldType{kind: dataField}
	texts      = listOf(aText)
	extensions = listOf(mapOf(map[string]*fieldType{"name": aText, "extension": {}}))

	kubeconfigType = mapOf(map[string]*fieldType{
		"kind": aText, "apiVersion": aText, "current-context": aText, "extensions": extensions,
		"preferences": mapOf(map[string]*fieldType{"colors": aFlag, "extensions": extensions}),
		"clusters": named("cluster", map[string]*fieldType{
			"server": aText, "tls-server-name": aText, "insecure-skip-tls-verify": aFlag,
			"certificate-authority": aText, "certificate-authority-data": someData,
			"proxy-url": aText, "disable-compression": aFlag, "extensions": extensions,
		}),
		"contexts": named("context", map[string]*fieldType{
			"cluster": aText, "user": aText, "namespace": aText, "extensions": extensions,
		}),
		"users": named("user", map[string]*fieldType{
			"client-certificate": aText, "client-certificate-data": someData, "client-key": aText, "client-key-data": someData,
			"token": aText, "tokenFile": aText, "username": aText, "password": aText, "extensions": extensions,
			"as": aText, "as-uid": aText, "as-groups": texts, "as-user-extra": {kind: mapField, values: texts},
			"auth-provider": mapOf(map[string]*fieldType{"name": aText, "config": {kind: mapField, values: aText}}),
			"exec": mapOf(map[string]*fieldType{
				"command": aText, "args": texts, "apiVersion": aText, "installHint": aText, "provideClusterInfo": aFlag, "interactiveMode": aText,
				"env": listOf(mapOf(map[string]*fieldType{"name": aText, "value": aText})),
			}),
		}),
	})
)

func mapOf(fields map[string]*fieldType) *fieldType {
	return &fieldType{kind: mapField, fields: fields}
}

func listOf(items *fieldType) *fieldType { return &fieldType{kind: listField, items: items} }

// named is a list of clusters, contexts or users.
func named(key string, fields map[string]*fieldType) *fieldType {
	return listOf(mapOf(map[string]*fieldType{"name": aText, key: mapOf(fields)}))
}

// types finds a value of the wrong type. Aliases are followed as often as they
// are used, within the steps. At is the path of the node, which is empty where
// no key of it is known.
func (r *kubeconfigReader) types(node *yaml.Node, as *fieldType, at string, depth int) {
	if r.steps++; r.steps > maxKubeconfigSteps || depth > maxNesting {
		r.fail("it has too many values")
	}
	node = resolved(node)
	if r.err != nil || isNull(node) {
		return
	}
	if want := as.mismatch(node); want != "" {
		if at == "" {
			at = "the kubeconfig"
		}
		r.fail("%s must be %s", at, want)
		return
	}
	switch node.Kind {
	case yaml.ScalarNode:
		if word := strings.ToLower(node.Value); node.ShortTag() == "!!float" && (strings.HasSuffix(word, ".inf") || word == ".nan") {
			r.fail("a number is not finite") // clientcmd makes JSON of it
		}
	case yaml.SequenceNode:
		items := as.items
		if items == nil {
			items = &fieldType{}
		}
		for i, item := range node.Content {
			below := ""
			if at != "" {
				below = fmt.Sprintf("%s[%d]", at, i)
			}
			r.types(item, items, below, depth+1)
		}
	case yaml.MappingNode:
		r.fieldTypes(node, as, at, depth)
	}
}

// fieldTypes is types for the fields of a map. Of several of one key the last
// counts, as for clientcmd.
func (r *kubeconfigReader) fieldTypes(node *yaml.Node, as *fieldType, at string, depth int) {
	last := make(map[string]int, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		last[resolved(node.Content[i]).Value] = i
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := resolved(node.Content[i])
		if key.Kind == yaml.ScalarNode && last[key.Value] != i {
			continue
		}
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" || isNull(key) {
			r.fail("a key must be a plain word, and merge keys (<<) written out")
			return
		}
		field, below := as.fields[key.Value], at
		switch {
		case field != nil && at == "":
			below = key.Value
		case field != nil:
			below = at + "." + key.Value
		case as.values != nil:
			field = as.values
		default:
			field, below = &fieldType{}, ""
		}
		r.types(node.Content[i+1], field, below, depth+1)
	}
}

// mismatch says what a value must be and is not. A value is never null.
func (t *fieldType) mismatch(node *yaml.Node) string {
	tag := node.ShortTag()
	isText := node.Kind == yaml.ScalarNode && (tag == "!!str" || tag == "!!timestamp") && !isOldBoolean(node)
	var flag bool
	switch {
	case t.kind == textField && !isText:
		return "a string"
	case t.kind == dataField && !isText:
		return "base64"
	case t.kind == dataField:
		if _, err := decodeBase64(node.Value); err != nil {
			return "base64"
		}
	case t.kind == flagField && (node.Kind != yaml.ScalarNode || node.Decode(&flag) != nil):
		return "true or false"
	case t.kind == mapField && node.Kind != yaml.MappingNode:
		return "a map"
	case t.kind == listField && node.Kind != yaml.SequenceNode:
		return "a list"
	}
	return ""
}

// names finds two clusters, contexts or users of one name.
func (r *kubeconfigReader) names(document *yaml.Node) {
	for _, kind := range []string{"cluster", "context", "user"} {
		seen := map[string]bool{}
		list := r.field(document, "the kubeconfig", kind+"s")
		for i := 0; list != nil && i < len(list.Content); i++ {
			name := r.text(resolved(list.Content[i]), fmt.Sprintf("item %d of its %ss", i+1, kind), "name")
			if seen[name] {
				r.fail("it has more than one %s %s", kind, showName(name))
			}
			seen[name] = true
		}
	}
}
