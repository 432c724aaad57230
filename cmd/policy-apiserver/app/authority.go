package app

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/clusterpedia-io/policy-apiserver/pkg/registry/policy/author"
)

// AuthorityOptions are the flags about what the authors of policies must be
// allowed to do.
type AuthorityOptions struct {
	// AuthorCheck is one of the modes of package author.
	AuthorCheck string
}

func newAuthorityOptions() AuthorityOptions {
	return AuthorityOptions{AuthorCheck: string(author.Enforce)}
}

// AddFlags adds the flags.
func (o *AuthorityOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.AuthorCheck, "policy-author-check", o.AuthorCheck,
		"What to do with a policy that reads or writes what its author may not: enforce refuses it, warn accepts it with a warning, "+
			"off does not ask. See docs/security.md.")
}

// Validate returns all that is wrong with the options.
func (o *AuthorityOptions) Validate() []error {
	if !slices.Contains([]author.Mode{author.Enforce, author.Warn, author.Off}, author.Mode(o.AuthorCheck)) {
		return []error{fmt.Errorf("--policy-author-check must be %s, %s or %s, not %q", author.Enforce, author.Warn, author.Off, o.AuthorCheck)}
	}
	return nil
}
