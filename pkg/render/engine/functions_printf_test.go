package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
)

// oddFormats are read by package fmt in another way than they look. A flag behind
// a width, for instance, is a verb.
var oddFormats = []string{
	"%1-%d", "%.1-%d", "%*-%d", "%[1]-%d", "%[1]2d%d", "%[1].2d%d", "%[1].[2]*d", "%[1]*.[2]*[3]f", "%.[1]2d", "%.*[2]f", "%[2][1]d", "%[9]d%d", "%[9]*d", "%[x]d%d", "%[", "%[]", "%[]d", "%[1", "%[0]d%d", "%[99999999][1]d%d",
	"%", "%.", "%1.", "%.d", "%-+# 05d", "%00005d", "%5 d", "%é%d", "%\xff%d", "%!", "%*.*%", "%w", "%T%#v%+v", "%#x% x%# X", "%+q%U%#U%c", "%b%o%O%#b", "%e%g%f%.3F", "%]%d", "%d%d%d%d%d%d%d%d%d%d%d",
}

// FuzzPrintf checks that formats are read as package fmt reads them: results are no
// longer than expected, and hold no addresses, which would differ the next time.
func FuzzPrintf(f *testing.F) {
	for _, format := range oddFormats {
		f.Add(format)
	}
	for _, text := range sameTemplates {
		if _, format, ok := strings.Cut(text, `printf "`); ok {
			f.Add(format)
		}
	}
	args := func() []any {
		version := semver.MustParse("1.2.3-rc.1+x")
		return []any{version, []any{version, env.Now, nil}, -7, nil, "te\x00xt\xff", map[string]any{"a": version, "b": int64(-1 << 63)}, env.Now, 1e308, true, json.Number("12"), 3.0}
	}
	f.Fuzz(func(t *testing.T, format string) {
		r := newRun(&Template{}, Data{}, env)
		reader, err := r.formatReader(format, args())
		if err != nil {
			t.Fatal(err)
		}
		if reader.read() != nil {
			return
		}
		result := fmt.Sprintf(format, reader.args...)
		if len(result) > reader.bound {
			t.Errorf("%q gives %d bytes, not %d at most: %q", format, len(result), reader.bound, result)
		}
		if again, _ := r.sprintf(format, args()); again != result {
			t.Errorf("%q gives\n%q, then\n%q", format, result, again)
		}
	})
}
