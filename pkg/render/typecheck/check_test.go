package typecheck

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy/v1alpha1"
	"github.com/clusterpedia-io/policy-apiserver/pkg/render"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func definition(t testing.TB, name string) *Definition {
	t.Helper()
	raw, err := yaml.YAMLToJSON(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	d, err := FromDefinition(raw)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sources are the real types, by the names that tests use.
func sources(t testing.TB) map[string]*Object {
	t.Helper()
	capi := definition(t, "testdata/cluster-api.json")
	objects := map[string]*Object{
		"v1beta1": capi.Objects["v1beta1"], "v1beta2": capi.Objects["v1beta2"],
		"karmada": FromOpenAPI(read(t, "testdata/karmada.json"), schema.GroupVersionResource{Group: "cluster.karmada.io", Version: "v1alpha1", Resource: "clusters"}),
		"crd":     definition(t, "../../../artifacts/platforms/karmada/example/crd.yaml").Objects["v1alpha1"],
		"mcp":     definition(t, "../../../test/mcp/crd.yaml").Objects["v1alpha1"],
		"secret":  Builtin("", "secrets"),
		"node":    FromOpenAPI(read(t, "testdata/core-v1.json"), schema.GroupVersionResource{Version: "v1", Resource: "nodes"}),
	}
	for name, object := range objects {
		if object == nil || object.Root == nil {
			t.Fatalf("the type of %s is not known", name)
		}
	}
	return objects
}

// checked returns the findings about one template in a policy that is right
// otherwise.
func checked(t testing.TB, source *Object, field, template string) []string {
	t.Helper()
	spec := &policyv1alpha1.ClusterImportPolicySpec{
		Source: policyv1alpha1.SourceType{Group: "example.io", Resource: "clusters"},
		References: []policyv1alpha1.ReferenceTemplate{
			reference("auth", "secrets", "{{ .source.metadata.namespace }}", "{{ .source.metadata.name }}"),
			reference("config", "configmaps", "default", "config"),
		},
		NameTemplate: "{{ .source.metadata.name }}",
		Conversion:   policyv1alpha1.Conversion{Template: "spec: {}", CreationCondition: "true"},
	}
	switch field {
	case "template":
		spec.Template = template
	case "creationCondition":
		spec.CreationCondition = template
	case "deletionCondition":
		spec.DeletionCondition = template
	case "nameTemplate":
		spec.NameTemplate = template
	case "selectorTemplate":
		spec.Source.SelectorTemplate = template
	case "reference":
		spec.References[0].NameTemplate = template
	default:
		t.Fatalf("no field %q", field)
	}
	return findings(t, spec, source)
}

func reference(key, resource, namespace, name string) policyv1alpha1.ReferenceTemplate {
	return policyv1alpha1.ReferenceTemplate{ReferenceTarget: policyv1alpha1.ReferenceTarget{
		Key: key, Resource: resource, NamespaceTemplate: &namespace, NameTemplate: name}}
}

func findings(t testing.TB, spec *policyv1alpha1.ClusterImportPolicySpec, source *Object) []string {
	t.Helper()
	policy, errs := render.Compile(spec)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	types := Types{Source: source, References: map[string]*Object{}}
	for _, ref := range spec.References {
		types.References[ref.Key] = Builtin(ref.Group, ref.Resource)
	}
	var texts []string
	for _, finding := range Check(policy, types) {
		texts = append(texts, finding.Error())
	}
	return texts
}

// mistakes are what people write. Each is found by the part of a message.
var mistakes = []struct{ source, field, template, want string }{
	// Fields that are written in another way.
	{"mcp", "template", `apiserver: "{{ .source.spec.apiEndpint }}"`, `line 1, column 16: .source.spec.apiEndpint: clusters.cluster.mcp.io/v1alpha1 has no "apiEndpint" in .source.spec; did you mean "apiEndpoint"?`},
	{"mcp", "template", `apiserver: {{ .source.spec.apiendpoint }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "template", `apiserver: {{ .source.spec.APIEndpoint }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "template", `apiserver: {{ .source.spec.endpoint }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "template", `apiserver: {{ .source.spec.api_endpoint }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "template", `apiserver: {{ .source.spec.server }}`, `it has: apiEndpoint, authSecretRef`},
	{"mcp", "template", `apiserver: {{ .source.specs.apiEndpoint }}`, `has no "specs" in .source; did you mean "spec"?`},
	{"mcp", "template", `apiserver: {{ .source.apiEndpoint }}`, `did you mean .source.spec.apiEndpoint?`},
	{"mcp", "template", `apiserver: {{ .source.status.apiEndpoint }}`, `did you mean .source.spec.apiEndpoint?`},
	{"mcp", "reference", `{{ .source.spec.authSecretRef.secretName }}`, `has no "secretName" in .source.spec.authSecretRef`},
	{"mcp", "reference", `{{ .source.spec.secretRef.name }}`, `did you mean "authSecretRef"?`},
	{"mcp", "nameTemplate", `{{ .source.metadata.Name }}`, `did you mean "name"`},
	{"mcp", "nameTemplate", `{{ .source.metadata.clusterName }}`, `has no "clusterName" in .source.metadata`},
	{"mcp", "nameTemplate", `{{ .source.name }}`, `has no "name" in .source; did you mean .source.metadata.name?`},
	{"mcp", "selectorTemplate", `{{ eq .source.metadata.label.tier "gold" }}`, `did you mean "labels"?`},
	{"mcp", "selectorTemplate", `{{ eq .source.labels.tier "gold" }}`, `did you mean .source.metadata.labels?`},
	{"v1beta1", "template", `apiserver: https://{{ .source.spec.controlplaneEndpoint.host }}:6443`, `did you mean "controlPlaneEndpoint"`},
	{"v1beta1", "template", `apiserver: https://{{ .source.spec.controlPlaneEndpoint.hostname }}:6443`, `did you mean "host"?`},
	{"v1beta2", "creationCondition", `{{ .source.status.infrastructureReady }}`, `clusters.cluster.x-k8s.io/v1beta2 has no "infrastructureReady" in .source.status`},
	{"v1beta2", "creationCondition", `{{ eq .source.status.controlPlaneReady true }}`, `has no "controlPlaneReady" in .source.status`},
	{"v1beta1", "creationCondition", `{{ .source.status.initialization.controlPlaneInitialized }}`, `clusters.cluster.x-k8s.io/v1beta1 has no "initialization" in .source.status`},
	{"v1beta2", "creationCondition", `{{ eq .source.status.fase "Provisioned" }}`, `has no "fase" in .source.status`},
	{"karmada", "template", `apiserver: {{ .source.spec.apiEndPointURL }}`, `did you mean "apiEndpoint"?`},
	{"karmada", "template", `{{ if not .source.spec.insecureSkipTLSVerify }}x: y{{ end }}`, ``}, // guarded, and no typing error: see the table below
	{"karmada", "template", `version: {{ .source.status.version }}`, `did you mean "kubernetesVersion"?`},
	{"karmada", "reference", `{{ .source.spec.secretRef.Name }}`, `did you mean "name"?`},
	{"karmada", "reference", `{{ .source.spec.secretReference.name }}`, `did you mean "secretRef"`},
	{"crd", "template", `apiserver: {{ .source.spec.proxyUrl }}`, `did you mean "proxyURL"?`},
	// Found through variables, blocks, functions and definitions.
	{"mcp", "template", "{{ with .source.spec }}\napiserver: {{ .apiEndpint }}\n{{ end }}", `line 2, column 15: .apiEndpint`},
	{"mcp", "template", "{{ $spec := .source.spec }}\napiserver: {{ $spec.apiEndpint }}", `line 2, column 15: $spec.apiEndpint`},
	{"mcp", "template", `{{ $endpoint := .source.spec.apiEndpint }}apiserver: {{ $endpoint }}`, `line 1, column 17: .source.spec.apiEndpint`},
	{"mcp", "template", `apiserver: {{ index .source.spec "apiEndpint" }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "template", `apiserver: {{ get .source.spec "apiEndpint" }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "template", `apiserver: {{ (index .source "spec").apiEndpint | trim }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "template", `{{ define "url" }}{{ .spec.apiEndpint }}{{ end }}apiserver: {{ template "url" .source }}`, `(template "url"): .spec.apiEndpint`},
	{"mcp", "template", `apiserver: {{ dig "spec" "apiEndpint" "" .source }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "template", `apiserver: {{ .source.spec.apiEndpint | default "" }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "creationCondition", `{{ if .source.spec.apiEndpint }}true{{ end }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "creationCondition", `{{ hasKey .source.spec "apiEndpint" }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "creationCondition", `{{ ne .source.spec.apiEndpint "" }}`, `did you mean "apiEndpoint"?`},
	{"mcp", "creationCondition", `{{ range .source.status.conditons }}{{ if eq .type "Ready" }}true{{ end }}{{ end }}`, `did you mean "conditions"?`},
	{"mcp", "creationCondition", `{{ range .source.conditions }}{{ if eq .type "Ready" }}true{{ end }}{{ end }}`, `did you mean .source.status.conditions?`},
	{"mcp", "creationCondition", `{{ range .source.status.conditions }}{{ if eq .Type "Ready" }}true{{ end }}{{ end }}`, `did you mean "type"?`},
	{"mcp", "creationCondition", `{{ range $i, $c := .source.status.conditions }}{{ if eq $c.state "True" }}true{{ end }}{{ end }}`, `did you mean "status"?`},
	{"mcp", "creationCondition", `{{ (first .source.status.conditions).value }}`, `has no "value" in .source.status.conditions[]`},
	{"mcp", "deletionCondition", `{{ eq .source.status.phase "Gone" }}`, `has no "phase" in .source.status`},
	// Values that are of another kind than the template takes them for.
	{"v1beta1", "template", `apiserver: {{ .source.spec.controlPlaneEndpoint }}`, `.source.spec.controlPlaneEndpoint is a map, and only toYaml and toJson write lists and maps into YAML; it has: host, port`},
	{"v1beta1", "template", `apiserver: {{ b64dec .source.spec.controlPlaneEndpoint.port }}`, `is a whole number, and the function takes a string`},
	{"mcp", "template", `apiserver: {{ .source.spec.apiEndpoint.url }}`, `.source.spec.apiEndpoint is a string, it has no field "url"`},
	{"mcp", "reference", `{{ .source.spec.authSecretRef | trim }}`, ``}, // trim takes anything
	{"mcp", "reference", `{{ trimSuffix "-x" .source.spec.authSecretRef }}`, `is a map, and the function takes a string; it has: name, namespace`},
	{"mcp", "creationCondition", `{{ .source.status.conditions.Ready }}`, `.source.status.conditions is a list, it has no field "Ready"; iterate over it with range`},
	{"mcp", "creationCondition", `{{ eq .source.status.conditions.type "Ready" }}`, `iterate over it with range`},
	{"mcp", "creationCondition", `{{ (index .source.status.conditions "Ready").status }}`, `is a list, it has no field "Ready"`},
	{"mcp", "creationCondition", `{{ range .source.spec.apiEndpoint }}true{{ end }}`, `.source.spec.apiEndpoint is a string, and range iterates over lists, maps and whole numbers`},
	{"mcp", "creationCondition", `{{ range .source.status.conditions }}{{ range .status }}{{ end }}{{ end }}`, `and range iterates over lists`},
	{"mcp", "creationCondition", `{{ first .source.status }}`, `.source.status is a map, and the function takes a list`},
	{"mcp", "creationCondition", `{{ hasKey .source.status.conditions "Ready" }}`, `is a list, and the function takes a map`},
	{"mcp", "creationCondition", `{{ index .source.spec 0 }}`, `.source.spec is a map, and only lists have items`},
	{"mcp", "creationCondition", `{{ contains "Ready" .source.status.conditions }}`, `is a list, and the function takes a string`},
	{"v1beta2", "creationCondition", `{{ range .source.spec.paused }}{{ end }}`, `is a boolean, and range`},
	// Comparisons that never hold.
	{"v1beta1", "creationCondition", `{{ eq .source.spec.paused "false" }}`, `.source.spec.paused is a boolean, and is compared with the string "false": that is an error whenever there is a value; write false without quotes`},
	{"v1beta1", "creationCondition", `{{ ne .source.spec.controlPlaneEndpoint "" }}`, `is a map, and eq and ne compare no lists and maps`},
	{"v1beta1", "creationCondition", `{{ eq .source.spec.controlPlaneEndpoint.port "6443" }}`, `write 6443 without quotes`},
	{"v1beta1", "creationCondition", `{{ eq "6443" .source.spec.controlPlaneEndpoint.port }}`, `write 6443 without quotes`},
	{"v1beta1", "creationCondition", `{{ ne .source.spec.controlPlaneEndpoint.port "" }}`, `whether there is one is asked with if, or hasKey`},
	{"v1beta1", "creationCondition", `{{ .source.spec.paused | eq "true" }}`, `write true without quotes`},
	{"v1beta1", "creationCondition", `{{ gt .source.spec.controlPlaneEndpoint.port "0" }}`, `has no order with the string "0"`},
	{"v1beta1", "creationCondition", `{{ gt .source.status.phase 1 }}`, `is a string, and has no order with 1`},
	{"v1beta1", "creationCondition", `{{ range .source.status.conditions }}{{ if eq .status true }}true{{ end }}{{ end }}`, `write "true"`},
	{"v1beta2", "creationCondition", `{{ range .source.status.conditions }}{{ if eq .status "true" }}true{{ end }}{{ end }}`, `and never "true"; did you mean "True"`},
	{"v1beta2", "creationCondition", `{{ range .source.status.conditions }}{{ if and (eq .type "Ready") (eq .status "Ready") }}true{{ end }}{{ end }}`, `it is one of: "True", "False", "Unknown"`},
	{"crd", "creationCondition", `{{ eq .source.spec.syncMode "push" }}`, `and never "push"; did you mean "Push"? It is one of: "Push", "Pull"`},
	{"crd", "creationCondition", `{{ if ne .source.spec.syncMode "push" }}{{ else }}true{{ end }}`, `did you mean "Push"?`},
	// Secrets and ConfigMaps.
	{"mcp", "template", `caData: {{ .references.auth.data.ca.crt }}`, `.references.auth.data.ca is a string, it has no field "crt"; if the key is "ca.crt", write index .references.auth.data "ca.crt"`},
	{"mcp", "template", `caData: {{ .references.auth.Data.ca }}`, `secrets/v1 has no "Data" in .references.auth; did you mean "data"?`},
	{"mcp", "template", `caData: {{ .references.auth.ca }}`, `secrets/v1 has no "ca" in .references.auth; did you mean .references.auth.data.ca? It has: apiVersion, data, immutable, kind, metadata, type`},
	{"mcp", "template", `caData: {{ .references.auth.stringData.ca }}`, `has no "stringData" in .references.auth; the API server returns what was written there in data, in base64`},
	{"mcp", "template", `caData: {{ .references.auth.data }}`, `.references.auth.data is a map, and only toYaml`},
	{"mcp", "template", `caData: {{ .references.auth.spec.ca }}`, `has no "spec" in .references.auth`},
	{"mcp", "template", `caData: {{ .references.config.stringData.ca }}`, `configmaps/v1 has no "stringData"`},
	{"mcp", "template", `kubeconfig: {{ b64dec .references.auth.data }}`, `is a map, and the function takes a string`},
	{"mcp", "creationCondition", `{{ eq .references.auth.data.ready true }}`, `write "true"`},
	{"secret", "template", `tokenData: {{ .source.token }}`, `did you mean .source.data.token?`},
	{"secret", "template", `certData: {{ .source.data.tls.crt }}`, `write index .source.data "tls.crt"`},
	{"secret", "selectorTemplate", `{{ eq .source.metadata.labels.example.io "x" }}`, `write index .source.metadata.labels "example.io"`},
	{"node", "creationCondition", `{{ eq .source.status.phase "Running" .source.status.fase }}`, `has no "fase"`},
	{"node", "creationCondition", `{{ range .source.status.addresses }}{{ .ip }}{{ end }}`, `has no "ip" in .source.status.addresses[]`},
	{"node", "creationCondition", `{{ eq .source.spec.unschedulable "false" }}`, `write false without quotes`},
}

func TestWhatPeopleGetWrongIsFound(t *testing.T) {
	types := sources(t)
	named := 0
	for _, mistake := range mistakes {
		got := checked(t, types[mistake.source], mistake.field, mistake.template)
		switch {
		case mistake.want == "" && len(got) > 0:
			t.Errorf("%s\nis no certain mistake, but is said to be: %s", mistake.template, got)
		case mistake.want == "":
		case len(got) != 1 || !strings.Contains(got[0], mistake.want):
			t.Errorf("%s\nwant: … %s …\ngot:  %s", mistake.template, mistake.want, strings.Join(got, "\n      "))
		default:
			named++
		}
	}
	if named < 60 {
		t.Errorf("only %d mistakes are found", named)
	}
}

// right are templates that work with the type, or with other versions of it.
var right = []struct{ source, field, template string }{
	{"mcp", "template", `apiserver: "{{ .source.spec.apiEndpoint }}"`},
	{"mcp", "template", `apiserver: {{ .source.spec.apiEndpoint | default "https://localhost" }}`},
	{"mcp", "template", `{{ with .source.spec.proxy }}proxy: {{ .url }}{{ end }}`},
	{"mcp", "template", `{{ if .source.spec.proxy }}proxy: {{ .source.spec.proxy.url }}{{ end }}`},
	{"mcp", "template", `{{ if hasKey .source.spec "proxy" }}proxy: {{ .source.spec.proxy.url }}{{ end }}`},
	{"mcp", "template", `{{ if and .source.spec.proxy .source.spec.proxy.url }}proxy: {{ .source.spec.proxy.url }}{{ end }}`},
	{"mcp", "template", `{{ if ne (dig "proxy" "url" "" .source.spec) "" }}x: y{{ end }}`},
	{"mcp", "template", `{{ dig "network" "podCIDR" "none" .source.spec }}`},
	{"mcp", "template", `apiserver: {{ coalesce .source.spec.server .source.spec.apiEndpoint }}`},
	{"mcp", "template", `apiserver: {{ or .source.spec.url .source.spec.apiEndpoint }}`},
	{"mcp", "template", `apiserver: {{ coalesce .source.spec.apiEndpoints .source.spec.apiEndpoint }}`},
	{"mcp", "template", `apiserver: {{ default .source.spec.apiEndpoint .source.spec.apiEndPoints }}`},
	{"mcp", "template", `{{ $url := "" }}{{ if .source.spec.server }}{{ $url = .source.spec.server.url }}{{ end }}apiserver: {{ $url }}`},
	{"mcp", "template", `{{ $spec := .source.spec }}{{ range $k, $v := $spec }}{{ $k }}: {{ toJson $v }}{{ end }}`},
	{"mcp", "template", `{{ range $k, $v := .source.metadata.labels }}{{ quote $k }}: {{ $v }}{{ end }}`},
	{"mcp", "template", `metadata: {labels: {{ toJson .source.metadata.labels }}}`},
	{"mcp", "template", `x: {{ index .source.metadata.annotations "example.io/x" }}`},
	{"mcp", "template", `x: {{ get .source.metadata.annotations "example.io/x" | default "none" }}`},
	{"mcp", "template", `x: {{ .source.metadata.annotations.anything }}`},
	{"mcp", "template", `x: {{ (index .source.metadata.ownerReferences 0).name }}`},
	{"mcp", "template", `x: {{ .source.apiVersion }} {{ .source.kind }} {{ .source.metadata.uid }}`},
	{"mcp", "template", `x: {{ .source.metadata.creationTimestamp | toDate "2006-01-02T15:04:05Z07:00" | date "2006" }}`},
	{"mcp", "template", `{{ if eq .source.apiVersion "cluster.mcp.io/v2" }}x: {{ .source.spec.url }}{{ else }}x: {{ .source.spec.apiEndpoint }}{{ end }}`},
	{"mcp", "template", `{{ $v2 := hasSuffix "/v2" .source.apiVersion }}{{ if $v2 }}x: {{ .source.spec.url }}{{ end }}`},
	{"mcp", "template", `x: {{ ternary "a" "b" (hasKey .source.spec "url") }}`},
	{"mcp", "template", `{{ if kindIs "map" .source.spec.url }}x: {{ .source.spec.url.host }}{{ end }}`},
	{"mcp", "template", `x: {{ pluck "url" .source.spec (dict "url" "y") | first }}`},
	{"mcp", "template", `{{ $d := pick .source.spec "apiEndpoint" "url" }}{{ toYaml $d }}`},
	{"mcp", "template", `{{ $s := deepCopy .source.spec }}{{ $_ := set $s "url" "x" }}x: {{ $s.url }}`},
	{"mcp", "template", `{{ $d := dict }}{{ $_ := set $d "a" (dict "b" 1) }}x: {{ $d.a.b }}`},
	{"mcp", "template", `{{ $d := merge (dict) .source.spec }}x: {{ $d.url }}`},
	{"mcp", "template", `{{ define "x" }}{{ .a.spec.apiEndpoint }}{{ .b }}{{ end }}x: {{ template "x" (dict "a" .source "b" 1) }}`},
	{"mcp", "template", `{{ range list "apiEndpoint" "url" }}{{ get $.source.spec . }}{{ end }}`},
	{"mcp", "template", `{{ $kubeconfig := fromYaml (b64dec .references.auth.data.kubeconfig) }}apiserver: {{ (first $kubeconfig.clusters).cluster.server }}`},
	{"mcp", "template", `caData: {{ index .references.auth.data "ca.crt" }}`},
	{"mcp", "template", `caData: {{ .references.auth.data.ca | b64dec | b64enc }}`},
	{"mcp", "template", `caData: {{ .references.config.data.ca | b64enc }}{{ .references.config.binaryData.ca }}`},
	{"mcp", "template", `{{ if eq .references.auth.type "kubernetes.io/tls" }}x: y{{ end }}`},
	{"mcp", "template", `{{ toYaml .references.auth.metadata.labels }}`},
	{"mcp", "creationCondition", `{{ range .source.status.conditions }}{{ if and (eq .type "Ready") (eq .status "True") }}true{{ end }}{{ end }}`},
	{"mcp", "creationCondition", `{{ range dig "status" "conditions" list .source }}{{ if eq .type "Ready" }}{{ .status }}{{ end }}{{ end }}`},
	{"mcp", "creationCondition", `{{ with .source.status }}{{ range .conditions }}{{ if eq .type "Ready" }}{{ eq .status "True" }}{{ end }}{{ end }}{{ end }}`},
	{"mcp", "creationCondition", `{{ ne .source.spec.apiEndpoint "" }}`},
	{"mcp", "creationCondition", `{{ if not .source.spec.suspended }}true{{ end }}`},
	{"mcp", "creationCondition", `{{ not (empty .source.spec.apiEndpoint) }}`},
	{"mcp", "creationCondition", `{{ gt (len .source.status.conditions) 0 }}`},
	{"mcp", "creationCondition", `{{ and .source.spec.apiEndpoint (hasPrefix "https://" .source.spec.apiEndpoint) }}`},
	{"mcp", "creationCondition", `{{ eq (toString .source.metadata.generation) "1" }}`},
	{"mcp", "creationCondition", `{{ eq .source.metadata.generation 1 }}`},
	{"mcp", "selectorTemplate", `{{ and (eq .source.metadata.namespace "fleet") (eq (index .source.metadata.labels "tier") "gold") }}`},
	{"mcp", "selectorTemplate", `{{ not (hasKey .source.metadata.annotations "example.io/skip") }}`},
	{"mcp", "selectorTemplate", `{{ has "gold" (splitList "," (get .source.metadata.annotations "tiers")) }}`},
	{"v1beta1", "creationCondition", `{{ and .source.status.infrastructureReady .source.status.controlPlaneReady }}`},
	{"v1beta1", "creationCondition", `{{ eq .source.status.phase "Provisioned" }}`},
	{"v1beta1", "creationCondition", `{{ eq .source.spec.paused false }}`},
	{"v1beta1", "creationCondition", `{{ gt .source.spec.controlPlaneEndpoint.port 0 }}`},
	{"v1beta1", "creationCondition", `{{ if .source.status.initialization }}{{ .source.status.initialization.controlPlaneInitialized }}{{ else }}{{ .source.status.controlPlaneReady }}{{ end }}`},
	{"v1beta2", "creationCondition", `{{ if .source.status.initialization }}{{ .source.status.initialization.controlPlaneInitialized }}{{ else }}{{ .source.status.controlPlaneReady }}{{ end }}`},
	{"v1beta1", "template", `apiserver: https://{{ .source.spec.controlPlaneEndpoint.host }}:{{ .source.spec.controlPlaneEndpoint.port }}`},
	{"v1beta2", "creationCondition", `{{ with .source.status.initialization }}{{ .controlPlaneInitialized }}{{ else }}{{ .source.status.controlPlaneReady }}{{ end }}`},
	{"v1beta2", "creationCondition", `{{ if not (hasKey .source.status "initialization") }}{{ .source.status.controlPlaneReady }}{{ end }}`},
	{"v1beta2", "creationCondition", `{{ if eq (dig "initialization" "" .source.status) "" }}{{ else }}true{{ end }}`},
	{"v1beta2", "template", `apiserver: https://{{ with .source.spec.controlPlaneEndpoint }}{{ .host }}:{{ .port }}{{ end }}`},
	{"v1beta2", "template", `x: {{ .source.spec.topology.version }}{{ toJson .source.spec.topology.workers.machineDeployments }}`},
	{"v1beta2", "template", `x: {{ range .source.spec.clusterNetwork.pods.cidrBlocks }}{{ . }}{{ end }}{{ first .source.spec.clusterNetwork.services.cidrBlocks }}`},
	{"crd", "creationCondition", `{{ or (eq .source.spec.syncMode "Push") (eq .source.spec.syncMode "Direct") }}`},
	{"crd", "creationCondition", `{{ eq .source.spec.syncMode "Push" "Direct" }}`},
	{"v1beta2", "creationCondition", `{{ range .source.status.conditions }}{{ if eq .status "True" "" }}true{{ end }}{{ end }}`},
	{"karmada", "creationCondition", `{{ eq .source.spec.syncMode "Push" }}`},
	{"karmada", "template", `x: {{ range .source.spec.taints }}{{ .key }}={{ .value }}{{ end }}{{ .source.status.nodeSummary.readyNum }}`},
	{"karmada", "template", `x: {{ .source.status.resourceSummary.allocatable.cpu }}{{ index .source.spec.proxyHeader "X-Y" }}`},
	{"karmada", "template", `{{ if not .source.spec.insecureSkipTLSVerification }}caData: {{ .references.auth.data.caBundle }}{{ end }}`},
	{"secret", "template", `caData: {{ get .source.data "ca.crt" }}{{ $data := .source.data }}{{ $data.token }}`},
	{"secret", "selectorTemplate", `{{ and (hasKey .source.data "config") (hasPrefix "vc-" .source.metadata.name) }}`},
	{"node", "template", `x: {{ range .source.status.addresses }}{{ if eq .type "InternalIP" }}{{ .address }}{{ end }}{{ end }}{{ .source.status.capacity.cpu }}`},
	{"node", "template", `x: {{ .source.status.daemonEndpoints.kubeletEndpoint.Port }}{{ .source.status.nodeInfo.kubeletVersion }}`},
}

func TestWhatIsRightRaisesNothing(t *testing.T) {
	types := sources(t)
	if len(right) < 60 {
		t.Errorf("only %d templates", len(right))
	}
	for _, template := range right {
		if got := checked(t, types[template.source], template.field, template.template); len(got) > 0 {
			t.Errorf("%s on %s\n%s", template.template, template.source, strings.Join(got, "\n"))
		}
	}
}

// TestThePoliciesOfTheRepositoryRaiseNothing checks them with the types that they
// are for, in each version that they list.
func TestThePoliciesOfTheRepositoryRaiseNothing(t *testing.T) {
	known := platforms(t)
	files, err := filepath.Glob("../../../artifacts/*/*/policy.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d policies, %v", len(files), err)
	}
	for _, file := range files {
		var policy policyv1alpha1.ClusterImportPolicy
		if err := yaml.Unmarshal(read(t, file), &policy); err != nil {
			t.Fatal(err)
		}
		source := policy.Spec.Source
		objects := known[schema.GroupResource{Group: source.Group, Resource: source.Resource}]
		if len(objects) == 0 {
			t.Errorf("%s: no type is known of %s.%s; add its definition to the example", file, source.Resource, source.Group)
		}
		for _, object := range objects {
			_, version, _ := strings.Cut(object.Name, "/")
			if len(source.Versions) > 0 && !slices.Contains(source.Versions, version) {
				continue
			}
			if got := findings(t, &policy.Spec, object); len(got) > 0 {
				t.Errorf("%s with %s:\n%s", file, object.Name, strings.Join(got, "\n"))
			}
		}
	}
}

// platforms are the types of all platforms in all their versions.
func platforms(t testing.TB) map[schema.GroupResource][]*Object {
	t.Helper()
	known := map[schema.GroupResource][]*Object{{Resource: "secrets"}: {Builtin("", "secrets")}}
	karmada := schema.GroupVersionResource{Group: "cluster.karmada.io", Version: "v1alpha1", Resource: "clusters"}
	known[karmada.GroupResource()] = []*Object{FromOpenAPI(read(t, "testdata/karmada.json"), karmada)}
	files := []string{"testdata/cluster-api.json"}
	for _, pattern := range []string{"../../../artifacts/examples/*/crd*.yaml", "../../../artifacts/platforms/*/example/crd*.yaml"} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, matches...)
	}
	for _, file := range files {
		for _, document := range strings.Split("\n"+string(read(t, file)), "\n---") {
			raw, err := yaml.YAMLToJSON([]byte(document))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			d, err := FromDefinition(raw)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for _, version := range d.Versions {
				known[d.GroupResource] = append(known[d.GroupResource], d.Objects[version])
			}
		}
	}
	return known
}

func TestTheBuiltinTypesAreThoseOfKubernetes(t *testing.T) {
	document := read(t, "testdata/core-v1.json")
	for _, resource := range []string{"secrets", "configmaps"} {
		served := FromOpenAPI(document, schema.GroupVersionResource{Version: "v1", Resource: resource})
		delete(served.Root.Fields, "stringData") // it is only written
		if got, want := outline(Builtin("", resource).Root, 0), outline(served.Root, 0); got != want {
			t.Errorf("%s is %s, and the host serves %s", resource, got, want)
		}
	}
	var metadataSchema struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any `json:"properties"`
			} `json:"schemas"`
		} `json:"components"`
	}
	if err := yaml.Unmarshal(document, &metadataSchema); err != nil {
		t.Fatal(err)
	}
	for name := range metadataSchema.Components.Schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"].Properties {
		if _, ok := metadata.Fields[name]; !ok {
			t.Errorf("metadata has no %s", name)
		}
	}
}

// outline writes a type, a few levels deep.
func outline(t *Type, depth int) string {
	if t == nil || depth > 3 {
		return "?"
	}
	out := t.Kind.String()
	for _, name := range fieldsOf(t) {
		out += fmt.Sprintf(" %s(%s)", name, outline(t.Fields[name], depth+1))
	}
	if t.Values != nil {
		out += " *" + outline(t.Values.Type, depth+1)
	}
	return out
}

// BenchmarkAdmission is what the checks cost at admission, without the network: a
// policy with twenty templates.
func BenchmarkAdmission(b *testing.B) {
	types := sources(b)
	var policy policyv1alpha1.ClusterImportPolicy
	if err := yaml.Unmarshal(read(b, "../../../artifacts/platforms/cluster-api/policy.yaml"), &policy); err != nil {
		b.Fatal(err)
	}
	spec := &policy.Spec
	spec.DeletionCondition = spec.CreationCondition
	spec.Source.SelectorTemplate = `{{ eq .source.metadata.namespace "fleet" }}`
	given := Types{Source: types["v1beta2"], References: map[string]*Object{}}
	for i := len(spec.References); i < 8; i++ {
		ref := spec.References[0]
		ref.Key = fmt.Sprintf("ref%d", i)
		spec.References = append(spec.References, ref)
	}
	for _, ref := range spec.References {
		given.References[ref.Key] = Builtin(ref.Group, ref.Resource)
	}
	b.ReportAllocs()
	for b.Loop() {
		compiled, errs := render.Compile(spec)
		if len(errs) > 0 {
			b.Fatal(errs.ToAggregate())
		}
		if found := Check(compiled, given); len(found) > 0 {
			b.Fatal(found)
		}
	}
}
