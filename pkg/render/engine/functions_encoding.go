package engine

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"strings"
)

var encodingFunctions = aliases([]*function{
	define("b64enc TEXT", "Encodes to base64.", with1(func(r *run, s string) (any, *Error) {
		if err := r.take(base64.StdEncoding.EncodedLen(len(s))); err != nil {
			return nil, err
		}
		return base64.StdEncoding.EncodeToString([]byte(s)), nil
	})),
	define("b64dec TEXT", "Decodes base64. Invalid input is an error.", with1(func(r *run, s string) (any, *Error) {
		if err := r.take(base64.StdEncoding.DecodedLen(len(s))); err != nil {
			return nil, err
		}
		// The error of the library would be returned as the text by sprig, and
		// so end up in the result. It holds an offset and no data.
		decoded, failure := base64.StdEncoding.DecodeString(s)
		if failure != nil {
			return nil, problem("%s", failure)
		}
		return string(decoded), nil
	})),
	define("b32enc TEXT", "Encodes to base32.", with1(func(r *run, s string) (any, *Error) {
		if err := r.take(base32.StdEncoding.EncodedLen(len(s))); err != nil {
			return nil, err
		}
		return base32.StdEncoding.EncodeToString([]byte(s)), nil
	})),
	define("b32dec TEXT", "Decodes base32. Invalid input is an error.", with1(func(r *run, s string) (any, *Error) {
		if err := r.take(base32.StdEncoding.DecodedLen(len(s))); err != nil {
			return nil, err
		}
		decoded, failure := base32.StdEncoding.DecodeString(s)
		if failure != nil {
			return nil, problem("%s", failure)
		}
		return string(decoded), nil
	})),
	define("toYaml X", "Returns X as YAML. In a block position of a YAML template the result may add keys, items and lines.", with1(toYAML)),
	define("fromYaml TEXT", "Parses YAML. Invalid input is an error.", with1(fromYAML)),
	define("toJson X", "Returns X as JSON on one line. In a YAML template the result may add keys and items.", jsonWriter(func(x any) ([]byte, error) { return json.Marshal(x) })),
	define("toPrettyJson X", "Returns X as indented JSON.", jsonWriter(func(x any) ([]byte, error) { return json.MarshalIndent(x, "", "  ") })),
	define("toRawJson X", "Returns X as JSON without HTML escapes.", jsonWriter(func(x any) ([]byte, error) {
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(x)
		return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
	})),
	define("fromJson TEXT", "Parses JSON. Invalid input is absent.", with1(func(r *run, s string) (any, *Error) {
		value, ok, err := fromJSON(r, s)
		if err != nil || !ok {
			return nil, err
		}
		return value, nil
	})),
	define("mustFromJson TEXT", "Parses JSON. Invalid input is an error.", with1(func(r *run, s string) (any, *Error) {
		value, ok, err := fromJSON(r, s)
		if err == nil && !ok {
			return nil, problem("the text is not JSON")
		}
		return value, err
	})),
	define("sha1sum TEXT", "Returns the SHA-1 digest in hexadecimal.", digest("sha1sum")),
	define("sha256sum TEXT", "Returns the SHA-256 digest in hexadecimal.", digest("sha256sum")),
	define("sha512sum TEXT", "Returns the SHA-512 digest in hexadecimal.", digest("sha512sum")),
	define("adler32sum TEXT", "Returns the Adler-32 checksum.", digest("adler32sum")),
}, map[string]string{"mustToJson": "toJson", "mustToPrettyJson": "toPrettyJson", "mustToRawJson": "toRawJson"})

func digest(name string) *function {
	sum := lib[func(string) string](name)
	return with1(func(r *run, s string) (any, *Error) {
		// A digest costs a few times more than looking at the text.
		if err := r.read(4 * len(s)); err != nil {
			return nil, err
		}
		return r.result(sum(s))
	})
}

// jsonWriter is a function that writes JSON. Its result is markup in YAML.
func jsonWriter(marshal func(any) ([]byte, error)) *function {
	return with1(func(r *run, x any) (any, *Error) {
		total, err := r.measure(x)
		if err != nil {
			return nil, err
		}
		// A character that JSON has to escape takes six bytes.
		if 6*total.bytes+64*total.nodes > r.values {
			return nil, limit("%s", errValues)
		}
		out, failure := marshal(x)
		if failure != nil {
			return nil, problem("the value holds something that JSON does not have, such as NaN")
		}
		// The library replaces what is no UTF-8, and so would destroy keys and
		// certificates in silence. It escapes the replacement, and nothing else
		// that looks like it once escaped backslashes are out of the way.
		if replaced := []byte(`\ufffd`); bytes.Contains(out, replaced) && bytes.Contains(bytes.ReplaceAll(out, []byte(`\\`), nil), replaced) {
			return nil, problem("the value holds a string that is no valid UTF-8, which JSON cannot carry; use b64enc")
		}
		if err := r.take(len(out)); err != nil {
			return nil, err
		}
		if r.template.output != YAML {
			return string(out), nil
		}
		return markup{text: escapeJSON(string(out)), kind: flowMarkup}, nil
	})
}

// escapeJSON escapes what JSON allows in strings, but YAML does not.
func escapeJSON(s string) string {
	if isPlainASCII(s) || !strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !printable(r) }) {
		return s
	}
	out := make([]byte, 0, len(s)+16)
	for _, r := range s {
		if r == '\n' || printable(r) {
			out = append(out, string(r)...)
		} else {
			out = appendEscaped(out, r)
		}
	}
	return string(out)
}

// fromJSON reads JSON. Whole numbers stay whole: as float64, 12345678 would
// print as 1.2345678e+07.
func fromJSON(r *run, s string) (value any, ok bool, err *Error) {
	if err := r.spend(len(s) / 8); err != nil {
		return nil, false, err
	}
	if err := r.takeTimes(8, len(s)); err != nil {
		return nil, false, err
	}
	decoder := json.NewDecoder(strings.NewReader(s))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil || decoder.More() {
		return nil, false, nil
	}
	if _, err := r.measure(value); err != nil {
		return nil, false, err
	}
	return withPlainNumbers(value), true, nil
}

// withPlainNumbers replaces numbers in place, in a value that nobody else has.
func withPlainNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		return plainNumber(v)
	case []any:
		for i, item := range v {
			v[i] = withPlainNumbers(item)
		}
	case map[string]any:
		for key, item := range v {
			v[key] = withPlainNumbers(item)
		}
	}
	return value
}
