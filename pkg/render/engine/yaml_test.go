package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	yamlv2 "go.yaml.in/yaml/v2"
	"go.yaml.in/yaml/v3"
)

// positions are the places a value can stand in. Each template is valid for a
// harmless value. At reads what the value has become.
var positions = []struct {
	name, text string
	// at leads to the value, if the position promises that it reads back:
	// but for line breaks at its end, if the position is chomped.
	at      []any
	chomped bool
}{
	{name: "plain", text: "a: {{ .source.v }}\nb: c\n", at: []any{"a"}},
	{name: "plain at the end", text: "b: c\na: {{ .source.v }}", at: []any{"a"}},
	{name: "plain before a comment", text: "a: {{ .source.v }} # comment\nb: c\n", at: []any{"a"}},
	{name: "plain in a list", text: "a:\n- x\n- {{ .source.v }}\n- y\nb: c\n", at: []any{"a", 1}},
	{name: "plain in a map in a list", text: "a:\n  - k: {{ .source.v }}\n    l: x\nb: c\n", at: []any{"a", 0, "k"}},
	{name: "plain on the next line", text: "a:\n  {{ .source.v }}\nb: c\n", at: []any{"a"}},
	{name: "plain at the top", text: "{{ .source.v }}\n", at: []any{}},
	{name: "plain after a document marker", text: "--- {{ .source.v }}\n", at: []any{}},
	{name: "plain after a tag", text: "a: !!str {{ .source.v }}\nb: c\n", at: []any{"a"}},
	{name: "plain after an anchor", text: "a: &x {{ .source.v }}\nb: *x\n", at: []any{"b"}},
	{name: "the beginning of a plain scalar", text: "a: {{ .source.v }}-x\nb: c\n"},
	{name: "the middle of a plain scalar", text: "a: x-{{ .source.v }}-x\nb: c\n"},
	{name: "a word of a plain scalar", text: "a: x {{ .source.v }} y\nb: c\n"},
	{name: "the end of a plain scalar", text: "a: http://x:{{ .source.v }}\nb: c\n"},
	{name: "after a colon", text: "a: x:{{ .source.v }}\nb: c\n"},
	{name: "the second line of a plain scalar", text: "a: x\n  {{ .source.v }}\nb: c\n"},
	{name: "two values in a plain scalar", text: "a: {{ .source.v }}{{ .source.v }}\nb: c\n"},
	{name: "two words in a plain scalar", text: "a: {{ .source.v }} {{ .source.v }}\nb: c\n"},
	{name: "double quotes", text: "a: \"{{ .source.v }}\"\nb: c\n", at: []any{"a"}},
	{name: "part of double quotes", text: "a: \"x{{ .source.v }}y{{ .source.v }}\"\nb: c\n"},
	{name: "after an escape in double quotes", text: `a: "\x41\u0042\\{{ .source.v }}"` + "\nb: c\n"},
	{name: "in an escape in double quotes", text: `a: "\x{{ .source.v }}"` + "\nb: c\n"},
	{name: "after a backslash in double quotes", text: `a: "\{{ .source.v }}"` + "\nb: c\n"},
	{name: "double quotes over two lines", text: "a: \"x\n  {{ .source.v }}\n  y\"\nb: c\n"},
	{name: "single quotes", text: "a: '{{ .source.v }}'\nb: c\n", at: []any{"a"}},
	{name: "part of single quotes", text: "a: 'it''s{{ .source.v }}''y{{ .source.v }}'\nb: c\n"},
	{name: "after single quotes", text: "a: 'x'{{ .source.v }}\nb: c\n"},
	{name: "a literal block", text: "a: |\n  {{ .source.v }}\nb: c\n"},
	{name: "a literal block in the middle", text: "a: |-\n  x\n  {{ .source.v }}\n  y\nb: c\n"},
	{name: "a line of a literal block", text: "a: |\n  x: {{ .source.v }} y\nb: c\n"},
	{name: "a literal block with a digit", text: "a: |2-\n  {{ .source.v }}\nb: c\n", at: []any{"a"}, chomped: true},
	{name: "a literal block in a list", text: "a:\n- |\n {{ .source.v }}\n- k: |+\n   {{ .source.v }}\n  l: x\nb: c\n"},
	{name: "a literal block at its end", text: "b: c\na: |-\n  {{ .source.v }}", at: []any{"a"}, chomped: true},
	{name: "a literal block before text", text: "a: |\n  {{ .source.v }}x: y\nb: c\n"},
	{name: "a literal block with indent", text: "a: |-\n{{ .source.v | indent 4 }}\nb: c\n"},
	{name: "a literal block with nindent", text: "a: |-{{ .source.v | nindent 4 }}\nb: c\n"},
	{name: "a literal block with nindent in the middle", text: "a: |-\n    x{{ .source.v | nindent 4 }}\nb: c\n"},
	{name: "a literal block that is not indented", text: "a: |\n{{ .source.v }}\nb: c\n"},
	{name: "a folded block", text: "a: >\n  {{ .source.v }}\n  y\nb: c\n"},
	{name: "a folded block with its header", text: "a: > # comment\n  x\n\n  {{ .source.v }}\nb: c\n"},
	{name: "the header of a block", text: "a: |{{ .source.v }}\n  x\nb: c\n"},
	{name: "a flow list", text: "a: [x, {{ .source.v }}, y]\nb: c\n", at: []any{"a", 1}},
	{name: "a flow list of one", text: "a: [{{ .source.v }}]\nb: c\n", at: []any{"a", 0}},
	{name: "a flow list over lines", text: "a: [\n  x,\n  {{ .source.v }}\n]\nb: c\n", at: []any{"a", 1}},
	{name: "part of an item of a flow list", text: "a: [x-{{ .source.v }}, {{ .source.v }}-y]\nb: c\n"},
	{name: "a flow map", text: "a: {k: {{ .source.v }}, l: x}\nb: c\n", at: []any{"a", "k"}},
	{name: "a flow map in a flow list", text: "a: [{k: \"{{ .source.v }}\", l: '{{ .source.kind }}'}]\nb: c\n", at: []any{"a", 0, "k"}},
	{name: "double quotes in flow", text: "a: {\"k\": \"{{ .source.v }}\", \"l\": [\"{{ .source.v }}\"]}\nb: c\n", at: []any{"a", "k"}},
	{name: "after a colon in flow", text: "a: {\"k\":{{ .source.v }}}\nb: c\n", at: []any{"a", "k"}},
	{name: "a key of a flow map", text: "a: {k{{ .source.v }}: x}\nb: c\n"},
	{name: "after a flow list", text: "a: [x]{{ .source.v }}\nb: c\n"},
	{name: "an item of a flow list before a comment", text: "a: [x, {{ .source.v }} # comment\n]\nb: c\n", at: []any{"a", 1}},
	{name: "an item of a flow list before a comment of its own", text: "a: [{{ .source.v }} {{ if true }}# comment\n{{ end }}, x]\nb: c\n", at: []any{"a", 0}},
	{name: "a key that is quoted", text: "a:\n  {{ .source.v | quote }}: x\n  {{ .source.v | squote | printf \"%s\" | len }}: y\nb: c\n"},
	{name: "quoted below a plain scalar", text: "a: x\n  {{ .source.v | quote | nindent 2 }}\nb: c\n"},
	{name: "quoted and indented below a plain scalar", text: "a: x\n{{ .source.v | quote | indent 2 }}\nb: c\n"},
	{name: "a comment behind the header of a block", text: "a: | # {{ .source.v }}\n  x\nb: c\n"},
	{name: "a key", text: "{{ .source.v }}: x\n"},
	{name: "part of a key", text: "a:\n  k-{{ .source.v }}-l: x\nb: c\n"},
	{name: "a key in quotes", text: "a:\n  \"k{{ .source.v }}\": x\n  'l{{ .source.v }}': y\nb: c\n"},
	{name: "a comment", text: "a: x # {{ .source.v }} y\n# {{ .source.v }}\nb: c\n"},
	{name: "a comment after a colon", text: "a: # {{ .source.v }}\n  k: x\nb: c\n"},
	{name: "an anchor", text: "a: &{{ .source.v }} x\nb: c\n"},
	{name: "a tag", text: "a: !{{ .source.v }} x\nb: c\n"},
	{name: "a dash", text: "a:\n-{{ .source.v }} x\nb: c\n"},
	{name: "a directive", text: "%YAML {{ .source.v }}\n---\na: b\n"},
	{name: "toJson", text: "a: {{ toJson .source.v }}\nb: [{{ toJson .source.v }}]\n", at: []any{"a"}},
	{name: "toYaml", text: "a: {{ toYaml .source.v }}\nb:\n  {{ toYaml .source.v }}\n", at: []any{"a"}},
	{name: "quote", text: "a: {{ quote .source.v }}\nb: {{ .source.v | squote }}\n", at: []any{"a"}},
	{name: "toYaml in a map", text: "a:\n  {{ toYaml (dict \"k\" (list .source.v .source.v)) }}\nb: c\n", at: []any{"a", "k", 1}},
	{name: "toJson in double quotes", text: "a: \"{{ toJson .source.v }}\"\nb: c\n"},
	{name: "a condition around it", text: "a: {{ if true }}{{ .source.v }}{{ end }}\n{{ range until 2 }}b{{ . }}: {{ $.source.v }}\n{{ end }}", at: []any{"b1"}},
	{name: "a template around it", text: "{{ define \"v\" }}{{ . }}{{ end }}a: \"{{ template \"v\" .source.v }}\"\nb: {{ template \"v\" .source.v }}\n", at: []any{"b"}},
}

