package confirm

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestCallsShareTheNextQuestionAndNoneThatWasAskedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shared Group[string, int64]
		var asked atomic.Int64
		release := make(chan struct{})
		failure := errors.New("gone")
		call := func() (int64, error) {
			return shared.Do("a", func() (int64, error) {
				if number := asked.Add(1); number > 1 {
					return number, failure
				}
				<-release
				return 1, nil
			})
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if answer, err := call(); answer != 1 || err != nil {
				t.Errorf("the first call got %v, %v", answer, err)
			}
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				if answer, err := call(); answer != 2 || !errors.Is(err, failure) {
					t.Errorf("a call that came meanwhile got %v, %v, which is older than the call", answer, err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if asked.Load() != 2 {
			t.Errorf("asked %d times, want 2", asked.Load())
		}
		if len(shared.keys) > 0 {
			t.Errorf("%d keys are kept for ever", len(shared.keys))
		}
	})
}
