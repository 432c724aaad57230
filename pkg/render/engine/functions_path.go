package engine

import (
	"net/url"
	"path"

	"github.com/Masterminds/semver/v3"
)

var pathFunctions = aliases([]*function{
	define("base PATH", "Returns the last element of a slash-separated path.", on1(path.Base)),
	define("dir PATH", "Returns all but the last element.", on1(path.Dir)),
	define("clean PATH", "Returns the shortest equivalent path.", on1(path.Clean)),
	define("ext PATH", "Returns the file name extension.", on1(path.Ext)),
	define("isAbs PATH", "Returns true if the path begins with a slash.", on1(path.IsAbs)),
	define("urlParse URL", "Splits a URL into a map with the keys `scheme`, `host`, `hostname`, `path`, `query`, `opaque`, `fragment` and `userinfo`.", with1(func(r *run, s string) (any, *Error) {
		u, err := url.Parse(s)
		if err != nil {
			return nil, problem("the text is not a URL")
		}
		userinfo := ""
		if u.User != nil {
			userinfo = u.User.String()
		}
		return map[string]any{
			"scheme": u.Scheme, "host": u.Host, "hostname": u.Hostname(), "path": u.Path, "query": u.RawQuery,
			"opaque": u.Opaque, "fragment": u.Fragment, "userinfo": userinfo,
		}, r.takeEntries(8)
	})),
	define("urlJoin MAP", "Builds a URL from such a map.", with1(func(r *run, m map[string]any) (any, *Error) {
		for _, key := range []string{"scheme", "host", "path", "query", "opaque", "fragment", "userinfo"} {
			if value, ok := m[key]; ok {
				if _, ok := value.(string); !ok {
					return nil, problem("%q must be a string, and is %s", key, describe(value))
				}
			}
		}
		return r.result(lib[func(map[string]any) string]("urlJoin")(m))
	})),
	define("semver VERSION", "Parses a semantic version. The result has the methods `Major`, `Minor`, `Patch`, `Prerelease`, `Metadata`, `Original` and `Compare`.", with1(version)),
	define("semverCompare CONSTRAINT VERSION", "Returns true if the version satisfies the constraint.", with2(func(r *run, constraint, s string) (any, *Error) {
		if len(constraint) > maxVersion {
			return nil, limit("the constraint is %d bytes long; at most %d are allowed", len(constraint), maxVersion)
		}
		if err := r.spend(50 + 4*len(constraint)); err != nil {
			return nil, err
		}
		c, err := semver.NewConstraint(constraint)
		if err != nil {
			return nil, problem("the first argument is no constraint on versions")
		}
		v, err1 := version(r, s)
		if err1 != nil {
			return nil, err1
		}
		return c.Check(v.(*semver.Version)), nil
	})),
}, map[string]string{"osBase": "base", "osDir": "dir", "osClean": "clean", "osExt": "ext", "osIsAbs": "isAbs"})

// maxVersion is the length of a version or a constraint.
const maxVersion = 256

func version(r *run, s string) (any, *Error) {
	if len(s) > maxVersion {
		return nil, limit("the version is %d bytes long; at most %d are allowed", len(s), maxVersion)
	}
	// It is a regular expression that reads a version.
	if err := r.spend(len(s)); err != nil {
		return nil, err
	}
	v, err := semver.NewVersion(s)
	if err != nil {
		return nil, problem("the text is no semantic version")
	}
	return v, nil
}
