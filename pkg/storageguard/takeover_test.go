package storageguard

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// boundStorage is bound to a host, or to none yet.
type boundStorage struct {
	Storage
	host types.UID
}

func (s boundStorage) Get(context.Context) (id, host types.UID, revision uint64, err error) {
	return "this", s.host, 1, nil
}

func TestAStorageThatWasServedTakesNothingOver(t *testing.T) {
	failed := errors.New("failed")
	for host, want := range map[types.UID]error{"": failed, "h": nil} {
		g := &Guard{storage: boundStorage{host: host}, config: Config{TakeOver: func(_ context.Context, id types.UID) error {
			if id != "this" || host != "" {
				t.Errorf("the storage %s of the host %q takes something over", id, host)
			}
			return failed
		}}}
		if err := g.takeOver(t.Context()); !errors.Is(err, want) {
			t.Errorf("the storage of the host %q: %v", host, err)
		}
	}
}
