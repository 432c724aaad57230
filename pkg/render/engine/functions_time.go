package engine

import (
	"archive/zip"
	"crypto/sha256"
	_ "embed" // The time zones.
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// There is no local time in templates: the zone of the process must not show
// in what they write. Where sprig uses it, we use UTC.

var timeFunctions = aliases([]*function{
	define("now", "Returns the time of the import, which is the same in the whole template.", with0(func(r *run) (any, *Error) { return r.now(), nil }).atRun()),
	define("ago TIME", "Returns the time elapsed since TIME, as a duration.", with1(func(r *run, x any) (any, *Error) {
		return r.result(r.now().Sub(r.timeOf(x)).Round(time.Second).String())
	}).atRun()),
	define("date LAYOUT TIME", "Formats a time in UTC.", with2(func(r *run, layout string, x any) (any, *Error) {
		return dateInZone(r, layout, x, "UTC")
	})),
	define("dateInZone LAYOUT TIME ZONE", "Formats a time in a time zone.", with3(dateInZone)),
	define("htmlDate TIME", "Formats a time as `2006-01-02`, in UTC.", with1(func(r *run, x any) (any, *Error) {
		return dateInZone(r, time.DateOnly, x, "UTC")
	})),
	define("htmlDateInZone TIME ZONE", "Formats a time as `2006-01-02`, in a time zone.", with2(func(r *run, x any, zone string) (any, *Error) {
		return dateInZone(r, time.DateOnly, x, zone)
	})),
	define("dateModify DURATION TIME", "Adds a duration such as `-1.5h`. An invalid duration is ignored.", with2(func(_ *run, d string, t time.Time) (any, *Error) {
		n, _ := time.ParseDuration(d)
		return t.Add(n), nil
	})),
	define("mustDateModify DURATION TIME", "Same as `dateModify`, but an invalid duration is an error.", with2(func(_ *run, d string, t time.Time) (any, *Error) {
		n, err := time.ParseDuration(d)
		if err != nil {
			return nil, problem("the first argument is no duration")
		}
		return t.Add(n), nil
	})),
	define("duration SECONDS", "Formats a number of seconds, given as a string or as a number from the data.", on1(lib[fromAny[string]]("duration"))),
	define("durationRound DURATION", "Shortens a duration, or the time elapsed since a time, to its largest unit.", with1(func(r *run, x any) (any, *Error) {
		if t, ok := x.(time.Time); ok {
			x = int64(r.now().Sub(t))
		}
		return r.result(lib[fromAny[string]]("durationRound")(x))
	})),
	define("toDate LAYOUT TEXT", "Parses a time in UTC. Invalid input is the zero time.", with2(func(_ *run, layout, s string) (any, *Error) {
		t, _ := time.ParseInLocation(layout, s, time.UTC)
		return t, nil
	})),
	define("mustToDate LAYOUT TEXT", "Same as `toDate`, but invalid input is an error.", with2(func(_ *run, layout, s string) (any, *Error) {
		t, err := time.ParseInLocation(layout, s, time.UTC)
		if err != nil {
			return nil, problem("the text is no time in this layout")
		}
		return t, nil
	})),
	define("unixEpoch TIME", "Returns the Unix time in seconds.", on1(lib[func(time.Time) string]("unixEpoch"))),
}, map[string]string{"date_in_zone": "dateInZone", "date_modify": "dateModify", "must_date_modify": "mustDateModify"})

func (r *run) now() time.Time { return r.env.Now.Round(0).UTC() }

// timeOf returns a time, or seconds since 1970, or now for anything else.
func (r *run) timeOf(x any) time.Time {
	if t, ok := x.(time.Time); ok {
		return t
	}
	switch x.(type) {
	case int, int64, float64:
		if n, ok := wholeNumber(x); ok {
			return time.Unix(n, 0)
		}
	}
	return r.now()
}

func dateInZone(r *run, layout string, x any, zone string) (any, *Error) {
	// Each element of a layout can grow a few times over.
	if err := r.takeTimes(8, len(layout)); err != nil {
		return nil, err
	}
	location := time.UTC
	if zone != "UTC" && zone != "Local" && zone != "" {
		if err := r.spend(1000); err != nil {
			return nil, err
		}
		location = zoneNamed(zone)
	}
	return r.timeOf(x).In(location).Format(layout), nil
}

// zoneData are the time zones, as they come with Go. Package time would look
// for files first, which a template must not make it do, and which differ from
// one image to the next.
//
//go:generate sh -c "cp $(go env GOROOT)/lib/time/zoneinfo.zip ."
//go:embed zoneinfo.zip
var zoneData string

// zoneFiles are the files in zoneData by the name of the time zone.
var zoneFiles = sync.OnceValue(func() map[string]*zip.File {
	archive, err := zip.NewReader(strings.NewReader(zoneData), int64(len(zoneData)))
	if err != nil {
		panic(err) // It is part of this binary.
	}
	files := make(map[string]*zip.File, len(archive.File))
	for _, f := range archive.File {
		files[f.Name] = f
	}
	return files
})

// zones are the time zones that have been used, from their names to their
// *time.Location. There are no more than zoneFiles.
var zones sync.Map

// zoneNamed returns a time zone, or UTC for a name that is none.
func zoneNamed(name string) *time.Location {
	file, ok := zoneFiles()[name]
	if !ok {
		return time.UTC
	}
	if found, ok := zones.Load(name); ok {
		return found.(*time.Location)
	}
	location := time.UTC
	if reader, err := file.Open(); err == nil {
		if data, err := io.ReadAll(reader); err == nil {
			if loaded, err := time.LoadLocationFromTZData(name, data); err == nil {
				location = loaded
			}
		}
		_ = reader.Close()
	}
	zones.Store(name, location)
	return location
}

var chanceFunctions = []*function{
	random("randAlphaNum COUNT", "Returns random letters and digits.", letters+digits),
	random("randAlpha COUNT", "Returns random letters.", letters),
	random("randNumeric COUNT", "Returns random digits.", digits),
	random("randAscii COUNT", "Returns random printable characters.", ascii),
	define("randBytes COUNT", "Returns random bytes, base64-encoded.", with1(func(r *run, n int) (any, *Error) {
		if err := r.drawn(2 * n); err != nil {
			return nil, err
		}
		out := make([]byte, n)
		for i := range out {
			out[i] = byte(r.draw(256))
		}
		return base64.StdEncoding.EncodeToString(out), nil
	}).atRun()),
	define("randInt MIN MAX", "Returns a random integer from MIN up to but not including MAX.", with2(func(r *run, low, high int) (any, *Error) {
		if high <= low || high-low <= 0 {
			return nil, problem("there is no whole number from the first up to the second argument")
		}
		return low + r.draw(high-low), nil
	}).atRun()),
	define("shuffle TEXT", "Returns the characters in random order.", with1(func(r *run, s string) (any, *Error) {
		if err := r.drawn(4 * len(s)); err != nil {
			return nil, err
		}
		runes := []rune(s)
		for i := len(runes) - 1; i > 0; i-- {
			j := r.draw(i + 1)
			runes[i], runes[j] = runes[j], runes[i]
		}
		return string(runes), nil
	}).atRun()),
	define("uuidv4", "Returns a random UUID.", with0(func(r *run) (any, *Error) {
		var id [16]byte
		for i := range id {
			id[i] = byte(r.draw(256))
		}
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
	}).atRun()),
}

const (
	digits  = "0123456789"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

var ascii = func() string {
	var out []byte
	for c := byte(' '); c <= '~'; c++ {
		out = append(out, c)
	}
	return string(out)
}()

// chance is the source of all random numbers of one execution.
type chance struct{ *rand.Rand }

// draw returns a number from 0 up to n.
func (r *run) draw(n int) int {
	if r.chance == nil {
		r.chance = &chance{rand.New(rand.NewChaCha8(sha256.Sum256([]byte(r.env.Seed))))}
	}
	return r.chance.IntN(n)
}

// drawn takes n random bytes from the budget.
func (r *run) drawn(n int) *Error {
	if n < 0 {
		return problem("there is no negative number of characters")
	}
	if err := r.spend(n / 4); err != nil {
		return err
	}
	return r.take(n)
}

func random(usage, summary, from string) *function {
	return define(usage, summary, with1(func(r *run, n int) (any, *Error) {
		if err := r.drawn(n); err != nil {
			return nil, err
		}
		out := make([]byte, n)
		for i := range out {
			out[i] = from[r.draw(len(from))]
		}
		return string(out), nil
	}).atRun())
}