var attacks = []string{
	"", " ", "x", "x ", " x", "\n", "\n\n", "x\n", "\nx", "x\ny", "x\n  y", "  x\ny", "x\n\ny\n\n", " \nx", "\n x\ny", "x\r\ny", "x\ry", "\t", "x\ty", "\tx", "x\n\ty",
	"a: b", "a:", ":", ": ", ":b", "a :b", "x\nb: d", "x\n  b: d", "\nb: d", "b: d\n", "x: [", "- x", "-", "--", "---", "--- x", "---\nx", "x\n---\nb: d", "...", "x\n...\n", "\n...",
	"? x", "?", "%YAML 1.1", "x\n%TAG", "#", "# x", " # x", "x # y", "x #y", "x#y", "&a", "&a x", "*a", "*x", "!!int 3", "!x", "!", "|", ">", "|-\n x", "> x", "x |", "{{ .source.kind }}", "{{", "}}",
	"[", "]", "{", "}", "[x]", "{a: b}", "x, y", ",", "x]", "x}", "a, b: c", "}, k2: {", "], [", "\"", "'", "''", "\"\"", "'x'", "\"x\"", "x\"", "x'", "\", \"k\": \"", "', 'k': '", "\"\nb: d", "'\nb: d",
	"\\", "\\n", "\\\"", "x\\", "\\x41", "\\", "41", "`x", "@x", "=", "<<", "<", "~", "null", "Null", "true", "yes", "12345", "0x1F", "1e3", "0o7", "2026-01-01", ".inf", "-1", "-x", "-.5", "- ",
	"\x00", "x\x00y", "\x01", "\x1b[0m", "\x7f", "\u0085", "x\u0085b: d", "\u2028", "x\u2028y", "\u2029x", "\u00a0", "\ufeff", "x\ufeffy", "\ufffe", "é", "日本", "😀", "x\u0300", "\xff", "x\xffy", "\xc3", "\xed\xa0\x80",
	"key: value\nlist:\n- a\n- b\n", "x\n    deeper\n  back\n", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
	"Y2VydGlmaWNhdGU+Lz8=", "https://host:6443/path?a=b&c=d#e", "fe80::1", "fe80::", "user@host", "100%", "a*b", "a&b", "a!b", "{a}", "a{b}",
	strings.Repeat("A", 1<<20), strings.Repeat("A", 1<<18), strings.Repeat("x\n", 1<<17), strings.Repeat("é: '", 1<<16), strings.Repeat("\"", 1<<17),
}

