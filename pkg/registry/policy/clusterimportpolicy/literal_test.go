package clusterimportpolicy

import (
	"strings"
	"testing"

	"github.com/clusterpedia-io/policy-apiserver/pkg/apis/policy"
)

func TestConditionsThatAreNeverTrueAreWarnedOf(t *testing.T) {
	for text, warned := range map[string]bool{
		"":                                      false,
		"true":                                  false,
		" True":                                 false,
		"false":                                 false, // is meant so
		`{{ eq .source.status.phase "Ready" }}`: false,
		`{{ if .source.status.ready }}it is not{{ end }}`:                     false, // cannot be told
		`{{ range .source.status.conditions }} {{ .status }} {{ end }}`:       false,
		`tr{{ if .source.status.ready }}ue{{ end }}`:                          false,
		"{{/* a comment */}}\n{{ .source.status.ready }}\n":                   false,
		`{{ define "x" }}no{{ end }}{{ .source.status.ready }}`:               false,
		`.source.status.phase == "Ready"`:                                     true,
		`source.status.conditions.exists(c, c.type == "Ready")`:               true,
		`{{ .source.status.phase }} == "Ready"`:                               true,
		`{.source.status.ready}`:                                              true,
		`yes`:                                                                 true,
		`${source.status.ready}`:                                              true,
		`!{{ .source.spec.paused }}`:                                          true,
		`{{ .source.status.ready }} && {{ not .source.spec.paused }}`:         true,
		`{{ define "x" }}no {{ .status }}{{ end }}{{ template "x" .source }}`: true,
	} {
		for field, set := range map[string]func(*policy.ClusterImportPolicySpec){
			"spec.source.selectorTemplate": func(spec *policy.ClusterImportPolicySpec) { spec.Source.SelectorTemplate = text },
			"spec.creationCondition":       func(spec *policy.ClusterImportPolicySpec) { spec.CreationCondition = text },
			"spec.deletionCondition":       func(spec *policy.ClusterImportPolicySpec) { spec.DeletionCondition = text },
		} {
			var spec policy.ClusterImportPolicySpec
			set(&spec)
			got := strings.Join(warnings(&spec), "\n")
			if strings.HasPrefix(got, field+": it is never true") != warned {
				t.Errorf("%s: %q: %q", field, text, got)
			}
		}
	}
}

func TestANameWithoutTheSourceIsWarnedOf(t *testing.T) {
	for name, warned := range map[string]bool{"": false, "one": true, "{.source.metadata.name}": true, "mcp-{{ .source.metadata.name }}": false} {
		got := warnings(&policy.ClusterImportPolicySpec{NameTemplate: name})
		if (len(got) > 0) != warned {
			t.Errorf("%q: %v", name, got)
		}
	}
}
