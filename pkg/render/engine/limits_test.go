package engine

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNoTemplateRunsAwayWithTimeOrMemory(t *testing.T) {
	tests := []struct{ name, text string }{
		{"a list of a billion", `{{ $n := 1000000000 }}{{ range until $n }}{{ end }}`},
		{"a literal list of a billion", `{{ range until 1000000000 }}{{ end }}`},
		{"a list down to minus a billion", `{{ $n := -1000000000 }}{{ until $n }}`},
		{"a list whose counting would overflow", `{{ $n := 9223372036854775807 }}{{ untilStep 0 $n 9223372036854775806 | len }}{{ untilStep (sub 0 $n | int) $n 1 }}`},
		{"a range over a hundred billion", `{{ $n := 100000000000 }}{{ range $n }}{{ end }}`},
		{"a literal range over a hundred billion", `{{ range 100000000000 }}{{ end }}`},
		{"nested ranges", `{{ range until 9999 }}{{ range until 9999 }}{{ end }}{{ end }}`},
		{"a template that calls itself", `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`},
		{"a template that calls itself twice", `{{ define "a" }}{{ if . }}{{ template "a" (rest .) }}{{ template "a" (rest .) }}{{ end }}{{ end }}{{ template "a" (until 100) }}`},
		{"a string that doubles", `{{ $s := "x" }}{{ range until 100 }}{{ $s = print $s $s }}{{ end }}`},
		{"a string that doubles in cat", `{{ $s := "x" }}{{ range until 100 }}{{ $s = cat $s $s }}{{ end }}`},
		{"a string that doubles in printf", `{{ $s := "x" }}{{ range until 100 }}{{ $s = printf "%s%s" $s $s }}{{ end }}`},
		{"a string that doubles in replace", `{{ $s := "xx" }}{{ range until 100 }}{{ $s = replace "x" "xx" $s }}{{ end }}`},
		{"a string that grows by its quotes", `{{ $s := "\"" }}{{ range until 100 }}{{ $s = quote $s }}{{ end }}`},
		{"a string that grows in JSON", `{{ $s := "\"" }}{{ range until 100 }}{{ $s = print (toJson $s) }}{{ end }}`},
		{"a string that grows by a pattern", `{{ $s := "x" }}{{ range until 100 }}{{ $s = regexReplaceAll "x" $s "${0}${0}" }}{{ end }}`},
		{"a replacement of nothing", `{{ $s := repeat 5000 "x" }}{{ replace "" $s $s }}`},
		{"a list that doubles", `{{ $l := list 1 }}{{ range until 100 }}{{ $l = concat $l $l }}{{ end }}`},
		{"a list that is appended to", `{{ $l := list 1 }}{{ range until 99999 }}{{ $l = append $l . }}{{ end }}`},
		{"a tree with shared branches", `{{ $l := list 1 }}{{ range until 100 }}{{ $l = list $l $l }}{{ end }}{{ toJson $l }}`},
		{"a tree with shared branches that is printed", `{{ $l := list 1 }}{{ range until 100 }}{{ $l = list $l $l }}{{ end }}{{ print $l }}`},
		{"a tree with shared branches that is formatted", `{{ $l := list 1 }}{{ range until 100 }}{{ $l = list $l $l }}{{ end }}{{ printf "%v" $l }}`},
		{"a tree with shared branches that is compared", `{{ $l := list 1 }}{{ $m := list 1 }}{{ range until 100 }}{{ $l = list $l $l }}{{ $m = list $m $m }}{{ end }}{{ deepEqual $l $m }}`},
		{"a map that contains itself, printed", `{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ print $d }}`},
		{"a map that contains itself, as JSON", `{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ toJson $d }}`},
		{"a map that contains itself, as YAML", `{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ toYaml $d }}`},
		{"a map that contains itself, copied", `{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ deepCopy $d }}`},
		{"a map that contains itself, merged", `{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ $_ = merge (dict "d" (dict)) $d }}`},
		{"a map that contains itself, compared", `{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ $e := dict }}{{ $_ = set $e "d" $e }}{{ deepEqual $d $e }}`},
		{"a map that contains itself, in a message", `{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ printf "%d" $d }}`},
		{"repeat", `{{ $n := 1000000000 }}{{ repeat $n "x" }}`},
		{"repeat of much", `{{ $n := 9223372036854775807 }}{{ repeat $n "xyz" }}`},
		{"indent", `{{ $n := 1000000000 }}{{ indent $n "x" }}`},
		{"nindent of many lines", `{{ $n := 10000 }}{{ nindent $n (repeat $n "\n") }}`},
		{"indent of markup", `{{ $n := 1000000000 }}{{ indent $n (toYaml (dict "a" 1)) }}`},
		{"seq", `{{ $n := 1000000000 }}{{ seq $n }}`},
		{"seq at the end of the numbers", `{{ $n := 9223372036854775807 }}{{ seq 0 $n }}`},
		{"a width of printf", `{{ $f := "%999999d" }}{{ printf $f 1 }}`},
		{"a literal width of printf", `{{ printf "%999999d" 1 }}`},
		{"a precision of printf", `{{ $f := "%.999999f" }}{{ printf $f 1.0 }}`},
		{"a width of printf in an argument", `{{ $n := 999999 }}{{ printf "%*d" $n 1 }}{{ printf "%.*f" $n 1.0 }}`},
		{"a width of printf in a numbered argument", `{{ $n := 999999 }}{{ printf "%[2]*[1]d" 1 $n }}`},
		{"a width of printf behind a verb that looks like a flag", `{{ printf (repeat 1000 "%1-%999999[1]d") 1 }}`},
		{"a width for each item of a list", `{{ $l := until 99999 }}{{ printf "%1000d" $l }}`},
		{"arguments that are used again and again", `{{ $s := repeat 100000 "x" }}{{ printf (repeat 500 "%[1]s") $s }}`},
		{"random letters", `{{ $n := 1000000000 }}{{ randAlphaNum $n }}`},
		{"random bytes", `{{ $n := 1000000000 }}{{ randBytes $n }}`},
		{"wrapped lines", `{{ wrapWith 1 (repeat 100000 "x") (repeat 100000 "y") }}`},
		{"join", `{{ join (repeat 100000 "x") (until 10000) }}`},
		{"split", `{{ split "" (repeat 10000000 "x") }}`},
		{"splitList", `{{ splitList "" (repeat 10000000 "x") }}`},
		{"chunks", `{{ range until 9999 }}{{ $_ := chunk 1 (until 9999) }}{{ end }}`},
		{"uniq of much", `{{ uniq (until 9999) }}`},
		{"a pattern that repeats repetitions", `{{ $p := repeat 100 "(a{100})" }}{{ regexMatch $p "a" }}`},
		{"a literal pattern that repeats repetitions", `{{ regexMatch "(a{1000})(b{1000})(c{1000})(d{1000})(e{1000})" "a" }}`},
		{"a pattern that looks ahead at each byte", `{{ $s := repeat 100000 "a" }}{{ regexFindAll "(?s).*b|a" $s -1 | len }}`},
		{"a long pattern", `{{ $p := repeat 100000 "a" }}{{ regexMatch $p "a" }}`},
		{"a pattern over much text", `{{ $s := repeat 1000000 "a" }}{{ range until 9999 }}{{ if regexMatch "(a|b|c)*d" $s }}{{ end }}{{ end }}`},
		{"digests of much text", `{{ $s := repeat 1000000 "a" }}{{ range until 9999 }}{{ $_ := sha512sum $s }}{{ end }}`},
		{"sorting", `{{ range until 9999 }}{{ $_ := sortAlpha (until 9999) }}{{ end }}`},
		{"aliases of YAML", `{{ $y := "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]" }}{{ fromYaml $y }}`},
		{"an alias of YAML to itself", `{{ $y := "&a [*a]" }}{{ fromYaml $y }}`},
		{"a version that is long", `{{ $v := repeat 100000 "1." }}{{ semver $v }}`},
		{"a layout of times", `{{ $l := repeat 1000000 "January" }}{{ now.Format $l }}{{ date $l now }}`},
		{"maps that are compared again and again", `{{ $a := split "," (repeat 40000 "x,") }}{{ $b := split "," (repeat 40000 "y,") }}{{ range 40 }}{{ $_ := deepEqual $a $b }}{{ end }}`},
		{"maps that are sought in lists", `{{ $a := split "," (repeat 20000 "x,") }}{{ $b := split "," (repeat 20000 "y,") }}{{ has $a (list $b $b $b $b) }}`},
		{"long keys that are listed again and again", `{{ $a := repeat 2000000 "x" }}{{ $d := dict (print $a 1) 1 (print $a 2) 2 (print $a 3) 3 }}{{ range 40 }}{{ $_ := keys $d }}{{ end }}`},
		{"long keys that are walked through again and again", `{{ $a := repeat 2000000 "x" }}{{ $d := dict (print $a 1) 1 (print $a 2) 2 (print $a 3) 3 }}{{ range 40 }}{{ range $d }}{{ end }}{{ end }}`},
		{"long texts that are sorted", `{{ $l := list (repeat 4000000 "x") (repeat 4000000 "x") }}{{ range 5 }}{{ $l = concat $l $l }}{{ end }}{{ sortAlpha $l | len }}`},
		{"a long key that is sought in many maps", `{{ $k := repeat 1000000 "x" }}{{ $m := dict "a" 1 }}{{ pluck $k` + strings.Repeat(" $m", 100) + ` }}`},
		{"many characters to trim", `{{ $c := print (repeat 2000000 "а") "é" }}{{ $s := repeat 50000 "é" }}{{ trimAll $c $s }}`},
		{"markup with a long indentation, again and again", `{{ $m := toYaml (list "a" "b") | indent 100000 }}{{ range 1000 }}{{ $_ := len $m }}{{ end }}`},
		{"markup with a long indentation as the layout of times", `{{ $m := toYaml (list "a" "b") | indent 100000 }}{{ range 1000 }}{{ $_ := now.Format $m }}{{ end }}`},
		{"a pattern of tables", `{{ $p := print "[" (repeat 240 "\\pL") "]" }}{{ range 20 }}{{ $_ := regexMatch $p "x" }}{{ end }}`},
		{"a pattern of ranges without case", `{{ $p := print "(?i)" (repeat 50 "[B-\\x{1e942}]") }}{{ $_ := regexMatch $p "x" }}`},
		{"a pattern with many groups", `{{ $p := print (repeat 240 "(a?)") "b" }}{{ $s := repeat 200 "a" }}{{ range 15 }}{{ $_ := regexReplaceAll $p $s "$1" }}{{ end }}`},
		{"long versions", `{{ $v := print "1.2.3-" (repeat 48 "aaaa.") "a" }}{{ range 9999 }}{{ $_ := semver $v }}{{ end }}`},
		{"output", `{{ $s := repeat 1000000 "x" }}{{ range until 100 }}{{ $s }}{{ end }}`},
		{"deep output", `{{ $l := list }}{{ range until 1000 }}{{ $l = list $l }}{{ end }}{{ print $l }}`},
	}
	for _, output := range []Output{Text, YAML} {
		for _, tt := range tests {
			if underRace && strings.Contains(tt.name, "pattern") {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", tt.name, output), func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				_, err := renderWith(t, tt.text, output, Data{Source: map[string]any{}})
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				if err == nil || !err.LimitExceeded {
					t.Errorf("no limit was exceeded: %v", err)
				}
				if underRace {
					return // Pools lose what they hold, and all is slow.
				}
				// Generous, for a machine that is busy.
				if took > 20*time.Second {
					t.Errorf("it took %v", took)
				}
				if allocated := (after.TotalAlloc - before.TotalAlloc) >> 20; allocated > 300 {
					t.Errorf("%d MiB were allocated", allocated)
				}
				if took > 200*time.Millisecond {
					t.Logf("took %v and %d MiB: %v", took, (after.TotalAlloc-before.TotalAlloc)>>20, err)
				}
			})
		}
	}
}

