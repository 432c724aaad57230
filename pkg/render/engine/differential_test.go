package engine

import (
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/google/go-cmp/cmp"
)

// complete is data in which nothing is absent that a path can begin with.
func complete() (Data, map[string]any) {
	data := Data{Source: object(), References: references()}
	delete(data.Source["spec"].(map[string]any), "none")
	data.Source["metadata"].(map[string]any)["annotations"] = map[string]any{"note": "n"}
	metadata := data.References["auth"]["metadata"].(map[string]any)
	metadata["labels"], metadata["annotations"], metadata["namespace"] = map[string]any{}, map[string]any{}, "fleet"
	return data, map[string]any{"source": data.Source, "references": map[string]any{"auth": data.References["auth"]}}
}

// different are functions that differ from text/template and sprig on purpose,
// as docs/template-functions.md says.
var different = []string{
	"now", "ago", "rand", "shuffle", "uuidv4", "date", "Date", "duration", // our clock and chance, UTC
	"keys", "values", // sorted
	"b64dec", "b32dec", "fromJson", // errors are errors, whole numbers stay whole
	"typeOf", "typeIs", "kind", "Decimal", // lists have one type, numbers two
	"deepEqual", "has", "uniq", "without", // numbers are numbers
	"call", "html", "js", "urlquery", "env", "gen", "AES", "bcrypt", "htpasswd", "derive", "buildCustom", "getHost", // removed
	"nospace", "%p", "%#", "%T", "set", "merge", "dig", "round", "osBase", "osClean", "osDir", "osExt", "toString", "quote", "squote", "semver", "url",
}

// differ renders with both engines. What text/template renders, we render, too,
// and the same. The opposite does not hold: some of its errors are values here.
func differ(t *testing.T, text string) {
	t.Helper()
	data, root := complete()
	theirs, err := template.New("t").Funcs(sprig.TxtFuncMap()).Option("missingkey=error").Parse(text)
	if err != nil {
		if _, err := Compile(text, Options{References: []string{"auth"}}); err == nil && !strings.Contains(text, "Yaml") {
			t.Errorf("%q: text/template does not parse it, but we do: %v", text, err)
		}
		return
	}
	ours, err := Compile(text, Options{References: []string{"auth"}})
	if err != nil {
		_ = asError(t, err)
		return
	}
	got, err := ours.Execute(data, env)
	e := asError(t, err)
	if e != nil && e.LimitExceeded {
		return // text/template would not return in time.
	}
	var want strings.Builder
	if err := theirs.Execute(&want, root); err != nil {
		return
	}
	if strings.Contains(want.String(), "<no value>") || strings.Contains(want.String(), "nil>") {
		return
	}
	if e != nil {
		if !e.Absent {
			t.Errorf("%q: text/template gives %q, we fail: %v", text, want.String(), e)
		}
		return
	}
	if diff := cmp.Diff(want.String(), got); diff != "" {
		t.Errorf("%q: (-text/template +ours)\n%s", text, diff)
	}
}

