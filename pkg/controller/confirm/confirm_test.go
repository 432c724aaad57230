package confirm

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestAQuestionThatPanicsIsAnsweredToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shared Group[string, int64]
		release := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = shared.Do("a", func() (int64, error) { <-release; return 1, nil }) })
		synctest.Wait()
		wg.Go(func() {
			defer func() { _ = recover() }()
			_, _ = shared.Do("a", func() (int64, error) { panic("a fault") })
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := shared.Do("a", func() (int64, error) { return 3, nil }); err == nil {
				t.Error("the answer of a question that broke off")
			}
		})
		synctest.Wait()
		close(release)
		wg.Wait()
		if answer, err := shared.Do("a", func() (int64, error) { return 4, nil }); answer != 4 || err != nil {
			t.Errorf("the next one: %v, %v", answer, err)
		}
	})
}

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