// shape is the structure of a value without its scalars, and without the text
// of its keys if anonymous.
func shape(value any, anonymous bool) string {
	switch v := value.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key, item := range v {
			if anonymous {
				key = "k"
			}
			keys = append(keys, fmt.Sprintf("%q:%s", key, shape(item, anonymous)))
		}
		sort.Strings(keys)
		return "{" + strings.Join(keys, " ") + "}"
	case map[any]any:
		plain := make(map[string]any, len(v))
		for key, item := range v {
			plain[fmt.Sprint(key)] = item
		}
		return shape(plain, anonymous)
	case []any:
		items := make([]string, 0, len(v))
		for _, item := range v {
			items = append(items, shape(item, anonymous))
		}
		return "[" + strings.Join(items, " ") + "]"
	}
	return "."
}

// documents reads all documents with both of the libraries that Kubernetes
// reads YAML with, and returns what the newer one makes of them.
func documents(text string, anonymous bool) (shapes string, first yaml.Node, err error) {
	decoder, older := yaml.NewDecoder(strings.NewReader(text)), yamlv2.NewDecoder(strings.NewReader(text))
	for i := 0; ; i++ {
		var node yaml.Node
		err := decoder.Decode(&node)
		var old any
		errOld := err
		if len(text) < 1<<16 { // The older library is slow.
			errOld = older.Decode(&old)
		}
		if errors.Is(err, io.EOF) && errors.Is(errOld, io.EOF) {
			return shapes, first, nil
		}
		if err != nil {
			return "", first, err
		}
		if errOld != nil {
			return "", first, errOld
		}
		var value any
		if err := node.Decode(&value); err != nil {
			return "", first, err
		}
		if a, b := shape(value, anonymous), shape(old, anonymous); a != b && len(text) < 1<<16 {
			return "", first, fmt.Errorf("two libraries disagree: %.300s and %.300s", a, b)
		}
		if i == 0 {
			first = node
		}
		shapes += shape(value, anonymous) + "\n"
	}
}

