package servedtypes

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestCallsShareTheNextQuestionAndNoneThatWasAskedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shared confirmations
		var asked atomic.Int64
		release := make(chan struct{})
		failure := errors.New("gone")
		call := func() error {
			return shared.share(Type{}, func() error {
				if asked.Add(1) == 1 {
					<-release
					return nil
				}
				return failure
			})
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := call(); err != nil {
				t.Errorf("the first call got %v", err)
			}
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				if err := call(); !errors.Is(err, failure) {
					t.Errorf("a call that came while the host was asked got %v, which is older than the call", err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if asked.Load() != 2 {
			t.Errorf("the host was asked %d times, want 2", asked.Load())
		}
	})
}