var sameTemplates = []string{
	"", " ", "text", "{{- 1 -}}", "a {{- 1 -}} b", "{{/* c */}}x", "a {{- /* c */ -}} b", "{{1}}{{1.5}}{{1e3}}{{0x1f}}{{'a'}}{{true}}{{`raw`}}{{\"q\\n\"}}{{1_000}}{{1e20}}{{.5}}",
	"{{ . }}", "{{ $ }}", "{{ .source }}", "{{ $.source.spec }}", "{{ .source.spec.weight }}{{ .source.spec.replicas }}{{ .source.spec.paused }}", "{{ .source.spec.zones }}{{ .source.metadata.labels }}",
	"{{ if .source.spec.empty }}a{{ else if .source.spec.paused }}b{{ else }}c{{ end }}", "{{ if eq .source.kind \"ManagedCluster\" }}a{{ end }}", "{{ with .source.spec }}{{ .replicas }}{{ else }}x{{ end }}",
	"{{ with .source.spec.empty }}a{{ else with .source.spec.replicas }}{{ . }}{{ end }}", "{{ with $x := .source.spec }}{{ $x.replicas }}{{ .replicas }}{{ end }}", "{{ if $x := .source.kind }}{{ $x }}{{ end }}",
	"{{ range .source.spec.zones }}{{ . }},{{ end }}", "{{ range $i, $e := .source.spec.zones }}{{ $i }}{{ $e }}{{ end }}", "{{ range $k, $v := .source.metadata.labels }}{{ $k }}{{ $v }}{{ end }}", "{{ range 3 }}{{ . }}{{ end }}",
	"{{ range $e := .source.spec.zones }}{{ if eq $e \"b\" }}{{ continue }}{{ end }}{{ $e }}{{ end }}", "{{ range .source.spec.zones }}{{ if eq . \"b\" }}{{ break }}{{ end }}{{ . }}{{ else }}x{{ end }}", "{{ range list }}{{ else }}none{{ end }}",
	"{{ range $i, $e := list }}{{ else }}{{ $e }}{{ $i }}{{ end }}", "{{ range .source.status.conditions }}{{ .type }}={{ .status }} {{ end }}", "{{ range until 3 }}{{ range until 2 }}{{ . }}{{ break }}{{ end }}{{ . }}{{ end }}", "{{ range .source.spec.replicas }}{{ . }}{{ end }}",
	"{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ $x }}{{ end }}{{ $x }}", "{{ $i := 9 }}{{ $e := 9 }}{{ range $i, $e = .source.spec.zones }}{{ end }}{{ $i }}{{ $e }}", "{{ $x := 1 }}{{ range $x := .source.spec.zones }}{{ $x }}{{ end }}{{ $x }}",
	"{{ define \"a\" }}{{ . }}{{ end }}{{ template \"a\" 1 }}{{ template \"a\" .source.kind }}", "{{ block \"b\" .source }}{{ .kind }}{{ end }}", "{{ define \"a\" }}{{ $ }}{{ end }}{{ template \"a\" . }}", "{{ define \"a\" }}{{ with . }}{{ . }}{{ template \"a\" (rest $) }}{{ end }}{{ end }}{{ template \"a\" (list 1 2 3) }}",
	"{{ template \"x\" }}{{ define \"x\" }}y{{ end }}", "{{ (index .source \"spec\").replicas }}", "{{ (.source.spec).zones }}", "{{ .source.kind | printf \"%s-%s\" \"x\" }}", "{{ printf \"%d %5d %-5d| %05.1f %x %q %v %t %c %U\" 1 2 3 4.5 255 \"q\" 1 true 65 66 }}",
	"{{ printf \"%s %d\" \"x\" }}{{ printf \"%d\" \"x\" }}{{ printf \"x\" 1 }}{{ printf \"%!\" }}{{ printf \"%[2]d %[1]d\" 1 2 }}{{ printf \"%*d\" 5 1 }}{{ printf \"%v %v\" .source.spec.zones .source.metadata.labels }}", "{{ print 1 2 \"a\" \"b\" 3 (list 1) (list 2) true }}{{ println 1 \"a\" }}",
	"{{ and 1 0 2 }}{{ or 0 \"\" 3 }}{{ and true \"x\" }}{{ not 1 }}{{ 1 | and 0 }}{{ 0 | or 0 }}", "{{ eq 1 1 }}{{ eq 1 2 1 }}{{ ne 1 2 }}{{ lt 1 2 }}{{ le 2 2 }}{{ gt 1.5 0.5 }}{{ ge \"b\" \"a\" }}{{ eq true true }}{{ \"a\" | eq \"a\" }}", "{{ eq .source.spec.replicas 3 }}{{ lt .source.spec.replicas 4 }}",
	"{{ len .source.spec.zones }}{{ len \"abc\" }}{{ len .source.metadata.labels }}", "{{ index .source.spec.zones 1 }}{{ index .source \"spec\" \"zones\" 2 }}{{ index \"abc\" 1 }}{{ index .source.metadata.labels \"region\" }}", "{{ slice .source.spec.zones 1 }}{{ slice .source.spec.zones 0 2 }}",
	"{{ upper \"a\" }}{{ lower \"A\" }}{{ title \"a b\" }}{{ untitle \"A B\" }}{{ trim \" a \" }}{{ trimAll \"$\" \"$a$\" }}{{ trimall \"$\" \"$a\" }}{{ trimPrefix \"a\" \"ab\" }}{{ trimSuffix \"b\" \"ab\" }}{{ repeat 3 \"a\" }}{{ substr 1 3 \"abcd\" }}{{ substr -1 2 \"abcd\" }}{{ substr 2 -1 \"abcd\" }}{{ trunc 2 \"abc\" }}{{ trunc -2 \"abc\" }}",
	"{{ abbrev 5 \"hello world\" }}{{ abbrevboth 5 10 \"1234 5678 9123\" }}{{ initials \"First Try\" }}{{ contains \"a\" \"cat\" }}{{ hasPrefix \"c\" \"cat\" }}{{ hasSuffix \"t\" \"cat\" }}{{ cat \"a\" 1 \"b\" }}{{ indent 2 \"a\\nb\" }}{{ nindent 2 \"a\\nb\" }}{{ replace \"a\" \"b\" \"aaa\" }}{{ replace \"\" \"-\" \"ab\" }}{{ plural \"a\" \"b\" 2 }}",
	"{{ snakecase \"FirstName\" }}{{ camelcase \"http_server\" }}{{ kebabcase \"FirstName\" }}{{ swapcase \"aB\" }}{{ wrap 5 \"hello world out there\" }}{{ wrapWith 5 \"+\" \"hello world abcdefghijk\" }}{{ hello }}",
	"{{ sha1sum \"a\" }}{{ sha256sum \"a\" }}{{ sha512sum \"a\" }}{{ adler32sum \"a\" }}{{ b64enc \"a\" }}{{ b32enc \"a\" }}", "{{ split \"/\" \"a/b\" }}{{ (split \"/\" \"a/b\")._1 }}{{ splitList \"/\" \"a/b\" }}{{ splitn \"/\" 2 \"a/b/c\" }}{{ join \"-\" (list 1 \"a\" true) }}{{ join \"-\" \"x\" }}{{ toStrings (list 1 2) }}{{ sortAlpha (list \"b\" \"a\") }}",
	"{{ add 1 2 3 }}{{ add1 1 }}{{ sub 3 1 }}{{ mul 2 3 4 }}{{ div 7 2 }}{{ mod 7 2 }}{{ max 1 3 2 }}{{ min 3 1 2 }}{{ biggest 1 2 }}{{ addf 1.5 2 }}{{ subf 3 1.5 }}{{ mulf 1.5 2 }}{{ divf 3 2 }}{{ maxf 1 2.5 }}{{ minf 1 2.5 }}{{ ceil 1.2 }}{{ floor 1.8 }}{{ add1f 1.5 }}{{ int \"3\" }}{{ int64 \"3\" }}{{ float64 \"3.5\" }}{{ atoi \"7\" }}{{ atoi \"x\" }}",
	"{{ until 3 }}{{ until -3 }}{{ untilStep 3 9 2 }}{{ untilStep 9 3 -2 }}{{ untilStep 0 5 0 }}{{ untilStep 0 -5 1 }}{{ seq 5 }}{{ seq -3 }}{{ seq 0 2 }}{{ seq 2 -2 }}{{ seq 0 2 10 }}{{ seq 0 -2 -5 }}{{ seq 5 2 0 }}{{ seq 0 0 5 }}{{ seq }}{{ seq 1 2 3 4 }}{{ seq 1 }}{{ seq 0 }}",
	"{{ default \"a\" \"\" }}{{ default 1 2 }}{{ default 1 }}{{ empty 0 }}{{ coalesce 0 \"\" 3 }}{{ all 1 0 }}{{ any 1 0 }}{{ compact (list 1 0 \"\" \"a\") }}{{ ternary 1 2 true }}{{ true | ternary 1 2 }}",
	"{{ toJson .source }}{{ toPrettyJson .source.spec }}{{ toRawJson \"<a>\" }}{{ toJson \"<a>\" }}{{ mustToJson 1 }}", "{{ list 1 2 | first }}{{ last (list 1 2) }}{{ rest (list 1 2 3) }}{{ initial (list 1 2 3) }}{{ append (list 1) 2 }}{{ prepend (list 1) 2 }}{{ concat (list 1) (list 2) }}{{ reverse (list 1 2) }}{{ chunk 2 (list 1 2 3) }}{{ tuple 1 2 }}",
	"{{ dict \"a\" 1 \"b\" 2 }}{{ get (dict \"a\" 1) \"a\" }}{{ hasKey (dict \"a\" 1) \"b\" }}{{ pluck \"a\" (dict \"a\" 1) (dict \"b\" 1) }}{{ pick (dict \"a\" 1 \"b\" 2) \"a\" }}{{ omit (dict \"a\" 1 \"b\" 2) \"a\" }}{{ dict \"a\" }}{{ dict 1 2 }}{{ deepCopy (dict \"a\" 1) }}",
	"{{ regexMatch \"^a+$\" \"aaa\" }}{{ regexFind \"a.\" \"xabab\" }}{{ regexFindAll \"a.\" \"abac\" -1 }}{{ regexFindAll \"a.\" \"abac\" 1 }}{{ regexReplaceAll \"a(.)\" \"abac\" \"${1}x\" }}{{ regexReplaceAllLiteral \"a\" \"abac\" \"$1\" }}{{ regexSplit \"b\" \"abbc\" -1 }}{{ regexSplit \"b\" \"abbc\" 2 }}{{ regexQuoteMeta \"a.b\" }}",
	"{{ base \"a/b.c\" }}{{ dir \"a/b.c\" }}{{ clean \"a//b\" }}{{ ext \"a.b\" }}{{ isAbs \"/a\" }}", "{{ \"a\" | upper | lower | repeat 2 }}", "{{ (print (1 | print) | print) }}", "{{ .source.metadata.name | default \"x\" | upper | printf \"%s!\" }}", "{{ index (splitList \"-\" \"a-b\") 1 }}",
	"{{ $x := .source.spec }}{{ $x.nested.deep.er }}{{ with $x.nested }}{{ .deep.er }}{{ end }}", "{{ not (and .source.spec.paused true) }}{{ if not .source.spec.paused }}x{{ end }}", "{{ if and (eq .source.kind \"x\") (fail \"y\") }}{{ end }}", "{{ range $i, $c := .source.status.conditions }}{{ if $i }}, {{ end }}{{ $c.type }}{{ end }}",
	"{{ $x }}", "{{ foo }}", "{{ if }}", "{{ end }}", "{{ range 1 }}", "{{ 1 2 }}", "{{ nil }}", "{{ . | 1 }}", "{{ break }}", "{{ define \"a\" }}", "{{ 1 | .source.kind }}", "{{ .source.kind 1 }}", "{{ \"a", "{{ ! }}", "{{ (1 }}", "{{ 1) }}", "{{ template }}", "{{ $x := }}", "{{ with }}", "{{ else }}", "{{ 99999999999999999999 }}",
}

func TestTemplatesMeanWhatTheyMeanInTextTemplate(t *testing.T) {
	for _, text := range sameTemplates {
		differ(t, text)
	}
}

func FuzzDifferential(f *testing.F) {
	for _, text := range sameTemplates {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range different {
			if strings.Contains(text, name) {
				return
			}
		}
		differ(t, text)
	})
}

func FuzzCompile(f *testing.F) {
	for _, text := range sameTemplates {
		f.Add(text)
	}
	for _, text := range mutators {
		f.Add(text)
	}
	for _, position := range positions {
		f.Add(position.text)
	}
	data := Data{Source: object(), References: references()}
	f.Fuzz(func(t *testing.T, text string) {
		for _, output := range []Output{Text, YAML} {
			compiled, err := Compile(text, Options{Output: output, References: []string{"auth", "later"}})
			if err != nil {
				_ = asError(t, err)
				continue
			}
			_, err = compiled.Execute(data, env)
			_ = asError(t, err)
		}
		if diff := cmp.Diff(Data{Source: object(), References: references()}, data); diff != "" {
			t.Fatalf("%q changes its input:\n%s", text, diff)
		}
	})
}