// lookup follows a path through YAML to the text of a scalar.
func lookup(node *yaml.Node, path []any) (string, bool) {
	for node.Kind == yaml.DocumentNode || node.Kind == yaml.AliasNode {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
			continue
		}
		node = node.Content[0]
	}
	if len(path) == 0 {
		return node.Value, node.Kind == yaml.ScalarNode
	}
	switch step := path[0].(type) {
	case int:
		if node.Kind == yaml.SequenceNode && step < len(node.Content) {
			return lookup(node.Content[step], path[1:])
		}
	case string:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return lookup(node.Content[i+1], path[1:])
			}
		}
	}
	return "", false
}

func TestAttacksDoNotChangeTheStructure(t *testing.T) {
	for _, position := range positions {
		t.Run(position.name, func(t *testing.T) {
			want := ""
			key := strings.Contains(position.name, "key")
			refused, passed := 0, 0
			for _, attack := range append([]string{"harmless"}, attacks...) {
				if underRace && len(attack) > 1000 {
					continue // The parser is too slow for that.
				}
				data := Data{Source: map[string]any{"v": attack, "kind": "k"}}
				out, err := renderWith(t, position.text, YAML, data)
				if err != nil {
					refused++
					continue
				}
				passed++
				if attack == "" && position.name == "plain at the top" {
					continue // There is no document left.
				}
				shapes, first, failure := documents(out, key)
				if failure != nil && key && len(attack) > 1000 {
					continue // YAML has a limit of 1024 characters for keys.
				}
				if failure != nil {
					// Not to be read is safe, but the author deserves better.
					t.Errorf("%.40q gives no YAML: %v\n%.300s", attack, failure, out)
					continue
				}
				if want == "" {
					want = shapes
				}
				if shapes != want && attack != "<<" {
					t.Errorf("%.40q changes the structure from %s to %.300s:\n%.300q", attack, want, shapes, out)
				}
				if position.at == nil {
					continue
				}
				got, ok := lookup(&first, position.at)
				if got == "null" && attack == "" {
					got = ""
				}
				if position.chomped {
					attack = strings.TrimRight(attack, "\n")
				}
				if !ok || got != attack {
					t.Errorf("%.40q reads back as %.60q:\n%.300q", attack, got, out)
				}
			}
			t.Logf("%d passed, %d refused", passed, refused)
		})
	}
}

