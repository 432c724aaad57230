package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// found lists reads as PATH use, with ? behind a path that is guarded and ~ in
// front of one that is not sure. Paths that are only followed are left out.
func found(t *testing.T, text string) []string {
	t.Helper()
	compiled, err := Compile(text, Options{References: []string{"auth", "later"}})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var out []string
	for _, read := range compiled.FindReads() {
		if read.Use == Named {
			continue
		}
		line := ""
		if !read.Sure {
			line = "~"
		}
		for _, step := range read.Path {
			line += step.key()
			if step.Guarded {
				line += "?"
			}
		}
		line += " " + useNames[read.Use]
		if read.With != nil {
			line += fmt.Sprint(read.With)
		}
		if !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

var useNames = map[Use]string{
	Tested: "tested", Ranged: "ranged", Written: "written", Compared: "compared", Ordered: "ordered", AsText: "text",
	AsWholeNumber: "int", AsNumber: "number", AsBoolean: "bool", AsMap: "map", AsList: "list", AsAnything: "whole",
}

func TestWhatATemplateReads(t *testing.T) {
	for text, want := range map[string][]string{
		"text":                                                        nil,
		"{{ .source.spec.apiEndpoint }}":                              {".source.spec.apiEndpoint written"},
		"{{ $.source.spec.x }}":                                       {".source.spec.x written"},
		"{{ (.source.spec).x }}":                                      {".source.spec.x written"},
		`{{ index .source.metadata.labels "a.b" }}`:                   {`.source.metadata.labels["a.b"] written`},
		`{{ get .source.metadata.labels "a" | upper }}`:               {".source.metadata.labels map", ".source.metadata.labels.a text"},
		`{{ index .source.spec.zones 0 }}`:                            {".source.spec.zones[] written"},
		`{{ (index .source "spec" "a").b }}`:                          {".source.spec.a.b written"},
		`{{ with .source.spec }}{{ .x }}{{ end }}`:                    {".source.spec? tested", ".source.spec?.x written"},
		`{{ with $s := .source.spec }}{{ $s.x }}{{ .y }}{{ end }}`:    {".source.spec? tested", ".source.spec?.x written", ".source.spec?.y written"},
		`{{ $x := .source.spec.x }}{{ $x.y }}`:                        {".source.spec.x.y written"},
		`{{ $x := .source.spec.x }}`:                                  nil,
		`{{ $x := .source.spec.x }}{{ with $x }}{{ . }}{{ end }}`:     {".source.spec.x? tested", ".source.spec.x? written"},
		`{{ $x := .source.spec.x }}{{ $x = .source.spec.y }}{{ $x }}`: {"~.source.spec.x written", "~.source.spec.y written"},
		`{{ range .source.status.conditions }}{{ if eq .type "Ready" }}{{ .status }}{{ end }}{{ end }}`: {
			".source.status.conditions ranged", ".source.status.conditions[].type compared[Ready]", ".source.status.conditions[].status written"},
		`{{ range $k, $v := .source.spec.taints }}{{ $v.key }}{{ end }}`:                {".source.spec.taints ranged", ".source.spec.taints[].key written"},
		`{{ range $k, $v := .source.spec.m }}{{ index $.source.spec.m $k }}{{ end }}`:   {".source.spec.m ranged", ".source.spec.m[] written"},
		`{{ dig "spec" "proxy" "" .source }}`:                                           {".source map", "~.source.spec?.proxy? written"},
		`{{ (dig "spec" "proxy" dict .source).url }}`:                                   {".source map", "~.source.spec?.proxy?.url written"},
		`{{ default "x" .source.spec.x }}`:                                              {".source.spec.x? tested", "~.source.spec.x written"},
		`{{ .source.spec.x | default "x" }}`:                                            {".source.spec.x? tested", "~.source.spec.x written"},
		`{{ coalesce .source.spec.x .source.spec.y }}`:                                  {".source.spec.x? tested", ".source.spec.y? tested", "~.source.spec.x written", "~.source.spec.y written"},
		`{{ or .source.spec.x .source.spec.y }}`:                                        {".source.spec.x? tested", ".source.spec.y? tested", "~.source.spec.x written", "~.source.spec.y written"},
		`{{ if and .source.spec.x (eq .source.spec.x.y "z") }}1{{ end }}`:               {".source.spec.x? tested", ".source.spec.x?.y compared[z]"},
		`{{ if hasKey .source.spec "x" }}{{ .source.spec.x }}{{ end }}`:                 {".source.spec map", ".source.spec.x? tested", ".source.spec.x? written"},
		`{{ if not (hasKey .source.spec "x") }}{{ else }}{{ .source.spec.x }}{{ end }}`: {".source.spec map", ".source.spec.x? tested", ".source.spec.x? written"},
		`{{ if ne .source.spec.x "" }}{{ .source.spec.x }}{{ end }}`:                    {".source.spec.x compared[]", ".source.spec.x? written"},
		`{{ if eq "a" .source.spec.x }}{{ .source.spec.x }}{{ end }}`:                   {".source.spec.x compared[a]", ".source.spec.x? written"},
		`{{ $has := hasKey .source.spec "x" }}{{ if $has }}{{ .source.spec.x }}{{ end }}`: {
			".source.spec map", ".source.spec.x? tested", ".source.spec.x? written"},
		`{{ eq .source.spec.x "a" "b" }}`:                 {".source.spec.x compared[a b]"},
		`{{ eq .source.spec.x .source.spec.y }}`:          {".source.spec.x compared", ".source.spec.y compared"},
		`{{ gt .source.spec.x 3 }}`:                       {".source.spec.x ordered[3]"},
		`{{ toYaml .source.spec }}`:                       {".source.spec whole"},
		`{{ len .source.spec.zones }}`:                    {".source.spec.zones whole"},
		`{{ first .source.spec.zones }}`:                  {".source.spec.zones list", ".source.spec.zones[] written"},
		`{{ range keys .source.spec.m }}{{ . }}{{ end }}`: {".source.spec.m map"},
		`{{ range values .source.spec.m }}{{ .x }}{{ end }}`: {
			".source.spec.m map", ".source.spec.m[].x written"},
		`{{ range pluck "x" .source.spec .source.status }}{{ .y }}{{ end }}`: {
			".source.spec map", ".source.status map",
			"~.source.spec.x?.y written", "~.source.status.x?.y written"},
		`{{ b64dec .references.auth.data.ca }}`: {".references.auth.data.ca text"},
		`{{ define "a" }}{{ .x }}{{ end }}{{ template "a" .source.spec }}{{ template "a" .source.status }}`: {
			".source.spec.x written", ".source.status.x written"},
		`{{ define "a" }}{{ .source.spec.x }}{{ end }}{{ template "a" . }}`:                           {".source.spec.x written"},
		`{{ define "a" }}{{ .s.spec.x }}{{ .n }}{{ end }}{{ template "a" (dict "s" .source "n" 1) }}`: {".source.spec.x written"},
		`{{ block "b" .source.spec }}{{ .x }}{{ end }}`:                                               {".source.spec.x written"},
		`{{ if .source.spec.x }}{{ template "a" .source.spec.x }}{{ end }}{{ define "a" }}{{ .y }}{{ end }}`: {
			".source.spec.x? tested", ".source.spec.x?.y written"},
		`{{ if eq .source.apiVersion "example.io/v2" }}{{ .source.spec.x }}{{ else }}{{ .source.spec.y }}{{ end }}`: {
			".source.apiVersion compared[example.io/v2]", "~.source.spec.x written", "~.source.spec.y written"},
		`{{ $new := hasSuffix "v2" .source.apiVersion }}{{ if $new }}{{ .source.spec.x }}{{ end }}`: {
			".source.apiVersion text", "~.source.spec.x written"},
		`{{ if kindIs "map" .source.spec.x }}{{ .source.spec.x.y }}{{ end }}`: {".source.spec.x? tested", "~.source.spec.x?.y written"},
		`{{ $_ := set .source.spec "x" 1 }}{{ .source.spec.y }}`:              {"~.source.spec map", "~.source.spec.y written"},
		`{{ $d := dict }}{{ $_ := set $d "x" 1 }}{{ .source.spec.y }}`:        {".source.spec.y written"},
		`{{ . }}`: {" written"},
	} {
		got := found(t, text)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n-want +got:\n%s", text, diff)
		}
	}
}

func TestARecursiveTemplateIsFollowedWithinBounds(t *testing.T) {
	for _, text := range []string{
		`{{ define "a" }}{{ .name }}{{ range .children }}{{ template "a" . }}{{ end }}{{ end }}{{ template "a" .source.spec }}`,
		`{{ define "a" }}{{ with .l }}{{ template "a" . }}{{ end }}{{ with .r }}{{ template "a" . }}{{ end }}{{ end }}{{ template "a" .source.spec }}`,
		`{{ define "a" }}{{ template "b" (list . .) }}{{ end }}{{ define "b" }}{{ template "a" (list . 1) }}{{ end }}{{ template "a" .source }}`,
		`{{ $x := .source.spec }}{{ range until 9 }}{{ $x = $x.next }}{{ end }}{{ $x.name }}`,
		`{{ $l := list }}{{ range .source.spec.zones }}{{ $l = append $l (dict "x" . "y" $l) }}{{ end }}{{ toJson $l }}`,
		"{{ and " + strings.Repeat(".source.a ", 20_000) + "}}",
		strings.Repeat("{{ if .source.a }}", 150) + strings.Repeat("{{ end }}", 150),
		strings.Repeat("{{ $x := .source.a }}", 9_000),
	} {
		compiled, err := Compile(text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		paths := PathsOf(compiled.FindReads())
		if paths.At("source") == nil {
			t.Errorf("%.100s: no path of the Source was found", text)
		}
	}
}

// TestOnlyWhatIsReadMatters renders with what the analysis says is read, and
// nothing else: the result is the same. It is so for each execution, whatever
// the data, and so whoever knows the values of these parts knows the result.
func TestOnlyWhatIsReadMatters(t *testing.T) {
	for _, text := range slices.Concat(sameTemplates, mutators, readers) {
		onlyReads(t, text)
	}
}

func FuzzReads(f *testing.F) {
	for _, text := range slices.Concat(sameTemplates, mutators, readers) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { onlyReads(t, text) })
}

// readers are templates that read in other ways than those of other tests.
var readers = []string{
	`{{ range $k, $v := .source.spec }}{{ $k }}{{ end }}`, `{{ range $k, $v := .source }}{{ range $i, $w := $v }}{{ $i }}{{ end }}{{ end }}`,
	`{{ $m := dict "a" .source.spec "b" (list .source.metadata 1) }}{{ toJson $m.a.zones }}{{ (first $m.b).name }}{{ len (index $m.b 0) }}`,
	`{{ define "walk" }}{{ range $k, $v := . }}{{ $k }}{{ if kindIs "map" $v }}{{ template "walk" $v }}{{ end }}{{ end }}{{ end }}{{ template "walk" .source }}`,
	`{{ $x := .source.spec }}{{ range until 3 }}{{ with $x.nested }}{{ $x = . }}{{ end }}{{ end }}{{ toJson $x }}`,
	`{{ pick .source.spec "zones" "replicas" | toJson }}{{ omit .source.spec "zones" | keys }}`, `{{ pluck "name" .source.metadata .references.auth.metadata }}`,
	`{{ values .source.metadata.labels }}{{ keys .references.auth.data | join "," }}`, `{{ dig "spec" "nested" "deep" "er" "none" .source }}{{ dig "x" "y" "none" .source.spec }}`,
	`{{ concat .source.spec.zones (list .source.kind) | join "," }}{{ append .source.spec.zones .source.spec.replicas }}`, `{{ chunk 2 .source.spec.zones }}{{ slice .source.spec.zones 1 }}`,
	`{{ $s := .source }}{{ $k := "spec" }}{{ (index $s $k).replicas }}`, `{{ hasKey .source.spec "empty" }}{{ hasKey .source.spec "nothing" }}{{ with hasKey .references.auth.data "ca" }}x{{ end }}`,
	`{{ or .source.spec.nothing .source.spec.empty .source.spec.zones }}{{ and .source.spec.zones .source.spec.nested }}`, `{{ kindOf .source.spec.nested }}{{ typeOf .source.spec.zones }}{{ kindOf .source.spec.nothing }}`,
	`{{ .source.spec.zones.x }}`, `{{ .source.spec.nothing.x }}`, `{{ .source.spec.replicas.x }}`, `{{ .references.later.data.x }}`, `{{ index .source.spec.zones 7 }}`, `{{ if .references.later }}x{{ end }}{{ .references }}`,
	`{{ ternary .source.spec.zones .source.spec.nested .source.spec.paused | toJson }}`, `{{ deepCopy .source.spec | toJson }}{{ (deepCopy .source.spec).zones }}`, `{{ $r := .references }}{{ $r.auth.data.ca }}{{ range $r }}{{ .kind }}{{ end }}`,
	`{{ range $i, $z := .source.spec.zones }}{{ $i }}{{ $z }}{{ else }}{{ $z }}{{ end }}{{ range $i, $z := .source.spec.nothing }}x{{ else }}{{ $z }}{{ end }}`,
	`{{ $a := list .source.spec }}{{ $b := list $a }}{{ $c := list $b }}{{ $d := list $c }}{{ $e := list $d }}{{ $f := list $e }}{{ toJson $f }}`, `{{ first (first (list .source.spec.zones)) }}{{ last .source.spec.zones }}`,
	`{{ $d := dict "a" .source.spec.zones }}{{ $_ := set $d "b" .source.spec.nested }}{{ $d.b.deep }}{{ toJson $d }}`, `{{ $_ := set .source.spec "z" .references.auth }}{{ .source.spec.z.data.ca }}{{ merge (dict) .source.spec | toJson }}`,
	`{{ with .source }}{{ with .spec }}{{ range .zones }}{{ . }}{{ $.source.kind }}{{ end }}{{ end }}{{ end }}`, `{{ $x := 1 }}{{ if .source.spec.paused }}{{ $x = .source.spec.zones }}{{ else }}{{ $x = .source.spec.nested }}{{ end }}{{ toJson $x }}`,
	`{{ len .source.spec }}{{ len .source.spec.nested }}{{ empty .source.spec.nested }}{{ not .source.spec.zones }}{{ any .source.spec.nested }}`,
	`{{ has "a" .source.spec.zones }}{{ deepEqual .source.spec.nested .source.spec.zones }}{{ uniq .source.spec.zones }}{{ compact .source.spec.zones }}`,
}

func onlyReads(t *testing.T, text string) {
	t.Helper()
	options := Options{References: []string{"auth", "later"}}
	compiled, err := Compile(text, options)
	if err != nil {
		return
	}
	paths := PathsOf(compiled.FindReads())
	data := Data{Source: object(), References: references()}
	want, wantErr := compiled.Execute(data, env)
	read := Data{References: map[string]map[string]any{}}
	read.Source, _ = paths.At("source").orNothing().Project(data.Source).(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(data.References)) {
		if data.References[key] != nil {
			read.References[key], _ = paths.At("references").orNothing().At(key).orNothing().Project(data.References[key]).(map[string]any)
		}
	}
	got, gotErr := compiled.Execute(read, env)
	if limited(t, wantErr) || limited(t, gotErr) {
		return // what is not read costs nothing, and copies of it do
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%q gives something else with what it reads (-all +read):\n%s\nreads %v", text, diff, found(t, text))
	}
	if diff := cmp.Diff(known(wantErr), known(gotErr)); diff != "" {
		t.Errorf("%q fails in another way with what it reads (-all +read):\n%s", text, diff)
	}
}

func (p *Paths) orNothing() *Paths {
	if p == nil {
		return &Paths{}
	}
	return p
}

func limited(t *testing.T, err error) bool {
	t.Helper()
	return err != nil && asError(t, err).LimitExceeded
}

// known is what an error says apart from the keys that there are.
func known(err error) string {
	if err == nil {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), "; it has: ")
	text, _, _ = strings.Cut(text, "; it is empty")
	return text
}
