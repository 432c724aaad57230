package controller

import (
	"testing"

	"github.com/clusterpedia-io/policy-apiserver/pkg/controller/index"
)

func TestALookIsForgottenWhenSomethingHappened(t *testing.T) {
	i, other := index.Import{Policy: "p", Name: "a"}, index.Import{Policy: "p", Name: "b"}
	result := &found{pediaCluster: "7"}
	for name, test := range map[string]struct {
		during, after func(l *looks)
		want          *found
	}{
		"nothing":                    {want: result},
		"another import, meanwhile":  {during: func(l *looks) { l.void(other) }, want: result},
		"an event, meanwhile":        {during: func(l *looks) { l.void(i) }},
		"an event that may concern":  {during: func(l *looks) { l.voidAll() }},
		"an event, later":            {after: func(l *looks) { l.void(i) }},
		"a look that is under way":   {after: func(l *looks) { l.begin(i) }},
		"a look that found work":     {after: func(l *looks) { l.end(i, l.begin(i), nil) }},
		"another look that overtook": {during: func(l *looks) { l.end(i, l.begin(i), nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := &looks{}
			look := l.begin(i)
			if test.during != nil {
				test.during(l)
			}
			l.end(i, look, result)
			if test.after != nil {
				test.after(l)
			}
			if got := l.get(i); got != test.want {
				t.Errorf("the last look found %v, want %v", got, test.want)
			}
		})
	}
}

func TestAVersionThatTheInformerHasNotSeenYetIsOlder(t *testing.T) {
	for _, test := range []struct {
		version, known string
		want           bool
	}{{"", "7", true}, {"9", "10", true}, {"10", "10", false}, {"11", "10", false}, {"x", "10", false}} {
		if got := older(test.version, test.known); got != test.want {
			t.Errorf("older(%q, %q) = %v", test.version, test.known, got)
		}
	}
}