func TestValuesPassUnchangedWhereTheyAreSafe(t *testing.T) {
	tests := []struct{ name, text, value, want string }{
		{"a plain URL", "a: {{ .source.v }}", "https://x:6443", "a: https://x:6443"},
		{"plain digits, whose type the schema decides", "a: {{ .source.v }}", "12345", "a: 12345"},
		{"a plain boolean", "a: {{ .source.v }}", "true", "a: true"},
		{"plain base64", "a: {{ .source.v }}", "Y2E+/w==", "a: Y2E+/w=="},
		{"plain words", "a: {{ .source.v }}", "two words", "a: two words"},
		{"a host in a URL", "a: https://{{ .source.v }}:6443/", "blue", "a: https://blue:6443/"},
		{"an IPv6 address in a URL", "a: https://[{{ .source.v }}]:6443/", "fe80::", "a: https://[fe80::]:6443/"},
		{"a colon and a space are quoted", "a: {{ .source.v }}", "x: y", `a: "x: y"`},
		{"lines are quoted", "a: {{ .source.v }}", "x\ny", `a: "x\ny"`},
		{"null is quoted, since a value is text", "a: {{ .source.v }}", "null", `a: "null"`},
		{"double quotes are escaped", `a: "{{ .source.v }}"`, "a\"b\\\n\x00é\u2028😀", `a: "a\"b\\\n\u0000é\u2028😀"`},
		{"single quotes are doubled", `a: '{{ .source.v }}'`, "it's", `a: 'it''s'`},
		{"lines of a literal block are indented", "a: |\n  {{ .source.v }}\nb: c", "x\n\n y\nz\n", "a: |\n  x\n\n   y\n  z\n  \nb: c"},
		{"quote is a scalar of its own", "a: {{ quote .source.v }}", `a"b`, `a: "a\"b"`},
		{"an empty value leaves nothing", "a: {{ .source.v }}\nb: c", "", "a: \nb: c"},
		{"an empty item is null", "a: [x, {{ .source.v }}]", "", "a: [x, null]"},
		{"maps are aligned where they begin", "a:\n  {{ toYaml (dict \"x\" .source.v \"y\" 1) }}\nb: c", "1", "a:\n  x: \"1\"\n  \"y\": 1\nb: c"},
		{"maps are indented by nindent", "a:\n  {{- toYaml (dict \"x\" (list .source.v 1)) | nindent 4 }}\nb: c", "s", "a:\n    x:\n    - s\n    - 1\nb: c"},
		{"maps are aligned after a dash", "a:\n- {{ toYaml (dict \"x\" .source.v \"z\" 1) }}\n", "s", "a:\n- x: s\n  z: 1\n"},
		{"maps survive variables, trim and indent", "{{ $m := toYaml (dict \"x\" .source.v \"z\" 1) }}a:\n  {{ $m | indent 2 | trim }}\n", "s", "a:\n  x: s\n  z: 1\n"},
		{"maps that pass another function are text", "a: {{ toYaml (dict \"x\" .source.v) | upper }}", "s", "a: \"X: S\""},
		{"a key can be quoted", "{{ quote .source.v }}: x\n{{ squote .source.v }} : y", "a: b", "\"a: b\": x\n'a: b' : y"},
		{"an empty item before a comment is null", "a: [{{ .source.v }} # c\n, x]", "", "a: [null  # c\n, x]"},
		{"a comment behind the header of a block", "a: | # {{ .source.v }}\n  x", "why", "a: | # why\n  x"},
		{"a word with null in it is not null", "a: {{ .source.v }} null\nb: x{{ .source.v }}ll\nc: {{ .source.v }}\n  x\nd: {{ .source.v }}ll: x", "nu", "a: nu null\nb: xnull\nc: nu\n  x\nd: null: x"},
		{"an empty map alone is one", "a:\n  {{ toYaml (dict) }}\nb:\n- {{ toYaml (list) }}\n---\n{{ toYaml (dict) }}\n---\n", "", "a:\n  {}\nb:\n- []\n---\n{}\n---\n"},
		{"an empty map with more keys is nothing", "a:\n  {{ toYaml (dict) }}\n  k: x\nb:\n- {{ toYaml (dict) }}\n  k: y\n", "", "a:\n  \n  k: x\nb:\n- \n  k: y\n"},
		{"an empty map with more keys at the top is nothing", "{{ toYaml (dict) }}\nk: x\n", "", "\nk: x\n"},
		{"toJson can stand in flow", "a: [{{ toJson (dict \"x\" .source.v) }}]", "s", `a: [{"x":"s"}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := renderWith(t, tt.text, YAML, Data{Source: map[string]any{"v": tt.value}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestMarkupStaysWhereItBelongs(t *testing.T) {
	for _, text := range []string{
		"a:{{ toYaml .source.m | nindent 0 }}\nb: c",
		"x:\n  a:{{ toYaml .source.m | nindent 2 }}\nb: c",
		"a: {{ toYaml .source.m }}\nb: c",
		"a: [{{ toYaml .source.m }}]",
		"a: x{{ toYaml .source.m }}",
		"a:\n  {{ toYaml .source.m }}x",
		"a:\n  {{ toJson .source.m }}: x",
	} {
		if out, err := renderWith(t, text, YAML, Data{Source: map[string]any{"m": map[string]any{"k": "v", "l": "w"}}}); err == nil {
			t.Errorf("%q is not refused:\n%s", text, out)
		}
	}
}

func TestValuesDoNotMakeNull(t *testing.T) {
	for _, text := range []string{
		"a: {{ .source.v }}{{ .source.w }}\nb: c\n", "a: {{ .source.v }}{{ .source.w }}", "a: {{ .source.v }}{{ .source.w }} # c\n", "a: {{ .source.v }}{{ .source.w }} ",
		"a: nu{{ .source.w }}\n", "a: {{ .source.v }}ll\n", "a: n{{ .source.u }}ll\n", "a:\n  {{ .source.v }}{{ .source.w }}\n", "- {{ .source.v }}{{ .source.w }}\n",
		"{a: {{ .source.v }}{{ .source.w }}}", "[{{ .source.v }}{{ .source.w }} , x]", "[{{ .source.v }}{{ .source.w }}\n]", "{{ .source.v }}{{ if true }}{{ .source.w }}{{ end }}\n",
		"a: &x {{ .source.v }}{{ .source.w }}\n", "a: {{ .source.v }}{{ .source.w }}\r\n",
	} {
		out, err := renderWith(t, text, YAML, Data{Source: map[string]any{"v": "nu", "w": "ll", "u": "u"}})
		if err == nil || err.Message != errLost {
			t.Errorf("%q gives %q, %v", text, out, err)
		}
	}
}

func TestTheTextOfYAMLHasNoHiddenLineBreaks(t *testing.T) {
	for _, c := range []string{"\u0085", "\u2028", "\u2029", "\ufeff"} {
		text := "a: 1\nb: é" + c + "{{ .source.kind }}\n"
		_, err := render(t, text, YAML)
		if err == nil || err.Line != 2 || err.Column != 5 || !strings.Contains(err.Message, "cannot be used in YAML") {
			t.Errorf("%q: %v", c, err)
		}
		if _, err := render(t, text, Text); err != nil {
			t.Errorf("%q as text: %v", c, err)
		}
		if _, err := render(t, "a: {{ \""+c+"\" }}\n", YAML); err != nil {
			t.Errorf("%q as a value: %v", c, err)
		}
	}
	if out, err := render(t, "\ufeffa: {{ .source.kind }}", YAML); err != nil || out != "a: ManagedCluster" {
		t.Errorf("at the beginning: %q, %v", out, err)
	}
}

func TestPlainASCIIIsFoundAtEveryOffset(t *testing.T) {
	for c := range 256 {
		for at := range 17 {
			s := bytes.Repeat([]byte("A"), 17)
			s[at] = byte(c)
			if got, want := isPlainASCII(string(s)), ' ' <= c && c <= '~'; got != want {
				t.Fatalf("byte %#x at %d: got %t", c, at, got)
			}
		}
	}
}

func FuzzStructure(f *testing.F) {
	for _, attack := range attacks {
		if len(attack) < 1000 {
			f.Add(attack, "other")
			f.Add("x", attack)
		}
	}
	type compiled struct {
		name, want string
		template   *Template
	}
	var all []compiled
	for _, position := range positions {
		if strings.Contains(position.name, "key") || position.name == "plain at the top" {
			continue
		}
		text := position.text
		if i := strings.LastIndex(text, ".source.v"); i != strings.Index(text, ".source.v") {
			text = text[:i] + ".source.w" + text[i+len(".source.v"):]
		}
		template, err := Compile(text, Options{Output: YAML})
		if err != nil {
			f.Fatal(err)
		}
		out, err := template.Execute(Data{Source: map[string]any{"v": "harmless", "w": "harmless", "kind": "k"}}, env)
		if err != nil {
			continue
		}
		want, _, err := documents(out, false)
		if err != nil {
			f.Fatalf("%s: %v", position.name, err)
		}
		all = append(all, compiled{position.name, want, template})
	}
	f.Fuzz(func(t *testing.T, v, w string) {
		for _, c := range all {
			out, err := c.template.Execute(Data{Source: map[string]any{"v": v, "w": w, "kind": "k"}}, env)
			if err != nil {
				continue
			}
			got, _, err := documents(out, false)
			if err != nil {
				t.Errorf("%s: %q and %q give no YAML: %v\n%s", c.name, v, w, err, out)
			} else if got != c.want {
				t.Errorf("%s: %q and %q change the structure from %s to %s:\n%s", c.name, v, w, c.want, got, out)
			}
		}
	})
}

func TestAnEmptyValueDoesNotMakeMarkupOfWhatFollows(t *testing.T) {
	for _, after := range []string{"-", "- x", " - x", "---", "...", "[x]", " {x: y}", "'x'", "&x y", "*x", "!x y", "| x", "? x", "#x", " c: c"} {
		template, err := Compile("{{ .source.v }}"+after+"\n", Options{Output: YAML})
		if err != nil {
			t.Fatal(err)
		}
		if out, err := template.Execute(Data{Source: map[string]any{"v": ""}}, env); err == nil {
			t.Errorf("before %q an empty value gives %q", after, out)
		}
	}
	for _, after := range []string{"", "-x", "x: y", ".x", "\n- x"} {
		template, err := Compile("{{ .source.v }}"+after+"\n", Options{Output: YAML})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := template.Execute(Data{Source: map[string]any{"v": ""}}, env); err != nil {
			t.Errorf("before %q an empty value fails: %v", after, err)
		}
	}
}

// FuzzPlaces puts values into YAML that nobody has thought of. Whatever stands
// around a value: if it is YAML with a harmless value, it is the same YAML with
// any other value, or an error.
func FuzzPlaces(f *testing.F) {
	for _, position := range positions {
		before, rest, _ := strings.Cut(position.text, "{{")
		_, after, _ := strings.Cut(rest, "}}")
		for _, attack := range []string{"a: b", "x\ny", "- x", "# x", "'", "\"", " x", "x:", "a\n\n b\n", "]", "}", ","} {
			if !strings.Contains(after, "{{") {
				f.Add(before, attack, after)
			}
		}
	}
	f.Fuzz(func(t *testing.T, before, v, after string) {
		if strings.Contains(before+after, "{{") {
			return
		}
		template, err := Compile(before+"{{ .source.v }}"+after, Options{Output: YAML})
		if err != nil {
			return
		}
		want := ""
		for _, harmless := range []string{"harmless", "two words"} {
			out, err := template.Execute(Data{Source: map[string]any{"v": harmless}}, env)
			if err != nil {
				return
			}
			shapes, _, err := documents(out, true)
			if err != nil || want != "" && shapes != want {
				return
			}
			want = shapes
		}
		out, err := template.Execute(Data{Source: map[string]any{"v": v}}, env)
		if err != nil {
			return
		}
		got, _, err := documents(out, true)
		if err == nil && got != want && got != "" {
			t.Errorf("%q in %q and %q changes the structure from %s to %s:\n%s", v, before, after, want, got, out)
		}
	})
}
