package storageguard

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// opened returns a guard that has just been confirmed.
func opened() *Guard {
	g := &Guard{open: make(chan struct{})}
	g.confirm(time.Now())
	return g
}

func TestAConfirmationIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := opened()
		_, release, err := g.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		release()
		time.Sleep(confidence + time.Millisecond)
		if _, _, err := g.Admit(t.Context()); !errors.Is(err, errUnconfirmed) {
			t.Errorf("without a confirmation: %v", err)
		}
		g.confirm(time.Now())
		if _, _, err := g.Admit(t.Context()); err != nil {
			t.Errorf("confirmed again: %v", err)
		}
	})
}

func TestWhoIsBeingAnsweredIsCutOff(t *testing.T) {
	g := opened()
	watching, release, err := g.Admit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	g.block(errors.New("another storage"))
	<-watching.Done()
	if context.Cause(t.Context()) != nil {
		t.Error("the request itself ended")
	}
	g.confirm(time.Now())
	again, release, err := g.Admit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if again.Err() != nil {
		t.Error("a new request is cut off for an old reason")
	}
}

func TestAStorageThatChangesIsLost(t *testing.T) {
	for name, test := range map[string]struct {
		id       types.UID
		revision uint64
		lost     bool
	}{
		"nothing new":         {"s", 100, false},
		"further on":          {"s", 5000, false},
		"gone back":           {"s", 99, true},
		"restored and raised": {"s", 1_000_000_050, true},
		"another":             {"t", 200, true},
		"none":                {"", 200, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := &Guard{}
			if err := g.same("s", 100); err != nil {
				t.Fatal(err)
			}
			changed := (*lost)(nil)
			if got := errors.As(g.same(test.id, test.revision), &changed); got != test.lost {
				t.Errorf("lost: %v", got)
			}
		})
	}
}