func TestLimitsNameTemplateAndLine(t *testing.T) {
	_, err := render(t, "a\n{{ define \"loop\" }}\n  {{ range until 100000 }}{{ range until 100 }}{{ end }}{{ end }}\n{{ end }}{{ template \"loop\" . }}", Text)
	if err == nil || !err.LimitExceeded || err.Template != "loop" || err.Line != 3 {
		t.Errorf("got %+v", err)
	}
}

func TestLargeTemplatesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"text":        strings.Repeat("x", maxText+1),
		"actions":     strings.Repeat("{{1}}", maxActions+1),
		"nesting":     strings.Repeat("{{if 1}}", 1000) + strings.Repeat("{{end}}", 1000),
		"parentheses": "{{" + strings.Repeat("(", 1000) + "1" + strings.Repeat(")", 1000) + "}}",
		"pipelines":   "{{ 1" + strings.Repeat("|not", 1000) + "}}",
	} {
		_, err := Compile(text, Options{})
		if e := asError(t, err); e == nil || !e.LimitExceeded {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestWhatIsNoNumberIsZeroAndNotLookedInto(t *testing.T) {
	large := make([]any, 100_000)
	data := Data{Source: map[string]any{"list": large, "map": map[string]any{"list": large}, "text": strings.Repeat("9", 1<<20)}}
	for _, call := range []string{
		"add X", "sub X 0", "mul X 1", "div X 3", "mod X 3", "max X", "min X", "addf X", "subf X", "mulf X 1", "divf X 3", "maxf X", "minf X",
		"ceil X", "floor X", "round X 1", "int X", "int64 X", "float64 X", "add1 X | sub 1", "add1f X | subf 1",
	} {
		for _, what := range []string{".source.list", ".source.map", ".source.text"} {
			text := "{{ " + strings.Replace(call, "X", what, 1) + " }}"
			compiled, err := Compile(text, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got string
			bytes := allocated(func() { got, err = compiled.Execute(data, env) })
			if err != nil || got != "0" {
				t.Errorf("%s: %q, %v", text, got, err)
			}
			if !underRace && bytes > 100_000 {
				t.Errorf("%s: %d bytes were allocated", text, bytes)
			}
		}
	}
	got, err := render(t, `{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ int $d }}{{ add $d 1 }}{{ round $d 1 }}{{ div $d 2 }} {{ int "12" }} {{ int now.Month }} {{ add true 1 }} {{ int nil }}`, Text)
	if want := "0100 12 5 2 0"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestIndentationIsCountedBeforeItIsWritten(t *testing.T) {
	compiled, failure := Compile("{{ range 20000 }}          {{ end }}{{ toYaml (until 1000) }}", Options{Output: YAML})
	if failure != nil {
		t.Fatal(failure)
	}
	bytes := allocated(func() { _, failure = compiled.Execute(Data{}, env) })
	if e := asError(t, failure); e == nil || !e.LimitExceeded {
		t.Errorf("got %v", failure)
	}
	if bytes > 10<<20 && !underRace {
		t.Errorf("%d MiB were allocated", bytes>>20)
	}
}

func TestDigitsAreCountedBeforeTheyAreWritten(t *testing.T) {
	compiled, failure := Compile(`{{ $l := list 1e308 }}{{ range 16 }}{{ $l = concat $l $l }}{{ end }}{{ printf "%f" $l }}`, Options{})
	if failure != nil {
		t.Fatal(failure)
	}
	bytes := allocated(func() { _, failure = compiled.Execute(Data{}, env) })
	if e := asError(t, failure); e == nil || !e.LimitExceeded {
		t.Errorf("got %v", failure)
	}
	if bytes > 20<<20 && !underRace {
		t.Errorf("%d MiB were allocated", bytes>>20)
	}
}

func TestYAMLIsShorterThanText(t *testing.T) {
	const text = `{{ $s := repeat 1000 "0123456789" }}{{ range 110 }}"{{ $s }}"{{ end }}`
	if out, err := render(t, text, Text); err != nil || len(out) < maxYAML {
		t.Errorf("text: %d bytes, %v", len(out), err)
	}
	_, err := render(t, text, YAML)
	if err == nil || !err.LimitExceeded || err.Message != "the template writes more than 1 MiB" {
		t.Errorf("YAML: %v", err)
	}
}

func TestPatternsAreLimitedTogether(t *testing.T) {
	one := `{{ $_ := regexMatch "[` + strings.Repeat(`\\pL`, 190) + `]" "x" }}`
	if _, err := Compile(one, Options{}); err != nil {
		t.Errorf("one: %v", err)
	}
	_, err := Compile(strings.Repeat(one, 10), Options{})
	if e := asError(t, err); e == nil || !e.LimitExceeded {
		t.Errorf("ten: %v", err)
	}
	if _, err := Compile(strings.Repeat(`{{ if regexMatch "^(?i)[a-z]+-[0-9]{1,3}$" .source.x }}{{ end }}`, 2000), Options{}); err != nil {
		t.Errorf("many of the usual ones: %v", err)
	}
}

func TestTrialsOfLiteralsAreLimitedTogether(t *testing.T) {
	calls := 0
	functions["costly"] = define("costly", "Costs much.", with0(func(r *run) (any, *Error) {
		calls++
		return "", r.spend(maxSteps / 2)
	}))
	defer delete(functions, "costly")
	if _, err := Compile(strings.Repeat("{{ costly }}", 20), Options{}); err != nil {
		t.Error(err)
	}
	if calls > 3 {
		t.Errorf("%d calls were tried", calls)
	}
}

func TestTimeZonesAreThoseOfTheBinary(t *testing.T) {
	t.Setenv("ZONEINFO", t.TempDir())
	for zone, want := range map[string]string{
		"Europe/Berlin": "15:02", "America/New_York": "09:02", "UTC": "13:02",
		"Europe/./Berlin": "13:02", "Europe//Berlin": "13:02", "../zoneinfo/Europe/Berlin": "13:02", "/etc/localtime": "13:02", "zone.tab": "13:02",
	} {
		got, err := render(t, fmt.Sprintf(`{{ dateInZone "15:04" now %q }}`, zone), Text)
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", zone, got, err, want)
		}
	}
	zones.Range(func(name, _ any) bool {
		if zoneFiles()[name.(string)] == nil {
			t.Errorf("%s is kept", name)
		}
		return true
	})
}

func TestBudgetsSufficeForRealTemplates(t *testing.T) {
	zones := make([]any, 5000)
	for i := range zones {
		zones[i] = map[string]any{"name": fmt.Sprintf("zone-%d", i), "labels": map[string]any{"a": "b"}}
	}
	out, err := renderWith(t, `{{ range $i, $z := .source.zones }}{{ if and (ne $z.name "") (hasPrefix "zone" $z.name) }}{{ printf "%d:%s" $i $z.name }}{{ end }}{{ end }}{{ toJson .source.zones | b64enc | len }}`, Text, Data{Source: map[string]any{"zones": zones}})
	if err != nil || len(out) < 50000 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// mutators are templates that write into what they were given.
var mutators = []string{
	`{{ $_ := set .source "x" "y" }}{{ $_ = set .source.metadata "name" "z" }}{{ .source.metadata.name }}`,
	`{{ $_ := unset .source.spec "apiEndpoint" }}{{ .source.spec }}`,
	`{{ $_ := merge .source (dict "spec" (dict "new" 1)) }}{{ .source.spec.new }}`,
	`{{ $_ := mergeOverwrite .source.spec (dict "apiEndpoint" "x" "zones" (list)) }}{{ .source.spec }}`,
	`{{ $_ := mustMerge .references.auth.data (dict "x" "y") }}{{ .references.auth.data.x }}`,
	`{{ range .source.status.conditions }}{{ $_ := set . "status" "x" }}{{ end }}{{ .source.status }}`,
	`{{ $_ := set (index .source "spec") "x" 1 }}{{ with .source }}{{ $_ := set .spec "y" 1 }}{{ end }}{{ .source.spec }}`,
	`{{ $_ := set .source.metadata.labels "x" "y" }}{{ $_ = set .references.auth.metadata.labels "x" "y" }}{{ .source.metadata.labels }}`,
	`{{ $d := dict "s" .source }}{{ $_ := set $d.s.spec "x" "y" }}{{ $_ = set (. | deepCopy).source "x" "y" }}{{ $d.s.spec.x }}`,
	`{{ $l := append .source.spec.zones "d" }}{{ $m := append .source.spec.zones "e" }}{{ $l }}{{ $m }}{{ prepend .source.spec.zones "x" }}`,
	`{{ $l := slice .source.spec.zones 0 1 }}{{ append $l "x" }}{{ append (initial .source.spec.zones) "y" }}{{ append (rest .source.spec.zones) "y" }}{{ .source.spec.zones }}`,
	`{{ sortAlpha .source.spec.zones }}{{ reverse .source.spec.zones }}{{ concat .source.spec.zones (list "x") }}{{ uniq .source.spec.zones }}{{ without .source.spec.zones "a" }}`,
	`{{ range chunk 1 .source.spec.zones }}{{ append . "x" }}{{ end }}{{ .source.spec.zones }}`,
	`{{ $_ := pick .source "spec" }}{{ $_ = set $_.spec "x" "y" }}{{ $_ = set (omit .source "kind").spec "x" "y" }}{{ first (values .source) }}`,
}

func TestInputIsNeverChanged(t *testing.T) {
	for _, text := range mutators {
		data := Data{Source: object(), References: references()}
		// A slice with room behind it, as append likes to write into.
		data.Source["spec"].(map[string]any)["zones"] = append(make([]any, 0, 10), "a", "b", "c")
		if _, err := renderWith(t, text, Text, data); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		zones := data.Source["spec"].(map[string]any)["zones"].([]any)
		if hidden := zones[:cap(zones)][3:]; cmp.Diff(make([]any, 7), hidden) != "" {
			t.Errorf("%s: writes behind the end of a list", text)
		}
		if diff := cmp.Diff(Data{Source: object(), References: references()}, data); diff != "" {
			t.Errorf("%s: (-before +after)\n%s", text, diff)
		}
	}
}

func TestExecutionsShareDataAndTemplates(t *testing.T) {
	data := Data{Source: object(), References: references()}
	texts := append([]string{
		`{{ toJson .source }}{{ toYaml .references.auth }}{{ .references.auth.metadata.labels }}`,
		"a: {{ .source.kind }}\nb: \"{{ .references.auth.data.ca }}\"\n", `{{ regexMatch "a+" .source.kind }}{{ dateInZone "15:04" now "Europe/Berlin" }}`,
	}, mutators...)
	var group sync.WaitGroup
	for _, text := range texts {
		compiled, err := Compile(text, Options{Output: Text, References: []string{"auth"}})
		if err != nil {
			t.Fatal(err)
		}
		want, err := compiled.Execute(data, env)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			group.Go(func() {
				for range 20 {
					if got, err := compiled.Execute(data, env); err != nil || got != want {
						t.Errorf("%s: %v (-want +got)\n%s", text, err, cmp.Diff(want, got))
					}
				}
			})
		}
	}
	group.Wait()
}

func TestNumbersOfJSONStayWhatTheyAre(t *testing.T) {
	data := Data{Source: map[string]any{"n": json.Number("12345678901234567890"), "i": json.Number("3"), "f": json.Number("1.50"), "big": 12345678.0}}
	got, err := renderWith(t, `{{ .source.n }} {{ .source.i }} {{ .source.f }} {{ eq .source.i 3 }} {{ add .source.i 1 }} {{ (fromJson "{\"n\":12345678}").n }} {{ range .source.i }}{{ . }}{{ end }}`, Text, data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("12345678901234567890 3 1.50 true 4 12345678 012", got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAnOutlineOfTemplatesThatCallOneAnotherIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, `{{ define "t%d" }}{{ template "t%d" . }}{{ template "t%d" . }}{{ end }}`, i, i+1, i+1)
	}
	text.WriteString(`{{ define "t100" }}{{ end }}{{ template "t0" . }}`)
	if got := Certain(text.String()).Text; got != "" { // else it never returns
		t.Errorf("%q", got)
	}
}
